//! `[functions.NAME]`: the part of a policy that one function keeps.

use super::limits::read_narrower;
use super::{Base, File, Function, FunctionGrant, Policy, SECTIONS, Section};
use crate::extends::{Checked, Covers};
use crate::read::Reader;
use crate::source::{At, Source};
use crate::tools::render::{list, quote};
use crate::{Error, quoted};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Longest name of a function, in bytes.
const LONGEST: usize = 128;

struct FunctionsSection;

pub(super) const SECTION: &dyn Section = &FunctionsSection;

impl Section for FunctionsSection {
    fn key(&self) -> &'static str {
        "functions"
    }

    /// What functions keep depends on the final rules of all sections; see `finish`.
    fn read(&self, _: &File, _: &mut Reader<'_>, policy: &mut Policy) -> Result<(), Error> {
        policy.functions.clear();
        Ok(())
    }

    /// Reads the sections of the file, and adds what these and other functions inherit.
    fn finish(&self, file: &File, source: &Source<'_>, checked: &mut Checked, bases: &[Base<'_>]) -> Result<(), Error> {
        let inherited = inherited(&checked.policy, bases);
        let mut functions = inherited.clone();
        for (name, shape) in &file.functions {
            check_name(name, source)?;
            checked.places.put(format!("functions.{}", name.get_ref()), source, &name.span());
            let of_base = inherited.get(name.get_ref());
            let function = function(name.get_ref(), shape, &checked.policy, of_base, source)?;
            if let Some(of_base) = of_base {
                check_lists(name.get_ref(), &function, of_base, checked, bases)?;
            }
            functions.insert(name.get_ref().clone(), function);
        }
        checked.policy.functions = functions;
        Ok(())
    }

    /// Read anew for every policy, and narrowed by its bases.
    fn meet(&self, _: &mut Policy, _: &Policy, _: &Policy) {}

    /// Never wider: `finish` ensures it.
    fn check_narrower(&self, _: &Checked, _: &Checked, _: &mut Covers) -> Result<(), Error> {
        Ok(())
    }

    /// Functions are compared as the policies that they result in.
    fn beyond(&self, _: &Policy, _: &Policy) -> Vec<String> {
        Vec::new()
    }

    fn render(&self, policy: &Policy, text: &mut String) {
        for (name, function) in &policy.functions {
            text.push_str(&format!("\n[functions.{}]\n", quote(name)));
            for (section, kept) in function.lists() {
                if let Some(kept) = kept {
                    text.push_str(&format!("{} = {}\n", section.key(), list(kept.clone())));
                }
            }
            let limits = format!("functions.{}.limits", quote(name));
            text.push_str(&function.limits.toml(&limits, Some(&policy.limits)));
        }
    }

    fn told(&self, policy: &Policy) -> Vec<(&'static str, String)> {
        policy.functions.keys().map(|name| ("function", format!("{name} keeps a part of this"))).collect()
    }
}

impl FunctionGrant {
    /// Whether the function keeps a rule of the section with that key.
    fn keeps(&self, key: &str, rule: &str) -> bool {
        let mut lists = self.lists().filter(|(section, _)| section.key() == key);
        lists.all(|(section, kept)| {
            let kept = kept.as_ref();
            kept.is_none_or(|kept| kept.iter().any(|one| one == listed(section, rule)))
        })
    }
}

impl Policy {
    /// The policy for an execution of one function. Narrowing twice has no further effect; a called function is narrowed from
    /// its caller's policy. A function that may be called by a shorter name is narrowed by the sections of all its names.
    pub fn for_function(&self, name: &str) -> Cow<'_, Self> {
        let own = self.functions.iter().filter(|(known, _)| may_be_same(known, name));
        own.fold(Cow::Borrowed(self), |policy, (_, function)| {
            let mut narrowed = policy.clone().into_owned();
            narrowed.limits = policy.limits.narrowed(&function.limits);
            SECTIONS
                .iter()
                .for_each(|section| section.keep(&mut narrowed, &policy, &|key, rule| function.keeps(key, rule)));
            Cow::Owned(narrowed)
        })
    }
}

/// Whether two names may be of the same function: `namespace:package/interface@1.0.0#function`, the same without the version, or the part
/// after the `#`.
fn may_be_same(one: &str, other: &str) -> bool {
    match (parts(one), parts(other)) {
        (None, None) => one == other,
        (Some((_, function)), None) => function == other,
        (None, Some((_, function))) => one == function,
        (Some(one), Some(other)) => one == other,
    }
}

