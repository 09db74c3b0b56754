//! Group commit: one durable write for everything that all executions have submitted so far.
//!
//! A task that needs a barrier while no write is under way does the write itself, without a change of thread; tasks that
//! come meanwhile join the next one, which a thread of its own makes. Changes that nothing waits for are written a moment
//! later, if no barrier comes first. Output is released only after the write, in the order of submission, and then the
//! waiters are woken. What a write will have done is told while it is under way: whatever anybody submits because of it is
//! written after it, and so is what waits for that.
//!
//! A submission of a run counts only while its claim holds. A refused submission does not affect others. After any other failed
//! write the state of the disk is unknown, so every later barrier fails until the host is restarted.

use crate::claim::Claim;
use crate::clock;
use crate::output::{Output, Sink};
use crate::seam::{Asked, Listener, Lost, Ticket};
use crate::{Applied, Backend, Change, Error};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError, Weak};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};

/// Bytes of submitted changes above which the submitter helps writing.
const BACKLOG: usize = 8 << 20;

/// How long a write that nothing waits for may be delayed, so that the next barrier covers it.
const PAUSE: Duration = Duration::from_millis(2);

thread_local! {
    static WRITING_US: Cell<u64> = const { Cell::new(0) };
}

/// CPU time that this thread has spent on writing since the last call, in microseconds.
pub fn take_writing_us() -> u64 {
    WRITING_US.take()
}

/// Called with the earliest time, in milliseconds since the Unix epoch, at which what was written makes something due in the
/// store.
pub(super) type Due = Box<dyn Fn(u64) + Send + Sync>;

/// Changes that are written together, or not at all.
#[derive(Default)]
pub(super) struct Submission {
    pub(super) changes: Vec<Change>,
    /// Shown once the changes are durable.
    pub(super) output: Vec<Output>,
    /// The claim that they depend on.
    pub(super) claim: Option<Arc<Claim>>,
}

/// See the module.
pub(super) struct Committer {
    backend: Arc<dyn Backend>,
    sink: Sink,
    listener: Arc<dyn Listener>,
    due: Due,
    queue: Mutex<Queue>,
    /// Held while writing.
    writing: Mutex<()>,
    /// Everything submitted up to this ticket is durable, or was refused.
    durable: AtomicU64,
    failed: OnceLock<String>,
    /// Wakes tasks that wait for something other than a write when a write fails.
    failure: Notify,
    writer: OnceLock<Thread>,
    /// Taken by the first call of `stop`.
    running: Mutex<Option<JoinHandle<()>>>,
    stopping: AtomicBool,
    /// The thread has been asked to write soon.
    requested: AtomicBool,
}

#[derive(Default)]
struct Queue {
    submissions: Vec<Queued>,
    bytes: usize,
    waiters: Vec<oneshot::Sender<()>>,
    /// The earliest time at which the operations make something due in the store.
    due_ms: Option<u64>,
    submitted: u64,
    /// Since when the queue has not been empty.
    since: Option<Instant>,
}

struct Queued {
    submission: Submission,
    asker: Option<oneshot::Sender<Result<Vec<Applied>, Lost>>>,
}

impl Committer {
    /// A committer over a store, with its thread, which ends with [`stop`](Self::stop), or once the committer is dropped.
    pub(super) fn start(
        backend: Arc<dyn Backend>,
        sink: Sink,
        listener: Arc<dyn Listener>,
        due: Due,
    ) -> std::io::Result<Arc<Self>> {
        let committer = Arc::new(Self {
            backend,
            sink,
            listener,
            due,
            queue: Mutex::default(),
            writing: Mutex::default(),
            durable: AtomicU64::new(0),
            failed: OnceLock::new(),
            failure: Notify::new(),
            writer: OnceLock::new(),
            running: Mutex::default(),
            stopping: AtomicBool::new(false),
            requested: AtomicBool::new(false),
        });
        let weak = Arc::downgrade(&committer);
        let writer = thread::Builder::new().name("everstep-commit".into()).spawn(move || write_on_request(&weak))?;
        // It is set only here.
        let _ = committer.writer.set(writer.thread().clone());
        *lock(&committer.running) = Some(writer);
        Ok(committer)
    }

