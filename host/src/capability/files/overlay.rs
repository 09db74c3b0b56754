//! The writes and removals of a run below an overlay grant: kept in memory, over a folder that stays as it is.
//!
//! Nothing here touches a disk. The content follows only from the calls that succeeded, so that a guest that repeats them
//! after a crash sees the same files. The quotas of the grant limit its size: a file and its folders count as for a write,
//! and each removal of an entry that was not written before counts.

use super::folder::Refusal;
use super::temporary;
use crate::vfs::Times;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The overlays of one run, by the index of their grant.
#[derive(Debug, Default)]
pub(crate) struct Overlays(BTreeMap<usize, Overlay>);

/// The changes below one grant, by path below its root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overlay {
    changes: BTreeMap<String, Change>,
    /// Removals of entries that were not written before: each keeps a name of the host in memory.
    removed: u64,
    /// Bytes in memory.
    held: u64,
}

/// The change of a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// Whether the host's entry here, and everything below it, is hidden.
    hides: bool,
    /// The entry in its place, or on top of it; `None`: no entry.
    pub(super) made: Option<Made>,
    /// When the entry was last read and written, in nanoseconds since the Unix epoch, if that is recorded.
    pub(super) times: Times,
}

/// An entry that a guest has created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Made {
    File(Arc<Vec<u8>>),
    /// Created for a file in it, or a folder of the host that has such a file.
    Folder,
}

/// The assumed cost of a change besides its path and content, in bytes.
const CHANGE_BYTES: u64 = 128;

impl Change {
    fn cost(&self, path: &str) -> u64 {
        let content = if let Some(Made::File(content)) = &self.made { content.len() as u64 } else { 0 };
        content + path.len() as u64 + CHANGE_BYTES
    }
}

/// The entry that a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen<'a> {
    /// The host's entry, if any.
    Host,
    File(&'a Arc<Vec<u8>>),
    Folder {
        /// Whether the host's entries in it are visible as well.
        is_merged: bool,
    },
    Missing,
}

impl Overlays {
    /// The overlay of a grant; only these folders are in it at first.
    pub(super) fn of(&mut self, grant: usize, first: &[&str]) -> &mut Overlay {
        self.0.entry(grant).or_insert_with(|| {
            let mut overlay = Overlay::default();
            first.iter().for_each(|folder| overlay.make_folder(folder));
            overlay
        })
    }

    /// The overlay of a grant, if anything was changed there.
    pub(super) fn get(&self, grant: usize) -> Option<&Overlay> {
        self.0.get(&grant)
    }

    /// Bytes in memory, in all of them.
    pub(super) fn held(&self) -> u64 {
        self.0.values().map(|overlay| overlay.held).sum()
    }
}

