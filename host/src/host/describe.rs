//! What a component offers and needs, without running anything of it.

use super::component::Component;
use super::{Error, Everstep};
use crate::policy::Policy;
use crate::turns::{FunctionInfo, Loaded};
use std::sync::Arc;

impl Everstep {
    /// The functions of a component: its durable functions, or else those that it exports with types of their own, that of a program
    /// among them.
    ///
    /// # Errors
    /// The component cannot be loaded, or does not describe its functions.
    pub async fn functions(&self, component: &Component, policy: &Policy) -> Result<Vec<FunctionInfo>, Error> {
        let grants = self.inner.grants.open(policy)?;
        let loaded = self.inner.load(component, &grants).await?;
        self.inner.describe(&loaded, &grants).await.map(<[_]>::to_vec)
    }

    /// The names of the interfaces that a component imports. [`needs`](crate::needs) says which part of a policy each needs.
    ///
    /// # Errors
    /// The component cannot be loaded.
    pub async fn imports(&self, component: &Component) -> Result<Vec<String>, Error> {
        Ok(self.loaded(component).await?.component.imports())
    }

    /// Arguments in WAVE, the WebAssembly Value Encoding, such as `(1, "two")`, as the JSON that a [`Run`](crate::Run) takes.
    ///
    /// # Errors
    /// The component cannot be loaded, or the function has no types, or others.
    pub async fn args_from_wave(&self, component: &Component, function: &str, wave: &str) -> Result<String, Error> {
        let loaded = self.loaded(component).await?;
        self.inner.check_function(&loaded, &*self.inner.grants.open(&Policy::none())?, function).await?;
        loaded.args_from_wave(function, wave).map_err(|misfit| Error::Misfit { reason: misfit.to_string() })
    }

    /// The result of a [`Report`](crate::Report) in WAVE.
    ///
    /// # Errors
    /// The component cannot be loaded, or the function has no types, or others.
    pub async fn result_to_wave(&self, component: &Component, function: &str, json: &str) -> Result<String, Error> {
        let loaded = self.loaded(component).await?;
        loaded.result_to_wave(function, json).map_err(|misfit| Error::Misfit { reason: misfit.to_string() })
    }

    async fn loaded(&self, component: &Component) -> Result<Arc<Loaded>, Error> {
        let grants = self.inner.grants.open(&Policy::none())?;
        self.inner.load(component, &grants).await
    }
}
