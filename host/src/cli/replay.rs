//! `everstep replay`.

use super::place::{CacheArg, Place, StoreArg};
use super::show::{cells, table};
use super::stream::{JsonList, Stream};
use super::watch::block_on;
use super::{Exit, Failure, Outcome, text};
use everstep::store::FileStore;
use everstep::{Everstep, ExecutionId, Reader, ReplayEnd, Scope, StepView};
use serde_json::json;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

/// Replay an execution against its journal, without effects
///
/// Nothing outside is read, written or asked, and the store does not change; hosts may run on it at the same time. With another component this
/// is the check before an upgrade: it reports that the component is compatible, or shows the first difference.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The execution
    id: ExecutionId,
    /// How many steps to replay [default: all]
    #[arg(long, value_name = "N")]
    to: Option<u64>,
    /// Replay with another component
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
    store.store.existing()?;
    let builder = match &store.store {
        // A host that has it open is not disturbed.
        Place::Folder(dir) => Everstep::over(Arc::new(FileStore::read(dir).map_err(everstep::Error::from)?)),
        place => place.host()?,
    };
    let builder = builder.scope(Scope::Nothing);
    let host = cache.folder().into_iter().fold(builder, everstep::Builder::cache).build()?;
    block_on(Box::pin(async {
        let (steps, end) = host.repeat(&id, to, component.as_ref()).await?;
        let repeated = Repeated { reader: host.reader(), id, steps };
        if json {
            repeated.as_json(&end).await?
        } else {
            repeated.as_table(&end, component.is_some()).await?
        }
        Ok(if end == ReplayEnd::Repeated { Exit::Done } else { Exit::Halted })
    }))
}

/// The steps that were repeated, as the store has them.
struct Repeated {
    reader: Reader,
    id: ExecutionId,
    steps: u64,
}

impl Repeated {
    /// Visits the steps until told to stop; returns how many there were.
    async fn each(&self, mut each: impl FnMut(StepView) -> ControlFlow<()>) -> Result<u64, everstep::Error> {
        let mut count = 0;
        let repeated = |step: StepView| {
            if step.n >= self.steps {
                return ControlFlow::Continue(());
            }
            count += 1;
            each(step)
        };
        self.reader.each_step(&self.id, repeated).await?;
        Ok(count)
    }

    async fn as_json(&self, end: &ReplayEnd) -> Result<(), Failure> {
        let compatible = *end == ReplayEnd::Repeated;
        let mut list = JsonList::start(&json!({ "id": self.id, "compatible": compatible, "end": end }), "steps")?;
        self.each(|step| list.element(&step)).await?;
        list.finish()
    }

    async fn as_table(&self, end: &ReplayEnd, other: bool) -> Result<(), Failure> {
        let mut rows = table(Stream::start());
        let steps = self.each(|step| rows.row(cells(&step))).await?;
        let mut stream = rows.end();
        // An error is reported when the stream is finished.
        let _ = stream.write(&format!("\n{}\n", line(end, steps, other)));
        stream.finish()
    }
}

fn line(end: &ReplayEnd, steps: u64, other: bool) -> String {
    let steps = if steps == 1 { "1 step".to_owned() } else { format!("{steps} steps") };
    match end {
        ReplayEnd::Repeated if other => format!("compatible: the component repeats all {steps}"),
        ReplayEnd::Repeated => format!("repeated {steps}"),
        ReplayEnd::Diverged { step, recorded, attempted } => {
            let (recorded, attempted) = (text::line(recorded, 400), text::line(attempted, 400));
            format!("not compatible: at step {step}\n  recorded   {recorded}\n  attempted  {attempted}")
        }
        ReplayEnd::Stopped(reason) => format!("stopped: {}", text::line(reason, 400)),
    }
}
