//! The recorded part of a journal and the one cursor through which it is read.

use super::Corrupted;
use super::codec;
use super::record::{FORMAT, Outcome, Record, Trapped};
use everstep_words::id::Digest;
use std::collections::HashMap;

/// The recorded part of an execution's journal. Every frame was checked when it was loaded.
#[derive(Debug, Default)]
pub struct History {
    bytes: Vec<u8>,
    /// The offset of the next record that the guest has not repeated yet.
    position: usize,
    /// The offset of the `settled` record of each settled step.
    settled: HashMap<u64, usize>,
    /// The settled steps, in the order in which they settled.
    order: Vec<u64>,
    /// How often each step was retried, and when the last retry was due.
    retried: HashMap<u64, Retries>,
    /// The offset of the `trapped` record of each checkpoint from which the guest resumes.
    trapped: HashMap<u64, usize>,
    /// The component that continues the execution; `None` if a journal of an earlier format may not name it.
    component: Option<Digest>,
    /// The format that the execution began under; `None`: it begins now.
    format: Option<u64>,
}

/// The retries of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retries {
    /// The number of retries.
    pub count: u32,
    /// When the last one is due, in milliseconds since the Unix epoch.
    pub due_ms: u64,
}

impl History {
    /// Checks every frame and notes the offsets of settlements.
    ///
    /// # Errors
    /// The first frame is cut short, has a wrong checksum or is not a record of this format.
    pub fn load(bytes: Vec<u8>) -> Result<Self, Corrupted> {
        let mut history = Self { bytes, ..Self::default() };
        let mut offset = 0;
        while offset < history.bytes.len() {
            let (body, next) = codec::checked_body(&history.bytes, offset)?;
            if Record::is_aside(body) {
                match Record::decode(body, offset)? {
                    Record::Settled { number, .. } => {
                        history.settled.insert(number, offset);
                        history.order.push(number);
                    }
                    Record::Retried { number, due_ms, .. } => {
                        let retries = history.retried.entry(number).or_default();
                        *retries = Retries { count: retries.count.saturating_add(1), due_ms };
                    }
                    Record::TakenOver { component, .. } => history.component = Some(Digest(*component)),
                    _ => {}
                }
            } else if Record::is_trapped(body)
                && let Record::Trapped(trapped) = Record::decode(body, offset)?
            {
                history.trapped.insert(trapped.checkpoint, offset);
            } else if offset == 0
                && let Record::Started(started) = Record::decode(body, offset)?
            {
                history.component = started.component();
                history.format = Some(started.format);
            }
            offset = next;
        }
        Ok(history)
    }

    /// The format that the execution began under: a guest makes the steps that its first host had it make.
    pub fn format(&self) -> u64 {
        self.format.unwrap_or(FORMAT)
    }

    /// Decodes every record in order, each with the offset of its frame.
    pub fn records_with_offsets(&self) -> impl Iterator<Item = Result<(usize, Record<'_>), Corrupted>> {
        let mut offset = 0;
        std::iter::from_fn(move || {
            (offset < self.bytes.len()).then(|| {
                let start = offset;
                let (body, next) = codec::body(&self.bytes, start)?;
                offset = next;
                Ok((start, Record::decode(body, start)?))
            })
        })
    }

    /// Decodes the `called` records in order and skips the others.
    pub fn called(&self) -> impl Iterator<Item = Result<Record<'_>, Corrupted>> {
        let mut offset = 0;
        std::iter::from_fn(move || {
            while offset < self.bytes.len() {
                let start = offset;
                let (body, next) = match codec::body(&self.bytes, start) {
                    Ok(found) => found,
                    Err(error) => return Some(Err(error)),
                };
                offset = next;
                if Record::is_called(body) {
                    return Some(Record::decode(body, start));
                }
            }
            None
        })
    }

    /// Passes the record of the start, which every journal begins with.
    pub fn pass_start(&mut self) -> Result<(), Corrupted> {
        match self.peek()? {
            Some((Record::Started(_), next)) => self.advance(next),
            Some(_) => {
                let (expected, found) = ("the start of an execution".into(), "another record".into());
                return Err(Corrupted { offset: 0, expected, found });
            }
            None => {}
        }
        Ok(())
    }

    /// The next record that the guest has to repeat; `None` if it has repeated them all. The caller moves on with
    /// [`advance`](Self::advance) once it accepts the record.
    pub fn peek(&mut self) -> Result<Option<(Record<'_>, Next)>, Corrupted> {
        while self.position < self.bytes.len() {
            let (body, next) = codec::body(&self.bytes, self.position)?;
            if !Record::is_aside(body) {
                break;
            }
            self.position = next;
        }
        if self.position == self.bytes.len() {
            return Ok(None);
        }
        let (body, next) = codec::body(&self.bytes, self.position)?;
        Ok(Some((Record::decode(body, self.position)?, Next(next))))
    }

    /// Marks the peeked record as repeated.
    pub fn advance(&mut self, next: Next) {
        self.position = next.0;
    }

    /// The recorded outcome of a step that was called, and its time; `None` if it was lost.
    pub fn settlement(&self, number: u64) -> Result<Option<(u64, Outcome<'_>)>, Corrupted> {
        let Some(&offset) = self.settled.get(&number) else {
            return Ok(None);
        };
        match Record::decode(codec::body(&self.bytes, offset)?.0, offset)? {
            Record::Settled { at_ms, outcome, .. } => Ok(Some((at_ms, outcome))),
            _ => Ok(None),
        }
    }

    /// The settled steps, in the order in which they settled.
    pub fn settlements(&self) -> &[u64] {
        &self.order
    }

    /// The trap after which the guest resumes at a checkpoint, and the position after it.
    pub fn trap(&self, checkpoint: u64) -> Result<Option<(Trapped<'_>, Next)>, Corrupted> {
        let Some(&offset) = self.trapped.get(&checkpoint) else {
            return Ok(None);
        };
        let (body, next) = codec::body(&self.bytes, offset)?;
        match Record::decode(body, offset)? {
            Record::Trapped(trapped) => Ok(Some((trapped, Next(next)))),
            _ => Ok(None),
        }
    }

    /// How often a step was retried.
    pub fn retries(&self, number: u64) -> Retries {
        self.retried.get(&number).copied().unwrap_or_default()
    }

    /// The component that continues the execution; `None` if a journal of an earlier format may not name it.
    pub fn component(&self) -> Option<Digest> {
        self.component
    }

    /// Length in bytes.
    pub fn length(&self) -> usize {
        self.bytes.len()
    }
}

/// How many bytes at the start of a part are whole records; the record after them continues in the next part.
pub fn whole_records(part: &[u8]) -> usize {
    codec::whole(part)
}

/// Checks and decodes the records of a part of a journal that begins with a record, in order; for people.
pub fn records(part: &[u8]) -> impl Iterator<Item = Result<Record<'_>, Corrupted>> {
    let mut offset = 0;
    std::iter::from_fn(move || {
        (offset < part.len()).then(|| {
            let start = offset;
            let (body, next) = codec::checked_body(part, start)?;
            offset = next;
            Record::decode(body, start)
        })
    })
}

/// The offset after a peeked record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next(usize);
