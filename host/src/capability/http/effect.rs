//! The effect: one request with all its redirects, until its response is read.
//!
//! Errors name no address, no secret and no path of the host.

use super::body::{self, Reading};
use super::headers;
use super::pool::{Lease, Pool, Unanswered};
use crate::guest_error::{GuestError, Reason};
use crate::network::{Cause, Dialer, Failure, Options};
use crate::policy::address::Rules;
use crate::policy::url::Target;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode, Uri};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;
use url::Position;

/// An HTTP client for one policy: it only uses connections that the policy's address rules permit.
#[derive(Debug)]
pub struct Client {
    dialer: Dialer,
    pool: Pool,
}

/// A request; method and headers were checked with [`super::check_method`] and [`super::check_headers`].
#[derive(Clone)]
pub struct Request {
    /// In upper case.
    pub method: String,
    /// The target: `http` or `https`.
    pub url: Target,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Bytes,
    /// A header that the host adds, as long as the request stays with the origin of `url`. It replaces one of the guest's.
    pub secret: Option<(String, String)>,
}

/// The limits of one request.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// From now until the whole body is read, including redirects.
    pub timeout: Duration,
    /// For one connection: name, address and TLS.
    pub connect: Duration,
    /// From there to the head of a response, if less than all of it.
    pub first_byte: Option<Duration>,
    /// Between two pieces of its body.
    pub silence: Option<Duration>,
    /// Bytes of the body after decoding.
    pub max_response: u64,
    /// The most redirects that are followed. With 0, a redirect is a response like any other.
    pub redirects: u32,
}

/// Decides on redirects, and on which responses may be returned.
pub trait Hops {
    /// Called before a redirect is followed, with its method and URL; must be quick.
    fn decide(&mut self, method: &str, url: &Target) -> Result<(), GuestError>;

    /// Whether a response from that URL may hold a secret, so that it is only returned if it can be searched.
    fn may_know_a_secret(&self, _url: &Target) -> bool {
        false
    }
}

/// A response, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, decoded.
    pub body: Vec<u8>,
    /// Its URL after redirects; canonical.
    pub url: String,
    /// The address that sent it.
    pub address: Option<SocketAddr>,
    /// How many redirects were followed.
    pub hops: u32,
    /// Bytes of the body before decoding.
    pub received: u64,
}

/// How much of a redirect's body is read so that its connection can be used again, in bytes, and how long that may
/// take.
const SKIPPED: u64 = 64 << 10;
const SKIPPED_WITHIN: Duration = Duration::from_millis(200);

impl Client {
    /// A client without connections.
    pub fn new(options: &Options, rules: Rules) -> Self {
        Self { dialer: Dialer::new(options, rules, &["h2", "http/1.1"]), pool: Pool::default() }
    }

    /// Sends a request, follows its redirects as far as `hops` and `bounds` permit, and reads the response.
    pub async fn send(
        &self,
        request: Request,
        bounds: &Bounds,
        hops: &mut (dyn Hops + Send),
    ) -> Result<Response, Failure> {
        let mut seen = Seen::default();
        let followed = timeout(bounds.timeout, Box::pin(self.follow(request, bounds, hops, &mut seen))).await;
        let followed = followed.unwrap_or(Err(Cause::TimedOut));
        followed.map_err(|cause| Failure { cause, address: seen.address, sent: seen.sent })
    }

    /// Sends a request, and reads only the status of its response; a redirect is a response like any other.
    pub async fn tell(&self, request: Request, bounds: &Bounds) -> Result<u16, Failure> {
        let mut seen = Seen::default();
        let told = timeout(bounds.timeout, Box::pin(self.told(request, bounds, &mut seen))).await;
        let told = told.unwrap_or(Err(Cause::TimedOut));
        told.map_err(|cause| Failure { cause, address: seen.address, sent: seen.sent })
    }

    async fn told(&self, request: Request, bounds: &Bounds, seen: &mut Seen) -> Result<u16, Cause> {
        let hop = Hop::first(request)?;
        let origin = format!("{}://{}", hop.url.scheme(), hop.url.authority());
        let (lease, response) = self.exchange(&hop, &origin, bounds, seen).await?;
        let status = response.status().as_u16();
        if let Ok(true) = timeout(SKIPPED_WITHIN, body::skip(response.into_body(), SKIPPED)).await {
            lease.give_back();
        }
        Ok(status)
    }

