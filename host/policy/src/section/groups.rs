//! The worker groups whose functions a guest may call.

use crate::source::{At, Source};
use crate::tools::render::list;
use crate::{Error, quoted};
use everstep_words::id::group_address;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest name of a function, in bytes.
const LONGEST: usize = 128;

/// The functions of other worker groups that may be called, each as `GROUP/FUNCTION`, or as `GROUP` for all functions of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Groups(Vec<String>);

impl Groups {
    /// Reads them from a file.
    pub(super) fn read(entries: &[At<String>], source: &Source<'_>) -> Result<Self, Error> {
        let mut groups = Vec::with_capacity(entries.len());
        for entry in entries {
            if !is_entry(entry.get_ref()) {
                let what = format!("{} is no worker group, and no function of one", quoted(entry.get_ref()));
                return Err(source.invalid(&entry.span(), what, "write \"GROUP\" or \"GROUP/FUNCTION\""));
            }
            if !groups.contains(entry.get_ref()) {
                groups.push(entry.get_ref().clone());
            }
        }
        Ok(Self(groups))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a function of a group may be called.
    pub(super) fn reach(&self, group: &str, function: &str) -> bool {
        self.0.iter().any(|entry| match entry.split_once('/') {
            None => entry == group,
            Some(of) => of == (group, function),
        })
    }

    /// Whether all that an entry names may be called.
    pub(super) fn cover(&self, entry: &str) -> bool {
        let group = entry.split_once('/').map_or(entry, |(group, _)| group);
        self.0.iter().any(|ours| ours == entry || ours == group)
    }

    /// Whether some of these may not be called under `other`.
    pub(super) fn are_wider(&self, other: &Self) -> bool {
        !self.0.iter().all(|entry| other.cover(entry))
    }

    /// Those of several functions of the caller's or of other groups; an empty text is one of the caller's.
    pub(super) fn of_callees(callees: &[&str]) -> Self {
        Self(callees.iter().filter(|callee| !callee.is_empty()).map(|callee| (*callee).to_owned()).collect())
    }

    /// What both name.
    pub(super) fn meet(&self, other: &Self) -> Self {
        let ours = self.0.iter().filter(|entry| other.cover(entry));
        let theirs = other.0.iter().filter(|entry| self.cover(entry) && !self.0.contains(entry));
        Self(ours.chain(theirs).cloned().collect())
    }

    /// As in a file; `None` if there are none.
    pub(super) fn toml(&self) -> Option<String> {
        (!self.is_empty()).then(|| self.to_string())
    }
}

impl fmt::Display for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&list(self.0.iter().cloned()))
    }
}

/// Whether a text is the name of a group, or that of a group and of a function, with a slash between them.
pub(super) fn is_entry(text: &str) -> bool {
    let (group, function) = text.split_once('/').map_or((text, None), |(group, function)| (group, Some(function)));
    let is_function = |name: &str| !name.is_empty() && name.len() <= LONGEST && !name.chars().any(char::is_control);
    group_address(group).is_some() && function.is_none_or(is_function)
}
