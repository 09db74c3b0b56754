//! Requests to capabilities.

use everstep_sdk::futures::future::join_all;
use everstep_sdk::{Context, Error};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// What to ask whom.
#[derive(Deserialize)]
struct Question {
    capability: String,
    message: Value,
    timeout_ms: Option<u64>,
}

/// Asks once.
#[everstep_sdk::function]
async fn requests(ctx: Context, args: Question) -> Result<Value, Error> {
    match args.timeout_ms {
        None => ctx.request(&args.capability, args.message).await,
        Some(ms) => ctx.request_within(&args.capability, args.message, Duration::from_millis(ms)).await,
    }
}

/// Asks `echo` for all numbers at once; returns their sum and how many were refused.
#[everstep_sdk::function]
async fn requests_at_once(ctx: Context, times: u64) -> Result<(u64, u64), Error> {
    let answers = join_all((0..times).map(|number| ctx.request::<u64>("echo", number))).await;
    let refused = answers.iter().filter(|answer| answer.is_err()).count() as u64;
    Ok((answers.into_iter().flatten().sum(), refused))
}

/// Asks and does not wait for the response.
#[everstep_sdk::function]
async fn does_not_wait(ctx: Context) -> Result<String, Error> {
    ctx.request::<Value>("never", 1).id()
}

/// Asks and computes until it is stopped.
#[everstep_sdk::function]
async fn requests_and_spins(ctx: Context, rounds: u64) -> Result<u64, Error> {
    let _open = ctx.request::<Value>("echo", 1);
    Ok((0..rounds).fold(1_u64, |value, round| std::hint::black_box(value.rotate_left(5) ^ round)))
}

/// Asks within a time, says what came of it, and goes on.
#[everstep_sdk::function]
async fn asks_and_goes_on(ctx: Context, ms: u64) -> Result<(String, u64), Error> {
    let first = ctx.request_within::<u64>("slow", 1, Duration::from_millis(ms)).await;
    let code = first.map_or_else(|error| error.code.to_string(), |value| value.to_string());
    Ok((code, ctx.request("echo", 2).await?))
}

/// The granted capabilities, and which of them this host serves.
#[everstep_sdk::function]
async fn depends(ctx: Context) -> Result<Vec<(String, bool)>, Error> {
    Ok(ctx.dependencies()?.into_iter().map(|one| (one.name, one.attached)).collect())
}

/// Asks within a time, and makes another call after a long computation, and again before it waits for the response.
#[everstep_sdk::function]
async fn asks_and_computes(ctx: Context, ms: u64) -> Result<Value, Error> {
    let response = ctx.request_within::<Value>("again", 1, Duration::from_millis(ms));
    for _ in 0..2 {
        let value = (0..200_000_000_u64).fold(1_u64, |value, round| std::hint::black_box(value.rotate_left(5) ^ round));
        ctx.print(value.to_string())?;
    }
    response.await
}
