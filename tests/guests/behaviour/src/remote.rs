//! What a worker on a server does that dies, is stopped, or loses its server: every effect leaves a note at a site outside.

use everstep_sdk::{Context, Error, ErrorCode};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where to leave notes, under which name, and how long to wait before the last one.
#[derive(Clone, Deserialize, Serialize)]
struct Errand {
    url: String,
    name: String,
    pause_ms: u64,
}

/// What came of it: a sum, and the notes of which nobody knows whether they arrived.
#[derive(Deserialize, Serialize)]
struct Done {
    sum: u64,
    in_doubt: Vec<String>,
}

impl Errand {
    /// Leaves a note, at most once.
    async fn note(&self, ctx: &Context, what: &str, done: &mut Done) -> Result<(), Error> {
        let Self { url, name, .. } = self;
        match ctx.http("POST", format!("{url}/once/{name}/{what}")).body("noted").send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code == ErrorCode::InDoubt => {
                done.in_doubt.push(format!("/once/{name}/{what}"));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// Twenty steps: notes and looks outside, children, timers, a question, a file.
#[everstep_sdk::function]
async fn errands(ctx: Context, errand: Errand) -> Result<Done, Error> {
    let mut done = Done { sum: 0, in_doubt: Vec::new() };
    ctx.print("begins")?;
    errand.note(&ctx, "begin", &mut done).await?;
    for round in 1..=3 {
        done.sum += ctx.call::<u64>("adds", (round, 1)).await?;
        ctx.sleep(Duration::from_millis(5)).await?;
        let page = ctx.fetch(format!("{}/again/{}/{round}", errand.url, errand.name)).await?;
        done.sum += page.body.len() as u64;
        errand.note(&ctx, &round.to_string(), &mut done).await?;
    }
    done.sum += ctx.input::<u64>("how many?").await?;
    let child: Done = ctx.call("child_errand", errand.clone()).await?;
    done.sum += child.sum;
    done.in_doubt.extend(child.in_doubt);
    ctx.sleep(Duration::from_millis(errand.pause_ms)).await?;
    ctx.write_file(format!("/out/{}", errand.name), done.sum.to_string())?;
    errand.note(&ctx, "end", &mut done).await?;
    ctx.print("ends")?;
    Ok(done)
}

/// Leaves a note, sleeps and leaves another.
#[everstep_sdk::function]
async fn child_errand(ctx: Context, errand: Errand) -> Result<Done, Error> {
    let mut done = Done { sum: 1000, in_doubt: Vec::new() };
    errand.note(&ctx, "child", &mut done).await?;
    ctx.sleep(Duration::from_millis(10)).await?;
    errand.note(&ctx, "grown", &mut done).await?;
    Ok(done)
}
