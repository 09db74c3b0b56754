//! Requests over HTTP, to the URLs that the policy grants.

use std::pin::Pin;
use std::task::{self, Poll};
use std::time::Duration;

use futures::future::FusedFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::everstep::host::http;
use crate::timers::millis;
use crate::{Context, Error, Promise};

/// A request to be sent. Made by [`Context::http`].
#[derive(Debug, Clone)]
#[must_use = "a request is sent by `send`"]
pub struct Request {
    request: http::Request,
    error: Option<Error>,
}

/// The response of a server, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case; each byte of a value that is not ASCII is one character.
    pub headers: Vec<(String, String)>,
    /// The body, decoded.
    pub body: Vec<u8>,
    /// The URL that it came from, after redirects.
    pub url: String,
}

/// A pending response. The request is sent as soon as `send` returns.
#[must_use = "the request is sent, but nobody waits for the response unless it is awaited"]
pub struct Pending(Promise<()>);

impl Context {
    /// Sends a GET request.
    pub fn fetch(&self, url: impl Into<String>) -> Pending {
        self.http("GET", url).send()
    }

    /// A request to be filled in and sent; `method` in upper case.
    pub fn http(&self, method: &str, url: impl Into<String>) -> Request {
        let (method, url) = (method.to_owned(), url.into());
        let request = http::Request { method, url, headers: Vec::new(), body: None, timeout_ms: None };
        Request { request, error: None }
    }
}

impl Request {
    /// Adds a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.request.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.request.body = Some(body.into());
        self
    }

    /// Sets the body to a JSON text, and `content-type` with it.
    pub fn json(mut self, value: impl Serialize) -> Self {
        match serde_json::to_vec(&value) {
            Ok(body) => self.header("content-type", "application/json").body(body),
            Err(cause) => {
                self.error = Some(Error::invalid(format!("body of a request: {cause}")));
                self
            }
        }
    }

    /// Fails with `timed-out` without a whole response within `timeout`. The policy's `timeout` is an upper bound.
    pub fn within(mut self, timeout: Duration) -> Self {
        self.request.timeout_ms = Some(millis(timeout));
        self
    }

    /// Sends the request.
    pub fn send(self) -> Pending {
        Pending(match self.error {
            None => Promise::created(http::fetch(&self.request)),
            Some(error) => Promise::refused(error),
        })
    }
}

impl Pending {
    /// The durable id of the promise; an error if the request was refused.
    pub fn id(&self) -> Result<String, Error> {
        self.0.id()
    }

    /// Cancels the request: awaiting it then fails with `canceled`, unless it is over.
    pub fn cancel(&self) -> Result<(), Error> {
        self.0.cancel()
    }
}

impl Future for Pending {
    type Output = Result<Response, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Self::Output> {
        self.0.poll_with(context, |promise| match http::response(promise) {
            Some(Ok(response)) => Ok(response.into()),
            Some(Err(error)) => Err(error.into()),
            None => Err(Error::failed("a response was delivered without an outcome")),
        })
    }
}

impl FusedFuture for Pending {
    fn is_terminated(&self) -> bool {
        self.0.is_terminated()
    }
}

impl Response {
    /// Whether the status is one of 200 to 299.
    pub fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.headers.iter().find(named).map(|(_, value)| value.as_str())
    }

    /// The body as text; `invalid` when it is not UTF-8.
    pub fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(&self.body).map_err(|cause| Error::invalid(format!("{} is not UTF-8: {cause}", self.url)))
    }

    /// The body read as JSON; `invalid` if it is not JSON, or not a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|cause| Error::invalid(format!("body of {}: {cause}", self.url)))
    }
}

impl From<http::HttpResponse> for Response {
    fn from(http::HttpResponse { status, headers, body, url }: http::HttpResponse) -> Self {
        Self { status, headers, body, url }
    }
}
