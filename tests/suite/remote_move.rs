//! Executions that are moved from a store of one machine to a server, once, whatever fails on the way.
//!
//! One place: it is about the way from one to the other.

use crate::faulty::{CrashStore, Fate};
use crate::remote_commands::{Ground, until};
use crate::support::{Place, eventually, id, life, result, run, soon};
use bytes::Bytes;
use everstep::store::{Backend, FailureKind, MemoryStore, State};
use everstep::{Error, Everstep, Patience, Run, Scope, Server};
use everstep_resonate::Manner;
use everstep_resonate::client::{Client, Http, Options, Transport, Unreachable};
use everstep_tests::place::quick;
use futures::stream::BoxStream;
use serde_json::json;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Reaches a server until so many requests were sent.
struct Failing {
    http: Http,
    left: AtomicUsize,
}

#[async_trait::async_trait]
impl Transport for Failing {
    fn server(&self) -> &str {
        self.http.server()
    }

    async fn send(&self, request: Bytes) -> Result<(u16, Bytes), Unreachable> {
        let spend = |left: usize| left.checked_sub(1);
        match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend) {
            // The last one arrives, and nobody learns of it.
            Ok(1) => self.http.send(request).await.and(Err(Unreachable::Lost("the end".to_owned()))),
            Ok(_) => self.http.send(request).await,
            Err(_) => Err(Unreachable::Lost("the end".to_owned())),
        }
    }

    async fn receive(
        &self,
        group: &str,
        id: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, Unreachable>>, Unreachable> {
        self.http.receive(group, id).await
    }
}

/// A host on the server that runs nothing, and whose connection ends after so many requests of a move.
async fn there(ground: &Ground, requests: usize) -> (Everstep, Arc<Failing>) {
    let failing = Arc::new(Failing { http: Http::new(&ground.url, None).unwrap(), left: AtomicUsize::new(usize::MAX) });
    let options = Options { patience: Duration::from_millis(50), ..Options::default() };
    let transport = Arc::clone(&failing) as Arc<dyn Transport>;
    let client = Client::connect(transport, options).await.unwrap();
    failing.left.store(requests, Ordering::SeqCst);
    (Everstep::at(Server::over(client)).scope(Scope::Nothing).build().unwrap(), failing)
}

fn mover(store: Arc<dyn Backend>) -> Everstep {
    quick(Everstep::over(store)).scope(Scope::Nothing).build().unwrap()
}

/// Runs an execution in a store of its own until it waits.
fn suspended(run: Run) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::default());
    life(async {
        let host = quick(Everstep::over(Arc::clone(&store) as _)).build().unwrap();
        let report = host.run(run.without_waiting()).await.unwrap();
        assert_eq!(report.state, State::Suspended, "{report:?}");
    });
    store
}

/// Moves an errand while something fails, and again; then workers end it. Whether it failed the first time.
fn moves(ground: &Ground, name: &str, commit: Option<u32>, requests: usize) -> bool {
    let store = suspended(ground.errand(name, 10));
    let failing: Arc<dyn Backend> = match commit {
        Some(commit) => CrashStore::at(Arc::clone(&store) as _, commit, Fate::Lost),
        None => Arc::clone(&store) as _,
    };
    let (name_id, url) = (id(name), ground.url.clone());
    let first = life(async {
        let (there, _) = there(ground, requests).await;
        mover(failing).move_to(&name_id, &there, &url).await
    });
    let has_failed = first.is_err();
    life(async {
        let host = quick(Everstep::over(Arc::clone(&store) as _)).build().unwrap();
        let here = host.reader().execution(&name_id).await.unwrap();
        let sent_off = here.progress.error.as_ref().is_some_and(|failure| failure.kind == FailureKind::Moved);
        if sent_off {
            // Whatever is still to be done there, nobody goes on with it here.
            let answered = host.settle(&name_id.promise(14), Ok("5".into())).await;
            assert!(matches!(answered, Err(Error::Moved { .. } | Error::OnItsWay { .. })), "{answered:?}");
            if !here.state.is_final() {
                let resumed = host.resume(&name_id, Patience::None).await.map(drop);
                assert!(matches!(resumed, Err(Error::OnItsWay { .. })), "{resumed:?}");
                let (there, _) = there(ground, usize::MAX).await;
                let elsewhere = mover(Arc::clone(&store) as _).move_to(&name_id, &there, "http://another").await;
                assert!(matches!(elsewhere, Err(Error::OnItsWay { .. })), "{elsewhere:?}");
            }
        }
        drop(host);
        let (there, _) = there(ground, usize::MAX).await;
        let moved = mover(Arc::clone(&store) as _).move_to(&name_id, &there, &url).await.unwrap();
        assert!(has_failed || moved.executions.is_empty(), "{moved:?}");
        let here = mover(Arc::clone(&store) as _).reader().execution(&name_id).await.unwrap();
        assert_eq!(here.state, State::Canceled, "{here:?}");
    });
    ground.answer(name);
    ground.check(name);
    has_failed
}

