//! `[[ask]]`: calls that a human approves one by one. The sections that decide calls define which ones a rule may be
//! about.

use super::{Askable, File, Keeps, Policy, SECTIONS, Section, capability};
use crate::extends::{Checked, Covers};
use crate::list::{Addressed, RuleList};
use crate::read::{Reader, span};
use crate::source::{At, OnFailure};
use crate::tools::render::{self, list, quote, rule};
use crate::units::{self, Span};
use crate::url::Pattern;
use crate::{Error, quoted};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// `[[ask]]`: calls that suspend the execution until they are approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskRule {
    /// The rule's id; `ask.N`, counted from 1, when the file gives none.
    pub rule: String,
    /// The calls.
    pub when: When,
    /// The methods of a fetch, in upper case; empty: all.
    pub methods: Vec<String>,
    /// The URLs of a fetch or a connection; `None`: all.
    pub url: Option<Pattern>,
    /// How long an answer may take; then the call is denied.
    #[serde(with = "units::milliseconds")]
    pub ttl: Duration,
    /// How long an approval holds.
    pub remember: Remember,
    /// Whether an approval is enough for a fetch or a connection that no other rule grants. This is false for a rule that a policy adds to
    /// those of the policies it extends, and where a function, or a policy that extends another, leaves such grants out: then it asks
    /// before what is granted, and allows nothing else. It has no meaning for files and capabilities, which always need a grant as well.
    pub sufficient: bool,
}

/// The calls of an `[[ask]]` rule: those that a section names, or those of one capability, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct When(String);

/// How long an approval is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Remember {
    /// For this call only.
    Once,
    /// For the same call whenever this execution makes it again.
    Execution,
}

/// Calls that a human approves one by one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    /// The id of the rule, which decisions name; `ask.N` when it is missing.
    id: Option<At<String>>,
    /// The calls that need approval: `fetch`, `websocket`, `files.write`, `files.remove`, or the name of a capability.
    when: At<String>,
    /// The methods of a fetch; all when it is missing.
    methods: Option<At<Vec<At<String>>>>,
    /// The URLs of a fetch or a connection; all when it is missing.
    url: Option<At<String>>,
    /// How long to wait for an answer.
    ttl: Option<At<Span>>,
    /// What happens when there is no answer in time.
    #[serde(rename = "on_timeout")]
    _on_timeout: Option<OnFailure>,
    /// How long an approval is valid.
    remember: Option<Remember>,
}

struct AskSection;

pub(super) const SECTION: &dyn Section = &AskSection;

impl Section for AskSection {
    fn key(&self) -> &'static str {
        "ask"
    }

    /// Inherited rules come before those of the file, and are included in the numbering of those without an id.
    fn read(&self, file: &File, reader: &mut Reader<'_>, policy: &mut Policy) -> Result<(), Error> {
        let numbers = policy.asks.len() + 1..;
        let own = file.ask.iter().zip(numbers).map(|(shape, number)| grant(shape, number, reader));
        let own = own.collect::<Result<Vec<_>, _>>()?;
        let inherited = policy.asks.iter().map(|ask| AskRule {
            sufficient: ask.sufficient && !is_replaced(ask, file, reader, policy),
            ..ask.clone()
        });
        policy.asks = inherited.chain(own).collect();
        Ok(())
    }

    fn meet(&self, policy: &mut Policy, first: &Policy, other: &Policy) {
        let new = other.asks.iter().filter(|ask| !first.asks.contains(ask));
        // Another base may deny what one base asks about.
        let asks = policy.asks.iter().chain(new).map(|ask| AskRule { sufficient: false, ..ask.clone() });
        policy.asks = asks.collect();
    }

    /// The `[[ask]]` rules are those of the base, plus others about calls that are granted or asked about.
    fn check_narrower(&self, ours: &Checked, base: &Checked, covers: &mut Covers) -> Result<(), Error> {
        for ask in &ours.policy.asks {
            if base.policy.asks.iter().any(|other| other.rule == ask.rule && other.when == ask.when) {
                covers.note(&ask.rule, &ask.rule);
            } else if !ask.concerns(&base.policy) {
                let what = format!("rule {:?} asks about {}, which is denied anyway", ask.rule, ask.when);
                return Err(ours.widening(&ask.rule, base, "", what));
            }
        }
        Ok(())
    }

    /// An approval that is sufficient allows more, and so does one that is no longer required.
    fn beyond(&self, ours: &Policy, base: &Policy) -> Vec<String> {
        let alone = |ask: &AskRule| ask.sufficient && ask.can_suffice();
        let known = |ask: &AskRule| base.asks.iter().any(|other| alone(other) && other.covers(ask));
        let new = ours.asks.iter().filter(|ask| alone(ask) && !known(ask));
        let new = new.map(|ask| format!("with an approval: {}", ask.about()));
        let less = base.asks.iter().filter_map(|ask| match ours.asks.iter().find(|other| other.covers(ask)) {
            None if ask.is_granted(ours) => Some(format!("without an approval: {}", ask.about())),
            Some(other) if (other.remember, other.ttl) > (ask.remember, ask.ttl) => {
                Some(format!("an approval holds longer: {}", ask.about()))
            }
            _ => None,
        });
        new.chain(less).collect()
    }

    /// An approval must not replace a grant, with its quotas, that the function does not keep.
    fn keep(&self, policy: &mut Policy, whole: &Policy, keeps: &Keeps<'_>) {
        let ask = |ask: &AskRule| {
            let kept = ask.sufficing().is_none_or(|section| {
                let granted = section.asked_about(whole, ask);
                keeps(section.key(), &ask.rule) && granted.iter().all(|grant| keeps(section.key(), grant))
            });
            AskRule { sufficient: ask.sufficient && kept, ..ask.clone() }
        };
        policy.asks = whole.asks.iter().map(ask).collect::<RuleList<_>>();
    }

    fn rules<'p>(&self, policy: &'p Policy) -> Vec<&'p str> {
        policy.asks.iter().map(|ask| ask.rule.as_str()).collect()
    }

    fn reaches_the_network(&self, policy: &Policy) -> bool {
        policy.asks.iter().any(AskRule::can_suffice)
    }

    fn render(&self, policy: &Policy, text: &mut String) {
        policy.asks.iter().for_each(|ask| text.push_str(&format!("\n{}", ask.toml())));
    }

    fn rule_toml(&self, policy: &Policy, rule: &str) -> Option<String> {
        policy.ask_rule(rule).map(AskRule::toml)
    }

    fn told(&self, policy: &Policy) -> Vec<(&'static str, String)> {
        let line = |ask: &AskRule| {
            let holds = if ask.remember == Remember::Execution { "for the execution" } else { "once" };
            let enough = if ask.sufficient { "" } else { "; another rule must grant it as well" };
            let within = units::time_told(ask.ttl);
            let about = format!("{}: {}", ask.rule, ask.about());
            ("ask", format!("{about}; holds {holds}, to be answered within {within}{enough}"))
        };
        policy.asks.iter().map(line).collect()
    }
}

