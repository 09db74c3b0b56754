//! The capabilities of the embedder, by name: they answer the requests that a guest sends over the bridge.

use crate::guest_error::{ErrorCode, GuestError};
use crate::id::PromiseId;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

/// A capability that the embedder provides.
///
/// The closure `|request: Request| async move { ... }` is one, too.
pub trait Capability: Send + Sync + 'static {
    /// Answers one request: a JSON text, or an error for the guest.
    ///
    /// The call may be dropped when the request times out or its execution is canceled.
    fn call(&self, request: Request) -> Pin<Box<dyn Future<Output = Result<String, GuestError>> + Send>>;

    /// Whether a request whose response was lost in a crash may be sent again, with the same id. Otherwise its promise is rejected
    /// with `in-doubt`.
    fn is_idempotent(&self) -> bool {
        false
    }
}

/// A request to a capability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The durable id of the promise that the response settles; the same when the request is sent again, so that it serves
    /// as an idempotency key.
    pub id: PromiseId,
    /// The message, a JSON text.
    pub message: String,
}

/// The capabilities of the embedder, by name.
#[derive(Clone, Default)]
pub(crate) struct Registry {
    by_name: BTreeMap<String, Arc<dyn Capability>>,
}

impl Registry {
    /// Adds or replaces a capability.
    pub(crate) fn insert(&mut self, name: String, capability: Arc<dyn Capability>) {
        self.by_name.insert(name, capability);
    }

    /// The capability of that name.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<dyn Capability>> {
        self.by_name.get(name).cloned()
    }
}

/// Calls a capability; if it panics, the request fails with an error for the guest.
pub(crate) async fn answer(capability: &dyn Capability, request: Request) -> Result<String, GuestError> {
    let panicked = |_| GuestError::new(ErrorCode::Failed, "the capability panicked");
    let mut call = catch_unwind(AssertUnwindSafe(|| capability.call(request))).map_err(panicked)?;
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context)));
        polled.unwrap_or_else(|panic| Poll::Ready(Err(panicked(panic))))
    })
    .await
}

impl<F, R> Capability for F
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: Future<Output = Result<String, GuestError>> + Send + 'static,
{
    fn call(&self, request: Request) -> Pin<Box<dyn Future<Output = Result<String, GuestError>> + Send>> {
        Box::pin(self(request))
    }
}

/// Declares a capability whose requests may be sent again after a crash.
pub struct Idempotent<C>(pub C);

impl<C: Capability> Capability for Idempotent<C> {
    fn call(&self, request: Request) -> Pin<Box<dyn Future<Output = Result<String, GuestError>> + Send>> {
        self.0.call(request)
    }

    fn is_idempotent(&self) -> bool {
        true
    }
}
