//! The only road from a guest to an effect: replay, policy, barrier, effect, record.
//!
//! [`Bridge`] is one execution seen from its guest: its `facts` stay as they are, its `state` changes. `pipeline` is the road itself,
//! written once for the four classes of step: internal, external, output and promise. A step is `ruled` once a rule has decided on it,
//! and has a line in the `audit` log: such `lines` are collected, and written by the `audited` ledger before the store gets anything;
//! `approval` asks a person, and a `held` call waits for the answer.
//!
//! A `new_promise` is `about` time, a question, a request, an `effect` or a `called` function; the guest uses it as a `guest_promise`, an
//! effect is under way as `performing`, and the store reports a settlement as a `notice`. `wait` is how a guest waits, `memo` remembers
//! computations, `checkpoint` is where a trapped guest resumes, `interruption` stops the guest's current work but not the guest, `live` is
//! the way from replay to live, `parting` the end of a run, `fault` how a call can end.
//!
//! Only the capability (`crate::capability`) knows what a step means; the journal and the policy know its kind, its digest and its
//! grant.

mod about;
mod approval;
mod asking;
mod audit;
mod audited;
mod called;
mod checkpoint;
mod effect;
mod facts;
mod fault;
mod guest_promise;
mod held;
mod inbox;
mod instances;
mod interruption;
mod lineage;
mod lines;
mod live;
mod memo;
mod new_promise;
mod notice;
mod parting;
mod performing;
mod pipeline;
mod registry;
mod ruled;
mod state;
mod step;
mod stopwatch;
mod value;
mod wait;

pub(crate) use about::About;
pub(crate) use approval::APPROVAL;
pub use approval::Answer;
pub(crate) use asking::SEND_REQUEST;
pub(crate) use audited::Audited;
pub(crate) use called::{Called, failing_halted};
pub(crate) use checkpoint::{Cells, Checkpoint};
pub(crate) use effect::{Effect, Lost, Performed};
pub(crate) use facts::{Facts, Terms};
pub(crate) use fault::{Divergence, Fault, Stop};
pub(crate) use instances::{Instances, Room, Seat};
pub(crate) use lineage::{Account, Descent};
pub(crate) use lines::Lines;
pub(crate) use memo::{Memo, Recollection};
pub(crate) use new_promise::NewPromise;
pub(crate) use notice::{Notice, check_fit, check_size};
pub(crate) use parting::{Parted, Parting};
pub(crate) use performing::Performing;
pub(crate) use registry::Registry;
pub use registry::{Capability, Idempotent, Request};
pub(crate) use state::State;
pub(crate) use step::{Arg, Floor, Step, capped};
pub(crate) use value::{Json, Value};
pub use wait::Patience;

use guest_promise::GuestPromise;
use inbox::Inbox;
use interruption::Interruption;
use stopwatch::Stopwatch;
use wait::Wait;

use crate::engine::Footprint;
use crate::guest_error::{ErrorCode, GuestError};
use everstep_store::seam::{Lost as Gone, Ticket};
use futures::FutureExt;
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Notify, OwnedMutexGuard};

/// One execution that this host runs: everything its guest can reach.
pub(crate) struct Bridge {
    pub(crate) facts: Facts,
    state: Mutex<State>,
    /// The bridge itself, for effects that may outlive it.
    me: Weak<Self>,
    instances: Arc<Instances>,
    /// Memory of the host that the instance has taken.
    footprint: Arc<Footprint>,
    /// Memory that the instance may take.
    room: Mutex<Option<Arc<Room>>>,
    /// How long the guest has run, not counting waits for promises.
    pub(crate) stopwatch: Stopwatch,
    /// Data that capabilities keep about this run; like the state, it is dropped with the run and rebuilt by replay.
    of_run: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    inbox: Mutex<Inbox>,
    /// The execution has ended in the store: it was canceled, or its deadline passed.
    canceled: AtomicBool,
    /// Whether the guest is to be interrupted.
    interruption: Interruption,
    /// The run is over, and its execution about to be released.
    over: AtomicBool,
    /// The function returned, and the outcome is about to be written to the store.
    returned: AtomicBool,
    /// Signals that a promise was settled, and what `urgent` signals.
    changed: Notify,
    /// Signals that the run was canceled, or its guest interrupted.
    urgent: Notify,
    /// Values that the effects of this run keep, by the promise that made them; dropped with the run.
    kept: Mutex<HashMap<u64, Arc<dyn Any + Send + Sync>>>,
    /// Held by an effect that the guest blocks on, even after the run was stopped.
    blocking: Arc<tokio::sync::Mutex<()>>,
}

