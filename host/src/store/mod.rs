//! Where executions, their journals, promises and content-addressed bytes live.
//!
//! `Store` is the whole contract: one atomic, durable `commit` and a few reads. [`MemoryStore`] forgets with the process;
//! [`FileStore`] is SQLite in a folder. Group commit, barriers and the release of output stand above it, in
//! `crate::journal`; a store knows neither guests nor policies, and sees a journal as opaque bytes.
//!
//! Read `mod.rs` (the contract), then `memory.rs` (what it means), then `file/` (how it survives), and `error.rs`.

mod error;
mod file;
mod memory;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use file::FileStore;
pub use memory::MemoryStore;

use crate::guest_error::GuestError;
use crate::id::{Digest, ExecutionId, PromiseId};
use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// A store. All methods block: for a file store up to the time of a disk sync.
pub trait Store: Send + Sync + 'static {
    /// Applies all changes, in order, or none of them; when it returns they are durable.
    ///
    /// After `Error::Refused` none of them happened and the store goes on. After any other error nothing is known about
    /// the disk but that a reader will find all of the changes or none, and every later commit is `Error::Poisoned`.
    fn commit(&self, changes: &[Change]) -> Result<(), Error>;

    /// A key that no execution has, for `Change::Create`.
    fn fresh_key(&self) -> ExecutionKey;

    /// One execution by its id.
    fn execution(&self, id: &ExecutionId) -> Result<Option<Execution>, Error>;

    /// All executions, oldest first.
    fn executions(&self) -> Result<Vec<Execution>, Error>;

    /// The journal of an execution and the number of segments that hold it: what `Change::Append` appended, in order.
    fn journal(&self, key: ExecutionKey) -> Result<(Vec<u8>, u32), Error>;

    /// All pending promises that somebody outside may settle, oldest first.
    fn promises(&self) -> Result<Vec<PendingPromise>, Error>;

    /// Content-addressed bytes.
    fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error>;

    /// Whether a new process that opens this store finds what was committed.
    fn survives_the_process(&self) -> bool;
}

/// The store's own name for an execution; smaller than its id, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExecutionKey(pub u32);

/// One atomic change.
#[derive(Clone, Debug)]
pub enum Change {
    /// A new execution. Its id and its key must be free.
    Create(Box<Execution>),
    /// The next segment of a journal; `segment` counts from 0 without a gap.
    Append {
        /// Whose journal.
        key: ExecutionKey,
        /// The number of the segment.
        segment: u32,
        /// Whole records.
        bytes: Vec<u8>,
    },
    /// The new progress of an execution.
    Progress(ExecutionKey, Box<Progress>),
    /// Another component takes over an execution.
    Component(ExecutionKey, Digest),
    /// A promise of that execution, not pending before, that somebody outside may settle.
    Promise(ExecutionKey, Box<PendingPromise>),
    /// The promise with that number is no longer pending; settling one that is not pending changes nothing.
    Settled(ExecutionKey, u64),
    /// Content-addressed bytes; putting the same again changes nothing.
    Blob(Digest, Vec<u8>),
}

/// One execution, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Execution {
    /// The store's name for it.
    #[serde(skip)]
    pub key: ExecutionKey,
    /// The caller's name for it.
    pub id: ExecutionId,
    /// The component that runs.
    pub component: Digest,
    /// The policy it runs under, pinned.
    pub policy: Digest,
    /// The durable function.
    pub function: String,
    /// Its arguments, a JSON text.
    pub args: String,
    /// Where its randomness comes from.
    #[serde(skip)]
    pub seed: [u8; 32],
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// How far it is.
    #[serde(flatten)]
    pub progress: Progress,
}

/// What changes while an execution runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The state.
    pub state: State,
    /// What the function returned, a JSON text; set with `State::Completed`.
    pub result: Option<String>,
    /// Why it ended or halted; set with `State::Failed` and `State::Halted`.
    pub error: Option<Failure>,
    /// How many hosts have taken it up, counted from 1.
    pub attempts: u32,
    /// Steps recorded so far.
    pub steps: u64,
    /// CPU time used so far, in microseconds.
    pub cpu_us: u64,
    /// The last change, in milliseconds since the Unix epoch.
    pub updated_ms: u64,
}

/// The states of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A host runs it, or ran it when it died.
    Running,
    /// It waits for promises and no host needs to hold it.
    Suspended,
    /// The function returned a result. Final.
    Completed,
    /// The function returned an error or trapped. Final.
    Failed,
    /// Somebody canceled it. Final.
    Canceled,
    /// It cannot go on as it is (a divergence, a limit); `resume` tries again.
    Halted,
}

/// Why an execution failed or halted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The class of the failure.
    pub kind: FailureKind,
    /// What happened and what to do.
    pub message: String,
}

/// The classes of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The function returned this error.
    Returned(crate::guest_error::ErrorCode),
    /// The guest trapped or panicked.
    Trap,
    /// The replayed guest did something else than what is recorded.
    Divergence,
    /// A limit of the policy ended it.
    Limit,
    /// Whether something was done cannot be told by the host that took it up.
    InDoubt,
    /// The journal cannot be read.
    Corrupted,
}

/// A pending promise that somebody outside may settle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingPromise {
    /// Its durable id.
    pub id: PromiseId,
    /// What kind of promise it is: `input`, `promise` or `request`.
    pub kind: String,
    /// What is asked: the prompt, the data, or the capability.
    pub subject: String,
    /// The JSON text shown to whoever settles it.
    pub data: Option<String>,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When it is rejected as timed out, in milliseconds since the Unix epoch.
    pub deadline_ms: Option<u64>,
}

impl Progress {
    /// The progress of an execution that starts now.
    pub fn starting(now_ms: u64) -> Self {
        let (state, steps, cpu_us) = (State::Running, 0, 0);
        Self { state, result: None, error: None, attempts: 1, steps, cpu_us, updated_ms: now_ms }
    }
}

impl State {
    /// Whether nothing can happen any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Canceled)
    }

    /// The name that is stored and printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Suspended => "suspended",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Halted => "halted",
        }
    }
}

impl FromStr for State {
    type Err = serde::de::value::Error;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::deserialize(name.into_deserializer())
    }
}

impl From<GuestError> for Failure {
    fn from(error: GuestError) -> Self {
        Self { kind: FailureKind::Returned(error.code), message: error.message }
    }
}
