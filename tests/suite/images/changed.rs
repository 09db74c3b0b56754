//! A folder that is not what it was: the execution stands still and says where it differs, and goes on once it is as it was.

use super::*;
use crate::support::eventually;
use everstep::Error;
use everstep::store::{FailureKind, State};

/// Reads a file, waits for an answer, and reads another one.
fn calls() -> Value {
    let ask = json!({ "ask": "go on?" });
    json!(text("/deps/a").into_iter().chain([ask]).chain(text("/deps/lib/b")).collect::<Vec<_>>())
}

/// The first part of an execution, in a life of its own.
fn suspended(sandbox: &Sandbox, more: &str) {
    let run = script(&policy(sandbox, more), &calls()).without_waiting();
    let report = life(async { sandbox.host().unwrap().run(run).await.unwrap() });
    assert_eq!(report.state, State::Suspended, "{report:?}");
    sandbox.place().after_a_crash();
}

fn goes_on(sandbox: &Sandbox) {
    let report = life(async { go_on(&sandbox.host().unwrap()).await });
    assert_eq!(outcomes(&report), ["", "one", "", "answered", "", "two", ""]);
    assert_eq!(steps(sandbox, "x"), ["files.image /deps"]);
}

#[test]
fn an_execution_goes_on_in_another_life_with_what_it_has_read() {
    for sandbox in Sandbox::each().inspect(fill) {
        suspended(&sandbox, "");
        // The times of the files are no part of the image.
        for file in ["deps/a", "deps/lib/b"] {
            let content = fs::read(sandbox.path(file)).unwrap();
            fs::write(sandbox.path(file), content).unwrap();
        }
        goes_on(&sandbox);
    }
}

#[test]
fn an_execution_whose_folder_is_not_lent_here_goes_on_where_it_is() {
    for sandbox in Sandbox::each().inspect(fill) {
        suspended(&sandbox, "");
        let ceiling = "[audit]\nfile = \"audit.jsonl\"\n[[capability]]\nname = \"input\"\n";
        let ceiling = sandbox.policy(ceiling).unwrap();
        let resumed = life(async {
            sandbox.builder().ceiling(ceiling).build().unwrap().resume(&id("x"), Patience::None).await.map(drop)
        });
        let error = resumed.unwrap_err().to_string();
        assert!(error.contains("the image \"deps\" is not lent here"), "{error}");
        goes_on(&sandbox);
    }
}

#[test]
fn whatever_differs_is_named_and_nothing_is_lost() {
    let rename =
        |from: &'static str, to: &'static str| move |at: &Path| fs::rename(at.join(from), at.join(to)).unwrap();
    let write = |path: &'static str, text: &'static str| move |at: &Path| fs::write(at.join(path), text).unwrap();
    let remove = |path: &'static str| move |at: &Path| fs::remove_file(at.join(path)).unwrap();
    type Change<'c> = &'c dyn Fn(&Path);
    let beside = |at: &Path| at.parent().unwrap().join("moved");
    let changes: [(Change<'_>, Change<'_>, &str); 5] = [
        (&write("lib/b", "TWO"), &write("lib/b", "two"), "\"/deps/lib/b\" has changed"),
        (&write("lib/c", ""), &remove("lib/c"), "\"/deps/lib/c\" was added"),
        (&remove("a"), &write("a", "one"), "\"/deps/a\" is missing"),
        (&rename("lib/b", "lib/a"), &rename("lib/a", "lib/b"), "\"/deps/lib/a\" was added"),
        (
            &|at: &Path| fs::rename(at, beside(at)).unwrap(),
            &|at: &Path| fs::rename(beside(at), at).unwrap(),
            "rule \"deps\"",
        ),
    ];
    for sandbox in Sandbox::each().inspect(fill) {
        suspended(&sandbox, "");
        for (change, back, expected) in &changes {
            change(&sandbox.path("deps"));
            let resumed = life(async { sandbox.host().unwrap().resume(&id("x"), Patience::None).await.map(drop) });
            let error = resumed.unwrap_err();
            assert!(matches!(error, Error::Image { .. } | Error::Policy(_)), "{error:?}");
            assert!(error.to_string().contains(expected), "{error}");
            back(&sandbox.path("deps"));
        }
        goes_on(&sandbox);
    }
}

#[test]
fn an_answer_to_an_execution_whose_image_has_changed_halts_it_until_the_image_is_as_it_was() {
    // No server: there it is left to other workers, as `workers` shows.
    for sandbox in Place::local().map(|place| Sandbox::over(place).unwrap()) {
        fs::create_dir_all(sandbox.path("deps/lib")).unwrap();
        write_both(&sandbox, "two");
        suspended(&sandbox, "");
        write_both(&sandbox, "TWO");
        let report = life(async {
            let host = sandbox.host().unwrap();
            let asked = host.reader().promises().await.unwrap().remove(0);
            let handle = host.resume(&id("x"), Patience::None).await.map(drop);
            assert!(handle.is_err());
            host.settle(&asked.id, Ok("1".to_owned())).await.unwrap();
            eventually("the halt", async || {
                let found = host.reader().execution(&id("x")).await.unwrap();
                (found.state == State::Halted).then_some(found)
            })
            .await
        });
        let cause = report.progress.error.unwrap();
        assert_eq!(cause.kind, FailureKind::Load);
        assert!(cause.message.contains("\"/deps/lib/b\" has changed"), "{}", cause.message);
        write_both(&sandbox, "two");
        let resume = async |host: Everstep| host.resume(&id("x"), Patience::None).await.unwrap().wait().await.unwrap();
        let report = life(async { resume(sandbox.host().unwrap()).await });
        assert_eq!(outcomes(&report)[5], "two");
    }
}

