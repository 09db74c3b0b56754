//! What went wrong with a connection or over it, for the guest, the retry and the audit.

use super::address::Class;
use crate::guest_error::{ErrorCode, GuestError};
use std::net::SocketAddr;

/// Why a request or a connection failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub cause: Cause,
    /// The address that was connected to, tried or refused last. For the audit log only.
    pub address: Option<SocketAddr>,
    /// Whether the server may have seen any part of the request.
    pub sent: bool,
}

/// What went wrong. No text in it holds an address, a secret or a path of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// A redirect was decided against; the error is the one of whoever decided.
    Denied(GuestError),
    /// No address of the host may be connected to.
    Refused(Class),
    /// A redirect leads where none may lead, whatever the rules.
    Misled(&'static str),
    /// What was asked for, or what came, cannot be searched for secrets, and may hold one.
    Unsearchable(&'static str),
    /// An argument is malformed.
    Invalid(String),
    /// The name has no address.
    NotFound,
    /// No connection could be made.
    Connect(String),
    /// The connection was lost, and the outcome with it.
    Interrupted(String),
    /// The deadline passed.
    TimedOut,
    /// More bytes than allowed.
    TooLarge {
        /// How many are allowed.
        max: u64,
    },
    /// The server does not keep to the protocol.
    BadResponse(String),
    /// More redirects than allowed.
    Redirects {
        /// How many are allowed.
        max: u32,
    },
}

impl Failure {
    /// Whether nothing was sent, so that the request may be repeated whatever it does.
    pub fn is_before_sending(&self) -> bool {
        !self.sent
    }

    /// Whether trying again may help: no connection could be made, or it was lost.
    pub fn is_transient(&self) -> bool {
        matches!(self.cause, Cause::Connect(_) | Cause::Interrupted(_))
    }

    /// What went wrong in a word, for the audit log.
    pub fn name(&self) -> &'static str {
        match self.cause {
            Cause::Denied(_) | Cause::Refused(_) | Cause::Misled(_) | Cause::Unsearchable(_) => "denied",
            Cause::Invalid(_) => "invalid",
            Cause::NotFound => "not-found",
            Cause::TimedOut => "timed-out",
            Cause::TooLarge { .. } | Cause::Redirects { .. } => "limit-exceeded",
            Cause::Connect(_) | Cause::Interrupted(_) | Cause::BadResponse(_) => "failed",
        }
    }

    /// The error for the guest; `subject` names the call without path, query or address, such as `fetch GET example.org:443`.
    pub fn into_guest(self, subject: &str) -> GuestError {
        let (code, why) = match self.cause {
            Cause::Denied(error) => return error,
            Cause::Refused(_) => (ErrorCode::Denied, "[network] permits no address of this host".to_owned()),
            Cause::Misled(why) => (ErrorCode::Denied, why.to_owned()),
            Cause::Unsearchable(what) => (
                ErrorCode::Denied,
                format!(
                    "{what}, and a rule attaches a secret to requests to this host; ask for the whole, or leave the secret out"
                ),
            ),
            Cause::Invalid(why) => (ErrorCode::Invalid, why),
            Cause::NotFound => (ErrorCode::NotFound, "the host name has no address".to_owned()),
            Cause::Connect(why) | Cause::Interrupted(why) | Cause::BadResponse(why) => (ErrorCode::Failed, why),
            Cause::TimedOut => (ErrorCode::TimedOut, "the server took too long".to_owned()),
            Cause::TooLarge { max } => (ErrorCode::LimitExceeded, format!("it is larger than the {max} bytes allowed")),
            Cause::Redirects { max } => (ErrorCode::LimitExceeded, format!("more than {max} redirects")),
        };
        GuestError::new(code, format!("{subject} ({why})"))
    }
}
