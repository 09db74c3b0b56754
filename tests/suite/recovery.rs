//! A store that fails at its commit 1..N, and disks that fail at their write 1..N, under executions that do everything: the
//! host lives, acknowledges nothing that is lost, and the next one goes on.

use crate::faulty::{CrashStore, Fate};
use crate::support::{
    Calls, ManualClock, Place, Shown, boundaries, eventually, id, life, outcome, parse, policy, quick, result, run,
    soon, stored, without_use,
};
use everstep::capability::Idempotent;
use everstep::clock::{Clock, SystemClock, TestClock};
use everstep::output::Output;
use everstep::store::{Backend, Change, Error as StoreError, FailureKind, State};
use everstep::{Builder, Error, Everstep, Patience, Policy, Report, Run, Scope, StepOutcome};
use everstep_tests::faults::{self, Fault, Kind};
use everstep_tests::guests;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// The world outside: a folder, a clock and two capabilities, which outlive every host.
pub(crate) struct World {
    files: TempDir,
    clock: Arc<dyn Clock>,
    pub(crate) again: Calls,
    pub(crate) once: Calls,
    pub(crate) shown: Shown,
}

impl World {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let files = tempfile::tempdir().unwrap();
        Self { files, clock, again: Calls::default(), once: Calls::default(), shown: Shown::default() }
    }

    fn policy(&self) -> Policy {
        let host = self.files.path().to_str().unwrap();
        let capabilities = "[[capability]]\nname = \"print\"\n[[capability]]\nname = \"again\"\n\
            [[capability]]\nname = \"once\"\n[[capability]]\nname = \"promise\"\n[[capability]]\nname = \"input\"\n[[capability]]\nname = \"call\"\n";
        parse(&format!(
            "name = \"world\"\n[clock]\nmode = \"recorded\"\n[random]\nmode = \"seeded\"\n{capabilities}\
            [[files]]\nid = \"files\"\nguest = \"/files\"\nhost = \"{host}\"\naccess = \"write\"\n"
        ))
    }

    pub(crate) fn run(&self, function: &str) -> Run {
        Run { policy: self.policy(), ..run(function, "null") }
    }

    pub(crate) fn host(&self, builder: Builder) -> Everstep {
        self.builder(builder).build().unwrap()
    }

    pub(crate) fn builder(&self, builder: Builder) -> Builder {
        let builder = quick(builder).clock(Arc::clone(&self.clock)).on_output(self.shown.sink());
        builder.capability("again", Idempotent(self.again.echo())).capability("once", self.once.echo())
    }

    /// The files of the folder with their contents.
    pub(crate) fn contents(&self) -> Vec<(String, String)> {
        let mut found: Vec<_> = std::fs::read_dir(self.files.path())
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap()))
            .collect();
        found.sort();
        found
    }
}

