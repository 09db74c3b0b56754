//! Everything a bridge knows about its execution; rebuilt from the journal whenever a host starts or resumes the
//! execution.
//!
//! Each part owns its fields: `steps` the journal and the guest's position in it; `promises` the pending ones and the next deadline, each a
//! `promise`; `approvals` are found by the calls that they are bound to; `budget` is the use of the limits; `unsent` is what is still to be
//! handed to the store. This file holds what concerns more than one of them, apart from `replay`, which compares the guest with the
//! journal.

mod approvals;
mod budget;
mod promise;
mod promises;
mod replay;
mod steps;
mod unsent;

pub(super) use budget::Part;
pub(super) use promise::{Approval, Promise};
pub(super) use replay::{Found, describe_parts, diverged};

use super::notice::timed_out;
use super::ruled::Ruled;
use super::{About, Cells, Facts, Notice, Patience, Stop};
use crate::guest_error::{ErrorCode, GuestError};
use crate::policy::{self, Limits};
use approvals::Approvals;
use budget::Budget;
use everstep_store::journal::{Corrupted, Journal, Record, Role};
use everstep_store::metrics::Tally;
use everstep_store::seam::{Entry, Ticket};
use everstep_store::{Asked, Progress};
use futures::future::BoxFuture;
use promises::Promises;
use std::collections::BTreeSet;
use std::ops::Range;
use steps::Steps;
use unsent::Unsent;

/// See the module.
pub(crate) struct State {
    pub(super) steps: Steps,
    pub(super) promises: Promises,
    pub(super) approvals: Approvals,
    pub(super) budget: Budget,
    pub(super) unsent: Unsent,
    pub(super) session: Cells,
    /// Effects that begin with the next wait of the guest, or when it yields.
    pub(super) beginning: Vec<BoxFuture<'static, ()>>,
    /// Steps that the metrics of the process do not count yet.
    pub(super) tally: Tally,
    /// The guest asked for time to clean up.
    cleans_up: bool,
}

impl State {
    /// The state of an execution before its guest has done anything; the journal says which promises exist and which
    /// of them are settled.
    pub(crate) fn new(journal: Journal, progress: Progress) -> Result<Self, Corrupted> {
        let mut state = Self::empty(journal, progress);
        state.scan()?;
        Ok(state)
    }

    /// The state of an execution whose journal holds no promises.
    pub(crate) fn empty(journal: Journal, progress: Progress) -> Self {
        Self {
            steps: Steps::new(journal),
            promises: Promises::default(),
            approvals: Approvals::default(),
            budget: Budget::new(progress),
            unsent: Unsent::default(),
            session: Cells::default(),
            beginning: Vec::new(),
            tally: Tally::default(),
            cleans_up: false,
        }
    }

    /// Only repeats what is recorded, up to this step.
    pub(crate) fn repeat_up_to(&mut self, number: u64) {
        self.steps.repeat_up_to(number);
    }

    /// Sets an entry to be written once the guest has repeated everything that is recorded.
    pub(crate) fn write_when_live(&mut self, entry: Entry) {
        self.unsent.write_when_live(entry);
    }

    /// Notes the last submission for the execution.
    pub(super) fn note_submitted(&mut self, since: Ticket) {
        self.unsent.note_submitted(since);
    }

    /// Takes the records that were not submitted to a store.
    pub(crate) fn take_records(&mut self) -> Vec<u8> {
        self.steps.take_tail()
    }

    /// Notes that the guest asks for time to clean up.
    pub(crate) fn clean_up(&mut self) {
        self.cleans_up = true;
    }

    /// Whether the guest has asked for it.
    pub(super) fn cleans_up(&self) -> bool {
        self.cleans_up
    }

