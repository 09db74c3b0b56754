//! What an execution that only waits costs, and what wakes it: the settlement itself, once.

use crate::support::{ManualClock, Place, Shown, eventually, id, life, result, run, soon};
use everstep::clock::{Clock, TestClock};
use everstep::store::operation::{NewPromise, Operation, Settlement};
use everstep::store::record::{NEVER, PromiseState, Tags, TaskState, Value};
use everstep::store::{Change, State};
use everstep::{Cancellation, Everstep, Patience, Scope};
use std::sync::Arc;
use std::time::Duration;

fn cold(place: &Place) -> everstep::Builder {
    place.host().scope(Scope::Everything).keep_warm(Duration::ZERO)
}

/// Waits until an execution has given its instance up.
async fn suspended(host: &Everstep, name: &str) {
    eventually("the suspension", async || {
        (host.reader().execution(&id(name)).await.ok()?.state == State::Suspended).then_some(())
    })
    .await;
}

#[test]
fn an_execution_that_only_waits_gives_up_its_instance_and_is_resumed_by_the_answer() {
    for place in Place::every_dialect() {
        let shown = Shown::default();
        life(async {
            let host = cold(&place).on_output(shown.sink()).build().unwrap();
            let handle = host.start(run("asks", "null")).await.unwrap();
            suspended(&host, "x").await;
            host.settle(&id("x").promise(1), Ok("5".into())).await.unwrap();
            assert_eq!(result(&soon("the end", handle.wait()).await.unwrap()), "5");
            assert_eq!(host.reader().execution(&id("x")).await.unwrap().attempts, 2);
        });
        assert_eq!(shown.lines(), ["asking\n", "answered\n"], "the replay shows nothing again");
    }
}

#[test]
fn within_the_grace_the_same_instance_goes_on() {
    for place in Place::every_dialect() {
        life(async {
            let host = place.host().scope(Scope::Everything).keep_warm(Duration::from_secs(3600)).build().unwrap();
            let handle = host.start(run("asks", "null")).await.unwrap();
            let asked = eventually("the question", async || host.reader().promises().await.unwrap().pop()).await;
            host.settle(&asked.id, Ok("5".into())).await.unwrap();
            let report = soon("the end", handle.wait()).await.unwrap();
            assert_eq!((result(&report), report.replayed), ("5", 0));
        });
    }
}

#[test]
fn more_executions_wait_than_there_are_instances() {
    for place in Place::every_dialect() {
        life(async {
            let host = place.host().instances(2).scope(Scope::Everything).keep_warm(Duration::from_secs(3600));
            let host = host.build().unwrap();
            let mut handles = Vec::new();
            for number in 0..40 {
                handles.push(host.start(run("asks", "null").with_id(id(&format!("x{number}")))).await.unwrap());
            }
            eventually("forty questions", async || (host.reader().promises().await.unwrap().len() == 40).then_some(()))
                .await;
            for asked in host.reader().promises().await.unwrap() {
                host.settle(&asked.id, Ok("1".into())).await.unwrap();
            }
            for handle in handles {
                assert_eq!(result(&soon("the end", handle.wait()).await.unwrap()), "1");
            }
        });
    }
}

#[test]
fn a_timer_fires_for_a_suspended_execution_also_after_a_restart() {
    for place in Place::every_dialect() {
        let clock = ManualClock::at(1_000);
        life(async {
            let host = place.by(clock.clone(), cold(&place)).build().unwrap();
            let _asleep = host.start(run("sleeps", "500")).await.unwrap();
            suspended(&host, "x").await;
        });
        life(async {
            let host = place.by(clock.clone(), cold(&place)).build().unwrap();
            clock.advance_to(1_499);
            assert_eq!(host.reader().execution(&id("x")).await.unwrap().state, State::Suspended);
            clock.advance_to(1_500);
            let ended = eventually("the end", async || {
                host.reader().execution(&id("x")).await.ok().filter(|execution| execution.state.is_final())
            });
            assert_eq!(ended.await.result.as_deref(), Some("500"));
        });
    }
}

