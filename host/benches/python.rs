//! Python in the sandbox, beside plain CPython in the same run. Needs what `make build` makes: the program and the Python component in
//! `target/release`. An argument selects the groups of rows whose names hold it (`-- sessions`): cold starts, packages, images, bare engine,
//! fresh sessions, cells of sessions, sessions taken up, live sessions, loops, journal.
//!
//! Both sides of a row take turns, because the speed of a machine drifts; a figure is the median. `EVERSTEP_BENCH_DIR` names the folder
//! for the file store, and for the raw syncs beside it.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use everstep::store::{PendingPromise, State};
use everstep::{Builder, Component, Everstep, ExecutionId, Handle, Patience, Policy, Run};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const POLICY: &str = r#"
version = 1
name = "bench"
[limits]
steps = "unlimited"
journal = "unlimited"
cpu = "unlimited"
wall = "unlimited"
wasm_stack = "8MiB"
[clock]
mode = "recorded"
[random]
mode = "seeded"
[[capability]]
name = "print"
[[capability]]
name = "session"
"#;

/// CPython itself and not what starts it: a version manager puts a shell script into the path that takes longer than Python.
/// `EVERSTEP_BENCH_PYTHON` names another.
const PYTHON: &str = "/usr/bin/python3";

/// The same program in both: it says itself how long it took, so that no start counts.
const LOOPS: [(&str, &str); 4] = [
    ("fib", "def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\nfib(24)"),
    (
        "json",
        "import json\nfor _ in range(200): json.loads(json.dumps([{'a': k, 'b': [k, str(k)]} for k in range(100)]))",
    ),
    (
        "regex",
        "import re\nfor _ in range(300): re.findall(r'(\\w+)@(\\w+)\\.com', 'some text with a@b.com in it ' * 50)",
    ),
    ("sort", "import random\nfor k in range(20): sorted(random.Random(k).random() for _ in range(5000))"),
];

const COLD: usize = 15;
/// Code that was compiled less than two seconds ago is checked by every start; a later one notes that it is authentic.
const SETTLED: Duration = Duration::from_millis(2_100);
const SESSIONS: usize = 25;
const CELLS: usize = 300;
const LIVE: usize = 32;
/// Cells of the sessions that another host takes up.
const TAKEN_UP: [usize; 3] = [100, 500, 1_000];
/// How long the host that has run those cells keeps the session before it leaves it.
const KEPT: Duration = Duration::from_secs(2);
const REQUESTS: usize = 50;

fn main() -> Outcome<()> {
    let release = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release");
    let (everstep, python) = (release.join("everstep"), release.join("everstep-python.wasm"));
    let dir = match std::env::var_os("EVERSTEP_BENCH_DIR") {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?,
    };
    let dir = dir.path();
    let component: Component = std::fs::read(&python)?.into();
    let bench = Bench { dir: dir.to_owned(), component, policy: Policy::parse(POLICY, Path::new("bench"))? };
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with("--")).unwrap_or_default();
    let wanted = |group: &str| group.contains(&only);
    if wanted("cold starts") {
        cold(&everstep, dir)?;
    }
    if wanted("packages") {
        packages(&everstep, dir)?;
    }
    if wanted("images") {
        images(&everstep, dir)?;
    }
    if wanted("bare engine") {
        bare(&python, dir)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        if wanted("fresh sessions") {
            bench.fresh_sessions().await?;
        }
        if wanted("cells of sessions") {
            bench.warm_cells("memory store", Everstep::local()).await?;
            bench.warm_cells("file store", Everstep::open(dir.join("cells"))).await?;
            println!("{:<48} {:>9.3} ms", "one raw sync", ms(raw_sync(dir)?));
        }
        if wanted("sessions taken up") {
            for cells in TAKEN_UP {
                bench.taken_up(cells).await?;
            }
        }
        if wanted("live sessions") {
            bench.live_sessions().await?;
        }
        if wanted("loops") {
            bench.loops().await?;
        }
        if wanted("journal") {
            bench.journal().await?;
        }
        Ok(())
    })
}

fn python() -> Command {
    Command::new(std::env::var_os("EVERSTEP_BENCH_PYTHON").unwrap_or_else(|| PYTHON.into()))
}

/// How long a command takes.
fn run(command: &mut Command, dir: &Path) -> Outcome<Duration> {
    let begun = Instant::now();
    let status = command.current_dir(dir).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if status.success() { Ok(begun.elapsed()) } else { Err(format!("{command:?}: {status}").into()) }
}

/// Fills the cache by starts with nothing to do.
fn fill_cache(start: impl Fn() -> Outcome<Duration>) -> Outcome<()> {
    start()?;
    std::thread::sleep(SETTLED);
    start().map(drop)
}

