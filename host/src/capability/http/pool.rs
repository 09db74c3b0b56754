//! The connections of one client: made when needed, kept while they are healthy, not shared with other clients.

use super::flood::Guarded;
use crate::network::{Cause, Io};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// The most headers of a response.
const MOST_HEADERS: usize = 256;

/// The most bytes of the headers of a response.
const MOST_HEADER_BYTES: usize = 64 << 10;

/// The most informational responses (1xx) before a response.
pub(super) const MOST_INTERIM: usize = 16;

/// How much a connection reads ahead, in bytes.
const READ_AHEAD: usize = 256 << 10;

/// The most idle connections to one origin, and in all.
const MOST_IDLE: usize = 32;
const MOST_IDLE_IN_ALL: usize = 128;

/// How long a connection may take to become ready for its next request.
const READY_WITHIN: Duration = Duration::from_millis(50);

/// Connections that may be used again, by origin.
#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<HashMap<String, Vec<Connection>>>,
}

/// One connection, and the task that drives it.
struct Connection {
    address: SocketAddr,
    sender: Sender,
    driver: Arc<Driver>,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    /// Shared by many requests.
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// Ends its task, and with it the connection, when the connection is not used any more.
struct Driver(AbortHandle);

/// The use of a connection for one request. The connection is used again only if it is given back.
pub(super) struct Lease<'a> {
    pool: &'a Pool,
    origin: &'a str,
    connection: Option<Connection>,
    reused: bool,
}

/// The reason that a request has no response.
pub(super) enum Unanswered {
    /// The request was not sent.
    NotSent,
    /// It may have been sent.
    Sent(Cause),
}

impl Pool {
    /// A ready connection to the origin whose address is permitted, or a new one.
    pub(super) async fn lease<'a>(
        &'a self,
        origin: &'a str,
        permits: impl Fn(SocketAddr) -> bool,
        dial: impl AsyncFnOnce() -> Result<Io, Cause>,
    ) -> Result<Lease<'a>, Cause> {
        while let Some(mut connection) = self.take(origin) {
            let is_permitted = permits(connection.address);
            if is_permitted && matches!(timeout(READY_WITHIN, connection.sender.ready()).await, Ok(true)) {
                return Ok(Lease { pool: self, origin, connection: Some(connection), reused: true });
            }
            self.discard(origin, &connection);
        }
        let connection = Connection::new(dial().await?).await?;
        if let Some(shared) = connection.share() {
            self.put(origin, shared);
        }
        Ok(Lease { pool: self, origin, connection: Some(connection), reused: false })
    }

    fn take(&self, origin: &str) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = idle.get_mut(origin)?;
        match connections.last()?.share() {
            Some(shared) => Some(shared),
            None => connections.pop(),
        }
    }

    fn put(&self, origin: &str, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|_, connections| {
            connections.retain(|connection| !connection.sender.is_closed());
            !connections.is_empty()
        });
        if idle.values().map(Vec::len).sum::<usize>() >= MOST_IDLE_IN_ALL {
            idle.clear();
        }
        let connections = idle.entry(origin.to_owned()).or_default();
        if connections.len() >= MOST_IDLE {
            connections.remove(0);
        }
        connections.push(connection);
    }

    fn discard(&self, origin: &str, unhealthy: &Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connections) = idle.get_mut(origin) {
            connections.retain(|connection| !Arc::ptr_eq(&connection.driver, &unhealthy.driver));
        }
    }
}

