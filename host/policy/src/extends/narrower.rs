//! Whether a policy allows nothing that a base denies.

use super::Checked;
use super::cover::{Cover, Grant, cover};
use crate::limits::Kind;
use crate::units::{count_text, size_text, span_text};
use crate::{AskRule, CapabilityGrant, ClockGrant, Error, Policy, RandomGrant, When};
use std::collections::BTreeMap;
use std::time::Duration;

/// For each rule about files and URLs, and each rule that asks, the rule of the base that it is a part of.
pub(crate) struct Covers(BTreeMap<String, String>);

impl Covers {
    /// The id of the rule of the base.
    pub(crate) fn of(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }
}

/// Compares a policy with one of its bases.
///
/// # Errors
/// [`Error::Widening`] for the first key or rule that allows more.
pub(crate) fn check(ours: &Checked, base: &Checked) -> Result<Covers, Error> {
    let (policy, theirs) = (&ours.policy, &base.policy);
    limits(ours, base)?;
    for (name, value) in &policy.env {
        if theirs.env.get(name) != Some(value) {
            let key = format!("env.{name}");
            return Err(ours.widening(&key, base, &key, format!("env.{name} is new or has another value")));
        }
    }
    if !clock_fits(&policy.clock, &theirs.clock) {
        return Err(ours.widening("clock", base, "clock", "the clock shows more".to_owned()));
    }
    if policy.random == RandomGrant::Seeded && theirs.random == RandomGrant::Deny {
        return Err(ours.widening("random", base, "random", "random numbers are granted".to_owned()));
    }
    capabilities(ours, base)?;
    let mut ids = BTreeMap::new();
    grants(ours, base, cover(&policy.files, &theirs.files), &mut ids)?;
    grants(ours, base, cover(&policy.fetch, &theirs.fetch), &mut ids)?;
    grants(ours, base, cover(&policy.websocket, &theirs.websocket), &mut ids)?;
    network(ours, base)?;
    asks(ours, base, &mut ids)?;
    if theirs.audit.is_some() && policy.audit != theirs.audit {
        return Err(ours.widening("audit", base, "audit", "decisions are recorded elsewhere".to_owned()));
    }
    Ok(Covers(ids))
}

fn limits(ours: &Checked, base: &Checked) -> Result<(), Error> {
    for ((key, kind, number), (_, _, most)) in
        ours.policy.limits.entries().into_iter().zip(base.policy.limits.entries())
    {
        if number > most {
            let what = format!("limits.{key} = {} is more than {}", kind.text(number), kind.text(most));
            let key = format!("limits.{key}");
            return Err(ours.widening(&key, base, &key, what));
        }
    }
    Ok(())
}

fn clock_fits(ours: &ClockGrant, theirs: &ClockGrant) -> bool {
    match (ours, theirs) {
        (ClockGrant::Deny, _) | (_, ClockGrant::Recorded) => true,
        (ours, theirs) => ours == theirs,
    }
}

fn capabilities(ours: &Checked, base: &Checked) -> Result<(), Error> {
    for grant in &ours.policy.capabilities {
        let found = base.policy.capabilities.iter().find(|other| other.name() == grant.name());
        let what = match found {
            None => format!("capability {:?} is granted", grant.name()),
            Some(other) => match wider_capability(grant, other) {
                None => continue,
                Some(key) => format!("capability {:?} has a wider {key}", grant.name()),
            },
        };
        return Err(ours.widening(grant.rule(), base, grant.rule(), what));
    }
    Ok(())
}

fn wider_capability(ours: &CapabilityGrant, theirs: &CapabilityGrant) -> Option<&'static str> {
    let calls = |grant: &CapabilityGrant| grant.max_calls.unwrap_or(u64::MAX);
    let timeout = |grant: &CapabilityGrant| grant.timeout.unwrap_or(Duration::MAX);
    match () {
        () if calls(ours) > calls(theirs) => Some("max_calls"),
        () if timeout(ours) > timeout(theirs) => Some("timeout"),
        () => None,
    }
}

fn grants<T: Grant>(
    ours: &Checked,
    base: &Checked,
    cover: Cover<T>,
    ids: &mut BTreeMap<String, String>,
) -> Result<(), Error> {
    if let Some(wider) = cover.wider {
        return Err(ours.widening(
            &wider.id,
            base,
            wider.base.as_deref().unwrap_or_default(),
            wider.what.into_iter().next().unwrap_or_default(),
        ));
    }
    ids.extend(cover.ids);
    Ok(())
}

fn network(ours: &Checked, base: &Checked) -> Result<(), Error> {
    let (rules, theirs) = (&ours.policy.network, &base.policy.network);
    let blocked = |range| rules.block.iter().any(|block| block.covers(range));
    if let Some(range) = theirs.block.iter().find(|range| !blocked(range)) {
        return Err(ours.widening("network.block", base, "network.block", format!("{range} is not blocked")));
    }
    let allowed = |range| theirs.allow.iter().any(|allow| allow.covers(range));
    if let Some(range) = rules.allow.iter().find(|range| !allowed(range)) {
        return Err(ours.widening(
            "network.allow",
            base,
            "network.allow",
            format!("{range} is taken out of the block"),
        ));
    }
    Ok(())
}

/// The rules that ask are those of the base, and more where something is granted or asked.
fn asks(ours: &Checked, base: &Checked, ids: &mut BTreeMap<String, String>) -> Result<(), Error> {
    for ask in &ours.policy.asks {
        if base.policy.asks.iter().any(|other| other.rule == ask.rule && other.when == ask.when) {
            ids.insert(ask.rule.clone(), ask.rule.clone());
        } else if !ask.concerns(&base.policy) {
            let what = format!("rule {:?} asks about {}, which is denied anyway", ask.rule, ask.when);
            return Err(ours.widening(&ask.rule, base, "", what));
        }
    }
    Ok(())
}

impl AskRule {
    /// Whether the policy allows, or asks about, any call that the rule is about.
    fn concerns(&self, policy: &Policy) -> bool {
        let same = |other: &Self| {
            let methods = self.methods.is_empty()
                || other.methods.is_empty()
                || self.methods.iter().any(|one| other.methods.contains(one));
            let url = match (&self.url, &other.url) {
                (Some(ours), Some(theirs)) => ours.overlaps(theirs),
                _ => true,
            };
            self.when == other.when && methods && url
        };
        self.is_granted(policy) || policy.asks.iter().any(same)
    }

    /// Whether a grant of the policy may be about a call that the rule is about.
    pub(crate) fn is_granted(&self, policy: &Policy) -> bool {
        match &self.when {
            When::Fetch => policy.fetch.iter().any(|grant| self.overlaps_fetch(grant)),
            When::WebSocket => policy.websocket.iter().any(|grant| self.overlaps_websocket(grant)),
            When::FilesWrite | When::FilesRemove => {
                policy.files.iter().any(|grant| grant.access != crate::Access::Read)
            }
            When::Capability(name) => policy.capabilities.iter().any(|grant| grant.name() == name),
        }
    }
}

impl Kind {
    pub(crate) fn text(self, number: u64) -> String {
        match self {
            Self::Size => size_text(number),
            Self::Count => count_text(number),
            Self::Time => span_text(if number == u64::MAX { Duration::MAX } else { Duration::from_millis(number) }),
        }
    }
}
