//! `everstep promise`.

use super::approval::Call;
use super::cancel::changing;
use super::place::{CacheArg, Place, StoreArg};
use super::report::Unreadable;
use super::text::{self, Table};
use super::watch::block_on;
use super::{Exit, Failure, Outcome, complain, print, print_json};
use everstep::clock::{Clock, SystemClock};
use everstep::store::{PendingPromise, PromiseKind};
use everstep::{Answer, ErrorCode, GuestError, PromiseId};
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// List and settle the promises that executions wait for
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    List(List),
    Show(Show),
    Resolve(Resolve),
    Reject(Reject),
    Approve(Approve),
    Deny(Deny),
}

/// List the promises that are settled from outside, oldest first
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  everstep promise list\n  everstep promise list --json | jq -r '.promises[].id'")]
pub(crate) struct List {
    #[command(flatten)]
    store: StoreArg,
    /// Print one JSON object {promises: [{id, kind, subject, data, schema, created_ms, deadline_ms}]}; a field that is not valid JSON is
    /// null, and named in `unreadable`
    #[arg(long)]
    json: bool,
}

/// Show a promise that is settled from outside
///
/// Nothing is cut, and characters that a terminal does not show are escaped. For a call that waits for approval, the capability, method, URL,
/// path or function come first, then the other arguments.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  everstep promise show order-7.3\n  everstep promise show order-7.3 --json")]
pub(crate) struct Show {
    /// The promise, as `promise list` shows it
    id: PromiseId,
    #[command(flatten)]
    store: StoreArg,
    /// Print one JSON object {id, kind, subject, data, schema, created_ms, deadline_ms}
    #[arg(long)]
    json: bool,
}

/// Resolve a promise with a JSON value
///
/// If a host runs on the store, the execution resumes at once, otherwise at the next `everstep resume`. The same value again is not an error. A
/// value that does not match the promise's schema is refused, and the promise stays pending.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  everstep promise resolve order-7.3 '{\"publish\": true}'\n  everstep promise resolve order-7.5 '\"blue\"'"
)]
pub(crate) struct Resolve {
    /// The promise, as `promise list` shows it
    id: PromiseId,
    /// The value
    #[arg(value_name = "JSON", allow_hyphen_values = true)]
    value: String,
    #[command(flatten)]
    store: StoreArg,
    /// Print one JSON object {settled: ID}
    #[arg(long)]
    json: bool,
}

/// Reject a promise: the guest gets the error `failed` with this message
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  everstep promise reject order-7.3 'nobody is at home'")]
pub(crate) struct Reject {
    /// The promise, as `promise list` shows it
    id: PromiseId,
    /// The message
    #[arg(default_value = "rejected")]
    message: String,
    #[command(flatten)]
    store: StoreArg,
    /// Print one JSON object {settled: ID}
    #[arg(long)]
    json: bool,
}

/// Approve a call for which the policy requires approval
///
/// `promise list` shows the exact arguments; the approval is valid for these, in this execution. If a host runs on the store, the call is made at
/// once, otherwise after the next `everstep resume`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  everstep promise approve order-7.3\n  everstep promise approve order-7.3 --reason 'checked with Ada'"
)]
pub(crate) struct Approve {
    #[command(flatten)]
    decision: Decision,
}

/// Deny a call for which the policy requires approval: the guest gets the error `denied`
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  everstep promise deny order-7.3 --reason 'not on a Friday'")]
pub(crate) struct Deny {
    #[command(flatten)]
    decision: Decision,
}

/// What both say.
#[derive(clap::Args)]
struct Decision {
    /// The promise, as `promise list` shows it
    id: PromiseId,
    /// The reason, which the guest is told if the call is denied; the audit log names who decided
    #[arg(long)]
    reason: Option<String>,
    /// The name of the person who decides [default: the user name]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    store: StoreArg,
    /// Print one JSON object {settled: ID}
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: Command) -> Outcome {
    match command {
        Command::List(List { store, json }) => list(&store.store, json),
        Command::Show(Show { id, store, json }) => show(&store.store, &id, json),
        Command::Resolve(Resolve { id, value, store, json }) => {
            let value = text::one_line(value.trim());
            RawValue::from_string(value.clone()).map_err(|error| {
                Failure::usage(format!("the value is not JSON: {error}; a text needs its quotes, such as '\"yes\"'"))
            })?;
            settle(&store.store, &id, Ok(value), json)
        }
        Command::Reject(Reject { id, message, store, json }) => {
            settle(&store.store, &id, Err(GuestError::new(ErrorCode::Failed, message)), json)
        }
        Command::Approve(Approve { decision }) => decide(decision, true),
        Command::Deny(Deny { decision }) => decide(decision, false),
    }
}

fn decide(decision: Decision, approved: bool) -> Outcome {
    let Decision { id, reason, by, store, json } = decision;
    let promise = pending(&store.store)?.into_iter().find(|promise| promise.id == id);
    if let Some(PendingPromise { kind, .. }) = promise.filter(|promise| promise.kind != PromiseKind::Approval) {
        let how =
            format!("{id} is no approval but of the kind {kind}; answer with: everstep promise resolve {id} JSON");
        return Err(Failure::usage(how));
    }
    let by = by.or_else(|| std::env::var("USER").ok()).filter(|by| !by.is_empty());
    let answer = serde_json::to_string(&Answer { approved, by, reason });
    let answer = answer.map_err(|error| Failure::io("cannot write JSON")(error.into()))?;
    settle(&store.store, &id, Ok(answer), json)
}

