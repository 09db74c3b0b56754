//! A promise that a step of the guest makes, until it is open.
//!
//! Timers, and requests to capabilities of this host, live with the run and in the journal. A promise that others settle (a
//! question, the execution of a called function) is in the store from the commit that records its step.

use super::held::Held;
use super::ruled::Ruled;
use super::state::Promise;
use super::{About, Bridge, Facts, State, Step};
use everstep_store::journal::Role;
use everstep_store::record::NEVER;

/// See the module.
pub(crate) struct NewPromise {
    /// Milliseconds until a timer resolves, or any other promise is rejected as timed out.
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) about: About,
}

impl NewPromise {
    /// The same with the timeout that its rule allows.
    pub(super) fn bounded(self, facts: &Facts, step: &Step<'_>, rule: &str) -> Self {
        Self { timeout_ms: facts.bounded_by_rule(step, rule, self.timeout_ms), ..self }
    }

    /// The deadline, when it begins at `now_ms`; if others settle the promise, not later than that of the execution.
    pub(super) fn deadline(&self, now_ms: u64, role: Role, bound_ms: Option<u64>) -> Option<u64> {
        let asked = self.timeout_ms.map(|timeout| now_ms.saturating_add(timeout)).filter(|deadline| *deadline < NEVER);
        let bound = bound_ms.filter(|_| matches!(role, Role::External | Role::Child));
        asked.into_iter().chain(bound).min()
    }

    /// Opens the promise, whose call was just recorded.
    pub(super) fn open(
        self,
        bridge: &Bridge,
        state: &mut State,
        ruled: &Ruled<'_>,
        role: Role,
        deadline_ms: Option<u64>,
    ) {
        state.insert_granted(ruled, Promise::opened(role, &self.about, deadline_ms));
        let _span = bridge.facts.trace.asked(role, ruled.number, ruled.step.kind);
        self.about.begin(bridge, state, ruled.number, deadline_ms);
    }

    /// Opens the promise, whose call was just recorded, and whose effect waits for an approval.
    pub(super) fn open_gated(self, facts: &Facts, state: &mut State, ruled: &Ruled<'_>, role: Role, approval: u64) {
        let opened = Promise::opened(role, &self.about, None);
        let held = Some(Held::of(ruled.step, ruled.rule, self));
        state.insert_granted(ruled, Promise { held, ..opened });
        state.promises.gate(approval, ruled.number);
        state.show_if_first(facts, approval);
    }

    /// Reopens the promise of a call that a replayed guest has made.
    pub(super) fn reopen(self, facts: &Facts, state: &mut State, number: u64, step: &Step<'_>) {
        let approved_ms = state.promises.approved_ms(number);
        let rule = state.promises.get(number).and_then(|promise| promise.rule.clone()).unwrap_or_default();
        let new = self.bounded(facts, step, &rule);
        let Some(promise) = state.promises.get_mut(number) else { return };
        promise.called = true;
        promise.own = new.about.is_own();
        if !promise.is_pending() {
            return;
        }
        promise.bytes = new.about.bytes();
        state.budget.keep(promise.bytes);
        if step.grant.stays_open() {
            state.budget.opened(&rule);
            promise.open_by = Some(rule.clone());
        }
        if promise.gated_by.is_some() {
            promise.held = Some(Held::of(step, &rule, new));
        } else {
            let timeout_ms = new.timeout_ms;
            promise.about = Some(new.about).filter(|_| promise.role == Role::Request || promise.missing);
            let deadline_ms = approved_ms.zip(timeout_ms).map(|(at_ms, timeout)| at_ms.saturating_add(timeout));
            state.promises.set_deadline(number, deadline_ms);
        }
    }
}
