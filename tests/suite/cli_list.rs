//! `everstep list` over a store that holds more than a screen shows, as a person or a script uses it.
//!
//! One place: it drives the program, whose store is a folder.

use everstep::store::operation::{NewPromise, Operation, Settlement};
use everstep::store::record::{NEVER, PromiseState, Value};
use everstep::store::{Backend, Change, FileStore, Invocation};
use everstep::{Digest, ExecutionId};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Executions in the store; the first was created at the time 1, one a second after that.
const COUNT: u64 = 1_050;

/// A store of calls: one in a hundred failed, one in two hundred is of another function, the last three wait for a host.
fn store() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path()).unwrap();
    let mut changes = Vec::new();
    for number in 1..=COUNT {
        let now_ms = number * 1_000;
        let function = if number % 200 == 0 { "rare" } else { "count" }.to_owned();
        let (component, policy) = (Digest::of(b"component"), Digest::of(b"policy"));
        let invocation = Invocation { function, args: "[\"a\\nb\"]".to_owned(), component, policy, trace: None };
        let (param, tags) = (invocation.param(), invocation.tags("poll://any@default"));
        let new = NewPromise { id: name(number), timeout_at: NEVER, param, tags: tags.into() };
        changes.push(Change::operation(now_ms, Operation::PromiseCreate(new)));
        let state = if number % 100 == 0 { PromiseState::Rejected } else { PromiseState::Resolved };
        let value = Value { headers: BTreeMap::new(), data: Some("[1]".to_owned()) };
        let settle = Operation::PromiseSettle(Settlement { id: name(number), state, value });
        changes.extend((number <= COUNT - 3).then(|| Change::operation(now_ms, settle)));
    }
    store.commit(&changes).unwrap();
    dir
}

fn name(number: u64) -> String {
    ExecutionId::new(format!("e{number}")).unwrap().to_string()
}

fn binary() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.parent().unwrap().parent().unwrap().join("everstep")
}

fn list(store: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.arg("list").args(args).arg("--store").arg(store).stdin(Stdio::null());
    command
}

/// The ids that the table shows, in order.
fn ids(table: &str) -> Vec<&str> {
    let rows = table.lines().filter(|line| line.starts_with('e') && line.contains("  "));
    rows.filter_map(|row| row.split_whitespace().next()).collect()
}

#[track_caller]
fn shows(store: &Path, args: &[&str], expected: impl IntoIterator<Item = u64>) {
    let expected: Vec<_> = expected.into_iter().map(name).collect();
    let output = list(store, args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(table.matches("OUTCOME").count(), 1, "one head");
    assert_eq!(ids(&table), expected, "{args:?}");
    let output = list(store, &[args, &["--json"]].concat()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!((text.lines().count(), text.ends_with('\n')), (1, true));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let listed = json["executions"].as_array().unwrap().iter();
    assert_eq!(listed.map(|one| one["id"].as_str().unwrap()).collect::<Vec<_>>(), expected, "{args:?}, as JSON");
}

#[test]
fn a_pipe_gets_all_that_is_asked_for_newest_first() {
    let dir = store();
    let store = dir.path();
    shows(store, &[], (1..=COUNT).rev());
    shows(store, &["--limit", "4"], (COUNT - 3..=COUNT).rev());
    shows(store, &["--limit", "2", "--before", "e500"], [499, 498]);
    shows(store, &["--limit", "0"], []);
    shows(store, &["--state", "pending"], (COUNT - 2..=COUNT).rev());
    shows(store, &["--state", "failed"], (1..=10).rev().map(|number| number * 100));
    shows(store, &["--state", "failed,pending", "--limit", "5"], [1050, 1049, 1048, 1000, 900]);
    shows(store, &["--state", "failed", "--state", "halted", "--before", "e300"], [200, 100]);
    shows(store, &["--function", "rare"], [1000, 800, 600, 400, 200]);
    shows(store, &["--function", "rare", "--state", "completed"], []);
    shows(store, &["--since", "1970-01-01T00:17:00Z"], (1_020..=COUNT).rev());
    shows(store, &["--since", "1970-01-01T00:10:00Z", "--function", "rare"], [1000, 800, 600]);
    shows(store, &["--since", "1h"], []);
}

#[test]
fn what_is_no_state_time_or_execution_is_refused_with_what_there_is() {
    let dir = store();
    let wishes = [
        (["--state", "done"], "an execution is pending, running, suspended, halted, completed, failed, canceled"),
        (["--since", "yesterday"], "write a span such as 90s, 12h or 7d, or a time such as 2026-01-31T12:00:00Z"),
        (["--before", "nobody"], "nobody"),
    ];
    for (args, told) in wishes {
        let output = list(dir.path(), &args).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && stderr.contains(told), "{args:?}: {stderr}");
    }
}

/// Python's `pty` gives the program a terminal.
#[test]
fn a_terminal_shows_the_newest_hundred_and_says_how_to_see_more() {
    let dir = store();
    let script = "import os, pty, sys\n\
        seen = []\n\
        def read(fd):\n    data = os.read(fd, 4096)\n    seen.append(data)\n    return data\n\
        status = os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:], read))\n\
        sys.exit(status)\n";
    let at_terminal = |args: &[&str]| {
        let mut python = Command::new("python3");
        python.arg("-").arg(binary()).arg("list").args(args).arg("--store").arg(dir.path());
        let mut python = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        python.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = python.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().replace('\r', "")
    };
    let seen = at_terminal(&[]);
    assert_eq!(ids(&seen), (COUNT - 99..=COUNT).rev().map(name).collect::<Vec<_>>(), "{seen}");
    assert!(seen.contains("there are more: see --limit, or go on with --before e951"), "{seen}");
    let seen = at_terminal(&["--state", "failed"]);
    assert!(ids(&seen).len() == 10 && !seen.contains("there are more"), "{seen}");
    let seen = at_terminal(&["--limit", "1050"]);
    assert!(ids(&seen).len() == 1_050 && !seen.contains("there are more"), "{seen}");
    let seen = at_terminal(&["--json"]);
    assert_eq!(seen.matches("\"id\":").count(), 1_050);
}
