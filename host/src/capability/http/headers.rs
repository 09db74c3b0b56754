//! Headers and methods: which ones a guest may send, how header values become text, and which framing of a response is
//! accepted.
//!
//! Text and bytes of a header value map to each other one to one (ISO 8859-1), as in the Fetch standard. Servers that pass headers
//! on as variables take `a_b` for `a-b`, so names are compared as those servers see them ([`folded`]).

use crate::guest_error::{ErrorCode, GuestError};
use crate::policy::quoted;
use everstep_words::trace::{TRACEPARENT, TRACESTATE, TraceContext};
use hyper::StatusCode;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use std::borrow::Cow;

/// The most headers of a guest's request.
const MOST_HEADERS: usize = 100;

/// The most bytes of their names and values.
const MOST_BYTES: usize = 64 << 10;

/// The user agent of a request, unless the guest sets one.
pub(crate) const USER_AGENT: &str = concat!("everstep/", env!("CARGO_PKG_VERSION"));

/// Longest method.
const LONGEST_METHOD: usize = 32;

/// Headers that only the host sets: where a message goes, where it ends, how its connection is used, how its body is encoded,
/// and which method and URL the server takes it for.
const FORBIDDEN: [&str; 18] = [
    "accept-encoding",
    "connection",
    "content-length",
    "date",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "http-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// Those of them that ordinary clients set for each request, and that tell nothing: the host has its own in their place.
const LEFT_OUT: [&str; 6] = ["accept-encoding", "connection", "content-length", "host", "keep-alive", "te"];

/// Refuses headers that a guest may not set, that are malformed, or that are too many.
pub fn check(headers: &[(String, String)]) -> Result<(), GuestError> {
    if headers.len() > MOST_HEADERS {
        return Err(invalid(format!("more than {MOST_HEADERS} headers")));
    }
    if headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MOST_BYTES {
        return Err(invalid(format!("more than {MOST_BYTES} bytes of headers")));
    }
    for (name, value) in headers {
        let parsed = HeaderName::from_bytes(name.as_bytes());
        let parsed = parsed.map_err(|_| invalid(format!("{} is no header name", quoted(name))))?;
        if is_forbidden(parsed.as_str()) {
            return Err(invalid(format!("the header {} is set by the host only", quoted(name))));
        }
        encode(value)
            .ok_or_else(|| invalid(format!("the header {} has a value that no header can have", quoted(name))))?;
    }
    Ok(())
}

/// Refuses malformed methods, and methods that a guest may not use. Methods are case-sensitive; the standard ones are upper case.
pub fn check_method(method: &str) -> Result<(), GuestError> {
    let token = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    if method.is_empty() || method.len() > LONGEST_METHOD || !method.bytes().all(token) {
        return Err(invalid(format!("{} is no method; methods are upper case, like GET", quoted(method))));
    }
    if matches!(method, "CONNECT" | "TRACE" | "TRACK") {
        return Err(invalid(format!("the method {method} cannot be used")));
    }
    Ok(())
}

/// A name as seen by servers that turn headers into variables: in lower case, with `-` for anything but letters and digits.
pub(crate) fn folded(name: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.bytes().all(is_plain) {
        return Cow::Borrowed(name);
    }
    let fold = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    Cow::Owned(name.chars().map(fold).collect())
}

/// Names the place in a trace that a request is sent from, unless the guest does.
pub(crate) fn add_trace(headers: &mut Vec<(String, String)>, trace: Option<&TraceContext>) {
    if !headers.iter().any(|(name, _)| [TRACEPARENT, TRACESTATE].contains(&&*folded(name))) {
        headers.extend(trace.into_iter().flat_map(TraceContext::headers));
    }
}

/// Whether a client of the guest may set this header, which is not sent.
pub(super) fn is_left_out(name: &str) -> bool {
    LEFT_OUT.iter().any(|one| name.eq_ignore_ascii_case(one))
}

/// Whether a client of the guest may set this header, whether or not it is sent.
pub(super) fn may_be_set(name: &str) -> bool {
    is_left_out(name) || !is_forbidden(name)
}

/// Whether only the host may set this header.
fn is_forbidden(name: &str) -> bool {
    let name = folded(name);
    FORBIDDEN.contains(&&*name) || name.starts_with("proxy-") || name.starts_with("sec-")
}

/// Removes the headers that a server may take for one of these; `names` are folded.
pub(super) fn remove(headers: &mut HeaderMap, names: &[&str]) {
    let found: Vec<HeaderName> =
        headers.keys().filter(|name| names.contains(&&*folded(name.as_str()))).cloned().collect();
    for name in found {
        headers.remove(name);
    }
}

/// Refuses a response whose headers leave its end ambiguous: two parties on the way could see two different
/// responses.
pub(super) fn check_framing(status: StatusCode, headers: &HeaderMap) -> Result<(), &'static str> {
    let (lengths, codings) = (framing(headers, &CONTENT_LENGTH)?, framing(headers, &TRANSFER_ENCODING)?);
    match (lengths, codings) {
        (Some(_), Some(_)) => Err("it has both a Content-Length and a Transfer-Encoding"),
        (Some(length), None) if !length.as_bytes().iter().all(u8::is_ascii_digit) => {
            Err("its Content-Length is no number")
        }
        (None, Some(coding)) if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            Err("its Transfer-Encoding is another than chunked")
        }
        (None, Some(_)) if status == StatusCode::NO_CONTENT => Err("it has a Transfer-Encoding and no content"),
        _ => Ok(()),
    }
}

