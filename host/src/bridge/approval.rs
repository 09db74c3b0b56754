//! Approval: a person decides on a call before it has an effect.
//!
//! A call that an `[[ask]]` rule matches takes two numbers: one for the approval, a promise of the store with the exact arguments, and
//! its own. A step that the guest blocks on waits for the approval as for any promise; for one that makes a promise, the guest
//! continues and the effect begins after the approval. The guest can neither see the approval nor settle it.
//!
//! Of identical calls that wait, only the first is shown. The decision on it holds for the others as well, unless an approval is good for
//! one use: then the next one is shown.

use super::audit::Line;
use super::pipeline::Begun;
use super::promises::{About, NewPromise, deadline};
use super::ruled::Ruled;
use super::state::{Approval, Held, Promise};
use super::{Bridge, State, Step, Stop};
use crate::guest_error::{ErrorCode, GuestError};
use crate::policy::{AskRule, Remember, quoted};
use crate::visible;
use everstep_store::journal::{Call, Record, Role};
use everstep_store::seam::Entry;
use everstep_store::{Asked, PromiseKind};
use serde_json::{Value, json};

/// The kind of the step that asks for approval.
pub(crate) const APPROVAL: &str = "approval";

/// The largest question that an approver is shown, in bytes.
const LARGEST: usize = 256 << 10;

/// The JSON Schema of an [`Answer`].
const ANSWER: &str = r#"{"type":"object","required":["approved"],"additionalProperties":false,"properties":{"approved":{"type":"boolean"},"by":{"type":"string","maxLength":256},"reason":{"type":"string","maxLength":1024}}}"#;

/// The answer of an approver.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Whether the call may happen.
    pub approved: bool,
    /// The approver's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The decision on a call: the approver, if known, or the error for the guest.
pub(super) type Decided = Result<Option<String>, GuestError>;

