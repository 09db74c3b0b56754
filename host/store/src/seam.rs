//! The seam between a host and the place where its executions live.
//!
//! A [`View`] is what can be read of a store, a [`Store`] works per operation, a [`Ledger`] per claimed execution. All that a run writes
//! goes through its ledger, and counts only while the claim holds: a run that has lost its claim writes nothing more. What is atomic,
//! what is merged into one write and when time passes is the store's own business; see `embedded` for that of the hosts of one machine.

use super::operation::{NewPromise, Operation};
use super::record::{Promise, PromiseState, Schedule, Task, Value};
use super::seal::Tail;
use super::{Applied, Blob, Error, Execution, JournalPlace, Lineage, Part, PendingPromise, Progress, Query};
use crate::output::Output;
use async_trait::async_trait;
use bytes::Bytes;
use everstep_words::id::{Digest, ExecutionId};
use std::sync::Arc;
use tokio::sync::oneshot;

/// What can be read of a store, with a host over it or without.
#[async_trait]
pub trait View: Send + Sync + 'static {
    /// One execution by its id.
    ///
    /// # Errors
    /// The store failed, here as below.
    async fn execution(&self, id: &ExecutionId) -> Result<Option<Execution>, Error>;

    /// The next executions of a list, at most `limit`, at least one.
    async fn list(&self, query: &Query, limit: usize) -> Result<Part, Error>;

    /// The first hundred executions, ordered by id, that one has called, directly or not, and that have halted and were not resumed since.
    async fn halted_below(&self, id: &ExecutionId) -> Result<Vec<Execution>, Error>;

    /// A promise as it is stored, and its task. A deadline that has passed shows once an operation has applied it.
    async fn promise(&self, id: &str) -> Result<Option<(Promise, Option<Task>)>, Error>;

    /// All pending promises that somebody outside may settle, oldest first.
    async fn promises(&self) -> Result<Vec<PendingPromise>, Error>;

    /// All schedules, ordered by id.
    async fn schedules(&self) -> Result<Vec<Schedule>, Error>;

    /// The next part of the journal of an execution, whole segments of about a MiB, and where the part after it begins. An empty part is
    /// the end for now, and all there is of an execution that nobody had claimed when it was read.
    async fn journal_part(&self, execution: &Execution, at: JournalPlace) -> Result<(Vec<u8>, JournalPlace), Error>;
}

/// Where executions live, as a host sees it.
#[async_trait]
pub trait Store: View {
    /// One operation, at the store's time; durable when it returns.
    ///
    /// # Errors
    /// The store failed. A refusal is an answer.
    async fn operate(&self, operation: Operation) -> Result<Applied, Error>;

    /// Creates an execution and claims it.
    ///
    /// # Errors
    /// The store failed.
    async fn create(&self, new: NewRun) -> Result<Taken, Error>;

    /// Creates an execution that begins with a journal, for whoever takes it up. False if there is a promise of its id.
    ///
    /// # Errors
    /// The store failed.
    async fn plant(&self, new: NewRun) -> Result<bool, Error>;

    /// Claims an execution that nobody holds.
    ///
    /// # Errors
    /// The store failed.
    async fn take_up(&self, taking: TakeUp) -> Result<Taken, Error>;

    /// The ledger of an execution that has ended, for its guest to clean up.
    fn reopen(&self, execution: &Execution, tail: Tail) -> Arc<dyn Ledger>;

    /// Halts an execution that nobody holds, with the cause that its progress names; `birth`: of one that nobody has claimed before. The cause
    /// is durable before it halts.
    ///
    /// # Errors
    /// The store failed.
    async fn halt(&self, execution: Execution, birth: Option<Birth>) -> Result<(), Error>;

    /// Keeps content-addressed bytes. Whatever is written later finds them.
    ///
    /// # Errors
    /// The store failed.
    async fn keep(&self, blobs: Vec<(Digest, Blob)>) -> Result<(), Error>;

    /// Moves an execution that nobody holds to another component; the records say so.
    ///
    /// # Errors
    /// The store failed.
    async fn exchange(
        &self,
        execution: &Execution,
        digest: Digest,
        component: Blob,
        records: Vec<u8>,
    ) -> Result<(), Error>;

    /// Begins to tell what happens, and lets time pass. If it `takes_over`, what an earlier host has left is offered again. Returns what
    /// is offered already.
    ///
    /// # Errors
    /// The store failed.
    fn begin(&self, takes_over: bool) -> Result<Vec<ExecutionId>, Error>;

    /// Whether no other host is known to share the store.
    fn is_alone(&self) -> bool;

