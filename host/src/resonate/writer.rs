//! Applies operations, in one commit for all that wait, and lets time pass in the store.

use everstep::clock::{Clock, SystemClock};
use everstep::store::operation::{Answer, Operation};
use everstep::store::{Applied, Backend, Change};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// Operations of one commit.
const MOST: usize = 256;

/// A handle of the writing thread, which ends with its last handle or when the store fails.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    jobs: Sender<Job>,
    failed: watch::Receiver<Option<String>>,
}

struct Job {
    operation: Operation,
    answer: oneshot::Sender<Answer>,
}

/// Who learns what happened, once it is durable, before those who asked for it.
pub(super) trait Observer: Send + 'static {
    /// `operation` is none for what the passage of time did.
    fn observe(&self, operation: Option<&Operation>, applied: &Applied);
}

impl Writer {
    pub(super) fn start(store: Arc<dyn Backend>, observer: impl Observer) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let (fail, failed) = watch::channel(None);
        std::thread::Builder::new().name("everstep-writer".into()).spawn(move || {
            if let Err(error) = work(&*store, &queue, &observer) {
                fail.send_replace(Some(error.to_string()));
            }
        })?;
        Ok(Self { jobs, failed })
    }

    /// Applies an operation; none when the store has failed.
    pub(super) async fn operate(&self, operation: Operation) -> Option<Answer> {
        let (answer, answered) = oneshot::channel();
        self.jobs.send(Job { operation, answer }).ok()?;
        answered.await.ok()
    }

    /// Whether the store works.
    pub(super) fn works(&self) -> bool {
        self.failed.borrow().is_none()
    }

    /// Why the store has failed, once it has.
    pub(super) async fn failure(&self) -> String {
        let mut failed = self.failed.clone();
        match failed.wait_for(Option::is_some).await {
            Ok(error) => error.clone().unwrap_or_default(),
            // The thread has ended in order.
            Err(_) => std::future::pending().await,
        }
    }
}

fn work(store: &dyn Backend, queue: &Receiver<Job>, observer: &impl Observer) -> Result<(), everstep::store::Error> {
    let mut due = store.next_due()?;
    loop {
        let now_ms = SystemClock.now_ms();
        let first = match due {
            Some(at) => match queue.recv_timeout(Duration::from_millis(at.saturating_sub(now_ms))) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            },
            None => match queue.recv() {
                Ok(job) => Some(job),
                Err(_) => return Ok(()),
            },
        };
        let jobs: Vec<Job> = first.into_iter().chain(queue.try_iter()).take(MOST).collect();
        let now_ms = SystemClock.now_ms();
        let sweeps = due.is_some_and(|at| at <= now_ms);
        let mut changes: Vec<_> = jobs.iter().map(|job| Change::operation(now_ms, job.operation.clone())).collect();
        changes.extend(sweeps.then(|| Change::operation(now_ms, Operation::Sweep)));
        let mut applied = store.commit(&changes)?.into_iter();
        for (Job { operation, answer }, applied) in jobs.into_iter().zip(applied.by_ref()) {
            observer.observe(Some(&operation), &applied);
            due = due.into_iter().chain(operation.due(now_ms)).min();
            // Whoever asked may have gone away.
            let _ = answer.send(applied.answer);
        }
        applied.for_each(|swept| observer.observe(None, &swept));
        if sweeps {
            due = store.next_due()?;
        }
    }
}
