//! `everstep serve` and workers that are URLs: it posts to them what others poll for.
//!
//! One place: it drives the program, whose store is a folder.

use crate::python::beside;
use crate::serve::{Server, now};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request that came: its head in lower case, and its body.
struct Posted {
    head: String,
    body: Value,
}

/// Takes messages as long as the test runs.
struct Url {
    address: String,
    posted: Receiver<Posted>,
}

impl Url {
    /// `answer` gives the rest of the answer to a path, from its status on, when it is time for it.
    fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, posted) = channel();
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (sender, answer) = (sender.clone(), Arc::clone(&answer));
                std::thread::spawn(move || serve(&stream.unwrap(), &sender, &*answer));
            }
        });
        Self { address, posted }
    }

    fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn next(&self) -> Posted {
        self.posted.recv_timeout(PATIENCE).unwrap()
    }
}

fn serve(stream: &TcpStream, sender: &Sender<Posted>, answer: &(impl Fn(&str) -> String + ?Sized)) {
    let mut lines = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if lines.read_line(&mut head).unwrap_or_default() == 0 {
                return;
            }
        }
        let head = head.to_lowercase();
        let length = head.split_once("content-length: ").unwrap().1.split("\r\n").next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        lines.read_exact(&mut body).unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        // The test may have ended.
        let _ = sender.send(Posted { head, body: serde_json::from_slice(&body).unwrap() });
        let answer = format!("HTTP/1.1 {}\r\ncontent-length: 0\r\n\r\n", answer(&path));
        if (&*stream).write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn ok(_: &str) -> String {
    "200 OK".to_owned()
}

#[test]
fn a_message_is_posted_to_the_url_that_is_named() {
    let url = Url::start(ok);
    for store in ["memory", "store"] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "it is us\n").unwrap();
        let allowed = url.at("/hooks");
        let args = ["--store", store, "--push", &allowed, "--push-token-file", "token"];
        let server = Server::start(dir.path(), &args);
        server.create("job", &json!({ "resonate:target": url.at("/hooks/a?b=c") }));
        let Posted { head, body } = url.next();
        assert!(head.starts_with("post /hooks/a?b=c http/1.1\r\n"), "{head}");
        for line in
            ["content-type: application/json", "authorization: bearer it is us", &format!("host: {}", url.address)]
        {
            assert!(head.contains(line), "{head}");
        }
        let data = json!({ "task": { "id": "job", "version": 0 } });
        let head = json!({ "serverUrl": format!("http://{}", server.address) });
        assert_eq!(body, json!({ "kind": "execute", "head": head, "data": data }));
        server.done("task.acquire", &json!({ "id": "job", "version": 0, "pid": "p", "ttl": 600_000 }));
        server.done("promise.register_listener", &json!({ "awaited": "job", "address": url.at("/hooks") }));
        server.done("promise.settle", &json!({ "id": "job", "state": "resolved", "value": { "data": "NDI=" } }));
        let body = url.next().body;
        assert_eq!((&body["kind"], &body["data"]["promise"]["value"]), (&json!("unblock"), &json!({ "data": "NDI=" })));
        let metrics = server.http("GET /metrics", b"").1;
        assert!(metrics.contains("everstep_pushes_failed_total 0"), "{metrics}");
    }
}

#[test]
fn no_url_is_sent_to_that_nobody_has_named() {
    let dir = tempfile::tempdir().unwrap();
    let closed = Server::start(dir.path(), &["--store", "memory"]);
    let open = Server::start(dir.path(), &["--store", "memory", "--push", "http://127.0.0.1:9/hooks"]);
    let any = Server::start(dir.path(), &["--store", "memory", "--push", "any"]);
    let long = format!("http://127.0.0.1:9/hooks/{}", "x".repeat(1 << 20));
    for (server, address) in [
        (&closed, "http://127.0.0.1:9/hooks"),
        (&open, "http://127.0.0.1:9/"),
        (&open, "http://127.0.0.1:9/hooks/../x"),
        (&open, "http://user:word@127.0.0.1:9/hooks"),
        (&open, "https://127.0.0.1:9/hooks"),
        (&open, &long),
        (&any, "http://127.0.0.1:9/hooks"),
        (&any, "http://[::1]:9/hooks"),
        (&any, "http://169.254.169.254/latest"),
    ] {
        let tags = json!({ "resonate:target": address });
        let create = json!({ "id": "x", "timeoutAt": now() + 3_600_000, "tags": tags });
        let action = json!({ "kind": "promise.create", "head": {}, "data": create });
        let schedule =
            json!({ "id": "s", "cron": "* * * * *", "promiseId": "y", "promiseTimeout": 1, "promiseTags": tags });
        for (kind, data) in [
            ("promise.create", create),
            ("task.create", json!({ "pid": "p", "ttl": 1000, "action": action })),
            ("promise.register_listener", json!({ "awaited": "x", "address": address })),
            ("schedule.create", schedule),
        ] {
            let (status, why) = server.ask(kind, &data);
            let shown = &address[..address.len().min(60)];
            assert_eq!(status, 400, "{kind} {shown}: {why}");
        }
    }
    let (_, why) = closed.ask("promise.register_listener", &json!({ "awaited": "x", "address": "http://a.b/c" }));
    assert!(why.as_str().unwrap().contains("--push"), "{why}");
    for (args, remedy) in [
        (&["--push", "a.b"][..], "https://example.org/hooks"),
        (&["--push-token-file", "token"], "--push"),
        (&["--push", "any", "--push-ca", "nothing.pem"], "nothing.pem"),
    ] {
        let mut command = Command::new(beside("everstep"));
        let refused = command.args(["serve", "--store", "memory"]).args(args).current_dir(dir.path()).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.status.code() == Some(2) && said.contains(remedy), "{said}");
    }
}

