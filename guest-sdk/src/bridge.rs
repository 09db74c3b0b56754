//! Requests to capabilities that have no interface of their own.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::everstep::host::bridge::{self, RequestOptions};
use crate::timers::millis;
use crate::{Context, Error, Promise};

impl Context {
    /// Sends `message` to a capability that the embedder or a client serves; resolves with its response, read as `T`.
    pub fn request<T: DeserializeOwned>(&self, capability: &str, message: impl Serialize) -> Promise<T> {
        request(capability, &message, RequestOptions { timeout_ms: None })
    }

    /// As [`request`](Self::request), but fails with `timed-out` without a response within `timeout`.
    /// The policy's `timeout` is an upper bound.
    pub fn request_within<T: DeserializeOwned>(
        &self,
        capability: &str,
        message: impl Serialize,
        timeout: Duration,
    ) -> Promise<T> {
        request(capability, &message, RequestOptions { timeout_ms: Some(millis(timeout)) })
    }
}

fn request<T: DeserializeOwned>(capability: &str, message: &impl Serialize, options: RequestOptions) -> Promise<T> {
    match serde_json::to_string(message) {
        Ok(message) => Promise::created(bridge::send_request(capability, &message, options)),
        Err(cause) => Promise::refused(Error::invalid(format!("request to `{capability}`: {cause}"))),
    }
}
