//! From a crate folder to a component file; also creates a new crate folder. A crate is a guest, which is a library with exported
//! functions, or a program with `main`.
//!
//! `toolchain` finds a compiler for WebAssembly, `cargo` runs it in a target folder shared by all guests, `component` wraps the
//! core module, `freshness` determines when to build again, `new_crate` writes the template. Nothing here installs anything,
//! except that rustup is asked for its own target.

mod cargo;
mod component;
mod error;
mod freshness;
mod manifest;
mod new_crate;
mod toolchain;

use std::path::{Path, PathBuf};

pub use error::Error;
pub use freshness::{inputs, is_stale};
pub use new_crate::new_crate;

use manifest::Manifest;

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

/// The path where `build` puts the component of the crate in `dir`: `DIR/target/everstep/{crate}.wasm`.
pub fn default_output(dir: &Path) -> Result<PathBuf, Error> {
    Ok(Manifest::read(dir)?.default_output())
}

#[cfg(test)]
mod tests;
