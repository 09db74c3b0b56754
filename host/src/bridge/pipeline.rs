//! The road of every call, written once: replay, policy, audit, barrier, effect, record.
//!
//! [`Bridge::internal`]: the outcome is recorded and becomes durable with the next barrier. [`Bridge::read`]: the same for an
//! effect that takes time. [`Bridge::external`]: a barrier makes everything earlier durable, then the effect runs.
//! [`Bridge::output`]: shown once its record is durable. [`Bridge::promise`]: the outcome comes later, by itself.

use super::promises::{self, NewPromise};
use super::replay::{Found, describe_parts};
use super::{Bridge, Divergence, Fault, State, Stop, Value};
use crate::guest_error::{ErrorCode, GuestError};
use crate::journal::{Call, Record, Role};
use crate::output::{Content, Output};
use crate::policy::{self, Verdict, audit};
use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;

/// Recorded bytes beyond which they are handed to the group commit although nobody waits.
const SEGMENT: usize = 64 << 10;

/// Characters of a subject that a record keeps.
const SUBJECT: usize = 512;

/// A call, as its capability describes it.
pub(crate) struct Step<'a> {
    /// The interface and function, such as `files.read`.
    pub(crate) kind: &'static str,
    /// What the call is about, for people.
    pub(crate) subject: &'a str,
    /// Everything that the outcome depends on.
    pub(crate) args: &'a [&'a [u8]],
    /// What the policy has to grant.
    pub(crate) grant: policy::Call<'a>,
}

/// The digest of a step's arguments; empty when it has none.
pub(super) struct ArgsDigest(Option<[u8; 16]>);

/// What the first half of the road came to.
enum Begun<'p, T> {
    /// The step is over: its outcome is recorded, a denial among others.
    Recorded(Result<T, GuestError>),
    /// The step was begun before; its outcome, if any, is a settlement.
    Called(u64),
    /// The step is new and granted.
    Live(Admitted<'p>),
}

/// A granted step that has no record yet.
struct Admitted<'p> {
    number: u64,
    rule: &'p str,
}

impl Bridge {
    /// An internal step whose effect is immediate.
    pub(crate) fn internal<T: Value>(
        self: &Arc<Self>,
        step: &Step<'_>,
        effect: impl FnOnce(&mut State, u64) -> Result<T, GuestError>,
    ) -> Result<T, Fault> {
        let mut state = self.state();
        match self.begin(&mut state, step)? {
            Begun::Recorded(outcome) => Ok(outcome?),
            Begun::Called(number) => Err(not_immediate(number, step)),
            Begun::Live(admitted) => {
                let outcome = effect(&mut state, admitted.number);
                self.record(&mut state, step, &admitted, &outcome)?;
                Ok(outcome?)
            }
        }
    }