/// How long a canceled guest may clean up if it asked to.
const CLEANUP: Duration = Duration::from_secs(5);

impl Bridge {
    /// The bridge of an execution that is in `state`; `since` is the ticket of what was written of it before.
    pub(crate) fn new(facts: Facts, instances: Arc<Instances>, since: Ticket, mut state: State) -> Arc<Self> {
        state.note_submitted(since);
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            footprint: instances.footprint(),
            room: Mutex::default(),
            instances,
            stopwatch: Stopwatch::new(facts.limits().wall),
            state: Mutex::new(state),
            of_run: Mutex::default(),
            inbox: Mutex::default(),
            canceled: AtomicBool::new(false),
            interruption: Interruption::default(),
            over: AtomicBool::new(false),
            returned: AtomicBool::new(false),
            changed: Notify::new(),
            urgent: Notify::new(),
            kept: Mutex::default(),
            blocking: Arc::default(),
            facts,
        })
    }

    /// The state of the bridge. It is valid at every moment, so a poisoned lock is ignored.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the next step.
    pub(crate) fn next_step(&self) -> u64 {
        self.state().steps.next()
    }

    /// How many steps the execution has recorded.
    pub(crate) fn steps_so_far(&self) -> u64 {
        let state = self.state();
        state.steps.next().max(state.budget.steps())
    }

    /// How many steps the execution has recorded, and how many of them this run took from the journal.
    pub(crate) fn figures(&self) -> (u64, u64) {
        let state = self.state();
        (state.budget.steps(), state.steps.replayed())
    }

    /// The promise that the guest has for this number.
    pub(crate) fn promise_of_guest(&self, number: u64) -> GuestPromise<'_> {
        GuestPromise::new(self, number)
    }

    /// Those of `wanted` that were delivered before; an error if one is not a promise of this guest.
    pub(crate) fn delivered(&self, wanted: &[u64]) -> Result<Vec<u64>, Fault> {
        let state = self.state();
        let unknown = |number: &&u64| state.promises.of_guest(**number).is_none();
        if let Some(number) = wanted.iter().find(unknown) {
            let message = format!("{number} is no promise of this execution");
            return Err(GuestError::new(ErrorCode::Invalid, message).into());
        }
        let delivered = |number: &u64| state.promises.get(*number).is_some_and(|promise| promise.delivered);
        Ok(wanted.iter().copied().filter(delivered).collect())
    }

    /// Waits until one of `wanted` is settled, and delivers those that are; delivers none if the guest is interrupted first.
    ///
    /// # Errors
    /// [`Stop::Suspended`] when the instance is released; a divergence when the journal holds another step here; [`Stop::Store`] when
    /// the store fails, because no settlement could be recorded any more.
    pub(crate) async fn wait(&self, wanted: &[u64]) -> Result<Vec<u64>, Stop> {
        Wait::new(self, Some(wanted), true).delivery().await
    }

    /// Like [`wait`](Self::wait) for any promise, for a guest that has returned to the host.
    pub(crate) async fn wait_between_turns(&self) -> Result<Vec<u64>, Stop> {
        Wait::between_turns(self).delivery().await
    }

    /// Like [`wait`](Self::wait), but not ended by an interruption.
    pub(crate) async fn wait_through(&self, wanted: &[u64]) -> Result<Vec<u64>, Stop> {
        Wait::new(self, Some(wanted), false).delivery().await
    }

    /// Begins effects that the guest has asked for. Where it computes, each is a task of its own. Where it waits, a single one goes on here
    /// as far as it can without waiting, for another thread costs more than what most effects do before they wait. Returns whether it
    /// has ended.
    pub(crate) fn begin_effects(&self) -> bool {
        let mut effects = std::mem::take(&mut self.state().beginning);
        let single = if effects.len() == 1 && self.stopwatch.is_paused() { effects.first_mut() } else { None };
        if single.is_some_and(|effect| effect.now_or_never().is_some()) {
            return true;
        }
        effects.into_iter().for_each(|effect| drop(tokio::spawn(effect)));
        false
    }

    /// The computations that the guest remembers.
    pub(crate) fn memo(&self) -> Memo<'_> {
        Memo::new(self)
    }

    /// Whether the guest was interrupted since it last asked, or waited.
    pub(crate) fn interrupted(&self) -> Result<bool, Fault> {
        self.interruption.tell_if_asked(self)
    }

    /// Marks a point where the guest can resume; returns the cause, if it has trapped after this point.
    pub(crate) fn checkpoint(&self, renew: bool) -> Result<Option<String>, Fault> {
        Checkpoint::pass(self, renew)
    }

    /// Notes that the guest asks for time to clean up.
    pub(crate) fn note_clean_up(&self) {
        self.state().clean_up();
        self.facts.ledger.note_clean_up();
    }

    /// Queues the settlement of a promise for the guest. Does not wait for the state.
    pub(crate) fn notice(&self, notice: Notice) {
        if self.inbox().add(notice) {
            self.changed.notify_waiters();
        }
    }

    /// The same for one that is being written, and which is noticed once more when it is durable. With an audit log the guest learns of
    /// it only then: lines are written before what they depend on.
    pub(crate) fn foretell(&self, notice: Notice) {
        if self.facts.lines.is_none() {
            self.inbox().add_foretold(notice);
            self.changed.notify_waiters();
        }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies the settlements that were queued since the last call.
    fn take_notices_into(&self, state: &mut State) {
        let notices = self.inbox().take();
        notices.into_iter().for_each(|notice| state.take_in(notice, self.facts.limits()));
    }

    /// Interrupts the guest. Does not wait for the state.
    pub(crate) fn interrupt(&self) {
        self.interruption.ask();
        self.hurry();
    }

    /// Interrupts a guest that was taken back for it.
    pub(crate) fn interrupt_taken_back(&self) {
        self.interruption.note_taken_back();
        self.interrupt();
    }

    /// Completes once the guest should be taken back: it was interrupted, and has not noticed.
    pub(crate) async fn deaf(&self) {
        self.interruption.unnoticed(&self.urgent).await;
    }

    /// Ends the run from outside: the execution has ended in the store. Does not wait for the state.
    pub(crate) fn cancel(&self) {
        self.canceled.store(true, Ordering::SeqCst);
        self.hurry();
    }

    fn hurry(&self) {
        self.urgent.notify_waiters();
        self.changed.notify_waiters();
    }

    /// Whether the execution was ended from outside.
    pub(crate) fn is_canceled(&self) -> bool {
        self.canceled.load(Ordering::SeqCst)
    }

    /// Completes once the run has to end: the execution was ended from outside and, if the guest asked for time to clean up, that
    /// time is over.
    pub(crate) async fn canceled(&self) {
        loop {
            let urgent = self.urgent.notified();
            if self.is_canceled() {
                break;
            }
            urgent.await;
        }
        if self.state().cleans_up() {
            tokio::time::sleep(CLEANUP).await;
        }
    }

    /// Waits until there is room for an instance with all that the policy allows.
    pub(crate) async fn make_room(&self) {
        let room = self.instances.room(self.facts.limits().memory).await;
        *self.room.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(room));
    }

    /// Releases the room: the instance is gone.
    pub(crate) fn leave_room(&self) {
        *self.room.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The room of the instance; `None` while no instance runs.
    fn room(&self) -> Option<Arc<Room>> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The most bytes that an instance of this execution may take within the host's memory.
    pub(crate) fn most_memory(&self) -> u64 {
        self.instances.most(self.facts.limits().memory)
    }

    /// The instances of this host.
    pub(crate) fn instances(&self) -> Arc<Instances> {
        Arc::clone(&self.instances)
    }

    /// Counts the memory that the instance takes.
    pub(crate) fn footprint(&self) -> Arc<Footprint> {
        Arc::clone(&self.footprint)
    }

    /// Keeps a value for as long as this run lasts.
    pub(crate) fn keep_for_run(&self, number: u64, thing: Arc<dyn Any + Send + Sync>) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(number, thing);
    }

    /// The value that this run keeps under that number.
    pub(crate) fn kept_for_run<T: Send + Sync + 'static>(&self, number: u64) -> Option<Arc<T>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(kept.get(&number)?).downcast().ok()
    }

    /// The value of this type that a capability keeps for this run; created on first use.
    pub(crate) fn of_run<T: Any + Default + Send + Sync>(&self) -> Arc<T> {
        let mut of_run = self.of_run.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = of_run.entry(TypeId::of::<T>()).or_insert_with(|| Arc::<T>::default());
        Arc::clone(kept).downcast().unwrap_or_default()
    }

    /// Whether a quota of a `[[files]]` rule leaves no room for files of these sizes.
    pub(crate) fn is_over_files_quota(&self, files: &[(&str, u64)]) -> bool {
        self.facts.grants.policy.is_over_files_quota(files, self.state().budget.usage())
    }

    /// Counts a connection or the like as open under its rule; it keeps the execution warm.
    pub(crate) fn note_open(&self, rule: &str) {
        let mut state = self.state();
        state.budget.opened(rule);
        state.budget.note_open_end();
    }

    /// Counts it as closed.
    pub(crate) fn note_closed(&self, rule: &str) {
        let mut state = self.state();
        state.budget.closed(rule);
        state.budget.note_closed_end();
        drop(state);
        self.changed.notify_waiters();
    }

    /// Waits for the right to an effect that must not be interrupted half way, after the one before it. Ending the run,
    /// and resuming the execution, wait for it too.
    pub(crate) async fn block(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.blocking).lock_owned().await
    }

    /// Hands everything recorded so far to the ledger.
    pub(crate) fn submit_all(&self) -> Ticket {
        self.state().submit(&self.facts)
    }

    /// The barrier: returns once everything up to `ticket` is durable.
    pub(crate) async fn durable(&self, ticket: Ticket) -> Result<(), Gone> {
        self.facts.trace.barrier(self.facts.ledger.durable(ticket)).await
    }

    /// The barrier before an external effect: everything up to `ticket` is durable, and the claim still holds.
    pub(crate) async fn may_begin(&self, ticket: Ticket) -> Result<(), Gone> {
        self.facts.trace.barrier(self.facts.ledger.may_begin(ticket)).await
    }

    /// Adds CPU time to what the execution and its lineage have used.
    pub(crate) fn charge(&self, used_us: u64) -> Result<(), Stop> {
        let mut state = self.state();
        let has_caught_up = state.steps.has_caught_up()?;
        let new_us = state.budget.charge(used_us, has_caught_up);
        if has_caught_up {
            self.facts.descent.charge(&self.facts.grants.lineage(), new_us)?;
        }
        state.budget.check_cpu(self.facts.limits(), has_caught_up)
    }

    /// Whether most of its CPU time is left to the execution.
    pub(crate) fn has_time_to_spare(&self) -> bool {
        self.state().budget.has_time_to_spare(self.facts.limits())
    }

    /// Completes once the running time has reached its limit. If the time is counted from a checkpoint, a replay is not bounded by it:
    /// what it repeats was in time.
    pub(crate) async fn out_of_time(&self) -> Stop {
        loop {
            let message = self.stopwatch.expired().await;
            let mut state = self.state();
            match (state.budget.part().renews, state.steps.has_caught_up()) {
                (_, Err(error)) => return error.into(),
                (false, Ok(_)) => return Stop::Limit(message),
                (true, Ok(true)) => return Stop::PartLimit(message),
                (true, Ok(false)) => self.stopwatch.restart(),
            }
        }
    }

    /// Takes the return of the function; if the journal holds it, both must agree.
    ///
    /// # Errors
    /// The journal continues with something else.
    pub(crate) fn take_return(&self, returned: Result<String, GuestError>) -> Result<Result<String, GuestError>, Stop> {
        self.state().take_return(&self.facts, returned)
    }

    /// Takes a trap of the guest, caused by a limit or not; returns the checkpoint to resume from, if there is one.
    ///
    /// # Errors
    /// The journal continues with something else.
    pub(crate) fn take_trap(&self, message: &str, limit: bool) -> Result<Option<Checkpoint>, Stop> {
        let mut state = self.state();
        state.expect_end(&format!("a trap ({message})"))?;
        Ok(Checkpoint::after_trap(&state, limit))
    }

    /// Notes that the function has returned.
    pub(crate) fn note_return(&self) {
        self.returned.store(true, Ordering::SeqCst);
    }

    /// Whether the function has returned, and its outcome is about to be written to the store.
    pub(crate) fn returned(&self) -> bool {
        self.returned.load(Ordering::SeqCst)
    }

    /// Ends the run and its journal; `None` if another host took the execution.
    pub(crate) fn part(&self, parting: &Parting) -> Option<Parted> {
        let mut state = self.state();
        self.conclude_in(&mut state);
        let (entry, leave) = parting.last_entry(&self.facts, &mut state)?;
        Some(Parted { entry, leave, replayed: state.steps.replayed(), steps: state.budget.steps() })
    }

    /// Ends the run: nothing is recorded after this but its end. Returns the last submission.
    pub(crate) fn conclude(&self) -> Ticket {
        let mut state = self.state();
        self.conclude_in(&mut state);
        state.unsent.submitted()
    }

    fn conclude_in(&self, state: &mut State) {
        self.over.store(true, Ordering::SeqCst);
        state.steps.conclude();
        state.promises.stop_effects();
    }

    /// Whether the run is over, and its execution about to be released.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}
