//! One commit: a transaction in which the machine does the operations, and one statement each applies the other
//! changes.

use super::read::HAS_BLOB;
use super::tables::{self, Tables};
use crate::machine::Machine;
use crate::operation::Dialect;
use crate::{Applied, Blob, Change, Error, ExecutionKey, NewExecution, Progress};
use everstep_words::id::Digest;
use rusqlite::{Connection, ErrorCode, Params, params};

/// Only the task of a promise becomes an execution, and only once.
const TAKE_UP: &str = "UPDATE promises SET key = ?1 WHERE id = ?2 AND task IS NOT NULL AND key IS NULL";
const HAS_KEY: &str = "SELECT EXISTS (SELECT 1 FROM promises WHERE id = ?1 AND key IS NOT NULL)";
const CREATE: &str = "INSERT INTO executions (key, component, policy, seed, steps, cpu_us, updated_ms)
    VALUES (?1, ?2, ?3, ?4, 0, 0, 0)";
/// The first segment needs its execution, the second one the first. With `OR FAIL` SQLite need not prepare to undo a
/// statement that changes one row.
const APPEND_FIRST: &str = "INSERT OR FAIL INTO segments (id, bytes) SELECT ?1, ?2
    WHERE EXISTS (SELECT 1 FROM executions WHERE key = ?3)";
const APPEND_SECOND: &str = "INSERT OR FAIL INTO segments (id, bytes) SELECT ?1, ?2
    WHERE EXISTS (SELECT 1 FROM segments WHERE id = ?1 - 1)";
/// Every other one takes the place of the seal, which is the last row.
const APPEND_NEXT: &str = "UPDATE OR FAIL segments SET bytes = ?2
    WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM segments WHERE id = ?1 + 1)";
const SEAL: &str = "INSERT OR FAIL INTO segments (id, bytes) VALUES (?1, ?2)";
const PROGRESS: &str = "UPDATE executions SET steps = ?2, cpu_us = ?3, updated_ms = ?4, error = ?5 WHERE key = ?1";
const COMPONENT: &str = "UPDATE executions SET component = ?2 WHERE key = ?1";
const BLOB: &str = "INSERT INTO blobs (digest, bytes) VALUES (?1, ?2)";

/// The connection that commits, until the first failure.
#[derive(Debug)]
pub(super) struct Writer {
    connection: Connection,
    dialect: Dialect,
    /// The reason that this connection must not write again: after a failed sync the kernel may mark its pages as
    /// clean, and a second attempt would report success for bytes that never reached the disk (Rebello et al., "Can
    /// Applications Recover from fsync Failures?", ATC 2020).
    failure: Option<String>,
}

impl Writer {
    pub(super) fn new(connection: Connection, dialect: Dialect) -> Self {
        Self { connection, dialect, failure: None }
    }

    pub(super) fn commit(&mut self, changes: &[Change]) -> Result<Vec<Applied>, Error> {
        if let Some(failure) = &self.failure {
            return Err(Error::Poisoned(failure.clone()));
        }
        let done = self.transaction(changes);
        if let Err(error) = &done
            && !matches!(error, Error::Refused { .. })
        {
            self.failure = Some(error.to_string());
        }
        done
    }

    fn transaction(&self, changes: &[Change]) -> Result<Vec<Applied>, Error> {
        self.run("BEGIN IMMEDIATE", [])?;
        let mut applied = Vec::new();
        let done = changes.iter().try_for_each(|change| self.apply(change, &mut applied));
        let done = done.and_then(|()| self.run("COMMIT", []).map(drop).map_err(Error::from));
        // SQLite itself ends the transaction after some errors.
        if done.is_err() && !self.connection.is_autocommit() {
            self.run("ROLLBACK", [])?;
        }
        done.map(|()| applied)
    }

