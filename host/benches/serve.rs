//! `everstep serve` over HTTP, beside a raw sync of the same disk in the same run.
//!
//! The raw probe is 256 bytes at the end of a file and one fdatasync. Probe and server take turns, because the speed of a disk drifts.
//! Beside each sleep a thread sleeps until the same moment, which is how late the machine itself is. On a busy machine a sleep may be over
//! before its task is suspended: it counts from its end to the answer that says so.
//! `EVERSTEP_BENCH_DIR` names the folder to measure in.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const ROUNDS: usize = 5;
/// Syncs of the probe, and pairs of requests of a client, in a round.
const PAIRS: usize = 300;
const CLIENTS: usize = 16;
/// Wake-ups that are timed, and sleeps.
const WAKES: usize = 200;
const SLEEPS: usize = 200;
const SLEEP_MS: u64 = 200;
/// The status of a suspension that is not made, because what the task waits for is settled.
const GOES_ON: u16 = 300;
/// The deadline of what has none here.
const FAR: u64 = i64::MAX as u64;

fn main() -> Outcome<()> {
    let dir = match std::env::var_os("EVERSTEP_BENCH_DIR") {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?,
    };
    let (file, memory) = (Server::start(dir.path(), "store")?, Server::start(dir.path(), "memory")?);
    let mut rates: [Vec<f64>; 5] = Default::default();
    for round in 0..ROUNDS {
        rates[0].push(raw_probe(dir.path())?);
        for (number, (server, clients)) in
            [(&file, 1), (&file, CLIENTS), (&memory, 1), (&memory, CLIENTS)].into_iter().enumerate()
        {
            rates[number + 1].push(server.pairs(round, clients)?);
        }
    }
    let raw = median(&mut rates[0]);
    println!("{:<58}{:>12}{:>8}", "serve", "per second", "of raw");
    let names = [
        "raw probe: append 256 bytes, fdatasync",
        "file, 1 client: create and settle",
        "file, 16 clients",
        "memory, 1 client",
        "memory, 16 clients",
    ];
    for (name, rates) in names.into_iter().zip(&mut rates) {
        let rate = median(rates);
        println!("{name:<58}{rate:>12.0}{:>8.2}", rate / raw);
    }
    println!("\n{:<58}{:>8}{:>8}{:>8}", "milliseconds", "p50", "p99", "max");
    println!("{:<58}{:>8.2}", "raw sync", 1000.0 / raw);
    for (name, server) in [("file", &file), ("memory", &memory)] {
        let (late, raw_late) = server.sleeps()?;
        let all = [
            ("settle to execute message", server.wakes()?),
            ("lateness of a sleep", late),
            ("lateness of thread::sleep to the same moments", raw_late),
        ];
        for (what, mut times) in all {
            let (p50, count) = (median(&mut times), times.len());
            let (p99, max) = (times[count * 99 / 100], times[count - 1]);
            println!("{:<58}{p50:>8.2}{p99:>8.2}{max:>8.2}", format!("{name}: {what}"));
        }
    }
    Ok(())
}

/// The command with a store of its own, until this is dropped.
struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(dir: &Path, store: &str) -> Outcome<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_everstep"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--store", store]).current_dir(dir);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut said = String::new();
        BufReader::new(child.stderr.take().ok_or("no standard error")?).read_line(&mut said)?;
        let address = said.trim().split_once("http://").ok_or(said.clone())?.1.to_owned();
        Ok(Self { child, address })
    }

    fn client(&self) -> Outcome<Client> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        Ok(Client(BufReader::new(stream)))
    }

    /// Pairs of requests per second, by so many clients together.
    fn pairs(&self, round: usize, clients: usize) -> Outcome<f64> {
        let mut ready = (0..clients).map(|_| self.client()).collect::<Outcome<Vec<_>>>()?;
        let started = Instant::now();
        std::thread::scope(|scope| {
            let work = |(number, client): (usize, &mut Client)| -> Outcome<()> {
                for pair in 0..PAIRS {
                    let id = format!("{round}-{clients}-{number}-{pair}");
                    let value = json!({ "data": "eA==".repeat(16) });
                    client.ask("promise.create", &json!({ "id": id, "timeoutAt": FAR, "param": value }))?;
                    client.ask("promise.settle", &json!({ "id": id, "state": "resolved", "value": value }))?;
                }
                Ok(())
            };
            let threads: Vec<_> = ready.iter_mut().enumerate().map(|one| scope.spawn(move || work(one))).collect();
            threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a client failed")?)
        })?;
        Ok((clients * PAIRS) as f64 / started.elapsed().as_secs_f64())
    }

    /// From a settlement to the message that the task which waited for it may be acquired, in milliseconds.
    fn wakes(&self) -> Outcome<Vec<f64>> {
        let mut worker = Worker::start(self, "wakes")?;
        let mut times = Vec::new();
        for number in 0..WAKES {
            let id = format!("wakes.{number}");
            worker.wait_for(&json!({ "id": id, "timeoutAt": FAR }))?;
            let started = Instant::now();
            worker.client.send("promise.settle", &json!({ "id": id, "state": "resolved" }))?;
            worker.told()?;
            times.push(1000.0 * started.elapsed().as_secs_f64());
            worker.client.answer()?;
        }
        Ok(times)
    }

    /// From the end of a sleep to the message, and to the end of the sleep of a thread, in milliseconds.
    fn sleeps(&self) -> Outcome<(Vec<f64>, Vec<f64>)> {
        let mut worker = Worker::start(self, "sleeps")?;
        let (mut times, mut raw) = (Vec::new(), Vec::new());
        for number in 0..SLEEPS {
            let at = u64::try_from(now()?.as_millis())? + SLEEP_MS;
            let tags = json!({ "resonate:timer": "true" });
            worker.wait_for(&json!({ "id": format!("sleeps.{number}"), "timeoutAt": at, "tags": tags }))?;
            let sleeper = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(at).saturating_sub(now()?));
                late(at)
            });
            worker.told()?;
            times.push(late(at)?);
            raw.push(sleeper.join().map_err(|_| "a thread failed")??);
        }
        Ok((times, raw))
    }
}

