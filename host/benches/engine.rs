//! The speed of executions, each figure beside a raw disk sync measured in the same run.
//!
//! The raw probe appends 256 bytes to a file and syncs it (`fdatasync`), in the folder that holds the store. Rows with their own
//! probe take turns with it, because the speed of a disk drifts. `EVERSTEP_BENCH_DIR` names the folder to measure in. Arguments select
//! the rows whose name has one of them: `cargo bench --bench engine -- "external steps"`.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use everstep::capability::{Idempotent, Request};
use everstep::{Builder, Component, Everstep, ExecutionId, Policy, Run};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// As the `everstep` command has it.
#[cfg(feature = "allocator")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const POLICY: &str = r#"
version = 1
name = "bench"
[limits]
steps = "unlimited"
journal = "unlimited"
cpu = "unlimited"
wall = "unlimited"
[clock]
mode = "recorded"
[[capability]]
name = "echo"
[[capability]]
name = "nobody"
[[capability]]
name = "promise"
[[capability]]
name = "call"
"#;

/// What every row needs.
struct Bench {
    dir: PathBuf,
    component: Component,
    policy: Policy,
    /// Parts of the names of the rows to measure; empty: all of them.
    only: Vec<String>,
}

fn main() -> Outcome<()> {
    if let Some(dir) = std::env::var_os("EVERSTEP_BENCH_SUSPENDED") {
        return print_suspended(Path::new(&dir));
    }
    if let Some(dir) = std::env::var_os("EVERSTEP_BENCH_RSS") {
        return print_rss(Path::new(&dir));
    }
    let dir = match std::env::var_os("EVERSTEP_BENCH_DIR") {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?,
    };
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guests/workbench");
    let component = dir.path().join("workbench.wasm");
    everstep::guest_build::build(&guest, Some(&component))?;
    let bench = Bench {
        dir: dir.path().to_owned(),
        component: std::fs::read(component)?.into(),
        policy: Policy::parse(POLICY, &dir.path().join("policy.toml"))?,
        only: std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("{:<58} {:>14} {:>22}", "", "measured", "beside the raw sync");
    runtime.block_on(async {
        bench.internal("memory store, internal steps", Everstep::local()).await?;
        bench.internal("file store, internal steps", Everstep::open(bench.store("internal"))).await?;
        bench.external().await?;
        bench.one_step("memory store, one-step execution, p50", None).await?;
        bench.one_step("file store, one-step execution, p50", Some("one-step")).await?;
        bench.calls("memory store, child calls one after the other, each", Everstep::local()).await?;
        bench.calls("file store, child calls one after the other, each", Everstep::open(bench.store("calls"))).await?;
        bench.wide("memory store, 16 wide, one-step executions", Everstep::local(), 16).await?;
        for width in [16, 64, 256] {
            let name = format!("file store, {width} wide, one-step executions");
            bench.wide(&name, Everstep::open(bench.store(&format!("wide-{width}"))), width).await?;
        }
        for steps in [10, 1_000, 10_000] {
            bench.resume(steps).await?;
        }
        bench.wake().await?;
        bench.suspended().await?;
        bench.replay().await?;
        bench.audit("1,000 external steps, file store, with an audit log", Some("audit"), "requests").await?;
        bench.audit("1,000 external steps, memory store, with an audit log", None, "requests").await?;
        bench.audit("1,000 internal steps, file store, with an audit log", Some("audit-ticks"), "ticks").await?;
        bench.overhead().await
    })?;
    bench.rss()
}

impl Bench {
    fn wants(&self, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| row.contains(part.as_str()))
    }

    fn store(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn host(&self, builder: Builder) -> Outcome<Everstep> {
        let echo = |request: Request| async move { Ok(request.message) };
        Ok(builder.capability("echo", Idempotent(echo)).cache(self.dir.join("cache")).build()?)
    }

    fn run(&self, function: &str, args: &str) -> Run {
        Run::new(self.component.clone(), function, args, self.policy.clone())
    }

    /// Internal steps one after the other, per second: best of three, the first run warms up.
    async fn internal(&self, name: &str, builder: Builder) -> Outcome<()> {
        const STEPS: u32 = 1_000_000;
        if !self.wants(name) {
            return Ok(());
        }
        let host = self.host(builder)?;
        let mut best = Duration::MAX;
        for _ in 0..4 {
            let report = host.run(self.run("steps", &times(STEPS))).await?;
            best = best.min(report.wall);
        }
        row(name, format!("{:.0} /s", f64::from(STEPS) / best.as_secs_f64()), "");
        Ok(())
    }

    /// External steps one after the other, and the raw sync, in turns.
    async fn external(&self) -> Outcome<()> {
        const STEPS: u32 = 500;
        if !self.wants("file store, external steps") {
            return Ok(());
        }
        let host = self.host(Everstep::open(self.store("external")))?;
        let (mut steps, mut raw) = (Vec::new(), Vec::new());
        for _ in 0..7 {
            raw.push(self.raw_syncs(STEPS)?);
            let report = host.run(self.run("requests", &times(STEPS))).await?;
            steps.push(f64::from(STEPS) / report.wall.as_secs_f64());
        }
        let (steps, raw) = (median(&mut steps), median(&mut raw));
        row("file store, external steps", format!("{steps:.0} /s"), &format!("{:.2} of {raw:.0} /s", steps / raw));
        Ok(())
    }

    /// The time of an execution that makes one internal step.
    async fn one_step(&self, name: &str, store: Option<&str>) -> Outcome<()> {
        if !self.wants(name) {
            return Ok(());
        }
        let builder = store.map_or_else(Everstep::local, |name| Everstep::open(self.store(name)));
        let host = self.host(builder)?;
        let (mut times_ms, mut raw_ms) = (Vec::new(), Vec::new());
        for _ in 0..10 {
            raw_ms.push(1e3 / self.raw_syncs(100)?);
            for _ in 0..100 {
                let run = self.run("ticks", &times(1));
                let started = Instant::now();
                host.run(run).await?;
                times_ms.push(started.elapsed().as_secs_f64() * 1e3);
            }
        }
        let (time, raw) = (median(&mut times_ms), median(&mut raw_ms));
        let p99 = times_ms[times_ms.len() * 99 / 100];
        let beside = store.map(|_| format!("{raw:.3} ms: {:.1} + {:.3} ms", 1.5, (time - 1.5 * raw).max(0.0)));
        row(name, format!("{time:.3} ms, p99 {p99:.3}"), &beside.unwrap_or_default());
        Ok(())
    }

    /// The time of a call of a function that makes one internal step.
    async fn calls(&self, name: &str, builder: Builder) -> Outcome<()> {
        const CALLS: u32 = 200;
        if !self.wants(name) {
            return Ok(());
        }
        let host = self.host(builder)?;
        let (mut times_ms, mut raw_ms) = (Vec::new(), Vec::new());
        for _ in 0..7 {
            raw_ms.push(1e3 / self.raw_syncs(100)?);
            let report = host.run(self.run("calls", &times(CALLS))).await?;
            assert_eq!(report.result, Some(CALLS.to_string()), "{report:?}");
            times_ms.push(report.wall.as_secs_f64() * 1e3 / f64::from(CALLS));
        }
        let (time, raw) = (median(&mut times_ms), median(&mut raw_ms));
        row(name, format!("{time:.3} ms"), &format!("{raw:.3} ms"));
        Ok(())
    }

    /// Executions per second with so many under way at any time.
    async fn wide(&self, name: &str, builder: Builder, width: u32) -> Outcome<()> {
        if !self.wants(name) {
            return Ok(());
        }
        let each = 16_000 / width;
        let host = self.host(builder)?;
        let raw = self.raw_syncs(500)?;
        let started = Instant::now();
        let tasks: Vec<_> = (0..width)
            .map(|_| {
                let (host, run) = (host.clone(), self.run("ticks", &times(1)));
                tokio::spawn(async move {
                    for _ in 0..each {
                        host.run(run.clone().with_id(ExecutionId::random())).await?;
                    }
                    Ok::<_, std::sync::Arc<everstep::Error>>(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        let rate = f64::from(width * each) / started.elapsed().as_secs_f64();
        row(name, format!("{rate:.0} /s"), &format!("{:.1} x {raw:.0} /s", rate / raw));
        Ok(())
    }

    /// From the answer to the end of an execution that had given its instance up after so many steps, and has them to repeat.
    async fn resume(&self, steps: u32) -> Outcome<()> {
        let row_name = format!("evicted execution, {steps} steps, from answer to end, p50");
        if !self.wants(&row_name) {
            return Ok(());
        }
        let name = format!("resume-{steps}");
        let host = self.host(Everstep::open(self.store(&name)).keep_warm(Duration::ZERO))?;
        let (mut times_ms, mut raw_ms) = (Vec::new(), Vec::new());
        for _ in 0..20 {
            raw_ms.push(1e3 / self.raw_syncs(50)?);
            let handle = host.start(self.run("ticks_then_wait", &times(steps))).await?;
            while host.reader().execution(handle.id()).await?.state != everstep::store::State::Suspended {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let promise = handle.id().promise(u64::from(steps));
            let started = Instant::now();
            host.settle(&promise, Ok("1".into())).await?;
            handle.wait().await?;
            times_ms.push(started.elapsed().as_secs_f64() * 1e3);
        }
        let (time, raw) = (median(&mut times_ms), median(&mut raw_ms));
        row(&row_name, format!("{time:.2} ms"), &format!("{raw:.3} ms"));
        Ok(())
    }

    /// From the answer to the guest's next step, and until that leaves the host, with the instance kept warm.
    async fn wake(&self) -> Outcome<()> {
        let names =
            ["warm execution, from answer to its next step, p50", "... until that, a request, leaves the host, p50"];
        if !self.wants(names[0]) {
            return Ok(());
        }
        let (woken, wakes) = std::sync::mpsc::channel();
        let echo = move |request: Request| {
            // The bench reads it until it is over.
            let _ = woken.send(Instant::now());
            async move { Ok(request.message) }
        };
        let host = Everstep::open(self.store("wake")).capability("echo", Idempotent(echo));
        let host = host.cache(self.dir.join("cache")).build()?;
        let (mut steps_ms, mut requests_ms, mut raw_ms) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..100 {
            raw_ms.push(1e3 / self.raw_syncs(20)?);
            let handle = host.start(self.run("waits_then_requests", "null")).await?;
            let promise = handle.id().promise(0);
            while host.reader().promises().await?.is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let (watched, id) = (host.clone(), handle.id().clone());
            // Nobody else learns of a step before it is durable.
            let step = std::thread::spawn(move || {
                while watched.steps_so_far(&id) == Some(1) {}
                Instant::now()
            });
            let started = Instant::now();
            host.settle(&promise, Ok("1".into())).await?;
            handle.wait().await?;
            let step = step.join().map_err(|_| "the watcher panicked")?;
            steps_ms.push(step.duration_since(started).as_secs_f64() * 1e3);
            requests_ms.push(wakes.recv()?.duration_since(started).as_secs_f64() * 1e3);
        }
        let raw = median(&mut raw_ms);
        // A request waits for a barrier of its own, one sync behind the one that makes the answer durable.
        for (name, syncs, mut times_ms) in [(names[0], 1.0, steps_ms), (names[1], 2.0, requests_ms)] {
            let time = median(&mut times_ms);
            row(name, format!("{time:.3} ms"), &format!("{raw:.3} ms: {syncs} + {:.3} ms", time - syncs * raw));
        }
        Ok(())
    }

    /// What a store with 100,000 suspended executions costs: bytes on disk, time to start, memory.
    async fn suspended(&self) -> Outcome<()> {
        const COUNT: u32 = 100_000;
        if !self.wants("suspended execution, on disk") {
            return Ok(());
        }
        let dir = self.store("suspended");
        {
            let host = self.host(Everstep::open(&dir).keep_warm(Duration::ZERO))?;
            let tasks: Vec<_> = (0..64)
                .map(|_| {
                    let (host, run) = (host.clone(), self.run("ticks_then_wait", &times(1)).without_waiting());
                    tokio::spawn(async move {
                        for _ in 0..COUNT / 64 + 1 {
                            host.run(run.clone().with_id(ExecutionId::random())).await?;
                        }
                        Ok::<_, std::sync::Arc<everstep::Error>>(())
                    })
                })
                .collect();
            for task in tasks {
                task.await??;
            }
        }
        let bytes = std::fs::metadata(dir.join("store.db"))?.len();
        let each = bytes as f64 / f64::from(COUNT);
        row("suspended execution, on disk", format!("{each:.0} bytes"), "");
        let child =
            std::process::Command::new(std::env::current_exe()?).env("EVERSTEP_BENCH_SUSPENDED", &self.dir).output()?;
        row("host with 100,000 suspended: start; RSS", String::from_utf8(child.stdout)?.trim().to_owned(), "");
        Ok(())
    }

    /// Steps per second taken from the journal of an execution that suspended after a million of them.
    async fn replay(&self) -> Outcome<()> {
        const STEPS: u32 = 1_000_000;
        if !self.wants("file store, replay") {
            return Ok(());
        }
        let host = self.host(Everstep::open(self.store("replay")))?;
        let run = self.run("ticks_then_wait", &times(STEPS)).without_waiting();
        let id = run.id.clone();
        host.run(run).await?;
        let mut best = Duration::MAX;
        for _ in 0..3 {
            let report = host.resume(&id, everstep::Patience::None).await?.wait().await?;
            assert_eq!(report.replayed, u64::from(STEPS) + 1, "{report:?}");
            best = best.min(report.wall);
        }
        row("file store, replay", format!("{:.0} /s", f64::from(STEPS) / best.as_secs_f64()), "");
        Ok(())
    }

    /// A run of 1,000 calls with an audit log, and without one, in turns.
    async fn audit(&self, name: &str, store: Option<&str>, function: &str) -> Outcome<()> {
        const CALLS: u32 = 1_000;
        if !self.wants(name) {
            return Ok(());
        }
        let host = self.host(store.map_or_else(Everstep::local, |name| Everstep::open(self.store(name))))?;
        let audited = format!("{POLICY}[audit]\nfile = \"audit.jsonl\"\n");
        let audited = Policy::parse(&audited, &self.dir.join("policy.toml"))?;
        let (mut with_ms, mut without_ms) = (Vec::new(), Vec::new());
        for _ in 0..50 {
            let run = self.run(function, &times(CALLS));
            without_ms.push(host.run(run.clone().with_id(ExecutionId::random())).await?.wall.as_secs_f64() * 1e3);
            let run = Run { policy: audited.clone(), ..run }.with_id(ExecutionId::random());
            with_ms.push(host.run(run).await?.wall.as_secs_f64() * 1e3);
        }
        let (with, without) = (median(&mut with_ms), median(&mut without_ms));
        let (slower, line) = ((with / without - 1.0) * 100.0, (with - without) * 1e3 / f64::from(CALLS));
        row(name, format!("{with:.2} ms"), &format!("{slower:+.1} % on {without:.2} ms, {line:.1} us a line"));
        Ok(())
    }

    /// A run that computes for about 10 ms and makes 20 calls: on the file store, and with a store that keeps nothing.
    async fn overhead(&self) -> Outcome<()> {
        if !self.wants("10 ms of computing and 20 calls, file store") {
            return Ok(());
        }
        let with = self.host(Everstep::open(self.store("overhead")))?;
        let without = self.host(Everstep::over(std::sync::Arc::new(nothing::Nothing)))?;
        let args = r#"{"rounds": 9000000, "calls": 20}"#;
        let (mut with_ms, mut without_ms, mut sync_ms) = (Vec::new(), Vec::new(), Vec::new());
        let mut raw = File::create(self.dir.join("raw"))?;
        for _ in 0..100 {
            with_ms.push(with.run(self.run("work", args)).await?.wall.as_secs_f64() * 1e3);
            without_ms.push(without.run(self.run("work", args)).await?.wall.as_secs_f64() * 1e3);
            sync_ms.push(1e3 / append_and_sync(&mut raw, 1)?);
        }
        let (with, without, sync) = (median(&mut with_ms), median(&mut without_ms), median(&mut sync_ms));
        let slower = (with / without - 1.0) * 100.0;
        let beside = format!("{slower:+.1} % on {without:.2} ms, one sync is {:.1} %", sync / without * 100.0);
        row("10 ms of computing and 20 calls, file store", format!("{with:.2} ms"), &beside);
        Ok(())
    }

    /// Resident memory of a process that has loaded one component and run it once.
    fn rss(&self) -> Outcome<()> {
        if !self.wants("RSS of a host with one component loaded and run") {
            return Ok(());
        }
        let child =
            std::process::Command::new(std::env::current_exe()?).env("EVERSTEP_BENCH_RSS", &self.dir).output()?;
        row("RSS of a host with one component loaded and run", String::from_utf8(child.stdout)?.trim().to_owned(), "");
        Ok(())
    }

    /// 256-byte appends, each synced, per second.
    fn raw_syncs(&self, count: u32) -> Outcome<f64> {
        append_and_sync(&mut File::create(self.dir.join("raw"))?, count)
    }
}

fn append_and_sync(file: &mut File, count: u32) -> Outcome<f64> {
    let started = Instant::now();
    for _ in 0..count {
        file.write_all(&[7; 256])?;
        file.sync_data()?;
    }
    Ok(f64::from(count) / started.elapsed().as_secs_f64())
}

/// Starts a host over the store of suspended executions, answers one of them, and prints how long the start took and what the process
/// holds in memory then.
fn print_suspended(dir: &Path) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let started = Instant::now();
        let host = Everstep::open(dir.join("suspended")).cache(dir.join("cache")).build()?;
        let start_ms = started.elapsed().as_secs_f64() * 1e3;
        tokio::time::sleep(Duration::from_millis(500)).await;
        println!("{start_ms:.1} ms; {:.1} MB", resident_mb()?);
        drop(host);
        Ok(())
    })
}

fn resident_mb() -> Outcome<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kib: f64 = resident.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024.0 / 1e6)
}

/// Runs one execution from the cache in a process of its own and prints what that process holds in memory.
fn print_rss(dir: &Path) -> Outcome<()> {
    let bench = Bench {
        dir: dir.to_owned(),
        component: std::fs::read(dir.join("workbench.wasm"))?.into(),
        policy: Policy::parse(POLICY, &dir.join("policy.toml"))?,
        only: Vec::new(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let host = bench.host(Everstep::open(bench.store("rss")))?;
        host.run(bench.run("ticks", &times(10))).await?;
        println!("{:.1} MB", resident_mb()?);
        Ok(())
    })
}

/// A store that keeps nothing: what is left is the cost without a journal.
mod nothing {
    use everstep::id::{Digest, ExecutionId};
    use everstep::store::operation::{NewPromise, Operation, Reply};
    use everstep::store::record::{Lease, Promise, PromiseState, Schedule, Task, TaskState, Value};
    use everstep::store::{
        Applied, Backend, Change, Error, Execution, ExecutionKey, Lineage, PendingPromise, SealedJournal,
    };

    pub(super) struct Nothing;

    /// What each operation of a change comes to.
    fn answers(change: &Change) -> Vec<Applied> {
        let done = |reply| Applied { answer: Ok(reply), events: Vec::new() };
        match change {
            Change::Operation { operation, .. } => vec![done(match &**operation {
                Operation::TaskCreate { pid, ttl, promise } => claimed(pid, *ttl, promise),
                _ => Reply::Done,
            })],
            Change::Fenced { changes, .. } => {
                [done(Reply::Done)].into_iter().chain(changes.iter().flat_map(answers)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn claimed(pid: &str, ttl: u64, new: &NewPromise) -> Reply {
        let NewPromise { id, timeout_at, param, tags } = new.clone();
        let lease = Some(Lease { pid: pid.to_owned(), ttl, expires_at: ttl });
        let task = Task { id: id.clone(), state: TaskState::Acquired, version: 1, resumes: 0, lease };
        let (state, value) = (PromiseState::Pending, Value::default());
        let promise = Promise { id, state, param, value, tags, timeout_at, created_at: 1, settled_at: None };
        Reply::Claimed { task, promise, preload: Vec::new() }
    }

    impl Backend for Nothing {
        fn commit(&self, changes: &[Change]) -> Result<Vec<Applied>, Error> {
            Ok(changes.iter().flat_map(answers).collect())
        }
        fn holds(&self, _: &str, _: u64) -> Result<bool, Error> {
            Ok(true)
        }
        fn fresh_key(&self) -> Result<ExecutionKey, Error> {
            Ok(ExecutionKey(1))
        }
        fn execution(&self, _: &ExecutionId) -> Result<Option<Execution>, Error> {
            Ok(None)
        }
        fn executions(&self) -> Result<Vec<Execution>, Error> {
            Ok(Vec::new())
        }
        fn halted_below(&self, _: &ExecutionId) -> Result<Vec<Execution>, Error> {
            Ok(Vec::new())
        }
        fn journal(&self, _: ExecutionKey) -> Result<(Vec<u8>, u32), Error> {
            Ok((Vec::new(), 0))
        }
        fn promises(&self) -> Result<Vec<PendingPromise>, Error> {
            Ok(Vec::new())
        }
        fn promise(&self, _: &str) -> Result<Option<(Promise, Option<Task>)>, Error> {
            Ok(None)
        }
        fn offers(&self) -> Result<Vec<String>, Error> {
            Ok(Vec::new())
        }
        fn lineage(&self, _: &ExecutionId) -> Result<Lineage, Error> {
            Ok(Lineage::default())
        }
        fn held(&self) -> Result<Vec<(String, u64)>, Error> {
            Ok(Vec::new())
        }
        fn schedules(&self) -> Result<Vec<Schedule>, Error> {
            Ok(Vec::new())
        }
        fn next_due(&self) -> Result<Option<u64>, Error> {
            Ok(None)
        }
        fn blob(&self, _: &Digest) -> Result<Option<bytes::Bytes>, Error> {
            Ok(None)
        }

        fn has_blob(&self, _: &Digest) -> Result<bool, Error> {
            Ok(false)
        }
        fn sealed_journal(&self, _: ExecutionKey) -> Result<SealedJournal, Error> {
            Ok(SealedJournal::default())
        }

        fn secret(&self) -> Option<[u8; 32]> {
            Some([0; 32])
        }

        fn survives_the_process(&self) -> bool {
            false
        }
    }
}

fn times(times: u32) -> String {
    format!(r#"{{"times": {times}}}"#)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn row(name: &str, measured: String, beside: &str) {
    println!("{name:<58} {measured:>14} {beside:>22}");
}
