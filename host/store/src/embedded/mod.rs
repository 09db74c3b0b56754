//! The store of the hosts of one machine: everything over a [`Backend`].
//!
//! `commit` writes together what all executions hand over; `claim` and `ledger` are what a run holds; `time` lets deadlines pass; `others`
//! is about hosts that share the backend; `view` reads. A host that opens such a store after a crash finds tasks whose holder is gone, and
//! offers them again.

mod commit;
mod ledger;
mod others;
#[cfg(test)]
mod tests;
mod time;
mod view;

pub use commit::take_writing_us;
pub(super) use ledger::holds;
pub use view::Tables;

use super::operation::{Operation, Reply};
use super::peers::Peers;
use super::record::{Lease, NEVER, Task, TaskState};
use super::seal::{self, Seal, Tail};
use super::seam::{Birth, Claimed, Ledger, Listener, NewRun, Store, TakeUp, Taken, Ticket};
use super::{Applied, Backend, Blob, Change, Error, Execution, ExecutionKey, Invocation, Lineage, NewExecution};
use crate::claim::Claim;
use crate::clock::Clock;
use crate::metrics::Page;
use crate::output::Sink;
use async_trait::async_trait;
use bytes::Bytes;
use commit::{Committer, Submission};
use everstep_words::id::{Digest, ExecutionId};
use ledger::EmbeddedLedger;
use others::Others;
use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use time::Alarm;

/// The process id of a host that does not share its tables.
const ALONE: &str = "everstep";

/// The number of blobs that are remembered as kept.
const MAX_KEPT: usize = 4096;

/// See the module.
pub struct Embedded {
    backend: Arc<dyn Backend>,
    /// The same, for reading.
    tables: Tables,
    committer: Arc<Committer>,
    clock: Arc<dyn Clock>,
    alarm: Arc<Alarm>,
    others: Arc<Others>,
    /// The process id under which this host holds tasks. Its leases never end, because other hosts detect when a host
    /// is gone.
    pid: String,
    /// The tasks that were held when this host started, and their versions: by hosts that are gone, unless others are there.
    found_held: Mutex<Vec<(String, u64)>>,
    /// Blobs that the backend holds, or will hold before anything that is handed over later.
    kept: Mutex<HashSet<Digest>>,
}

impl Embedded {
    /// Starts over a backend, and joins its other hosts.
    ///
    /// # Errors
    /// The writing thread cannot be started, or another host cannot be reached.
    pub fn start(
        backend: Arc<dyn Backend>,
        clock: Arc<dyn Clock>,
        sink: Sink,
        listener: Arc<dyn Listener>,
    ) -> Result<Arc<Self>, Error> {
        let alarm = Arc::new(Alarm::default());
        let due = {
            let alarm = Arc::clone(&alarm);
            Box::new(move |due_ms| alarm.set(due_ms))
        };
        let committer = Committer::start(Arc::clone(&backend), sink, Arc::clone(&listener), due)?;
        let others = Others::new(&backend, &committer, listener, Arc::clone(&alarm), Arc::clone(&clock));
        let mut pid = ALONE.to_owned();
        if let Some(peers) = backend.peers() {
            let ear = Arc::downgrade(&others);
            peers.join(ear)?;
            peers.name().clone_into(&mut pid);
        }
        let tables = Tables::of(Arc::clone(&backend));
        let found_held = Mutex::new(backend.held()?);
        Ok(Arc::new(Self { backend, tables, committer, clock, alarm, others, pid, found_held, kept: Mutex::default() }))
    }

    /// Whether a lease belongs to another host that is running, or ends by itself.
    fn is_held_by_others(&self, lease: Option<&Lease>) -> bool {
        let Some(Lease { pid, ttl, .. }) = lease else { return false };
        let is_there = || self.backend.peers().is_some_and(|peers| peers.is_there(pid));
        *pid != self.pid && (*ttl != NEVER || is_there())
    }

    fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    fn claimed(&self, id: String, version: u64, key: ExecutionKey, tail: Tail) -> Arc<EmbeddedLedger> {
        let claim = Claim::new(id, version);
        let (backend, committer) = (Arc::clone(&self.backend), Arc::clone(&self.committer));
        let clock = Arc::clone(&self.clock);
        Arc::new(EmbeddedLedger { backend, committer, clock, claim, key, tail: Mutex::new(tail) })
    }

