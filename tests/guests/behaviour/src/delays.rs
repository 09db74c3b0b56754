use everstep_sdk::{CallOptions, Context, Error, Retry};
use std::time::Duration;

/// Waits for a human, beside everything that takes a duration and gets the longest that there is. Returns whether any of it ended first.
#[everstep_sdk::function]
async fn waits_for_ever(ctx: Context) -> Result<Vec<bool>, Error> {
    let long = Duration::MAX;
    let (sleep, about) = (ctx.sleep(long), ctx.sleep_about(long, long));
    let asked = ctx.input_within::<u64>("within?", long);
    let promised = ctx.promise_within::<u64>("data", long);
    let requested = ctx.request_within::<u64>("client", 1, long);
    let called = ctx.call_with::<bool>("asks_bool", (), CallOptions::new().timeout(long));
    let later = ctx.now()? + long;
    let retry = Retry::new().within(long).first_delay(long).longest_delay(long).attempts(1);
    let tried = ctx.retry(retry, async |_| Ok(())).await;
    ctx.input::<u64>("go on?").await?;
    let ends = [sleep.cancel(), about.cancel(), asked.cancel(), promised.cancel(), requested.cancel(), called.cancel()];
    let mut well: Vec<bool> = ends.iter().map(Result::is_ok).collect();
    well.extend([tried.is_ok(), later > ctx.now()?]);
    Ok(well)
}
