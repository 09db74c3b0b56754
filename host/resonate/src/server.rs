//! HTTP: requests to the root, streams of messages, and metrics for operators.

use super::Manner;
use super::auth::{Caller, Keys};
use super::outbox::{Connection, Outbox};
use super::push::{Carrier, Pushes};
use super::recorder::{Exchange, Recorder};
use super::socket::Socket;
use super::wire::{LARGEST as BODY, Rejection, Request, Response};
use super::writer::{Observer, Time, Witness, Writer};
use bytes::Bytes;
use everstep_store::clock::Clock;
use everstep_store::metrics::{MEDIA_TYPE, Page};
use everstep_store::operation::{FenceAction, Operation, Reply};
use everstep_store::peers::{Ear, Heard};
use everstep_store::record::tag;
use everstep_store::{Applied, Backend};
use futures::StreamExt;
use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, DATE, HeaderValue, ORIGIN};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinSet, spawn_blocking};

/// The most bytes of all bodies at once, not counting the part of each that is always accepted.
const BODIES: usize = 128 << 20;
/// The part of a body that is always accepted, in bytes.
const SMALL: usize = 16 << 10;
/// The most bytes of the head of a request.
const HEAD: usize = 64 << 10;
/// The most connections at once, including streams.
const CONNECTIONS: usize = 4096;
/// File handles reserved for anything but connections.
const HANDLES: usize = 64;
/// The most messages under way to URLs at once.
const PUSHES: usize = 1024;
/// The divisor of the file handles that gives the share of messages to URLs, each of which is a connection.
const PUSHES_PART: usize = 4;
/// How long a client may take for the head of a request, for its body, and before it reads on in an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the shutdown waits for requests that have begun.
const GRACE: Duration = Duration::from_secs(5);

/// The options of a server.
pub struct Options {
    /// The server that it resembles.
    pub manner: Manner,
    /// The token that clients may present.
    pub token: Option<String>,
    /// The key that clients' tokens are checked with. Without either, clients need no token.
    pub keys: Option<Keys>,
    /// Sends messages to URLs; `None`: they get none.
    pub carrier: Option<Arc<dyn Carrier>>,
    /// The time of promises, tasks and schedules. Messages are repeated by the machine's clock.
    pub clock: Arc<dyn Clock>,
    /// Whether requests set the time, and not the clock.
    pub debug: bool,
    /// The record of the traffic, if there is one.
    pub recorder: Option<Recorder>,
}

/// A listening server.
pub struct Server {
    listener: TcpListener,
    desk: Arc<Desk>,
    /// The most connections at once.
    connections: usize,
}

/// The state that connections share.
struct Desk {
    options: Options,
    writer: Writer,
    outbox: Arc<Outbox>,
    /// Room for large bodies, in bytes.
    room: Arc<Semaphore>,
    /// The number of answered requests, by kind and status.
    answered: Mutex<BTreeMap<(String, u16), u64>>,
    /// Receives events of other hosts for as long as this lives.
    others: Arc<Others>,
}

/// Passes on events of other hosts of the store.
struct Others {
    store: Arc<dyn Backend>,
    outbox: Arc<Outbox>,
    writer: Writer,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;
type Answer = hyper::Response<Body>;

impl Ear for Others {
    fn heard(&self, heard: Heard) {
        match heard.event(&*self.store) {
            Ok(event) => {
                let events: Vec<_> = event.into_iter().collect();
                self.outbox.observe(None, &Applied { answer: Ok(Reply::Done), events });
            }
            Err(error) => tracing::error!(%error, "what another host did cannot be read"),
        }
    }

    fn gone(&self, _name: &str) {
        self.writer.look();
    }
}

impl Server {
    /// Serves a store on an address, beside its other hosts.
    ///
    /// # Errors
    /// The store cannot be read, another host cannot be reached, or the address is not available.
    pub async fn start(address: SocketAddr, store: Arc<dyn Backend>, options: Options) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let handles = handles(options.carrier.is_some());
        let pushes = options.carrier.as_ref().map(|carrier| Pushes::new(Arc::clone(carrier), handles.pushes));
        let outbox = Arc::new(Outbox::new(url, Arc::clone(&store), pushes));
        let time = if options.debug { Time::Named(0) } else { Time::Clock };
        let clock = Arc::clone(&options.clock);
        let writer = Writer::start(Arc::clone(&store), Arc::clone(&outbox), time, clock)?;
        let others =
            Arc::new(Others { store: Arc::clone(&store), outbox: Arc::clone(&outbox), writer: writer.clone() });
        if let Some(peers) = store.peers() {
            let ear = Arc::downgrade(&others);
            peers.join(ear)?;
        }
        // Tasks that were offered before it joined the other hosts.
        outbox.look()?;
        let room = Arc::new(Semaphore::new(BODIES));
        let desk = Arc::new(Desk { options, writer, outbox, room, answered: Mutex::default(), others });
        Ok(Self { listener, desk, connections: handles.connections })
    }

