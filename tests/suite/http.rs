//! `http.fetch` as a guest sees it: bounds and secrets of its rule, redirects, crashes, and what the journal and the audit keep.

use crate::faulty::{CrashStore, Fate};
use crate::network::servers::{Received, Step, ok, redirect, response};
use crate::site::Site;
use crate::support::{ManualClock, Place, eventually, failure, id, life, outcome, parse, quick, result, run};
use everstep::store::{Backend, FailureKind, State};
use everstep::{ErrorCode, Everstep, Policy, Run};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Loopback may be reached, and `more` is granted.
pub(crate) fn granting(more: &str) -> Policy {
    parse(&format!("[network]\nblock = [\"non-global\"]\nallow = [\"127.0.0.1/32\"]\n{more}"))
}

/// One rule for everything on a site.
fn on(site: &Site, more: &str) -> Policy {
    granting(&format!("[[fetch]]\nid = \"site\"\nurl = \"{}\"\n{more}\n", site.url("/**")))
}

pub(crate) fn fetch(policy: Policy, args: &Value) -> Run {
    Run { policy, ..run("fetches", &args.to_string()) }
}

pub(crate) fn get(site: &Site, path: &str) -> Value {
    json!({ "url": site.url(path) })
}

fn post(site: &Site, path: &str, body: &str) -> Value {
    json!({ "method": "POST", "url": site.url(path), "body": body })
}

pub(crate) const READS: &str = "methods = [\"GET\"]";
const WRITES: &str = "methods = [\"GET\", \"POST\"]";

#[test]
pub(crate) fn a_response_reaches_the_guest_as_it_was_sent() {
    let site = Site::start(|_| response("404 Not Found", &[("X-Is", "é")], "nothing here".as_bytes()));
    for place in Place::each() {
        let report = outcome(place.host(), fetch(on(&site, READS), &get(&site, "/a/../b?q=1#f")));
        let got: Value = serde_json::from_str(result(&report)).unwrap();
        assert_eq!((&got["status"], &got["body"]), (&json!(404), &json!("nothing here")));
        assert_eq!(got["url"], json!(site.url("/b?q=1")));
        let headers = got["headers"].as_array().unwrap();
        assert!(headers.contains(&json!(["x-is", "Ã©"])), "{headers:?}");
        let received = site.requests().pop().unwrap();
        assert_eq!(received.line(), "GET /b?q=1");
        assert!(received.header("idempotency-key").is_empty());
    }
}

