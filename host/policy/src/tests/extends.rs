//! Policies that narrow others.

use super::*;
use crate::url::Target;
use std::fs;

/// Files in a folder of their own.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(base: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("base.toml", base);
        folder
    }

    fn write(&self, name: &str, rest: &str) {
        fs::write(self.0.path().join(name), format!("version = 1\n{rest}")).unwrap();
    }

    /// A policy that extends `base.toml`; what it says begins on line 3.
    fn child(&self, rest: &str) -> Result<Policy, Error> {
        Policy::parse(&format!("version = 1\nextends = [\"base.toml\"]\n{rest}"), &self.0.path().join("child.toml"))
    }

    /// The error, with the folder cut out.
    fn error(&self, rest: &str) -> String {
        let error = self.child(rest).map(|policy| panic!("{rest} loads: {policy:?}")).unwrap_err();
        error.to_string().replace(&format!("{}/", self.0.path().display()), "")
    }
}

const BASE: &str = r#"[limits]
cpu = "5s"
[env]
A = "a"
B = "b"
[clock]
mode = "recorded"
[random]
mode = "seeded"
[[capability]]
name = "print"
[[capability]]
name = "mail"
max_calls = 5
timeout = "10s"
[[files]]
id = "data"
guest = "/data"
host = "data"
access = "write"
max_files = 10
max_written = "1KiB"
[[fetch]]
id = "gh"
url = "https://api.github.com/**"
methods = ["GET", "POST"]
max_calls = 10
rate = "10/s"
concurrent = 4
redirects = 2
secret = { header = "authorization", from = "env:TOKEN" }
[[fetch]]
id = "any"
url = "https://*.example.org/**"
methods = ["GET"]
[[websocket]]
id = "feed"
url = "wss://stream.acme.com/**"
max_open = 2
[network]
block = ["non-global", "8.8.8.0/24"]
allow = ["10.0.0.0/8"]
[[ask]]
when = "fetch"
methods = ["POST"]
[functions.f]
fetch = ["gh"]
limits.cpu = "1s"
[audit]
file = "audit.jsonl"
"#;

#[test]
fn a_child_that_says_nothing_is_its_base() {
    let folder = Folder::new(BASE);
    let base = Policy::load(&folder.0.path().join("base.toml")).unwrap();
    let child = folder.child("").unwrap();
    assert_eq!(child, Policy { name: "child".to_owned(), ..base });
    let grandchild = "extends = [\"base.toml\"]\n";
    folder.write("middle.toml", grandchild);
    let path = folder.0.path().join("grandchild.toml");
    let grandchild = Policy::parse("version = 1\nextends = [\"middle.toml\", \"base.toml\"]", &path).unwrap();
    assert_eq!(grandchild.fetch, child.fetch);
    assert!(grandchild.asks.iter().all(|ask| !ask.sufficient), "what one base asks about another may deny");
}

#[test]
fn a_child_replaces_what_it_gives() {
    let folder = Folder::new(BASE);
    let child = folder.child("fetch = []\nfiles = []\nwebsocket = []\ncapability = []\nenv = {}\n[limits]\nwall = \"1s\"\n[clock]\nmode = \"deny\"\n[random]\nmode = \"deny\"\n[network]\nblock = [\"non-global\", \"9.9.9.9\"]\nallow = [\"10.1.0.0/16\"]\n[[ask]]\nwhen = \"fetch\"\nurl = \"https://api.github.com/x\"").unwrap();
    assert_eq!((child.limits.cpu, child.limits.wall), (Duration::from_secs(5), Duration::from_secs(1)));
    assert!(
        child.fetch.is_empty() && child.files.is_empty() && child.websocket.is_empty() && child.capabilities.is_empty()
    );
    assert!(child.env.is_empty());
    assert_eq!((child.clock, child.random), (ClockGrant::Deny, RandomGrant::Deny));
    assert_eq!(child.network.block.len(), 2, "the block of the base stays");
    assert_eq!(child.network.allow, ["10.1.0.0/16".parse().unwrap()]);
    let asks = child.asks.iter().map(|ask| (ask.rule.as_str(), ask.sufficient)).collect::<Vec<_>>();
    assert_eq!(asks, [("ask.1", false), ("ask.2", false)]);
    assert_eq!(child.functions["f"].fetch.as_deref(), Some(&[][..]));
    assert!(child.audit.is_some());
}