impl Policy {
    /// The `[[ask]]` rule of that name.
    pub fn ask_rule(&self, rule: &str) -> Option<&AskRule> {
        self.asks.iter().find(|ask| ask.rule == rule)
    }
}

impl AskRule {
    /// How long an approval may take if the file does not set it.
    pub const TTL: Duration = Duration::from_secs(24 * 3600);

    /// Whether the rule is about calls with that name and method.
    pub(crate) fn is_about(&self, name: &str, method: &str) -> bool {
        self.when.is(name) && (self.methods.is_empty() || self.methods.iter().any(|one| one == method))
    }

    /// Whether the rule may be about a call with one of these methods to a URL that the pattern matches.
    pub(crate) fn overlaps(&self, url: &Pattern, methods: Option<&[String]>) -> bool {
        let method = |methods: &[String]| self.methods.iter().any(|one| methods.contains(one));
        let methods = self.methods.is_empty() || methods.is_none_or(method);
        methods && self.url.as_ref().is_none_or(|own| own.overlaps(url))
    }

    /// The section whose calls an approval can let through without a grant.
    pub(crate) fn sufficing(&self) -> Option<&'static dyn Section> {
        let suffices = |one: &Askable| self.when.is(one.name) && one.schemes.is_some();
        SECTIONS.iter().copied().find(|section| section.askable().iter().any(suffices))
    }

    fn can_suffice(&self) -> bool {
        self.sufficing().is_some()
    }

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

    /// Whether a grant of the policy may cover a call that the rule is about.
    fn is_granted(&self, policy: &Policy) -> bool {
        SECTIONS.iter().any(|section| !section.asked_about(policy, self).is_empty())
    }

    /// Whether a rule asks about everything that another one asks about.
    fn covers(&self, other: &Self) -> bool {
        let listed =
            |methods: &[String]| !methods.is_empty() && methods.iter().all(|method| self.methods.contains(method));
        let url = match (&self.url, &other.url) {
            (Some(ours), Some(theirs)) => ours.covers(theirs),
            (ours, _) => ours.is_none(),
        };
        self.when == other.when && url && (self.methods.is_empty() || listed(&other.methods))
    }

    fn about(&self) -> String {
        let methods = if self.methods.is_empty() { String::new() } else { format!(" {}", self.methods.join(", ")) };
        let url = self.url.as_ref().map(|url| format!(" {url}"));
        format!("{}{methods}{}", self.when, url.unwrap_or_default())
    }

    fn toml(&self) -> String {
        let remember = match self.remember {
            Remember::Once => "once",
            Remember::Execution => "execution",
        };
        let note = if self.sufficient { "" } else { "# asks only about what another rule grants\n" };
        let text = rule(
            "ask",
            &[
                // A numbered rule has a dot in its name.
                ("id", (!self.rule.contains('.')).then(|| quote(&self.rule))),
                ("when", Some(quote(self.when.name()))),
                ("methods", (!self.methods.is_empty()).then(|| list(self.methods.clone()))),
                ("url", self.url.as_ref().map(|url| quote(url.as_str()))),
                ("ttl", render::span(self.ttl)),
                ("on_timeout", Some(quote("deny"))),
                ("remember", Some(quote(remember))),
            ],
        );
        format!("{note}{text}")
    }
}

