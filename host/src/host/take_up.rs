//! From a stored execution to a run of it, or to a halt if it cannot run.

use super::component::Component;
use super::live::{Hold, Holding};
use super::load::Stored;
use super::relocate::check_is_here;
use super::run::fresh_seed;
use super::{Error, Everstep, Report, StepOutcome, StepView};
use crate::bridge::{Audited, Bridge, Descent, Facts, Lines, Notice, Patience, Seat, State, Terms};
use crate::capability::CLEAN_UP;
use crate::capability::files::{Given, Images};
use crate::grants::Grants;
use crate::id::ExecutionId;
use crate::trace::Origin;
use crate::turns::{Job, Loaded};
use everstep_store::journal::Journal;
use everstep_store::seam::{Birth, Claimed, Entry, TakeUp, Taken, Ticket};
use everstep_store::{Execution, Failure, FailureKind};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;

/// An execution about to run.
pub(super) struct Activation {
    pub(super) hold: Hold,
    pub(super) execution: Execution,
    pub(super) claimed: Claimed,
    pub(super) prepared: Prepared,
    pub(super) patience: Patience,
    /// A place among those that run at once, if it has one already.
    pub(super) seat: Option<Seat>,
}

/// What a run needs besides its claim.
pub(super) struct Prepared {
    pub(super) component: Arc<Loaded>,
    pub(super) grants: Arc<Grants>,
    pub(super) descent: Descent,
    pub(super) state: State,
    pub(super) images: Vec<Given>,
}

impl Activation {
    /// A run that waits for nothing and has no seat.
    pub(super) fn new(hold: Hold, execution: Execution, claimed: Claimed, prepared: Prepared) -> Self {
        Self { hold, execution, claimed, prepared, patience: Patience::None, seat: None }
    }
}

impl Everstep {
    /// Runs a stored execution, unless it has ended.
    pub(super) async fn take_up(
        &self,
        hold: Hold,
        mut execution: Execution,
        component: Option<&Component>,
        patience: Patience,
        seat: Option<Seat>,
    ) -> Result<(), Error> {
        let inner = &self.inner;
        if execution.state.is_final() {
            inner.live.tell(&execution.id, Ok(Report::stored(&execution)));
            return Ok(());
        }
        check_is_here(&execution)?;
        let grants = inner.stored_grants(&execution).await?;
        let mut when_live = Entry::default();
        let loaded = match component {
            None => inner.load(&inner.stored_component(&execution).await?, &grants).await?,
            Some(component) => {
                let loaded = inner.load(component, &grants).await?;
                inner.check_function(&loaded, &grants, &execution.function).await?;
                when_live.blobs.push((component.digest, component.content.clone()));
                loaded
            }
        };
        let first = execution.key.is_none();
        if first {
            inner.check_function(&loaded, &grants, &execution.function).await?;
        }
        execution.progress.error = None;
        let (mut state, tail, birth, recorded) = if first {
            execution.seed = fresh_seed();
            let (state, birth) = born(&execution);
            (state, None, Some(birth), Vec::new())
        } else {
            match inner.state(&execution).await {
                Err(error) if error.is_of_the_journal() => {
                    return match self.is_as_read(&execution).await? {
                        true => Err(self.halt(execution, error).await),
                        // Another worker has run it, or moved it to another component, between the two reads.
                        false => self.tell_stored(&execution.id).await,
                    };
                }
                stored => {
                    let Stored { state, tail, images } = stored?;
                    (state, Some(tail), None, images)
                }
            }
        };
        let images = inner.images(&grants, &recorded, false).await?;
        if let Some(component) = component {
            when_live.component = Some(component.digest);
        }
        state.write_when_live(when_live);
        let looks_at: Vec<u64> = state.open().chain(state.answered_approvals()).collect();
        let taking = TakeUp { execution: execution.clone(), tail, birth, looks_at: looks_at.clone() };
        let Taken::Claimed(mut claimed) = inner.store.take_up(taking).await? else {
            return self.tell_stored(&execution.id).await;
        };
        for (number, promise) in looks_at.into_iter().zip(std::mem::take(&mut claimed.promises)) {
            match promise {
                Some(promise) => {
                    let notice = Notice::of(number, &promise);
                    notice.into_iter().for_each(|notice| state.take_in(notice, &grants.policy.limits));
                }
                None => state.mark_missing(number),
            }
        }
        if let Some(component) = component {
            execution.component = component.digest;
        }
        let descent = inner.descent(&execution.id, !first).await?;
        let prepared = Prepared { component: loaded, grants, descent, state, images };
        tokio::spawn(self.activate(Activation {
            patience,
            seat,
            ..Activation::new(hold, execution, claimed, prepared)
        }));
        Ok(())
    }

