//! The seam between a host and the store that holds its executions.
//!
//! A [`View`] reads a store, a [`Store`] works per operation, a [`Ledger`] per claimed execution. Everything that a run writes goes
//! through its ledger, and counts only while the claim holds: a run that has lost its claim writes nothing more. What is atomic, what is
//! merged into one write and when time passes is up to the store; see `embedded` for the store of the hosts of one machine.

use super::metrics::Page;
use super::operation::{NewPromise, Operation};
use super::record::{Promise, PromiseState, Schedule, Task, Value};
use super::seal::Tail;
use super::{
    Applied, Blob, Error, Execution, Invocation, JournalPlace, Lineage, Part, PendingPromise, Progress, Query,
};
use crate::output::Output;
use async_trait::async_trait;
use bytes::Bytes;
use everstep_words::id::{Digest, ExecutionId};
use std::sync::Arc;
use tokio::sync::{Notify, oneshot};

/// Reads a store, with or without a host over it.
#[async_trait]
pub trait View: Send + Sync + 'static {
    /// One execution by its id.
    ///
    /// # Errors
    /// The store failed, here as below.
    async fn execution(&self, id: &ExecutionId) -> Result<Option<Execution>, Error>;

    /// The next executions of a list, at most `limit`, at least one.
    async fn list(&self, query: &Query, limit: usize) -> Result<Part, Error>;

    /// The first hundred executions, ordered by id, that `id` has called, directly or not, and that have halted and were not resumed
    /// since.
    async fn halted_below(&self, id: &ExecutionId) -> Result<Vec<Execution>, Error>;

    /// A promise as it is stored, and its task. A deadline that has passed shows once an operation has applied it.
    async fn promise(&self, id: &str) -> Result<Option<(Promise, Option<Task>)>, Error>;

    /// All pending promises that are settled from outside, oldest first.
    async fn promises(&self) -> Result<Vec<PendingPromise>, Error>;

    /// The same, of an execution and of what it has called.
    async fn promises_within(&self, id: &ExecutionId) -> Result<Vec<PendingPromise>, Error> {
        let all = self.promises().await?;
        Ok(all.into_iter().filter(|promise| promise.id.execution.is_within(id)).collect())
    }

    /// All schedules, ordered by id.
    async fn schedules(&self) -> Result<Vec<Schedule>, Error>;

    /// The next part of the journal of an execution, whole segments of about a MiB, and where the part after it begins. An empty part is
    /// the end for now; an execution that had never been claimed when it was read has no other part.
    async fn journal_part(&self, execution: &Execution, at: JournalPlace) -> Result<(Vec<u8>, JournalPlace), Error>;
}

/// The store of executions, as a host sees it.
#[async_trait]
pub trait Store: View {
    /// Does one operation, at the store's time; durable when it returns.
    ///
    /// # Errors
    /// The store failed. A refusal is an answer.
    async fn operate(&self, operation: Operation) -> Result<Applied, Error>;

    /// Creates an execution and claims it; the caller has looked, and found no promise of its id.
    ///
    /// # Errors
    /// The store failed.
    async fn create(&self, new: NewRun) -> Result<Taken, Error>;

    /// Creates an execution that begins with a journal, for any host to run. Returns false if a promise of its id
    /// exists.
    ///
    /// # Errors
    /// The store failed.
    async fn plant(&self, new: NewRun) -> Result<bool, Error>;

    /// Claims an execution that is not held.
    ///
    /// # Errors
    /// The store failed.
    async fn take_up(&self, taking: TakeUp) -> Result<Taken, Error>;

    /// The ledger of an execution that has ended, for its guest to clean up.
    fn reopen(&self, execution: &Execution, tail: Tail) -> Arc<dyn Ledger>;

    /// Halts an execution that is not held, with the cause in its progress; `birth` is for one that was never claimed. The cause is durable
    /// before the execution halts.
    ///
    /// # Errors
    /// The store failed.
    async fn halt(&self, execution: Execution, birth: Option<Birth>) -> Result<(), Error>;

    /// Keeps content-addressed bytes. They are there before anything that is written later.
    ///
    /// # Errors
    /// The store failed.
    async fn keep(&self, blobs: Vec<(Digest, Blob)>) -> Result<(), Error>;

    /// Moves an execution that is not held to another component, and appends the records that say so.
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

    /// Begins to report events, and lets time pass. If it `takes_over`, tasks that an earlier host has left are offered again. Returns
    /// the executions that are offered already.
    ///
    /// # Errors
    /// The store failed.
    async fn begin(&self, takes_over: bool) -> Result<Vec<ExecutionId>, Error>;

    /// Asks to hear of the settlement of a promise. A store that reports all events has nothing to do.
    ///
    /// # Errors
    /// The store failed.
    async fn watch(&self, _: &str) -> Result<(), Error> {
        Ok(())
    }

    /// Listens to the next halt of an execution that other hosts run, up to a moment in milliseconds since the Unix epoch: the notice comes
    /// once it has halted or ended, or the moment has come. `None` from a store that reports halts by itself.
    ///
    /// # Errors
    /// The store failed.
    async fn hear_of_a_halt(&self, _: &ExecutionId, _until_ms: u64) -> Result<Option<Arc<Notify>>, Error> {
        Ok(None)
    }

