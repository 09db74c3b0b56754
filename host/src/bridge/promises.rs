//! Promises: opened by a step, settled once by whoever is first.
//!
//! Timers, and requests to capabilities of this host, live with the run and in the journal. What others settle is a promise of the
//! store from the commit on that records its step: a question, and the execution of a function that is called.

use super::{Bridge, Fault, State, Step, Stop};
use crate::bridge::state::Promise;
use crate::capability::{self, Capability};
use crate::guest_error::{ErrorCode, GuestError};
use crate::id::ExecutionId;
use crate::journal::Role;
use crate::schema::Schema;
use crate::store::operation::{NewPromise as StoredPromise, Operation, Reply, Settlement as Settle};
use crate::store::record::{NEVER, Value, tag};
use crate::store::{self, Asked, Change, Invocation, PendingPromise};
use std::collections::BTreeMap;
use std::sync::Arc;

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
    Shown(Asked),
    /// A request: the capability and the message.
    Request(String, String),
    /// A function to be run as a child.
    Call(Called),
}

/// A function that a guest calls.
pub(crate) struct Called {
    pub(crate) function: String,
    pub(crate) args: String,
    /// The address of the group that runs it; none: that of this host.
    pub(crate) target: Option<String>,
}

impl NewPromise {
    /// Bytes that are kept for it beside the journal while it is pending.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = match &self.about {
            About::Time => 0,
            About::Shown(Asked { subject, data, schema, .. }) => {
                subject.len() + data.as_ref().map_or(0, String::len) + schema.as_ref().map_or(0, String::len)
            }
            About::Request(capability, message) => capability.len() + message.len(),
            About::Call(Called { function, args, .. }) => function.len() + args.len(),
        };
        bytes as u64
    }

    /// Whether the guest itself may settle it.
    fn own(&self) -> bool {
        matches!(&self.about, About::Shown(asked) if asked.kind == "promise")
    }
}

impl Bridge {
    /// Opens a promise that was just recorded.
    pub(super) fn open(self: &Arc<Self>, state: &mut State, number: u64, new: NewPromise, deadline_ms: Option<u64>) {
        let (own, bytes) = (new.own(), new.bytes());
        let promise = Promise { called: true, own, bytes, ..Promise::new(new.role, deadline_ms) };
        state.insert(number, promise);
        let asked = match new.about {
            About::Time => return,
            About::Shown(asked) => asked,
            About::Call(called) => return self.call(state, number, called, deadline_ms),
            About::Request(capability, message) => match self.capabilities.get(&capability) {
                Some(provider) if new.role == Role::Request => return self.send(state, number, provider, message),
                _ => for_client(capability, message),
            },
        };
        self.keep(state, number, asked.param(), asked.tags(), deadline_ms);
    }

    /// Creates a promise of the store, in one commit with the record of the call: whoever is to settle it finds it, whatever becomes of
    /// this host.
    fn keep(
        &self,
        state: &mut State,
        number: u64,
        param: Value,
        mut tags: BTreeMap<String, String>,
        deadline_ms: Option<u64>,
    ) {
        tags.insert(tag::PARENT.to_owned(), self.id.to_string());
        let id = self.id.promise(number).to_string();
        let new = StoredPromise { id, timeout_at: deadline_ms.unwrap_or(NEVER), param, tags };
        self.submit_soon(state, [Change::operation(self.clock.now_ms(), Operation::PromiseCreate(new))]);
    }

    fn call(&self, state: &mut State, number: u64, called: Called, deadline_ms: Option<u64>) {
        let (invocation, target) = self.invocation(called);
        self.keep(state, number, invocation.param(), invocation.tags(&target), deadline_ms);
    }

    /// A call as a promise carries it, and the address of the group that runs it.
    fn invocation(&self, called: Called) -> (Invocation, String) {
        let Called { function, args, target } = called;
        let (component, policy) = (self.claim.component, self.grants.digest);
        let target = target.unwrap_or_else(|| self.claim.target.to_string());
        (Invocation { function, args, component, policy }, target)
    }

    /// Starts a function as an execution that is nobody's child, once; returns its id.
    pub(crate) async fn spawn_detached(
        self: &Arc<Self>,
        step: &Step<'_>,
        called: Called,
        timeout_ms: Option<u64>,
    ) -> Result<String, Fault> {
        let number = self.state().next;
        let id = detached_id(&self.id, number);
        let (invocation, target) = self.invocation(called);
        let now_ms = self.clock.now_ms();
        let timeout_at = timeout_ms.map_or(NEVER, |timeout| now_ms.saturating_add(timeout));
        let (param, tags) = (invocation.param(), invocation.tags(&target));
        let new = StoredPromise { id: id.clone(), timeout_at, param, tags };
        self.external(step, async |_| {
            let created = self.committer.operate(now_ms, Operation::PromiseCreate(new)).await.map_err(unavailable)?;
            created.answer.map(|_| id).map_err(|refusal| GuestError::new(ErrorCode::Failed, refusal.to_string()))
        })
        .await
    }

