//! Checkpoints: points that a guest goes on from when what follows traps, and the limits on what lies between two of them.
//!
//! An instance that has trapped is of no use any more. It is discarded, and a `trapped` record appended; another instance repeats what is
//! recorded up to the checkpoint, passes over what the first one did after it, and learns there why that one trapped.

use super::{Arg, Bridge, Fault, State, Step, Stop};
use crate::guest_error::{ErrorCode, GuestError};
use crate::policy::Usage;
use everstep_store::journal::{Corrupted, Record, Trapped};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// Characters that are kept of a cause.
const CAUSE: usize = 2_000;

/// The capability of those guests that what they run is bounded for piece by piece.
const SESSION: &str = "session";

/// What a guest does from one checkpoint to the next.
#[derive(Default)]
pub(crate) struct Part {
    /// The number of the checkpoint; none where the guest cannot go on from it.
    checkpoint: Option<u64>,
    /// Whether limits are counted from there.
    renews: bool,
    /// CPU time since then, in microseconds.
    cpu_us: u64,
}

impl Bridge {
    /// Marks a point that the guest can go on from; with the cause, if it has trapped after that.
    pub(crate) fn checkpoint(self: &Arc<Self>, renew: bool) -> Result<Option<String>, Fault> {
        let renewed = [u8::from(renew)];
        let args = [Arg::of("renew", &renewed)];
        let step = Step::ungranted("context.checkpoint", "", &args);
        let before_us: u64 = self.internal(&step, |state, _| Ok(state.cpu_us.max(state.progress.cpu_us)))?;
        let mut state = self.state();
        let number = state.next - 1;
        let renews = renew && self.grants.policy.capability(SESSION).is_some();
        if renews {
            self.stopwatch.restart();
        }
        let cause = state.pass_trap(number)?;
        // What an earlier host has used of it counts.
        let cpu_us = if cause.is_none() { state.progress.cpu_us.saturating_sub(before_us) } else { 0 };
        state.part = Part { checkpoint: cause.is_none().then_some(number), renews, cpu_us };
        Ok(cause)
    }

    /// Adds CPU time to what the execution has used. What earlier runs have used counts from the end of the journal on: a replay
    /// repeats it up to there.
    pub(crate) fn charge(&self, used_us: u64) -> Result<(), Stop> {
        let mut state = self.state();
        let limits = &self.grants.policy.limits;
        state.cpu_us += used_us;
        let kept_us = state.progress.cpu_us;
        if state.has_caught_up()? {
            state.cpu_us = state.cpu_us.max(kept_us);
            state.progress.cpu_us = state.cpu_us;
            state.part.cpu_us += used_us;
            self.descent.charge(&self.grants.lineage(), state.progress.cpu_us.saturating_sub(kept_us))?;
            if state.part.checkpoint.is_some()
                && state.part.renews
                && u128::from(state.part.cpu_us) > limits.cpu.as_micros()
            {
                return Err(Stop::PartLimit(cpu_limit("limits.cpu", limits.cpu)));
            }
        } else {
            state.repeating_us += used_us;
        }
        let (key, limit) =
            if state.part.renews { ("limits.session_cpu", limits.session_cpu) } else { ("limits.cpu", limits.cpu) };
        if u128::from(state.cpu_us) > limit.as_micros() {
            return Err(Stop::Limit(cpu_limit(key, limit)));
        }
        Ok(())
    }

    /// Completes once the running time has reached its limit. Where it is counted from a checkpoint, a replay is not bounded by it: what
    /// it repeats has been in time.
    pub(crate) async fn out_of_time(&self) -> Stop {
        loop {
            let message = self.stopwatch.expired().await;
            let mut state = self.state();
            match (state.part.renews, state.has_caught_up()) {
                (_, Err(error)) => return error.into(),
                (false, Ok(_)) => return Stop::Limit(message),
                (true, Ok(true)) => return Stop::PartLimit(message),
                (true, Ok(false)) => self.stopwatch.restart(),
            }
        }
    }
}

fn cpu_limit(key: &str, limit: std::time::Duration) -> String {
    format!("the limit of {limit:?} of CPU time is reached ({key})")
}

impl State {
    fn has_caught_up(&mut self) -> Result<bool, Corrupted> {
        Ok(self.live || self.journal.history.peek()?.is_none())
    }

    /// The checkpoint that a guest which traps here, because of a limit or by itself, goes on from. None where it ends: at a limit that is
    /// not counted from there, and in a replay.
    pub(crate) fn set_back(&self, limit: bool) -> Option<u64> {
        self.part.checkpoint.filter(|_| self.only_up_to.is_none() && (self.part.renews || !limit))
    }

    /// Records that the guest goes on from a checkpoint. Its promises from there on are given up.
    pub(crate) fn record_trap(&mut self, checkpoint: u64, cause: &str, now_ms: u64) {
        let canceled = GuestError::new(ErrorCode::Canceled, "what has made it has trapped");
        let open: Vec<u64> = self.pending.range(checkpoint..).copied().collect();
        for number in open {
            self.record_settlement(number, Err(canceled.clone()), now_ms);
        }
        // A guest that traps again and again pays for what is repeated each time.
        self.progress.cpu_us = self.progress.cpu_us.saturating_add(self.repeating_us);
        let at_ms = self.tick(now_ms);
        let (next, shown) = (self.next, self.shown);
        let cause = Cow::Owned(cause.chars().take(CAUSE).collect());
        // Texts and numbers always serialise.
        let usage = Cow::Owned(serde_json::to_vec(&self.usage).unwrap_or_default());
        self.journal.append(&Record::Trapped(Trapped { at_ms, checkpoint, next, shown, usage, cause }));
    }

    /// Passes over what the guest did after a checkpoint until it trapped; returns why it did.
    fn pass_trap(&mut self, checkpoint: u64) -> Result<Option<String>, Stop> {
        let Some((trapped, end)) = self.journal.history.trap(checkpoint)? else { return Ok(None) };
        let Trapped { at_ms, next, shown, usage, cause, .. } = trapped;
        let later: Usage = serde_json::from_slice(&usage).map_err(|error| Corrupted {
            offset: 0,
            expected: "what was used of the quotas, as JSON".to_owned(),
            found: error.to_string(),
        })?;
        let cause = cause.into_owned();
        self.journal.history.advance(end);
        self.usage.catch_up(later);
        (self.shown, self.now_ms) = (shown, self.now_ms.max(at_ms));
        self.give_up(checkpoint..next);
        self.replayed += next - self.next;
        self.next = next;
        Ok(Some(cause))
    }

    /// The guest does not know of these promises.
    fn give_up(&mut self, numbers: Range<u64>) {
        let made: Vec<u64> = self.promises.range(numbers.clone()).map(|(number, _)| *number).collect();
        for number in &made {
            let canceled = GuestError::new(ErrorCode::Canceled, "what has made it has trapped");
            self.mark_settled(*number, Err(canceled), self.now_ms);
        }
        self.mark_delivered(&made);
        self.decided.retain(|number| !numbers.contains(number));
    }
}
