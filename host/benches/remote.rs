//! Executions on a server, over HTTP to `everstep serve` with a file store, or to the server that `RESONATE_URL` names.
//!
//! `EVERSTEP_BENCH_SDK` names the program of `tests/sdk/rust`, whose loop of local steps on the same server is what ours are set beside.
//! `EVERSTEP_BENCH_DIR` names the folder of the store.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use everstep::{Component, Everstep, ExecutionId, Policy, Run, Scope, Server};
use everstep_resonate::client::{Client, Http, Options};
use everstep_store::operation::{NewPromise, Operation, Reply};
use everstep_store::record::{NEVER, Promise, PromiseState, TaskState, Value};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// As the `everstep` command has it.
#[cfg(feature = "allocator")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const POLICY: &str = r#"
version = 1
name = "bench"
[limits]
steps = "unlimited"
journal = "unlimited"
[clock]
mode = "recorded"
[network]
block = ["non-global"]
allow = ["127.0.0.1/32"]
[[fetch]]
id = "site"
url = "http://127.0.0.1:PORT/**"
methods = ["GET"]
"#;

const ROUNDS: usize = 3;
/// Steps of the loop of the SDK, and of ours beside it.
const STEPS: u64 = 400;
const MANY: u64 = 100_000;
/// One-step executions in a round, and how many of them are under way at once.
const EXECUTIONS: usize = 400;
const WIDTH: usize = 64;
/// Barriers of an execution that is taken over.
const BARRIERS: usize = 1_000;
/// How long an idle worker is left alone, and then watched.
const SETTLE: Duration = Duration::from_secs(20);
const IDLE: Duration = Duration::from_secs(30);

fn main() -> Outcome<()> {
    let dir = match std::env::var_os("EVERSTEP_BENCH_DIR") {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?,
    };
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guests/workbench");
    let component = dir.path().join("workbench.wasm");
    everstep::guest_build::build(&guest, Some(&component))?;
    let site = Site::start()?;
    let policy = POLICY.replace("PORT", &site.address.port().to_string());
    let policy = Policy::parse(&policy, &dir.path().join("policy.toml"))?;
    let served = Served::start(dir.path())?;
    let bench = Bench { dir: dir.path().to_owned(), component, policy, site, url: served.url.clone() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        bench.steps().await?;
        bench.one_step().await?;
        bench.takeover().await?;
        bench.idle().await
    })
}

struct Bench {
    dir: PathBuf,
    component: PathBuf,
    policy: Policy,
    site: Site,
    url: String,
}

impl Bench {
    /// A host that runs what it starts, or nothing.
    async fn host(&self, scope: Scope) -> Outcome<Everstep> {
        let server = Server::connect(&self.url, None).await?;
        Ok(Everstep::at(server).scope(scope).cache(self.dir.join("cache")).component(self.bytes()?).build()?)
    }

    fn bytes(&self) -> Outcome<Component> {
        Ok(std::fs::read(&self.component)?.into())
    }

    fn run(&self, function: &str, args: String) -> Outcome<Run> {
        Ok(Run::new(self.bytes()?, function, args, self.policy.clone()))
    }

    async fn client(&self) -> Outcome<Client> {
        Ok(Client::connect(Arc::new(Http::new(&self.url, None)?), Options::default()).await?)
    }

