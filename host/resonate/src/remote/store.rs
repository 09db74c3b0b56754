//! The store: executions are created, claimed, halted and moved.

use super::blobs::Blobs;
use super::ledger::RemoteLedger;
use super::link::{Link, Stage, execution_id, is_below, lock, unexpected};
use super::segments::{self, SEGMENT};
use super::{AT_ONCE, settled_from_the_start};
use crate::client::Client;
use async_trait::async_trait;
use bytes::Bytes;
use everstep_store::journal::{History, Standing};
use everstep_store::operation::{Operation, Reply};
use everstep_store::output::Sink;
use everstep_store::record::{Promise, Task, TaskState, Value, tag};
use everstep_store::seal::Tail;
use everstep_store::seam::{Birth, Claimed, Entry, Leave, Ledger, Listener, NewRun, Store, TakeUp, Taken, Ticket};
use everstep_store::{Applied, Blob, Error, Execution, Failure, Invocation, Kinship, Lineage, PendingPromise};
use everstep_words::id::{Digest, ExecutionId};
use everstep_words::trace::TraceContext;
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// The most bytes of one value: a server takes requests of 2 MiB, in which values are base64.
const LARGEST_VALUE: u64 = 1_400_000;

/// How a worker takes part.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its group.
    pub group: String,
    /// The address of the group.
    pub target: String,
    /// Whether it takes tasks of the group, or only hears of what it waits for.
    pub takes: bool,
    /// How long its claims last without a heartbeat. Others take over after that, if it is gone.
    pub ttl: Duration,
    /// The components that it has.
    pub components: Vec<(Digest, Blob)>,
}

/// A store on a server of the Resonate protocol.
pub struct RemoteStore {
    pub(super) link: Arc<Link>,
    blobs: Arc<Blobs>,
    /// The component and the policy of the functions that are called by name alone.
    functions: Mutex<HashMap<String, (Digest, Digest)>>,
}

impl RemoteStore {
    /// Starts over a connection.
    pub fn start(client: Client, options: Options, sink: Sink, listener: Arc<dyn Listener>) -> Arc<Self> {
        let Options { group, target, takes, ttl, components } = options;
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let pid = ExecutionId::random().to_string();
        // The server sends a task to any of those that listen in the group.
        let group = if takes { group } else { format!("of-{pid}") };
        let link = Arc::new(Link::new(client, group, target, pid, ttl_ms, sink, listener));
        let blobs = Arc::new(Blobs::new(Arc::clone(&link), components));
        Arc::new(Self { link, blobs, functions: Mutex::default() })
    }

    /// The call that a promise carries, if this worker knows it.
    pub(super) fn invocation(&self, promise: &Promise) -> Option<Invocation> {
        Invocation::of(promise).or_else(|| {
            let (function, args) = Invocation::called_by_others(promise)?;
            let (component, policy) = *lock(&self.functions).get(&function)?;
            let trace = TraceContext::of_headers(&promise.param.headers);
            Some(Invocation { function, args, component, policy, trace })
        })
    }

    fn ledger(&self, id: String, version: u64, tail: Tail) -> Arc<RemoteLedger> {
        RemoteLedger::new(Arc::clone(&self.link), Arc::clone(&self.blobs), id, version, tail)
    }

    async fn keep_all(&self, blobs: &[(Digest, Blob)]) -> Result<(), Error> {
        for (digest, blob) in blobs {
            self.blobs.keep(*digest, blob).await?;
        }
        Ok(())
    }

    /// Claims a task that may be claimed; returns its version, or `None` if another worker was faster.
    async fn acquire(&self, id: &str, version: u64) -> Result<Option<u64>, Error> {
        let (pid, ttl) = (self.link.pid.clone(), self.link.ttl_ms);
        let acquire = Operation::TaskAcquire { id: id.to_owned(), version, pid, ttl };
        let (applied, repeated) = self.link.operate(&acquire).await?;
        self.claimed(id, &applied, repeated).await
    }

    /// The version in which a task was claimed, also by a request whose answer was lost.
    async fn claimed(&self, id: &str, applied: &Applied, repeated: bool) -> Result<Option<u64>, Error> {
        let task = match &applied.answer {
            Ok(Reply::Claimed { task, .. }) => Some(task.clone()),
            Err(_) if repeated => self.link.task(id).await?,
            Ok(_) | Err(_) => None,
        };
        let is_ours = |task: &Task| {
            task.state == TaskState::Acquired && task.lease.as_ref().is_some_and(|lease| lease.pid == self.link.pid)
        };
        Ok(task.filter(is_ours).map(|task| task.version))
    }

