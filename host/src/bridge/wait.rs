//! How a guest waits: settled promises are delivered, timers fire, and an instance that only waits is released.
//!
//! *Settled* is a fact of the store or of the host, *delivered* one of the guest; only the second steers it. Timers fire where the guest
//! waits, in the order of their deadlines, so that a resumed execution sees them as an undisturbed one does.

use super::{Bridge, Notice, Room, State, Stop};
use everstep_store::Applied;
use everstep_store::journal::Record;
use everstep_store::operation::{Operation, Reply};
use everstep_store::seam::{Entry, Ticket};
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

/// A wait of the guest, until a promise is settled or an interruption ends it.
pub(super) struct Wait<'a> {
    bridge: &'a Bridge,
    /// The promises that the guest waits for; `None`: any.
    wanted: Option<&'a [u64]>,
    /// Whether an interruption ends it, with an empty delivery.
    interruptible: bool,
    /// Whether the guest has returned to the host, and not called it.
    between_turns: bool,
    /// Whether the execution suspends rather than wait.
    cold: bool,
    /// Since the first look that found nothing.
    resting: Option<Resting>,
}

/// The result of a look at the promises.
enum Look {
    /// These are delivered.
    Delivered(Vec<u64>),
    /// Nothing; up to this ticket, something is to be written at once.
    Asked(Ticket),
    /// Nothing: the next deadline to sleep until, and whether the instance has to stay.
    Nothing { deadline: Option<u64>, busy: bool },
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

impl<'a> Wait<'a> {
    /// A wait for one of `wanted` or, without it, for any promise.
    pub(super) fn new(bridge: &'a Bridge, wanted: Option<&'a [u64]>, interruptible: bool) -> Self {
        let cold = bridge.facts.patience == Patience::None;
        Self { bridge, wanted, interruptible, between_turns: false, cold, resting: None }
    }

    /// A wait for any promise, of a guest that has returned to the host.
    pub(super) fn between_turns(bridge: &'a Bridge) -> Self {
        Self { between_turns: true, ..Self::new(bridge, None, true) }
    }

    /// Waits, and returns what is delivered; the running time of the guest stops meanwhile.
    pub(super) async fn delivery(self) -> Result<Vec<u64>, Stop> {
        let stopwatch = &self.bridge.stopwatch;
        stopwatch.pause();
        let delivered = self.look_until_settled().await;
        stopwatch.resume();
        delivered
    }

    async fn look_until_settled(mut self) -> Result<Vec<u64>, Stop> {
        let bridge = self.bridge;
        loop {
            let changed = bridge.changed.notified();
            self.await_turn().await?;
            let (deadline, busy) = match self.look()? {
                Look::Delivered(numbers) => return Ok(numbers),
                Look::Asked(ticket) => {
                    // Questions and called functions should not be delayed by what else may be written with them.
                    bridge.durable(ticket).await?;
                    continue;
                }
                Look::Nothing { deadline, busy } => (deadline, busy),
            };
            if self.between_turns && bridge.begin_effects() {
                continue;
            }
            if self.cold && !busy {
                return Err(Stop::Suspended);
            }
            let due = async {
                match deadline {
                    None => std::future::pending().await,
                    Some(deadline) => bridge.facts.clock.sleep_until(deadline).await,
                }
            };
            let resting = match &mut self.resting {
                Some(resting) => {
                    resting.room.iter().for_each(|room| room.shrink(bridge.footprint.bytes()));
                    resting
                }
                None => self.resting.insert(Resting::begin(bridge)),
            };
            if self.cold {
                resting.stay();
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = due => {}
                lost = bridge.facts.ledger.lost() => return Err(lost.into()),
                () = &mut resting.over, if !self.cold => self.cold = true,
            }
        }
    }

