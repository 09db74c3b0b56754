//! HTTP and HTTPS: requests to the root of a URL, and streams of server-sent events.

use super::ahead::Ahead;
use super::error::Error;
use super::events::Events;
use super::transport::{Transport, Unreachable};
use async_trait::async_trait;
use bytes::Bytes;
use everstep_store::clock::{Clock, SystemClock};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokio::time::timeout;

/// How long connecting may take, and how long a whole request.
const CONNECT: Duration = Duration::from_secs(10);
const REQUEST: Duration = Duration::from_secs(30);
/// How long a connection is kept that is not used: less than servers do.
const IDLE: Duration = Duration::from_secs(20);
/// How often a server that has sent nothing is asked whether the connection lives, and how often it may fail to answer.
const ALIVE: Duration = Duration::from_secs(15);
const MISSED: u32 = 3;
/// The most bytes of an answer.
const LONGEST: usize = 64 << 20;
const STREAM: &str = "text/event-stream";

/// A server at a URL.
pub struct Http {
    /// Without a slash at the end.
    url: String,
    authorization: Option<HeaderValue>,
    /// The clock of this machine.
    clock: Arc<dyn Clock>,
    ahead: Ahead,
    client: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Http {
    /// A server at a URL that begins with `http://` or `https://`, and the bearer token in the header of each request. For `https`, the
    /// certificate authorities of the system are read.
    ///
    /// # Errors
    /// The URL or the token cannot be used, or the system has no certificate authorities.
    pub fn new(url: &str, token: Option<String>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        if url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:")) {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                let why = "the system has no certificate authorities; install its ca-certificates".to_owned();
                return Err(Error::Tls { why });
            }
        }
        Self::trusting(roots, url, token.as_deref())
    }

    /// Trusts these certificate authorities.
    pub(super) fn trusting(roots: RootCertStore, url: &str, token: Option<&str>) -> Result<Self, Error> {
        let url = base(url)?;
        let authorization = token.map(|token| {
            let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| Error::Token)?;
            value.set_sensitive(true);
            Ok(value)
        });
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|error| Error::Tls { why: error.to_string() })?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_keepalive(Some(ALIVE));
        tcp.set_keepalive_interval(Some(ALIVE));
        tcp.set_keepalive_retries(Some(MISSED));
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().wrap_connector(tcp);
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        let (clock, ahead) = (Arc::new(SystemClock), Ahead::default());
        Ok(Self { url, authorization: authorization.transpose()?, clock, ahead, client })
    }

    /// Takes another clock for that of this machine, for tests.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Sends a request; returns the head of its answer.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, Unreachable> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url)).header(ACCEPT, accept);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body)).map_err(|error| Unreachable::Unsent(error.to_string()))?;
        self.client.request(request).await.map_err(|error| match error.is_connect() {
            true => Unreachable::Unsent(cause(&error)),
            false => Unreachable::Lost(cause(&error)),
        })
    }
}

#[async_trait]
impl Transport for Http {
    fn server(&self) -> &str {
        &self.url
    }

    fn ahead_ms(&self) -> i64 {
        self.ahead.ms()
    }

    async fn send(&self, request: Bytes) -> Result<(u16, Bytes), Unreachable> {
        let exchange = async {
            let asked_ms = self.clock.now_ms();
            let answer = self.ask(Method::POST, "/", "application/json", request).await?;
            if let Some(date_ms) = date(&answer) {
                self.ahead.note(asked_ms, self.clock.now_ms(), date_ms);
            }
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, LONGEST).collect().await;
            let body = body.map_err(|error| match error.is::<LengthLimitError>() {
                true => Unreachable::TooLong { limit: LONGEST },
                false => Unreachable::Lost(cause(&*error)),
            })?;
            Ok((head.status.as_u16(), body.to_bytes()))
        };
        timeout(REQUEST, exchange).await.unwrap_or_else(|_| Err(late()))
    }

    async fn receive(
        &self,
        group: &str,
        id: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, Unreachable>>, Unreachable> {
        let path = format!("/poll/{}/{}", encoded(group), encoded(id));
        let opened = timeout(REQUEST, self.ask(Method::GET, &path, STREAM, Bytes::new())).await;
        let answer = opened.unwrap_or_else(|_| Err(late()))?;
        let kind = answer.headers().get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
        let is_stream = kind.get(..STREAM.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(STREAM.as_bytes()));
        match answer.status().as_u16() {
            200 if is_stream => Ok(messages(answer.into_body())),
            200 => Err(Unreachable::Lost("the server answers, but with no stream of messages".to_owned())),
            status => Err(Unreachable::Lost(format!("the server answers with status {status} in place of messages"))),
        }
    }
}

