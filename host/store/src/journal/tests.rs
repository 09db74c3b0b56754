use super::*;
use everstep_words::guest_error::{ErrorCode, GuestError, Reason};
use std::borrow::Cow;

fn call(number: u64) -> Call<'static> {
    let subject = Cow::Borrowed("/in/a.txt");
    Call { number, at_ms: 7, kind: "files.read", args: &[9; 16], subject, allowed: true, rule: "data" }
}

fn trapped() -> Trapped<'static> {
    let (usage, cause) = (Cow::Borrowed(b"{}".as_slice()), Cow::Borrowed("unreachable"));
    Trapped { at_ms: 9, checkpoint: 1, next: 301, shown: 5, usage, cause }
}

fn written() -> Vec<Record<'static>> {
    let started = Started {
        format: FORMAT,
        at_ms: 1,
        component: &[1; 32],
        policy: &[2; 32],
        seed: &[3; 32],
        args: &[4; 32],
        function: "count",
    };
    let denied = Err(GuestError::new(ErrorCode::Denied, "files read \"/x\"").because(Reason::Address));
    vec![
        Record::Started(started),
        Record::Step { call: call(0), outcome: Ok(Cow::Borrowed(b"content")) },
        Record::Step { call: Call { allowed: false, args: &[], ..call(1) }, outcome: denied },
        Record::Called { call: call(2), role: Role::Timer, deadline_ms: Some(0) },
        Record::Called { call: call(300), role: Role::External, deadline_ms: None },
        Record::Settled { number: 2, at_ms: u64::MAX, outcome: Ok(Cow::Borrowed(b"null")) },
        Record::Delivered { at_ms: 9, numbers: vec![2, 300] },
        Record::Trapped(trapped()),
        Record::TakenOver { at_ms: 9, component: &[5; 32] },
        Record::Halted { at_ms: 9, kind: "\"trap\"".into(), message: "unreachable".into() },
        Record::Used { at_ms: 10, cpu_us: 1_000_000 },
        Record::Returned { at_ms: 10, outcome: Ok(Cow::Borrowed(b"{}")) },
    ]
}

fn encoded() -> Vec<u8> {
    let mut bytes = Vec::new();
    written().iter().for_each(|record| record.encode(&mut bytes));
    bytes
}

#[test]
fn records_read_back_as_they_were_written() {
    let bytes = encoded();
    assert_eq!(records(&bytes).map(Result::unwrap).collect::<Vec<_>>(), written());
    let history = History::load(bytes.clone()).unwrap();
    let read: Vec<_> = history.records_with_offsets().map(|record| record.unwrap().1).collect();
    assert_eq!(read, written());
}

#[test]
fn an_error_of_an_earlier_format_has_no_reason_on_record() {
    let mut bytes = Vec::new();
    // A record of type 6 at the time 0, with an outcome of the kind 1: the code `not-found` and a message.
    super::codec::frame(&mut bytes, |out| out.extend_from_slice(b"\x06\x00\x01\x02\x04gone"));
    let error = GuestError::new(ErrorCode::NotFound, "gone").because(Reason::Unrecorded);
    let read: Vec<_> = records(&bytes).map(Result::unwrap).collect();
    assert_eq!(read, [Record::Returned { at_ms: 0, outcome: Err(error) }]);
}

#[test]
fn the_cursor_shows_what_the_guest_did_and_skips_settlements() {
    let mut history = History::load(encoded()).unwrap();
    let mut seen = 0;
    while let Some((record, next)) = history.peek().unwrap() {
        let aside = matches!(
            record,
            Record::Settled { .. } | Record::TakenOver { .. } | Record::Halted { .. } | Record::Used { .. }
        );
        assert!(!aside, "{record:?}");
        seen += 1;
        history.advance(next);
    }
    assert_eq!(seen, written().len() - 4);
    let (at_ms, outcome) = history.settlement(2).unwrap().unwrap();
    assert_eq!((at_ms, outcome.unwrap().as_ref()), (u64::MAX, b"null".as_slice()));
    assert_eq!(history.settlement(300).unwrap(), None);
}

#[test]
fn a_trap_is_found_by_its_checkpoint_and_what_comes_after_it_is_next() {
    let mut history = History::load(encoded()).unwrap();
    assert_eq!(history.trap(0).unwrap(), None);
    let (found, next) = history.trap(1).unwrap().unwrap();
    assert_eq!(found, trapped());
    history.advance(next);
    assert!(matches!(history.peek().unwrap(), Some((Record::Returned { .. }, _))));
}

#[test]
fn a_flipped_bit_is_detected_wherever_it_is() {
    let good = encoded();
    for position in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[position / 8] ^= 1 << (position % 8);
        let detected = |bytes: &[u8]| records(bytes).any(|record| record.is_err());
        assert!(detected(&bad), "bit {position}");
        let detected = match History::load(bad) {
            Err(_) => true,
            Ok(history) => history.records_with_offsets().any(|record| record.is_err()),
        };
        assert!(detected, "bit {position}");
    }
}

#[test]
fn a_journal_cut_at_any_byte_is_whole_records_or_an_error() {
    let good = encoded();
    let mut ends = vec![0];
    for record in written() {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        ends.push(ends.last().unwrap() + bytes.len());
    }
    for length in 0..good.len() {
        let loaded = History::load(good[..length].to_vec());
        assert_eq!(loaded.is_ok(), ends.contains(&length), "{length} bytes");
    }
}

#[test]
fn hostile_bodies_are_errors_and_never_panics() {
    for seed in 0..20_000u64 {
        let hash = blake3::hash(&seed.to_le_bytes());
        let body = &hash.as_bytes()[..(seed % 32) as usize];
        let _ = Record::decode(body, 0);
    }
}
