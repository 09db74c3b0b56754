//! The control socket: how another process reaches the host that has a store.
//!
//! A host serves `host.sock` in the folder of its store (`server`), and `everstep cancel` and `everstep promise` connect to it
//! (`client`). One request is one line of JSON, and so is its response:
//!
//! ```text
//! {"settle": {"promise": "order-7.3", "ok": {"publish": true}}}     {"ok": "done"}
//! {"settle": {"promise": "order-7.3", "error": {"code": "failed", "message": "no"}}}
//! {"cancel": "order-7"}                                             {"ok": {"had-ended": "completed"}}
//! {"cancel": "order-8"}                                             {"ok": {"uncleaned": [["order-8", "..."]]}}
//! {"cancel": "nobody"}                                              {"error": {"kind": "unknown-execution", "message": "..."}}
//! ```

mod client;
mod server;
#[cfg(test)]
mod tests;

pub(crate) use client::{Error, request};
pub(crate) use server::Server;

use crate::cli::Failure;
use everstep::store::State;
use everstep::{Cancellation, Everstep, ExecutionId, GuestError, Policy, PromiseId, Run};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest line, request or response, in bytes.
const LONGEST_LINE: u64 = 16 << 20;
const NAME: &str = "host.sock";

/// What a host is asked to do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Request {
    /// Settle a promise that waits for somebody outside.
    Settle(Settle),
    /// End an execution.
    Cancel(ExecutionId),
    /// Create a schedule.
    Schedule(Box<Schedule>),
    /// Delete a schedule.
    Unschedule(String),
}

/// A schedule to be created: what it calls, with everything that this needs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Schedule {
    pub(crate) id: String,
    pub(crate) cron: String,
    /// The file with the component: the host reads it itself.
    pub(crate) component: PathBuf,
    /// In its canonical form.
    pub(crate) policy: String,
    pub(crate) function: String,
    pub(crate) args: String,
    /// Whether missed firings are made up for.
    pub(crate) catches_up: bool,
    pub(crate) timeout_ms: Option<u64>,
}

/// A promise and its outcome: exactly one of `ok` and `error`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settle {
    pub(crate) promise: PromiseId,
    /// A JSON value, `null` included.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) ok: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<GuestError>,
}

/// What the host says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Response {
    /// It is done, durably.
    Ok(Done),
    /// Nothing was changed.
    Error(Refusal),
}

/// What came of a request that was not refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Done {
    /// It is done.
    AsAsked,
    /// The execution had ended in that state, so there was nothing to do.
    HadEnded(State),
    /// It is canceled, and these executions could not clean up; each with the cause.
    Uncleaned(Vec<(ExecutionId, String)>),
}

/// Does what is asked.
pub(crate) async fn carry_out(host: &Everstep, request: Request) -> Result<Done, Refusal> {
    let refused = |error: everstep::Error| {
        let Failure { kind, message, .. } = Failure::from(&error);
        Refusal { kind: kind.into_owned(), message }
    };
    match request {
        Request::Settle(settle) => {
            let promise = settle.promise.clone();
            host.settle(&promise, settle.outcome()?).await.map_err(refused)?;
            Ok(Done::AsAsked)
        }
        Request::Schedule(schedule) => {
            let Schedule { id, cron, component, policy, function, args, catches_up, timeout_ms } = *schedule;
            // Off the threads that everything else runs on: a disk may be far away.
            let reader = host.clone();
            let shown = everstep::visible::path(&component);
            let opened = tokio::task::spawn_blocking(move || reader.component(&component)).await;
            let opened = opened.map_err(|lost| Refusal::request(lost.to_string()))?;
            let unreadable = |error| Refusal::request(format!("cannot read the component {shown}: {error}"));
            let component = opened.map_err(unreadable)?;
            let policy = Policy::from_canonical(&policy).map_err(|error| refused(error.into()))?;
            let run = Run::new(component, function, args, policy);
            let run = timeout_ms.map(Duration::from_millis).into_iter().fold(run, Run::within);
            host.schedule(&id, &cron, run, catches_up).await.map_err(refused)?;
            Ok(Done::AsAsked)
        }
        Request::Unschedule(id) => {
            host.unschedule(&id).await.map_err(refused)?;
            Ok(Done::AsAsked)
        }
        Request::Cancel(id) => match host.cancel(&id).await.map_err(refused)? {
            Cancellation::Canceled => Ok(Done::AsAsked),
            Cancellation::Uncleaned(executions) => Ok(Done::Uncleaned(executions)),
            Cancellation::HadEnded(state) => Ok(Done::HadEnded(state)),
        },
    }
}

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) kind: String,
    pub(crate) message: String,
}

/// A value that is there, be it `null`; an `Option` alone would take `null` for nothing.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

impl Settle {
    /// The outcome of the promise.
    pub(crate) fn outcome(self) -> Result<Result<String, GuestError>, Refusal> {
        match (self.ok, self.error) {
            (Some(json), None) => Ok(Ok(json.get().to_owned())),
            (None, Some(error)) => Ok(Err(error)),
            _ => Err(Refusal::request("`settle` takes either `ok` or `error`")),
        }
    }
}

impl Refusal {
    fn request(message: impl Into<String>) -> Self {
        Self { kind: "request".to_owned(), message: message.into() }
    }
}

/// The address of the socket of a store. A path of a socket is limited to 108 bytes, so it leads through an open handle of the
/// folder, which must live as long as the address is used.
struct Address {
    path: PathBuf,
    _dir: File,
}

impl Address {
    fn of(store: &Path) -> io::Result<Self> {
        let dir = File::open(store)?;
        let handle = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()));
        // Without /proc the path has to be short enough.
        let path = if handle.is_dir() { handle.join(NAME) } else { store.join(NAME) };
        Ok(Self { path, _dir: dir })
    }
}

/// A JSON text on one line: between its tokens a line end is as good as a space, and within a string there is none.
pub(crate) fn one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}
