//! `everstep list`.

use super::place::StoreArg;
use super::text::{self, Table};
use super::{Exit, Outcome, print, print_json, report};
use everstep::store::{Execution, State};
use std::collections::BTreeMap;

/// List the executions of a store, oldest first
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArg,
    /// Print one JSON object {executions: [...]}
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  everstep list
  everstep list --store /var/lib/everstep --json";

pub(crate) fn run(args: &Args) -> Outcome {
    let reader = args.store.store.reader()?;
    let mut executions = reader.executions()?;
    for execution in executions.iter_mut().filter(|execution| execution.state == State::Running) {
        // What is stored with the execution itself may lag behind its journal. One that cannot be read is still listed.
        if let Ok(steps) = reader.steps(&execution.id) {
            execution.progress.steps = steps.len() as u64;
        }
    }
    if args.json {
        let executions: Vec<_> = executions.iter().map(super::show::Head::of).collect();
        print_json(&BTreeMap::from([("executions", executions)]))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["ID", "STATE", "FUNCTION", "STEPS", "STARTED", "UPDATED", "OUTCOME"]);
    for Execution { id, function, created_ms, state, result, progress, .. } in &executions {
        let outcome = match (result, &progress.error) {
            (Some(result), _) => text::line(&text::json(result), 60),
            (None, Some(error)) => text::line(&report::error_text(error), 60),
            (None, None) => String::new(),
        };
        table.row([
            id.to_string(),
            state.name().to_owned(),
            text::line(function, 40),
            progress.steps.to_string(),
            text::time(*created_ms),
            text::time(progress.updated_ms),
            outcome,
        ]);
    }
    print(&table.render())?;
    Ok(Exit::Done)
}
