//! Clients and workers in other languages beside hosts of ours: what they write and read on the wire. `tests/sdk` has programs of the SDKs.
//!
//! One place: it is about workers on a server.

use crate::promises::open;
use crate::remote::{desk, each, stored, until, worker};
use crate::serve::{Client, now};
use crate::support::{BEHAVIOUR, Place, eventually, failure, id, parse, policy, result, run, soon};
use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use everstep::store::{FailureKind, Query, State};
use everstep::{Cancellation, ErrorCode, Everstep, Policy};
use everstep_resonate::Manner;
use serde_json::{Value, json};
use std::net::TcpStream;
use std::time::Duration;

/// A client, or a worker of the group `other`, that knows nothing of this host.
struct Others(String);

impl Others {
    fn at(place: &Place) -> Self {
        Self(place.url().trim_start_matches("http://").to_owned())
    }

    fn ask(&self, kind: &str, data: Value) -> (u16, Value) {
        let stream = TcpStream::connect(&self.0).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let head = json!({ "corrId": "1", "version": "2026-04-01" });
        let (status, mut answer) = Client::new(stream).post(&json!({ "kind": kind, "head": head, "data": data }));
        (status, answer["data"].take())
    }

    #[track_caller]
    fn done(&self, kind: &str, data: Value) -> Value {
        let (status, data) = self.ask(kind, data);
        assert_eq!(status, 200, "{kind}: {data}");
        data
    }

    /// Calls a function by its name, with arguments as they are written.
    fn call(&self, id: &str, origin: &str, function: &str, args: &Value) {
        self.call_in("default", id, origin, &json!({ "func": function, "args": args, "version": 1 }));
    }

    /// Calls a function of a group.
    fn call_in(&self, group: &str, id: &str, origin: &str, param: &Value) {
        let param = json!({ "data": encoded(param) });
        let target = format!("poll://any@{group}");
        let tags = json!({ "resonate:target": target, "resonate:scope": "global", "resonate:origin": origin });
        self.done("promise.create", json!({ "id": id, "timeoutAt": now() + 3_600_000, "param": param, "tags": tags }));
    }

    /// A promise, once it is there and has settled, unless it may be pending.
    async fn promise(&self, id: &str, pending: bool) -> Value {
        eventually(id, async || {
            let (status, found) = self.ask("promise.get", json!({ "id": id }));
            let promise = (status == 200).then(|| found["promise"].clone());
            promise.filter(|promise| pending || promise["state"] != "pending")
        })
        .await
    }

    /// The state and the value of a promise, once it has settled.
    async fn outcome(&self, id: &str) -> (String, Value) {
        let promise = self.promise(id, false).await;
        (promise["state"].as_str().unwrap().to_owned(), decoded(&promise["value"]))
    }

    /// Runs what is called for the group `other`, and ends it like this.
    async fn work(&self, id: &str, state: &str, value: &Value) -> Value {
        let promise = self.promise(id, true).await;
        self.done("task.acquire", json!({ "id": id, "version": 0, "pid": "others", "ttl": 60_000 }));
        let settle = json!({ "id": id, "state": state, "value": value });
        let action = json!({ "kind": "promise.settle", "head": {}, "data": settle });
        self.done("task.fulfill", json!({ "id": id, "version": 1, "action": action }));
        promise
    }
}

fn encoded(value: &Value) -> String {
    BASE64.encode(value.to_string())
}

fn decoded(value: &Value) -> Value {
    let data = value["data"].as_str().map(|data| BASE64.decode(data).unwrap()).unwrap_or_default();
    if data.is_empty() { Value::Null } else { serde_json::from_slice(&data).unwrap() }
}

/// A worker whose functions are called by name.
async fn serving(place: &Place, policy: &Policy) -> Everstep {
    let worker = worker(place).build().unwrap();
    worker.serve(&BEHAVIOUR, policy).await.unwrap();
    worker
}

