//! A policy as JSON: parsed into the same tables as TOML, with positions, so that all later code is shared.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Deepest nesting; a policy needs 4.
const DEEPEST: usize = 16;

/// An error and its position, in bytes.
pub(super) struct Fault {
    pub(super) place: usize,
    pub(super) message: String,
}

/// Reads one JSON object.
pub(super) fn parse(text: &str) -> Result<Spanned<DeTable<'_>>, Fault> {
    let whole: &RawValue = serde_json::from_str(text).map_err(|error| {
        let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
        let place = lines.map(str::len).sum::<usize>();
        Fault { place, message: format!("{error}; correct the JSON") }
    })?;
    let reader = Reader { text };
    let (span, value) = reader.value(whole, DEEPEST)?;
    match value {
        DeValue::Table(table) => Ok(Spanned::new(span, table)),
        _ => Err(Fault { place: span.start, message: "the policy is no object; write {\"version\": 1}".to_owned() }),
    }
}

struct Reader<'a> {
    text: &'a str,
}

impl<'a> Reader<'a> {
    fn value(&self, raw: &'a RawValue, depth: usize) -> Result<(std::ops::Range<usize>, DeValue<'a>), Fault> {
        let text = raw.get();
        let start = self.place(text);
        let fault = |message: String| Fault { place: start, message };
        let depth = depth.checked_sub(1).ok_or_else(|| fault("it is nested too deeply; flatten it".to_owned()))?;
        let value = match text.as_bytes().first() {
            Some(b'{') => self.object(text, depth)?,
            Some(b'[') => self.array(text, depth)?,
            Some(b'"') => {
                let Text(text) = serde_json::from_str(text).map_err(|error| fault(error.to_string()))?;
                DeValue::String(text)
            }
            Some(b't') => DeValue::Boolean(true),
            Some(b'f') => DeValue::Boolean(false),
            Some(b'n') => return Err(fault("null has no meaning here; leave the key out".to_owned())),
            _ => {
                let number = DeValue::parse(text);
                number
                    .map_err(|_| fault(format!("{text} is no number of a policy; write a whole number")))?
                    .into_inner()
            }
        };
        Ok((start..start + text.len(), value))
    }

    fn object(&self, text: &'a str, depth: usize) -> Result<DeValue<'a>, Fault> {
        let Object(entries) = serde_json::from_str(text).map_err(|error| self.broken(text, &error))?;
        let mut table = DeTable::new();
        for (Text(key), raw) in entries {
            let (span, value) = self.value(raw, depth)?;
            let key = Spanned::new(span.start..span.start, key);
            if table.contains_key(key.get_ref().as_ref()) {
                return Err(Fault { place: span.start, message: "duplicate key; correct the line".to_owned() });
            }
            table.insert(key, Spanned::new(span, value));
        }
        Ok(DeValue::Table(table))
    }

    fn array(&self, text: &'a str, depth: usize) -> Result<DeValue<'a>, Fault> {
        let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| self.broken(text, &error))?;
        let items = items.into_iter().map(|raw| self.value(raw, depth).map(|(span, value)| Spanned::new(span, value)));
        Ok(DeValue::Array(items.collect::<Result<Vec<_>, _>>()?.into_iter().collect()))
    }

    fn broken(&self, text: &str, error: &serde_json::Error) -> Fault {
        Fault { place: self.place(text), message: format!("{error}; correct the JSON") }
    }

    /// The position of a part of the text in it.
    fn place(&self, part: &str) -> usize {
        (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize).min(self.text.len())
    }
}

/// A string that is borrowed if it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The entries of an object in order, including repeated keys.
struct Object<'a>(Vec<(Text<'a>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Vec<(Text<'de>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(Entries).map(Self)
    }
}
