//! The audit log: no decision without a line, no line twice, and none lost when the log is rotated.

use everstep::Patience;
use everstep::capability::{Idempotent, Request};
use everstep::policy::audit;
use everstep_tests::guests;
use everstep_tests::place::Place;
use everstep_tests::sandbox::{FILES, Sandbox, calls, hostile, id, outcomes};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_decision_that_cannot_be_written_down_is_a_denial() {
    for sandbox in Sandbox::each() {
        let granted = format!("[clock]\nmode = 'recorded'\n[random]\nmode = 'seeded'\n{FILES}");
        let policy = sandbox.policy(&granted.replace("audit.jsonl", "/dev/full")).unwrap();
        let before = sandbox.inventory().unwrap();
        let attempts =
            json!(["now", "uuid", { "read": "/in/a.txt" }, { "write": ["/out/x", "x"] }, { "read": "/secret" }]);
        let outcomes = calls(&sandbox.host().unwrap(), &policy, attempts).await.unwrap();
        for outcome in outcomes {
            assert_eq!(outcome["error"], "denied");
            assert!(outcome["message"].as_str().unwrap().ends_with("(the audit log cannot be written)"), "{outcome}");
        }
        assert_eq!(sandbox.inventory().unwrap(), before);
    }
}

/// The log becomes unwritable after it has shown that it can be written, so that lines are being collected.
#[tokio::test(flavor = "multi_thread")]
pub(super) async fn lines_that_cannot_be_written_undo_what_they_tell_of_and_the_calls_are_denied_again() {
    for sandbox in Sandbox::each() {
        let (log, moved) = (sandbox.path("audit.jsonl"), sandbox.path("audit.jsonl.0"));
        let broken = Arc::new(AtomicU32::new(0));
        let breaks = {
            let (broken, log, moved) = (Arc::clone(&broken), log.clone(), moved.clone());
            move |_: Request| {
                broken.fetch_add(1, Ordering::SeqCst);
                std::fs::rename(&log, &moved).unwrap();
                std::fs::create_dir(&log).unwrap();
                async { Ok("null".to_owned()) }
            }
        };
        let policy = sandbox.policy(&format!("[[capability]]\nname = 'break'\n{FILES}")).unwrap();
        let host = sandbox.builder().capability("break", Idempotent(breaks)).build().unwrap();
        let attempts = json!([
            { "read": "/in/a.txt" },
            { "request": ["break", null] },
            { "wait": [1] },
            { "repeat": [50, { "stat": "/in/a.txt" }] },
            { "read": "/secret" },
            { "write": ["/out/x", "x"] },
            { "repeat": [50, { "stat": "/in/a.txt" }] },
        ]);
        let job = id("job").unwrap();
        let run = hostile(&policy, "calls", &attempts.to_string()).unwrap().with_id(job.clone());
        let outcomes = outcomes(&host.run(run).await.unwrap()).unwrap();
        assert_eq!(outcomes[0]["ok"], "inside");
        let (stats, others) = ([&outcomes[3]["ok"], &outcomes[6]["ok"]], [&outcomes[4], &outcomes[5]]);
        for denied in stats.map(|stats| &stats["refused"]).into_iter().chain(others) {
            assert_eq!(denied["error"], "denied", "{denied}");
            assert!(denied["message"].as_str().unwrap().ends_with("(the audit log cannot be written)"), "{denied}");
        }
        assert!(stats.iter().all(|stats| stats["made"] == 0), "{stats:?}");
        assert!(!sandbox.path("out/x").exists());
        assert_eq!(broken.load(Ordering::SeqCst), 1, "what was on record is not done again");
        let attempts = host.reader().execution(&job).await.unwrap().attempts;
        assert_eq!(attempts, 2, "the first run was undone where it could not be told");
        let steps = host.reader().steps(&job).await.unwrap();
        let allowed = steps.iter().filter(|step| step.decision == "allow").map(|step| step.n).collect::<Vec<_>>();
        assert_eq!((allowed, steps.len()), (vec![0, 1], 104));
        // Once it can be written it goes on, in one chain.
        std::fs::remove_dir(&log).unwrap();
        let next = calls(&host, &policy, json!([{ "stat": "/in/a.txt" }, { "read": "/in/a.txt" }])).await.unwrap();
        assert_eq!(next[1]["ok"], "inside");
        assert_eq!(verified(&sandbox)["lines"], 2 + 1 + 2, "with a link");
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_replay_decides_nothing_and_writes_nothing() {
    for sandbox in Sandbox::each() {
        let policy = sandbox.policy(&format!("[[capability]]\nname = 'promise'\n{FILES}")).unwrap();
        let calls = json!([{ "read": "/secret" }, { "read": "/in/a.txt" }, { "create": "null" }, { "wait": [2] }]);
        let job = id("job").unwrap();
        let run = hostile(&policy, "calls", &calls.to_string()).unwrap().with_id(job.clone()).without_waiting();
        let before = sandbox.host().unwrap().run(run).await.unwrap();
        let audit = sandbox.audit().unwrap();
        assert_eq!((before.steps, audit.len()), (3, 3));
        // What was denied stays denied, what was read stays read, and a link in its place is not looked at.
        std::fs::remove_file(sandbox.path("in/a.txt")).unwrap();
        std::os::unix::fs::symlink("../secret", sandbox.path("in/a.txt")).unwrap();
        for attempt in 2..4 {
            let host = sandbox.host().unwrap();
            let report = host.resume(&job, Patience::None).await.unwrap().wait().await.unwrap();
            assert_eq!((report.replayed, host.reader().execution(&job).await.unwrap().attempts), (3, attempt));
            assert_eq!(sandbox.audit().unwrap(), audit);
        }
        let host = sandbox.host().unwrap();
        host.settle(&job.promise(2), Ok("null".into())).await.unwrap();
        let report = host.resume(&job, Patience::Forever).await.unwrap().wait().await.unwrap();
        let outcomes = outcomes(&report).unwrap();
        assert_eq!((&outcomes[0]["error"], &outcomes[1]["ok"]), (&json!("denied"), &json!("inside")));
        let next = hostile(&policy, "calls", &json!([{ "read": "/in/a.txt" }]).to_string()).unwrap();
        host.run(next).await.unwrap();
        assert_eq!(sandbox.audit().unwrap().len(), audit.len() + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_step_shows_the_decision_that_was_made() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), sandbox.policy(FILES).unwrap());
        std::os::unix::fs::symlink("../secret", sandbox.path("in/link")).unwrap();
        let calls = json!([{ "read": "/in/link" }, { "read": "/in/a.txt" }, { "write": ["/in/x", ""] }]);
        let run = hostile(&policy, "calls", &calls.to_string()).unwrap().with_id(id("job").unwrap());
        host.run(run).await.unwrap();
        let steps = host.reader().steps(&id("job").unwrap()).await.unwrap();
        let shown = steps.iter().map(|step| (step.decision, step.rule.as_str())).collect::<Vec<_>>();
        assert_eq!(shown, [("deny", "in"), ("allow", "in"), ("deny", "in")]);
        let written = sandbox.audit().unwrap();
        for (line, step) in written.iter().zip(&steps) {
            assert_eq!(
                (line["decision"].as_str(), line["rule"].as_str()),
                (Some(step.decision), Some(step.rule.as_str()))
            );
            assert_eq!((line["step"].as_u64(), line["subject"].as_str()), (Some(step.n), Some(step.subject.as_str())));
        }
    }
}

/// The binary, in the folder of a sandbox.
fn everstep(sandbox: &Sandbox, args: &[&str]) -> Command {
    let test = std::env::current_exe().unwrap();
    let binary = test.parent().and_then(Path::parent).unwrap().join("everstep");
    assert!(binary.is_file(), "{} is missing: cargo build --release", binary.display());
    let mut command = Command::new(binary);
    command.args(args).current_dir(sandbox.path("")).env_remove("EVERSTEP_LOG");
    command
}

fn text(output: &[u8]) -> &str {
    std::str::from_utf8(output).unwrap()
}

#[track_caller]
fn verified(sandbox: &Sandbox) -> Value {
    let Output { status, stdout, stderr } =
        everstep(sandbox, &["audit", "verify", "audit.jsonl", "--json"]).output().unwrap();
    assert!(status.success(), "{} {}", text(&stdout), text(&stderr));
    serde_json::from_slice(&stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn the_command_proves_the_chain_or_names_the_first_bad_line() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), sandbox.policy(FILES).unwrap());
        calls(&host, &policy, json!([{ "read": "/in/a.txt" }, { "read": "/secret" }, { "list": "/in" }]))
            .await
            .unwrap();
        let proof = verified(&sandbox);
        assert_eq!((&proof["lines"], &proof["after"], &proof["torn"]["lines"]), (&json!(3), &Value::Null, &json!(0)));
        let last = proof["last"].as_str().unwrap().to_owned();
        let whole = std::fs::read_to_string(sandbox.path("audit.jsonl")).unwrap();
        std::fs::write(sandbox.path("audit.jsonl"), whole.replacen("/secret", "/secure", 1)).unwrap();
        let bad = everstep(&sandbox, &["audit", "verify", "audit.jsonl"]).output().unwrap();
        assert_eq!((bad.status.code(), text(&bad.stdout)), (Some(1), ""));
        assert_eq!(text(&bad.stderr), "error: audit.jsonl:2: its checksum is that of another line: it was changed\n");
        let bad = everstep(&sandbox, &["audit", "verify", "audit.jsonl", "--json"]).output().unwrap();
        let bad: Value = serde_json::from_slice(&bad.stdout).unwrap();
        assert_eq!((&bad["verified"], &bad["file"], &bad["line"]), (&json!(false), &json!("audit.jsonl"), &json!(2)));
        // Whole lines that are cut off show to who has kept the last one.
        let two: String = whole.split_inclusive('\n').take(2).collect();
        std::fs::write(sandbox.path("audit.jsonl"), two).unwrap();
        assert_eq!(verified(&sandbox)["lines"], 2);
        let cut = everstep(&sandbox, &["audit", "verify", "audit.jsonl", "--expect-last", &last]).output().unwrap();
        assert_eq!(cut.status.code(), Some(1));
        assert!(
            text(&cut.stderr).contains("line 2 of the log, which is to be there, is missing"),
            "{}",
            text(&cut.stderr)
        );
        for args in [&["audit", "verify", "nothing"][..], &["audit", "verify"], &["audit", "rotate", "nothing"]] {
            assert_eq!(everstep(&sandbox, args).output().unwrap().status.code(), Some(2), "{args:?}");
        }
    }
}

