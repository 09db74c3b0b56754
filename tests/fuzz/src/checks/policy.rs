//! A policy of arbitrary text is refused with a message, or granted exactly what its canonical form grants; and what is derived
//! from it grants no more.

use super::url::example;
use everstep_policy::url::Target;
use everstep_policy::{
    Call, CapabilityCall, ClockCall, ConnectCall, FetchCall, FileOperation, FilesCall, FunctionCall, MessageCall,
    Policy, RandomCall, Usage, Verdict,
};
use everstep_words::guest_error::ErrorCode;
use std::path::PathBuf;
use std::sync::LazyLock;

/// A line that ends the text of a policy which the rest extends, as `base.toml`.
const EXTENDED_BY: &str = "\n+++\n";

/// A folder for that policy; removed with the other temporary files of the machine.
static DIR: LazyLock<PathBuf> = LazyLock::new(|| {
    let dir = std::env::temp_dir().join(format!("everstep-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
});

/// Reads the input as a policy in TOML and in JSON; what extends another one is read with it.
pub fn policy(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let file = DIR.join("policy.toml");
    let (base, text) = text.split_once(EXTENDED_BY).map_or((None, text), |(base, text)| (Some(base), text));
    std::fs::write(DIR.join("base.toml"), base.unwrap_or_default()).unwrap();
    let base =
        base.filter(|_| text.contains("base.toml")).and_then(|base| Policy::parse(base, &DIR.join("base.toml")).ok());
    for policy in [Policy::parse(text, &file), Policy::from_json(text, &file)] {
        match policy {
            Ok(policy) => check(&policy, base.as_ref()),
            Err(error) => drop(error.to_string()),
        }
    }
}

fn check(policy: &Policy, base: Option<&Policy>) {
    let again = Policy::from_canonical(&policy.canonical()).unwrap();
    assert_eq!((&again, again.digest()), (policy, policy.digest()));
    let urls = urls(policy);
    let calls = calls(policy, &urls);
    found_by_index(policy, &urls);
    for call in &calls {
        grants_no_more(&again, policy, call);
        grants_no_more(policy, &again, call);
        base.into_iter().for_each(|base| grants_no_more(policy, base, call));
    }
    for name in policy.functions.keys() {
        let narrowed = policy.for_function(name);
        assert_eq!(*narrowed.for_function(name), *narrowed);
        // Bounds apart: where a function leaves an earlier rule out, those of the next one apply.
        let bounded = |call: &&Call<'_>| is_bounded(&policy.decide(call, &Usage::default(), 0));
        calls.iter().filter(|call| !bounded(call)).for_each(|call| grants_no_more(&narrowed, policy, call));
    }
    uses_up(policy, &calls);
}

/// Some that are nowhere in a policy, and one that each of its patterns matches.
fn urls(policy: &Policy) -> Vec<Target> {
    let fixed = ["https://api.ok.com/v1/items?q=1", "http://127.0.0.1:8080/", "wss://feed.ok.com/", "ws://[fd00::1]/x"];
    let fetch = policy.fetch.iter().map(|grant| &grant.url);
    let websocket = policy.websocket.iter().map(|grant| &grant.url);
    let asks = policy.asks.iter().filter_map(|ask| ask.url.as_ref());
    let patterns = fetch.chain(websocket).chain(asks);
    fixed.into_iter().map(|url| Target::parse(url).unwrap()).chain(patterns.filter_map(example)).collect()
}

/// Calls of every kind, about what the policy names and about other things.
fn calls<'a>(policy: &'a Policy, urls: &'a [Target]) -> Vec<Call<'a>> {
    use FileOperation::{List, Read, Remove, Stat, Write};
    let mut calls = vec![Call::Ungranted, Call::Clock(ClockCall)];
    let names = policy.capabilities.iter().map(|grant| grant.name()).chain(["print", "fetch"]);
    let paths: Vec<&str> =
        policy.files.iter().map(|grant| grant.guest.as_str()).chain(["/data/a", "/", "..", ""]).collect();
    let methods: Vec<&str> = policy.fetch.iter().flat_map(|grant| &grant.methods).map(String::as_str).collect();
    calls.extend(names.map(|name| Call::Capability(CapabilityCall { name, bytes: 1 })));
    calls
        .extend([None, Some("orders")].map(|group| Call::Function(FunctionCall { group, function: "list", bytes: 1 })));
    for bytes in [0, 100, u64::MAX] {
        calls.push(Call::Random(RandomCall { bytes }));
        calls.extend(paths.iter().map(|path| Call::Files(FilesCall { operation: Write, path, bytes })));
        calls.extend(urls.iter().map(|url| Call::Fetch(FetchCall { method: "POST", url, bytes })));
    }
    for operation in [List, Read, Remove, Stat] {
        calls.extend(paths.iter().map(|path| Call::Files(FilesCall { operation, path, bytes: 0 })));
    }
    for url in urls {
        calls.push(Call::Connect(ConnectCall { url }));
        calls.extend(
            methods.iter().copied().chain(["GET", "x"]).map(|method| Call::Fetch(FetchCall { method, url, bytes: 0 })),
        );
    }
    calls
}

/// The index of the rules finds the rule that trying them in their order finds.
fn found_by_index(policy: &Policy, urls: &[Target]) {
    for url in urls {
        let fetch = policy.fetch.iter().find(|grant| grant.url.matches(url));
        assert_eq!(policy.fetch.first(url, |_| true), fetch, "{}", url.as_str());
        let websocket = policy.websocket.iter().find(|grant| grant.url.matches(url));
        assert_eq!(policy.websocket.first(url, |_| true), websocket, "{}", url.as_str());
        let ask = policy.asks.iter().find(|ask| ask.url.as_ref().is_none_or(|pattern| pattern.matches(url)));
        assert_eq!(policy.asks.first(url, |_| true), ask, "{}", url.as_str());
    }
}

fn grants_no_more(narrow: &Policy, wide: &Policy, call: &Call<'_>) {
    let (narrow, wide) = (narrow.decide(call, &Usage::default(), 0), wide.decide(call, &Usage::default(), 0));
    assert!(rank(&narrow) <= rank(&wide), "{call:?}: {narrow:?}, but only {wide:?}");
}

/// Makes the calls until their quotas are used up: that never allows what was denied before.
fn uses_up(policy: &Policy, calls: &[Call<'_>]) {
    let mut used = Usage::default();
    for at_ms in [0, 1, u64::MAX] {
        for call in calls {
            let (fresh, verdict) = (policy.decide(call, &Usage::default(), at_ms), policy.decide(call, &used, at_ms));
            assert!(rank(&verdict) <= rank(&fresh), "{call:?}: {verdict:?} after {used:?}, but {fresh:?} before");
            if let Verdict::Allow { rule } | Verdict::Ask { terms: rule, .. } = verdict {
                used.count(rule, call, at_ms);
                used.opened(rule);
                let message = Call::Message(MessageCall { rule, bytes: 1 });
                rank(&policy.decide(&message, &used, at_ms));
            }
        }
    }
}

fn is_bounded(verdict: &Verdict<'_>) -> bool {
    matches!(verdict, Verdict::Deny { error, .. } if error.code == ErrorCode::LimitExceeded)
}

/// From nothing to everything.
fn rank(verdict: &Verdict<'_>) -> u8 {
    match verdict {
        Verdict::Deny { .. } => 0,
        Verdict::Ask { .. } => 1,
        Verdict::Allow { .. } => 2,
    }
}
