//! Decisions about URLs.
//!
//! The order: an address that must not be reached; then the first `[[fetch]]` or `[[websocket]]` rule and the first `[[ask]]` rule that
//! match. If there is a grant, its bounds and quotas apply: a call that exceeds them is denied, and no later rule is tried.
//! A call that is within them is allowed, or asked about if a rule asks. Without a grant, an `[[ask]]` rule whose approval is enough
//! lets it through with the default bounds.

use super::{Call, Verdict, denied, exceeded};
use crate::url::Target;
use crate::usage::{Usage, Used};
use crate::{AskRule, FetchTerms, Policy, WebSocketTerms, When, escaped};
use std::fmt;

/// A grant or a rule that asks, as far as it decides.
struct Match<'p, T> {
    rule: &'p str,
    terms: &'p T,
}

/// What is called, as messages name it: neither path nor query.
#[derive(Clone, Copy)]
enum Subject<'a> {
    Fetch { method: &'a str, url: &'a Target },
    WebSocket { url: &'a Target },
}

impl Policy {
    pub(super) fn decide_fetch(
        &self,
        call: &Call<'_>,
        method: &str,
        url: &Target,
        used: &Usage,
        now_ms: u64,
    ) -> Verdict<'_> {
        let subject = Subject::Fetch { method, url };
        if let Some(refused) = self.floor(subject) {
            return refused;
        }
        let ask = self.asks.first(url, |ask| ask.is_about_fetch(method));
        let grant = self.fetch.first(url, |grant| grant.methods.iter().any(|one| one == method));
        let grant = grant.map(|grant| Match { rule: &grant.id, terms: &grant.terms });
        let alone = || self.asks.first(url, |ask| ask.sufficient && ask.is_about_fetch(method));
        let found = grant.or_else(|| Some(Match { rule: &alone()?.rule, terms: &FetchTerms::DEFAULT }));
        let Some(Match { rule, terms }) = found else { return self.unmatched(subject) };
        match self.over_size(call.bytes()).or_else(|| terms.over(rule, call.bytes(), used.of(rule), now_ms)) {
            Some(why) => exceeded(rule, format!("{subject} ({why})")),
            None => allowed_or_asked(rule, ask),
        }
    }

    pub(super) fn decide_websocket(&self, url: &Target, used: &Usage) -> Verdict<'_> {
        let subject = Subject::WebSocket { url };
        if let Some(refused) = self.floor(subject) {
            return refused;
        }
        let ask = self.asks.first(url, |ask| ask.when == When::WebSocket);
        let grant = self.websocket.first(url, |_| true).map(|grant| Match { rule: &grant.id, terms: &grant.terms });
        let alone = || self.asks.first(url, |ask| ask.sufficient && ask.when == When::WebSocket);
        let found = grant.or_else(|| Some(Match { rule: &alone()?.rule, terms: &WebSocketTerms::DEFAULT }));
        let Some(Match { rule, terms }) = found else { return self.unmatched(subject) };
        if used.of(rule).is_some_and(|used| used.open >= terms.max_open) {
            return exceeded(rule, format!("{subject} (rule \"{rule}\" allows max_open = {})", terms.max_open));
        }
        allowed_or_asked(rule, ask)
    }

    pub(super) fn decide_message(&self, rule: &str, bytes: u64, used: &Usage) -> Verdict<'_> {
        let Some(Match { rule, terms }) = self.websocket_match(rule) else {
            return denied("default", format!("websocket message (no rule {} opens connections)", super::quoted(rule)));
        };
        let WebSocketTerms { max_message, max_messages, .. } = terms;
        let over = self.over_size(bytes).or_else(|| {
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

    /// Decides where a redirect leads. Only grants let it go on, and nothing is counted: the request is the one that was counted.
    pub fn decide_hop(&self, method: &str, url: &Target) -> Verdict<'_> {
        let subject = Subject::Fetch { method, url };
        if let Some(refused) = self.floor(subject) {
            return refused;
        }
        if let Some(ask) = self.asks.first(url, |ask| ask.is_about_fetch(method)) {
            let rule = &ask.rule;
            return denied(
                rule,
                format!("{subject} (rule \"{rule}\" asks about it, and a redirect cannot wait; request it directly)"),
            );
        }
        match self.fetch.first(url, |grant| grant.methods.iter().any(|one| one == method)) {
            Some(grant) => Verdict::Allow { rule: &grant.id },
            None => self.unmatched(subject),
        }
    }

    /// The bounds of a fetch that this rule allowed: a `[[fetch]]` rule, or an `[[ask]]` rule.
    pub fn fetch_terms(&self, rule: &str) -> Option<&FetchTerms> {
        let grant = self.fetch.iter().find(|grant| grant.id == rule).map(|grant| &grant.terms);
        grant.or_else(|| self.asks_about(&When::Fetch, rule).map(|_| &FetchTerms::DEFAULT))
    }

    /// The bounds of a connection that this rule allowed: a `[[websocket]]` rule, or an `[[ask]]` rule.
    pub fn websocket_terms(&self, rule: &str) -> Option<&WebSocketTerms> {
        self.websocket_match(rule).map(|found| found.terms)
    }

    fn websocket_match(&self, rule: &str) -> Option<Match<'_, WebSocketTerms>> {
        let grant = self.websocket.iter().find(|grant| grant.id == rule);
        let grant = grant.map(|grant| Match { rule: grant.id.as_str(), terms: &grant.terms });
        grant.or_else(|| {
            let ask = self.asks_about(&When::WebSocket, rule)?;
            Some(Match { rule: &ask.rule, terms: &WebSocketTerms::DEFAULT })
        })
    }

    fn asks_about(&self, when: &When, rule: &str) -> Option<&AskRule> {
        self.asks.iter().find(|ask| ask.when == *when && ask.rule == rule)
    }

    /// The denial of a host that is written as an address which must not be reached. Names are checked once they are resolved.
    #[inline]
    fn floor(&self, subject: Subject<'_>) -> Option<Verdict<'_>> {
        let class = self.network.check(subject.url().ip()?).err()?;
        Some(denied("network", format!("{subject} ({class}; [network] allow does not name it)")))
    }

    /// A denial by the rule that comes nearest.
    #[cold]
    fn unmatched(&self, subject: Subject<'_>) -> Verdict<'_> {
        let nearest = match subject {
            Subject::Fetch { url, .. } => self
                .fetch
                .nearest(url)
                .map(|(grant, near)| (&grant.id, near.explain(&grant.methods.join(", "), &grant.url))),
            Subject::WebSocket { url } => {
                self.websocket.nearest(url).map(|(grant, near)| (&grant.id, near.explain("", &grant.url)))
            }
        };
        match nearest {
            None => denied("default", format!("{subject} (the policy has no [[{}]] rule)", subject.section())),
            Some((rule, allows)) => denied(rule, format!("{subject} (nearest rule \"{rule}\" allows {allows})")),
        }
    }
}

fn allowed_or_asked<'p>(terms: &'p str, ask: Option<&'p AskRule>) -> Verdict<'p> {
    match ask {
        Some(ask) => Verdict::Ask { rule: &ask.rule, terms },
        None => Verdict::Allow { rule: terms },
    }
}

impl FetchTerms {
    /// Which bound or quota a request would exceed.
    #[inline]
    fn over(&self, rule: &str, bytes: u64, used: Option<&Used>, now_ms: u64) -> Option<String> {
        let Self { max_calls, rate, concurrent, max_request, .. } = self;
        if bytes > *max_request {
            return Some(format!("{bytes} bytes; rule \"{rule}\" allows max_request = {max_request}"));
        }
        let calls = used.map_or(0, |used| used.calls);
        if let Some(max) = max_calls.filter(|max| calls >= *max) {
            return Some(format!("rule \"{rule}\" allows max_calls = {max}"));
        }
        let used = used?;
        if used.open >= *concurrent {
            return Some(format!("rule \"{rule}\" allows concurrent = {concurrent}"));
        }
        let rate = rate.filter(|rate| used.is_over_rate(*rate, now_ms))?;
        Some(format!("rule \"{rule}\" allows rate = {rate}"))
    }
}

impl<'a> Subject<'a> {
    fn url(self) -> &'a Target {
        match self {
            Self::Fetch { url, .. } | Self::WebSocket { url } => url,
        }
    }

    fn section(self) -> &'static str {
        match self {
            Self::Fetch { .. } => "fetch",
            Self::WebSocket { .. } => "websocket",
        }
    }
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fetch { method, url } => write!(f, "fetch {} {}", escaped(method), url.authority()),
            Self::WebSocket { url } => write!(f, "websocket {}", url.authority()),
        }
    }
}
