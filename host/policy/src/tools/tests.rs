//! What the tools say.

use super::*;
use crate::audit::Line;
use crate::{Policy, Verdict};
use std::fs;
use std::path::{Path, PathBuf};

const POLICY: &str = r#"
version = 1
name = "tools"
[limits]
cpu = "unlimited"
steps = "unlimited"
[env]
"a\"b" = "c\u007f\n'"
[clock]
mode = "frozen"
at = 1970-01-01T00:00:07Z
[[capability]]
name = "print"
max_calls = 7
[[capability]]
name = "mail"
timeout = "1500ms"
[[files]]
id = "data"
guest = "/data"
host = "data"
access = "read"
[[files]]
id = "out"
guest = "/out"
host = "out"
access = "overlay"
max_files = "unlimited"
[[fetch]]
id = "gh-read"
url = "https://api.github.com/repos/acme/**"
methods = ["GET"]
max_calls = 100
rate = "3/10s"
secret = { header = "authorization", from = "env:GH_TOKEN" }
on_crash = "fail"
[[fetch]]
id = "odd"
url = "https://*.example.org/v*/%2A/ü?q=%22"
methods = ["PUT"]
timeout = "unlimited"
secret = { header = "x-key", from = "file:key" }
[[websocket]]
id = "feed"
url = "wss://stream.acme.com/v1"
idle = "unlimited"
[network]
block = ["non-global", "8.8.8.0/24"]
allow = ["127.0.0.1"]
[[ask]]
when = "fetch"
methods = ["POST"]
url = "https://api.github.com/**"
[[ask]]
id = "mails"
when = "mail"
ttl = "1h"
remember = "execution"
[functions.summarise]
fetch = ["gh-read"]
files = []
limits.cpu = "2s"
[functions."odd name"]
capability = ["print"]
[audit]
file = "audit.jsonl"
"#;

fn policy() -> Policy {
    Policy::parse(POLICY, Path::new("/nowhere/policy.toml")).unwrap()
}

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples"));
    let found = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().join("policy.toml"));
    found.filter(|path| path.is_file()).collect()
}

fn explained(function: Option<&str>, capability: &str, subject: &str) -> Explanation {
    explain(&policy(), function, capability, subject).unwrap()
}

#[test]
fn a_policy_written_as_a_file_loads_to_itself() {
    let mut policies = vec![policy(), Policy::none()];
    policies.extend(examples().iter().map(|path| Policy::load(path).unwrap()));
    assert!(policies.len() >= 7, "no examples");
    for policy in policies {
        let text = to_toml(&policy);
        let again =
            Policy::parse(&text, Path::new("/elsewhere/policy.toml")).unwrap_or_else(|error| panic!("{text}\n{error}"));
        assert_eq!(again, policy, "{text}");
    }
}

#[test]
fn a_rule_is_shown_by_the_name_that_decisions_give_it() {
    let policy = policy();
    let rule = rule_toml(&policy, "gh-read").unwrap();
    assert!(
        rule.starts_with("[[fetch]]\nid = \"gh-read\"\nurl = \"https://api.github.com/repos/acme/**\"\n"),
        "{rule}"
    );
    assert!(rule.contains("rate = \"3/10s\"\n") && rule.contains("from = \"env:GH_TOKEN\""), "{rule}");
    for rule in ["capability.print", "data", "out", "feed", "ask.1", "mails"] {
        assert!(rule_toml(&policy, rule).is_some(), "{rule}");
    }
    for rule in ["default", "network", "clock", "nobody", ""] {
        assert_eq!(rule_toml(&policy, rule), None, "{rule}");
    }
}

