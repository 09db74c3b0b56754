//! `everstep policy`, as a person or a script uses it. What the tools know is tested beside them.
//!
//! One place: it drives the program, whose store is a folder.

use everstep::policy::audit::{Decision, Entry, Log, id as audit_id};
use everstep::{ExecutionId, Policy};
use everstep_tests::guests;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const POLICY: &str = r#"version = 1
name = "tools"
[[capability]]
name = "print"
[[files]]
id = "data"
guest = "/data"
host = "data"
access = "read"
[[fetch]]
id = "gh-read"
url = "https://api.github.com/repos/acme/**"
methods = ["GET"]
max_calls = 100
[[websocket]]
id = "feed"
url = "wss://stream.acme.com/v1"
[[ask]]
when = "fetch"
methods = ["POST"]
url = "https://api.github.com/**"
[functions.summarise]
fetch = []
limits.cpu = "2s"
[audit]
file = "audit.jsonl"
"#;

/// A folder with a policy in it, to run the binary in.
struct Desk(TempDir);

/// What a command came to.
#[derive(Debug)]
struct Done {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        desk.write("policy.toml", POLICY);
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn policy(&self, args: &[&str]) -> Done {
        let tests = std::env::current_exe().unwrap();
        let binary = tests.parent().unwrap().parent().unwrap().join("everstep");
        let mut command = Command::new(binary);
        let output = command.arg("policy").args(args).current_dir(self.0.path()).env_remove("EVERSTEP_LOG").output();
        let output = output.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Done { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    fn explain(&self, args: &[&str]) -> Done {
        self.policy(&[&["explain", "--policy", "policy.toml"], args].concat())
    }

    /// Writes a denial of this call into the audit log, as a host does; its id.
    fn deny(&self, step: u64, capability: &str, subject: &str) -> String {
        let policy = Policy::load(&self.path("policy.toml")).unwrap();
        let (execution, digest) = (ExecutionId::new("job").unwrap(), policy.digest());
        let log = Log::open(&self.path("audit.jsonl")).unwrap();
        log.record(Entry {
            time_ms: 1_769_860_800_000,
            execution: &execution,
            step,
            policy: &digest,
            rule: "gh-read",
            capability,
            subject,
            decision: Decision::Deny,
            bytes: 0,
            approver: None,
        })
        .unwrap();
        audit_id(&execution, step)
    }
}

impl Done {
    fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap()
    }
}

#[test]
fn check_names_every_rule_or_the_line_that_is_wrong() {
    let desk = Desk::new();
    let checked = desk.policy(&["check", "policy.toml"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    for line in [
        "\nfetch        gh-read: GET https://api.github.com/repos/acme/**; at most 100 calls, 16 at once, ",
        "\nwebsocket    feed: wss://stream.acme.com/v1; 4 at once, ",
        "\nask          ask.1: fetch POST https://api.github.com/**; holds once, ",
        "\nfunction     summarise keeps a part of this\n",
    ] {
        assert!(checked.stdout.contains(line), "{line}\n{}", checked.stdout);
    }
    desk.write("child.toml", "version = 1\nextends = [\"policy.toml\"]\n[limits]\nwall = \"2h\"\n");
    let wider = desk.policy(&["check", "child.toml"]);
    assert_eq!(wider.code, 2, "{wider:?}");
    let message =
        "child.toml:4: limits.wall = 2h is more than 1m, which policy.toml:1 does not allow; a policy may only narrow";
    assert!(wider.stderr.contains(message), "{wider:?}");
    desk.write("all.toml", "version = 1\n[[fetch]]\nid = \"all\"\nurl = \"https://*/**\"\nmethods = [\"GET\"]\n");
    assert!(desk.policy(&["check", "all.toml"]).stderr.contains("all.toml:4: \"https://*/**\" is no URL of this rule"));
    desk.write("policy.json", r#"{"version": 1, "capability": [{"name": "print"}]}"#);
    assert_eq!(desk.policy(&["check", "policy.json"]).code, 0);
}

#[test]
fn explain_tells_the_decision_by_its_exit_code_and_names_the_narrowest_rule() {
    let desk = Desk::new();
    let allowed = desk.explain(&["fetch", "GET https://api.github.com/repos/acme/x"]);
    assert_eq!(allowed.code, 0, "{allowed:?}");
    assert!(allowed.stdout.contains("allowed by: rule \"gh-read\"\n"), "{allowed:?}");
    let asked = desk.explain(&["fetch", "POST https://api.github.com/x", "--json"]);
    assert_eq!((asked.code, &asked.json()["decision"]), (0, &json!("ask")), "{asked:?}");
    let denied = desk.explain(&["fetch", "PUT https://api.github.com/repos/acme/x"]);
    assert_eq!(denied.code, 3, "{denied:?}");
    for text in [
        "deny: fetch PUT https://api.github.com:443/repos/acme/x\n",
        "the guest is told: denied: fetch PUT api.github.com:443 (nearest rule \"gh-read\" allows GET)\n",
        "url = \"https://api.github.com/repos/acme/x\"\nmethods = [\"PUT\"]\nmax_calls = 1\n",
    ] {
        assert!(denied.stdout.contains(text), "{text}\n{}", denied.stdout);
    }
    let function = desk.explain(&["fetch", "https://api.github.com/repos/acme/x", "--function", "summarise"]);
    assert_eq!(function.code, 3, "{function:?}");
    assert!(function.stdout.contains("[functions.\"summarise\"]\nfetch = [\"gh-read\"]"), "{function:?}");
    for (args, code) in [
        (&["print"][..], 0),
        (&["files.read", "/data/x"], 0),
        (&["files.write", "/data/x"], 3),
        (&["websocket", "wss://stream.acme.com/v1"], 0),
        (&["websocket", "ws://127.0.0.1/"], 3),
        (&["random"], 3),
        (&["fetch"], 2),
        (&["fetch", "GET ok.com"], 2),
        (&["files.chmod", "/data"], 2),
    ] {
        let done = desk.explain(args);
        assert_eq!(done.code, code, "{args:?} {done:?}");
    }
}

#[test]
fn explain_finds_a_decision_of_the_audit_log_by_its_id() {
    let desk = Desk::new();
    let missing = desk.explain(&["a1b2c3d4"]);
    assert_eq!(missing.code, 2, "{missing:?}");
    let id = desk.deny(3, "http.fetch", "PUT https://api.github.com:443/repos/acme/x");
    let found = desk.explain(&[&id]);
    assert_eq!(found.code, 3, "{found:?}");
    for text in [
        "deny: http.fetch PUT https://api.github.com:443/repos/acme/x\n",
        "at 2026-01-31T12:00:00.000Z, step 3 of job\n",
        "decided by, or nearest: rule \"gh-read\"\n",
        "methods = [\"PUT\"]\n",
    ] {
        assert!(found.stdout.contains(text), "{text}\n{}", found.stdout);
    }
    assert!(!found.stdout.contains("another one then"), "{}", found.stdout);
    let object = desk.explain(&[&id.to_uppercase(), "--json"]).json();
    assert_eq!((&object["recorded"]["step"], &object["now"]["decision"]), (&json!(3), &json!("deny")));
    let hostile = desk.deny(4, "files.read", "/x\u{1b}[2J");
    let shown = desk.explain(&[&hostile]);
    assert!(shown.stdout.contains("cannot be decided again") && !shown.stdout.contains('\u{1b}'), "{shown:?}");
    desk.write("policy.toml", &POLICY.replace("\"GET\"", "\"GET\", \"PUT\""));
    let later = desk.explain(&[&id]);
    assert!(later.stdout.contains("the policy was another one then\n"), "{later:?}");
    assert!(later.stdout.contains("allow: fetch PUT "), "{later:?}");
    let unknown = desk.explain(&["00000000"]);
    assert_eq!(unknown.code, 2, "{unknown:?}");
}

#[test]
fn test_names_each_case_that_comes_out_differently() {
    let desk = Desk::new();
    let cases = "policy = \"policy.toml\"\n\
        [[case]]\ncapability = \"fetch\"\nsubject = \"GET https://api.github.com/repos/acme/x\"\nexpect = \"allow\"\nrule = \"gh-read\"\n\
        [[case]]\ncapability = \"fetch\"\nsubject = \"GET https://api.github.com/user\"\nexpect = \"deny\"\n";
    desk.write("cases.toml", cases);
    let held = desk.policy(&["test", "cases.toml"]);
    assert_eq!((held.code, &*held.stdout), (0, "2 of 2 cases hold\n"), "{held:?}");
    desk.write("wide.toml", &POLICY.replace("repos/acme/**", "**"));
    let failed = desk.policy(&["test", "cases.toml", "--policy", "wide.toml"]);
    let line =
        "cases.toml:7: fetch GET https://api.github.com:443/user: expected deny, but it is allow by rule \"gh-read\"\n";
    assert_eq!((failed.code, failed.stdout), (1, format!("{line}1 of 2 cases hold\n")));
    let object = desk.policy(&["test", "cases.toml", "--policy", "wide.toml", "--json"]).json();
    assert_eq!((&object["cases"], &object["failed"][0]["line"]), (&json!(2), &json!(7)));
    desk.write("cases.toml", &cases.replace("expect = \"deny\"", "expect = \"denied\""));
    let wrong = desk.policy(&["test", "cases.toml"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(wrong.stderr.contains("cases.toml:10: unknown variant `denied`"), "{wrong:?}");
}

#[test]
fn diff_tells_what_only_one_of_two_policies_allows() {
    let desk = Desk::new();
    let same = desk.policy(&["diff", "policy.toml", "policy.toml"]);
    assert_eq!((same.code, &*same.stdout), (0, ""), "{same:?}");
    desk.write(
        "new.toml",
        &POLICY.replace("max_calls = 100", "max_calls = 200").replace("name = \"print\"", "name = \"mail\""),
    );
    let changed = desk.policy(&["diff", "policy.toml", "new.toml"]);
    let expected =
        "+ capability \"mail\"\n+ rule \"gh-read\" has max_calls = 200 instead of 100\n- capability \"print\"\n";
    assert_eq!((changed.code, &*changed.stdout), (1, expected), "{changed:?}");
    let object = desk.policy(&["diff", "new.toml", "policy.toml", "--json"]).json();
    assert_eq!(object["wider"], json!(["capability \"print\""]));
    assert_eq!(desk.policy(&["diff", "policy.toml", "nobody.toml"]).code, 2);
}

#[test]
fn suggest_prints_rules_that_load_and_none_for_what_a_person_has_to_decide() {
    let desk = Desk::new();
    assert_eq!(desk.policy(&["suggest", "--from", "audit.jsonl"]).code, 2, "no log");
    for (step, (capability, subject)) in [
        ("http.fetch", "PUT https://api.github.com:443/repos/acme/x"),
        ("http.fetch", "GET https://api.github.com:443/repos/acme/x"),
        ("http.fetch", "GET http://169.254.169.254:80/latest/meta-data"),
        ("http.fetch", "GET https://ok.com:443/\"]\n[network]\nallow = [\"0.0.0.0/0\"]\n#"),
        ("bridge.send-request", "a\u{1b}[2J"),
    ]
    .into_iter()
    .enumerate()
    {
        desk.deny(step as u64, capability, subject);
    }
    let all = desk.policy(&["suggest", "--from", "audit.jsonl"]);
    assert_eq!(all.code, 0, "{all:?}");
    let policy = Policy::parse(&format!("version = 1\n{}", all.stdout), Path::new("/nowhere/policy.toml")).unwrap();
    assert_eq!(policy.fetch.len(), 1, "{}", all.stdout);
    assert_eq!(policy.fetch[0].url.as_str(), "https://api.github.com/repos/acme/x");
    assert!(policy.network.allow.is_empty() && !all.stdout.contains('\u{1b}'), "{}", all.stdout);
    assert_eq!(all.stdout.lines().filter(|line| line.starts_with("# line ")).count(), 3, "{}", all.stdout);
    desk.write("policy.toml", &POLICY.replace("\"GET\"", "\"GET\", \"PUT\""));
    let rest = desk.policy(&["suggest", "--from", "audit.jsonl", "--policy", "policy.toml", "--json"]).json();
    assert_eq!((&rest["rules"], rest["skipped"].as_array().unwrap().len()), (&json!([]), 3), "{rest}");
}

#[test]
fn show_writes_one_file_that_means_the_same() {
    let desk = Desk::new();
    desk.write("child.toml", "version = 1\nname = \"child\"\nextends = [\"policy.toml\"]\n[limits]\nwall = \"1s\"\n");
    let shown = desk.policy(&["show", "--effective", "child.toml"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(!shown.stdout.contains("extends"), "{}", shown.stdout);
    desk.write("shown.toml", &shown.stdout);
    let digest = |file: &str| desk.policy(&["check", file, "--json"]).json()["digest"].clone();
    assert_eq!(digest("shown.toml"), digest("child.toml"));
    let function = desk.policy(&["show", "--effective", "child.toml", "--function", "summarise", "--json"]).json();
    assert_eq!((&function["fetch"], &function["limits"]["cpu"]), (&Value::Null, &json!(2000)), "{function}");
    assert_eq!(desk.policy(&["show", "child.toml"]).code, 2, "it says what it shows");
}

#[test]
fn schema_is_one_json_document() {
    let desk = Desk::new();
    let schema = desk.policy(&["schema"]);
    assert_eq!(schema.code, 0, "{schema:?}");
    let schema: Value = serde_json::from_str(&schema.stdout).unwrap();
    assert_eq!((&schema["title"], &schema["additionalProperties"]), (&json!("Everstep policy"), &json!(false)));
    for key in ["extends", "fetch", "websocket", "network", "ask", "functions", "audit"] {
        assert!(schema["properties"][key].is_object(), "{key}");
    }
}

#[test]
fn every_example_is_checked() {
    let desk = Desk::new();
    let examples = std::fs::read_dir(guests::project().join("examples")).unwrap();
    let policies = examples.map(|entry| entry.unwrap().path().join("policy.toml")).filter(|path| path.is_file());
    let checked = policies.map(|path| desk.policy(&["check", path.to_str().unwrap()])).collect::<Vec<_>>();
    assert!(checked.len() >= 5 && checked.iter().all(|done| done.code == 0), "{checked:?}");
}
