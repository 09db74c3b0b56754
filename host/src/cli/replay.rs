//! `everstep replay`.

use super::place::{CacheArg, StoreArg};
use super::show::table;
use super::watch::block_on;
use super::{Exit, Failure, Outcome, print, print_json, text};
use everstep::store::FileStore;
use everstep::{Everstep, ExecutionId, Replay, ReplayEnd, Scope};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// Execute an execution again against its journal, without any effect
///
/// Nothing is read, written or asked outside, and the store stays as it is; a host may run on it meanwhile. With another component this is
/// the check before an upgrade: it says that the component is compatible, or shows the first difference.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The execution
    id: ExecutionId,
    /// How many steps to repeat [default: all]
    #[arg(long, value_name = "N")]
    to: Option<u64>,
    /// Another component to repeat them
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArg,
    /// Print one JSON object {id, compatible, steps, end}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cache: CacheArg,
}

const EXAMPLES: &str = "\
Examples:
  everstep replay count-1
  everstep replay count-1 --to 20
  everstep replay count-1 --component next.wasm";

pub(crate) fn run(args: Args) -> Outcome {
    let Args { id, to, component, store, json, cache } = args;
    let component = component.map(|file| cache.component(&file)).transpose()?;
    let store = FileStore::read(store.store.existing()?).map_err(everstep::Error::from)?;
    let builder = Everstep::over(Arc::new(store)).scope(Scope::Nothing);
    let host = cache.folder().into_iter().fold(builder, everstep::Builder::cache).build()?;
    let replay = block_on(async { Ok(host.replay(&id, to, component.as_ref()).await?) })?;
    tell(&id, &replay, component.is_some(), json)?;
    Ok(if replay.end == ReplayEnd::Repeated { Exit::Done } else { Exit::Halted })
}

fn tell(id: &ExecutionId, replay: &Replay, other: bool, json: bool) -> Result<(), Failure> {
    let compatible = replay.end == ReplayEnd::Repeated;
    if json {
        return print_json(&json!({ "id": id, "compatible": compatible, "steps": replay.steps, "end": replay.end }));
    }
    let steps = replay.steps.len();
    let end = match &replay.end {
        ReplayEnd::Repeated if other => format!("compatible: the component repeats all {steps} steps"),
        ReplayEnd::Repeated => format!("repeated {steps} steps"),
        ReplayEnd::Diverged { step, recorded, attempted } => {
            let (recorded, attempted) = (text::line(recorded, 400), text::line(attempted, 400));
            format!("not compatible: at step {step}\n  recorded   {recorded}\n  attempted  {attempted}")
        }
        ReplayEnd::Stopped(reason) => format!("stopped: {}", text::line(reason, 400)),
    };
    print(&format!("{}\n{end}\n", table(&replay.steps)))
}
