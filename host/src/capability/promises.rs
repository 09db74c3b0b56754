//! `everstep:host/promises`: promises that are settled from outside, and waiting for promises of any kind.

use crate::bindings::everstep::host::{promises, types};
use crate::bridge::{About, Arg, Fault, NewPromise, Step};
use crate::guest_error::{ErrorCode, GuestError};
use crate::policy;
use crate::schema::Schema;
use crate::turns::Ctx;
use everstep_store::{Asked, PromiseKind};
use serde_json::value::RawValue;
use std::sync::Arc;

impl promises::Host for Ctx {
    fn create(&mut self, options: promises::Options) -> Result<u64, Fault> {
        let promises::Options { data, timeout_ms, schema } = options;
        let timeout = timeout_ms.map(u64::to_le_bytes).unwrap_or_default();
        let shown_data = data.as_deref().unwrap_or_default();
        // Without the schema: a new version of the code that derives it must not make a different call of this.
        let args = [Arg::of("data", shown_data.as_bytes()), Arg::of("timeout", &timeout)];
        let grant =
            policy::Call::Capability(policy::CapabilityCall { name: "promise", bytes: shown_data.len() as u64 });
        let step = Step::new("promises.create", shown_data, &args, grant);
        let valid = data.as_deref().map_or(Ok(()), check_json).and_then(|()| check_schema(schema.as_deref()));
        if let Err(error) = valid {
            return self.bridge.internal(&step, |_| Err(error));
        }
        let about =
            About::Shown(Asked { kind: PromiseKind::Promise, subject: String::new(), data: data.clone(), schema });
        self.bridge.promise(&step, NewPromise { timeout_ms, about })
    }

    fn id(&mut self, promise: u64) -> wasmtime::Result<String> {
        Ok(self.bridge.facts.id.promise(promise).to_string())
    }

    async fn wait_any(&mut self, promises: Vec<u64>) -> Result<Vec<u64>, Fault> {
        if promises.is_empty() {
            return Err(GuestError::new(ErrorCode::Invalid, "wait-any needs at least one promise").into());
        }
        let delivered = self.bridge.delivered(&promises)?;
        if delivered.is_empty() { Ok(Arc::clone(&self.bridge).wait(&promises).await?) } else { Ok(delivered) }
    }

    fn outcome(&mut self, promise: u64) -> wasmtime::Result<Option<Result<String, types::Error>>> {
        Ok(self.bridge.promise_of_guest(promise).outcome().map(|outcome| outcome.map_err(Into::into)))
    }

    async fn resolve(&mut self, promise: u64, value: String) -> Result<(), Fault> {
        let valid = check_json(&value);
        let (number, subject) = (promise.to_le_bytes(), promise.to_string());
        let args = [Arg::of("promise", &number), Arg::of("value", value.as_bytes())];
        let step = Step::ungranted("promises.resolve", &subject, &args);
        match valid {
            Ok(()) => self.bridge.promise_of_guest(promise).settle(&step, Ok(value.clone())).await,
            Err(error) => self.bridge.internal(&step, |_| Err(error)),
        }
    }

    async fn reject(&mut self, promise: u64, error: types::Error) -> Result<(), Fault> {
        let error = GuestError::from(error);
        let (number, subject) = (promise.to_le_bytes(), promise.to_string());
        let (code, message) = (error.code.name().as_bytes(), error.message.as_bytes());
        let args = [Arg::of("promise", &number), Arg::of("code", code), Arg::of("message", message)];
        let step = Step::ungranted("promises.reject", &subject, &args);
        self.bridge.promise_of_guest(promise).settle(&step, Err(error.clone())).await
    }

    async fn cancel(&mut self, promise: u64) -> Result<(), Fault> {
        let (number, subject) = (promise.to_le_bytes(), promise.to_string());
        let args = [Arg::of("promise", &number)];
        self.bridge.promise_of_guest(promise).cancel(&cancel_step(&subject, &args)).await
    }
}

impl Ctx {
    /// Waits for timers, for a guest that cannot be told of an interruption here.
    pub(crate) async fn wait_for_timers(&mut self, timers: &[u64]) -> Result<Vec<u64>, Fault> {
        let delivered = self.bridge.delivered(timers)?;
        if delivered.is_empty() { Ok(Arc::clone(&self.bridge).wait_through(timers).await?) } else { Ok(delivered) }
    }

    /// Cancels a timer, without waiting.
    pub(crate) fn cancel_timer(&mut self, timer: u64) -> Result<(), Fault> {
        let (number, subject) = (timer.to_le_bytes(), timer.to_string());
        let args = [Arg::of("promise", &number)];
        self.bridge.promise_of_guest(timer).give_up(&cancel_step(&subject, &args))
    }
}

fn cancel_step<'a>(subject: &'a str, args: &'a [Arg<'a>]) -> Step<'a> {
    Step::ungranted("promises.cancel", subject, args)
}

pub(super) fn check_json(text: &str) -> Result<(), GuestError> {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(GuestError::new(ErrorCode::Invalid, format!("not a JSON text: {error}"))),
    }
}

/// Checks that a schema can be used; without one every answer fits.
pub(super) fn check_schema(schema: Option<&str>) -> Result<(), GuestError> {
    match schema.map(Schema::parse) {
        None | Some(Ok(_)) => Ok(()),
        Some(Err(why)) => Err(GuestError::new(ErrorCode::Invalid, format!("the schema cannot be used: {why}"))),
    }
}
