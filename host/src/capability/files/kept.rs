//! A folder as a WASI guest sees and changes it, on disk or in the memory of the run.
//!
//! Under an overlay and a scratch, `*_in_memory` applies to the run's memory what a step has decided; a replay applies it again, with the
//! times of its record.

use super::folder::Refusal;
use super::merged::Merged;
use super::overlay::{Made, Overlay, Seen};
use crate::vfs::{Entry, How, Kind, Save, Status, Times};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::sync::Arc;

impl Merged<'_> {
    /// All that is known of an entry.
    pub(super) fn status(&self, path: &str) -> Result<Status, Refusal> {
        let times = self.overlay.times(path);
        let made = |kind, size| {
            let Times { accessed, modified } = times;
            Status { kind, size, accessed, modified, changed: modified }
        };
        match self.look(path)? {
            Seen::Host => self.folders.status(self.grant, path),
            Seen::File(content) => Ok(made(Kind::File, content.len() as u64)),
            Seen::Folder { .. } => Ok(made(Kind::Folder, 0)),
            Seen::Missing => Err(Refusal::Missing),
        }
    }

    /// Whether there is a folder for an entry.
    pub(super) fn has_folder(&self, path: &str) -> bool {
        match path.rsplit_once('/') {
            None => true,
            Some((folder, _)) => self.kind(folder) == Ok(FileType::Directory),
        }
    }

    /// A part of a file.
    pub(super) fn read_part(&self, path: &str, part: (u64, u64), max: u64) -> Result<Vec<u8>, Refusal> {
        match self.look(path)? {
            Seen::Host => self.folders.read_part(self.grant, path, part, max),
            Seen::File(content) => Ok(part_of(content, part).to_vec()),
            Seen::Folder { .. } => Err(Refusal::Folder),
            Seen::Missing => Err(Refusal::Missing),
        }
    }

    /// The entries of a folder, in the byte order of their names, if they fit into `max` bytes.
    pub(super) fn entries(&self, path: &str, max: u64) -> Result<Vec<Entry>, Refusal> {
        let made = self.overlay.changes_in(path).filter_map(|(name, change)| {
            let kind = if matches!(change.made.as_ref()?, Made::Folder) { Kind::Folder } else { Kind::File };
            let place = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            Some(Entry { name: name.to_owned(), kind, status: self.status(&place).ok() })
        });
        let mut entries: Vec<_> = made.collect();
        let unchanged = |name: &[u8]| !self.is_changed(path, name);
        entries.extend(self.of_host(path, || self.folders.entries(self.grant, path, max, unchanged))?);
        entries.sort_unstable_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        Ok(entries)
    }

    /// Writes a file whose changes stay in memory, at this time.
    pub(super) fn save_in_memory(&mut self, path: &str, save: &Save, now: Option<u64>) -> Result<Status, Refusal> {
        self.check_write(path)?;
        if !self.has_folder(path) {
            return Err(Refusal::Missing);
        }
        keep(self.overlay, path, save, now);
        self.status(path)
    }

    /// Creates a folder there.
    pub(super) fn make_folder_in_memory(&mut self, path: &str, now: Option<u64>) -> Result<(), Refusal> {
        match self.kind(path) {
            Err(Refusal::Missing) if self.has_folder(path) => {
                made_folder(self.overlay, path, now);
                Ok(())
            }
            Ok(_) => Err(Refusal::System(Errno::EXIST)),
            Err(refusal) => Err(refusal),
        }
    }

    /// Renames what is in memory as a whole; other folders are to be copied by the guest, as between two disks.
    pub(super) fn rename_in_memory(&mut self, from: &str, to: &str) -> Result<(), Refusal> {
        let kind = self.kind(from)?;
        if !self.has_folder(to) {
            return Err(Refusal::Missing);
        }
        match (kind, self.kind(to)) {
            (_, Err(Refusal::Missing)) => {}
            (_, Err(refusal)) => return Err(refusal),
            (FileType::Directory, Ok(FileType::Directory)) if self.is_empty(to)? => {}
            (FileType::Directory, Ok(FileType::Directory)) => return Err(Refusal::System(Errno::NOTEMPTY)),
            (FileType::Directory, Ok(_)) => return Err(Refusal::NoFolder),
            (_, Ok(FileType::Directory)) => return Err(Refusal::Folder),
            (_, Ok(_)) => {}
        }
        if !self.is_scratch() && !self.overlay.hides(from) {
            return Err(Refusal::System(Errno::XDEV));
        }
        renamed(self.overlay, from, to, self.is_scratch());
        Ok(())
    }

    /// Removes a file or an empty folder there.
    pub(super) fn remove_in_memory(&mut self, path: &str, kind: Kind, max: u64) -> Result<(), Refusal> {
        match (self.kind(path)?, kind) {
            (FileType::Directory, Kind::File) => return Err(Refusal::Folder),
            (FileType::RegularFile, Kind::Folder) => return Err(Refusal::NoFolder),
            _ => {}
        }
        self.check_remove(path, max)?;
        removed(self.overlay, path, self.is_scratch());
        Ok(())
    }

    /// Sets the times of an entry there; those of an entry that is the host's stay as they are.
    pub(super) fn set_times_in_memory(&mut self, path: &str, times: Times) -> Result<Status, Refusal> {
        self.kind(path)?;
        self.overlay.set_times(path, times);
        self.status(path)
    }
}

/// Keeps the new content of a file.
pub(super) fn keep(overlay: &mut Overlay, path: &str, save: &Save, now: Option<u64>) {
    let content = match (save.how, save.parts.as_slice()) {
        (How::Whole, [part]) if part.offset == 0 && part.bytes().len() as u64 == save.size => part.shared(),
        _ => {
            // The size is bounded by the memory of the execution.
            let mut content = vec![0; usize::try_from(save.size).unwrap_or(0)];
            for part in &save.parts {
                let at = usize::try_from(part.offset).unwrap_or(usize::MAX);
                if let Some(to) = content.get_mut(at..at.saturating_add(part.bytes().len())) {
                    to.copy_from_slice(part.bytes());
                }
            }
            Arc::new(content)
        }
    };
    overlay.write(path, content);
    overlay.set_times(path, Times { accessed: now, modified: now });
}

/// Keeps a new folder.
pub(super) fn made_folder(overlay: &mut Overlay, path: &str, now: Option<u64>) {
    overlay.make_folder(path);
    overlay.set_times(path, Times { accessed: now, modified: now });
}

/// Keeps a new name.
pub(super) fn renamed(overlay: &mut Overlay, from: &str, to: &str, is_scratch: bool) {
    overlay.rename(from, to);
    if is_scratch {
        overlay.clear(from);
    }
}

/// Keeps that there is nothing any more.
pub(super) fn removed(overlay: &mut Overlay, path: &str, is_scratch: bool) {
    overlay.remove(path);
    if is_scratch {
        overlay.clear(path);
    }
}

fn part_of(content: &[u8], (offset, len): (u64, u64)) -> &[u8] {
    let at = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(content.len());
    &content[at(offset)..at(offset.saturating_add(len))]
}
