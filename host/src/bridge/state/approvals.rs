//! The approvals of an execution, by the call that they are bound to, and those that were decided.

use super::promise::{Approval, Promise};
use super::promises::Promises;
use crate::policy::{Policy, Remember};
use std::collections::{HashMap, VecDeque};
use std::ops::Range;

/// See the module.
#[derive(Default)]
pub(in crate::bridge) struct Approvals {
    /// The approvals of each call, by its digest.
    by_call: HashMap<[u8; 16], Vec<u64>>,
    /// Approvals that were decided, and whose calls have not been started or refused yet.
    decided: VecDeque<u64>,
}

impl Approvals {
    pub(super) fn insert(&mut self, key: [u8; 16], number: u64) {
        self.by_call.entry(key).or_default().push(number);
    }

    /// The approvals of one call, in the order of their steps.
    pub(in crate::bridge) fn alike(&self, key: &[u8; 16]) -> impl Iterator<Item = u64> + use<'_> {
        self.by_call.get(key).into_iter().flatten().copied()
    }

    /// Those of identical calls that are pending.
    pub(in crate::bridge) fn waiting<'s>(
        &'s self,
        promises: &'s Promises,
        approval: &'s Approval,
    ) -> impl Iterator<Item = u64> + 's {
        let waits = |promise: &Promise| promise.is_pending() && promise.asks_by(&approval.rule);
        self.alike(&approval.key).filter(move |number| promises.get(*number).is_some_and(waits))
    }

    /// The pending approval of an identical call that is shown.
    pub(in crate::bridge) fn leader(&self, promises: &Promises, approval: &Approval) -> Option<u64> {
        self.waiting(promises, approval).find(|number| promises.get(*number).is_some_and(|promise| !promise.queued))
    }

    /// Whether the store holds the answer under the id of this execution: to the approval itself or, where one answer holds for
    /// identical calls, to one of them.
    pub(in crate::bridge) fn is_own(&self, promises: &Promises, policy: &Policy, number: u64) -> bool {
        let approval = promises.get(number).and_then(|promise| promise.approval.as_ref());
        let shared = approval.filter(|approval| {
            let rule = policy.ask_rule(&approval.rule);
            rule.is_some_and(|rule| rule.remember == Remember::Execution)
        });
        let alike = shared.into_iter().flat_map(|approval| {
            let asks = |promise: &Promise| promise.asks_by(&approval.rule);
            self.alike(&approval.key).filter(move |number| promises.get(*number).is_some_and(asks))
        });
        let answered_here = |number| promises.get(number).is_some_and(|promise| promise.answered_here);
        std::iter::once(number).chain(alike).any(answered_here)
    }

    /// Of identical approvals that wait, queues all but the first.
    pub(super) fn queue_identical(&self, promises: &mut Promises) {
        for numbers in self.by_call.values() {
            let mut shown: Vec<String> = Vec::new();
            for number in numbers {
                let Some(promise) = promises.get_mut(*number).filter(|promise| promise.is_pending()) else {
                    continue;
                };
                if let Some(Approval { rule, .. }) = &promise.approval {
                    promise.queued = shown.contains(rule);
                    shown.push(rule.clone());
                }
            }
        }
    }

    /// Those that have an answer in the journal.
    pub(super) fn answered<'s>(&'s self, promises: &'s Promises) -> impl Iterator<Item = u64> + 's {
        let is_answer = |promise: &Promise| matches!(promise.outcome, Some(Ok(_)));
        let answered = move |number: &u64| promises.get(*number).is_some_and(is_answer);
        self.by_call.values().flatten().copied().filter(answered)
    }

    /// Notes that an approval that gates a call was decided.
    pub(super) fn note_decided(&mut self, number: u64) {
        self.decided.push_back(number);
    }

    /// Takes the next approval that was decided and whose call has not been started or refused.
    pub(in crate::bridge) fn next_decided(&mut self) -> Option<u64> {
        self.decided.pop_front()
    }

    /// Drops the decisions of these approvals.
    pub(super) fn forget(&mut self, numbers: &Range<u64>) {
        self.decided.retain(|number| !numbers.contains(number));
    }
}
