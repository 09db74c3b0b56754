//! A component with everything linked, ready to be instantiated.

use super::exports::{self, Export, Unfound};
use super::typed::{self, Misfit};
use super::{Ctx, drive};
use crate::bindings::{Durable, DurablePre};
use crate::bridge::Bridge;
use crate::engine::{self, wasi};
use std::sync::Arc;
use tokio::sync::OnceCell;
use wasmtime::component::{HasSelf, InstancePre, Linker};

/// See the module.
pub(crate) struct Loaded {
    pub(crate) component: engine::Component,
    pub(super) entry: Entry,
    functions: OnceCell<Vec<FunctionInfo>>,
}

/// The way in which the functions of a component are run.
pub(super) enum Entry {
    /// Durable functions: JSON in, JSON out, in turns.
    Guest(DurablePre<Ctx>),
    /// Functions with types of their own; the one of a program may be among them.
    Exports(InstancePre<Ctx>, Vec<Export>),
}

/// One function of a component.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FunctionInfo {
    /// Its name.
    pub name: String,
    /// The first paragraph of its documentation; may be empty.
    pub description: String,
    /// Its type in the notation of WIT; empty for a durable function, which takes and returns JSON.
    #[serde(default)]
    pub signature: String,
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
            Durable::add_to_linker::<_, HasSelf<_>>(linker, |ctx| ctx)?;
            if component.imports_wasi {
                wasi::add_to_linker(linker)?;
            }
            let linked = linker.instantiate_pre(&component.component)?;
            Ok(match component.is_guest {
                true => Entry::Guest(DurablePre::new(linked)?),
                false => Entry::Exports(linked, exports::of(&component)),
            })
        };
        let entry =
            link(&mut linker).map_err(|error: wasmtime::Error| engine::Error::Link(error.into_boxed_dyn_error()))?;
        let functions = match &entry {
            Entry::Guest(_) => functions,
            Entry::Exports(_, exports) => Some(exports.iter().map(Export::info).collect()),
        };
        Ok(Self { component, entry, functions: OnceCell::new_with(functions) })
    }

    /// The functions, if they are known.
    pub(crate) fn known_functions(&self) -> Option<&[FunctionInfo]> {
        self.functions.get().map(Vec::as_slice)
    }

    /// The functions. `scratch` makes the bridge of an execution that is not stored.
    ///
    /// # Errors
    /// The reason that the component cannot list them.
    pub(crate) async fn functions(&self, scratch: impl FnOnce() -> Arc<Bridge>) -> Result<&[FunctionInfo], String> {
        let functions = self.functions.get_or_try_init(|| async {
            match &self.entry {
                Entry::Guest(guest) => drive::describe(self, guest, scratch()).await,
                Entry::Exports(_, exports) => Ok(exports.iter().map(Export::info).collect()),
            }
        });
        Ok(functions.await?)
    }

    /// Whether it has a function of that name. `functions` are its functions.
    ///
    /// # Errors
    /// It has none, or several that may be meant.
    pub(crate) fn has(&self, function: &str, functions: &[FunctionInfo]) -> Result<(), Unfound> {
        match &self.entry {
            Entry::Guest(_) if functions.iter().any(|known| known.name == function) => Ok(()),
            Entry::Guest(_) => Err(Unfound::Unknown),
            Entry::Exports(_, exports) => exports::find(exports, function).map(drop),
        }
    }

    /// Checks arguments against the type of a function that has one.
    ///
    /// # Errors
    /// They do not fit, or the function cannot be called with JSON.
    pub(crate) fn check_args(&self, function: &str, args: &str) -> Result<(), Misfit> {
        match self.typed(function) {
            Some(export) => export.parse(args).map(drop),
            None => Ok(()),
        }
    }

    /// The JSON of arguments in WAVE.
    ///
    /// # Errors
    /// The function has no types, or they do not fit.
    pub(crate) fn args_from_wave(&self, function: &str, text: &str) -> Result<String, Misfit> {
        let export = self.typed(function).ok_or_else(Misfit::untyped)?;
        typed::arguments_in_wave(&export.ty, text)
    }

    /// The WAVE of a result in JSON.
    ///
    /// # Errors
    /// The function has no types, or has no such result.
    pub(crate) fn result_to_wave(&self, function: &str, json: &str) -> Result<String, Misfit> {
        let export = self.typed(function).ok_or_else(Misfit::untyped)?;
        typed::result_in_wave(&export.ty, json)
    }

    fn typed(&self, function: &str) -> Option<&Export> {
        match &self.entry {
            Entry::Guest(_) => None,
            Entry::Exports(_, exports) => exports::find(exports, function).ok(),
        }
    }
}
