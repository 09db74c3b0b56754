//! `[[fetch]]`: requests with some methods to some URLs. `terms` are the bounds, quotas and secret of a rule, `decide` is the decision
//! about one request.

mod decide;
mod terms;

pub use decide::FetchCall;
pub use terms::{FetchTerms, OnCrash, Rate, SecretGrant, SecretSource};

use super::{AskRule, Askable, File, Guard, HostPath, Keeps, NoQuestion, Policy, Question, RuleSize, Section, Touch};
use crate::extends::{Bound, Checked, Covers, Grant, beyond, cover, ms, ms_text};
use crate::list::Addressed;
use crate::read::{Reader, span};
use crate::source::At;
use crate::tools::render::{list, quote, rule};
use crate::units::{self, Count, Size, Span, count_text, size_text};
use crate::url::Pattern;
use crate::{Error, quoted};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Most redirects that can be granted.
const REDIRECTS: u32 = 20;
/// Longest name of a header, in bytes.
const LONGEST_HEADER: usize = 128;
/// Headers that frame or route a request, or that the host itself sets.
const FORBIDDEN_HEADERS: [&str; 15] = [
    "host",
    "connection",
    "content-length",
    "content-type",
    "content-encoding",
    "expect",
    "http2-settings",
    "idempotency-key",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// `[[fetch]]`: requests with some methods to some URLs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchGrant {
    /// The rule's id.
    pub id: String,
    /// The URLs.
    pub url: Pattern,
    /// The methods, in upper case.
    pub methods: Vec<String>,
    /// Bounds, quotas and secret.
    pub terms: FetchTerms,
}

/// Requests with some methods to some URLs.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fetch {
    /// The id of the rule, which decisions name.
    id: At<String>,
    /// The URLs; `*` matches one label or segment, `**` any number.
    url: At<String>,
    /// The methods, in upper case.
    #[schemars(length(min = 1))]
    methods: At<Vec<At<String>>>,
    /// How many requests one execution may make.
    max_calls: Option<Count>,
    /// How many requests in a window of time, such as `5/s`.
    rate: Option<At<RateText>>,
    /// How many requests at the same time.
    concurrent: Option<At<Count>>,
    /// The largest body of a request.
    max_request: Option<At<Size>>,
    /// The largest body of a response, decompressed.
    max_response: Option<At<Size>>,
    /// The longest time from the request to the end of the response.
    timeout: Option<At<Span>>,
    /// How many redirects are followed, up to 20.
    #[schemars(range(max = 20))]
    redirects: Option<At<u32>>,
    /// A header that the host adds to requests, with a secret value.
    secret: Option<Secret>,
    /// What happens to a request whose outcome was lost in a crash.
    on_crash: Option<OnCrash>,
}

/// A rate such as `5/s`.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
struct RateText(#[schemars(regex(pattern = "^[0-9_]+/([0-9_]*)(ms|s|m|h|d)$"))] String);

/// A header with a secret value that the host adds.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Secret {
    /// The name of the header.
    header: At<String>,
    /// The source of its value: `env:NAME` or `file:PATH`.
    #[schemars(regex(pattern = "^(env|file):."))]
    from: At<String>,
}

struct FetchSection;

pub(super) const SECTION: &dyn Section = &FetchSection;

