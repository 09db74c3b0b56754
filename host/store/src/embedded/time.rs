//! Lets time pass in a store: its host looks at it whenever something is due there.

use super::commit::Committer;
use crate::clock::Clock;
use crate::operation::Operation;
use crate::{Backend, Change};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use tokio::sync::Notify;

/// The time of the host's next look at the store.
pub(super) struct Alarm {
    at_ms: AtomicU64,
    stopped: AtomicBool,
    changed: Notify,
}

impl Default for Alarm {
    fn default() -> Self {
        Self { at_ms: AtomicU64::new(u64::MAX), stopped: AtomicBool::new(false), changed: Notify::new() }
    }
}

impl Alarm {
    /// Announces that something is due at `at_ms`; if that is before the next look, the look is brought forward.
    pub(super) fn set(&self, at_ms: u64) {
        if at_ms < self.at_ms.load(Ordering::SeqCst) {
            self.changed.notify_one();
        }
    }

    /// Requests a new look at the store.
    pub(super) fn look(&self) {
        self.changed.notify_one();
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.changed.notify_one();
    }
}

/// Lets time pass in the store until it is stopped, dropped, or fails.
pub(super) async fn pass(
    alarm: Arc<Alarm>,
    clock: Arc<dyn Clock>,
    backend: Weak<dyn Backend>,
    committer: Weak<Committer>,
) {
    loop {
        let changed = alarm.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        if alarm.stopped.load(Ordering::SeqCst) {
            return;
        }
        // Whatever becomes due from here on is noticed, earlier or later than what the store says now.
        alarm.at_ms.store(u64::MAX, Ordering::SeqCst);
        let next = {
            let Some(backend) = backend.upgrade() else { return };
            match backend.next_due() {
                Ok(next) => next,
                Err(error) => return tracing::error!(%error, "the store cannot be read; nothing is due any more"),
            }
        };
        alarm.at_ms.store(next.unwrap_or(u64::MAX), Ordering::SeqCst);
        if next.is_some_and(|next| next <= clock.now_ms()) {
            let Some(committer) = committer.upgrade() else { return };
            let sweep = Change::operation(clock.now_ms(), Operation::Sweep);
            if committer.write_now(vec![sweep]).await.is_err() {
                // The failure is reported to all that need the store.
                return;
            }
            continue;
        }
        let due = async {
            match next {
                Some(next) => clock.sleep_aside(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = changed => {}
        }
    }
}
