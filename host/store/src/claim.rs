//! The claim of a run, and how the run learns that it has lost it.

use crate::seam::Lost;
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// The claim of a run: one version of the task of its execution.
pub struct Claim {
    /// The id of the task.
    pub id: String,
    /// The version in which it is held.
    pub version: u64,
    lost: OnceLock<Lost>,
    gone: Notify,
}

impl Claim {
    /// A claim that holds.
    pub fn new(id: String, version: u64) -> Arc<Self> {
        Arc::new(Self { id, version, lost: OnceLock::new(), gone: Notify::new() })
    }

    /// Ends the claim: nothing is written under it any more.
    pub fn lose(&self, lost: Lost) {
        // Only the first cause counts.
        let _ = self.lost.set(lost);
        self.gone.notify_waiters();
    }

    /// Whether it still holds.
    ///
    /// # Errors
    /// The reason that it does not.
    pub fn check(&self) -> Result<(), Lost> {
        self.lost.get().map_or(Ok(()), |lost| Err(lost.clone()))
    }

    /// Completes once the claim is lost.
    pub async fn lost(&self) -> Lost {
        loop {
            let gone = self.gone.notified();
            if let Err(lost) = self.check() {
                return lost;
            }
            gone.await;
        }
    }
}