fn write_both(sandbox: &Sandbox, b: &str) {
    fs::write(sandbox.path("deps/a"), "one").unwrap();
    fs::write(sandbox.path("deps/lib/b"), b).unwrap();
}

#[test]
fn a_file_that_changes_while_the_execution_runs_halts_it_instead_of_being_read() {
    for sandbox in Sandbox::each().inspect(fill) {
        let run = script(&policy(&sandbox, ""), &calls());
        let report = life(async {
            // It keeps its instance, so that nothing but the read can find the change.
            let host = sandbox.builder().keep_warm(Duration::from_secs(86_400)).build().unwrap();
            let handle = host.start(run).await.unwrap();
            let question = async || host.reader().promises().await.unwrap().into_iter().next();
            let asked = eventually("the question", question).await;
            fs::write(sandbox.path("deps/lib/b"), "TWO").unwrap();
            host.settle(&asked.id, Ok("1".to_owned())).await.unwrap();
            handle.wait().await.unwrap()
        });
        let failure = report.error.as_ref().unwrap();
        assert_eq!((report.state, failure.kind), (State::Halted, FailureKind::Load), "{report:?}");
        let expected = "the image \"deps\" is not what it was when the execution started: \"/deps/lib/b\" has changed; \
                        put it back as it was and resume the execution";
        assert_eq!(failure.message, expected);
        assert_eq!(report.replayed, 0);
        fs::write(sandbox.path("deps/lib/b"), "two").unwrap();
        sandbox.place().after_a_crash();
        let report = life(async {
            let host = sandbox.host().unwrap();
            host.resume(&id("x"), Patience::None).await.unwrap().wait().await.unwrap()
        });
        assert_eq!(outcomes(&report)[5], "two");
    }
}

#[test]
pub(crate) fn an_image_that_is_kept_is_read_from_the_store_once_its_folder_is_another() {
    for sandbox in Sandbox::each().inspect(fill) {
        // Text, bytes that are no text, and the first bytes of a component.
        fs::write(sandbox.path("deps/wasm"), b"\0asm\x0d\0\x01\0").unwrap();
        let ask = json!({ "ask": "go on?" });
        let all = || ["a", "lib/b", "wasm"].into_iter().flat_map(|name| text(&format!("/deps/{name}")));
        let sum = [json!({ "open": { "name": "l", "path": "/deps/large", "how": "r" } }), json!({ "sum": "l" })];
        let calls: Vec<Value> = all().chain(sum.clone()).chain([ask]).chain(all()).chain(sum).collect();
        for keep in [true, false] {
            let policy = policy(&sandbox, &format!("keep = {keep}\n"));
            let run = script(&policy, &json!(calls)).without_waiting();
            let run = if keep { run } else { run.with_id(id("y")) };
            let report = life(async { sandbox.host().unwrap().run(run).await.unwrap() });
            assert_eq!(report.state, State::Suspended, "{report:?}");
        }
        sandbox.place().after_a_crash();
        fs::write(sandbox.path("deps/a"), "other").unwrap();
        fs::remove_file(sandbox.path("deps/large")).unwrap();
        check_kept(&sandbox, false);
        fs::remove_dir_all(sandbox.path("deps")).unwrap();
        check_kept(&sandbox, true);
    }
}

#[test]
fn an_image_that_is_too_large_to_be_kept_is_not_started() {
    for sandbox in Sandbox::each().inspect(fill) {
        fs::File::options().write(true).open(sandbox.path("deps/a")).unwrap().set_len(256 << 20).unwrap();
        let run = script(&policy(&sandbox, "keep = true\n"), &calls());
        let error = life(async { sandbox.host().unwrap().start(run).await.map(drop) }).unwrap_err().to_string();
        assert!(error.starts_with("the image \"deps\" cannot be pinned: its files have "), "{error}");
        assert!(error.ends_with(" bytes, and a store keeps at most 268435456; grant a smaller folder"), "{error}");
    }
}

/// Whether the execution that keeps its image may go on, and the other may not; `x` ends if `ends`.
fn check_kept(sandbox: &Sandbox, ends: bool) {
    let refused = life(async { sandbox.host().unwrap().resume(&id("y"), Patience::None).await.map(drop) });
    assert!(refused.is_err());
    life(async {
        let host = sandbox.builder().scope(everstep::Scope::Nothing).build().unwrap();
        let report = match ends {
            false => host.resume(&id("x"), Patience::None).await.unwrap().wait().await.unwrap(),
            true => {
                let asked = host.reader().promises().await.unwrap();
                let asked = asked.iter().find(|asked| asked.id.execution == id("x")).unwrap();
                host.settle(&asked.id, Ok("1".to_owned())).await.unwrap();
                host.resume(&id("x"), Patience::None).await.unwrap().wait().await.unwrap()
            }
        };
        if ends {
            let told = outcomes(&report);
            let (before, after) = told.split_at(told.iter().position(|told| told == "answered").unwrap());
            assert_eq!(before, &after[1..]);
            assert_eq!((before[1].as_str(), before[4].as_str()), ("one", "two"));
        } else {
            assert_eq!(report.state, State::Suspended, "{report:?}");
        }
    });
    sandbox.place().after_a_crash();
}
