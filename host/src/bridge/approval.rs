//! Approval: a person decides on a call before it has an effect.
//!
//! A call that an `[[ask]]` rule matches takes two numbers: one for the approval, a promise of the store with the exact arguments, and
//! its own. A step that the guest blocks on waits for the approval as for any promise; for one that makes a promise, the guest
//! continues and the effect begins after the approval. The guest can neither see the approval nor settle it.
//!
//! Of identical calls that wait, only the first is shown. The decision on it holds for the others as well, unless an approval is good for
//! one use: then the next one is shown.

use super::state::Promise;
use super::{Bridge, State, Step};
use crate::guest_error::{ErrorCode, GuestError};
use crate::policy::{AskRule, Policy, Remember, quoted};
use crate::visible;
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

impl Answer {
    /// The decision of approval `number` on `call`. An approval counts for the execution that asked for it, not for a fork.
    pub(super) fn decided(policy: &Policy, state: &State, number: u64, call: &str) -> Decided {
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
            Some(Ok(json)) => serde_json::from_str::<Self>(json),
        };
        if !state.approvals.is_own(&state.promises, policy, number) {
            return denied("it was approved for the execution that this one was forked from; call again");
        }
        match answer {
            Ok(Self { approved: true, by, .. }) => Ok(by),
            Ok(Self { by, reason, .. }) => {
                let by = by.map_or_else(|| "a person".to_owned(), |by| quoted(&by));
                let reason = reason.map(|reason| format!(": {}", quoted(&reason))).unwrap_or_default();
                denied(&format!("rule \"{rule}\": denied by {by}{reason}"))
            }
            Err(_) => denied(&format!("rule \"{rule}\": the answer is not a decision")),
        }
    }

    /// The decision on an identical call of this execution, if its rule lets that hold for later ones.
    pub(super) fn remembered(bridge: &Bridge, state: &mut State, step: &Step<'_>, rule: &AskRule) -> Option<Decided> {
        if rule.remember != Remember::Execution {
            return None;
        }
        bridge.take_notices_into(state);
        let answered = |promise: &Promise| !promise.is_pending() && promise.asks_by(&rule.rule);
        let mut numbers = state.approvals.alike(&step.approval_key());
        let number = numbers.find(|number| state.promises.get(*number).is_some_and(answered))?;
        drop(numbers);
        let decided = Self::decided(&bridge.facts.grants.policy, state, number, &describe(step));
        // A canceled question has no answer: it is asked anew.
        let given = !matches!(&decided, Err(error) if error.code == ErrorCode::Canceled);
        given.then(|| {
            state.record_outcome(number);
            decided
        })
    }
}

/// The question with everything that an approver has to see: the capability and its exact arguments, as the digest
/// covers them.
pub(super) fn question(step: &Step<'_>) -> Result<Asked, GuestError> {
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
