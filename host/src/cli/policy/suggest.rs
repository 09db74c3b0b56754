//! `everstep policy suggest`.

use crate::cli::{Exit, Failure, Outcome, print, print_json, text};
use everstep::Policy;
use everstep::policy::audit::Lines;
use everstep::policy::tools::{Suggestions, suggest};
use serde_json::json;
use std::path::PathBuf;

/// Print the narrowest rules that would allow the denied calls of an audit log; nothing is applied
///
/// The rules show what the guest has tried, which may be more than it should be granted. Addresses that are not global, names of the host's own
/// network, and wildcards are never suggested.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The audit log
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Leave out calls that this policy allows, or requires approval for
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Print one JSON object {rules, skipped}
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  everstep policy suggest --from audit.jsonl
  everstep policy suggest --from audit.jsonl --policy policy.toml";

pub(crate) fn run(args: &Args) -> Outcome {
    let policy = args.policy.as_deref().map(Policy::load).transpose()?;
    let unreadable = || format!("cannot read the audit log {}", everstep::visible::path(&args.from));
    let lines = Lines::open(&args.from).map_err(Failure::io(unreadable()))?;
    let lines = lines.collect::<Result<Vec<_>, _>>().map_err(Failure::io(unreadable()))?;
    let suggestions = suggest(lines, policy.as_ref());
    if args.json {
        print_json(&object(&suggestions))?
    } else {
        print(&text::said(&describe(&suggestions)))?
    }
    Ok(Exit::Done)
}

fn object(suggestions: &Suggestions) -> serde_json::Value {
    let rules = suggestions.rules.iter();
    let rules =
        rules.map(|rule| json!({ "line": rule.line, "calls": rule.calls, "toml": rule.toml })).collect::<Vec<_>>();
    let skipped = suggestions.skipped.iter();
    let skipped = skipped.map(|one| json!({ "line": one.line, "call": one.call, "why": one.why })).collect::<Vec<_>>();
    json!({ "rules": rules, "skipped": skipped })
}

/// The suggestions in the syntax of a policy file.
fn describe(suggestions: &Suggestions) -> String {
    let mut text = String::new();
    for rule in &suggestions.rules {
        let calls = if rule.calls == 1 { "1 call".to_owned() } else { format!("{} calls", rule.calls) };
        text.push_str(&format!("# {calls}, the first on line {} of the log\n{}\n", rule.line, rule.toml));
    }
    for one in &suggestions.skipped {
        let line = format!("line {}: no rule for {}: {}", one.line, one.call, one.why);
        text.push_str(&format!("# {}\n", text::line(&line, 800)));
    }
    if text.is_empty() {
        text.push_str("# nothing was denied\n");
    }
    text
}
