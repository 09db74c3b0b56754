//! A store that forgets with the process: hash maps behind one lock.

use super::{Change, Error, Execution, ExecutionKey, PendingPromise, Progress, Store};
use crate::id::{Digest, ExecutionId};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};

/// A store in memory: fast, and gone with the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    keys: AtomicU32,
    tables: Mutex<Tables>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every change is applied as a whole or undone before the lock is released, so a panic elsewhere leaves no damage.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Store for MemoryStore {
    fn commit(&self, changes: &[Change]) -> Result<(), Error> {
        let mut tables = self.tables();
        let mut undo = Vec::with_capacity(changes.len());
        for change in changes {
            match tables.apply(change) {
                Ok(inverse) => undo.push(inverse),
                Err(refused) => {
                    undo.into_iter().rev().for_each(|inverse| tables.undo(inverse));
                    return Err(refused);
                }
            }
        }
        Ok(())
    }

    fn fresh_key(&self) -> ExecutionKey {
        ExecutionKey(self.keys.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn execution(&self, id: &ExecutionId) -> Result<Option<Execution>, Error> {
        let tables = self.tables();
        let entry = tables.keys.get(id).and_then(|key| tables.executions.get(key));
        Ok(entry.map(|entry| entry.execution.clone()))
    }

    fn executions(&self) -> Result<Vec<Execution>, Error> {
        let mut all: Vec<_> = self.tables().executions.values().map(|entry| entry.execution.clone()).collect();
        all.sort_unstable_by_key(|execution| execution.key);
        Ok(all)
    }

    fn journal(&self, key: ExecutionKey) -> Result<(Vec<u8>, u32), Error> {
        let tables = self.tables();
        Ok(tables.executions.get(&key).map(|entry| (entry.journal.clone(), entry.segments)).unwrap_or_default())
    }

    fn promises(&self) -> Result<Vec<PendingPromise>, Error> {
        let tables = self.tables();
        let entries = tables.executions.iter().flat_map(|(key, entry)| entry.promises.values().map(move |p| (key, p)));
        let mut all: Vec<_> = entries.collect();
        all.sort_unstable_by_key(|(key, promise)| (promise.created_ms, **key, promise.id.number));
        Ok(all.into_iter().map(|(_, promise)| promise.clone()).collect())
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.tables().blobs.get(digest).cloned())
    }

    fn survives_the_process(&self) -> bool {
        false
    }
}

#[derive(Debug, Default)]
struct Tables {
    keys: HashMap<ExecutionId, ExecutionKey>,
    executions: HashMap<ExecutionKey, Entry>,
    blobs: HashMap<Digest, Vec<u8>>,
}

#[derive(Debug)]
struct Entry {
    execution: Execution,
    journal: Vec<u8>,
    segments: u32,
    promises: BTreeMap<u64, PendingPromise>,
}

/// How to take one change back.
enum Undo {
    Nothing,
    Create(ExecutionKey),
    Append(ExecutionKey, usize),
    Progress(ExecutionKey, Progress),
    Component(ExecutionKey, Digest),
    Promise(ExecutionKey, u64),
    Settled(ExecutionKey, PendingPromise),
    Blob(Digest),
}

impl Tables {
    fn apply(&mut self, change: &Change) -> Result<Undo, Error> {
        Ok(match change {
            Change::Create(execution) => self.create(execution)?,
            Change::Append { key, segment, bytes } => self.append(*key, *segment, bytes)?,
            Change::Progress(key, progress) => {
                let held = &mut self.entry(*key)?.execution.progress;
                Undo::Progress(*key, std::mem::replace(held, (**progress).clone()))
            }
            Change::Component(key, digest) => {
                let held = &mut self.entry(*key)?.execution.component;
                Undo::Component(*key, std::mem::replace(held, *digest))
            }
            Change::Promise(key, promise) => self.promise(*key, promise)?,
            Change::Settled(key, number) => {
                self.entry(*key)?.promises.remove(number).map_or(Undo::Nothing, |held| Undo::Settled(*key, held))
            }
            Change::Blob(digest, _) if self.blobs.contains_key(digest) => Undo::Nothing,
            Change::Blob(digest, bytes) => {
                self.blobs.insert(*digest, bytes.clone());
                Undo::Blob(*digest)
            }
        })
    }

    fn create(&mut self, execution: &Execution) -> Result<Undo, Error> {
        let key = execution.key;
        if self.keys.contains_key(&execution.id) || self.executions.contains_key(&key) {
            return Err(Error::taken(execution));
        }
        self.keys.insert(execution.id.clone(), key);
        let entry = Entry { execution: execution.clone(), journal: Vec::new(), segments: 0, promises: BTreeMap::new() };
        self.executions.insert(key, entry);
        Ok(Undo::Create(key))
    }

    fn append(&mut self, key: ExecutionKey, segment: u32, bytes: &[u8]) -> Result<Undo, Error> {
        let entry = self.entry(key).map_err(|_| Error::no_place(key, segment))?;
        if entry.segments != segment {
            return Err(Error::no_place(key, segment));
        }
        let before = entry.journal.len();
        entry.journal.extend_from_slice(bytes);
        entry.segments += 1;
        Ok(Undo::Append(key, before))
    }

    fn promise(&mut self, key: ExecutionKey, promise: &PendingPromise) -> Result<Undo, Error> {
        let number = promise.id.number;
        let entry = self.entry(key)?;
        if entry.execution.id != promise.id.execution || entry.promises.contains_key(&number) {
            return Err(Error::no_promise(key, promise));
        }
        entry.promises.insert(number, promise.clone());
        Ok(Undo::Promise(key, number))
    }

    fn entry(&mut self, key: ExecutionKey) -> Result<&mut Entry, Error> {
        self.executions.get_mut(&key).ok_or_else(|| Error::unknown(key))
    }

    fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Nothing => {}
            Undo::Create(key) => {
                if let Some(entry) = self.executions.remove(&key) {
                    self.keys.remove(&entry.execution.id);
                }
            }
            Undo::Append(key, before) => self.held(key, |entry| {
                entry.journal.truncate(before);
                entry.segments -= 1;
            }),
            Undo::Progress(key, progress) => self.held(key, |entry| entry.execution.progress = progress),
            Undo::Component(key, digest) => self.held(key, |entry| entry.execution.component = digest),
            Undo::Promise(key, number) => self.held(key, |entry| drop(entry.promises.remove(&number))),
            Undo::Settled(key, promise) => {
                self.held(key, |entry| drop(entry.promises.insert(promise.id.number, promise)));
            }
            Undo::Blob(digest) => drop(self.blobs.remove(&digest)),
        }
    }

    fn held(&mut self, key: ExecutionKey, restore: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.executions.get_mut(&key) {
            restore(entry);
        }
    }
}