/// A step without what differs from run to run.
type Step = (u64, String, String, &'static str, Option<StepOutcome>);

/// What is left when an execution has ended.
#[derive(Debug, PartialEq)]
struct End {
    steps: Vec<Step>,
    files: Vec<(String, String)>,
    output: Vec<Output>,
}

async fn end(world: &World, host: &Everstep) -> End {
    let steps = host.reader().steps(&id("x")).await.unwrap().into_iter();
    // Whether a request that is not idempotent is in doubt depends on the moment of the crash.
    let steps = steps.map(|step| {
        let outcome = (step.subject != "once").then_some(step.outcome);
        (step.n, step.kind, step.subject, step.decision, outcome)
    });
    End { steps: steps.collect(), files: world.contents(), output: host.reader().output(&id("x")).await.unwrap() }
}

/// A run that nothing disturbs, which leaves the same wherever it is.
fn undisturbed(function: &str) -> (Report, End) {
    let mut runs = Place::every_dialect().map(|place| {
        let world = World::new(Arc::new(TestClock::at(1_000_000)));
        life(async {
            let host = world.host(place.plain());
            let report = host.run(world.run(function)).await.unwrap();
            (report, end(&world, &host).await)
        })
    });
    let (report, end) = runs.next().unwrap();
    runs.for_each(|(_, other)| assert_eq!(other, end));
    (report, end)
}

/// Every output comes at most once and in order, and what came is in the journal.
fn check_output(shown: &Shown, durable: &[Output]) {
    let steps: Vec<u64> = shown.all().iter().map(|output| output.step).collect();
    assert!(steps.windows(2).all(|pair| pair[0] < pair[1]), "shown twice or out of order: {steps:?}");
    assert!(shown.all().iter().all(|output| durable.contains(output)), "shown and lost");
}

#[test]
fn an_execution_survives_the_failure_of_any_commit() {
    let (report, expected) = undisturbed("works");
    let undisturbed: Value = serde_json::from_str(result(&report)).unwrap();
    assert_eq!((&undisturbed["slept"], &undisturbed["in_doubt"]), (&20.into(), &0.into()));
    // No server: it fails a commit of the store.
    for place in Place::local() {
        for fate in [Fate::Lost, Fate::Kept] {
            for commit in 1.. {
                if !survive("works", &place.another(), commit, fate, |world, report, end| {
                    let done: Value = serde_json::from_str(result(report)).unwrap();
                    assert!(done["slept"].as_u64() >= Some(20), "{done}");
                    for key in ["sum", "sizes", "remembered"] {
                        assert_eq!(done[key], undisturbed[key]);
                    }
                    assert_eq!(*end, expected);
                    assert!(world.once.by_step().iter().all(|(_, times)| *times == 1), "{:?}", world.once.by_step());
                    // In doubt is also what was never sent: nobody can tell once its call is durable.
                    assert!(done["in_doubt"] == 1 || world.once.total() == 1, "{done}");
                }) {
                    break;
                }
            }
        }
    }
}

#[test]
fn after_the_failure_of_any_commit_the_journal_is_that_of_an_undisturbed_run() {
    // The start holds seed and policy, which name this execution and its folder.
    let behind_start = |journal: &[u8]| without_use(&journal[boundaries(journal)[0]..]);
    // No server: it fails a commit of the store.
    let undisturbed = Place::local().map(|place| {
        let world = World::new(ManualClock::at(1_000_000));
        life(async {
            let host = world.host(place.plain());
            host.run(world.run("works_alike")).await.unwrap();
            behind_start(&host.reader().journal(&id("x")).await.unwrap())
        })
    });
    let undisturbed: Vec<_> = undisturbed.collect();
    // No server: it fails a commit of the store.
    for place in Place::local() {
        for fate in [Fate::Lost, Fate::Kept] {
            for commit in 1.. {
                let place = place.another();
                if !survive("works_alike", &place, commit, fate, |_, report, _| {
                    assert_eq!(result(report), "5066");
                    let store = place.store();
                    let execution = store.execution(&id("x")).unwrap().unwrap();
                    let journal = store.journal(execution.key.unwrap()).unwrap().0;
                    assert_eq!(journal[8], 1, "the first record is that of the start");
                    assert!(undisturbed.iter().all(|one| *one == behind_start(&journal)), "another journal");
                }) {
                    break;
                }
            }
        }
    }
}

/// Runs over a store that fails at that commit, then over what is left of it. False when the run had fewer commits.
fn survive(function: &str, place: &Place, commit: u32, fate: Fate, check: impl FnOnce(&World, &Report, &End)) -> bool {
    let world = match function {
        "works_alike" => World::new(ManualClock::at(1_000_000)),
        _ => World::new(Arc::new(TestClock::at(1_000_000))),
    };
    let inner = place.store();
    let store = CrashStore::at(Arc::clone(&inner), commit, fate);
    let first = life(async {
        let host = world.host(Everstep::over(Arc::clone(&store) as Arc<dyn Backend>));
        let outcome = soon("the end of the first run", host.run(world.run(function))).await;
        if store.has_struck() {
            let next = host.run(world.run(function).with_id(id("y"))).await;
            assert!(matches!(next.as_ref().map_err(|error| &**error), Err(Error::Store(_))), "{next:?}");
        }
        outcome
    });
    let context = format!("{function}, commit {commit}, {fate:?}");
    match &first {
        Ok(report) => assert!(!store.has_struck(), "{context}: acknowledged although it is lost: {report:?}"),
        Err(error) => assert!(matches!(&**error, Error::Store(_)) && store.has_struck(), "{context}: {error}"),
    }
    let durable = match inner.execution(&id("x")).unwrap() {
        None => Vec::new(),
        Some(_) => {
            life(async { world.host(Everstep::over(Arc::clone(&inner))).reader().output(&id("x")).await.unwrap() })
        }
    };
    check_output(&world.shown, &durable);
    let again_before = world.again.total();
    let (report, end) = life(async {
        let host = world.host(Everstep::over(Arc::clone(&inner)));
        let report = soon("the end of the second run", host.run(world.run(function))).await.unwrap();
        (report, end(&world, &host).await)
    });
    check_output(&world.shown, &end.output);
    assert!(world.again.by_step().iter().all(|(_, times)| *times <= 2), "{context}: {:?}", world.again.by_step());
    if first.is_ok() {
        assert_eq!(world.again.total(), again_before, "{context}: a finished execution ran again");
    }
    check(&world, &report, &end);
    first.is_err()
}

/// A question, a timer, children and files, with a suspension at every wait: whichever commit fails, the next host ends it as if
/// nothing had happened, and nothing happens twice.
#[test]
fn a_workflow_of_people_timers_and_children_survives_the_failure_of_any_commit() {
    // No server: it fails a commit of the store.
    for place in Place::local() {
        for fate in [Fate::Lost, Fate::Kept] {
            let commits = (1..).take_while(|commit| survive_workflow(&place.another(), *commit, fate)).count();
            assert!(commits > 15, "only {commits} commits");
        }
    }
}

/// False when the workflow had fewer commits.
fn survive_workflow(place: &Place, commit: u32, fate: Fate) -> bool {
    let world = World::new(Arc::new(SystemClock));
    let inner = place.store();
    let store = CrashStore::at(Arc::clone(&inner), commit, fate);
    let first = life(workflow(&world, Arc::clone(&store) as Arc<dyn Backend>));
    let context = format!("commit {commit}, {fate:?}");
    assert_eq!(first.is_err(), store.has_struck(), "{context}: {first:?}");
    let report = life(workflow(&world, Arc::clone(&inner))).unwrap();
    check_workflow(&world, &report, inner, &context);
    first.is_err()
}

/// The workflow is as if nothing had happened.
pub(crate) fn check_workflow(world: &World, report: &Report, inner: Arc<dyn Backend>, context: &str) {
    assert_eq!(result(report), r#"{"child":7,"sum":6}"#, "{context}");
    let file = |name: &str, content: &str| (name.to_owned(), content.to_owned());
    assert_eq!(world.contents(), [file("after", "6"), file("before", "5"), file("child", "child")], "{context}");
    let lines = world.shown.lines();
    assert!(lines.iter().filter(|line| *line == "start\n").count() <= 1, "{context}: {lines:?}");
    assert!(lines.iter().filter(|line| *line == "end\n").count() <= 1, "{context}: {lines:?}");
    let executions = inner.executions().unwrap();
    assert_eq!(executions.len(), 3, "{context}: a child was called twice");
    life(async {
        let host = world.host(Everstep::over(inner));
        let mut steps = Vec::new();
        for execution in &executions {
            steps.extend(host.reader().steps(&execution.id).await.unwrap().into_iter().map(|step| step.kind));
        }
        let count = |kind: &str| steps.iter().filter(|step| *step == kind).count();
        let counts = ["timers.sleep", "console.input", "functions.call", "files.write"].map(count);
        assert_eq!(counts, [2, 1, 2, 3], "{context}: {steps:?}");
        assert!(executions.iter().all(|execution| execution.state == State::Completed), "{context}");
    });
}

/// One host's part of it, with a human who answers whatever is asked.
pub(crate) async fn workflow(world: &World, store: Arc<dyn Backend>) -> Result<Report, Arc<Error>> {
    let builder = world.builder(Everstep::over(store)).scope(Scope::Started).keep_warm(std::time::Duration::ZERO);
    let host = builder.build().unwrap();
    let human = tokio::spawn({
        let host = host.clone();
        async move {
            loop {
                for asked in host.reader().promises().await.unwrap_or_default() {
                    // The host says itself that its store has failed.
                    let _ = host.settle(&asked.id, Ok("5".into())).await;
                }
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        }
    });
    let run = Run { policy: world.policy(), ..run("mixed", r#""/files""#) };
    let outcome = soon("the end", host.run(run)).await;
    human.abort();
    outcome
}

#[test]
fn randomness_and_the_attempt_are_those_of_the_journal() {
    // No server: it fails a commit of the store.
    for place in Place::local() {
        for commit in 2..6 {
            let world = World::new(ManualClock::at(1));
            let place = place.another();
            let inner = place.store();
            let store = CrashStore::at(Arc::clone(&inner), commit, Fate::Lost);
            let printed = life(async {
                let host = world.host(Everstep::over(store));
                let lost = host.run(world.run("draws")).await.is_err();
                let has_drawn = lost && !world.shown.all().is_empty();
                if has_drawn { Some(host.reader().steps(&id("x")).await.unwrap()) } else { None }
            });
            life(async {
                let host = world.host(Everstep::over(inner));
                let report = host.run(world.run("draws")).await.unwrap();
                let drawn = host.reader().steps(&id("x")).await.unwrap();
                if let Some(before) = printed {
                    assert_eq!(drawn[..before.len().min(2)], before[..before.len().min(2)]);
                    assert!(result(&report).ends_with(",2]"), "{report:?}");
                }
            });
        }
    }
}

#[test]
fn a_run_that_waits_for_a_human_learns_that_the_store_has_failed() {
    // No server: it fails a commit of the store.
    for place in Place::local() {
        life(async {
            let store = CrashStore::at(place.store(), u32::MAX, Fate::Lost);
            let world = World::new(ManualClock::at(1));
            let host = world.host(Everstep::over(Arc::clone(&store) as Arc<dyn Backend>));
            let asks = Run { policy: world.policy(), ..run("asks", "null") };
            let waits = host.start(asks.clone()).await.unwrap();
            eventually("the question", async || host.reader().promises().await.unwrap().pop()).await;
            store.strike();
            let other = host.run(asks.with_id(id("y"))).await.unwrap_err();
            assert!(matches!(&*other, Error::Store(_)), "{other}");
            let error = soon("the report of the failure", waits.wait()).await.unwrap_err();
            assert!(matches!(&*error, Error::Store(_)), "{error}");
        });
    }
}

#[test]
fn an_execution_pauses_and_goes_on_in_life_after_life() {
    for place in Place::every_dialect() {
        let (calls, shown) = (Calls::default(), Shown::default());
        let host = || place.host().capability("once", calls.echo()).on_output(shown.sink());
        for _ in 0..3 {
            let paused = outcome(host(), run("pauses", "null").without_waiting());
            assert_eq!(paused.state, State::Suspended);
        }
        life(async { host().build().unwrap().settle(&id("x").promise(2), Ok("40".into())).await.unwrap() });
        let done = outcome(host(), run("pauses", "null"));
        assert_eq!((result(&done), done.steps, done.replayed), ("43", 5, 3));
        assert_eq!(calls.by_step(), [(1, 1), (3, 1)]);
        assert_eq!(shown.lines(), ["before\n", "after\n"]);
        life(async {
            let host = host().build().unwrap();
            assert_eq!(host.reader().execution(&id("x")).await.unwrap().attempts, 4);
        });
    }
}

#[test]
fn a_host_that_dies_while_its_guest_waits_leaves_the_question_open() {
    for place in Place::every_dialect() {
        life(async {
            let host = place.host().build().unwrap();
            let _waits = host.start(run("asks", "null")).await.unwrap();
            eventually("the question", async || host.reader().promises().await.unwrap().pop()).await;
        });
        place.after_a_crash();
        life(async {
            let host = place.host().build().unwrap();
            // Its claim is still there, except on a server, where it is over.
            let state = host.reader().execution(&id("x")).await.unwrap().state;
            assert_eq!(state, if place.is_server() { State::Pending } else { State::Running });
            let asked = host.reader().promises().await.unwrap().remove(0);
            host.settle(&asked.id, Ok("1".into())).await.unwrap();
            assert_eq!(result(&host.run(run("asks", "null")).await.unwrap()), "1");
        });
    }
}

#[test]
fn a_journal_with_a_damaged_byte_is_reported_and_left_alone() {
    // No server: it damages the tables.
    for place in Place::local() {
        life(async {
            let host = place.host().build().unwrap();
            host.run(run("asks", "null").without_waiting()).await.unwrap();
            let (execution, mut journal) =
                (host.reader().execution(&id("x")).await.unwrap(), host.reader().journal(&id("x")).await.unwrap());
            let at = journal.len() - 3;
            journal[at] ^= 0x40;
            let other = place.another();
            let store = other.store();
            stored(&*store, &execution, journal.clone());
            let (policy, component) = (policy(), guests::fixture("behaviour").unwrap());
            let policy = Change::Blob(policy.digest(), policy.canonical().into_bytes().into());
            store.commit(&[policy, Change::Blob(execution.component, component.into())]).unwrap();
            let damaged = quick(Everstep::over(Arc::clone(&store))).build().unwrap();
            let error = damaged.run(run("asks", "null")).await.unwrap_err();
            assert!(error.to_string().starts_with("execution x: the journal is corrupted at byte "), "{error}");
            let answer = damaged.settle(&id("x").promise(1), Ok("1".into())).await.unwrap_err();
            assert!(matches!(answer, Error::Corrupted { .. }), "{answer}");
            assert!(store.journal(execution.key.unwrap()).unwrap().0 == journal);
            let told = || store.execution(&id("x")).unwrap().unwrap();
            assert_eq!((told().state, told().progress.error.unwrap().kind), (State::Halted, FailureKind::Corrupted));
            // There is nothing to repair it with, so it can be given up.
            damaged.cancel(&id("x")).await.unwrap();
            assert_eq!(told().state, State::Canceled);
            assert!(store.journal(execution.key.unwrap()).unwrap().0 == journal);
        });
    }
}

#[test]
fn a_store_that_panics_has_failed() {
    // No server: it fails a commit of the store.
    for place in Place::local() {
        let store = CrashStore::at(place.store(), u32::MAX, Fate::Panic);
        life(async {
            let host = quick(Everstep::over(Arc::clone(&store) as Arc<dyn Backend>)).build().unwrap();
            host.run(run("same", "1").with_id(id("before"))).await.unwrap();
            store.strike();
            for name in ["a", "b"] {
                let error = soon("the failure", host.run(run("same", "1").with_id(id(name)))).await.unwrap_err();
                assert!(matches!(&*error, Error::Store(StoreError::Poisoned(_))), "{error}");
            }
            assert_eq!(host.reader().executions().await.unwrap().len(), 1);
        });
    }
}

#[test]
fn an_answer_that_comes_twice_is_acknowledged_once_it_is_durable() {
    // No server: it fails a commit of the store.
    for place in Place::local() {
        life(async {
            let store = CrashStore::at(place.store(), u32::MAX, Fate::Lost);
            let host = quick(Everstep::over(Arc::clone(&store) as Arc<dyn Backend>)).build().unwrap();
            let _waits = host.start(run("asks", "null")).await.unwrap();
            let asked = eventually("the question", async || host.reader().promises().await.unwrap().pop()).await;
            store.stick(true);
            let answer = || {
                let (host, id) = (host.clone(), asked.id.clone());
                tokio::spawn(async move { host.settle(&id, Ok("1".into())).await })
            };
            let (first, second) = (answer(), answer());
            // Either may be the one that changes something; none may return while nothing can be written.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            assert!(!first.is_finished() && !second.is_finished());
            store.stick(false);
            soon("the first", first).await.unwrap().unwrap();
            soon("the second", second).await.unwrap().unwrap();
        });
    }
}

/// The disk under a file store fails at its operation `at`; false when there were fewer operations.
fn survive_disk(kind: Kind, at: u32, expected: &End, seen: &mut BTreeSet<&'static str>) -> bool {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let world = World::new(Arc::new(TestClock::at(1_000_000)));
    faults::arm(Fault { at, kind });
    let first = life(disk_run(&world, dir.path()));
    let struck = faults::disarm().operations >= at;
    let context = format!("{kind:?} at {at}");
    match &first {
        Ok(report) => assert!(!result(report).is_empty(), "{context}"),
        Err(error) => assert!(struck, "{context}: {error}"),
    }
    seen.insert(if first.is_ok() { "acknowledged" } else { "reported" });
    let (report, end) = life(async {
        // One place: its disk fails.
        let host = world.host(Everstep::open(dir.path()));
        if first.is_ok() {
            assert_eq!(host.reader().execution(&id("x")).await.unwrap().state, State::Completed, "{context}: lost");
        }
        let report = soon("the end", host.run(world.run("works"))).await.unwrap();
        (report, end(&world, &host).await)
    });
    let done: Value = serde_json::from_str(result(&report)).unwrap();
    assert_eq!(done["remembered"], 5050, "{context}");
    assert_eq!(end, *expected, "{context}");
    check_output(&world.shown, &end.output);
    assert!(world.once.by_step().iter().all(|(_, times)| *times == 1), "{context}: {:?}", world.once.by_step());
    struck
}

async fn disk_run(world: &World, dir: &Path) -> Result<Report, Arc<Error>> {
    // One place: its disk fails.
    let builder = quick(Everstep::open(dir)).clock(Arc::clone(&world.clock)).on_output(world.shown.sink());
    let builder = builder.capability("again", Idempotent(world.again.echo())).capability("once", world.once.echo());
    let host = builder.build().map_err(Arc::new)?;
    let outcome = soon("the end of the run", host.run(world.run("works"))).await;
    if let Err(error) = &outcome {
        assert!(matches!(&**error, Error::Store(_)), "{error}");
        // The host is alive: it reads, and says that it cannot write any more.
        let _ = host.reader().executions().await;
        let next = host.run(world.run("works").with_id(id("y"))).await.unwrap_err();
        assert!(matches!(&*next, Error::Store(_)), "{next}");
    }
    outcome
}

fn sweep_disk(kind: Kind) {
    let _turn = faults::exclusive();
    let (_, expected) = undisturbed("works");
    faults::install();
    let mut seen = BTreeSet::new();
    // The first operations create the store; behind them every third will do, since all writes of a commit are of one sort.
    let mut at = 1;
    while survive_disk(kind, at, &expected, &mut seen) {
        at += 3;
    }
    assert!(at > 60, "the sweep ended at operation {at}");
    assert_eq!(seen.len(), 2, "{seen:?}");
}

#[test]
fn a_host_lives_through_a_failed_write_and_the_next_one_goes_on() {
    sweep_disk(Kind::Error);
}

#[test]
fn a_host_lives_through_a_short_write_and_the_next_one_goes_on() {
    sweep_disk(Kind::ShortWrite);
}

#[test]
fn a_host_lives_through_a_torn_tail_and_the_next_one_goes_on() {
    sweep_disk(Kind::TornTail);
}

#[test]
fn a_host_lives_through_a_full_disk_and_the_next_one_goes_on() {
    sweep_disk(Kind::Full);
}

#[test]
fn after_a_power_loss_the_next_host_goes_on() {
    sweep_disk(Kind::PowerLoss);
}

/// Whoever answers may do so after the host has looked at the promises of an execution, and before its run is known.
#[test]
fn an_answer_in_the_moment_of_taking_up_is_not_missed() {
    // No server: it stands between the host and the tables.
    for place in Place::local() {
        life(async {
            let host = place.host().build().unwrap();
            assert_eq!(host.run(run("asks", "null").without_waiting()).await.unwrap().state, State::Suspended);
        });
        let store = CrashStore::at(place.store(), u32::MAX, Fate::Answered("x.1"));
        life(async {
            let host = quick(Everstep::over(store)).keep_warm(Duration::from_secs(600)).build().unwrap();
            let handle = host.resume(&id("x"), Patience::Forever).await.unwrap();
            assert_eq!(result(&soon("the end", handle.wait()).await.unwrap()), "5");
        });
    }
}
