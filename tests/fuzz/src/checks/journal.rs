//! A journal of arbitrary bytes is read to its end or refused, and what was read is written and read as the same.

use crate::journal::{History, Record};

/// Reads the input as a journal; then as the bodies of records, with frames around them, to get past the checksums.
pub fn journal(input: &[u8]) {
    check(input.to_vec());
    check(framed(input));
}

/// The bodies, each behind its length in one byte, as FORMAT.md frames them. The last one takes what is left.
fn framed(mut rest: &[u8]) -> Vec<u8> {
    let mut journal = Vec::new();
    while let [length, tail @ ..] = rest {
        let (body, after) = tail.split_at(tail.len().min(usize::from(*length)));
        journal.extend_from_slice(&(body.len() as u32).to_le_bytes());
        journal.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
        journal.extend_from_slice(body);
        rest = after;
    }
    journal
}

fn check(bytes: Vec<u8>) {
    let length = bytes.len();
    let mut history = match History::load(bytes) {
        Ok(history) => history,
        Err(corrupted) => return assert!(corrupted.offset < length, "{corrupted}"),
    };
    assert_eq!(history.length(), length);
    let read = history.records_with_offsets().map_while(Result::ok);
    let records: Vec<Record<'_>> = read.map(|(_, record)| record).collect();
    for record in &records {
        let mut again = Vec::new();
        record.encode(&mut again);
        let again = History::load(again).unwrap();
        let read: Vec<_> = again.records_with_offsets().map(|record| record.unwrap().1).collect();
        assert_eq!(read, std::slice::from_ref(record));
    }
    let called = records.iter().filter(|record| matches!(record, Record::Called { .. })).count();
    assert!(history.called().map_while(Result::ok).count() >= called);
    let settled = records.iter().filter(|record| matches!(record, Record::Settled { .. })).count();
    assert!(history.settlements().len() >= settled);
    for number in history.settlements() {
        assert!(history.settlement(*number).unwrap().is_some());
        history.retries(*number);
    }
    repeat(&mut history);
}

/// Goes through the journal as a replay does.
fn repeat(history: &mut History) {
    if history.pass_start().is_err() {
        return;
    }
    while let Ok(Some((_, next))) = history.peek() {
        history.advance(next);
    }
}
