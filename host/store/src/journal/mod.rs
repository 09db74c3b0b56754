//! The journal of an execution: the ordered records whose replay reproduces it.
//!
//! `FORMAT.md` fixes the bytes, `codec` frames them, `record` gives them meaning. `history` is the recorded part with the one
//! cursor that replay reads through; [`Journal`] adds the tail that grows while the guest is live. The meaning of a step's kind
//! is not known here, and making a tail durable is up to the store.

mod codec;
mod history;
mod record;
mod standing;
#[cfg(test)]
mod tests;

pub use codec::Corrupted;
pub use history::{History, Next, Retries, records, whole_records};
pub use record::{CREATES_FILES, Call, FORMAT, NAMES_COMPONENTS, Outcome, Record, Role, Started, Trapped};
pub use standing::Standing;

use crate::Execution;
use everstep_words::id::Digest;

/// The most bytes of a segment.
pub const SEGMENT: usize = 1 << 20;

/// Records as segments. One that is longer than a segment goes on in the next: its length says that more follows.
pub(crate) fn segments(records: Vec<u8>) -> impl Iterator<Item = Vec<u8>> {
    let mut rest = records;
    std::iter::from_fn(move || {
        let next = rest.split_off(rest.len().min(SEGMENT));
        Some(std::mem::replace(&mut rest, next)).filter(|segment| !segment.is_empty())
    })
}

/// The journal of one execution that a host holds.
#[derive(Debug)]
pub struct Journal {
    /// The recorded part, and how far replay has read it.
    pub history: History,
    /// Records that were not submitted to a store yet.
    tail: Vec<u8>,
    /// Total length in bytes, submitted or not.
    length: usize,
}

impl Journal {
    /// A journal that starts with the recorded part.
    pub fn new(history: History) -> Self {
        let length = history.length();
        Self { history, tail: Vec::new(), length }
    }

    /// The journal of an execution that is about to start.
    pub fn starting(execution: &Execution) -> Self {
        let mut journal = Self::new(History::default());
        journal.append(&Record::Started(Started {
            format: FORMAT,
            at_ms: execution.created_ms,
            component: &execution.component.0,
            policy: &execution.policy.0,
            seed: &execution.seed,
            args: &Digest::of(execution.args.as_bytes()).0,
            function: &execution.function,
        }));
        journal
    }

    /// Adds a record at the end.
    pub fn append(&mut self, record: &Record<'_>) {
        let before = self.tail.len();
        record.encode(&mut self.tail);
        self.length += self.tail.len() - before;
    }

    /// Truncates the journal to `length` bytes; what is removed must not have been submitted.
    pub fn take_back(&mut self, length: usize) {
        let appended = self.length.saturating_sub(length);
        self.tail.truncate(self.tail.len().saturating_sub(appended));
        self.length -= appended;
    }

    /// Total length in bytes.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Bytes that were not submitted to a store yet.
    pub fn unsubmitted(&self) -> usize {
        self.tail.len()
    }

    /// Takes the tail, to be submitted to a store.
    pub fn take_tail(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.tail)
    }
}
