//! The decision: a pure function of the policy, the call and the quotas used so far.

use super::{Access, ClockGrant, FilesGrant, Policy, RandomGrant, path, quoted};
use crate::guest_error::{ErrorCode, GuestError};
use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// One call of the guest, as the policy sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call<'a> {
    /// Reads the time or waits for a time.
    Clock,
    /// Draws random bytes.
    Random {
        /// How many.
        bytes: u64,
    },
    /// Calls a capability by its name: `print`, `display`, `input`, `promise`, or one of the embedder's.
    Capability {
        /// Its name, as the guest gave it.
        name: &'a str,
        /// Size of the message, held against `limits.bytes_per_call`; 0 for output, which `limits.output` cuts instead.
        bytes: u64,
    },
    /// Touches a file or a folder.
    Files {
        /// What is done.
        operation: FileOperation,
        /// The path, as the guest gave it.
        path: &'a str,
        /// Size of the content written; 0 for anything but a write.
        bytes: u64,
    },
    /// Needs no grant, such as a remembered computation. Always allowed, by no rule.
    Ungranted,
}

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileOperation {
    /// Reads the whole content.
    Read,
    /// Replaces or creates.
    Write,
    /// Lists a folder.
    List,
    /// Looks at one entry.
    Stat,
    /// Removes a file or an empty folder.
    Remove,
}

/// The answer, and the rule that gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<'p> {
    /// The call may go on.
    Allow {
        /// The first rule that matches: `clock`, `random`, `capability.NAME` or the id of a `[[files]]` rule; empty for
        /// a call that needs no grant.
        rule: &'p str,
    },
    /// The guest gets `error`.
    Deny {
        /// The rule that refuses or comes nearest; `default` when there is none.
        rule: &'p str,
        /// What the guest sees.
        error: GuestError,
    },
}

/// What one execution has used of its quotas: rebuilt from the journal by counting every allowed call again, so that
/// neither a crash nor a resume refills them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    rules: BTreeMap<String, Used>,
}

/// What was used of one rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Used {
    calls: u64,
    written: u64,
    /// The files written and all folders above them.
    paths: HashSet<String>,
}

impl Policy {
    /// Decides one call. No I/O; nothing is allocated for a call that is allowed.
    #[inline]
    pub fn decide(&self, call: &Call<'_>, used: &Usage) -> Verdict<'_> {
        match *call {
            Call::Ungranted => Verdict::Allow { rule: "" },
            Call::Clock => match self.clock {
                ClockGrant::Deny => denied("clock", "clock (the policy has no [clock] grant)".to_owned()),
                ClockGrant::Recorded | ClockGrant::Frozen { .. } => Verdict::Allow { rule: "clock" },
            },
            Call::Random { bytes } => self.decide_random(bytes),
            Call::Capability { name, bytes } => self.decide_capability(name, bytes, used),
            Call::Files { operation, path, bytes } => self.decide_files(operation, path, bytes, used),
        }
    }

    fn decide_random(&self, bytes: u64) -> Verdict<'_> {
        match self.random {
            RandomGrant::Deny => denied("random", "random (the policy has no [random] grant)".to_owned()),
            RandomGrant::Seeded => match self.over_size(bytes) {
                Some(why) => exceeded("random", format!("random ({why})")),
                None => Verdict::Allow { rule: "random" },
            },
        }
    }

