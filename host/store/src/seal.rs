//! Binds a journal to its execution and its store: a keyed hash over the id, the function, its arguments, its policy and every record.
//!
//! Renewed with each write of the journal, in the same commit. It does not fit records of another execution, a journal that was
//! exchanged, cut off or put together from parts, other arguments or another policy. The owner of the folder has the key and can
//! forge it: it detects mistakes and incomplete restores.

use super::journal::{Record, records, segments};
use super::{Backend, Change, Error, Execution, ExecutionKey, Invocation, SealedJournal};
use everstep_words::id::{Digest, ExecutionId};

/// The hash of a journal as far as it goes; `None` where there is no secret.
#[derive(Clone)]
pub struct Seal(Option<Box<blake3::Hasher>>);

impl Seal {
    /// The seal of an empty journal.
    pub(super) fn new(secret: Option<[u8; 32]>, id: &ExecutionId, invocation: &Invocation) -> Self {
        let Some(secret) = secret else { return Self(None) };
        let Invocation { function, args, policy, component: _, trace: _ } = invocation;
        let mut hasher = Box::new(blake3::Hasher::new_keyed(&secret));
        for part in [b"everstep journal", id.as_str().as_bytes(), function.as_bytes(), args.as_bytes(), &policy.0] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        Self(Some(hasher))
    }

    /// Adds records; returns the new hash.
    pub(super) fn append(&mut self, records: &[u8]) -> Option<[u8; 32]> {
        self.0.as_mut().map(|hasher| *hasher.update(records).finalize().as_bytes())
    }
}

/// Where a journal continues.
#[derive(Clone)]
pub struct Tail {
    /// The number of the next segment.
    pub(super) segment: u32,
    pub(super) seal: Seal,
}

impl Tail {
    /// The start of a journal each segment of which names the hash of what comes before it, from the id of its execution on.
    pub fn chained(execution: &str) -> Self {
        let mut hasher = Box::new(blake3::Hasher::new());
        hasher.update(execution.as_bytes());
        Self { segment: 0, seal: Seal(Some(hasher)) }
    }

    /// The number of the next segment.
    pub fn segment(&self) -> u32 {
        self.segment
    }

    /// The hash of what comes before the next segment, as hexadecimal text; empty if the store keeps none.
    pub fn hash(&self) -> String {
        self.seal.0.as_ref().map_or_else(String::new, |hasher| hasher.finalize().to_hex().to_string())
    }

    /// Passes a segment.
    pub fn pass(&mut self, records: &[u8]) {
        self.seal.append(records);
        self.segment += 1;
    }

    /// The changes by which a journal begins. The record of the start names all that it is bound to: alone it is not sealed.
    pub(super) fn begin(&mut self, key: ExecutionKey, first: Vec<u8>) -> Vec<Change> {
        let is_alone = is_start_alone(&first);
        let mut changes = self.append(key, first);
        if is_alone && let Some(Change::Append { seal, .. }) = changes.last_mut() {
            *seal = None;
        }
        changes
    }

    /// The changes by which records are added to a journal.
    pub(super) fn append(&mut self, key: ExecutionKey, records: Vec<u8>) -> Vec<Change> {
        let sealed = self.seal.append(&records);
        let appended = segments(records).map(|bytes| {
            let segment = self.segment;
            self.segment += 1;
            Change::Append { key, segment, bytes, seal: None }
        });
        let mut changes: Vec<_> = appended.collect();
        if let Some(Change::Append { seal, .. }) = changes.last_mut() {
            *seal = sealed;
        }
        changes
    }
}

/// The journal of a stored execution.
///
/// # Errors
/// The journal is not the one that was sealed, or the backend failed.
pub(super) fn journal(backend: &dyn Backend, execution: &Execution) -> Result<(Vec<u8>, Tail), Error> {
    let mut seal = Seal::new(backend.secret(), &execution.id, &execution.invocation());
    let Some(key) = execution.key else { return Ok((Vec::new(), Tail { segment: 0, seal })) };
    let SealedJournal { bytes: journal, segments: segment, seal: sealed } = backend.sealed_journal(key)?;
    let is_bound = match (seal.append(&journal), sealed) {
        (None, _) => true,
        (Some(actual), Some(sealed)) => *sealed == actual,
        // One from before journals were sealed has none, however long it is.
        (Some(_), None) => !is_start_alone(&journal) || starts(&journal, execution),
    };
    if !is_bound {
        return Err(Error::Foreign { id: execution.id.clone() });
    }
    Ok((journal, Tail { segment, seal }))
}

/// Whether a journal is one record.
fn is_start_alone(journal: &[u8]) -> bool {
    records(journal).nth(1).is_none()
}

/// Whether a journal starts as its execution does.
fn starts(journal: &[u8], execution: &Execution) -> bool {
    let Execution { function, args, policy, .. } = execution;
    match records(journal).next() {
        Some(Ok(Record::Started(started))) => {
            started.function == function
                && *started.args == Digest::of(args.as_bytes()).0
                && *started.policy == policy.0
        }
        // Damage is reported by whoever reads on.
        _ => true,
    }
}
