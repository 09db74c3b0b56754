//! `everstep serve`: the Resonate protocol over the embedded store.
//!
//! `wire` reads requests and writes answers, `writer` applies operations in one commit for all that wait, `outbox` knows the workers that
//! are connected and what they are to be told, `push` has the messages to URLs wait for their turn, `auth` reads who asks and says what they
//! may ask for, `server` is the HTTP between them and the network, `socket` gives up on clients that do not read. The protocol is version
//! `2026-04-01`; where servers of that version differ, this one follows the dialect that it was started with, or takes what any of them takes.

mod auth;
mod outbox;
mod push;
mod server;
mod socket;
mod wire;
mod writer;

pub use auth::Keys;
pub use push::Carrier;
pub use server::{Options, Server};

use everstep_store::operation::Dialect;

/// Which server of the protocol it resembles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Manner {
    /// Takes what any of the others takes: ids are free, every deadline fires, a fenced write answers without the other promises of its branch
    Permissive,
    /// Server 0.9.8, which the published SDKs work with
    A,
    /// Its development in June 2026: "." ends the origin of an id
    B,
    /// Server 0.10: ":" ends the origin of an id
    C,
}

impl Manner {
    /// The rules for operations that it follows.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Permissive | Self::A => Dialect::A,
            Self::B => Dialect::B,
            Self::C => Dialect::C,
        }
    }
}
