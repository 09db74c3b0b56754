//! `[[capability]]`: capabilities that have no section of their own and are called by their names.

use super::groups::{Groups, is_entry};
use super::{AskRule, Decide, File, Lineage, NoQuestion, Policy, Question, SECTIONS, Section};
use crate::decide::{DEFAULT, Verdict, allowed_or_asked, denied, exceeded};
use crate::extends::{Checked, Covers};
use crate::read::{Reader, Taken};
use crate::source::{At, Source};
use crate::tools::render::{count, quote, rule, span};
use crate::units::{self, Count, Span, count_text};
use crate::usage::Usage;
use crate::{Call, Error, quoted};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Capabilities that complete at once, so that nothing could time out.
const IMMEDIATE: [&str; 2] = ["print", "display"];
/// Capabilities that complete at once, or that ask a human themselves.
const NEVER_ASKED: [&str; 4] = ["print", "display", "input", "promise"];

/// The capability that grants calls of functions.
const CALL: &str = "call";

/// `[[capability]]`: one capability that may be called by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapabilityGrant {
    /// `capability.NAME`; stored in this form because every decision names it.
    rule: String,
    /// How often it may be called in one execution; `None`: as often as `limits.steps` allows.
    pub max_calls: Option<u64>,
    /// Upper bound of the time until a request is rejected as `timed-out`; `None`: it may wait forever.
    #[serde(with = "units::optional_milliseconds")]
    pub timeout: Option<Duration>,
    /// The other worker groups whose functions may be called; only for `call`.
    #[serde(default, skip_serializing_if = "Groups::is_empty")]
    pub groups: Groups,
}

/// One capability that may be called by its name.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Capability {
    /// The name of the capability.
    name: At<String>,
    /// How often one execution may call it.
    max_calls: Option<Count>,
    /// How long a request may take.
    timeout: Option<At<Span>>,
    /// Only for `call`: other worker groups, each as `GROUP` or as `GROUP/FUNCTION`, whose functions may be called.
    groups: Option<At<Vec<At<String>>>>,
}

/// Calls a capability by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapabilityCall<'a> {
    /// Its name, as the guest gave it.
    pub name: &'a str,
    /// Size of the message, held against `limits.bytes_per_call`; 0 for output, which `limits.output` cuts instead.
    pub bytes: u64,
}

/// Calls a durable function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionCall<'a> {
    /// The worker group that runs it; `None`: the group of the caller.
    pub group: Option<&'a str>,
    /// The name of the function.
    pub function: &'a str,
    /// Size of the arguments.
    pub bytes: u64,
}

struct CapabilitySection;

pub(super) const SECTION: &dyn Section = &CapabilitySection;

