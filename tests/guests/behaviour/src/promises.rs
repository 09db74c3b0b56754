//! Every kind of promise, every way to settle it.

use everstep_sdk::futures::future::{Either, select};
use everstep_sdk::{Context, Error};
use serde_json::Value;
use std::time::Duration;

/// Asks a human.
#[everstep_sdk::function]
async fn asks(ctx: Context) -> Result<Value, Error> {
    ctx.print("asking")?;
    let answer: Value = ctx.input("shall we?").await?;
    ctx.print("answered")?;
    Ok(answer)
}

/// Waits for somebody outside.
#[everstep_sdk::function]
async fn awaits(ctx: Context) -> Result<Value, Error> {
    ctx.promise::<Value>("shown").await
}

/// Waits for somebody outside, but not for long.
#[everstep_sdk::function]
async fn awaits_within(ctx: Context, ms: u64) -> Result<Value, Error> {
    ctx.promise_within::<Value>((), Duration::from_millis(ms)).await
}

/// Sleeps, and says how long it was by the clock.
#[everstep_sdk::function]
async fn sleeps(ctx: Context, ms: u64) -> Result<u64, Error> {
    let before = ctx.now()?.as_millis();
    ctx.sleep(Duration::from_millis(ms)).await?;
    Ok(ctx.now()?.as_millis() - before)
}

/// Two timers, the later one first in line; says which of them was first.
#[everstep_sdk::function]
async fn races_timers(ctx: Context) -> Result<&'static str, Error> {
    let (later, sooner) = (ctx.sleep(Duration::from_millis(200)), ctx.sleep(Duration::from_millis(100)));
    Ok(match select(later, sooner).await {
        Either::Left(_) => "later",
        Either::Right(_) => "sooner",
    })
}

/// Resolves and rejects promises of its own, also a second time and in vain.
#[everstep_sdk::function]
async fn settles_its_own(ctx: Context) -> Result<Vec<Result<Value, Error>>, Error> {
    let (resolved, rejected) = (ctx.promise::<Value>(()), ctx.promise::<Value>(()));
    resolved.resolve(1)?;
    resolved.resolve(1)?;
    let twice = resolved.resolve(2).map(|()| Value::Null);
    rejected.reject("not wanted")?;
    let input = ctx.input::<Value>("a human's");
    let in_place_of_a_human = input.resolve("me").map(|()| Value::Null);
    Ok(vec![resolved.await, twice, rejected.await, in_place_of_a_human])
}

/// Gives up on one promise of each kind, and on one that is settled.
#[everstep_sdk::function]
async fn cancels(ctx: Context) -> Result<Vec<Result<Value, Error>>, Error> {
    let timer = ctx.sleep(Duration::from_secs(3600));
    let external = ctx.promise::<Value>(());
    let request = ctx.request::<Value>("never", 1);
    let settled = ctx.promise::<Value>(());
    settled.resolve("kept")?;
    timer.cancel()?;
    external.cancel()?;
    request.cancel()?;
    settled.cancel()?;
    let timer = timer.await.map(|_| Value::Null);
    Ok(vec![timer, external.await, request.await, settled.await])
}

/// Keeps two questions open and returns both answers.
#[everstep_sdk::function]
async fn asks_twice(ctx: Context) -> Result<(Value, Value), Error> {
    let (first, second) = (ctx.input("first?"), ctx.input("second?"));
    everstep_sdk::futures::try_join!(first, second)
}

/// Leaves a question open and computes until it is stopped.
#[everstep_sdk::function]
async fn asks_and_spins(ctx: Context, rounds: u64) -> Result<u64, Error> {
    let _open = ctx.promise::<Value>(());
    let mut value = 1_u64;
    for round in 0..rounds {
        value = std::hint::black_box(value.rotate_left(5) ^ round);
    }
    Ok(value)
}

/// Waits for somebody outside or a timer; looks at the answer first.
#[everstep_sdk::function]
async fn answer_or_timer(ctx: Context, ms: u64) -> Result<&'static str, Error> {
    let (answer, timer) = (ctx.promise::<Value>(()), ctx.sleep(Duration::from_millis(ms)));
    Ok(match select(answer, timer).await {
        Either::Left(_) => "answer",
        Either::Right(_) => "timer",
    })
}

/// Writes one file twice.
#[everstep_sdk::function]
async fn writes_twice(ctx: Context) -> Result<(), Error> {
    ctx.write_file("/f/file", "first")?;
    ctx.write_file("/f/file", "second")
}
