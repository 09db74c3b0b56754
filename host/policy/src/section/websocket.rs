//! `[[websocket]]`: connections to some URLs, and the messages over them.

use super::urls::{Match, floor, id_after_host, private, target, unmatched};
use super::{AskRule, Askable, Decide, File, Keeps, NoQuestion, Policy, Question, RuleSize, Section};
use crate::decide::{DEFAULT, Verdict, allowed_or_asked, denied, exceeded};
use crate::extends::{Bound, Checked, Covers, Grant, beyond, cover, ms, ms_text};
use crate::list::Addressed;
use crate::read::{Reader, span};
use crate::source::At;
use crate::tools::render::{self, count, quote, rule, size};
use crate::units::{self, Count, Size, Span, count_text, size_text};
use crate::url::{Pattern, Target};
use crate::usage::Usage;
use crate::{Call, Error, escaped, quoted};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// `[[websocket]]`: connections to some URLs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebSocketGrant {
    /// The rule's id.
    pub id: String,
    /// The URLs.
    pub url: Pattern,
    /// Bounds and quotas.
    pub terms: WebSocketTerms,
}

/// The bounds and quotas of connections: those of a `[[websocket]]` rule, or [`WebSocketTerms::DEFAULT`] if only an `[[ask]]`
/// rule allows a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebSocketTerms {
    /// How many connections at once.
    #[serde(with = "units::number")]
    pub max_open: u64,
    /// Largest message in either direction, in bytes.
    #[serde(with = "units::number")]
    pub max_message: u64,
    /// How many messages one execution may send and await, over all connections of the rule.
    #[serde(with = "units::number")]
    pub max_messages: u64,
    /// How long a connection may be silent.
    #[serde(with = "units::milliseconds")]
    pub idle: Duration,
}

/// Connections to some URLs.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebSocket {
    /// The id of the rule, which decisions name.
    id: At<String>,
    /// The URLs; `*` matches one label or segment, `**` any number.
    url: At<String>,
    /// The largest number of connections at the same time.
    max_open: Option<At<Count>>,
    /// The largest message.
    max_message: Option<At<Size>>,
    /// The largest number of messages in both directions together.
    max_messages: Option<Count>,
    /// How long a connection may be idle.
    idle: Option<At<Span>>,
}

/// Opens a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectCall<'a> {
    /// The URL.
    pub url: &'a Target,
}

/// Sends or awaits one message over an open connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageCall<'a> {
    /// The rule that the connection was opened under, whose bounds and quotas apply.
    pub rule: &'a str,
    /// Size of the message sent; 0 for one that is awaited.
    pub bytes: u64,
}

struct WebSocketSection;

pub(super) const SECTION: &dyn Section = &WebSocketSection;