impl Section for CapabilitySection {
    fn key(&self) -> &'static str {
        "capability"
    }

    fn read(&self, file: &File, reader: &mut Reader<'_>, policy: &mut Policy) -> Result<(), Error> {
        let Some(shapes) = &file.capability else { return Ok(()) };
        // They have a namespace of their own, since decisions call them `capability.NAME`.
        let mut taken = Taken::default();
        policy.capabilities = Vec::with_capacity(shapes.len());
        for shape in shapes {
            taken.take(&shape.name, reader.source)?;
            let grant = grant(shape, reader.source)?;
            reader.place(grant.rule(), &shape.name.span());
            policy.capabilities.push(grant);
        }
        Ok(())
    }

    fn meet(&self, policy: &mut Policy, _: &Policy, other: &Policy) {
        let least = |one: Option<u64>, other: Option<u64>| one.into_iter().chain(other).min();
        policy.capabilities.retain_mut(|grant| {
            let Some(other) = other.capability(grant.name()) else { return false };
            grant.max_calls = least(grant.max_calls, other.max_calls);
            grant.timeout = grant.timeout.into_iter().chain(other.timeout).min();
            grant.groups = grant.groups.meet(&other.groups);
            true
        });
    }

    fn check_narrower(&self, ours: &Checked, base: &Checked, _: &mut Covers) -> Result<(), Error> {
        for grant in &ours.policy.capabilities {
            let what = match base.policy.capability(grant.name()) {
                None => format!("capability {:?} is granted", grant.name()),
                Some(other) => match grant.wider(other).first() {
                    None => continue,
                    Some((key, _)) => format!("capability {:?} has a wider {key}", grant.name()),
                },
            };
            return Err(ours.widening(grant.rule(), base, grant.rule(), what));
        }
        Ok(())
    }

    fn beyond(&self, ours: &Policy, base: &Policy) -> Vec<String> {
        let more = |grant: &CapabilityGrant| {
            let name = quoted(grant.name());
            match base.capability(grant.name()) {
                None => vec![format!("capability {name}")],
                Some(before) => {
                    let wider = grant.wider(before).into_iter();
                    wider.map(|(key, what)| format!("capability {name}: more {what} ({key})")).collect()
                }
            }
        };
        ours.capabilities.iter().flat_map(more).collect()
    }

    fn keep(&self, policy: &mut Policy, _: &Policy, keeps: &super::Keeps<'_>) {
        policy.capabilities.retain(|grant| keeps(self.key(), grant.rule()));
    }

    fn add(&self, policy: &mut Policy, other: &Policy) {
        policy.capabilities.extend(other.capabilities.iter().cloned());
    }

    fn rules<'p>(&self, policy: &'p Policy) -> Vec<&'p str> {
        policy.capabilities.iter().map(CapabilityGrant::rule).collect()
    }

    fn rule_word(&self) -> String {
        "[[capability]]".to_owned()
    }

    /// A capability is covered by the one with its name.
    fn covering<'c>(&self, _: &'c Covers, rule: &'c str) -> Option<&'c str> {
        Some(rule)
    }

    fn owns(&self, name: &str) -> bool {
        NEVER_ASKED.contains(&name)
    }

    fn asked_about<'p>(&self, policy: &'p Policy, ask: &AskRule) -> Vec<&'p str> {
        policy.capability(ask.when.name()).map(CapabilityGrant::rule).into_iter().collect()
    }

    fn question(&self, capability: &str, subject: &str) -> Option<Result<Box<dyn Question>, NoQuestion>> {
        let name = match capability {
            "console.print" => "print",
            "console.display" => "display",
            "console.input" => "input",
            "promises.create" => "promise",
            CALL | "functions.call" | "functions.spawn-detached" => {
                return Some(Ok(Box::new(FunctionQuestion::of(subject))));
            }
            "bridge.send-request" => subject,
            name if name.contains('.') || has_section(name) => return None,
            name => name,
        };
        Some(Ok(Box::new(CapabilityQuestion { name: name.to_owned() })))
    }

    fn render(&self, policy: &Policy, text: &mut String) {
        policy.capabilities.iter().for_each(|grant| text.push_str(&format!("\n{}", grant.toml())));
    }

    fn rule_toml(&self, policy: &Policy, rule: &str) -> Option<String> {
        policy.capabilities.iter().find(|grant| grant.rule() == rule).map(CapabilityGrant::toml)
    }

    fn told(&self, policy: &Policy) -> Vec<(&'static str, String)> {
        let line = |grant: &CapabilityGrant| {
            let calls = grant.max_calls.map(|calls| format!(", at most {calls} calls"));
            let timeout = grant.timeout.map(|timeout| format!(", each within {timeout:?}"));
            let groups = (!grant.groups.is_empty()).then(|| format!(", in other groups {}", grant.groups));
            let bounds = [calls, timeout, groups].into_iter().flatten().collect::<String>();
            ("capability", format!("{}{bounds}", grant.name()))
        };
        policy.capabilities.iter().map(line).collect()
    }
}

impl Decide for CapabilityCall<'_> {
    fn decide<'p>(&self, policy: &'p Policy, used: &Usage, _: u64) -> Verdict<'p> {
        let Self { name, bytes } = *self;
        let Some(grant) = policy.capability(name) else {
            let name = quoted(name);
            return denied(DEFAULT, format!("capability {name} (no [[capability]] grant has this name)"));
        };
        let rule = grant.rule();
        if let Some(why) = policy.over_size(bytes) {
            return exceeded(rule, format!("capability {} ({why})", quoted(name)));
        }
        if let Some(max) =
            grant.max_calls.filter(|max| used.of(rule).is_some_and(|used| used.calls >= *max) || *max == 0)
        {
            return exceeded(rule, format!("capability {} (rule \"{rule}\" allows max_calls = {max})", quoted(name)));
        }
        allowed_or_asked(rule, policy.asks.iter().find(|ask| ask.when.is(name)))
    }

    fn count(&self, used: &mut Usage, rule: &str, _: u64) {
        used.add(rule, |used| used.calls += 1);
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn time_allowed(&self, policy: &Policy, _: &str) -> Option<Duration> {
        policy.capability(self.name)?.timeout
    }
}

