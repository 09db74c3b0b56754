//! What is stored, read back: every value that everstep cannot have written is `Error::Corrupted`.

use super::write::segment_id;
use crate::id::{Digest, ExecutionId, PromiseId};
use crate::store::{Error, Execution, ExecutionKey, Failure, PendingPromise, Progress};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use std::str::FromStr;

const LAST_KEY: &str = "SELECT coalesce(max(key), 0) FROM executions";
const EXECUTION: &str = "SELECT key, id, component, policy, function, args, seed, created_ms,
        state, result, error, attempts, steps, cpu_us, updated_ms
    FROM executions WHERE id = ?1";
const EXECUTIONS: &str = "SELECT key, id, component, policy, function, args, seed, created_ms,
        state, result, error, attempts, steps, cpu_us, updated_ms
    FROM executions ORDER BY key";
const JOURNAL: &str = "SELECT id, bytes FROM segments WHERE id BETWEEN ?1 AND ?2 ORDER BY id";
const PROMISES: &str = "SELECT e.id, p.number, p.kind, p.subject, p.data, p.created_ms, p.deadline_ms
    FROM promises p LEFT JOIN executions e ON e.key = p.key ORDER BY p.created_ms, p.key, p.number";
const BLOB: &str = "SELECT bytes FROM blobs WHERE digest = ?1";

/// The connection that reads.
#[derive(Debug)]
pub(super) struct Reader {
    connection: Connection,
}

impl Reader {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// The greatest key in use, or 0.
    pub(super) fn last_key(&self) -> Result<u32, Error> {
        Ok(self.connection.query_row(LAST_KEY, [], |row| row.get(0))?)
    }

    pub(super) fn execution(&self, id: &ExecutionId) -> Result<Option<Execution>, Error> {
        Ok(self.collect("executions", EXECUTION, [id.as_str()], execution)?.pop())
    }

    pub(super) fn executions(&self) -> Result<Vec<Execution>, Error> {
        self.collect("executions", EXECUTIONS, [], execution)
    }

    pub(super) fn journal(&self, key: ExecutionKey) -> Result<(Vec<u8>, u32), Error> {
        let mut statement = self.connection.prepare_cached(JOURNAL)?;
        let mut rows = statement.query(params![segment_id(key, 0), segment_id(key, u32::MAX)])?;
        let (mut journal, mut segments) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let found = row.get::<_, i64>(0)? - segment_id(key, 0);
            if found != i64::from(segments) {
                let what = format!("the journal of execution key {}", key.0);
                return Err(corrupted(what, format!("segment {segments}"), format!("segment {found}")));
            }
            let bytes = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            journal.extend_from_slice(bytes);
            segments += 1;
        }
        Ok((journal, segments))
    }

    pub(super) fn promises(&self) -> Result<Vec<PendingPromise>, Error> {
        self.collect("promises", PROMISES, [], promise)
    }

    pub(super) fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        let mut statement = self.connection.prepare_cached(BLOB)?;
        let bytes: Option<Vec<u8>> = statement.query_row([digest.0], |row| row.get(0)).optional()?;
        match bytes {
            Some(bytes) if Digest::of(&bytes) != *digest => {
                let found = Digest::of(&bytes).to_string();
                Err(corrupted("content-addressed bytes".to_owned(), digest.to_string(), found))
            }
            bytes => Ok(bytes),
        }
    }

    fn collect<T>(
        &self,
        table: &str,
        sql: &str,
        parameters: impl Params,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(parameters)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let value = read(row).map_err(|error| match Error::from(error) {
                Error::Corrupted { expected, found, .. } => corrupted(format!("a row of {table}"), expected, found),
                other => other,
            });
            all.push(value?);
        }
        Ok(all)
    }
}

fn execution(row: &Row<'_>) -> rusqlite::Result<Execution> {
    Ok(Execution {
        key: ExecutionKey(row.get(0)?),
        id: parsed(row, 1)?,
        component: Digest(row.get(2)?),
        policy: Digest(row.get(3)?),
        function: row.get(4)?,
        args: row.get(5)?,
        seed: row.get(6)?,
        created_ms: unsigned(row, 7)?,
        progress: progress(row)?,
    })
}

fn progress(row: &Row<'_>) -> rusqlite::Result<Progress> {
    Ok(Progress {
        state: parsed(row, 8)?,
        result: row.get(9)?,
        error: failure(row, 10)?,
        attempts: row.get(11)?,
        steps: unsigned(row, 12)?,
        cpu_us: unsigned(row, 13)?,
        updated_ms: unsigned(row, 14)?,
    })
}

fn promise(row: &Row<'_>) -> rusqlite::Result<PendingPromise> {
    Ok(PendingPromise {
        id: PromiseId { execution: parsed(row, 0)?, number: unsigned(row, 1)? },
        kind: row.get(2)?,
        subject: row.get(3)?,
        data: row.get(4)?,
        created_ms: unsigned(row, 5)?,
        deadline_ms: row.get::<_, Option<i64>>(6)?.map(i64::cast_unsigned),
    })
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(i64::cast_unsigned)
}

fn failure(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Failure>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| malformed(column, error))
}

fn parsed<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    row.get::<_, String>(column)?.parse().map_err(|error| malformed(column, error))
}

fn malformed(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

fn corrupted(what: String, expected: String, found: String) -> Error {
    Error::Corrupted { what, expected, found }
}
