//! Trace contexts, as W3C Trace Context defines them (<https://www.w3.org/TR/trace-context/>), and the ids of this host's spans.
//!
//! The ids of spans are derived from what each process knows of an execution, so that a run can name the run before it, and a step that
//! is about to leave the process its span, without keeping anything.

use crate::id::ExecutionId;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The header with the trace and the span, of HTTP and of promises.
pub const TRACEPARENT: &str = "traceparent";
/// The header with what tracing systems add to it.
pub const TRACESTATE: &str = "tracestate";

/// The most bytes of a `tracestate` that are passed on, which every participant has to take.
const LONGEST_STATE: usize = 512;

/// A trace; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(pub u128);

/// A span of a trace; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId(pub u64);

/// What a span within the span of a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A step of the run.
    Step,
    /// A barrier of the run.
    Barrier,
    /// The run that cleans up after it.
    CleanUp,
}

/// A place in a trace: what began here is part of that span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// Whether somebody keeps the spans of the trace.
    pub sampled: bool,
    /// What tracing systems have added.
    state: Option<Arc<str>>,
}

impl TraceContext {
    /// The place that the headers of a request name; `None` if they name none that is valid.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let (version, rest) = traceparent.trim().split_once('-')?;
        let (trace, rest) = rest.split_once('-')?;
        let (span, flags) = rest.split_once('-')?;
        // A later version may add fields.
        let flags = match version {
            "00" => flags,
            _ => flags.split('-').next().unwrap_or_default(),
        };
        let version = u8::try_from(digits(version, 2)?).ok().filter(|version| *version != u8::MAX)?;
        let flags = digits(flags, 2)?;
        let trace = TraceId(digits(trace, 32).filter(|trace| *trace != 0)?);
        let span = SpanId(u64::try_from(digits(span, 16)?).ok().filter(|span| *span != 0)?);
        let is_state = |state: &&str| {
            !state.is_empty() && state.len() <= LONGEST_STATE && state.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        };
        let state = tracestate.map(str::trim).filter(is_state).filter(|_| version == 0).map(Arc::from);
        Some(Self { trace, span, sampled: flags & 1 == 1, state })
    }

    /// The place that the headers of a promise name.
    pub fn of_headers(headers: &BTreeMap<String, String>) -> Option<Self> {
        Self::parse(headers.get(TRACEPARENT)?, headers.get(TRACESTATE).map(String::as_str))
    }

    /// The beginning of a trace of its own, for an execution that was given none: the same whichever process asks. Its span is that of the
    /// first claim.
    pub fn beginning(id: &ExecutionId, created_ms: u64) -> Self {
        let seed = hash(&[b"trace", id.as_str().as_bytes(), &created_ms.to_be_bytes()]);
        let trace = TraceId(seed.max(1));
        let context = Self { trace, span: SpanId(1), sampled: false, state: None };
        context.at(context.claim(id, 1))
    }

    /// The same trace at another span.
    #[must_use]
    pub fn at(&self, span: SpanId) -> Self {
        Self { span, ..self.clone() }
    }

    /// The same place, kept or not.
    #[must_use]
    pub fn sampled(self, sampled: bool) -> Self {
        Self { sampled, ..self }
    }

    /// The span of the claim of an execution in that version of its task.
    pub fn claim(&self, id: &ExecutionId, version: u64) -> SpanId {
        self.derived(&[b"claim", id.as_str().as_bytes(), &version.to_be_bytes()])
    }

    /// The span of a run of an execution in that version of its task.
    pub fn run(&self, id: &ExecutionId, version: u64) -> SpanId {
        self.derived(&[b"run", id.as_str().as_bytes(), &version.to_be_bytes()])
    }

    /// The span number `number` of a kind within the span of this place: different for each of them, and computed in no time, because a
    /// run may have millions.
    pub fn part(&self, kind: Part, number: u64) -> SpanId {
        let place = number.wrapping_mul(4).wrapping_add(kind as u64 + 1);
        // The finalizer of SplitMix64 (Steele, Lea and Flood, 2014), which maps no two numbers to one.
        let mut mixed = self.span.0.wrapping_add(place.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        SpanId((mixed ^ mixed >> 31).max(1))
    }

    fn derived(&self, parts: &[&[u8]]) -> SpanId {
        let trace = self.trace.0.to_be_bytes();
        let parts: Vec<&[u8]> = std::iter::once(&trace[..]).chain(parts.iter().copied()).collect();
        // The lower half.
        SpanId(u64::try_from(hash(&parts) & u128::from(u64::MAX)).unwrap_or(1).max(1))
    }

    /// The headers that name the place.
    pub fn headers(&self) -> impl Iterator<Item = (String, String)> {
        let state = self.state.as_deref().map(|state| (TRACESTATE.to_owned(), state.to_owned()));
        std::iter::once((TRACEPARENT.to_owned(), self.to_string())).chain(state)
    }

    /// What tracing systems have added to it.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

/// The value of exactly so many lower-case hexadecimal digits.
fn digits(text: &str, length: usize) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == length && text.bytes().all(is_digit)).then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// The first 16 bytes of the SHA-256 of the length and the bytes of each part.
fn hash(parts: &[&[u8]]) -> u128 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize()[..16].iter().fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}

