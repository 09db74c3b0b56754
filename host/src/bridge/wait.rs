//! How a guest waits: what is settled is delivered, timers fire, and an instance that only waits is given up.
//!
//! *Settled* is a fact of the store or of the host, *delivered* one of the guest; only the second steers it. Timers fire where the guest
//! waits, in the order of their times, so that a resumed execution sees them as an undisturbed one does.

use super::promises::timed_out;
use super::{Bridge, Notice, State, Stop};
use crate::guest_error::{ErrorCode, GuestError};
use crate::journal::{Record, Role};
use crate::store::operation::{Operation, Reply};
use crate::store::{Applied, Change};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How many promises of one wait a message names.
const SHOWN: usize = 16;

/// How long a run waits for promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// As long as it takes. An execution that only waits gives up its instance after a while, and goes on with another one.
    Forever,
    /// Not at all: it suspends, and so does what it calls. It goes on as long as what it has called settles what it waits for.
    None,
}

/// The instances of the pool that executions may hold, and for how long one is kept by an execution that only waits.
pub(crate) struct Instances {
    free: Arc<Semaphore>,
    keep_warm: Duration,
    /// How many wait for an instance.
    wanting: AtomicUsize,
    /// Somebody waits for an instance.
    wanted: Notify,
}

impl Instances {
    pub(crate) fn new(count: u32, keep_warm: Duration) -> Self {
        Self {
            free: Arc::new(Semaphore::new(count as usize)),
            keep_warm,
            wanting: AtomicUsize::new(0),
            wanted: Notify::new(),
        }
    }

    /// An instance; when there is none, executions that only wait give up theirs.
    pub(crate) async fn acquire(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Some(permit);
        }
        let _wanting = Wanting::of(&self.wanting);
        self.wanted.notify_waiters();
        // The semaphore is never closed.
        Arc::clone(&self.free).acquire_owned().await.ok()
    }

    /// Completes when an execution that has waited since now should give up its instance.
    async fn too_long(&self) {
        // Longer than a timer can be set is forever.
        let grace = self.keep_warm.min(Duration::from_secs(u64::from(u32::MAX)));
        let wanted = self.wanted.notified();
        tokio::pin!(wanted);
        wanted.as_mut().enable();
        if self.wanting.load(Ordering::SeqCst) > 0 {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(grace) => {}
            () = wanted => {}
        }
    }
}

/// One who waits for an instance, for as long as it lives.
struct Wanting<'w>(&'w AtomicUsize);

impl<'w> Wanting<'w> {
    fn of(wanting: &'w AtomicUsize) -> Self {
        wanting.fetch_add(1, Ordering::SeqCst);
        Self(wanting)
    }
}

impl Drop for Wanting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Bridge {
    /// Waits until a promise is settled, one of `wanted` or any, and delivers what is; with nothing if the guest is interrupted first.
    ///
    /// # Errors
    /// [`Stop::Suspended`] when the instance is given up; a divergence when the journal holds another step here; [`Stop::Store`] when
    /// the store fails, because nothing that is waited for could be recorded any more.
    pub(crate) async fn wait(self: &Arc<Self>, wanted: Option<&[u64]>) -> Result<Vec<u64>, Stop> {
        self.wait_for(wanted, true).await
    }

    /// The same where nobody can be told of an interruption.
    pub(crate) async fn wait_through(self: &Arc<Self>, wanted: &[u64]) -> Result<Vec<u64>, Stop> {
        self.wait_for(Some(wanted), false).await
    }

    async fn wait_for(self: &Arc<Self>, wanted: Option<&[u64]>, interruptible: bool) -> Result<Vec<u64>, Stop> {
        self.stopwatch.pause();
        let delivered = self.look_until(wanted, interruptible).await;
        self.stopwatch.resume();
        delivered
    }

