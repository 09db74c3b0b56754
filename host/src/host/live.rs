//! The executions held in this host, each by at most one task at a time, and the callers that wait for their end.

use super::Report;
use super::activity::{Activity, Busy};
use crate::bridge::{Bridge, Notice, Patience};
use crate::id::{ExecutionId, PromiseId};
use everstep_store::Applied;
use everstep_store::operation::Event;
use everstep_store::record::{Promise, PromiseState};
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, watch};

/// The report of an execution, for all that wait for it; `None` until then.
pub(super) type Outcome = Option<Result<Report, Arc<super::Error>>>;

/// An event in the store that this host may have to act on.
#[derive(Debug)]
pub(super) enum Note {
    /// A task may be acquired.
    Execute(ExecutionId, Busy),
    /// An execution with waiting callers has ended, although this host did not run it.
    Ended(ExecutionId),
}

/// How many of the executions that are left to other workers are remembered.
const MAX_OTHERS: usize = 10_000;

/// The executions that this host holds.
pub(super) struct Live {
    held: Mutex<HashMap<ExecutionId, Held>>,
    freed: Notify,
    /// Notifies callers that wait for the end of an execution, even while it is not held.
    outcomes: Mutex<HashMap<ExecutionId, watch::Sender<Outcome>>>,
    /// The roots of the executions that were started or resumed here, and how long they wait for promises; removed
    /// when they end.
    roots: Mutex<HashMap<String, Patience>>,
    activity: Arc<Activity>,
    /// Executions to be resumed interrupted, because their instance was discarded.
    taken_back: Mutex<HashSet<ExecutionId>>,
    /// The last step that each of them has kept; removed when read.
    left: Mutex<HashMap<ExecutionId, u64>>,
    /// Child executions that have halted here and not been resumed since.
    halted: Mutex<BTreeSet<ExecutionId>>,
    /// Executions of other workers, to whose halts somebody listens.
    looked_at: Mutex<HashSet<ExecutionId>>,
    /// Executions that are left to other workers, and were said to be.
    others: Mutex<HashSet<ExecutionId>>,
    /// The address of the worker group of this host.
    target: Arc<str>,
    notes: UnboundedSender<Note>,
}

enum Held {
    /// A task is about to run it; settlements since then are queued for its run.
    Reserved(Vec<Notice>),
    /// It runs.
    Running(Running),
}

/// A run in progress.
#[derive(Clone)]
pub(super) struct Running {
    pub(super) bridge: Arc<Bridge>,
    /// The arguments of the execution, to compare with those of another run under the same id.
    pub(super) args: Arc<str>,
}

/// The right to run an execution in this host; returned on drop.
pub(super) struct Hold {
    live: Arc<Live>,
    id: ExecutionId,
    _busy: Busy,
}

/// The result of trying to hold an execution.
pub(super) enum Holding {
    /// It runs in this host.
    Running(Running),
    /// It is held by the caller alone.
    Free(Hold),
}

impl Live {
    pub(super) fn new(target: Arc<str>, notes: UnboundedSender<Note>) -> Self {
        let (held, freed, outcomes, roots) = (Mutex::default(), Notify::new(), Mutex::default(), Mutex::default());
        let (activity, taken_back, left) = (Arc::default(), Mutex::default(), Mutex::default());
        let (halted, looked_at, others) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { held, freed, outcomes, roots, activity, taken_back, left, halted, looked_at, others, target, notes }
    }

    /// The number of entries about executions, of any kind: a long-lived host keeps none for those that have ended.
    pub(super) fn entries(&self) -> usize {
        let (held, outcomes, roots) = (lock(&self.held).len(), lock(&self.outcomes).len(), lock(&self.roots).len());
        held + outcomes + roots + lock(&self.taken_back).len() + lock(&self.halted).len()
    }

    /// Holds an execution, once no other task is about to run or release it.
    pub(super) async fn hold(self: &Arc<Self>, id: &ExecutionId) -> Holding {
        self.once(|held| match held.get(id) {
            Some(Held::Running(running)) if !running.bridge.is_over() => Some(Holding::Running(running.clone())),
            Some(_) => None,
            None => {
                held.insert(id.clone(), Held::Reserved(Vec::new()));
                Some(Holding::Free(Hold { live: Arc::clone(self), id: id.clone(), _busy: self.busy(id) }))
            }
        })
        .await
    }

    /// Waits until an execution is not held, or runs and will continue. Returns whether it runs.
    pub(super) async fn settled_down(&self, id: &ExecutionId) -> bool {
        self.once(|held| match held.get(id) {
            None => Some(false),
            Some(Held::Running(running)) if !running.bridge.is_over() => Some(true),
            Some(_) => None,
        })
        .await
    }

