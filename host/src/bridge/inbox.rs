//! Settlements that the store has reported, until the guest takes them in.

use super::Notice;
use std::collections::HashSet;

/// See the module.
#[derive(Default)]
pub(super) struct Inbox {
    notices: Vec<Notice>,
    /// Those that were foretold, until they are durable.
    foretold: HashSet<u64>,
}

impl Inbox {
    /// Adds a settlement that is durable; `false` if it was foretold.
    pub(super) fn add(&mut self, notice: Notice) -> bool {
        let is_new = !self.foretold.remove(&notice.number);
        self.notices.extend(is_new.then_some(notice));
        is_new
    }

    /// Adds one that is being written.
    pub(super) fn add_foretold(&mut self, notice: Notice) {
        self.foretold.insert(notice.number);
        self.notices.push(notice);
    }

    /// Takes those that were added since the last call.
    pub(super) fn take(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }
}
