//! `[limits]`: the budget of one execution, and of a lineage, finite unless a limit is set to `"unlimited"`.

use super::{File, Policy, SECTIONS, Section};
use crate::extends::{Checked, Covers, ms};
use crate::read::{Reader, span};
use crate::source::{At, Source};
use crate::tools::render::{quote, table};
use crate::units::{self, Count, Size, Span, count_text, size_text, span_text};
use crate::{Error, quoted};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

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
    /// Journal of one execution, in bytes, including what is kept beside it for pending promises and open
    /// computations.
    #[serde(with = "units::number")]
    pub journal: u64,
    /// Pending promises that are settled from outside.
    #[serde(with = "units::number")]
    pub pending_promises: u64,
    /// The budget shared with its lineage. Omitted from the canonical form if it is the default, so that a policy from before these
    /// limits keeps its digest.
    #[serde(default, skip_serializing_if = "Lineage::is_default")]
    pub lineage: Lineage,
}

/// `[limits.lineage]`: the budget that an execution shares with its lineage: the root, and everything that the root has called or
/// detached, directly or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lineage {
    /// Executions in total, including the root.
    #[serde(with = "units::number")]
    pub executions: u64,
    /// Computing time of all of them; the default is no less than what one of them may use.
    #[serde(with = "units::milliseconds")]
    pub cpu: Duration,
    /// Promises that they have made for others to settle: questions, requests to clients, approvals and calls.
    #[serde(with = "units::number")]
    pub promises: u64,
    /// The most calls between an execution and the root.
    #[serde(with = "units::number")]
    pub depth: u64,
}

/// The budget of one execution.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename = "Limits", expecting = "struct Limits")]
pub(crate) struct LimitsShape {
    /// Running time of one activation; durable waits do not count.
    wall: Option<At<Span>>,
    /// CPU time of the whole execution; in a session, of each cell.
    cpu: Option<At<Span>>,
    /// CPU time of all cells of a session.
    session_cpu: Option<At<Span>>,
    /// Linear memory.
    memory: Option<At<Size>>,
    /// Elements of all tables.
    table_elements: Option<At<Count>>,
    /// Stack of the guest.
    wasm_stack: Option<At<Size>>,
    /// Steps of one execution.
    steps: Option<At<Count>>,
    /// Promises that are started and not settled.
    in_flight: Option<At<Count>>,
    /// Payload of one call; when it is missing, 8MiB, or the largest size that a rule sets.
    bytes_per_call: Option<At<Size>>,
    /// Output of one execution; further output is dropped.
    output: Option<At<Size>>,
    /// Result of the function.
    result: Option<At<Size>>,
    /// Journal of one execution.
    journal: Option<At<Size>>,
    /// Pending promises that are settled from outside.
    pending_promises: Option<At<Count>>,
    /// What a root execution and all that it has called or detached may use together.
    #[serde(default)]
    lineage: LineageShape,
}

/// The budget of a root execution and all that it has called or detached.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename = "Lineage", expecting = "struct Lineage")]
struct LineageShape {
    /// Executions in total, including the root.
    executions: Option<At<Count>>,
    /// CPU time of all of them; when it is missing, no less than what one of them may use.
    cpu: Option<At<Span>>,
    /// Promises that they have created to be settled from outside: questions, requests to clients, approvals and calls.
    promises: Option<At<Count>>,
    /// How deep calls may be nested below the root.
    depth: Option<At<Count>>,
}

/// This section is read first, because the sizes of rules depend on it.
struct LimitsSection;

pub(super) const SECTION: &dyn Section = &LimitsSection;

