//! The URL of a guest: parsed once, in one canonical form.

use super::{decoded, is_dots};
use std::fmt;
use std::net::IpAddr;
use url::{Host, Url};

/// Longest URL, in bytes.
const LONGEST: usize = 8192;
/// Longest name of a host, in bytes, and longest label of it.
const LONGEST_HOST: usize = 253;
const LONGEST_LABEL: usize = 63;

/// The schemes that rules support.
pub(super) const SCHEMES: [&str; 4] = ["http", "https", "ws", "wss"];

/// A URL of a guest, parsed once according to the WHATWG standard: host in lower case and IDNA-encoded, without a trailing dot;
/// numeric hosts as addresses; the port explicit; dot segments resolved; no user information, no fragment.
///
/// Spellings that servers and clients read in more than one way are refused rather than repaired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    url: Url,
    /// The port, even if it is the default of the scheme.
    port: u16,
    /// The address, if the host is one.
    ip: Option<IpAddr>,
    /// The decoded path; `None` if it equals the path itself.
    decoded: Option<String>,
    text: String,
}

/// The reason that a URL cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is longer than 8 KiB.
    Long,
    /// It has a control character, white space or a backslash.
    Character,
    /// It does not begin with `http://`, `https://`, `ws://` or `wss://`.
    Scheme,
    /// It names a user.
    UserInfo,
    /// It has no host, or an invalid one.
    Host(&'static str),
    /// It has an invalid port.
    Port,
    /// Its path has an empty segment, or one that some servers read as `..`.
    Segment(&'static str),
    /// Its path has an encoding that servers read in different ways.
    Encoding(&'static str),
}

impl Target {
    /// Parses an absolute URL.
    ///
    /// # Errors
    /// It is not valid, or could be read in two ways.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        check_characters(text)?;
        let (scheme, rest) = text.split_once("://").ok_or(Fault::Scheme)?;
        if !SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(Fault::Scheme);
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        check_authority(authority)?;
        Self::of(Url::parse(text).map_err(Fault::from)?)
    }

    /// The target of a redirect: `location` as a server wrote it, absolute or relative to this URL.
    ///
    /// # Errors
    /// As for [`Target::parse`].
    pub fn join(&self, location: &str) -> Result<Self, Fault> {
        check_characters(location)?;
        Self::of(self.url.join(location).map_err(Fault::from)?)
    }

    /// Makes the canonical form of a parsed URL, and refuses one with more than one reading.
    fn of(mut url: Url) -> Result<Self, Fault> {
        if !SCHEMES.contains(&url.scheme()) {
            return Err(Fault::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Fault::UserInfo);
        }
        url.set_fragment(None);
        let ip = canonical_host(&mut url)?;
        let port = url.port_or_known_default().filter(|port| *port != 0).ok_or(Fault::Port)?;
        let decoded = canonical_path(&mut url)?;
        let text = canonical_text(&url, port);
        if text.len() > LONGEST {
            return Err(Fault::Long);
        }
        Ok(Self { url, port, ip, decoded, text })
    }

    /// `http`, `https`, `ws` or `wss`.
    pub fn scheme(&self) -> &str {
        self.url.scheme()
    }

    /// The host: a name, an IPv4 address, or an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// The address, if the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// The port; the default of the scheme if none is given.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path, percent-encoded; it begins with `/`.
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// The decoded path, which patterns are matched against.
    pub(super) fn decoded_path(&self) -> &str {
        self.decoded.as_deref().unwrap_or_else(|| self.url.path())
    }

    /// The decoded segments of the path.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &str> {
        let path = self.decoded_path();
        path.strip_prefix('/').unwrap_or(path).split('/')
    }

    /// The ends of the host that a pattern with wildcards may spell out: its last two labels, its last three and so on; none for
    /// an address.
    pub(crate) fn suffixes(&self) -> impl Iterator<Item = &str> {
        let host = if self.ip.is_some() { "" } else { self.host() };
        let inner = host.rmatch_indices('.').map(|(dot, _)| &host[dot + 1..]);
        inner.chain((!host.is_empty()).then_some(host)).skip(1)
    }

    /// The query without `?`, percent-encoded.
    pub fn query(&self) -> Option<&str> {
        self.url.query()
    }

    /// The canonical text, with the port, as audited and approved.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Host and port, for messages that must not contain path and query.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host(), self.port)
    }

    /// The URL for a client, without the default port.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether scheme, host and port are the same.
    pub fn same_origin(&self, other: &Self) -> bool {
        (self.scheme(), self.host(), self.port) == (other.scheme(), other.host(), other.port)
    }
}

