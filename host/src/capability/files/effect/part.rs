//! Parts of files, and all that is known of an entry: for the file system of WASI guests.

use super::super::folder::{self, OnTheWay, Refusal};
use super::{Folders, list, refusal, stat};
use crate::policy::path;
use crate::vfs::{Entry, Kind, Status};
use rustix::fs::{FileType, Stat};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsFd;

const NS_PER_S: u64 = 1_000_000_000;

impl Folders {
    /// All that is known of an entry.
    pub(in super::super) fn status(&self, grant: usize, path: &str) -> Result<Status, Refusal> {
        Ok(status(&stat(self.root(grant)?, path)?))
    }

    /// At most `len` bytes of a file of at most `max` bytes, from `offset` on; fewer if it ends before.
    pub(in super::super) fn read_part(
        &self,
        grant: usize,
        path: &str,
        (offset, len): (u64, u64),
        max: u64,
    ) -> Result<Vec<u8>, Refusal> {
        if path.is_empty() {
            return Err(Refusal::Folder);
        }
        let root = self.root(grant)?;
        let (folder, name) = folder::open_parent(root.fd()?, path, OnTheWay::Exists)?;
        let (file, stat) = folder::open_file(folder.as_fd(), name)?;
        root.check(&stat)?;
        if stat.st_size.cast_unsigned() > max {
            return Err(Refusal::TooLarge);
        }
        let mut file = File::from(file);
        if offset > 0 {
            file.seek(SeekFrom::Start(offset)).map_err(refusal)?;
        }
        let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
        file.take(len).read_to_end(&mut bytes).map_err(refusal)?;
        Ok(bytes)
    }

    /// The entries of a folder whose names `is_wanted` accepts, if they fit into `max` bytes. All is known of those that may be used.
    pub(in super::super) fn entries(
        &self,
        grant: usize,
        path: &str,
        max: u64,
        is_wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<Entry>, Refusal> {
        let root = self.root(grant)?;
        let entry = |name: &[u8], stat: &Stat| {
            let known = status(stat);
            match std::str::from_utf8(name) {
                Ok(name) if path::is_name(name) => {
                    let may_be_used = folder::plain(stat).is_ok() && root.check(stat).is_ok();
                    let kind = if known.kind == Kind::Link { Kind::Other } else { known.kind };
                    Entry { name: name.to_owned(), kind, status: may_be_used.then_some(known) }
                }
                _ => Entry { name: String::from_utf8_lossy(name).into_owned(), kind: Kind::Other, status: None },
            }
        };
        let entries = list(root.fd()?, path, max, is_wanted, entry)?;
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }
}

/// What the system says of an entry, as the guest may know it.
pub(super) fn status(stat: &Stat) -> Status {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        FileType::Symlink => Kind::Link,
        _ => Kind::Other,
    };
    let size = if kind == Kind::File { stat.st_size.cast_unsigned() } else { 0 };
    // A time before 1970 is no time that the interface can tell.
    let time = |seconds: i64, ns: u64| {
        u64::try_from(seconds).ok().and_then(|seconds| seconds.checked_mul(NS_PER_S)?.checked_add(ns))
    };
    Status {
        kind,
        size,
        accessed: time(stat.st_atime, stat.st_atime_nsec),
        modified: time(stat.st_mtime, stat.st_mtime_nsec),
        changed: time(stat.st_ctime, stat.st_ctime_nsec),
    }
}
