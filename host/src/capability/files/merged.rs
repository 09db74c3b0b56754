//! A folder as the guest sees it: its run's changes in memory, if any, over the host's folder.
//!
//! The host's folder is read as `effect` reads it, following no link; nothing here writes to it.

use super::adapter::Operation;
use super::effect::{Entry, FileKind, Folders};
use super::folder::Refusal;
use super::overlay::{Made, Overlay, Overlays, Seen};
use crate::guest_error::{ErrorCode, GuestError};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::sync::Arc;

/// A grant, its folder, and its overlay, which is empty except for an overlay grant.
pub(crate) struct Merged<'a> {
    pub(super) folders: &'a Folders,
    pub(super) grant: usize,
    pub(super) overlay: &'a mut Overlay,
}

impl<'a> Merged<'a> {
    /// The folder of the grant with that index.
    pub(crate) fn new(folders: &'a Folders, grant: usize, overlays: &'a mut Overlays) -> Self {
        Self { folders, grant, overlay: overlays.of(grant, folders.first(grant)) }
    }

    /// Denies what no rule can allow, as far as the host's folder is concerned. See [`Folders::floor`].
    pub(crate) fn floor(&self, operation: Operation, path: &str) -> Result<(), GuestError> {
        match self.look(path) {
            Ok(Seen::Host) => self.folders.floor(operation, self.grant, path),
            Err(Refusal::Reserved) => Err(self.refused(operation.name(), path, Refusal::Reserved, 0)),
            _ => Ok(()),
        }
    }

    /// The content of a file of at most `max` bytes.
    pub(super) fn read(&self, path: &str, max: u64) -> Result<Vec<u8>, GuestError> {
        let refusal = match self.look(path) {
            Ok(Seen::Host) => return self.folders.read(self.grant, path, max),
            Ok(Seen::File(content)) if content.len() as u64 <= max => return Ok(content.to_vec()),
            Ok(Seen::File(_)) => Refusal::TooLarge,
            Ok(Seen::Folder { .. }) => Refusal::Folder,
            Ok(Seen::Missing) => Refusal::Missing,
            Err(refusal) => refusal,
        };
        Err(self.refused("read", path, refusal, max))
    }

    /// One entry; its name is the last component of the guest path.
    pub(super) fn stat(&self, path: &str) -> Result<Entry, GuestError> {
        let name = || path.rsplit('/').next().unwrap_or_default();
        let refusal = match self.look(path) {
            Ok(Seen::Host) => return self.folders.stat(self.grant, path),
            Ok(Seen::File(content)) => return Ok(entry(name(), &Made::File(Arc::clone(content)))),
            Ok(Seen::Folder { .. }) => return Ok(entry(name(), &Made::Folder)),
            Ok(Seen::Missing) => Refusal::Missing,
            Err(refusal) => refusal,
        };
        Err(self.refused("stat", path, refusal, 0))
    }

    /// The entries of a folder in the byte order of their names, if they fit into `max` bytes.
    pub(super) fn list(&self, path: &str, max: u64) -> Result<Vec<Entry>, GuestError> {
        self.merge(path, max).map_err(|refusal| self.refused("list", path, refusal, max))
    }

    /// Replaces or creates a file in memory; missing parent folders are created.
    pub(super) fn write(&mut self, path: &str, content: Arc<Vec<u8>>) -> Result<(), GuestError> {
        self.check_write(path).map_err(|refusal| self.refused("write", path, refusal, 0))?;
        self.overlay.write(path, content);
        Ok(())
    }

    /// Replaces a file in memory if its content is still `before`, or creates it if there must be none. Returns
    /// whether it did.
    pub(super) fn replace(
        &mut self,
        path: &str,
        before: Option<&[u8]>,
        content: Arc<Vec<u8>>,
    ) -> Result<bool, GuestError> {
        let found = match self.kind(path) {
            Err(Refusal::Missing) => None,
            // A longer file is different.
            _ => match self.read(path, before.map_or(0, |before| before.len() as u64)) {
                Err(error) if error.code == ErrorCode::LimitExceeded => return Ok(false),
                found => Some(found?),
            },
        };
        if found.as_deref() != before {
            return Ok(false);
        }
        self.write(path, content).map(|()| true)
    }

