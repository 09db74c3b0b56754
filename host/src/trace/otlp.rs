//! Spans as OTLP has them: `opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest`, in protobuf.
//!
//! The numbers are those of the fields in <https://github.com/open-telemetry/opentelemetry-proto>.

use everstep_words::telemetry::{Ended, field, span};
use everstep_words::trace::{SpanId, TraceId};
use std::borrow::Cow;
use std::time::Duration;

/// A span, once it has ended.
pub(super) struct Finished {
    name: &'static str,
    ids: Ids,
    /// Since the Unix epoch.
    pub(super) start: Duration,
    /// Since the Unix epoch.
    pub(super) end: Duration,
    attributes: Vec<(&'static str, Value)>,
}

/// The ids of a span.
#[derive(Clone, Copy)]
pub(super) struct Ids {
    /// Its trace.
    pub(super) trace: TraceId,
    /// Its own.
    pub(super) span: SpanId,
    /// The span that it is part of.
    pub(super) parent: Option<SpanId>,
    /// The span of the same trace that it goes on from.
    pub(super) link: Option<SpanId>,
}

/// The value of an attribute.
pub(super) enum Value {
    Text(Cow<'static, str>),
    Number(i64),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// Spans that have ended, as a request has them, so that nothing is kept of each.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) spans: usize,
    encoded: Message,
}

impl Batch {
    /// Adds a span.
    pub(super) fn add(&mut self, span: &Finished) {
        self.spans += 1;
        self.encoded.message(2, |to| span.write(to));
    }
}

impl Finished {
    /// A span that begins at that time since the Unix epoch.
    pub(super) fn begun(name: &'static str, ids: Ids, start: Duration) -> Self {
        Self { name, ids, start, end: start, attributes: Vec::new() }
    }

    /// Sets an attribute. A step that is tried again has the outcome of its last attempt.
    pub(super) fn set(&mut self, name: &'static str, value: Value) {
        match self.attributes.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.attributes.push((name, value)),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find_map(|(known, value)| match value {
            Value::Text(text) if *known == name => Some(&**text),
            _ => None,
        })
    }

    /// The number of its kind: internal 1, client 3, producer 4, consumer 5.
    fn kind(&self) -> u64 {
        match (self.name, self.text(field::KIND)) {
            (span::EXECUTION, _) => 5,
            (_, Some("http.fetch" | "websocket.connect")) => 3,
            (_, Some("functions.call" | "functions.spawn-detached")) => 4,
            _ => 1,
        }
    }

    /// Whether it ended in an error.
    fn failed(&self) -> bool {
        let fine = [Ended::Completed, Ended::Suspended, Ended::Resumed, Ended::Canceled].map(Ended::name);
        self.text(field::OUTCOME).is_some_and(|outcome| outcome != "ok" && !fine.contains(&outcome))
    }

    fn write(&self, to: &mut Message) {
        let Ids { trace, span, parent, link } = self.ids;
        to.bytes(1, &trace.0.to_be_bytes());
        to.bytes(2, &span.0.to_be_bytes());
        parent.iter().for_each(|parent| to.bytes(4, &parent.0.to_be_bytes()));
        to.bytes(5, self.name.as_bytes());
        to.number(6, self.kind());
        to.fixed(7, nanoseconds(self.start));
        to.fixed(8, nanoseconds(self.end));
        for (name, value) in &self.attributes {
            to.message(9, |pair| match value {
                Value::Text(text) => text_attribute(pair, name, text),
                Value::Number(number) => number_attribute(pair, name, *number),
            });
        }
        if let Some(link) = link {
            to.message(13, |to| {
                to.bytes(1, &trace.0.to_be_bytes());
                to.bytes(2, &link.0.to_be_bytes());
            });
        }
        if self.failed() {
            // The code of an error.
            to.message(15, |status| status.number(3, 2));
        }
    }
}

/// A request with these spans of a process that is described by `resource`.
pub(crate) fn request(resource: &[(String, String)], spans: &Batch) -> Vec<u8> {
    let mut request = Message::default();
    request.message(1, |of_resource| {
        of_resource.message(1, |to| {
            for (name, value) in resource {
                to.message(1, |pair| text_attribute(pair, name, value));
            }
        });
        of_resource.message(2, |of_scope| {
            of_scope.message(1, |scope| {
                scope.bytes(1, b"everstep");
                scope.bytes(2, env!("CARGO_PKG_VERSION").as_bytes());
            });
            of_scope.0.extend_from_slice(&spans.encoded.0);
        });
    });
    request.0
}

fn text_attribute(pair: &mut Message, name: &str, text: &str) {
    pair.bytes(1, name.as_bytes());
    pair.message(2, |to| to.bytes(1, text.as_bytes()));
}

fn number_attribute(pair: &mut Message, name: &str, number: i64) {
    pair.bytes(1, name.as_bytes());
    pair.message(2, |to| to.number(3, number.cast_unsigned()));
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A message of protobuf: fields, each with its number and the way that its length is known.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(&mut self, field: u64, value: u64) {
        self.varint(field << 3);
        self.varint(value);
    }

    fn fixed(&mut self, field: u64, value: u64) {
        self.varint(field << 3 | 1);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
    }

    fn message(&mut self, field: u64, write: impl FnOnce(&mut Self)) {
        self.varint(field << 3 | 2);
        // The length stands before, and is known only behind; most have one byte of it.
        let begin = self.0.len();
        self.0.push(0);
        write(self);
        let end = self.0.len();
        let length = end - begin - 1;
        match u8::try_from(length) {
            Ok(short @ 0..0x80) => self.0[begin] = short,
            _ => {
                self.varint(length as u64);
                let bytes = self.0.len() - end;
                self.0[begin..].rotate_right(bytes);
                self.0.remove(begin + bytes);
            }
        }
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
            value >>= 7;
        }
        self.0.push(u8::try_from(value).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_seven_bits_a_byte() {
        let mut message = Message::default();
        message.number(1, 300);
        message.fixed(16, 1);
        message.bytes(2, b"ab");
        assert_eq!(message.0, b"\x08\xac\x02\x81\x01\x01\0\0\0\0\0\0\0\x12\x02ab");
    }

    #[test]
    fn a_message_has_its_length_before_it_however_long_it_is() {
        for length in [0, 1, 126, 127, 128, 16_384] {
            let (mut message, mut expected) = (Message::default(), Message::default());
            message.message(2, |to| to.message(3, |to| to.0.resize(to.0.len() + length, b'x')));
            expected.bytes(3, &vec![b'x'; length]);
            let inner = std::mem::take(&mut expected.0);
            expected.bytes(2, &inner);
            assert_eq!(message.0, expected.0, "{length}");
        }
    }

    #[test]
    fn what_failed_is_an_error() {
        for (outcome, failed) in [("ok", false), ("completed", false), ("denied", true), ("halted", true)] {
            let ids = Ids { trace: TraceId(1), span: SpanId(2), parent: None, link: None };
            let mut span = Finished::begun("step", ids, Duration::ZERO);
            span.set(field::OUTCOME, "denied".into());
            span.set(field::OUTCOME, outcome.into());
            assert_eq!(span.failed(), failed, "{outcome}");
        }
    }
}
