//! The effect: reads, writes, lists and removes below folders that were opened once.
//!
//! All methods block. Errors name the path that the guest sees, never one of the host.

mod change;
mod create;
mod part;

use super::folder::{self, Folder, OnTheWay, Refusal};
use super::links;
use super::temporary;
use crate::grants::Opened;
use crate::guest_error::{ErrorCode, GuestError};
use crate::network;
use crate::policy::{Access, Error, FileOperation, FilesGrant, Policy, path, quoted, system};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fchmod, fstat, fsync, openat, renameat, unlinkat};
use rustix::io::Errno;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The opened host folders of a policy, by the index of their grant.
#[derive(Debug, Default)]
pub struct Folders {
    roots: Vec<Root>,
}

#[derive(Debug)]
struct Root {
    /// The folder's path as the guest sees it; for messages.
    guest: String,
    /// `None` for a scratch, which is only in memory, for an image whose files the store has, and where it is withheld.
    folder: Option<OwnedFd>,
    /// The ceiling of the host did not lend the folder, so that it was not opened.
    withheld: bool,
    /// The folders that are there from the beginning.
    first: &'static [&'static str],
    /// Whether the guest may write, on disk or in memory: files that have names elsewhere are refused then.
    is_written: bool,
}

/// One entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Entry {
    /// The last component of its path.
    pub name: String,
    /// Its kind.
    pub kind: FileKind,
    /// Bytes; 0 for anything but a file.
    pub size: u64,
}

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// Anything else, or an entry whose name no guest path can have: it is listed, but cannot be used.
    Other,
}

/// The assumed cost of an entry of a list besides its name, in bytes.
const ENTRY_BYTES: u64 = 32;

/// Opens the folders that a policy grants, and the ceiling lends.
pub(crate) fn open(
    policy: &Policy,
    ceiling: Option<&Policy>,
    _: &network::Options,
    opened: &mut Opened,
) -> Result<(), Error> {
    opened.insert(Folders::open_if(&policy.files, |grant| ceiling.is_none_or(|ceiling| ceiling.lends_folder(grant)))?);
    Ok(())
}

impl Folders {
    /// Opens the folder of every grant. Refuses folders that overlap where one of them is writable: links and mounts may
    /// have changed since the policy was checked.
    pub fn open(grants: &[FilesGrant]) -> Result<Self, Error> {
        Self::open_if(grants, |_| true)
    }

    /// The same, without a look at the folders that are not lent.
    fn open_if(grants: &[FilesGrant], is_lent: impl Fn(&FilesGrant) -> bool) -> Result<Self, Error> {
        let open = |grant| if is_lent(grant) { Root::open(grant) } else { Ok(Root::withheld(grant)) };
        let roots = grants.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let above =
            roots.iter().zip(grants).map(|(root, grant)| root.lineage().map_err(|errno| folder_error(grant, errno)));
        let above = above.collect::<Result<Vec<_>, _>>()?;
        for (index, grant) in grants.iter().enumerate() {
            for (other_index, other) in grants.iter().enumerate().take(index) {
                let (a, b) = (&above[index], &above[other_index]);
                let overlap =
                    b.first().is_some_and(|own| a.contains(own)) || a.first().is_some_and(|own| b.contains(own));
                if overlap && [grant, other].iter().any(|grant| grant.access == Access::Write) {
                    return Err(Error::Overlap { rule: grant.id.clone(), other: other.id.clone() });
                }
            }
        }
        Ok(Self { roots })
    }

    /// Denies what no rule can allow: a link or a special file, at `path` or on the way to it. Checked before the effect, so
    /// that the decision is right in the audit log; the effect does not rely on it.
    pub fn floor(&self, operation: FileOperation, grant: usize, path: &str) -> Result<(), GuestError> {
        let refused = |refusal| self.refused(operation.name(), grant, path, refusal, 0);
        let root = self.root(grant).map_err(refused)?;
        match look(root, path) {
            Err(refusal @ (Refusal::Link | Refusal::Special | Refusal::Reserved | Refusal::NamedElsewhere)) => {
                Err(refused(refusal))
            }
            _ => Ok(()),
        }
    }

    /// The content of a file of at most `max` bytes.
    pub fn read(&self, grant: usize, path: &str, max: u64) -> Result<Vec<u8>, GuestError> {
        let refused = |refusal| self.refused("read", grant, path, refusal, max);
        let root = self.root(grant).map_err(refused)?;
        read(root, path, max).map_err(refused)
    }

