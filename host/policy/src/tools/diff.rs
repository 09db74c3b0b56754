//! What one policy allows and another does not.

use crate::extends::{Cover, Grant, cover};
use crate::{AskRule, CapabilityGrant, ClockGrant, Policy, RandomGrant, When, quoted};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Whether the second policy allows more; otherwise less.
    pub wider: bool,
    /// What, in words.
    pub what: String,
}

/// What the second policy allows that the first does not, and the other way round. Names and the order of rules do not count, as far as
/// the same is allowed under the same bounds.
pub fn diff(first: &Policy, second: &Policy) -> Vec<Change> {
    let mut changes = both_ways(first, second);
    let functions: BTreeSet<&String> = first.functions.keys().chain(second.functions.keys()).collect();
    for function in functions {
        let of_function = both_ways(&first.for_function(function), &second.for_function(function));
        let new = of_function.into_iter().filter(|change| !changes.contains(change)).collect::<Vec<_>>();
        changes.extend(
            new.into_iter()
                .map(|Change { wider, what }| Change { wider, what: format!("function {}: {what}", quoted(function)) }),
        );
    }
    changes
}

fn both_ways(first: &Policy, second: &Policy) -> Vec<Change> {
    let more = more(first, second).into_iter().map(|what| Change { wider: true, what });
    let less = self::more(second, first).into_iter().map(|what| Change { wider: false, what });
    more.chain(less).collect()
}

/// What `ours` allows beyond `base`.
fn more(base: &Policy, ours: &Policy) -> Vec<String> {
    let mut more = Vec::new();
    for ((key, kind, number), (_, _, before)) in ours.limits.entries().into_iter().zip(base.limits.entries()) {
        if number > before {
            more.push(format!("limits.{key} = {} instead of {}", kind.text(number), kind.text(before)));
        }
    }
    let env = ours.env.iter().filter(|(name, value)| base.env.get(*name) != Some(value));
    more.extend(env.map(|(name, value)| format!("env.{} = {}", name, quoted(value))));
    if ours.clock != base.clock && ours.clock != ClockGrant::Deny {
        more.push(match &ours.clock {
            ClockGrant::Frozen { at_ms } => format!("clock: always {at_ms} ms since 1970"),
            _ => "clock: the time of the host".to_owned(),
        });
    }
    if ours.random == RandomGrant::Seeded && base.random == RandomGrant::Deny {
        more.push("random numbers".to_owned());
    }
    more.extend(ours.capabilities.iter().flat_map(|grant| capability(grant, &base.capabilities)));
    grants(&mut more, &ours.files, &base.files);
    grants(&mut more, &ours.fetch, &base.fetch);
    grants(&mut more, &ours.websocket, &base.websocket);
    let blocked = base.network.block.iter().filter(|range| !ours.network.block.iter().any(|block| block.covers(range)));
    more.extend(blocked.map(|range| format!("network: {range} is not blocked")));
    let allowed = ours.network.allow.iter().filter(|range| !base.network.allow.iter().any(|allow| allow.covers(range)));
    more.extend(allowed.map(|range| format!("network: {range} is taken out of the block")));
    asks(&mut more, ours, base);
    if base.audit.is_some() && ours.audit != base.audit {
        more.push(
            if ours.audit.is_some() { "decisions are recorded elsewhere" } else { "decisions are not recorded" }
                .to_owned(),
        );
    }
    more
}

fn capability(grant: &CapabilityGrant, base: &[CapabilityGrant]) -> Vec<String> {
    let name = quoted(grant.name());
    let Some(before) = base.iter().find(|before| before.name() == grant.name()) else {
        return vec![format!("capability {name}")];
    };
    let calls = |grant: &CapabilityGrant| grant.max_calls.unwrap_or(u64::MAX);
    let timeout = |grant: &CapabilityGrant| grant.timeout.unwrap_or(Duration::MAX);
    let mut wider = Vec::new();
    if calls(grant) > calls(before) {
        wider.push(format!("capability {name}: more calls (max_calls)"));
    }
    if timeout(grant) > timeout(before) {
        wider.push(format!("capability {name}: more time (timeout)"));
    }
    wider
}

/// Grants that the base does not cover, each by itself.
fn grants<T: Grant>(more: &mut Vec<String>, ours: &[T], base: &[T]) {
    for grant in ours {
        let Cover { wider, .. } = cover(std::slice::from_ref(grant), base);
        more.extend(wider.into_iter().flat_map(|wider| wider.what));
    }
}

/// An approval that is enough lets more through; one that is no longer asked for does too.
fn asks(more: &mut Vec<String>, ours: &Policy, base: &Policy) {
    let alone = |ask: &AskRule| ask.sufficient && matches!(ask.when, When::Fetch | When::WebSocket);
    for ask in ours.asks.iter().filter(|ask| alone(ask)) {
        if !base.asks.iter().any(|other| alone(other) && covers(other, ask)) {
            more.push(format!("with an approval: {}", about(ask)));
        }
    }
    for ask in &base.asks {
        match ours.asks.iter().find(|other| covers(other, ask)) {
            None if ask.is_granted(ours) => more.push(format!("without an approval: {}", about(ask))),
            Some(other) if (other.remember, other.ttl) > (ask.remember, ask.ttl) => {
                more.push(format!("an approval holds longer: {}", about(ask)));
            }
            _ => {}
        }
    }
}

/// Whether a rule asks about everything that another one asks about.
fn covers(ask: &AskRule, other: &AskRule) -> bool {
    let listed = |methods: &[String]| !methods.is_empty() && methods.iter().all(|method| ask.methods.contains(method));
    let url = match (&ask.url, &other.url) {
        (Some(ours), Some(theirs)) => ours.covers(theirs),
        (ours, _) => ours.is_none(),
    };
    ask.when == other.when && url && (ask.methods.is_empty() || listed(&other.methods))
}

fn about(ask: &AskRule) -> String {
    let methods = if ask.methods.is_empty() { String::new() } else { format!(" {}", ask.methods.join(", ")) };
    let url = ask.url.as_ref().map(|url| format!(" {url}"));
    format!("{}{methods}{}", ask.when, url.unwrap_or_default())
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.wider { '+' } else { '-' }, self.what)
    }
}