    /// An internal step whose effect takes time.
    pub(crate) async fn read<T: Value, F>(
        self: &Arc<Self>,
        step: &Step<'_>,
        effect: impl FnOnce() -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, GuestError>>,
    {
        let begun = self.begin(&mut self.state(), step)?;
        match begun {
            Begun::Recorded(outcome) => Ok(outcome?),
            Begun::Called(number) => Err(not_immediate(number, step)),
            Begun::Live(admitted) => {
                let outcome = effect().await;
                self.record(&mut self.state(), step, &admitted, &outcome)?;
                Ok(outcome?)
            }
        }
    }

    /// An external step that the guest blocks on. `effect` learns whether an earlier attempt may have run, and must be
    /// idempotent.
    pub(crate) async fn external<T: Value, F>(
        self: &Arc<Self>,
        step: &Step<'_>,
        effect: impl FnOnce(bool) -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, GuestError>>,
    {
        let (number, repeated, barrier) = {
            let mut state = self.state();
            match self.begin(&mut state, step)? {
                Begun::Recorded(outcome) => return Ok(outcome?),
                Begun::Called(number) => match state.recorded_outcome(number, step.kind)? {
                    Some(outcome) => return Ok(outcome?),
                    None if state.only_up_to.is_some() => return Err(Stop::Replayed.into()),
                    None => {
                        // The last of what is recorded: the guest was blocked on it.
                        self.go_live(&mut state)?;
                        (number, true, self.submit(&mut state, []))
                    }
                },
                Begun::Live(admitted) => {
                    self.record_call(&mut state, step, &admitted, Role::Effect, None);
                    (admitted.number, false, self.submit(&mut state, []))
                }
            }
        };
        self.durable(barrier).await?;
        let outcome = effect(repeated).await;
        let mut state = self.state();
        let at_ms = state.tick(self.clock.now_ms());
        let recorded = outcome.as_ref().map(Value::to_bytes).map_err(Clone::clone);
        state.journal.append(&Record::Settled { number, at_ms, outcome: recorded });
        Ok(outcome?)
    }

    /// A step that shows something. Beyond the limit one marker is shown and the rest is dropped.
    pub(crate) fn output(self: &Arc<Self>, step: &Step<'_>, content: Content) -> Result<(), Fault> {
        let mut state = self.state();
        let begun = self.begin::<()>(&mut state, step)?;
        if let Begun::Recorded(Err(error)) = begun {
            return Err(error.into());
        }
        // Counted in a replay as well, so that the limit ends at the same step.
        let content = content.capped(&mut state.shown, self.grants.policy.limits.output);
        if let Begun::Live(admitted) = begun {
            let kept = Kept(content.clone());
            self.record(&mut state, step, &admitted, &Ok(kept))?;
            if let Some(content) = content {
                state.output.push(Output { execution: self.id.clone(), step: admitted.number, content });
                self.submit_soon(&mut state, []);
            }
        }
        Ok(())
    }

    /// A step that creates a promise; returns its number.
    pub(crate) fn promise(self: &Arc<Self>, step: &Step<'_>, new: NewPromise) -> Result<u64, Fault> {
        let mut state = self.state();
        let admitted = match self.begin::<()>(&mut state, step)? {
            Begun::Recorded(Err(error)) => return Err(error.into()),
            Begun::Recorded(Ok(())) => return Err(not_a_promise(state.next - 1, step)),
            Begun::Called(number) => {
                self.reopen(&mut state, number, new);
                return Ok(number);
            }
            Begun::Live(admitted) => admitted,
        };
        if let Some(error) = self.no_room_for_promise(&state, admitted.number, new.role) {
            self.record::<()>(&mut state, step, &admitted, &Err(error.clone()))?;
            return Err(error.into());
        }
        self.check_room(&state, new.bytes())?;
        let deadline_ms = promises::deadline(self.clock.now_ms(), &new, self.claim.deadline_ms);
        self.record_call(&mut state, step, &admitted, new.role, deadline_ms);
        self.open(&mut state, admitted.number, new, deadline_ms);
        Ok(admitted.number)
    }

    /// What comes before every effect: replay, limits, policy, audit.
    fn begin<T: Value>(self: &Arc<Self>, state: &mut State, step: &Step<'_>) -> Result<Begun<'_, T>, Stop> {
        let number = match state.take_step(step)? {
            Found::Recorded(outcome) => return Ok(Begun::Recorded(outcome)),
            Found::Called(number) => return Ok(Begun::Called(number)),
            Found::Nothing(number) => number,
        };
        if let Err(stop) = self.go_live(state).and_then(|()| self.check_limits(state)) {
            state.next = number;
            return Err(stop);
        }
        let (rule, verdict) = match self.grants.policy.decide(&step.grant, &state.usage) {
            Verdict::Allow { rule } => (rule, self.grants.floor(&step.grant)),
            Verdict::Deny { rule, error } => (rule, Err(error)),
        };
        let admitted = Admitted { number, rule };
        match self.audit(state, step, &admitted, verdict) {
            Ok(()) => {
                state.usage.count(rule, &step.grant);
                Ok(Begun::Live(admitted))
            }
            Err(error) => {
                self.record_as::<()>(state, step, &admitted, false, &Err(error.clone()))?;
                Ok(Begun::Recorded(Err(error)))
            }
        }
    }

    /// Records the outcome of a step that no rule decides on.
    pub(super) fn record_ungranted(
        &self,
        state: &mut State,
        step: &Step<'_>,
        number: u64,
        value: &str,
    ) -> Result<(), Stop> {
        self.record(state, step, &Admitted { number, rule: "" }, &Ok(value.to_owned()))
    }

    /// A run that has used up its steps or its journal ends here.
    pub(super) fn check_limits(&self, state: &State) -> Result<(), Stop> {
        self.check_steps(state)?;
        self.check_room(state, 0)
    }

    pub(super) fn check_steps(&self, state: &State) -> Result<(), Stop> {
        let limit = self.grants.policy.limits.steps;
        if state.next <= limit {
            return Ok(());
        }
        Err(Stop::Limit(format!("the limit of {limit} steps is reached (limits.steps)")))
    }

    /// Whether the execution may keep so many bytes more.
    pub(super) fn check_room(&self, state: &State, bytes: u64) -> Result<(), Stop> {
        let fits = state.kept_bytes().saturating_add(bytes) <= self.grants.policy.limits.journal;
        if fits { Ok(()) } else { Err(self.no_room()) }
    }

    pub(super) fn no_room(&self) -> Stop {
        let limit = self.grants.policy.limits.journal;
        Stop::Limit(format!("the limit of {limit} bytes of journal is reached (limits.journal)"))
    }

    /// Writes the decision down before anything happens; a decision that cannot be written is a denial.
    fn audit(
        &self,
        state: &State,
        step: &Step<'_>,
        admitted: &Admitted<'_>,
        verdict: Result<(), GuestError>,
    ) -> Result<(), GuestError> {
        if matches!(step.grant, policy::Call::Ungranted) {
            return verdict;
        }
        let Some(log) = &self.grants.audit else { return verdict };
        let id = audit::id(&self.id, admitted.number);
        let entry = audit::Entry {
            time_ms: self.clock.now_ms().max(state.now_ms),
            execution: &self.id,
            step: admitted.number,
            policy: &self.grants.digest,
            rule: admitted.rule,
            capability: step.kind,
            subject: step.subject,
            decision: if verdict.is_ok() { audit::Decision::Allow } else { audit::Decision::Deny },
            bytes: step.grant.bytes(),
        };
        if let Err(error) = log.record(entry) {
            tracing::error!(%error, "the audit log cannot be written; the call is denied");
            let message = format!("{} (the audit log cannot be written)", step.kind);
            return Err(GuestError::new(ErrorCode::Denied, message));
        }
        verdict.map_err(|error| GuestError { message: format!("{}; audit {id}", error.message), ..error })
    }

    fn record<T: Value>(
        &self,
        state: &mut State,
        step: &Step<'_>,
        admitted: &Admitted<'_>,
        outcome: &Result<T, GuestError>,
    ) -> Result<(), Stop> {
        self.record_as(state, step, admitted, true, outcome)
    }

    /// Records a step that is over, unless the journal has no room for it: then the run ends, as if it had stopped before.
    fn record_as<T: Value>(
        &self,
        state: &mut State,
        step: &Step<'_>,
        admitted: &Admitted<'_>,
        allowed: bool,
        outcome: &Result<T, GuestError>,
    ) -> Result<(), Stop> {
        let digest = step.digest();
        let call = Call { allowed, ..step.call(admitted, state.tick(self.clock.now_ms()), &digest) };
        let outcome = outcome.as_ref().map(Value::to_bytes).map_err(Clone::clone);
        let length = state.journal.len();
        state.journal.append(&Record::Step { call, outcome });
        if let Err(stop) = self.check_room(state, 0) {
            state.journal.take_back(length);
            return Err(stop);
        }
        if state.journal.unsubmitted() > SEGMENT {
            self.submit_soon(state, []);
        }
        Ok(())
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
        let call = step.call(admitted, state.tick(self.clock.now_ms()), &digest);
        state.journal.append(&Record::Called { call, role, deadline_ms });
    }
}

impl Step<'_> {
    /// The step in words, for a divergence.
    pub(super) fn describe(&self, number: u64) -> String {
        describe_parts(number, self.kind, &capped(self.subject), self.digest().as_slice())
    }

    /// The digest of the arguments: BLAKE3 over each one and its length, 16 bytes of it.
    pub(super) fn digest(&self) -> ArgsDigest {
        if self.args.is_empty() {
            return ArgsDigest(None);
        }
        let mut hasher = blake3::Hasher::new();
        for arg in self.args {
            hasher.update(&(arg.len() as u64).to_le_bytes());
            hasher.update(arg);
        }
        let mut digest = [0; 16];
        hasher.finalize_xof().fill(&mut digest);
        ArgsDigest(Some(digest))
    }

    fn call<'a>(&'a self, admitted: &Admitted<'a>, at_ms: u64, digest: &'a ArgsDigest) -> Call<'a> {
        let args = digest.as_slice();
        let subject = capped(self.subject);
        Call { number: admitted.number, at_ms, kind: self.kind, args, subject, allowed: true, rule: admitted.rule }
    }
}

impl ArgsDigest {
    pub(super) fn as_slice(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |digest| digest.as_slice())
    }
}

/// What is kept of a step that shows something: the content as JSON, or nothing.
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

fn capped(subject: &str) -> Cow<'_, str> {
    match subject.char_indices().nth(SUBJECT) {
        None => Cow::Borrowed(subject),
        Some((end, _)) => Cow::Owned(format!("{}…", &subject[..end])),
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
