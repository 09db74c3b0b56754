//! Values to JSON, by their types, in a text of bounded length.

use crate::guest_error::{ErrorCode, GuestError};
use wasmtime::component::types::ComponentFunc;
use wasmtime::component::{Type, Val};

/// A text that would be longer than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::turns) struct TooLong;

/// The result of a function as JSON; the error, if it is the error of a result.
///
/// # Errors
/// The JSON text would have more than `most` bytes.
pub(in crate::turns) fn returned(
    function: &ComponentFunc,
    result: Option<&Val>,
    most: u64,
) -> Result<Result<String, GuestError>, TooLong> {
    let text = |ty: Option<&Type>, value: Option<&Val>| {
        let mut text = Text { written: String::new(), most: usize::try_from(most).unwrap_or(usize::MAX) };
        text.optional(ty, value)?;
        Ok(text.written)
    };
    Ok(match (function.results().next(), result) {
        (Some(Type::Result(ty)), Some(Val::Result(Ok(value)))) => Ok(text(ty.ok().as_ref(), value.as_deref())?),
        (Some(Type::Result(ty)), Some(Val::Result(Err(value)))) => {
            Err(error(value.as_deref(), || text(ty.err().as_ref(), value.as_deref()))?)
        }
        (ty, value) => Ok(text(ty.as_ref(), value)?),
    })
}

/// Values as a JSON list.
pub(super) fn list<'v>(values: impl Iterator<Item = (Type, &'v Val)>) -> Result<String, TooLong> {
    let mut text = Text { written: String::new(), most: usize::MAX };
    text.list(values)?;
    Ok(text.written)
}

/// The error that a function returns: one of ours as it is, a string as the message, anything else as JSON.
fn error(value: Option<&Val>, json: impl FnOnce() -> Result<String, TooLong>) -> Result<GuestError, TooLong> {
    Ok(match value {
        None => GuestError::new(ErrorCode::Failed, "the function returned an error"),
        Some(Val::String(message)) => GuestError::new(ErrorCode::Failed, message.as_str()),
        Some(Val::Record(fields)) => match &fields[..] {
            [(code, Val::Enum(of)), (message, Val::String(text))] if code == "code" && message == "message" => {
                GuestError::new(of.parse().unwrap_or(ErrorCode::Failed), text.as_str())
            }
            _ => GuestError::new(ErrorCode::Failed, json()?),
        },
        Some(_) => GuestError::new(ErrorCode::Failed, json()?),
    })
}

struct Text {
    written: String,
    most: usize,
}

impl Text {
    fn push(&mut self, part: &str) -> Result<(), TooLong> {
        if self.written.len().saturating_add(part.len()) > self.most {
            return Err(TooLong);
        }
        self.written.push_str(part);
        Ok(())
    }

    fn optional(&mut self, ty: Option<&Type>, value: Option<&Val>) -> Result<(), TooLong> {
        match (ty, value) {
            (Some(ty), Some(value)) => self.value(ty, value),
            _ => self.push("null"),
        }
    }

    fn value(&mut self, ty: &Type, value: &Val) -> Result<(), TooLong> {
        match (ty, value) {
            (_, Val::Bool(it)) => self.push(if *it { "true" } else { "false" }),
            (_, Val::S8(it)) => self.push(&it.to_string()),
            (_, Val::U8(it)) => self.push(&it.to_string()),
            (_, Val::S16(it)) => self.push(&it.to_string()),
            (_, Val::U16(it)) => self.push(&it.to_string()),
            (_, Val::S32(it)) => self.push(&it.to_string()),
            (_, Val::U32(it)) => self.push(&it.to_string()),
            (_, Val::S64(it)) => self.push(&it.to_string()),
            (_, Val::U64(it)) => self.push(&it.to_string()),
            (_, Val::Float32(it)) => self.float(it.is_finite(), f64::from(*it), || json(it)),
            (_, Val::Float64(it)) => self.float(it.is_finite(), *it, || json(it)),
            (_, Val::Char(it)) => self.string(it.encode_utf8(&mut [0; 4])),
            (_, Val::String(it) | Val::Enum(it)) => self.string(it),
            (Type::List(list), Val::List(items)) => {
                let ty = list.ty();
                self.list(items.iter().map(|item| (ty.clone(), item)))
            }
            (Type::FixedLengthList(list), Val::FixedLengthList(items)) => {
                let ty = list.ty();
                self.list(items.iter().map(|item| (ty.clone(), item)))
            }
            (Type::Tuple(tuple), Val::Tuple(items)) => self.list(tuple.types().zip(items)),
            (Type::Record(record), Val::Record(fields)) => {
                self.push("{")?;
                for (index, (field, (name, value))) in record.fields().zip(fields).enumerate() {
                    self.name(index, name)?;
                    self.value(&field.ty, value)?;
                }
                self.push("}")
            }
            (Type::Variant(variant), Val::Variant(name, payload)) => match payload {
                None => self.string(name),
                Some(payload) => {
                    let ty = variant.cases().find(|case| case.name == name).and_then(|case| case.ty);
                    self.tagged(name, ty.as_ref(), Some(payload))
                }
            },
            (_, Val::Flags(names)) => {
                self.push("[")?;
                for (index, name) in names.iter().enumerate() {
                    self.comma(index)?;
                    self.string(name)?;
                }
                self.push("]")
            }
            (Type::Option(option), Val::Option(Some(value))) => match option.ty() {
                ty @ Type::Option(_) => self.tagged("some", Some(&ty), Some(value)),
                ty => self.value(&ty, value),
            },
            (Type::Result(result), Val::Result(Ok(value))) => self.tagged("ok", result.ok().as_ref(), value.as_deref()),
            (Type::Result(result), Val::Result(Err(value))) => {
                self.tagged("err", result.err().as_ref(), value.as_deref())
            }
            // An option without a value. Nothing else is left: what JSON cannot hold is refused before the call.
            _ => self.push("null"),
        }
    }

    fn list<'v>(&mut self, items: impl Iterator<Item = (Type, &'v Val)>) -> Result<(), TooLong> {
        self.push("[")?;
        for (index, (ty, item)) in items.enumerate() {
            self.comma(index)?;
            self.value(&ty, item)?;
        }
        self.push("]")
    }

    fn tagged(&mut self, name: &str, ty: Option<&Type>, value: Option<&Val>) -> Result<(), TooLong> {
        self.push("{")?;
        self.name(0, name)?;
        self.optional(ty, value)?;
        self.push("}")
    }

    fn name(&mut self, index: usize, name: &str) -> Result<(), TooLong> {
        self.comma(index)?;
        self.string(name)?;
        self.push(":")
    }

    fn comma(&mut self, index: usize) -> Result<(), TooLong> {
        self.push(if index == 0 { "" } else { "," })
    }

    fn float(&mut self, is_finite: bool, it: f64, json: impl FnOnce() -> String) -> Result<(), TooLong> {
        match is_finite {
            true => self.push(&json()),
            false if it.is_nan() => self.push("\"NaN\""),
            false => self.push(if it > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" }),
        }
    }

    fn string(&mut self, text: &str) -> Result<(), TooLong> {
        // Before it is copied: it may be as large as the guest's memory.
        if text.len() > self.most {
            return Err(TooLong);
        }
        self.push(&json(text))
    }
}

/// A string or a finite number, which always serialises.
fn json(value: impl serde::Serialize) -> String {
    serde_json::to_string(&value).unwrap_or_default()
}
