//! The audit log: one hash-chained JSON line per decision, written before the effect, and one per outcome, written after it.
//!
//! - [`Log`] appends lines; `chain` finds the position of the next one, `line` is their format.
//! - `parts` finds rotated files, [`rotate()`] rotates, and the chain continues in the new file.
//! - [`verify()`] proves the chain, [`find()`] looks up a decision; both use `read` to walk through a log of any size.
//!
//! Each line contains the SHA-256 of the one before it (without its newline; 64 zeros in the very first line), so that a changed
//! or removed line is detected, and ends with a checksum of itself, so that damage to the last one is detected, too. A line that
//! was torn by a crash is ended and stays: the next one contains the hash of the last whole line and of everything torn after
//! it, including line breaks between. Several hosts may write to one log: every line is appended under a file lock, after
//! reading what others have appended, and checking that the log is still the file at its path.

mod chain;
mod find;
mod line;
mod parts;
mod read;
mod rotate;
mod verify;

pub use find::{Found, find};
pub use line::{Decision, Entry, Line, Outcome};
pub use read::Lines;
pub use rotate::{NotRotated, Rotated, rotate};
pub use verify::{BadLine, Head, NoHead, Place, Summary, Unverified, What, verify};

use super::Error;
use chain::Chain;
use everstep_words::id::ExecutionId;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// An open audit log; shared by all executions of the host.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    chain: Mutex<Chain>,
}

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
        Ok(Self { path, chain: Mutex::new(chain) })
    }

    /// Appends the line of a decision with one write. On an error the caller denies the call.
    ///
    /// The line survives the end of the process, not the loss of power: it is not synced.
    pub fn record(&self, entry: Entry<'_>) -> Result<(), io::Error> {
        self.append(entry.time_ms, |line| line::push_entry(line, &entry))
    }

    /// Appends the line of an outcome, after the effect.
    ///
    /// # Errors
    /// As for a decision; the effect has happened.
    pub fn outcome(&self, outcome: Outcome<'_>) -> Result<(), io::Error> {
        self.append(outcome.time_ms, |line| line::push_outcome(line, &outcome))
    }

    fn append(&self, time_ms: u64, body: impl Fn(&mut String) -> fmt::Result) -> io::Result<()> {
        let mut chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        chain.at_end(&self.path, |chain| chain.append(time_ms, body))
    }
}

#[cfg(test)]
mod tests;
