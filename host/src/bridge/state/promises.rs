//! The promises of an execution: the pending ones, those settled but not delivered, and the next deadline.

use super::super::About;
use super::promise::{Approval, Promise};
use crate::guest_error::{ErrorCode, GuestError};
use crate::policy::Limits;
use everstep_store::journal::Role;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeFrom;

/// See the module.
#[derive(Default)]
pub(in crate::bridge) struct Promises {
    all: BTreeMap<u64, Promise>,
    /// The numbers of those that are pending.
    pending: BTreeSet<u64>,
    /// Pending promises with a deadline, nearest first; a timer is one of them.
    deadlines: BTreeSet<(u64, u64)>,
    /// Promises that settled and were not delivered, in the order in which they settled.
    undelivered: VecDeque<u64>,
    /// Pending promises that the guest can wait for.
    in_flight: usize,
    /// A question was asked or a function called since the guest last waited; either begins with the next write.
    asks: bool,
    /// The promises that the guest waits for; `None`: any.
    waits_for: Option<Vec<u64>>,
}

impl Promises {
    pub(in crate::bridge) fn get(&self, number: u64) -> Option<&Promise> {
        self.all.get(&number)
    }

    pub(in crate::bridge) fn get_mut(&mut self, number: u64) -> Option<&mut Promise> {
        self.all.get_mut(&number)
    }

    /// A promise that the guest has made, and whose number it may use.
    pub(in crate::bridge) fn of_guest(&self, number: u64) -> Option<&Promise> {
        self.get(number).filter(|promise| promise.is_of_guest())
    }

    /// Adds a pending promise.
    pub(super) fn insert(&mut self, number: u64, promise: Promise) {
        if let Some(deadline) = promise.deadline_ms {
            self.deadlines.insert((deadline, number));
        }
        self.in_flight += 1;
        self.pending.insert(number);
        self.all.insert(number, promise);
    }

    /// Settles a promise; `None` if it is not pending.
    pub(super) fn settle(
        &mut self,
        number: u64,
        outcome: Result<String, GuestError>,
        at_ms: u64,
    ) -> Option<&mut Promise> {
        let promise = self.all.get_mut(&number).filter(|promise| promise.is_pending())?;
        self.pending.remove(&number);
        if let Some(deadline) = promise.deadline_ms {
            self.deadlines.remove(&(deadline, number));
        }
        promise.outcome = Some(outcome);
        promise.settled_ms = at_ms;
        promise.about = None;
        promise.effect = None;
        promise.held = None;
        Some(promise)
    }

    /// Queues a settled promise for delivery.
    pub(super) fn note_undelivered(&mut self, number: u64) {
        self.in_flight -= 1;
        self.undelivered.push_back(number);
    }

    /// Notes that the guest cannot wait for one of the promises.
    fn note_unseen(&mut self) {
        self.in_flight -= 1;
    }

    /// Notes that the effect of `gated` waits for an approval, if `approval` is one. The guest does not wait for the
    /// approval itself.
    pub(in crate::bridge) fn gate(&mut self, approval: u64, gated: u64) {
        let Some(Approval { gates, .. }) = self.get_mut(approval).and_then(|promise| promise.approval.as_mut()) else {
            return;
        };
        if gates.replace(gated).is_none() {
            self.note_unseen();
        }
        if let Some(promise) = self.get_mut(gated) {
            promise.approved_by = Some(approval);
            promise.gated_by = Some(approval);
        }
    }

    /// Gives a pending promise a deadline, unless it has an earlier one.
    pub(in crate::bridge) fn set_deadline(&mut self, number: u64, deadline_ms: Option<u64>) -> Option<u64> {
        let promise = self.all.get_mut(&number)?;
        let earlier = promise.deadline_ms.into_iter().chain(deadline_ms).min()?;
        if let Some(before) = promise.deadline_ms.replace(earlier) {
            self.deadlines.remove(&(before, number));
        }
        self.deadlines.insert((earlier, number));
        Some(earlier)
    }

    /// Deadlines of pending promises, in milliseconds since the Unix epoch, with the promise's number; nearest first.
    fn deadlines(&self) -> impl Iterator<Item = (u64, u64)> {
        self.deadlines.iter().copied()
    }

    /// The nearest deadline.
    pub(in crate::bridge) fn first_deadline(&self) -> Option<(u64, u64)> {
        self.deadlines.first().copied()
    }

    /// The number of pending promises that the guest can wait for.
    pub(in crate::bridge) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Promises that settled and were not delivered, in the order in which they settled.
    pub(in crate::bridge) fn undelivered(&self) -> impl Iterator<Item = u64> {
        self.undelivered.iter().copied()
    }

    /// Marks these promises as delivered to the guest.
    pub(in crate::bridge) fn mark_delivered(&mut self, numbers: &[u64]) {
        for number in numbers {
            if let Some(promise) = self.all.get_mut(number) {
                promise.delivered = true;
            }
        }
        // A replay knows of all settlements from the beginning: those that come next are the first.
        let is_delivered = |number: &u64| self.all.get(number).is_some_and(|promise| promise.delivered);
        let mut left = numbers.len();
        while left > 0 && self.undelivered.front().is_some_and(is_delivered) {
            self.undelivered.pop_front();
            left -= 1;
        }
        if left > 0 {
            self.undelivered.retain(|number| !is_delivered(number));
        }
    }

    /// Notes that a promise whose outcome the store should decide is missing there.
    pub(super) fn mark_missing(&mut self, number: u64) {
        if let Some(promise) = self.all.get_mut(&number) {
            promise.missing = promise.is_stored();
        }
    }

