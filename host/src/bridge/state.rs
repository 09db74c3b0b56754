//! What a bridge knows about its execution; rebuilt from the journal whenever a host takes the execution up.

use super::promises::About;
use crate::guest_error::GuestError;
use crate::journal::{Corrupted, Journal, Record, Role, Ticket};
use crate::output::Output;
use crate::policy::Usage;
use crate::store::{Change, Progress};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tokio::task::AbortHandle;

/// See the module.
pub(crate) struct State {
    pub(crate) journal: Journal,
    /// The number of the next step.
    pub(crate) next: u64,
    /// Whether the guest has repeated everything that is recorded.
    pub(crate) live: bool,
    /// Nothing is to be done but to repeat what is recorded, up to this step.
    pub(crate) only_up_to: Option<u64>,
    /// Steps that were answered from the journal.
    pub(crate) replayed: u64,
    pub(crate) promises: BTreeMap<u64, Promise>,
    /// Pending promises with a deadline, nearest first; a timer is one of them.
    pub(crate) deadlines: BTreeSet<(u64, u64)>,
    /// Promises that settled and were not delivered, in the order in which they settled.
    pub(crate) undelivered: VecDeque<u64>,
    /// Promises that have not settled.
    pub(crate) in_flight: usize,
    /// Computations that `recall` handed out: number and name.
    pub(crate) memos: BTreeMap<u64, String>,
    /// Bytes that are kept beside the journal: names of open computations, and what pending promises show and send.
    pub(crate) beside: u64,
    /// Quotas used, counted from the steps themselves, so that a crash does not refill them.
    pub(crate) usage: Usage,
    /// Bytes shown so far, up to the limit.
    pub(crate) shown: u64,
    /// The latest time that the guest or the journal has seen, in milliseconds since the Unix epoch.
    pub(crate) now_ms: u64,
    /// Output of records that are not submitted yet.
    pub(crate) output: Vec<Output>,
    /// The last submission.
    pub(crate) submitted: Ticket,
    pub(crate) progress: Progress,
    /// How often a host has taken the execution up.
    pub(crate) attempts: u64,
    /// CPU time of this run, a replay included, in microseconds.
    pub(crate) cpu_us: u64,
    /// CPU time that the store has been told of.
    pub(crate) kept_cpu_us: u64,
    /// The guest asked for a chance to clean up.
    pub(crate) cleans_up: bool,
    /// The promises that the guest waits for; none: any.
    pub(crate) waits_for: Option<Vec<u64>>,
    /// The journal holds the return of the function.
    pub(crate) returned: bool,
    /// The run is over: nothing is recorded through this state any more.
    pub(crate) concluded: bool,
    /// Changes that hold once the guest has repeated everything that is recorded.
    pub(crate) when_live: Vec<Change>,
}

/// A promise of this execution.
pub(crate) struct Promise {
    pub(crate) role: Role,
    pub(crate) deadline_ms: Option<u64>,
    pub(crate) outcome: Option<Result<String, GuestError>>,
    /// When it settled; 0 while it has not.
    pub(crate) settled_ms: u64,
    pub(crate) delivered: bool,
    /// Whether the journal has its settlement.
    pub(crate) recorded: bool,
    /// Whether the guest has made the call that created it; before that it is known from the journal only.
    pub(crate) called: bool,
    /// Whether the guest itself may settle it.
    pub(crate) own: bool,
    /// Bytes that are kept for it beside the journal while it is pending.
    pub(crate) bytes: u64,
    /// What it is about, kept in a replay while the promise is pending: what was lost is sent, or kept in the store, again.
    pub(crate) about: Option<About>,
    /// The store was asked what became of it at its deadline.
    pub(crate) asked: bool,
    /// The store should know of it, and does not.
    pub(crate) missing: bool,
    /// The effect that will settle it, if it runs in this host.
    pub(crate) effect: Option<AbortHandle>,
}

