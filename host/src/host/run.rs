//! Starting and resuming: from what is asked, or what is stored, to a run.

use super::live::{Claim, Claimed, Outcome, Running};
use super::{Error, Everstep, Inner};
use crate::bridge::{Bridge, Parts, Patience, State, Stop};
use crate::clock;
use crate::grants::Grants;
use crate::id::{Digest, ExecutionId};
use crate::journal::{Committer, History, Journal};
use crate::policy::{Limits, Policy};
use crate::store::{self, Change, Execution, ExecutionKey, Failure, FailureKind, MemoryStore, Progress};
use crate::worker::{Ending, FunctionInfo, Job, Loaded, drive};
use futures::FutureExt;
use serde::Serialize;
use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// What to run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The id, and idempotency key, of the execution.
    pub id: ExecutionId,
    /// What holds the function.
    pub component: Component,
    /// The durable function.
    pub function: String,
    /// Its arguments, a JSON text.
    pub args: String,
    /// What it is granted.
    pub policy: Policy,
    /// How long to wait for promises.
    pub patience: Patience,
}

/// A component, as `everstep build` writes it. Cheap to clone; the digest is computed once.
#[derive(Clone, Debug)]
pub struct Component {
    bytes: Arc<[u8]>,
    digest: Digest,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The execution.
    pub id: ExecutionId,
    /// Where it stands.
    pub state: store::State,
    /// What the function returned, a JSON text.
    pub result: Option<String>,
    /// Why it failed or halted.
    pub error: Option<Failure>,
    /// Steps recorded in all.
    pub steps: u64,
    /// Steps that this run took from the journal.
    pub replayed: u64,
    /// How long this run took.
    pub wall: Duration,
}

/// An execution that this host runs.
pub struct Handle {
    id: ExecutionId,
    outcome: watch::Receiver<Outcome>,
}

/// An execution about to run.
struct Activation {
    claim: Claim,
    execution: Execution,
    component: Arc<Loaded>,
    grants: Arc<Grants>,
    state: State,
    patience: Patience,
}

impl Run {
    /// A run under a fresh id that waits for promises as long as it takes.
    pub fn new(
        component: impl Into<Component>,
        function: impl Into<String>,
        args: impl Into<String>,
        policy: Policy,
    ) -> Self {
        let (component, function, args) = (component.into(), function.into(), args.into());
        Self { id: ExecutionId::random(), component, function, args, policy, patience: Patience::Forever }
    }

    /// The same under a given id.
    #[must_use]
    pub fn with_id(mut self, id: ExecutionId) -> Self {
        self.id = id;
        self
    }

    /// The same, suspended as soon as it would wait for a promise.
    #[must_use]
    pub fn without_waiting(mut self) -> Self {
        self.patience = Patience::None;
        self
    }
}

impl<B: Into<Arc<[u8]>>> From<B> for Component {
    fn from(bytes: B) -> Self {
        let bytes = bytes.into();
        Self { digest: Digest::of(&bytes), bytes }
    }
}

impl Component {
    /// The identity of the component: the SHA-256 of its bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl Handle {
    /// The execution.
    pub fn id(&self) -> &ExecutionId {
        &self.id
    }

    /// Waits until the run ends; its outcome is durable then.
    ///
    /// # Errors
    /// The store failed: nothing is known of the outcome.
    pub async fn wait(mut self) -> Result<Report, Arc<Error>> {
        loop {
            if let Some(outcome) = self.outcome.borrow_and_update().clone() {
                return outcome;
            }
            if self.outcome.changed().await.is_err() {
                let gone = store::Error::Poisoned("the run was given up".to_owned());
                return Err(Arc::new(Error::Store(gone)));
            }
        }
    }
}

impl Everstep {
    /// Starts an execution, or attaches to the one with that id: a finished one reports its stored outcome, an unfinished one
    /// goes on. Acknowledged once the start is durable.
    ///
    /// # Errors
    /// The id is in use for something else, the component or the policy cannot be used, the store failed.
    pub async fn start(&self, run: Run) -> Result<Handle, Error> {
        let (handle, running) = self.begin(run).await?;
        if let Some(running) = running {
            let submitted = {
                let mut state = running.bridge.state();
                running.bridge.submit(&mut state, [])
            };
            running.bridge.durable(submitted).await?;
        }
        Ok(handle)
    }