    /// Waits until an execution is not held.
    pub(super) async fn let_go(&self, id: &ExecutionId) {
        self.once(|held| (!held.contains_key(id)).then_some(())).await;
    }

    /// Waits until nothing is held.
    pub(super) async fn nothing_held(&self) {
        self.once(|held| held.is_empty().then_some(())).await;
    }

    /// Calls `look` at each change of what is held, until it finds something.
    async fn once<T>(&self, mut look: impl FnMut(&mut HashMap<ExecutionId, Held>) -> Option<T>) -> T {
        loop {
            let freed = self.freed.notified();
            if let Some(found) = look(&mut lock(&self.held)) {
                return found;
            }
            freed.await;
        }
    }

    /// Whether this host holds one execution.
    pub(super) fn runs_one(&self) -> bool {
        lock(&self.held).len() == 1
    }

    /// The run of an execution, if this host runs it.
    pub(super) fn run_of(&self, id: &ExecutionId) -> Option<Running> {
        match lock(&self.held).get(id) {
            Some(Held::Running(running)) => Some(running.clone()),
            _ => None,
        }
    }

    /// Notes that an execution was started or resumed here, and how long it and what it calls wait for promises.
    /// Returns false if it was noted before.
    pub(super) fn note_root(&self, id: &ExecutionId, patience: Patience) -> bool {
        match lock(&self.roots).entry(id.root().to_owned()) {
            Entry::Occupied(mut known) => {
                known.insert(patience);
                false
            }
            Entry::Vacant(fresh) => {
                fresh.insert(patience);
                true
            }
        }
    }

    /// Forgets a root: it has ended, and so has everything that it called.
    pub(super) fn forget_root(&self, root: &str) {
        lock(&self.roots).remove(root);
    }

    /// Whether an execution was started or resumed here, or called by one that was.
    pub(super) fn is_ours(&self, id: &ExecutionId) -> bool {
        lock(&self.roots).contains_key(id.root())
    }

    /// How long an execution that is resumed here waits for promises.
    pub(super) fn patience(&self, id: &ExecutionId) -> Patience {
        lock(&self.roots).get(id.root()).copied().unwrap_or(Patience::Forever)
    }

    /// Marks work for an execution as under way.
    pub(super) fn busy(&self, id: &ExecutionId) -> Busy {
        self.activity.begin(id)
    }

    /// Waits until no work is under way for the lineage of an execution.
    pub(super) async fn at_rest(&self, id: &ExecutionId) {
        self.activity.at_rest(id).await;
    }

    /// Notes that an execution has halted, if a caller waits for it.
    pub(super) fn note_halted(&self, id: &ExecutionId) {
        if id.parent().is_some() {
            lock(&self.halted).insert(id.clone());
        }
    }

    /// Notes that an execution is left to other workers; false if that was noted before.
    pub(super) fn note_left(&self, id: &ExecutionId) -> bool {
        let mut others = lock(&self.others);
        if others.len() >= MAX_OTHERS {
            others.clear();
        }
        others.insert(id.clone())
    }

    /// The halted executions among those that `id` has called, directly or not.
    pub(super) fn halted_below(&self, id: &ExecutionId) -> Vec<ExecutionId> {
        lock(&self.halted).iter().filter(|halted| *halted != id && halted.is_within(id)).cloned().collect()
    }

    /// Notes that an execution is to be resumed interrupted, after this step.
    pub(super) fn note_taken_back(&self, id: &ExecutionId, step: u64) {
        lock(&self.taken_back).insert(id.clone());
        lock(&self.left).insert(id.clone(), step);
    }

    /// The last step that was kept when the instance of an execution was discarded. Clears it.
    pub(super) fn taken_back_to(&self, id: &ExecutionId) -> Option<u64> {
        lock(&self.left).remove(id)
    }

    /// Whether the execution was interrupted by discarding its instance. Clears the flag.
    pub(super) fn was_taken_back(&self, id: &ExecutionId) -> bool {
        lock(&self.taken_back).remove(id)
    }

    /// Subscribes to the outcome of an execution.
    pub(super) fn watch(&self, id: &ExecutionId) -> watch::Receiver<Outcome> {
        let mut outcomes = lock(&self.outcomes);
        outcomes.entry(id.clone()).or_insert_with(|| watch::Sender::new(None)).subscribe()
    }