impl State {
    /// The state of an execution before its guest has done anything; the journal says which promises exist and
    /// which of them are settled.
    pub(crate) fn new(journal: Journal, progress: Progress) -> Result<Self, Corrupted> {
        let mut state = Self::empty(journal, progress);
        state.scan()?;
        Ok(state)
    }

    /// The state of an execution whose journal holds no promises.
    pub(crate) fn empty(journal: Journal, progress: Progress) -> Self {
        Self {
            journal,
            next: 0,
            live: false,
            only_up_to: None,
            replayed: 0,
            promises: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            undelivered: VecDeque::new(),
            in_flight: 0,
            memos: BTreeMap::new(),
            beside: 0,
            usage: Usage::default(),
            shown: 0,
            now_ms: 0,
            output: Vec::new(),
            submitted: Ticket::default(),
            cpu_us: 0,
            kept_cpu_us: progress.cpu_us,
            progress,
            attempts: 0,
            cleans_up: false,
            waits_for: None,
            returned: false,
            concluded: false,
            when_live: Vec::new(),
        }
    }

    /// Walks through the promises of the journal once, and passes the record of the start.
    fn scan(&mut self) -> Result<(), Corrupted> {
        self.journal.history.pass_start()?;
        let mut found = Vec::new();
        for record in self.journal.history.called() {
            if let Record::Called { call, role, deadline_ms } = record?
                && role != Role::Effect
            {
                found.push((call.number, role, deadline_ms));
            }
        }
        for (number, role, deadline_ms) in found {
            self.insert(number, Promise::new(role, deadline_ms));
        }
        for number in self.journal.history.settlements().to_vec() {
            if self.promises.contains_key(&number)
                && let Some((at_ms, outcome)) = self.journal.history.settlement(number)?
            {
                let outcome = outcome.map(|json| String::from_utf8_lossy(&json).into_owned());
                self.mark_settled(number, outcome, at_ms);
                self.mark_recorded(number);
            }
        }
        Ok(())
    }

    /// Adds a pending promise.
    pub(crate) fn insert(&mut self, number: u64, promise: Promise) {
        if let Some(deadline) = promise.deadline_ms {
            self.deadlines.insert((deadline, number));
        }
        self.in_flight += 1;
        self.beside += promise.bytes;
        self.promises.insert(number, promise);
    }

    /// Notes the outcome of a promise; false when it has one, or there is no such promise.
    pub(crate) fn mark_settled(&mut self, number: u64, outcome: Result<String, GuestError>, at_ms: u64) -> bool {
        let Some(promise) = self.promises.get_mut(&number).filter(|promise| promise.outcome.is_none()) else {
            return false;
        };
        promise.outcome = Some(outcome);
        promise.settled_ms = at_ms;
        promise.about = None;
        promise.effect = None;
        self.beside -= promise.bytes;
        if let Some(deadline) = promise.deadline_ms {
            self.deadlines.remove(&(deadline, number));
        }
        self.in_flight -= 1;
        self.undelivered.push_back(number);
        true
    }

    /// Settles a promise that is pending, in the journal.
    pub(crate) fn record_settlement(&mut self, number: u64, outcome: Result<String, GuestError>, now_ms: u64) {
        let at_ms = self.tick(now_ms);
        self.mark_settled(number, outcome, at_ms);
        self.record_outcome(number);
    }

    /// Appends the settlement of a promise that is settled, unless the journal has it.
    pub(crate) fn record_outcome(&mut self, number: u64) {
        let Some(promise) = self.promises.get_mut(&number).filter(|promise| !promise.recorded) else { return };
        let Some(outcome) = &promise.outcome else { return };
        promise.recorded = true;
        let outcome = outcome.as_ref().map(|json| json.as_bytes().into()).map_err(Clone::clone);
        self.journal.append(&Record::Settled { number, at_ms: promise.settled_ms, outcome });
    }

