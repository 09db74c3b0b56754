//! Two threads that settle the same promise: one of them does, and the other one learns how.

use everstep::store::operation::{Event, NewPromise, Operation, Reply, Settlement};
use everstep::store::record::{NEVER, Promise, PromiseState, Value};
use everstep::store::{Backend, Change};
use everstep_tests::faults;
use everstep_tests::place::Place;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

const RACES: usize = 10_000;

#[test]
fn two_resolvers_racing_for_a_promise_have_one_winner() {
    let _turn = faults::exclusive();
    // No server: it races for the tables; the oracle compares what `serve` answers.
    for place in Place::local() {
        race(&*place.store());
    }
}

/// How a resolver settles a promise.
fn settlement(resolver: usize, race: usize) -> Settlement {
    let state = [PromiseState::Resolved, PromiseState::Rejected][resolver];
    let value = Value { headers: BTreeMap::new(), data: Some(format!("{resolver}:{race}")) };
    Settlement { id: race.to_string(), state, value }
}

/// What a resolver learned of a race, and whether its commit settled the promise.
type Lap = (Promise, bool);

fn race(store: &dyn Backend) {
    let create = (0..RACES).map(|race| {
        let (param, tags) = (Value::default(), BTreeMap::new());
        Change::operation(
            1,
            Operation::PromiseCreate(NewPromise { id: race.to_string(), timeout_at: NEVER, param, tags: tags.into() }),
        )
    });
    store.commit(&create.collect::<Vec<_>>()).unwrap();
    let at = AtomicUsize::new(0);
    let [first, second] = std::thread::scope(|scope| {
        let at = &at;
        let resolvers = [0, 1].map(|resolver| scope.spawn(move || laps(store, resolver, at)));
        resolvers.map(|resolver| resolver.join().unwrap())
    });
    let mut wins = [0; 2];
    for (race, laps) in first.into_iter().zip(second).enumerate() {
        wins[judge(store, race, [laps.0, laps.1])] += 1;
    }
    println!("{wins:?}");
    assert!(wins.iter().all(|wins| *wins > 0), "nobody raced: {wins:?}");
}

/// Settles one promise after the other, each at the same time as the other resolver.
fn laps(store: &dyn Backend, resolver: usize, at: &AtomicUsize) -> Vec<Lap> {
    let lap = |race| {
        // The last one to come to the line starts both.
        at.fetch_add(1, Ordering::SeqCst);
        while at.load(Ordering::SeqCst) < 2 * (race + 1) {
            std::thread::yield_now();
        }
        let applied = store.operate(2, Operation::PromiseSettle(settlement(resolver, race))).unwrap();
        let Ok(Reply::Promise(promise)) = applied.answer else { panic!("{applied:?}") };
        (promise, applied.events.iter().any(|event| matches!(event, Event::Settled(_))))
    };
    (0..RACES).map(lap).collect()
}

/// The winner of a race: the one that settled the promise. Both were told of its settlement, which is stored.
fn judge(store: &dyn Backend, race: usize, laps: [Lap; 2]) -> usize {
    let winners: Vec<_> = (0..2).filter(|resolver| laps[*resolver].1).collect();
    let [winner] = winners[..] else { panic!("race {race}: {laps:?}") };
    let Settlement { state, value, .. } = settlement(winner, race);
    let (stored, _) = store.promise(&race.to_string()).unwrap().unwrap();
    assert_eq!((&stored.state, &stored.value, stored.settled_at), (&state, &value, Some(2)));
    assert!(laps.iter().all(|(told, _)| *told == stored), "race {race}: {laps:?}");
    winner
}
