//! `everstep cancel`, and the way of every command that changes an execution: through the host of the store, or as its host.

use super::place::{CacheArg, Place, StoreArg};
use super::watch::block_on;
use super::{Exit, Failure, Outcome, compiling, complain, print, print_json};
use crate::control::{self, Done, Request};
use everstep::{Builder, Everstep, ExecutionId, Scope};
use serde_json::json;

/// End an execution for good
///
/// Everything that it called ends with it, and promises it waits for are no longer offered; nothing is undone. What has ended stays as
/// it is. If a host runs on the store, it does this.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The execution
    id: ExecutionId,
    #[command(flatten)]
    store: StoreArg,
    /// Print one JSON object {canceled: ID}, with warnings if something could not clean up, or {ended: ID, state} for what had ended before
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
    let done = change(&store, &cache, Request::Cancel(id.clone()))?.0;
    let uncleaned = if let Done::Uncleaned(executions) = &done { executions.as_slice() } else { &[] };
    let warnings: Vec<_> = uncleaned
        .iter()
        .map(|(id, why)| format!("{id} ended without the clean-up that it had asked for: {why}"))
        .collect();
    warnings.iter().for_each(|warning| complain(&format!("warning: {warning}")));
    match (done, json) {
        (Done::HadEnded(state), true) => print_json(&json!({ "ended": id, "state": state }))?,
        (Done::HadEnded(state), false) => print(&format!("{id} had ended ({}); nothing was changed\n", state.name()))?,
        (Done::Uncleaned(_), true) => print_json(&json!({ "canceled": id, "warnings": warnings }))?,
        (Done::AsAsked, true) => print_json(&json!({ "canceled": id }))?,
        (Done::AsAsked | Done::Uncleaned(_), false) => print(&format!("canceled {id}\n"))?,
    }
    Ok(Exit::Done)
}

/// Who made a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// A host that runs on the store, or this process beside it.
    Host,
    /// This process: no host runs.
    Us,
}

/// Has the host of the store make a change; when there is none, makes it, with components from the cache.
pub(super) fn change(place: &Place, cache: &CacheArg, request: Request) -> Result<(Done, By), Failure> {
    place.existing()?;
    change_or_create(place, cache, request)
}

/// The same for a store that is created if it is not there.
pub(super) fn change_or_create(place: &Place, cache: &CacheArg, request: Request) -> Result<(Done, By), Failure> {
    let dir = place.folder()?;
    match control::request(dir, &request) {
        Ok(done) => return Ok((done, By::Host)),
        Err(control::Error::NoHost) => {}
        Err(error) => return Err(error.into()),
    }
    let builder = place.host().scope(Scope::Nothing).on_compile(compiling::show);
    let host = cache.folder().into_iter().fold(builder, Builder::cache).build()?;
    let by = if host.is_alone() { By::Us } else { By::Host };
    apply(&host, request).map(|done| (done, by))
}

fn apply(host: &Everstep, request: Request) -> Result<Done, Failure> {
    let refused = |refusal| Failure::from(control::Error::Refused(refusal));
    block_on(async { control::carry_out(host, request).await.map_err(refused) })
}
