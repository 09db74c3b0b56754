//! What the parts of a remote store share: the client, the name of this worker, what it holds and what it listens to.

use super::halts::Halts;
use super::segments::Recent;
use super::{AT_ONCE, failed};
use crate::client::{Client, Message};
use everstep_store::claim::Claim;
use everstep_store::operation::{
    Answer, Dialect, Event, NewPromise, Operation, Page, Refusal, Reply, Settlement, Status,
};
use everstep_store::output::{Output, Sink};
use everstep_store::record::{NEVER, Promise, PromiseState, Task, TaskState, tag};
use everstep_store::seam::Listener;
use everstep_store::{Applied, Error, Invocation};
use everstep_words::guest_error::{ErrorCode, GuestError};
use everstep_words::id::ExecutionId;
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// How often listeners are registered anew: an unblock message is sent at most once.
const AGAIN: Duration = Duration::from_secs(60);
/// How often a worker looks for tasks that nobody claims, while there is work: a message goes to one worker, which may be gone. A worker
/// without work looks less and less often, at last with its listeners.
const LOOK: Duration = Duration::from_secs(5);
/// After so many looks a task that still nobody claims is offered again.
const LOOKS: u32 = 6;

/// See the module.
pub(super) struct Link {
    pub(super) client: Client,
    /// The address of the group of this worker, whose tasks it takes.
    pub(super) target: String,
    group: String,
    /// The name under which this worker holds tasks.
    pub(super) pid: String,
    /// How long a claim lasts without a heartbeat, in milliseconds.
    pub(super) ttl_ms: u64,
    sink: Sink,
    listener: Arc<dyn Listener>,
    held: Mutex<HashMap<String, Weak<Claim>>>,
    watched: Mutex<HashSet<String>>,
    pub(super) halts: Mutex<Halts>,
    pub(super) recent: Mutex<Recent>,
    /// How often all listeners were to be registered anew since that began, which is under way then; 0: it is not.
    listens_again: AtomicU64,
    /// Whether there was work since the last look for tasks.
    had_work: AtomicBool,
    /// Asks for a look soon: messages may have been missed.
    reconnected: Arc<Notify>,
    stage: watch::Sender<Stage>,
}

/// The tasks that nobody had claimed at a look, with their versions.
type Seen = HashMap<(String, u64), Looks>;

/// How often a task was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    /// So often since it was offered, or seen first.
    Seen(u32),
    /// It is not for this worker.
    OfOthers,
}

/// How far the work of a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It takes tasks.
    Working,
    /// It only ends what it has, and keeps its claims.
    Leaving,
    /// It does nothing any more.
    Over,
}

impl Link {
    pub(super) fn new(
        client: Client,
        group: String,
        target: String,
        pid: String,
        ttl_ms: u64,
        sink: Sink,
        listener: Arc<dyn Listener>,
    ) -> Self {
        let (held, watched, stage) = (Mutex::default(), Mutex::default(), watch::Sender::new(Stage::Working));
        let (had_work, reconnected) = (AtomicBool::new(false), Arc::default());
        let (halts, recent) = (Mutex::default(), Mutex::default());
        Self {
            client,
            target,
            group,
            pid,
            ttl_ms,
            sink,
            listener,
            held,
            watched,
            halts,
            recent,
            listens_again: AtomicU64::new(0),
            had_work,
            reconnected,
            stage,
        }
    }

    /// Goes on to another stage.
    pub(super) fn enter(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }

    /// Gives back all tasks that this worker holds.
    pub(super) async fn give_back(&self) -> Result<(), Error> {
        let held: Vec<_> = lock(&self.held).values().filter_map(Weak::upgrade).collect();
        for claim in held {
            self.operate(&Operation::TaskRelease { id: claim.id.clone(), version: claim.version }).await?;
        }
        Ok(())
    }

    /// The address at which only this worker hears messages.
    fn address(&self) -> String {
        format!("poll://uni@{}/{}", self.group, self.pid)
    }