impl FunctionCall<'_> {
    fn by_name(&self) -> CapabilityCall<'static> {
        CapabilityCall { name: CALL, bytes: self.bytes }
    }
}

impl Decide for FunctionCall<'_> {
    fn decide<'p>(&self, policy: &'p Policy, used: &Usage, now_ms: u64) -> Verdict<'p> {
        let Self { group, function, .. } = *self;
        if let (Some(group), Some(grant)) = (group, policy.capability(CALL))
            && !grant.groups.reach(group, function)
        {
            let (rule, callee) = (grant.rule(), quoted(&format!("{group}/{function}")));
            let why =
                format!("capability \"call\" of {callee} (rule \"{rule}\" has groups = {}, without it)", grant.groups);
            return denied(rule, why);
        }
        self.by_name().decide(policy, used, now_ms)
    }

    fn count(&self, used: &mut Usage, rule: &str, at_ms: u64) {
        self.by_name().count(used, rule, at_ms);
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn time_allowed(&self, policy: &Policy, rule: &str) -> Option<Duration> {
        self.by_name().time_allowed(policy, rule)
    }
}

impl Policy {
    /// The policy if no policy file is given: it grants only `print`.
    pub fn none() -> Self {
        let capabilities = vec![CapabilityGrant::new("print")];
        Self { name: "none".to_owned(), capabilities, ..Self::default() }
    }

    /// The grant of the capability of that name.
    pub fn capability(&self, name: &str) -> Option<&CapabilityGrant> {
        self.capabilities.iter().find(|grant| grant.name() == name)
    }
}

impl CapabilityGrant {
    /// A grant without bounds of its own.
    pub fn new(name: &str) -> Self {
        Self { rule: format!("capability.{name}"), max_calls: None, timeout: None, groups: Groups::default() }
    }

    /// The name of the capability.
    pub fn name(&self) -> &str {
        self.rule.strip_prefix("capability.").unwrap_or(&self.rule)
    }

    /// The id of this rule, `capability.NAME`.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// The keys whose bounds are wider than another grant's, each with a word for what there is more of.
    fn wider(&self, other: &Self) -> Vec<(&'static str, &'static str)> {
        let calls = |grant: &Self| grant.max_calls.unwrap_or(u64::MAX);
        let timeout = |grant: &Self| grant.timeout.unwrap_or(Duration::MAX);
        let calls = (calls(self) > calls(other)).then_some(("max_calls", "calls"));
        let timeout = (timeout(self) > timeout(other)).then_some(("timeout", "time"));
        let groups = self.groups.are_wider(&other.groups).then_some(("groups", "groups"));
        [calls, timeout, groups].into_iter().flatten().collect()
    }

    fn toml(&self) -> String {
        let (max_calls, timeout) = (self.max_calls.and_then(count), self.timeout.and_then(span));
        let (name, groups) = (Some(quote(self.name())), self.groups.toml());
        rule("capability", &[("name", name), ("max_calls", max_calls), ("timeout", timeout), ("groups", groups)])
    }
}

/// A question about a capability.
#[derive(Debug)]
struct CapabilityQuestion {
    name: String,
}

impl Question for CapabilityQuestion {
    fn call(&self) -> Call<'_> {
        Call::Capability(CapabilityCall { name: &self.name, bytes: 0 })
    }

    fn listed_by(&self) -> Option<&'static str> {
        Some(SECTION.key())
    }

    fn refusal(&self, _: &Policy) -> Option<&'static str> {
        (!is_name(&self.name)).then_some("no capability can have this name")
    }

    fn narrowest(&self, policy: &Policy, calls: u64, _: &[&str]) -> Option<String> {
        let rule = || format!("[[capability]]\nname = {}\nmax_calls = {calls}\n", quote(&self.name));
        policy.capability(&self.name).is_none().then(rule)
    }

    /// The budget of a lineage, for calls that others settle.
    fn budget(&self, limits: &Lineage) -> Option<String> {
        (!IMMEDIATE.contains(&self.name.as_str())).then(|| format!("{} promises", count_text(limits.promises)))
    }
}

impl fmt::Display for CapabilityQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "capability {}", quoted(&self.name))
    }
}

