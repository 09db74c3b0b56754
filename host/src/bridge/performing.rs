//! Effects of this host that settle a promise: begun once everything so far is durable, and retried where that is safe.

use super::effect::{Attempt, Effect, Performed};
use super::notice::timed_out;
use super::{Bridge, Lines, State};
use crate::clock::Clock;
use crate::guest_error::{ErrorCode, GuestError, Reason};
use crate::id::PromiseId;
use crate::policy::audit;
use crate::trace::StepSpan;
use everstep_store::journal::{Record, Retries};
use everstep_store::seam::{Entry, Lost as Gone, Ticket};
use everstep_words::trace::TraceContext;
use futures::FutureExt;
use futures::future::abortable;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The run for which an effect is performed.
#[derive(Clone)]
pub(crate) struct Performing {
    /// The promise that the effect settles.
    pub(crate) id: PromiseId,
    /// The rule that grants the effect; empty for a request, which is granted by name.
    pub(crate) rule: String,
    /// The deadline, in milliseconds since the Unix epoch.
    pub(crate) deadline_ms: Option<u64>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The place in a trace of what the effect sends.
    pub(crate) trace: Option<TraceContext>,
    /// The lines for the audit log.
    lines: Option<Arc<Lines>>,
    /// The bridge; dropped when the run is over.
    pub(crate) bridge: Weak<Bridge>,
}

/// The most attempts after the first.
const MAX_RETRIES: u32 = 3;
/// Milliseconds before the first retry; each further one waits twice as long, plus up to half as long again.
const BACK_OFF_MS: u64 = 100;

impl Performing {
    /// The time left until the deadline.
    pub(crate) fn time_left(&self) -> Duration {
        let left_ms = self.deadline_ms.map_or(u64::MAX, |deadline| deadline.saturating_sub(self.clock.now_ms()));
        Duration::from_millis(left_ms)
    }

    /// Takes down the outcome of an effect on the network for the audit log.
    pub(crate) fn note_outcome(&self, address: Option<SocketAddr>, bytes: u64, duration: Duration, result: &str) {
        let Some(lines) = &self.lines else { return };
        lines.outcome(audit::Outcome {
            time_ms: self.clock.now_ms(),
            execution: &self.id.execution,
            step: self.id.number,
            policy: lines.policy(),
            address,
            bytes,
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            result,
        });
    }

    /// Writes a decision in the middle of an effect to the audit log.
    ///
    /// # Errors
    /// The log cannot be written: a denial.
    pub(crate) fn note_decision(
        &self,
        rule: &str,
        capability: &str,
        subject: &str,
        decision: audit::Decision,
    ) -> Result<(), GuestError> {
        let Some(lines) = &self.lines else { return Ok(()) };
        lines.decide_now(audit::Entry {
            time_ms: self.clock.now_ms(),
            execution: &self.id.execution,
            step: self.id.number,
            policy: lines.policy(),
            rule,
            capability,
            subject,
            decision,
            bytes: 0,
            approver: None,
        })
    }

    /// The run for which the effect of a promise is performed.
    pub(super) fn of(bridge: &Bridge, state: &State, number: u64) -> Self {
        let promise = state.promises.get(number);
        Self {
            id: bridge.facts.id.promise(number),
            rule: promise.and_then(|promise| promise.rule.clone()).unwrap_or_default(),
            deadline_ms: promise.and_then(|promise| promise.deadline_ms),
            clock: Arc::clone(&bridge.facts.clock),
            trace: bridge.facts.trace.of_step(number),
            lines: bridge.facts.lines.clone(),
            bridge: Weak::clone(&bridge.me),
        }
    }

    /// Begins the effect of a promise, with the next wait of the guest or when it yields, and once everything so far is durable.
    pub(super) fn begin(bridge: &Bridge, state: &mut State, number: u64, effect: Arc<dyn Effect>) {
        let Some(due_ms) = state.promises.get(number).map(|promise| promise.retries.due_ms) else { return };
        let run = Self::of(bridge, state, number);
        let first = effect.perform(&run);
        let barrier = state.submit(&bridge.facts);
        let span = bridge.facts.trace.step(number, effect.kind());
        let (attempts, handle) = abortable(run.attempts(effect, first, (due_ms, barrier), span));
        if let Some(promise) = state.promises.get_mut(number) {
            promise.effect = Some(handle);
        }
        state.beginning.push(attempts.map(drop).boxed());
    }

