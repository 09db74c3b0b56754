//! The error that a guest sees: a closed set of codes and a message without host paths, addresses or secrets.

use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The reason that a call failed, or that a function returned an error; mirrors `everstep:host/types.error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestError {
    /// The kind of failure.
    pub code: ErrorCode,
    /// What failed and what to do about it.
    pub message: String,
    /// What exactly failed, where an interface has a code of its own for it. A journal keeps it; a guest of ours does not see it.
    #[serde(skip)]
    pub reason: Reason,
}

/// What exactly failed, as far as more than one interface has to name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reason {
    /// Nothing that the code of the error does not say.
    #[default]
    Other,
    /// A journal of an earlier build keeps no reasons.
    Unrecorded,
    /// No address of the server may be connected to.
    Address,
    /// A name server failed, or its answer cannot be read.
    NameServer,
    /// The name server does not answer.
    NameServerSilent,
    /// The server refuses connections.
    Refused,
    /// There is no way to the server.
    Unreachable,
    /// No connection was made in time.
    Unconnected,
    /// The connection was lost.
    Lost,
    /// The certificate of the server is not trusted.
    Certificate,
    /// The TLS handshake failed.
    Handshake,
    /// The rest of the response took too long.
    Silence,
    /// The request is too large.
    LargeRequest,
    /// The response is too large.
    LargeResponse,
    /// Too many calls are open.
    Concurrent,
}

/// The kinds of failure; mirrors `everstep:host/types.error-code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// The policy does not grant the call.
    Denied,
    /// An argument is malformed.
    Invalid,
    /// The named thing does not exist.
    NotFound,
    /// The deadline passed first.
    TimedOut,
    /// It was canceled.
    Canceled,
    /// A quota or a limit of the policy is used up.
    LimitExceeded,
    /// The effect was started before a crash, and it is unknown whether it happened.
    InDoubt,
    /// The effect was tried and failed.
    Failed,
}

impl GuestError {
    /// An error of the given kind.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), reason: Reason::Other }
    }

    /// The same with its reason.
    #[must_use]
    pub fn because(self, reason: Reason) -> Self {
        Self { reason, ..self }
    }
}

impl ErrorCode {
    /// The WIT name, such as `not-found`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::NotFound => "not-found",
            Self::TimedOut => "timed-out",
            Self::Canceled => "canceled",
            Self::LimitExceeded => "limit-exceeded",
            Self::InDoubt => "in-doubt",
            Self::Failed => "failed",
        }
    }
}

impl FromStr for ErrorCode {
    type Err = serde::de::value::Error;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::deserialize(name.into_deserializer())
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for GuestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for GuestError {}
