//! `everstep:host/bridge`: requests to capabilities of the embedder and of clients.

use super::context::BUILT_IN;
use super::promises::check_json;
use crate::bindings::everstep::host::bridge;
use crate::bridge::{About, Arg, Fault, NewPromise, SEND_REQUEST, Step};
use crate::guest_error::{ErrorCode, GuestError};
use crate::policy;
use crate::turns::Ctx;

impl bridge::Host for Ctx {
    fn send_request(
        &mut self,
        capability: String,
        message: String,
        options: bridge::RequestOptions,
    ) -> Result<u64, Fault> {
        let timeout = options.timeout_ms.map(u64::to_le_bytes).unwrap_or_default();
        let args = [
            Arg::deciding("capability", capability.as_bytes()),
            Arg::of("message", message.as_bytes()),
            Arg::of("timeout", &timeout),
        ];
        let grant = policy::Call::Capability(policy::CapabilityCall { name: &capability, bytes: message.len() as u64 });
        let step = Step::new(SEND_REQUEST, &capability, &args, grant);
        if let Err(error) = check(&capability, &message) {
            return self.bridge.internal(&step, |_| Err(error));
        }
        let timeout_ms = options.timeout_ms;
        let about = About::Request(capability.clone(), message.clone());
        self.bridge.promise(&step, NewPromise { timeout_ms, about })
    }
}

fn check(capability: &str, message: &str) -> Result<(), GuestError> {
    if BUILT_IN.contains(&capability) {
        let message = format!("{capability} has an interface of its own; it takes no requests");
        return Err(GuestError::new(ErrorCode::Invalid, message));
    }
    check_json(message)
}
