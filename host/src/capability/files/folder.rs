//! Walks from an open folder to an entry below it, one component at a time, following no link.
//!
//! Whatever happens on disk meanwhile, a step leads from an open folder to an entry of that folder, or fails: there is no
//! path that could be swapped. The kind of an entry is read from its open handle.

use super::temporary;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, fsync, mkdirat, openat, statat};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The reason that an entry cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no such entry.
    Missing,
    /// A symbolic link, here or on the way.
    Link,
    /// A FIFO, socket or device.
    Special,
    /// A name reserved for the host.
    Reserved,
    /// The folder was not opened: the ceiling of the host did not lend it.
    Withheld,
    /// A folder where a file was expected.
    Folder,
    /// A file where a folder was expected.
    NoFolder,
    /// More bytes than the caller may have.
    TooLarge,
    /// More entries than the caller may change.
    TooMany,
    /// A file with names outside the folder, in a folder where the guest may write.
    NamedElsewhere,
    /// It exists, and nobody can tell whether a step that a crash interrupted has created it.
    InDoubt,
    /// An error of the system.
    System(Errno),
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT => Self::Missing,
            Errno::LOOP => Self::Link,
            Errno::ISDIR => Self::Folder,
            Errno::NOTDIR => Self::NoFolder,
            Errno::NXIO | Errno::NODEV => Self::Special,
            errno => Self::System(errno),
        }
    }
}

pub(super) const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// A folder on the way: the root of a grant, or one that was opened below it.
pub(super) enum Folder<'a> {
    Root(BorrowedFd<'a>),
    Below(OwnedFd),
}

impl AsFd for Folder<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Root(root) => *root,
            Self::Below(folder) => folder.as_fd(),
        }
    }
}

/// Whether missing folders on the way are created.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OnTheWay {
    Exists,
    IsMade,
}

/// Opens the folder at `path` below `root`; the root itself for an empty path.
pub(super) fn open<'a>(root: BorrowedFd<'a>, path: &str, way: OnTheWay) -> Result<Folder<'a>, Refusal> {
    let mut folder = Folder::Root(root);
    for name in path.split('/').filter(|name| !name.is_empty()) {
        folder = Folder::Below(enter(folder.as_fd(), name, way)?);
    }
    Ok(folder)
}

/// Opens the folder that has the entry at `path`, which is not empty; also returns the name of the entry.
pub(super) fn open_parent<'a, 'p>(
    root: BorrowedFd<'a>,
    path: &'p str,
    way: OnTheWay,
) -> Result<(Folder<'a>, &'p str), Refusal> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    check_name(name)?;
    Ok((open(root, parent, way)?, name))
}

/// Opens `name` in `folder` for reading; it must be a regular file, not a link.
pub(super) fn open_file(folder: BorrowedFd<'_>, name: &str) -> Result<(OwnedFd, Stat), Refusal> {
    // Opening a device can have an effect; this check avoids those that are not swapped in meanwhile.
    regular(&stat(folder, name)?)?;
    let file = openat(folder, name, FILE | OFlags::RDONLY, Mode::empty())?;
    let stat = fstat(&file)?;
    regular(&stat)?;
    Ok((file, stat))
}

/// The metadata of `name` in `folder`, following no link.
pub(super) fn stat(folder: BorrowedFd<'_>, name: &str) -> Result<Stat, Refusal> {
    Ok(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Refuses anything but files and folders.
pub(super) fn plain(stat: &Stat) -> Result<FileType, Refusal> {
    match FileType::from_raw_mode(stat.st_mode) {
        kind @ (FileType::RegularFile | FileType::Directory) => Ok(kind),
        FileType::Symlink => Err(Refusal::Link),
        _ => Err(Refusal::Special),
    }
}

fn regular(stat: &Stat) -> Result<(), Refusal> {
    match plain(stat)? {
        FileType::Directory => Err(Refusal::Folder),
        _ => Ok(()),
    }
}

fn enter(folder: BorrowedFd<'_>, name: &str, way: OnTheWay) -> Result<OwnedFd, Refusal> {
    check_name(name)?;
    let open = || openat(folder, name, FOLDER, Mode::empty());
    let opened = match open() {
        Err(Errno::NOENT) if way == OnTheWay::IsMade => {
            match mkdirat(folder, name, Mode::RWXU | Mode::RWXG | Mode::RWXO) {
                Ok(()) => fsync(folder)?,
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
            open()
        }
        opened => opened,
    };
    match opened {
        // The same error is returned for a link; this finds out which it was.
        Err(Errno::NOTDIR) => Err(stat(folder, name).and_then(|stat| plain(&stat)).err().unwrap_or(Refusal::NoFolder)),
        opened => Ok(opened?),
    }
}

fn check_name(name: &str) -> Result<(), Refusal> {
    // The policy has checked paths before; a mistake there must not lead out of the folder.
    if matches!(name, "" | "." | "..") {
        return Err(Refusal::System(Errno::INVAL));
    }
    if temporary::is_name(name.as_bytes()) { Err(Refusal::Reserved) } else { Ok(()) }
}
