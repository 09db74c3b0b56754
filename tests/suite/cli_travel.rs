//! The commands for time travel, schedules and people at a terminal, as a person or a script uses them.
//!
//! One place: it drives the program, whose store is a folder.

use everstep_tests::guests;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const POLICY: &str = "version = 1\n[clock]\nmode = \"recorded\"\n[random]\nmode = \"seeded\"\n[[capability]]\nname = \"print\"\n\
    [[capability]]\nname = \"input\"\n[[capability]]\nname = \"promise\"\n[[capability]]\nname = \"call\"\n\
    [[files]]\nid = \"out\"\nguest = \"/out\"\nhost = \"./out\"\naccess = \"write\"\n\
    [audit]\nfile = \"audit.jsonl\"\n";

/// A folder with a policy and the component of the suite's functions.
pub(crate) struct Desk {
    pub(crate) dir: TempDir,
    pub(crate) component: String,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("policy.toml"), POLICY).unwrap();
        std::fs::create_dir(dir.path().join("out")).unwrap();
        let component = guests::path(&guests::project().join("tests/guests/behaviour")).unwrap();
        Self { dir, component: component.to_str().unwrap().to_owned() }
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(args).current_dir(self.dir.path()).env_remove("EVERSTEP_LOG");
        command.env_remove("OTEL_EXPORTER_OTLP_ENDPOINT").env_remove("TRACEPARENT");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The exit code, and the JSON object on standard output.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> (i32, Value) {
        let output = self.command(&[args, &["--json"]].concat()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let object = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}: {said}"));
        (output.status.code().unwrap_or(-1), object)
    }

    pub(crate) fn run<'a>(&'a self, function: &'a str, args: &'a str, id: &'a str) -> Vec<&'a str> {
        vec!["run", &self.component, function, "--args", args, "--policy", "policy.toml", "--id", id]
    }

    pub(crate) fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(file)).unwrap_or_default()
    }
}

pub(crate) fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("everstep")
}

#[test]
fn a_replay_a_fork_and_an_upgrade_by_command() {
    let desk = Desk::new();
    let (code, _) = desk.json(&[&desk.run("asks", "null", "x")[..], &["--no-wait"]].concat());
    assert_eq!(code, 5);
    let (code, replay) = desk.json(&["replay", "x"]);
    assert_eq!((code, &replay["compatible"], replay["steps"].as_array().unwrap().len()), (0, &json!(true), 2));

    let mut next = std::fs::read(&desk.component).unwrap();
    next.extend([0, 5, 4, b'n', b'e', b'x', b't']);
    std::fs::write(desk.dir.path().join("next.wasm"), next).unwrap();
    let (code, check) = desk.json(&["replay", "x", "--component", "next.wasm"]);
    assert_eq!((code, &check["compatible"]), (0, &json!(true)));
    let hello = guests::path(&guests::project().join("examples/hello/guest")).unwrap();
    let (code, refused) = desk.json(&["upgrade", "x", "--component", hello.to_str().unwrap()]);
    assert_eq!((code, &refused["error"]["kind"]), (2, &json!("unknown-function")));
    let (code, upgraded) = desk.json(&["upgrade", "x", "--component", "next.wasm"]);
    assert_eq!((code, &upgraded["upgraded"], &upgraded["steps"]), (0, &json!("x"), &json!(2)));

    let (code, _) = desk.json(&["fork", "x", "--at", "1", "--id", "y", "--no-wait"]);
    assert_eq!(code, 5);
    assert_eq!(desk.json(&["promise", "resolve", "y.1", "7"]).0, 0);
    let (code, forked) = desk.json(&["resume", "y"]);
    assert_eq!((code, &forked["result"]), (0, &json!(7)));
    assert_eq!(desk.json(&["show", "x"]).1["state"], "suspended");
    let (code, late) = desk.json(&["fork", "x", "--at", "1", "--id", "z", "--timeout", "1ms"]);
    assert_eq!((code, &late["error"]["kind"]), (1, &json!("timed-out")));
}

