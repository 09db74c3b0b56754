//! A call of one exported function, from its start to its return: a function with types of its own, or a program.

use super::Ctx;
use super::drive::{finish, stopped, too_large};
use super::exports::{Export, PROGRAM};
use super::meter::metered;
use super::typed::{self, Misfit, TooLong};
use crate::bridge::{Bridge, Stop};
use crate::engine::wasi::Exit;
use crate::guest_error::{ErrorCode, GuestError};
use everstep_store::{Failure, FailureKind, State};
use wasmtime::Store;
use wasmtime::component::{Instance, Val};

/// The name of a program that was started without arguments.
const UNNAMED: &str = "program";

/// The message of the error of a program, before the number.
const EXITED: &str = "the program ended with exit code ";

/// A guest that is no program has ended the execution; the current call fails with this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the guest ended the execution with exit code {code}")]
pub(crate) struct Ended {
    /// The exit code.
    pub(crate) code: u8,
}

/// The exit code of a program that has ended by itself; `None` for any other end, and for any other function, whatever its error says.
pub(crate) fn exit_code(function: &str, state: State, error: Option<&Failure>) -> Option<u8> {
    match (state, error) {
        _ if function != PROGRAM => None,
        (State::Completed, _) => Some(0),
        (State::Failed, Some(error)) => named_exit_code(error),
        _ => None,
    }
}

/// The exit code that the error of a program names, and that of a Python program.
pub fn named_exit_code(error: &Failure) -> Option<u8> {
    match error {
        Failure { kind: FailureKind::Returned(ErrorCode::Failed), message } => {
            message.strip_prefix(EXITED)?.parse().ok()
        }
        _ => None,
    }
}

impl Export {
    /// The arguments of a call, as values; for a program, none.
    ///
    /// # Errors
    /// They do not fit.
    pub(super) fn parse(&self, args: &str) -> Result<Vec<Val>, Misfit> {
        if self.is_program() {
            return argv(args).map(|_| Vec::new());
        }
        if let Err(kind) = typed::check_callable(&self.ty) {
            return Err(Misfit::new(&self.name, format!("it takes or returns {kind}, which JSON cannot hold")));
        }
        typed::arguments(&self.ty, args)
    }
}

/// The arguments of a program, its name first.
fn argv(args: &str) -> Result<Vec<String>, Misfit> {
    let listed: Result<Option<Vec<String>>, _> = serde_json::from_str(args);
    match listed {
        Ok(listed) => Ok(listed.unwrap_or_else(|| vec![UNNAMED.to_owned()])),
        Err(_) => Err(Misfit::new("args", "a program takes a list of strings, its name first, or null")),
    }
}

/// Calls a function in an instance of its own.
pub(super) async fn call(
    store: &mut Store<Ctx>,
    bridge: &Bridge,
    instance: Instance,
    export: &Export,
    args: &str,
) -> Result<Result<String, GuestError>, Stop> {
    let params = match export.parse(args) {
        Ok(params) => params,
        Err(misfit) => return Ok(Err(GuestError::new(ErrorCode::Invalid, misfit.to_string()))),
    };
    if export.is_program() {
        store.data_mut().argv = argv(args).unwrap_or_default();
    }
    let missing = || Stop::Contract(format!("{} is not a function", export.name));
    let function = instance.get_func(&mut *store, export.index).ok_or_else(missing)?;
    let mut results = vec![Val::Bool(false); export.ty.results().len()];
    let called = metered(bridge, function.call_async(&mut *store, &params, &mut results)).await?.map_err(stopped);
    if export.is_program() {
        return ended(store, called, results.first()).await;
    }
    called?;
    finish(store).await?;
    match typed::returned(&export.ty, results.first(), bridge.facts.limits().result) {
        Ok(returned) => Ok(returned),
        Err(TooLong) => Ok(Err(too_large(bridge, None))),
    }
}

/// The end of a program: it has returned, or has called `exit`.
async fn ended(
    store: &mut Store<Ctx>,
    called: Result<(), Stop>,
    result: Option<&Val>,
) -> Result<Result<String, GuestError>, Stop> {
    let code = match called {
        Ok(()) => u8::from(matches!(result, Some(Val::Result(Err(_))))),
        Err(Stop::Trap(error)) => match error.downcast_ref::<Exit>() {
            Some(exit) => exit.code,
            None => return Err(Stop::Trap(error)),
        },
        Err(stop) => return Err(stop),
    };
    exited(store, code).await
}

/// The end of what has ended itself with an exit code.
pub(super) async fn exited(store: &mut Store<Ctx>, code: u8) -> Result<Result<String, GuestError>, Stop> {
    finish(store).await?;
    match code {
        0 => Ok(Ok("null".to_owned())),
        code => Ok(Err(GuestError::new(ErrorCode::Failed, format!("{EXITED}{code}")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_of_a_program_is_read_from_its_error() {
        let (returned, exits) = (FailureKind::Returned(ErrorCode::Failed), "the program ended with exit code 3");
        let read = |function, state, kind, message: &str| {
            exit_code(function, state, Some(&Failure { kind, message: message.to_owned() }))
        };
        assert_eq!(read(PROGRAM, State::Failed, returned, exits), Some(3));
        assert_eq!(read(PROGRAM, State::Failed, returned, "the program ended with exit code 256"), None);
        assert_eq!(read(PROGRAM, State::Failed, returned, "no such file"), None);
        assert_eq!(read(PROGRAM, State::Halted, FailureKind::Trap, exits), None);
        assert_eq!(exit_code(PROGRAM, State::Completed, None), Some(0));
        // The words of a guest that is no program are only words.
        assert_eq!(read("execute", State::Failed, returned, exits), None);
        assert_eq!(exit_code("execute", State::Completed, None), None);
    }

    #[test]
    fn the_arguments_of_a_program_are_strings() {
        assert_eq!(argv("null").unwrap(), ["program"]);
        assert_eq!(argv(r#"["p", "-x"]"#).unwrap(), ["p", "-x"]);
        assert_eq!(argv("[]").unwrap(), [""; 0]);
        assert!(argv("[1]").unwrap_err().to_string().contains("a list of strings, its name first"));
    }
}
