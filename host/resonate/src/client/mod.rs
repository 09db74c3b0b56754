//! The client side of the protocol: operations as requests to a server, and its messages.
//!
//! `client` sends the operations and repeats those whose answer was lost, `request` writes them and `answer` reads what comes back,
//! `messages` receives what a server sends to a worker, `ids` are the names that a server of another dialect has for our promises.
//! `transport` is what carries both, `http` the usual one, with `events` for streams and `ahead` for the server's clock. `backoff` is how long to wait before trying again.
//!
//! ```no_run
//! # use everstep_resonate::client::{Client, Error, Http, Options};
//! # use everstep_store::operation::Operation;
//! # async fn example() -> Result<(), Error> {
//! let server = Http::new("http://127.0.0.1:8001", None)?;
//! let client = Client::connect(std::sync::Arc::new(server), Options::default()).await?;
//! let answered = client.operate(&Operation::PromiseGet { id: "order-7".to_owned() }).await?;
//! # Ok(())
//! # }
//! ```

mod ahead;
mod answer;
mod backoff;
#[expect(clippy::module_inception, reason = "a module is named after its type")]
mod client;
mod error;
mod events;
mod http;
mod ids;
mod messages;
mod request;
#[cfg(test)]
mod tests;
mod transport;

pub use client::{Answered, Client, Options};
pub use error::Error;
pub use http::Http;
pub use messages::Message;
pub use transport::{Transport, Unreachable};
