//! The record of the traffic of `everstep serve`: its form, what a replay of it answers, and what a kill or a bad file leaves.
//!
//! One place: it is about the traffic of a server.

use crate::promises::open;
use crate::remote_commands::until;
use crate::serve::{Client, Server, now};
use crate::support::{Calls, eventually, id, life, quick, result, run, soon};
use everstep::{Everstep, Scope};
use everstep_tests::guests;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The operations that the form has a place for.
const KINDS: [&str; 18] = [
    "promise.get",
    "promise.create",
    "promise.settle",
    "promise.register_callback",
    "promise.register_listener",
    "task.get",
    "task.create",
    "task.acquire",
    "task.fence",
    "task.heartbeat",
    "task.suspend",
    "task.fulfill",
    "task.release",
    "task.halt",
    "task.continue",
    "schedule.get",
    "schedule.create",
    "schedule.delete",
];

/// One line.
struct Line {
    kind: String,
    now: u64,
    req: Value,
    res: Value,
}

/// The lines of a record. Whatever is not of the form fails.
fn read(file: &Path) -> Vec<Line> {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole");
    let lines: Vec<Line> = text.lines().map(read_line).collect();
    assert!(lines.is_sorted_by_key(|line| line.now), "time goes on");
    lines
}

fn read_line(text: &str) -> Line {
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).unwrap();
    let in_order = ["kind", "now", "req", "res"].map(|name| format!("\"{name}\":{}", fields[name])).join(",");
    assert_eq!(text, format!("{{{in_order}}}"));
    let value = |name: &str| serde_json::from_str::<Value>(fields[name].get()).unwrap();
    let (kind, now) = (value("kind").as_str().unwrap().to_owned(), value("now").as_u64().unwrap());
    let (req, res) = (value("req"), value("res"));
    assert!(KINDS.contains(&kind.as_str()) && req.is_object(), "{text}");
    let status = res["head"]["status"].as_u64().unwrap();
    let head = json!({ "corrId": res["head"]["corrId"].as_str().unwrap(), "status": status, "version": "2026-04-01" });
    assert_eq!(res, json!({ "kind": kind, "head": head, "data": res["data"] }), "{text}");
    assert!(if [200, 300].contains(&status) { res["data"].is_object() } else { res["data"].is_string() }, "{text}");
    Line { kind, now, req, res }
}

/// Makes the same requests of a server whose time they set, and compares the answers. What is due at the time of a request has happened.
fn replay(server: &Server, lines: &[Line]) {
    let mut client = server.client();
    for (number, Line { kind, now, req, res }) in lines.iter().enumerate() {
        let mut ask = |kind: &str, data: &Value| {
            let head = json!({ "corrId": res["head"]["corrId"], "version": "2026-04-01", "resonate:debug_time": now });
            client.post(&json!({ "kind": kind, "head": head, "data": data })).1
        };
        ask("debug.tick", &json!({ "time": now }));
        assert_eq!(&ask(kind, req), res, "line {number}: {req}");
    }
}

