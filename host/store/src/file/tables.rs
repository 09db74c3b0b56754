//! Promises, tasks and schedules for the machine: statements on the connection that commits, inside its transaction.
//!
//! A promise that the transaction makes is written once: at the end, as it is then, or before a statement that could find it. Most
//! executions that are started end in the same transaction, and so pass through no index on the way.

use super::rows::{self, promise_columns, schedule_columns};
use crate::invocation::PendingPromise;
use crate::machine::{self, Row};
use crate::record::{Promise, PromiseState, Schedule, Task, Value, tag};
use crate::{Error, ExecutionKey, embedded};
use rusqlite::{Connection, ErrorCode, Params, ToSql, params};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

const ROW: &str = concat!("SELECT ", promise_columns!(), " FROM promises p WHERE p.id = ?1");
const INSERT: &str =
    "INSERT INTO promises (id, state, task, version, resumes, pid, ttl, expires_at, timeout_at, created_at,
        settled_at, targeted, asked, branch, tags, param_headers, param, value_headers, value, key)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)";
const UPDATE_TASK: &str =
    "UPDATE promises SET task = ?2, version = ?3, resumes = ?4, pid = ?5, ttl = ?6, expires_at = ?7
    WHERE id = ?1";
const SETTLE: &str = "UPDATE promises SET task = ?2, version = ?3, resumes = ?4, pid = ?5, ttl = ?6, expires_at = ?7,
        state = ?8, settled_at = ?9, value_headers = ?10, value = ?11
    WHERE id = ?1";
const SCAN: &str = concat!("SELECT ", promise_columns!(), " FROM promises p WHERE p.id > ?1 ORDER BY p.id");
pub(super) const PENDING_TREE: &str = "SELECT id FROM promises WHERE id = ?1 AND state = 'pending'
    UNION ALL SELECT id FROM promises WHERE id >= ?1 || '.' AND id < ?1 || '/' AND state = 'pending' ORDER BY id";
pub(super) const BRANCH: &str =
    concat!("SELECT ", promise_columns!(), " FROM promises p WHERE p.branch = ?1 ORDER BY p.id");
pub(super) const DUE_TASKS: &str =
    "SELECT id FROM promises WHERE state = 'pending' AND timeout_at < 9223372036854775807
        AND targeted = 1 AND timeout_at <= ?1
    ORDER BY timeout_at, id";
pub(super) const DUE_PROMISES: &str = "SELECT id, timeout_at FROM promises
        WHERE state = 'pending' AND timeout_at < 9223372036854775807 AND targeted = 1 AND timeout_at <= ?1
    UNION ALL SELECT id, timeout_at FROM promises
        WHERE state = 'pending' AND timeout_at < 9223372036854775807 AND targeted = 0 AND timeout_at <= ?1
    ORDER BY timeout_at, id";
pub(super) const DUE_LEASES: &str =
    "SELECT id FROM promises WHERE expires_at < 9223372036854775807 AND expires_at <= ?1
    ORDER BY expires_at, id";

const ADD_CALLBACK: &str = "INSERT INTO callbacks (awaited, awaiter, ready) VALUES (?1, ?2, 0) ON CONFLICT DO NOTHING";
const ADD_READY_CALLBACK: &str = "INSERT INTO callbacks (awaited, awaiter, ready) VALUES (?1, ?2, 1)
    ON CONFLICT DO UPDATE SET ready = 1 WHERE ready = 0";
const WAITING: &str = "SELECT awaiter FROM callbacks WHERE awaited = ?1 AND ready = 0 ORDER BY awaiter";
const MAKE_READY: &str = "UPDATE callbacks SET ready = 1 WHERE awaited = ?1";
pub(super) const DROP_READY_CALLBACKS: &str = "DELETE FROM callbacks WHERE awaiter = ?1 AND ready = 1";
const DROP_CALLBACKS: &str = "DELETE FROM callbacks WHERE awaiter = ?1";
const ADD_LISTENER: &str = "INSERT INTO listeners (awaited, address) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
const LISTENING: &str = "SELECT address FROM listeners WHERE awaited = ?1 ORDER BY address";
const DROP_LISTENERS: &str = "DELETE FROM listeners WHERE awaited = ?1";

