//! The audit log: one hash-chained JSON line per decision, written before the effect.
//!
//! Each line holds the SHA-256 of the one before it (without its newline; 64 zeros in the first line), so that a line
//! that is changed or taken out shows. A line that was torn by a crash is ended and chained over as it stands. Several
//! hosts may write to one log: every line is appended under a file lock, after a look at what others appended. Of the
//! cost of a line, about 5 us, the three calls that sharing takes are a third, and the write is another.

use super::{Error, escaped};
use crate::id::{Digest, ExecutionId};
use rustix::fs::{FlockOperation, OFlags, flock, fstat};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// An open audit log; shared by all executions of the host.
#[derive(Debug)]
pub struct Log {
    file: File,
    chain: Mutex<Chain>,
}

/// One decision.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// When, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Whose call it was.
    pub execution: &'a ExecutionId,
    /// Which step.
    pub step: u64,
    /// The digest of the policy that decided.
    pub policy: &'a Digest,
    /// The rule that decided.
    pub rule: &'a str,
    /// The interface and function that was called, such as `files.read`.
    pub capability: &'a str,
    /// What it was called on, as the guest gave it; see `Call::subject`. Escaped and capped here.
    pub subject: &'a str,
    /// The decision.
    pub decision: Decision,
    /// Payload of the call, in bytes.
    pub bytes: u64,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The call went on.
    Allow,
    /// The guest got an error.
    Deny,
}

/// The short name of a decision: 8 hex digits, the same in every run.
pub fn id(execution: &ExecutionId, step: u64) -> String {
    hex::encode(id_bytes(execution, step))
}

fn id_bytes(execution: &ExecutionId, step: u64) -> [u8; 4] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(execution.as_str().as_bytes()).update(&step.to_le_bytes());
    let mut id = [0; 4];
    hasher.finalize_xof().fill(&mut id);
    id
}

impl Log {
    /// Opens the log, or creates it (mode 0600) in a folder that exists, and continues its chain.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Audit { path: path.to_owned(), source };
        // Non-blocking: a FIFO must not hold the host up.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).mode(0o600).custom_flags(flags).open(path);
        let file = file.map_err(failed)?;
        let kind = file.metadata().map_err(failed)?.file_type();
        if !kind.is_file() && !kind.is_char_device() {
            return Err(failed(io::Error::other("it is no regular file")));
        }
        let mut chain = Chain { regular: kind.is_file(), ..Chain::default() };
        Lock::take(&file).and_then(|_lock| chain.catch_up(&file)).map_err(failed)?;
        Ok(Self { file, chain: Mutex::new(chain) })
    }

    /// Appends one line with one write. On an error the caller denies the call.
    ///
    /// The line survives the end of the process, not the loss of power: it is not synced.
    pub fn record(&self, entry: Entry<'_>) -> Result<(), io::Error> {
        let mut chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        let _lock = Lock::take(&self.file)?;
        chain.catch_up(&self.file)?;
        chain.append(&self.file, &entry)
    }
}

/// Where the next line goes, and what it holds on to.
#[derive(Debug, Default)]
struct Chain {
    /// Whether the file has an end that can be compared; a device such as `/dev/full` has none.
    regular: bool,
    /// Size of the file after the last line that is known here; none: the end must be read.
    end: Option<u64>,
    /// Number of the next line.
    sequence: u64,
    /// Hash of the last line.
    previous: [u8; 32],
    /// The line being written; kept for its memory.
    line: String,
}

impl Chain {
    /// Reads the end of the log if somebody else wrote to it, or a write of our own failed.
    fn catch_up(&mut self, mut file: &File) -> io::Result<()> {
        if !self.regular {
            return Ok(());
        }
        let end = fstat(file)?.st_size.cast_unsigned();
        if self.end == Some(end) {
            return Ok(());
        }
        self.end = None;
        let tail = Tail::read(file, end)?;
        if tail.torn {
            file.write_all(b"\n")?;
        }
        self.sequence = tail.sequence;
        self.previous = tail.previous;
        self.end = Some(end + u64::from(tail.torn));
        Ok(())
    }

