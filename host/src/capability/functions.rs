//! `everstep:host/functions`: other durable functions, as executions of their own.

use super::promises::check_json;
use crate::bindings::everstep::host::functions;
use crate::bridge::{About, Arg, Called, Fault, NewPromise, Step};
use crate::guest_error::{ErrorCode, GuestError};
use crate::id::group_address;
use crate::policy;
use crate::turns::Ctx;

/// The step by which a caller asks that a child fails when it halts; its subject is the number of the call.
pub(crate) const FAIL_ON_HALT: &str = "functions.fail-on-halt";

impl functions::Host for Ctx {
    fn call(&mut self, name: String, args: String, options: functions::CallOptions) -> Result<u64, Fault> {
        let call = self.requested(&name, &args, &options);
        let args = call.arguments();
        let step = call.step("functions.call", &args);
        let called = match call.called() {
            Ok(called) => called,
            Err(error) => return self.bridge.internal(&step, |_| Err(error)),
        };
        let timeout_ms = options.timeout_ms;
        self.bridge.promise(&step, NewPromise { timeout_ms, about: About::Call(called) })
    }

    async fn fail_on_halt(&mut self, promise: u64) -> Result<(), Fault> {
        let (number, subject) = (promise.to_le_bytes(), promise.to_string());
        let args = [Arg::of("promise", &number)];
        let step = Step::ungranted(FAIL_ON_HALT, &subject, &args);
        self.bridge.promise_of_guest(promise).fail_on_halt(&step).await
    }

    async fn spawn_detached(
        &mut self,
        name: String,
        args: String,
        options: functions::CallOptions,
    ) -> Result<String, Fault> {
        let call = self.requested(&name, &args, &options);
        let args = call.arguments();
        let step = call.step("functions.spawn-detached", &args);
        match call.called() {
            Ok(called) => called.detach(&self.bridge, &step, options.timeout_ms).await,
            Err(error) => self.bridge.internal(&step, |_| Err(error)),
        }
    }
}

impl Ctx {
    fn requested<'a>(&self, name: &'a str, args: &'a str, options: &'a functions::CallOptions) -> Call<'a> {
        let timeout = options.timeout_ms.map(|ms| ms.to_le_bytes().to_vec()).unwrap_or_default();
        let target = options.target.as_deref();
        let own = &*self.bridge.facts.terms.target;
        let elsewhere = target.filter(|group| group_address(group).is_some_and(|address| address != own));
        let subject = elsewhere.map_or_else(|| name.to_owned(), |group| format!("{group}/{name}"));
        Call { name, args, target, elsewhere, subject, timeout }
    }
}

/// A call as the guest requests it.
struct Call<'a> {
    name: &'a str,
    args: &'a str,
    /// The worker group that the guest names.
    target: Option<&'a str>,
    /// The same, if it is a group, and not that of the caller.
    elsewhere: Option<&'a str>,
    /// The function, after its group if that is another one.
    subject: String,
    timeout: Vec<u8>,
}

impl<'a> Call<'a> {
    /// The arguments that the outcome depends on.
    fn arguments(&self) -> [Arg<'_>; 4] {
        [
            Arg::deciding("function", self.name.as_bytes()),
            Arg::of("args", self.args.as_bytes()),
            Arg::deciding("target", self.target.unwrap_or_default().as_bytes()),
            Arg::of("timeout", &self.timeout),
        ]
    }

    fn step<'s>(&'s self, kind: &'static str, args: &'s [Arg<'s>]) -> Step<'s> {
        let Self { name: function, elsewhere: group, .. } = *self;
        let grant = policy::FunctionCall { group, function, bytes: self.args.len() as u64 };
        Step::new(kind, &self.subject, args, policy::Call::Function(grant))
    }

    fn called(&self) -> Result<Called, GuestError> {
        check_json(self.args)?;
        let invalid = |group: &str| {
            let message = format!("{} is no worker group: use letters, digits, - and _", policy::quoted(group));
            GuestError::new(ErrorCode::Invalid, message)
        };
        let target = self.target.map(|group| group_address(group).ok_or_else(|| invalid(group))).transpose()?;
        Ok(Called { function: self.name.to_owned(), args: self.args.to_owned(), target })
    }
}
