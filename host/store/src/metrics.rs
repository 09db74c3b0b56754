//! What this process counts, and the page of it that Prometheus reads.
//!
//! A counter is an atomic number that nobody waits for; nothing is computed before a page is asked for. Labels come from closed lists: no
//! id, and nothing that a client or a guest makes up, becomes one.

use super::{Backend, State};
use everstep_words::telemetry::{Decision, Ended, metric};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Executions that run in this process.
pub static RUNNING: Gauge = Gauge::new();
/// Executions that are offered to this process and wait for an instance.
pub static WAITING: Gauge = Gauge::new();
/// Runs that have ended.
pub static RUNS: Runs = Runs([const { AtomicU64::new(0) }; Ended::ALL.len()]);
/// Live steps.
pub static STEPS: Steps = Steps(Mutex::new(BTreeMap::new()));
/// Steps that were taken from a journal.
pub static REPLAYED: Counter = Counter::new();
/// Claims that were lost to another process.
pub static LOST: Counter = Counter::new();
/// How long runs waited for what they had recorded to become durable.
pub static BARRIER: Histogram = Histogram::new();
/// From the offer of an execution until it runs.
pub static WAKE_UP: Histogram = Histogram::new();

/// The media type of a page.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A number that only grows.
pub struct Counter(AtomicU64);

/// A number that grows and shrinks.
pub struct Gauge(AtomicI64);

