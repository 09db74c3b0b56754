//! Writes down how a run ended: the outcome of its promise, or what its task waits for.

use super::{Error, Everstep, Report};
use crate::bridge::{Bridge, Parted, Parting, Stop, failing_halted};
use crate::capability::FAIL_ON_HALT;
use crate::id::{ExecutionId, PromiseId};
use crate::turns::{Ending, exit_code};
use everstep_store::journal::{History, Record};
use everstep_store::seam::{Left, Lost};
use everstep_store::{Failure, FailureKind, State};
use everstep_words::telemetry::Ended;
use std::sync::Arc;

/// The next action after a run.
pub(super) enum Concluded {
    /// None: this is the report.
    Over(Report),
    /// Resume the execution: what it waits for has settled by now, it resumes at a checkpoint, or its audit log could not be written.
    GoOn,
    /// Resume it at its last recorded call, interrupted.
    TakenBack,
    /// None: another host has taken the execution.
    Lost,
}

impl Everstep {
    /// Makes the end of a run durable.
    ///
    /// # Errors
    /// The store failed; what it holds is what it had acknowledged.
    pub(super) async fn conclude(&self, bridge: &Arc<Bridge>, ending: Ending) -> Result<Concluded, Error> {
        let parting = match parting(ending)? {
            Parting::Halted(failure) if self.fails_on_halt(&bridge.facts.id).await? => Parting::Failed(failure),
            parting => parting,
        };
        if let Parting::Ended(..) | Parting::Failed(..) = parting {
            bridge.note_return();
        }
        let Some(parted) = bridge.part(&parting) else { return Ok(Concluded::Lost) };
        let Parted { entry, leave, replayed, steps } = parted;
        let leaving = bridge.facts.ledger.leave(entry, leave);
        let left = match bridge.facts.trace.barrier(leaving).await {
            Ok(left) => left,
            Err(Lost::Claim) => return Ok(Concluded::Lost),
            Err(Lost::Unlogged) => return Ok(Concluded::GoOn),
            Err(lost) => return Err(Error::Store(lost.into())),
        };
        match (&parting, left) {
            (Parting::TakenBack, _) => return Ok(Concluded::TakenBack),
            (Parting::SetBack { .. }, _) | (Parting::Suspended, Left::GoOn) => return Ok(Concluded::GoOn),
            _ => {}
        }
        if let Parting::Halted(_) = parting {
            self.inner.live.note_halted(&bridge.facts.id);
        }
        // The caller's wish may have come while the execution halted.
        let failed = matches!(parting, Parting::Halted(_)) && self.fail_halted(&bridge.facts.id).await?;
        if let (Some(ours), Left::AsSaid, false) = (report(&parting, bridge, steps), left, failed) {
            return Ok(Concluded::Over(Report { replayed, ..ours }));
        }
        // The execution was ended otherwise.
        let stored = self.inner.store.execution(&bridge.facts.id).await?;
        let execution = stored.ok_or_else(|| Error::UnknownExecution(bridge.facts.id.clone()))?;
        Ok(Concluded::Over(Report { replayed, ..Report::stored(&execution) }))
    }

    /// Whether the caller of an execution wants it to fail when it halts, according to the caller's journal.
    async fn fails_on_halt(&self, id: &ExecutionId) -> Result<bool, Error> {
        let Some(PromiseId { execution: caller, number }) = id.parent() else { return Ok(false) };
        let store = &self.inner.store;
        let Some(caller) = store.execution(&caller).await? else { return Ok(false) };
        // A damaged journal is reported when its execution is resumed.
        let journal = match store.journal(&caller).await {
            Err(everstep_store::Error::Foreign { .. }) => return Ok(false),
            journal => journal?.0,
        };
        let Ok(history) = History::load(journal) else { return Ok(false) };
        let subject = number.to_string();
        let mut called = history.called().map_while(Result::ok);
        Ok(called.any(|record| match record {
            Record::Called { call, .. } => call.kind == FAIL_ON_HALT && call.subject == subject.as_str(),
            _ => false,
        }))
    }

