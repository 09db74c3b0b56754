//! What servers of the Resonate project answered when the runs of its specification were recorded (`spec/valid/traces` and
//! `spec/spec/06-trace/traces` of resonatehq/resonate, licensed under Apache-2.0), restated in `tests/serve/traces`, one line for each
//! exchange: `TIME OPERATION ARGUMENTS -> STATUS PROMISE TASK`. A promise is its state and when it was created and settled, a task its
//! state, version, number of resumes and holder; the rest of a record is what it was created with.
//!
//! Not here: `resonate-sqlite-200wf`, whose clock was two clocks, and `resonate-sdk-fan-out`, which is `resonate-sdk-fanout` with more
//! clients. What comes with a task or a fenced write is not compared, as the recorder saw concurrent answers in another order.
//!
//! One place: it is about what `serve` answers.

use crate::serve::{Client, Server};
use everstep_tests::guests::project;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A server, and what its promises were created with.
struct Replay {
    client: Client,
    created: BTreeMap<String, Value>,
    values: BTreeMap<String, Value>,
    /// What ends the origin of an id.
    separator: &'static str,
}

fn trace(name: &str) -> String {
    let text = std::fs::read_to_string(project().join(format!("tests/serve/traces/{name}.txt"))).unwrap();
    text.lines().filter(|line| !line.starts_with("# ")).map(|line| format!("{line}\n")).collect()
}

/// Replays a trace against a fresh server of each dialect that it applies to; ids of dialect C have a colon after their origin.
fn replay(text: &str, dialects: &[&str]) {
    for dialect in dialects {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(dir.path(), &["--store", "memory", "--debug", "--dialect", dialect]);
        let separator = if *dialect == "c" { ":" } else { "." };
        let (client, created, values) = (server.client(), BTreeMap::new(), BTreeMap::new());
        let mut replay = Replay { client, created, values, separator };
        for line in text.lines() {
            replay.exchange(line).unwrap_or_else(|why| panic!("dialect {dialect}, {line}: {why}"));
        }
    }
}

fn tags(id: &str, root: &str, of: &str) -> Value {
    let mut tags = json!({ "resonate:origin": root });
    let more = match of {
        "external" => json!({ "resonate:external": "true" }),
        "target" => json!({ "resonate:target": "poll://any@w1" }),
        _ => {
            let branch = if of == "step" { root } else { id };
            let scope = if of == "step" { "local" } else { "global" };
            json!({ "resonate:branch": branch, "resonate:parent": root, "resonate:scope": scope })
        }
    };
    let most = match of {
        "start" | "call" => json!({ "resonate:target": "poll://any@default" }),
        "sleep" => json!({ "resonate:timer": "true" }),
        _ => json!({}),
    };
    for tag in [more, most] {
        tags.as_object_mut().unwrap().extend(tag.as_object().unwrap().clone());
    }
    tags
}

fn action(kind: &str, data: &Value) -> Value {
    json!({ "kind": kind, "head": {}, "data": data })
}

/// A value that may be absent.
fn value(data: Option<&&str>) -> Value {
    data.map_or(json!({}), |data| json!({ "data": data }))
}

impl Replay {
    fn exchange(&mut self, line: &str) -> Result<(), String> {
        let line = line.replace('.', self.separator);
        let (asked, told) = line.split_once(" -> ").unwrap();
        let asked: Vec<&str> = asked.split(' ').collect();
        let [now, operation, id, arguments @ ..] = &*asked else { panic!("{line}") };
        let (kind, data) = self.request(operation, id, arguments);
        let head =
            json!({ "corrId": "c", "version": "2026-04-01", "resonate:debug_time": now.parse::<u64>().unwrap() });
        let (status, mut answer) = self.client.post(&json!({ "kind": kind, "head": head, "data": data }));
        let told: Vec<&str> = told.split(' ').collect();
        if status.to_string() != told[0] {
            return Err(answer.to_string());
        }
        let found = match kind {
            "task.fence" => answer["data"]["action"]["data"].take(),
            _ => answer["data"].take(),
        };
        let expected = self.expected(id, &told[1..]);
        let fields = ["promise", "task"].map(|field| (&found[field], &expected[field]));
        match status != 200 || fields.iter().all(|(found, expected)| found == expected) {
            true => Ok(()),
            false => Err(format!("{found} and not {expected}")),
        }
    }

