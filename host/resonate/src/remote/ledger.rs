//! One claimed execution on a server: its entries are written in order, each write fenced by the version of its task.
//!
//! An execution that is canceled has no task any more that could fence a write. A guest that cleans up then writes its segments as they are:
//! nobody can write a segment twice, so that of two runs one goes on, and an effect begins after the segment that has it.
//!
//! Entries that come during a write are written together by the next one: their records as one segment, then what their operations
//! do, then their output. A write is a task of its own, so that whoever waits for it may go away.

use super::blobs::Blobs;
use super::link::{Link, unexpected};
use super::segments::{self, SEGMENT, same};
use async_trait::async_trait;
use everstep_store::claim::Claim;
use everstep_store::operation::{Event, FenceAction, NewPromise, Operation, Refusal, Reply, Settlement, Status};
use everstep_store::record::{PromiseState, Task, TaskState, Value, tag};
use everstep_store::seal::Tail;
use everstep_store::seam::{Answers, Asked, Entry, Leave, Ledger, Left, Lost, Ticket};
use everstep_store::{Applied, Error};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How long a write that nothing waits for may be delayed.
const PAUSE: Duration = Duration::from_millis(2);

/// See the module.
pub(super) struct RemoteLedger {
    me: Weak<Self>,
    link: Arc<Link>,
    blobs: Arc<Blobs>,
    claim: Arc<Claim>,
    queue: Mutex<Queue>,
    /// Held while writing.
    writing: tokio::sync::Mutex<Tail>,
    /// Everything up to this ticket is written.
    written: AtomicU64,
    /// A write was asked for, and has not begun.
    requested: AtomicBool,
    /// When the server last confirmed the claim: the request was sent after this moment.
    confirmed: Mutex<Option<Instant>>,
    /// Whether the guest cleans up when its execution is canceled.
    cleans_up: AtomicBool,
    /// The execution was canceled, and its guest cleans up.
    after_the_end: AtomicBool,
}

#[derive(Default)]
struct Queue {
    entries: Vec<Queued>,
    submitted: u64,
}

struct Queued {
    entry: Entry,
    answers: Option<Answers>,
    /// Whether the run waits for the promises that it makes.
    listens: bool,
}

impl RemoteLedger {
    pub(super) fn new(link: Arc<Link>, blobs: Arc<Blobs>, id: String, version: u64, tail: Tail) -> Arc<Self> {
        let claim = Claim::new(id, version);
        link.hold(&claim);
        Self::over(link, blobs, claim, tail, false)
    }

    /// The ledger of an execution that was canceled before, for its guest to clean up.
    pub(super) fn reopened(link: Arc<Link>, blobs: Arc<Blobs>, id: String, version: u64, tail: Tail) -> Arc<Self> {
        Self::over(link, blobs, Claim::new(id, version), tail, true)
    }

