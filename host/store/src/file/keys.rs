//! The keys of executions: each host reserves some for itself, so that no two hosts give out the same one.

use super::lock::cannot_open;
use crate::{Error, ExecutionKey};
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// The file with the last key that a host has reserved, as text.
const FILE: &str = "keys";
/// How many keys a host reserves at once.
const SHARE: u32 = 64;

/// The keys that a host gives out.
#[derive(Debug)]
pub(super) struct Keys {
    file: File,
    last: u32,
    end: u32,
}

impl Keys {
    /// The keys of the store in `dir`; none is reserved yet.
    pub(super) fn of(dir: &Path) -> Result<Self, Error> {
        let mut open = OpenOptions::new();
        let open = open.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = open.open(dir.join(FILE)).map_err(|error| cannot_open(dir, &format!("its {FILE}: "), &error))?;
        Ok(Self { file, last: 0, end: 0 })
    }

    /// The next key. `used` returns the greatest key that an execution has.
    pub(super) fn next(&mut self, used: impl FnOnce() -> Result<u32, Error>) -> Result<ExecutionKey, Error> {
        if self.last == self.end {
            // Keys that were reserved and not used before the machine stopped may be reserved again, so the file need not be
            // durable.
            self.last = self.take(used()?)?;
            self.end = self.last.saturating_add(SHARE);
        }
        if self.last == u32::MAX {
            let change = "to create an execution".to_owned();
            return Err(Error::Refused { change, reason: "the store has had as many as it can" });
        }
        self.last += 1;
        Ok(ExecutionKey(self.last))
    }

    /// Reserves keys after all that were reserved or used; returns the last key before them.
    fn take(&self, used: u32) -> io::Result<u32> {
        flock(&self.file, FlockOperation::LockExclusive)?;
        let last = read(&self.file)?.max(used);
        // Overwrites the number in one write: if the process dies here, the file has the old number or the new one.
        let written = self.file.write_all_at(&digits(last.saturating_add(SHARE)), 0);
        flock(&self.file, FlockOperation::Unlock)?;
        written.map(|()| last)
    }
}

impl Drop for Keys {
    /// Returns the keys that are left, if no other host has reserved more.
    fn drop(&mut self) {
        let given_back = || {
            flock(&self.file, FlockOperation::LockExclusive)?;
            if read(&self.file)? == self.end && self.last < self.end {
                self.file.write_all_at(&digits(self.last), 0)?;
            }
            Ok::<_, io::Error>(())
        };
        // On failure some numbers are skipped.
        let _ = given_back();
    }
}

fn digits(key: u32) -> Vec<u8> {
    format!("{key:010}").into_bytes()
}

fn read(file: &File) -> io::Result<u32> {
    let mut digits = [0; 10];
    match file.read_exact_at(&mut digits, 0) {
        // No host has reserved any, or the machine stopped before that was on disk.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
        read => read?,
    }
    Ok(std::str::from_utf8(&digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0))
}