    /// Ends that, also for other hosts if the execution has ended.
    ///
    /// # Errors
    /// The store failed.
    async fn hear_no_more(&self, _: &ExecutionId, _has_ended: bool) -> Result<(), Error> {
        Ok(())
    }

    /// Runs functions of a component, each under a policy that is kept, when clients in other languages call them by name alone.
    fn serve_functions(&self, _component: Digest, _functions: Vec<(String, Digest)>) {}

    /// Offers this host no more executions.
    fn take_no_more(&self) {}

    /// Gives back what this host still holds, so that others can take it at once. A store of one machine sees that its host is gone.
    ///
    /// # Errors
    /// The store failed.
    async fn give_back(&self) -> Result<(), Error> {
        Ok(())
    }

    /// The most bytes of one value: what an execution returns, or a promise carries.
    fn largest_value(&self) -> u64 {
        u64::MAX
    }

    /// Whether a host that lacks what an execution needs leaves it to others. A store of one machine has nobody else.
    fn has_others(&self) -> bool {
        false
    }

    /// Whether this host knows of no other host that shares the store.
    fn is_alone(&self) -> bool;

    /// Sets whether this host tends a root and its lineage: other hosts of the store leave them to it for as long as it does so and
    /// is running.
    fn tend(&self, root: &str, tends: bool);

    /// Whether another host tends a root.
    fn is_tended(&self, root: &str) -> bool;

    /// The executions that other hosts hold, among `id` and everything that it has called.
    ///
    /// # Errors
    /// The store failed.
    async fn held_elsewhere(&self, id: &ExecutionId) -> Result<Vec<ExecutionId>, Error>;

    /// The journal of an execution, and where it continues.
    ///
    /// # Errors
    /// The journal is not the one that was written for that execution, or the store failed.
    async fn journal(&self, execution: &Execution) -> Result<(Vec<u8>, Tail), Error>;

    /// The offered tasks, among `id` and everything that it has called.
    async fn offers_within(&self, id: &ExecutionId) -> Result<Vec<ExecutionId>, Error>;

    /// What a root and its lineage have created and computed.
    async fn lineage(&self, root: &ExecutionId) -> Result<Lineage, Error>;

    /// Content-addressed bytes.
    async fn blob(&self, digest: &Digest) -> Result<Option<Bytes>, Error>;

    /// The same, to be read later; `None` if there are no bytes of that digest.
    async fn blob_later(&self, digest: &Digest) -> Result<Option<Blob>, Error>;

    /// Adds to a page of metrics what the store holds. A server has a page of its own.
    fn measure(&self, _: &mut Page) {}

    /// Ends its background work, and releases what it holds. What was handed to it is written.
    fn stop(&self);
}

/// Receives the events of a store. Must not wait for the store.
pub trait Listener: Send + Sync + 'static {
    /// Operations whose write is under way, and which only a failure of the store can undo. They are durable before whatever is handed
    /// over from now on. A store need not tell.
    fn foretold(&self, applied: &[Applied]) {
        let _ = applied;
    }

    /// Operations that were done, by this host or another, in order: once they are durable, and before the caller gets its answer.
    fn applied(&self, applied: &[Applied]);

    /// The store failed: nothing more is acknowledged.
    fn failed(&self, error: &Error);
}

/// An execution that is about to be created.
pub struct NewRun {
    /// Its promise, with a target and so with a task.
    pub promise: NewPromise,
    /// What is kept beside the promise.
    pub birth: Birth,
    /// The component and the policy that it refers to.
    pub blobs: Vec<(Digest, Blob)>,
}

/// What is kept of an execution beside its promise, from its first claim on.
pub struct Birth {
    /// The execution.
    pub id: ExecutionId,
    /// The call that it executes, as it will be read back from its promise, with the component and the policy that it is bound to.
    pub invocation: Invocation,
    /// The seed of its random numbers.
    pub seed: [u8; 32],
    /// Its first records.
    pub records: Vec<u8>,
    /// Its progress, if the records imply any.
    pub progress: Option<Progress>,
}

/// An execution that is about to be claimed.
pub struct TakeUp {
    /// The execution, as read before its journal was.
    pub execution: Execution,
    /// Where its journal continues, if it has one.
    pub tail: Option<Tail>,
    /// For an execution that was never claimed.
    pub birth: Option<Birth>,
    /// The numbers of promises that the run needs to know of.
    pub looks_at: Vec<u64>,
}

/// The result of a claim.
pub enum Taken {
    /// The execution is the caller's. A store with a single writer may say so before that is durable: the first barrier covers the
    /// claim, too.
    Claimed(Claimed),
    /// Another host has it, or it has ended.
    Elsewhere,
}

/// A claimed execution.
pub struct Claimed {
    /// The ledger that the run writes to.
    pub ledger: Arc<dyn Ledger>,
    /// The version of its task.
    pub version: u64,
    /// The claim is durable once this ticket is.
    pub since: Ticket,
    /// The requested promises, in that order; `None` where the store has none.
    pub promises: Vec<Option<Promise>>,
}

