//! Effects of this host that settle a promise: begun once everything so far is durable, tried again where that is safe, and judged
//! anew when a crash has lost their outcome.

use super::{Bridge, State, promises};
use crate::clock::Clock;
use crate::guest_error::{ErrorCode, GuestError};
use crate::id::PromiseId;
use everstep_store::journal::{Record, Retries};
use everstep_store::seam::{Entry, Lost as Gone, Ticket};
use futures::FutureExt;
use std::borrow::Cow;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// What a promise of this host is settled by.
pub(crate) trait Effect: Send + Sync + 'static {
    /// One attempt. Called in the order of the steps; nothing leaves the host before the future is polled.
    fn perform(&self, run: &Performing) -> Pin<Box<dyn Future<Output = Performed> + Send>>;

    /// What becomes of it when it may have begun, for that run, and a crash has lost its outcome.
    fn lost(&self, run: &Performing) -> Lost;

    /// Whether it would still be granted, apart from quotas: asked again when somebody has approved it.
    ///
    /// # Errors
    /// The denial.
    fn recheck(&self) -> Result<(), GuestError> {
        Ok(())
    }
}

/// The run for which an effect is performed.
#[derive(Clone)]
pub(crate) struct Performing {
    /// The promise that it settles.
    pub(crate) id: PromiseId,
    /// The rule that grants it; empty for a request, which is granted by name.
    pub(crate) rule: String,
    /// Until when it may take, in milliseconds since the Unix epoch.
    pub(crate) deadline_ms: Option<u64>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The bridge; gone when the run is over.
    pub(crate) bridge: Weak<Bridge>,
}

/// What an attempt came to.
pub(crate) enum Performed {
    /// It is over.
    Done(Result<String, GuestError>),
    /// It failed before anything was sent, with this error, and may be tried again.
    Again(GuestError),
}

/// What becomes of an effect whose outcome was lost.
pub(crate) enum Lost {
    /// It is begun anew.
    Repeat,
    /// It is settled so.
    Settle(Result<String, GuestError>),
}

/// Further attempts after the first.
const MAX_RETRIES: u32 = 3;
/// Milliseconds before the first of them; each further one waits twice as long, and up to half as long again.
const BACK_OFF_MS: u64 = 100;

impl Performing {
    /// How long it may still take.
    pub(crate) fn time_left(&self) -> Duration {
        let left_ms = self.deadline_ms.map_or(u64::MAX, |deadline| deadline.saturating_sub(self.clock.now_ms()));
        Duration::from_millis(left_ms)
    }

    /// Waits until everything up to `ticket` is durable. An effect may outlive its run for a moment, but holds on to nothing of it.
    async fn is_durable(&self, ticket: Ticket) -> Result<(), Gone> {
        self.bridge.upgrade().ok_or(Gone::Claim)?.durable(ticket).await
    }

    /// The same before an attempt.
    async fn may_begin(&self, ticket: Ticket) -> Result<(), Gone> {
        self.bridge.upgrade().ok_or(Gone::Claim)?.may_begin(ticket).await
    }
}

impl Bridge {
    /// The run for which the effect of a promise is performed.
    pub(super) fn performing(self: &Arc<Self>, state: &State, number: u64) -> Performing {
        let promise = state.promises.get(number);
        Performing {
            id: self.id.promise(number),
            rule: promise.and_then(|promise| promise.rule.clone()).unwrap_or_default(),
            deadline_ms: promise.and_then(|promise| promise.deadline_ms),
            clock: Arc::clone(&self.clock),
            bridge: Arc::downgrade(self),
        }
    }

