//! What a transaction keeps of executions beside their promises. Those that it creates are written at its end, as they are then: most of
//! them have ended by that time.

use super::tables::{Tables, is_constraint};
use crate::{Error, ExecutionKey, NewExecution, Progress};
use everstep_words::id::Digest;
use rusqlite::{ToSql, params, params_from_iter};
use std::collections::BTreeMap;

const CREATE: &str = "INSERT INTO executions (key, component, policy, seed, steps, cpu_us, updated_ms, error)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
/// The first rows of a journal, up to three of them in one statement. With `OR FAIL` SQLite need not prepare to undo a statement.
const FIRST: [&str; 3] = [
    "INSERT OR FAIL INTO segments (id, bytes) VALUES (?1, ?2)",
    "INSERT OR FAIL INTO segments (id, bytes) VALUES (?1, ?2), (?3, ?4)",
    "INSERT OR FAIL INTO segments (id, bytes) VALUES (?1, ?2), (?3, ?4), (?5, ?6)",
];
/// The first segment needs its execution, the second one the first.
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

/// The executions of a transaction; see the module.
#[derive(Default)]
pub(super) struct Executions<'c> {
    created: BTreeMap<ExecutionKey, Created<'c>>,
}

/// An execution that is not written yet.
struct Created<'c> {
    new: &'c NewExecution,
    component: Digest,
    progress: Option<&'c Progress>,
    segments: Vec<&'c [u8]>,
    /// Of the last segment.
    seal: Option<&'c [u8; 32]>,
}

impl<'c> Executions<'c> {
    pub(super) fn create(&mut self, tables: &mut Tables<'_>, new: &'c NewExecution) -> Result<(), Error> {
        let NewExecution { key, id, component, .. } = new;
        if !tables.take_up(*key, id.as_str())? {
            let is_taken = tables.has_key(id.as_str())?;
            return Err(if is_taken { Error::taken(new) } else { Error::no_task(new) });
        }
        let created = Created { new, component: *component, progress: None, segments: Vec::new(), seal: None };
        match self.created.insert(*key, created) {
            None => Ok(()),
            Some(_) => Err(Error::taken(new)),
        }
    }

    pub(super) fn append(
        &mut self,
        tables: &Tables<'_>,
        (key, segment): (ExecutionKey, u32),
        bytes: &'c [u8],
        seal: Option<&'c [u8; 32]>,
    ) -> Result<(), Error> {
        let Some(created) = self.created.get_mut(&key) else {
            return append_to_written(tables, (key, segment), bytes, seal);
        };
        if created.segments.len() != segment as usize {
            return Err(Error::no_place(key, segment));
        }
        created.segments.push(bytes);
        created.seal = seal;
        Ok(())
    }

    pub(super) fn progress(
        &mut self,
        tables: &Tables<'_>,
        key: ExecutionKey,
        progress: &'c Progress,
    ) -> Result<(), Error> {
        if let Some(created) = self.created.get_mut(&key) {
            created.progress = Some(progress);
            return Ok(());
        }
        let (steps, cpu_us, updated_ms, error) = columns(progress)?;
        tables.fit(PROGRESS, params![key.0, steps, cpu_us, updated_ms, error], || Error::unknown(key))
    }

    pub(super) fn component(&mut self, tables: &Tables<'_>, key: ExecutionKey, component: Digest) -> Result<(), Error> {
        if let Some(created) = self.created.get_mut(&key) {
            created.component = component;
            return Ok(());
        }
        tables.fit(COMPONENT, params![key.0, component.0], || Error::unknown(key))
    }

    /// Writes those that were created.
    pub(super) fn write(&mut self, tables: &Tables<'_>) -> Result<(), Error> {
        let created = std::mem::take(&mut self.created);
        created.into_iter().try_for_each(|(key, created)| created.write(tables, key))
    }
}

impl Created<'_> {
    fn write(mut self, tables: &Tables<'_>, key: ExecutionKey) -> Result<(), Error> {
        let NewExecution { policy, seed, .. } = self.new;
        let (steps, cpu_us, updated_ms, error) = columns(self.progress.unwrap_or(&Progress::default()))?;
        let row = params![key.0, self.component.0, policy.0, seed, steps, cpu_us, updated_ms, error];
        tables.fit(CREATE, row, || Error::taken(self.new))?;
        let segments = self.segments.len();
        if segments > 1 || self.seal.is_some() {
            self.segments.push(self.seal.map_or(&[], |seal| &seal[..]));
        }
        let ids: Vec<i64> = (0..).map(|row| segment_id(key, row)).take(self.segments.len()).collect();
        for (ids, rows) in ids.chunks(FIRST.len()).zip(self.segments.chunks(FIRST.len())) {
            let values = ids.iter().zip(rows).flat_map(|(id, bytes)| [id as &dyn ToSql, bytes]);
            match tables.run(FIRST[rows.len() - 1], params_from_iter(values)) {
                Err(error) if is_constraint(&error) => return Err(Error::no_place(key, 0)),
                done => done?,
            };
        }
        Ok(())
    }
}

/// Writes a segment, and after it the seal: an empty one if there is none, so that the last row is never a segment. Only a journal of
/// one segment may be without it.
fn append_to_written(
    tables: &Tables<'_>,
    (key, segment): (ExecutionKey, u32),
    bytes: &[u8],
    seal: Option<&[u8; 32]>,
) -> Result<(), Error> {
    let id = segment_id(key, segment);
    let misfit = || Error::no_place(key, segment);
    match segment {
        0 => tables.fit(APPEND_FIRST, params![id, bytes, key.0], misfit)?,
        _ if tables.run(APPEND_NEXT, params![id, bytes])? == 1 => {}
        1 => tables.fit(APPEND_SECOND, params![id, bytes], misfit)?,
        _ => return Err(misfit()),
    }
    if segment == 0 && seal.is_none() {
        return Ok(());
    }
    tables.fit(SEAL, params![id + 1, seal.map_or(&[][..], |seal| &seal[..])], misfit)
}

/// Steps, CPU time, time of the last change, and error, as they are stored.
fn columns(progress: &Progress) -> Result<(i64, i64, i64, Option<String>), Error> {
    let Progress { error, steps, cpu_us, updated_ms } = progress;
    let error = error.as_ref().map(serde_json::to_string).transpose();
    let error = error.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    Ok((steps.cast_signed(), cpu_us.cast_signed(), updated_ms.cast_signed(), error))
}

/// The row id of a segment; the rows of one journal are adjacent, in order.
pub(super) fn segment_id(key: ExecutionKey, segment: u32) -> i64 {
    i64::from(key.0) << 32 | i64::from(segment)
}
