//! Sends operations, and repeats those whose answer was lost.

use super::answer::Reader;
use super::backoff::Backoff;
use super::error::{Error, Quote};
use super::ids::Ids;
use super::messages::{self, Message};
use super::request::Request;
use super::transport::{Transport, Unreachable};
use crate::wire::{CREATE, LARGEST, Object, VERSION};
use bytes::Bytes;
use everstep_store::operation::{Answer, Dialect, Operation, Reply};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// The first request: cheap, and without an id that a token may not be for.
const HELLO: &str = "schedule.search";
/// The root of the two promises that find the dialect. They are settled from the beginning, and stay.
const PROBE: &str = "everstep-probe";

/// The options of a client.
#[derive(Clone)]
pub struct Options {
    /// The bearer token in the envelope of each request.
    pub token: Option<String>,
    /// The dialect of the server; `None`: it is found when the client connects.
    pub dialect: Option<Dialect>,
    /// For how long a request is repeated from its first failure on, if no answer comes or the server is not available. Zero: never.
    pub patience: Duration,
}

/// A client of a server of the protocol. Clones share its connections.
#[derive(Clone)]
pub struct Client {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) quote: Quote,
    pub(super) ids: Ids,
    patience: Duration,
    requests: Arc<AtomicU64>,
}

/// The answer to an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The reply, or the refusal. The reason of a refusal has ids as the server has them.
    pub answer: Answer,
    /// Whether an earlier attempt may have been applied, because its answer was lost. Then a conflict may be with that attempt.
    pub repeated: bool,
}

/// The answer to a request.
struct Exchanged {
    status: u16,
    data: Json,
    repeated: bool,
}

#[derive(Deserialize)]
struct Envelope {
    kind: String,
    head: Object<Head>,
    #[serde(default)]
    data: Json,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    corr_id: String,
    status: u16,
    version: String,
}

impl Default for Options {
    /// No token, the dialect as it is found, and half a minute of patience.
    fn default() -> Self {
        Self { token: None, dialect: None, patience: Duration::from_secs(30) }
    }
}

impl Client {
    /// Connects: checks with a cheap request that a server of the protocol answers and knows the token, and finds its dialect unless it is
    /// given. A server that resembles all dialects is of dialect A.
    ///
    /// # Errors
    /// No such server answers within the patience, or the token is not valid.
    pub async fn connect(transport: Arc<dyn Transport>, options: Options) -> Result<Self, Error> {
        let Options { token, dialect, patience } = options;
        let ids = Ids { dialect: dialect.unwrap_or_default() };
        let quote = Quote { token: token.map(Arc::from) };
        let mut client = Self { transport, quote, ids, patience, requests: Arc::default() };
        let hello = Request { kind: HELLO, data: json!({ "limit": 1 }) };
        let Exchanged { status, data, .. } = client.exchange(&hello).await?;
        if status != 200 {
            return Err(client.not_resonate(format!("status {status} to {HELLO}: {}", client.quote.reason(&data))));
        }
        if dialect.is_none() {
            client.ids.dialect = client.probe().await?;
        }
        Ok(client)
    }

    /// The dialect of the server.
    pub fn dialect(&self) -> Dialect {
        self.ids.dialect
    }

    /// How far the server's clock is ahead of this machine's, in milliseconds, as far as is known; 0 if both may agree.
    pub fn ahead_ms(&self) -> i64 {
        self.transport.ahead_ms()
    }

    /// The root of the call tree of an id.
    pub fn origin(&self, id: &str) -> String {
        self.ids.origin(id)
    }

    /// Does one operation; a heartbeat may take several requests. A lease in the answer has no end, as the protocol does not say it.
    ///
    /// # Errors
    /// There is no answer; see [`Error`].
    pub async fn operate(&self, operation: &Operation) -> Result<Answered, Error> {
        let mut done = Answered { answer: Ok(Reply::Done), repeated: false };
        for request in Request::of(operation, self.ids)? {
            let Exchanged { status, data, repeated } = self.exchange(&request).await?;
            let reader = Reader { ids: self.ids, quote: &self.quote };
            let answer = reader.answer(operation, status, data);
            let answer = answer.map_err(|why| Error::Unreadable { server: self.server(), kind: request.kind, why })?;
            done.repeated |= repeated;
            // Of several requests, the first refusal counts.
            if done.answer.is_ok() {
                done.answer = answer;
            }
        }
        Ok(done)
    }

    /// Receives the messages for a worker, again after each loss of the connection, until the receiver is dropped.
    ///
    /// # Panics
    /// There is no Tokio runtime.
    pub fn messages(&self, group: String, id: String) -> mpsc::Receiver<Message> {
        messages::receive(self.clone(), group, id)
    }

