//! From replay to live: a guest that has repeated everything recorded continues where it was. Effects whose outcome a crash has lost are
//! repeated or settled, as each of them says.

use super::about::{About, for_client};
use super::approval::Answer;
use super::asking::Asking;
use super::effect::{Effect, Lost, Performing};
use super::state::Promise;
use super::{Bridge, State, Stop};
use crate::guest_error::GuestError;
use everstep_store::journal::{Record, Role};
use std::sync::Arc;

impl Bridge {
    /// Makes the execution live, once the guest has repeated everything: requests whose response was lost are sent again or
    /// settled, unless their deadline has passed.
    ///
    /// # Errors
    /// [`Stop::InDoubt`] when this host lacks the capability of a request: it cannot tell whether the request may be sent
    /// again.
    pub(super) fn go_live(&self, state: &mut State) -> Result<(), Stop> {
        if state.steps.is_live() {
            return Ok(());
        }
        if state.steps.is_replay() {
            return Err(Stop::Replayed);
        }
        let now_ms = self.facts.now_ms();
        let in_time = |promise: &Promise| promise.deadline_ms.is_none_or(|deadline| now_ms < deadline);
        let lost = state.promises.pending().filter(|(_, promise)| in_time(promise) && promise.role == Role::Request);
        let lost = lost.filter_map(|(number, promise)| Some((number, self.lost(number, promise.about.as_ref()?))));
        let lost = lost.map(|(number, effect)| Ok((number, effect?))).collect::<Result<Vec<_>, Stop>>()?;
        state.steps.note_live();
        let entry = state.unsent.take_when_live();
        if let Some(component) = &entry.component {
            let at_ms = state.steps.tick(self.facts.now_ms());
            state.steps.append(&Record::TakenOver { at_ms, component: &component.0 });
        }
        state.submit_with(&self.facts, entry);
        self.keep_missing(state);
        for (number, effect) in lost {
            let run = Performing::of(self, state, number);
            let lost =
                self.not_inherited(state, number).map_or_else(|error| Lost::Settle(Err(error)), |()| effect.lost(&run));
            match lost {
                Lost::Repeat => Performing::begin(self, state, number, effect),
                Lost::Settle(outcome) => state.settle(number, outcome, self.facts.now_ms()),
            }
        }
        self.admit(state);
        Ok(())
    }

    /// The effect of a request whose outcome was lost.
    fn lost(&self, number: u64, about: &About) -> Result<Arc<dyn Effect>, Stop> {
        match about {
            About::Effect(effect) => Ok(Arc::clone(effect)),
            About::Request(capability, message) => {
                let provider =
                    self.facts.capabilities.get(capability).ok_or_else(|| self.unserved(number, capability))?;
                Ok(Asking::effect(self.facts.limits(), capability.clone(), provider, message.clone()))
            }
            About::Time | About::Shown(_) | About::Call(_) => Err(self.unserved(number, "")),
        }
    }

    /// Checks that an approved effect is repeated by the execution that it was approved for, not by a fork.
    fn not_inherited(&self, state: &State, number: u64) -> Result<(), GuestError> {
        let approval = state.promises.get(number).and_then(|promise| promise.approved_by);
        approval.map_or(Ok(()), |approval| {
            Answer::decided(&self.facts.grants.policy, state, approval, "the call").map(drop)
        })
    }

    /// Creates the promises that the store should know and does not, as in the fork of an execution.
    fn keep_missing(&self, state: &mut State) {
        let pending: Vec<u64> = state.open().collect();
        let missing = pending.into_iter().filter_map(|number| {
            let promise = state.promises.get_mut(number).filter(|promise| promise.missing && !promise.queued)?;
            let about = promise.about.take()?;
            promise.missing = false;
            Some((number, about, promise.deadline_ms))
        });
        let missing: Vec<_> = missing.collect();
        for (number, about, deadline_ms) in missing {
            if let Err(error) = self.not_inherited(state, number) {
                state.settle(number, Err(error), self.facts.now_ms());
                continue;
            }
            match about {
                About::Shown(asked) => state.keep(&self.facts, number, &asked, deadline_ms),
                About::Request(capability, message) => {
                    let asked = for_client(capability, message);
                    state.keep(&self.facts, number, &asked, deadline_ms);
                }
                About::Call(called) => called.create(&self.facts, state, number, deadline_ms),
                About::Time | About::Effect(_) => {}
            }
        }
    }

    fn unserved(&self, number: u64, capability: &str) -> Stop {
        let id = self.facts.id.promise(number);
        Stop::InDoubt(format!(
            "{id} asked the capability {capability:?} of the host that ran it, and the response was lost; \
             resume it in a host that registers the capability, or settle {id} yourself"
        ))
    }
}
