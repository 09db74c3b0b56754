//! The effect: a connection that any number of tasks may use, and the task that keeps it open.
//!
//! The task reads one message ahead, answers control frames, and closes the connection when it is idle. It ends with the
//! connection, and the connection ends when it is dropped.

use crate::capability::http::headers;
use crate::guest_error::{ErrorCode, GuestError};
use crate::network::{Cause, Dialer, Failure, Io, Options};
use crate::policy::address::Rules;
use crate::policy::url::Target;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::sync::{Mutex, Notify, mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::http::header::{SEC_WEBSOCKET_PROTOCOL, USER_AGENT};
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message as Frame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, error::ProtocolError};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Opens connections under the address rules of one policy.
#[derive(Debug)]
pub struct Client {
    dialer: Dialer,
}

/// The parameters of a connection.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The target: `ws` or `wss`.
    pub url: Target,
    /// Names and values, checked with [`crate::capability::http::check_headers`].
    pub headers: Vec<(String, String)>,
    /// The subprotocols that the guest speaks, checked with [`check_subprotocols`]; the server chooses one of them.
    pub subprotocols: Vec<String>,
}

/// The limits of one connection.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// For the connection: name, address, TLS and handshake.
    pub connect: Duration,
    /// Bytes of one message, in either direction.
    pub max_message: u64,
    /// How long the connection may be without messages before it is closed.
    pub idle: Duration,
}

/// One open connection. It may be shared: one task sends while another one receives.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    subprotocol: Option<String>,
    max_message: u64,
    commands: mpsc::Sender<Command>,
    inbox: Mutex<mpsc::Receiver<Message>>,
    closed: watch::Receiver<Option<Closed>>,
    keeper: AbortHandle,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

/// An event of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message arrived.
    Message(Message),
    /// The connection has ended; no further message will arrive.
    Closed(Closed),
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The cause.
    pub by: ClosedBy,
    /// The code (RFC 6455, 7.4.1); 1005 when the server gave none, 1006 when it vanished.
    pub code: u16,
    /// The reason that goes with the code.
    pub reason: String,
}

/// The cause of the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClosedBy {
    /// The server closed it.
    Server,
    /// The guest closed it.
    Guest,
    /// There was no message for too long.
    Idle,
    /// The server sent a message that is longer than allowed.
    TooLarge,
    /// The server violated the protocol.
    Violation,
    /// The connection broke.
    Lost,
}

/// The reason that a message was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsent {
    /// It is longer than allowed.
    TooLarge {
        /// The most bytes that are allowed.
        max: u64,
    },
    /// The connection has ended. Part of the message may have been sent.
    Closed(Closed),
}

#[derive(Debug)]
enum Command {
    Send(Frame, oneshot::Sender<()>),
    Close(CloseFrame),
}

/// How long a server may take to accept a close frame, and to answer one.
const CLOSED_WITHIN: Duration = Duration::from_secs(2);

/// How much is read from the socket at once, in bytes.
const READ_AHEAD: usize = 4 << 10;

/// Bytes that may wait for the socket in addition to one message: control frames.
const CONTROL_FRAMES: usize = 4 << 10;

/// The most subprotocols, and the longest reason of a close frame (RFC 6455, 5.5).
const MOST_SUBPROTOCOLS: usize = 16;
const LONGEST_REASON: usize = 123;

impl Client {
    /// A client under these address rules.
    pub fn new(options: &Options, rules: Rules) -> Self {
        // HTTP/2 has no upgrade.
        Self { dialer: Dialer::new(options, rules, &["http/1.1"]) }
    }

    /// Opens a connection.
    pub async fn connect(&self, opening: &Opening, bounds: &Bounds) -> Result<Connection, Failure> {
        let (mut address, mut sent) = (None, false);
        let opened = Box::pin(self.open(opening, bounds, &mut address, &mut sent));
        let opened = timeout(bounds.connect, opened).await.unwrap_or(Err(Cause::TimedOut));
        let failed = |cause| Failure { cause, address, sent };
        let (socket, response) = opened.map_err(failed)?;
        let address = socket.get_ref().address;
        let subprotocol = response.headers().get(SEC_WEBSOCKET_PROTOCOL);
        let subprotocol = subprotocol.and_then(|chosen| chosen.to_str().ok()).map(str::to_owned);
        Ok(Connection::new(socket, address, subprotocol, bounds))
    }

