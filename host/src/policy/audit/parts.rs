//! The rotated parts of a log: files beside it, `FILE.*`, that begin with a line of a log.

use super::chain::place_of;
use super::read::Lines;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A rotated part of a log.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) path: PathBuf,
    pub(super) file: File,
    /// Number of its first line.
    pub(super) first: u64,
}

/// How much of a file is searched for a line that can be read.
const BEGINNING: u64 = 1 << 20;

/// The parts beside `path`, oldest first.
pub(super) fn beside(path: &Path) -> io::Result<Vec<Part>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(name) = path.file_name() else { return Ok(Vec::new()) };
    let mut parts = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let other = entry?.file_name();
        let rest = other.as_encoded_bytes().strip_prefix(name.as_encoded_bytes());
        if rest.is_some_and(|rest| rest.starts_with(b"."))
            && let Some(part) = open(&folder.join(&other))?
        {
            parts.push(part);
        }
    }
    parts.sort_by(|a, b| a.first.cmp(&b.first).then_with(|| a.path.cmp(&b.path)));
    Ok(parts)
}

/// The part that ends where the file at `path` begins.
pub(super) fn newest(path: &Path) -> io::Result<Option<File>> {
    Ok(beside(path)?.pop().map(|part| part.file))
}

/// None for whatever is no part of a log.
fn open(path: &Path) -> io::Result<Option<Part>> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        // Removed since it was seen.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(named(error)),
    };
    if !file.metadata().map_err(named)?.is_file() {
        return Ok(None);
    }
    let first = first_line(&file).map_err(named)?;
    Ok(first.map(|first| Part { path: path.to_owned(), file, first }))
}

/// The number of the first line that can be read.
pub(super) fn first_line(file: &File) -> io::Result<Option<u64>> {
    let mut lines = Lines::of(file.try_clone()?, BEGINNING);
    Ok(lines.next().transpose()?.map(|(_, line)| line.sequence))
}

/// Whether two open files are one.
pub(super) fn is_same(a: &File, b: &File) -> io::Result<bool> {
    Ok(place_of(a)? == place_of(b)?)
}
