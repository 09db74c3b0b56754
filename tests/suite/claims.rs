//! A store that takes executions away from a host at its write, or its question before an effect, 1..N: nothing is recorded and nothing
//! done under a claim that is lost, and whoever has the execution ends it as if nothing had happened.

use crate::faulty::{CrashStore, Fate};
use crate::recovery::{World, check_workflow, workflow};
use crate::support::{Place, boundaries, eventually, failure, id, life, outcome, quick, result, run, soon};
use everstep::clock::{Clock, SystemClock};
use everstep::store::operation::{Operation, Settlement};
use everstep::store::record::{PromiseState, Value};
use everstep::store::{self, Backend, FailureKind, State};
use everstep::{Error, ErrorCode, Everstep, ReplayEnd, Scope};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The kinds of record that a timer has in a journal, each once.
const CALLED_SETTLED_DELIVERED: [u8; 3] = [3, 4, 5];

/// The host itself takes up again what was only given back.
#[test]
fn a_workflow_that_is_given_back_at_any_moment_ends_as_if_nothing_had_happened() {
    // No server: it stands between the host and the tables; `remote_commands` takes claims from hosts there.
    for place in Place::local() {
        let strikes = (1..).take_while(|moment| {
            let world = World::new(Arc::new(SystemClock));
            let place = place.another();
            let inner = place.store();
            let store = CrashStore::at(Arc::clone(&inner), *moment, Fate::Freed);
            let report = life(workflow(&world, Arc::clone(&store) as Arc<dyn Backend>)).unwrap();
            check_workflow(&world, &report, inner, &format!("given back at {moment}"));
            store.has_struck()
        });
        let strikes = strikes.count();
        assert!(strikes > 15, "only {strikes} moments");
    }
}

#[test]
fn a_workflow_that_another_worker_takes_at_any_moment_is_left_alone_and_ended_by_the_next_host() {
    // No server: it stands between the host and the tables; `remote_commands` takes claims from hosts there.
    for place in Place::local() {
        let strikes = (1..).take_while(|moment| taken_away(&place.another(), *moment)).count();
        assert!(strikes > 15, "only {strikes} moments");
    }
}

/// False when there were fewer moments.
fn taken_away(place: &Place, moment: u32) -> bool {
    let (world, context) = (World::new(Arc::new(SystemClock)), format!("taken at {moment}"));
    let inner = place.store();
    let store = CrashStore::at(Arc::clone(&inner), moment, Fate::Taken);
    let ended = life(async {
        let first = workflow(&world, Arc::clone(&store) as Arc<dyn Backend>);
        let left = async {
            eventually("the theft", async || store.has_struck().then_some(())).await;
            // Long enough for whatever would be written or done all the same.
            tokio::time::sleep(Duration::from_millis(30)).await;
        };
        tokio::select! {
            ended = first => Some(ended.unwrap()),
            () = left => None,
        }
    });
    for (id, journal) in store.stolen() {
        let key = inner.execution(&id).unwrap().unwrap().key.unwrap();
        assert!(inner.journal(key).unwrap().0 == journal, "{context}: {id} was written to");
    }
    let files = u32::try_from(world.contents().len()).unwrap();
    assert!(files <= store.checks(), "{context}: {files} files after {} questions", store.checks());
    store.give_back();
    let again = life(workflow(&world, Arc::clone(&inner))).unwrap();
    check_workflow(&world, &ended.unwrap_or(again), inner, &context);
    store.has_struck()
}

/// Its timers fire in the run, or in the store where it is suspended at each of them.
#[test]
fn a_sleep_that_another_worker_takes_at_any_moment_is_left_alone_and_ended_once_by_the_next_host() {
    // No server: it stands between the host and the tables; `remote_commands` takes claims from hosts there.
    for place in Place::local() {
        for keep_warm in [Duration::MAX, Duration::ZERO] {
            let strikes = (1..).take_while(|moment| taken_asleep(&place.another(), *moment, keep_warm)).count();
            println!("{strikes} moments");
            // On a busy machine several of them come in one commit.
            assert!(strikes > 1, "only {strikes} moments");
        }
    }
}

