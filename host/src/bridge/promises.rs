//! Promises: opened by a step, settled once by whoever is first.
//!
//! Timers, and requests to capabilities of this host, live with the run and in the journal. What others settle is a promise of the
//! store from the commit on that records its step: a question, and the execution of a function that is called.

use super::effect::{Effect, Lost, Performed, Performing};
use super::pipeline::Admitted;
use super::state::Promise;
use super::{Bridge, Fault, State, Step, Stop};
use crate::capability::{self, Capability};
use crate::guest_error::{ErrorCode, GuestError};
use crate::id::{Digest, ExecutionId};
use crate::json;
use crate::schema::Schema;
use everstep_store::journal::{Record, Role};
use everstep_store::operation::{NewPromise as StoredPromise, Operation, Reply, Settlement as Settle};
use everstep_store::record::{NEVER, Value, tag};
use everstep_store::seam::{Entry, Store};
use everstep_store::{Asked, Blob, Failure, Invocation, PendingPromise};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
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
    /// An effect of this host.
    Effect(Arc<dyn Effect>),
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
            About::Time | About::Effect(_) => 0,
            About::Shown(Asked { subject, data, schema, .. }) => {
                subject.len() + data.as_ref().map_or(0, String::len) + schema.as_ref().map_or(0, String::len)
            }
            About::Request(capability, message) => capability.len() + message.len(),
            About::Call(Called { function, args, .. }) => function.len() + args.len(),
        };
        bytes as u64
    }

    /// Whether others may be shown what it is about: a JSON text of it that is nested too deeply is not taken in.
    pub(super) fn check_depth(&self) -> Result<(), GuestError> {
        let texts = match &self.about {
            About::Time | About::Effect(_) => return Ok(()),
            About::Shown(Asked { data, schema, .. }) => [("data", data.as_deref()), ("schema", schema.as_deref())],
            About::Request(_, message) => [("message", Some(&**message)), ("", None)],
            About::Call(Called { args, .. }) => [("args", Some(&**args)), ("", None)],
        };
        let deep = texts.into_iter().find(|(_, text)| text.is_some_and(|text| json::check_depth(text).is_err()));
        deep.map_or(Ok(()), |(what, _)| Err(too_deep(what)))
    }

    /// Whether the guest itself may settle it.
    fn own(&self) -> bool {
        matches!(&self.about, About::Shown(asked) if asked.kind == "promise")
    }
}

impl Bridge {
    /// Opens a promise that was just recorded.
    pub(super) fn open(
        self: &Arc<Self>,
        state: &mut State,
        admitted: &Admitted<'_>,
        step: &Step<'_>,
        new: NewPromise,
        deadline_ms: Option<u64>,
    ) {
        let promise = Promise::opened(&new, deadline_ms);
        self.count_open(state, admitted.number, admitted.rule, step, promise);
        self.begin_effect(state, admitted.number, new.about, deadline_ms);
    }

    /// Opens a promise that was just recorded, and whose effect waits for an approval.
    pub(super) fn open_gated(
        self: &Arc<Self>,
        state: &mut State,
        admitted: &Admitted<'_>,
        step: &Step<'_>,
        new: NewPromise,
        approval: u64,
    ) {
        let opened = Promise::opened(&new, None);
        let promise = Promise { held: Some(step.held(admitted.rule, new)), ..opened };
        self.count_open(state, admitted.number, admitted.rule, step, promise);
        state.gate(approval, admitted.number);
        self.show_if_first(state, approval);
    }

    /// Adds a promise, which counts as open under its rule until it is settled.
    fn count_open(&self, state: &mut State, number: u64, rule: &str, step: &Step<'_>, mut promise: Promise) {
        promise.rule = Some(rule.to_owned());
        if step.grant.stays_open() {
            state.usage.opened(rule);
            promise.open_by = Some(rule.to_owned());
        }
        state.insert(number, promise);
    }

    /// Begins what a promise is about.
    pub(super) fn begin_effect(
        self: &Arc<Self>,
        state: &mut State,
        number: u64,
        about: About,
        deadline_ms: Option<u64>,
    ) {
        let asked = match about {
            About::Time => return,
            About::Shown(asked) => asked,
            About::Call(called) => return self.call(state, number, called, deadline_ms),
            About::Effect(effect) => return self.perform(state, number, effect),
            About::Request(capability, message) => {
                let serves = state.promises.get(&number).is_some_and(|promise| promise.role == Role::Request);
                match self.capabilities.get(&capability).filter(|_| serves) {
                    Some(provider) => return self.perform(state, number, self.asking(capability, provider, message)),
                    None => for_client(capability, message),
                }
            }
        };
        self.keep(state, number, &asked, deadline_ms);
    }