    /// Makes a task that is not held claimable; `None` if another worker has it, or it has ended.
    async fn free(&self, id: &str) -> Result<Option<Task>, Error> {
        let Some(task) = self.link.task(id).await? else { return Ok(None) };
        let version = task.version;
        let freeing: Vec<Operation> = match task.state {
            TaskState::Acquired if task.lease.as_ref().is_some_and(|lease| lease.pid != self.link.pid) => {
                return Ok(None);
            }
            TaskState::Acquired => vec![Operation::TaskRelease { id: id.to_owned(), version }],
            TaskState::Suspended => {
                vec![Operation::TaskHalt { id: id.to_owned() }, Operation::TaskContinue { id: id.to_owned() }]
            }
            TaskState::Halted => vec![Operation::TaskContinue { id: id.to_owned() }],
            TaskState::Pending => Vec::new(),
            TaskState::Fulfilled => return Ok(None),
        };
        for operation in freeing {
            self.link.operate(&operation).await?;
        }
        Ok(Some(task))
    }

    /// Claims an execution for a write of its own, outside of any run; the claim is given back by `how`.
    async fn write_outside(&self, id: &ExecutionId, records: Vec<u8>, how: Leave) -> Result<bool, Error> {
        let Some(task) = self.free(id.as_str()).await? else { return Ok(false) };
        let Some(version) = self.acquire(id.as_str(), task.version).await? else { return Ok(false) };
        let (_, tail) = segments::read(&self.link, id, task.version, 0).await?;
        let ledger = self.ledger(id.to_string(), version, tail);
        let stays = matches!(how, Leave::Stay);
        ledger.leave(Entry { records, ..Entry::default() }, how).await.map_err(Error::from)?;
        if stays {
            self.link.operate(&Operation::TaskRelease { id: id.to_string(), version }).await?;
        }
        Ok(true)
    }

    /// The cause of a halt that is not in the journal.
    pub(super) async fn cause(&self, id: &ExecutionId, version: u64) -> Result<Option<Failure>, Error> {
        let found = self.link.promise(&cause_id(id, version)).await?;
        Ok(found.and_then(|promise| serde_json::from_str(&promise.param.data?).ok()))
    }

    /// All promises that a root and what it calls or detaches have made. What others have made for them is not theirs.
    async fn promises_of(&self, root: &ExecutionId) -> Result<Vec<Promise>, Error> {
        let by_id = BTreeMap::from([(tag::ORIGIN.to_owned(), self.link.client.origin(root.as_str()))]);
        let [(lineage, named), _] = Kinship::of(root, &BTreeMap::new()).tags();
        let detached = BTreeMap::from([(lineage, named)]);
        let (mut found, detached) = tokio::try_join!(self.link.search(None, by_id), self.link.search(None, detached))?;
        found.retain(|promise| promise.id != root.as_str() && is_below(&promise.id, root.as_str()));
        found.extend(detached);
        let (name, value) = Invocation::by_workers();
        let is_called = |one: &Promise| one.is_call() && one.tags.get(&name) == Some(&value);
        found.retain(|one| is_called(one) || PendingPromise::of(one).is_some());
        Ok(found)
    }
}

#[async_trait]
impl Store for RemoteStore {
    async fn operate(&self, operation: Operation) -> Result<Applied, Error> {
        match operation {
            Operation::CancelTree { id } => self.link.cancel_tree(&id).await,
            Operation::PromiseCreate(new) => {
                Ok(self.link.operate(&Operation::PromiseCreate(self.link.prepared(new))).await?.0)
            }
            other => Ok(self.link.operate(&other).await?.0),
        }
    }

    async fn create(&self, new: NewRun) -> Result<Taken, Error> {
        let NewRun { promise, birth, blobs } = new;
        self.keep_all(&blobs).await?;
        let id = promise.id.clone();
        let (pid, ttl, promise) = (self.link.pid.clone(), self.link.ttl_ms, self.link.prepared(promise));
        let (applied, repeated) = self.link.operate(&Operation::TaskCreate { pid, ttl, promise }).await?;
        let Some(version) = self.claimed(&id, &applied, repeated).await? else { return Ok(Taken::Elsewhere) };
        let tail = Tail::chained(&id);
        let ledger = self.ledger(id, version, tail);
        let since = ledger.append(Entry { records: birth.records, ..Entry::default() });
        Ok(Taken::Claimed(Claimed { ledger, version, since, promises: Vec::new() }))
    }