const SCHEDULE: &str = concat!("SELECT ", schedule_columns!(), " FROM schedules WHERE id = ?1");
const PUT_SCHEDULE: &str = concat!(
    "INSERT OR REPLACE INTO schedules (",
    schedule_columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
);
const REMOVE_SCHEDULE: &str = "DELETE FROM schedules WHERE id = ?1";
const SCAN_SCHEDULES: &str = concat!("SELECT ", schedule_columns!(), " FROM schedules WHERE id > ?1 ORDER BY id");
pub(super) const DUE_SCHEDULES: &str = "SELECT id FROM schedules
    WHERE next_run_at < 9223372036854775807 AND next_run_at <= ?1 ORDER BY next_run_at, id";

/// Only the task of a promise becomes an execution, and only once.
const TAKE_UP: &str = "UPDATE promises SET key = ?1 WHERE id = ?2 AND task IS NOT NULL AND key IS NULL";
const HAS_KEY: &str = "SELECT EXISTS (SELECT 1 FROM promises WHERE id = ?1 AND key IS NOT NULL)";

/// See `embedded::holds`.
const HOLDS: &str =
    "SELECT EXISTS (SELECT 1 FROM promises WHERE id = ?1 AND version = ?2 AND task IN ('acquired', 'fulfilled'))";

/// Whether a task is held in a version.
pub(super) fn holds(connection: &Connection, id: &str, version: u64) -> rusqlite::Result<bool> {
    connection.prepare_cached(HOLDS)?.query_row(params![id, version.cast_signed()], |row| row.get(0))
}

/// The tables of the connection that commits, in one transaction.
pub(super) struct Tables<'c> {
    connection: &'c Connection,
    /// The promises that are not written yet, by id.
    made: BTreeMap<String, Made>,
}

/// A promise that is not written yet.
struct Made {
    row: Row,
    /// That of its execution.
    key: Option<ExecutionKey>,
    /// Whether a callback or a listener may name it.
    is_linked: bool,
}

impl<'c> Tables<'c> {
    pub(super) fn over(connection: &'c Connection) -> Self {
        Self { connection, made: BTreeMap::new() }
    }