    fn over(link: Arc<Link>, blobs: Arc<Blobs>, claim: Arc<Claim>, tail: Tail, after_the_end: bool) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            link,
            blobs,
            claim,
            queue: Mutex::default(),
            writing: tokio::sync::Mutex::new(tail),
            written: AtomicU64::new(0),
            requested: AtomicBool::new(false),
            confirmed: Mutex::default(),
            cleans_up: AtomicBool::new(after_the_end),
            after_the_end: AtomicBool::new(after_the_end),
        })
    }

    fn submit(&self, entry: Entry, answers: Option<Answers>, listens: bool) -> Ticket {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.entries.push(Queued { entry, answers, listens });
        queue.submitted += 1;
        Ticket(queue.submitted)
    }

    fn is_written(&self, ticket: Ticket) -> bool {
        self.written.load(Ordering::Acquire) >= ticket.0
    }

    /// Writes what is queued, after the write that is under way.
    async fn write(self: Arc<Self>) {
        let mut tail = self.writing.lock().await;
        self.requested.store(false, Ordering::Release);
        let (entries, submitted) = {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            (std::mem::take(&mut queue.entries), queue.submitted)
        };
        let answered = match self.claim.check() {
            Ok(()) => self.write_all(&mut tail, entries).await,
            Err(lost) => Err((lost, entries)),
        };
        if let Err((lost, entries)) = answered {
            self.claim.lose(lost.clone());
            for answers in entries.into_iter().filter_map(|queued| queued.answers) {
                // The receiver may be gone.
                let _ = answers.send(Err(lost.clone()));
            }
        }
        self.written.store(submitted, Ordering::Release);
    }

    /// Writes entries in order; if that fails, returns those that have no answers yet.
    async fn write_all(&self, tail: &mut Tail, mut entries: Vec<Queued>) -> Result<(), (Lost, Vec<Queued>)> {
        if let Err(lost) = self.write_records(tail, &entries).await {
            return Err((lost, entries));
        }
        let mut rest = entries.drain(..);
        while let Some(Queued { entry, answers, listens }) = rest.next() {
            let mut applied = Vec::with_capacity(entry.operations.len());
            for mut operation in entry.operations {
                if let Operation::TaskFulfill { settlement, .. } = &mut operation {
                    segments::note_length(&mut settlement.value, tail);
                }
                match self.apply(operation, listens).await {
                    Ok(done) => applied.push(done),
                    Err(lost) => {
                        let failed = Queued { entry: Entry::default(), answers, listens };
                        return Err((lost, std::iter::once(failed).chain(rest).collect()));
                    }
                }
            }
            entry.output.into_iter().for_each(|output| self.link.release(output));
            if let Some(answers) = answers {
                // The receiver may be gone.
                let _ = answers.send(Ok(applied));
            }
        }
        Ok(())
    }

    /// Writes the policies of all entries, and their records as segments.
    async fn write_records(&self, tail: &mut Tail, entries: &[Queued]) -> Result<(), Lost> {
        for (digest, blob) in entries.iter().flat_map(|queued| &queued.entry.blobs) {
            self.blobs.keep(*digest, blob).await.map_err(|error| Lost::of(&error))?;
        }
        let records: Vec<u8> = entries.iter().flat_map(|queued| &queued.entry.records).copied().collect();
        for records in records.chunks(SEGMENT) {
            let segment = segments::next(tail, &self.claim.id, records);
            let ours = segment.param.clone();
            match self.fence(FenceAction::Create(segment)).await? {
                Ok(Reply::Promise(kept)) if same(&kept.param, &ours) => {}
                // A promise of that id was there before: the journal is not what this run takes it for.
                Ok(_) => return Err(self.lose().await),
                Err(refusal) => return Err(refused(&refusal)),
            }
        }
        Ok(())
    }

    /// Does something if the claim holds, or the execution was canceled and its guest cleans up.
    async fn fence(&self, action: FenceAction) -> Result<Result<Reply, Refusal>, Lost> {
        if self.is_after_the_end() {
            return self.do_unfenced(action).await;
        }
        let (id, version, asked) = (self.claim.id.clone(), self.claim.version, now());
        let fenced = Operation::TaskFence { id, version, action };
        let done = self.link.client.operate(&fenced).await.map_err(|error| server(&error))?;
        match done.answer {
            Ok(Reply::Fenced { answer, .. }) => {
                self.confirm(asked);
                Ok(*answer)
            }
            Err(Refusal { status: Status::Conflict | Status::NotFound, .. }) => match fenced {
                Operation::TaskFence { action, .. } if self.was_canceled().await? => self.do_unfenced(action).await,
                _ => Err(self.lose().await),
            },
            answer => Err(Lost::of(&unexpected("task.fence", &answer))),
        }
    }

    fn is_after_the_end(&self) -> bool {
        self.after_the_end.load(Ordering::Acquire)
    }

    /// Whether the execution was canceled while this run had it, and its guest cleans up. The run hears of it.
    async fn was_canceled(&self) -> Result<bool, Lost> {
        if self.is_after_the_end() || !self.cleans_up.load(Ordering::Acquire) {
            return Ok(self.is_after_the_end());
        }
        let (id, of) = (&self.claim.id, |error: Error| Lost::of(&error));
        let version = self.link.task(id).await.map_err(of)?.map(|task| task.version);
        let (found, _) = self.link.operate(&Operation::PromiseGet { id: id.clone() }).await.map_err(of)?;
        let state = found.answer.ok().and_then(|reply| match reply {
            Reply::Promise(promise) => Some(promise.state),
            _ => None,
        });
        let was_canceled = (version, state) == (Some(self.claim.version), Some(PromiseState::RejectedCanceled));
        self.after_the_end.store(was_canceled, Ordering::Release);
        Ok(was_canceled)
    }

    /// Writes a segment, or settles something, after the end. Of what it begins, a guest that cleans up has timers.
    async fn do_unfenced(&self, action: FenceAction) -> Result<Result<Reply, Refusal>, Lost> {
        let operation = match action {
            FenceAction::Create(new) if !new.tags.contains_key(tag::TIMER) => return Err(self.lose().await),
            FenceAction::Create(new) => Operation::PromiseCreate(new),
            FenceAction::Settle(settlement) => Operation::PromiseSettle(settlement),
        };
        let (applied, _) = self.link.operate(&operation).await.map_err(|error| Lost::of(&error))?;
        Ok(applied.answer)
    }

    /// The claim is lost. If that is because the execution was ended from outside, its run hears of it.
    async fn lose(&self) -> Lost {
        self.claim.lose(Lost::Claim);
        // The run ends in any case.
        let _ = self.link.operate(&Operation::PromiseGet { id: self.claim.id.clone() }).await;
        Lost::Claim
    }

    fn confirm(&self, asked: Instant) {
        *self.confirmed.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
    }

    async fn apply(&self, operation: Operation, listens: bool) -> Result<Applied, Lost> {
        let of = |error: Error| Lost::of(&error);
        match operation {
            Operation::PromiseCreate(new) => self.create(self.link.prepared(new), listens).await,
            Operation::PromiseSettle(settlement) => {
                let answer = self.fence(FenceAction::Settle(settlement)).await?;
                let events = match &answer {
                    Ok(Reply::Promise(promise)) if promise.state != PromiseState::Pending => {
                        vec![Event::Settled(promise.clone())]
                    }
                    _ => Vec::new(),
                };
                let applied = Applied { answer, events };
                self.link.report(std::slice::from_ref(&applied));
                Ok(applied)
            }
            Operation::CancelTree { id } => self.link.cancel_tree(&id).await.map_err(of),
            other => Ok(self.link.operate(&other).await.map_err(of)?.0),
        }
    }

    async fn create(&self, new: NewPromise, listens: bool) -> Result<Applied, Lost> {
        let id = new.id.clone();
        let answer = self.fence(FenceAction::Create(new)).await?;
        let applied = Applied { answer, events: Vec::new() };
        if listens {
            self.link.report(std::slice::from_ref(&applied));
            self.link.listen(vec![id]).await.map_err(|error| Lost::of(&error))?;
        }
        Ok(applied)
    }

    /// Keeps how many segments the journal has, so that whoever reads it next knows whether the last ones are there.
    async fn mark(&self) {
        let segments = self.writing.lock().await.segment();
        let mark = segments::mark(&self.claim.id, self.claim.version, segments);
        // The run has left the execution already, which does not need it.
        if let Err(error) = self.link.operate(&Operation::PromiseCreate(mark)).await {
            tracing::debug!(%error, "the length of a journal was not kept");
        }
    }

    /// Asks the server whether the claim holds.
    async fn ask_whether_it_holds(&self) -> Result<(), Lost> {
        if self.is_after_the_end() {
            return Ok(());
        }
        let Claim { id, version, .. } = &*self.claim;
        let task = self.link.task(id).await.map_err(|error| Lost::of(&error))?;
        let is_held = task.is_some_and(|Task { state, version: held, lease, .. }| {
            state == TaskState::Acquired && held == *version && lease.is_some_and(|lease| lease.pid == self.link.pid)
        });
        if is_held || self.was_canceled().await? { Ok(()) } else { Err(self.lose().await) }
    }

    /// What became of an execution that was fulfilled, when the server says that it cannot be.
    async fn left_ended(&self, state: PromiseState, value: &Value) -> Result<Left, Lost> {
        let promise = self.link.promise(&self.claim.id).await.map_err(|error| Lost::of(&error))?;
        match promise {
            Some(promise) if (promise.state, &promise.value.data) == (state, &value.data) => Ok(Left::AsSaid),
            Some(promise) if promise.state != PromiseState::Pending => Ok(Left::Ended),
            _ => Err(self.lose().await),
        }
    }

    /// What became of an execution that was suspended, when the server says that it cannot be.
    async fn left_suspended(&self) -> Result<Left, Lost> {
        let found = self.link.look(&self.claim.id).await.map_err(|error| Lost::of(&error))?;
        let Some((promise, Some(task))) = found else { return Err(self.lose().await) };
        if promise.state != PromiseState::Pending {
            return Ok(Left::Ended);
        }
        // The answer of the request that suspended it was lost.
        let is_left = task.version == self.claim.version && task.lease.is_none();
        if is_left { Ok(Left::AsSaid) } else { Err(self.lose().await) }
    }
}

