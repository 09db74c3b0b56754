//! The text of a policy file: read into keys and values, each with its position for error messages.

use super::section::File;
use super::{Error, json};
use schemars::JsonSchema;
use serde::Deserialize;
use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, Deserializer};

/// A value and its position.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
pub(super) struct At<T>(Spanned<T>);

// No doc comment, so that it has no description in the schema: the keys of this type have their own.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnFailure {
    Deny,
}

/// The text of a policy file, to compute positions.
pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    text: &'a str,
}

/// The format of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Toml,
    Json,
}

impl Format {
    /// The format of a file: JSON if its extension says so.
    pub(super) fn of(file: &Path) -> Self {
        if file.extension().is_some_and(|extension| extension == "json") { Self::Json } else { Self::Toml }
    }
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str, file: &'a Path) -> Self {
        Self { file, text }
    }

    /// Reads keys and types.
    pub(super) fn read(&self, format: Format) -> Result<File, Error> {
        let table = match format {
            Format::Toml => DeTable::parse(self.text).map_err(|error| self.malformed(&error))?,
            Format::Json => json::parse(self.text).map_err(|fault| {
                let line = self.line(&(fault.place..fault.place));
                Error::Malformed { file: self.path(), line, message: fault.message }
            })?,
        };
        File::deserialize(Deserializer::from(table)).map_err(|error| self.malformed(&error))
    }

    /// The line, from 1, on which a span begins.
    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.as_bytes().iter().take(span.start);
        before.filter(|byte| **byte == b'\n').count() + 1
    }

    /// The error for an invalid value.
    pub(super) fn invalid(&self, span: &Range<usize>, what: String, remedy: impl Into<Cow<'static, str>>) -> Error {
        Error::Invalid { file: self.path(), line: self.line(span), what, remedy: remedy.into() }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.file.to_owned()
    }

    fn malformed(&self, error: &toml::de::Error) -> Error {
        let line = self.line(&error.span().unwrap_or(0..0));
        Error::Malformed { file: self.path(), line, message: explained(error.message()) }
    }
}

impl<T> At<T> {
    pub(super) fn span(&self) -> Range<usize> {
        self.0.span()
    }

    pub(super) fn get_ref(&self) -> &T {
        self.0.get_ref()
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        T::json_schema(generator)
    }
}

/// A message of the TOML reader in terms of policies, with a remedy.
fn explained(message: &str) -> String {
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let rest =
            rest.replace(", expected one of ", "; its section takes ").replace(", expected ", "; its section takes ");
        return format!("unknown key {rest}");
    }
    if let Some(key) = message.strip_prefix("missing field ") {
        return format!("missing key {key}; add it");
    }
    if message.starts_with("wanted string") {
        return "the value is no string; write one of the words that this key takes, in quotes".to_owned();
    }
    if message.contains("expected") {
        return format!("{message}; correct the value");
    }
    format!("{message}; correct the line")
}
