//! Which requests and connections are allowed, asked about or denied, and what a denial says.

use super::*;
use crate::url::Target;

const POLICY: &str = r#"
version = 1
[limits]
bytes_per_call = "1KiB"

[[fetch]]
id = "read"
url = "https://api.github.com/repos/acme/**"
methods = ["GET", "HEAD"]
max_calls = 3
rate = "2/s"
concurrent = 1
max_request = "100B"

[[fetch]]
id = "read-all"
url = "https://api.github.com/**"
methods = ["GET", "POST"]

[[fetch]]
id = "local"
url = "http://127.0.0.1:8080/**"
methods = ["GET"]

[[websocket]]
id = "feed"
url = "wss://stream.acme.com/v1"
max_open = 1
max_message = "100B"
max_messages = 2

[network]
block = ["non-global", "203.0.114.0/24"]

[[ask]]
when = "fetch"
methods = ["POST", "DELETE"]
url = "https://api.github.com/**"

[[ask]]
id = "chat"
when = "websocket"
url = "wss://chat.acme.com/**"
"#;

fn policy() -> Policy {
    Policy::parse(POLICY, Path::new("/nowhere/policy.toml")).unwrap()
}

fn target(url: &str) -> Target {
    Target::parse(url).unwrap()
}

fn fetch<'a>(method: &'a str, url: &'a Target) -> Call<'a> {
    Call::Fetch(FetchCall { method, url, bytes: 0 })
}

/// `allow RULE`, `ask RULE for TERMS`, or `deny RULE: CODE: MESSAGE`.
fn text(verdict: &Verdict<'_>) -> String {
    match verdict {
        Verdict::Allow { rule } => format!("allow {rule}"),
        Verdict::Ask { rule, terms } => format!("ask {rule} for {terms}"),
        Verdict::Deny { rule, error } => format!("deny {rule}: {error}"),
    }
}

fn decided(policy: &Policy, method: &str, url: &str) -> String {
    text(&policy.decide(&fetch(method, &target(url)), &Usage::default(), 0))
}

#[test]
fn the_first_rule_that_matches_decides_and_the_nearest_one_denies() {
    let policy = policy();
    let cases = [
        ("GET", "https://api.github.com/repos/acme/x?q", "allow read"),
        ("GET", "https://api.github.com/repos/other", "allow read-all"),
        ("HEAD", "https://api.github.com/repos/acme", "allow read"),
        ("POST", "https://api.github.com/repos/acme", "ask ask.1 for read-all"),
        ("DELETE", "https://api.github.com/repos/acme", "ask ask.1 for ask.1"),
        (
            "PUT",
            "https://api.github.com/repos/acme/secret?token=x",
            "deny read: denied: fetch PUT api.github.com:443 (nearest rule \"read\" allows GET, HEAD)",
        ),
        (
            "HEAD",
            "https://api.github.com/x",
            "deny read-all: denied: fetch HEAD api.github.com:443 (nearest rule \"read-all\" allows GET, POST)",
        ),
        (
            "get",
            "https://api.github.com/x",
            "deny read-all: denied: fetch get api.github.com:443 (nearest rule \"read-all\" allows GET, POST)",
        ),
        (
            "GET",
            "http://api.github.com/x",
            "deny read-all: denied: fetch GET api.github.com:80 (nearest rule \"read-all\" allows https://api.github.com)",
        ),
        (
            "GET",
            "https://api.github.com:8443/x",
            "deny read-all: denied: fetch GET api.github.com:8443 (nearest rule \"read-all\" allows https://api.github.com)",
        ),
        (
            "GET",
            "https://evil.github.com/x",
            "deny read-all: denied: fetch GET evil.github.com:443 (nearest rule \"read-all\" allows https://api.github.com)",
        ),
        (
            "GET",
            "wss://stream.acme.com/v1",
            "deny read-all: denied: fetch GET stream.acme.com:443 (nearest rule \"read-all\" allows https://api.github.com)",
        ),
        (
            "\u{1b}[2J",
            "https://api.github.com/x",
            "deny read-all: denied: fetch \\u{1b}[2J api.github.com:443 (nearest rule \"read-all\" allows GET, POST)",
        ),
    ];
    for (method, url, expected) in cases {
        assert_eq!(decided(&policy, method, url), expected, "{method} {url}");
    }
    let quiet = Policy::parse("version = 1", Path::new("quiet.toml")).unwrap();
    assert_eq!(
        decided(&quiet, "GET", "https://ok.com/a?b"),
        "deny default: denied: fetch GET ok.com:443 (the policy has no [[fetch]] rule)"
    );
    let socket = target("wss://ok.com/a");
    let verdict = quiet.decide(&Call::Connect(ConnectCall { url: &socket }), &Usage::default(), 0);
    assert_eq!(text(&verdict), "deny default: denied: websocket ok.com:443 (the policy has no [[websocket]] rule)");
}