impl Bridge {
    /// Asks for approval of a step; the approval is step `number`.
    pub(super) fn ask<'p, T>(
        &self,
        state: &mut State,
        step: &Step<'_>,
        number: u64,
        rule: &'p AskRule,
    ) -> Result<Begun<'p, T>, Stop> {
        let ruled = Ruled { step, number, rule: &rule.rule };
        let asked = question(step).and_then(|asked| match self.no_room_for_promise(state, number, Role::External) {
            None => Ok(asked),
            Some(error) => Err(error),
        });
        let noted = asked.and_then(|asked| ruled.line().ask(&self.facts, state).map(|()| asked));
        let asked = match noted {
            Ok(asked) => asked,
            Err(error) => return self.refuse(state, &ruled, error),
        };
        let timeout_ms = Some(u64::try_from(rule.ttl.as_millis()).unwrap_or(u64::MAX));
        let new = NewPromise { timeout_ms, about: About::Shown(asked) };
        state.check_room(self.facts.limits(), new.bytes())?;
        let deadline_ms = deadline(self.facts.now_ms(), Role::External, timeout_ms, self.facts.terms.deadline_ms);
        let (key, at_ms) = (step.approval_key(), state.steps.tick(self.facts.now_ms()));
        let subject = super::step::capped(step.subject);
        let call = Call { number, at_ms, kind: APPROVAL, args: &key, subject, allowed: true, rule: &rule.rule };
        state.steps.append(&Record::Called { call, role: Role::External, deadline_ms });
        let approval = Approval { rule: rule.rule.clone(), key, gates: None };
        let queued = state.leader(&approval).is_some();
        let bytes = new.bytes();
        let mut promise = Promise { called: true, bytes, queued, ..Promise::new(Role::External, deadline_ms) };
        promise.approval = Some(approval);
        promise.about = Some(new.about);
        state.insert(number, promise);
        Ok(Begun::Asked(number))
    }

    /// Shows an approval by creating its promise in the store, in one commit with the step that it guards.
    pub(super) fn show(&self, state: &mut State, number: u64) {
        let Some(promise) = state.promises.get_mut(number).filter(|promise| promise.is_pending()) else { return };
        promise.queued = false;
        promise.missing = false;
        let deadline_ms = promise.deadline_ms;
        if let Some(About::Shown(asked)) = promise.about.take() {
            state.keep(&self.facts, number, &asked, deadline_ms);
        }
    }

    /// Shows it if no identical question is shown.
    pub(super) fn show_if_first(&self, state: &mut State, number: u64) {
        if state.promises.get(number).is_some_and(|promise| !promise.queued) {
            self.show(state, number);
        }
    }

    /// Reopens the approval of a step that a replayed guest has reached; while it is pending, the question is kept
    /// ready.
    pub(super) fn ask_again(&self, state: &mut State, step: &Step<'_>, number: u64) {
        if let Some(promise) = state.promises.get_mut(number) {
            promise.called = true;
            if promise.is_pending() {
                promise.about = question(step).ok().map(About::Shown);
            }
        }
    }

    /// The decision on an identical call of this execution, if its rule lets that hold for later ones.
    pub(super) fn remembered(&self, state: &mut State, step: &Step<'_>, rule: &AskRule) -> Option<Decided> {
        if rule.remember != Remember::Execution {
            return None;
        }
        self.take_notices_into(state);
        let answered = |promise: &Promise| !promise.is_pending() && promise.asks_by(&rule.rule);
        let mut numbers = state.approvals.alike(&step.approval_key());
        let number = numbers.find(|number| state.promises.get(*number).is_some_and(answered))?;
        drop(numbers);
        let decided = self.decided(state, number, &describe(step));
        // A canceled question has no answer: it is asked anew.
        let given = !matches!(&decided, Err(error) if error.code == ErrorCode::Canceled);
        given.then(|| {
            state.record_outcome(number);
            decided
        })
    }

    /// The decision of approval `number` on `call`. An approval counts for the execution that asked for it, not for a fork.
    pub(super) fn decided(&self, state: &State, number: u64, call: &str) -> Decided {
        let denied = |why: &str| Err(GuestError::new(ErrorCode::Denied, format!("{call} ({why})")));
        let Some(promise) = state.promises.get(number) else { return denied("it was not asked for") };
        let rule = promise.approval.as_ref().map_or("", |approval| &approval.rule);
        let answer = match &promise.outcome {
            None => return denied("nobody has decided on it"),
            Some(Err(error)) if error.code == ErrorCode::TimedOut => {
                return denied(&format!("rule \"{rule}\": nobody has approved it in time"));
            }
            Some(Err(error)) if error.code == ErrorCode::Canceled => return Err(error.clone()),
            Some(Err(error)) => return denied(&format!("rule \"{rule}\": not approved: {}", quoted(&error.message))),
            Some(Ok(json)) => serde_json::from_str::<Answer>(json),
        };
        if !self.is_own(state, number) {
            return denied("it was approved for the execution that this one was forked from; call again");
        }
        match answer {
            Ok(Answer { approved: true, by, .. }) => Ok(by),
            Ok(Answer { by, reason, .. }) => {
                let by = by.map_or_else(|| "a person".to_owned(), |by| quoted(&by));
                let reason = reason.map(|reason| format!(": {}", quoted(&reason))).unwrap_or_default();
                denied(&format!("rule \"{rule}\": denied by {by}{reason}"))
            }
            Err(_) => denied(&format!("rule \"{rule}\": the answer is not a decision")),
        }
    }

    /// Whether the store holds the answer under the id of this execution: to the approval itself or, where one answer holds for
    /// identical calls, to one of them.
    fn is_own(&self, state: &State, number: u64) -> bool {
        let approval = state.promises.get(number).and_then(|promise| promise.approval.as_ref());
        let shared = approval.filter(|approval| {
            let rule = self.facts.grants.policy.ask_rule(&approval.rule);
            rule.is_some_and(|rule| rule.remember == Remember::Execution)
        });
        let alike = shared.into_iter().flat_map(|approval| {
            let asks = |promise: &Promise| promise.asks_by(&approval.rule);
            state.approvals.alike(&approval.key).filter(move |number| state.promises.get(*number).is_some_and(asks))
        });
        let answered_here = |number| state.promises.get(number).is_some_and(|promise| promise.answered_here);
        std::iter::once(number).chain(alike).any(answered_here)
    }

    /// Starts, or refuses, the calls whose approval has been decided.
    pub(super) fn admit(&self, state: &mut State) {
        while let Some(number) = state.approvals.next_decided() {
            let Some(promise) = state.promises.get(number) else { continue };
            let Some((approval, outcome)) = promise.approval.clone().zip(promise.outcome.clone()) else { continue };
            state.record_outcome(number);
            let decided = self.admit_one(state, number, &approval);
            let given = !matches!(&decided, Err(error) if error.code == ErrorCode::Canceled);
            let holds = self.facts.grants.policy.ask_rule(&approval.rule).map(|rule| rule.remember)
                == Some(Remember::Execution);
            let waiting = state.waiting_behind(&approval);
            if given && (holds || decided.is_err()) {
                let now_ms = self.facts.now_ms();
                for next in waiting {
                    state.mark_settled(next, outcome.clone(), now_ms);
                }
            } else if let Some(next) = waiting.first() {
                self.show(state, *next);
            }
        }
    }

    fn admit_one(&self, state: &mut State, number: u64, approval: &Approval) -> Decided {
        let gated = approval.gates.and_then(|gated| Some((gated, state.promises.get_mut(gated)?)));
        let Some((gated, promise)) = gated else { return Ok(None) };
        promise.gated_by = None;
        let Some(held) = promise.held.take().filter(|_| promise.is_pending()) else { return Ok(None) };
        let decided = self.decided(state, number, &held.call);
        let rechecked = decided.clone().and_then(|by| held.about.recheck().map(|()| by));
        let Held { kind, subject, rule, bytes, .. } = &*held;
        let line = Line { step: gated, rule, capability: kind, subject, bytes: *bytes };
        match line.decide(&self.facts, state, rechecked) {
            Ok(()) => {
                let now_ms = state.steps.tick(self.facts.now_ms());
                let deadline_ms = held.timeout_ms.map(|timeout| now_ms.saturating_add(timeout));
                let deadline_ms = state.promises.set_deadline(gated, deadline_ms);
                self.begin_effect(state, gated, held.about, deadline_ms);
            }
            Err(error) => {
                state.settle(gated, Err(error), self.facts.now_ms());
                state.submit_soon(&self.facts, Entry::default());
            }
        }
        decided
    }

    /// Withdraws the question about a step that cannot be made after all.
    pub(super) fn withdraw(&self, state: &mut State, approval: u64) {
        state.submit_soon(&self.facts, Entry::of(self.facts.cancellation(approval)));
    }
}

