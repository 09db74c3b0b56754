//! The approvals of an execution, by what they are bound to, and what was decided on.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

/// See the module.
#[derive(Default)]
pub(in crate::bridge) struct Approvals {
    /// The approvals of each call, by its digest.
    by_call: HashMap<[u8; 16], Vec<u64>>,
    /// Approvals that were decided on, and whose calls have not been told.
    decided: VecDeque<u64>,
}

impl Approvals {
    pub(super) fn insert(&mut self, key: [u8; 16], number: u64) {
        self.by_call.entry(key).or_default().push(number);
    }

    /// Those of one call, in the order of their steps.
    pub(in crate::bridge) fn alike(&self, key: &[u8; 16]) -> impl Iterator<Item = u64> + use<'_> {
        self.by_call.get(key).into_iter().flatten().copied()
    }

    /// Those of each call.
    pub(super) fn of_each_call(&self) -> impl Iterator<Item = &[u64]> {
        self.by_call.values().map(Vec::as_slice)
    }

    /// One was decided on, and gates a call.
    pub(super) fn note_decided(&mut self, number: u64) {
        self.decided.push_back(number);
    }

    /// The next one that was decided on and whose call has not been told.
    pub(in crate::bridge) fn next_decided(&mut self) -> Option<u64> {
        self.decided.pop_front()
    }

    /// Nobody is told of those.
    pub(super) fn forget(&mut self, numbers: &Range<u64>) {
        self.decided.retain(|number| !numbers.contains(number));
    }
}