    /// Replaces or creates a file, durably and in one step; missing parent folders are created. May be repeated.
    pub fn write(&self, grant: usize, path: &str, content: &[u8]) -> Result<(), GuestError> {
        let refused = |refusal| self.refused("write", grant, path, refusal, 0);
        let root = self.root(grant).map_err(refused)?;
        write(root, path, content, |_, _| Ok(true)).map(drop).map_err(refused)
    }

    /// Replaces a file only if its content is still `before` (`None`: if it does not exist); returns whether it was. When a crash
    /// may have lost the outcome (`repeated`), a file that has `content` already counts as replaced.
    pub fn replace(
        &self,
        grant: usize,
        path: &str,
        before: Option<&[u8]>,
        content: &[u8],
        repeated: bool,
    ) -> Result<bool, GuestError> {
        let refused = |refusal| self.refused("write", grant, path, refusal, 0);
        let root = self.root(grant).map_err(refused)?;
        let mut done = false;
        let condition = |folder: BorrowedFd<'_>, name: &str| {
            done = repeated && holds(folder, name, Some(content))?;
            Ok(!done && holds(folder, name, before)?)
        };
        let written = write(root, path, content, condition).map_err(refused)?;
        Ok(written || done)
    }

    /// The entries of a folder in the byte order of their names, if they fit into `max` bytes.
    pub fn list(&self, grant: usize, path: &str, max: u64) -> Result<Vec<Entry>, GuestError> {
        let refused = |refusal| self.refused("list", grant, path, refusal, max);
        let entries = self.list_where(grant, path, max, |_| true).map_err(refused)?;
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }

    /// The entries whose names `is_wanted` accepts, each with its raw name.
    pub(super) fn list_where(
        &self,
        grant: usize,
        path: &str,
        max: u64,
        is_wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<(Vec<u8>, Entry)>, Refusal> {
        list(self.root(grant)?.fd()?, path, max, is_wanted, listed)
    }

    /// Whether a folder has an entry whose name `is_wanted` accepts, apart from leftovers of crashed writes.
    pub(super) fn holds_any(
        &self,
        grant: usize,
        path: &str,
        is_wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<bool, Refusal> {
        let folder = folder::open(self.root(grant)?.fd()?, path, OnTheWay::Exists)?;
        let names = rustix::fs::Dir::read_from(&folder)?.map(|item| Ok(item?.file_name().to_owned()));
        Ok(holds_any(names, is_wanted)?)
    }

    /// The kind of the file or folder at a path, which is not empty.
    pub(super) fn kind(&self, grant: usize, path: &str) -> Result<FileType, Refusal> {
        let root = self.root(grant)?;
        let (folder, name) = folder::open_parent(root.fd()?, path, OnTheWay::Exists)?;
        let stat = folder::stat(folder.as_fd(), name)?;
        root.check(&stat)?;
        folder::plain(&stat)
    }

    /// One entry; its name is the last component of the guest path.
    pub fn stat(&self, grant: usize, path: &str) -> Result<Entry, GuestError> {
        let refused = |refusal| self.refused("stat", grant, path, refusal, 0);
        let root = self.root(grant).map_err(refused)?;
        let stat = stat(root, path).map_err(refused)?;
        let name = if path.is_empty() { &self.roots[grant].guest } else { path };
        Ok(entry(name.rsplit('/').next().unwrap_or_default().to_owned(), &stat))
    }

    /// Removes a file or an empty folder. When a crash may have lost the outcome (`repeated`), a missing entry counts as
    /// removed.
    pub fn remove(&self, grant: usize, path: &str, repeated: bool) -> Result<(), GuestError> {
        let refused = |refusal| self.refused("remove", grant, path, refusal, 0);
        let root = self.root(grant).map_err(refused)?;
        match remove(root, path) {
            Err(Refusal::Missing) if repeated => Ok(()),
            outcome => outcome.map_err(refused),
        }
    }

    /// Whether there is no folder of the host under a grant.
    pub(super) fn is_scratch(&self, grant: usize) -> bool {
        self.roots.get(grant).is_none_or(|root| root.folder.is_none() && !root.withheld)
    }

    /// The folders that are in memory from the beginning.
    pub(super) fn first(&self, grant: usize) -> &'static [&'static str] {
        self.roots.get(grant).map_or(&[], |root| root.first)
    }

    fn root(&self, grant: usize) -> Result<&Root, Refusal> {
        let root = self.roots.get(grant).ok_or(Refusal::Missing)?;
        root.fd()?;
        Ok(root)
    }

    #[cold]
    pub(super) fn refused(&self, operation: &str, grant: usize, path: &str, refusal: Refusal, max: u64) -> GuestError {
        let guest = self.roots.get(grant).map_or("", |root| root.guest.as_str());
        refused(guest, operation, path, refusal, max)
    }
}