impl Section for WebSocketSection {
    fn key(&self) -> &'static str {
        "websocket"
    }

    fn read(&self, file: &File, reader: &mut Reader<'_>, policy: &mut Policy) -> Result<(), Error> {
        let Some(shapes) = &file.websocket else { return Ok(()) };
        let per_call = policy.limits.bytes_per_call;
        let grants = shapes.iter().map(|shape| grant(shape, per_call, reader)).collect::<Result<Vec<_>, _>>()?;
        policy.websocket = grants.into();
        Ok(())
    }

    fn is_given(&self, file: &File) -> bool {
        file.websocket.is_some()
    }

    fn largest(&self, file: &File) -> Option<u64> {
        units::largest(file.websocket.iter().flatten().map(|shape| &shape.max_message))
    }

    fn meet(&self, policy: &mut Policy, _: &Policy, other: &Policy) {
        policy.websocket = cover(&policy.websocket, &other.websocket).kept.into();
    }

    fn check_narrower(&self, ours: &Checked, base: &Checked, covers: &mut Covers) -> Result<(), Error> {
        covers.check(ours, base, cover(&ours.policy.websocket, &base.policy.websocket))
    }

    fn beyond(&self, ours: &Policy, base: &Policy) -> Vec<String> {
        beyond(&ours.websocket, &base.websocket)
    }

    fn keep(&self, policy: &mut Policy, whole: &Policy, keeps: &Keeps<'_>) {
        let kept = whole.websocket.iter().filter(|grant| keeps(self.key(), &grant.id));
        policy.websocket = kept.cloned().collect();
    }

    fn add(&self, policy: &mut Policy, other: &Policy) {
        policy.websocket = policy.websocket.iter().chain(&other.websocket).cloned().collect();
    }

    fn rules<'p>(&self, policy: &'p Policy) -> Vec<&'p str> {
        policy.websocket.iter().map(|grant| grant.id.as_str()).collect()
    }

    fn owns(&self, name: &str) -> bool {
        name == "websocket"
    }

    fn askable(&self) -> &'static [Askable] {
        &[Askable { name: "websocket", by_method: false, schemes: Some(["ws", "wss"]) }]
    }

    fn asked_about<'p>(&self, policy: &'p Policy, ask: &AskRule) -> Vec<&'p str> {
        let asked = |grant: &&WebSocketGrant| ask.when.is("websocket") && ask.overlaps(&grant.url, None);
        policy.websocket.iter().filter(asked).map(|grant| grant.id.as_str()).collect()
    }

    fn question(&self, capability: &str, url: &str) -> Option<Result<Box<dyn Question>, NoQuestion>> {
        ["websocket", "websocket.connect"].contains(&capability).then(|| match url {
            "" => Err(NoQuestion::Subject { capability: "websocket", example: "\"wss://example.org/feed\"" }),
            url => Ok(Box::new(WebSocketQuestion { url: target(url)? }) as _),
        })
    }

    fn reaches_the_network(&self, policy: &Policy) -> bool {
        !policy.websocket.is_empty()
    }

    fn render(&self, policy: &Policy, text: &mut String) {
        policy.websocket.iter().for_each(|grant| text.push_str(&format!("\n{}", grant.toml())));
    }

    fn rule_toml(&self, policy: &Policy, rule: &str) -> Option<String> {
        policy.websocket.iter().find(|grant| grant.id == rule).map(WebSocketGrant::toml)
    }

    fn told(&self, policy: &Policy) -> Vec<(&'static str, String)> {
        let line = |grant: &WebSocketGrant| {
            let WebSocketTerms { max_open, max_message, max_messages, idle } = &grant.terms;
            let (open, messages) = (count_text(*max_open), count_text(*max_messages));
            let (message, idle) = (units::size_told(*max_message), units::time_told(*idle));
            let bounds = format!("{open} at once, {messages} messages up to {message}, silent up to {idle}");
            ("websocket", format!("{}: {}; {bounds}", grant.id, grant.url))
        };
        policy.websocket.iter().map(line).collect()
    }

    fn sizes<'p>(&self, policy: &'p Policy) -> Vec<RuleSize<'p>> {
        let size = |grant: &'p WebSocketGrant| RuleSize {
            rule: &grant.id,
            key: "max_message",
            bytes: grant.terms.max_message,
            // A message is recorded in base64.
            recorded: Some((4, 3)),
        };
        policy.websocket.iter().map(size).collect()
    }
}

impl Decide for ConnectCall<'_> {
    fn decide<'p>(&self, policy: &'p Policy, used: &Usage, _: u64) -> Verdict<'p> {
        let url = self.url;
        if let Some(refused) = floor(policy, self, url) {
            return refused;
        }
        let ask = policy.asks.first(url, |ask| ask.when.is("websocket"));
        let grant = policy.websocket.first(url, |_| true).map(|grant| Match { rule: &grant.id, terms: &grant.terms });
        // Among those that ask.
        let alone = || ask.and_then(|_| policy.asks.first(url, |ask| ask.sufficient && ask.when.is("websocket")));
        let found = grant.or_else(|| Some(Match { rule: &alone()?.rule, terms: &WebSocketTerms::DEFAULT }));
        let Some(Match { rule, terms }) = found else {
            let nearest = policy.websocket.nearest(url);
            let nearest = nearest.map(|(grant, near)| (&*grant.id, near.explain("", &grant.url)));
            return unmatched("websocket", self, nearest);
        };
        if used.of(rule).is_some_and(|used| used.open >= terms.max_open) {
            return exceeded(rule, format!("{self} (rule \"{rule}\" allows max_open = {})", terms.max_open));
        }
        allowed_or_asked(rule, ask)
    }

    fn count(&self, used: &mut Usage, rule: &str, _: u64) {
        used.add(rule, |used| used.calls += 1);
    }

    fn words(&self) -> Option<String> {
        Some(self.to_string())
    }

    fn stays_open(&self) -> bool {
        true
    }
}

impl Decide for MessageCall<'_> {
    fn decide<'p>(&self, policy: &'p Policy, used: &Usage, _: u64) -> Verdict<'p> {
        let Self { rule, bytes } = *self;
        let Some(Match { rule, terms }) = policy.websocket_match(rule) else {
            return denied(DEFAULT, format!("websocket message (no rule {} opens connections)", quoted(rule)));
        };
        let WebSocketTerms { max_message, max_messages, .. } = terms;
        let over = policy.over_size(bytes).or_else(|| {
            (bytes > *max_message).then(|| format!("{bytes} bytes; rule \"{rule}\" allows max_message = {max_message}"))
        });
        let messages = used.of(rule).map_or(0, |used| used.messages);
        let over = over.or_else(|| {
            (messages >= *max_messages).then(|| format!("rule \"{rule}\" allows max_messages = {max_messages}"))
        });
        match over {
            Some(why) => exceeded(rule, format!("websocket message ({why})")),
            None => Verdict::Allow { rule },
        }
    }

    fn count(&self, used: &mut Usage, rule: &str, _: u64) {
        used.add(rule, |used| used.messages += 1);
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn is_part(&self) -> bool {
        true
    }
}

