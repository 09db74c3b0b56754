//! Images: folders that are pinned when an execution starts, whose reads are no steps.
//!
//! `changed` is what comes of a folder that is not what it was, `workers` what workers on a server do with or without it, `modules` the byte
//! code of modules of Python.

pub(crate) mod changed;
mod modules;
mod workers;

use crate::faulty::CrashStore;
use crate::python::PYTHON;
use crate::support::{Place, Shown, id, life, result};
use crate::wasi_files::GUEST;
use everstep::store::Change;
use everstep::{Builder, Component, Digest, Everstep, PROGRAM, Patience, Policy, ReplayEnd, Report, Run};
use everstep_tests::guests;
use everstep_tests::place::cached;
use everstep_tests::sandbox::{Sandbox, calls};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime};

/// What a program needs, and an image of the folder `deps`.
const IMAGE: &str = "[clock]\nmode = \"recorded\"\n[random]\nmode = \"seeded\"\n[[capability]]\nname = \"input\"\n\
                     [[capability]]\nname = \"print\"\n[audit]\nfile = \"audit.jsonl\"\n\
                     [[files]]\nid = \"deps\"\nguest = \"/deps\"\nhost = \"deps\"\naccess = \"image\"\n";

/// Fills the folder `deps`: `a`, `lib/b`, an empty folder, and `large` of two MiB and a byte.
fn fill(sandbox: &Sandbox) {
    fs::create_dir_all(sandbox.path("deps/lib/empty")).unwrap();
    fs::write(sandbox.path("deps/a"), "one").unwrap();
    fs::write(sandbox.path("deps/lib/b"), "two").unwrap();
    fs::write(sandbox.path("deps/large"), large()).unwrap();
}

fn large() -> Vec<u8> {
    (0..(2 << 20) + 1).map(|at: u32| (at % 251) as u8).collect()
}

fn policy(sandbox: &Sandbox, more: &str) -> Policy {
    sandbox.policy(&format!("{IMAGE}{more}")).unwrap()
}

fn script(policy: &Policy, calls: &Value) -> Run {
    Run::new(GUEST.clone(), "script", calls.to_string(), policy.clone()).with_id(id("x"))
}

fn outcomes(report: &Report) -> Vec<String> {
    serde_json::from_str(result(report)).unwrap()
}

fn told(builder: Builder, run: Run) -> Vec<String> {
    outcomes(&life(async { builder.build().unwrap().run(run).await.unwrap() }))
}

/// The calls that show all of a file.
fn text(path: &str) -> [Value; 3] {
    [json!({ "open": { "name": "f", "path": path, "how": "r" } }), json!({ "text": "f" }), json!({ "close": "f" })]
}

/// The kinds and subjects of the steps on files.
fn steps(sandbox: &Sandbox, of: &str) -> Vec<String> {
    let steps = life(async { sandbox.host().unwrap().reader().steps(&id(of)).await.unwrap() });
    let files = steps.iter().filter(|step| step.kind.starts_with("files."));
    files.map(|step| format!("{} {}", step.kind, step.subject)).collect()
}

/// A host that notes what its store keeps by its digest; on a server, nothing.
fn noting(sandbox: &Sandbox, kept: &Arc<Mutex<BTreeSet<Digest>>>) -> Builder {
    if sandbox.place().is_server() {
        return sandbox.builder();
    }
    let kept = Arc::clone(kept);
    let note = move |changes: &[Change]| {
        let digest = |change: &Change| if let Change::Blob(digest, _) = change { Some(*digest) } else { None };
        kept.lock().unwrap().extend(changes.iter().filter_map(digest));
    };
    cached(Everstep::over(CrashStore::observed(sandbox.place().store(), note)))
}

/// Answers the question of an execution, and lets it go on until it waits again or ends.
async fn go_on(host: &Everstep) -> Report {
    let asked = host.reader().promises().await.unwrap().remove(0);
    host.settle(&asked.id, Ok("1".to_owned())).await.unwrap();
    host.resume(&id("x"), Patience::None).await.unwrap().wait().await.unwrap()
}

