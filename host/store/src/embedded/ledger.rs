//! A run over the group commit: each entry is one change that its fence protects.

use super::commit::{Committer, Submission};
use crate::claim::Claim;
use crate::clock::Clock;
use crate::operation::{Operation, Reply, Settlement};
use crate::record::TaskState;
use crate::seal::Tail;
use crate::seam::{Asked, Entry, Leave, Ledger, Left, Lost, Ticket};
use crate::{Applied, Backend, Change, ExecutionKey};
use async_trait::async_trait;
use std::sync::{Arc, Mutex, PoisonError};

pub(super) struct EmbeddedLedger {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) committer: Arc<Committer>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) claim: Arc<Claim>,
    pub(super) key: ExecutionKey,
    pub(super) tail: Mutex<Tail>,
}

impl EmbeddedLedger {
    /// The changes of an entry. Segments are numbered in the order of the entries: only this ledger writes the
    /// journal.
    fn changes(&self, entry: Entry) -> Submission {
        let Entry { blobs, records, component, progress, operations, output } = entry;
        let key = self.key;
        let mut changes: Vec<Change> = blobs.into_iter().map(|(digest, blob)| Change::Blob(digest, blob)).collect();
        if !records.is_empty() {
            changes.extend(self.tail.lock().unwrap_or_else(PoisonError::into_inner).append(key, records));
        }
        changes.extend(component.map(|digest| Change::Component(key, digest)));
        changes.extend(progress.map(|progress| Change::Progress(key, progress)));
        if !operations.is_empty() {
            let now_ms = self.clock.now_ms();
            changes.extend(operations.into_iter().map(|operation| Change::operation(now_ms, operation)));
        }
        Submission { changes, output, claim: Some(Arc::clone(&self.claim)) }
    }
}

#[async_trait]
impl Ledger for EmbeddedLedger {
    fn append(&self, entry: Entry) -> Ticket {
        self.committer.submit(self.changes(entry))
    }

    fn ask(&self, entry: Entry) -> (Ticket, Asked) {
        self.committer.ask(self.changes(entry))
    }

    async fn durable(&self, ticket: Ticket) -> Result<(), Lost> {
        self.committer.durable(ticket).await.map_err(|error| Lost::of(&error))?;
        self.claim.check()
    }

    fn soon(&self) {
        self.committer.request();
    }

    async fn may_begin(&self, ticket: Ticket) -> Result<(), Lost> {
        let is_written = self.committer.is_durable(ticket);
        self.durable(ticket).await?;
        if !is_written {
            // The fence of that write has just checked the claim.
            return Ok(());
        }
        self.committer.check().map_err(|error| Lost::of(&error))?;
        let Claim { id, version, .. } = &*self.claim;
        match self.backend.holds(id, *version) {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.claim.lose(Lost::Claim);
                Err(Lost::Claim)
            }
            Err(error) => Err(Lost::of(&error)),
        }
    }

    async fn lost(&self) -> Lost {
        tokio::select! {
            lost = self.claim.lost() => lost,
            error = self.committer.failure() => Lost::of(&error),
        }
    }

    async fn leave(&self, mut entry: Entry, how: Leave) -> Result<Left, Lost> {
        let Claim { id, version, .. } = &*self.claim;
        let (id, version) = (id.clone(), *version);
        let stays = matches!(how, Leave::Stay);
        entry.operations.extend(match how {
            Leave::Fulfill(state, value) => {
                Some(Operation::TaskFulfill { version, settlement: Settlement { id, state, value } })
            }
            Leave::Suspend(awaited) => Some(Operation::TaskSuspend { id, version, awaited }),
            // In one write with the cause.
            Leave::Halt => Some(Operation::TaskHalt { id }),
            Leave::Stay => None,
        });
        let (ticket, asked) = self.ask(entry);
        // The fence of this write tells whether the claim held. With its end there is none, and what else the run has still to write finds that.
        self.committer.durable(ticket).await.map_err(|error| Lost::of(&error))?;
        let last = asked.all().await?.pop();
        Ok(match last {
            _ if stays => Left::AsSaid,
            Some(Applied { answer: Ok(Reply::GoOn(_)), .. }) => Left::GoOn,
            Some(Applied { answer: Ok(_), .. }) => Left::AsSaid,
            Some(Applied { answer: Err(_), .. }) | None => Left::Ended,
        })
    }
}

/// Whether a task is held in a version: it is acquired, or was when its promise was settled. Another host cannot acquire it then.
pub(crate) fn holds(state: TaskState, held: u64, version: u64) -> bool {
    held == version && matches!(state, TaskState::Acquired | TaskState::Fulfilled)
}