#[test]
fn a_function_is_called_by_its_name_however_others_write_its_arguments() {
    each(async |place| {
        let (others, _worker) = (Others::at(place), serving(place, &policy()).await);
        for (name, function, args, outcome) in [
            ("two", "adds", json!([1, 2]), ("resolved", json!(3))),
            ("one", "same", json!([{ "a": [7] }]), ("resolved", json!({ "a": [7] }))),
            ("bare", "same", json!("7"), ("resolved", json!("7"))),
            ("list", "same", json!([[7]]), ("resolved", json!([7]))),
            ("none", "same", json!([]), ("resolved", Value::Null)),
            ("null", "same", Value::Null, ("resolved", Value::Null)),
            ("fails", "fails", json!(["no seat"]), ("rejected", json!({ "__type": "error", "message": "no seat" }))),
        ] {
            others.call(name, name, function, &args);
            let (state, value) = others.outcome(name).await;
            assert_eq!((state.as_str(), value), outcome, "{name}");
        }
    });
}

#[test]
fn arguments_by_name_reach_the_function_behind_the_others() {
    each(async |place| {
        let (others, _worker) = (Others::at(place), serving(place, &policy()).await);
        for (name, function, args, named, outcome) in [
            ("named", "same", json!([]), json!({ "a": 1 }), json!({ "a": 1 })),
            ("both", "same", json!([1]), json!({ "b": 2 }), json!([1, { "b": 2 }])),
            ("pair", "add", json!([]), json!({ "a": 1, "b": 2 }), json!(3)),
        ] {
            others.call_in("default", name, name, &json!({ "func": function, "args": args, "kwargs": named }));
            assert_eq!(others.outcome(name).await, ("resolved".to_owned(), outcome), "{name}");
        }
        let named = json!({ "func": "add", "args": [], "kwargs": { "a": 1, "c": 2 } });
        others.call_in("default", "unknown", "unknown", &named);
        let (state, error) = others.outcome("unknown").await;
        assert!(state == "rejected" && error["message"].as_str().unwrap().contains("missing field `b`"), "{error}");
    });
}

#[test]
fn what_others_have_started_is_listed_once_a_worker_has_begun_it() {
    each(async |place| {
        let (desk, others) = (desk(place), Others::at(place));
        others.call("early", "early", "same", &json!([1]));
        others.call_in("other", "theirs", "theirs", &json!({ "func": "same", "args": [1], "version": 1 }));
        let listed = async |query: Query| {
            let (mut list, mut ids) = (desk.reader().list(query), Vec::new());
            while let Some(execution) = list.next().await.unwrap() {
                ids.push((execution.id.to_string(), execution.function, execution.state));
            }
            ids
        };
        assert_eq!(listed(Query::default()).await, []);
        let _worker = serving(place, &policy()).await;
        others.outcome("early").await;
        others.call("later", "later", "asks", &json!([]));
        soon("the end", desk.submit(run("same", "7").with_id(id("ours"))).await.unwrap().wait()).await.unwrap();
        until(&desk, "later", State::Suspended).await;
        let [early, later] = [("early", "same", State::Completed), ("later", "asks", State::Suspended)]
            .map(|(id, function, state)| (id.to_owned(), function.to_owned(), state));
        let ours = ("ours".to_owned(), "same".to_owned(), State::Completed);
        let mut all = listed(Query::default()).await;
        all.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(all, [early, later.clone(), ours]);
        assert_eq!(listed(Query { states: vec![State::Suspended], ..Query::default() }).await, [later]);
    });
}

#[test]
fn a_function_that_others_call_has_its_part_of_the_policy_and_no_more() {
    each(async |place| {
        let sections = "[[capability]]\nname = \"print\"\n[functions.prints]\ncapability = []\n";
        let (others, _worker) = (Others::at(place), serving(place, &parse(sections)).await);
        others.call("bare", "bare", "prints", &json!(["here"]));
        let (state, value) = others.outcome("bare").await;
        assert!(state == "rejected" && value["message"].as_str().unwrap().contains("capability \"print\""), "{value}");
    });
}

