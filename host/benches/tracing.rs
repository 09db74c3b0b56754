//! What the log and traces cost: the same steps in a process that tells nothing, one that logs into a file, and one whose spans a
//! collector receives, in turns.
//!
//! Each mode is a process of its own, because a process traces or does not. The collector is a thread of the bench that reads requests and
//! throws them away. Arguments select the rows whose name has one of them. `EVERSTEP_BENCH_DIR` names the folder to measure in.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use everstep::capability::{Idempotent, Request};
use everstep::telemetry;
use everstep::{Component, Everstep, Policy, Run};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// As the `everstep` command has it.
#[cfg(feature = "allocator")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The mode of a process, and the folder that it measures in.
const MODE: &str = "EVERSTEP_BENCH_MODE";
const FOLDER: &str = "EVERSTEP_BENCH_FOLDER";

const MODES: [&str; 5] = ["off", "off again", "log at info", "log at debug", "collector"];
/// What is measured: the store, the function, and the steps of a round: 100,000 in all rounds, 10,000 where each waits for the disk.
const ROWS: [(&str, &str, &str, u32); 3] = [
    ("internal steps, memory store", "memory", "ticks", 10_000),
    ("external steps, memory store", "memory", "requests", 10_000),
    ("external steps, file store", "file", "requests", 1_000),
];
const ROUNDS: usize = 10;

/// Bytes that the collector has received.
static RECEIVED: AtomicUsize = AtomicUsize::new(0);

const POLICY: &str = r#"
version = 1
[limits]
steps = "unlimited"
journal = "unlimited"
cpu = "unlimited"
wall = "unlimited"
[clock]
mode = "recorded"
[[capability]]
name = "echo"
"#;

fn main() -> Outcome<()> {
    if let (Ok(mode), Ok(folder)) = (std::env::var(MODE), std::env::var(FOLDER)) {
        return measured(&mode, Path::new(&folder));
    }
    let only: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let dir = match std::env::var_os("EVERSTEP_BENCH_DIR") {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?,
    };
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guests/workbench");
    everstep::guest_build::build(&guest, Some(&dir.path().join("workbench.wasm")))?;
    let collector = TcpListener::bind("127.0.0.1:0")?;
    let endpoint = format!("http://{}", collector.local_addr()?);
    std::thread::spawn(move || collector.incoming().flatten().for_each(|client| drop(collect(client))));
    let mut processes = Vec::new();
    for mode in MODES {
        processes.push(Measured::start(mode, &dir.path().join(mode.replace(' ', "-")), dir.path(), &endpoint)?);
    }
    println!("{:<34}{}", "steps per second, of those of off", MODES.map(|mode| format!("{mode:>18}")).concat());
    for (row, (name, ..)) in ROWS.iter().enumerate() {
        if !only.is_empty() && !only.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        let mut rates = vec![Vec::new(); MODES.len()];
        for _ in 0..ROUNDS {
            for (process, rates) in processes.iter_mut().zip(&mut rates) {
                rates.push(process.round(row)?);
            }
        }
        let rates: Vec<f64> = rates.iter_mut().map(|rates| median(rates)).collect();
        let shown = rates.iter().map(|rate| format!("{rate:>11.0} {:>5.1}%", 100.0 * rate / rates[0]));
        println!("{name:<34}{}", shown.collect::<String>());
    }
    drop(processes);
    println!("the collector received {} bytes", RECEIVED.load(Ordering::Relaxed));
    Ok(())
}

/// A process in one mode.
struct Measured {
    child: Child,
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Measured {
    fn start(mode: &str, folder: &Path, dir: &Path, endpoint: &str) -> Outcome<Self> {
        std::fs::create_dir(folder)?;
        std::fs::copy(dir.join("workbench.wasm"), folder.join("workbench.wasm"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.env(MODE, mode).env(FOLDER, folder).env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
        if mode == "collector" {
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (asks, answers) = (child.stdin.take(), child.stdout.take().ok_or("no standard output")?);
        Ok(Self { child, asks, answers: BufReader::new(answers) })
    }

    /// The steps per second of one round.
    fn round(&mut self, row: usize) -> Outcome<f64> {
        writeln!(self.asks.as_mut().ok_or("no standard input")?, "{row}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().parse()?)
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        // Its input ends, and so does it.
        self.asks = None;
        let _ = self.child.wait();
    }
}

/// The life of such a process: each line names a row, whose rate it prints.
fn measured(mode: &str, folder: &Path) -> Outcome<()> {
    let export = start(mode, folder)?;
    let component: Component = std::fs::read(folder.join("workbench.wasm"))?.into();
    let policy = Policy::parse(POLICY, &folder.join("policy.toml"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let hosts = runtime.block_on(async {
        [Everstep::local(), Everstep::open(folder.join("store"))].map(|builder| {
            let echo = |request: Request| async move { Ok(request.message) };
            builder.capability("echo", Idempotent(echo)).cache(folder.join("cache")).build()
        })
    });
    let [memory, file] = hosts;
    let (memory, file) = (memory?, file?);
    for line in std::io::stdin().lines() {
        let (_, store, function, steps) = ROWS[line?.parse::<usize>()?];
        let host = if store == "file" { &file } else { &memory };
        let run = Run::new(component.clone(), function, format!(r#"{{"times": {steps}}}"#), policy.clone());
        let began = Instant::now();
        let report = runtime.block_on(host.run(run))?;
        assert!(report.result.is_some(), "{report:?}");
        println!("{}", f64::from(steps) / began.elapsed().as_secs_f64());
    }
    export.into_iter().for_each(|export| export.finish(std::time::Duration::from_secs(3)));
    Ok(())
}

/// Sets up the log and the export, as the `everstep` command does.
fn start(mode: &str, folder: &Path) -> Outcome<Option<telemetry::Export>> {
    let (level, spans) = match mode {
        "log at info" => (LevelFilter::INFO, FmtSpan::NONE),
        "log at debug" => (LevelFilter::DEBUG, FmtSpan::CLOSE),
        _ => (LevelFilter::WARN, FmtSpan::NONE),
    };
    let with_spans = level >= LevelFilter::DEBUG;
    let shown = filter_fn(move |metadata| *metadata.level() <= level && (with_spans || metadata.is_event()));
    let shown = shown.with_max_level_hint(level);
    let lines = fmt::layer().json().flatten_event(true).with_span_list(false).with_span_events(spans);
    let lines = lines.with_writer(File::create(folder.join("log"))?).with_filter(shown);
    let (export, _) = telemetry::from_env();
    tracing_subscriber::registry().with(lines).init();
    Ok(export)
}

/// Takes requests of one client, and answers each.
fn collect(client: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(client);
    loop {
        let (mut length, mut line) = (0, String::new());
        while reader.read_line(&mut line)? > 2 {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            line.clear();
        }
        if line.is_empty() {
            return Ok(());
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        RECEIVED.fetch_add(length, Ordering::Relaxed);
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