/// The `traceparent` of the place.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// Writes the `N` hexadecimal digits of half as many bytes. Each step of an execution that is traced has three such ids, and a formatter
/// takes several times as long for a number.
fn write_digits<const N: usize>(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    let mut digits = [0; N];
    hex::encode_to_slice(bytes, &mut digits).map_err(|_| fmt::Error)?;
    f.write_str(str::from_utf8(&digits).map_err(|_| fmt::Error)?)
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_digits::<32>(f, &self.0.to_be_bytes())
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_digits::<16>(f, &self.0.to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_and_written() {
        let context = TraceContext::parse(PARENT, Some("congo=t61rcWkgMzE")).unwrap();
        assert_eq!((context.to_string().as_str(), context.sampled), (PARENT, true));
        let headers: BTreeMap<_, _> = context.headers().collect();
        assert_eq!(headers[TRACESTATE], "congo=t61rcWkgMzE");
        assert_eq!(TraceContext::of_headers(&headers), Some(context));
        // Of a later version what is known is read.
        let later = TraceContext::parse(&PARENT.replacen("00-", "cc-", 1).replace("-01", "-01-more"), None).unwrap();
        assert_eq!(later.to_string(), PARENT);
    }

    #[test]
    fn what_is_no_traceparent_is_not_taken_for_one() {
        for wrong in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-+1",
        ] {
            assert_eq!(TraceContext::parse(wrong, None), None, "{wrong}");
        }
        let long = "x=".to_owned() + &"y".repeat(LONGEST_STATE);
        for state in [&*long, "a=b\nc", " "] {
            assert_eq!(TraceContext::parse(PARENT, Some(state)).unwrap().state(), None);
        }
    }

    #[test]
    fn each_span_has_an_id_of_its_own_and_always_the_same() {
        let (one, two) = (ExecutionId::new("a").unwrap(), ExecutionId::new("b").unwrap());
        let context = TraceContext::beginning(&one, 1);
        assert_eq!(context, TraceContext::beginning(&one, 1));
        assert_eq!(context.span, context.claim(&one, 1));
        assert_ne!(context.trace, TraceContext::beginning(&one, 2).trace);
        let run = context.at(context.run(&one, 1));
        let ids = [
            context.claim(&one, 1),
            context.claim(&one, 2),
            context.claim(&two, 1),
            context.run(&one, 1),
            context.run(&one, 2),
            run.part(Part::Step, 1),
            run.part(Part::Step, 2),
            run.part(Part::Barrier, 1),
            run.part(Part::CleanUp, 1),
            context.at(context.run(&one, 2)).part(Part::Step, 1),
        ];
        let different: std::collections::BTreeSet<u64> = ids.iter().map(|id| id.0).collect();
        assert_eq!(different.len(), ids.len());
    }
}