/// False when there were fewer moments.
fn taken_asleep(place: &Place, moment: u32, keep_warm: Duration) -> bool {
    const TIMES: &str = "[12,1,8]";
    let context = format!("taken at {moment}, warm for {keep_warm:?}");
    let inner = place.store();
    let store = CrashStore::at(Arc::clone(&inner), moment, Fate::Taken);
    let sleep = async |store: Arc<dyn Backend>| {
        let host = quick(Everstep::over(store)).scope(Scope::Started).keep_warm(keep_warm).build().unwrap();
        soon("the end", host.run(run("only_sleeps", TIMES))).await.unwrap()
    };
    let ended = life(async {
        let left = async {
            eventually("the theft", async || store.has_struck().then_some(())).await;
            // Long enough for all timers to fire all the same.
            tokio::time::sleep(Duration::from_millis(40)).await;
        };
        tokio::select! {
            ended = sleep(Arc::clone(&store) as Arc<dyn Backend>) => Some(ended),
            () = left => None,
        }
    });
    let stored = || inner.execution(&id("x")).unwrap().unwrap();
    let journal = || inner.journal(stored().key.unwrap()).unwrap().0;
    for (_, before) in store.stolen() {
        assert!(journal() == before, "{context}: it was written to");
    }
    store.give_back();
    let again = life(sleep(Arc::clone(&inner)));
    for report in ended.iter().chain([&again]) {
        assert_eq!(result(report), TIMES, "{context}");
    }
    let journal = journal();
    let starts = [0].into_iter().chain(boundaries(&journal));
    let kinds: Vec<u8> = starts.filter_map(|start| journal.get(start + 8).copied()).collect();
    let counts = CALLED_SETTLED_DELIVERED.map(|kind| kinds.iter().filter(|it| **it == kind).count());
    assert_eq!(counts, [3, 3, 3], "{context}: {kinds:?}");
    if !store.has_struck() {
        assert_eq!(stored().attempts > 1, keep_warm.is_zero(), "{context}: {} attempts", stored().attempts);
    }
    store.has_struck()
}

/// Where a barrier has nothing to write, nothing but the question before the effect tells that the claim is lost.
#[test]
fn no_effect_begins_under_a_lost_claim() {
    // No server: it stands between the host and the tables; `remote_commands` takes claims from hosts there.
    for place in Place::local() {
        let moments = (1..).take_while(|moment| {
            let world = World::new(Arc::new(SystemClock));
            let place = place.another();
            let inner = place.store();
            let store = CrashStore::at(Arc::clone(&inner), *moment, Fate::Taken);
            life(async {
                let host = world.host(Everstep::over(Arc::clone(&store) as Arc<dyn Backend>));
                let ended = host.run(world.run("works"));
                let left = async {
                    eventually("the theft", async || store.has_struck().then_some(())).await;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                };
                tokio::select! {
                    report = ended => assert!(!store.has_struck(), "taken at {moment}: {report:?}"),
                    () = left => {}
                }
            });
            // Whatever was done is recorded as begun, and was before it was done.
            let steps = life(async { world.host(Everstep::over(inner)).reader().steps(&id("x")).await.unwrap() });
            for (step, _) in world.again.by_step().into_iter().chain(world.once.by_step()) {
                assert!(
                    steps.iter().any(|recorded| recorded.n == step),
                    "taken at {moment}: {step} was done unrecorded"
                );
            }
            let writes = steps.iter().filter(|step| step.kind == "files.write").count();
            assert!(
                world.contents().len() <= writes,
                "taken at {moment}: {:?} after {writes} writes",
                world.contents()
            );
            let requests = world.again.total() + world.once.total();
            let written = u32::try_from(world.contents().len()).unwrap();
            assert!(requests + written <= store.checks(), "taken at {moment}: {requests} requests, {written} files");
            assert!(store.has_struck() || requests == 6, "{requests}");
            store.has_struck()
        });
        let moments = moments.count();
        assert!(moments > 8, "only {moments} moments");
    }
}

