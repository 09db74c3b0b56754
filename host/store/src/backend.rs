//! The basis of an embedded store: one atomic, durable `commit` and a few reads.

use super::operation::{self, Answer, Event, Operation, Refusal, Status};
use super::peers::Peers;
use super::record::{self, Promise, Schedule, Task};
use super::{Blob, Error, Execution, Lineage, Part, PendingPromise, Progress, Query, State, embedded};
use bytes::Bytes;
use everstep_words::id::{Digest, ExecutionId};

/// Tables that one host owns, or shares with its [`peers`](Self::peers). All methods block: those of a store in a folder for up to the time
/// of a disk sync.
pub trait Backend: Send + Sync + 'static {
    /// Applies all changes, in order, or none of them; when it returns they are durable. Returns the results of the operations
    /// among them, in their order.
    ///
    /// After `Error::Refused` none of them was applied and further commits are possible. After any other error the state of the disk
    /// is unknown, except that a reader will find all of the changes or none; every later commit is `Error::Poisoned`.
    fn commit(&self, changes: &[Change]) -> Result<Vec<Applied>, Error>;

    /// The same; may call `foretell` once with the results, as soon as nothing but a failure of the disk can prevent them.
    fn commit_foretold(&self, changes: &[Change], foretell: &mut dyn FnMut(&[Applied])) -> Result<Vec<Applied>, Error> {
        let _ = foretell;
        self.commit(changes)
    }

    /// A key that no execution has, for `Change::Create`.
    ///
    /// # Errors
    /// The tables cannot be read.
    fn fresh_key(&self) -> Result<ExecutionKey, Error>;

    /// The other hosts of these tables; `None` if they cannot be shared.
    fn peers(&self) -> Option<&dyn Peers> {
        None
    }

    /// One execution by its id.
    fn execution(&self, id: &ExecutionId) -> Result<Option<Execution>, Error>;

    /// All executions at once, oldest first. For a store of any size, use [`list`](Self::list).
    fn executions(&self) -> Result<Vec<Execution>, Error>;

    /// The next executions of a list, at most `limit`, at least one. Both stores of this library find them by an index, and read no
    /// other execution; with [`Query::function`] they read those before them, too.
    fn list(&self, query: &Query, limit: usize) -> Result<Part, Error> {
        Ok(Part::among(self.executions()?, query, limit))
    }

    /// The first hundred executions, ordered by id, that `id` has called, directly or not, and that have halted and were not resumed
    /// since, including those that failed or were canceled after they had halted.
    fn halted_below(&self, id: &ExecutionId) -> Result<Vec<Execution>, Error>;

    /// The journal of an execution and the number of segments that hold it: what `Change::Append` appended, in order.
    fn journal(&self, key: ExecutionKey) -> Result<(Vec<u8>, u32), Error>;

    /// The same with its seal.
    fn sealed_journal(&self, key: ExecutionKey) -> Result<SealedJournal, Error>;

    /// The secret that binds journals to these tables, always the same; `None` if there is none: nobody else can change the tables, or they
    /// are open for reading only and the secret cannot be read.
    fn secret(&self) -> Option<[u8; 32]>;

    /// The next part of a journal, whole segments of about a MiB, and where the part after it begins. An empty part is the end for now.
    fn journal_part(&self, key: ExecutionKey, at: JournalPlace) -> Result<(Vec<u8>, JournalPlace), Error> {
        let (mut journal, segment) = self.journal(key)?;
        let part = journal.split_off(journal.len().min(at.offset));
        let offset = at.offset + part.len();
        Ok((part, JournalPlace { segment, offset }))
    }

    /// A promise as it is stored, and its task. A deadline that has passed shows once an operation has applied it.
    fn promise(&self, id: &str) -> Result<Option<(Promise, Option<Task>)>, Error>;

    /// Whether a task is held in that version: it is acquired, or was when its promise was settled.
    fn holds(&self, id: &str, version: u64) -> Result<bool, Error> {
        let task = self.promise(id)?.and_then(|(_, task)| task);
        Ok(task.is_some_and(|task| embedded::holds(task.state, task.version, version)))
    }

    /// All pending promises that are settled from outside, oldest first.
    fn promises(&self) -> Result<Vec<PendingPromise>, Error>;

    /// What a root and its lineage have created and computed.
    fn lineage(&self, root: &ExecutionId) -> Result<Lineage, Error>;

    /// The ids of the pending tasks, in order.
    fn offers(&self) -> Result<Vec<String>, Error>;

    /// The ids of the pending tasks, among `id` and everything that it has called, in order.
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

    /// Whether there are bytes of that digest, without reading them.
    fn has_blob(&self, digest: &Digest) -> Result<bool, Error>;

    /// How many executions there are in each state, those that workers in other languages run among them.
    fn census(&self) -> Result<Vec<(State, u64)>, Error> {
        Ok(self.executions()?.into_iter().map(|execution| (execution.state, 1)).collect())
    }

    /// The bytes that the store takes on the disk; `None` if it has none there.
    fn size(&self) -> Option<u64> {
        None
    }

    /// Whether a new process that opens this store finds what was committed.
    fn survives_the_process(&self) -> bool;

    /// Does one operation in a commit of its own, at a time in milliseconds since the Unix epoch.
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

