//! Functions that programs of the Resonate SDKs call, and that call theirs. Each effect is a note at a witness outside.

use everstep_sdk::{CallOptions, Context, Error};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

async fn note(ctx: &Context, witness: &str, text: &str) -> Result<(), Error> {
    ctx.http("POST", format!("{witness}/{text}")).send().await?;
    Ok(())
}

/// Called with one argument.
#[everstep_sdk::function]
async fn triple(_ctx: Context, n: u64) -> Result<u64, Error> {
    Ok(3 * n)
}

/// Called with two arguments.
#[everstep_sdk::function]
async fn noted(ctx: Context, (text, witness): (String, String)) -> Result<String, Error> {
    note(&ctx, &witness, &format!("noted-{text}")).await?;
    Ok(text)
}

/// Called with no argument.
#[everstep_sdk::function]
async fn nothing(_ctx: Context) -> Result<(), Error> {
    Ok(())
}

/// Fails.
#[everstep_sdk::function]
async fn refuse(_ctx: Context, why: String) -> Result<(), Error> {
    Err(Error::failed(why))
}

/// Leaves a note, waits until somebody settles its promise, and leaves another.
#[everstep_sdk::function]
async fn waits(ctx: Context, (name, witness): (String, String)) -> Result<Value, Error> {
    note(&ctx, &witness, &format!("begins-{name}")).await?;
    let value = ctx.promise::<Value>(&name).await?;
    note(&ctx, &witness, &format!("ends-{name}")).await?;
    Ok(value)
}

/// Makes a promise for others, and settles it once it is told to.
#[everstep_sdk::function]
async fn settles(ctx: Context) -> Result<Value, Error> {
    let (kept, broken) = (ctx.promise::<Value>("to be kept"), ctx.promise::<Value>("to be broken"));
    let told = ctx.promise::<Value>("now").await?;
    kept.resolve(41)?;
    broken.reject(Error::failed("broken"))?;
    Ok(json!([told, kept.await?]))
}

/// A call of another group, between two notes.
#[derive(Deserialize)]
struct Relay {
    name: String,
    witness: String,
    group: String,
    function: String,
    args: Value,
    timeout_ms: Option<u64>,
}

/// Calls a function of another group, and returns its result, or its error.
#[everstep_sdk::function]
async fn relays(ctx: Context, relay: Relay) -> Result<Value, Error> {
    let Relay { name, witness, group, function, args, timeout_ms } = relay;
    note(&ctx, &witness, &format!("before-{name}")).await?;
    let mut options = CallOptions::new().target(group);
    if let Some(ms) = timeout_ms {
        options = options.timeout(Duration::from_millis(ms));
    }
    let outcome = ctx.call_with::<Value>(&function, args, options).await;
    note(&ctx, &witness, &format!("after-{name}")).await?;
    Ok(match outcome {
        Ok(value) => json!({ "value": value }),
        Err(error) => json!({ "error": error }),
    })
}
