//! The journal of an execution: the ordered records whose replay reproduces it.
//!
//! `FORMAT.md` fixes the bytes, `codec` frames them, `record` gives them meaning. `history` is the recorded part with the one
//! cursor that replay reads through; [`Journal`] adds the tail that grows while the guest is live. `commit` makes tails
//! durable, for all executions at once. What a kind of step means is not known here.

mod codec;
mod commit;
mod history;
mod record;
#[cfg(test)]
mod tests;

pub(crate) use codec::Corrupted;
pub(crate) use commit::{Committer, Ticket, take_writing_us};
pub(crate) use history::{History, Next, Retries, records};
pub(crate) use record::{Call, FORMAT, Outcome, Record, Role, Started, Trapped};

use crate::id::Digest;
use crate::store::{Change, Execution, ExecutionKey};

/// The journal of one execution that a host holds.
#[derive(Debug)]
pub(crate) struct Journal {
    key: ExecutionKey,
    pub(crate) history: History,
    /// Records that no store has been asked to keep yet.
    tail: Vec<u8>,
    /// The number of the next segment.
    segment: u32,
    /// Bytes in all, kept or not.
    length: usize,
}

impl Journal {
    /// A journal that starts with what is recorded in `segments` segments.
    pub(crate) fn new(key: ExecutionKey, history: History, segments: u32) -> Self {
        let length = history.len();
        Self { key, history, tail: Vec::new(), segment: segments, length }
    }

    /// The journal of an execution that is about to start.
    pub(crate) fn starting(key: ExecutionKey, execution: &Execution) -> Self {
        let mut journal = Self::new(key, History::default(), 0);
        journal.append(&Record::Started(Started {
            at_ms: execution.created_ms,
            component: &execution.component.0,
            policy: &execution.policy.0,
            seed: &execution.seed,
            args: &Digest::of(execution.args.as_bytes()).0,
            function: &execution.function,
        }));
        journal
    }

    /// Whose journal it is.
    pub(crate) fn key(&self) -> ExecutionKey {
        self.key
    }

    /// Adds a record at the end.
    pub(crate) fn append(&mut self, record: &Record<'_>) {
        let before = self.tail.len();
        record.encode(&mut self.tail);
        self.length += self.tail.len() - before;
    }

    /// Takes back what was appended since the journal had `length` bytes; nothing of it has been submitted.
    pub(crate) fn take_back(&mut self, length: usize) {
        let appended = self.length.saturating_sub(length);
        self.tail.truncate(self.tail.len().saturating_sub(appended));
        self.length -= appended;
    }

    /// Bytes in all.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Bytes that no store has been asked to keep yet.
    pub(crate) fn unsubmitted(&self) -> usize {
        self.tail.len()
    }

    /// The tail as the next segment; none when there is no tail.
    pub(crate) fn take_segment(&mut self) -> Option<Change> {
        if self.tail.is_empty() {
            return None;
        }
        let segment = self.segment;
        self.segment += 1;
        Some(Change::Append { key: self.key, segment, bytes: std::mem::take(&mut self.tail) })
    }
}
