//! One commit: a transaction, and one statement per change.

use crate::id::Digest;
use crate::store::{Change, Error, Execution, ExecutionKey, PendingPromise, Progress};
use rusqlite::{Connection, ErrorCode, Params, params};

const CREATE: &str = "INSERT INTO executions (key, id, component, policy, function, args, seed, created_ms,
        state, result, error, attempts, steps, cpu_us, updated_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
/// The first segment needs its execution, every other one its predecessor.
const APPEND_FIRST: &str = "INSERT INTO segments (id, bytes) SELECT ?1, ?2
    WHERE EXISTS (SELECT 1 FROM executions WHERE key = ?3)";
const APPEND_NEXT: &str = "INSERT INTO segments (id, bytes) SELECT ?1, ?2
    WHERE EXISTS (SELECT 1 FROM segments WHERE id = ?1 - 1)";
const PROGRESS: &str = "UPDATE executions SET state = ?2, result = ?3, error = ?4, attempts = ?5, steps = ?6,
    cpu_us = ?7, updated_ms = ?8 WHERE key = ?1";
const COMPONENT: &str = "UPDATE executions SET component = ?2 WHERE key = ?1";
const PROMISE: &str = "INSERT INTO promises (key, number, kind, subject, data, created_ms, deadline_ms)
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE EXISTS (SELECT 1 FROM executions WHERE key = ?1 AND id = ?8)";
const SETTLED: &str = "DELETE FROM promises WHERE key = ?1 AND number = ?2";
const BLOB: &str = "INSERT INTO blobs (digest, bytes) VALUES (?1, ?2) ON CONFLICT DO NOTHING";

/// The connection that commits, until the first failure.
#[derive(Debug)]
pub(super) struct Writer {
    connection: Connection,
    /// Why this connection must not write again: after a failed sync the kernel may take its pages for clean, and a
    /// second try would report success for bytes that never reached the disk (Rebello et al., "Can Applications Recover
    /// from fsync Failures?", ATC 2020).
    failure: Option<String>,
}

impl Writer {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, failure: None }
    }

    pub(super) fn commit(&mut self, changes: &[Change]) -> Result<(), Error> {
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

    fn transaction(&self, changes: &[Change]) -> Result<(), Error> {
        self.run("BEGIN IMMEDIATE", [])?;
        let done = changes.iter().try_for_each(|change| self.apply(change));
        let done = done.and_then(|()| self.run("COMMIT", []).map(drop).map_err(Error::from));
        // SQLite ends the transaction itself after some errors.
        if done.is_err() && !self.connection.is_autocommit() {
            self.run("ROLLBACK", [])?;
        }
        done
    }

    fn apply(&self, change: &Change) -> Result<(), Error> {
        match change {
            Change::Create(execution) => self.create(execution),
            Change::Append { key, segment, bytes } => self.append(*key, *segment, bytes),
            Change::Progress(key, progress) => self.progress(*key, progress),
            Change::Component(key, digest) => self.fit(COMPONENT, params![key.0, digest.0], || Error::unknown(*key)),
            Change::Promise(key, promise) => self.promise(*key, promise),
            Change::Settled(key, number) => {
                self.run(SETTLED, params![key.0, number.cast_signed()])?;
                Ok(())
            }
            Change::Blob(Digest(digest), bytes) => {
                self.run(BLOB, params![digest, bytes])?;
                Ok(())
            }
        }
    }

    fn create(&self, execution: &Execution) -> Result<(), Error> {
        let Execution { key, id, component, policy, function, args, seed, created_ms, progress } = execution;
        let error = failure_text(progress)?;
        let row = params![
            key.0,
            id.as_str(),
            component.0,
            policy.0,
            function,
            args,
            seed,
            created_ms.cast_signed(),
            progress.state.name(),
            progress.result,
            error,
            progress.attempts,
            progress.steps.cast_signed(),
            progress.cpu_us.cast_signed(),
            progress.updated_ms.cast_signed()
        ];
        self.fit(CREATE, row, || Error::taken(execution))
    }

    fn append(&self, key: ExecutionKey, segment: u32, bytes: &[u8]) -> Result<(), Error> {
        let id = segment_id(key, segment);
        let misfit = || Error::no_place(key, segment);
        match segment {
            0 => self.fit(APPEND_FIRST, params![id, bytes, key.0], misfit),
            _ => self.fit(APPEND_NEXT, params![id, bytes], misfit),
        }
    }

    fn progress(&self, key: ExecutionKey, progress: &Progress) -> Result<(), Error> {
        let row = params![
            key.0,
            progress.state.name(),
            progress.result,
            failure_text(progress)?,
            progress.attempts,
            progress.steps.cast_signed(),
            progress.cpu_us.cast_signed(),
            progress.updated_ms.cast_signed()
        ];
        self.fit(PROGRESS, row, || Error::unknown(key))
    }

    fn promise(&self, key: ExecutionKey, promise: &PendingPromise) -> Result<(), Error> {
        let row = params![
            key.0,
            promise.id.number.cast_signed(),
            promise.kind,
            promise.subject,
            promise.data,
            promise.created_ms.cast_signed(),
            promise.deadline_ms.map(u64::cast_signed),
            promise.id.execution.as_str()
        ];
        self.fit(PROMISE, row, || Error::no_promise(key, promise))
    }

    /// Runs a statement that must change exactly one row; `misfit` says what it means that it cannot.
    fn fit(&self, sql: &str, row: impl Params, misfit: impl FnOnce() -> Error) -> Result<(), Error> {
        match self.run(sql, row) {
            Ok(1) => Ok(()),
            Ok(_) => Err(misfit()),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Err(misfit()),
            Err(error) => Err(error.into()),
        }
    }

    fn run(&self, sql: &str, row: impl Params) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute(row)
    }
}

/// The row of a segment; the rows of one journal are neighbours, in order.
pub(super) fn segment_id(key: ExecutionKey, segment: u32) -> i64 {
    i64::from(key.0) << 32 | i64::from(segment)
}

fn failure_text(progress: &Progress) -> Result<Option<String>, Error> {
    let text = progress.error.as_ref().map(serde_json::to_string).transpose();
    text.map_err(|error| Error::from(rusqlite::Error::ToSqlConversionFailure(error.into())))
}
