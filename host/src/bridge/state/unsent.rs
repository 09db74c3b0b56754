//! Data still to be handed to the store, beside the records of the journal.

use crate::output::Output;
use everstep_store::seam::{Entry, Ticket};

/// See the module.
#[derive(Default)]
pub(in crate::bridge) struct Unsent {
    /// Output of records that were not submitted yet.
    output: Vec<Output>,
    /// The last submission.
    submitted: Ticket,
    /// Written once the guest has repeated everything that is recorded.
    when_live: Entry,
}

impl Unsent {
    /// Queues output to be shown once its record is durable.
    pub(in crate::bridge) fn show(&mut self, output: Output) {
        self.output.push(output);
    }

    /// Takes the queued output.
    pub(in crate::bridge) fn take_output(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.output)
    }

    /// Notes the last submission. An earlier ticket is that of one that was not taken.
    pub(in crate::bridge) fn note_submitted(&mut self, ticket: Ticket) {
        self.submitted = self.submitted.max(ticket);
    }

    /// The last submission.
    pub(in crate::bridge) fn submitted(&self) -> Ticket {
        self.submitted
    }

    /// Sets an entry to be written once the guest has repeated everything.
    pub(super) fn write_when_live(&mut self, entry: Entry) {
        self.when_live = entry;
    }

    /// Takes that entry.
    pub(in crate::bridge) fn take_when_live(&mut self) -> Entry {
        std::mem::take(&mut self.when_live)
    }
}