#[test]
fn an_explanation_names_the_rule_and_the_narrowest_one_that_would_allow_the_call() {
    let allowed = explained(None, "fetch", "https://api.github.com/repos/acme/x");
    assert_eq!((allowed.decision, &*allowed.rule, &allowed.would_allow), ("allow", "gh-read", &None));
    let asked = explained(None, "http.fetch", "POST https://api.github.com/x");
    assert_eq!((asked.decision, &*asked.rule, asked.terms.as_deref()), ("ask", "ask.1", Some("ask.1")));
    let denied = explained(None, "fetch", "PUT https://api.github.com/repos/acme/x*?a=b");
    assert_eq!((denied.decision, &*denied.rule), ("deny", "gh-read"));
    assert_eq!(
        denied.message.as_deref(),
        Some("denied: fetch PUT api.github.com:443 (nearest rule \"gh-read\" allows GET)")
    );
    assert_eq!(
        denied.would_allow.as_deref(),
        Some(
            "[[fetch]]\nid = \"api-github-com\"\nurl = \"https://api.github.com/repos/acme/x%2A?a=b\"\nmethods = [\"PUT\"]\nmax_calls = 1\n"
        )
    );
    let files = explained(None, "files.write", "/data/x");
    assert!(files.would_allow.unwrap().starts_with("[[files]]\nid = \"data\"\naccess = \"write\""));
    assert_eq!(explained(None, "random", "").would_allow.as_deref(), Some("[random]\nmode = \"seeded\"\n"));
    let printed = explained(None, "print", "");
    assert_eq!((printed.decision, printed.budget), ("allow", None));
    assert_eq!(explained(None, "mail", "").budget.as_deref(), Some("10000 promises"));
    assert_eq!(
        explained(None, "input", "").would_allow.as_deref(),
        Some("[[capability]]\nname = \"input\"\nmax_calls = 1\n")
    );
    let function = explained(Some("summarise"), "files.read", "/data/x");
    assert_eq!(
        function.would_allow.as_deref(),
        Some("[functions.\"summarise\"]\nfiles = [\"data\"]   # added to what it lists\n")
    );
    let shown = function.to_string();
    assert!(shown.starts_with("deny: files read \"/data/x\"\n"), "{shown}");
}

#[test]
fn what_would_allow_a_call_does() {
    let calls = [
        ("fetch", "PUT https://api.github.com/repos/acme/x*;y/%C3%BC?a=b%20c"),
        ("fetch", "GET http://8.8.4.4:8080/"),
        ("fetch", "HEAD https://xn--bcher-kva.example/a/"),
        ("websocket", "wss://other.acme.com/"),
        ("files.read", "/other/x"),
        ("files.list", "/other/x"),
        ("files.write", "/other/x"),
        ("files.stat", "/other"),
        ("input", ""),
        ("random", ""),
        ("clock", ""),
    ];
    let silent = Policy { capabilities: Vec::new(), ..Policy::none() };
    for (capability, subject) in calls {
        let rule = explain(&silent, None, capability, subject).unwrap().would_allow.unwrap();
        let policy = Policy::parse(&format!("version = 1\n{rule}"), Path::new("/nowhere/policy.toml")).unwrap();
        let question = question(capability, subject).unwrap();
        let verdict = policy.decide(&question.call(), &Default::default(), 0);
        assert!(matches!(verdict, Verdict::Allow { .. }), "{capability} {subject}: {verdict:?}\n{rule}");
    }
}

#[test]
fn what_a_person_has_to_decide_is_not_offered() {
    let calls = [
        ("fetch", "GET http://127.1/"),
        ("fetch", "GET http://[::ffff:10.0.0.1]/"),
        ("fetch", "GET http://169.254.169.254/latest"),
        ("fetch", "GET http://localhost/"),
        ("fetch", "GET http://metadata.google.internal/"),
        ("fetch", "GET http://printer.local/"),
        ("fetch", "get https://ok.com/"),
        ("fetch", "CONNECT https://ok.com/"),
        ("websocket", "ws://10.0.0.1/"),
        ("files.read", "/data/../x"),
        ("files.remove", "/out"),
        ("a\"b", ""),
    ];
    let mut policy = policy();
    policy.network.allow.clear();
    for (capability, subject) in calls {
        let explanation = explain(&policy, None, capability, subject).unwrap();
        assert_eq!((explanation.decision, &explanation.would_allow), ("deny", &None), "{capability} {subject}");
        assert!(explanation.no_rule.is_some(), "{capability} {subject}");
    }
    for (capability, subject, why) in [
        ("fetch", "GET https://user@ok.com/\u{1b}", "\"https://user@ok.com/\\u{1b}\" is no URL: "),
        ("fetch", "", "fetch needs a subject, such as \"GET https://example.org/x\""),
        ("websocket", "", "websocket needs a subject"),
        ("files.read", "", "files needs a subject"),
        ("files.chmod", "/x", "no rule decides about \"files.chmod\""),
        ("websocket.close", "3", "no rule decides about \"websocket.close\""),
    ] {
        let error = explain(&policy, None, capability, subject).unwrap_err().to_string();
        assert!(error.starts_with(why), "{error}");
    }
}

