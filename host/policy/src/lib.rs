//! What an execution may do: from a file to a [`Policy`], from a call to a [`Verdict`], and the record of it.
//!
//! - `file` and `json` read the file and `check` makes a policy of it; `extends` says what it takes over from others; `limits`,
//!   `units` hold its numbers; `error` says what is wrong with it, and where.
//! - `web`, `ask` and `function` hold what the sections grant; `list` finds rules by URL.
//! - `decide` is the decision itself: a pure function of policy, call, time and quotas used, which `usage` counts.
//! - `path` and [`url`] hold what a guest path and a URL may look like.
//! - [`audit`] writes one line per decision.
//! - [`tools`] explain, test, compare and describe policies.
//!
//! The bridge alone calls `decide`, and only for calls that are not replayed. Nothing here performs an effect.

pub mod address;
mod ask;
pub mod audit;
mod check;
mod decide;
mod error;
mod extends;
mod file;
mod function;
mod json;
mod limits;
mod list;
mod lookup;
pub mod path;
pub mod system;
pub mod tools;
mod units;
pub mod url;
mod usage;
mod web;

pub use ask::{AskRule, Remember, When};
pub use decide::{Call, FileOperation, Verdict};
pub use error::Error;
pub use function::FunctionSection;
pub use limits::{Limits, Lineage};
pub use list::{Addressed, RuleList};
pub use units::{size, span};
pub use usage::Usage;
pub use web::{FetchGrant, FetchTerms, OnCrash, Rate, SecretGrant, SecretSource, WebSocketGrant, WebSocketTerms};

use everstep_words::id::Digest;
use everstep_words::visible::{Sight, is_seen, sights};
use file::Format;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything that an execution is granted; what is not here is denied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What people call it; the name of its file without extension when the file gives none.
    pub name: String,
    /// The budget of one execution.
    pub limits: Limits,
    /// The environment that the guest sees, in full.
    pub env: BTreeMap<String, String>,
    /// Whether the guest may know the time.
    pub clock: ClockGrant,
    /// Whether the guest may draw random numbers.
    pub random: RandomGrant,
    /// Capabilities without a section of their own, in the order of the file.
    pub capabilities: Vec<CapabilityGrant>,
    /// Folders, in the order of the file; their guest paths do not overlap.
    pub files: Vec<FilesGrant>,
    /// Requests, in the order of the file. These lists and sections are left out of the canonical text when they are empty, so that
    /// a policy without them keeps its digest.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub fetch: RuleList<FetchGrant>,
    /// Connections, in the order of the file.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub websocket: RuleList<WebSocketGrant>,
    /// Which addresses requests and connections may reach.
    #[serde(default, skip_serializing_if = "is_default", with = "web::NetworkRules")]
    pub network: address::Rules,
    /// Calls that a human approves, in the order of the file.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub asks: RuleList<AskRule>,
    /// What single functions keep of all this.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub functions: BTreeMap<String, FunctionSection>,
    /// Where decisions are recorded, if anywhere.
    pub audit: Option<AuditGrant>,
}

/// `[clock]`: whether, and which, time the guest sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "lowercase", deny_unknown_fields)]
pub enum ClockGrant {
    /// No time at all; also what a missing section means.
    Deny,
    /// The time of the host, recorded.
    Recorded,
    /// One fixed moment.
    Frozen {
        /// Milliseconds since the Unix epoch.
        at_ms: u64,
    },
}

/// `[random]`: whether the guest may draw random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RandomGrant {
    /// No; also what a missing section means.
    Deny,
    /// From the seed that was recorded when the execution started.
    Seeded,
}

/// `[[capability]]`: one capability that may be called by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapabilityGrant {
    /// `capability.NAME`; kept in this form because every decision names it.
    rule: String,
    /// How often it may be called in one execution; none: as often as `limits.steps` allows.
    pub max_calls: Option<u64>,
    /// Upper bound of the time until a request is rejected as `timed-out`; none: it may wait forever.
    #[serde(with = "units::optional_milliseconds")]
    pub timeout: Option<Duration>,
}

