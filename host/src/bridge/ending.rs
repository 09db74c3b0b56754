//! How a run leaves its execution, as written to the store: the outcome of its promise, or what its task waits for.

use super::calls::halted;
use super::{Bridge, State, Stop};
use crate::guest_error::GuestError;
use everstep_store::journal::{Record, Role};
use everstep_store::operation::{NewPromise, Operation};
use everstep_store::record::{NEVER, Value, tag};
use everstep_store::seam::{Entry, Leave};
use everstep_store::{Failure, FailureKind};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// How a run leaves its execution.
pub(crate) enum Parting {
    /// The function returned, or cannot return.
    Ended(Result<String, GuestError>),
    Suspended,
    TakenBack,
    /// The guest trapped, and resumes at a checkpoint.
    SetBack {
        checkpoint: u64,
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

impl Bridge {
    /// Takes the return of the function; if the journal holds it, both must agree.
    ///
    /// # Errors
    /// The journal continues with something else.
    pub(crate) fn take_return(&self, returned: Result<String, GuestError>) -> Result<Result<String, GuestError>, Stop> {
        self.state().take_return(returned)
    }

    /// Takes a trap of the guest, caused by a limit or not; returns the checkpoint to resume from, if there is one.
    ///
    /// # Errors
    /// The journal continues with something else.
    pub(crate) fn take_trap(&self, message: &str, limit: bool) -> Result<Option<u64>, Stop> {
        let mut state = self.state();
        state.expect_end(&format!("a trap ({message})"))?;
        Ok(state.set_back(limit))
    }

    /// Ends the run and its journal; `None` if another host took the execution.
    pub(crate) fn part(&self, parting: &Parting) -> Option<Parted> {
        let mut state = self.state();
        self.conclude_in(&mut state);
        let (entry, leave) = self.last_entry(&mut state, parting, self.facts.now_ms())?;
        Some(Parted { entry, leave, replayed: state.steps.replayed(), steps: state.budget.steps() })
    }

    fn last_entry(&self, state: &mut State, parting: &Parting, now_ms: u64) -> Option<(Entry, Leave)> {
        let mut operations = Vec::new();
        match parting {
            Parting::Lost => return None,
            Parting::Ended(outcome) => state.record_return(now_ms, outcome),
            Parting::SetBack { checkpoint, cause } => {
                operations.extend(self.abandoned(state, *checkpoint));
                state.record_trap(*checkpoint, cause, now_ms);
            }
            Parting::Suspended | Parting::TakenBack | Parting::Halted(_) | Parting::Failed(_) | Parting::Canceled => {}
        }
        let cause = match parting {
            Parting::Halted(failure) | Parting::Failed(failure) => Some(failure),
            _ => None,
        };
        state.budget.note_error(cause.cloned());
        let fulfill = |outcome: &Result<String, GuestError>| {
            let (state, value) = everstep_store::value_of(outcome);
            Leave::Fulfill(state, value)
        };
        let leave = match parting {
            Parting::Ended(outcome) => fulfill(outcome),
            Parting::Failed(failure) => fulfill(&Err(halted(failure))),
            Parting::Halted(_) => Leave::Halt,
            Parting::Suspended => {
                let awaited = state.awaited();
                operations.extend(self.timers(state, &awaited));
                Leave::Suspend(awaited.iter().map(|number| self.facts.id_of(*number)).collect())
            }
            Parting::TakenBack | Parting::SetBack { .. } | Parting::Canceled | Parting::Lost => Leave::Stay,
        };
        // Calls that it made at the very end are ended with it.
        if let Parting::Ended(_) | Parting::Failed(_) | Parting::Canceled = parting {
            operations.extend(self.abandoned(state, 0));
        }
        // After a divergence the journal stays as it is: the component does something else.
        if cause.is_none_or(|cause| cause.kind != FailureKind::Divergence) {
            if let Some(failure) = cause {
                state.record_halt(failure, now_ms);
            }
            state.record_use(now_ms);
        }
        let progress = Some(state.keep_progress(now_ms));
        let (records, output) = (state.steps.take_tail(), state.unsent.take_output());
        Some((Entry { records, progress, operations, output, ..Entry::default() }, leave))
    }

    /// Ends what is no longer waited for, from the step `first` on: open questions, and the executions that this one has called.
    fn abandoned(&self, state: &State, first: u64) -> Vec<Operation> {
        let stored = state.promises.stored().filter(|number| *number >= first);
        stored.map(|number| self.facts.cancellation(number)).collect()
    }

    /// Turns the timers that an execution waits for into promises of the store, which fires them.
    fn timers(&self, state: &State, awaited: &BTreeSet<u64>) -> Vec<Operation> {
        let timers = awaited.iter().filter_map(|number| Some((*number, state.promises.get(*number)?)));
        let timers = timers.filter(|(_, promise)| !promise.is_stored()).map(|(number, promise)| {
            let mut tags = BTreeMap::from([(tag::PARENT.to_owned(), self.facts.id.to_string())]);
            if promise.role == Role::Timer {
                tags.insert(tag::TIMER.to_owned(), "true".to_owned());
            }
            let timeout_at = promise.deadline_ms.unwrap_or(NEVER);
            let id = self.facts.id_of(number);
            Operation::PromiseCreate(NewPromise { id, timeout_at, param: Value::default(), tags })
        });
        timers.collect()
    }
}

impl State {
    fn record_return(&mut self, now_ms: u64, outcome: &Result<String, GuestError>) {
        if self.steps.has_returned() {
            return;
        }
        let at_ms = self.steps.tick(now_ms);
        let outcome = outcome.as_ref().map(|json| json.as_bytes().into()).map_err(Clone::clone);
        self.steps.append(&Record::Returned { at_ms, outcome });
    }

    fn record_halt(&mut self, cause: &Failure, now_ms: u64) {
        let Failure { kind, message } = cause;
        // Names always serialise.
        let kind = Cow::Owned(serde_json::to_string(kind).unwrap_or_default());
        let at_ms = self.steps.tick(now_ms);
        self.steps.append(&Record::Halted { at_ms, kind, message: Cow::Borrowed(message) });
    }

    /// The promises that an execution waits for. A call that is not approved yet is replaced by its approval, or by the identical approval
    /// that is shown.
    fn awaited(&self) -> BTreeSet<u64> {
        let approval = |number: u64| self.promises.get(number).and_then(|promise| promise.gated_by).unwrap_or(number);
        let shown = |number: u64| {
            let approval = self.promises.get(number).filter(|promise| promise.queued)?.approval.as_ref()?;
            self.leader(approval)
        };
        self.promises.waited_for().map(approval).map(|number| shown(number).unwrap_or(number)).collect()
    }
}
