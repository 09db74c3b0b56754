//! Where executions, their journals, promises and content-addressed bytes live.
//!
//! `Store` is the whole contract: one atomic, durable `commit` and a few reads. [`MemoryStore`] forgets with the process;
//! [`FileStore`] is SQLite in a folder. Promises, tasks and schedules (`record`) change through operations (`operation`), whose
//! rules `machine` holds for every store alike. An execution is a promise with a task, and a journal beside it. Group commit,
//! barriers and the release of output stand above, in `crate::journal`; a store knows neither guests nor policies, and sees a journal
//! as opaque bytes.
//!
//! Read `mod.rs` (the contract), `record.rs`, `operation.rs` and `query.rs`, then `machine/`, `memory/`, `file/` (how it survives), `error.rs`.

mod blob;
mod cron;
mod error;
mod file;
mod invocation;
mod machine;
mod memory;
pub mod operation;
mod query;
pub mod record;
#[cfg(test)]
mod tests;

pub use blob::Blob;
pub use error::Error;
pub use file::FileStore;
pub(crate) use invocation::DETACHED;
pub use invocation::{Asked, Invocation, Kinship, PendingPromise};
pub(crate) use invocation::{outcome_of, value_of};
pub use memory::MemoryStore;
pub use query::{Order, Part, Place, Query};

use crate::guest_error::GuestError;
use crate::id::{Digest, ExecutionId};
use bytes::Bytes;
use operation::{Answer, Event, Operation};
use record::{Promise, Schedule, Task};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// A store. All methods block: for a file store up to the time of a disk sync.
pub trait Store: Send + Sync + 'static {
    /// Applies all changes, in order, or none of them; when it returns they are durable. What the operations among them came to
    /// is returned in their order.
    ///
    /// After `Error::Refused` none of them happened and the store goes on. After any other error nothing is known about
    /// the disk but that a reader will find all of the changes or none, and every later commit is `Error::Poisoned`.
    fn commit(&self, changes: &[Change]) -> Result<Vec<Applied>, Error>;

    /// A key that no execution has, for `Change::Create`.
    fn fresh_key(&self) -> ExecutionKey;

    /// One execution by its id.
    fn execution(&self, id: &ExecutionId) -> Result<Option<Execution>, Error>;

    /// All executions at once, oldest first. [`list`](Self::list) is the way through a store of any size.
    fn executions(&self) -> Result<Vec<Execution>, Error>;

    /// The next executions of a list, at most `limit`, at least one. Both stores of this library find them by an index, and look at no
    /// other execution; with [`Query::function`] at those before them.
    fn list(&self, query: &Query, limit: usize) -> Result<Part, Error> {
        Ok(Part::among(self.executions()?, query, limit))
    }

    /// The first hundred executions, ordered by id, that one has called, directly or not, and that have halted and were not resumed since:
    /// they stand still, or failed or were canceled that way.
    fn halted_below(&self, id: &ExecutionId) -> Result<Vec<Execution>, Error>;

    /// The journal of an execution and the number of segments that hold it: what `Change::Append` appended, in order.
    fn journal(&self, key: ExecutionKey) -> Result<(Vec<u8>, u32), Error>;

    /// The next part of a journal, whole segments of about a MiB, and where the part after it begins. An empty part is the end for now.
    fn journal_part(&self, key: ExecutionKey, at: JournalPlace) -> Result<(Vec<u8>, JournalPlace), Error> {
        let (mut journal, segment) = self.journal(key)?;
        let part = journal.split_off(journal.len().min(at.offset));
        let offset = at.offset + part.len();
        Ok((part, JournalPlace { segment, offset }))
    }

    /// A promise as it is stored, and its task. A deadline that has passed shows once an operation has applied it.
    fn promise(&self, id: &str) -> Result<Option<(Promise, Option<Task>)>, Error>;

    /// All pending promises that somebody outside may settle, oldest first.
    fn promises(&self) -> Result<Vec<PendingPromise>, Error>;

    /// What a root and all that belongs to it have made and computed.
    fn lineage(&self, root: &ExecutionId) -> Result<Lineage, Error>;

    /// The ids of the pending tasks, in order.
    fn offers(&self) -> Result<Vec<String>, Error>;

    /// The ids of the pending tasks among an execution and all that it has called, in order.
    fn offers_within(&self, id: &ExecutionId) -> Result<Vec<String>, Error> {
        let within = |offer: &String| offer.parse().is_ok_and(|offer: ExecutionId| offer.is_within(id));
        Ok(self.offers()?.into_iter().filter(within).collect())
    }

    /// The ids and versions of the acquired tasks, in order.
    fn held(&self) -> Result<Vec<(String, u64)>, Error>;

    /// All schedules, ordered by id.
    fn schedules(&self) -> Result<Vec<Schedule>, Error>;

    /// When the next deadline passes, lease ends or schedule fires, in milliseconds since the Unix epoch.
    fn next_due(&self) -> Result<Option<u64>, Error>;

    /// Content-addressed bytes.
    fn blob(&self, digest: &Digest) -> Result<Option<Bytes>, Error>;

    /// Whether there are bytes of that digest, without a look at them.
    fn has_blob(&self, digest: &Digest) -> Result<bool, Error>;

    /// Whether a new process that opens this store finds what was committed.
    fn survives_the_process(&self) -> bool;

    /// One operation in a commit of its own, at a time in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// As [`commit`](Self::commit). A refusal is an answer.
    fn operate(&self, now_ms: u64, operation: Operation) -> Result<Applied, Error> {
        let mut applied = self.commit(&[Change::operation(now_ms, operation)])?;
        let lost = || Error::Poisoned("a commit did not say what an operation came to".to_owned());
        applied.pop().ok_or_else(lost)
    }
}

