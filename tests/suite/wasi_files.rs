//! Files of WASI guests: what a program sees of the folders that its policy grants, which steps that takes, and what survives.
//!
//! `attacks` is what must fail cleanly, `created` files that must be new, `facts` what programs rely on, `program` uses the standard library of Rust and `python` that of Python, `native` compares a thousand sequences of
//! calls with the system's own files, `killed` ends hosts by signal.

mod attacks;
mod created;
mod facts;
mod killed;
mod native;
mod program;
mod python;

use crate::support::{ManualClock, failure, id, life, result};
use everstep::store::{FailureKind, PendingPromise, State};
use everstep::{Answer, Component, ErrorCode, Patience, Policy, Report, Run};
use everstep_tests::guests;
use everstep_tests::place::Place;
use everstep_tests::sandbox::{FILES, Sandbox};
use serde_json::{Value, json};
use std::fs;
use std::sync::LazyLock;

pub(crate) static GUEST: LazyLock<Component> = LazyLock::new(|| guests::fixture("files").unwrap().into());

/// What a program needs beside files.
const BASICS: &str = "[clock]\nmode = \"recorded\"\n[random]\nmode = \"seeded\"\n[[capability]]\nname = \"input\"\n\
                      [[capability]]\nname = \"print\"\n";

fn granted(sandbox: &Sandbox, more: &str) -> Policy {
    sandbox.policy(&format!("{BASICS}{more}")).unwrap()
}

fn script(policy: &Policy, calls: &Value) -> Run {
    Run::new(GUEST.clone(), "script", calls.to_string(), policy.clone()).with_id(id("x"))
}

fn open(name: &str, path: &str, how: &str) -> Value {
    json!({ "open": { "name": name, "path": path, "how": how } })
}

fn say(name: &str, text: &str) -> Value {
    json!({ "say": { "name": name, "text": text } })
}

fn close(name: &str) -> Value {
    json!({ "close": name })
}

/// Runs a script to its end, on a host of its own.
fn told(sandbox: &Sandbox, policy: &Policy, calls: Value) -> Vec<String> {
    let report = life(async { sandbox.host().unwrap().run(script(policy, &calls)).await.unwrap() });
    outcomes(&report)
}

#[track_caller]
fn outcomes(report: &Report) -> Vec<String> {
    serde_json::from_str(result(report)).unwrap()
}

/// The kinds and subjects of the steps on files that an execution has recorded.
fn steps(sandbox: &Sandbox) -> Vec<String> {
    let steps = life(async { sandbox.host().unwrap().reader().steps(&id("x")).await.unwrap() });
    let files = steps.iter().filter(|step| step.kind.starts_with("files."));
    files.map(|step| format!("{} {}", step.kind, step.subject)).collect()
}

fn questions(sandbox: &Sandbox) -> Vec<PendingPromise> {
    life(async { sandbox.host().unwrap().reader().promises().await.unwrap() })
}

/// Answers the oldest question on a host, and lets the execution go on until it waits again.
fn go_on(sandbox: &Sandbox, answer: &str) -> Report {
    let asked = questions(sandbox).remove(0);
    life(async {
        let host = sandbox.host().unwrap();
        host.settle(&asked.id, Ok(answer.to_owned())).await.unwrap();
        host.resume(&id("x"), Patience::None).await.unwrap().wait().await.unwrap()
    })
}

fn approval(approved: bool) -> String {
    serde_json::to_string(&Answer { approved, by: Some("ada".to_owned()), reason: None }).unwrap()
}

