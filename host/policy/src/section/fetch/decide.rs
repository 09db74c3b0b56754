//! The decision on one request, and its description.

use super::{FetchGrant, FetchTerms, SECTION};
use crate::decide::{Verdict, allowed_or_asked, denied, exceeded};
use crate::read::is_method;
use crate::section::urls::{Match, floor, id_after_host, private, target, unmatched};
use crate::section::{AskRule, Decide, NoQuestion, Policy, Question};
use crate::tools::render::{quote, quote_list};
use crate::url::{Pattern, Target};
use crate::usage::{Usage, Used};
use crate::{Call, escaped};
use everstep_words::guest_error::Reason;
use std::fmt;
use std::time::Duration;

/// Requests a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchCall<'a> {
    /// The method, in upper case: methods are compared exactly.
    pub method: &'a str,
    /// The URL.
    pub url: &'a Target,
    /// Size of the body.
    pub bytes: u64,
}

impl Decide for FetchCall<'_> {
    fn decide<'p>(&self, policy: &'p Policy, used: &Usage, now_ms: u64) -> Verdict<'p> {
        let Self { method, url, bytes } = *self;
        if let Some(refused) = floor(policy, self, url) {
            return refused;
        }
        let ask = policy.asks.first(url, |ask| ask.is_about("fetch", method));
        let grant = self.grant(policy).map(|grant| Match { rule: &grant.id, terms: &grant.terms });
        // Among those that ask.
        let alone = || ask.and_then(|_| policy.asks.first(url, |ask| ask.sufficient && ask.is_about("fetch", method)));
        let found = grant.or_else(|| Some(Match { rule: &alone()?.rule, terms: &FetchTerms::DEFAULT }));
        let Some(Match { rule, terms }) = found else { return self.unmatched(policy) };
        let over = policy.over_size(bytes).map(|why| (Reason::LargeRequest, why));
        match over.or_else(|| terms.over(rule, bytes, used.of(rule), now_ms)) {
            Some((reason, why)) => exceeded(rule, format!("{self} ({why})")).because(reason),
            None => allowed_or_asked(rule, ask),
        }
    }

    fn count(&self, used: &mut Usage, rule: &str, at_ms: u64) {
        used.add(rule, |used| used.count_at(at_ms));
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn words(&self) -> Option<String> {
        Some(self.to_string())
    }

    fn stays_open(&self) -> bool {
        true
    }

    fn borrows(&self, ours: &Policy, theirs: &Policy) -> Option<String> {
        let secret = |policy| self.grant(policy).and_then(|grant| grant.terms.secret.as_ref());
        let (mine, lent) = (secret(ours)?, secret(theirs));
        let may = || lent.map_or("it may use none".to_owned(), |lent| format!("it may use that from {}", lent.from));
        (Some(mine) != lent).then(|| format!("{self} (it would use the secret from {}; {})", mine.from, may()))
    }

    fn time_allowed(&self, policy: &Policy, rule: &str) -> Option<Duration> {
        policy.fetch_terms(rule).map(|terms| terms.timeout)
    }
}

impl FetchCall<'_> {
    /// The first rule that matches.
    fn grant<'p>(&self, policy: &'p Policy) -> Option<&'p FetchGrant> {
        policy.fetch.first(self.url, |grant| grant.methods.iter().any(|one| one == self.method))
    }

    #[cold]
    fn unmatched<'p>(&self, policy: &'p Policy) -> Verdict<'p> {
        let nearest = policy.fetch.nearest(self.url);
        let nearest = nearest.map(|(grant, near)| (&*grant.id, near.explain(&grant.methods.join(", "), &grant.url)));
        unmatched("fetch", self, nearest)
    }
}