    fn request(&mut self, operation: &str, id: &str, arguments: &[&str]) -> (&'static str, Value) {
        let root = id.split(self.separator).next().unwrap();
        let new = |of: &str, until: u64, param: Value| json!({ "id": id, "timeoutAt": until, "param": param, "tags": tags(id, root, of) });
        let number = |at: usize| arguments[at].parse::<u64>().unwrap();
        let held = || json!({ "id": id, "version": number(0) });
        let settled = |at: usize| json!({ "id": id, "state": "resolved", "value": value(arguments.get(at)) });
        let (kind, data) = match operation {
            "get" => ("promise.get", json!({ "id": id })),
            "create" => ("promise.create", new(arguments[0], 900_000, json!({}))),
            "settle" => ("promise.settle", settled(0)),
            "await" => ("promise.register_listener", json!({ "awaited": id, "address": "poll://any@w1" })),
            "listen" => {
                let address = format!("poll://uni@default/{}", arguments[0]);
                ("promise.register_listener", json!({ "awaited": id, "address": address }))
            }
            "task" => ("task.get", json!({ "id": id })),
            "start" => {
                let action = action("promise.create", &new("start", number(1), value(arguments.get(2))));
                ("task.create", json!({ "pid": arguments[0], "ttl": 60_000, "action": action }))
            }
            "acquire" => {
                let version = number(0);
                ("task.acquire", json!({ "id": id, "version": version, "pid": arguments[1], "ttl": 60_000 }))
            }
            "suspend" => {
                let wait =
                    |awaited: &&str| action("promise.register_callback", &json!({ "awaited": awaited, "awaiter": id }));
                let actions: Vec<Value> = arguments[1..].iter().map(wait).collect();
                ("task.suspend", json!({ "id": id, "version": number(0), "actions": actions }))
            }
            "fulfill" => {
                let action = action("promise.settle", &settled(1));
                ("task.fulfill", json!({ "id": id, "version": number(0), "action": action }))
            }
            "release" => ("task.release", held()),
            "step" | "call" | "sleep" => {
                let action = action("promise.create", &new(operation, number(0), value(arguments.get(1))));
                ("task.fence", json!({ "id": root, "version": 1, "action": action }))
            }
            "done" => {
                ("task.fence", json!({ "id": root, "version": 1, "action": action("promise.settle", &settled(0)) }))
            }
            other => panic!("{other}"),
        };
        let of_action = data["action"]["data"].clone();
        for new in [data.clone(), of_action] {
            if new.get("timeoutAt").is_some() {
                self.created.insert(id.to_owned(), new);
            } else if new.get("state").is_some() {
                self.values.insert(id.to_owned(), new["value"].clone());
            }
        }
        (kind, data)
    }

    /// The promise and the task that the trace tells of.
    fn expected(&self, id: &str, told: &[&str]) -> Value {
        let split = told.iter().position(|word| *word == "task").unwrap_or(told.len());
        let (promise, task) = told.split_at(split);
        let number = |text: &&str| text.parse::<u64>().unwrap();
        let mut expected = json!({});
        if let [state, created, settled @ ..] = promise {
            let mut promise = self.created[id].clone();
            promise["state"] = json!(state);
            promise["createdAt"] = json!(number(created));
            promise["value"] = json!({});
            if let [settled] = settled {
                promise["settledAt"] = json!(number(settled));
                promise["value"] = self.values[id].clone();
            }
            expected["promise"] = promise;
        }
        if let [_, state, version, resumes, holder @ ..] = task {
            let (version, resumes) = (number(version), number(resumes));
            let mut task = json!({ "id": id, "state": state, "version": version, "resumes": resumes });
            if let [pid] = holder {
                task["pid"] = json!(pid);
                task["ttl"] = json!(60_000);
            }
            expected["task"] = task;
        }
        expected
    }
}

