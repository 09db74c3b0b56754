//! Room in the log: its file is filled with zeros ahead of the last commit, so that the next ones overwrite what is there.
//!
//! A sync of bytes that were overwritten in place writes these bytes; one of a file that has grown also writes where they are and how many,
//! through the journal of the file system, after whatever other files have waiting there. Zeros are no frame of a log: the
//! number of its page is never zero, so a log ends before them.

use super::schema::{FULL_LOG, LOG};
use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The most that is added at once, in bytes: the sync of the commit in question waits for it.
const MOST: u64 = 512 << 10;

/// A log is extended once commits have made it longer more often than this: a host that ends soon does not pay for commits to come.
pub(super) const FEW: u32 = 4;

/// The file of a log.
#[derive(Debug)]
pub(super) struct Log {
    /// `None` once it could not be extended: SQLite then extends it with each commit.
    file: Option<File>,
    /// Its length at the last look.
    length: u64,
    /// How often it was longer than at the look before.
    growths: u32,
}

impl Log {
    /// The log of a store whose connection for commits is open, so that nobody removes it.
    pub(super) fn of(dir: &Path) -> Self {
        Self::over(OpenOptions::new().write(true).open(dir.join(LOG)))
    }

    pub(super) fn over(file: io::Result<File>) -> Self {
        match file.and_then(|file| Ok((length(&file)?, file))) {
            Ok((length, file)) => Self { file: Some(file), length, growths: 0 },
            Err(error) => Self::without(&error),
        }
    }

    fn without(error: &io::Error) -> Self {
        tracing::debug!(%error, "the log is not extended ahead of its end");
        Self { file: None, length: 0, growths: 0 }
    }

    /// Extends a log that earlier commits have made longer, by no more than they will need before it is full. The caller is in a transaction
    /// that writes: SQLite lets no other host write the log meanwhile.
    pub(super) fn make_room(&mut self) {
        if let Err(error) = self.extend() {
            *self = Self::without(&error);
        }
    }

    fn extend(&mut self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let length = length(file)?;
        let has_grown = length > self.length;
        (self.length, self.growths) = (length, self.growths.saturating_add(has_grown.into()));
        let room = FULL_LOG.saturating_sub(length).min(length / 2).min(MOST);
        if has_grown && self.growths > FEW && room > 0 {
            file.write_all_at(&vec![0; room as usize], length)?;
            self.length += room;
        }
        Ok(())
    }
}

/// Asks for nothing else: where the times of a file were asked for, its next write notes a new one, which its sync then has to write.
fn length(mut file: &File) -> io::Result<u64> {
    file.seek(SeekFrom::End(0))
}
