//! `everstep serve` and clients that do it wrong, on purpose or not: they are refused or left, others are served meanwhile, and memory
//! has a bound.
//!
//! One place: it drives the program, whose store is a folder.

use crate::python::beside;
use crate::serve::{Client, Server, now};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

/// Far more than the server's own patience.
const PATIENCE: Duration = Duration::from_secs(150);
/// The largest body, in bytes.
const BODY: usize = 2 << 20;

fn memory(dir: &tempfile::TempDir) -> Server {
    Server::start(dir.path(), &["--store", "memory"])
}

fn envelope(kind: &str, data: &Value) -> Value {
    json!({ "kind": kind, "head": { "corrId": "c", "version": "2026-04-01" }, "data": data })
}

/// Every operation as it ought to be; what may be missing ends with `?`.
fn operations() -> Vec<(&'static str, Value)> {
    let value = json!({ "headers?": { "a": "b" }, "data?": "MQ==" });
    let create = json!({ "id": "x", "timeoutAt": 1, "param?": value, "tags?": { "resonate:target": "poll://any@g" } });
    let settle = json!({ "id": "x", "state": "resolved", "value?": value });
    let action = |kind: &str, data: &Value| json!({ "kind": kind, "data": data });
    let (other, ended) = (of(&create, "y"), of(&settle, "y"));
    let wait = action("promise.register_callback", &json!({ "awaiter": "x", "awaited": "y" }));
    let (id, held) = (json!({ "id": "x" }), json!({ "id": "x", "version": 1 }));
    let page = json!({ "tags?": { "a": "b" }, "limit?": 1, "cursor?": "x" });
    vec![
        ("promise.create", create.clone()),
        ("promise.get", id.clone()),
        ("promise.settle", settle.clone()),
        ("promise.search", json!({ "state?": "pending", "tags?": { "a": "b" }, "limit?": 1, "cursor?": "x" })),
        ("promise.register_callback", json!({ "awaiter": "x", "awaited": "y" })),
        ("promise.register_listener", json!({ "awaited": "x", "address": "poll://any@g" })),
        ("task.create", json!({ "pid": "p", "ttl": 1, "action": action("promise.create", &create) })),
        ("task.acquire", json!({ "id": "x", "version": 1, "pid": "p", "ttl": 1 })),
        ("task.fence", json!({ "id": "x", "version": 1, "action": action("promise.create", &other) })),
        ("task.fence", json!({ "id": "x", "version": 1, "action": action("promise.settle", &ended) })),
        ("task.suspend", json!({ "id": "x", "version": 1, "actions": [wait] })),
        ("task.fulfill", json!({ "id": "x", "version": 1, "action": action("promise.settle", &settle) })),
        ("task.release", held.clone()),
        ("task.heartbeat", json!({ "pid": "p", "tasks": [held] })),
        ("task.halt", id.clone()),
        ("task.continue", id.clone()),
        ("task.get", id.clone()),
        ("task.search", json!({ "state?": "pending", "limit?": 1, "cursor?": "x" })),
        (
            "schedule.create",
            json!({ "id": "s", "cron": "* * * * *", "promiseId": "p", "promiseTimeout": 1, "promiseParam?": value,
                "promiseTags?": { "a": "b" } }),
        ),
        ("schedule.get", id.clone()),
        ("schedule.delete", id),
        ("schedule.search", page),
    ]
}

fn of(data: &Value, id: &str) -> Value {
    let mut data = data.clone();
    data["id"] = json!(id);
    data
}

/// All that is wrong with a request in one place: another type, or nothing at all.
fn faults(valid: &Value) -> Vec<Value> {
    let long = || json!(vec![json!("x"); 3]);
    let all = [
        json!(true),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(i64::MIN),
        json!("x\u{0}"),
        json!({ "x": "y" }),
        json!([]),
        long(),
        json!([["x"]]),
    ];
    let is_other = |fault: &Value| std::mem::discriminant(fault) != std::mem::discriminant(valid) || valid.is_number();
    all.into_iter().filter(is_other).collect()
}

