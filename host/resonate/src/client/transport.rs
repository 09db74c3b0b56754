//! What carries requests and messages.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

/// Carries requests to a server of the protocol, and its messages back.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// The server, as errors name it: a URL without secrets.
    fn server(&self) -> &str;

    /// Sends one request, a JSON text, once; returns a status as in HTTP, and the body.
    ///
    /// # Errors
    /// No answer came.
    async fn send(&self, request: Bytes) -> Result<(u16, Bytes), Unreachable>;

    /// How far the server's clock is ahead of this machine's, in milliseconds, as far as is known; 0 if both may agree.
    fn ahead_ms(&self) -> i64 {
        0
    }

    /// Opens the stream of the messages for one worker once. Each item is the JSON text of one message; the stream ends when its
    /// connection does, and dropping it ends the connection.
    ///
    /// # Errors
    /// No stream was opened.
    async fn receive(
        &self,
        group: &str,
        id: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, Unreachable>>, Unreachable>;
}

/// The reason that no answer came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// The request has not left.
    #[error("{0}")]
    Unsent(String),
    /// The request may have arrived.
    #[error("{0}")]
    Lost(String),
    /// The request was answered at greater length than is read.
    #[error("the answer has more than {limit} bytes")]
    TooLong {
        /// The most bytes that are read.
        limit: usize,
    },
}
