//! How a guest waits: settled promises are delivered, timers fire, and an instance that only waits is released.
//!
//! *Settled* is a fact of the store or of the host, *delivered* one of the guest; only the second steers it. Timers fire where the guest
//! waits, in the order of their deadlines, so that a resumed execution sees them as an undisturbed one does.

use super::notice::timed_out;
use super::{Bridge, Notice, Room, State, Stop};
use crate::guest_error::{ErrorCode, GuestError};
use everstep_store::Applied;
use everstep_store::journal::{Record, Role};
use everstep_store::operation::{Operation, Reply};
use everstep_store::seam::Entry;
use std::collections::HashSet;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// First pause before the store is queried again for a deadline that has not passed there.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How many promises of one wait a message names.
const SHOWN: usize = 16;

/// How long a run waits for promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// As long as it takes. An execution that only waits releases its instance after a while, and resumes with another one.
    Forever,
    /// Not at all: it suspends, and so does what it calls. It continues as long as what it has called settles what it waits
    /// for.
    None,
}

/// The rest of an execution, for as long as it waits.
struct Resting {
    room: Option<Arc<Room>>,
    /// Completes when the execution should release its instance.
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Resting {
    fn begin(bridge: &Bridge) -> Self {
        let room = bridge.room();
        let over: Pin<Box<dyn Future<Output = ()> + Send>> = match &room {
            Some(room) => Box::pin(room.rest(bridge.footprint.bytes())),
            None => Box::pin(std::future::pending()),
        };
        Self { room, over }
    }

    /// Notes that the instance cannot be released now.
    fn stay(&self) {
        self.room.iter().for_each(|room| room.stay());
    }
}

impl Drop for Resting {
    fn drop(&mut self) {
        self.room.iter().for_each(|room| room.end_rest());
    }
}

impl Bridge {
    /// Waits until a promise is settled, one of `wanted` or any, and delivers those that are; delivers none if the guest is
    /// interrupted first.
    ///
    /// # Errors
    /// [`Stop::Suspended`] when the instance is released; a divergence when the journal holds another step here; [`Stop::Store`] when
    /// the store fails, because no settlement could be recorded any more.
    pub(crate) async fn wait(&self, wanted: Option<&[u64]>) -> Result<Vec<u64>, Stop> {
        self.wait_for(wanted, true).await
    }

    /// Like [`wait`](Self::wait), but not ended by an interruption.
    pub(crate) async fn wait_through(&self, wanted: &[u64]) -> Result<Vec<u64>, Stop> {
        self.wait_for(Some(wanted), false).await
    }

    async fn wait_for(&self, wanted: Option<&[u64]>, interruptible: bool) -> Result<Vec<u64>, Stop> {
        self.stopwatch.pause();
        let delivered = self.look_until(wanted, interruptible).await;
        self.stopwatch.resume();
        delivered
    }

    async fn look_until(&self, wanted: Option<&[u64]>, interruptible: bool) -> Result<Vec<u64>, Stop> {
        let mut resting: Option<Resting> = None;
        let mut cold = self.facts.patience == Patience::None;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(resting) = &mut resting {
                self.await_turn(resting, &mut cold).await?;
            }
            let (deadline, busy, asked) = {
                let mut state = self.state();
                state.promises.wait_for(wanted);
                self.take_in(&mut state)?;
                if let Some(delivered) = self.deliver(&mut state, wanted)? {
                    return Ok(delivered);
                }
                if interruptible && self.wakes_interrupted(&mut state)? {
                    return Ok(Vec::new());
                }
                let asked = state.promises.take_asked().then(|| state.submit(&self.facts));
                (self.next_deadline(&mut state), state.is_busy(self.facts.patience), asked)
            };
            if let Some(ticket) = asked {
                // Questions and called functions should not be delayed by what else may be written with them.
                self.durable(ticket).await?;
                continue;
            }
            if cold && !busy {
                return Err(Stop::Suspended);
            }
            let due = async {
                match deadline {
                    None => std::future::pending().await,
                    Some(deadline) => self.facts.clock.sleep_until(deadline).await,
                }
            };
            let resting = match &mut resting {
                Some(resting) => {
                    resting.room.iter().for_each(|room| room.shrink(self.footprint.bytes()));
                    resting
                }
                None => resting.insert(Resting::begin(self)),
            };
            if cold {
                resting.stay();
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = due => {}
                lost = self.facts.ledger.lost() => return Err(lost.into()),
                () = &mut resting.over, if !cold => cold = true,
            }
        }
    }

