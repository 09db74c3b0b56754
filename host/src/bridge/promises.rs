//! Promises: opened by a step, settled once, by the first settlement.
//!
//! Timers, and requests to capabilities of this host, live with the run and in the journal. A promise that others settle (a
//! question, the execution of a called function) is in the store from the commit that records its step.

use super::asking::Asking;
use super::calls::Called;
use super::effect::{Effect, Performing};
use super::ruled::Ruled;
use super::state::Promise;
use super::{Bridge, Fault, State};
use crate::guest_error::{ErrorCode, GuestError};
use crate::json;
use everstep_store::journal::Role;
use everstep_store::record::NEVER;
use everstep_store::{Asked, PromiseKind};
use std::sync::Arc;

/// The parameters of a new promise.
pub(crate) struct NewPromise {
    /// Milliseconds until a timer resolves, or any other promise is rejected as timed out.
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) about: About,
}

/// What a promise is about: the information for the one who settles it.
pub(crate) enum About {
    /// Nothing: the clock settles the promise.
    Time,
    /// A question or an external promise, answered from outside.
    Shown(Asked),
    /// A request: the capability and the message.
    Request(String, String),
    /// An effect of this host.
    Effect(Arc<dyn Effect>),
    /// A function to be run as a child.
    Call(Called),
}

impl NewPromise {
    /// Bytes that are kept beside the journal while the promise is pending.
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

    /// Refuses JSON texts that are nested too deeply to be shown to others.
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

    /// Whether the guest itself may settle the promise.
    pub(super) fn own(&self) -> bool {
        matches!(&self.about, About::Shown(asked) if asked.kind == PromiseKind::Promise)
    }
}

impl Bridge {
    /// Opens a promise that was just recorded.
    pub(super) fn open(
        &self,
        state: &mut State,
        ruled: &Ruled<'_>,
        (role, new): (Role, NewPromise),
        deadline_ms: Option<u64>,
    ) {
        let promise = Promise::opened(role, &new, deadline_ms);
        self.count_open(state, ruled, promise);
        self.begin_effect(state, ruled.number, new.about, deadline_ms);
    }

    /// Opens a promise that was just recorded and whose effect waits for an approval.
    pub(super) fn open_gated(
        &self,
        state: &mut State,
        ruled: &Ruled<'_>,
        (role, new): (Role, NewPromise),
        approval: u64,
    ) {
        let opened = Promise::opened(role, &new, None);
        let promise = Promise { held: Some(ruled.step.held(ruled.rule, new)), ..opened };
        self.count_open(state, ruled, promise);
        state.gate(approval, ruled.number);
        self.show_if_first(state, approval);
    }

    /// Adds a promise; it counts as open under its rule until it is settled.
    fn count_open(&self, state: &mut State, ruled: &Ruled<'_>, mut promise: Promise) {
        let Ruled { step, number, rule } = *ruled;
        promise.rule = Some(rule.to_owned());
        if step.grant.stays_open() {
            state.budget.opened(rule);
            promise.open_by = Some(rule.to_owned());
        }
        state.insert(number, promise);
    }

    /// Who will settle a promise. A request goes to a capability of this host or, if it has none of that name, to a client, which
    /// finds it among the open promises. The choice is made once and recorded, so that no other host serves the request again
    /// differently.
    pub(super) fn role_of(&self, about: &About) -> Role {
        match about {
            About::Time => Role::Timer,
            About::Shown(_) => Role::External,
            About::Effect(_) => Role::Request,
            About::Call(_) => Role::Child,
            About::Request(capability, _) if self.facts.capabilities.get(capability).is_some() => Role::Request,
            About::Request(..) => Role::External,
        }
    }

