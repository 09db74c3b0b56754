//! How a value must be written so that the guest can read it: the meaning of `format` for Rust's own types, and of
//! integers.
//!
//! In a schema `1.0` is an integer, a `u64` has no maximum, and a UUID is any text. A guest that has asked for one cannot read these,
//! so they are refused.

use jsonschema::{Keyword, ValidationError};
use serde_json::{Map, Number, Value};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The keyword in the copied schema.
pub(super) const KEYWORD: &str = "everstep:form";

/// The form of a plain integer of the schema.
const INTEGER: &str = "integer";

/// From this number on, a parsed number does not show whether it was written as an integer.
const INEXACT: f64 = 9_223_372_036_854_775_808.0;

/// A requirement on a value in addition to its type.
#[derive(Clone, Copy)]
enum Form {
    /// An integer within these bounds; `None`: of any size.
    Integer(Option<(i128, i128)>),
    /// A number that is finite as an `f32`.
    Float,
    Uuid,
    Ip,
    Ipv4,
    Ipv6,
}

/// The name of the form that a schema asks for.
pub(super) fn of(schema: &Map<String, Value>) -> Option<&str> {
    let types = |name: &str| match schema.get("type") {
        Some(Value::String(one)) => one == name,
        Some(Value::Array(several)) => several.iter().any(|one| one == name),
        _ => false,
    };
    let is_integer = types("integer") && !types("number");
    let format = schema.get("format").and_then(Value::as_str);
    let known = format.filter(|format| match Form::named(format) {
        Some(Form::Integer(_)) => is_integer,
        Some(Form::Float) => types("number"),
        Some(Form::Uuid | Form::Ip | Form::Ipv4 | Form::Ipv6) => types("string"),
        None => false,
    });
    known.or(is_integer.then_some(INTEGER))
}

/// The validator of the keyword.
pub(super) fn keyword<'a>(
    _: &'a Map<String, Value>,
    name: &'a Value,
    _: jsonschema::paths::Location,
) -> Result<Box<dyn for<'i> Keyword<'i>>, ValidationError<'a>> {
    match name.as_str().and_then(Form::named) {
        Some(form) => Ok(Box::new(form)),
        None => Err(ValidationError::custom("there is no such form")),
    }
}

impl Form {
    fn named(name: &str) -> Option<Self> {
        let bounds = |low: i128, high: i128| Some(Self::Integer(Some((low, high))));
        match name {
            INTEGER => Some(Self::Integer(None)),
            "int8" => bounds(i8::MIN.into(), i8::MAX.into()),
            "int16" => bounds(i16::MIN.into(), i16::MAX.into()),
            // `isize` and `usize` of a guest have 32 bits.
            "int32" | "int" => bounds(i32::MIN.into(), i32::MAX.into()),
            "int64" => bounds(i64::MIN.into(), i64::MAX.into()),
            "uint8" => bounds(0, u8::MAX.into()),
            "uint16" => bounds(0, u16::MAX.into()),
            "uint32" | "uint" => bounds(0, u32::MAX.into()),
            "uint64" => bounds(0, u64::MAX.into()),
            // Beyond 64 bits a parsed number is not exact.
            "int128" => bounds(i64::MIN.into(), u64::MAX.into()),
            "uint128" => bounds(0, u64::MAX.into()),
            "float" => Some(Self::Float),
            "uuid" => Some(Self::Uuid),
            "ip" => Some(Self::Ip),
            "ipv4" => Some(Self::Ipv4),
            "ipv6" => Some(Self::Ipv6),
            _ => None,
        }
    }

    /// The fault of a value, as the rest of a sentence about it; `None` if it fits.
    fn misfit(self, value: &Value) -> Option<String> {
        match (self, value) {
            (Self::Integer(bounds), Value::Number(number)) => integer(number, bounds),
            (Self::Float, Value::Number(number)) => {
                let fits = number.as_f64().is_none_or(|number| (number as f32).is_finite());
                (!fits).then(|| "is too large for a number of 32 bits".to_owned())
            }
            (Self::Uuid, Value::String(text)) => unless(uuid::Uuid::parse_str(text).is_ok(), "a UUID"),
            (Self::Ip, Value::String(text)) => unless(text.parse::<IpAddr>().is_ok(), "an IP address"),
            (Self::Ipv4, Value::String(text)) => unless(text.parse::<Ipv4Addr>().is_ok(), "an IPv4 address"),
            (Self::Ipv6, Value::String(text)) => unless(text.parse::<Ipv6Addr>().is_ok(), "an IPv6 address"),
            _ => None,
        }
    }
}

fn unless(fits: bool, what: &str) -> Option<String> {
    (!fits).then(|| format!("is not {what}"))
}

fn integer(number: &Number, bounds: Option<(i128, i128)>) -> Option<String> {
    let exact = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    let is_large = number.as_f64().is_some_and(|number| number.abs() >= INEXACT);
    match (exact, bounds) {
        (Some(exact), Some((low, high))) if (low..=high).contains(&exact) => None,
        (Some(_), None) => None,
        (None, None) if is_large => None,
        (None, _) if !is_large => {
            Some("is not written as an integer: without fraction, exponent, or a sign before 0".to_owned())
        }
        (_, bounds) => bounds.map(|(low, high)| format!("is not between {low} and {high}")),
    }
}

impl<'i> Keyword<'i> for Form {
    fn validate(&self, value: &'i Value) -> Result<(), ValidationError<'i>> {
        self.misfit(value).map_or(Ok(()), |misfit| Err(ValidationError::custom(misfit)))
    }

    fn is_valid(&self, value: &'i Value) -> bool {
        self.misfit(value).is_none()
    }
}
