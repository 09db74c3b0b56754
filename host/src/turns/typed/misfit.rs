//! What does not fit a type, and where.

use crate::visible;
use serde_json::Value;
use std::fmt;
use wasmtime::component::Type;

/// Arguments that a function does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Where in the arguments: `args.items[3].name`.
    path: String,
    problem: String,
}

/// The most bytes of a path, and of a text from the arguments, that are shown.
const SHOWN: usize = 200;

impl Misfit {
    pub(in crate::turns) fn new(path: &str, problem: impl Into<String>) -> Self {
        Self { path: path.to_owned(), problem: problem.into() }
    }

    /// WAVE needs types.
    pub(in crate::turns) fn untyped() -> Self {
        Self::new("args", "WAVE is for functions with types of their own; durable functions and programs take JSON")
    }

    /// Something else was expected.
    pub(super) fn expected(path: &str, expected: impl fmt::Display, found: &Value) -> Self {
        let found = match found {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "list",
            Value::Object(_) => "object",
        };
        Self::new(path, format!("expected {expected}, found {found}"))
    }

    /// The same, for a value that has the right kind.
    pub(super) fn out_of_range(path: &str, expected: impl fmt::Display, found: impl fmt::Display) -> Self {
        Self::new(path, format!("expected {expected}, found {}", cut(&found.to_string())))
    }
}

/// The name of a type in messages: that of its kind, without its parts.
pub(super) fn kind(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::S8 => "s8",
        Type::U8 => "u8",
        Type::S16 => "s16",
        Type::U16 => "u16",
        Type::S32 => "s32",
        Type::U32 => "u32",
        Type::S64 => "s64",
        Type::U64 => "u64",
        Type::Float32 => "f32",
        Type::Float64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::List(_) | Type::FixedLengthList(_) => "list",
        Type::Map(_) => "map",
        Type::Record(_) => "record",
        Type::Tuple(_) => "tuple",
        Type::Variant(_) => "variant",
        Type::Enum(_) => "enum",
        Type::Option(_) => "option",
        Type::Result(_) => "result",
        Type::Flags(_) => "flags",
        Type::Own(_) | Type::Borrow(_) => "resource",
        Type::Future(_) => "future",
        Type::Stream(_) => "stream",
        Type::ErrorContext => "error-context",
    }
}

/// The first few names of many, as alternatives.
pub(super) fn one_of<'n>(mut names: impl Iterator<Item = &'n str>) -> String {
    const MOST: usize = 12;
    let first: Vec<_> = names.by_ref().take(MOST).collect();
    let more = if names.next().is_some() { ", ..." } else { "" };
    format!("{}{more}", first.join(", "))
}

fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(SHOWN);
    let mut shown = String::new();
    visible::push_escaped(&mut shown, &text[..end]);
    if end < text.len() { shown + "..." } else { shown }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", cut(&self.path), self.problem)
    }
}

impl std::error::Error for Misfit {}
