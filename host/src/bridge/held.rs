//! A call that waits for its approval.

use super::approval::{Answer, Decided, describe};
use super::audit::Line;
use super::{About, Bridge, NewPromise, State, Step};
use everstep_store::seam::Entry;

/// See the module.
pub(super) struct Held {
    about: About,
    timeout_ms: Option<u64>,
    kind: &'static str,
    subject: String,
    /// The rule that grants it.
    rule: String,
    bytes: u64,
    /// The call in words.
    call: String,
}

impl Held {
    /// The call of a step that makes a promise.
    pub(super) fn of(step: &Step<'_>, rule: &str, new: NewPromise) -> Box<Self> {
        let NewPromise { timeout_ms, about } = new;
        let (kind, subject, bytes) = (step.kind, step.subject.to_owned(), step.grant.bytes());
        Box::new(Self { about, timeout_ms, kind, subject, rule: rule.to_owned(), bytes, call: describe(step) })
    }

    /// Starts the call, which is step `gated`, or refuses it, as approval `number` says.
    pub(super) fn admit(self, bridge: &Bridge, state: &mut State, number: u64, gated: u64) -> Decided {
        let facts = &bridge.facts;
        let decided = Answer::decided(&facts.grants.policy, state, number, &self.call);
        let rechecked = decided.clone().and_then(|by| self.about.recheck().map(|()| by));
        let Self { kind, subject, rule, bytes, .. } = &self;
        state.steps.tick(facts.now_ms());
        let line = Line { step: gated, rule, capability: kind, subject, bytes: *bytes };
        match line.decide(facts, state, rechecked) {
            Ok(()) => {
                let now_ms = state.steps.tick(facts.now_ms());
                let deadline_ms = self.timeout_ms.map(|timeout| now_ms.saturating_add(timeout));
                let deadline_ms = state.promises.set_deadline(gated, deadline_ms);
                let role = state.promises.get(gated).map(|promise| promise.role);
                let _span = role.map(|role| facts.trace.asked(role, gated, kind));
                self.about.begin(bridge, state, gated, deadline_ms);
            }
            Err(error) => {
                state.settle(gated, Err(error), facts.now_ms());
                state.submit_soon(facts, Entry::default());
            }
        }
        decided
    }
}
