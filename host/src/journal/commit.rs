//! Group commit: one durable write for everything that all executions have submitted by then.
//!
//! Whoever needs a barrier while nobody writes does the write itself, without a change of thread; whoever comes meanwhile
//! joins the next one, which a thread of its own makes. What nobody waits for is written a moment later, if no barrier comes
//! first. Output is released only after the write, in the order of submission, and then the waiters are woken. The first failed
//! write is the last: what the disk holds is unknown then, so every later barrier fails until the host is started again.

use crate::clock;
use crate::output::{Output, Sink};
use crate::store::operation::Operation;
use crate::store::{self, Applied, Change, Store};
use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError, Weak};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};

/// Submitted changes beyond which the submitter helps writing.
const BACKLOG: usize = 8 << 20;

/// How long a write that nobody waits for may be put off, so that the next barrier covers it.
const PAUSE: Duration = Duration::from_millis(2);

thread_local! {
    static WRITING_US: Cell<u64> = const { Cell::new(0) };
}

/// CPU time that this thread has spent on writing since the last question, in microseconds.
pub(crate) fn take_writing_us() -> u64 {
    WRITING_US.take()
}

/// Who learns what became of a write: what its operations came to, once they are durable, with the earliest moment, in milliseconds
/// since the Unix epoch, at which they give the store something to do; or that it failed. Must not wait for a committer.
pub(crate) type Watch = Arc<dyn Fn(Result<(&[Applied], Option<u64>), &store::Error>) + Send + Sync>;

/// A point in the order of submissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// See the module.
pub(crate) struct Committer {
    store: Arc<dyn Store>,
    sink: Sink,
    watch: Watch,
    queue: Mutex<Queue>,
    /// Held by whoever writes.
    writing: Mutex<()>,
    /// Everything submitted up to this ticket is durable.
    durable: AtomicU64,
    failed: OnceLock<String>,
    /// Wakes those who wait for something else than a write when a write fails.
    failure: Notify,
    writer: OnceLock<Thread>,
    /// Taken by whoever stops the thread.
    running: Mutex<Option<JoinHandle<()>>>,
    stopping: AtomicBool,
    /// The thread knows that there is something to write soon.
    requested: AtomicBool,
}

#[derive(Default)]
struct Queue {
    changes: Vec<Change>,
    bytes: usize,
    output: Vec<Output>,
    waiters: Vec<oneshot::Sender<()>>,
    /// Operations among the changes.
    operations: usize,
    /// Who wants to know what came of the operations of that range.
    askers: Vec<(Range<usize>, oneshot::Sender<Vec<Applied>>)>,
    /// The earliest moment at which the operations give the store something to do.
    due_ms: Option<u64>,
    submitted: u64,
    /// Since when something has been waiting here.
    since: Option<Instant>,
}

impl Committer {
    /// A committer over a store, with its thread, which ends with [`stop`](Self::stop), or once the committer is dropped.
    pub(crate) fn start(store: Arc<dyn Store>, sink: Sink, watch: Watch) -> std::io::Result<Arc<Self>> {
        let committer = Self::new(store, sink, watch);
        let weak = Arc::downgrade(&committer);
        let writer = thread::Builder::new().name("everstep-commit".into()).spawn(move || write_on_request(&weak))?;
        // Nobody else sets it.
        let _ = committer.writer.set(writer.thread().clone());
        *lock(&committer.running) = Some(writer);
        Ok(committer)
    }

    /// A committer without a thread: it writes when somebody waits. For an execution that nothing is kept of.
    pub(crate) fn unattended(store: Arc<dyn Store>) -> Arc<Self> {
        Self::new(store, Arc::new(drop), Arc::new(|_| {}))
    }

    fn new(store: Arc<dyn Store>, sink: Sink, watch: Watch) -> Arc<Self> {
        Arc::new(Self {
            store,
            sink,
            watch,
            queue: Mutex::default(),
            writing: Mutex::default(),
            durable: AtomicU64::new(0),
            failed: OnceLock::new(),
            failure: Notify::new(),
            writer: OnceLock::new(),
            running: Mutex::default(),
            stopping: AtomicBool::new(false),
            requested: AtomicBool::new(false),
        })
    }

