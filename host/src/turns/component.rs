//! A component with everything linked, ready to be instantiated.

use super::{Ctx, drive};
use crate::bindings::DurablePre;
use crate::bridge::Bridge;
use crate::engine::{self, wasi};
use std::sync::Arc;
use tokio::sync::OnceCell;
use wasmtime::component::{HasSelf, Linker};

/// See the module.
pub(crate) struct Loaded {
    pub(crate) component: engine::Component,
    pub(super) pre: DurablePre<Ctx>,
    functions: OnceCell<Vec<FunctionInfo>>,
}

/// One durable function of a component.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FunctionInfo {
    /// Its name.
    pub name: String,
    /// The first paragraph of its documentation; may be empty.
    pub description: String,
}

impl Loaded {
    /// Links a component: our interfaces, and the virtual WASI if it imports WASI. `functions` are its functions, if
    /// they are already known.
    pub(crate) fn link(
        component: engine::Component,
        functions: Option<Vec<FunctionInfo>>,
    ) -> Result<Self, engine::Error> {
        let mut linker = Linker::<Ctx>::new(&component.engine);
        let link = |linker: &mut Linker<Ctx>| {
            crate::bindings::Durable::add_to_linker::<_, HasSelf<_>>(linker, |ctx| ctx)?;
            if component.imports_wasi {
                wasi::add_to_linker(linker)?;
            }
            DurablePre::new(linker.instantiate_pre(&component.component)?)
        };
        let pre = link(&mut linker).map_err(|error| engine::Error::Link(error.into_boxed_dyn_error()))?;
        Ok(Self { component, pre, functions: OnceCell::new_with(functions) })
    }

    /// The durable functions, if they are known.
    pub(crate) fn known_functions(&self) -> Option<&[FunctionInfo]> {
        self.functions.get().map(Vec::as_slice)
    }

    /// The durable functions. `scratch` makes the bridge of an execution that is not stored.
    ///
    /// # Errors
    /// The reason that the component cannot list them.
    pub(crate) async fn functions(&self, scratch: impl FnOnce() -> Arc<Bridge>) -> Result<&[FunctionInfo], String> {
        let functions = self.functions.get_or_try_init(|| async { drive::describe(self, scratch()).await }).await?;
        Ok(functions)
    }
}
