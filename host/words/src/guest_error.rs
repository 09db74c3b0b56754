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
        Self { code, message: message.into() }
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
