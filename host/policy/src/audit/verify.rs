//! Proves that no line of a log was changed, removed or inserted.

use super::chain::{Hold, place_of, stands_at};
use super::line::{self, Joint};
use super::parts::{self, Part};
use super::read::{self, End, Piece, Pieces};
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The result of a successful proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The files, in the order of the chain.
    pub files: Vec<PathBuf>,
    /// The number of readable lines.
    pub lines: u64,
    /// The line before the first one, in a file that was not given; `None` if the log is given from its beginning.
    pub after: Option<Head>,
    /// The last line; `None` if there is no line.
    pub last: Option<Head>,
    /// The number of lines that a crash has torn; the line after each of them confirms the rest of it.
    pub torn: u64,
    /// The first [`Summary::SHOWN`] of these.
    pub torn_at: Vec<Place>,
}

impl Summary {
    /// The most torn lines that are listed.
    pub const SHOWN: usize = 20;
}

/// A line by its number in the chain and its hash, `SEQUENCE:HASH`. A copy of it kept elsewhere shows later that nothing
/// was cut off after this line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number in the chain.
    pub sequence: u64,
    /// Its SHA-256, without the newline.
    pub hash: [u8; 32],
}

/// A line in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u64,
}

/// The reason that a log is not proven.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unverified {
    /// A file cannot be read.
    #[error("cannot read the audit log {}; check the path", everstep_words::visible::path(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// The error.
        #[source]
        source: io::Error,
    },
    /// The chain is broken.
    #[error("{0}")]
    Bad(BadLine),
    /// The expected line is missing.
    #[error("line {} of the log, which is to be there, is missing: the log ends {}", expected.sequence, ends(*last))]
    Missing {
        /// The expected line.
        expected: Head,
        /// The last line.
        last: Option<Head>,
    },
}

/// The first line that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its place.
    pub place: Place,
    /// The fault.
    pub what: What,
}

/// The fault of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// It cannot be read, and no later line confirms it.
    NoLine,
    /// It is the last line, and is cut off.
    Torn,
    /// Its checksum does not match.
    Changed,
    /// It does not contain the hash of what comes before it.
    Previous,
    /// Its number is not the next one.
    Sequence {
        /// The expected number.
        due: u64,
        /// The number that it has.
        found: u64,
    },
    /// It is the first of its file, and neither begins a log nor links to one.
    Beginning,
    /// It begins a log, but should continue one.
    Anew {
        /// The expected number.
        due: u64,
    },
    /// Its hash is not the expected one.
    Unexpected,
}

/// Proves that the files contain one chain: several in the given order, a single one after the rotated parts beside it
/// (`FILE.*`). The line `expected` must be among them.
///
/// The files alone cannot show whether whole lines were cut off at the end, or all of it was written anew.
pub fn verify(files: &[PathBuf], expected: Option<&Head>) -> Result<Summary, Unverified> {
    let mut proof = Proof::new(expected.copied());
    for source in open(files)? {
        proof.file(source)?;
    }
    proof.end()
}

/// A file to prove.
struct Source {
    path: PathBuf,
    file: File,
    /// How much of it to read; `None`: its content when it is read.
    length: Option<u64>,
}

impl Source {
    fn pieces(self) -> io::Result<Pieces> {
        let length = self.length.map_or_else(|| read::length(&self.file), Ok)?;
        Ok(Pieces::of(self.file, length))
    }
}

fn open(files: &[PathBuf]) -> Result<Vec<Source>, Unverified> {
    if let [path] = files {
        return with_parts(path).map_err(unreadable(path));
    }
    let open = |path: &PathBuf| File::open(path).map(|file| Source { path: path.clone(), file, length: None });
    files.iter().map(|path| open(path).map_err(unreadable(path))).collect()
}