/// Lets a worker run functions that call, ask, sleep, race, and settle; a person answers.
async fn work(url: &str) {
    let behaviour = guests::fixture("behaviour").unwrap();
    let connection = async || everstep::Server::connect(url, None).await.unwrap();
    let worker = quick(Everstep::at(connection().await).component(behaviour.into())).scope(Scope::Everything);
    let worker = worker.capability("echo", Calls::default().echo()).keep_warm(Duration::ZERO).build().unwrap();
    let desk = quick(Everstep::at(connection().await)).build().unwrap();
    let call = json!({ "function": "adds", "args": [1, 2] }).to_string();
    let mut handles = Vec::new();
    for (name, function, args) in [
        ("calls", "calls", call.as_str()),
        ("sleeps", "only_sleeps", "[0,1,20,5]"),
        ("races", "races_timers", "null"),
        ("settles", "settles_its_own", "null"),
        ("fails", "fails", r#""no seat left""#),
    ] {
        handles.push(desk.submit(run(function, args).with_id(id(name))).await.unwrap());
    }
    let asks = desk.submit(run("asks", "null").with_id(id("asks"))).await.unwrap();
    let asked =
        eventually("the question", async || open(&desk).await.into_iter().find(|it| it.execution == id("asks")));
    desk.settle(&asked.await, Ok("5".into())).await.unwrap();
    assert_eq!(result(&soon("the end", asks.wait()).await.unwrap()), "5");
    for handle in handles {
        soon("the end", handle.wait()).await.unwrap();
    }
    drop(worker);
}

#[test]
fn a_replay_of_the_record_answers_what_the_server_did() {
    for dialect in ["a", "b", "c", "permissive"] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(dir.path(), &["--store", "memory", "--dialect", dialect, "--record", "record"]);
        life(work(&format!("http://{}", server.address)));
        let lines = read(&dir.path().join("record"));
        for kind in ["promise.create", "task.acquire", "task.fence", "task.suspend", "task.fulfill", "promise.settle"] {
            assert!(lines.iter().any(|line| line.kind == kind), "{dialect}: {kind}");
        }
        let fresh = Server::start(dir.path(), &["--store", "memory", "--dialect", dialect, "--debug"]);
        replay(&fresh, &lines);
    }
}

#[test]
fn requests_that_the_store_refuses_are_in_the_record_and_those_that_do_not_reach_it_are_not() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("token"), "a-token-of-the-server\n").unwrap();
    let args = ["--store", "memory", "--dialect", "b", "--debug", "--record", "record", "--token-file", "token"];
    let server = Server::start(dir.path(), &args);
    let mut client = server.client();
    let head = json!({
        "corrId": "c", "version": "2026-04-01", "auth": "a-token-of-the-server", "resonate:debug_time": 1000
    });
    let mut ask = |kind: &str, data: Value| client.post(&json!({ "kind": kind, "head": head, "data": data })).0;
    let target = json!({ "resonate:target": "poll://any@g", "resonate:origin": "x" });
    let new = json!({ "id": "x", "timeoutAt": 9000, "tags": target });
    let action = json!({ "kind": "promise.create", "head": { "auth": "a-token-of-the-server", "k": 1 }, "data": new });
    assert_eq!(ask("task.create", json!({ "pid": "p", "ttl": 5000, "action": action })), 200);
    let wait = json!({
        "kind": "promise.register_callback", "head": { "auth": "a-token-of-the-server" },
        "data": { "awaiter": "x", "awaited": "x.1" }
    });
    assert_eq!(ask("task.suspend", json!({ "id": "x", "version": 1, "actions": [wait] })), 422);
    assert_eq!(ask("promise.get", json!({ "id": "y" })), 404);
    assert_eq!(ask("promise.create", json!({ "id": "y", "timeoutAt": 1, "tags": { "resonate:origin": "x" } })), 400);
    assert_eq!(ask("schedule.get", json!({ "id": "y" })), 404);
    // None of these has a place.
    assert_eq!(ask("promise.search", json!({})), 200);
    assert_eq!(ask("debug.tick", json!({ "time": 2000 })), 200);
    assert_eq!(ask("promise.fly", json!({})), 400);
    assert_eq!(ask("promise.create", json!({ "id": "z" })), 400);
    assert_eq!(server.ask("promise.get", &json!({ "id": "x" })).0, 401);
    let text = fs::read_to_string(dir.path().join("record")).unwrap();
    assert!(!text.contains("a-token-of-the-server"), "{text}");
    let lines = read(&dir.path().join("record"));
    let told: Vec<_> =
        lines.iter().map(|line| (line.kind.as_str(), line.now, line.res["head"]["status"].as_u64().unwrap())).collect();
    let expected = [
        ("task.create", 1000, 200),
        ("task.suspend", 1000, 422),
        ("promise.get", 1000, 404),
        ("promise.create", 1000, 400),
        ("schedule.get", 1000, 404),
    ];
    assert_eq!(told, expected);
    assert_eq!(lines[0].req["action"]["head"], json!({ "k": 1 }), "the rest is as it was sent");
}

