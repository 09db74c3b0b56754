//! The road of every call, written once: replay, policy, audit, barrier, effect, record.
//!
//! [`Bridge::internal`]: the outcome is recorded and becomes durable with the next barrier. [`Bridge::read`]: the same for an effect that
//! takes time. [`Bridge::change`]: the same for an effect that a replay has to repeat in memory. [`Bridge::external`]: a barrier makes
//! everything earlier durable, then the effect runs. [`Bridge::output`]: shown once its record is durable. [`Bridge::promise`]: the outcome
//! comes later.

use super::approval::{APPROVAL, Answer, Decided, describe, question};
use super::live::GoingLive;
use super::ruled::Ruled;
use super::state::{Approval, Found, Promise};
use super::step::{Floor, Step, capped};
use super::{About, Bridge, Divergence, Fault, NewPromise, State, Stop, Value};
use crate::guest_error::{ErrorCode, GuestError};
use crate::output::{Content, Output};
use crate::policy::{AskRule, Remember, Verdict};
use everstep_store::journal::{CREATES_FILES, Call, Record, Role};
use everstep_store::seam::Entry;
use everstep_words::telemetry::Decision;
use std::borrow::Cow;
use std::future::Future;

/// The result of the first half of the road.
enum Begun<'p, T> {
    /// The step is over: its outcome is recorded; a denial is one, too.
    Recorded(Result<T, GuestError>),
    /// The step has begun before; its outcome, if any, is a settlement.
    Called(u64),
    /// An approver has to decide on it; the number is that of the approval promise.
    Asked(u64),
    /// The step is new and granted.
    Live(Ruled<'p>),
}

/// The facts that an effect may know about its execution.
pub(crate) struct Now {
    /// The number of the step.
    pub(crate) number: u64,
    /// The time, never before that of an earlier step, in milliseconds since the Unix epoch.
    pub(crate) now_ms: u64,
    /// How often a host has run the execution.
    pub(crate) attempts: u64,
}

impl Bridge {
    /// Whether a file that must be new is created by a step of its own: not where the execution began under a format without it.
    pub(crate) fn creates_files(&self) -> bool {
        self.state().steps.format() >= CREATES_FILES
    }

    /// An internal step whose effect is immediate.
    pub(crate) fn internal<T: Value>(
        &self,
        step: &Step<'_>,
        effect: impl FnOnce(Now) -> Result<T, GuestError>,
    ) -> Result<T, Fault> {
        let attempts = self.facts.terms.version;
        self.immediate(step, |state, number| effect(Now { number, now_ms: state.steps.now_ms(), attempts }))
    }

    /// Like [`internal`](Self::internal), for an effect on the execution itself.
    pub(super) fn immediate<T: Value>(
        &self,
        step: &Step<'_>,
        effect: impl FnOnce(&mut State, u64) -> Result<T, GuestError>,
    ) -> Result<T, Fault> {
        let mut state = self.state();
        match self.begin(&mut state, step)? {
            Begun::Recorded(outcome) => Ok(outcome?),
            Begun::Called(number) | Begun::Asked(number) => Err(not_immediate(number, step)),
            Begun::Live(ruled) => {
                let mut span = self.facts.trace.inner_step(ruled.number, step.kind);
                let outcome = effect(&mut state, ruled.number);
                span.outcome(&outcome);
                Ok(ruled.record(&self.facts, &mut state, outcome)??)
            }
        }
    }