    async fn open(
        &self,
        opening: &Opening,
        bounds: &Bounds,
        address: &mut Option<SocketAddr>,
        sent: &mut bool,
    ) -> Result<(WebSocketStream<Io>, Response), Cause> {
        let request = request(opening)?;
        let io = self.dialer.dial(&opening.url, bounds.connect, address).await?;
        *address = Some(io.address);
        *sent = true;
        let max_message = usize::try_from(bounds.max_message).unwrap_or(usize::MAX);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_AHEAD)
            .write_buffer_size(0)
            .max_write_buffer_size(max_message.saturating_add(CONTROL_FRAMES))
            .max_message_size(Some(max_message))
            .max_frame_size(Some(max_message));
        let (socket, response) = client_async_with_config(request, io, Some(config)).await.map_err(unopened)?;
        headers::check_upgrade(response.headers()).map_err(|why| Cause::BadResponse(why.to_owned()))?;
        Ok((socket, response))
    }
}

fn request(opening: &Opening) -> Result<Request<()>, Cause> {
    if !matches!(opening.url.scheme(), "ws" | "wss") {
        return Err(Cause::Invalid("only ws and wss URLs can be opened".to_owned()));
    }
    check_subprotocols(&opening.subprotocols).map_err(|error| Cause::Invalid(error.message))?;
    let request = opening.url.url().as_str().into_client_request();
    let mut request = request.map_err(|_| Cause::Invalid("the URL cannot be sent".to_owned()))?;
    let unusable = || Cause::Invalid("a header cannot be sent".to_owned());
    for (name, value) in &opening.headers {
        let (name, value) = headers::parse(name, value).ok_or_else(unusable)?;
        request.headers_mut().append(name, value);
    }
    request.headers_mut().entry(USER_AGENT).or_insert(HeaderValue::from_static(headers::USER_AGENT));
    if !opening.subprotocols.is_empty() {
        let protocols = HeaderValue::from_str(&opening.subprotocols.join(", ")).map_err(|_| unusable())?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocols);
    }
    Ok(request)
}

fn unopened(error: Error) -> Cause {
    match error {
        Error::Http(response) if response.status().is_redirection() => {
            Cause::Misled("the server redirects, which a WebSocket connection never follows")
        }
        Error::Http(response) => Cause::BadResponse(format!(
            "the server answers with status {} and opens nothing",
            response.status().as_u16()
        )),
        Error::Io(_) | Error::ConnectionClosed | Error::Protocol(ProtocolError::HandshakeIncomplete) => {
            Cause::Interrupted("the connection was lost before it was open".to_owned())
        }
        Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => {
            Cause::BadResponse("the server chooses none of the subprotocols".to_owned())
        }
        _ => Cause::BadResponse("the server's handshake is malformed".to_owned()),
    }
}

impl Connection {
    fn new(socket: WebSocketStream<Io>, address: SocketAddr, subprotocol: Option<String>, bounds: &Bounds) -> Self {
        let (commands, asked) = mpsc::channel(1);
        let (arrived, inbox) = mpsc::channel(1);
        let (ended, closed) = watch::channel(None);
        let idle = bounds.idle;
        let keeper = tokio::spawn(async move {
            let closed = keep(socket, asked, &arrived, idle).await;
            // Before the inbox ends: a receiver that finds it empty asks how the connection ended.
            ended.send_replace(Some(closed));
            drop(arrived);
        });
        Self {
            address,
            subprotocol,
            max_message: bounds.max_message,
            commands,
            inbox: Mutex::new(inbox),
            closed,
            keeper: keeper.abort_handle(),
        }
    }

