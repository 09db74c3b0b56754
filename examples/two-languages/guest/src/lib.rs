//! The prices of a shop, as one of its customers has programmed them.

use everstep_sdk::{CallOptions, Context, Error};
use serde::Deserialize;

#[derive(Deserialize)]
struct Order {
    item: String,
    count: u64,
}

/// What the shop knows of an item.
#[derive(Deserialize)]
struct Item {
    cents: u64,
    left: u64,
}

/// What an order costs, in cents. On ten pieces or more a person decides on a discount.
#[everstep_sdk::function]
async fn price(ctx: Context, Order { item, count }: Order) -> Result<u64, Error> {
    // A function of the shop, which is written in TypeScript: its arguments are a list.
    let shop = CallOptions::new().target("shop");
    let Item { cents, left } = ctx.call_with("look-up", (&item,), shop).await?;
    if count > left {
        return Err(Error::failed(format!("only {left} of {item} are left")));
    }
    let percent = match count {
        ..10 => 0,
        _ => ctx.promise::<u8>(format!("discount for {count} of {item}, in percent?")).await?.min(100),
    };
    Ok(count * cents * u64::from(100 - percent) / 100)
}
