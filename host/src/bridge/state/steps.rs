//! The steps of an execution: its journal, and the guest's position in it.

use super::super::Stop;
use super::super::step::ArgsDigest;
use crate::guest_error::GuestError;
use everstep_store::Failure;
use everstep_store::journal::{Corrupted, Journal, Next, Outcome, Record, Retries, Trapped};
use std::borrow::Cow;

/// See the module.
pub(in crate::bridge) struct Steps {
    journal: Journal,
    /// The number of the next step.
    next: u64,
    /// Whether the guest has repeated everything that is recorded.
    live: bool,
    /// Only repeats what is recorded, up to this step.
    only_up_to: Option<u64>,
    /// Steps that were answered from the journal.
    replayed: u64,
    /// The latest time that the guest or the journal has seen, in milliseconds since the Unix epoch.
    now_ms: u64,
    /// Open computations that `recall` handed out: number and name, in the order of the numbers.
    memos: Vec<(u64, String)>,
    /// The digest of the arguments of the computation that was named last: a loop computes under one name.
    last_memo: Option<(String, ArgsDigest)>,
    /// The journal holds the return of the function.
    returned: bool,
    /// The run is over: nothing more is recorded.
    concluded: bool,
}

impl Steps {
    pub(super) fn new(journal: Journal) -> Self {
        Self {
            journal,
            next: 0,
            live: false,
            only_up_to: None,
            replayed: 0,
            now_ms: 0,
            memos: Vec::new(),
            last_memo: None,
            returned: false,
            concluded: false,
        }
    }

    /// The format that the journal began under.
    pub(in crate::bridge) fn format(&self) -> u64 {
        self.journal.history.format()
    }

    /// The number of the next step.
    pub(in crate::bridge) fn next(&self) -> u64 {
        self.next
    }

    /// Takes the number of the next step.
    pub(in crate::bridge) fn take(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    /// Returns the number that was taken last: its step is not made.
    pub(in crate::bridge) fn give_back(&mut self, number: u64) {
        self.next = number;
    }

    /// Whether the guest has repeated everything, so that what it does is new.
    pub(in crate::bridge) fn is_live(&self) -> bool {
        self.live
    }

    /// Notes that the guest has repeated everything.
    pub(in crate::bridge) fn note_live(&mut self) {
        self.live = true;
    }

    /// Only repeats what is recorded, up to this step.
    pub(super) fn repeat_up_to(&mut self, number: u64) {
        self.only_up_to = Some(number);
    }

    /// Whether the run only repeats what is recorded.
    pub(in crate::bridge) fn is_replay(&self) -> bool {
        self.only_up_to.is_some()
    }

    /// Ends a replay that has reached its last step.
    ///
    /// # Errors
    /// [`Stop::Replayed`].
    pub(in crate::bridge) fn check_end(&self) -> Result<(), Stop> {
        if self.only_up_to.is_some_and(|end| self.next >= end) { Err(Stop::Replayed) } else { Ok(()) }
    }

    /// Steps that were answered from the journal.
    pub(in crate::bridge) fn replayed(&self) -> u64 {
        self.replayed
    }

    /// The next record; `None` once the guest has repeated everything.
    pub(in crate::bridge) fn peek(&mut self) -> Result<Option<(Record<'_>, Next)>, Corrupted> {
        self.journal.history.peek()
    }

    /// The next record, if it is that of the step with this number.
    pub(in crate::bridge) fn peek_step(&mut self, number: u64) -> Result<Option<(Record<'_>, Next)>, Corrupted> {
        let next = self.peek()?;
        Ok(next.filter(|(record, _)| matches!(record, Record::Step { call, .. } if call.number == number)))
    }

    /// Whether the guest has repeated everything that is recorded.
    pub(in crate::bridge) fn has_caught_up(&mut self) -> Result<bool, Corrupted> {
        Ok(self.live || self.peek()?.is_none())
    }

    /// Passes a record that is not a step.
    pub(in crate::bridge) fn pass(&mut self, next: Next) {
        self.journal.history.advance(next);
    }

    /// Passes the record of a step whose number was taken.
    pub(in crate::bridge) fn pass_taken(&mut self, next: Next) {
        self.pass(next);
        self.replayed += 1;
    }

    /// Passes the record of the next step, which was made at `at_ms`.
    pub(in crate::bridge) fn pass_step(&mut self, next: Next, at_ms: u64) {
        self.pass_taken(next);
        self.take();
        self.tick(at_ms);
    }

    /// Skips all steps before `to`, and the record after them, made at `at_ms`.
    pub(in crate::bridge) fn pass_over(&mut self, to: u64, next: Next, at_ms: u64) {
        self.pass(next);
        self.replayed += to - self.next;
        self.next = to;
        self.tick(at_ms);
    }

    /// Passes the record of the start.
    pub(super) fn pass_start(&mut self) -> Result<(), Corrupted> {
        self.journal.history.pass_start()
    }

    /// The records of calls whose outcome comes later.
    pub(super) fn called(&self) -> impl Iterator<Item = Result<Record<'_>, Corrupted>> {
        self.journal.history.called()
    }

    /// The numbers of the promises whose settlement the journal has, in order.
    pub(super) fn settlements(&self) -> Vec<u64> {
        self.journal.history.settlements().to_vec()
    }

