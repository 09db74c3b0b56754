//! The work that a host does by itself: it runs what the store offers.

use super::activity::Busy;
use super::live::{Holding, Note};
use super::{Error, Everstep, Inner, Report};
use crate::bridge::Patience;
use crate::clock;
use crate::guest_error::{ErrorCode, GuestError};
use crate::id::ExecutionId;
use everstep_store::metrics;
use everstep_store::operation::{Operation, Settlement};
use everstep_store::record::{PromiseState, TaskState};
use everstep_store::{Invocation, State};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;

/// Which executions a host runs by itself once they are called, or once what they wait for has settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All executions of its store.
    #[default]
    Everything,
    /// Those that were started or resumed through it, and what they call.
    Started,
    /// None: it settles and cancels, and leaves the rest to another host.
    Nothing,
}

/// How long to wait for another host to release an execution, and how often to look.
const FREEING: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

/// How long an execution of other workers is waited for before its halt is listened to: most have ended by then.
const AT_FIRST: Duration = Duration::from_secs(1);

/// How often it is listened to anew, and looked at: tools of others halt an execution without telling.
const AGAIN: Duration = Duration::from_secs(300);

/// How long the listening to a halt lasts at most, in milliseconds, if the process is gone that listens.
const LISTENS_MS: u64 = 24 * 3600 * 1000;

impl Everstep {
    /// Begins to work, once.
    pub(super) fn work(&self) {
        let notes = self.inner.notes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(notes) = notes else { return };
        let (host, store) = (Arc::downgrade(&self.inner), Arc::clone(&self.inner.store));
        let takes_over = self.inner.scope != Scope::Nothing;
        tokio::spawn(async move {
            let begun = store.begin(takes_over).await;
            drop(store);
            let Some(inner) = host.upgrade() else { return };
            match begun {
                Ok(offered) => {
                    offered.into_iter().for_each(|id| Self { inner: Arc::clone(&inner) }.take_up_later(id, None))
                }
                Err(error) => tracing::error!(%error, "the store cannot be read; nothing is taken up"),
            }
            drop(inner);
            take_notes(host, notes).await;
        });
    }

    /// Runs what the store offers of the calls of an execution that is resumed here; they wait for promises as long
    /// as it does.
    pub(super) async fn take_up_calls(&self, id: &ExecutionId, patience: Patience) -> Result<(), Error> {
        let (live, store) = (&self.inner.live, &self.inner.store);
        if !self.tend(id, patience) {
            return Ok(());
        }
        // Read after it was noted: what ends from here on is removed when that is reported.
        if store.promise(id.root()).await?.is_none_or(|(root, _)| root.state != PromiseState::Pending) {
            live.forget_root(id.root());
            store.tend(id.root(), false);
            return Ok(());
        }
        if self.inner.scope != Scope::Started {
            return Ok(());
        }
        let Ok(root) = id.root().parse() else { return Ok(()) };
        let offered = store.offers_within(&root).await?;
        offered.into_iter().filter(|call| call != id).for_each(|call| self.take_up_later(call, None));
        Ok(())
    }

    /// Notes that an execution was started or resumed here, so that other hosts leave its lineage to this one. Returns false if it was
    /// noted before.
    pub(super) fn tend(&self, id: &ExecutionId, patience: Patience) -> bool {
        let is_new = self.inner.live.note_root(id, patience);
        // A host that runs everything lets others have what they want.
        if is_new && self.inner.scope == Scope::Started {
            self.inner.store.tend(id.root(), true);
        }
        is_new
    }

