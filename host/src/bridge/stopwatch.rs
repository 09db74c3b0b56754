//! Running time of one activation, held against `limits.wall`.

use crate::clock;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Running time of one activation; waiting for promises does not count.
pub(crate) struct Stopwatch {
    limit: Duration,
    time: Mutex<Time>,
    changed: Notify,
}

struct Time {
    used: Duration,
    running_since: Option<Instant>,
}

impl Stopwatch {
    /// A stopwatch that is paused until [`resume`](Self::resume).
    pub(super) fn new(limit: Duration) -> Self {
        let time = Time { used: Duration::ZERO, running_since: None };
        Self { limit, time: Mutex::new(time), changed: Notify::new() }
    }

    pub(super) fn pause(&self) {
        let mut time = self.time();
        if let Some(since) = time.running_since.take() {
            time.used += since.elapsed();
        }
    }

    /// Whether the guest waits for promises.
    pub(super) fn is_paused(&self) -> bool {
        self.time().running_since.is_none()
    }

    pub(crate) fn resume(&self) {
        self.time().running_since = Some(clock::instant());
        self.changed.notify_waiters();
    }

    /// Counts from zero again.
    pub(super) fn restart(&self) {
        let mut time = self.time();
        time.used = Duration::ZERO;
        time.running_since = time.running_since.map(|_| clock::instant());
    }

    /// Completes once the running time has reached the limit; returns the message.
    pub(super) async fn expired(&self) -> String {
        loop {
            let resumed = self.changed.notified();
            match self.left() {
                Some(Duration::ZERO) => {
                    return format!("the limit of {:?} of running time is reached (limits.wall)", self.limit);
                }
                Some(left) => tokio::time::sleep(left.min(Duration::from_secs(3600))).await,
                None => resumed.await,
            }
        }
    }

    /// Running time that is left; `None` while paused.
    fn left(&self) -> Option<Duration> {
        let time = self.time();
        let since = time.running_since?;
        Some(self.limit.saturating_sub(time.used.saturating_add(since.elapsed())))
    }

    fn time(&self) -> MutexGuard<'_, Time> {
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
