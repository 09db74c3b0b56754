//! An execution as it is stored, and its state.

use super::{ExecutionKey, Invocation};
use everstep_words::guest_error::GuestError;
use everstep_words::id::{Digest, ExecutionId};
use everstep_words::trace::TraceContext;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// One execution, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Execution {
    /// The store's name for it; `None` until a host first runs it.
    #[serde(skip)]
    pub key: Option<ExecutionKey>,
    /// The caller's name for it.
    pub id: ExecutionId,
    /// The component that runs.
    pub component: Digest,
    /// The policy it runs under, pinned.
    pub policy: Digest,
    /// The durable function.
    pub function: String,
    /// Its arguments, a JSON text.
    pub args: String,
    /// The place in a trace that it was called from.
    #[serde(skip)]
    pub trace: Option<TraceContext>,
    /// The seed of its randomness.
    #[serde(skip)]
    pub seed: [u8; 32],
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When it fails unless it has ended before, in milliseconds since the Unix epoch.
    pub deadline_ms: Option<u64>,
    /// Its state.
    pub state: State,
    /// How often a host has started or resumed it; the version of its task.
    pub attempts: u64,
    /// The result of the function, a JSON text; set with `State::Completed`.
    pub result: Option<String>,
    /// Its progress.
    #[serde(flatten)]
    pub progress: Progress,
}

/// The part of an execution that changes while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The reason that it failed or halted; set with `State::Failed` and `State::Halted`.
    pub error: Option<Failure>,
    /// Steps recorded so far.
    pub steps: u64,
    /// CPU time used so far, in microseconds.
    pub cpu_us: u64,
    /// The last change, in milliseconds since the Unix epoch.
    pub updated_ms: u64,
}

/// What a root and its lineage (all that it has called or detached, directly or not) have created and computed so
/// far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// Executions, including the root.
    pub executions: u64,
    /// Questions and calls that they have made.
    pub promises: u64,
    /// CPU time, in microseconds.
    pub cpu_us: u64,
}

/// The states of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// No host has it: it is new, or what it waited for has settled.
    Pending,
    /// A host runs it, or ran it when it died.
    Running,
    /// It waits for promises, and no host needs to hold it.
    Suspended,
    /// The function returned a result. Final.
    Completed,
    /// The function returned an error or trapped. Final.
    Failed,
    /// It was canceled. Final.
    Canceled,
    /// It cannot continue as it is (a divergence, a limit); `resume` tries again.
    Halted,
}

/// The reason that an execution failed or halted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The class of the failure.
    pub kind: FailureKind,
    /// What happened and what to do.
    pub message: String,
}

/// The classes of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The function returned this error.
    Returned(everstep_words::guest_error::ErrorCode),
    /// The guest trapped or panicked.
    Trap,
    /// The replayed guest did something other than what is recorded.
    Divergence,
    /// A limit of the policy ended it.
    Limit,
    /// The host that resumed it cannot tell whether an effect happened.
    InDoubt,
    /// The journal cannot be read.
    Corrupted,
    /// The host could not start it: a component, policy or other requirement is missing.
    Load,
    /// The deadline of the execution, or of one of its callers, has passed.
    TimedOut,
    /// It goes on elsewhere.
    Moved,
}

impl Execution {
    /// The call that it executes.
    pub fn invocation(&self) -> Invocation {
        let Self { function, args, component, policy, trace, .. } = self;
        let (function, args, trace) = (function.clone(), args.clone(), trace.clone());
        Invocation { function, args, component: *component, policy: *policy, trace }
    }

    /// Whether it has ended without a result, or is not running and will not resume by itself.
    pub fn stands_still_or_ended(&self) -> bool {
        self.state == State::Halted || self.state.is_final() && self.state != State::Completed
    }
}

impl State {
    /// Every state, in the order in which an execution may go through them.
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Running, Self::Suspended, Self::Halted, Self::Completed, Self::Failed, Self::Canceled];

    /// Whether the state can no longer change.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Canceled)
    }

    /// The name that is stored and printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Suspended => "suspended",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Halted => "halted",
        }
    }
}

impl FromStr for State {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|state| state.name() == name);
        found.ok_or_else(|| format!("there is no such state; an execution is {}", known()))
    }
}

impl From<GuestError> for Failure {
    fn from(error: GuestError) -> Self {
        Self { kind: FailureKind::Returned(error.code), message: error.message }
    }
}