    /// The address of the other end. For the audit log only.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The subprotocol that the server chose.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Sends a message; it has left the process when this returns.
    pub async fn send(&self, message: Message) -> Result<(), Unsent> {
        let (length, frame) = match message {
            Message::Text(text) => (text.len(), Frame::Text(text.into())),
            Message::Binary(bytes) => (bytes.len(), Frame::Binary(bytes.into())),
        };
        if length as u64 > self.max_message {
            return Err(Unsent::TooLarge { max: self.max_message });
        }
        let (done, sent) = oneshot::channel();
        if self.commands.send(Command::Send(frame, done)).await.is_ok() && sent.await.is_ok() {
            return Ok(());
        }
        Err(Unsent::Closed(self.ended().await))
    }

    /// Waits for the next message, or for the end; messages that arrived before the end come first. Cancel-safe.
    pub async fn receive(&self) -> Event {
        let message = self.inbox.lock().await.recv().await;
        match message {
            Some(message) => Event::Message(message),
            None => Event::Closed(self.ended().await),
        }
    }

    /// Closes the connection, waiting a moment for the server to agree; returns how it ended, which may have been earlier. The
    /// caller has checked the code and the reason with [`check_close`].
    pub async fn close(&self, code: u16, reason: &str) -> Closed {
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
        let closed = timeout(CLOSED_WITHIN * 3, async {
            // An error means that it has ended.
            let _ = self.commands.send(Command::Close(frame)).await;
            self.ended().await
        });
        closed.await.unwrap_or_else(|_| {
            // A server that reads nothing does not read a close frame.
            self.keeper.abort();
            Closed::new(ClosedBy::Guest, CloseCode::from(code), reason)
        })
    }