    /// Makes one attempt after the other, each when it is due and everything up to its ticket is durable.
    async fn attempts(
        self,
        effect: Arc<dyn Effect>,
        first: Attempt,
        (mut due_ms, mut barrier): (u64, Ticket),
        mut span: StepSpan,
    ) {
        let mut attempt = first;
        loop {
            if due_ms > 0 {
                if self.is_durable(barrier).await.is_err() {
                    return;
                }
                self.clock.sleep_until(due_ms).await;
            }
            // A run that ends with its claim reports that itself.
            if self.may_begin(barrier).await.is_err() {
                return;
            }
            let performed = AssertUnwindSafe(attempt).catch_unwind().await;
            let panicked = |_| Performed::Done(Err(GuestError::new(ErrorCode::Failed, "the capability panicked")));
            let performed = performed.unwrap_or_else(panicked);
            let Some(bridge) = self.bridge.upgrade() else { return };
            let error = match performed {
                Performed::Done(outcome) => {
                    span.outcome(&outcome);
                    return self.answer(&bridge, outcome);
                }
                Performed::Again(error) => error,
            };
            span.outcome::<()>(&Err(error.clone()));
            let Some(again) = self.retry(&bridge, error) else { return };
            (due_ms, barrier) = again;
            attempt = effect.perform(&self);
        }
    }

    /// Waits until everything up to `ticket` is durable. An effect may outlive its run for a moment, but does not keep the run
    /// alive.
    async fn is_durable(&self, ticket: Ticket) -> Result<(), Gone> {
        self.bridge.upgrade().ok_or(Gone::Claim)?.durable(ticket).await
    }

    /// The same before an attempt, and the claim still holds.
    async fn may_begin(&self, ticket: Ticket) -> Result<(), Gone> {
        self.bridge.upgrade().ok_or(Gone::Claim)?.may_begin(ticket).await
    }

    /// Records a failed attempt and when the next one is due; settles the promise if there is none.
    fn retry(&self, bridge: &Bridge, error: GuestError) -> Option<(u64, Ticket)> {
        let (facts, number, mut state) = (&bridge.facts, self.id.number, bridge.state());
        let promise = state.promises.get(number).filter(|promise| promise.is_pending())?;
        let (count, deadline_ms) = (promise.retries.count, promise.deadline_ms);
        let now_ms = state.steps.tick(facts.now_ms());
        let due_ms = now_ms.saturating_add(back_off(&facts.seed, number, count));
        let too_late = deadline_ms.is_some_and(|deadline| due_ms >= deadline);
        if state.steps.is_concluded()
            || count >= MAX_RETRIES
            || too_late
            || state.check_room(facts.limits(), 256).is_err()
        {
            drop(state);
            self.answer(bridge, Err(error));
            return None;
        }
        let reason = Cow::Borrowed(error.message.as_str());
        state.steps.append(&Record::Retried { number, at_ms: now_ms, due_ms, reason });
        if let Some(promise) = state.promises.get_mut(number) {
            promise.retries = Retries { count: count + 1, due_ms };
        }
        let ticket = state.submit(facts);
        Some((due_ms, ticket))
    }

    /// Settles the promise with the outcome of its effect.
    fn answer(&self, bridge: &Bridge, outcome: Result<String, GuestError>) {
        let (facts, number, mut state) = (&bridge.facts, self.id.number, bridge.state());
        let pending = state.promises.get(number).filter(|promise| promise.is_pending());
        let Some(promise) = pending.filter(|_| !state.steps.is_concluded()) else { return };
        let too_late = promise.deadline_ms.is_some_and(|deadline| deadline <= facts.now_ms());
        let outcome = if too_late { Err(timed_out()) } else { with_room(&state, facts.limits().journal, outcome) };
        state.settle(number, outcome, facts.now_ms());
        state.submit_soon(facts, Entry::default());
        drop(state);
        bridge.changed.notify_waiters();
    }
}

/// Returns the outcome, or an error if the journal has no room for it.
fn with_room(state: &State, limit: u64, outcome: Result<String, GuestError>) -> Result<String, GuestError> {
    let json = outcome?;
    let room = limit.saturating_sub(state.kept_bytes());
    if json.len() as u64 <= room {
        return Ok(json);
    }
    let message = format!("the response has {} bytes, limits.journal leaves {room}", json.len());
    Err(GuestError::new(ErrorCode::LimitExceeded, message).because(Reason::LargeResponse))
}

/// Returns how long to wait after the failure of attempt `count`, in milliseconds; deterministic.
fn back_off(seed: &[u8; 32], number: u64, count: u32) -> u64 {
    let base = BACK_OFF_MS << count.min(16);
    let mut hasher = blake3::Hasher::new_keyed(seed);
    hasher.update(b"back-off").update(&number.to_le_bytes()).update(&count.to_le_bytes());
    let drawn = hasher.finalize().as_bytes()[..8].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    base + drawn % (base / 2)
}
