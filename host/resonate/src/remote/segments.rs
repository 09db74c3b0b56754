//! Journals on a server: one promise for each write, settled from the start, with the records in its parameter.
//!
//! The segments of `x` are `x.s0`, `x.s1` and so on. Each names the hash of the id and of all records before it, so that one that is missing, or belongs
//! to another journal, is found. How many there are at least says `x.mN`, which is made once run N has left `x` to be continued, and the value of `x`
//! once it has ended.

use super::link::{Link, lock};
use super::{AT_ONCE, settled_from_the_start};
use crate::wire::AS_IS;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use everstep_store::Error;
use everstep_store::operation::NewPromise;
use everstep_store::record::{Promise, Value};
use everstep_store::seal::Tail;
use everstep_words::id::ExecutionId;
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeMap, VecDeque};

/// Journals that were read lately, the latest first, as far as they went. A segment never changes, so only those behind are read again: whoever
/// takes an execution over reads its journal for what it says, for the run, and for the budget of its lineage.
#[derive(Default)]
pub(super) struct Recent(VecDeque<(ExecutionId, Vec<u8>, Tail)>);

/// The most of them, and their bytes together.
const RECENT: usize = 64;
const RECENT_BYTES: usize = 16 << 20;

impl Recent {
    fn of(&self, execution: &ExecutionId) -> Option<(Vec<u8>, Tail)> {
        let (_, journal, tail) = self.0.iter().find(|(id, ..)| id == execution)?;
        Some((journal.clone(), tail.clone()))
    }

    fn keep(&mut self, execution: &ExecutionId, journal: &[u8], tail: &Tail) {
        self.0.retain(|(id, ..)| id != execution);
        self.0.push_front((execution.clone(), journal.to_vec(), tail.clone()));
        self.0.truncate(RECENT);
        let mut bytes = 0;
        self.0.retain(|(_, journal, _)| {
            bytes += journal.len();
            bytes <= RECENT_BYTES
        });
    }

    /// Forgets them.
    pub(super) fn clear(&mut self) {
        self.0 = VecDeque::new();
    }
}

/// The most bytes of one segment: the server refuses requests of more than 2 MiB.
pub(super) const SEGMENT: usize = 1 << 20;

/// The header with the hash of the records before a segment.
const AFTER: &str = "everstep:after";

/// The header with the number of segments of a journal.
const SEGMENTS: &str = "everstep:segments";

/// How many of the last runs are looked at for what they have left: those that were broken off have left nothing.
const LEFT: usize = 3;

/// The promise of the next segment of a journal, with these records.
pub(super) fn next(tail: &mut Tail, execution: &str, records: &[u8]) -> NewPromise {
    let headers = BTreeMap::from([(AFTER.to_owned(), tail.hash()), (AS_IS.to_owned(), "true".to_owned())]);
    let data = Some(BASE64_STANDARD.encode(records));
    let new = settled_from_the_start(id(execution, tail.segment()), Value { headers, data });
    tail.pass(records);
    new
}

/// Takes in a segment that was read.
fn take_in(tail: &mut Tail, execution: &ExecutionId, promise: &Promise, journal: &mut Vec<u8>) -> Result<(), Error> {
    let foreign = || Error::Foreign { id: execution.clone() };
    let records = records(&promise.param).ok_or_else(foreign)?;
    if promise.param.headers.get(AFTER) != Some(&tail.hash()) {
        return Err(foreign());
    }
    tail.pass(&records);
    journal.extend(records);
    Ok(())
}

/// The id of a segment.
pub(super) fn id(execution: &str, number: u32) -> String {
    format!("{execution}.s{number}")
}

/// The bytes of a value as it was written by [`next`]; those of a text are the text's.
pub(super) fn records(value: &Value) -> Option<Vec<u8>> {
    let data = value.data.as_ref()?;
    match value.headers.contains_key(AS_IS) {
        true => BASE64_STANDARD.decode(data).ok(),
        false => Some(data.clone().into_bytes()),
    }
}

/// Whether two parameters hold the same records at the same place.
pub(super) fn same(kept: &Value, ours: &Value) -> bool {
    kept.headers.get(AFTER) == ours.headers.get(AFTER) && records(kept) == records(ours)
}