#[test]
fn a_narrower_child_loads() {
    let folder = Folder::new(BASE);
    let cases = [
        "[limits]\ncpu = \"5s\"",
        "[env]\nA = \"a\"",
        "[clock]\nmode = \"frozen\"\nat = 1970-01-01T00:00:07Z",
        "[[capability]]\nname = \"mail\"\nmax_calls = 4\ntimeout = \"9s\"",
        "[[files]]\nid = \"x\"\nguest = \"/data/x\"\nhost = \"data/x\"\naccess = \"overlay\"\nmax_files = 9\nmax_written = \"1KiB\"",
        "[[files]]\nid = \"x\"\nguest = \"/data/x\"\nhost = \"data/x\"\naccess = \"read\"\n[[files]]\nid = \"y\"\nguest = \"/data/y\"\nhost = \"data/y\"\naccess = \"read\"",
        "[[fetch]]\nid = \"gh\"\nurl = \"https://api.github.com/repos/*\"\nmethods = [\"GET\"]\nmax_calls = 10\nrate = \"10/s\"\nconcurrent = 4",
        "[[fetch]]\nid = \"a\"\nurl = \"https://api.github.com/a\"\nmethods = [\"GET\"]\nmax_calls = 5\nrate = \"3/s\"\nconcurrent = 2\n[[fetch]]\nid = \"b\"\nurl = \"https://api.github.com/b\"\nmethods = [\"POST\"]\nmax_calls = 5\nrate = \"7/m\"\nconcurrent = 2\nsecret = { header = \"authorization\", from = \"env:TOKEN\" }",
        "[[fetch]]\nid = \"a\"\nurl = \"https://a.example.org/**\"\nmethods = [\"GET\"]\n",
        "[[websocket]]\nid = \"feed\"\nurl = \"wss://stream.acme.com/x\"\nmax_open = 2",
        "[network]\nallow = []",
        "[network]\nallow = [\"10.1.2.3\"]",
        "[audit]\nfile = \"audit.jsonl\"",
        "[python]\ncomponent = \"other.wasm\"",
        "[functions.f]\nfetch = []",
        "[functions.f]\nlimits.cpu = \"900ms\"",
        "[functions.g]\nfetch = [\"any\"]\nlimits.cpu = \"5s\"",
        "[[ask]]\nwhen = \"mail\"",
        "[[ask]]\nwhen = \"files.write\"",
    ];
    for rest in cases {
        folder.child(rest).unwrap_or_else(|error| panic!("{rest}: {error}"));
    }
    let renamed = "[[fetch]]\nid = \"mine\"\nurl = \"https://api.github.com/repos/*\"\nmethods = [\"GET\"]\nmax_calls = 10\nrate = \"10/s\"\nconcurrent = 4";
    let child = folder.child(renamed).unwrap();
    assert_eq!(
        child.functions["f"].fetch.as_deref(),
        Some(&["mine".to_owned()][..]),
        "a part of what the base keeps is kept"
    );
}

