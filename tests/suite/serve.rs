//! `everstep serve` as a worker and an operator see it: over HTTP.
//!
//! One place: it drives the program, whose store is a folder.

use crate::python::beside;
use everstep_tests::guests;
use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server on a free port, which ends with the test.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    pub(crate) fn start(dir: &Path, args: &[&str]) -> Self {
        Self::start_as(Command::new(beside("everstep")), dir, args)
    }

    /// As whatever runs the program.
    pub(crate) fn start_as(mut command: Command, dir: &Path, args: &[&str]) -> Self {
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(args).current_dir(dir).env_remove("EVERSTEP_LOG");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
        let address = said.trim().split_once("http://").unwrap_or_else(|| panic!("{said}")).1.to_owned();
        Self { child, address }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.connect())
    }

    /// The status and the body of what comes back.
    pub(crate) fn http(&self, head: &str, body: &[u8]) -> (u16, String) {
        let mut stream = self.connect();
        let length = body.len();
        write!(stream, "{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n").unwrap();
        // A server that refuses the head need not read the body.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// The status of the answer to a request as it is on the wire, which may go on for ever.
    pub(crate) fn status(&self, request: &str) -> u16 {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        std::str::from_utf8(&status).unwrap().strip_prefix("HTTP/1.1 ").unwrap().parse().unwrap()
    }

    fn post(&self, body: &str) -> (u16, Value) {
        let (status, body) = self.http("POST /", body.as_bytes());
        (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("{body}")))
    }

    /// The status and the data of an operation.
    pub(crate) fn ask(&self, kind: &str, data: &Value) -> (u16, Value) {
        let head = json!({ "corrId": "1", "version": "2026-04-01" });
        let (status, mut answer) = self.post(&json!({ "kind": kind, "head": head, "data": data }).to_string());
        assert_eq!((&answer["kind"], &answer["head"]["status"]), (&json!(kind), &json!(status)));
        (status, answer["data"].take())
    }

    #[track_caller]
    pub(crate) fn done(&self, kind: &str, data: &Value) -> Value {
        let (status, data) = self.ask(kind, data);
        assert_eq!(status, 200, "{kind}: {data}");
        data
    }

    pub(crate) fn create(&self, id: &str, tags: &Value) -> Value {
        let data = json!({ "id": id, "timeoutAt": now() + 3_600_000, "tags": tags });
        self.done("promise.create", &data)["promise"].take()
    }

    pub(crate) fn worker(&self, group: &str, id: &str) -> Worker {
        let mut stream = self.connect();
        write!(stream, "GET /poll/{group}/{id} HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(lines.read_line(&mut head).unwrap(), 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"), "{head}");
        Worker { lines }
    }
}

/// A connection that is kept.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    pub(crate) fn post(&mut self, body: &Value) -> (u16, Value) {
        self.try_post(body).unwrap()
    }

    /// The same, unless the connection ends.
    pub(crate) fn try_post(&mut self, body: &Value) -> io::Result<(u16, Value)> {
        let body = body.to_string();
        let request = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        self.0.get_mut().write_all(request.as_bytes())?;
        self.try_answer()
    }

    /// The next answer of those that were asked for.
    pub(crate) fn answer(&mut self) -> (u16, Value) {
        self.try_answer().unwrap()
    }

    /// The same, unless the connection ends.
    fn try_answer(&mut self) -> io::Result<(u16, Value)> {
        let (mut line, mut status, mut length) = (String::new(), 0, 0);
        while line != "\r\n" {
            line.clear();
            if self.0.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                status = rest[..3].parse().unwrap();
            } else if let Some(rest) = line.strip_prefix("content-length: ") {
                length = rest.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok((status, serde_json::from_slice(&body).unwrap()))
    }
}

/// A stream of messages.
pub(crate) struct Worker {
    lines: BufReader<TcpStream>,
}

impl Worker {
    /// The next message.
    pub(crate) fn message(&mut self) -> Value {
        loop {
            let mut line = String::new();
            assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "the stream has ended");
            // The others are the frame: lengths of chunks, and empty lines.
            if let Some(message) = line.strip_prefix("data: ") {
                return serde_json::from_str(message).unwrap();
            }
        }
    }

    /// The id and the version of the task that may be acquired.
    pub(crate) fn task(&mut self) -> (String, u64) {
        let message = self.message();
        assert_eq!(message["kind"], "execute", "{message}");
        let task = &message["data"]["task"];
        (task["id"].as_str().unwrap().to_owned(), task["version"].as_u64().unwrap())
    }
}

#[allow(clippy::disallowed_methods, reason = "deadlines are times of the clock on the wall")]
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64
}

const GLOBAL: &str = "poll://any@g";