impl Policy {
    /// Decides on a redirect. Only grants allow it, and nothing is counted, because the request was counted already.
    pub fn decide_hop(&self, method: &str, url: &Target) -> Verdict<'_> {
        let call = FetchCall { method, url, bytes: 0 };
        if let Some(refused) = floor(self, &call, url) {
            return refused;
        }
        if let Some(ask) = self.asks.first(url, |ask| ask.is_about("fetch", method)) {
            let rule = &ask.rule;
            return denied(
                rule,
                format!("{call} (rule \"{rule}\" asks about it, and a redirect cannot wait; request it directly)"),
            );
        }
        match self.fetch.first(url, |grant| grant.methods.iter().any(|one| one == method)) {
            Some(grant) => Verdict::Allow { rule: &grant.id },
            None => call.unmatched(self),
        }
    }

    /// The bounds of a fetch that this rule allowed: a `[[fetch]]` rule, or an `[[ask]]` rule.
    pub fn fetch_terms(&self, rule: &str) -> Option<&FetchTerms> {
        let grant = self.fetch.iter().find(|grant| grant.id == rule).map(|grant| &grant.terms);
        let asked = || self.ask_rule(rule).filter(|ask| ask.when.is("fetch"));
        grant.or_else(|| asked().map(|_| &FetchTerms::DEFAULT))
    }

    /// Whether some rule may let a request to the host and port of this URL out, or ask about it.
    pub fn may_reach(&self, url: &Target) -> bool {
        let asks = |ask: &AskRule| ask.url.as_ref().is_none_or(|pattern| pattern.is_about_authority_of(url));
        self.fetch.iter().any(|grant| grant.url.is_about_authority_of(url))
            || self.asks.iter().any(|ask| ask.sufficient && ask.when.is("fetch") && asks(ask))
    }

    /// The largest body that a request may have under any rule; none if there is no rule.
    pub fn largest_request(&self) -> Option<u64> {
        let granted = self.fetch.iter().map(|grant| grant.terms.max_request);
        let asked = self.asks.iter().filter(|ask| ask.when.is("fetch")).map(|_| FetchTerms::DEFAULT.max_request);
        granted.chain(asked).max()
    }
}

impl FetchTerms {
    /// The bound or quota that a request would exceed, as a reason and in words.
    #[inline]
    fn over(&self, rule: &str, bytes: u64, used: Option<&Used>, now_ms: u64) -> Option<(Reason, String)> {
        let Self { max_calls, rate, concurrent, max_request, .. } = self;
        if bytes > *max_request {
            let why = format!("{bytes} bytes; rule \"{rule}\" allows max_request = {max_request}");
            return Some((Reason::LargeRequest, why));
        }
        let calls = used.map_or(0, |used| used.calls);
        if let Some(max) = max_calls.filter(|max| calls >= *max) {
            return Some((Reason::Other, format!("rule \"{rule}\" allows max_calls = {max}")));
        }
        let used = used?;
        if used.open >= *concurrent {
            return Some((Reason::Concurrent, format!("rule \"{rule}\" allows concurrent = {concurrent}")));
        }
        let rate = rate.filter(|rate| used.is_over_rate(rate.calls, rate.window, now_ms))?;
        Some((Reason::Other, format!("rule \"{rule}\" allows rate = {rate}")))
    }
}

/// A question about a request.
#[derive(Debug)]
struct FetchQuestion {
    method: String,
    url: Target,
}

/// A question about a URL with a method before it; without one it is GET.
pub(super) fn question(subject: &str) -> Result<Box<dyn Question>, NoQuestion> {
    let (method, url) = subject.split_once(' ').unwrap_or(("GET", subject));
    if url.is_empty() {
        return Err(NoQuestion::Subject { capability: "fetch", example: "\"GET https://example.org/x\"" });
    }
    Ok(Box::new(FetchQuestion { method: method.to_owned(), url: target(url)? }))
}

impl Question for FetchQuestion {
    fn call(&self) -> Call<'_> {
        Call::Fetch(FetchCall { method: &self.method, url: &self.url, bytes: 0 })
    }

    fn listed_by(&self) -> Option<&'static str> {
        Some(SECTION.key())
    }

    fn variant(&self) -> &str {
        &self.method
    }

    fn group(&self) -> String {
        format!("fetch {}", self.url.as_str())
    }

    fn refusal(&self, _: &Policy) -> Option<&'static str> {
        if is_method(&self.method) { private(&self.url) } else { Some("the method is none that can be granted") }
    }

    fn narrowest(&self, policy: &Policy, calls: u64, methods: &[&str]) -> Option<String> {
        let has = |one: &String| methods.contains(&one.as_str());
        let used = policy.fetch.first(&self.url, |grant| grant.methods.iter().any(has)).is_some();
        (!used).then(|| {
            let (id, pattern) = (id_after_host(policy, &self.url), Pattern::exactly(&self.url));
            let (id, url, methods) = (quote(&id), quote(pattern.as_str()), quote_list(methods));
            format!("[[fetch]]\nid = {id}\nurl = {url}\nmethods = {methods}\nmax_calls = {calls}\n")
        })
    }
}

/// As shown in messages: without path and query.
impl fmt::Display for FetchCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fetch {} {}", escaped(self.method), self.url.authority())
    }
}

impl fmt::Display for FetchQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fetch {} {}", escaped(&self.method), escaped(self.url.as_str()))
    }
}
