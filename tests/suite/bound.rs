//! Journals are bound to their execution and their store, and carry the execution whole.

use crate::recovery::{World, workflow};
use crate::support::{Place, id, life, outcome, parse, result, run, text};
use everstep::clock::SystemClock;
use everstep::store::{Change, Execution, FailureKind, State};
use everstep::{Digest, Error, Fork, Patience, Run, Scope, StepOutcome};
use everstep_tests::guests;
use std::path::Path;
use std::sync::Arc;

/// An execution under that id that asks a question.
fn asked(place: &Place, name: &str, run: Run) -> Execution {
    let report = outcome(place.host(), run.with_id(id(name)).without_waiting());
    assert_eq!(report.state, State::Suspended);
    place.store().execution(&id(name)).unwrap().unwrap()
}

/// The database of a store in a folder, with a change that nobody but its owner can make.
fn tamper(dir: &Path, sql: &str) {
    let done = std::process::Command::new("python3")
        .args(["-c", "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2])"])
        .arg(dir.join("store.db"))
        .arg(sql)
        .status();
    assert!(done.unwrap().success(), "{sql}");
}

/// What becomes of `x` after that.
fn quarantined(place: &Place, what: &str) {
    life(async {
        let host = place.host().build().unwrap();
        let before = host.reader().journal(&id("x")).await.unwrap();
        let error = host.resume(&id("x"), Patience::Forever).await.map(drop).unwrap_err();
        assert!(matches!(error, Error::Foreign(_)), "{what}: {error}");
        assert!(
            error.to_string().starts_with("the journal of x is not the one that this store wrote for it"),
            "{error}"
        );
        let told = host.reader().execution(&id("x")).await.unwrap();
        assert_eq!((told.state, told.progress.error.unwrap().kind), (State::Halted, FailureKind::Corrupted), "{what}");
        assert!(host.reader().journal(&id("x")).await.unwrap() == before, "{what}: the journal was changed");
        // Another one is none of its business.
        assert_eq!(result(&host.run(run("same", "1").with_id(id("z"))).await.unwrap()), "1");
        host.cancel(&id("x")).await.unwrap();
    });
}

/// Bytes as SQL writes them.
fn blob(digest: Digest) -> String {
    format!("X'{}'", digest.to_string().trim_start_matches("sha256:"))
}

#[test]
fn a_journal_that_was_not_written_for_its_execution_is_quarantined() {
    let other = guests::fixture("hostile").unwrap();
    let component = Digest::of(&other);
    let exchanged = format!("UPDATE executions SET component = {} WHERE key = 1", blob(component));
    for (what, sql) in [
        (
            "its last segment is missing",
            "UPDATE OR REPLACE segments SET id = id - 1 WHERE id = (SELECT max(id) FROM segments WHERE id < 2 << 32)",
        ),
        (
            "all but its start is missing",
            "UPDATE OR REPLACE segments SET id = (1 << 32) + 1 WHERE id = (SELECT max(id) FROM segments WHERE id < 2 << 32);
             DELETE FROM segments WHERE id > (1 << 32) + 1 AND id < 2 << 32",
        ),
        ("its seal is missing", "DELETE FROM segments WHERE id = (SELECT max(id) FROM segments WHERE id < 2 << 32)"),
        (
            "its last two rows are missing",
            "DELETE FROM segments WHERE id >= (SELECT max(id) - 1 FROM segments WHERE id < 2 << 32) AND id < 2 << 32",
        ),
        (
            "a segment of another",
            "UPDATE segments SET bytes = (SELECT bytes FROM segments WHERE id = (2 << 32) + 1) WHERE id = (1 << 32) + 1",
        ),
        (
            "the journal of another",
            "UPDATE segments SET bytes = (SELECT o.bytes FROM segments o WHERE o.id = segments.id + (1 << 32)) WHERE id >> 32 = 1",
        ),
        (
            "another policy",
            "UPDATE executions SET policy = (SELECT policy FROM executions WHERE key = 3) WHERE key = 1",
        ),
        ("other arguments", "UPDATE promises SET param = replace(param, '[]', '[1000]') WHERE id = 'x'"),
        ("another function", "UPDATE promises SET param = replace(param, 'asks', 'asks_bool') WHERE id = 'x'"),
        ("another component", &exchanged),
    ] {
        // One place: it changes a file of the store.
        let place = Place::folder();
        let execution = asked(&place, "x", run("asks", "null"));
        asked(&place, "y", run("asks", "null"));
        let narrow = parse("[[capability]]\nname = \"print\"\n[[capability]]\nname = \"input\"");
        asked(&place, "p", Run { policy: narrow, ..run("asks", "null") });
        place.store().commit(&[Change::Blob(component, other.clone().into())]).unwrap();
        assert_eq!(execution.key.unwrap().0, 1);
        tamper(place.path(), sql);
        quarantined(&place, what);
    }
}

