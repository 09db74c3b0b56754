//! Overlay grants: a guest sees its own changes, everybody else the folder as it was.

use super::denied;
use crate::faulty::{CrashStore, Fate};
use crate::support::{Place, life, soon};
use everstep::capability::{Idempotent, Request};
use everstep::store::{Backend, State};
use everstep::{Everstep, Patience, Policy, ReplayEnd, Report, Scope};
use everstep_tests::place::cached;
use everstep_tests::sandbox::{Sandbox, calls, hostile, id, outcomes};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const OVERLAY: &str = r#"
    [[capability]]
    name = "promise"
    [[capability]]
    name = "print"
    [[capability]]
    name = "echo"
    [[files]]
    id = "over"
    guest = "/over"
    host = "base"
    access = "overlay"
    [audit]
    file = "audit.jsonl"
"#;

/// For each place a sandbox as below.
fn sandboxes() -> impl Iterator<Item = (Sandbox, Vec<String>)> {
    Place::each().map(sandbox)
}

/// A folder `base` with `kept`, `removed` and `folder/inside` in it, which nobody may write to, and its inventory.
fn sandbox(place: Place) -> (Sandbox, Vec<String>) {
    let sandbox = Sandbox::over(place).unwrap();
    fs::create_dir_all(sandbox.path("base/folder")).unwrap();
    for file in ["kept", "removed", "folder/inside"] {
        fs::write(sandbox.path("base").join(file), format!("host {file}")).unwrap();
    }
    for folder in ["base/folder", "base"] {
        fs::set_permissions(sandbox.path(folder), fs::Permissions::from_mode(0o555)).unwrap();
    }
    let before = inventory(&sandbox);
    (sandbox, before)
}

fn inventory(sandbox: &Sandbox) -> Vec<String> {
    fn collect(path: &Path, found: &mut Vec<String>) {
        let stat = fs::symlink_metadata(path).unwrap();
        let content = if stat.is_file() { fs::read(path).unwrap() } else { Vec::new() };
        let times = [stat.mtime(), stat.mtime_nsec(), stat.ctime(), stat.ctime_nsec()];
        found.push(format!("{} {:o} {times:?} {} {content:?}", path.display(), stat.mode(), stat.ino()));
        if stat.is_dir() {
            fs::read_dir(path).unwrap().for_each(|entry| collect(&entry.unwrap().path(), found));
        }
    }
    let mut found = Vec::new();
    collect(&sandbox.path("base"), &mut found);
    found.sort();
    found
}

fn policy(sandbox: &Sandbox) -> Policy {
    sandbox.policy(OVERLAY).unwrap()
}

fn file(name: &str, size: u64) -> Value {
    json!({ "name": name, "kind": "file", "size": size })
}

fn folder(name: &str) -> Value {
    json!({ "name": name, "kind": "directory", "size": 0 })
}

/// Changes the overlay in every way.
fn changes() -> [Value; 5] {
    [
        json!({ "write": ["/over/new/deep/file", "guest"] }),
        json!({ "write": ["/over/kept", "guest kept"] }),
        json!({ "remove": "/over/removed" }),
        json!({ "remove": "/over/folder/inside" }),
        json!({ "remove": "/over/folder" }),
    ]
}

/// Looks at everything that was changed.
fn looks() -> [Value; 8] {
    [
        json!({ "list": "/over" }),
        json!({ "list": "/over/new" }),
        json!({ "read": "/over/new/deep/file" }),
        json!({ "read": "/over/kept" }),
        json!({ "stat": "/over/kept" }),
        json!({ "read": "/over/removed" }),
        json!({ "stat": "/over/folder" }),
        json!({ "list": "/over/folder" }),
    ]
}

