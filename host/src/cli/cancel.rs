//! `everstep cancel`, and the host of every command that only changes what is stored.

use super::place::{CacheArg, Place, StoreArg};
use super::watch::block_on;
use super::{Exit, Failure, Outcome, compiling, complain, print, print_json};
use everstep::{Builder, Cancellation, Everstep, ExecutionId, Scope};
use serde_json::json;

/// Cancel an execution
///
/// The executions that it called are canceled with it, and the promises that it waits for are no longer offered. Effects are not undone. An
/// execution that has already ended does not change. If another host runs the execution, it ends and cleans up there.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The execution
    id: ExecutionId,
    #[command(flatten)]
    store: StoreArg,
    /// Print one JSON object {canceled: ID}, with warnings if something could not clean up, or {ended: ID, state} if it had already ended
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cache: CacheArg,
}

const EXAMPLES: &str = "\
Examples:
  everstep cancel count-1
  everstep cancel count-1 --store /var/lib/everstep";

pub(crate) fn run(args: Args) -> Outcome {
    let Args { id, store: StoreArg { store }, json, cache } = args;
    let host = changing(&store, &cache)?;
    let done = block_on(async { Ok(host.cancel(&id).await?) })?;
    let uncleaned = if let Cancellation::Uncleaned(executions) = &done { executions.as_slice() } else { &[] };
    let warnings: Vec<_> = uncleaned
        .iter()
        .map(|(id, why)| format!("{id} ended without the clean-up that it had asked for: {why}"))
        .collect();
    warnings.iter().for_each(|warning| complain(&format!("warning: {warning}")));
    match (done, json) {
        (Cancellation::HadEnded(state), true) => print_json(&json!({ "ended": id, "state": state }))?,
        (Cancellation::HadEnded(state), false) => {
            print(&format!("{id} had ended ({}); nothing was changed\n", state.name()))?;
        }
        (Cancellation::Uncleaned(_), true) => print_json(&json!({ "canceled": id, "warnings": warnings }))?,
        (Cancellation::Canceled, true) => print_json(&json!({ "canceled": id }))?,
        (Cancellation::Canceled | Cancellation::Uncleaned(_), false) => print(&format!("canceled {id}\n"))?,
    }
    Ok(Exit::Done)
}

/// A host that only makes a change, beside those that run on the store, with components from the cache.
pub(super) fn changing(place: &Place, cache: &CacheArg) -> Result<Everstep, Failure> {
    place.existing()?;
    changing_or_new(place, cache)
}

/// The same over a store that is created if it does not exist.
pub(super) fn changing_or_new(place: &Place, cache: &CacheArg) -> Result<Everstep, Failure> {
    place.check_survives()?;
    let builder = place.host()?.scope(Scope::Nothing).on_compile(compiling::show);
    Ok(cache.folder().into_iter().fold(builder, Builder::cache).build()?)
}
