//! A decision with its reasons.

use super::question::question;
use super::render::{quote, rule_toml};
use crate::section::{NoQuestion, Question, SECTIONS, listed};
use crate::{Policy, Usage, Verdict};
use serde::Serialize;
use std::fmt;

/// A described decision, for a fresh execution: no quota is used up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The call, escaped and capped.
    pub call: String,
    /// `allow`, `ask` or `deny`.
    pub decision: &'static str,
    /// The deciding rule: the one that allows or asks, or refuses or comes nearest.
    pub rule: String,
    /// The rule whose bounds and quotas apply, if an approval is needed.
    pub terms: Option<String>,
    /// The shared budget of the lineage for what such calls use, if it limits them, too.
    pub budget: Option<String>,
    /// The message for the guest, if the call is denied.
    pub message: Option<String>,
    /// The rule as in a file, if it is one of the file.
    pub rule_toml: Option<String>,
    /// The narrowest addition to the file that would allow the call, if there is one.
    pub would_allow: Option<String>,
    /// The reason that no addition is offered.
    pub no_rule: Option<&'static str>,
}

/// Decides and explains a call; for one function if `function` names one.
///
/// # Errors
/// The call cannot be read.
pub fn explain(
    policy: &Policy,
    function: Option<&str>,
    capability: &str,
    subject: &str,
) -> Result<Explanation, NoQuestion> {
    Ok(explain_question(policy, function, &*question(capability, subject)?))
}

pub(super) fn explain_question(policy: &Policy, function: Option<&str>, question: &dyn Question) -> Explanation {
    let narrowed = policy.for_function(function.unwrap_or_default());
    let call = question.to_string();
    let (decision, rule, terms, message) = match narrowed.decide(&question.call(), &Usage::default(), 0) {
        Verdict::Allow { rule } => ("allow", rule.to_owned(), None, None),
        Verdict::Ask { rule, terms } => ("ask", rule.to_owned(), Some(terms.to_owned()), None),
        Verdict::Deny { rule, error } => ("deny", rule.to_owned(), None, Some(error.to_string())),
    };
    let (mut would_allow, mut no_rule) = (None, None);
    if decision == "deny" {
        no_rule = question.refusal(policy);
        would_allow = function.and_then(|function| kept(policy, function, question));
        would_allow = would_allow
            .or_else(|| no_rule.is_none().then(|| question.narrowest(policy, 1, &[question.variant()])).flatten());
    }
    let rule_toml = rule_toml(policy, &rule);
    let budget = if decision == "deny" { None } else { question.budget(&narrowed.limits.lineage) };
    Explanation { call, decision, rule, terms, budget, message, rule_toml, would_allow, no_rule }
}

/// What a function would have to keep, if the policy as a whole does not deny the call.
fn kept(policy: &Policy, function: &str, question: &dyn Question) -> Option<String> {
    let terms = match policy.decide(&question.call(), &Usage::default(), 0) {
        Verdict::Allow { rule } | Verdict::Ask { terms: rule, .. } => rule,
        Verdict::Deny { .. } => return None,
    };
    let section = SECTIONS.iter().copied().find(|section| Some(section.key()) == question.listed_by())?;
    let (function, list, id) = (quote(function), section.key(), quote(listed(section, terms)));
    Some(format!("[functions.{function}]\n{list} = [{id}]   # added to what it lists\n"))
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.decision, self.call)?;
        let role = match self.decision {
            "deny" => "decided by, or nearest",
            "ask" => "asked by",
            _ => "allowed by",
        };
        writeln!(f, "{role}: rule {:?}", self.rule)?;
        if let Some(terms) = self.terms.as_ref().filter(|terms| **terms != self.rule) {
            writeln!(f, "bounds and quotas: those of rule {terms:?}")?;
        }
        if let Some(budget) = &self.budget {
            writeln!(f, "within the budget of all that belongs together: {budget} (limits.lineage)")?;
        }
        if let Some(message) = &self.message {
            writeln!(f, "the guest is told: {message}")?;
        }
        if let Some(rule) = &self.rule_toml {
            write!(f, "\n{rule}")?;
        }
        if let Some(rule) = &self.would_allow {
            write!(f, "\nthe narrowest rule that would allow it:\n\n{rule}")?;
        }
        if let Some(why) = self.no_rule {
            writeln!(f, "\nno rule is offered: {why}")?;
        }
        Ok(())
    }
}
