//! The smallest durable function.

use everstep_sdk::{Context, Error};

/// Prints a greeting and returns it.
#[everstep_sdk::function]
async fn hello(ctx: Context, name: Option<String>) -> Result<String, Error> {
    let greeting = format!("hello {}", name.as_deref().unwrap_or("world"));
    ctx.print(&greeting)?;
    Ok(greeting)
}
