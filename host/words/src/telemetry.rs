//! The names of spans, fields and metrics, and the closed lists of their values: whoever reads a trace, a log or a metric finds them here.
//!
//! No name and no value holds what a guest computes with, a secret, or a path of this machine.

/// The names of spans.
pub mod span {
    /// One run of an execution in one process, from its instance to the moment in which its end is durable.
    pub const EXECUTION: &str = "execution";
    /// One live step. External ones are at the level `info`, the others at `trace`; a replayed step has none.
    pub const STEP: &str = "step";
    /// A wait of a run until what it has recorded is durable.
    pub const BARRIER: &str = "barrier";
    /// The claim of a process on an execution, until it is left or lost.
    pub const CLAIM: &str = "claim";
}

/// The names of the fields of spans and events.
pub mod field {
    /// The id of the execution.
    pub const ID: &str = "everstep.execution.id";
    /// The durable function.
    pub const FUNCTION: &str = "everstep.function";
    /// The version of its task: how often a process has claimed it.
    pub const ATTEMPT: &str = "everstep.attempt";
    /// The first twelve hexadecimal digits of the digest of its component.
    pub const COMPONENT: &str = "everstep.component";
    /// How a run, a claim or a step ended: an [`Ended`](super::Ended), `ok`, or the code of an error.
    pub const OUTCOME: &str = "everstep.outcome";
    /// The class of a failure, as in `everstep show`.
    pub const ERROR: &str = "error.type";
    /// Steps that the execution has recorded in all.
    pub const STEPS: &str = "everstep.steps";
    /// Steps that a run has taken from the journal.
    pub const REPLAYED: &str = "everstep.steps.replayed";
    /// The number of a step.
    pub const NUMBER: &str = "everstep.step.number";
    /// The interface and function of a step, such as `http.fetch`.
    pub const KIND: &str = "everstep.step.kind";
    /// The trace, 32 hexadecimal digits.
    pub const TRACE: &str = "trace_id";
    /// The span, 16 hexadecimal digits.
    pub const SPAN: &str = "span_id";
    /// The span that it is part of.
    pub const PARENT: &str = "parent_span_id";
    /// The span of the same trace that it goes on from: that of the run before.
    pub const LINK: &str = "linked_span_id";
}

/// The names of metrics. Those of a server begin with `everstep_` as well, and are listed in `docs/observability.md`.
pub mod metric {
    /// Gauge: executions of the store, by `state`.
    pub const EXECUTIONS: &str = "everstep_executions";
    /// Gauge: executions that run in this process.
    pub const RUNNING: &str = "everstep_runs_active";
    /// Gauge: executions that are offered to this process and wait for an instance.
    pub const WAITING: &str = "everstep_runs_waiting";
    /// Counter: runs that have ended in this process, by `outcome`.
    pub const RUNS: &str = "everstep_runs_total";
    /// Counter: live steps, by `kind` and `decision`.
    pub const STEPS: &str = "everstep_steps_total";
    /// Counter: steps that were taken from a journal.
    pub const REPLAYED: &str = "everstep_steps_replayed_total";
    /// Histogram: how long a run waited for what it had recorded to become durable.
    pub const BARRIER: &str = "everstep_barrier_duration_seconds";
    /// Histogram: from the offer of an execution until it runs.
    pub const WAKE_UP: &str = "everstep_wakeup_duration_seconds";
    /// Counter: claims that were lost to another process.
    pub const LOST: &str = "everstep_claims_lost_total";
    /// Gauge: bytes of the store on the disk.
    pub const SIZE: &str = "everstep_store_size_bytes";
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The function returned a result.
    Completed,
    /// The function returned an error, or had to fail.
    Failed,
    /// It waits, without an instance.
    Suspended,
    /// It cannot continue until somebody resumes it.
    Halted,
    /// It was ended from outside.
    Canceled,
    /// It goes on in this process at once: with what has settled meanwhile, at a checkpoint, or interrupted.
    Resumed,
    /// Another process has taken it.
    Lost,
    /// The store has failed.
    Broken,
}

impl Ended {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Completed,
        Self::Failed,
        Self::Suspended,
        Self::Halted,
        Self::Canceled,
        Self::Resumed,
        Self::Lost,
        Self::Broken,
    ];

    /// Its name in a trace, a log and a metric.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Suspended => "suspended",
            Self::Halted => "halted",
            Self::Canceled => "canceled",
            Self::Resumed => "resumed",
            Self::Lost => "lost",
            Self::Broken => "broken",
        }
    }
}

/// What was decided on a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// It was granted, or needs no grant.
    Allow,
    /// It was denied.
    Deny,
    /// A person was asked.
    Ask,
}

impl Decision {
    /// Its name in a metric.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Ask => "ask",
        }
    }
}