impl Lease<'_> {
    /// The address of the other end.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.connection.as_ref().map(|connection| connection.address)
    }

    /// Whether the connection had been used before.
    pub(super) fn is_reused(&self) -> bool {
        self.reused
    }

    /// Whether requests name their whole URL, as they do in HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| matches!(connection.sender, Sender::Http2(_)))
    }

    /// Sends a request and waits for the head of its response, skipping a few informational responses.
    pub(super) async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Unanswered> {
        let flooded = flooded(&mut request);
        let answered = async {
            match self.connection.as_mut().map(|connection| &mut connection.sender) {
                Some(Sender::Http1(sender)) => Some(sender.try_send_request(request).await),
                Some(Sender::Http2(sender)) => Some(sender.try_send_request(request).await),
                None => None,
            }
        };
        let answered = tokio::select! {
            biased;
            () = flooded.notified() => {
                let why = format!("it has more than {MOST_INTERIM} informational answers before its response");
                return Err(Unanswered::Sent(Cause::BadResponse(why)));
            }
            answered = answered => answered,
        };
        let Some(answered) = answered else { return Err(Unanswered::NotSent) };
        answered.map_err(|error| match error.message() {
            Some(_) => Unanswered::NotSent,
            None => Unanswered::Sent(cause(error.error())),
        })
    }

    /// Gives the connection back; its response was read to the end.
    pub(super) fn give_back(mut self) {
        if let Some(connection) = self.connection.take()
            && let Sender::Http1(_) = connection.sender
        {
            self.pool.put(self.origin, connection);
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            self.pool.discard(self.origin, connection);
        }
    }
}

/// Signals when a request has received more informational responses than it may.
fn flooded(request: &mut Request<Full<Bytes>>) -> Arc<Notify> {
    let (seen, flooded) = (AtomicUsize::new(0), Arc::new(Notify::new()));
    let told = Arc::clone(&flooded);
    hyper::ext::on_informational(request, move |_| {
        if seen.fetch_add(1, Ordering::Relaxed) == MOST_INTERIM {
            told.notify_one();
        }
    });
    flooded
}

impl Connection {
    async fn new(io: Io) -> Result<Self, Cause> {
        let address = io.address;
        let http2 = io.protocol.as_deref() == Some(b"h2");
        let (sender, driver) = match http2 {
            true => http2_connection(TokioIo::new(Guarded::new(io))).await?,
            false => http1_connection(TokioIo::new(io)).await?,
        };
        Ok(Self { address, sender, driver: Arc::new(Driver(driver)) })
    }

    fn share(&self) -> Option<Self> {
        match &self.sender {
            Sender::Http1(_) => None,
            Sender::Http2(sender) => {
                let (sender, driver) = (Sender::Http2(sender.clone()), Arc::clone(&self.driver));
                Some(Self { address: self.address, sender, driver })
            }
        }
    }
}

async fn http1_connection(io: TokioIo<Io>) -> Result<(Sender, AbortHandle), Cause> {
    let mut builder = http1::Builder::new();
    builder.max_headers(MOST_HEADERS).max_header_size(MOST_HEADER_BYTES).max_buf_size(READ_AHEAD);
    let (sender, connection) = builder.handshake(io).await.map_err(|error| cause(&error))?;
    // A failure of the connection shows in its requests.
    let driver = tokio::spawn(async move { drop(connection.await) });
    Ok((Sender::Http1(sender), driver.abort_handle()))
}

async fn http2_connection(io: TokioIo<Guarded>) -> Result<(Sender, AbortHandle), Cause> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.max_header_list_size(u32::try_from(MOST_HEADER_BYTES).unwrap_or(u32::MAX));
    let (sender, connection) = builder.handshake(io).await.map_err(|error| cause(&error))?;
    let driver = tokio::spawn(async move { drop(connection.await) });
    Ok((Sender::Http2(sender), driver.abort_handle()))
}

impl Sender {
    /// Whether the next request can be sent now.
    async fn ready(&mut self) -> bool {
        match self {
            Self::Http1(sender) => sender.ready().await.is_ok(),
            Self::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }
}

fn cause(error: &hyper::Error) -> Cause {
    if error.is_parse() {
        let limits = format!("more than {MOST_HEADERS} headers or {MOST_HEADER_BYTES} bytes of them");
        return Cause::BadResponse(format!("the head of its response is malformed, or has {limits}"));
    }
    Cause::Interrupted("the connection was lost before a response arrived".to_owned())
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}