    /// Begins the effect of a promise, or asks the one who is to settle it.
    pub(super) fn begin_effect(&self, state: &mut State, number: u64, about: About, deadline_ms: Option<u64>) {
        let asked = match about {
            About::Time => return,
            About::Shown(asked) => asked,
            About::Call(called) => return self.call(state, number, called, deadline_ms),
            About::Effect(effect) => return Performing::begin(self, state, number, effect),
            About::Request(capability, message) => {
                let serves = state.promises.get(number).is_some_and(|promise| promise.role == Role::Request);
                match self.facts.capabilities.get(&capability).filter(|_| serves) {
                    Some(provider) => {
                        return Performing::begin(
                            self,
                            state,
                            number,
                            Asking::effect(self, capability, provider, message),
                        );
                    }
                    None => for_client(capability, message),
                }
            }
        };
        state.keep(&self.facts, number, &asked, deadline_ms);
    }

    /// Returns an error if another promise would exceed a limit; otherwise counts it.
    pub(super) fn no_room_for_promise(&self, state: &State, number: u64, role: Role) -> Option<GuestError> {
        if self.is_canceled() && state.cleans_up() {
            return Some(GuestError::new(ErrorCode::Canceled, "the execution is canceled, and waits for nothing new"));
        }
        if role == Role::Child && self.facts.id.child(number).is_none() {
            let message = format!("the id of a child of {} would be too long; call with less depth", self.facts.id);
            return Some(GuestError::new(ErrorCode::LimitExceeded, message));
        }
        let limits = self.facts.limits();
        let full = |what: &str, limit: u64| {
            let message = format!("{limit} promises are pending already ({what}); await one first");
            Some(GuestError::new(ErrorCode::LimitExceeded, message))
        };
        if state.promises.in_flight() as u64 >= limits.in_flight {
            return full("limits.in_flight", limits.in_flight);
        }
        if role == Role::External && state.promises.waiting_outside() as u64 >= limits.pending_promises {
            return full("limits.pending_promises", limits.pending_promises);
        }
        // Last, because it counts the promise.
        matches!(role, Role::External | Role::Child)
            .then(|| self.facts.descent.take(&self.facts.grants.lineage(), role == Role::Child).err())
            .flatten()
    }

    /// The outcome that was delivered for a promise.
    pub(crate) fn outcome(&self, number: u64) -> Option<Result<String, GuestError>> {
        let state = self.state();
        state.promises.of_guest(number).filter(|promise| promise.delivered)?.outcome.clone()
    }

    /// Those of `wanted` that were delivered before; an error if one is not a promise of this guest.
    pub(crate) fn delivered(&self, wanted: &[u64]) -> Result<Vec<u64>, Fault> {
        let state = self.state();
        let unknown = |number: &&u64| state.promises.of_guest(**number).is_none();
        if let Some(number) = wanted.iter().find(unknown) {
            let message = format!("{number} is no promise of this execution");
            return Err(GuestError::new(ErrorCode::Invalid, message).into());
        }
        let delivered = |number: &u64| state.promises.get(*number).is_some_and(|promise| promise.delivered);
        Ok(wanted.iter().copied().filter(delivered).collect())
    }
}

/// A request that a client serves.
pub(super) fn for_client(capability: String, message: String) -> Asked {
    Asked { kind: PromiseKind::Request, subject: capability, data: Some(message), schema: None }
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
    /// A promise made by a live guest.
    fn opened(role: Role, new: &NewPromise, deadline_ms: Option<u64>) -> Self {
        Self { called: true, own: new.own(), bytes: new.bytes(), ..Self::new(role, deadline_ms) }
    }
}

/// The deadline of a new promise; if others settle it, not later than that of the execution.
pub(super) fn deadline(now_ms: u64, role: Role, timeout_ms: Option<u64>, bound_ms: Option<u64>) -> Option<u64> {
    let asked = timeout_ms.map(|timeout| now_ms.saturating_add(timeout)).filter(|deadline| *deadline < NEVER);
    let bound = bound_ms.filter(|_| matches!(role, Role::External | Role::Child));
    asked.into_iter().chain(bound).min()
}

pub(super) fn too_deep(what: &str) -> GuestError {
    GuestError::new(ErrorCode::Invalid, format!("{what}: {}", json::Error::TooDeep))
}

pub(super) fn timed_out() -> GuestError {
    GuestError::new(ErrorCode::TimedOut, "the deadline passed before anybody settled the promise")
}
