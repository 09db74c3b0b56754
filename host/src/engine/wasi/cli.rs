//! The environment of a program: its arguments, variables from the policy, the console, and no terminal.

use super::io::Console;
use super::{Virtual, WasiHost};
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::cli::{environment, exit, stderr, stdin, stdout};
use wasmtime_wasi::p2::pipe::{ClosedInputStream, SinkOutputStream};
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream};

/// The guest called `exit`; it has no process to end, so the current call fails with this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the guest called exit({code}); a durable function ends by returning")]
pub(crate) struct Exit {
    /// The exit code.
    pub code: u8,
}

impl<T: WasiHost> environment::Host for Virtual<'_, T> {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(self.0.environment())
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self.0.arguments())
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(None)
    }
}

impl<T: WasiHost> exit::Host for Virtual<'_, T> {
    fn exit(&mut self, status: Result<(), ()>) -> wasmtime::Result<()> {
        Err(Exit { code: u8::from(status.is_err()) }.into())
    }

    fn exit_with_code(&mut self, code: u8) -> wasmtime::Result<()> {
        Err(Exit { code }.into())
    }
}

impl<T: WasiHost> Virtual<'_, T> {
    /// A stream whose table entry is a placeholder: output to it goes to `console`.
    fn output(&mut self, console: Console) -> wasmtime::Result<Resource<DynOutputStream>> {
        let wasi = self.0.wasi();
        let stream: DynOutputStream = Box::new(SinkOutputStream);
        let stream = wasi.table.push(stream)?;
        wasi.outputs.insert(stream.rep(), console);
        Ok(stream)
    }
}

impl<T: WasiHost> stdin::Host for Virtual<'_, T> {
    fn get_stdin(&mut self) -> wasmtime::Result<Resource<DynInputStream>> {
        // A placeholder: reads go to the questions for lines.
        let stream: DynInputStream = Box::new(ClosedInputStream);
        let wasi = self.0.wasi();
        let stream = wasi.table.push(stream)?;
        wasi.stdin.streams.insert(stream.rep());
        Ok(stream)
    }
}

impl<T: WasiHost> stdout::Host for Virtual<'_, T> {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.output(Console::Stdout)
    }
}

impl<T: WasiHost> stderr::Host for Virtual<'_, T> {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.output(Console::Stderr)
    }
}
