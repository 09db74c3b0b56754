//! `everstep policy show`.

use crate::cli::{Exit, Failure, Outcome, print, print_json, text};
use everstep::Policy;
use everstep::policy::tools::to_toml;
use std::path::PathBuf;

/// Print the effective policy: one file with all that it extends, and every key written out
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The policy file
    file: PathBuf,
    /// Print the policy with all that it extends
    #[arg(long, required = true)]
    effective: bool,
    /// Print the part that one function keeps
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
    /// Print the canonical JSON, from which the digest is computed
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  everstep policy show --effective policy.toml
  everstep policy show --effective policy.toml --function summarise --json";

pub(crate) fn run(args: &Args) -> Outcome {
    let policy = Policy::load(&args.file)?;
    let policy = policy.for_function(args.function.as_deref().unwrap_or_default());
    if args.json {
        let canonical = serde_json::to_value(&*policy);
        print_json(&canonical.map_err(|error| Failure::io("cannot write JSON")(error.into()))?)?;
    } else {
        print(&text::said(&to_toml(&policy)))?;
    }
    Ok(Exit::Done)
}
