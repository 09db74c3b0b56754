//! The time of a decision and of an audit line, beside a bare `write` of as many bytes in the same run.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use everstep::policy::url::Target;
use everstep::policy::{Call, CapabilityCall, ClockCall, FetchCall, FileOperation, FilesCall, Usage, audit};
use everstep::{ExecutionId, Policy};
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const POLICY: &str = r#"
version = 1
name = "bench"
[clock]
mode = "recorded"
[[capability]]
name = "print"
[[files]]
id = "data"
guest = "/data"
host = "."
access = "read"
"#;

fn main() -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    let policy = Policy::parse(POLICY, &dir.path().join("policy.toml"))?;
    let read = FilesCall { operation: FileOperation::Read, path: "/data/some/file", bytes: 0 };
    let calls = [
        ("clock", Call::Clock(ClockCall)),
        ("print", Call::Capability(CapabilityCall { name: "print", bytes: 0 })),
        ("files.read", Call::Files(read)),
    ];
    for (name, call) in calls {
        let used = Usage::default();
        let each = time(5_000_000, || {
            black_box(policy.decide(black_box(&call), black_box(&used), 0));
            Ok(())
        })?;
        println!("{each:>10.1?} per decision on {name}");
    }
    rules(dir.path())?;
    let log = audit::Log::open(&dir.path().join("audit.jsonl"))?;
    let (execution, digest) = (ExecutionId::random(), policy.digest());
    let mut step = 0;
    let line = time(100_000, || {
        step += 1;
        log.record(audit::Entry {
            time_ms: 1_795_000_000_000 + step,
            execution: &execution,
            step,
            policy: &digest,
            rule: "data",
            capability: "files.read",
            subject: "/data/some/file",
            decision: audit::Decision::Allow,
            bytes: 0,
            approver: None,
        })?;
        Ok(())
    })?;
    let bytes = vec![b'x'; (std::fs::metadata(dir.path().join("audit.jsonl"))?.len() / step) as usize];
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(dir.path().join("raw"))?;
    let raw = time(100_000, || Ok(file.write_all(&bytes)?))?;
    println!("{line:>10.1?} per audit line, a bare write of its {} bytes takes {raw:.1?}", bytes.len());
    Ok(())
}

/// Decisions on URLs under a thousand rules: of one host and of many, with quotas in use.
fn rules(dir: &std::path::Path) -> Outcome<()> {
    let mut toml = "version = 1\n".to_owned();
    for n in 0..1000 {
        let url = match n % 3 {
            0 => format!("https://api.github.com/repos/owner-{n}/**"),
            1 => format!("https://*.host-{n}.example.org/items/*/parts/**"),
            _ => format!("https://host-{n}.example.org/v*/items"),
        };
        toml.push_str(&format!("[[fetch]]\nid = \"r{n}\"\nurl = \"{url}\"\nmethods = [\"GET\"]\nrate = \"1000/s\"\n"));
    }
    for n in 0..1000 {
        toml.push_str(&format!(
            "[[ask]]\nwhen = \"fetch\"\nmethods = [\"POST\"]\nurl = \"https://ask-{n}.example.org/**\"\n"
        ));
    }
    let policy = Policy::parse(&toml, &dir.join("rules.toml"))?;
    let mut used = Usage::default();
    let cases = [
        ("allowed, same host", "GET", "https://api.github.com/repos/owner-999/project/issues?page=2&per_page=100"),
        ("allowed, wildcard host", "GET", "https://a.host-499.example.org/items/7/parts/x/y/z"),
        ("asked about", "POST", "https://ask-999.example.org/a/b/c"),
        ("denied", "GET", "https://api.github.com/user/repos"),
    ];
    for (what, method, url) in cases {
        let (url, bytes) = (Target::parse(url)?, 0);
        let call = Call::Fetch(FetchCall { method, url: &url, bytes });
        (0..1000).for_each(|n| used.count("r999", &call, n * 2));
        let each = time(if what == "denied" { 20_000 } else { 500_000 }, || {
            black_box(policy.decide(black_box(&call), black_box(&used), 10_000));
            Ok(())
        })?;
        println!("{each:>10.1?} per decision on fetch at 1,000 rules and 1,000 that ask: {what}");
    }
    let parsed = time(200_000, || {
        black_box(Target::parse(black_box("https://api.github.com/repos/owner-999/project/issues?page=2"))?);
        Ok(())
    })?;
    println!("{parsed:>10.1?} per URL parsed");
    Ok(())
}

fn time(times: u32, mut call: impl FnMut() -> Outcome<()>) -> Outcome<Duration> {
    let started = Instant::now();
    for _ in 0..times {
        call()?;
    }
    Ok(started.elapsed() / times)
}