fn settle(place: &Place, id: &PromiseId, outcome: Result<String, GuestError>, json: bool) -> Outcome {
    let done = if outcome.is_ok() { "resolved" } else { "rejected" };
    let host = changing(place, &CacheArg::default())?;
    block_on(async { Ok(host.settle(id, outcome).await?) })?;
    if host.is_alone() {
        let (execution, option) = (&id.execution, place.option());
        complain(&format!(
            "no host runs on this store; the execution goes on with: everstep resume {execution}{option}"
        ));
    }
    if json {
        print_json(&json!({ "settled": id }))?
    } else {
        print(&format!("{done} {id}\n"))?
    }
    Ok(Exit::Done)
}

/// The promises that are settled from outside, oldest first.
fn pending(place: &Place) -> Result<Vec<PendingPromise>, Failure> {
    let reader = place.reader()?;
    block_on(async { Ok(reader.promises().await?) })
}

fn list(place: &Place, json: bool) -> Outcome {
    let promises = pending(place)?;
    if json {
        let promises: Vec<_> = promises.iter().map(Pending::of).collect();
        print_json(&BTreeMap::from([("promises", promises)]))?;
        return Ok(Exit::Done);
    }
    let (now_ms, mut cut) = (SystemClock.now_ms(), 0);
    let mut table = Table::new(&["ID", "KIND", "WAITS", "DEADLINE", "SUBJECT", "DATA"]);
    for promise in &promises {
        let PendingPromise { id, kind, created_ms, deadline_ms, .. } = promise;
        let (subject, data, missing) = brief(promise);
        cut += missing;
        table.row([
            id.to_string(),
            kind.to_string(),
            text::span(now_ms.saturating_sub(*created_ms)),
            deadline_ms.map(text::time).unwrap_or_default(),
            subject,
            data,
        ]);
    }
    print(&table.render())?;
    if cut > 0 {
        complain(&format!("{cut} bytes are left out; all of one: everstep promise show ID{}", place.option()));
    }
    Ok(Exit::Done)
}

/// What a promise is about and its data, in a row, and how many bytes were cut. The deciding arguments of a call are never cut.
pub(super) fn brief(promise: &PendingPromise) -> (String, String, usize) {
    let PendingPromise { kind, subject, data, .. } = promise;
    let marked = |(line, missing): (String, usize)| match missing {
        0 => (line, 0),
        _ => (format!("{line}... ({missing} bytes more)"), missing),
    };
    if *kind == PromiseKind::Approval {
        let call = Call::of(promise);
        let (rest, missing) = marked(call.rest(100));
        return (call.decides().to_owned(), rest, missing);
    }
    let (subject, left_out) = marked(text::cut(subject, 60));
    let (data, missing) = marked(text::cut(data.as_deref().unwrap_or_default(), 100));
    (subject, data, left_out + missing)
}

fn show(place: &Place, id: &PromiseId, json: bool) -> Outcome {
    let promises = pending(place)?;
    let promise = promises.iter().find(|promise| &promise.id == id).ok_or_else(|| {
        Failure::usage(format!("{id} waits for nobody; everstep promise list{} shows what does", place.option()))
    })?;
    if json {
        print_json(&Pending::of(promise))?;
        return Ok(Exit::Done);
    }
    let PendingPromise { id, kind, subject, data, schema, created_ms, deadline_ms } = promise;
    let mut shown = format!("promise   {id}\nkind      {kind}\ncreated   {}\n", text::time(*created_ms));
    let mut field = |name: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            shown.push_str(&format!("{name:<9} {}\n", text::line(value, usize::MAX)));
        }
    };
    field("deadline", deadline_ms.map(text::time).as_deref());
    if *kind == PromiseKind::Approval {
        shown.push_str(&format!("call\n{}\n", Call::of(promise).all()));
    } else {
        field("subject", Some(subject));
        field("data", data.as_deref());
        field("schema", schema.as_deref());
    }
    print(&shown)?;
    Ok(Exit::Done)
}

/// A promise for scripts.
#[derive(serde::Serialize)]
struct Pending<'a> {
    id: &'a PromiseId,
    kind: PromiseKind,
    subject: &'a str,
    data: Option<Box<RawValue>>,
    schema: Option<Box<RawValue>>,
    created_ms: u64,
    deadline_ms: Option<u64>,
    #[serde(skip_serializing_if = "Unreadable::is_empty")]
    unreadable: Unreadable,
}

impl<'a> Pending<'a> {
    fn of(promise: &'a PendingPromise) -> Self {
        let PendingPromise { id, kind, subject, data, schema, created_ms, deadline_ms } = promise;
        let mut unreadable = Unreadable::default();
        let data = unreadable.raw("data", data.as_deref());
        let schema = unreadable.raw("schema", schema.as_deref());
        Self { id, kind: *kind, subject, data, schema, created_ms: *created_ms, deadline_ms: *deadline_ms, unreadable }
    }
}
