//! Orders something, with the help of a capability of the program that hosts it.

use everstep_sdk::{Context, Error, ErrorCode};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    item: String,
    amount: u32,
}

/// What the capability `stock` is asked.
#[derive(Serialize)]
struct Question<'a> {
    item: &'a str,
}

/// What it answers.
#[derive(Deserialize)]
struct Stock {
    left: u32,
    cents: u32,
}

#[derive(Serialize)]
struct Order {
    item: String,
    amount: u32,
    cents: u32,
}

/// Asks what is left of an item, and orders no more than that.
#[everstep_sdk::function]
async fn order(ctx: Context, args: Args) -> Result<Order, Error> {
    let served = ctx.dependencies()?.iter().any(|one| one.name == "stock" && one.attached);
    if !served {
        return Err(Error::new(ErrorCode::NotFound, "this host does not serve the capability `stock`"));
    }
    let stock: Stock = ctx.request("stock", Question { item: &args.item }).await?;
    let amount = args.amount.min(stock.left);
    ctx.print(format!("{amount} of {} {}", stock.left, args.item))?;
    Ok(Order { item: args.item, amount, cents: amount * stock.cents })
}
