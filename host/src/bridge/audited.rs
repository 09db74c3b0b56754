//! The ledger of an execution under a policy with an audit log: the lines of what was decided are written before anything goes to the
//! store.

use super::lines::Lines;
use async_trait::async_trait;
use everstep_store::seam::{Asked, Entry, Leave, Ledger, Left, Lost, Ticket};
use std::sync::Arc;

/// See the module. If a line cannot be written, nothing more is handed over: the run is lost, and the execution resumes from what its
/// journal holds.
pub(crate) struct Audited {
    pub(crate) lines: Arc<Lines>,
    pub(crate) ledger: Arc<dyn Ledger>,
}

#[async_trait]
impl Ledger for Audited {
    fn append(&self, entry: Entry) -> Ticket {
        self.lines.flush().map_or_else(|_| Ticket::default(), |()| self.ledger.append(entry))
    }

    fn ask(&self, entry: Entry) -> (Ticket, Asked) {
        match self.lines.flush() {
            Ok(()) => self.ledger.ask(entry),
            Err(lost) => {
                let (answers, asked) = Asked::later();
                // The receiver is returned.
                let _ = answers.send(Err(lost));
                (Ticket::default(), asked)
            }
        }
    }

    async fn durable(&self, ticket: Ticket) -> Result<(), Lost> {
        self.ledger.durable(ticket).await
    }

    fn soon(&self) {
        self.ledger.soon();
    }

    async fn may_begin(&self, ticket: Ticket) -> Result<(), Lost> {
        self.lines.flush()?;
        self.ledger.may_begin(ticket).await
    }

    fn note_clean_up(&self) {
        self.ledger.note_clean_up();
    }

    async fn lost(&self) -> Lost {
        tokio::select! {
            lost = self.ledger.lost() => lost,
            () = self.lines.failed() => Lost::Unlogged,
        }
    }

    async fn leave(&self, entry: Entry, how: Leave) -> Result<Left, Lost> {
        if let Err(lost) = self.lines.flush() {
            // This host continues with it, from all that was handed over before.
            self.ledger.leave(Entry::default(), Leave::Stay).await?;
            return Err(lost);
        }
        self.ledger.leave(entry, how).await
    }
}
