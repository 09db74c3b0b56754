//! Reads an issue, drafts a comment, and posts it once a person has approved the request.

use everstep_sdk::{Context, Error, ErrorCode};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Issue {
    title: String,
    comments: u32,
}

#[derive(Serialize)]
struct Comment<'a> {
    text: &'a str,
}

/// Comments on an issue. That a person decides on it is the policy's doing: nothing here asks.
#[everstep_sdk::function]
async fn comment(ctx: Context, number: u32) -> Result<String, Error> {
    let url = format!("http://tracker.localhost:8048/issues/{number}");
    let issue: Issue = ctx.fetch(url.as_str()).await?.json()?;
    ctx.print(format!("{}, {} comments", issue.title, issue.comments))?;
    let text = format!("Is \"{}\" still so?", issue.title);
    let posted = ctx.http("POST", format!("{url}/comments")).json(Comment { text: &text }).send().await;
    match posted {
        Ok(response) if response.is_ok() => Ok("posted".to_owned()),
        Ok(response) => Err(Error::failed(format!("the tracker says {}", response.status))),
        Err(error) if error.code == ErrorCode::Denied => Ok(format!("not posted: {}", error.message)),
        Err(error) => Err(error),
    }
}
