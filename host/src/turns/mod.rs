//! Drives one execution: an instance, turn by turn, until it returns, traps, is stopped or suspends.
//!
//! `ctx` is the contents of an instance's store, `component` a component with everything linked, `meter` the CPU and wall time,
//! `drive` the turns. A component without durable functions has `exports`; a `call` of one runs in a single turn, with values that
//! `typed` makes of JSON. `prepare` is a call beside an execution, about a file of an image. `wasi` is the virtual WASI over the bridge. The host (`crate::host`) acts on the ending.

mod call;
mod component;
mod ctx;
mod drive;
mod exports;
mod meter;
mod prepare;
mod typed;
mod wasi;

pub use call::named_exit_code;
pub(crate) use call::{Ended, exit_code};
pub use component::FunctionInfo;
pub(crate) use component::Loaded;
pub(crate) use ctx::Ctx;
pub(crate) use drive::{Ending, Job, drive};
pub use exports::PROGRAM;
pub(crate) use exports::Unfound;
pub(crate) use prepare::prepared;
