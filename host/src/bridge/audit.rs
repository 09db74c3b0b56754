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
    /// Writes the decision on the call and returns it; a call whose decision cannot be written is denied.
    pub(super) fn decide(&self, facts: &Facts, state: &State, decided: Decided) -> Result<(), GuestError> {
        let (decision, approver) = match &decided {
            Ok(approver) => (audit::Decision::Allow, approver.as_deref()),
            Err(_) => (audit::Decision::Deny, None),
        };
        self.write(facts, state, decision, approver)?;
        decided.map(drop).map_err(|error| {
            let id = audit::id(&facts.id, self.step);
            let hint = match facts.grants.audit {
                Some(_) => format!("; see everstep policy explain {id}"),
                None => String::new(),
            };
            GuestError { message: format!("{}{hint}", error.message), ..error }
        })
    }

    /// Writes that an approver is asked about the call.
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
        let Some(log) = &facts.grants.audit else { return Ok(()) };
        let Line { step, rule, capability, subject, bytes } = *self;
        let entry = audit::Entry {
            time_ms: facts.now_ms().max(state.steps.now_ms()),
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
        facts.grants.write(log, entry)
    }
}