    /// Waits until the guest may take all the memory that its policy allows. Nothing is delivered before that: until then the execution
    /// can still be suspended, and gets its deliveries when it resumes.
    ///
    /// # Errors
    /// [`Stop::Suspended`] when others need its memory; [`Stop::Canceled`].
    async fn await_turn(&mut self) -> Result<(), Stop> {
        let bridge = self.bridge;
        let Some(resting) = &mut self.resting else { return Ok(()) };
        let Some(room) = resting.room.clone() else { return Ok(()) };
        let turn = room.turn();
        tokio::pin!(turn);
        loop {
            let changed = bridge.changed.notified();
            let busy = {
                let state = bridge.state();
                if bridge.is_canceled() && !state.cleans_up() {
                    return Err(Stop::Canceled);
                }
                state.is_busy(bridge.facts.patience)
            };
            if self.cold && busy {
                resting.stay();
            }
            tokio::select! {
                biased;
                () = &mut turn => return Ok(()),
                lost = bridge.facts.ledger.lost() => return Err(lost.into()),
                () = std::future::ready(()), if self.cold && !busy => return Err(Stop::Suspended),
                () = &mut resting.over, if !self.cold => self.cold = true,
                () = changed => {}
            }
        }
    }

    /// Looks at the promises once.
    fn look(&self) -> Result<Look, Stop> {
        let (bridge, facts) = (self.bridge, &self.bridge.facts);
        let mut state = bridge.state();
        state.promises.wait_for(self.wanted);
        self.take_in(&mut state)?;
        if let Some(delivered) = self.deliver(&mut state)? {
            state.session.note_delivery(&delivered);
            return Ok(Look::Delivered(delivered));
        }
        if self.interruptible && bridge.interruption.wakes(bridge, &mut state)? {
            return Ok(Look::Delivered(Vec::new()));
        }
        let asked = state.promises.take_asked().then(|| state.submit(facts));
        let (deadline, busy) = (self.next_deadline(&mut state), state.is_busy(facts.patience));
        Ok(asked.map_or(Look::Nothing { deadline, busy }, Look::Asked))
    }

    /// Applies what happened outside. For a guest that cleans up, everything it waits for is canceled.
    fn take_in(&self, state: &mut State) -> Result<(), Stop> {
        self.bridge.take_notices_into(state);
        if !self.bridge.is_canceled() {
            return Ok(());
        }
        if !state.cleans_up() {
            return Err(Stop::Canceled);
        }
        if state.steps.peek()?.is_none() {
            state.cancel_open(self.bridge.facts.now_ms());
        }
        Ok(())
    }

    /// Returns a recorded delivery, a live one, or `None`.
    fn deliver(&self, state: &mut State) -> Result<Option<Vec<u64>>, Stop> {
        let (bridge, facts) = (self.bridge, &self.bridge.facts);
        let wanted = self.wanted.map(|wanted| wanted.iter().collect::<HashSet<_>>());
        let is_wanted = |number: &u64| wanted.as_ref().is_none_or(|wanted| wanted.contains(number));
        if let Some(numbers) = state.take_delivery(|| self.describe(), is_wanted)? {
            return Ok(Some(numbers));
        }
        bridge.go_live(state)?;
        bridge.admit(state);
        state.fire_timers(facts, is_wanted);
        bridge.admit(state);
        let numbers = state.promises.first_settled(facts.now_ms(), is_wanted);
        if !numbers.is_empty() {
            numbers.iter().for_each(|number| state.record_outcome(*number));
            let at_ms = state.steps.tick(facts.now_ms());
            state.steps.append(&Record::Delivered { at_ms, numbers: numbers.clone() });
            state.promises.mark_delivered(&numbers);
            return Ok(Some(numbers));
        }
        if state.promises.in_flight() == 0 {
            return Err(Stop::Contract("the guest waits although it has no pending promise".into()));
        }
        // What is recorded so far becomes durable while the guest waits.
        state.submit_soon(facts, Entry::default());
        Ok(None)
    }

    /// The wait in words, for a divergence message.
    fn describe(&self) -> String {
        match self.wanted {
            None => "a wait for any promise".to_owned(),
            Some(wanted) => format!("a wait for {:?}", &wanted[..wanted.len().min(SHOWN)]),
        }
    }

    /// Returns the next deadline to sleep until. If the earliest deadline has passed but belongs to a promise of the store, the store
    /// decides: it is queried, and this returns `None`.
    fn next_deadline(&self, state: &mut State) -> Option<u64> {
        let facts = &self.bridge.facts;
        let (deadline, number) = state.promises.first_deadline()?;
        let now_ms = facts.now_ms();
        let promise = state.promises.get_mut(number)?;
        if deadline > now_ms || !promise.is_stored() {
            return Some(deadline);
        }
        if !std::mem::replace(&mut promise.asked, true) {
            state.submit(facts);
            tokio::spawn(ask_at_deadline(Weak::clone(&self.bridge.me), number));
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
