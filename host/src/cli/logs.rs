//! `everstep logs`.

use super::console::{Console, Style, displayed};
use super::place::StoreArg;
use super::stream::JsonList;
use super::watch::block_on;
use super::{Exit, Failure, Outcome};
use everstep::ExecutionId;
use everstep::output::{Content, Output};
use serde_json::{Value, json};
use std::time::Duration;

/// Show the output of an execution, from its journal
///
/// Its standard output and standard error go to those of this command. With --follow, later output is shown, too, as soon as it is durable,
/// until the execution has ended. Each line is shown once, even if another host takes over the execution.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The execution
    id: ExecutionId,
    #[command(flatten)]
    store: StoreArg,
    /// Continue until the execution has ended
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

/// How often `--follow` looks for output.
const TICK: Duration = Duration::from_millis(100);

pub(crate) fn run(args: &Args) -> Outcome {
    block_on(Box::pin(show(args)))
}

async fn show(args: &Args) -> Outcome {
    let reader = args.store.store.reader()?;
    let mut output = reader.follow(&args.id).await?;
    if args.json {
        let mut list = JsonList::start(&json!({ "id": args.id }), "output")?;
        // If the reader is gone, the rest is read in vain; a journal has a limit.
        let list_piece = |piece: Output| {
            let _ = list.element(&with_step(piece.step, &piece.content));
        };
        output.each(list_piece).await?;
        list.finish()?;
        return Ok(Exit::Done);
    }
    let console = Console::start(Style::default()).map_err(Failure::io("cannot start a thread"))?;
    loop {
        // Read before the output: an execution that has ended has written all its output.
        let has_ended = reader.execution(&args.id).await?.state.is_final();
        output.each(|piece| console.output(piece)).await?;
        console.flush().map_err(Failure::io("cannot write to standard output"))?;
        if has_ended || !args.follow {
            return Ok(Exit::Done);
        }
        tokio::time::sleep(TICK).await;
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
