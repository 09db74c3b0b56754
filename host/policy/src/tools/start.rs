//! Rules to start a policy from.

use super::question::question;
use crate::Policy;

/// The rule that grants a call like this one, without a quota; `None` if no rule grants such a call.
pub fn starting_rule(capability: &str, subject: &str) -> Option<String> {
    let question = question(capability, subject).ok()?;
    let rule = question.narrowest(&Policy::default(), 1, &[question.variant()])?;
    let lines = rule.lines().filter(|line| !line.starts_with("max_"));
    Some(lines.map(|line| format!("{line}\n")).collect())
}