    /// Reads the promises of the journal once, and passes the record of the start.
    fn scan(&mut self) -> Result<(), Corrupted> {
        self.steps.pass_start()?;
        let mut found = Vec::new();
        for record in self.steps.called() {
            if let Record::Called { call, role, deadline_ms } = record?
                && role != Role::Effect
            {
                found.push((call.number, Promise::recorded(&call, role, deadline_ms)));
            }
        }
        for (number, mut promise) in found {
            promise.retries = self.steps.retries(number);
            promise.queued = promise
                .approval
                .as_ref()
                .is_some_and(|approval| self.approvals.leader(&self.promises, approval).is_some());
            self.insert(number, promise);
            if let Some(approval) = number.checked_sub(1) {
                self.promises.gate(approval, number);
            }
        }
        for number in self.steps.settlements() {
            if self.promises.get(number).is_some()
                && let Some((at_ms, outcome)) = self.steps.settlement(number)?
            {
                let outcome = outcome.map(|json| String::from_utf8_lossy(&json).into_owned());
                self.mark_settled(number, outcome, at_ms);
                if let Some(promise) = self.promises.get_mut(number) {
                    promise.recorded = true;
                }
            }
        }
        // The calls of these approvals have begun, or have been refused.
        while let Some(number) = self.approvals.next_decided() {
            let gated = self.promises.get(number).and_then(|promise| promise.approval.as_ref()?.gates);
            if let Some(gated) = gated.and_then(|gated| self.promises.get_mut(gated)) {
                gated.gated_by = None;
            }
        }
        self.approvals.queue_identical(&mut self.promises);
        Ok(())
    }

    /// Shows an approval by creating its promise in the store, in one commit with the step that it guards.
    pub(super) fn show(&mut self, facts: &Facts, number: u64) {
        let Some(promise) = self.promises.get_mut(number).filter(|promise| promise.is_pending()) else { return };
        promise.queued = false;
        promise.missing = false;
        let deadline_ms = promise.deadline_ms;
        if let Some(About::Shown(asked)) = promise.about.take() {
            self.keep(facts, number, &asked, deadline_ms);
        }
    }

    /// Shows it if no identical question is shown.
    pub(super) fn show_if_first(&mut self, facts: &Facts, number: u64) {
        if self.promises.get(number).is_some_and(|promise| !promise.queued) {
            self.show(facts, number);
        }
    }

    /// The approvals that have an answer in the journal.
    pub(crate) fn answered_approvals(&self) -> impl Iterator<Item = u64> {
        self.approvals.answered(&self.promises)
    }

    /// Pending promises of every kind, whose outcome the store may know.
    pub(crate) fn open(&self) -> impl Iterator<Item = u64> {
        self.promises.open()
    }

    /// Notes that a promise whose outcome the store should decide is missing there.
    pub(crate) fn mark_missing(&mut self, number: u64) {
        self.promises.mark_missing(number);
    }

    /// Adds a pending promise.
    pub(super) fn insert(&mut self, number: u64, promise: Promise) {
        if let Some(approval) = &promise.approval {
            self.approvals.insert(approval.key, number);
        }
        self.budget.keep(promise.bytes);
        self.promises.insert(number, promise);
    }

    /// Adds the promise of a granted step; it counts as open under its rule until it is settled.
    pub(super) fn insert_granted(&mut self, ruled: &Ruled<'_>, mut promise: Promise) {
        let Ruled { step, number, rule } = *ruled;
        promise.rule = Some(rule.to_owned());
        if step.grant.stays_open() {
            self.budget.opened(rule);
            promise.open_by = Some(rule.to_owned());
        }
        self.insert(number, promise);
    }

    /// Sets the outcome of a promise; returns false if it has one, or there is no such promise.
    pub(super) fn mark_settled(&mut self, number: u64, outcome: Result<String, GuestError>, at_ms: u64) -> bool {
        let Some(promise) = self.promises.settle(number, outcome, at_ms) else { return false };
        self.budget.free(promise.bytes);
        if let Some(rule) = promise.open_by.take() {
            self.budget.closed(&rule);
        }
        if promise.approval.as_ref().is_some_and(|approval| approval.gates.is_some()) {
            self.approvals.note_decided(number);
        } else {
            self.promises.note_undelivered(number);
        }
        true
    }