/// One execution under one version of its task.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Hands over an entry, to be written as a whole with the next barrier at the latest.
    fn append(&self, entry: Entry) -> Ticket;

    /// Like [`append`](Self::append); returns the answers of the operations, once they are durable.
    fn ask(&self, entry: Entry) -> (Ticket, Asked);

    /// The barrier: returns once everything up to `ticket` is durable.
    ///
    /// # Errors
    /// The claim is lost, or the store failed: what was not durable before never will be.
    async fn durable(&self, ticket: Ticket) -> Result<(), Lost>;

    /// Asks for a write soon, without waiting.
    fn soon(&self);

    /// The barrier before an external effect, and before each further attempt: everything up to `ticket` is durable, and the claim was
    /// checked after this call and holds.
    ///
    /// # Errors
    /// The claim is lost, or the store failed.
    async fn may_begin(&self, ticket: Ticket) -> Result<(), Lost>;

    /// Notes that the guest cleans up when its execution is canceled: until its time for that is over, the run may write, and begin effects,
    /// although its execution has ended.
    fn note_clean_up(&self) {}

    /// Completes once the claim is lost or the store failed.
    async fn lost(&self) -> Lost;

    /// Writes the last entry and returns the claim, or keeps it for the next run in this host.
    ///
    /// # Errors
    /// The claim was lost before, or the store failed.
    async fn leave(&self, entry: Entry, how: Leave) -> Result<Left, Lost>;

    /// Does one operation of the run; durable when it returns.
    ///
    /// # Errors
    /// The claim is lost, or the store failed. A refusal is an answer.
    async fn operate(&self, operation: Operation) -> Result<Applied, Lost> {
        let (ticket, asked) = self.ask(Entry::of(operation));
        self.durable(ticket).await?;
        asked.last().await
    }
}

/// A write of a run: applied as a whole or not at all, in this order.
#[derive(Default)]
pub struct Entry {
    /// Bytes that the rest refers to.
    pub blobs: Vec<(Digest, Blob)>,
    /// Whole records of the journal.
    pub records: Vec<u8>,
    /// The component that takes over the execution.
    pub component: Option<Digest>,
    /// The progress of the execution.
    pub progress: Option<Box<Progress>>,
    /// Operations on promises, tasks and schedules.
    pub operations: Vec<Operation>,
    /// Shown once all of this is durable.
    pub output: Vec<Output>,
}

/// How a run leaves its execution.
pub enum Leave {
    /// The execution has ended with this outcome.
    Fulfill(PromiseState, Value),
    /// It waits for one of these promises.
    Suspend(Vec<String>),
    /// It cannot continue; the entry holds the cause.
    Halt,
    /// This host continues with it, or it has ended.
    Stay,
}

/// The state of an execution after its run has left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// As the run has left it.
    AsSaid,
    /// What it waits for has settled: the claim still holds.
    GoOn,
    /// It had been ended before.
    Ended,
}

/// The reason that a run cannot write any more.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Lost {
    /// The claim is lost: another host has the execution, or may take it.
    #[error("the execution was taken away from this host")]
    Claim,
    /// The audit log of its policy cannot be written: what the run has not handed over is undone. The store remains usable.
    #[error("the audit log cannot be written")]
    Unlogged,
    /// A write of the run does not fit what is stored. The store remains usable.
    #[error("the store refused {change}: {reason}")]
    Refused {
        /// The change.
        change: String,
        /// Why it does not fit.
        reason: &'static str,
    },
    /// The store failed.
    #[error("{0}")]
    Store(String),
}

/// A position in the order of entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// The answers of an entry's operations, once they are known.
pub struct Asked(pub(super) oneshot::Receiver<Result<Vec<Applied>, Lost>>);

/// Where the answers of an entry's operations are to be sent.
pub type Answers = oneshot::Sender<Result<Vec<Applied>, Lost>>;

impl Asked {
    /// The answers that are not known yet, and where to send them.
    pub fn later() -> (Answers, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(receiver))
    }

    /// All of them, in order. The entry must be durable, or its write have failed.
    pub async fn all(self) -> Result<Vec<Applied>, Lost> {
        self.0.await.unwrap_or_else(|_| Err(unanswered()))
    }

    /// The last answer.
    pub async fn last(self) -> Result<Applied, Lost> {
        self.all().await?.pop().ok_or_else(unanswered)
    }
}

fn unanswered() -> Lost {
    Lost::Store("nobody says what came of an operation".to_owned())
}

impl Entry {
    /// An entry with one operation.
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
    /// The error of a store that has failed, or of a change that it refused.
    pub fn of(error: &Error) -> Self {
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
            Lost::Unlogged => {
                Self::Refused { change: "what a run has done".to_owned(), reason: "its audit log cannot be written" }
            }
            Lost::Refused { change, reason } => Self::Refused { change, reason },
            Lost::Store(cause) => Self::Poisoned(cause),
        }
    }
}

/// The ledger of a run that changes nothing: a replay, or a component that lists its functions.
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

    /// There is no claim.
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