/// The error of an operation on a path below the folder that the guest sees as `guest`; `max` is the bound that was exceeded, if one was.
#[cold]
pub(super) fn refused(guest: &str, operation: &str, path: &str, refusal: Refusal, max: u64) -> GuestError {
    let guest = guest.trim_end_matches('/');
    let path = if path.is_empty() && !guest.is_empty() { guest.to_owned() } else { format!("{guest}/{path}") };
    let (code, why) = match refusal {
        Refusal::Missing => (ErrorCode::NotFound, "it does not exist".to_owned()),
        Refusal::Link => (ErrorCode::Denied, "symbolic links are refused".to_owned()),
        Refusal::Special => (ErrorCode::Denied, "it is neither a file nor a folder".to_owned()),
        Refusal::Reserved => (ErrorCode::Denied, "the host keeps this name for itself".to_owned()),
        Refusal::Withheld => {
            let why = "the ceiling of this host did not lend its folder when its policy was opened";
            (ErrorCode::Denied, why.to_owned())
        }
        Refusal::Folder => (ErrorCode::Failed, "it is a folder".to_owned()),
        Refusal::NoFolder => (ErrorCode::Failed, "it is no folder, or lies below a file".to_owned()),
        Refusal::TooLarge => (ErrorCode::LimitExceeded, format!("it is larger than the {max} bytes allowed")),
        Refusal::NamedElsewhere => {
            (ErrorCode::Denied, "it has another name outside of the folder, a hard link".to_owned())
        }
        Refusal::TooMany => (ErrorCode::LimitExceeded, format!("the rule allows max_files = {max}")),
        Refusal::InDoubt => (
            ErrorCode::InDoubt,
            "it exists, and may have been created before a crash: its file system keeps no marks".to_owned(),
        ),
        Refusal::System(Errno::NOTEMPTY) => (ErrorCode::Failed, "the folder is not empty".to_owned()),
        Refusal::System(errno) => (ErrorCode::Failed, io::Error::from(errno).to_string()),
    };
    GuestError::new(code, format!("files {operation} {} ({why})", quoted(&path)))
}

impl Entry {
    /// The assumed cost of an entry of a list, in bytes.
    pub(super) fn cost(name: &[u8]) -> u64 {
        name.len() as u64 + ENTRY_BYTES
    }
}

impl Root {
    /// Opens the folder of a grant.
    fn open(grant: &FilesGrant) -> Result<Self, Error> {
        if grant.access == Access::Scratch {
            return Ok(Self {
                guest: grant.guest.clone(),
                folder: None,
                withheld: false,
                first: grant.first_folders(),
                is_written: true,
            });
        }
        let folder = match open_folder(&grant.id, &grant.host) {
            // The store has its files.
            Err(Error::Folder { .. }) if grant.keep => None,
            folder => Some(folder?),
        };
        let (guest, is_written) = (grant.guest.clone(), grant.access.changes());
        Ok(Self { guest, folder, withheld: false, first: &[], is_written })
    }

    /// The folder of a grant that is not lent.
    fn withheld(grant: &FilesGrant) -> Self {
        let (guest, is_written) = (grant.guest.clone(), grant.access.changes());
        Self { guest, folder: None, withheld: true, first: &[], is_written }
    }

    fn fd(&self) -> Result<BorrowedFd<'_>, Refusal> {
        let refusal = if self.withheld { Refusal::Withheld } else { Refusal::Missing };
        self.folder.as_ref().map(AsFd::as_fd).ok_or(refusal)
    }

    /// Refuses a file that has names elsewhere, if the guest may write.
    fn check(&self, stat: &Stat) -> Result<(), Refusal> {
        if self.is_written { links::check(self.fd()?, stat) } else { Ok(()) }
    }

    /// Device and inode of the folder and of all folders above it.
    fn lineage(&self) -> Result<Vec<(u64, u64)>, Errno> {
        let mut lineage = Vec::new();
        let Some(folder) = &self.folder else { return Ok(lineage) };
        let mut folder = Folder::Root(folder.as_fd());
        loop {
            let stat = fstat(&folder)?;
            let id = (stat.st_dev, stat.st_ino);
            if lineage.last() == Some(&id) {
                return Ok(lineage);
            }
            lineage.push(id);
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            folder = Folder::Below(openat(&folder, "..", flags, Mode::empty())?);
        }
    }
}