impl When {
    /// The calls with that name, as in the file.
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The name in the file.
    pub fn name(&self) -> &str {
        &self.0
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.0 == name
    }
}

impl Addressed for AskRule {
    fn url(&self) -> Option<&Pattern> {
        self.url.as_ref()
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether the file replaces what the approval allowed. If it has a list of grants of its own, an approval does not replace an
/// inherited grant, with its quotas; if that list is empty, it grants nothing at all.
fn is_replaced(ask: &AskRule, file: &File, reader: &Reader<'_>, policy: &Policy) -> bool {
    let Some(section) = ask.sufficing() else { return false };
    let is_denied = || section.rules(policy).is_empty() || !section.asked_about(reader.inherited, ask).is_empty();
    section.is_given(file) && is_denied()
}

fn grant(shape: &Ask, number: usize, reader: &mut Reader<'_>) -> Result<AskRule, Error> {
    let rule = match &shape.id {
        Some(id) => reader.take_id(id)?,
        None => {
            let rule = format!("ask.{number}");
            reader.place(&rule, &shape.when.span());
            rule
        }
    };
    let askable = askable(&shape.when, reader)?;
    Ok(AskRule {
        methods: methods(askable, shape.methods.as_ref(), reader)?,
        url: url(askable, shape.url.as_ref(), reader)?,
        ttl: span(reader.source, "ttl", shape.ttl.as_ref(), AskRule::TTL)?,
        remember: shape.remember.unwrap_or(Remember::Once),
        when: When::new(shape.when.get_ref()),
        rule,
        sufficient: reader.is_root,
    })
}

/// All kinds of calls that `[[ask]]` rules may be about.
fn all_askable() -> impl Iterator<Item = &'static Askable> {
    SECTIONS.iter().flat_map(|section| section.askable())
}

/// The kind of calls that the rule is about; `None`: a capability without a section of its own.
fn askable(when: &At<String>, reader: &Reader<'_>) -> Result<Option<&'static Askable>, Error> {
    let text = when.get_ref().as_str();
    if let Some(askable) = all_askable().find(|one| one.name == text) {
        return Ok(Some(askable));
    }
    if SECTIONS.iter().any(|section| section.owns(text)) {
        let what = format!("nobody is asked about {}", quoted(text));
        let mut all: Vec<_> = all_askable().collect();
        all.sort_by_key(|one| one.schemes.is_none());
        let all: String = all.into_iter().map(|one| format!("{:?}, ", one.name)).collect();
        let remedy = format!("write {all}or another capability");
        return Err(reader.source.invalid(&when.span(), what, remedy));
    }
    capability::check_name(when, reader.source).map(|()| None)
}

/// The error for a key that only has a meaning for some calls.
fn meaningless<T>(key: &str, at: &At<T>, means: fn(&Askable) -> bool, reader: &Reader<'_>) -> Error {
    let names: Vec<_> = all_askable().filter(|one| means(one)).map(|one| format!("{:?}", one.name)).collect();
    let what = format!("{key} has a meaning for when = {} only", names.join(" or "));
    reader.source.invalid(&at.span(), what, "remove it")
}

fn methods(
    askable: Option<&Askable>,
    shape: Option<&At<Vec<At<String>>>>,
    reader: &Reader<'_>,
) -> Result<Vec<String>, Error> {
    let Some(methods) = shape else { return Ok(Vec::new()) };
    match askable.filter(|one| one.by_method) {
        Some(_) => reader.methods(methods),
        None => Err(meaningless("methods", methods, |one| one.by_method, reader)),
    }
}

fn url(askable: Option<&Askable>, shape: Option<&At<String>>, reader: &Reader<'_>) -> Result<Option<Pattern>, Error> {
    let Some(url) = shape else { return Ok(None) };
    let Some(schemes) = askable.and_then(|one| one.schemes) else {
        return Err(meaningless("url", url, |one| one.schemes.is_some(), reader));
    };
    let pattern = reader.pattern(url, schemes)?;
    if pattern.has_query() {
        let what = "the URL of an [[ask]] rule has a query, which a guest could write in another way".to_owned();
        return Err(reader.source.invalid(&url.span(), what, "leave the query out: it asks about every one"));
    }
    Ok(Some(pattern))
}
