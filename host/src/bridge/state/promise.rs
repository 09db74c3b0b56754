//! One promise of an execution.

use super::super::approval::{APPROVAL, question};
use super::super::held::Held;
use super::super::{About, Step};
use crate::guest_error::GuestError;
use everstep_store::journal::{Call, Retries, Role};
use futures::future::AbortHandle;

/// See the module.
pub(in crate::bridge) struct Promise {
    pub(in crate::bridge) role: Role,
    pub(in crate::bridge) deadline_ms: Option<u64>,
    pub(in crate::bridge) outcome: Option<Result<String, GuestError>>,
    /// When it settled; 0 while pending.
    pub(in crate::bridge) settled_ms: u64,
    /// The store holds the answer under the id of this execution; false for a fork that has the answer from its
    /// source.
    pub(in crate::bridge) answered_here: bool,
    pub(in crate::bridge) delivered: bool,
    /// Whether the journal has its settlement.
    pub(in crate::bridge) recorded: bool,
    /// Whether the guest has made the call that created it; before that only the journal knows it.
    pub(in crate::bridge) called: bool,
    /// Whether the guest itself may settle it.
    pub(in crate::bridge) own: bool,
    /// Bytes kept for it beside the journal while it is pending.
    pub(in crate::bridge) bytes: u64,
    /// What it is about. In a replay kept while it is pending, so that a lost request or store promise can be made again.
    pub(in crate::bridge) about: Option<About>,
    /// The store was queried for it at its deadline.
    pub(in crate::bridge) asked: bool,
    /// The store should know of it, and does not.
    pub(in crate::bridge) missing: bool,
    /// The effect that will settle it, if it runs in this host.
    pub(in crate::bridge) effect: Option<AbortHandle>,
    /// The further attempts of the effect.
    pub(in crate::bridge) retries: Retries,
    /// The approval, if the promise is one.
    pub(in crate::bridge) approval: Option<Approval>,
    /// It is an approval, and waits for an identical one to be decided.
    pub(in crate::bridge) queued: bool,
    /// The approval that the call needed.
    pub(in crate::bridge) approved_by: Option<u64>,
    /// The same approval, while the effect must not begin.
    pub(in crate::bridge) gated_by: Option<u64>,
    /// The call that begins after the approval.
    pub(in crate::bridge) held: Option<Box<Held>>,
    /// The rule that grants it.
    pub(in crate::bridge) rule: Option<String>,
    /// The rule that counts it as open while it is pending.
    pub(in crate::bridge) open_by: Option<String>,
}

/// The question whether a call may happen.
#[derive(Clone)]
pub(in crate::bridge) struct Approval {
    /// The `[[ask]]` rule.
    pub(in crate::bridge) rule: String,
    /// The digest of the call.
    pub(in crate::bridge) key: [u8; 16],
    /// The promise whose effect waits for it; `None` when the guest itself does.
    pub(in crate::bridge) gates: Option<u64>,
}

impl Promise {
    /// A pending promise.
    pub(in crate::bridge) fn new(role: Role, deadline_ms: Option<u64>) -> Self {
        Self {
            role,
            deadline_ms,
            outcome: None,
            settled_ms: 0,
            answered_here: false,
            delivered: false,
            recorded: false,
            called: false,
            own: false,
            bytes: 0,
            about: None,
            asked: false,
            missing: false,
            effect: None,
            retries: Retries::default(),
            approval: None,
            queued: false,
            approved_by: None,
            gated_by: None,
            held: None,
            rule: None,
            open_by: None,
        }
    }

    /// A pending promise made by a live guest.
    pub(in crate::bridge) fn opened(role: Role, about: &About, deadline_ms: Option<u64>) -> Self {
        Self { called: true, own: about.is_own(), bytes: about.bytes(), ..Self::new(role, deadline_ms) }
    }

    /// A pending promise, from the record of its call.
    pub(super) fn recorded(call: &Call<'_>, role: Role, deadline_ms: Option<u64>) -> Self {
        let approval = match <[u8; 16]>::try_from(call.args) {
            Ok(key) if call.kind == APPROVAL => Some(Approval { rule: call.rule.to_owned(), key, gates: None }),
            _ => None,
        };
        Self { approval, rule: Some(call.rule.to_owned()), ..Self::new(role, deadline_ms) }
    }

    /// Reopens the approval of a step that a replayed guest has reached; while it is pending, the question is kept
    /// ready.
    pub(in crate::bridge) fn ask_again(&mut self, step: &Step<'_>) {
        self.called = true;
        if self.is_pending() {
            self.about = question(step).ok().map(About::Shown);
        }
    }

    pub(in crate::bridge) fn is_pending(&self) -> bool {
        self.outcome.is_none()
    }

    /// Whether the store decides how it is settled.
    pub(in crate::bridge) fn is_stored(&self) -> bool {
        matches!(self.role, Role::External | Role::Child) && !self.queued && self.gated_by.is_none()
    }

    /// Whether the guest has made it, and may use its number. Approvals are hidden from the guest.
    pub(in crate::bridge) fn is_of_guest(&self) -> bool {
        self.called && self.approval.is_none()
    }

    /// Whether it is an approval required by this rule.
    pub(in crate::bridge) fn asks_by(&self, rule: &str) -> bool {
        self.approval.as_ref().is_some_and(|approval| approval.rule == rule)
    }
}
