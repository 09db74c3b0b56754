//! The road of every call, written once: replay, policy, audit, barrier, effect, record.
//!
//! [`Bridge::internal`]: the outcome is recorded and becomes durable with the next barrier. [`Bridge::read`]: the same for an effect that
//! takes time. [`Bridge::change`]: the same for an effect that a replay has to repeat in memory. [`Bridge::external`]: a barrier makes
//! everything earlier durable, then the effect runs. [`Bridge::output`]: shown once its record is durable. [`Bridge::promise`]: the outcome
//! comes later.

use super::approval::{Decided, describe};
use super::promises::{self, NewPromise};
use super::state::Found;
use super::step::{Floor, Step, capped};
use super::{Bridge, Divergence, Fault, State, Stop, Value};
use crate::guest_error::{ErrorCode, GuestError};
use crate::output::{Content, Output};
use crate::policy::{self, Verdict, audit};
use everstep_store::journal::{Call, Record, Role};
use everstep_store::seam::Entry;
use std::borrow::Cow;
use std::future::Future;

/// Recorded bytes above which they are handed to the group commit even if nothing waits for them.
const SEGMENT: usize = 64 << 10;

/// The result of the first half of the road.
pub(super) enum Begun<'p, T> {
    /// The step is over: its outcome is recorded; a denial is one, too.
    Recorded(Result<T, GuestError>),
    /// The step has begun before; its outcome, if any, is a settlement.
    Called(u64),
    /// An approver has to decide on it; the number is that of the approval promise.
    Asked(u64),
    /// The step is new and granted.
    Live(Admitted<'p>),
}

/// The facts of a call that go into an audit line.
pub(super) struct Line<'a> {
    pub(super) step: u64,
    pub(super) rule: &'a str,
    pub(super) capability: &'a str,
    pub(super) subject: &'a str,
    pub(super) bytes: u64,
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

/// A granted step that has no record yet.
pub(super) struct Admitted<'p> {
    pub(super) number: u64,
    pub(super) rule: &'p str,
}

