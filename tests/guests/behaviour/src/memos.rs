//! Remembered computations.

use everstep_sdk::{Context, Error};
use std::cell::Cell;

thread_local! {
    static COMPUTED: Cell<u64> = const { Cell::new(0) };
}

/// Computes twice, asks, and returns the values and how often this instance has computed.
#[everstep_sdk::function]
async fn remembers(ctx: Context) -> Result<(u64, u64, u64), Error> {
    let square = |n: u64| {
        COMPUTED.set(COMPUTED.get() + 1);
        n * n
    };
    let nine = ctx.step("three squared", || square(3))?;
    let sixteen = ctx.step("four squared", || square(4))?;
    let _: u64 = ctx.input("go on?").await?;
    Ok((nine, sixteen, COMPUTED.get()))
}

/// Makes a call within a computation.
#[everstep_sdk::function]
async fn remembers_calls(ctx: Context) -> Result<(u64, u64), Error> {
    let outer = ctx.clone();
    let time = ctx.step("time", || {
        COMPUTED.set(COMPUTED.get() + 1);
        outer.now().map_or(0, |now| now.as_millis())
    })?;
    let _: u64 = ctx.input("go on?").await?;
    Ok((time, COMPUTED.get()))
}