#[test]
fn a_timer_that_ended_while_no_host_ran_is_fired_by_the_next_one() {
    for place in Place::every_dialect() {
        let clock = ManualClock::at(1_000);
        life(async {
            let host = place.by(clock.clone(), cold(&place)).build().unwrap();
            let _asleep = host.start(run("sleeps", "500")).await.unwrap();
            suspended(&host, "x").await;
        });
        clock.advance_to(9_000);
        life(async {
            let host = place.by(clock.clone(), cold(&place)).build().unwrap();
            let ended = eventually("the end", async || {
                host.reader().execution(&id("x")).await.ok().filter(|execution| execution.state.is_final())
            });
            assert_eq!(ended.await.result.as_deref(), Some("8000"));
        });
    }
}

/// Timers of any length, by a clock that is set forward and back by an hour and a year: what is due fires, once, and nothing else.
#[test]
fn a_clock_that_jumps_fires_what_is_due_by_it_and_nothing_twice() {
    const HOUR: u64 = 3_600_000;
    const YEAR: u64 = 365 * 24 * HOUR;
    let start = 50 * YEAR;
    for (ms, jumps, fires) in [
        ("0", vec![], true),
        ("1", vec![start + 1], true),
        ("1", vec![start - YEAR], false),
        ("1", vec![start - HOUR, start - HOUR + 1, start], false),
        ("1", vec![start - HOUR, start + 1], true),
        ("60000", vec![start + HOUR], true),
        ("60000", vec![start + YEAR, start], true),
        ("315360000000", vec![start + YEAR, start - YEAR], false),
        ("315360000000", vec![start + 10 * YEAR], true),
        ("18446744073709551615", vec![start + 1_000 * YEAR], false),
    ] {
        for place in Place::every_dialect() {
            life(async {
                let clock = ManualClock::at(start);
                let host = place.by(clock.clone(), cold(&place)).build().unwrap();
                let handle = host.start(run("sleeps", ms)).await.unwrap();
                if ms != "0" {
                    suspended(&host, "x").await;
                }
                for now_ms in &jumps {
                    clock.advance_to(*now_ms);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                if fires {
                    soon("the end", handle.wait()).await.unwrap();
                    let delivered = host.reader().steps(&id("x")).await.unwrap();
                    assert_eq!(delivered.iter().filter(|step| step.kind == "timers.sleep").count(), 1);
                } else {
                    let state = host.reader().execution(&id("x")).await.unwrap().state;
                    assert_eq!(state, State::Suspended, "{ms} ms, {jumps:?}");
                }
            });
        }
    }
}

/// A store with so many executions that wait for a promise, as a host would have left them.
fn crowd(place: &Place, count: u32) {
    let store = place.store();
    let component = everstep_tests::guests::fixture("behaviour").unwrap();
    let policy = crate::support::policy();
    let invocation = everstep::store::Invocation {
        function: "awaits".into(),
        args: "null".into(),
        component: everstep::Digest::of(&component),
        policy: policy.digest(),
        trace: None,
    };
    // One real journal, the same for all.
    let journal = life(async {
        let host = place.another().host().build().unwrap();
        host.run(run("awaits", "null").without_waiting()).await.unwrap();
        host.reader().journal(&id("x")).await.unwrap()
    });
    let blob = |bytes: Vec<u8>| Change::Blob(everstep::Digest::of(&bytes), bytes.into());
    store.commit(&[blob(component), blob(policy.canonical().into_bytes())]).unwrap();
    let at = |operation| Change::operation(1_000, operation);
    for first in (0..count).step_by(1_000) {
        let changes = (first..count.min(first + 1_000)).flat_map(|number| {
            let name = format!("e{number}");
            let (id, component, policy) = (id(&name), invocation.component, invocation.policy);
            let key = store.fresh_key().unwrap();
            let asked = everstep::store::Asked {
                kind: everstep::store::PromiseKind::Promise,
                subject: String::new(),
                data: Some(r#""shown""#.into()),
                schema: None,
            };
            let promise =
                |id: String, param: Value, tags| NewPromise { id, timeout_at: NEVER, param, tags: Tags::from(tags) };
            let execution = promise(name.clone(), invocation.param(), invocation.tags("poll://any@default"));
            let open = promise(format!("{name}.0"), asked.param(), asked.tags());
            let awaited = vec![open.id.clone()];
            [
                at(Operation::TaskCreate { pid: "everstep".into(), ttl: NEVER, promise: execution }),
                Change::Create(Box::new(everstep::store::NewExecution { key, id, component, policy, seed: [1; 32] })),
                Change::Append { key, segment: 0, bytes: journal.clone(), seal: None },
                at(Operation::PromiseCreate(open)),
                at(Operation::TaskSuspend { id: name, version: 1, awaited }),
            ]
        });
        store.commit(&changes.collect::<Vec<_>>()).unwrap();
    }
}

#[test]
fn of_many_suspended_executions_the_answer_resumes_one() {
    // No server: it writes the tables.
    for place in Place::local() {
        crowd(&place, 5_000);
        life(async {
            let host = cold(&place).build().unwrap();
            host.settle(&id("e4321").promise(0), Ok("7".into())).await.unwrap();
            let ended = eventually("the end", async || {
                host.reader().execution(&id("e4321")).await.ok().filter(|execution| execution.state.is_final())
            });
            assert_eq!(ended.await.result.as_deref(), Some("7"));
            let woken =
                host.reader().executions().await.unwrap().into_iter().filter(|execution| execution.attempts > 1);
            assert_eq!(woken.map(|execution| execution.id).collect::<Vec<_>>(), [id("e4321")]);
        });
    }
}

#[test]
fn two_resolvers_race_and_one_wins_each_time() {
    // No server: it races for the tables.
    for place in Place::local() {
        life(async {
            let store = place.store();
            for number in 0..10_000 {
                let name = format!("p{number}");
                let new = NewPromise {
                    id: name.clone(),
                    timeout_at: NEVER,
                    param: Value::default(),
                    tags: Default::default(),
                };
                store.operate(1_000, Operation::PromiseCreate(new)).unwrap();
                let settle = |value: &str| {
                    let value = Value { data: Some(value.to_owned()), ..Value::default() };
                    let settlement = Settlement { id: name.clone(), state: PromiseState::Resolved, value };
                    let store = Arc::clone(&store);
                    move || store.operate(1_001, Operation::PromiseSettle(settlement)).unwrap()
                };
                let (one, two) = (tokio::task::spawn_blocking(settle("1")), tokio::task::spawn_blocking(settle("2")));
                let (one, two) = (one.await.unwrap(), two.await.unwrap());
                assert_eq!(one.answer, two.answer, "both read the record of the winner");
                assert_eq!(one.events.len() + two.events.len(), 1, "it is settled once");
            }
        });
    }
}

/// The function returns at the moment in which it is canceled.
#[test]
fn cancel_races_completion_and_there_is_one_end_each_time() {
    for place in Place::every_dialect() {
        // Each is a dozen requests to a server.
        let races = if place.is_server() { 500 } else { 10_000 };
        let canceled = life(async {
            let host = place.host().instances(16).scope(Scope::Everything).build().unwrap();
            let racers = (0..50).map(|racer| {
                let host = host.clone();
                tokio::spawn(async move {
                    let mut canceled = 0;
                    for number in (racer..races).step_by(50) {
                        canceled += u32::from(race(&host, number).await == State::Canceled);
                    }
                    canceled
                })
            });
            let mut canceled = 0;
            for racer in racers.collect::<Vec<_>>() {
                canceled += racer.await.unwrap();
            }
            canceled
        });
        // Over the network it may be the same side each time.
        let both_win = canceled > 0 && canceled < races;
        assert!(both_win || place.is_server(), "one side won every time: {canceled} of {races}");
    }
}

/// Cancels an execution about when it ends; returns how it ended, which all who can tell agree on.
async fn race(host: &Everstep, number: u32) -> State {
    let name = id(&format!("x{number}"));
    let handle = host.start(run("add", r#"{"a": 1, "b": 2}"#).with_id(name.clone())).await.unwrap();
    for _ in 0..number % 7 {
        tokio::task::yield_now().await;
    }
    let (canceled, report) = tokio::join!(host.cancel(&name), handle.wait());
    let (canceled, report) = (canceled.unwrap(), report.unwrap());
    let stored = host.reader().execution(&name).await.unwrap();
    assert_eq!((stored.state, &stored.result), (report.state, &report.result));
    let told = match canceled {
        Cancellation::Canceled | Cancellation::Uncleaned(_) => State::Canceled,
        Cancellation::HadEnded(state) => state,
    };
    assert_eq!(told, report.state);
    assert_eq!(host.reader().task(&name).await.unwrap().state, TaskState::Fulfilled);
    report.state
}

#[test]
fn a_suspended_execution_waits_with_patience_none_too() {
    for place in Place::every_dialect() {
        life(async {
            let clock: Arc<dyn Clock> = Arc::new(TestClock::at(1));
            let host = place.by(clock, cold(&place)).build().unwrap();
            let report = host.run(run("asks_twice", "null").without_waiting()).await.unwrap();
            assert_eq!(report.state, State::Suspended);
            host.settle(&id("x").promise(0), Ok("1".into())).await.unwrap();
            host.settle(&id("x").promise(1), Ok("2".into())).await.unwrap();
            let handle = host.resume(&id("x"), Patience::Forever).await.unwrap();
            assert_eq!(result(&soon("the end", handle.wait()).await.unwrap()), "[1,2]");
        });
    }
}

/// The id of a firing of the schedule `beat`. On a server a colon may end the name of an execution.
fn firing(place: &Place, slot: u64) -> String {
    format!("beat{}{slot}", if place.is_server() { '-' } else { ':' })
}

#[test]
fn a_firing_that_cannot_be_run_is_halted_with_its_cause() {
    // No server: another worker may have the folder, so it is left to others.
    for place in Place::local() {
        let (clock, folder) = (ManualClock::at(1_000), tempfile::tempdir().unwrap());
        let grant = format!("[[files]]\nid = \"f\"\nguest = \"/f\"\nhost = {:?}\naccess = \"read\"\n", folder.path());
        life(async {
            let host = place.by(clock.clone(), cold(&place)).build().unwrap();
            let beat = everstep::Run { policy: crate::support::parse(&grant), ..run("add", r#"{"a":1,"b":2}"#) };
            host.schedule("beat", "* * * * *", beat, true).await.unwrap();
        });
        drop(folder);
        clock.advance_to(60_000);
        life(async {
            let host = place.by(clock.clone(), cold(&place)).build().unwrap();
            let halted = eventually("the firing", async || {
                host.reader()
                    .execution(&id(&firing(&place, 60_000)))
                    .await
                    .ok()
                    .filter(|firing| firing.state == State::Halted)
            });
            let failure = halted.await.progress.error.unwrap();
            assert_eq!(failure.kind, everstep::store::FailureKind::Load);
            assert!(failure.message.contains("\"f\""), "{}", failure.message);
        });
    }
}

/// Missed firings are made up for one by one, if that is told; each slot has one id.
#[test]
fn missed_firings_are_caught_up_as_told() {
    for place in Place::every_dialect() {
        missed(&place, true, &[60_000, 120_000, 180_000, 240_000]);
    }
}

#[test]
fn missed_firings_are_skipped_as_told() {
    for place in Place::every_dialect() {
        missed(&place, false, &[240_000]);
    }
}

/// Lets a schedule miss its firings of four minutes, and looks which of them are made up for.
fn missed(place: &Place, catches_up: bool, fired: &[u64]) {
    let clock = ManualClock::at(1_000);
    life(async {
        let host = place.by(clock.clone(), cold(place)).build().unwrap();
        let beat = run("add", r#"{"a":1,"b":2}"#);
        host.schedule("beat", "* * * * *", beat.clone(), catches_up).await.unwrap();
        host.schedule("beat", "* * * * *", beat.clone(), catches_up).await.unwrap();
        let other = host.schedule("beat", "0 * * * *", beat, catches_up).await.unwrap_err();
        assert!(other.to_string().contains("another schedule of that id"), "{other}");
    });
    clock.advance_to(240_500);
    for _ in 0..2 {
        life(async {
            let host = place.by(clock.clone(), cold(place)).build().unwrap();
            let done = async || {
                let all = host.reader().executions().await.unwrap();
                (all.len() == fired.len() && all.iter().all(|one| one.state == State::Completed)).then_some(all)
            };
            let all = eventually("the firings", done).await;
            let ids: Vec<_> = all.iter().map(|one| one.id.to_string()).collect();
            let expected: Vec<_> = fired.iter().map(|slot| firing(place, *slot)).collect();
            assert_eq!(std::collections::BTreeSet::from_iter(ids), expected.into_iter().collect());
        });
    }
}