    /// Runs a statement; returns how many rows it changed.
    pub(super) fn run(&self, sql: &str, parameters: impl Params) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute(parameters)
    }

    /// Runs a statement that must change exactly one row; `misfit` makes the error if it cannot.
    pub(super) fn fit(&self, sql: &str, row: impl Params, misfit: impl FnOnce() -> Error) -> Result<(), Error> {
        match self.run(sql, row) {
            Ok(1) => Ok(()),
            Ok(_) => Err(misfit()),
            Err(error) if is_constraint(&error) => Err(misfit()),
            Err(error) => Err(error.into()),
        }
    }

    /// What a `SELECT EXISTS` says.
    pub(super) fn is_there(&self, sql: &str, parameters: impl Params) -> rusqlite::Result<bool> {
        self.connection.prepare_cached(sql)?.query_row(parameters, |row| row.get(0))
    }

    /// Whether a task is held in a version.
    pub(super) fn holds(&self, id: &str, version: u64) -> Result<bool, Error> {
        match self.made.get(id) {
            Some(Made { row, .. }) => {
                Ok(row.task.as_ref().is_some_and(|task| embedded::holds(task.state, task.version, version)))
            }
            None => Ok(holds(self.connection, id, version)?),
        }
    }

    /// Makes a task that of an execution; returns false if there is none, or it is one already.
    pub(super) fn take_up(&mut self, key: ExecutionKey, id: &str) -> Result<bool, Error> {
        match self.made.get_mut(id) {
            Some(made) => {
                let is_free = made.row.task.is_some() && made.key.is_none();
                made.key = made.key.or_else(|| is_free.then_some(key));
                Ok(is_free)
            }
            None => Ok(self.run(TAKE_UP, params![key.0, id])? == 1),
        }
    }

    /// Whether a promise is that of an execution.
    pub(super) fn has_key(&self, id: &str) -> Result<bool, Error> {
        match self.made.get(id) {
            Some(made) => Ok(made.key.is_some()),
            None => Ok(self.is_there(HAS_KEY, [id])?),
        }
    }

    /// Writes what was made.
    pub(super) fn write(&mut self) -> Result<(), Error> {
        let made = std::mem::take(&mut self.made);
        made.into_values().try_for_each(|made| self.write_row(&made.row, made.key))
    }

    fn write_row(&self, row: &Row, key: Option<ExecutionKey>) -> Result<(), Error> {
        let Promise { id, state, param, value, tags, timeout_at, created_at, settled_at } = &row.promise;
        let task = TaskColumns::of(row.task.as_ref());
        self.run(
            INSERT,
            params![
                id,
                state.name(),
                task.state,
                task.version,
                task.resumes,
                task.pid,
                task.ttl,
                task.expires_at,
                timeout_at.cast_signed(),
                created_at.cast_signed(),
                settled_at.map(u64::cast_signed),
                row.task.is_some(),
                PendingPromise::is_asked(&row.promise),
                tags.get(tag::BRANCH),
                json(tags)?,
                headers(param)?,
                param.data,
                headers(value)?,
                value.data,
                key.map(|key| key.0)
            ],
        )?;
        Ok(())
    }

    /// Notes that a callback or a listener is about to name them.
    fn link(&mut self, ids: &[&str]) {
        for id in ids {
            if let Some(made) = self.made.get_mut(*id) {
                made.is_linked = true;
            }
        }
    }

    /// Whether no callback and no listener can name a promise, because it was made just now.
    fn is_unlinked(&self, id: &str) -> bool {
        self.made.get(id).is_some_and(|made| !made.is_linked)
    }

    fn ids(&self, sql: &str, parameter: impl ToSql) -> Result<Vec<String>, Error> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let ids = statement.query_map([parameter], |row| row.get(0))?;
        Ok(ids.collect::<rusqlite::Result<_>>()?)
    }

    fn find<T>(
        &self,
        sql: &str,
        id: &str,
        read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Error> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([id])?;
        Ok(rows.next()?.map(read).transpose()?)
    }

    fn visit<T>(
        &self,
        sql: &str,
        parameter: &str,
        read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
        each: &mut dyn FnMut(T) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([parameter])?;
        while let Some(row) = rows.next()? {
            if each(read(row)?).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl machine::Tables for Tables<'_> {
    fn row(&mut self, id: &str) -> Result<Option<Row>, Error> {
        if let Some(made) = self.made.get(id) {
            return Ok(Some(made.row.clone()));
        }
        self.find(ROW, id, rows::promise)
    }

    fn insert(&mut self, row: &Row) -> Result<(), Error> {
        let made = Made { row: row.clone(), key: None, is_linked: false };
        self.made.insert(row.promise.id.clone(), made);
        Ok(())
    }

    fn update(&mut self, row: &Row) -> Result<(), Error> {
        let Promise { id, state, value, settled_at, .. } = &row.promise;
        if let Some(Made { row: made, .. }) = self.made.get_mut(id) {
            (made.promise.state, made.promise.settled_at) = (*state, *settled_at);
            (made.promise.value, made.task) = (value.clone(), row.task.clone());
            return Ok(());
        }
        let TaskColumns { state: task, version, resumes, pid, ttl, expires_at } = TaskColumns::of(row.task.as_ref());
        if *state == PromiseState::Pending {
            self.run(UPDATE_TASK, params![id, task, version, resumes, pid, ttl, expires_at])?;
            return Ok(());
        }
        let (state, settled_at, headers) = (state.name(), settled_at.map(u64::cast_signed), headers(value)?);
        let row = params![id, task, version, resumes, pid, ttl, expires_at, state, settled_at, headers, value.data];
        self.run(SETTLE, row)?;
        Ok(())
    }

    fn scan(&mut self, after: Option<&str>, each: &mut dyn FnMut(Row) -> ControlFlow<()>) -> Result<(), Error> {
        self.write()?;
        // Ids are never empty.
        self.visit(SCAN, after.unwrap_or_default(), rows::promise, each)
    }

    fn pending_tree(&mut self, id: &str) -> Result<Vec<String>, Error> {
        self.write()?;
        self.ids(PENDING_TREE, id)
    }

    fn branch(&mut self, branch: &str, each: &mut dyn FnMut(Promise) -> ControlFlow<()>) -> Result<(), Error> {
        self.write()?;
        self.visit(BRANCH, branch, |row| Ok(rows::promise(row)?.promise), each)
    }

    fn due_promises(&mut self, now: u64, all: bool) -> Result<Vec<String>, Error> {
        self.write()?;
        self.ids(if all { DUE_PROMISES } else { DUE_TASKS }, now.cast_signed())
    }

    fn due_leases(&mut self, now: u64) -> Result<Vec<String>, Error> {
        self.write()?;
        self.ids(DUE_LEASES, now.cast_signed())
    }

    fn add_callback(&mut self, awaited: &str, awaiter: &str) -> Result<(), Error> {
        self.link(&[awaited, awaiter]);
        self.run(ADD_CALLBACK, [awaited, awaiter])?;
        Ok(())
    }

    fn add_ready_callback(&mut self, awaited: &str, awaiter: &str) -> Result<bool, Error> {
        self.link(&[awaited, awaiter]);
        Ok(self.run(ADD_READY_CALLBACK, [awaited, awaiter])? > 0)
    }

    fn make_callbacks_ready(&mut self, awaited: &str) -> Result<Vec<String>, Error> {
        if self.is_unlinked(awaited) {
            return Ok(Vec::new());
        }
        let waiting = self.ids(WAITING, awaited)?;
        if !waiting.is_empty() {
            self.run(MAKE_READY, [awaited])?;
        }
        Ok(waiting)
    }

    fn drop_ready_callbacks(&mut self, awaiter: &str) -> Result<(), Error> {
        if !self.is_unlinked(awaiter) {
            self.run(DROP_READY_CALLBACKS, [awaiter])?;
        }
        Ok(())
    }

    fn drop_callbacks(&mut self, awaiter: &str) -> Result<(), Error> {
        if !self.is_unlinked(awaiter) {
            self.run(DROP_CALLBACKS, [awaiter])?;
        }
        Ok(())
    }

    fn add_listener(&mut self, awaited: &str, address: &str) -> Result<(), Error> {
        self.link(&[awaited]);
        self.run(ADD_LISTENER, [awaited, address])?;
        Ok(())
    }

    fn take_listeners(&mut self, awaited: &str) -> Result<Vec<String>, Error> {
        if self.is_unlinked(awaited) {
            return Ok(Vec::new());
        }
        let listening = self.ids(LISTENING, awaited)?;
        if !listening.is_empty() {
            self.run(DROP_LISTENERS, [awaited])?;
        }
        Ok(listening)
    }

    fn schedule(&mut self, id: &str) -> Result<Option<Schedule>, Error> {
        self.find(SCHEDULE, id, rows::schedule)
    }

    fn put_schedule(&mut self, schedule: &Schedule) -> Result<(), Error> {
        let Schedule { id, cron, promise_id, promise_param, promise_tags, .. } = schedule;
        let row = params![
            id,
            schedule.next_run_at.cast_signed(),
            schedule.last_run_at.map(u64::cast_signed),
            schedule.created_at.cast_signed(),
            schedule.promise_timeout.cast_signed(),
            cron,
            promise_id,
            json(promise_tags)?,
            headers(promise_param)?,
            promise_param.data
        ];
        self.run(PUT_SCHEDULE, row)?;
        Ok(())
    }

    fn remove_schedule(&mut self, id: &str) -> Result<(), Error> {
        self.run(REMOVE_SCHEDULE, [id])?;
        Ok(())
    }

    fn scan_schedules(
        &mut self,
        after: Option<&str>,
        each: &mut dyn FnMut(Schedule) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        // Ids are never empty.
        self.visit(SCAN_SCHEDULES, after.unwrap_or_default(), rows::schedule, each)
    }

    fn due_schedules(&mut self, now: u64) -> Result<Vec<String>, Error> {
        self.ids(DUE_SCHEDULES, now.cast_signed())
    }
}

/// A task as columns of its promise; nulls if there is none.
#[derive(Default)]
struct TaskColumns<'t> {
    state: Option<&'static str>,
    version: Option<i64>,
    resumes: Option<i64>,
    pid: Option<&'t str>,
    ttl: Option<i64>,
    expires_at: Option<i64>,
}

impl<'t> TaskColumns<'t> {
    fn of(task: Option<&'t Task>) -> Self {
        let Some(task) = task else { return Self::default() };
        let lease = task.lease.as_ref();
        Self {
            state: Some(task.state.name()),
            version: Some(task.version.cast_signed()),
            resumes: Some(task.resumes.cast_signed()),
            pid: lease.map(|lease| &*lease.pid),
            ttl: lease.map(|lease| lease.ttl.cast_signed()),
            expires_at: lease.map(|lease| lease.expires_at.cast_signed()),
        }
    }
}

pub(super) fn is_constraint(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

fn headers(value: &Value) -> Result<Option<String>, Error> {
    if value.headers.is_empty() { Ok(None) } else { json(&value.headers).map(Some) }
}

fn json(texts: &BTreeMap<String, String>) -> Result<String, Error> {
    serde_json::to_string(texts).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()).into())
}
