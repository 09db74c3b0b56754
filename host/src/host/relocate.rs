//! Carries an execution from the store of one machine to a server, once, whatever fails on the way.
//!
//! The execution, and what it waits for of what it has called, is claimed here and halts with the place that it goes to. Then all of it is
//! written there, the promise that lets workers run it last, and what is left here ends. Whoever is interrupted goes on by doing it again.

use super::live::Holding;
use super::load::Stored;
use super::run::fresh_seed;
use super::take_up::born;
use super::{Error, Everstep};
use crate::capability::files::{Recorded, kept_of};
use crate::id::{Digest, ExecutionId};
use bytes::Bytes;
use everstep_store::operation::{NewPromise, Operation, Settlement};
use everstep_store::record::{Promise, PromiseState, Tags, Value, tag};
use everstep_store::seam::{Birth, Entry, Leave, NewRun, TakeUp, Taken};
use everstep_store::{Execution, Failure, FailureKind, Progress, State};

/// What was carried to a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// The executions, those that were called before their callers; none if they had been moved before.
    pub executions: Vec<ExecutionId>,
    /// The components that workers need for them.
    pub components: Vec<Digest>,
}

/// An unfinished execution, and the promises that its journal leaves open.
struct Part {
    execution: Execution,
    promise: Promise,
    open: Vec<Promise>,
    images: Vec<Recorded>,
}

impl Everstep {
    /// Moves an execution that nobody runs, with its journal, its open promises and what it waits for of what it has called, to the server of
    /// another host, where the workers of that host's group go on with it. `place` names the server for people; an execution that was left on
    /// the way goes on to that place only.
    ///
    /// # Errors
    /// There is no such execution, it runs, has ended or halted, or was called by another one; the server has one of that id, or cannot take
    /// one of its values; a store failed.
    pub async fn move_to(&self, id: &ExecutionId, there: &Self, place: &str) -> Result<Moved, Error> {
        let stays = |why: String| Error::Stays { id: id.clone(), why };
        if !there.is_shared() || self.is_shared() {
            return Err(stays("executions are moved from a store of this machine to a server".to_owned()));
        }
        if id.parent().is_some() {
            return Err(stays(format!("it was called by another one; move {}", id.root())));
        }
        let execution = self.inner.store.execution(id).await?.ok_or_else(|| Error::UnknownExecution(id.clone()))?;
        let to = destination(&execution);
        if to.is_some_and(|to| to != place) {
            return Err(moved(&execution));
        }
        let is_there = there.inner.store.promise(id.as_str()).await?.is_some();
        if execution.state.is_final() {
            if to.is_none() || !is_there {
                return Err(Error::Ended { id: id.clone(), state: execution.state.name() });
            }
            self.send_answers_after(&self.parts(id).await?, there).await?;
            return Ok(Moved { executions: Vec::new(), components: vec![execution.component] });
        }
        if to.is_none() && is_there {
            return Err(stays("the server has an execution or a promise of that id".to_owned()));
        }
        let mut parts = self.parts(id).await?;
        self.check(&parts, there)?;
        if let Some(held) = self.inner.store.held_elsewhere(id).await?.into_iter().next() {
            return Err(Error::Runs(held));
        }
        while parts.iter().any(|part| destination(&part.execution).is_none()) {
            for part in &parts {
                self.send_off(&part.execution.id, place).await?;
            }
            // One that ran a moment ago may have called others.
            parts = self.parts(id).await?;
        }
        for part in parts.iter().rev() {
            self.carry(part, there).await?;
        }
        self.inner.store.operate(Operation::CancelTree { id: id.to_string() }).await?;
        self.send_answers_after(&parts, there).await?;
        let mut components: Vec<Digest> = parts.iter().map(|part| part.execution.component).collect();
        components.sort_unstable();
        components.dedup();
        Ok(Moved { executions: parts.into_iter().rev().map(|part| part.execution.id).collect(), components })
    }