#[async_trait]
impl Ledger for RemoteLedger {
    fn append(&self, entry: Entry) -> Ticket {
        self.submit(entry, None, true)
    }

    fn ask(&self, entry: Entry) -> (Ticket, Asked) {
        let (answers, asked) = Asked::later();
        (self.submit(entry, Some(answers), true), asked)
    }

    async fn durable(&self, ticket: Ticket) -> Result<(), Lost> {
        while !self.is_written(ticket) {
            self.claim.check()?;
            let Some(ledger) = self.me.upgrade() else { return Err(Lost::Claim) };
            // A panic is reported by the task itself; the next turn finds that nothing was written.
            if tokio::spawn(ledger.write()).await.is_err() {
                self.claim.lose(Lost::Store("the write of an entry panicked".to_owned()));
            }
        }
        self.claim.check()
    }

    fn soon(&self) {
        if self.requested.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(ledger) = self.me.upgrade() {
            tokio::spawn(async move {
                tokio::time::sleep(PAUSE).await;
                ledger.write().await;
            });
        }
    }

    async fn may_begin(&self, ticket: Ticket) -> Result<(), Lost> {
        let asked = now();
        self.durable(ticket).await?;
        let confirmed = *self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        match confirmed {
            Some(confirmed) if confirmed >= asked => Ok(()),
            _ => self.ask_whether_it_holds().await,
        }
    }

