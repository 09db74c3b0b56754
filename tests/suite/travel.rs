//! Time travel: replays without effects, forks at each step, upgrades after a check, and journals of this version that stay readable.

use crate::support::{BEHAVIOUR, Calls, Place, Shown, id, life, outcome, policy, quick, result, run, soon, stored};
use everstep::clock::TestClock;
use everstep::store::{Change, Execution, FailureKind, MemoryStore, Progress, State, Store};
use everstep::{Component, Error, Everstep, ReplayEnd, Report, Scope};
use std::sync::Arc;

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
                place.host().clock(clock()).scope(Scope::Started).capability("once", calls.echo()).build().unwrap();
            host.run(run("pauses", "null").without_waiting()).await.unwrap();
            host.reader().journal(&id("x")).unwrap()
        });
        let asked = calls.total();
        life(async {
            let host = place.host().capability("once", calls.echo()).on_output(shown.sink()).build().unwrap();
            let replay = host.replay(&id("x"), None, None).await.unwrap();
            assert_eq!((replay.end, replay.steps.len()), (ReplayEnd::Repeated, 3));
            let part = host.replay(&id("x"), Some(2), None).await.unwrap();
            assert_eq!((part.end, part.steps.len()), (ReplayEnd::Repeated, 2));
            assert!(host.reader().journal(&id("x")).unwrap() == before, "a replay was written down");
            let unknown = host.replay(&id("nobody"), None, None).await.unwrap_err();
            assert!(matches!(unknown, Error::UnknownExecution(_)), "{unknown}");
        });
        assert_eq!((calls.total(), shown.lines().len()), (asked, 0));
    }
}

#[test]
fn a_fork_at_each_step_ends_as_the_original_when_nothing_differs() {
    for place in Place::each() {
        life(async {
            let host = place.host().clock(clock()).scope(Scope::Started).build().unwrap();
            let report = soon("the end", host.run(run("twenty", "null"))).await.unwrap();
            let (expected, steps) = (result(&report).to_owned(), host.reader().steps(&id("x")).unwrap());
            assert_eq!(steps.len(), 20);
            for at in 0..=20 {
                let fork = id(&format!("f{at}"));
                host.fork(&id("x"), at, &fork, None).await.unwrap();
                let handle = host.resume(&fork, everstep::Patience::Forever).await.unwrap();
                let forked = soon("the end of the fork", handle.wait()).await.unwrap();
                assert_eq!((result(&forked), forked.steps), (&*expected, 20), "forked at {at}");
                // What was called and settled behind the fork has another time.
                let shared = |steps: Vec<everstep::StepView>| {
                    let steps = steps.into_iter().take(at as usize);
                    steps.map(|step| everstep::StepView { settled_ms: None, ..step }).collect::<Vec<_>>()
                };
                assert_eq!(shared(host.reader().steps(&fork).unwrap()), shared(steps.clone()), "forked at {at}");
            }
            let beyond = host.fork(&id("x"), 21, &id("g"), None).await.unwrap_err();
            assert_eq!(beyond.to_string(), "execution x has 20 steps, so there is no step 21 to start from");
            let taken = host.fork(&id("x"), 1, &id("f1"), None).await.unwrap_err();
            assert!(matches!(taken, Error::IdTaken(_)), "{taken}");
        });
    }
}

#[test]
fn a_fork_asks_again_what_was_open_and_leaves_the_original_alone() {
    for place in Place::each() {
        life(async {
            let host = place.host().scope(Scope::Started).build().unwrap();
            host.run(run("asks_twice", "null").without_waiting()).await.unwrap();
            host.fork(&id("x"), 1, &id("f"), None).await.unwrap();
            let handle = host.resume(&id("f"), everstep::Patience::Forever).await.unwrap();
            let both = || (host.reader().promises().unwrap().len() == 4).then_some(());
            crate::support::eventually("the questions of both", both).await;
            for number in [0, 1] {
                host.settle(&id("f").promise(number), Ok(number.to_string())).await.unwrap();
            }
            assert_eq!(result(&soon("the end", handle.wait()).await.unwrap()), "[0,1]");
            assert_eq!(host.reader().execution(&id("x")).unwrap().state, State::Suspended);
            assert_eq!(host.reader().promises().unwrap().len(), 2);
        });
    }
}

#[test]
fn a_component_that_does_the_same_takes_over_and_another_one_is_refused() {
    for place in Place::each() {
        life(async {
            let host = place.host().build().unwrap();
            host.run(run("asks", "null").without_waiting()).await.unwrap();
            let before = host.reader().execution(&id("x")).unwrap();
            let next = renamed();
            let replay = host.replay(&id("x"), None, Some(&next)).await.unwrap();
            assert_eq!(replay.end, ReplayEnd::Repeated);
            host.upgrade(&id("x"), &next).await.unwrap();
            assert_eq!(host.reader().execution(&id("x")).unwrap().component, next.digest());

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

/// Journals that this version wrote, kept under `tests/golden`: every later one replays them. To add the journal of another function, run
/// the suite with `EVERSTEP_WRITE_GOLDEN=1`.
#[test]
fn golden_journals_are_repeated() {
    let folder = everstep_tests::guests::project().join("tests/golden");
    for (function, args) in
        [("twenty", "null"), ("depends_on_everything", "null"), ("waits_for_any", "null"), ("sums_children", "3")]
    {
        let path = folder.join(format!("{function}.journal"));
        if std::env::var_os("EVERSTEP_WRITE_GOLDEN").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, written(function, args)).unwrap();
        }
        let journal = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let store = Arc::new(MemoryStore::default());
        let blob = |bytes: Vec<u8>| Change::Blob(everstep::Digest::of(&bytes), bytes.into());
        let component = everstep_tests::guests::fixture("behaviour").unwrap();
        store.commit(&[blob(component), blob(policy().canonical().into_bytes())]).unwrap();
        stored(&*store, &golden(&store, function, args, seed(&journal)), journal);
        life(async {
            let host = quick(Everstep::over(store)).build().unwrap();
            let replay = host.replay(&id("x"), None, None).await.unwrap();
            assert_eq!(replay.end, ReplayEnd::Repeated, "{function}");
            assert!(!replay.steps.is_empty(), "{function}");
        });
    }
}

fn written(function: &str, args: &str) -> Vec<u8> {
    life(async {
        let host = quick(Everstep::local()).clock(clock()).scope(Scope::Started).build().unwrap();
        soon("the end", host.run(run(function, args))).await.unwrap();
        host.reader().journal(&id("x")).unwrap()
    })
}

fn golden(store: &MemoryStore, function: &str, args: &str, seed: [u8; 32]) -> Execution {
    Execution {
        key: Some(store.fresh_key()),
        id: id("x"),
        component: BEHAVIOUR.digest(),
        policy: policy().digest(),
        function: function.into(),
        args: args.into(),
        seed,
        created_ms: 1_000_000,
        deadline_ms: None,
        state: State::Pending,
        attempts: 0,
        result: None,
        progress: Progress::default(),
    }
}

/// The seed in the record of the start: behind the frame, the type, the format, the time, component and policy.
fn seed(journal: &[u8]) -> [u8; 32] {
    let mut at = 8 + 2;
    while journal[at] & 0x80 != 0 {
        at += 1;
    }
    let at = at + 1 + 64;
    journal[at..at + 32].try_into().unwrap()
}
