//! Walks a tree, following no link, and digests its files.
//!
//! Links and special files are entries without content, which no guest can use. A name that no path of a guest can have, and the leftovers of
//! this host's own writes, are no part of an image.

use super::super::folder::{self, Refusal};
use super::super::temporary;
use super::known::{Known, State};
use super::manifest::{CHUNK, Entry, LEAD, Manifest};
use crate::id::Digest;
use crate::policy::{path, quoted};
use crate::vfs::Kind;
use rustix::fs::{AtFlags, Dir, FileType, Mode, Stat, fstat, openat, statat};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::SystemTime;

/// The most entries of an image, and the most bytes of all its files.
const MOST_ENTRIES: usize = 100_000;
const MOST_BYTES: u64 = 8 << 30;

const NS_PER_S: u64 = 1_000_000_000;

/// What a walk has found.
pub(super) struct Scanned {
    pub(super) manifest: Manifest,
    /// The digests that a next walk need not make.
    pub(super) known: Known,
    /// How many bytes of files were read.
    pub(super) read: u64,
}

/// Walks the tree below `root`, which the guest sees as `guest`. `now` is the time at which it begins.
///
/// # Errors
/// What cannot be in an image, in words.
pub(super) fn scan(root: BorrowedFd<'_>, guest: &str, known: &Known, now: SystemTime) -> Result<Scanned, String> {
    scan_up_to(MOST_ENTRIES, root, guest, known, now)
}

/// The same for a tree of at most so many entries.
pub(super) fn scan_up_to(
    most: usize,
    root: BorrowedFd<'_>,
    guest: &str,
    known: &Known,
    now: SystemTime,
) -> Result<Scanned, String> {
    let (entries, found) = (BTreeMap::new(), Known::default());
    let mut scan = Scan { most, guest, known, now, entries, found, bytes: 0, read: 0 };
    let failed = |errno| cannot_be_read(guest, "", &io::Error::from(errno));
    let stat = fstat(root).map_err(failed)?;
    scan.entries.insert(String::new(), entry(&stat, Vec::new()));
    scan.folder(openat(root, ".", folder::FOLDER, Mode::empty()).map_err(failed)?, "")?;
    Ok(Scanned { manifest: Manifest::new(scan.entries), known: scan.found, read: scan.read })
}

struct Scan<'s> {
    most: usize,
    guest: &'s str,
    known: &'s Known,
    now: SystemTime,
    entries: BTreeMap<String, Entry>,
    found: Known,
    /// Bytes of all files so far.
    bytes: u64,
    read: u64,
}

impl Scan<'_> {
    fn folder(&mut self, folder: OwnedFd, path: &str) -> Result<(), String> {
        let failed = |errno| cannot_be_read(self.guest, path, &io::Error::from(errno));
        for item in Dir::read_from(&folder).map_err(failed)? {
            let item = item.map_err(failed)?;
            let Ok(name) = item.file_name().to_str() else { continue };
            if matches!(name, "." | "..") || temporary::is_name(name.as_bytes()) || !path::is_name(name) {
                continue;
            }
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            if path::check(&in_guest(self.guest, &path)).is_ok() {
                self.entry(folder.as_fd(), name, path)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, folder: BorrowedFd<'_>, name: &str, path: String) -> Result<(), String> {
        let failed = |error: &io::Error| cannot_be_read(self.guest, &path, error);
        let stat = match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // Removed since it was seen.
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(failed(&errno.into())),
        };
        if self.entries.len() > self.most {
            return Err(format!("it has more than {} files and folders; grant a smaller folder", self.most));
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let (file, stat) = folder::open_file(folder, name).map_err(|refusal| failed(&reason(refusal)))?;
                self.bytes = self.bytes.saturating_add(stat.st_size.cast_unsigned());
                if self.bytes > MOST_BYTES {
                    return Err(format!("its files have more than {MOST_BYTES} bytes; grant a smaller folder"));
                }
                let chunks = self.digests(file, &stat, &path)?;
                self.entries.insert(path, entry(&stat, chunks));
            }
            FileType::Directory => {
                let below =
                    openat(folder, name, folder::FOLDER, Mode::empty()).map_err(|errno| failed(&errno.into()))?;
                self.entries.insert(path.clone(), entry(&stat, Vec::new()));
                self.folder(below, &path)?;
            }
            _ => drop(self.entries.insert(path, entry(&stat, Vec::new()))),
        }
        Ok(())
    }

    /// The digests of a file: those that are known, or made from its content.
    fn digests(&mut self, file: OwnedFd, stat: &Stat, path: &str) -> Result<Vec<Digest>, String> {
        let state = State::of(stat);
        if let Some(chunks) = self.known.get(&state) {
            self.found.keep(state, chunks);
            return Ok(chunks.to_vec());
        }
        let failed = |error: &io::Error| cannot_be_read(self.guest, path, error);
        let (mut file, mut chunks, mut left) = (File::from(file), Vec::new(), stat.st_size.cast_unsigned());
        while left > 0 {
            let chunk = read_chunk(&mut file, left.min(CHUNK)).map_err(|error| failed(&error))?;
            chunks.push(Digest::of(&chunk));
            left = left.saturating_sub(CHUNK);
        }
        self.read += stat.st_size.cast_unsigned();
        if State::of(&fstat(&file).map_err(|errno| failed(&errno.into()))?) != state {
            let what = quoted(&in_guest(self.guest, path));
            return Err(format!("{what} changes while it is read; start again when nobody writes to it"));
        }
        self.found.note(state, &chunks, self.now);
        Ok(chunks)
    }
}

/// The next bytes of a file, after those that each chunk follows; fewer if it ends before.
pub(super) fn read_chunk(file: &mut File, len: u64) -> io::Result<Vec<u8>> {
    let mut chunk = Vec::with_capacity(LEAD.len() + usize::try_from(len).unwrap_or(0));
    chunk.extend_from_slice(LEAD);
    file.take(len).read_to_end(&mut chunk)?;
    Ok(chunk)
}

/// A path below an image, as the guest writes it.
pub(super) fn in_guest(guest: &str, path: &str) -> String {
    if path.is_empty() { guest.to_owned() } else { format!("{}/{path}", guest.trim_end_matches('/')) }
}

fn cannot_be_read(guest: &str, path: &str, error: &io::Error) -> String {
    format!("{} cannot be read: {error}", quoted(&in_guest(guest, path)))
}

fn reason(refusal: Refusal) -> io::Error {
    match refusal {
        Refusal::System(errno) => errno.into(),
        // It was a file a moment ago.
        _ => io::Error::other("it changes while it is read"),
    }
}

fn entry(stat: &Stat, chunks: Vec<Digest>) -> Entry {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        FileType::Symlink => Kind::Link,
        _ => Kind::Other,
    };
    // A time before 1970 is no time that the interface can tell.
    let seconds = u64::try_from(stat.st_mtime).ok();
    let modified = seconds.and_then(|seconds| seconds.checked_mul(NS_PER_S)?.checked_add(stat.st_mtime_nsec));
    let size = if kind == Kind::File { stat.st_size.cast_unsigned() } else { 0 };
    Entry { kind, size, modified: modified.filter(|_| matches!(kind, Kind::File | Kind::Folder)), chunks }
}
