//! The claim of a run, and how the run learns that it has lost it.

use crate::Change;
use crate::seam::Lost;
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// The claim of a run: one version of the task of its execution.
pub(super) struct Claim {
    pub(super) id: String,
    pub(super) version: u64,
    lost: OnceLock<Lost>,
    gone: Notify,
}

impl Claim {
    pub(super) fn new(id: String, version: u64) -> Arc<Self> {
        Arc::new(Self { id, version, lost: OnceLock::new(), gone: Notify::new() })
    }

    /// Changes that happen only while the claim holds.
    pub(super) fn fence(&self, changes: Vec<Change>) -> Change {
        Change::Fenced { id: self.id.clone(), version: self.version, changes }
    }

    /// Ends the claim: nothing is written under it any more.
    pub(super) fn lose(&self, lost: Lost) {
        // Only the first cause counts.
        let _ = self.lost.set(lost);
        self.gone.notify_waiters();
    }

    pub(super) fn check(&self) -> Result<(), Lost> {
        self.lost.get().map_or(Ok(()), |lost| Err(lost.clone()))
    }

    /// Completes once the claim is lost.
    pub(super) async fn lost(&self) -> Lost {
        loop {
            let gone = self.gone.notified();
            tokio::pin!(gone);
            gone.as_mut().enable();
            if let Err(lost) = self.check() {
                return lost;
            }
            gone.await;
        }
    }
}
