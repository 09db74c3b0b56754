//! Many promises at once: all of them, each as it comes, and the first of several.

use std::time::Duration;

use everstep_sdk::futures::stream::{FuturesUnordered, StreamExt};
use everstep_sdk::{Context, Error, futures};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Args {
    /// How long each of the sleeps takes, in milliseconds.
    sleeps: Vec<u64>,
    /// How long the request may take, in milliseconds.
    deadline: u64,
}

impl Default for Args {
    fn default() -> Self {
        Self { sleeps: vec![300, 100, 200], deadline: 250 }
    }
}

#[derive(Serialize)]
struct Outcome {
    /// The sleeps in the order in which they ended.
    order: Vec<u64>,
    /// What the capability `quote` answered, if it was fast enough.
    quote: Option<String>,
}

/// Joins several sleeps, takes others as they end, and races a request against a deadline.
#[everstep_sdk::function]
async fn fan_out(ctx: Context, args: Args) -> Result<Outcome, Error> {
    join(&ctx).await?;
    let order = as_they_end(&ctx, &args.sleeps).await?;
    let quote = race(&ctx, args.deadline).await?;
    Ok(Outcome { order, quote })
}

/// Both sleep at the same time, so that this takes as long as the longer one.
async fn join(ctx: &Context) -> Result<(), Error> {
    let start = ctx.now()?;
    futures::try_join!(ctx.sleep(Duration::from_millis(100)), ctx.sleep(Duration::from_millis(150)))?;
    let enough = ctx.now()? - start >= Duration::from_millis(150);
    ctx.print(format!("joined two sleeps, 150 ms passed: {enough}"))
}

/// The order in which promises settle is recorded: a replay sees the same.
async fn as_they_end(ctx: &Context, sleeps: &[u64]) -> Result<Vec<u64>, Error> {
    let mut pending: FuturesUnordered<_> = sleeps.iter().map(|millis| sleep(ctx, *millis)).collect();
    let mut order = Vec::new();
    while let Some(millis) = pending.next().await {
        let millis = millis?;
        ctx.print(format!("slept {millis} ms"))?;
        order.push(millis);
    }
    Ok(order)
}

/// The sleep starts with this call, not when it is polled first.
fn sleep(ctx: &Context, millis: u64) -> impl Future<Output = Result<u64, Error>> + use<> {
    let promise = ctx.sleep(Duration::from_millis(millis));
    async move { promise.await.map(|()| millis) }
}

/// The loser of a race stays pending until it is canceled.
async fn race(ctx: &Context, deadline: u64) -> Result<Option<String>, Error> {
    let mut quote = ctx.request::<String>("quote", "everstep");
    let mut deadline = ctx.sleep(Duration::from_millis(deadline));
    futures::select! {
        answer = quote => {
            deadline.cancel()?;
            let answer = answer?;
            ctx.print(format!("quote: {answer}"))?;
            Ok(Some(answer))
        }
        passed = deadline => {
            passed?;
            quote.cancel()?;
            ctx.print("no quote in time")?;
            Ok(None)
        }
    }
}
