//! Commits per second of the stores, beside a raw probe of the same disk in the same run.
//!
//! The raw probe is the least that a durable append costs: 256 bytes at the end of a file and one fdatasync. A second
//! probe overwrites in place, which is what the file store's log does. Probe and store take turns, because the speed
//! of a disk drifts. `EVERSTEP_BENCH_DIR` names the folder to measure in.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use everstep::id::{Digest, ExecutionId};
use everstep::store::operation::{NewPromise, Operation};
use everstep::store::record::NEVER;
use everstep::store::{Backend, Change, ExecutionKey, FileStore, Invocation, MemoryStore, NewExecution, Progress};
use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;
use std::time::Instant;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const ROUNDS: usize = 8;
const COMMITS: usize = 500;
const BATCHES: usize = 40;
const BATCH: usize = 100;

/// Rates per second, one entry per round.
#[derive(Default)]
struct Rates {
    append: Vec<f64>,
    overwrite: Vec<f64>,
    single: Vec<f64>,
    whole: Vec<f64>,
    batch: Vec<f64>,
    memory: Vec<f64>,
}

fn main() -> Outcome<()> {
    let dir = match std::env::var_os("EVERSTEP_BENCH_DIR") {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    let file = FileStore::open(dir.path().join("store"))?;
    let memory = MemoryStore::new();
    let mut rates = Rates::default();
    for _ in 0..ROUNDS {
        rates.append.push(raw_probe(dir.path(), false)?);
        rates.single.push(single_appends(&file, COMMITS)?);
        rates.overwrite.push(raw_probe(dir.path(), true)?);
        rates.whole.push(whole_executions(&file, COMMITS, 1)?);
        rates.batch.push(whole_executions(&file, BATCHES, BATCH)?);
        rates.memory.push(single_appends(&memory, 100 * COMMITS)?);
    }
    rates.print();
    Ok(())
}

impl Rates {
    fn print(&self) {
        let raw = median(&self.append);
        println!("{:<58}{:>12}{:>8}", "store", "per second", "of raw");
        let line = |what: &str, rates: &[f64]| {
            println!("{what:<58}{:>12.0}{:>8.2}", median(rates), median(rates) / raw);
        };
        line("raw probe: append 256 bytes, fdatasync", &self.append);
        line("raw probe: overwrite 256 bytes in place, fdatasync", &self.overwrite);
        line("file: commits of one Append (256 bytes)", &self.single);
        line("file: commits of Create + Append + Progress", &self.whole);
        line("file: rows in commits of 100 x Create + Append + Progress", &self.batch);
        line("memory: commits of one Append (256 bytes)", &self.memory);
    }
}

fn median(rates: &[f64]) -> f64 {
    let mut sorted = rates.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn per_second(count: usize, run: impl FnOnce() -> Outcome<()>) -> Outcome<f64> {
    let start = Instant::now();
    run()?;
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

fn raw_probe(dir: &Path, overwrite: bool) -> Outcome<f64> {
    let path = dir.join("probe");
    let mut file = File::create(&path)?;
    if overwrite {
        file.write_all(&vec![0; 256 * COMMITS])?;
        file.sync_all()?;
        file.rewind()?;
    }
    let rate = per_second(COMMITS, || {
        for _ in 0..COMMITS {
            file.write_all(&[1; 256])?;
            file.sync_data()?;
        }
        Ok(())
    });
    std::fs::remove_file(path)?;
    rate
}

fn single_appends(store: &dyn Backend, commits: usize) -> Outcome<f64> {
    let key = store.fresh_key()?;
    store.commit(&[create(key)?])?;
    per_second(commits, || {
        for segment in 0..u32::try_from(commits)? {
            store.commit(&[append(key, segment)])?;
        }
        Ok(())
    })
}

/// The rate of rows: `batch` executions per commit, three rows each; with a batch of one, the rate of commits.
fn whole_executions(store: &dyn Backend, commits: usize, batch: usize) -> Outcome<f64> {
    let per_commit = if batch == 1 { 1 } else { 3 * batch };
    per_second(commits * per_commit, || {
        for _ in 0..commits {
            let mut changes = Vec::with_capacity(3 * batch);
            for _ in 0..batch {
                let key = store.fresh_key()?;
                let progress = Box::new(Progress { error: None, steps: 1, cpu_us: 10, updated_ms: 1 });
                changes.extend([create(key)?, append(key, 0), Change::Progress(key, progress)]);
            }
            store.commit(&changes)?;
        }
        Ok(())
    })
}

fn append(key: ExecutionKey, segment: u32) -> Change {
    Change::Append { key, segment, bytes: vec![1; 256], seal: None }
}

/// The promise and the task of an execution, and what is kept beside them.
fn create(key: ExecutionKey) -> Outcome<Change> {
    let id = ExecutionId::new(format!("bench-{}", key.0))?;
    let (component, policy) = (Digest::of(b"component"), Digest::of(b"policy"));
    let invocation = Invocation { function: "count".to_owned(), args: "[]".to_owned(), component, policy, trace: None };
    let (param, tags) = (invocation.param(), invocation.tags("poll://any@default"));
    let promise = NewPromise { id: id.to_string(), timeout_at: NEVER, param, tags: tags.into() };
    let operation = Box::new(Operation::TaskCreate { pid: "bench".to_owned(), ttl: NEVER, promise });
    let then = vec![Change::Create(Box::new(NewExecution { key, id, component, policy, seed: [1; 32] }))];
    Ok(Change::Operation { now_ms: 1, operation, then })
}
