//! The position of the next line, and what it is chained to.

use super::batch::Batch;
use super::line::{self, Joint, Stamp};
use super::parts;
use rustix::fs::{AtFlags, CWD, FlockOperation, OFlags, StatxFlags, flock, statx};
use rustix::io::{Errno, retry_on_intr};
use rustix::path::Arg;
use sha2::{Digest as _, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The end of the log, as far as this process knows it.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) file: Arc<File>,
    /// Device and inode of the file; `None` for a device such as `/dev/full`, which has no end to compare and is not
    /// rotated.
    place: Option<Place>,
    /// Size of the file after the last known line; `None`: the end must be read.
    end: Option<u64>,
    /// Number of the next line.
    sequence: u64,
    /// The hash that the next line is chained to.
    previous: [u8; 32],
    /// The file has no line yet, and continues another.
    continues: bool,
    /// The previous file at this path, until this one has a line.
    before: Option<Arc<File>>,
    /// The buffer for lines being written; kept to reuse its memory.
    lines: String,
    /// The time of the last line.
    stamp: Stamp,
}

/// Whether the open file still is the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is.
    Current,
    /// It was rotated away, or removed.
    Gone,
    /// It is, but another host may be writing to a file before it.
    Early,
}

/// How often the log may turn out to be rotated or locked during one write.
const ATTEMPTS: usize = 1_000;

