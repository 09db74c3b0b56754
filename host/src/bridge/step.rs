//! A call of the guest, as its capability describes it to the bridge.

use super::state::describe_parts;
use crate::guest_error::GuestError;
use crate::policy;
use std::borrow::Cow;

/// Characters of a subject that a record keeps.
const SUBJECT: usize = 512;

/// See the module.
pub(crate) struct Step<'a> {
    /// The interface and function, such as `files.read`.
    pub(crate) kind: &'static str,
    /// What the call is about, for people.
    pub(crate) subject: &'a str,
    /// Everything that the outcome depends on.
    pub(crate) args: &'a [Arg<'a>],
    /// What the policy has to grant.
    pub(crate) grant: policy::Call<'a>,
    /// What no policy can allow.
    pub(crate) floor: Option<&'a dyn Floor>,
    /// The digest of the arguments, if it is known.
    pub(crate) digest: Option<ArgsDigest>,
    /// Of its arguments, what a divergence tells in words: nothing that could be secret.
    pub(crate) told: &'a str,
}

/// An argument, for the digest of its step and for an approver.
#[derive(Clone, Copy)]
pub(crate) struct Arg<'a> {
    pub(super) name: &'static str,
    pub(super) value: &'a [u8],
    /// Whether approvers see it first and in full.
    pub(super) decides: bool,
}

/// A condition that no policy can lift, checked when the policy has allowed the call.
pub(crate) trait Floor: Sync {
    /// Checks that the call may proceed.
    ///
    /// # Errors
    /// A denial for the guest.
    fn check(&self) -> Result<(), GuestError>;
}

/// The digest of a step's arguments; empty when it has none.
#[derive(Clone, Copy)]
pub(crate) struct ArgsDigest(Option<[u8; 16]>);

impl<'a> Step<'a> {
    /// A step that a grant of the policy decides.
    pub(crate) fn new(kind: &'static str, subject: &'a str, args: &'a [Arg<'a>], grant: policy::Call<'a>) -> Self {
        Self { kind, subject, args, grant, floor: None, digest: None, told: "" }
    }

    /// A step that needs no grant.
    pub(crate) fn ungranted(kind: &'static str, subject: &'a str, args: &'a [Arg<'a>]) -> Self {
        Self::new(kind, subject, args, policy::Call::Ungranted)
    }
}

impl<'a> Arg<'a> {
    /// An argument that an approver sees after the deciding ones, cut if it is long.
    pub(crate) fn of(name: &'static str, value: &'a [u8]) -> Self {
        Self { name, value, decides: false }
    }

    /// An argument by which an approver decides.
    pub(crate) fn deciding(name: &'static str, value: &'a [u8]) -> Self {
        Self { name, value, decides: true }
    }
}

impl Step<'_> {
    /// The step in words, for a divergence message.
    pub(super) fn describe(&self, number: u64) -> String {
        let told = if self.told.is_empty() { String::new() } else { format!(" with {}", self.told) };
        describe_parts(number, self.kind, &capped(self.subject), self.digest().as_slice()) + &told
    }

    /// The digest of the arguments.
    pub(super) fn digest(&self) -> ArgsDigest {
        let taken = || (!self.args.is_empty()).then(|| digest(self.args.iter().map(|arg| arg.value)));
        self.digest.unwrap_or_else(|| ArgsDigest(taken()))
    }

    /// The key that an approval is bound to: the digest of the kind and the exact arguments.
    pub(super) fn approval_key(&self) -> [u8; 16] {
        digest(std::iter::once(self.kind.as_bytes()).chain(self.args.iter().map(|arg| arg.value)))
    }
}

/// The first 16 bytes of BLAKE3 over the length and value of each part.
fn digest<'a>(parts: impl Iterator<Item = &'a [u8]>) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut digest = [0; 16];
    digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    digest
}

impl ArgsDigest {
    pub(super) fn as_slice(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |digest| digest.as_slice())
    }
}

/// A subject as a record keeps it.
pub(crate) fn capped(subject: &str) -> Cow<'_, str> {
    // No text has more characters than bytes.
    let end = if subject.len() <= SUBJECT { None } else { subject.char_indices().nth(SUBJECT) };
    match end {
        None => Cow::Borrowed(subject),
        Some((end, _)) => Cow::Owned(format!("{}…", &subject[..end])),
    }
}
