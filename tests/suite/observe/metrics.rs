//! Metrics, as Prometheus reads them.

use super::{Samples, ask, http, policy};
use crate::network::servers::{Received, Step, ok};
use crate::remote_commands::{Ground, Process, until};
use crate::site::Site;
use crate::support::{id, run};
use everstep::store::State;
use everstep::{Policy, Run};
use everstep_tests::deviations::leaves_out;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::Path;

/// A worker that serves metrics, and their address.
fn worker(ground: &Ground) -> (Process, String) {
    // A lease that a busy machine keeps.
    let known = ["worker", &ground.desk.component, "--remote", &ground.url, "--lease", "10s", "--keep-warm", "1h"];
    let worker = Process::start(ground.desk.command(&[&known[..], &["--metrics", "127.0.0.1:0"]].concat()));
    worker.until_said("worker of group");
    let said = worker.until_said("metrics at ");
    let url = said.split_whitespace().last().unwrap().trim_end_matches("/metrics").to_owned();
    (worker, url)
}

fn samples(url: &str) -> Samples {
    Samples::read(&http(url, "GET /metrics", ""))
}

/// Waits for a sample to have a value.
fn until_is(url: &str, name: &str, labels: &Value, value: f64) {
    until(&format!("{name} {labels} {value}"), || (samples(url).value(name, labels) == value).then_some(()));
}

fn submitted(function: &str, args: &Value, name: &str, policy: &str) -> Run {
    let policy = Policy::parse(policy, Path::new("/policy.toml")).unwrap();
    Run { policy, ..run(function, &args.to_string()).with_id(id(name)) }
}

#[test]
fn a_worker_and_a_server_count_what_was_done() {
    if leaves_out() {
        return;
    }
    let mut ground = Ground::new();
    // The last visit of a journey never ends.
    let never_ends = |request: &Received| request.line().contains("/two");
    ground.site = Site::start(move |request| if never_ends(request) { vec![Step::Stall] } else { ok("page") });
    let (first, url) = worker(&ground);
    let prints = "version = 1\n[[capability]]\nname = \"print\"\n";
    ground.submit(vec![submitted("chatters", &json!(5), "chatters", prints)]);
    ground.until("chatters", State::Completed);
    ground.submit(vec![submitted("fetches", &json!({ "url": ground.site.url("/denied") }), "denied", prints)]);
    ground.until("denied", State::Failed);
    let journey = json!({ "url": ground.site.url(""), "group": "default", "asks": true });
    ground.submit(vec![submitted("traced", &journey, "journey", &policy(&ground.site))]);
    let steps = |page: &Samples, kind: &str, decision: &str| {
        page.value("everstep_steps_total", &json!({ "kind": kind, "decision": decision }))
    };
    until("the question", || (steps(&samples(&url), "console.input", "allow") == 1.0).then_some(()));
    until_is(&url, "everstep_runs_total", &json!({ "outcome": "completed" }), 2.0);

    let page = samples(&url);
    let counted =
        [("console.print", "allow"), ("http.fetch", "deny"), ("http.fetch", "allow"), ("functions.call", "allow")];
    assert_eq!(counted.map(|(kind, decision)| steps(&page, kind, decision)), [5.0, 1.0, 2.0, 1.0]);
    let plain = |name: &str| page.value(name, &json!({}));
    assert_eq!(page.value("everstep_runs_total", &json!({ "outcome": "failed" })), 1.0);
    assert_eq!((plain("everstep_runs_active"), plain("everstep_runs_waiting")), (1.0, 0.0));
    assert!(plain("everstep_wakeup_duration_seconds_count") >= 4.0);
    assert_eq!(plain("everstep_claims_lost_total"), 0.0);
    assert_eq!(plain("everstep_steps_replayed_total"), 0.0);
    // The end of each of three runs, and before each of two visits, at least.
    let barriers = plain("everstep_barrier_duration_seconds_count");
    assert!(barriers >= 5.0 && plain("everstep_barrier_duration_seconds_sum") > 0.0, "{barriers}");
    let all = page.value("everstep_barrier_duration_seconds_bucket", &json!({ "le": "+Inf" }));
    assert_eq!(all, barriers);

    let served = samples(&ground.url);
    for (state, count) in [("completed", 2.0), ("failed", 1.0), ("running", 1.0), ("pending", 0.0), ("halted", 0.0)] {
        assert_eq!(served.value("everstep_executions", &json!({ "state": state })), count, "{state}");
    }
    assert!(served.value("everstep_store_size_bytes", &json!({})) > 4096.0);
    assert!(served.value("everstep_requests_total", &json!({ "kind": "task.acquire", "status": "200" })) >= 4.0);

    // The worker is stopped for longer than its lease, and another one takes over. Both hear of the answer.
    first.signal(Signal::STOP);
    let (_second, other) = worker(&ground);
    until("another claim", || (ground.execution("journey").attempts > 1).then_some(()));
    first.signal(Signal::CONT);
    let promises = ask(&ground.url, "promise.search", &json!({ "state": "pending", "tags": {} }));
    let is_question = |promise: &&Value| promise["tags"]["resonate:target"].is_null();
    let question = promises["promises"].as_array().unwrap().iter().find(is_question).unwrap()["id"].as_str().unwrap();
    let answer = ["promise", "resolve", question, "\"yes\"", "--remote", &ground.url];
    assert!(ground.desk.command(&answer).output().unwrap().status.success());
    until_is(&url, "everstep_claims_lost_total", &json!({}), 1.0);
    until_is(&url, "everstep_runs_total", &json!({ "outcome": "lost" }), 1.0);
    assert!(ground.desk.command(&["cancel", "journey", "--remote", &ground.url]).output().unwrap().status.success());
    until_is(&other, "everstep_runs_total", &json!({ "outcome": "canceled" }), 1.0);
    assert!(samples(&other).value("everstep_steps_replayed_total", &json!({})) >= 3.0);
}

#[test]
fn a_page_of_metrics_is_the_only_thing_at_its_address() {
    let ground = Ground::new();
    let (worker, url) = worker(&ground);
    assert!(http(&url, "GET /", "").contains("nothing here"));
    assert!(http(&url, "POST /metrics", "x").contains("nothing here"));
    let taken = ground.worker(&["--metrics", url.trim_start_matches("http://")]);
    taken.until_said("cannot serve metrics on 127.0.0.1:");
    drop(worker);
}
