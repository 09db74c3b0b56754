//! How a function ends, and what its id stands for.

use crate::support::{
    BEHAVIOUR, Calls, Place, Shown, eventually, failure, id, life, outcome, parse, policy, result, run,
};
use everstep::store::{Error as StoreError, FailureKind, State};
use everstep::{Error, ErrorCode, Patience, Policy, Run};
use everstep_tests::guests;

#[test]
fn hello_says_hello() {
    for place in Place::each() {
        let run = Run::new(guests::example("hello").unwrap(), "hello", r#""Ada""#, Policy::none());
        assert_eq!(result(&outcome(place.host(), run)), r#""hello Ada""#);
    }
}

#[test]
fn a_result_is_the_json_that_the_function_returned() {
    for place in Place::each() {
        let report = outcome(place.host(), run("same", r#"{"list":[1,2.5,null],"text":"ü\n"}"#));
        assert_eq!(result(&report), r#"{"list":[1,2.5,null],"text":"ü\n"}"#);
    }
}

#[test]
fn one_component_holds_several_functions() {
    for place in Place::each() {
        life(async {
            let host = place.host().build().unwrap();
            let functions = host.functions(&BEHAVIOUR, &policy()).await.unwrap();
            let add = functions.iter().find(|function| function.name == "add").unwrap();
            assert_eq!(add.description, "Adds two numbers.");
            assert!(functions.len() > 10, "{functions:?}");
            for (id_, function, args) in [("a", "add", r#"{"a":1,"b":2}"#), ("b", "same", "3")] {
                assert_eq!(result(&host.run(run(function, args).with_id(id(id_))).await.unwrap()), "3");
            }
        });
    }
}

/// Seconds of CPU time that this process has used.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // User and system time, in hundredths of a second.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

#[test]
fn a_component_that_many_ask_for_at_once_is_compiled_once() {
    // One place: it is about what a host keeps in memory.
    let place = Place::memory();
    life(async {
        let compile = async |many: usize| {
            let host = place.plain().build().unwrap();
            let before = cpu_seconds();
            let policy = Policy::none();
            let asked = (0..many).map(|_| host.functions(&BEHAVIOUR, &policy));
            for functions in futures::future::join_all(asked).await {
                assert!(functions.unwrap().len() > 10);
            }
            cpu_seconds() - before
        };
        let (one, many) = (compile(1).await, compile(12).await);
        assert!(one > 0.05, "{one} s are too short to compare with");
        assert!(many < 4.0 * one, "12 at once took {many} s of CPU time, one {one} s");
    });
}

#[test]
fn a_function_may_have_any_name() {
    for place in Place::each() {
        for (function, args) in [("start", "1"), ("args", "1"), ("ctx", "null")] {
            assert_eq!(result(&outcome(place.another().host(), run(function, args))), "1", "{function}");
        }
    }
}

#[test]
fn a_step_returns_from_the_start_what_it_is_remembered_as() {
    for place in Place::each() {
        let report = outcome(place.host(), run("keeps_a_part", "null"));
        assert_eq!(result(&report), r#"[{"kept":1,"skipped":0},"invalid"]"#);
    }
}

#[test]
fn an_error_keeps_its_code_and_message() {
    let codes = [
        ErrorCode::Denied,
        ErrorCode::Invalid,
        ErrorCode::NotFound,
        ErrorCode::TimedOut,
        ErrorCode::Canceled,
        ErrorCode::LimitExceeded,
        ErrorCode::InDoubt,
        ErrorCode::Failed,
    ];
    for place in Place::each() {
        life(async {
            let host = place.host().build().unwrap();
            for code in codes {
                let run =
                    run("fails", &format!(r#"{{"code":"{code}","message":"why {code}"}}"#)).with_id(id(code.name()));
                let report = host.run(run).await.unwrap();
                assert_eq!(report.state, State::Failed);
                assert_eq!(failure(&report), (FailureKind::Returned(code), format!("why {code}").as_str()));
            }
        });
        let stored =
            outcome(place.host(), run("fails", r#"{"code":"denied","message":"why denied"}"#).with_id(id("denied")));
        assert_eq!(failure(&stored), (FailureKind::Returned(ErrorCode::Denied), "why denied"));
    }
}

#[test]
fn an_error_that_is_a_text_is_a_failed_one() {
    for place in Place::each() {
        let report = outcome(place.host(), run("fails_plainly", "null"));
        assert_eq!(failure(&report), (FailureKind::Returned(ErrorCode::Failed), "it broke"));
    }
}

#[test]
fn an_unknown_function_lists_what_there_is() {
    for place in Place::each() {
        life(async {
            let host = place.host().build().unwrap();
            let error = host.run(run("nothing", "null")).await.unwrap_err();
            assert!(matches!(&*error, Error::UnknownFunction { .. }), "{error}");
            let text = error.to_string();
            assert!(text.starts_with(r#"the component has no function "nothing"; it has add, "#), "{text}");
            assert!(host.reader().executions().await.unwrap().is_empty());
        });
    }
}

#[test]
fn arguments_must_be_json_of_the_right_shape() {
    for place in Place::each() {
        life(async {
            let host = place.host().build().unwrap();
            let error = host.run(run("add", "{")).await.unwrap_err();
            assert!(error.to_string().starts_with("the arguments are not JSON: "), "{error}");
            let report = host.run(run("add", r#"{"a":1}"#)).await.unwrap();
            let (kind, message) = failure(&report);
            assert_eq!(kind, FailureKind::Returned(ErrorCode::Invalid));
            assert!(message.starts_with("arguments of function `add`: missing field `b`"), "{message}");
        });
    }
}

#[test]
fn a_panic_gives_message_and_place() {
    for place in Place::each() {
        let report = outcome(place.host(), run("panics", "null"));
        let (kind, message) = failure(&report);
        assert_eq!((report.state, kind), (State::Halted, FailureKind::Trap));
        assert!(message.starts_with("no seat left in row 7, at src/functions.rs:"), "{message}");
        let again = outcome(place.host(), run("panics", "null"));
        assert_eq!(again.error, report.error, "a trap is deterministic");
    }
}

#[test]
fn the_same_id_again_gives_the_stored_result_and_runs_nothing_twice() {
    for place in Place::each() {
        let (calls, shown) = (Calls::default(), Shown::default());
        for _ in 0..3 {
            let host = place.host().capability("echo", calls.echo()).on_output(shown.sink());
            let report = outcome(host, run("narrates", "2"));
            assert_eq!(result(&report), "null");
        }
        assert_eq!(calls.total(), 2);
        let expected = ["before 0\n", "after 0\n", "before 1\n", "after 1\n", "text/plain=done;text/html=<b>done</b>;"];
        assert_eq!(shown.lines(), expected);
    }
}

#[test]
fn whoever_comes_with_the_id_of_a_run_in_progress_gets_its_result() {
    for place in Place::each() {
        life(async {
            let calls = Calls::default();
            let host = place.host().capability("echo", calls.echo()).build().unwrap();
            let runs: Vec<_> = (0..8)
                .map(|_| {
                    let host = host.clone();
                    tokio::spawn(async move { host.run(run("requests_at_once", "5")).await.unwrap() })
                })
                .collect();
            for run in runs {
                assert_eq!(result(&run.await.unwrap()), "[10,0]");
            }
            assert_eq!(calls.total(), 5);
        });
    }
}

#[test]
fn arguments_are_the_same_in_another_spelling() {
    for place in Place::each() {
        life(async {
            let host = place.host().build().unwrap();
            host.run(run("add", r#"{"a":1,"b":2}"#)).await.unwrap();
            let report = host.run(run("add", r#" { "b": 2, "a": 1 } "#)).await.unwrap();
            assert_eq!(result(&report), "3");
        });
    }
}

#[test]
fn an_id_in_use_shows_how_the_runs_differ() {
    for place in Place::each() {
        life(async {
            let host = place.host().build().unwrap();
            host.run(run("add", r#"{"a":1,"b":2}"#)).await.unwrap();
            for (other, differs) in [
                (run("add", r#"{"a":1,"b":3}"#), r#""add" with other arguments, at .b: recorded 2, given 3"#),
                (run("same", "1"), r#""add", not "same""#),
            ] {
                let error = host.run(other).await.unwrap_err().to_string();
                let ways = "choose another id for this, or go on from a step of that: everstep fork x --at N --id NEW";
                assert_eq!(error, format!("the id x is in use: it runs {differs}; {ways}"));
            }
        });
    }
}

#[test]
fn an_id_in_use_by_a_run_in_progress_is_refused() {
    for place in Place::each() {
        life(async {
            let host = place.host().build().unwrap();
            let handle = host.start(run("asks", "null")).await.unwrap();
            let error = host.run(run("same", "1")).await.unwrap_err();
            assert!(matches!(&*error, Error::IdInUse { .. }), "{error}");
            let other = Run { policy: Policy::none(), ..run("asks", "null") };
            let error = host.run(other).await.unwrap_err();
            assert!(matches!(&*error, Error::PolicyChanged { .. }), "{error}");
            let asked = eventually("the question", async || host.reader().promises().await.unwrap().pop()).await;
            host.settle(&asked.id, Ok("true".into())).await.unwrap();
            assert_eq!(result(&handle.wait().await.unwrap()), "true");
        });
    }
}

#[test]
fn another_policy_is_refused_with_both_digests_until_the_execution_has_ended() {
    for place in Place::each() {
        let asks = || run("asks", "null").without_waiting();
        let other = parse("[[capability]]\nname = \"input\"\n");
        assert_eq!(outcome(place.host(), asks()).state, State::Suspended);
        life(async {
            let host = place.host().build().unwrap();
            let error = host.run(Run { policy: other.clone(), ..asks() }).await.unwrap_err();
            assert!(matches!(&*error, Error::PolicyChanged { .. }), "{error}");
            let text = error.to_string();
            let (pinned, given) = (policy().digest().to_string(), other.digest().to_string());
            assert!(text.contains(&pinned) && text.contains(&given) && text.contains("everstep resume x"), "{text}");
            let asked = host.reader().promises().await.unwrap().remove(0);
            host.settle(&asked.id, Ok("1".into())).await.unwrap();
            let done = host.resume(&id("x"), Patience::None).await.unwrap().wait().await.unwrap();
            assert_eq!(result(&done), "1");
            let stored = host.run(Run { policy: other.clone(), ..asks() }).await.unwrap();
            assert_eq!(result(&stored), "1");
        });
    }
}

#[test]
fn a_host_of_a_build_that_shares_no_store_keeps_others_out() {
    // One place: it holds a file of the store.
    let place = Place::folder();
    drop(place.host().build().unwrap());
    let lock = std::fs::File::open(place.path().join("lock")).unwrap();
    lock.try_lock().unwrap();
    let Err(Error::Store(error)) = place.host().build() else { panic!("two hosts on one store") };
    assert!(matches!(error, StoreError::InUse { pid: Some(_), .. }), "{error}");
}

#[test]
fn the_end_of_a_host_frees_its_store_at_once() {
    for place in Place::each() {
        for number in 0..20 {
            life(async {
                let host = place.host().build().unwrap();
                let run = run("chatters", "3").with_id(id(&number.to_string()));
                host.run(run).await.unwrap();
            });
        }
    }
}

#[test]
fn an_execution_that_nobody_knows_cannot_be_resumed() {
    for place in Place::each() {
        life(async {
            let host = place.host().build().unwrap();
            let Err(error) = host.resume(&id("nobody"), Patience::None).await else { panic!("resumed") };
            assert_eq!(error.to_string(), "there is no execution nobody in this store");
            let error = host.cancel(&id("nobody")).await.unwrap_err();
            assert!(matches!(error, Error::UnknownExecution(_)), "{error}");
        });
    }
}