/// Opens the folder of a rule. No other code opens a path of the host.
pub(super) fn open_folder(rule: &str, host: &Path) -> Result<OwnedFd, Error> {
    let failed = |source| Error::Folder { rule: rule.to_owned(), path: host.to_owned(), source };
    let folder = Dir::open_ambient_dir(host, ambient_authority()).map_err(failed)?;
    if system::shows_itself_in(host) {
        return Err(Error::SystemFolder { rule: rule.to_owned(), path: host.to_owned() });
    }
    // A handle of cap-std can only lead to entries; listing and syncing the folder itself need one that can be read.
    let folder = openat(&folder, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    folder.map_err(|errno| failed(errno.into()))
}

fn folder_error(grant: &FilesGrant, errno: Errno) -> Error {
    Error::Folder { rule: grant.id.clone(), path: grant.host.clone(), source: errno.into() }
}

fn read(root: &Root, path: &str, max: u64) -> Result<Vec<u8>, Refusal> {
    if path.is_empty() {
        return Err(Refusal::Folder);
    }
    let (folder, name) = folder::open_parent(root.fd()?, path, OnTheWay::Exists)?;
    let (file, stat) = folder::open_file(folder.as_fd(), name)?;
    root.check(&stat)?;
    let size = stat.st_size.cast_unsigned();
    if size > max {
        return Err(Refusal::TooLarge);
    }
    // One byte more than its size, to reach the end without another allocation; the file may grow meanwhile.
    let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0).saturating_add(1));
    File::from(file).take(max.saturating_add(1)).read_to_end(&mut content).map_err(refusal)?;
    if content.len() as u64 > max { Err(Refusal::TooLarge) } else { Ok(content) }
}