    /// The address that it listens on.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` completes, then answers the requests that have begun.
    ///
    /// # Errors
    /// The store has failed; the message says why.
    pub async fn run<T>(self, stop: impl Future<Output = T>) -> Result<T, String> {
        let Self { listener, desk, connections } = self;
        let (end, ends) = watch::channel(false);
        let (places, mut open) = (Arc::new(Semaphore::new(connections)), JoinSet::new());
        tokio::pin!(stop);
        let told = {
            let (writer, outbox) = (desk.writer.clone(), Arc::clone(&desk.outbox));
            tokio::spawn(async move { outbox.work(&writer).await })
        };
        let posted = tokio::spawn(Arc::clone(&desk.outbox).post());
        let rung = {
            let writer = desk.writer.clone();
            tokio::spawn(async move { writer.ring().await })
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
                        // Answers are short and should leave at once.
                        let _ = stream.set_nodelay(true);
                        let (desk, ends) = (Arc::clone(&desk), ends.clone());
                        open.spawn(async move {
                            connection(TokioIo::new(Socket::new(stream, PATIENCE)), desk, ends).await;
                            drop(place);
                        });
                    }
                    Err(error) => {
                        // For example out of file handles: clients that disconnect free some.
                        tracing::warn!(%error, "cannot accept a client");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        };
        drop(listener);
        // Messages that were not accepted by now are sent again when the server restarts.
        told.abort();
        desk.outbox.close();
        end.send_replace(true);
        let drained = async {
            while open.join_next().await.is_some() {}
            desk.outbox.drained().await;
        };
        // A client that does not read its answer does not delay the shutdown, nor does a URL that does not accept its
        // message.
        let _ = tokio::time::timeout(GRACE, drained).await;
        posted.abort();
        rung.abort();
        stopped
    }
}

/// The shares of the file handles.
struct Handles {
    connections: usize,
    pushes: usize,
}

/// Raises the limit of file handles, which may be low, as far as the system permits, and divides them.
fn handles(pushes: bool) -> Handles {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "no more file handles can be had");
    }
    let handles = usize::try_from(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let pushes = if pushes { (handles / PUSHES_PART).clamp(1, PUSHES) } else { 0 };
    Handles { connections: handles.saturating_sub(HANDLES + pushes).clamp(1, CONNECTIONS), pushes }
}

async fn connection(io: TokioIo<Socket>, desk: Arc<Desk>, mut ends: watch::Receiver<bool>) {
    let service = service_fn(move |request| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(desk.answer(request).await) }
    });
    let mut builder = http1::Builder::new();
    let builder = builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(HEAD);
    let connection = builder.serve_connection(io, service);
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

/// The body received so far, in parts that use little more memory than they contain.
#[derive(Default)]
struct Parts(Vec<Vec<u8>>);

impl Parts {
    fn extend(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.0.last_mut().filter(|part| part.len() < SMALL) {
                Some(part) => {
                    let (fits, rest) = bytes.split_at(bytes.len().min(SMALL - part.len()));
                    part.extend_from_slice(fits);
                    bytes = rest;
                }
                None => self.0.push(Vec::new()),
            }
        }
    }
}

