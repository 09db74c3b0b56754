//! The bounds, quotas and secret of requests.

use crate::tools::render::{self, count, quote, size};
use crate::units;
use crate::usage::MOST_TIMES;
use schemars::JsonSchema;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

const MIB: u64 = 1 << 20;

/// The bounds, quotas and secret of requests: those of a `[[fetch]]` rule, or [`FetchTerms::DEFAULT`] if only an `[[ask]]` rule
/// allows a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchTerms {
    /// How many requests one execution may make; `None`: as many as `limits.steps` allows.
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
    /// A header that the host adds to requests, and the guest never sees.
    pub secret: Option<SecretGrant>,
    /// What to do with a request whose outcome was lost.
    pub on_crash: OnCrash,
}

/// At most `calls` in any window of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// The number of calls.
    pub calls: u32,
    /// The length of the window.
    #[serde(with = "units::milliseconds")]
    pub window: Duration,
}

/// A header with a secret value that the host adds to requests of one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretGrant {
    /// The name of the header, in lower case.
    pub header: String,
    /// The source of its value.
    pub from: SecretSource,
}

/// The source of a secret: `env:NAME` or `file:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A variable of the host's environment.
    Env(String),
    /// A file, absolute.
    File(PathBuf),
}

/// What happens to a request whose outcome was lost in a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnCrash {
    /// It is sent again; one that is not idempotent carries the idempotency key of its step.
    Retry,
    /// The guest gets the error `in-doubt`.
    Fail,
}

impl FetchTerms {
    /// The terms if no key sets others.
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

    /// The keys as in a file.
    pub(super) fn keys(&self) -> [(&'static str, Option<String>); 9] {
        let secret = self.secret.as_ref().map(|SecretGrant { header, from }| {
            format!("{{ header = {}, from = {} }}", quote(header), quote(&from.to_string()))
        });
        let on_crash = match self.on_crash {
            OnCrash::Retry => "retry",
            OnCrash::Fail => "fail",
        };
        [
            ("max_calls", self.max_calls.and_then(count)),
            ("rate", self.rate.map(|rate| quote(&rate.to_string()))),
            ("concurrent", count(self.concurrent)),
            ("max_request", size(self.max_request)),
            ("max_response", size(self.max_response)),
            ("timeout", render::span(self.timeout)),
            ("redirects", Some(self.redirects.to_string())),
            ("secret", secret),
            ("on_crash", Some(quote(on_crash))),
        ]
    }

    /// The same as a line for people.
    pub(super) fn told(&self) -> String {
        let bodies = (units::size_told(self.max_request), units::size_told(self.max_response));
        let bounds = [
            self.max_calls.map(|calls| format!("at most {calls} calls")),
            self.rate.map(|rate| format!("{rate}")),
            Some(format!("{} at once", units::count_text(self.concurrent))),
            Some(format!("bodies up to {} and back {}", bodies.0, bodies.1)),
            Some(format!("each within {}", units::time_told(self.timeout))),
            (self.redirects > 0).then(|| format!("up to {} redirects", self.redirects)),
            self.secret.as_ref().map(|secret| format!("{} from {}", secret.header, secret.from)),
        ];
        bounds.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl Rate {
    /// The most calls, so that the times of the last calls of a rule fit in memory.
    pub const MOST_CALLS: u32 = MOST_TIMES as u32;
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
    /// Reads `env:NAME` or `file:PATH`; a path is kept as written.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "env" if !rest.is_empty() && !rest.contains(['=', '\0']) => Some(Self::Env(rest.to_owned())),
            "file" if !rest.is_empty() && !rest.contains('\0') => Some(Self::File(rest.into())),
            _ => None,
        }
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
