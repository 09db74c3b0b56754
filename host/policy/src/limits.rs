//! `[limits]`: the budget of one execution, and of all that belong together, finite unless a limit is spelled out as `"unlimited"`.

use super::units;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The budget of one execution. `u64::MAX` and `Duration::MAX` stand for "unlimited".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Running time of one activation; durable waits do not count.
    #[serde(with = "units::milliseconds")]
    pub wall: Duration,
    /// Computing time over the whole execution; of a session, that of each cell.
    #[serde(with = "units::milliseconds")]
    pub cpu: Duration,
    /// Computing time of a session over all its cells.
    #[serde(with = "units::milliseconds", default = "session_cpu", skip_serializing_if = "is_session_cpu")]
    pub session_cpu: Duration,
    /// Linear memory, in bytes; at most 4 GiB.
    pub memory: u64,
    /// Elements of all tables.
    #[serde(with = "units::number")]
    pub table_elements: u64,
    /// Stack of the guest, in bytes; the fibre's stack is derived from it.
    pub wasm_stack: u64,
    /// Steps of one execution.
    #[serde(with = "units::number")]
    pub steps: u64,
    /// Promises started and not settled.
    #[serde(with = "units::number")]
    pub in_flight: u64,
    /// Payload of one call, in bytes.
    #[serde(with = "units::number")]
    pub bytes_per_call: u64,
    /// Output of one execution, in bytes; then a marker is printed and the rest is dropped.
    #[serde(with = "units::number")]
    pub output: u64,
    /// Result of the function, in bytes of JSON.
    #[serde(with = "units::number")]
    pub result: u64,
    /// Journal of one execution, in bytes, with what is kept beside it for pending promises and open computations.
    #[serde(with = "units::number")]
    pub journal: u64,
    /// Pending promises that somebody outside must settle.
    #[serde(with = "units::number")]
    pub pending_promises: u64,
    /// What it, and all that belongs to it, may use together. Left out of the canonical form where nothing is said, so that a policy
    /// from before these limits keeps its digest.
    #[serde(default, skip_serializing_if = "Lineage::is_default")]
    pub lineage: Lineage,
}

/// `[limits.lineage]`: the budget that an execution shares with all that belongs to it: the root, and whatever that has called or
/// detached, directly or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lineage {
    /// Executions in all, the root among them.
    #[serde(with = "units::number")]
    pub executions: u64,
    /// Computing time of all of them; the default is no less than what one of them may use.
    #[serde(with = "units::milliseconds")]
    pub cpu: Duration,
    /// Promises that they have made for others to settle: questions, requests to clients, approvals and calls.
    #[serde(with = "units::number")]
    pub promises: u64,
    /// How many calls one may be away from the root.
    #[serde(with = "units::number")]
    pub depth: u64,
}

const MIB: u64 = 1 << 20;

/// What a policy of before that key means; it is left out of the canonical form, whose digest stays.
fn session_cpu() -> Duration {
    Duration::from_secs(600)
}

fn is_session_cpu(limit: &Duration) -> bool {
    *limit == session_cpu()
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall: Duration::from_secs(60),
            cpu: Duration::from_secs(10),
            session_cpu: session_cpu(),
            memory: 128 * MIB,
            table_elements: 100_000,
            wasm_stack: 8 * MIB,
            steps: 100_000,
            in_flight: 1024,
            bytes_per_call: 8 * MIB,
            output: MIB,
            result: MIB,
            journal: 64 * MIB,
            pending_promises: 1024,
            lineage: Lineage::default(),
        }
    }
}

impl Default for Lineage {
    fn default() -> Self {
        Self { executions: 10_000, cpu: Duration::from_secs(600), promises: 10_000, depth: 32 }
    }
}

impl Lineage {
    /// The lower of the two for each key.
    pub fn narrowed(&self, other: &Self) -> Self {
        Self {
            executions: self.executions.min(other.executions),
            cpu: self.cpu.min(other.cpu),
            promises: self.promises.min(other.promises),
            depth: self.depth.min(other.depth),
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Limits {
    /// The budget of a lineage, in which one execution may use all the computing time that it has, unless less is said.
    pub fn shared(&self) -> Lineage {
        let Lineage { cpu, .. } = self.lineage;
        let cpu = if cpu == Lineage::default().cpu { cpu.max(self.cpu).max(self.session_cpu) } else { cpu };
        Lineage { cpu, ..self.lineage.clone() }
    }

    /// The lower of the two for each key.
    pub(super) fn narrowed(&self, other: &Self) -> Self {
        Self {
            wall: self.wall.min(other.wall),
            cpu: self.cpu.min(other.cpu),
            session_cpu: self.session_cpu.min(other.session_cpu),
            memory: self.memory.min(other.memory),
            table_elements: self.table_elements.min(other.table_elements),
            wasm_stack: self.wasm_stack.min(other.wasm_stack),
            steps: self.steps.min(other.steps),
            in_flight: self.in_flight.min(other.in_flight),
            bytes_per_call: self.bytes_per_call.min(other.bytes_per_call),
            output: self.output.min(other.output),
            result: self.result.min(other.result),
            journal: self.journal.min(other.journal),
            pending_promises: self.pending_promises.min(other.pending_promises),
            lineage: self.lineage.narrowed(&other.lineage),
        }
    }

    /// Each key as the file writes it, its kind, and its number: bytes, milliseconds, or how many.
    pub(super) fn entries(&self) -> [(&'static str, Kind, u64); 17] {
        let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        [
            ("wall", Kind::Time, ms(self.wall)),
            ("cpu", Kind::Time, ms(self.cpu)),
            ("session_cpu", Kind::Time, ms(self.session_cpu)),
            ("memory", Kind::Size, self.memory),
            ("table_elements", Kind::Count, self.table_elements),
            ("wasm_stack", Kind::Size, self.wasm_stack),
            ("steps", Kind::Count, self.steps),
            ("in_flight", Kind::Count, self.in_flight),
            ("bytes_per_call", Kind::Size, self.bytes_per_call),
            ("output", Kind::Size, self.output),
            ("result", Kind::Size, self.result),
            ("journal", Kind::Size, self.journal),
            ("pending_promises", Kind::Count, self.pending_promises),
            ("lineage.executions", Kind::Count, self.lineage.executions),
            ("lineage.cpu", Kind::Time, ms(self.lineage.cpu)),
            ("lineage.promises", Kind::Count, self.lineage.promises),
            ("lineage.depth", Kind::Count, self.lineage.depth),
        ]
    }
}

/// What a number of a policy counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes.
    Size,
    /// Things.
    Count,
    /// Milliseconds.
    Time,
}