/// `[[files]]`: one folder of the host under one path of the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesGrant {
    /// The rule's id.
    pub id: String,
    /// Where the guest sees the folder: absolute and canonical.
    pub guest: String,
    /// The folder, absolute.
    pub host: PathBuf,
    /// What may be done below it.
    pub access: Access,
    /// Largest file that may be read or written, in bytes.
    pub max_file: u64,
    /// How many bytes one execution may write in all; 0 for a read grant.
    pub max_written: u64,
    /// How many different files one execution may write, and folders it may need for them; 0 for a read grant.
    pub max_files: u64,
}

/// What a `[[files]]` rule allows, from little to much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// `read`, `list` and `stat`.
    Read,
    /// These, `write` and `remove`; the guest sees its own changes, the folder of the host keeps as it is.
    Overlay,
    /// These, `write` and `remove`.
    Write,
}

/// `[audit]`: where decisions are recorded. A decision that cannot be recorded is a denial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditGrant {
    /// The log, absolute.
    pub file: PathBuf,
}

/// The rule that names a path of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Naming<'p> {
    Files(&'p str),
    Audit,
    Secret(&'p str),
}

impl fmt::Display for Naming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(id) => write!(f, "the [[files]] rule {id:?}"),
            Self::Audit => f.write_str("[audit]"),
            Self::Secret(id) => write!(f, "the secret of the [[fetch]] rule {id:?}"),
        }
    }
}

impl Policy {
    /// Reads and checks a policy file, JSON when its name ends with `.json`, and those that it extends. Relative paths in it are taken
    /// from the folder of the file.
    pub fn load(path: &Path) -> Result<Self, Error> {
        extends::load(path)
    }

    /// Checks the text of a policy file; `file` is where it stands, or would stand.
    pub fn parse(toml: &str, file: &Path) -> Result<Self, Error> {
        extends::parse(toml, file, Format::Toml)
    }

    /// Checks a policy that is written as JSON, with the keys of the file; `file` is where it stands, or would stand.
    pub fn from_json(json: &str, file: &Path) -> Result<Self, Error> {
        extends::parse(json, file, Format::Json)
    }

    /// What holds when no policy file is given: nothing is granted but `print`.
    pub fn none() -> Self {
        Self {
            name: "none".to_owned(),
            limits: Limits::default(),
            env: BTreeMap::new(),
            clock: ClockGrant::Deny,
            random: RandomGrant::Deny,
            capabilities: vec![CapabilityGrant::new("print")],
            files: Vec::new(),
            fetch: RuleList::default(),
            websocket: RuleList::default(),
            network: address::Rules::default(),
            asks: RuleList::default(),
            functions: BTreeMap::new(),
            audit: None,
        }
    }

