//! Creating a file that must be new: for the file system of WASI guests.

use super::super::folder::{self, OnTheWay, Refusal};
use super::super::temporary;
use super::Folders;
use super::part::status;
use crate::vfs::Status;
use rustix::fs::{AtFlags, RenameFlags, XattrFlags, fgetxattr, fsetxattr, fstat, fsync, linkat, renameat_with};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};

/// The attribute of a file that tells who has created it; a file that replaces it has none.
const MARK: &str = "user.everstep.new";

impl Folders {
    /// Creates an empty file durably, which must not exist. When a crash may have lost the outcome (`repeated`), a file with this mark is the
    /// one that was created; where the file system keeps no marks, that is in doubt.
    pub(in super::super) fn create(
        &self,
        grant: usize,
        path: &str,
        mark: &[u8; 32],
        repeated: bool,
    ) -> Result<Status, Refusal> {
        let (folder, name) = folder::open_parent(self.root(grant)?.fd()?, path, OnTheWay::Exists)?;
        let folder = folder.as_fd();
        let temporary = temporary::name(name);
        // Marked before it has its name, so that there is never a file without its mark.
        let file = temporary::create(folder, &temporary)?;
        let keeps_marks = match fsetxattr(&file, MARK, mark, XattrFlags::empty()) {
            Ok(()) => true,
            Err(Errno::OPNOTSUPP | Errno::PERM | Errno::NOSPC) => false,
            Err(errno) => return Err(errno.into()),
        };
        fsync(&file)?;
        match give_name(folder, &temporary, name) {
            Ok(()) => {
                fsync(folder)?;
                Ok(status(&fstat(&file)?))
            }
            Err(Errno::EXIST) => {
                temporary::remove(folder, &temporary)?;
                if repeated { own(folder, name, mark, keeps_marks) } else { Err(Errno::EXIST.into()) }
            }
            Err(errno) => {
                temporary::remove(folder, &temporary)?;
                Err(errno.into())
            }
        }
    }
}

/// Gives a file another name, if nobody has it.
fn give_name(folder: BorrowedFd<'_>, temporary: &str, name: &str) -> Result<(), Errno> {
    match renameat_with(folder, temporary, folder, name, RenameFlags::NOREPLACE) {
        // Not every file system has this call; a second name is as exclusive.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            linkat(folder, temporary, folder, name, AtFlags::empty())?;
            rustix::fs::unlinkat(folder, temporary, AtFlags::empty())
        }
        renamed => renamed,
    }
}

/// What is known of the file that exists, if it has the mark.
fn own(folder: BorrowedFd<'_>, name: &str, mark: &[u8; 32], keeps_marks: bool) -> Result<Status, Refusal> {
    let (file, found) = match folder::open_file(folder, name) {
        Ok(opened) => opened,
        // No file is what was created.
        Err(Refusal::Folder | Refusal::Link | Refusal::Special) => return Err(Errno::EXIST.into()),
        Err(refusal) => return Err(refusal),
    };
    let mut kept = [0; 32];
    match fgetxattr(&file, MARK, &mut kept) {
        Ok(32) if kept == *mark => {
            fsync(folder)?;
            Ok(status(&found))
        }
        _ if !keeps_marks => Err(Refusal::InDoubt),
        _ => Err(Errno::EXIST.into()),
    }
}
