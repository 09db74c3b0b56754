//! The public face: a host that starts, resumes, settles and cancels executions over one store.
//!
//! [`Builder`] and [`Everstep`] are here; `run` starts and resumes, `load` finds what that needs, `see_through` runs it to its end, `conclude` writes down how that was,
//! `schedule` starts at given times, `work` takes up what is offered and lets time pass, `settle` lets people and clients answer, `travel` replays and forks, `live` says who holds an execution, `activity` whether anything is done for it, `view`
//! reads a store for people, `error` is what can go wrong.

mod activity;
mod component;
mod conclude;
mod difference;
mod error;
mod live;
mod load;
mod run;
mod schedule;
mod see_through;
mod settle;
mod take_up;
mod travel;
mod view;
mod work;

pub use component::Component;
pub use error::Error;
pub use run::{Disregarded, Handle, Report, Run};
pub use settle::Cancellation;
pub use travel::{Fork, Replay, ReplayEnd};
pub use view::{Executions, Following, Reader, StepOutcome, StepView};
pub use work::Scope;

use crate::bridge::Registry;
use crate::bridge::{Account, Instances};
use crate::capability::{Capability, OPENERS};
use crate::clock::{Clock, SystemClock};
use crate::engine::{Compiling, Engines, Options, SPARE, machine_memory};
use crate::grants::GrantsCache;
use crate::id::{Digest, ExecutionId, group_address};
use crate::network;
use crate::output::{Output, Sink};
use crate::policy::Policy;
use crate::turns::Loaded;
use everstep_store::embedded::{Embedded, Tables};
use everstep_store::operation::Reply;
use everstep_store::record::PromiseState;
use everstep_store::seam::{Listener, Store, View};
use everstep_store::{Applied, Backend, FileStore, MemoryStore, PendingPromise};
use live::{Live, Note};
use serde::Serialize;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

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
    asks: Arc<dyn Fn(PendingPromise) + Send + Sync>,
    clock: Arc<dyn Clock>,
    cache: Option<PathBuf>,
    compiling: fn(Compiling),
    instances: u32,
    keep_warm: Duration,
    memory: Option<u64>,
    group: String,
    scope: Scope,
    network: network::Options,
    ceiling: Option<Policy>,
}

/// What a host holds at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Gauge {
    /// What it keeps in memory of executions: those that run, those that somebody waits for, and those whose calls it takes up.
    pub entries: usize,
    /// Instances that executions hold.
    pub instances: usize,
    /// What instances have taken, in bytes of linear memory.
    pub memory: u64,
    /// The most that they had taken at any moment so far.
    pub most_memory: u64,
}

/// What instances may take where nothing says how much memory there is.
const MEMORY: u64 = 1 << 30;

/// How long an execution that only waits keeps its instance, unless the builder says otherwise.
const KEEP_WARM: Duration = Duration::from_secs(5);

enum Place {
    Memory,
    Folder(PathBuf),
    Given(Arc<dyn Backend>),
}

struct Inner {
    store: Arc<dyn Store>,
    /// The same for those who only read, and may do so when the host has ended.
    view: Arc<dyn View>,
    engines: Engines,
    registry: Arc<Registry>,
    clock: Arc<dyn Clock>,
    grants: GrantsCache,
    components: Mutex<HashMap<(Digest, u64), Arc<Loaded>>>,
    /// What lineages have used, by their roots.
    accounts: tokio::sync::Mutex<HashMap<ExecutionId, Arc<Account>>>,
    live: Arc<Live>,
    instances: Arc<Instances>,
    /// The address of the worker group of this host.
    target: Arc<str>,
    scope: Scope,
    /// What the store says, until the host begins to work.
    notes: Mutex<Option<UnboundedReceiver<Note>>>,
    /// One permit per spare instance, for components that describe themselves.
    describing: Semaphore,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Whoever opens the store next must not find it held by a thread that is about to end.
        self.store.stop();
    }
}

/// Passes on what happens in the store.
struct Watching {
    live: Arc<Live>,
    asks: Arc<dyn Fn(PendingPromise) + Send + Sync>,
}

impl Listener for Watching {
    fn applied(&self, applied: &[Applied]) {
        self.live.observe(applied);
        for promise in applied.iter().filter_map(asked) {
            if catch_unwind(AssertUnwindSafe(|| (self.asks)(promise))).is_err() {
                tracing::error!("the reader of the questions panicked");
            }
        }
    }

    fn failed(&self, error: &everstep_store::Error) {
        self.live.tell_all(error);
    }
}

/// The promise that an operation has created, or looked up, if somebody outside is to settle it.
fn asked(applied: &Applied) -> Option<PendingPromise> {
    match &applied.answer {
        Ok(Reply::Promise(promise)) if promise.state == PromiseState::Pending => PendingPromise::of(promise),
        _ => None,
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

    /// A host over tables of the embedder's own, which it has for itself.
    pub fn over(backend: Arc<dyn Backend>) -> Builder {
        Builder::new(Place::Given(backend))
    }

    /// How many steps an execution has recorded so far; none unless this host runs it.
    pub fn steps_so_far(&self, id: &ExecutionId) -> Option<u64> {
        Some(self.inner.live.run_of(id)?.bridge.steps_so_far())
    }

    /// The component in a file; nothing of it is read if the cache of this host knows the unchanged file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn component(&self, path: &Path) -> std::io::Result<Component> {
        Component::open(path, self.inner.engines.cache_folder())
    }

    /// What has halted of what an execution has called, directly or not, in this host, and was not resumed since: the execution may wait
    /// for it in vain. [`Reader::halted_below`] looks into the store instead.
    pub fn halted_so_far(&self, id: &ExecutionId) -> Vec<ExecutionId> {
        self.inner.live.halted_below(id)
    }

    /// What this host holds at this moment, for those who watch over it.
    pub fn gauge(&self) -> Gauge {
        let (entries, instances) = (self.inner.live.entries(), &self.inner.instances);
        let (memory, most_memory) = (instances.held().bytes(), instances.held().most());
        Gauge { entries, instances: instances.in_use(), memory, most_memory }
    }

    /// Replaces the ceiling, or lifts it: from the next decision on, every call of every execution needs this policy's grant, too. What was
    /// decided stays decided, and connections that are open stay open.
    pub fn set_ceiling(&self, policy: Option<Policy>) {
        self.inner.grants.set_ceiling(policy);
    }

    /// Whether no other host is known to share the store.
    pub fn is_alone(&self) -> bool {
        self.inner.store.is_alone()
    }

    /// The store, for reading.
    pub fn reader(&self) -> Reader {
        Reader::over(Arc::clone(&self.inner.view))
    }
}