/// A journal and what binds it to its execution, as of one moment; the default is that of an execution without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealedJournal {
    /// All of it.
    pub bytes: Vec<u8>,
    /// How many segments hold it.
    pub segments: u32,
    /// The seal of the last [`Change::Append`], which has 32 bytes if it is one; `None` if that had none.
    pub seal: Option<Vec<u8>>,
}

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
        /// The operation.
        operation: Box<Operation>,
        /// Changes that are applied only if the operation is not refused and, if it claims a task, only if the caller then
        /// holds the task. No operations.
        then: Vec<Change>,
    },
    /// Changes of the holder of a task: applied only if the task is held in that version. Counts as an operation, before those
    /// among the changes; its answer is `Reply::Done`, or a conflict, in which case nothing is applied and each operation has the
    /// same answer.
    Fenced {
        /// The task.
        id: String,
        /// The version that the caller holds.
        version: u64,
        /// The changes.
        changes: Vec<Change>,
    },
    /// What is kept of an execution beside its promise, which has the same id and a task. The id and the key must be
    /// free.
    Create(Box<NewExecution>),
    /// The next segment of a journal; `segment` counts from 0 without a gap.
    Append {
        /// The execution.
        key: ExecutionKey,
        /// The number of the segment.
        segment: u32,
        /// Whole records.
        bytes: Vec<u8>,
        /// Binds the journal up to here to its execution; `None` if more segments follow in the same commit, and for the record of the
        /// start alone.
        seal: Option<[u8; 32]>,
    },
    /// The progress of an execution.
    Progress(ExecutionKey, Box<Progress>),
    /// Another component takes over an execution.
    Component(ExecutionKey, Digest),
    /// Content-addressed bytes; putting the same bytes again changes nothing.
    Blob(Digest, Blob),
}

/// The result of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The answer for the caller.
    pub answer: Answer,
    /// Further effects, in order.
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
    /// The seed of its randomness.
    pub seed: [u8; 32],
}

impl Change {
    /// An operation without dependent changes.
    pub fn operation(now_ms: u64, operation: Operation) -> Self {
        Self::Operation { now_ms, operation: Box::new(operation), then: Vec::new() }
    }
}

impl Change {
    /// The number of operations in this change.
    pub(super) fn operations(&self) -> usize {
        match self {
            Self::Operation { .. } => 1,
            Self::Fenced { changes, .. } => 1 + changes.iter().map(Self::operations).sum::<usize>(),
            _ => 0,
        }
    }
}

impl Applied {
    /// The answer of a fence.
    pub(super) fn fence(id: &str, version: u64, holds: bool) -> Self {
        let refusal = || Refusal::new(Status::Conflict, format!("the task {id:?} is not held in version {version}"));
        let answer: Answer = if holds { Ok(operation::Reply::Done) } else { Err(refusal()) };
        Self { answer, events: Vec::new() }
    }

    /// Whether the dependent changes are applied.
    pub(super) fn carries(&self) -> bool {
        match &self.answer {
            Ok(operation::Reply::Claimed { task, .. }) => task.state == record::TaskState::Acquired,
            answer => answer.is_ok(),
        }
    }
}