/// Refuses the response to an upgrade if it has a body, or repeats a header of the handshake.
pub(crate) fn check_upgrade(headers: &HeaderMap) -> Result<(), &'static str> {
    if framing(headers, &CONTENT_LENGTH)?.is_some() || framing(headers, &TRANSFER_ENCODING)?.is_some() {
        return Err("the server's handshake has a body");
    }
    for name in ["connection", "upgrade", "sec-websocket-accept", "sec-websocket-protocol"] {
        if headers
            .keys()
            .filter(|key| folded(key.as_str()) == name)
            .map(|key| headers.get_all(key).iter().count())
            .sum::<usize>()
            > 1
        {
            return Err("the server's handshake has a header twice");
        }
    }
    if headers.contains_key("sec-websocket-extensions") {
        return Err("the server's handshake uses an extension that nobody asked for");
    }
    Ok(())
}

/// Whether a request asks for a part of a body.
pub(super) fn asks_for_a_part(headers: &HeaderMap) -> bool {
    let ask = ["range", "request-range", "x-range"];
    headers.keys().any(|name| ask.contains(&&*folded(name.as_str())))
}

/// Whether a response holds a part of a body.
pub(super) fn is_a_part(status: StatusCode, headers: &HeaderMap) -> bool {
    let says_which = headers.keys().any(|name| folded(name.as_str()) == "content-range");
    let in_ranges = |kind: &HeaderValue| kind.as_bytes().to_ascii_lowercase().starts_with(b"multipart/byteranges");
    status == StatusCode::PARTIAL_CONTENT
        || says_which && status != StatusCode::RANGE_NOT_SATISFIABLE
        || headers.get_all(CONTENT_TYPE).iter().any(in_ranges)
}

/// The value of a header that defines where a message ends; it may occur only once, and only under its own name.
fn framing<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h HeaderValue>, &'static str> {
    if headers.keys().any(|key| key != name && folded(key.as_str()) == name.as_str()) {
        return Err("it has a header whose name can be taken for Content-Length or Transfer-Encoding");
    }
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err("it says more than once where it ends"),
    }
}

/// The header as it is sent; `None` if it is forbidden or malformed.
pub(crate) fn parse(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok().filter(|name| !is_forbidden(name.as_str()))?;
    Some((name, encode(value)?))
}

/// The value as it is sent; `None` if it cannot be. White space around it has no meaning and is removed.
fn encode(value: &str) -> Option<HeaderValue> {
    let bytes: Option<Vec<u8>> = value.chars().map(|character| u8::try_from(character).ok()).collect();
    HeaderValue::from_bytes(bytes?.trim_ascii()).ok()
}