    fn worker(&self, url: &str, more: &[&str]) -> Outcome<Process> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_everstep"));
        command.arg("worker").arg(&self.component).args(["--remote", url]).args(more);
        command.arg("--cache").arg(self.dir.join("cache"));
        Process::start(command, "worker of group")
    }

    /// Internal steps per second.
    async fn steps(&self) -> Outcome<()> {
        let host = self.host(Scope::Started).await?;
        let timed = async |steps: u64| {
            let begun = Instant::now();
            host.run(self.run("steps", format!("{{\"times\":{steps}}}"))?).await?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(per_second(steps, begun.elapsed()))
        };
        timed(1).await?;
        let sdk = match std::env::var_os("EVERSTEP_BENCH_SDK") {
            Some(program) => Some(Sdk::start(Path::new(&program), &self.url, &self.dir, self.client().await?)?),
            None => None,
        };
        let (mut few, mut many, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            few.push(timed(STEPS).await?);
            many.push(timed(MANY).await?);
            if let Some(sdk) = &sdk {
                theirs.push(sdk.steps(round).await?);
            }
        }
        let beside = sdk.map(|_| median(&mut theirs));
        for (steps, rates) in [(STEPS, &mut few), (MANY, &mut many)] {
            let rate = median(rates);
            let ratio = beside.map_or("not measured".to_owned(), |theirs| format!("{:.0} x", rate / theirs));
            println!("internal steps per second, {steps} in one execution {rate:>12.0} {ratio:>14}");
        }
        if let Some(theirs) = beside {
            println!("local steps of the SDK for Rust, {STEPS} in one       {theirs:>12.0}");
        }
        Ok(())
    }

    /// One-step executions per second, by so many workers.
    async fn one_step(&self) -> Outcome<()> {
        let host = self.host(Scope::Nothing).await?;
        let mut alone = None;
        for workers in [1, 2, 4] {
            let working = (0..workers).map(|_| self.worker(&self.url, &[])).collect::<Outcome<Vec<_>>>()?;
            let mut rates = Vec::new();
            for _ in 0..ROUNDS {
                let (begun, room) = (Instant::now(), Arc::new(Semaphore::new(WIDTH)));
                let mut all = Vec::new();
                for _ in 0..EXECUTIONS {
                    let (host, run) = (host.clone(), self.run("ticks", "{\"times\":1}".to_owned())?);
                    let permit = Arc::clone(&room).acquire_owned().await?;
                    all.push(tokio::spawn(async move {
                        let _permit = permit;
                        let handle = host.submit(run).await?;
                        handle.wait().await?;
                        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
                    }));
                }
                for one in all {
                    one.await??;
                }
                rates.push(per_second(EXECUTIONS as u64, begun.elapsed()));
            }
            drop(working);
            let rate = median(&mut rates);
            let ratio = rate / *alone.get_or_insert(rate);
            println!("one-step executions per second, {workers} workers         {rate:>12.0} {ratio:>12.2} x");
        }
        Ok(())
    }

    /// From the end of the lease of a worker that was killed until another one has repeated all barriers and does the next effect.
    async fn takeover(&self) -> Outcome<()> {
        let (client, mut times) = (self.client().await?, Vec::new());
        for _ in 0..ROUNDS {
            self.site.hold_after(BARRIERS);
            let more = ["--lease", "1s", "--group", "takeover"];
            let first = self.worker(&self.url, &more)?;
            let url = format!("http://{}/page", self.site.address);
            let args = format!("{{\"url\":\"{url}\",\"times\":{},\"width\":1}}", BARRIERS + 1);
            let id = ExecutionId::random();
            let run = self.run("fetches", args)?.with_id(id.clone());
            let server = Server::connect(&self.url, None).await?;
            let desk = Everstep::at(server).scope(Scope::Nothing).group("takeover").build()?;
            let handle = desk.submit(run).await?;
            // The one that is killed has it.
            self.site.until(1).await;
            let _second = self.worker(&self.url, &more)?;
            self.site.until(BARRIERS + 1).await;
            let task = async || match client.operate(&Operation::TaskGet { id: id.to_string() }).await?.answer {
                Ok(Reply::Task(task)) => Ok(task),
                _ => Err::<_, Box<dyn std::error::Error + Send + Sync>>("there is no task".into()),
            };
            let version = task().await?.version;
            drop(first);
            let begun = loop {
                let task = task().await?;
                if task.state == TaskState::Pending || task.version != version {
                    break Instant::now();
                }
            };
            self.site.until(BARRIERS + 2).await;
            times.push(begun.elapsed().as_secs_f64() * 1_000.0);
            self.site.release();
            handle.wait().await?;
        }
        println!("takeover with {BARRIERS} barriers, from the end of the lease {:>9.0} ms", median(&mut times));
        Ok(())
    }

    /// Memory of a worker that has nothing to do, and its requests.
    async fn idle(&self) -> Outcome<()> {
        let proxy = Proxy::start(&self.url)?;
        let worker = self.worker(&proxy.url(), &[])?;
        tokio::time::sleep(SETTLE).await;
        let before = proxy.requests.load(Ordering::SeqCst);
        tokio::time::sleep(IDLE).await;
        let requests = proxy.requests.load(Ordering::SeqCst) - before;
        let status = std::fs::read_to_string(format!("/proc/{}/status", worker.0.id()))?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let kib: f64 = rss.trim().trim_end_matches("kB").trim().parse()?;
        println!("idle worker: RSS                                 {:>12.1} MB", kib * 1_024.0 / 1e6);
        println!("idle worker: requests in {} s                    {requests:>12}", IDLE.as_secs());
        Ok(())
    }
}

/// A worker of the SDK.
struct Sdk {
    client: Client,
    _process: Process,
}

impl Sdk {
    fn start(program: &Path, url: &str, dir: &Path, client: Client) -> Outcome<Self> {
        let mut command = Command::new(program);
        command.args([url, "sdk"]).arg(dir.join("notes")).stderr(Stdio::null());
        Ok(Self { client, _process: Process(command.spawn()?) })
    }