    /// A request to a capability of this host, as an effect.
    fn asking(&self, capability: String, provider: Arc<dyn Capability>, message: String) -> Arc<dyn Effect> {
        let limit = self.grants.policy.limits.bytes_per_call;
        Arc::new(Asking { capability, provider, message, limit })
    }

    /// Creates a promise of the store, in one commit with the record of the call: whoever is to settle it finds it, whatever becomes of
    /// this host.
    pub(super) fn keep(&self, state: &mut State, number: u64, asked: &Asked, deadline_ms: Option<u64>) {
        state.asks = true;
        let create = self.creation(number, asked.param(), asked.tags(), deadline_ms);
        self.submit_soon(state, Entry::of(create));
    }

    fn creation(
        &self,
        number: u64,
        param: Value,
        mut tags: BTreeMap<String, String>,
        deadline_ms: Option<u64>,
    ) -> Operation {
        tags.insert(tag::PARENT.to_owned(), self.id.to_string());
        self.descent.mark(&mut tags);
        let id = self.id.promise(number).to_string();
        let new = StoredPromise { id, timeout_at: deadline_ms.unwrap_or(NEVER), param, tags };
        Operation::PromiseCreate(new)
    }

    fn call(&self, state: &mut State, number: u64, called: Called, deadline_ms: Option<u64>) {
        state.asks = true;
        let (invocation, target, policy) = self.invocation(called);
        let create = self.creation(number, invocation.param(), invocation.tags(&target), deadline_ms);
        self.submit_soon(state, Entry { blobs: policy.into_iter().collect(), ..Entry::of(create) });
    }

    /// A call as a promise carries it, the address of the group that runs it, and what the store has to keep for it: the policy of the
    /// caller, narrowed to what the function may do.
    fn invocation(&self, called: Called) -> (Invocation, String, Option<(Digest, Blob)>) {
        let Called { function, args, target } = called;
        let (policy, kept) = match self.grants.policy.for_function(&function) {
            Cow::Borrowed(_) => (self.grants.digest, None),
            Cow::Owned(narrowed) => {
                let policy = narrowed.digest();
                (policy, Some((policy, narrowed.canonical().into_bytes().into())))
            }
        };
        let target = target.unwrap_or_else(|| self.terms.target.to_string());
        (Invocation { function, args, component: self.terms.component, policy }, target, kept)
    }

    /// Starts a function as an execution that is nobody's child, once; returns its id.
    pub(crate) async fn spawn_detached(
        self: &Arc<Self>,
        step: &Step<'_>,
        called: Called,
        timeout_ms: Option<u64>,
    ) -> Result<String, Fault> {
        // Not the number of the step: an approval may come before it. The same in a replay all the same.
        let number = self.state().next;
        let id = detached_id(&self.id, number);
        let shallow = json::check_depth(&called.args).map_err(|_| too_deep("args"));
        let (invocation, target, policy) = self.invocation(called);
        let timeout_ms = self.bounded_by_rule(step, "", timeout_ms);
        let now_ms = self.clock.now_ms();
        let timeout_at = timeout_ms.map_or(NEVER, |timeout| now_ms.saturating_add(timeout));
        let (param, mut tags) = (invocation.param(), invocation.tags(&target));
        self.descent.mark_detached(&mut tags);
        let new = StoredPromise { id: id.clone(), timeout_at, param, tags };
        self.external(step, async |repeated| {
            shallow?;
            // One that was made before a crash is counted.
            if !repeated || self.store.promise(&id).await.map_err(unavailable)?.is_none() {
                self.descent.take(&self.grants.lineage(), true)?;
            }
            if let Some(policy) = policy {
                self.ledger.append(Entry { blobs: vec![policy], ..Entry::default() });
            }
            let created = self.ledger.operate(Operation::PromiseCreate(new)).await.map_err(unavailable)?;
            created.answer.map(|_| id).map_err(|refusal| GuestError::new(ErrorCode::Failed, refusal.to_string()))
        })
        .await
    }

    /// Has a child fail once it halts, or at once if it has. Whoever halts it reads the wish in this journal, where it is durable before
    /// the child is looked at: so one of the two sees the other.
    pub(crate) async fn fail_on_halt(self: &Arc<Self>, step: &Step<'_>, number: u64) -> Result<(), Fault> {
        let is_child = |promise: &Promise| promise.called && promise.role == Role::Child;
        let child = self.state().promises.get(&number).is_some_and(is_child).then(|| self.id.child(number)).flatten();
        let Some(child) = child else {
            let error = GuestError::new(ErrorCode::Invalid, format!("{number} is no call of this execution"));
            return self.internal(step, |_, _| Err(error));
        };
        self.external(step, async |_| {
            let failing = failing_halted(&*self.store, &child).await.map_err(unavailable)?;
            for operation in failing.into_iter().flatten() {
                self.ledger.operate(operation).await.map_err(unavailable)?;
            }
            Ok(())
        })
        .await
    }

