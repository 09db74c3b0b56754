//! Interruptions: a guest is asked to stop its current work, at a point that a replay finds again.
//!
//! A guest that waits is woken with an empty delivery; one that asks between its calls gets a yes, which is a step. One that keeps
//! computing without a call is taken back: its instance is discarded, another one repeats what is recorded, and its first question
//! after the last recorded call is answered with yes.

use super::ruled::Ruled;
use super::{Bridge, Fault, State, Step, Stop};
use everstep_store::journal::Record;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// How long a guest may keep computing before it is taken back.
const GRACE: Duration = Duration::from_millis(500);

const KIND: &str = "context.interrupted";

/// A pending interruption of a guest.
#[derive(Default)]
pub(super) struct Interruption {
    asked: AtomicBool,
    /// The guest was taken back for this interruption, which helps only once.
    taken_back: AtomicBool,
}

impl Interruption {
    /// Interrupts the guest.
    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
    }

    /// Notes that the guest was taken back for it.
    pub(super) fn note_taken_back(&self) {
        self.taken_back.store(true, Ordering::SeqCst);
    }

    /// Completes once the guest should be taken back: it was interrupted, and has not noticed. `urgent` signals an interruption.
    pub(super) async fn unnoticed(&self, urgent: &Notify) {
        loop {
            let urgent = urgent.notified();
            if self.may_take_back() {
                tokio::time::sleep(GRACE).await;
                if self.may_take_back() {
                    return;
                }
            }
            urgent.await;
        }
    }

    fn may_take_back(&self) -> bool {
        self.asked.load(Ordering::SeqCst) && !self.taken_back.load(Ordering::SeqCst)
    }

    /// Whether the guest was interrupted since it last asked, or waited; a yes is a step.
    pub(super) fn tell_if_asked(&self, bridge: &Bridge) -> Result<bool, Fault> {
        let (facts, mut state) = (&bridge.facts, bridge.state());
        let step = Step::ungranted(KIND, "", &[]);
        let number = state.steps.next();
        let recorded = match state.steps.peek_step(number)? {
            Some((Record::Step { call, .. }, next)) if call.kind == KIND => Some((call.at_ms, next)),
            _ => None,
        };
        if let Some((at_ms, next)) = recorded {
            state.steps.check_end()?;
            state.steps.pass_step(next, at_ms);
            return Ok(true);
        }
        if !self.is_told(bridge, &mut state)? {
            return Ok(false);
        }
        state.steps.take();
        state.check_limits(facts.limits()).inspect_err(|_| state.steps.give_back(number))?;
        Ruled::ungranted(&step, number).record(facts, &mut state, Ok("null".to_owned()))??;
        Ok(true)
    }

    /// Whether to wake a waiting guest without a delivery; if so, records it.
    pub(super) fn wakes(&self, bridge: &Bridge, state: &mut State) -> Result<bool, Stop> {
        let told = self.is_told(bridge, state)?;
        if told {
            let at_ms = state.steps.tick(bridge.facts.now_ms());
            state.steps.append(&Record::Delivered { at_ms, numbers: Vec::new() });
        }
        Ok(told)
    }

    /// Whether to tell the guest here: it must have repeated what is recorded. Clears the interruption if so.
    fn is_told(&self, bridge: &Bridge, state: &mut State) -> Result<bool, Stop> {
        if !self.asked.load(Ordering::SeqCst) || state.steps.peek()?.is_some() {
            return Ok(false);
        }
        bridge.go_live(state)?;
        let asked = self.asked.swap(false, Ordering::SeqCst);
        if asked {
            self.taken_back.store(false, Ordering::SeqCst);
        }
        Ok(asked)
    }
}
