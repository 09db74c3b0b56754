//! Rules that would allow the denials in an audit log. They are printed, never applied.

use super::question::question;
use crate::audit::Line;
use crate::section::{Question, SECTIONS};
use crate::{Policy, Usage, Verdict, quoted};
use std::collections::{BTreeMap, BTreeSet};

/// The suggestions for an audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suggestions {
    /// The narrowest rules that would have allowed the denied calls.
    pub rules: Vec<Suggestion>,
    /// Denied calls for which no rule is offered.
    pub skipped: Vec<Skipped>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// The rule as in a policy file.
    pub toml: String,
    /// How many calls it would have allowed.
    pub calls: u64,
    /// The line of the log with the first of them.
    pub line: u64,
}

/// A denied call that no rule is offered for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The line of the log.
    pub line: u64,
    /// The call, escaped and capped.
    pub call: String,
    /// The reason.
    pub why: String,
}

/// Texts that end so may have been cut when they were recorded.
const CUT: &str = "...";

/// Collects the denials of a log; with a policy, only those that it still denies.
pub fn suggest(lines: impl IntoIterator<Item = (u64, Line)>, policy: Option<&Policy>) -> Suggestions {
    let mut denied = Denied::default();
    for (number, line) in lines {
        if line.decision == "deny" {
            denied.add(number, &line, policy);
        }
    }
    denied.suggestions(policy)
}

/// Denied calls, in groups that one rule may allow.
#[derive(Default)]
struct Denied {
    groups: BTreeMap<String, Group>,
    skipped: Vec<Skipped>,
}

/// Calls that one rule may allow.
struct Group {
    first: Box<dyn Question>,
    /// The line of the first.
    line: u64,
    calls: u64,
    variants: BTreeSet<String>,
}

impl Denied {
    fn add(&mut self, number: u64, line: &Line, policy: Option<&Policy>) {
        let call = format!("{} {}", quoted(&line.capability), quoted(&line.subject));
        match asked(line, policy) {
            Err(why) => self.skipped.push(Skipped { line: number, call, why }),
            Ok(None) => {}
            Ok(Some(question)) => {
                let (key, variant) = (question.group(), question.variant().to_owned());
                let new = || Group { first: question, line: number, calls: 0, variants: BTreeSet::new() };
                let group = self.groups.entry(key).or_insert_with(new);
                group.calls += 1;
                group.variants.insert(variant);
            }
        }
    }

    fn suggestions(self, policy: Option<&Policy>) -> Suggestions {
        let mut policy = policy.cloned().unwrap_or_default();
        let (mut rules, mut skipped) = (Vec::new(), self.skipped);
        for Group { first, line, calls, variants } in self.groups.into_values() {
            let variants: Vec<_> = variants.iter().map(String::as_str).collect();
            match first.narrowest(&policy, calls, &variants) {
                Some(toml) => {
                    add(&mut policy, &toml);
                    rules.push(Suggestion { toml, calls, line });
                }
                None => skipped.push(Skipped { line, call: first.to_string(), why: MATCHES.to_owned() }),
            }
        }
        rules.sort_by_key(|rule| rule.line);
        skipped.sort_by_key(|skipped| skipped.line);
        Suggestions { rules, skipped }
    }
}

const MATCHES: &str = "a rule matches it; one of its bounds or quotas stands in the way";

/// The call of a line; `None` if the policy no longer denies it.
fn asked(line: &Line, policy: Option<&Policy>) -> Result<Option<Box<dyn Question>>, String> {
    if line.subject.ends_with(CUT) {
        return Err("its subject was cut when it was recorded".to_owned());
    }
    if line.subject.contains('\\') {
        return Err("its subject has characters that were escaped".to_owned());
    }
    let question = question(&line.capability, &line.subject).map_err(|why| why.to_string())?;
    let nothing = Policy::default();
    if let Some(why) = question.refusal(policy.unwrap_or(&nothing)) {
        return Err(why.to_owned());
    }
    let Some(policy) = policy else { return Ok(Some(question)) };
    match policy.decide(&question.call(), &Usage::default(), 0) {
        Verdict::Deny { .. } => Ok(Some(question)),
        Verdict::Allow { .. } if line.policy == policy.digest().to_string() => Err(MATCHES.to_owned()),
        Verdict::Allow { .. } | Verdict::Ask { .. } => Ok(None),
    }
}

/// Adds the suggested rule to the policy, so that the next one gets another id and covered calls are not suggested twice.
fn add(policy: &mut Policy, toml: &str) {
    let Ok(own) = Policy::parse(&format!("version = 1\n{toml}"), std::path::Path::new("/suggested.toml")) else {
        return;
    };
    SECTIONS.iter().for_each(|section| section.add(policy, &own));
}
