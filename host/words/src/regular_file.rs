//! Reads whole files of the host: regular ones of a bounded size. A pipe or a device would make the host wait, or read without end.

use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The largest component, in bytes: the file store can keep more.
pub const COMPONENT: u64 = 512 << 20;
/// The largest policy, and the largest file beside a policy, in bytes.
pub const POLICY: u64 = 4 << 20;
/// The largest program or arguments, in bytes.
pub const INPUT: u64 = 64 << 20;

/// Opens a regular file of up to `most` bytes for reading. Never blocks, whatever kind of file it is.
///
/// # Errors
/// It cannot be opened, is not a regular file, or is larger.
pub fn open(path: &Path, most: u64) -> io::Result<File> {
    // Opening a pipe without a writer would block.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    if found.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !found.is_file() {
        return Err(io::Error::other("it is no regular file; write what it holds into one"));
    }
    if found.len() > most { Err(too_large(most)) } else { Ok(file) }
}

/// The content of a regular file of up to `most` bytes.
///
/// # Errors
/// As [`open`]; it cannot be read, or grows beyond that while it is read.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_from(open(path, most)?, most)
}

/// Like [`read`], as text.
///
/// # Errors
/// As [`read`]; it is not UTF-8.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    text(read(path, most)?)
}

/// Reads a stream to its end, as text. A pipe is waited for, since the user has named it.
///
/// # Errors
/// It cannot be read, is not UTF-8, or has more than `most` bytes.
pub fn read_stream(stream: impl Read, most: u64) -> io::Result<String> {
    text(read_from(stream, most)?)
}

/// Reads a stream to its end, of at most `most` bytes.
///
/// # Errors
/// It cannot be read, or has more than `most` bytes.
pub fn read_from(stream: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_large(most)) } else { Ok(bytes) }
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

fn too_large(most: u64) -> io::Error {
    let message = format!("it has more than {} MiB, which is more than is read of such a file", most >> 20);
    io::Error::new(io::ErrorKind::FileTooLarge, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, Mode, mkfifoat};

    #[test]
    fn only_a_regular_file_of_a_bounded_size_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "four").unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        mkfifoat(CWD, at("pipe"), Mode::RUSR | Mode::WUSR).unwrap();
        drop(std::os::unix::net::UnixListener::bind(at("socket")).unwrap());
        assert_eq!(read_text(&at("file"), 4).unwrap(), "four");
        assert_eq!(read_text(&at("link"), 4).unwrap(), "four");
        assert_eq!(read(&at("file"), 3).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        for path in
            [at("pipe"), "/dev/zero".into(), "/dev/null".into(), "/dev/tty".into(), at("socket"), at("."), at("no")]
        {
            let error = read(&path, 4).unwrap_err();
            assert!(!error.to_string().is_empty(), "{}", path.display());
        }
        assert!(read(&at("pipe"), 4).unwrap_err().to_string().contains("no regular file"));
    }

    #[test]
    fn a_stream_is_read_to_its_end_within_the_bound() {
        assert_eq!(read_stream(&b"four"[..], 4).unwrap(), "four");
        assert_eq!(read_stream(io::repeat(b'a'), 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_stream(&b"\xff"[..], 4).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
