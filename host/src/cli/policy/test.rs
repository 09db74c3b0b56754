//! `everstep policy test`.

use crate::cli::{Exit, Failure, Outcome, print, print_json, text};
use everstep::policy::tools::{CaseError, Cases};
use serde_json::json;
use std::path::PathBuf;

/// Decide the calls of a file of cases, and list those whose decision is not the expected one
///
/// The file names the policy (policy = "policy.toml", relative to the file) and has [[case]] sections with capability, subject, expect (allow,
/// ask or deny), and optionally rule and function.
///
/// Exit code 0 when every case passes, 1 when one does not, 2 when the file or the policy does not load.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  everstep policy test cases.toml\n  everstep policy test cases.toml --policy new.toml"
)]
pub(crate) struct Args {
    /// The file of cases
    cases: PathBuf,
    /// A policy to use instead of the one that the file names
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Print one JSON object {cases, failed}
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let cases = Cases::load(&args.cases).map_err(failure)?;
    let failed = cases.run(args.policy.as_deref()).map_err(failure)?;
    if args.json {
        let failed = failed.iter().map(|failed| {
            let (file, line) = &failed.place;
            json!({ "file": file, "line": line, "expected": failed.expected, "decided": failed.decided })
        });
        print_json(&json!({ "cases": cases.count(), "failed": failed.collect::<Vec<_>>() }))?;
    } else {
        let lines = failed.iter().map(|failed| format!("{}\n", text::line(&failed.to_string(), 1000)));
        print(&format!(
            "{}{} of {} cases hold\n",
            lines.collect::<String>(),
            cases.count() - failed.len(),
            cases.count()
        ))?;
    }
    Ok(if failed.is_empty() { Exit::Done } else { Exit::Failed })
}

fn failure(error: CaseError) -> Failure {
    match error {
        CaseError::Policy(error) => error.into(),
        CaseError::Read { path, source } => {
            Failure::io(format!("cannot read the cases {}", everstep::visible::path(path)))(source)
        }
        error => Failure::usage(error.to_string()),
    }
}
