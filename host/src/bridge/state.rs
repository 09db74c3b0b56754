//! What a bridge knows about its execution; rebuilt from the journal whenever a host takes the execution up.

use super::approval::APPROVAL;
use super::checkpoint::Part;
use super::promises::About;
use crate::guest_error::GuestError;
use crate::output::Output;
use crate::policy::Usage;
use everstep_store::Progress;
use everstep_store::journal::{Call, Corrupted, Journal, Record, Retries, Role};
use everstep_store::seam::{Entry, Ticket};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
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
    /// Those of them that are pending.
    pub(crate) pending: BTreeSet<u64>,
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
    /// The last checkpoint, and what has been used since.
    pub(crate) part: Part,
    /// CPU time of this run until it had repeated what is recorded.
    pub(crate) repeating_us: u64,
    /// CPU time that the store has been told of.
    pub(crate) kept_cpu_us: u64,
    /// The guest asked for a chance to clean up.
    pub(crate) cleans_up: bool,
    /// Somebody outside was asked, or a function was called, since the guest last waited: what it waits for begins with the next write.
    pub(crate) asks: bool,
    /// The promises that the guest waits for; none: any.
    pub(crate) waits_for: Option<Vec<u64>>,
    /// The journal holds the return of the function.
    pub(crate) returned: bool,
    /// The run is over: nothing is recorded through this state any more.
    pub(crate) concluded: bool,
    /// Written once the guest has repeated everything that is recorded.
    pub(crate) when_live: Entry,
    /// The approvals of each call, by what they are bound to.
    pub(crate) approvals: HashMap<[u8; 16], Vec<u64>>,
    /// Approvals that were decided on, and whose calls have not been told.
    pub(crate) decided: VecDeque<u64>,
    /// Connections, and the like, that would be lost with the run.
    pub(crate) open_ends: usize,
}

/// A promise of this execution.
pub(crate) struct Promise {
    pub(crate) role: Role,
    pub(crate) deadline_ms: Option<u64>,
    pub(crate) outcome: Option<Result<String, GuestError>>,
    /// When it settled; 0 while it has not.
    pub(crate) settled_ms: u64,
    /// The store holds the answer under the id of this execution: it is no fork that has it from its source.
    pub(crate) answered_here: bool,
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
    /// The further attempts of the effect.
    pub(crate) retries: Retries,
    /// It is an approval.
    pub(crate) approval: Option<Approval>,
    /// It is an approval, and waits behind an identical one.
    pub(crate) queued: bool,
    /// The approval that it was made with.
    pub(crate) approved_by: Option<u64>,
    /// That approval, while its effect must not begin.
    pub(crate) gated_by: Option<u64>,
    /// What begins then.
    pub(crate) held: Option<Box<Held>>,
    /// The rule that grants it.
    pub(crate) rule: Option<String>,
    /// The rule that counts it as open while it is pending.
    pub(crate) open_by: Option<String>,
}

/// A question whether a call may happen.
#[derive(Clone)]
pub(crate) struct Approval {
    /// The `[[ask]]` rule.
    pub(crate) rule: String,
    /// The digest of the call.
    pub(crate) key: [u8; 16],
    /// The promise whose effect waits for it; none when the guest itself does.
    pub(crate) gates: Option<u64>,
}

