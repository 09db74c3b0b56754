//! Ids of executions and their promises, and digests of content-addressed bytes.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The id of an execution: chosen by the caller, and its idempotency key.
///
/// 1 to 128 characters out of ASCII letters, digits, `-`, `_`, `:` and `/`. A dot and a number after it make the id of a child:
/// `order-7.3` is what step 3 of `order-7` called. What an SDK of another language calls without waiting for it has a hash after the dot.
/// Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExecutionId(Arc<str>);

/// The durable id of a promise, `{execution}.{number}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PromiseId {
    /// The execution whose step created the promise.
    pub execution: ExecutionId,
    /// The number of that step.
    pub number: u64,
}

/// The SHA-256 of some bytes: of a component, or of a policy in its canonical form.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

/// The error for a text that is not an id.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not {what}: {rule}")]
pub struct InvalidId {
    text: String,
    what: &'static str,
    rule: &'static str,
}

const EXECUTION_RULE: &str = "use 1 to 128 of the characters a-z, A-Z, 0-9, '-', '_', ':' and '/'; \
    dots separate the step numbers in the id of a child";
const PROMISE_RULE: &str = "it reads EXECUTION.NUMBER, as printed by `everstep promise list`";

impl ExecutionId {
    /// The longest id, in characters.
    pub const LONGEST: usize = 128;

    /// Checks and wraps an id.
    pub fn new(id: impl Into<String>) -> Result<Self, InvalidId> {
        let id = id.into();
        let mut parts = id.split('.');
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_:/".contains(&byte);
        let root = parts.next().is_some_and(|root| !root.is_empty() && root.bytes().all(allowed));
        if !root || id.len() > Self::LONGEST || !parts.all(|part| is_number(part) || is_hash(part)) {
            return Err(InvalidId { text: id, what: "an execution id", rule: EXECUTION_RULE });
        }
        Ok(Self(id.into()))
    }

    /// The id of the child that step `number` called; `None` if it would be too long.
    pub fn child(&self, number: u64) -> Option<Self> {
        let id = format!("{}.{number}", self.0);
        (id.len() <= Self::LONGEST).then(|| Self(id.into()))
    }

    /// The execution that called this one, and the step; `None` if it was not called by another one.
    pub fn parent(&self) -> Option<PromiseId> {
        self.0.contains('.').then(|| self.0.parse().ok()).flatten()
    }

    /// Whether it is `other`, or was called by it, directly or not.
    pub fn is_within(&self, other: &Self) -> bool {
        let below = self.0.strip_prefix(other.as_str());
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// The id of the execution at the root of the call tree.
    pub fn root(&self) -> &str {
        self.0.split('.').next().unwrap_or(&self.0)
    }

    /// A fresh random id.
    #[allow(clippy::disallowed_methods, reason = "an id is made outside any execution")]
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().to_string().into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The durable id of the promise that step `number` created.
    pub fn promise(&self, number: u64) -> PromiseId {
        PromiseId { execution: self.clone(), number }
    }
}

/// The address of the workers of a group; `None` if that is not a valid name of a group.
pub fn group_address(group: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let named = !group.is_empty() && group.len() <= 64 && group.bytes().all(allowed);
    named.then(|| format!("poll://any@{group}"))
}

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// Whether a text is a step number as it is written: without a sign and leading zeros, so that a step has one id.
fn is_number(text: &str) -> bool {
    text.parse::<u64>().is_ok_and(|number| number.to_string() == text)
}

/// Whether a text is the mark by which the SDKs of other languages name what they detach: 14 or 16 hexadecimal digits, some after a `d`.
fn is_hash(text: &str) -> bool {
    let is_hex = |digits: &str| digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_mark = |digits: &str| matches!(digits.len(), 14 | 16) && is_hex(digits);
    is_mark(text) || text.strip_prefix('d').is_some_and(is_mark)
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PromiseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.execution, self.number)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 64];
        hex::encode_to_slice(self.0, &mut digits).map_err(|_| fmt::Error)?;
        f.write_str("sha256:")?;
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ExecutionId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::new(text)
    }
}

impl FromStr for PromiseId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId { text: text.to_owned(), what: "a promise id", rule: PROMISE_RULE };
        let (execution, number) = text.rsplit_once('.').ok_or_else(invalid)?;
        if !is_number(number) {
            return Err(invalid());
        }
        Ok(Self { execution: ExecutionId::new(execution)?, number: number.parse().map_err(|_| invalid())? })
    }
}

impl FromStr for Digest {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bytes = text.strip_prefix("sha256:").and_then(|hex| hex::decode(hex).ok());
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        let invalid =
            || InvalidId { text: text.to_owned(), what: "a digest", rule: "it reads sha256: and 64 hex digits" };
        bytes.map(Self).ok_or_else(invalid)
    }
}

macro_rules! text_conversions {
    ($($id:ty),*) => {$(
        impl TryFrom<String> for $id {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }
        impl From<$id> for String {
            fn from(id: $id) -> String {
                id.to_string()
            }
        }
    )*};
}
text_conversions!(ExecutionId, PromiseId, Digest);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_id_reads_back_as_it_was_printed() {
        let id = ExecutionId::new("order:7/a").unwrap().promise(12);
        assert_eq!(id.to_string(), "order:7/a.12");
        assert_eq!(id.to_string().parse::<PromiseId>().unwrap(), id);
    }

    #[test]
    fn a_child_is_named_after_the_step_that_called_it() {
        let id = ExecutionId::new("order-7").unwrap();
        let child = id.child(3).unwrap().child(0).unwrap();
        assert_eq!((child.as_str(), child.root()), ("order-7.3.0", "order-7"));
        assert_eq!(child.parent().unwrap(), id.child(3).unwrap().promise(0));
        assert_eq!((id.parent(), id.child(3).unwrap().parent()), (None, Some(id.promise(3))));
        assert!(ExecutionId::new("x".repeat(127)).unwrap().child(0).is_none());
    }

    #[test]
    fn what_an_sdk_detaches_is_an_execution_that_no_step_called() {
        for id in [
            "a.0123456789abcdef",
            "a.d0123456789abcd",
            "a.1.d123456789abcdef",
            "a.d0d23456789abcdef",
            "a.0d23456789abcdef.3",
        ] {
            assert_eq!(ExecutionId::new(id).unwrap().root(), "a", "{id}");
        }
        let detached = ExecutionId::new("a.0123456789abcdef").unwrap();
        assert_eq!((detached.parent(), detached.child(3).unwrap().parent()), (None, Some(detached.promise(3))));
        for id in ["a.0123456789abcde", "a.0123456789ABCDEF", "a.x0123456789abcdef", "a.d0123456789ab", "a.d.0"] {
            assert!(ExecutionId::new(id).is_err(), "{id}");
        }
    }

    #[test]
    fn ids_with_other_characters_are_refused() {
        for id in ["", "a b", "a.b", "a.", ".1", "a..1", "a.01", "a.+1", "ü", "a\n", &"x".repeat(129)] {
            assert!(ExecutionId::new(id).is_err(), "{id:?}");
        }
        for id in ["a", "a.", "a.-1", "a.01", "a.+1", ".1", "a.b.1"] {
            assert!(id.parse::<PromiseId>().is_err(), "{id:?}");
        }
    }
}