#[test]
fn a_widening_names_both_lines() {
    let folder = Folder::new(BASE);
    let fetch = |rest: &str| {
        format!(
            "[[fetch]]\nid = \"x\"\nurl = \"https://api.github.com/a\"\nmethods = [\"GET\"]\nmax_calls = 10\nrate = \"10/s\"\nconcurrent = 4\n{rest}"
        )
    };
    let cases = [
        ("[limits]\ncpu = \"6s\"".to_owned(), "4: limits.cpu = 6s is more than 5s", 3),
        ("[limits]\nwall = \"61s\"".to_owned(), "4: limits.wall = 61s is more than 1m", 1),
        ("[env]\nC = \"c\"".to_owned(), "4: env.C is new or has another value", 1),
        ("[env]\nB = \"c\"".to_owned(), "4: env.B is new or has another value", 6),
        ("[[capability]]\nname = \"input\"".to_owned(), "4: capability \"input\" is granted", 1),
        ("[[capability]]\nname = \"mail\"\ntimeout = \"1s\"".to_owned(), "4: capability \"mail\" has a wider max_calls", 14),
        ("[[capability]]\nname = \"mail\"\nmax_calls = 1".to_owned(), "4: capability \"mail\" has a wider timeout", 14),
        ("[[files]]\nid = \"x\"\nguest = \"/data/x\"\nhost = \"data/y\"\naccess = \"read\"".to_owned(), "4: rule \"x\" grants ", 1),
        ("[[files]]\nid = \"x\"\nguest = \"/other\"\nhost = \"data\"\naccess = \"read\"".to_owned(), "4: rule \"x\" grants ", 1),
        ("[[files]]\nid = \"x\"\nguest = \"/data\"\nhost = \"data\"\naccess = \"write\"".to_owned(), "4: rule \"x\" has max_written = 50MiB instead of 1KiB", 18),
        ("[[files]]\nid = \"x\"\nguest = \"/data/x\"\nhost = \"data/x\"\naccess = \"write\"\nmax_written = \"1B\"\nmax_files = 10".to_owned(), "4: rule \"x\" has max_files = 11 instead of 10", 18),
        (fetch("max_request = \"2MiB\""), "4: rule \"x\" has max_request = 2MiB instead of 1MiB", 25),
        (fetch("max_response = \"6MiB\""), "4: rule \"x\" has max_response = 6MiB instead of 5MiB", 25),
        (fetch("timeout = \"31s\""), "4: rule \"x\" has timeout = 31s instead of 30s", 25),
        (fetch("redirects = 3"), "4: rule \"x\" has redirects = 3 instead of 2", 25),
        (fetch("secret = { header = \"authorization\", from = \"env:OTHER\" }"), "4: rule \"x\" has another secret", 25),
        (fetch("").replace("max_calls = 10\n", ""), "4: rule \"x\" has max_calls = unlimited instead of 10", 25),
        (fetch("").replace("max_calls = 10", "max_calls = 11"), "4: rule \"x\" has max_calls = 11 instead of 10", 25),
        (fetch("").replace("rate = \"10/s\"\n", ""), "4: rule \"x\" has rate = unlimited instead of 10", 25),
        (fetch("").replace("10/s", "2/100ms"), "4: rule \"x\" has rate = 20 instead of 10", 25),
        (fetch("").replace("concurrent = 4", "concurrent = 5"), "4: rule \"x\" has concurrent = 5 instead of 4", 25),
        (fetch("").replace("GET", "PUT"), "4: rule \"x\" grants PUT https://api.github.com/a", 1),
        (fetch("").replace("api.github.com", "github.com"), "4: rule \"x\" grants GET https://github.com/a", 1),
        (format!("{}{}", fetch("[[fetch]]\nid = \"w\"\nurl = \"https://w.example.org/\"\nmethods = [\"GET\"]\n"), fetch("").replace("\"x\"", "\"y\"")), "15: rule \"y\" has, with those before it, max_calls = 20 instead of 10", 25),
        ("[[websocket]]\nid = \"x\"\nurl = \"wss://stream.acme.com/**\"".to_owned(), "4: rule \"x\" has max_open = 4 instead of 2", 38),
        ("[[websocket]]\nid = \"x\"\nurl = \"wss://acme.com/**\"".to_owned(), "4: rule \"x\" grants wss://acme.com/**", 1),
        ("[network]\nallow = [\"10.0.0.0/7\"]".to_owned(), "4: 10.0.0.0/7 is taken out of the block", 43),
        ("[[ask]]\nwhen = \"input\"".to_owned(), "4: nobody", 0),
        ("[[ask]]\nwhen = \"other\"".to_owned(), "4: rule \"ask.2\" asks about other, which is denied anyway", 1),
        ("[functions.f]\nfetch = [\"any\"]".to_owned(), "3: the function \"f\" keeps the [[fetch]] rule \"any\"", 47),
        ("[audit]\nfile = \"other.jsonl\"".to_owned(), "4: decisions are recorded elsewhere", 51),
    ];
    for (rest, what, base_line) in cases {
        let error = folder.error(&rest);
        assert!(error.starts_with(&format!("child.toml:{what}")), "{rest}\n{error}\n{what}");
        let place = format!("which base.toml:{base_line} does not allow; a policy may only narrow what it extends");
        assert!(base_line == 0 || error.ends_with(&place), "{rest}\n{error}");
    }
    let wider = folder.error("[functions.f]\nlimits.cpu = \"2s\"");
    assert_eq!(
        wider,
        "child.toml:4: limits.cpu of the function \"f\" is wider than that of the policy; write less, or leave it out"
    );
    folder.write("base.toml", "[clock]\nmode = \"frozen\"\nat = 1970-01-01T00:00:07Z");
    for (rest, what) in [
        ("[clock]\nmode = \"recorded\"", "the clock shows more"),
        ("[random]\nmode = \"seeded\"", "random numbers are granted"),
    ] {
        assert!(
            folder.error(rest).starts_with(&format!("child.toml:4: {what}, which base.toml:")),
            "{}",
            folder.error(rest)
        );
    }
}

