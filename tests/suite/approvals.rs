//! Calls that a person has to approve: what is asked, whom it binds, and what survives.

use crate::faulty::{CrashStore, Fate};
use crate::network::servers::ok;
use crate::site::Site;
use crate::support::{ManualClock, Place, eventually, failure, id, life, outcome, parse, quick, result, run, soon};
use everstep::store::{Backend, FailureKind, PendingPromise, State};
use everstep::{Answer, Builder, ErrorCode, Everstep, Patience, Policy, Report, Run};
use serde_json::{Value, json};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// GET is granted on a site, and POST is asked about.
fn asking(site: &Site, more: &str) -> Policy {
    let url = site.url("/**");
    parse(&format!(
        "[network]\nblock = [\"non-global\"]\nallow = [\"127.0.0.1/32\"]\n\
         [[fetch]]\nid = \"site\"\nurl = \"{url}\"\nmethods = [\"GET\"]\n\
         [[ask]]\nwhen = \"fetch\"\nmethods = [\"POST\"]\nurl = \"{url}\"\n{more}\n"
    ))
}

fn post(site: &Site, body: &str) -> Value {
    json!({ "method": "POST", "url": site.url("/issues?a=1"), "headers": [["X-A", "b"]], "body": body })
}

fn posts(site: &Site, policy: Policy, function: &str, bodies: &[&str]) -> Run {
    let args = Value::Array(bodies.iter().map(|body| post(site, body)).collect());
    Run { policy, ..run(function, &args.to_string()) }
}

fn answer(approved: bool, reason: Option<&str>) -> String {
    let (by, reason) = (Some("ada".to_owned()), reason.map(str::to_owned));
    serde_json::to_string(&Answer { approved, by, reason }).unwrap()
}

/// What is open in a store.
fn open(place: &Place) -> Vec<PendingPromise> {
    life(async { place.host().build().unwrap().reader().promises().await.unwrap() })
}

/// Decides on the oldest open question, and lets the execution go on until it waits again.
fn decide(place: &Place, approved: bool) -> Report {
    let asked = open(place).remove(0);
    life(async {
        let host = place.host().build().unwrap();
        host.settle(&asked.id, Ok(answer(approved, None))).await.unwrap();
        host.resume(&id("x"), Patience::None).await.unwrap().wait().await.unwrap()
    })
}

#[test]
pub(crate) fn a_call_that_is_asked_about_waits_for_a_person_who_sees_it_exactly() {
    let site = Site::start(|received| ok(&format!("{} {}", received.line(), String::from_utf8_lossy(&received.body))));
    for place in Place::every_dialect() {
        let before = site.requests().len();
        let of = Run { policy: asking(&site, ""), ..run("fetches", &post(&site, "{\"a\":\u{7f}\"\n\"}").to_string()) };
        let report = outcome(place.host(), of.clone().without_waiting());
        assert_eq!((report.state, site.requests().len()), (State::Suspended, before));
        let asked = open(&place);
        assert_eq!((asked.len(), asked[0].kind.name(), asked[0].id.to_string()), (1, "approval", "x.0".to_owned()));
        let data: Value = serde_json::from_str(asked[0].data.as_deref().unwrap()).unwrap();
        assert_eq!(data["capability"], "http.fetch");
        let arguments = &data["arguments"];
        assert_eq!((&arguments["method"], &arguments["url"]), (&json!("POST"), &json!(site.url("/issues?a=1"))));
        assert_eq!(arguments["headers"], "x-a: b\n");
        assert!(arguments["body"].to_string().contains("7f"), "{arguments}");
        let report = decide(&place, true);
        assert!(result(&report).contains("POST /issues?a=1"), "{report:?}");
        let received = site.requests().pop().unwrap();
        assert_eq!((site.requests().len() - before, received.header("idempotency-key")), (1, vec!["x.1"]));
        assert_eq!(open(&place), []);
    }
}

#[test]
pub(crate) fn a_denied_call_is_an_error_that_says_why_and_reaches_nobody() {
    let site = Site::start(|_| ok("no"));
    for place in Place::every_dialect() {
        let of = Run { policy: asking(&site, ""), ..run("fetches", &post(&site, "x").to_string()) };
        outcome(place.host(), of.clone().without_waiting());
        let report = life(async {
            let host = place.host().build().unwrap();
            let asked = host.reader().promises().await.unwrap().remove(0);
            host.settle(&asked.id, Ok(answer(false, Some("not\u{1b}[2J today")))).await.unwrap();
            host.resume(&id("x"), Patience::Forever).await.unwrap().wait().await.unwrap()
        });
        let (kind, message) = failure(&report);
        assert_eq!(kind, FailureKind::Returned(ErrorCode::Denied));
        assert!(message.contains("ask.1") && message.contains("ada") && message.contains("today"), "{message}");
        assert!(!message.contains('\u{1b}') && !message.contains("a=1"), "{message}");
    }
    assert_eq!(site.connections(), 0);
}