    async fn follow(
        &self,
        request: Request,
        bounds: &Bounds,
        hops: &mut (dyn Hops + Send),
        seen: &mut Seen,
    ) -> Result<Response, Cause> {
        let mut hop = Hop::first(request)?;
        let mut followed = 0;
        loop {
            let guarded = hops.may_know_a_secret(&hop.url);
            if guarded && headers::asks_for_a_part(&hop.headers) {
                return Err(Cause::Unsearchable("it asks for a part of a body, in which no secret can be found"));
            }
            let origin = format!("{}://{}", hop.url.scheme(), hop.url.authority());
            let (lease, response) = self.exchange(&hop, &origin, bounds, seen).await?;
            let next = if bounds.redirects == 0 { None } else { hop.next(response.status(), response.headers())? };
            let Some(next) = next else {
                let read = Reading { max: bounds.max_response, guarded, silence: bounds.silence };
                return finish(lease, response, &hop, read, seen, followed).await;
            };
            if followed == bounds.redirects {
                return Err(Cause::Redirects { max: bounds.redirects });
            }
            hops.decide(next.method.as_str(), &next.url).map_err(Cause::Denied)?;
            if let Ok(true) = timeout(SKIPPED_WITHIN, body::skip(response.into_body(), SKIPPED)).await {
                lease.give_back();
            }
            followed += 1;
            hop = next;
        }
    }

    /// Returns the head of the response to one hop. A reused connection that turns out to be closed before anything was
    /// sent over it is replaced.
    async fn exchange<'a>(
        &'a self,
        hop: &Hop,
        origin: &'a str,
        bounds: &Bounds,
        seen: &mut Seen,
    ) -> Result<(Lease<'a>, hyper::Response<Incoming>), Cause> {
        loop {
            let address = &mut seen.address;
            let dial = async || self.dialer.dial(&hop.url, bounds.connect, address).await;
            let permits = |address: SocketAddr| self.dialer.check(address.ip()).is_ok();
            let mut lease = self.pool.lease(origin, permits, dial).await?;
            seen.address = lease.address();
            let request = hop.request(lease.is_http2())?;
            let before = std::mem::replace(&mut seen.sent, true);
            let answer = lease.send(request);
            let answer = match bounds.first_byte {
                Some(within) => timeout(within, answer).await.unwrap_or(Err(Unanswered::Sent(Cause::TimedOut))),
                None => answer.await,
            };
            match answer {
                Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    return Err(Cause::BadResponse("it switches to another protocol".to_owned()));
                }
                Ok(response) => {
                    let framing = headers::check_framing(response.status(), response.headers());
                    framing.map_err(|why| Cause::BadResponse(why.to_owned()))?;
                    return Ok((lease, response));
                }
                Err(Unanswered::Sent(cause)) => return Err(cause),
                Err(Unanswered::NotSent) => seen.sent = before,
            }
            if !lease.is_reused() {
                return Err(Cause::Connect(Reason::Lost, "the server closed the connection at once".to_owned()));
            }
        }
    }
}

/// What is known about a request while it is under way.
#[derive(Default)]
struct Seen {
    address: Option<SocketAddr>,
    sent: bool,
}