    /// Starts an execution and waits for its end.
    ///
    /// # Errors
    /// As [`start`](Self::start); [`Error::Store`] when the store fails on the way.
    pub async fn run(&self, run: Run) -> Result<Report, Arc<Error>> {
        self.begin(run).await.map_err(Arc::new)?.0.wait().await
    }

    /// Takes up an unfinished execution with what the store holds of it: component, policy, arguments and journal.
    ///
    /// # Errors
    /// There is no such execution, or something it needs is missing.
    pub async fn resume(&self, id: &ExecutionId, patience: Patience) -> Result<Handle, Error> {
        self.resume_with(id, None, patience).await
    }

    /// Takes up an unfinished execution with another component, which must repeat everything that is recorded; from
    /// there on the execution is its own.
    ///
    /// # Errors
    /// As [`resume`](Self::resume).
    pub async fn resume_with(
        &self,
        id: &ExecutionId,
        component: Option<&Component>,
        patience: Patience,
    ) -> Result<Handle, Error> {
        let claim = match self.inner.live.claim(id).await {
            Claimed::Running(running) => return Ok(Handle { id: id.clone(), outcome: running.outcome }),
            Claimed::Free(claim) => claim,
        };
        let Some(execution) = self.inner.committer.store().execution(id)? else {
            return Err(Error::UnknownExecution(id.clone()));
        };
        Ok(self.take_up(claim, execution, component, patience).await?.0)
    }

    /// The durable functions of a component.
    ///
    /// # Errors
    /// The component cannot be loaded, or does not describe its functions.
    pub async fn functions(&self, component: &Component, policy: &Policy) -> Result<Vec<FunctionInfo>, Error> {
        let grants = self.inner.grants.open(policy)?;
        let loaded = self.inner.load(component, &grants).await?;
        self.inner.describe(&loaded, &grants).await.map(<[_]>::to_vec)
    }

    async fn begin(&self, run: Run) -> Result<(Handle, Option<Running>), Error> {
        if let Err(error) = serde_json::from_str::<&serde_json::value::RawValue>(&run.args) {
            return Err(Error::Arguments { reason: error.to_string() });
        }
        let claim = match self.inner.live.claim(&run.id).await {
            Claimed::Running(running) => {
                let bridge = &running.bridge;
                check_same(&run, &bridge.function, &running.args)?;
                check_policy(&run, bridge.grants.digest)?;
                return Ok((Handle { id: run.id, outcome: running.outcome.clone() }, Some(running)));
            }
            Claimed::Free(claim) => claim,
        };
        match self.inner.committer.store().execution(&run.id)? {
            None => self.create(claim, run).await,
            Some(execution) => {
                check_same(&run, &execution.function, &execution.args)?;
                if !execution.progress.state.is_final() {
                    check_policy(&run, execution.policy)?;
                }
                let component = (run.component.digest != execution.component).then_some(&run.component);
                self.take_up(claim, execution, component, run.patience).await
            }
        }
    }

    async fn create(&self, claim: Claim, run: Run) -> Result<(Handle, Option<Running>), Error> {
        let inner = &self.inner;
        let grants = inner.grants.open(&run.policy)?;
        let component = inner.load(&run.component, &grants).await?;
        inner.check_function(&component, &grants, &run.function).await?;
        let digest = component.component.digest;
        let now_ms = inner.clock.now_ms();
        let execution = Execution {
            key: inner.committer.store().fresh_key(),
            id: run.id,
            component: digest,
            policy: grants.digest,
            function: run.function,
            args: run.args,
            seed: fresh_seed(),
            created_ms: now_ms,
            progress: Progress::starting(now_ms),
        };
        let mut state = State::empty(Journal::starting(&execution), execution.progress.clone());
        // In one commit with the record of the start, so that no execution is ever without it.
        let created = [Some(Change::Create(Box::new(execution.clone()))), state.journal.take_segment()];
        state.submitted = {
            // Locked until they are submitted: nobody may rely on a blob that could come later than what needs it.
            let mut kept = inner.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let blobs = [
                keep(&mut kept, digest, || run.component.bytes.to_vec()),
                keep(&mut kept, grants.digest, || grants.policy.canonical().into_bytes()),
            ];
            inner.committer.submit(blobs.into_iter().chain(created).flatten(), Vec::new())
        };
        let patience = run.patience;
        Ok(self.activate(Activation { claim, execution, component, grants, state, patience }))
    }

