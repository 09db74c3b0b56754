//! Changes of files and names: for the file system of WASI guests. All of them may be repeated when a crash has lost their outcome.

use super::super::folder::{self, OnTheWay, Refusal};
use super::super::temporary;
use super::part::status;
use super::{Folders, Root, refusal, replace, replaceable, stat};
use crate::vfs::{How, Kind, Save, Status, Times};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps, fstat, fsync, mkdirat, openat, renameat, utimensat,
};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// The largest file that is replaced by a changed copy, so that a reader sees the old content or the new one; a larger one is changed
/// where it is.
const LARGEST_COPY: u64 = 64 << 20;

const NS_PER_S: u64 = 1_000_000_000;
/// The value by which a time stays as it is.
const OMIT: i64 = (1 << 30) - 2;

impl Folders {
    /// Writes a file, durably. `None`: it has another size than an append names. `repeated`: a crash may have lost the outcome.
    pub(in super::super) fn save(
        &self,
        grant: usize,
        path: &str,
        save: &Save,
        repeated: bool,
    ) -> Result<Option<Status>, Refusal> {
        let root = self.root(grant)?;
        if save.how == How::Whole {
            let written = replace(root, path, |_, _| Ok(true), |file| fill(file, None, save))?;
            return Ok(written.as_ref().map(status));
        }
        let (folder, name) = folder::open_parent(root.fd()?, path, OnTheWay::Exists)?;
        let old = changed(folder.as_fd(), name, save)?;
        if old.is_some_and(|(_, old)| old.st_size.cast_unsigned().max(save.size) > LARGEST_COPY) {
            return in_place(root, folder.as_fd(), name, save, repeated);
        }
        let mut is_there = None;
        let condition = |folder: BorrowedFd<'_>, name: &str| {
            let Some((old, found)) = changed(folder, name, save)? else { return Ok(true) };
            let due = due(&File::from(old), found.st_size.cast_unsigned(), save, repeated)?;
            is_there = (due == Due::Done).then(|| status(&found));
            Ok(due == Due::Now)
        };
        let written = replace(root, path, condition, |file| {
            fill(file, changed(folder.as_fd(), name, save)?.map(|(old, _)| File::from(old)), save)
        })?;
        Ok(written.as_ref().map(status).or(is_there))
    }

    /// Creates a folder.
    pub(in super::super) fn make_folder(&self, grant: usize, path: &str, repeated: bool) -> Result<(), Refusal> {
        let root = self.root(grant)?.fd()?;
        let (folder, name) = folder::open_parent(root, path, OnTheWay::Exists)?;
        match mkdirat(folder.as_fd(), name, Mode::RWXU | Mode::RWXG | Mode::RWXO) {
            Err(Errno::EXIST) if repeated && is_folder(folder.as_fd(), name) => {}
            made => made?,
        }
        Ok(fsync(folder.as_fd())?)
    }

    /// Renames a file or a folder below the same root.
    pub(in super::super) fn rename(&self, grant: usize, from: &str, to: &str, repeated: bool) -> Result<(), Refusal> {
        let root = self.root(grant)?;
        let (folder, name) = folder::open_parent(root.fd()?, from, OnTheWay::Exists)?;
        let (new_folder, new_name) = folder::open_parent(root.fd()?, to, OnTheWay::Exists)?;
        let (folder, new_folder) = (folder.as_fd(), new_folder.as_fd());
        match folder::stat(folder, name) {
            Err(Refusal::Missing) if repeated && folder::stat(new_folder, new_name).is_ok() => return Ok(()),
            found => {
                let found = found?;
                folder::plain(&found)?;
                root.check(&found)?;
            }
        }
        match replaceable(root, new_folder, new_name) {
            Ok(_) | Err(Refusal::Folder) => {}
            Err(refusal) => return Err(refusal),
        }
        renameat(folder, name, new_folder, new_name)?;
        fsync(new_folder)?;
        Ok(fsync(folder)?)
    }

    /// Removes a file or an empty folder, as `kind` says.
    pub(in super::super) fn remove_kind(
        &self,
        grant: usize,
        path: &str,
        kind: Kind,
        repeated: bool,
    ) -> Result<(), Refusal> {
        let root = self.root(grant)?;
        match (stat(root, path).map(|found| status(&found).kind), kind) {
            (Err(Refusal::Missing), _) if repeated => return Ok(()),
            (Err(refusal), _) => return Err(refusal),
            (Ok(Kind::Folder), Kind::File) => return Err(Refusal::Folder),
            (Ok(Kind::File), Kind::Folder) => return Err(Refusal::NoFolder),
            _ => {}
        }
        super::remove(root, path)
    }

    /// Sets the times of a file or a folder.
    pub(in super::super) fn set_times(&self, grant: usize, path: &str, times: Times) -> Result<Status, Refusal> {
        let root = self.root(grant)?;
        stat(root, path)?;
        let (folder, name) = folder::open_parent(root.fd()?, path, OnTheWay::Exists)?;
        let times = Timestamps { last_access: timespec(times.accessed)?, last_modification: timespec(times.modified)? };
        utimensat(folder.as_fd(), name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(status(&stat(root, path)?))
    }
}