/// The key is what makes a journal one of this store.
#[test]
fn a_journal_that_another_store_wrote_is_quarantined() {
    // One place: it changes a file of the store.
    let place = Place::folder();
    asked(&place, "x", run("asks", "null"));
    let key = place.path().join("journal.key");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&key).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    let own = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    quarantined_and_kept(&place);
    assert_ne!(std::fs::read(&key).unwrap(), own);
    // With its key back, the store is as it was.
    std::fs::write(&key, &own).unwrap();
    life(async {
        let host = place.host().build().unwrap();
        host.settle(&id("x").promise(1), Ok("1".into())).await.unwrap();
    });
    assert_eq!(result(&outcome(place.host(), run("asks", "null"))), "1");
    std::fs::write(&key, &own[1..]).unwrap();
    let error = place.host().build().map(drop).unwrap_err().to_string();
    assert!(error.contains("its journal.key is not the file of 32 bytes that everstep made; restore it"), "{error}");
}

fn quarantined_and_kept(place: &Place) {
    life(async {
        let host = place.host().build().unwrap();
        let error = host.resume(&id("x"), Patience::Forever).await.map(drop).unwrap_err();
        assert!(matches!(error, Error::Foreign(_)), "{error}");
    });
}

/// The contents are found by their digest, and are what it says or nothing.
#[test]
fn a_policy_or_a_component_that_was_exchanged_is_not_used() {
    for (what, sql) in [
        (
            "policy",
            "UPDATE blobs SET bytes = cast(replace(cast(bytes AS TEXT), 'input', 'print') AS BLOB) WHERE length(bytes) < 65536",
        ),
        ("component", "UPDATE blobs SET bytes = zeroblob(length(bytes)) WHERE length(bytes) >= 65536"),
    ] {
        // One place: it changes a file of the store.
        let place = Place::folder();
        asked(&place, "x", run("asks", "null"));
        tamper(place.path(), sql);
        life(async {
            let host = place.plain().scope(Scope::Nothing).build().unwrap();
            let error = host.resume(&id("x"), Patience::Forever).await.map(drop).unwrap_err().to_string();
            assert!(
                error.contains("the store is corrupted: ") && error.contains("expected sha256:"),
                "{what}: {error}"
            );
        });
    }
}

/// What is kept of an execution beside its promise and its journal follows from these.
#[test]
fn the_journal_of_an_execution_tells_all_that_is_kept_of_it() {
    // No server: it looks into the tables.
    for place in Place::local() {
        let world = World::new(Arc::new(SystemClock));
        life(workflow(&world, place.store())).unwrap();
        asked(&place, "waits", run("asks", "null"));
        let trapped = outcome(place.host(), run("traps", "null").with_id(id("traps")));
        assert_eq!(trapped.state, State::Halted);
        let failed = outcome(place.host(), run("fails", r#""so""#).with_id(id("fails")));
        assert_eq!(failed.state, State::Failed);
        life(async {
            let host = place.host().build().unwrap();
            let other = crate::divergence::variant("alike");
            host.upgrade(&id("waits"), &other).await.unwrap();
            host.fork(Fork::new(&id("waits"), 1, &id("fork"))).await.unwrap();
            let reader = host.reader();
            let mut upgraded = 0;
            for execution in reader.executions().await.unwrap() {
                let mut recovered = reader.recovered(&execution.id).await.unwrap();
                // The store's clock, and not the execution's, says when its promise was settled.
                assert!(recovered.progress.updated_ms.abs_diff(execution.progress.updated_ms) < 10_000);
                recovered.progress.updated_ms = execution.progress.updated_ms;
                assert_eq!(recovered, execution);
                upgraded += u32::from(execution.component == other.digest());
            }
            assert_eq!(upgraded, 2, "the one and its fork");
        });
    }
}

/// One record that is longer than a segment of the store.
#[test]
fn a_journal_is_kept_in_segments_of_bounded_size_and_read_back_whole() {
    let answer = format!("{:?}", "é".repeat(3 << 19));
    let wide = "[limits]\nresult = \"8MiB\"\n[[capability]]\nname = \"print\"\n[[capability]]\nname = \"input\"\n";
    let run = || Run { policy: parse(wide), ..run("asks", "null") };
    // No server: it looks into the tables.
    for place in Place::local() {
        asked(&place, "x", run());
        life(async {
            let host = place.host().build().unwrap();
            host.settle(&id("x").promise(1), Ok(answer.clone())).await.unwrap();
        });
        assert!(result(&outcome(place.host(), run())) == answer);
        let key = place.store().execution(&id("x")).unwrap().unwrap().key.unwrap();
        let (journal, segments) = place.store().journal(key).unwrap();
        assert!(segments as usize > journal.len() >> 20, "{segments} segments of {} bytes", journal.len());
        // What is shown behind it, and its steps, by parts and whole.
        life(async {
            let host = place.host().build().unwrap();
            let reader = host.reader();
            assert!(reader.journal(&id("x")).await.unwrap().len() > answer.len());
            let steps = reader.steps(&id("x")).await.unwrap();
            let bytes = |outcome: &StepOutcome| if let StepOutcome::Ok { bytes } = outcome { *bytes } else { 0 };
            assert_eq!(bytes(&steps[1].outcome), answer.len() as u64);
            let shown: Vec<_> = reader.output(&id("x")).await.unwrap().iter().map(text).collect();
            assert_eq!(shown, ["asking\n", "answered\n"]);
            assert_eq!(host.repeat(&id("x"), None, None).await.unwrap().0, steps.len() as u64);
        });
    }
}