    /// Notes that the store does not know of a promise whose outcome it should decide.
    pub(crate) fn mark_missing(&mut self, number: u64) {
        if let Some(promise) = self.promises.get_mut(&number) {
            promise.missing = promise.is_stored();
        }
    }

    fn mark_recorded(&mut self, number: u64) {
        if let Some(promise) = self.promises.get_mut(&number) {
            promise.recorded = true;
        }
    }

    /// When a settled promise would have settled had the guest waited all the time: a deadline that passed unseen counts.
    pub(crate) fn fired_ms(&self, number: u64) -> u64 {
        self.promises.get(&number).map_or(0, |promise| promise.deadline_ms.unwrap_or(u64::MAX).min(promise.settled_ms))
    }

    /// Drops the effects that still run: nobody will read their outcome.
    pub(crate) fn stop_effects(&mut self) {
        self.promises.values_mut().filter_map(|promise| promise.effect.take()).for_each(|effect| effect.abort());
    }

    /// Notes that the guest is told about these promises.
    pub(crate) fn mark_delivered(&mut self, numbers: &[u64]) {
        for number in numbers {
            if let Some(promise) = self.promises.get_mut(number) {
                promise.delivered = true;
            }
        }
        self.undelivered.retain(|number| !self.promises.get(number).is_some_and(|promise| promise.delivered));
    }

    /// The progress as it is now, for the store.
    pub(crate) fn keep_progress(&mut self, now_ms: u64) -> Change {
        self.progress.steps = self.progress.steps.max(self.next);
        self.progress.updated_ms = self.tick(now_ms);
        self.kept_cpu_us = self.progress.cpu_us;
        Change::Progress(self.journal.key(), Box::new(self.progress.clone()))
    }

    /// Time for a record: never before the time of an earlier one.
    pub(crate) fn tick(&mut self, now_ms: u64) -> u64 {
        self.now_ms = self.now_ms.max(now_ms);
        self.now_ms
    }

    /// Bytes that are kept for the execution, in the journal and beside it.
    pub(crate) fn kept_bytes(&self) -> u64 {
        self.beside.saturating_add(self.journal.len() as u64)
    }

    /// Whether the deadline of a settled promise came first.
    pub(crate) fn is_timed_out(&self, number: u64) -> bool {
        let promise = self.promises.get(&number);
        promise.is_some_and(|promise| promise.deadline_ms.is_some_and(|deadline| deadline <= promise.settled_ms))
    }

    /// Pending promises of every kind: the store may know how they are settled.
    pub(crate) fn open(&self) -> impl Iterator<Item = u64> {
        self.promises.iter().filter(|(_, promise)| promise.outcome.is_none()).map(|(number, _)| *number)
    }

    /// Pending promises that the store knows of, where others settle them.
    pub(crate) fn stored(&self) -> impl Iterator<Item = u64> {
        let pending = self.promises.iter().filter(|(_, promise)| promise.outcome.is_none() && promise.is_stored());
        pending.map(|(number, _)| *number)
    }

    /// Promises that wait for somebody outside.
    pub(crate) fn waiting_outside(&self) -> usize {
        let waits = |promise: &&Promise| promise.role == Role::External && promise.outcome.is_none();
        self.promises.values().filter(waits).count()
    }
}

impl Promise {
    /// Whether the store decides how it is settled.
    pub(crate) fn is_stored(&self) -> bool {
        matches!(self.role, Role::External | Role::Child)
    }

    /// A pending promise.
    pub(crate) fn new(role: Role, deadline_ms: Option<u64>) -> Self {
        let (outcome, about, effect) = (None, None, None);
        let (settled_ms, bytes) = (0, 0);
        let (delivered, recorded, called, own) = (false, false, false, false);
        let (asked, missing) = (false, false);
        Self {
            role,
            deadline_ms,
            outcome,
            settled_ms,
            delivered,
            recorded,
            called,
            own,
            bytes,
            about,
            asked,
            missing,
            effect,
        }
    }
}
