//! The only road from a guest to an effect: replay, policy, barrier, effect, record.
//!
//! [`Bridge`] is one execution seen from its guest. `pipeline` is the road itself, written once for the four classes of
//! step: internal, external, output and promise. `replay` compares the guest with the journal, `promises` settles and delivers,
//! `wait` is how a guest waits, `effect` performs what
//! settles a promise, `approval` asks a person first, `memo` remembers computations, `checkpoint` is where a guest goes on that has trapped, `interrupt` stops what a guest does but not the guest, `state` is what they share, `fault` is how a call can end. What a step means is known to the capability
//! alone (`crate::capability`); the journal and the policy know only its kind, its digest and its grant.

mod approval;
mod asking;
mod calls;
mod checkpoint;
mod effect;
mod ending;
mod fault;
mod instances;
mod interrupt;
mod lineage;
mod live;
mod memo;
mod pipeline;
mod promises;
mod registry;
mod replay;
mod settling;
mod state;
mod step;
mod stopwatch;
mod value;
mod wait;

pub(crate) use approval::APPROVAL;
pub use approval::Answer;
pub(crate) use calls::{Called, failing_halted};
pub(crate) use effect::{Effect, Lost, Performed, Performing};
pub(crate) use ending::{Parted, Parting};
pub(crate) use fault::{Divergence, Fault, Stop};
pub(crate) use instances::{Instances, Room, Seat};
pub(crate) use lineage::{Account, Descent};
pub(crate) use memo::Recollection;
pub(crate) use promises::{About, NewPromise};
pub(crate) use registry::Registry;
pub use registry::{Capability, Idempotent, Request};
pub(crate) use settling::{check_fit, check_size};
pub(crate) use state::State;
pub(crate) use step::{Arg, Floor, Step};
pub(crate) use value::{Json, Value};
pub use wait::Patience;

use interrupt::Interruption;
use stopwatch::Stopwatch;

use crate::clock::Clock;
use crate::engine::Footprint;
use crate::grants::Grants;
use crate::guest_error::{ErrorCode, GuestError};
use crate::id::{Digest, ExecutionId};
use crate::json;
use crate::policy::Limits;
use everstep_store::PendingPromise;
use everstep_store::seam::{Entry, Ledger, Lost as Gone, Store, Ticket};
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedMutexGuard};

/// One execution that this host runs: everything its guest can reach.
pub(crate) struct Bridge {
    pub(crate) id: ExecutionId,
    pub(crate) function: String,
    pub(crate) seed: [u8; 32],
    pub(crate) grants: Arc<Grants>,
    pub(crate) capabilities: Arc<Registry>,
    pub(crate) clock: Arc<dyn Clock>,
    /// All that the run writes goes through it.
    pub(crate) ledger: Arc<dyn Ledger>,
    /// For reading.
    store: Arc<dyn Store>,
    /// What it belongs to, and shares a budget with.
    pub(crate) descent: Descent,
    /// What it runs as: for the executions that it calls, and for its end.
    pub(crate) terms: Terms,
    instances: Arc<Instances>,
    /// What its instance has taken of the memory of the host.
    footprint: Arc<Footprint>,
    /// What it may take.
    room: Mutex<Option<Arc<Room>>>,
    /// How long it waits for promises.
    pub(crate) patience: Patience,
    /// How long the guest has run; waiting for promises does not count.
    pub(crate) stopwatch: Stopwatch,
    state: Mutex<State>,
    /// What capabilities keep of what the guest has done; as the state it goes with the run, and is rebuilt by repeating it.
    of_run: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    /// What the store says of promises of this execution, until the guest looks.
    inbox: Mutex<Vec<Notice>>,
    /// The execution has ended in the store: somebody canceled it, or its deadline passed.
    canceled: AtomicBool,
    /// Somebody does not want to see the end of what the guest does.
    interruption: Interruption,
    /// The run is over, and its execution about to be let go.
    over: AtomicBool,
    /// The function returned, and the store is about to be told.
    returned: AtomicBool,
    /// Something was settled or canceled.
    changed: Notify,
    /// What the effects of this run hold on to, by the promise that made it; it goes with the run.
    kept: Mutex<HashMap<u64, Arc<dyn Any + Send + Sync>>>,
    /// Held by an effect that the guest blocks on, also when the run has been stopped meanwhile.
    blocking: Arc<tokio::sync::Mutex<()>>,
}

/// What a run runs as, and until when.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// The component that runs.
    pub(crate) component: Digest,
    /// The version of the task.
    pub(crate) version: u64,
    /// The address of the worker group of this host.
    pub(crate) target: Arc<str>,
    /// The deadline of the execution, in milliseconds since the Unix epoch.
    pub(crate) deadline_ms: Option<u64>,
}

/// A promise that was settled in the store.
#[derive(Debug)]
pub(crate) struct Notice {
    /// Its number.
    pub(crate) number: u64,
    /// How.
    pub(crate) outcome: Result<String, GuestError>,
    /// When, in milliseconds since the Unix epoch.
    pub(crate) at_ms: u64,
    /// What the answer must fit, of a question; a child execution has none.
    question: Option<PendingPromise>,
}

