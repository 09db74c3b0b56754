//! `everstep policy diff`.

use crate::cli::{Exit, Outcome, print, print_json, text};
use everstep::Policy;
use everstep::policy::tools::diff;
use serde_json::json;
use std::path::PathBuf;

/// List what one policy allows and the other does not, by grant and bound
///
/// Lines that begin with + show what only the second policy allows, those with - what only the first one allows. Names, comments and the order
/// of keys are ignored.
///
/// Exit code 0 when both allow the same, 1 when they differ, 2 when one does not load.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  everstep policy diff old.toml new.toml\n  everstep policy diff old.toml new.toml --json"
)]
pub(crate) struct Args {
    /// A policy file
    first: PathBuf,
    /// The policy file to compare it with
    second: PathBuf,
    /// Print one JSON object {wider, narrower}
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let changes = diff(&Policy::load(&args.first)?, &Policy::load(&args.second)?);
    if args.json {
        let only = |wider: bool| changes.iter().filter(move |change| change.wider == wider).map(|change| &change.what);
        let (wider, narrower) = (only(true).collect::<Vec<_>>(), only(false).collect::<Vec<_>>());
        print_json(&json!({ "wider": wider, "narrower": narrower }))?;
    } else {
        let lines = changes.iter().map(|change| format!("{}\n", text::line(&change.to_string(), 1000)));
        print(&lines.collect::<String>())?;
    }
    Ok(if changes.is_empty() { Exit::Done } else { Exit::Failed })
}
