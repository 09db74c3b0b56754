//! `everstep policy explain`.

use crate::cli::{Exit, Failure, Outcome, print, print_json, text};
use everstep::Policy;
use everstep::policy::audit::{self, Found};
use everstep::policy::tools::{Explanation, explain, rule_toml};
use serde_json::json;
use std::path::PathBuf;

/// Show how a policy decides a call, by which rule, and which rule would allow it
///
/// The call is a CAPABILITY (fetch, websocket, files.read, files.write, files.list, files.stat, files.remove, files.make-folder,
/// files.rename, files.set-times, clock, random, or a name such as print) and its SUBJECT ("GET https://example.org/x", a URL, or a path of the guest). No quota is used.
///
/// Instead of a call, the id of a decision may be given, as a denial names it: 8 hex digits, looked up in the audit log of the policy.
///
/// Exit code 0 when the call is allowed or needs approval, 3 when it is denied, 2 when there is no such call or decision.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The policy file
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// The function that makes the call
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
    /// A capability, or the id of a decision
    #[arg(value_name = "CAPABILITY|AUDIT_ID")]
    capability: String,
    /// The subject of the call
    subject: Option<String>,
    /// Print one JSON object {call, decision, rule, terms, message, rule_toml, would_allow, no_rule}; for a decision
    /// {recorded, now}
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  everstep policy explain --policy policy.toml fetch \"GET https://example.org/x\"
  everstep policy explain --policy policy.toml files.write /data/x --function summarise
  everstep policy explain --policy policy.toml a1b2c3d4";

pub(crate) fn run(args: &Args) -> Outcome {
    let policy = Policy::load(&args.policy)?;
    let is_id = args.capability.len() == 8 && args.capability.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id && args.subject.is_none() {
        return recorded(args, &policy);
    }
    let subject = args.subject.as_deref().unwrap_or_default();
    let explanation = explain(&policy, args.function.as_deref(), &args.capability, subject);
    let explanation = explanation.map_err(|why| Failure::usage(why.to_string()))?;
    if args.json {
        print_json(&explanation)?
    } else {
        print(&text::said(&explanation.to_string()))?
    }
    Ok(exit(explanation.decision))
}

fn exit(decision: &str) -> Exit {
    if decision == "deny" { Exit::Denied } else { Exit::Done }
}

/// Shows a decision of the audit log, and how the same call is decided now.
fn recorded(args: &Args, policy: &Policy) -> Outcome {
    let Some(log) = &policy.audit else {
        return Err(Failure::usage("the policy has no [audit] section; its decisions are not recorded"));
    };
    let id = args.capability.to_ascii_lowercase();
    let path = text::line(&log.file.to_string_lossy(), 500);
    let found = audit::find(&log.file, &id).map_err(Failure::io(format!("cannot read the audit log {path}")))?;
    let found = found.ok_or_else(|| Failure::usage(format!("the audit log {path} holds no decision {id}")))?;
    let line = &found.decision;
    let function = args.function.clone().or_else(|| function_of(policy, &line.policy));
    // A subject that was escaped or cut in the log is not the one that was decided on.
    let whole = !line.subject.contains('\\') && !line.subject.ends_with("...");
    let now = whole.then(|| explain(policy, function.as_deref(), &line.capability, &line.subject).ok()).flatten();
    if args.json {
        let recorded = json!({
            "time": line.time, "execution": line.execution, "step": line.step, "policy": line.policy, "rule": line.rule,
            "capability": line.capability, "subject": line.subject, "decision": line.decision, "approver": line.approver,
            "file": found.place.file, "line": found.place.line,
        });
        print_json(&json!({ "recorded": recorded, "now": now }))?;
    } else {
        print(&text::said(&describe(&found, policy, function.as_deref(), now.as_ref())))?;
    }
    Ok(exit(&line.decision))
}

/// The function whose part of the policy has this digest.
fn function_of(policy: &Policy, digest: &str) -> Option<String> {
    policy.functions.keys().find(|name| policy.for_function(name).digest().to_string() == digest).cloned()
}

fn describe(found: &Found, policy: &Policy, function: Option<&str>, now: Option<&Explanation>) -> String {
    let line = &found.decision;
    let one = |text: &str| text::line(text, 300);
    let mut text = format!("{}: {} {}\n", one(&line.decision), one(&line.capability), one(&line.subject));
    text.push_str(&format!("at {}, step {} of {}\n", one(&line.time), line.step, one(&line.execution)));
    text.push_str(&format!("decided by, or nearest: rule {:?}\n", one(&line.rule)));
    if let Some(approver) = &line.approver {
        text.push_str(&format!("answered by {}\n", one(approver)));
    }
    if let Some(outcome) = &found.outcome {
        text.push_str(&format!("the effect came to: {}\n", one(outcome.result.as_deref().unwrap_or("nothing"))));
    }
    let same = policy.for_function(function.unwrap_or_default()).digest().to_string() == line.policy;
    if !same {
        text.push_str("the policy was another one then\n");
    }
    match now {
        Some(now) => text.push_str(&format!("\nnow, with no quota used up:\n{now}")),
        None => {
            text.push_str("\nthe call was recorded in part only, and cannot be decided again\n");
            text.push_str(&rule_toml(policy, &line.rule).map(|rule| format!("\n{rule}")).unwrap_or_default());
        }
    }
    text
}