#[test]
fn an_address_that_must_not_be_reached_is_denied_whatever_the_rules_say() {
    let anywhere = "version = 1\n[[ask]]\nwhen = \"fetch\"\n[[ask]]\nwhen = \"websocket\"\n";
    let hosts = [
        ("127.0.0.1", "a loopback address"),
        ("127.1", "a loopback address"),
        ("2130706433", "a loopback address"),
        ("0x7f000001", "a loopback address"),
        ("0177.0.0.1", "a loopback address"),
        ("0", "the unspecified address"),
        ("[::1]", "a loopback address"),
        ("[::ffff:10.0.0.1]", "a private address"),
        ("169.254.169.254", "a metadata address"),
        ("10.0.0.1", "a private address"),
        ("100.64.0.1", "an address shared by carrier-grade NAT"),
        ("[fd00:ec2::254]", "a metadata address"),
        ("224.0.0.1", "a multicast address"),
        ("255.255.255.255", "the broadcast address"),
    ];
    let policies = [policy(), Policy::parse(anywhere, Path::new("a.toml")).unwrap()];
    for (host, class) in hosts {
        let (http, ws) = (target(&format!("http://{host}:8080/")), target(&format!("ws://{host}:8080/")));
        let why = format!("{} ({class}; [network] allow does not name it)", http.authority());
        for policy in &policies {
            let used = Usage::default();
            let get = policy.decide(&fetch("GET", &http), &used, 0);
            assert_eq!(text(&get), format!("deny network: denied: fetch GET {why}"));
            assert_eq!(policy.decide_hop("GET", &http), get);
            let open = policy.decide(&Call::Connect(ConnectCall { url: &ws }), &used, 0);
            assert_eq!(text(&open), format!("deny network: denied: websocket {why}"));
        }
    }
    assert!(decided(&policies[1], "GET", "http://8.8.8.8/").starts_with("ask"));
    let blocked = decided(&policies[0], "GET", "http://203.0.114.7/");
    assert!(blocked.starts_with("deny network: "), "{blocked}");
    let allowed = POLICY.replace("[network]", "[network]\nallow = [\"127.0.0.1/32\"]");
    let allowed = Policy::parse(&allowed, Path::new("a.toml")).unwrap();
    assert_eq!(decided(&allowed, "GET", "http://127.1:8080/"), "allow local");
}

#[test]
fn a_rule_that_matches_is_the_last_word_when_its_bounds_are_exceeded() {
    let policy = policy();
    let url = target("https://api.github.com/repos/acme/x");
    let (call, mut used) = (fetch("GET", &url), Usage::default());
    let at = |used: &Usage, now_ms| text(&policy.decide(&call, used, now_ms));
    let large = Call::Fetch(FetchCall { method: "GET", url: &url, bytes: 101 });
    assert_eq!(
        text(&policy.decide(&large, &used, 0)),
        "deny read: limit-exceeded: fetch GET api.github.com:443 (101 bytes; rule \"read\" allows max_request = 100)"
    );
    let larger = Call::Fetch(FetchCall { method: "GET", url: &url, bytes: 1025 });
    assert_eq!(
        text(&policy.decide(&larger, &used, 0)),
        "deny read: limit-exceeded: fetch GET api.github.com:443 (1025 bytes in one call; limits.bytes_per_call = 1024)"
    );
    used.opened("read");
    assert_eq!(
        at(&used, 0),
        "deny read: limit-exceeded: fetch GET api.github.com:443 (rule \"read\" allows concurrent = 1)"
    );
    used.closed("read");
    for now_ms in [0, 400] {
        assert_eq!(at(&used, now_ms), "allow read");
        used.count("read", &call, now_ms);
    }
    assert_eq!(
        at(&used, 999),
        "deny read: limit-exceeded: fetch GET api.github.com:443 (rule \"read\" allows rate = 2/s)"
    );
    assert_eq!(at(&used, 1000), "allow read");
    used.count("read", &call, 1000);
    assert_eq!(
        at(&used, 5000),
        "deny read: limit-exceeded: fetch GET api.github.com:443 (rule \"read\" allows max_calls = 3)"
    );
    let other = target("https://api.github.com/x");
    assert_eq!(text(&policy.decide(&fetch("GET", &other), &used, 5000)), "allow read-all", "a quota is the rule's own");
}

