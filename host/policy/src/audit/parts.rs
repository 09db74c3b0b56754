//! The rotated parts of a log: files `FILE.*` beside it that begin with a line of a log.

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

/// How much of a file is searched for a readable line, in bytes.
const BEGINNING: u64 = 1 << 20;

/// The parts beside `path`, oldest first.
pub(super) fn beside(path: &Path) -> io::Result<Vec<Part>> {
    let mut parts = Vec::new();
    for (path, file) in files(path)? {
        if let Some(first) = first_line(&file).map_err(named(&path))? {
            parts.push(Part { path, file, first });
        }
    }
    parts.sort_by(|a, b| a.first.cmp(&b.first).then_with(|| a.path.cmp(&b.path)));
    Ok(parts)
}

/// The regular files `FILE.*` beside `path`, whatever their content.
pub(super) fn files(path: &Path) -> io::Result<Vec<(PathBuf, File)>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(name) = path.file_name() else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let other = entry?.file_name();
        let rest = other.as_encoded_bytes().strip_prefix(name.as_encoded_bytes());
        if rest.is_some_and(|rest| rest.starts_with(b".")) {
            let path = folder.join(&other);
            files.extend(open(&path).map_err(named(&path))?.map(|file| (path, file)));
        }
    }
    Ok(files)
}

/// `None` if it is not a regular file, or was removed since it was seen.
fn open(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => Ok(file.metadata()?.is_file().then_some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn named(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", everstep_words::visible::path(path)))
}

/// The number of the first readable line.
pub(super) fn first_line(file: &File) -> io::Result<Option<u64>> {
    let mut lines = Lines::of(file.try_clone()?, BEGINNING);
    Ok(lines.next().transpose()?.map(|(_, line)| line.sequence))
}
