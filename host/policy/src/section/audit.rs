//! `[audit]`: where decisions are recorded. The log itself is [`crate::audit`].

use super::{File, Guard, HostPath, Policy, Section, Touch};
use crate::Error;
use crate::extends::{Checked, Covers};
use crate::read::{Reader, real_path};
use crate::source::{At, OnFailure};
use crate::tools::render::host_path;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// `[audit]`: where decisions are recorded. A decision that cannot be recorded is a denial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditGrant {
    /// The log, absolute.
    pub file: PathBuf,
}

/// Where decisions are recorded.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Audit {
    /// The log, relative to this file.
    file: At<String>,
    /// What happens to a call whose decision cannot be recorded.
    #[serde(rename = "on_failure")]
    _on_failure: Option<OnFailure>,
}

struct AuditSection;

pub(super) const SECTION: &dyn Section = &AuditSection;

impl Section for AuditSection {
    fn key(&self) -> &'static str {
        "audit"
    }

    fn read(&self, file: &File, reader: &mut Reader<'_>, policy: &mut Policy) -> Result<(), Error> {
        if let Some(Audit { file, .. }) = &file.audit {
            reader.place("audit", &file.span());
            policy.audit = Some(AuditGrant { file: reader.absolute(file)? });
        }
        Ok(())
    }

    fn meet(&self, policy: &mut Policy, _: &Policy, other: &Policy) {
        policy.audit = policy.audit.take().or_else(|| other.audit.clone());
    }

    fn check_narrower(&self, ours: &Checked, base: &Checked, _: &mut Covers) -> Result<(), Error> {
        if base.policy.audit.is_some() && ours.policy.audit != base.policy.audit {
            return Err(ours.widening("audit", base, "audit", "decisions are recorded elsewhere".to_owned()));
        }
        Ok(())
    }

    fn beyond(&self, ours: &Policy, base: &Policy) -> Vec<String> {
        match (&ours.audit, &base.audit) {
            (Some(log), Some(theirs)) if log != theirs => vec!["decisions are recorded elsewhere".to_owned()],
            (None, Some(_)) => vec!["decisions are not recorded".to_owned()],
            _ => Vec::new(),
        }
    }

    fn paths<'p>(&self, policy: &'p Policy) -> Vec<HostPath<'p>> {
        let guard = || Guard { touch: Touch::Write, deed: "rewrite the audit log", key: Some("audit") };
        let log =
            |grant: &'p AuditGrant| HostPath { path: &grant.file, role: "[audit]", rule: None, guard: Some(guard()) };
        policy.audit.iter().map(log).collect()
    }

    fn render(&self, policy: &Policy, text: &mut String) {
        if let Some(AuditGrant { file }) = &policy.audit {
            text.push_str(&format!("\n[audit]\nfile = {}\non_failure = \"deny\"\n", host_path(file)));
        }
    }

    fn told(&self, policy: &Policy) -> Vec<(&'static str, String)> {
        policy.audit.iter().map(|grant| ("audit", grant.file.to_string_lossy().into_owned())).collect()
    }
}

impl Policy {
    /// The audit log that it writes and that another policy does not lend it; `None` if there is nothing.
    pub fn borrowed_log<'p>(&'p self, lends: &Self) -> Option<&'p Path> {
        let ours = &self.audit.as_ref()?.file;
        let is_same = |AuditGrant { file }: &AuditGrant| file == ours || real_path(file) == real_path(ours);
        (!lends.audit.as_ref().is_some_and(is_same)).then_some(ours)
    }
}
