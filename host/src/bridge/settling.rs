//! Promises that the guest itself settles or cancels.

use super::notice::{check_fit, size};
use super::promises::too_deep;
use super::state::Promise;
use super::{Bridge, Fault, Step};
use crate::guest_error::{ErrorCode, GuestError};
use crate::json;
use everstep_store::PendingPromise;
use everstep_store::journal::Role;
use everstep_store::operation::{Operation, Reply, Settlement as Settle};

impl Bridge {
    /// Settles a promise of kind `promise` on behalf of the guest.
    pub(crate) async fn settle_own(
        &self,
        step: &Step<'_>,
        number: u64,
        outcome: Result<String, GuestError>,
    ) -> Result<(), Fault> {
        let own = |promise: &Promise| promise.called && promise.own;
        let (is_own, fits) = {
            let mut state = self.state();
            // The outcome enters the journal with its delivery. A replay follows the record.
            let recorded = state.steps.peek()?.is_some();
            let fits = match &outcome {
                _ if recorded => Ok(()),
                Ok(json) if json::check_depth(json).is_err() => Err(too_deep("value")),
                _ => state.check_room(self.facts.limits(), size(&outcome)).map_err(|_| no_room(number)),
            };
            (state.promises.get(number).is_some_and(own), fits)
        };
        if let Some(error) = (!is_own).then(|| no_such(number)).or(fits.err()) {
            return self.internal(step, |_| Err(error));
        }
        let id = self.facts.id.promise(number);
        self.external(step, async |_| {
            let stored = self.facts.store.promise(&id.to_string()).await.map_err(unavailable)?;
            let asked = stored.and_then(|(promise, _)| PendingPromise::of(&promise)).ok_or_else(|| no_such(number))?;
            check_fit(asked.schema.as_deref(), &outcome).map_err(|why| GuestError::new(ErrorCode::Invalid, why))?;
            let (state, value) = everstep_store::value_of(&outcome);
            let settle = Settle { id: id.to_string(), state, value: value.clone() };
            let applied = self.facts.ledger.operate(Operation::PromiseSettle(settle)).await.map_err(unavailable)?;
            match applied.answer {
                Ok(Reply::Promise(promise)) if (promise.state, &promise.value) == (state, &value) => Ok(()),
                _ => Err(no_such(number)),
            }
        })
        .await?;
        self.record_settled(number);
        Ok(())
    }

    /// Records a settlement that the guest itself caused next to its step, so that a fork after that step has it too.
    fn record_settled(&self, number: u64) {
        let mut state = self.state();
        self.take_notices_into(&mut state);
        state.record_outcome(number);
    }

    /// Cancels a promise of any kind; a settled one stays as it is.
    pub(crate) async fn cancel_promise(&self, step: &Step<'_>, number: u64) -> Result<(), Fault> {
        let (role, approval) = {
            let state = self.state();
            let promise = state.promises.of_guest(number);
            (promise.map(|promise| promise.role), promise.and_then(|promise| promise.approved_by))
        };
        let stored = matches!(role, Some(Role::External | Role::Child)).then_some(number);
        if stored.is_none() && approval.is_none() {
            return self.give_up(step, number);
        }
        self.external(step, async |_| {
            for number in approval.into_iter().chain(stored) {
                self.facts.ledger.operate(self.facts.cancellation(number)).await.map_err(unavailable)?;
            }
            Ok(())
        })
        .await?;
        match approval {
            None => self.record_settled(number),
            Some(approval) => self.record_withdrawn(approval, number),
        }
        Ok(())
    }

    /// Records that the guest has canceled a call that waits, or waited, for an approval.
    fn record_withdrawn(&self, approval: u64, number: u64) {
        self.record_settled(approval);
        let mut state = self.state();
        if state.steps.is_live() {
            self.admit(&mut state);
            if state.promises.get(number).is_some_and(Promise::is_pending) {
                state.settle(number, Err(given_up()), self.facts.now_ms());
            }
        }
    }

    /// Cancels a promise that this host settles itself.
    pub(crate) fn give_up(&self, step: &Step<'_>, number: u64) -> Result<(), Fault> {
        self.immediate(step, |state, _| {
            let Some(promise) = state.promises.of_guest(number) else {
                let message = format!("{number} is no promise of this execution");
                return Err(GuestError::new(ErrorCode::Invalid, message));
            };
            if promise.is_pending() {
                state.settle(number, Err(given_up()), self.facts.now_ms());
            }
            Ok(())
        })
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

/// The store failed in the middle of an effect: the run ends at its next barrier, so the guest does not continue.
pub(super) fn unavailable(_: impl std::error::Error) -> GuestError {
    GuestError::new(ErrorCode::Failed, "the store failed")
}

fn given_up() -> GuestError {
    GuestError::new(ErrorCode::Canceled, "the guest gave the promise up")
}