    /// What is kept of an execution from its first claim on, and where its journal continues.
    fn born(&self, key: ExecutionKey, birth: Birth) -> (Vec<Change>, Tail) {
        let Birth { id, invocation, seed, records, progress } = birth;
        let Invocation { component, policy, .. } = invocation;
        let seal = Seal::new(self.backend.secret(), &id, &invocation);
        let mut tail = Tail { segment: 0, seal };
        let mut changes = vec![Change::Create(Box::new(NewExecution { key, id, component, policy, seed }))];
        // In one write with the record of the start, so that no execution is ever without it.
        changes.extend(tail.begin(key, records));
        changes.extend(progress.map(|progress| Change::Progress(key, Box::new(progress))));
        (changes, tail)
    }

    /// The blobs that are to be written, without those that are known to be there. The lock is held until they are handed over, so
    /// that no submission relies on a blob that is written after it.
    fn missing(&self, blobs: Vec<(Digest, Blob)>) -> (Vec<Change>, MutexGuard<'_, HashSet<Digest>>) {
        let mut kept = self.kept();
        let new = blobs.into_iter().filter(|(digest, _)| note_kept(&mut kept, *digest));
        (new.map(|(digest, blob)| Change::Blob(digest, blob)).collect(), kept)
    }

    fn kept(&self) -> MutexGuard<'_, HashSet<Digest>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for Embedded {
    async fn operate(&self, operation: Operation) -> Result<Applied, Error> {
        let change = Change::operation(self.now_ms(), operation);
        let applied = self.committer.write_now(vec![change]).await?.pop();
        applied.ok_or_else(|| Error::Poisoned("nobody says what came of an operation".to_owned()))
    }

    async fn create(&self, new: NewRun) -> Result<Taken, Error> {
        let NewRun { promise, birth, blobs } = new;
        let (id, key) = (promise.id.clone(), self.backend.fresh_key()?);
        let (then, tail) = self.born(key, birth);
        let operation = Box::new(Operation::TaskCreate { pid: self.pid.clone(), ttl: NEVER, promise });
        let created = Change::Operation { now_ms: self.now_ms(), operation, then };
        self.committer.check()?;
        let (since, asked) = {
            let (mut changes, _kept) = self.missing(blobs);
            changes.push(created);
            self.committer.ask(Submission { changes, ..Submission::default() })
        };
        if !self.is_alone() {
            self.committer.durable(since).await?;
            let answer = asked.last().await?.answer;
            if !matches!(answer, Ok(Reply::Claimed { task, .. }) if task.state == TaskState::Acquired && task.version == 1)
            {
                return Ok(Taken::Elsewhere);
            }
        }
        // With a single writer the answer is known. Should it be different all the same, the first fence refuses what the run writes,
        // before anything has left the run.
        let (version, promises) = (1, Vec::new());
        let ledger = self.claimed(id, version, key, tail);
        Ok(Taken::Claimed(Claimed { ledger, version, since, promises }))
    }

    async fn plant(&self, new: NewRun) -> Result<bool, Error> {
        let NewRun { promise, birth, blobs } = new;
        if self.backend.promise(&promise.id)?.is_some() {
            return Ok(false);
        }
        let (then, _) = self.born(self.backend.fresh_key()?, birth);
        let operation = Box::new(Operation::PromiseCreate(promise));
        let mut changes: Vec<Change> = blobs.into_iter().map(|(digest, blob)| Change::Blob(digest, blob)).collect();
        changes.push(Change::Operation { now_ms: self.now_ms(), operation, then });
        self.committer.write_now(changes).await?;
        Ok(true)
    }

