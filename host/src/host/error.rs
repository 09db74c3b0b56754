//! What can go wrong for an embedder, apart from what a function returns.

use super::difference;
use crate::engine;
use crate::id::{Digest, ExecutionId, PromiseId};
use crate::policy;
use everstep_store::journal::Corrupted;

/// Why the host could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The component cannot be loaded.
    #[error(transparent)]
    Load(#[from] engine::Error),
    /// The policy cannot be used.
    #[error(transparent)]
    Policy(#[from] policy::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] everstep_store::Error),
    /// A thread could not be started.
    #[error("cannot start the host: {0}")]
    Start(#[source] std::io::Error),
    /// The journal of an execution cannot be read.
    #[error("execution {id}: {source}")]
    Corrupted {
        /// Whose journal.
        id: ExecutionId,
        /// What is wrong with it.
        #[source]
        source: Corrupted,
    },
    /// The component did not name its functions.
    #[error("the component does not describe its functions: {reason}")]
    Describe {
        /// What happened instead.
        reason: String,
    },
    /// The component has no such function.
    #[error("the component has no function {function:?}; it has {}", crate::engine::list(available))]
    UnknownFunction {
        /// What was asked for.
        function: String,
        /// What there is.
        available: Vec<String>,
    },
    /// The arguments are not JSON, or are nested too deeply.
    #[error("the arguments are {source}")]
    Arguments {
        /// What is wrong with them.
        #[from]
        source: crate::json::Error,
    },
    /// The id belongs to another run.
    #[error(
        "the id {id} is in use: it runs {}; choose another id for this, or go on from a step of that: everstep fork {id} --at N --id NEW",
        parted([recorded_function, function], [recorded_args, args])
    )]
    IdInUse {
        /// The id.
        id: ExecutionId,
        /// The function it was started with.
        recorded_function: String,
        /// The arguments it was started with.
        recorded_args: String,
        /// The function of this call.
        function: String,
        /// The arguments of this call.
        args: String,
    },
    /// The id belongs to another execution or promise, or it is that of a child.
    #[error("the id {0} is taken, or it is that of a child execution; choose another id, without a dot")]
    IdTaken(ExecutionId),
    /// A worker group without a proper name.
    #[error("{group:?} is no worker group: use 1 to 64 of the characters a-z, A-Z, 0-9, '-' and '_'")]
    Group {
        /// What was given.
        group: String,
    },
    /// The execution is pinned to another policy.
    #[error(
        "execution {id} was started under policy {pinned}, not {given}; `everstep resume {id}` goes on under the first"
    )]
    PolicyChanged {
        /// The execution.
        id: ExecutionId,
        /// The policy it was started under.
        pinned: Digest,
        /// The policy of this call.
        given: Digest,
    },
    /// There is no such execution.
    #[error("there is no execution {0} in this store")]
    UnknownExecution(ExecutionId),
    /// The execution has ended, so nothing about it can change.
    #[error("execution {id} has ended ({state}); nothing was changed")]
    Ended {
        /// The execution.
        id: ExecutionId,
        /// How it ended.
        state: &'static str,
    },
    /// The component does not do what is recorded.
    #[error(
        "the component cannot take over execution {id}: at step {step} recorded {recorded}, attempted {attempted}; nothing was changed"
    )]
    Incompatible {
        /// The execution.
        id: ExecutionId,
        /// The step at which they part.
        step: u64,
        /// What the journal holds.
        recorded: String,
        /// What the component did.
        attempted: String,
    },
    /// A replay came to no end.
    #[error("execution {id} cannot be repeated: {reason}")]
    NotRepeated {
        /// The execution.
        id: ExecutionId,
        /// Why not.
        reason: String,
    },
    /// The execution has fewer steps.
    #[error("execution {id} has {steps} steps, so there is no step {at} to start from")]
    NoSuchStep {
        /// The execution.
        id: ExecutionId,
        /// How many were asked for.
        at: u64,
        /// How many it has.
        steps: u64,
    },
    /// A schedule that cannot be created.
    #[error("the schedule {id:?} was not created: {reason}")]
    Schedule {
        /// Its id.
        id: String,
        /// Why not.
        reason: String,
    },
    /// There is no such schedule.
    #[error("there is no schedule {0:?} in this store")]
    UnknownSchedule(String),
    /// Somebody runs it.
    #[error("execution {0} runs at the moment; cancel it, or stop its host, first")]
    Runs(ExecutionId),
    /// Nobody waits for that promise.
    #[error("nobody waits for {0}: its execution has no such promise; nothing was changed")]
    UnknownPromise(PromiseId),
    /// Somebody else was first.
    #[error("{0} is settled already, with another outcome; nothing was changed")]
    AlreadySettled(PromiseId),
    /// The promise is settled by the host itself.
    #[error(
        "{0} is a timer, a request to the host or a child execution, which nobody settles from outside; nothing was changed"
    )]
    NotSettledFromOutside(PromiseId),
    /// Its time is over.
    #[error("the deadline of {0} has passed; nothing was changed")]
    DeadlinePassed(PromiseId),
    /// The outcome is not acceptable.
    #[error("{id} was not settled: {reason}; it stays pending")]
    InvalidOutcome {
        /// The promise.
        id: PromiseId,
        /// What is wrong with the outcome.
        reason: String,
    },
    /// The store lacks something it should hold.
    #[error("the store holds no {what} {digest}, which execution {id} needs")]
    Missing {
        /// `component` or `policy`.
        what: &'static str,
        /// Its digest.
        digest: Digest,
        /// Who needs it.
        id: ExecutionId,
    },
    /// The journal of an execution was not written for it.
    #[error(transparent)]
    Foreign(everstep_store::Error),
    /// The store forgets with its process.
    #[error(
        "the memory store ends with its process, so there is nothing to resume; use --store DIR to survive a crash"
    )]
    NothingSurvives,
}

impl Error {
    /// Whether it is the journal of an execution that cannot be used.
    pub(super) fn is_of_the_journal(&self) -> bool {
        matches!(self, Self::Corrupted { .. } | Self::Foreign(_))
    }
}

/// What an id runs, and how what was asked for under it differs from that.
fn parted([recorded, given]: [&str; 2], [recorded_args, args]: [&str; 2]) -> String {
    if recorded != given {
        return format!("{recorded:?}, not {given:?}");
    }
    format!("{recorded:?} with other arguments, {}", difference::first(recorded_args, args))
}