#[test]
fn whichever_write_of_the_store_fails_an_execution_is_moved_once() {
    let ground = Ground::new();
    let _worker = ground.worker(&[]);
    let failed = (1..).take_while(|commit| moves(&ground, &format!("x{commit}"), Some(*commit), usize::MAX)).count();
    assert!(failed >= 3, "{failed}");
}

#[test]
fn whichever_request_to_the_server_is_the_last_an_execution_is_moved_once() {
    let ground = Ground::new();
    let _worker = ground.worker(&[]);
    let sent = (1..).take_while(|requests| moves(&ground, &format!("x{requests}"), None, *requests)).count();
    assert!(sent >= 5, "{sent}");
}

/// Answers what an execution, or one that it has called, asks, by command.
fn answer(ground: &Ground, of: &str) {
    until("the question", || {
        let (_, asked) = ground.desk.json(&["promise", "list", "--remote", &ground.url]);
        let asked = asked["promises"].as_array()?.iter().filter_map(|one| one["id"].as_str());
        let asked = asked.into_iter().find(|one| one.starts_with(&format!("{of}.")))?.to_owned();
        let resolve = ["promise", "resolve", &asked, "5", "--remote", &ground.url];
        ground.desk.command(&resolve).output().unwrap().status.success().then_some(())
    });
}

#[test]
fn what_an_execution_waits_for_moves_with_it_and_what_cannot_move_stays() {
    let ground = Ground::new();
    let (store, again) = (suspended(run("asks_child", "null")), suspended(run("asks", "null")));
    let worker = ground.worker(&[]);
    life(async {
        let (there, _) = there(&ground, usize::MAX).await;
        let here = mover(Arc::clone(&store) as _);
        let called = here.reader().executions().await.unwrap().into_iter().map(|one| one.id);
        let child = called.into_iter().find(|one| one.parent().is_some()).unwrap();
        let stays = here.move_to(&child, &there, &ground.url).await.unwrap_err();
        assert!(stays.to_string().contains("it was called by another one; move x"), "{stays}");
        let moved = here.move_to(&id("x"), &there, &ground.url).await.unwrap();
        assert_eq!(moved.executions, [child.clone(), id("x")]);
        assert_eq!(moved.components.len(), 1);
        let taken = mover(again as _).move_to(&id("x"), &there, &ground.url).await.unwrap_err();
        assert!(taken.to_string().contains("the server has an execution or a promise of that id"), "{taken}");
        let unknown = here.move_to(&id("y"), &there, &ground.url).await.unwrap_err();
        assert!(matches!(unknown, Error::UnknownExecution(_)), "{unknown}");
        let back = there.move_to(&id("x"), &here, "here").await.unwrap_err();
        assert!(back.to_string().contains("from a store of this machine to a server"), "{back}");
    });
    answer(&ground, "x");
    ground.until("x", State::Completed);
    drop(worker);
}

