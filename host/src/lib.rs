//! Everstep runs untrusted code durably.
//!
//! Reading order: `id`, `guest_error` and `visible` (words), `policy` (what is granted), `store` (where everything is kept, and when it is
//! durable), `journal` (records, cursor), `bridge` (the only road from guest to effect), `capability` (the effects), `engine` (components
//! and instances), `turns` (drives an execution), `host` (the public face), `session` (executions that another program drives).

mod bindings;
mod blocking;
mod bridge;
pub mod capability;
#[cfg(test)]
#[path = "../words/src/dice.rs"]
mod dice;
mod engine;
mod grants;
pub mod guest_build;
mod host;
pub mod json;
pub mod network;
mod schema;
mod secrets;
pub mod session;
pub mod store;
pub mod telemetry;
mod trace;
mod turns;
mod vfs;

pub use bridge::{Answer, Patience};
pub use engine::{Compiling, Error as LoadError, Need, needs};
pub use everstep_policy as policy;
pub use everstep_store::{clock, output};
pub use everstep_words::trace::TraceContext;
pub use everstep_words::{guest_error, id, regular_file, visible};
pub use guest_error::{ErrorCode, GuestError};
pub use host::{
    Builder, Cancellation, Component, Disregarded, Error, Everstep, Executions, Following, Handle, Moved, Reader,
    Replay, ReplayEnd, Report, Run, Scope, StepOutcome, StepView,
};
pub use host::{Fork, Gauge, Server};
pub use id::{Digest, ExecutionId, PromiseId};
pub use policy::Policy;
pub use turns::{FunctionInfo, PROGRAM, named_exit_code};

/// The format of the journals that this build reads and writes, as `journal/FORMAT.md` describes it.
pub const JOURNAL_FORMAT: u64 = everstep_store::journal::FORMAT;

/// The version of the engine that runs components.
pub const ENGINE_VERSION: &str = wasmtime_environ::VERSION;