    /// Performs an effect once everything so far is durable.
    pub(super) fn perform(self: &Arc<Self>, state: &mut State, number: u64, effect: Arc<dyn Effect>) {
        let Some(due_ms) = state.promises.get(number).map(|promise| promise.retries.due_ms) else { return };
        let run = self.performing(state, number);
        let first = effect.perform(&run);
        let (mut barrier, clock) = (self.submit(state), Arc::clone(&self.clock));
        let task = tokio::spawn(async move {
            let (mut attempt, mut due_ms) = (first, due_ms);
            loop {
                if due_ms > 0 {
                    if run.is_durable(barrier).await.is_err() {
                        return;
                    }
                    clock.sleep_until(due_ms).await;
                }
                // A run that ends with its claim says so itself.
                if run.may_begin(barrier).await.is_err() {
                    return;
                }
                let performed = AssertUnwindSafe(attempt).catch_unwind().await;
                let panicked = |_| Performed::Done(Err(GuestError::new(ErrorCode::Failed, "the capability panicked")));
                let performed = performed.unwrap_or_else(panicked);
                let Some(bridge) = run.bridge.upgrade() else { return };
                let error = match performed {
                    Performed::Done(outcome) => return bridge.answer(number, outcome),
                    Performed::Again(error) => error,
                };
                let Some(again) = bridge.retry(number, error) else { return };
                (due_ms, barrier) = again;
                attempt = effect.perform(&run);
            }
        });
        if let Some(promise) = state.promises.get_mut(number) {
            promise.effect = Some(task.abort_handle());
        }
    }

    /// Records that an attempt failed, and when the next one is due; settles the promise when there is none.
    fn retry(self: &Arc<Self>, number: u64, error: GuestError) -> Option<(u64, Ticket)> {
        let mut state = self.state();
        let promise = state.promises.get(number).filter(|promise| promise.is_pending())?;
        let (count, deadline_ms) = (promise.retries.count, promise.deadline_ms);
        let now_ms = state.steps.tick(self.clock.now_ms());
        let due_ms = now_ms.saturating_add(back_off(&self.seed, number, count));
        let too_late = deadline_ms.is_some_and(|deadline| due_ms >= deadline);
        if state.steps.is_concluded() || count >= MAX_RETRIES || too_late || self.check_room(&state, 256).is_err() {
            drop(state);
            self.answer(number, Err(error));
            return None;
        }
        let reason = Cow::Borrowed(error.message.as_str());
        state.steps.append(&Record::Retried { number, at_ms: now_ms, due_ms, reason });
        if let Some(promise) = state.promises.get_mut(number) {
            promise.retries = Retries { count: count + 1, due_ms };
        }
        let ticket = self.submit(&mut state);
        Some((due_ms, ticket))
    }

    /// Settles a promise with what its effect came to.
    pub(super) fn answer(self: &Arc<Self>, number: u64, outcome: Result<String, GuestError>) {
        let mut state = self.state();
        let pending = state.promises.get(number).filter(|promise| promise.is_pending());
        let Some(promise) = pending.filter(|_| !state.steps.is_concluded()) else { return };
        let too_late = promise.deadline_ms.is_some_and(|deadline| deadline <= self.clock.now_ms());
        let outcome = if too_late { Err(promises::timed_out()) } else { self.with_room(&state, outcome) };
        self.settle_in(&mut state, number, outcome);
        self.submit_soon(&mut state, Entry::default());
        drop(state);
        self.changed.notify_waiters();
    }

    /// An outcome, if the journal has room for it.
    fn with_room(&self, state: &State, outcome: Result<String, GuestError>) -> Result<String, GuestError> {
        let json = outcome?;
        let room = self.grants.policy.limits.journal.saturating_sub(state.kept_bytes());
        if json.len() as u64 <= room {
            return Ok(json);
        }
        let message = format!("the response has {} bytes, limits.journal leaves {room}", json.len());
        Err(GuestError::new(ErrorCode::LimitExceeded, message))
    }
}

/// How long to wait after the failure of attempt `count`, in milliseconds: the same whenever it is asked.
fn back_off(seed: &[u8; 32], number: u64, count: u32) -> u64 {
    let base = BACK_OFF_MS << count.min(16);
    let mut hasher = blake3::Hasher::new_keyed(seed);
    hasher.update(b"back-off").update(&number.to_le_bytes()).update(&count.to_le_bytes());
    let drawn = hasher.finalize().as_bytes()[..8].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    base + drawn % (base / 2)
}
