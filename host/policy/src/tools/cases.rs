//! A file of cases: calls, each with the decision that a policy has to make.

use super::Explanation;
use super::explain::explain_question;
use super::question::question;
use crate::section::Question;
use crate::{Error, Policy};
use everstep_words::regular_file;
use serde::Deserialize;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// The cases of one file.
#[derive(Debug)]
pub struct Cases {
    file: PathBuf,
    /// The policy that the file names.
    policy: Option<PathBuf>,
    cases: Vec<Case>,
}

/// One case.
#[derive(Debug)]
pub struct Case {
    line: usize,
    question: Box<dyn Question>,
    function: Option<String>,
    expect: &'static str,
    rule: Option<String>,
}

/// A case with a different decision.
#[derive(Clone, Debug)]
pub struct Failed {
    /// The file of cases, and the line of the case, from 1.
    pub place: (PathBuf, usize),
    /// The expected decision, and the rule if the case names one.
    pub expected: String,
    /// The decision of the policy.
    pub decided: Explanation,
}

/// The reason that a file of cases cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// It cannot be read.
    #[error("cannot read the cases {}; check the path", everstep_words::visible::path(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// The error.
        #[source]
        source: std::io::Error,
    },
    /// The file has an error.
    #[error("{}:{line}: {what}", everstep_words::visible::path(file))]
    Invalid {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The error and the remedy.
        what: String,
    },
    /// The policy that it names does not load.
    #[error(transparent)]
    Policy(#[from] Error),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    policy: Option<String>,
    #[serde(default)]
    case: Vec<Spanned<Shape>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    capability: Spanned<String>,
    #[serde(default)]
    subject: String,
    function: Option<String>,
    expect: Expect,
    rule: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expect {
    Allow,
    Ask,
    Deny,
}

impl Cases {
    /// Reads a file of cases.
    ///
    /// # Errors
    /// It cannot be read, or has an error.
    pub fn load(file: &Path) -> Result<Self, CaseError> {
        let text = regular_file::read_text(file, regular_file::POLICY)
            .map_err(|source| CaseError::Read { path: file.to_owned(), source })?;
        let line = |place: usize| text.as_bytes().iter().take(place).filter(|byte| **byte == b'\n').count() + 1;
        let invalid = |line, what: String| CaseError::Invalid { file: file.to_owned(), line, what };
        let shape: File = toml::from_str(&text).map_err(|error| {
            let place = error.span().map_or(0, |span| span.start);
            invalid(line(place), format!("{}; correct the line", error.message()))
        })?;
        if shape.case.is_empty() {
            return Err(invalid(1, "it has no [[case]]; add one with capability, subject and expect".to_owned()));
        }
        let cases = shape.case.into_iter().map(|shape| {
            let line = line(shape.span().start);
            let Shape { capability, subject, function, expect, rule } = shape.into_inner();
            let question = question(capability.get_ref(), &subject);
            let question = question.map_err(|why| invalid(line, format!("{why}; correct the case")))?;
            Ok(Case { line, question, function, expect: expect.name(), rule })
        });
        let cases = cases.collect::<Result<_, CaseError>>()?;
        let policy = shape.policy.map(|policy| file.parent().unwrap_or(Path::new("")).join(policy));
        Ok(Self { file: file.to_owned(), policy, cases })
    }

    /// The number of cases.
    pub fn count(&self) -> usize {
        self.cases.len()
    }

    /// Decides every case, under the given policy or the one that the file names; returns the cases with a different
    /// decision.
    ///
    /// # Errors
    /// There is no policy, or it does not load.
    pub fn run(&self, policy: Option<&Path>) -> Result<Vec<Failed>, CaseError> {
        let path = policy.or(self.policy.as_deref()).ok_or_else(|| CaseError::Invalid {
            file: self.file.clone(),
            line: 1,
            what: "it names no policy; add policy = \"policy.toml\", or give --policy".to_owned(),
        })?;
        let policy = Policy::load(path)?;
        Ok(self.cases.iter().filter_map(|case| case.failed(&policy, &self.file)).collect())
    }
}

impl Case {
    fn failed(&self, policy: &Policy, file: &Path) -> Option<Failed> {
        let decided = explain_question(policy, self.function.as_deref(), &*self.question);
        let by_rule = self.rule.as_ref().is_none_or(|rule| *rule == decided.rule);
        if decided.decision == self.expect && by_rule {
            return None;
        }
        let rule = self.rule.as_ref().map(|rule| format!(" by rule {rule:?}"));
        let expected = format!("{}{}", self.expect, rule.unwrap_or_default());
        Some(Failed { place: (file.to_owned(), self.line), expected, decided })
    }
}

impl Expect {
    fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((file, line), Explanation { call, decision, rule, .. }) = (&self.place, &self.decided);
        write!(
            f,
            "{}:{line}: {call}: expected {}, got {decision} (rule {rule:?})",
            everstep_words::visible::path(file),
            self.expected
        )
    }
}
