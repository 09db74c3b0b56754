//! Rotation: the log so far gets a name of its own, and the chain goes on in a new file.

use super::chain::{self, Lock, Tail};
use super::parts;
use super::verify::Head;
use rustix::fs::{CWD, Gid, Mode, OFlags, RenameFlags, Uid, fchmod, fchown, renameat_with};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A log that was rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// Where its lines stand now: `FILE.` and the sequence of the first of them.
    pub part: PathBuf,
    /// The last of them.
    pub last: Head,
}

/// Why a log was not rotated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotRotated {
    /// The system refused something.
    #[error("cannot rotate the audit log {}", path.display())]
    Io {
        /// The log.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is nothing to rotate.
    #[error("the audit log {} holds no line; there is nothing to rotate", path.display())]
    Empty {
        /// The log.
        path: PathBuf,
    },
    /// The name of the part is taken.
    #[error("{} exists; move it away and rotate again", part.display())]
    Taken {
        /// The name.
        part: PathBuf,
    },
}

/// Renames the log to `FILE.<sequence of its first line>` and starts a new file, whose first line links to it. Hosts that have it
/// open go on in the new file.
///
/// Both steps are under the lock of the log, so that no line is lost and none is written twice. Between them, when this is
/// interrupted, there is no log: the next host that writes starts it with the same link.
pub fn rotate(path: &Path, now_ms: u64) -> Result<Rotated, NotRotated> {
    let failed = |source| NotRotated::Io { path: path.to_owned(), source };
    let mut file = open(path).map_err(failed)?;
    let lock = loop {
        let lock = Lock::take(&file).map_err(failed)?;
        let found = chain::stands_at(path).map_err(failed)?;
        if found.map(|(place, _)| place) == Some(chain::place_of(&file).map_err(failed)?) {
            break lock;
        }
        drop(lock);
        file = open(path).map_err(failed)?;
    };
    let _lock = lock;
    rotate_locked(path, &file, now_ms)
}

fn rotate_locked(path: &Path, file: &File, now_ms: u64) -> Result<Rotated, NotRotated> {
    let failed = |source| NotRotated::Io { path: path.to_owned(), source };
    let found = file.metadata().map_err(failed)?;
    let tail = Tail::read(file, found.len()).map_err(failed)?;
    let first = parts::first_line(file).map_err(failed)?;
    let (Some(first), Some(last)) = (first, tail.last) else {
        return Err(NotRotated::Empty { path: path.to_owned() });
    };
    let part = with_suffix(path, &format!(".{first}"));
    // Not `FILE.*`, which would be taken for a part.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}.next"));
    let link = chain::link(now_ms, &tail).map_err(failed)?;
    write_new(&fresh, link.as_bytes(), &found).map_err(failed)?;
    match rename(path, &part) {
        Ok(()) => {}
        Err(errno) => {
            let _ = std::fs::remove_file(&fresh);
            return Err(if errno == Errno::EXIST { NotRotated::Taken { part } } else { failed(errno.into()) });
        }
    }
    match rename(&fresh, path) {
        Ok(()) => {}
        // A host was faster, and has linked its file itself, or is about to.
        Err(Errno::EXIST) => std::fs::remove_file(&fresh).map_err(failed)?,
        Err(errno) => return Err(failed(errno.into())),
    }
    Ok(Rotated { part, last: Head { sequence: last, hash: tail.hold.hash() } })
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).append(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

/// A file for whoever may use the log.
fn write_new(path: &Path, content: &[u8], like: &std::fs::Metadata) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
        fchown(&file, Some(Uid::from_raw(like.uid())), Some(Gid::from_raw(like.gid())))?;
    }
    fchmod(&file, Mode::from_raw_mode(like.mode() & 0o777))?;
    file.write_all(content)
}

fn rename(from: &Path, to: &Path) -> Result<(), Errno> {
    renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut text = path.as_os_str().to_owned();
    text.push(suffix);
    text.into()
}
