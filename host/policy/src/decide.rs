//! Decides calls: a pure function of the policy, the call, the time and the quotas used so far. The section that a call belongs to
//! decides.
//!
//! Rules are tried in the order of the file. The first one that matches a call is recorded, and its bounds and quotas apply; apart from
//! that the order has no meaning.

use super::section::{AskRule, Call, Policy, SECTIONS};
use super::usage::Usage;
use everstep_words::guest_error::{ErrorCode, GuestError, Reason};
use std::time::Duration;

/// The decision, and the rule that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<'p> {
    /// The call may proceed.
    Allow {
        /// The first rule that matches: `clock`, `random`, `capability.NAME` or the id of a rule; empty for a call that needs no grant.
        rule: &'p str,
    },
    /// The call may proceed once a human has approved it. It is decided again then, so the floor and the denials still
    /// apply.
    Ask {
        /// The first `[[ask]]` rule that matches.
        rule: &'p str,
        /// The rule whose bounds and quotas apply: the grant that also matches, or an `[[ask]]` rule whose approval is
        /// enough.
        terms: &'p str,
    },
    /// The guest gets `error`.
    Deny {
        /// The rule that refuses or comes nearest; `network` for an address that may not be connected to, `default` if there
        /// is none.
        rule: &'p str,
        /// The error for the guest.
        error: GuestError,
    },
}

impl Verdict<'_> {
    /// The same denial with its reason.
    pub(super) fn because(self, reason: Reason) -> Self {
        match self {
            Self::Deny { rule, error } => Self::Deny { rule, error: error.because(reason) },
            verdict => verdict,
        }
    }
}

/// The rule of a denial that no rule comes close to.
pub(super) const DEFAULT: &str = "default";

impl Policy {
    /// Decides one call made at `now_ms`. No I/O; nothing is allocated for an allowed call.
    #[inline]
    pub fn decide(&self, call: &Call<'_>, used: &Usage, now_ms: u64) -> Verdict<'_> {
        call.as_decided().decide(self, used, now_ms)
    }

    /// Whether any rule could let a guest make a connection.
    pub fn reaches_the_network(&self) -> bool {
        SECTIONS.iter().any(|section| section.reaches_the_network(self))
    }

    /// A message if a payload is larger than any call may carry.
    pub(super) fn over_size(&self, bytes: u64) -> Option<String> {
        let max = self.limits.bytes_per_call;
        (bytes > max).then(|| format!("{bytes} bytes in one call; limits.bytes_per_call = {max}"))
    }
}

impl Call<'_> {
    /// Size of the payload.
    pub fn bytes(&self) -> u64 {
        self.as_decided().bytes()
    }

    /// The call in words, without anything that could be secret; `None` if the step describes it completely.
    pub fn words(&self) -> Option<String> {
        self.as_decided().words()
    }

    /// Whether the call counts as open under its rule until it is settled.
    pub fn stays_open(&self) -> bool {
        self.as_decided().stays_open()
    }

    /// Whether it is a part of a call that was decided already, such as a message over a connection, or needs no decision.
    pub fn is_part(&self) -> bool {
        self.as_decided().is_part()
    }

    /// What the call uses of this machine under its own policy that another one, which allows it too, does not lend it: another folder, or
    /// a secret. `None` if there is nothing.
    pub fn borrows(&self, ours: &Policy, theirs: &Policy) -> Option<String> {
        self.as_decided().borrows(ours, theirs)
    }

    /// How long the call may take under the rule that allows it; `None`: as long as the guest likes.
    pub fn time_allowed(&self, policy: &Policy, rule: &str) -> Option<Duration> {
        self.as_decided().time_allowed(policy, rule)
    }
}

/// The verdict on a call that a grant allows: allowed, or subject to an `[[ask]]` rule.
pub(super) fn allowed_or_asked<'p>(grant: &'p str, ask: Option<&'p AskRule>) -> Verdict<'p> {
    match ask {
        Some(ask) => Verdict::Ask { rule: &ask.rule, terms: grant },
        None => Verdict::Allow { rule: grant },
    }
}

/// A denial by a rule, or because no rule allows the call.
#[cold]
pub(super) fn denied(rule: &str, message: String) -> Verdict<'_> {
    Verdict::Deny { rule, error: GuestError::new(ErrorCode::Denied, message) }
}

/// A denial by a bound or a quota.
#[cold]
pub(super) fn exceeded(rule: &str, message: String) -> Verdict<'_> {
    Verdict::Deny { rule, error: GuestError::new(ErrorCode::LimitExceeded, message) }
}