fn line(capability: &str, subject: &str, decision: &str) -> Line {
    let (capability, subject, decision) = (capability.to_owned(), subject.to_owned(), decision.to_owned());
    Line { capability, subject, decision, ..Line::default() }
}

#[test]
fn suggestions_are_the_narrowest_rules_for_what_was_denied() {
    let long = format!("GET https://ok.com/{}...", "x".repeat(180));
    let lines = [
        line("http.fetch", "GET https://ok.com:443/a", "deny"),
        line("http.fetch", "POST https://ok.com:443/a", "deny"),
        line("http.fetch", "GET https://ok.com:443/a", "deny"),
        line("http.fetch", "GET https://ok.com:443/b", "allow"),
        line("http.fetch", "GET https://ok.com:443/c*", "deny"),
        line("console.print", "", "deny"),
        line("http.fetch", "GET http://127.0.0.1:80/", "deny"),
        line("http.fetch", &long, "deny"),
        line("http.fetch", "GET https://*.com:443/", "deny"),
        line("files.read", "/x\\u{1b}[2J", "deny"),
        line("http.fetch", "GET https://ok.com:443/\"]\n[[fetch]]", "deny"),
        line("bridge.send-request", "mail\"\n[network]", "deny"),
        line("websocket.close", "1", "deny"),
        line("timers.now", "", "deny"),
    ];
    let lines = || (1..).zip(lines.clone());
    let suggestions = suggest(lines(), None);
    let rules = suggestions.rules.iter().map(|rule| (rule.line, rule.calls, rule.toml.as_str())).collect::<Vec<_>>();
    assert_eq!(
        rules,
        [
            (
                1,
                3,
                "[[fetch]]\nid = \"ok-com\"\nurl = \"https://ok.com/a\"\nmethods = [\"GET\", \"POST\"]\nmax_calls = 3\n"
            ),
            (5, 1, "[[fetch]]\nid = \"ok-com-2\"\nurl = \"https://ok.com/c%2A\"\nmethods = [\"GET\"]\nmax_calls = 1\n"),
            (6, 1, "[[capability]]\nname = \"print\"\nmax_calls = 1\n"),
            (14, 1, "[clock]\nmode = \"recorded\"\n"),
        ]
    );
    let skipped = suggestions.skipped.iter().map(|skipped| skipped.line).collect::<Vec<_>>();
    assert_eq!(skipped, [7, 8, 9, 10, 11, 12, 13]);
    for skipped in &suggestions.skipped {
        assert!(!format!("{}{}", skipped.call, skipped.why).contains(char::is_control), "{skipped:?}");
    }
    let whole = suggestions.rules.iter().map(|rule| rule.toml.as_str()).collect::<String>();
    Policy::parse(&format!("version = 1\n{whole}"), Path::new("policy.toml")).unwrap();
    // What the policy does not deny any more is not suggested.
    let ok = "version = 1\n[[fetch]]\nid = \"ok\"\nurl = \"https://ok.com/**\"\nmethods = [\"GET\", \"POST\"]\n";
    let ok = Policy::parse(ok, Path::new("policy.toml")).unwrap();
    let rest = suggest(lines(), Some(&ok)).rules.iter().map(|rule| rule.line).collect::<Vec<_>>();
    assert_eq!(rest, [6, 14]);
}

