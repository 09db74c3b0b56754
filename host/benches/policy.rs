//! The time of a decision and of an audit line, beside a bare `write` of as many bytes in the same run.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use everstep::policy::{Call, FileOperation, Usage, audit};
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
    let read = Call::Files { operation: FileOperation::Read, path: "/data/some/file", bytes: 0 };
    for call in [Call::Clock, Call::Capability { name: "print", bytes: 0 }, read] {
        let used = Usage::default();
        let each = time(5_000_000, || {
            black_box(policy.decide(black_box(&call), black_box(&used)));
            Ok(())
        })?;
        println!("{each:>10.1?} per decision on {}", call.capability());
    }
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
        })?;
        Ok(())
    })?;
    let bytes = vec![b'x'; (std::fs::metadata(dir.path().join("audit.jsonl"))?.len() / step) as usize];
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(dir.path().join("raw"))?;
    let raw = time(100_000, || Ok(file.write_all(&bytes)?))?;
    println!("{line:>10.1?} per audit line, a bare write of its {} bytes takes {raw:.1?}", bytes.len());
    Ok(())
}

fn time(times: u32, mut call: impl FnMut() -> Outcome<()>) -> Outcome<Duration> {
    let started = Instant::now();
    for _ in 0..times {
        call()?;
    }
    Ok(started.elapsed() / times)
}
