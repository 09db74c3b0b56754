//! The public face: a host that starts, resumes, settles and cancels executions over one store.
//!
//! [`Builder`] and [`Everstep`] are here; `run` starts and resumes, `load` finds what that needs, `describe` says what a component offers, `see_through` runs an execution to its
//! end, `conclude` writes that end down, `schedule` starts at given times, `work` resumes what the store offers and lets time pass,
//! `settle` lets people and clients answer, `travel` replays and forks, `relocate` moves executions to a server, `live` knows which executions are held, `activity` whether work is
//! under way for them, `view` reads a store for people, `error` lists what can go wrong.

mod activity;
mod component;
mod conclude;
mod describe;
mod difference;
mod error;
mod live;
mod load;
mod relocate;
mod run;
mod schedule;
mod see_through;
mod server;
mod settle;
mod take_up;
mod travel;
mod view;
mod work;

pub use component::Component;
pub use error::Error;
pub use relocate::Moved;
pub use run::{Disregarded, Handle, Report, Run};
pub use server::Server;
pub use settle::Cancellation;
pub use travel::{Fork, Replay, ReplayEnd};
pub use view::{Executions, Following, Reader, StepOutcome, StepView};
pub use work::Scope;

use crate::bridge::Registry;
use crate::bridge::{Account, Instances};
use crate::capability::files::Digests;
use crate::capability::{Capability, OPENERS};
use crate::clock::{Clock, SystemClock};
use crate::engine::{Compiling, Engines, Options, machine_memory, spare};
use crate::grants::GrantsCache;
use crate::id::{Digest, ExecutionId, group_address};
use crate::network;
use crate::output::{Output, Sink};
use crate::policy::Policy;
use crate::turns::{FunctionInfo, Loaded};
use everstep_resonate::remote::{self, RemoteStore, ServerClock};
use everstep_store::embedded::{Embedded, Tables};
use everstep_store::metrics::Page;
use everstep_store::operation::Reply;
use everstep_store::record::PromiseState;
use everstep_store::seam::{Listener, Store, View};
use everstep_store::{Applied, Backend, FileStore, MemoryStore, PendingPromise};
use live::{Live, Note};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::{OnceCell, Semaphore};

/// A host that runs durable functions. Cheap to clone; it ends with the last clone, once what it still runs has ended.
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

/// The settings that a host is built from.
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
    lease: Duration,
    components: Vec<Component>,
    folders: BTreeMap<String, PathBuf>,
}

/// Resources that a host holds at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Gauge {
    /// Entries that it keeps in memory about executions: those that run, those with waiting callers, and those whose calls it
    /// resumes.
    pub entries: usize,
    /// Instances that executions hold.
    pub instances: usize,
    /// Linear memory that instances have taken, in bytes.
    pub memory: u64,
    /// The most that they have taken at any moment so far.
    pub most_memory: u64,
}

/// Memory for all instances if the memory of the machine is unknown, in bytes.
const MEMORY: u64 = 1 << 30;

/// How long an execution that only waits keeps its instance, unless the builder says otherwise.
const KEEP_WARM: Duration = Duration::from_secs(5);

/// How long a claim on a server lasts without a heartbeat, unless the builder says otherwise.
const LEASE: Duration = Duration::from_secs(15);

enum Place {
    Memory,
    Folder(PathBuf),
    Given(Arc<dyn Backend>),
    Server(Server),
}

/// A store, and the same for readers.
type Opened = (Arc<dyn Store>, Arc<dyn View>);

/// A linked component, once the first caller has loaded it.
type Loading = Arc<OnceCell<Arc<Loaded>>>;

struct Inner {
    store: Arc<dyn Store>,
    /// The store for readers, which may outlive the host.
    view: Arc<dyn View>,
    engines: Engines,
    registry: Arc<Registry>,
    clock: Arc<dyn Clock>,
    grants: GrantsCache,
    /// Of the files of images.
    digests: Arc<Digests>,
    components: Mutex<HashMap<(Digest, u64), Loading>>,
    /// The budgets that lineages have used, by their roots.
    accounts: tokio::sync::Mutex<HashMap<ExecutionId, Arc<Account>>>,
    live: Arc<Live>,
    instances: Arc<Instances>,
    /// The address of the worker group of this host.
    target: Arc<str>,
    scope: Scope,
    /// Events of the store, until the host begins to work.
    notes: Mutex<Option<UnboundedReceiver<Note>>>,
    /// One permit per spare instance, for components that describe themselves.
    describing: Semaphore,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The next one to open the store must not find it held by a thread that is about to end.
        self.store.stop();
    }
}

/// Passes on events of the store.
struct Watching {
    live: Arc<Live>,
    asks: Arc<dyn Fn(PendingPromise) + Send + Sync>,
}

impl Listener for Watching {
    fn foretold(&self, applied: &[Applied]) {
        self.live.foresee(applied);
    }

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

/// The promise that an operation has created or looked up, if it is to be settled from outside.
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