#[test]
fn a_case_that_comes_out_differently_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("policy.toml"), POLICY).unwrap();
    let cases = r#"policy = "policy.toml"
[[case]]
capability = "fetch"
subject = "GET https://api.github.com/repos/acme/x"
expect = "allow"
rule = "gh-read"
[[case]]
capability = "fetch"
subject = "POST https://api.github.com/x"
expect = "deny"
[[case]]
capability = "files.read"
subject = "/data/x"
function = "summarise"
expect = "allow"
[[case]]
capability = "print"
expect = "allow"
rule = "print"
"#;
    fs::write(path("cases.toml"), cases).unwrap();
    let loaded = Cases::load(&path("cases.toml")).unwrap();
    let failed = loaded.run(None).unwrap();
    let place = path("cases.toml").display().to_string();
    let told = failed.iter().map(|failed| failed.to_string().replace(&place, "cases.toml")).collect::<Vec<_>>();
    assert_eq!(
        told,
        [
            "cases.toml:7: fetch POST https://api.github.com:443/x: expected deny, got ask (rule \"ask.1\")",
            "cases.toml:11: files read \"/data/x\": expected allow, got deny (rule \"default\")",
            "cases.toml:16: capability \"print\": expected allow by rule \"print\", got allow (rule \"capability.print\")",
        ]
    );
    let wrong = [
        ("", "1: it has no [[case]]; add one with capability, subject and expect"),
        ("[[case]]\ncapability = \"print\"\nexpect = \"maybe\"", "3: unknown variant `maybe`"),
        ("[[case]]\ncapability = \"print\"\nexpect = \"deny\"\ncolour = 1", "4: unknown field `colour`"),
        ("\n[[case]]\ncapability = \"fetch\"\nexpect = \"deny\"", "2: fetch needs a subject"),
    ];
    for (text, expected) in wrong {
        fs::write(path("cases.toml"), text).unwrap();
        let error = Cases::load(&path("cases.toml")).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{place}:{expected}")), "{error}");
    }
    fs::write(path("cases.toml"), "[[case]]\ncapability = \"print\"\nexpect = \"allow\"").unwrap();
    let cases = Cases::load(&path("cases.toml")).unwrap();
    assert!(cases.run(None).unwrap_err().to_string().ends_with("or give --policy"));
    assert!(cases.run(Some(&path("policy.toml"))).unwrap().is_empty());
}