/// What the server in Rust of June 2026 (dialect B) answered to each request, in order, is what this one answers. Sentences differ; times
/// are shifted to now.
#[test]
fn captured_exchanges_are_answered_as_they_were() {
    let captured = std::fs::read_to_string(guests::project().join("tests/serve/exchanges.jsonl")).unwrap();
    for store in ["memory", "store"] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(dir.path(), &["--dialect", "b", "--store", store]);
        let shift = now() - 1_795_364_109_278;
        for line in captured.lines() {
            let exchange: Value = serde_json::from_str(line).unwrap();
            let mut request = exchange["request"].as_str().unwrap().to_owned();
            if let Ok(mut parsed) = serde_json::from_str::<Value>(&request) {
                shifted(&mut parsed, shift);
                request = parsed.to_string();
            }
            let mut expected = exchange["answer"].clone();
            shifted(&mut expected, shift);
            let (status, mut answer) = server.post(&request);
            assert_eq!(json!(status), expected["head"]["status"], "{request}: {answer}");
            if expected["data"].is_string() {
                assert!(answer["data"].is_string(), "{request}: {answer}");
                (expected["data"], answer["data"]) = (Value::Null, Value::Null);
            }
            // The sentence of what a fence has not found.
            for one in [&mut expected, &mut answer] {
                if one["data"]["action"]["data"].is_string() {
                    one["data"]["action"]["data"] = json!("a sentence");
                }
                untimed(one);
            }
            assert_eq!(answer, expected, "{request}");
        }
    }
}

/// Times of the capture, moved.
fn shifted(value: &mut Value, by: u64) {
    match value {
        Value::Number(number) => {
            if let Some(time) = number.as_u64().filter(|time| *time > 1_000_000_000_000) {
                *value = json!(time + by);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| shifted(value, by)),
        Value::Object(fields) => fields.values_mut().for_each(|value| shifted(value, by)),
        _ => {}
    }
}

/// Without the times at which the server did something.
fn untimed(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(untimed),
        Value::Object(fields) => {
            for (name, value) in fields {
                let by_server = ["createdAt", "settledAt", "nextRunAt"].contains(&name.as_str());
                match value.as_u64() {
                    Some(time) if by_server && time > 1_000_000_000_000 => *value = json!("a time"),
                    _ => untimed(value),
                }
            }
        }
        _ => {}
    }
}

#[test]
fn a_worker_is_told_at_once_and_by_its_address() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--store", "memory"]);
    let (mut one, mut two) = (server.worker("g", "one"), server.worker("g", "two"));
    server.create("for-two", &json!({ "resonate:target": "poll://uni@g/two" }));
    assert_eq!(two.task(), ("for-two".to_owned(), 0));
    server.create("rather-one", &json!({ "resonate:target": "poll://any@g/one" }));
    assert_eq!(one.task(), ("rather-one".to_owned(), 0));
    server.create("nobody", &json!({ "resonate:target": "poll://uni@g/three" }));
    server.create("another", &json!({ "resonate:target": "poll://any@other" }));
    let mut three = server.worker("g", "three");
    assert_eq!(three.task(), ("nobody".to_owned(), 0), "who connects is told what waited");
    assert_eq!(server.worker("other", "x").task(), ("another".to_owned(), 0));
    drop(one);
    server.create("rather-one-again", &json!({ "resonate:target": "poll://any@g/three" }));
    assert_eq!(three.task().0, "rather-one-again");
    // Everybody has a turn.
    (0..2).for_each(|number| drop(server.create(&format!("any-{number}"), &json!({ "resonate:target": GLOBAL }))));
    assert_ne!(two.task().0, three.task().0);
    let mut spelt = server.worker("a%20group%C3%A9", "x");
    server.create("spelt", &json!({ "resonate:target": "poll://uni@a group\u{e9}/x" }));
    assert_eq!(spelt.task().0, "spelt");
    assert_eq!(server.http("GET /poll/%ff/x", b"").0, 400);
    let metrics = server.http("GET /metrics", b"").1;
    assert!(metrics.contains("everstep_requests_total{kind=\"promise.create\",status=\"200\"} 8"), "{metrics}");
}

