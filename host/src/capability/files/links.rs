//! Hard links: a file may have names outside the folder that a rule grants.
//!
//! Where a guest may write, such a file is refused, because others use it, too. In a read-only folder it is shown.

use super::folder::{self, Refusal};
use rustix::fs::{AtFlags, Dir, FileType, Mode, Stat, fstat, openat, statat};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The most entries of a folder that are searched for the names of a file, and how deep.
const MOST_ENTRIES: usize = 20_000;
const DEEPEST: usize = 64;

/// Refuses a file that has names outside the folder `root`, or so many inside that they cannot be counted.
pub(super) fn check(root: BorrowedFd<'_>, stat: &Stat) -> Result<(), Refusal> {
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink <= 1 {
        return Ok(());
    }
    let mut search = Search { wanted: stat, missing: stat.st_nlink, left: MOST_ENTRIES };
    // The root is opened anew, so that reading it moves no shared offset.
    search.folder(openat(root, ".", folder::FOLDER, Mode::empty())?, 0)?;
    if search.missing == 0 { Ok(()) } else { Err(Refusal::NamedElsewhere) }
}

/// Counts the names of a file.
struct Search<'s> {
    wanted: &'s Stat,
    /// Names that were not found yet.
    missing: u64,
    /// Entries that may still be searched.
    left: usize,
}

impl Search<'_> {
    /// Searches all entries below a folder, until all names are found.
    fn folder(&mut self, folder: OwnedFd, depth: usize) -> Result<(), Refusal> {
        // A hard link leads to a file of the same device only.
        if depth > DEEPEST || fstat(&folder)?.st_dev != self.wanted.st_dev {
            return Ok(());
        }
        for item in Dir::read_from(&folder)? {
            let item = item?;
            if matches!(item.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            self.left = self.left.checked_sub(1).ok_or(Refusal::NamedElsewhere)?;
            let stat = match statat(&folder, item.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                // Removed since it was seen.
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(errno.into()),
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile if (stat.st_dev, stat.st_ino) == (self.wanted.st_dev, self.wanted.st_ino) => {
                    self.missing -= 1;
                }
                FileType::Directory => {
                    // On an error it is gone, something else by now, or inaccessible to the host.
                    if let Ok(below) = openat(folder.as_fd(), item.file_name(), folder::FOLDER, Mode::empty()) {
                        self.folder(below, depth + 1)?;
                    }
                }
                _ => {}
            }
            if self.missing == 0 {
                return Ok(());
            }
        }
        Ok(())
    }
}
