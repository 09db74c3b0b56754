//! The contents of a store in memory, one change to it, and how a failed commit is undone.

use super::indexes::Indexes;
use crate::invocation::{self, Beside};
use crate::machine::{Machine, Row};
use crate::operation::Dialect;
use crate::record::Schedule;
use crate::{
    Applied, Blob, Change, Error, Execution, ExecutionKey, Kinship, Lineage, NewExecution, PendingPromise, Progress,
    embedded,
};
use everstep_words::id::{Digest, ExecutionId, PromiseId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

#[derive(Debug, Default)]
pub(super) struct Maps {
    pub(super) rows: BTreeMap<String, Row>,
    pub(super) indexes: Indexes,
    /// Awaited promise and waiting task, and whether the promise is settled.
    pub(super) callbacks: BTreeMap<(String, String), bool>,
    /// The same by task.
    pub(super) awaited: BTreeSet<(String, String)>,
    pub(super) listeners: BTreeSet<(String, String)>,
    pub(super) schedules: BTreeMap<String, Schedule>,
    keys: HashMap<ExecutionId, ExecutionKey>,
    pub(super) executions: HashMap<ExecutionKey, Entry>,
    pub(super) blobs: HashMap<Digest, Blob>,
    /// How to undo what the current commit has done, in order.
    pub(super) undo: Vec<Undo>,
}

#[derive(Debug)]
pub(super) struct Entry {
    execution: NewExecution,
    progress: Progress,
    pub(super) journal: Vec<u8>,
    pub(super) segments: u32,
    pub(super) seal: Option<[u8; 32]>,
}

/// The previous value of something that was changed.
#[derive(Debug)]
pub(super) enum Undo {
    Row(String, Option<Box<Row>>),
    Callback((String, String), Option<bool>),
    Listener((String, String), bool),
    Schedule(String, Option<Box<Schedule>>),
    Create(ExecutionKey),
    Append(ExecutionKey, usize, Option<[u8; 32]>),
    Progress(ExecutionKey, Box<Progress>),
    Component(ExecutionKey, Digest),
    Blob(Digest),
}

impl Maps {
    pub(super) fn apply(&mut self, dialect: Dialect, change: &Change, applied: &mut Vec<Applied>) -> Result<(), Error> {
        match change {
            Change::Operation { now_ms, operation, then } => {
                let (answer, events) = Machine::apply(self, dialect, *now_ms, operation)?;
                let done = Applied { answer, events };
                let carries = done.carries();
                applied.push(done);
                if carries {
                    then.iter().try_for_each(|change| self.apply(dialect, change, applied))?;
                }
            }
            Change::Fenced { id, version, changes } => {
                let task = self.rows.get(id).and_then(|row| row.task.as_ref());
                let holds = task.is_some_and(|task| embedded::holds(task.state, task.version, *version));
                applied.push(Applied::fence(id, *version, holds));
                if holds {
                    return changes.iter().try_for_each(|change| self.apply(dialect, change, applied));
                }
                let operations = changes.iter().map(Change::operations).sum();
                applied.extend(std::iter::repeat_n(Applied::fence(id, *version, holds), operations));
            }
            Change::Create(execution) => self.create(execution)?,
            Change::Append { key, segment, bytes, seal } => self.append(*key, *segment, bytes, *seal)?,
            Change::Progress(key, progress) => {
                let held = std::mem::replace(&mut self.entry(*key)?.progress, (**progress).clone());
                self.undo.push(Undo::Progress(*key, Box::new(held)));
            }
            Change::Component(key, digest) => {
                let held = std::mem::replace(&mut self.entry(*key)?.execution.component, *digest);
                self.undo.push(Undo::Component(*key, held));
            }
            Change::Blob(digest, blob) => {
                if !self.blobs.contains_key(digest) {
                    self.blobs.insert(*digest, blob.clone());
                    self.undo.push(Undo::Blob(*digest));
                }
            }
        }
        Ok(())
    }

    fn create(&mut self, execution: &NewExecution) -> Result<(), Error> {
        let (key, id) = (execution.key, &execution.id);
        if self.rows.get(id.as_str()).is_none_or(|row| row.task.is_none()) {
            return Err(Error::no_task(execution));
        }
        if self.keys.contains_key(id) || self.executions.contains_key(&key) {
            return Err(Error::taken(execution));
        }
        self.keys.insert(id.clone(), key);
        let (progress, journal) = (Progress::default(), Vec::new());
        self.executions.insert(key, Entry { execution: execution.clone(), progress, journal, segments: 0, seal: None });
        self.undo.push(Undo::Create(key));
        Ok(())
    }

    fn append(&mut self, key: ExecutionKey, segment: u32, bytes: &[u8], seal: Option<[u8; 32]>) -> Result<(), Error> {
        let entry = self.executions.get_mut(&key).filter(|entry| entry.segments == segment);
        let entry = entry.ok_or_else(|| Error::no_place(key, segment))?;
        let before = entry.journal.len();
        entry.journal.extend_from_slice(bytes);
        entry.segments += 1;
        let sealed = std::mem::replace(&mut entry.seal, seal);
        self.undo.push(Undo::Append(key, before, sealed));
        Ok(())
    }

    fn entry(&mut self, key: ExecutionKey) -> Result<&mut Entry, Error> {
        self.executions.get_mut(&key).ok_or_else(|| Error::unknown(key))
    }

    pub(super) fn execution(&self, row: &Row) -> Result<Option<Execution>, Error> {
        let Row { promise, task: Some(task) } = row else { return Ok(None) };
        let entry = promise.id.parse::<ExecutionId>().ok().and_then(|id| self.executions.get(self.keys.get(&id)?));
        let beside = entry.map(|Entry { execution, progress, .. }| {
            let NewExecution { key, component, policy, seed, .. } = execution.clone();
            Beside { key, component, policy, seed, progress: progress.clone() }
        });
        invocation::execution(promise, task, beside)
    }

    /// Whether the cause of a halt is kept for an execution.
    pub(super) fn keeps_an_error(&self, id: &str) -> bool {
        let entry = id.parse::<ExecutionId>().ok().and_then(|id| self.executions.get(self.keys.get(&id)?));
        entry.is_some_and(|entry| entry.progress.error.is_some())
    }

    pub(super) fn lineage(&self, root: &ExecutionId) -> Lineage {
        let root_row = self.rows.get(root.as_str()).into_iter();
        let between = |(from, to): &(String, String)| {
            self.rows.range::<str, _>((Bound::Included(&**from), Bound::Excluded(&**to))).map(|(_, row)| row)
        };
        let [children, detached] = &Kinship::ranges(root);
        let of_lineage = |row: &&Row| {
            let id = row.promise.id.parse::<PromiseId>().map(|promise| promise.execution);
            let id = id.or_else(|_| row.promise.id.parse());
            id.is_ok_and(|id| Kinship::of(&id, &row.promise.tags).root == *root)
        };
        let rows = root_row.chain(between(children)).chain(between(detached).filter(of_lineage));
        let mut found = Lineage::default();
        for row in rows.filter(|row| row.task.is_some() || PendingPromise::is_asked(&row.promise)) {
            found.promises += 1;
            found.executions += u64::from(row.task.is_some());
            let key = row.promise.id.parse().ok().and_then(|id: ExecutionId| self.keys.get(&id));
            found.cpu_us += key.and_then(|key| self.executions.get(key)).map_or(0, |entry| entry.progress.cpu_us);
        }
        // The promise of the root was not made by the lineage.
        Lineage { promises: found.promises.saturating_sub(1), ..found }
    }

    pub(super) fn take_back(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Row(id, before) => drop(self.replace_row(id, before.map(|row| *row))),
                Undo::Callback(callback, before) => drop(self.replace_callback(callback, before)),
                Undo::Listener(listener, true) => drop(self.listeners.insert(listener)),
                Undo::Listener(listener, false) => drop(self.listeners.remove(&listener)),
                Undo::Schedule(id, before) => drop(self.replace_schedule(id, before.map(|schedule| *schedule))),
                Undo::Create(key) => {
                    if let Some(entry) = self.executions.remove(&key) {
                        self.keys.remove(&entry.execution.id);
                    }
                }
                Undo::Append(key, before, sealed) => self.restore(key, |entry| {
                    entry.journal.truncate(before);
                    entry.segments -= 1;
                    entry.seal = sealed;
                }),
                Undo::Progress(key, before) => self.restore(key, |entry| entry.progress = *before),
                Undo::Component(key, before) => self.restore(key, |entry| entry.execution.component = before),
                Undo::Blob(digest) => drop(self.blobs.remove(&digest)),
            }
        }
    }

    fn restore(&mut self, key: ExecutionKey, restore: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.executions.get_mut(&key) {
            restore(entry);
        }
    }

    /// Replaces a row by another, or removes it; returns the old one.
    fn replace_row(&mut self, id: String, row: Option<Row>) -> Option<Row> {
        let before = self.rows.remove(&id);
        if let Some(before) = &before {
            self.indexes.note_row(before, false);
        }
        if let Some(row) = row {
            self.indexes.note_row(&row, true);
            self.rows.insert(id, row);
        }
        before
    }

    fn replace_schedule(&mut self, id: String, schedule: Option<Schedule>) -> Option<Schedule> {
        let before = self.schedules.remove(&id);
        if let Some(before) = &before {
            self.indexes.note_schedule(before, false);
        }
        if let Some(schedule) = schedule {
            self.indexes.note_schedule(&schedule, true);
            self.schedules.insert(id, schedule);
        }
        before
    }

    fn replace_callback(&mut self, callback: (String, String), ready: Option<bool>) -> Option<bool> {
        let by_task = (callback.1.clone(), callback.0.clone());
        match ready {
            Some(ready) => {
                self.awaited.insert(by_task);
                self.callbacks.insert(callback, ready)
            }
            None => {
                self.awaited.remove(&by_task);
                self.callbacks.remove(&callback)
            }
        }
    }

    pub(super) fn put_row(&mut self, row: &Row) {
        let id = row.promise.id.clone();
        let before = self.replace_row(id.clone(), Some(row.clone()));
        self.undo.push(Undo::Row(id, before.map(Box::new)));
    }

    pub(super) fn put_callback(&mut self, callback: (String, String), ready: Option<bool>) {
        let before = self.replace_callback(callback.clone(), ready);
        self.undo.push(Undo::Callback(callback, before));
    }

    pub(super) fn change_schedule(&mut self, id: &str, schedule: Option<Schedule>) {
        let before = self.replace_schedule(id.to_owned(), schedule);
        self.undo.push(Undo::Schedule(id.to_owned(), before.map(Box::new)));
    }
}
