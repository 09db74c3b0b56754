//! Describes the results of executions, for people and for scripts.

use super::{Exit, Failure, text};
use everstep::store::{self, Execution, FailureKind, State};
use everstep::{ExecutionId, Reader, Report, json};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The object that `run --json` prints.
#[derive(Serialize)]
pub(crate) struct Summary {
    id: ExecutionId,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wall_ms: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waits_for: Vec<Halted>,
    #[serde(skip_serializing_if = "Unreadable::is_empty")]
    unreadable: Unreadable,
}

impl Summary {
    pub(crate) async fn of(report: &Report, reader: &Reader) -> Self {
        let mut unreadable = Unreadable::default();
        Self {
            id: report.id.clone(),
            state: Some(report.state),
            result: unreadable.raw("result", report.result.as_deref()),
            error: report.error.as_ref().map(error),
            steps: Some(report.steps),
            replayed: Some(report.replayed),
            wall_ms: Some(u64::try_from(report.wall.as_millis()).unwrap_or(u64::MAX)),
            waits_for: Halted::of(&halted_below(reader, &report.id, report.state).await),
            unreadable,
        }
    }

    /// An execution that the host could not run.
    pub(crate) fn failed(id: ExecutionId, failure: &Failure) -> Self {
        let error = Some(json!({ "kind": failure.kind, "message": failure.message }));
        let unreadable = Unreadable::default();
        let waits_for = Vec::new();
        Self { id, state: None, result: None, error, steps: None, replayed: None, wall_ms: None, waits_for, unreadable }
    }
}

/// The reasons that parts of an object are null, by their names: JSON texts that an earlier build accepted, and that would keep a program
/// from reading the object.
#[derive(Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Unreadable(BTreeMap<&'static str, String>);

impl Unreadable {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A JSON text as it is; `None`, with the reason noted, if programs could not read it.
    pub(crate) fn raw(&mut self, name: &'static str, text: Option<&str>) -> Option<Box<RawValue>> {
        let text = text::one_line(text?);
        let raw = json::check_depth(&text).and_then(|()| Ok(RawValue::from_string(text)?));
        raw.map_err(|error| self.0.insert(name, error.to_string())).ok()
    }
}

/// `{"kind": "trap", "message": ...}`; with its code for an error that the function returned.
pub(crate) fn error(failure: &store::Failure) -> Value {
    match failure.kind {
        FailureKind::Returned(code) => json!({ "kind": "returned", "code": code, "message": failure.message }),
        kind => json!({ "kind": kind, "message": failure.message }),
    }
}

/// The same as text; the message may be the guest's, so it is escaped.
pub(crate) fn error_text(failure: &store::Failure) -> String {
    let message = multiline(&failure.message);
    match failure.kind {
        FailureKind::Returned(code) => format!("{code}: {message}"),
        FailureKind::Trap => format!("trap: {message}"),
        FailureKind::Divergence => format!("divergence: {message}"),
        FailureKind::Limit => format!("limit: {message}"),
        FailureKind::InDoubt => format!("in doubt: {message}"),
        FailureKind::Corrupted => format!("corrupted: {message}"),
        FailureKind::Load => format!("cannot be run: {message}"),
        FailureKind::TimedOut => format!("timed out: {message}"),
        FailureKind::Moved => message,
    }
}

/// A halted execution that another one has called, and waits for in vain, or has done so.
#[derive(Serialize)]
pub(crate) struct Halted {
    id: ExecutionId,
    state: State,
    error: Option<Value>,
}

impl Halted {
    pub(crate) fn of(executions: &[Execution]) -> Vec<Self> {
        let halted = executions.iter().map(|one| Self {
            id: one.id.clone(),
            state: one.state,
            error: one.progress.error.as_ref().map(error),
        });
        halted.collect()
    }
}

/// The halted executions that `id` has called; none if `id` has its result, or if the store cannot be read, which is reported
/// elsewhere.
pub(crate) async fn halted_below(reader: &Reader, id: &ExecutionId, state: State) -> Vec<Execution> {
    let asks = matches!(state, State::Suspended | State::Running | State::Failed | State::Canceled);
    if asks { reader.halted_below(id).await.unwrap_or_default() } else { Vec::new() }
}

/// A halted execution as text.
pub(crate) fn halted_text(halted: &Execution) -> String {
    let error = halted.progress.error.as_ref().map(error_text).unwrap_or_default();
    match halted.state {
        State::Halted => format!("{}, which halted: {error}", halted.id),
        state => format!("{}, which halted and is {} by now: {error}", halted.id, state.name()),
    }
}

/// A note that a caller waits for a halted execution, and what can be done.
pub(crate) fn waits_in_vain(halted: &Execution, option: &str) -> String {
    let (id, text) = (&halted.id, halted_text(halted));
    let caller = id.parent().map_or_else(String::new, |call| call.execution.to_string());
    format!(
        "{caller} waits for {text}\n  once the cause is gone it goes on with: everstep resume {id}{option}\n  give it up with: everstep cancel {id}{option}"
    )
}

/// A message of several lines, indented.
fn multiline(message: &str) -> String {
    let lines: Vec<_> = message.trim_end().lines().map(|line| text::line(line, 4_000)).collect();
    lines.join("\n  ")
}

/// The line of `resume` for one of several executions.
pub(crate) fn line(report: &Report) -> String {
    let told = match (&report.result, &report.error) {
        (Some(result), _) => text::line(&text::json(result), 200),
        (None, Some(error)) => error_text(error),
        (None, None) => format!("{} steps", report.steps),
    };
    format!("{}  {}  {told}", report.id, report.state.name())
}

/// The note of `run` on an execution without a result, with what to do next.
pub(crate) fn unfinished(report: &Report, option: &str) -> Option<String> {
    let id = &report.id;
    let error = report.error.as_ref().map(error_text).unwrap_or_default();
    match report.state {
        State::Completed => None,
        State::Failed => Some(format!("execution {id} failed: {error}")),
        State::Canceled => Some(format!("execution {id} was canceled")),
        State::Halted => Some(format!(
            "execution {id} halted: {error}\nonce the cause is gone it goes on with: everstep resume {id}{option}"
        )),
        State::Pending | State::Suspended | State::Running => {
            Some(format!("execution {id} is suspended; it goes on with: everstep resume {id}{option}"))
        }
    }
}

/// The exit code of one execution, whether it ran or not.
pub(crate) fn exit(outcome: &Result<Report, Failure>) -> Exit {
    outcome.as_ref().map_or_else(|failure| failure.exit, Exit::of)
}
