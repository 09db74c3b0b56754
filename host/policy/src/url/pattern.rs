//! The `url` of a rule.

use super::parts::{self, Part};
use super::target::{SCHEMES, check_name};
use super::{Target, decoded, is_dots};
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use url::{Host, Url};

/// Longest pattern, in bytes.
const LONGEST: usize = 2048;
/// Labels at the end of a host that must be spelled out when another one is a wildcard.
const LITERAL_LABELS: usize = 2;

/// The URLs of a rule, such as `https://api.github.com/repos/acme/**`. Matched against the parsed parts of a [`Target`].
///
/// - Scheme and port are those of the pattern; a missing port is the default one of the scheme.
/// - In the host, `*` is one label and `**` any number of them; the last two labels are spelled out. A label is whole: `*x` is none.
/// - In the path, `*` is one segment that is not empty, or a part of one (`v*`), and `**` any number of segments. A missing path is `/`.
///   A `/` at the end is an empty segment, which only `**` and another such `/` match.
/// - Without a query the pattern matches every query; with one, exactly this one. Wildcards have no meaning in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    scheme: &'static str,
    host: HostPattern,
    port: u16,
    path: Vec<Part>,
    query: Option<String>,
    text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostPattern {
    /// A name or an address.
    Exact(String),
    /// Labels, at least one of them a wildcard.
    Labels { labels: Vec<Part>, suffix: String },
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// The error and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("it is longer than {LONGEST} bytes"));
        }
        if text.contains(|one: char| one.is_control() || one.is_whitespace() || one == '\\' || one == '#') {
            return Err("it has a control character, a space, a backslash or a \"#\"".to_owned());
        }
        let (scheme, rest) = text.split_once("://").ok_or("it has no scheme; begin with \"https://\"")?;
        let scheme = SCHEMES.into_iter().find(|known| scheme.eq_ignore_ascii_case(known));
        let scheme = scheme.ok_or("its scheme is none of http, https, ws and wss")?;
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let (host, port) = authority_of(authority, scheme)?;
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = segments(path)?;
        let query = query.map(canonical_query).transpose()?;
        let text = render(scheme, &host, port, &path, query.as_deref());
        if text.len() > LONGEST {
            // That form is stored, and read again.
            return Err(format!("it is longer than {LONGEST} bytes once it is percent-encoded"));
        }
        Ok(Self { scheme, host, port, path, query, text })
    }

    /// The narrowest pattern that matches a URL: this one, with its query.
    pub fn exactly(target: &Target) -> Self {
        let scheme = SCHEMES.into_iter().find(|known| *known == target.scheme()).unwrap_or("https");
        let host = HostPattern::Exact(target.host().to_owned());
        let path = target.segments().map(|segment| Part::Exact(segment.to_owned())).collect::<Vec<_>>();
        let (port, query) = (target.port(), target.query().map(str::to_owned));
        let text = render(scheme, &host, port, &path, query.as_deref());
        Self { scheme, host, port, path, query, text }
    }

    /// Whether the pattern matches this URL.
    pub fn matches(&self, target: &Target) -> bool {
        self.port == target.port()
            && self.scheme == target.scheme()
            && self.host.matches(target)
            && self.query.as_deref().is_none_or(|query| target.query() == Some(query))
            && parts::matches(&self.path, below_root(target.decoded_path()), '/')
    }

    /// Whether the pattern matches the host of this URL, whatever scheme, port, path and query are.
    pub fn is_about_host_of(&self, target: &Target) -> bool {
        self.host.matches(target)
    }

    /// Whether the pattern matches the host and the port of this URL, whatever scheme, path and query are.
    pub fn is_about_authority_of(&self, target: &Target) -> bool {
        self.port == target.port() && self.host.matches(target)
    }

    /// Whether the pattern matches everything that `other` matches; `false` if that is not certain.
    pub fn covers(&self, other: &Self) -> bool {
        (self.scheme, self.port) == (other.scheme, other.port)
            && (self.query.is_none() || self.query == other.query)
            && self.host.covers(&other.host)
            && parts::covers(&self.path, &other.path)
    }

    /// Whether a URL may match both patterns; `true` if that is not certain.
    pub fn overlaps(&self, other: &Self) -> bool {
        (self.scheme, self.port) == (other.scheme, other.port)
            && (self.query.is_none() || other.query.is_none() || self.query == other.query)
            && self.host.overlaps(&other.host)
            && parts::overlap(&self.path, &other.path)
    }

    /// `http`, `https`, `ws` or `wss`.
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// Whether it has a query.
    pub fn has_query(&self) -> bool {
        self.query.is_some()
    }

    /// The canonical text, without the default port.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port.
    fn origin(&self) -> String {
        let end = self.text.match_indices('/').nth(2).map_or(self.text.len(), |(end, _)| end);
        self.text[..end].to_owned()
    }

    /// The common beginning of all URLs that it matches.
    pub(crate) fn place(&self) -> Place<'_> {
        let (whole_host, host) = match &self.host {
            HostPattern::Exact(host) => (true, host.as_str()),
            HostPattern::Labels { suffix, .. } => (false, suffix.as_str()),
        };
        Place { whole_host, host, segments: self.path.iter().map_while(Part::exact).collect() }
    }

    /// How closely the pattern agrees with the URL, to find the nearest rule: the host, then scheme, port and path.
    pub(crate) fn nearness(&self, target: &Target) -> Nearness {
        let path = below_root(target.decoded_path());
        let equal = |(part, segment): &(&Part, &str)| part.exact() == Some(*segment);
        Nearness {
            host: self.host.matches(target),
            labels: self.host.shared_labels(target),
            scheme: self.scheme == target.scheme(),
            port: self.port == target.port(),
            path: parts::matches(&self.path, path, '/'),
            query: self.query.as_deref().is_none_or(|query| target.query() == Some(query)),
            segments: self.path.iter().zip(path.split('/')).take_while(equal).count(),
        }
    }
}

