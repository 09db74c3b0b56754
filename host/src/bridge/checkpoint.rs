//! Checkpoints: points where a guest resumes after a trap, and the limits on what it does between two of them.
//!
//! An instance that has trapped cannot be used again. It is discarded, and a `trapped` record appended; another instance repeats what is
//! recorded up to the checkpoint, skips what the first one did after it, and is told there why that one trapped.

use super::asking::SEND_REQUEST;
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

/// Where a session is: between two cells, or in one.
#[derive(Default)]
pub(crate) struct Cells {
    /// The last request for a cell.
    asked: Option<u64>,
    /// The same, once the guest has its answer.
    during: Option<u64>,
}

impl Cells {
    /// Notes a call that makes a promise.
    pub(crate) fn note_call(&mut self, kind: &str, subject: &str, number: u64) {
        if kind == SEND_REQUEST && subject == SESSION {
            *self = Self { asked: Some(number), during: None };
        }
    }

    /// Notes what is delivered to the guest.
    pub(crate) fn note_delivery(&mut self, numbers: &[u64]) {
        if self.asked.is_some_and(|asked| numbers.contains(&asked)) {
            self.during = self.asked;
        }
    }

    /// The request whose answer the guest works on.
    pub(crate) fn during(&self) -> Option<u64> {
        self.during
    }
}

/// A step from which a guest resumes after a trap, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint(u64);

impl Checkpoint {
    /// Marks a point where the guest can resume; returns the cause, if it has trapped after this point.
    pub(super) fn pass(bridge: &Bridge, renew: bool) -> Result<Option<String>, Fault> {
        let renewed = [u8::from(renew)];
        let args = [Arg::of("renew", &renewed)];
        let step = Step::ungranted("context.checkpoint", "", &args);
        let before_us: u64 = bridge.immediate(&step, |state, _| Ok(state.budget.cpu_us()))?;
        let mut state = bridge.state();
        let here = Self(state.steps.next() - 1);
        let renews = renew && bridge.facts.grants.policy.capability(SESSION).is_some();
        if renews {
            bridge.stopwatch.restart();
        }
        let cause = here.pass_trap(&mut state)?;
        state.budget.begin_part(cause.is_none().then_some(here.0), renews, before_us);
        Ok(cause)
    }

    /// Skips what the guest did between the checkpoint and its trap; returns the cause.
    fn pass_trap(self, state: &mut State) -> Result<Option<String>, Stop> {
        let Some((found, end)) = state.steps.trap(self.0)? else { return Ok(None) };
        let Trapped { at_ms, next, shown, usage, cause, .. } = found;
        let later: Usage = serde_json::from_slice(&usage).map_err(|error| Corrupted {
            offset: 0,
            expected: "what was used of the quotas, as JSON".to_owned(),
            found: error.to_string(),
        })?;
        let cause = cause.into_owned();
        state.budget.catch_up(shown, later);
        state.steps.pass_over(next, end, at_ms);
        state.give_up(self.0..next, &trapped());
        Ok(Some(cause))
    }

    /// The checkpoint where a guest resumes that traps now, because of a limit or not. `None` if the run ends: at a limit that is not
    /// counted from there, and in a replay.
    pub(super) fn after_trap(state: &State, limit: bool) -> Option<Self> {
        let Part { checkpoint, renews, .. } = state.budget.part();
        checkpoint.filter(|_| !state.steps.is_replay() && (*renews || !limit)).map(Self)
    }

    /// Records that the guest resumes here. Its promises made since are rejected.
    pub(super) fn record_trap(self, state: &mut State, cause: &str, now_ms: u64) {
        let checkpoint = self.0;
        let open: Vec<u64> = state.promises.open_from(checkpoint..).collect();
        for number in open {
            state.record_settlement(number, Err(trapped()), now_ms);
        }
        state.budget.charge_repeating();
        let at_ms = state.steps.tick(now_ms);
        let (next, shown) = (state.steps.next(), state.budget.shown());
        let cause = Cow::Owned(cause.chars().take(CAUSE).collect());
        // Texts and numbers always serialise.
        let usage = Cow::Owned(serde_json::to_vec(state.budget.usage()).unwrap_or_default());
        state.steps.append(&Record::Trapped(Trapped { at_ms, checkpoint, next, shown, usage, cause }));
    }

    /// The number of the step.
    pub(super) fn number(self) -> u64 {
        self.0
    }
}

/// The outcome of the pending promises of a guest that has trapped.
fn trapped() -> GuestError {
    GuestError::new(ErrorCode::Canceled, "what has made it has trapped")
}