/// The headers of a response as text, names in lower case. Those of the connection are removed.
pub(super) fn decode(headers: &HeaderMap) -> Vec<(String, String)> {
    let of_message = |name: &HeaderName| {
        !matches!(name.as_str(), "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade")
    };
    let text = |value: &HeaderValue| value.as_bytes().iter().map(|byte| char::from(*byte)).collect();
    let headers = headers.iter().filter(|(name, _)| of_message(name));
    headers.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

fn invalid(message: String) -> GuestError {
    GuestError::new(ErrorCode::Invalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(name: &str, value: &str) -> Result<(), GuestError> {
        check(&[(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn headers_that_the_host_sets_are_refused_in_every_case() {
        for name in FORBIDDEN.into_iter().chain(["Host", "CONTENT-LENGTH", "proxy-authorization", "Sec-Fetch-Site"]) {
            let error = check_one(name, "1").unwrap_err();
            assert_eq!(error.code, ErrorCode::Invalid);
            assert!(error.message.contains("set by the host only"), "{name}: {error}");
        }
        for name in ["accept", "Authorization", "cookie", "X-Anything", "section", "x_anything", "security_level"] {
            assert_eq!(check_one(name, "1"), Ok(()), "{name}");
        }
    }

    #[test]
    fn headers_that_a_server_may_take_for_one_that_the_host_sets_are_refused() {
        let all = FORBIDDEN.into_iter().chain(["proxy-authorization", "sec-websocket-key"]);
        for name in all.filter(|name| name.contains('-')) {
            for separator in ["_", ".", "~", "|", "'"] {
                for name in [name.replace('-', separator), name.replacen('-', separator, 1).to_uppercase()] {
                    let error = check_one(&name, "1").unwrap_err();
                    assert!(error.message.contains("set by the host only"), "{name}: {error}");
                    assert!(parse(&name, "1").is_none(), "{name}");
                }
            }
        }
    }

    #[test]
    fn names_and_values_that_no_header_can_have_are_refused() {
        for name in ["", " ", "a b", "a:", ":path", "a\r\nb", "a\0", "é", "host ", "\thost"] {
            assert_eq!(check_one(name, "1").unwrap_err().code, ErrorCode::Invalid, "{name:?}");
        }
        for value in ["a\r\nHost: b", "a\nb", "a\rb", "a\0b", "a\u{7f}b", "\u{1}", "\u{100}", "🦀"] {
            assert_eq!(check_one("x-a", value).unwrap_err().code, ErrorCode::Invalid, "{value:?}");
        }
        for value in ["", "a\tb", "caf\u{e9}", "a: b, c; d=\"e\""] {
            assert_eq!(check_one("x-a", value), Ok(()), "{value:?}");
        }
    }

    #[test]
    fn too_many_headers_and_too_long_ones_are_refused() {
        let one = ("a".to_owned(), "b".to_owned());
        assert_eq!(check(&vec![one.clone(); MOST_HEADERS]), Ok(()));
        assert!(check(&vec![one; MOST_HEADERS + 1]).is_err());
        assert_eq!(check_one("a", &"b".repeat(MOST_BYTES - 1)), Ok(()));
        assert!(check_one("a", &"b".repeat(MOST_BYTES)).is_err());
    }

    #[test]
    fn a_place_in_a_trace_is_added_unless_the_guest_names_one() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = TraceContext::parse(parent, Some("a=b"));
        let with = |own: &[(&str, &str)], trace: Option<&TraceContext>| {
            let mut headers = own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            add_trace(&mut headers, trace);
            headers.into_iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
        };
        assert_eq!(with(&[], trace.as_ref()), [format!("traceparent: {parent}"), "tracestate: a=b".to_owned()]);
        assert_eq!(with(&[("x", "y")], None), ["x: y"]);
        for own in ["traceparent", "TraceParent", "tracestate"] {
            assert_eq!(with(&[(own, "z")], trace.as_ref()), [format!("{own}: z")]);
        }
    }

    #[test]
    fn methods_are_upper_case_tokens_that_do_not_tunnel() {
        for method in ["GET", "POST", "PATCH", "PROPFIND", "M-SEARCH", "VERSION_2"] {
            assert_eq!(check_method(method), Ok(()), "{method}");
        }
        for method in
            ["", "get", "Get", "GET ", "GET\r\n", "GE T", "G/T", "CONNECT", "TRACE", "TRACK", "É", &"A".repeat(33)]
        {
            assert_eq!(check_method(method).unwrap_err().code, ErrorCode::Invalid, "{method:?}");
        }
    }

    #[test]
    fn values_are_the_same_text_and_bytes() {
        let all: String = (0x20_u8..=0xff).filter(|byte| *byte != 0x7f).map(char::from).collect();
        let text = format!("a{all}");
        let mut headers = HeaderMap::new();
        headers.insert("x-all", encode(&text).unwrap());
        headers.insert("transfer-encoding", HeaderValue::from_static("chunked"));
        assert_eq!(decode(&headers), [("x-all".to_owned(), text)]);
        assert_eq!(encode(" \t a \t").unwrap(), "a");
    }
}