impl Builder {
    fn new(place: Place) -> Self {
        Self {
            place,
            registry: Registry::default(),
            sink: Arc::new(drop),
            asks: Arc::new(drop),
            clock: Arc::new(SystemClock),
            cache: None,
            compiling: |_| {},
            instances: Options::default().pool,
            keep_warm: KEEP_WARM,
            memory: None,
            group: "default".to_owned(),
            scope: Scope::default(),
            network: network::Options::system(),
            ceiling: None,
        }
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

    /// Hands every promise that waits for somebody outside to `read` once it is durable, after the output before it; one that was open
    /// before again when its execution is taken up. `read` must not wait for the host.
    #[must_use]
    pub fn on_question(mut self, read: impl Fn(PendingPromise) + Send + Sync + 'static) -> Self {
        self.asks = Arc::new(read);
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

    /// Tells `read` of every component that is compiled, on the thread that compiles it: it takes seconds for a large one.
    #[must_use]
    pub fn on_compile(mut self, read: fn(Compiling)) -> Self {
        self.compiling = read;
        self
    }

    /// How many executions may hold an instance at once; others wait for their turn.
    #[must_use]
    pub fn instances(mut self, instances: u32) -> Self {
        self.instances = instances;
        self
    }

    /// How long an execution that only waits keeps its instance, unless others need it: five seconds if nothing is said. After that it
    /// costs a row in the store, and goes on with another instance, which repeats what is recorded.
    #[must_use]
    pub fn keep_warm(mut self, keep_warm: Duration) -> Self {
        self.keep_warm = keep_warm;
        self
    }

    /// What all instances may take together, in bytes of linear memory: half of what the machine has, or of what its control group
    /// allows, unless something else is said. Under pressure those that have waited for longest give up their instance, and what has yet
    /// to run waits for its turn. No single instance gets more, whatever its policy allows.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// The worker group of this host, `default` if nothing is said. It takes up what is called for its group.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = group.into();
        self
    }

    /// Which executions the host takes up by itself: those that are called, and those that were suspended and whose promise is settled.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Other name servers, or more certificate authorities, than those of the system.
    #[must_use]
    pub fn network(mut self, options: network::Options) -> Self {
        self.network = options;
        self
    }

    /// A policy that no execution of this host exceeds, whatever it was started with: a call is granted if both grant it. Quotas are
    /// those of the execution's own policy. [`Everstep::set_ceiling`] replaces it.
    #[must_use]
    pub fn ceiling(mut self, policy: Policy) -> Self {
        self.ceiling = Some(policy);
        self
    }

    /// Opens the store and starts the host.
    ///
    /// # Errors
    /// The store cannot be opened, the group has no proper name, or the engine cannot be started.
    pub fn build(self) -> Result<Everstep, Error> {
        let target: Arc<str> = group_address(&self.group).ok_or(Error::Group { group: self.group })?.into();
        let mut private: Vec<PathBuf> = self.cache.iter().cloned().collect();
        let backend: Arc<dyn Backend> = match self.place {
            Place::Memory => Arc::new(MemoryStore::default()),
            Place::Folder(dir) => {
                let store = FileStore::open(&dir)?;
                private.push(dir);
                Arc::new(store)
            }
            Place::Given(backend) => backend,
        };
        let options = Options { cache: self.cache, pool: self.instances, compiling: self.compiling };
        let (sender, notes) = unbounded_channel();
        let live = Arc::new(Live::new(Arc::clone(&target), sender));
        let watching = Arc::new(Watching { live: Arc::clone(&live), asks: self.asks });
        let store: Arc<dyn Store> =
            Embedded::start(Arc::clone(&backend), Arc::clone(&self.clock), self.sink, watching)?;
        let memory = self.memory.or_else(|| Some(machine_memory()? / 2)).unwrap_or(MEMORY);
        let inner = Inner {
            store,
            view: Arc::new(Tables::of(backend)),
            engines: Engines::new(options)?,
            registry: Arc::new(self.registry),
            clock: self.clock,
            grants: GrantsCache::new(private, self.network, OPENERS),
            components: Mutex::default(),
            accounts: tokio::sync::Mutex::default(),
            live,
            instances: Arc::new(Instances::new(self.instances, memory, self.keep_warm)),
            target,
            scope: self.scope,
            notes: Mutex::new(Some(notes)),
            describing: Semaphore::new(SPARE as usize),
        };
        inner.grants.set_ceiling(self.ceiling);
        let host = Everstep { inner: Arc::new(inner) };
        if tokio::runtime::Handle::try_current().is_ok() {
            host.work();
        }
        Ok(host)
    }
}
