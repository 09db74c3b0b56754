//! `everstep policy suggest`.

use crate::cli::functions::needs;
use crate::cli::place::CacheArg;
use crate::cli::{Exit, Failure, Outcome, grant, print, print_json, text};
use everstep::policy::audit::Lines;
use everstep::policy::tools::{Suggestions, suggest};
use everstep::{Need, Policy};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Print a policy to start from for a component, or the rules that an audit log asks for; nothing is applied
///
/// For a component, the policy grants what its imports need and what stays inside the execution; folders, addresses and other
/// functions are left for you to name. For an audit log, the narrowest rules that would allow its denied calls are printed. They show what the guest has tried, which may be more than it should be granted. Addresses that are not global, names of the host's own
/// network, and wildcards are never suggested.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
#[group(id = "what", required = true, multiple = false, args = ["component", "from"])]
pub(crate) struct Args {
    /// A component, or a crate folder, which is built if its sources have changed
    component: Option<PathBuf>,
    /// The audit log
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Leave out calls that this policy allows, or requires approval for
    #[arg(long, value_name = "FILE", conflicts_with = "component")]
    policy: Option<PathBuf>,
    /// Print one JSON object {rules, skipped}; for a component {policy}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cache: CacheArg,
}

const EXAMPLES: &str = "\
Examples:
  everstep policy suggest program.wasm > policy.toml
  everstep policy suggest --from audit.jsonl
  everstep policy suggest --from audit.jsonl --policy policy.toml";

pub(crate) fn run(args: &Args) -> Outcome {
    match (&args.component, &args.from) {
        (Some(component), _) => for_component(component, args),
        (None, Some(log)) => for_log(log, args),
        (None, None) => Err(Failure::usage("name a component, or an audit log with --from")),
    }
}

fn for_component(component: &Path, args: &Args) -> Outcome {
    let policy = start(&needs(component, &args.cache)?);
    if args.json {
        print_json(&json!({ "policy": policy }))?
    } else {
        print(&policy)?
    }
    Ok(Exit::Done)
}

/// A policy that grants what stays inside an execution, with rules to fill in for what does not.
fn start(needs: &BTreeSet<Need>) -> String {
    let mut policy = "version = 1\n".to_owned();
    let (filled, open): (Vec<_>, Vec<_>) =
        needs.iter().map(|need| grant::of(*need)).partition(|grant| grant.open.is_none());
    filled.iter().for_each(|grant| policy.push_str(&format!("\n{}\n", grant.toml)));
    for grant in open {
        let lines: String = grant.toml.lines().map(|line| format!("# {line}\n")).collect();
        policy.push_str(&format!("\n# {}\n{lines}", grant.open.unwrap_or_default()));
    }
    policy
}

fn for_log(log: &Path, args: &Args) -> Outcome {
    let policy = args.policy.as_deref().map(Policy::load).transpose()?;
    let unreadable = || format!("cannot read the audit log {}", everstep::visible::path(log));
    let lines = Lines::open(log).map_err(Failure::io(unreadable()))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_to_start_from_is_a_policy_filled_in_or_not() {
        let needs = BTreeSet::from_iter(grant::ALL);
        let policy = start(&needs);
        let parsed = Policy::parse(&policy, Path::new("/policy.toml")).unwrap();
        assert!(parsed.capability("print").is_some() && parsed.files.is_empty() && parsed.fetch.is_empty());
        let comments = |line: &&str| !line.starts_with("# ") || line.contains('=') || line.contains('[');
        let filled: Vec<_> = policy.lines().filter(comments).map(|line| line.trim_start_matches("# ")).collect();
        let parsed = Policy::parse(&filled.join("\n"), Path::new("/policy.toml")).unwrap();
        assert!(!parsed.files.is_empty() && !parsed.fetch.is_empty() && !parsed.websocket.is_empty());
    }
}