    /// The policy as canonical JSON: equal policies have equal texts. The store keeps it. Empty when a path in it is not UTF-8:
    /// no host takes such a policy.
    pub fn canonical(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Refuses a policy that `canonical` has no text for.
    pub fn check_paths(&self) -> Result<(), Error> {
        match self.paths().find(|(_, path)| path.to_str().is_none()) {
            None => Ok(()),
            Some((rule, path)) => Err(Error::PathNotUtf8 { rule: rule.to_string(), path: path.to_owned() }),
        }
    }

    /// Every path of the host, with the rule that names it.
    fn paths(&self) -> impl Iterator<Item = (Naming<'_>, &Path)> {
        let files = self.files.iter().map(|grant| (Naming::Files(&grant.id), &*grant.host));
        let audit = self.audit.iter().map(|grant| (Naming::Audit, &*grant.file));
        let secrets = self.fetch.iter().filter_map(|grant| match &grant.terms.secret.as_ref()?.from {
            SecretSource::File(path) => Some((Naming::Secret(&grant.id), &**path)),
            SecretSource::Env(_) => None,
        });
        files.chain(audit).chain(secrets)
    }

    /// Whether two policies have the same canonical text, without writing it. Paths that lead to one place may differ in their texts.
    pub fn is_same(&self, other: &Self) -> bool {
        self == other && self.paths().zip(other.paths()).all(|((_, a), (_, b))| a.as_os_str() == b.as_os_str())
    }

    /// The policy that `canonical` wrote.
    pub fn from_canonical(json: &str) -> Result<Self, Error> {
        serde_json::from_str(json).map_err(|source| Error::Canonical { source })
    }

    /// The digest of the canonical JSON; pinned when an execution starts. It tells policies apart that a host takes.
    pub fn digest(&self) -> Digest {
        Digest::of(self.canonical().as_bytes())
    }

    /// The grant that covers a guest path, and the rest of the path below the grant's root (empty for the root itself).
    /// None for a path that is malformed or that no grant covers.
    pub fn resolve<'a>(&self, path: &'a str) -> Option<(usize, &'a str)> {
        path::check(path).ok()?;
        self.files.iter().enumerate().find_map(|(index, grant)| Some((index, path::below(&grant.guest, path)?)))
    }

    /// The first writable grant whose host folder holds `path`, or is it.
    ///
    /// What steers the host (policy file, audit log, store) must not lie where a guest can write.
    pub fn writable_at(&self, path: &Path) -> Option<&FilesGrant> {
        self.files.iter().find(|grant| grant.is_writable_at(path))
    }

    /// The first writable grant whose host folder holds the folder `path`, is it, or lies in it.
    pub fn writable_around(&self, path: &Path) -> Option<&FilesGrant> {
        let within = |grant: &&FilesGrant| {
            grant.access == Access::Write && check::real_path(&grant.host).starts_with(check::real_path(path))
        };
        self.writable_at(path).or_else(|| self.files.iter().find(within))
    }
}

impl Access {
    /// The word of the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Overlay => "overlay",
            Self::Write => "write",
        }
    }
}

impl FilesGrant {
    /// Whether the folder holds `path`, or is it.
    fn holds(&self, path: &Path) -> bool {
        check::real_path(path).starts_with(check::real_path(&self.host))
    }

    fn is_writable_at(&self, path: &Path) -> bool {
        self.access == Access::Write && self.holds(path)
    }
}

impl CapabilityGrant {
    /// A grant without bounds of its own.
    pub fn new(name: &str) -> Self {
        Self { rule: format!("capability.{name}"), max_calls: None, timeout: None }
    }

    /// The name of the capability.
    pub fn name(&self) -> &str {
        self.rule.strip_prefix("capability.").unwrap_or(&self.rule)
    }

    /// The id of this rule, `capability.NAME`.
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

fn is_empty<T>(list: &RuleList<T>) -> bool {
    list.is_empty()
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Longest piece of guest text in a message or an audit line, in characters.
const LONGEST_QUOTE: usize = 200;

/// Text of the guest for messages: quoted, escaped and capped.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

/// Text of the guest, escaped and capped; what was cut off shows as `...`.
fn escaped(text: &str) -> Cow<'_, str> {
    let plain = |byte: &u8| (b' '..=b'~').contains(byte) && !b"\"\\".contains(byte);
    if text.len() <= LONGEST_QUOTE && text.as_bytes().iter().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::new();
    let mut length = 0;
    for (character, sight) in sights(text) {
        let start = escaped.len();
        match character {
            '"' | '\\' => escaped.extend(['\\', character]),
            _ if sight == Sight::Seen => escaped.push(character),
            _ => escaped.extend(character.escape_default()),
        }
        length += escaped[start..].chars().count();
        if length > LONGEST_QUOTE {
            escaped.truncate(start);
            // What joins needs something to join.
            while !is_seen(&escaped) {
                escaped.pop();
            }
            escaped.push_str("...");
            break;
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests;