/// When an answer was written, in milliseconds since the Unix epoch, if it says so.
fn date(answer: &Response<Incoming>) -> Option<u64> {
    let date = httpdate::parse_http_date(answer.headers().get(DATE)?.to_str().ok()?).ok()?;
    u64::try_from(date.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// The messages in a body.
fn messages(body: Incoming) -> BoxStream<'static, Result<Bytes, Unreachable>> {
    stream::unfold(Some((body, Events::default())), |reading| async {
        let (mut body, mut events) = reading?;
        loop {
            if let Some(message) = events.next() {
                return Some((Ok(message), Some((body, events))));
            }
            let taken = match body.frame().await? {
                // Trailers are ignored.
                Ok(frame) => frame.into_data().map_or(Ok(()), |data| events.take(&data)),
                Err(error) => Err(Unreachable::Lost(cause(&error))),
            };
            if let Err(error) = taken {
                return Some((Err(error), None));
            }
        }
    })
    .boxed()
}

/// Checks a URL, and removes the slash at its end.
fn base(url: &str) -> Result<String, Error> {
    let wrong = |why: String| Err(Error::Url { why });
    if url.contains('@') {
        return wrong("has a user name or a password; use a token".to_owned());
    }
    let Ok(parsed) = url.parse::<Uri>() else { return wrong(format!("cannot be read: {url:?}")) };
    if !matches!(parsed.scheme_str(), Some("http" | "https")) {
        return wrong(format!("begins with http:// or https://, not as {url:?}"));
    }
    if parsed.query().is_some() || url.contains('#') {
        return wrong(format!("has no query: {url:?}"));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// A part of a path, in which everything that might mean something is escaped.
fn encoded(part: &str) -> String {
    let mut path = String::new();
    for byte in part.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => path.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(path, "%{byte:02X}")),
        }
    }
    path
}

/// The innermost cause of an error: the others only repeat that there is one.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn late() -> Unreachable {
    Unreachable::Lost("it has not answered in time".to_owned())
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("url", &self.url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_checked() {
        for (url, server) in [
            ("http://a.b", "http://a.b"),
            ("https://a.b:8001/", "https://a.b:8001"),
            ("http://[::1]:8001/below/this//", "http://[::1]:8001/below/this"),
        ] {
            assert_eq!(Http::trusting(RootCertStore::empty(), url, None).unwrap().server(), server);
        }
        for url in ["", "a.b", "a.b:8001", "ftp://a.b", "http://", "http://a.b?x", "http://a.b/#x", "http://a b", "/x"]
        {
            assert!(matches!(Http::new(url, None), Err(Error::Url { .. })), "{url}");
        }
        let error = Http::new("http://name:hush@a.b", None).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hush"));
    }

    #[test]
    fn the_token_is_not_shown() {
        let http = Http::new("http://a.b", Some("a-token".to_owned())).unwrap();
        assert!(!format!("{http:?} {:?}", http.authorization).contains("a-token"));
    }

    #[test]
    fn the_parts_of_a_path_are_escaped() {
        assert_eq!(encoded("a-Z_0/../é %"), "a-Z_0%2F%2E%2E%2F%C3%A9%20%25");
    }
}