    fn note_clean_up(&self) {
        self.cleans_up.store(true, Ordering::Release);
    }

    async fn lost(&self) -> Lost {
        self.claim.lost().await
    }

    async fn leave(&self, mut entry: Entry, how: Leave) -> Result<Left, Lost> {
        let (id, version) = (self.claim.id.clone(), self.claim.version);
        let (last, stays) = match how {
            Leave::Fulfill(state, value) => {
                (Some(Operation::TaskFulfill { version, settlement: Settlement { id, state, value } }), false)
            }
            Leave::Suspend(awaited) => (Some(Operation::TaskSuspend { id, version, awaited }), false),
            Leave::Halt => (Some(Operation::TaskHalt { id }), false),
            Leave::Stay => (None, true),
        };
        let (operations, last) = (std::mem::take(&mut entry.operations), last);
        // What it calls off, or hands over to the server, is done before its task is left.
        entry.operations = operations.into_iter().chain(last.clone()).collect();
        let (answers, asked) = Asked::later();
        let ticket = self.submit(entry, Some(answers), false);
        self.durable(ticket).await?;
        let answer = asked.all().await?.pop();
        if stays {
            self.mark().await;
            return Ok(Left::AsSaid);
        }
        let is_over = matches!(last, Some(Operation::TaskFulfill { .. }));
        let halts = matches!(last, Some(Operation::TaskHalt { .. }));
        let left = match (answer, last) {
            (Some(Applied { answer: Ok(Reply::GoOn(_)), .. }), _) => return Ok(Left::GoOn),
            (Some(Applied { answer: Ok(_), .. }), _) => Left::AsSaid,
            (_, Some(Operation::TaskFulfill { settlement: Settlement { state, value, .. }, .. })) => {
                self.left_ended(state, &value).await?
            }
            (_, Some(Operation::TaskSuspend { .. })) => self.left_suspended().await?,
            _ => Left::Ended,
        };
        self.link.let_go(&self.claim);
        if !is_over {
            self.mark().await;
        }
        if halts && let Err(error) = self.link.tell_of_a_halt(&self.claim.id).await {
            tracing::warn!(%error, "who waits for {} learns later that it has halted", self.claim.id);
        }
        Ok(left)
    }
}

impl Drop for RemoteLedger {
    fn drop(&mut self) {
        self.link.let_go(&self.claim);
    }
}

/// The monotonic clock of this process.
#[allow(clippy::disallowed_methods, reason = "it measures how old an answer of the server is, not what a guest sees")]
fn now() -> Instant {
    Instant::now()
}

fn server(error: &crate::client::Error) -> Lost {
    Lost::Store(error.to_string())
}

fn refused(refusal: &Refusal) -> Lost {
    Lost::Store(format!("the server refused a segment of the journal: {refusal}"))
}
