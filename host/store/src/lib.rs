//! The store of executions, their journals, promises and content-addressed bytes.
//!
//! An execution is a promise with a task, and a journal beside it. A host sees a [`Store`](seam::Store), and a run its
//! [`Ledger`](seam::Ledger). [`embedded`] is the store of the hosts of one machine: group commit, barriers and claims over a
//! [`Backend`], which is one atomic, durable `commit` and a few reads. [`MemoryStore`] loses everything with the process;
//! [`FileStore`] is SQLite in a folder. Promises, tasks and schedules (`record`) change through operations (`operation`), whose rules
//! `machine` implements for all backends. A store knows neither guests nor policies, and sees a journal as opaque bytes; their meaning
//! is in [`journal`].
//!
//! Read `seam.rs` (the contract), `journal/`, `record.rs`, `operation.rs`, `execution.rs` and `query.rs`, then `embedded/`, `backend.rs`, `machine/`, `memory/`,
//! `file/` (how it survives), `error.rs`.

mod backend;
mod blob;
pub mod claim;
pub mod clock;
mod cron;
pub mod embedded;
mod error;
mod execution;
mod file;
pub mod invocation;
pub mod journal;
mod machine;
mod memory;
pub mod metrics;
pub mod operation;
pub mod output;
pub mod peers;
mod query;
pub mod record;
pub mod seal;
pub mod seam;
#[cfg(test)]
mod tests;

pub use backend::{Applied, Backend, Change, ExecutionKey, JournalPlace, NewExecution, SealedJournal};
pub use blob::Blob;
pub use error::Error;
pub use execution::{Execution, Failure, FailureKind, Lineage, Progress, State};
pub use file::FileStore;
pub use invocation::DETACHED;
pub use invocation::{Asked, Invocation, Kinship, PendingPromise, PromiseKind};
pub use invocation::{outcome_of, value_of};
pub use memory::MemoryStore;
pub use query::{Order, Part, Place, Query};
