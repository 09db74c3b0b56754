//! Rotation: the log so far gets a name of its own, and the chain continues in a new file.

use super::chain::{Chain, Lock, Tail, place_of, stands_at};
use super::parts;
use super::verify::Head;
use rustix::fs::{CWD, Gid, Mode, OFlags, RenameFlags, Uid, fchmod, fchown, renameat_with};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A log that was rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The file of its lines: `FILE.` and the sequence number of the first of them.
    pub part: PathBuf,
    /// The last of these lines.
    pub last: Head,
}

/// The reason that a log was not rotated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotRotated {
    /// The system reported an error.
    #[error("cannot rotate the audit log {}", everstep_words::visible::path(path))]
    Io {
        /// The log.
        path: PathBuf,
        /// The error.
        #[source]
        source: io::Error,
    },
    /// The log has no line.
    #[error("the audit log {} holds no line; there is nothing to rotate", everstep_words::visible::path(path))]
    Empty {
        /// The log.
        path: PathBuf,
    },
    /// The name of the part exists.
    #[error("{} exists; move it away and rotate again", everstep_words::visible::path(part))]
    Taken {
        /// The name.
        part: PathBuf,
    },
}

/// Renames the log to `FILE.<sequence of its first line>` and starts a new file, whose first line links to it. Hosts that have it
/// open continue in the new file.
///
/// No line is lost and none is written twice, whichever hosts write to the log or rotate it meanwhile. If this is interrupted,
/// the next host that writes completes it.
pub fn rotate(path: &Path, now_ms: u64) -> Result<Rotated, NotRotated> {
    let failed = |source| NotRotated::Io { path: path.to_owned(), source };
    let (rotated, file) = move_away(path)?;
    let mut chain = Chain::open(path).map_err(failed)?.after(file);
    chain.at_end(path, |chain| chain.append_link(now_ms)).map_err(failed)?;
    Ok(rotated)
}

/// Also returns the file that was the log.
fn move_away(path: &Path) -> Result<(Rotated, File), NotRotated> {
    let failed = |source| NotRotated::Io { path: path.to_owned(), source };
    loop {
        let file = open(path).map_err(failed)?;
        let lock = Lock::take(&file).map_err(failed)?;
        if stands_at(path).map_err(failed)?.map(|(place, _)| place) == Some(place_of(&file).map_err(failed)?) {
            let rotated = move_locked(path, &file)?;
            drop(lock);
            return Ok((rotated, file));
        }
    }
}

fn move_locked(path: &Path, file: &File) -> Result<Rotated, NotRotated> {
    let failed = |source| NotRotated::Io { path: path.to_owned(), source };
    let found = file.metadata().map_err(failed)?;
    let tail = Tail::read(file, found.len()).map_err(failed)?;
    let first = parts::first_line(file).map_err(failed)?;
    let (Some(first), Some(last)) = (first, tail.last) else {
        return Err(NotRotated::Empty { path: path.to_owned() });
    };
    let part = with_suffix(path, &format!(".{first}"));
    match rename(path, &part) {
        Err(Errno::EXIST) => return Err(NotRotated::Taken { part }),
        renamed => renamed.map_err(|errno| failed(errno.into()))?,
    }
    let moved = stands_at(&part).map_err(failed)?.map(|(place, _)| place);
    if moved != Some(place_of(file).map_err(failed)?) {
        // Hosts find that file under either name; its name is restored if possible.
        let _ = rename(&part, path);
        return Err(failed(io::Error::other("another program rotated it in the same moment")));
    }
    create(path, &found).map_err(failed)?;
    Ok(Rotated { part, last: Head { sequence: last, hash: tail.hold.hash() } })
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).append(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

/// Creates an empty file at `path` for all that may use the log, unless a host was faster.
fn create(path: &Path, like: &std::fs::Metadata) -> io::Result<()> {
    // Not named `FILE.*`, which would be taken for a part.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}.next"));
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
        fchown(&file, Some(Uid::from_raw(like.uid())), Some(Gid::from_raw(like.gid())))?;
    }
    fchmod(&file, Mode::from_raw_mode(like.mode() & 0o777))?;
    match rename(&fresh, path) {
        Err(Errno::EXIST) => std::fs::remove_file(&fresh),
        renamed => Ok(renamed?),
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), Errno> {
    renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut text = path.as_os_str().to_owned();
    text.push(suffix);
    text.into()
}
