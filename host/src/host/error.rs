//! Errors for an embedder, apart from those that a function returns.

use super::difference;
use crate::capability::files::Unusable;
use crate::engine;
use crate::id::{Digest, ExecutionId, PromiseId};
use crate::policy;
use crate::turns::PROGRAM;
use everstep_store::journal::Corrupted;

/// The reason that the host could not carry out a request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The component cannot be loaded.
    #[error(transparent)]
    Load(#[from] engine::Error),
    /// The policy cannot be used.
    #[error(transparent)]
    Policy(#[from] policy::Error),
    /// An image cannot be pinned, or is not what it was when the execution started.
    #[error("{why}")]
    Image {
        /// Which one, where it differs and what to do.
        why: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] everstep_store::Error),
    /// The server gives no answer, or none that can be used.
    #[error(transparent)]
    Server(#[from] everstep_resonate::client::Error),
    /// A thread could not be started.
    #[error("cannot start the host: {0}")]
    Start(#[source] std::io::Error),
    /// The journal of an execution cannot be read.
    #[error("execution {id}: {source}")]
    Corrupted {
        /// The execution.
        id: ExecutionId,
        /// The damage.
        #[source]
        source: Corrupted,
    },
    /// The component failed to list its functions.
    #[error("the component does not describe its functions: {reason}")]
    Describe {
        /// What happened instead.
        reason: String,
    },
    /// The component has no such function.
    #[error("{}; it has {}", unknown(function, available), crate::engine::list(available))]
    UnknownFunction {
        /// The function that was requested.
        function: String,
        /// The functions of the component.
        available: Vec<String>,
    },
    /// Several functions of the component may be meant.
    #[error("{function:?} may be any of {}; name one in full", crate::engine::list(meant))]
    AmbiguousFunction {
        /// The name that was given.
        function: String,
        /// The functions that it is short for.
        meant: Vec<String>,
    },
    /// The arguments are not those that the function takes.
    #[error("the arguments do not fit: {reason}")]
    Misfit {
        /// Where, and what was expected there.
        reason: String,
    },
    /// The arguments are not JSON, or are nested too deeply.
    #[error("the arguments are {source}")]
    Arguments {
        /// The error in them.
        #[from]
        source: crate::json::Error,
    },
    /// The id belongs to a different run.
    #[error(
        "the id {id} is in use: it runs {}; choose another id for this, or go on from a step of that: everstep fork {id} --at N --id NEW",
        parted([recorded_function, function], [recorded_args, args])
    )]
    IdInUse {
        /// The id.
        id: ExecutionId,
        /// The function that the execution was started with.
        recorded_function: String,
        /// The arguments that the execution was started with.
        recorded_args: String,
        /// The function of this call.
        function: String,
        /// The arguments of this call.
        args: String,
    },
    /// The id belongs to another execution or promise, or has the form of a child's id.
    #[error("the id {0} is taken, or it is that of a child execution; choose another id, without a dot")]
    IdTaken(ExecutionId),
    /// A worker group without a proper name.
    #[error("{group:?} is no worker group: use 1 to 64 of the characters a-z, A-Z, 0-9, '-' and '_'")]
    Group {
        /// The name that was given.
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
    /// The component does not repeat what is recorded.
    #[error(
        "the component cannot take over execution {id}: at step {step} recorded {recorded}, attempted {attempted}; nothing was changed"
    )]
    Incompatible {
        /// The execution.
        id: ExecutionId,
        /// The step at which they differ.
        step: u64,
        /// What the journal holds.
        recorded: String,
        /// What the component did.
        attempted: String,
    },
    /// A replay did not reach its end.
    #[error("execution {id} cannot be repeated: {reason}")]
    NotRepeated {
        /// The execution.
        id: ExecutionId,
        /// The reason.
        reason: String,
    },
    /// The execution has fewer steps.
    #[error("execution {id} has {steps} steps, so there is no step {at} to start from")]
    NoSuchStep {
        /// The execution.
        id: ExecutionId,
        /// The step that was requested.
        at: u64,
        /// The number of steps that the execution has.
        steps: u64,
    },
    /// The schedule cannot be created.
    #[error("the schedule {id:?} was not created: {reason}")]
    Schedule {
        /// Its id.
        id: String,
        /// The reason.
        reason: String,
    },
    /// There is no such schedule.
    #[error("there is no schedule {0:?} in this store")]
    UnknownSchedule(String),
    /// The execution cannot be moved.
    #[error("execution {id} stays where it is: {why}")]
    Stays {
        /// The execution.
        id: ExecutionId,
        /// The reason, and what can be done.
        why: String,
    },
    /// The execution is between the store and a server.
    #[error("execution {id} is on its way to {to}; go on with: everstep move {id} --to {to}")]
    OnItsWay {
        /// The execution.
        id: ExecutionId,
        /// The server.
        to: String,
    },
    /// The execution was moved to a server.
    #[error("execution {id} was moved to {to}, and goes on there: --remote {to}")]
    Moved {
        /// The execution.
        id: ExecutionId,
        /// The server.
        to: String,
    },
    /// The execution runs in another worker of a server, or in none at the moment.
    #[error("execution {0} does not run in this process, so it cannot be interrupted here; cancel it instead")]
    NotHere(ExecutionId),
    /// The execution is running.
    #[error("execution {0} runs at the moment; cancel it, or stop its host, first")]
    Runs(ExecutionId),
    /// The execution has no such promise.
    #[error("nobody waits for {0}: its execution has no such promise; nothing was changed")]
    UnknownPromise(PromiseId),
    /// The promise was settled before, with another outcome.
    #[error("{0} is settled already, with another outcome; nothing was changed")]
    AlreadySettled(PromiseId),
    /// The promise is settled by the host itself.
    #[error(
        "{0} is a timer, a request to the host or a child execution, which nobody settles from outside; nothing was changed"
    )]
    NotSettledFromOutside(PromiseId),
    /// The deadline of the promise has passed.
    #[error("the deadline of {0} has passed; nothing was changed")]
    DeadlinePassed(PromiseId),
    /// The outcome is not acceptable.
    #[error("{id} was not settled: {reason}; it stays pending")]
    InvalidOutcome {
        /// The promise.
        id: PromiseId,
        /// The error in the outcome.
        reason: String,
    },
    /// The store lacks something it should hold.
    #[error("the store holds no {what} {digest}, which execution {id} needs")]
    Missing {
        /// `component` or `policy`.
        what: &'static str,
        /// Its digest.
        digest: Digest,
        /// The execution that needs it.
        id: ExecutionId,
    },
    /// The journal of an execution was not written for it.
    #[error(transparent)]
    Foreign(everstep_store::Error),
    /// A memory store loses everything when its process ends.
    #[error(
        "the memory store ends with its process, so there is nothing to resume; use --store DIR to survive a crash"
    )]
    NothingSurvives,
}

impl From<Unusable> for Error {
    fn from(unusable: Unusable) -> Self {
        match unusable {
            Unusable::Store(error) => Self::Store(error),
            Unusable::Image(why) => Self::Image { why },
        }
    }
}

fn unknown(function: &str, available: &[String]) -> String {
    let is_server = available.iter().all(|name| name.starts_with("wasi:http/incoming-handler@"));
    match function {
        PROGRAM if is_server && !available.is_empty() => {
            "the component answers HTTP requests, which this host does not let it do; it runs programs and functions"
                .to_owned()
        }
        PROGRAM => "the component is no program: name one of its functions".to_owned(),
        _ => format!("the component has no function {function:?}"),
    }
}

impl Error {
    /// Whether the error is that the journal of an execution cannot be used.
    pub(super) fn is_of_the_journal(&self) -> bool {
        matches!(self, Self::Corrupted { .. } | Self::Foreign(_))
    }
}

/// Describes what an id runs, and how the new call under it differs from that.
fn parted([recorded, given]: [&str; 2], [recorded_args, args]: [&str; 2]) -> String {
    if recorded != given {
        return format!("{recorded:?}, not {given:?}");
    }
    format!("{recorded:?} with other arguments, {}", difference::first(recorded_args, args))
}
