//! Components for tests: the example guests and the fixtures below `tests/guests`, compiled when their sources have changed.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The folder of the project.
pub fn project() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The fixture in `tests/guests/NAME`, as a component.
///
/// # Errors
/// It does not compile, or there is no toolchain for WebAssembly; the error names the remedy.
pub fn fixture(name: &str) -> Result<Vec<u8>> {
    built(&project().join("tests/guests").join(name))
}

/// The guest of the example NAME, as a component.
///
/// # Errors
/// As [`fixture`].
pub fn example(name: &str) -> Result<Vec<u8>> {
    built(&project().join("examples").join(name).join("guest"))
}

fn built(dir: &Path) -> Result<Vec<u8>> {
    let path = path(dir)?;
    std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// Where the component of the crate in `dir` is; compiled first if it is not up to date.
///
/// # Errors
/// As [`fixture`].
pub fn path(dir: &Path) -> Result<PathBuf> {
    use everstep::guest_build::{build, default_output, is_stale};
    let output = default_output(dir)?;
    if is_stale(dir, &output) {
        build(dir, None).with_context(|| format!("cannot build {}", dir.display()))?;
    }
    Ok(output)
}
