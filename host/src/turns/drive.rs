//! The turns of an execution: `start`, and `resume` for as long as the guest waits; or the one call of a function that has types of its
//! own.

use super::call::{Ended, call, exited};
use super::component::Entry;
use super::exports;
use super::meter::metered;
use super::{Ctx, FunctionInfo, Loaded};
use crate::bindings::DurablePre;
use crate::bindings::exports::everstep::host::guest::Progress;
use crate::bridge::{Bridge, Checkpoint, Stop};
use crate::engine::wasi;
use crate::guest_error::{ErrorCode, GuestError};
use crate::policy::Limits;
use std::sync::Arc;
use wasmtime::Store;

/// A run of an execution.
pub(crate) struct Job {
    pub(crate) component: Arc<Loaded>,
    pub(crate) bridge: Arc<Bridge>,
    pub(crate) args: String,
}

/// How a run ends.
pub(crate) enum Ending {
    /// The function returned.
    Returned(Result<String, GuestError>),
    /// The guest trapped; with the message of its panic, if it left one.
    Trapped {
        message: String,
        /// Whether a limit explains the trap.
        limit: bool,
    },
    /// The guest trapped after a checkpoint that it resumes from.
    SetBack {
        /// The number of the checkpoint.
        checkpoint: Checkpoint,
        /// The message of the trap.
        cause: String,
    },
    /// The run was stopped.
    Stopped(Stop),
}

/// Runs an execution in an instance of its own, which is discarded at the end in any case.
pub(crate) async fn drive(job: Job) -> Ending {
    let bridge = Arc::clone(&job.bridge);
    let mut store = new_store(&job.component, Arc::clone(&bridge));
    store.data_mut().component = Some(Arc::clone(&job.component));
    bridge.stopwatch.resume();
    let ended = tokio::select! {
        biased;
        () = bridge.canceled() => Err(Stop::Canceled),
        () = bridge.deaf() => Err(Stop::TakenBack),
        lost = bridge.facts.ledger.lost() => Err(lost.into()),
        ended = turns(&mut store, &job) => ended,
        stop = bridge.out_of_time() => Err(stop),
    };
    let ended = match ended {
        Err(Stop::Unhandled(error)) => Ok(Err(error)),
        ended => ended,
    };
    match ended {
        Ok(returned) => bridge.take_return(returned).map_or_else(Ending::Stopped, Ending::Returned),
        Err(Stop::Contract(message)) => trapped(&bridge, message, false),
        Err(Stop::PartLimit(message)) => trapped(&bridge, message, true),
        Err(Stop::Trap(error)) => {
            let (message, limit) = explain(&error, store.data());
            trapped(&bridge, message, limit)
        }
        Err(stop) => Ending::Stopped(stop),
    }
}

/// The ending of a run whose guest has trapped.
fn trapped(bridge: &Bridge, message: String, limit: bool) -> Ending {
    match bridge.take_trap(&message, limit) {
        Err(stop) => Ending::Stopped(stop),
        Ok(Some(checkpoint)) => Ending::SetBack { checkpoint, cause: message },
        Ok(None) => Ending::Trapped { message, limit },
    }
}

async fn turns(store: &mut Store<Ctx>, job: &Job) -> Result<Result<String, GuestError>, Stop> {
    match &job.component.entry {
        Entry::Guest(guest) => {
            let ended = turns_of_guest(store, job, guest).await;
            match exit_of(&ended) {
                Some(code) => exited(store, code).await,
                None => ended,
            }
        }
        Entry::Exports(linked, exports) => {
            let bridge = Arc::clone(&job.bridge);
            let Ok(export) = exports::find(exports, &bridge.facts.function) else {
                let message = format!("the component has no function {:?}", bridge.facts.function);
                return Ok(Err(GuestError::new(ErrorCode::NotFound, message)));
            };
            let instance = metered(&bridge, linked.instantiate_async(&mut *store)).await?.map_err(stopped)?;
            call(store, &bridge, instance, export, &job.args).await
        }
    }
}

/// The exit code with which a guest has ended the execution.
fn exit_of<R>(ended: &Result<R, Stop>) -> Option<u8> {
    match ended {
        Err(Stop::Trap(error)) => error.downcast_ref::<Ended>().map(|ended| ended.code),
        _ => None,
    }
}

async fn turns_of_guest(
    store: &mut Store<Ctx>,
    job: &Job,
    guest: &DurablePre<Ctx>,
) -> Result<Result<String, GuestError>, Stop> {
    let bridge = Arc::clone(&job.bridge);
    let instance = metered(&bridge, guest.instantiate_async(&mut *store)).await?.map_err(stopped)?;
    let guest = instance.everstep_host_guest();
    let start = guest.call_start(&mut *store, &bridge.facts.function, &job.args);
    let mut progress = metered(&bridge, start).await?.map_err(stopped)?;
    loop {
        match progress {
            Progress::Pending => {}
            Progress::Done(returned) => {
                finish(store).await?;
                return match returned {
                    Ok(result) => checked_result(&bridge, result),
                    Err(error) => Ok(Err(cut_error(&bridge, error.into()))),
                };
            }
        }
        let settled = bridge.wait_between_turns().await?;
        let resume = guest.call_resume(&mut *store, &settled);
        progress = metered(&bridge, resume).await?.map_err(stopped)?;
    }
}

