//! An execution as it is stored, and how it stands.

use super::{ExecutionKey, Invocation};
use everstep_words::guest_error::GuestError;
use everstep_words::id::{Digest, ExecutionId};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// One execution, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Execution {
    /// The store's name for it; none until a host has taken it up for the first time.
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
    /// Where its randomness comes from.
    #[serde(skip)]
    pub seed: [u8; 32],
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When it fails unless it has ended, in milliseconds since the Unix epoch.
    pub deadline_ms: Option<u64>,
    /// Where it stands.
    pub state: State,
    /// How many times a host has taken it up; the version of its task.
    pub attempts: u64,
    /// What the function returned, a JSON text; set with `State::Completed`.
    pub result: Option<String>,
    /// How far it is.
    #[serde(flatten)]
    pub progress: Progress,
}

/// What changes while an execution runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Why it ended or halted; set with `State::Failed` and `State::Halted`.
    pub error: Option<Failure>,
    /// Steps recorded so far.
    pub steps: u64,
    /// CPU time used so far, in microseconds.
    pub cpu_us: u64,
    /// The last change, in milliseconds since the Unix epoch.
    pub updated_ms: u64,
}

/// What a root and all that it has called or detached, directly or not, have made and computed so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// Executions, the root among them.
    pub executions: u64,
    /// Promises that they have made for others to settle: questions, and calls.
    pub promises: u64,
    /// CPU time, in microseconds.
    pub cpu_us: u64,
}

/// The states of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// No host has it: it is new, or what it waited for is there.
    Pending,
    /// A host runs it, or ran it when it died.
    Running,
    /// It waits for promises and no host needs to hold it.
    Suspended,
    /// The function returned a result. Final.
    Completed,
    /// The function returned an error or trapped. Final.
    Failed,
    /// Somebody canceled it. Final.
    Canceled,
    /// It cannot go on as it is (a divergence, a limit); `resume` tries again.
    Halted,
}

/// Why an execution failed or halted.
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
    /// The replayed guest did something else than what is recorded.
    Divergence,
    /// A limit of the policy ended it.
    Limit,
    /// Whether something was done cannot be told by the host that took it up.
    InDoubt,
    /// The journal cannot be read.
    Corrupted,
    /// The host could not start it: something that it needs is missing.
    Load,
    /// The deadline of the execution, or of one that it was called by, has passed.
    TimedOut,
}

impl Execution {
    /// What it runs.
    pub fn invocation(&self) -> Invocation {
        let Self { function, args, component, policy, .. } = self;
        Invocation { function: function.clone(), args: args.clone(), component: *component, policy: *policy }
    }

    /// Whether nobody runs it, and nobody will by himself.
    pub fn stands_still_or_ended(&self) -> bool {
        self.state == State::Halted || self.state.is_final() && self.state != State::Completed
    }
}

impl State {
    /// Every state, in the order in which an execution may pass them.
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Running, Self::Suspended, Self::Halted, Self::Completed, Self::Failed, Self::Canceled];

    /// Whether nothing can happen any more.
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
