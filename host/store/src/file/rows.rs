//! Rows of promises and schedules, and their columns: every value that everstep cannot have written is an error.

use crate::machine;
use crate::record::{Lease, Promise, PromiseState, Schedule, Task, TaskState, Value};
use rusqlite::types::Type;
use rusqlite::{Result, Row};
use std::collections::BTreeMap;
use std::error::Error;
use std::str::FromStr;

/// The columns of `promises p` that [`promise`] reads, starting with the first.
macro_rules! promise_columns {
    () => {
        "p.id, p.state, p.task, p.version, p.resumes, p.pid, p.ttl, p.expires_at, p.timeout_at, p.created_at, p.settled_at,
        p.tags, p.param_headers, p.param, p.value_headers, p.value"
    };
}

/// The columns of `schedules` that [`schedule`] reads.
macro_rules! schedule_columns {
    () => {
        "id, next_run_at, last_run_at, created_at, promise_timeout, cron, promise_id, tags, param_headers, param"
    };
}

pub(super) use {promise_columns, schedule_columns};

/// The number of columns of a promise.
pub(super) const PROMISE_WIDTH: usize = 16;

/// A promise and its task.
pub(super) fn promise(row: &Row<'_>) -> Result<machine::Row> {
    let promise = Promise {
        id: row.get(0)?,
        state: parsed(row, 1)?,
        timeout_at: unsigned(row, 8)?,
        created_at: unsigned(row, 9)?,
        settled_at: optional(row, 10)?,
        tags: texts(row, 11)?.into(),
        param: value(row, 12)?,
        value: value(row, 14)?,
    };
    let task = match row.get::<_, Option<String>>(2)? {
        Some(state) => Some(task(row, &promise.id, &state)?),
        None => None,
    };
    let row = machine::Row { promise, task };
    check(&row)?;
    Ok(row)
}

fn task(row: &Row<'_>, id: &str, state: &str) -> Result<Task> {
    let state = state.parse().map_err(|error| malformed(2, error))?;
    let lease = match row.get(5)? {
        Some(pid) => Some(Lease { pid, ttl: unsigned(row, 6)?, expires_at: unsigned(row, 7)? }),
        None => None,
    };
    Ok(Task { id: id.to_owned(), state, version: unsigned(row, 3)?, resumes: unsigned(row, 4)?, lease })
}

/// Checks that a promise has a settlement time exactly if it is settled, and a task exactly if it has a target; that the task is
/// fulfilled exactly if the promise is settled, and has a lease exactly if it is acquired.
fn check(row: &machine::Row) -> Result<()> {
    let machine::Row { promise, task } = row;
    let settled = promise.state != PromiseState::Pending;
    let whole = promise.settled_at.is_some() == settled && task.is_some() == promise.target().is_some();
    let fits = |task: &Task| {
        (task.state == TaskState::Fulfilled) == settled && (task.state == TaskState::Acquired) == task.lease.is_some()
    };
    if whole && task.as_ref().is_none_or(fits) {
        return Ok(());
    }
    let contradiction = format!("the states of the promise {:?} contradict each other", promise.id);
    Err(rusqlite::Error::FromSqlConversionFailure(1, Type::Text, contradiction.into()))
}

/// A schedule.
pub(super) fn schedule(row: &Row<'_>) -> Result<Schedule> {
    Ok(Schedule {
        id: row.get(0)?,
        next_run_at: unsigned(row, 1)?,
        last_run_at: optional(row, 2)?,
        created_at: unsigned(row, 3)?,
        promise_timeout: unsigned(row, 4)?,
        cron: row.get(5)?,
        promise_id: row.get(6)?,
        promise_tags: texts(row, 7)?,
        promise_param: value(row, 8)?,
    })
}

/// Headers and data, in two columns.
fn value(row: &Row<'_>, column: usize) -> Result<Value> {
    let headers = match row.get_ref(column)?.as_str_or_null()? {
        Some(headers) => json(column, headers)?,
        None => BTreeMap::new(),
    };
    Ok(Value { headers, data: row.get(column + 1)? })
}

fn texts(row: &Row<'_>, column: usize) -> Result<BTreeMap<String, String>> {
    json(column, row.get_ref(column)?.as_str()?)
}

fn json(column: usize, text: &str) -> Result<BTreeMap<String, String>> {
    serde_json::from_str(text).map_err(|error| malformed(column, error))
}

/// A number that must not be negative.
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> Result<u64> {
    checked(column, row.get(column)?)
}

pub(super) fn optional(row: &Row<'_>, column: usize) -> Result<Option<u64>> {
    row.get::<_, Option<i64>>(column)?.map(|number| checked(column, number)).transpose()
}

fn checked(column: usize, number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// A text out of a fixed set.
pub(super) fn parsed<T: FromStr<Err: Error + Send + Sync + 'static>>(row: &Row<'_>, column: usize) -> Result<T> {
    row.get_ref(column)?.as_str()?.parse().map_err(|error| malformed(column, error))
}

pub(super) fn malformed(column: usize, error: impl Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}