/// The promise that says how many segments a journal had when the run with this version of the task left it.
pub(super) fn mark(execution: &str, version: u64, segments: u32) -> NewPromise {
    let headers = BTreeMap::from([(SEGMENTS.to_owned(), segments.to_string())]);
    settled_from_the_start(mark_id(execution, version), Value { headers, data: None })
}

fn mark_id(execution: &str, version: u64) -> String {
    format!("{execution}.m{version}")
}

/// Keeps the number of segments of a journal in the value of its execution.
pub(super) fn note_length(value: &mut Value, tail: &Tail) {
    value.headers.insert(SEGMENTS.to_owned(), tail.segment().to_string());
}

/// The number of segments that a value keeps; 0 if it keeps none.
pub(super) fn length(value: &Value) -> u32 {
    value.headers.get(SEGMENTS).and_then(|segments| segments.parse().ok()).unwrap_or(0)
}

/// How many segments a journal has at least, as far as its last runs have left it: up to that of this version.
async fn left(link: &Link, execution: &ExecutionId, version: u64) -> Result<u32, Error> {
    for version in (1..=version).rev().take(LEFT) {
        if let Some(mark) = link.promise(&mark_id(execution.as_str(), version)).await? {
            return Ok(length(&mark.param));
        }
    }
    Ok(0)
}

/// The journal of an execution, and where it continues; `version` is that of its task, and `kept` the number of segments that its value
/// keeps.
///
/// # Errors
/// A segment is missing or of another journal, or the server failed.
pub(super) async fn read(
    link: &Link,
    execution: &ExecutionId,
    version: u64,
    kept: u32,
) -> Result<(Vec<u8>, Tail), Error> {
    let (left, found) = tokio::try_join!(left(link, execution, version), read_all(link, execution))?;
    let least = left.max(kept);
    if found.1.segment() >= least {
        return Ok(found);
    }
    // Its run may have left it meanwhile.
    let found = read_all(link, execution).await?;
    match found.1.segment() >= least {
        true => Ok(found),
        false => Err(Error::Foreign { id: execution.clone() }),
    }
}

async fn read_all(link: &Link, execution: &ExecutionId) -> Result<(Vec<u8>, Tail), Error> {
    let recent = lock(&link.recent).of(execution);
    let (mut journal, mut tail) = recent.unwrap_or_else(|| (Vec::new(), Tail::chained(execution.as_str())));
    // Most journals are short; behind the end one more is looked for.
    let mut window = 4;
    loop {
        let numbers = tail.segment()..tail.segment().saturating_add(window);
        let reading = stream::iter(numbers).map(|number| {
            let segment = id(execution.as_str(), number);
            async move { link.promise(&segment).await }
        });
        let found: Vec<Option<Promise>> = reading.buffered(AT_ONCE).try_collect().await?;
        let count = found.iter().take_while(|promise| promise.is_some()).count();
        for promise in found.iter().take(count).flatten() {
            take_in(&mut tail, execution, promise, &mut journal)?;
        }
        if count < found.len() {
            // They are written in order: what is there before a later one was perhaps written while these were read.
            let is_last = match found.get(count + 1..) {
                Some(later @ [_, ..]) => later.iter().all(Option::is_none),
                _ => link.promise(&id(execution.as_str(), tail.segment() + 1)).await?.is_none(),
            };
            if is_last {
                lock(&link.recent).keep(execution, &journal, &tail);
                return Ok((journal, tail));
            }
            if link.promise(&id(execution.as_str(), tail.segment())).await?.is_none() {
                return Err(Error::Foreign { id: execution.clone() });
            }
        }
        window = (window * 2).min(AT_ONCE as u32);
    }
}

/// Records from a segment on, for people: at most so many segments, without a look at those before.
pub(super) async fn read_on(link: &Link, execution: &ExecutionId, from: u32) -> Result<(Vec<u8>, u32), Error> {
    let (mut part, mut segment) = (Vec::new(), from);
    let reading = stream::iter(from..from.saturating_add(AT_ONCE as u32)).map(|number| {
        let segment = id(execution.as_str(), number);
        async move { link.promise(&segment).await }
    });
    // Most of the time there is nothing new.
    let mut reading = std::pin::pin!(reading.buffered(2));
    while let Some(promise) = reading.try_next().await? {
        let Some(promise) = promise else { break };
        part.extend(records(&promise.param).ok_or_else(|| Error::Foreign { id: execution.clone() })?);
        segment += 1;
    }
    Ok((part, segment))
}