#[test]
pub(crate) fn a_replayed_response_comes_from_the_journal() {
    for place in Place::each() {
        let site = Site::start(|_| ok("once"));
        let asks = json!([get(&site, "/1"), get(&site, "/2")]);
        let policy = on(&site, READS);
        let of = |function: &str| Run { policy: policy.clone(), ..run(function, &asks.to_string()) };
        let first = outcome(place.host(), of("fetches_at_once"));
        assert_eq!(result(&first), r#"["200","200"]"#);
        let replayed = life(async {
            let host = place.host().build().unwrap();
            host.replay(&id("x"), None, None).await.unwrap()
        });
        assert_eq!((replayed.steps.len(), replayed.end), (2, everstep::ReplayEnd::Repeated));
        assert_eq!(site.requests().len(), 2);
    }
}

#[test]
pub(crate) fn what_no_rule_grants_is_denied_and_reaches_nobody() {
    for place in Place::each() {
        let site = Site::start(|_| ok("no"));
        let other = json!({ "url": format!("http://127.0.0.1:{}/", site.port() ^ 1) });
        let cases = [
            (on(&site, READS), post(&site, "/", "x"), "POST"),
            (on(&site, READS), other, "nearest rule"),
            (
                granting(&format!("[[fetch]]\nid = \"site\"\nurl = \"{}\"\n{READS}", site.url("/public/**"))),
                get(&site, "/private"),
                "nearest rule",
            ),
            (parse(""), get(&site, "/"), "fetch"),
            (
                parse(&format!("[[fetch]]\nid = \"site\"\nurl = \"{}\"\n{READS}", site.url("/**"))),
                get(&site, "/"),
                "network",
            ),
            (
                parse(&format!(
                    "[network]\nblock = [\"non-global\", \"8.8.8.0/24\"]\n[[fetch]]\nid = \"site\"\nurl = \"http://8.8.8.8/**\"\n{READS}"
                )),
                json!({ "url": "http://8.8.8.8/", "timeout_ms": 500 }),
                "network",
            ),
        ];
        for (policy, args, named) in cases {
            let report = outcome(place.another().host(), fetch(policy, &args));
            let (kind, message) = failure(&report);
            assert_eq!(kind, FailureKind::Returned(ErrorCode::Denied), "{message}");
            assert!(message.contains(named) && !message.contains('?'), "{message}");
        }
        assert_eq!(site.connections(), 0);
    }
}

#[test]
pub(crate) fn a_malformed_request_is_invalid_and_reaches_nobody() {
    for place in Place::each() {
        let site = Site::start(|_| ok("no"));
        let url = site.url("/");
        let cases = [
            json!({ "url": "no url" }),
            json!({ "url": format!("http://user:pw@127.0.0.1:{}/", site.port()) }),
            json!({ "url": "file:///etc/passwd" }),
            json!({ "url": url, "method": "get" }),
            json!({ "url": url, "method": "CONNECT" }),
            json!({ "url": url, "method": "GET\r\nx: y" }),
            json!({ "url": url, "headers": [["host", "other"]] }),
            json!({ "url": url, "headers": [["Content-Length", "1"]] }),
            json!({ "url": url, "headers": [["transfer-encoding", "chunked"]] }),
            json!({ "url": url, "headers": [["connection", "close"]] }),
            json!({ "url": url, "headers": [["x", "a\r\nb: c"]] }),
            json!({ "url": url, "headers": [["a b", "c"]] }),
        ];
        for args in cases {
            let report = outcome(place.another().host(), fetch(on(&site, WRITES), &args));
            assert_eq!(failure(&report).0, FailureKind::Returned(ErrorCode::Invalid), "{args}: {report:?}");
        }
        assert_eq!(site.connections(), 0);
    }
}

#[test]
pub(crate) fn the_bounds_of_a_rule_hold() {
    for place in Place::each() {
        let site = Site::start(|received| match received.line() {
            "GET /slow" => vec![Step::Stall],
            "GET /large" => response("200 OK", &[], &[b'x'; 1001]),
            "GET /away" => redirect(302, "/far"),
            "GET /far" => redirect(302, "/farther"),
            "GET /farther" => redirect(302, "/fine"),
            _ => ok("fine"),
        });
        let cases = [
            ("timeout = \"100ms\"", get(&site, "/slow"), ErrorCode::TimedOut),
            ("max_response = \"1000B\"", get(&site, "/large"), ErrorCode::LimitExceeded),
            ("redirects = 2", get(&site, "/away"), ErrorCode::LimitExceeded),
            ("max_request = \"3B\"", post(&site, "/", "four"), ErrorCode::LimitExceeded),
            ("max_calls = 0", get(&site, "/"), ErrorCode::LimitExceeded),
        ];
        for (bound, args, code) in cases {
            let report = outcome(place.another().host(), fetch(on(&site, &format!("{WRITES}\n{bound}")), &args));
            assert_eq!(failure(&report).0, FailureKind::Returned(code), "{bound}: {report:?}");
            let wider = outcome(place.another().host(), fetch(on(&site, WRITES), &get(&site, "/fine")));
            assert_eq!(wider.state, State::Completed, "{wider:?}");
        }
        let far =
            outcome(place.another().host(), fetch(on(&site, &format!("{READS}\nredirects = 3")), &get(&site, "/away")));
        assert_eq!(far.state, State::Completed, "{far:?}");
        let short = json!({ "url": site.url("/slow"), "timeout_ms": 100 });
        let report = outcome(place.another().host(), fetch(on(&site, WRITES), &short));
        assert_eq!(failure(&report).0, FailureKind::Returned(ErrorCode::TimedOut));
    }
}

#[test]
pub(crate) fn calls_rates_and_concurrency_are_counted() {
    for place in Place::each() {
        // What is asked for at once is answered once all of it was asked for.
        let all_asked = Arc::new(AtomicBool::new(false));
        let site = {
            let all_asked = Arc::clone(&all_asked);
            Site::start(move |_| {
                while !all_asked.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                ok("fine")
            })
        };
        let asks = |times: usize| Value::Array((0..times).map(|_| get(&site, "/")).collect()).to_string();
        let told = |more: &str, function: &str, times: usize| {
            let policy = on(&site, &format!("{READS}\n{more}"));
            all_asked.store(function == "fetches_in_turn", Ordering::SeqCst);
            let report = life(async {
                let place = place.another();
                let host = place.by(ManualClock::at(1_000_000), place.host()).build().unwrap();
                let running = host.start(Run { policy, ..run(function, &asks(times)) }).await.unwrap();
                if function == "fetches_at_once" {
                    let asked = async || host.steps_so_far(&id("x")).filter(|steps| *steps >= times as u64);
                    eventually("all that is asked for", asked).await;
                }
                all_asked.store(true, Ordering::SeqCst);
                running.wait().await.unwrap()
            });
            serde_json::from_str::<Vec<String>>(result(&report)).unwrap()
        };
        let granted = |told: &[String]| told.iter().filter(|one| *one == "200").count();
        for (more, function, times, expected) in [
            ("max_calls = 3", "fetches_in_turn", 5, 3),
            ("rate = \"2/s\"", "fetches_in_turn", 5, 2),
            ("concurrent = 2", "fetches_at_once", 5, 2),
            ("concurrent = 1", "fetches_in_turn", 5, 5),
        ] {
            let told = told(more, function, times);
            assert_eq!(granted(&told), expected, "{more}: {told:?}");
            let refused = told.iter().filter(|one| one.starts_with("limit-exceeded")).count();
            assert_eq!(refused, times - expected, "{more}: {told:?}");
        }
    }
}

#[test]
pub(crate) fn a_redirect_is_decided_anew() {
    for place in Place::each() {
        let other = Site::start(|_| ok("private"));
        let away = other.url("/private");
        let site = Site::start(move |received| match received.line() {
            "GET /inside" => redirect(302, "/page"),
            "GET /outside" => redirect(302, &away),
            _ => ok("page"),
        });
        let policy = || on(&site, &format!("{READS}\nredirects = 3"));
        let inside = outcome(place.another().host(), fetch(policy(), &get(&site, "/inside")));
        assert!(result(&inside).contains("page"));
        let outside = outcome(place.another().host(), fetch(policy(), &get(&site, "/outside")));
        assert_eq!(failure(&outside).0, FailureKind::Returned(ErrorCode::Denied), "{outside:?}");
        assert_eq!(other.connections(), 0);
    }
}

/// The secret of this test; no other test reads it.
fn secret_file(folder: &Path) -> String {
    let file = folder.join("token");
    std::fs::write(&file, "Bearer s3cret-t0ken-value\n").unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
pub(crate) fn a_secret_reaches_the_server_of_its_rule_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let other = Site::start(|received| ok(&received.head));
    let away = other.url("/");
    let site = Site::start(move |received| match received.line() {
        "GET /away" => redirect(302, &away),
        _ => response(
            "200 OK",
            &[("x-echo", received.header("authorization").first().unwrap_or(&"none"))],
            received.head.as_bytes(),
        ),
    });
    let log = folder.path().join("audit.jsonl");
    let secret = format!("secret = {{ header = \"authorization\", from = \"file:{}\" }}", secret_file(folder.path()));
    let policy = granting(&format!(
        "[[fetch]]\nid = \"site\"\nurl = \"{}\"\n{READS}\nredirects = 2\n{secret}\n[[fetch]]\nid = \"other\"\nurl = \"{}\"\n{READS}\n\
         [audit]\nfile = \"{}\"\n",
        site.url("/**"),
        other.url("/**"),
        log.display()
    ));
    let mut runs = 0;
    for place in Place::each() {
        runs += 1;
        let asks = json!([get(&site, "/"), get(&site, "/away"), get(&other, "/")]);
        let report = outcome(place.host(), Run { policy: policy.clone(), ..run("fetches_in_turn", &asks.to_string()) });
        assert_eq!(result(&report), r#"["200","200","200"]"#);
        let journal = life(async { place.host().build().unwrap().reader().journal(&id("x")).await.unwrap() });
        let journal = String::from_utf8_lossy(&journal).into_owned();
        for text in [journal, std::fs::read_to_string(&log).unwrap(), policy.canonical()] {
            assert!(!text.contains("s3cret") && !text.contains("czNjcmV0"), "{text}");
        }
    }
    let with_secret = |requests: &[Received]| requests.iter().filter(|one| one.head.contains("s3cret-t0ken")).count();
    let under_its_name =
        |one: &Received| one.header("authorization").iter().any(|value| value.contains("s3cret-t0ken"));
    assert!(site.requests().iter().all(under_its_name));
    assert_eq!((with_secret(&site.requests()), site.requests().len()), (2 * runs, 2 * runs));
    assert_eq!((with_secret(&other.requests()), other.requests().len()), (0, 2 * runs));
}

#[test]
pub(crate) fn a_secret_that_is_not_there_is_named_before_anything_runs() {
    for place in Place::each() {
        let site = Site::start(|_| ok("no"));
        for (from, named) in [("env:EVERSTEP_TEST_NOT_SET", "EVERSTEP_TEST_NOT_SET"), ("file:/nowhere/token", "token")]
        {
            let policy = on(&site, &format!("{READS}\nsecret = {{ header = \"x-key\", from = \"{from}\" }}"));
            let error =
                life(async { place.another().host().build().unwrap().run(fetch(policy, &get(&site, "/"))).await });
            let message = error.unwrap_err().to_string();
            assert!(message.contains("site") && message.contains(named), "{message}");
        }
    }
}

#[test]
pub(crate) fn a_request_that_is_not_idempotent_carries_its_step() {
    for place in Place::each() {
        let site = Site::start(|_| ok("done"));
        let own = json!({ "method": "POST", "url": site.url("/"), "headers": [["Idempotency-Key", "mine"]] });
        let asks = json!([post(&site, "/", "a"), own, get(&site, "/")]).to_string();
        let report = outcome(place.host(), Run { policy: on(&site, WRITES), ..run("fetches_in_turn", &asks) });
        assert_eq!(result(&report), r#"["200","200","200"]"#);
        let keys: Vec<Vec<String>> = site
            .requests()
            .iter()
            .map(|one| one.header("idempotency-key").into_iter().map(str::to_owned).collect())
            .collect();
        assert_eq!(keys, [vec!["x.0".to_owned()], vec!["mine".to_owned()], vec![]]);
    }
}

#[test]
pub(crate) fn an_idempotent_request_is_tried_again_when_no_connection_comes_about() {
    let turn = Arc::new(AtomicUsize::new(0));
    let site = {
        let turn = Arc::clone(&turn);
        Site::start(move |_| if turn.fetch_add(1, Ordering::SeqCst) < 2 { vec![Step::Close] } else { ok("at last") })
    };
    for place in Place::each() {
        turn.store(0, Ordering::SeqCst);
        let before = site.requests().len();
        let report = outcome(place.host(), fetch(on(&site, READS), &get(&site, "/")));
        assert!(result(&report).contains("at last"));
        assert_eq!(site.requests().len() - before, 3);
        let steps = life(async { place.host().build().unwrap().reader().steps(&id("x")).await.unwrap() });
        assert_eq!(steps[0].retries, 2);
        turn.store(0, Ordering::SeqCst);
        let once = Run { policy: on(&site, WRITES), ..run("fetches", &post(&site, "/", "x").to_string()) };
        let report = outcome(place.host(), once.with_id(id("y")));
        assert_eq!(failure(&report).0, FailureKind::Returned(ErrorCode::Failed), "{report:?}");
        let gone = Site::start(|_| vec![Step::Close]);
        let report = outcome(place.another().host(), fetch(on(&gone, READS), &get(&gone, "/")));
        assert_eq!(failure(&report).0, FailureKind::Returned(ErrorCode::Failed), "{report:?}");
        assert_eq!(gone.requests().len(), 4);
    }
}

#[test]
pub(crate) fn a_request_that_is_given_up_is_canceled() {
    let site = Site::start(|_| vec![Step::Stall]);
    for place in Place::each() {
        let policy = on(&site, READS);
        let report = outcome(place.host(), Run { policy, ..run("gives_a_request_up", &get(&site, "/").to_string()) });
        assert!(result(&report).starts_with("\"canceled"), "{report:?}");
    }
}

/// Fetches pages, writes each into a file and tells the site that it is done: whichever commit fails, no page that is recorded is fetched
/// again, nothing is posted without the key of its step, and quotas are not refilled.
#[test]
pub(crate) fn a_crash_at_any_commit_repeats_nothing_that_is_recorded() {
    // No server: it fails a commit of the store.
    for place in Place::local() {
        for fate in [Fate::Lost, Fate::Kept] {
            let commits = (1..).take_while(|commit| survive(&place.another(), *commit, fate)).count();
            assert!(commits > 4, "only {commits} commits");
        }
    }
}

fn survive(place: &Place, commit: u32, fate: Fate) -> bool {
    let site = Site::start(|received| ok(received.line()));
    let folder = tempfile::tempdir().unwrap();
    let policy = on(
        &site,
        &format!(
            "{WRITES}\nmax_calls = 4\n[[files]]\nid = \"out\"\nguest = \"/out\"\nhost = \"{}\"\naccess = \"write\"",
            folder.path().display()
        ),
    );
    let urls = json!([site.url("/0"), site.url("/1"), site.url("/2")]).to_string();
    let of = || Run { policy: policy.clone(), ..run("scrapes", &urls) };
    let inner = place.store();
    let store = CrashStore::at(Arc::clone(&inner), commit, fate);
    let first =
        life(async { quick(Everstep::over(Arc::clone(&store) as Arc<dyn Backend>)).build().unwrap().run(of()).await });
    let recorded: Vec<u64> = life(async {
        let reader = quick(Everstep::over(Arc::clone(&inner))).build().unwrap().reader();
        let steps = reader.steps(&id("x")).await.unwrap_or_default();
        steps.iter().filter(|step| step.kind == "http.fetch" && step.settled_ms.is_some()).map(|step| step.n).collect()
    });
    let before = site.requests();
    let report = outcome(quick(Everstep::over(inner)), of());
    let context = format!("commit {commit}, {fate:?}: {report:?}");
    assert_eq!(result(&report), "3", "{context}");
    let after = &site.requests()[before.len()..];
    for number in recorded.iter().filter(|number| **number < 3) {
        assert!(after.iter().all(|one| one.line() != format!("GET /{number}")), "{context}: page {number} again");
    }
    let posts: Vec<Received> = site.requests().into_iter().filter(|one| one.line() == "POST /done").collect();
    assert!(!posts.is_empty() && posts.len() <= 2, "{context}");
    assert!(posts.iter().all(|one| one.header("idempotency-key") == ["x.6"]), "{context}: {posts:?}");
    for number in 0..3 {
        let page = std::fs::read_to_string(folder.path().join(format!("{number}.txt"))).unwrap();
        assert_eq!(page, format!("GET /{number}"), "{context}");
    }
    first.is_err()
}

#[test]
pub(crate) fn a_request_whose_outcome_a_crash_has_lost_is_sent_again_or_in_doubt() {
    for (on_crash, sent_again) in [("retry", true), ("fail", false)] {
        for place in Place::each() {
            let stalls = Arc::new(AtomicUsize::new(1));
            let site = {
                let stalls = Arc::clone(&stalls);
                Site::start(move |_| if stalls.swap(0, Ordering::SeqCst) == 1 { vec![Step::Stall] } else { ok("done") })
            };
            let policy = on(&site, &format!("{WRITES}\non_crash = \"{on_crash}\""));
            let of = Run { policy, ..run("fetches", &post(&site, "/", "x").to_string()) };
            life(async {
                let host = place.host().build().unwrap();
                let _running = host.start(of.clone()).await.unwrap();
                eventually("the request", async || (site.requests().len() == 1).then_some(())).await;
            });
            place.after_a_crash();
            let report = outcome(place.host(), of);
            let requests = site.requests();
            if sent_again {
                assert!(result(&report).contains("done"));
                assert_eq!(requests.len(), 2);
                assert!(requests.iter().all(|one| one.header("idempotency-key") == ["x.0"]), "{requests:?}");
            } else {
                assert_eq!(failure(&report).0, FailureKind::Returned(ErrorCode::InDoubt), "{report:?}");
                assert_eq!(requests.len(), 1);
            }
        }
    }
}

#[test]
pub(crate) fn a_ceiling_denies_what_the_policy_grants_from_the_next_call_on() {
    for place in Place::each() {
        let site = Site::start(|_| ok("fine"));
        let host = place.host();
        life(async {
            let host = host.build().unwrap();
            let run = |name: &str| fetch(on(&site, READS), &get(&site, "/")).with_id(id(name));
            assert_eq!(host.run(run("a")).await.unwrap().state, State::Completed);
            host.set_ceiling(Some(granting("")));
            let report = host.run(run("b")).await.unwrap();
            assert_eq!(failure(&report).0, FailureKind::Returned(ErrorCode::Denied), "{report:?}");
            assert!(failure(&report).1.contains("ceiling"), "{report:?}");
            host.set_ceiling(Some(on(&site, READS)));
            assert_eq!(host.run(run("c")).await.unwrap().state, State::Completed);
        });
        assert_eq!(site.requests().len(), 2);
    }
}

#[test]
pub(crate) fn the_audit_holds_the_decision_before_and_the_outcome_after() {
    for place in Place::each() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("audit.jsonl");
        let site = Site::start(|_| ok("four"));
        let policy = on(&site, &format!("{READS}\n[audit]\nfile = \"{}\"\n", log.display()));
        let report = outcome(place.host(), fetch(policy, &get(&site, "/page?token=1")));
        assert_eq!(report.state, State::Completed);
        let lines: Vec<Value> =
            std::fs::read_to_string(&log).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!((&lines[0]["decision"], &lines[0]["rule"]), (&json!("allow"), &json!("site")));
        assert_eq!((&lines[1]["decision"], &lines[1]["bytes"]), (&json!("outcome"), &json!(4)));
        assert_eq!(lines[1]["address"], json!(site.address().to_string()));
        assert_eq!(lines[1]["step"], lines[0]["step"]);
    }
}