#[test]
fn a_schedule_starts_each_slot_once_while_a_host_stays() {
    let desk = Desk::new();
    let create = |id: &str, missed: &str| {
        let target = ["schedule", "create", id, "--cron", "* * * * * *", &desk.component, "prints"];
        let rest = ["--args", "\"tick\"", "--policy", "policy.toml", "--missed", missed];
        desk.json(&[&target[..], &rest[..]].concat())
    };
    assert_eq!(create("beat", "catch-up"), (0, json!({"created": "beat"})));
    assert_eq!(create("beat", "catch-up").0, 0, "the same again");
    assert_eq!(create("beat", "skip").1["error"]["kind"], "schedule");
    let bad = ["schedule", "create", "bad", "--cron", "61 * * * *", &desk.component, "prints"];
    assert_eq!(desk.json(&bad).1["error"]["kind"], "schedule");
    let mut host = Killed(desk.command(&["resume", "--stay"]).spawn().unwrap());
    let fired = || {
        let (_, list) = desk.json(&["list"]);
        let done = |execution: &&Value| execution["state"] == "completed";
        list["executions"].as_array().unwrap().iter().filter(done).count()
    };
    let mut tries = 0;
    while fired() < 3 {
        tries += 1;
        assert!(tries < 200, "it does not fire");
        std::thread::sleep(Duration::from_millis(50));
    }
    let (_, schedules) = desk.json(&["schedule", "list"]);
    assert_eq!(schedules["schedules"][0]["function"], "prints");
    assert_eq!(desk.json(&["schedule", "delete", "beat"]), (0, json!({"deleted": "beat"})));
    assert_eq!(desk.json(&["schedule", "delete", "beat"]).1["error"]["kind"], "unknown-schedule");
    host.0.kill().unwrap();
    let (_, list) = desk.json(&["list"]);
    let ids: Vec<_> = list["executions"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    let slots: std::collections::BTreeSet<u64> =
        ids.iter().map(|id| id.strip_prefix("beat:").unwrap().parse().unwrap()).collect();
    assert_eq!(slots.len(), ids.len(), "{ids:?}");
    assert!(slots.iter().all(|slot| slot % 1_000 == 0), "{ids:?}");
}

/// A process that ends with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Python's `pty` gives the program a terminal; what is typed is an answer that does not fit, then one that does.
#[test]
fn at_a_terminal_a_question_is_asked_and_answered_directly() {
    let desk = Desk::new();
    let script = "import os, pty, sys, select, time\n\
        pid, fd = pty.fork()\n\
        if pid == 0:\n    os.execv(sys.argv[1], sys.argv[1:])\n\
        seen, answers = b'', [b'maybe\\n', b'true\\n']\n\
        end = time.time() + 60\n\
        while time.time() < end:\n\
        \x20   ready, _, _ = select.select([fd], [], [], 0.1)\n\
        \x20   if ready:\n\
        \x20       try:\n            data = os.read(fd, 4096)\n\
        \x20       except OSError:\n            break\n\
        \x20       if not data:\n            break\n\
        \x20       seen += data\n\
        \x20   marks = seen.count(b'sure? [') + seen.count(b'try again')\n\
        \x20   if answers and marks > 2 - len(answers):\n        os.write(fd, answers.pop(0))\n\
        sys.stdout.buffer.write(seen)\n\
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n";
    let mut python = Command::new("python3");
    python.arg("-").arg(binary()).args(desk.run("asks_bool", "null", "x")).current_dir(desk.dir.path());
    let mut python = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    let seen = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{seen}");
    assert!(seen.contains("sure? [x.0]") && seen.contains("try again") && seen.trim_end().ends_with("true"), "{seen}");
}

/// The workflow of people, timers, children and files, killed at thirty moments and taken up again: the same result, every recorded write
/// made once, each question settled once.
#[test]
fn a_workflow_killed_at_random_moments_ends_as_if_undisturbed() {
    let mut moments = 0x2545_f491_4f6c_dd1d_u64;
    let mut interrupted = 0;
    for round in 0..30 {
        // Xorshift (Marsaglia, 2003): moments that differ and are the same in every run.
        moments ^= moments << 13;
        moments ^= moments >> 7;
        moments ^= moments << 17;
        let desk = Desk::new();
        let run = [&desk.run("mixed", r#""/out""#, "x")[..], &["--keep-warm", "0ms", "--json"]].concat();
        // Who might answer there says nothing.
        let start = || Killed(desk.command(&run).stdin(Stdio::piped()).spawn().unwrap());
        let mut host = start();
        let delay = Duration::from_millis(5 + moments % 250);
        if round % 2 == 0 {
            // Half of them are answered while the first host runs.
            let _ = desk.command(&["promise", "resolve", "x.1", "5", "--json"]).output().unwrap();
        }
        std::thread::sleep(delay);
        host.0.kill().unwrap();
        interrupted += u32::from(host.0.wait().unwrap().code().is_none());
        drop(host);
        let again = start();
        let mut tries = 0;
        while !desk.command(&["promise", "resolve", "x.1", "5", "--json"]).output().unwrap().status.success() {
            let ended = desk.json(&["show", "x"]).1["state"] == "completed";
            tries += 1;
            assert!(
                tries < 400,
                "nobody is asked: {:?} {:?}",
                desk.command(&["promise", "resolve", "x.1", "5", "--json"]).output(),
                desk.json(&["show", "x"])
            );
            if ended {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut again = again;
        let output = {
            let child = std::mem::replace(&mut again.0, Command::new("true").spawn().unwrap());
            child.wait_with_output().unwrap()
        };
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["result"], json!({"sum": 6, "child": 7}), "round {round}: {report}");
        let files = ["out/before", "out/child", "out/after"].map(|file| desk.read(file));
        assert_eq!(files, ["5", "child", "6"], "round {round}");
        let (_, list) = desk.json(&["list"]);
        assert_eq!(list["executions"].as_array().unwrap().len(), 3, "round {round}: {list}");
        let audit = desk.read("audit.jsonl");
        // A decision that was recorded is not made again; the last one before a kill may be.
        let asked = audit.lines().filter(|line| line.contains("console.input")).count();
        assert!((1..=2).contains(&asked), "round {round}: asked {asked} times");
        let (_, steps) = desk.json(&["show", "x"]);
        let kinds = steps["steps"].as_array().unwrap().iter().filter(|step| step["kind"] == "timers.sleep").count();
        assert_eq!(kinds, 1, "round {round}");
    }
    assert!(interrupted >= 10, "only {interrupted} of 30 kills came before the end");
}
