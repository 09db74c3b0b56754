//! Starts and resumes executions, from a request or from what is stored.

use super::component::Component;
use super::live::{Hold, Holding, Live, Outcome, Running};
use super::take_up::{Activation, Prepared, born};
use super::{Error, Everstep};
use crate::bridge::{Patience, Terms};
use crate::id::{Digest, ExecutionId};
use crate::json;
use crate::policy::Policy;
use crate::trace::Origin;
use crate::turns::exit_code;
use everstep_store::operation::{NewPromise, Operation};
use everstep_store::record::NEVER;
use everstep_store::seam::{Lost, NewRun, Taken};
use everstep_store::{Execution, Failure, Invocation, Progress};
use everstep_words::trace::TraceContext;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Serialize;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;

/// A request to run a function.
#[derive(Clone, Debug)]
pub struct Run {
    /// The id of the execution, and its idempotency key.
    pub id: ExecutionId,
    /// The component that exports the function.
    pub component: Component,
    /// The function: a durable one, one with types of its own as [`Everstep::functions`] names it, or [`PROGRAM`](crate::PROGRAM).
    pub function: String,
    /// Its arguments, a JSON text. A function with types takes an object with its parameters by name, or a list of them.
    pub args: String,
    /// The policy.
    pub policy: Policy,
    /// How long to wait for promises.
    pub patience: Patience,
    /// How long the execution may take, waiting included, before it fails as timed out; `None`: forever. What it calls
    /// ends with it.
    pub timeout: Option<Duration>,
    /// The place in a trace that it is called from; an execution that exists keeps its own.
    pub trace: Option<TraceContext>,
    /// Whether the component takes over an execution of that id that began with another one, if it repeats what is recorded; otherwise
    /// the execution continues with its own component.
    pub upgrades: bool,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The execution.
    pub id: ExecutionId,
    /// Its state.
    pub state: everstep_store::State,
    /// The result of the function, a JSON text.
    pub result: Option<String>,
    /// The reason that it failed or halted.
    pub error: Option<Failure>,
    /// The exit code of a program ([`PROGRAM`](crate::PROGRAM)) that has ended by itself.
    pub exit_code: Option<u8>,
    /// Steps recorded in all.
    pub steps: u64,
    /// Steps that this run took from the journal.
    pub replayed: u64,
    /// How long this run took.
    pub wall: Duration,
}

/// An execution that this host runs, or will run once what it waits for has settled.
pub struct Handle {
    id: ExecutionId,
    /// `None` once this handle has stopped listening.
    outcome: Option<watch::Receiver<Outcome>>,
    live: Weak<Live>,
    /// The parts of the call that were ignored, because the execution existed before.
    disregarded: Vec<Disregarded>,
}

/// A part of a [`Run`] that was ignored, because an execution of that id existed before.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disregarded {
    /// The timeout: the execution keeps the deadline that it was started with, if any.
    Timeout {
        /// In milliseconds since the Unix epoch.
        deadline_ms: Option<u64>,
    },
    /// The component: the execution ended with another one, or continues with it.
    Component {
        /// The other component.
        began: Digest,
        /// Whether it has ended.
        ended: bool,
    },
    /// The component is not the first: the execution began with another one, and this one takes over.
    Beginning {
        /// The other component.
        began: Digest,
    },
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
        let (id, patience, timeout) = (ExecutionId::random(), Patience::Forever, None);
        Self { id, component, function, args, policy, patience, timeout, trace: None, upgrades: true }
    }

    /// Sets the id.
    #[must_use]
    pub fn with_id(mut self, id: ExecutionId) -> Self {
        self.id = id;
        self
    }

    /// Makes the execution fail as timed out unless it ends within `timeout`, waiting included.
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Lets an execution of that id that has begun continue with its own component.
    #[must_use]
    pub fn without_upgrading(mut self) -> Self {
        self.upgrades = false;
        self
    }

    /// Makes the execution suspend as soon as it would wait for a promise that neither it nor what it calls can settle
    /// by continuing.
    #[must_use]
    pub fn without_waiting(mut self) -> Self {
        self.patience = Patience::None;
        self
    }
}

impl Handle {
    /// The id of the execution.
    pub fn id(&self) -> &ExecutionId {
        &self.id
    }

    /// The parts of the call that were ignored, because the execution existed before.
    pub fn disregarded(&self) -> &[Disregarded] {
        &self.disregarded
    }