/// The request with each of its parts wrong, one at a time, and why that is no request.
fn spoilt(
    valid: &Value,
    optional: bool,
    place: &str,
    put: &dyn Fn(Option<Value>) -> Value,
    to: &mut Vec<(String, Value)>,
) {
    to.extend(faults(valid).into_iter().map(|fault| (format!("{place} is {fault}"), put(Some(fault)))));
    if !optional {
        to.push((format!("{place} is null"), put(Some(Value::Null))));
        to.push((format!("no {place}"), put(None)));
    }
    match valid {
        Value::Object(fields) => {
            for (name, field) in fields {
                let with = |value: Option<Value>| {
                    let mut fields = fields.clone();
                    match value {
                        Some(value) => drop(fields.insert(name.clone(), value)),
                        None => drop(fields.remove(name)),
                    }
                    put(Some(Value::Object(fields)))
                };
                let is_free = ["headers", "tags", "promiseTags"].iter().any(|map| place.ends_with(map));
                spoilt(
                    field,
                    name.ends_with('?') || is_free,
                    &format!("{place}.{}", name.trim_end_matches('?')),
                    &with,
                    to,
                );
            }
        }
        Value::Array(entries) => {
            let with = |value: Option<Value>| put(Some(json!([value.unwrap_or_default()])));
            spoilt(&entries[0], false, &format!("{place}[]"), &with, to);
        }
        _ => {}
    }
}

/// Without the marks of what may be missing.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.trim_end_matches('?').to_owned(), plain(value))).collect()
        }
        Value::Array(entries) => entries.iter().map(plain).collect(),
        other => other.clone(),
    }
}

#[test]
fn a_field_of_another_type_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = memory(&dir);
    let mut client = server.client();
    let mut asked = 0;
    for (kind, data) in operations() {
        let (status, answer) = client.post(&envelope(kind, &plain(&data)));
        assert!([200, 300, 404, 409, 422].contains(&status), "{kind} {data}: {status} {answer}");
        let mut requests = Vec::new();
        spoilt(
            &data,
            false,
            "data",
            &|data| data.map_or(json!({ "kind": kind }), |data| envelope(kind, &data)),
            &mut requests,
        );
        for (fault, request) in requests {
            let (status, answer) = client.post(&plain(&request));
            assert_eq!(status, 400, "{kind}, {fault}: {answer}");
            assert!(answer["data"].is_string() && answer["head"]["status"] == 400, "{kind}, {fault}: {answer}");
            asked += 1;
        }
    }
    assert!(asked > 1_000, "only {asked}");
    let valid = json!({ "kind": "promise.get", "head": { "corrId": "c", "version": "2026-04-01", "auth?": "x" }, "data": { "id": "x" } });
    let mut requests = Vec::new();
    spoilt(&valid, false, "request", &|request| request.unwrap_or_default(), &mut requests);
    for (fault, request) in requests {
        let (status, answer) = client.post(&plain(&request));
        assert_eq!(status, 400, "{fault}: {answer}");
    }
    assert_eq!(server.http("GET /ready", b"").0, 200);
}

