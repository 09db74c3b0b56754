//! A guest that means no good: `calls` makes any call with any arguments, and every other function is one attack.
//!
//! It speaks to the host without the SDK, so that it can break the contract.

#![allow(unconditional_recursion, reason = "it is what some attacks are about")]

mod calls;

wit_bindgen::generate!({ path: "../../../wit", world: "durable" });

use everstep::host::types::{Error, ErrorCode};
use everstep::host::{bridge, context, memo, promises, timers};
use exports::everstep::host::guest::{FunctionInfo, Guest, Progress};
use std::hint::black_box;

struct Component;
export!(Component);

type Outcome = Result<String, Error>;

/// The attacks by name.
const ATTACKS: [(&str, fn(&str) -> Progress); 18] = [
    ("calls", |args| Progress::Done(calls::each(args))),
    ("try_calls", |args| Progress::Done(calls::until_one_fails(args))),
    ("well_behaved", |_| done(well_behaved())),
    ("spin", |_| spin()),
    ("spin_in_calls", |_| spin_in_calls()),
    ("spin_in_steps", |_| spin_in_steps()),
    ("spin_after_a_step", |_| spin_after_a_step()),
    ("leak", |_| leak()),
    ("grow", |_| done(grow())),
    ("recurse", |_| done(recurse(1))),
    ("recurse_with_large_frames", |_| done(recurse_with_large_frames([1; 4096]))),
    ("recurse_in_calls", |_| done(recurse_in_calls(1))),
    ("flood_of_timers", |_| Progress::Done(flood_of_timers())),
    ("flood_of_requests", |_| Progress::Done(flood_of_requests())),
    ("flood_of_memos", |_| done(flood_of_memos())),
    ("flood_of_canceled_timers", |args| flood_of_canceled_timers(args)),
    ("waits_for_nothing", |_| Progress::Pending),
    ("returns", |args| returns(args)),
];

impl Guest for Component {
    fn functions() -> Vec<FunctionInfo> {
        ATTACKS.iter().map(|(name, _)| FunctionInfo { name: (*name).into(), description: String::new() }).collect()
    }

    fn start(name: String, args: String) -> Progress {
        match ATTACKS.iter().find(|(attack, _)| *attack == name) {
            Some((_, attack)) => attack(&args),
            None => Progress::Done(Err(Error { code: ErrorCode::NotFound, message: name })),
        }
    }

    fn resume(settled: Vec<u64>) -> Progress {
        done(settled.len() as u64)
    }
}

fn done(number: u64) -> Progress {
    Progress::Done(Ok(number.to_string()))
}

/// What the neighbours of an attack do: a few steps of each kind.
fn well_behaved() -> u64 {
    let timer = timers::sleep(1).unwrap_or_default();
    drop(promises::wait_any(&[timer]));
    u64::from(promises::outcome(timer).is_some())
}

fn spin() -> ! {
    loop {
        black_box(0);
    }
}

fn spin_in_calls() -> ! {
    loop {
        black_box(promises::outcome(0).is_some());
        black_box(context::execution_id());
    }
}

fn spin_in_steps() -> ! {
    loop {
        drop(black_box(timers::now()));
    }
}

fn spin_after_a_step() -> ! {
    drop(timers::now());
    spin()
}

/// Allocates until that fails, which ends a Rust program.
fn leak() -> ! {
    let mut all = Vec::new();
    loop {
        all.push(vec![1_u8; 1 << 20]);
        black_box(&all);
    }
}

/// Takes all the memory there is, page by page, and goes on without it.
fn grow() -> u64 {
    let mut pages = 0;
    while core::arch::wasm32::memory_grow(0, 1) != usize::MAX {
        pages += 1;
    }
    pages
}

fn recurse(depth: u64) -> u64 {
    black_box(recurse(black_box(depth) + 1)) + 1
}

fn recurse_with_large_frames(frame: [u64; 4096]) -> u64 {
    let mut next = black_box(frame);
    next[7] += 1;
    black_box(recurse_with_large_frames(next)) + next[9]
}

fn recurse_in_calls(depth: u64) -> u64 {
    let id = context::execution_id();
    drop(timers::now());
    black_box(recurse_in_calls(depth + id.len() as u64)) + 1
}

/// Starts 100,000 timers and awaits none: how many there are, and the last refusal.
fn flood_of_timers() -> Outcome {
    summary((0..100_000).map(|_| timers::sleep(1_000_000_000)))
}

/// Sends as much as it can in as many requests as it can.
fn flood_of_requests() -> Outcome {
    let message = format!("\"{}\"", "x".repeat(1 << 20));
    let options = bridge::RequestOptions { timeout_ms: None };
    summary((0..1_000).map(|_| bridge::send_request("sink", &message, options)))
}

fn summary(calls: impl Iterator<Item = Result<u64, Error>>) -> Outcome {
    let (mut made, mut last) = (0, String::new());
    for call in calls {
        match call {
            Ok(_) => made += 1,
            Err(error) => last = error.message,
        }
    }
    Ok(serde_json::json!({ "made": made, "last": last }).to_string())
}

/// Asks for computations with long names, and never hands in a value: how many were accepted.
fn flood_of_memos() -> u64 {
    let name = "x".repeat(1 << 20);
    (0..2_000).filter(|_| memo::recall(&name).is_ok()).count() as u64
        + (0..2_000).filter(|_| memo::recall("x").is_ok()).count() as u64
}

/// Makes promises that are settled and not delivered, and then takes them all at once.
fn flood_of_canceled_timers(args: &str) -> Progress {
    for _ in 0..args.parse().unwrap_or(0) {
        if let Ok(timer) = timers::sleep(1_000_000_000) {
            drop(promises::cancel(timer));
        }
    }
    Progress::Pending
}

/// Returns something that the contract does not allow.
fn returns(args: &str) -> Progress {
    let long = |length: &str| "x".repeat(length.parse().unwrap_or(0));
    Progress::Done(match args.trim_matches('"').split_once(' ') {
        Some(("result", length)) => Ok(format!("\"{}\"", long(length))),
        Some(("error", length)) => Err(Error { code: ErrorCode::Failed, message: long(length) }),
        Some(("nested", depth)) => Ok(calls::nested(depth.parse().unwrap_or(0))),
        Some(("panic", length)) => {
            context::panicked(&long(length));
            core::arch::wasm32::unreachable()
        }
        _ => Ok("{no json".into()),
    })
}
