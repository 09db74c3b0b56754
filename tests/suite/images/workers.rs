//! Workers on a server: one that has the folder as it was goes on, and every other one leaves the execution to it.
//!
//! One place: it is about workers on a server.

use super::*;
use crate::remote_commands::{Ground, Process, until};
use everstep::Scope;
use everstep::store::{MemoryStore, State};

fn start(ground: &Ground, name: &str, more: &str) {
    let policy = format!("version = 1\n{IMAGE}{more}");
    let policy = Policy::parse(&policy, &ground.desk.dir.path().join("policy.toml")).unwrap();
    let ask = json!({ "ask": "go on?" });
    let calls: Vec<Value> = text("/deps/a").into_iter().chain([ask]).chain(text("/deps/lib/b")).collect();
    ground.submit(vec![script(&policy, &json!(calls)).with_id(id(name))]);
}

fn fill(folder: &Path, b: &str) {
    fs::create_dir_all(folder.join("lib")).unwrap();
    fs::write(folder.join("a"), "one").unwrap();
    fs::write(folder.join("lib/b"), b).unwrap();
}

fn worker(ground: &Ground, more: &[&str]) -> Process {
    let guest = guests::path(&guests::project().join("tests/guests/files")).unwrap();
    ground.worker_at(&ground.url, guest.to_str().unwrap(), more)
}

/// Answers the question of an execution once it asks.
fn answer(ground: &Ground, name: &str) {
    until("the question", || {
        let (_, asked) = ground.desk.json(&["promise", "list", "--remote", &ground.url]);
        let asked = asked["promises"].as_array()?.iter().find_map(|one| one["id"].as_str())?.to_owned();
        assert!(asked.starts_with(&format!("{name}.")), "{asked}");
        let resolve = ["promise", "resolve", &asked, "5", "--remote", &ground.url];
        ground.desk.command(&resolve).output().unwrap().status.success().then_some(())
    });
}

#[test]
fn a_worker_without_the_folder_as_it_was_leaves_the_execution_to_one_that_has_it() {
    let (ground, same, other) = (Ground::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(&ground.desk.dir.path().join("deps"), "two");
    fill(same.path(), "two");
    fill(other.path(), "TWO");
    start(&ground, "x", "");
    let first = worker(&ground, &[]);
    ground.until("x", State::Suspended);
    drop(first);
    fs::remove_dir_all(ground.desk.dir.path().join("deps")).unwrap();
    answer(&ground, "x");
    let without = worker(&ground, &[]);
    without.until_said("left to other workers");
    drop(without);
    let differs = worker(&ground, &["--folder", &format!("deps={}", other.path().display())]);
    let said = differs.until_said("left to other workers");
    assert!(said.contains("/deps/lib/b") && said.contains("has changed"), "{said}");
    assert_eq!(ground.execution("x").state, State::Pending);
    let _with = worker(&ground, &["--folder", &format!("deps={}", same.path().display())]);
    let ended = ground.until("x", State::Completed);
    assert_eq!(ended.result.unwrap(), json!(["", "one", "", "answered", "", "two", ""]).to_string());
}

#[test]
fn a_worker_without_the_folder_reads_an_image_that_is_kept_from_the_server() {
    let ground = Ground::new();
    fill(&ground.desk.dir.path().join("deps"), "two");
    start(&ground, "x", "keep = true\n");
    let first = worker(&ground, &[]);
    ground.until("x", State::Suspended);
    drop(first);
    fs::remove_dir_all(ground.desk.dir.path().join("deps")).unwrap();
    answer(&ground, "x");
    let _without = worker(&ground, &[]);
    let ended = ground.until("x", State::Completed);
    assert_eq!(ended.result.unwrap(), json!(["", "one", "", "answered", "", "two", ""]).to_string());
}

#[test]
fn an_execution_is_moved_to_a_server_with_its_image() {
    let ground = Ground::new();
    let folder = ground.desk.dir.path().join("deps");
    fill(&folder, "two");
    let store = Arc::new(MemoryStore::default());
    let policy = format!("version = 1\n{IMAGE}keep = true\n");
    let policy = Policy::parse(&policy, &ground.desk.dir.path().join("policy.toml")).unwrap();
    let ask = json!({ "ask": "go on?" });
    let calls: Vec<Value> = text("/deps/a").into_iter().chain([ask]).chain(text("/deps/lib/b")).collect();
    life(async {
        let host = cached(Everstep::over(Arc::clone(&store) as _)).scope(Scope::Nothing).build().unwrap();
        let report = host.run(script(&policy, &json!(calls)).without_waiting()).await.unwrap();
        assert_eq!(report.state, State::Suspended, "{report:?}");
        fs::remove_dir_all(&folder).unwrap();
        host.move_to(&id("x"), &ground.host().await, &ground.url).await.unwrap();
    });
    answer(&ground, "x");
    let _worker = worker(&ground, &[]);
    let ended = ground.until("x", State::Completed);
    assert_eq!(ended.result.unwrap(), json!(["", "one", "", "answered", "", "two", ""]).to_string());
}
