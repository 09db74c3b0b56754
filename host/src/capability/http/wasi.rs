//! `wasi:http` over the same requests: what WASI calls the failures of one, and which headers of a client are its own affair.
//!
//! The journal keeps an error with its reason, from which its word in WASI is found, also in a replay. `earlier` is for journals without reasons.

mod earlier;

use super::headers::{is_left_out, may_be_set};
use super::stored::Stored;
use super::{Asked, check_method};
use crate::bindings::everstep::host::promises;
use crate::bridge::Fault;
use crate::engine::wasi::http::{DnsErrorPayload, ErrorCode, Incoming, Outgoing, Web};
use crate::guest_error::{ErrorCode as Code, GuestError, Reason};
use crate::policy::url::Target;
use crate::turns::Ctx;

impl Web for Ctx {
    fn may_set(&self, name: &str) -> bool {
        may_be_set(name)
    }

    fn most_request(&self) -> u64 {
        let policy = &self.bridge.facts.grants.policy;
        // Where nothing is granted, the denial tells more than a body that is too large.
        policy.largest_request().unwrap_or(u64::MAX).min(policy.limits.bytes_per_call)
    }

    fn fetch(&mut self, request: Outgoing) -> wasmtime::Result<Result<u64, ErrorCode>> {
        let Outgoing { method, url, headers, body, timeouts } = request;
        let target = Target::parse(&url);
        let malformed = match (check_method(&method), &target) {
            (Err(_), _) => Some(ErrorCode::HttpRequestMethodInvalid),
            (_, Err(_)) => Some(ErrorCode::HttpRequestUriInvalid),
            _ => None,
        };
        if let Ok(target) = &target
            && let Some(host) = headers.iter().find(|(name, value)| names_another(name, value, target))
        {
            let why = format!("the header {} names another host than the URL", host.0);
            return Ok(Err(ErrorCode::InternalError(Some(why))));
        }
        let sent = headers.into_iter().filter(|(name, _)| !is_left_out(name));
        let headers = sent.map(|(name, value)| (name, value.into_iter().map(char::from).collect())).collect();
        match self.request(Asked { method, url, headers, body, timeout_ms: None, own: Some(timeouts) }) {
            Ok(step) => Ok(Ok(step)),
            Err(Fault::Guest(error)) => Ok(Err(malformed.unwrap_or_else(|| code(error)))),
            Err(Fault::Stop(stop)) => Err(wasmtime::Error::new(stop)),
        }
    }

    fn response(&mut self, step: u64) -> Result<Incoming, ErrorCode> {
        let unreadable = |what: &str| ErrorCode::InternalError(Some(format!("the response of step {step} {what}")));
        let outcome = self.bridge.promise_of_guest(step).outcome();
        let json = outcome.ok_or_else(|| unreadable("has not been delivered"))?.map_err(code)?;
        let stored = Stored::read(&json).ok_or_else(|| unreadable("cannot be read"))?;
        Ok(incoming(stored))
    }

    async fn give_up(&mut self, step: u64) -> wasmtime::Result<()> {
        match promises::Host::cancel(self, step).await {
            Ok(()) => Ok(()),
            Err(Fault::Guest(error)) => Err(wasmtime::format_err!("{error}")),
            Err(Fault::Stop(stop)) => Err(wasmtime::Error::new(stop)),
        }
    }
}

/// Whether this is a header `host` of another host than that of the URL.
fn names_another(name: &str, value: &[u8], url: &Target) -> bool {
    if !name.eq_ignore_ascii_case("host") {
        return false;
    }
    let host = std::str::from_utf8(value).ok();
    let named = host.and_then(|host| Target::parse(&format!("{}://{}/", url.scheme(), host.trim())).ok());
    !named.is_some_and(|named| named.same_origin(url))
}

/// A response whose body the host may have shortened, since it contained a secret: its length is then no longer the one that was announced.
fn incoming(stored: Stored) -> Incoming {
    let Stored { status, headers, body, .. } = stored;
    let is_wrong = |name: &str, value: &str| {
        name == "content-length" && !body.is_empty() && value.parse().ok() != Some(body.len())
    };
    let headers = headers.into_iter().filter(|(name, value)| !is_wrong(name, value));
    let bytes = |text: String| text.chars().map(|letter| u8::try_from(letter).unwrap_or(b'?')).collect();
    let headers = headers.map(|(name, value)| (name, bytes(value))).collect();
    Incoming { status, headers, body: body.into() }
}

