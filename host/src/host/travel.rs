//! Time travel: an execution repeated from its journal, forked at a step, or moved to another component.

use super::component::Component;
use super::live::Holding;
use super::load::{Stored, scratch_facts};
use super::relocate::check_is_here;
use super::see_through::drive_with_images;
use super::{Error, Everstep, StepView};
use crate::bridge::{APPROVAL, Bridge, Stop};
use crate::capability::files::Images;
use crate::id::{Digest, ExecutionId};
use crate::turns::{Ending, Job};
use everstep_store::journal::{History, NAMES_COMPONENTS, Record, Started};
use everstep_store::operation::NewPromise;
use everstep_store::record::NEVER;
use everstep_store::seam::Ticket;
use everstep_store::seam::{Birth, NewRun};
use everstep_store::{Execution, Invocation, Progress};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// A new execution that shares the first steps of another one, and continues from there.
#[derive(Clone, Debug)]
pub struct Fork {
    /// The execution that it is forked from.
    pub source: ExecutionId,
    /// The number of shared steps.
    pub at: u64,
    /// The id of the new execution.
    pub id: ExecutionId,
    /// The component that it continues with; `None`: that of the source.
    pub component: Option<Component>,
    /// How long it may take, counted from the fork, waiting included; `None`: as long as the source was given, if it had a deadline.
    pub timeout: Option<Duration>,
}

impl Fork {
    /// A fork that continues with the same component, and has as much time as its source was given.
    pub fn new(source: &ExecutionId, at: u64, id: &ExecutionId) -> Self {
        Self { source: source.clone(), at, id: id.clone(), component: None, timeout: None }
    }

    /// Sets another component, which must repeat the shared steps.
    #[must_use]
    pub fn with_component(mut self, component: Component) -> Self {
        self.component = Some(component);
        self
    }

    /// Makes the fork fail as timed out unless it ends within `timeout`, waiting included.
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The deadline of the fork, in milliseconds since the Unix epoch.
    fn deadline(&self, source: &Execution, now_ms: u64) -> u64 {
        let given = || source.deadline_ms.map(|deadline| deadline.saturating_sub(source.created_ms));
        let asked = self.timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        asked.or_else(given).map_or(NEVER, |span| now_ms.saturating_add(span).min(NEVER))
    }

    /// The seed for randomness after the shared steps, different for each id, so that no two forks, and no fork and its source, draw
    /// the same.
    fn seed(&self, source: &[u8; 32]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(source);
        hasher.update(b"everstep fork ").update(self.id.as_str().as_bytes());
        *hasher.finalize().as_bytes()
    }
}

/// The result of a replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Replay {
    /// The steps that the guest has repeated, in program order.
    pub steps: Vec<StepView>,
    /// How it ended.
    pub end: ReplayEnd,
}

/// How a replay ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplayEnd {
    /// The guest has repeated what is recorded, up to the requested step.
    Repeated,
    /// The guest did something else.
    Diverged {
        /// The step at which they differ.
        step: u64,
        /// What the journal holds.
        recorded: String,
        /// What the guest did.
        attempted: String,
    },
    /// The replay could not reach its end: a limit.
    Stopped(String),
}

impl Everstep {
    /// Runs a stored execution again, against its journal, with every effect disabled; nothing is written. With another component it says
    /// whether that one could take over. `to` is the number of steps to repeat; `None`: all.
    ///
    /// # Errors
    /// There is no such execution, or something it needs is missing.
    pub async fn replay(
        &self,
        id: &ExecutionId,
        to: Option<u64>,
        component: Option<&Component>,
    ) -> Result<Replay, Error> {
        let (repeated, end) = self.repeat(id, to, component).await?;
        let steps = self.reader().steps(id).await?.into_iter().filter(|step| step.n < repeated);
        Ok(Replay { steps: steps.collect(), end })
    }