    /// Sends the answers that were under way when the execution was sent off after it.
    async fn send_answers_after(&self, parts: &[Part], there: &Self) -> Result<(), Error> {
        for promise in parts.iter().flat_map(|part| &part.open).filter(|promise| !promise.is_call()) {
            let now = self.inner.store.promise(&promise.id).await?.map(|(promise, _)| promise);
            let answered = now.filter(|now| matches!(now.state, PromiseState::Resolved | PromiseState::Rejected));
            if let Some(answered) = answered {
                there.put(&answered).await?;
            }
        }
        Ok(())
    }

    /// A component that the store of this machine keeps; `None` if it has none of that digest.
    ///
    /// # Errors
    /// The store failed.
    pub async fn kept_component(&self, digest: &Digest) -> Result<Option<Bytes>, Error> {
        Ok(self.inner.store.blob(digest).await?)
    }

    /// An execution and those that it has called and that have not ended, each with what its journal leaves open.
    async fn parts(&self, id: &ExecutionId) -> Result<Vec<Part>, Error> {
        let (store, mut parts, mut rest) = (&self.inner.store, Vec::new(), vec![id.clone()]);
        while let Some(id) = rest.pop() {
            let (execution, Stored { state, images: found, .. }) = self.read(&id).await?;
            let (promise, _) = store.promise(id.as_str()).await?.ok_or_else(|| Error::UnknownExecution(id.clone()))?;
            let (mut open, mut images) = (Vec::new(), Vec::new());
            if execution.key.is_some() {
                images = found;
                let numbers: Vec<u64> = state.open().chain(state.answered_approvals()).collect();
                for number in numbers {
                    let Some((promise, _)) = store.promise(&id.promise(number).to_string()).await? else { continue };
                    match promise.id.parse() {
                        Ok(called) if promise.is_call() && promise.state == PromiseState::Pending => rest.push(called),
                        _ => open.push(promise),
                    }
                }
            }
            parts.push(Part { execution, promise, open, images });
        }
        Ok(parts)
    }

    /// Whether all parts can be moved.
    fn check(&self, parts: &[Part], there: &Self) -> Result<(), Error> {
        let most = there.inner.store.largest_value();
        let group = parts.first().and_then(|part| part.promise.target());
        let length = |value: &Value| value.data.as_ref().map_or(0, |data| data.len() as u64);
        for Part { execution, promise, open, .. } in parts {
            let Execution { id, state, progress, .. } = execution;
            let stays = |why: String| Error::Stays { id: id.clone(), why };
            if *state == State::Halted && destination(execution).is_none() {
                let cause = progress.error.as_ref().map_or("", |failure| failure.message.as_str());
                return Err(stays(format!("it has halted ({cause}); resume or cancel it first")));
            }
            if promise.target() != group {
                return Err(stays("workers of another group run it, which may be no host of this store".to_owned()));
            }
            let values = std::iter::once(promise).chain(open).flat_map(|promise| [&promise.param, &promise.value]);
            if let Some(large) = values.map(length).max().filter(|length| *length > most) {
                return Err(stays(format!("one of its values has {large} bytes, and a server takes {most}")));
            }
        }
        Ok(())
    }

    /// Claims an execution and halts it with the place that it goes to, so that nobody here goes on with it.
    async fn send_off(&self, id: &ExecutionId, place: &str) -> Result<(), Error> {
        let store = &self.inner.store;
        let runs = || Error::Runs(id.clone());
        let Holding::Free(_hold) = self.inner.live.hold(id).await else { return Err(runs()) };
        if store.held_elsewhere(id).await?.contains(id) {
            return Err(runs());
        }
        let (mut execution, Stored { tail, .. }) = self.read(id).await?;
        let (tail, birth) = if execution.key.is_some() {
            (Some(tail), None)
        } else {
            execution.seed = fresh_seed();
            (None, Some(born(&execution).1))
        };
        let taking = TakeUp { execution, tail, birth, looks_at: Vec::new() };
        let Taken::Claimed(claimed) = store.take_up(taking).await? else { return Err(runs()) };
        // Whoever wanted to move it elsewhere at the same time has claimed it before or after this.
        let now = store.execution(id).await?.ok_or_else(|| Error::UnknownExecution(id.clone()))?;
        let gone = destination(&now).filter(|to| *to != place).map(|_| moved(&now));
        let failure = Failure { kind: FailureKind::Moved, message: format!("{MOVED_TO}{place}") };
        let progress = match gone {
            Some(_) => None,
            None => Some(Box::new(Progress { error: Some(failure), ..now.progress })),
        };
        let left = claimed.ledger.leave(Entry { progress, ..Entry::default() }, Leave::Halt).await;
        left.map_err(|lost| Error::Store(lost.into()))?;
        gone.map_or(Ok(()), Err)
    }

