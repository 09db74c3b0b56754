//! What `[[fetch]]` and `[[websocket]]` grant.

use super::list::Addressed;
use super::units;
use super::url::Pattern;
use crate::address;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// `[[fetch]]`: requests with some methods to some URLs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchGrant {
    /// The rule's id.
    pub id: String,
    /// Which URLs.
    pub url: Pattern,
    /// Which methods, in upper case.
    pub methods: Vec<String>,
    /// Bounds, quotas and secret.
    pub terms: FetchTerms,
}

/// The bounds, quotas and secret of requests: those of a `[[fetch]]` rule, or [`FetchTerms::DEFAULT`] where only an `[[ask]]` rule
/// lets a request through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchTerms {
    /// How many requests one execution may make; none: as many as `limits.steps` allows.
    pub max_calls: Option<u64>,
    /// How many requests in any window of time.
    pub rate: Option<Rate>,
    /// How many requests at once.
    #[serde(with = "units::number")]
    pub concurrent: u64,
    /// Largest body of a request, in bytes.
    #[serde(with = "units::number")]
    pub max_request: u64,
    /// Largest body of a response once it is decompressed, in bytes.
    #[serde(with = "units::number")]
    pub max_response: u64,
    /// From the request to the end of the response.
    #[serde(with = "units::milliseconds")]
    pub timeout: Duration,
    /// How many redirects are followed.
    pub redirects: u32,
    /// What the host adds to requests, and the guest never sees.
    pub secret: Option<SecretGrant>,
    /// What becomes of a request whose outcome was lost.
    pub on_crash: OnCrash,
}

impl FetchTerms {
    /// What holds where no key says otherwise.
    pub const DEFAULT: Self = Self {
        max_calls: None,
        rate: None,
        concurrent: 16,
        max_request: MIB,
        max_response: 5 * MIB,
        timeout: Duration::from_secs(30),
        redirects: 0,
        secret: None,
        on_crash: OnCrash::Retry,
    };
}

/// At most `calls` in any window of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// How many.
    pub calls: u32,
    /// In how much time.
    #[serde(with = "units::milliseconds")]
    pub window: Duration,
}

/// A header with a secret value that the host adds to requests of one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretGrant {
    /// The name of the header, in lower case.
    pub header: String,
    /// Where its value is found.
    pub from: SecretSource,
}

/// Where a secret is found: `env:NAME` or `file:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A variable of the host's environment.
    Env(String),
    /// A file, absolute.
    File(PathBuf),
}

/// What becomes of a request whose outcome was lost in a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnCrash {
    /// It is sent again; one that is not idempotent carries the key of its step.
    Retry,
    /// The guest learns that it is in doubt.
    Fail,
}

/// `[[websocket]]`: connections to some URLs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebSocketGrant {
    /// The rule's id.
    pub id: String,
    /// Which URLs.
    pub url: Pattern,
    /// Bounds and quotas.
    pub terms: WebSocketTerms,
}

/// The bounds and quotas of connections: those of a `[[websocket]]` rule, or [`WebSocketTerms::DEFAULT`] where only an `[[ask]]`
/// rule lets a connection through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebSocketTerms {
    /// How many connections at once.
    #[serde(with = "units::number")]
    pub max_open: u64,
    /// Largest message in either direction, in bytes.
    #[serde(with = "units::number")]
    pub max_message: u64,
    /// How many messages one execution may send and await, over all connections of the rule.
    #[serde(with = "units::number")]
    pub max_messages: u64,
    /// How long a connection may be silent.
    #[serde(with = "units::milliseconds")]
    pub idle: Duration,
}

impl WebSocketTerms {
    /// What holds where no key says otherwise.
    pub const DEFAULT: Self =
        Self { max_open: 4, max_message: 1024 * KIB, max_messages: 10_000, idle: Duration::from_secs(60) };
}

/// Canonical JSON of `[network]`.
#[derive(Serialize, Deserialize)]
#[serde(remote = "address::Rules", deny_unknown_fields)]
pub(super) struct NetworkRules {
    block: Vec<address::Cidr>,
    allow: Vec<address::Cidr>,
}

impl Rate {
    /// The most calls, so that the times of the last calls of a rule fit in memory.
    pub const MOST_CALLS: u32 = 10_000;
    /// The longest window.
    pub const LONGEST_WINDOW: Duration = Duration::from_secs(24 * 3600);

    /// Reads `5/s`, `100/m`, `1000/h` or `3/10s`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (calls, window) = text.split_once('/')?;
        let calls = calls.replace('_', "");
        let digits = !calls.is_empty() && calls.bytes().all(|byte| byte.is_ascii_digit());
        let calls: u32 = digits.then(|| calls.parse().ok()).flatten()?;
        let window = match window {
            "ms" | "s" | "m" | "h" | "d" => units::span(&format!("1{window}")).ok()?,
            _ => units::span(window).ok()?,
        };
        let fits = (1..=Self::MOST_CALLS).contains(&calls) && !window.is_zero() && window <= Self::LONGEST_WINDOW;
        fits.then_some(Self { calls, window })
    }
}

impl SecretSource {
    /// Reads `env:NAME` or `file:PATH`; a path stays as it is written.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "env" if !rest.is_empty() && !rest.contains(['=', '\0']) => Some(Self::Env(rest.to_owned())),
            "file" if !rest.is_empty() && !rest.contains('\0') => Some(Self::File(rest.into())),
            _ => None,
        }
    }
}

impl Addressed for FetchGrant {
    fn url(&self) -> Option<&Pattern> {
        Some(&self.url)
    }
}

impl Addressed for WebSocketGrant {
    fn url(&self) -> Option<&Pattern> {
        Some(&self.url)
    }
}

/// `5/s`, or `3/10s`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let window = units::span_text(self.window);
        write!(
            f,
            "{}/{}",
            self.calls,
            window
                .strip_prefix('1')
                .filter(|unit| unit.starts_with(|one: char| one.is_ascii_alphabetic()))
                .unwrap_or(&window)
        )
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl Serialize for SecretSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::File(path) if path.to_str().is_none() => Err(serde::ser::Error::custom("path is not UTF-8")),
            _ => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("a secret is found at \"env:NAME\" or \"file:PATH\""))
    }
}
