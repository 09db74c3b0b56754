//! The policy file as it is written: keys and types, each with its place. `check` gives it a meaning, and the JSON Schema is
//! derived from it.

use super::units::{Count, Size, Span};
use super::{Error, json};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, Deserializer};

/// A value and where it stands.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
pub(super) struct At<T>(Spanned<T>);

/// An Everstep policy: what one execution is granted. What is not granted is denied.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Everstep policy")]
pub(super) struct File {
    /// The version of the policy language, 1.
    #[schemars(range(min = 1, max = 1))]
    pub(super) version: At<u64>,
    /// What people call the policy; the name of its file when it is missing.
    pub(super) name: Option<At<String>>,
    /// Policies that this one narrows, as paths relative to this file.
    #[serde(default)]
    pub(super) extends: Vec<At<String>>,
    /// The budget of one execution.
    #[serde(default)]
    pub(super) limits: Limits,
    /// The environment that the guest sees, in full.
    pub(super) env: Option<BTreeMap<At<String>, At<String>>>,
    /// Whether the guest may know the time.
    pub(super) clock: Option<Clock>,
    /// Whether the guest may draw random numbers.
    pub(super) random: Option<Random>,
    /// Capabilities without a section of their own.
    pub(super) capability: Option<Vec<Capability>>,
    /// Folders of the host under paths of the guest.
    pub(super) files: Option<Vec<Files>>,
    /// HTTP requests.
    pub(super) fetch: Option<Vec<Fetch>>,
    /// WebSocket connections.
    pub(super) websocket: Option<Vec<WebSocket>>,
    /// Which addresses requests and connections may reach.
    pub(super) network: Option<Network>,
    /// Calls that a human approves one by one.
    #[serde(default)]
    pub(super) ask: Vec<Ask>,
    /// What single functions keep of all this.
    #[serde(default)]
    pub(super) functions: BTreeMap<At<String>, Function>,
    /// Where decisions are recorded.
    pub(super) audit: Option<Audit>,
}

/// The budget of one execution.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    /// Running time of one activation; durable waits do not count.
    pub(super) wall: Option<At<Span>>,
    /// Computing time over the whole execution; of a session, that of each cell.
    pub(super) cpu: Option<At<Span>>,
    /// Computing time of a session over all its cells.
    pub(super) session_cpu: Option<At<Span>>,
    /// Linear memory.
    pub(super) memory: Option<At<Size>>,
    /// Elements of all tables.
    pub(super) table_elements: Option<At<Count>>,
    /// Stack of the guest.
    pub(super) wasm_stack: Option<At<Size>>,
    /// Steps of one execution.
    pub(super) steps: Option<At<Count>>,
    /// Promises started and not settled.
    pub(super) in_flight: Option<At<Count>>,
    /// Payload of one call. Where it is missing it is 8MiB, or the largest size that a rule spells out.
    pub(super) bytes_per_call: Option<At<Size>>,
    /// Output of one execution; the rest is dropped.
    pub(super) output: Option<At<Size>>,
    /// Result of the function.
    pub(super) result: Option<At<Size>>,
    /// Journal of one execution.
    pub(super) journal: Option<At<Size>>,
    /// Pending promises that somebody outside must settle.
    pub(super) pending_promises: Option<At<Count>>,
    /// What the root and all that it has called or detached may use together.
    #[serde(default)]
    pub(super) lineage: Lineage,
}

/// The budget of all executions that belong together.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Lineage {
    /// Executions in all, the root among them.
    pub(super) executions: Option<At<Count>>,
    /// Computing time of all of them; when it is missing, no less than what one of them may use.
    pub(super) cpu: Option<At<Span>>,
    /// Promises that they have made for others to settle: questions, requests to clients, approvals and calls.
    pub(super) promises: Option<At<Count>>,
    /// How many calls one may be away from the root.
    pub(super) depth: Option<At<Count>>,
}

/// Whether, and which, time the guest sees.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Clock {
    /// The time of the host, one moment, or none.
    pub(super) mode: At<ClockMode>,
    /// The moment of a frozen clock, after RFC 3339.
    #[schemars(with = "Option<String>")]
    pub(super) at: Option<At<toml::Value>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ClockMode {
    Recorded,
    Frozen,
    Deny,
}

/// Whether the guest may draw random numbers.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Random {
    /// From the recorded seed of the execution, or not at all.
    pub(super) mode: At<super::RandomGrant>,
}

/// One capability that may be called by its name.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Capability {
    /// Its name.
    pub(super) name: At<String>,
    /// How often one execution may call it.
    pub(super) max_calls: Option<Count>,
    /// How long a request may take.
    pub(super) timeout: Option<At<Span>>,
}

/// One folder of the host under one path of the guest.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Files {
    /// What decisions call the rule.
    pub(super) id: At<String>,
    /// Where the guest sees the folder.
    pub(super) guest: At<String>,
    /// The folder, relative to this file.
    pub(super) host: At<String>,
    /// What may be done below it.
    pub(super) access: At<super::Access>,
    /// Largest file that may be read or written; 10MiB where it is missing, or what one call carries if that is less.
    pub(super) max_file: Option<At<Size>>,
    /// How much one execution may write in all.
    pub(super) max_written: Option<At<Size>>,
    /// How many different files one execution may write, and folders it may need for them.
    pub(super) max_files: Option<At<Count>>,
}

