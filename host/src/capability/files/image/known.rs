//! Digests of files that have not changed since they were read, so that a file is read once for all executions; and what images hold, once
//! for all executions that have them.

use super::manifest::Manifest;
use crate::engine::{Cache, SETTLED};
use crate::id::Digest;
use rustix::fs::Stat;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

/// The most folders that are remembered in memory, and the most manifests that are looked through for those that nobody has any more.
const MAX_FOLDERS: usize = 64;
const MAX_MANIFESTS: usize = 64;

/// The identity and state of a file. The time of the last change is set by the system alone, so it shows every change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct State {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, u64),
    changed: (i64, u64),
}

/// What is known of the files below one folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Known(HashMap<State, Vec<Digest>>);

/// What is known of all folders, in memory and in the cache of the host.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    folders: Mutex<HashMap<(u64, u64), Arc<Known>>>,
    /// What images hold that executions have, by the digests of the parts of it.
    manifests: Mutex<HashMap<Vec<Digest>, Weak<Manifest>>>,
    cache: Option<PathBuf>,
}

impl State {
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    /// Whether a later change would show: file systems have coarse clocks, so one that was made a moment ago may be followed by another at
    /// the same time.
    fn has_settled(&self, now: SystemTime) -> bool {
        let changed =
            u64::try_from(self.changed.0).map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        changed.is_ok_and(|changed| now.duration_since(changed).is_ok_and(|age| age > SETTLED))
    }
}

impl Known {
    pub(super) fn get(&self, state: &State) -> Option<&[Digest]> {
        self.0.get(state).map(Vec::as_slice)
    }

    /// Notes the digests of a file that was read at that time, unless it had just been changed.
    pub(super) fn note(&mut self, state: State, chunks: &[Digest], now: SystemTime) {
        if state.has_settled(now) {
            self.0.insert(state, chunks.to_vec());
        }
    }

    /// Keeps what was known before.
    pub(super) fn keep(&mut self, state: State, chunks: &[Digest]) {
        self.0.insert(state, chunks.to_vec());
    }
}

impl Digests {
    /// With a folder for what processes share.
    pub(crate) fn new(cache: Option<PathBuf>) -> Self {
        Self { folders: Mutex::default(), manifests: Mutex::default(), cache }
    }

    /// A manifest that an execution has, by the digests of its parts.
    pub(super) fn manifest(&self, parts: &[Digest]) -> Option<Arc<Manifest>> {
        self.manifests.lock().unwrap_or_else(PoisonError::into_inner).get(parts)?.upgrade()
    }

    /// The manifest with these parts, once for all that have it.
    pub(super) fn share(&self, parts: &[Digest], manifest: Manifest) -> Arc<Manifest> {
        let mut manifests = self.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = manifests.get(parts).and_then(Weak::upgrade) {
            return shared;
        }
        if manifests.len() >= MAX_MANIFESTS {
            manifests.retain(|_, manifest| manifest.strong_count() > 0);
        }
        let manifest = Arc::new(manifest);
        manifests.insert(parts.to_vec(), Arc::downgrade(&manifest));
        manifest
    }

    /// What is known of the files below a folder. May block.
    pub(super) fn below(&self, folder: &Stat) -> Arc<Known> {
        let id = (folder.st_dev, folder.st_ino);
        let known = self.folders.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        known.unwrap_or_else(|| {
            let noted = self.cache().and_then(|cache| cache.image(id));
            let files = noted.and_then(|noted| serde_json::from_slice::<Vec<(State, Vec<Digest>)>>(&noted).ok());
            Arc::new(Known(files.unwrap_or_default().into_iter().collect()))
        })
    }

    /// Remembers what is known of them now. May block.
    pub(super) fn remember(&self, folder: &Stat, before: &Known, now: Known) {
        let id = (folder.st_dev, folder.st_ino);
        if *before != now
            && let Some(cache) = self.cache()
        {
            // Numbers and digests always serialise.
            let files: Vec<_> = now.0.iter().collect();
            cache.note_image(id, &serde_json::to_vec(&files).unwrap_or_default());
        }
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if folders.len() >= MAX_FOLDERS && !folders.contains_key(&id) {
            folders.clear();
        }
        folders.insert(id, Arc::new(now));
    }

    fn cache(&self) -> Option<Cache> {
        Cache::open(self.cache.as_deref()?)
    }
}