    /// Waits until no other host holds an execution that it does not tend: a host that only waits with it releases it after
    /// a while.
    ///
    /// # Errors
    /// Another host continues with it, or tends it.
    pub(crate) async fn wait_until_free(&self, id: &ExecutionId) -> Result<(), Error> {
        let store = &self.inner.store;
        for _ in 0..FREEING.as_millis() / LOOK.as_millis() {
            if store.is_tended(id.root()) {
                break;
            }
            if !store.held_elsewhere(id).await?.contains(id) {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(Error::Runs(id.clone()))
    }

    /// Whether this host runs an execution by itself once it is offered.
    pub(super) fn covers(&self, id: &ExecutionId) -> bool {
        match self.inner.scope {
            // What another host tends continues there, where its folders and secrets are.
            Scope::Everything => !self.inner.store.is_tended(id.root()),
            Scope::Started => self.inner.live.is_ours(id),
            Scope::Nothing => false,
        }
    }

    /// Runs an offered execution later; `busy` is the work of the event that offers it, if any.
    fn take_up_later(&self, id: ExecutionId, busy: Option<Busy>) {
        if self.covers(&id) {
            let (host, busy) = (self.clone(), busy.unwrap_or_else(|| self.inner.live.busy(&id)));
            tokio::spawn(async move {
                // Until the execution is held.
                let _busy = busy;
                if let Err(error) = host.take_up_offered(&id).await {
                    tracing::error!(%id, %error, "the execution cannot be taken up");
                    host.inner.live.tell(&id, Err(Arc::new(error)));
                }
            });
        }
    }

    /// Runs an offered execution, unless it runs already, or another host was faster.
    async fn take_up_offered(&self, id: &ExecutionId) -> Result<(), Error> {
        if self.inner.live.settled_down(id).await {
            return Ok(());
        }
        let offered = clock::instant();
        let waiting = metrics::WAITING.one();
        let seat = Some(self.inner.instances.seat().await);
        drop(waiting);
        let Holding::Free(hold) = self.inner.live.hold(id).await else { return Ok(()) };
        let store = &self.inner.store;
        let (execution, promise) = (store.execution(id).await?, store.promise(id.as_str()).await?);
        let Some((execution, (promise, _))) = execution.zip(promise) else { return Ok(()) };
        let is_ours = store.has_others() || Invocation::is_for_hosts(&promise);
        if execution.state != State::Pending || promise.target() != Some(&*self.inner.target) || !is_ours {
            return Ok(());
        }
        let taken = self.take_up(hold, execution, None, self.inner.live.patience(id), seat).await;
        match taken {
            Ok(()) => {
                metrics::WAKE_UP.note(offered.elapsed());
                Ok(())
            }
            Err(error @ Error::Store(_)) => Err(error),
            // What this machine lacks, a component, a folder or a secret, another one may have. The server offers it again and again.
            Err(error @ (Error::Missing { .. } | Error::Policy(_) | Error::Image { .. })) if store.has_others() => {
                if self.inner.live.note_left(id) {
                    tracing::warn!(%id, %error, "the execution is left to other workers");
                }
                Ok(())
            }
            Err(error) => self.refuse(id, error).await,
        }
    }

    /// Handles an execution that cannot be run: a call of a function that does not exist fails, anything else halts for an operator.
    async fn refuse(&self, id: &ExecutionId, error: Error) -> Result<(), Error> {
        // It may have been offered twice: the one that is refused first is halted, and the other one finds that.
        let Holding::Free(_hold) = self.inner.live.hold(id).await else { return Ok(()) };
        let Some(execution) = self.inner.store.execution(id).await? else { return Ok(()) };
        if execution.state != State::Pending {
            return Ok(());
        }
        let id = id.clone();
        let unfound = matches!(error, Error::UnknownFunction { .. } | Error::AmbiguousFunction { .. });
        if unfound && execution.attempts == 0 {
            let outcome = Err(GuestError::new(ErrorCode::NotFound, error.to_string()));
            let (state, value) = everstep_store::value_of(&outcome);
            let settle = Operation::PromiseSettle(Settlement { id: id.to_string(), state, value });
            self.inner.store.operate(settle).await?;
        } else {
            tracing::warn!(%id, %error, "the execution is halted");
            if let Error::Store(error) = self.halt(execution, error).await {
                return Err(Error::Store(error));
            }
        }
        self.tell_stored(&id).await
    }

    /// Looks again at an execution that another host has taken: reports its end to those who wait, and runs it if it is
    /// offered.
    pub(super) async fn look_again(&self, id: &ExecutionId, patience: Patience) -> Result<(), Error> {
        self.tell_stored(id).await?;
        let stored = self.inner.store.execution(id).await?;
        if self.covers(id) && stored.is_some_and(|execution| execution.state == State::Pending) {
            self.tend(id, patience);
            self.take_up_offered(id).await?;
        }
        Ok(())
    }

    /// Reports the stored end or halt of an execution to all that wait for it.
    pub(super) async fn tell_stored(&self, id: &ExecutionId) -> Result<(), Error> {
        match self.inner.store.execution(id).await? {
            Some(execution) if execution.state.is_final() || execution.state == State::Halted => {
                self.inner.live.tell(id, Ok(Report::stored(&execution)));
            }
            Some(_) => {
                self.inner.store.watch(id.as_str()).await?;
                self.await_a_halt(id);
            }
            None => {}
        }
        Ok(())
    }

    /// Waits for the halt of an execution that other workers run, until nobody waits for it here.
    fn await_a_halt(&self, id: &ExecutionId) {
        if !self.inner.store.has_others() || !self.inner.live.note_look(id, true) {
            return;
        }
        let (host, id) = (Arc::downgrade(&self.inner), id.clone());
        tokio::spawn(async move {
            tokio::time::sleep(AT_FIRST).await;
            loop {
                let Some(inner) = host.upgrade() else { return };
                let heard = Self { inner }.hear_of_a_halt(&id).await;
                match heard {
                    Ok(None) => return,
                    Ok(Some(halted)) => tokio::select! {
                        () = halted.notified() => {}
                        () = tokio::time::sleep(AGAIN) => {}
                    },
                    Err(error) => {
                        tracing::debug!(%error, "the halt of an execution cannot be listened to");
                        tokio::time::sleep(AT_FIRST).await;
                    }
                }
            }
        });
    }

    /// Listens to the halt of an execution that has neither halted nor ended. `None` if there is nothing to wait for any more.
    async fn hear_of_a_halt(&self, id: &ExecutionId) -> Result<Option<Arc<Notify>>, Error> {
        let Inner { store, live, clock, .. } = &*self.inner;
        let mut over = self.is_over(id).await?;
        if over.is_none() && live.is_awaited(id) {
            let halted = store.hear_of_a_halt(id, clock.now_ms().saturating_add(LISTENS_MS)).await?;
            // What has happened before that is told to nobody.
            over = self.is_over(id).await?;
            if over.is_none() {
                return Ok(halted);
            }
        }
        store.hear_no_more(id, over == Some(Over::Ended)).await?;
        live.note_look(id, false);
        match over {
            Some(_) => {
                if let Err(error) = self.tell_stored(id).await {
                    live.tell(id, Err(Arc::new(error)));
                }
            }
            // Somebody has come meanwhile.
            None if live.is_awaited(id) => self.await_a_halt(id),
            None => {}
        }
        Ok(None)
    }

    /// Why nobody has to wait for an execution any more, if that is so.
    async fn is_over(&self, id: &ExecutionId) -> Result<Option<Over>, Error> {
        let Some((promise, task)) = self.inner.store.promise(id.as_str()).await? else { return Ok(Some(Over::Ended)) };
        let is_halted = task.is_some_and(|task| task.state == TaskState::Halted);
        Ok(match promise.state {
            PromiseState::Pending => is_halted.then_some(Over::Halted),
            _ => Some(Over::Ended),
        })
    }
}

/// Why nobody waits for an execution any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    Halted,
    Ended,
}

/// Acts on events of the store, until the host ends.
async fn take_notes(host: Weak<Inner>, mut notes: UnboundedReceiver<Note>) {
    while let Some(note) = notes.recv().await {
        let Some(inner) = host.upgrade() else { return };
        let host = Everstep { inner };
        match note {
            Note::Execute(id, busy) => host.take_up_later(id, Some(busy)),
            Note::Ended(id) => drop(tokio::spawn(async move {
                host.inner.live.let_go(&id).await;
                if let Err(error) = host.tell_stored(&id).await {
                    host.inner.live.tell(&id, Err(Arc::new(error)));
                }
            })),
        }
    }
}
