//! `everstep promise`.

use super::cancel::{By, change};
use super::place::{Place, StoreArg};
use super::text::{self, Table};
use super::{Exit, Failure, Outcome, complain, print, print_json, report};
use crate::control::{Request, Settle, one_line};
use everstep::clock::{Clock, SystemClock};
use everstep::store::PendingPromise;
use everstep::{ErrorCode, GuestError, PromiseId};
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// List and settle what executions wait for
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    List(List),
    Resolve(Resolve),
    Reject(Reject),
}

/// List the promises that wait for somebody, oldest first
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  everstep promise list\n  everstep promise list --json | jq -r '.promises[].id'")]
pub(crate) struct List {
    #[command(flatten)]
    store: StoreArg,
    /// Print one JSON object {promises: [{id, kind, subject, data, schema, created_ms, deadline_ms}]}
    #[arg(long)]
    json: bool,
}

/// Resolve a promise with a JSON value
///
/// If a host runs on the store, the execution goes on at once, else at the next `everstep resume`. The same value again is no error. A
/// value that does not fit the promise's schema is refused, and the promise stays open.
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
    /// Why
    #[arg(default_value = "rejected")]
    message: String,
    #[command(flatten)]
    store: StoreArg,
    /// Print one JSON object {settled: ID}
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: Command) -> Outcome {
    match command {
        Command::List(List { store, json }) => list(&store.store, json),
        Command::Resolve(Resolve { id, value, store, json }) => {
            let value = one_line(value.trim());
            let ok = RawValue::from_string(value).map_err(|error| {
                Failure::usage(format!("the value is not JSON: {error}; a text needs its quotes, such as '\"yes\"'"))
            })?;
            settle(&store.store, Settle { promise: id, ok: Some(ok), error: None }, json)
        }
        Command::Reject(Reject { id, message, store, json }) => {
            let error = Some(GuestError::new(ErrorCode::Failed, message));
            settle(&store.store, Settle { promise: id, ok: None, error }, json)
        }
    }
}

fn settle(place: &Place, settle: Settle, json: bool) -> Outcome {
    let id = settle.promise.clone();
    let done = if settle.ok.is_some() { "resolved" } else { "rejected" };
    let (_, by) = change(place, Request::Settle(settle))?;
    if by == By::Us {
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

fn list(place: &Place, json: bool) -> Outcome {
    let promises = place.reader()?.promises()?;
    if json {
        let promises: Vec<_> = promises.iter().map(Pending::of).collect();
        print_json(&BTreeMap::from([("promises", promises)]))?;
        return Ok(Exit::Done);
    }
    let now_ms = SystemClock.now_ms();
    let mut table = Table::new(&["ID", "KIND", "WAITS", "DEADLINE", "SUBJECT", "DATA"]);
    for PendingPromise { id, kind, subject, data, created_ms, deadline_ms, .. } in &promises {
        table.row([
            id.to_string(),
            kind.clone(),
            text::span(now_ms.saturating_sub(*created_ms)),
            deadline_ms.map(text::time).unwrap_or_default(),
            text::line(subject, 60),
            text::line(data.as_deref().unwrap_or_default(), 100),
        ]);
    }
    print(&table.render())?;
    Ok(Exit::Done)
}

/// A promise for scripts.
#[derive(serde::Serialize)]
struct Pending<'a> {
    id: &'a PromiseId,
    kind: &'a str,
    subject: &'a str,
    data: Option<Box<RawValue>>,
    schema: Option<Box<RawValue>>,
    created_ms: u64,
    deadline_ms: Option<u64>,
}

impl<'a> Pending<'a> {
    fn of(promise: &'a PendingPromise) -> Self {
        let PendingPromise { id, kind, subject, data, schema, created_ms, deadline_ms } = promise;
        let (data, schema) = (data.as_deref().and_then(report::raw), schema.as_deref().and_then(report::raw));
        Self { id, kind, subject, data, schema, created_ms: *created_ms, deadline_ms: *deadline_ms }
    }
}