    /// Waits until the execution has durably ended or halted, or has suspended if it was started without waiting.
    ///
    /// # Errors
    /// The store failed: the outcome is unknown.
    pub async fn wait(mut self) -> Result<Report, Arc<Error>> {
        while let Some(outcome) = &mut self.outcome {
            if let Some(outcome) = outcome.borrow_and_update().clone() {
                return outcome;
            }
            if outcome.changed().await.is_err() {
                break;
            }
        }
        let gone = everstep_store::Error::Poisoned("the run was given up".to_owned());
        Err(Arc::new(Error::Store(gone)))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // First, so that the last handle of an execution is recognised as such.
        self.outcome = None;
        if let Some(live) = self.live.upgrade() {
            live.forget(&self.id);
        }
    }
}

impl Everstep {
    /// Starts an execution, or attaches to the one with that id: a finished one reports its stored outcome, an unfinished one
    /// resumes. Returns once the start is durable.
    ///
    /// # Errors
    /// The id is in use for something else, the component or the policy cannot be used, the store failed.
    pub async fn start(&self, run: Run) -> Result<Handle, Error> {
        let (handle, fresh) = self.begin(run).await?;
        drop(fresh);
        if let Some(running) = self.inner.live.run_of(handle.id()) {
            let submitted = running.bridge.submit_all();
            match running.bridge.durable(submitted).await {
                // The host that has taken the execution has made it durable.
                Ok(()) | Err(Lost::Claim) => {}
                Err(lost) => return Err(Error::Store(lost.into())),
            }
        }
        Ok(handle)
    }