    /// Gives an execution that was canceled while it was not running its time to clean up, if it has asked for that.
    pub(super) async fn clean_up(&self, id: &ExecutionId) -> Result<(), Error> {
        let Holding::Free(hold) = self.inner.live.hold(id).await else { return Ok(()) };
        let Some(execution) = self.inner.store.execution(id).await? else { return Ok(()) };
        let asked = |step: &StepView| step.kind == CLEAN_UP && matches!(step.outcome, StepOutcome::Ok { .. });
        // An unreadable journal may be the reason that the execution was canceled.
        if execution.key.is_none() || !self.reader().steps(id).await.is_ok_and(|steps| steps.iter().any(asked)) {
            return Ok(());
        }
        let inner = &self.inner;
        let grants = inner.stored_grants(&execution).await?;
        let component = inner.load(&inner.stored_component(&execution).await?, &grants).await?;
        let Stored { mut state, tail, images } = inner.state(&execution).await?;
        let images = inner.images(&grants, &images, false).await?;
        state.clean_up();
        // An ended execution cannot be held by another host.
        let ledger = inner.store.reopen(&execution, tail);
        let claimed = Claimed { ledger, version: execution.attempts, since: Ticket::default(), promises: Vec::new() };
        let prepared = Prepared { component, grants, descent: inner.descent(id, true).await?, state, images };
        tokio::spawn(self.activate(Activation::new(hold, execution, claimed, prepared)));
        inner.live.let_go(id).await;
        Ok(())
    }

    /// The run of a claimed execution.
    pub(super) fn activate(&self, activation: Activation) -> BoxFuture<'static, ()> {
        let Activation { hold, mut execution, claimed, prepared, patience, seat } = activation;
        let Prepared { component, grants, descent, state, images } = prepared;
        let Claimed { ledger, version, since, .. } = claimed;
        let has_ended = execution.state.is_final();
        let before = std::mem::replace(&mut execution.attempts, version);
        let origin = Origin::of(&execution);
        // One that has ended runs again to clean up, without a claim.
        let claim = (!has_ended).then(|| origin.claim(&execution));
        let trace = origin.run(&execution, claim.as_ref(), Some(before).filter(|before| (1..version).contains(before)));
        let Execution { id, function, args, seed, deadline_ms, component: digest, .. } = execution;
        let inner = &self.inner;
        let terms = Terms { component: digest, version, target: Arc::clone(&inner.target), deadline_ms };
        let lines = Lines::of(&grants);
        let ledger = match &lines {
            Some(lines) => Arc::new(Audited { lines: Arc::clone(lines), ledger }),
            None => ledger,
        };
        let facts = Facts {
            id,
            function,
            seed,
            grants,
            capabilities: Arc::clone(&inner.registry),
            clock: Arc::clone(&inner.clock),
            ledger,
            lines,
            store: Arc::clone(&inner.store),
            terms,
            descent,
            patience,
            trace,
        };
        if version == 1 && !has_ended {
            facts.trace.note_start(&facts.id, &facts.function);
        }
        let bridge = Bridge::new(facts, Arc::clone(&inner.instances), since, state);
        bridge.of_run::<Images>().give(images);
        if has_ended {
            // Before it runs: it does not wait for promises, and would suspend before it learns of the cancellation.
            bridge.cancel();
        }
        if inner.live.was_taken_back(&bridge.facts.id) {
            bridge.interrupt_taken_back();
        }
        hold.run(Arc::clone(&bridge), &args);
        let host = self.clone();
        let job = Job { component, bridge: Arc::clone(&bridge), args };
        host.see_through(hold, job, seat, claim).boxed()
    }

    /// An execution and what its journal says. If another host runs it, or moves it to another component, between the two reads, both are
    /// made again.
    ///
    /// # Errors
    /// There is no such execution, or its journal cannot be used.
    pub(super) async fn read(&self, id: &ExecutionId) -> Result<(Execution, Stored), Error> {
        let inner = &self.inner;
        loop {
            let execution = inner.store.execution(id).await?.ok_or_else(|| Error::UnknownExecution(id.clone()))?;
            match inner.state(&execution).await {
                Err(error) if error.is_of_the_journal() && !self.is_as_read(&execution).await? => {}
                stored => return Ok((execution, stored?)),
            }
        }
    }

    /// Whether an execution that nobody else was to change is still the one that was read.
    async fn is_as_read(&self, execution: &Execution) -> Result<bool, Error> {
        let now = self.inner.store.execution(&execution.id).await?;
        Ok(now.is_some_and(|now| (now.attempts, now.component) == (execution.attempts, execution.component)))
    }

    /// Halts an execution that cannot be run, with the cause; its journal stays as it is.
    pub(super) async fn halt(&self, mut execution: Execution, error: Error) -> Error {
        let kind = if error.is_of_the_journal() { FailureKind::Corrupted } else { FailureKind::Load };
        execution.progress.error = Some(Failure { kind, message: error.to_string() });
        let id = execution.id.clone();
        let birth = execution.key.is_none().then(|| {
            // It has not been run yet, so there is nothing yet that could hold the cause.
            execution.seed = fresh_seed();
            born(&execution).1
        });
        if let Err(failed) = self.inner.store.halt(execution, birth).await {
            return Error::Store(failed);
        }
        self.inner.live.note_halted(&id);
        match self.fail_halted(&id).await {
            Err(failed @ Error::Store(_)) => failed,
            _ => error,
        }
    }
}

/// An execution that has not been run yet, and what is kept of it beside its promise.
pub(super) fn born(execution: &Execution) -> (State, Birth) {
    let mut state = State::empty(Journal::starting(execution), execution.progress.clone());
    let (id, invocation, seed) = (execution.id.clone(), execution.invocation(), execution.seed);
    let records = state.take_records();
    (state, Birth { id, invocation, seed, records, progress: None })
}
