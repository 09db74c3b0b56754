//! The failures of connections, for the guest, for retries and for the audit.

use super::address::Class;
use crate::guest_error::{ErrorCode, GuestError, Reason};
use std::net::SocketAddr;

/// The failure of a request or a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The cause.
    pub cause: Cause,
    /// The address that was connected to, tried or refused last. For the audit log only.
    pub address: Option<SocketAddr>,
    /// Whether the server may have seen any part of the request.
    pub sent: bool,
}

/// The cause of a failure. Its texts contain no address, secret or path of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// A redirect was denied, with this error.
    Denied(GuestError),
    /// No address of the server may be connected to.
    Refused(Class),
    /// A redirect leads to a target that no rule can permit.
    Misled(&'static str),
    /// The request or the response cannot be searched for secrets, and may contain one.
    Unsearchable(&'static str),
    /// An argument is malformed.
    Invalid(String),
    /// The name has no address.
    NotFound,
    /// No connection could be made; why, and in words.
    Connect(Reason, String),
    /// The connection was lost, and the outcome with it.
    Interrupted(String),
    /// The deadline passed.
    TimedOut,
    /// Nothing more of the response arrived for longer than the guest wants to wait.
    Silent,
    /// More bytes than allowed.
    TooLarge {
        /// The most bytes that are allowed.
        max: u64,
    },
    /// The server violates the protocol.
    BadResponse(String),
    /// More redirects than allowed.
    Redirects {
        /// The most redirects that are allowed.
        max: u32,
    },
}

impl Failure {
    /// Whether nothing was sent, so that any request may be repeated.
    pub fn is_before_sending(&self) -> bool {
        !self.sent
    }

    /// Whether a retry may help: no connection could be made, or it was lost.
    pub fn is_transient(&self) -> bool {
        matches!(self.cause, Cause::Connect(..) | Cause::Interrupted(_))
    }

    /// The cause in a word, for the audit log.
    pub fn name(&self) -> &'static str {
        match self.cause {
            Cause::Denied(_) | Cause::Refused(_) | Cause::Misled(_) | Cause::Unsearchable(_) => "denied",
            Cause::Invalid(_) => "invalid",
            Cause::NotFound => "not-found",
            Cause::TimedOut | Cause::Silent => "timed-out",
            Cause::TooLarge { .. } | Cause::Redirects { .. } => "limit-exceeded",
            Cause::Connect(..) | Cause::Interrupted(_) | Cause::BadResponse(_) => "failed",
        }
    }

    /// The error for the guest; `subject` names the call without path, query or address, such as `fetch GET example.org:443`.
    pub fn into_guest(self, subject: &str) -> GuestError {
        let reason = self.cause.reason();
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
            Cause::Connect(_, why) | Cause::Interrupted(why) | Cause::BadResponse(why) => (ErrorCode::Failed, why),
            Cause::TimedOut => (ErrorCode::TimedOut, "the server took too long".to_owned()),
            Cause::Silent => (ErrorCode::TimedOut, "the rest of the response took too long".to_owned()),
            Cause::TooLarge { max } => (ErrorCode::LimitExceeded, format!("it is larger than the {max} bytes allowed")),
            Cause::Redirects { max } => (ErrorCode::LimitExceeded, format!("more than {max} redirects")),
        };
        GuestError::new(code, format!("{subject} ({why})")).because(reason)
    }
}

impl Cause {
    fn reason(&self) -> Reason {
        match self {
            Self::Refused(_) => Reason::Address,
            Self::Connect(reason, _) => *reason,
            Self::Interrupted(_) => Reason::Lost,
            Self::Silent => Reason::Silence,
            Self::TooLarge { .. } => Reason::LargeResponse,
            _ => Reason::Other,
        }
    }
}