/// The SDKs put a colon or a dot after the root, and a hash after it for what they detach.
#[test]
fn a_call_is_run_under_whichever_id_an_sdk_gives_it() {
    each(async |place| {
        let (others, _worker) = (Others::at(place), serving(place, &policy()).await);
        let manner = place.manner();
        let dotted = ["p.0", "q.0123456789abcdef", "r.0.1.d0123456789abcde"].map(|id| (id, &id[..1]));
        let colons = ["s:1", "t:d0123456789abc", "u:d0123456789abcdef"].map(|id| (id, &id[..1]));
        let ids = match manner {
            Manner::A | Manner::Permissive => [dotted, colons].concat(),
            Manner::B => dotted[..2].to_vec(),
            Manner::C => colons.to_vec(),
        };
        for (call, origin) in ids {
            others.call(call, origin, "calls", &json!([{ "function": "adds", "args": [1, 2] }]));
            assert_eq!(others.outcome(call).await, ("resolved".to_owned(), json!(3)), "{call} in {manner:?}");
        }
    });
}

#[test]
fn what_others_have_called_is_seen_answered_and_canceled_from_any_host() {
    each(async |place| {
        let (others, _worker, desk) = (Others::at(place), serving(place, &policy()).await, desk(place));
        others.call("x", "x", "asks", &json!([]));
        until(&desk, "x", State::Suspended).await;
        let seen = stored(&desk, "x").await;
        assert_eq!((seen.function.as_str(), seen.component, seen.progress.steps), ("asks", BEHAVIOUR.digest(), 2));
        assert_eq!(open(&desk).await, [id("x").promise(1)]);
        desk.settle(&id("x").promise(1), Ok("5".into())).await.unwrap();
        assert_eq!(others.outcome("x").await, ("resolved".to_owned(), json!(5)));
        assert_eq!(stored(&desk, "x").await.result.as_deref(), Some("5"));
        others.call("y", "y", "asks", &json!([]));
        until(&desk, "y", State::Suspended).await;
        assert_eq!(desk.cancel(&id("y")).await.unwrap(), Cancellation::Canceled);
        let error = json!({ "__type": "error", "message": "it was canceled" });
        assert_eq!(others.outcome("y").await, ("rejected_canceled".to_owned(), error));
        // What no worker of ours has begun is not known here.
        others.call("z", "z", "unheard-of", &json!([]));
        assert!(desk.reader().execution(&id("z")).await.is_err());
    });
}

#[test]
fn a_restart_does_not_refill_the_budget_of_what_others_have_called() {
    each(async |place| {
        let bounded = Policy { limits: parse("[limits.lineage]\npromises = 3").limits, ..policy() };
        let (others, desk) = (Others::at(place), desk(place));
        let first = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (call, origin) = if place.manner() == Manner::B { ("x", "x") } else { ("x:1", "x") };
        others.call(call, origin, "spawns_as_told", &json!([]));
        let serve = serving_in(place, &bounded);
        first.spawn(async move {
            let _worker = serve.await;
            std::future::pending::<()>().await;
        });
        let asked = async || eventually("a question", async || open(&desk).await.pop()).await;
        let before = asked().await;
        desk.settle(&before, Ok("1".into())).await.unwrap();
        // A question, what it was told to start, and another question.
        let second =
            eventually("another question", async || open(&desk).await.pop().filter(|asked| *asked != before)).await;
        until(&desk, call, State::Suspended).await;
        first.shutdown_background();
        let _worker = serving(place, &bounded).await;
        desk.settle(&second, Ok("1".into())).await.unwrap();
        let (state, value) = others.outcome(call).await;
        assert!(
            state == "rejected" && value["message"].as_str().unwrap().contains("limits.lineage.promises"),
            "{value}"
        );
    });
}