#[test]
fn a_program_finds_the_folders_of_its_policy() {
    for sandbox in Sandbox::each() {
        let policy = granted(&sandbox, FILES);
        let run = Run::new(GUEST.clone(), "folders", "null", policy).with_id(id("x"));
        let report = life(async { sandbox.host().unwrap().run(run).await.unwrap() });
        assert_eq!(result(&report), r#"["/in","/out","/"]"#);
    }
}

#[test]
fn each_file_is_read_once_and_leaves_once() {
    for sandbox in Sandbox::each() {
        let policy = granted(&sandbox, FILES);
        let mut calls = vec![open("a", "/in/a.txt", "r"), open("b", "/out/b", "wc")];
        for at in 0..6 {
            calls.push(json!({ "read": { "name": "a", "offset": at, "len": 1 } }));
            calls.push(json!({ "append": { "name": "b", "len": 9_000, "seed": at } }));
        }
        calls.extend([close("b"), close("a"), json!({ "stat": "/out/b" })]);
        let told = told(&sandbox, &policy, json!(calls));
        assert_eq!(told.last().unwrap(), "file 54000");
        assert_eq!(fs::metadata(sandbox.path("out/b")).unwrap().len(), 54_000);
        let expected = [
            "files.stat /in/a.txt",
            "files.stat /out/b",
            "files.read /in/a.txt",
            "files.append /out/b",
            "files.stat /out/b",
        ];
        assert_eq!(steps(&sandbox), expected);
        let audited = sandbox.audit().unwrap();
        let decided: Vec<&Value> = audited
            .iter()
            .map(|line| &line["capability"])
            .filter(|it| it.as_str().unwrap().starts_with("files"))
            .collect();
        assert_eq!(decided.len(), 5, "{decided:?}");
    }
}

#[test]
fn handles_on_one_file_lose_nothing_and_see_each_other() {
    for sandbox in Sandbox::each() {
        let policy = granted(&sandbox, FILES);
        fs::write(sandbox.path("out/log"), "0\n").unwrap();
        let calls = json!([
            open("one", "/out/log", "w"),
            open("two", "/out/log", "wc"),
            open("reader", "/out/log", "r"),
            say("one", "1\n"),
            say("two", "2\n"),
            { "text": "reader" },
            say("one", "3\n"),
            { "sync": "two" },
            say("two", "4\n"),
            { "text": "reader" },
            { "same": { "a": "one", "b": "reader" } },
            close("one"),
            close("two"),
            { "text": "reader" },
            close("reader"),
        ]);
        let told = told(&sandbox, &policy, calls);
        assert_eq!((&*told[5], &*told[9], &*told[10]), ("0\n1\n2\n", "0\n1\n2\n3\n4\n", "true"));
        assert_eq!(told[13], told[9]);
        assert_eq!(fs::read_to_string(sandbox.path("out/log")).unwrap(), "0\n1\n2\n3\n4\n");
        let expected = ["files.stat", "files.append", "files.read", "files.append"];
        let kinds: Vec<String> =
            steps(&sandbox).iter().map(|step| step.split(' ').next().unwrap().to_owned()).collect();
        assert_eq!(kinds.iter().filter(|kind| *kind == "files.append").count(), 2, "{kinds:?} {expected:?}");
    }
}

#[test]
fn executions_that_append_to_one_file_lose_and_double_nothing() {
    for sandbox in Sandbox::each() {
        let policy = granted(&sandbox, FILES);
        fs::write(sandbox.path("out/log"), "").unwrap();
        let run = |name: &str| {
            let calls: Vec<Value> = (0..10)
                .flat_map(|line| [open("log", "/out/log", "w"), say("log", &format!("{name}{line}\n")), close("log")])
                .collect();
            Run::new(GUEST.clone(), "script", json!(calls).to_string(), policy.clone()).with_id(id(name))
        };
        life(async {
            let host = sandbox.host().unwrap();
            let runs = ["a", "b", "c"].map(|name| host.run(run(name)));
            for report in futures::future::join_all(runs).await {
                result(&report.unwrap());
            }
        });
        let text = fs::read_to_string(sandbox.path("out/log")).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        for name in ["a", "b", "c"] {
            let own: Vec<&str> = lines.iter().copied().filter(|line| line.starts_with(name)).collect();
            assert!(own.is_sorted() && own.len() == 10, "{text}");
        }
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), 30);
    }
}

#[test]
fn a_resumed_program_has_the_files_that_it_had() {
    for sandbox in Sandbox::each() {
        let policy = granted(&sandbox, FILES);
        let calls = json!([
            open("a", "/in/a.txt", "r"),
            open("b", "/out/b", "rwc"),
            { "mkdir": "/out/f" },
            say("b", "before "),
            { "rename": { "from": "/out/b", "to": "/out/f/b" } },
            { "text": "a" },
            { "modified": "/in/a.txt" },
            { "ask": "go on?" },
            { "text": "a" },
            { "modified": "/in/a.txt" },
            say("b", "after"),
            { "text": "b" },
            close("b"),
            { "list": "/out" },
            { "list": "/out/f" },
            { "stat": "/out/f/b" },
        ]);
        let run = script(&policy, &calls).without_waiting();
        let suspended = life(async { sandbox.host().unwrap().run(run).await.unwrap() });
        assert_eq!(suspended.state, State::Suspended);
        let before = steps(&sandbox);
        // Whatever happens meanwhile: what the program has read stays as it is.
        fs::write(sandbox.path("in/a.txt"), "another content, and a longer one").unwrap();
        let report = go_on(&sandbox, "1");
        let told = outcomes(&report);
        assert_eq!((&*told[5], &*told[8], &told[6]), ("inside", "inside", &told[9]));
        assert_eq!(told[11..], ["before after", "", "folder f", "file b", "file 12"]);
        assert_eq!(fs::read_to_string(sandbox.path("out/f/b")).unwrap(), "before after");
        assert_eq!(steps(&sandbox)[..before.len()], before);
    }
}

