//! Components: from untrusted bytes to something that can be instantiated, and the limits of an instance.
//!
//! Read `mod.rs` (loading, top to bottom), `shape.rs` (the requirements on a component before compilation), `imports.rs` (what it may
//! import, and what that needs of a policy), `budget.rs` and `arity.rs` (limits on time and memory for compiling), `config.rs` (the flags and the pool),
//! `known.rs` (the one runtime that may use more), `cache.rs` (precompiled components on disk), `prepared.rs` (what components have made of files of images),
//! `limits.rs` (what one store may allocate), `wasi/` (the virtual WASI of guests that import it). `crate::turns` drives the instances.

mod arity;
mod budget;
mod cache;
mod config;
mod error;
mod imports;
mod known;
mod limits;
mod machine;
mod prepared;
mod shape;
mod ticker;
pub(crate) mod wasi;

pub(crate) use cache::{Cache, SETTLED};
pub(crate) use config::spare;
pub use error::Error;
pub(crate) use error::list;
pub use imports::{Need, needs};
pub(crate) use limits::{Footprint, Held, Limiter, Limits};
pub(crate) use machine::memory as machine_memory;
pub(crate) use prepared::{Made, Prepared};
pub(crate) use shape::{begins_as_component, is_program};

use crate::id::Digest;
use everstep_store::Blob;
use known::Kind;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use ticker::Ticker;
use wasmtime::component::Component as WasmComponent;

/// The options of the engines.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The folder of precompiled components; `None`: every process compiles anew.
    pub cache: Option<PathBuf>,
    /// How many instances may live at once on each engine, in addition to twice [`spare`]. The pool has memories, tables and stacks for
    /// exactly so many of the largest components, so that a host that counts instances never finds the pool empty.
    pub pool: u32,
    /// Called for every component that is compiled.
    pub compiling: fn(Compiling),
}

/// An event of the compilation of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiling {
    /// It begins.
    Begins {
        /// The size of the component.
        bytes: usize,
    },
    /// It has ended, successfully or not.
    Ends,
}

/// The wasm engines of this process, one for each wasm stack size in use and what is used of it, and the components loaded into them.
///
/// Dropping it stops the clock that interrupts guests, so no guest may run then.
pub(crate) struct Engines {
    options: Options,
    cache: Option<Arc<Cache>>,
    prepared: Arc<Prepared>,
    ticker: Ticker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    engines: HashMap<(usize, Kind), wasmtime::Engine>,
    /// The most recently loaded one is last.
    loaded: Vec<(usize, Component)>,
}

/// A component that has been validated, compiled and found to fit into the pool.
#[derive(Clone)]
pub(crate) struct Component {
    /// The engine it belongs to: stores and linkers for it must be made from this one.
    pub engine: wasmtime::Engine,
    /// The compiled code.
    pub component: WasmComponent,
    /// The SHA-256 of its bytes.
    pub digest: Digest,
    /// Whether it needs [`wasi::add_to_linker`].
    pub imports_wasi: bool,
    /// Whether it exports durable functions, which the host drives in turns.
    pub is_guest: bool,
    /// What components have made of files of images.
    pub prepared: Arc<Prepared>,
}

/// The most wasm stack sizes with engines at once: each reserves address space for a whole pool.
const MAX_ENGINES: usize = 6;
/// Loaded components that are kept for later executions.
const MAX_LOADED: usize = 64;

impl Default for Options {
    fn default() -> Self {
        Self { cache: None, pool: config::DEFAULT_POOL, compiling: |_| {} }
    }
}

impl Engines {
    /// Opens the cache; engines are made when they are needed.
    ///
    /// A cache folder that cannot be trusted or written is not an error: it is reported and not used.
    pub(crate) fn new(options: Options) -> Result<Self, Error> {
        config::check_pool(options.pool)?;
        let cache = options.cache.as_deref().and_then(Cache::open).map(Arc::new);
        let prepared = Arc::new(Prepared::new(cache.clone(), config::spare(options.pool)));
        Ok(Self { options, cache, prepared, ticker: Ticker::start()?, state: Mutex::default() })
    }

    /// The component with that digest, if this process has loaded it before.
    pub(crate) fn loaded(&self, digest: Digest, wasm_stack: usize) -> Option<Component> {
        let state = self.state();
        state.loaded.iter().find(|(stack, it)| *stack == wasm_stack && it.digest == digest).map(|(_, it)| it.clone())
    }

    /// The folder that keeps compiled components, if there is one.
    pub(crate) fn cache_folder(&self) -> Option<&Path> {
        self.options.cache.as_deref()
    }