#[test]
fn bytes_that_are_no_request_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = memory(&dir);
    let text =
        |text: String| envelope("promise.get", &json!({ "id": "?" })).to_string().replace('?', &text).into_bytes();
    let nested = |open: &str, close: &str| format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
    let mut bodies = vec![
        b"\xff\xfe{}".to_vec(),
        b"{\"kind\":\"\xc3\x28\"}".to_vec(),
        text("\\ud800".to_owned()),
        text("\", \"x\": 1e999, \"y\": \"".to_owned()),
        nested("{\"a\":", "}").into_bytes(),
        format!("{{\"data\":{}}}", nested("[", "]")).into_bytes(),
        "9".repeat(BODY).into_bytes(),
        "[".repeat(BODY).into_bytes(),
        "{\"kind\":\"a\",".repeat(BODY / 12).into_bytes(),
    ];
    let whole = envelope("promise.create", &json!({ "id": "x", "timeoutAt": 1 })).to_string().into_bytes();
    bodies.extend((0..whole.len()).map(|length| whole[..length].to_vec()));
    for body in bodies {
        let (status, answer) = server.http("POST /", &body);
        let shown = String::from_utf8_lossy(&body[..body.len().min(100)]).into_owned();
        assert_eq!(status, 400, "{shown}: {answer}");
    }
    let large = text("x".repeat(BODY - 200));
    assert_eq!(server.http("POST /", &large).0, 404, "an id may be long");
    let heads = [
        ("BREW\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n", 413),
        ("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999999\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        ("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n", 400),
    ];
    for (head, status) in heads {
        assert_eq!(server.status(head), status, "{head}");
    }
    let many = (0..BODY / 16).fold(String::new(), |head, number| head + &format!("x-{number}: y\r\n"));
    for head in [format!("x: {}\r\n", "y".repeat(BODY)), many] {
        let mut stream = server.connect();
        // It may be refused before all of it is sent.
        let _ = stream.write_all(format!("POST / HTTP/1.1\r\nhost: x\r\n{head}\r\n").as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(server.http("GET /ready", b"").0, 200);
}

#[test]
fn requests_that_come_together_are_answered_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let server = memory(&dir);
    let mut stream = server.connect();
    let request = |number: u64| {
        let head = json!({ "corrId": number.to_string(), "version": "2026-04-01" });
        let data = json!({ "id": format!("p-{}", number / 2), "timeoutAt": now() + 3_600_000 });
        let kind = if number.is_multiple_of(2) { "promise.create" } else { "promise.get" };
        let body = json!({ "kind": kind, "head": head, "data": data }).to_string();
        format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let all: String = (0..200).map(request).collect();
    stream.write_all(all.as_bytes()).unwrap();
    let mut client = Client::new(stream);
    for number in 0..200 {
        let (status, answer) = client.answer();
        assert_eq!((status, &answer["head"]["corrId"]), (200, &json!(number.to_string())));
    }
}

/// Sends a byte a second until the server ends the connection.
fn trickle(mut stream: TcpStream, start: &str, byte: &[u8]) -> Vec<u8> {
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    stream.write_all(start.as_bytes()).unwrap();
    let mut answer = Vec::new();
    loop {
        let mut more = [0; 512];
        match stream.read(&mut more) {
            Ok(0) => return answer,
            Ok(count) => answer.extend_from_slice(&more[..count]),
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {}
            Err(_) => return answer,
        }
        // Then reading tells.
        let _ = stream.write_all(byte);
    }
}

/// Waits for the server to end the connection, and reads nothing.
fn ended(stream: &TcpStream) {
    let mut watched = [PollFd::new(stream, PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR)];
    let timeout = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    assert_ne!(poll(&mut watched, Some(&timeout)).unwrap(), 0, "the server waits for ever");
}

#[test]
fn slow_clients_are_left_and_keep_nobody_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let server = memory(&dir);
    let large = json!({ "id": "large", "timeoutAt": u64::MAX, "param": { "data": "A".repeat(1 << 20) } });
    server.done("promise.create", &large);
    let (done, ends) = mpsc::channel();
    std::thread::scope(|scope| {
        let slow = |name: &'static str, expected: &'static str, start: &'static str, byte: &'static [u8]| {
            let (done, stream) = (done.clone(), server.connect());
            scope.spawn(move || {
                let answer = String::from_utf8(trickle(stream, start, byte)).unwrap();
                assert!(answer.starts_with(expected), "{name}: {answer}");
                done.send(name).unwrap();
            });
        };
        slow("one that says nothing", "", "", b"");
        slow("a head that does not end", "", "POST / HTTP/1.1\r\nhost: x\r\nx: ", b"y");
        slow(
            "a body that does not come",
            "HTTP/1.1 408",
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n",
            b"",
        );
        slow("a slow body", "HTTP/1.1 408", "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 999\r\n\r\n", b"{");
        let chunked = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
        slow("chunks that do not end", "HTTP/1.1 408", chunked, b"1\r\n \r\n");
        let (deaf, done) = (server.connect(), done.clone());
        scope.spawn(|| {
            let (mut deaf, done) = (deaf, done);
            let body = envelope("promise.get", &json!({ "id": "large" })).to_string();
            let request = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            deaf.write_all(request.repeat(32).as_bytes()).unwrap();
            ended(&deaf);
            done.send("one that does not read").unwrap();
        });
        for _ in 0..6 {
            assert_eq!(server.ask("promise.get", &json!({ "id": "nobody" })).0, 404);
            let name = ends.recv_timeout(PATIENCE).unwrap();
            println!("left: {name}");
        }
    });
    assert_eq!(server.ask("promise.get", &json!({ "id": "large" })).0, 200);
}

#[test]
fn a_thousand_clients_leave_room_for_another() {
    let limits = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, ..limits }).unwrap();
    let dir = tempfile::tempdir().unwrap();
    // The system gives it few file handles unless it asks.
    let mut few = Command::new("sh");
    few.args(["-c", "ulimit -Sn 256; exec \"$0\" \"$@\""]).arg(beside("everstep"));
    let server = Server::start_as(few, dir.path(), &["--store", "memory"]);
    let before = resident(&server);
    let mut workers: Vec<_> = (0..1_000).map(|number| server.worker(&format!("g-{}", number % 100), "w")).collect();
    let idle: Vec<_> = (0..200).map(|_| server.connect()).collect();
    assert_eq!(server.http("GET /poll/g/w", b"").0, 503, "one too many");
    server.create("task", &json!({ "resonate:target": "poll://any@g-7" }));
    assert_eq!(workers[7].task(), ("task".to_owned(), 0));
    let grown = resident(&server) - before;
    println!("1,200 connections: {grown} KiB more");
    assert!(grown < 200 << 10, "{grown} KiB more");
    drop((workers, idle));
    // The server learns of it by and by.
    while !server.http("GET /metrics", b"").1.contains("everstep_streams 0\n") {}
}