    async fn take_up(&self, taking: TakeUp) -> Result<Taken, Error> {
        let TakeUp { execution, tail, birth, looks_at } = taking;
        let id = execution.id.to_string();
        let Some((_, Some(task))) = self.backend.promise(&id)? else { return Ok(Taken::Elsewhere) };
        let (now_ms, version) = (self.now_ms(), task.version);
        if version != execution.attempts {
            // Another host has claimed it since it was read here.
            return Ok(Taken::Elsewhere);
        }
        let mut changes: Vec<Change> = match task.state {
            TaskState::Acquired if self.is_held_by_others(task.lease.as_ref()) => return Ok(Taken::Elsewhere),
            // A run of this host has died, or one of an earlier host.
            TaskState::Acquired => vec![Operation::TaskRelease { id: id.clone(), version }],
            TaskState::Suspended => {
                vec![Operation::TaskHalt { id: id.clone() }, Operation::TaskContinue { id: id.clone() }]
            }
            TaskState::Halted => vec![Operation::TaskContinue { id: id.clone() }],
            TaskState::Pending | TaskState::Fulfilled => Vec::new(),
        }
        .into_iter()
        .map(|operation| Change::operation(now_ms, operation))
        .collect();
        let freed = changes.len();
        let look = |number| Operation::PromiseGet { id: execution.id.promise(number).to_string() };
        changes.extend(looks_at.iter().map(|number| Change::operation(now_ms, look(*number))));
        let (key, tail, then) = match (execution.key, tail, birth) {
            (Some(key), Some(tail), _) => {
                (key, tail, vec![Change::Progress(key, Box::new(execution.progress.clone()))])
            }
            (None, _, Some(birth)) => {
                let key = self.backend.fresh_key()?;
                let (then, tail) = self.born(key, birth);
                (key, tail, then)
            }
            _ => return Ok(Taken::Elsewhere),
        };
        let acquire = Operation::TaskAcquire { id: id.clone(), version, pid: self.pid.clone(), ttl: NEVER };
        changes.push(Change::Operation { now_ms, operation: Box::new(acquire), then });
        let mut applied = self.committer.write_now(changes).await?;
        let acquired = applied.pop().map(|applied| applied.answer);
        let Some(Ok(Reply::Claimed { task, .. })) = acquired else { return Ok(Taken::Elsewhere) };
        if task.state != TaskState::Acquired {
            return Ok(Taken::Elsewhere);
        }
        let promises = applied.into_iter().skip(freed).map(|applied| match applied.answer {
            Ok(Reply::Promise(promise)) => Some(promise),
            Ok(_) | Err(_) => None,
        });
        let promises = promises.collect();
        let ledger = self.claimed(id, task.version, key, tail);
        Ok(Taken::Claimed(Claimed { ledger, version: task.version, since: Ticket::default(), promises }))
    }

    fn reopen(&self, execution: &Execution, tail: Tail) -> Arc<dyn Ledger> {
        let key = execution.key.unwrap_or(ExecutionKey(0));
        self.claimed(execution.id.to_string(), execution.attempts, key, tail)
    }

    async fn halt(&self, execution: Execution, birth: Option<Birth>) -> Result<(), Error> {
        let halt = Box::new(Operation::TaskHalt { id: execution.id.to_string() });
        let (key, mut then) = match (execution.key, birth) {
            (Some(key), _) => (key, Vec::new()),
            (None, Some(birth)) => {
                let key = self.backend.fresh_key()?;
                (key, self.born(key, birth).0)
            }
            (None, None) => return Ok(()),
        };
        then.push(Change::Progress(key, Box::new(execution.progress)));
        self.committer.write_now(vec![Change::Operation { now_ms: self.now_ms(), operation: halt, then }]).await?;
        Ok(())
    }

    async fn keep(&self, blobs: Vec<(Digest, Blob)>) -> Result<(), Error> {
        let (changes, _kept) = self.missing(blobs);
        if !changes.is_empty() {
            self.committer.submit(Submission { changes, ..Submission::default() });
        }
        Ok(())
    }

    async fn exchange(
        &self,
        execution: &Execution,
        digest: Digest,
        component: Blob,
        records: Vec<u8>,
    ) -> Result<(), Error> {
        let Some(key) = execution.key else { return Ok(()) };
        let (_, mut tail) = seal::journal(&*self.backend, execution)?;
        let mut changes = vec![Change::Blob(digest, component)];
        changes.extend(tail.append(key, records));
        changes.push(Change::Component(key, digest));
        self.committer.write_now(changes).await?;
        Ok(())
    }

