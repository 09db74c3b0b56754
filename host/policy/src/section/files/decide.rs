//! The decision on one path, and its description.

use super::{Access, FilesGrant, SECTION};
use crate::decide::{DEFAULT, Verdict, allowed_or_asked, denied, exceeded};
use crate::extends::Grant;
use crate::read::real_path;
use crate::section::{Decide, NoQuestion, Policy, Question, free_id};
use crate::tools::render::quote;
use crate::usage::{Usage, Used};
use crate::{Call, path, quoted};
use std::collections::HashSet;
use std::fmt;

/// An access to a file or a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilesCall<'a> {
    /// The operation.
    pub operation: FileOperation,
    /// The path, as the guest gave it.
    pub path: &'a str,
    /// Size of the content written; 0 for anything but a write.
    pub bytes: u64,
}

/// An operation on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileOperation {
    /// Reads the whole content.
    Read,
    /// Replaces or creates a file.
    Write,
    /// Lists a folder.
    List,
    /// Returns the metadata of one entry.
    Stat,
    /// Removes a file or an empty folder.
    Remove,
    /// Replaces, creates or changes a file with what the guest has written in many calls, so that `limits.bytes_per_call` does not bound it.
    Save,
    /// Creates a folder.
    MakeFolder,
    /// Gives a file or a folder another name under the same rule; the path is the new one.
    Rename,
    /// Sets the times of a file or a folder.
    SetTimes,
}

impl Decide for FilesCall<'_> {
    fn decide<'p>(&self, policy: &'p Policy, used: &Usage, _: u64) -> Verdict<'p> {
        let Self { operation, path, bytes } = *self;
        if let Err(fault) = path::check(path) {
            return self.out_of_reach(policy, &fault.to_string());
        }
        let covering = policy.files.iter().find_map(|grant| Some((grant, path::below(&grant.guest, path)?)));
        let Some((grant, below)) = covering else {
            return self.out_of_reach(policy, "no [[files]] grant covers it");
        };
        if operation.changes() && !grant.access.changes() {
            let message = format!("{self} (rule {grant}; access = \"write\" would allow it)");
            return denied(&grant.id, message);
        }
        if operation.changes() && below.is_empty() {
            return denied(&grant.id, format!("{self} (it is the root of rule \"{}\")", grant.id));
        }
        let asked = |name| policy.asks.iter().find(|ask| ask.when.is(name));
        let (over, ask) = match operation {
            FileOperation::Write => {
                let over = policy.over_size(bytes).or_else(|| grant.over_quota(path, bytes, used));
                (over, asked("files.write"))
            }
            FileOperation::Save | FileOperation::MakeFolder => {
                (grant.over_quota(path, bytes, used), asked("files.write"))
            }
            FileOperation::Rename => {
                (grant.over_quota(path, 0, used), asked("files.remove").or_else(|| asked("files.write")))
            }
            FileOperation::SetTimes => (None, asked("files.write")),
            FileOperation::Remove => (None, asked("files.remove")),
            FileOperation::Read | FileOperation::List | FileOperation::Stat => (None, None),
        };
        match over {
            Some(why) => exceeded(&grant.id, format!("{self} ({why})")),
            None => allowed_or_asked(&grant.id, ask),
        }
    }

    fn count(&self, used: &mut Usage, rule: &str, _: u64) {
        if !self.operation.counts() {
            return;
        }
        used.add(rule, |used| {
            used.written = used.written.saturating_add(self.bytes);
            for path in path::with_folders(self.path) {
                if !used.paths.contains(path) {
                    used.paths.insert(path.to_owned());
                }
            }
        });
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn words(&self) -> Option<String> {
        Some(self.to_string())
    }

    fn borrows(&self, ours: &Policy, theirs: &Policy) -> Option<String> {
        let ((mine, below), (lent, below_lent)) = (ours.resolve_grant(self.path)?, theirs.resolve_grant(self.path)?);
        if mine.access == Access::Scratch {
            return None;
        }
        let inside = |grant: &FilesGrant, below| real_path(&grant.host).join(below);
        if lent.access == Access::Scratch || inside(mine, below) != inside(lent, below_lent) {
            let (mine, lent) = (mine.granted(), lent.granted());
            return Some(format!("{self} (it would use {mine}; it may use {lent})"));
        }
        let writes = self.operation.changes() && mine.access == Access::Write && lent.access != Access::Write;
        writes.then(|| format!("{self} (it would write to the folder; access = \"{}\")", lent.access.name()))
    }
}

impl FilesCall<'_> {
    /// A denial by the grant that comes nearest to the path.
    fn out_of_reach<'p>(&self, policy: &'p Policy, why: &str) -> Verdict<'p> {
        let nearest = |grant: &&FilesGrant| std::cmp::Reverse(path::shared(&grant.guest, self.path));
        match policy.files.iter().min_by_key(nearest) {
            Some(grant) => denied(&grant.id, format!("{self} ({why}; nearest rule {grant})")),
            None => denied(DEFAULT, format!("{self} ({why}; the policy has no [[files]] grant)")),
        }
    }
}