    /// Creates an execution for the workers of this host's group, without running it here, or attaches to the one with that id.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn submit(&self, run: Run) -> Result<Handle, Error> {
        self.work();
        json::check(&run.args)?;
        let inner = &self.inner;
        let mut handle = self.handle(&run.id);
        let Some(execution) = inner.store.execution(&run.id).await? else {
            // Its folders and secrets are those of the machine that will run it.
            let policy = run.policy.for_function(&run.function);
            policy.check_paths()?;
            let digest = policy.digest();
            inner.store.keep(vec![(digest, policy.canonical().into_bytes().into())]).await?;
            drop(policy);
            let deadline_ms = run.timeout.and_then(|timeout| deadline(inner.clock.now_ms(), timeout));
            let (id, now_ms) = (run.id.clone(), inner.clock.now_ms());
            let promise = promise_of(&run, digest, &inner.target, (now_ms, deadline_ms)).0;
            inner.store.operate(Operation::PromiseCreate(promise)).await?;
            self.tell_stored(&id).await?;
            return Ok(handle);
        };
        check_same(&run, &execution.function, &execution.args)?;
        if !execution.state.is_final() {
            self.check_policy(&run, execution.policy)?;
        }
        let Execution { component, deadline_ms, state, .. } = execution;
        handle.disregarded = disregarded(&run.without_upgrading(), component, deadline_ms, state.is_final());
        self.tell_stored(handle.id()).await?;
        Ok(handle)
    }

    /// Lets the workers of a server go on with an execution, halted or not, and attaches to it.
    ///
    /// # Errors
    /// There is no such execution, or the store failed.
    pub async fn hand_over(&self, id: &ExecutionId) -> Result<Handle, Error> {
        self.work();
        let (handle, store) = (self.handle(id), &self.inner.store);
        let execution = store.execution(id).await?.ok_or_else(|| Error::UnknownExecution(id.clone()))?;
        if execution.state == everstep_store::State::Halted {
            store.operate(Operation::TaskContinue { id: id.to_string() }).await?;
        }
        self.tell_stored(id).await?;
        Ok(handle)
    }

    /// Starts an execution and waits for its end.
    ///
    /// # Errors
    /// As [`start`](Self::start); [`Error::Store`] when the store fails on the way.
    pub async fn run(&self, run: Run) -> Result<Report, Arc<Error>> {
        let (handle, fresh) = self.begin(run).await.map_err(Arc::new)?;
        if let Some(fresh) = fresh {
            fresh.drive(&self.inner.live).await;
        }
        handle.wait().await
    }

    /// Resumes an unfinished execution with what the store holds of it: component, policy, arguments and journal.
    ///
    /// # Errors
    /// There is no such execution, or something it needs is missing.
    pub async fn resume(&self, id: &ExecutionId, patience: Patience) -> Result<Handle, Error> {
        self.resume_with(id, None, patience).await
    }

    /// Resumes an unfinished execution with another component, which must repeat everything that is recorded; from
    /// then on the execution belongs to that component.
    ///
    /// # Errors
    /// As [`resume`](Self::resume).
    pub async fn resume_with(
        &self,
        id: &ExecutionId,
        component: Option<&Component>,
        patience: Patience,
    ) -> Result<Handle, Error> {
        self.work();
        let handle = self.handle(id);
        let hold = match self.inner.live.hold(id).await {
            Holding::Running(_) => return Ok(handle),
            Holding::Free(hold) => hold,
        };
        let Some(execution) = self.inner.store.execution(id).await? else {
            return Err(Error::UnknownExecution(id.clone()));
        };
        self.take_up_calls(id, patience).await?;
        Box::pin(self.take_up(hold, execution, component, patience, None)).await?;
        Ok(handle)
    }

    /// A handle that waits for a stored execution without resuming it.
    fn handle(&self, id: &ExecutionId) -> Handle {
        let outcome = Some(self.inner.live.watch(id));
        Handle { id: id.clone(), outcome, live: Arc::downgrade(&self.inner.live), disregarded: Vec::new() }
    }

    /// Begins an execution, or attaches to the one with that id; the run of a new one is the caller's to drive.
    async fn begin(&self, run: Run) -> Result<(Handle, Option<Fresh>), Error> {
        self.work();
        json::check(&run.args)?;
        let mut handle = self.handle(&run.id);
        let hold = match self.inner.live.hold(&run.id).await {
            Holding::Running(Running { bridge, args }) => {
                check_same(&run, &bridge.facts.function, &args)?;
                self.check_policy(&run, bridge.facts.grants.digest)?;
                let Terms { component, deadline_ms, .. } = &bridge.facts.terms;
                // It has its instance already: no component takes over now.
                handle.disregarded = disregarded(&run.without_upgrading(), *component, *deadline_ms, false);
                return Ok((handle, None));
            }
            Holding::Free(hold) => hold,
        };
        let store = &self.inner.store;
        match store.promise(run.id.as_str()).await? {
            None => {
                if let Some(fresh) = Box::pin(self.create(hold, &run)).await? {
                    return Ok((handle, Some(fresh)));
                }
                // Another host was faster: the execution exists now.
                let found = store.promise(run.id.as_str()).await?;
                found.ok_or_else(|| Error::IdTaken(run.id.clone()))?;
                return Box::pin(self.begin(run)).await;
            }
            Some(_) => {
                let execution = store.execution(&run.id).await?.ok_or_else(|| Error::IdTaken(run.id.clone()))?;
                self.take_up_calls(&run.id, run.patience).await?;
                check_same(&run, &execution.function, &execution.args)?;
                if !execution.state.is_final() {
                    self.check_policy(&run, execution.policy)?;
                }
                let Execution { component, deadline_ms, state, .. } = &execution;
                handle.disregarded = disregarded(&run, *component, *deadline_ms, state.is_final());
                let takes_over = run.upgrades && run.component.digest != execution.component;
                let component = takes_over.then_some(&run.component);
                Box::pin(self.take_up(hold, execution, component, run.patience, None)).await?;
            }
        }
        Ok((handle, None))
    }

    fn check_policy(&self, run: &Run, pinned: Digest) -> Result<(), Error> {
        let given = self.inner.grants.digest_for(&run.policy, &run.function);
        if given == pinned { Ok(()) } else { Err(Error::PolicyChanged { id: run.id.clone(), pinned, given }) }
    }

    /// Creates an execution, and returns its run; `None` if its id exists by now.
    async fn create(&self, hold: Hold, run: &Run) -> Result<Option<Fresh>, Error> {
        let inner = &self.inner;
        if run.id.parent().is_some() {
            return Err(Error::IdTaken(run.id.clone()));
        }
        let grants = inner.grants.open_for(&run.policy, &run.function)?;
        let loaded = inner.load(&run.component, &grants).await?;
        inner.check_call(&loaded, &grants, &run.function, &run.args).await?;
        let images = inner.images(&grants, &[], false).await?;
        let now_ms = inner.clock.now_ms();
        let deadline_ms = run.timeout.and_then(|timeout| deadline(now_ms, timeout));
        let (id, patience, content) = (run.id.clone(), run.patience, run.component.content.clone());
        let (promise, invocation) = promise_of(run, grants.digest, &inner.target, (now_ms, deadline_ms));
        let execution = new_execution(id, invocation, now_ms, deadline_ms);
        let (state, birth) = born(&execution);
        let descent = inner.root(&execution.id).await?;
        // Before the execution can end, because its end removes the note.
        self.tend(&execution.id, patience);
        let policy = grants.canonical.clone().into();
        let blobs = vec![(execution.component, content), (grants.digest, policy)];
        let Taken::Claimed(claimed) = inner.store.create(NewRun { promise, birth, blobs }).await? else {
            return Ok(None);
        };
        let prepared = Prepared { component: loaded, grants, descent, state, images };
        let run = self.activate(Activation { patience, ..Activation::new(hold, execution, claimed, prepared) });
        Ok(Some(Fresh(Some(run))))
    }
}

