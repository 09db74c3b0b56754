//! Functions that run others: as children, detached, nested, many at a time; and what ends with them.

use crate::faulty::CrashStore;
use crate::support::{
    ManualClock, Place, Shown, eventually, failure, id, life, parse, policy, quick, result, run, soon,
};
use everstep::clock::TestClock;
use everstep::policy::Limits;
use everstep::store::operation::Operation;
use everstep::store::record::tag;
use everstep::store::{Change, FailureKind, State};
use everstep::{Cancellation, ErrorCode, Everstep, Policy, ReplayEnd, Run, Scope};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A host that runs what is called; what only waits gives up its instance at once, so that every wait is a suspension.
fn host(place: &Place) -> Everstep {
    place.host().scope(Scope::Started).keep_warm(Duration::ZERO).build().unwrap()
}

/// The same with instances kept warm.
fn warm(place: &Place) -> Everstep {
    place.host().scope(Scope::Started).build().unwrap()
}

fn call(function: &str, args: Value) -> Run {
    run("calls", &json!({ "function": function, "args": args }).to_string())
}

#[test]
fn a_child_runs_under_the_id_of_its_step_and_returns_its_result() {
    for place in Place::every_dialect() {
        for host in [host, warm] {
            life(async {
                let host = host(&place);
                let name = id(&format!("x{}", host.reader().executions().await.unwrap().len()));
                let report =
                    soon("the end", host.run(call("adds", json!([3, 4])).with_id(name.clone()))).await.unwrap();
                assert_eq!(result(&report), "7");
                let child = host.reader().execution(&name.child(0).unwrap()).await.unwrap();
                assert_eq!((child.state, child.result.as_deref()), (State::Completed, Some("7")));
                assert_eq!((child.function.as_str(), child.args.as_str()), ("adds", "[3,4]"));
            });
        }
    }
}

/// What nobody waits for is put off, for another write to take along, by a thread of its own.
#[test]
fn a_call_that_the_guest_waits_for_is_not_put_off() {
    // No server: it counts the commits of the store.
    for place in Place::local() {
        let at_once = Arc::new(AtomicU32::new(0));
        let observe = {
            let at_once = Arc::clone(&at_once);
            move |changes: &[Change]| {
                let calls = |change: &Change| match change {
                    Change::Operation { operation, .. } => {
                        matches!(&**operation, Operation::PromiseCreate(new) if new.tags.contains_key(tag::TARGET))
                    }
                    _ => false,
                };
                let calls = changes.iter().any(|change| match change {
                    Change::Fenced { changes, .. } => changes.iter().any(calls),
                    _ => false,
                });
                let put_off = std::thread::current().name() == Some("everstep-commit");
                at_once.fetch_add(u32::from(calls && !put_off), Ordering::SeqCst);
            }
        };
        life(async {
            let store = CrashStore::observed(place.store(), observe);
            let host = quick(Everstep::over(store)).scope(Scope::Started).build().unwrap();
            for number in 0..50 {
                let run = call("adds", json!([3, 4])).with_id(id(&format!("x{number}")));
                assert_eq!(result(&soon("the end", host.run(run)).await.unwrap()), "7");
            }
        });
        // A guest that loses its turn for two milliseconds may find its call written already.
        assert!(at_once.load(Ordering::SeqCst) > 0, "each call was put off");
    }
}