    /// The promises that an execution waits for. A call that is not approved yet is replaced by its approval, or by the identical approval
    /// that is shown.
    pub(super) fn awaited(&self) -> BTreeSet<u64> {
        let approval = |number: u64| self.promises.get(number).and_then(|promise| promise.gated_by).unwrap_or(number);
        let shown = |number: u64| {
            let approval = self.promises.get(number).filter(|promise| promise.queued)?.approval.as_ref()?;
            self.approvals.leader(&self.promises, approval)
        };
        self.promises.waited_for().map(approval).map(|number| shown(number).unwrap_or(number)).collect()
    }

    /// Marks a promise as settled as the store reports it.
    pub(crate) fn take_in(&mut self, notice: Notice, limits: &Limits) {
        let (number, at_ms) = (notice.number, notice.at_ms);
        let outcome = notice.checked(limits);
        let resolved = outcome.is_ok();
        self.mark_settled(number, outcome, at_ms);
        if let Some(promise) = self.promises.get_mut(number) {
            promise.answered_here |= resolved;
        }
    }

    /// Settles a promise as its effect, its deadline or its guest does; the caller has checked that it is pending.
    pub(super) fn settle(&mut self, number: u64, outcome: Result<String, GuestError>, now_ms: u64) {
        self.promises.stop_effect(number);
        self.record_settlement(number, outcome, now_ms);
    }

    /// Settles a pending promise, in the journal too.
    pub(super) fn record_settlement(&mut self, number: u64, outcome: Result<String, GuestError>, now_ms: u64) {
        let at_ms = self.steps.tick(now_ms);
        self.mark_settled(number, outcome, at_ms);
        self.record_outcome(number);
    }

    /// Appends the settlement of a settled promise, unless the journal has it.
    pub(super) fn record_outcome(&mut self, number: u64) {
        let Some(promise) = self.promises.get_mut(number).filter(|promise| !promise.recorded) else { return };
        let Some(outcome) = &promise.outcome else { return };
        promise.recorded = true;
        let outcome = outcome.as_ref().map(|json| json.as_bytes().into()).map_err(Clone::clone);
        self.steps.append(&Record::Settled { number, at_ms: promise.settled_ms, outcome });
    }

    /// Settles the timers and requests that are due, in the order of their deadlines, up to what the guest would have seen first
    /// had it waited all the time: what settled before a deadline is delivered before that deadline fires. The store decides on
    /// the deadlines of its promises; later deadlines wait for its decision.
    pub(super) fn fire_timers(&mut self, facts: &Facts, is_wanted: impl Fn(&u64) -> bool) {
        let now_ms = facts.now_ms();
        while let Some((deadline, number)) = self.promises.first_deadline() {
            let Some(promise) = self.promises.get(number) else { return };
            let was_earlier = |number: u64| self.promises.fired_ms(number) < deadline;
            if promise.is_stored()
                || deadline > now_ms
                || self.promises.undelivered().filter(&is_wanted).any(was_earlier)
            {
                return;
            }
            let timer = promise.role == Role::Timer;
            let outcome = if timer { Ok("null".to_owned()) } else { Err(timed_out()) };
            self.settle(number, outcome, facts.now_ms());
        }
    }

    /// Cancels all pending promises, for a guest that cleans up.
    pub(super) fn cancel_open(&mut self, now_ms: u64) {
        let pending: Vec<u64> = self.open().collect();
        for number in pending {
            self.promises.stop_effect(number);
            let canceled = GuestError::new(ErrorCode::Canceled, "the execution is canceled");
            self.mark_settled(number, Err(canceled), now_ms);
        }
    }

    /// Whether a capability of this host works on a request, whose answer would be lost with the run; or, with [`Patience::Forever`],
    /// whether a connection is open that would be lost.
    pub(super) fn is_busy(&self, patience: Patience) -> bool {
        let connected = patience == Patience::Forever && self.budget.has_open_ends();
        connected || self.promises.pending().any(|(_, promise)| promise.effect.is_some())
    }

