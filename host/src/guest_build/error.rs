//! The reasons that a guest could not be built or created.

use std::io;
use std::path::{Path, PathBuf};

/// The reason that a guest could not be built or created; the message names the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder has no crate.
    #[error("{0} is no crate folder: it has no Cargo.toml; `everstep new NAME` creates one")]
    NoCrate(PathBuf),
    /// The manifest cannot be used.
    #[error("{path}: {problem}")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// The error and the remedy.
        problem: String,
    },
    /// No compiler was found.
    #[error(
        "no Rust toolchain here compiles to WebAssembly; install one of\n  \
         - the target of a rustup toolchain:  rustup target add {target}\n  \
         - the library sources and a linker:  rustup component add rust-src, and lld\n  \
         - Debian's Rust:                     apt install rustc-web rust-web-src lld-19{}",
        rustup.as_ref().map(|said| format!("\nrustup said: {said}")).unwrap_or_default()
    )]
    NoToolchain {
        /// The target.
        target: &'static str,
        /// The output of `rustup target add`, if it was tried.
        rustup: Option<String>,
    },
    /// There is a compiler with library sources, but no linker for WebAssembly.
    #[error(
        "{} can compile to WebAssembly, but no linker was found: install wasm-ld (Debian: apt install lld-19)",
        crate::visible::path(rustc)
    )]
    NoLinker {
        /// The compiler.
        rustc: PathBuf,
    },
    /// There is a compiler with library sources, but no C library for WASI.
    #[error(
        "a program needs a C library for WASI, and there is none: install the target of a rustup toolchain (rustup target add \
         wasm32-wasip2) or Debian's wasi-libc (apt install wasi-libc), or set WASI_SYSROOT to the folder of another one"
    )]
    NoLibc,
    /// Cargo reported errors; they are on standard error.
    #[error("cargo could not build {}: see its messages above", crate::visible::path(dir))]
    Compile {
        /// The crate folder.
        dir: PathBuf,
    },
    /// The module cannot become a component.
    #[error("the module of `{name}` does not make a component: {problem}")]
    Component {
        /// The crate.
        name: String,
        /// The error.
        problem: String,
    },
    /// The component has no durable function.
    #[error("`{0}` has no durable function: put #[everstep_sdk::function] on an `async fn`")]
    NoFunction(String),
    /// The name is not valid for a crate.
    #[error("`{0}` is no crate name: use letters, digits, `-` and `_`, and begin with a letter")]
    Name(String),
    /// The folder of a new crate exists already.
    #[error("{0} exists already; choose another name")]
    Exists(PathBuf),
    /// The SDK was not found.
    #[error("the SDK is not in {0}; set EVERSTEP_SDK to the folder `guest-sdk` of a checkout of Everstep")]
    NoSdk(PathBuf),
    /// The component of Python cannot be built.
    #[error("{0}")]
    Python(String),
    /// The component is not one of Python.
    #[error("{} is no component that `everstep python build` has made", crate::visible::path(.0))]
    NoPython(PathBuf),
    /// A file or a program could not be used.
    #[error("{what}: {source}")]
    Io {
        /// The operation, with the path.
        what: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: Python does not start.
    pub(super) fn no_python(source: io::Error) -> Self {
        let what = "cannot run python3, which builds the component; install Python 3.11 or later".to_owned();
        Self::Io { what, source }
    }

    /// For `map_err`: an I/O error while doing `what` to `path`.
    pub(super) fn io(what: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let what = format!("{what} {}", crate::visible::path(path));
        |source| Self::Io { what, source }
    }
}
