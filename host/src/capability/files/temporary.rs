//! The file that a write fills before the file takes the name of its target.
//!
//! Its name follows from the target's, so that a write that is repeated after a crash finds the leftover, and fills it
//! anew. A lock keeps two writers to one target apart, in one process or in several; the system releases it when the
//! process ends.

use super::folder::{self, Refusal};
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, flock, fstat, ftruncate, openat, unlinkat};
use rustix::io::{Errno, retry_on_intr};
use std::os::fd::{BorrowedFd, OwnedFd};

const PREFIX: &str = ".everstep-";
const SUFFIX: &str = ".tmp";
const DIGITS: usize = 16;

/// How often a writer tries again after others were faster, each time after waiting for its turn.
const ATTEMPTS: usize = 10_000;

/// The name of the temporary file for `target`.
pub(super) fn name(target: &str) -> String {
    let hash = blake3::hash(target.as_bytes());
    format!("{PREFIX}{}{SUFFIX}", &hash.to_hex()[..DIGITS])
}

/// Whether a name is that of a temporary file: guests neither see nor use such names.
pub(super) fn is_name(name: &[u8]) -> bool {
    let digits = name.strip_prefix(PREFIX.as_bytes()).and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()));
    digits.is_some_and(|digits| {
        digits.len() == DIGITS && digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Creates an empty, locked temporary file in `folder`. The lock lasts until the file is closed.
pub(super) fn create(folder: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Refusal> {
    for _ in 0..ATTEMPTS {
        if let Some(file) = try_create(folder, name)? {
            ftruncate(&file, 0)?;
            return Ok(file);
        }
    }
    Err(Refusal::System(Errno::BUSY))
}

/// `None` if the name belongs to another file by now, or belonged to something that is not our file and was removed.
fn try_create(folder: BorrowedFd<'_>, name: &str) -> Result<Option<OwnedFd>, Refusal> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match openat(folder, name, flags, Mode::from_raw_mode(0o666)) {
        Ok(file) => file,
        Err(Errno::LOOP | Errno::NXIO | Errno::NODEV) => {
            remove(folder, name)?;
            return Ok(None);
        }
        Err(errno) => return Err(errno.into()),
    };
    retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))?;
    let held = fstat(&file)?;
    match folder::stat(folder, name) {
        Ok(named) if (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino) => {}
        Ok(_) | Err(Refusal::Missing) => return Ok(None),
        Err(refusal) => return Err(refusal),
    }
    // A file with another name, or anything but a file, belongs to others: it is not written to.
    if FileType::from_raw_mode(held.st_mode) != FileType::RegularFile || held.st_nlink != 1 {
        remove(folder, name)?;
        return Ok(None);
    }
    Ok(Some(file))
}

/// Removes a temporary file, if it is there.
pub(super) fn remove(folder: BorrowedFd<'_>, name: impl rustix::path::Arg) -> Result<(), Refusal> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