    /// Queues changes and the output that depends on them; they are written with the next barrier or request.
    pub(crate) fn submit(&self, changes: impl IntoIterator<Item = Change>, output: Vec<Output>) -> Ticket {
        self.enqueue(changes, output, None)
    }

    /// Queues changes and does not wait; the receiver gets what their operations came to, once that is durable.
    pub(crate) fn ask(&self, changes: impl IntoIterator<Item = Change>) -> (Ticket, Asked) {
        let (sender, receiver) = oneshot::channel();
        (self.enqueue(changes, Vec::new(), Some(sender)), Asked(receiver))
    }

    /// One operation, durably.
    pub(crate) async fn operate(&self, now_ms: u64, operation: Operation) -> Result<Applied, store::Error> {
        let (ticket, asked) = self.ask([Change::operation(now_ms, operation)]);
        self.durable(ticket).await?;
        asked.last().await
    }

    fn enqueue(
        &self,
        changes: impl IntoIterator<Item = Change>,
        output: Vec<Output>,
        asker: Option<oneshot::Sender<Vec<Applied>>>,
    ) -> Ticket {
        let mut queue = lock(&self.queue);
        let first = queue.operations;
        for change in changes {
            queue.bytes += weight(&change);
            if let Change::Operation { now_ms, operation, .. } = &change {
                queue.operations += 1;
                queue.due_ms = queue.due_ms.into_iter().chain(operation.due(*now_ms)).min();
            }
            queue.changes.push(change);
        }
        let asked = first..queue.operations;
        queue.askers.extend(asker.map(|asker| (asked, asker)));
        queue.output.extend(output);
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
    pub(crate) fn request(&self) {
        if !self.requested.swap(true, Ordering::AcqRel) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    /// The barrier: returns once everything up to `ticket` is durable.
    pub(crate) async fn durable(&self, ticket: Ticket) -> Result<(), store::Error> {
        while self.durable.load(Ordering::Acquire) < ticket.0 {
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

    /// Completes once a write has failed, so that nobody waits for what cannot become durable any more.
    pub(crate) async fn failure(&self) -> store::Error {
        loop {
            let failure = self.failure.notified();
            if let Err(error) = self.check() {
                return error;
            }
            failure.await;
        }
    }

    /// Ends the thread and waits for it, so that it does not hold the store any more. What is queued is written.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake();
        let running = lock(&self.running).take();
        if let Some(running) = running.filter(|running| running.thread().id() != thread::current().id()) {
            // It ends in any case; a panic of it was reported by the thread itself.
            let _ = running.join();
        }
    }

    /// The store itself, for reading.
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    fn check(&self) -> Result<(), store::Error> {
        self.failed.get().map_or(Ok(()), |cause| Err(store::Error::Poisoned(cause.clone())))
    }

    fn write_if_idle(&self) {
        match self.writing.try_lock() {
            Ok(writing) => drop(self.write(writing)),
            Err(TryLockError::Poisoned(poisoned)) => drop(self.write(poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => return,
        }
        self.look_again();
    }

    /// Whoever queued something during a write found the writer busy and relies on this look after it.
    fn look_again(&self) {
        if !lock(&self.queue).waiters.is_empty() {
            self.wake();
        }
    }

    /// Writes what is queued; the guard proves that nobody else does.
    fn write<'a>(&self, writing: MutexGuard<'a, ()>) -> MutexGuard<'a, ()> {
        let batch = {
            let mut queue = lock(&self.queue);
            let submitted = queue.submitted;
            std::mem::replace(&mut *queue, Queue { submitted, ..Queue::default() })
        };
        if self.failed.get().is_some() {
            return writing;
        }
        let committed = if batch.changes.is_empty() { Ok(Vec::new()) } else { self.commit(&batch.changes) };
        let applied = match committed {
            Ok(applied) => applied,
            Err(error) => {
                tracing::error!(%error, "the store failed; nothing is acknowledged from here on");
                // Only the first failure counts.
                let _ = self.failed.set(error.to_string());
                self.failure.notify_waiters();
                (self.watch)(Err(&error));
                return writing;
            }
        };
        // Released before anybody can see that it is durable: whoever has passed a barrier finds its output shown.
        batch.output.into_iter().for_each(|output| self.release(output));
        if !applied.is_empty() {
            (self.watch)(Ok((&applied, batch.due_ms)));
        }
        for (asked, asker) in batch.askers {
            // Whoever asked may have gone away.
            let _ = asker.send(applied.get(asked).unwrap_or_default().to_vec());
        }
        self.durable.store(batch.submitted, Ordering::Release);
        for waiter in batch.waiters {
            // A waiter that was canceled needs no waking.
            let _ = waiter.send(());
        }
        writing
    }

    /// One write of the store. Its time is not that of the guest whose thread makes it: the batch is everybody's.
    fn commit(&self, changes: &[Change]) -> Result<Vec<Applied>, store::Error> {
        let before = clock::thread_cpu_us();
        let done = catch_unwind(AssertUnwindSafe(|| self.store.commit(changes)));
        let used = clock::thread_cpu_us().saturating_sub(before);
        WRITING_US.set(WRITING_US.get() + used);
        // What the store holds is as unknown as after an error.
        done.unwrap_or_else(|_| Err(store::Error::Poisoned("the store panicked".to_owned())))
    }

    /// A reader that panics loses what it was given; the writer, and whoever waits for it, goes on.
    fn release(&self, output: Output) {
        if catch_unwind(AssertUnwindSafe(|| (self.sink)(output))).is_err() {
            tracing::error!("the reader of the output panicked");
        }
    }

    /// How long the thread may leave the queue to the next barrier; none when there is nothing to write.
    fn due_in(&self) -> Option<Duration> {
        let queue = lock(&self.queue);
        if !queue.waiters.is_empty() {
            return Some(Duration::ZERO);
        }
        queue.since.map(|since| PAUSE.saturating_sub(since.elapsed()))
    }
}

/// What the operations of a submission came to.
pub(crate) struct Asked(oneshot::Receiver<Vec<Applied>>);

impl Asked {
    /// All of them, in order; the submission must be durable, or the write has failed.
    pub(crate) async fn all(self) -> Result<Vec<Applied>, store::Error> {
        self.0.await.map_err(|_| lost())
    }

    /// The last one.
    pub(crate) async fn last(self) -> Result<Applied, store::Error> {
        self.all().await?.pop().ok_or_else(lost)
    }
}

fn lost() -> store::Error {
    store::Error::Poisoned("nobody says what came of an operation".to_owned())
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
                // What comes after this look at the queue wakes the thread again.
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
        _ => 256,
    }
}

/// Locks a mutex whose data is valid at every moment, so that a panic elsewhere does not matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ExecutionId;
    use crate::output::Content;
    use crate::store::MemoryStore;
    use std::sync::mpsc;

    #[tokio::test]
    async fn a_barrier_returns_after_the_output_that_it_covers() {
        let (shown, reader) = mpsc::channel();
        let (go_on, gate) = mpsc::channel();
        let gate = Mutex::new(gate);
        let sink: Sink = Arc::new(move |output| {
            shown.send(output).unwrap();
            lock(&gate).recv().unwrap();
        });
        let committer = Committer::start(Arc::new(MemoryStore::default()), sink, Arc::new(|_| {})).unwrap();
        let output = Output { execution: ExecutionId::random(), step: 0, content: Content::Stdout("text".into()) };
        let ticket = committer.submit([], vec![output]);
        committer.request();
        reader.recv().unwrap();

        let mut barrier = std::pin::pin!(committer.durable(ticket));
        assert!(futures::poll!(&mut barrier).is_pending(), "passed while the output was being shown");
        go_on.send(()).unwrap();
        barrier.await.unwrap();
    }
}