    async fn take_up(
        &self,
        claim: Claim,
        mut execution: Execution,
        component: Option<&Component>,
        patience: Patience,
    ) -> Result<(Handle, Option<Running>), Error> {
        let inner = &self.inner;
        if execution.progress.state.is_final() {
            let report = Report::stored(&execution);
            let (_, outcome) = watch::channel(Some(Ok(report)));
            return Ok((Handle { id: execution.id, outcome }, None));
        }
        let grants = inner.grants.open(&inner.stored_policy(&execution)?)?;
        let mut when_live = Vec::new();
        let loaded = match component {
            None => {
                let bytes = inner.blob("component", execution.component, &execution.id)?.into();
                inner.load(&Component { bytes, digest: execution.component }, &grants).await?
            }
            Some(component) => {
                // Whether this is ever written is open until then, so it cannot be noted as kept.
                when_live.push(Change::Blob(component.digest, component.bytes.to_vec()));
                when_live.push(Change::Component(execution.key, component.digest));
                let loaded = inner.load(component, &grants).await?;
                inner.check_function(&loaded, &grants, &execution.function).await?;
                loaded
            }
        };
        execution.progress.attempts += 1;
        execution.progress.state = store::State::Running;
        execution.progress.error = None;
        let state = match inner.state(&execution) {
            Err(error @ Error::Corrupted { .. }) => return Err(self.halt_corrupted(execution, error).await),
            state => state?,
        };
        let progress = Change::Progress(execution.key, Box::new(execution.progress.clone()));
        inner.committer.submit([progress], Vec::new());
        let state = State { when_live, ..state };
        Ok(self.activate(Activation { claim, execution, component: loaded, grants, state, patience }))
    }

    fn activate(&self, activation: Activation) -> (Handle, Option<Running>) {
        let Activation { claim, execution, component, grants, state, patience } = activation;
        let Execution { id, function, args, seed, .. } = execution;
        let bridge = self.inner.bridge(id.clone(), function, seed, grants, state);
        let (running, outcome) = claim.run(Arc::clone(&bridge), &args);
        let host = self.clone();
        let job = Job { component, bridge, args, patience };
        tokio::spawn(async move {
            let (started, bridge) = (clock::instant(), Arc::clone(&job.bridge));
            let ended = AssertUnwindSafe(host.drive_and_conclude(job, started)).catch_unwind().await;
            let ended = match ended {
                Ok(ended) => ended,
                Err(_) => Err(host.give_up(&bridge).await),
            };
            drop(bridge);
            // The claim, and the hold on the store, end before the outcome is known: whoever saw it may resume at once.
            drop(claim);
            drop(host);
            outcome.send_replace(Some(ended.map_err(Arc::new)));
        });
        (Handle { id, outcome: running.outcome.clone() }, Some(running))
    }

    async fn drive_and_conclude(&self, job: Job, started: Instant) -> Result<Report, Error> {
        let bridge = Arc::clone(&job.bridge);
        let ending = {
            let permit = tokio::select! {
                biased;
                () = bridge.canceled() => None,
                permit = self.inner.instances.acquire() => Some(permit),
            };
            match permit {
                None => Ending::Stopped(Stop::Canceled),
                // The semaphore is never closed.
                Some(_permit) => drive(job).await,
            }
        };
        // An effect that could not be given up ends before anybody learns that the run is over.
        drop(bridge.block().await);
        let (state, replayed) = self.conclude(&bridge, ending).await?;
        Ok(Report { replayed, wall: started.elapsed(), ..Report::of(bridge.id.clone(), &state) })
    }

    /// Ends a run that a bug of the host has broken off, as a crash would have: what was submitted is durable, and nothing is added.
    async fn give_up(&self, bridge: &Bridge) -> Error {
        let submitted = {
            let mut state = bridge.state();
            state.concluded = true;
            state.stop_effects();
            state.submitted
        };
        drop(bridge.block().await);
        let durable = bridge.durable(submitted).await;
        Error::Store(durable.err().unwrap_or_else(|| store::Error::Poisoned("the run panicked".to_owned())))
    }

