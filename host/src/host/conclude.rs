//! How a run ended, written down: the outcome of its promise, or what its task waits for.

use super::{Error, Everstep, Report};
use crate::bridge::{Bridge, State, Stop, failing_halted, halted};
use crate::capability::FAIL_ON_HALT;
use crate::guest_error::GuestError;
use crate::id::{ExecutionId, PromiseId};
use crate::turns::Ending;
use everstep_store::journal::{History, Record, Role};
use everstep_store::operation::{NewPromise, Operation};
use everstep_store::record::{NEVER, Value, tag};
use everstep_store::seam::{Entry, Leave, Left, Lost};
use everstep_store::{Failure, FailureKind};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is left to do after a run.
pub(super) enum Concluded {
    /// Nothing: this is what it came to.
    Over(Report),
    /// What it waits for is there by now, or it goes on at a checkpoint.
    GoOn,
    /// It goes on at its last recorded call, interrupted.
    TakenBack,
    /// Whoever has taken the execution from this host.
    Lost,
}

/// How a run leaves its execution.
enum Rest {
    /// The function returned, or cannot.
    Ended(Result<String, GuestError>),
    Suspended,
    TakenBack,
    /// It trapped, and goes on at a checkpoint.
    SetBack {
        checkpoint: u64,
        cause: String,
    },
    Halted(Failure),
    /// It would halt, and its caller wants it to fail then.
    Failed(Failure),
    /// It had been ended from outside.
    Canceled,
    /// It was taken away: nothing is written.
    Lost,
}

impl Everstep {
    /// Makes the end of a run durable.
    ///
    /// # Errors
    /// The store failed; what it holds is what it had acknowledged.
    pub(super) async fn conclude(&self, bridge: &Arc<Bridge>, ending: Ending) -> Result<Concluded, Error> {
        let rest = match Rest::of(ending)? {
            Rest::Halted(failure) if self.fails_on_halt(&bridge.id).await? => Rest::Failed(failure),
            rest => rest,
        };
        if let Rest::Ended(..) | Rest::Failed(..) = rest {
            bridge.note_return();
        }
        let (entry, leave, replayed, steps) = {
            let mut state = bridge.state();
            bridge.conclude(&mut state);
            let now_ms = self.inner.clock.now_ms();
            let Some((entry, leave)) = rest.entry(bridge, &mut state, now_ms) else { return Ok(Concluded::Lost) };
            (entry, leave, state.replayed, state.progress.steps)
        };
        let left = match bridge.ledger.leave(entry, leave).await {
            Ok(left) => left,
            Err(Lost::Claim) => return Ok(Concluded::Lost),
            Err(lost) => return Err(Error::Store(lost.into())),
        };
        match (&rest, left) {
            (Rest::TakenBack, _) => return Ok(Concluded::TakenBack),
            (Rest::SetBack { .. }, _) | (Rest::Suspended, Left::GoOn) => return Ok(Concluded::GoOn),
            _ => {}
        }
        if let Rest::Halted(_) = rest {
            self.inner.live.note_halted(&bridge.id);
        }
        // The wish may have come while it halted.
        let failed = matches!(rest, Rest::Halted(_)) && self.fail_halted(&bridge.id).await?;
        if let (Some(ours), Left::AsSaid, false) = (rest.report(bridge, steps), left, failed) {
            return Ok(Concluded::Over(Report { replayed, ..ours }));
        }
        // Somebody else has ended it.
        let stored = self.inner.store.execution(&bridge.id).await?;
        let execution = stored.ok_or_else(|| Error::UnknownExecution(bridge.id.clone()))?;
        Ok(Concluded::Over(Report { replayed, ..Report::stored(&execution) }))
    }