#[test]
fn a_rate_holds_in_every_window() {
    let policy = policy();
    let url = target("https://api.github.com/repos/acme/x");
    let unlimited = POLICY.replace("max_calls = 3\n", "");
    let policy = Policy::parse(&unlimited, Path::new("/nowhere/policy.toml")).unwrap_or(policy);
    let (mut used, mut made) = (Usage::default(), Vec::new());
    for now_ms in (0..20_000).step_by(37) {
        let call = fetch("GET", &url);
        if let Verdict::Allow { rule } = policy.decide(&call, &used, now_ms) {
            used.count(rule, &call, now_ms);
            made.push(now_ms);
        }
    }
    assert!(made.len() >= 38, "{}", made.len());
    for start in &made {
        assert!(made.iter().filter(|time| (*start..start + 1000).contains(*time)).count() <= 2, "{made:?}");
    }
    // A clock that goes back does not refill the rate.
    let last = *made.last().unwrap();
    used.count("read", &fetch("GET", &url), 0);
    used.count("read", &fetch("GET", &url), 0);
    assert!(matches!(policy.decide(&fetch("GET", &url), &used, last + 999), Verdict::Deny { .. }));
    assert!(matches!(policy.decide(&fetch("GET", &url), &used, last + 1000), Verdict::Allow { .. }));
}

#[test]
fn connections_and_messages_have_their_bounds() {
    let policy = policy();
    let mut used = Usage::default();
    let (feed, chat) = (target("wss://stream.acme.com/v1"), target("wss://chat.acme.com/room"));
    let open = |used: &Usage, url: &Target| text(&policy.decide(&Call::Connect(ConnectCall { url }), used, 0));
    assert_eq!((open(&used, &feed), open(&used, &chat)), ("allow feed".into(), "ask chat for chat".into()));
    assert_eq!(
        open(&used, &target("wss://stream.acme.com/v2")),
        "deny feed: denied: websocket stream.acme.com:443 (nearest rule \"feed\" allows other paths)"
    );
    assert_eq!(
        open(&used, &target("ws://stream.acme.com/v1")),
        "deny feed: denied: websocket stream.acme.com:80 (nearest rule \"feed\" allows wss://stream.acme.com)"
    );
    used.opened("feed");
    assert_eq!(
        open(&used, &feed),
        "deny feed: limit-exceeded: websocket stream.acme.com:443 (rule \"feed\" allows max_open = 1)"
    );
    used.closed("feed");
    assert_eq!(open(&used, &feed), "allow feed");
    let message =
        |used: &Usage, rule: &str, bytes| text(&policy.decide(&Call::Message(MessageCall { rule, bytes }), used, 0));
    assert_eq!(
        message(&used, "feed", 101),
        "deny feed: limit-exceeded: websocket message (101 bytes; rule \"feed\" allows max_message = 100)"
    );
    assert_eq!(
        message(&used, "chat", 1025),
        "deny chat: limit-exceeded: websocket message (1025 bytes in one call; limits.bytes_per_call = 1024)"
    );
    assert_eq!(
        message(&used, "read\n", 1),
        "deny default: denied: websocket message (no rule \"read\\n\" opens connections)"
    );
    for bytes in [100, 0] {
        assert_eq!(message(&used, "feed", bytes), "allow feed");
        used.count("feed", &Call::Message(MessageCall { rule: "feed", bytes }), 0);
    }
    assert_eq!(
        message(&used, "feed", 0),
        "deny feed: limit-exceeded: websocket message (rule \"feed\" allows max_messages = 2)"
    );
    assert_eq!(message(&used, "chat", 0), "allow chat");
}

