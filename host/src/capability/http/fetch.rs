//! One request of a guest as a durable effect: the limits and the secret of its rule, decisions on redirects, and audit lines.

use super::effect::{Bounds, Client, Hops, Request, Response, is_idempotent};
use super::headers::{add_trace, folded};
use super::stored::Stored;
use crate::blocking::blocking;
use crate::bridge::{Effect, Lost, Performed, Performing};
use crate::clock;
use crate::engine::wasi::http::Timeouts;
use crate::grants::Grants;
use crate::guest_error::{ErrorCode, GuestError};
use crate::network::Failure;
use crate::policy::url::Target;
use crate::policy::{self, FetchTerms, OnCrash, Verdict, audit};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// See the module.
pub(super) struct Fetch {
    grants: Arc<Grants>,
    request: Request,
    own: Option<Timeouts>,
}

/// The kind of its step.
pub(super) const KIND: &str = "http.fetch";

/// How long making a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// The header by which a server recognises a repeated request.
const KEY: &str = "idempotency-key";

impl Fetch {
    /// A request; `own` are the timeouts of a guest that follows redirects itself.
    pub(super) fn new(grants: Arc<Grants>, request: Request, own: Option<Timeouts>) -> Self {
        Self { grants, request, own }
    }

    fn call(&self) -> policy::Call<'_> {
        let Request { method, url, body, .. } = &self.request;
        policy::Call::Fetch(policy::FetchCall { method, url, bytes: body.len() as u64 })
    }

    /// The call in words, without anything that could be secret.
    fn subject(&self) -> String {
        format!("fetch {} {}", self.request.method, self.request.url.authority())
    }

    /// The request as it is sent for a promise.
    fn prepared(&self, run: &Performing) -> Request {
        let mut request = self.request.clone();
        let has_key = request.headers.iter().any(|(name, _)| folded(name) == KEY);
        if !is_idempotent(&request.method) && !has_key {
            request.headers.push((KEY.to_owned(), run.id.to_string()));
        }
        add_trace(&mut request.headers, run.trace.as_ref());
        request.secret = self.grants.secrets.of(&run.rule);
        request
    }

    fn bounds(&self, run: &Performing, terms: &FetchTerms) -> Bounds {
        let timeout = terms.timeout.min(run.time_left());
        let max_response = terms.max_response.min(self.grants.policy.limits.bytes_per_call);
        let redirects = if self.own.is_some() { 0 } else { terms.redirects };
        let own = self.own.unwrap_or_default();
        let within = |ns: Option<u64>| ns.map(Duration::from_nanos);
        let (first_byte, silence) = (within(own.first_byte), within(own.between_bytes));
        let connect = CONNECT.min(timeout).min(within(own.connect).unwrap_or(CONNECT));
        Bounds { timeout, connect, first_byte, silence, max_response, redirects }
    }
}

impl Effect for Fetch {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn perform(&self, run: &Performing) -> Pin<Box<dyn Future<Output = Performed> + Send>> {
        let (grants, run) = (Arc::clone(&self.grants), run.clone());
        let (request, subject) = (self.prepared(&run), self.subject());
        let terms = grants.policy.fetch_terms(&run.rule).cloned();
        let terms = terms.ok_or_else(|| GuestError::new(ErrorCode::Denied, format!("{subject} (no rule grants it)")));
        let bounds = terms.and_then(|terms| match grants.secrets.withheld().contains(&run.rule) {
            false => Ok(self.bounds(&run, &terms)),
            true => {
                let why = "the ceiling of this host did not lend its secret when its policy was opened";
                Err(GuestError::new(ErrorCode::Denied, format!("{subject} ({why})")))
            }
        });
        Box::pin(async move {
            let (bounds, client) = match bounds.and_then(|bounds| Ok((bounds, grants.opened::<Client>("network")?))) {
                Ok(ready) => ready,
                Err(error) => return Performed::Done(Err(error)),
            };
            let (again, started) = (is_idempotent(&request.method), clock::instant());
            let mut hops = Redirects { grants: &grants, run: &run };
            let sent = client.send(request, &bounds, &mut hops).await;
            let (address, bytes, result) = match &sent {
                Ok(response) => (response.address, response.received, "ok"),
                Err(failure) => (failure.address, 0, failure.name()),
            };
            let duration = started.elapsed();
            run.note_outcome(address, bytes, duration, result);
            match sent {
                // Long bodies take long to search.
                Ok(response) => {
                    let panicked = |_| GuestError::new(ErrorCode::Failed, "the host gave the request up");
                    Performed::Done(blocking(move || stored(&grants, response)).await.map_err(panicked))
                }
                Err(failure) => failed(&grants, failure, again, &subject),
            }
        })
    }

    fn lost(&self, run: &Performing) -> Lost {
        match self.grants.policy.fetch_terms(&run.rule).map(|terms| terms.on_crash) {
            Some(OnCrash::Retry) => Lost::Repeat,
            Some(OnCrash::Fail) | None => {
                let message = format!("{} was sent before a crash and its response was lost", self.subject());
                Lost::Settle(Err(GuestError::new(ErrorCode::InDoubt, message)))
            }
        }
    }

    fn recheck(&self) -> Result<(), GuestError> {
        self.grants.ceiling(&self.call(), true)
    }
}

/// A response without secrets, for the journal.
fn stored(grants: &Grants, response: Response) -> String {
    let secrets = &grants.secrets;
    let Response { status, headers, body, url, .. } = response;
    let clean = |text: String| secrets.scrub(&text).into_owned();
    let headers = headers.into_iter().map(|(name, value)| (clean(name), clean(value))).collect();
    Stored { status, headers, body: secrets.scrub_bytes(body), url: clean(url) }.write()
}

fn failed(grants: &Grants, failure: Failure, again: bool, subject: &str) -> Performed {
    let again = again && failure.is_transient();
    let error = grants.secrets.scrub_error(failure.into_guest(subject));
    if again { Performed::Again(error) } else { Performed::Done(Err(error)) }
}

/// Applies the policy to each redirect, and writes the decision before the redirect is followed.
struct Redirects<'a> {
    grants: &'a Grants,
    run: &'a Performing,
}

impl Hops for Redirects<'_> {
    fn decide(&mut self, method: &str, url: &Target) -> Result<(), GuestError> {
        let call = policy::Call::Fetch(policy::FetchCall { method, url, bytes: 0 });
        let (rule, decided) = match self.grants.policy.decide_hop(method, url) {
            Verdict::Allow { rule } => (rule, self.grants.ceiling(&call, false)),
            Verdict::Deny { rule, error } => (rule, Err(error)),
            Verdict::Ask { rule, .. } => {
                let message = format!("fetch {method} {} (a redirect: nobody can be asked about it)", url.authority());
                (rule, Err(GuestError::new(ErrorCode::Denied, message)))
            }
        };
        let decision = if decided.is_ok() { audit::Decision::Allow } else { audit::Decision::Deny };
        self.run.note_decision(rule, "http.redirect", &format!("{method} {}", url.as_str()), decision)?;
        decided
    }

    fn may_know_a_secret(&self, url: &Target) -> bool {
        self.grants.secrets.may_come_from(&self.grants.policy, url)
    }
}