/// The store's own name for an execution; smaller than its id, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExecutionKey(pub u32);

/// A place between two segments of a journal; the default is its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalPlace {
    /// Segments before it.
    pub segment: u32,
    /// Bytes before it.
    pub offset: usize,
}

/// One atomic change.
#[derive(Clone, Debug)]
pub enum Change {
    /// An operation on promises, tasks or schedules.
    Operation {
        /// When it happens, in milliseconds since the Unix epoch.
        now_ms: u64,
        /// What is asked.
        operation: Box<Operation>,
        /// Changes that happen only if it is not refused, and, if it claims a task, only if the caller holds the task then. No
        /// operations.
        then: Vec<Change>,
    },
    /// What is kept of an execution beside the promise with its id, which has a task. Its id and its key must be free.
    Create(Box<NewExecution>),
    /// The next segment of a journal; `segment` counts from 0 without a gap.
    Append {
        /// Whose journal.
        key: ExecutionKey,
        /// The number of the segment.
        segment: u32,
        /// Whole records.
        bytes: Vec<u8>,
    },
    /// How far an execution is.
    Progress(ExecutionKey, Box<Progress>),
    /// Another component takes over an execution.
    Component(ExecutionKey, Digest),
    /// Content-addressed bytes; putting the same again changes nothing.
    Blob(Digest, Blob),
}

/// What an operation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// What the caller learns.
    pub answer: Answer,
    /// What happened beside that, in order.
    pub events: Vec<Event>,
}

/// What a store keeps of an execution beside its promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewExecution {
    /// The store's name for it.
    pub key: ExecutionKey,
    /// The caller's name for it, and the id of its promise.
    pub id: ExecutionId,
    /// The component that runs.
    pub component: Digest,
    /// The policy it runs under, pinned.
    pub policy: Digest,
    /// Where its randomness comes from.
    pub seed: [u8; 32],
}

/// One execution, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Execution {
    /// The store's name for it; none until a host has taken it up for the first time.
    #[serde(skip)]
    pub key: Option<ExecutionKey>,
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
    /// When it fails unless it has ended, in milliseconds since the Unix epoch.
    pub deadline_ms: Option<u64>,
    /// Where it stands.
    pub state: State,
    /// How many times a host has taken it up; the version of its task.
    pub attempts: u64,
    /// What the function returned, a JSON text; set with `State::Completed`.
    pub result: Option<String>,
    /// How far it is.
    #[serde(flatten)]
    pub progress: Progress,
}

/// What changes while an execution runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Why it ended or halted; set with `State::Failed` and `State::Halted`.
    pub error: Option<Failure>,
    /// Steps recorded so far.
    pub steps: u64,
    /// CPU time used so far, in microseconds.
    pub cpu_us: u64,
    /// The last change, in milliseconds since the Unix epoch.
    pub updated_ms: u64,
}

/// What a root and all that it has called or detached, directly or not, have made and computed so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// Executions, the root among them.
    pub executions: u64,
    /// Promises that they have made for others to settle: questions, and calls.
    pub promises: u64,
    /// CPU time, in microseconds.
    pub cpu_us: u64,
}

/// The states of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// No host has it: it is new, or what it waited for is there.
    Pending,
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
    /// The host could not start it: something that it needs is missing.
    Load,
    /// The deadline of the execution, or of one that it was called by, has passed.
    TimedOut,
}

impl Execution {
    /// Whether nobody runs it, and nobody will by himself.
    pub(crate) fn stands_still_or_ended(&self) -> bool {
        self.state == State::Halted || self.state.is_final() && self.state != State::Completed
    }
}

impl State {
    /// Every state, in the order in which an execution may pass them.
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Running, Self::Suspended, Self::Halted, Self::Completed, Self::Failed, Self::Canceled];

    /// Whether nothing can happen any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Canceled)
    }

    /// The name that is stored and printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
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
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|state| state.name() == name);
        found.ok_or_else(|| format!("there is no such state; an execution is {}", known()))
    }
}

impl Change {
    /// An operation that nothing depends on.
    pub fn operation(now_ms: u64, operation: Operation) -> Self {
        Self::Operation { now_ms, operation: Box::new(operation), then: Vec::new() }
    }
}

impl Applied {
    /// Whether the changes that depend on the operation happen.
    fn carries(&self) -> bool {
        match &self.answer {
            Ok(operation::Reply::Claimed { task, .. }) => task.state == record::TaskState::Acquired,
            answer => answer.is_ok(),
        }
    }
}

impl From<GuestError> for Failure {
    fn from(error: GuestError) -> Self {
        Self { kind: FailureKind::Returned(error.code), message: error.message }
    }
}
