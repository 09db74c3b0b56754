//! Workers and a server as processes that are killed, stopped and restarted, or that see each other through a bad network.
//!
//! One place: it is about workers on a server.

use crate::cli_travel::Desk;
use crate::network::servers::{Received, ok};
use crate::site::Site;
use crate::support::{BEHAVIOUR, id, life, parse, run};
use everstep::store::{Execution, State};
use everstep::{Everstep, Policy, ReplayEnd, Run, Server, StepView};
use everstep_resonate::Manner;
use everstep_tests::deviations::leaves_out;
use everstep_tests::guests;
use everstep_tests::resonate::{DATABASE, Given, Program};
use everstep_tests::served::Served;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

/// Far more than anything here takes; what hangs fails the test. A larger storm has as much for each two dozen executions.
static PATIENCE: LazyLock<Duration> =
    LazyLock::new(|| Duration::from_secs(180) * storm().unwrap_or(1).div_ceil(24).try_into().unwrap());
const LEASE: &str = "2s";

/// A process that ends with the test, and what it has said. Its standard input stays open, and says nothing.
pub(crate) struct Process {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (stderr, said) = (child.stderr.take().unwrap(), Arc::<Mutex<Vec<String>>>::default());
        let lines = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                eprintln!("| {line}");
                lines.lock().unwrap().push(line);
            }
        });
        Self { child, said }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The lines with a text.
    pub(crate) fn lines(&self, with: &str) -> Vec<String> {
        self.said.lock().unwrap().iter().filter(|line| line.contains(with)).cloned().collect()
    }

    pub(crate) fn until_said(&self, text: &str) -> String {
        until(text, || self.lines(text).pop())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks again and again, with pauses.
#[allow(clippy::disallowed_methods, reason = "a test that waits in vain ends at last")]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < *PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Pseudorandom numbers by xorshift (Marsaglia, 2003).
pub(crate) struct Moments(u64);

impl Moments {
    pub(crate) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// A server in a process of its own: ours, or the one of the Resonate project that the environment gives.
enum Serving {
    Ours(#[allow(dead_code, reason = "it ends with this")] Process),
    Program(#[allow(dead_code, reason = "it ends with this")] Program),
    /// It ran before the test.
    Running(#[allow(dead_code, reason = "it ends with this")] Box<Served>),
}

/// A server in a process, a site that notes what reaches it, and a folder for commands.
pub(crate) struct Ground {
    pub(crate) desk: Desk,
    pub(crate) site: Site,
    server: Option<Serving>,
    pub(crate) url: String,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let site = Site::start(|_| ok("page"));
        let mut ground = Self { desk: Desk::new(), site, server: None, url: "http://127.0.0.1:0".to_owned() };
        ground.serve();
        ground
    }

    /// Starts the server, at the same port as before.
    pub(crate) fn serve(&mut self) {
        let address = self.url.trim_start_matches("http://").to_owned();
        self.server = Some(match Given::from_environment() {
            None => {
                let server = Process::start(self.desk.command(&["serve", "--listen", &address, "--store", "served"]));
                let line = server.until_said("serving ");
                self.url = line.split_whitespace().last().unwrap().to_owned();
                Serving::Ours(server)
            }
            Some(Given::Program(program)) => {
                let port = address.rsplit(':').next().unwrap().parse().unwrap();
                let port = if port == 0 { Program::free_port() } else { port };
                let server = Program::start(&program, self.desk.dir.path(), port, false);
                self.url = format!("http://{}", server.address());
                Serving::Program(server)
            }
            Some(Given::At(_)) => {
                let server = Served::start(Manner::A);
                self.url = server.url();
                Serving::Running(Box::new(server))
            }
        });
    }

    /// Kills the server.
    pub(crate) fn stop_serving(&mut self) {
        drop(self.server.take());
    }

    pub(crate) fn worker(&self, more: &[&str]) -> Process {
        self.worker_at(&self.url, &self.desk.component, more)
    }

    pub(crate) fn worker_at(&self, url: &str, component: &str, more: &[&str]) -> Process {
        let cache = guests::project().join("target/test-cache");
        let known = ["worker", component, "--remote", url, "--lease", LEASE, "--cache", cache.to_str().unwrap()];
        Process::start(self.desk.command(&[&known[..], more].concat()))
    }

    /// Runs nothing by itself. It lives within a `life`.
    pub(crate) async fn host(&self) -> Everstep {
        let builder = Everstep::at(Server::connect(&self.url, None).await.unwrap()).component(BEHAVIOUR.clone());
        everstep_tests::place::quick(builder).build().unwrap()
    }

    fn policy(&self) -> Policy {
        let grants = ["print", "input", "call"].map(|name| format!("[[capability]]\nname = \"{name}\"\n")).concat();
        let network = "[network]\nblock = [\"non-global\"]\nallow = [\"127.0.0.1/32\"]\n";
        let (once, again) = (self.site.url("/once/**"), self.site.url("/again/**"));
        let out = self.desk.dir.path().join("out");
        parse(&format!(
            "[clock]\nmode = \"recorded\"\n[random]\nmode = \"seeded\"\n{network}{grants}\
            [[fetch]]\nid = \"once\"\nurl = \"{once}\"\nmethods = [\"POST\"]\non_crash = \"fail\"\ntimeout = \"1h\"\n\
            [[fetch]]\nid = \"again\"\nurl = \"{again}\"\nmethods = [\"GET\"]\ntimeout = \"1h\"\n\
            [[files]]\nid = \"out\"\nguest = \"/out\"\nhost = {out:?}\naccess = \"write\"\n"
        ))
    }

    pub(crate) fn errand(&self, name: &str, pause_ms: u64) -> Run {
        let args = json!({ "url": self.site.url(""), "name": name, "pause_ms": pause_ms }).to_string();
        Run { policy: self.policy(), ..run("errands", &args).with_id(id(name)) }
    }

    /// Submits executions, without waiting for them.
    pub(crate) fn submit(&self, runs: Vec<Run>) {
        life(async {
            let host = self.host().await;
            for run in runs {
                host.submit(run).await.unwrap();
            }
        });
    }

    pub(crate) fn execution(&self, of: &str) -> Execution {
        life(async { self.host().await.reader().execution(&id(of)).await.unwrap() })
    }

    #[allow(clippy::disallowed_methods, reason = "a test that waits in vain ends at last")]
    pub(crate) fn until(&self, of: &str, state: State) -> Execution {
        life(async {
            let (host, begun) = (self.host().await, Instant::now());
            loop {
                let found = host.reader().execution(&id(of)).await;
                match found {
                    Ok(execution) if execution.state == state => return execution,
                    found => assert!(begun.elapsed() < *PATIENCE, "never {of} {state:?}: {found:?}"),
                }
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        })
    }

    /// Answers the question of an errand, once it asks, by command.
    pub(crate) fn answer(&self, of: &str) {
        let promise = format!("{of}.{QUESTION}");
        let args = ["promise", "resolve", &promise, "5", "--remote", &self.url];
        until(&promise, || self.desk.command(&args).output().unwrap().status.success().then_some(()));
    }

    /// How often each path was visited.
    pub(crate) fn visits(&self) -> BTreeMap<String, usize> {
        let mut visits = BTreeMap::new();
        for request in self.site.requests() {
            *visits.entry(path(&request)).or_default() += 1;
        }
        visits
    }

    pub(crate) fn journal(&self, of: &str) -> Vec<u8> {
        life(async { self.host().await.reader().journal(&id(of)).await.unwrap() })
    }

    /// Checks an errand that has completed: its result, its steps, a replay of them, and what the site has seen.
    pub(crate) fn check(&self, of: &str) {
        let execution = self.until(of, State::Completed);
        let done: Value = serde_json::from_str(execution.result.as_deref().unwrap()).unwrap();
        // Three sums, three pages, the answer and the child.
        assert_eq!(done["sum"], json!((2 + 3 + 4) + 3 * 4 + 5 + 1000), "{of}: {done}");
        assert_eq!(self.desk.read(&format!("out/{of}")), done["sum"].to_string(), "{of}");
        let in_doubt: Vec<&str> = done["in_doubt"].as_array().unwrap().iter().map(|at| at.as_str().unwrap()).collect();
        let visits = self.visits();
        for what in ["begin", "1", "2", "3", "child", "grown", "end"] {
            let at = format!("/once/{of}/{what}");
            let times = visits.get(&at).copied().unwrap_or_default();
            assert!(times == 1 || times == 0 && in_doubt.contains(&at.as_str()), "{at} {times} times, {done}");
        }
        let looks = (1..=3).map(|round| visits[&format!("/again/{of}/{round}")]);
        let most = 2 + usize::try_from(execution.attempts).unwrap();
        assert!(looks.clone().all(|times| times >= 1) && looks.clone().sum::<usize>() <= most.max(3), "{execution:?}");
        let (steps, replay) = life(async {
            let host = self.host().await;
            let replay = host.replay(&id(of), None, None).await.unwrap();
            (host.reader().steps(&id(of)).await.unwrap(), replay)
        });
        assert_eq!((replay.end, replay.steps.len()), (ReplayEnd::Repeated, STEPS), "{of}");
        check_steps(of, &steps);
    }
}

/// How many executions the variable `EVERSTEP_STORM` asks for.
fn storm() -> Option<usize> {
    std::env::var("EVERSTEP_STORM").ok().map(|size| size.parse().unwrap())
}

/// The names of so many executions, or of as many as the variable `EVERSTEP_STORM` says.
pub(crate) fn crowd(usual: usize) -> Vec<String> {
    (0..storm().unwrap_or(usual)).map(|number| format!("x{number}")).collect()
}

/// The step at which an errand asks, and how many there are.
const QUESTION: u64 = 14;
const STEPS: usize = 20;

fn check_steps(of: &str, steps: &[StepView]) {
    let numbers: Vec<u64> = steps.iter().map(|step| step.n).collect();
    assert!(numbers.iter().copied().eq(0..STEPS as u64), "{of}: {numbers:?}");
    let count = |kind: &str| steps.iter().filter(|step| step.kind == kind).count();
    let kinds = ["http.fetch", "functions.call", "timers.sleep", "console.input", "console.print", "files.write"];
    assert_eq!(kinds.map(count), [8, 4, 4, 1, 2, 1], "{of}: {steps:?}");
}

fn path(request: &Received) -> String {
    request.line().split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn an_errand_runs_in_a_worker_and_commands_see_it() {
    let ground = Ground::new();
    let worker = ground.worker(&["--keep-warm", "0ms"]);
    worker.until_said("worker of group default");
    std::fs::create_dir_all(ground.desk.dir.path().join("out/x")).unwrap();
    let run = ground.desk.run("mixed", "\"/out/x\"", "x");
    let run = Process::start(ground.desk.command(&[&run[..], &["--remote", &ground.url]].concat()));
    ground.until("x", State::Suspended);
    let at = ["--remote", ground.url.as_str()];
    let (_, list) = ground.desk.json(&[&["list"], &at[..]].concat());
    assert_eq!(list["executions"][0]["id"], "x", "{list}");
    let (_, asked) = ground.desk.json(&[&["promise", "list"], &at[..]].concat());
    assert_eq!(asked["promises"][0]["id"], "x.1", "{asked}");
    assert_eq!(ground.desk.json(&[&["promise", "resolve", "x.1", "5"], &at[..]].concat()).0, 0);
    ground.until("x", State::Completed);
    let (code, shown) = ground.desk.json(&[&["show", "x"], &at[..]].concat());
    assert_eq!((code, &shown["result"]), (0, &json!({ "sum": 6, "child": 7 })), "{shown}");
    let logs = ground.desk.command(&[&["logs", "x"], &at[..]].concat()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&logs.stdout), "start\nend\n");
    assert_eq!(ground.desk.read("out/x/after"), "6");
    drop(run);
    ground.submit(vec![ground.errand("y", 10), ground.errand("z", 10)]);
    ground.answer("y");
    ground.check("y");
    ground.until("z", State::Suspended);
    let (code, canceled) = ground.desk.json(&[&["cancel", "z"], &at[..]].concat());
    assert_eq!(code, 0, "{canceled}");
    assert_eq!(ground.execution("z").state, State::Canceled);
}

/// Stops a worker while its execution sleeps, and lets it go on: once another one has finished it, or while that one has it.
fn stopped(goes_on_at_the_end: bool) {
    let ground = Ground::new();
    let first = ground.worker(&[]);
    ground.submit(vec![ground.errand("x", 6_000)]);
    ground.answer("x");
    until("the sleep", || ground.visits().get("/once/x/grown").copied());
    until("the last sleep", || {
        let steps = life(async { ground.host().await.reader().steps(&id("x")).await.unwrap() });
        (steps.iter().filter(|step| step.kind == "timers.sleep").count() == 4).then_some(())
    });
    let before = ground.execution("x").attempts;
    first.signal(Signal::STOP);
    let _second = ground.worker(&[]);
    until("another claim", || (ground.execution("x").attempts > before).then_some(()));
    if !goes_on_at_the_end {
        first.signal(Signal::CONT);
    }
    ground.check("x");
    let (journal, visits) = (ground.journal("x"), ground.visits());
    if goes_on_at_the_end {
        first.signal(Signal::CONT);
    }
    // What it would do, it would do at once: its sleep is over.
    std::thread::sleep(Duration::from_secs(4));
    assert!(ground.journal("x") == journal, "something was recorded after the end");
    assert_eq!(ground.visits(), visits);
    // It has lost nothing but that execution.
    ground.submit(vec![ground.errand("y", 10)]);
    ground.answer("y");
    ground.check("y");
}

#[test]
fn a_worker_that_was_stopped_beyond_its_lease_does_nothing_more_with_an_execution_that_has_ended() {
    stopped(true);
}

#[test]
fn a_worker_that_was_stopped_beyond_its_lease_leaves_its_execution_to_the_one_that_has_it() {
    stopped(false);
}

/// A change of the server's database while it is down. The column `PARAM` is named as there.
fn change(ground: &mut Ground, sql: &[&str]) {
    ground.stop_serving();
    let (file, param) = match Given::from_environment() {
        None => ("served/store.db", "param"),
        Some(_) => (DATABASE, "param_data"),
    };
    let database = rusqlite::Connection::open(ground.desk.dir.path().join(file)).unwrap();
    for sql in sql {
        assert!(database.execute(&sql.replace("PARAM", param), []).unwrap() > 0, "{sql}");
    }
    database.close().unwrap();
    ground.serve();
}

/// What becomes of an execution whose segments were changed while it waited: it halts with a cause, and nothing of it runs.
fn damaged(sql: &[&str]) -> String {
    let mut ground = Ground::new();
    let worker = ground.worker(&["--keep-warm", "0ms"]);
    ground.submit(vec![ground.errand("x", 10), ground.errand("y", 10)]);
    for name in ["x", "y"] {
        ground.until(name, State::Suspended);
        until("the question", || {
            ground.desk.json(&["promise", "list", "--remote", &ground.url]).1["promises"]
                .as_array()
                .is_some_and(|asked| asked.len() == 2)
                .then_some(())
        });
        ground.until(name, State::Suspended);
    }
    drop(worker);
    let before = ground.visits();
    change(&mut ground, sql);
    let worker = ground.worker(&["--keep-warm", "0ms"]);
    worker.until_said("worker of group default");
    let settle = |of: &str| {
        let data = json!({ "id": format!("{of}.{QUESTION}"), "state": "resolved", "value": { "data": "NQ==" } });
        post(&ground.url, "promise.settle", &data)
    };
    let settled = settle("x");
    assert_eq!(settled["head"]["status"], 200, "{settled}");
    let task = until("the halt", || {
        let found = post(&ground.url, "task.get", &json!({ "id": "x" }));
        (found["data"]["task"]["state"] == "halted").then_some(found)
    });
    eprintln!("{task}");
    let (_, shown) = ground.desk.json(&["show", "x", "--remote", &ground.url]);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(ground.visits(), before, "something of it has run");
    shown["error"]["message"].as_str().unwrap_or_else(|| panic!("{shown}")).to_owned()
}

/// One request of the protocol, by a client that is not ours.
pub(crate) fn post(url: &str, kind: &str, data: &Value) -> Value {
    use std::io::{Read, Write};
    let body = json!({ "kind": kind, "head": { "corrId": "1", "version": "2026-04-01" }, "data": data }).to_string();
    let address = url.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

#[test]
fn an_execution_without_one_of_its_segments_halts() {
    if leaves_out() {
        return;
    }
    let cause = damaged(&["DELETE FROM promises WHERE id = 'x.s1'"]);
    assert!(cause.contains('x'), "{cause}");
}

#[test]
fn an_execution_without_its_last_segment_halts() {
    if leaves_out() {
        return;
    }
    let segments = "FROM promises WHERE id >= 'x.s' AND id < 'x.t'";
    let last =
        format!("DELETE FROM promises WHERE id = (SELECT id {segments} ORDER BY length(id) DESC, id DESC LIMIT 1)");
    let cause = damaged(&[&last]);
    assert!(cause.starts_with("the journal of x is not the one that this store wrote for it"), "{cause}");
}

#[test]
fn an_execution_without_any_segment_halts() {
    if leaves_out() {
        return;
    }
    let cause = damaged(&["DELETE FROM promises WHERE id >= 'x.s' AND id < 'x.t'"]);
    assert!(cause.starts_with("the journal of x is not the one that this store wrote for it"), "{cause}");
}

#[test]
fn an_execution_that_has_ended_is_not_repeated_without_its_last_segment() {
    if leaves_out() {
        return;
    }
    let mut ground = Ground::new();
    let worker = ground.worker(&[]);
    ground.submit(vec![run("twenty", "null").with_id(id("x"))]);
    ground.until("x", State::Completed);
    drop(worker);
    let component = ["replay", "x", "--component", &ground.desk.component.clone(), "--remote"];
    let replay = |ground: &Ground| ground.desk.json(&[&component[..], &[&ground.url]].concat());
    let (code, repeated) = replay(&ground);
    assert_eq!((code, &repeated["compatible"]), (0, &json!(true)), "{repeated}");
    let segments = "FROM promises WHERE id >= 'x.s' AND id < 'x.t'";
    let last = format!("DELETE FROM promises WHERE id = (SELECT max(id) {segments})");
    change(&mut ground, &[&last]);
    let (code, refused) = replay(&ground);
    assert_eq!((code, &refused["error"]["kind"]), (4, &json!("corrupted")), "{refused}");
    assert_eq!(ground.execution("x").state, State::Completed);
}

#[test]
fn an_execution_with_the_segment_of_another_one_halts() {
    if leaves_out() {
        return;
    }
    let exchange = "UPDATE promises SET PARAM = (SELECT PARAM FROM promises WHERE id = 'y.s1'), \
        param_headers = (SELECT param_headers FROM promises WHERE id = 'y.s1') WHERE id = 'x.s1'";
    let cause = damaged(&[exchange]);
    assert!(cause.contains('x'), "{cause}");
}

#[test]
fn an_execution_with_the_first_segment_of_another_one_halts() {
    if leaves_out() {
        return;
    }
    let exchange = "UPDATE promises SET PARAM = (SELECT PARAM FROM promises WHERE id = 'y.s0'), \
        param_headers = (SELECT param_headers FROM promises WHERE id = 'y.s0') WHERE id = 'x.s0'";
    // Nothing comes after it that could tell.
    let cause = damaged(&[exchange, "DELETE FROM promises WHERE id >= 'x.s1' AND id < 'x.t'"]);
    assert!(cause.contains('x'), "{cause}");
}

#[test]
fn a_worker_without_the_component_leaves_an_execution_to_one_that_has_it() {
    let ground = Ground::new();
    let hello = guests::path(&guests::project().join("examples/hello/guest")).unwrap();
    let other = ground.worker_at(&ground.url, hello.to_str().unwrap(), &[]);
    other.until_said("worker of group default");
    let same = |name: &str| run("same", "[1]").with_id(id(name));
    ground.submit(vec![same("x")]);
    other.until_said("left to other workers");
    // It is offered again to whoever comes.
    let another = ground.worker_at(&ground.url, hello.to_str().unwrap(), &[]);
    another.until_said("left to other workers");
    assert_eq!(ground.execution("x").state, State::Pending);
    let _worker = ground.worker(&[]);
    ground.until("x", State::Completed);
    // The server offers it anew twice a minute.
    let _none = ground.worker_at(&ground.url, hello.to_str().unwrap(), &["--group", "none"]);
    assert_eq!(other.lines("left to other workers").len(), 1);
}
