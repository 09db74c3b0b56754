//! `[limits]`: the budget of one execution, finite unless a limit is spelled out as `"unlimited"`.

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
        }
    }
}

impl Limits {
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
        }
    }

    /// Each key as the file writes it, its kind, and its number: bytes, milliseconds, or how many.
    pub(super) fn entries(&self) -> [(&'static str, Kind, u64); 13] {
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
