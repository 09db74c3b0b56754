//! What the commands cost that look at a store of a million executions: time, and memory of their process.
//!
//! The store is built once, through the interface of stores, and kept below `target/` for the next time.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use everstep::id::{Digest, ExecutionId};
use everstep::store::operation::{NewPromise, Operation, Settlement};
use everstep::store::record::{NEVER, PromiseState, Value};
use everstep::store::{Backend, Change, FileStore, Invocation, NewExecution, Progress};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const EXECUTIONS: u64 = 1_000_000;
/// Executions in a commit.
const BATCH: u64 = 2_000;
/// One execution in so many has failed, ...
const FAILED: u64 = 10_000;
/// ... and one has called another function.
const RARE: u64 = 100_000;

fn main() -> Outcome<()> {
    let dir = store()?;
    println!("{:<58} {:>14} {:>14}", "a store with 1,000,000 executions, all ended", "time", "memory, peak");
    let commands: [(&str, &[&str]); 8] = [
        ("list --limit 100, as on a terminal", &["list", "--limit", "100"]),
        ("list --state running", &["list", "--state", "running"]),
        ("list --state failed", &["list", "--state", "failed"]),
        ("list --function rare", &["list", "--function", "rare"]),
        ("list", &["list"]),
        ("list --json", &["list", "--json"]),
        ("promise list", &["promise", "list"]),
        ("resume, nothing to do", &["resume"]),
    ];
    for (name, args) in commands {
        let mut measured: Vec<_> = (0..3).map(|_| measure(args, &dir, None)).collect::<Outcome<_>>()?;
        measured.sort_by(|a, b| a.0.total_cmp(&b.0));
        row(name, measured[1]);
    }
    row("resume --stay, after two seconds", measure(&["resume", "--stay"], &dir, Some(Duration::from_secs(2)))?);
    Ok(())
}

fn row(name: &str, (seconds, mib): (f64, f64)) {
    println!("{name:<58} {:>11.3} s {mib:>10.1} MB", seconds);
}

/// Runs a command on the store. Returns its time in seconds and the peak of its resident memory in MB. One that stays is terminated after
/// a while.
fn measure(args: &[&str], dir: &Path, stays: Option<Duration>) -> Outcome<(f64, f64)> {
    let started = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_everstep"));
    command.args(args).arg("--store").arg(dir).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let (status, mut peak, mut told) = (format!("/proc/{}/status", child.id()), 0.0, false);
    loop {
        // Nothing but its number is left of a process that has ended.
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        if let Some(line) = text.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
            peak = line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0 / 1e6;
        }
        if let Some(ended) = child.try_wait()? {
            if !ended.success() && stays.is_none() {
                return Err(format!("{args:?} failed").into());
            }
            return Ok((started.elapsed().as_secs_f64(), peak));
        }
        if stays.is_some_and(|stays| started.elapsed() > stays) && !std::mem::replace(&mut told, true) {
            Command::new("kill").arg(child.id().to_string()).status()?;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The store, which is built if it is not there as a whole.
fn store() -> Outcome<PathBuf> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("million-{}", FileStore::FORMAT));
    let whole = dir.join("whole");
    if whole.exists() {
        return Ok(dir);
    }
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    let started = Instant::now();
    let store = FileStore::open(&dir)?;
    for first in (0..EXECUTIONS).step_by(usize::try_from(BATCH)?) {
        let mut changes = Vec::new();
        for number in first..first + BATCH {
            changes.extend(ended(&store, number)?);
        }
        store.commit(&changes)?;
    }
    std::fs::write(whole, "")?;
    println!("built the store in {:.0} s: {}", started.elapsed().as_secs_f64(), dir.display());
    Ok(dir)
}

/// An execution that a host has run to its end.
fn ended(store: &FileStore, number: u64) -> Outcome<[Change; 4]> {
    // One a millisecond.
    let now_ms = 1_800_000_000_000 + number;
    let (key, id) = (store.fresh_key()?, ExecutionId::new(format!("million-{number}"))?);
    let (component, policy) = (Digest::of(b"component"), Digest::of(b"policy"));
    let function = if number.is_multiple_of(RARE) { "rare" } else { "count" }.to_owned();
    let args = format!(r#"{{"input":"/in/{number}","words":["one","two","three"]}}"#);
    let invocation = Invocation { function, args, component, policy, trace: None };
    let (param, tags) = (invocation.param(), invocation.tags("poll://any@default"));
    let promise = NewPromise { id: id.to_string(), timeout_at: NEVER, param, tags: tags.into() };
    let operation = Box::new(Operation::TaskCreate { pid: "bench".to_owned(), ttl: NEVER, promise });
    let then = vec![Change::Create(Box::new(NewExecution { key, id: id.clone(), component, policy, seed: [1; 32] }))];
    let (state, data) = match number % FAILED {
        0 => (PromiseState::Rejected, r#"{"__type":"error","message":"there is no such file"}"#),
        _ => (PromiseState::Resolved, r#"{"words":3,"lines":1}"#),
    };
    let value = Value { headers: BTreeMap::new(), data: Some(data.to_owned()) };
    let settlement = Settlement { id: id.to_string(), state, value };
    let progress = Box::new(Progress { error: None, steps: 3, cpu_us: 100, updated_ms: now_ms });
    Ok([
        Change::Operation { now_ms, operation, then },
        Change::Append { key, segment: 0, bytes: vec![1; 300], seal: None },
        Change::Progress(key, progress),
        Change::operation(now_ms, Operation::TaskFulfill { version: 1, settlement }),
    ])
}
