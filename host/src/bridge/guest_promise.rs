//! A promise as its guest uses it: by the number that its call returned.

use super::about::too_deep;
use super::called::failing_halted;
use super::fault::unavailable;
use super::notice::{check_fit, size};
use super::state::Promise;
use super::{Bridge, Fault, Step};
use crate::guest_error::{ErrorCode, GuestError};
use crate::json;
use everstep_store::PendingPromise;
use everstep_store::journal::Role;
use everstep_store::operation::{Operation, Reply, Settlement as Settle};

/// See the module.
#[derive(Clone, Copy)]
pub(crate) struct GuestPromise<'b> {
    bridge: &'b Bridge,
    number: u64,
}

impl<'b> GuestPromise<'b> {
    pub(super) fn new(bridge: &'b Bridge, number: u64) -> Self {
        Self { bridge, number }
    }

    /// The outcome that was delivered for it.
    pub(crate) fn outcome(self) -> Option<Result<String, GuestError>> {
        let state = self.bridge.state();
        state.promises.of_guest(self.number).filter(|promise| promise.delivered)?.outcome.clone()
    }

    /// Whether an outcome was delivered for it.
    pub(crate) fn is_delivered(self) -> bool {
        let state = self.bridge.state();
        let promise = state.promises.of_guest(self.number);
        promise.is_some_and(|promise| promise.delivered && promise.outcome.is_some())
    }

    /// The rule that grants it, and whether it has resolved.
    pub(crate) fn granted_by(self) -> Option<(String, bool)> {
        let state = self.bridge.state();
        let promise = state.promises.of_guest(self.number)?;
        Some((promise.rule.clone()?, promise.delivered && matches!(promise.outcome, Some(Ok(_)))))
    }

    /// Settles it on behalf of the guest, if it is of the kind `promise`.
    pub(crate) async fn settle(self, step: &Step<'_>, outcome: Result<String, GuestError>) -> Result<(), Fault> {
        let Self { bridge, number } = self;
        let facts = &bridge.facts;
        let own = |promise: &Promise| promise.called && promise.own;
        let (is_own, fits) = {
            let mut state = bridge.state();
            // The outcome enters the journal with its delivery. A replay follows the record.
            let recorded = state.steps.peek()?.is_some();
            let fits = match &outcome {
                _ if recorded => Ok(()),
                Ok(json) if json::check_depth(json).is_err() => Err(too_deep("value")),
                _ => facts
                    .fits_the_store("the value", size(&outcome))
                    .and_then(|()| state.check_room(facts.limits(), size(&outcome)).map_err(|_| no_room(number))),
            };
            (state.promises.get(number).is_some_and(own), fits)
        };
        if let Some(error) = (!is_own).then(|| no_such(number)).or(fits.err()) {
            return bridge.internal(step, |_| Err(error));
        }
        let effect = async |_: bool| {
            let id = facts.id_of(number);
            let stored = facts.store.promise(&id).await.map_err(unavailable)?;
            let asked = stored.and_then(|(promise, _)| PendingPromise::of(&promise)).ok_or_else(|| no_such(number))?;
            check_fit(asked.schema.as_deref(), &outcome).map_err(|why| GuestError::new(ErrorCode::Invalid, why))?;
            let (state, value) = everstep_store::value_of(&outcome);
            let settle = Settle { id, state, value: value.clone() };
            let applied = facts.ledger.operate(Operation::PromiseSettle(settle)).await.map_err(unavailable)?;
            match applied.answer {
                Ok(Reply::Promise(promise)) if (promise.state, &promise.value) == (state, &value) => Ok(()),
                _ => Err(no_such(number)),
            }
        };
        bridge.external(step, effect).await?;
        self.record_settled(number);
        Ok(())
    }

    /// Cancels it, whatever its kind; a settled one stays as it is.
    pub(crate) async fn cancel(self, step: &Step<'_>) -> Result<(), Fault> {
        let Self { bridge, number } = self;
        let (role, approval) = {
            let state = bridge.state();
            let promise = state.promises.of_guest(number);
            (promise.map(|promise| promise.role), promise.and_then(|promise| promise.approved_by))
        };
        let stored = matches!(role, Some(Role::External | Role::Child)).then_some(number);
        if stored.is_none() && approval.is_none() {
            return self.give_up(step);
        }
        let effect = async |_: bool| {
            for number in approval.into_iter().chain(stored) {
                bridge.facts.ledger.operate(bridge.facts.cancellation(number)).await.map_err(unavailable)?;
            }
            Ok(())
        };
        bridge.external(step, effect).await?;
        match approval {
            None => self.record_settled(number),
            Some(approval) => self.record_withdrawn(approval),
        }
        Ok(())
    }

    /// Cancels it, if this host settles it itself.
    pub(crate) fn give_up(self, step: &Step<'_>) -> Result<(), Fault> {
        let Self { bridge, number } = self;
        bridge.immediate(step, |state, _| {
            let Some(promise) = state.promises.of_guest(number) else {
                let message = format!("{number} is no promise of this execution");
                return Err(GuestError::new(ErrorCode::Invalid, message));
            };
            if promise.is_pending() {
                state.settle(number, Err(given_up()), bridge.facts.now_ms());
            }
            Ok(())
        })
    }

    /// Makes a child fail when it halts, or at once if it has halted. The wish is durable in this journal before the child is read, and
    /// the host that halts the child reads this journal: so one of the two sees the other.
    pub(crate) async fn fail_on_halt(self, step: &Step<'_>) -> Result<(), Fault> {
        let Self { bridge, number } = self;
        let facts = &bridge.facts;
        let is_child = |promise: &Promise| promise.called && promise.role == Role::Child;
        let child = bridge.state().promises.get(number).is_some_and(is_child).then(|| facts.id.child(number)).flatten();
        let Some(child) = child else {
            let error = GuestError::new(ErrorCode::Invalid, format!("{number} is no call of this execution"));
            return bridge.internal(step, |_| Err(error));
        };
        let effect = async |_: bool| {
            let failing = failing_halted(&*facts.store, &child).await.map_err(unavailable)?;
            for operation in failing.into_iter().flatten() {
                facts.ledger.operate(operation).await.map_err(unavailable)?;
            }
            Ok(())
        };
        bridge.external(step, effect).await
    }

    /// Records a settlement that the guest itself caused next to its step, so that a fork after that step has it too.
    fn record_settled(self, number: u64) {
        let mut state = self.bridge.state();
        self.bridge.take_notices_into(&mut state);
        state.record_outcome(number);
    }

    /// Records that the guest has canceled a call that waits, or waited, for an approval.
    fn record_withdrawn(self, approval: u64) {
        let Self { bridge, number } = self;
        self.record_settled(approval);
        let mut state = bridge.state();
        if state.steps.is_live() {
            bridge.admit(&mut state);
            if state.promises.get(number).is_some_and(Promise::is_pending) {
                state.settle(number, Err(given_up()), bridge.facts.now_ms());
            }
        }
    }
}

/// The same error whether a promise is unknown, belongs to another execution, or is settled otherwise.
fn no_such(number: u64) -> GuestError {
    GuestError::new(ErrorCode::Invalid, format!("{number} is no open promise that this execution made with create"))
}

fn no_room(number: u64) -> GuestError {
    let message = format!("promise {number} stays pending: the journal has no room (limits.journal)");
    GuestError::new(ErrorCode::LimitExceeded, message)
}

fn given_up() -> GuestError {
    GuestError::new(ErrorCode::Canceled, "the guest gave the promise up")
}
