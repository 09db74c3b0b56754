//! The store on a Resonate server: executions are promises with tasks, their journals are promises that are settled when they are made.
//!
//! `link` is what all parts share: the client, the name of this worker, the claims that it holds and the promises that it listens to.
//! `segments` writes and reads journals, `blobs` keeps policies, `clock` shows the server's time, `halts` tells of halts, `view` reads for people, `ledger` is one claimed execution, `store` the
//! rest. No server commits two things at once, so each order is one that a crash may break off: a segment before the promises that it
//! mentions, the cause of a halt before the halt, the journal of a fork before its promise has a target.

mod blobs;
mod clock;
mod halts;
mod ledger;
mod link;
mod segments;
mod store;
mod view;

pub use clock::ServerClock;
pub use store::{Options, RemoteStore};

use everstep_store::Error;
use everstep_store::operation::NewPromise;
use everstep_store::record::{Value, tag};
use std::collections::BTreeMap;

/// How many requests are under way at once where several are independent.
const AT_ONCE: usize = 32;

fn failed(error: crate::client::Error) -> Error {
    Error::Server { cause: error.to_string() }
}

/// A promise that is settled from the start and keeps its parameter: its deadline has passed, and it is a timer.
fn settled_from_the_start(id: String, param: Value) -> NewPromise {
    let tags = BTreeMap::from([(tag::TIMER.to_owned(), "true".to_owned())]);
    NewPromise { id, timeout_at: 1, param, tags: tags.into() }
}