/// The cold start of a component with twenty packages imported, beside that of the plain one.
fn packages(everstep: &Path, dir: &Path) -> Outcome<()> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut build = Command::new(everstep);
    build.args(["python", "build", "-o", "twenty.wasm", "-r"]).arg(project.join("benches/packages.lock"));
    run(build.arg("--cache").arg(project.join("../target/python")), dir)?;
    let uses = "import arrow, attrs, babel, bs4, click, humanize, jinja2, lark, networkx, packaging, pyparsing, dateutil, pytz, yaml, \
                rich, six, sortedcontainers, tabulate, toolz, tqdm";
    let exec = |code: &str, more: &[&str]| {
        run(Command::new(everstep).args(["exec", "--store", "memory", "-c", code]).args(more), dir)
    };
    let twenty = ["--python", "twenty.wasm"];
    fill_cache(|| exec("1", &[]))?;
    fill_cache(|| exec("1", &twenty))?;
    let (mut plain, mut built, mut used) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..COLD {
        plain.push(exec("print(1+1)", &[])?);
        built.push(exec("print(1+1)", &twenty)?);
        used.push(exec(uses, &twenty)?);
    }
    let (plain, built, used) = (median(plain), median(built), median(used));
    println!("{:<48} {:>9.1} ms {:>6.2} x", "cold exec with twenty packages built in", ms(built), ratio(built, plain));
    println!("{:<48} {:>9.1} ms {:>6.2} x", "the same, importing all of them", ms(used), ratio(used, plain));
    Ok(())
}

/// The import of a package in a folder that is an image, by an execution that is the first one and by later ones; and what requests over that
/// package take, beside plain CPython.
fn images(everstep: &Path, dir: &Path) -> Outcome<()> {
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", "site", "requests"];
    run(python().args(pip), dir)?;
    let exec = |id: &str| {
        run(
            Command::new(everstep).args([
                "exec",
                "-c",
                "import requests",
                "--with-folder",
                "site",
                "--store",
                "images",
                "--id",
                id,
            ]),
            dir,
        )
    };
    let first = exec("first")?;
    let later = (0..5).map(|n| exec(&format!("later-{n}"))).collect::<Outcome<Vec<_>>>()?;
    println!("{:<48} {:>9.1} ms", "import requests of an image, first execution", ms(first));
    println!("{:<48} {:>9.1} ms", "the same, later executions", ms(median(later)));

    let url = format!("http://{}/", server()?);
    let policy = format!(
        "{POLICY}[network]\nallow = [\"127.0.0.1/32\"]\n[[fetch]]\nid = \"site\"\nmethods = [\"GET\"]\nurl = \"{url}**\"\n\
         [env]\nPYTHONPATH = \"/site\"\n[[files]]\nid = \"packages\"\nguest = \"/site\"\nhost = \"site\"\naccess = \"image\"\n"
    );
    std::fs::write(dir.join("requests.toml"), policy)?;
    let code = format!(
        "import requests, time\nrequests.get('{url}')\nbegun = time.perf_counter()\n\
         for _ in range({REQUESTS}): requests.get('{url}').text\nprint(time.perf_counter() - begun)"
    );
    let said = |command: &mut Command| -> Outcome<Duration> {
        let output = command.args(["-c", &code]).current_dir(dir).output()?;
        let text = String::from_utf8(output.stdout)?;
        let seconds = text.trim().parse::<f64>().map_err(|_| String::from_utf8_lossy(&output.stderr).into_owned())?;
        Ok(Duration::from_secs_f64(seconds) / u32::try_from(REQUESTS)?)
    };
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let args = ["exec", "--policy", "requests.toml", "--store", "memory"];
        ours.push(said(Command::new(everstep).args(args))?);
        plain.push(said(python().env("PYTHONPATH", dir.join("site")))?);
    }
    let (ours, plain) = (median(ours), median(plain));
    let row = format!("requests.get of a local server, python3 {:.2} ms", ms(plain));
    println!("{row:<48} {:>9.2} ms {:>6.1} x", ms(ours), ratio(ours, plain));
    Ok(())
}

/// A server that answers every request alike; it ends with the process.
fn server() -> Outcome<std::net::SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    Ok(address)
}

fn answer(mut stream: std::net::TcpStream) -> std::io::Result<()> {
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stream.try_clone()?));
    while let Some(line) = lines.next().transpose()? {
        if line.is_empty() {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")?;
        }
    }
    Ok(())
}