impl State {
    /// Takes in what the store says of a promise.
    pub(crate) fn take_in(&mut self, notice: Notice, limits: &Limits) {
        let (number, at_ms) = (notice.number, notice.at_ms);
        let outcome = notice.checked(limits);
        let resolved = outcome.is_ok();
        self.mark_settled(number, outcome, at_ms);
        if let Some(promise) = self.promises.get_mut(number) {
            promise.answered_here |= resolved;
        }
    }
}

impl Notice {
    /// How a promise was settled, as the guest of its execution learns it; none while it is pending.
    pub(crate) fn of(number: u64, promise: &everstep_store::record::Promise) -> Option<Self> {
        let outcome = everstep_store::outcome_of(promise)?;
        let of_child =
            |error: GuestError| GuestError { message: format!("{}: {}", promise.id, error.message), ..error };
        let outcome = if promise.target().is_some() { outcome.map_err(of_child) } else { outcome };
        let question = PendingPromise::of(promise);
        Some(Self { number, outcome, at_ms: promise.settled_at.unwrap_or(promise.timeout_at), question })
    }

    /// The outcome as the guest may have it: whoever settles a promise past the hosts was not held to its schema there.
    fn checked(self, limits: &Limits) -> Result<String, GuestError> {
        let Self { outcome, question, .. } = self;
        let fits = match &question {
            Some(PendingPromise { schema, .. }) => {
                check_size(&outcome, limits.bytes_per_call).and_then(|()| check_fit(schema.as_deref(), &outcome))
            }
            None => outcome.as_ref().map_or(Ok(()), |json| json::check(json)).map_err(|error| error.to_string()),
        };
        fits.map_err(|why| GuestError::new(ErrorCode::Invalid, format!("the answer does not fit: {why}"))).and(outcome)
    }
}

/// What a bridge is made of.
pub(crate) struct Parts {
    pub(crate) id: ExecutionId,
    pub(crate) function: String,
    pub(crate) seed: [u8; 32],
    pub(crate) grants: Arc<Grants>,
    pub(crate) capabilities: Arc<Registry>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) terms: Terms,
    pub(crate) descent: Descent,
    pub(crate) instances: Arc<Instances>,
    pub(crate) patience: Patience,
    /// When what was written of it before is durable.
    pub(crate) since: Ticket,
}

/// How long a canceled guest may clean up that asked for it.
const CLEANUP: Duration = Duration::from_secs(5);

impl Bridge {
    /// The bridge of an execution that is in `state`.
    pub(crate) fn new(parts: Parts, mut state: State) -> Arc<Self> {
        let Parts { id, function, seed, grants, capabilities, clock, .. } = parts;
        let Parts { ledger, store, terms, descent, instances, patience, since, .. } = parts;
        state.note_submitted(since);
        let stopwatch = Stopwatch::new(grants.policy.limits.wall);
        Arc::new(Self {
            id,
            function,
            seed,
            grants,
            capabilities,
            clock,
            ledger,
            store,
            terms,
            descent,
            footprint: instances.footprint(),
            room: Mutex::default(),
            instances,
            patience,
            stopwatch,
            state: Mutex::new(state),
            of_run: Mutex::default(),
            inbox: Mutex::default(),
            canceled: AtomicBool::new(false),
            interruption: Interruption::default(),
            over: AtomicBool::new(false),
            returned: AtomicBool::new(false),
            changed: Notify::new(),
            kept: Mutex::default(),
            blocking: Arc::default(),
        })
    }