/// Requests with some methods to some URLs.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Fetch {
    /// What decisions call the rule.
    pub(super) id: At<String>,
    /// Which URLs; `*` is one label or segment, `**` any number.
    pub(super) url: At<String>,
    /// Which methods, in upper case.
    #[schemars(length(min = 1))]
    pub(super) methods: At<Vec<At<String>>>,
    /// How many requests one execution may make.
    pub(super) max_calls: Option<Count>,
    /// How many requests in a window of time.
    pub(super) rate: Option<At<RateText>>,
    /// How many requests at once.
    pub(super) concurrent: Option<At<Count>>,
    /// Largest body of a request.
    pub(super) max_request: Option<At<Size>>,
    /// Largest body of a response, decompressed.
    pub(super) max_response: Option<At<Size>>,
    /// From the request to the end of the response.
    pub(super) timeout: Option<At<Span>>,
    /// How many redirects are followed, up to 20.
    #[schemars(range(max = 20))]
    pub(super) redirects: Option<At<u32>>,
    /// What the host adds to requests.
    pub(super) secret: Option<Secret>,
    /// What becomes of a request whose outcome was lost.
    pub(super) on_crash: Option<super::OnCrash>,
}

/// A rate such as `5/s`.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct RateText(#[schemars(regex(pattern = "^[0-9_]+/([0-9_]*)(ms|s|m|h|d)$"))] pub(super) String);

/// A header with a secret value that the host adds.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Secret {
    /// The name of the header.
    pub(super) header: At<String>,
    /// Where its value is found: `env:NAME` or `file:PATH`.
    #[schemars(regex(pattern = "^(env|file):."))]
    pub(super) from: At<String>,
}

/// Connections to some URLs.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WebSocket {
    /// What decisions call the rule.
    pub(super) id: At<String>,
    /// Which URLs; `*` is one label or segment, `**` any number.
    pub(super) url: At<String>,
    /// How many connections at once.
    pub(super) max_open: Option<At<Count>>,
    /// Largest message.
    pub(super) max_message: Option<At<Size>>,
    /// How many messages in both directions.
    pub(super) max_messages: Option<Count>,
    /// How long a connection may be silent.
    pub(super) idle: Option<At<Span>>,
}

/// Which addresses requests and connections may reach.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Network {
    /// What is not reached: `non-global`, always, and ranges of addresses.
    pub(super) block: Option<At<Vec<At<String>>>>,
    /// Ranges of addresses that are reached nevertheless.
    pub(super) allow: Option<At<Vec<At<String>>>>,
}

/// Calls that a human approves one by one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    /// What decisions call the rule; `ask.N` when it is missing.
    pub(super) id: Option<At<String>>,
    /// `fetch`, `websocket`, `files.write`, `files.remove`, or the name of a capability.
    pub(super) when: At<String>,
    /// Which methods of a fetch; all when it is missing.
    pub(super) methods: Option<At<Vec<At<String>>>>,
    /// Which URLs of a fetch or a connection; all when it is missing.
    pub(super) url: Option<At<String>>,
    /// How long an answer may take.
    pub(super) ttl: Option<At<Span>>,
    /// What happens when nobody answers in time.
    #[serde(rename = "on_timeout")]
    pub(super) _on_timeout: Option<OnFailure>,
    /// How long an approval holds.
    pub(super) remember: Option<super::Remember>,
}

/// What one function keeps of the policy.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Function {
    /// Ids of the `[[fetch]]` and `[[ask]]` rules that it keeps.
    pub(super) fetch: Option<Vec<At<String>>>,
    /// Ids of the `[[websocket]]` and `[[ask]]` rules that it keeps.
    pub(super) websocket: Option<Vec<At<String>>>,
    /// Ids of the `[[files]]` rules that it keeps.
    pub(super) files: Option<Vec<At<String>>>,
    /// Names of the capabilities that it keeps.
    pub(super) capability: Option<Vec<At<String>>>,
    /// Its own limits, no wider than those of the policy.
    #[serde(default)]
    pub(super) limits: Limits,
}

/// Where decisions are recorded.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Audit {
    /// The log, relative to this file.
    pub(super) file: At<String>,
    /// What happens to a call whose decision cannot be recorded.
    #[serde(rename = "on_failure")]
    pub(super) _on_failure: Option<OnFailure>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnFailure {
    Deny,
}

/// The text of a policy file, to say where something stands.
pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    text: &'a str,
}

/// How a policy is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Toml,
    Json,
}

impl Format {
    /// The format of a file: JSON when it is called so.
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

    /// A value that cannot be.
    pub(super) fn invalid(&self, span: &Range<usize>, what: String, remedy: &'static str) -> Error {
        Error::Invalid { file: self.path(), line: self.line(span), what, remedy }
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

    pub(super) fn into_inner(self) -> T {
        self.0.into_inner()
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