    /// Does one operation, and reports what came of it.
    pub(super) async fn operate(&self, operation: &Operation) -> Result<(Applied, bool), Error> {
        let done = self.client.operate(operation).await.map_err(failed)?;
        let events = match (operation, &done.answer) {
            (
                Operation::PromiseSettle(_) | Operation::PromiseGet { .. } | Operation::TaskFulfill { .. },
                Ok(Reply::Promise(promise)),
            ) => settled(promise),
            _ => Vec::new(),
        };
        let applied = Applied { answer: done.answer, events };
        self.report(std::slice::from_ref(&applied));
        Ok((applied, done.repeated))
    }

    /// Hands output to its reader. If the reader panics, that output is lost; the write continues.
    pub(super) fn release(&self, output: Output) {
        if catch_unwind(AssertUnwindSafe(|| (self.sink)(output))).is_err() {
            tracing::error!("the reader of the output panicked");
        }
    }

    /// Tells the host what was done.
    pub(super) fn report(&self, applied: &[Applied]) {
        self.listener.applied(applied);
        for event in applied.iter().flat_map(|applied| &applied.events) {
            if let Event::Settled(promise) = event {
                self.note_settled(&promise.id);
            }
        }
    }

    /// A promise and its task, if it has one.
    pub(super) async fn look(&self, id: &str) -> Result<Option<(Promise, Option<Task>)>, Error> {
        let Some(promise) = self.promise(id).await? else { return Ok(None) };
        let task = match promise.target() {
            Some(_) => self.task(id).await?,
            None => None,
        };
        Ok(Some((promise, task)))
    }

    /// A promise.
    pub(super) async fn promise(&self, id: &str) -> Result<Option<Promise>, Error> {
        match self.client.operate(&Operation::PromiseGet { id: id.to_owned() }).await.map_err(failed)?.answer {
            Ok(Reply::Promise(promise)) => Ok(Some(promise)),
            Err(Refusal { status: Status::NotFound, .. }) => Ok(None),
            answer => Err(unexpected("promise.get", &answer)),
        }
    }

    /// A task.
    pub(super) async fn task(&self, id: &str) -> Result<Option<Task>, Error> {
        match self.client.operate(&Operation::TaskGet { id: id.to_owned() }).await.map_err(failed)?.answer {
            Ok(Reply::Task(task)) => Ok(Some(task)),
            Err(Refusal { status: Status::NotFound, .. }) => Ok(None),
            answer => Err(unexpected("task.get", &answer)),
        }
    }