    /// Finds the dialect by the separator that the server accepts.
    async fn probe(&self) -> Result<Dialect, Error> {
        let (mut taken, mut reasons) = ([false; 2], Vec::new());
        for (taken, separator) in taken.iter_mut().zip(['.', ':']) {
            let id = format!("{PROBE}{separator}a");
            let tags = json!({ "resonate:origin": PROBE });
            let data = json!({ "id": id, "timeoutAt": 1, "param": {}, "tags": tags });
            let found = self.exchange(&Request { kind: CREATE, data }).await;
            let Exchanged { status, data, .. } = found.map_err(|error| match error {
                Error::Forbidden { server, why } => Error::Dialect { server, why },
                other => other,
            })?;
            *taken = status == 200;
            if status != 200 {
                reasons.push(self.quote.reason(&data));
            }
        }
        match taken {
            [true, true] => Ok(Dialect::A),
            [true, false] => Ok(Dialect::B),
            [false, true] => Ok(Dialect::C),
            [false, false] => Err(Error::Dialect { server: self.server(), why: reasons.join("; ") }),
        }
    }

    /// Sends a request until it is answered.
    async fn exchange(&self, request: &Request) -> Result<Exchanged, Error> {
        let corr_id = self.requests.fetch_add(1, Ordering::Relaxed).to_string();
        let body = self.envelope(request, &corr_id)?;
        let (mut backoff, mut repeated) = (Backoff::default(), false);
        let mut patience = None;
        loop {
            let error = match self.attempt(request.kind, &corr_id, &body).await {
                Ok((status, data)) => return Ok(Exchanged { status, data, repeated }),
                Err(error) if !error.is_passing() || self.patience.is_zero() => return Err(error),
                Err(error) => error,
            };
            repeated |= error.may_be_applied();
            let over = patience.get_or_insert_with(|| Box::pin(sleep(self.patience)));
            tokio::select! {
                biased;
                () = over => return Err(error),
                () = sleep(backoff.pause()) => {}
            }
        }
    }

    fn envelope(&self, Request { kind, data }: &Request, corr_id: &str) -> Result<Bytes, Error> {
        let mut head = json!({ "corrId": corr_id, "version": VERSION });
        if let Some(token) = &self.quote.token {
            head["auth"] = Json::from(&**token);
        }
        let body = json!({ "kind": kind, "head": head, "data": data }).to_string();
        match body.len() {
            size if size > LARGEST => Err(Error::TooLarge { kind, size, limit: LARGEST }),
            _ => Ok(body.into()),
        }
    }

    /// Sends a request once; returns the status and the data of its answer.
    async fn attempt(&self, kind: &'static str, corr_id: &str, body: &Bytes) -> Result<(u16, Json), Error> {
        let sent = self.transport.send(body.clone()).await;
        let (status, answer) = sent.map_err(|source| self.unreachable(source))?;
        let envelope = serde_json::from_slice(&answer).ok().map(|Object(envelope)| envelope);
        let why = || match &envelope {
            Some(Envelope { data, .. }) => self.quote.reason(data),
            None => "it does not say why".to_owned(),
        };
        let server = self.server();
        match status {
            200 | 300 | 400 | 404 | 409 | 422 => match envelope {
                Some(envelope) => self.check(envelope, kind, corr_id, status),
                None => Err(self.not_resonate(format!("status {status}, and no envelope of the protocol"))),
            },
            401 => Err(Error::Unauthorized { server, why: why() }),
            403 => Err(Error::Forbidden { server, why: why() }),
            410 => Err(Error::Old { server }),
            413 => Err(Error::TooLarge { kind, size: body.len(), limit: LARGEST }),
            408 | 429 | 500..600 => Err(Error::Unavailable { server, status, why: why() }),
            _ => Err(self.not_resonate(format!("status {status}"))),
        }
    }

    /// Checks that an envelope belongs to the request.
    fn check(&self, envelope: Envelope, kind: &str, corr_id: &str, status: u16) -> Result<(u16, Json), Error> {
        let Envelope { kind: of, head: Object(head), data } = envelope;
        if head.version != VERSION {
            return Err(Error::Version { server: self.server(), found: self.quote.quote(&head.version) });
        }
        let (expected, found) = (status.to_string(), head.status.to_string());
        let fields = [("kind", kind, &*of), ("corrId", corr_id, &*head.corr_id), ("status", &*expected, &*found)];
        match fields.into_iter().find(|(_, expected, found)| expected != found) {
            Some((field, expected, found)) => Err(Error::Mismatch {
                server: self.server(),
                field,
                expected: expected.to_owned(),
                found: self.quote.quote(found),
            }),
            None => Ok((status, data)),
        }
    }

    fn server(&self) -> String {
        self.transport.server().to_owned()
    }

    fn unreachable(&self, source: Unreachable) -> Error {
        Error::Unreachable { server: self.server(), source }
    }

    fn not_resonate(&self, why: String) -> Error {
        Error::NotResonate { server: self.server(), why }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { token, dialect, patience } = self;
        let token = token.as_ref().map(|_| "[token]");
        f.debug_struct("Options").field("token", &token).field("dialect", dialect).field("patience", patience).finish()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = self.transport.server();
        f.debug_struct("Client").field("server", &server).field("dialect", &self.dialect()).finish_non_exhaustive()
    }
}