#[test]
fn two_thousand_files_are_read_without_a_step_and_a_second_start_adds_its_own_journal_only() {
    for sandbox in Sandbox::each() {
        let mut script_of_all = vec![json!({ "list": "/deps/d07" })];
        for at in 0..2_000 {
            let (folder, file) = (format!("deps/d{:02}", at / 50), format!("deps/d{:02}/f{at}", at / 50));
            fs::create_dir_all(sandbox.path(folder)).unwrap();
            fs::write(sandbox.path(&file), format!("content {at}")).unwrap();
            script_of_all.extend(text(&format!("/{file}")));
        }
        let policy = policy(&sandbox, "");
        let kept: Arc<Mutex<BTreeSet<Digest>>> = Arc::default();
        let run = script(&policy, &json!(script_of_all));
        let held = || sandbox.place().held().unwrap_or_default();
        let mut added = Vec::new();
        for (name, blobs) in [("x", 3), ("y", 0)] {
            let (before, held_before) = (kept.lock().unwrap().len(), held());
            let own = life(async {
                let host = noting(&sandbox, &kept).build().unwrap();
                let report = host.run(run.clone().with_id(id(name))).await.unwrap();
                let told = outcomes(&report);
                assert_eq!(told[0].split(", ").count(), 50, "{}", told[0]);
                assert!(told[1..].chunks(3).enumerate().all(|(at, told)| told[1] == format!("content {at}")));
                let (journal, result) = (host.reader().journal(&id(name)).await.unwrap(), report.result.unwrap());
                assert!(journal.len() < result.len() + 2_000, "{} bytes", journal.len() - result.len());
                // A server has its journal in base64, and in its promise the arguments and the result.
                run.args.len() + result.len() + journal.len() * 4 / 3
            });
            added.push((held() - held_before, own));
            // The component, the policy and what the image holds; a second start finds all of them there.
            let new = if sandbox.place().is_server() { 0 } else { blobs };
            assert_eq!(kept.lock().unwrap().len(), before + new);
        }
        if sandbox.place().is_server() {
            let [(first, _), (second, own)] = added[..] else { panic!("{added:?}") };
            // The JSON texts of the promises, and their ids.
            assert!(second < own * 5 / 4 + 4_000, "{second} bytes for a run of {own}");
            assert!(first > second + 100_000, "{first} bytes with what the image holds, {second} without");
        }
        for name in ["x", "y"] {
            assert_eq!(steps(&sandbox, name), ["files.image /deps"]);
        }
        let audited = sandbox.audit().unwrap();
        let files = audited.iter().filter(|line| line["capability"].as_str().unwrap().starts_with("files"));
        let files: Vec<_> = files.map(|line| (&line["capability"], &line["rule"], &line["decision"])).collect();
        assert_eq!(files, [(&json!("files.image"), &json!("deps"), &json!("allow")); 2]);
    }
}

#[test]
fn a_program_sees_the_tree_as_it_was_at_the_start_and_cannot_change_it() {
    for sandbox in Sandbox::each().inspect(fill) {
        let when = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250);
        fs::File::options().write(true).open(sandbox.path("deps/a")).unwrap().set_modified(when).unwrap();
        symlink(sandbox.path("secret"), sandbox.path("deps/link")).unwrap();
        let calls = json!([
            { "list": "/deps" },
            { "list": "/deps/lib" },
            { "list": "/deps/lib/empty" },
            { "stat": "/deps/lib/b" },
            { "stat": "/deps/lib" },
            { "modified": "/deps/a" },
            { "stat": "/deps/none" },
            { "stat": "/deps/a/x" },
            { "open": { "name": "l", "path": "/deps/large", "how": "r" } },
            { "sum": "l" },
            { "read": { "name": "l", "offset": (1 << 20) - 3, "len": 7 } },
            { "open": { "name": "w", "path": "/deps/a", "how": "w" } },
            { "open": { "name": "w", "path": "/deps/new", "how": "wc" } },
            { "unlink": "/deps/a" },
            { "mkdir": "/deps/folder" },
            { "rename": { "from": "/deps/a", "to": "/deps/b" } },
            { "touch": { "path": "/deps/a", "seconds": 1 } },
            { "open": { "name": "s", "path": "/deps/link", "how": "r" } },
        ]);
        let before = sandbox.inventory().unwrap();
        let told = told(sandbox.builder(), script(&policy(&sandbox, ""), &calls));
        let read = |path: &str| {
            let calls = json!([{ "open": { "name": "l", "path": path, "how": "r" } }, { "sum": "l" },
                { "read": { "name": "l", "offset": (1 << 20) - 3, "len": 7 } }]);
            let plain = sandbox.policy(&IMAGE.replace("\"image\"", "\"read\"")).unwrap();
            self::told(sandbox.builder(), script(&plain, &calls).with_id(id("read")))
        };
        assert_eq!(
            told[..8],
            [
                "file a, file large, folder lib, link link",
                "file b, folder empty",
                "",
                "file 3",
                "folder 0",
                "1700000000250",
                "error: no-entry",
                "error: not-directory"
            ]
        );
        assert_eq!(told[8..11], read("/deps/large"));
        let refused = told[11..].iter().all(|told| ["error: access", "error: not-permitted"].contains(&told.as_str()));
        assert!(refused, "{:?}", &told[11..]);
        assert_eq!(sandbox.inventory().unwrap(), before);
        // What is denied is on record; reading is not.
        let denied = steps(&sandbox, "x");
        assert_eq!(denied[0], "files.image /deps");
        assert!(denied.contains(&"files.write /deps/new".to_owned()), "{denied:?}");
        assert!(denied.contains(&"files.stat /deps/link".to_owned()), "{denied:?}");
        assert!(!denied.iter().any(|step| step.starts_with("files.read") || step.starts_with("files.list")));
        let audited = sandbox.audit().unwrap();
        let link = audited.iter().find(|line| line["subject"] == "/deps/link").unwrap();
        assert_eq!(link["decision"], "deny");
    }
}