#[test]
fn a_redirect_needs_a_grant_and_uses_no_quota() {
    let policy = policy();
    let hop = |method, url: &str| text(&policy.decide_hop(method, &target(url)));
    assert_eq!(hop("GET", "https://api.github.com/repos/acme/x"), "allow read");
    assert_eq!(
        hop("POST", "https://api.github.com/x"),
        "deny ask.1: denied: fetch POST api.github.com:443 (rule \"ask.1\" asks about it, and a redirect cannot wait; request it directly)"
    );
    assert_eq!(
        hop("GET", "http://api.github.com/x"),
        "deny read-all: denied: fetch GET api.github.com:80 (nearest rule \"read-all\" allows https://api.github.com)"
    );
    assert!(hop("GET", "http://127.0.0.1:8080/").starts_with("deny network: "));
}

#[test]
fn the_terms_are_those_of_the_rule() {
    let policy = policy();
    assert_eq!(policy.fetch_terms("read").unwrap().max_request, 100);
    assert_eq!(policy.fetch_terms("ask.1"), Some(&FetchTerms::DEFAULT));
    assert_eq!(policy.websocket_terms("feed").unwrap().max_open, 1);
    assert_eq!(policy.websocket_terms("chat"), Some(&WebSocketTerms::DEFAULT));
    for rule in ["feed", "chat", "ask.2", "default", ""] {
        assert_eq!(policy.fetch_terms(rule), None, "{rule}");
    }
    assert_eq!((policy.websocket_terms("read"), policy.websocket_terms("ask.1")), (None, None));
}

#[test]
fn the_largest_request_is_that_of_the_widest_rule() {
    let largest =
        |text: &str| Policy::parse(&format!("version = 1\n{text}"), Path::new("/p.toml")).unwrap().largest_request();
    let rule = |id: &str, max: &str| {
        format!(
            "[[fetch]]\nid = \"{id}\"\nurl = \"https://x.org/{id}\"\nmethods = [\"POST\"]\nmax_request = \"{max}\"\n"
        )
    };
    assert_eq!(largest(""), None);
    assert_eq!(largest(&(rule("a", "3B") + &rule("b", "5B"))), Some(5));
    let ask = |when: &str| format!("{}[[ask]]\nwhen = \"{when}\"\n", rule("a", "3B"));
    assert_eq!(largest(&format!("{}methods = [\"POST\"]\nurl = \"https://x.org/**\"", ask("fetch"))), Some(1 << 20));
    assert_eq!(largest(&(ask("mail") + "[[capability]]\nname = \"mail\"")), Some(3));
}

#[test]
fn files_and_capabilities_are_asked_about_when_they_are_granted() {
    let asks = "[[ask]]\nwhen = \"files.write\"\n[[ask]]\nwhen = \"files.remove\"\nid = \"gone\"\n[[ask]]\nwhen = \"lookup\"\n[[ask]]\nwhen = \"mail\"";
    let policy = Policy::parse(&format!("{EXAMPLE}{asks}"), Path::new("/nowhere/policy.toml")).unwrap();
    let go = |call| text(&policy.decide(&call, &Usage::default(), 0));
    assert_eq!(go(write("/deep/out/a", 1)), "ask ask.1 for out");
    assert_eq!(go(file(FileOperation::Remove, "/deep/out/a")), "ask gone for out");
    assert_eq!(go(file(FileOperation::Read, "/deep/out/a")), "allow out");
    assert!(go(write("/data/a", 1)).starts_with("deny data: denied"));
    assert!(go(write("/deep/out/a", 101)).starts_with("deny out: limit-exceeded"));
    assert_eq!(go(Call::Capability(CapabilityCall { name: "lookup", bytes: 0 })), "ask ask.3 for capability.lookup");
    assert_eq!(go(Call::Capability(CapabilityCall { name: "print", bytes: 0 })), "allow capability.print");
    assert!(go(Call::Capability(CapabilityCall { name: "mail", bytes: 0 })).starts_with("deny default: denied"));
}

