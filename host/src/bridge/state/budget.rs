//! How much of its policy's limits an execution has used: quotas, CPU time, output, and bytes kept beside the journal.

use super::super::Stop;
use crate::policy::{self, Limits, Usage};
use everstep_store::{Failure, Progress};
use std::time::Duration;

/// See the module.
pub(in crate::bridge) struct Budget {
    /// Quotas used, counted from the steps themselves, so that a crash does not refill them.
    usage: Usage,
    /// Bytes kept beside the journal: names of open computations, and what pending promises show and send.
    beside: u64,
    /// Bytes shown so far, up to the limit.
    shown: u64,
    /// Connections and the like that would be lost with the run.
    open_ends: usize,
    progress: Progress,
    /// CPU time of this run, a replay included, in microseconds.
    cpu_us: u64,
    /// CPU time that this run took to repeat what is recorded.
    repeating_us: u64,
    /// CPU time that the store knows of.
    kept_cpu_us: u64,
    /// The last checkpoint, and the use since.
    part: Part,
}

/// The work of a guest since its last checkpoint.
#[derive(Default)]
pub(in crate::bridge) struct Part {
    /// The number of the checkpoint; `None` if the guest cannot resume there.
    pub(in crate::bridge) checkpoint: Option<u64>,
    /// Whether limits are counted from the checkpoint.
    pub(in crate::bridge) renews: bool,
    /// CPU time since the checkpoint, in microseconds.
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

    /// The quotas used so far.
    pub(in crate::bridge) fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Counts a granted call under its rule.
    pub(in crate::bridge) fn count(&mut self, rule: &str, call: &policy::Call<'_>, at_ms: u64) {
        self.usage.count(rule, call, at_ms);
    }

    /// Counts something as open under a rule.
    pub(in crate::bridge) fn opened(&mut self, rule: &str) {
        self.usage.opened(rule);
    }

    /// Counts it as closed.
    pub(in crate::bridge) fn closed(&mut self, rule: &str) {
        self.usage.closed(rule);
    }

    /// Counts a connection or the like, which keeps the execution warm.
    pub(in crate::bridge) fn note_open_end(&mut self) {
        self.open_ends += 1;
    }

    /// Counts it as closed.
    pub(in crate::bridge) fn note_closed_end(&mut self) {
        self.open_ends -= 1;
    }

    pub(in crate::bridge) fn has_open_ends(&self) -> bool {
        self.open_ends > 0
    }

    /// Counts bytes as kept beside the journal.
    pub(in crate::bridge) fn keep(&mut self, bytes: u64) {
        self.beside += bytes;
    }

    /// Counts them as freed.
    pub(in crate::bridge) fn free(&mut self, bytes: u64) {
        self.beside -= bytes;
    }

    /// Bytes kept beside the journal.
    pub(in crate::bridge) fn beside(&self) -> u64 {
        self.beside
    }

    /// Checks that so many bytes of journal fit beside them.
    ///
    /// # Errors
    /// The limit is reached.
    pub(in crate::bridge) fn check_room(&self, limits: &Limits, journal: u64) -> Result<(), Stop> {
        let limit = limits.journal;
        if self.beside.saturating_add(journal) <= limit {
            return Ok(());
        }
        Err(Stop::Limit(format!("the limit of {limit} bytes of journal is reached (limits.journal)")))
    }

    /// Bytes shown so far.
    pub(in crate::bridge) fn shown(&self) -> u64 {
        self.shown
    }

    /// Sets the bytes shown so far.
    pub(in crate::bridge) fn note_shown(&mut self, shown: u64) {
        self.shown = shown;
    }

    /// Sets the use to what it was when a guest trapped.
    pub(in crate::bridge) fn catch_up(&mut self, shown: u64, usage: Usage) {
        self.shown = shown;
        self.usage.catch_up(usage);
    }

    /// CPU time that the execution has used so far, in microseconds.
    pub(in crate::bridge) fn cpu_us(&self) -> u64 {
        self.cpu_us.max(self.progress.cpu_us)
    }

    /// Whether the store should learn the CPU time now: a crash may lose a twentieth of the limit.
    pub(super) fn is_to_be_told(&self, limits: &Limits) -> bool {
        let grain_us = u64::try_from(limits.cpu.as_micros() / 20).unwrap_or(u64::MAX);
        self.progress.cpu_us - self.kept_cpu_us > grain_us
    }

    /// Adds CPU time to what the execution has used; returns the part that is new. What earlier runs have used is counted from the end
    /// of the journal on: up to there a replay repeats it.
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

    /// Checks that CPU time is left, since the last checkpoint and in all.
    ///
    /// # Errors
    /// A limit was reached.
    pub(in crate::bridge) fn check_cpu(&self, limits: &Limits, has_caught_up: bool) -> Result<(), Stop> {
        let Part { checkpoint, renews, cpu_us } = self.part;
        let over = |used_us: u64, limit: Duration| u128::from(used_us) > limit.as_micros();
        if has_caught_up && checkpoint.is_some() && renews && over(cpu_us, limits.cpu) {
            return Err(Stop::PartLimit(cpu_limit("limits.cpu", limits.cpu)));
        }
        let (key, limit) = if renews { ("limits.session_cpu", limits.session_cpu) } else { ("limits.cpu", limits.cpu) };
        if over(self.cpu_us, limit) { Err(Stop::Limit(cpu_limit(key, limit))) } else { Ok(()) }
    }

    /// Whether three quarters of the CPU time since the last checkpoint are left.
    pub(in crate::bridge) fn has_time_to_spare(&self, limits: &Limits) -> bool {
        u128::from(self.part.cpu_us) < limits.cpu.as_micros() / 4
    }

    /// The last checkpoint.
    pub(in crate::bridge) fn part(&self) -> &Part {
        &self.part
    }

    /// Begins a part at a checkpoint; `None` if the guest has trapped after it and cannot resume there. CPU time up to it was
    /// `before_us`; what an earlier host has used after it counts.
    pub(in crate::bridge) fn begin_part(&mut self, checkpoint: Option<u64>, renews: bool, before_us: u64) {
        let cpu_us = checkpoint.map_or(0, |_| self.progress.cpu_us.saturating_sub(before_us));
        self.part = Part { checkpoint, renews, cpu_us };
    }

    /// Charges the CPU time of the replay, so that a guest that traps again and again pays for each one.
    pub(in crate::bridge) fn charge_repeating(&mut self) {
        self.progress.cpu_us = self.progress.cpu_us.saturating_add(self.repeating_us);
    }

    /// CPU time to be recorded, if it has changed since it was last.
    pub(in crate::bridge) fn unrecorded_us(&self) -> Option<u64> {
        (self.kept_cpu_us != self.progress.cpu_us).then_some(self.progress.cpu_us)
    }

    /// Steps that the store knows of, or soon will.
    pub(in crate::bridge) fn steps(&self) -> u64 {
        self.progress.steps
    }

    /// Sets the failure that halted the execution, if any.
    pub(in crate::bridge) fn note_error(&mut self, error: Option<Failure>) {
        self.progress.error = error;
    }

    /// The current progress, for the store.
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
