//! Sessions: an execution of a function `session` that another program drives, message by message.
//!
//! The guest asks the capability `session` for a cell, which a client serves; its next request carries the outcome of that cell. Everything
//! else that a client answers, a question or a request to a capability, is a durable promise as well: what is open stays open when the host
//! or the client dies, and is delivered again under the same id.
//!
//! `message` is the protocol, `cells` what the guest is told and answers, `drive` the host's side, `elsewhere` hears of a session that other workers run. The command line adds JSON Lines.

mod cells;
mod drive;
mod elsewhere;
mod message;

pub use cells::steps_of_cells;
pub use drive::{Feed, Session, listen};
pub use message::{
    Body, Execute, Json, Kind, Look, Message, Plain, Reason, Refused, Request, Response, Resume, Shutdown, Standing,
    Stream, schema,
};