impl Section for LimitsSection {
    fn key(&self) -> &'static str {
        "limits"
    }

    /// Makes sizes consistent: a size that a rule sets fits into one call, unless the file sets the size of a call.
    fn read(&self, file: &File, reader: &mut Reader<'_>, policy: &mut Policy) -> Result<(), Error> {
        let (source, shape) = (reader.source, &file.limits);
        let mut given = |key: &str, place: Range<usize>| reader.place(&format!("limits.{key}"), &place);
        policy.limits = read(shape, &policy.limits, source, &mut given)?;
        if shape.bytes_per_call.is_none() && reader.is_root {
            let largest = SECTIONS.iter().filter_map(|section| section.largest(file)).max();
            policy.limits.bytes_per_call = policy.limits.bytes_per_call.max(largest.unwrap_or(0));
        }
        Ok(())
    }

    fn meet(&self, policy: &mut Policy, _: &Policy, other: &Policy) {
        policy.limits = policy.limits.narrowed(&other.limits);
    }

    fn check_narrower(&self, ours: &Checked, base: &Checked, _: &mut Covers) -> Result<(), Error> {
        match ours.policy.limits.wider(&base.policy.limits).next() {
            None => Ok(()),
            Some((name, kind, number, most)) => {
                let what = format!("limits.{name} = {} is more than {}", kind.text(number), kind.text(most));
                let key = format!("limits.{name}");
                Err(ours.widening(&key, base, &key, what))
            }
        }
    }

    fn beyond(&self, ours: &Policy, base: &Policy) -> Vec<String> {
        let wider = ours.limits.wider(&base.limits);
        let what = wider.map(|(key, kind, number, before)| {
            format!("limits.{key} = {} instead of {}", kind.text(number), kind.text(before))
        });
        what.collect()
    }

    fn render(&self, policy: &Policy, text: &mut String) {
        text.push_str(&policy.limits.toml("limits", None));
    }

    fn told(&self, policy: &Policy) -> Vec<(&'static str, String)> {
        vec![("limits", policy.limits.told()), ("lineage", policy.limits.shared().told())]
    }

    fn remarks(&self, policy: &Policy) -> Vec<String> {
        let limits = &policy.limits;
        let mut remarks = Vec::new();
        for (name, less) in [("limits.memory", limits.memory), ("limits.journal", limits.journal)] {
            if limits.bytes_per_call != u64::MAX && limits.bytes_per_call > less {
                let (per_call, less) = (size_text(limits.bytes_per_call), size_text(less));
                remarks.push(format!(
                    "limits.bytes_per_call = {per_call} is more than {name} = {less}, which ends a call before"
                ));
            }
        }
        remarks
    }
}

/// The limit of a policy from before this key existed; omitted from the canonical form, so that the digest is the
/// same.
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

    fn told(&self) -> String {
        let Self { executions, cpu, promises, depth } = self;
        let (executions, promises, depth) = (count_text(*executions), count_text(*promises), count_text(*depth));
        format!("executions {executions}, cpu {}, promises {promises}, depth {depth}", units::time_told(*cpu))
    }
}

impl Limits {
    /// The budget of a lineage, in which one execution may use all of its own computing time, unless less is set.
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

    /// The keys that are wider than another policy's, with both numbers.
    fn wider(&self, other: &Self) -> impl Iterator<Item = (&'static str, Kind, u64, u64)> {
        let both = self.entries().into_iter().zip(other.entries());
        both.map(|((key, kind, ours), (_, _, theirs))| (key, kind, ours, theirs))
            .filter(|(_, _, ours, theirs)| ours > theirs)
    }

    /// All limits as in a file, or only those below `of`.
    pub(super) fn toml(&self, name: &str, of: Option<&Self>) -> String {
        let mut text = String::new();
        let most = of.map(Self::entries);
        let keys = self.entries().into_iter().enumerate().filter(|(index, (_, _, number))| {
            most.as_ref().and_then(|most| most.get(*index)).is_none_or(|(_, _, most)| number < most)
        });
        let keys = keys.map(|(_, (key, kind, number))| {
            let text = kind.text(number);
            (key.to_owned(), if text.parse::<u64>().is_ok() { text } else { quote(&text) })
        });
        table(&mut text, name, keys);
        text
    }

    fn told(&self) -> String {
        let sizes = [
            ("memory", self.memory),
            ("wasm_stack", self.wasm_stack),
            ("bytes_per_call", self.bytes_per_call),
            ("output", self.output),
            ("result", self.result),
            ("journal", self.journal),
        ];
        let counts = [
            ("steps", self.steps),
            ("table_elements", self.table_elements),
            ("in_flight", self.in_flight),
            ("pending_promises", self.pending_promises),
        ];
        let times = [("wall", self.wall), ("cpu", self.cpu), ("session_cpu", self.session_cpu)];
        let times = times.map(|(name, limit)| format!("{name} {}", units::time_told(limit)));
        let sizes = sizes.map(|(name, limit)| format!("{name} {}", units::size_told(limit)));
        let counts = counts.map(|(name, limit)| format!("{name} {}", count_text(limit)));
        times.into_iter().chain(sizes).chain(counts).collect::<Vec<_>>().join(", ")
    }

