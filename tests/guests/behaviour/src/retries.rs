//! Trying again.

use everstep_sdk::{Context, Error, ErrorCode, Retry};
use serde::Deserialize;
use std::time::Duration;

/// How often to try, and what to fail with how often.
#[derive(Deserialize)]
struct Tries {
    attempts: u32,
    fail_times: u32,
    code: ErrorCode,
}

/// Fails a few times; returns the number of the attempt that succeeded and the milliseconds until then.
#[everstep_sdk::function]
async fn retries(ctx: Context, tries: Tries) -> Result<(u32, u64), Error> {
    succeeds_late(&ctx, retry().attempts(tries.attempts).jitter(0.0), tries.fail_times, tries.code).await
}

/// Fails three times and waits by chance in between; returns the milliseconds until it succeeded.
#[everstep_sdk::function]
async fn retries_jittered(ctx: Context) -> Result<u64, Error> {
    let (_, slept) = succeeds_late(&ctx, retry().jitter(0.5), 3, ErrorCode::Failed).await?;
    Ok(slept)
}

/// 100, 200, 400 ms and so on.
fn retry() -> Retry {
    Retry::new().first_delay(Duration::from_millis(100)).factor(2.0)
}

async fn succeeds_late(ctx: &Context, retry: Retry, failures: u32, code: ErrorCode) -> Result<(u32, u64), Error> {
    let start = ctx.now()?.as_millis();
    let attempt = ctx.retry(retry, async |attempt| match attempt <= failures {
        true => Err(Error::new(code, "not yet")),
        false => Ok(attempt),
    });
    Ok((attempt.await?, ctx.now()?.as_millis() - start))
}
