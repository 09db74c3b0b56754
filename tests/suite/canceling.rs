//! Executions that are canceled: while they wait, compute, or are about to suspend.

use crate::promises::{TEMPORARY_OF_FILE, open};
use crate::support::{Place, eventually, id, life, parse, run, soon};
use everstep::store::State;
use everstep::{Cancellation, Run};
use std::fs::File;
use std::time::Duration;

#[test]
fn a_canceled_execution_ends_while_it_waits_and_while_nobody_runs_it() {
    for place in Place::every_dialect() {
        life(async {
            let host = place.host().build().unwrap();
            let handle = host.start(run("asks", "null")).await.unwrap();
            eventually("the question", async || open(&host).await.pop()).await;
            host.cancel(&id("x")).await.unwrap();
            assert_eq!(soon("the end", handle.wait()).await.unwrap().state, State::Canceled);
            let at_rest = run("asks", "null").with_id(id("y")).without_waiting();
            assert_eq!(host.run(at_rest).await.unwrap().state, State::Suspended);
            host.cancel(&id("y")).await.unwrap();
            assert_eq!(open(&host).await, [], "nobody should be asked any more");
        });
        life(async {
            let host = place.host().build().unwrap();
            for name in ["x", "y"] {
                assert_eq!(host.reader().execution(&id(name)).await.unwrap().state, State::Canceled);
                let again = host.cancel(&id(name)).await.unwrap();
                assert_eq!(again, Cancellation::HadEnded(State::Canceled));
            }
        });
    }
}

#[test]
fn an_execution_that_waits_for_an_instance_can_be_canceled() {
    for place in Place::every_dialect() {
        life(async {
            let host = place.host().instances(1).build().unwrap();
            let _holds = host.start(run("asks", "null")).await.unwrap();
            eventually("the question", async || open(&host).await.pop()).await;
            let waits = host.start(run("asks", "null").with_id(id("y"))).await.unwrap();
            soon("the cancellation", host.cancel(&id("y"))).await.unwrap();
            assert_eq!(soon("the end", waits.wait()).await.unwrap().state, State::Canceled);
        });
    }
}

#[test]
fn a_cancellation_returns_after_the_effect_that_cannot_be_given_up() {
    for place in Place::every_dialect() {
        let folder = tempfile::tempdir().unwrap();
        let host_folder = folder.path().to_str().unwrap();
        let granted =
            parse(&format!("[[files]]\nid = \"f\"\nguest = \"/f\"\nhost = \"{host_folder}\"\naccess = \"write\"\n"));
        life(async {
            let host = place.host().build().unwrap();
            // A write waits for whoever else fills the file that it fills first.
            let first = Run { policy: granted.clone(), ..run("writes_twice", "null").with_id(id("w")) };
            host.run(first).await.unwrap();
            let temporary = File::create(folder.path().join(TEMPORARY_OF_FILE)).unwrap();
            temporary.lock().unwrap();
            let handle = host.start(Run { policy: granted, ..run("writes_twice", "null") }).await.unwrap();
            eventually("the write", async || (host.reader().steps(&id("x")).await.unwrap().len() == 1).then_some(()))
                .await;
            std::fs::remove_file(folder.path().join("file")).unwrap();
            let cancel = tokio::spawn({
                let host = host.clone();
                async move { host.cancel(&id("x")).await }
            });
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(!cancel.is_finished(), "the write is not over");
            drop(temporary);
            soon("the cancellation", cancel).await.unwrap().unwrap();
            assert_eq!(handle.wait().await.unwrap().state, State::Canceled);
            assert!(folder.path().join("file").exists(), "whatever happens has happened by now");
        });
    }
}

#[test]
fn a_canceled_execution_ends_while_it_computes() {
    for place in Place::every_dialect() {
        life(async {
            let host = place.host().build().unwrap();
            let handle = host.start(run("asks_and_spins", "1000000000000")).await.unwrap();
            eventually("the question", async || open(&host).await.pop()).await;
            soon("the cancellation", host.cancel(&id("x"))).await.unwrap();
            assert_eq!(soon("the end", handle.wait()).await.unwrap().state, State::Canceled);
        });
    }
}

#[test]
fn cancellations_at_the_moment_of_suspension_end_the_execution() {
    for place in Place::every_dialect() {
        life(async {
            let host = place.host().build().unwrap();
            for number in 0..40 {
                let name = id(&format!("x{number}"));
                let handle = host.start(run("asks", "null").with_id(name.clone()).without_waiting()).await.unwrap();
                let (canceled, _) = tokio::join!(host.cancel(&name), handle.wait());
                canceled.unwrap();
                assert_eq!(host.reader().execution(&name).await.unwrap().state, State::Canceled);
            }
        });
    }
}