/// A connection that is kept.
struct Client(BufReader<TcpStream>);

impl Client {
    fn ask(&mut self, kind: &str, data: &Value) -> Outcome<u16> {
        self.send(kind, data)?;
        self.answer()
    }

    fn send(&mut self, kind: &str, data: &Value) -> Outcome<()> {
        let head = json!({ "corrId": "1", "version": "2026-04-01" });
        let body = json!({ "kind": kind, "head": head, "data": data }).to_string();
        let request = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        Ok(self.0.get_mut().write_all(request.as_bytes())?)
    }

    /// The status of the next answer, if it is one that something was done.
    fn answer(&mut self) -> Outcome<u16> {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let start = head.len();
            self.0.read_line(&mut head)?;
            match head[start..].split_once(": ") {
                Some(("content-length", text)) => length = text.trim().parse()?,
                Some(_) => {}
                None if head.len() - start <= 2 => break,
                None => {}
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        let status = head.split(' ').nth(1).ok_or("no status")?.parse()?;
        if [200, GOES_ON].contains(&status) { Ok(status) } else { Err(String::from_utf8(body)?.into()) }
    }
}

/// A task, and who is told when it may be acquired.
struct Worker {
    client: Client,
    stream: BufReader<TcpStream>,
    task: &'static str,
    version: u64,
    /// Whether the task goes on, with no message that it may be acquired.
    goes_on: bool,
}

impl Worker {
    fn start(server: &Server, task: &'static str) -> Outcome<Self> {
        let mut stream = TcpStream::connect(&server.address)?;
        write!(stream, "GET /poll/{task}/w HTTP/1.1\r\nhost: x\r\n\r\n")?;
        let mut worker =
            Self { client: server.client()?, stream: BufReader::new(stream), task, version: 0, goes_on: false };
        let tags = json!({ "resonate:target": format!("poll://any@{task}") });
        worker.client.ask("promise.create", &json!({ "id": task, "timeoutAt": FAR, "tags": tags }))?;
        worker.told()?;
        Ok(worker)
    }

    /// Acquires the task unless it goes on, and suspends it until a new promise is settled.
    fn wait_for(&mut self, promise: &Value) -> Outcome<()> {
        let (id, client) = (self.task, &mut self.client);
        if !self.goes_on {
            client.ask("task.acquire", &json!({ "id": id, "version": self.version, "pid": "p", "ttl": 600_000 }))?;
            self.version += 1;
        }
        client.ask("promise.create", promise)?;
        let data = json!({ "awaiter": id, "awaited": promise["id"] });
        let actions = json!([{ "kind": "promise.register_callback", "head": {}, "data": data }]);
        let held = json!({ "id": id, "version": self.version, "actions": actions });
        self.goes_on = client.ask("task.suspend", &held)? == GOES_ON;
        Ok(())
    }

    /// Waits for the message that the task may be acquired, unless it goes on.
    fn told(&mut self) -> Outcome<()> {
        if self.goes_on {
            return Ok(());
        }
        let mut line = String::new();
        while !line.starts_with("data: ") {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err("the stream has ended".into());
            }
        }
        Ok(())
    }
}

fn now() -> Outcome<Duration> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?)
}

/// How long a moment has been over, in milliseconds.
fn late(at_ms: u64) -> Outcome<f64> {
    Ok(1000.0 * now()?.saturating_sub(Duration::from_millis(at_ms)).as_secs_f64())
}

fn raw_probe(dir: &Path) -> Outcome<f64> {
    let path = dir.join("probe");
    let mut file = File::create(&path)?;
    let started = Instant::now();
    for _ in 0..PAIRS {
        file.write_all(&[1; 256])?;
        file.sync_data()?;
    }
    let rate = PAIRS as f64 / started.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