    /// An internal step whose effect takes time.
    pub(crate) async fn read<T: Value, F>(&self, step: &Step<'_>, effect: impl FnOnce() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, GuestError>>,
    {
        self.change(step, effect, |_| {}).await
    }

    /// An internal step whose effect takes time and changes what the run holds in memory. When the guest repeats a call that
    /// succeeded, `again` makes the same change from the outcome alone, because the run that made it before is gone.
    pub(crate) async fn change<T: Value, F>(
        &self,
        step: &Step<'_>,
        effect: impl FnOnce() -> F,
        again: impl FnOnce(&T),
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, GuestError>>,
    {
        match self.begin_blocking(step).await? {
            Begun::Recorded(outcome) => {
                let value = outcome?;
                again(&value);
                Ok(value)
            }
            Begun::Called(number) | Begun::Asked(number) => Err(not_immediate(number, step)),
            Begun::Live(ruled) => {
                let mut span = self.facts.trace.inner_step(ruled.number, step.kind);
                let outcome = effect().await;
                span.outcome(&outcome);
                Ok(ruled.record(&self.facts, &mut self.state(), outcome)??)
            }
        }
    }

    /// An external step that the guest blocks on. `effect` is told whether an earlier attempt may have run, and must
    /// be idempotent.
    pub(crate) async fn external<T: Value, F>(
        &self,
        step: &Step<'_>,
        effect: impl FnOnce(bool) -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, GuestError>>,
    {
        let begun = self.begin_blocking(step).await?;
        let (number, repeated, barrier) = {
            let mut state = self.state();
            match begun {
                Begun::Recorded(outcome) => return Ok(outcome?),
                Begun::Asked(number) => return Err(not_immediate(number, step)),
                Begun::Called(number) => match state.recorded_outcome(number, step.kind)? {
                    Some(outcome) => return Ok(outcome?),
                    None if state.steps.is_replay() => return Err(Stop::Replayed.into()),
                    None => {
                        // The last recorded step: the guest was blocked on it.
                        self.go_live(&mut state)?;
                        (number, true, state.submit(&self.facts))
                    }
                },
                Begun::Live(ruled) => {
                    ruled.record_call(&mut state, Role::Effect, None);
                    (ruled.number, false, state.submit(&self.facts))
                }
            }
        };
        let mut span = self.facts.trace.step(number, step.kind);
        self.may_begin(barrier).await?;
        let outcome = effect(repeated).await;
        span.outcome(&outcome);
        let mut state = self.state();
        let at_ms = state.steps.tick(self.facts.now_ms());
        let recorded = outcome.as_ref().map(Value::to_bytes).map_err(Clone::clone);
        state.steps.append(&Record::Settled { number, at_ms, outcome: recorded });
        Ok(outcome?)
    }

    /// A step that shows output. Beyond the limit one marker is shown and the rest is dropped.
    pub(crate) fn output(&self, step: &Step<'_>, content: Content) -> Result<(), Fault> {
        let mut state = self.state();
        let begun = self.begin::<()>(&mut state, step)?;
        if let Begun::Recorded(Err(error)) = begun {
            return Err(error.into());
        }
        // Counted in a replay as well, so that the limit is reached at the same step.
        let before = state.budget.shown();
        let mut shown = before;
        let content = content.capped(&mut shown, self.facts.limits().output);
        state.budget.note_shown(shown);
        if let Begun::Live(ruled) = begun {
            let _span = self.facts.trace.inner_step(ruled.number, step.kind);
            // Output that does not fit a journal was not shown, and does not count.
            ruled
                .record(&self.facts, &mut state, Ok(Kept(content.clone())))?
                .inspect_err(|_| state.budget.note_shown(before))?;
            if let Some(content) = content {
                let during = state.session.during();
                state.unsent.show(Output { execution: self.facts.id.clone(), step: ruled.number, content, during });
                state.submit_soon(&self.facts, Entry::default());
            }
        }
        Ok(())
    }

    /// A step that creates a promise; returns its number.
    pub(crate) fn promise(&self, step: &Step<'_>, new: NewPromise) -> Result<u64, Fault> {
        let mut state = self.state();
        let (begun, approval) = match self.begin::<()>(&mut state, step)? {
            Begun::Asked(approval) => (self.begin_gated(&mut state, step, approval)?, Some(approval)),
            begun => (begun, None),
        };
        let ruled = match begun {
            Begun::Recorded(Err(error)) => return Err(error.into()),
            Begun::Recorded(Ok(())) => return Err(not_a_promise(state.steps.next() - 1, step)),
            Begun::Asked(number) => return Err(not_a_promise(number, step)),
            Begun::Called(number) => {
                state.session.note_call(step.kind, step.subject, number);
                new.reopen(&self.facts, &mut state, number, step);
                return Ok(number);
            }
            Begun::Live(ruled) => ruled,
        };
        // Checked after the replay, so that a call accepted once stays accepted.
        let facts = &self.facts;
        let (bytes, role) = (new.about.bytes(), new.about.role(&facts.capabilities));
        let fits = new.about.check_depth().and_then(|()| self.count_promise(&state, ruled.number, role));
        let fits = fits.and_then(|()| facts.fits_a_journal("the call", bytes));
        let is_kept = matches!(role, Role::External | Role::Child);
        let fits = fits.and_then(|()| if is_kept { facts.fits_the_store("the call", bytes) } else { Ok(()) });
        if let Err(error) = fits {
            let _ = ruled.record::<()>(facts, &mut state, Err(error.clone()))?;
            approval.into_iter().for_each(|approval| state.withdraw(facts, approval));
            return Err(error.into());
        }
        state.check_room(facts.limits(), bytes)?;
        let new = new.bounded(facts, step, ruled.rule);
        state.session.note_call(step.kind, step.subject, ruled.number);
        match approval {
            None => {
                let deadline_ms = new.deadline(facts.now_ms(), role, facts.terms.deadline_ms);
                ruled.record_call(&mut state, role, deadline_ms);
                new.open(self, &mut state, &ruled, role, deadline_ms);
            }
            // Its timeout starts when its effect begins.
            Some(approval) => {
                ruled.record_call(&mut state, role, None);
                new.open_gated(facts, &mut state, &ruled, role, approval);
            }
        }
        Ok(ruled.number)
    }

    /// Checks that the execution may have another promise, and counts it.
    fn count_promise(&self, state: &State, number: u64, role: Role) -> Result<(), GuestError> {
        let facts = &self.facts;
        if self.is_canceled() && state.cleans_up() {
            return Err(GuestError::new(ErrorCode::Canceled, "the execution is canceled, and waits for nothing new"));
        }
        if role == Role::Child && facts.id.child(number).is_none() {
            let message = format!("the id of a child of {} would be too long; call with less depth", facts.id);
            return Err(GuestError::new(ErrorCode::LimitExceeded, message));
        }
        state.promises.check_room(facts.limits(), role)?;
        match role {
            Role::External | Role::Child => facts.descent.take(&facts.grants.lineage(), role == Role::Child),
            _ => Ok(()),
        }
    }

    /// Runs everything that comes before an effect: replay, limits, policy, audit.
    fn begin<'p, T: Value>(&'p self, state: &mut State, step: &'p Step<'_>) -> Result<Begun<'p, T>, Stop> {
        match state.take_step(step)? {
            Found::Recorded(outcome) => Ok(Begun::Recorded(outcome)),
            Found::Called(number) => Ok(Begun::Called(number)),
            Found::Approval(number) => {
                state.promises.get_mut(number).into_iter().for_each(|promise| promise.ask_again(step));
                Ok(Begun::Asked(number))
            }
            Found::Nothing(number) => {
                self.get_ready(state, number)?;
                self.judge(state, step, number, None)
            }
        }
    }

    /// Like [`begin`](Self::begin), for a step that the guest blocks on: waits for the approval, if one is needed.
    async fn begin_blocking<'p, T: Value>(&'p self, step: &'p Step<'_>) -> Result<Begun<'p, T>, Stop> {
        let approval = {
            let mut state = self.state();
            match self.begin(&mut state, step)? {
                Begun::Asked(approval) => {
                    if state.steps.is_live() {
                        state.show_if_first(&self.facts, approval);
                    }
                    approval
                }
                begun => return Ok(begun),
            }
        };
        self.wait_through(&[approval]).await?;
        let mut state = self.state();
        match state.take_step(step)? {
            Found::Recorded(outcome) => Ok(Begun::Recorded(outcome)),
            Found::Called(number) => Ok(Begun::Called(number)),
            Found::Approval(number) => Err(Stop::Contract(format!("step {number} was asked about twice"))),
            Found::Nothing(number) => {
                self.get_ready(&mut state, number)?;
                let decided = Answer::decided(&self.facts.grants.policy, &state, approval, &describe(step));
                self.judge(&mut state, step, number, Some(decided))
            }
        }
    }

    /// Begins a step after its approval was asked for; its effect begins later.
    fn begin_gated<'p>(&'p self, state: &mut State, step: &'p Step<'_>, approval: u64) -> Result<Begun<'p, ()>, Stop> {
        match state.take_step(step)? {
            Found::Recorded(outcome) => Ok(Begun::Recorded(outcome)),
            Found::Called(number) => Ok(Begun::Called(number)),
            Found::Approval(number) => Err(Stop::Contract(format!("step {number} was asked about twice"))),
            Found::Nothing(number) => match self.decide(state, step) {
                Verdict::Allow { rule } | Verdict::Ask { terms: rule, .. } => {
                    state.count(rule, &step.grant);
                    Ok(Begun::Live(Ruled { step, number, rule }))
                }
                Verdict::Deny { rule, error } => {
                    state.withdraw(&self.facts, approval);
                    self.refuse(state, &Ruled { step, number, rule }, error)
                }
            },
        }
    }

    /// Makes the execution live, if its guest has just repeated everything.
    pub(super) fn go_live(&self, state: &mut State) -> Result<(), Stop> {
        if state.steps.is_live() { Ok(()) } else { GoingLive { bridge: self, state }.finish() }
    }

    fn get_ready(&self, state: &mut State, number: u64) -> Result<(), Stop> {
        self.go_live(state)
            .and_then(|()| state.check_limits(self.facts.limits()))
            .inspect_err(|_| state.steps.give_back(number))
    }

    fn decide(&self, state: &mut State, step: &Step<'_>) -> Verdict<'_> {
        let now_ms = state.steps.tick(self.facts.now_ms());
        self.facts.grants.policy.decide(&step.grant, state.budget.usage(), now_ms)
    }

    /// Applies the policy to a new step and writes the audit line. `decided` is the approver's answer, if one was
    /// asked for.
    fn judge<'p, T: Value>(
        &'p self,
        state: &mut State,
        step: &'p Step<'_>,
        number: u64,
        decided: Option<Decided>,
    ) -> Result<Begun<'p, T>, Stop> {
        let verdict = self.decide(state, step);
        let asked = decided.is_some() || matches!(verdict, Verdict::Ask { .. });
        let (rule, decided) = match verdict {
            Verdict::Allow { rule } => (rule, decided.unwrap_or(Ok(None))),
            Verdict::Deny { rule, error } => (rule, Err(error)),
            Verdict::Ask { rule, terms } => match (decided, self.facts.grants.policy.ask_rule(rule)) {
                (Some(decided), _) => (terms, decided),
                (None, None) => (rule, Err(GuestError::new(ErrorCode::Denied, describe(step)))),
                (None, Some(ask)) => match self.permitted(step, true) {
                    Err(error) => (rule, Err(error)),
                    Ok(()) => match Answer::remembered(self, state, step, ask) {
                        Some(decided) => (terms, decided),
                        None => return self.ask(state, step, number, ask),
                    },
                },
            },
        };
        let ruled = Ruled { step, number, rule };
        let decided = decided.and_then(|approver| self.permitted(step, asked).map(|()| approver));
        match ruled.audit(&self.facts, state, decided) {
            Ok(()) => {
                state.count(rule, &step.grant);
                Ok(Begun::Live(ruled))
            }
            Err(error) => self.deny(state, &ruled, error),
        }
    }

    /// Asks for approval of a step; the approval is step `number`.
    fn ask<'p, T>(
        &self,
        state: &mut State,
        step: &Step<'_>,
        number: u64,
        rule: &'p AskRule,
    ) -> Result<Begun<'p, T>, Stop> {
        let (facts, role) = (&self.facts, Role::External);
        let ruled = Ruled { step, number, rule: &rule.rule };
        let asked = question(step).and_then(|asked| self.count_promise(state, number, role).map(|()| asked));
        let noted = asked.and_then(|asked| ruled.line().ask(facts, state).map(|()| asked));
        let about = match noted {
            Ok(asked) => About::Shown(asked),
            Err(error) => return self.refuse(state, &ruled, error),
        };
        let new = NewPromise { timeout_ms: Some(u64::try_from(rule.ttl.as_millis()).unwrap_or(u64::MAX)), about };
        state.check_room(facts.limits(), new.about.bytes())?;
        let deadline_ms = new.deadline(facts.now_ms(), role, facts.terms.deadline_ms);
        let (key, at_ms) = (step.approval_key(), state.steps.tick(facts.now_ms()));
        let subject = capped(step.subject);
        let call = Call { number, at_ms, kind: APPROVAL, args: &key, subject, allowed: true, rule: &rule.rule };
        state.tally.count(APPROVAL, Decision::Ask);
        let _span = facts.trace.asked(role, number, APPROVAL);
        state.steps.append(&Record::Called { call, role, deadline_ms });
        let approval = Approval { rule: rule.rule.clone(), key, gates: None };
        let queued = state.approvals.leader(&state.promises, &approval).is_some();
        let opened = Promise::opened(role, &new.about, deadline_ms);
        state.insert(number, Promise { queued, approval: Some(approval), about: Some(new.about), ..opened });
        Ok(Begun::Asked(number))
    }

    /// Starts, or refuses, the calls whose approval has been decided.
    pub(super) fn admit(&self, state: &mut State) {
        while let Some(number) = state.approvals.next_decided() {
            let Some(promise) = state.promises.get(number) else { continue };
            let Some((approval, outcome)) = promise.approval.clone().zip(promise.outcome.clone()) else { continue };
            state.record_outcome(number);
            let decided = self.admit_one(state, number, approval.gates);
            let given = !matches!(&decided, Err(error) if error.code == ErrorCode::Canceled);
            let holds = self.facts.grants.policy.ask_rule(&approval.rule).map(|rule| rule.remember)
                == Some(Remember::Execution);
            let waiting: Vec<u64> = state.approvals.waiting(&state.promises, &approval).collect();
            if given && (holds || decided.is_err()) {
                let now_ms = self.facts.now_ms();
                for next in waiting {
                    state.mark_settled(next, outcome.clone(), now_ms);
                }
            } else if let Some(next) = waiting.first() {
                state.show(&self.facts, *next);
            }
        }
    }

    fn admit_one(&self, state: &mut State, number: u64, gated: Option<u64>) -> Decided {
        let gated = gated.and_then(|gated| Some((gated, state.promises.get_mut(gated)?)));
        let Some((gated, promise)) = gated else { return Ok(None) };
        promise.gated_by = None;
        let Some(held) = promise.held.take().filter(|_| promise.is_pending()) else { return Ok(None) };
        held.admit(self, state, number, gated)
    }

    /// Checks what no rule of the policy decides: the host's ceiling and the step's floor.
    fn permitted(&self, step: &Step<'_>, approved: bool) -> Result<(), GuestError> {
        self.facts.grants.ceiling(&step.grant, approved)?;
        step.floor.map_or(Ok(()), Floor::check)
    }

    /// Denies a step, in the audit and in the journal.
    fn refuse<T>(&self, state: &mut State, ruled: &Ruled<'_>, error: GuestError) -> Result<Begun<'static, T>, Stop> {
        match ruled.audit(&self.facts, state, Err(error.clone())) {
            Ok(()) => self.deny(state, ruled, error),
            Err(error) => self.deny(state, ruled, error),
        }
    }

    fn deny<T>(&self, state: &mut State, ruled: &Ruled<'_>, error: GuestError) -> Result<Begun<'static, T>, Stop> {
        ruled.record_denial(&self.facts, state, error.clone())?;
        let (call, subject) = (ruled.step.kind.to_owned(), capped(ruled.step.subject).into_owned());
        let content = Content::Denied { call, subject, message: error.message.clone() };
        let during = state.session.during();
        state.unsent.show(Output { execution: self.facts.id.clone(), step: ruled.number, content, during });
        Ok(Begun::Recorded(Err(error)))
    }
}

/// What a journal keeps of an output step: the content as JSON, or nothing.
struct Kept(Option<Content>);

impl Value for Kept {
    fn to_bytes(&self) -> Cow<'_, [u8]> {
        // Texts and lists of texts always serialise.
        Cow::Owned(self.0.as_ref().map(|content| serde_json::to_vec(content).unwrap_or_default()).unwrap_or_default())
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            Some(Self(None))
        } else {
            serde_json::from_slice(bytes).ok().map(|content| Self(Some(content)))
        }
    }
}

fn not_immediate(number: u64, step: &Step<'_>) -> Fault {
    let (recorded, attempted) = ("the same step with an outcome that comes later".into(), step.describe(number));
    Fault::Stop(Divergence { step: number, recorded, attempted }.into())
}

fn not_a_promise(number: u64, step: &Step<'_>) -> Fault {
    let (recorded, attempted) = ("the same step with an immediate outcome".into(), step.describe(number));
    Fault::Stop(Divergence { step: number, recorded, attempted }.into())
}