#[test]
fn an_overlay_is_written_to_like_a_folder() {
    let overlay = EXAMPLE.replace("\"write\"", "\"overlay\"");
    let policy = Policy::parse(&overlay, Path::new("/nowhere/policy.toml")).unwrap();
    let used = Usage::default();
    assert_eq!((policy.files[1].access, policy.files[1].max_files), (Access::Overlay, 2));
    assert!(decide(&policy, write("/deep/out/a", 1), &used).is_ok());
    assert!(decide(&policy, file(FileOperation::Remove, "/deep/out/a"), &used).is_ok());
    assert!(decide(&policy, write("/deep/out/a", 101), &used).is_err());
    assert_eq!(policy.writable_at(Path::new("/nowhere/out/x")), None, "the folder of the host stays as it is");
}

#[test]
fn of_a_thousand_rules_the_index_finds_the_one_that_trying_all_of_them_finds() {
    let mut toml = "version = 1\n".to_owned();
    for n in 0..1000 {
        let url = match n % 6 {
            0 => format!("https://api.github.com/repos/o{}/**", n % 50),
            1 => format!("https://*.h{}.example.org/a/*/c", n % 40),
            2 => format!("https://h{}.example.org/", n % 40),
            3 => format!("https://api.github.com/**/x{}", n % 20),
            4 => format!("https://**.h{}.example.org/a/**", n % 40),
            _ => format!("https://api.github.com/repos/o{}/r*", n % 50),
        };
        let method = ["GET", "POST"][n % 2];
        toml.push_str(&format!("[[fetch]]\nid = \"r{n}\"\nurl = \"{url}\"\nmethods = [\"{method}\"]\n"));
    }
    let policy = Policy::parse(&toml, Path::new("policy.toml")).unwrap();
    let mut found = 0;
    for n in 0..600 {
        let url = match n % 5 {
            0 => format!("https://api.github.com/repos/o{}/r{n}", n % 60),
            1 => format!("https://a.h{}.example.org/a/b/c", n % 50),
            2 => format!("https://h{}.example.org/", n % 50),
            3 => format!("https://api.github.com/repos/o99/x{}", n % 30),
            _ => format!("https://a.b.h{}.example.org/a/b", n % 50),
        };
        let url = target(&url);
        for method in ["GET", "POST", "PUT"] {
            let all = policy.fetch.iter().find(|rule| rule.url.matches(&url) && rule.methods[0] == method);
            let first = policy.fetch.first(&url, |rule| rule.methods[0] == method);
            assert_eq!(first.map(|rule| &rule.id), all.map(|rule| &rule.id), "{method} {}", url.as_str());
            found += usize::from(first.is_some());
        }
    }
    assert!(found > 300, "{found}");
    // The nearest rule differs in as little as the nearest of all.
    let near = [
        ("PUT", "https://api.github.com/repos/o0/r", "r0", "GET"),
        ("GET", "https://api.github.com/user", "", "other paths"),
        ("GET", "http://h2.example.org/", "r2", "https://h2.example.org"),
        ("GET", "https://a.h1.example.org/x", "", "other paths"),
        ("GET", "https://api.gitlab.com/", "", "https://"),
    ];
    for (method, url, rule, allows) in near {
        let told = decided(&policy, method, url);
        assert!(
            told.contains(&format!("(nearest rule \"{rule}")) && told.contains(&format!(" allows {allows}")),
            "{url}: {told}"
        );
    }
}

#[test]
fn where_a_request_may_go_is_known_before_there_is_one() {
    let policy = policy();
    for (url, may) in [
        ("http://api.github.com:443/", true),
        ("http://api.github.com/", false),
        ("http://github.com:443/", false),
        ("http://127.0.0.1:8080/", true),
        ("http://127.0.0.1:22/", false),
        // A WebSocket is another kind of call.
        ("http://stream.acme.com:443/", false),
    ] {
        assert_eq!(policy.may_reach(&target(url)), may, "{url}");
    }
    let asks = "version = 1\n[[ask]]\nwhen = \"fetch\"\nmethods = [\"GET\"]\nurl = \"https://*.acme.com/**\"\n";
    let asks = Policy::parse(asks, Path::new("/nowhere/policy.toml")).unwrap();
    assert!(asks.may_reach(&target("http://a.acme.com:443/")) && !asks.may_reach(&target("http://acme.org:443/")));
}