    async fn plant(&self, new: NewRun) -> Result<bool, Error> {
        let NewRun { promise, birth, blobs } = new;
        if self.link.promise(&promise.id).await?.is_some() {
            return Ok(false);
        }
        self.keep_all(&blobs).await?;
        let mut tail = Tail::chained(&promise.id);
        for records in birth.records.chunks(SEGMENT) {
            let segment = segments::next(&mut tail, &promise.id, records);
            let ours = segment.param.clone();
            let (applied, _) = self.link.operate(&Operation::PromiseCreate(segment)).await?;
            match applied.answer {
                Ok(Reply::Promise(kept)) if segments::same(&kept.param, &ours) => {}
                // Something else was there before.
                Ok(_) => return Err(Error::Foreign { id: birth.id }),
                refused => return Err(unexpected("promise.create", &refused)),
            }
        }
        let (applied, _) = self.link.operate(&Operation::PromiseCreate(self.link.prepared(promise))).await?;
        applied.answer.map_err(|refusal| unexpected("promise.create", &Err(refusal)))?;
        Ok(true)
    }

    async fn take_up(&self, taking: TakeUp) -> Result<Taken, Error> {
        let TakeUp { execution, tail, birth, looks_at } = taking;
        let (id, read_at, execution) = (execution.id.to_string(), execution.attempts, execution.id);
        let tail = tail.unwrap_or_else(|| Tail::chained(&id));
        match self.free(&id).await? {
            Some(task) if task.version == read_at => {}
            _ => return Ok(Taken::Elsewhere),
        }
        let Some(version) = self.acquire(&id, read_at).await? else { return Ok(Taken::Elsewhere) };
        if self.link.promise(&segments::id(&id, tail.segment())).await?.is_some() {
            // Its last holder has written more since it was read here. Whoever claims it next reads that.
            self.link.operate(&Operation::TaskRelease { id, version }).await?;
            return Ok(Taken::Elsewhere);
        }
        let ledger = self.ledger(id.clone(), version, tail);
        let since = match birth {
            Some(Birth { records, .. }) => ledger.append(Entry { records, ..Entry::default() }),
            None => Ticket::default(),
        };
        let promises =
            self.link.listen(looks_at.iter().map(|number| execution.promise(*number).to_string()).collect()).await?;
        Ok(Taken::Claimed(Claimed { ledger, version, since, promises }))
    }

    fn reopen(&self, execution: &Execution, tail: Tail) -> Arc<dyn Ledger> {
        let (link, blobs) = (Arc::clone(&self.link), Arc::clone(&self.blobs));
        RemoteLedger::reopened(link, blobs, execution.id.to_string(), execution.attempts, tail)
    }

    async fn halt(&self, execution: Execution, birth: Option<Birth>) -> Result<(), Error> {
        let id = &execution.id;
        // One that another worker has claimed meanwhile is that worker's.
        let is_held = |task: &Task| task.lease.as_ref().is_some_and(|lease| lease.pid != self.link.pid);
        if self.link.task(id.as_str()).await?.is_some_and(|task| is_held(&task)) {
            return Ok(());
        }
        if let Some(Birth { records, .. }) = birth {
            self.write_outside(id, records, Leave::Stay).await?;
        }
        if let Some(failure) = &execution.progress.error {
            let version = self.link.task(id.as_str()).await?.map_or(0, |task| task.version);
            // A failure always serialises.
            let data = serde_json::to_string(failure).ok();
            let cause = settled_from_the_start(cause_id(id, version), Value { headers: BTreeMap::new(), data });
            self.link.operate(&Operation::PromiseCreate(cause)).await?;
        }
        self.link.operate(&Operation::TaskHalt { id: id.to_string() }).await?;
        self.link.tell_of_a_halt(id.as_str()).await
    }

