//! The audit log: one hash-chained JSON line per decision, written before the effect, and one per outcome, written after it.
//!
//! - [`Log`] appends lines; `chain` knows where the next one goes, `line` what it looks like.
//! - `parts` finds what was rotated away, [`rotate`] does it, and the chain goes on in the new file.
//! - [`verify`] proves the chain, [`find`] looks a decision up; `read` is how both walk through a log of any size.
//!
//! Each line holds the SHA-256 of the one before it (without its newline; 64 zeros in the first line of all), so that a line
//! that is changed or taken out shows, and ends with a checksum of itself, so that damage to the last one shows too. A line that
//! was torn by a crash is ended and stays: the next one holds the hash of the last whole line and of all that is torn behind it,
//! line breaks between included. Several hosts may write to one log: every line is appended under a file lock, after a look at
//! what others appended, and whether the log still stands where it was opened.

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