    /// This host tends a root and all that belongs to it: other hosts of the store leave them to it, as long as it does and is there.
    fn tend(&self, root: &str, tends: bool);

    /// Whether another host tends a root.
    fn is_tended(&self, root: &str) -> bool;

    /// What other hosts hold, of an execution and all that it has called.
    ///
    /// # Errors
    /// The store failed.
    async fn held_elsewhere(&self, id: &ExecutionId) -> Result<Vec<ExecutionId>, Error>;

    /// The journal of an execution, and where it goes on.
    ///
    /// # Errors
    /// It is not the one that was written for that execution, or the store failed.
    async fn journal(&self, execution: &Execution) -> Result<(Vec<u8>, Tail), Error>;

    /// The offered tasks among an execution and all that it has called.
    async fn offers_within(&self, id: &ExecutionId) -> Result<Vec<ExecutionId>, Error>;

    /// What a root and all that belongs to it have made and computed.
    async fn lineage(&self, root: &ExecutionId) -> Result<Lineage, Error>;

    /// Content-addressed bytes.
    async fn blob(&self, digest: &Digest) -> Result<Option<Bytes>, Error>;

    /// The same, to be read later; none if there are none of that digest.
    async fn blob_later(&self, digest: &Digest) -> Result<Option<Blob>, Error>;

    /// Ends what it does by itself, and lets go of what it holds. What was handed to it is written.
    fn stop(&self);
}

/// Learns what happens in a store, once it is durable and before whoever caused it. Must not wait for the store.
pub trait Listener: Send + Sync + 'static {
    /// Operations that were done, by this host or another, in order.
    fn applied(&self, applied: &[Applied]);

    /// The store failed: nothing more is acknowledged.
    fn failed(&self, error: &Error);
}

/// An execution that is about to be created.
pub struct NewRun {
    /// Its promise, with a target and so with a task.
    pub promise: NewPromise,
    /// What is kept beside it.
    pub birth: Birth,
    /// What it refers to.
    pub blobs: Vec<(Digest, Blob)>,
}

/// What is kept of an execution beside its promise, once it is claimed for the first time.
pub struct Birth {
    /// The execution.
    pub id: ExecutionId,
    /// The component that it runs in.
    pub component: Digest,
    /// The policy that it is bound to.
    pub policy: Digest,
    /// What its random numbers are drawn from.
    pub seed: [u8; 32],
    /// Its first records.
    pub records: Vec<u8>,
    /// How far it has come, where the records say so.
    pub progress: Option<Progress>,
}

/// An execution that is about to be claimed.
pub struct TakeUp {
    /// As it was read, before its journal.
    pub execution: Execution,
    /// Where its journal went on, if it has one.
    pub tail: Option<Tail>,
    /// For one that nobody has claimed before.
    pub birth: Option<Birth>,
    /// Promises that it needs to know of.
    pub looks_at: Vec<u64>,
}

/// What a claim came to.
pub enum Taken {
    /// The execution is the caller's. A store that nobody else writes to may say so before that is durable: the first barrier is that of
    /// the claim, too.
    Claimed(Claimed),
    /// Somebody else has it, or it has ended.
    Elsewhere,
}

/// A claimed execution.
pub struct Claimed {
    /// What it writes to.
    pub ledger: Arc<dyn Ledger>,
    /// The version of its task.
    pub version: u64,
    /// When the claim is durable.
    pub since: Ticket,
    /// The promises that were asked for, in that order; none where the store has none.
    pub promises: Vec<Option<Promise>>,
}

/// One execution under one version of its task.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Hands over what is to be written together, with the next barrier at the latest.
    fn append(&self, entry: Entry) -> Ticket;

    /// The same; says what the operations came to, once they are durable.
    fn ask(&self, entry: Entry) -> (Ticket, Asked);

    /// The barrier: returns once everything up to `ticket` is durable.
    ///
    /// # Errors
    /// The claim is lost, or the store failed: what was not durable before never will be.
    async fn durable(&self, ticket: Ticket) -> Result<(), Lost>;

    /// Asks for a write soon, without waiting.
    fn soon(&self);

    /// The barrier before an external effect, and before each further attempt: everything up to `ticket` is durable, and the claim was
    /// found to hold since this was asked.
    ///
    /// # Errors
    /// The claim is lost, or the store failed.
    async fn may_begin(&self, ticket: Ticket) -> Result<(), Lost>;

    /// Completes once the claim is lost or the store failed.
    async fn lost(&self) -> Lost;

    /// Writes what there is and gives the claim back, or keeps it for the next run in this host.
    ///
    /// # Errors
    /// The claim was lost before, or the store failed.
    async fn leave(&self, entry: Entry, how: Leave) -> Result<Left, Lost>;

    /// One operation of the run, durable when it returns.
    ///
    /// # Errors
    /// The claim is lost, or the store failed. A refusal is an answer.
    async fn operate(&self, operation: Operation) -> Result<Applied, Lost> {
        let (ticket, asked) = self.ask(Entry::of(operation));
        self.durable(ticket).await?;
        asked.last().await
    }
}