/// Ends what the guest has begun with WASI.
pub(super) async fn finish(store: &mut Store<Ctx>) -> Result<(), Stop> {
    if store.data().wasi.is_some() {
        wasi::finish_output(store.data_mut()).map_err(stopped)?;
        wasi::finish_files(store.data_mut()).await.map_err(stopped)?;
    }
    Ok(())
}

/// The result, if it is JSON and not too large. One that is too large is an error of the function, not of the run: the effects of the
/// function have happened, and it would return the same result again.
fn checked_result(bridge: &Bridge, result: String) -> Result<Result<String, GuestError>, Stop> {
    if result.len() as u64 > bridge.facts.limits().result {
        return Ok(Err(too_large(bridge, Some(result.len()))));
    }
    match serde_json::from_str::<&serde_json::value::RawValue>(&result) {
        Ok(_) => Ok(Ok(result)),
        Err(error) => Err(Stop::Contract(format!("the function returned something that is not JSON: {error}"))),
    }
}

/// The error of a function whose result is too large; `None`: it was not written to its end.
pub(super) fn too_large(bridge: &Bridge, bytes: Option<usize>) -> GuestError {
    let (function, limit) = (&bridge.facts.function, bridge.facts.limits().result);
    let has = bytes.map_or_else(|| "more bytes than allowed".to_owned(), |bytes| format!("{bytes} bytes"));
    let message = format!(
        "the result of {function} has {has}, limits.result is {limit}: return less, or start it under a higher limit"
    );
    GuestError::new(ErrorCode::LimitExceeded, message)
}

/// The error of a function; a message that is too large is cut.
fn cut_error(bridge: &Bridge, mut error: GuestError) -> GuestError {
    let limit = usize::try_from(bridge.facts.limits().result).unwrap_or(usize::MAX);
    let bytes = error.message.len();
    if bytes > limit {
        error.message.truncate(error.message.floor_char_boundary(limit.saturating_sub(ROOM_TO_TELL)));
        let more = bytes - error.message.len();
        error.message.push_str(&format!("... ({more} bytes more, limits.result is {limit})"));
    }
    error
}

/// The most bytes that the note after a cut message takes.
const ROOM_TO_TELL: usize = 80;

pub(super) fn stopped(error: wasmtime::Error) -> Stop {
    match error.downcast::<Stop>() {
        Ok(stop) => stop,
        Err(error) => Stop::Trap(error),
    }
}

fn explain(error: &wasmtime::Error, ctx: &Ctx) -> (String, bool) {
    let cause = match error.downcast_ref::<wasmtime::Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    if cause.contains(OUT_OF_FUEL) {
        let limits = ctx.bridge.facts.limits();
        let (limit, key) = match limits.bytes_per_call > limits.memory {
            true => (limits.bytes_per_call, "limits.bytes_per_call"),
            false => (limits.memory, "limits.memory"),
        };
        return (
            format!(
                "one call, or its result, names the same bytes so often that it carries more than {limit} bytes ({key})"
            ),
            true,
        );
    }
    let cause = ctx.panic.as_ref().unwrap_or(&cause);
    match ctx.limiter.hit() {
        Some(hit) => (format!("{hit}: {cause}"), true),
        None => (cause.clone(), false),
    }
}

/// The engine's message when a guest hands over more than its store allows; the type of the error is private.
const OUT_OF_FUEL: &str = "fuel allocated for hostcalls has been exhausted";

/// Bytes that a guest may hand over in one call: all that its memory can hold, so that a payload that is larger than the
/// policy allows is an error the guest can handle, however large it is. Beyond that, the same bytes are passed more than once.
fn hostcall_fuel(limits: &Limits) -> usize {
    let most = limits.bytes_per_call.max(limits.memory);
    usize::try_from(most.saturating_add(most / 16).saturating_add(64 << 10)).unwrap_or(usize::MAX)
}

pub(super) fn new_store(component: &Loaded, bridge: Arc<Bridge>) -> Store<Ctx> {
    let fuel = hostcall_fuel(bridge.facts.limits());
    let mut store = Store::new(&component.component.engine, Ctx::new(bridge));
    store.limiter(|ctx| &mut ctx.limiter);
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    store.set_hostcall_fuel(fuel);
    store
}

/// Asks a component for its functions, in an execution that is not stored.
///
/// # Errors
/// The reason that it cannot list them.
pub(super) async fn describe(
    component: &Loaded,
    guest: &DurablePre<Ctx>,
    bridge: Arc<Bridge>,
) -> Result<Vec<FunctionInfo>, String> {
    let mut store = new_store(component, Arc::clone(&bridge));
    bridge.stopwatch.resume();
    let describe = async {
        let instance = metered(&bridge, guest.instantiate_async(&mut store)).await?.map_err(stopped)?;
        let functions = instance.everstep_host_guest().call_functions(&mut store);
        metered(&bridge, functions).await?.map_err(stopped)
    };
    let described = tokio::select! {
        described = describe => described,
        stop = bridge.out_of_time() => Err(stop),
    };
    match described {
        Ok(functions) => Ok(functions.into_iter().map(Into::into).collect()),
        Err(Stop::Trap(error)) => Err(explain(&error, store.data()).0),
        Err(stop) => Err(stop.to_string()),
    }
}

impl From<crate::bindings::exports::everstep::host::guest::FunctionInfo> for FunctionInfo {
    fn from(info: crate::bindings::exports::everstep::host::guest::FunctionInfo) -> Self {
        Self { name: info.name, description: info.description, signature: String::new() }
    }
}
