//! Spans as OTLP has them: `opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest`, in protobuf.
//!
//! The numbers are those of the fields in <https://github.com/open-telemetry/opentelemetry-proto>.

use everstep_words::telemetry::{Ended, field, span};
use std::fmt::{self, Write as _};
use std::ops::Range;
use std::time::Duration;

/// A span that has ended.
pub(super) struct Finished {
    name: &'static str,
    trace: [u8; 16],
    id: [u8; 8],
    parent: Option<[u8; 8]>,
    link: Option<[u8; 8]>,
    /// Since the Unix epoch.
    pub(super) start: Duration,
    /// Since the Unix epoch.
    pub(super) end: Duration,
    attributes: Vec<(&'static str, Value)>,
    /// The texts of the attributes, one behind the other: there are spans for each step, so each has few allocations.
    texts: String,
}

/// The value of an attribute.
enum Value {
    /// Where its text is.
    Text(Range<usize>),
    Number(i64),
}

/// What most spans have of them.
const ATTRIBUTES: usize = 4;
const BYTES_OF_TEXTS: usize = 64;

impl Finished {
    /// A span that has begun, without an id.
    pub(super) fn new(name: &'static str, start: Duration) -> Self {
        Self {
            name,
            trace: [0; 16],
            id: [0; 8],
            parent: None,
            link: None,
            start,
            end: start,
            attributes: Vec::with_capacity(ATTRIBUTES),
            texts: String::with_capacity(BYTES_OF_TEXTS),
        }
    }

    /// Whether it has been given its ids.
    pub(super) fn is_of_a_trace(&self) -> bool {
        self.trace != [0; 16] && self.id != [0; 8]
    }

    /// Sets a field that is a text or an id.
    pub(super) fn set_text(&mut self, name: &'static str, text: fmt::Arguments<'_>) {
        let begin = self.texts.len();
        // A text takes whatever is written to it.
        let _ = self.texts.write_fmt(text);
        let text = &self.texts[begin..];
        match name {
            field::TRACE => self.trace = id_of(text).unwrap_or_default(),
            field::SPAN => self.id = id_of(text).unwrap_or_default(),
            field::PARENT => self.parent = id_of(text),
            field::LINK => self.link = id_of(text),
            _ => return self.set(name, Value::Text(begin..self.texts.len())),
        }
        self.texts.truncate(begin);
    }

    /// Sets a field that is a number.
    pub(super) fn set_number(&mut self, name: &'static str, number: i64) {
        self.set(name, Value::Number(number));
    }

    /// A step that is tried again has the outcome of its last attempt.
    fn set(&mut self, name: &'static str, value: Value) {
        match self.attributes.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.attributes.push((name, value)),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find_map(|(known, value)| match value {
            Value::Text(at) if *known == name => Some(&self.texts[at.clone()]),
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
        to.bytes(1, &self.trace);
        to.bytes(2, &self.id);
        self.parent.iter().for_each(|parent| to.bytes(4, parent));
        to.bytes(5, self.name.as_bytes());
        to.number(6, self.kind());
        to.fixed(7, nanoseconds(self.start));
        to.fixed(8, nanoseconds(self.end));
        for (name, value) in &self.attributes {
            to.message(9, |pair| match value {
                Value::Text(at) => text_attribute(pair, name, &self.texts[at.clone()]),
                Value::Number(number) => number_attribute(pair, name, *number),
            });
        }
        if let Some(link) = &self.link {
            to.message(13, |to| {
                to.bytes(1, &self.trace);
                to.bytes(2, link);
            });
        }
        if self.failed() {
            // The code of an error.
            to.message(15, |status| status.number(3, 2));
        }
    }
}

/// A request with these spans of a process that is described by `resource`.
pub(super) fn request(resource: &[(String, String)], spans: &[Finished]) -> Vec<u8> {
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
            spans.iter().for_each(|span| of_scope.message(2, |to| span.write(to)));
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

fn id_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut id = [0; N];
    hex::decode_to_slice(text, &mut id).ok().map(|()| id)
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
        let begin = self.0.len();
        write(self);
        // The length is known only now, and stands before.
        let end = self.0.len();
        self.varint((end - begin) as u64);
        let length = self.0.len() - end;
        self.0[begin..].rotate_right(length);
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
    fn ids_are_no_attributes_and_a_span_without_them_is_of_no_trace() {
        let mut span = Finished::new("step", Duration::ZERO);
        assert!(!span.is_of_a_trace());
        span.set_text(field::TRACE, format_args!("4bf92f3577b34da6a3ce929d0e0e4736"));
        span.set_text(field::SPAN, format_args!("00f067aa0ba902b7"));
        assert!(span.is_of_a_trace() && span.attributes.is_empty());
    }

    #[test]
    fn what_failed_is_an_error() {
        for (outcome, failed) in [("ok", false), ("completed", false), ("denied", true), ("halted", true)] {
            let mut span = Finished::new("step", Duration::ZERO);
            span.set_text(field::OUTCOME, format_args!("{outcome}"));
            assert_eq!(span.failed(), failed, "{outcome}");
        }
    }
}
