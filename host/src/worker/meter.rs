//! How much an execution has used: CPU time of the thread while its guest is polled, and running time of one activation.

use crate::bridge::{Bridge, Stop};
use crate::clock;
use crate::journal::take_writing_us;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Runs guest code and charges the CPU time to the execution. The engine yields at every tick of its epoch, so a guest that never
/// calls the host is looked at just as often.
pub(super) async fn metered<T>(bridge: &Bridge, guest: impl Future<Output = T>) -> Result<T, Stop> {
    let mut guest = pin!(guest);
    poll_fn(move |context| {
        take_writing_us();
        let before = clock::thread_cpu_us();
        let polled = guest.as_mut().poll(context);
        let used = clock::thread_cpu_us().saturating_sub(before).saturating_sub(take_writing_us());
        match (bridge.charge(used), polled) {
            (_, Poll::Ready(done)) => Poll::Ready(Ok(done)),
            (Err(stop), Poll::Pending) => Poll::Ready(Err(stop)),
            (Ok(()), Poll::Pending) => Poll::Pending,
        }
    })
    .await
}

/// Running time of one activation; waiting for promises does not count.
pub(super) struct Stopwatch {
    limit: Duration,
    time: Mutex<Time>,
    changed: Notify,
}

struct Time {
    used: Duration,
    running_since: Option<Instant>,
}

impl Stopwatch {
    /// A running stopwatch.
    pub(super) fn new(limit: Duration) -> Self {
        let time = Time { used: Duration::ZERO, running_since: Some(clock::instant()) };
        Self { limit, time: Mutex::new(time), changed: Notify::new() }
    }

    pub(super) fn pause(&self) {
        let mut time = self.time();
        if let Some(since) = time.running_since.take() {
            time.used += since.elapsed();
        }
    }

    pub(super) fn resume(&self) {
        self.time().running_since = Some(clock::instant());
        self.changed.notify_waiters();
    }

    /// Completes once the running time has reached the limit.
    pub(super) async fn expired(&self) -> Stop {
        loop {
            let resumed = self.changed.notified();
            match self.left() {
                Some(Duration::ZERO) => {
                    return Stop::Limit(format!(
                        "the limit of {:?} of running time is reached (limits.wall)",
                        self.limit
                    ));
                }
                Some(left) => tokio::time::sleep(left.min(Duration::from_secs(3600))).await,
                None => resumed.await,
            }
        }
    }

    /// Running time that is left; none while paused.
    fn left(&self) -> Option<Duration> {
        let time = self.time();
        let since = time.running_since?;
        Some(self.limit.saturating_sub(time.used.saturating_add(since.elapsed())))
    }

    fn time(&self) -> MutexGuard<'_, Time> {
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
