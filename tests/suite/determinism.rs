//! A journal cut after any of its records leads to the same journal and the same result.

use crate::support::{BEHAVIOUR, Place, boundaries, id, life, policy, result, run, soon, stored, without_use};
use everstep::clock::TestClock;
use everstep::store::{Backend, Change, Execution};
use everstep::{Patience, Run};
use std::sync::Arc;

const FUNCTIONS: [&str; 4] = ["depends_on_everything", "depends_on_the_host", "waits_for_any", "races_timers"];

/// An execution that nothing disturbed, and all that is stored of it.
struct Undisturbed {
    execution: Execution,
    journal: Vec<u8>,
}

fn undisturbed(place: &Place, function: &str) -> Undisturbed {
    life(async {
        let host = place.by(Arc::new(TestClock::at(1_700_000_000_000)), place.host()).build().unwrap();
        host.run(run(function, "null")).await.unwrap();
        let (execution, journal) = (
            host.reader().execution(&id("x")).await.unwrap(),
            without_use(&host.reader().journal(&id("x")).await.unwrap()),
        );
        Undisturbed { execution, journal }
    })
}

/// Stores the execution as it was when its journal ended with these bytes.
fn cut(store: &dyn Backend, undisturbed: &Undisturbed, component: &[u8], journal: &[u8]) {
    let execution = &undisturbed.execution;
    let changes = [
        Change::Blob(execution.component, component.to_vec().into()),
        Change::Blob(execution.policy, policy().canonical().into_bytes().into()),
    ];
    store.commit(&changes).unwrap();
    stored(store, execution, journal.to_vec());
}

/// Skips a varint; returns it and the rest.
fn varint(bytes: &[u8]) -> (u64, &[u8]) {
    let end = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap();
    let value = bytes[..=end].iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f));
    (value, &bytes[end + 1..])
}

/// The time of a record: its second number, or its first where it has no number of its own.
pub(crate) fn time(body: &[u8]) -> u64 {
    let (first, rest) = varint(&body[1..]);
    match body[0] {
        5 | 6 => first,
        _ => varint(rest).0,
    }
}

#[test]
fn every_prefix_of_a_journal_leads_to_the_same_journal_and_result() {
    let component = everstep_tests::guests::fixture("behaviour").unwrap();
    for function in FUNCTIONS {
        // No server: it writes the tables.
        for place in Place::local() {
            let whole = undisturbed(&place, function);
            let ends = boundaries(&whole.journal);
            let starts = [0].into_iter().chain(ends.iter().copied());
            assert!(ends.len() > 5, "{function} records too little");
            for (start, end) in starts.zip(ends.iter().copied()) {
                // Between the two records of a promise that the guest settles the store knows what the journal does not yet say.
                let is_settled = |at: usize| whole.journal.get(at + 8) == Some(&4);
                if is_settled(start) && is_settled(end) {
                    continue;
                }
                let now_ms = time(&whole.journal[start + 8..end]);
                let place = place.another();
                cut(&*place.store(), &whole, &component, &whole.journal[..end]);
                life(async {
                    let clock = Arc::new(TestClock::at(now_ms));
                    let host = place.by(clock, place.host()).build().unwrap();
                    let handle = host.resume(&id("x"), Patience::Forever).await.unwrap();
                    let report = soon(&format!("{function} from byte {end}"), handle.wait()).await.unwrap();
                    assert_eq!(report.result, whole.execution.result, "{function} from byte {end}: {report:?}");
                    let journal = without_use(&host.reader().journal(&id("x")).await.unwrap());
                    assert!(journal == whole.journal, "{function} from byte {end}: another journal");
                });
            }
        }
    }
}

#[test]
fn a_journal_and_its_seed_repeat_the_randomness_and_another_seed_does_not() {
    for place in Place::each() {
        let draws = |name: &str| {
            life(async {
                let host = place.by(Arc::new(TestClock::at(1)), place.host()).build().unwrap();
                let run = Run::new(BEHAVIOUR.clone(), "depends_on_everything", "null", policy()).with_id(id(name));
                result(&host.run(run).await.unwrap()).to_owned()
            })
        };
        let strip = |log: &str| log.split("uuid").next().unwrap().to_owned();
        assert_ne!(strip(&draws("a")), strip(&draws("b")), "two executions drew the same");
    }
}
