//! The approvals of an execution, by the call that they are bound to, and those that were decided.

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

    /// The approvals of each call.
    pub(super) fn of_each_call(&self) -> impl Iterator<Item = &[u64]> {
        self.by_call.values().map(Vec::as_slice)
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
