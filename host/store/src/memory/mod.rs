//! A store that loses everything with its process: maps behind one lock.
//!
//! Reading order: `mod.rs` (the store), `maps.rs` (its contents, one change, and how a failed commit is undone),
//! `tables.rs` (the same for the machine), `indexes.rs` (the indexes).

mod indexes;
mod maps;
mod tables;

use super::machine::Row;
use super::operation::Dialect;
use super::record::{Promise, Schedule, Task, TaskState};
use super::{
    Applied, Backend, Change, Error, Execution, ExecutionKey, Invocation, JournalPlace, Lineage, Part, PendingPromise,
    Query, SealedJournal, State, embedded,
};
use bytes::Bytes;
use everstep_words::id::{Digest, ExecutionId};
use maps::Maps;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};

/// A store in memory: fast, and lost with the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    dialect: Dialect,
    keys: AtomicU32,
    tables: Mutex<Maps>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store whose operations follow a dialect of the protocol.
    pub fn with_dialect(dialect: Dialect) -> Self {
        Self { dialect, ..Self::default() }
    }

    /// Locks the tables. Every change is applied as a whole or undone before the lock is released, so a poisoned lock
    /// is ignored.
    fn tables(&self) -> MutexGuard<'_, Maps> {
        self.tables.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Backend for MemoryStore {
    fn commit(&self, changes: &[Change]) -> Result<Vec<Applied>, Error> {
        let mut tables = self.tables();
        let mut applied = Vec::new();
        let done = changes.iter().try_for_each(|change| tables.apply(self.dialect, change, &mut applied));
        match done {
            Ok(()) => tables.undo.clear(),
            Err(_) => tables.take_back(),
        }
        done.map(|()| applied)
    }

    fn fresh_key(&self) -> Result<ExecutionKey, Error> {
        Ok(ExecutionKey(self.keys.fetch_add(1, Ordering::Relaxed) + 1))
    }

    fn execution(&self, id: &ExecutionId) -> Result<Option<Execution>, Error> {
        let tables = self.tables();
        tables.rows.get(id.as_str()).map_or(Ok(None), |row| tables.execution(row))
    }

    fn executions(&self) -> Result<Vec<Execution>, Error> {
        let tables = self.tables();
        let all = tables.rows.values().filter_map(|row| tables.execution(row).transpose());
        let mut all = all.collect::<Result<Vec<_>, _>>()?;
        all.sort_by(|a, b| (a.created_ms, &a.id).cmp(&(b.created_ms, &b.id)));
        Ok(all)
    }

    fn census(&self) -> Result<Vec<(State, u64)>, Error> {
        let tables = self.tables();
        let tasks = tables.rows.values().filter_map(|row| Some((row.promise.state, row.task.as_ref()?.state)));
        Ok(tasks.map(|(promise, task)| (State::of(promise, task), 1)).collect())
    }

    fn list(&self, query: &Query, limit: usize) -> Result<Part, Error> {
        let tables = self.tables();
        let mut found = Vec::new();
        for standing in query.standings() {
            let rows =
                tables.indexes.places(standing, query).filter_map(|place| Some((place, tables.rows.get(&place.id)?)));
            let calls = rows.filter(|(_, row)| query.function.as_ref().is_none_or(|function| calls(row, function)));
            found.extend(calls.take(limit).map(|(place, row)| (place.clone(), row)));
        }
        let found = query.order.merge(found, limit);
        let executions = found.iter().filter_map(|(_, row)| tables.execution(row).transpose());
        Ok(Part { executions: executions.collect::<Result<_, _>>()?, next: Part::next(&found, limit) })
    }

    fn halted_below(&self, id: &ExecutionId) -> Result<Vec<Execution>, Error> {
        let tables = self.tables();
        let below = tables.rows.range(format!("{id}.")..format!("{id}/")).map(|(_, row)| row);
        let halted = below.filter(|row| tables.keeps_an_error(&row.promise.id));
        let halted = halted.filter_map(|row| tables.execution(row).transpose());
        halted.filter(|one| one.as_ref().map_or(true, Execution::stands_still_or_ended)).take(100).collect()
    }

    fn journal(&self, key: ExecutionKey) -> Result<(Vec<u8>, u32), Error> {
        let tables = self.tables();
        Ok(tables.executions.get(&key).map(|entry| (entry.journal.clone(), entry.segments)).unwrap_or_default())
    }

    fn sealed_journal(&self, key: ExecutionKey) -> Result<SealedJournal, Error> {
        let tables = self.tables();
        let entry = tables.executions.get(&key);
        let sealed = |entry: &maps::Entry| SealedJournal {
            bytes: entry.journal.clone(),
            segments: entry.segments,
            seal: entry.seal.map(|seal| seal.to_vec()),
        };
        Ok(entry.map(sealed).unwrap_or_default())
    }

    fn secret(&self) -> Option<[u8; 32]> {
        None
    }

    fn journal_part(&self, key: ExecutionKey, at: JournalPlace) -> Result<(Vec<u8>, JournalPlace), Error> {
        let tables = self.tables();
        let Some(entry) = tables.executions.get(&key) else { return Ok((Vec::new(), at)) };
        let part = entry.journal.get(at.offset..).unwrap_or_default().to_vec();
        Ok((part, JournalPlace { segment: entry.segments, offset: entry.journal.len() }))
    }

    fn promise(&self, id: &str) -> Result<Option<(Promise, Option<Task>)>, Error> {
        Ok(self.tables().rows.get(id).map(|row| (row.promise.clone(), row.task.clone())))
    }

    fn holds(&self, id: &str, version: u64) -> Result<bool, Error> {
        let tables = self.tables();
        let task = tables.rows.get(id).and_then(|row| row.task.as_ref());
        Ok(task.is_some_and(|task| embedded::holds(task.state, task.version, version)))
    }

    fn promises(&self) -> Result<Vec<PendingPromise>, Error> {
        let tables = self.tables();
        let asked = tables.indexes.asked.iter().filter_map(|id| tables.rows.get(id));
        let mut all: Vec<_> = asked.filter_map(|row| PendingPromise::of(&row.promise)).collect();
        all.sort_by(|a, b| (a.created_ms, &a.id).cmp(&(b.created_ms, &b.id)));
        Ok(all)
    }

    fn lineage(&self, root: &ExecutionId) -> Result<Lineage, Error> {
        Ok(self.tables().lineage(root))
    }

    fn held(&self) -> Result<Vec<(String, u64)>, Error> {
        let tables = self.tables();
        let held = tables.indexes.tasks(TaskState::Acquired).into_iter();
        let tasks = held.filter_map(|id| tables.rows.get(id)?.task.as_ref());
        Ok(tasks.map(|task| (task.id.clone(), task.version)).collect())
    }

    fn offers(&self) -> Result<Vec<String>, Error> {
        let tables = self.tables();
        Ok(tables.indexes.tasks(TaskState::Pending).into_iter().map(str::to_owned).collect())
    }

    fn offers_within(&self, id: &ExecutionId) -> Result<Vec<String>, Error> {
        let is_offered = |row: &&Row| row.task.as_ref().is_some_and(|task| task.state == TaskState::Pending);
        Ok(self.tables().tree(id.as_str()).filter(is_offered).map(|row| row.promise.id.clone()).collect())
    }

    fn schedules(&self) -> Result<Vec<Schedule>, Error> {
        Ok(self.tables().schedules.values().cloned().collect())
    }

    fn next_due(&self) -> Result<Option<u64>, Error> {
        Ok(self.tables().indexes.next_due(self.dialect.fires_all()))
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Bytes>, Error> {
        // Cloned first, because reading may take long.
        let blob = self.tables().blobs.get(digest).cloned();
        Ok(blob.map(|blob| blob.bytes()).transpose()?)
    }

    fn has_blob(&self, digest: &Digest) -> Result<bool, Error> {
        Ok(self.tables().blobs.contains_key(digest))
    }

    fn survives_the_process(&self) -> bool {
        false
    }
}

/// Whether a promise calls that function.
fn calls(row: &Row, function: &str) -> bool {
    Invocation::of(&row.promise).is_some_and(|invocation| invocation.function == function)
}
