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
//! [`Context`] is the only way out of the sandbox: one file per capability adds its methods (`console`, `files`, `timers`, `random`,
//! `promises`, `functions`, `http`, `websocket`, `bridge`, `memo`). Immediate calls return a `Result`; those that can wait return a
//! [`Promise`], to be awaited alone, with [`futures::join!`] and [`futures::select!`], or with `join`'s [`first_of`] and [`parallel_map`].
//! `retry` repeats a call durably. Internally, `function` holds what the macro registers, `guest` exports it, `executor` polls it, `schema`
//! describes the values that promises take.
//!
//! The feature `allocator`, on by default, sets the global allocator of the component; a crate that sets its own turns it off.

mod bindings;
mod bridge;
mod console;
mod context;
mod error;
mod executor;
mod files;
mod function;
mod functions;
mod guest;
mod hash_keys;
pub mod http;
mod join;
mod memo;
mod promises;
mod random;
mod retry;
mod schema;
mod timers;
pub mod websocket;

/// The same as in the standard library, but a newer one, which begins with the memory that the component has from its start: an instance that
/// grows costs more than what most functions do.
#[cfg(all(feature = "allocator", target_family = "wasm", target_os = "unknown"))]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

pub use console::MimeBundle;
pub use context::{Context, Dependency};
pub use error::{Error, ErrorCode};
pub use everstep_sdk_macros::function;
pub use files::{Entry, FileKind};
pub use functions::CallOptions;
pub use join::{first_of, first_of_cancel_rest, parallel_map};
pub use promises::Promise;
pub use retry::Retry;
pub use timers::Timestamp;

pub use futures;
pub use schemars;
pub use uuid::Uuid;

/// The trait, and the derive macro, of types that a human or another system answers with ([`Context::input`], [`Context::promise`]).
///
/// ```
/// use everstep_sdk::JsonSchema;
///
/// #[derive(serde::Deserialize, JsonSchema)]
/// #[schemars(crate = "everstep_sdk::schemars")]
/// struct Order {
///     item: String,
///     count: u8,
/// }
/// ```
///
/// The `schemars(crate = ...)` line tells the macro where the crate is; it is not needed if `schemars` 1 is among your own
/// dependencies. The schema follows serde's attributes and the doc comments of the type. It is sent with every promise, and counts
/// against `limits.bytes_per_call`.
pub use schemars::JsonSchema;

/// The items that the expansion of [`macro@function`] uses; not part of the API.
#[doc(hidden)]
pub mod __private {
    pub use crate::function::{Function, NoArguments, Task, task};
    pub use inventory;
}
