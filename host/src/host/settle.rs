//! Settles, cancels and interrupts from outside.

use super::relocate::check_is_here;
use super::{Error, Everstep};
use crate::bridge::{Patience, check_fit, check_size};
use crate::guest_error::GuestError;
use crate::id::{ExecutionId, PromiseId};
use crate::policy;
use everstep_store::journal::{History, Record, Role};
use everstep_store::operation::{Event, NewPromise, Operation, Reply, Settlement};
use everstep_store::record::{NEVER, Promise, PromiseState, Tags, Value};
use everstep_store::{Execution, PendingPromise, PromiseKind, State};

/// The result of a cancellation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancellation {
    /// The execution, and what it had called, was canceled.
    Canceled,
    /// The same, but these had asked for time to clean up and could not be run for it; each with the cause.
    Uncleaned(Vec<(ExecutionId, String)>),
    /// The execution had ended before, in that state; nothing was changed.
    HadEnded(State),
}

impl Everstep {
    /// Settles a promise from outside: an input, an external promise, or a request that a client serves. Returns once that
    /// is durable. Repeating the same outcome changes nothing and is no error.
    ///
    /// # Errors
    /// There is no such open promise, it was settled otherwise, its deadline has passed, its execution has ended, or the
    /// outcome is not JSON, too large, or does not fit the schema of the promise. Nothing is changed then.
    pub async fn settle(&self, id: &PromiseId, outcome: Result<String, GuestError>) -> Result<(), Error> {
        self.work();
        let store = &self.inner.store;
        let execution = store.execution(&id.execution).await?;
        let execution = execution.ok_or_else(|| Error::UnknownExecution(id.execution.clone()))?;
        check_is_here(&execution)?;
        let now_ms = self.inner.clock.now_ms();
        let mut lost_request = None;
        let (state, value) = everstep_store::value_of(&outcome);
        let schema = match store.promise(&id.to_string()).await? {
            Some((promise, _)) => {
                let asked = check_open(&execution, id, &promise)?;
                // A settled promise is reported as such, whatever is wrong with the outcome.
                match promise.state {
                    PromiseState::Pending if promise.is_due(now_ms) => return Err(Error::DeadlinePassed(id.clone())),
                    PromiseState::Pending => asked.schema,
                    settled if (settled, &promise.value) == (state, &value) => return Ok(()),
                    _ => return Err(self.too_late(id, &promise).await?),
                }
            }
            None => {
                lost_request = Some(self.lost_request(&execution, id).await?);
                None
            }
        };
        let limit = match self.inner.grants.known(&execution.policy) {
            Some(grants) => grants.policy.limits.bytes_per_call,
            None => self.inner.stored_policy(&execution).await?.limits.bytes_per_call,
        };
        let fits = check_size(&outcome, limit).and_then(|()| check_fit(schema.as_deref(), &outcome));
        fits.map_err(|reason| Error::InvalidOutcome { id: id.clone(), reason })?;
        let settlement = Settlement { id: id.to_string(), state, value: value.clone() };
        if let Some(create) = lost_request {
            store.operate(create).await?;
        }
        match store.operate(Operation::PromiseSettle(settlement)).await?.answer {
            Ok(Reply::Promise(promise)) if (promise.state, &promise.value) == (state, &value) => Ok(()),
            Ok(Reply::Promise(promise)) => Err(self.too_late(id, &promise).await?),
            Ok(_) | Err(_) => Err(Error::UnknownPromise(id.clone())),
        }
    }

    /// Finds a request to a capability of a host that is gone. It has no promise in the store yet; an operator may answer it while
    /// the execution is not running.
    async fn lost_request(&self, execution: &Execution, id: &PromiseId) -> Result<Operation, Error> {
        let unknown = || Error::UnknownPromise(id.clone());
        let (bytes, _) = self.inner.store.journal(execution).await?;
        let corrupted = |source| Error::Corrupted { id: execution.id.clone(), source };
        let history = History::load(bytes).map_err(corrupted)?;
        let mut role = None;
        for record in history.called() {
            if let Record::Called { call, role: found, .. } = record.map_err(corrupted)?
                && call.number == id.number
            {
                role = Some(found);
            }
        }
        let settled = history.settlement(id.number).map_err(corrupted)?.is_some();
        match role {
            // A promise that the store keeps is written with the record of its step: it was not there a moment ago.
            None | Some(Role::Effect | Role::External | Role::Child) => Err(unknown()),
            Some(Role::Request) if settled => Err(Error::AlreadySettled(id.clone())),
            Some(Role::Request) if execution.state == State::Halted => Ok(Operation::PromiseCreate(NewPromise {
                id: id.to_string(),
                timeout_at: NEVER,
                param: Value::default(),
                tags: Tags::default(),
            })),
            Some(Role::Timer | Role::Request) => Err(Error::NotSettledFromOutside(id.clone())),
        }
    }