/// The common beginning of all URLs that a pattern matches; rules are indexed by it.
pub(crate) struct Place<'a> {
    /// Whether `host` is the whole host; otherwise its last labels, two or more.
    pub(crate) whole_host: bool,
    pub(crate) host: &'a str,
    /// The segments before the first wildcard.
    pub(crate) segments: Vec<&'a str>,
}

impl Nearness {
    /// What a rule allows instead of the requested URL; `methods` is empty if there are none.
    pub(crate) fn explain(self, methods: &str, pattern: &Pattern) -> String {
        match self {
            Self { host: true, scheme: true, port: true, path: true, query: true, .. } => methods.to_owned(),
            Self { host: true, scheme: true, port: true, path: true, .. } => "another query".to_owned(),
            Self { host: true, scheme: true, port: true, .. } => "other paths".to_owned(),
            _ => pattern.origin(),
        }
    }
}

/// How near a pattern comes to a URL; the largest is the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Nearness {
    host: bool,
    labels: usize,
    scheme: bool,
    port: bool,
    path: bool,
    query: bool,
    segments: usize,
}

impl HostPattern {
    fn matches(&self, target: &Target) -> bool {
        match self {
            Self::Exact(host) => host == target.host(),
            Self::Labels { labels, suffix } => {
                target.ip().is_none()
                    && target.host().ends_with(suffix.as_str())
                    && parts::matches(labels, target.host(), '.')
            }
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(ours), Self::Exact(theirs)) => ours == theirs,
            (Self::Exact(_), Self::Labels { .. }) => false,
            (Self::Labels { .. }, _) => parts::covers(&self.labels(), &other.labels()),
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(ours), Self::Exact(theirs)) => ours == theirs,
            _ => parts::overlap(&self.labels(), &other.labels()),
        }
    }

    fn labels(&self) -> Vec<Part> {
        match self {
            Self::Exact(host) => host.split('.').map(|label| Part::Exact(label.to_owned())).collect(),
            Self::Labels { labels, .. } => labels.clone(),
        }
    }

    /// The number of equal labels at the end.
    fn shared_labels(&self, target: &Target) -> usize {
        let (Self::Exact(name) | Self::Labels { suffix: name, .. }) = self;
        name.rsplit('.').zip(target.host().rsplit('.')).take_while(|(a, b)| a == b).count()
    }
}

fn below_root(path: &str) -> &str {
    path.strip_prefix('/').unwrap_or(path)
}

fn authority_of(authority: &str, scheme: &str) -> Result<(HostPattern, u16), String> {
    if authority.contains(['@', '%']) {
        return Err("its host has a \"@\" or a \"%\"".to_owned());
    }
    let end = authority.rfind(']').map_or(0, |end| end + 1);
    let (host, port) = match authority[end..].find(':') {
        None => (authority, None),
        Some(colon) => (&authority[..end + colon], Some(&authority[end + colon + 1..])),
    };
    let default = if matches!(scheme, "http" | "ws") { 80 } else { 443 };
    let port = match port {
        None => default,
        Some(digits) if !digits.bytes().all(|byte| byte.is_ascii_digit()) => return Err(invalid_port(digits)),
        Some(digits) => digits.parse().ok().filter(|port| *port > 0).ok_or_else(|| invalid_port(digits))?,
    };
    Ok((host_pattern(host)?, port))
}

