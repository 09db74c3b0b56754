//! Promises of every kind: settled by the clock, by the guest, from outside; delivered in order.

use crate::support::{
    ManualClock, Place, Shown, error, eventually, failure, id, life, outcome, parse, result, run, soon,
};
use everstep::clock::TestClock;
use everstep::store::{FailureKind, State};
use everstep::{Cancellation, Error, ErrorCode, Everstep, Handle, Patience, PromiseId};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn clock() -> Arc<TestClock> {
    Arc::new(TestClock::at(1_000_000))
}

/// The file that a write to `file` fills before it takes that name.
pub(crate) const TEMPORARY_OF_FILE: &str = ".everstep-39aac93919e644bc.tmp";

/// The open promises of the execution `x`, by step.
pub(crate) async fn open(host: &Everstep) -> Vec<PromiseId> {
    host.reader().promises().await.unwrap().into_iter().map(|promise| promise.id).collect()
}

pub(crate) async fn resume(host: &Everstep, patience: Patience) -> Handle {
    host.resume(&id("x"), patience).await.unwrap()
}

#[test]
fn a_timer_takes_its_time_by_the_clock() {
    for place in Place::every_dialect() {
        for ms in ["86400000", "0"] {
            let place = place.another();
            assert_eq!(result(&outcome(place.by(clock(), place.host()), run("sleeps", ms))), ms);
        }
    }
}

#[test]
fn a_timer_ends_while_no_host_runs() {
    for place in Place::every_dialect() {
        let clock = ManualClock::at(1_000);
        let sleeping = outcome(place.by(clock.clone(), place.host()), run("sleeps", "500").without_waiting());
        assert_eq!(sleeping.state, State::Suspended);
        clock.advance_to(1_499);
        let still = outcome(place.by(clock.clone(), place.host()), run("sleeps", "500").without_waiting());
        assert_eq!(still.state, State::Suspended);
        clock.advance_to(7_000);
        let done = outcome(place.by(clock, place.host()), run("sleeps", "500").without_waiting());
        assert_eq!(result(&done), "6000");
    }
}

