//! What lies below the file system of a guest: recorded steps on the folders of the grants.

use super::errno::{Errno, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// A folder that the policy grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Root {
    /// Its path in the guest.
    pub(crate) guest: String,
    pub(crate) is_writable: bool,
    /// Whether changes stay in memory.
    pub(crate) in_memory: bool,
    /// The largest file, in bytes.
    pub(crate) max_file: u64,
}

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    File,
    Folder,
    Link,
    Other,
}

/// What is known of a file or folder; times in nanoseconds since the Unix epoch, `None` where they are unknown or the policy denies the
/// clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) kind: Kind,
    /// Bytes; 0 for anything but a file.
    pub(crate) size: u64,
    pub(crate) accessed: Option<u64>,
    pub(crate) modified: Option<u64>,
    /// When its content, name or permissions last changed.
    pub(crate) changed: Option<u64>,
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// What is known of it, if it may be used.
    pub(crate) status: Option<Status>,
}

/// What was found at a path, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Look {
    pub(crate) at: Option<u64>,
    pub(crate) status: std::result::Result<Status, Errno>,
    /// Whether there is a folder for the entry.
    pub(crate) has_folder: bool,
}

/// What leaves for a file.
#[derive(Clone, Debug)]
pub(crate) struct Save {
    pub(crate) how: How,
    /// The size of the file afterwards.
    pub(crate) size: u64,
    /// How many of its bytes stay as they are where no part covers them; after them it is zero.
    pub(crate) kept: u64,
    /// In the order of their offsets.
    pub(crate) parts: Vec<Part>,
}

impl Save {
    /// Whether it is all of a file that holds nothing else, in one part.
    pub(crate) fn is_plain(&self) -> bool {
        let is_all = |part: &Part| part.offset == 0 && part.bytes().len() as u64 == self.size;
        matches!(self.how, How::Whole | How::Append(0)) && matches!(self.parts.as_slice(), [part] if is_all(part))
    }
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Replaces or creates it.
    Whole,
    /// Adds to its end, if it still has this size; 0 creates it, if there is none.
    Append(u64),
    /// Changes parts of it.
    Patch,
}

/// Some bytes of a file.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) offset: u64,
    bytes: Arc<Vec<u8>>,
    range: Range<usize>,
}

/// The times to set, in nanoseconds since the Unix epoch; `None`: the time stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) accessed: Option<u64>,
    pub(crate) modified: Option<u64>,
}

/// The steps. Paths are canonical paths of the guest; each is below a root.
pub(crate) trait Disk: Send {
    /// The folders that the policy grants.
    fn roots(&self) -> Vec<Root>;

    /// Bytes that the files of the guest may take in the host's memory now.
    fn room(&mut self) -> u64;

    /// The latest time that the guest was told, in nanoseconds since the Unix epoch.
    fn told_ns(&mut self) -> Option<u64>;

    /// The content of a file that the run keeps in memory, under a root whose changes stay there.
    fn kept(&self, path: &str) -> Option<Arc<Vec<u8>>>;

    /// Whether a quota forbids these sizes of files that are to be saved.
    fn is_over_quota(&self, unsaved: &[(&str, u64)]) -> bool;

    /// Makes the step that the policy denies for a file of that size, so that the denial is on record.
    fn refuse(&mut self, path: &str, bytes: u64) -> impl Future<Output = Result<()>> + Send;

    fn look(&mut self, path: &str) -> impl Future<Output = Result<Look>> + Send;

    /// The entries of a folder, in the byte order of their names.
    fn list(&mut self, path: &str) -> impl Future<Output = Result<Vec<Entry>>> + Send;

    /// At most `len` bytes of a file from `offset` on; fewer if it ends before.
    fn read(&mut self, path: &str, offset: u64, len: u64) -> impl Future<Output = Result<Vec<u8>>> + Send;

    /// Writes a file. `None`: it has another size than [`How::Append`] names, and nothing was written.
    fn save(&mut self, path: &str, save: Save) -> impl Future<Output = Result<Option<Status>>> + Send;

    /// Creates an empty file, which must not exist: of two who do, one succeeds. `nth` tells the creations of an execution apart. `None`: the
    /// execution began when a file was only created as it was saved.
    fn create(&mut self, path: &str, nth: u64) -> impl Future<Output = Result<Option<Status>>> + Send;

    fn make_folder(&mut self, path: &str) -> impl Future<Output = Result<()>> + Send;

    /// Renames a file or a folder within its root; replaces a file, or an empty folder.
    fn rename(&mut self, from: &str, to: &str) -> impl Future<Output = Result<()>> + Send;

    /// Removes a file or an empty folder, as `kind` says.
    fn remove(&mut self, path: &str, kind: Kind) -> impl Future<Output = Result<()>> + Send;

    fn set_times(&mut self, path: &str, times: Times) -> impl Future<Output = Result<Status>> + Send;
}

impl Status {
    /// Whether a file is as it was: nobody has written to it since.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let facts = |it: &Self| (it.kind, it.size, it.modified, it.changed);
        facts(self) == facts(other)
    }
}

impl Part {
    pub(super) fn new(offset: u64, bytes: &Arc<Vec<u8>>, range: Range<usize>) -> Self {
        Self { offset, bytes: Arc::clone(bytes), range }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.range.clone()).unwrap_or_default()
    }

    /// The bytes, shared if they are all there is.
    pub(crate) fn shared(&self) -> Arc<Vec<u8>> {
        if self.range == (0..self.bytes.len()) { Arc::clone(&self.bytes) } else { Arc::new(self.bytes().to_vec()) }
    }
}

impl Save {
    /// The bytes of its parts in all.
    pub(crate) fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes().len() as u64).sum()
    }

    /// Bytes for the quotas: all of a file that is replaced, and otherwise what is written.
    pub(crate) fn cost(&self) -> u64 {
        if self.how == How::Whole { self.size } else { self.bytes() }
    }
}
