//! `everstep logs`.

use super::console::{Console, Style, displayed};
use super::place::StoreArg;
use super::{Exit, Failure, Outcome, print_json};
use everstep::output::Content;
use everstep::{ExecutionId, Reader};
use serde_json::{Value, json};
use std::time::Duration;

/// Show everything that an execution has printed, from its journal
///
/// What it printed on standard output and standard error goes there again. With --follow, what it prints from now on as well, once it is
/// durable, until the execution has ended; whatever becomes of its hosts, each line is shown once.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The execution
    id: ExecutionId,
    #[command(flatten)]
    store: StoreArg,
    /// Go on until the execution has ended
    #[arg(short, long, conflicts_with = "json")]
    follow: bool,
    /// Print one JSON object {id, output: [{step, stdout | stderr | display}]}
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  everstep logs count-1
  everstep logs count-1 2> errors.txt
  everstep logs count-1 --follow";

/// How often a follower looks.
const TICK: Duration = Duration::from_millis(100);

pub(crate) fn run(args: &Args) -> Outcome {
    let reader = args.store.store.reader()?;
    if args.follow {
        return follow(&reader, &args.id);
    }
    let output = reader.output(&args.id)?;
    if args.json {
        let pieces: Vec<_> = output.iter().map(|piece| with_step(piece.step, &piece.content)).collect();
        print_json(&json!({ "id": args.id, "output": pieces }))?;
        return Ok(Exit::Done);
    }
    let console = Console::start(Style::default()).map_err(Failure::io("cannot start a thread"))?;
    output.into_iter().for_each(|piece| console.output(piece));
    console.flush().map_err(Failure::io("cannot write to standard output"))?;
    Ok(Exit::Done)
}

fn follow(reader: &Reader, id: &ExecutionId) -> Outcome {
    let console = Console::start(Style::default()).map_err(Failure::io("cannot start a thread"))?;
    let (mut shown, mut looked) = (None, None);
    loop {
        // Before the output: what has ended has shown everything.
        let execution = reader.execution(id)?;
        let now = (execution.state, execution.progress.updated_ms, reader.journal(id)?.len());
        if looked != Some(now) {
            let fresh = reader.output(id)?.into_iter().filter(|piece| shown.is_none_or(|shown| piece.step > shown));
            for piece in fresh.collect::<Vec<_>>() {
                shown = Some(piece.step);
                console.output(piece);
            }
            looked = Some(now);
        }
        console.flush().map_err(Failure::io("cannot write to standard output"))?;
        if execution.state.is_final() {
            return Ok(Exit::Done);
        }
        std::thread::sleep(TICK);
    }
}

fn with_step(step: u64, content: &Content) -> Value {
    match content {
        Content::Stdout(text) => json!({ "step": step, "stdout": text }),
        Content::Stderr(text) => json!({ "step": step, "stderr": text }),
        Content::Display(parts) => json!({ "step": step, "display": parts, "text": displayed(parts) }),
        Content::Denied { .. } => json!({ "step": step }),
    }
}
