//! What executions came to, for people and for scripts.

use super::{Exit, Failure, text};
use crate::control::one_line;
use everstep::store::{self, FailureKind, State};
use everstep::{ExecutionId, Report};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

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
}

impl Summary {
    pub(crate) fn of(report: &Report) -> Self {
        Self {
            id: report.id.clone(),
            state: Some(report.state),
            result: report.result.as_deref().and_then(raw),
            error: report.error.as_ref().map(error),
            steps: Some(report.steps),
            replayed: Some(report.replayed),
            wall_ms: Some(u64::try_from(report.wall.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    /// An execution that the host could not run.
    pub(crate) fn failed(id: ExecutionId, failure: &Failure) -> Self {
        let error = Some(json!({ "kind": failure.kind, "message": failure.message }));
        Self { id, state: None, result: None, error, steps: None, replayed: None, wall_ms: None }
    }
}

/// A JSON text as it is; none if it is not JSON, which no store holds.
pub(crate) fn raw(json: &str) -> Option<Box<RawValue>> {
    RawValue::from_string(one_line(json)).ok()
}

/// `{"kind": "trap", "message": ...}`, and for an error that the function returned its code.
pub(crate) fn error(failure: &store::Failure) -> Value {
    match failure.kind {
        FailureKind::Returned(code) => json!({ "kind": "returned", "code": code, "message": failure.message }),
        kind => json!({ "kind": kind, "message": failure.message }),
    }
}

/// The same in words; the message may be the guest's, so it is escaped.
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
    }
}

/// Several lines may say more than one; they are indented.
fn multiline(message: &str) -> String {
    let lines: Vec<_> = message.trim_end().lines().map(|line| text::line(line, 4_000)).collect();
    lines.join("\n  ")
}

/// One line of `resume` about one of several executions.
pub(crate) fn line(report: &Report) -> String {
    let told = match (&report.result, &report.error) {
        (Some(result), _) => text::line(&text::json(result), 200),
        (None, Some(error)) => error_text(error),
        (None, None) => format!("{} steps", report.steps),
    };
    format!("{}  {}  {told}", report.id, report.state.name())
}

/// What `run` says about an execution without a result, and what to do next.
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

/// The exit code of one execution, run or not.
pub(crate) fn exit(outcome: &Result<Report, Failure>) -> Exit {
    outcome.as_ref().map_or_else(|failure| failure.exit, Exit::of)
}