#[test]
fn a_killed_server_leaves_whole_lines_and_the_next_one_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("record");
    let args = ["--store", "store", "--record", "record"];
    let mut answered = 0;
    for round in 0..3 {
        let mut server = Server::start(dir.path(), &args);
        let clients: Vec<_> = (0..4).map(|number| (format!("{round}-{number}"), server.client())).collect();
        let before = fs::metadata(&file).unwrap().len();
        let posting: Vec<_> =
            clients.into_iter().map(|(name, client)| std::thread::spawn(|| posted(client, name))).collect();
        until("a record", || (fs::metadata(&file).unwrap().len() >= before + 200_000).then_some(()));
        server.child.kill().unwrap();
        server.child.wait().unwrap();
        answered += posting.into_iter().map(|client| client.join().unwrap()).sum::<usize>();
    }
    drop(Server::start(dir.path(), &args));
    let lines = read(&file).len();
    assert!(lines >= answered && answered > 0, "{lines} lines of {answered} answers");
}

/// How many requests were answered until the server was gone.
fn posted(mut client: Client, name: String) -> usize {
    let head = json!({ "corrId": "c", "version": "2026-04-01" });
    let request = |count: u64| {
        let data =
            json!({ "id": format!("{name}-{count}"), "timeoutAt": now() + 3_600_000, "param": { "data": "MTIz" } });
        json!({ "kind": "promise.create", "head": head, "data": data })
    };
    (0..).take_while(|count| client.try_post(&request(*count)).is_ok()).count()
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("folder")).unwrap();
    fs::write(dir.path().join("old"), "{}\n").unwrap();
    let taken = Server::start(dir.path(), &["--store", "memory", "--record", "taken"]);
    for (file, why) in [
        ("folder", "Is a directory"),
        ("nowhere/record", "No such file"),
        ("/dev/full", "it is no regular file"),
        ("taken", "another server records to it"),
        ("old", "it holds the record of another store"),
    ] {
        let mut command = Command::new(crate::python::beside("everstep"));
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--store", "memory", "--record", file])
            .current_dir(dir.path());
        let ended = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{said}");
        assert!(said.starts_with(&format!("error: cannot record to {file}: ")) && said.contains(why), "{said}");
    }
    assert_eq!(taken.ask("promise.get", &json!({ "id": "x" })).0, 404);
}

/// The record ends where a limit of the system ends the file; the server says so once, and goes on.
#[test]
fn a_disk_that_fills_ends_the_record_and_not_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    // A file may have at most 64 blocks of 512 bytes or of 1,024; a write beyond that fails, since the signal is ignored.
    command.args([
        "-c",
        "trap '' XFSZ; ulimit -f 64; exec \"$0\" serve --listen 127.0.0.1:0 --store memory --record record",
    ]);
    let said = dir.path().join("said");
    let err = fs::File::create(&said).unwrap();
    let mut command = command.arg(crate::python::beside("everstep")).current_dir(dir.path()).env_remove("EVERSTEP_LOG");
    command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(err);
    let child = command.spawn().unwrap();
    let address = until("the address", || {
        let said = fs::read_to_string(&said).unwrap();
        let address = said.split_once("http://")?.1.strip_suffix('\n')?;
        Some(address.trim().to_owned())
    });
    let server = Server { child, address };
    for number in 0..300 {
        server.create(&format!("p{number}"), &json!({ "padding": "x".repeat(100) }));
    }
    let lines = read(&dir.path().join("record"));
    assert!(!lines.is_empty() && lines.len() < 300, "{} lines", lines.len());
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(line.req["id"], json!(format!("p{number}")), "none is missing in between");
    }
    let said = fs::read_to_string(&said).unwrap();
    assert_eq!(said.matches("the record of the traffic cannot be written").count(), 1, "{said}");
}