/// The interface of a function, without its version, and the part after it.
fn parts(name: &str) -> Option<(&str, &str)> {
    let (interface, function) = name.split_once('#')?;
    Some((interface.split_once('@').map_or(interface, |(interface, _)| interface), function))
}

/// The name of a rule in the list of a function: without the name of its section, which decisions put before a
/// capability.
pub(crate) fn listed<'r>(section: &dyn Section, rule: &'r str) -> &'r str {
    rule.strip_prefix(section.key()).and_then(|rest| rest.strip_prefix('.')).unwrap_or(rule)
}

fn check_name(name: &At<String>, source: &Source<'_>) -> Result<(), Error> {
    let text = name.get_ref();
    if text.is_empty() || text.len() > LONGEST || text.chars().any(char::is_control) {
        let what = format!("{} is no name of a function", quoted(text));
        return Err(source.invalid(&name.span(), what, "use 1 to 128 bytes without control characters"));
    }
    Ok(())
}

fn function(
    name: &str,
    shape: &Function,
    policy: &Policy,
    inherited: Option<&FunctionGrant>,
    source: &Source<'_>,
) -> Result<FunctionGrant, Error> {
    let mut function = inherited.cloned().unwrap_or_else(|| FunctionGrant::of(&policy.limits));
    let sections: Vec<_> = function.lists().map(|(section, _)| section).collect();
    for ((kept, section), given) in function.lists_mut().zip(sections).zip(shape.lists()) {
        if let Some(ids) = given {
            *kept = Some(ids_of(section, ids, policy, source)?);
        }
    }
    function.limits = read_narrower(name, &shape.limits, &function.limits, source)?;
    Ok(function)
}

fn ids_of(
    section: &dyn Section,
    ids: &[At<String>],
    policy: &Policy,
    source: &Source<'_>,
) -> Result<Vec<String>, Error> {
    let (known, mut kept) = (all(section, policy), Vec::<String>::with_capacity(ids.len()));
    for id in ids {
        if !known.contains(id.get_ref()) {
            let what = format!("{} is no {} of this policy", quoted(id.get_ref()), section.rule_word());
            return Err(source.invalid(&id.span(), what, "name one that it has, or leave the list empty"));
        }
        if !kept.contains(id.get_ref()) {
            kept.push(id.get_ref().clone());
        }
    }
    Ok(kept)
}

/// What the functions of all bases keep of this policy's rules: a rule is kept if each base keeps the rule that covers it.
fn inherited(policy: &Policy, bases: &[Base<'_>]) -> BTreeMap<String, FunctionGrant> {
    let mut functions: BTreeMap<String, FunctionGrant> = BTreeMap::new();
    for Base { checked: base, covers } in bases {
        for (name, of_base) in &base.policy.functions {
            let function = functions.entry(name.clone()).or_insert_with(|| FunctionGrant::of(&policy.limits));
            function.limits = function.limits.narrowed(&of_base.limits);
            for ((section, kept), ours) in of_base.lists().zip(function.lists_mut()) {
                let Some(kept) = kept else { continue };
                let before = ours.take().unwrap_or_else(|| all(section, policy));
                let keeps =
                    |id: &String| section.covering(covers, id).is_some_and(|cover| kept.iter().any(|one| one == cover));
                *ours = Some(before.into_iter().filter(keeps).collect());
            }
        }
    }
    functions
}

/// Refuses a list that keeps what a base removes.
fn check_lists(
    name: &str,
    function: &FunctionGrant,
    inherited: &FunctionGrant,
    checked: &Checked,
    bases: &[Base<'_>],
) -> Result<(), Error> {
    for ((section, ours), (_, theirs)) in function.lists().zip(inherited.lists()) {
        let (Some(ours), Some(theirs)) = (ours, theirs) else { continue };
        if let Some(id) = ours.iter().find(|id| !theirs.contains(id)) {
            let key = format!("functions.{name}");
            let what = format!("the function {} keeps the {} {}", quoted(name), section.rule_word(), quoted(id));
            let mut bases = bases.iter().filter(|base| base.checked.policy.functions.contains_key(name));
            return bases.next().map_or(Ok(()), |base| Err(checked.widening(&key, base.checked, &key, what)));
        }
    }
    Ok(())
}

/// Everything that a list of a section may contain: its rules, and the approvals that are enough for its calls.
fn all(section: &dyn Section, policy: &Policy) -> Vec<String> {
    let own = section.rules(policy).into_iter().map(|rule| listed(section, rule).to_owned());
    let asks = policy.asks.iter().filter(|ask| ask.sufficing().is_some_and(|one| one.key() == section.key()));
    own.chain(asks.map(|ask| ask.rule.clone())).collect()
}