/// The process is killed again and again while lines are collected and written: by the length of the log, so that it is in the middle
/// however fast the machine is.
#[test]
pub(super) fn killed_at_any_moment_no_step_is_on_record_without_its_line() {
    const CALLS: u64 = 2_000;
    const KILLS: u64 = 12;
    // One place: it drives the program, whose store is its own.
    let sandbox = Sandbox::over(Place::memory()).unwrap();
    std::fs::write(sandbox.path("policy.toml"), format!("version = 1\n[[capability]]\nname = 'print'\n{FILES}"))
        .unwrap();
    std::fs::write(sandbox.path("hostile.wasm"), guests::fixture("hostile").unwrap()).unwrap();
    let calls = json!([
        { "repeat": [CALLS, { "stat": "/in/a.txt" }] },
        { "write": ["/out/x", "x"] },
        { "repeat": [CALLS, { "print": "soon durable" }] },
        { "repeat": [CALLS, { "stat": "/secret" }] },
        { "repeat": [CALLS, { "read": "/in/a.txt" }] },
    ]);
    let cache = guests::project().join("target/test-cache");
    let start = |args: &[&str]| {
        let mut command = everstep(&sandbox, args);
        command.args(["--store", "store", "--cache"]).arg(&cache);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let args = calls.to_string();
    let run = ["run", "hostile.wasm", "calls", "--args", &args, "--policy", "policy.toml", "--id", "job"];
    let log = sandbox.path("audit.jsonl");
    let length = || std::fs::metadata(&log).map_or(0, |found| found.len());
    let (mut random, mut in_the_middle) = (0x2545_f491_4f6c_dd1d_u64, 0);
    let whole = (4 * CALLS + 1) * 400;
    for _ in 0..KILLS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut host = start(&run);
        let until = length() + random % (whole / KILLS * 2);
        while length() < until && host.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(100));
        }
        std::thread::sleep(Duration::from_micros(random % 5_000));
        host.kill().unwrap();
        host.wait().unwrap();
        let steps = recorded(&sandbox);
        let lines = lines(&sandbox);
        assert!(steps.is_subset(&lines), "{:?}", steps.difference(&lines).next());
        in_the_middle += u64::from((1..=4 * CALLS).contains(&(steps.len() as u64)));
    }
    assert!(in_the_middle > KILLS / 4, "{in_the_middle}");
    assert!(start(&run).wait().unwrap().success());
    let steps = recorded(&sandbox);
    assert_eq!((steps.len() as u64, lines(&sandbox)), (4 * CALLS + 1, steps));
    verified(&sandbox);
}

