//! Functions that those of Everstep call, or that call them in the group `everstep`.

use super::note;
use resonate_sdk::prelude::*;

const EVERSTEP: &str = "poll://any@everstep";

/// Takes a list, which others write, for its only argument.
#[resonate_sdk::function]
async fn rust_charge(card: (String,)) -> Result<(String, u64)> {
    note(&format!("rust_charge {}", card.0));
    Ok((card.0, 7))
}

#[resonate_sdk::function]
async fn rust_add(a: u64, b: u64) -> Result<u64> {
    Ok(a + b)
}

/// Takes an empty list, which others write, for no argument.
#[resonate_sdk::function]
async fn rust_silent(_none: [(); 0]) -> Result<()> {
    Ok(())
}

#[resonate_sdk::function]
async fn rust_decline(why: (String,)) -> Result<()> {
    Err(Error::Application { message: why.0 })
}

#[resonate_sdk::function]
async fn rust_asks_everstep(ctx: &Context, n: u64, text: String) -> Result<((), u64, String)> {
    let witness = std::env::args().nth(4).expect("WITNESS");
    ctx.rpc::<()>("nothing", ()).target(EVERSTEP).await?;
    // The only argument, as it is.
    let tripled: u64 = ctx.rpc("triple", n).target(EVERSTEP).await?;
    let noted: String = ctx.rpc("noted", (&text, &witness)).target(EVERSTEP).await?;
    ctx.detached("noted", (format!("{text}-aside"), &witness)).target(EVERSTEP).spawn()?;
    Ok(((), tripled, noted))
}

#[resonate_sdk::function]
async fn rust_pardons_everstep(ctx: &Context, why: String) -> Result<(bool, String)> {
    match ctx.rpc::<()>("refuse", why).target(EVERSTEP).await {
        Err(Error::Application { message }) => Ok((true, message)),
        Err(suspended) => Err(suspended),
        Ok(()) => Ok((false, String::new())),
    }
}

pub fn register(resonate: &Resonate) -> Result<()> {
    resonate.register(rust_charge)?;
    resonate.register(rust_add)?;
    resonate.register(rust_silent)?;
    resonate.register(rust_decline)?;
    resonate.register(rust_asks_everstep)?;
    resonate.register(rust_pardons_everstep)
}
