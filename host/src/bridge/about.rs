//! The subject of a promise: what the one who settles it has to know.

use super::asking::Asking;
use super::called::Called;
use super::effect::Effect;
use super::{Bridge, Performing, Registry, State};
use crate::guest_error::{ErrorCode, GuestError};
use crate::json;
use everstep_store::journal::Role;
use everstep_store::{Asked, PromiseKind};
use std::sync::Arc;

/// See the module.
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

impl About {
    /// Who will settle the promise. A request goes to a capability of this host or, if it has none of that name, to a client, which
    /// finds it among the open promises. The choice is made once and recorded, so that no other host serves the request again
    /// differently.
    pub(super) fn role(&self, capabilities: &Registry) -> Role {
        match self {
            Self::Time => Role::Timer,
            Self::Shown(_) => Role::External,
            Self::Effect(_) => Role::Request,
            Self::Call(_) => Role::Child,
            Self::Request(capability, _) if capabilities.get(capability).is_some() => Role::Request,
            Self::Request(..) => Role::External,
        }
    }

    /// Begins the effect of a promise, or asks the one who is to settle it.
    pub(super) fn begin(self, bridge: &Bridge, state: &mut State, number: u64, deadline_ms: Option<u64>) {
        let facts = &bridge.facts;
        match self {
            Self::Time => {}
            Self::Shown(asked) => state.keep(facts, number, &asked, deadline_ms),
            Self::Call(called) => called.create(facts, state, number, deadline_ms),
            Self::Effect(effect) => Performing::begin(bridge, state, number, effect),
            Self::Request(capability, message) => {
                let serves = state.promises.get(number).is_some_and(|promise| promise.role == Role::Request);
                match facts.capabilities.get(&capability).filter(|_| serves) {
                    Some(provider) => {
                        let effect = Asking::effect(facts.limits(), capability, provider, message);
                        Performing::begin(bridge, state, number, effect);
                    }
                    None => state.keep(facts, number, &for_client(capability, message), deadline_ms),
                }
            }
        }
    }

    /// Whether an effect would still be granted, apart from quotas.
    pub(super) fn recheck(&self) -> Result<(), GuestError> {
        match self {
            Self::Effect(effect) => effect.recheck(),
            Self::Time | Self::Shown(_) | Self::Request(..) | Self::Call(_) => Ok(()),
        }
    }

    /// Bytes that are kept beside the journal while the promise is pending.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = match self {
            Self::Time | Self::Effect(_) => 0,
            Self::Shown(Asked { subject, data, schema, .. }) => {
                subject.len() + data.as_ref().map_or(0, String::len) + schema.as_ref().map_or(0, String::len)
            }
            Self::Request(capability, message) => capability.len() + message.len(),
            Self::Call(Called { function, args, .. }) => function.len() + args.len(),
        };
        bytes as u64
    }

    /// Refuses JSON texts that are nested too deeply to be shown to others.
    pub(super) fn check_depth(&self) -> Result<(), GuestError> {
        let texts = match self {
            Self::Time | Self::Effect(_) => return Ok(()),
            Self::Shown(Asked { data, schema, .. }) => [("data", data.as_deref()), ("schema", schema.as_deref())],
            Self::Request(_, message) => [("message", Some(&**message)), ("", None)],
            Self::Call(Called { args, .. }) => [("args", Some(&**args)), ("", None)],
        };
        let deep = texts.into_iter().find(|(_, text)| text.is_some_and(|text| json::check_depth(text).is_err()));
        deep.map_or(Ok(()), |(what, _)| Err(too_deep(what)))
    }

    /// Whether the guest itself may settle the promise.
    pub(super) fn is_own(&self) -> bool {
        matches!(self, Self::Shown(asked) if asked.kind == PromiseKind::Promise)
    }
}

/// A request that a client serves.
fn for_client(capability: String, message: String) -> Asked {
    Asked { kind: PromiseKind::Request, subject: capability, data: Some(message), schema: None }
}

pub(super) fn too_deep(what: &str) -> GuestError {
    GuestError::new(ErrorCode::Invalid, format!("{what}: {}", json::Error::TooDeep))
}
