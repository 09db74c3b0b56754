//! URLs and patterns: whatever parses has one canonical form, which clients, rules and redirects agree about.

use everstep_policy::url::{Pattern, Target};

/// Most lines of an input that are looked at: each is checked with each.
const LINES: usize = 6;

/// Takes every line of the input as a URL, as a pattern and as the target of a redirect.
pub fn url(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let lines: Vec<&str> = text.split('\n').take(LINES).collect();
    let patterns: Vec<Pattern> = lines.iter().filter_map(|line| Pattern::parse(line).ok()).collect();
    let mut targets: Vec<Target> = lines.iter().filter_map(|line| Target::parse(line).ok()).collect();
    targets.extend(patterns.iter().filter_map(example));
    targets.iter().for_each(canonical);
    for target in &targets {
        let redirects = lines.iter().filter_map(|line| target.join(line).ok());
        redirects.for_each(|target| canonical(&target));
    }
    for target in &targets {
        let exactly = Pattern::exactly(target);
        assert!(exactly.matches(target), "{exactly} {}", target.as_str());
        assert_eq!(Pattern::parse(exactly.as_str()).as_ref(), Ok(&exactly), "{}", target.as_str());
    }
    for pattern in &patterns {
        assert_eq!(Pattern::parse(pattern.as_str()).as_ref(), Ok(pattern));
        assert!(pattern.covers(pattern) && pattern.overlaps(pattern), "{pattern}");
        if let Some(target) = example(pattern) {
            assert!(pattern.matches(&target), "{pattern} {}", target.as_str());
        }
        patterns.iter().for_each(|other| pair(pattern, other, &targets));
    }
}

fn pair(one: &Pattern, other: &Pattern, targets: &[Target]) {
    let (covers, overlaps) = (one.covers(other), one.overlaps(other));
    assert_eq!(overlaps, other.overlaps(one), "{one} {other}");
    assert!(!covers || overlaps, "{one} {other}");
    for target in targets {
        let (by_one, by_other) = (one.matches(target), other.matches(target));
        assert!(by_one || !(covers && by_other), "{one} covers {other}, and only that matches {}", target.as_str());
        assert!(overlaps || !(by_one && by_other), "{one} and {other} both match {}", target.as_str());
    }
}

/// A URL with `x` for every wildcard of the pattern; none where that is too long.
pub(super) fn example(pattern: &Pattern) -> Option<Target> {
    let (start, query) = pattern.as_str().split_at(pattern.as_str().find('?').unwrap_or(pattern.as_str().len()));
    Target::parse(&format!("{}{query}", start.replace("**", "x").replace('*', "x"))).ok()
}

/// What holds for every URL that was parsed.
fn canonical(target: &Target) {
    let text = target.as_str();
    let again = Target::parse(text).unwrap_or_else(|fault| panic!("{text:?} is not read back: {fault}"));
    assert_eq!((&again, again.as_str()), (target, text));
    assert!(text.is_ascii(), "{text}");
    assert!(matches!(target.scheme(), "http" | "https" | "ws" | "wss") && target.port() > 0, "{text}");
    assert!(target.path().starts_with('/') && !target.path().contains("//"), "{text}");
    assert!(!target.path().split('/').any(|segment| matches!(segment, "." | "..")), "{text}");
    let sent = target.url();
    assert!(sent.username().is_empty() && sent.password().is_none() && sent.fragment().is_none(), "{text}");
    let parts = (sent.scheme(), sent.host_str(), sent.port_or_known_default(), sent.path(), sent.query());
    let ours = (target.scheme(), Some(target.host()), Some(target.port()), target.path(), target.query());
    assert_eq!(parts, ours, "{text}");
    let address = matches!(sent.host(), Some(::url::Host::Ipv4(_) | ::url::Host::Ipv6(_)));
    assert_eq!(target.ip().is_some(), address, "{text}");
    read_by_client(target);
}

/// The HTTP client reads URLs with a parser of its own: it may refuse one, but not connect or ask elsewhere.
fn read_by_client(target: &Target) {
    let Ok(uri) = target.url().as_str().parse::<http::Uri>() else { return };
    let default = if matches!(target.scheme(), "http" | "ws") { 80 } else { 443 };
    assert_eq!(uri.scheme_str(), Some(target.scheme()), "{uri}");
    assert_eq!(uri.host(), Some(target.host()), "{uri}");
    assert_eq!(uri.port_u16().unwrap_or(default), target.port(), "{uri}");
    assert_eq!((uri.path(), uri.query()), (target.path(), target.query()), "{uri}");
}