    /// Waits until there is room for an instance with all that the policy allows.
    pub(crate) async fn make_room(&self) {
        let room = self.instances.room(self.grants.policy.limits.memory).await;
        *self.room.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(room));
    }

    /// The instance is gone.
    pub(crate) fn leave_room(&self) {
        *self.room.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What its instance may take; none while no instance runs that goes on.
    fn room(&self) -> Option<Arc<Room>> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The most bytes that an instance of it may take, as far as the host goes.
    pub(crate) fn most_memory(&self) -> u64 {
        self.instances.most(self.grants.policy.limits.memory)
    }

    /// Where what its instance takes is counted.
    pub(crate) fn footprint(&self) -> Arc<Footprint> {
        Arc::clone(&self.footprint)
    }

    /// Tells the guest of a promise that was settled in the store. Does not wait for the state.
    pub(crate) fn notice(&self, notice: Notice) {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).push(notice);
        self.changed.notify_waiters();
    }

    /// Takes in what the store has said since the last look.
    fn take_notices_into(&self, state: &mut State) {
        let notices = std::mem::take(&mut *self.inbox.lock().unwrap_or_else(PoisonError::into_inner));
        notices.into_iter().for_each(|notice| state.take_in(notice, &self.grants.policy.limits));
    }

    /// Holds on to something for as long as this run lasts.
    pub(crate) fn keep_for_run(&self, number: u64, thing: Arc<dyn Any + Send + Sync>) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(number, thing);
    }

    /// What this run holds on to under that number.
    pub(crate) fn kept_for_run<T: Send + Sync + 'static>(&self, number: u64) -> Option<Arc<T>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(kept.get(&number)?).downcast().ok()
    }

    /// The rule that grants a promise which the guest has made, and whether it has resolved.
    pub(crate) fn granted_by(&self, number: u64) -> Option<(String, bool)> {
        let state = self.state();
        let promise = state.promises.of_guest(number)?;
        Some((promise.rule.clone()?, promise.delivered && matches!(promise.outcome, Some(Ok(_)))))
    }

    /// A connection, or the like, counts as open under its rule, and keeps the execution warm.
    pub(crate) fn note_open(&self, rule: &str) {
        let mut state = self.state();
        state.budget.opened(rule);
        state.budget.note_open_end();
    }

    /// It is over.
    pub(crate) fn note_closed(&self, rule: &str) {
        let mut state = self.state();
        state.budget.closed(rule);
        state.budget.note_closed_end();
        drop(state);
        self.changed.notify_waiters();
    }

    /// The right to an effect that cannot be given up half way, after the one before it. Whoever ends a run, or takes the
    /// execution up again, waits for it too.
    pub(crate) async fn block(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.blocking).lock_owned().await
    }

    /// What the bridge knows; its data is valid at every moment, so that a panic elsewhere does not matter.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a capability keeps of this run, under its own type; made by the first look.
    pub(crate) fn of_run<T: Any + Default + Send + Sync>(&self) -> Arc<T> {
        let mut of_run = self.of_run.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = of_run.entry(TypeId::of::<T>()).or_insert_with(|| Arc::<T>::default());
        Arc::clone(kept).downcast().unwrap_or_default()
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

    /// The guest asks for a chance to clean up.
    pub(crate) fn note_clean_up(&self) {
        self.state().clean_up();
    }

    /// Hands everything recorded so far to the ledger.
    pub(crate) fn submit_all(&self) -> Ticket {
        self.submit(&mut self.state())
    }

    /// The same with the state at hand.
    fn submit(&self, state: &mut State) -> Ticket {
        self.submit_with(state, Entry::default())
    }

    /// The same together with what else is to be written; an entry without records.
    fn submit_with(&self, state: &mut State, entry: Entry) -> Ticket {
        let mut entry = entry;
        let writes = !entry.changes_nothing() || state.steps.unsubmitted() > 0;
        if writes && state.budget.untold_us() > self.cpu_grain_us() {
            let now_ms = self.clock.now_ms();
            state.record_use(now_ms);
            entry.progress = Some(state.keep_progress(now_ms));
        }
        entry.records = state.steps.take_tail();
        entry.output = state.unsent.take_output();
        if !entry.is_empty() {
            state.unsent.note_submitted(self.ledger.append(entry));
        }
        state.unsent.submitted()
    }

    /// CPU time that may be lost in a crash: a twentieth of the limit.
    fn cpu_grain_us(&self) -> u64 {
        u64::try_from(self.grants.policy.limits.cpu.as_micros() / 20).unwrap_or(u64::MAX)
    }

    /// Like [`submit_with`](Self::submit_with), and asks for a write soon.
    fn submit_soon(&self, state: &mut State, entry: Entry) {
        self.submit_with(state, entry);
        self.ledger.soon();
    }

    /// The barrier: returns once everything up to `ticket` is durable.
    pub(crate) async fn durable(&self, ticket: Ticket) -> Result<(), Gone> {
        self.ledger.durable(ticket).await
    }

    /// The barrier before an external effect: everything up to `ticket` is durable, and the claim still holds.
    pub(crate) async fn may_begin(&self, ticket: Ticket) -> Result<(), Gone> {
        self.ledger.may_begin(ticket).await
    }

    /// Ends the run from outside: the store says that the execution has ended. Does not wait for the state.
    pub(crate) fn cancel(&self) {
        self.canceled.store(true, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    /// Whether the execution was ended from outside.
    pub(crate) fn is_canceled(&self) -> bool {
        self.canceled.load(Ordering::SeqCst)
    }

    /// Whether the run is over, and its execution about to be let go.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Whether the function has returned, and the store is about to be told.
    pub(crate) fn returned(&self) -> bool {
        self.returned.load(Ordering::SeqCst)
    }

    /// Notes that the function has returned.
    pub(crate) fn note_return(&self) {
        self.returned.store(true, Ordering::SeqCst);
    }

    /// Ends the run: nothing is recorded any more but its end. Returns what was submitted last.
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

    /// Completes once the run has to end: the execution was ended from outside, and the time to clean up is over for a guest that
    /// asked for it.
    pub(crate) async fn canceled(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_canceled() {
                break;
            }
            changed.await;
        }
        if self.state().cleans_up() {
            tokio::time::sleep(CLEANUP).await;
        }
    }
}