    /// Reports the outcome of an execution to all that wait for it.
    pub(super) fn tell(&self, id: &ExecutionId, outcome: Result<Report, Arc<super::Error>>) {
        lock(&self.left).remove(id);
        if let Some(sender) = lock(&self.outcomes).remove(id) {
            sender.send_replace(Some(outcome));
        }
    }

    /// Notes that somebody listens to the halt of an execution, or does not any more. Returns false if that was noted before.
    pub(super) fn note_look(&self, id: &ExecutionId, looks: bool) -> bool {
        let mut looked_at = lock(&self.looked_at);
        if looks { looked_at.insert(id.clone()) } else { looked_at.remove(id) }
    }

    /// Whether somebody waits for the outcome of an execution.
    pub(super) fn is_awaited(&self, id: &ExecutionId) -> bool {
        lock(&self.outcomes).get(id).is_some_and(|sender| sender.receiver_count() > 0)
    }

    /// Reports to all that wait that the store has failed.
    pub(super) fn tell_all(&self, error: &everstep_store::Error) {
        for (_, sender) in lock(&self.outcomes).drain() {
            let gone = everstep_store::Error::Poisoned(error.to_string());
            sender.send_replace(Some(Err(Arc::new(super::Error::Store(gone)))));
        }
    }

    /// Removes the entry of an execution if its waiting callers are gone.
    pub(super) fn forget(&self, id: &ExecutionId) {
        let mut outcomes = lock(&self.outcomes);
        if outcomes.get(id).is_some_and(|sender| sender.receiver_count() == 0) {
            outcomes.remove(id);
        }
    }

    /// Passes on answers that are being written to the runs that wait for them. A run records an answer before it does anything with it,
    /// so that all of that waits for a later write.
    pub(super) fn foresee(&self, applied: &[Applied]) {
        for event in applied.iter().flat_map(|applied| &applied.events) {
            if let Event::Settled(promise) = event
                && matches!(promise.state, PromiseState::Resolved | PromiseState::Rejected)
                && let Ok(id) = promise.id.parse::<ExecutionId>()
                && let Some(PromiseId { execution, number }) = id.parent()
                && let Some(running) = self.run_of(&execution)
                && let Some(notice) = Notice::of(number, promise)
            {
                running.bridge.foretell(notice);
            }
        }
    }

    /// Passes on events of the store, to the runs that they concern and to the host.
    pub(super) fn observe(&self, applied: &[Applied]) {
        for event in applied.iter().flat_map(|applied| &applied.events) {
            match event {
                Event::Settled(promise) => self.settled(promise),
                Event::Execute { id, target, .. } if **target == *self.target => {
                    if let Ok(id) = id.parse() {
                        let busy = self.busy(&id);
                        self.note(Note::Execute(id, busy));
                    }
                }
                Event::Execute { .. } | Event::Unblock { .. } => {}
            }
        }
    }

    fn settled(&self, promise: &Promise) {
        let Ok(id) = promise.id.parse::<ExecutionId>() else { return };
        if promise.target().is_some() {
            lock(&self.halted).remove(&id);
            self.forget_root(&promise.id);
            match self.run_of(&id) {
                Some(running) if !running.bridge.is_over() => running.bridge.cancel(),
                Some(running) if running.bridge.returned() => {}
                _ if lock(&self.outcomes).contains_key(&id) => self.note(Note::Ended(id.clone())),
                _ => {}
            }
        }
        if let Some(PromiseId { execution, number }) = id.parent()
            && let Some(notice) = Notice::of(number, promise)
        {
            match lock(&self.held).get_mut(&execution) {
                Some(Held::Running(running)) => running.bridge.notice(notice),
                Some(Held::Reserved(notices)) => notices.push(notice),
                None => {}
            }
        }
    }

    fn note(&self, note: Note) {
        // A host that is ending does not act on it any more.
        let _ = self.notes.send(note);
    }
}

impl Hold {
    /// Makes the execution known as running; it is held as long as the run lasts.
    pub(super) fn run(&self, bridge: Arc<Bridge>, args: &str) {
        lock(&self.live.halted).remove(&self.id);
        let running = Running { bridge: Arc::clone(&bridge), args: args.into() };
        if let Some(Held::Reserved(notices)) = lock(&self.live.held).insert(self.id.clone(), Held::Running(running)) {
            notices.into_iter().for_each(|notice| bridge.notice(notice));
        }
        self.live.freed.notify_waiters();
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        lock(&self.live.held).remove(&self.id);
        self.live.forget(&self.id);
        self.live.freed.notify_waiters();
    }
}

/// Locks a mutex. Its data is valid at every moment, so a poisoned lock is ignored.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
