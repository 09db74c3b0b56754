//! Ways in which a function ends.

use everstep_sdk::{Context, Error, ErrorCode};
use serde::Deserialize;
use serde_json::Value;

/// Returns its arguments.
#[everstep_sdk::function]
async fn same(_ctx: Context, args: Value) -> Result<Value, Error> {
    Ok(args)
}

/// Returns the error that its arguments describe.
#[everstep_sdk::function]
async fn fails(_ctx: Context, args: Error) -> Result<(), Error> {
    Err(args)
}

/// Returns an error that is a text.
#[everstep_sdk::function]
async fn fails_plainly(_ctx: Context) -> Result<(), String> {
    Err("it broke".to_owned())
}

/// Two numbers.
#[derive(Deserialize)]
struct Pair {
    a: u64,
    b: u64,
}

/// Adds two numbers.
///
/// The description is the first paragraph only.
#[everstep_sdk::function]
async fn add(_ctx: Context, args: Pair) -> Result<u64, Error> {
    args.a.checked_add(args.b).ok_or_else(|| Error::new(ErrorCode::Invalid, "too large"))
}

/// Panics after a step.
#[everstep_sdk::function]
async fn panics(ctx: Context) -> Result<(), Error> {
    ctx.print("about to panic")?;
    panic!("no seat left in row {}", 7);
}