/// `print(1+1)` from nothing but a warm cache.
fn cold(everstep: &Path, dir: &Path) -> Outcome<()> {
    let run = |command: &mut Command| run(command, dir);
    let ours = |store: &str| run(Command::new(everstep).args(["exec", "-c", "print(1+1)", "--store", store]));
    fill_cache(|| ours("memory"))?;
    let (mut memory, mut file, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..COLD {
        memory.push(ours("memory")?);
        file.push(ours("store")?);
        plain.push(run(python().args(["-c", "print(1+1)"]))?);
    }
    let (memory, file, plain) = (median(memory), median(file), median(plain));
    let version = python().arg("--version").output()?;
    let name = format!("{} -c 'print(1+1)'", String::from_utf8(version.stdout)?.trim());
    println!("{name:<48} {:>9.1} ms", ms(plain));
    println!("{:<48} {:>9.1} ms {:>6.1} x", "cold exec, warm cache, memory store", ms(memory), ratio(memory, plain));
    println!("{:<48} {:>9.1} ms {:>6.1} x", "cold exec, warm cache, file store", ms(file), ratio(file, plain));
    Ok(())
}

/// The engine alone: no policy, no journal, no limits, no MAC; the component's code is mapped and an instance made, which does nothing.
fn bare(component: &Path, dir: &Path) -> Outcome<()> {
    let code = dir.join("python.cwasm");
    let engine = wasmtime::Engine::default();
    std::fs::write(&code, engine.precompile_component(&std::fs::read(component)?)?)?;
    let (mut load, mut instance) = (Vec::new(), Vec::new());
    for _ in 0..COLD {
        let begun = Instant::now();
        #[allow(unsafe_code, reason = "see the comment inside")]
        // SAFETY: this function has just written the file, and nobody else knows of it.
        let component = unsafe { wasmtime::component::Component::deserialize_file(&engine, &code) }?;
        let mut linker = wasmtime::component::Linker::<()>::new(&engine);
        linker.define_unknown_imports_as_traps(&component)?;
        let pre = linker.instantiate_pre(&component)?;
        load.push(begun.elapsed());
        let begun = Instant::now();
        pre.instantiate(wasmtime::Store::new(&engine, ()))?;
        instance.push(begun.elapsed());
    }
    println!("{:<48} {:>9.2} ms", "bare engine: compiled code mapped and linked", ms(median(load)));
    println!("{:<48} {:>9.2} ms", "bare engine: one instance", ms(median(instance)));
    Ok(())
}

struct Bench {
    dir: PathBuf,
    component: Component,
    policy: Policy,
}

/// A host, and what its sessions ask.
struct Desk {
    host: Everstep,
    asked: UnboundedReceiver<PendingPromise>,
}

impl Desk {
    /// The next request for a cell.
    async fn prompt(&mut self) -> Outcome<PendingPromise> {
        self.asked.recv().await.ok_or_else(|| "the host is gone".into())
    }

    async fn cell(&mut self, prompt: &PendingPromise, id: usize, code: &str) -> Outcome<PendingPromise> {
        let cell = serde_json::json!({ "id": id.to_string(), "code": code }).to_string();
        self.host.settle(&prompt.id, Ok(cell)).await?;
        self.prompt().await
    }
}

impl Bench {
    fn desk(&self, builder: Builder) -> Outcome<Desk> {
        self.desk_for(builder, Duration::from_secs(600))
    }

    /// A host that gives up a session that has waited for so long.
    fn desk_for(&self, builder: Builder, keep_warm: Duration) -> Outcome<Desk> {
        let (sender, asked) = unbounded_channel();
        let builder = builder.cache(self.dir.join("cache")).on_question(move |promise| drop(sender.send(promise)));
        Ok(Desk { host: builder.keep_warm(keep_warm).build()?, asked })
    }

    async fn session(&self, desk: &mut Desk, id: &str) -> Outcome<(Handle, PendingPromise)> {
        let run = Run::new(self.component.clone(), "session", "{}", self.policy.clone());
        let handle = desk.host.start(run.with_id(ExecutionId::new(id)?)).await?;
        Ok((handle, desk.prompt().await?))
    }

    async fn fresh_sessions(&self) -> Outcome<()> {
        let mut desk = self.desk(Everstep::local())?;
        let mut took = Vec::new();
        for n in 0..=SESSIONS {
            let begun = Instant::now();
            let (_, _) = self.session(&mut desk, &format!("s{n}")).await?;
            took.push(begun.elapsed());
        }
        // The first one compiles, or loads what is compiled.
        println!("{:<48} {:>9.2} ms", "fresh session in a warm process, memory store", ms(median(took.split_off(1))));
        Ok(())
    }

    async fn warm_cells(&self, name: &str, builder: Builder) -> Outcome<()> {
        let mut desk = self.desk(builder)?;
        let (_handle, mut prompt) = self.session(&mut desk, "s").await?;
        let mut took = Vec::new();
        for n in 0..CELLS {
            let begun = Instant::now();
            prompt = desk.cell(&prompt, n, "print(1+1)").await?;
            took.push(begun.elapsed());
        }
        println!("{:<48} {:>9.3} ms", format!("warm cell print(1+1), {name}"), ms(median(took)));
        Ok(())
    }

    /// A session with many cells, resumed by a host that has not run it: until it has asked for the next cell and rests.
    ///
    /// The host that has run the cells keeps the session as long as it is kept warm, for it lives in this process.
    async fn taken_up(&self, cells: usize) -> Outcome<()> {
        let (store, id) = (self.dir.join(format!("taken-up-{cells}")), ExecutionId::new("s")?);
        let mut desk = self.desk_for(Everstep::open(&store), KEPT)?;
        let (_handle, mut prompt) = self.session(&mut desk, id.as_str()).await?;
        for n in 0..cells {
            prompt = desk.cell(&prompt, n, &format!("x{n} = {n}\nprint(x{n})")).await?;
        }
        desk.host.leave(Duration::from_secs(60)).await?;
        let mut took = Vec::new();
        for _ in 0..5 {
            let desk = self.desk(Everstep::open(&store))?;
            // The code is loaded before: what counts is the session.
            desk.host.functions(&self.component, &self.policy).await?;
            let begun = Instant::now();
            let report = desk.host.resume(&id, Patience::None).await?.wait().await?;
            took.push(begun.elapsed());
            assert_eq!((report.state, report.replayed > cells as u64), (State::Suspended, true), "{report:?}");
        }
        println!("{:<48} {:>9.1} ms", format!("a session of {cells} cells taken up"), ms(median(took)));
        Ok(())
    }

    async fn live_sessions(&self) -> Outcome<()> {
        let mut desk = self.desk(Everstep::local())?;
        self.session(&mut desk, "first").await?;
        let before = rss()?;
        for n in 0..LIVE {
            self.session(&mut desk, &format!("s{n}")).await?;
        }
        let each = rss()?.saturating_sub(before) as f64 / LIVE as f64 / f64::from(1 << 20);
        println!("{:<48} {each:>9.1} MiB", format!("RSS per live session, of {LIVE}"));
        Ok(())
    }

    async fn loops(&self) -> Outcome<()> {
        let mut desk = self.desk(Everstep::local())?;
        let (_handle, mut prompt) = self.session(&mut desk, "s").await?;
        let mut n = 0;
        for (name, code) in LOOPS {
            let (mut ours, mut plain) = (Vec::new(), Vec::new());
            for _ in 0..5 {
                n += 1;
                let begun = Instant::now();
                prompt = desk.cell(&prompt, n, code).await?;
                ours.push(begun.elapsed());
                let timed =
                    format!("import time\nbegun = time.perf_counter()\n{code}\nprint(time.perf_counter() - begun)");
                let output = python().args(["-c", &timed]).output()?;
                plain.push(Duration::from_secs_f64(String::from_utf8(output.stdout)?.trim().parse()?));
            }
            let (ours, plain) = (median(ours), median(plain));
            let row = format!("{name}, python3 {:.1} ms", ms(plain));
            println!("{row:<48} {:>9.1} ms {:>6.1} x", ms(ours), ratio(ours, plain));
        }
        Ok(())
    }

    /// What 1,000 recorded calls add to a program that computes for about a second: its calls are taken out on the other side.
    async fn journal(&self) -> Outcome<()> {
        let program =
            |call: &str| format!("import time\nfor k in range(1000):\n    sum(j * j for j in range(6000))\n    {call}");
        let (with, without) = (program("time.time()"), program("abs(k)"));
        let mut desk = self.desk(Everstep::open(self.dir.join("journal")))?;
        let (_handle, mut prompt) = self.session(&mut desk, "s").await?;
        let (mut recorded, mut bare, mut cells) = (Vec::new(), Vec::new(), 0);
        for _ in 0..5 {
            for (took, code) in [(&mut recorded, &with), (&mut bare, &without)] {
                let begun = Instant::now();
                cells += 1;
                prompt = desk.cell(&prompt, cells, code).await?;
                took.push(begun.elapsed());
            }
        }
        let (recorded, bare) = (median(recorded), median(bare));
        let share = 100.0 * (ratio(recorded, bare) - 1.0);
        println!("{:<48} {share:>8.1} % of {:.0} ms", "1,000 recorded calls, file store", ms(bare));
        Ok(())
    }
}

fn raw_sync(dir: &Path) -> Outcome<Duration> {
    let mut file = std::fs::File::create(dir.join("raw"))?;
    let mut took = Vec::new();
    for _ in 0..CELLS {
        let begun = Instant::now();
        file.write_all(&[7; 256])?;
        file.sync_data()?;
        took.push(begun.elapsed());
    }
    Ok(median(took))
}

fn rss() -> Outcome<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split_whitespace().nth(1).ok_or("no statm")?.parse()?;
    Ok(pages * 4096)
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() / 2]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn ratio(time: Duration, to: Duration) -> f64 {
    time.as_secs_f64() / to.as_secs_f64()
}