#[test]
fn two_hundred_workflows_are_answered_as_they_were() {
    let workflow = trace("workflows");
    let moved = |number: u64| {
        let at = |word: &str| {
            word.strip_prefix('+').map(|after| (1000 + 100 * number + after.parse::<u64>().unwrap()).to_string())
        };
        let line =
            |line: &str| line.split(' ').map(|word| at(word).unwrap_or_else(|| word.to_owned())).collect::<Vec<_>>();
        let lines: Vec<String> = workflow.lines().map(|text| line(text).join(" ")).collect();
        lines.join("\n").replace('#', &number.to_string()) + "\n"
    };
    let all: String = (0..200).map(moved).collect();
    assert_eq!(all.lines().count(), 2200);
    replay(&all, &["a", "b", "c", "permissive"]);
}

#[test]
fn runs_of_sdks_are_answered_as_they_were() {
    for name in ["sdk_run", "sdk_fanout", "sdk_rpc", "sdk_sleep"] {
        replay(&trace(name), &["a", "b", "c", "permissive"]);
    }
}

#[test]
fn clients_that_are_too_early_are_answered_as_they_were() {
    replay(&trace("eight_clients"), &["a", "b", "c", "permissive"]);
}

/// The servers of the traces merged what is awaited twice; that of dialect C refuses it, as the specification does.
#[test]
fn what_is_awaited_twice_is_merged_or_refused_as_the_dialect_says() {
    let merged = trace("duplicate_awaited");
    replay(&merged, &["a", "b", "permissive"]);
    let refused = merged.replace("q.a q.a -> 200", "q.a q.a -> 400");
    assert_ne!(refused, merged);
    replay(&refused, &["c"]);
}

/// The cases of `probe-validation-precedence` of the same folder: what is malformed is refused although nothing of that id exists.
#[test]
fn what_is_malformed_is_refused_before_anything_is_looked_up() {
    let wait = |awaited: &str| action("promise.register_callback", &json!({ "awaited": awaited, "awaiter": "o-g" }));
    let suspend = |awaited: &[&str]| {
        let actions: Vec<Value> = awaited.iter().map(|awaited| wait(awaited)).collect();
        json!({ "id": "o-g", "version": 0, "actions": actions })
    };
    let pending = json!({ "id": "o-g", "state": "pending", "value": {} });
    let cases = [
        ("promise.settle", pending.clone(), 400),
        ("promise.settle", json!({ "id": "o-g", "state": "rejected_timedout", "value": {} }), 400),
        ("promise.register_callback", json!({ "awaited": "o-g", "awaiter": "o-g" }), 400),
        ("promise.register_listener", json!({ "awaited": "o-g", "address": "nonsense" }), 400),
        ("task.suspend", suspend(&[]), 400),
        ("task.suspend", suspend(&["o-g"]), 400),
        ("task.fulfill", json!({ "id": "o-g", "version": 0, "action": action("promise.settle", &pending) }), 400),
        ("promise.get", json!({ "id": "o-g" }), 404),
        ("promise.settle", json!({ "id": "o-g", "state": "resolved", "value": {} }), 404),
        ("promise.register_listener", json!({ "awaited": "o-g", "address": "poll://any@w1" }), 404),
        ("task.get", json!({ "id": "o-g" }), 404),
    ];
    for dialect in ["a", "b", "c"] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(dir.path(), &["--store", "memory", "--dialect", dialect]);
        for (kind, data, expected) in &cases {
            // Server 0.9.8 does not look whether a promise awaits itself.
            let expected = if dialect == "a" && *kind == "promise.register_callback" { 404 } else { *expected };
            assert_eq!(server.ask(kind, data).0, expected, "dialect {dialect}: {kind} {data}");
        }
    }
}
