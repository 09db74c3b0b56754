//! HTTP: requests to the root, streams of messages, and what operators look at.

use super::Manner;
use super::outbox::{Connection, Outbox};
use super::wire::{Rejection, Request, Response};
use super::writer::{Time, Writer};
use bytes::Bytes;
use everstep::store::Backend;
use everstep::store::operation::Operation;
use everstep::store::record::tag;
use futures::StreamExt;
use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, ORIGIN};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// The largest body of a request, in bytes.
const BODY: usize = 2 << 20;
/// Connections at once, streams among them.
const CONNECTIONS: usize = 4096;
/// How long a client may take for the head of a request, and for its body.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the end waits for requests that have begun.
const GRACE: Duration = Duration::from_secs(5);

/// What a server is started with.
pub(crate) struct Options {
    pub(crate) manner: Manner,
    /// What clients have to show; none: nothing.
    pub(crate) token: Option<String>,
    /// Whether time is what requests say it is.
    pub(crate) debug: bool,
}

/// A server that listens.
pub(crate) struct Server {
    listener: TcpListener,
    desk: Arc<Desk>,
}

/// What every connection needs.
struct Desk {
    options: Options,
    writer: Writer,
    outbox: Arc<Outbox>,
    /// Requests that were answered, by kind and status.
    answered: Mutex<BTreeMap<(String, u16), u64>>,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;
type Answer = hyper::Response<Body>;

impl Server {
    /// Serves a store, which nobody else writes to, on an address.
    ///
    /// # Errors
    /// The store cannot be read, or the address cannot be had.
    pub(crate) async fn start(address: SocketAddr, store: Arc<dyn Backend>, options: Options) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let outbox = Arc::new(Outbox::new(url, &*store)?);
        let time = if options.debug { Time::Named(0) } else { Time::System };
        let writer = Writer::start(store, Arc::clone(&outbox), time)?;
        let desk = Arc::new(Desk { options, writer, outbox, answered: Mutex::default() });
        Ok(Self { listener, desk })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` completes, then answers the requests that have begun.
    ///
    /// # Errors
    /// The store has failed; the message says how.
    pub(crate) async fn run<T>(self, stop: impl Future<Output = T>) -> Result<T, String> {
        let Self { listener, desk } = self;
        let (end, ends) = watch::channel(false);
        let (places, mut open) = (Arc::new(Semaphore::new(CONNECTIONS)), JoinSet::new());
        tokio::pin!(stop);
        let told = {
            let (writer, outbox) = (desk.writer.clone(), Arc::clone(&desk.outbox));
            tokio::spawn(async move { outbox.work(&writer).await })
        };
        let stopped = loop {
            let accepted = async {
                // The semaphore is never closed.
                let place = Arc::clone(&places).acquire_owned().await;
                (place, listener.accept().await)
            };
            tokio::select! {
                stopped = &mut stop => break Ok(stopped),
                failure = desk.writer.failure() => break Err(failure),
                Some(_) = open.join_next() => {}
                (place, accepted) = accepted => match accepted {
                    Ok((stream, _)) => {
                        // Answers are short, and wait for nothing.
                        let _ = stream.set_nodelay(true);
                        let (desk, ends) = (Arc::clone(&desk), ends.clone());
                        open.spawn(async move {
                            connection(TokioIo::new(stream), desk, ends).await;
                            drop(place);
                        });
                    }
                    Err(error) => {
                        // Out of file handles, say: clients that go away give some back.
                        tracing::warn!(%error, "cannot accept a client");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        };
        drop(listener);
        desk.outbox.close();
        end.send_replace(true);
        let drained = async { while open.join_next().await.is_some() {} };
        // A client that does not read its answer does not keep the server.
        let _ = tokio::time::timeout(GRACE, drained).await;
        told.abort();
        stopped
    }
}

async fn connection(io: TokioIo<tokio::net::TcpStream>, desk: Arc<Desk>, mut ends: watch::Receiver<bool>) {
    let service = service_fn(move |request| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(desk.answer(request).await) }
    });
    let mut builder = http1::Builder::new();
    let connection = builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE).serve_connection(io, service);
    tokio::pin!(connection);
    let ending = async move { ends.wait_for(|ends| *ends).await.is_ok() };
    let done = tokio::select! {
        done = connection.as_mut() => Some(done),
        _ = ending => None,
    };
    let done = match done {
        Some(done) => done,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = done {
        tracing::debug!(%error, "a client went away");
    }
}

impl Desk {
    async fn answer(self: Arc<Self>, request: hyper::Request<Incoming>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        match (&method, &*segments) {
            (&Method::POST, [""]) => self.operate(request).await,
            (&Method::GET, ["poll", group, id]) if !group.is_empty() && !id.is_empty() => {
                if !self.admits(bearer(&request)) {
                    return plain(StatusCode::UNAUTHORIZED, "a bearer token is needed\n");
                }
                match self.outbox.connect(group, id) {
                    Some(connection) => events(connection),
                    None => plain(StatusCode::SERVICE_UNAVAILABLE, "there are too many streams\n"),
                }
            }
            (&Method::GET, ["health"]) => plain(StatusCode::OK, ""),
            (&Method::GET, ["ready"]) if self.writer.works() => plain(StatusCode::OK, ""),
            (&Method::GET, ["ready"]) => plain(StatusCode::SERVICE_UNAVAILABLE, "the store has failed\n"),
            (&Method::GET, ["metrics"]) => plain(StatusCode::OK, self.metrics()),
            (_, ["promises" | "tasks" | "schedules", ..]) => {
                let body = r#"{"error":"this is the protocol 2026-04-01: POST / with an envelope"}"#;
                json(StatusCode::GONE, body)
            }
            (_, [""]) => {
                let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "POST an envelope\n");
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
                answer
            }
            _ => plain(StatusCode::NOT_FOUND, "there is nothing here; POST / takes an envelope\n"),
        }
    }

    async fn operate(&self, request: hyper::Request<Incoming>) -> Answer {
        // A page in a browser reaches this machine, too, and always says whose it is.
        if request.headers().contains_key(ORIGIN) {
            return plain(StatusCode::FORBIDDEN, "pages do not ask here\n");
        }
        let shown = bearer(&request);
        let body = Limited::new(request.into_body(), BODY).collect();
        let body = match tokio::time::timeout(PATIENCE, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return plain(StatusCode::PAYLOAD_TOO_LARGE, format!("a request has at most {BODY} bytes\n"));
            }
            Ok(Err(_)) => return plain(StatusCode::BAD_REQUEST, "the body is not whole\n"),
            Err(_) => return plain(StatusCode::REQUEST_TIMEOUT, "the body did not come\n"),
        };
        let request = Request::read(&body, self.options.debug);
        let response = self.respond(shown, request).await;
        json(StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), response.body)
    }

    async fn respond(&self, shown: Option<String>, request: Request) -> Response {
        let Request { envelope, auth, named_ms, operation } = request;
        let known = operation.is_ok();
        let response = if !self.admits(auth.or(shown)) {
            envelope.reject(&Rejection { status: 401, reason: "a bearer token is needed".to_owned() })
        } else {
            match operation.and_then(reachable) {
                Err(rejection) => envelope.reject(&rejection),
                Ok(operation) => match self.writer.operate(operation, named_ms).await {
                    Some(answer) => envelope.answer(answer, self.options.manner == Manner::Permissive),
                    None => envelope.reject(&Rejection { status: 500, reason: "the store has failed".to_owned() }),
                },
            }
        };
        // What a client calls its requests is no name of a series.
        let kind = if known { envelope.kind() } else { "unknown" };
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        *answered.entry((kind.to_owned(), response.status)).or_default() += 1;
        response
    }

    /// Whether somebody may ask. The time that it takes says nothing of the token.
    fn admits(&self, shown: Option<String>) -> bool {
        let Some(token) = &self.options.token else { return true };
        shown.is_some_and(|shown| blake3::hash(shown.as_bytes()) == blake3::hash(token.as_bytes()))
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        let mut say = |name: &str, kind: &str, help: &str, lines: Vec<(String, u64)>| {
            // A String takes everything.
            let _ = writeln!(text, "# HELP everstep_{name} {help}\n# TYPE everstep_{name} {kind}");
            for (labels, value) in lines {
                let _ = writeln!(text, "everstep_{name}{labels} {value}");
            }
        };
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let label = |(kind, status): &(String, u16)| format!("{{kind=\"{kind}\",status=\"{status}\"}}");
        let answered = answered.iter().map(|(of, count)| (label(of), *count)).collect();
        let one = |count: u64| vec![(String::new(), count)];
        let load = |count: &std::sync::atomic::AtomicU64| count.load(std::sync::atomic::Ordering::Relaxed);
        say("requests_total", "counter", "Requests that were answered.", answered);
        say("streams", "gauge", "Workers that are connected.", one(self.outbox.streams() as u64));
        say("offers", "gauge", "Tasks that may be acquired.", one(self.outbox.offers() as u64));
        say(
            "messages_delivered_total",
            "counter",
            "Messages that a worker was given.",
            one(load(&self.outbox.delivered)),
        );
        say(
            "messages_dropped_total",
            "counter",
            "Messages that nobody was there for.",
            one(load(&self.outbox.dropped)),
        );
        text
    }
}

/// Refuses addresses that this server does not send to.
fn reachable(operation: Operation) -> Result<Operation, Rejection> {
    use everstep::store::operation::FenceAction;
    let address = match &operation {
        Operation::PromiseCreate(new)
        | Operation::TaskCreate { promise: new, .. }
        | Operation::TaskFence { action: FenceAction::Create(new), .. } => new.tags.get(tag::TARGET),
        Operation::ScheduleCreate(new) => new.promise_tags.get(tag::TARGET),
        Operation::RegisterListener { address, .. } => Some(address),
        _ => None,
    };
    match address.filter(|address| address.starts_with("http://") || address.starts_with("https://")) {
        Some(address) => Err(Rejection {
            status: 400,
            reason: format!(
                "this server sends to workers that poll, such as poll://any@default, and not to {address:?}"
            ),
        }),
        None => Ok(operation),
    }
}

fn bearer(request: &hyper::Request<Incoming>) -> Option<String> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// A stream of server-sent events that lasts as long as its worker.
fn events(connection: Connection) -> Answer {
    let messages = stream::unfold(connection, |mut connection| async move {
        let message = connection.messages.recv().await?;
        Some((message, connection))
    });
    let body = StreamBody::new(messages.map(|message| Ok(Frame::data(message))));
    let mut answer = hyper::Response::new(body.boxed_unsync());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    whole(status, "text/plain; charset=utf-8", text.into())
}

fn json(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    whole(status, "application/json", text.into())
}

fn whole(status: StatusCode, kind: &'static str, bytes: Bytes) -> Answer {
    let mut answer = hyper::Response::new(Full::new(bytes).boxed_unsync());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
