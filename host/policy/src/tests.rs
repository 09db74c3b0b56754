//! The policy as a whole; `load` and `load_web` hold every load error, `decide`, `web` and `call` the decisions, `extends` and `functions` what is
//! narrower, `sizes` what has to agree, `properties` what holds for all of
//! them, `sections` in how many files one is named.

mod call;
mod decide;
mod extends;
mod functions;
mod image;
mod load;
mod load_web;
mod properties;
mod scratch;
mod sections;
mod sizes;
mod web;

use super::*;
use everstep_words::guest_error::{ErrorCode, GuestError};
use std::time::Duration;

const EXAMPLE: &str = r#"
version = 1
name = "analyst"

[limits]
wall = "30s"
cpu = "unlimited"
memory = "256MiB"
steps = 5_000
bytes_per_call = "1KiB"

[clock]
mode = "frozen"
at = "2026-01-31T12:00:00Z"

[random]
mode = "seeded"

[env]
LANG = "C.UTF-8"

[[capability]]
name = "print"
[[capability]]
name = "lookup"
max_calls = 2
timeout = "60s"

[[files]]
id = "data"
guest = "/data"
host = "data"
access = "read"

[[files]]
id = "out"
guest = "/deep/out"
host = "./out"
access = "write"
max_file = "100B"
max_written = "250B"
max_files = 2

[audit]
file = "audit.jsonl"
on_failure = "deny"
"#;

fn example() -> Policy {
    Policy::parse(EXAMPLE, Path::new("/nowhere/policy.toml")).unwrap()
}

fn decide(policy: &Policy, call: Call<'_>, used: &Usage) -> Result<String, (String, GuestError)> {
    match policy.decide(&call, used, 0) {
        Verdict::Allow { rule } => Ok(rule.to_owned()),
        Verdict::Ask { rule, terms } => Ok(format!("{rule} asks about {terms}")),
        Verdict::Deny { rule, error } => Err((rule.to_owned(), error)),
    }
}

fn file(operation: FileOperation, path: &str) -> Call<'_> {
    Call::Files(FilesCall { operation, path, bytes: 0 })
}

fn write(path: &str, bytes: u64) -> Call<'_> {
    Call::Files(FilesCall { operation: FileOperation::Write, path, bytes })
}

#[test]
fn the_example_is_read_in_full() {
    let policy = example();
    assert_eq!(policy.limits.wall, Duration::from_secs(30));
    assert_eq!(policy.limits.cpu, Duration::MAX);
    assert_eq!(policy.limits.memory, 256 << 20);
    assert_eq!(policy.limits.in_flight, Limits::default().in_flight);
    assert_eq!(policy.clock, ClockGrant::Frozen { at_ms: 1_769_860_800_000 });
    assert_eq!(policy.random, RandomGrant::Seeded);
    assert_eq!(policy.env["LANG"], "C.UTF-8");
    assert_eq!(policy.capabilities[0], CapabilityGrant::new("print"));
    assert_eq!(policy.capabilities[1].max_calls, Some(2));
    assert_eq!(policy.capabilities[1].timeout, Some(Duration::from_secs(60)));
    assert_eq!(policy.files[0].host, Path::new("/nowhere/data"));
    assert_eq!((policy.files[0].max_file, policy.files[0].max_files), (1 << 10, 0));
    assert_eq!(policy.files[1].host, Path::new("/nowhere/out"));
    assert_eq!(policy.audit.unwrap().file, Path::new("/nowhere/audit.jsonl"));
}

#[test]
fn the_canonical_form_reads_back_and_names_the_policy() {
    for policy in [example(), Policy::none()] {
        assert_eq!(Policy::from_canonical(&policy.canonical()).unwrap(), policy);
    }
    assert!(example().canonical().contains(r#""cpu":"unlimited""#));
    let reordered = EXAMPLE.replace("name = \"analyst\"\n", "").replace("version = 1", "name='analyst'\nversion = 1");
    let reordered = Policy::parse(&reordered, Path::new("/nowhere/other.toml")).unwrap();
    assert_eq!(reordered.digest(), example().digest());
    assert_ne!(Policy::none().digest(), example().digest());
    let unknown = Policy::none().canonical().replace(r#""name""#, r#""ftp":[],"name""#);
    assert!(matches!(Policy::from_canonical(&unknown), Err(Error::Canonical { .. })));
}

#[test]
fn an_empty_policy_grants_nothing() {
    let policy = Policy::parse("version = 1", Path::new("quiet.toml")).unwrap();
    assert_eq!(policy.name, "quiet");
    let used = Usage::default();
    let calls = [
        Call::Clock(ClockCall),
        Call::Random(RandomCall { bytes: 1 }),
        Call::Capability(CapabilityCall { name: "print", bytes: 0 }),
        file(FileOperation::Read, "/"),
    ];
    for call in calls {
        let (_, error) = decide(&policy, call, &used).unwrap_err();
        assert_eq!(error.code, ErrorCode::Denied, "{error}");
    }
    assert_eq!(decide(&policy, Call::Ungranted, &used), Ok(String::new()));
    assert_eq!(
        decide(&Policy::none(), Call::Capability(CapabilityCall { name: "print", bytes: 0 }), &used).unwrap(),
        "capability.print"
    );
}

#[test]
fn every_change_of_a_key_changes_the_policy() {
    let changes = [
        ("analyst", "other"),
        ("30s", "31s"),
        ("cpu = \"unlimited\"", "cpu = \"1s\""),
        ("256MiB", "255MiB"),
        ("5_000", "5_001"),
        ("1KiB", "2KiB"),
        ("T12:00:00Z", "T12:00:00+01:00"),
        ("mode = \"frozen\"\nat = \"2026-01-31T12:00:00Z\"", "mode = \"recorded\""),
        ("seeded", "deny"),
        ("C.UTF-8", "C"),
        ("\"print\"", "\"display\""),
        ("max_calls = 2", ""),
        ("60s", "61s"),
        ("\"data\"\nguest", "\"data2\"\nguest"),
        ("\"/data\"", "\"/data2\""),
        ("host = \"data\"", "host = \"data2\""),
        ("\"read\"", "\"write\""),
        ("\"read\"", "\"overlay\""),
        ("100B", "101B"),
        ("250B", "unlimited"),
        ("max_files = 2", ""),
        ("audit.jsonl", "other.jsonl"),
        ("[audit]\nfile = \"audit.jsonl\"\non_failure = \"deny\"\n", ""),
    ];
    for (from, to) in changes {
        assert!(EXAMPLE.contains(from), "{from}");
        let changed = Policy::parse(&EXAMPLE.replacen(from, to, 1), Path::new("/nowhere/policy.toml")).unwrap();
        assert_ne!(changed.digest(), example().digest(), "{from} -> {to}");
    }
}
