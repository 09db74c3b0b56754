//! The reasons that an operation has no answer.

use super::transport::Unreachable;
use crate::wire::VERSION;
use everstep_words::visible;
use serde_json::Value as Json;
use std::sync::Arc;

/// The most characters of a text of the server that are repeated.
const LONGEST: usize = 500;

/// The reason that an operation has no answer. No message contains the token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL cannot be used.
    #[error("the URL of the server {why}")]
    Url {
        /// What is wrong with it.
        why: String,
    },
    /// The token cannot be sent.
    #[error("the token has characters that no HTTP header may have")]
    Token,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {why}")]
    Tls {
        /// The reason.
        why: String,
    },
    /// No connection was made, or it was lost, until the patience was at an end.
    #[error("{}", no_answer(server, source))]
    Unreachable {
        /// The server.
        server: String,
        /// The last failure.
        source: Unreachable,
    },
    /// The server failed, or was overloaded, until the patience was at an end.
    #[error("the server at {server} is not available (status {status}): {why}")]
    Unavailable {
        /// The server.
        server: String,
        /// The last status.
        status: u16,
        /// What it says.
        why: String,
    },
    /// The answer is not one of the protocol.
    #[error("{server} answers, but not as a Resonate server ({why})")]
    NotResonate {
        /// The server.
        server: String,
        /// What it answers.
        why: String,
    },
    /// The server has a REST interface of before the protocol.
    #[error("{server} answers with status 410, as an old server that does not speak the protocol {VERSION}")]
    Old {
        /// The server.
        server: String,
    },
    /// The server speaks another version of the protocol.
    #[error("the server at {server} speaks another version of the protocol: {found}, not {VERSION}")]
    Version {
        /// The server.
        server: String,
        /// Its version.
        found: String,
    },
    /// Status 401: the server knows no such token.
    #[error("the server at {server} needs a valid token: {why}")]
    Unauthorized {
        /// The server.
        server: String,
        /// What it says.
        why: String,
    },
    /// Status 403: the token is not enough.
    #[error("the token is not permitted to do this at {server}: {why}")]
    Forbidden {
        /// The server.
        server: String,
        /// What it says.
        why: String,
    },
    /// The server refuses the probe for its dialect.
    #[error("the dialect of {server} cannot be found, so it has to be given: {why}")]
    Dialect {
        /// The server.
        server: String,
        /// Its answers.
        why: String,
    },
    /// The request is longer than a server reads. It was not sent, or the server refused it with status 413.
    #[error("the request {kind} has {size} bytes, and a server takes at most {limit}")]
    TooLarge {
        /// The request.
        kind: &'static str,
        /// Its length.
        size: usize,
        /// The most that a server takes.
        limit: usize,
    },
    /// The operation is none of the protocol.
    #[error("the protocol has no request for {operation}")]
    NoRequest {
        /// The operation.
        operation: &'static str,
    },
    /// The answer belongs to another request.
    #[error("{server} answers another request: {field} is {found:?}, not {expected:?}")]
    Mismatch {
        /// The server.
        server: String,
        /// The field of the envelope.
        field: &'static str,
        /// What was sent.
        expected: String,
        /// What came back.
        found: String,
    },
    /// The answer has no records that could be read.
    #[error("the answer of {server} to {kind} cannot be read: {why}")]
    Unreadable {
        /// The server.
        server: String,
        /// The request.
        kind: &'static str,
        /// The reason.
        why: String,
    },
}

impl Error {
    /// Whether the same request may succeed later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } => !matches!(source, Unreachable::TooLong { .. }),
            Self::Unavailable { .. } => true,
            _ => false,
        }
    }

    /// Whether the server may have done what the request asked for.
    pub(super) fn may_be_applied(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } => !matches!(source, Unreachable::Unsent(_)),
            // A proxy may have lost the answer.
            Self::Unavailable { status, .. } => *status != TOO_MANY,
            _ => false,
        }
    }
}

/// No answer, as a sentence.
fn no_answer(server: &str, source: &Unreachable) -> String {
    match source {
        Unreachable::Unsent(why) => format!("nothing answers at {server}: {why}"),
        Unreachable::Lost(why) => format!("no answer came from {server}: {why}"),
        Unreachable::TooLong { limit } => format!("the answer of {server} has more than {limit} bytes"),
    }
}

/// The status of a request that was not looked at.
const TOO_MANY: u16 = 429;

/// Repeats texts of the server: bounded, with escapes for what nobody would see, and without the token.
#[derive(Clone)]
pub(super) struct Quote {
    pub(super) token: Option<Arc<str>>,
}

impl Quote {
    pub(super) fn quote(&self, text: &str) -> String {
        let text = match self.token.as_deref().filter(|token| !token.is_empty()) {
            Some(token) => text.replace(token, "[token]"),
            None => text.to_owned(),
        };
        let mut short: String = text.chars().take(LONGEST).collect();
        if short.len() < text.len() {
            short.push('…');
        }
        let mut line = String::new();
        visible::push_escaped(&mut line, &short);
        line
    }
    /// What a server says in place of data.
    pub(super) fn reason(&self, data: &Json) -> String {
        self.quote(data.as_str().unwrap_or("it does not say why"))
    }
}