#[test]
fn files_left_open_leave_at_the_end() {
    for sandbox in Sandbox::each() {
        let policy = granted(&sandbox, FILES);
        told(&sandbox, &policy, json!([open("a", "/out/a", "wc"), say("a", "x"), open("b", "/out/b", "wc")]));
        assert_eq!(fs::read_to_string(sandbox.path("out/a")).unwrap(), "x");
        assert_eq!(fs::read_to_string(sandbox.path("out/b")).unwrap(), "");
    }
}

#[test]
fn a_write_that_needs_an_approval_asks_once_per_file() {
    for sandbox in Sandbox::each() {
        let asks = "[[ask]]\nwhen = \"files.write\"\nremember = \"once\"\n";
        let policy = granted(&sandbox, &format!("{FILES}{asks}"));
        let calls = json!([
            open("a", "/out/a", "wc"),
            say("a", "one "),
            say("a", "two"),
            open("again", "/out/a", "r"),
            close("a"),
            close("again"),
            { "stat": "/out/a" },
        ]);
        let run = script(&policy, &calls).without_waiting();
        let suspended = life(async { sandbox.host().unwrap().run(run).await.unwrap() });
        assert_eq!(suspended.state, State::Suspended);
        let asked = questions(&sandbox);
        let data: Value = serde_json::from_str(asked[0].data.as_deref().unwrap()).unwrap();
        assert_eq!((asked.len(), &data["capability"]), (1, &json!("files.append")), "{data}");
        assert_eq!((&data["arguments"]["path"], &data["arguments"]["content"]), (&json!("/out/a"), &json!("one two")));
        assert!(!sandbox.path("out/a").exists());
        let told = outcomes(&go_on(&sandbox, &approval(true)));
        assert_eq!(told.last().unwrap(), "file 7");
        assert_eq!(fs::read_to_string(sandbox.path("out/a")).unwrap(), "one two");
    }
}

#[test]
fn a_refused_write_is_an_error_of_sync_and_otherwise_ends_the_program() {
    for sandbox in Sandbox::each() {
        let policy = granted(&sandbox, &format!("{FILES}[[ask]]\nwhen = \"files.write\"\n"));
        let synced = json!([open("a", "/out/a", "wc"), say("a", "x"), { "sync": "a" }, close("a")]);
        let dropped = json!([open("b", "/out/b", "wc"), say("b", "x"), close("b")]);
        let run = script(&policy, &synced).without_waiting();
        life(async { sandbox.host().unwrap().run(run).await.unwrap() });
        assert_eq!(outcomes(&go_on(&sandbox, &approval(false)))[2..], ["error: access", ""]);
        let run = script(&policy, &dropped).with_id(id("y")).without_waiting();
        life(async { sandbox.host().unwrap().run(run).await.unwrap() });
        let report = life(async {
            let host = sandbox.host().unwrap();
            let asked = host.reader().promises().await.unwrap().remove(0);
            host.settle(&asked.id, Ok(approval(false))).await.unwrap();
            host.resume(&id("y"), Patience::None).await.unwrap().wait().await.unwrap()
        });
        let (kind, message) = failure(&report);
        assert_eq!(kind, FailureKind::Returned(ErrorCode::Denied));
        assert!(message.contains("files write \"/out/b\""), "{message}");
        assert_eq!(fs::read_dir(sandbox.path("out")).unwrap().count(), 0);
    }
}

