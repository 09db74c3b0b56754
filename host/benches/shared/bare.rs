//! The bare engine, for comparison: programs with `wasmtime-wasi` and preopened folders, which is what the `wasmtime` command does.

use std::path::Path;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Store};
use wasmtime_wasi::p2::bindings::sync::Command;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

pub(crate) struct Engine {
    engine: wasmtime::Engine,
    linker: Linker<State>,
}

/// A compiled program.
pub(crate) struct Program(Component);

/// The state of an instance.
struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl Engine {
    pub(crate) fn new() -> Outcome<Self> {
        let engine = wasmtime::Engine::new(&Config::new())?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
        Ok(Self { engine, linker })
    }

    pub(crate) fn compile(&self, component: &[u8]) -> Outcome<Program> {
        Ok(Program(Component::new(&self.engine, component)?))
    }

    /// Runs a program with arguments, its name the first, and folders: what it calls them, and where they are.
    pub(crate) fn run<'a>(
        &self,
        program: &Program,
        argv: impl IntoIterator<Item = &'a str>,
        folders: &[(&str, &Path)],
    ) -> Outcome<()> {
        let mut wasi = WasiCtxBuilder::new();
        argv.into_iter().for_each(|argument| {
            wasi.arg(argument);
        });
        wasi.env("HOME", "/");
        for (guest, host) in folders {
            wasi.preopened_dir(host, guest, FsPerms::ReadWrite)?;
        }
        let mut store = Store::new(&self.engine, State { wasi: wasi.build(), table: ResourceTable::new() });
        let command = Command::instantiate(&mut store, &program.0, &self.linker)?;
        command.wasi_cli_run().call_run(&mut store)?.map_err(|()| "the program has failed".into())
    }
}
