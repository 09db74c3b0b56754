//! Answers from outside, and the end from outside.

use super::live::{Claim, Claimed};
use super::{Error, Everstep};
use crate::bridge::{Bridge, Settlement, State};
use crate::guest_error::GuestError;
use crate::id::{ExecutionId, PromiseId};
use crate::journal::Role;
use crate::store::{self, Change, Progress};
use std::sync::Arc;

impl Everstep {
    /// Settles a promise that waits for somebody outside: an input, an external promise, or a request that a client serves.
    /// Returns once that is durable. The same outcome again changes nothing and is no error.
    ///
    /// # Errors
    /// Nobody waits for it, somebody settled it otherwise, its deadline has passed, its execution has ended, or the outcome is
    /// not JSON. Nothing is changed then.
    pub async fn settle(&self, id: &PromiseId, outcome: Result<String, GuestError>) -> Result<(), Error> {
        if let Ok(json) = &outcome
            && let Err(error) = serde_json::from_str::<&serde_json::value::RawValue>(json)
        {
            return Err(Error::InvalidOutcome { id: id.clone(), reason: format!("not JSON: {error}") });
        }
        loop {
            match self.inner.live.claim(&id.execution).await {
                Claimed::Running(mut running) => match self.settle_running(&running.bridge, id, outcome.clone())? {
                    Settlement::Settled(ticket) | Settlement::Same(ticket) => {
                        return Ok(running.bridge.durable(ticket).await?);
                    }
                    Settlement::Over => drop(running.ended().await),
                    Settlement::Other => return Err(Error::AlreadySettled(id.clone())),
                    Settlement::Unknown => return Err(Error::UnknownPromise(id.clone())),
                },
                Claimed::Free(claim) => {
                    let (host, id) = (self.clone(), id.clone());
                    return whole(async move { host.settle_at_rest(claim, &id, outcome).await }).await;
                }
            }
        }
    }

    fn settle_running(
        &self,
        bridge: &Arc<Bridge>,
        id: &PromiseId,
        outcome: Result<String, GuestError>,
    ) -> Result<Settlement, Error> {
        {
            let state = bridge.state();
            if state.concluded {
                return Ok(Settlement::Over);
            }
            check_open_promise(&state, id, self.inner.clock.now_ms())?;
        }
        check_size(&outcome, bridge.grants.policy.limits.bytes_per_call, id)?;
        Ok(bridge.settle(id.number, outcome))
    }

    /// Settles a promise of an execution that nobody runs.
    async fn settle_at_rest(
        &self,
        _claim: Claim,
        id: &PromiseId,
        outcome: Result<String, GuestError>,
    ) -> Result<(), Error> {
        let Some(execution) = self.inner.committer.store().execution(&id.execution)? else {
            return Err(Error::UnknownPromise(id.clone()));
        };
        check_open(&execution)?;
        let mut state = self.inner.state(&execution)?;
        let now_ms = self.inner.clock.now_ms();
        check_open_promise(&state, id, now_ms)?;
        let limits = self.inner.stored_policy(&execution)?.limits;
        check_size(&outcome, limits.bytes_per_call, id)?;
        if let Some(settled) = state.promises.get(&id.number).and_then(|promise| promise.outcome.as_ref()) {
            return if *settled == outcome { Ok(()) } else { Err(Error::AlreadySettled(id.clone())) };
        }
        let index = state.record_settlement(id.number, outcome, now_ms);
        let changes = state.journal.take_segment().into_iter().chain(index);
        let ticket = self.inner.committer.submit(changes, Vec::new());
        Ok(self.inner.committer.durable(ticket).await?)
    }

    /// Ends an execution. Returns once that is durable.
    ///
    /// # Errors
    /// There is no such execution, or it has ended.
    pub async fn cancel(&self, id: &ExecutionId) -> Result<(), Error> {
        loop {
            match self.inner.live.claim(id).await {
                Claimed::Running(mut running) => {
                    running.bridge.cancel();
                    match running.ended().await {
                        Some(Ok(report)) if report.state == store::State::Canceled => return Ok(()),
                        Some(Ok(report)) if report.state.is_final() => return Err(ended(id, report.state)),
                        Some(Err(error)) => {
                            return Err(Error::Store(store::Error::Poisoned(error.to_string())));
                        }
                        // It came to rest before it saw the cancellation.
                        Some(Ok(_)) | None => {}
                    }
                }
                Claimed::Free(claim) => {
                    let (host, id) = (self.clone(), id.clone());
                    return whole(async move { host.cancel_at_rest(claim, &id).await }).await;
                }
            }
        }
    }

    async fn cancel_at_rest(&self, _claim: Claim, id: &ExecutionId) -> Result<(), Error> {
        let store = self.inner.committer.store();
        let execution = store.execution(id)?.ok_or_else(|| Error::UnknownExecution(id.clone()))?;
        check_open(&execution)?;
        // Not from its journal, which may be what is wrong with it.
        let open = store.promises()?.into_iter().filter(|promise| promise.id.execution == *id);
        let closed = open.map(|promise| Change::Settled(execution.key, promise.id.number));
        let updated_ms = self.inner.clock.now_ms().max(execution.progress.updated_ms);
        let progress = Progress { state: store::State::Canceled, error: None, updated_ms, ..execution.progress };
        let ended = Change::Progress(execution.key, Box::new(progress));
        let ticket = self.inner.committer.submit(closed.chain([ended]), Vec::new());
        Ok(self.inner.committer.durable(ticket).await?)
    }
}

/// Does something under a claim to its end, also when the caller gives up waiting: what is submitted must be in the store
/// before the next one reads it.
async fn whole(change: impl Future<Output = Result<(), Error>> + Send + 'static) -> Result<(), Error> {
    let lost = |error: tokio::task::JoinError| Err(Error::Store(store::Error::Poisoned(error.to_string())));
    tokio::spawn(change).await.unwrap_or_else(lost)
}

fn check_open(execution: &store::Execution) -> Result<(), Error> {
    let state = execution.progress.state;
    if state.is_final() { Err(ended(&execution.id, state)) } else { Ok(()) }
}

fn ended(id: &ExecutionId, state: store::State) -> Error {
    Error::Ended { id: id.clone(), state: state.name() }
}

/// A promise of that execution that somebody outside may settle still.
fn check_open_promise(state: &State, id: &PromiseId, now_ms: u64) -> Result<(), Error> {
    match state.promises.get(&id.number) {
        None => Err(Error::UnknownPromise(id.clone())),
        Some(promise) if promise.role == Role::Timer => Err(Error::NotSettledFromOutside(id.clone())),
        Some(promise) if promise.outcome.is_none() && promise.deadline_ms.is_some_and(|at_ms| at_ms <= now_ms) => {
            Err(Error::DeadlinePassed(id.clone()))
        }
        Some(_) => Ok(()),
    }
}

fn check_size(outcome: &Result<String, GuestError>, limit: u64, id: &PromiseId) -> Result<(), Error> {
    let size = match outcome {
        Ok(json) => json.len(),
        Err(error) => error.message.len(),
    } as u64;
    if size <= limit {
        return Ok(());
    }
    let reason = format!("it has {size} bytes, limits.bytes_per_call is {limit}");
    Err(Error::InvalidOutcome { id: id.clone(), reason })
}
