//! The only road from a guest to an effect: replay, policy, barrier, effect, record.
//!
//! [`Bridge`] is one execution seen from its guest. `pipeline` is the road itself, written once for the four classes of
//! step: internal, external, output and promise. `replay` compares the guest with the journal, `promises` settles and delivers,
//! `memo` remembers computations, `state` is what they share, `fault` is how a call can end. What a step means is known to the capability
//! alone (`crate::capability`); the journal and the policy know only its kind, its digest and its grant.

mod fault;
mod memo;
mod pipeline;
mod promises;
mod replay;
mod state;
mod value;

pub(crate) use fault::{Divergence, Fault, Stop};
pub(crate) use memo::Recollection;
pub(crate) use pipeline::Step;
pub use promises::Patience;
pub(crate) use promises::{About, NewPromise, Settlement, Shown};
pub(crate) use state::{Promise, State};
pub(crate) use value::{Json, Value};

use crate::capability::Registry;
use crate::clock::Clock;
use crate::grants::Grants;
use crate::id::ExecutionId;
use crate::journal::{Committer, Ticket};
use crate::output::Output;
use crate::store::{self, Change};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, OwnedMutexGuard};

/// One execution that this host runs: everything its guest can reach.
pub(crate) struct Bridge {
    pub(crate) id: ExecutionId,
    pub(crate) function: String,
    pub(crate) seed: [u8; 32],
    pub(crate) grants: Arc<Grants>,
    pub(crate) capabilities: Arc<Registry>,
    pub(crate) clock: Arc<dyn Clock>,
    committer: Arc<Committer>,
    state: Mutex<State>,
    /// Something was settled or canceled.
    changed: Notify,
    /// Held by an effect that the guest blocks on, also when the run has been stopped meanwhile.
    blocking: Arc<tokio::sync::Mutex<()>>,
}

/// What a bridge is made of.
pub(crate) struct Parts {
    pub(crate) id: ExecutionId,
    pub(crate) function: String,
    pub(crate) seed: [u8; 32],
    pub(crate) grants: Arc<Grants>,
    pub(crate) capabilities: Arc<Registry>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) committer: Arc<Committer>,
}

impl Bridge {
    /// The bridge of an execution that is in `state`.
    pub(crate) fn new(parts: Parts, state: State) -> Arc<Self> {
        let Parts { id, function, seed, grants, capabilities, clock, committer } = parts;
        let (state, changed, blocking) = (Mutex::new(state), Notify::new(), Arc::default());
        Arc::new(Self { id, function, seed, grants, capabilities, clock, committer, state, changed, blocking })
    }

    /// The right to an effect that cannot be given up half way, after the one before it. Whoever ends a run, or takes the
    /// execution up again, waits for it too.
    pub(crate) async fn block(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.blocking).lock_owned().await
    }

    /// What the bridge knows; its data is valid at every moment, so that a panic elsewhere does not matter.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands everything recorded so far, and `changes`, to the group commit.
    pub(crate) fn submit(&self, state: &mut State, changes: impl IntoIterator<Item = Change>) -> Ticket {
        let mut all: Vec<Change> = state.journal.take_segment().into_iter().collect();
        all.extend(changes);
        if !all.is_empty() && state.progress.cpu_us - state.kept_cpu_us > self.cpu_grain_us() {
            all.push(state.keep_progress(self.clock.now_ms()));
        }
        let output: Vec<Output> = std::mem::take(&mut state.output);
        if !all.is_empty() || !output.is_empty() {
            state.submitted = self.committer.submit(all, output);
        }
        state.submitted
    }

    /// CPU time that may be lost in a crash: a twentieth of the limit.
    fn cpu_grain_us(&self) -> u64 {
        u64::try_from(self.grants.policy.limits.cpu.as_micros() / 20).unwrap_or(u64::MAX)
    }

    /// Like [`submit`](Self::submit), and asks for a write soon.
    fn submit_soon(&self, state: &mut State, changes: impl IntoIterator<Item = Change>) -> Ticket {
        let ticket = self.submit(state, changes);
        self.committer.request();
        ticket
    }

    /// The barrier: returns once everything up to `ticket` is durable.
    pub(crate) async fn durable(&self, ticket: Ticket) -> Result<(), store::Error> {
        self.committer.durable(ticket).await
    }

    /// Adds CPU time to what the execution has used. What earlier runs have used counts from the end of the journal on: a replay
    /// repeats it up to there.
    pub(crate) fn charge(&self, used_us: u64) -> Result<(), Stop> {
        let mut state = self.state();
        state.cpu_us += used_us;
        if state.live || state.journal.history.peek()?.is_none() {
            state.cpu_us = state.cpu_us.max(state.progress.cpu_us);
            state.progress.cpu_us = state.cpu_us;
        }
        let limit = self.grants.policy.limits.cpu;
        if u128::from(state.cpu_us) > limit.as_micros() {
            return Err(Stop::Limit(format!("the limit of {limit:?} of CPU time is reached (limits.cpu)")));
        }
        Ok(())
    }

    /// Ends the execution from outside: whatever the guest does next stops with [`Stop::Canceled`].
    pub(crate) fn cancel(&self) {
        self.state().canceled = true;
        self.changed.notify_waiters();
    }

    /// Completes once somebody has canceled the execution.
    pub(crate) async fn canceled(&self) {
        loop {
            let changed = self.changed.notified();
            if self.state().canceled {
                return;
            }
            changed.await;
        }
    }
}