/// The log at `path` after its parts, as they were at one moment, even if hosts write and rotate meanwhile.
///
/// A file gets its first line when those before it are complete, so it is enough not to miss one of those: parts are
/// listed again if another one has got a line meanwhile, and a log without lines is taken to be empty.
fn with_parts(path: &Path) -> io::Result<Vec<Source>> {
    let place = || Ok::<_, io::Error>(stands_at(path)?.map(|(place, _)| place));
    loop {
        let stood = place()?;
        let log = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
            opened => Ok(opened?),
        };
        let log = log.and_then(|file| Ok((read::length(&file)?, file)));
        let first = log.as_ref().ok().map(|(_, file)| parts::first_line(file)).transpose()?.flatten();
        let parts = parts::beside(path)?;
        let is_same = |(one, other): (&Part, &Part)| one.path == other.path && one.first == other.first;
        let again = parts::beside(path)?;
        if again.len() != parts.len() || !parts.iter().zip(&again).all(is_same) || place()? != stood {
            continue;
        }
        if log.as_ref().ok().map(|(_, file)| place_of(file)).transpose()? != stood {
            continue;
        }
        // A copy of the log is not an earlier part of it.
        let earlier = parts.into_iter().filter(|part| first.is_none_or(|first| part.first < first));
        let mut sources: Vec<_> = earlier.map(|Part { path, file, .. }| Source { path, file, length: None }).collect();
        match log {
            Ok((length, file)) => {
                let length = first.is_none().then_some(length);
                sources.push(Source { path: path.to_owned(), file, length });
            }
            // It was just rotated, and no line was written since.
            Err(_) if !sources.is_empty() => {}
            Err(error) => return Err(error),
        }
        return Ok(sources);
    }
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> Unverified {
    |source| Unverified::Read { path: path.to_owned(), source }
}

/// The state of the proof.
struct Proof {
    summary: Summary,
    /// The hash that the next line must contain.
    hold: Hold,
    /// The first unreadable line after the last readable one, and how many there are.
    unread: Option<(Place, u64)>,
    expected: Option<Head>,
    /// The last line of the previous file, if it has no line break.
    cut: Option<Place>,
}

impl Proof {
    fn new(expected: Option<Head>) -> Self {
        let summary = Summary { files: Vec::new(), lines: 0, after: None, last: None, torn: 0, torn_at: Vec::new() };
        Self { summary, hold: Hold::default(), unread: None, expected, cut: None }
    }

    fn file(&mut self, source: Source) -> Result<(), Unverified> {
        let path = source.path.clone();
        self.summary.files.push(path.clone());
        self.cut = None;
        let mut pieces = source.pieces().map_err(unreadable(&path))?;
        let mut is_first = true;
        while let Some(piece) = pieces.next().map_err(unreadable(&path))? {
            let place = Place { file: path.clone(), line: piece.number };
            match Joint::parse(piece.bytes).filter(|_| piece.is_line()) {
                Some(joint) => {
                    self.line(&joint, piece.bytes, &place, std::mem::take(&mut is_first))?;
                }
                None => self.unread(&piece, &place),
            }
            self.cut = (piece.end != End::Line).then_some(place);
        }
        Ok(())
    }

    /// Notes an unreadable line: the next readable one must confirm it.
    fn unread(&mut self, piece: &Piece<'_>, place: &Place) {
        self.hold.torn(piece.bytes, piece.is_first);
        let (_, count) = self.unread.get_or_insert_with(|| (place.clone(), 0));
        *count += u64::from(piece.is_first);
    }

    fn line(&mut self, joint: &Joint, bytes: &[u8], place: &Place, begins_file: bool) -> Result<(), Unverified> {
        let bad = |what| Unverified::Bad(BadLine { place: place.clone(), what });
        if !line::is_intact(bytes) {
            return Err(bad(What::Changed));
        }
        self.check_joint(joint, place, begins_file)?;
        if let Some((place, count)) = self.unread.take() {
            self.summary.torn += count;
            if self.summary.torn_at.len() < Summary::SHOWN {
                self.summary.torn_at.push(place);
            }
        }
        self.hold = Hold::line(bytes);
        let head = Head { sequence: joint.sequence, hash: self.hold.hash() };
        if self.expected.is_some_and(|expected| expected.sequence == head.sequence && expected.hash != head.hash) {
            return Err(bad(What::Unexpected));
        }
        self.expected = self.expected.filter(|expected| *expected != head);
        self.summary.lines += 1;
        self.summary.last = Some(head);
        Ok(())
    }