impl Desk {
    async fn answer(self: Arc<Self>, request: hyper::Request<Incoming>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        // Pages in a browser can reach this machine, too: their posts name an origin, and the images that they load a site.
        let is_page = [ORIGIN.as_str(), "sec-fetch-site"].iter().any(|name| request.headers().contains_key(*name));
        if is_page && matches!(&*segments, [""] | ["poll", ..]) {
            return plain(StatusCode::FORBIDDEN, "pages do not ask here\n");
        }
        match (&method, &*segments) {
            (&Method::POST, [""]) => self.operate(request).await,
            (&Method::GET, ["poll", group, id]) if !group.is_empty() && !id.is_empty() => {
                // These paths name no ids that could be checked.
                let shown = bearer(&request);
                if let Err(Rejection { reason, .. }) = self.caller(shown.as_deref(), shown.as_deref()) {
                    return plain(StatusCode::UNAUTHORIZED, format!("{reason}\n"));
                }
                let (Some(group), Some(id)) = (decoded(group), decoded(id)) else {
                    return plain(StatusCode::BAD_REQUEST, "a group and an id are texts, and % is %25\n");
                };
                match self.outbox.connect(&group, &id) {
                    Some(connection) => events(connection),
                    None => plain(StatusCode::SERVICE_UNAVAILABLE, "there are too many streams\n"),
                }
            }
            (&Method::GET, ["health"]) => plain(StatusCode::OK, ""),
            (&Method::GET, ["ready"]) if self.writer.works() => plain(StatusCode::OK, ""),
            (&Method::GET, ["ready"]) => plain(StatusCode::SERVICE_UNAVAILABLE, "the store has failed\n"),
            (&Method::GET, ["metrics"]) => match spawn_blocking(move || self.metrics()).await {
                Ok(page) => whole(StatusCode::OK, MEDIA_TYPE, page.into()),
                Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be read\n"),
            },
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
        let shown = bearer(&request);
        let (body, _room) = match tokio::time::timeout(PATIENCE, self.body(request.into_body())).await {
            Ok(Ok(body)) => body,
            Ok(Err(refusal)) => return refusal,
            Err(_) => return plain(StatusCode::REQUEST_TIMEOUT, "the body did not come\n"),
        };
        let exchange = self.options.recorder.as_ref().and_then(|recorder| recorder.exchange(&body));
        let request = Request::read(&body, self.options.debug);
        let response = self.respond(shown, request, exchange).await;
        let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = json(status, response.body);
        answer.headers_mut().extend(self.date().map(|date| (DATE, date)));
        answer
    }

    /// The time by which deadlines are judged, for workers whose clock is another one; none if requests set it.
    fn date(&self) -> Option<HeaderValue> {
        // The field ends with the year 9999.
        let now_ms = self.options.clock.now_ms().min(253_402_300_799_000);
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(now_ms));
        HeaderValue::try_from(date).ok().filter(|_| !self.options.debug)
    }

