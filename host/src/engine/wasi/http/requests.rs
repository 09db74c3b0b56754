//! Requests, from their construction until they are on their way.

use super::bodies::{Body, Draft, OutgoingBody};
use super::fields::{Entries, Fields};
use super::generated::wasi::http::outgoing_handler;
use super::generated::wasi::http::types::{self, Method, Scheme};
use super::responses::{FutureResponse, State};
use super::{ErrorCode, Kept, Virtual, WasiHost};
use bytes::Bytes;
use hyper::http::uri::{Authority, PathAndQuery};
use std::fmt;
use std::sync::Arc;
use wasmtime::component::Resource;

/// A request that the guest makes up.
#[derive(Debug)]
pub struct Request {
    method: Method,
    scheme: Option<Scheme>,
    authority: Option<String>,
    path: Option<String>,
    headers: Arc<Entries>,
    body: Option<Draft>,
    /// The bytes of its texts.
    texts: Option<Kept>,
}

/// A request without its body, for [`Web::fetch`](super::Web::fetch).
#[derive(Debug)]
pub(super) struct Head {
    method: String,
    /// Absolute; nothing has checked it.
    url: String,
    headers: Arc<Entries>,
    timeouts: Timeouts,
}

/// A complete request.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) method: String,
    /// Absolute, as the guest has put it together.
    pub(crate) url: String,
    /// Names as the guest spells them, and values.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Bytes,
    pub(crate) timeouts: Timeouts,
}

/// How long the parts of a request may take, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection is there.
    pub(crate) connect: Option<u64>,
    /// From then on, until the head of the response is there.
    pub(crate) first_byte: Option<u64>,
    /// Between two pieces of its body.
    pub(crate) between_bytes: Option<u64>,
}

impl fmt::Display for Timeouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("connect", self.connect), ("first byte", self.first_byte), ("between bytes", self.between_bytes)];
        let told = parts.into_iter().filter_map(|(part, ns)| Some(format!("{part} {} ns", ns?)));
        f.write_str(&told.collect::<Vec<_>>().join(", "))
    }
}

/// The most bytes of a path with its query, and of the other texts of a request.
const LONGEST_PATH: usize = 8 << 10;
const LONGEST: usize = 512;

impl Head {
    fn of(request: &Request, timeouts: Timeouts) -> Result<Self, ErrorCode> {
        let scheme = match &request.scheme {
            Some(Scheme::Http) => "http",
            Some(Scheme::Https) | None => "https",
            Some(Scheme::Other(_)) => return Err(ErrorCode::HttpRequestUriInvalid),
        };
        let authority = request.authority.as_deref().ok_or(ErrorCode::HttpRequestUriInvalid)?;
        let path = request.path.as_deref().unwrap_or_default();
        let slash = if path.starts_with('/') { "" } else { "/" };
        let (method, headers) = (text(&request.method), Arc::clone(&request.headers));
        Ok(Self { method, url: format!("{scheme}://{authority}{slash}{path}"), headers, timeouts })
    }

    /// The length of the body that a header announces.
    pub(super) fn announced(&self) -> Option<u64> {
        announced(&self.headers)
    }

    pub(super) fn with(self, body: Bytes) -> Outgoing {
        let Self { method, url, headers, timeouts } = self;
        Outgoing { method, url, headers: headers.list.clone(), body, timeouts }
    }
}

/// The length of a body that a header announces; none for one that is no number.
pub(super) fn announced(headers: &Entries) -> Option<u64> {
    std::str::from_utf8(headers.first("content-length")?).ok()?.trim().parse().ok()
}

fn text(method: &Method) -> String {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(name) => name,
    }
    .to_owned()
}

fn is_scheme(text: &str) -> bool {
    let follows = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    text.len() <= LONGEST && text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(follows)
}

fn is_path(text: &str) -> bool {
    text.is_empty()
        || (text.starts_with(['/', '?'])
            && !text.contains('#')
            && text.len() <= LONGEST_PATH
            && text.parse::<PathAndQuery>().is_ok())
}

