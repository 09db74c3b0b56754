//! Connections over WebSocket, to the URLs that the policy grants.

use std::pin::Pin;
use std::task::{self, Poll};

use futures::future::FusedFuture;
use serde::Deserialize;

use crate::bindings::everstep::host::websocket::{self as host, ConnectOptions};
use crate::{Context, Error, Promise};

/// An open connection. It ends with its host: after a crash [`receive`](Self::receive) returns [`Cause::Recovered`], and the function
/// may connect anew.
#[derive(Debug)]
pub struct Socket {
    connection: u64,
    protocol: Option<String>,
}

/// A message that was received over a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// The end of the connection: nothing follows.
    Closed(Closed),
}

/// The end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The cause.
    pub cause: Cause,
    /// The status code of RFC 6455; 1005 if none was sent, 1006 if the connection broke.
    pub code: u16,
    /// The reason that was sent with it.
    pub reason: String,
}

/// The cause of the end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The other side.
    Peer,
    /// This function.
    Guest,
    /// There was no message for as long as the policy permits.
    Idle,
    /// A message was larger than the policy allows, or broke the protocol.
    Refused,
    /// The connection broke.
    Failed,
    /// The host of the connection is gone.
    Recovered,
}

/// A pending message.
#[must_use = "nobody waits for the message unless it is awaited"]
pub struct Receiving(Promise<()>);

impl Context {
    /// Connects to a WebSocket server.
    pub async fn websocket(&self, url: &str) -> Result<Socket, Error> {
        self.websocket_with(url, &[], &[]).await
    }

    /// As [`websocket`](Self::websocket), offering subprotocols, best first, and with further headers.
    pub async fn websocket_with(
        &self,
        url: &str,
        protocols: &[&str],
        headers: &[(&str, &str)],
    ) -> Result<Socket, Error> {
        let protocols = protocols.iter().map(|name| (*name).to_owned()).collect();
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let promise = Promise::<Agreed>::created(host::connect(url, &ConnectOptions { protocols, headers }));
        let connection = promise.number()?;
        let Agreed { protocol } = promise.await?;
        Ok(Socket { connection, protocol })
    }
}

#[derive(Deserialize)]
struct Agreed {
    protocol: Option<String>,
}

impl Socket {
    /// The agreed subprotocol, if any.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// Sends text.
    pub fn send_text(&self, text: impl Into<String>) -> Result<(), Error> {
        Ok(host::send(self.connection, &host::Data::Text(text.into()))?)
    }

    /// Sends bytes.
    pub fn send_binary(&self, bytes: impl Into<Vec<u8>>) -> Result<(), Error> {
        Ok(host::send(self.connection, &host::Data::Binary(bytes.into()))?)
    }

    /// Waits for the next message. Messages go to the calls in the order of the calls.
    pub fn receive(&self) -> Receiving {
        Receiving(Promise::created(host::receive(self.connection)))
    }

    /// Closes the connection with a code, 1000 or 3000 to 4999, and a reason of up to 123 bytes.
    pub fn close(&self, code: u16, reason: &str) -> Result<(), Error> {
        Ok(host::close(self.connection, code, reason)?)
    }
}

impl Receiving {
    /// Cancels the wait: the message goes to the next call.
    pub fn cancel(&self) -> Result<(), Error> {
        self.0.cancel()
    }
}

impl Future for Receiving {
    type Output = Result<Message, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Self::Output> {
        self.0.poll_with(context, |promise| match host::message(promise) {
            Some(Ok(message)) => Ok(message.into()),
            Some(Err(error)) => Err(error.into()),
            None => Err(Error::failed("a message was delivered without an outcome")),
        })
    }
}

impl FusedFuture for Receiving {
    fn is_terminated(&self) -> bool {
        self.0.is_terminated()
    }
}

impl From<host::Event> for Message {
    fn from(message: host::Event) -> Self {
        match message {
            host::Event::Text(text) => Self::Text(text),
            host::Event::Binary(bytes) => Self::Binary(bytes),
            host::Event::Closed(host::Closed { cause, code, reason }) => {
                Self::Closed(Closed { cause: cause.into(), code, reason })
            }
        }
    }
}

impl From<host::Cause> for Cause {
    fn from(cause: host::Cause) -> Self {
        match cause {
            host::Cause::Peer => Self::Peer,
            host::Cause::Guest => Self::Guest,
            host::Cause::Idle => Self::Idle,
            host::Cause::Refused => Self::Refused,
            host::Cause::Failed => Self::Failed,
            host::Cause::Recovered => Self::Recovered,
        }
    }
}
