//! The line of the audit log about a call.

use super::approval::Decided;
use super::{Facts, State};
use crate::guest_error::GuestError;
use crate::policy::audit;

/// The facts of a call that go into its line.
pub(super) struct Line<'a> {
    pub(super) step: u64,
    pub(super) rule: &'a str,
    pub(super) capability: &'a str,
    pub(super) subject: &'a str,
    pub(super) bytes: u64,
}

impl Line<'_> {
    /// Takes down the decision on the call, made at the time of the state, and returns it; a call whose decision cannot be written is
    /// denied.
    pub(super) fn decide(&self, facts: &Facts, state: &State, decided: Decided) -> Result<(), GuestError> {
        let (decision, approver) = match &decided {
            Ok(approver) => (audit::Decision::Allow, approver.as_deref()),
            Err(_) => (audit::Decision::Deny, None),
        };
        self.write(facts, state, decision, approver)?;
        decided.map(drop).map_err(|error| {
            let hint = match facts.lines {
                Some(_) => format!("; see everstep policy explain {}", audit::id(&facts.id, self.step)),
                None => String::new(),
            };
            GuestError { message: format!("{}{hint}", error.message), ..error }
        })
    }

    /// Takes down that an approver is asked about the call.
    pub(super) fn ask(&self, facts: &Facts, state: &State) -> Result<(), GuestError> {
        self.write(facts, state, audit::Decision::Ask, None)
    }

    fn write(
        &self,
        facts: &Facts,
        state: &State,
        decision: audit::Decision,
        approver: Option<&str>,
    ) -> Result<(), GuestError> {
        let Some(lines) = &facts.lines else { return Ok(()) };
        let Line { step, rule, capability, subject, bytes } = *self;
        let entry = audit::Entry {
            time_ms: state.steps.now_ms(),
            execution: &facts.id,
            step,
            policy: &facts.grants.digest,
            rule,
            capability,
            subject,
            decision,
            bytes,
            approver,
        };
        lines.decide(entry)
    }
}
