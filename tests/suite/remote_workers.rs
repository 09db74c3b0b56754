//! What the workers of a server have, and what one lacks that another has: folders, secrets, builds of a component.
//!
//! One place: it is about workers on a server.

use crate::remote_commands::{Ground, Process, until};
use crate::support::{id, parse, run};
use everstep::store::State;
use everstep::{Policy, Run};
use serde_json::json;
use std::fs;

/// Starts `mixed` for the workers, under the policy of the desk.
fn start_mixed(ground: &Ground) {
    let policy = Policy::load(&ground.desk.dir.path().join("policy.toml")).unwrap();
    ground.submit(vec![Run { policy, ..run("mixed", "\"/out/x\"").with_id(id("x")) }]);
}

fn resolve(ground: &Ground) {
    until("the question", || {
        let resolve = ["promise", "resolve", "x.1", "5", "--remote", &ground.url];
        ground.desk.command(&resolve).output().unwrap().status.success().then_some(())
    });
}

#[test]
fn a_folder_lies_where_a_worker_says_and_a_worker_without_it_leaves_the_execution_to_others() {
    let (ground, elsewhere) = (Ground::new(), tempfile::tempdir().unwrap());
    fs::create_dir(elsewhere.path().join("x")).unwrap();
    start_mixed(&ground);
    fs::remove_dir(ground.desk.dir.path().join("out")).unwrap();
    let without = ground.worker(&[]);
    let said = without.until_said("left to other workers");
    assert!(said.contains("of the [[files]] rule \"out\""), "{said}");
    assert_eq!(ground.execution("x").state, State::Pending);
    let located = format!("out={}", elsewhere.path().display());
    let _with = ground.worker(&["--folder", &located]);
    resolve(&ground);
    ground.until("x", State::Completed);
    assert_eq!(fs::read_to_string(elsewhere.path().join("x/after")).unwrap(), "6");
    assert!(!ground.desk.dir.path().join("out").exists());
}

