//! Durable promises, as futures.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{self, Poll};
use std::time::Duration;

use futures::future::FusedFuture;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::everstep::host::functions;
use crate::bindings::everstep::host::promises::{self, Options};
use crate::bindings::everstep::host::types;
use crate::executor::Delivery;
use crate::timers::millis;
use crate::{Context, Error, schema};

/// A durable promise of this execution. Awaiting it gives its value, or the error it was rejected with.
///
/// It exists as soon as the call that made it returns; awaiting only waits. A refused call returns a promise that fails at
/// once with the reason. It is `Unpin` and fused, so that `futures::select!` takes `&mut promise` or the promise itself.
///
/// Dropping it, as `select!` does with a loser, changes nothing outside: the promise stays pending, counts against
/// `limits.in_flight`, and its outcome is ignored. To end it, call [`cancel`](Self::cancel).
#[must_use = "the promise is made, but nobody waits for it unless it is awaited"]
pub struct Promise<T> {
    state: State,
    seen: bool,
    value: PhantomData<fn() -> T>,
}

enum State {
    Created(Delivery),
    Refused(Error),
}

impl Context {
    /// A promise that is settled from outside: by a human, a webhook, another system. `data` is shown to the one who is
    /// asked.
    ///
    /// It carries the JSON Schema of `T`: a value that does not fit is refused and leaves it pending. See
    /// [`JsonSchema`] for how to derive it for a type of your own; `serde_json::Value` takes any value.
    pub fn promise<T: DeserializeOwned + JsonSchema>(&self, data: impl Serialize) -> Promise<T> {
        create(&data, None)
    }

    /// As [`promise`](Self::promise), but rejected as `timed-out` if it is not settled within `timeout`.
    pub fn promise_within<T: DeserializeOwned + JsonSchema>(
        &self,
        data: impl Serialize,
        timeout: Duration,
    ) -> Promise<T> {
        create(&data, Some(millis(timeout)))
    }
}

fn create<T: JsonSchema>(data: &impl Serialize, timeout_ms: Option<u64>) -> Promise<T> {
    match serde_json::to_string(data) {
        Ok(data) => {
            let options = Options { data: Some(data), timeout_ms, schema: schema::of::<T>() };
            Promise::created(promises::create(&options))
        }
        Err(cause) => Promise::refused(Error::invalid(format!("data of a promise: {cause}"))),
    }
}

impl<T> Promise<T> {
    pub(crate) fn created(promise: Result<u64, types::Error>) -> Self {
        match promise {
            Ok(number) => Self::new(State::Created(Delivery::of(number))),
            Err(error) => Self::refused(error.into()),
        }
    }

    pub(crate) fn refused(error: Error) -> Self {
        Self::new(State::Refused(error))
    }

    fn new(state: State) -> Self {
        Self { state, seen: false, value: PhantomData }
    }

    /// The durable id, to hand out; an error if the promise could not be made.
    pub fn id(&self) -> Result<String, Error> {
        self.number().map(promises::id)
    }

    /// Settles a promise that was made with [`Context::promise`]; `invalid` if it is settled already, or of another kind.
    pub fn resolve(&self, value: impl Serialize) -> Result<(), Error> {
        let value = serde_json::to_string(&value)?;
        Ok(promises::resolve(self.number()?, &value)?)
    }

    /// Rejects a promise that was made with [`Context::promise`]; `invalid` if it is settled already, or of another kind.
    pub fn reject(&self, error: impl Into<Error>) -> Result<(), Error> {
        Ok(promises::reject(self.number()?, &error.into().into())?)
    }

    /// Cancels a promise of any kind: awaiting it then fails with `canceled`. A settled one stays as it is.
    pub fn cancel(&self) -> Result<(), Error> {
        Ok(promises::cancel(self.number()?)?)
    }

    /// Makes the promise of a [`call`](Context::call) fail with the cause if the child halts: because of a panic or another trap, a limit,
    /// or because it cannot be run. Without this the caller waits until the child is resumed or canceled.
    ///
    /// A promise of another kind fails with `invalid`.
    pub fn fail_on_halt(self) -> Self {
        match self.number().and_then(|number| Ok(functions::fail_on_halt(number)?)) {
            Ok(()) => self,
            Err(error) => Self::refused(error),
        }
    }

    /// Whether its outcome was not read yet.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.state, State::Created(_)) && !self.seen
    }

    pub(crate) fn number(&self) -> Result<u64, Error> {
        match &self.state {
            State::Created(delivery) => Ok(delivery.promise()),
            State::Refused(error) => Err(error.clone()),
        }
    }
}

impl<T: DeserializeOwned> Future for Promise<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Self::Output> {
        self.poll_with(context, outcome)
    }
}

impl<T> Promise<T> {
    /// Polls for the delivery, and then reads the outcome with `read`.
    pub(crate) fn poll_with<V>(
        &mut self,
        context: &mut task::Context<'_>,
        read: impl FnOnce(u64) -> Result<V, Error>,
    ) -> Poll<Result<V, Error>> {
        let outcome = match &self.state {
            State::Refused(error) => Err(error.clone()),
            State::Created(delivery) => match delivery.poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) => read(delivery.promise()),
            },
        };
        self.seen = true;
        Poll::Ready(outcome)
    }
}

impl<T: DeserializeOwned> FusedFuture for Promise<T> {
    fn is_terminated(&self) -> bool {
        self.seen
    }
}

fn outcome<T: DeserializeOwned>(promise: u64) -> Result<T, Error> {
    match promises::outcome(promise) {
        Some(Ok(json)) => serde_json::from_str(&json)
            .map_err(|cause| Error::invalid(format!("value of promise {}: {cause}", promises::id(promise)))),
        Some(Err(error)) => Err(error.into()),
        None => Err(Error::failed(format!("promise {} was delivered without an outcome", promises::id(promise)))),
    }
}
