//! The server that the workers of a group share.

use super::Error;
use everstep_resonate::client::{Client, Http, Options};
use std::sync::Arc;

/// A connection to a server of the Resonate protocol.
pub struct Server(pub(super) Client);

impl Server {
    /// Connects to the server at a URL; `token` is shown to it, if there is one.
    ///
    /// # Errors
    /// Nothing answers there, or not as a server of the protocol, or the token does not suffice.
    pub async fn connect(url: &str, token: Option<String>) -> Result<Self, Error> {
        let http = Arc::new(Http::new(url, token.clone())?);
        Ok(Self(Client::connect(http, Options { token, ..Options::default() }).await?))
    }

    /// A connection that was made otherwise.
    pub fn over(client: Client) -> Self {
        Self(client)
    }
}
