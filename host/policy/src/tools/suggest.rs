//! Rules for what an audit log says was denied. They are printed, never applied.

use super::Question;
use super::narrowest::{fetch, narrowest, refusal};
use crate::audit::Line;
use crate::url::Target;
use crate::{Policy, Usage, Verdict, quoted};
use std::collections::BTreeMap;

/// What came of an audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suggestions {
    /// The narrowest rules that would have allowed what was denied.
    pub rules: Vec<Suggestion>,
    /// Denied calls for which no rule is offered.
    pub skipped: Vec<Skipped>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// The rule as a policy file writes it.
    pub toml: String,
    /// How many calls it would have allowed.
    pub calls: u64,
    /// The line of the log that holds the first of them.
    pub line: u64,
}

/// A denied call that no rule is offered for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The line of the log.
    pub line: u64,
    /// The call, escaped and capped.
    pub call: String,
    /// Why.
    pub why: String,
}

/// Texts of this length may have been cut when they were recorded.
const CUT: &str = "...";

/// Collects the denials of a log. With a policy, only what it denies still.
pub fn suggest(lines: impl IntoIterator<Item = (u64, Line)>, policy: Option<&Policy>) -> Suggestions {
    let mut denied = Denied::default();
    for (number, line) in lines {
        if line.decision == "deny" {
            denied.add(number, &line, policy);
        }
    }
    denied.suggestions(policy)
}

/// Calls that were denied, each with its number and the line of the first.
#[derive(Default)]
struct Denied {
    fetch: BTreeMap<String, (Target, BTreeMap<String, u64>, u64)>,
    others: BTreeMap<String, (Question, u64, u64)>,
    skipped: Vec<Skipped>,
}

impl Denied {
    fn add(&mut self, number: u64, line: &Line, policy: Option<&Policy>) {
        let call = format!("{} {}", quoted(&line.capability), quoted(&line.subject));
        match question(line, policy) {
            Err(why) => self.skipped.push(Skipped { line: number, call, why }),
            Ok(None) => {}
            Ok(Some(Question::Fetch(method, url))) => {
                let first = || (url.clone(), BTreeMap::new(), number);
                let (_, methods, _) = self.fetch.entry(url.as_str().to_owned()).or_insert_with(first);
                *methods.entry(method).or_default() += 1;
            }
            Ok(Some(question)) => {
                let key = question.to_string();
                self.others.entry(key).or_insert_with(|| (question, 0, number)).1 += 1;
            }
        }
    }

    fn suggestions(self, policy: Option<&Policy>) -> Suggestions {
        let mut policy = policy.cloned().unwrap_or_else(|| Policy { capabilities: Vec::new(), ..Policy::none() });
        let (mut rules, mut skipped) = (Vec::new(), self.skipped);
        for (url, methods, line) in self.fetch.into_values() {
            let calls = methods.values().sum();
            let methods = methods.keys().map(String::as_str).collect::<Vec<_>>();
            let toml = fetch(&policy, &methods, &url, calls);
            take_ids(&mut policy, &toml);
            rules.push(Suggestion { toml, calls, line });
        }
        for (question, calls, line) in self.others.into_values() {
            match narrowest(&policy, &question, calls) {
                Some(toml) => {
                    take_ids(&mut policy, &toml);
                    rules.push(Suggestion { toml, calls, line });
                }
                None => skipped.push(Skipped { line, call: question.to_string(), why: MATCHES.to_owned() }),
            }
        }
        rules.sort_by_key(|rule| rule.line);
        skipped.sort_by_key(|skipped| skipped.line);
        Suggestions { rules, skipped }
    }
}

const MATCHES: &str = "a rule matches it; one of its bounds or quotas stands in the way";

/// What a line asks for; none when the policy no longer denies it.
fn question(line: &Line, policy: Option<&Policy>) -> Result<Option<Question>, String> {
    if line.subject.ends_with(CUT) {
        return Err("its subject was cut when it was recorded".to_owned());
    }
    if line.subject.contains('\\') {
        return Err("its subject has characters that were escaped".to_owned());
    }
    let question = Question::parse(&line.capability, &line.subject).map_err(|why| why.to_string())?;
    let nothing = Policy { capabilities: Vec::new(), ..Policy::none() };
    if let Some(why) = refusal(policy.unwrap_or(&nothing), &question) {
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
fn take_ids(policy: &mut Policy, toml: &str) {
    let Ok(own) = Policy::parse(&format!("version = 1\n{toml}"), std::path::Path::new("/suggested.toml")) else {
        return;
    };
    policy.fetch = policy.fetch.iter().chain(&own.fetch).cloned().collect();
    policy.websocket = policy.websocket.iter().chain(&own.websocket).cloned().collect();
    policy.files.extend(own.files);
    policy.capabilities.extend(own.capabilities);
}
