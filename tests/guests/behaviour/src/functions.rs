//! Ways in which a function ends.

use everstep_sdk::{Context, Error, ErrorCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Returns its arguments.
#[everstep_sdk::function]
async fn same(_ctx: Context, args: Value) -> Result<Value, Error> {
    Ok(args)
}

/// An error, or its message alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Failure {
    Described(Error),
    Plain(String),
}

/// Returns the error that its arguments describe; a text is the message of a `failed` one.
#[everstep_sdk::function]
async fn fails(_ctx: Context, args: Failure) -> Result<(), Error> {
    Err(match args {
        Failure::Described(error) => error,
        Failure::Plain(message) => Error::failed(message),
    })
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

/// Remembers a value that JSON does not keep whole.
#[everstep_sdk::function]
async fn keeps_a_part(ctx: Context) -> Result<(Part, String), Error> {
    let part = ctx.step("part", || Part { kept: 1, skipped: 2 })?;
    let number = ctx.step("number", || f64::NAN);
    Ok((part, number.map_or_else(|error| error.code.to_string(), |number| number.to_string())))
}

/// A value with a field that is not kept.
#[derive(Deserialize, Serialize)]
struct Part {
    kept: u64,
    #[serde(skip_deserializing)]
    skipped: u64,
}

/// Functions whose names the macro might use for itself.
mod named {
    use super::{Context, Error};

    #[everstep_sdk::function]
    async fn start(_ctx: Context, args: u64) -> Result<u64, Error> {
        Ok(args)
    }

    #[everstep_sdk::function]
    async fn args(_ctx: Context, args: u64) -> Result<u64, Error> {
        Ok(args)
    }

    #[everstep_sdk::function]
    async fn ctx(_ctx: Context) -> Result<u64, Error> {
        Ok(1)
    }
}