#[track_caller]
fn check_looks(made: &[Value]) {
    assert_eq!(made[0]["ok"], json!([file("kept", 10), folder("new")]));
    assert_eq!(made[1]["ok"], json!([folder("deep")]));
    assert_eq!((&made[2]["ok"], &made[3]["ok"]), (&json!("guest"), &json!("guest kept")));
    assert_eq!(made[4]["ok"], file("kept", 10));
    assert!(made[5..8].iter().all(|outcome| outcome["error"] == "not-found"), "{made:?}");
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_guest_sees_its_changes_and_the_folder_stays_as_it_is() {
    for (sandbox, before) in sandboxes() {
        let (host, policy) = (sandbox.host().unwrap(), policy(&sandbox));
        let mut script = vec![
            json!({ "list": "/over" }),
            json!({ "remove": "/over/folder" }),
            json!({ "write": ["/over/folder", "x"] }),
            json!({ "write": ["/over/kept/below", "x"] }),
            json!({ "remove": "/over/missing" }),
        ];
        script.extend(changes());
        script.extend(looks());
        let made = calls(&host, &policy, json!(script)).await.unwrap();
        assert_eq!(made[0]["ok"], json!([folder("folder"), file("kept", 9), file("removed", 12)]));
        let refused = made[1..5].iter().map(|outcome| outcome["message"].as_str().unwrap()).collect::<Vec<_>>();
        assert!(refused[0].contains("the folder is not empty"), "{refused:?}");
        assert!(refused[1].contains("it is a folder"), "{refused:?}");
        assert!(refused[2].contains("it is no folder, or lies below a file"), "{refused:?}");
        assert!(refused[3].contains("it does not exist"), "{refused:?}");
        assert!(made[5..10].iter().all(|outcome| outcome["error"].is_null()), "{made:?}");
        check_looks(&made[10..]);
        // The next execution starts from the folder again.
        let made = calls(&host, &policy, json!([{ "list": "/over" }, { "read": "/over/kept" }])).await.unwrap();
        assert_eq!(made[0]["ok"], json!([folder("folder"), file("kept", 9), file("removed", 12)]));
        assert_eq!(made[1]["ok"], "host kept");
        assert_eq!(inventory(&sandbox), before);
        assert_eq!(sandbox.audit().unwrap().len(), 20, "each call is a line");
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn executions_at_the_same_time_do_not_see_each_other() {
    for (sandbox, before) in sandboxes() {
        let (host, policy) = (sandbox.host().unwrap(), policy(&sandbox));
        let script = |name: &str| {
            json!([
                { "write": ["/over/mine", name] },
                { "create": "null" },
                { "wait": [1] },
                { "read": "/over/mine" },
                { "list": "/over" },
            ])
        };
        let names = ["one", "two", "three"];
        let mut handles = Vec::new();
        for name in names {
            let run = hostile(&policy, "calls", &script(name).to_string()).unwrap().with_id(id(name).unwrap());
            handles.push(host.start(run).await.unwrap());
        }
        while host.reader().promises().await.unwrap().len() < names.len() {
            tokio::task::yield_now().await;
        }
        for (name, handle) in names.into_iter().zip(handles) {
            host.settle(&id(name).unwrap().promise(1), Ok("null".into())).await.unwrap();
            let made = outcomes(&soon("the end", handle.wait()).await.unwrap()).unwrap();
            assert_eq!(made[3]["ok"], name);
            assert_eq!(made[4]["ok"].as_array().unwrap().len(), 4, "{made:?}");
        }
        assert_eq!(inventory(&sandbox), before);
    }
}

/// Changes that go well and changes that do not, each behind a step that waits for the journal, and a look at all of it.
fn works() -> Value {
    let mut script = Vec::new();
    let failing =
        [json!({ "remove": "/over/missing" }), json!({ "write": ["/over/new", "a file in place of a folder"] })];
    let replaced = [json!({ "write": ["/over/new/gone", "x"] }), json!({ "remove": "/over/new/gone" })];
    let calls = changes().into_iter().chain(failing).chain(replaced);
    for (number, call) in calls.enumerate() {
        // A wait takes no number.
        let request = 2 * number;
        script.extend([json!({ "request": ["echo", null] }), json!({ "wait": [request] }), call]);
    }
    script.extend(looks());
    json!(script)
}

#[track_caller]
fn check_works(report: &Report) {
    let made = outcomes(report).unwrap();
    let changed = made.iter().skip(2).step_by(3).take(9);
    let errors: Vec<_> = changed.map(|outcome| outcome["error"].as_str().unwrap_or_default()).collect();
    assert_eq!(errors, ["", "", "", "", "", "not-found", "failed", "", ""]);
    check_looks(&made[27..]);
}

#[test]
pub(super) fn after_the_failure_of_any_commit_the_guest_sees_the_same_files() {
    // No server: it fails a commit of the store.
    for place in Place::local() {
        for fate in [Fate::Lost, Fate::Kept] {
            let commits = (1..).take_while(|commit| survive(&place.another(), *commit, fate)).count();
            assert!(commits > 9, "only {commits} commits");
        }
    }
}

/// Runs over a store that fails at that commit, then over what is left of it. False when the run had fewer commits.
fn survive(place: &Place, commit: u32, fate: Fate) -> bool {
    let (sandbox, before) = sandbox(place.another());
    let inner = place.store();
    let store = CrashStore::at(Arc::clone(&inner), commit, fate);
    let works = |store: Arc<dyn Backend>| {
        let run = hostile(&policy(&sandbox), "calls", &works().to_string()).unwrap().with_id(id("x").unwrap());
        let echo = Idempotent(|request: Request| async move { Ok(request.message) });
        let builder = cached(Everstep::over(store)).scope(Scope::Nothing).capability("echo", echo);
        life(async { soon("the end", builder.build().unwrap().run(run)).await })
    };
    let first = works(Arc::clone(&store) as Arc<dyn Backend>);
    assert_eq!(first.is_err(), store.has_struck(), "commit {commit}, {fate:?}: {first:?}");
    check_works(&works(inner).unwrap());
    assert_eq!(inventory(&sandbox), before);
    first.is_err()
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_guest_that_was_put_aside_sees_its_changes_again() {
    for (sandbox, before) in sandboxes() {
        let mut script = changes().to_vec();
        script.extend([json!({ "create": "null" }), json!({ "wait": [5] })]);
        script.extend(looks());
        let (job, policy) = (id("job").unwrap(), policy(&sandbox));
        let run = hostile(&policy, "calls", &json!(script).to_string()).unwrap().with_id(job.clone());
        // Evicted at its wait, and taken up by the same host.
        let other = sandbox.place().another();
        let host = cached(other.plain()).keep_warm(Duration::ZERO).build().unwrap();
        let handle = host.start(run.clone()).await.unwrap();
        while host.reader().execution(&job).await.unwrap().state != State::Suspended {
            tokio::task::yield_now().await;
        }
        host.settle(&job.promise(5), Ok("null".into())).await.unwrap();
        check_looks(&outcomes(&soon("the end", handle.wait()).await.unwrap()).unwrap()[7..]);
        // Suspended, and taken up by another host.
        let report = sandbox.host().unwrap().run(run.without_waiting()).await.unwrap();
        assert_eq!(report.state, State::Suspended);
        let host = sandbox.host().unwrap();
        host.settle(&job.promise(5), Ok("null".into())).await.unwrap();
        let report = host.resume(&job, Patience::Forever).await.unwrap().wait().await.unwrap();
        assert_eq!(report.replayed, 6);
        check_looks(&outcomes(&report).unwrap()[7..]);
        assert_eq!(inventory(&sandbox), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_fork_and_a_replay_rebuild_the_changes() {
    for (sandbox, before) in sandboxes() {
        let mut script = changes().to_vec();
        script.extend(looks());
        let (job, policy) = (id("job").unwrap(), policy(&sandbox));
        let host = sandbox.host().unwrap();
        let run = hostile(&policy, "calls", &json!(script).to_string()).unwrap().with_id(job.clone());
        check_looks(&outcomes(&host.run(run).await.unwrap()).unwrap()[5..]);
        for at in 0..=5 {
            let fork = id(&format!("fork-{at}")).unwrap();
            host.fork(everstep::Fork::new(&job, at, &fork)).await.unwrap();
            let report = host.resume(&fork, Patience::Forever).await.unwrap().wait().await.unwrap();
            check_looks(&outcomes(&report).unwrap()[5..]);
        }
        assert_eq!(inventory(&sandbox), before);
        // Nothing of the folder is needed to repeat what is recorded.
        fs::rename(sandbox.path("base"), sandbox.path("moved")).unwrap();
        let replay = host.replay(&job, None, None).await.unwrap();
        assert_eq!((replay.end, replay.steps.len()), (ReplayEnd::Repeated, 13));
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn the_quotas_of_a_write_bound_what_is_kept_in_memory() {
    for (sandbox, before) in sandboxes() {
        let quotas = "id = \"over\"\nmax_file = '60B'\nmax_written = '100B'\nmax_files = 2";
        let policy = sandbox.policy(&OVERLAY.replace("id = \"over\"", quotas)).unwrap();
        let script = json!([
            { "write_bytes": ["/over/a", 60] },
            { "write_bytes": ["/over/b", 61] },
            { "write_bytes": ["/over/a", 41] },
            { "write_bytes": ["/over/folder/b", 1] },
            { "write_bytes": ["/over/b", 40] },
            { "write_bytes": ["/over/c", 0] },
            { "remove": "/over/kept" },
            { "remove": "/over/removed" },
            { "create": "null" },
            { "wait": [8] },
            { "write_bytes": ["/over/a", 1] },
            { "remove": "/over/folder/inside" },
            { "remove": "/over/a" },
            { "list": "/over" },
        ]);
        let job = id("job").unwrap();
        let run = hostile(&policy, "calls", &script.to_string()).unwrap().with_id(job.clone()).without_waiting();
        assert_eq!(sandbox.host().unwrap().run(run).await.unwrap().state, State::Suspended);
        let host = sandbox.host().unwrap();
        host.settle(&job.promise(8), Ok("null".into())).await.unwrap();
        let report = host.resume(&job, Patience::Forever).await.unwrap().wait().await.unwrap();
        let made = outcomes(&report).unwrap();
        let exceeded = [
            (1, "max_file = 60"),
            (2, "max_written = 100"),
            (3, "max_files = 2"),
            (5, "max_files = 2"),
            (10, "max_written"),
            (11, "max_files = 2"),
        ];
        for (call, quota) in exceeded {
            assert_eq!(made[call]["error"], "limit-exceeded", "{call}: {made:?}");
            assert!(made[call]["message"].as_str().unwrap().contains(quota), "{call}: {made:?}");
        }
        assert!([0, 4, 6, 7, 12].iter().all(|call| made[*call]["error"].is_null()), "{made:?}");
        assert_eq!(made[13]["ok"], json!([file("b", 40), folder("folder")]));
        assert_eq!(inventory(&sandbox), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_link_or_a_special_file_of_the_folder_is_no_way_through() {
    for (sandbox, _) in sandboxes() {
        let base = sandbox.path("base");
        fs::set_permissions(&base, fs::Permissions::from_mode(0o755)).unwrap();
        symlink("../secret", base.join("file")).unwrap();
        symlink("..", base.join("up")).unwrap();
        symlink("folder", base.join("inside")).unwrap();
        symlink("nowhere", base.join("dangling")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, base.join("fifo"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
            .unwrap();
        let paths = [
            "file",
            "up",
            "up/secret",
            "up/new",
            "inside/inside",
            "inside/new",
            "dangling",
            "fifo",
            ".",
            "..",
            "../secret",
        ];
        let attempts = paths.iter().map(|path| format!("/over/{path}")).flat_map(|path| {
            let [read, list, stat, remove] =
                ["read", "list", "stat", "remove"].map(|operation| json!({ operation: path.clone() }));
            [read, list, stat, remove, json!({ "write": [path, "x"] })]
        });
        let attempts: Vec<_> = attempts.collect();
        denied(&sandbox, &sandbox.host().unwrap(), &policy(&sandbox), &attempts).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn what_others_change_in_the_folder_shows_where_the_guest_has_changed_nothing() {
    for (sandbox, _) in sandboxes() {
        let mut script = changes().to_vec();
        script.extend([json!({ "read": "/over/folder/inside" }), json!({ "create": "null" }), json!({ "wait": [6] })]);
        script.extend(looks());
        script.push(json!({ "read": "/over/added" }));
        let (job, policy) = (id("job").unwrap(), policy(&sandbox));
        let run = hostile(&policy, "calls", &json!(script).to_string()).unwrap().with_id(job.clone()).without_waiting();
        assert_eq!(sandbox.host().unwrap().run(run).await.unwrap().state, State::Suspended);
        let base = sandbox.path("base");
        fs::set_permissions(&base, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(base.join("kept"), "changed by another").unwrap();
        fs::write(base.join("added"), "by another").unwrap();
        fs::remove_file(base.join("removed")).unwrap();
        symlink("/etc/passwd", base.join("removed")).unwrap();
        let host = sandbox.host().unwrap();
        host.settle(&job.promise(6), Ok("null".into())).await.unwrap();
        let report = host.resume(&job, Patience::Forever).await.unwrap().wait().await.unwrap();
        let made = outcomes(&report).unwrap();
        assert_eq!(made[8]["ok"], json!([file("added", 10), file("kept", 10), folder("new")]));
        assert_eq!((&made[11]["ok"], &made[13]["error"]), (&json!("guest kept"), &json!("not-found")));
        assert_eq!(made[16]["ok"], "by another");
    }
}