fn invalid_port(digits: &str) -> String {
    format!(
        "{} is no port; write a number from 1 to 65535, or leave it out for that of the scheme",
        crate::quoted(digits)
    )
}

fn host_pattern(host: &str) -> Result<HostPattern, String> {
    let unusable = || format!("{} is no host", crate::quoted(host));
    if !host.contains('*') {
        return match Host::parse(host).map_err(|_| unusable())? {
            Host::Domain(name) => exact_name(&name).map(HostPattern::Exact).ok_or_else(unusable),
            // As in a parsed URL; the standard library writes the end of a v4-mapped address with dots.
            address => Ok(HostPattern::Exact(address.to_string())),
        };
    }
    let given = host.strip_suffix('.').unwrap_or(host).split('.').collect::<Vec<_>>();
    let literal = given.iter().rev().take_while(|label| !label.contains('*')).count();
    if literal < LITERAL_LABELS {
        return Err("its host is open at the end; spell the last two labels out, as in \"*.example.org\"".to_owned());
    }
    if given.iter().any(|label| label.contains('*') && !matches!(*label, "*" | "**")) {
        return Err("a label of its host has a part that is \"*\"; write \"*\" for a whole label".to_owned());
    }
    let plain = given.iter().map(|label| if label.contains('*') { "w" } else { label }).collect::<Vec<_>>().join(".");
    let Ok(Host::Domain(name)) = Host::parse(&plain) else { return Err(unusable()) };
    let name = exact_name(&name).filter(|name| name.split('.').count() == given.len()).ok_or_else(unusable)?;
    let labels = name.split('.').zip(&given).map(|(label, given)| match *given {
        "*" => Part::One,
        "**" => Part::Any,
        _ => Part::Exact(label.to_owned()),
    });
    let suffix = name.split('.').skip(given.len() - literal).collect::<Vec<_>>().join(".");
    Ok(HostPattern::Labels { labels: labels.collect(), suffix })
}

/// The name without its trailing dot, if a server can have it.
fn exact_name(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    check_name(name).ok()?;
    Some(name.to_owned())
}

fn segments(path: &str) -> Result<Vec<Part>, String> {
    let last = path.split('/').count() - 1;
    path.split('/').enumerate().map(|(index, text)| segment(text, index == last)).collect()
}

fn segment(text: &str, last: bool) -> Result<Part, String> {
    match text {
        "**" => return Ok(Part::Any),
        "*" => return Ok(Part::One),
        "" if !last => return Err("its path has an empty segment".to_owned()),
        _ if text.contains("**") => return Err("\"**\" stands for whole segments; write it between slashes".to_owned()),
        _ => {}
    }
    let pieces = text.split('*').map(decoded).collect::<Result<Vec<_>, _>>();
    let mut pieces = pieces.map_err(|fault| fault.to_string())?;
    if is_dots(&pieces.concat()) {
        return Err("its path has a \".\" or \"..\" segment; write the path it leads to".to_owned());
    }
    match pieces.pop() {
        Some(only) if pieces.is_empty() => Ok(Part::Exact(only)),
        last => {
            pieces.extend(last);
            Ok(Part::Glob(pieces))
        }
    }
}

/// The query in the form that the parser of targets gives it.
fn canonical_query(query: &str) -> Result<String, String> {
    let url = Url::parse(&format!("https://host/?{query}")).map_err(|error| error.to_string())?;
    Ok(url.query().unwrap_or_default().to_owned())
}

fn render(scheme: &str, host: &HostPattern, port: u16, path: &[Part], query: Option<&str>) -> String {
    let mut text = format!("{scheme}://");
    match host {
        HostPattern::Exact(host) => text.push_str(host),
        HostPattern::Labels { labels, .. } => join(&mut text, labels, '.'),
    }
    if !matches!((scheme, port), ("http" | "ws", 80) | ("https" | "wss", 443)) {
        text.push_str(&format!(":{port}"));
    }
    text.push('/');
    join(&mut text, path, '/');
    if let Some(query) = query {
        text.push('?');
        text.push_str(query);
    }
    text
}

fn join(text: &mut String, parts: &[Part], separator: char) {
    for (index, part) in parts.iter().enumerate() {
        text.extend((index > 0).then_some(separator));
        match part {
            Part::Any => text.push_str("**"),
            Part::One => text.push('*'),
            Part::Exact(exact) => encode(text, exact),
            Part::Glob(pieces) => {
                for (index, piece) in pieces.iter().enumerate() {
                    text.extend((index > 0).then_some('*'));
                    encode(text, piece);
                }
            }
        }
    }
}

/// Writes a part so that it is read back the same: everything is encoded except plain characters of a path.
fn encode(text: &mut String, part: &str) {
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;=:@".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
