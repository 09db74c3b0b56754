//! Requests through the bridge, 16 wide, next to the bare HTTP client in the same run, against the same server on loopback.
//!
//! The server keeps connections alive and sends 1 KiB: at once, after 5 ms, about what a server nearby takes, or after 20 ms, which
//! few on the internet beat. Both sides take turns, because the speed of a machine drifts. `EVERSTEP_BENCH_DIR` names the folder
//! for the file store.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use everstep::capability::http::{Bounds, Bytes, Client, Hops, Request};
use everstep::network::Options;
use everstep::policy::url::Target;
use everstep::{Builder, Component, Everstep, ExecutionId, GuestError, Policy, Run};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Requests under way at any time.
const WIDTH: u64 = 16;
/// Bytes of a response's body.
const BODY: usize = 1024;
/// Requests of one turn.
const REQUESTS: u64 = 3200;
const TURNS: usize = 7;

struct Bench {
    dir: PathBuf,
    component: Component,
    policy: Policy,
    url: Target,
}

fn main() -> Outcome<()> {
    let dir = match std::env::var_os("EVERSTEP_BENCH_DIR") {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?,
    };
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guests/workbench");
    let component = dir.path().join("workbench.wasm");
    everstep::guest_build::build(&guest, Some(&component))?;
    let component: Component = std::fs::read(component)?.into();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("{:<58} {:>12} {:>22}", "", "bridge", "bare client");
    for delay in [Duration::ZERO, Duration::from_millis(5), Duration::from_millis(20)] {
        let address = serve(delay)?;
        let policy = Policy::parse(&policy(address), &dir.path().join("policy.toml"))?;
        let url = Target::parse(&format!("http://{address}/page")).map_err(|fault| fault.to_string())?;
        let bench = Bench { dir: dir.path().to_owned(), component: component.clone(), policy, url };
        let server = if delay.is_zero() { "at once".to_owned() } else { format!("{} ms", delay.as_millis()) };
        for (name, executions) in [("1 execution", 1), ("16 executions", WIDTH)] {
            let file = bench.dir.join(format!("store-{}-{executions}", delay.as_millis()));
            runtime.block_on(bench.row(&format!("{server}, {name}, memory store"), Everstep::local(), executions))?;
            runtime.block_on(bench.row(&format!("{server}, {name}, file store"), Everstep::open(file), executions))?;
        }
    }
    Ok(())
}

fn policy(address: SocketAddr) -> String {
    format!(
        r#"
version = 1
name = "bench"
[limits]
steps = "unlimited"
journal = "unlimited"
cpu = "unlimited"
wall = "unlimited"
[network]
block = ["non-global"]
allow = ["127.0.0.1/32"]
[[fetch]]
id = "page"
url = "http://{address}/page"
methods = ["GET"]
"#
    )
}

impl Bench {
    /// Requests per second, made by so many executions together.
    async fn row(&self, name: &str, builder: Builder, executions: u64) -> Outcome<()> {
        let host = builder.cache(self.dir.join("cache")).build()?;
        let client = Arc::new(Client::new(&Options::system(), self.policy.network.clone()));
        self.bare(&client).await?;
        self.bridge(&host, executions).await?;
        let (mut bridge, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            bare.push(self.bare(&client).await?);
            bridge.push(self.bridge(&host, executions).await?);
        }
        let (bridge, bare) = (median(&mut bridge), median(&mut bare));
        println!(
            "{name:<58} {:>12} {:>22}",
            format!("{bridge:.0} /s"),
            format!("{:.2} of {bare:.0} /s", bridge / bare)
        );
        Ok(())
    }

    async fn bridge(&self, host: &Everstep, executions: u64) -> Outcome<f64> {
        let (times, width) = (REQUESTS / executions, WIDTH / executions);
        let args = format!(r#"{{"url": "{}", "times": {times}, "width": {width}}}"#, self.url.as_str());
        let run = Run::new(self.component.clone(), "fetches", args, self.policy.clone());
        let started = Instant::now();
        let runs: Vec<_> = (0..executions)
            .map(|_| {
                let (host, run) = (host.clone(), run.clone().with_id(ExecutionId::random()));
                tokio::spawn(async move { host.run(run).await })
            })
            .collect();
        for run in runs {
            let report = run.await??;
            let bytes = (times * BODY as u64).to_string();
            if report.result.as_deref() != Some(bytes.as_str()) {
                return Err(format!("{report:?}").into());
            }
        }
        Ok(REQUESTS as f64 / started.elapsed().as_secs_f64())
    }

    async fn bare(&self, client: &Arc<Client>) -> Outcome<f64> {
        let started = Instant::now();
        let tasks: Vec<_> = (0..WIDTH)
            .map(|_| {
                let (client, url) = (Arc::clone(client), self.url.clone());
                tokio::spawn(async move {
                    for _ in 0..REQUESTS / WIDTH {
                        fetch(&client, url.clone()).await?;
                    }
                    Ok::<_, String>(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok(REQUESTS as f64 / started.elapsed().as_secs_f64())
    }
}

async fn fetch(client: &Client, url: Target) -> Result<(), String> {
    let request = Request { method: "GET".to_owned(), url, headers: Vec::new(), body: Bytes::new(), secret: None };
    let timeout = Duration::from_secs(30);
    let bounds = Bounds { timeout, connect: timeout, max_response: 5 << 20, redirects: 0, ..Bounds::default() };
    let response = client.send(request, &bounds, &mut NoHops).await.map_err(|failure| format!("{failure:?}"))?;
    if response.body.len() == BODY { Ok(()) } else { Err(format!("{response:?}")) }
}

/// There are no redirects to decide on.
struct NoHops;

impl Hops for NoHops {
    fn decide(&mut self, _: &str, _: &Target) -> Result<(), GuestError> {
        Ok(())
    }
}

/// Starts a server with a thread per connection: these sleep to the microsecond, where tokio's timers round up to the millisecond.
fn serve(delay: Duration) -> Outcome<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(&stream, delay));
        }
    });
    Ok(address)
}

/// Answers one request after the other; they have no bodies.
fn answer(mut stream: &TcpStream, delay: Duration) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {BODY}\r\n\r\n");
    let response = [head.as_bytes(), &[b'x'; BODY]].concat();
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                read => request.extend_from_slice(&buffer[..read]),
            }
        }
        request.clear();
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        stream.write_all(&response)?;
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