#[test]
pub(crate) fn an_approval_that_nobody_gives_in_time_is_a_denial() {
    let site = Site::start(|_| ok("no"));
    for place in Place::every_dialect() {
        let policy = asking(&site, "ttl = \"1h\"");
        let clock = ManualClock::at(1_000_000);
        let of = Run { policy, ..run("fetches", &post(&site, "x").to_string()) };
        let first = outcome(place.by(clock.clone(), place.host()), of.clone().without_waiting());
        assert_eq!(first.state, State::Suspended);
        clock.advance_to(1_000_000 + 3_600_000);
        let late = life(async {
            let host = place.by(clock.clone(), place.host()).build().unwrap();
            host.settle(&id("x").promise(0), Ok(answer(true, None))).await.unwrap_err().to_string()
        });
        assert!(late.contains("deadline"), "{late}");
        let report = outcome(place.by(clock, place.host()), of);
        assert_eq!(failure(&report).0, FailureKind::Returned(ErrorCode::Denied), "{report:?}");
    }
    assert_eq!(site.connections(), 0);
}

#[test]
pub(crate) fn an_approval_is_good_for_one_use_or_for_the_execution() {
    let site = Site::start(|_| ok("done"));
    for (remember, questions) in [("once", 3), ("execution", 2)] {
        for function in ["fetches_in_turn", "fetches_at_once"] {
            for place in Place::every_dialect() {
                let before = site.requests().len();
                let policy = asking(&site, &format!("remember = \"{remember}\""));
                let of = posts(&site, policy, function, &["a", "a", "b"]);
                let mut report = outcome(place.host(), of.without_waiting());
                let mut asked = 0;
                while report.state == State::Suspended {
                    let shown = open(&place);
                    let distinct: std::collections::BTreeSet<_> = shown.iter().map(|one| one.data.clone()).collect();
                    assert_eq!(distinct.len(), shown.len(), "identical questions are shown once: {shown:?}");
                    report = decide(&place, true);
                    asked += 1;
                }
                assert_eq!(result(&report), r#"["200","200","200"]"#, "{remember} {function}");
                assert_eq!((asked, site.requests().len() - before), (questions, 3), "{remember} {function}");
            }
        }
    }
}

#[test]
pub(crate) fn a_denial_holds_for_identical_calls_that_wait() {
    let site = Site::start(|_| ok("done"));
    for place in Place::every_dialect() {
        let before = site.requests().len();
        let of = posts(&site, asking(&site, ""), "fetches_at_once", &["a", "a", "b"]);
        outcome(place.host(), of.without_waiting());
        let report = decide(&place, false);
        assert_eq!(report.state, State::Suspended);
        let report = decide(&place, true);
        let told: Vec<String> = serde_json::from_str(result(&report)).unwrap();
        assert!(told[0].starts_with("denied") && told[1].starts_with("denied"), "{told:?}");
        assert_eq!((told[2].as_str(), site.requests().len() - before), ("200", 1));
    }
}

#[test]
pub(crate) fn a_step_that_the_guest_blocks_on_is_asked_about_too() {
    for place in Place::every_dialect() {
        let folder = tempfile::tempdir().unwrap();
        let policy = parse(&format!(
            "[[files]]\nid = \"out\"\nguest = \"/out\"\nhost = \"{}\"\naccess = \"write\"\n[[ask]]\nwhen = \"files.write\"\n",
            folder.path().display()
        ));
        let of = Run { policy, ..run("writes_files", r#"[["/out/a","/out/b"],"text"]"#) };
        let report = outcome(place.host(), of.without_waiting());
        assert_eq!((report.state, folder.path().join("a").exists()), (State::Suspended, false));
        let data: Value = serde_json::from_str(open(&place)[0].data.as_deref().unwrap()).unwrap();
        assert_eq!(data["arguments"], json!({ "path": "/out/a", "content": "text" }));
        let report = decide(&place, true);
        assert_eq!(
            (report.state, std::fs::read_to_string(folder.path().join("a")).unwrap()),
            (State::Suspended, "text".into())
        );
        let report = decide(&place, false);
        let told: Vec<String> = serde_json::from_str(result(&report)).unwrap();
        assert!(told[0] == "written" && told[1].starts_with("denied"), "{told:?}");
        assert!(!folder.path().join("b").exists());
    }
}

#[test]
pub(crate) fn the_guest_neither_sees_nor_settles_an_approval() {
    let site = Site::start(|_| ok("no"));
    for place in Place::every_dialect() {
        let of = Run { policy: asking(&site, ""), ..run("meddles_with_approval", &post(&site, "x").to_string()) };
        let report = outcome(place.host(), of.without_waiting());
        assert_eq!(report.state, State::Suspended, "{report:?}");
        let report = decide(&place, false);
        let told: Vec<String> = serde_json::from_str(result(&report)).unwrap();
        assert_eq!(told, ["invalid", "invalid", "invalid", "invalid", "nothing", "denied"]);
    }
    assert_eq!(site.connections(), 0);
}

#[test]
pub(crate) fn an_answer_that_is_none_leaves_the_question_open() {
    let site = Site::start(|_| ok("no"));
    for place in Place::every_dialect() {
        let of = Run { policy: asking(&site, ""), ..run("fetches", &post(&site, "x").to_string()) };
        outcome(place.host(), of.without_waiting());
        life(async {
            let host = place.host().build().unwrap();
            for text in ["true", "{}", r#"{"approved":"yes"}"#, r#"{"approved":true,"more":1}"#] {
                let error = host.settle(&id("x").promise(0), Ok(text.into())).await.unwrap_err();
                assert!(matches!(error, everstep::Error::InvalidOutcome { .. }), "{text}: {error}");
            }
        });
        assert_eq!(open(&place).len(), 1);
    }
}

#[test]
pub(crate) fn open_questions_are_capped() {
    let site = Site::start(|_| ok("no"));
    for place in Place::every_dialect() {
        let limits = "[limits]\npending_promises = 2\n";
        let policy = parse(&format!(
            "{limits}[network]\nblock = [\"non-global\"]\nallow = [\"127.0.0.1/32\"]\n[[ask]]\nwhen = \"fetch\"\nurl = \"{}\"\n",
            site.url("/**")
        ));
        let report = outcome(place.host(), posts(&site, policy, "fetches_at_once", &["a", "b", "c"]).without_waiting());
        assert_eq!((report.state, open(&place).len()), (State::Suspended, 2));
        decide(&place, true);
        let report = decide(&place, true);
        let told: Vec<String> = serde_json::from_str(result(&report)).unwrap();
        assert!(told[2].starts_with("limit-exceeded"), "{told:?}");
    }
}

#[test]
pub(crate) fn what_was_narrowed_meanwhile_is_denied_although_it_is_approved() {
    let site = Site::start(|_| ok("no"));
    for place in Place::every_dialect() {
        let of = Run { policy: asking(&site, ""), ..run("fetches", &post(&site, "x").to_string()) };
        outcome(place.host(), of.without_waiting());
        let report = life(async {
            let host = place.host().ceiling(parse("")).build().unwrap();
            host.settle(&id("x").promise(0), Ok(answer(true, None))).await.unwrap();
            host.resume(&id("x"), Patience::Forever).await.unwrap().wait().await.unwrap()
        });
        assert_eq!(failure(&report).0, FailureKind::Returned(ErrorCode::Denied), "{report:?}");
    }
    assert_eq!(site.connections(), 0);
}

#[test]
pub(crate) fn an_approval_does_not_hold_for_a_fork() {
    let site = Site::start(|_| ok("done"));
    for remember in ["once", "execution"] {
        for place in Place::every_dialect() {
            let before = site.requests().len();
            let policy = asking(&site, &format!("remember = \"{remember}\""));
            outcome(place.host(), posts(&site, policy, "fetches_in_turn", &["a", "a"]).without_waiting());
            let mut report = decide(&place, true);
            while report.state == State::Suspended {
                report = decide(&place, true);
            }
            assert_eq!(site.requests().len() - before, 2);
            let steps =
                life(async { place.host().build().unwrap().reader().steps(&id("x")).await.unwrap().len() }) as u64;
            for at in 1..steps {
                let fork = id(&format!("fork-{at}"));
                life(async {
                    let host = place.host().build().unwrap();
                    host.fork(everstep::Fork::new(&id("x"), at, &fork)).await.unwrap();
                    host.resume(&fork, Patience::None).await.unwrap().wait().await.unwrap()
                });
                assert_eq!(site.requests().len() - before, 2, "the fork at {at} posted without an approval");
            }
        }
    }
}

#[test]
pub(crate) fn an_approval_can_be_given_up_with_its_call() {
    let site = Site::start(|_| ok("no"));
    for place in Place::every_dialect() {
        let of = Run { policy: asking(&site, ""), ..run("gives_a_request_up", &post(&site, "x").to_string()) };
        let report = outcome(place.host(), of);
        assert!(result(&report).starts_with("\"canceled"), "{report:?}");
        assert_eq!(open(&place), []);
    }
    assert_eq!(site.connections(), 0);
}

/// Two calls that are asked about: whichever commit fails, each is asked about once and made with the key of its step.
#[test]
pub(crate) fn a_crash_at_any_commit_neither_loses_nor_repeats_an_approval() {
    // No server: it fails a commit of the store.
    for place in Place::local() {
        for fate in [Fate::Lost, Fate::Foretold, Fate::Kept] {
            let commits = (1..).take_while(|commit| survive(&place.another(), *commit, fate)).count();
            assert!(commits > 4, "only {commits} commits");
        }
    }
}

#[test]
fn an_approval_that_is_being_written_opens_nothing_yet() {
    // One place: a store in memory has nothing to wait for, and a server is another process.
    let place = Place::folder();
    let site = Arc::new(Site::start(|_| ok("done")));
    let (tell, told) = mpsc::channel();
    life(async {
        let store = CrashStore::at(place.store(), u32::MAX, Fate::Lost);
        let builder = quick(Everstep::over(Arc::clone(&store) as Arc<dyn Backend>)).keep_warm(Duration::MAX);
        let host = builder.build().unwrap();
        let of = Run { policy: asking(&site, ""), ..run("fetches", &post(&site, "x").to_string()) };
        let handle = host.start(of).await.unwrap();
        let reader = host.reader();
        let open = eventually("the question", async || reader.promises().await.unwrap().pop()).await;
        let during = Arc::clone(&site);
        store.before_an_answer_is_durable(move || {
            // Long enough for a request that does not wait for this write.
            std::thread::sleep(Duration::from_millis(200));
            tell.send(during.requests().len()).unwrap();
        });
        host.settle(&open.id, Ok(answer(true, None))).await.unwrap();
        assert!(result(&soon("the end", handle.wait()).await.unwrap()).contains("done"));
    });
    assert_eq!(
        (told.recv().unwrap(), site.requests().len()),
        (0, 1),
        "requests before the approval was durable, and in all"
    );
}

#[test]
fn an_approval_under_a_claim_that_is_lost_opens_nothing() {
    // No server: it stands between the host and the tables; `remote_commands` takes claims from hosts there.
    for place in Place::local() {
        let site = Site::start(|_| ok("done"));
        life(async {
            let store = CrashStore::at(place.store(), u32::MAX, Fate::Taken);
            let builder = quick(Everstep::over(Arc::clone(&store) as Arc<dyn Backend>)).keep_warm(Duration::MAX);
            let host = builder.build().unwrap();
            let of = Run { policy: asking(&site, ""), ..run("fetches", &post(&site, "x").to_string()) };
            let _handle = host.start(of).await.unwrap();
            let reader = host.reader();
            let open = eventually("the question", async || reader.promises().await.unwrap().pop()).await;
            store.strike();
            host.settle(&open.id, Ok(answer(true, None))).await.unwrap();
            assert!(store.has_struck());
            // Long enough for a request that does not look at the claim.
            tokio::time::sleep(Duration::from_millis(200)).await;
        });
        assert_eq!(site.requests().len(), 0, "{place:?}");
    }
}

fn survive(place: &Place, commit: u32, fate: Fate) -> bool {
    let site = Site::start(|_| ok("done"));
    let of = || posts(&site, asking(&site, ""), "fetches_at_once", &["a", "b"]);
    let inner = place.store();
    let store = CrashStore::at(Arc::clone(&inner), commit, fate);
    let first = life(through(quick(Everstep::over(Arc::clone(&store) as Arc<dyn Backend>)), of()));
    let report = life(through(quick(Everstep::over(inner)), of())).unwrap();
    let context = format!("commit {commit}, {fate:?}: {report:?}");
    assert_eq!(result(&report), r#"["200","200"]"#, "{context}");
    let mut keys: Vec<(String, String)> = site
        .requests()
        .iter()
        .map(|one| (String::from_utf8_lossy(&one.body).into_owned(), one.header("idempotency-key").join(",")))
        .collect();
    keys.sort();
    keys.dedup();
    let expected = [("a", "x.1"), ("b", "x.3")].map(|(body, key)| (body.to_owned(), key.to_owned()));
    assert_eq!(keys, expected, "{context}");
    first.is_err()
}

/// Runs with a person who approves whatever is asked.
async fn through(builder: Builder, of: Run) -> Result<Report, Arc<everstep::Error>> {
    let host = builder.build().unwrap();
    let person = tokio::spawn({
        let host = host.clone();
        async move {
            loop {
                for asked in host.reader().promises().await.unwrap_or_default() {
                    // The host says itself that its store has failed.
                    let _ = host.settle(&asked.id, Ok(answer(true, None))).await;
                }
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        }
    });
    let outcome = host.run(of).await;
    person.abort();
    outcome
}
