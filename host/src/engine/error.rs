//! The reasons that a component cannot be loaded.

use super::imports;
use crate::visible;

/// An error before a component runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The machine or the options do not support an engine.
    #[error("cannot set up the wasm engine: {0}")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An import of the component cannot be linked.
    #[error("cannot link the component: {0}")]
    Link(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// `pool` is out of range.
    #[error("a pool of {pool} instances is out of range; use 1 to {max}")]
    Pool {
        /// The requested size.
        pool: u32,
        /// The largest pool.
        max: u32,
    },
    /// The wasm stack is out of range.
    #[error("a wasm stack of {wasm_stack} bytes is out of range; use {min} to {max}")]
    WasmStack {
        /// The requested size.
        wasm_stack: usize,
        /// The smallest stack.
        min: usize,
        /// The largest stack.
        max: usize,
    },
    /// Too many different wasm stack sizes are in use.
    #[error("a wasm stack of {wasm_stack} bytes would be the {}th size in this process; let policies agree on {max} sizes", max + 1)]
    StackSizes {
        /// The requested size.
        wasm_stack: usize,
        /// The most sizes in use.
        max: usize,
    },
    /// The bytes of the component cannot be read.
    #[error("cannot read the component: {0}")]
    Read(#[source] std::io::Error),
    /// The bytes are not a component.
    #[error("this is not a WebAssembly component but {found}")]
    NotAComponent {
        /// What they look like, and what to do about it.
        found: &'static str,
    },
    /// The bytes begin like a component, but are malformed.
    #[error("the component is malformed at byte {offset}: {reason}")]
    Malformed {
        /// The position.
        offset: u64,
        /// The reason.
        reason: String,
    },
    /// Compiling it could take too long or too much memory.
    #[error("the component has {found} {what}, more than the {max} that are compiled")]
    TooLarge {
        /// The kind of thing.
        what: &'static str,
        /// How many it has.
        found: u64,
        /// How many are allowed.
        max: u64,
    },
    /// It imports interfaces that no policy can grant.
    #[error("the component imports what this host does not offer: {}", imports::unserved(imports))]
    Imports {
        /// The names of these imports.
        imports: Vec<String>,
    },
    /// There is nothing in it that could be run.
    #[error(
        "the component exports nothing; one that can be run exports wasi:cli/run@0.2 (a program), functions of its own, or \
         everstep:host/guest@0.1.0 (durable functions, with the everstep SDK)"
    )]
    NoExport,
    /// It is not valid, or uses a proposal that is switched off.
    #[error("the component does not compile: {0:#}")]
    Compile(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It is valid, but larger than an instance may be.
    #[error("the component does not fit into this host: {0:#}")]
    DoesNotFit(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The first few names, escaped: they are the component's.
pub(crate) fn list(names: &[String]) -> String {
    list_with(names, |_| None)
}

/// The first few names, escaped, each with a note on it.
pub(super) fn list_with(names: &[String], note: impl Fn(&str) -> Option<&'static str>) -> String {
    const SHOWN: usize = 16;
    let shown = names.iter().take(SHOWN).map(|name| {
        let (mut shown, first) = (String::new(), name.chars().take(200).collect::<String>());
        visible::push_escaped(&mut shown, &first);
        note(name).map_or(shown.clone(), |note| format!("{shown} ({note})"))
    });
    let shown = shown.collect::<Vec<String>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        _ if names.is_empty() => "none".to_owned(),
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}