#[test]
fn a_difference_is_told_by_grant_and_bound() {
    let changes = [
        ("id = \"gh-read\"", "id = \"renamed\"", vec![]),
        (
            "methods = [\"GET\"]",
            "methods = [\"GET\", \"HEAD\"]",
            vec!["+ rule \"gh-read\" grants GET, HEAD https://api.github.com/repos/acme/**"],
        ),
        (
            "max_calls = 100\nrate = \"3/10s\"",
            "max_calls = 90\nrate = \"4/10s\"",
            vec![
                "+ rule \"gh-read\" has rate = 4 instead of 3",
                "- rule \"gh-read\" has max_calls = 100 instead of 90",
            ],
        ),
        ("cpu = \"unlimited\"", "cpu = \"5s\"", vec!["- limits.cpu = unlimited instead of 5s"]),
        ("max_calls = 7", "", vec!["+ capability \"print\": more calls (max_calls)"]),
        (
            "name = \"mail\"\ntimeout = \"1500ms\"",
            "name = \"post\"",
            vec!["+ capability \"post\"", "- capability \"mail\""],
        ),
        (
            "access = \"overlay\"",
            "access = \"write\"",
            vec!["+ rule \"out\" has access = \"write\" instead of \"overlay\""],
        ),
        ("\"8.8.8.0/24\"", "\"8.8.8.0/25\"", vec!["+ network: 8.8.8.0/24 is not blocked"]),
        (
            "allow = [\"127.0.0.1\"]",
            "allow = [\"127.0.0.0/8\"]",
            vec!["+ network: 127.0.0.0/8 is taken out of the block"],
        ),
        (
            "methods = [\"POST\"]",
            "methods = [\"POST\", \"PUT\"]",
            vec!["+ with an approval: fetch POST, PUT https://api.github.com/**"],
        ),
        ("remember = \"execution\"", "", vec!["- an approval holds longer: mail"]),
        ("[audit]\nfile = \"audit.jsonl\"", "", vec!["+ decisions are not recorded"]),
        (
            "files = []",
            "files = [\"data\"]",
            vec!["+ function \"summarise\": rule \"data\" grants /nowhere/data at /data"],
        ),
        (
            "at = 1970-01-01T00:00:07Z",
            "at = 1970-01-01T00:00:08Z",
            vec!["+ clock: always 8000 ms since 1970", "- clock: always 7000 ms since 1970"],
        ),
    ];
    let before = policy();
    assert_eq!(diff(&before, &before), []);
    for (from, to, expected) in changes {
        assert!(POLICY.contains(from), "{from}");
        let mut text = POLICY.replacen(from, to, 1);
        if from.contains("gh-read") {
            text = text.replace("fetch = [\"gh-read\"]", "fetch = [\"renamed\"]");
        }
        let after = Policy::parse(&text, Path::new("/nowhere/policy.toml")).unwrap();
        let told = diff(&before, &after).iter().map(ToString::to_string).collect::<Vec<_>>();
        let expected = expected.into_iter().filter(|line| *line != "- with").collect::<Vec<_>>();
        assert_eq!(told.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{from} -> {to}");
        let back = diff(&after, &before);
        assert_eq!(back.len(), told.len(), "{from} -> {to}");
    }
}

#[test]
fn the_schema_knows_every_key_and_no_other() {
    let schema = schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let read = |text: &str| -> serde_json::Value {
        let value: toml::Value =
            toml::from_str(&text.replace("= 1970-01-01T00:00:07Z", "= \"1970-01-01T00:00:07Z\"")).unwrap();
        serde_json::to_value(value).unwrap()
    };
    let mut texts = examples().iter().map(|path| fs::read_to_string(path).unwrap()).collect::<Vec<_>>();
    texts.extend([POLICY.to_owned(), to_toml(&policy()), to_toml(&Policy::none())]);
    for text in &texts {
        let value = read(text);
        let errors = validator.iter_errors(&value).map(|error| error.to_string()).collect::<Vec<_>>();
        assert!(errors.is_empty(), "{text}\n{errors:?}");
    }
    let wrong = [
        ("version = 1", "version = 2"),
        ("version = 1", "version = 1\ncolour = 1"),
        ("name = \"print\"", "name = \"print\"\ncolour = 1"),
        ("cpu = \"unlimited\"", "cpus = 1"),
        ("cpu = \"unlimited\"", "cpu = 5"),
        ("cpu = \"unlimited\"", "cpu = \"5 s\""),
        ("steps = \"unlimited\"", "steps = \"many\""),
        ("access = \"read\"", "access = \"all\""),
        ("access = \"read\"", ""),
        ("rate = \"3/10s\"", "rate = 3"),
        ("rate = \"3/10s\"", "rate = \"3\""),
        ("methods = [\"GET\"]", "methods = \"GET\""),
        ("methods = [\"GET\"]", "methods = []"),
        ("env:GH_TOKEN", "GH_TOKEN"),
        ("on_crash = \"fail\"", "on_crash = \"maybe\""),
        ("max_calls = 100", "max_calls = -1"),
        ("remember = \"execution\"", "remember = \"always\""),
        ("limits.cpu = \"2s\"", "limits.cpus = \"2s\""),
        ("file = \"audit.jsonl\"", "file = \"audit.jsonl\"\non_failure = \"allow\""),
    ];
    for (from, to) in wrong {
        assert!(POLICY.contains(from), "{from}");
        assert!(!validator.is_valid(&read(&POLICY.replacen(from, to, 1))), "{from} -> {to}");
    }
}
