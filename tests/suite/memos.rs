//! Computations that a guest remembers.

use crate::promises::open;
use crate::support::{ManualClock, Place, eventually, id, life, outcome, result, run};
use everstep::store::State;

#[test]
fn a_remembered_computation_is_not_repeated_after_a_restart() {
    for place in Place::each() {
        let first = outcome(place.host(), run("remembers", "null").without_waiting());
        assert_eq!(first.state, State::Suspended);
        life(async { place.host().build().unwrap().settle(&id("x").promise(2), Ok("1".into())).await.unwrap() });
        let done = outcome(place.host(), run("remembers", "null"));
        assert_eq!(result(&done), "[9,16,0]", "the last number counts the computations of this instance");
    }
}

#[test]
fn without_a_restart_a_remembered_computation_runs_once() {
    for place in Place::each() {
        life(async {
            let host = place.host().build().unwrap();
            let handle = host.start(run("remembers", "null")).await.unwrap();
            let asked = eventually("the question", async || open(&host).await.pop()).await;
            host.settle(&asked, Ok("1".into())).await.unwrap();
            assert_eq!(result(&handle.wait().await.unwrap()), "[9,16,2]");
        });
    }
}

/// A computation that makes calls is repeated, but its calls are answered from the journal.
#[test]
fn the_calls_of_a_remembered_computation_are_not_made_again() {
    for place in Place::each() {
        let clock = ManualClock::at(1_000);
        let first = outcome(place.by(clock.clone(), place.host()), run("remembers_calls", "null").without_waiting());
        assert_eq!(first.state, State::Suspended);
        clock.advance_to(2_000);
        life(async { place.host().build().unwrap().settle(&id("x").promise(2), Ok("1".into())).await.unwrap() });
        let done = outcome(place.by(clock, place.host()), run("remembers_calls", "null"));
        assert_eq!(result(&done), "[1000,1]");
    }
}

/// Whatever an execution is bound to, it is bound to as it is read back.
#[test]
fn an_execution_goes_on_whose_arguments_had_space_around_them() {
    for place in Place::each() {
        let call = || run("remembers", " \n null ");
        assert_eq!(outcome(place.host(), call().without_waiting()).state, State::Suspended);
        life(async { place.host().build().unwrap().settle(&id("x").promise(2), Ok("1".into())).await.unwrap() });
        assert_eq!(result(&outcome(place.host(), call())), "[9,16,0]");
    }
}