impl Section for FetchSection {
    fn key(&self) -> &'static str {
        "fetch"
    }

    fn read(&self, file: &File, reader: &mut Reader<'_>, policy: &mut Policy) -> Result<(), Error> {
        let Some(shapes) = &file.fetch else { return Ok(()) };
        let per_call = policy.limits.bytes_per_call;
        let grants = shapes.iter().map(|shape| grant(shape, per_call, reader)).collect::<Result<Vec<_>, _>>()?;
        policy.fetch = grants.into();
        Ok(())
    }

    fn is_given(&self, file: &File) -> bool {
        file.fetch.is_some()
    }

    fn largest(&self, file: &File) -> Option<u64> {
        let sizes = file.fetch.iter().flatten().flat_map(|shape| [&shape.max_request, &shape.max_response]);
        units::largest(sizes)
    }

    fn meet(&self, policy: &mut Policy, _: &Policy, other: &Policy) {
        policy.fetch = cover(&policy.fetch, &other.fetch).kept.into();
    }

    fn check_narrower(&self, ours: &Checked, base: &Checked, covers: &mut Covers) -> Result<(), Error> {
        covers.check(ours, base, cover(&ours.policy.fetch, &base.policy.fetch))
    }

    fn beyond(&self, ours: &Policy, base: &Policy) -> Vec<String> {
        beyond(&ours.fetch, &base.fetch)
    }

    fn keep(&self, policy: &mut Policy, whole: &Policy, keeps: &Keeps<'_>) {
        let kept = whole.fetch.iter().filter(|grant| keeps(self.key(), &grant.id));
        policy.fetch = kept.cloned().collect();
    }

    fn add(&self, policy: &mut Policy, other: &Policy) {
        policy.fetch = policy.fetch.iter().chain(&other.fetch).cloned().collect();
    }

    fn rules<'p>(&self, policy: &'p Policy) -> Vec<&'p str> {
        policy.fetch.iter().map(|grant| grant.id.as_str()).collect()
    }

    fn owns(&self, name: &str) -> bool {
        name == "fetch"
    }

    fn askable(&self) -> &'static [Askable] {
        &[Askable { name: "fetch", by_method: true, schemes: Some(["http", "https"]) }]
    }

    fn asked_about<'p>(&self, policy: &'p Policy, ask: &AskRule) -> Vec<&'p str> {
        let asked = |grant: &&FetchGrant| ask.when.is("fetch") && ask.overlaps(&grant.url, Some(&grant.methods));
        policy.fetch.iter().filter(asked).map(|grant| grant.id.as_str()).collect()
    }

    fn question(&self, capability: &str, subject: &str) -> Option<Result<Box<dyn Question>, NoQuestion>> {
        ["fetch", "http.fetch"].contains(&capability).then(|| decide::question(subject))
    }

    fn reaches_the_network(&self, policy: &Policy) -> bool {
        !policy.fetch.is_empty()
    }

    fn paths<'p>(&self, policy: &'p Policy) -> Vec<HostPath<'p>> {
        let secret = |grant: &'p FetchGrant| match &grant.terms.secret.as_ref()?.from {
            SecretSource::File(path) => Some(HostPath {
                path,
                role: "the secret of the [[fetch]] rule",
                rule: Some(&grant.id),
                guard: Some(Guard { touch: Touch::Read, deed: "read or change a file with a secret", key: None }),
            }),
            SecretSource::Env(_) => None,
        };
        policy.fetch.iter().filter_map(secret).collect()
    }

    fn render(&self, policy: &Policy, text: &mut String) {
        policy.fetch.iter().for_each(|grant| text.push_str(&format!("\n{}", grant.toml())));
    }

    fn rule_toml(&self, policy: &Policy, rule: &str) -> Option<String> {
        policy.fetch.iter().find(|grant| grant.id == rule).map(FetchGrant::toml)
    }

    fn told(&self, policy: &Policy) -> Vec<(&'static str, String)> {
        let line = |FetchGrant { id, url, methods, terms }: &FetchGrant| {
            ("fetch", format!("{id}: {} {url}; {}", methods.join(", "), terms.told()))
        };
        policy.fetch.iter().map(line).collect()
    }

    fn sizes<'p>(&self, policy: &'p Policy) -> Vec<RuleSize<'p>> {
        let request = |grant: &'p FetchGrant| RuleSize {
            rule: &grant.id,
            key: "max_request",
            bytes: grant.terms.max_request,
            recorded: None,
        };
        let response = |grant: &'p FetchGrant| RuleSize {
            rule: &grant.id,
            key: "max_response",
            bytes: grant.terms.max_response,
            // A response is recorded in base64.
            recorded: Some((4, 3)),
        };
        policy.fetch.iter().map(request).chain(policy.fetch.iter().map(response)).collect()
    }
}

impl Policy {
    /// Whether one of its rules names this secret, so that it may be used under a policy that this one bounds.
    pub fn lends_secret(&self, secret: &SecretGrant) -> bool {
        self.fetch.iter().any(|grant| grant.terms.secret.as_ref() == Some(secret))
    }
}

impl FetchGrant {
    fn toml(&self) -> String {
        let own = [
            ("id", Some(quote(&self.id))),
            ("url", Some(quote(self.url.as_str()))),
            ("methods", Some(list(self.methods.clone()))),
        ];
        rule("fetch", &own.into_iter().chain(self.terms.keys()).collect::<Vec<_>>())
    }
}

impl Addressed for FetchGrant {
    fn url(&self) -> Option<&Pattern> {
        Some(&self.url)
    }
}

impl Grant for FetchGrant {
    fn id(&self) -> &str {
        &self.id
    }

    fn covers(&self, other: &Self) -> bool {
        other.methods.iter().all(|method| self.methods.contains(method)) && self.url.covers(&other.url)
    }

    fn overlaps(&self, other: &Self) -> bool {
        other.methods.iter().any(|method| self.methods.contains(method)) && self.url.overlaps(&other.url)
    }

