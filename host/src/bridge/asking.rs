//! A request to a capability of the embedder, as an effect.

use super::Performing;
use super::effect::{Attempt, Effect, Lost, Performed};
use super::registry::{self, Capability, Request};
use crate::guest_error::{ErrorCode, GuestError};
use crate::json;
use crate::policy::Limits;
use std::sync::Arc;

/// The kind of a step that makes a request.
pub(crate) const SEND_REQUEST: &str = "bridge.send-request";

/// See the module.
pub(super) struct Asking {
    capability: String,
    provider: Arc<dyn Capability>,
    message: String,
    /// The most bytes that the response may have.
    limit: u64,
}

impl Asking {
    pub(super) fn effect(
        limits: &Limits,
        capability: String,
        provider: Arc<dyn Capability>,
        message: String,
    ) -> Arc<dyn Effect> {
        let limit = limits.bytes_per_call;
        Arc::new(Self { capability, provider, message, limit })
    }
}

impl Effect for Asking {
    fn kind(&self) -> &'static str {
        SEND_REQUEST
    }

    fn perform(&self, run: &Performing) -> Attempt {
        let request = Request { id: run.id.clone(), message: self.message.clone() };
        let (provider, limit) = (Arc::clone(&self.provider), self.limit);
        Box::pin(async move {
            let outcome = registry::answer(&*provider, request).await;
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

/// Checks that a response is JSON and not larger than a call may carry.
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