    /// Who will settle a request: a capability of this host, or else a client, who finds it among the open promises. That is
    /// decided once and recorded, so that no other host has it served again by somebody else.
    pub(crate) fn role_of_request(&self, capability: &str) -> Role {
        if self.capabilities.get(capability).is_some() { Role::Request } else { Role::External }
    }

    /// A replayed guest has made the call that created a promise.
    pub(super) fn reopen(&self, state: &mut State, number: u64, step: &Step<'_>, new: NewPromise) {
        let approved_ms = state.approved_ms(number);
        let rule = state.promises.get(&number).and_then(|promise| promise.rule.clone()).unwrap_or_default();
        let new = NewPromise { timeout_ms: self.bounded_by_rule(step, &rule, new.timeout_ms), ..new };
        let Some(promise) = state.promises.get_mut(&number) else { return };
        promise.called = true;
        promise.own = new.own();
        if promise.outcome.is_some() {
            return;
        }
        promise.bytes = new.bytes();
        state.beside += promise.bytes;
        if step.grant.stays_open() {
            state.usage.opened(&rule);
            promise.open_by = Some(rule.clone());
        }
        if promise.gated_by.is_some() {
            promise.held = Some(step.held(&rule, new));
        } else {
            let timeout_ms = new.timeout_ms;
            promise.about = Some(new.about).filter(|_| promise.role == Role::Request || promise.missing);
            let deadline_ms = approved_ms.zip(timeout_ms).map(|(at_ms, timeout)| at_ms.saturating_add(timeout));
            state.set_deadline(number, deadline_ms);
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
        let lost = state.pending().filter(|(_, promise)| in_time(promise) && promise.role == Role::Request);
        let lost = lost.filter_map(|(number, promise)| Some((number, self.lost(number, promise.about.as_ref()?))));
        let lost = lost.map(|(number, effect)| Ok((number, effect?))).collect::<Result<Vec<_>, Stop>>()?;
        state.live = true;
        let entry = std::mem::take(&mut state.when_live);
        if let Some(component) = &entry.component {
            let at_ms = state.tick(self.clock.now_ms());
            state.journal.append(&Record::TakenOver { at_ms, component: &component.0 });
        }
        self.submit_with(state, entry);
        self.keep_missing(state);
        for (number, effect) in lost {
            let run = self.performing(state, number);
            let lost =
                self.not_inherited(state, number).map_or_else(|error| Lost::Settle(Err(error)), |()| effect.lost(&run));
            match lost {
                Lost::Repeat => self.perform(state, number, effect),
                Lost::Settle(outcome) => self.settle_in(state, number, outcome),
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
                let provider = self.capabilities.get(capability).ok_or_else(|| self.unserved(number, capability))?;
                Ok(self.asking(capability.clone(), provider, message.clone()))
            }
            About::Time | About::Shown(_) | About::Call(_) => Err(self.unserved(number, "")),
        }
    }

    /// An effect that was approved is repeated by the execution that it was approved for.
    fn not_inherited(&self, state: &State, number: u64) -> Result<(), GuestError> {
        let approval = state.promises.get(&number).and_then(|promise| promise.approved_by);
        approval.map_or(Ok(()), |approval| self.decided(state, approval, "the call").map(drop))
    }

    /// Promises that the store should know of and does not, as in the fork of an execution, are created there.
    fn keep_missing(&self, state: &mut State) {
        let abouts: Vec<_> = state
            .promises
            .iter_mut()
            .filter_map(|(number, promise)| {
                if promise.queued {
                    return None;
                }
                let about = promise.about.take().filter(|_| promise.missing)?;
                promise.missing = false;
                Some((*number, about, promise.deadline_ms))
            })
            .collect();
        for (number, about, deadline_ms) in abouts {
            if let Err(error) = self.not_inherited(state, number) {
                self.settle_in(state, number, Err(error));
                continue;
            }
            match about {
                About::Shown(asked) => self.keep(state, number, &asked, deadline_ms),
                About::Request(capability, message) => {
                    let asked = for_client(capability, message);
                    self.keep(state, number, &asked, deadline_ms);
                }
                About::Call(called) => self.call(state, number, called, deadline_ms),
                About::Time | About::Effect(_) => {}
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
            let fits = match &outcome {
                _ if recorded => Ok(()),
                Ok(json) if json::check_depth(json).is_err() => Err(too_deep("value")),
                _ => self.check_room(&state, size(&outcome)).map_err(|_| no_room(number)),
            };
            (state.promises.get(&number).is_some_and(own), fits)
        };
        if let Some(error) = (!is_own).then(|| no_such(number)).or(fits.err()) {
            return self.internal(step, |_, _| Err(error));
        }
        let id = self.id.promise(number);
        self.external(step, async |_| {
            let stored = self.store.promise(&id.to_string()).await.map_err(unavailable)?;
            let asked = stored.and_then(|(promise, _)| PendingPromise::of(&promise)).ok_or_else(|| no_such(number))?;
            check_fit(asked.schema.as_deref(), &outcome).map_err(|why| GuestError::new(ErrorCode::Invalid, why))?;
            let (state, value) = everstep_store::value_of(&outcome);
            let settle = Settle { id: id.to_string(), state, value: value.clone() };
            let applied = self.ledger.operate(Operation::PromiseSettle(settle)).await.map_err(unavailable)?;
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
        let (role, approval) = {
            let state = self.state();
            let promise = state.promises.get(&number).filter(|promise| promise.is_of_guest());
            (promise.map(|promise| promise.role), promise.and_then(|promise| promise.approved_by))
        };
        let stored = matches!(role, Some(Role::External | Role::Child)).then_some(number);
        if stored.is_none() && approval.is_none() {
            return self.give_up(step, number);
        }
        self.external(step, async |_| {
            for number in approval.into_iter().chain(stored) {
                let id = self.id.promise(number).to_string();
                self.ledger.operate(Operation::CancelTree { id }).await.map_err(unavailable)?;
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

    /// Records that the guest has given up a call that waits, or waited, for an approval.
    fn record_withdrawn(self: &Arc<Self>, approval: u64, number: u64) {
        self.record_settled(approval);
        let mut state = self.state();
        if state.live {
            self.admit(&mut state);
            if state.promises.get(&number).is_some_and(|promise| promise.outcome.is_none()) {
                self.settle_in(&mut state, number, Err(given_up()));
            }
        }
    }

    /// Gives up on a promise that this host settles itself.
    pub(crate) fn give_up(self: &Arc<Self>, step: &Step<'_>, number: u64) -> Result<(), Fault> {
        self.internal(step, |state, _| {
            let Some(promise) = state.promises.get(&number).filter(|promise| promise.is_of_guest()) else {
                let message = format!("{number} is no promise of this execution");
                return Err(GuestError::new(ErrorCode::Invalid, message));
            };
            if promise.outcome.is_none() {
                self.settle_in(state, number, Err(given_up()));
            }
            Ok(())
        })
    }

    /// Whether another promise would be one too many; if it is not, it counts.
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
        // Last, because it counts.
        matches!(role, Role::External | Role::Child)
            .then(|| self.descent.take(&self.grants.lineage(), role == Role::Child).err())
            .flatten()
    }

    /// What was delivered for a promise.
    pub(crate) fn outcome(&self, number: u64) -> Option<Result<String, GuestError>> {
        let state = self.state();
        state.promises.get(&number).filter(|promise| promise.is_of_guest() && promise.delivered)?.outcome.clone()
    }

    /// Those of `wanted` that were delivered before; an error when one is no promise of this guest.
    pub(crate) fn delivered(&self, wanted: &[u64]) -> Result<Vec<u64>, Fault> {
        let state = self.state();
        let unknown = |number: &&u64| !state.promises.get(number).is_some_and(Promise::is_of_guest);
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

/// A request to a capability of the embedder.
struct Asking {
    capability: String,
    provider: Arc<dyn Capability>,
    message: String,
    /// How many bytes the response may have.
    limit: u64,
}

impl Effect for Asking {
    fn perform(&self, run: &Performing) -> Pin<Box<dyn Future<Output = Performed> + Send>> {
        let request = capability::Request { id: run.id.clone(), message: self.message.clone() };
        let (provider, limit) = (Arc::clone(&self.provider), self.limit);
        Box::pin(async move {
            let outcome = capability::answer(&*provider, request).await;
            Performed::Done(outcome.and_then(|json| check_response(json, limit)))
        })
    }

    fn lost(&self, _: &Performing) -> Lost {
        if self.provider.is_idempotent() {
            return Lost::Repeat;
        }
        let message = format!("{} was asked before a crash and its response was lost", self.capability);
        Lost::Settle(Err(GuestError::new(ErrorCode::InDoubt, message)))
    }
}

/// A response as a guest may see it: JSON, not larger than a call may carry.
fn check_response(json: String, limit: u64) -> Result<String, GuestError> {
    if json.len() as u64 > limit {
        let message = format!("the response has {} bytes, limits.bytes_per_call is {limit}", json.len());
        return Err(GuestError::new(ErrorCode::LimitExceeded, message));
    }
    match json::check(&json) {
        Ok(()) => Ok(json),
        Err(error) => Err(GuestError::new(ErrorCode::Failed, format!("the response is {error}"))),
    }
}

impl About {
    /// Whether an effect would still be granted, apart from quotas.
    pub(super) fn recheck(&self) -> Result<(), GuestError> {
        match self {
            Self::Effect(effect) => effect.recheck(),
            Self::Time | Self::Shown(_) | Self::Request(..) | Self::Call(_) => Ok(()),
        }
    }
}

impl Promise {
    /// A promise that a live guest has made.
    fn opened(new: &NewPromise, deadline_ms: Option<u64>) -> Self {
        Self { called: true, own: new.own(), bytes: new.bytes(), ..Self::new(new.role, deadline_ms) }
    }
}

/// The deadline of a new promise: for what others settle not later than that of the execution.
pub(super) fn deadline(now_ms: u64, new: &NewPromise, bound_ms: Option<u64>) -> Option<u64> {
    let asked = new.timeout_ms.map(|timeout| now_ms.saturating_add(timeout)).filter(|deadline| *deadline < NEVER);
    let bound = bound_ms.filter(|_| matches!(new.role, Role::External | Role::Child));
    asked.into_iter().chain(bound).min()
}

/// What has an execution fail that has halted, and ends what it has called; none if it has not halted.
pub(crate) async fn failing_halted(
    store: &dyn Store,
    id: &ExecutionId,
) -> Result<Option<[Operation; 2]>, everstep_store::Error> {
    let execution = store.execution(id).await?.filter(|execution| execution.state == everstep_store::State::Halted);
    let Some(failure) = execution.and_then(|execution| execution.progress.error) else { return Ok(None) };
    let (state, value) = everstep_store::value_of(&Err(halted(&failure)));
    let id = id.to_string();
    Ok(Some([Operation::PromiseSettle(Settle { id: id.clone(), state, value }), Operation::CancelTree { id }]))
}

/// What a caller is told of a child that halted.
pub(crate) fn halted(failure: &Failure) -> GuestError {
    GuestError::new(ErrorCode::Failed, format!("it halted: {}", failure.message))
}

/// Whether an outcome fits the schema of its promise; an error fits any. Without a schema a value fits that everybody reads alike.
///
/// # Errors
/// What does not fit, in words.
pub(crate) fn check_fit(schema: Option<&str>, outcome: &Result<String, GuestError>) -> Result<(), String> {
    match (schema, outcome) {
        (Some(schema), Ok(json)) => Schema::parse(schema)?.check(json),
        (None, Ok(json)) => json::value(json).map(drop).map_err(|error| error.to_string()),
        (_, Err(_)) => Ok(()),
    }
}

/// Whether an outcome is not larger than a call may carry.
///
/// # Errors
/// What is too large, in words.
pub(crate) fn check_size(outcome: &Result<String, GuestError>, limit: u64) -> Result<(), String> {
    let size = size(outcome);
    if size <= limit { Ok(()) } else { Err(format!("it has {size} bytes, limits.bytes_per_call is {limit}")) }
}

/// The id of an execution that is nobody's child: the same whenever the step is repeated.
fn detached_id(of: &ExecutionId, number: u64) -> String {
    let root = of.root();
    let hash = blake3::hash(of.promise(number).to_string().as_bytes()).to_hex();
    let room = ExecutionId::LONGEST - everstep_store::DETACHED;
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

fn too_deep(what: &str) -> GuestError {
    GuestError::new(ErrorCode::Invalid, format!("{what}: {}", json::Error::TooDeep))
}

fn no_room(number: u64) -> GuestError {
    let message = format!("promise {number} stays pending: the journal has no room (limits.journal)");
    GuestError::new(ErrorCode::LimitExceeded, message)
}

/// The store failed in the middle of an effect: the run ends at its next barrier, and the guest does not go on.
fn unavailable(_: impl std::error::Error) -> GuestError {
    GuestError::new(ErrorCode::Failed, "the store failed")
}

fn given_up() -> GuestError {
    GuestError::new(ErrorCode::Canceled, "the guest gave the promise up")
}

pub(super) fn timed_out() -> GuestError {
    GuestError::new(ErrorCode::TimedOut, "the deadline passed before anybody settled the promise")
}
