//! Time travel: replays without effects, forks at each step, upgrades after a check, and journals of this version that stay readable.

use crate::faulty::CrashStore;
use crate::support::{
    BEHAVIOUR, Calls, ManualClock, Place, Shown, id, life, outcome, policy, quick, result, run, soon, stored,
};
use everstep::clock::{Clock, TestClock};
use everstep::store::{Backend, Change, Execution, FailureKind, Progress, State};
use everstep::{Component, Error, Everstep, Fork, Patience, ReplayEnd, Report, Scope};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn clock() -> Arc<TestClock> {
    Arc::new(TestClock::at(1_000_000))
}

/// Another build: the same functions in another file, as far as the digest can tell.
fn renamed() -> Component {
    let mut bytes = everstep_tests::guests::fixture("behaviour").unwrap();
    // A custom section, which changes nothing but the digest: id 0, size, name.
    bytes.extend([0, 5, 4, b'n', b'e', b'x', b't']);
    bytes.into()
}

#[test]
fn a_replay_repeats_every_step_and_does_nothing() {
    for place in Place::each() {
        let (calls, shown) = (Calls::default(), Shown::default());
        let before = life(async {
            let host =
                place.by(clock(), place.host()).scope(Scope::Started).capability("once", calls.echo()).build().unwrap();
            host.run(run("pauses", "null").without_waiting()).await.unwrap();
            host.reader().journal(&id("x")).await.unwrap()
        });
        let asked = calls.total();
        life(async {
            let host = place.host().capability("once", calls.echo()).on_output(shown.sink()).build().unwrap();
            let replay = host.replay(&id("x"), None, None).await.unwrap();
            assert_eq!((replay.end, replay.steps.len()), (ReplayEnd::Repeated, 3));
            let part = host.replay(&id("x"), Some(2), None).await.unwrap();
            assert_eq!((part.end, part.steps.len()), (ReplayEnd::Repeated, 2));
            assert!(host.reader().journal(&id("x")).await.unwrap() == before, "a replay was written down");
            let unknown = host.replay(&id("nobody"), None, None).await.unwrap_err();
            assert!(matches!(unknown, Error::UnknownExecution(_)), "{unknown}");
        });
        assert_eq!((calls.total(), shown.lines().len()), (asked, 0));
    }
}

/// In memory only: another host acts between the two reads of this one, which a wrapper of the tables tells apart.
#[test]
fn an_execution_that_another_host_moves_to_another_component_between_two_reads_is_read_again() {
    let next = renamed();
    for upgrades in [false, true] {
        // One place: the wrapper stands before the tables of this machine.
        let place = Place::memory();
        outcome(place.host(), run("asks", "null").without_waiting());
        let store = CrashStore::observed(place.store(), |_| {});
        let (tables, other) = (place.store(), next.clone());
        let upgraded = Arc::new(AtomicBool::new(false));
        let note = Arc::clone(&upgraded);
        store.before_a_journal_is_read(move || {
            let upgrading = std::thread::spawn(move || {
                life(async {
                    let host = quick(Everstep::over(tables)).build().unwrap();
                    host.upgrade(&id("x"), &other).await.unwrap();
                });
            });
            upgrading.join().unwrap();
            note.store(true, Ordering::SeqCst);
        });
        life(async {
            let host = quick(Everstep::over(store)).build().unwrap();
            let replay = match upgrades {
                true => host.upgrade(&id("x"), &BEHAVIOUR).await.unwrap(),
                false => host.replay(&id("x"), None, None).await.unwrap(),
            };
            assert_eq!((replay.end, replay.steps.len()), (ReplayEnd::Repeated, 2));
        });
        assert!(upgraded.load(Ordering::SeqCst));
    }
}

/// Where `twenty` draws random numbers: the step, and the place in its result.
const DRAWN: [(u64, usize); 4] = [(2, 0), (3, 1), (10, 4), (11, 5)];

fn values(report: &Report) -> Vec<Value> {
    serde_json::from_str(result(report)).unwrap()
}

/// Forks, and waits for the end of the fork, which a replay repeats.
async fn forked(host: &Everstep, fork: Fork) -> Report {
    let id = fork.id.clone();
    host.fork(fork).await.unwrap();
    let handle = host.resume(&id, Patience::Forever).await.unwrap();
    let report = soon("the end of the fork", handle.wait()).await.unwrap();
    let replay = host.replay(&id, None, None).await.unwrap();
    assert_eq!((replay.end, replay.steps.len() as u64), (ReplayEnd::Repeated, report.steps), "{id}");
    report
}