    async fn begin(&self, takes_over: bool) -> Result<Vec<ExecutionId>, Error> {
        tokio::spawn(time::pass(
            Arc::clone(&self.alarm),
            Arc::clone(&self.clock),
            Arc::downgrade(&self.backend),
            Arc::downgrade(&self.committer),
        ));
        if !takes_over {
            return Ok(Vec::new());
        }
        self.others.take_over();
        let offered = self.backend.offers()?;
        let mut changes = Vec::new();
        // What this host itself has claimed by now is not among them, or has another version.
        for (id, version) in std::mem::take(&mut *self.found_held.lock().unwrap_or_else(PoisonError::into_inner)) {
            let lease = self.backend.promise(&id)?.and_then(|(_, task)| task?.lease);
            if !self.is_held_by_others(lease.as_ref()) {
                changes.push(Change::operation(self.now_ms(), Operation::TaskRelease { id, version }));
            }
        }
        if !changes.is_empty() {
            self.committer.submit(Submission { changes, ..Submission::default() });
            self.committer.request();
        }
        Ok(offered.iter().filter_map(|id| id.parse().ok()).collect())
    }

    fn is_alone(&self) -> bool {
        self.backend.peers().is_none_or(Peers::is_alone)
    }

    fn tend(&self, root: &str, tends: bool) {
        self.backend.peers().into_iter().for_each(|peers| peers.tend(root, tends));
    }

    fn is_tended(&self, root: &str) -> bool {
        self.backend.peers().is_some_and(|peers| peers.is_tended(root))
    }

    async fn held_elsewhere(&self, id: &ExecutionId) -> Result<Vec<ExecutionId>, Error> {
        let mut elsewhere = Vec::new();
        if self.is_alone() {
            return Ok(elsewhere);
        }
        for (task, _) in self.backend.held()? {
            if let Ok(held) = task.parse::<ExecutionId>()
                && held.is_within(id)
                && let Some((_, Some(Task { lease, .. }))) = self.backend.promise(&task)?
                && self.is_held_by_others(lease.as_ref())
            {
                elsewhere.push(held);
            }
        }
        Ok(elsewhere)
    }

    async fn journal(&self, execution: &Execution) -> Result<(Vec<u8>, Tail), Error> {
        seal::journal(&*self.backend, execution)
    }

    async fn offers_within(&self, id: &ExecutionId) -> Result<Vec<ExecutionId>, Error> {
        Ok(self.backend.offers_within(id)?.iter().filter_map(|id| id.parse().ok()).collect())
    }

    async fn lineage(&self, root: &ExecutionId) -> Result<Lineage, Error> {
        self.backend.lineage(root)
    }

    async fn blob(&self, digest: &Digest) -> Result<Option<Bytes>, Error> {
        let blob = self.backend.blob(digest)?;
        if let Some(bytes) = &blob {
            check(*digest, bytes)?;
            note_kept(&mut self.kept(), *digest);
        }
        Ok(blob)
    }

    async fn blob_later(&self, digest: &Digest) -> Result<Option<Blob>, Error> {
        let known = self.kept().contains(digest);
        if !known {
            if !self.backend.has_blob(digest)? {
                return Ok(None);
            }
            note_kept(&mut self.kept(), *digest);
        }
        let (backend, digest) = (Arc::clone(&self.backend), *digest);
        let gone = || io::Error::other("it is not in the store any more");
        Ok(Some(Blob::elsewhere(0, move || {
            let bytes = backend.blob(&digest).map_err(io::Error::other)?.ok_or_else(gone)?;
            check(digest, &bytes).map_err(io::Error::other)?;
            Ok(bytes)
        })))
    }

    fn measure(&self, page: &mut Page) {
        page.add_store(&*self.backend);
    }

    fn stop(&self) {
        self.alarm.stop();
        self.committer.stop();
    }
}

/// Checks that bytes match the digest that they were kept under.
fn check(digest: Digest, bytes: &[u8]) -> Result<(), Error> {
    let found = Digest::of(bytes);
    if found == digest {
        return Ok(());
    }
    let what = "a component or policy".to_owned();
    Err(Error::Corrupted { what, expected: digest.to_string(), found: found.to_string() })
}

/// Notes that the backend holds a blob; returns false if that was known. A forgotten blob is only looked up again.
fn note_kept(kept: &mut HashSet<Digest>, digest: Digest) -> bool {
    if kept.len() >= MAX_KEPT && !kept.contains(&digest) {
        kept.clear();
    }
    kept.insert(digest)
}
