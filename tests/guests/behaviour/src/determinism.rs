//! Everything in a guest that could differ from run to run.

use everstep_sdk::futures::stream::{FuturesUnordered, StreamExt};
use everstep_sdk::futures::{self, FutureExt, join, select};
use everstep_sdk::{Context, Error};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Returns a log of all that it saw.
#[everstep_sdk::function]
async fn depends_on_everything(ctx: Context) -> Result<Vec<String>, Error> {
    let mut log = told(&ctx).await?;
    let words: HashMap<u32, u32> = (0..20).map(|n| (n * 7919, n)).collect();
    for (key, value) in words.iter().take(3) {
        ctx.print(format!("{key} {value}"))?;
    }
    let set: HashSet<String> = (0..10).map(|n| n.to_string()).collect();
    log.push(format!("set {:?}", set.iter().collect::<Vec<_>>()));
    let kept = ctx.step("kept", || words.values().copied().max())?;
    log.push(format!("kept {kept:?} attempt {}", ctx.attempt()?));
    // A replay does not make the maps of the computation, and walks those that follow in the same order.
    let counts = ctx.step("counts", || {
        let halves = [HashMap::from([(1, 2), (3, 4)]), HashMap::from([(5, 6)])];
        halves.into_iter().flatten().collect::<HashMap<u32, u32>>()
    })?;
    let late: HashSet<String> = (0..10).map(|n| n.to_string()).collect();
    log.push(format!("counts {counts:?} late {late:?}"));
    ctx.print(&log[log.len() - 1])?;
    Ok(log)
}

/// The same without what belongs to the component: where its maps lie gives them their order.
#[everstep_sdk::function]
async fn depends_on_the_host(ctx: Context) -> Result<Vec<String>, Error> {
    told(&ctx).await
}

async fn told(ctx: &Context) -> Result<Vec<String>, Error> {
    let mut log = vec![format!("time {}", ctx.now()?.as_millis())];
    log.push(format!("bytes {:?} uuid {}", ctx.random_bytes(5)?, ctx.uuid()?));

    let (a, b, c) = join!(ctx.sleep(ms(20)), ctx.sleep(ms(10)), ctx.sleep(ms(20)));
    log.push(format!("joined {} {} {}", a.is_ok(), b.is_ok(), c.is_ok()));

    for round in 0..3 {
        let (mut left, mut right) = (ctx.sleep(ms(5)).fuse(), ctx.sleep(ms(5)).fuse());
        let winner = select! { _ = left => "left", _ = right => "right" };
        log.push(format!("round {round} {winner} at {}", ctx.now()?.as_millis()));
    }

    let mut open: FuturesUnordered<_> = [3_u64, 1, 2, 1, 3]
        .into_iter()
        .enumerate()
        .map(|(place, time)| ctx.sleep(ms(time)).map(move |woken| (place, woken.is_ok())))
        .collect();
    while let Some((place, _)) = open.next().await {
        log.push(format!("woke {place} {}", ctx.uuid()?));
    }

    let own = ctx.promise::<u64>("own");
    let closed = ctx.promise_within::<u64>("closed", ms(4));
    own.resolve(1)?;
    let (own, closed) = join!(own, closed);
    log.push(format!("{own:?} {closed:?}"));
    let late = ctx.sleep(ms(1000));
    late.cancel()?;
    log.push(format!("{:?}", late.await));
    futures::future::ready(()).await;
    ctx.print(&log[log.len() - 1])?;
    Ok(log)
}