    /// Reads a whole body, and reserves room for it.
    async fn body(&self, mut body: Incoming) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), Answer> {
        let too_large = || plain(StatusCode::PAYLOAD_TOO_LARGE, format!("a request has at most {BODY} bytes\n"));
        if body.size_hint().lower() > BODY as u64 {
            return Err(too_large());
        }
        let (mut parts, mut length, mut room) = (Parts::default(), 0, None::<OwnedSemaphorePermit>);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| plain(StatusCode::BAD_REQUEST, "the body is not whole\n"))?;
            // Trailers are ignored.
            let Ok(data) = frame.into_data() else { continue };
            let before = length;
            length += data.len();
            if length > BODY {
                return Err(too_large());
            }
            // At most the size of a body, which fits.
            let more = u32::try_from(length.saturating_sub(before.max(SMALL))).unwrap_or(u32::MAX);
            let full = |_| plain(StatusCode::SERVICE_UNAVAILABLE, "too much comes in at once; try again\n");
            let more = Arc::clone(&self.room).try_acquire_many_owned(more).map_err(full)?;
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
            parts.extend(&data);
        }
        Ok((parts.0.concat(), room))
    }

    async fn respond(&self, shown: Option<String>, request: Request, exchange: Option<Exchange>) -> Response {
        let Request { envelope, auth, named_ms, operation } = request;
        let known = operation.is_ok();
        let hides_preload = self.options.manner == Manner::Permissive;
        let witness = exchange.map(|exchange| {
            let echo = envelope.clone();
            Box::new(move |at_ms, answer: &_| exchange.write(at_ms, &echo, answer, hides_preload)) as Witness
        });
        let asked = self.caller(auth.as_deref(), auth.as_deref().or(shown.as_deref()));
        let asked = asked.and_then(|caller| {
            let operation = caller.admit(operation?).map_err(|reason| Rejection { status: 403, reason })?;
            Ok((caller, self.reachable(operation)?))
        });
        let response = match asked {
            Err(rejection) => envelope.reject(&rejection),
            Ok((caller, operation)) => match self.writer.operate(operation, named_ms, witness).await {
                Some(answer) => {
                    let answer = answer.map(|reply| caller.narrow(reply));
                    envelope.answer(answer, hides_preload)
                }
                None => envelope.reject(&Rejection { status: 500, reason: "the store has failed".to_owned() }),
            },
        };
        // The kind that a client makes up does not become a label.
        let kind = if known { envelope.kind() } else { "unknown" };
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        *answered.entry((kind.to_owned(), response.status)).or_default() += 1;
        response
    }

    /// The caller. `signed` may be a token that the keys check, `shown` the shared one.
    fn caller(&self, signed: Option<&str>, shown: Option<&str>) -> Result<Caller, Rejection> {
        let Options { token, keys, .. } = &self.options;
        // Compared as hashes, so that the time does not depend on the token.
        let is = |token: &String| {
            shown.is_some_and(|shown| blake3::hash(shown.as_bytes()) == blake3::hash(token.as_bytes()))
        };
        if token.as_ref().is_some_and(is) || (token.is_none() && keys.is_none()) {
            return Ok(Caller::Admin);
        }
        let reason = match (keys, signed) {
            (Some(keys), Some(signed)) => match keys.caller(signed) {
                Ok(caller) => return Ok(caller),
                Err(why) => format!("the token is not valid: {why}"),
            },
            (Some(_), None) => {
                "a JSON web token is needed in head.auth, and as a bearer token where messages are polled".to_owned()
            }
            (None, _) => "a bearer token is needed".to_owned(),
        };
        Err(Rejection { status: 401, reason })
    }

    /// Refuses addresses that this server does not send to.
    fn reachable(&self, operation: Operation) -> Result<Operation, Rejection> {
        let Some(address) = addressed(&operation).filter(|address| is_url(address)) else { return Ok(operation) };
        let receiver = match &self.options.carrier {
            Some(carrier) => carrier.receiver(address).map(drop),
            None => {
                Err("it sends to no URLs; start it with --push URL, or have the worker poll, as poll://any@default"
                    .to_owned())
            }
        };
        let refused =
            |why| Rejection { status: 400, reason: format!("this server does not send to {address:?}: {why}") };
        receiver.map_err(refused).map(|()| operation)
    }

    fn metrics(&self) -> String {
        let mut page = Page::of_process();
        page.add_store(&*self.others.store);
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let label = |(kind, status): (String, u16)| format!("{{kind=\"{kind}\",status=\"{status}\"}}");
        let answered = answered.into_iter().map(|(of, count)| (label(of), count));
        let load = |count: &std::sync::atomic::AtomicU64| count.load(std::sync::atomic::Ordering::Relaxed);
        page.say("everstep_requests_total", "counter", "Requests that were answered.", answered);
        let outbox = &self.outbox;
        page.one("everstep_streams", "gauge", "Workers that are connected.", outbox.streams() as u64);
        page.one("everstep_offers", "gauge", "Tasks that may be acquired.", outbox.offers() as u64);
        let (delivered, dropped) = (load(&outbox.delivered), load(&outbox.dropped));
        page.one("everstep_messages_delivered_total", "counter", "Messages that a worker was given.", delivered);
        page.one("everstep_messages_dropped_total", "counter", "Messages that nobody was there for.", dropped);
        if let Some(pushes) = &outbox.pushes {
            let (waiting, failed) = (pushes.waiting() as u64, load(&pushes.failed));
            page.one("everstep_pushes_waiting", "gauge", "Messages to URLs that have not left.", waiting);
            page.one("everstep_pushes_failed_total", "counter", "Messages that a URL has not taken.", failed);
        }
        page.into_text()
    }
}

/// The address to which an operation has messages sent.
fn addressed(operation: &Operation) -> Option<&String> {
    match operation {
        Operation::PromiseCreate(new)
        | Operation::TaskCreate { promise: new, .. }
        | Operation::TaskFence { action: FenceAction::Create(new), .. } => new.tags.get(tag::TARGET),
        Operation::ScheduleCreate(new) => new.promise_tags.get(tag::TARGET),
        Operation::RegisterListener { address, .. } => Some(address),
        _ => None,
    }
}

fn is_url(address: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| address.starts_with(scheme))
}

fn bearer(request: &hyper::Request<Incoming>) -> Option<String> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// Decodes a part of a path.
fn decoded(part: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), part.bytes());
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => bytes.extend(hex::decode([rest.next()?, rest.next()?]).ok()?),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
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
