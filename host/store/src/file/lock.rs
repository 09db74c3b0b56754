//! One host at a time: an exclusive `flock` on a file that names the process, released by the kernel when it dies.

use crate::Error;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// The exclusive right to write a store; given back when dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// How often, and after what pause, to try again: a command that answers one promise has the store for a moment only.
pub(super) const TRIES: u32 = 10;
pub(super) const PAUSE: Duration = Duration::from_millis(30);

impl Lock {
    pub(super) fn take(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("lock");
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let mut file = open.map_err(|error| cannot_open(dir, "", &error))?;
        let mut tries = 0;
        while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            match error {
                Errno::WOULDBLOCK if tries < TRIES => {
                    tries += 1;
                    sleep(PAUSE);
                }
                Errno::WOULDBLOCK => return Err(Error::InUse { dir: dir.to_owned(), pid: holder(&mut file) }),
                error => return Err(cannot_open(dir, "", &error.into())),
            }
        }
        // The number is for the message of the next host only, so it need not be durable.
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { _file: file })
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Creates the folder, closed to other users, and makes its name durable.
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

/// `what` of the folder cannot be used; what to do about it depends on why.
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
