//! The Resonate protocol: `everstep serve` over the embedded store, and the client side in [`client`].
//!
//! `wire` is the JSON that both sides read and write. Of the server, `writer` applies waiting operations in one commit, `outbox` knows the
//! connected workers and their messages, `push` queues the messages to URLs, `auth` identifies callers and their permissions, `server` is
//! the HTTP between them and the network, `socket` drops clients that do not read, `recorder` writes the exchanges to a file. The protocol is version `2026-04-01`; where servers of
//! that version differ, this one follows the dialect that it was started with, or accepts what any of them accepts.
//!
//! The list of an answer ends at [`LIST_BYTES`](everstep_store::operation::LIST_BYTES): a page of a search, which has a cursor then, and the
//! promises that come with a task, which are a cache of its worker.

mod auth;
pub mod client;
mod outbox;
mod push;
mod recorder;
pub mod remote;
mod server;
mod socket;
mod wire;
mod writer;

pub use auth::Keys;
pub use push::Carrier;
pub use recorder::Recorder;
pub use server::{Options, Server};

use everstep_store::operation::Dialect;

/// Which server of the protocol it resembles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Manner {
    /// Accepts what any of the others accepts: ids are free, every deadline fires, a fenced write is answered without the rest of its branch
    Permissive,
    /// Server 0.9.8, which the published SDKs work with
    A,
    /// Its development version of June 2026: "." ends the origin of an id
    B,
    /// Server 0.10: ":" ends the origin of an id
    C,
}

impl Manner {
    /// The dialect of its operations.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Permissive | Self::A => Dialect::A,
            Self::B => Dialect::B,
            Self::C => Dialect::C,
        }
    }
}
