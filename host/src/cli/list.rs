//! `everstep list`.

use super::place::{Span, StoreArg};
use super::stream::{JsonList, Rows, Stream};
use super::text;
use super::watch::block_on;
use super::{Exit, Failure, Outcome, complain, report};
use everstep::store::{Execution, Failure as Failed, FailureKind, Place, Query, State};
use everstep::{ExecutionId, Executions, Reader};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

/// List the executions of a store, newest first
///
/// On a terminal, the newest 100 are listed, unless --limit is given. In a pipe and with --json, all of them are listed.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only executions in this state: pending, running, suspended, halted, completed, failed or canceled; may be repeated, or list several
    /// separated by commas
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<State>,
    /// Only executions of this function
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
    /// Only executions that were started since this time: a duration before now, such as 90s or 7d, or a time, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// The largest number of executions to list [default: 100 on a terminal]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only executions after this one in the list, to show the next page
    #[arg(long, value_name = "ID")]
    before: Option<ExecutionId>,
    /// Of a server: also what clients in other languages have started in this group of workers
    #[arg(long, value_name = "NAME", default_value = "default")]
    group: String,
    #[command(flatten)]
    store: StoreArg,
    /// Print one JSON object {executions: [...]}
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  everstep list
  everstep list --state halted,failed --since 1d
  everstep list --limit 20 --before count-1
  everstep list --remote http://127.0.0.1:8001 --group orders
  everstep list --store /var/lib/everstep --function count --json";

/// The number of executions that a terminal shows.
const ON_TERMINAL: usize = 100;

/// A time, given as such or as a span before now.
#[derive(Clone, Copy, Debug)]
enum Since {
    Span(Span),
    Time(u64),
}

impl FromStr for Since {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(span) = text.parse() {
            return Ok(Self::Span(span));
        }
        let time = text
            .parse::<jiff::Timestamp>()
            .map_err(|_| "write a span such as 90s, 12h or 7d, or a time such as 2026-01-31T12:00:00Z".to_owned())?;
        Ok(Self::Time(u64::try_from(time.as_millisecond()).unwrap_or(0)))
    }
}

impl Since {
    fn created_ms(self) -> u64 {
        match self {
            Self::Span(span) => now_ms().saturating_sub(span.millis()),
            Self::Time(created_ms) => created_ms,
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "which executions are shown is decided for a person, now")]
fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn run(args: Args) -> Outcome {
    block_on(Box::pin(list(args)))
}

async fn list(args: Args) -> Outcome {
    let Args { state: states, function, since, limit, before, group, store, json } = args;
    let reader = store.store.reader_of(&group)?;
    let after = match before {
        Some(id) => Some(Place::of(&reader.execution(&id).await?)),
        None => None,
    };
    let query = Query { states, function, since_ms: since.map(Since::created_ms), after, ..Query::newest_first() };
    let on_terminal = !json && std::io::stdout().is_terminal();
    let limit = limit.unwrap_or(if on_terminal { ON_TERMINAL } else { usize::MAX });
    let mut listed = Listed { executions: reader.list(query), reader, left: limit };
    let last = if json { as_json(&mut listed).await? } else { as_table(&mut listed).await? };
    if let Some(last) = last
        && on_terminal
        && !matches!(listed.executions.next().await, Ok(None))
    {
        complain(&format!("there are more: see --limit, or go on with --before {last}"));
    }
    Ok(Exit::Done)
}

/// The listed executions, one by one.
struct Listed {
    reader: Reader,
    executions: Executions,
    /// How many are still to be listed.
    left: usize,
}

impl Listed {
    async fn next(&mut self) -> Result<Option<Execution>, Failure> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let Some(execution) = self.executions.next().await? else { return Ok(None) };
        Ok(Some(up_to_date(&self.reader, execution).await))
    }
}

/// The execution with its state updated from its journal: what is stored beside it may lag behind, unless its own run has written its
/// end. If the journal cannot be read, it is listed as stored.
async fn up_to_date(reader: &Reader, mut execution: Execution) -> Execution {
    let returned = |failure: &Failed| matches!(failure.kind, FailureKind::Returned(_));
    let own = match execution.state {
        State::Completed | State::Suspended => true,
        State::Failed => execution.progress.error.as_ref().is_some_and(returned),
        State::Pending | State::Running | State::Halted | State::Canceled => false,
    };
    if !own && let Ok(steps) = reader.count_steps(&execution.id).await {
        execution.progress.steps = steps;
    }
    execution
}

async fn as_json(listed: &mut Listed) -> Result<Option<ExecutionId>, Failure> {
    let mut list = JsonList::start(&BTreeMap::<&str, ()>::new(), "executions")?;
    while let Some(execution) = listed.next().await? {
        let halted = report::halted_below(&listed.reader, &execution.id, execution.state).await;
        if list.element(&super::show::Head::of(&execution, &halted)).is_break() {
            break;
        }
    }
    list.finish().map(|()| None)
}

/// Lists the executions as a table; returns the last one.
async fn as_table(listed: &mut Listed) -> Result<Option<ExecutionId>, Failure> {
    let head = ["ID", "STATE", "FUNCTION", "STEPS", "STARTED", "UPDATED", "OUTCOME"];
    let (mut rows, mut last) = (Rows::start(Stream::start(), &head), None);
    while let Some(execution) = listed.next().await? {
        if row(&mut rows, &listed.reader, &execution).await.is_break() {
            break;
        }
        last = Some(execution.id);
    }
    rows.end().finish().map(|()| last)
}

async fn row(rows: &mut Rows, reader: &Reader, execution: &Execution) -> ControlFlow<()> {
    let Execution { id, function, created_ms, state, result, progress, .. } = execution;
    let outcome = match (result, &progress.error) {
        (Some(result), _) => text::line(&text::json(result), 60),
        (None, Some(error)) => text::line(&report::error_text(error), 60),
        (None, None) => match report::halted_below(reader, id, *state).await.first() {
            Some(halted) => format!("waits for {}", text::line(&report::halted_text(halted), 60)),
            None => String::new(),
        },
    };
    rows.row([
        id.to_string(),
        state.name().to_owned(),
        text::line(function, 40),
        progress.steps.to_string(),
        text::time(*created_ms),
        text::time(progress.updated_ms),
        outcome,
    ])
}
