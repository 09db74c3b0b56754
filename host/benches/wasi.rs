//! Files of programs, next to the bare engine in the same run: the same component with `wasmtime-wasi` and a preopened folder, which is
//! what the `wasmtime` command does. Needs `target/programs/sqlite3.wasm`, which `scripts/programs.sh` makes, for the rows of SQLite.
//!
//! Both sides take turns, because the speed of a machine drifts; a figure is the median, and counts the instance. The bare engine syncs
//! nothing, so writes stand beside a loop of this process that syncs each file once. `EVERSTEP_BENCH_DIR` names the folder;
//! `-- TEXT` runs the rows whose names hold it.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use everstep::{Builder, Component, Everstep, ExecutionId, PROGRAM, Policy, Run};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[path = "shared/bare.rs"]
mod bare;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const TURNS: usize = 3;
/// Files of the two rows of many.
const MANY: usize = 10_000;
const OPENED: usize = 1_000;
const LARGE: usize = 100 << 20;
const BLOCK: usize = 64 << 10;

const POLICY: &str = r#"
version = 1
name = "bench"
[limits]
steps = "unlimited"
journal = "unlimited"
cpu = "unlimited"
wall = "unlimited"
memory = "1GiB"
bytes_per_call = "1GiB"
[clock]
mode = "recorded"
[random]
mode = "seeded"
[env]
HOME = "/"
[[capability]]
name = "print"
[[files]]
id = "data"
guest = "/data"
host = "data"
access = "write"
max_file = "1GiB"
max_written = "100GiB"
max_files = 1000000
"#;

/// What a row grants that reads an image, beside the rest.
const IMAGE: &str = r#"
[[files]]
id = "image"
guest = "/image"
host = "image"
access = "image"
"#;

/// A program and its arguments.
struct Row {
    name: &'static str,
    program: &'static str,
    args: Vec<String>,
    /// Files that it writes, each of so many bytes.
    writes: Option<(usize, usize)>,
}

fn rows() -> Vec<Row> {
    let row = |name, program, args: &[&str], writes| {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Row { name, program, args, writes }
    };
    let (many, blocks) = (MANY.to_string(), (LARGE / BLOCK).to_string());
    vec![
        row("open, read, close of 1,000 files of 4 KiB", "transfer", &["read-each", "/data/pages", "1000"], None),
        row("the same of an image, not recorded", "transfer", &["read-each", "/image", "1000"], None),
        row("100 MiB read in a row", "transfer", &["read", "/data/large"], None),
        row("10,000 files of 100 bytes read", "transfer", &["read-each", "/data/small", &many], None),
        row("100 MiB written in a row", "transfer", &["write", "/data/out/large", &blocks], Some((1, LARGE))),
        row(
            "10,000 files of 100 bytes written",
            "transfer",
            &["write-each", "/data/out", &many, "100"],
            Some((MANY, 100)),
        ),
        row(
            "SQLite: 10,000 inserts in one transaction",
            "sqlite3",
            &["/data/out/all.db", ".read /data/script.sql"],
            None,
        ),
    ]
}

fn main() -> Outcome<()> {
    let dir = match std::env::var_os("EVERSTEP_BENCH_DIR") {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?,
    };
    prepare(dir.path())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let bench = Bench::new(dir.path())?;
    println!("{:<44} {:>10} {:>20} {:>20} {:>16}", "", "bare", "memory store", "file store", "a sync each");
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with("--")).unwrap_or_default();
    for row in rows().into_iter().filter(|row| row.name.contains(&wanted)) {
        match bench.component(row.program)? {
            Some(bytes) => bench.row(&runtime, &row, &bytes)?,
            None => println!("{:<44} {} is missing: scripts/programs.sh", row.name, row.program),
        }
    }
    Ok(())
}

/// What the programs read.
fn prepare(dir: &Path) -> Outcome<()> {
    for (folder, files, size) in [("data/pages", OPENED, 4096), ("image", OPENED, 4096), ("data/small", MANY, 100)] {
        fs::create_dir_all(dir.join(folder))?;
        for file in 0..files {
            fs::write(dir.join(folder).join(file.to_string()), vec![b'x'; size])?;
        }
    }
    let data = dir.join("data");
    fs::write(data.join("large"), vec![b'x'; LARGE])?;
    let inserts: String = (0..10_000).map(|row| format!("insert into t values({row}, 'row {row}');\n")).collect();
    fs::write(
        data.join("script.sql"),
        format!("create table t(id integer primary key, name text);\nbegin;\n{inserts}commit;\n"),
    )?;
    Ok(())
}

