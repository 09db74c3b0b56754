//! What an execution may do: from a file to a [`Policy`], from a call to a [`Verdict`], and the audit log of
//! verdicts.
//!
//! - `section` has the sections of a policy: one file each, one list of them, and the trait through which other code iterates
//!   over it.
//! - `source` and `json` read the text of a file, `read` makes a policy of it; `extends` handles inheritance;
//!   `units` holds its numbers; `error` describes what is wrong with it, and where. `list` finds rules by URL.
//! - `decide` is the decision itself: a pure function of policy, call, time and quotas used, which `usage` counts.
//! - `path` and [`url`] define valid guest paths and URLs.
//! - [`audit`] writes one line per decision.
//! - [`tools`] explain, test, compare and describe policies.
//!
//! Only the bridge calls `decide`, and only for calls that are not replayed. Nothing here performs an effect.

pub mod address;
pub mod audit;
mod decide;
mod error;
mod extends;
mod json;
mod list;
pub mod path;
mod read;
mod section;
mod source;
pub mod system;
pub mod tools;
mod units;
pub mod url;
mod usage;

pub use decide::Verdict;
pub use error::Error;
pub use list::{Addressed, RuleList};
pub use section::*;
pub use units::{size, span};
pub use usage::Usage;

use everstep_words::id::Digest;
use everstep_words::visible::{Sight, is_seen, sights};
use source::Format;
use std::borrow::Cow;
use std::path::Path;

impl Policy {
    /// Reads and checks a policy file, JSON if its name ends with `.json`, and those that it extends. Relative paths in it are
    /// resolved from the folder of the file.
    pub fn load(path: &Path) -> Result<Self, Error> {
        extends::load(path)
    }

    /// Checks the text of a policy file; `file` is its actual or assumed path.
    pub fn parse(toml: &str, file: &Path) -> Result<Self, Error> {
        extends::parse(toml, file, Format::Toml)
    }

    /// Checks a policy that is written as JSON, with the keys of the file; `file` is its actual or assumed path.
    pub fn from_json(json: &str, file: &Path) -> Result<Self, Error> {
        extends::parse(json, file, Format::Json)
    }

    /// The policy as canonical JSON: equal policies have equal texts. The store keeps it. Empty if a path in it is not UTF-8:
    /// hosts refuse such a policy.
    pub fn canonical(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Refuses a policy that has no canonical text.
    pub fn check_paths(&self) -> Result<(), Error> {
        match self.paths().find(|named| named.path.to_str().is_none()) {
            None => Ok(()),
            Some(named) => Err(Error::PathNotUtf8 { rule: named.to_string(), path: named.path.to_owned() }),
        }
    }

    /// Every path of the host in the policy, with the key or rule that names it.
    fn paths(&self) -> impl Iterator<Item = HostPath<'_>> {
        SECTIONS.iter().flat_map(|section| section.paths(self))
    }

    /// The first rule by which a guest can write to `path`, or to the folder at `path`.
    ///
    /// Files that control the host (policy file, audit log, store) must not be where a guest can write.
    pub fn writable_at(&self, path: &Path) -> Option<&str> {
        self.touched(path, Touch::Write)
    }

    /// The same, including a rule whose folder is inside the folder `path`.
    pub fn writable_around(&self, path: &Path) -> Option<&str> {
        self.writable_at(path).or_else(|| self.touched(path, Touch::WriteWithin))
    }

    fn touched(&self, path: &Path, touch: Touch) -> Option<&str> {
        SECTIONS.iter().find_map(|section| section.touches(self, path, touch))
    }

    /// Whether two policies have the same canonical text, without writing it. Paths to the same place may differ in their texts.
    pub fn is_same(&self, other: &Self) -> bool {
        self == other && self.paths().zip(other.paths()).all(|(a, b)| a.path.as_os_str() == b.path.as_os_str())
    }

    /// Reads a policy from its canonical text.
    pub fn from_canonical(json: &str) -> Result<Self, Error> {
        serde_json::from_str(json).map_err(|source| Error::Canonical { source })
    }

    /// The digest of the canonical JSON; pinned when an execution starts. It identifies any policy that hosts accept.
    pub fn digest(&self) -> Digest {
        Digest::of(self.canonical().as_bytes())
    }
}

/// Longest piece of guest text in a message or an audit line, in characters.
const LONGEST_QUOTE: usize = 200;

/// Text of the guest for messages: quoted, escaped and capped.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

/// Text of the guest, escaped and capped; a cut is shown as `...`.
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
            // A joining character needs one to join.
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
