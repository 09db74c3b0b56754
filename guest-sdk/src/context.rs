//! The first argument of every function, and the information of an execution about itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::bindings::everstep::host::context;

/// The way out of the sandbox. Cloning it is free.
///
/// Every call needs the grant of the policy that its WIT function names, and fails with `denied` without it.
#[derive(Debug, Clone)]
pub struct Context(());

/// A capability that the policy grants by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dependency {
    /// The name to pass to [`Context::request`].
    pub name: String,
    /// Whether this host serves it itself; otherwise its requests wait for a client.
    pub attached: bool,
}

impl Context {
    pub(crate) fn new() -> Self {
        Self(())
    }

    /// The id that the caller chose.
    pub fn execution_id(&self) -> String {
        context::execution_id()
    }

    /// The name of the durable function that runs.
    pub fn function_name(&self) -> String {
        context::function_name()
    }

    /// How often a host has started or resumed this execution, counted from 1.
    pub fn attempt(&self) -> Result<u32, Error> {
        Ok(context::attempt()?)
    }

    /// The capabilities that the policy grants by name, ordered by name.
    pub fn dependencies(&self) -> Result<Vec<Dependency>, Error> {
        let granted = context::dependencies()?;
        Ok(granted.into_iter().map(|one| Dependency { name: one.name, attached: one.attached }).collect())
    }

    /// The variables of the policy's `[env]`, ordered by name.
    pub fn env(&self) -> Vec<(String, String)> {
        context::environment()
    }

    /// One variable of the policy's `[env]`.
    pub fn env_var(&self, name: &str) -> Option<String> {
        self.env().into_iter().find_map(|(key, value)| (key == name).then_some(value))
    }

    /// Asks for time to clean up when this execution is canceled; without it, a canceled execution just ends.
    ///
    /// After a cancellation every pending promise fails with `canceled`, and the function has up to five seconds. It can still print
    /// and write files, but a call that would make a promise fails with `canceled`. Whatever it returns, it ends as canceled.
    ///
    /// ```no_run
    /// # use everstep_sdk::{Context, Error, ErrorCode};
    /// # async fn order(ctx: Context) -> Result<(), Error> {
    /// ctx.clean_up_on_cancel()?;
    /// let paid = ctx.promise::<bool>("paid?").await;
    /// if paid.is_err_and(|error| error.code == ErrorCode::Canceled) {
    ///     ctx.remove("/orders/reserved.txt")?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn clean_up_on_cancel(&self) -> Result<(), Error> {
        Ok(context::clean_up_on_cancel()?)
    }
}