#[test]
fn a_fork_at_each_step_keeps_what_was_drawn_and_ends_as_the_original_but_for_what_it_draws() {
    for place in Place::each() {
        life(async {
            let host = place.by(clock(), place.host()).scope(Scope::Started).build().unwrap();
            let report = soon("the end", host.run(run("twenty", "null"))).await.unwrap();
            let (expected, steps) = (values(&report), host.reader().steps(&id("x")).await.unwrap());
            assert_eq!(steps.len(), 20);
            let mut drawn: Vec<Value> = DRAWN.iter().map(|(_, place)| expected[*place].clone()).collect();
            for at in 0..=20 {
                let fork = id(&format!("f{at}"));
                let report = forked(&host, Fork::new(&id("x"), at, &fork)).await;
                let mut seen = values(&report);
                for (step, place) in DRAWN {
                    if step < at {
                        assert_eq!(seen[place], expected[place], "step {step} of the fork at {at} is recorded");
                    } else {
                        assert!(!drawn.contains(&seen[place]), "step {step} of the fork at {at} was drawn before");
                        drawn.push(std::mem::replace(&mut seen[place], expected[place].clone()));
                    }
                }
                assert_eq!((seen, report.steps), (expected.clone(), 20), "forked at {at}");
                // What was called and settled behind the fork has another time.
                let shared = |steps: Vec<everstep::StepView>| {
                    let steps = steps.into_iter().take(at as usize);
                    steps.map(|step| everstep::StepView { settled_ms: None, ..step }).collect::<Vec<_>>()
                };
                assert_eq!(shared(host.reader().steps(&fork).await.unwrap()), shared(steps.clone()), "forked at {at}");
            }
            let (first, second) = (values(&stored_report(&host, "f8").await), "a fork of a fork");
            let again = values(&forked(&host, Fork::new(&id("f8"), 11, &id("f8-11"))).await);
            assert_eq!(again[..5], first[..5], "{second} keeps what the fork has drawn");
            assert!(again[5] != first[5] && !drawn.contains(&again[5]), "{second} draws the rest anew");
            let beyond = host.fork(Fork::new(&id("x"), 21, &id("g"))).await.unwrap_err();
            assert_eq!(beyond.to_string(), "execution x has 20 steps, so there is no step 21 to start from");
            let taken = host.fork(Fork::new(&id("x"), 1, &id("f1"))).await.unwrap_err();
            assert!(matches!(taken, Error::IdTaken(_)), "{taken}");
        });
    }
}

async fn stored_report(host: &Everstep, of: &str) -> Report {
    let execution = host.reader().execution(&id(of)).await.unwrap();
    let (state, result, steps) = (execution.state, execution.result, execution.progress.steps);
    Report { id: execution.id, state, result, error: None, exit_code: None, steps, replayed: 0, wall: Duration::ZERO }
}

#[test]
fn a_fork_has_the_time_of_its_source_anew_unless_it_is_given_another() {
    for place in Place::each() {
        life(async {
            let clock = ManualClock::at(1_000_000);
            let host = place.by(clock.clone(), place.host()).scope(Scope::Started).build().unwrap();
            let given = Duration::from_secs(60);
            host.run(run("asks", "null").within(given).without_waiting()).await.unwrap();
            host.run(run("asks", "null").with_id(id("endless")).without_waiting()).await.unwrap();
            clock.advance_to(1_030_000);
            let forks = [
                (Fork::new(&id("x"), 0, &id("same")), Some(60_000)),
                (Fork::new(&id("x"), 0, &id("less")).within(Duration::from_secs(5)), Some(5_000)),
                (Fork::new(&id("endless"), 0, &id("none")), None),
                (Fork::new(&id("endless"), 0, &id("some")).within(given), Some(60_000)),
                (Fork::new(&id("less"), 0, &id("less-again")), Some(5_000)),
            ];
            for (fork, span) in forks {
                let of = fork.id.clone();
                let now_ms = clock.now_ms();
                host.fork(fork).await.unwrap();
                let deadline = host.reader().execution(&of).await.unwrap().deadline_ms;
                assert_eq!(deadline, span.map(|span| now_ms + span), "{of}");
            }
            let handle = host.resume(&id("less"), Patience::Forever).await.unwrap();
            clock.advance_to(1_036_000);
            let report = soon("the end of the time", handle.wait()).await.unwrap();
            assert_eq!((report.state, report.error.unwrap().kind), (State::Failed, FailureKind::TimedOut));
        });
    }
}

#[test]
fn a_fork_asks_again_what_was_open_and_leaves_the_original_alone() {
    for place in Place::each() {
        life(async {
            let host = place.host().scope(Scope::Started).build().unwrap();
            host.run(run("asks_twice", "null").without_waiting()).await.unwrap();
            host.fork(Fork::new(&id("x"), 1, &id("f"))).await.unwrap();
            let handle = host.resume(&id("f"), everstep::Patience::Forever).await.unwrap();
            let both = async || (host.reader().promises().await.unwrap().len() == 4).then_some(());
            crate::support::eventually("the questions of both", both).await;
            for number in [0, 1] {
                host.settle(&id("f").promise(number), Ok(number.to_string())).await.unwrap();
            }
            assert_eq!(result(&soon("the end", handle.wait()).await.unwrap()), "[0,1]");
            assert_eq!(host.reader().execution(&id("x")).await.unwrap().state, State::Suspended);
            assert_eq!(host.reader().promises().await.unwrap().len(), 2);
        });
    }
}

