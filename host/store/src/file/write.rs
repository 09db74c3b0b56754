//! One commit: a transaction in which the machine does the operations, and then what it has made is written.

use super::executions::Executions;
use super::log::Log;
use super::read::HAS_BLOB;
use super::tables::Tables;
use crate::machine::Machine;
use crate::operation::Dialect;
use crate::{Applied, Blob, Change, Error};
use everstep_words::id::Digest;
use rusqlite::{Connection, params};

const BLOB: &str = "INSERT INTO blobs (digest, bytes) VALUES (?1, ?2)";

/// The connection that commits, until the first failure.
#[derive(Debug)]
pub(super) struct Writer {
    connection: Connection,
    log: Log,
    dialect: Dialect,
    /// The reason that this connection must not write again: after a failed sync the kernel may mark its pages as
    /// clean, and a second attempt would report success for bytes that never reached the disk (Rebello et al., "Can
    /// Applications Recover from fsync Failures?", ATC 2020).
    failure: Option<String>,
}

impl Writer {
    pub(super) fn new(connection: Connection, log: Log, dialect: Dialect) -> Self {
        Self { connection, log, dialect, failure: None }
    }

    /// Rows that were written, changed or removed through this connection, each as often as that happened.
    #[cfg(test)]
    pub(super) fn rows_changed(&self) -> u64 {
        self.connection.total_changes()
    }

    /// Commits the changes; `foretell` gets the results before they are synced.
    pub(super) fn commit(
        &mut self,
        changes: &[Change],
        foretell: &mut dyn FnMut(&[Applied]),
    ) -> Result<Vec<Applied>, Error> {
        if let Some(failure) = &self.failure {
            return Err(Error::Poisoned(failure.clone()));
        }
        let done = self.transaction(changes, foretell);
        if let Err(error) = &done
            && !matches!(error, Error::Refused { .. })
        {
            self.failure = Some(error.to_string());
        }
        done
    }

    fn transaction(&mut self, changes: &[Change], foretell: &mut dyn FnMut(&[Applied])) -> Result<Vec<Applied>, Error> {
        let mut transaction = Transaction::over(&self.connection, self.dialect);
        transaction.tables.run("BEGIN IMMEDIATE", [])?;
        self.log.make_room();
        let done = changes.iter().try_for_each(|change| transaction.apply(change));
        let done = done.and_then(|()| transaction.commit(foretell));
        // SQLite itself ends the transaction after some errors.
        if done.is_err() && !self.connection.is_autocommit() {
            transaction.tables.run("ROLLBACK", [])?;
        }
        done.map(|()| transaction.applied)
    }
}

/// A transaction under way.
struct Transaction<'c> {
    tables: Tables<'c>,
    executions: Executions<'c>,
    dialect: Dialect,
    applied: Vec<Applied>,
}

impl<'c> Transaction<'c> {
    fn over(connection: &'c Connection, dialect: Dialect) -> Self {
        Self { tables: Tables::over(connection), executions: Executions::default(), dialect, applied: Vec::new() }
    }

    fn apply(&mut self, change: &'c Change) -> Result<(), Error> {
        match change {
            Change::Operation { now_ms, operation, then } => {
                let (answer, events) = Machine::apply(&mut self.tables, self.dialect, *now_ms, operation)?;
                let done = Applied { answer, events };
                let carries = done.carries();
                self.applied.push(done);
                if carries {
                    then.iter().try_for_each(|change| self.apply(change))?;
                }
                Ok(())
            }
            Change::Fenced { id, version, changes } => {
                let holds = self.tables.holds(id, *version)?;
                self.applied.push(Applied::fence(id, *version, holds));
                if holds {
                    return changes.iter().try_for_each(|change| self.apply(change));
                }
                let operations = changes.iter().map(Change::operations).sum();
                self.applied.extend(std::iter::repeat_n(Applied::fence(id, *version, holds), operations));
                Ok(())
            }
            Change::Create(execution) => self.executions.create(&mut self.tables, execution),
            Change::Append { key, segment, bytes, seal } => {
                self.executions.append(&self.tables, (*key, *segment), bytes, seal.as_ref())
            }
            Change::Progress(key, progress) => self.executions.progress(&self.tables, *key, progress),
            Change::Component(key, digest) => self.executions.component(&self.tables, *key, *digest),
            Change::Blob(digest, blob) => self.keep(*digest, blob),
        }
    }

    /// Writes a blob; one that is there already is not read again.
    fn keep(&self, digest: Digest, blob: &Blob) -> Result<(), Error> {
        if self.tables.is_there(HAS_BLOB, params![digest.0])? {
            return Ok(());
        }
        let bytes = blob.bytes().map_err(|error| Error::unreadable(digest, &error))?;
        self.tables.run(BLOB, params![digest.0, &bytes[..]]).map(drop).map_err(Error::from)
    }

    fn commit(&mut self, foretell: &mut dyn FnMut(&[Applied])) -> Result<(), Error> {
        self.tables.write()?;
        self.executions.write(&self.tables)?;
        foretell(&self.applied);
        self.tables.run("COMMIT", []).map(drop).map_err(Error::from)
    }
}
