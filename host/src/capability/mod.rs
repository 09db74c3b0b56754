//! The effects, one file or folder per capability.
//!
//! A capability of ours is a stem: its interface in `wit/`, its adapter here (the `Host` trait of the generated bindings, which converts
//! arguments, calls the bridge and converts the outcome, nothing else), and, where the effect is more than a line, an `effect` beside the
//! adapter that knows nothing of WIT, policy or journal. To add one: write the three, list the module below and the interface in
//! `wit/world.wit`; resources that are opened once per policy, such as folders, need an opener. A capability with grants of its own has its
//! section in `everstep-policy`, one file and an entry in the list of the sections.
//!
//! A capability of the embedder is a [`Capability`], registered by name and reached through `bridge.send-request`.

mod bridge;
mod console;
mod context;
pub mod files;
mod functions;
pub mod http;
mod memo;
mod promises;
mod random;
mod timers;
mod types;
pub mod websocket;

pub use crate::bridge::{Capability, Idempotent, Request};
pub(crate) use context::CLEAN_UP;
pub(crate) use functions::FAIL_ON_HALT;

use crate::grants::Opener;

/// The functions that open resources for a policy.
pub(crate) const OPENERS: &[Opener] = &[files::open, http::open, websocket::open];
