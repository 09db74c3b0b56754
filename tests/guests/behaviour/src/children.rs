//! Functions that run others, and those that they run.

use everstep_sdk::futures::future::join_all;
use everstep_sdk::futures::try_join;
use everstep_sdk::{CallOptions, Context, Error, first_of, parallel_map};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// Adds two numbers.
#[everstep_sdk::function]
async fn adds(_ctx: Context, (a, b): (u64, u64)) -> Result<u64, Error> {
    Ok(a + b)
}

/// Panics.
#[everstep_sdk::function]
async fn traps(_ctx: Context) -> Result<(), Error> {
    panic!("as told");
}

/// Has a timer fail when it halts, which it cannot, and returns what that says.
#[everstep_sdk::function]
async fn fails_a_timer_on_halt(ctx: Context) -> Result<Error, Error> {
    match ctx.sleep(Duration::from_millis(1)).fail_on_halt().await {
        Ok(()) => Err(Error::failed("a timer is no call")),
        Err(error) => Ok(error),
    }
}

/// Has a child that halts fail, once somebody outside wants that.
#[everstep_sdk::function]
async fn wishes_late(ctx: Context) -> Result<(), Error> {
    let child = ctx.call::<()>("traps", ());
    ctx.promise::<Value>(()).await?;
    child.fail_on_halt().await
}

/// Prints a line and returns it.
#[everstep_sdk::function]
async fn prints(ctx: Context, message: String) -> Result<String, Error> {
    ctx.print(&message)?;
    Ok(message)
}

/// What to call, and how.
#[derive(Deserialize)]
struct Call {
    function: String,
    args: Value,
    timeout_ms: Option<u64>,
    target: Option<String>,
    #[serde(default)]
    fail_on_halt: bool,
}

/// Runs a child and ends as it does.
#[everstep_sdk::function]
async fn calls(ctx: Context, call: Call) -> Result<Value, Error> {
    let mut options = CallOptions::new();
    if let Some(ms) = call.timeout_ms {
        options = options.timeout(Duration::from_millis(ms));
    }
    if let Some(group) = call.target {
        options = options.target(group);
    }
    let promise = ctx.call_with(&call.function, call.args, options);
    if call.fail_on_halt { promise.fail_on_halt().await } else { promise.await }
}

/// Starts so many children at once and returns the sum of what they return.
#[everstep_sdk::function]
async fn sums_children(ctx: Context, n: u64) -> Result<u64, Error> {
    let sums = join_all((0..n).map(|number| ctx.call::<u64>("adds", (number, 1)))).await;
    sums.into_iter().sum()
}

/// Pairs to add, and how many at a time.
#[derive(Deserialize)]
struct Sums {
    items: Vec<(u64, u64)>,
    limit: usize,
}

/// Adds every pair in a child of its own.
#[everstep_sdk::function]
async fn maps_children(ctx: Context, args: Sums) -> Result<Vec<u64>, Error> {
    parallel_map(args.limit, args.items, |pair| ctx.call("adds", pair)).await
}

/// How many of which children to wait for.
#[derive(Deserialize)]
struct Race {
    n: usize,
    delays_ms: Vec<u64>,
}

/// Starts a child that sleeps for each delay; says which were first, in that order.
#[everstep_sdk::function]
async fn first_children(ctx: Context, race: Race) -> Result<Vec<usize>, Error> {
    let sleepers = race.delays_ms.iter().map(|ms| ctx.call::<u64>("sleeps", ms));
    let first = first_of(race.n, sleepers).await;
    first.into_iter().map(|(place, slept)| slept.map(|_| place)).collect()
}

/// Has a child that has a child, so many levels deep; returns how many there were.
#[everstep_sdk::function]
async fn nests(ctx: Context, depth: u64) -> Result<u64, Error> {
    match depth {
        0 => Ok(0),
        _ => Ok(ctx.call::<u64>("nests", depth - 1).await? + 1),
    }
}

/// Starts a printer that is no child, and returns its id.
#[everstep_sdk::function]
async fn detaches(ctx: Context, message: String) -> Result<String, Error> {
    ctx.spawn_detached("prints", message)
}

/// Has a child ask a human.
#[everstep_sdk::function]
async fn asks_child(ctx: Context) -> Result<Value, Error> {
    ctx.call("asks", ()).await
}

/// Has two children wait for somebody outside.
#[everstep_sdk::function]
async fn waits_for_two(ctx: Context) -> Result<(Value, Value), Error> {
    try_join!(ctx.call("awaits", ()), ctx.call("awaits", ()))
}

/// Starts itself so many times, each as nobody's child, and does not wait; returns why that was refused, where it was.
#[everstep_sdk::function]
async fn spawns_itself(ctx: Context, copies: u64) -> Result<Vec<String>, Error> {
    let spawned = (0..copies).map(|_| ctx.spawn_detached("spawns_itself", copies));
    Ok(spawned.filter_map(Result::err).map(|error| error.to_string()).collect())
}

/// Asks how many printers to start, and starts them, until that is none; returns why it could not, where it could not.
#[everstep_sdk::function]
async fn spawns_as_told(ctx: Context) -> Result<Vec<String>, Error> {
    let mut refused = Vec::new();
    loop {
        match ctx.input::<u64>("how many?").await? {
            0 => return Ok(refused),
            copies => {
                let spawned = (0..copies).map(|_| ctx.spawn_detached("prints", "here"));
                refused.extend(spawned.filter_map(Result::err).map(|error| error.to_string()));
            }
        }
    }
}

/// Computes without end.
#[everstep_sdk::function]
async fn burns(_ctx: Context) -> Result<(), Error> {
    loop {
        std::hint::black_box(0);
    }
}

/// Has so many children that compute without end.
#[everstep_sdk::function]
async fn burns_in_children(ctx: Context, n: u64) -> Result<(), Error> {
    join_all((0..n).map(|_| ctx.call::<()>("burns", ()))).await.into_iter().collect()
}