    async fn look_until(self: &Arc<Self>, wanted: Option<&[u64]>, interruptible: bool) -> Result<Vec<u64>, Stop> {
        let too_long = async {
            match self.patience {
                Patience::Forever => self.instances.too_long().await,
                Patience::None => {}
            }
        };
        tokio::pin!(too_long);
        let mut cold = false;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let (deadline, busy, asked) = {
                let mut state = self.state();
                state.waits_for = wanted.map(<[u64]>::to_vec);
                self.take_in(&mut state)?;
                if let Some(delivered) = self.deliver(&mut state, wanted)? {
                    return Ok(delivered);
                }
                if interruptible && self.wakes_interrupted(&mut state)? {
                    return Ok(Vec::new());
                }
                let asked = std::mem::take(&mut state.asks).then(|| self.submit(&mut state, []));
                (self.next_deadline(&mut state), state.is_busy(self.patience), asked)
            };
            if let Some(ticket) = asked {
                // Whoever is asked, and a function that is called, should not wait for what else may be written with it.
                self.durable(ticket).await?;
                continue;
            }
            if cold && !busy {
                return Err(Stop::Suspended);
            }
            let due = async {
                match deadline {
                    None => std::future::pending().await,
                    Some(deadline) => self.clock.sleep_until(deadline).await,
                }
            };
            tokio::select! {
                biased;
                () = changed => {}
                () = due => {}
                error = self.committer.failure() => return Err(Stop::Store(error)),
                () = &mut too_long, if !cold => cold = true,
            }
        }
    }

    /// Takes in what happened outside. A guest that cleans up learns that everything it waits for is canceled.
    fn take_in(&self, state: &mut State) -> Result<(), Stop> {
        self.take_notices_into(state);
        if !self.is_canceled() {
            return Ok(());
        }
        if !state.cleans_up || state.journal.history.peek()?.is_some() {
            return if state.cleans_up { Ok(()) } else { Err(Stop::Canceled) };
        }
        let pending: Vec<u64> = state.open().collect();
        let now_ms = self.clock.now_ms();
        for number in pending {
            let effect = state.promises.get_mut(&number).and_then(|promise| promise.effect.take());
            let canceled = GuestError::new(ErrorCode::Canceled, "the execution is canceled");
            state.mark_settled(number, Err(canceled), now_ms);
            if let Some(effect) = effect {
                effect.abort();
            }
        }
        Ok(())
    }

    /// One look at the promises: a recorded delivery, or a live one, or none yet.
    fn deliver(self: &Arc<Self>, state: &mut State, wanted: Option<&[u64]>) -> Result<Option<Vec<u64>>, Stop> {
        let attempted = || match wanted {
            None => "a wait for any promise".to_owned(),
            Some(wanted) => format!("a wait for {:?}", &wanted[..wanted.len().min(SHOWN)]),
        };
        let wanted = wanted.map(|wanted| wanted.iter().collect::<HashSet<_>>());
        let is_wanted = |number: &u64| wanted.as_ref().is_none_or(|wanted| wanted.contains(number));
        if let Some(numbers) = state.take_delivery(attempted, is_wanted)? {
            return Ok(Some(numbers));
        }
        self.go_live(state)?;
        self.admit(state);
        self.fire_timers(state, is_wanted);
        self.admit(state);
        let numbers = self.first_settled(state, is_wanted);
        if !numbers.is_empty() {
            numbers.iter().for_each(|number| state.record_outcome(*number));
            let at_ms = state.tick(self.clock.now_ms());
            state.journal.append(&Record::Delivered { at_ms, numbers: numbers.clone() });
            state.mark_delivered(&numbers);
            return Ok(Some(numbers));
        }
        if state.in_flight == 0 {
            return Err(Stop::Contract("the guest waits although it has no pending promise".into()));
        }
        // While nothing happens, nothing stays undurable.
        self.submit_soon(state, []);
        Ok(None)
    }

    /// Settles the timers and requests that are due, in the order of the deadlines, up to what the guest would have seen first had
    /// it waited all the time: what settled before a deadline is delivered before that deadline fires. The deadlines of promises
    /// that the store keeps are the store's; later ones wait for its word.
    fn fire_timers(&self, state: &mut State, is_wanted: impl Fn(&u64) -> bool) {
        let now_ms = self.clock.now_ms();
        while let Some(&(deadline, number)) = state.deadlines.first() {
            let was_earlier = |number: &u64| state.fired_ms(*number) < deadline;
            let stored = state.promises.get(&number).is_some_and(|promise| promise.is_stored());
            if stored
                || deadline > now_ms
                || state.undelivered.iter().filter(|number| is_wanted(number)).any(was_earlier)
            {
                return;
            }
            let timer = state.promises.get(&number).is_some_and(|promise| promise.role == Role::Timer);
            let outcome = if timer { Ok("null".to_owned()) } else { Err(timed_out()) };
            self.settle_in(state, number, outcome);
        }
    }

    /// What a guest that had waited all the time would have been told first: what settled, in the order of the times, up to the
    /// first deadline that has passed, be it fired or not.
    fn first_settled(&self, state: &State, is_wanted: impl Fn(&u64) -> bool) -> Vec<u64> {
        let mut numbers: Vec<u64> = state.undelivered.iter().copied().filter(&is_wanted).collect();
        numbers.sort_by_key(|number| state.fired_ms(*number));
        let fired =
            numbers.iter().copied().find(|number| state.is_timed_out(*number)).map(|number| state.fired_ms(number));
        let now_ms = self.clock.now_ms();
        let mut due = state.deadlines.iter().take_while(|(deadline, _)| *deadline <= now_ms);
        let due = due.find(|(_, number)| is_wanted(number)).map(|(deadline, _)| *deadline);
        if let Some(end) = fired.into_iter().chain(due).min() {
            numbers.retain(|number| state.fired_ms(*number) <= end);
        }
        numbers
    }
}

impl Bridge {
    /// The next deadline to look at. What comes behind one that has passed and is the store's waits for the word of the store, which is
    /// asked for it.
    fn next_deadline(self: &Arc<Self>, state: &mut State) -> Option<u64> {
        let &(deadline, number) = state.deadlines.first()?;
        let now_ms = self.clock.now_ms();
        let promise = state.promises.get_mut(&number)?;
        if deadline > now_ms || !promise.is_stored() {
            return Some(deadline);
        }
        if !std::mem::replace(&mut promise.asked, true) {
            self.submit(state, []);
            let look = Operation::PromiseGet { id: self.id.promise(number).to_string() };
            let (ticket, asked) = self.committer.ask([Change::operation(now_ms, look)]);
            let (run, committer) = (Arc::downgrade(self), Arc::clone(&self.committer));
            tokio::spawn(async move {
                // A store that fails is reported to the guest that waits.
                let told = committer.durable(ticket).await.is_ok();
                if told
                    && let Ok(Applied { answer: Ok(Reply::Promise(promise)), .. }) = asked.last().await
                    && let (Some(run), Some(notice)) = (run.upgrade(), Notice::of(number, &promise))
                {
                    run.notice(notice);
                }
            });
        }
        None
    }
}

impl State {
    /// Whether a capability of this host works on a request, whose answer would be lost with the run; or, for one that has time, holds
    /// a connection that would be.
    fn is_busy(&self, patience: Patience) -> bool {
        let connected = patience == Patience::Forever && self.open_ends > 0;
        connected || self.pending().any(|(_, promise)| promise.effect.is_some())
    }
}
