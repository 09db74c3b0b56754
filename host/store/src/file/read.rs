//! Reads what is stored: every value that everstep cannot have written is `Error::Corrupted`.

use super::executions::segment_id;
use super::rows::{self, promise_columns, schedule_columns};
use super::schema;
use super::tables;
use crate::invocation::{self, Beside};
use crate::machine::Row;
use crate::record::{PromiseState, Schedule, TaskState};
use crate::{
    Error, Execution, ExecutionKey, Failure, JournalPlace, Kinship, Lineage, Order, Part, PendingPromise, Place,
    Progress, Query, SealedJournal, State,
};
use bytes::Bytes;
use everstep_words::id::{Digest, ExecutionId};
use rusqlite::{Connection, OptionalExtension, Params, params};

const LAST_KEY: &str = "SELECT coalesce(max(key), 0) FROM executions";
/// An execution has a promise; one that no host has run yet has no row beside its promise.
macro_rules! executions {
    ($join:literal, $which:literal) => {
        concat!(
            "SELECT ",
            promise_columns!(),
            ", p.key, e.component, e.policy, e.seed, e.steps, e.cpu_us, e.updated_ms, e.error
            FROM promises p ",
            $join,
            " JOIN executions e ON e.key = p.key WHERE ",
            $which
        )
    };
}
const EXECUTION: &str = executions!("LEFT", "p.id = ?1");
const EXECUTIONS: &str = executions!("FULL", "p.task IS NOT NULL OR e.key IS NOT NULL ORDER BY p.created_at, p.id");
const EXECUTION_AT: &str = executions!("LEFT", "p.rowid = ?1");
/// The places from which a list continues among the tasks in one state; the function is part of a JSON text, and read
/// only if the query names one.
macro_rules! places {
    ($direction:literal) => {
        concat!(
            "SELECT created_at, id, rowid FROM promises
            WHERE state = ?1 AND task = ?2 AND (created_at, id) > (?3, ?4) AND (created_at, id) < (?5, ?6)
                AND (?7 IS NULL OR CASE WHEN json_valid(param) THEN json_extract(param, '$.func') END = ?7)
            ORDER BY created_at ",
            $direction,
            ", id ",
            $direction,
            " LIMIT ?8"
        )
    };
}
pub(super) const OLDEST_PLACES: &str = places!("ASC");
pub(super) const NEWEST_PLACES: &str = places!("DESC");
/// A kept error is the cause of a halt.
pub(super) const HALTED_BELOW: &str =
    executions!("", "p.id >= ?1 || '.' AND p.id < ?1 || '/' AND e.error IS NOT NULL ORDER BY p.id LIMIT 100");
const CENSUS: &str = "SELECT state, task, count(*) FROM promises WHERE task IS NOT NULL GROUP BY state, task";
const JOURNAL: &str = "SELECT id, bytes FROM segments WHERE id BETWEEN ?1 AND ?2 ORDER BY id";
const PROMISE: &str = concat!("SELECT ", promise_columns!(), " FROM promises p WHERE p.id = ?1");
pub(super) const PROMISES: &str =
    concat!("SELECT ", promise_columns!(), " FROM promises p WHERE p.state = 'pending' AND p.asked = 1");
pub(super) const HELD: &str =
    "SELECT id, version FROM promises WHERE state = 'pending' AND task = 'acquired' ORDER BY id";
pub(super) const OFFERS: &str = "SELECT id FROM promises WHERE state = 'pending' AND task = 'pending' ORDER BY id";
pub(super) const OFFERS_WITHIN: &str = "SELECT id FROM promises WHERE id = ?1 AND +task = 'pending'
    UNION ALL SELECT id FROM promises WHERE id >= ?1 || '.' AND id < ?1 || '/' AND +task = 'pending' ORDER BY id";
