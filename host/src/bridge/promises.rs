//! Promises: opened by a step, settled once by whoever is first, delivered when the guest waits.
//!
//! *Settled* is a fact of the host, *delivered* one of the guest; only the second steers it. Timers and deadlines fire where the
//! guest waits, in the order of their times, so that a resumed execution sees them as an undisturbed one does.

use super::{Bridge, Fault, Promise, State, Step, Stop};
use crate::capability::{self, Capability};
use crate::guest_error::{ErrorCode, GuestError};
use crate::journal::{Record, Role, Ticket};
use crate::store::{Change, PendingPromise};
use std::collections::HashSet;
use std::sync::Arc;

/// How many promises of one wait a message names.
const SHOWN: usize = 16;

/// What a promise is opened with.
pub(crate) struct NewPromise {
    pub(crate) role: Role,
    /// Milliseconds until a timer resolves, or anything else is rejected as timed out.
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) about: About,
}

/// What whoever settles a promise is told.
pub(crate) enum About {
    /// Nothing: the clock settles it.
    Time,
    /// A question or an external promise, for whoever may answer from outside.
    Shown(Shown),
    /// A request: the capability and the message.
    Request(String, String),
}

impl NewPromise {
    /// Bytes that are kept for it beside the journal while it is pending.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = match &self.about {
            About::Time => 0,
            About::Shown(Shown { subject, data, .. }) => subject.len() + data.as_ref().map_or(0, String::len),
            About::Request(capability, message) => capability.len() + message.len(),
        };
        bytes as u64
    }

    /// Whether the guest itself may settle it.
    fn own(&self) -> bool {
        matches!(&self.about, About::Shown(shown) if shown.kind == "promise")
    }
}

/// How a promise is shown to whoever may settle it.
pub(crate) struct Shown {
    pub(crate) kind: &'static str,
    pub(crate) subject: String,
    pub(crate) data: Option<String>,
}

/// How long a run waits for promises before it gives its instance up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// As long as it takes.
    Forever,
    /// Not at all: it suspends.
    None,
}

/// What became of an attempt to settle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// It was the first; durable once the ticket is.
    Settled(Ticket),
    /// The promise had the same outcome already; durable once the ticket is.
    Same(Ticket),
    /// The promise had another outcome already.
    Other,
    /// The execution has no such promise.
    Unknown,
    /// The run is over; the promise may be settled in the store.
    Over,
}

impl Bridge {
    /// Opens a promise that was just recorded.
    pub(super) fn open(self: &Arc<Self>, state: &mut State, number: u64, new: NewPromise, deadline_ms: Option<u64>) {
        let (own, bytes) = (new.own(), new.bytes());
        let promise = Promise { called: true, own, bytes, ..Promise::new(new.role, deadline_ms) };
        state.insert(number, promise);
        let shown = match new.about {
            About::Time => return,
            About::Shown(shown) => shown,
            About::Request(capability, message) => match self.capabilities.get(&capability) {
                Some(provider) if new.role == Role::Request => return self.send(state, number, provider, message),
                _ => Shown { kind: "request", subject: capability, data: Some(message) },
            },
        };
        // In one commit with the record of the call: whoever is to answer finds it, whatever becomes of this host.
        let listed = self.listed(state, number, shown);
        self.submit_soon(state, [listed]);
    }

    /// Who will settle a request: a capability of this host, or else a client, who finds it among the open promises. That is
    /// decided once and recorded, so that no other host has it served again by somebody else.
    pub(crate) fn role_of_request(&self, capability: &str) -> Role {
        if self.capabilities.get(capability).is_some() { Role::Request } else { Role::External }
    }

    /// The entry among the open promises, where whoever may settle it finds it.
    fn listed(&self, state: &State, number: u64, shown: Shown) -> Change {
        let Shown { kind, subject, data } = shown;
        let (id, kind, created_ms) = (self.id.promise(number), kind.to_owned(), state.now_ms);
        let deadline_ms = state.promises.get(&number).and_then(|promise| promise.deadline_ms);
        let pending = PendingPromise { id, kind, subject, data, created_ms, deadline_ms };
        Change::Promise(state.journal.key(), Box::new(pending))
    }

    /// A replayed guest has made the call that created a promise.
    pub(super) fn reopen(&self, state: &mut State, number: u64, new: NewPromise) {
        if let Some(promise) = state.promises.get_mut(&number) {
            promise.called = true;
            promise.own = new.own();
            if promise.outcome.is_none() {
                promise.bytes = new.bytes();
                state.beside += promise.bytes;
                if let (Role::Request, About::Request(capability, message)) = (promise.role, new.about) {
                    promise.request = Some((capability, message));
                }
            }
        }
    }