    /// Writes one part there.
    async fn carry(&self, part: &Part, there: &Self) -> Result<(), Error> {
        let Part { execution, promise, open, images } = part;
        for image in images {
            there.inner.store.keep(kept_of(image, &self.inner.digests, &self.inner.store).await?).await?;
        }
        for promise in open {
            there.put(promise).await?;
        }
        let policy = self.inner.stored_policy(execution).await?.canonical().into_bytes();
        let (records, _) = self.inner.store.journal(execution).await?;
        let (invocation, Execution { id, policy: digest, seed, .. }) = (execution.invocation(), execution.clone());
        let Promise { param, mut tags, timeout_at, .. } = promise.clone();
        tags.insert(tag::TARGET.to_owned(), there.inner.target.to_string());
        let promise = NewPromise { id: id.to_string(), timeout_at, param, tags };
        let birth = Birth { id: id.clone(), invocation, seed, records: records.clone(), progress: None };
        if there.inner.store.plant(NewRun { promise, birth, blobs: vec![(digest, policy.into())] }).await? {
            return Ok(());
        }
        // It was written by an earlier attempt, and may have gone on since, or it is another one.
        let journal = match there.inner.store.execution(&id).await? {
            Some(execution) => there.inner.store.journal(&execution).await?.0,
            None => Vec::new(),
        };
        if journal.starts_with(&records) {
            return Ok(());
        }
        let why = "the server has another execution of that id; cancel that one, or go on from a step of this one with `fork`";
        Err(Error::Stays { id, why: why.to_owned() })
    }

    /// Creates a promise as it was elsewhere. A call that has ended is nothing to run any more.
    async fn put(&self, promise: &Promise) -> Result<(), Error> {
        let Promise { id, state, mut param, value, mut tags, timeout_at, .. } = promise.clone();
        if promise.is_call() {
            // No worker reads a call in it.
            (param, tags) = (Value::default(), Tags::default());
        }
        let create = Operation::PromiseCreate(NewPromise { id: id.clone(), timeout_at, param, tags });
        let settle = Operation::PromiseSettle(Settlement { id, state, value });
        // One whose deadline has passed is settled by that.
        let is_settled = !matches!(state, PromiseState::Pending | PromiseState::RejectedTimedout);
        for operation in std::iter::once(create).chain(is_settled.then_some(settle)) {
            let refused = |refusal| everstep_store::Error::Server { cause: format!("{}: {refusal}", promise.id) };
            self.inner.store.operate(operation).await?.answer.map_err(refused)?;
        }
        Ok(())
    }
}

/// Begins the cause of a halt by which an execution was moved.
const MOVED_TO: &str = "moved to ";

/// Where an execution was moved to.
fn destination(execution: &Execution) -> Option<&str> {
    let failure = execution.progress.error.as_ref().filter(|failure| failure.kind == FailureKind::Moved)?;
    failure.message.strip_prefix(MOVED_TO)
}

/// Checks that an execution has not been moved elsewhere.
///
/// # Errors
/// It has.
pub(super) fn check_is_here(execution: &Execution) -> Result<(), Error> {
    if destination(execution).is_some() { Err(moved(execution)) } else { Ok(()) }
}

fn moved(execution: &Execution) -> Error {
    let (id, to) = (execution.id.clone(), destination(execution).unwrap_or_default().to_owned());
    if execution.state.is_final() { Error::Moved { id, to } } else { Error::OnItsWay { id, to } }
}
