//! `[functions.NAME]`.

use super::limits;
use crate::extends::{Checked, Covers};
use crate::file::{self, At, Source};
use crate::{Error, FunctionSection, Limits, Policy, When, quoted};
use std::collections::BTreeMap;
use std::ops::Range;

/// Longest name of a function, in bytes.
const LONGEST: usize = 128;

/// The lists of a section, and how to find them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    Fetch,
    WebSocket,
    Files,
    Capability,
}

const LISTS: [List; 4] = [List::Fetch, List::WebSocket, List::Files, List::Capability];

/// Reads the sections of one file, and adds what they and the other functions inherit.
pub(super) fn sections(
    shape: BTreeMap<At<String>, file::Function>,
    checked: &mut Checked,
    source: &Source<'_>,
    bases: &[Checked],
    covers: &[Covers],
) -> Result<(), Error> {
    let inherited = inherited(&checked.policy, bases, covers);
    let mut sections = inherited.clone();
    for (name, shape) in shape {
        check_name(&name, source)?;
        checked.places.put(format!("functions.{}", name.get_ref()), source, &name.span());
        let of_base = inherited.get(name.get_ref());
        let section = section(name.get_ref(), shape, checked, of_base, source)?;
        if let Some(of_base) = of_base {
            check_lists(name.get_ref(), &section, of_base, checked, bases)?;
        }
        sections.insert(name.into_inner(), section);
    }
    checked.policy.functions = sections;
    Ok(())
}

fn check_name(name: &At<String>, source: &Source<'_>) -> Result<(), Error> {
    let text = name.get_ref();
    if text.is_empty() || text.len() > LONGEST || text.chars().any(char::is_control) {
        let what = format!("{} is no name of a function", quoted(text));
        return Err(source.invalid(&name.span(), what, "use 1 to 128 bytes without control characters"));
    }
    Ok(())
}

fn section(
    name: &str,
    shape: file::Function,
    checked: &Checked,
    inherited: Option<&FunctionSection>,
    source: &Source<'_>,
) -> Result<FunctionSection, Error> {
    let policy = &checked.policy;
    let mut default = policy.limits.clone();
    let list = |list: List, ids: Option<Vec<At<String>>>| match ids {
        Some(ids) => ids_of(list, ids, policy, source).map(Some),
        None => Ok(inherited.and_then(|section| list.of(section).clone())),
    };
    let (fetch, websocket) = (list(List::Fetch, shape.fetch)?, list(List::WebSocket, shape.websocket)?);
    let (files, capability) = (list(List::Files, shape.files)?, list(List::Capability, shape.capability)?);
    if let Some(inherited) = inherited {
        default = default.narrowed(&inherited.limits);
    }
    let limits = narrower_limits(name, shape.limits, &default, source)?;
    Ok(FunctionSection { fetch, websocket, files, capability, limits })
}

fn ids_of(list: List, ids: Vec<At<String>>, policy: &Policy, source: &Source<'_>) -> Result<Vec<String>, Error> {
    let mut kept: Vec<String> = Vec::with_capacity(ids.len());
    for id in ids {
        if !list.knows(policy, id.get_ref()) {
            let what = format!("{} is no {} of this policy", quoted(id.get_ref()), list.thing());
            return Err(source.invalid(&id.span(), what, "name one that it has, or leave the list empty"));
        }
        if !kept.contains(id.get_ref()) {
            kept.push(id.into_inner());
        }
    }
    Ok(kept)
}