    /// Loads a component: takes its code from the cache, or checks its shape and compiles it.
    ///
    /// Blocks, for seconds if a large component is compiled. `digest` must be that of the bytes, which are read only if needed: the
    /// code is stored and found under it.
    pub(crate) fn load(&self, content: &Blob, digest: Digest, wasm_stack: usize) -> Result<Component, Error> {
        if let Some(component) = self.loaded(digest, wasm_stack) {
            return Ok(component);
        }
        let (engine, component) = match self.cached(digest, wasm_stack)? {
            Some(found) => found,
            None => self.compiled(&content.bytes().map_err(Error::Read)?, digest, wasm_stack)?,
        };
        let imports_wasi = component.component_type().imports(&engine).any(|(name, _)| name.starts_with("wasi:"));
        let is_guest = component.component_type().exports(&engine).any(|(name, _)| shape::is_guest(name));
        let prepared = Arc::clone(&self.prepared);
        let component = Component { engine, component, digest, imports_wasi, is_guest, prepared };
        self.remember(wasm_stack, component.clone());
        Ok(component)
    }

    /// A component whose code the cache has, and its engine.
    fn cached(&self, digest: Digest, wasm_stack: usize) -> Result<Option<(wasmtime::Engine, WasmComponent)>, Error> {
        let Some(cache) = &self.cache else { return Ok(None) };
        let engine = self.engine(wasm_stack, cache.kind(digest))?;
        Ok(cache.find(&engine, digest, wall_clock()).map(|component| (engine, component)))
    }

    /// A component that is compiled and kept in the cache, and its engine.
    fn compiled(
        &self,
        bytes: &[u8],
        digest: Digest,
        wasm_stack: usize,
    ) -> Result<(wasmtime::Engine, WasmComponent), Error> {
        let kind = known::kind(bytes);
        let engine = self.engine(wasm_stack, kind)?;
        let artefact = compile(&engine, kind, bytes, self.options.compiling)?;
        let component = cache::deserialize(&engine, &artefact)?;
        if let Some(cache) = &self.cache {
            if kind == Kind::Known {
                cache.note_known(digest);
            }
            cache.keep(&engine, digest, &artefact);
        }
        Ok((engine, component))
    }

    /// The functions of a component, if the cache has them.
    pub(crate) fn functions(&self, component: &Component) -> Option<Vec<u8>> {
        self.cache.as_ref()?.functions(&component.engine, component.digest)
    }

    /// Stores the functions in the cache: otherwise the component must be started to list them.
    pub(crate) fn keep_functions(&self, component: &Component, functions: &[u8]) {
        if let Some(cache) = &self.cache {
            cache.note_functions(&component.engine, component.digest, functions);
        }
    }

    fn engine(&self, wasm_stack: usize, kind: Kind) -> Result<wasmtime::Engine, Error> {
        let mut state = self.state();
        if let Some(engine) = state.engines.get(&(wasm_stack, kind)) {
            return Ok(engine.clone());
        }
        if state.engines.len() == MAX_ENGINES {
            return Err(Error::StackSizes { wasm_stack, max: MAX_ENGINES });
        }
        let engine = config::engine(wasm_stack, self.options.pool, kind)?;
        self.ticker.add(&engine);
        state.engines.insert((wasm_stack, kind), engine.clone());
        Ok(engine)
    }

    fn remember(&self, wasm_stack: usize, component: Component) {
        let mut state = self.state();
        state.loaded.retain(|(stack, it)| (*stack, it.digest) != (wasm_stack, component.digest));
        if state.loaded.len() == MAX_LOADED {
            state.loaded.remove(0);
        }
        state.loaded.push((wasm_stack, component));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clock for the ages of files.
#[allow(clippy::disallowed_methods, reason = "outside any execution")]
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// Compiles bytes that have the shape of a permitted component: everything in the cache has passed this.
fn compile(engine: &wasmtime::Engine, kind: Kind, bytes: &[u8], compiling: fn(Compiling)) -> Result<Vec<u8>, Error> {
    shape::check(bytes, kind)?;
    // How long the known one takes is known.
    if kind == Kind::Any {
        budget::check(bytes)?;
    }
    compiling(Compiling::Begins { bytes: bytes.len() });
    let compiled = engine.precompile_component(bytes);
    compiling(Compiling::Ends);
    compiled.map_err(|source| Error::Compile(source.into_boxed_dyn_error()))
}

impl std::fmt::Debug for Engines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engines").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Component {
    /// The names of its imports, in their order.
    pub(crate) fn imports(&self) -> Vec<String> {
        self.component.component_type().imports(&self.engine).map(|(name, _)| name.to_owned()).collect()
    }
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Component").field("digest", &self.digest).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
