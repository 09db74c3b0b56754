//! Types as text, in the notation of WIT. Named types are written out, since a compiled component does not name them.

use wasmtime::component::Type;
use wasmtime::component::types::ComponentFunc;

/// The most bytes of a signature; a type may be written in a few bytes and be a million parts large.
const MOST: usize = 2_000;

/// A function with its parameters and its result.
pub(in crate::turns) fn signature(function: &ComponentFunc) -> String {
    let mut text = Text(String::new());
    text.push("func(");
    text.named(function.params());
    text.push(")");
    for ty in function.results() {
        text.push(" -> ");
        text.ty(&ty);
    }
    if text.is_full() {
        text.0.truncate(text.0.floor_char_boundary(MOST));
        text.0.push_str("...");
    }
    text.0
}

struct Text(String);

impl Text {
    fn is_full(&self) -> bool {
        self.0.len() > MOST
    }

    fn push(&mut self, part: &str) {
        if !self.is_full() {
            self.0.push_str(part);
        }
    }

    fn ty(&mut self, ty: &Type) {
        if self.is_full() {
            return;
        }
        match ty {
            Type::List(list) => self.of("list", [list.ty()]),
            Type::FixedLengthList(list) => {
                self.push("list<");
                self.ty(&list.ty());
                self.push(&format!(", {}>", list.len()));
            }
            Type::Map(map) => self.of("map", [map.key(), map.value()]),
            Type::Tuple(tuple) => self.of("tuple", tuple.types()),
            Type::Option(option) => self.of("option", [option.ty()]),
            Type::Result(result) => match (result.ok(), result.err()) {
                (None, None) => self.push("result"),
                (Some(ok), None) => self.of("result", [ok]),
                (ok, Some(err)) => {
                    self.push("result<");
                    match ok {
                        Some(ok) => self.ty(&ok),
                        None => self.push("_"),
                    }
                    self.push(", ");
                    self.ty(&err);
                    self.push(">");
                }
            },
            Type::Record(record) => {
                self.push("record { ");
                self.named(record.fields().map(|field| (field.name, field.ty)));
                self.push(" }");
            }
            Type::Variant(variant) => {
                self.push("variant { ");
                for (index, case) in variant.cases().enumerate() {
                    self.comma(index);
                    self.push(case.name);
                    if let Some(ty) = case.ty {
                        self.push("(");
                        self.ty(&ty);
                        self.push(")");
                    }
                }
                self.push(" }");
            }
            Type::Enum(of) => self.names("enum", of.names()),
            Type::Flags(flags) => self.names("flags", flags.names()),
            plain => self.push(super::misfit::kind(plain)),
        }
    }

    fn of(&mut self, kind: &str, types: impl IntoIterator<Item = Type>) {
        self.push(kind);
        self.push("<");
        for (index, ty) in types.into_iter().enumerate() {
            self.comma(index);
            self.ty(&ty);
        }
        self.push(">");
    }

    fn named<'n>(&mut self, parts: impl Iterator<Item = (&'n str, Type)>) {
        for (index, (name, ty)) in parts.enumerate() {
            self.comma(index);
            self.push(name);
            self.push(": ");
            self.ty(&ty);
        }
    }

    fn names<'n>(&mut self, kind: &str, names: impl Iterator<Item = &'n str>) {
        self.push(kind);
        self.push(" { ");
        for (index, name) in names.enumerate() {
            self.comma(index);
            self.push(name);
        }
        self.push(" }");
    }

    fn comma(&mut self, index: usize) {
        self.push(if index == 0 { "" } else { ", " });
    }
}