    /// Who will settle a request: a capability of this host, or else a client, who finds it among the open promises. That is
    /// decided once and recorded, so that no other host has it served again by somebody else.
    pub(crate) fn role_of_request(&self, capability: &str) -> Role {
        if self.capabilities.get(capability).is_some() { Role::Request } else { Role::External }
    }

    /// A replayed guest has made the call that created a promise.
    pub(super) fn reopen(&self, state: &mut State, number: u64, new: NewPromise) {
        if let Some(promise) = state.promises.get_mut(&number) {
            promise.called = true;
            promise.own = new.own();
            if promise.outcome.is_none() {
                promise.bytes = new.bytes();
                state.beside += promise.bytes;
                promise.about = Some(new.about).filter(|_| promise.role == Role::Request || promise.missing);
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
        if state.only_up_to.is_some() {
            return Err(Stop::Replayed);
        }
        let now_ms = self.clock.now_ms();
        let in_time = |promise: &Promise| promise.deadline_ms.is_none_or(|deadline| now_ms < deadline);
        let lost = state.promises.iter().filter(|(_, promise)| in_time(promise));
        let requests: Vec<_> = lost.filter_map(|(number, promise)| Some((*number, promise.request()?))).collect();
        let requests = requests.into_iter().map(|(number, (capability, message))| {
            let provider = self.capabilities.get(&capability).ok_or_else(|| self.unserved(number, &capability))?;
            Ok((number, capability, provider, message))
        });
        let lost = requests.collect::<Result<Vec<_>, Stop>>()?;
        state.live = true;
        let changes = std::mem::take(&mut state.when_live);
        self.submit(state, changes);
        self.keep_missing(state);
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

    /// Promises that the store should know of and does not, as in the fork of an execution, are created there.
    fn keep_missing(&self, state: &mut State) {
        let abouts: Vec<_> = state
            .promises
            .iter_mut()
            .filter_map(|(number, promise)| {
                let about = promise.about.take().filter(|_| promise.missing)?;
                promise.missing = false;
                Some((*number, about, promise.deadline_ms))
            })
            .collect();
        for (number, about, deadline_ms) in abouts {
            match about {
                About::Shown(asked) => self.keep(state, number, asked.param(), asked.tags(), deadline_ms),
                About::Request(capability, message) => {
                    let asked = for_client(capability, message);
                    self.keep(state, number, asked.param(), asked.tags(), deadline_ms);
                }
                About::Call(called) => self.call(state, number, called, deadline_ms),
                About::Time => {}
            }
        }
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
                bridge.answer(number, outcome);
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

    /// Settles a request with what a capability of this host has answered.
    fn answer(self: &Arc<Self>, number: u64, outcome: Result<String, GuestError>) {
        let mut state = self.state();
        let pending = state.promises.get(&number).filter(|promise| promise.outcome.is_none());
        let Some(promise) = pending.filter(|_| !state.concluded) else { return };
        let too_late = promise.deadline_ms.is_some_and(|deadline| deadline <= self.clock.now_ms());
        let outcome = if too_late { Err(timed_out()) } else { self.checked(&state, outcome) };
        self.settle_in(&mut state, number, outcome);
        self.submit_soon(&mut state, []);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Records a settlement; the caller knows that the promise is pending.
    pub(super) fn settle_in(&self, state: &mut State, number: u64, outcome: Result<String, GuestError>) {
        let effect = state.promises.get_mut(&number).and_then(|promise| promise.effect.take());
        state.record_settlement(number, outcome, self.clock.now_ms());
        if let Some(effect) = effect {
            effect.abort();
        }
    }

    /// Settles a promise of kind `promise` for the guest itself.
    pub(crate) async fn settle_own(
        self: &Arc<Self>,
        step: &Step<'_>,
        number: u64,
        outcome: Result<String, GuestError>,
    ) -> Result<(), Fault> {
        let own = |promise: &Promise| promise.called && promise.own;
        let (is_own, fits) = {
            let mut state = self.state();
            // The outcome goes into the journal with its delivery. A replay does what is recorded.
            let recorded = state.journal.history.peek()?.is_some();
            let fits = recorded || self.check_room(&state, size(&outcome)).is_ok();
            (state.promises.get(&number).is_some_and(own), fits)
        };
        if !is_own || !fits {
            return self.internal(step, |_, _| if is_own { Err(no_room(number)) } else { Err(no_such(number)) });
        }
        let id = self.id.promise(number);
        let now_ms = self.clock.now_ms();
        self.external(step, async |_| {
            let stored = self.committer.store().promise(&id.to_string()).map_err(unavailable)?;
            let asked = stored.and_then(|(promise, _)| PendingPromise::of(&promise)).ok_or_else(|| no_such(number))?;
            check_fit(asked.schema.as_deref(), &outcome).map_err(|why| GuestError::new(ErrorCode::Invalid, why))?;
            let (state, value) = store::value_of(&outcome);
            let settle = Settle { id: id.to_string(), state, value: value.clone() };
            let applied =
                self.committer.operate(now_ms, Operation::PromiseSettle(settle)).await.map_err(unavailable)?;
            match applied.answer {
                Ok(Reply::Promise(promise)) if (promise.state, &promise.value) == (state, &value) => Ok(()),
                _ => Err(no_such(number)),
            }
        })
        .await?;
        self.record_settled(number);
        Ok(())
    }

    /// Records the settlement that the guest itself has brought about, next to its step: a fork behind that step has it too.
    fn record_settled(&self, number: u64) {
        let mut state = self.state();
        self.take_notices_into(&mut state);
        state.record_outcome(number);
    }

    /// Gives up on a promise of any kind; one that is settled stays as it is.
    pub(crate) async fn cancel_promise(self: &Arc<Self>, step: &Step<'_>, number: u64) -> Result<(), Fault> {
        let role = {
            let state = self.state();
            state.promises.get(&number).filter(|promise| promise.called).map(|promise| promise.role)
        };
        if let Some(Role::External | Role::Child) = role {
            let id = self.id.promise(number).to_string();
            let now_ms = self.clock.now_ms();
            self.external(step, async |_| {
                let canceled = self.committer.operate(now_ms, Operation::CancelTree { id }).await;
                canceled.map_err(unavailable).map(drop)
            })
            .await?;
            self.record_settled(number);
            return Ok(());
        }
        self.give_up(step, number)
    }

    /// Gives up on a promise that this host settles itself.
    pub(crate) fn give_up(self: &Arc<Self>, step: &Step<'_>, number: u64) -> Result<(), Fault> {
        self.internal(step, |state, _| {
            let Some(promise) = state.promises.get(&number).filter(|promise| promise.called) else {
                let message = format!("{number} is no promise of this execution");
                return Err(GuestError::new(ErrorCode::Invalid, message));
            };
            if promise.outcome.is_none() {
                let given_up = GuestError::new(ErrorCode::Canceled, "the guest gave the promise up");
                self.settle_in(state, number, Err(given_up));
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
    pub(super) fn no_room_for_promise(&self, state: &State, number: u64, role: Role) -> Option<GuestError> {
        if self.is_canceled() && state.cleans_up {
            return Some(GuestError::new(ErrorCode::Canceled, "the execution is canceled, and waits for nothing new"));
        }
        if role == Role::Child && self.id.child(number).is_none() {
            let message = format!("the id of a child of {} would be too long; call with less depth", self.id);
            return Some(GuestError::new(ErrorCode::LimitExceeded, message));
        }
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

/// A request that a client serves.
fn for_client(capability: String, message: String) -> Asked {
    Asked { kind: "request", subject: capability, data: Some(message), schema: None }
}

impl Promise {
    /// What a capability of this host was asked, when its answer is lost.
    fn request(&self) -> Option<(String, String)> {
        match &self.about {
            Some(About::Request(capability, message)) if self.role == Role::Request => {
                Some((capability.clone(), message.clone()))
            }
            _ => None,
        }
    }
}

/// The deadline of a new promise: for what others settle not later than that of the execution.
pub(super) fn deadline(now_ms: u64, new: &NewPromise, bound_ms: Option<u64>) -> Option<u64> {
    let asked = new.timeout_ms.map(|timeout| now_ms.saturating_add(timeout)).filter(|deadline| *deadline < NEVER);
    let bound = bound_ms.filter(|_| matches!(new.role, Role::External | Role::Child));
    asked.into_iter().chain(bound).min()
}

/// Whether an outcome fits the schema of its promise; an error fits any.
///
/// # Errors
/// What does not fit, in words.
pub(crate) fn check_fit(schema: Option<&str>, outcome: &Result<String, GuestError>) -> Result<(), String> {
    match (schema, outcome) {
        (Some(schema), Ok(json)) => Schema::parse(schema)?.check(json),
        _ => Ok(()),
    }
}

/// The id of an execution that is nobody's child: the same whenever the step is repeated.
fn detached_id(of: &ExecutionId, number: u64) -> String {
    let root = of.root();
    let hash = blake3::hash(of.promise(number).to_string().as_bytes()).to_hex();
    let room = ExecutionId::LONGEST - 18;
    format!("{}:d{}", &root[..root.len().min(room)], &hash[..16])
}

/// Bytes of an outcome.
fn size(outcome: &Result<String, GuestError>) -> u64 {
    match outcome {
        Ok(json) => json.len() as u64,
        Err(error) => error.message.len() as u64,
    }
}

/// One and the same for a promise that is unknown, somebody else's, or settled otherwise.
fn no_such(number: u64) -> GuestError {
    GuestError::new(ErrorCode::Invalid, format!("{number} is no open promise that this execution made with create"))
}

fn no_room(number: u64) -> GuestError {
    let message = format!("promise {number} stays pending: the journal has no room (limits.journal)");
    GuestError::new(ErrorCode::LimitExceeded, message)
}

/// The store failed in the middle of an effect: the run ends at its next barrier, and the guest does not go on.
fn unavailable(_: store::Error) -> GuestError {
    GuestError::new(ErrorCode::Failed, "the store failed")
}

pub(super) fn timed_out() -> GuestError {
    GuestError::new(ErrorCode::TimedOut, "the deadline passed before anybody settled the promise")
}