fn narrower_limits(name: &str, shape: file::Limits, default: &Limits, source: &Source<'_>) -> Result<Limits, Error> {
    let mut places: Vec<(&'static str, Range<usize>)> = Vec::new();
    let limits = limits(shape, default, source, &mut |key, place| places.push((key, place)))?;
    for ((key, _, number), (_, _, most)) in limits.entries().into_iter().zip(default.entries()) {
        if number > most {
            let place = places.iter().find(|(given, _)| *given == key).map_or(0..0, |(_, place)| place.clone());
            let what = format!("limits.{key} of the function {} is wider than that of the policy", quoted(name));
            return Err(source.invalid(&place, what, "write less, or leave it out"));
        }
    }
    Ok(limits)
}

/// What the functions of all bases come to for the rules of this policy: a rule is kept where each base keeps the rule that covers it.
fn inherited(policy: &Policy, bases: &[Checked], covers: &[Covers]) -> BTreeMap<String, FunctionSection> {
    let mut sections: BTreeMap<String, FunctionSection> = BTreeMap::new();
    for (base, covers) in bases.iter().zip(covers) {
        for (name, of_base) in &base.policy.functions {
            let section = sections.entry(name.clone()).or_insert_with(|| FunctionSection::of(&policy.limits));
            section.limits = section.limits.narrowed(&of_base.limits);
            for list in LISTS {
                let Some(kept) = list.of(of_base) else { continue };
                let before = list.of(section).clone().unwrap_or_else(|| list.all(policy));
                let keeps =
                    |id: &String| list.cover(covers, id).is_some_and(|cover| kept.iter().any(|one| one == cover));
                *list.of_mut(section) = Some(before.into_iter().filter(keeps).collect());
            }
        }
    }
    sections
}

/// Refuses a list that keeps what a base takes away.
fn check_lists(
    name: &str,
    section: &FunctionSection,
    inherited: &FunctionSection,
    checked: &Checked,
    bases: &[Checked],
) -> Result<(), Error> {
    for list in LISTS {
        let (Some(ours), Some(theirs)) = (list.of(section), list.of(inherited)) else { continue };
        if let Some(id) = ours.iter().find(|id| !theirs.contains(id)) {
            let key = format!("functions.{name}");
            let what = format!("the function {} keeps the {} {}", quoted(name), list.thing(), quoted(id));
            let mut bases = bases.iter().filter(|base| base.policy.functions.contains_key(name));
            return bases.next().map_or(Ok(()), |base| Err(checked.widening(&key, base, &key, what)));
        }
    }
    Ok(())
}

impl List {
    fn thing(self) -> &'static str {
        match self {
            Self::Fetch => "[[fetch]] rule",
            Self::WebSocket => "[[websocket]] rule",
            Self::Files => "[[files]] rule",
            Self::Capability => "[[capability]]",
        }
    }

    fn of(self, section: &FunctionSection) -> &Option<Vec<String>> {
        match self {
            Self::Fetch => &section.fetch,
            Self::WebSocket => &section.websocket,
            Self::Files => &section.files,
            Self::Capability => &section.capability,
        }
    }

    fn of_mut(self, section: &mut FunctionSection) -> &mut Option<Vec<String>> {
        match self {
            Self::Fetch => &mut section.fetch,
            Self::WebSocket => &mut section.websocket,
            Self::Files => &mut section.files,
            Self::Capability => &mut section.capability,
        }
    }

    /// The ids that the list may hold.
    fn all(self, policy: &Policy) -> Vec<String> {
        let asks = |when: When| policy.asks.iter().filter(move |ask| ask.when == when).map(|ask| ask.rule.clone());
        match self {
            Self::Fetch => policy.fetch.iter().map(|grant| grant.id.clone()).chain(asks(When::Fetch)).collect(),
            Self::WebSocket => {
                policy.websocket.iter().map(|grant| grant.id.clone()).chain(asks(When::WebSocket)).collect()
            }
            Self::Files => policy.files.iter().map(|grant| grant.id.clone()).collect(),
            Self::Capability => policy.capabilities.iter().map(|grant| grant.name().to_owned()).collect(),
        }
    }

    /// What of the base the rule is a part of.
    fn cover<'c>(self, covers: &'c Covers, id: &'c str) -> Option<&'c str> {
        if self == Self::Capability { Some(id) } else { covers.of(id) }
    }

    fn knows(self, policy: &Policy, id: &str) -> bool {
        self.all(policy).iter().any(|one| one == id)
    }
}
