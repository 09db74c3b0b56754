//! A bit of everything, one after the other, so that every undisturbed run is like every other.

use everstep_sdk::futures::future::{join, join_all};
use everstep_sdk::{Context, Error};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// What a run of `works` came to.
#[derive(Serialize)]
struct Result_ {
    slept: u64,
    sum: u64,
    sizes: Vec<u64>,
    remembered: u64,
    in_doubt: u64,
}

/// Clock, files, requests, timers, memos and prints.
#[everstep_sdk::function]
async fn works(ctx: Context) -> Result<Result_, Error> {
    let start = ctx.now()?.as_millis();
    ctx.print("begins")?;
    let mut sum = 0;
    for number in 0..2 {
        ctx.write_file(format!("/files/{number}.txt"), format!("file {number}"))?;
        ctx.print(format!("wrote {number}"))?;
        sum += ctx.request::<u64>("again", number + 10).await?;
    }
    let remembered = ctx.step("a sum", || (1..=100).sum::<u64>())?;
    let naps = join(ctx.sleep(Duration::from_millis(20)), ctx.sleep(Duration::from_millis(10))).await;
    naps.0?;
    naps.1?;
    let answers = join_all((0..3).map(|number| ctx.request::<u64>("again", number))).await;
    sum += answers.into_iter().flatten().sum::<u64>();
    let once = ctx.request::<u64>("once", 5).await;
    let in_doubt = u64::from(once.is_err());
    sum += once.unwrap_or(5);
    let sizes = ctx.list("/files")?.into_iter().map(|entry| entry.size).collect();
    ctx.remove("/files/0.txt")?;
    ctx.print("ends")?;
    Ok(Result_ { slept: ctx.now()?.as_millis() - start, sum, sizes, remembered, in_doubt })
}

/// The same without the clock and without anything that a crash may change: every undisturbed run makes the same journal.
#[everstep_sdk::function]
async fn works_alike(ctx: Context) -> Result<u64, Error> {
    ctx.print("begins")?;
    let mut sum = 0;
    for number in 0..3 {
        ctx.write_file(format!("/files/{number}.txt"), format!("file {number}"))?;
        sum += ctx.request::<u64>("again", number).await?;
        ctx.print(format!("wrote {number}"))?;
    }
    sum += ctx.step("a sum", || (1..=100).sum::<u64>())?;
    sum += ctx.read_file("/files/1.txt")?.len() as u64;
    let own = ctx.promise::<u64>("mine");
    own.resolve(7)?;
    sum += own.await?;
    ctx.remove("/files/0.txt")?;
    ctx.print("ends")?;
    Ok(sum)
}

/// Draws randomness and returns it.
#[everstep_sdk::function]
async fn draws(ctx: Context) -> Result<(Vec<u8>, String, u32), Error> {
    let (bytes, uuid) = (ctx.random_bytes(8)?, ctx.uuid()?.to_string());
    ctx.print("drawn")?;
    let _: u64 = ctx.request("again", 1).await?;
    Ok((bytes, uuid, ctx.attempt()?))
}

/// Asks a question between two prints and two requests.
#[everstep_sdk::function]
async fn pauses(ctx: Context) -> Result<u64, Error> {
    ctx.print("before")?;
    let before: u64 = ctx.request("once", 1).await?;
    let answer: u64 = ctx.input("how many?").await?;
    let after: u64 = ctx.request("once", 2).await?;
    ctx.print("after")?;
    Ok(before + answer + after)
}

/// A folder that the policy grants.
#[derive(Deserialize, Serialize)]
struct Folder {
    dir: String,
}

/// A human, a timer, files, two children and a memo, one after the other.
#[everstep_sdk::function]
async fn mixed(ctx: Context, dir: String) -> Result<Value, Error> {
    ctx.print("start")?;
    let answer: u64 = ctx.input("how many?").await?;
    ctx.sleep(Duration::from_millis(20)).await?;
    ctx.write_file(format!("{dir}/before"), answer.to_string())?;
    let sum: u64 = ctx.call("adds", (answer, 1)).await?;
    let child: u64 = ctx.call("child_writes", Folder { dir: dir.clone() }).await?;
    let sum = ctx.step("the sum", || sum)?;
    ctx.write_file(format!("{dir}/after"), sum.to_string())?;
    ctx.print("end")?;
    Ok(json!({ "sum": sum, "child": child }))
}

/// Writes a file and sleeps.
#[everstep_sdk::function]
async fn child_writes(ctx: Context, folder: Folder) -> Result<u64, Error> {
    ctx.write_file(format!("{}/child", folder.dir), "child")?;
    ctx.sleep(Duration::from_millis(10)).await?;
    Ok(7)
}

/// Takes twenty steps: twice eight, and four more. Returns what it saw, but for times and the attempt.
#[everstep_sdk::function]
async fn twenty(ctx: Context) -> Result<Vec<Value>, Error> {
    let mut seen = Vec::new();
    for round in 1..=2 {
        ctx.now()?;
        ctx.attempt()?;
        seen.push(json!(ctx.uuid()?));
        seen.push(json!(ctx.random_bytes(4)?));
        seen.push(json!(ctx.step("a square", || round * round)?));
        ctx.print(format!("round {round}"))?;
        ctx.sleep(Duration::from_millis(1)).await?;
        seen.push(ctx.call("adds", (round, 1)).await?);
    }
    let own = ctx.promise::<Value>("mine");
    own.resolve("kept")?;
    seen.push(own.await?);
    ctx.now()?;
    ctx.print("end")?;
    Ok(seen)
}