#[test]
fn bodies_together_have_a_bound() {
    let dir = tempfile::tempdir().unwrap();
    let server = memory(&dir);
    let before = resident(&server);
    let part = vec![b' '; BODY - 1];
    let head = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {BODY}\r\n\r\n");
    let open: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(head.as_bytes()).unwrap();
            // Those that there is no room for are not read.
            let _ = stream.write_all(&part);
            stream
        })
        .collect();
    assert_eq!(server.ask("promise.get", &json!({ "id": "nobody" })).0, 404);
    let grown = resident(&server) - before;
    println!("400 MiB of bodies: {grown} KiB more");
    assert!(grown < 300 << 10, "{grown} KiB more");
    drop(open);
    let body = vec![b' '; BODY];
    let again = std::iter::repeat_with(|| server.http("POST /", &body).0).find(|status| *status != 503);
    assert_eq!(again, Some(400), "there is room again");
}

#[test]
fn an_answer_has_a_bound_and_cursors_lead_to_all_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    // Not in memory: that would hold the promises themselves.
    let server = Server::start(dir.path(), &["--store", "store"]);
    let (count, length) = (120, 1_600_000);
    let param = json!({ "data": "eHh4".repeat(length / 4) });
    let id = |number: usize| format!("p-{number:03}");
    let mut client = server.client();
    for number in 0..count {
        let create = json!({ "id": id(number), "timeoutAt": u64::MAX, "param": param });
        assert_eq!(client.post(&envelope("promise.create", &create)).0, 200);
    }
    let before = peak(&server);
    let (mut found, mut page, mut pages) = (Vec::new(), json!({ "limit": 1_000 }), 0);
    while !page["limit"].is_null() {
        let (status, answer) = server.http("POST /", envelope("promise.search", &page).to_string().as_bytes());
        assert_eq!(status, 200);
        // 8 MiB and one promise are 11 MB and one promise in base64.
        assert!(answer.len() < 14_000_000, "an answer of {} bytes", answer.len());
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let ids = answer["data"]["promises"].as_array().unwrap().iter().map(|promise| promise["id"].clone());
        found.extend(ids);
        page = match &answer["data"]["cursor"] {
            Value::Null => Value::Null,
            cursor => json!({ "limit": 1_000, "cursor": cursor }),
        };
        pages += 1;
    }
    assert_eq!(found, (0..count).map(|number| json!(id(number))).collect::<Vec<_>>());
    let grown = peak(&server) - before;
    println!("{} MB in {pages} answers: {grown} KiB more", count * length / 1_000_000);
    assert!(grown < 80 << 10, "{grown} KiB more");
}

