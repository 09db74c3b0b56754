//! Requests to capabilities, and output in their company.

use crate::support::{
    Calls, ManualClock, Place, Shown, error, eventually, failure, id, life, outcome, parse, result, run, soon,
};
use everstep::capability::{Idempotent, Request};
use everstep::clock::TestClock;
use everstep::output::Content;
use everstep::store::{FailureKind, State};
use everstep::{Cancellation, Error, ErrorCode, Patience, Run};
use futures::FutureExt;
use futures::future::join_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Barrier, Notify};

fn asking(capability: &str, more: &str) -> Run {
    run("requests", &format!(r#"{{"capability":"{capability}","message":{{"n":1}}{more}}}"#))
}

#[test]
fn a_capability_answers_under_the_id_of_the_promise() {
    for place in Place::each() {
        let calls = Calls::default();
        let report = outcome(place.host().capability("echo", calls.echo()), asking("echo", ""));
        assert_eq!(result(&report), r#"{"n":1}"#);
        assert_eq!(calls.by_step(), [(0, 1)]);
    }
}

#[test]
fn an_error_of_a_capability_reaches_the_guest_as_it_is() {
    for place in Place::each() {
        let fails = |_: Request| async { Err(error(ErrorCode::NotFound, "no such row")) };
        let report = outcome(place.host().capability("echo", fails), asking("echo", ""));
        assert_eq!(failure(&report), (FailureKind::Returned(ErrorCode::NotFound), "no such row"));
    }
}

#[test]
fn an_answer_that_is_no_json_or_too_large_is_an_error() {
    for place in Place::each() {
        let no_json = |_: Request| async { Ok("oops".to_owned()) };
        let report = outcome(place.another().host().capability("echo", no_json), asking("echo", ""));
        assert!(failure(&report).1.starts_with("the response is not JSON: "), "{report:?}");
        let large = |_: Request| async { Ok(format!("\"{}\"", "x".repeat(9 << 20))) };
        let report = outcome(place.another().host().capability("echo", large), asking("echo", ""));
        assert_eq!(failure(&report).0, FailureKind::Returned(ErrorCode::LimitExceeded));
    }
}

#[test]
fn a_capability_that_panics_has_failed() {
    for place in Place::each() {
        let panics = |_: Request| async { panic!("a bug of the embedder") };
        let report = outcome(place.host().capability("echo", panics), asking("echo", ""));
        assert_eq!(failure(&report), (FailureKind::Returned(ErrorCode::Failed), "the capability panicked"));
    }
}

#[test]
fn what_the_policy_does_not_name_is_denied_and_never_asked() {
    for place in Place::each() {
        let calls = Calls::default();
        let report = outcome(place.host().capability("other", calls.echo()), asking("other", ""));
        assert_eq!(failure(&report).0, FailureKind::Returned(ErrorCode::Denied));
        assert_eq!(calls.total(), 0);
    }
}

#[test]
fn a_guest_knows_its_dependencies() {
    for place in Place::each() {
        let names = "[[capability]]\nname = \"print\"\n[[capability]]\nname = \"b\"\n[[capability]]\nname = \"a\"\n";
        let run = Run { policy: parse(names), ..run("depends", "null") };
        let report = outcome(place.host().capability("b", Calls::default().echo()), run);
        assert_eq!(result(&report), r#"[["a",false],["b",true],["print",true]]"#);
    }
}

#[test]
fn a_request_nobody_serves_here_waits_for_a_client() {
    for place in Place::each() {
        assert_eq!(outcome(place.host(), asking("client", "").without_waiting()).state, State::Suspended);
        life(async {
            let host = place.host().build().unwrap();
            let open = host.reader().promises().await.unwrap();
            assert_eq!((open.len(), open[0].kind.name(), open[0].subject.as_str()), (1, "request", "client"));
            assert_eq!(open[0].data.as_deref(), Some(r#"{"n":1}"#));
            host.settle(&open[0].id, Ok(r#""served""#.into())).await.unwrap();
            let done = host.resume(&id("x"), Patience::None).await.unwrap().wait().await.unwrap();
            assert_eq!(result(&done), r#""served""#);
            assert!(host.reader().promises().await.unwrap().is_empty());
        });
    }
}

#[test]
fn a_request_is_rejected_when_its_time_is_over() {
    for place in Place::each() {
        let clock = Arc::new(TestClock::at(1_000));
        let calls = Calls::default();
        let host = place.by(clock, place.host()).capability("never", calls.never());
        let report = outcome(host, asking("never", r#","timeout_ms":250"#));
        assert_eq!(failure(&report).0, FailureKind::Returned(ErrorCode::TimedOut));
    }
}

#[test]
fn a_response_that_comes_too_late_is_reported_and_changes_nothing() {
    for place in Place::each() {
        life(async {
            let clock = ManualClock::at(1_000);
            let gate = Arc::new(Notify::new());
            let opened = Arc::clone(&gate);
            let echo = move |request: Request| {
                let gate = Arc::clone(&gate);
                async move {
                    gate.notified().await;
                    Ok(request.message)
                }
            };
            let host = place.by(clock.clone(), place.host()).capability("echo", echo).build().unwrap();
            let handle = host.start(run("asks_and_goes_on", "100")).await.unwrap();
            eventually("the request for a client", async || host.reader().promises().await.unwrap().pop()).await;
            clock.advance_to(1_100);
            let timed_out = async || host.reader().steps(&id("x")).await.unwrap().len() == 2;
            eventually("the second request", async || timed_out().await.then_some(())).await;
            let before = host.reader().journal(&id("x")).await.unwrap();
            let late = host.settle(&id("x").promise(0), Ok("1".into())).await.unwrap_err();
            assert_eq!(late.to_string(), "the deadline of x.0 has passed; nothing was changed");
            let unknown = host.settle(&id("x").promise(9), Ok("1".into())).await.unwrap_err();
            assert!(matches!(unknown, Error::UnknownPromise(_)), "{unknown}");
            assert!(host.reader().journal(&id("x")).await.unwrap() == before);
            opened.notify_one();
            let done = soon("the end", handle.wait()).await.unwrap();
            assert_eq!(result(&done), r#"["timed-out",2]"#);
            let ended = host.settle(&id("x").promise(0), Ok("1".into())).await.unwrap_err();
            assert!(matches!(ended, Error::Ended { .. }), "{ended}");
        });
    }
}

#[test]
fn a_function_may_return_before_its_requests_are_answered() {
    for place in Place::each() {
        let calls = Calls::default();
        let report = outcome(place.host().capability("never", calls.never()), run("does_not_wait", "null"));
        assert_eq!(result(&report), r#""x.0""#);
        assert_eq!(calls.total(), 0, "a request begins with the next wait of its guest");
        life(async { assert!(place.host().build().unwrap().reader().promises().await.unwrap().is_empty()) });
    }
}

#[test]
fn a_request_begins_while_its_guest_computes() {
    for place in Place::each() {
        life(async {
            let calls = Calls::default();
            let host = place.host().capability("echo", calls.echo()).build().unwrap();
            let _spins = host.start(run("requests_and_spins", "1000000000000")).await.unwrap();
            eventually("the request", async || (calls.total() == 1).then_some(())).await;
            assert_eq!(host.cancel(&id("x")).await.unwrap(), Cancellation::Canceled);
        });
    }
}

#[test]
fn executions_that_one_task_waits_for_go_on_side_by_side() {
    for place in Place::each() {
        life(async {
            let meeting = Arc::new(Barrier::new(3));
            let meets = move |request: Request| {
                let meeting = Arc::clone(&meeting);
                async move {
                    meeting.wait().await;
                    Ok(request.message)
                }
            };
            let host = place.host().capability("echo", meets).build().unwrap();
            let each = ["x", "y", "z"].map(|name| host.run(asking("echo", "").with_id(id(name))));
            for report in join_all(each).await {
                assert_eq!(result(&report.unwrap()), r#"{"n":1}"#);
            }
        });
    }
}

#[test]
fn an_execution_goes_on_when_its_caller_gives_up() {
    for place in Place::each() {
        life(async {
            let host = place.host().capability("echo", Calls::default().echo()).build().unwrap();
            for polls in 0..12 {
                let asked = || host.run(asking("echo", "").with_id(id(&format!("x{polls}"))));
                {
                    let mut run = std::pin::pin!(asked());
                    for _ in 0..polls {
                        if futures::poll!(&mut run).is_ready() {
                            break;
                        }
                    }
                }
                assert_eq!(result(&soon("the end", asked()).await.unwrap()), r#"{"n":1}"#, "given up after {polls}");
            }
        });
    }
}

#[test]
fn a_thousand_requests_at_once_are_all_answered_once() {
    for place in Place::each() {
        let calls = Calls::default();
        let report = outcome(place.host().capability("echo", calls.echo()), run("requests_at_once", "1000"));
        assert_eq!(result(&report), "[499500,0]");
        assert_eq!((calls.total(), calls.by_step().len()), (1000, 1000));
    }
}

#[test]
fn requests_beyond_in_flight_are_refused_and_the_others_answered() {
    for place in Place::each() {
        let calls = Calls::default();
        let limited = parse("[limits]\nin_flight = 10\n[[capability]]\nname = \"echo\"\n");
        let gate = Arc::new(Notify::new());
        let slow = {
            let (calls, gate) = (calls.clone(), Arc::clone(&gate));
            let answered = calls.echo();
            move |request: Request| {
                let answer = everstep::capability::Capability::call(&answered, request);
                let gate = Arc::clone(&gate);
                async move {
                    gate.notified().await;
                    answer.await
                }
            }
        };
        life(async {
            let host = place.host().capability("echo", slow).build().unwrap();
            let handle = host.start(Run { policy: limited, ..run("requests_at_once", "25") }).await.unwrap();
            eventually("ten requests", async || (calls.total() == 10).then_some(())).await;
            gate.notify_waiters();
            let done = eventually("all answers", async || {
                gate.notify_waiters();
                (host.reader().execution(&id("x")).await.unwrap().state == State::Completed).then_some(())
            });
            done.await;
            assert_eq!(result(&handle.wait().await.unwrap()), "[45,15]");
        });
    }
}

#[test]
fn after_a_crash_a_request_is_sent_again_only_if_its_capability_is_idempotent() {
    for place in Place::each() {
        let calls = Calls::default();
        life(async {
            let host = place.host().capability("again", Idempotent(calls.never())).build().unwrap();
            let _lost = host.start(asking("again", "")).await.unwrap();
            eventually("the request", async || (calls.total() == 1).then_some(())).await;
        });
        place.after_a_crash();
        let report = outcome(place.host().capability("again", Idempotent(calls.echo())), asking("again", ""));
        assert_eq!(result(&report), r#"{"n":1}"#);
        assert_eq!(calls.by_step(), [(0, 2)], "the same id both times");
    }
}

#[test]
fn after_a_crash_a_request_that_is_not_idempotent_is_in_doubt() {
    for place in Place::each() {
        let calls = Calls::default();
        life(async {
            let host = place.host().capability("once", calls.never()).build().unwrap();
            let _lost = host.start(asking("once", "")).await.unwrap();
            eventually("the request", async || (calls.total() == 1).then_some(())).await;
        });
        place.after_a_crash();
        let report = outcome(place.host().capability("once", calls.echo()), asking("once", ""));
        let in_doubt = "once was asked before a crash and its response was lost";
        assert_eq!(failure(&report), (FailureKind::Returned(ErrorCode::InDoubt), in_doubt));
        assert_eq!(calls.total(), 1);
    }
}

#[test]
fn a_host_without_the_capability_that_was_asked_does_not_have_it_asked_again() {
    for place in Place::each() {
        let calls = Calls::default();
        life(async {
            let host = place.host().capability("once", calls.never()).build().unwrap();
            let _lost = host.start(asking("once", "")).await.unwrap();
            eventually("the request", async || (calls.total() == 1).then_some(())).await;
        });
        place.after_a_crash();
        let halted = outcome(place.host(), asking("once", ""));
        assert_eq!((halted.state, failure(&halted).0), (State::Halted, FailureKind::InDoubt));
        assert!(failure(&halted).1.starts_with(r#"x.0 asked the capability "once" of the host"#), "{halted:?}");
        life(async {
            let host = place.host().build().unwrap();
            assert!(host.reader().promises().await.unwrap().is_empty(), "nobody may serve it again");
            host.settle(&id("x").promise(0), Ok("1".into())).await.unwrap();
        });
        assert_eq!(result(&outcome(place.host(), asking("once", ""))), "1");
        assert_eq!(calls.total(), 1);
    }
}

#[test]
fn a_request_for_a_client_stays_with_clients() {
    for place in Place::each() {
        let calls = Calls::default();
        assert_eq!(outcome(place.host(), asking("client", "").without_waiting()).state, State::Suspended);
        let host = place.host().capability("client", calls.echo());
        assert_eq!(outcome(host, asking("client", "").without_waiting()).state, State::Suspended);
        assert_eq!(calls.total(), 0, "a client may have begun to serve it");
    }
}

#[test]
fn a_request_whose_time_is_over_is_not_sent_again() {
    for place in Place::each() {
        let (calls, clock) = (Calls::default(), ManualClock::at(1_000));
        let again = run("asks_and_computes", "250");
        life(async {
            let host = place.by(clock.clone(), place.host()).capability("again", Idempotent(calls.never()));
            let _lost = host.build().unwrap().start(again.clone()).await.unwrap();
            eventually("the request", async || (calls.total() == 1).then_some(())).await;
        });
        place.after_a_crash();
        clock.advance_to(1_250);
        let report = outcome(place.by(clock, place.host()).capability("again", Idempotent(calls.echo())), again);
        assert_eq!(failure(&report).0, FailureKind::Returned(ErrorCode::TimedOut));
        assert_eq!(calls.total(), 1);
    }
}

#[test]
fn requests_for_clients_end_at_the_limit_of_pending_promises() {
    for place in Place::each() {
        let limited = parse("[limits]\npending_promises = 2\n[[capability]]\nname = \"echo\"\n");
        life(async {
            let host = place.host().build().unwrap();
            let waits = Run { policy: limited, ..run("requests_at_once", "5") };
            assert_eq!(host.run(waits.without_waiting()).await.unwrap().state, State::Suspended);
            assert_eq!(host.reader().promises().await.unwrap().len(), 2);
        });
    }
}

#[test]
fn a_run_without_patience_still_waits_for_capabilities_of_its_host() {
    for place in Place::each() {
        let calls = Calls::default();
        let host = place.host().capability("echo", calls.echo());
        assert_eq!(result(&outcome(host, run("requests_at_once", "50").without_waiting())), "[1225,0]");
    }
}

#[test]
fn output_comes_in_order_and_only_once_it_is_durable() {
    // No server: the reader of an output may not wait, and a server is asked over the network.
    for place in Place::local() {
        let shown = Shown::default();
        let behind = Arc::new(AtomicU64::new(0));
        life(async {
            let reader = Arc::new(std::sync::OnceLock::<everstep::Reader>::new());
            let (sink, reads, late) = (shown.sink(), Arc::clone(&reader), Arc::clone(&behind));
            let check = move |output: everstep::output::Output| {
                // Whoever is shown something may not wait; a store of this machine answers at once.
                let durable = reads.get().unwrap().output(&id("x")).now_or_never().unwrap().unwrap();
                if !durable.contains(&output) {
                    late.fetch_add(1, Ordering::SeqCst);
                }
                sink(output);
            };
            let host = place.host().capability("echo", Calls::default().echo()).on_output(check).build().unwrap();
            reader.set(host.reader()).ok().unwrap();
            let report = host.run(run("narrates", "20")).await.unwrap();
            assert_eq!(result(&report), "null");
        });
        assert_eq!(behind.load(Ordering::SeqCst), 0, "shown before it was durable");
        let steps: Vec<u64> = shown.all().iter().map(|output| output.step).collect();
        assert!(steps.is_sorted() && steps.len() == 41, "{steps:?}");
        life(async {
            let host = place.host().build().unwrap();
            assert_eq!(host.reader().output(&id("x")).await.unwrap(), shown.all());
        });
    }
}

#[test]
fn beyond_the_limit_one_marker_is_shown_and_the_rest_is_dropped() {
    for place in Place::each() {
        let limited = parse("[limits]\noutput = \"1KiB\"\n[[capability]]\nname = \"print\"\n");
        let shown = Shown::default();
        let host = place.host().on_output(shown.sink());
        let report = outcome(host, Run { policy: limited, ..run("chatters", "1000") });
        assert_eq!((result(&report), report.steps), ("null", 1000));
        let all = shown.all();
        assert_eq!(all.len(), 103);
        let marker = "\n[everstep: limits.output is reached, the rest of the output is dropped]\n";
        assert_eq!(all[102].content, Content::Stdout(format!("1234{marker}")));
        life(async {
            assert_eq!(place.host().build().unwrap().reader().output(&id("x")).await.unwrap(), all);
        });
    }
}

#[test]
fn a_reader_of_output_that_panics_harms_nobody() {
    for place in Place::each() {
        let host = place.host().on_output(|_| panic!("a closed pipe")).capability("echo", Calls::default().echo());
        assert_eq!(result(&outcome(host, run("narrates", "5"))), "null");
    }
}