impl Policy {
    /// The bounds of a connection that this rule allowed: a `[[websocket]]` rule, or an `[[ask]]` rule.
    pub fn websocket_terms(&self, rule: &str) -> Option<&WebSocketTerms> {
        self.websocket_match(rule).map(|found| found.terms)
    }

    fn websocket_match(&self, rule: &str) -> Option<Match<'_, WebSocketTerms>> {
        let grant = self.websocket.iter().find(|grant| grant.id == rule);
        let grant = grant.map(|grant| Match { rule: grant.id.as_str(), terms: &grant.terms });
        grant.or_else(|| {
            let ask = self.ask_rule(rule).filter(|ask| ask.when.is("websocket"))?;
            Some(Match { rule: &ask.rule, terms: &WebSocketTerms::DEFAULT })
        })
    }
}

impl WebSocketTerms {
    /// The terms if no key sets others.
    pub const DEFAULT: Self =
        Self { max_open: 4, max_message: 1 << 20, max_messages: 10_000, idle: Duration::from_secs(60) };
}

impl WebSocketGrant {
    fn toml(&self) -> String {
        let terms = &self.terms;
        rule(
            "websocket",
            &[
                ("id", Some(quote(&self.id))),
                ("url", Some(quote(self.url.as_str()))),
                ("max_open", count(terms.max_open)),
                ("max_message", size(terms.max_message)),
                ("max_messages", count(terms.max_messages)),
                ("idle", render::span(terms.idle)),
            ],
        )
    }
}

impl Addressed for WebSocketGrant {
    fn url(&self) -> Option<&Pattern> {
        Some(&self.url)
    }
}

impl Grant for WebSocketGrant {
    fn id(&self) -> &str {
        &self.id
    }

    fn covers(&self, other: &Self) -> bool {
        self.url.covers(&other.url)
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.url.overlaps(&other.url)
    }

    fn bounds(&self, other: &Self) -> Result<Vec<Bound>, String> {
        let (theirs, ours) = (&self.terms, &other.terms);
        Ok(vec![
            Bound::shared("max_open", ours.max_open, theirs.max_open, count_text),
            Bound::each("max_message", ours.max_message, theirs.max_message, size_text),
            Bound::shared("max_messages", ours.max_messages, theirs.max_messages, count_text),
            Bound::each("idle", ms(ours.idle), ms(theirs.idle), ms_text),
        ])
    }

    fn granted(&self) -> String {
        self.url.to_string()
    }
}

/// A question about a connection.
#[derive(Debug)]
struct WebSocketQuestion {
    url: Target,
}

impl Question for WebSocketQuestion {
    fn call(&self) -> Call<'_> {
        Call::Connect(ConnectCall { url: &self.url })
    }

    fn listed_by(&self) -> Option<&'static str> {
        Some(SECTION.key())
    }

    fn refusal(&self, _: &Policy) -> Option<&'static str> {
        private(&self.url)
    }

    fn narrowest(&self, policy: &Policy, _: u64, _: &[&str]) -> Option<String> {
        policy.websocket.first(&self.url, |_| true).is_none().then(|| {
            let (id, pattern) = (id_after_host(policy, &self.url), Pattern::exactly(&self.url));
            format!("[[websocket]]\nid = {}\nurl = {}\nmax_open = 1\n", quote(&id), quote(pattern.as_str()))
        })
    }
}

/// As shown in messages: without path and query.
impl fmt::Display for ConnectCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "websocket {}", self.url.authority())
    }
}

impl fmt::Display for WebSocketQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "websocket {}", escaped(self.url.as_str()))
    }
}

fn grant(shape: &WebSocket, per_call: u64, reader: &mut Reader<'_>) -> Result<WebSocketGrant, Error> {
    let id = reader.take_id(&shape.id)?;
    let default = WebSocketTerms::DEFAULT;
    Ok(WebSocketGrant {
        id,
        url: reader.pattern(&shape.url, ["ws", "wss"])?,
        terms: WebSocketTerms {
            max_open: reader.at_least_one("max_open", shape.max_open.as_ref(), default.max_open)?,
            max_message: units::given(shape.max_message.as_ref(), default.max_message.min(per_call)),
            max_messages: shape.max_messages.map_or(default.max_messages, |Count(messages)| messages),
            idle: span(reader.source, "idle", shape.idle.as_ref(), default.idle)?,
        },
    })
}
