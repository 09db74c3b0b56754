//! What `[[ask]]` says: calls that a human approves one by one.

use super::list::Addressed;
use super::url::Pattern;
use super::{FetchGrant, WebSocketGrant, units};
use serde::de::Deserializer;
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::time::Duration;

/// `[[ask]]`: calls that suspend the execution until somebody approves them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskRule {
    /// The rule's id; `ask.N`, counted from 1, when the file gives none.
    pub rule: String,
    /// Which calls.
    pub when: When,
    /// Which methods of a fetch, in upper case; all when it is empty.
    pub methods: Vec<String>,
    /// Which URLs of a fetch or a connection; all when there is none.
    pub url: Option<Pattern>,
    /// How long somebody may take to answer; then the call is denied.
    #[serde(with = "units::milliseconds")]
    pub ttl: Duration,
    /// How long an approval holds.
    pub remember: Remember,
    /// Whether an approval is enough for a fetch or a connection that no other rule grants. Not so for a rule that a policy adds to
    /// those of the policies it extends, nor where a function, or a policy that extends another, leaves such grants out: it asks
    /// before what is granted, and lets nothing else through. Has no meaning for files and capabilities, which are always granted as well.
    pub sufficient: bool,
}

/// Which calls an `[[ask]]` rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// Requests.
    Fetch,
    /// Opening connections.
    WebSocket,
    /// Writing files.
    FilesWrite,
    /// Removing files.
    FilesRemove,
    /// Calls of one capability, by its name.
    Capability(String),
}

/// How long an approval holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Remember {
    /// For this call.
    Once,
    /// For the same call whenever this execution makes it again.
    Execution,
}

impl AskRule {
    /// How long an approval may take where the file does not say.
    pub const TTL: Duration = Duration::from_secs(24 * 3600);

    /// Whether the rule is about requests with this method.
    pub(super) fn is_about_fetch(&self, method: &str) -> bool {
        self.when == When::Fetch && (self.methods.is_empty() || self.methods.iter().any(|one| one == method))
    }

    /// Whether the rule may be about a request that the grant is about.
    pub(super) fn overlaps_fetch(&self, grant: &FetchGrant) -> bool {
        let methods = self.methods.is_empty() || self.methods.iter().any(|one| grant.methods.contains(one));
        self.when == When::Fetch && methods && self.url.as_ref().is_none_or(|url| url.overlaps(&grant.url))
    }

    /// Whether the rule may be about a connection that the grant is about.
    pub(super) fn overlaps_websocket(&self, grant: &WebSocketGrant) -> bool {
        self.when == When::WebSocket && self.url.as_ref().is_none_or(|url| url.overlaps(&grant.url))
    }

    /// Whether the rule is about the capability with this name.
    pub(super) fn is_about_capability(&self, name: &str) -> bool {
        matches!(&self.when, When::Capability(one) if one == name)
    }
}

impl When {
    /// Reads `fetch`, `websocket`, `files.write`, `files.remove`, or the name of a capability.
    pub(super) fn parse(text: &str) -> Self {
        match text {
            "fetch" => Self::Fetch,
            "websocket" => Self::WebSocket,
            "files.write" => Self::FilesWrite,
            "files.remove" => Self::FilesRemove,
            name => Self::Capability(name.to_owned()),
        }
    }

    /// What the file says.
    pub fn name(&self) -> &str {
        match self {
            Self::Fetch => "fetch",
            Self::WebSocket => "websocket",
            Self::FilesWrite => "files.write",
            Self::FilesRemove => "files.remove",
            Self::Capability(name) => name,
        }
    }
}

impl Addressed for AskRule {
    fn url(&self) -> Option<&Pattern> {
        self.url.as_ref()
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for When {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::parse(&String::deserialize(deserializer)?))
    }
}
