//! Who holds an execution: at most one task of this host at a time.

use super::Report;
use crate::bridge::Bridge;
use crate::id::ExecutionId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};

/// What a run came to, for all who wait for it; none while it runs.
pub(super) type Outcome = Option<Result<Report, Arc<super::Error>>>;

/// The executions that this host holds.
#[derive(Default)]
pub(super) struct Live {
    held: Mutex<HashMap<ExecutionId, Held>>,
    freed: Notify,
}

enum Held {
    /// Somebody looks it up, changes it, or is about to run it.
    Reserved,
    /// It runs.
    Running(Running),
}

/// A run in progress.
#[derive(Clone)]
pub(super) struct Running {
    pub(super) bridge: Arc<Bridge>,
    /// What it was started with, for those who want to run something under the same id.
    pub(super) args: Arc<str>,
    pub(super) outcome: watch::Receiver<Outcome>,
}

impl Running {
    /// Waits until the run has let go of the execution; its outcome, if it came to one.
    pub(super) async fn ended(&mut self) -> Outcome {
        // The sender goes away with the run.
        let outcome = self.outcome.wait_for(Option::is_some).await;
        outcome.map_or(None, |outcome| outcome.clone())
    }
}

/// The right to change an execution; given back on drop.
pub(super) struct Claim {
    live: Arc<Live>,
    id: ExecutionId,
}

/// What a claim came to.
pub(super) enum Claimed {
    /// It runs in this host.
    Running(Running),
    /// Nobody else touches it now.
    Free(Claim),
}

impl Live {
    /// Claims an execution, after whoever changes it at the moment.
    pub(super) async fn claim(self: &Arc<Self>, id: &ExecutionId) -> Claimed {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            {
                let mut held = self.held();
                match held.get(id) {
                    Some(Held::Running(running)) => return Claimed::Running(running.clone()),
                    Some(Held::Reserved) => {}
                    None => {
                        held.insert(id.clone(), Held::Reserved);
                        return Claimed::Free(Claim { live: Arc::clone(self), id: id.clone() });
                    }
                }
            }
            freed.await;
        }
    }

    /// The run of one execution.
    pub(super) fn run_of(&self, id: &ExecutionId) -> Option<Running> {
        match self.held().get(id) {
            Some(Held::Running(running)) => Some(running.clone()),
            _ => None,
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<ExecutionId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// Makes the execution known as running; the claim lasts as long as the run.
    pub(super) fn run(&self, bridge: Arc<Bridge>, args: &str) -> (Running, watch::Sender<Outcome>) {
        let (sender, outcome) = watch::channel(None);
        let running = Running { bridge, args: args.into(), outcome };
        self.live.held().insert(self.id.clone(), Held::Running(running.clone()));
        self.live.freed.notify_waiters();
        (running, sender)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.live.held().remove(&self.id);
        self.live.freed.notify_waiters();
    }
}