/// One more of something, for as long as this lives.
pub struct One(&'static Gauge);

/// Ended runs, by how they ended.
pub struct Runs([AtomicU64; Ended::ALL.len()]);

/// Steps by kind and decision.
pub struct Steps(Mutex<BTreeMap<(&'static str, Decision), u64>>);

/// The steps of one run that are not counted in [`STEPS`] yet: a step costs no lock.
#[derive(Default)]
pub struct Tally(Vec<(&'static str, Decision, u64)>);

/// Durations, in buckets.
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

/// The upper bounds of the buckets, in microseconds: from a memory store to a server far away.
const BOUNDS_US: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

impl Counter {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Counts so many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }
}

impl Gauge {
    const fn new() -> Self {
        Self(AtomicI64::new(0))
    }

    /// One more, until what is returned is dropped.
    pub fn one(&'static self) -> One {
        self.0.fetch_add(1, Ordering::Relaxed);
        One(self)
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Runs {
    /// Counts a run that has ended.
    pub fn count(&self, ended: Ended) {
        if let Some(place) = Ended::ALL.iter().position(|known| *known == ended) {
            self.0[place].fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Tally {
    /// Counts a step.
    pub fn count(&mut self, kind: &'static str, decision: Decision) {
        // A run makes few kinds of steps, and most of them many times.
        let known = self.0.iter_mut().find(|(of, on, _)| std::ptr::eq(*of, kind) && *on == decision);
        match known {
            Some((_, _, count)) => *count += 1,
            None => self.0.push((kind, decision, 1)),
        }
    }

    /// Adds what was counted to [`STEPS`].
    pub fn hand_over(&mut self) {
        if self.0.is_empty() {
            return;
        }
        let mut all = STEPS.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, decision, count) in self.0.drain(..) {
            *all.entry((kind, decision)).or_default() += count;
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.hand_over();
    }
}

impl Histogram {
    const fn new() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BOUNDS_US.len() + 1], sum_us: AtomicU64::new(0) }
    }

    /// Notes how long something took.
    pub fn note(&self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound_us| *bound_us < took_us);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(took_us, Ordering::Relaxed);
    }
}

/// A page of metrics, in the text format of Prometheus.
#[derive(Default)]
pub struct Page(String);

impl Page {
    /// What this process has counted.
    pub fn of_process() -> Self {
        let mut page = Self::default();
        page.one(metric::RUNNING, "gauge", "Executions that run in this process.", level(&RUNNING));
        page.one(metric::WAITING, "gauge", "Executions that wait for an instance.", level(&WAITING));
        let runs = Ended::ALL.iter().zip(&RUNS.0);
        let runs = runs.map(|(ended, count)| (format!("{{outcome=\"{}\"}}", ended.name()), load(count)));
        page.say(metric::RUNS, "counter", "Runs that have ended in this process.", runs);
        let steps = STEPS.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let steps = steps
            .into_iter()
            .map(|((kind, decision), count)| (format!("{{kind=\"{kind}\",decision=\"{}\"}}", decision.name()), count));
        page.say(metric::STEPS, "counter", "Live steps.", steps);
        page.one(metric::REPLAYED, "counter", "Steps that were taken from a journal.", load(&REPLAYED.0));
        page.one(metric::LOST, "counter", "Claims that were lost to another process.", load(&LOST.0));
        page.histogram(metric::BARRIER, "Waits of runs for what they had recorded to become durable.", &BARRIER);
        page.histogram(metric::WAKE_UP, "From the offer of an execution until it runs.", &WAKE_UP);
        page
    }

    /// Adds what a store holds; what cannot be read is left out, and logged.
    pub fn add_store(&mut self, store: &dyn Backend) {
        match store.census() {
            Ok(census) => {
                let counts = State::ALL.map(|state| {
                    let found = census.iter().filter(|(of, _)| *of == state);
                    (format!("{{state=\"{}\"}}", state.name()), found.map(|(_, count)| count).sum())
                });
                self.say(metric::EXECUTIONS, "gauge", "Executions of the store.", counts);
            }
            Err(error) => tracing::warn!(%error, "the executions of the store cannot be counted"),
        }
        if let Some(bytes) = store.size() {
            self.one(metric::SIZE, "gauge", "Bytes of the store on the disk.", bytes);
        }
    }

    /// Adds a metric with one value.
    pub fn one(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.say(name, kind, help, [(String::new(), value)]);
    }

    /// Adds a metric: its name, whether it is a counter or a gauge, what it is, and its values by their labels (`{name="value"}`).
    pub fn say(&mut self, name: &str, kind: &str, help: &str, values: impl IntoIterator<Item = (String, u64)>) {
        self.head(name, kind, help);
        for (labels, value) in values {
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        let mut sum = 0;
        for (place, bucket) in histogram.buckets.iter().enumerate() {
            sum += load(bucket);
            let bound = BOUNDS_US.get(place).map_or_else(|| "+Inf".to_owned(), |bound_us| seconds(*bound_us));
            let _ = writeln!(self.0, "{name}_bucket{{le=\"{bound}\"}} {sum}");
        }
        let _ = writeln!(self.0, "{name}_sum {}\n{name}_count {sum}", seconds(load(&histogram.sum_us)));
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.0
    }
}

/// Microseconds as seconds.
fn seconds(us: u64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn load(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

fn level(gauge: &Gauge) -> u64 {
    u64::try_from(gauge.0.load(Ordering::Relaxed)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_each_duration_in_all_buckets_above_it() {
        let histogram = Histogram::new();
        [100, 101, 20_000_000].iter().for_each(|us| histogram.note(Duration::from_micros(*us)));
        let mut page = Page::default();
        page.histogram("x_seconds", "X.", &histogram);
        let text = page.into_text();
        for line in [
            "# TYPE x_seconds histogram",
            "x_seconds_bucket{le=\"0.0001\"} 1",
            "x_seconds_bucket{le=\"0.00025\"} 2",
            "x_seconds_bucket{le=\"10\"} 2",
            "x_seconds_bucket{le=\"+Inf\"} 3",
            "x_seconds_sum 20.000201",
            "x_seconds_count 3",
        ] {
            assert!(text.lines().any(|said| said == line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_gauge_goes_down_again() {
        static GAUGE: Gauge = Gauge::new();
        let (one, two) = (GAUGE.one(), GAUGE.one());
        assert_eq!(level(&GAUGE), 2);
        drop((one, two));
        assert_eq!(level(&GAUGE), 0);
    }
}