/// Its journal is not what it takes it for: that is its own end, and nobody else's.
#[test]
fn a_write_that_does_not_fit_ends_its_execution_alone() {
    // No server: it stands between the host and the tables; `remote_commands` takes claims from hosts there.
    for place in Place::local() {
        let store = CrashStore::at(place.store(), 2, Fate::Scribbled);
        life(async {
            let host = quick(Everstep::over(Arc::clone(&store) as Arc<dyn Backend>)).build().unwrap();
            let error = soon("the error", host.run(run("asks", "null"))).await.unwrap_err();
            assert!(matches!(&*error, Error::Store(store::Error::Refused { .. })), "{error}");
            assert!(store.has_struck());
            let other = soon("another one", host.run(run("same", "1").with_id(id("y")))).await.unwrap();
            assert_eq!(result(&other), "1");
        });
    }
}

#[test]
fn a_deadline_that_has_passed_here_and_not_yet_in_the_store_is_asked_for_again() {
    // No server: it stands between the host and the tables; `remote_commands` takes claims from hosts there.
    for place in Place::local() {
        life(async {
            let store = CrashStore::at(place.store(), 1, Fate::Behind(150));
            let host = quick(Everstep::over(store)).build().unwrap();
            let call = r#"{"function": "adds", "args": [1, 2], "target": "nobody", "timeout_ms": 40}"#;
            let report = soon("the deadline", host.run(run("calls", call))).await.unwrap();
            assert_eq!(failure(&report).0, FailureKind::Returned(ErrorCode::TimedOut));
        });
    }
}

/// Another tool settles a promise past the hosts, which would not have taken these answers.
#[test]
fn an_answer_that_does_not_fit_reaches_the_guest_as_invalid() {
    let long = serde_json::to_string(&"x".repeat(9 << 20)).unwrap();
    for (function, answer, why) in [
        ("asks_bool", "5", "boolean"),
        ("asks_bool", "true false", "trailing"),
        ("asks", "{", "EOF"),
        ("asks", &*long, "limits.bytes_per_call"),
        ("awaits_order", r#"{"item": "tea", "count": 256}"#, "256"),
    ] {
        // No server: it stands between the host and the tables; `remote_commands` takes claims from hosts there.
        for place in Place::local() {
            let asked = life(async {
                let host = place.host().build().unwrap();
                assert_eq!(host.run(run(function, "null").without_waiting()).await.unwrap().state, State::Suspended);
                host.reader().promises().await.unwrap().remove(0).id.to_string()
            });
            let value = Value { headers: BTreeMap::new(), data: Some(answer.to_owned()) };
            let settlement = Settlement { id: asked, state: PromiseState::Resolved, value };
            place.store().operate(SystemClock.now_ms(), Operation::PromiseSettle(settlement)).unwrap().answer.unwrap();
            let report = outcome(place.host(), run(function, "null"));
            let (kind, message) = failure(&report);
            assert_eq!(kind, FailureKind::Returned(ErrorCode::Invalid), "{message}");
            assert!(message.contains("the answer does not fit") && message.contains(why), "{message}");
            // What was delivered is repeated.
            let replayed = life(async { place.host().build().unwrap().replay(&id("x"), None, None).await.unwrap() });
            assert_eq!(replayed.end, ReplayEnd::Repeated);
        }
    }
}

/// The same in the moment in which the execution is taken up.
#[test]
fn an_answer_that_comes_while_a_run_begins_is_checked_too() {
    // No server: it stands between the host and the tables; `remote_commands` takes claims from hosts there.
    for place in Place::local() {
        let inner = place.store();
        let ask = || run("asks_bool", "null");
        outcome(quick(Everstep::over(Arc::clone(&inner))), ask().without_waiting());
        let report = outcome(quick(Everstep::over(CrashStore::at(inner, u32::MAX, Fate::Answered("x.0")))), ask());
        assert_eq!(failure(&report).0, FailureKind::Returned(ErrorCode::Invalid));
    }
}