#[test]
fn a_folder_that_is_not_there_ends_a_worker_before_it_begins() {
    let ground = Ground::new();
    for (located, expected) in
        [("out", "ID=PATH"), ("=/", "ID=PATH"), ("out=missing", "missing"), ("out=policy.toml", "no folder")]
    {
        let args = ["worker", &ground.desk.component, "--remote", &ground.url, "--folder", located];
        let output = ground.desk.command(&args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{located}: {said}");
    }
}

#[test]
fn a_secret_is_that_of_the_worker_and_a_worker_without_it_leaves_the_execution_to_others() {
    let ground = Ground::new();
    let url = ground.site.url("/page");
    let policy = parse(&format!(
        "[network]\nblock = [\"non-global\"]\nallow = [\"127.0.0.1/32\"]\n[[fetch]]\nid = \"page\"\nurl = \"{url}\"\nmethods = [\"GET\"]\n\
         secret = {{ header = \"x-key\", from = \"env:PAGE_KEY\" }}\n"
    ));
    let wanted = json!({ "method": "GET", "url": url }).to_string();
    ground.submit(vec![Run { policy, ..run("fetches", &wanted).with_id(id("x")) }]);
    let without = ground.worker(&[]);
    let said = without.until_said("left to other workers");
    assert!(said.contains("PAGE_KEY"), "{said}");
    assert_eq!(ground.execution("x").state, State::Pending);
    let cache = everstep_tests::guests::project().join("target/test-cache");
    let args = ["worker", &ground.desk.component, "--remote", &ground.url, "--cache", cache.to_str().unwrap()];
    let mut with = ground.desk.command(&args);
    with.env("PAGE_KEY", "s3cret-t0ken");
    let _with = Process::start(with);
    ground.until("x", State::Completed);
    let seen = ground.site.requests();
    assert_eq!(seen.iter().filter(|request| request.head.contains("x-key: s3cret-t0ken")).count(), 1, "{seen:?}");
    assert!(!String::from_utf8_lossy(&ground.journal("x")).contains("s3cret-t0ken"));
}

#[test]
fn a_ceiling_lends_an_execution_the_folders_and_secrets_that_it_names_and_no_others() {
    let (ground, other) = (Ground::new(), tempfile::tempdir().unwrap());
    fs::create_dir(other.path().join("x")).unwrap();
    fs::create_dir(ground.desk.dir.path().join("out/x")).unwrap();
    let own = fs::read_to_string(ground.desk.dir.path().join("policy.toml")).unwrap();
    let ceiling = own.replace("host = \"./out\"", &format!("host = \"{}\"", other.path().display()));
    assert_ne!(own, ceiling);
    fs::write(ground.desk.dir.path().join("ceiling.toml"), ceiling).unwrap();
    let worker = ground.worker(&["--ceiling", "ceiling.toml"]);
    start_mixed(&ground);
    resolve(&ground);
    let ended = ground.until("x", State::Failed);
    let message = ended.progress.error.unwrap().message;
    assert!(message.contains("is the ceiling") && message.contains("it may use"), "{message}");
    assert!([other.path(), &ground.desk.dir.path().join("out")].iter().all(|dir| !dir.join("x/before").exists()));
    // A folder that the worker has placed is lent if the ceiling names it.
    drop(worker);
    let located = format!("out={}", other.path().display());
    let _worker = ground.worker(&["--ceiling", "ceiling.toml", "--folder", &located]);
    let policy = Policy::load(&ground.desk.dir.path().join("policy.toml")).unwrap();
    ground.submit(vec![Run { policy, ..run("mixed", "\"/out/x\"").with_id(id("y")) }]);
    until("the question", || {
        let resolve = ["promise", "resolve", "y.1", "5", "--remote", &ground.url];
        ground.desk.command(&resolve).output().unwrap().status.success().then_some(())
    });
    ground.until("y", State::Completed);
    assert_eq!(fs::read_to_string(other.path().join("x/after")).unwrap(), "6");
}

#[test]
fn a_worker_writes_to_no_audit_log_but_that_of_its_ceiling() {
    let ground = Ground::new();
    let file = |name: &str| ground.desk.dir.path().join(name);
    fs::create_dir(file("out/x")).unwrap();
    let theirs = fs::read_to_string(file("policy.toml")).unwrap();
    let log = "[audit]\nfile = \"audit.jsonl\"\n";
    assert!(theirs.contains(log));
    fs::write(file("none.toml"), theirs.replace(log, "")).unwrap();
    fs::write(file("other.toml"), theirs.replace("audit.jsonl", "ours.jsonl")).unwrap();
    fs::write(file("same.toml"), theirs.replace("audit.jsonl", "out/../audit.jsonl")).unwrap();
    start_mixed(&ground);
    for ceiling in ["none", "other"] {
        let worker = ground.worker(&["--ceiling", &format!("{ceiling}.toml")]);
        let said = worker.until_said("left to other workers");
        assert!(said.contains("audit.jsonl") && said.contains(&format!("the ceiling \"{ceiling}\"")), "{said}");
        assert_eq!(ground.execution("x").state, State::Pending);
        assert!(!file("audit.jsonl").exists() && !file("ours.jsonl").exists());
    }
    let _worker = ground.worker(&["--ceiling", "same.toml"]);
    resolve(&ground);
    ground.until("x", State::Completed);
    assert!(fs::read_to_string(file("audit.jsonl")).unwrap().contains("files.write"));
}

#[test]
fn an_upgraded_execution_goes_on_in_a_worker_that_has_the_other_build() {
    let ground = Ground::new();
    fs::create_dir(ground.desk.dir.path().join("out/x")).unwrap();
    let mut next = fs::read(&ground.desk.component).unwrap();
    next.extend([0, 5, 4, b'n', b'e', b'x', b't']);
    let file = ground.desk.dir.path().join("next.wasm");
    fs::write(&file, next).unwrap();
    let old = ground.worker(&["--keep-warm", "0ms"]);
    start_mixed(&ground);
    let began = ground.until("x", State::Suspended).component;
    // A worker with that build alone has nothing to do yet.
    let new = ground.worker_at(&ground.url, file.to_str().unwrap(), &[]);
    new.until_said("worker of group default");
    let upgrade = ["upgrade", "x", "--component", "next.wasm", "--remote", &ground.url];
    let (code, upgraded) = ground.desk.json(&upgrade);
    assert_eq!((code, &upgraded["upgraded"]), (0, &json!("x")), "{upgraded}");
    resolve(&ground);
    let ended = ground.until("x", State::Completed);
    assert_ne!(ended.component, began);
    assert_eq!(upgraded["component"], json!(ended.component), "{upgraded}");
    assert_eq!(old.lines("cannot"), Vec::<String>::new());
    // A component that does something else is refused, and changes nothing.
    let (code, refused) = ground.desk.json(&upgrade);
    assert_eq!((code, &refused["error"]["kind"]), (2, &json!("ended")), "{refused}");
}
