//! Files that must be new: of all who create one, one succeeds, and knows it.

use super::*;
use crate::faulty::{CrashStore, Fate};
use crate::support::{outcome, quick, stored};
use everstep::store::{Backend, Change, Execution};
use everstep::{Digest, Everstep, ReplayEnd};
use std::sync::Arc;

fn creates() -> Value {
    json!([open("lock", "/out/lock", "wcx"), close("lock"), open("again", "/out/lock", "wcx")])
}

#[test]
fn of_many_executions_that_create_a_new_file_one_succeeds() {
    for sandbox in Sandbox::each() {
        let policy = granted(&sandbox, FILES);
        let names = ["a", "b", "c", "d"];
        let reports = life(async {
            let host = sandbox.host().unwrap();
            futures::future::join_all(names.map(|name| host.run(script(&policy, &creates()).with_id(id(name))))).await
        });
        let told: Vec<Vec<String>> = reports.into_iter().map(|report| outcomes(&report.unwrap())).collect();
        let created = told.iter().filter(|told| told[0].is_empty()).count();
        assert_eq!(created, 1, "{told:?}");
        assert!(told.iter().all(|told| told[2] == "error: exist"), "{told:?}");
        assert_eq!(fs::read(sandbox.path("out/lock")).unwrap(), b"");
        let audited = sandbox.audit().unwrap();
        let writes = audited.iter().filter(|line| line["capability"] == "files.write").count();
        // Of the others, some have looked before it was there.
        assert!((1..=names.len()).contains(&writes), "{audited:?}");
    }
}

#[test]
fn what_is_written_to_a_new_file_is_another_step() {
    for sandbox in Sandbox::each() {
        let rules = FILES.replace("access = \"write\"", "access = \"write\"\nmax_written = \"4B\"");
        let policy = granted(&sandbox, &rules);
        let calls = json!([
            open("a", "/out/a", "wcx"),
            { "list": "/out" },
            { "stat": "/out/a" },
            say("a", "text"),
            close("a"),
            open("b", "/out/b", "wcx"),
            say("b", "x"),
            close("b"),
            open("c", "/in/c", "wcx"),
        ]);
        let told = told(&sandbox, &policy, calls);
        assert_eq!(told, ["", "file a", "file 0", "", "", "", "error: quota", "", "error: access"]);
        assert_eq!(fs::read_to_string(sandbox.path("out/a")).unwrap(), "text");
        assert_eq!(fs::read_to_string(sandbox.path("out/b")).unwrap(), "");
        let writes: Vec<String> = steps(&sandbox).into_iter().filter(|step| !step.starts_with("files.stat")).collect();
        let expected = [
            "files.write /out/a",
            "files.list /out",
            "files.append /out/a",
            "files.write /out/b",
            "files.write /out/b",
            "files.write /in/c",
        ];
        assert_eq!(writes, expected);
    }
}

/// Fails each commit of an execution that creates a file, and resumes it; a rival tries to create the file in between.
#[test]
fn an_execution_knows_the_file_that_it_has_created_before_a_crash() {
    // No server: it fails a commit of the store.
    for place in Place::local() {
        for (fate, has_rival) in [(Fate::Lost, false), (Fate::Kept, false), (Fate::Lost, true), (Fate::Kept, true)] {
            let crashes = (1..).take_while(|commit| crashes(&place.another(), *commit, fate, has_rival)).count();
            assert!(crashes > 1, "{place}: only {crashes} commits");
        }
    }
}

/// Whether the store failed.
fn crashes(place: &Place, commit: u32, fate: Fate, has_rival: bool) -> bool {
    // One place: only its folders are used, and the store is that of `place`.
    let (sandbox, store) = (Sandbox::over(Place::memory()).unwrap(), place.store());
    let policy = granted(&sandbox, FILES);
    let failing = CrashStore::at(Arc::clone(&store), commit, fate) as Arc<dyn Backend>;
    let run = || script(&policy, &creates());
    let first = life(async { quick(Everstep::over(failing)).build().unwrap().run(run()).await });
    let was_there = sandbox.path("out/lock").exists();
    let rival =
        has_rival.then(|| outcomes(&outcome(quick(Everstep::over(Arc::clone(&store))), run().with_id(id("y")))));
    let told = outcomes(&outcome(quick(Everstep::over(store)), run()));
    let context = format!("{place}, commit {commit}, {fate:?}, {rival:?}, there: {was_there}");
    let expected = if was_there || !has_rival { "" } else { "error: exist" };
    assert_eq!((&*told[0], &*told[2]), (expected, "error: exist"), "{context}");
    if let Some(rival) = rival {
        assert_eq!(rival[0].is_empty(), !was_there, "{context}");
    }
    first.is_err()
}

/// IEEE 802.3.
fn crc32(bytes: &[u8]) -> u32 {
    let shift = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| shift(crc)))
}

/// A journal as an earlier build would have written it for these arguments: under format 2.
fn earlier(mut journal: Vec<u8>, args: &str) -> Vec<u8> {
    // The frame of the start: length and checksum, type, format, time, component, policy, seed, arguments.
    journal[9] = 2;
    let time = 1 + journal[10..].iter().take_while(|byte| **byte & 0x80 != 0).count();
    let at = 10 + time + 3 * 32;
    journal[at..at + 32].copy_from_slice(&Digest::of(args.as_bytes()).0);
    let length = u32::from_le_bytes(journal[..4].try_into().unwrap()) as usize;
    let checksum = crc32(&journal[8..8 + length]);
    journal[4..8].copy_from_slice(&checksum.to_le_bytes());
    journal
}

#[test]
fn an_execution_of_an_earlier_build_creates_a_new_file_when_it_saves_it() {
    // No server: it writes the tables.
    for place in Place::local() {
        let (another, sandbox) = (place.another(), Sandbox::over(place).unwrap());
        let policy = granted(&sandbox, FILES);
        let calls =
            |how: &str| json!([open("a", "/out/a", how), close("a"), { "ask": "go on?" }, { "stat": "/out/a" }]);
        // Without the condition, the steps are those that earlier builds made with it.
        let (execution, journal) = life(async {
            let host = sandbox.host().unwrap();
            host.run(script(&policy, &calls("wc")).without_waiting()).await.unwrap();
            let execution = host.reader().execution(&id("x")).await.unwrap();
            (execution, host.reader().journal(&id("x")).await.unwrap())
        });
        let (store, args) = (another.store(), calls("wcx").to_string());
        let blob = |bytes: Vec<u8>| Change::Blob(Digest::of(&bytes), bytes.into());
        let component = guests::fixture("files").unwrap();
        store.commit(&[blob(component), blob(policy.canonical().into_bytes())]).unwrap();
        let (key, state, journal) = (store.fresh_key().ok(), State::Pending, earlier(journal, &args));
        stored(&*store, &Execution { key, state, args, attempts: 0, ..execution }, journal);
        let replay = life(async {
            let host = another.host().build().unwrap();
            host.replay(&id("x"), None, Some(&GUEST)).await.unwrap()
        });
        assert_eq!(replay.end, ReplayEnd::Repeated);
        assert!(replay.steps.iter().any(|step| step.kind == "console.input"), "{:?}", replay.steps);
    }
}