    /// Waits until the connection has ended, and returns how; messages that arrived before may still be received.
    pub async fn ended(&self) -> Closed {
        let mut closed = self.closed.clone();
        let ended = closed.wait_for(Option::is_some).await;
        ended.ok().and_then(|closed| closed.clone()).unwrap_or_else(Closed::lost)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Keeps a connection open until it ends.
async fn keep(
    socket: WebSocketStream<Io>,
    mut asked: mpsc::Receiver<Command>,
    arrived: &mpsc::Sender<Message>,
    idle: Duration,
) -> Closed {
    let (mut sink, mut source) = socket.split();
    let (activity, asked_to_close) = (Notify::new(), OnceLock::new());
    let closed = tokio::select! {
        closed = write(&mut sink, &mut asked, &asked_to_close, &activity) => closed,
        closed = read(&mut source, arrived, &activity) => closed,
        () = silence(&activity, idle) => Closed::new(ClosedBy::Idle, CloseCode::Away, "no message for too long"),
    };
    if let Some(frame) = asked_to_close.into_inner() {
        return Closed { by: ClosedBy::Guest, code: frame.code.into(), reason: frame.reason.as_str().to_owned() };
    }
    if matches!(closed.by, ClosedBy::Idle | ClosedBy::TooLarge | ClosedBy::Violation) {
        let frame = CloseFrame { code: closed.code.into(), reason: closed.reason.as_str().into() };
        // The connection ends in any case; the close frame is a courtesy.
        let _ = timeout(CLOSED_WITHIN, sink.send(Frame::Close(Some(frame)))).await;
    }
    closed
}

/// Sends what is queued, up to a close frame, and then waits for the time that the server has to answer it.
async fn write(
    sink: &mut SplitSink<WebSocketStream<Io>, Frame>,
    asked: &mut mpsc::Receiver<Command>,
    asked_to_close: &OnceLock<CloseFrame>,
    activity: &Notify,
) -> Closed {
    while let Some(command) = asked.recv().await {
        match command {
            Command::Send(frame, done) => {
                if sink.send(frame).await.is_err() {
                    // The reading side may know the cause: it reads what the server sent.
                    sleep(CLOSED_WITHIN).await;
                    return Closed::lost();
                }
                activity.notify_one();
                // The receiver is gone if the send was canceled.
                let _ = done.send(());
            }
            Command::Close(frame) => {
                asked_to_close.get_or_init(|| frame.clone());
                let _ = timeout(CLOSED_WITHIN, sink.send(Frame::Close(Some(frame)))).await;
                sleep(CLOSED_WITHIN).await;
                return Closed::lost();
            }
        }
    }
    // The connection was dropped, and the task is about to be ended.
    std::future::pending().await
}

/// Reads a message whenever there is room for one, until the connection ends.
async fn read(
    source: &mut SplitStream<WebSocketStream<Io>>,
    arrived: &mpsc::Sender<Message>,
    activity: &Notify,
) -> Closed {
    loop {
        let Ok(room) = arrived.reserve().await else { return std::future::pending().await };
        let message = loop {
            match source.next().await {
                Some(Ok(Frame::Text(text))) => break Message::Text(text.as_str().to_owned()),
                Some(Ok(Frame::Binary(bytes))) => break Message::Binary(bytes.into()),
                Some(Ok(Frame::Close(frame))) => return server_closed(source, frame).await,
                // Pings are answered by the next read.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Closed::by_error(&error),
                None => return Closed::lost(),
            }
        };
        activity.notify_one();
        room.send(message);
    }
}

/// Answers the close frame of a server, by reading on.
async fn server_closed(source: &mut SplitStream<WebSocketStream<Io>>, frame: Option<CloseFrame>) -> Closed {
    let _ = timeout(CLOSED_WITHIN, async { while let Some(Ok(_)) = source.next().await {} }).await;
    match frame {
        Some(frame) => {
            Closed { by: ClosedBy::Server, code: frame.code.into(), reason: frame.reason.as_str().to_owned() }
        }
        None => Closed::new(ClosedBy::Server, CloseCode::Status, ""),
    }
}

/// Returns once nothing has happened for `limit`.
async fn silence(activity: &Notify, limit: Duration) {
    while timeout(limit, activity.notified()).await.is_ok() {}
}

impl Closed {
    fn new(by: ClosedBy, code: CloseCode, reason: &str) -> Self {
        Self { by, code: code.into(), reason: reason.to_owned() }
    }

    fn lost() -> Self {
        Self::new(ClosedBy::Lost, CloseCode::Abnormal, "the connection was lost")
    }

    fn by_error(error: &Error) -> Self {
        match error {
            Error::Capacity(_) => Self::new(ClosedBy::TooLarge, CloseCode::Size, "a message was too long"),
            Error::Utf8(_) => Self::new(ClosedBy::Violation, CloseCode::Invalid, "a text was not UTF-8"),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) | Error::Io(_) => Self::lost(),
            _ => Self::new(ClosedBy::Violation, CloseCode::Protocol, "the server broke the protocol"),
        }
    }
}

/// Refuses subprotocols that are malformed, repeated or too many.
pub fn check_subprotocols(subprotocols: &[String]) -> Result<(), GuestError> {
    let invalid = |message| Err(GuestError::new(ErrorCode::Invalid, message));
    if subprotocols.len() > MOST_SUBPROTOCOLS {
        return invalid(format!("more than {MOST_SUBPROTOCOLS} subprotocols"));
    }
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    for (index, name) in subprotocols.iter().enumerate() {
        if name.is_empty() || name.len() > LONGEST_REASON || !name.bytes().all(token) {
            return invalid(format!("{} is no name of a subprotocol", crate::policy::quoted(name)));
        }
        if subprotocols[..index].contains(name) {
            return invalid(format!("the subprotocol {} is named twice", crate::policy::quoted(name)));
        }
    }
    Ok(())
}

/// Refuses codes that a guest may not close with, and reasons that are too long.
pub fn check_close(code: u16, reason: &str) -> Result<(), GuestError> {
    if code != 1000 && !(3000..5000).contains(&code) {
        return Err(GuestError::new(ErrorCode::Invalid, format!("{code} is no close code; use 1000 or 3000 to 4999")));
    }
    if reason.len() > LONGEST_REASON {
        let message = format!("the reason is longer than {LONGEST_REASON} bytes");
        return Err(GuestError::new(ErrorCode::Invalid, message));
    }
    Ok(())
}