    /// Queues changes and the output that depends on them; they are written with the next barrier or request.
    pub(super) fn submit(&self, submission: Submission) -> Ticket {
        self.enqueue(submission, None)
    }

    /// Queues changes without waiting; the receiver gets the results of their operations, once they are durable.
    pub(super) fn ask(&self, submission: Submission) -> (Ticket, Asked) {
        let (sender, receiver) = oneshot::channel();
        (self.enqueue(submission, Some(sender)), Asked(receiver))
    }

    /// Writes changes that depend on no claim, durably; returns the results of their operations.
    pub(super) async fn write_now(&self, changes: Vec<Change>) -> Result<Vec<Applied>, Error> {
        let (ticket, asked) = self.ask(Submission { changes, ..Submission::default() });
        self.durable(ticket).await?;
        Ok(asked.all().await?)
    }

    fn enqueue(&self, submission: Submission, asker: Option<oneshot::Sender<Result<Vec<Applied>, Lost>>>) -> Ticket {
        let mut queue = lock(&self.queue);
        for change in &submission.changes {
            queue.bytes += weight(change);
            if let Change::Operation { now_ms, operation, .. } = change {
                queue.due_ms = queue.due_ms.into_iter().chain(operation.due(*now_ms)).min();
            }
        }
        queue.submissions.push(Queued { submission, asker });
        queue.since.get_or_insert_with(clock::instant);
        queue.submitted += 1;
        let ticket = Ticket(queue.submitted);
        let backlog = queue.bytes > BACKLOG;
        drop(queue);
        if backlog {
            drop(self.write(lock(&self.writing)));
            self.look_again();
        }
        ticket
    }

