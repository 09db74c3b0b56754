//! A call in words: a capability and its subject.

use crate::url::{Fault, Target};
use crate::{Call, FileOperation, quoted};
use std::fmt;

/// A call that a policy can be asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Reads the time, or waits.
    Clock,
    /// Draws random bytes.
    Random,
    /// Calls a capability by its name.
    Capability(String),
    /// Touches a file.
    Files(FileOperation, String),
    /// Requests a URL.
    Fetch(String, Target),
    /// Opens a connection.
    WebSocket(Target),
}

/// Why something is no question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoQuestion {
    /// The URL is none.
    #[error("{url} is no URL: {fault}")]
    Url {
        /// What was given, escaped.
        url: String,
        /// What is wrong.
        fault: Fault,
    },
    /// The capability takes a subject.
    #[error("{capability} needs a subject, such as {example}")]
    Subject {
        /// The capability.
        capability: &'static str,
        /// What one looks like.
        example: &'static str,
    },
    /// No rule decides about such calls.
    #[error("no rule decides about {0}")]
    Undecided(String),
}

const OPERATIONS: [FileOperation; 5] =
    [FileOperation::Read, FileOperation::Write, FileOperation::List, FileOperation::Stat, FileOperation::Remove];

impl Question {
    /// Reads a capability (`fetch`, `websocket`, `files.read`, `clock`, `random`, or a name such as `print`) or the interface and
    /// function that an audit line holds (`http.fetch`, `console.print`), with the subject: `METHOD URL`, a URL or a path.
    ///
    /// # Errors
    /// The subject is missing or malformed, or no rule decides about it.
    pub fn parse(capability: &str, subject: &str) -> Result<Self, NoQuestion> {
        let name = |name: &str| Ok(Self::Capability(name.to_owned()));
        match capability {
            "clock" | "timers.now" | "timers.sleep" | "timers.sleep-about" => Ok(Self::Clock),
            "random" | "random.bytes" | "random.uuid" => Ok(Self::Random),
            "console.print" => name("print"),
            "console.display" => name("display"),
            "console.input" => name("input"),
            "promises.create" => name("promise"),
            "bridge.send-request" => name(subject),
            "fetch" | "http.fetch" => Self::fetch(subject),
            "websocket" | "websocket.connect" if subject.is_empty() => {
                Err(NoQuestion::Subject { capability: "websocket", example: "\"wss://example.org/feed\"" })
            }
            "websocket" | "websocket.connect" => Ok(Self::WebSocket(target(subject)?)),
            "files.replace" => Self::files("write", subject),
            _ => match capability.strip_prefix("files.") {
                Some(operation) => Self::files(operation, subject),
                None if capability.contains('.') => Err(NoQuestion::Undecided(quoted(capability))),
                None => name(capability),
            },
        }
    }

    fn fetch(subject: &str) -> Result<Self, NoQuestion> {
        let (method, url) = subject.split_once(' ').unwrap_or(("GET", subject));
        if url.is_empty() {
            return Err(NoQuestion::Subject { capability: "fetch", example: "\"GET https://example.org/x\"" });
        }
        Ok(Self::Fetch(method.to_owned(), target(url)?))
    }

    fn files(operation: &str, path: &str) -> Result<Self, NoQuestion> {
        let found = OPERATIONS.into_iter().find(|one| one.name() == operation);
        let operation = found.ok_or_else(|| NoQuestion::Undecided(quoted(&format!("files.{operation}"))))?;
        if path.is_empty() {
            return Err(NoQuestion::Subject { capability: "files", example: "\"/data/x\"" });
        }
        Ok(Self::Files(operation, path.to_owned()))
    }

    /// The call, without a payload.
    pub fn call(&self) -> Call<'_> {
        match self {
            Self::Clock => Call::Clock,
            Self::Random => Call::Random { bytes: 0 },
            Self::Capability(name) => Call::Capability { name, bytes: 0 },
            Self::Files(operation, path) => Call::Files { operation: *operation, path, bytes: 0 },
            Self::Fetch(method, url) => Call::Fetch { method, url, bytes: 0 },
            Self::WebSocket(url) => Call::WebSocket { url },
        }
    }
}

fn target(url: &str) -> Result<Target, NoQuestion> {
    Target::parse(url).map_err(|fault| NoQuestion::Url { url: quoted(url), fault })
}

/// Capability and subject, escaped and capped.
impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = crate::escaped;
        match self {
            Self::Fetch(method, url) => write!(f, "fetch {} {}", escaped(method), escaped(url.as_str())),
            Self::Capability(name) => write!(f, "capability {}", quoted(name)),
            Self::Files(operation, path) => write!(f, "{operation} {}", quoted(path)),
            Self::WebSocket(url) => write!(f, "websocket {}", escaped(url.as_str())),
            Self::Clock => f.write_str("clock"),
            Self::Random => f.write_str("random"),
        }
    }
}