    /// Like [`replay`](Self::replay), for an execution of any length: how many steps the guest has repeated, and how
    /// that ended.
    ///
    /// # Errors
    /// As [`replay`](Self::replay).
    pub async fn repeat(
        &self,
        id: &ExecutionId,
        to: Option<u64>,
        component: Option<&Component>,
    ) -> Result<(u64, ReplayEnd), Error> {
        let inner = &self.inner;
        let (execution, Stored { mut state, images, .. }) = self.read(id).await?;
        let grants = Arc::new(inner.grants.for_replay(inner.stored_policy(&execution).await?));
        let stored;
        let component = match component {
            Some(component) => component,
            None => {
                stored = inner.stored_component(&execution).await?;
                &stored
            }
        };
        let loaded = inner.load(component, &grants).await?;
        inner.check_function(&loaded, &grants, &execution.function).await?;
        let images = inner.images(&grants, &images, true).await?;
        state.repeat_up_to(to.unwrap_or(u64::MAX));
        let facts = scratch_facts(inner, execution.id.clone(), execution.function.clone(), execution.seed, grants);
        let bridge = Bridge::new(facts, Arc::clone(&inner.instances), Ticket::default(), state);
        bridge.of_run::<Images>().give(images);
        let job = Job { component: loaded, bridge: Arc::clone(&bridge), args: execution.args.clone() };
        // The semaphore is never closed.
        let _permit = inner.describing.acquire().await;
        let _room = inner.instances.room(bridge.facts.limits().memory).await;
        let end = ReplayEnd::of(drive_with_images(job).await)?;
        let repeated = bridge.next_step();
        Ok((repeated, end))
    }

    /// Starts a new execution that shares the first steps of another one and continues from there, live: what was pending
    /// at that point is asked and called again under the new id, and random values are drawn anew.
    ///
    /// # Errors
    /// There is no such execution or it has fewer steps, the new id is taken, or the component does not repeat those steps.
    pub async fn fork(&self, fork: Fork) -> Result<(), Error> {
        let Fork { source: id, at, id: new, component, .. } = &fork;
        let replay = self.replay(id, Some(*at), component.as_ref()).await?;
        check_repeated(id, &replay)?;
        let (inner, store) = (&self.inner, &self.inner.store);
        let execution = store.execution(id).await?.ok_or_else(|| Error::UnknownExecution(id.clone()))?;
        let steps = replay.steps.len() as u64;
        if steps < *at {
            return Err(Error::NoSuchStep { id: id.clone(), at: *at, steps });
        }
        if new.parent().is_some() {
            return Err(Error::IdTaken(new.clone()));
        }
        let seed = fork.seed(&execution.seed);
        let digest = component.as_ref().map_or(execution.component, Component::digest);
        let records = self.shared(&execution, *at, digest, &seed).await?;
        let now_ms = inner.clock.now_ms();
        let timeout_at = fork.deadline(&execution, now_ms);
        let Execution { function, args, policy, .. } = execution;
        let invocation = Invocation { function, args, component: digest, policy, trace: None };
        let (param, tags) = (invocation.param(), invocation.tags(&inner.target));
        let promise = NewPromise { id: new.to_string(), timeout_at, param, tags: tags.into() };
        let progress = Progress { steps: *at, updated_ms: now_ms, ..Progress::default() };
        let birth = Birth { id: new.clone(), invocation, seed, records, progress: Some(progress) };
        let blobs = component.iter().map(|component| (component.digest, component.content.clone())).collect();
        let planted = store.plant(NewRun { promise, birth, blobs }).await?;
        planted.then_some(()).ok_or_else(|| Error::IdTaken(new.clone()))
    }

