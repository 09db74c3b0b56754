//! What holds for a whole run, from its beginning on.

use super::{Descent, Lines, Patience, Registry, Step};
use crate::clock::Clock;
use crate::grants::Grants;
use crate::guest_error::{ErrorCode, GuestError};
use crate::id::{Digest, ExecutionId};
use crate::policy::Limits;
use crate::trace::RunTrace;
use everstep_store::operation::{NewPromise as StoredPromise, Operation};
use everstep_store::record::{NEVER, Value, tag};
use everstep_store::seam::{Ledger, Store};
use std::collections::BTreeMap;
use std::sync::Arc;

/// See the module.
pub(crate) struct Facts {
    pub(crate) id: ExecutionId,
    pub(crate) function: String,
    pub(crate) seed: [u8; 32],
    pub(crate) grants: Arc<Grants>,
    pub(crate) capabilities: Arc<Registry>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Receives everything that the run writes.
    pub(crate) ledger: Arc<dyn Ledger>,
    /// The lines for its audit log, which the ledger writes first; `None` without a log.
    pub(crate) lines: Option<Arc<Lines>>,
    /// For reading only.
    pub(crate) store: Arc<dyn Store>,
    /// The lineage of the execution, whose members share a budget.
    pub(crate) descent: Descent,
    /// The terms of the run: for the executions that it calls, and for its end.
    pub(crate) terms: Terms,
    /// How long the run waits for promises.
    pub(crate) patience: Patience,
    /// Where the run is in a trace.
    pub(crate) trace: RunTrace,
}

/// The component, task and deadline of a run.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// The component that runs.
    pub(crate) component: Digest,
    /// The version of the task.
    pub(crate) version: u64,
    /// The address of the worker group of this host.
    pub(crate) target: Arc<str>,
    /// The deadline of the execution, in milliseconds since the Unix epoch.
    pub(crate) deadline_ms: Option<u64>,
}

impl Facts {
    /// The limits that the policy sets.
    pub(crate) fn limits(&self) -> &Limits {
        &self.grants.policy.limits
    }

    /// The time of this host, in milliseconds since the Unix epoch.
    pub(super) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// The id of a promise in the store.
    pub(super) fn id_of(&self, number: u64) -> String {
        self.id.promise(number).to_string()
    }

    /// The operation that creates a promise in the store.
    pub(super) fn creation(
        &self,
        number: u64,
        param: Value,
        mut tags: BTreeMap<String, String>,
        deadline_ms: Option<u64>,
    ) -> Operation {
        tags.insert(tag::PARENT.to_owned(), self.id.to_string());
        self.descent.mark(&mut tags);
        let new = StoredPromise {
            id: self.id_of(number),
            timeout_at: deadline_ms.unwrap_or(NEVER),
            param,
            tags: tags.into(),
        };
        Operation::PromiseCreate(new)
    }

    /// The operation that cancels a promise of the store, with the execution that settles it.
    pub(super) fn cancellation(&self, number: u64) -> Operation {
        Operation::CancelTree { id: self.id_of(number) }
    }

    /// Returns the timeout of a promise: what the guest asks for, within what the rule allows.
    pub(super) fn bounded_by_rule(&self, step: &Step<'_>, rule: &str, asked_ms: Option<u64>) -> Option<u64> {
        let bound = step.grant.time_allowed(&self.grants.policy, rule);
        let bound_ms = bound.map(|bound| u64::try_from(bound.as_millis()).unwrap_or(u64::MAX));
        asked_ms.into_iter().chain(bound_ms).min()
    }

    /// Checks that the store can keep a value.
    pub(super) fn fits_the_store(&self, what: &str, bytes: u64) -> Result<(), GuestError> {
        let limit = self.store.largest_value();
        if bytes <= limit {
            return Ok(());
        }
        let message = format!("{what} has {bytes} bytes, and the server of this worker takes at most {limit}");
        Err(GuestError::new(ErrorCode::LimitExceeded, message))
    }

    /// Checks that a call carries or returns no more than a whole journal may hold, whatever the execution has recorded so far.
    pub(super) fn fits_a_journal(&self, what: &str, bytes: u64) -> Result<(), GuestError> {
        let limit = self.limits().journal;
        if bytes <= limit {
            return Ok(());
        }
        Err(GuestError::new(ErrorCode::LimitExceeded, format!("{what} has {bytes} bytes, limits.journal = {limit}")))
    }
}