/// What a run writes: all of it or nothing, in this order.
#[derive(Default)]
pub struct Entry {
    /// Bytes that the rest refers to.
    pub blobs: Vec<(Digest, Blob)>,
    /// Whole records of the journal.
    pub records: Vec<u8>,
    /// Another component that goes on with the execution.
    pub component: Option<Digest>,
    /// How far the execution has come.
    pub progress: Option<Box<Progress>>,
    /// What becomes of promises.
    pub operations: Vec<Operation>,
    /// Shown once all of this is durable.
    pub output: Vec<Output>,
}

/// How a run leaves its execution.
pub enum Leave {
    /// It has come to an end.
    Fulfill(PromiseState, Value),
    /// It waits for one of these promises.
    Suspend(Vec<String>),
    /// It cannot go on; the entry holds the cause.
    Halt,
    /// This host goes on with it, or it has ended.
    Stay,
}

/// What became of an execution that a run has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// That.
    AsSaid,
    /// What it waits for is there: the claim holds still.
    GoOn,
    /// Somebody has ended it before.
    Ended,
}

/// Why a run cannot write any more.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Lost {
    /// The claim: somebody else has the execution, or may take it.
    #[error("the execution was taken away from this host")]
    Claim,
    /// What the run wrote does not fit what is stored. The store goes on.
    #[error("the store refused {change}: {reason}")]
    Refused {
        /// The change.
        change: String,
        /// Why it does not fit.
        reason: &'static str,
    },
    /// The store.
    #[error("{0}")]
    Store(String),
}

/// A point in the order of what was handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub(super) u64);

/// What the operations of an entry came to.
pub struct Asked(pub(super) oneshot::Receiver<Result<Vec<Applied>, Lost>>);

impl Asked {
    /// All of them, in order; what was asked must be durable, or the write has failed.
    pub async fn all(self) -> Result<Vec<Applied>, Lost> {
        self.0.await.unwrap_or_else(|_| Err(unanswered()))
    }

    /// The last one.
    pub async fn last(self) -> Result<Applied, Lost> {
        self.all().await?.pop().ok_or_else(unanswered)
    }
}

fn unanswered() -> Lost {
    Lost::Store("nobody says what came of an operation".to_owned())
}

impl Entry {
    /// An operation alone.
    pub fn of(operation: Operation) -> Self {
        Self { operations: vec![operation], ..Self::default() }
    }

    /// Whether nothing is to be written or shown.
    pub fn is_empty(&self) -> bool {
        self.changes_nothing() && self.output.is_empty()
    }

    /// Whether nothing is to be written.
    pub fn changes_nothing(&self) -> bool {
        let Self { blobs, records, component, progress, operations, output: _ } = self;
        blobs.is_empty() && records.is_empty() && component.is_none() && progress.is_none() && operations.is_empty()
    }
}

impl Lost {
    /// The error of a store that does not go on, or of a change that it refused.
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::Refused { change, reason } => Self::Refused { change: change.clone(), reason },
            Error::Poisoned(cause) => Self::Store(cause.clone()),
            error => Self::Store(error.to_string()),
        }
    }
}

impl From<Lost> for Error {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Claim => Self::Lost,
            Lost::Refused { change, reason } => Self::Refused { change, reason },
            Lost::Store(cause) => Self::Poisoned(cause),
        }
    }
}

/// The ledger of a run that changes nothing: a replay, or a component that names its functions.
pub struct NoLedger;

#[async_trait]
impl Ledger for NoLedger {
    fn append(&self, _: Entry) -> Ticket {
        Ticket::default()
    }

    fn ask(&self, entry: Entry) -> (Ticket, Asked) {
        (self.append(entry), Asked(oneshot::channel().1))
    }

    async fn durable(&self, _: Ticket) -> Result<(), Lost> {
        Ok(())
    }

    fn soon(&self) {}

    /// It has no claim.
    async fn may_begin(&self, _: Ticket) -> Result<(), Lost> {
        Err(Lost::Claim)
    }

    async fn lost(&self) -> Lost {
        std::future::pending().await
    }

    async fn leave(&self, _: Entry, _: Leave) -> Result<Left, Lost> {
        Err(Lost::Claim)
    }
}