#[test]
fn the_error_of_a_child_carries_its_id_and_message() {
    for place in Place::every_dialect() {
        life(async {
            let host = host(&place);
            let report = soon("the end", host.run(call("fails", json!("no seat left")))).await.unwrap();
            assert_eq!(failure(&report), (FailureKind::Returned(ErrorCode::Failed), "x.0: no seat left"));
            let report = soon("the end", host.run(call("nobody", json!(null)).with_id(id("y")))).await.unwrap();
            let (kind, message) = failure(&report);
            assert_eq!(kind, FailureKind::Returned(ErrorCode::NotFound));
            assert!(message.starts_with(r#"y.0: the component has no function "nobody"; it has "#), "{message}");
        });
    }
}

#[test]
fn a_call_that_is_not_granted_is_denied() {
    for place in Place::every_dialect() {
        life(async {
            let mut policy = policy();
            policy.capabilities.retain(|grant| grant.name() != "call");
            let report = host(&place).run(Run { policy, ..call("adds", json!([1, 2])) }).await.unwrap();
            assert_eq!(failure(&report).0, FailureKind::Returned(ErrorCode::Denied));
            assert_eq!(host(&place).reader().executions().await.unwrap().len(), 1);
        });
    }
}

#[test]
fn a_thousand_children_of_one_parent_end_once_each() {
    for place in Place::every_dialect() {
        life(async {
            let host = host(&place);
            let report = soon("the end", host.run(run("sums_children", "1000"))).await.unwrap();
            assert_eq!(result(&report), "500500");
            let executions = host.reader().executions().await.unwrap();
            assert_eq!(executions.len(), 1001);
            assert!(executions.iter().all(|execution| execution.state == State::Completed));
            let children = executions.iter().filter(|execution| execution.id.parent().is_some());
            assert!(children.clone().all(|child| child.attempts == 1), "a child that does not wait is taken up once");
        });
    }
}

#[test]
fn children_nest_until_their_ids_would_be_too_long() {
    for place in Place::every_dialect() {
        life(async {
            let host = host(&place);
            assert_eq!(result(&soon("the end", host.run(run("nests", "20"))).await.unwrap()), "20");
            let deep = parse("[limits.lineage]\ndepth = \"unlimited\"").limits.lineage;
            let limits = Limits { lineage: deep, ..policy().limits };
            let nests = Run { policy: Policy { limits, ..policy() }, ..run("nests", "1000") };
            let report = soon("the end", host.run(nests.with_id(id("y")))).await.unwrap();
            let (kind, message) = failure(&report);
            assert_eq!(kind, FailureKind::Returned(ErrorCode::LimitExceeded));
            assert!(message.contains("would be too long"), "{message}");
        });
    }
}

#[test]
fn a_bounded_map_and_the_first_of_many_give_what_they_should() {
    for place in Place::every_dialect() {
        life(async {
            let clock = Arc::new(TestClock::at(1_000));
            let host = place.by(clock, place.host().scope(Scope::Started)).build().unwrap();
            let items: Vec<_> = (0..30).map(|n| json!([n, n])).collect();
            let mapped = run("maps_children", &json!({ "items": items, "limit": 4 }).to_string());
            let report = soon("the end", host.run(mapped)).await.unwrap();
            assert_eq!(result(&report), format!("{:?}", (0..30).map(|n| 2 * n).collect::<Vec<_>>()).replace(' ', ""));
        });
        life(async {
            let clock = ManualClock::at(1_000);
            let host = place.by(clock.clone(), place.host().scope(Scope::Started)).build().unwrap();
            let first = run("first_children", r#"{"n": 2, "delays_ms": [3000, 10, 2000, 20]}"#).with_id(id("y"));
            let handle = host.start(first).await.unwrap();
            let child = |number: u64| id("y").child(number).unwrap();
            for number in 0..4 {
                let asleep = async || host.reader().steps(&child(number)).await.ok().filter(|steps| steps.len() == 2);
                eventually("four sleepers", asleep).await;
            }
            for (number, now_ms) in [(1, 1_010), (3, 1_020)] {
                clock.advance_to(now_ms);
                let awake =
                    async || host.reader().execution(&child(number)).await.unwrap().state.is_final().then_some(());
                eventually("the end of one", awake).await;
            }
            assert_eq!(result(&soon("the end", handle.wait()).await.unwrap()), "[1,3]");
            let rest = host.reader().execution(&id("y").child(0).unwrap()).await.unwrap();
            assert_eq!(rest.state, State::Canceled, "what was called and is not awaited ends with its caller");
        });
    }
}

#[test]
fn a_detached_execution_outlives_its_caller_and_starts_once() {
    for place in Place::every_dialect() {
        let shown = Shown::default();
        life(async {
            let host = place.host().scope(Scope::Everything).on_output(shown.sink()).build().unwrap();
            let report = soon("the end", host.run(run("detaches", r#""hello""#))).await.unwrap();
            let detached = id(result(&report).trim_matches('"'));
            assert_eq!((detached.root().starts_with("x:d"), detached.parent()), (true, None));
            let ended = async || {
                let execution = host.reader().execution(&detached).await.ok()?;
                (execution.state == State::Completed).then_some(execution)
            };
            assert_eq!(eventually("its end", ended).await.result.as_deref(), Some(r#""hello""#));
            let again = soon("the end", host.run(run("detaches", r#""hello""#))).await.unwrap();
            assert_eq!(again.result, report.result);
        });
        assert_eq!(shown.lines(), ["hello\n"]);
    }
}

#[test]
fn an_answer_to_a_child_wakes_the_child_and_then_its_parent() {
    for place in Place::every_dialect() {
        for host in [host, warm] {
            life(async {
                let host = host(&place);
                let name = id(&format!("x{}", host.reader().executions().await.unwrap().len()));
                let handle = host.start(run("asks_child", "null").with_id(name.clone())).await.unwrap();
                let asked = eventually("the question", async || host.reader().promises().await.unwrap().pop()).await;
                assert_eq!(asked.id, name.child(0).unwrap().promise(1));
                host.settle(&asked.id, Ok("42".into())).await.unwrap();
                assert_eq!(result(&soon("the end", handle.wait()).await.unwrap()), "42");
            });
        }
    }
}

#[test]
fn a_restart_takes_up_parent_and_children_where_they_were() {
    for place in Place::every_dialect() {
        life(async {
            let host = host(&place);
            let _lost = host.start(run("waits_for_two", "null")).await.unwrap();
            eventually("two questions", async || (host.reader().promises().await.unwrap().len() == 2).then_some(()))
                .await;
        });
        place.after_a_crash();
        life(async {
            let host = host(&place);
            let handle = host.start(run("waits_for_two", "null")).await.unwrap();
            for number in [0, 1] {
                let asked = id("x").child(number).unwrap().promise(0);
                host.settle(&asked, Ok(number.to_string())).await.unwrap();
            }
            assert_eq!(result(&soon("the end", handle.wait()).await.unwrap()), "[0,1]");
        });
    }
}

#[test]
fn the_deadline_of_a_parent_bounds_those_of_its_children() {
    for place in Place::every_dialect() {
        life(async {
            let clock = ManualClock::at(1_000);
            let host = place.by(clock.clone(), place.host().scope(Scope::Started)).build().unwrap();
            let late = run("asks_child", "null").within(Duration::from_millis(500));
            let handle = host.start(late).await.unwrap();
            let asked = eventually("the question", async || host.reader().promises().await.unwrap().pop()).await;
            assert_eq!(asked.deadline_ms, Some(1_500));
            assert_eq!(host.reader().execution(&asked.id.execution).await.unwrap().deadline_ms, Some(1_500));
            clock.advance_to(1_500);
            let report = soon("the end", handle.wait()).await.unwrap();
            assert_eq!((report.state, failure(&report).0), (State::Failed, FailureKind::TimedOut));
            let child = eventually("the end of the child", async || {
                let child = host.reader().execution(&asked.id.execution).await.unwrap();
                child.state.is_final().then_some(child)
            });
            assert_eq!(child.await.progress.error.unwrap().kind, FailureKind::TimedOut);
            assert_eq!(host.reader().promises().await.unwrap(), []);
        });
    }
}

#[test]
fn a_child_that_takes_too_long_is_rejected_as_timed_out() {
    for place in Place::every_dialect() {
        life(async {
            let clock = Arc::new(TestClock::at(1_000));
            let host = place.by(clock, place.host().scope(Scope::Started)).build().unwrap();
            let args = json!({ "function": "awaits", "args": null, "timeout_ms": 250 });
            let report = soon("the end", host.run(run("calls", &args.to_string()))).await.unwrap();
            assert_eq!(failure(&report).0, FailureKind::Returned(ErrorCode::TimedOut));
        });
    }
}

#[test]
pub(crate) fn a_function_of_another_group_is_called_only_if_the_policy_names_the_group() {
    for place in Place::each() {
        life(async {
            let host = host(&place);
            let adds = |target: &str| {
                let args = json!({ "function": "adds", "args": [1, 2], "target": target }).to_string();
                run("calls", &args).with_id(id(target))
            };
            let report = soon("the end", host.run(adds("day"))).await.unwrap();
            let why = "capability \"call\" of \"day/adds\" (rule \"capability.call\" has groups = [\"other\", \"night\", \"nobody\"], without it)";
            assert_eq!(failure(&report), (FailureKind::Returned(ErrorCode::Denied), why));
            assert_eq!(host.reader().executions().await.unwrap().len(), 1, "nothing is called");
            let steps = host.reader().steps(&id("day")).await.unwrap();
            assert_eq!(steps[0].subject, "day/adds");
            // Its own group needs no name.
            assert_eq!(result(&soon("the end", host.run(adds("default"))).await.unwrap()), "3");
        });
    }
}

#[test]
fn a_child_for_another_group_waits_for_a_worker_of_that_group() {
    for place in Place::every_dialect() {
        let args = json!({ "function": "adds", "args": [1, 2], "target": "night" }).to_string();
        life(async {
            let host = host(&place);
            let _waits = host.start(run("calls", &args)).await.unwrap();
            let child = id("x").child(0).unwrap();
            let offered =
                async || host.reader().execution(&child).await.ok().filter(|child| child.state == State::Pending);
            eventually("the offer", offered).await;
        });
        life(async {
            let night = place.host().scope(Scope::Everything).group("night").build().unwrap();
            let child = id("x").child(0).unwrap();
            let ended =
                async || night.reader().execution(&child).await.ok().filter(|child| child.state == State::Completed);
            eventually("the end of the child", ended).await;
        });
        life(async {
            let host = host(&place);
            let report = soon("the end", host.run(run("calls", &args))).await.unwrap();
            assert_eq!(result(&report), "3");
        });
    }
}

#[test]
fn canceling_an_execution_cancels_everything_that_it_called() {
    for place in Place::every_dialect() {
        for host in [host, warm] {
            life(async {
                let host = host(&place);
                let name = id(&format!("x{}", host.reader().executions().await.unwrap().len()));
                let handle = host.start(run("waits_for_two", "null").with_id(name.clone())).await.unwrap();
                eventually("two questions", async || {
                    (host.reader().promises().await.unwrap().len() == 2).then_some(())
                })
                .await;
                assert_eq!(host.cancel(&name).await.unwrap(), Cancellation::Canceled);
                assert_eq!(soon("the end", handle.wait()).await.unwrap().state, State::Canceled);
                let ended = host.reader().executions().await.unwrap();
                let tree = ended.iter().filter(|execution| execution.id.root() == name.as_str());
                let states: Vec<_> = tree.map(|execution| execution.state).collect();
                assert_eq!(states, [State::Canceled; 3]);
                assert_eq!(host.reader().promises().await.unwrap(), []);
                assert_eq!(host.cancel(&name).await.unwrap(), Cancellation::HadEnded(State::Canceled));
            });
        }
    }
}

#[test]
fn a_canceled_guest_that_asked_for_it_cleans_up_with_its_instance_and_without() {
    for keep_warm in [60, 0] {
        for place in Place::every_dialect() {
            let folder = tempfile::tempdir().unwrap();
            let shown = Shown::default();
            life(async {
                let host = place.host().scope(Scope::Started).keep_warm(Duration::from_secs(keep_warm));
                let host = host.on_output(shown.sink()).build().unwrap();
                let grant =
                    format!("[[files]]\nid = \"f\"\nguest = \"/f\"\nhost = {:?}\naccess = \"write\"\n", folder.path());
                let names = "[[capability]]\nname = \"print\"\n[[capability]]\nname = \"promise\"\n";
                let policy = crate::support::parse(&format!("[clock]\nmode = \"recorded\"\n{names}{grant}"));
                let handle = host.start(Run { policy, ..run("cleans_up", r#""/f/tidy""#) }).await.unwrap();
                eventually("the promise", async || host.reader().promises().await.unwrap().pop()).await;
                if keep_warm == 0 {
                    let cold = async || {
                        (host.reader().execution(&id("x")).await.unwrap().state == State::Suspended).then_some(())
                    };
                    eventually("the suspension", cold).await;
                }
                assert_eq!(soon("the cancellation", host.cancel(&id("x"))).await.unwrap(), Cancellation::Canceled);
                assert_eq!(soon("the end", handle.wait()).await.unwrap().state, State::Canceled);
            });
            let tidy = std::fs::read_to_string(folder.path().join("tidy")).ok();
            assert_eq!((tidy.as_deref(), keep_warm), (Some("cleaned"), keep_warm), "{:?}", shown.lines());
            assert_eq!(shown.lines(), ["cleaning up\n", "canceled\n"]);
        }
    }
}

#[test]
fn a_guest_that_does_not_stop_cleaning_up_is_ended() {
    for place in Place::every_dialect() {
        life(async {
            let host = warm(&place);
            let handle = host.start(run("cleans_up_forever", "null")).await.unwrap();
            eventually("the promise", async || host.reader().promises().await.unwrap().pop()).await;
            assert_eq!(soon("the cancellation", host.cancel(&id("x"))).await.unwrap(), Cancellation::Canceled);
            assert_eq!(soon("the end", handle.wait()).await.unwrap().state, State::Canceled);
        });
    }
}

#[test]
fn a_trap_halts_the_child_with_its_cause_and_leaves_the_parent_waiting() {
    for place in Place::every_dialect() {
        life(async {
            let host = host(&place);
            let _waits = host.start(call("traps", json!(null))).await.unwrap();
            let child = id("x").child(0).unwrap();
            let halted =
                async || host.reader().execution(&child).await.ok().filter(|child| child.state == State::Halted);
            let halted = eventually("the trap", halted).await;
            let failure = halted.progress.error.unwrap();
            assert_eq!(failure.kind, FailureKind::Trap);
            assert!(failure.message.starts_with("as told, at src/children.rs:"), "{}", failure.message);
            assert!(!host.reader().execution(&id("x")).await.unwrap().state.is_final());
        });
    }
}

#[test]
fn a_retry_waits_longer_each_time_and_gives_up_as_told() {
    for place in Place::every_dialect() {
        life(async {
            let clock = Arc::new(TestClock::at(1_000));
            let host = place.by(clock, place.host()).build().unwrap();
            let tries = |attempts: u32, fail_times: u32, code: &str| {
                json!({ "attempts": attempts, "fail_times": fail_times, "code": code }).to_string()
            };
            let report = host.run(run("retries", &tries(5, 3, "failed"))).await.unwrap();
            assert_eq!(result(&report), "[4,700]");
            let report = host.run(run("retries", &tries(3, 9, "failed")).with_id(id("y"))).await.unwrap();
            assert_eq!(failure(&report), (FailureKind::Returned(ErrorCode::Failed), "after 3 attempts: not yet"));
            let report = host.run(run("retries", &tries(9, 9, "denied")).with_id(id("z"))).await.unwrap();
            assert_eq!(failure(&report), (FailureKind::Returned(ErrorCode::Denied), "after 1 attempt: not yet"));
            let slept = |name: &str| {
                let (host, run) = (host.clone(), run("retries_jittered", "null").with_id(id(name)));
                async move { result(&host.run(run).await.unwrap()).parse::<u64>().unwrap() }
            };
            let slept = [slept("a").await, slept("b").await, slept("c").await];
            assert!(slept.iter().all(|ms| (350..=1_050).contains(ms)), "{slept:?}");
            assert!(slept[0] != slept[1] || slept[1] != slept[2], "drawn from the seed of each: {slept:?}");
        });
    }
}

#[test]
fn a_child_that_halts_fails_if_its_caller_wants_that() {
    for place in Place::every_dialect() {
        for host in [host, warm] {
            life(async {
                let host = host(&place);
                let name = id(&format!("x{}", host.reader().executions().await.unwrap().len()));
                let wish = json!({ "function": "traps", "args": null, "fail_on_halt": true }).to_string();
                let report = soon("the end", host.run(run("calls", &wish).with_id(name.clone()))).await.unwrap();
                let (kind, message) = failure(&report);
                assert_eq!(kind, FailureKind::Returned(ErrorCode::Failed));
                let expected = format!("{name}.0: it halted: as told, at src/children.rs:");
                assert!(message.starts_with(&expected), "{message}");
                let child = host.reader().execution(&name.child(0).unwrap()).await.unwrap();
                let error = child.progress.error.unwrap();
                assert_eq!((child.state, error.kind), (State::Failed, FailureKind::Trap));
                assert!(error.message.starts_with("as told, at "), "{}", error.message);
                let end = host.replay(&name, None, None).await.unwrap().end;
                assert!(matches!(end, ReplayEnd::Repeated), "{end:?}");
            });
        }
    }
}

#[test]
fn a_child_that_has_halted_fails_once_its_caller_wants_that() {
    for place in Place::every_dialect() {
        life(async {
            let host = host(&place);
            let handle = host.start(run("wishes_late", "null")).await.unwrap();
            eventually("the halt", async || (host.halted_so_far(&id("x")) == [id("x.0")]).then_some(())).await;
            assert_eq!(host.reader().execution(&id("x.0")).await.unwrap().state, State::Halted);
            host.settle(&id("x").promise(1), Ok("null".into())).await.unwrap();
            let report = soon("the end", handle.wait()).await.unwrap();
            assert!(failure(&report).1.starts_with("x.0: it halted: as told, at "), "{report:?}");
            assert!(host.halted_so_far(&id("x")).is_empty());
        });
    }
}

#[test]
fn what_is_no_call_cannot_fail_on_a_halt() {
    for place in Place::every_dialect() {
        let report = crate::support::outcome(place.host(), run("fails_a_timer_on_halt", "null"));
        assert!(result(&report).contains("0 is no call of this execution"), "{report:?}");
    }
}

#[test]
fn why_a_child_halted_is_known_whatever_ends_it() {
    for place in Place::every_dialect() {
        life(async {
            let clock = ManualClock::at(1_000);
            let host = place.by(clock.clone(), place.host().scope(Scope::Started)).build().unwrap();
            for (name, ends) in [("a", "canceled"), ("b", "timed out")] {
                let name = id(name);
                let caller = call("traps", json!(null)).with_id(name.clone()).within(Duration::from_secs(3_600));
                let handle = host.start(caller).await.unwrap();
                let below = async || host.reader().halted_below(&name).await.unwrap().pop();
                let child = eventually("the halt", below).await;
                assert_eq!((child.id.as_str(), child.state), (format!("{name}.0").as_str(), State::Halted));
                match ends {
                    "canceled" => drop(host.cancel(&name).await.unwrap()),
                    _ => clock.advance_to(4_000_000),
                }
                let report = soon("the end", handle.wait()).await.unwrap();
                let child =
                    eventually("the end of the child", async || below().await.filter(|child| child.state.is_final()))
                        .await;
                let error = child.progress.error.unwrap();
                assert!(error.message.contains("as told, at src/children.rs:"), "{error:?}");
                let states = if ends == "canceled" { [State::Canceled; 2] } else { [State::Failed; 2] };
                assert_eq!([report.state, child.state], states);
            }
        });
    }
}