/// A call that waits for its approval.
pub(crate) struct Held {
    pub(crate) about: About,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) kind: &'static str,
    pub(crate) subject: String,
    /// The rule that grants it.
    pub(crate) rule: String,
    pub(crate) bytes: u64,
    /// The call in words.
    pub(crate) call: String,
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
            pending: BTreeSet::new(),
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
            part: Part::default(),
            repeating_us: 0,
            kept_cpu_us: progress.cpu_us,
            progress,
            attempts: 0,
            cleans_up: false,
            asks: false,
            waits_for: None,
            returned: false,
            concluded: false,
            when_live: Entry::default(),
            approvals: HashMap::new(),
            decided: VecDeque::new(),
            open_ends: 0,
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
                found.push((call.number, Promise::recorded(&call, role, deadline_ms)));
            }
        }
        for (number, mut promise) in found {
            promise.retries = self.journal.history.retries(number);
            promise.queued = promise.approval.as_ref().is_some_and(|approval| self.leader(approval).is_some());
            self.insert(number, promise);
            if let Some(approval) = number.checked_sub(1) {
                self.gate(approval, number);
            }
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
        // The calls of these have been told, or have begun.
        for number in std::mem::take(&mut self.decided) {
            let gated = self.promises.get(&number).and_then(|promise| promise.approval.as_ref()?.gates);
            if let Some(gated) = gated.and_then(|gated| self.promises.get_mut(&gated)) {
                gated.gated_by = None;
            }
        }
        self.show_first_of_each();
        Ok(())
    }

    /// Of identical approvals that wait, the first is the one that is shown.
    fn show_first_of_each(&mut self) {
        for numbers in self.approvals.values() {
            let mut shown: Vec<String> = Vec::new();
            for number in numbers {
                let Some(promise) = self.promises.get_mut(number).filter(|promise| promise.outcome.is_none()) else {
                    continue;
                };
                if let Some(Approval { rule, .. }) = &promise.approval {
                    promise.queued = shown.contains(rule);
                    shown.push(rule.clone());
                }
            }
        }
    }

    /// Notes that the effect of `gated` waits for an approval, if `approval` is one. It is nothing that the guest waits for.
    pub(crate) fn gate(&mut self, approval: u64, gated: u64) {
        let Some(Approval { gates, .. }) =
            self.promises.get_mut(&approval).and_then(|promise| promise.approval.as_mut())
        else {
            return;
        };
        if gates.replace(gated).is_none() {
            self.in_flight -= 1;
        }
        if let Some(promise) = self.promises.get_mut(&gated) {
            promise.approved_by = Some(approval);
            promise.gated_by = Some(approval);
        }
    }

    /// The pending approval of an identical call that is shown.
    pub(crate) fn leader(&self, approval: &Approval) -> Option<u64> {
        self.waiting(approval).find(|number| self.promises.get(number).is_some_and(|promise| !promise.queued))
    }

    /// Pending approvals of identical calls that are not shown yet.
    pub(crate) fn waiting_behind(&self, approval: &Approval) -> Vec<u64> {
        self.waiting(approval).collect()
    }

    fn waiting<'s>(&'s self, approval: &'s Approval) -> impl Iterator<Item = u64> + 's {
        let numbers = self.approvals.get(&approval.key).into_iter().flatten().copied();
        numbers.filter(|number| {
            self.promises
                .get(number)
                .is_some_and(|promise| promise.outcome.is_none() && promise.asks_by(&approval.rule))
        })
    }

    /// When the approval of a promise was given, if it needed one.
    pub(crate) fn approved_ms(&self, number: u64) -> Option<u64> {
        let approval = self.promises.get(&number)?.approved_by?;
        self.promises.get(&approval).filter(|approval| approval.outcome.is_some()).map(|approval| approval.settled_ms)
    }

    /// Gives a pending promise a deadline; an earlier one stays.
    pub(crate) fn set_deadline(&mut self, number: u64, deadline_ms: Option<u64>) -> Option<u64> {
        let promise = self.promises.get_mut(&number)?;
        let earlier = promise.deadline_ms.into_iter().chain(deadline_ms).min()?;
        if let Some(before) = promise.deadline_ms.replace(earlier) {
            self.deadlines.remove(&(before, number));
        }
        self.deadlines.insert((earlier, number));
        Some(earlier)
    }

    /// Adds a pending promise.
    pub(crate) fn insert(&mut self, number: u64, promise: Promise) {
        if let Some(deadline) = promise.deadline_ms {
            self.deadlines.insert((deadline, number));
        }
        if let Some(approval) = &promise.approval {
            self.approvals.entry(approval.key).or_default().push(number);
        }
        self.in_flight += 1;
        self.beside += promise.bytes;
        self.pending.insert(number);
        self.promises.insert(number, promise);
    }

    /// Notes the outcome of a promise; false when it has one, or there is no such promise.
    pub(crate) fn mark_settled(&mut self, number: u64, outcome: Result<String, GuestError>, at_ms: u64) -> bool {
        let Some(promise) = self.promises.get_mut(&number).filter(|promise| promise.outcome.is_none()) else {
            return false;
        };
        self.pending.remove(&number);
        promise.outcome = Some(outcome);
        promise.settled_ms = at_ms;
        promise.about = None;
        promise.effect = None;
        promise.held = None;
        self.beside -= promise.bytes;
        if let Some(deadline) = promise.deadline_ms {
            self.deadlines.remove(&(deadline, number));
        }
        if let Some(rule) = promise.open_by.take() {
            self.usage.closed(&rule);
        }
        if promise.approval.as_ref().is_some_and(|approval| approval.gates.is_some()) {
            self.decided.push_back(number);
        } else {
            self.in_flight -= 1;
            self.undelivered.push_back(number);
        }
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

    /// Notes that the store has the answer to a promise under the id of this execution.
    pub(crate) fn mark_answered_here(&mut self, number: u64) {
        if let Some(promise) = self.promises.get_mut(&number) {
            promise.answered_here = true;
        }
    }

    /// The approvals that the journal has an answer to.
    pub(crate) fn answered_approvals(&self) -> impl Iterator<Item = u64> {
        let answered = |number: &u64| self.promises.get(number).is_some_and(|one| matches!(one.outcome, Some(Ok(_))));
        self.approvals.values().flatten().copied().filter(answered)
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
        for number in &self.pending {
            let effect = self.promises.get_mut(number).and_then(|promise| promise.effect.take());
            effect.into_iter().for_each(|effect| effect.abort());
        }
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

    /// Records the CPU time that was used since that was recorded last.
    pub(crate) fn record_use(&mut self, now_ms: u64) {
        if self.kept_cpu_us != self.progress.cpu_us {
            let at_ms = self.tick(now_ms);
            self.journal.append(&Record::Used { at_ms, cpu_us: self.progress.cpu_us });
        }
    }

    /// The progress as it is now, for the store.
    pub(crate) fn keep_progress(&mut self, now_ms: u64) -> Box<Progress> {
        self.progress.steps = self.progress.steps.max(self.next);
        self.progress.updated_ms = self.tick(now_ms);
        self.kept_cpu_us = self.progress.cpu_us;
        Box::new(self.progress.clone())
    }

    /// Time for a record: never before the time of an earlier one.
    pub(crate) fn tick(&mut self, now_ms: u64) -> u64 {
        self.now_ms = self.now_ms.max(now_ms);
        self.now_ms
    }

    /// Bytes that are kept for the execution, in the journal and beside it.
    pub(crate) fn kept_bytes(&self) -> u64 {
        self.beside.saturating_add(self.journal.length() as u64)
    }

    /// Whether the deadline of a settled promise came first.
    pub(crate) fn is_timed_out(&self, number: u64) -> bool {
        let promise = self.promises.get(&number);
        promise.is_some_and(|promise| promise.deadline_ms.is_some_and(|deadline| deadline <= promise.settled_ms))
    }

    /// Pending promises of every kind: the store may know how they are settled.
    pub(crate) fn open(&self) -> impl Iterator<Item = u64> {
        self.pending.iter().copied()
    }

    /// The same with what is known of them.
    pub(crate) fn pending(&self) -> impl Iterator<Item = (u64, &Promise)> {
        self.pending.iter().filter_map(|number| Some((*number, self.promises.get(number)?)))
    }

    /// Pending promises that the store knows of, where others settle them.
    pub(crate) fn stored(&self) -> impl Iterator<Item = u64> {
        self.pending().filter(|(_, promise)| promise.is_stored()).map(|(number, _)| number)
    }

    /// Promises that wait for somebody outside.
    pub(crate) fn waiting_outside(&self) -> usize {
        self.pending().filter(|(_, promise)| promise.role == Role::External).count()
    }
}

impl Promise {
    /// Whether the store decides how it is settled.
    pub(crate) fn is_stored(&self) -> bool {
        matches!(self.role, Role::External | Role::Child) && !self.queued && self.gated_by.is_none()
    }

    /// Whether the guest has made it, and may use its number. It knows nothing of approvals.
    pub(crate) fn is_of_guest(&self) -> bool {
        self.called && self.approval.is_none()
    }

    /// Whether it is an approval that this rule asks for.
    pub(crate) fn asks_by(&self, rule: &str) -> bool {
        self.approval.as_ref().is_some_and(|approval| approval.rule == rule)
    }

    /// A promise as its call is recorded.
    fn recorded(call: &Call<'_>, role: Role, deadline_ms: Option<u64>) -> Self {
        let approval = match <[u8; 16]>::try_from(call.args) {
            Ok(key) if call.kind == APPROVAL => Some(Approval { rule: call.rule.to_owned(), key, gates: None }),
            _ => None,
        };
        Self { approval, rule: Some(call.rule.to_owned()), ..Self::new(role, deadline_ms) }
    }

    /// A pending promise.
    pub(crate) fn new(role: Role, deadline_ms: Option<u64>) -> Self {
        Self {
            role,
            deadline_ms,
            outcome: None,
            settled_ms: 0,
            answered_here: false,
            delivered: false,
            recorded: false,
            called: false,
            own: false,
            bytes: 0,
            about: None,
            asked: false,
            missing: false,
            effect: None,
            retries: Retries::default(),
            approval: None,
            queued: false,
            approved_by: None,
            gated_by: None,
            held: None,
            rule: None,
            open_by: None,
        }
    }
}
