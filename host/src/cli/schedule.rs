//! `everstep schedule`.

use super::cancel::{changing, changing_or_new};
use super::place::{CacheArg, Place, StoreArg};
use super::report::Unreadable;
use super::run::{component_file, load_policy, read_args};
use super::text::{self, Table};
use super::watch::block_on;
use super::{Exit, Failure, Outcome, complain, print, print_json};
use everstep::Run;
use everstep::store::Invocation;
use everstep::store::record;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Start executions at the times of a cron expression
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Create(Box<Create>),
    List(List),
    Delete(Delete),
}

/// Create a schedule
///
/// Each firing is an execution of its own with the id SCHEDULE:TIME, so that one time never fires twice. A host that stays fires schedules:
/// `everstep resume --stay`. The component and the policy are stored as they are now.
#[derive(clap::Args)]
#[command(after_help = CREATE)]
pub(crate) struct Create {
    /// The id of the schedule: letters, digits, - and _
    id: String,
    /// When to fire, in UTC: five fields, six with leading seconds, or seven with a year at the end
    #[arg(long, value_name = "CRON")]
    cron: String,
    /// A component, or a crate folder, which is built if its sources have changed
    target: PathBuf,
    /// The durable function
    function: String,
    /// The arguments: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON", default_value = "null", allow_hyphen_values = true)]
    args: String,
    /// What the function may do [default: print only]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// What to do with a firing that is more than a minute late because no host ran
    #[arg(long, value_enum, default_value_t = Missed::CatchUp)]
    missed: Missed,
    /// Each execution fails as timed out if it takes longer than this, including waits
    #[arg(long, value_name = "TIME")]
    timeout: Option<super::place::Span>,
    #[command(flatten)]
    store: StoreArg,
    /// Print one JSON object {created: ID}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cache: CacheArg,
}

const CREATE: &str = "\
Examples:
  everstep schedule create nightly --cron '0 3 * * *' tidy.wasm tidy --policy policy.toml
  everstep schedule create beat --cron '*/5 * * * *' . beat --missed skip";

/// What becomes of missed firings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Missed {
    /// Fire them late, one by one.
    CatchUp,
    /// Skip them.
    Skip,
}

/// List the schedules of a store
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  everstep schedule list")]
pub(crate) struct List {
    #[command(flatten)]
    store: StoreArg,
    /// Print one JSON object {schedules: [{id, cron, function, args, missed, next_ms, last_ms}]}
    #[arg(long)]
    json: bool,
}

/// Delete a schedule; executions that it has started continue
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  everstep schedule delete nightly")]
pub(crate) struct Delete {
    /// The schedule
    id: String,
    #[command(flatten)]
    store: StoreArg,
    /// Print one JSON object {deleted: ID}
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: Command) -> Outcome {
    match command {
        Command::Create(create) => self::create(*create),
        Command::List(List { store, json }) => list(&store.store, json),
        Command::Delete(Delete { id, store, json }) => {
            let host = changing(&store.store, &CacheArg::default())?;
            block_on(async { Ok(host.unschedule(&id).await?) })?;
            said("deleted", &id, json)
        }
    }
}

fn create(create: Create) -> Outcome {
    let Create { id, cron, target, function, args, policy, missed, timeout, store, json, cache } = create;
    let policy = load_policy(policy.as_deref())?;
    store.store.check_survives()?;
    store.store.check_out_of_reach(&policy)?;
    let file = component_file(&target, &policy)?;
    let args = read_args(&args)?;
    let host = changing_or_new(&store.store, &cache)?;
    let unreadable = Failure::io(format!("cannot read the component {}", everstep::visible::path(&file)));
    let run = Run::new(host.component(&file).map_err(unreadable)?, function, args, policy);
    let run = timeout.map(super::place::Span::duration).into_iter().fold(run, Run::within);
    block_on(async { Ok(host.schedule(&id, &cron, run, missed == Missed::CatchUp).await?) })?;
    if host.is_alone() {
        let option = store.store.option();
        complain(&format!("no host runs on this store; it fires once one does: everstep resume --stay{option}"));
    }
    said("created", &id, json)
}

fn said(done: &str, id: &str, json: bool) -> Outcome {
    if json {
        print_json(&BTreeMap::from([(done, id)]))?
    } else {
        print(&format!("{done} {id}\n"))?
    }
    Ok(Exit::Done)
}

/// A schedule for scripts.
#[derive(Serialize)]
struct Shown {
    id: String,
    cron: String,
    function: String,
    args: Option<Box<RawValue>>,
    missed: &'static str,
    next_ms: Option<u64>,
    last_ms: Option<u64>,
    #[serde(skip_serializing_if = "Unreadable::is_empty")]
    unreadable: Unreadable,
}

impl Shown {
    fn of(schedule: record::Schedule) -> Self {
        let missed = if schedule.skips_missed() { "skip" } else { "catch-up" };
        let called = Invocation::of_parts(&schedule.promise_param, &schedule.promise_tags);
        let (function, args) = called.map(|called| (called.function, called.args)).unwrap_or_default();
        let record::Schedule { id, cron, next_run_at, last_run_at, .. } = schedule;
        let next_ms = (next_run_at < record::NEVER).then_some(next_run_at);
        let mut unreadable = Unreadable::default();
        let args = unreadable.raw("args", Some(&args));
        Self { id, cron, function, args, missed, next_ms, last_ms: last_run_at, unreadable }
    }
}

fn list(place: &Place, json: bool) -> Result<Exit, Failure> {
    let reader = place.reader()?;
    let schedules = block_on(async { Ok(reader.schedules().await?) })?;
    let schedules: Vec<Shown> = schedules.into_iter().map(Shown::of).collect();
    if json {
        print_json(&BTreeMap::from([("schedules", schedules)]))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["ID", "CRON", "FUNCTION", "MISSED", "NEXT", "LAST"]);
    for Shown { id, cron, function, missed, next_ms, last_ms, .. } in schedules {
        table.row([
            text::line(&id, 60),
            text::line(&cron, 60),
            text::line(&function, 40),
            missed.to_owned(),
            next_ms.map(text::time).unwrap_or_default(),
            last_ms.map(text::time).unwrap_or_default(),
        ]);
    }
    print(&table.render())?;
    Ok(Exit::Done)
}
