//! A call of the guest, as its capability describes it to the bridge.

use super::pipeline::Admitted;
use super::replay::describe_parts;
use crate::guest_error::GuestError;
use crate::policy;
use everstep_store::journal::Call;
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
}

/// An argument, for the digest of its step and for whoever has to approve that.
#[derive(Clone, Copy)]
pub(crate) struct Arg<'a> {
    pub(super) name: &'static str,
    pub(super) value: &'a [u8],
    /// Whether a person is shown it first and whole.
    pub(super) decides: bool,
}

/// What no policy can allow, as things are at the time of the call: looked at when the policy has let it through.
pub(crate) trait Floor: Sync {
    /// Whether the call may go on.
    ///
    /// # Errors
    /// A denial for the guest.
    fn check(&self) -> Result<(), GuestError>;
}

/// The digest of a step's arguments; empty when it has none.
pub(super) struct ArgsDigest(Option<[u8; 16]>);

impl<'a> Step<'a> {
    /// A step that a grant of the policy decides.
    pub(crate) fn new(kind: &'static str, subject: &'a str, args: &'a [Arg<'a>], grant: policy::Call<'a>) -> Self {
        Self { kind, subject, args, grant, floor: None }
    }

    /// A step that needs no grant.
    pub(crate) fn ungranted(kind: &'static str, subject: &'a str, args: &'a [Arg<'a>]) -> Self {
        Self::new(kind, subject, args, policy::Call::Ungranted)
    }
}

impl<'a> Arg<'a> {
    /// An argument that a person is shown after those that decide, cut where it is long.
    pub(crate) fn of(name: &'static str, value: &'a [u8]) -> Self {
        Self { name, value, decides: false }
    }

    /// An argument by which a person decides.
    pub(crate) fn deciding(name: &'static str, value: &'a [u8]) -> Self {
        Self { name, value, decides: true }
    }
}

impl Step<'_> {
    /// The step in words, for a divergence.
    pub(super) fn describe(&self, number: u64) -> String {
        describe_parts(number, self.kind, &capped(self.subject), self.digest().as_slice())
    }

    /// The digest of the arguments: BLAKE3 over each one and its length, 16 bytes of it.
    pub(super) fn digest(&self) -> ArgsDigest {
        if self.args.is_empty() {
            return ArgsDigest(None);
        }
        let mut hasher = blake3::Hasher::new();
        for Arg { value, .. } in self.args {
            hasher.update(&(value.len() as u64).to_le_bytes());
            hasher.update(value);
        }
        let mut digest = [0; 16];
        hasher.finalize_xof().fill(&mut digest);
        ArgsDigest(Some(digest))
    }

    pub(super) fn call<'a>(&'a self, admitted: &Admitted<'a>, at_ms: u64, digest: &'a ArgsDigest) -> Call<'a> {
        let args = digest.as_slice();
        let subject = capped(self.subject);
        Call { number: admitted.number, at_ms, kind: self.kind, args, subject, allowed: true, rule: admitted.rule }
    }
}

impl ArgsDigest {
    pub(super) fn as_slice(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |digest| digest.as_slice())
    }
}

pub(super) fn capped(subject: &str) -> Cow<'_, str> {
    match subject.char_indices().nth(SUBJECT) {
        None => Cow::Borrowed(subject),
        Some((end, _)) => Cow::Owned(format!("{}…", &subject[..end])),
    }
}
