//! A worker of the Resonate SDK for Rust: `everstep-sdk-rust-worker URL GROUP NOTES [WITNESS]`. Each local step writes a line into the file
//! NOTES; WITNESS is where the functions of Everstep leave theirs.

mod everstep;

use resonate_sdk::prelude::*;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::time::Duration;

fn note(text: &str) {
    let notes = std::env::args().nth(3).expect("NOTES");
    let mut file = OpenOptions::new().append(true).create(true).open(notes).expect("NOTES can be written");
    writeln!(file, "{text}").expect("NOTES can be written");
}

#[resonate_sdk::function]
async fn rust_more(n: u64) -> Result<u64> {
    note(&format!("rust_more {n}"));
    Ok(n + 1)
}

/// Called by the worker in TypeScript, whose arguments are always a list.
#[resonate_sdk::function]
async fn rust_half(ctx: &Context, args: (u64,)) -> Result<u64> {
    ctx.sleep(Duration::from_millis(50)).await?;
    let more = ctx.run(rust_more, args.0).await?;
    Ok(more / 2)
}

/// Calls the worker in TypeScript.
#[resonate_sdk::function]
async fn rust_order(ctx: &Context, n: u64) -> Result<(u64, u64, String)> {
    let more = ctx.run(rust_more, n).await?;
    ctx.sleep(Duration::from_millis(100)).await?;
    let twice: u64 = ctx.rpc("double", (more,)).target("poll://any@other").await?;
    ctx.detached("rust_aside", n).target("poll://any@rust").spawn()?;
    let answer: String = ctx.promise().create()?.await?;
    Ok((more, twice, answer))
}

#[resonate_sdk::function]
async fn rust_aside(n: u64) -> Result<()> {
    note(&format!("rust_aside {n}"));
    Ok(())
}

#[resonate_sdk::function]
async fn rust_tick() -> Result<()> {
    note("rust_tick");
    Ok(())
}

/// The first worker that runs it stays in it for ever.
#[resonate_sdk::function]
async fn rust_wait() -> Result<String> {
    let notes = std::env::args().nth(3).and_then(|notes| fs::read_to_string(notes).ok()).unwrap_or_default();
    note("rust_wait");
    if !notes.contains("rust_wait") {
        std::future::pending::<()>().await;
    }
    Ok("free".to_owned())
}

#[resonate_sdk::function]
async fn rust_stuck(ctx: &Context) -> Result<String> {
    ctx.run(rust_wait, ()).await
}

#[resonate_sdk::function]
async fn rust_number(n: u64) -> Result<u64> {
    Ok(n)
}

/// So many local steps, one after the other.
#[resonate_sdk::function]
async fn rust_loop(ctx: &Context, times: u64) -> Result<u64> {
    let mut sum = 0;
    for number in 0..times {
        sum += ctx.run(rust_number, number).await?;
    }
    Ok(sum)
}

#[tokio::main]
async fn main() -> Result<()> {
    let [url, group] = [1, 2].map(|number| std::env::args().nth(number).expect("URL GROUP NOTES"));
    let config = ResonateConfig { url: Some(url), group: Some(group), ttl: Some(2_000), ..ResonateConfig::default() };
    let resonate = Resonate::new(config);
    resonate.register(rust_half)?;
    resonate.register(rust_order)?;
    resonate.register(rust_aside)?;
    resonate.register(rust_tick)?;
    resonate.register(rust_stuck)?;
    resonate.register(rust_loop)?;
    everstep::register(&resonate)?;
    std::future::pending().await
}