impl<T: WasiHost> Virtual<'_, T> {
    fn request(&mut self, request: &Resource<Request>) -> wasmtime::Result<&mut Request> {
        Ok(self.0.wasi().table.get_mut(request)?)
    }

    /// Counts the texts of a request anew, after one of them has changed; without room for them it has none.
    fn count_texts(&mut self, request: &Resource<Request>) -> wasmtime::Result<Result<(), ()>> {
        let Request { authority, path, .. } = self.request(request)?;
        let bytes = authority.as_ref().map_or(0, String::len) + path.as_ref().map_or(0, String::len);
        let kept = self.keep(bytes as u64)?;
        let request = self.request(request)?;
        request.texts = kept;
        if request.texts.is_some() {
            return Ok(Ok(()));
        }
        (request.authority, request.path) = (None, None);
        Ok(Err(()))
    }

    /// Sends a complete request.
    pub(super) fn send(&mut self, head: Head, body: Bytes) -> wasmtime::Result<Result<u64, ErrorCode>> {
        self.0.wasi().fruitless_polls = 0;
        let length = body.len() as u64;
        if head.announced().is_some_and(|announced| announced != length) {
            return Ok(Err(ErrorCode::HttpRequestBodySize(Some(length))));
        }
        self.0.fetch(head.with(body))
    }
}

impl<T: WasiHost> types::HostOutgoingRequest for Virtual<'_, T> {
    fn new(&mut self, headers: Resource<Fields>) -> wasmtime::Result<Resource<Request>> {
        let table = &mut self.0.wasi().table;
        let headers = table.delete(headers)?.entries;
        let (scheme, authority, path, body, texts) = (None, None, None, None, None);
        Ok(table.push(Request { method: Method::Get, scheme, authority, path, headers, body, texts })?)
    }

    fn body(&mut self, request: Resource<Request>) -> wasmtime::Result<Result<Resource<OutgoingBody>, ()>> {
        let request = self.request(&request)?;
        if request.body.is_some() {
            return Ok(Err(()));
        }
        let draft = Draft::new(announced(&request.headers));
        request.body = Some(draft.clone());
        Ok(Ok(self.0.wasi().table.push(OutgoingBody::new(draft))?))
    }

    fn method(&mut self, request: Resource<Request>) -> wasmtime::Result<Method> {
        Ok(self.request(&request)?.method.clone())
    }

    fn set_method(&mut self, request: Resource<Request>, method: Method) -> wasmtime::Result<Result<(), ()>> {
        if let Method::Other(name) = &method
            && (name.len() > LONGEST || hyper::Method::from_bytes(name.as_bytes()).is_err())
        {
            return Ok(Err(()));
        }
        self.request(&request)?.method = method;
        Ok(Ok(()))
    }

    fn path_with_query(&mut self, request: Resource<Request>) -> wasmtime::Result<Option<String>> {
        Ok(self.request(&request)?.path.clone())
    }

    fn set_path_with_query(
        &mut self,
        request: Resource<Request>,
        path: Option<String>,
    ) -> wasmtime::Result<Result<(), ()>> {
        if path.as_deref().is_some_and(|path| !is_path(path)) {
            return Ok(Err(()));
        }
        self.request(&request)?.path = path;
        self.count_texts(&request)
    }

    fn scheme(&mut self, request: Resource<Request>) -> wasmtime::Result<Option<Scheme>> {
        Ok(self.request(&request)?.scheme.clone())
    }

    fn set_scheme(&mut self, request: Resource<Request>, scheme: Option<Scheme>) -> wasmtime::Result<Result<(), ()>> {
        if let Some(Scheme::Other(name)) = &scheme
            && !is_scheme(name)
        {
            return Ok(Err(()));
        }
        self.request(&request)?.scheme = scheme;
        Ok(Ok(()))
    }

    fn authority(&mut self, request: Resource<Request>) -> wasmtime::Result<Option<String>> {
        Ok(self.request(&request)?.authority.clone())
    }

    fn set_authority(
        &mut self,
        request: Resource<Request>,
        authority: Option<String>,
    ) -> wasmtime::Result<Result<(), ()>> {
        let is_authority = |text: &str| text.len() <= LONGEST && text.parse::<Authority>().is_ok();
        if authority.as_deref().is_some_and(|authority| !is_authority(authority)) {
            return Ok(Err(()));
        }
        self.request(&request)?.authority = authority;
        self.count_texts(&request)
    }

    fn headers(&mut self, request: Resource<Request>) -> wasmtime::Result<Resource<Fields>> {
        let headers = Fields::shared(&self.request(&request)?.headers);
        Ok(self.0.wasi().table.push_child(headers, &request)?)
    }

    fn drop(&mut self, request: Resource<Request>) -> wasmtime::Result<()> {
        self.0.wasi().table.delete(request)?;
        Ok(())
    }
}

