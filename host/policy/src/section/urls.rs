//! The common part of sections about URLs.
//!
//! The order of a decision: an address that must not be connected to; then the first matching rule of the section and the first
//! matching `[[ask]]` rule. If there is a grant, its bounds and quotas apply: a call that exceeds them is denied, and no later rule
//! is tried. A call within them is allowed, or subject to approval if an `[[ask]]` rule matches. Without a grant, an `[[ask]]` rule
//! whose approval is enough allows it with the default bounds.

use super::{NoQuestion, Policy, free_id};
use crate::address;
use crate::decide::{DEFAULT, Verdict, denied};
use crate::quoted;
use crate::url::Target;
use everstep_words::guest_error::Reason;
use std::fmt;

/// A grant or an `[[ask]]` rule, as far as it matters for a decision.
pub(super) struct Match<'p, T> {
    pub(super) rule: &'p str,
    pub(super) terms: &'p T,
}

/// The denial of a host that is written as an address which must not be connected to. Names are checked once they are
/// resolved.
#[inline]
pub(super) fn floor<'p>(policy: &Policy, call: &dyn fmt::Display, url: &Target) -> Option<Verdict<'p>> {
    let class = policy.network.check(url.ip()?).err()?;
    Some(denied("network", format!("{call} ({class}; [network] allow does not name it)")).because(Reason::Address))
}

/// A denial by the nearest rule of the section, which allows something else.
#[cold]
pub(super) fn unmatched<'p>(section: &str, call: &dyn fmt::Display, nearest: Option<(&'p str, String)>) -> Verdict<'p> {
    match nearest {
        None => denied(DEFAULT, format!("{call} (the policy has no [[{section}]] rule)")),
        Some((rule, allows)) => denied(rule, format!("{call} (nearest rule \"{rule}\" allows {allows})")),
    }
}

/// Reads the URL of a question.
pub(super) fn target(url: &str) -> Result<Target, NoQuestion> {
    Target::parse(url).map_err(|fault| NoQuestion::Url { url: quoted(url), fault })
}

/// Suffixes of names in the host's own network.
const PRIVATE_NAMES: [&str; 5] = ["localhost", "local", "internal", "lan", "home.arpa"];

/// The reason that no rule about a URL is offered, whatever the policy is.
pub(super) fn private(url: &Target) -> Option<&'static str> {
    if url.ip().is_some_and(|ip| address::Rules::default().check(ip).is_err()) {
        return Some(
            "the address is not a global one; only [network] allow can open it, which is for a person to decide",
        );
    }
    let name = url.host();
    let private = |suffix: &str| name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let is_private = url.ip().is_none() && (!name.contains('.') || PRIVATE_NAMES.into_iter().any(private));
    is_private.then_some("the name stands for a machine of the host's own network")
}

/// An unused id, based on the host.
pub(super) fn id_after_host(policy: &Policy, url: &Target) -> String {
    let plain = |one: char| if one.is_ascii_alphanumeric() { one } else { '-' };
    let name = url.host().chars().map(plain).take(40).collect::<String>();
    free_id(policy, name.trim_matches('-'))
}