    /// All promises with these tags, ordered by id.
    pub(super) async fn search(
        &self,
        state: Option<PromiseState>,
        tags: BTreeMap<String, String>,
    ) -> Result<Vec<Promise>, Error> {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = Page { limit: Some(1000), cursor };
            let search = Operation::PromiseSearch { state, tags: tags.clone(), page };
            match self.client.operate(&search).await.map_err(failed)?.answer {
                Ok(Reply::Promises(more, next)) => {
                    found.extend(more);
                    cursor = next;
                }
                answer => return Err(unexpected("promise.search", &answer)),
            }
            if cursor.is_none() {
                return Ok(found);
            }
        }
    }

    /// A promise as this server needs it: what a deadline is to fire by itself has a target there, and executions can be found.
    pub(super) fn prepared(&self, mut new: NewPromise) -> NewPromise {
        if new.tags.contains_key(tag::TARGET) {
            new.tags.extend([Invocation::by_workers()]);
        } else if self.client.dialect() != Dialect::A && new.timeout_at < NEVER {
            new.tags.insert(tag::TARGET.to_owned(), self.target.clone());
        }
        new.tags.insert(tag::ORIGIN.to_owned(), self.client.origin(&new.id));
        if self.client.dialect() != Dialect::A
            && new.tags.get(tag::PARENT).is_some_and(|parent| !is_below(&new.id, parent))
        {
            new.tags.remove(tag::PARENT);
        }
        new
    }

    /// Cancels a promise and everything below it; returns the events.
    pub(super) async fn cancel_tree(&self, id: &str) -> Result<Applied, Error> {
        // With an error in it: what a caller in another language throws is the value.
        let (_, value) = everstep_store::value_of(&Err(GuestError::new(ErrorCode::Canceled, "it was canceled")));
        let cancel = |id: &str| {
            let (id, state, value) = (id.to_owned(), PromiseState::RejectedCanceled, value.clone());
            Operation::PromiseSettle(Settlement { id, state, value })
        };
        // One that ended by itself at the same moment was not canceled.
        let is_canceled =
            |event: &Event| matches!(event, Event::Settled(promise) if promise.state == PromiseState::RejectedCanceled);
        let before = self.promise(id).await?;
        let (first, _) = self.operate(&cancel(id)).await?;
        let mut events = Vec::new();
        if before.is_some_and(|before| before.state == PromiseState::Pending) {
            events.extend(first.events.into_iter().filter(is_canceled));
        }
        let mut above = vec![id.to_owned()];
        while let Some(parent) = above.pop() {
            let tags = BTreeMap::from([(tag::PARENT.to_owned(), parent)]);
            for child in self.search(Some(PromiseState::Pending), tags).await? {
                events.extend(self.operate(&cancel(&child.id)).await?.0.events.into_iter().filter(is_canceled));
                above.push(child.id);
            }
        }
        Ok(Applied { answer: first.answer, events })
    }

    /// Listens to promises: each is reported once it has settled. Returns them as they are now, `None` where there is none.
    pub(super) async fn listen(&self, ids: Vec<String>) -> Result<Vec<Option<Promise>>, Error> {
        lock(&self.watched).extend(ids.iter().cloned());
        let found: Vec<_> = stream::iter(ids).map(|id| self.register(id)).buffered(AT_ONCE).try_collect().await?;
        let events = found.iter().flatten().flat_map(settled).collect();
        self.report(&[Applied { answer: Ok(Reply::Done), events }]);
        Ok(found)
    }

    async fn register(&self, awaited: String) -> Result<Option<Promise>, Error> {
        let listen = Operation::RegisterListener { awaited: awaited.clone(), address: self.address() };
        let found = match self.client.operate(&listen).await.map_err(failed)?.answer {
            Ok(Reply::Promise(promise)) => Some(promise),
            // One that cannot be awaited on this server is looked at.
            Ok(_) | Err(_) => self.promise(&awaited).await?,
        };
        if found.as_ref().is_none_or(|promise| promise.state != PromiseState::Pending) {
            lock(&self.watched).remove(&awaited);
        }
        Ok(found)
    }

    /// Notes a claim, for which heartbeats are sent as long as its ledger lives.
    pub(super) fn hold(&self, claim: &Arc<Claim>) {
        lock(&self.held).insert(claim.id.clone(), Arc::downgrade(claim));
    }

    /// Forgets a claim, and the promises that its run listened to.
    pub(super) fn let_go(&self, claim: &Claim) {
        let is_last = {
            let mut held = lock(&self.held);
            let of_id = held.get(&claim.id).map(Weak::upgrade);
            let is_last = of_id.is_some_and(|held| held.is_none_or(|held| held.version <= claim.version));
            is_last.then(|| held.remove(&claim.id));
            is_last
        };
        // One lock at a time: others take both, too.
        if is_last {
            lock(&self.watched).retain(|id| !is_below(id, &claim.id));
        }
    }

    /// Renews the claims of this worker, until the link is dropped.
    pub(super) async fn keep_alive(link: Weak<Self>) {
        while let Some(link) = link.upgrade() {
            let pause = Duration::from_millis((link.ttl_ms / 3).max(1));
            link.renew().await;
            // The end of an execution from outside is heard of, too.
            let mut unheard: Vec<String> = lock(&link.held).keys().cloned().collect();
            unheard.retain(|id| !lock(&link.watched).contains(id));
            let listening = Arc::clone(&link);
            // No claim waits for that.
            tokio::spawn(async move {
                if let Err(error) = listening.listen(unheard).await {
                    tracing::warn!(%error, "the executions of this worker could not be listened to");
                }
            });
            let mut stage = link.stage.subscribe();
            drop(link);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stage.wait_for(|stage| *stage == Stage::Over) => return,
            }
        }
    }

    /// Renews all claims of this worker. Those of each call tree have a request of their own; one that is not answered in time is given up, so
    /// that it holds up no other.
    async fn renew(&self) {
        let mut trees: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
        for claim in lock(&self.held).values().filter_map(Weak::upgrade) {
            trees.entry(self.client.origin(&claim.id)).or_default().push((claim.id.clone(), claim.version));
        }
        if trees.is_empty() {
            lock(&self.recent).clear();
        }
        let within = Duration::from_millis(self.ttl_ms / 2);
        let renewing = stream::iter(trees.into_values()).map(|tasks| async move {
            let heartbeat = Operation::TaskHeartbeat { pid: self.pid.clone(), tasks };
            tokio::time::timeout(within, self.client.operate(&heartbeat)).await.ok()?.err()
        });
        let failed: Vec<_> = renewing.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
        if let Some(error) = failed.first() {
            tracing::warn!(%error, "claims of this worker could not be renewed");
        }
    }

    /// Acts on the messages of the server, until the link is dropped.
    pub(super) async fn hear(link: Weak<Self>) {
        let Some(begun) = link.upgrade() else { return };
        let mut messages = begun.client.messages(begun.group.clone(), begun.pid.clone());
        let mut stage = begun.stage.subscribe();
        drop(begun);
        let mut again = tokio::time::interval(AGAIN);
        again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let message = tokio::select! {
                message = messages.recv() => message,
                _ = again.tick() => match link.upgrade() {
                    Some(link) => {
                        tokio::spawn(async move { link.listen_again().await });
                        continue;
                    }
                    None => return,
                },
                _ = stage.wait_for(|stage| *stage != Stage::Working) => return,
            };
            let (Some(message), Some(link)) = (message, link.upgrade()) else { return };
            link.had_work.store(true, Ordering::Relaxed);
            match message {
                Message::Connected => {
                    link.reconnected.notify_one();
                    tokio::spawn(async move { link.listen_again().await });
                }
                Message::Disconnected(cause) => tracing::warn!(cause, "the messages of the server are interrupted"),
                Message::Execute { id, version } => {
                    let events = vec![Event::Execute { id, version, target: link.target.clone() }];
                    link.report(&[Applied { answer: Ok(Reply::Done), events }]);
                }
                Message::Unblock(promise) => {
                    lock(&link.watched).remove(&promise.id);
                    link.report(&[Applied { answer: Ok(Reply::Done), events: settled(&promise) }]);
                }
            }
        }
    }

    /// Offers the tasks that nobody has claimed from one look to the next, until the link is dropped.
    pub(super) async fn look_around(link: Weak<Self>) {
        let (mut seen, mut pause) = (HashMap::new(), Duration::ZERO);
        while let Some(link) = link.upgrade() {
            match link.look_at_pending(&seen).await {
                Ok(now) => seen = now,
                Err(error) => tracing::warn!(%error, "the server could not be asked for tasks that nobody claims"),
            }
            let shortest = Duration::from_millis(link.ttl_ms / 3).clamp(Duration::from_secs(1), LOOK);
            let has_work = link.had_work.swap(false, Ordering::Relaxed)
                || !lock(&link.held).is_empty()
                || seen.values().any(|looks| *looks != Looks::OfOthers);
            pause = if has_work { shortest } else { (pause * 2).clamp(shortest, AGAIN) };
            let (reconnected, mut stage) = (Arc::clone(&link.reconnected), link.stage.subscribe());
            drop(link);
            let reconnected = async {
                reconnected.notified().await;
                tokio::time::sleep(shortest).await;
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = reconnected => {}
                _ = stage.wait_for(|stage| *stage != Stage::Working) => return,
            }
        }
    }

    /// Offers some of the tasks that were there at the last look; returns those that are there now.
    async fn look_at_pending(&self, seen: &Seen) -> Result<Seen, Error> {
        let (mut now, mut stale) = (Seen::new(), Vec::new());
        for Task { id, version, .. } in self.pending_tasks().await? {
            let looks = match seen.get(&(id.clone(), version)) {
                None => Looks::Seen(0),
                Some(Looks::OfOthers) => Looks::OfOthers,
                Some(Looks::Seen(looks)) => Looks::Seen((looks + 1) % LOOKS),
            };
            if looks == Looks::Seen(1) && stale.len() < AT_ONCE {
                stale.push((id.clone(), version));
            }
            // The others have their turn at the next look.
            let waits = looks == Looks::Seen(1) && stale.last() != Some(&(id.clone(), version));
            now.insert((id, version), if waits { Looks::Seen(0) } else { looks });
        }
        let found: Vec<_> = stream::iter(stale)
            .map(|(id, version)| async move { Ok::<_, Error>((self.promise(&id).await?, id, version)) })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let mut events = Vec::new();
        for (promise, id, version) in found {
            // On some servers what is no execution has a task, too.
            let is_ours =
                promise.is_some_and(|promise| promise.target() == Some(self.target.as_str()) && promise.is_call());
            match is_ours {
                true => events.push(Event::Execute { id, version, target: self.target.clone() }),
                false => drop(now.insert((id, version), Looks::OfOthers)),
            }
        }
        self.report(&[Applied { answer: Ok(Reply::Done), events }]);
        Ok(now)
    }

    /// All tasks that may be claimed, of any group.
    pub(super) async fn pending_tasks(&self) -> Result<Vec<Task>, Error> {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = Page { limit: Some(1000), cursor };
            let search = Operation::TaskSearch { state: Some(TaskState::Pending), page };
            match self.client.operate(&search).await.map_err(failed)?.answer {
                Ok(Reply::Tasks(more, next)) => {
                    found.extend(more);
                    cursor = next;
                }
                answer => return Err(unexpected("task.search", &answer)),
            }
            if cursor.is_none() {
                return Ok(found);
            }
        }
    }

    /// Registers all listeners anew: what has settled meanwhile is reported. If that is under way it is done once more afterwards.
    async fn listen_again(&self) {
        let before = self.listens_again.fetch_add(1, Ordering::SeqCst);
        if before > 0 {
            return;
        }
        let mut asked = 1;
        while asked > 0 {
            self.register_all().await;
            asked = self.listens_again.fetch_sub(asked, Ordering::SeqCst) - asked;
        }
    }

    async fn register_all(&self) {
        let held: Vec<String> = lock(&self.held).keys().cloned().collect();
        let ids: Vec<String> = lock(&self.watched).iter().cloned().chain(held).collect();
        if let Err(error) = self.listen(ids).await {
            tracing::warn!(%error, "listeners could not be registered anew");
        }
    }
}

/// The event of a promise that has settled.
fn settled(promise: &Promise) -> Vec<Event> {
    let is_settled = promise.state != PromiseState::Pending;
    is_settled.then(|| Event::Settled(promise.clone())).into_iter().collect()
}

pub(super) fn is_below(id: &str, ancestor: &str) -> bool {
    id == ancestor || id.strip_prefix(ancestor).is_some_and(|rest| rest.starts_with('.'))
}

/// An answer that does not fit its question.
pub(super) fn unexpected(kind: &str, answer: &Answer) -> Error {
    let cause = match answer {
        Err(refusal) => format!("the server refused {kind}: {refusal} (status {})", refusal.status),
        Ok(_) => format!("the server answered {kind} with something else"),
    };
    Error::Server { cause }
}

/// Locks a mutex. Its data is valid at every moment, so a poisoned lock is ignored.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The id of an execution, if a promise has one.
pub(super) fn execution_id(promise: &Promise) -> Option<ExecutionId> {
    promise.id.parse().ok()
}

#[cfg(test)]
mod tests;
