//! Drives one execution: an instance, turn by turn, until it returns, traps, is stopped or suspends.
//!
//! `ctx` is the contents of an instance's store, `component` a component with everything linked, `meter` the CPU and wall time,
//! `drive` the turns. The host (`crate::host`) acts on the ending.

mod component;
mod ctx;
mod drive;
mod meter;
mod wasi;

pub use component::FunctionInfo;
pub(crate) use component::Loaded;
pub(crate) use ctx::Ctx;
pub(crate) use drive::{Ending, Job, drive};
