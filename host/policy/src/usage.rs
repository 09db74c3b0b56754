//! How much of its quotas one execution has used.

use super::section::Call;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

/// The most call times that are kept for a rule: as many as a rate may count.
pub(super) const MOST_TIMES: usize = 10_000;

/// How much of its quotas one execution has used: rebuilt from the journal by counting every allowed call again, with its time, so
/// that neither a crash nor a resume refills them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Usage {
    rules: BTreeMap<String, Used>,
}

/// The use of one rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Used {
    pub(super) calls: u64,
    pub(super) written: u64,
    /// Messages sent or awaited.
    pub(super) messages: u64,
    /// Requests under way, or open connections.
    #[serde(skip)]
    pub(super) open: u64,
    /// The files written and all folders above them.
    pub(super) paths: HashSet<String>,
    /// Times of the last requests, in milliseconds; never decreasing, and no more than any rate needs.
    times: VecDeque<u64>,
}

impl Usage {
    /// Counts an allowed call, live or replayed, under the rule whose quotas apply, made at `at_ms`.
    #[inline]
    pub fn count(&mut self, rule: &str, call: &Call<'_>, at_ms: u64) {
        call.as_decided().count(self, rule, at_ms);
    }

    /// Notes that a request or a connection under the rule has begun.
    pub fn opened(&mut self, rule: &str) {
        self.add(rule, |used| used.open += 1);
    }

    /// Notes that a request or a connection under the rule is over.
    pub fn closed(&mut self, rule: &str) {
        self.add(rule, |used| used.open = used.open.saturating_sub(1));
    }

    /// Takes over the use at a later time; what is open now stays open.
    pub fn catch_up(&mut self, later: Self) {
        for (rule, used) in later.rules {
            let open = self.rules.get(&rule).map_or(0, |used| used.open);
            self.rules.insert(rule, Used { open, ..used });
        }
    }

    pub(super) fn of(&self, rule: &str) -> Option<&Used> {
        self.rules.get(rule)
    }

    /// Applies a change to the use of a rule.
    pub(super) fn add(&mut self, rule: &str, change: impl FnOnce(&mut Used)) {
        match self.rules.get_mut(rule) {
            Some(used) => change(used),
            None => change(self.rules.entry(rule.to_owned()).or_default()),
        }
    }
}

impl Used {
    /// Counts a call with its time.
    pub(super) fn count_at(&mut self, at_ms: u64) {
        self.calls += 1;
        if self.times.len() >= MOST_TIMES {
            self.times.pop_front();
        }
        self.times.push_back(self.times.back().map_or(at_ms, |last| at_ms.max(*last)));
    }

    /// Whether a call now would exceed a rate: no window of this length may contain more than `calls` calls.
    pub(super) fn is_over_rate(&self, calls: u32, window: Duration, now_ms: u64) -> bool {
        let window = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        let earliest = self.times.len().checked_sub(calls as usize).and_then(|index| self.times.get(index));
        earliest.is_some_and(|time| time.saturating_add(window) > now_ms)
    }
}
