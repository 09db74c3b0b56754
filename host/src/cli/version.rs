//! `everstep version`.

use super::{Exit, Outcome, print, print_json};
use everstep::store::FileStore;
use everstep::{ENGINE_VERSION, JOURNAL_FORMAT};
use serde_json::json;

/// Print the versions of everstep, its engine and its formats
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  everstep version\n  everstep version --json")]
pub(crate) struct Args {
    /// Print one JSON object {everstep, wasmtime, journal_format, store_format}
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let (version, store) = (env!("CARGO_PKG_VERSION"), FileStore::FORMAT);
    if args.json {
        print_json(&json!({
            "everstep": version, "wasmtime": ENGINE_VERSION, "journal_format": JOURNAL_FORMAT, "store_format": store,
        }))?;
    } else {
        print(&format!(
            "everstep {version}\nwasmtime {ENGINE_VERSION}\njournal format {JOURNAL_FORMAT}\nstore format {store}\n"
        ))?;
    }
    Ok(Exit::Done)
}