    /// The reason that a promise could not be settled.
    async fn too_late(&self, id: &PromiseId, promise: &Promise) -> Result<Error, Error> {
        Ok(match promise.state {
            PromiseState::RejectedTimedout => Error::DeadlinePassed(id.clone()),
            PromiseState::RejectedCanceled => match self.inner.store.execution(&id.execution).await? {
                Some(execution) if execution.state.is_final() => ended(&execution),
                _ => Error::AlreadySettled(id.clone()),
            },
            PromiseState::Pending | PromiseState::Resolved | PromiseState::Rejected => {
                Error::AlreadySettled(id.clone())
            }
        })
    }

    /// Asks the guest of an execution to stop its current work; what that means is up to the guest (a Python program gets a
    /// `KeyboardInterrupt`). Returns at once. A guest that computes is taken back to its last recorded call, which takes half a second
    /// and the time of a replay; as after a crash, effects that were under way may be in doubt.
    ///
    /// # Errors
    /// There is no such execution, it has ended, or it cannot be resumed; on a server, it does not run in this host at the moment.
    pub async fn interrupt(&self, id: &ExecutionId) -> Result<(), Error> {
        let execution = self.inner.store.execution(id).await?.ok_or_else(|| Error::UnknownExecution(id.clone()))?;
        if execution.state.is_final() {
            return Err(ended(&execution));
        }
        if !self.is_shared() {
            self.resume(id, Patience::Forever).await?;
        }
        match self.inner.live.run_of(id) {
            Some(running) => running.bridge.interrupt(),
            None if self.is_shared() => return Err(Error::NotHere(id.clone())),
            None => {}
        }
        Ok(())
    }

    /// The last step that was kept when a guest was taken back, if it was since the last call of this function.
    pub(crate) fn taken_back_to(&self, id: &ExecutionId) -> Option<u64> {
        self.inner.live.taken_back_to(id)
    }

    /// Ends an execution and everything that it has called. Returns once that is durable and none of it runs in this host: effects that
    /// have begun are over or dropped, and a guest that asked for it has had its time to clean up, if it can still be run.
    ///
    /// # Errors
    /// There is no such execution, or the store failed.
    pub async fn cancel(&self, id: &ExecutionId) -> Result<Cancellation, Error> {
        self.work();
        let store = &self.inner.store;
        let execution = store.execution(id).await?.ok_or_else(|| Error::UnknownExecution(id.clone()))?;
        if execution.state.is_final() {
            return Ok(Cancellation::HadEnded(execution.state));
        }
        let elsewhere = store.held_elsewhere(id).await?;
        let applied = store.operate(Operation::CancelTree { id: id.to_string() }).await?;
        let ended = applied.events.iter().filter_map(|event| match event {
            Event::Settled(promise) if promise.target().is_some() => promise.id.parse::<ExecutionId>().ok(),
            _ => None,
        });
        let ended: Vec<ExecutionId> = ended.collect();
        let mut uncleaned = Vec::new();
        // Another host ends what it runs, and cleans up there.
        for id in ended.iter().filter(|id| !elsewhere.contains(id)) {
            self.inner.live.let_go(id).await;
            match self.clean_up(id).await {
                Ok(()) => {}
                Err(error @ Error::Store(_)) => return Err(error),
                // This one has ended all the same, and so have the others.
                Err(error) => uncleaned.push((id.clone(), cause(&error))),
            }
        }
        if ended.contains(id) {
            return Ok(if uncleaned.is_empty() { Cancellation::Canceled } else { Cancellation::Uncleaned(uncleaned) });
        }
        let execution = store.execution(id).await?.ok_or_else(|| Error::UnknownExecution(id.clone()))?;
        Ok(Cancellation::HadEnded(execution.state))
    }
}

/// The reason that an execution could not clean up. Its policy is fixed, so no remedy is named.
fn cause(error: &Error) -> String {
    match error {
        Error::Policy(policy::Error::Folder { rule, path, source }) => {
            format!("the host folder {} of its [[files]] rule {rule:?} cannot be opened: {source}", path.display())
        }
        error => error.to_string(),
    }
}

/// Checks that a promise may be settled from outside, or was and may be settled in the same way again.
fn check_open(execution: &Execution, id: &PromiseId, promise: &Promise) -> Result<PendingPromise, Error> {
    let asked = PendingPromise::of(promise);
    if execution.state.is_final() {
        return Err(ended(execution));
    }
    match asked {
        Some(asked) => Ok(asked),
        // Created for an answer in place of a capability.
        None if promise.tags.is_empty() => Ok(PendingPromise {
            id: id.clone(),
            kind: PromiseKind::Request,
            subject: String::new(),
            data: None,
            schema: None,
            created_ms: promise.created_at,
            deadline_ms: None,
        }),
        None => Err(Error::NotSettledFromOutside(id.clone())),
    }
}

fn ended(execution: &Execution) -> Error {
    Error::Ended { id: execution.id.clone(), state: execution.state.name() }
}
