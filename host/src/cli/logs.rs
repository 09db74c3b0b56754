//! `everstep logs`.

use super::console::{Console, Style, displayed};
use super::place::StoreArg;
use super::{Exit, Failure, Outcome, print_json};
use everstep::ExecutionId;
use everstep::output::Content;
use serde_json::{Value, json};

/// Show everything that an execution has printed, from its journal
///
/// What it printed on standard output and standard error goes there again.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The execution
    id: ExecutionId,
    #[command(flatten)]
    store: StoreArg,
    /// Print one JSON object {id, output: [{step, stdout | stderr | display}]}
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  everstep logs count-1
  everstep logs count-1 2> errors.txt";

pub(crate) fn run(args: &Args) -> Outcome {
    let output = args.store.store.reader()?.output(&args.id)?;
    if args.json {
        let pieces: Vec<_> = output.iter().map(|piece| with_step(piece.step, &piece.content)).collect();
        print_json(&json!({ "id": args.id, "output": pieces }))?;
        return Ok(Exit::Done);
    }
    let console = Console::start(Style::default()).map_err(Failure::io("cannot start a thread"))?;
    output.into_iter().for_each(|piece| console.output(piece));
    console.flush().map_err(Failure::io("cannot write to standard output"))?;
    Ok(Exit::Done)
}

fn with_step(step: u64, content: &Content) -> Value {
    match content {
        Content::Stdout(text) => json!({ "step": step, "stdout": text }),
        Content::Stderr(text) => json!({ "step": step, "stderr": text }),
        Content::Display(parts) => json!({ "step": step, "display": parts, "text": displayed(parts) }),
        Content::Denied { .. } => json!({ "step": step }),
    }
}