/// Number, kind and decision of each step that is on record.
fn recorded(sandbox: &Sandbox) -> BTreeSet<(u64, String, String)> {
    let shown = everstep(sandbox, &["show", "job", "--json", "--store", "store"]).output().unwrap();
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    // A kill may come before it is in the store.
    let steps = shown["steps"].as_array().cloned().unwrap_or_default();
    steps.iter().map(|step| told(step, ["n", "kind", "decision"])).collect()
}

/// The same of each line of the log.
fn lines(sandbox: &Sandbox) -> BTreeSet<(u64, String, String)> {
    let text = std::fs::read(sandbox.path("audit.jsonl")).unwrap_or_default();
    let lines = text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    lines.map(|line| told(&line, ["step", "capability", "decision"])).collect()
}

fn told(of: &Value, [number, kind, decision]: [&str; 3]) -> (u64, String, String) {
    let text = |key: &str| of[key].as_str().unwrap().to_owned();
    (of[number].as_u64().unwrap(), text(kind), text(decision))
}

/// Two processes with two guests each run under one log while it is rotated, by this program and by hand.
#[tokio::test(flavor = "multi_thread")]
pub(super) async fn two_hosts_lose_no_line_while_their_log_is_rotated() {
    const CALLS: u64 = 5_000;
    // One place: it drives the program, whose store is its own.
    let sandbox = Sandbox::over(Place::memory()).unwrap();
    std::fs::write(sandbox.path("policy.toml"), format!("version = 1\n{FILES}")).unwrap();
    std::fs::write(sandbox.path("hostile.wasm"), guests::fixture("hostile").unwrap()).unwrap();
    let args = json!([{ "repeat": [CALLS, { "stat": "/in/a.txt" }] }]).to_string();
    let cache = guests::project().join("target/test-cache");
    let start = |name: &str| {
        let run =
            ["run", "hostile.wasm", "calls", "--args", &args, "--policy", "policy.toml", "--id", name, "--store", name];
        let mut command = everstep(&sandbox, &run);
        command.arg("--cache").arg(&cache).stdout(Stdio::null()).spawn().unwrap()
    };
    let mut hosts = [start("one"), start("two")];
    let mut rotations = 0;
    while hosts.iter_mut().any(|host| host.try_wait().unwrap().is_none()) {
        if rotations % 2 == 0 {
            // Fails while there is no line.
            let rotated = everstep(&sandbox, &["audit", "rotate", "audit.jsonl"]).output().unwrap();
            rotations += u32::from(rotated.status.success());
        } else {
            let part = sandbox.path(format!("audit.jsonl.by-hand-{rotations}"));
            rotations += u32::from(std::fs::rename(sandbox.path("audit.jsonl"), part).is_ok());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(hosts.iter_mut().all(|host| host.wait().unwrap().success()));
    assert!(rotations > 3, "{rotations}");
    let proof = verified(&sandbox);
    assert_eq!(proof["torn"]["lines"], 0);
    let mut steps: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut links = 0;
    for file in proof["files"].as_array().unwrap() {
        for line in audit::Lines::open(&sandbox.path(file.as_str().unwrap())).unwrap() {
            let (_, line) = line.unwrap();
            if line.decision == "link" {
                links += 1;
            } else {
                steps.entry(line.execution).or_default().push(line.step);
            }
        }
    }
    assert_eq!(
        links + 1,
        proof["files"].as_array().unwrap().len(),
        "every file but the first links to the one before it"
    );
    assert_eq!(steps.len(), 2);
    for (execution, steps) in steps {
        assert_eq!(steps, (0..CALLS).collect::<Vec<_>>(), "{execution}");
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_decision_of_a_step_is_found_in_the_log_by_the_id_that_its_denial_names() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), sandbox.policy(FILES).unwrap());
        let made = calls(&host, &policy, json!([{ "read": "/in/a.txt" }, { "read": "/secret" }])).await.unwrap();
        let id = made[1]["message"].as_str().unwrap().rsplit(' ').next().unwrap();
        audit::rotate(&sandbox.path("audit.jsonl"), 0).unwrap();
        let found = audit::find(&sandbox.path("audit.jsonl"), id).unwrap().unwrap();
        assert_eq!((&*found.decision.subject, &*found.decision.decision, found.place.line), ("/secret", "deny", 2));
        assert_eq!(found.place.file, sandbox.path("audit.jsonl.0"));
        assert!(audit::find(&sandbox.path("audit.jsonl"), "00000000").unwrap().is_none());
    }
}
