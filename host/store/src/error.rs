//! Errors of a store, and the one translation from SQLite's errors.

use super::{ExecutionKey, NewExecution};
use everstep_words::id::{Digest, ExecutionId};
use rusqlite::ErrorCode;
use std::path::PathBuf;

/// An error of a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another host has the store.
    #[error("the store {dir} is in use by another host{}; stop it, or give this one a store of its own with --store", pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    InUse {
        /// The folder of the store.
        dir: PathBuf,
        /// The process that holds it, if it has left its number.
        pid: Option<u32>,
    },
    /// The server of the store gave no usable answer.
    #[error("{cause}")]
    Server {
        /// What happened, and what to do about it.
        cause: String,
    },
    /// The folder cannot be used.
    #[error("cannot open the store {dir}: {reason}")]
    Open {
        /// The folder of the store.
        dir: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The store was written by another version.
    #[error(
        "the store {dir} has format {found}, this build reads format {expected}; use the version of everstep that wrote it"
    )]
    Version {
        /// The folder of the store.
        dir: PathBuf,
        /// The format of this build.
        expected: u32,
        /// The format found.
        found: u32,
    },
    /// SQLite reported an error: no space, a failed sync, a bad disk.
    #[error("the store failed: {0}; nothing that it had acknowledged is lost, restart the host once the cause is gone")]
    Sqlite(#[source] rusqlite::Error),
    /// The file system reported an error.
    #[error("the store failed: {0}")]
    Io(#[from] std::io::Error),
    /// An earlier write failed, so this host must not write again.
    #[error("the store failed earlier ({0}); restart the host")]
    Poisoned(String),
    /// A change does not fit what is stored. Nothing of it was applied; it concerns its execution alone, and the store remains
    /// usable.
    #[error("the store refused {change}: {reason}")]
    Refused {
        /// The change.
        change: String,
        /// Why it does not fit.
        reason: &'static str,
    },
    /// Another host has taken the execution, or may have.
    #[error("the execution was taken away from this host; whoever has it goes on with it")]
    Lost,
    /// A journal was not written for its execution.
    #[error(
        "the journal of {id} is not the one that this store wrote for it: records are missing, changed or of another execution, or its \
         function, arguments or policy are others; nothing of it is run. Restore the whole folder, with its journal.key, or cancel {id}"
    )]
    Foreign {
        /// The execution.
        id: ExecutionId,
    },
    /// The store was opened for reading only.
    #[error("the store {dir} was opened for reading only, and something was to be written")]
    ReadOnly {
        /// The folder of the store.
        dir: PathBuf,
    },
    /// The stored data is not what was written.
    #[error("the store is corrupted: {what}: expected {expected}, found {found}")]
    Corrupted {
        /// The row or record.
        what: String,
        /// The expected content.
        expected: String,
        /// The content that was found.
        found: String,
    },
}

/// The reasons that a change does not fit, in the same words for every store.
impl Error {
    pub(super) fn taken(execution: &NewExecution) -> Self {
        let change = format!("to create the execution {}", execution.id);
        Self::Refused { change, reason: "its id or its key is taken" }
    }

    pub(super) fn no_task(execution: &NewExecution) -> Self {
        let change = format!("to create the execution {}", execution.id);
        Self::Refused { change, reason: "there is no task of that id" }
    }

    pub(super) fn no_place(key: ExecutionKey, segment: u32) -> Self {
        let change = format!("to append segment {segment} to the journal of execution key {}", key.0);
        Self::Refused { change, reason: "it is not the next segment of a known execution" }
    }

    pub(super) fn unreadable(digest: Digest, error: &std::io::Error) -> Self {
        let change = format!("to keep the bytes with the digest {digest} ({error})");
        Self::Refused { change, reason: "they cannot be read" }
    }

    pub(super) fn unknown(key: ExecutionKey) -> Self {
        Self::Refused { change: format!("to change execution key {}", key.0), reason: "there is no such execution" }
    }
}

/// A value of the wrong type or a damaged page means corruption; everything else is a failure of the disk or of
/// SQLite.
impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as Sql;
        let damaged = match &error {
            Sql::FromSqlConversionFailure(..)
            | Sql::IntegralValueOutOfRange(..)
            | Sql::InvalidColumnType(..)
            | Sql::Utf8Error(..) => true,
            other => other.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt),
        };
        if !damaged {
            return Self::Sqlite(error);
        }
        let expected = "what everstep wrote".to_owned();
        Self::Corrupted { what: "the database".to_owned(), expected, found: error.to_string() }
    }
}
