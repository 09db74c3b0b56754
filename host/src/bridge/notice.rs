//! Settlements that the store reports, and what an outcome must be to be one.

use crate::guest_error::{ErrorCode, GuestError};
use crate::json;
use crate::policy::Limits;
use crate::schema::Schema;
use everstep_store::PendingPromise;

/// A promise that was settled in the store.
#[derive(Debug)]
pub(crate) struct Notice {
    /// The number of the promise.
    pub(crate) number: u64,
    /// Its outcome.
    pub(crate) outcome: Result<String, GuestError>,
    /// When it was settled, in milliseconds since the Unix epoch.
    pub(crate) at_ms: u64,
    /// The question that the answer must fit; a child execution has none.
    question: Option<PendingPromise>,
}

impl Notice {
    /// The settlement of a promise, as the guest of its execution learns it; `None` while it is pending.
    pub(crate) fn of(number: u64, promise: &everstep_store::record::Promise) -> Option<Self> {
        let outcome = everstep_store::outcome_of(promise)?;
        let of_child =
            |error: GuestError| GuestError { message: format!("{}: {}", promise.id, error.message), ..error };
        let outcome = if promise.is_call() { outcome.map_err(of_child) } else { outcome };
        let question = PendingPromise::of(promise);
        Some(Self { number, outcome, at_ms: promise.settled_at.unwrap_or(promise.timeout_at), question })
    }

    /// The outcome, checked against the schema: a client that settles a promise directly in the store bypasses the
    /// host's check.
    pub(super) fn checked(self, limits: &Limits) -> Result<String, GuestError> {
        let Self { outcome, question, .. } = self;
        let fits = match &question {
            Some(PendingPromise { schema, .. }) => {
                check_size(&outcome, limits.bytes_per_call).and_then(|()| check_fit(schema.as_deref(), &outcome))
            }
            None => outcome.as_ref().map_or(Ok(()), |json| json::check(json)).map_err(|error| error.to_string()),
        };
        fits.map_err(|why| GuestError::new(ErrorCode::Invalid, format!("the answer does not fit: {why}"))).and(outcome)
    }
}

/// Checks an outcome against the schema of its promise; an error fits any. Without a schema, the value must be one that all JSON
/// readers read alike.
///
/// # Errors
/// A description of what does not fit.
pub(crate) fn check_fit(schema: Option<&str>, outcome: &Result<String, GuestError>) -> Result<(), String> {
    match (schema, outcome) {
        (Some(schema), Ok(json)) => Schema::parse(schema)?.check(json),
        (None, Ok(json)) => json::value(json).map(drop).map_err(|error| error.to_string()),
        (_, Err(_)) => Ok(()),
    }
}

/// Checks that an outcome is not larger than a call may carry.
///
/// # Errors
/// A description of what is too large.
pub(crate) fn check_size(outcome: &Result<String, GuestError>, limit: u64) -> Result<(), String> {
    let size = size(outcome);
    if size <= limit { Ok(()) } else { Err(format!("it has {size} bytes, limits.bytes_per_call is {limit}")) }
}

/// Bytes of an outcome.
pub(super) fn size(outcome: &Result<String, GuestError>) -> u64 {
    match outcome {
        Ok(json) => json.len() as u64,
        Err(error) => error.message.len() as u64,
    }
}

pub(super) fn timed_out() -> GuestError {
    GuestError::new(ErrorCode::TimedOut, "the deadline passed before anybody settled the promise")
}
