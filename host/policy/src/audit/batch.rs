//! Lines that are still to be written.

use super::line::{self, Digits, Entry, Outcome};

/// Decisions and outcomes in their order, as text without what only the end of the log tells: number and hash.
#[derive(Debug, Default)]
pub struct Batch {
    /// The fields of all lines, one after the other.
    fields: String,
    /// The time of each line, in milliseconds since the Unix epoch, and where its fields end.
    lines: Vec<(u64, usize)>,
    /// Those of the policy of the last line.
    digits: Digits,
}

impl Batch {
    /// Adds the line of a decision.
    pub fn decision(&mut self, entry: &Entry<'_>) {
        line::push_entry(&mut self.fields, &mut self.digits, entry);
        self.lines.push((entry.time_ms, self.fields.len()));
    }

    /// Adds the line of an outcome.
    pub fn outcome(&mut self, outcome: &Outcome<'_>) {
        line::push_outcome(&mut self.fields, &mut self.digits, outcome);
        self.lines.push((outcome.time_ms, self.fields.len()));
    }

    /// Removes all lines.
    pub fn clear(&mut self) {
        self.fields.clear();
        self.lines.clear();
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The length of all fields, in bytes: about two thirds of what is written.
    pub fn length(&self) -> usize {
        self.fields.len()
    }

    /// The lines: their times and fields.
    pub(super) fn lines(&self) -> impl Iterator<Item = (u64, &str)> {
        let mut start = 0;
        self.lines.iter().map(move |(time_ms, end)| (*time_ms, &self.fields[std::mem::replace(&mut start, *end)..*end]))
    }
}
