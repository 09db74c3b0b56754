//! The budget that a root shares with everything it has called or detached, directly or not.
//!
//! The store says how many executions and promises they have made and how long they have computed, so that neither a crash nor a resume
//! refills a budget; a host counts on from there. A child is known by its id; a detached execution, and what it calls, carries the root and
//! its distance from it in the tags of its promise.

use super::Stop;
use crate::guest_error::{ErrorCode, GuestError};
use crate::id::ExecutionId;
use crate::policy;
use everstep_store::{Kinship, Lineage as Used};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the executions of one lineage have used.
pub(crate) struct Account {
    root: ExecutionId,
    used: Mutex<Used>,
}

/// The place of an execution in its lineage.
#[derive(Clone)]
pub(crate) struct Descent {
    account: Arc<Account>,
    kinship: Kinship,
}

impl Account {
    /// The account of a lineage that has used `used`.
    pub(crate) fn new(root: ExecutionId, used: Used) -> Self {
        // The root itself may not be written yet, but counts.
        let used = Used { executions: used.executions.max(1), ..used };
        Self { root, used: Mutex::new(used) }
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Descent {
    pub(crate) fn new(account: Arc<Account>, kinship: Kinship) -> Self {
        Self { account, kinship }
    }

    /// The descent of an execution that the store holds nothing about.
    pub(crate) fn alone(id: &ExecutionId) -> Self {
        let kinship = Kinship::of(id, &BTreeMap::new());
        Self { account: Arc::new(Account::new(kinship.root.clone(), Used::default())), kinship }
    }

    /// Counts a promise that others are to settle, and the execution behind it if it `calls`.
    ///
    /// # Errors
    /// The budget has no room for it; nothing is counted then.
    pub(crate) fn take(&self, limits: &policy::Lineage, calls: bool) -> Result<(), GuestError> {
        let root = &self.account.root;
        let exceeded = |what: &str, limit: u64, key: &str| {
            let message =
                format!("{root} and all that it has called or detached {what} (limits.lineage.{key} is {limit})");
            Err(GuestError::new(ErrorCode::LimitExceeded, message))
        };
        if calls && self.kinship.depth >= limits.depth {
            return exceeded("call no deeper", limits.depth, "depth");
        }
        let mut used = self.account.used();
        if calls && used.executions >= limits.executions {
            return exceeded("are as many executions as they may be", limits.executions, "executions");
        }
        if used.promises >= limits.promises {
            return exceeded("have made as many promises as they may", limits.promises, "promises");
        }
        used.promises += 1;
        used.executions += u64::from(calls);
        Ok(())
    }

    /// Adds CPU time to the account.
    ///
    /// # Errors
    /// The budget is used up.
    pub(crate) fn charge(&self, limits: &policy::Lineage, used_us: u64) -> Result<(), Stop> {
        let mut used = self.account.used();
        used.cpu_us = used.cpu_us.saturating_add(used_us);
        if u128::from(used.cpu_us) <= limits.cpu.as_micros() {
            return Ok(());
        }
        let (limit, root) = (limits.cpu, &self.account.root);
        Err(Stop::Limit(format!(
            "the limit of {limit:?} of CPU time of {root} and all that it has called or detached is reached (limits.lineage.cpu)"
        )))
    }

    /// Marks a promise of this execution as one of the lineage, where its id does not say so.
    pub(crate) fn mark(&self, tags: &mut BTreeMap<String, String>) {
        if self.kinship.is_detached {
            self.mark_detached(tags);
        }
    }

    /// Marks the promise of a detached execution.
    pub(crate) fn mark_detached(&self, tags: &mut BTreeMap<String, String>) {
        tags.extend(self.kinship.below().tags());
    }
}