    /// Takes the pending promises that are missing in the store, except those that wait behind an identical one: the number, what each
    /// is about, and its deadline.
    pub(in crate::bridge) fn take_missing(&mut self) -> Vec<(u64, About, Option<u64>)> {
        let take = |number: &u64| {
            let promise = self.all.get_mut(number).filter(|promise| promise.missing && !promise.queued)?;
            let about = promise.about.take()?;
            promise.missing = false;
            Some((*number, about, promise.deadline_ms))
        };
        self.pending.iter().filter_map(take).collect()
    }

    /// When a settled promise would have settled had the guest waited all the time: a deadline that passed unseen counts.
    pub(in crate::bridge) fn fired_ms(&self, number: u64) -> u64 {
        self.get(number).map_or(0, |promise| promise.deadline_ms.unwrap_or(u64::MAX).min(promise.settled_ms))
    }

    /// What a guest that had waited all the time would have seen first: settled promises, in the order of their times, up to
    /// the first deadline that has passed, whether it has fired or not.
    pub(in crate::bridge) fn first_settled(&self, now_ms: u64, is_wanted: impl Fn(&u64) -> bool) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.undelivered().filter(&is_wanted).collect();
        numbers.sort_by_key(|number| self.fired_ms(*number));
        let fired = numbers.iter().copied().find(|number| self.is_timed_out(*number));
        let fired = fired.map(|number| self.fired_ms(number));
        let mut due = self.deadlines().take_while(|(deadline, _)| *deadline <= now_ms);
        let due = due.find(|(_, number)| is_wanted(number)).map(|(deadline, _)| deadline);
        if let Some(end) = fired.into_iter().chain(due).min() {
            numbers.retain(|number| self.fired_ms(*number) <= end);
        }
        numbers
    }

    /// Whether the deadline of a settled promise came first.
    fn is_timed_out(&self, number: u64) -> bool {
        let promise = self.get(number);
        promise.is_some_and(|promise| promise.deadline_ms.is_some_and(|deadline| deadline <= promise.settled_ms))
    }

    /// When the approval of a promise was given, if it needed one.
    pub(in crate::bridge) fn approved_ms(&self, number: u64) -> Option<u64> {
        let approval = self.get(number)?.approved_by?;
        self.get(approval).filter(|approval| !approval.is_pending()).map(|approval| approval.settled_ms)
    }

    /// Pending promises of every kind, whose outcome the store may know.
    pub(in crate::bridge) fn open(&self) -> impl Iterator<Item = u64> {
        self.pending.iter().copied()
    }

    /// The same, from a step on.
    pub(in crate::bridge) fn open_from(&self, numbers: RangeFrom<u64>) -> impl Iterator<Item = u64> {
        self.pending.range(numbers).copied()
    }

    /// The same, with the promises themselves.
    pub(in crate::bridge) fn pending(&self) -> impl Iterator<Item = (u64, &Promise)> {
        self.pending.iter().filter_map(|number| Some((*number, self.get(*number)?)))
    }

    /// All promises with a number in this range.
    pub(in crate::bridge) fn among(&self, numbers: std::ops::Range<u64>) -> Vec<u64> {
        self.all.range(numbers).map(|(number, _)| *number).collect()
    }

    /// Pending promises in the store, which others settle.
    pub(in crate::bridge) fn stored(&self) -> impl Iterator<Item = u64> {
        self.pending().filter(|(_, promise)| promise.is_stored()).map(|(number, _)| number)
    }

    /// The number of pending promises that are settled from outside.
    fn waiting_outside(&self) -> usize {
        self.pending().filter(|(_, promise)| promise.role == Role::External).count()
    }

    /// Checks that another promise with this role may be pending.
    ///
    /// # Errors
    /// A limit is reached.
    pub(in crate::bridge) fn check_room(&self, limits: &Limits, role: Role) -> Result<(), GuestError> {
        let full = |what: &str, limit: u64| {
            let message = format!("{limit} promises are pending already ({what}); await one first");
            Err(GuestError::new(ErrorCode::LimitExceeded, message))
        };
        if self.in_flight as u64 >= limits.in_flight {
            return full("limits.in_flight", limits.in_flight);
        }
        if role == Role::External && self.waiting_outside() as u64 >= limits.pending_promises {
            return full("limits.pending_promises", limits.pending_promises);
        }
        Ok(())
    }

    /// Aborts the effects that still run: their outcome will not be read.
    pub(in crate::bridge) fn stop_effects(&mut self) {
        for number in &self.pending {
            let effect = self.all.get_mut(number).and_then(|promise| promise.effect.take());
            effect.into_iter().for_each(|effect| effect.abort());
        }
    }

    /// Aborts the effect of one promise.
    pub(in crate::bridge) fn stop_effect(&mut self, number: u64) {
        let effect = self.get_mut(number).and_then(|promise| promise.effect.take());
        effect.into_iter().for_each(|effect| effect.abort());
    }

    /// Notes that a question is asked or a function called.
    pub(in crate::bridge) fn note_asked(&mut self) {
        self.asks = true;
    }

    /// Whether there was one since the last look. Clears the flag.
    pub(in crate::bridge) fn take_asked(&mut self) -> bool {
        std::mem::take(&mut self.asks)
    }

    /// Sets the promises that the guest waits for; `None`: any.
    pub(in crate::bridge) fn wait_for(&mut self, wanted: Option<&[u64]>) {
        self.waits_for = wanted.map(<[u64]>::to_vec);
    }

    /// Pending promises that the guest waits for.
    pub(in crate::bridge) fn waited_for(&self) -> impl Iterator<Item = u64> {
        self.open().filter(|number| self.waits_for.as_ref().is_none_or(|wanted| wanted.contains(number)))
    }
}
