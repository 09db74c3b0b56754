//! `everstep:host/context`: information of an execution about itself.

use crate::bindings::everstep::host::context;
use crate::bridge::{Fault, Json, Step};
use crate::turns::{Ctx, Ended};

impl context::Host for Ctx {
    fn execution_id(&mut self) -> wasmtime::Result<String> {
        Ok(self.bridge.facts.id.to_string())
    }

    fn function_name(&mut self) -> wasmtime::Result<String> {
        Ok(self.bridge.facts.function.clone())
    }

    fn attempt(&mut self) -> Result<u32, Fault> {
        let step = ungranted("context.attempt");
        let attempt = self.bridge.internal(&step, |at| Ok(at.attempts))?;
        Ok(u32::try_from(attempt).unwrap_or(u32::MAX))
    }

    fn dependencies(&mut self) -> Result<Vec<context::Dependency>, Fault> {
        let bridge = &self.bridge;
        let Json(dependencies) = bridge.internal(&ungranted("context.dependencies"), |_| {
            let mut names: Vec<_> = bridge.facts.grants.policy.capabilities.iter().map(|grant| grant.name()).collect();
            names.sort_unstable();
            let is_attached = |name: &str| BUILT_IN.contains(&name) || bridge.facts.capabilities.get(name).is_some();
            Ok(Json(names.into_iter().map(|name| (name.to_owned(), is_attached(name))).collect::<Vec<_>>()))
        })?;
        Ok(dependencies.into_iter().map(|(name, attached)| context::Dependency { name, attached }).collect())
    }

    fn environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(self.bridge.facts.grants.policy.env.clone().into_iter().collect())
    }

    fn limits(&mut self) -> wasmtime::Result<context::Bounds> {
        let limits = self.bridge.facts.limits();
        Ok(context::Bounds { result: limits.result, bytes_per_call: limits.bytes_per_call })
    }

    fn clean_up_on_cancel(&mut self) -> Result<(), Fault> {
        self.bridge.internal(&ungranted(CLEAN_UP), |_| Ok(()))?;
        self.bridge.note_clean_up();
        Ok(())
    }

    fn interrupted(&mut self) -> Result<bool, Fault> {
        self.bridge.interrupted()
    }

    fn checkpoint(&mut self, renew: bool) -> Result<Option<String>, Fault> {
        self.bridge.checkpoint(renew)
    }

    fn exit(&mut self, code: u8) -> wasmtime::Result<()> {
        Err(Ended { code }.into())
    }

    fn panicked(&mut self, message: String) -> wasmtime::Result<()> {
        self.panic = Some(message.chars().take(LONGEST_PANIC).collect());
        Ok(())
    }
}

/// The step with which a guest asks for time to clean up.
pub(crate) const CLEAN_UP: &str = "context.clean-up-on-cancel";

/// The length to which a guest's panic message is cut, in characters.
const LONGEST_PANIC: usize = 2_000;

/// Named capabilities that have an interface of their own.
pub(super) const BUILT_IN: [&str; 5] = ["print", "display", "input", "promise", "call"];

fn ungranted(kind: &'static str) -> Step<'static> {
    Step::ungranted(kind, "", &[])
}