#[test]
fn a_task_is_worked_on_by_two_workers_one_after_the_other() {
    for store in ["memory", "store"] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(dir.path(), &["--store", store]);
        let mut worker = server.worker("g", "w");
        server.create("r", &json!({ "resonate:target": GLOBAL, "resonate:branch": "r" }));
        assert_eq!(worker.task(), ("r".to_owned(), 0));
        let acquire = |version: u64, ttl: u64| json!({ "id": "r", "version": version, "pid": "p", "ttl": ttl });
        server.done("task.acquire", &acquire(0, 600_000));
        assert_eq!(server.ask("task.acquire", &acquire(0, 600_000)).0, 409);
        let step = json!({ "id": "r.0", "timeoutAt": now() + 3_600_000, "tags": { "resonate:branch": "r" } });
        let action = json!({ "kind": "promise.create", "head": {}, "data": step });
        let fenced = server.done("task.fence", &json!({ "id": "r", "version": 1, "action": action }));
        assert_eq!(fenced["preload"], json!([]), "an answer is as long after many steps as after one");
        let wake = json!({ "resonate:timer": "true" });
        let (asked, delay) = (now(), 300);
        server.done("promise.create", &json!({ "id": "r.1", "timeoutAt": asked + delay, "tags": wake }));
        let wait =
            json!({ "kind": "promise.register_callback", "head": {}, "data": { "awaiter": "r", "awaited": "r.1" } });
        server.done("task.suspend", &json!({ "id": "r", "version": 1, "actions": [wait] }));
        assert_eq!(worker.task(), ("r".to_owned(), 1));
        assert!(now() >= asked + delay, "not before its time");
        // One that is never heard of again.
        server.done("task.acquire", &acquire(1, 200));
        assert_eq!(worker.task(), ("r".to_owned(), 2));
        assert_eq!(server.ask("task.release", &json!({ "id": "r", "version": 2 })).0, 409, "the lease is over");
        let claimed = server.done("task.acquire", &acquire(2, 600_000));
        let known = claimed["preload"].as_array().unwrap();
        assert!(known.len() == 1 && known[0]["id"] == "r.0", "{claimed}");
        server.done("promise.register_listener", &json!({ "awaited": "r", "address": "poll://uni@g/w" }));
        let outcome = json!({ "id": "r", "state": "resolved", "value": { "data": "NDI=" } });
        let action = json!({ "kind": "promise.settle", "head": {}, "data": outcome });
        server.done("task.fulfill", &json!({ "id": "r", "version": 3, "action": action }));
        let message = worker.message();
        assert_eq!(message["kind"], "unblock", "{message}");
        assert_eq!(message["data"]["promise"]["value"], json!({ "data": "NDI=" }));
    }
}

#[test]
fn what_was_answered_survives_a_kill_and_is_offered_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &["--store", "store"]);
    server.create("kept", &json!({ "resonate:target": GLOBAL }));
    let value = json!({ "headers": { "a": "b" }, "data": "/w==" });
    server.done("promise.create", &json!({ "id": "bytes", "timeoutAt": now() + 3_600_000, "param": value }));
    server.child.kill().unwrap();
    drop(server);
    let server = Server::start(dir.path(), &["--store", "store"]);
    assert_eq!(server.worker("g", "w").task(), ("kept".to_owned(), 0));
    let found = server.done("promise.get", &json!({ "id": "bytes" }));
    assert_eq!(found["promise"]["param"], value, "what is no text comes back as it was");
}

#[test]
fn who_connects_to_much_work_is_told_all_of_it_soon() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--store", "memory"]);
    for number in 0..500 {
        server.create(&format!("job-{number}"), &json!({ "resonate:target": GLOBAL }));
    }
    let mut worker = server.worker("g", "w");
    let told: std::collections::BTreeSet<_> = (0..500).map(|_| worker.task().0).collect();
    assert_eq!(told.len(), 500);
}

#[test]
fn a_delayed_task_is_offered_at_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--store", "memory"]);
    let mut worker = server.worker("g", "w");
    let at = now() + 400;
    server.create("later", &json!({ "resonate:target": GLOBAL, "resonate:delay": at.to_string() }));
    server.create("now", &json!({ "resonate:target": GLOBAL }));
    assert_eq!(worker.task().0, "now");
    assert_eq!(worker.task().0, "later");
    assert!(now() >= at);
}

