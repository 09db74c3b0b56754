//! The places that executions can live in: over each of them the product behaves alike.
//!
//! A test runs over all of them: `for place in Place::each()`, or `for sandbox in Sandbox::each()`. One that is about a single place says why
//! on the line above the one that builds it, `// One place: it damages a file of the store.`, or in the head of its module, `//! One place: …`.
//! One that has no meaning on a server runs over those that have tables, `for place in Place::local()`, and says why in the same way:
//! `// No server: it looks into the tables.` What only the servers of the Resonate project cannot do is in `deviations`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::deviations;
use crate::guests;
use crate::resonate::Given;
use crate::served::Served;
use everstep::clock::Clock;
use everstep::store::{Backend, FileStore, MemoryStore};
use everstep::{Builder, Component, Everstep, Scope};
use everstep_resonate::Manner;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// How long the claims of hosts last by a clock that a test moves as far as it likes: no host loses one because of that.
const FOR_EVER: Duration = Duration::from_secs(1_000 * 365 * 86_400);

/// The components that each worker of a server has.
static FIXTURES: LazyLock<[Component; 4]> =
    LazyLock::new(|| ["behaviour", "files", "hostile", "wasi"].map(|name| guests::fixture(name).unwrap().into()));

/// Where executions live.
pub struct Place {
    kind: Kind,
    /// What its hosts have beside the fixtures.
    components: Mutex<Vec<Component>>,
}

enum Kind {
    Memory(Arc<MemoryStore>),
    Folder(TempDir),
    Server(Box<Served>),
}

impl Place {
    /// A fresh one of each kind, one after the other. Each names itself in the output of the test, so that a failure shows where it happened.
    pub fn each() -> impl Iterator<Item = Self> {
        Self::on(&[Manner::C])
    }

    /// The same with a server of each dialect, for tests of what promises and claims do.
    pub fn every_dialect() -> impl Iterator<Item = Self> {
        Self::on(&[Manner::A, Manner::B, Manner::C])
    }

    fn on(servers: &[Manner]) -> impl Iterator<Item = Self> {
        Self::local().chain(Self::servers(servers))
    }

    /// A fresh server of each of these manners. If the environment gives one of the Resonate project, it is that one in place of them, once,
    /// or none, if `deviations` has the test.
    pub fn servers(manners: &[Manner]) -> impl Iterator<Item = Self> {
        let count = match Given::from_environment() {
            None => manners.len(),
            Some(_) => usize::from(!deviations::leaves_out()),
        };
        manners.iter().take(count).map(|manner| Self::server(*manner).announced())
    }

    /// A fresh one of each kind but a server, for a test that has no meaning there.
    pub fn local() -> impl Iterator<Item = Self> {
        [Self::memory, Self::folder].into_iter().map(|fresh| fresh().announced())
    }

    fn announced(self) -> Self {
        eprintln!("--- {self}");
        self
    }

    fn new(kind: Kind) -> Self {
        Self { kind, components: Mutex::default() }
    }

    /// A fresh store in memory, for a test that is about that one.
    pub fn memory() -> Self {
        Self::new(Kind::Memory(Arc::default()))
    }

    /// A fresh store in a folder, for a test that is about that one.
    pub fn folder() -> Self {
        Self::new(Kind::Folder(tempfile::tempdir().unwrap()))
    }

    /// A fresh server that resembles `manner`, over a store in memory.
    pub fn server(manner: Manner) -> Self {
        Self::new(Kind::Server(Box::new(Served::start(manner))))
    }

    /// Lets a host go by a clock of the test, and its server with it.
    pub fn by(&self, clock: Arc<dyn Clock>, host: Builder) -> Builder {
        let host = host.clock(Arc::clone(&clock));
        match &self.kind {
            Kind::Memory(_) | Kind::Folder(_) => host,
            Kind::Server(served) => {
                served.set_clock(clock);
                host.lease(FOR_EVER)
            }
        }
    }

    /// Gives its next hosts a component that is no fixture, as each worker of a server needs those that it runs.
    pub fn equip(&self, component: &Component) {
        self.components().push(component.clone());
    }

    /// The hosts so far have died. On a server their claims last for a while; this is as if that was over.
    pub fn after_a_crash(&self) {
        if let Kind::Server(served) = &self.kind {
            served.end_leases();
        }
    }

    fn components(&self) -> MutexGuard<'_, Vec<Component>> {
        self.components.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A fresh one of the same kind.
    #[must_use]
    pub fn another(&self) -> Self {
        match &self.kind {
            Kind::Memory(_) => Self::memory(),
            Kind::Folder(_) => Self::folder(),
            Kind::Server(served) => Self::server(served.manner),
        }
    }

    /// Whether it is a server.
    pub fn is_server(&self) -> bool {
        matches!(self.kind, Kind::Server(_))
    }

    /// The store itself, for a test that stands between it and the host.
    pub fn store(&self) -> Arc<dyn Backend> {
        match &self.kind {
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
        match &self.kind {
            Kind::Memory(_) | Kind::Server(_) => unreachable!("the store has no folder"),
            Kind::Folder(dir) => dir.path(),
        }
    }

    /// Which server it resembles.
    ///
    /// # Panics
    /// There is none.
    pub fn manner(&self) -> Manner {
        match &self.kind {
            Kind::Memory(_) | Kind::Folder(_) => unreachable!("the place has no server"),
            Kind::Server(served) => served.manner,
        }
    }

    /// Where the server listens.
    ///
    /// # Panics
    /// There is none.
    pub fn url(&self) -> String {
        match &self.kind {
            Kind::Memory(_) | Kind::Folder(_) => unreachable!("the place has no server"),
            Kind::Server(served) => served.url(),
        }
    }

    /// The bytes of all that the promises of its server hold; `None` without one.
    pub fn held(&self) -> Option<usize> {
        match &self.kind {
            Kind::Memory(_) | Kind::Folder(_) => None,
            Kind::Server(served) => Some(served.held()),
        }
    }

    /// What the next host is built from, as it comes; it finds what the last one left.
    pub fn plain(&self) -> Builder {
        match &self.kind {
            Kind::Memory(store) => Everstep::over(Arc::clone(store) as Arc<dyn Backend>),
            Kind::Folder(dir) => Everstep::open(dir.path()),
            Kind::Server(served) => {
                let components = self.components();
                FIXTURES.iter().chain(&*components).cloned().fold(Everstep::at(served.connect()), Builder::component)
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
        f.write_str(match &self.kind {
            Kind::Memory(_) => "in memory",
            Kind::Folder(_) => "in a folder",
            Kind::Server(served) => match served.manner {
                Manner::A => "on a server of dialect A",
                Manner::B => "on a server of dialect B",
                Manner::C => "on a server of dialect C",
                Manner::Permissive => "on a server of any dialect",
            },
        })
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
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