    /// A worker on a Resonate server, which shares its executions with the other workers of its group.
    pub fn at(server: Server) -> Builder {
        Builder::new(Place::Server(server))
    }

    /// A host over the embedder's own tables, for its exclusive use.
    pub fn over(backend: Arc<dyn Backend>) -> Builder {
        Builder::new(Place::Given(backend))
    }

    /// How many steps an execution has recorded so far; `None` unless this host runs it.
    pub fn steps_so_far(&self, id: &ExecutionId) -> Option<u64> {
        Some(self.inner.live.run_of(id)?.bridge.steps_so_far())
    }

    /// The component in a file; the file is not read if the cache of this host knows it unchanged.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn component(&self, path: &Path) -> std::io::Result<Component> {
        Component::open(path, self.inner.engines.cache_folder())
    }

    /// The executions called by `id`, directly or not, that have halted in this host and were not resumed since: `id` may wait for them
    /// in vain. [`Reader::halted_below`] looks into the store instead.
    pub fn halted_so_far(&self, id: &ExecutionId) -> Vec<ExecutionId> {
        self.inner.live.halted_below(id)
    }

    /// The resources that this host holds at this moment, for monitoring.
    pub fn gauge(&self) -> Gauge {
        let (entries, instances) = (self.inner.live.entries(), &self.inner.instances);
        let (memory, most_memory) = (instances.held().bytes(), instances.held().most());
        Gauge { entries, instances: instances.in_use(), memory, most_memory }
    }

    /// What this process has counted and the store of this host holds, as a page for Prometheus in its text format. Blocks while the
    /// executions of the store are counted.
    pub fn metrics(&self) -> String {
        let mut page = Page::of_process();
        self.inner.store.measure(&mut page);
        page.into_text()
    }

    /// Replaces the ceiling, or removes it: from the next decision on, every call of every execution needs this policy's grant, too.
    /// Earlier decisions stand, and open connections stay open.
    pub fn set_ceiling(&self, policy: Option<Policy>) {
        self.inner.grants.set_ceiling(policy);
    }

    /// Whether this host knows of no other host that shares the store.
    pub fn is_alone(&self) -> bool {
        self.inner.store.is_alone()
    }

    /// Whether other workers share the executions of the store.
    pub(crate) fn is_shared(&self) -> bool {
        self.inner.store.has_others()
    }

    /// Runs the functions of a component, each under its part of a policy, when clients in other languages call them by name on the server
    /// of this worker. Returns them.
    ///
    /// # Errors
    /// The component or the policy cannot be used, or the store failed.
    pub async fn serve(&self, component: &Component, policy: &Policy) -> Result<Vec<FunctionInfo>, Error> {
        let functions = self.functions(component, policy).await?;
        let (mut served, mut kept) = (Vec::with_capacity(functions.len()), BTreeMap::new());
        for FunctionInfo { name, .. } in &functions {
            let own = policy.for_function(name);
            let digest = own.digest();
            kept.entry(digest).or_insert_with(|| own.canonical().into_bytes().into());
            served.push((name.clone(), digest));
        }
        self.inner.store.keep(kept.into_iter().collect()).await?;
        self.inner.store.serve_functions(component.digest, served);
        Ok(functions)
    }

    /// Takes no more executions, waits until those that run here have ended or wait, at most for `patience`, and gives back what is
    /// left, so that other workers go on with it at once.
    ///
    /// # Errors
    /// The store failed.
    pub async fn leave(&self, patience: Duration) -> Result<(), Error> {
        self.inner.store.take_no_more();
        // What still runs then is given back.
        let _ = tokio::time::timeout(patience, self.inner.live.nothing_held()).await;
        Ok(self.inner.store.give_back().await?)
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
            lease: LEASE,
            components: Vec::new(),
            folders: BTreeMap::new(),
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

    /// Hands every promise that is to be settled from outside to `read` once it is durable, after the output before it; a pending one
    /// again when its execution is resumed. `read` must not wait for the host.
    #[must_use]
    pub fn on_question(mut self, read: impl Fn(PendingPromise) + Send + Sync + 'static) -> Self {
        self.asks = Arc::new(read);
        self
    }

    /// Sets another clock, for tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets a folder for precompiled components. Without one every process compiles anew.
    #[must_use]
    pub fn cache(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cache = Some(dir.into());
        self
    }

    /// Calls `read` for every component that is compiled, on the thread that compiles it: a large one takes seconds.
    #[must_use]
    pub fn on_compile(mut self, read: fn(Compiling)) -> Self {
        self.compiling = read;
        self
    }

    /// Sets how many executions may hold an instance at once; others wait for their turn.
    #[must_use]
    pub fn instances(mut self, instances: u32) -> Self {
        self.instances = instances;
        self
    }

    /// Sets how long an execution that only waits keeps its instance, unless others need it; five seconds by default. After that it
    /// only occupies a row in the store, and resumes with another instance, which repeats what is recorded.
    #[must_use]
    pub fn keep_warm(mut self, keep_warm: Duration) -> Self {
        self.keep_warm = keep_warm;
        self
    }

    /// Sets the linear memory of all instances together, in bytes; by default half of what the machine has, or its control group allows.
    /// Under pressure, executions that have waited longest release their instance, and those yet to run wait for their turn. No single
    /// instance gets more, whatever its policy allows.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Sets the worker group of this host, `default` if not set. The host runs what is called for its group.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = group.into();
        self
    }

    /// Sets which executions the host runs by itself: those that are called, and suspended ones whose promise is settled.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Sets other name servers, or more certificate authorities, than those of the system.
    #[must_use]
    pub fn network(mut self, options: network::Options) -> Self {
        self.network = options;
        self
    }

    /// Sets a policy that no execution of this host exceeds, whatever it was started with: a call is granted if both grant it.
    /// Quotas are those of the execution's own policy. [`Everstep::set_ceiling`] replaces it.
    #[must_use]
    pub fn ceiling(mut self, policy: Policy) -> Self {
        self.ceiling = Some(policy);
        self
    }

    /// Sets how long a claim on a server lasts without a heartbeat: after that, other workers take over what this one held. Without
    /// meaning for the stores of one machine.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Gives a worker on a server a component: it takes up the executions that run in it, and leaves others to the other workers of its
    /// group. Without meaning for the stores of one machine, which keep components themselves.
    #[must_use]
    pub fn component(mut self, component: Component) -> Self {
        self.components.push(component);
        self
    }

    /// Sets where the folder of the `[[files]]` rule `id` lies on this machine, whatever path a policy names for it.
    #[must_use]
    pub fn folder(mut self, id: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        self.folders.insert(id.into(), path.into());
        self
    }

    /// Opens the store and starts the host.
    ///
    /// # Errors
    /// The store cannot be opened, the group has no proper name, or the engine cannot be started.
    pub fn build(self) -> Result<Everstep, Error> {
        let target: Arc<str> =
            group_address(&self.group).ok_or_else(|| Error::Group { group: self.group.clone() })?.into();
        let mut private: Vec<PathBuf> = self.cache.iter().cloned().collect();
        let digests = Arc::new(Digests::new(self.cache.clone()));
        let options = Options { cache: self.cache, pool: self.instances, compiling: self.compiling };
        let (sender, notes) = unbounded_channel();
        let live = Arc::new(Live::new(Arc::clone(&target), sender));
        let watching = Arc::new(Watching { live: Arc::clone(&live), asks: self.asks });
        let over = |backend: Arc<dyn Backend>, clock, sink| -> Result<Opened, Error> {
            let store = Embedded::start(Arc::clone(&backend), clock, sink, Arc::clone(&watching) as Arc<dyn Listener>)?;
            Ok((store, Arc::new(Tables::of(backend))))
        };
        let (mut own, sink) = (Arc::clone(&self.clock), self.sink);
        let clock = Arc::clone(&own);
        let (store, view) = match self.place {
            Place::Memory => over(Arc::new(MemoryStore::default()), clock, sink)?,
            Place::Folder(dir) => {
                let store = FileStore::open(&dir)?;
                private.push(dir);
                over(Arc::new(store), clock, sink)?
            }
            Place::Given(backend) => over(backend, clock, sink)?,
            Place::Server(Server(client)) => {
                own = Arc::new(ServerClock::new(own, client.clone()));
                let (group, target) = (self.group.clone(), target.to_string());
                let components = self.components.into_iter().map(|one| (one.digest, one.content)).collect();
                let takes = self.scope != Scope::Nothing;
                let worker = remote::Options { group, target, takes, ttl: self.lease, components };
                let store = RemoteStore::start(client, worker, sink, Arc::clone(&watching) as Arc<dyn Listener>);
                (Arc::clone(&store) as Arc<dyn Store>, store as Arc<dyn View>)
            }
        };
        let memory = self.memory.or_else(|| Some(machine_memory()? / 2)).unwrap_or(MEMORY);
        let inner = Inner {
            store,
            view,
            engines: Engines::new(options)?,
            registry: Arc::new(self.registry),
            clock: own,
            grants: GrantsCache::new(private, self.network, OPENERS).with_folders(self.folders),
            digests,
            components: Mutex::default(),
            accounts: tokio::sync::Mutex::default(),
            live,
            instances: Arc::new(Instances::new(self.instances, memory, self.keep_warm)),
            target,
            scope: self.scope,
            notes: Mutex::new(Some(notes)),
            describing: Semaphore::new(spare(self.instances) as usize),
        };
        inner.grants.set_ceiling(self.ceiling);
        let host = Everstep { inner: Arc::new(inner) };
        if tokio::runtime::Handle::try_current().is_ok() {
            host.work();
        }
        Ok(host)
    }
}
