//! `everstep upgrade`.

use super::place::{CacheArg, StoreArg};
use super::watch::block_on;
use super::{Exit, Outcome, print, print_json};
use everstep::{ExecutionId, Scope};
use serde_json::json;
use std::path::PathBuf;

/// Move an unfinished execution to another component
///
/// The component must repeat every recorded step. This is checked first, without effects, and nothing is changed if it does something else. No
/// host may run on the store.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  everstep upgrade order-7 --component next.wasm")]
pub(crate) struct Args {
    /// The execution
    id: ExecutionId,
    /// The component to continue with
    #[arg(long, value_name = "FILE")]
    component: PathBuf,
    #[command(flatten)]
    store: StoreArg,
    /// Print one JSON object {upgraded: ID, component, steps}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cache: CacheArg,
}

pub(crate) fn run(args: Args) -> Outcome {
    let Args { id, component, store, json, cache } = args;
    let component = cache.component(&component)?;
    store.store.existing()?;
    let builder = store.store.host()?.scope(Scope::Nothing);
    let host = cache.folder().into_iter().fold(builder, everstep::Builder::cache).build()?;
    let replay = block_on(async { Ok(host.upgrade(&id, &component).await?) })?;
    let steps = replay.steps.len();
    if json {
        print_json(&json!({ "upgraded": id, "component": component.digest(), "steps": steps }))?;
    } else {
        print(&format!("upgraded {id}: the component repeats all {steps} steps\n"))?;
    }
    Ok(Exit::Done)
}
