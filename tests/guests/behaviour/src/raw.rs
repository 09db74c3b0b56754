//! Guests without an executor: blocking waits, through bindings of their own.

use everstep_sdk::{Context, Error};
use raw_bindings::everstep::host::promises::{Options, create, outcome, wait_any};
use raw_bindings::everstep::host::timers::sleep;

#[allow(missing_docs, reason = "generated")]
pub(crate) mod raw_bindings {
    wit_bindgen::generate!({
        path: ["../../../wit"],
        inline: "package test:raw; world raw { import everstep:host/promises@0.1.0; import everstep:host/timers@0.1.0; }",
        generate_all,
    });
}

/// Blocks on timers of 30, 10 and 20 ms; says in which order they were delivered, and what waiting once more brings.
#[everstep_sdk::function]
async fn waits_for_any(_ctx: Context) -> Result<Vec<Vec<u64>>, Error> {
    let mut open = Vec::new();
    for ms in [30, 10, 20] {
        open.push(sleep(ms).map_err(|error| error.message)?);
    }
    let all = open.clone();
    let mut order = Vec::new();
    while !open.is_empty() {
        let settled = wait_any(&open).map_err(|error| error.message)?;
        open.retain(|promise| !settled.contains(promise));
        order.push(settled);
    }
    order.push(wait_any(&all).map_err(|error| error.message)?);
    Ok(order)
}

/// What waiting says to arguments that make no sense, and what is known of a promise that nobody waited for.
#[everstep_sdk::function]
async fn waits_in_vain(_ctx: Context) -> Result<Vec<String>, Error> {
    let nothing = wait_any(&[]).map_err(|error| error.message);
    let unknown = wait_any(&[99]).map_err(|error| error.message);
    let timer = sleep(0).map_err(|error| error.message)?;
    Ok(vec![format!("{nothing:?}"), format!("{unknown:?}"), format!("{:?}", outcome(timer).is_some())])
}

/// Blocks on the second of two promises, then on the first.
#[everstep_sdk::function]
async fn waits_in_another_order(_ctx: Context) -> Result<Vec<String>, Error> {
    let options = || Options { data: None, timeout_ms: None, schema: None };
    let first = create(&options()).map_err(|error| error.message)?;
    let second = create(&options()).map_err(|error| error.message)?;
    let mut seen = Vec::new();
    for promise in [second, first] {
        wait_any(&[promise]).map_err(|error| error.message)?;
        seen.push(format!("{:?} {:?}", outcome(first).is_some(), outcome(second).is_some()));
    }
    Ok(seen)
}
