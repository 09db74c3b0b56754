//! Every kind of promise, every way to settle it.

use everstep_sdk::futures::future::{Either, join_all, select};
use everstep_sdk::{Context, Error, ErrorCode, JsonSchema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::hint::black_box;
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

/// Asks a human for a yes or a no.
#[everstep_sdk::function]
async fn asks_bool(ctx: Context) -> Result<bool, Error> {
    ctx.input("sure?").await
}

/// What somebody wants.
#[derive(Deserialize, Serialize, JsonSchema)]
#[schemars(crate = "everstep_sdk::schemars")]
struct Order {
    item: String,
    count: u8,
}

/// Waits for somebody outside to order something.
#[everstep_sdk::function]
async fn awaits_order(ctx: Context) -> Result<Order, Error> {
    ctx.promise::<Order>("what shall it be?").await
}

/// What a schema alone does not say enough of.
#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "everstep_sdk::schemars")]
#[expect(dead_code, reason = "only whether they can be read counts")]
struct Wide {
    small: u8,
    wide: u64,
    real: f32,
    letter: char,
    id: everstep_sdk::Uuid,
}

/// Waits for somebody outside to name values of many types.
#[everstep_sdk::function]
async fn awaits_wide(ctx: Context) -> Result<(u8, u64), Error> {
    let wide = ctx.promise::<Wide>(()).await?;
    Ok((wide.small, wide.wide))
}

/// Waits for many promises at once; returns how many there were.
#[everstep_sdk::function]
async fn many_promises(ctx: Context, n: usize) -> Result<usize, Error> {
    let values = join_all((0..n).map(|number| ctx.promise::<Value>(number))).await;
    Ok(values.into_iter().collect::<Result<Vec<_>, _>>()?.len())
}

/// Waits until it is canceled, and cleans up.
#[everstep_sdk::function]
async fn cleans_up(ctx: Context, path: Option<String>) -> Result<&'static str, Error> {
    waits_and_cleans_up(&ctx, path).await?;
    Ok("done")
}

/// The same, and does not come to an end.
#[everstep_sdk::function]
async fn cleans_up_forever(ctx: Context, path: Option<String>) -> Result<(), Error> {
    waits_and_cleans_up(&ctx, path).await?;
    let mut value = 1_u64;
    loop {
        value = black_box(value.rotate_left(5));
    }
}

async fn waits_and_cleans_up(ctx: &Context, path: Option<String>) -> Result<(), Error> {
    ctx.clean_up_on_cancel()?;
    match ctx.promise::<Value>("cancel me").await {
        Err(error) if error.code == ErrorCode::Canceled => {}
        other => return other.map(drop),
    }
    ctx.print("cleaning up")?;
    if let Some(path) = path {
        ctx.write_file(path, "cleaned")?;
    }
    match ctx.sleep(Duration::from_millis(1)).await {
        Ok(()) => ctx.print("slept"),
        Err(error) => ctx.print(error.code.as_str()),
    }
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

/// Sleeps for each of the times, one after the other, and does nothing else.
#[everstep_sdk::function]
async fn only_sleeps(ctx: Context, times_ms: Vec<u64>) -> Result<Vec<u64>, Error> {
    for ms in &times_ms {
        ctx.sleep(Duration::from_millis(*ms)).await?;
    }
    Ok(times_ms)
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
        value = black_box(value.rotate_left(5) ^ round);
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

/// Takes so many MiB, asks, and returns the answer and how much it still has.
#[everstep_sdk::function]
async fn holds(ctx: Context, mib: usize) -> Result<(u64, usize), Error> {
    let held = std::hint::black_box(vec![1_u8; mib << 20]);
    let answer: u64 = ctx.input("enough?").await?;
    Ok((answer, held.iter().filter(|byte| **byte == 1).count() >> 20))
}
