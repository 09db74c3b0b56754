//! The error of every call, and how any error of a function becomes one.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bindings::everstep::host::types as wit;

/// Why a call or a function failed.
///
/// Its JSON is `{"code": "not-found", "message": "..."}`. A function whose own error type serialises to that shape keeps its code;
/// a string becomes the message of a `failed` error; any other JSON becomes the text of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Error {
    /// What to branch on.
    pub code: ErrorCode,
    /// What to show.
    pub message: String,
    /// Whether `Context::retry` must give up. It is said within the guest only: the JSON does not hold it.
    #[serde(skip)]
    terminal: bool,
}

/// The closed set of reasons; the same as `error-code` in `wit/types.wit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
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
    /// Somebody canceled it.
    Canceled,
    /// A quota or a limit of the policy is used up.
    LimitExceeded,
    /// The effect was started before a crash and nobody knows whether it happened.
    InDoubt,
    /// The effect, or the function, was tried and failed.
    Failed,
}

impl Error {
    /// An error with this code.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), terminal: false }
    }

    /// A `failed` error that shows `cause`; for `map_err(Error::failed)` on any error of another library.
    pub fn failed(cause: impl fmt::Display) -> Self {
        Self::new(ErrorCode::Failed, cause.to_string())
    }

    /// An `invalid` error that shows `cause`.
    pub fn invalid(cause: impl fmt::Display) -> Self {
        Self::new(ErrorCode::Invalid, cause.to_string())
    }

    /// The same error, marked so that [`Context::retry`](crate::Context::retry) gives up at once, whatever its code.
    ///
    /// ```
    /// # use everstep_sdk::{Error, ErrorCode};
    /// let sold_out = Error::terminal("sold out"); // for `return Err(...)`
    /// assert_eq!(sold_out.code, ErrorCode::Failed);
    /// let parsed = "x".parse::<u64>().map_err(Error::failed).map_err(Error::terminal); // for `?`
    /// ```
    pub fn terminal(error: impl Into<Self>) -> Self {
        Self { terminal: true, ..error.into() }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// The [`Error`] for a function's own error.
    pub(crate) fn of<E: Serialize>(error: &E) -> Self {
        let value = match serde_json::to_value(error) {
            Ok(value) => value,
            Err(cause) => return Self::failed(format!("the function failed with an error that is not JSON: {cause}")),
        };
        match Self::deserialize(&value) {
            Ok(error) => error,
            Err(_) => match value {
                Value::String(message) => Self::failed(message),
                other => Self::failed(other),
            },
        }
    }
}

impl ErrorCode {
    /// The code as WIT and JSON spell it, such as `not-found`.
    pub fn as_str(self) -> &'static str {
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

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Error {}

impl From<serde_json::Error> for Error {
    fn from(cause: serde_json::Error) -> Self {
        Self::invalid(cause)
    }
}

impl From<String> for Error {
    fn from(message: String) -> Self {
        Self::failed(message)
    }
}

impl From<&str> for Error {
    fn from(message: &str) -> Self {
        Self::failed(message)
    }
}

impl From<wit::Error> for Error {
    fn from(error: wit::Error) -> Self {
        Self::new(error.code.into(), error.message)
    }
}

impl From<Error> for wit::Error {
    fn from(error: Error) -> Self {
        Self { code: error.code.into(), message: error.message }
    }
}

impl From<wit::ErrorCode> for ErrorCode {
    fn from(code: wit::ErrorCode) -> Self {
        match code {
            wit::ErrorCode::Denied => Self::Denied,
            wit::ErrorCode::Invalid => Self::Invalid,
            wit::ErrorCode::NotFound => Self::NotFound,
            wit::ErrorCode::TimedOut => Self::TimedOut,
            wit::ErrorCode::Canceled => Self::Canceled,
            wit::ErrorCode::LimitExceeded => Self::LimitExceeded,
            wit::ErrorCode::InDoubt => Self::InDoubt,
            wit::ErrorCode::Failed => Self::Failed,
        }
    }
}

impl From<ErrorCode> for wit::ErrorCode {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::Denied => Self::Denied,
            ErrorCode::Invalid => Self::Invalid,
            ErrorCode::NotFound => Self::NotFound,
            ErrorCode::TimedOut => Self::TimedOut,
            ErrorCode::Canceled => Self::Canceled,
            ErrorCode::LimitExceeded => Self::LimitExceeded,
            ErrorCode::InDoubt => Self::InDoubt,
            ErrorCode::Failed => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_error_of_that_shape_keeps_its_code() {
        let denied = Error::new(ErrorCode::Denied, "no");
        assert_eq!(Error::of(&denied), denied);
        assert_eq!(Error::of(&json!({"code": "in-doubt", "message": "?", "more": 1})).code, ErrorCode::InDoubt);
    }

    #[test]
    fn any_other_error_is_a_failed_one() {
        assert_eq!(Error::of(&"broken"), Error::failed("broken"));
        assert_eq!(Error::of(&json!({"code": "odd", "message": "m"})).message, r#"{"code":"odd","message":"m"}"#);
        assert_eq!(Error::of(&42), Error::failed("42"));
    }

    #[test]
    fn the_terminal_mark_stays_out_of_the_json() {
        let error = Error::terminal(Error::new(ErrorCode::TimedOut, "late"));
        assert!(error.is_terminal());
        assert_eq!(serde_json::to_value(&error).unwrap(), json!({"code": "timed-out", "message": "late"}));
        assert!(!Error::of(&error).is_terminal());
    }

    #[test]
    fn codes_are_spelled_alike_in_json_and_text() {
        for code in [ErrorCode::NotFound, ErrorCode::TimedOut, ErrorCode::LimitExceeded, ErrorCode::InDoubt] {
            assert_eq!(serde_json::to_value(code).unwrap(), json!(code.as_str()));
        }
    }
}