    fn apply(&self, change: &Change, applied: &mut Vec<Applied>) -> Result<(), Error> {
        match change {
            Change::Operation { now_ms, operation, then } => {
                let (answer, events) = Machine::apply(&mut self.tables(), self.dialect, *now_ms, operation)?;
                let done = Applied { answer, events };
                let carries = done.carries();
                applied.push(done);
                if carries {
                    then.iter().try_for_each(|change| self.apply(change, applied))?;
                }
                Ok(())
            }
            Change::Fenced { id, version, changes } => {
                let holds = tables::holds(&self.connection, id, *version)?;
                applied.push(Applied::fence(id, *version, holds));
                if holds {
                    return changes.iter().try_for_each(|change| self.apply(change, applied));
                }
                let operations = changes.iter().map(Change::operations).sum();
                applied.extend(std::iter::repeat_n(Applied::fence(id, *version, holds), operations));
                Ok(())
            }
            Change::Create(execution) => self.create(execution),
            Change::Append { key, segment, bytes, seal } => self.append(*key, *segment, bytes, seal.as_ref()),
            Change::Progress(key, progress) => self.progress(*key, progress),
            Change::Component(key, digest) => self.fit(COMPONENT, params![key.0, digest.0], || Error::unknown(*key)),
            Change::Blob(digest, blob) => self.keep(*digest, blob),
        }
    }

    fn create(&self, execution: &NewExecution) -> Result<(), Error> {
        let NewExecution { key, id, component, policy, seed } = execution;
        if self.run(TAKE_UP, params![key.0, id.as_str()])? == 0 {
            let taken = self.connection.prepare_cached(HAS_KEY)?.query_row([id.as_str()], |row| row.get(0))?;
            return Err(if taken { Error::taken(execution) } else { Error::no_task(execution) });
        }
        self.fit(CREATE, params![key.0, component.0, policy.0, seed], || Error::taken(execution))
    }

    /// Writes a blob; one that is there already is not read again.
    fn keep(&self, digest: Digest, blob: &Blob) -> Result<(), Error> {
        if self.connection.prepare_cached(HAS_BLOB)?.query_row([digest.0], |row| row.get(0))? {
            return Ok(());
        }
        let bytes = blob.bytes().map_err(|error| Error::unreadable(digest, &error))?;
        self.run(BLOB, params![digest.0, &bytes[..]]).map(drop).map_err(Error::from)
    }

    /// Writes a segment, and after it the seal: an empty one if there is none, so that the last row is never a segment. Only a journal of
    /// one segment may be without it.
    fn append(&self, key: ExecutionKey, segment: u32, bytes: &[u8], seal: Option<&[u8; 32]>) -> Result<(), Error> {
        let id = segment_id(key, segment);
        let misfit = || Error::no_place(key, segment);
        match segment {
            0 => self.fit(APPEND_FIRST, params![id, bytes, key.0], misfit)?,
            _ if self.run(APPEND_NEXT, params![id, bytes])? == 1 => {}
            1 => self.fit(APPEND_SECOND, params![id, bytes], misfit)?,
            _ => return Err(misfit()),
        }
        if segment == 0 && seal.is_none() {
            return Ok(());
        }
        self.fit(SEAL, params![id + 1, seal.map_or(&[][..], |seal| &seal[..])], misfit)
    }

    fn progress(&self, key: ExecutionKey, progress: &Progress) -> Result<(), Error> {
        let Progress { error, steps, cpu_us, updated_ms } = progress;
        let error = error.as_ref().map(serde_json::to_string).transpose();
        let error = error.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        let row = params![key.0, steps.cast_signed(), cpu_us.cast_signed(), updated_ms.cast_signed(), error];
        self.fit(PROGRESS, row, || Error::unknown(key))
    }

    /// Runs a statement that must change exactly one row; `misfit` makes the error if it cannot.
    fn fit(&self, sql: &str, row: impl Params, misfit: impl FnOnce() -> Error) -> Result<(), Error> {
        match self.run(sql, row) {
            Ok(1) => Ok(()),
            Ok(_) => Err(misfit()),
            Err(error) if is_constraint(&error) => Err(misfit()),
            Err(error) => Err(error.into()),
        }
    }

    fn run(&self, sql: &str, row: impl Params) -> rusqlite::Result<usize> {
        self.tables().run(sql, row)
    }

    fn tables(&self) -> Tables<'_> {
        Tables(&self.connection)
    }
}

fn is_constraint(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

/// The row id of a segment; the rows of one journal are adjacent, in order.
pub(super) fn segment_id(key: ExecutionKey, segment: u32) -> i64 {
    i64::from(key.0) << 32 | i64::from(segment)
}