    /// An execution whose journal cannot be read says so from now on; the journal stays as it is.
    async fn halt_corrupted(&self, mut execution: Execution, error: Error) -> Error {
        execution.progress.state = store::State::Halted;
        execution.progress.error = Some(Failure { kind: FailureKind::Corrupted, message: error.to_string() });
        let halted = Change::Progress(execution.key, Box::new(execution.progress));
        let ticket = self.inner.committer.submit([halted], Vec::new());
        self.inner.committer.durable(ticket).await.err().map_or(error, Error::Store)
    }
}

/// CPU time that a component may take to name its functions.
const TO_DESCRIBE: Duration = Duration::from_secs(1);

/// Components kept linked although nobody may run them again.
const MAX_LINKED: usize = 64;

impl Inner {
    /// Loads and links a component, once for each digest and stack size.
    async fn load(self: &Arc<Self>, component: &Component, grants: &Grants) -> Result<Arc<Loaded>, Error> {
        let digest = component.digest;
        let wasm_stack = grants.policy.limits.wasm_stack;
        let components = || self.components.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = components().get(&(digest, wasm_stack)) {
            return Ok(Arc::clone(loaded));
        }
        let (inner, bytes) = (Arc::clone(self), Arc::clone(&component.bytes));
        let stack = usize::try_from(wasm_stack).unwrap_or(usize::MAX);
        let task = tokio::task::spawn_blocking(move || Loaded::link(inner.engines.load(&bytes, digest, stack)?));
        let lost = |error: tokio::task::JoinError| Error::Start(std::io::Error::other(error));
        let loaded = Arc::new(task.await.map_err(lost)??);
        let mut components = components();
        if components.len() >= MAX_LINKED {
            components.retain(|_, loaded| Arc::strong_count(loaded) > 1);
        }
        Ok(Arc::clone(components.entry((digest, wasm_stack)).or_insert(loaded)))
    }

    async fn check_function(&self, component: &Loaded, grants: &Grants, function: &str) -> Result<(), Error> {
        let functions = self.describe(component, grants).await?;
        if functions.iter().any(|known| known.name == function) {
            return Ok(());
        }
        let available = functions.iter().map(|function| function.name.clone()).collect();
        Err(Error::UnknownFunction { function: function.to_owned(), available })
    }

    /// The functions of a component, which it names outside of any execution and without any grant.
    async fn describe<'l>(&self, loaded: &'l Loaded, grants: &Grants) -> Result<&'l [FunctionInfo], Error> {
        // The semaphore is never closed.
        let _permit = self.describing.acquire().await;
        let scratch = || {
            let limits = &grants.policy.limits;
            let grants =
                Arc::new(Grants::for_description(Limits { cpu: limits.cpu.min(TO_DESCRIBE), ..limits.clone() }));
            let state = State::empty(Journal::new(ExecutionKey(0), History::default(), 0), Progress::starting(0));
            let committer = Committer::unattended(Arc::new(MemoryStore::default()));
            let (capabilities, clock) = (Arc::default(), Arc::clone(&self.clock));
            let (id, function, seed) = (ExecutionId::random(), String::new(), [0; 32]);
            Bridge::new(Parts { id, function, seed, grants, capabilities, clock, committer }, state)
        };
        loaded.functions(scratch).await
    }

    fn blob(&self, what: &'static str, digest: Digest, id: &ExecutionId) -> Result<Vec<u8>, Error> {
        let missing = || Error::Missing { what, digest, id: id.clone() };
        let bytes = self.committer.store().blob(&digest)?.ok_or_else(missing)?;
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(digest);
        Ok(bytes)
    }

    /// The policy that an execution is pinned to.
    pub(super) fn stored_policy(&self, execution: &Execution) -> Result<Policy, Error> {
        let policy = self.blob("policy", execution.policy, &execution.id)?;
        Ok(Policy::from_canonical(&String::from_utf8_lossy(&policy))?)
    }

    /// The state of a stored execution, as its journal tells it.
    pub(super) fn state(&self, execution: &Execution) -> Result<State, Error> {
        let (bytes, segments) = self.committer.store().journal(execution.key)?;
        let corrupted = |source| Error::Corrupted { id: execution.id.clone(), source };
        let history = History::load(bytes).map_err(corrupted)?;
        State::new(Journal::new(execution.key, history, segments), execution.progress.clone()).map_err(corrupted)
    }

    fn bridge(
        &self,
        id: ExecutionId,
        function: String,
        seed: [u8; 32],
        grants: Arc<Grants>,
        state: State,
    ) -> Arc<Bridge> {
        let (capabilities, clock) = (Arc::clone(&self.registry), Arc::clone(&self.clock));
        let committer = Arc::clone(&self.committer);
        Bridge::new(Parts { id, function, seed, grants, capabilities, clock, committer }, state)
    }
}

