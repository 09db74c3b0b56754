//! A function whose trace crosses workers.

use everstep_sdk::{CallOptions, Context, Error};
use serde::Deserialize;

/// The site to visit, the group that runs the child, and whether to ask before the last visit.
#[derive(Deserialize)]
struct Journey {
    url: String,
    group: String,
    asks: bool,
}

/// Visits a site, has a child visit it, asks, and visits it again; returns what it was answered.
#[everstep_sdk::function]
async fn traced(ctx: Context, journey: Journey) -> Result<String, Error> {
    let Journey { url, group, asks } = journey;
    ctx.fetch(format!("{url}/one")).await?;
    let options = CallOptions::new().target(group);
    ctx.call_with::<u64>("traced_child", format!("{url}/child"), options).await?;
    let answer = if asks { ctx.input::<String>("go on?").await? } else { "unasked".to_owned() };
    ctx.print(&answer)?;
    ctx.fetch(format!("{url}/two")).await?;
    Ok(answer)
}

/// Visits a page; returns how long it is.
#[everstep_sdk::function]
async fn traced_child(ctx: Context, url: String) -> Result<usize, Error> {
    Ok(ctx.fetch(url).await?.body.len())
}