    /// The guest has repeated everything: requests whose response was lost are sent again or given up, but for those whose time
    /// is over.
    ///
    /// # Errors
    /// [`Stop::InDoubt`] when this host lacks the capability that was asked: it cannot tell whether it may be asked again.
    pub(super) fn go_live(self: &Arc<Self>, state: &mut State) -> Result<(), Stop> {
        if state.live {
            return Ok(());
        }
        let now_ms = self.clock.now_ms();
        let in_time = |promise: &Promise| promise.deadline_ms.is_none_or(|deadline| now_ms < deadline);
        let lost = state.promises.iter().filter(|(_, promise)| in_time(promise));
        let lost: Vec<_> = lost.filter_map(|(number, promise)| Some((*number, promise.request.clone()?))).collect();
        let lost = lost.into_iter().map(|(number, (capability, message))| {
            let provider = self.capabilities.get(&capability).ok_or_else(|| self.unserved(number, &capability))?;
            Ok((number, capability, provider, message))
        });
        let lost = lost.collect::<Result<Vec<_>, Stop>>()?;
        state.live = true;
        state.promises.values_mut().for_each(|promise| promise.request = None);
        let changes = std::mem::take(&mut state.when_live);
        self.submit(state, changes);
        for (number, capability, provider, message) in lost {
            if provider.is_idempotent() {
                self.send(state, number, provider, message);
            } else {
                let message = format!("{capability} was asked before a crash and its response was lost");
                self.settle_in(state, number, Err(GuestError::new(ErrorCode::InDoubt, message)));
            }
        }
        Ok(())
    }

    fn unserved(&self, number: u64, capability: &str) -> Stop {
        let id = self.id.promise(number);
        Stop::InDoubt(format!(
            "{id} asked the capability {capability:?} of the host that ran it, and the response was lost; \
             resume it in a host that registers the capability, or settle {id} yourself"
        ))
    }

    /// Asks a capability of this host once everything so far is durable.
    fn send(self: &Arc<Self>, state: &mut State, number: u64, provider: Arc<dyn Capability>, message: String) {
        let barrier = self.submit(state, []);
        let bridge = Arc::clone(self);
        let request = capability::Request { id: self.id.promise(number), message };
        let effect = tokio::spawn(async move {
            if bridge.durable(barrier).await.is_err() {
                return;
            }
            // A call may outlive its run for a moment, but must not hold on to the store.
            let run = Arc::downgrade(&bridge);
            drop(bridge);
            let outcome = capability::answer(&*provider, request).await;
            if let Some(bridge) = run.upgrade() {
                bridge.settle_with(number, |state| bridge.checked(state, outcome));
            }
        });
        if let Some(promise) = state.promises.get_mut(&number) {
            promise.effect = Some(effect.abort_handle());
        }
    }

    /// A response as the guest may see it: JSON, not larger than a call may carry and the journal has room for.
    fn checked(&self, state: &State, outcome: Result<String, GuestError>) -> Result<String, GuestError> {
        let json = outcome?;
        let limits = &self.grants.policy.limits;
        let room = limits.journal.saturating_sub(state.kept_bytes());
        for (name, limit) in [("limits.bytes_per_call is", limits.bytes_per_call), ("limits.journal leaves", room)] {
            if json.len() as u64 > limit {
                let message = format!("the response has {} bytes, {name} {limit}", json.len());
                return Err(GuestError::new(ErrorCode::LimitExceeded, message));
            }
        }
        match serde_json::from_str::<&serde_json::value::RawValue>(&json) {
            Ok(_) => Ok(json),
            Err(error) => Err(GuestError::new(ErrorCode::Failed, format!("the response is not JSON: {error}"))),
        }
    }

    /// Settles a promise unless it is settled; whoever is first wins.
    pub(crate) fn settle(self: &Arc<Self>, number: u64, outcome: Result<String, GuestError>) -> Settlement {
        self.settle_with(number, |_| outcome)
    }

    fn settle_with(
        self: &Arc<Self>,
        number: u64,
        outcome: impl FnOnce(&State) -> Result<String, GuestError>,
    ) -> Settlement {
        let mut state = self.state();
        if state.concluded {
            return Settlement::Over;
        }
        let outcome = outcome(&state);
        let Some(promise) = state.promises.get(&number) else { return Settlement::Unknown };
        if let Some(settled) = &promise.outcome {
            let same = *settled == outcome;
            return if same { Settlement::Same(self.submit_soon(&mut state, [])) } else { Settlement::Other };
        }
        let too_late = promise.deadline_ms.is_some_and(|deadline| deadline <= self.clock.now_ms());
        self.settle_in(&mut state, number, if too_late { Err(timed_out()) } else { outcome });
        let ticket = self.submit_soon(&mut state, []);
        drop(state);
        self.changed.notify_waiters();
        if too_late { Settlement::Other } else { Settlement::Settled(ticket) }
    }

