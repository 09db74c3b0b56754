//! What a process tells of itself: `traces` are read by a collector, `metrics` as Prometheus does, `log` is the log; none of them holds
//! what a guest computes with.
//!
//! The collector and the reader of metrics are programs of Python (`tests/observe`), which `scripts/clients.sh` makes ready.
//!
//! One place: it is about processes, whose stores are a folder or on a server.

mod log;
mod metrics;
mod traces;

use crate::cli_travel::Desk;
use crate::network::servers::ok;
use crate::remote_commands::{Process, until};
use crate::site::Site;
use everstep_tests::guests;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A program of `tests/observe`.
fn python(program: &str) -> Command {
    let python = guests::project().join("target/clients/bin/python");
    assert!(python.exists(), "there is no {}: run scripts/clients.sh", python.display());
    let mut command = Command::new(python);
    command.arg(guests::project().join("tests/observe").join(program));
    command
}

/// A collector in a process, and the spans that it has received.
struct Collector {
    url: String,
    dir: TempDir,
    _process: Process,
}

impl Collector {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = python("collector.py");
        command.arg(dir.path().join("spans.jsonl"));
        let process = Process::start(command);
        let url = process.until_said("collecting at ").split_whitespace().last().unwrap().to_owned();
        Self { url, dir, _process: process }
    }

    /// All spans as the collector has written them down.
    fn text(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("spans.jsonl")).unwrap()
    }

    fn spans(&self) -> Vec<Value> {
        // The last line may not be whole yet.
        self.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for a span of a service.
    fn until(&self, service: &str, name: &str, fields: &[(&str, Value)]) -> Value {
        until(&format!("{service} {name} {fields:?}"), || {
            self.spans().into_iter().find(|span| is(span, service, name, fields))
        })
    }

    /// Has a command send its spans here, soon, as those of a service.
    fn hear(&self, command: &mut Command, service: &str) {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &self.url).env("OTEL_SERVICE_NAME", service);
        command.env("OTEL_BSP_SCHEDULE_DELAY", "50");
    }
}

fn is(span: &Value, service: &str, name: &str, fields: &[(&str, Value)]) -> bool {
    let of_service = span["resource"]["service.name"] == service;
    of_service && span["name"] == name && fields.iter().all(|(field, value)| span["attributes"][*field] == *value)
}

/// A site, and a folder with a policy that grants it.
fn desk_with_a_site() -> (Desk, Site) {
    let (desk, site) = (Desk::new(), Site::start(|_| ok("page")));
    std::fs::write(desk.dir.path().join("web.toml"), policy(&site)).unwrap();
    (desk, site)
}

fn policy(site: &Site) -> String {
    let grants = ["print", "input", "call"].map(|name| format!("[[capability]]\nname = \"{name}\"\n")).concat();
    let grants = grants + "groups = [\"other\"]\n";
    format!(
        "version = 1\n[clock]\nmode = \"recorded\"\n[random]\nmode = \"seeded\"\n{grants}\
        [network]\nblock = [\"non-global\"]\nallow = [\"127.0.0.1/32\"]\n[[fetch]]\nid = \"site\"\nurl = \"{}\"\nmethods = [\"GET\", \"POST\"]\n",
        site.url("/**")
    )
}

/// A run of `traced` by command.
fn traced(desk: &Desk, site: &Site, group: &str, asks: bool) -> Command {
    let args = json!({ "url": site.url(""), "group": group, "asks": asks }).to_string();
    desk.command(&["run", &desk.component, "traced", "--args", &args, "--policy", "web.toml", "--id", "x"])
}

/// The values of a header in the requests to a path of the site, one for each request.
fn headers_at(site: &Site, path: &str, name: &str) -> Vec<Vec<String>> {
    let requests = site.requests();
    let at = requests.iter().filter(|request| request.line().split(' ').nth(1) == Some(path));
    at.map(|request| request.header(name).iter().map(|value| (*value).to_owned()).collect()).collect()
}

/// The body of the answer to a request to `http://ADDRESS`.
fn http(url: &str, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    write!(stream, "{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// An operation of the Resonate protocol; returns the data of its answer.
fn ask(url: &str, kind: &str, data: &Value) -> Value {
    let head = json!({ "corrId": "1", "version": "2026-04-01" });
    let body = json!({ "kind": kind, "head": head, "data": data }).to_string();
    let answer: Value = serde_json::from_str(&http(url, "POST /", &body)).unwrap();
    assert_eq!(answer["head"]["status"], 200, "{kind}: {answer}");
    answer["data"].clone()
}

/// The samples of a page of metrics, as Prometheus reads them.
struct Samples(Vec<(String, Value, f64)>);

impl Samples {
    fn read(page: &str) -> Self {
        let mut reader = python("metrics.py").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        reader.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let output = reader.wait_with_output().unwrap();
        assert!(output.status.success(), "{page}");
        Self(serde_json::from_slice(&output.stdout).unwrap())
    }

    /// The value of a sample; 0 if there is none.
    fn value(&self, name: &str, labels: &Value) -> f64 {
        let found = self.0.iter().find(|(known, of, _)| known == name && of == labels);
        found.map_or(0.0, |(_, _, value)| *value)
    }
}