#[test]
fn a_component_that_does_the_same_takes_over_and_another_one_is_refused() {
    for place in Place::each() {
        life(async {
            let host = place.host().build().unwrap();
            host.run(run("asks", "null").without_waiting()).await.unwrap();
            let before = host.reader().execution(&id("x")).await.unwrap();
            let next = renamed();
            let replay = host.replay(&id("x"), None, Some(&next)).await.unwrap();
            assert_eq!(replay.end, ReplayEnd::Repeated);
            host.upgrade(&id("x"), &next).await.unwrap();
            assert_eq!(host.reader().execution(&id("x")).await.unwrap().component, next.digest());

            let other: Component = everstep_tests::guests::fixture("hostile").unwrap().into();
            let refused = host.upgrade(&id("x"), &other).await.unwrap_err();
            assert!(matches!(refused, Error::UnknownFunction { .. }), "{refused}");
            assert_ne!(before.component, next.digest());
            host.settle(&id("x").promise(1), Ok("3".into())).await.unwrap();
            let handle = host.resume(&id("x"), everstep::Patience::None).await.unwrap();
            assert_eq!(result(&soon("the end", handle.wait()).await.unwrap()), "3");
            let ended = host.upgrade(&id("x"), &next).await.unwrap_err();
            assert!(matches!(ended, Error::Ended { .. }), "{ended}");
        });
    }
}

#[test]
fn a_trapped_execution_goes_on_after_a_fix() {
    for place in Place::each() {
        let halted: Report = outcome(place.host(), run("panics", "null"));
        assert_eq!((halted.state, halted.error.unwrap().kind), (State::Halted, FailureKind::Trap));
        life(async {
            let host = place.host().build().unwrap();
            // The fix is another component; here one that traps all the same, which shows that it was run.
            let handle = host.resume_with(&id("x"), Some(&renamed()), everstep::Patience::None).await.unwrap();
            let again = soon("the end", handle.wait()).await.unwrap();
            assert_eq!((again.state, again.error.unwrap().kind), (State::Halted, FailureKind::Trap));
        });
    }
}

/// Journals that were written once, kept under `tests/golden` by their format: every later version replays them. To add the journal of
/// another function in the format of this version, run the suite with `EVERSTEP_WRITE_GOLDEN=1`.
#[test]
fn golden_journals_are_repeated() {
    // No server: it writes the tables.
    for place in Place::local() {
        let folder = everstep_tests::guests::project().join("tests/golden");
        let functions =
            [("twenty", "null"), ("depends_on_the_host", "null"), ("waits_for_any", "null"), ("sums_children", "3")];
        for (function, args, format) in functions
            .iter()
            .flat_map(|(function, args)| (1..=everstep::JOURNAL_FORMAT).map(move |format| (*function, *args, format)))
        {
            let path = folder.join(format!("format-{format}/{function}.journal"));
            if format == everstep::JOURNAL_FORMAT && std::env::var_os("EVERSTEP_WRITE_GOLDEN").is_some() {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, written(&place.another(), function, args)).unwrap();
            }
            let journal = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(u64::from(journal[9]), format);
            let place = place.another();
            let store = place.store();
            let blob = |bytes: Vec<u8>| Change::Blob(everstep::Digest::of(&bytes), bytes.into());
            let component = everstep_tests::guests::fixture("behaviour").unwrap();
            store.commit(&[blob(component), blob(policy().canonical().into_bytes())]).unwrap();
            let started = golden(&*store, function, args, seed(&journal));
            stored(&*store, &Execution { component: component_of(&journal), ..started }, journal);
            life(async {
                let host = place.host().build().unwrap();
                let replay = host.replay(&id("x"), None, Some(&BEHAVIOUR)).await.unwrap();
                assert_eq!(replay.end, ReplayEnd::Repeated, "{function}, format {format}");
                assert!(!replay.steps.is_empty(), "{function}");
            });
        }
    }
}

fn written(place: &Place, function: &str, args: &str) -> Vec<u8> {
    life(async {
        let host = place.by(clock(), place.host()).scope(Scope::Started).build().unwrap();
        soon("the end", host.run(run(function, args))).await.unwrap();
        host.reader().journal(&id("x")).await.unwrap()
    })
}

fn golden(store: &dyn Backend, function: &str, args: &str, seed: [u8; 32]) -> Execution {
    Execution {
        key: Some(store.fresh_key().unwrap()),
        id: id("x"),
        component: BEHAVIOUR.digest(),
        policy: policy().digest(),
        function: function.into(),
        args: args.into(),
        trace: None,
        seed,
        created_ms: 1_000_000,
        deadline_ms: None,
        state: State::Pending,
        attempts: 0,
        result: None,
        progress: Progress::default(),
    }
}

/// The component in the record of the start.
fn component_of(journal: &[u8]) -> everstep::Digest {
    let at = seed_at(journal) - 64;
    everstep::Digest(journal[at..at + 32].try_into().unwrap())
}

/// The seed in the record of the start: behind the frame, the type, the format, the time, component and policy.
fn seed(journal: &[u8]) -> [u8; 32] {
    let at = seed_at(journal);
    journal[at..at + 32].try_into().unwrap()
}

fn seed_at(journal: &[u8]) -> usize {
    let mut at = 8 + 2;
    while journal[at] & 0x80 != 0 {
        at += 1;
    }
    at + 1 + 64
}
