//! Counts the work that this host does for each lineage, so that an execution that does not wait can tell when its
//! lineage is at rest.

use crate::id::ExecutionId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// The number of pieces of work under way for each lineage.
#[derive(Default)]
pub(super) struct Activity {
    busy: Mutex<HashMap<String, usize>>,
    rests: Notify,
}

/// Work for an execution, under way or about to begin, for as long as this lives.
pub(super) struct Busy {
    activity: Arc<Activity>,
    root: String,
}

impl Activity {
    pub(super) fn begin(self: &Arc<Self>, id: &ExecutionId) -> Busy {
        let root = id.root().to_owned();
        *self.busy().entry(root.clone()).or_default() += 1;
        Busy { activity: Arc::clone(self), root }
    }

    /// Waits until no work is under way for the lineage of an execution.
    pub(super) async fn at_rest(&self, id: &ExecutionId) {
        loop {
            let rests = self.rests.notified();
            if !self.busy().contains_key(id.root()) {
                return;
            }
            rests.await;
        }
    }

    /// Locks the counts. They are right at every moment, so a poisoned lock is ignored.
    fn busy(&self) -> std::sync::MutexGuard<'_, HashMap<String, usize>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Busy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Busy").field(&self.root).finish()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut busy = self.activity.busy();
        if let Some(count) = busy.get_mut(&self.root) {
            *count -= 1;
            if *count == 0 {
                busy.remove(&self.root);
                self.activity.rests.notify_waiters();
            }
        }
    }
}