#[test]
fn our_own_interface_reads_an_image_without_a_step() {
    for sandbox in Sandbox::each().inspect(fill) {
        symlink("a", sandbox.path("deps/link")).unwrap();
        let policy = policy(&sandbox, "max_file = \"1MiB\"\n");
        let made = life(async {
            let host = sandbox.host().unwrap();
            let made = json!([
                { "read": "/deps/lib/b" },
                { "list": "/deps/lib" },
                { "stat": "/deps/large" },
                { "stat": "/deps" },
                { "read": "/deps/none" },
                { "read": "/deps/lib" },
                { "read": "/deps/large" },
                { "write": ["/deps/a", "x"] },
                { "remove": "/deps/a" },
                { "read": "/deps/link" },
                { "read": "/deps/link/x" },
            ]);
            calls(&host, &policy, made).await.unwrap()
        });
        assert_eq!(made[0]["ok"], "two");
        let entry = |name: &str, kind: &str, size: u64| json!({ "name": name, "kind": kind, "size": size });
        assert_eq!(made[1]["ok"], json!([entry("b", "file", 3), entry("empty", "directory", 0)]));
        assert_eq!(made[2]["ok"], entry("large", "file", (2 << 20) + 1));
        assert_eq!(made[3]["ok"], entry("deps", "directory", 0));
        let errors: Vec<&str> = made[4..].iter().map(|made| made["error"].as_str().unwrap()).collect();
        assert_eq!(errors, ["not-found", "failed", "limit-exceeded", "denied", "denied", "denied", "denied"]);
        let lines = sandbox.audit().unwrap();
        let decided: Vec<String> =
            lines.iter().map(|line| format!("{} {}", line["capability"], line["decision"]).replace('"', "")).collect();
        assert_eq!(
            decided,
            ["files.image allow", "files.write deny", "files.remove deny", "files.read deny", "files.read deny"]
        );
    }
}

#[test]
fn a_ceiling_that_does_not_lend_the_folder_denies_the_image_as_a_whole() {
    for sandbox in Sandbox::each().inspect(fill) {
        let policy = policy(&sandbox, "keep = true\n");
        let log = "[audit]\nfile = \"audit.jsonl\"\n";
        let ceiling = |files: &str| sandbox.policy(&format!("{log}[[capability]]\nname = \"print\"\n{files}")).unwrap();
        let folder = |host: &str| {
            ceiling(&format!("[[files]]\nid = \"c\"\nguest = \"/deps\"\nhost = \"{host}\"\naccess = \"read\"\n"))
        };
        for (ceiling, lends) in [(ceiling(""), false), (folder("in"), false), (folder("deps"), true)] {
            let (before, kept) = (sandbox.audit().map_or(0, |lines| lines.len()), Arc::default());
            let made = life(async {
                let host = noting(&sandbox, &kept).ceiling(ceiling).build().unwrap();
                let made = json!([{ "read": "/deps/a" }, { "list": "/deps" }, { "stat": "/deps/a" }]);
                calls(&host, &policy, made).await.unwrap()
            });
            assert!(made.iter().all(|made| if lends { made["error"].is_null() } else { made["error"] == "denied" }));
            let lines = sandbox.audit().unwrap().split_off(before);
            assert_eq!((lines.len(), &lines[0]["capability"]), (1, &json!("files.image")));
            assert_eq!(lines[0]["decision"], if lends { "allow" } else { "deny" });
            // The component and the policy; of a folder that is not lent, nothing is kept.
            let kept = kept.lock().unwrap().len();
            assert!(if lends { kept > 2 } else { kept <= 2 } || sandbox.place().is_server(), "{kept}");
        }
    }
}

