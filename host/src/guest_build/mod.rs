//! From a crate folder to a component file, and a new crate folder to start from.
//!
//! `toolchain` finds a compiler for WebAssembly, `cargo` runs it in a target folder that all guests share, `component` wraps the
//! core module, `freshness` says when that must happen again, `new_crate` writes the template. Nothing here installs anything,
//! except for asking rustup for its own target.

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

/// What `build` made.
#[derive(Debug)]
#[non_exhaustive]
pub struct Built {
    /// The name of the crate.
    pub name: String,
    /// Where the component is.
    pub component: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

/// Compiles the crate in `dir` to a component, at `output` or else where `default_output` says. Cargo shows its progress and
/// diagnostics on standard error; a component that was there before is replaced in one step, and only on success.
pub fn build(dir: &Path, output: Option<&Path>) -> Result<Built, Error> {
    let manifest = Manifest::read(dir)?;
    let output = output.map_or_else(|| manifest.default_output(), Path::to_owned);
    let started = freshness::Build::start(&manifest)?;
    let compiled = cargo::compile(&manifest)?;
    let component = component::encode(&manifest.name, &compiled.module)?;
    component::write(&output, &component)?;
    started.finish(&compiled.sources, &output)?;
    Ok(Built { name: manifest.name, component: output, size: component.len() as u64 })
}

/// Where `build` puts the component of the crate in `dir`: `DIR/target/everstep/{crate}.wasm`.
pub fn default_output(dir: &Path) -> Result<PathBuf, Error> {
    Ok(Manifest::read(dir)?.default_output())
}

/// The only target: a guest of it imports nothing but our interfaces.
const TARGET: &str = "wasm32-unknown-unknown";

#[cfg(test)]
mod tests;
