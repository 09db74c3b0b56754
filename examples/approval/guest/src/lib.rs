//! Publishes a draft once a human has agreed, however long that takes.

use std::time::Duration;

use everstep_sdk::{Context, Error, ErrorCode, JsonSchema};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Args {
    /// The file in `/drafts` to publish.
    draft: String,
    /// How long to wait for an answer.
    days: u32,
}

impl Default for Args {
    fn default() -> Self {
        Self { draft: "announcement.md".into(), days: 7 }
    }
}

/// What the human is shown.
#[derive(Serialize)]
struct Question<'a> {
    question: String,
    draft: &'a str,
}

/// What the human answers, such as `{"publish": true, "by": "Ada"}`.
#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "everstep_sdk::schemars")]
struct Answer {
    publish: bool,
    #[serde(default)]
    by: Option<String>,
}

#[derive(Serialize)]
struct Decision {
    draft: String,
    published: bool,
    reason: String,
}

/// Asks a human whether to publish a draft, and does what the answer says.
#[everstep_sdk::function]
async fn publish(ctx: Context, args: Args) -> Result<Decision, Error> {
    let draft = ctx.read_to_string(format!("/drafts/{}", args.draft))?;
    let question = Question { question: format!("publish {}?", args.draft), draft: &draft };
    let answer = ctx.promise_within::<Answer>(question, Duration::from_secs(86_400 * u64::from(args.days)));
    ctx.print(format!("publish {}? answer promise {}", args.draft, answer.id()?))?;

    let (published, reason) = match answer.await {
        Ok(answer) => {
            let by = answer.by.unwrap_or_else(|| "somebody".into());
            (answer.publish, format!("{by} said {}", if answer.publish { "yes" } else { "no" }))
        }
        Err(error) if error.code == ErrorCode::TimedOut => (false, format!("no answer in {} days", args.days)),
        Err(error) => return Err(error),
    };
    if published {
        ctx.write_file(format!("/published/{}", args.draft), &draft)?;
    }
    ctx.print(format!("{}: {}", if published { "published" } else { "not published" }, reason))?;
    Ok(Decision { draft: args.draft, published, reason })
}
