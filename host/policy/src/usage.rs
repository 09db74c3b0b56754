//! What one execution has used of its quotas.

use super::decide::{Call, FileOperation};
use super::{Rate, path};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet, VecDeque};

/// What one execution has used of its quotas: rebuilt from the journal by counting every allowed call again, with its time, so that
/// neither a crash nor a resume refills them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Usage {
    rules: BTreeMap<String, Used>,
}

/// What was used of one rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Used {
    pub(super) calls: u64,
    pub(super) written: u64,
    /// Messages sent or awaited.
    pub(super) messages: u64,
    /// Requests under way, or connections.
    #[serde(skip)]
    pub(super) open: u64,
    /// The files written and all folders above them.
    pub(super) paths: HashSet<String>,
    /// When the last requests were made, in milliseconds; never falling, and no more than any rate asks for.
    times: VecDeque<u64>,
}

impl Usage {
    /// Counts an allowed call, live or replayed, under the rule whose quotas apply, made at `at_ms`.
    #[inline]
    pub fn count(&mut self, rule: &str, call: &Call<'_>, at_ms: u64) {
        match *call {
            Call::Capability { .. } | Call::WebSocket { .. } => self.add(rule, |used| used.calls += 1),
            Call::Fetch { .. } => self.add(rule, |used| used.count_fetch(at_ms)),
            Call::Message { .. } => self.add(rule, |used| used.messages += 1),
            Call::Files { operation: FileOperation::Write, path, bytes } => self.add(rule, |used| {
                used.written = used.written.saturating_add(bytes);
                for path in path::with_folders(path) {
                    if !used.paths.contains(path) {
                        used.paths.insert(path.to_owned());
                    }
                }
            }),
            Call::Clock | Call::Random { .. } | Call::Files { .. } | Call::Ungranted => {}
        }
    }

    /// A request or a connection under the rule began.
    pub fn opened(&mut self, rule: &str) {
        self.add(rule, |used| used.open += 1);
    }

    /// A request or a connection under the rule is over.
    pub fn closed(&mut self, rule: &str) {
        self.add(rule, |used| used.open = used.open.saturating_sub(1));
    }

    /// Takes over what was used by a later time; what is open now stays open.
    pub fn catch_up(&mut self, later: Self) {
        for (rule, used) in later.rules {
            let open = self.rules.get(&rule).map_or(0, |used| used.open);
            self.rules.insert(rule, Used { open, ..used });
        }
    }

    pub(super) fn of(&self, rule: &str) -> Option<&Used> {
        self.rules.get(rule)
    }

    fn add(&mut self, rule: &str, change: impl FnOnce(&mut Used)) {
        match self.rules.get_mut(rule) {
            Some(used) => change(used),
            None => change(self.rules.entry(rule.to_owned()).or_default()),
        }
    }
}

impl Used {
    fn count_fetch(&mut self, at_ms: u64) {
        self.calls += 1;
        if self.times.len() >= Rate::MOST_CALLS as usize {
            self.times.pop_front();
        }
        self.times.push_back(self.times.back().map_or(at_ms, |last| at_ms.max(*last)));
    }

    /// Whether a call now would be one too many: no window of the rate's length, from one call on, holds more than its calls.
    pub(super) fn is_over_rate(&self, rate: Rate, now_ms: u64) -> bool {
        let window = u64::try_from(rate.window.as_millis()).unwrap_or(u64::MAX);
        let earliest = self.times.len().checked_sub(rate.calls as usize).and_then(|index| self.times.get(index));
        earliest.is_some_and(|time| time.saturating_add(window) > now_ms)
    }
}
