//! `[network]`: the addresses that requests and connections may reach.

use super::{File, Policy, Section};
use crate::Error;
use crate::address::{self, Cidr};
use crate::extends::{Checked, Covers};
use crate::read::Reader;
use crate::source::At;
use crate::tools::render::list;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The entry that `block` always contains.
const NON_GLOBAL: &str = "non-global";

/// Canonical JSON of `[network]`.
#[derive(Serialize, Deserialize)]
#[serde(remote = "address::Rules", deny_unknown_fields)]
pub(super) struct NetworkRules {
    block: Vec<Cidr>,
    allow: Vec<Cidr>,
}

/// Which addresses requests and connections may reach.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Network {
    /// The addresses that are blocked: `non-global`, always, and ranges of addresses.
    block: Option<At<Vec<At<String>>>>,
    /// Ranges of addresses that are allowed nevertheless.
    allow: Option<At<Vec<At<String>>>>,
}

struct NetworkSection;

pub(super) const SECTION: &dyn Section = &NetworkSection;

impl Section for NetworkSection {
    fn key(&self) -> &'static str {
        "network"
    }

    /// The given `block` is added to the inherited one; the given `allow` replaces the inherited one.
    fn read(&self, file: &File, reader: &mut Reader<'_>, policy: &mut Policy) -> Result<(), Error> {
        let Some(shape) = &file.network else { return Ok(()) };
        if let Some(block) = &shape.block {
            reader.place("network.block", &block.span());
            if !block.get_ref().iter().any(|item| item.get_ref() == NON_GLOBAL) {
                let what = "block leaves \"non-global\" out, which is always blocked".to_owned();
                let remedy = "add it, and name exceptions in `allow`";
                return Err(reader.source.invalid(&block.span(), what, remedy));
            }
            for item in block.get_ref().iter().filter(|item| item.get_ref() != NON_GLOBAL) {
                let range = range(item, reader)?;
                if !policy.network.block.contains(&range) {
                    policy.network.block.push(range);
                }
            }
        }
        if let Some(allow) = &shape.allow {
            reader.place("network.allow", &allow.span());
            policy.network.allow = allow.get_ref().iter().map(|item| range(item, reader)).collect::<Result<_, _>>()?;
        }
        Ok(())
    }

    fn meet(&self, policy: &mut Policy, first: &Policy, other: &Policy) {
        let new = other.network.block.iter().filter(|range| !first.network.block.contains(range));
        policy.network.block.extend(new);
        policy.network.allow.retain(|range| other.network.allow.iter().any(|allowed| allowed.covers(range)));
    }

    fn check_narrower(&self, ours: &Checked, base: &Checked, _: &mut Covers) -> Result<(), Error> {
        let (rules, theirs) = (&ours.policy.network, &base.policy.network);
        let wider = |key: &str, what: String| Err(ours.widening(key, base, key, what));
        if let Some(range) = uncovered(&theirs.block, &rules.block).next() {
            return wider("network.block", format!("{range} is not blocked"));
        }
        match uncovered(&rules.allow, &theirs.allow).next() {
            Some(range) => wider("network.allow", format!("{range} is taken out of the block")),
            None => Ok(()),
        }
    }

    fn beyond(&self, ours: &Policy, base: &Policy) -> Vec<String> {
        let (rules, theirs) = (&ours.network, &base.network);
        let reached = uncovered(&theirs.block, &rules.block).map(|range| format!("network: {range} is not blocked"));
        let allowed = uncovered(&rules.allow, &theirs.allow);
        reached.chain(allowed.map(|range| format!("network: {range} is taken out of the block"))).collect()
    }

    fn is_rule(&self) -> bool {
        true
    }

    fn render(&self, policy: &Policy, text: &mut String) {
        let block = policy.network.block.iter().map(ToString::to_string);
        let block = std::iter::once(NON_GLOBAL.to_owned()).chain(block);
        let allow = policy.network.allow.iter().map(ToString::to_string);
        text.push_str(&format!("\n[network]\nblock = {}\nallow = {}\n", list(block), list(allow)));
    }

    fn told(&self, policy: &Policy) -> Vec<(&'static str, String)> {
        let allowed = |range: &Cidr| ("network", format!("{range} may be reached although it is not global"));
        let blocked = |range: &Cidr| ("network", format!("{range} is not reached"));
        let address::Rules { block, allow } = &policy.network;
        allow.iter().map(allowed).chain(block.iter().map(blocked)).collect()
    }
}

/// The ranges that no other range covers.
fn uncovered<'r>(ranges: &'r [Cidr], others: &'r [Cidr]) -> impl Iterator<Item = &'r Cidr> {
    ranges.iter().filter(|range| !others.iter().any(|other| other.covers(range)))
}

fn range(text: &At<String>, reader: &Reader<'_>) -> Result<Cidr, Error> {
    text.get_ref().parse().map_err(|error: address::CidrError| {
        reader.source.invalid(&text.span(), error.to_string(), "write a range such as \"10.0.0.0/8\"")
    })
}