/// The memory of the server, in KiB.
fn resident(server: &Server) -> u64 {
    memory_of(server, "VmRSS:")
}

/// The most memory that the server has had, in KiB.
fn peak(server: &Server) -> u64 {
    memory_of(server, "VmHWM:")
}

fn memory_of(server: &Server, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_log_that_nobody_reads_ends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--store", "memory", "--debug"]);
    let schedule = json!({ "id": "s", "cron": "* * * * *", "promiseId": "always-the-same", "promiseTimeout": 1 });
    server.done("schedule.create", &schedule);
    // The second firing makes nothing, and a line of the log.
    for time in [60_000, 120_000, 180_000] {
        server.done("debug.tick", &json!({ "time": time }));
    }
    let schedule = server.done("schedule.get", &json!({ "id": "s" }));
    assert_eq!(schedule["schedule"]["lastRunAt"], 180_000);
}

#[test]
fn a_firing_makes_no_id_that_is_larger_than_it_may_be() {
    let dir = tempfile::tempdir().unwrap();
    let server = memory(&dir);
    let schedule = |template: String| {
        let id = "s".repeat(1 << 10);
        json!({ "id": id, "cron": "* * * * * *", "promiseId": template, "promiseTimeout": 1 })
    };
    assert_eq!(server.ask("schedule.create", &schedule("{{.id}}".repeat(1 << 16))).0, 400);
    server.done("schedule.create", &schedule("{{.id}}/{{.timestamp}}".repeat(10)));
}

#[test]
fn time_is_for_nobody_to_say_but_on_a_server_for_tests() {
    let dir = tempfile::tempdir().unwrap();
    let server = memory(&dir);
    assert_eq!(server.ask("debug.tick", &json!({ "time": 1 })).0, 403);
    let head = json!({ "corrId": "c", "version": "2026-04-01", "resonate:debug_time": 1 });
    let create = json!({ "kind": "promise.create", "head": head, "data": { "id": "x", "timeoutAt": u64::MAX } });
    let made = server.client().post(&create).1;
    assert!(made["data"]["promise"]["createdAt"].as_u64().unwrap() > 1_000_000_000_000, "{made}");
    let mut kept = Command::new(beside("everstep"));
    kept.args(["serve", "--listen", "127.0.0.1:0", "--store", "store", "--debug"]).current_dir(dir.path());
    assert_eq!(kept.output().unwrap().status.code(), Some(2));
    let debug = Server::start(dir.path(), &["--store", "memory", "--debug"]);
    debug.done("debug.tick", &json!({ "time": u64::MAX }));
    debug.done(
        "task.create",
        &json!({ "pid": "p", "ttl": u64::MAX, "action": { "kind": "promise.create", "data": {
        "id": "far", "timeoutAt": u64::MAX, "tags": { "resonate:target": "poll://any@g" } } } }),
    );
    assert_eq!(debug.ask("debug.tick", &json!({ "time": "now" })).0, 400);
}
