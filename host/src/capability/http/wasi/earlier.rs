//! Journals of formats 1 and 2 have no reasons: there they follow from the messages that the builds of that time wrote. Nothing here changes with
//! the messages of today.

use crate::guest_error::{ErrorCode, GuestError, Reason};

/// Parts of the messages of connections that failed.
const FAILURES: [(&str, Reason); 7] = [
    ("connection refused", Reason::Refused),
    ("no connection was made in time", Reason::Unconnected),
    ("the name server does not answer", Reason::NameServerSilent),
    ("the name server", Reason::NameServer),
    ("certificate", Reason::Certificate),
    ("TLS", Reason::Handshake),
    ("the connection was lost", Reason::Lost),
];

/// The reason of an error whose journal has none.
pub(super) fn reason(error: &GuestError) -> Reason {
    let says = |part: &str| error.message.contains(part);
    match error.code {
        ErrorCode::Denied if says("[network]") => Reason::Address,
        ErrorCode::TimedOut if says("the rest of the response took too long") => Reason::Silence,
        ErrorCode::LimitExceeded if says("max_request") => Reason::LargeRequest,
        ErrorCode::LimitExceeded if says("it is larger than the") => Reason::LargeResponse,
        ErrorCode::LimitExceeded if says("concurrent") => Reason::Concurrent,
        ErrorCode::Failed => FAILURES.iter().find(|(part, _)| says(part)).map_or(Reason::Other, |(_, reason)| *reason),
        _ => Reason::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_without_reasons_is_replayed_with_the_words_that_its_messages_had() {
        for (code, why, word) in [
            (ErrorCode::Denied, "[network] permits no address of this host", "DestinationIpProhibited"),
            (ErrorCode::Denied, "nearest rule \"site\" allows GET", "HttpRequestDenied"),
            (ErrorCode::NotFound, "the host name has no address", "NXDOMAIN"),
            (ErrorCode::TimedOut, "the server took too long", "HttpResponseTimeout"),
            (ErrorCode::TimedOut, "the rest of the response took too long", "ConnectionReadTimeout"),
            (ErrorCode::LimitExceeded, "9 bytes; rule \"site\" allows max_request = 8", "HttpRequestBodySize"),
            (ErrorCode::LimitExceeded, "it is larger than the 9 bytes allowed", "HttpResponseBodySize"),
            (ErrorCode::LimitExceeded, "rule \"site\" allows concurrent = 1", "ConnectionLimitReached"),
            (ErrorCode::LimitExceeded, "rule \"site\" allows max_calls = 1", "HttpRequestDenied"),
            (ErrorCode::Failed, "connection refused", "ConnectionRefused"),
            (ErrorCode::Failed, "no connection was made in time", "ConnectionTimeout"),
            (ErrorCode::Failed, "the name server does not answer", "DnsTimeout"),
            (ErrorCode::Failed, "the name server failed", "SERVFAIL"),
            (ErrorCode::Failed, "its certificate has expired", "TlsCertificateError"),
            (ErrorCode::Failed, "the TLS handshake failed", "TlsProtocolError"),
            (ErrorCode::Failed, "the connection was lost before a response arrived", "ConnectionTerminated"),
            (ErrorCode::Failed, "its body is malformed", "InternalError"),
        ] {
            let message = format!("fetch GET example.org:443 ({why})");
            let error = GuestError::new(code, message).because(Reason::Unrecorded);
            let found = format!("{:?}", super::super::code(error));
            assert!(found.contains(word), "{why}: {found}");
        }
    }
}
