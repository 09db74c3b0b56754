//! A step on which a rule of the policy has decided: its line in the audit log, and its records.

use super::approval::Decided;
use super::audit::Line;
use super::step::{ArgsDigest, capped};
use super::{Facts, State, Step, Stop, Value};
use crate::guest_error::GuestError;
use crate::policy;
use everstep_store::journal::{Call, Record, Role};
use everstep_store::seam::Entry;
use everstep_words::telemetry::Decision;

/// Recorded bytes above which they are handed to the group commit even if nothing waits for them.
const SEGMENT: usize = 64 << 10;

/// See the module.
pub(super) struct Ruled<'a> {
    pub(super) step: &'a Step<'a>,
    pub(super) number: u64,
    pub(super) rule: &'a str,
}

impl<'a> Ruled<'a> {
    /// A step that needs no grant.
    pub(super) fn ungranted(step: &'a Step<'a>, number: u64) -> Self {
        Self { step, number, rule: "" }
    }
}

impl Ruled<'_> {
    /// The line about the step.
    pub(super) fn line(&self) -> Line<'_> {
        let Self { step, number, rule } = *self;
        Line { step: number, rule, capability: step.kind, subject: step.subject, bytes: step.grant.bytes() }
    }

    /// Writes the decision to the audit log before anything happens; if that fails, the call is denied.
    pub(super) fn audit(&self, facts: &Facts, state: &State, decided: Decided) -> Result<(), GuestError> {
        if matches!(self.step.grant, policy::Call::Ungranted) {
            return decided.map(drop);
        }
        self.line().decide(facts, state, decided)
    }

    /// Records the outcome of the step and returns it; one that exceeds any journal is replaced by an error. If this journal has no
    /// room left, the run ends as if it had stopped before the step.
    pub(super) fn record<T: Value>(
        &self,
        facts: &Facts,
        state: &mut State,
        outcome: Result<T, GuestError>,
    ) -> Result<Result<T, GuestError>, Stop> {
        self.record_as(facts, state, true, outcome)
    }

    /// Like [`record`](Self::record), for a step that is denied.
    pub(super) fn record_denial(&self, facts: &Facts, state: &mut State, error: GuestError) -> Result<(), Stop> {
        self.record_as::<()>(facts, state, false, Err(error)).map(drop)
    }

    fn record_as<T: Value>(
        &self,
        facts: &Facts,
        state: &mut State,
        allowed: bool,
        outcome: Result<T, GuestError>,
    ) -> Result<Result<T, GuestError>, Stop> {
        let digest = self.step.digest();
        let call = Call { allowed, ..self.call(state.steps.tick(facts.now_ms()), &digest) };
        let bytes = outcome.as_ref().map(Value::to_bytes);
        let size = bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let too_large = facts.fits_a_journal("the outcome", size).err();
        let recorded = match &too_large {
            Some(error) => Err(error.clone()),
            None => bytes.map_err(Clone::clone),
        };
        let length = state.steps.length();
        state.steps.append(&Record::Step { call, outcome: recorded });
        if let Err(stop) = state.check_room(facts.limits(), 0) {
            state.steps.take_back(length);
            return Err(stop);
        }
        state.tally.count(self.step.kind, if allowed { Decision::Allow } else { Decision::Deny });
        if state.steps.unsubmitted() > SEGMENT {
            state.submit_soon(facts, Entry::default());
        }
        Ok(too_large.map_or(outcome, Err))
    }

    /// Records the call of a step whose outcome comes later.
    pub(super) fn record_call(&self, state: &mut State, role: Role, deadline_ms: Option<u64>) {
        let digest = self.step.digest();
        // The time of the decision: rates are counted by it, here and in a replay.
        let call = self.call(state.steps.now_ms(), &digest);
        state.tally.count(self.step.kind, Decision::Allow);
        state.steps.append(&Record::Called { call, role, deadline_ms });
    }

    fn call<'c>(&'c self, at_ms: u64, digest: &'c ArgsDigest) -> Call<'c> {
        let Self { step, number, rule } = *self;
        Call {
            number,
            at_ms,
            kind: step.kind,
            args: digest.as_slice(),
            subject: capped(step.subject),
            allowed: true,
            rule,
        }
    }
}
