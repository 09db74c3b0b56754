//! Output in order, and too much of it.

use everstep_sdk::{Context, Error, MimeBundle};

/// Prints a line before and after each request.
#[everstep_sdk::function]
async fn narrates(ctx: Context, times: u64) -> Result<(), Error> {
    for number in 0..times {
        ctx.print(format!("before {number}"))?;
        let _: u64 = ctx.request("echo", number).await?;
        ctx.eprint(format!("after {number}"))?;
    }
    ctx.display(MimeBundle::new().text("done").html("<b>done</b>"))
}

/// Prints lines of ten bytes.
#[everstep_sdk::function]
async fn chatters(ctx: Context, lines: u64) -> Result<(), Error> {
    for _ in 0..lines {
        ctx.print("123456789")?;
    }
    Ok(())
}