impl<T: WasiHost> Virtual<'_, T> {
    fn timeouts(&mut self, options: &Resource<Timeouts>) -> wasmtime::Result<&mut Timeouts> {
        Ok(self.0.wasi().table.get_mut(options)?)
    }
}

impl<T: WasiHost> types::HostRequestOptions for Virtual<'_, T> {
    fn new(&mut self) -> wasmtime::Result<Resource<Timeouts>> {
        Ok(self.0.wasi().table.push(Timeouts::default())?)
    }

    fn connect_timeout(&mut self, options: Resource<Timeouts>) -> wasmtime::Result<Option<u64>> {
        Ok(self.timeouts(&options)?.connect)
    }

    fn set_connect_timeout(
        &mut self,
        options: Resource<Timeouts>,
        ns: Option<u64>,
    ) -> wasmtime::Result<Result<(), ()>> {
        self.timeouts(&options)?.connect = ns;
        Ok(Ok(()))
    }

    fn first_byte_timeout(&mut self, options: Resource<Timeouts>) -> wasmtime::Result<Option<u64>> {
        Ok(self.timeouts(&options)?.first_byte)
    }

    fn set_first_byte_timeout(
        &mut self,
        options: Resource<Timeouts>,
        ns: Option<u64>,
    ) -> wasmtime::Result<Result<(), ()>> {
        self.timeouts(&options)?.first_byte = ns;
        Ok(Ok(()))
    }

    fn between_bytes_timeout(&mut self, options: Resource<Timeouts>) -> wasmtime::Result<Option<u64>> {
        Ok(self.timeouts(&options)?.between_bytes)
    }

    fn set_between_bytes_timeout(
        &mut self,
        options: Resource<Timeouts>,
        ns: Option<u64>,
    ) -> wasmtime::Result<Result<(), ()>> {
        self.timeouts(&options)?.between_bytes = ns;
        Ok(Ok(()))
    }

    fn drop(&mut self, options: Resource<Timeouts>) -> wasmtime::Result<()> {
        self.0.wasi().table.delete(options)?;
        Ok(())
    }
}

impl<T: WasiHost> outgoing_handler::Host for Virtual<'_, T> {
    fn handle(
        &mut self,
        request: Resource<Request>,
        options: Option<Resource<Timeouts>>,
    ) -> wasmtime::Result<Result<Resource<FutureResponse>, ErrorCode>> {
        let table = &mut self.0.wasi().table;
        let request = table.delete(request)?;
        let timeouts = options.map(|options| table.delete(options)).transpose()?.unwrap_or_default();
        let head = match Head::of(&request, timeouts) {
            Ok(head) => head,
            Err(code) => return Ok(Err(code)),
        };
        // The handle first: a request that was started must not be lost because a handle is not available.
        let future = table.push(FutureResponse::new())?;
        let body = request.body.as_ref().map_or(Body::Complete(Bytes::new()), |draft| draft.hand_over(future.rep()));
        let state = match body {
            Body::Complete(body) => self.send(head, body)?.map(State::Sent),
            Body::Failed(code) => Err(code),
            Body::Open => Ok(State::Waits(head, request.body)),
        };
        let table = &mut self.0.wasi().table;
        match state {
            Ok(state) => {
                table.get_mut(&future)?.state = state;
                Ok(Ok(future))
            }
            Err(code) => {
                table.delete(future)?;
                Ok(Err(code))
            }
        }
    }
}
