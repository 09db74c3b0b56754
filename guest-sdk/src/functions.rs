//! Other durable functions, of the same component or of a worker in another language, each run as an execution of its own.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::everstep::host::functions;
use crate::timers::millis;
use crate::{Context, Error, Promise};

/// How a function is called; see [`Context::call_with`].
///
/// ```
/// use everstep_sdk::CallOptions;
/// use std::time::Duration;
/// let options = CallOptions::new().timeout(Duration::from_secs(60)).target("gpu");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallOptions {
    timeout: Option<Duration>,
    target: Option<String>,
}

impl CallOptions {
    /// No time limit except the caller's and the policy's; in the worker group of the caller.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rejects the child as `timed-out` after this time. The caller's deadline and the policy's `timeout` are upper bounds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The worker group that runs it. The policy has to name it in the `groups` of its grant of `call`, unless it is the caller's.
    ///
    /// A worker in another language takes a list or a tuple as its arguments, `()` as none, and anything else as the only one.
    pub fn target(mut self, group: impl Into<String>) -> Self {
        self.target = Some(group.into());
        self
    }
}

impl Context {
    /// Runs a function of this component as a child execution, which starts with this call; resolves with its result, read as `R`.
    ///
    /// The child fails with the code of its own error (`failed` if it comes from another language), or with `not-found` if there is no such
    /// function; the call is refused as `denied`, `invalid` or `limit-exceeded` (`limits.in_flight`, `limits.bytes_per_call`, `max_calls`).
    /// When the caller is canceled or its deadline passes, its children end with it; to end one alone, [`cancel`](Promise::cancel) the
    /// promise. If a child halts, the caller waits until it is resumed or canceled, unless the promise is set to
    /// [fail](Promise::fail_on_halt) then.
    ///
    /// ```no_run
    /// # use everstep_sdk::{Context, Error, futures};
    /// # async fn order(ctx: Context) -> Result<(), Error> {
    /// let (price, stock) = futures::try_join!(ctx.call::<u64>("price", "tea"), ctx.call::<u64>("stock", "tea"))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn call<R: DeserializeOwned>(&self, function: &str, args: impl Serialize) -> Promise<R> {
        self.call_with(function, args, CallOptions::new())
    }

    /// As [`call`](Self::call), with a time limit or in another worker group.
    pub fn call_with<R: DeserializeOwned>(
        &self,
        function: &str,
        args: impl Serialize,
        options: CallOptions,
    ) -> Promise<R> {
        match arguments(function, &args) {
            Ok(args) => Promise::created(functions::call(function, &args, &options.into())),
            Err(error) => Promise::refused(error),
        }
    }

    /// Starts a function of this component as a detached execution, which outlives the caller. Returns its id, which is the same after
    /// a crash, so that it is started once. Refused as [`call`](Self::call) is.
    pub fn spawn_detached(&self, function: &str, args: impl Serialize) -> Result<String, Error> {
        self.spawn_detached_with(function, args, CallOptions::new())
    }

    /// As [`spawn_detached`](Self::spawn_detached), with a time limit or in another worker group.
    pub fn spawn_detached_with(
        &self,
        function: &str,
        args: impl Serialize,
        options: CallOptions,
    ) -> Result<String, Error> {
        let args = arguments(function, &args)?;
        Ok(functions::spawn_detached(function, &args, &options.into())?)
    }
}

fn arguments(function: &str, args: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(args).map_err(|cause| Error::invalid(format!("arguments for function `{function}`: {cause}")))
}

impl From<CallOptions> for functions::CallOptions {
    fn from(options: CallOptions) -> Self {
        Self { timeout_ms: options.timeout.map(millis), target: options.target }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn options_are_left_out_or_passed_on() {
        let none = functions::CallOptions::from(CallOptions::new());
        assert_eq!((none.timeout_ms, none.target), (None, None));
        let both = CallOptions::new().timeout(Duration::from_micros(1_500)).target("gpu");
        let both = functions::CallOptions::from(both);
        assert_eq!((both.timeout_ms, both.target.as_deref()), (Some(2), Some("gpu")));
    }

    #[test]
    fn arguments_that_are_not_json_name_the_function() {
        let args = BTreeMap::from([([1], 2)]);
        let error = Context::new().spawn_detached("f", args).unwrap_err();
        assert_eq!(error, Error::invalid("arguments for function `f`: key must be a string"));
    }
}
