//! Hosts of programs that are killed, by signal at moments that are drawn, and between the commits of their store: the end is that of an
//! undisturbed run.
//!
//! One place: a process is killed, whose store is a folder.

use super::*;
use crate::faulty::{CrashStore, Fate};
use crate::support::{Shown, id, life, result, soon};
use everstep::output::Content;
use everstep::store::{Backend, Change};
use everstep::{Component, Everstep, PROGRAM, Policy, Run};
use everstep_tests::place::{Place, quick};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How often hosts of a program are killed while it runs.
const KILLS: u32 = 20;

#[allow(clippy::disallowed_methods, reason = "kills come at points of real time")]
fn now() -> Instant {
    Instant::now()
}

/// How long a run takes that nothing disturbs.
fn measure(program: &Program) -> Duration {
    let case = Case::new(program);
    let began = now();
    assert!(case.start().wait().unwrap().success());
    began.elapsed()
}

/// Kills hosts of a program, up to three times in a row, until as many kills as asked for have come upon a running one.
pub(super) fn by_signal(program: &Program, expected: &Left) {
    let (mut dice, mut kills) = (Dice(7), 0);
    let mut took = measure(program);
    for execution in 0..100 {
        let case = Case::new(program);
        let before = kills;
        let mut host = case.start();
        for _ in 0..3 {
            std::thread::sleep(took * u32::try_from(dice.below(1_000)).unwrap() / 1_000);
            if host.try_wait().unwrap().is_some() {
                break;
            }
            host.kill().unwrap();
            // It may have ended in between.
            kills += u32::from(!host.wait().unwrap().success());
            host = case.start();
        }
        case.left_by(host).assert_is(expected, &format!("{}, execution {execution}, {kills} kills", program.name));
        if kills >= KILLS {
            return;
        }
        if kills == before {
            // What else the machine does has changed.
            took = measure(program);
        }
    }
    panic!("{kills} kills came upon a running host");
}

/// A store that fails at 20 of its commits, at each in another execution: what was not durable then is lost, or was kept and nobody has
/// learnt so.
#[test]
fn sqlite_survives_the_failure_of_commits() {
    let code = Component::from(fs::read(component(SQLITE.name)).unwrap());
    let args = json!([&[SQLITE.name], SQLITE.args].concat()).to_string();
    let run = |case: &Case<'_>| {
        let policy = Policy::parse(POLICY, &case.folder.path().join("policy.toml")).unwrap();
        Run::new(code.clone(), PROGRAM, args.clone(), policy).with_id(id("x"))
    };
    let finish = |case: &Case<'_>, store: Arc<dyn Backend>| {
        let shown = Shown::default();
        let output = life(async {
            let host = quick(Everstep::over(store)).on_output(shown.sink()).build().unwrap();
            let report = soon("the end", host.run(run(case))).await.unwrap();
            assert_eq!(result(&report), "null");
            host.reader().output(&id("x")).await.unwrap()
        });
        let printed = output.into_iter().filter_map(|output| match output.content {
            Content::Stdout(text) | Content::Stderr(text) => Some(text),
            _ => None,
        });
        Left { output: printed.collect(), files: case.files() }
    };
    let undisturbed = Case::new(&SQLITE);
    let commits = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&commits);
    let note = move |_: &[Change]| {
        count.fetch_add(1, Ordering::SeqCst);
    };
    let counted = CrashStore::observed(Place::memory().store(), note);
    let expected = finish(&undisturbed, counted);
    let commits = commits.load(Ordering::SeqCst);
    assert!(commits > 100, "{commits}");
    let (mut dice, mut kills) = (Dice(11), 0);
    for execution in 0.. {
        let case = Case::new(&SQLITE);
        let commit = 1 + u32::try_from(dice.below(u64::from(commits))).unwrap();
        let fate = if execution % 2 == 0 { Fate::Lost } else { Fate::Kept };
        let inner = Place::memory().store();
        let failing = CrashStore::at(Arc::clone(&inner), commit, fate);
        life(async {
            let host = quick(Everstep::over(Arc::clone(&failing) as Arc<dyn Backend>)).build().unwrap();
            // How many commits there are depends on how many prints go with one of them.
            let outcome = soon("the failure", host.run(run(&case))).await;
            assert_eq!(outcome.is_err(), failing.has_struck(), "commit {commit} of {commits}");
        });
        finish(&case, inner).assert_is(&expected, &format!("commit {commit} of {commits}, {fate:?}"));
        kills += u32::from(failing.has_struck());
        if kills == KILLS {
            break;
        }
        assert!(execution < 2 * KILLS, "{kills} failures came before the end");
    }
}
