//! From replay to live: a guest that has repeated everything recorded continues where it was. Effects whose outcome a crash has lost are
//! repeated or settled, as each of them says.

use super::about::About;
use super::approval::Answer;
use super::asking::Asking;
use super::effect::{Effect, Lost};
use super::state::Promise;
use super::{Bridge, Performing, State, Stop};
use crate::guest_error::GuestError;
use everstep_store::journal::{Record, Role};
use std::sync::Arc;

/// A run whose guest has repeated everything, until it is live.
pub(super) struct GoingLive<'a> {
    pub(super) bridge: &'a Bridge,
    pub(super) state: &'a mut State,
}

/// An effect whose outcome was lost, and the number of its promise.
type LostEffect = (u64, Arc<dyn Effect>);

impl GoingLive<'_> {
    /// Makes the execution live: requests whose response was lost are sent again or settled, unless their deadline has passed.
    ///
    /// # Errors
    /// [`Stop::InDoubt`] when this host lacks the capability of a request: it cannot tell whether the request may be sent
    /// again. [`Stop::Replayed`] when the run only repeats what is recorded.
    pub(super) fn finish(mut self) -> Result<(), Stop> {
        if self.state.steps.is_replay() {
            return Err(Stop::Replayed);
        }
        let lost = self.lost_effects()?;
        self.state.steps.note_live();
        let (facts, replayed) = (&self.bridge.facts, self.state.steps.replayed());
        if facts.terms.version > 1 {
            facts.trace.note_resume(&facts.id, replayed);
        }
        self.write_when_live();
        self.keep_missing();
        lost.into_iter().for_each(|lost| self.reconsider(lost));
        self.bridge.admit(self.state);
        Ok(())
    }

    /// The effects of the requests whose outcome was lost, unless their deadline has passed.
    fn lost_effects(&self) -> Result<Vec<LostEffect>, Stop> {
        let now_ms = self.bridge.facts.now_ms();
        let in_time = |promise: &Promise| promise.deadline_ms.is_none_or(|deadline| now_ms < deadline);
        let pending = self.state.promises.pending();
        let lost = pending.filter(|(_, promise)| in_time(promise) && promise.role == Role::Request);
        let lost = lost.filter_map(|(number, promise)| Some((number, promise.about.as_ref()?)));
        lost.map(|(number, about)| Ok((number, self.effect_of(number, about)?))).collect()
    }

    fn effect_of(&self, number: u64, about: &About) -> Result<Arc<dyn Effect>, Stop> {
        let facts = &self.bridge.facts;
        match about {
            About::Effect(effect) => Ok(Arc::clone(effect)),
            About::Request(capability, message) => {
                let provider = facts.capabilities.get(capability).ok_or_else(|| self.unserved(number, capability))?;
                Ok(Asking::effect(facts.limits(), capability.clone(), provider, message.clone()))
            }
            About::Time | About::Shown(_) | About::Call(_) => Err(self.unserved(number, "")),
        }
    }

    fn unserved(&self, number: u64, capability: &str) -> Stop {
        let id = self.bridge.facts.id.promise(number);
        Stop::InDoubt(format!(
            "{id} asked the capability {capability:?} of the host that ran it, and the response was lost; \
             resume it in a host that registers the capability, or settle {id} yourself"
        ))
    }

    /// Writes what was to be written once the guest has repeated everything.
    fn write_when_live(&mut self) {
        let (facts, state) = (&self.bridge.facts, &mut *self.state);
        let entry = state.unsent.take_when_live();
        if let Some(component) = &entry.component {
            let at_ms = state.steps.tick(facts.now_ms());
            state.steps.append(&Record::TakenOver { at_ms, component: &component.0 });
        }
        state.submit_with(facts, entry);
    }

    /// Creates the promises that the store should know and does not, as in the fork of an execution.
    fn keep_missing(&mut self) {
        for (number, about, deadline_ms) in self.state.promises.take_missing() {
            match self.not_inherited(number) {
                Ok(()) => about.begin(self.bridge, self.state, number, deadline_ms),
                Err(error) => self.state.settle(number, Err(error), self.bridge.facts.now_ms()),
            }
        }
    }

    /// Repeats an effect whose outcome was lost, or settles its promise.
    fn reconsider(&mut self, (number, effect): LostEffect) {
        let run = Performing::of(self.bridge, self.state, number);
        let lost = self.not_inherited(number).map_or_else(|error| Lost::Settle(Err(error)), |()| effect.lost(&run));
        match lost {
            Lost::Repeat => Performing::begin(self.bridge, self.state, number, effect),
            Lost::Settle(outcome) => self.state.settle(number, outcome, self.bridge.facts.now_ms()),
        }
    }

    /// Checks that an approved effect is repeated by the execution that it was approved for, not by a fork.
    fn not_inherited(&self, number: u64) -> Result<(), GuestError> {
        let approval = self.state.promises.get(number).and_then(|promise| promise.approved_by);
        let policy = &self.bridge.facts.grants.policy;
        approval.map_or(Ok(()), |approval| Answer::decided(policy, self.state, approval, "the call").map(drop))
    }
}