#[test]
fn executions_are_moved_by_command_with_the_components_that_workers_need() {
    let ground = Ground::new();
    fs::create_dir(ground.desk.dir.path().join("out/x")).unwrap();
    for (name, function) in [("x", "mixed"), ("y", "asks"), ("done", "same")] {
        let args = if function == "mixed" { "\"/out/x\"" } else { "null" };
        ground.desk.json(&[&ground.desk.run(function, args, name)[..], &["--no-wait"]].concat());
    }
    assert_eq!(ground.desk.json(&ground.desk.run("traps", "null", "halted")).1["state"], "halted");
    let to = ["--to", ground.url.as_str()];
    let (code, refused) = ground.desk.json(&[&["move", "done"], &to[..]].concat());
    assert_eq!((code, &refused["stays"][0]["kind"]), (2, &json!("ended")), "{refused}");
    let (code, moved) = ground.desk.json(&[&["move", "--all", "--components", "parts"], &to[..]].concat());
    assert_eq!((code, &moved["moved"]), (2, &json!(["x", "y"])), "{moved}");
    let stays = &moved["stays"][0];
    assert_eq!((&stays["id"], &stays["kind"]), (&json!("halted"), &json!("stays")), "{moved}");
    let digest = moved["components"][0].as_str().unwrap().replace(':', "-");
    let component = ground.desk.dir.path().join(format!("parts/{digest}.wasm"));
    assert_eq!(fs::read(&component).unwrap(), fs::read(&ground.desk.component).unwrap());
    let (_, shown) = ground.desk.json(&["show", "x"]);
    assert_eq!((&shown["state"], &shown["error"]["kind"]), (&json!("canceled"), &json!("moved")), "{shown}");
    let (code, again) = ground.desk.json(&[&["move", "x"], &to[..]].concat());
    assert_eq!((code, &again["moved"], &again["stays"]), (0, &json!([]), &json!([])), "{again}");
    let _worker = ground.worker_at(&ground.url, component.to_str().unwrap(), &[]);
    for name in ["x", "y"] {
        answer(&ground, name);
        ground.until(name, State::Completed);
    }
    assert_eq!(ground.desk.read("out/x/after"), "6");
}

#[test]
fn in_every_dialect_an_execution_goes_on_where_it_was_moved_to() {
    for place in Place::servers(&[Manner::A, Manner::B, Manner::C]) {
        let store = suspended(run("asks_child", "null").within(Duration::from_secs(600)));
        life(async {
            let worker = place.host().scope(Scope::Everything).keep_warm(Duration::ZERO).build().unwrap();
            let there = place.host().build().unwrap();
            let here = mover(Arc::clone(&store) as _);
            let moved = here.move_to(&id("x"), &there, "there").await.unwrap();
            assert_eq!(moved.executions.last(), Some(&id("x")));
            let asked = eventually("the question", async || worker.reader().promises().await.unwrap().pop()).await;
            let handle = worker.hand_over(&id("x")).await.unwrap();
            there.settle(&asked.id, Ok("5".into())).await.unwrap();
            assert_eq!(result(&soon("the end", handle.wait()).await.unwrap()), "5");
            let before = here.reader().execution(&id("x")).await.unwrap();
            assert_eq!((before.state, before.attempts), (State::Canceled, 2));
        });
    }
}

/// Another execution took its id on the server while it was on its way: it is not taken for the one that was moved.
#[test]
fn an_id_that_was_taken_on_the_way_is_noticed_and_nothing_is_lost() {
    let ground = Ground::new();
    let store = suspended(run("asks", "null"));
    life(async {
        let here = mover(Arc::clone(&store) as _);
        // The first request asks for the id, the second one writes.
        let (broken, _) = there(&ground, 2).await;
        here.move_to(&id("x"), &broken, &ground.url).await.unwrap_err();
        let on_its_way = here.reader().execution(&id("x")).await.unwrap();
        assert_eq!(on_its_way.progress.error.unwrap().kind, FailureKind::Moved);
        let (host, _) = there(&ground, usize::MAX).await;
        host.submit(run("asks", "null")).await.unwrap();
        let stays = here.move_to(&id("x"), &host, &ground.url).await;
        let sent_off = here.reader().execution(&id("x")).await.unwrap();
        assert!(matches!(stays, Err(Error::Stays { .. })), "{stays:?}");
        assert!(!sent_off.state.is_final(), "{sent_off:?}");
    });
}