    /// Each key as in the file, its kind, and its number: bytes, milliseconds, or a count.
    fn entries(&self) -> [(&'static str, Kind, u64); 17] {
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

/// The unit of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Bytes.
    Size,
    /// Things.
    Count,
    /// Milliseconds.
    Time,
}

impl Kind {
    fn text(self, number: u64) -> String {
        match self {
            Self::Size => size_text(number),
            Self::Count => count_text(number),
            Self::Time => span_text(if number == u64::MAX { Duration::MAX } else { Duration::from_millis(number) }),
        }
    }
}

/// Reads `[limits]`, of the policy or of a function; `given` is called with each key that is present, and its place.
fn read(
    shape: &LimitsShape,
    default: &Limits,
    source: &Source<'_>,
    given: &mut dyn FnMut(&'static str, Range<usize>),
) -> Result<Limits, Error> {
    let mut time = |key, value: &Option<At<Span>>, default| {
        value.iter().for_each(|value| given(key, value.span()));
        span(source, &format!("limits.{key}"), value.as_ref(), default)
    };
    let (wall, cpu) = (time("wall", &shape.wall, default.wall)?, time("cpu", &shape.cpu, default.cpu)?);
    let session_cpu = time("session_cpu", &shape.session_cpu, default.session_cpu)?;
    let (shared, lineage) = (&shape.lineage, &default.lineage);
    let lineage_cpu = time("lineage.cpu", &shared.cpu, lineage.cpu)?;
    let mut size = |key, value: &Option<At<Size>>, default, range| {
        value.iter().for_each(|value| given(key, value.span()));
        bounded(source, key, value.as_ref(), default, range)
    };
    let any = || 0..=u64::MAX;
    let memory = size("memory", &shape.memory, default.memory, 64 * KIB..=4 * GIB)?;
    let wasm_stack = size("wasm_stack", &shape.wasm_stack, default.wasm_stack, 64 * KIB..=64 * MIB)?;
    let bytes_per_call = size("bytes_per_call", &shape.bytes_per_call, default.bytes_per_call, any())?;
    let output = size("output", &shape.output, default.output, any())?;
    let result = size("result", &shape.result, default.result, any())?;
    let journal = size("journal", &shape.journal, default.journal, any())?;
    let mut count = |key, value: &Option<At<Count>>, default| {
        value.iter().for_each(|value| given(key, value.span()));
        value.as_ref().map_or(default, |value| value.get_ref().0)
    };
    Ok(Limits {
        wall,
        cpu,
        session_cpu,
        memory,
        table_elements: count("table_elements", &shape.table_elements, default.table_elements),
        wasm_stack,
        steps: count("steps", &shape.steps, default.steps),
        in_flight: count("in_flight", &shape.in_flight, default.in_flight),
        bytes_per_call,
        output,
        result,
        journal,
        pending_promises: count("pending_promises", &shape.pending_promises, default.pending_promises),
        lineage: Lineage {
            executions: count("lineage.executions", &shared.executions, lineage.executions),
            cpu: lineage_cpu,
            promises: count("lineage.promises", &shared.promises, lineage.promises),
            depth: count("lineage.depth", &shared.depth, lineage.depth),
        },
    })
}

fn bounded(
    source: &Source<'_>,
    key: &str,
    value: Option<&At<Size>>,
    default: u64,
    range: RangeInclusive<u64>,
) -> Result<u64, Error> {
    let Some(value) = value else { return Ok(default) };
    let Size(bytes) = *value.get_ref();
    if !range.contains(&bytes) {
        let what = format!("limits.{key} lies between {} and {} bytes", range.start(), range.end());
        return Err(source.invalid(&value.span(), what, "the engine has these bounds: write a size within them"));
    }
    Ok(bytes)
}

/// Reads the limits of a function, which must not be wider than `default`.
pub(super) fn read_narrower(
    name: &str,
    shape: &LimitsShape,
    default: &Limits,
    source: &Source<'_>,
) -> Result<Limits, Error> {
    let mut places: Vec<(&'static str, Range<usize>)> = Vec::new();
    let limits = read(shape, default, source, &mut |key, place| places.push((key, place)))?;
    let wider = limits.wider(default).next();
    if let Some((key, ..)) = wider {
        let place = places.iter().find(|(given, _)| *given == key).map_or(0..0, |(_, place)| place.clone());
        let what = format!("limits.{key} of the function {} is wider than that of the policy", quoted(name));
        return Err(source.invalid(&place, what, "write less, or leave it out"));
    }
    Ok(limits)
}