impl Overlay {
    /// The entry at `path`; the root itself for an empty path.
    pub(super) fn look(&self, path: &str) -> Result<Seen<'_>, Refusal> {
        if path.split('/').any(|name| temporary::is_name(name.as_bytes())) {
            return Err(Refusal::Reserved);
        }
        let mut is_hidden = false;
        for folder in folders(path) {
            let change = self.changes.get(folder);
            if change.is_some_and(|change| matches!(change.made, Some(Made::File(_)))) {
                return Err(Refusal::NoFolder);
            }
            is_hidden |= change.is_some_and(|change| change.hides);
        }
        let change = self.changes.get(path);
        is_hidden |= change.is_some_and(|change| change.hides);
        Ok(match change.and_then(|change| change.made.as_ref()) {
            Some(Made::File(content)) => Seen::File(content),
            Some(Made::Folder) => Seen::Folder { is_merged: !is_hidden },
            None if is_hidden => Seen::Missing,
            None => Seen::Host,
        })
    }

    /// The changes in a folder, by name.
    pub(super) fn changes_in<'a>(&'a self, folder: &str) -> impl Iterator<Item = (&'a str, &'a Change)> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let length = prefix.len();
        let below = self.changes.range(prefix.clone()..).take_while(move |(path, _)| path.starts_with(&prefix));
        let named = below.map(move |(path, change)| (&path[length..], change));
        named.filter(|(name, _)| !name.contains('/'))
    }

    /// Whether a path itself was changed, so that the host's entry there does not count.
    pub(super) fn is_changed(&self, path: &str) -> bool {
        self.changes.contains_key(path)
    }

    /// Whether one more removal fits into a quota.
    pub(super) fn may_remove(&self, path: &str, max: u64) -> bool {
        self.is_changed(path) || self.removed < max
    }

    /// Creates a file, and the folders that it needs. The caller has checked that it may.
    pub(super) fn write(&mut self, path: &str, content: Arc<Vec<u8>>) {
        for folder in folders(path) {
            if self.changes.get(folder).is_none_or(|change| change.made.is_none()) {
                let change = self.changes.get(folder).cloned().unwrap_or_default();
                self.put(folder, Change { made: Some(Made::Folder), ..change });
            }
        }
        self.put(path, Change { hides: true, made: Some(Made::File(content)), times: Times::default() });
    }

    /// Creates a folder with nothing in it. The caller has checked that it may.
    pub(super) fn make_folder(&mut self, path: &str) {
        self.put(path, Change { hides: true, made: Some(Made::Folder), times: Times::default() });
    }

    /// Gives a file, or a folder, that is in memory as a whole another name. The caller has checked that it may.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        let below = format!("{from}/");
        let inside = self.changes.range(below.clone()..).take_while(|(path, _)| path.starts_with(&below));
        let mut moved: Vec<String> = inside.map(|(path, _)| path.clone()).collect();
        moved.push(from.to_owned());
        for path in moved {
            if let Some(change) = self.take(&path) {
                self.put(&format!("{to}{}", &path[from.len()..]), change);
            }
        }
        self.put(from, Change { hides: true, ..Change::default() });
    }

    /// Sets the times of a change; nothing if there is none.
    pub(super) fn set_times(&mut self, path: &str, times: Times) {
        if let Some(change) = self.changes.get_mut(path) {
            let old = change.times;
            change.times =
                Times { accessed: times.accessed.or(old.accessed), modified: times.modified.or(old.modified) };
        }
    }

    /// The times of an entry that was made.
    pub(super) fn times(&self, path: &str) -> Times {
        self.changes.get(path).map(|change| change.times).unwrap_or_default()
    }

    /// Whether nothing of the host shows at a path and below.
    pub(super) fn hides(&self, path: &str) -> bool {
        folders(path).chain([path]).any(|path| self.changes.get(path).is_some_and(|change| change.hides))
    }

    /// Forgets that there was something at a path, which the host has nothing for.
    pub(super) fn clear(&mut self, path: &str) {
        self.take(path);
    }

    /// Removes a file or an empty folder. The caller has checked that it may.
    pub(super) fn remove(&mut self, path: &str) {
        if !self.is_changed(path) {
            self.removed += 1;
        }
        self.put(path, Change { hides: true, ..Change::default() });
        // Everything below is removed already, and hidden from now on.
        let below = format!("{path}/");
        let hidden = self.changes.range(below.clone()..).take_while(|(path, _)| path.starts_with(&below));
        let hidden: Vec<String> = hidden.map(|(path, _)| path.clone()).collect();
        hidden.iter().for_each(|path| drop(self.take(path)));
    }

    fn put(&mut self, path: &str, change: Change) {
        self.take(path);
        self.held += change.cost(path);
        self.changes.insert(path.to_owned(), change);
    }

    fn take(&mut self, path: &str) -> Option<Change> {
        let taken = self.changes.remove(path)?;
        self.held -= taken.cost(path);
        Some(taken)
    }
}

/// The folders above `path` except the root, outermost first.
fn folders(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end])
}

#[cfg(test)]
mod tests;
