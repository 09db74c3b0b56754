//! Traces, as a collector receives them.

use super::{Collector, ask, desk_with_a_site, headers_at, is, policy, traced};
use crate::cli_travel::Desk;
use crate::remote_commands::{Ground, Process, until};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use everstep::store::{Backend, FileStore};
use rustix::process::Signal;
use serde_json::{Value, json};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const ABOVE: &str = "00f067aa0ba902b7";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A worker whose spans a collector receives.
fn worker(ground: &Ground, collector: &Collector, service: &str, more: &[&str]) -> Process {
    let known = ["worker", &ground.desk.component, "--remote", &ground.url, "--lease", "5s", "--keep-warm", "1h"];
    let mut command = ground.desk.command(&[&known[..], more].concat());
    collector.hear(&mut command, service);
    let worker = Process::start(command);
    worker.until_said("worker of group");
    worker
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// What the site was told is the span of a step.
fn came_from(span: &Value) -> Vec<String> {
    vec![format!("00-{}-{}-01", text(&span["trace"]), text(&span["span"]))]
}

#[test]
fn one_trace_crosses_workers_and_a_resumed_run_links_to_the_one_before() {
    let (ground, collector) = (Ground::new(), Collector::start());
    let site = &ground.site;
    std::fs::write(ground.desk.dir.path().join("web.toml"), policy(site)).unwrap();
    let first = worker(&ground, &collector, "first", &[]);
    let _other = worker(&ground, &collector, "other", &["--group", "other"]);
    let mut submit = traced(&ground.desk, site, "other", true);
    submit.args(["--remote", &ground.url]).env("TRACEPARENT", PARENT);
    let submit = Process::start(submit);

    // The first worker gets as far as its question, and is killed: what it was in is never sent.
    let step = |service: &str, kind: &str| collector.until(service, "step", &[("everstep.step.kind", json!(kind))]);
    let (fetch, call, asked) =
        (step("first", "http.fetch"), step("first", "functions.call"), step("first", "console.input"));
    let run = text(&fetch["parent"]).to_owned();
    for (span, kind) in [(&fetch, "CLIENT"), (&call, "PRODUCER"), (&asked, "INTERNAL")] {
        assert_eq!((text(&span["trace"]), text(&span["parent"])), (TRACE, &*run), "{span}");
        assert_eq!(span["kind"], format!("SPAN_KIND_{kind}"), "{span}");
        assert!(span["start"].as_u64() > Some(0) && span["start"].as_u64() <= span["end"].as_u64(), "{span}");
    }
    assert_eq!(fetch["attributes"]["everstep.outcome"], "ok", "{fetch}");
    assert_eq!(headers_at(site, "/one", "traceparent"), [came_from(&fetch)]);
    let barrier = collector.until("first", "barrier", &[]);
    assert_eq!((text(&barrier["trace"]), text(&barrier["parent"])), (TRACE, &*run));

    // The child in the other worker is below the step that calls it.
    let child_of = |name: &str| collector.until("other", name, &[("everstep.outcome", json!("completed"))]);
    let (claim, child) = (child_of("claim"), child_of("execution"));
    assert_eq!((text(&claim["trace"]), &claim["parent"]), (TRACE, &call["span"]), "{claim}");
    assert_eq!((text(&child["trace"]), &child["parent"]), (TRACE, &claim["span"]), "{child}");
    assert_eq!(child["kind"], "SPAN_KIND_CONSUMER");
    let attributes = &child["attributes"];
    assert_eq!(attributes["everstep.function"], "traced_child", "{child}");
    assert_eq!(
        (&attributes["everstep.attempt"], &attributes["everstep.steps.replayed"]),
        (&json!(1), &json!(0)),
        "{child}"
    );
    assert_eq!(text(&attributes["everstep.component"]).len(), 12, "{child}");
    assert_eq!(child["links"], json!([]));
    let visit = step("other", "http.fetch");
    assert_eq!(visit["parent"], child["span"]);
    assert_eq!(headers_at(site, "/child", "traceparent"), [came_from(&visit)]);
    // The promise of the child names the step, as the package of the SDK for TypeScript does.
    let promise = ask(&ground.url, "promise.get", &json!({ "id": child["attributes"]["everstep.execution.id"] }));
    assert_eq!(json!(came_from(&call)), json!([promise["promise"]["param"]["headers"]["traceparent"]]), "{promise}");

    drop(first);
    assert!(
        !collector
            .spans()
            .iter()
            .any(|span| span["resource"]["service.name"] == "first" && span["name"] == "execution")
    );
    let _second = worker(&ground, &collector, "second", &[]);
    let question = format!("x.{}", asked["attributes"]["everstep.step.number"]);
    let answer = ["promise", "resolve", &question, "\"yes\"", "--remote", &ground.url];
    until("an answer", || ground.desk.command(&answer).output().unwrap().status.success().then_some(()));

    let resumed = collector.until("second", "execution", &[("everstep.outcome", json!("completed"))]);
    let claim = collector.until("second", "claim", &[("everstep.outcome", json!("completed"))]);
    assert_eq!((text(&claim["trace"]), text(&claim["parent"])), (TRACE, ABOVE), "{claim}");
    assert_eq!((text(&resumed["trace"]), &resumed["parent"]), (TRACE, &claim["span"]), "{resumed}");
    assert_eq!(resumed["links"], json!([[TRACE, run]]), "{resumed}");
    assert_ne!(text(&resumed["span"]), run);
    let attributes = &resumed["attributes"];
    assert_eq!(attributes["everstep.attempt"], 2, "{resumed}");
    assert!(attributes["everstep.steps.replayed"].as_u64() >= Some(3), "{resumed}");
    let last = step("second", "http.fetch");
    assert_eq!(last["parent"], resumed["span"]);
    assert_eq!(headers_at(site, "/two", "traceparent"), [came_from(&last)]);
    // Everything of all three processes is of the one trace, and no two spans are the same.
    let spans = collector.spans();
    assert!(spans.iter().all(|span| span["trace"] == TRACE), "{spans:?}");
    let ids: std::collections::BTreeSet<&str> = spans.iter().map(|span| text(&span["span"])).collect();
    assert_eq!(ids.len(), spans.len());
    drop(submit);
}

#[test]
fn a_client_of_the_protocol_gives_its_trace_with_the_promise() {
    let (ground, collector) = (Ground::new(), Collector::start());
    let _worker = worker(&ground, &collector, "worker", &[]);
    let create = |id: &str, headers: Value| {
        let data = BASE64_STANDARD.encode(json!({ "func": "adds", "args": [[1, 2]] }).to_string());
        let tags = json!({ "resonate:target": "poll://any@default" });
        let param = json!({ "headers": headers, "data": data });
        let new = json!({ "id": id, "timeoutAt": 4_102_444_800_000_u64, "param": param, "tags": tags });
        ask(&ground.url, "promise.create", &new);
    };
    create("given", json!({ "traceparent": PARENT }));
    let given = collector.until("worker", "claim", &[("everstep.execution.id", json!("given"))]);
    assert_eq!((text(&given["trace"]), text(&given["parent"])), (TRACE, ABOVE), "{given}");
    // One that is given no trace begins one, and its first claim is the root.
    create("own", json!({}));
    let own = collector.until("worker", "claim", &[("everstep.execution.id", json!("own"))]);
    assert_eq!(own["parent"], "", "{own}");
    let run = collector.until("worker", "execution", &[("everstep.execution.id", json!("own"))]);
    assert_eq!((&run["trace"], &run["parent"]), (&own["trace"], &own["span"]));
    assert_ne!(own["trace"], TRACE);
    // A trace that is not kept where it began is not kept here.
    create("unkept", json!({ "traceparent": PARENT.replace("-01", "-00") }));
    create("last", json!({}));
    collector.until("worker", "execution", &[("everstep.execution.id", json!("last"))]);
    until("the end of unkept", || {
        let promise = ask(&ground.url, "promise.get", &json!({ "id": "unkept" }));
        (promise["promise"]["state"] == "resolved").then_some(())
    });
    assert!(!collector.spans().iter().any(|span| span["attributes"]["everstep.execution.id"] == "unkept"));
}

#[test]
fn a_worker_sends_what_is_left_when_it_is_told_to_end() {
    let (ground, collector) = (Ground::new(), Collector::start());
    let known = ["worker", &ground.desk.component, "--remote", &ground.url];
    let mut command = ground.desk.command(&known);
    collector.hear(&mut command, "worker");
    command.env("OTEL_BSP_SCHEDULE_DELAY", "3600000");
    let worker = Process::start(command);
    worker.until_said("worker of group");
    let data = BASE64_STANDARD.encode(json!({ "func": "adds", "args": [[1, 2]] }).to_string());
    let tags = json!({ "resonate:target": "poll://any@default" });
    let new = json!({ "id": "sum", "timeoutAt": 4_102_444_800_000_u64, "param": { "data": data }, "tags": tags });
    ask(&ground.url, "promise.create", &new);
    until("the sum", || {
        let promise = ask(&ground.url, "promise.get", &json!({ "id": "sum" }));
        (promise["promise"]["state"] == "resolved").then_some(())
    });
    assert!(collector.spans().is_empty());
    worker.signal(Signal::TERM);
    collector.until("worker", "execution", &[("everstep.execution.id", json!("sum"))]);
}

/// The header of the promise of the child that `traced` has called in a folder.
fn header_of_the_child(desk: &Desk) -> Option<String> {
    let (_, shown) = desk.json(&["show", "x"]);
    let steps = shown["steps"].as_array().unwrap_or_else(|| panic!("{shown}"));
    let call = steps.iter().find(|step| step["kind"] == "functions.call").unwrap();
    let store = FileStore::read(desk.dir.path().join(".everstep")).unwrap();
    let (child, _) = store.promise(&format!("x.{}", call["n"])).unwrap().unwrap();
    child.param.headers.get("traceparent").cloned()
}

#[test]
fn without_a_collector_a_context_is_passed_on_as_it_came_and_none_is_made() {
    for came in [None, Some(PARENT)] {
        let (desk, site) = desk_with_a_site();
        let mut command = traced(&desk, &site, "default", false);
        command.envs(came.map(|parent| ("TRACEPARENT", parent)));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let expected: Vec<String> = came.into_iter().map(str::to_owned).collect();
        for path in ["/one", "/child", "/two"] {
            assert_eq!(headers_at(&site, path, "traceparent"), std::slice::from_ref(&expected), "{path}");
        }
        assert_eq!(header_of_the_child(&desk), came.map(str::to_owned));
    }
}

#[test]
fn a_journal_that_was_written_with_tracing_is_repeated_without_it_and_the_other_way_round() {
    let collector = Collector::start();
    for traces in [true, false] {
        let (desk, site) = desk_with_a_site();
        let mut run = traced(&desk, &site, "default", false);
        let mut replay = desk.command(&["replay", "x", "--json"]);
        let heard = if traces { &mut run } else { &mut replay };
        collector.hear(heard, "one");
        // Only the end of the command sends.
        heard.env("OTEL_BSP_SCHEDULE_DELAY", "3600000");
        let output = run.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let replayed = replay.output().unwrap();
        let said: Value = serde_json::from_slice(&replayed.stdout).unwrap();
        assert_eq!((replayed.status.code(), &said["compatible"]), (Some(0), &json!(true)), "{said}");
        assert_eq!(header_of_the_child(&desk).is_some(), traces);
    }
    // A replay makes no spans.
    let executions: Vec<Value> = collector.spans().into_iter().filter(|span| span["name"] == "execution").collect();
    let functions: Vec<&str> = executions.iter().map(|span| text(&span["attributes"]["everstep.function"])).collect();
    assert_eq!((functions.len(), functions.contains(&"traced"), functions.contains(&"traced_child")), (2, true, true));
    assert!(executions.iter().all(|span| span["trace"] == executions[0]["trace"]));
}

#[test]
fn a_header_that_the_guest_has_set_stays() {
    let (collector, (desk, site)) = (Collector::start(), desk_with_a_site());
    let own = format!("00-{}-{ABOVE}-00", "1".repeat(32));
    let args = json!({ "url": site.url("/own"), "headers": [["Traceparent", own]] }).to_string();
    let command = ["run", &desk.component, "fetches", "--args", &args, "--policy", "web.toml", "--id", "x"];
    let mut command = desk.command(&command);
    collector.hear(&mut command, "one");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(headers_at(&site, "/own", "traceparent"), [vec![own]]);
}

#[test]
fn what_the_log_is_to_have_of_others_adds_no_spans() {
    for (log, internal) in [("hyper=trace", false), ("everstep=trace", true), ("warn", false)] {
        let (collector, (desk, site)) = (Collector::start(), desk_with_a_site());
        let mut command = traced(&desk, &site, "default", false);
        collector.hear(&mut command, "one");
        let output = command.env("EVERSTEP_LOG", log).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let prints = [("everstep.step.kind", json!("console.print"))];
        collector.until("one", "execution", &[("everstep.execution.id", json!("x"))]);
        assert_eq!(collector.spans().iter().any(|span| is(span, "one", "step", &prints)), internal, "{log}");
    }
}

#[test]
fn a_collector_that_is_gone_stops_nothing_and_is_told_once() {
    let (desk, site) = desk_with_a_site();
    let mut command = traced(&desk, &site, "default", false);
    // Nothing listens on the discard port.
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9").env("OTEL_BSP_SCHEDULE_DELAY", "1");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("the collector does not take the spans").count(), 1, "{said}");
}