/// The file that is to be changed. `None`: what begins with an append is created by it.
fn changed(folder: BorrowedFd<'_>, name: &str, save: &Save) -> Result<Option<(OwnedFd, Stat)>, Refusal> {
    match folder::open_file(folder, name) {
        Err(Refusal::Missing) if save.how == How::Append(0) => Ok(None),
        found => found.map(Some),
    }
}

fn is_folder(folder: BorrowedFd<'_>, name: &str) -> bool {
    folder::stat(folder, name).is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Directory)
}

fn timespec(ns: Option<u64>) -> Result<Timespec, Refusal> {
    let Some(ns) = ns else { return Ok(Timespec { tv_sec: 0, tv_nsec: OMIT }) };
    let tv_sec = i64::try_from(ns / NS_PER_S).map_err(|_| Refusal::System(Errno::INVAL))?;
    Ok(Timespec { tv_sec, tv_nsec: (ns % NS_PER_S).cast_signed() })
}

/// Whether a change of a file is to be made.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    Now,
    /// It was made before a crash lost the outcome.
    Done,
    /// The file has become another one.
    Never,
}

fn due(old: &File, size: u64, save: &Save, repeated: bool) -> Result<Due, Refusal> {
    let How::Append(at) = save.how else { return Ok(Due::Now) };
    if size == at {
        return Ok(Due::Now);
    }
    if !repeated || size < at {
        return Ok(Due::Never);
    }
    // What was appended before is there as a whole, or as far as the file goes.
    let end = size.min(save.size);
    for part in &save.parts {
        let there = usize::try_from(end.saturating_sub(part.offset)).unwrap_or(usize::MAX);
        let expected = &part.bytes()[..part.bytes().len().min(there)];
        let mut found = vec![0; expected.len()];
        old.read_exact_at(&mut found, part.offset).map_err(refusal)?;
        if found != expected {
            return Ok(Due::Never);
        }
    }
    Ok(if size >= save.size { Due::Done } else { Due::Now })
}

/// Writes the new content of a file to an empty one, with what is kept of the old one.
fn fill(file: &mut File, old: Option<File>, save: &Save) -> Result<(), Refusal> {
    if let Some(old) = old {
        io::copy(&mut old.take(save.kept), file).map_err(refusal)?;
    }
    file.set_len(save.size).map_err(refusal)?;
    write_parts(file, save)
}

fn write_parts(file: &File, save: &Save) -> Result<(), Refusal> {
    save.parts.iter().try_for_each(|part| file.write_all_at(part.bytes(), part.offset).map_err(refusal))
}

/// Changes a large file where it is. The temporary file of its name keeps other writers away meanwhile.
fn in_place(
    root: &Root,
    folder: BorrowedFd<'_>,
    name: &str,
    save: &Save,
    repeated: bool,
) -> Result<Option<Status>, Refusal> {
    let temporary = temporary::name(name);
    let _locked = temporary::create(folder, &temporary)?;
    let written = change_in_place(root, folder, name, save, repeated);
    temporary::remove(folder, &temporary)?;
    written
}

fn change_in_place(
    root: &Root,
    folder: BorrowedFd<'_>,
    name: &str,
    save: &Save,
    repeated: bool,
) -> Result<Option<Status>, Refusal> {
    replaceable(root, folder, name)?;
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(openat(folder, name, flags, Mode::empty())?);
    let found = fstat(&file)?;
    if folder::plain(&found)? != FileType::RegularFile {
        return Err(Refusal::Folder);
    }
    root.check(&found)?;
    let size = found.st_size.cast_unsigned();
    match due(&file, size, save, repeated)? {
        Due::Never => return Ok(None),
        Due::Done => return Ok(Some(status(&found))),
        Due::Now => {}
    }
    if save.kept < size && save.how == How::Patch {
        file.set_len(save.kept).map_err(refusal)?;
    }
    file.set_len(save.size).map_err(refusal)?;
    write_parts(&file, save)?;
    fsync(&file)?;
    Ok(Some(status(&fstat(&file)?)))
}