    /// The journal up to what belongs to step `at` and the later ones, as one that begins with this seed.
    async fn shared(
        &self,
        execution: &Execution,
        at: u64,
        component: Digest,
        seed: &[u8; 32],
    ) -> Result<Vec<u8>, Error> {
        let corrupted = |source| Error::Corrupted { id: execution.id.clone(), source };
        let history = History::load(self.inner.store.journal(execution).await?.0).map_err(corrupted)?;
        let mut shared = Vec::with_capacity(history.length());
        for record in history.records_with_offsets() {
            let (_, record) = record.map_err(corrupted)?;
            let behind = match &record {
                // An approval that the shared steps do not include is asked for anew.
                Record::Called { call, .. } if call.kind == APPROVAL => call.number + 1 >= at,
                Record::Step { call, .. } | Record::Called { call, .. } => call.number >= at,
                Record::Returned { .. } => true,
                Record::Started(_)
                | Record::Settled { .. }
                | Record::Delivered { .. }
                | Record::Retried { .. }
                | Record::Trapped(_)
                | Record::TakenOver { .. }
                | Record::Halted { .. }
                | Record::Used { .. } => false,
            };
            if behind {
                break;
            }
            match record {
                Record::Started(started) => {
                    // The steps are those of the source; the component is named.
                    let format = started.format.max(NAMES_COMPONENTS);
                    Record::Started(Started { format, seed, component: &component.0, ..started }).encode(&mut shared);
                }
                // These belong to the source.
                Record::TakenOver { .. } | Record::Halted { .. } | Record::Used { .. } => {}
                record => record.encode(&mut shared),
            }
        }
        Ok(shared)
    }

    /// Moves an unfinished execution that is not running to another component, after a check that it repeats everything that is
    /// recorded.
    ///
    /// # Errors
    /// There is no such execution, it runs or has ended, or the component does something else.
    pub async fn upgrade(&self, id: &ExecutionId, component: &Component) -> Result<Replay, Error> {
        let Holding::Free(_hold) = self.inner.live.hold(id).await else {
            return Err(Error::Runs(id.clone()));
        };
        let store = &self.inner.store;
        let execution = store.execution(id).await?.ok_or_else(|| Error::UnknownExecution(id.clone()))?;
        if execution.state.is_final() {
            return Err(Error::Ended { id: id.clone(), state: execution.state.name() });
        }
        check_is_here(&execution)?;
        if store.held_elsewhere(id).await?.contains(id) {
            return Err(Error::Runs(id.clone()));
        }
        if execution.key.is_none() {
            return Err(Error::NoSuchStep { id: id.clone(), at: 0, steps: 0 });
        }
        let replay = self.replay(id, None, Some(component)).await?;
        check_repeated(id, &replay)?;
        let (at_ms, mut records) = (self.inner.clock.now_ms(), Vec::new());
        Record::TakenOver { at_ms, component: &component.digest.0 }.encode(&mut records);
        match store.exchange(&execution, component.digest, component.content.clone(), records).await {
            Ok(()) => Ok(replay),
            Err(everstep_store::Error::Lost) => Err(Error::Runs(id.clone())),
            Err(error) => Err(Error::Store(error)),
        }
    }
}

fn check_repeated(id: &ExecutionId, replay: &Replay) -> Result<(), Error> {
    let id = id.clone();
    match &replay.end {
        ReplayEnd::Repeated => Ok(()),
        ReplayEnd::Diverged { step, recorded, attempted } => {
            let (step, recorded, attempted) = (*step, recorded.clone(), attempted.clone());
            Err(Error::Incompatible { id, step, recorded, attempted })
        }
        ReplayEnd::Stopped(reason) => Err(Error::NotRepeated { id, reason: reason.clone() }),
    }
}

impl ReplayEnd {
    fn of(ending: Ending) -> Result<Self, Error> {
        match ending {
            // A return or a trap at the end of the journal is recorded, or is what an upgrade would do next.
            Ending::Returned(_) | Ending::Trapped { .. } | Ending::SetBack { .. } | Ending::Stopped(Stop::Replayed) => {
                Ok(Self::Repeated)
            }
            Ending::Stopped(Stop::Divergence(divergence)) => Ok(Self::Diverged {
                step: divergence.step,
                recorded: divergence.recorded,
                attempted: divergence.attempted,
            }),
            Ending::Stopped(Stop::Store(error)) => Err(Error::Store(error)),
            Ending::Stopped(stop) => Ok(Self::Stopped(stop.to_string())),
        }
    }
}
