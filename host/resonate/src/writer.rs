//! Applies operations, in one commit for all that wait, and lets time pass in the store.

use everstep_store::clock::{Clock, SystemClock};
use everstep_store::operation::{Answer, Operation};
use everstep_store::{Applied, Backend, Change};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// Operations of one commit.
const MOST: usize = 256;
/// The latest time that a request may name: the end of the year 4999, where schedules end.
const LATEST_MS: u64 = 95_617_583_999_999;

/// A handle of the writing thread, which ends with its last handle or when the store fails.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    jobs: Sender<Job>,
    failed: watch::Receiver<Option<String>>,
}

struct Job {
    operation: Operation,
    /// The time that its request names.
    named_ms: Option<u64>,
    answer: oneshot::Sender<Answer>,
}

/// What time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    /// That of the machine; what is due happens by itself.
    System,
    /// The latest that a request named; what is due happens when a request says so.
    Named(u64),
}

/// Who learns what happened, once it is durable, before those who asked for it.
pub(super) trait Observer: Send + 'static {
    /// `operation` is none for what the passage of time did.
    fn observe(&self, operation: Option<&Operation>, applied: &Applied);
}

impl Writer {
    pub(super) fn start(store: Arc<dyn Backend>, observer: impl Observer, time: Time) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let (fail, failed) = watch::channel(None);
        std::thread::Builder::new().name("everstep-writer".into()).spawn(move || {
            if let Err(error) = work(&*store, &queue, &observer, time) {
                fail.send_replace(Some(error.to_string()));
            }
        })?;
        Ok(Self { jobs, failed })
    }

    /// Applies an operation, at a time if that is for requests to name; none when the store has failed.
    pub(super) async fn operate(&self, operation: Operation, named_ms: Option<u64>) -> Option<Answer> {
        let (answer, answered) = oneshot::channel();
        self.jobs.send(Job { operation, named_ms, answer }).ok()?;
        answered.await.ok()
    }

    /// Whether the store works.
    pub(super) fn works(&self) -> bool {
        self.failed.has_changed().is_ok() && self.failed.borrow().is_none()
    }

    /// Why the store has failed, once it has.
    pub(super) async fn failure(&self) -> String {
        let mut failed = self.failed.clone();
        match failed.wait_for(Option::is_some).await {
            Ok(error) => error.clone().unwrap_or_default(),
            // In order it ends with its last handle, and this is one.
            Err(_) => "the thread that writes has ended".to_owned(),
        }
    }
}

impl Time {
    /// The time of a request that may name one.
    fn at(&mut self, named_ms: Option<u64>, system_ms: u64) -> u64 {
        match self {
            Self::System => system_ms,
            Self::Named(latest) => {
                *latest = named_ms.map_or(*latest, |named| named.clamp(*latest, LATEST_MS.max(*latest)));
                *latest
            }
        }
    }
}

fn work(
    store: &dyn Backend,
    queue: &Receiver<Job>,
    observer: &impl Observer,
    mut time: Time,
) -> Result<(), everstep_store::Error> {
    let mut due = store.next_due()?;
    loop {
        let first = match due.filter(|_| time == Time::System) {
            Some(at) => match queue.recv_timeout(Duration::from_millis(at.saturating_sub(SystemClock.now_ms()))) {
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
        let sweeps = time == Time::System && due.is_some_and(|at| at <= now_ms);
        let change = |job: &Job| Change::operation(time.at(job.named_ms, now_ms), job.operation.clone());
        let mut changes: Vec<_> = jobs.iter().map(change).collect();
        changes.extend(sweeps.then(|| Change::operation(now_ms, Operation::Sweep)));
        let mut applied = store.commit(&changes)?.into_iter();
        for (Job { operation, answer, .. }, applied) in jobs.into_iter().zip(applied.by_ref()) {
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
