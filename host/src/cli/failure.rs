//! The errors of commands, and the exit codes.

use everstep::store::{self, FailureKind, State};
use everstep::{Error, ErrorCode, Report};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::process::ExitCode;
use std::sync::Arc;

/// The exit codes, from good to bad: for several executions the last one here counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// 0: a result.
    Done,
    /// 5: it waits for a promise, and was told not to wait.
    Suspended,
    /// 1: the function returned an error, or trapped, or was canceled.
    Failed,
    /// The exit code of a program, 1 to 125, or what its host says in its place, from 121 on; or of `SystemExit` at the prompt.
    Program(u8),
    /// 3: the function ended on a denial.
    Denied,
    /// 4: halted: a divergence, a limit, an effect in doubt, a corrupted journal.
    Halted,
    /// 2: usage, configuration, load or store error.
    Usage,
    /// 129: the terminal was closed.
    HungUp,
    /// 130: interrupted.
    Interrupted,
    /// 143: terminated.
    Terminated,
}

/// The first exit code of hosts.
const HOST: u8 = 120;

/// The error of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The kind of error, for scripts.
    pub(crate) kind: Cow<'static, str>,
    /// What happened and what to do.
    pub(crate) message: String,
    pub(crate) exit: Exit,
}

impl Exit {
    /// The exit code for an execution in this state.
    pub(crate) fn of(report: &Report) -> Self {
        if let Some(code) = report.exit_code {
            return Self::of_process(code);
        }
        match (report.state, report.error.as_ref().map(|error| error.kind)) {
            (State::Completed, _) => Self::Done,
            (State::Pending | State::Suspended | State::Running, _) => Self::Suspended,
            (State::Canceled, _) => Self::Failed,
            (_, Some(FailureKind::Returned(ErrorCode::Denied))) => Self::Denied,
            (_, Some(FailureKind::Returned(ErrorCode::InDoubt | ErrorCode::LimitExceeded))) => Self::Halted,
            (_, Some(FailureKind::Returned(_) | FailureKind::Trap | FailureKind::TimedOut)) | (State::Failed, None) => {
                Self::Failed
            }
            (State::Failed | State::Halted, _) => Self::Halted,
        }
    }

    /// The exit code for a program that has ended itself with this one.
    pub(crate) fn of_process(code: u8) -> Self {
        match code {
            0 => Self::Done,
            1..=125 => Self::Program(code),
            126.. => Self::Failed,
        }
    }

    /// The exit code for a program that has a result, or that its host has ended: that of a function, in a place that programs leave free.
    pub(crate) fn of_host(report: &Report) -> Self {
        match Self::of(report) {
            Self::Done => Self::Done,
            exit => Self::Program(HOST + exit.number()),
        }
    }

    /// The word for a signal that ended a command.
    pub(crate) fn signal(self) -> &'static str {
        match self {
            Self::HungUp => "hung up",
            Self::Terminated => "terminated",
            _ => "interrupted",
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Denied => 3,
            Self::Halted => 4,
            Self::Suspended => 5,
            Self::Program(code) => code,
            Self::HungUp => 129,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.number().into()
    }
}

impl Failure {
    /// A usage error.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { kind: "usage".into(), message: message.into(), exit: Exit::Usage }
    }

    /// The error of a file or stream; `what` says what was tried, with the path.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |error| Self { kind: "io".into(), message: format!("{what}: {error}"), exit: Exit::Usage }
    }

    /// The object that `--json` prints.
    pub(crate) fn json(&self) -> Value {
        json!({ "error": { "kind": self.kind, "message": self.message } })
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let exit = if let Error::Corrupted { .. } | Error::Foreign(_) = error { Exit::Halted } else { Exit::Usage };
        Self { kind: kind(error).into(), message: with_causes(error), exit }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<Arc<Error>> for Failure {
    fn from(error: Arc<Error>) -> Self {
        Self::from(&*error)
    }
}

impl From<everstep::policy::Error> for Failure {
    fn from(error: everstep::policy::Error) -> Self {
        Self::from(Error::Policy(error))
    }
}

impl From<everstep::guest_build::Error> for Failure {
    fn from(error: everstep::guest_build::Error) -> Self {
        Self { kind: "build".into(), message: with_causes(&error), exit: Exit::Usage }
    }
}

fn kind(error: &Error) -> &'static str {
    match error {
        Error::Load(_) | Error::Describe { .. } => "load",
        Error::Policy(_) => "policy",
        Error::Image { .. } => "image",
        Error::Store(store::Error::InUse { .. }) => "store-in-use",
        Error::Store(_) | Error::Server(_) | Error::Missing { .. } => "store",
        Error::Corrupted { .. } | Error::Foreign(_) => "corrupted",
        Error::UnknownFunction { .. } | Error::AmbiguousFunction { .. } => "unknown-function",
        Error::Arguments { .. } | Error::Misfit { .. } => "arguments",
        Error::IdInUse { .. } | Error::IdTaken(_) => "id-in-use",
        Error::PolicyChanged { .. } => "policy-changed",
        Error::UnknownExecution(_) => "unknown-execution",
        Error::Ended { .. } => "ended",
        Error::UnknownPromise(_) => "unknown-promise",
        Error::AlreadySettled(_) => "already-settled",
        Error::NotSettledFromOutside(_) => "not-settled-from-outside",
        Error::DeadlinePassed(_) => "deadline-passed",
        Error::Incompatible { .. } | Error::NotRepeated { .. } => "incompatible",
        Error::NoSuchStep { .. } => "no-such-step",
        Error::Runs(_) => "runs",
        Error::NotHere(_) => "not-here",
        Error::Stays { .. } => "stays",
        Error::Moved { .. } | Error::OnItsWay { .. } => "moved",
        Error::Schedule { .. } => "schedule",
        Error::UnknownSchedule(_) => "unknown-schedule",
        Error::Group { .. } => "usage",
        Error::InvalidOutcome { .. } => "invalid-outcome",
        Error::NothingSurvives => "nothing-survives",
        _ => "host",
    }
}