#[test]
fn an_earlier_rule_of_the_base_bounds_a_grant_as_well() {
    let folder = Folder::new(
        "[[fetch]]\nid = \"small\"\nurl = \"https://ok.com/a/**\"\nmethods = [\"GET\"]\nmax_request = \"1B\"\n[[fetch]]\nid = \"large\"\nurl = \"https://ok.com/**\"\nmethods = [\"GET\"]\n",
    );
    let error = folder.error("[[fetch]]\nid = \"x\"\nurl = \"https://ok.com/*/b\"\nmethods = [\"GET\"]");
    assert_eq!(
        error,
        "child.toml:4: rule \"x\" has max_request = 1MiB instead of 1B, which base.toml:3 does not allow; a policy may only narrow what it extends"
    );
    folder.child("[[fetch]]\nid = \"x\"\nurl = \"https://ok.com/b\"\nmethods = [\"GET\"]").unwrap();
}

#[test]
fn an_approval_does_not_take_the_place_of_an_inherited_grant() {
    let folder = Folder::new(BASE);
    let url = Target::parse("https://api.github.com/x").unwrap();
    let call = Call::Fetch(FetchCall { method: "POST", url: &url, bytes: 0 });
    let verdict =
        |rest: &str| matches!(folder.child(rest).unwrap().decide(&call, &Usage::default(), 0), Verdict::Ask { .. });
    assert!(verdict(""));
    assert!(!verdict("fetch = []"));
    assert!(!verdict("[[fetch]]\nid = \"any\"\nurl = \"https://*.example.org/**\"\nmethods = [\"GET\"]"));
}

#[test]
fn several_bases_grant_what_each_of_them_grants() {
    let folder = Folder::new(
        "[limits]\ncpu = \"5s\"\n[[capability]]\nname = \"print\"\n[[capability]]\nname = \"mail\"\n[[fetch]]\nid = \"a\"\nurl = \"https://a.org/x\"\nmethods = [\"GET\"]\n[[fetch]]\nid = \"b\"\nurl = \"https://b.org/\"\nmethods = [\"GET\"]",
    );
    folder.write("other.toml", "[limits]\nwall = \"5s\"\n[[capability]]\nname = \"mail\"\nmax_calls = 3\n[[fetch]]\nid = \"all-of-a\"\nurl = \"https://a.org/**\"\nmethods = [\"GET\"]");
    let path = folder.0.path().join("child.toml");
    let child = Policy::parse("version = 1\nextends = [\"base.toml\", \"other.toml\"]", &path).unwrap();
    assert_eq!((child.limits.cpu, child.limits.wall), (Duration::from_secs(5), Duration::from_secs(5)));
    assert_eq!((child.capabilities.len(), child.capabilities[0].max_calls), (1, Some(3)));
    assert_eq!(child.fetch.iter().map(|grant| grant.id.as_str()).collect::<Vec<_>>(), ["a"]);
    let error = Policy::parse(
        "version = 1\nextends = [\"base.toml\", \"other.toml\"]\n[[fetch]]\nid = \"b\"\nurl = \"https://b.org/\"\nmethods = [\"GET\"]",
        &path,
    );
    assert!(error.unwrap_err().to_string().contains("child.toml:4: rule \"b\" grants GET https://b.org/, which "));
}

