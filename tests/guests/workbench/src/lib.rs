//! One function for each thing that a test or a bench needs a guest to do.

use everstep_sdk::{Context, Error, parallel_map};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How often.
#[derive(Deserialize, Serialize)]
struct Times {
    times: u64,
}

/// Reads the clock over and over: internal steps and nothing else.
#[everstep_sdk::function]
async fn ticks(ctx: Context, args: Times) -> Result<u64, Error> {
    for _ in 0..args.times {
        ctx.now()?;
    }
    Ok(args.times)
}

/// Records a value over and over: what a function that computes in steps does.
#[everstep_sdk::function]
async fn steps(ctx: Context, args: Times) -> Result<u64, Error> {
    let mut sum = 0;
    for number in 0..args.times {
        sum += ctx.step("number", || number)?;
    }
    Ok(sum)
}

/// What to record, and how often.
#[derive(Deserialize)]
struct Payload {
    bytes: usize,
    times: u64,
}

/// Records a text of so many bytes over and over.
#[everstep_sdk::function]
async fn payloads(ctx: Context, args: Payload) -> Result<u64, Error> {
    let mut sum = 0;
    for _ in 0..args.times {
        sum += ctx.step("payload", || "x".repeat(args.bytes))?.len() as u64;
    }
    Ok(sum)
}

/// Like `ticks`, and then waits for the answer to a request that nobody serves.
#[everstep_sdk::function]
async fn ticks_then_wait(ctx: Context, args: Times) -> Result<u64, Error> {
    for _ in 0..args.times {
        ctx.now()?;
    }
    ctx.request::<u64>("nobody", args.times).await
}

/// Waits for an answer, and sends a request once it is there.
#[everstep_sdk::function]
async fn waits_then_requests(ctx: Context) -> Result<u64, Error> {
    ctx.promise::<u64>("waiting").await?;
    ctx.request::<u64>("echo", 1).await
}

/// Asks the capability `echo` over and over, one request after the other: external steps.
#[everstep_sdk::function]
async fn requests(ctx: Context, args: Times) -> Result<u64, Error> {
    let mut sum = 0;
    for number in 0..args.times {
        sum += ctx.request::<u64>("echo", number).await?;
    }
    Ok(sum)
}

/// Calls `ticks` over and over, one call after the other.
#[everstep_sdk::function]
async fn calls(ctx: Context, args: Times) -> Result<u64, Error> {
    let mut sum = 0;
    for _ in 0..args.times {
        sum += ctx.call::<u64>("ticks", Times { times: 1 }).await?;
    }
    Ok(sum)
}

/// Sends all requests at once and awaits them in order.
#[everstep_sdk::function]
async fn fan_out(ctx: Context, args: Times) -> Result<u64, Error> {
    let pending: Vec<_> = (0..args.times).map(|number| ctx.request::<u64>("echo", number)).collect();
    let mut sum = 0;
    for promise in pending {
        sum += promise.await?;
    }
    Ok(sum)
}

/// Sleeps one millisecond over and over.
#[everstep_sdk::function]
async fn naps(ctx: Context, args: Times) -> Result<u64, Error> {
    for _ in 0..args.times {
        ctx.sleep(Duration::from_millis(1)).await?;
    }
    Ok(args.times)
}

/// What to fetch, how often, and how many at once.
#[derive(Deserialize)]
struct Fetches {
    url: String,
    times: u64,
    width: usize,
}

/// Fetches one URL over and over, so many at once; returns the bytes of all bodies.
#[everstep_sdk::function]
async fn fetches(ctx: Context, args: Fetches) -> Result<u64, Error> {
    let fetch = |_| async { Ok::<_, Error>(ctx.fetch(args.url.as_str()).await?.body.len() as u64) };
    Ok(parallel_map(args.width, 0..args.times, fetch).await?.into_iter().sum())
}

/// How much to compute, and how many calls to make meanwhile.
#[derive(Deserialize)]
struct Work {
    rounds: u64,
    calls: u64,
}

/// Computes, with calls spread evenly over the computation.
#[everstep_sdk::function]
async fn work(ctx: Context, args: Work) -> Result<u64, Error> {
    let mut value = 0x9e37_79b9_7f4a_7c15_u64;
    for call in 0..args.calls.max(1) {
        for round in 0..args.rounds / args.calls.max(1) {
            value = value.rotate_left(5).wrapping_mul(0xff51_afd7_ed55_8ccd) ^ round;
        }
        if call < args.calls {
            ctx.now()?;
        }
    }
    Ok(value)
}