#[test]
fn names_are_created_listed_moved_and_removed() {
    for sandbox in Sandbox::each() {
        let policy = granted(&sandbox, FILES);
        let calls = json!([
            { "mkdir": "/out/f" },
            { "mkdir": "/out/f" },
            { "mkdir": "/out/no/f" },
            open("b", "/out/f/b", "wcx"),
            open("a", "/out/f/a", "wc"),
            { "list": "/out/f" },
            { "rmdir": "/out/f" },
            { "rename": { "from": "/out/f", "to": "/out/g" } },
            { "list": "/out/g" },
            { "rename": { "from": "/out/g/a", "to": "/out/g/b" } },
            close("a"),
            close("b"),
            { "list": "/out/g" },
            { "unlink": "/out/g" },
            { "rmdir": "/out/g/b" },
            { "unlink": "/out/g/b" },
            { "unlink": "/out/g/b" },
            { "rmdir": "/out/g" },
            { "list": "/out" },
            { "rename": { "from": "/out/x", "to": "/in/x" } },
            { "rmdir": "/out" },
        ]);
        let told = told(&sandbox, &policy, calls);
        let expected = [
            "",
            "error: exist",
            "error: no-entry",
            "",
            "",
            "file a, file b",
            "error: not-empty",
            "",
            "file a, file b",
            "",
            "",
            "",
            "file b",
            "error: is-directory",
            "error: not-directory",
            "",
            "error: no-entry",
            "",
            "",
            "error: access",
            "error: busy",
        ];
        assert_eq!(told, expected);
        assert_eq!(fs::read_dir(sandbox.path("out")).unwrap().count(), 0);
    }
}

#[test]
fn a_ceiling_holds_for_where_a_file_is_moved_from() {
    for sandbox in Sandbox::each() {
        for folder in ["out/mine", "out/theirs"] {
            fs::create_dir(sandbox.path(folder)).unwrap();
        }
        fs::write(sandbox.path("out/theirs/a"), "a").unwrap();
        fs::write(sandbox.path("out/mine/b"), "b").unwrap();
        let policy = granted(&sandbox, FILES);
        let mine =
            FILES.replace("guest = \"/out\"", "guest = \"/out/mine\"").replace("host = \"out\"", "host = \"out/mine\"");
        let ceiling = granted(&sandbox, &mine);
        let calls = json!([
            { "rename": { "from": "/out/theirs/a", "to": "/out/mine/a" } },
            { "rename": { "from": "/out/mine/b", "to": "/out/mine/c" } },
        ]);
        let report = life(async {
            let host = sandbox.host().unwrap();
            host.set_ceiling(Some(ceiling));
            host.run(script(&policy, &calls)).await.unwrap()
        });
        assert_eq!(outcomes(&report), ["error: access", ""]);
        assert!(sandbox.path("out/theirs/a").exists() && sandbox.path("out/mine/c").exists());
    }
}

#[test]
fn times_are_recorded_and_can_be_set() {
    for place in Place::each() {
        let sandbox = Sandbox::over(place).unwrap();
        let policy = granted(&sandbox, FILES);
        let calls = json!([
            open("a", "/out/a", "wc"),
            { "modified": "/out/a" },
            close("a"),
            { "touch": { "path": "/out/a", "seconds": 12_345 } },
            { "modified": "/out/a" },
        ]);
        let clock = ManualClock::at(1_700_000_000_000);
        let builder = sandbox.place().by(clock, sandbox.builder());
        let report = life(async { builder.build().unwrap().run(script(&policy, &calls)).await.unwrap() });
        let told = outcomes(&report);
        assert_eq!((&*told[1], &*told[4]), ("1700000000000", "12345000"));
        let modified = fs::metadata(sandbox.path("out/a")).unwrap().modified().unwrap();
        assert_eq!(modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(), 12_345);
        let unclocked = sandbox.policy(&format!("[[capability]]\nname = \"print\"\n{FILES}")).unwrap();
        let run = script(&unclocked, &json!([{ "modified": "/out/a" }])).with_id(id("y"));
        let report = life(async { sandbox.host().unwrap().run(run).await.unwrap() });
        assert_eq!(outcomes(&report), ["unknown"]);
    }
}

#[test]
fn a_scratch_is_empty_and_leaves_nothing_behind() {
    let scratch = "[[files]]\nid = \"tmp\"\nguest = \"/tmp\"\naccess = \"scratch\"\n";
    for sandbox in Sandbox::each() {
        let before = sandbox.inventory().unwrap();
        let policy = granted(&sandbox, scratch);
        let calls = json!([
            { "list": "/tmp" },
            { "mkdir": "/tmp/f" },
            open("a", "/tmp/f/a", "rwc"),
            { "append": { "name": "a", "len": 3_000_000, "seed": 5 } },
            close("a"),
            { "rename": { "from": "/tmp/f", "to": "/tmp/g" } },
            { "ask": "go on?" },
            open("a", "/tmp/g/a", "rw"),
            { "sum": "a" },
            { "set-size": { "name": "a", "size": 5 } },
            close("a"),
            { "stat": "/tmp/g/a" },
            { "list": "/tmp/g" },
            { "unlink": "/tmp/g/a" },
            { "rmdir": "/tmp/g" },
            { "list": "/tmp" },
        ]);
        let run = script(&policy, &calls).without_waiting();
        life(async { sandbox.host().unwrap().run(run).await.unwrap() });
        let report = go_on(&sandbox, "1");
        let told = outcomes(&report);
        assert!(told[8].starts_with("3000000 "), "{told:?}");
        assert_eq!(told[9..], ["", "", "file 5", "file a", "", "", ""]);
        assert_eq!(sandbox.inventory().unwrap(), before);
        let journal = life(async { sandbox.host().unwrap().reader().journal(&id("x")).await.unwrap() });
        assert!(journal.len() < 20_000, "{} bytes: what a program keeps for itself is not recorded", journal.len());
    }
}

