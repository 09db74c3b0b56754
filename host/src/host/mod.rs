//! The public face: a host that starts, resumes, settles and cancels executions over one store.
//!
//! [`Builder`] and [`Everstep`] are here; `run` starts and resumes, `conclude` writes down how a run ended, `settle` lets people and
//! clients answer, `live` says who holds an execution, `view` reads a store for people, `error` is what can go wrong.

mod conclude;
mod error;
mod live;
mod run;
mod settle;
mod view;

pub use error::Error;
pub use run::{Component, Handle, Report, Run};
pub use view::{Reader, StepOutcome, StepView};

use crate::capability::{Capability, Registry};
use crate::clock::{Clock, SystemClock};
use crate::engine::{Engines, Options, SPARE};
use crate::grants::GrantsCache;
use crate::id::{Digest, ExecutionId};
use crate::journal::Committer;
use crate::output::{Output, Sink};
use crate::store::{FileStore, MemoryStore, Store};
use crate::worker::Loaded;
use live::Live;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

/// A host: durable functions run in it. Cheap to clone; it ends with the last clone, once what it still runs has ended.
///
/// ```no_run
/// # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
/// use everstep::{Everstep, Policy, Run};
/// let host = Everstep::local().build()?;
/// let component = std::fs::read("hello.wasm")?;
/// let run = Run::new(component, "hello", r#"{"name": "Ada"}"#, Policy::none());
/// println!("{:?}", host.run(run).await?.result);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Everstep {
    inner: Arc<Inner>,
}

/// What a host is built from.
pub struct Builder {
    place: Place,
    registry: Registry,
    sink: Sink,
    clock: Arc<dyn Clock>,
    cache: Option<PathBuf>,
    instances: u32,
}

enum Place {
    Memory,
    Folder(PathBuf),
    Given(Arc<dyn Store>),
}

struct Inner {
    committer: Arc<Committer>,
    engines: Engines,
    registry: Arc<Registry>,
    clock: Arc<dyn Clock>,
    grants: GrantsCache,
    components: Mutex<HashMap<(Digest, u64), Arc<Loaded>>>,
    /// Blobs that the store is known to hold.
    kept: Mutex<HashSet<Digest>>,
    live: Arc<Live>,
    /// One permit per instance of the pool that executions may hold.
    instances: Arc<Semaphore>,
    /// One permit per spare instance, for components that describe themselves.
    describing: Semaphore,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Whoever opens the store next must not find it held by a thread that is about to end.
        self.committer.stop();
    }
}

impl Everstep {
    /// A host whose executions end with the process.
    pub fn local() -> Builder {
        Builder::new(Place::Memory)
    }

    /// A host over the store in a folder, which is created if it does not exist. Executions survive the process.
    pub fn open(dir: impl Into<PathBuf>) -> Builder {
        Builder::new(Place::Folder(dir.into()))
    }

    /// A host over a store of the embedder's own.
    pub fn over(store: Arc<dyn Store>) -> Builder {
        Builder::new(Place::Given(store))
    }

    /// How many steps an execution has recorded so far; none unless this host runs it.
    pub fn steps_so_far(&self, id: &ExecutionId) -> Option<u64> {
        let running = self.inner.live.run_of(id)?;
        let state = running.bridge.state();
        Some(state.next.max(state.progress.steps))
    }

    /// The store, for reading.
    pub fn reader(&self) -> Reader {
        Reader::over(Arc::clone(self.inner.committer.store()))
    }
}

impl Builder {
    fn new(place: Place) -> Self {
        let instances = Options::default().pool;
        let clock = Arc::new(SystemClock);
        Self { place, registry: Registry::default(), sink: Arc::new(drop), clock, cache: None, instances }
    }

    /// Registers a capability. A guest whose policy grants `name` reaches it with `bridge.send-request`.
    #[must_use]
    pub fn capability(mut self, name: impl Into<String>, capability: impl Capability) -> Self {
        self.registry.insert(name.into(), Arc::new(capability));
        self
    }

    /// Hands the output of all executions to `read` once it is durable. `read` must not wait for the host.
    #[must_use]
    pub fn on_output(mut self, read: impl Fn(Output) + Send + Sync + 'static) -> Self {
        self.sink = Arc::new(read);
        self
    }

    /// Another clock, for tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// A folder for precompiled components. Without one every process compiles anew.
    #[must_use]
    pub fn cache(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cache = Some(dir.into());
        self
    }

    /// How many executions may hold an instance at once; others wait for their turn.
    #[must_use]
    pub fn instances(mut self, instances: u32) -> Self {
        self.instances = instances;
        self
    }

    /// Opens the store and starts the host.
    ///
    /// # Errors
    /// The store is in use or cannot be opened, or the engine cannot be started.
    pub fn build(self) -> Result<Everstep, Error> {
        let mut private: Vec<PathBuf> = self.cache.iter().cloned().collect();
        let store: Arc<dyn Store> = match self.place {
            Place::Memory => Arc::new(MemoryStore::default()),
            Place::Folder(dir) => {
                let store = FileStore::open(&dir)?;
                private.push(dir);
                Arc::new(store)
            }
            Place::Given(store) => store,
        };
        let options = Options { cache: self.cache, pool: self.instances };
        let inner = Inner {
            committer: Committer::start(store, self.sink).map_err(Error::Start)?,
            engines: Engines::new(options)?,
            registry: Arc::new(self.registry),
            clock: self.clock,
            grants: GrantsCache::new(private),
            components: Mutex::default(),
            kept: Mutex::default(),
            live: Arc::default(),
            instances: Arc::new(Semaphore::new(self.instances as usize)),
            describing: Semaphore::new(SPARE as usize),
        };
        Ok(Everstep { inner: Arc::new(inner) })
    }
}
