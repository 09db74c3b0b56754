//! The exported interface `guest`: starts a function and resumes it with deliveries.

use std::cell::RefCell;
use std::panic::PanicHookInfo;
use std::task::Poll;

use crate::Error;
use crate::bindings::Component;
use crate::bindings::everstep::host::context;
use crate::bindings::exports::everstep::host::guest::{FunctionInfo, Guest, Progress};
use crate::executor::Executor;
use crate::{function, hash_keys};

type Running = Executor<Result<String, Error>>;

thread_local! {
    static RUNNING: RefCell<Option<Running>> = const { RefCell::new(None) };
}

impl Guest for Component {
    fn functions() -> Vec<FunctionInfo> {
        function::all().into_iter().map(info).collect()
    }

    fn start(name: String, args: String) -> Progress {
        hash_keys::draw();
        std::panic::set_hook(Box::new(report_panic));
        let function = match function::find(&name) {
            Ok(function) => function,
            Err(error) => return Progress::Done(Err(error.into())),
        };
        let mut running = Executor::new((function.start)(args));
        let turn = running.turn();
        RUNNING.set(Some(running));
        progress(turn)
    }

    fn resume(settled: Vec<u64>) -> Progress {
        match RUNNING.take() {
            Some(mut running) => {
                let turn = running.deliver(&settled);
                RUNNING.set(Some(running));
                progress(turn)
            }
            None => Progress::Done(Err(Error::invalid("nothing runs that could be resumed").into())),
        }
    }
}

/// Drops a future that is done: polling it again would panic.
fn progress(turn: Poll<Result<String, Error>>) -> Progress {
    match turn {
        Poll::Ready(result) => {
            RUNNING.set(None);
            Progress::Done(result.map_err(Into::into))
        }
        Poll::Pending => Progress::Pending,
    }
}

fn info(function: &'static function::Function) -> FunctionInfo {
    FunctionInfo { name: function.name.into(), description: function.description.into() }
}

/// Reports a panic to the host, before the trap that follows.
fn report_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("a value that is no text");
    match panic.location() {
        Some(place) => context::panicked(&format!("{message}, at {place}")),
        None => context::panicked(message),
    }
}