    async fn keep(&self, blobs: Vec<(Digest, Blob)>) -> Result<(), Error> {
        stream::iter(blobs)
            .map(|(digest, blob)| async move { self.blobs.keep(digest, &blob).await })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn exchange(
        &self,
        execution: &Execution,
        digest: Digest,
        component: Blob,
        records: Vec<u8>,
    ) -> Result<(), Error> {
        self.blobs.keep(digest, &component).await?;
        // Another worker may have claimed it since it was read.
        if self.write_outside(&execution.id, records, Leave::Stay).await? { Ok(()) } else { Err(Error::Lost) }
    }

    async fn begin(&self, takes_over: bool) -> Result<Vec<ExecutionId>, Error> {
        tokio::spawn(Link::hear(Arc::downgrade(&self.link)));
        tokio::spawn(Link::keep_alive(Arc::downgrade(&self.link)));
        if !takes_over {
            return Ok(Vec::new());
        }
        tokio::spawn(Link::look_around(Arc::downgrade(&self.link)));
        // What was offered while nobody listened is offered again by the server, but only after a while.
        Ok(self.link.pending_tasks().await?.iter().filter_map(|task| task.id.parse().ok()).collect())
    }

    async fn watch(&self, id: &str) -> Result<(), Error> {
        self.link.listen(vec![id.to_owned()]).await.map(drop)
    }

    async fn hear_of_a_halt(&self, id: &ExecutionId, until_ms: u64) -> Result<Option<Arc<Notify>>, Error> {
        self.link.hear_of_a_halt(id.as_str(), until_ms).await.map(Some)
    }

    async fn hear_no_more(&self, id: &ExecutionId, has_ended: bool) -> Result<(), Error> {
        self.link.hear_no_more(id.as_str(), has_ended).await
    }

    fn largest_value(&self) -> u64 {
        LARGEST_VALUE
    }

    fn has_others(&self) -> bool {
        true
    }

    fn is_alone(&self) -> bool {
        false
    }

    fn tend(&self, _: &str, _: bool) {}

    fn is_tended(&self, _: &str) -> bool {
        false
    }

    async fn held_elsewhere(&self, id: &ExecutionId) -> Result<Vec<ExecutionId>, Error> {
        let task = self.link.task(id.as_str()).await?;
        let lease = task.filter(|task| task.state == TaskState::Acquired).and_then(|task| task.lease);
        Ok(lease.filter(|lease| lease.pid != self.link.pid).map(|_| id.clone()).into_iter().collect())
    }

    async fn journal(&self, execution: &Execution) -> Result<(Vec<u8>, Tail), Error> {
        let ended = match execution.state.is_final() {
            true => self.link.promise(execution.id.as_str()).await?,
            false => None,
        };
        let kept = ended.map_or(0, |promise| segments::length(&promise.value));
        segments::read(&self.link, &execution.id, execution.attempts, kept).await
    }

    async fn offers_within(&self, _: &ExecutionId) -> Result<Vec<ExecutionId>, Error> {
        Ok(Vec::new())
    }

    async fn lineage(&self, root: &ExecutionId) -> Result<Lineage, Error> {
        let promises = self.promises_of(root).await?;
        let mut computed = vec![root.clone()];
        computed.extend(promises.iter().filter(|one| one.is_call()).filter_map(execution_id));
        let executions = computed.len() as u64;
        let used: Vec<u64> = stream::iter(computed)
            .map(|id| async move {
                let (journal, _) = segments::read(&self.link, &id, 0, 0).await?;
                let standing = History::load(journal).ok().and_then(|history| Standing::of(&history).ok().flatten());
                Ok::<_, Error>(standing.map_or(0, |standing| standing.progress.cpu_us))
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(Lineage { executions, promises: promises.len() as u64, cpu_us: used.iter().sum() })
    }

    async fn blob(&self, digest: &Digest) -> Result<Option<Bytes>, Error> {
        let found = self.blobs.find(digest).await?.map(|blob| blob.bytes());
        found.transpose().map_err(|error| Error::Server { cause: format!("{digest} cannot be read: {error}") })
    }

    async fn blob_later(&self, digest: &Digest) -> Result<Option<Blob>, Error> {
        self.blobs.find(digest).await
    }

    fn stop(&self) {
        self.link.enter(Stage::Over);
    }

    fn serve_functions(&self, component: Digest, functions: Vec<(String, Digest)>) {
        lock(&self.functions).extend(functions.into_iter().map(|(function, policy)| (function, (component, policy))));
    }

    fn take_no_more(&self) {
        self.link.enter(Stage::Leaving);
    }

    async fn give_back(&self) -> Result<(), Error> {
        self.link.give_back().await
    }
}

/// The id of the promise with the cause of a halt.
fn cause_id(id: &ExecutionId, version: u64) -> String {
    format!("{id}.h{version}")
}