struct Bench {
    dir: PathBuf,
    policy: Policy,
    /// The same with the image.
    with_image: Policy,
    bare: bare::Engine,
}

impl Bench {
    fn new(dir: &Path) -> Outcome<Self> {
        let policy = |more: &str| Policy::parse(&format!("{POLICY}{more}"), &dir.join("policy.toml"));
        let (policy, with_image) = (policy("")?, policy(IMAGE)?);
        Ok(Self { dir: dir.to_owned(), policy, with_image, bare: bare::Engine::new()? })
    }

    /// The bytes of a program; nothing if it has to be installed first.
    fn component(&self, program: &str) -> Outcome<Option<Vec<u8>>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        if program == "transfer" {
            let built = self.dir.join("transfer.wasm");
            everstep::guest_build::build(&root.join("tests/guests/transfer"), Some(&built))?;
            return Ok(Some(fs::read(built)?));
        }
        let installed = root.join("target/programs").join(format!("{program}.wasm"));
        Ok(installed.is_file().then(|| fs::read(installed)).transpose()?)
    }

    /// Milliseconds of a row, on all sides.
    fn row(&self, runtime: &tokio::runtime::Runtime, row: &Row, bytes: &[u8]) -> Outcome<()> {
        let program = self.bare.compile(bytes)?;
        let component = Component::from(bytes.to_vec());
        let stores = [Everstep::local(), Everstep::open(self.dir.join("store"))];
        let hosts: Vec<_> = stores
            .into_iter()
            .map(|builder: Builder| builder.cache(self.dir.join("cache")).build())
            .collect::<Result<_, _>>()?;
        let mut took = [const { Vec::new() }; 4];
        for _ in 0..=TURNS {
            took[0].push(self.timed(|| self.bare(&program, row))?);
            for (host, took) in hosts.iter().zip(&mut took[1..]) {
                took.push(self.timed(|| runtime.block_on(self.run(host, &component, row)))?);
            }
            if let Some((files, size)) = row.writes {
                took[3].push(self.timed(|| self.synced(files, size))?);
            }
        }
        // The first turn compiles, and fills the caches of the system.
        let [bare, memory, file, synced] = took.map(|mut took| median(&mut took.split_off(took.len().min(1))));
        let beside = |took: f64| format!("{took:.0} ms, {:.2} x", took / bare);
        let synced = if row.writes.is_some() { format!("{synced:.0} ms") } else { String::new() };
        println!(
            "{:<44} {:>10} {:>20} {:>20} {synced:>16}",
            row.name,
            format!("{bare:.0} ms"),
            beside(memory),
            beside(file)
        );
        Ok(())
    }

    /// Milliseconds; what the program writes begins as an empty folder.
    fn timed(&self, work: impl FnOnce() -> Outcome<()>) -> Outcome<f64> {
        let out = self.dir.join("data/out");
        let _ = fs::remove_dir_all(&out);
        fs::create_dir(&out)?;
        let started = Instant::now();
        work()?;
        Ok(started.elapsed().as_secs_f64() * 1e3)
    }

    fn bare(&self, program: &bare::Program, row: &Row) -> Outcome<()> {
        let argv = [row.program].into_iter().chain(row.args.iter().map(String::as_str));
        self.bare.run(program, argv, &[("/data", &self.dir.join("data")), ("/image", &self.dir.join("image"))])
    }

    async fn run(&self, host: &Everstep, component: &Component, row: &Row) -> Outcome<()> {
        let argv: Vec<&str> = [row.program].into_iter().chain(row.args.iter().map(String::as_str)).collect();
        let policy = if row.args.iter().any(|arg| arg == "/image") { &self.with_image } else { &self.policy };
        let run = Run::new(component.clone(), PROGRAM, serde_json::to_string(&argv)?, policy.clone());
        let report = host.run(run.with_id(ExecutionId::random())).await?;
        if report.result.is_none() { Err(format!("{report:?}").into()) } else { Ok(()) }
    }

    /// Writes so many files and syncs each.
    fn synced(&self, files: usize, size: usize) -> Outcome<()> {
        let content = vec![b'x'; size];
        for file in 0..files {
            let mut file = File::create(self.dir.join("data/out").join(file.to_string()))?;
            file.write_all(&content)?;
            file.sync_data()?;
        }
        Ok(())
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
