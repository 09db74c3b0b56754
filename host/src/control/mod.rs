//! The control socket: how another process reaches the host that has a store.
//!
//! A host serves `host.sock` in the folder of its store (`server`), and `everstep cancel` and `everstep promise` connect to it
//! (`client`). One request is one line of JSON, and so is its response:
//!
//! ```text
//! {"settle": {"promise": "order-7.3", "ok": {"publish": true}}}     {"ok": true}
//! {"settle": {"promise": "order-7.3", "error": {"code": "failed", "message": "no"}}}
//! {"cancel": "order-7"}                                             {"error": {"kind": "ended", "message": "..."}}
//! ```

mod client;
mod server;
#[cfg(test)]
mod tests;

pub(crate) use client::{Error, request};
pub(crate) use server::Server;

use everstep::{ExecutionId, GuestError, PromiseId};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

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
    Ok(bool),
    /// Nothing was changed.
    Error(Refusal),
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