impl Chain {
    /// Opens the file, or creates it. Its end is not known yet.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let (file, place) = open(path)?;
        Ok(Self {
            file: Arc::new(file),
            place,
            end: None,
            sequence: 0,
            previous: [0; 32],
            continues: false,
            before: None,
            lines: String::new(),
            stamp: Stamp::default(),
        })
    }

    /// Sets the previous file at this path.
    pub(super) fn after(mut self, before: File) -> Self {
        self.before = Some(Arc::new(before));
        self
    }

    /// Calls `act` under the lock of the current log file, with its end known.
    pub(super) fn at_end(&mut self, path: &Path, act: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        for _ in 0..ATTEMPTS {
            let file = Arc::clone(&self.file);
            let lock = Lock::take(&file)?;
            let state = self.catch_up(path)?;
            if state == State::Current {
                return act(self);
            }
            // Never held while opening or waiting for another file: a host that starts a file looks at those before
            // it.
            drop(lock);
            match state {
                State::Gone => self.follow(path)?,
                _ => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        Err(io::Error::other("the audit log is rotated faster than it is written, or a part of it is kept locked"))
    }

    /// Switches to the file that is at `path` now, or creates it.
    fn follow(&mut self, path: &Path) -> io::Result<()> {
        let (file, place) = open(path)?;
        let old = std::mem::replace(&mut self.file, Arc::new(file));
        // Several files may have come and gone between two lines: this one follows the last line of this process.
        self.before.get_or_insert(old);
        self.place = place;
        self.end = None;
        Ok(())
    }

    /// Checks, under the lock, whether the file still is the log, and reads its end if another host wrote to it, or a write
    /// of this one failed.
    fn catch_up(&mut self, path: &Path) -> io::Result<State> {
        let Some(place) = self.place else { return Ok(State::Current) };
        let end = match stands_at(path)? {
            Some((found, size)) if found == place => size,
            _ => return Ok(State::Gone),
        };
        match self.end {
            Some(known) if known == end => {}
            // Lines of this process are gone: the chain continues from them, so that the loss is detected.
            Some(known) if known > end => self.end_line(end)?,
            _ => return self.read_end(path, end),
        }
        Ok(State::Current)
    }

    fn read_end(&mut self, path: &Path, end: u64) -> io::Result<State> {
        let mut tail = Tail::read(&self.file, end)?;
        if tail.last.is_none() {
            let Some(before) = self.predecessor(path)? else { return Ok(State::Early) };
            tail = before.followed_by(tail);
            self.continues = tail.last.is_some();
        } else {
            (self.continues, self.before) = (false, None);
        }
        self.sequence = tail.next();
        self.previous = tail.hold.hash();
        self.end_line(end)?;
        Ok(State::Current)
    }

    /// Ends a line that has no newline.
    fn end_line(&mut self, end: u64) -> io::Result<()> {
        self.end = None;
        let mut last = [b'\n'];
        self.file.read_exact_at(&mut last[..usize::from(end > 0)], end.saturating_sub(1))?;
        if last == [b'\n'] {
            self.end = Some(end);
        } else {
            (&*self.file).write_all(b"\n")?;
            self.end = Some(end + 1);
        }
        Ok(())
    }

    /// The end of the log that this file continues: that of the available file with the latest line. `None` if one of them is
    /// locked: a host that found it to be the log, before it was moved away, is about to write to it. Once its lock is free no
    /// host is, because this file is in its place.
    fn predecessor(&self, path: &Path) -> io::Result<Option<Tail>> {
        let mut latest = Tail::default();
        let beside = parts::files(path)?.into_iter().map(|(_, file)| Arc::new(file));
        for file in self.before.iter().cloned().chain(beside) {
            if place_of(&file).ok() == self.place {
                continue;
            }
            let Some(_lock) = Lock::try_share(&file)? else { return Ok(None) };
            if parts::first_line(&file)?.is_some() {
                let tail = Tail::read(&file, file.metadata()?.len())?;
                if tail.last > latest.last {
                    latest = tail;
                }
            }
        }
        Ok(Some(latest))
    }

    /// Appends the line that links the file to the one before it, if it has no line yet.
    pub(super) fn append_link(&mut self, time_ms: u64) -> io::Result<()> {
        if self.continues { self.write(Some(time_ms), &Batch::default()) } else { Ok(()) }
    }

    /// Appends lines with one write; if the first of them is that of the file, after one that links the file to the one before it.
    ///
    /// # Errors
    /// Nothing was written, or some of the first lines and a part of the next: that is in the chain then.
    pub(super) fn append(&mut self, batch: &Batch) -> io::Result<()> {
        let first = batch.lines().next().map(|(time_ms, _)| time_ms);
        self.write(first.filter(|_| self.continues), batch)
    }

    /// The first line is a link, if it has a time.
    fn write(&mut self, link_ms: Option<u64>, batch: &Batch) -> io::Result<()> {
        self.lines.clear();
        let (mut sequence, mut previous) = (self.sequence, self.previous);
        let mut push = |time_ms: u64, fields: &str| {
            let start = self.lines.len();
            line::push_head(&mut self.lines, &mut self.stamp, time_ms, sequence, &previous);
            self.lines.push_str(fields);
            line::push_end(&mut self.lines, start);
            previous = Sha256::digest(&self.lines.as_bytes()[start..]).into();
            sequence = sequence.saturating_add(1);
            self.lines.push('\n');
        };
        if let Some(time_ms) = link_ms {
            let mut link = String::new();
            line::push_link(&mut link, self.sequence);
            push(time_ms, &link);
        }
        batch.lines().for_each(|(time_ms, fields)| push(time_ms, fields));
        let end = self.end.take();
        let written = (&*self.file).write(self.lines.as_bytes())?;
        if written < self.lines.len() {
            return Err(io::Error::new(io::ErrorKind::WriteZero, "the audit log took a part of the lines only"));
        }
        (self.sequence, self.previous) = (sequence, previous);
        (self.continues, self.before) = (false, None);
        self.end = end.map(|end| end.saturating_add(written as u64));
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<(File, Option<Place>)> {
    // Non-blocking: a FIFO must not block the host.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut options = OpenOptions::new();
    let file = options.read(true).append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
    let kind = file.metadata()?.file_type();
    if !kind.is_file() && !kind.is_char_device() {
        return Err(io::Error::other("it is no regular file"));
    }
    let place = if kind.is_file() { Some(place_of(&file)?) } else { None };
    Ok((file, place))
}

/// The identity of a file: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    device: (u32, u32),
    inode: u64,
}

pub(super) fn place_of(file: &File) -> io::Result<Place> {
    Ok(look(file, "", AtFlags::EMPTY_PATH)?.0)
}

/// The file at a path, and its size.
pub(super) fn stands_at(path: &Path) -> io::Result<Option<(Place, u64)>> {
    match look(CWD, path, AtFlags::empty()) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Does not ask for times: on file systems with fine-grained times, the next write after that would take twice as long.
fn look(folder: impl AsFd, path: impl Arg, flags: AtFlags) -> Result<(Place, u64), Errno> {
    let found = statx(folder, path, flags, StatxFlags::INO | StatxFlags::SIZE)?;
    Ok((Place { device: (found.stx_dev_major, found.stx_dev_minor), inode: found.stx_ino }, found.stx_size))
}

/// The data that a line is chained to: the hash of the last whole line and of everything torn after it.
#[derive(Clone, Debug, Default)]
pub(super) struct Hold(Option<Sha256>);

impl Hold {
    /// The position after a whole line.
    pub(super) fn line(line: &[u8]) -> Self {
        Self(Some(Sha256::new_with_prefix(line)))
    }

    /// Adds an unreadable line, or a piece of it.
    pub(super) fn torn(&mut self, piece: &[u8], is_first_piece: bool) {
        match &mut self.0 {
            Some(hash) if is_first_piece => hash.update(b"\n"),
            Some(_) => {}
            None => self.0 = Some(Sha256::new()),
        }
        if let Some(hash) = &mut self.0 {
            hash.update(piece);
        }
    }

    /// The hash; zeros at the beginning of the log.
    pub(super) fn hash(&self) -> [u8; 32] {
        self.0.as_ref().map_or([0; 32], |hash| hash.clone().finalize().into())
    }
}

/// The end of a file, as far as the next line depends on it.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// Number of the last readable line; `None` if there is none.
    pub(super) last: Option<u64>,
    pub(super) hold: Hold,
    /// The bytes after the last whole line, or all if there is none.
    torn: Vec<u8>,
}

/// How much of the end is read first; doubled until a readable line is found.
const WINDOW: u64 = 16 << 10;

impl Tail {
    pub(super) fn read(file: &File, end: u64) -> io::Result<Self> {
        let mut window = WINDOW;
        loop {
            let start = end.saturating_sub(window);
            let mut bytes = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
            file.read_exact_at(&mut bytes, start)?;
            if let Some(tail) = Self::of(&bytes, start == 0) {
                return Ok(tail);
            }
            window = window.saturating_mul(2);
        }
    }

    /// `None` if `bytes`, the end of a log, do not reach back far enough.
    fn of(bytes: &[u8], whole: bool) -> Option<Self> {
        let lines = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let mut end = lines.len();
        loop {
            let start = lines[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
            if start == 0 && !whole {
                return None;
            }
            if let Some(joint) = Joint::parse(&lines[start..end]) {
                let mut tail =
                    Self { last: Some(joint.sequence), hold: Hold::line(&lines[start..end]), torn: Vec::new() };
                if end < lines.len() {
                    tail.hold.torn(&lines[end + 1..], true);
                }
                return Some(tail);
            }
            if start == 0 {
                let mut tail = Self { torn: lines.to_vec(), ..Self::default() };
                if !bytes.is_empty() {
                    tail.hold.torn(lines, true);
                }
                return Some(tail);
            }
            end = start - 1;
        }
    }

    /// The end after adding a file that continues this one and has no whole line.
    fn followed_by(mut self, other: Self) -> Self {
        if self.last.is_none() {
            return other;
        }
        if other.hold.0.is_some() {
            self.hold.torn(&other.torn, true);
        }
        self
    }

    /// Number of the next line.
    pub(super) fn next(&self) -> u64 {
        self.last.map_or(0, |last| last.saturating_add(1))
    }
}

/// A lock on the log, which several hosts may share. The system releases it when the process ends.
pub(super) struct Lock<'a>(&'a File);

impl<'a> Lock<'a> {
    /// Excludes readers and writers.
    pub(super) fn take(file: &'a File) -> io::Result<Self> {
        retry_on_intr(|| flock(file, FlockOperation::LockExclusive))?;
        Ok(Self(file))
    }

    /// Excludes writers.
    pub(super) fn share(file: &'a File) -> io::Result<Self> {
        retry_on_intr(|| flock(file, FlockOperation::LockShared))?;
        Ok(Self(file))
    }

    /// Excludes writers; `None` if there is one.
    fn try_share(file: &'a File) -> io::Result<Option<Self>> {
        match retry_on_intr(|| flock(file, FlockOperation::NonBlockingLockShared)) {
            Ok(()) => Ok(Some(Self(file))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        // Fails only for a closed descriptor, and then there is no lock.
        let _ = flock(self.0, FlockOperation::Unlock);
    }
}
