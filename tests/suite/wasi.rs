//! Guests that import WASI: everything that they see of the machine is recorded, or granted, or refused.

use crate::support::{ManualClock, Place, Shown, failure, id, life, outcome, parse, policy, result};
use everstep::clock::TestClock;
use everstep::store::{FailureKind, State};
use everstep::{Component, ErrorCode, Policy, Run};
use everstep_tests::guests;
use std::sync::{Arc, LazyLock};

static WASI: LazyLock<Component> = LazyLock::new(|| guests::fixture("wasi").unwrap().into());

fn run(function: &str, policy: Policy) -> Run {
    Run::new(WASI.clone(), function, "null", policy).with_id(id("x"))
}

#[test]
fn both_clocks_read_the_recorded_time_and_a_nap_is_a_durable_timer() {
    for place in Place::each() {
        let report = outcome(place.by(Arc::new(TestClock::at(1_700_000_000_123)), place.host()), run("naps", policy()));
        assert_eq!(result(&report), "[1700000000123,3600000,3600000]");
    }
}

#[test]
fn a_nap_goes_on_while_no_host_runs() {
    for place in Place::each() {
        let clock = ManualClock::at(1_000);
        let suspended = outcome(place.by(clock.clone(), place.host()), run("naps", policy()).without_waiting());
        assert_eq!(suspended.state, State::Suspended);
        clock.advance_to(7_200_000);
        let done = outcome(place.by(clock, place.host()), run("naps", policy()).without_waiting());
        assert_eq!(result(&done), "[1000,7199000,7199000]");
    }
}

#[test]
fn randomness_and_time_are_replayed_and_output_is_shown_once() {
    for place in Place::each() {
        let shown = Shown::default();
        let clock = ManualClock::at(1_000);
        let host = || place.by(clock.clone(), place.host()).on_output(shown.sink());
        let suspended = outcome(host(), run("talks", policy()).without_waiting());
        assert_eq!(suspended.state, State::Suspended);
        let first_draw = life(async {
            let host = host().build().unwrap();
            let asked = host.reader().promises().await.unwrap().remove(0);
            host.settle(&asked.id, Ok("1".into())).await.unwrap();
            host.reader().steps(&id("x")).await.unwrap()
        });
        clock.advance_to(9_000);
        let done = outcome(host(), run("talks", policy()));
        let (before, after, time): (Vec<u8>, Vec<u8>, u64) = serde_json::from_str(result(&done)).unwrap();
        assert_eq!((before.len(), after.len(), time), (8, 8, 1_000));
        assert_ne!(before, after);
        assert_eq!(shown.lines(), ["zwölf ", "careful", "gr", "ü", "\u{fffd}"]);
        life(async {
            let steps = host().build().unwrap().reader().steps(&id("x")).await.unwrap();
            assert_eq!(steps[..first_draw.len() - 1], first_draw[..first_draw.len() - 1]);
        });
    }
}

#[test]
fn a_guest_sees_the_environment_and_the_folders_of_its_policy_and_no_sockets() {
    for place in Place::each() {
        let granted =
            parse("[env]\nLANG = \"C\"\n[[files]]\nid = \"t\"\nguest = \"/t\"\nhost = \"/tmp\"\naccess = \"read\"\n");
        let report = outcome(place.host(), run("looks_around", granted));
        assert!(result(&report).starts_with(r#"[[["LANG","C"]],2,"Err(ErrorCode"#), "{report:?}");
        assert!(result(&report).contains("access-denied"), "{report:?}");
    }
}

#[test]
fn a_clock_that_is_not_granted_ends_the_guest_with_the_remedy() {
    for place in Place::each() {
        let report = outcome(place.host(), run("naps", Policy::none()));
        let (kind, message) = failure(&report);
        assert_eq!((report.state, kind), (State::Failed, FailureKind::Returned(ErrorCode::Denied)));
        assert!(message.contains("[clock]"), "{message}");
    }
}

#[test]
fn a_guest_that_exits_has_trapped() {
    for place in Place::each() {
        let report = outcome(place.host(), run("exits", policy()));
        let (kind, message) = failure(&report);
        assert_eq!((report.state, kind), (State::Halted, FailureKind::Trap));
        assert_eq!(message, "the guest called exit(1); a durable function ends by returning");
    }
}
