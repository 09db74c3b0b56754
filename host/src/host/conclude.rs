//! How a run ended, written down: state, result, and what nobody needs to wait for any more.

use super::{Error, Everstep};
use crate::bridge::{Bridge, State, Stop};
use crate::journal::{Record, Role};
use crate::store::{self, Change, Failure, FailureKind, Progress};
use crate::worker::Ending;
use std::sync::Arc;

impl Everstep {
    /// Makes the end of a run durable and returns the final progress and the number of replayed steps.
    ///
    /// # Errors
    /// The store failed; what it holds is what it had acknowledged.
    pub(super) async fn conclude(&self, bridge: &Arc<Bridge>, ending: Ending) -> Result<(Progress, u64), Error> {
        let barrier = {
            let mut state = bridge.state();
            state.concluded = true;
            state.stop_effects();
            let (end, failure) = match ending {
                Ending::Returned(outcome) => {
                    record_return(&mut state, self.inner.clock.now_ms(), &outcome);
                    match outcome {
                        Ok(result) => {
                            state.progress.result = Some(result);
                            (store::State::Completed, None)
                        }
                        Err(error) => (store::State::Failed, Some(Failure::from(error))),
                    }
                }
                Ending::Trapped { message, limit } => {
                    let kind = if limit { FailureKind::Limit } else { FailureKind::Trap };
                    (store::State::Failed, Some(Failure { kind, message }))
                }
                Ending::Stopped(stop) => stopped(stop)?,
            };
            state.progress.state = end;
            state.progress.error = failure;
            let closed = if end.is_final() { close_promises(&mut state) } else { Vec::new() };
            let progress = state.keep_progress(self.inner.clock.now_ms());
            bridge.submit(&mut state, closed.into_iter().chain([progress]))
        };
        bridge.durable(barrier).await?;
        let state = bridge.state();
        Ok((state.progress.clone(), state.replayed))
    }
}

fn stopped(stop: Stop) -> Result<(store::State, Option<Failure>), Error> {
    let halted = |kind, message| Ok((store::State::Halted, Some(Failure { kind, message })));
    match stop {
        Stop::Suspended => Ok((store::State::Suspended, None)),
        Stop::Canceled => Ok((store::State::Canceled, None)),
        Stop::Store(error) => Err(Error::Store(error)),
        Stop::Divergence(divergence) => halted(FailureKind::Divergence, divergence.to_string()),
        Stop::Limit(message) => halted(FailureKind::Limit, message),
        Stop::InDoubt(message) => halted(FailureKind::InDoubt, message),
        Stop::Unhandled(error) => Ok((store::State::Failed, Some(Failure::from(error)))),
        Stop::Corrupted(error) => halted(FailureKind::Corrupted, error.to_string()),
        Stop::Contract(message) => halted(FailureKind::Trap, message),
        Stop::Trap(error) => halted(FailureKind::Trap, error.to_string()),
    }
}

fn record_return(state: &mut State, now_ms: u64, outcome: &Result<String, crate::guest_error::GuestError>) {
    if state.returned {
        return;
    }
    let at_ms = state.tick(now_ms);
    let outcome = outcome.as_ref().map(|json| json.as_bytes().into()).map_err(Clone::clone);
    state.journal.append(&Record::Returned { at_ms, outcome });
}

/// Promises that nobody waits for any more are not offered to anybody.
pub(super) fn close_promises(state: &mut State) -> Vec<Change> {
    let key = state.journal.key();
    let open = state.promises.iter().filter(|(_, promise)| promise.outcome.is_none() && promise.role != Role::Timer);
    open.map(|(number, _)| Change::Settled(key, *number)).collect()
}
