//! How a call can end without a result: an error that the guest handles, or the end of the run.

use crate::guest_error::{ErrorCode, GuestError};
use everstep_store::journal::Corrupted;
use everstep_store::seam::Lost;
use std::fmt;

/// The reason that a call did not return a result.
#[derive(Debug)]
pub(crate) enum Fault {
    /// An error for the guest.
    Guest(GuestError),
    /// The run ends here; the guest never learns the reason.
    Stop(Stop),
}

/// The reason that a run ends before the function returned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    #[error(transparent)]
    Divergence(Box<Divergence>),
    #[error("{0}")]
    Limit(String),
    /// A limit on what a guest does between two checkpoints was reached.
    #[error("{0}")]
    PartLimit(String),
    /// An image is not what it was when the execution started.
    #[error("{0}")]
    Image(String),
    /// This host cannot tell whether an effect happened.
    #[error("{0}")]
    InDoubt(String),
    /// An error that the interface has no way to report to the guest.
    #[error("{0}")]
    Unhandled(GuestError),
    #[error(transparent)]
    Corrupted(#[from] Corrupted),
    #[error(transparent)]
    Store(#[from] everstep_store::Error),
    /// Another host has taken the execution, or may have.
    #[error("the execution was taken away from this host")]
    Lost,
    /// A decision could not be written to the audit log: the execution resumes from what its journal holds.
    #[error("the audit log cannot be written")]
    Unlogged,
    /// The guest broke the contract of `everstep:host/guest`.
    #[error("{0}")]
    Contract(String),
    #[error("{0}")]
    Trap(wasmtime::Error),
    #[error("the execution was canceled")]
    Canceled,
    /// A replay has reached its end.
    #[error("the guest has repeated what is recorded")]
    Replayed,
    #[error("the execution waits for promises")]
    Suspended,
    /// The guest keeps computing although it was interrupted.
    #[error("the guest is taken back to its last recorded call")]
    TakenBack,
}

/// The replayed guest did something other than what is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Divergence {
    /// The step at which they differ.
    pub(crate) step: u64,
    /// What the journal holds.
    pub(crate) recorded: String,
    /// What the guest did.
    pub(crate) attempted: String,
}

impl std::error::Error for Divergence {}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, recorded, attempted } = self;
        write!(f, "divergence at step {step}: recorded {recorded}, attempted {attempted}; ")?;
        write!(f, "the journal is unchanged, resume with the component that the execution was started with")
    }
}

impl From<GuestError> for Fault {
    fn from(error: GuestError) -> Self {
        Self::Guest(error)
    }
}

impl<E: Into<Stop>> From<E> for Fault {
    fn from(stop: E) -> Self {
        Self::Stop(stop.into())
    }
}

impl From<Lost> for Stop {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Claim => Self::Lost,
            Lost::Unlogged => Self::Unlogged,
            lost => Self::Store(lost.into()),
        }
    }
}

impl From<Divergence> for Stop {
    fn from(divergence: Divergence) -> Self {
        Self::Divergence(Box::new(divergence))
    }
}

/// The store failed in the middle of an effect: the run ends at its next barrier, so the guest does not continue.
pub(super) fn unavailable(_: impl std::error::Error) -> GuestError {
    GuestError::new(ErrorCode::Failed, "the store failed")
}
