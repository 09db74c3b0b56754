//! A policy as a file writes it.

use crate::units::{count_text, size_text, span_text};
use crate::{
    Access, AskRule, CapabilityGrant, ClockGrant, FetchGrant, FilesGrant, FunctionSection, Limits, OnCrash, Policy,
    RandomGrant, Remember, WebSocketGrant,
};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// The policy as one file, whatever it extends: every key is there, and paths are absolute.
///
/// Loading it gives the same policy, but for `[[ask]]` rules whose approval is not enough, which a comment tells.
pub fn to_toml(policy: &Policy) -> String {
    let mut text = format!("version = 1\nname = {}\n", quote(&policy.name));
    text.push_str(&limits("limits", &policy.limits, None));
    section(&mut text, "env", policy.env.iter().map(|(name, value)| (quote(name), quote(value))));
    match policy.clock {
        ClockGrant::Deny => {}
        ClockGrant::Recorded => text.push_str("\n[clock]\nmode = \"recorded\"\n"),
        ClockGrant::Frozen { at_ms } => {
            let at = i64::try_from(at_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
            let at = at.unwrap_or(jiff::Timestamp::MAX);
            let _ = writeln!(text, "\n[clock]\nmode = \"frozen\"\nat = \"{at}\"");
        }
    }
    if policy.random == RandomGrant::Seeded {
        text.push_str("\n[random]\nmode = \"seeded\"\n");
    }
    let rules = policy.capabilities.iter().map(capability);
    let rules = rules.chain(policy.files.iter().map(files)).chain(policy.fetch.iter().map(fetch));
    for rule in rules.chain(policy.websocket.iter().map(websocket)) {
        let _ = write!(text, "\n{rule}");
    }
    let block = std::iter::once("non-global".to_owned()).chain(policy.network.block.iter().map(ToString::to_string));
    let allow = policy.network.allow.iter().map(ToString::to_string);
    let _ = writeln!(text, "\n[network]\nblock = {}\nallow = {}", list(block), list(allow));
    for ask in &policy.asks {
        let _ = write!(text, "\n{}", self::ask(ask));
    }
    for (name, section) in &policy.functions {
        let _ = write!(text, "\n{}", function(name, section, &policy.limits));
    }
    if let Some(audit) = &policy.audit {
        let _ = writeln!(text, "\n[audit]\nfile = {}\non_failure = \"deny\"", host_path(&audit.file));
    }
    text
}

/// One rule as a file writes it, by the name that decisions give it. None for what is no rule of a file.
pub fn rule_toml(policy: &Policy, rule: &str) -> Option<String> {
    let capabilities = policy.capabilities.iter().find(|grant| grant.rule() == rule).map(capability);
    capabilities
        .or_else(|| policy.files.iter().find(|grant| grant.id == rule).map(files))
        .or_else(|| policy.fetch.iter().find(|grant| grant.id == rule).map(fetch))
        .or_else(|| policy.websocket.iter().find(|grant| grant.id == rule).map(websocket))
        .or_else(|| policy.asks.iter().find(|one| one.rule == rule).map(ask))
}

/// A text as TOML writes it; also a key.
pub(super) fn quote(text: &str) -> String {
    // What JSON escapes TOML reads as well; it wants DEL escaped too.
    serde_json::to_string(text).unwrap_or_default().replace('\x7f', "\\u007F")
}

pub(super) fn quote_list(items: &[&str]) -> String {
    list(items.iter().map(|item| (*item).to_owned()))
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().map(|item| quote(&item)).collect::<Vec<_>>().join(", "))
}

