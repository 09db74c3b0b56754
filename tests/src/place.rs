//! The places that executions can live in: over each of them the product behaves alike.
//!
//! A test runs over all of them: `for place in Place::each()`, or `for sandbox in Sandbox::each()`. One that is about a single place says why
//! on the line above the one that builds it, `// One place: it damages a file of the store.`, or in the head of its module, `//! One place: …`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::guests;
use crate::served::Served;
use everstep::store::{Backend, FileStore, MemoryStore};
use everstep::{Builder, Everstep, Scope};
use everstep_resonate::Manner;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// Where executions live.
#[derive(Debug)]
pub struct Place(Kind);

enum Kind {
    Memory(Arc<MemoryStore>),
    Folder(TempDir),
    Server(Served),
}

impl Place {
    /// A fresh one of each kind, one after the other. Each names itself in the output of the test, so that a failure shows where it happened.
    pub fn each() -> impl Iterator<Item = Self> {
        let all: Vec<fn() -> Self> = match std::env::var_os("EVERSTEP_TEST_SERVER") {
            Some(_) => vec![|| Self::server(Manner::Permissive)],
            None => vec![Self::memory, Self::folder],
        };
        all.into_iter().map(|fresh| {
            let place = fresh();
            eprintln!("--- {place}");
            place
        })
    }

    /// A fresh store in memory, for a test that is about that one.
    pub fn memory() -> Self {
        Self(Kind::Memory(Arc::default()))
    }

    /// A fresh store in a folder, for a test that is about that one.
    pub fn folder() -> Self {
        Self(Kind::Folder(tempfile::tempdir().unwrap()))
    }

    /// A fresh server that resembles `manner`, over a store in memory.
    pub fn server(manner: Manner) -> Self {
        Self(Kind::Server(Served::start(manner)))
    }

    /// A fresh one of the same kind.
    #[must_use]
    pub fn another(&self) -> Self {
        match &self.0 {
            Kind::Memory(_) => Self::memory(),
            Kind::Folder(_) => Self::folder(),
            Kind::Server(served) => Self::server(served.manner),
        }
    }

    /// The store itself, for a test that stands between it and the host.
    pub fn store(&self) -> Arc<dyn Backend> {
        match &self.0 {
            Kind::Memory(store) => Arc::clone(store) as Arc<dyn Backend>,
            Kind::Folder(dir) => Arc::new(FileStore::open(dir.path()).unwrap()),
            Kind::Server(_) => unreachable!("the store of a server holds promises, and no executions"),
        }
    }

    /// The folder of the store.
    ///
    /// # Panics
    /// There is none.
    pub fn path(&self) -> &Path {
        match &self.0 {
            Kind::Memory(_) | Kind::Server(_) => unreachable!("the store has no folder"),
            Kind::Folder(dir) => dir.path(),
        }
    }

    /// Where the server listens.
    ///
    /// # Panics
    /// There is none.
    pub fn url(&self) -> String {
        match &self.0 {
            Kind::Memory(_) | Kind::Folder(_) => unreachable!("the place has no server"),
            Kind::Server(served) => served.url(),
        }
    }

    /// What the next host is built from, as it comes; it finds what the last one left.
    pub fn plain(&self) -> Builder {
        match &self.0 {
            Kind::Memory(store) => Everstep::over(Arc::clone(store) as Arc<dyn Backend>),
            Kind::Folder(dir) => Everstep::open(dir.path()),
            Kind::Server(served) => {
                let behaviour = guests::fixture("behaviour").unwrap();
                Everstep::at(served.connect()).component(behaviour.into())
            }
        }
    }

    /// The same, `quick`.
    pub fn host(&self) -> Builder {
        quick(self.plain())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Memory(_) => "in memory",
            Kind::Folder(_) => "in a folder",
            Kind::Server(_) => "on a server",
        })
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(_) => f.write_str("Memory"),
            Self::Folder(dir) => f.debug_tuple("Folder").field(dir).finish(),
            Self::Server(_) => f.write_str("Server"),
        }
    }
}

/// A host that compiles a component once for all tests, says what its guests print, and takes up nothing by itself.
pub fn quick(builder: Builder) -> Builder {
    cached(builder).scope(Scope::Nothing).on_output(|output| eprint!("{output:?}"))
}

/// A host that compiles each component once for all tests.
pub fn cached(builder: Builder) -> Builder {
    builder.instances(16).cache(guests::project().join("target/test-cache"))
}
