//! The right to write: hosts share a `flock` on a file, which the kernel releases when they die. A host that opens the store has it
//! alone for a moment, if no other one has it open.

use crate::Error;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// The right to write a store; released on drop.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    /// No other host has the store open.
    pub(super) is_alone: bool,
}

/// How often, and after what pause, to try again: a host that opens a store has it alone only for a moment, about a few
/// syncs.
const TRIES: u32 = 150;
pub(super) const PAUSE: Duration = Duration::from_millis(30);

impl Lock {
    /// Waits for the right to write, alone for now if no other host has the store open.
    pub(super) fn take(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("lock");
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let mut file = open.map_err(|error| cannot_open(dir, "", &error))?;
        let mut tries = 0;
        loop {
            if try_lock(dir, &file, FlockOperation::NonBlockingLockExclusive)? {
                // The number is for the error message of a host that cannot share a store, so it need not be durable.
                file.set_len(0)?;
                writeln!(file, "{}", std::process::id())?;
                return Ok(Self { file, is_alone: true });
            }
            if try_lock(dir, &file, FlockOperation::NonBlockingLockShared)? {
                return Ok(Self { file, is_alone: false });
            }
            if tries == TRIES {
                return Err(Error::InUse { dir: dir.to_owned(), pid: holder(&mut file) });
            }
            tries += 1;
            sleep(PAUSE);
        }
    }

    /// Lets others open the store.
    pub(super) fn share(&self, dir: &Path) -> Result<(), Error> {
        // A host that gets it alone between the two calls releases it.
        flock(&self.file, FlockOperation::LockShared).map_err(|error| cannot_open(dir, "", &error.into()))
    }
}

fn try_lock(dir: &Path, file: &File, how: FlockOperation) -> Result<bool, Error> {
    match flock(file, how) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(cannot_open(dir, "", &error.into())),
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Creates the folder, inaccessible to other users, and makes its name durable.
pub(super) fn create_dir(dir: &Path) -> Result<(), Error> {
    if dir.is_dir() {
        return Ok(());
    }
    if dir.as_os_str().is_empty() {
        return Err(Error::Open { dir: dir.to_owned(), reason: "its name is empty; name a folder".to_owned() });
    }
    create_durably(dir).map_err(|error| cannot_open(dir, "", &error))
}

fn create_durably(dir: &Path) -> io::Result<()> {
    let missing: Vec<_> =
        dir.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    for folder in missing {
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// The error that `what` of the folder cannot be used; the remedy depends on the cause.
pub(super) fn cannot_open(dir: &Path, what: &str, error: &io::Error) -> Error {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => "; use it as the user whose store it is, or have it opened to you",
        io::ErrorKind::ReadOnlyFilesystem => {
            "; it can be read there (list, show, logs), and goes on where it can be written"
        }
        _ => "",
    };
    Error::Open { dir: dir.to_owned(), reason: format!("{what}{error}{remedy}") }
}