/// Refuses characters that parsers remove or replace.
fn check_characters(text: &str) -> Result<(), Fault> {
    if text.len() > LONGEST {
        return Err(Fault::Long);
    }
    let strange = |one: char| one.is_control() || one.is_whitespace() || one == '\\';
    if text.contains(strange) { Err(Fault::Character) } else { Ok(()) }
}

fn check_authority(authority: &str) -> Result<(), Fault> {
    if authority.contains('@') {
        return Err(Fault::UserInfo);
    }
    if authority.contains('%') {
        return Err(Fault::Host("its host has a \"%\""));
    }
    if authority.is_empty() { Err(Fault::Host("it has no host")) } else { Ok(()) }
}

/// Removes the trailing dot of a name, and refuses names that no server has; returns the address, if the host is one.
fn canonical_host(url: &mut Url) -> Result<Option<IpAddr>, Fault> {
    let name = match url.host() {
        None => return Err(Fault::Host("it has no host")),
        Some(Host::Ipv4(address)) => return Ok(Some(address.into())),
        Some(Host::Ipv6(address)) => return Ok(Some(address.into())),
        Some(Host::Domain(name)) => name.to_owned(),
    };
    let trimmed = name.strip_suffix('.').unwrap_or(&name);
    check_name(trimmed)?;
    if trimmed.len() < name.len() {
        url.set_host(Some(trimmed)).map_err(Fault::from)?;
    }
    Ok(None)
}

/// Checks the encoded name of a host.
pub(super) fn check_name(name: &str) -> Result<(), Fault> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    let label = |label: &str| !label.is_empty() && label.len() <= LONGEST_LABEL && label.bytes().all(allowed);
    if name.len() > LONGEST_HOST || !name.split('.').all(label) {
        return Err(Fault::Host("its host is no name of a server"));
    }
    Ok(())
}

/// Decodes encoded letters, digits and `-._~`, and refuses paths with more than one reading; returns the decoded path if
/// something in it is still encoded.
fn canonical_path(url: &mut Url) -> Result<Option<String>, Fault> {
    if url.path().contains('%') {
        decoded(url.path())?;
        let plain = plainly(url.path());
        url.set_path(&plain);
    }
    let read = url.path().contains('%').then(|| decoded(url.path())).transpose()?;
    let mut segments = read.as_deref().unwrap_or_else(|| url.path()).split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if segment.is_empty() && segments.peek().is_some() {
            return Err(Fault::Segment("its path has an empty segment"));
        }
        if is_dots(segment) {
            return Err(Fault::Segment("a segment of its path reads as \"..\""));
        }
    }
    Ok(read)
}

/// The path with encoded unreserved characters decoded, and with hex digits in upper case. Its encodings are valid.
fn plainly(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut pieces = path.split('%');
    plain.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).unwrap_or((piece, ""));
        match u8::from_str_radix(digits, 16).map(char::from) {
            Ok(one) if one.is_ascii_alphanumeric() || "-._~".contains(one) => plain.push(one),
            _ => {
                plain.push('%');
                plain.push_str(&digits.to_ascii_uppercase());
            }
        }
        plain.push_str(rest);
    }
    plain
}

fn canonical_text(url: &Url, port: u16) -> String {
    let mut text = format!("{}://{}:{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path());
    if let Some(query) = url.query() {
        text.push('?');
        text.push_str(query);
    }
    text
}

impl From<url::ParseError> for Fault {
    fn from(error: url::ParseError) -> Self {
        match error {
            url::ParseError::InvalidPort => Self::Port,
            url::ParseError::RelativeUrlWithoutBase => Self::Scheme,
            _ => Self::Host("its host is no name of a server and no address"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Long => "it is longer than 8192 bytes",
            Self::Character => "it has a control character, a space or a backslash; encode it",
            Self::Scheme => "it does not begin with http://, https://, ws:// or wss://",
            Self::UserInfo => "it has user information before its host",
            Self::Port => "its port is none",
            Self::Host(why) | Self::Segment(why) | Self::Encoding(why) => why,
        })
    }
}

impl std::error::Error for Fault {}