    /// Asks for a write within [`PAUSE`], without waiting: a barrier that comes first makes it unnecessary.
    pub(super) fn request(&self) {
        if !self.requested.swap(true, Ordering::AcqRel) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    /// Whether everything up to `ticket` is durable.
    pub(super) fn is_durable(&self, ticket: Ticket) -> bool {
        self.durable.load(Ordering::Acquire) >= ticket.0
    }

    /// The barrier: returns once everything up to `ticket` is durable.
    pub(super) async fn durable(&self, ticket: Ticket) -> Result<(), Error> {
        while !self.is_durable(ticket) {
            self.check()?;
            let woken = {
                let mut queue = lock(&self.queue);
                let (sender, receiver) = oneshot::channel();
                queue.waiters.push(sender);
                receiver
            };
            self.write_if_idle();
            // A dropped sender means that the write failed, which the next turn reports.
            let _ = woken.await;
        }
        Ok(())
    }

    /// Completes once a write has failed, so that no task waits for what can no longer become durable.
    pub(super) async fn failure(&self) -> Error {
        loop {
            let failure = self.failure.notified();
            if let Err(error) = self.check() {
                return error;
            }
            failure.await;
        }
    }

    /// Ends the thread and waits for it, so that it no longer holds the store. What is queued is written.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake();
        let running = lock(&self.running).take();
        if let Some(running) = running.filter(|running| running.thread().id() != thread::current().id()) {
            // It ends in any case; a panic of it was reported by the thread itself.
            let _ = running.join();
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        self.failed.get().map_or(Ok(()), |cause| Err(Error::Poisoned(cause.clone())))
    }

    fn write_if_idle(&self) {
        match self.writing.try_lock() {
            Ok(writing) => drop(self.write(writing)),
            Err(TryLockError::Poisoned(poisoned)) => drop(self.write(poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => return,
        }
        self.look_again();
    }

    /// Wakes the thread if changes were queued during a write: their submitter found the writer busy and relies on
    /// this.
    fn look_again(&self) {
        if !lock(&self.queue).waiters.is_empty() {
            self.wake();
        }
    }

    /// Writes what is queued; the guard proves that no other thread does.
    fn write<'a>(&self, writing: MutexGuard<'a, ()>) -> MutexGuard<'a, ()> {
        let batch = {
            let mut queue = lock(&self.queue);
            let submitted = queue.submitted;
            std::mem::replace(&mut *queue, Queue { submitted, ..Queue::default() })
        };
        if self.failed.get().is_some() {
            return writing;
        }
        let mut answered = Vec::with_capacity(batch.submissions.len());
        if let Err(error) = self.commit_each(batch.submissions, &mut answered) {
            tracing::error!(%error, "the store failed; nothing is acknowledged from here on");
            // Only the first failure counts.
            let _ = self.failed.set(error.to_string());
            self.failure.notify_waiters();
            self.listener.failed(&error);
            return writing;
        }
        // Released before the write is seen as durable: a task that has passed a barrier finds its output shown.
        let released = answered.iter_mut().filter(|one| one.outcome.is_ok());
        released.flat_map(|one| std::mem::take(&mut one.output)).for_each(|output| self.release(output));
        let applied: Vec<&[Applied]> = answered.iter().filter_map(|one| one.outcome.as_deref().ok()).collect();
        for applied in applied.into_iter().filter(|applied| !applied.is_empty()) {
            self.listener.applied(applied);
            self.backend.peers().into_iter().for_each(|peers| peers.tell(applied));
        }
        batch.due_ms.into_iter().for_each(|due_ms| (self.due)(due_ms));
        for Answered { asker, outcome, .. } in answered {
            if let Some(asker) = asker {
                // The receiver may be gone.
                let _ = asker.send(outcome);
            }
        }
        self.durable.store(batch.submitted, Ordering::Release);
        for waiter in batch.waiters {
            // A waiter that was canceled needs no waking.
            let _ = waiter.send(());
        }
        writing
    }

    /// Writes all submissions in one commit or, if one of them does not fit what is stored, one by one, so that the others do not fail
    /// with it.
    fn commit_each(&self, submissions: Vec<Queued>, answered: &mut Vec<Answered>) -> Result<(), Error> {
        let mut parts = Vec::with_capacity(submissions.len());
        let mut changes = Vec::new();
        for Queued { submission: Submission { changes: own, output, claim }, asker } in submissions {
            let before = changes.len();
            match &claim {
                Some(claim) if !own.is_empty() => {
                    changes.push(Change::Fenced { id: claim.id.clone(), version: claim.version, changes: own });
                }
                _ => changes.extend(own),
            }
            parts.push((before..changes.len(), Answered { asker, claim, output, outcome: Ok(Vec::new()) }));
        }
        let (changes, together) =
            (&changes[..], if changes.is_empty() { Ok(Vec::new()) } else { self.commit(&changes) });
        match together {
            Ok(applied) => {
                let mut applied = applied.into_iter();
                for (range, mut one) in parts {
                    let operations = changes[range].iter().map(Change::operations).sum();
                    one.take_in(applied.by_ref().take(operations).collect());
                    answered.push(one);
                }
            }
            Err(error @ Error::Refused { .. }) if parts.len() == 1 => {
                answered.extend(parts.into_iter().map(|(_, one)| one.refused(&error)));
            }
            Err(Error::Refused { .. }) => {
                for (range, mut one) in parts {
                    match self.commit(&changes[range]) {
                        Ok(applied) => one.take_in(applied),
                        Err(error @ Error::Refused { .. }) => one = one.refused(&error),
                        Err(error) => return Err(error),
                    }
                    answered.push(one);
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Makes one commit. Its CPU time is not charged to the guest whose thread makes it: the batch belongs to all.
    fn commit(&self, changes: &[Change]) -> Result<Vec<Applied>, Error> {
        let before = clock::thread_cpu_us();
        let mut foretell = |applied: &[Applied]| self.listener.foretold(applied);
        let done = catch_unwind(AssertUnwindSafe(|| self.backend.commit_foretold(changes, &mut foretell)));
        let used = clock::thread_cpu_us().saturating_sub(before);
        WRITING_US.set(WRITING_US.get() + used);
        // The state of the store is as unknown as after an error.
        done.unwrap_or_else(|_| Err(Error::Poisoned("the store panicked".to_owned())))
    }

    /// Hands output to its reader. If the reader panics, that output is lost; the writer and its waiters continue.
    fn release(&self, output: Output) {
        if catch_unwind(AssertUnwindSafe(|| (self.sink)(output))).is_err() {
            tracing::error!("the reader of the output panicked");
        }
    }

    /// How long the thread may leave the queue to the next barrier; `None` if there is nothing to write.
    fn due_in(&self) -> Option<Duration> {
        let queue = lock(&self.queue);
        if !queue.waiters.is_empty() {
            return Some(Duration::ZERO);
        }
        queue.since.map(|since| PAUSE.saturating_sub(since.elapsed()))
    }
}

/// The result of a submission.
struct Answered {
    asker: Option<oneshot::Sender<Result<Vec<Applied>, Lost>>>,
    claim: Option<Arc<Claim>>,
    output: Vec<Output>,
    outcome: Result<Vec<Applied>, Lost>,
}

impl Answered {
    /// Sets the results of the operations; the first one is the fence, if there is a claim.
    fn take_in(&mut self, mut applied: Vec<Applied>) {
        let fence = self.claim.as_ref().filter(|_| !applied.is_empty()).map(|claim| (claim, applied.remove(0)));
        self.outcome = match fence {
            Some((claim, Applied { answer: Err(_), .. })) => {
                claim.lose(Lost::Claim);
                Err(Lost::Claim)
            }
            Some(_) | None => Ok(applied),
        };
    }

    fn refused(self, error: &Error) -> Self {
        tracing::error!(%error, "a write of one execution does not fit what is stored");
        let lost = Lost::of(error);
        self.claim.iter().for_each(|claim| claim.lose(lost.clone()));
        Self { outcome: Err(lost), ..self }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        // Wakes the thread, which then finds its committer gone.
        self.wake();
    }
}

fn write_on_request(committer: &Weak<Committer>) {
    while let Some(committer) = committer.upgrade() {
        let stopping = committer.stopping.load(Ordering::Acquire);
        match committer.due_in() {
            None if stopping => return,
            Some(due) if stopping || due.is_zero() => drop(committer.write(lock(&committer.writing))),
            Some(due) => {
                drop(committer);
                thread::park_timeout(due);
            }
            None => {
                // Changes that are queued after this look wake the thread again.
                committer.requested.store(false, Ordering::Release);
                let idle = committer.due_in().is_none();
                drop(committer);
                if idle {
                    thread::park();
                }
            }
        }
    }
}

fn weight(change: &Change) -> usize {
    match change {
        Change::Append { bytes, .. } => bytes.len(),
        Change::Blob(_, blob) => usize::try_from(blob.length()).unwrap_or(usize::MAX),
        Change::Operation { then, .. } => 256 + then.iter().map(weight).sum::<usize>(),
        Change::Fenced { changes, .. } => changes.iter().map(weight).sum(),
        _ => 256,
    }
}

/// Locks a mutex. Its data is valid at every moment, so a poisoned lock is ignored.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;
    use crate::output::Content;
    use everstep_words::id::ExecutionId;
    use std::sync::mpsc;

    struct Nobody;

    impl Listener for Nobody {
        fn applied(&self, _: &[Applied]) {}
        fn failed(&self, _: &Error) {}
    }

    #[tokio::test]
    async fn a_barrier_returns_after_the_output_that_it_covers() {
        let (shown, reader) = mpsc::channel();
        let (go_on, gate) = mpsc::channel();
        let gate = Mutex::new(gate);
        let sink: Sink = Arc::new(move |output| {
            shown.send(output).unwrap();
            lock(&gate).recv().unwrap();
        });
        let backend = Arc::new(MemoryStore::default());
        let committer = Committer::start(backend, sink, Arc::new(Nobody), Box::new(|_| {})).unwrap();
        let output = vec![Output {
            execution: ExecutionId::random(),
            step: 0,
            content: Content::Stdout("text".into()),
            during: None,
        }];
        let ticket = committer.submit(Submission { output, ..Submission::default() });
        committer.request();
        reader.recv().unwrap();

        let mut barrier = std::pin::pin!(committer.durable(ticket));
        assert!(futures::poll!(&mut barrier).is_pending(), "passed while the output was being shown");
        go_on.send(()).unwrap();
        barrier.await.unwrap();
    }
}