impl Report {
    /// What is stored of an execution that this call did not run.
    fn stored(execution: &Execution) -> Self {
        Self::of(execution.id.clone(), &execution.progress)
    }

    fn of(id: ExecutionId, progress: &Progress) -> Self {
        let Progress { state, result, error, steps, .. } = progress.clone();
        Self { id, state, result, error, steps, replayed: 0, wall: Duration::ZERO }
    }
}

/// A blob to put into the store, unless it is known to be there.
fn keep(kept: &mut HashSet<Digest>, digest: Digest, bytes: impl FnOnce() -> Vec<u8>) -> Option<Change> {
    kept.insert(digest).then(|| Change::Blob(digest, bytes()))
}

fn check_same(run: &Run, function: &str, args: &str) -> Result<(), Error> {
    if run.function == function && same_json(&run.args, args) {
        return Ok(());
    }
    Err(Error::IdInUse {
        id: run.id.clone(),
        recorded_function: function.to_owned(),
        recorded_args: args.to_owned(),
        function: run.function.clone(),
        args: run.args.clone(),
    })
}

/// Whether two JSON texts say the same. Numbers are compared as they are written, and names that occur twice count, because a
/// parsed value keeps neither; what is too deep or too large to be parsed must be the same text.
fn same_json(a: &str, b: &str) -> bool {
    let parse = |text| serde_json::from_str::<serde_json::Value>(text);
    a == b || matches!((parse(a), parse(b)), (Ok(x), Ok(y)) if x == y && scalars(a) == scalars(b))
}

/// The numbers of a JSON text as they are written, sorted, and how many strings it has.
fn scalars(json: &str) -> (Vec<&str>, usize) {
    let (mut numbers, mut strings, mut rest) = (Vec::new(), 0, json);
    while let Some(start) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        rest = &rest[start..];
        let length = if rest.starts_with('"') {
            strings += 1;
            string_length(rest)
        } else {
            let length = rest.find([',', ']', '}', ' ', '\n', '\r', '\t']).unwrap_or(rest.len());
            numbers.push(&rest[..length]);
            length
        };
        rest = &rest[length..];
    }
    numbers.sort_unstable();
    (numbers, strings)
}

/// Bytes of the JSON string at the start of a text, with its quotes.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
}

fn check_policy(run: &Run, pinned: Digest) -> Result<(), Error> {
    let (id, given) = (run.id.clone(), run.policy.digest());
    if given == pinned { Ok(()) } else { Err(Error::PolicyChanged { id, pinned, given }) }
}

/// Randomness for a new execution, from the operating system.
#[allow(clippy::disallowed_methods, reason = "a seed is made before the execution starts")]
fn fresh_seed() -> [u8; 32] {
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    seed[16..].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    *blake3::hash(&seed).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::same_json;

    #[test]
    fn arguments_are_the_same_when_they_say_the_same() {
        assert!(same_json(r#"{"a": 1, "b": ["x", -2.5e3]}"#, r#"{"b":["x",-2.5e3],"a":1}"#));
        assert!(same_json(r#""\u00fc \"1\"""#, r#""ü \"1\"""#));
        for (a, b) in [
            ("100000000000000000000001", "100000000000000000000002"),
            ("0.1", "0.10000000000000000001"),
            ("1", "1.0"),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            (r#"{"a":"x","a":"y"}"#, r#"{"a":"y"}"#),
            (r#"["1"]"#, "[1]"),
            ("1e999", "2e999"),
        ] {
            assert!(!same_json(a, b), "{a} {b}");
            assert!(same_json(a, a));
        }
    }
}