/// As `serving`, in another runtime.
fn serving_in(place: &Place, policy: &Policy) -> impl Future<Output = Everstep> + Send + use<> {
    let (builder, policy) = (worker(place), policy.clone());
    async move {
        let worker = builder.build().unwrap();
        worker.serve(&BEHAVIOUR, &policy).await.unwrap();
        worker
    }
}

#[test]
fn a_worker_in_another_language_finds_its_call_and_its_outcome_reaches_the_guest() {
    each(async |place| {
        let (others, desk, _worker) = (Others::at(place), desk(place), worker(place).build().unwrap());
        let separator = if place.manner() == Manner::C { ':' } else { '.' };
        let call = |name: &str, args: Value| {
            let args = json!({ "function": "charge", "args": args, "target": "other" }).to_string();
            run("calls", &args).with_id(id(name))
        };
        let wire = |name: &str| format!("{name}{separator}0");
        for (name, args, listed, value, read) in [
            (
                "one",
                json!(5),
                json!([5]),
                json!({ "data": encoded(&json!({ "ok": 1 })), "headers": {} }),
                json!({ "ok": 1 }),
            ),
            ("none", Value::Null, json!([]), json!({ "data": "", "headers": {} }), Value::Null),
            ("two", json!(["a", [1]]), json!(["a", [1]]), json!({}), Value::Null),
        ] {
            let handle = desk.submit(call(name, args)).await.unwrap();
            let promise = others.work(&wire(name), "resolved", &value).await;
            assert_eq!(decoded(&promise["param"]), json!({ "func": "charge", "args": listed, "version": 1 }));
            let tags = ["target", "scope", "origin", "parent", "branch"]
                .map(|tag| &promise["tags"][format!("resonate:{tag}")]);
            assert_eq!(tags, ["poll://any@other", "global", name, name, &wire(name)]);
            let report = soon("the end", handle.wait()).await.unwrap();
            assert_eq!(serde_json::from_str::<Value>(result(&report)).unwrap(), read, "{name}");
        }
        let typed =
            json!({ "__type": "error", "message": "no funds", "name": "RangeError", "stack": "at /srv/cards.js" });
        for (name, value, message) in [
            ("typed", json!({ "data": encoded(&typed) }), "typed.0: no funds"),
            ("text", json!({ "data": encoded(&json!("no funds")) }), "text.0: no funds"),
            ("empty", json!({ "data": "" }), "empty.0: the promise was rejected without a reason"),
        ] {
            let handle = desk.submit(call(name, json!(["ada", 700]))).await.unwrap();
            others.work(&wire(name), "rejected", &value).await;
            let report = soon("the end", handle.wait()).await.unwrap();
            assert_eq!(failure(&report), (FailureKind::Returned(ErrorCode::Failed), message));
        }
    });
}

/// What the SDK for TypeScript makes by `ctx.promise` has no other mark.
#[test]
fn a_promise_that_is_global_may_be_awaited_in_every_dialect() {
    each(async |place| {
        let (others, manner) = (Others::at(place), place.manner());
        others.call("x", "x", "f", &json!([]));
        others.done("task.acquire", json!({ "id": "x", "version": 0, "pid": "others", "ttl": 60_000 }));
        let separator = if manner == Manner::C { ':' } else { '.' };
        let suspended = |number: u64, scope: &str| {
            let awaited = format!("x{separator}{number}");
            let tags = json!({ "resonate:scope": scope, "resonate:origin": "x" });
            others.done("promise.create", json!({ "id": awaited, "timeoutAt": now() + 3_600_000, "tags": tags }));
            let callback = json!({ "awaiter": "x", "awaited": awaited });
            let action = json!({ "kind": "promise.register_callback", "head": {}, "data": callback });
            others.ask("task.suspend", json!({ "id": "x", "version": 1, "actions": [action] })).0
        };
        if manner == Manner::C {
            assert_eq!(suspended(0, "local"), 422);
        }
        assert_eq!(suspended(1, "global"), 200, "{manner:?}");
    });
}