/// What WASI calls an error of a request; the message itself, if it has no word for it.
fn code(error: GuestError) -> ErrorCode {
    let reason = if error.reason == Reason::Unrecorded { earlier::reason(&error) } else { error.reason };
    let dns = |rcode: &str| ErrorCode::DnsError(DnsErrorPayload { rcode: Some(rcode.to_owned()), info_code: None });
    match (reason, error.code) {
        (Reason::Address, _) => ErrorCode::DestinationIpProhibited,
        (Reason::NameServer, _) => dns("SERVFAIL"),
        (Reason::NameServerSilent, _) => ErrorCode::DnsTimeout,
        (Reason::Refused, _) => ErrorCode::ConnectionRefused,
        (Reason::Unreachable, _) => ErrorCode::DestinationIpUnroutable,
        (Reason::Unconnected, _) => ErrorCode::ConnectionTimeout,
        (Reason::Lost, _) => ErrorCode::ConnectionTerminated,
        (Reason::Certificate, _) => ErrorCode::TlsCertificateError,
        (Reason::Handshake, _) => ErrorCode::TlsProtocolError,
        (Reason::Silence, _) => ErrorCode::ConnectionReadTimeout,
        (Reason::LargeRequest, _) => ErrorCode::HttpRequestBodySize(None),
        (Reason::LargeResponse, _) => ErrorCode::HttpResponseBodySize(None),
        (Reason::Concurrent, _) => ErrorCode::ConnectionLimitReached,
        (_, Code::Denied | Code::LimitExceeded) => ErrorCode::HttpRequestDenied,
        (_, Code::NotFound) => dns("NXDOMAIN"),
        (_, Code::TimedOut) => ErrorCode::HttpResponseTimeout,
        _ => ErrorCode::InternalError(Some(error.message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Cause;
    use everstep_store::journal::{Record, records};

    #[test]
    fn a_length_that_is_no_longer_true_is_left_out() {
        let told = |length: &str, body: &[u8]| {
            let headers = vec![("content-length".to_owned(), length.to_owned()), ("x".to_owned(), "\u{e9}".to_owned())];
            let stored = Stored { status: 200, headers, body: body.to_vec(), url: "http://x/".to_owned() };
            incoming(stored).headers
        };
        assert_eq!(told("4", b"four"), [("content-length".to_owned(), b"4".to_vec()), ("x".to_owned(), vec![0xe9])]);
        assert_eq!(told("40", b"four"), [("x".to_owned(), vec![0xe9])]);
        assert_eq!(told("40", b"").len(), 2, "the answer to HEAD");
    }

    #[test]
    fn a_host_is_another_one_unless_it_is_that_of_the_url() {
        let url = |text: &str| Target::parse(text).unwrap();
        for (host, of, is_other) in [
            ("example.org", "https://example.org/a", false),
            ("EXAMPLE.org:443", "https://example.org/a", false),
            ("example.org:80", "https://example.org/a", true),
            ("example.net", "https://example.org/a", true),
            ("", "https://example.org/a", true),
            ("a b", "https://example.org/a", true),
        ] {
            assert_eq!(names_another("Host", host.as_bytes(), &url(of)), is_other, "{host}");
        }
        assert!(!names_another("x", b"example.net", &url("https://example.org/")));
    }

    /// What WASI calls an error that was written to a journal and read again.
    fn told(error: GuestError) -> String {
        let mut bytes = Vec::new();
        Record::Returned { at_ms: 0, outcome: Err(error) }.encode(&mut bytes);
        match records(&bytes).next() {
            Some(Ok(Record::Returned { outcome: Err(error), .. })) => format!("{:?}", code(error)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_words_of_wasi_follow_from_the_reason_and_not_from_the_message() {
        // A host and a rule whose names are words of messages.
        let subject = "fetch GET certificate.TLS.max_request.example:443 [network]";
        let connect = |reason: Reason| Cause::Connect(reason, "connection refused".to_owned());
        for (cause, word) in [
            (Cause::Refused(crate::network::address::Class::Private), "DestinationIpProhibited"),
            (Cause::Misled("a redirect"), "HttpRequestDenied"),
            (Cause::NotFound, "DnsError"),
            (Cause::TimedOut, "HttpResponseTimeout"),
            (Cause::Silent, "ConnectionReadTimeout"),
            (Cause::TooLarge { max: 9 }, "HttpResponseBodySize"),
            (Cause::Interrupted("gone".to_owned()), "ConnectionTerminated"),
            (Cause::BadResponse("its body is malformed".to_owned()), "InternalError"),
            (connect(Reason::NameServer), "SERVFAIL"),
            (connect(Reason::NameServerSilent), "DnsTimeout"),
            (connect(Reason::Refused), "ConnectionRefused"),
            (connect(Reason::Unreachable), "DestinationIpUnroutable"),
            (connect(Reason::Unconnected), "ConnectionTimeout"),
            (connect(Reason::Certificate), "TlsCertificateError"),
            (connect(Reason::Handshake), "TlsProtocolError"),
            (connect(Reason::Other), "InternalError"),
        ] {
            let failure = crate::network::Failure { cause, address: None, sent: false };
            let found = told(failure.into_guest(subject));
            assert!(found.contains(word), "{word}: {found}");
        }
        let doubt = GuestError::new(Code::InDoubt, "its response was lost");
        assert!(told(doubt).contains("its response was lost"));
        let large = GuestError::new(Code::LimitExceeded, "x").because(Reason::LargeRequest);
        assert_eq!(told(large), "ErrorCode::HttpRequestBodySize(None)");
    }
}