    /// Removes a file or an empty folder in memory; at most `max` of those that were not written before.
    pub(super) fn remove(&mut self, path: &str, max: u64) -> Result<(), GuestError> {
        self.check_remove(path, max).map_err(|refusal| self.refused("remove", path, refusal, max))?;
        self.overlay.remove(path);
        if self.is_scratch() {
            self.overlay.clear(path);
        }
        Ok(())
    }

    pub(super) fn check_write(&self, path: &str) -> Result<(), Refusal> {
        if path.is_empty() {
            return Err(Refusal::Folder);
        }
        match self.kind(path) {
            Ok(FileType::Directory) => Err(Refusal::Folder),
            Ok(_) | Err(Refusal::Missing) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }

    pub(super) fn check_remove(&self, path: &str, max: u64) -> Result<(), Refusal> {
        if path.is_empty() {
            return Err(Refusal::Folder);
        }
        if self.kind(path)? == FileType::Directory && !self.is_empty(path)? {
            return Err(Refusal::System(Errno::NOTEMPTY));
        }
        if self.overlay.may_remove(path, max) { Ok(()) } else { Err(Refusal::TooMany) }
    }

    /// The entry at a path. A scratch has no folder of the host under it.
    pub(super) fn look(&self, path: &str) -> Result<Seen<'_>, Refusal> {
        Ok(match self.overlay.look(path)? {
            Seen::Host if path.is_empty() && self.is_scratch() => Seen::Folder { is_merged: false },
            Seen::Host if self.is_scratch() => Seen::Missing,
            Seen::Folder { is_merged } => Seen::Folder { is_merged: is_merged && !self.is_scratch() },
            seen => seen,
        })
    }

    pub(super) fn is_scratch(&self) -> bool {
        self.folders.is_scratch(self.grant)
    }

    /// The kind of the file or folder at a path.
    pub(super) fn kind(&self, path: &str) -> Result<FileType, Refusal> {
        match self.look(path)? {
            Seen::Host => self.folders.kind(self.grant, path),
            Seen::File(_) => Ok(FileType::RegularFile),
            Seen::Folder { .. } => Ok(FileType::Directory),
            Seen::Missing => Err(Refusal::Missing),
        }
    }

    pub(super) fn is_empty(&self, path: &str) -> Result<bool, Refusal> {
        let holds_made = self.overlay.changes_in(path).any(|(_, change)| change.made.is_some());
        let unchanged = |name: &[u8]| !self.is_changed(path, name);
        Ok(!holds_made && !self.of_host(path, || self.folders.holds_any(self.grant, path, unchanged))?)
    }

    fn merge(&self, path: &str, max: u64) -> Result<Vec<Entry>, Refusal> {
        let made = self.overlay.changes_in(path).filter_map(|(name, change)| Some(entry(name, change.made.as_ref()?)));
        let mut entries: Vec<_> = made.map(|entry| (entry.name.clone().into_bytes(), entry)).collect();
        let bytes = entries.iter().map(|(name, _)| Entry::cost(name)).sum();
        let room = max.checked_sub(bytes).ok_or(Refusal::TooLarge)?;
        let unchanged = |name: &[u8]| !self.is_changed(path, name);
        entries.extend(self.of_host(path, || self.folders.list_where(self.grant, path, room, unchanged))?);
        entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }

    /// The host's part of a folder.
    pub(super) fn of_host<T: Default>(
        &self,
        path: &str,
        read: impl FnOnce() -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        match self.look(path)? {
            Seen::Host => read(),
            Seen::Folder { is_merged: true } => match read() {
                Err(Refusal::Missing) => Ok(T::default()),
                read => read,
            },
            Seen::Folder { is_merged: false } => Ok(T::default()),
            Seen::File(_) => Err(Refusal::NoFolder),
            Seen::Missing => Err(Refusal::Missing),
        }
    }

    pub(super) fn is_changed(&self, folder: &str, name: &[u8]) -> bool {
        let Ok(name) = std::str::from_utf8(name) else { return false };
        let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        self.overlay.is_changed(&path)
    }

    #[cold]
    pub(super) fn refused(&self, operation: &str, path: &str, refusal: Refusal, max: u64) -> GuestError {
        self.folders.refused(operation, self.grant, path, refusal, max)
    }
}

fn entry(name: &str, made: &Made) -> Entry {
    let (kind, size) = match made {
        Made::File(content) => (FileKind::File, content.len() as u64),
        Made::Folder => (FileKind::Directory, 0),
    };
    Entry { name: name.to_owned(), kind, size }
}

#[cfg(test)]
mod tests;
