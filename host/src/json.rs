//! JSON texts from outside, and the requirements on them, wherever they come in.
//!
//! A program that reads such a text later may run out of stack on a deeply nested one, so texts from guests, operators, clients and
//! capabilities are checked here. What was accepted before is read and shown as it is.

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::fmt;
use std::marker::PhantomData;

/// How deep lists and objects may be nested.
pub const DEEPEST: usize = 128;

/// The reason that a text is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not JSON.
    #[error("not JSON: {0}")]
    Syntax(#[from] serde_json::Error),
    /// It is nested too deeply.
    #[error("nested more than {DEEPEST} deep; flatten it")]
    TooDeep,
}

/// Checks that a text is JSON and not nested too deeply.
///
/// # Errors
/// It is not JSON, or it is nested too deeply.
pub fn check(text: &str) -> Result<(), Error> {
    check_depth(text)?;
    serde_json::from_str::<&RawValue>(text)?;
    Ok(())
}

/// Checks that a text, assumed to be JSON, is not nested too deeply.
///
/// # Errors
/// It is nested too deeply.
pub fn check_depth(text: &str) -> Result<(), Error> {
    check_to(text, DEEPEST)
}

fn check_to(text: &str, deepest: usize) -> Result<(), Error> {
    let mut depth = 0usize;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > deepest {
                    return Err(Error::TooDeep);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => pass_string(&mut bytes),
            _ => {}
        }
    }
    Ok(())
}

/// Skips to the end of a string, after its closing quotation mark.
fn pass_string(bytes: &mut std::str::Bytes<'_>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

/// The value of a text, if all JSON readers read it alike.
///
/// # Errors
/// As [`check`]; or a name occurs twice in an object, a number is out of the range of a float, or a text has half a surrogate
/// pair.
pub fn value(text: &str) -> Result<Value, Error> {
    check_depth(text)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    // The parser by itself stops one level earlier.
    let value = match check_to(text, DEEPEST - 1) {
        Ok(()) => deserializer.deserialize_any(Whole::<Strict>(PhantomData)),
        Err(_) => deserializer.deserialize_any(Whole::<&RawValue>(PhantomData)),
    }?;
    deserializer.end()?;
    Ok(value)
}

/// A value in which no name occurs twice.
struct Strict(Value);

/// A part of a list or an object.
trait Part<'de>: Deserialize<'de> {
    fn value<E: de::Error>(self) -> Result<Value, E>;
}

impl Part<'_> for Strict {
    fn value<E: de::Error>(self) -> Result<Value, E> {
        Ok(self.0)
    }
}

impl<'de> Part<'de> for &'de RawValue {
    fn value<E: de::Error>(self) -> Result<Value, E> {
        serde_json::from_str::<Strict>(self.get()).map(|strict| strict.0).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Whole::<Self>(PhantomData)).map(Self)
    }
}

/// Reads a value whose parts are read as `P`.
struct Whole<P>(PhantomData<P>);

impl<'de, P: Part<'de>> Visitor<'de> for Whole<P> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<P>()? {
            items.push(item.value()?);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, member)) = map.next_entry::<String, P>()? {
            if members.contains_key(&name) {
                return Err(de::Error::custom(format_args!("the name {name:?} occurs twice in an object")));
            }
            members.insert(name, member.value()?);
        }
        Ok(members.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize, open: &str, close: &str) -> String {
        format!("{}1{}", open.repeat(depth), close.repeat(depth))
    }

    #[test]
    fn json_is_taken_in_up_to_a_depth() {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (" [ \"]\\\"}\", ", " ] ")] {
            for text in [nested(1, open, close), nested(DEEPEST, open, close)] {
                assert!(check(&text).is_ok(), "{text}");
                assert_eq!(value(&text).unwrap(), value(&value(&text).unwrap().to_string()).unwrap());
            }
            for depth in [DEEPEST + 1, 20_000, 1_000_000] {
                let text = nested(depth, open, close);
                for refused in [check(&text).err(), value(&text).err(), check_depth(&text).err()] {
                    assert_eq!(refused.unwrap().to_string(), "nested more than 128 deep; flatten it");
                }
            }
        }
    }

    #[test]
    fn json_that_is_wide_or_only_looks_deep_is_taken_in() {
        for text in [
            format!("[{}[]]", "[],".repeat(1_000)),
            format!("{:?}", "[{".repeat(1_000)),
            format!(r#"["\\", "{}"]"#, r#"\"["#.repeat(1_000)),
        ] {
            assert!(check(&text).is_ok() && value(&text).is_ok(), "{text}");
        }
    }

    #[test]
    fn json_that_is_none_is_refused_by_its_syntax() {
        for text in ["", "[", "]", "]]]]", "[1}", "\"", "\"\\", "nul", "1 2", "[\u{a0}]", "{a: 1}"] {
            assert!(check(text).unwrap_err().to_string().starts_with("not JSON: "), "{text}");
            assert!(value(text).unwrap_err().to_string().starts_with("not JSON: "), "{text}");
        }
    }

    #[test]
    fn json_that_somebody_would_read_otherwise_has_no_value() {
        for (text, reason) in [
            (r#"{"a": 1, "a": 1}"#, r#"the name "a" occurs twice"#),
            (r#"[{"b": {"a": 1, "\u0061": 2}}]"#, r#"the name "a" occurs twice"#),
            ("1e400", "out of range"),
            ("[-1e400]", "out of range"),
            (r#""\ud83d""#, "hex escape"),
            (r#"{"\ude00": 1}"#, "surrogate"),
        ] {
            let deep = format!("{}{text}{}", "[".repeat(DEEPEST - 3), "]".repeat(DEEPEST - 3));
            for text in [text, &deep] {
                assert!(check(text).is_ok(), "{text}");
                let error = value(text).unwrap_err().to_string();
                assert!(error.starts_with("not JSON: ") && error.contains(reason), "{text}: {error}");
            }
        }
        let text = r#"{"a": [null, true, -1, 18446744073709551615, 1.5, "x"], "b": {}}"#;
        assert_eq!(value(text).unwrap(), serde_json::from_str::<Value>(text).unwrap());
    }
}
