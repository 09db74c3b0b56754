//! Reads a log from its beginning, piece by piece: memory is bounded whatever the file contains.

use super::chain::Lock;
use super::line::{LONGEST, Line};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The readable lines of a log, each with its line number in the file, from 1.
#[derive(Debug)]
pub struct Lines {
    pieces: Pieces,
}

impl Lines {
    /// The lines that the file has now.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::new(File::open(path)?)
    }

    pub(super) fn new(file: File) -> io::Result<Self> {
        Ok(Self { pieces: Pieces::new(file)? })
    }

    /// The lines in the first `length` bytes.
    pub(super) fn of(file: File, length: u64) -> Self {
        Self { pieces: Pieces::of(file, length) }
    }

    /// The next line, unless `is_wanted` refuses its bytes.
    pub(super) fn next_where(&mut self, is_wanted: impl Fn(&[u8]) -> bool) -> Option<io::Result<(u64, Line)>> {
        loop {
            match self.pieces.next() {
                Err(error) => return Some(Err(error)),
                Ok(None) => return None,
                Ok(Some(piece)) if piece.is_line() && is_wanted(piece.bytes) => {
                    if let Some(line) = Line::parse(piece.bytes) {
                        return Some(Ok((piece.number, line)));
                    }
                }
                Ok(Some(_)) => {}
            }
        }
    }
}

impl Iterator for Lines {
    type Item = io::Result<(u64, Line)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_where(|_| true)
    }
}

/// A file cut at its line breaks, and where a line becomes too long for one of a log.
#[derive(Debug)]
pub(super) struct Pieces {
    input: BufReader<io::Take<From>>,
    bytes: Vec<u8>,
    number: u64,
    /// The last piece did not end its line.
    is_open: bool,
}

/// A line, or a piece of one that is too long.
pub(super) struct Piece<'a> {
    /// Without the line break.
    pub(super) bytes: &'a [u8],
    /// The number of its line, from 1.
    pub(super) number: u64,
    /// Whether it begins a line.
    pub(super) is_first: bool,
    pub(super) end: End,
}

/// The end of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A line break.
    Line,
    /// The end of the file.
    File,
    /// Neither: the line continues.
    Open,
}

impl Piece<'_> {
    /// Whether it is a complete line.
    pub(super) fn is_line(&self) -> bool {
        self.is_first && self.end != End::Open
    }
}

impl Pieces {
    /// The current content of the file, up to a complete write of other hosts.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let length = length(&file)?;
        Ok(Self::of(file, length))
    }

    /// The first `length` bytes.
    pub(super) fn of(file: File, length: u64) -> Self {
        let input = BufReader::with_capacity(LONGEST, From { file, place: 0 }.take(length));
        Self { input, bytes: Vec::new(), number: 0, is_open: false }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        self.bytes.clear();
        (&mut self.input).take(LONGEST as u64 + 1).read_until(b'\n', &mut self.bytes)?;
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let is_first = !std::mem::take(&mut self.is_open);
        self.number += u64::from(is_first);
        let end = if self.bytes.last() == Some(&b'\n') {
            self.bytes.pop();
            End::Line
        } else if self.bytes.len() > LONGEST {
            self.is_open = true;
            End::Open
        } else {
            End::File
        };
        Ok(Some(Piece { bytes: &self.bytes, number: self.number, is_first, end }))
    }
}

/// The size of a file that others write to, between two writes.
pub(super) fn length(file: &File) -> io::Result<u64> {
    let _lock = Lock::share(file)?;
    Ok(file.metadata()?.len())
}

/// A file read from its beginning, independent of its cursor.
#[derive(Debug)]
struct From {
    file: File,
    place: u64,
}

impl Read for From {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(bytes, self.place)?;
        self.place += read as u64;
        Ok(read)
    }
}
