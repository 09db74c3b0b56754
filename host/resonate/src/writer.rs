//! Applies waiting operations in one commit, and lets time pass in the store.

use everstep_store::clock::Clock;
use everstep_store::operation::{Answer, Operation};
use everstep_store::{Applied, Backend, Change};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{oneshot, watch};

/// The most operations of one commit.
const MOST: usize = 256;
/// The latest time that a request may name: the end of the year 4999, where schedules end.
const LATEST_MS: u64 = 95_617_583_999_999;

/// A handle to the writing thread, which ends with its last handle or when the store fails.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: Sender<Job>,
    failed: watch::Receiver<Option<String>>,
    clock: Arc<dyn Clock>,
    /// When something is due in the store.
    due: watch::Receiver<Option<u64>>,
}

enum Job {
    Operate {
        operation: Operation,
        /// The time that its request names.
        named_ms: Option<u64>,
        witness: Option<Witness>,
        answer: oneshot::Sender<Answer>,
    },
    /// Look at what is due, as another host may have left it.
    Look,
    /// Something may be due by now.
    Ring,
}

/// Sees the time of an operation, in milliseconds since the Unix epoch, and its answer, in the order of the operations.
pub(super) type Witness = Box<dyn FnOnce(u64, &Answer) + Send>;

/// The source of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    /// That of the clock; what is due happens by itself.
    Clock,
    /// The latest time that a request named; what is due happens when a request says so.
    Named(u64),
}

/// Receives what happened once it is durable, before the callers get their answers.
pub(super) trait Observer: Send + 'static {
    /// `operation` is `None` for effects of the passage of time.
    fn observe(&self, operation: Option<&Operation>, applied: &Applied);
}

impl Writer {
    pub(super) fn start(
        store: Arc<dyn Backend>,
        observer: impl Observer,
        time: Time,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let (fail, failed) = watch::channel(None);
        let (set, due) = watch::channel(None);
        let thread_clock = Arc::clone(&clock);
        std::thread::Builder::new().name("everstep-writer".into()).spawn(move || {
            if let Err(error) = work(&*store, &queue, &observer, time, &*thread_clock, &set) {
                fail.send_replace(Some(error.to_string()));
            }
        })?;
        Ok(Self { jobs, failed, clock, due })
    }

    /// Rings whenever something is due, until the thread has ended.
    pub(super) async fn ring(&self) {
        let mut due = self.due.clone();
        loop {
            let at = *due.borrow_and_update();
            let is_due = async {
                match at {
                    Some(at) => self.clock.sleep_aside(at).await,
                    None => std::future::pending().await,
                }
            };
            let changed = tokio::select! {
                () = is_due => {
                    // A thread that has ended does nothing any more.
                    let _ = self.jobs.send(Job::Ring);
                    due.changed().await
                }
                changed = due.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
        }
    }

    /// Applies an operation, at the given time if requests set it; `None` if the store has failed. The witness sees the answer first.
    pub(super) async fn operate(
        &self,
        operation: Operation,
        named_ms: Option<u64>,
        witness: Option<Witness>,
    ) -> Option<Answer> {
        let (answer, answered) = oneshot::channel();
        self.jobs.send(Job::Operate { operation, named_ms, witness, answer }).ok()?;
        answered.await.ok()
    }

    /// Makes the thread look at what is due in the store.
    pub(super) fn look(&self) {
        // A thread that has ended does nothing any more.
        let _ = self.jobs.send(Job::Look);
    }

    /// Whether the store works.
    pub(super) fn works(&self) -> bool {
        self.failed.has_changed().is_ok() && self.failed.borrow().is_none()
    }

    /// Waits until the store has failed; returns the reason.
    pub(super) async fn failure(&self) -> String {
        let mut failed = self.failed.clone();
        match failed.wait_for(Option::is_some).await {
            Ok(error) => error.clone().unwrap_or_default(),
            // Otherwise it ends only with its last handle, and this is one.
            Err(_) => "the thread that writes has ended".to_owned(),
        }
    }
}

impl Time {
    /// The time of a request that may name one.
    fn at(&mut self, named_ms: Option<u64>, now_ms: u64) -> u64 {
        match self {
            Self::Clock => now_ms,
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
    clock: &dyn Clock,
    set: &watch::Sender<Option<u64>>,
) -> Result<(), everstep_store::Error> {
    let mut due = store.next_due()?;
    let (rings, mut rung) = (time == Time::Clock, false);
    loop {
        let next = due.filter(|_| rings);
        set.send_if_modified(|before| std::mem::replace(before, next) != next || rung);
        rung = false;
        let Ok(first) = queue.recv() else { return Ok(()) };
        let jobs: Vec<Job> = [first].into_iter().chain(queue.try_iter()).take(MOST).collect();
        let now_ms = clock.now_ms();
        let sweeps = rings && due.is_some_and(|at| at <= now_ms);
        let (mut changes, mut askers, mut looks) = (Vec::with_capacity(jobs.len()), Vec::new(), sweeps);
        for job in jobs {
            match job {
                Job::Operate { operation, named_ms, witness, answer } => {
                    let at_ms = time.at(named_ms, now_ms);
                    changes.push(Change::operation(at_ms, operation.clone()));
                    askers.push((operation, witness.map(|witness| (at_ms, witness)), answer));
                }
                Job::Look => looks = true,
                Job::Ring => rung = true,
            }
        }
        changes.extend(sweeps.then(|| Change::operation(now_ms, Operation::Sweep)));
        let applied = if changes.is_empty() { Vec::new() } else { store.commit(&changes)? };
        store.peers().into_iter().for_each(|peers| peers.tell(&applied));
        let mut applied = applied.into_iter();
        for ((operation, witness, answer), applied) in askers.into_iter().zip(applied.by_ref()) {
            if let Some((at_ms, witness)) = witness {
                witness(at_ms, &applied.answer);
            }
            observer.observe(Some(&operation), &applied);
            due = due.into_iter().chain(operation.due(now_ms)).min();
            // The receiver may be gone.
            let _ = answer.send(applied.answer);
        }
        applied.for_each(|swept| observer.observe(None, &swept));
        if looks {
            due = store.next_due()?;
        }
    }
}