impl Bridge {
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
            Begun::Live(admitted) => {
                let outcome = effect(&mut state, admitted.number);
                Ok(self.record(&mut state, step, &admitted, outcome)??)
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
            Begun::Live(admitted) => {
                let outcome = effect().await;
                Ok(self.record(&mut self.state(), step, &admitted, outcome)??)
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
                Begun::Live(admitted) => {
                    self.record_call(&mut state, step, &admitted, Role::Effect, None);
                    (admitted.number, false, state.submit(&self.facts))
                }
            }
        };
        self.may_begin(barrier).await?;
        let outcome = effect(repeated).await;
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
        if let Begun::Live(admitted) = begun {
            // Output that does not fit a journal was not shown, and does not count.
            self.record(&mut state, step, &admitted, Ok(Kept(content.clone())))?
                .inspect_err(|_| state.budget.note_shown(before))?;
            if let Some(content) = content {
                state.unsent.show(Output { execution: self.facts.id.clone(), step: admitted.number, content });
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
        let admitted = match begun {
            Begun::Recorded(Err(error)) => return Err(error.into()),
            Begun::Recorded(Ok(())) => return Err(not_a_promise(state.steps.next() - 1, step)),
            Begun::Asked(number) => return Err(not_a_promise(number, step)),
            Begun::Called(number) => {
                self.reopen(&mut state, number, step, new);
                return Ok(number);
            }
            Begun::Live(admitted) => admitted,
        };
        // Checked after the replay, so that a call accepted once stays accepted.
        let refused = new.check_depth().err();
        let role = self.role_of(&new.about);
        let refused = refused.or_else(|| self.no_room_for_promise(&state, admitted.number, role));
        if let Some(error) = refused.or_else(|| self.facts.more_than_a_journal("the call", new.bytes())) {
            let _ = self.record::<()>(&mut state, step, &admitted, Err(error.clone()))?;
            approval.into_iter().for_each(|approval| self.withdraw(&mut state, approval));
            return Err(error.into());
        }
        state.check_room(self.facts.limits(), new.bytes())?;
        let new = NewPromise { timeout_ms: self.facts.bounded_by_rule(step, admitted.rule, new.timeout_ms), ..new };
        // For a step that waits for an approval, the timeout starts when its effect begins.
        let deadline_ms = match approval {
            None => promises::deadline(self.facts.now_ms(), role, new.timeout_ms, self.facts.terms.deadline_ms),
            Some(_) => None,
        };
        self.record_call(&mut state, step, &admitted, role, deadline_ms);
        match approval {
            None => self.open(&mut state, &admitted, step, (role, new), deadline_ms),
            Some(approval) => self.open_gated(&mut state, &admitted, step, (role, new), approval),
        }
        Ok(admitted.number)
    }

    /// Runs everything that comes before an effect: replay, limits, policy, audit.
    fn begin<T: Value>(&self, state: &mut State, step: &Step<'_>) -> Result<Begun<'_, T>, Stop> {
        match state.take_step(step)? {
            Found::Recorded(outcome) => Ok(Begun::Recorded(outcome)),
            Found::Called(number) => Ok(Begun::Called(number)),
            Found::Approval(number) => {
                self.ask_again(state, step, number);
                Ok(Begun::Asked(number))
            }
            Found::Nothing(number) => {
                self.get_ready(state, number)?;
                self.judge(state, step, number, None)
            }
        }
    }

    /// Like [`begin`](Self::begin), for a step that the guest blocks on: waits for the approval, if one is needed.
    async fn begin_blocking<T: Value>(&self, step: &Step<'_>) -> Result<Begun<'_, T>, Stop> {
        let approval = {
            let mut state = self.state();
            match self.begin(&mut state, step)? {
                Begun::Asked(approval) => {
                    if state.steps.is_live() {
                        self.show_if_first(&mut state, approval);
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
                let decided = self.decided(&state, approval, &describe(step));
                self.judge(&mut state, step, number, Some(decided))
            }
        }
    }

    /// Begins a step after its approval was asked for; its effect begins later.
    fn begin_gated(&self, state: &mut State, step: &Step<'_>, approval: u64) -> Result<Begun<'_, ()>, Stop> {
        match state.take_step(step)? {
            Found::Recorded(outcome) => Ok(Begun::Recorded(outcome)),
            Found::Called(number) => Ok(Begun::Called(number)),
            Found::Approval(number) => Err(Stop::Contract(format!("step {number} was asked about twice"))),
            Found::Nothing(number) => match self.decide(state, step) {
                Verdict::Allow { rule } | Verdict::Ask { terms: rule, .. } => {
                    state.count(rule, &step.grant);
                    Ok(Begun::Live(Admitted { number, rule }))
                }
                Verdict::Deny { rule, error } => {
                    self.withdraw(state, approval);
                    self.refuse(state, step, &Admitted { number, rule }, error)
                }
            },
        }
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
    fn judge<T: Value>(
        &self,
        state: &mut State,
        step: &Step<'_>,
        number: u64,
        decided: Option<Decided>,
    ) -> Result<Begun<'_, T>, Stop> {
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
                    Ok(()) => match self.remembered(state, step, ask) {
                        Some(decided) => (terms, decided),
                        None => return self.ask(state, step, number, ask),
                    },
                },
            },
        };
        let admitted = Admitted { number, rule };
        let decided = decided.and_then(|approver| self.permitted(step, asked).map(|()| approver));
        match self.audit(state, step, &admitted, decided) {
            Ok(()) => {
                state.count(rule, &step.grant);
                Ok(Begun::Live(admitted))
            }
            Err(error) => self.deny(state, step, &admitted, error),
        }
    }

    /// Checks what no rule of the policy decides: the host's ceiling and the step's floor.
    fn permitted(&self, step: &Step<'_>, approved: bool) -> Result<(), GuestError> {
        self.facts.grants.ceiling(&step.grant, approved)?;
        step.floor.map_or(Ok(()), Floor::check)
    }

    /// Denies a step, in the audit and in the journal.
    pub(super) fn refuse<T>(
        &self,
        state: &mut State,
        step: &Step<'_>,
        admitted: &Admitted<'_>,
        error: GuestError,
    ) -> Result<Begun<'static, T>, Stop> {
        match self.audit(state, step, admitted, Err(error.clone())) {
            Ok(()) => self.deny(state, step, admitted, error),
            Err(error) => self.deny(state, step, admitted, error),
        }
    }

    fn deny<T>(
        &self,
        state: &mut State,
        step: &Step<'_>,
        admitted: &Admitted<'_>,
        error: GuestError,
    ) -> Result<Begun<'static, T>, Stop> {
        let _ = self.record_as::<()>(state, step, admitted, false, Err(error.clone()))?;
        let (call, subject) = (step.kind.to_owned(), capped(step.subject).into_owned());
        let content = Content::Denied { call, subject, message: error.message.clone() };
        state.unsent.show(Output { execution: self.facts.id.clone(), step: admitted.number, content });
        Ok(Begun::Recorded(Err(error)))
    }

    /// Records the outcome of a step that needs no grant.
    pub(super) fn record_ungranted(
        &self,
        state: &mut State,
        step: &Step<'_>,
        number: u64,
        value: &str,
    ) -> Result<(), Fault> {
        self.record(state, step, &Admitted { number, rule: "" }, Ok(value.to_owned()))??;
        Ok(())
    }

    /// Writes the decision to the audit before anything happens; if that fails, the call is denied.
    fn audit(
        &self,
        state: &State,
        step: &Step<'_>,
        admitted: &Admitted<'_>,
        decided: Decided,
    ) -> Result<(), GuestError> {
        if matches!(step.grant, policy::Call::Ungranted) {
            return decided.map(drop);
        }
        let line = Line {
            step: admitted.number,
            rule: admitted.rule,
            capability: step.kind,
            subject: step.subject,
            bytes: step.grant.bytes(),
        };
        self.audit_line(state, &line, decided)
    }

    /// Like [`audit`](Self::audit), for a call that is not available as a step.
    pub(super) fn audit_line(&self, state: &State, line: &Line<'_>, decided: Decided) -> Result<(), GuestError> {
        let (decision, approver) = match &decided {
            Ok(approver) => (audit::Decision::Allow, approver.as_deref()),
            Err(_) => (audit::Decision::Deny, None),
        };
        self.write_line(state, line, decision, approver)?;
        decided.map(drop).map_err(|error| {
            let id = audit::id(&self.facts.id, line.step);
            let hint = match self.facts.grants.audit {
                Some(_) => format!("; see everstep policy explain {id}"),
                None => String::new(),
            };
            GuestError { message: format!("{}{hint}", error.message), ..error }
        })
    }

    pub(super) fn write_line(
        &self,
        state: &State,
        line: &Line<'_>,
        decision: audit::Decision,
        approver: Option<&str>,
    ) -> Result<(), GuestError> {
        let Some(log) = &self.facts.grants.audit else { return Ok(()) };
        let Line { step, rule, capability, subject, bytes } = *line;
        let entry = audit::Entry {
            time_ms: self.facts.now_ms().max(state.steps.now_ms()),
            execution: &self.facts.id,
            step,
            policy: &self.facts.grants.digest,
            rule,
            capability,
            subject,
            decision,
            bytes,
            approver,
        };
        self.facts.grants.write(log, entry)
    }

    fn record<T: Value>(
        &self,
        state: &mut State,
        step: &Step<'_>,
        admitted: &Admitted<'_>,
        outcome: Result<T, GuestError>,
    ) -> Result<Result<T, GuestError>, Stop> {
        self.record_as(state, step, admitted, true, outcome)
    }

    /// Records a finished step and returns its outcome; an outcome that exceeds any journal is replaced by an error. If this
    /// journal has no room left, the run ends as if it had stopped before the step.
    fn record_as<T: Value>(
        &self,
        state: &mut State,
        step: &Step<'_>,
        admitted: &Admitted<'_>,
        allowed: bool,
        outcome: Result<T, GuestError>,
    ) -> Result<Result<T, GuestError>, Stop> {
        let digest = step.digest();
        let call = Call { allowed, ..step.call(admitted, state.steps.tick(self.facts.now_ms()), &digest) };
        let bytes = outcome.as_ref().map(Value::to_bytes);
        let size = bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let too_large = self.facts.more_than_a_journal("the outcome", size);
        let recorded = match &too_large {
            Some(error) => Err(error.clone()),
            None => bytes.map_err(Clone::clone),
        };
        let length = state.steps.length();
        state.steps.append(&Record::Step { call, outcome: recorded });
        if let Err(stop) = state.check_room(self.facts.limits(), 0) {
            state.steps.take_back(length);
            return Err(stop);
        }
        if state.steps.unsubmitted() > SEGMENT {
            state.submit_soon(&self.facts, Entry::default());
        }
        Ok(too_large.map_or(outcome, Err))
    }

    fn record_call(
        &self,
        state: &mut State,
        step: &Step<'_>,
        admitted: &Admitted<'_>,
        role: Role,
        deadline_ms: Option<u64>,
    ) {
        let digest = step.digest();
        // The time of the decision: rates are counted by it, here and in a replay.
        let call = step.call(admitted, state.steps.now_ms(), &digest);
        state.steps.append(&Record::Called { call, role, deadline_ms });
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