/// What a program does that only reads, done on the system.
#[path = "../guests/std_files/src/look.rs"]
mod look;

static STD_FILES: LazyLock<Component> = LazyLock::new(|| guests::fixture("std_files").unwrap().into());

#[test]
fn a_program_of_the_standard_library_reads_what_it_would_read_on_the_system() {
    for sandbox in Sandbox::each().inspect(fill) {
        sandbox.place().equip(&STD_FILES);
        let args = json!(["std_files", "/deps", "look"]).to_string();
        let run = Run::new(STD_FILES.clone(), PROGRAM, args, policy(&sandbox, "")).with_id(id("x"));
        let shown = Shown::default();
        let report = life(async { sandbox.builder().on_output(shown.sink()).build().unwrap().run(run).await.unwrap() });
        assert_eq!(result(&report), "null");
        assert_eq!(shown.lines().concat().lines().collect::<Vec<_>>(), look::look(&sandbox.path("deps")));
        assert_eq!(steps(&sandbox, "x"), ["files.image /deps"]);
    }
}

#[test]
fn a_python_program_reads_an_image() {
    for sandbox in Sandbox::each().inspect(fill) {
        sandbox.place().equip(&PYTHON);
        let policy = policy(&sandbox, "[limits]\nwasm_stack = \"8MiB\"\n");
        let code = "import os\nprint(open('/deps/lib/b').read(), sorted(os.listdir('/deps')), len(open('/deps/large', 'rb').read()))";
        let run = Run::new(PYTHON.clone(), "execute", json!({ "code": code }).to_string(), policy).with_id(id("x"));
        let shown = Shown::default();
        let report = life(async { sandbox.builder().on_output(shown.sink()).build().unwrap().run(run).await.unwrap() });
        result(&report);
        assert_eq!(shown.lines().concat(), "two ['a', 'large', 'lib'] 2097153\n");
        assert_eq!(steps(&sandbox, "x"), ["files.image /deps"]);
    }
}

#[test]
fn a_replay_and_a_fork_have_the_image_of_the_execution() {
    for sandbox in Sandbox::each().inspect(fill) {
        let ask = json!({ "ask": "go on?" });
        let calls: Vec<Value> = text("/deps/a").into_iter().chain([ask]).chain(text("/deps/lib/b")).collect();
        let run = script(&policy(&sandbox, ""), &json!(calls));
        life(async {
            let host = sandbox.builder().scope(everstep::Scope::Nothing).build().unwrap();
            host.run(run.without_waiting()).await.unwrap();
            let report = go_on(&host).await;
            assert_eq!(outcomes(&report)[1..5].join(" "), "one  answered ");
            let replay = host.replay(&id("x"), None, None).await.unwrap();
            assert_eq!(replay.end, ReplayEnd::Repeated);
            host.fork(everstep::Fork::new(&id("x"), 1, &id("z"))).await.unwrap();
            fs::write(sandbox.path("deps/lib/b"), "TWO").unwrap();
            for error in [
                host.replay(&id("x"), None, None).await.map(drop).unwrap_err(),
                host.resume(&id("z"), Patience::None).await.map(drop).unwrap_err(),
            ] {
                assert!(error.to_string().contains("\"/deps/lib/b\" has changed"), "{error}");
            }
            // What shares no step pins the folder as it is now.
            let fork = everstep::Fork::new(&id("x"), 0, &id("w"));
            fs::write(sandbox.path("deps/lib/b"), "two").unwrap();
            host.fork(fork).await.unwrap();
            fs::write(sandbox.path("deps/lib/b"), "TWO").unwrap();
            let report = host.resume(&id("w"), Patience::None).await.unwrap().wait().await.unwrap();
            assert_eq!(report.state, everstep::store::State::Suspended, "{report:?}");
        });
    }
}
