//! The writes and removals of a run below an overlay grant: kept in memory, over a folder that stays as it is.
//!
//! Nothing here touches a disk. The content follows only from the calls that succeeded, so that a guest that repeats them
//! after a crash sees the same files. The quotas of the grant limit its size: a file and its folders count as for a write,
//! and each removal of an entry that was not written before counts.

use super::folder::Refusal;
use super::temporary;
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
}

/// The change of a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// Whether the host's entry here, and everything below it, is hidden.
    hides: bool,
    /// The entry in its place, or on top of it; `None`: no entry.
    pub(super) made: Option<Made>,
}

/// An entry that a guest has created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Made {
    File(Arc<Vec<u8>>),
    /// Created for a file in it, or a folder of the host that has such a file.
    Folder,
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
    /// The overlay of a grant; empty at first.
    pub(super) fn of(&mut self, grant: usize) -> &mut Overlay {
        self.0.entry(grant).or_default()
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
            self.change_mut(folder).made.get_or_insert(Made::Folder);
        }
        *self.change_mut(path) = Change { hides: true, made: Some(Made::File(content)) };
    }

    /// Removes a file or an empty folder. The caller has checked that it may.
    pub(super) fn remove(&mut self, path: &str) {
        if !self.is_changed(path) {
            self.removed += 1;
        }
        *self.change_mut(path) = Change { hides: true, made: None };
        // Everything below is removed already, and hidden from now on.
        let below = format!("{path}/");
        let hidden = self.changes.range(below.clone()..).take_while(|(path, _)| path.starts_with(&below));
        let hidden: Vec<String> = hidden.map(|(path, _)| path.clone()).collect();
        hidden.iter().for_each(|path| drop(self.changes.remove(path)));
    }

    fn change_mut(&mut self, path: &str) -> &mut Change {
        self.changes.entry(path.to_owned()).or_default()
    }
}

/// The folders above `path` except the root, outermost first.
fn folders(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end])
}

#[cfg(test)]
mod tests;