#[test]
fn what_a_url_does_not_take_is_offered_again_and_no_redirect_is_followed() {
    let refusals = Mutex::new(vec!["503 Busy", "404 None"]);
    let url = Url::start(move |path| match path {
        "/moved" => "302 Found\r\nlocation: /elsewhere".to_owned(),
        "/refuses" => refusals.lock().unwrap().pop().unwrap_or("204 Done").to_owned(),
        _ => ok(path),
    });
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--store", "memory", "--push", &url.at("")]);
    let started = now();
    server.create("moved", &json!({ "resonate:target": url.at("/moved") }));
    assert_eq!(url.next().body["data"]["task"]["id"], "moved");
    server.create("job", &json!({ "resonate:target": url.at("/refuses") }));
    for _ in 0..3 {
        let Posted { head, body } = url.next();
        assert!(head.starts_with("post /refuses "), "{head}");
        assert_eq!(body["data"]["task"], json!({ "id": "job", "version": 0 }));
    }
    assert!(now() - started >= 3000, "after one second, then after two");
    // Nobody answers there.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::start(dir.path(), &["--store", "memory", "--push", &format!("http://{gone}")]);
    server.create("job", &json!({ "resonate:target": format!("http://{gone}/x") }));
    server.done("promise.register_listener", &json!({ "awaited": "job", "address": format!("http://{gone}/y") }));
    server.done("promise.settle", &json!({ "id": "job", "state": "resolved" }));
    let failed = || server.http("GET /metrics", b"").1.contains("everstep_pushes_failed_total 2");
    let deadline = now() + 60_000;
    while !failed() {
        assert!(now() < deadline);
    }
}

#[test]
fn a_url_that_does_not_answer_keeps_no_other_waiting() {
    let end = Arc::new((Mutex::new(false), Condvar::new()));
    let never = Arc::clone(&end);
    let slow = Url::start(move |_| {
        let ended = never.1.wait_while(never.0.lock().unwrap(), |ended| !*ended).unwrap();
        drop(ended);
        ok("")
    });
    let quick = Url::start(ok);
    let dir = tempfile::tempdir().unwrap();
    let args = ["--store", "memory", "--push", &slow.at(""), "--push", &quick.at("")];
    let mut server = Server::start(dir.path(), &args);
    let mut client = server.client();
    let mut create = |id: String, target: String| {
        let head = json!({ "corrId": "1", "version": "2026-04-01" });
        let data = json!({ "id": id, "timeoutAt": now() + 3_600_000, "tags": { "resonate:target": target } });
        assert_eq!(client.post(&json!({ "kind": "promise.create", "head": head, "data": data })).0, 200);
    };
    // More of them than are under way to one receiver, and to more addresses than there are turns.
    (0..400).for_each(|number| create(format!("slow-{number}"), slow.at(&format!("/{}", number % 20))));
    (0..1000).for_each(|number| create(format!("quick-{number}"), quick.at(&format!("/{number}"))));
    let ids: std::collections::BTreeSet<_> =
        (0..1000).map(|_| quick.next().body["data"]["task"]["id"].to_string()).collect();
    assert_eq!(ids.len(), 1000);
    (0..256).for_each(|_| drop(slow.next()));
    assert!(slow.posted.try_recv().is_err(), "no more than so many at once");
    // What waits leaves before the end.
    let pid = rustix::process::Pid::from_child(&server.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    *end.0.lock().unwrap() = true;
    end.1.notify_all();
    (256..400).for_each(|_| drop(slow.next()));
    assert_eq!(server.child.wait().unwrap().code(), Some(143));
}
