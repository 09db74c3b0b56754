//! `everstep fork`.

use super::console::Style;
use super::failure::Exit;
use super::place::{CacheArg, NetworkArg, Settings, Span, StoreArg, WarmArg};
use super::watch::{Session, block_on};
use super::{Failure, Outcome, complain};
use everstep::{Everstep, ExecutionId, Fork, Patience, Scope, session};
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
    #[arg(long, value_name = "N", required_unless_present = "cell")]
    at: Option<u64>,
    /// Of a session, how many of its cells to share; the new session waits for the next one, and the command does not wait for it
    #[arg(long, value_name = "N", conflicts_with_all = ["at", "no_wait", "json"])]
    cell: Option<u64>,
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
  everstep fork count-1 --at 12 --id count-1d --timeout 5m
  everstep fork notes --cell 3 --id notes-b";

pub(crate) fn run(args: Args) -> Outcome {
    args.store.store.existing()?;
    block_on(Box::pin(async move {
        let Args { source, at, cell, id, component, timeout, no_wait, warm, network, store, json, cache } = args;
        let option = store.store.option();
        let component = component.map(|file| cache.component(&file)).transpose()?;
        let settings = Settings { cache, warm, network, scope: Scope::Started, group: None, components: Vec::new() };
        let patience = if no_wait { Patience::None } else { Patience::Forever };
        let session = Session::start(store.store, settings, Style { json, several: false })?.answering(patience);
        let (host, new) = (session.host.clone(), id.clone());
        let at = match (at, cell) {
            (Some(at), _) => at,
            (None, cell) => after_cells(&host, &source, cell.unwrap_or_default()).await?,
        };
        let fork = Fork { component, timeout: timeout.map(Span::duration), ..Fork::new(&source, at, &new) };
        if let Some(cells) = cell {
            host.fork(fork).await?;
            complain(&format!(
                "session {id} has the first {cells} cells of {source}; go on with: everstep repl --id {id}{option}"
            ));
            return Ok(Exit::Done);
        }
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

/// The number of steps of a session after so many cells.
async fn after_cells(host: &Everstep, id: &ExecutionId, cells: u64) -> Result<u64, Failure> {
    let found = session::steps_of_cells(&host.reader(), id, cells).await?;
    found.ok_or_else(|| {
        Failure::usage(format!("{id} is no session that has run {cells} cells; see: everstep show {id}"))
    })
}
