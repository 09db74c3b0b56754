//! `everstep policy check`.

use crate::cli::place::CacheArg;
use crate::cli::{Exit, Failure, Outcome, print, print_json, text};
use everstep::Policy;
use everstep::capability::files::{Measured, measure};
use everstep::policy::tools::told;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Load a policy file and list what it grants, one rule per line, and what its images hold now
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  everstep policy check policy.toml\n  everstep policy check policy.toml --json")]
pub(crate) struct Args {
    /// The policy file
    file: PathBuf,
    /// Print one JSON object {name, digest, policy, images, notes}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cache: CacheArg,
}

pub(crate) fn run(Args { file, json, cache }: &Args) -> Outcome {
    let policy = Policy::load(file)?;
    let images = measure(&policy, cache.folder());
    if *json {
        let canonical =
            serde_json::to_value(&policy).map_err(|error| Failure::io("cannot write JSON")(error.into()))?;
        let notes = policy.remarks();
        let images: Vec<_> = images.iter().map(object).collect();
        print_json(&json!({
            "name": policy.name, "digest": policy.digest(), "policy": canonical, "images": images, "notes": notes
        }))?;
    } else {
        print(&describe(&policy, &images))?;
    }
    Ok(Exit::Done)
}

/// What an image holds, or the rule of one that cannot be pinned and why.
type Image = Result<Measured, (String, String)>;

fn object(image: &Image) -> Value {
    match image {
        Ok(Measured { rule, files, bytes, digest }) => {
            json!({ "rule": rule, "files": files, "bytes": bytes, "digest": digest })
        }
        Err((rule, why)) => json!({ "rule": rule, "error": why }),
    }
}

fn told_of(image: &Image) -> String {
    match image {
        Ok(Measured { rule, files, bytes, digest }) => format!("{rule}: files {files}, bytes {bytes}, digest {digest}"),
        Err((rule, why)) => format!("{rule}: cannot be pinned: {why}"),
    }
}

fn describe(policy: &Policy, images: &[Image]) -> String {
    let mut text = String::new();
    let mut rule = |name: &str, grants: String| text.push_str(&format!("{name:<12} {grants}\n"));
    rule("policy", text::line(&policy.name, 200));
    rule("digest", policy.digest().to_string());
    for (heading, grants) in told(policy) {
        rule(heading, text::line(&grants, 500));
    }
    for image in images {
        rule("image", text::line(&told_of(image), 500));
    }
    for remark in policy.remarks() {
        rule("note", text::line(&remark, 500));
    }
    text.push_str("everything else is denied\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grant_has_a_line() {
        let text = describe(&Policy::none(), &[]);
        assert!(text.contains("\ncapability   print\n"), "{text}");
        assert!(text.contains("memory 128 MiB"), "{text}");
        assert!(text.contains("\nlineage      executions 10000, cpu 600s, promises 10000, depth 32\n"), "{text}");
        assert!(!text.contains("clock"), "{text}");
    }
}