    /// Settles promises that the guest does not know of with `why`, at the time of the journal.
    pub(super) fn give_up(&mut self, numbers: Range<u64>, why: &GuestError) {
        let made = self.promises.among(numbers.clone());
        for number in &made {
            self.mark_settled(*number, Err(why.clone()), self.steps.now_ms());
        }
        self.promises.mark_delivered(&made);
        self.approvals.forget(&numbers);
    }

    /// Records the CPU time, if it has changed since it was last recorded.
    pub(super) fn record_use(&mut self, now_ms: u64) {
        if let Some(cpu_us) = self.budget.unrecorded_us() {
            let at_ms = self.steps.tick(now_ms);
            self.steps.append(&Record::Used { at_ms, cpu_us });
        }
    }

    /// The current progress, for the store.
    pub(super) fn keep_progress(&mut self, now_ms: u64) -> Box<Progress> {
        let now_ms = self.steps.tick(now_ms);
        self.budget.keep_progress(self.steps.next(), now_ms)
    }

    /// Hands everything recorded so far to the ledger.
    pub(super) fn submit(&mut self, facts: &Facts) -> Ticket {
        self.submit_with(facts, Entry::default())
    }

    /// Like [`submit`](Self::submit), together with `entry`, which must not carry records.
    pub(super) fn submit_with(&mut self, facts: &Facts, mut entry: Entry) -> Ticket {
        let writes = !entry.changes_nothing() || self.steps.unsubmitted() > 0;
        if writes && self.budget.is_to_be_told(facts.limits()) {
            let now_ms = facts.now_ms();
            self.record_use(now_ms);
            entry.progress = Some(self.keep_progress(now_ms));
        }
        self.tally.hand_over();
        entry.records = self.steps.take_tail();
        entry.output = self.unsent.take_output();
        if !entry.is_empty() {
            self.unsent.note_submitted(facts.ledger.append(entry));
        }
        self.unsent.submitted()
    }

    /// Like [`submit_with`](Self::submit_with), and asks for a write soon.
    pub(super) fn submit_soon(&mut self, facts: &Facts, entry: Entry) {
        self.submit_with(facts, entry);
        facts.ledger.soon();
    }

    /// Creates a promise in the store, in the commit that records the call, so that it can be found and settled even if this host is
    /// lost.
    pub(super) fn keep(&mut self, facts: &Facts, number: u64, asked: &Asked, deadline_ms: Option<u64>) {
        self.promises.note_asked();
        let create = facts.creation(number, asked.param(), asked.tags(), deadline_ms);
        self.submit_soon(facts, Entry::of(create));
    }

    /// Counts a granted call under its rule.
    pub(super) fn count(&mut self, rule: &str, call: &policy::Call<'_>) {
        self.budget.count(rule, call, self.steps.now_ms());
    }

    /// Withdraws the question about a step that cannot be made after all.
    pub(super) fn withdraw(&mut self, facts: &Facts, approval: u64) {
        self.submit_soon(facts, Entry::of(facts.cancellation(approval)));
    }

    /// Ends a run that has used up its steps or its journal.
    pub(super) fn check_limits(&self, limits: &Limits) -> Result<(), Stop> {
        self.check_steps(limits)?;
        self.check_room(limits, 0)
    }

    pub(super) fn check_steps(&self, limits: &Limits) -> Result<(), Stop> {
        let limit = limits.steps;
        if self.steps.next() <= limit {
            return Ok(());
        }
        Err(Stop::Limit(format!("the limit of {limit} steps is reached (limits.steps)")))
    }

    /// Checks that the execution may keep that many more bytes.
    pub(super) fn check_room(&self, limits: &Limits, bytes: u64) -> Result<(), Stop> {
        self.budget.check_room(limits, (self.steps.length() as u64).saturating_add(bytes))
    }

    /// Bytes kept for the execution, in the journal and beside it.
    pub(super) fn kept_bytes(&self) -> u64 {
        self.budget.beside().saturating_add(self.steps.length() as u64)
    }
}