    /// Makes a halted execution fail, if its caller wants that; returns whether it has.
    pub(super) async fn fail_halted(&self, id: &ExecutionId) -> Result<bool, Error> {
        if !self.fails_on_halt(id).await? {
            return Ok(false);
        }
        let Some(failing) = failing_halted(&*self.inner.store, id).await? else { return Ok(false) };
        for operation in failing {
            self.inner.store.operate(operation).await?;
        }
        Ok(true)
    }
}

/// How a run ended, in the words of a trace.
pub(super) fn how_ended(concluded: &Result<Concluded, Error>, bridge: &Bridge) -> Ended {
    match concluded {
        Ok(Concluded::Over(report)) => match report.state {
            State::Completed => Ended::Completed,
            State::Failed => Ended::Failed,
            State::Halted => Ended::Halted,
            State::Canceled => Ended::Canceled,
            State::Pending | State::Running | State::Suspended => Ended::Suspended,
        },
        Ok(Concluded::GoOn | Concluded::TakenBack) => Ended::Resumed,
        // With its end the execution has no claim any more.
        Ok(Concluded::Lost) if bridge.is_canceled() => Ended::Canceled,
        Ok(Concluded::Lost) => Ended::Lost,
        Err(_) => Ended::Broken,
    }
}

/// The reason that a run failed or halted.
pub(super) fn failure(concluded: &Result<Concluded, Error>) -> Option<&Failure> {
    match concluded {
        Ok(Concluded::Over(report)) => report.error.as_ref(),
        _ => None,
    }
}

/// How a run with this ending leaves its execution.
fn parting(ending: Ending) -> Result<Parting, Error> {
    let halted = |kind, message| Ok(Parting::Halted(Failure { kind, message }));
    Ok(match ending {
        Ending::Returned(outcome) => Parting::Ended(outcome),
        Ending::Trapped { message, limit } => {
            let kind = if limit { FailureKind::Limit } else { FailureKind::Trap };
            return halted(kind, message);
        }
        Ending::SetBack { checkpoint, cause } => Parting::SetBack { checkpoint, cause },
        Ending::Stopped(stop) => match stop {
            Stop::Suspended => Parting::Suspended,
            // What it did since its last write is undone.
            Stop::TakenBack | Stop::Unlogged => Parting::TakenBack,
            // A replay is never concluded; if it were, nothing of it should be kept.
            Stop::Canceled | Stop::Replayed => Parting::Canceled,
            Stop::Store(error) => return Err(Error::Store(error)),
            Stop::Lost => Parting::Lost,
            Stop::Divergence(divergence) => return halted(FailureKind::Divergence, divergence.to_string()),
            Stop::Limit(message) | Stop::PartLimit(message) => return halted(FailureKind::Limit, message),
            Stop::Image(message) => return halted(FailureKind::Load, message),
            Stop::InDoubt(message) => return halted(FailureKind::InDoubt, message),
            Stop::Unhandled(error) => Parting::Ended(Err(error)),
            Stop::Corrupted(error) => return halted(FailureKind::Corrupted, error.to_string()),
            Stop::Contract(message) => return halted(FailureKind::Trap, message),
            Stop::Trap(error) => return halted(FailureKind::Trap, error.to_string()),
        },
    })
}

/// The report of a run, if the execution was not ended otherwise; `None` if it was, or if it resumes.
fn report(parting: &Parting, bridge: &Bridge, steps: u64) -> Option<Report> {
    let (state, result, error) = match parting {
        Parting::Ended(Ok(result)) => (State::Completed, Some(result.clone()), None),
        Parting::Ended(Err(error)) => (State::Failed, None, Some(error.clone().into())),
        Parting::Suspended => (State::Suspended, None, None),
        Parting::Halted(failure) => (State::Halted, None, Some(failure.clone())),
        Parting::Failed(failure) => (State::Failed, None, Some(failure.clone())),
        Parting::TakenBack | Parting::SetBack { .. } | Parting::Canceled | Parting::Lost => return None,
    };
    let (id, wall) = (bridge.facts.id.clone(), std::time::Duration::ZERO);
    let exit_code = exit_code(&bridge.facts.function, state, error.as_ref());
    Some(Report { id, state, result, error, exit_code, steps, replayed: 0, wall })
}