    fn append(&mut self, mut file: &File, entry: &Entry<'_>) -> io::Result<()> {
        self.line.clear();
        format_line(&mut self.line, entry, self.sequence, &self.previous).map_err(io::Error::other)?;
        let hash = Sha256::digest(self.line.as_bytes()).into();
        self.line.push('\n');
        let end = self.end.take();
        let written = file.write(self.line.as_bytes())?;
        if written < self.line.len() {
            return Err(io::Error::new(io::ErrorKind::WriteZero, "the audit log took a part of a line only"));
        }
        self.sequence += 1;
        self.previous = hash;
        self.end = end.map(|end| end.saturating_add(written as u64));
        Ok(())
    }
}

/// The end of a log, as far as the next line depends on it.
struct Tail {
    /// Number of the next line: one more than that of the last line that can be read.
    sequence: u64,
    /// Hash of the last line, whatever it holds.
    previous: [u8; 32],
    /// Whether the last line lacks its newline: the process was killed, or the disk was full, in the middle of it.
    torn: bool,
}

/// How much of the end is looked at first; doubled until a line that can be read is found.
const WINDOW: u64 = 16 << 10;

impl Tail {
    fn read(file: &File, end: u64) -> io::Result<Self> {
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

    /// None when `bytes`, the end of a log, do not reach back far enough.
    fn of(bytes: &[u8], whole: bool) -> Option<Self> {
        let torn = bytes.last().is_some_and(|byte| *byte != b'\n');
        let lines = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let mut lines = lines.rsplit(|byte| *byte == b'\n').peekable();
        let mut previous = None;
        while let Some(line) = lines.next() {
            if lines.peek().is_none() && !whole {
                return None;
            }
            let hash =
                previous.get_or_insert_with(|| if bytes.is_empty() { [0; 32] } else { Sha256::digest(line).into() });
            if let Ok(Number { sequence }) = serde_json::from_slice(line) {
                return Some(Self { sequence: sequence.saturating_add(1), previous: *hash, torn });
            }
        }
        Some(Self { sequence: 0, previous: previous.unwrap_or([0; 32]), torn })
    }
}

/// The part of a line that the next one needs.
#[derive(Deserialize)]
struct Number {
    sequence: u64,
}

/// An exclusive lock on the log: two hosts may share one. The system releases it when the process ends.
struct Lock<'a>(&'a File);

impl<'a> Lock<'a> {
    fn take(file: &'a File) -> io::Result<Self> {
        rustix::io::retry_on_intr(|| flock(file, FlockOperation::LockExclusive))?;
        Ok(Self(file))
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        // Fails for a descriptor that is closed only, and then there is no lock.
        let _ = flock(self.0, FlockOperation::Unlock);
    }
}

fn format_line(line: &mut String, entry: &Entry<'_>, sequence: u64, previous: &[u8; 32]) -> fmt::Result {
    let Entry { time_ms, execution, step, policy, decision, bytes, .. } = entry;
    let time = i64::try_from(*time_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let time = time.unwrap_or(jiff::Timestamp::MAX);
    write!(line, r#"{{"time":"{time:.3}","sequence":{sequence},"previous":""#)?;
    push_hex(line, previous);
    line.push_str(r#"","id":""#);
    push_hex(line, &id_bytes(execution, *step));
    write!(line, r#"","execution":"{}","step":{step},"policy":"sha256:"#, execution.as_str())?;
    push_hex(line, &policy.0);
    line.push_str(r#"","#);
    for (key, text) in [("rule", entry.rule), ("capability", entry.capability), ("subject", entry.subject)] {
        write!(line, r#""{key}":{},"#, Json(&escaped(text)))?;
    }
    write!(line, r#""decision":"{decision}","bytes":{bytes}}}"#)
}

fn push_hex(line: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        line.push(char::from(DIGITS[usize::from(byte >> 4)]));
        line.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// A text without control characters, as a JSON string.
struct Json<'a>(&'a str);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        let mut rest = self.0;
        while let Some(place) = rest.find(['"', '\\']) {
            let (plain, special) = rest.split_at(place);
            f.write_str(plain)?;
            f.write_char('\\')?;
            f.write_str(&special[..1])?;
            rest = &special[1..];
        }
        f.write_str(rest)?;
        f.write_char('"')
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

#[cfg(test)]
mod tests;