/// The run of a new execution that no task drives yet. Dropped, it becomes a task of its own.
struct Fresh(Option<BoxFuture<'static, ()>>);

impl Fresh {
    /// Drives it on the thread of the caller for as long as it does not wait, if it is the only one of its host: many an execution ends
    /// there, and another thread would have to be woken for it, and this one at its end. With others it is for the runtime to share them
    /// out.
    async fn drive(mut self, live: &Live) {
        if live.runs_one() {
            // A task may begin many executions at once.
            tokio::task::yield_now().await;
        }
        if live.runs_one() && self.0.as_mut().is_some_and(|run| run.now_or_never().is_some()) {
            self.0 = None;
        }
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // Without a runtime nothing runs any more, as after a crash.
        if let (Some(run), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(run);
        }
    }
}

/// The promise of a new execution with a deadline, for the workers of the group at `target`.
fn promise_of(
    run: &Run,
    policy: Digest,
    target: &str,
    (now_ms, deadline_ms): (u64, Option<u64>),
) -> (NewPromise, Invocation) {
    let trace = Origin::new(&run.id, now_ms, run.trace.as_ref()).context().cloned();
    // Its arguments are read back without the whitespace around them.
    let (function, args, component) = (run.function.clone(), run.args.trim_ascii().to_owned(), run.component.digest);
    let invocation = Invocation { function, args, component, policy, trace };
    let (param, tags) = (invocation.param(), invocation.tags(target));
    (
        NewPromise { id: run.id.to_string(), timeout_at: deadline_ms.unwrap_or(NEVER), param, tags: tags.into() },
        invocation,
    )
}

fn new_execution(id: ExecutionId, invocation: Invocation, now_ms: u64, deadline_ms: Option<u64>) -> Execution {
    let Invocation { function, args, component, policy, trace } = invocation;
    Execution {
        key: None,
        id,
        component,
        policy,
        function,
        args,
        trace,
        seed: fresh_seed(),
        created_ms: now_ms,
        deadline_ms,
        state: everstep_store::State::Running,
        attempts: 1,
        result: None,
        progress: Progress { updated_ms: now_ms, ..Progress::default() },
    }
}

fn deadline(now_ms: u64, timeout: Duration) -> Option<u64> {
    let timeout = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    Some(now_ms.saturating_add(timeout)).filter(|deadline| *deadline < NEVER)
}

impl Report {
    /// The report of a stored execution.
    pub(super) fn stored(execution: &Execution) -> Self {
        let Execution { id, state, function, result, progress, .. } = execution.clone();
        let Progress { error, steps, .. } = progress;
        let exit_code = exit_code(&function, state, error.as_ref());
        Self { id, state, result, error, exit_code, steps, replayed: 0, wall: Duration::ZERO }
    }
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

/// Whether two JSON texts mean the same. Numbers are compared as they are written, and repeated names count, because a parsed
/// value keeps neither; texts too deep or too large to be parsed must be identical.
fn same_json(a: &str, b: &str) -> bool {
    let parse = |text| serde_json::from_str::<serde_json::Value>(text);
    a == b || matches!((parse(a), parse(b)), (Ok(x), Ok(y)) if x == y && scalars(a) == scalars(b))
}

/// The numbers of a JSON text as written, sorted, and how many strings it has.
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

/// The length of the JSON string at the start of a text, quotes included, in bytes.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
}

/// The parts of a run that are ignored for an existing execution of its id.
fn disregarded(run: &Run, began: Digest, deadline_ms: Option<u64>, ended: bool) -> Vec<Disregarded> {
    let timeout = run.timeout.map(|_| Disregarded::Timeout { deadline_ms });
    let other = (run.component.digest != began).then_some(if run.upgrades && !ended {
        Disregarded::Beginning { began }
    } else {
        Disregarded::Component { began, ended }
    });
    timeout.into_iter().chain(other).collect()
}

/// A random seed for a new execution, from the operating system.
#[allow(clippy::disallowed_methods, reason = "a seed is made before the execution starts")]
pub(super) fn fresh_seed() -> [u8; 32] {
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