#[test]
fn what_cannot_be_extended_says_so() {
    let folder = Folder::new("extends = [\"child.toml\"]");
    fs::write(folder.0.path().join("child.toml"), "version = 1").unwrap();
    assert!(folder.error("").starts_with("base.toml:2: "), "{}", folder.error(""));
    assert!(folder.error("").ends_with(" extends this file in turn; remove one of the two"), "{}", folder.error(""));
    let missing =
        Policy::parse("version = 1\nextends = [\"nobody.toml\"]", &folder.0.path().join("x.toml")).unwrap_err();
    assert!(matches!(missing, Error::Read { .. }), "{missing}");
    for n in 0..10 {
        folder.write(&format!("p{n}.toml"), &format!("extends = [\"p{}.toml\"]", n + 1));
    }
    folder.write("p10.toml", "");
    let deep = Policy::load(&folder.0.path().join("p0.toml")).unwrap_err().to_string();
    assert!(
        deep.ends_with("p7.toml:2: more than 8 policies extend each other; write what this one needs into fewer files"),
        "{deep}"
    );
    Policy::load(&folder.0.path().join("p3.toml")).unwrap();
    folder.write("base.toml", "[[files]]\nid = \"x\"\nguest = \"/x\"\nhost = \"x\"\naccess = \"read\"");
    let taken = folder.error("[[fetch]]\nid = \"x\"\nurl = \"https://a.org/\"\nmethods = [\"GET\"]");
    assert_eq!(
        taken,
        "child.toml:4: \"x\" is the id of two rules, one of them inherited; give one of them another id; an [[ask]] rule without one is counted among all"
    );
    let inner = Folder::new("[[files]]\nid = \"x\"\nguest = \"/x\"\nhost = \"inner\"\naccess = \"write\"");
    fs::create_dir(inner.0.path().join("inner")).unwrap();
    let rewrites = Policy::parse("version = 1\nextends = [\"../base.toml\"]", &inner.0.path().join("inner/child.toml"))
        .unwrap_err();
    assert!(rewrites.to_string().contains("lets the guest rewrite this policy file"), "{rewrites}");
}

#[test]
fn the_budget_of_a_lineage_is_finite_and_only_gets_lower() {
    let (none, policy) = (Policy::none().limits.lineage, Folder::new("[limits.lineage]\nexecutions = 50\n"));
    assert_eq!((none.executions, none.cpu, none.promises, none.depth), (10_000, Duration::from_secs(600), 10_000, 32));
    let lower = policy.child("[limits]\nlineage = { executions = 7, cpu = \"1m\" }\n").unwrap().limits.lineage;
    assert_eq!((lower.executions, lower.cpu, lower.promises), (7, Duration::from_secs(60), 10_000));
    assert_eq!(policy.child("").unwrap().limits.lineage.executions, 50);
    let wider = policy.error("[limits.lineage]\nexecutions = 51\n");
    assert!(wider.contains("limits.lineage.executions = 51 is more than 50"), "{wider}");
    assert!(wider.contains("child.toml:4") && wider.contains("base.toml:3"), "{wider}");
    for (key, value) in [("promises", "\"unlimited\""), ("depth", "33"), ("cpu", "\"11m\"")] {
        let wider = policy.error(&format!("[limits.lineage]\n{key} = {value}\n"));
        assert!(wider.contains(&format!("limits.lineage.{key} = ")), "{wider}");
    }
    let section = policy.error("[functions.f]\nlimits.lineage.executions = 60\n");
    assert!(section.contains("limits.lineage.executions of the function \"f\" is wider"), "{section}");
    let narrowed = policy.child("[functions.f]\nlimits.lineage.depth = 2\n").unwrap();
    assert_eq!((narrowed.for_function("f").limits.lineage.depth, narrowed.limits.lineage.depth), (2, 32));
    assert!(policy.error("[limits.lineage]\nexecution = 1\n").contains("execution"));
    // One execution may use what it has, unless less is said.
    let long = |rest: &str| {
        let folder = Folder::new("[limits]\ncpu = \"1h\"\n");
        folder.child(&format!("[limits]\n{rest}")).unwrap().limits.shared()
    };
    assert_eq!((long("").cpu, long("lineage.cpu = \"2s\"").cpu), (Duration::from_secs(3600), Duration::from_secs(2)));
}

#[test]
fn a_policy_without_a_budget_for_its_lineage_keeps_the_digest_that_it_had_before_there_was_one() {
    assert!(!Policy::none().canonical().contains("lineage"));
    let folder = Folder::new("");
    let policy = folder.child("[limits.lineage]\ndepth = 3\n").unwrap();
    assert_eq!(Policy::from_canonical(&policy.canonical()).unwrap(), policy);
}