    fn check_joint(&mut self, joint: &Joint, place: &Place, begins_file: bool) -> Result<(), Unverified> {
        let due = self.summary.last.map(|last| last.sequence.saturating_add(1));
        let begins = joint.sequence == 0 && !joint.is_link;
        let holds = joint.previous == self.hold.hash();
        let what = match due {
            None if begins && holds => return Ok(()),
            None if joint.is_link => {
                let sequence = joint.sequence.saturating_sub(1);
                self.summary.after = Some(Head { sequence, hash: joint.previous });
                return Ok(());
            }
            Some(due) if due == joint.sequence && holds && (joint.is_link || !begins_file) => return Ok(()),
            Some(due) if begins_file && begins => What::Anew { due },
            _ if begins_file && !joint.is_link && !begins => What::Beginning,
            Some(due) if due != joint.sequence => What::Sequence { due, found: joint.sequence },
            _ => What::Previous,
        };
        let place = match &self.unread {
            // If it had been torn when the line was written, the line would confirm it.
            Some((unread, _)) if !holds => return Err(bad(unread, What::NoLine)),
            _ => place,
        };
        Err(bad(place, what))
    }

    fn end(self) -> Result<Summary, Unverified> {
        if let Some((place, _)) = &self.unread {
            let is_cut = self.cut.as_ref() == Some(place);
            return Err(bad(place, if is_cut { What::Torn } else { What::NoLine }));
        }
        if let Some(place) = &self.cut {
            return Err(bad(place, What::Torn));
        }
        match self.expected {
            Some(expected) => Err(Unverified::Missing { expected, last: self.summary.last }),
            None => Ok(self.summary),
        }
    }
}

fn bad(place: &Place, what: What) -> Unverified {
    Unverified::Bad(BadLine { place: place.clone(), what })
}

fn ends(last: Option<Head>) -> String {
    last.map_or("before its first line".to_owned(), |last| format!("with line {}", last.sequence))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", everstep_words::visible::path(&self.file), self.line)
    }
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLine => f.write_str("no line of an audit log, and the line after it does not vouch for it"),
            Self::Torn => f.write_str(
                "the last line is cut off: by a crash, and the next host that writes ends it, or by somebody",
            ),
            Self::Changed => f.write_str("its checksum is that of another line: it was changed"),
            Self::Previous => {
                f.write_str("it does not hold the hash of the line before: one of the two was changed or put in")
            }
            Self::Sequence { due, found } => write!(f, "its sequence is {found} where {due} is due: lines are missing"),
            Self::Beginning => f.write_str(
                "the first line neither begins a log nor links to an earlier file: what stood before it was cut off",
            ),
            Self::Anew { due } => write!(
                f,
                "a log begins anew where sequence {due} is due: the file before it had been moved away, or lines were cut off"
            ),
            Self::Unexpected => f.write_str("its hash is not the expected one: the log was written anew"),
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, hex::encode(self.hash))
    }
}

/// The error for a text that is not a [`Head`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no SEQUENCE:HASH; write what `everstep audit verify` has printed as its last line")]
pub struct NoHead;

impl FromStr for Head {
    type Err = NoHead;

    fn from_str(text: &str) -> Result<Self, NoHead> {
        let (sequence, hex) = text.split_once(':').ok_or(NoHead)?;
        let mut hash = [0; 32];
        hex::decode_to_slice(hex, &mut hash).map_err(|_| NoHead)?;
        Ok(Self { sequence: sequence.parse().map_err(|_| NoHead)?, hash })
    }
}
