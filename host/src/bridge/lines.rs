//! The lines of an execution that are not in the audit log yet: written together, before anything that depends on them leaves the host.

use crate::grants::Grants;
use crate::guest_error::{ErrorCode, GuestError};
use crate::id::Digest;
use crate::policy::audit::{self, Batch};
use everstep_store::seam::Lost;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// See the module.
pub(crate) struct Lines {
    log: Arc<audit::Log>,
    grants: Arc<Grants>,
    pending: Mutex<Pending>,
    /// A decision that the guest knows of could not be written.
    failed: AtomicBool,
    failure: Notify,
}

#[derive(Default)]
struct Pending {
    batch: Batch,
    /// Whether one of them is a decision, which the guest knows of.
    decided: bool,
}

/// Bytes above which lines are written although nothing depends on them yet.
const MOST: usize = 64 << 10;

impl Lines {
    /// `None` if the policy has no audit log.
    pub(crate) fn of(grants: &Arc<Grants>) -> Option<Arc<Self>> {
        let (log, grants) = (Arc::clone(grants.audit.as_ref()?), Arc::clone(grants));
        let (failed, failure) = (AtomicBool::new(false), Notify::new());
        Some(Arc::new(Self { log, grants, pending: Mutex::default(), failed, failure }))
    }

    /// Takes the line of a decision, without secrets; [`flush`](Self::flush) writes it. A log that is not known to be writable is
    /// tried at once.
    ///
    /// # Errors
    /// The log cannot be written, or the ceiling does not lend it any more: a denial.
    pub(super) fn decide(&self, entry: audit::Entry<'_>) -> Result<(), GuestError> {
        self.take(entry, !self.log.is_sound())
    }

    /// Writes the line of a decision.
    ///
    /// # Errors
    /// As [`decide`](Self::decide).
    pub(super) fn decide_now(&self, entry: audit::Entry<'_>) -> Result<(), GuestError> {
        self.take(entry, true)
    }

    /// Takes the line of an outcome. The decision was written before the effect, so a failure here is not an error.
    pub(super) fn outcome(&self, outcome: audit::Outcome<'_>) {
        if self.grants.check_log().is_err() {
            return;
        }
        let mut pending = self.pending();
        pending.batch.outcome(&outcome);
        if !self.log.is_sound() || self.has_failed() || pending.batch.length() >= MOST {
            // Told there.
            let _ = self.write(&mut pending);
        }
    }

    /// Writes all lines that were taken.
    ///
    /// # Errors
    /// [`Lost::Unlogged`] if a decision cannot be written: nothing of what depends on it may leave the host.
    pub(super) fn flush(&self) -> Result<(), Lost> {
        let mut pending = self.pending();
        if !pending.batch.is_empty() {
            // Told there.
            let _ = self.write(&mut pending);
        }
        if self.has_failed() { Err(Lost::Unlogged) } else { Ok(()) }
    }

    /// Completes once a decision that the guest knows of could not be written.
    pub(super) async fn failed(&self) {
        loop {
            let failure = self.failure.notified();
            if self.has_failed() {
                return;
            }
            failure.await;
        }
    }

    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// The digest of the policy that decides.
    pub(super) fn policy(&self) -> &Digest {
        &self.grants.digest
    }

    fn take(&self, entry: audit::Entry<'_>, at_once: bool) -> Result<(), GuestError> {
        let (capability, subject) = (entry.capability, self.grants.secrets.scrub(entry.subject));
        let denied = || GuestError::new(ErrorCode::Denied, format!("{capability} (the audit log cannot be written)"));
        if let Err(error) = self.grants.check_log() {
            tracing::error!(%error, "the call is denied");
            return Err(denied());
        }
        let mut pending = self.pending();
        if self.has_failed() {
            return Err(denied());
        }
        pending.batch.decision(&audit::Entry { subject: &subject, ..entry });
        if at_once || pending.batch.length() >= MOST {
            return self.write(&mut pending).map_err(|_| denied());
        }
        pending.decided = true;
        Ok(())
    }

    /// Writes what is pending. A failure that concerns decisions which the guest knows of is that of the run.
    fn write(&self, pending: &mut Pending) -> io::Result<()> {
        let written = self.log.write(&pending.batch);
        let decided = std::mem::take(&mut pending.decided);
        pending.batch.clear();
        if let Err(error) = &written {
            let lost = if decided { "what was decided since the last write is undone" } else { "a call is denied" };
            let log = self.log.path().display();
            tracing::error!(%error, "the audit log {log} cannot be written, make room or mend its folder; {lost}");
            if decided {
                self.failed.store(true, Ordering::Release);
                self.failure.notify_waiters();
            }
        }
        written
    }

    /// The lines are whole at every moment, so a poisoned lock is ignored.
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lines {
    /// What was decided in a run that another host has taken, too.
    fn drop(&mut self) {
        // Told there.
        let _ = self.flush();
    }
}