    /// Whether the caller of an execution wants it to fail when it halts: its journal says so.
    async fn fails_on_halt(&self, id: &ExecutionId) -> Result<bool, Error> {
        let Some(PromiseId { execution: caller, number }) = id.parent() else { return Ok(false) };
        let store = &self.inner.store;
        let Some(caller) = store.execution(&caller).await? else { return Ok(false) };
        // A journal that is damaged is told of when its execution is taken up.
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

    /// Has an execution fail that has halted, if its caller wants that; returns whether it has.
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

impl Rest {
    fn of(ending: Ending) -> Result<Self, Error> {
        let halted = |kind, message| Ok(Self::Halted(Failure { kind, message }));
        Ok(match ending {
            Ending::Returned(outcome) => Self::Ended(outcome),
            Ending::Trapped { message, limit } => {
                let kind = if limit { FailureKind::Limit } else { FailureKind::Trap };
                return halted(kind, message);
            }
            Ending::SetBack { checkpoint, cause } => Self::SetBack { checkpoint, cause },
            Ending::Stopped(stop) => match stop {
                Stop::Suspended => Self::Suspended,
                Stop::TakenBack => Self::TakenBack,
                // A replay is never concluded; if it were, nothing of it should be kept.
                Stop::Canceled | Stop::Replayed => Self::Canceled,
                Stop::Store(error) => return Err(Error::Store(error)),
                Stop::Lost => Self::Lost,
                Stop::Divergence(divergence) => return halted(FailureKind::Divergence, divergence.to_string()),
                Stop::Limit(message) | Stop::PartLimit(message) => return halted(FailureKind::Limit, message),
                Stop::InDoubt(message) => return halted(FailureKind::InDoubt, message),
                Stop::Unhandled(error) => Self::Ended(Err(error)),
                Stop::Corrupted(error) => return halted(FailureKind::Corrupted, error.to_string()),
                Stop::Contract(message) => return halted(FailureKind::Trap, message),
                Stop::Trap(error) => return halted(FailureKind::Trap, error.to_string()),
            },
        })
    }

    /// What it comes to if nobody has ended it otherwise; none if somebody has.
    fn report(&self, bridge: &Bridge, steps: u64) -> Option<Report> {
        let (state, result, error) = match self {
            Self::Ended(Ok(result)) => (everstep_store::State::Completed, Some(result.clone()), None),
            Self::Ended(Err(error)) => (everstep_store::State::Failed, None, Some(error.clone().into())),
            Self::Suspended => (everstep_store::State::Suspended, None, None),
            Self::Halted(failure) => (everstep_store::State::Halted, None, Some(failure.clone())),
            Self::Failed(failure) => (everstep_store::State::Failed, None, Some(failure.clone())),
            Self::TakenBack | Self::SetBack { .. } | Self::Canceled | Self::Lost => return None,
        };
        let (id, wall) = (bridge.id.clone(), std::time::Duration::ZERO);
        Some(Report { id, state, result, error, steps, replayed: 0, wall })
    }

    /// Everything recorded, how far the execution is, and what becomes of its promises and its task. None of what was taken away.
    fn entry(&self, bridge: &Bridge, state: &mut State, now_ms: u64) -> Option<(Entry, Leave)> {
        let mut operations = Vec::new();
        match self {
            Self::Lost => return None,
            Self::Ended(outcome) => record_return(state, now_ms, outcome),
            Self::SetBack { checkpoint, cause } => {
                operations.extend(abandoned(bridge, state, *checkpoint));
                state.record_trap(*checkpoint, cause, now_ms);
            }
            Self::Suspended | Self::TakenBack | Self::Halted(_) | Self::Failed(_) | Self::Canceled => {}
        }
        state.progress.error = match self {
            Self::Halted(failure) | Self::Failed(failure) => Some(failure.clone()),
            _ => None,
        };
        let fulfill = |outcome: &Result<String, GuestError>| {
            let (state, value) = everstep_store::value_of(outcome);
            Leave::Fulfill(state, value)
        };
        let leave = match self {
            Self::Ended(outcome) => fulfill(outcome),
            Self::Failed(failure) => fulfill(&Err(halted(failure))),
            Self::Halted(_) => Leave::Halt,
            Self::Suspended => {
                let awaited = awaited(state);
                operations.extend(timers(bridge, state, &awaited));
                Leave::Suspend(awaited.iter().map(|number| bridge.id.promise(*number).to_string()).collect())
            }
            Self::TakenBack | Self::SetBack { .. } | Self::Canceled | Self::Lost => Leave::Stay,
        };
        // What it called in its last moment goes with it.
        if let Self::Ended(_) | Self::Failed(_) | Self::Canceled = self {
            operations.extend(abandoned(bridge, state, 0));
        }
        let cause = state.progress.error.clone();
        // A component that does something else leaves a journal as it is.
        let is_of_the_component = |cause: &Failure| cause.kind == FailureKind::Divergence;
        if !cause.as_ref().is_some_and(is_of_the_component) {
            if let Some(Failure { kind, message }) = cause {
                // Names always serialise.
                let kind = Cow::Owned(serde_json::to_string(&kind).unwrap_or_default());
                let at_ms = state.tick(now_ms);
                state.journal.append(&Record::Halted { at_ms, kind, message: Cow::Owned(message) });
            }
            state.record_use(now_ms);
        }
        let progress = Some(state.keep_progress(now_ms));
        let (records, output) = (state.journal.take_tail(), std::mem::take(&mut state.output));
        Some((Entry { records, progress, operations, output, ..Entry::default() }, leave))
    }
}

fn record_return(state: &mut State, now_ms: u64, outcome: &Result<String, GuestError>) {
    if state.returned {
        return;
    }
    let at_ms = state.tick(now_ms);
    let outcome = outcome.as_ref().map(|json| json.as_bytes().into()).map_err(Clone::clone);
    state.journal.append(&Record::Returned { at_ms, outcome });
}

/// Ends what nobody waits for any more, from the step `first` on: open questions, and the executions that this one has called.
fn abandoned<'a>(bridge: &'a Bridge, state: &'a State, first: u64) -> impl Iterator<Item = Operation> + use<'a> {
    state
        .stored()
        .filter(move |number| *number >= first)
        .map(|number| Operation::CancelTree { id: bridge.id.promise(number).to_string() })
}

/// The promises that an execution waits for: instead of a call that is not approved yet, its approval, or the one like it that is shown.
fn awaited(state: &State) -> BTreeSet<u64> {
    let pending = state.promises.iter().filter(|(_, promise)| promise.outcome.is_none()).map(|(number, _)| *number);
    let wanted = |number: &u64| state.waits_for.as_ref().is_none_or(|wanted| wanted.contains(number));
    let approval = |number: u64| state.promises.get(&number).and_then(|promise| promise.gated_by).unwrap_or(number);
    let shown = |number: u64| {
        let approval = state.promises.get(&number).filter(|promise| promise.queued)?.approval.as_ref()?;
        state.leader(approval)
    };
    pending.filter(wanted).map(approval).map(|number| shown(number).unwrap_or(number)).collect()
}

/// The timers that an execution waits for become promises of the store, which fires them.
fn timers<'a>(
    bridge: &'a Bridge,
    state: &'a State,
    awaited: &'a BTreeSet<u64>,
) -> impl Iterator<Item = Operation> + use<'a> {
    let timers = awaited.iter().filter_map(|number| Some((*number, state.promises.get(number)?)));
    timers.filter(|(_, promise)| !promise.is_stored()).map(|(number, promise)| {
        let tags = [(tag::TIMER, "true"), (tag::PARENT, bridge.id.as_str())];
        let mut tags: BTreeMap<String, String> =
            tags.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        if promise.role != Role::Timer {
            tags.remove(tag::TIMER);
        }
        let timeout_at = promise.deadline_ms.unwrap_or(NEVER);
        let id = bridge.id.promise(number).to_string();
        Operation::PromiseCreate(NewPromise { id, timeout_at, param: Value::default(), tags })
    })
}
