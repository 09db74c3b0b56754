//! Reads the tables of a backend, for people and for the host.

use super::Embedded;
use crate::record::{Promise, Schedule, Task};
use crate::seam::View;
use crate::{Backend, Error, Execution, JournalPlace, Part, PendingPromise, Query};
use async_trait::async_trait;
use everstep_words::id::ExecutionId;
use std::sync::Arc;

/// A backend, for reading only.
pub struct Tables(Arc<dyn Backend>);

impl Tables {
    /// Reads a backend.
    pub fn of(backend: Arc<dyn Backend>) -> Self {
        Self(backend)
    }
}

#[async_trait]
impl View for Tables {
    async fn execution(&self, id: &ExecutionId) -> Result<Option<Execution>, Error> {
        self.0.execution(id)
    }

    async fn list(&self, query: &Query, limit: usize) -> Result<Part, Error> {
        self.0.list(query, limit)
    }

    async fn halted_below(&self, id: &ExecutionId) -> Result<Vec<Execution>, Error> {
        self.0.halted_below(id)
    }

    async fn promise(&self, id: &str) -> Result<Option<(Promise, Option<Task>)>, Error> {
        self.0.promise(id)
    }

    async fn promises(&self) -> Result<Vec<PendingPromise>, Error> {
        self.0.promises()
    }

    async fn schedules(&self) -> Result<Vec<Schedule>, Error> {
        self.0.schedules()
    }

    async fn journal_part(&self, execution: &Execution, at: JournalPlace) -> Result<(Vec<u8>, JournalPlace), Error> {
        match execution.key {
            Some(key) => self.0.journal_part(key, at),
            None => Ok((Vec::new(), at)),
        }
    }
}

#[async_trait]
impl View for Embedded {
    async fn execution(&self, id: &ExecutionId) -> Result<Option<Execution>, Error> {
        self.tables.execution(id).await
    }

    async fn list(&self, query: &Query, limit: usize) -> Result<Part, Error> {
        self.tables.list(query, limit).await
    }

    async fn halted_below(&self, id: &ExecutionId) -> Result<Vec<Execution>, Error> {
        self.tables.halted_below(id).await
    }

    async fn promise(&self, id: &str) -> Result<Option<(Promise, Option<Task>)>, Error> {
        self.tables.promise(id).await
    }

    async fn promises(&self) -> Result<Vec<PendingPromise>, Error> {
        self.tables.promises().await
    }

    async fn schedules(&self) -> Result<Vec<Schedule>, Error> {
        self.tables.schedules().await
    }

    async fn journal_part(&self, execution: &Execution, at: JournalPlace) -> Result<(Vec<u8>, JournalPlace), Error> {
        self.tables.journal_part(execution, at).await
    }
}
