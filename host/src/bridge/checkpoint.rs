//! Checkpoints: points where a guest resumes after a trap, and the limits on what it does between two of them.
//!
//! An instance that has trapped cannot be used again. It is discarded, and a `trapped` record appended; another instance repeats what is
//! recorded up to the checkpoint, skips what the first one did after it, and is told there why that one trapped.

use super::state::Part;
use super::{Arg, Bridge, Fault, State, Step, Stop};
use crate::guest_error::{ErrorCode, GuestError};
use crate::policy::Usage;
use everstep_store::journal::{Corrupted, Record, Trapped};
use std::borrow::Cow;

/// The most characters that are kept of a cause.
const CAUSE: usize = 2_000;

/// The capability of guests whose limits are counted from checkpoint to checkpoint.
const SESSION: &str = "session";

impl Bridge {
    /// Marks a point where the guest can resume; returns the cause, if it has trapped after this point.
    pub(crate) fn checkpoint(&self, renew: bool) -> Result<Option<String>, Fault> {
        let renewed = [u8::from(renew)];
        let args = [Arg::of("renew", &renewed)];
        let step = Step::ungranted("context.checkpoint", "", &args);
        let before_us: u64 = self.immediate(&step, |state, _| Ok(state.budget.cpu_us()))?;
        let mut state = self.state();
        let number = state.steps.next() - 1;
        let renews = renew && self.facts.grants.policy.capability(SESSION).is_some();
        if renews {
            self.stopwatch.restart();
        }
        let cause = state.pass_trap(number)?;
        state.budget.begin_part(cause.is_none().then_some(number), renews, before_us);
        Ok(cause)
    }

    /// Adds CPU time to what the execution and its lineage have used.
    pub(crate) fn charge(&self, used_us: u64) -> Result<(), Stop> {
        let mut state = self.state();
        let has_caught_up = state.steps.has_caught_up()?;
        let new_us = state.budget.charge(used_us, has_caught_up);
        if has_caught_up {
            self.facts.descent.charge(&self.facts.grants.lineage(), new_us)?;
        }
        state.budget.check_cpu(self.facts.limits(), has_caught_up)
    }

    /// Completes once the running time has reached its limit. If the time is counted from a checkpoint, a replay is not bounded by it:
    /// what it repeats was in time.
    pub(crate) async fn out_of_time(&self) -> Stop {
        loop {
            let message = self.stopwatch.expired().await;
            let mut state = self.state();
            match (state.budget.part().renews, state.steps.has_caught_up()) {
                (_, Err(error)) => return error.into(),
                (false, Ok(_)) => return Stop::Limit(message),
                (true, Ok(true)) => return Stop::PartLimit(message),
                (true, Ok(false)) => self.stopwatch.restart(),
            }
        }
    }
}

impl State {
    /// The checkpoint where a guest resumes that traps here, because of a limit or not. `None` if the run ends: at a limit that is not
    /// counted from there, and in a replay.
    pub(super) fn set_back(&self, limit: bool) -> Option<u64> {
        let Part { checkpoint, renews, .. } = self.budget.part();
        checkpoint.filter(|_| !self.steps.is_replay() && (*renews || !limit))
    }

    /// Records that the guest resumes at a checkpoint. Its promises made since are rejected.
    pub(super) fn record_trap(&mut self, checkpoint: u64, cause: &str, now_ms: u64) {
        let open: Vec<u64> = self.promises.open_from(checkpoint..).collect();
        for number in open {
            self.record_settlement(number, Err(trapped()), now_ms);
        }
        self.budget.charge_repeating();
        let at_ms = self.steps.tick(now_ms);
        let (next, shown) = (self.steps.next(), self.budget.shown());
        let cause = Cow::Owned(cause.chars().take(CAUSE).collect());
        // Texts and numbers always serialise.
        let usage = Cow::Owned(serde_json::to_vec(self.budget.usage()).unwrap_or_default());
        self.steps.append(&Record::Trapped(Trapped { at_ms, checkpoint, next, shown, usage, cause }));
    }

    /// Skips what the guest did between a checkpoint and its trap; returns the cause.
    fn pass_trap(&mut self, checkpoint: u64) -> Result<Option<String>, Stop> {
        let Some((found, end)) = self.steps.trap(checkpoint)? else { return Ok(None) };
        let Trapped { at_ms, next, shown, usage, cause, .. } = found;
        let later: Usage = serde_json::from_slice(&usage).map_err(|error| Corrupted {
            offset: 0,
            expected: "what was used of the quotas, as JSON".to_owned(),
            found: error.to_string(),
        })?;
        let cause = cause.into_owned();
        self.budget.catch_up(shown, later);
        self.steps.pass_over(next, end, at_ms);
        self.give_up(checkpoint..next, &trapped());
        Ok(Some(cause))
    }
}

/// The outcome of the pending promises of a guest that has trapped.
fn trapped() -> GuestError {
    GuestError::new(ErrorCode::Canceled, "what has made it has trapped")
}
