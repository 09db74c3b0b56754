//! From a crate folder to a component file; also creates a new crate folder. A crate is a guest, which is a library with exported
//! functions, or a program with `main`. The module of a program that another compiler made becomes a component, too.
//!
//! `toolchain` finds a compiler for WebAssembly, `cargo` runs it in a target folder shared by all guests, `component` wraps the
//! core module, `freshness` determines when to build again, `new_crate` writes the template; `python` builds CPython with packages in one
//! component, and `science` another CPython with packages that have native code. Nothing here installs anything, except that rustup is asked for its own target, and pip for tools in the cache.

mod cargo;
mod component;
mod error;
mod freshness;
mod manifest;
mod new_crate;
mod python;
mod science;
mod toolchain;

use std::path::{Path, PathBuf};

pub use error::Error;
pub use freshness::{inputs, is_stale};
pub use new_crate::new_crate;
pub use python::{PythonBuild, PythonBuilt, PythonContents, PythonPackage, RunningBuild, python_contents};
pub use science::{ScienceBuild, ScienceEnd, science};

use manifest::{Manifest, Product};

/// The result of `build`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Built {
    /// The name of the crate.
    pub name: String,
    /// The path of the component.
    pub component: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

/// Compiles the crate in `dir` to a component, for `wasm32-unknown-unknown` if it is a `cdylib`, else its program for `wasm32-wasip2`, at `output` or else at `default_output`. Cargo shows its progress and
/// diagnostics on standard error; an existing component is replaced in one step, and only on success.
pub fn build(dir: &Path, output: Option<&Path>) -> Result<Built, Error> {
    let manifest = Manifest::read(dir)?;
    let output = output.map_or_else(|| manifest.default_output(), Path::to_owned);
    let started = freshness::Build::start(&manifest)?;
    let compiled = cargo::compile(&manifest)?;
    let component = component::encode(&manifest.name, &compiled.module, &manifest.product)?;
    component::write(&output, &component)?;
    started.finish(&compiled.sources, &output)?;
    Ok(Built { name: manifest.name, component: output, size: component.len() as u64 })
}

/// Makes a component of the core module of a program, as compilers for WASI preview 1 write it (`wasm32-wasip1`, Go's `wasip1`), at
/// `output` or else beside the module, as `{module}.component.wasm`.
///
/// # Errors
/// It is no such module, or a file cannot be used.
pub fn adapt(module: &Path, output: Option<&Path>) -> Result<Built, Error> {
    let name = module.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let output = output.map_or_else(|| module.with_extension("component.wasm"), Path::to_owned);
    let bytes = std::fs::read(module).map_err(Error::io("cannot read", module))?;
    let component = component::encode(&name, &bytes, &Product::Program(name.clone()))?;
    component::write(&output, &component)?;
    Ok(Built { name, component: output, size: component.len() as u64 })
}

/// The path where `build` puts the component of the crate in `dir`: `DIR/target/everstep/{crate}.wasm`.
pub fn default_output(dir: &Path) -> Result<PathBuf, Error> {
    Ok(Manifest::read(dir)?.default_output())
}

#[cfg(test)]
mod tests;
