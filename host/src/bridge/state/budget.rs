//! What an execution has used of what its policy allows: quotas, CPU time, output, and bytes that are kept beside the journal.

use super::super::Stop;
use crate::policy::{self, Limits, Usage};
use everstep_store::{Failure, Progress};
use std::time::Duration;

/// See the module.
pub(in crate::bridge) struct Budget {
    /// Quotas used, counted from the steps themselves, so that a crash does not refill them.
    usage: Usage,
    /// Bytes that are kept beside the journal: names of open computations, and what pending promises show and send.
    beside: u64,
    /// Bytes shown so far, up to the limit.
    shown: u64,
    /// Connections, and the like, that would be lost with the run.
    open_ends: usize,
    progress: Progress,
    /// CPU time of this run, a replay included, in microseconds.
    cpu_us: u64,
    /// CPU time of this run until it had repeated what is recorded.
    repeating_us: u64,
    /// CPU time that the store has been told of.
    kept_cpu_us: u64,
    /// The last checkpoint, and what has been used since.
    part: Part,
}

/// What a guest does from one checkpoint to the next.
#[derive(Default)]
pub(in crate::bridge) struct Part {
    /// The number of the checkpoint; none where the guest cannot go on from it.
    pub(in crate::bridge) checkpoint: Option<u64>,
    /// Whether limits are counted from there.
    pub(in crate::bridge) renews: bool,
    /// CPU time since then, in microseconds.
    pub(in crate::bridge) cpu_us: u64,
}

impl Budget {
    pub(super) fn new(progress: Progress) -> Self {
        Self {
            usage: Usage::default(),
            beside: 0,
            shown: 0,
            open_ends: 0,
            cpu_us: 0,
            repeating_us: 0,
            kept_cpu_us: progress.cpu_us,
            part: Part::default(),
            progress,
        }
    }

    /// The quotas used.
    pub(in crate::bridge) fn usage(&self) -> &Usage {
        &self.usage
    }

    /// A granted call counts under its rule.
    pub(in crate::bridge) fn count(&mut self, rule: &str, call: &policy::Call<'_>, at_ms: u64) {
        self.usage.count(rule, call, at_ms);
    }

    /// Something counts as open under a rule.
    pub(in crate::bridge) fn opened(&mut self, rule: &str) {
        self.usage.opened(rule);
    }

    /// It does no more.
    pub(in crate::bridge) fn closed(&mut self, rule: &str) {
        self.usage.closed(rule);
    }

    /// A connection, or the like, keeps the execution warm.
    pub(in crate::bridge) fn note_open_end(&mut self) {
        self.open_ends += 1;
    }

    /// It is over.
    pub(in crate::bridge) fn note_closed_end(&mut self) {
        self.open_ends -= 1;
    }

    pub(in crate::bridge) fn has_open_ends(&self) -> bool {
        self.open_ends > 0
    }

    /// Bytes are kept beside the journal.
    pub(in crate::bridge) fn keep(&mut self, bytes: u64) {
        self.beside += bytes;
    }

    /// They are no more.
    pub(in crate::bridge) fn free(&mut self, bytes: u64) {
        self.beside -= bytes;
    }

    /// Bytes that are kept beside the journal.
    pub(in crate::bridge) fn beside(&self) -> u64 {
        self.beside
    }

    /// Bytes shown so far.
    pub(in crate::bridge) fn shown(&self) -> u64 {
        self.shown
    }

    /// So many were shown.
    pub(in crate::bridge) fn note_shown(&mut self, shown: u64) {
        self.shown = shown;
    }

    /// Goes on with what was used when a guest trapped.
    pub(in crate::bridge) fn catch_up(&mut self, shown: u64, usage: Usage) {
        self.shown = shown;
        self.usage.catch_up(usage);
    }

    /// CPU time that the execution has used so far, in microseconds.
    pub(in crate::bridge) fn cpu_us(&self) -> u64 {
        self.cpu_us.max(self.progress.cpu_us)
    }

    /// CPU time that the store has not been told of, in microseconds.
    pub(in crate::bridge) fn untold_us(&self) -> u64 {
        self.progress.cpu_us - self.kept_cpu_us
    }

    /// Adds CPU time to what the execution has used; returns what of it is new. What earlier runs have used counts from the end of the
    /// journal on: a replay repeats it up to there.
    pub(in crate::bridge) fn charge(&mut self, used_us: u64, has_caught_up: bool) -> u64 {
        self.cpu_us += used_us;
        if !has_caught_up {
            self.repeating_us += used_us;
            return 0;
        }
        let before_us = self.progress.cpu_us;
        self.cpu_us = self.cpu_us.max(before_us);
        self.progress.cpu_us = self.cpu_us;
        self.part.cpu_us += used_us;
        self.cpu_us - before_us
    }

    /// Whether CPU time is left, since the last checkpoint and in all.
    ///
    /// # Errors
    /// A limit is reached.
    pub(in crate::bridge) fn check_cpu(&self, limits: &Limits, has_caught_up: bool) -> Result<(), Stop> {
        let Part { checkpoint, renews, cpu_us } = self.part;
        let over = |used_us: u64, limit: Duration| u128::from(used_us) > limit.as_micros();
        if has_caught_up && checkpoint.is_some() && renews && over(cpu_us, limits.cpu) {
            return Err(Stop::PartLimit(cpu_limit("limits.cpu", limits.cpu)));
        }
        let (key, limit) = if renews { ("limits.session_cpu", limits.session_cpu) } else { ("limits.cpu", limits.cpu) };
        if over(self.cpu_us, limit) { Err(Stop::Limit(cpu_limit(key, limit))) } else { Ok(()) }
    }

    /// The last checkpoint.
    pub(in crate::bridge) fn part(&self) -> &Part {
        &self.part
    }

    /// The guest has come to a checkpoint, that it can go on from if it has not trapped after it; CPU time up to it was `before_us`.
    /// What an earlier host has used of what follows counts.
    pub(in crate::bridge) fn begin_part(&mut self, checkpoint: Option<u64>, renews: bool, before_us: u64) {
        let cpu_us = checkpoint.map_or(0, |_| self.progress.cpu_us.saturating_sub(before_us));
        self.part = Part { checkpoint, renews, cpu_us };
    }

    /// A guest that traps again and again pays for what is repeated each time.
    pub(in crate::bridge) fn charge_repeating(&mut self) {
        self.progress.cpu_us = self.progress.cpu_us.saturating_add(self.repeating_us);
    }

    /// CPU time as a record says it, if that was not recorded yet.
    pub(in crate::bridge) fn unrecorded_us(&self) -> Option<u64> {
        (self.kept_cpu_us != self.progress.cpu_us).then_some(self.progress.cpu_us)
    }

    /// Steps that the store knows of, or will.
    pub(in crate::bridge) fn steps(&self) -> u64 {
        self.progress.steps
    }

    /// Why the execution has halted, if it has.
    pub(in crate::bridge) fn note_error(&mut self, error: Option<Failure>) {
        self.progress.error = error;
    }

    /// The progress as it is now, for the store.
    pub(super) fn keep_progress(&mut self, steps: u64, now_ms: u64) -> Box<Progress> {
        self.progress.steps = self.progress.steps.max(steps);
        self.progress.updated_ms = now_ms;
        self.kept_cpu_us = self.progress.cpu_us;
        Box::new(self.progress.clone())
    }
}

fn cpu_limit(key: &str, limit: Duration) -> String {
    format!("the limit of {limit:?} of CPU time is reached ({key})")
}
