//! Sizes, counts and durations: in the notation of a policy file, and in canonical JSON.

use super::source::At;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

const UNLIMITED: &str = "unlimited";

/// A number of bytes, such as `"10MiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

/// A number of things, such as `1_000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count(pub(super) u64);

/// A length of time, such as `"30s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

const SIZE_UNITS: [(&str, u64); 5] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
const SPAN_UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Reads a length of time as in a policy file: a whole number with its unit (`ms`, `s`, `m`, `h` or `d`), such as `30s`.
///
/// # Errors
/// It is not valid; the message shows an example.
pub fn span(text: &str) -> Result<Duration, String> {
    let ms = quantity(text, &SPAN_UNITS).ok_or("use a number with its unit (ms, s, m, h or d), such as 30s")?;
    Ok(duration(ms))
}

/// Reads a number of bytes as in a policy file: a whole number with its unit (`B`, `KiB`, `MiB`, `GiB` or `TiB`), such as `512MiB`.
///
/// # Errors
/// It is not valid; the message shows an example.
pub fn size(text: &str) -> Result<u64, String> {
    quantity(text, &SIZE_UNITS)
        .ok_or_else(|| "use a number with its unit (B, KiB, MiB, GiB or TiB), such as 512MiB".to_owned())
}

/// Reads a whole number and one of `units`, without a space; `_` may group the digits.
fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '_')?;
    let (number, unit) = text.split_at(digits);
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    number.replace('_', "").parse::<u64>().ok()?.checked_mul(factor)
}

/// A length of time in the notation of a policy file.
pub(super) fn span_text(time: Duration) -> String {
    shortest(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), &SPAN_UNITS)
}

/// A number of bytes in the notation of a policy file.
pub(super) fn size_text(bytes: u64) -> String {
    shortest(bytes, &SIZE_UNITS)
}

/// A count in the notation of a policy file, without quotes.
pub(super) fn count_text(count: u64) -> String {
    if count == u64::MAX { UNLIMITED.to_owned() } else { count.to_string() }
}

/// A number in the largest unit that divides it.
fn shortest(number: u64, units: &[(&str, u64)]) -> String {
    let fitting = units.iter().rev().find(|(_, unit)| number >= *unit && number.is_multiple_of(*unit));
    match (number, fitting.or(units.first())) {
        (u64::MAX, _) | (_, None) => UNLIMITED.to_owned(),
        (number, Some((name, unit))) => format!("{}{name}", number / unit),
    }
}

/// A length of time for people.
pub(super) fn time_told(limit: Duration) -> String {
    if limit == Duration::MAX { UNLIMITED.to_owned() } else { format!("{limit:?}") }
}

/// Bytes in the largest unit that divides them, for people.
pub(super) fn size_told(bytes: u64) -> String {
    let text = size_text(bytes);
    match text.find(|one: char| one.is_ascii_alphabetic()) {
        Some(unit) if unit > 0 => format!("{} {}", &text[..unit], &text[unit..]),
        _ => text,
    }
}

/// The largest of these sizes; an unlimited one does not count.
pub(super) fn largest<'s>(sizes: impl Iterator<Item = &'s Option<At<Size>>>) -> Option<u64> {
    sizes.flatten().map(|size| size.get_ref().0).filter(|bytes| *bytes != u64::MAX).max()
}

/// A size in the file, or the default.
pub(super) fn given(size: Option<&At<Size>>, default: u64) -> u64 {
    size.map_or(default, |size| size.get_ref().0)
}

fn schema_of_text(units: &[(&str, u64)], example: &str) -> Schema {
    let units = units.iter().map(|(unit, _)| *unit).collect::<Vec<_>>().join("|");
    schemars::json_schema!({
        "type": "string",
        "pattern": format!("^([0-9][0-9_]*({units})|{UNLIMITED})$"),
        "examples": [example],
    })
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema_of_text(&SIZE_UNITS, "10MiB")
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema_of_text(&SPAN_UNITS, "30s")
    }
}

impl JsonSchema for Count {
    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "const": UNLIMITED }] })
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = r#"a size with its unit (B, KiB, MiB, GiB or TiB), such as "10MiB", or "unlimited""#;
        deserializer.deserialize_any(Text { expected, read: |text| quantity(text, &SIZE_UNITS) }).map(Self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = r#"a time with its unit (ms, s, m, h or d), such as "30s", or "unlimited""#;
        let ms = deserializer.deserialize_any(Text { expected, read: |text| quantity(text, &SPAN_UNITS) })?;
        Ok(Self(duration(ms)))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Whole).map(Self)
    }
}

/// Reads a text with `read`; `"unlimited"` is the largest number.
struct Text {
    expected: &'static str,
    read: fn(&str) -> Option<u64>,
}

impl Visitor<'_> for Text {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
        let number = if text == UNLIMITED { Some(u64::MAX) } else { (self.read)(text) };
        number.ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

/// Reads a whole number; `"unlimited"` is the largest one.
struct Whole;

impl Visitor<'_> for Whole {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"a whole number, such as 1_000, or "unlimited""#)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
        Ok(number)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<u64, E> {
        u64::try_from(number).map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
        if text == UNLIMITED { Ok(u64::MAX) } else { Err(E::invalid_value(de::Unexpected::Str(text), &self)) }
    }
}

fn duration(ms: u64) -> Duration {
    if ms == u64::MAX { Duration::MAX } else { Duration::from_millis(ms) }
}

/// Canonical JSON of a number: itself, or `"unlimited"`.
pub(super) mod number {
    use super::{Deserialize, Deserializer, Serializer, UNLIMITED};

    pub(in super::super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        if *number == u64::MAX { serializer.serialize_str(UNLIMITED) } else { serializer.serialize_u64(*number) }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        Ok(super::Count::deserialize(deserializer)?.0)
    }
}

/// Canonical JSON of a duration: milliseconds, or `"unlimited"`.
pub(super) mod milliseconds {
    use super::{Deserializer, Duration, Serializer, number};

    pub(in super::super) fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        number::serialize(&u64::try_from(span.as_millis()).unwrap_or(u64::MAX), serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        number::deserialize(deserializer).map(super::duration)
    }
}

/// Canonical JSON of an optional duration: `null` if it is missing.
pub(super) mod optional_milliseconds {
    use super::{Count, Deserialize, Deserializer, Duration, Serializer, milliseconds};

    pub(in super::super) fn serialize<S: Serializer>(
        span: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match span {
            Some(span) => milliseconds::serialize(span, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let ms = Option::<Count>::deserialize(deserializer)?;
        Ok(ms.map(|Count(ms)| super::duration(ms)))
    }
}
