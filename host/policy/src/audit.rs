//! The audit log: one hash-chained JSON line per decision, written before the effect, and one per outcome, written after it.
//!
//! - [`Log`] appends the lines of a [`Batch`]; `chain` finds the position of the next one, `line` is their format.
//! - `parts` finds rotated files, [`rotate()`] rotates, and the chain continues in the new file.
//! - [`verify()`] proves the chain, [`find()`] looks up a decision; both use `read` to walk through a log of any size.
//!
//! Each line contains the SHA-256 of the one before it (without its newline; 64 zeros in the very first line), so that a changed
//! or removed line is detected, and ends with a checksum of itself, so that damage to the last one is detected, too. A line that
//! was torn by a crash is ended and stays: the next one contains the hash of the last whole line and of everything torn after
//! it, including line breaks between. Several hosts may write to one log: lines are appended under a file lock, after
//! reading what others have appended, and checking that the log is still the file at its path.

mod batch;
mod chain;
mod find;
mod line;
mod parts;
mod read;
mod rotate;
mod verify;

pub use batch::Batch;
pub use find::{Found, find};
pub use line::{Decision, Entry, Line, Outcome};
pub use read::Lines;
pub use rotate::{NotRotated, Rotated, rotate};
pub use verify::{BadLine, Head, NoHead, Place, Summary, Unverified, What, verify};

use super::Error;
use chain::Chain;
use everstep_words::id::ExecutionId;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// An open audit log; shared by all executions of the host.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    chain: Mutex<Chain>,
    /// How many writes are to succeed before it is taken to be writable.
    doubts: AtomicU32,
}

/// The same, after a write that failed.
const DOUBTS: u32 = 1_000;

/// The short name of a decision: 8 hex digits, the same in every run.
pub fn id(execution: &ExecutionId, step: u64) -> String {
    hex::encode(line::id_bytes(execution, step))
}

impl Log {
    /// Opens the log, or creates it (mode 0600) in a folder that exists, and continues its chain.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Audit { path: path.to_owned(), source };
        let path = std::path::absolute(path).map_err(failed)?;
        let mut chain = Chain::open(&path).map_err(failed)?;
        chain.at_end(&path, |_| Ok(())).map_err(failed)?;
        Ok(Self { path, chain: Mutex::new(chain), doubts: AtomicU32::new(1) })
    }

    /// The path of its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is known to be writable: a write has succeeded since it was opened, and a thousand since the last that failed. If it
    /// is, lines may be collected before they are written; else a line is written before its call goes ahead, so that the call can
    /// be denied.
    pub fn is_sound(&self) -> bool {
        self.doubts.load(Ordering::Relaxed) == 0
    }

    /// Appends lines with one write, under one lock.
    ///
    /// They survive the end of the process, not the loss of power: they are not synced.
    ///
    /// # Errors
    /// Not all of them are in the log.
    pub fn write(&self, batch: &Batch) -> io::Result<()> {
        let mut chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        let written = chain.at_end(&self.path, |chain| chain.append(batch));
        // Under the lock of the chain.
        let doubts = if written.is_ok() { self.doubts.load(Ordering::Relaxed).saturating_sub(1) } else { DOUBTS };
        self.doubts.store(doubts, Ordering::Relaxed);
        written
    }

    /// Appends the line of one decision.
    ///
    /// # Errors
    /// It is not in the log: the call is to be denied.
    pub fn record(&self, entry: Entry<'_>) -> io::Result<()> {
        let mut batch = Batch::default();
        batch.decision(&entry);
        self.write(&batch)
    }

    /// Appends the line of one outcome, after the effect.
    ///
    /// # Errors
    /// As for a decision; the effect has happened.
    pub fn outcome(&self, outcome: Outcome<'_>) -> io::Result<()> {
        let mut batch = Batch::default();
        batch.outcome(&outcome);
        self.write(&batch)
    }
}

#[cfg(test)]
mod tests;