    /// Waits until the guest may take all the memory that its policy allows. Nothing is delivered before that: until then the execution
    /// can still be suspended, and gets its deliveries when it resumes.
    ///
    /// # Errors
    /// [`Stop::Suspended`] when others need its memory; [`Stop::Canceled`].
    async fn await_turn(&self, resting: &mut Resting, cold: &mut bool) -> Result<(), Stop> {
        let Some(room) = resting.room.clone() else { return Ok(()) };
        let turn = room.turn();
        tokio::pin!(turn);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let busy = {
                let state = self.state();
                if self.is_canceled() && !state.cleans_up() {
                    return Err(Stop::Canceled);
                }
                state.is_busy(self.facts.patience)
            };
            if *cold && busy {
                resting.stay();
            }
            tokio::select! {
                biased;
                () = &mut turn => return Ok(()),
                lost = self.facts.ledger.lost() => return Err(lost.into()),
                () = std::future::ready(()), if *cold && !busy => return Err(Stop::Suspended),
                () = &mut resting.over, if !*cold => *cold = true,
                () = changed => {}
            }
        }
    }

    /// Applies what happened outside. For a guest that cleans up, everything it waits for is canceled.
    fn take_in(&self, state: &mut State) -> Result<(), Stop> {
        self.take_notices_into(state);
        if !self.is_canceled() {
            return Ok(());
        }
        if !state.cleans_up() {
            return Err(Stop::Canceled);
        }
        if state.steps.peek()?.is_some() {
            return Ok(());
        }
        let pending: Vec<u64> = state.open().collect();
        let now_ms = self.facts.now_ms();
        for number in pending {
            state.promises.stop_effect(number);
            let canceled = GuestError::new(ErrorCode::Canceled, "the execution is canceled");
            state.mark_settled(number, Err(canceled), now_ms);
        }
        Ok(())
    }

    /// Looks at the promises once: returns a recorded delivery, a live one, or `None`.
    fn deliver(&self, state: &mut State, wanted: Option<&[u64]>) -> Result<Option<Vec<u64>>, Stop> {
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
            let at_ms = state.steps.tick(self.facts.now_ms());
            state.steps.append(&Record::Delivered { at_ms, numbers: numbers.clone() });
            state.promises.mark_delivered(&numbers);
            return Ok(Some(numbers));
        }
        if state.promises.in_flight() == 0 {
            return Err(Stop::Contract("the guest waits although it has no pending promise".into()));
        }
        // What is recorded so far becomes durable while the guest waits.
        state.submit_soon(&self.facts, Entry::default());
        Ok(None)
    }

    /// Settles the timers and requests that are due, in the order of their deadlines, up to what the guest would have seen first
    /// had it waited all the time: what settled before a deadline is delivered before that deadline fires. The store decides on
    /// the deadlines of its promises; later deadlines wait for its decision.
    fn fire_timers(&self, state: &mut State, is_wanted: impl Fn(&u64) -> bool) {
        let now_ms = self.facts.now_ms();
        while let Some((deadline, number)) = state.promises.first_deadline() {
            let Some(promise) = state.promises.get(number) else { return };
            let was_earlier = |number: u64| state.promises.fired_ms(number) < deadline;
            if promise.is_stored()
                || deadline > now_ms
                || state.promises.undelivered().filter(&is_wanted).any(was_earlier)
            {
                return;
            }
            let timer = promise.role == Role::Timer;
            let outcome = if timer { Ok("null".to_owned()) } else { Err(timed_out()) };
            state.settle(number, outcome, self.facts.now_ms());
        }
    }

    /// What a guest that had waited all the time would have seen first: settled promises, in the order of their times, up to
    /// the first deadline that has passed, whether it has fired or not.
    fn first_settled(&self, state: &State, is_wanted: impl Fn(&u64) -> bool) -> Vec<u64> {
        let promises = &state.promises;
        let mut numbers: Vec<u64> = promises.undelivered().filter(&is_wanted).collect();
        numbers.sort_by_key(|number| promises.fired_ms(*number));
        let fired = numbers.iter().copied().find(|number| promises.is_timed_out(*number));
        let fired = fired.map(|number| promises.fired_ms(number));
        let now_ms = self.facts.now_ms();
        let mut due = promises.deadlines().take_while(|(deadline, _)| *deadline <= now_ms);
        let due = due.find(|(_, number)| is_wanted(number)).map(|(deadline, _)| deadline);
        if let Some(end) = fired.into_iter().chain(due).min() {
            numbers.retain(|number| promises.fired_ms(*number) <= end);
        }
        numbers
    }
}

impl Bridge {
    /// Returns the next deadline to sleep until. If the earliest deadline has passed but belongs to a promise of the store, the store
    /// decides: it is queried, and this returns `None`.
    fn next_deadline(&self, state: &mut State) -> Option<u64> {
        let (deadline, number) = state.promises.first_deadline()?;
        let now_ms = self.facts.now_ms();
        let promise = state.promises.get_mut(number)?;
        if deadline > now_ms || !promise.is_stored() {
            return Some(deadline);
        }
        if !std::mem::replace(&mut promise.asked, true) {
            state.submit(&self.facts);
            tokio::spawn(ask_at_deadline(Weak::clone(&self.me), number));
        }
        None
    }
}

/// Queries the store for a promise whose deadline has passed by this host's clock, until it has passed by the store's clock.
async fn ask_at_deadline(run: Weak<Bridge>, number: u64) {
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(bridge) = run.upgrade() else { return };
        let look = Operation::PromiseGet { id: bridge.facts.id_of(number) };
        // The waiting guest learns of a failing store or a lost claim by itself.
        let Ok(Applied { answer: Ok(Reply::Promise(promise)), .. }) = bridge.facts.ledger.operate(look).await else {
            return;
        };
        if let Some(notice) = Notice::of(number, &promise) {
            return bridge.notice(notice);
        }
        drop(bridge);
        tokio::time::sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

impl State {
    /// Whether a capability of this host works on a request, whose answer would be lost with the run; or, with [`Patience::Forever`],
    /// whether a connection is open that would be lost.
    fn is_busy(&self, patience: Patience) -> bool {
        let connected = patience == Patience::Forever && self.budget.has_open_ends();
        connected || self.promises.pending().any(|(_, promise)| promise.effect.is_some())
    }
}