impl Policy {
    /// Whether the quotas of the rule that covers these paths leave no room for files of these sizes, which are to be saved, on top of what
    /// was written before.
    pub fn is_over_files_quota(&self, files: &[(&str, u64)], used: &Usage) -> bool {
        let covering = files.first().and_then(|(path, _)| self.resolve(path));
        let Some(grant) = covering.and_then(|(index, _)| self.files.get(index)) else { return false };
        let nothing = Used::default();
        let used = used.of(&grant.id).unwrap_or(&nothing);
        let bytes = files.iter().fold(used.written, |sum, (_, bytes)| sum.saturating_add(*bytes));
        let root: HashSet<&str> = path::with_folders(&grant.guest).collect();
        let paths = files.iter().flat_map(|(path, _)| path::with_folders(path));
        let new: HashSet<&str> = paths.filter(|path| !used.paths.contains(*path) && !root.contains(path)).collect();
        let known = used.paths.len().saturating_sub(root.len());
        bytes > grant.max_written || (!new.is_empty() && (known + new.len()) as u64 > grant.max_files)
    }
}

impl FilesGrant {
    /// A description of the quota that a write would exceed.
    fn over_quota(&self, path: &str, bytes: u64, used: &Usage) -> Option<String> {
        let Self { id, max_file, max_written, max_files, .. } = self;
        if bytes > *max_file {
            return Some(format!("{bytes} bytes; rule \"{id}\" allows max_file = {max_file}"));
        }
        let nothing = Used::default();
        let used = used.of(id).unwrap_or(&nothing);
        let written = used.written;
        if written.saturating_add(bytes) > *max_written {
            return Some(format!(
                "{bytes} bytes after {written} written before; rule \"{id}\" allows max_written = {max_written}"
            ));
        }
        let root = path::with_folders(&self.guest).count();
        let new = path::with_folders(path).filter(|path| !used.paths.contains(*path)).count() as u64;
        let new = if used.paths.is_empty() { new - root as u64 } else { new };
        let known = used.paths.len().saturating_sub(root) as u64;
        (new > 0 && known + new > *max_files).then(|| format!("rule \"{id}\" allows max_files = {max_files}"))
    }
}

impl FileOperation {
    const ALL: [Self; 8] =
        [Self::Read, Self::Write, Self::List, Self::Stat, Self::Remove, Self::MakeFolder, Self::Rename, Self::SetTimes];

    /// The function of the interface, such as `read`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write | Self::Save => "write",
            Self::MakeFolder => "make-folder",
            Self::Rename => "rename",
            Self::SetTimes => "set-times",
            Self::List => "list",
            Self::Stat => "stat",
            Self::Remove => "remove",
        }
    }

    fn changes(self) -> bool {
        !matches!(self, Self::Read | Self::List | Self::Stat)
    }

    /// Whether it counts as a file written.
    fn counts(self) -> bool {
        matches!(self, Self::Write | Self::Save | Self::MakeFolder | Self::Rename)
    }
}

/// A question about a file.
#[derive(Debug)]
struct FilesQuestion {
    operation: FileOperation,
    path: String,
}

/// A question about a path, from the name of the operation.
pub(super) fn question(name: &str, path: &str) -> Result<Box<dyn Question>, NoQuestion> {
    let found = FileOperation::ALL.into_iter().find(|one| one.name() == name);
    let operation = found.ok_or_else(|| NoQuestion::Undecided(quoted(&format!("files.{name}"))))?;
    if path.is_empty() {
        return Err(NoQuestion::Subject { capability: "files", example: "\"/data/x\"" });
    }
    Ok(Box::new(FilesQuestion { operation, path: path.to_owned() }))
}

impl Question for FilesQuestion {
    fn call(&self) -> Call<'_> {
        Call::Files(FilesCall { operation: self.operation, path: &self.path, bytes: 0 })
    }

    fn listed_by(&self) -> Option<&'static str> {
        Some(SECTION.key())
    }

    fn refusal(&self, policy: &Policy) -> Option<&'static str> {
        if path::check(&self.path).is_err() {
            return Some("no file can have this path");
        }
        let (grant, below) = policy.resolve(&self.path)?;
        let writable = policy.files.get(grant).is_some_and(|grant| grant.access.changes());
        match (self.operation.changes(), below.is_empty(), writable) {
            (true, true, _) => Some("the root of a rule is neither written nor removed"),
            (true, false, true) => Some("a rule covers it; a quota stands in the way"),
            _ => None,
        }
    }

    /// For a path that a rule covers, the access that it would need; otherwise a rule for its folder.
    fn narrowest(&self, policy: &Policy, _: u64, _: &[&str]) -> Option<String> {
        let changes = self.operation.changes();
        if let Some(grant) = policy.resolve(&self.path).and_then(|(index, _)| policy.files.get(index)) {
            return Some(format!(
                "[[files]]\nid = {}\naccess = \"write\"   # or \"overlay\", which leaves the folder as it is\n",
                quote(&grant.id)
            ));
        }
        let folder = match self.path.rsplit_once('/') {
            _ if self.operation == FileOperation::List => &self.path,
            Some(("", _)) | None => "/",
            Some((folder, _)) => folder,
        };
        let (id, access) = (free_id(policy, "folder"), if changes { "write" } else { "read" });
        let bounds = if changes { "max_files = 1\n" } else { "" };
        Some(format!(
            "[[files]]\nid = {}\nguest = {}\nhost = \"./folder\"   # the folder that it stands for\naccess = \"{access}\"\n{bounds}",
            quote(&id),
            quote(folder)
        ))
    }
}

impl fmt::Display for FilesCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "files {} {}", self.operation.name(), quoted(self.path))
    }
}

impl fmt::Display for FilesQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "files {} {}", self.operation.name(), quoted(&self.path))
    }
}
