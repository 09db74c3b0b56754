//! `websocket` as a guest sees it: messages in order, the limits of its rule, and what is left of a connection after a crash.

use crate::faulty::{CrashStore, Fate};
use crate::site::Site;
use crate::support::{Place, eventually, failure, id, life, outcome, parse, quick, result, run};
use everstep::store::{Backend, FailureKind, State};
use everstep::{ErrorCode, Everstep, Policy, Run};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::net::TcpStream;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

/// What a server was told, by connection.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<Vec<String>>>>);

impl Heard {
    pub(crate) fn all(&self) -> Vec<Vec<String>> {
        self.0.lock().unwrap().clone()
    }

    fn total(&self) -> usize {
        self.all().iter().map(Vec::len).sum()
    }
}

/// A server that answers each message with it; it stays silent after `silence`.
pub(crate) fn echo(heard: &Heard) -> Site {
    let heard = heard.clone();
    Site::with(move |stream: TcpStream| {
        let heard = heard.clone();
        async move {
            let Ok(mut socket) = accept_async(stream).await else { return };
            let number = {
                let mut all = heard.0.lock().unwrap();
                all.push(Vec::new());
                all.len() - 1
            };
            while let Some(Ok(message)) = socket.next().await {
                if message.is_text() || message.is_binary() {
                    heard.0.lock().unwrap()[number].push(message.to_string());
                    if message.to_string() == "bye" {
                        let _ = socket.close(None).await;
                        return;
                    }
                    if message.to_string() != "silence" && socket.send(message).await.is_err() {
                        return;
                    }
                }
            }
        }
    })
}

pub(crate) fn url(site: &Site) -> String {
    format!("ws://{}/chat", site.address())
}

pub(crate) fn on(site: &Site, more: &str) -> Policy {
    parse(&format!(
        "[network]\nblock = [\"non-global\"]\nallow = [\"127.0.0.1/32\"]\n[[websocket]]\nid = \"chat\"\nurl = \"{}\"\n{more}\n",
        url(site)
    ))
}

fn talk(site: &Site, more: &str, args: &Value) -> Run {
    Run { policy: on(site, more), ..run("talks", &args.to_string()) }
}

fn heard_by_guest(report: &everstep::Report) -> Vec<String> {
    serde_json::from_str(result(report)).unwrap()
}

#[test]
pub(crate) fn a_guest_says_and_hears_text_and_bytes_in_order() {
    for place in Place::each() {
        let site = echo(&Heard::default());
        let args = json!({ "url": url(&site), "say": ["one", "two", "bye"] });
        let report = outcome(place.host(), talk(&site, "", &args));
        let heard = heard_by_guest(&report);
        assert_eq!(heard[..2], ["one", "two"]);
        assert!(heard[2].starts_with("closed Peer"), "{heard:?}");
        let args = json!({ "url": url(&site), "say": ["\u{1}a"], "binary": true, "close": [3001, "enough"] });
        let report = outcome(place.host(), talk(&site, "", &args).with_id(id("y")));
        assert_eq!(heard_by_guest(&report), ["[1, 97]", "closed Guest 3001 enough"]);
    }
}

#[test]
pub(crate) fn messages_go_to_the_calls_in_their_order() {
    for place in Place::each() {
        let site = Site::with(|stream: TcpStream| async move {
            let Ok(mut socket) = accept_async(stream).await else { return };
            for number in 0..20 {
                if socket.send(Message::text(number.to_string())).await.is_err() {
                    return;
                }
            }
            while let Some(Ok(_)) = socket.next().await {}
        });
        let args = json!([url(&site), 20]).to_string();
        let report = outcome(place.host(), Run { policy: on(&site, ""), ..run("hears", &args) });
        let expected: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        assert_eq!(heard_by_guest(&report), expected);
    }
}

#[test]
pub(crate) fn the_bounds_of_a_rule_hold() {
    for place in Place::each() {
        let heard = Heard::default();
        let site = echo(&heard);
        let long = "x".repeat(101);
        let say = |lines: &[&str]| json!({ "url": url(&site), "say": lines });
        let report = outcome(place.another().host(), talk(&site, "max_message = \"100B\"", &say(&[&long])));
        assert!(heard_by_guest(&report)[0].starts_with("limit-exceeded"), "{report:?}");
        assert_eq!(heard.total(), 0);
        let report = outcome(place.another().host(), talk(&site, "max_messages = 4", &say(&["a", "b", "c"])));
        assert!(heard_by_guest(&report)[2].starts_with("limit-exceeded"), "{report:?}");
        assert_eq!(heard.all().last().unwrap(), &["a", "b"]);
        let report = outcome(place.another().host(), talk(&site, "idle = \"100ms\"", &say(&["silence"])));
        assert!(heard_by_guest(&report)[0].starts_with("closed Idle"), "{report:?}");
        let args = json!([url(&site), 3]).to_string();
        let policy = on(&site, "max_open = 2");
        let told = heard_by_guest(&outcome(place.another().host(), Run { policy, ..run("connects_at_once", &args) }));
        let open = told.iter().filter(|one| *one == "open").count();
        assert_eq!((open, told.iter().filter(|one| one.starts_with("limit-exceeded")).count()), (2, 1), "{told:?}");
    }
}

