//! `everstep fork`.

use super::Outcome;
use super::console::Style;
use super::place::{CacheArg, NetworkArg, Settings, Span, StoreArg, WarmArg};
use super::watch::{Session, block_on};
use everstep::{ExecutionId, Fork, Patience, Scope};
use std::path::PathBuf;

/// Start an execution that shares the first steps of another one and continues from there
///
/// The shared steps do not run again. Questions, timers and calls that were pending at that point are made again under the new id, and later
/// random numbers are different. The original execution does not change.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The execution to fork
    source: ExecutionId,
    /// How many of its steps to share
    #[arg(long, value_name = "N")]
    at: u64,
    /// The id of the new execution
    #[arg(long, value_name = "NEW")]
    id: ExecutionId,
    /// Continue with another component; it must repeat the shared steps
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
    /// Fail as timed out if the execution takes longer than this, such as 90s or 24h, including waits [default: the timeout of SOURCE]
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,
    /// Suspend instead of waiting for a promise
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    warm: WarmArg,
    #[command(flatten)]
    network: NetworkArg,
    #[command(flatten)]
    store: StoreArg,
    /// Print one JSON object, as `run` does
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cache: CacheArg,
}

const EXAMPLES: &str = "\
Examples:
  everstep fork count-1 --at 12 --id count-1b
  everstep fork count-1 --at 12 --id count-1c --component fixed.wasm
  everstep fork count-1 --at 12 --id count-1d --timeout 5m";

pub(crate) fn run(args: Args) -> Outcome {
    args.store.store.existing()?;
    block_on(Box::pin(async move {
        let Args { source, at, id, component, timeout, no_wait, warm, network, store, json, cache } = args;
        let component = component.map(|file| cache.component(&file)).transpose()?;
        let settings = Settings { cache, warm, network, scope: Scope::Started, group: None, components: Vec::new() };
        let patience = if no_wait { Patience::None } else { Patience::Forever };
        let session = Session::start(store.store, settings, Style { json, several: false })?.answering(patience);
        let (host, new) = (session.host.clone(), id.clone());
        let fork = Fork { component, timeout: timeout.map(Span::duration), ..Fork::new(&source, at, &new) };
        let start = async {
            host.fork(fork).await?;
            host.resume(&new, patience).await
        };
        super::run::follow(session, id, start, async |session, report| {
            super::exec::tell_as_started(session, report, json).await
        })
        .await
    }))
}
