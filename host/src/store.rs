//! What an embedder sees of the store: backends, and what they hold.

pub use everstep_store::{
    Applied, Asked, Backend, Blob, Change, Error, Execution, ExecutionKey, Failure, FailureKind, FileStore, Invocation,
    JournalPlace, Kinship, Lineage, MemoryStore, NewExecution, Order, Part, PendingPromise, Place, Progress,
    PromiseKind, Query, SealedJournal, State, metrics, operation, record,
};
