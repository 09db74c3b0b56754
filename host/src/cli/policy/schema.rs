//! `everstep policy schema`.

use crate::cli::{Exit, Failure, Outcome, print, text};
use everstep::policy::tools::schema;

/// Print the JSON Schema of policy files, for editors and for policies written as JSON
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  everstep policy schema > policy.schema.json")]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> Outcome {
    let schema = serde_json::to_string_pretty(&schema());
    let schema = schema.map_err(|error| Failure::io("cannot write JSON")(error.into()))?;
    print(&format!("{}\n", text::said(&schema)))?;
    Ok(Exit::Done)
}
