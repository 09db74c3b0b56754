//! `everstep:host/http`: `effect` is the client, one request over all its redirects; `pool` keeps its connections and `flood` guards those
//! of HTTP/2, `body` reads and decodes responses, `headers` defines which headers and methods a guest may use; none of them knows WIT,
//! decisions or the journal. `fetch` is a guest's request as a durable effect, `stored` a response in the journal; the adapter is here, and `wasi` is
//! that of `wasi:http`.

mod body;
mod effect;
mod fetch;
mod flood;
pub(crate) mod headers;
mod pool;
mod stored;
mod wasi;

pub use effect::{Bounds, Client, Hops, Request, Response, is_idempotent};
pub use headers::{check as check_headers, check_method};
pub use hyper::body::Bytes;

use crate::bindings::everstep::host::{http, types};
use crate::bridge::{About, Arg, Fault, NewPromise, Step};
use crate::engine::wasi::http::Timeouts;
use crate::grants::Opened;
use crate::guest_error::{ErrorCode, GuestError};
use crate::network;
use crate::policy::url::Target;
use crate::policy::{self, Policy};
use crate::turns::Ctx;
use fetch::{Fetch, KIND};
use std::sync::Arc;
use stored::Stored;

/// Opens the HTTP client of a policy that reaches the network: connections are not shared with other policies.
pub(crate) fn open(
    policy: &Policy,
    _: Option<&Policy>,
    options: &network::Options,
    opened: &mut Opened,
) -> Result<(), policy::Error> {
    if policy.reaches_the_network() {
        opened.insert(Client::new(options, policy.network.clone()));
    }
    Ok(())
}

/// A request as a guest asks for it.
struct Asked {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Bytes,
    timeout_ms: Option<u64>,
    /// The timeouts of a guest that follows redirects itself.
    own: Option<Timeouts>,
}

impl Ctx {
    /// Starts a request, as a step.
    fn request(&mut self, asked: Asked) -> Result<u64, Fault> {
        let Asked { method, url, headers, body, timeout_ms, own } = asked;
        let target = Target::parse(&url);
        let canonical = target.as_ref().map_or(url.as_str(), Target::as_str);
        let listed = listed(&headers);
        let timeout = timeout_ms.map(|ms| format!("{ms} ms")).unwrap_or_default();
        let timeouts = own.map(|own| own.to_string()).unwrap_or_default();
        let mut args = vec![
            Arg::deciding("method", method.as_bytes()),
            Arg::deciding("url", canonical.as_bytes()),
            Arg::of("headers", listed.as_bytes()),
            Arg::of("body", &body),
            Arg::of("timeout", timeout.as_bytes()),
        ];
        if own.is_some() {
            args.extend([Arg::of("redirects", b"returned"), Arg::of("timeouts", timeouts.as_bytes())]);
        }
        let subject = format!("{method} {canonical}");
        let told = match own {
            Some(own) if own == Timeouts::default() => "redirects returned, no timeouts".to_owned(),
            Some(own) => format!("redirects returned, timeouts: {own}"),
            None => "redirects followed".to_owned(),
        };
        let step = |grant| Step { told: &told, ..Step::new(KIND, &subject, &args, grant) };
        let checked = check_method(&method).and_then(|()| check_headers(&headers));
        let target = match checked.and_then(|()| target.as_ref().map_err(|fault| invalid(&method, &url, fault))) {
            Ok(target) => target,
            Err(error) => return self.bridge.internal(&step(policy::Call::Ungranted), |_| Err(error)),
        };
        let grant = policy::Call::Fetch(policy::FetchCall { method: &method, url: target, bytes: body.len() as u64 });
        let request =
            Request { method: method.clone(), url: target.clone(), headers, body: body.clone(), secret: None };
        let fetch = Fetch::new(Arc::clone(&self.bridge.facts.grants), request, own);
        let about = About::Effect(Arc::new(fetch));
        self.bridge.promise(&step(grant), NewPromise { timeout_ms, about })
    }
}

impl http::Host for Ctx {
    fn fetch(&mut self, request: http::Request) -> Result<u64, Fault> {
        let http::Request { method, url, headers, body, timeout_ms } = request;
        let body = body.unwrap_or_default().into();
        self.request(Asked { method, url, headers, body, timeout_ms, own: None })
    }

    fn fetch_once(&mut self, request: http::Request, silence_ms: Option<u64>) -> Result<u64, Fault> {
        let http::Request { method, url, headers, body, timeout_ms } = request;
        let body = body.unwrap_or_default().into();
        let within = silence_ms.map(|ms| ms.saturating_mul(1_000_000));
        let own = Timeouts { connect: within, first_byte: within, between_bytes: within };
        self.request(Asked { method, url, headers, body, timeout_ms, own: Some(own) })
    }

    fn may_reach(&mut self, host: String, port: u16) -> wasmtime::Result<bool> {
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let url = Target::parse(&format!("http://{host}:{port}/"));
        Ok(url.is_ok_and(|url| self.bridge.facts.grants.policy.may_reach(&url)))
    }

    fn response(&mut self, promise: u64) -> wasmtime::Result<Option<Result<http::HttpResponse, types::Error>>> {
        let outcome = self.bridge.promise_of_guest(promise).outcome();
        let read = |json: String| Stored::read(&json).map(Into::into).ok_or_else(|| not_a_response(promise));
        Ok(outcome.map(|outcome| outcome.and_then(read).map_err(Into::into)))
    }
}

/// The headers of a request as text, for the digest and for people.
fn listed(headers: &[(String, String)]) -> String {
    let line = |(name, value): &(String, String)| format!("{}: {value}\n", name.to_ascii_lowercase());
    headers.iter().map(line).collect()
}

fn invalid(method: &str, url: &str, fault: &policy::url::Fault) -> GuestError {
    let call = format!("fetch {} {}", policy::quoted(method), policy::quoted(url));
    GuestError::new(ErrorCode::Invalid, format!("{call} ({fault})"))
}

fn not_a_response(promise: u64) -> GuestError {
    GuestError::new(ErrorCode::Invalid, format!("promise {promise} is no promise of http.fetch"))
}

impl From<Stored> for http::HttpResponse {
    fn from(Stored { status, headers, body, url }: Stored) -> Self {
        Self { status, headers, body, url }
    }
}