    /// Records a settlement; the caller knows that the promise is pending.
    pub(super) fn settle_in(&self, state: &mut State, number: u64, outcome: Result<String, GuestError>) {
        let effect = state.promises.get_mut(&number).and_then(|promise| promise.effect.take());
        let listed = state.record_settlement(number, outcome, self.clock.now_ms());
        if listed.is_some() {
            self.submit(state, listed);
        }
        if let Some(effect) = effect {
            effect.abort();
        }
    }

    /// Waits until a promise is settled, one of `wanted` or any, and delivers what is.
    ///
    /// # Errors
    /// [`Stop::Suspended`] without patience; a divergence when the journal holds another step here; [`Stop::Store`] when the
    /// store fails, because nothing that is waited for could be recorded any more.
    pub(crate) async fn wait(self: &Arc<Self>, wanted: Option<&[u64]>, patience: Patience) -> Result<Vec<u64>, Stop> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let deadline = {
                let mut state = self.state();
                if state.canceled {
                    return Err(Stop::Canceled);
                }
                if let Some(delivered) = self.deliver(&mut state, wanted)? {
                    return Ok(delivered);
                }
                let busy = state.promises.values().any(|promise| promise.effect.is_some());
                if patience == Patience::None && !busy {
                    return Err(Stop::Suspended);
                }
                state.deadlines.first().map(|(deadline, _)| *deadline)
            };
            let due = async {
                match deadline {
                    None => std::future::pending().await,
                    Some(deadline) => self.clock.sleep_until(deadline).await,
                }
            };
            tokio::select! {
                () = changed => {}
                () = due => {}
                error = self.committer.failure() => return Err(Stop::Store(error)),
            }
        }
    }

    /// One look at the promises: a recorded delivery, or a live one, or none yet.
    fn deliver(self: &Arc<Self>, state: &mut State, wanted: Option<&[u64]>) -> Result<Option<Vec<u64>>, Stop> {
        let attempted = || match wanted {
            None => "a wait for any promise".to_owned(),
            Some(wanted) => format!("a wait for {:?}", &wanted[..wanted.len().min(SHOWN)]),
        };
        let wanted = wanted.map(|wanted| wanted.iter().collect::<HashSet<_>>());
        let is_wanted = |number: &u64| wanted.as_ref().is_none_or(|wanted| wanted.contains(number));
        if let Some(numbers) = state.take_delivery(attempted, is_wanted)? {
            return Ok(Some(numbers));
        }
        self.go_live(state)?;
        self.fire_deadlines(state, is_wanted);
        let numbers = self.first_settled(state, is_wanted);
        if !numbers.is_empty() {
            let at_ms = state.tick(self.clock.now_ms());
            state.journal.append(&Record::Delivered { at_ms, numbers: numbers.clone() });
            state.mark_delivered(&numbers);
            return Ok(Some(numbers));
        }
        if state.in_flight == 0 {
            return Err(Stop::Contract("the guest waits although it has no pending promise".into()));
        }
        // While nothing happens, nothing stays undurable.
        self.submit_soon(state, []);
        Ok(None)
    }

    /// Settles what is due, in the order of the deadlines, up to what the guest would have seen first had it waited all the
    /// time: what settled before a deadline is delivered before that deadline fires.
    fn fire_deadlines(&self, state: &mut State, is_wanted: impl Fn(&u64) -> bool) {
        let now_ms = self.clock.now_ms();
        while let Some(&(deadline, number)) = state.deadlines.first() {
            let was_earlier = |number: &u64| state.fired_ms(*number) < deadline;
            if deadline > now_ms || state.undelivered.iter().filter(|number| is_wanted(number)).any(was_earlier) {
                return;
            }
            let timer = state.promises.get(&number).is_some_and(|promise| promise.role == Role::Timer);
            let outcome = if timer { Ok("null".to_owned()) } else { Err(timed_out()) };
            self.settle_in(state, number, outcome);
        }
    }

    /// What a guest that had waited all the time would have been told first: what settled, in the order of the times, up to the
    /// first deadline that has passed, be it fired or not.
    fn first_settled(&self, state: &State, is_wanted: impl Fn(&u64) -> bool) -> Vec<u64> {
        let mut numbers: Vec<u64> = state.undelivered.iter().copied().filter(&is_wanted).collect();
        numbers.sort_by_key(|number| state.fired_ms(*number));
        let fired =
            numbers.iter().copied().find(|number| state.is_timed_out(*number)).map(|number| state.fired_ms(number));
        let now_ms = self.clock.now_ms();
        let mut due = state.deadlines.iter().take_while(|(deadline, _)| *deadline <= now_ms);
        let due = due.find(|(_, number)| is_wanted(number)).map(|(deadline, _)| *deadline);
        if let Some(end) = fired.into_iter().chain(due).min() {
            numbers.retain(|number| state.fired_ms(*number) <= end);
        }
        numbers
    }

    /// Settles a promise of kind `promise` for the guest itself.
    pub(crate) fn settle_own(
        self: &Arc<Self>,
        step: &Step<'_>,
        number: u64,
        outcome: Result<String, GuestError>,
    ) -> Result<(), Fault> {
        let limit = self.grants.policy.limits.journal;
        self.internal(step, |state, _| {
            let own = |promise: &&Promise| promise.called && promise.own;
            let Some(promise) = state.promises.get(&number).filter(own) else {
                let message = format!("{number} is no promise that this execution made with create");
                return Err(GuestError::new(ErrorCode::Invalid, message));
            };
            match &promise.outcome {
                Some(settled) if *settled == outcome => {}
                Some(_) => {
                    let message = format!("promise {number} is settled already, with another outcome");
                    return Err(GuestError::new(ErrorCode::Invalid, message));
                }
                // Two records: of the step, which is the smaller one, and of the settlement.
                None if state.kept_bytes().saturating_add(size(&outcome)) > limit => {
                    let message = format!("promise {number} stays pending: the journal has no room (limits.journal)");
                    return Err(GuestError::new(ErrorCode::LimitExceeded, message));
                }
                None => self.settle_in(state, number, outcome),
            }
            Ok(())
        })
    }

    /// Gives up on a promise of any kind; one that is settled stays as it is.
    pub(crate) fn cancel_promise(self: &Arc<Self>, step: &Step<'_>, number: u64) -> Result<(), Fault> {
        self.internal(step, |state, _| {
            let Some(promise) = state.promises.get(&number).filter(|promise| promise.called) else {
                let message = format!("{number} is no promise of this execution");
                return Err(GuestError::new(ErrorCode::Invalid, message));
            };
            if promise.outcome.is_none() {
                self.settle_in(
                    state,
                    number,
                    Err(GuestError::new(ErrorCode::Canceled, "the guest gave the promise up")),
                );
            }
            Ok(())
        })
    }

    /// The time that a promise of a capability may wait: what the guest asks for, within what the policy allows.
    pub(crate) fn bounded_timeout(&self, capability: &str, asked_ms: Option<u64>) -> Option<u64> {
        let grants = &self.grants.policy.capabilities;
        let bound = grants.iter().find(|grant| grant.name() == capability).and_then(|grant| grant.timeout);
        let bound_ms = bound.map(|bound| u64::try_from(bound.as_millis()).unwrap_or(u64::MAX));
        asked_ms.into_iter().chain(bound_ms).min()
    }

    /// Whether another promise would be one too many.
    pub(super) fn no_room_for_promise(&self, state: &State, role: Role) -> Option<GuestError> {
        let limits = &self.grants.policy.limits;
        let full = |what: &str, limit: u64| {
            let message = format!("{limit} promises are pending already ({what}); await one first");
            Some(GuestError::new(ErrorCode::LimitExceeded, message))
        };
        if state.in_flight as u64 >= limits.in_flight {
            return full("limits.in_flight", limits.in_flight);
        }
        if role == Role::External && state.waiting_outside() as u64 >= limits.pending_promises {
            return full("limits.pending_promises", limits.pending_promises);
        }
        None
    }

    /// What was delivered for a promise.
    pub(crate) fn outcome(&self, number: u64) -> Option<Result<String, GuestError>> {
        let state = self.state();
        state.promises.get(&number).filter(|promise| promise.delivered)?.outcome.clone()
    }

    /// Those of `wanted` that were delivered before; an error when one is no promise of this guest.
    pub(crate) fn delivered(&self, wanted: &[u64]) -> Result<Vec<u64>, Fault> {
        let state = self.state();
        let unknown = |number: &&u64| !state.promises.get(number).is_some_and(|promise| promise.called);
        if let Some(number) = wanted.iter().find(unknown) {
            let message = format!("{number} is no promise of this execution");
            return Err(GuestError::new(ErrorCode::Invalid, message).into());
        }
        let delivered = |number: &u64| state.promises.get(number).is_some_and(|promise| promise.delivered);
        Ok(wanted.iter().copied().filter(delivered).collect())
    }
}

/// Bytes of an outcome.
fn size(outcome: &Result<String, GuestError>) -> u64 {
    match outcome {
        Ok(json) => json.len() as u64,
        Err(error) => error.message.len() as u64,
    }
}

fn timed_out() -> GuestError {
    GuestError::new(ErrorCode::TimedOut, "the deadline passed before anybody settled the promise")
}