#[test]
pub(crate) fn what_no_rule_grants_is_not_connected_to() {
    for place in Place::each() {
        let site = echo(&Heard::default());
        let other = json!({ "url": format!("ws://{}/other", site.address()), "say": [] });
        let report = outcome(place.another().host(), talk(&site, "", &other));
        assert_eq!(failure(&report).0, FailureKind::Returned(ErrorCode::Denied), "{report:?}");
        let blocked = parse(&format!("[[websocket]]\nid = \"chat\"\nurl = \"{}\"", url(&site)));
        let args = json!({ "url": url(&site), "say": [] });
        let report = outcome(place.another().host(), Run { policy: blocked, ..run("talks", &args.to_string()) });
        assert_eq!(failure(&report).0, FailureKind::Returned(ErrorCode::Denied), "{report:?}");
        let injected = json!({ "url": url(&site), "protocols": ["a\r\nx: y"], "say": [] });
        let report = outcome(place.another().host(), talk(&site, "", &injected));
        assert_eq!(failure(&report).0, FailureKind::Returned(ErrorCode::Invalid), "{report:?}");
        assert_eq!(site.connections(), 0);
    }
}

/// A conversation that a crash breaks off at any commit: the guest learns that its connection is gone, comes back, and says nothing twice
/// that it does not say again itself. What it had heard, it hears again in the same order.
#[test]
pub(crate) fn a_connection_that_a_crash_has_ended_is_recovered_from() {
    // No server: it fails a commit of the store.
    for place in Place::local() {
        for fate in [Fate::Lost, Fate::Kept] {
            let commits = (1..).take_while(|commit| survive(&place.another(), *commit, fate)).count();
            assert!(commits > 4, "only {commits} commits");
        }
    }
}

fn survive(place: &Place, commit: u32, fate: Fate) -> bool {
    let heard = Heard::default();
    let site = echo(&heard);
    let say = ["one", "two", "three"];
    let args = json!({ "url": url(&site), "say": say, "comes_back": true });
    let of = || talk(&site, "", &args);
    let inner = place.store();
    let store = CrashStore::at(Arc::clone(&inner), commit, fate);
    let first =
        life(async { quick(Everstep::over(Arc::clone(&store) as Arc<dyn Backend>)).build().unwrap().run(of()).await });
    let report = outcome(quick(Everstep::over(inner)), of());
    let context = format!("commit {commit}, {fate:?}: {report:?}, {:?}", heard.all());
    assert_eq!(report.state, State::Completed, "{context}");
    let told = heard_by_guest(&report);
    let lines: Vec<&String> = told.iter().filter(|line| say.contains(&line.as_str())).collect();
    assert!(lines.is_sorted_by_key(|line| say.iter().position(|known| known == line)), "{context}");
    let ends = told.iter().filter(|line| line.starts_with("closed ")).count();
    assert!(
        told.iter().filter(|line| line.starts_with("closed ")).all(|line| line.starts_with("closed Recovered")),
        "{context}"
    );
    assert_eq!(lines.len() + ends, say.len(), "{context}");
    for line in say {
        let times = heard.all().iter().flatten().filter(|known| *known == line).count();
        assert!(times <= 1, "{context}: {line} was sent {times} times");
    }
    first.is_err()
}

#[test]
pub(crate) fn a_connection_is_closed_with_its_execution() {
    for place in Place::each() {
        let closed = Arc::new(Mutex::new(0));
        let site = {
            let closed = Arc::clone(&closed);
            Site::with(move |stream: TcpStream| {
                let closed = Arc::clone(&closed);
                async move {
                    let Ok(mut socket) = accept_async(stream).await else { return };
                    while let Some(Ok(_)) = socket.next().await {}
                    *closed.lock().unwrap() += 1;
                }
            })
        };
        let args = json!([url(&site), 2]).to_string();
        life(async {
            let host = place.host().build().unwrap();
            host.run(Run { policy: on(&site, ""), ..run("connects_at_once", &args) }).await.unwrap();
            eventually("both connections closed", async || (*closed.lock().unwrap() == 2).then_some(())).await;
        });
    }
}
