//! What a capability does for a promise that its effect settles.

use super::Performing;
use crate::guest_error::GuestError;
use std::future::Future;
use std::pin::Pin;

/// An effect of this host that settles a promise.
pub(crate) trait Effect: Send + Sync + 'static {
    /// The kind of the step.
    fn kind(&self) -> &'static str;

    /// Makes one attempt. Called in the order of the steps; nothing leaves the host before the future is polled.
    fn perform(&self, run: &Performing) -> Attempt;

    /// Decides what to do when the effect may have begun, for that run, and a crash has lost its outcome.
    fn lost(&self, run: &Performing) -> Lost;

    /// Checks that the effect would still be granted, apart from quotas; called again after an approval.
    ///
    /// # Errors
    /// The denial.
    fn recheck(&self) -> Result<(), GuestError> {
        Ok(())
    }
}

/// An attempt at an effect.
pub(crate) type Attempt = Pin<Box<dyn Future<Output = Performed> + Send>>;

/// The result of an attempt.
pub(crate) enum Performed {
    /// The effect is over.
    Done(Result<String, GuestError>),
    /// The attempt failed with this error before anything was sent, and may be repeated.
    Again(GuestError),
}

/// What to do with an effect whose outcome was lost.
pub(crate) enum Lost {
    /// Begin it anew.
    Repeat,
    /// Settle its promise with this outcome.
    Settle(Result<String, GuestError>),
}