/// A question about a call.
#[derive(Debug)]
struct FunctionQuestion {
    /// `GROUP/FUNCTION`; empty for a function of the caller's group.
    callee: String,
}

impl FunctionQuestion {
    /// The call that a subject names: `GROUP/FUNCTION`, or a function of the caller's group.
    fn of(subject: &str) -> Self {
        let is_elsewhere = subject.contains('/') && is_entry(subject);
        Self { callee: if is_elsewhere { subject.to_owned() } else { String::new() } }
    }
}

impl Question for FunctionQuestion {
    fn call(&self) -> Call<'_> {
        let callee = self.callee.split_once('/');
        let (group, function) = callee.map_or((None, ""), |(group, function)| (Some(group), function));
        Call::Function(FunctionCall { group, function, bytes: 0 })
    }

    fn listed_by(&self) -> Option<&'static str> {
        Some(SECTION.key())
    }

    fn variant(&self) -> &str {
        &self.callee
    }

    fn group(&self) -> String {
        CALL.to_owned()
    }

    fn refusal(&self, policy: &Policy) -> Option<&'static str> {
        let grant = policy.capability(CALL)?;
        let is_covered = self.callee.is_empty() || grant.groups.cover(&self.callee);
        (!is_covered).then_some("add it to the groups of the rule \"capability.call\"")
    }

    fn narrowest(&self, policy: &Policy, calls: u64, callees: &[&str]) -> Option<String> {
        let groups = Groups::of_callees(callees);
        let keys = [("name", Some(quote(CALL))), ("max_calls", Some(calls.to_string())), ("groups", groups.toml())];
        policy.capability(CALL).is_none().then(|| rule("capability", &keys))
    }

    fn budget(&self, limits: &Lineage) -> Option<String> {
        let Lineage { executions, promises, depth, .. } = limits;
        let [executions, promises, depth] = [executions, promises, depth].map(|limit| count_text(*limit));
        Some(format!("{executions} executions, {promises} promises, {depth} calls deep"))
    }
}

impl fmt::Display for FunctionQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.callee.as_str() {
            "" => f.write_str("capability \"call\""),
            callee => write!(f, "capability \"call\" of {}", quoted(callee)),
        }
    }
}

fn grant(shape: &Capability, source: &Source<'_>) -> Result<CapabilityGrant, Error> {
    let name = shape.name.get_ref();
    check_name(&shape.name, source)?;
    if let (true, Some(timeout)) = (IMMEDIATE.contains(&name.as_str()), &shape.timeout) {
        let what = format!("timeout has no meaning for {}, which never waits", quoted(name));
        return Err(source.invalid(&timeout.span(), what, "remove it"));
    }
    let max_calls = shape.max_calls.map(|Count(calls)| calls).filter(|calls| *calls != u64::MAX);
    let timeout = shape.timeout.as_ref().map(|time| time.get_ref().0).filter(|time| *time != Duration::MAX);
    if let (Some(groups), true) = (&shape.groups, name != CALL) {
        let what = format!("groups has no meaning for {}, which is not called in another group", quoted(name));
        return Err(source.invalid(&groups.span(), what, "remove it"));
    }
    let groups = shape.groups.as_ref().map(|groups| Groups::read(groups.get_ref(), source)).transpose()?;
    let groups = groups.unwrap_or_default();
    Ok(CapabilityGrant { max_calls, timeout, groups, ..CapabilityGrant::new(name) })
}

/// Refuses names that no capability without a section of its own can have.
pub(super) fn check_name(name: &At<String>, source: &Source<'_>) -> Result<(), Error> {
    let text = name.get_ref();
    if !is_name(text) {
        let what = format!("{} is no name of a capability", quoted(text));
        let remedy = "use 1 to 128 of the characters a-z, A-Z, 0-9, '-', '_', '.', ':' and '/'";
        return Err(source.invalid(&name.span(), what, remedy));
    }
    if has_section(text) {
        let what = format!("{} is not granted by name", quoted(text));
        return Err(source.invalid(&name.span(), what, "use the section that has this name"));
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
    !text.is_empty() && text.len() <= 128 && text.bytes().all(allowed)
}

/// Whether a section of that name decides calls of that name.
fn has_section(name: &str) -> bool {
    SECTIONS.iter().any(|section| section.key() == name && section.owns(name))
}