fn host_path(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

fn section(text: &mut String, name: &str, keys: impl Iterator<Item = (String, String)>) {
    let mut keys = keys.peekable();
    if keys.peek().is_some() {
        let _ = writeln!(text, "\n[{name}]");
    }
    for (key, value) in keys {
        let _ = writeln!(text, "{key} = {value}");
    }
}

/// The keys of a rule; those without a value are left out.
fn rule(section: &str, keys: &[(&str, Option<String>)]) -> String {
    let mut text = format!("[[{section}]]\n");
    for (key, value) in keys {
        if let Some(value) = value {
            let _ = writeln!(text, "{key} = {value}");
        }
    }
    text
}

fn size(bytes: u64) -> Option<String> {
    Some(quote(&size_text(bytes)))
}

fn span(time: Duration) -> Option<String> {
    Some(quote(&if time == Duration::MAX { "unlimited".to_owned() } else { span_text(time) }))
}

fn count(number: u64) -> Option<String> {
    let text = count_text(number);
    Some(if number == u64::MAX { quote(&text) } else { text })
}

/// All limits, or those below `of`.
fn limits(name: &str, limits: &Limits, of: Option<&Limits>) -> String {
    let mut text = String::new();
    let most = of.map(Limits::entries);
    let keys = limits.entries().into_iter().enumerate().filter(|(index, (_, _, number))| {
        most.as_ref().and_then(|most| most.get(*index)).is_none_or(|(_, _, most)| number < most)
    });
    let keys = keys.map(|(_, (key, kind, number))| {
        let text = kind.text(number);
        (key.to_owned(), if text.parse::<u64>().is_ok() { text } else { quote(&text) })
    });
    section(&mut text, name, keys);
    text
}

fn capability(grant: &CapabilityGrant) -> String {
    let timeout = grant.timeout.and_then(span);
    rule(
        "capability",
        &[("name", Some(quote(grant.name()))), ("max_calls", grant.max_calls.and_then(count)), ("timeout", timeout)],
    )
}

fn files(grant: &FilesGrant) -> String {
    let changes = grant.access != Access::Read;
    rule(
        "files",
        &[
            ("id", Some(quote(&grant.id))),
            ("guest", Some(quote(&grant.guest))),
            ("host", Some(host_path(&grant.host))),
            ("access", Some(quote(grant.access.name()))),
            ("max_file", size(grant.max_file)),
            ("max_written", size(grant.max_written).filter(|_| changes)),
            ("max_files", count(grant.max_files).filter(|_| changes)),
        ],
    )
}

fn fetch(grant: &FetchGrant) -> String {
    let terms = &grant.terms;
    let secret = terms.secret.as_ref();
    let secret = secret
        .map(|secret| format!("{{ header = {}, from = {} }}", quote(&secret.header), quote(&secret.from.to_string())));
    let on_crash = match terms.on_crash {
        OnCrash::Retry => "retry",
        OnCrash::Fail => "fail",
    };
    rule(
        "fetch",
        &[
            ("id", Some(quote(&grant.id))),
            ("url", Some(quote(grant.url.as_str()))),
            ("methods", Some(list(grant.methods.clone()))),
            ("max_calls", terms.max_calls.and_then(count)),
            ("rate", terms.rate.map(|rate| quote(&rate.to_string()))),
            ("concurrent", count(terms.concurrent)),
            ("max_request", size(terms.max_request)),
            ("max_response", size(terms.max_response)),
            ("timeout", span(terms.timeout)),
            ("redirects", Some(terms.redirects.to_string())),
            ("secret", secret),
            ("on_crash", Some(quote(on_crash))),
        ],
    )
}

fn websocket(grant: &WebSocketGrant) -> String {
    let terms = &grant.terms;
    rule(
        "websocket",
        &[
            ("id", Some(quote(&grant.id))),
            ("url", Some(quote(grant.url.as_str()))),
            ("max_open", count(terms.max_open)),
            ("max_message", size(terms.max_message)),
            ("max_messages", count(terms.max_messages)),
            ("idle", span(terms.idle)),
        ],
    )
}

fn ask(ask: &AskRule) -> String {
    let remember = match ask.remember {
        Remember::Once => "once",
        Remember::Execution => "execution",
    };
    let note = if ask.sufficient { "" } else { "# asks only about what another rule grants\n" };
    let text = rule(
        "ask",
        &[
            // A rule that is counted has a dot in its name.
            ("id", (!ask.rule.contains('.')).then(|| quote(&ask.rule))),
            ("when", Some(quote(ask.when.name()))),
            ("methods", (!ask.methods.is_empty()).then(|| list(ask.methods.clone()))),
            ("url", ask.url.as_ref().map(|url| quote(url.as_str()))),
            ("ttl", span(ask.ttl)),
            ("on_timeout", Some(quote("deny"))),
            ("remember", Some(quote(remember))),
        ],
    );
    format!("{note}{text}")
}

fn function(name: &str, section: &FunctionSection, of: &Limits) -> String {
    let mut text = format!("[functions.{}]\n", quote(name));
    let FunctionSection { fetch, websocket, files, capability, limits } = section;
    for (key, ids) in [("fetch", fetch), ("websocket", websocket), ("files", files), ("capability", capability)] {
        if let Some(ids) = ids {
            let _ = writeln!(text, "{key} = {}", list(ids.clone()));
        }
    }
    let lower = self::limits(&format!("functions.{}.limits", quote(name)), limits, Some(of));
    text.push_str(&lower);
    text
}