/// Three queries: the root, what it has called, and what was detached with what that has called.
macro_rules! lineage {
    ($which:literal) => {
        concat!(
            "SELECT coalesce(sum(p.targeted), 0) AS executions, count(*) AS promises, coalesce(sum(e.cpu_us), 0) AS cpu_us
            FROM promises p LEFT JOIN executions e ON e.key = p.key WHERE (p.targeted = 1 OR p.asked = 1) AND ",
            $which
        )
    };
}
pub(super) const LINEAGE: &str = concat!(
    "SELECT sum(executions), sum(promises), sum(cpu_us) FROM (",
    lineage!("p.id = ?1"),
    " UNION ALL ",
    lineage!("p.id >= ?2 AND p.id < ?3"),
    " UNION ALL ",
    lineage!("p.id >= ?4 AND p.id < ?5 AND json_extract(p.tags, '$.\"everstep:lineage\"') = ?1"),
    ")"
);
const SCHEDULES: &str = concat!("SELECT ", schedule_columns!(), " FROM schedules ORDER BY id");
pub(super) const NEXT_DUE: &str = "SELECT min(at) FROM (
    SELECT min(timeout_at) AS at FROM promises
        WHERE state = 'pending' AND timeout_at < 9223372036854775807 AND targeted = 1
    UNION ALL SELECT min(timeout_at) FROM promises
        WHERE state = 'pending' AND timeout_at < 9223372036854775807 AND targeted = 0 AND ?1
    UNION ALL SELECT min(expires_at) FROM promises WHERE expires_at < 9223372036854775807
    UNION ALL SELECT min(next_run_at) FROM schedules WHERE next_run_at < 9223372036854775807)";
const BLOB: &str = "SELECT bytes FROM blobs WHERE digest = ?1";
pub(super) const HAS_BLOB: &str = "SELECT EXISTS (SELECT 1 FROM blobs WHERE digest = ?1)";

/// The connection that reads.
#[derive(Debug)]
pub(super) struct Reader {
    connection: Connection,
    /// Whether there is an index of tasks by state. A store that no newer host has opened lacks it.
    indexed: bool,
    /// Whether the store was of an earlier format when it was opened. A host may have converted it since.
    was_earlier: bool,
}

/// The number of the seal of a journal in an earlier format, if it has one.
const EARLIER_SEAL: u32 = u32::MAX;

/// Segments one after the other, where the next one begins, and the seal if they are the last.
type Segments = (Vec<u8>, JournalPlace, Option<Vec<u8>>);

/// A part of a journal ends with the segment that reaches this size.
const PART_BYTES: usize = 1 << 20;

impl Reader {
    pub(super) fn new(connection: Connection) -> Result<Self, Error> {
        let indexed = schema::has_index(&connection, schema::TASKS)?;
        let was_earlier = schema::format(&connection)? != schema::FORMAT;
        Ok(Self { connection, indexed, was_earlier })
    }

    /// The greatest key in use, or 0.
    pub(super) fn last_key(&self) -> Result<u32, Error> {
        Ok(self.connection.query_row(LAST_KEY, [], |row| row.get(0))?)
    }

    pub(super) fn execution(&self, id: &ExecutionId) -> Result<Option<Execution>, Error> {
        let found = self.collect("executions", EXECUTION, [id.as_str()], stored)?.pop();
        found.map_or(Ok(None), |(row, beside)| execution(row, beside))
    }

    pub(super) fn executions(&self) -> Result<Vec<Execution>, Error> {
        let all = self.collect("executions", EXECUTIONS, [], stored)?.into_iter();
        all.filter_map(|(row, beside)| execution(row, beside).transpose()).collect()
    }

