//! The decision: a pure function of the policy, the call, the time and the quotas used so far. `web` decides about URLs.
//!
//! Rules are tried in the order of the file. The first one that matches a call is recorded, and its bounds and quotas are the ones that
//! apply; apart from that the order has no meaning.

mod web;

use super::url::Target;
use super::usage::{Usage, Used};
use super::{Access, AskRule, ClockGrant, FilesGrant, Policy, RandomGrant, When, path, quoted};
use everstep_words::guest_error::{ErrorCode, GuestError};
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
    /// Requests a URL.
    Fetch {
        /// The method, in upper case: methods are compared as they are.
        method: &'a str,
        /// The URL.
        url: &'a Target,
        /// Size of the body.
        bytes: u64,
    },
    /// Opens a connection.
    WebSocket {
        /// The URL.
        url: &'a Target,
    },
    /// Sends or awaits one message over a connection that is open.
    Message {
        /// The rule that the connection was opened under: the one whose bounds and quotas apply.
        rule: &'a str,
        /// Size of the message sent; 0 for one that is awaited.
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
        /// The first rule that matches: `clock`, `random`, `capability.NAME` or the id of a rule; empty for a call that needs no grant.
        rule: &'p str,
    },
    /// The call may go on once a human has approved it. The floor and the denials hold then as well: it is decided again.
    Ask {
        /// The first `[[ask]]` rule that matches.
        rule: &'p str,
        /// The rule whose bounds and quotas apply: the grant that matches too, or an `[[ask]]` rule whose approval is enough.
        terms: &'p str,
    },
    /// The guest gets `error`.
    Deny {
        /// The rule that refuses or comes nearest; `network` for an address that is not reached, `default` when there is none.
        rule: &'p str,
        /// What the guest sees.
        error: GuestError,
    },
}

impl Policy {
    /// Decides one call that is made at `now_ms`. No I/O; nothing is allocated for a call that is allowed.
    #[inline]
    pub fn decide(&self, call: &Call<'_>, used: &Usage, now_ms: u64) -> Verdict<'_> {
        match *call {
            Call::Ungranted => Verdict::Allow { rule: "" },
            Call::Clock => match self.clock {
                ClockGrant::Deny => denied("clock", "clock (the policy has no [clock] grant)".to_owned()),
                ClockGrant::Recorded | ClockGrant::Frozen { .. } => Verdict::Allow { rule: "clock" },
            },
            Call::Random { bytes } => self.decide_random(bytes),
            Call::Capability { name, bytes } => self.decide_capability(name, bytes, used),
            Call::Files { operation, path, bytes } => self.decide_files(operation, path, bytes, used),
            Call::Fetch { method, url, .. } => self.decide_fetch(call, method, url, used, now_ms),
            Call::WebSocket { url } => self.decide_websocket(url, used),
            Call::Message { rule, bytes } => self.decide_message(rule, bytes, used),
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
        self.asked(rule, |ask| ask.is_about_capability(name))
    }

    /// Whether somebody is asked about a call that a grant allows.
    fn asked<'p>(&'p self, grant: &'p str, about: impl Fn(&AskRule) -> bool) -> Verdict<'p> {
        match self.asks.iter().find(|ask| about(ask)) {
            Some(ask) => Verdict::Ask { rule: &ask.rule, terms: grant },
            None => Verdict::Allow { rule: grant },
        }
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
            None => match operation {
                FileOperation::Write => self.asked(&grant.id, |ask| ask.when == When::FilesWrite),
                FileOperation::Remove => self.asked(&grant.id, |ask| ask.when == When::FilesRemove),
                FileOperation::Read | FileOperation::List | FileOperation::Stat => Verdict::Allow { rule: &grant.id },
            },
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
    /// The capability, as the audit names it: `clock`, `random`, `files.read`, `fetch` and so on, or the name that was called.
    pub fn capability(&self) -> &'a str {
        match *self {
            Self::Clock => "clock",
            Self::Random { .. } => "random",
            Self::Capability { name, .. } => name,
            Self::Files { operation, .. } => operation.capability(),
            Self::Fetch { .. } => "fetch",
            Self::WebSocket { .. } => "websocket",
            Self::Message { .. } => "websocket.message",
            Self::Ungranted => "",
        }
    }

    /// What it is called on: the path of a file, the canonical URL; empty for the others.
    pub fn subject(&self) -> &'a str {
        match *self {
            Self::Files { path, .. } => path,
            Self::Fetch { url, .. } | Self::WebSocket { url } => url.as_str(),
            _ => "",
        }
    }

    /// Size of the payload.
    pub fn bytes(&self) -> u64 {
        match *self {
            Self::Random { bytes }
            | Self::Capability { bytes, .. }
            | Self::Files { bytes, .. }
            | Self::Fetch { bytes, .. }
            | Self::Message { bytes, .. } => bytes,
            Self::Clock | Self::WebSocket { .. } | Self::Ungranted => 0,
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
        write!(f, "\"{}\" grants {} below {}", self.id, self.access.name(), quoted(&self.guest))
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
