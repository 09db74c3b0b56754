//! The TOML file as it is written: keys and types, each with its place. `check` gives it a meaning.

use super::units::{Count, Size, Span};
use super::{Error, Policy, check};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Sections of the policy language that this build does not enforce.
const UNENFORCED: [&str; 6] = ["extends", "fetch", "websocket", "network", "ask", "functions"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) version: Spanned<u64>,
    pub(super) name: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) env: BTreeMap<Spanned<String>, Spanned<String>>,
    pub(super) clock: Option<Clock>,
    pub(super) random: Option<Random>,
    #[serde(default)]
    pub(super) capability: Vec<Capability>,
    #[serde(default)]
    pub(super) files: Vec<Files>,
    pub(super) audit: Option<Audit>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) wall: Option<Spanned<Span>>,
    pub(super) cpu: Option<Spanned<Span>>,
    pub(super) memory: Option<Spanned<Size>>,
    pub(super) table_elements: Option<Spanned<Count>>,
    pub(super) wasm_stack: Option<Spanned<Size>>,
    pub(super) steps: Option<Spanned<Count>>,
    pub(super) in_flight: Option<Spanned<Count>>,
    pub(super) bytes_per_call: Option<Spanned<Size>>,
    pub(super) output: Option<Spanned<Size>>,
    pub(super) result: Option<Spanned<Size>>,
    pub(super) journal: Option<Spanned<Size>>,
    pub(super) pending_promises: Option<Spanned<Count>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Clock {
    pub(super) mode: Spanned<ClockMode>,
    pub(super) at: Option<Spanned<toml::Value>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ClockMode {
    Recorded,
    Frozen,
    Deny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Random {
    pub(super) mode: super::RandomGrant,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Capability {
    pub(super) name: Spanned<String>,
    pub(super) max_calls: Option<Count>,
    pub(super) timeout: Option<Spanned<Span>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Files {
    pub(super) id: Spanned<String>,
    pub(super) guest: Spanned<String>,
    pub(super) host: Spanned<String>,
    pub(super) access: Spanned<Access>,
    pub(super) max_file: Option<Size>,
    pub(super) max_written: Option<Spanned<Size>>,
    pub(super) max_files: Option<Spanned<Count>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Access {
    Read,
    Write,
    Overlay,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Audit {
    pub(super) file: Spanned<String>,
    #[serde(rename = "on_failure")]
    pub(super) _on_failure: Option<OnFailure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnFailure {
    Deny,
}

/// The text of a policy file, to say where something stands.
pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    text: &'a str,
}

/// Reads and checks the text of a policy file.
pub(super) fn parse(text: &str, file: &Path) -> Result<Policy, Error> {
    let source = Source { file, text };
    let table = DeTable::parse(text).map_err(|error| source.malformed(&error))?;
    source.refuse_unenforced(table.get_ref())?;
    let shape = toml::from_str(text).map_err(|error| source.malformed(&error))?;
    check::policy(shape, &source)
}

impl Source<'_> {
    /// The line, from 1, on which a span begins.
    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.as_bytes().iter().take(span.start);
        before.filter(|byte| **byte == b'\n').count() + 1
    }

    /// A value that cannot be.
    pub(super) fn invalid(&self, span: &Range<usize>, what: String, remedy: &'static str) -> Error {
        Error::Invalid { file: self.path(), line: self.line(span), what, remedy }
    }

    /// A key, or a value of it, that this build does not enforce.
    pub(super) fn unenforced(&self, span: &Range<usize>, key: String) -> Error {
        Error::Unenforced { file: self.path(), line: self.line(span), key }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.file.to_owned()
    }

    fn malformed(&self, error: &toml::de::Error) -> Error {
        let line = self.line(&error.span().unwrap_or(0..0));
        Error::Malformed { file: self.path(), line, message: explained(error.message()) }
    }

    fn refuse_unenforced(&self, table: &DeTable<'_>) -> Result<(), Error> {
        if let Some((key, _)) = table.iter().find(|(key, _)| UNENFORCED.contains(&key.get_ref().as_ref())) {
            return Err(self.unenforced(&key.span(), key.get_ref().to_string()));
        }
        self.refuse_secrets(table)
    }

    fn refuse_secrets(&self, table: &DeTable<'_>) -> Result<(), Error> {
        for (key, value) in table.iter().filter(|(key, _)| key.get_ref() != "env") {
            if matches!(key.get_ref().as_ref(), "secret" | "secrets") {
                return Err(self.unenforced(&key.span(), key.get_ref().to_string()));
            }
            match value.get_ref() {
                DeValue::Table(table) => self.refuse_secrets(table)?,
                DeValue::Array(items) => {
                    let tables = items.iter().filter_map(|item| item.get_ref().as_table());
                    tables.into_iter().try_for_each(|table| self.refuse_secrets(table))?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A message of the TOML reader in the words of the policy, with what to do about it.
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
