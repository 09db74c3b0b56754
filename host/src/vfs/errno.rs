//! How an operation on a file fails.

use crate::guest_error::{ErrorCode, GuestError};
use serde::{Deserialize, Serialize};

/// The reason that the guest gets, by its name in `wasi:filesystem`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Errno {
    #[serde(rename = "access")]
    Denied,
    BadDescriptor,
    Busy,
    CrossDevice,
    Exist,
    FileTooLarge,
    InsufficientMemory,
    InsufficientSpace,
    Invalid,
    Io,
    IsDirectory,
    NameTooLong,
    NoEntry,
    NotDirectory,
    NotEmpty,
    NotPermitted,
    Overflow,
    Quota,
    ReadOnly,
    Unsupported,
}

/// The failure of an operation.
#[derive(Debug)]
pub(crate) enum Fail {
    Errno(Errno),
    /// The policy, a person or the host has refused the step.
    Refused(GuestError),
    /// The run ends.
    End(wasmtime::Error),
}

pub(crate) type Result<T> = std::result::Result<T, Fail>;

impl Fail {
    /// The reason for the guest.
    ///
    /// # Errors
    /// The run ends.
    pub(crate) fn errno(self) -> wasmtime::Result<Errno> {
        match self {
            Self::Errno(errno) => Ok(errno),
            Self::Refused(error) => Ok(match error.code {
                // A call that is interrupted is repeated by every standard library; this one is refused.
                ErrorCode::Denied | ErrorCode::TimedOut | ErrorCode::Canceled => Errno::Denied,
                ErrorCode::Invalid => Errno::Invalid,
                ErrorCode::NotFound => Errno::NoEntry,
                ErrorCode::LimitExceeded => Errno::Quota,
                _ => Errno::Io,
            }),
            Self::End(error) => Err(error),
        }
    }
}

impl From<Errno> for Fail {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl Errno {
    /// The reason in words.
    pub(crate) fn told(self) -> &'static str {
        match self {
            Self::Denied => "it may not be used",
            Self::BadDescriptor => "the handle does not allow it",
            Self::Busy => "others change it all the time",
            Self::CrossDevice => "the paths lie under different rules",
            Self::Exist => "it exists",
            Self::FileTooLarge => "it would be larger than its rule allows (max_file)",
            Self::InsufficientMemory => "the memory of the execution is used up (limits.memory)",
            Self::InsufficientSpace => "there is no space for it",
            Self::Invalid => "it is no valid path or argument",
            Self::Io => "the host failed to read or write it",
            Self::IsDirectory => "it is a folder",
            Self::NameTooLong => "its name is too long",
            Self::NoEntry => "it does not exist",
            Self::NotDirectory => "it is no folder, or lies below a file",
            Self::NotEmpty => "the folder is not empty",
            Self::NotPermitted => "it is not permitted",
            Self::Overflow => "a number is too large",
            Self::Quota => "a quota of its rule is used up",
            Self::ReadOnly => "it may only be read",
            Self::Unsupported => "links are refused",
        }
    }
}
