//! What a run has written and removed below an overlay grant: kept in memory, laid over a folder that stays as it is.
//!
//! Nothing here touches a disk. The content follows from the calls that went well and from nothing else, so that a guest that
//! repeats them after a crash sees the same files. How much it may become is up to the quotas of the grant: a file and its
//! folders count as they do for a write, and a removal of what was not written before counts by itself.

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
    /// Removals of what was not written before: each keeps a name of the host in memory.
    removed: u64,
}

/// What became of a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// Whatever the host has here, and below, does not count.
    hides: bool,
    /// What stands here instead, or on top; none: nothing.
    pub(super) made: Option<Made>,
}

/// What a guest has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Made {
    File(Arc<Vec<u8>>),
    /// Made for a file in it, or the host's own that holds such a file.
    Folder,
}

/// What a path stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen<'a> {
    /// Whatever the host has there.
    Host,
    File(&'a Arc<Vec<u8>>),
    Folder {
        /// Whether what the host has in it counts as well.
        is_merged: bool,
    },
    Missing,
}

impl Overlays {
    /// The overlay of a grant, empty at first.
    pub(super) fn of(&mut self, grant: usize) -> &mut Overlay {
        self.0.entry(grant).or_default()
    }
}

impl Overlay {
    /// What stands at `path`; the root itself for an empty one.
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

    /// What was changed in a folder, by name.
    pub(super) fn changes_in<'a>(&'a self, folder: &str) -> impl Iterator<Item = (&'a str, &'a Change)> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let length = prefix.len();
        let below = self.changes.range(prefix.clone()..).take_while(move |(path, _)| path.starts_with(&prefix));
        let named = below.map(move |(path, change)| (&path[length..], change));
        named.filter(|(name, _)| !name.contains('/'))
    }

    /// Whether a path itself was changed: what the host has there does not count.
    pub(super) fn is_changed(&self, path: &str) -> bool {
        self.changes.contains_key(path)
    }

    /// Whether one more removal fits into a quota.
    pub(super) fn may_remove(&self, path: &str, max: u64) -> bool {
        self.is_changed(path) || self.removed < max
    }

    /// Makes a file, and the folders that it needs. Whether it may be made is decided before.
    pub(super) fn write(&mut self, path: &str, content: Arc<Vec<u8>>) {
        for folder in folders(path) {
            self.change_mut(folder).made.get_or_insert(Made::Folder);
        }
        *self.change_mut(path) = Change { hides: true, made: Some(Made::File(content)) };
    }

    /// Removes a file or an empty folder. Whether it may be removed is decided before.
    pub(super) fn remove(&mut self, path: &str) {
        if !self.is_changed(path) {
            self.removed += 1;
        }
        *self.change_mut(path) = Change { hides: true, made: None };
        // All that is below is removed already, and hidden from now on.
        let below = format!("{path}/");
        let hidden = self.changes.range(below.clone()..).take_while(|(path, _)| path.starts_with(&below));
        let hidden: Vec<String> = hidden.map(|(path, _)| path.clone()).collect();
        hidden.iter().for_each(|path| drop(self.changes.remove(path)));
    }

    fn change_mut(&mut self, path: &str) -> &mut Change {
        self.changes.entry(path.to_owned()).or_default()
    }
}

/// The folders above `path` but the root, outermost first.
fn folders(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end])
}

#[cfg(test)]
mod tests;