    /// Reads one entry of the index for each task.
    pub(super) fn census(&self) -> Result<Vec<(State, u64)>, Error> {
        let counted = |row: &rusqlite::Row<'_>| {
            let (promise, task) = (rows::parsed(row, 0)?, rows::parsed(row, 1)?);
            Ok((State::of(promise, task), row.get::<_, i64>(2)?.cast_unsigned()))
        };
        self.collect("promises", CENSUS, [], counted)
    }

    /// Without the index every part would cost a scan of all tasks, so one part has to hold everything.
    pub(super) fn list(&self, query: &Query, limit: usize) -> Result<Part, Error> {
        let limit = if self.indexed { limit } else { usize::MAX };
        // In one transaction: what is found does not change until it is read.
        let snapshot = self.connection.unchecked_transaction()?;
        let mut found = Vec::new();
        for standing in query.standings() {
            found.extend(self.places(standing, query, limit)?);
        }
        let found = query.order.merge(found, limit);
        let mut executions = Vec::with_capacity(found.len());
        for (_, row) in &found {
            for (row, beside) in self.collect("executions", EXECUTION_AT, [row], stored)? {
                executions.extend(execution(row, beside)?);
            }
        }
        snapshot.finish()?;
        Ok(Part { executions, next: Part::next(&found, limit) })
    }

    /// The places from which a list continues among the tasks in one state, and their rows.
    fn places(
        &self,
        (state, task): (PromiseState, TaskState),
        query: &Query,
        limit: usize,
    ) -> Result<Vec<(Place, i64)>, Error> {
        let sql = match query.order {
            Order::OldestFirst => OLDEST_PLACES,
            Order::NewestFirst => NEWEST_PLACES,
        };
        let ((low, high), limit) = (query.range(), i64::try_from(limit).unwrap_or(i64::MAX));
        let [low_ms, high_ms] = [&low, &high].map(|place| place.created_ms.cast_signed());
        let row = params![state.name(), task.name(), low_ms, low.id, high_ms, high.id, query.function, limit];
        self.collect("promises", sql, row, |row| {
            Ok((Place { created_ms: rows::unsigned(row, 0)?, id: row.get(1)? }, row.get(2)?))
        })
    }

    pub(super) fn halted_below(&self, id: &ExecutionId) -> Result<Vec<Execution>, Error> {
        let found = self.collect("executions", HALTED_BELOW, [id.as_str()], stored)?.into_iter();
        let found = found.filter_map(|(row, beside)| execution(row, beside).transpose());
        found.filter(|execution| execution.as_ref().map_or(true, Execution::stands_still_or_ended)).collect()
    }

    pub(super) fn journal(&self, key: ExecutionKey) -> Result<(Vec<u8>, u32), Error> {
        let SealedJournal { bytes, segments, .. } = self.sealed_journal(key)?;
        Ok((bytes, segments))
    }

    pub(super) fn sealed_journal(&self, key: ExecutionKey) -> Result<SealedJournal, Error> {
        let (bytes, end, seal) = self.segments(key, JournalPlace::default(), usize::MAX)?;
        Ok(SealedJournal { bytes, segments: end.segment, seal: seal.filter(|seal| !seal.is_empty()) })
    }

    pub(super) fn journal_part(&self, key: ExecutionKey, at: JournalPlace) -> Result<(Vec<u8>, JournalPlace), Error> {
        let (part, end, _) = self.segments(key, at, PART_BYTES)?;
        Ok((part, end))
    }

    /// The segments from a place on, up to the one that makes them at least `enough` bytes, and the seal if they end before that. The
    /// last row of a journal is its seal, unless it is the only one.
    fn segments(&self, key: ExecutionKey, mut at: JournalPlace, enough: usize) -> Result<Segments, Error> {
        let is_earlier = self.was_earlier && schema::format(&self.connection)? != schema::FORMAT;
        let mut statement = self.connection.prepare_cached(JOURNAL)?;
        let mut rows = statement.query(params![segment_id(key, at.segment), segment_id(key, u32::MAX)])?;
        let mut part = Vec::new();
        let mut last = at;
        while let Some(row) = rows.next()? {
            if part.len() >= enough {
                return Ok((part, at, None));
            }
            let found = row.get::<_, i64>(0)? - segment_id(key, 0);
            if is_earlier && found == i64::from(EARLIER_SEAL) {
                return Ok((part, at, Some(row.get(1)?)));
            }
            if found != i64::from(at.segment) {
                let what = format!("the journal of execution key {}", key.0);
                return Err(corrupted(what, format!("segment {}", at.segment), format!("segment {found}")));
            }
            let bytes = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            part.extend_from_slice(bytes);
            last = at;
            at = JournalPlace { segment: at.segment + 1, offset: at.offset + bytes.len() };
        }
        if is_earlier || at.segment < 2 {
            return Ok((part, at, None));
        }
        let seal = part.split_off(part.len() - (at.offset - last.offset));
        Ok((part, last, Some(seal)))
    }

    pub(super) fn promise(&self, id: &str) -> Result<Option<Row>, Error> {
        Ok(self.collect("promises", PROMISE, [id], rows::promise)?.pop())
    }

    pub(super) fn holds(&self, id: &str, version: u64) -> Result<bool, Error> {
        Ok(tables::holds(&self.connection, id, version)?)
    }

    pub(super) fn promises(&self) -> Result<Vec<PendingPromise>, Error> {
        let rows = self.collect("promises", PROMISES, [], rows::promise)?;
        let mut all: Vec<_> = rows.iter().filter_map(|row| PendingPromise::of(&row.promise)).collect();
        all.sort_by(|a, b| (a.created_ms, &a.id).cmp(&(b.created_ms, &b.id)));
        Ok(all)
    }

    pub(super) fn lineage(&self, root: &ExecutionId) -> Result<Lineage, Error> {
        let [(children, no_child), (detached, not_detached)] = Kinship::ranges(root);
        let mut statement = self.connection.prepare_cached(LINEAGE)?;
        let found = params![root.as_str(), children, no_child, detached, not_detached];
        Ok(statement.query_row(found, |row| {
            let count = |column| row.get(column).map(i64::cast_unsigned);
            // The promise of the root was not made by the lineage.
            Ok(Lineage { executions: count(0)?, promises: count(1)?.saturating_sub(1), cpu_us: count(2)? })
        })?)
    }

    pub(super) fn held(&self) -> Result<Vec<(String, u64)>, Error> {
        self.collect("promises", HELD, [], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned())))
    }

    pub(super) fn offers(&self) -> Result<Vec<String>, Error> {
        self.collect("promises", OFFERS, [], |row| row.get(0))
    }

    pub(super) fn offers_within(&self, id: &ExecutionId) -> Result<Vec<String>, Error> {
        self.collect("promises", OFFERS_WITHIN, [id.as_str()], |row| row.get(0))
    }

    pub(super) fn schedules(&self) -> Result<Vec<Schedule>, Error> {
        self.collect("schedules", SCHEDULES, [], rows::schedule)
    }

    /// `all`: deadlines of promises without a target count, too.
    pub(super) fn next_due(&self, all: bool) -> Result<Option<u64>, Error> {
        let mut statement = self.connection.prepare_cached(NEXT_DUE)?;
        Ok(statement.query_row([all], |row| rows::optional(row, 0))?)
    }

    pub(super) fn has_blob(&self, digest: &Digest) -> Result<bool, Error> {
        let mut statement = self.connection.prepare_cached(HAS_BLOB)?;
        Ok(statement.query_row([digest.0], |row| row.get(0))?)
    }

    pub(super) fn blob(&self, digest: &Digest) -> Result<Option<Bytes>, Error> {
        let mut statement = self.connection.prepare_cached(BLOB)?;
        let bytes: Option<Vec<u8>> = statement.query_row([digest.0], |row| row.get(0)).optional()?;
        match bytes {
            Some(bytes) if Digest::of(&bytes) != *digest => {
                let found = Digest::of(&bytes).to_string();
                Err(corrupted("content-addressed bytes".to_owned(), digest.to_string(), found))
            }
            bytes => Ok(bytes.map(Bytes::from)),
        }
    }

    fn collect<T>(
        &self,
        table: &str,
        sql: &str,
        parameters: impl Params,
        read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
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

/// A promise, and what is kept beside it if it is an execution.
fn stored(row: &rusqlite::Row<'_>) -> rusqlite::Result<(Row, Option<Beside>)> {
    Ok((rows::promise(row)?, beside(row)?))
}

fn beside(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<Beside>> {
    let column = |number| rows::PROMISE_WIDTH + number;
    let Some(key) = row.get(column(0))? else { return Ok(None) };
    let count = |number| row.get(column(number)).map(i64::cast_unsigned);
    let (steps, cpu_us, updated_ms) = (count(4)?, count(5)?, count(6)?);
    let progress = Progress { error: failure(row, column(7))?, steps, cpu_us, updated_ms };
    let (component, policy, seed) = (row.get(column(1))?, row.get(column(2))?, row.get(column(3))?);
    let (component, policy) = (Digest(component), Digest(policy));
    Ok(Some(Beside { key: ExecutionKey(key), component, policy, seed, progress }))
}

fn failure(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<Failure>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| rows::malformed(column, error))
}

fn execution(row: Row, beside: Option<Beside>) -> Result<Option<Execution>, Error> {
    match (&row.task, beside) {
        (Some(task), beside) => invocation::execution(&row.promise, task, beside),
        (None, None) => Ok(None),
        (None, Some(_)) => {
            let what = format!("the execution {}", row.promise.id);
            Err(corrupted(what, "its task".to_owned(), "a promise without a target".to_owned()))
        }
    }
}

fn corrupted(what: String, expected: String, found: String) -> Error {
    Error::Corrupted { what, expected, found }
}
