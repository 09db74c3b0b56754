//! One function in several variants; which of them a component holds is written in its bytes, so that one compilation makes
//! them all.

use crate::raw::raw_bindings::everstep::host::promises::{Options, create, wait_any};
use everstep_sdk::{Context, Error};
use std::hint::black_box;
use std::time::Duration;

/// The suite overwrites what follows the colon.
static VARIANT: &[u8; 24] = b"everstep-variant:same   ";

/// Prints, reads a file, asks, and prints what was answered.
#[everstep_sdk::function]
async fn varies(ctx: Context) -> Result<u64, Error> {
    let variant = String::from_utf8_lossy(&black_box(VARIANT)[17..]).trim().to_owned();
    let is = |name: &str| variant == name;
    ctx.print(if is("args") { "another line" } else { "a line" })?;
    match variant.as_str() {
        "return" => return Ok(0),
        "fail" => return Err(Error::failed("early")),
        "trap" => panic!("early"),
        "more" => drop(ctx.now()?),
        "order" => {
            ctx.step("a value", || 1)?;
            ctx.now()?;
        }
        _ => {}
    }
    if !is("order") {
        if !is("less") {
            ctx.now()?;
        }
        ctx.step(if is("name") { "another value" } else { "a value" }, || if is("value") { 2 } else { 1 })?;
    }
    if is("kind") {
        ctx.sleep(Duration::from_millis(1)).await?;
    }
    let answer: u64 = ctx.input("how many?").await?;
    let factor = if is("later") { 10 } else { 1 };
    ctx.print(format!("answer {answer}"))?;
    let again: u64 = ctx.input("how many more?").await?;
    Ok(factor * (answer + again))
}

/// Waits for one of two promises, then for a human.
#[everstep_sdk::function]
async fn varies_waits(ctx: Context) -> Result<u64, Error> {
    let variant = String::from_utf8_lossy(&black_box(VARIANT)[17..]).trim().to_owned();
    let options = || Options { data: None, timeout_ms: None, schema: None };
    let first = create(&options()).map_err(|error| error.message)?;
    let second = create(&options()).map_err(|error| error.message)?;
    let wanted = if variant == "order" { second } else { first };
    wait_any(&[wanted]).map_err(|error| error.message)?;
    ctx.input("how many?").await
}