/// One request of a chain of redirects.
struct Hop {
    method: Method,
    url: Target,
    headers: HeaderMap,
    secret: Option<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Hop {
    fn first(request: Request) -> Result<Self, Cause> {
        if !matches!(request.url.scheme(), "http" | "https") {
            return Err(Cause::Invalid("only http and https URLs can be fetched".to_owned()));
        }
        let method = Method::from_bytes(request.method.as_bytes());
        let method = method.map_err(|_| Cause::Invalid("it has no method".to_owned()))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            let (name, value) = parsed(name, value)?;
            headers.append(name, value);
        }
        let secret = request.secret.map(|(name, value)| parsed(&name, &value)).transpose()?;
        let secret = secret.map(|(name, mut value)| {
            value.set_sensitive(true);
            headers::remove(&mut headers, &[&headers::folded(name.as_str())]);
            (name, value)
        });
        let mut default = |name, value| headers.entry(name).or_insert(HeaderValue::from_static(value)).is_empty();
        default(header::ACCEPT, "*/*");
        default(header::USER_AGENT, headers::USER_AGENT);
        // A part of an encoded body cannot be decoded.
        if !headers.contains_key(header::RANGE) {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(body::ACCEPTED));
        }
        Ok(Self { method, url: request.url, headers, secret, body: request.body })
    }

    /// The message: HTTP/2 names the whole URL, HTTP/1.1 the path and a `Host`.
    fn request(&self, http2: bool) -> Result<hyper::Request<Full<Bytes>>, Cause> {
        let unusable = || Cause::Invalid("the URL cannot be sent".to_owned());
        let url = self.url.url();
        let target =
            if http2 { &url[..Position::AfterQuery] } else { &url[Position::BeforePath..Position::AfterQuery] };
        let mut request = hyper::Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = target.parse::<Uri>().map_err(|_| unusable())?;
        if !http2 {
            let host =
                HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]).map_err(|_| unusable())?;
            request.headers_mut().insert(header::HOST, host);
        }
        request.headers_mut().extend(self.headers.clone());
        // Where a body is expected, an empty one is declared.
        if self.body.is_empty() && matches!(self.method, Method::POST | Method::PUT | Method::PATCH) {
            request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        if let Some((name, value)) = &self.secret {
            request.headers_mut().insert(name, value.clone());
        }
        Ok(request)
    }

    /// The request that a redirect asks for; `None` if the response is not a redirect.
    fn next(&self, status: StatusCode, response: &HeaderMap) -> Result<Option<Self>, Cause> {
        let Some(location) = response.get(header::LOCATION) else { return Ok(None) };
        let keeps_method = match status {
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method != Method::POST,
            StatusCode::SEE_OTHER => matches!(self.method, Method::GET | Method::HEAD),
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
            _ => return Ok(None),
        };
        let url = std::str::from_utf8(location.as_bytes()).ok().and_then(|location| self.url.join(location).ok());
        let Some(url) = url.filter(|url| matches!(url.scheme(), "http" | "https")) else {
            return Err(Cause::Misled("a redirect leads to a URL that cannot be fetched"));
        };
        if self.url.scheme() == "https" && url.scheme() == "http" {
            return Err(Cause::Misled("a redirect leads from https to http"));
        }
        let mut next = Self {
            method: if keeps_method { self.method.clone() } else { Method::GET },
            headers: self.headers.clone(),
            secret: self.secret.clone(),
            body: if keeps_method { self.body.clone() } else { Bytes::new() },
            url,
        };
        if !keeps_method {
            next.drop_content();
        }
        if !next.url.same_origin(&self.url) {
            next.drop_credentials();
        }
        Ok(Some(next))
    }

    fn drop_content(&mut self) {
        let about_content =
            ["content-type", "content-encoding", "content-language", "content-location", "content-range"];
        headers::remove(&mut self.headers, &about_content);
    }

    /// Removes the credentials for good: a later redirect back to their origin does not restore them.
    fn drop_credentials(&mut self) {
        headers::remove(&mut self.headers, &["authorization", "cookie"]);
        // None of the guest's headers has this name, or one that could be taken for it.
        self.secret = None;
    }
}

fn parsed(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Cause> {
    headers::parse(name, value).ok_or_else(|| Cause::Invalid("a header cannot be sent".to_owned()))
}

async fn finish(
    lease: Lease<'_>,
    response: hyper::Response<Incoming>,
    hop: &Hop,
    reading: Reading,
    seen: &Seen,
    hops: u32,
) -> Result<Response, Cause> {
    let (mut head, body) = response.into_parts();
    if reading.guarded && headers::is_a_part(head.status, &head.headers) {
        return Err(Cause::Unsearchable("the server sends a part of a body, in which no secret can be found"));
    }
    let read = body::read(&mut head.headers, body, reading).await?;
    lease.give_back();
    Ok(Response {
        status: head.status.as_u16(),
        headers: headers::decode(&head.headers),
        body: read.body,
        url: hop.url.as_str().to_owned(),
        address: seen.address,
        hops,
        received: read.received,
    })
}

/// Values of headers and the body are not shown: they may be secret.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        let mut shown = f.debug_struct("Request");
        shown.field("method", &self.method).field("url", &self.url.as_str()).field("headers", &names);
        shown.field("body", &self.body.len()).finish_non_exhaustive()
    }
}

/// Whether sending a request twice has the effect of sending it once (RFC 9110, 9.2.2).
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE")
}