    fn bounds(&self, other: &Self) -> Result<Vec<Bound>, String> {
        let (theirs, ours) = (&self.terms, &other.terms);
        if ours.secret.is_some() && ours.secret != theirs.secret {
            let other = if theirs.secret.is_some() { "another secret" } else { "a secret" };
            return Err(other.to_owned());
        }
        if (ours.on_crash, theirs.on_crash) == (OnCrash::Retry, OnCrash::Fail) {
            return Err("on_crash = \"retry\" instead of \"fail\"".to_owned());
        }
        let calls = |calls: Option<u64>| calls.unwrap_or(u64::MAX);
        let mut bounds = vec![
            Bound::shared("max_calls", calls(ours.max_calls), calls(theirs.max_calls), count_text),
            Bound::shared("concurrent", ours.concurrent, theirs.concurrent, count_text),
            Bound::each("max_request", ours.max_request, theirs.max_request, size_text),
            Bound::each("max_response", ours.max_response, theirs.max_response, size_text),
            Bound::each("timeout", ms(ours.timeout), ms(theirs.timeout), ms_text),
            Bound::each("redirects", ours.redirects.into(), theirs.redirects.into(), count_text),
        ];
        bounds.extend(
            theirs
                .rate
                .map(|rate| Bound::shared("rate", calls_within(ours.rate, rate.window), rate.calls.into(), count_text)),
        );
        Ok(bounds)
    }

    fn granted(&self) -> String {
        format!("{} {}", self.methods.join(", "), self.url)
    }
}

/// The most calls that a rate allows in a window of another length.
fn calls_within(rate: Option<Rate>, window: Duration) -> u64 {
    let Some(rate) = rate else { return u64::MAX };
    let windows = ms(window).div_ceil(ms(rate.window).max(1));
    u64::from(rate.calls).saturating_mul(windows)
}

fn grant(shape: &Fetch, per_call: u64, reader: &mut Reader<'_>) -> Result<FetchGrant, Error> {
    let id = reader.take_id(&shape.id)?;
    let default = FetchTerms::DEFAULT;
    let size = |given: &Option<At<Size>>, default: u64| units::given(given.as_ref(), default.min(per_call));
    Ok(FetchGrant {
        id,
        url: reader.pattern(&shape.url, ["http", "https"])?,
        methods: reader.methods(&shape.methods)?,
        terms: FetchTerms {
            max_calls: shape.max_calls.map(|Count(calls)| calls).filter(|calls| *calls != u64::MAX),
            rate: shape.rate.as_ref().map(|text| rate(text, reader)).transpose()?,
            concurrent: reader.at_least_one("concurrent", shape.concurrent.as_ref(), default.concurrent)?,
            max_request: size(&shape.max_request, default.max_request),
            max_response: size(&shape.max_response, default.max_response),
            timeout: span(reader.source, "timeout", shape.timeout.as_ref(), default.timeout)?,
            redirects: redirects(shape.redirects.as_ref(), reader)?,
            secret: shape.secret.as_ref().map(|shape| secret(shape, reader)).transpose()?,
            on_crash: shape.on_crash.unwrap_or(OnCrash::Retry),
        },
    })
}

fn rate(shape: &At<RateText>, reader: &Reader<'_>) -> Result<Rate, Error> {
    let RateText(text) = shape.get_ref();
    Rate::parse(text).ok_or_else(|| {
        let remedy = "write calls and time, such as \"5/s\" or \"3/10s\"; up to 10_000 calls and 24h";
        reader.source.invalid(&shape.span(), format!("{} is no rate", quoted(text)), remedy)
    })
}

fn redirects(value: Option<&At<u32>>, reader: &Reader<'_>) -> Result<u32, Error> {
    let Some(value) = value else { return Ok(FetchTerms::DEFAULT.redirects) };
    if *value.get_ref() > REDIRECTS {
        let what = format!("redirects is more than {REDIRECTS}");
        return Err(reader.source.invalid(&value.span(), what, "write at most 20"));
    }
    Ok(*value.get_ref())
}

fn secret(shape: &Secret, reader: &Reader<'_>) -> Result<SecretGrant, Error> {
    let header = shape.header.get_ref().to_ascii_lowercase();
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    let known = !header.is_empty() && header.len() <= LONGEST_HEADER && header.bytes().all(allowed);
    // As seen by servers that take `a_b` for `a-b`.
    let seen = header.replace('_', "-");
    if !known || FORBIDDEN_HEADERS.contains(&seen.as_str()) || seen.starts_with("proxy-") {
        let what = format!("{} is no header for a secret", quoted(shape.header.get_ref()));
        let remedy = "use one such as \"authorization\"; not one that frames or routes the request";
        return Err(reader.source.invalid(&shape.header.span(), what, remedy));
    }
    let from = match SecretSource::parse(shape.from.get_ref()) {
        Some(SecretSource::File(path)) => path.to_str().map(|path| SecretSource::File(reader.joined(path))),
        from => from,
    };
    let from = from.ok_or_else(|| {
        let what = format!("{} is no place of a secret", quoted(shape.from.get_ref()));
        reader.source.invalid(&shape.from.span(), what, "write \"env:NAME\" or \"file:PATH\"")
    })?;
    Ok(SecretGrant { header, from })
}
