//! A store that takes executions away from a host at its write, or its question before an effect, 1..N: nothing is recorded and nothing
//! done under a claim that is lost, and whoever has the execution ends it as if nothing had happened.

use crate::faulty::{CrashStore, Fate};
use crate::recovery::{World, check_workflow, workflow};
use crate::support::{Place, eventually, life};
use everstep::Everstep;
use everstep::clock::SystemClock;
use everstep::store::{Backend, MemoryStore};
use std::sync::Arc;
use std::time::Duration;

/// The host itself takes up again what was only given back.
#[test]
fn a_workflow_that_is_given_back_at_any_moment_ends_as_if_nothing_had_happened() {
    for place in [Place::memory, Place::folder] {
        let strikes = (1..).take_while(|moment| {
            let world = World::new(Arc::new(SystemClock));
            let inner = place().store();
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
    for place in [Place::memory, Place::folder] {
        let strikes = (1..).take_while(|moment| taken_away(&place(), *moment)).count();
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
            eventually("the theft", || store.has_struck().then_some(())).await;
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

/// Where a barrier has nothing to write, nothing but the question before the effect tells that the claim is lost.
#[test]
fn no_effect_begins_under_a_lost_claim() {
    let moments = (1..).take_while(|moment| {
        let world = World::new(Arc::new(SystemClock));
        let store = CrashStore::at(Arc::new(MemoryStore::default()), *moment, Fate::Taken);
        life(async {
            let host = world.host(Everstep::over(Arc::clone(&store) as Arc<dyn Backend>));
            let ended = host.run(world.run("works"));
            let left = async {
                eventually("the theft", || store.has_struck().then_some(())).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            tokio::select! {
                report = ended => assert!(!store.has_struck(), "taken at {moment}: {report:?}"),
                () = left => {}
            }
        });
        let requests = world.again.total() + world.once.total();
        let written = u32::try_from(world.contents().len()).unwrap();
        assert!(requests + written <= store.checks(), "taken at {moment}: {requests} requests, {written} files");
        // Two files are written and one is removed.
        assert!(store.has_struck() || (requests, store.checks()) == (6, 9), "{requests}, {}", store.checks());
        store.has_struck()
    });
    let moments = moments.count();
    assert!(moments > 15, "only {moments} moments");
}
