//! Write durable functions for Everstep in Rust.
//!
//! ```ignore
//! use everstep_sdk::{Context, Error};
//!
//! /// Greets somebody, a second later.
//! #[everstep_sdk::function]
//! async fn greet(ctx: Context, name: String) -> Result<String, Error> {
//!     ctx.sleep(std::time::Duration::from_secs(1)).await?;
//!     ctx.print(format!("hello {name}"))?;
//!     Ok(name)
//! }
//! ```
//!
//! [`Context`] is the way out: one file per capability adds its methods (`console`, `files`, `timers`, `random`, `promises`,
//! `bridge`, `memo`). What is immediate returns a `Result`; what can wait returns a [`Promise`].
//! Inside: `function` holds what the macro registers, `guest` exports it, `executor` polls it.

mod bindings;
mod bridge;
mod console;
mod context;
mod error;
mod executor;
mod files;
mod function;
mod guest;
mod hash_keys;
mod memo;
mod promises;
mod random;
mod timers;

pub use console::MimeBundle;
pub use context::{Context, Dependency};
pub use error::{Error, ErrorCode};
pub use everstep_sdk_macros::function;
pub use files::{Entry, FileKind};
pub use promises::Promise;
pub use timers::Timestamp;

pub use futures;
pub use uuid::Uuid;

/// What the expansion of [`macro@function`] names; not part of the API.
#[doc(hidden)]
pub mod __private {
    pub use crate::function::{Function, NoArguments, Task, task};
    pub use inventory;
}
