//! How a run leaves its execution, as written to the store: the outcome of its promise, or what its task waits for.

use super::called::halted;
use super::{Checkpoint, Facts, State};
use crate::guest_error::GuestError;
use everstep_store::journal::Role;
use everstep_store::operation::{NewPromise, Operation};
use everstep_store::record::{NEVER, Value, tag};
use everstep_store::seam::{Entry, Leave};
use everstep_store::{Failure, FailureKind};
use std::collections::{BTreeMap, BTreeSet};

/// How a run leaves its execution.
pub(crate) enum Parting {
    /// The function returned, or cannot return.
    Ended(Result<String, GuestError>),
    Suspended,
    TakenBack,
    /// The guest trapped, and resumes at a checkpoint.
    SetBack {
        checkpoint: Checkpoint,
        cause: String,
    },
    Halted(Failure),
    /// It would halt, but its caller wants it to fail instead.
    Failed(Failure),
    /// It was ended from outside before.
    Canceled,
    /// Another host took it: nothing is written.
    Lost,
}

/// The last entry of a run, and its figures.
pub(crate) struct Parted {
    /// Everything recorded, the progress of the execution, and the settlements of its promises.
    pub(crate) entry: Entry,
    /// What to do with its task.
    pub(crate) leave: Leave,
    /// Steps that were answered from the journal.
    pub(crate) replayed: u64,
    /// Steps that the execution has taken.
    pub(crate) steps: u64,
}

impl Parting {
    /// The last entry of the run, and what to do with its task; `None` if another host took the execution.
    pub(super) fn last_entry(&self, facts: &Facts, state: &mut State) -> Option<(Entry, Leave)> {
        let now_ms = facts.now_ms();
        let mut operations = Vec::new();
        match self {
            Self::Lost => return None,
            Self::Ended(outcome) => state.steps.record_return(now_ms, outcome),
            Self::SetBack { checkpoint, cause } => {
                operations.extend(abandoned(facts, state, checkpoint.number()));
                checkpoint.record_trap(state, cause, now_ms);
            }
            Self::Suspended | Self::TakenBack | Self::Halted(_) | Self::Failed(_) | Self::Canceled => {}
        }
        let cause = match self {
            Self::Halted(failure) | Self::Failed(failure) => Some(failure),
            _ => None,
        };
        state.budget.note_error(cause.cloned());
        let fulfill = |outcome: &Result<String, GuestError>| {
            let (state, value) = everstep_store::value_of(outcome);
            Leave::Fulfill(state, value)
        };
        let leave = match self {
            Self::Ended(outcome) => fulfill(outcome),
            Self::Failed(failure) => fulfill(&Err(halted(failure))),
            Self::Halted(_) => Leave::Halt,
            Self::Suspended => {
                let awaited = state.awaited();
                operations.extend(timers(facts, state, &awaited));
                Leave::Suspend(awaited.iter().map(|number| facts.id_of(*number)).collect())
            }
            Self::TakenBack | Self::SetBack { .. } | Self::Canceled | Self::Lost => Leave::Stay,
        };
        // Calls that it made at the very end are ended with it.
        if let Self::Ended(_) | Self::Failed(_) | Self::Canceled = self {
            operations.extend(abandoned(facts, state, 0));
        }
        // After a divergence the journal stays as it is: the component does something else.
        if cause.is_none_or(|cause| cause.kind != FailureKind::Divergence) {
            if let Some(failure) = cause {
                state.steps.record_halt(failure, now_ms);
            }
            state.record_use(now_ms);
        }
        let progress = Some(state.keep_progress(now_ms));
        let (records, output) = (state.steps.take_tail(), state.unsent.take_output());
        Some((Entry { records, progress, operations, output, ..Entry::default() }, leave))
    }
}

/// Ends what is no longer waited for, from the step `first` on: open questions, and the executions that this one has called.
fn abandoned(facts: &Facts, state: &State, first: u64) -> Vec<Operation> {
    let stored = state.promises.stored().filter(|number| *number >= first);
    stored.map(|number| facts.cancellation(number)).collect()
}

/// Turns the timers that an execution waits for into promises of the store, which fires them.
fn timers(facts: &Facts, state: &State, awaited: &BTreeSet<u64>) -> Vec<Operation> {
    let timers = awaited.iter().filter_map(|number| Some((*number, state.promises.get(*number)?)));
    let timers = timers.filter(|(_, promise)| !promise.is_stored()).map(|(number, promise)| {
        let mut tags = BTreeMap::from([(tag::PARENT.to_owned(), facts.id.to_string())]);
        if promise.role == Role::Timer {
            tags.insert(tag::TIMER.to_owned(), "true".to_owned());
        }
        let timeout_at = promise.deadline_ms.unwrap_or(NEVER);
        let id = facts.id_of(number);
        Operation::PromiseCreate(NewPromise { id, timeout_at, param: Value::default(), tags: tags.into() })
    });
    timers.collect()
}