impl Step<'_> {
    /// The key that an approval is bound to: the digest of the kind and the exact arguments.
    pub(super) fn approval_key(&self) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new();
        for part in std::iter::once(self.kind.as_bytes()).chain(self.args.iter().map(|arg| arg.value)) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let mut key = [0; 16];
        hasher.finalize_xof().fill(&mut key);
        key
    }

    /// The call to begin after its approval.
    pub(super) fn held(&self, rule: &str, new: NewPromise) -> Box<Held> {
        let NewPromise { timeout_ms, about, .. } = new;
        let (kind, subject, bytes) = (self.kind, self.subject.to_owned(), self.grant.bytes());
        Box::new(Held { about, timeout_ms, kind, subject, rule: rule.to_owned(), bytes, call: describe(self) })
    }
}

/// The question with everything that an approver has to see: the capability and its exact arguments, as the digest
/// covers them.
fn question(step: &Step<'_>) -> Result<Asked, GuestError> {
    let plain = |character: char| !character.is_control() || character.is_whitespace();
    let shown = |arg: &[u8]| match std::str::from_utf8(arg) {
        Ok(text) if text.chars().all(plain) => Value::from(text),
        _ => json!({ "hex": hex::encode(arg) }),
    };
    let arguments = Arguments(step.args.iter().map(|arg| (arg.name, shown(arg.value))).collect());
    let decides = step.args.iter().filter(|arg| arg.decides).map(|arg| arg.name).collect();
    let digest = format!("blake3:{}", hex::encode(step.approval_key()));
    // Texts always serialise. Invisible characters are escaped, so that a client that prints the text as it is hides
    // nothing.
    let data = serde_json::to_string(&Question { capability: step.kind, decides, arguments, digest });
    let data = visible::json(&data.unwrap_or_default()).into_owned();
    if data.len() > LARGEST {
        let why = format!("it cannot be shown to whoever has to approve it: {} bytes, at most {LARGEST}", data.len());
        return Err(GuestError::new(ErrorCode::Denied, format!("{} ({why})", describe(step))));
    }
    Ok(Asked {
        kind: PromiseKind::Approval,
        subject: describe(step),
        data: Some(data),
        schema: Some(ANSWER.to_owned()),
    })
}

/// The question as an approver sees it.
#[derive(serde::Serialize)]
struct Question<'a> {
    capability: &'a str,
    /// The names of the arguments that decide.
    decides: Vec<&'static str>,
    arguments: Arguments,
    digest: String,
}

/// In the order of the step.
struct Arguments(Vec<(&'static str, Value)>);

impl serde::Serialize for Arguments {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A call in words, without anything that could be secret.
pub(super) fn describe(step: &Step<'_>) -> String {
    step.grant.words().unwrap_or_else(|| format!("{} {}", step.kind, quoted(step.subject)))
}