#[test]
fn nothing_that_comes_in_is_more_than_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--store", "memory"]);
    let envelope = |kind: &str, data: Value| {
        json!({ "kind": kind, "head": { "corrId": "c", "version": "2026-04-01" }, "data": data }).to_string()
    };
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let bodies = [
        String::new(),
        "[]".to_owned(),
        "\u{0}".to_owned(),
        deep,
        envelope("promise.get", json!([])),
        envelope("promise.get", json!({ "id": 7 })),
        envelope("promise.get", json!({ "id": "" })),
        envelope("promise.create", json!({ "id": "x", "timeoutAt": -1 })),
        envelope("promise.create", json!({ "id": "x", "timeoutAt": 1.5 })),
        envelope("promise.create", json!({ "id": "a\u{0}b", "timeoutAt": 1 })),
        envelope("promise.create", json!({ "id": "x", "timeoutAt": 1, "tags": { "resonate:target": "x" } })),
        envelope(
            "promise.create",
            json!({ "id": "x", "timeoutAt": 1, "tags": { "resonate:target": "http://169.254.169.254/" } }),
        ),
        envelope("promise.settle", json!({ "id": "x", "state": "pending" })),
        envelope("task.acquire", json!({ "id": "x", "version": -1, "pid": "p", "ttl": 1 })),
        envelope(
            "task.suspend",
            json!({ "id": "x", "version": 1, "actions": [{ "kind": "promise.get", "data": {} }] }),
        ),
        envelope("task.fence", json!({ "id": "x", "version": 1, "action": { "kind": "task.halt", "data": {} } })),
        envelope("schedule.create", json!({ "id": "s", "cron": "* *", "promiseId": "x", "promiseTimeout": 1 })),
        envelope("promise.search", json!({ "limit": 0 })),
    ];
    for body in bodies {
        let (status, answer) = server.post(&body);
        let shown = &body[..body.len().min(200)];
        assert!(status == 400 || status == 404, "{status} {shown}: {answer}");
        assert!(answer["data"].is_string() && answer["head"]["status"] == status, "{shown}: {answer}");
    }
    let far = server.done("promise.create", &json!({ "id": "far", "timeoutAt": u64::MAX }));
    assert_eq!(far["promise"]["state"], "pending");
    assert_eq!(server.http("POST /", &vec![b' '; 3 << 20]).0, 413);
    assert_eq!(
        server.status("POST / HTTP/1.1\r\nhost: x\r\norigin: https://elsewhere.example\r\ncontent-length: 2\r\n\r\n{}"),
        403
    );
    let image = "GET /poll/g/w HTTP/1.1\r\nhost: x\r\nsec-fetch-site: cross-site\r\n\r\n";
    assert_eq!(server.status(image), 403, "a page is no worker");
    // As `fetch` of Node.js has it, which the SDK for TypeScript calls.
    let node = "GET /poll/g/w HTTP/1.1\r\nhost: x\r\nsec-fetch-mode: cors\r\nuser-agent: node\r\n\r\n";
    assert_eq!(server.status(node), 200);
    assert_eq!(server.http("GET /", b"").0, 405);
    assert_eq!(server.http("GET /promises/x", b"").0, 410);
    assert_eq!(server.http("GET /elsewhere", b"").0, 404);
    assert_eq!(server.http("GET /health", b"").0, 200);
    assert_eq!(server.http("GET /ready", b"").0, 200);
}

#[test]
fn without_the_token_nothing_is_done_or_heard() {
    let dir = tempfile::tempdir().unwrap();
    let mut open = Command::new(beside("everstep"));
    open.args(["serve", "--listen", "0.0.0.0:0", "--store", "memory"]).current_dir(dir.path());
    let refused = open.output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--token-file"));
    std::fs::write(dir.path().join("token"), "let me in\n").unwrap();
    let server = Server::start(dir.path(), &["--store", "memory", "--token-file", "token"]);
    assert_eq!(server.ask("promise.get", &json!({ "id": "x" })).0, 401);
    assert_eq!(server.http("GET /poll/g/w", b"").0, 401);
    let ask = |auth: &str| {
        let head = json!({ "corrId": "1", "version": "2026-04-01", "auth": auth });
        server.post(&json!({ "kind": "promise.get", "head": head, "data": { "id": "x" } }).to_string()).0
    };
    assert_eq!((ask("let me i"), ask("let me in")), (401, 404));
    let by_header = |auth: &str| {
        server.status(&format!("GET /poll/g/w HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {auth}\r\n\r\n"))
    };
    assert_eq!((by_header("let me i"), by_header("let me in")), (401, 200));
}

#[test]
fn at_sigterm_requests_are_answered_and_streams_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &["--store", "store"]);
    let mut worker = server.worker("g", "w");
    let mut begun = server.connect();
    let body = json!({ "kind": "promise.create", "head": { "corrId": "1", "version": "2026-04-01" },
        "data": { "id": "last", "timeoutAt": now() + 3_600_000 } });
    let (body, length) = (body.to_string(), body.to_string().len());
    write!(begun, "POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n").unwrap();
    let mut told = [0; 25];
    begun.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    let pid = rustix::process::Pid::from_child(&server.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let mut rest = Vec::new();
    worker.lines.read_to_end(&mut rest).unwrap();
    begun.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    begun.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(server.child.wait().unwrap().code(), Some(143));
    let again = Server::start(dir.path(), &["--store", "store"]);
    assert_eq!(again.done("promise.get", &json!({ "id": "last" }))["promise"]["state"], "pending");
}