#[test]
fn an_overlay_shows_the_changes_to_the_program_alone() {
    for sandbox in Sandbox::each() {
        let policy = granted(&sandbox, &FILES.replace("\"write\"", "\"overlay\""));
        fs::create_dir(sandbox.path("out/f")).unwrap();
        fs::write(sandbox.path("out/f/a"), "host").unwrap();
        let before = sandbox.inventory().unwrap();
        let calls = json!([
            open("a", "/out/f/a", "rw"),
            say("a", " and guest"),
            close("a"),
            { "rename": { "from": "/out/f/a", "to": "/out/f/b" } },
            { "rename": { "from": "/out/f", "to": "/out/g" } },
            { "ask": "go on?" },
            open("b", "/out/f/b", "r"),
            { "text": "b" },
            { "list": "/out/f" },
            { "mkdir": "/out/h" },
            { "rename": { "from": "/out/h", "to": "/out/i" } },
            { "list": "/out" },
            { "unlink": "/out/f/b" },
            { "rmdir": "/out/f" },
            { "list": "/out" },
        ]);
        let run = script(&policy, &calls).without_waiting();
        life(async { sandbox.host().unwrap().run(run).await.unwrap() });
        let told = outcomes(&go_on(&sandbox, "1"));
        let expected = ["", "host and guest", "file b", "", "", "folder f, folder i", "error: busy", "", "folder i"];
        assert_eq!(told[4], "error: cross-device", "a folder that the host has is not moved");
        assert_eq!(told[6..8], expected[..2]);
        assert_eq!(told[8..12], expected[2..6]);
        assert_eq!(told[12..], ["", "", "folder i"]);
        assert_eq!(sandbox.inventory().unwrap(), before);
    }
}

#[test]
fn a_large_file_is_read_and_written_in_little_memory() {
    // One place: it is about memory, and a journal of this size takes a while.
    let sandbox = Sandbox::over(Place::memory()).unwrap();
    let limits = "[limits]\nmemory = \"12MiB\"\njournal = \"128MiB\"\ncpu = \"60s\"\nwall = \"120s\"\n";
    let files = FILES.replace("access", "max_file = \"1GiB\"\naccess");
    let policy = sandbox.policy(&format!("{limits}{BASICS}{files}")).unwrap();
    fs::File::create(sandbox.path("in/large")).unwrap().set_len(40 << 20).unwrap();
    let calls = json!([
        open("a", "/in/large", "r"),
        { "sum": "a" },
        open("b", "/out/large", "wc"),
        { "write": { "name": "b", "offset": 0, "len": 1_000_000, "seed": 1 } },
        { "write": { "name": "b", "offset": 33_000_000, "len": 700_000, "seed": 2 } },
        { "append": { "name": "b", "len": 4_000_000, "seed": 3 } },
        { "append": { "name": "b", "len": 4_000_000, "seed": 4 } },
        { "append": { "name": "b", "len": 4_000_000, "seed": 5 } },
        { "size": "b" },
        close("b"),
    ]);
    let told = told(&sandbox, &policy, calls);
    assert!(told[1].starts_with("41943040 "), "{told:?}");
    assert!(told[2..8].iter().all(String::is_empty), "{told:?}");
    assert_eq!(told[8], "45700000");
    let reads = steps(&sandbox).iter().filter(|step| step.starts_with("files.read")).count();
    assert!((40..=44).contains(&reads), "{reads} reads: one per MiB");
    let written = fs::read(sandbox.path("out/large")).unwrap();
    assert_eq!(written.len(), 45_700_000);
    assert!(written[1_000_000..33_000_000].iter().all(|byte| *byte == 0));
    let byte = |at: u64, seed: u64| (at.wrapping_mul(31).wrapping_add(seed.wrapping_mul(7919)) >> 3) as u8;
    assert!((0..4_000_000).all(|at| written[41_700_000 + at as usize] == byte(at, 5)));
}