    /// Local steps per second.
    async fn steps(&self, round: usize) -> Outcome<f64> {
        let id = format!("sdk-loop-{round}-{}", std::process::id());
        let param = Value {
            headers: BTreeMap::new(),
            data: Some(format!("{{\"func\":\"rust_loop\",\"args\":{STEPS},\"version\":1}}")),
        };
        let tags = [("resonate:target", "poll://any@sdk"), ("resonate:scope", "global")];
        let tags = tags.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let begun = Instant::now();
        let create = Operation::PromiseCreate(NewPromise { id: id.clone(), timeout_at: NEVER, param, tags });
        self.client.operate(&create).await?;
        loop {
            let found = self.client.operate(&Operation::PromiseGet { id: id.clone() }).await?.answer;
            match found {
                Ok(Reply::Promise(Promise { state: PromiseState::Resolved, .. })) => {
                    return Ok(per_second(STEPS, begun.elapsed()));
                }
                Ok(Reply::Promise(Promise { state: PromiseState::Pending, .. })) => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                other => return Err(format!("the loop of the SDK ends with {other:?}").into()),
            }
        }
    }
}

/// A process that ends with this.
struct Process(Child);

impl Process {
    /// Starts a command, and waits until it says something.
    fn start(mut command: Command, until: &str) -> Outcome<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut said = BufReader::new(child.stderr.take().ok_or("no standard error")?).lines();
        let process = Self(child);
        loop {
            let line = said.next().ok_or("it has ended")??;
            if line.contains(until) {
                std::thread::spawn(move || said.map_while(Result::ok).for_each(|line| eprintln!("| {line}")));
                return Ok(process);
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `everstep serve`, unless there is a server.
struct Served {
    url: String,
    _child: Option<Process>,
}

impl Served {
    fn start(dir: &Path) -> Outcome<Self> {
        if let Ok(url) = std::env::var("RESONATE_URL") {
            return Ok(Self { url, _child: None });
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_everstep"));
        let listen = format!("127.0.0.1:{port}");
        command.args(["serve", "--listen", &listen, "--store", "served"]).current_dir(dir);
        let child = Process::start(command, "serving")?;
        Ok(Self { url: format!("http://{listen}"), _child: Some(child) })
    }
}

/// Answers at once, but for one request that it holds until it is released.
struct Site {
    address: SocketAddr,
    state: Arc<Requests>,
}

#[derive(Default)]
struct Requests {
    count: AtomicUsize,
    /// The number of the request that is held.
    held: AtomicUsize,
    released: AtomicUsize,
}

impl Site {
    fn start() -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, state) = (listener.local_addr()?, Arc::<Requests>::default());
        let requests = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let requests = Arc::clone(&requests);
                // The client may be killed.
                std::thread::spawn(move || drop(requests.answer(&stream)));
            }
        });
        Ok(Self { address, state })
    }

    fn hold_after(&self, requests: usize) {
        self.state.count.store(0, Ordering::SeqCst);
        self.state.released.store(0, Ordering::SeqCst);
        self.state.held.store(requests + 1, Ordering::SeqCst);
    }

    fn release(&self) {
        self.state.released.store(1, Ordering::SeqCst);
    }

    fn count(&self) -> usize {
        self.state.count.load(Ordering::SeqCst)
    }

    async fn until(&self, requests: usize) {
        while self.count() < requests {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }
}

impl Requests {
    fn answer(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            while !request.ends_with(b"\r\n\r\n") {
                match stream.read(&mut buffer)? {
                    0 => return Ok(()),
                    read => request.extend_from_slice(&buffer[..read]),
                }
            }
            request.clear();
            let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
            while number == self.held.load(Ordering::SeqCst) && self.released.load(Ordering::SeqCst) == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok")?;
        }
    }
}

/// Counts requests on their way to a server.
struct Proxy {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Proxy {
    fn start(url: &str) -> Outcome<Self> {
        let server = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, requests) = (listener.local_addr()?, Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&requests);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&server) else { continue };
                let (Ok(answers), Ok(back)) = (server.try_clone(), client.try_clone()) else { continue };
                let counted = Arc::clone(&counted);
                // The ends are closed by either side.
                std::thread::spawn(move || forward(client, server, Some(&counted)));
                std::thread::spawn(move || forward(answers, back, None));
            }
        });
        Ok(Self { address, requests })
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// A small request is one read.
fn forward(mut from: TcpStream, mut to: TcpStream, count: Option<&AtomicUsize>) {
    let mut buffer = [0; 1 << 14];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if let Some(count) = count {
            count.fetch_add(1, Ordering::SeqCst);
        }
        if to.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a rate needs no more")]
fn per_second(times: u64, took: Duration) -> f64 {
    times as f64 / took.as_secs_f64()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