/// The message and its causes, except those that the message includes already.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        cause = error.source();
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use everstep::ExecutionId;
    use everstep::store::Failure as Why;

    fn exit(state: State, kind: Option<FailureKind>) -> u8 {
        let error = kind.map(|kind| Why { kind, message: String::new() });
        let (id, wall) = (ExecutionId::random(), std::time::Duration::ZERO);
        Exit::of(&Report { id, state, result: None, error, exit_code: None, steps: 0, replayed: 0, wall }).number()
    }

    #[test]
    fn exit_codes_are_those_of_the_help_text() {
        let returned = |code| Some(FailureKind::Returned(code));
        assert_eq!(exit(State::Completed, None), 0);
        assert_eq!(exit(State::Failed, returned(ErrorCode::NotFound)), 1);
        assert_eq!(exit(State::Halted, Some(FailureKind::Trap)), 1);
        assert_eq!(exit(State::Failed, Some(FailureKind::TimedOut)), 1);
        assert_eq!(exit(State::Canceled, None), 1);
        assert_eq!(exit(State::Failed, returned(ErrorCode::Denied)), 3);
        assert_eq!(exit(State::Failed, returned(ErrorCode::InDoubt)), 4);
        assert_eq!(exit(State::Failed, returned(ErrorCode::LimitExceeded)), 4);
        assert_eq!(exit(State::Failed, Some(FailureKind::Limit)), 4);
        assert_eq!(exit(State::Halted, Some(FailureKind::Divergence)), 4);
        assert_eq!(exit(State::Halted, Some(FailureKind::Corrupted)), 4);
        assert_eq!(exit(State::Suspended, None), 5);
    }

    #[test]
    fn the_exit_code_of_a_program_is_that_of_the_command_where_it_fits() {
        for (code, exits) in [(1, 1), (3, 3), (125, 125), (126, 1), (255, 1)] {
            let kind = FailureKind::Returned(ErrorCode::Failed);
            let error = Some(Why { kind, message: format!("the program ended with exit code {code}") });
            let (id, wall, exit_code) = (ExecutionId::random(), std::time::Duration::ZERO, Some(code));
            let report =
                Report { id, state: State::Failed, result: None, error, exit_code, steps: 0, replayed: 0, wall };
            assert_eq!(Exit::of(&report).number(), exits);
            assert_eq!(Exit::of(&Report { exit_code: None, ..report }).number(), 1);
        }
    }

    #[test]
    fn what_the_host_ends_of_a_program_is_told_from_its_own_codes() {
        let host = |state, kind: Option<FailureKind>| {
            let error = kind.map(|kind| Why { kind, message: String::new() });
            let (id, wall) = (ExecutionId::random(), std::time::Duration::ZERO);
            Exit::of_host(&Report { id, state, result: None, error, exit_code: None, steps: 0, replayed: 0, wall })
                .number()
        };
        assert_eq!(host(State::Completed, None), 0);
        assert_eq!(host(State::Halted, Some(FailureKind::Trap)), 121);
        assert_eq!(host(State::Canceled, None), 121);
        assert_eq!(host(State::Failed, Some(FailureKind::Returned(ErrorCode::Denied))), 123);
        assert_eq!(host(State::Halted, Some(FailureKind::Limit)), 124);
        assert_eq!(host(State::Suspended, None), 125);
    }

    #[test]
    fn of_several_executions_the_worst_counts() {
        assert_eq!([Exit::Suspended, Exit::Done, Exit::Denied, Exit::Failed].into_iter().max(), Some(Exit::Denied));
    }

    #[test]
    fn a_cause_is_told_once() {
        let missing = everstep::Policy::load(std::path::Path::new("/nowhere/policy.toml")).unwrap_err();
        let failure = Failure::from(missing);
        assert_eq!(failure.message.matches("No such file").count(), 1, "{}", failure.message);
        assert_eq!((&*failure.kind, failure.exit), ("policy", Exit::Usage));
    }
}