    fn decide_capability(&self, name: &str, bytes: u64, used: &Usage) -> Verdict<'_> {
        let Some(grant) = self.capabilities.iter().find(|grant| grant.name() == name) else {
            let name = quoted(name);
            return denied("default", format!("capability {name} (no [[capability]] grant has this name)"));
        };
        let rule = grant.rule();
        if let Some(why) = self.over_size(bytes) {
            return exceeded(rule, format!("capability {} ({why})", quoted(name)));
        }
        if let Some(max) =
            grant.max_calls.filter(|max| used.of(rule).is_some_and(|used| used.calls >= *max) || *max == 0)
        {
            return exceeded(rule, format!("capability {} (rule \"{rule}\" allows max_calls = {max})", quoted(name)));
        }
        Verdict::Allow { rule }
    }

    fn decide_files(&self, operation: FileOperation, path: &str, bytes: u64, used: &Usage) -> Verdict<'_> {
        if let Err(fault) = path::check(path) {
            return self.out_of_reach(operation, path, &fault.to_string());
        }
        let covering = self.files.iter().find_map(|grant| Some((grant, path::below(&grant.guest, path)?)));
        let Some((grant, below)) = covering else {
            return self.out_of_reach(operation, path, "no [[files]] grant covers it");
        };
        let call = || format!("{operation} {}", quoted(path));
        let changes = matches!(operation, FileOperation::Write | FileOperation::Remove);
        if changes && grant.access == Access::Read {
            let message = format!("{} (rule {grant}; access = \"write\" would allow it)", call());
            return denied(&grant.id, message);
        }
        if changes && below.is_empty() {
            return denied(&grant.id, format!("{} (it is the root of rule \"{}\")", call(), grant.id));
        }
        let over = match operation {
            FileOperation::Write => self.over_size(bytes).or_else(|| grant.over_quota(path, bytes, used)),
            _ => None,
        };
        match over {
            Some(why) => exceeded(&grant.id, format!("{} ({why})", call())),
            None => Verdict::Allow { rule: &grant.id },
        }
    }

    /// A denial by the grant that comes nearest to `path`.
    fn out_of_reach(&self, operation: FileOperation, path: &str, why: &str) -> Verdict<'_> {
        let path_shown = quoted(path);
        match self.files.iter().min_by_key(|grant| std::cmp::Reverse(path::shared(&grant.guest, path))) {
            Some(grant) => denied(&grant.id, format!("{operation} {path_shown} ({why}; nearest rule {grant})")),
            None => denied("default", format!("{operation} {path_shown} ({why}; the policy has no [[files]] grant)")),
        }
    }

    fn over_size(&self, bytes: u64) -> Option<String> {
        let max = self.limits.bytes_per_call;
        (bytes > max).then(|| format!("{bytes} bytes in one call; limits.bytes_per_call = {max}"))
    }
}

impl FilesGrant {
    /// Which quota a write would exceed.
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

impl<'a> Call<'a> {
    /// The capability, as the audit names it: `clock`, `random`, `files.read` and so on, or the name that was called.
    pub fn capability(&self) -> &'a str {
        match *self {
            Self::Clock => "clock",
            Self::Random { .. } => "random",
            Self::Capability { name, .. } => name,
            Self::Files { operation, .. } => operation.capability(),
            Self::Ungranted => "",
        }
    }

    /// What it is called on: the path of a file; empty for the others.
    pub fn subject(&self) -> &'a str {
        match *self {
            Self::Files { path, .. } => path,
            _ => "",
        }
    }

    /// Size of the payload.
    pub fn bytes(&self) -> u64 {
        match *self {
            Self::Random { bytes } | Self::Capability { bytes, .. } | Self::Files { bytes, .. } => bytes,
            Self::Clock | Self::Ungranted => 0,
        }
    }
}

impl FileOperation {
    /// The function of the interface, such as `read`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::List => "list",
            Self::Stat => "stat",
            Self::Remove => "remove",
        }
    }

    fn capability(self) -> &'static str {
        match self {
            Self::Read => "files.read",
            Self::Write => "files.write",
            Self::List => "files.list",
            Self::Stat => "files.stat",
            Self::Remove => "files.remove",
        }
    }
}

impl Usage {
    /// Counts an allowed call, live or replayed, under the rule that allowed it.
    #[inline]
    pub fn count(&mut self, rule: &str, call: &Call<'_>) {
        match *call {
            Call::Capability { .. } => self.add(rule, |used| used.calls += 1),
            Call::Files { operation: FileOperation::Write, path, bytes } => self.add(rule, |used| {
                used.written = used.written.saturating_add(bytes);
                for path in path::with_folders(path) {
                    if !used.paths.contains(path) {
                        used.paths.insert(path.to_owned());
                    }
                }
            }),
            Call::Clock | Call::Random { .. } | Call::Files { .. } | Call::Ungranted => {}
        }
    }

    fn of(&self, rule: &str) -> Option<&Used> {
        self.rules.get(rule)
    }

    fn add(&mut self, rule: &str, change: impl FnOnce(&mut Used)) {
        match self.rules.get_mut(rule) {
            Some(used) => change(used),
            None => change(self.rules.entry(rule.to_owned()).or_default()),
        }
    }
}

impl fmt::Display for FileOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "files read",
            Self::Write => "files write",
            Self::List => "files list",
            Self::Stat => "files stat",
            Self::Remove => "files remove",
        })
    }
}

/// `"data" grants read below "/data"`, for messages.
impl fmt::Display for FilesGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match self.access {
            Access::Read => "read",
            Access::Write => "write",
        };
        write!(f, "\"{}\" grants {access} below {}", self.id, quoted(&self.guest))
    }
}

#[cold]
fn denied(rule: &str, message: String) -> Verdict<'_> {
    Verdict::Deny { rule, error: GuestError::new(ErrorCode::Denied, message) }
}

#[cold]
fn exceeded(rule: &str, message: String) -> Verdict<'_> {
    Verdict::Deny { rule, error: GuestError::new(ErrorCode::LimitExceeded, message) }
}