#[test]
fn of_two_timers_that_ended_while_no_host_ran_the_earlier_wins() {
    for place in Place::every_dialect() {
        let clock = ManualClock::at(1_000);
        let suspended = outcome(place.by(clock.clone(), place.host()), run("races_timers", "null").without_waiting());
        assert_eq!(suspended.state, State::Suspended);
        clock.advance_to(9_000);
        let done = outcome(place.by(clock, place.host()), run("races_timers", "null"));
        assert_eq!(result(&done), r#""sooner""#);
        let another = place.another();
        let undisturbed = outcome(another.by(self::clock(), another.host()), run("races_timers", "null"));
        assert_eq!(result(&undisturbed), r#""sooner""#);
    }
}

#[test]
fn an_answer_before_the_deadline_is_delivered_although_the_deadline_has_passed_since() {
    for place in Place::every_dialect() {
        let clock = ManualClock::at(1_000);
        life(async {
            let host = place.by(clock.clone(), place.host()).build().unwrap();
            let suspended = host.run(run("awaits_within", "100").without_waiting()).await.unwrap();
            assert_eq!(suspended.state, State::Suspended);
            clock.advance_to(1_099);
            host.settle(&open(&host).await[0], Ok(r#""in time""#.into())).await.unwrap();
        });
        clock.advance_to(5_000);
        let done = outcome(place.by(clock, place.host()), run("awaits_within", "100"));
        assert_eq!(result(&done), r#""in time""#);
    }
}

#[test]
fn a_timer_that_ended_before_an_answer_came_wins_although_no_host_ran() {
    for place in Place::every_dialect() {
        let clock = ManualClock::at(1_000);
        life(async {
            let host = place.by(clock.clone(), place.host()).build().unwrap();
            host.run(run("answer_or_timer", "100").without_waiting()).await.unwrap();
            clock.advance_to(1_150);
            host.settle(&open(&host).await[0], Ok("1".into())).await.unwrap();
        });
        clock.advance_to(5_000);
        assert_eq!(result(&outcome(place.by(clock, place.host()), run("answer_or_timer", "100"))), r#""timer""#);
    }
}

#[test]
fn an_answer_after_the_deadline_is_refused_and_changes_nothing() {
    for place in Place::every_dialect() {
        let clock = ManualClock::at(1_000);
        life(async {
            let host = place.by(clock.clone(), place.host()).build().unwrap();
            host.run(run("awaits_within", "100").without_waiting()).await.unwrap();
            let asked = open(&host).await.remove(0);
            let before = host.reader().journal(&id("x")).await.unwrap();
            // Whether the host has noticed by then or not.
            clock.advance_to(1_100);
            let late = host.settle(&asked, Ok("1".into())).await.unwrap_err();
            assert_eq!(late.to_string(), "the deadline of x.0 has passed; nothing was changed");
            assert!(host.reader().journal(&id("x")).await.unwrap() == before);
            let done = resume(&host, Patience::Forever).await.wait().await.unwrap();
            assert_eq!(failure(&done).0, FailureKind::Returned(ErrorCode::TimedOut));
        });
    }
}

#[test]
fn a_promise_with_a_deadline_is_rejected_as_timed_out() {
    for place in Place::every_dialect() {
        let report = outcome(place.by(clock(), place.host()), run("awaits_within", "50"));
        let timed_out =
            (FailureKind::Returned(ErrorCode::TimedOut), "the deadline passed before anybody settled the promise");
        assert_eq!(failure(&report), timed_out);
        life(async { assert_eq!(open(&place.host().build().unwrap()).await, []) });
    }
}

#[test]
fn a_policy_bounds_how_long_a_promise_may_wait() {
    for place in Place::every_dialect() {
        let bounded = parse("[[capability]]\nname = \"promise\"\ntimeout = \"2s\"\n");
        let clock = clock();
        let run = everstep::Run { policy: bounded, ..run("awaits", "null") };
        let report = outcome(place.by(clock.clone(), place.host()), run);
        assert_eq!(failure(&report).0, FailureKind::Returned(ErrorCode::TimedOut));
        assert_eq!(everstep::clock::Clock::now_ms(&*clock), 1_002_000);
    }
}

#[test]
fn an_answer_given_while_the_guest_waits_resumes_it() {
    for place in Place::every_dialect() {
        life(async {
            let host = place.host().build().unwrap();
            let handle = host.start(run("asks", "null")).await.unwrap();
            let asked = eventually("the question", async || host.reader().promises().await.unwrap().pop()).await;
            assert_eq!((asked.kind.name(), asked.subject.as_str()), ("input", "shall we?"));
            host.settle(&asked.id, Ok(r#"{"yes":true}"#.into())).await.unwrap();
            assert_eq!(open(&host).await, []);
            assert_eq!(result(&soon("the end", handle.wait()).await.unwrap()), r#"{"yes":true}"#);
        });
    }
}

#[test]
fn an_answer_given_while_nobody_runs_the_execution_is_there_when_it_resumes() {
    for place in Place::every_dialect() {
        let shown = Shown::default();
        let host = || place.host().on_output(shown.sink());
        assert_eq!(outcome(host(), run("asks", "null").without_waiting()).state, State::Suspended);
        life(async { host().build().unwrap().settle(&id("x").promise(1), Ok("7".into())).await.unwrap() });
        let done = outcome(host(), run("asks", "null"));
        assert_eq!((result(&done), done.replayed), ("7", 2));
        assert_eq!(shown.lines(), ["asking\n", "answered\n"]);
    }
}

#[test]
fn a_rejection_from_outside_is_an_error_of_the_guest() {
    for place in Place::every_dialect() {
        life(async {
            let host = place.host().build().unwrap();
            host.run(run("awaits", "null").without_waiting()).await.unwrap();
            host.settle(&id("x").promise(0), Err(error(ErrorCode::Denied, "not today"))).await.unwrap();
            let done = resume(&host, Patience::None).await.wait().await.unwrap();
            assert_eq!(failure(&done), (FailureKind::Returned(ErrorCode::Denied), "not today"));
        });
    }
}

/// At rest and while it runs, the same rules hold for whoever settles from outside.
async fn check_rules(host: &Everstep, promise: &PromiseId) {
    let journal = async || host.reader().journal(&id("x")).await.unwrap();
    let before = journal().await;
    let settle = |id: PromiseId, outcome: &str| {
        let (host, outcome) = (host.clone(), outcome.to_owned());
        async move { host.settle(&id, Ok(outcome)).await }
    };
    let unknown = settle(id("x").promise(77), "1").await.unwrap_err();
    assert_eq!(unknown.to_string(), "nobody waits for x.77: its execution has no such promise; nothing was changed");
    let nobody = settle(id("nobody").promise(0), "1").await.unwrap_err();
    assert!(matches!(nobody, Error::UnknownExecution(_)), "{nobody}");
    let no_json = settle(promise.clone(), "{").await.unwrap_err();
    assert!(no_json.to_string().starts_with(&format!("{promise} was not settled: not JSON")), "{no_json}");
    let too_large = settle(promise.clone(), &format!("\"{}\"", "x".repeat(9 << 20))).await.unwrap_err();
    assert!(matches!(too_large, Error::InvalidOutcome { .. }), "{too_large}");
    assert!(journal().await == before, "a refused answer was written down");

    settle(promise.clone(), r#""first""#).await.unwrap();
    settle(promise.clone(), r#""first""#).await.unwrap();
    let other = settle(promise.clone(), r#""second""#).await.unwrap_err();
    assert_eq!(other.to_string(), format!("{promise} is settled already, with another outcome; nothing was changed"));
    let rejected = host.settle(promise, Err(error(ErrorCode::Failed, "no"))).await.unwrap_err();
    assert!(matches!(rejected, Error::AlreadySettled(_)), "{rejected}");
    assert!(journal().await == before, "an answer is written down when it is delivered");
}

#[test]
fn at_rest_the_first_answer_wins_and_all_others_change_nothing() {
    for place in Place::every_dialect() {
        life(async {
            let host = place.host().build().unwrap();
            host.run(run("asks_twice", "null").without_waiting()).await.unwrap();
            check_rules(&host, &id("x").promise(0)).await;
            host.settle(&id("x").promise(1), Ok("2".into())).await.unwrap();
            let done = resume(&host, Patience::None).await.wait().await.unwrap();
            assert_eq!(result(&done), r#"["first",2]"#);
        });
    }
}

#[test]
fn in_a_run_the_first_answer_wins_and_all_others_change_nothing() {
    for place in Place::every_dialect() {
        life(async {
            let host = place.host().build().unwrap();
            let handle = host.start(run("asks_twice", "null")).await.unwrap();
            eventually("two questions", async || (open(&host).await.len() == 2).then_some(())).await;
            check_rules_while_waiting(&host).await;
            host.settle(&id("x").promise(1), Ok("2".into())).await.unwrap();
            assert_eq!(result(&soon("the end", handle.wait()).await.unwrap()), r#"["first",2]"#);
        });
    }
}

/// The guest takes a delivery in between, which is written down a moment later: only refusals leave the journal as it is.
async fn check_rules_while_waiting(host: &Everstep) {
    let before = host.reader().journal(&id("x")).await.unwrap();
    let unknown = host.settle(&id("x").promise(77), Ok("1".into())).await.unwrap_err();
    assert!(matches!(unknown, Error::UnknownPromise(_)), "{unknown}");
    let no_json = host.settle(&id("x").promise(0), Ok("{".into())).await.unwrap_err();
    assert!(matches!(no_json, Error::InvalidOutcome { .. }), "{no_json}");
    assert!(host.reader().journal(&id("x")).await.unwrap() == before, "a refused answer was written down");
    let first = || Ok(r#""first""#.to_owned());
    host.settle(&id("x").promise(0), first()).await.unwrap();
    host.settle(&id("x").promise(0), first()).await.unwrap();
    let other = host.settle(&id("x").promise(0), Ok("2".into())).await.unwrap_err();
    assert!(matches!(other, Error::AlreadySettled(_)), "{other}");
}

#[test]
fn a_timer_is_settled_by_the_clock_alone() {
    for place in Place::every_dialect() {
        life(async {
            let host = place.by(ManualClock::at(5), place.host()).build().unwrap();
            host.run(run("sleeps", "1000").without_waiting()).await.unwrap();
            let at_rest = host.settle(&id("x").promise(1), Ok("null".into())).await.unwrap_err();
            assert!(at_rest.to_string().starts_with("x.1 is a timer, "), "{at_rest}");
            let _handle = resume(&host, Patience::Forever).await;
            let running = host.settle(&id("x").promise(1), Ok("null".into())).await.unwrap_err();
            assert!(matches!(running, Error::NotSettledFromOutside(_)), "{running}");
        });
    }
}

#[test]
fn an_execution_that_has_ended_takes_no_answers() {
    for place in Place::every_dialect() {
        life(async {
            let host = place.host().build().unwrap();
            host.run(run("asks", "null").without_waiting()).await.unwrap();
            host.settle(&id("x").promise(1), Ok("1".into())).await.unwrap();
            resume(&host, Patience::None).await.wait().await.unwrap();
            let before = host.reader().journal(&id("x")).await.unwrap();
            let late = host.settle(&id("x").promise(1), Ok("1".into())).await.unwrap_err();
            assert_eq!(late.to_string(), "execution x has ended (completed); nothing was changed");
            assert_eq!(host.cancel(&id("x")).await.unwrap(), Cancellation::HadEnded(State::Completed));
            assert!(host.reader().journal(&id("x")).await.unwrap() == before);
        });
    }
}

#[test]
fn a_guest_settles_promises_of_its_own_and_nobody_elses() {
    for place in Place::every_dialect() {
        let report = outcome(place.host(), run("settles_its_own", "null"));
        let again =
            json!({"Err": {"code": "invalid", "message": "0 is no open promise that this execution made with create"}});
        let rejected = json!({"Err": {"code": "failed", "message": "not wanted"}});
        let input = "6 is no open promise that this execution made with create";
        let human = json!({"Err": {"code": "invalid", "message": input}});
        assert_eq!(json(result(&report)), json!([{"Ok": 1}, again, rejected, human]));
    }
}

#[test]
fn a_guest_gives_up_on_promises_of_every_kind() {
    for place in Place::every_dialect() {
        let report = outcome(place.by(clock(), place.host()), run("cancels", "null"));
        let canceled = |why: &str| json!({"Err": {"code": "canceled", "message": why}});
        let (own, stored) = (canceled("the guest gave the promise up"), canceled("the promise was canceled"));
        assert_eq!(json(result(&report)), json!([own, stored, stored, {"Ok": "kept"}]));
        life(async { assert_eq!(open(&place.host().build().unwrap()).await, []) });
    }
}

#[test]
fn a_blocking_wait_returns_promises_in_the_order_in_which_they_settled() {
    for place in Place::every_dialect() {
        let report = outcome(place.by(clock(), place.host()), run("waits_for_any", "null"));
        assert_eq!(result(&report), "[[1],[2],[0],[0,1,2]]");
    }
}

#[test]
fn a_wait_for_nothing_or_for_the_unknown_is_an_error() {
    for place in Place::every_dialect() {
        let report = outcome(place.by(clock(), place.host()), run("waits_in_vain", "null"));
        let lines = json(result(&report));
        assert!(lines[0].as_str().unwrap().contains("wait-any needs at least one promise"), "{lines}");
        assert!(lines[1].as_str().unwrap().contains("99 is no promise of this execution"), "{lines}");
        assert_eq!(lines[2], "false", "polling must not show what was not delivered");
    }
}

#[test]
fn a_guest_sees_the_outcome_of_what_was_delivered_and_of_nothing_else() {
    for place in Place::every_dialect() {
        life(async {
            let host = place.host().build().unwrap();
            host.run(run("waits_in_another_order", "null").without_waiting()).await.unwrap();
            for number in [0, 1] {
                host.settle(&id("x").promise(number), Ok("1".into())).await.unwrap();
            }
        });
        let done = outcome(place.host(), run("waits_in_another_order", "null"));
        assert_eq!(result(&done), r#"["false true","true true"]"#);
    }
}

#[test]
fn an_answer_given_while_the_guest_computes_is_kept() {
    for place in Place::every_dialect() {
        life(async {
            let host = place.host().build().unwrap();
            let _spins = host.start(run("asks_and_spins", "1000000000000")).await.unwrap();
            eventually("the question", async || open(&host).await.pop()).await;
            host.settle(&id("x").promise(0), Ok("1".into())).await.unwrap();
        });
        life(async {
            let host = place.host().build().unwrap();
            let other = host.settle(&id("x").promise(0), Ok("2".into())).await.unwrap_err();
            assert!(matches!(other, Error::AlreadySettled(_)), "{other}");
        });
    }
}

/// Answers that meet an execution on its way to rest must not be lost, and must not upset the store.
#[test]
fn answers_at_the_moment_of_suspension_are_all_kept() {
    for place in Place::every_dialect() {
        life(async {
            let host = place.host().build().unwrap();
            for number in 0..40 {
                let name = id(&format!("x{number}"));
                let suspends =
                    host.start(run("asks_twice", "null").with_id(name.clone()).without_waiting()).await.unwrap();
                let answers: Vec<_> = (0..2)
                    .map(|step| {
                        let (host, promise) = (host.clone(), name.promise(step));
                        tokio::spawn(async move {
                            loop {
                                match host.settle(&promise, Ok(step.to_string())).await {
                                    Err(Error::UnknownPromise(_)) => tokio::task::yield_now().await,
                                    other => return other,
                                }
                            }
                        })
                    })
                    .collect();
                suspends.wait().await.unwrap();
                for answer in answers {
                    soon("the answer", answer).await.unwrap().unwrap();
                }
                let done = host.resume(&name, Patience::None).await.unwrap().wait().await.unwrap();
                assert_eq!(result(&done), "[0,1]", "{name}");
            }
        });
    }
}

/// A server drops what it does for a client that has gone away.
#[test]
fn a_caller_who_gives_up_in_the_middle_of_an_answer_upsets_nothing() {
    for place in Place::every_dialect() {
        life(async {
            let host = place.host().build().unwrap();
            for number in 0..20 {
                let name = id(&format!("x{number}"));
                host.run(run("asks_twice", "null").with_id(name.clone()).without_waiting()).await.unwrap();
                let promise = name.promise(0);
                let gone = tokio::time::timeout(Duration::ZERO, host.settle(&promise, Ok("1".into())));
                drop(gone.await);
                host.settle(&name.promise(0), Ok("1".into())).await.unwrap();
                host.settle(&name.promise(1), Ok("2".into())).await.unwrap();
                let done = host.resume(&name, Patience::None).await.unwrap().wait().await.unwrap();
                assert_eq!(result(&done), "[1,2]");
            }
        });
    }
}

#[test]
fn an_answer_that_the_guest_could_not_read_leaves_the_promise_pending() {
    for place in Place::every_dialect() {
        life(async {
            let host = place.host().build().unwrap();
            let promise = id("x").promise(0);
            host.run(run("awaits_wide", "null").without_waiting()).await.unwrap();
            let answer = |small: &str, wide: &str| {
                let id = "67e55044-10b1-426f-9247-bb680e5fe0c8";
                format!(r#"{{"small": {small}, "wide": {wide}, "real": 1, "letter": "e", "id": "{id}"}}"#)
            };
            for refused in [
                answer("1.0", "1"),
                answer("1e0", "1"),
                answer("-0", "1"),
                answer("256", "1"),
                answer("1", "18446744073709551616"),
                answer("1", "1e3"),
                answer("1", "1").replace(r#""e""#, r#""\ud83d""#),
                answer("1", "1").replace("67e5", "67g5"),
                answer("1", "1").replace(r#""small""#, r#""wide""#),
                answer("1", "1").replace("real\": 1", "real\": 1e39"),
                "1e400".to_owned(),
            ] {
                let error = host.settle(&promise, Ok(refused.clone())).await.unwrap_err();
                assert!(error.to_string().ends_with("; it stays pending"), "{refused}: {error}");
            }
            let fits = answer("255", "18446744073709551615");
            host.settle(&promise, Ok(fits)).await.unwrap();
            // It is settled, so nothing stays pending, whatever comes.
            for late in ["{", "1e400", "7", &"[".repeat(200), &answer("1.0", "1")] {
                let error = host.settle(&promise, Ok(late.to_owned())).await.unwrap_err();
                assert!(matches!(error, Error::AlreadySettled(_)), "{late}: {error}");
            }
            let done = resume(&host, Patience::None).await.wait().await.unwrap();
            assert_eq!(result(&done), "[255,18446744073709551615]");
        });
    }
}

#[test]
fn without_a_schema_an_answer_is_one_that_everybody_reads_alike() {
    for place in Place::every_dialect() {
        life(async {
            let host = place.host().build().unwrap();
            host.run(run("awaits", "null").without_waiting()).await.unwrap();
            for refused in ["1e400", r#""\ud83d""#, r#"{"a": 1, "a": 2}"#] {
                let error = host.settle(&id("x").promise(0), Ok(refused.to_owned())).await.unwrap_err();
                assert!(matches!(error, Error::InvalidOutcome { .. }), "{refused}: {error}");
            }
        });
    }
}
