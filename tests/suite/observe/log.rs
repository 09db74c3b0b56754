//! The log, and that nothing a guest computes with is in it, in a trace or in a metric.

use super::{Collector, desk_with_a_site, http, is, traced};
use crate::network::servers::response;
use crate::remote_commands::{Ground, Process};
use crate::site::Site;
use serde_json::{Value, json};
use std::process::Command;

/// The lines that a command says on standard error as JSON.
fn lines(command: &mut Command) -> Vec<Value> {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    said.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn messages(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["message"].as_str().unwrap()).collect()
}

#[test]
fn info_says_how_executions_start_suspend_resume_and_end() {
    let (desk, site) = desk_with_a_site();
    let run = || {
        let mut command = traced(&desk, &site, "default", true);
        command.args(["--log", "json"]).env("EVERSTEP_LOG", "info");
        command
    };
    let first = lines(run().arg("--no-wait"));
    let of = |lines: &[Value], id: &str| -> Vec<Value> {
        lines.iter().filter(|line| line["everstep.execution.id"] == id).cloned().collect()
    };
    let parent = of(&first, "x");
    assert_eq!(
        (messages(&parent).first(), messages(&parent).last()),
        (Some(&"started"), Some(&"suspended")),
        "{first:?}"
    );
    assert_eq!(parent[0]["everstep.function"], "traced");
    assert_eq!((&parent[0]["level"], parent[0].get("trace_id")), (&json!("INFO"), None));
    let child = of(&first, "x.1");
    assert_eq!(messages(&child), ["started", "completed"], "{first:?}");

    let (_, asked) = desk.json(&["promise", "list"]);
    let question = asked["promises"][0]["id"].as_str().unwrap().to_owned();
    assert!(desk.command(&["promise", "resolve", &question, "\"yes\""]).output().unwrap().status.success());
    let second = of(&lines(&mut run()), "x");
    assert_eq!(messages(&second), ["resumed", "completed"], "{second:?}");
    assert!(second[0]["everstep.steps.replayed"].as_u64() >= Some(3), "{second:?}");
    assert_eq!(second[0]["everstep.steps.replayed"], second[1]["everstep.steps.replayed"]);

    let mut halts = desk.command(&["run", &desk.component, "traps", "--policy", "web.toml", "--id", "y"]);
    let output = halts.env("EVERSTEP_LOG", "info").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let halted = said.lines().find(|line| line.contains(": halted ")).unwrap_or_else(|| panic!("{said}"));
    assert!(halted.contains(" INFO ") && halted.contains("error.type=\"trap\""), "{halted}");
    // Without the variable there is none of it.
    let quiet = traced(&desk, &site, "default", false).args(["--id", "z"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&quiet.stderr).contains("INFO"));
}

#[test]
fn debug_has_a_line_for_each_span() {
    let (desk, site) = desk_with_a_site();
    let mut command = traced(&desk, &site, "default", false);
    let said = lines(command.args(["--log", "json"]).env("EVERSTEP_LOG", "everstep=debug"));
    let closed = |name: &str| {
        let spans = said.iter().filter(|line| line["message"] == "close").map(|line| &line["span"]);
        spans.filter(|span| span["name"] == name).count()
    };
    // Two visits and a call, and the visit of the child.
    assert_eq!((closed("execution"), closed("claim"), closed("step")), (2, 2, 4), "{said:?}");
    assert!(closed("barrier") >= 4);
}

/// What is marked goes through everything that a function handles.
#[test]
fn no_secret_no_payload_and_no_path_of_the_host_is_in_a_log_a_trace_or_a_metric() {
    let (ground, collector) = (Ground::new(), Collector::start());
    let site = Site::start(|_| response("200 OK", &[("x-more", "m4rk-header")], b"m4rk-response"));
    let secret = "secret = { header = \"authorization\", from = \"env:OBSERVED_TOKEN\" }\n";
    let files = "[[files]]\nid = \"out\"\nguest = \"/out\"\nhost = \"out\"\naccess = \"write\"\n";
    let policy = super::policy(&site) + secret + files;
    std::fs::write(ground.desk.dir.path().join("marked.toml"), policy).unwrap();
    let known =
        ["worker", &ground.desk.component, "--remote", &ground.url, "--metrics", "127.0.0.1:0", "--log", "json"];
    let mut command = ground.desk.command(&known);
    collector.hear(&mut command, "worker");
    let worker = Process::start({
        command.env("EVERSTEP_LOG", "trace").env("OBSERVED_TOKEN", "m4rk-secret");
        command
    });
    worker.until_said("worker of group");
    let metrics = worker.until_said("metrics at ");

    let fetched = json!({ "method": "POST", "url": site.url("/m4rk-path?m4rk-query"), "headers": [["x-own", "m4rk-own"]], "body": "m4rk-body" });
    let denied = json!({ "url": "http://m4rk-name.example.org/" });
    let (fetched, denied) = (fetched.to_string(), denied.to_string());
    for (function, args, name, code, told) in [
        ("fetches", &*fetched, "fetched", 0, "m4rk-response"),
        ("fetches", &*denied, "denied", 3, "m4rk-name"),
        ("prints", "\"m4rk-printed\"", "printed", 0, "m4rk-printed"),
        ("calls", r#"{"function": "prints", "args": "m4rk-child"}"#, "called", 0, "m4rk-child"),
        ("writes_files", r#"[["/out/m4rk-file"], "m4rk-written"]"#, "written", 0, "written"),
    ] {
        let run = ["run", &ground.desk.component, function, "--args", args, "--policy", "marked.toml", "--id", name];
        let mut run = ground.desk.command(&[&run[..], &["--remote", &ground.url]].concat());
        let output = run.env("OBSERVED_TOKEN", "m4rk-secret").output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{name}: {said}");
        assert!(said.contains(told), "{name}: {said}");
    }
    assert!(site.requests()[0].header("authorization").contains(&"m4rk-secret"));
    assert_eq!(ground.desk.read("out/m4rk-file"), "m4rk-written");
    for (name, outcome) in
        [("fetched", "completed"), ("denied", "failed"), ("called", "completed"), ("written", "completed")]
    {
        let fields = [("everstep.execution.id", json!(name)), ("everstep.outcome", json!(outcome))];
        collector.until("worker", "execution", &fields);
    }
    let url = metrics.split_whitespace().last().unwrap().trim_end_matches("/metrics");
    let page = http(url, "GET /metrics", "");
    assert!(page.contains("everstep_steps_total{kind=\"http.fetch\",decision=\"deny\"} 1\n"), "{page}");
    // At this level the log has a line for steps that do not leave the process, too.
    let said = worker.lines("").join("\n");
    assert!(said.contains("\"console.print\"") && said.contains("\"http.fetch\""), "{said}");
    let spans = collector.text();
    assert!(collector.spans().iter().any(|span| is(
        span,
        "worker",
        "step",
        &[("everstep.step.kind", json!("console.print"))]
    )));
    let folder = ground.desk.dir.path().to_str().unwrap();
    for (what, text) in [("the log", said), ("the traces", spans), ("the metrics", page)] {
        for hidden in ["m4rk", folder] {
            let line = text.lines().find(|line| line.contains(hidden));
            assert!(line.is_none(), "{hidden} is in {what}: {line:?}");
        }
    }
}