    /// When and how a promise settled, if that is recorded.
    pub(in crate::bridge) fn settlement(&self, number: u64) -> Result<Option<(u64, Outcome<'_>)>, Corrupted> {
        self.journal.history.settlement(number)
    }

    /// The retries of an effect.
    pub(super) fn retries(&self, number: u64) -> Retries {
        self.journal.history.retries(number)
    }

    /// The trap after a checkpoint, if one is recorded.
    pub(in crate::bridge) fn trap(&self, checkpoint: u64) -> Result<Option<(Trapped<'_>, Next)>, Corrupted> {
        self.journal.history.trap(checkpoint)
    }

    /// Adds a record.
    pub(in crate::bridge) fn append(&mut self, record: &Record<'_>) {
        self.journal.append(record);
    }

    /// Truncates the journal to `length` bytes.
    pub(in crate::bridge) fn take_back(&mut self, length: usize) {
        self.journal.take_back(length);
    }

    /// The length of the journal, in bytes.
    pub(in crate::bridge) fn length(&self) -> usize {
        self.journal.length()
    }

    /// Bytes that were not submitted to a store yet.
    pub(in crate::bridge) fn unsubmitted(&self) -> usize {
        self.journal.unsubmitted()
    }

    /// Takes the bytes that were not submitted.
    pub(in crate::bridge) fn take_tail(&mut self) -> Vec<u8> {
        self.journal.take_tail()
    }

    /// Returns a time for a record: `now_ms`, but never before that of an earlier record.
    pub(in crate::bridge) fn tick(&mut self, now_ms: u64) -> u64 {
        self.now_ms = self.now_ms.max(now_ms);
        self.now_ms
    }

    /// The latest time that the guest or the journal has seen.
    pub(in crate::bridge) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Notes that a computation whose value is unknown was handed out.
    pub(in crate::bridge) fn open_memo(&mut self, number: u64, name: String) {
        self.memos.push((number, name));
    }

    /// Closes a computation, and returns its name.
    ///
    /// # Errors
    /// It is not open; or this one, which began after it, is.
    pub(in crate::bridge) fn close_memo(&mut self, number: u64) -> Result<String, Option<u64>> {
        let at = self.memos.binary_search_by_key(&number, |(open, _)| *open).map_err(|_| None)?;
        match self.memos.get(at + 1) {
            Some((inner, _)) => Err(Some(*inner)),
            None => Ok(self.memos.remove(at).1),
        }
    }

    /// The digest of the arguments of a computation; `digest` makes it.
    pub(in crate::bridge) fn memo_digest(&mut self, name: &str, digest: impl FnOnce() -> ArgsDigest) -> ArgsDigest {
        match &self.last_memo {
            Some((last, digest)) if last == name => *digest,
            _ => self.last_memo.insert((name.to_owned(), digest())).1,
        }
    }

    /// Notes that the journal holds the return of the function.
    pub(in crate::bridge) fn note_return(&mut self) {
        self.returned = true;
    }

    /// Records the return of the function, unless the journal holds it.
    pub(in crate::bridge) fn record_return(&mut self, now_ms: u64, outcome: &Result<String, GuestError>) {
        if self.returned {
            return;
        }
        let at_ms = self.tick(now_ms);
        let outcome = outcome.as_ref().map(|json| json.as_bytes().into()).map_err(Clone::clone);
        self.append(&Record::Returned { at_ms, outcome });
    }

    /// Records why the execution halts.
    pub(in crate::bridge) fn record_halt(&mut self, cause: &Failure, now_ms: u64) {
        let Failure { kind, message } = cause;
        // Names always serialise.
        let kind = Cow::Owned(serde_json::to_string(kind).unwrap_or_default());
        let at_ms = self.tick(now_ms);
        self.append(&Record::Halted { at_ms, kind, message: Cow::Borrowed(message) });
    }

    /// Notes that the run is over.
    pub(in crate::bridge) fn conclude(&mut self) {
        self.concluded = true;
    }

    pub(in crate::bridge) fn is_concluded(&self) -> bool {
        self.concluded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::{Arg, Step};
    use everstep_store::journal::History;

    fn steps() -> Steps {
        Steps::new(Journal::new(History::default()))
    }

    #[test]
    fn computations_are_closed_from_the_inside() {
        let mut steps = steps();
        for (number, name) in [(3, "outer"), (5, "inner"), (6, "innermost")] {
            steps.open_memo(number, name.to_owned());
        }
        assert_eq!(steps.close_memo(3), Err(Some(5)));
        assert_eq!(steps.close_memo(4), Err(None));
        for (number, name) in [(6, "innermost"), (5, "inner"), (3, "outer")] {
            assert_eq!(steps.close_memo(number).as_deref(), Ok(name));
            assert_eq!(steps.close_memo(number), Err(None));
        }
    }

    #[test]
    fn the_digest_of_a_computation_is_that_of_its_name() {
        let mut steps = steps();
        for name in ["a", "a", "b", "a"] {
            let args = [Arg::of("name", name.as_bytes())];
            let step = Step::ungranted("memo.remember", name, &args);
            let digest = steps.memo_digest(name, || step.digest());
            assert_eq!(digest.as_slice(), step.digest().as_slice(), "{name}");
        }
    }
}
