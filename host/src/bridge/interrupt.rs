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
    /// Whether the guest is to be told now. Clears the flag.
    fn take(&self) -> bool {
        let asked = self.asked.swap(false, Ordering::SeqCst);
        if asked {
            self.taken_back.store(false, Ordering::SeqCst);
        }
        asked
    }
}

impl Bridge {
    /// Interrupts the guest. Does not wait for the state.
    pub(crate) fn interrupt(&self) {
        self.interruption.asked.store(true, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    /// Interrupts a guest that was taken back for it.
    pub(crate) fn interrupt_taken_back(&self) {
        self.interruption.taken_back.store(true, Ordering::SeqCst);
        self.interrupt();
    }

    /// Completes once the guest should be taken back: it was interrupted, and has not noticed.
    pub(crate) async fn deaf(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_asked() {
                tokio::time::sleep(GRACE).await;
                if self.is_asked() {
                    return;
                }
            }
            changed.await;
        }
    }

    fn is_asked(&self) -> bool {
        let Interruption { asked, taken_back } = &self.interruption;
        asked.load(Ordering::SeqCst) && !taken_back.load(Ordering::SeqCst)
    }

    /// Whether the guest was interrupted since it last asked, or waited.
    pub(crate) fn interrupted(&self) -> Result<bool, Fault> {
        let mut state = self.state();
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
        if !self.may_tell(&mut state)? {
            return Ok(false);
        }
        state.steps.take();
        state.check_limits(self.facts.limits()).inspect_err(|_| state.steps.give_back(number))?;
        Ruled::ungranted(&step, number).record(&self.facts, &mut state, Ok("null".to_owned()))??;
        Ok(true)
    }

    /// Whether to wake a waiting guest without a delivery; if so, records it.
    pub(super) fn wakes_interrupted(&self, state: &mut State) -> Result<bool, Stop> {
        let told = self.may_tell(state)?;
        if told {
            let at_ms = state.steps.tick(self.facts.now_ms());
            state.steps.append(&Record::Delivered { at_ms, numbers: Vec::new() });
        }
        Ok(told)
    }

    /// Whether to tell the guest of an interruption here: it must have repeated what is recorded.
    fn may_tell(&self, state: &mut State) -> Result<bool, Stop> {
        if !self.interruption.asked.load(Ordering::SeqCst) || state.steps.peek()?.is_some() {
            return Ok(false);
        }
        self.go_live(state)?;
        Ok(self.interruption.take())
    }
}