/// Writes a file if a condition holds. Returns whether it was written.
fn write(
    root: &Root,
    path: &str,
    content: &[u8],
    condition: impl FnOnce(BorrowedFd<'_>, &str) -> Result<bool, Refusal>,
) -> Result<bool, Refusal> {
    replace(root, path, condition, |file| file.write_all(content).map_err(refusal)).map(|written| written.is_some())
}

/// Replaces or creates a file if a condition holds, which no other writer of this kind changes before the file has its name; `fill` writes
/// the new one. Returns what it is now, if it was written.
fn replace(
    root: &Root,
    path: &str,
    condition: impl FnOnce(BorrowedFd<'_>, &str) -> Result<bool, Refusal>,
    fill: impl FnOnce(&mut File) -> Result<(), Refusal>,
) -> Result<Option<Stat>, Refusal> {
    if path.is_empty() {
        return Err(Refusal::Folder);
    }
    let (folder, name) = folder::open_parent(root.fd()?, path, OnTheWay::IsMade)?;
    let folder = folder.as_fd();
    let mode = replaceable(root, folder, name)?;
    let temporary = temporary::name(name);
    // Held open, and so locked, until the file has its name.
    let mut file = File::from(temporary::create(folder, &temporary)?);
    let written = condition(folder, name).and_then(|holds| {
        if holds {
            if let Some(mode) = mode {
                fchmod(&file, mode)?;
            }
            fill(&mut file)?;
            fsync(&file)?;
            renameat(folder, &temporary, folder, name)?;
        }
        Ok(holds)
    });
    match written {
        Ok(true) => fsync(folder)?,
        Ok(false) | Err(_) => temporary::remove(folder, &temporary)?,
    }
    Ok(if written? { Some(fstat(&file)?) } else { None })
}

/// Whether a file has this content; `None`: whether there is no file.
fn holds(folder: BorrowedFd<'_>, name: &str, content: Option<&[u8]>) -> Result<bool, Refusal> {
    let (file, stat) = match folder::open_file(folder, name) {
        Ok(opened) => opened,
        Err(Refusal::Missing) => return Ok(content.is_none()),
        Err(refusal) => return Err(refusal),
    };
    let Some(content) = content.filter(|content| content.len() as u64 == stat.st_size.cast_unsigned()) else {
        return Ok(false);
    };
    let mut found = Vec::with_capacity(content.len().saturating_add(1));
    File::from(file).take(content.len() as u64 + 1).read_to_end(&mut found).map_err(refusal)?;
    Ok(found == content)
}

/// The permissions of the file to be replaced, if there is one; anything but a file is refused. The owner can always
/// open a leftover of a crash.
fn replaceable(root: &Root, folder: BorrowedFd<'_>, name: &str) -> Result<Option<Mode>, Refusal> {
    let stat = match folder::stat(folder, name) {
        Ok(stat) => stat,
        Err(Refusal::Missing) => return Ok(None),
        Err(refusal) => return Err(refusal),
    };
    root.check(&stat)?;
    match folder::plain(&stat)? {
        FileType::Directory => Err(Refusal::Folder),
        _ => Ok(Some(Mode::from_raw_mode(stat.st_mode & 0o777 | 0o600))),
    }
}

fn list<T>(
    root: BorrowedFd<'_>,
    path: &str,
    max: u64,
    is_wanted: impl Fn(&[u8]) -> bool,
    listed: impl Fn(&[u8], &Stat) -> T,
) -> Result<Vec<(Vec<u8>, T)>, Refusal> {
    let folder = folder::open(root, path, OnTheWay::Exists)?;
    let mut entries = Vec::new();
    let mut bytes = 0_u64;
    for item in rustix::fs::Dir::read_from(&folder)? {
        let item = item?;
        let name = item.file_name().to_bytes();
        if matches!(name, b"." | b"..") || temporary::is_name(name) || !is_wanted(name) {
            continue;
        }
        bytes += Entry::cost(name);
        if bytes > max {
            return Err(Refusal::TooLarge);
        }
        match rustix::fs::statat(&folder, item.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => entries.push((name.to_owned(), listed(name, &stat))),
            // Removed since it was seen.
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(entries)
}

fn listed(name: &[u8], stat: &Stat) -> Entry {
    match std::str::from_utf8(name) {
        Ok(name) if path::is_name(name) => entry(name.to_owned(), stat),
        _ => Entry { name: String::from_utf8_lossy(name).into_owned(), kind: FileKind::Other, size: 0 },
    }
}

fn entry(name: String, stat: &Stat) -> Entry {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Entry { name, kind: FileKind::File, size: stat.st_size.cast_unsigned() },
        FileType::Directory => Entry { name, kind: FileKind::Directory, size: 0 },
        _ => Entry { name, kind: FileKind::Other, size: 0 },
    }
}

fn look(root: &Root, path: &str) -> Result<(), Refusal> {
    if path.is_empty() {
        return Ok(());
    }
    let (folder, name) = folder::open_parent(root.fd()?, path, OnTheWay::Exists)?;
    let stat = folder::stat(folder.as_fd(), name)?;
    folder::plain(&stat)?;
    root.check(&stat)
}

fn stat(root: &Root, path: &str) -> Result<Stat, Refusal> {
    let stat = if path.is_empty() {
        fstat(root.fd()?)?
    } else {
        let (folder, name) = folder::open_parent(root.fd()?, path, OnTheWay::Exists)?;
        folder::stat(folder.as_fd(), name)?
    };
    folder::plain(&stat)?;
    root.check(&stat)?;
    Ok(stat)
}

fn remove(root: &Root, path: &str) -> Result<(), Refusal> {
    if path.is_empty() {
        return Err(Refusal::Folder);
    }
    let (folder, name) = folder::open_parent(root.fd()?, path, OnTheWay::Exists)?;
    let folder = folder.as_fd();
    let stat = folder::stat(folder, name)?;
    root.check(&stat)?;
    // A link that is put here after the check is removed itself, not its target.
    match folder::plain(&stat)? {
        FileType::Directory => remove_folder(folder, name)?,
        _ => unlinkat(folder, name, AtFlags::empty())?,
    }
    Ok(fsync(folder)?)
}

/// Removes an empty folder; leftovers of crashed writes in it do not count.
fn remove_folder(parent: BorrowedFd<'_>, name: &str) -> Result<(), Refusal> {
    let remove = || unlinkat(parent, name, AtFlags::REMOVEDIR);
    match remove() {
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        outcome => return Ok(outcome?),
    }
    let folder = folder::open(parent, name, OnTheWay::Exists)?;
    let names = || Ok::<_, Errno>(rustix::fs::Dir::read_from(&folder)?.map(|item| Ok(item?.file_name().to_owned())));
    if !holds_any(names()?, |_| true)? {
        for name in names()? {
            let name = name?;
            if temporary::is_name(name.to_bytes()) {
                temporary::remove(folder.as_fd(), name)?;
            }
        }
    }
    Ok(remove()?)
}

/// Whether one of the names is wanted, apart from leftovers of crashed writes. Reads no further than the first match: a folder may
/// have any number of entries.
fn holds_any(
    names: impl IntoIterator<Item = Result<CString, Errno>>,
    is_wanted: impl Fn(&[u8]) -> bool,
) -> Result<bool, Errno> {
    for name in names {
        let name = name?;
        let name = name.to_bytes();
        if !matches!(name, b"." | b"..") && !temporary::is_name(name) && is_wanted(name) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn refusal(error: io::Error) -> Refusal {
    error.raw_os_error().map_or(Refusal::System(Errno::IO), |code| Refusal::from(Errno::from_raw_os_error(code)))
}

#[cfg(test)]
mod tests;
