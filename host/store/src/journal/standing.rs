//! The state of an execution, according to its journal alone.

use super::{Corrupted, History, Record, Started};
use crate::{Failure, Progress};
use everstep_words::id::Digest;

/// What a store keeps of an execution beside its promise and its journal, as read from the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The component that continues it; `None` if a journal of an earlier format may not name it.
    pub component: Option<Digest>,
    /// The policy that it was started with.
    pub policy: Digest,
    /// The seed of its random numbers.
    pub seed: [u8; 32],
    /// Its progress.
    pub progress: Progress,
}

impl Standing {
    /// Reads a whole journal; `None` if it has no record.
    ///
    /// # Errors
    /// A record cannot be read, or there is no start.
    pub fn of(history: &History) -> Result<Option<Self>, Corrupted> {
        let mut standing: Option<Self> = None;
        for record in history.records_with_offsets() {
            let (offset, record) = record?;
            match (&mut standing, record) {
                (None, Record::Started(started)) => standing = Some(Self::started(&started)),
                (None, _) => {
                    let (expected, found) = ("the start of an execution".into(), "another record".into());
                    return Err(Corrupted { offset, expected, found });
                }
                (Some(standing), record) => standing.take_in(&record),
            }
        }
        Ok(standing)
    }

    fn started(started: &Started<'_>) -> Self {
        let Started { at_ms, policy, seed, .. } = *started;
        let progress = Progress { updated_ms: at_ms, ..Progress::default() };
        Self { component: started.component(), policy: Digest(*policy), seed: *seed, progress }
    }

    fn take_in(&mut self, record: &Record<'_>) {
        let progress = &mut self.progress;
        let at_ms = match record {
            Record::Started(started) => started.at_ms,
            Record::Step { call, .. } | Record::Called { call, .. } => {
                progress.steps = progress.steps.max(call.number + 1);
                // The cause of the halt is gone.
                progress.error = None;
                call.at_ms
            }
            Record::Trapped(trapped) => {
                progress.steps = progress.steps.max(trapped.next);
                trapped.at_ms
            }
            Record::TakenOver { at_ms, component } => {
                self.component = Some(Digest(**component));
                *at_ms
            }
            Record::Halted { at_ms, kind, message } => {
                // A kind that this build does not know is still a failure.
                let kind = serde_json::from_str(kind).unwrap_or(crate::FailureKind::Load);
                progress.error = Some(Failure { kind, message: message.clone().into_owned() });
                *at_ms
            }
            Record::Used { at_ms, cpu_us } => {
                progress.cpu_us = progress.cpu_us.max(*cpu_us);
                *at_ms
            }
            Record::Delivered { at_ms, .. } | Record::Returned { at_ms, .. } => {
                progress.error = None;
                *at_ms
            }
            Record::Settled { at_ms, .. } | Record::Retried { at_ms, .. } => *at_ms,
        };
        progress.updated_ms = progress.updated_ms.max(at_ms);
    }
}
