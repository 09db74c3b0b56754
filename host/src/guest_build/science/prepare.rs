//! Runs CPython until everything is imported that programs begin with, and makes a module of what is then in its memory.
//!
//! It runs with nothing but one file to read; its clock stands still, and its random numbers are zeros, so that the same files give the same module.

use super::files::Files;
use super::snapshot;
use crate::guest_build::Error;
use wasmtime::{
    Caller, Config, Engine, Extern, ExternType, Linker, Memory, Module, OptLevel, RegallocAlgorithm, Store, Val,
};

/// Functions of the module that are called to end the preparation, which it does not export: the C library forgets its folders, and what was on the stack is
/// cleared.
const UNEXPORTED: [(&str, u32); 2] = [("forget-folders", 88_590), ("clear-stack", 54)];
/// What prepares everything, in the archive.
const CODE: &[u8] = b"__import__('_turn').prepare()";
const PREVIEW1: &str = "wasi_snapshot_preview1";
/// Nothing is to be had: an error number of WASI preview 1.
const BADF: i32 = 8;
/// The time of all clocks, in nanoseconds: that of the module before it is prepared.
const NOW: u64 = 1_767_225_600_000_000_000;
/// WebAssembly's stack, in bytes.
const STACK: usize = 8 << 20;

/// What the functions of the host share.
struct State {
    files: Files,
    said: Vec<u8>,
}

/// The module with all that `archive` has it import.
pub(super) fn prepare(module: &[u8], archive: Vec<u8>) -> Result<Vec<u8>, Error> {
    let failed =
        |cause: wasmtime::Error| Error::Python(format!("CPython with science could not be prepared: {cause:?}"));
    let mut config = Config::new();
    // It runs once.
    config.cranelift_opt_level(OptLevel::None).cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
    config.cranelift_nan_canonicalization(true).relaxed_simd_deterministic(true).max_wasm_stack(STACK);
    config.async_stack_size(STACK + (2 << 20)).wasm_exceptions(true);
    let engine = Engine::new(&config).map_err(failed)?;
    let compiled = Module::new(&engine, snapshot::exporting(module, &UNEXPORTED)?).map_err(failed)?;
    let mut store = Store::new(&engine, State { files: Files::new(archive), said: Vec::new() });
    let memory = run(&engine, &compiled, &mut store).map_err(|cause| {
        let said = String::from_utf8_lossy(&store.data().said).into_owned();
        Error::Python(format!("CPython with science could not be prepared: {cause:?}\n{said}"))
    })?;
    snapshot::with_memory(module, memory.data(&store))
}

fn run(engine: &Engine, compiled: &Module, store: &mut Store<State>) -> wasmtime::Result<Memory> {
    let mut linker = Linker::new(engine);
    link(&mut linker)?;
    refuse_others(&mut linker, store, compiled)?;
    let instance = linker.instantiate(&mut *store, compiled)?;
    for step in ["_initialize", "wizer.initialize"] {
        instance.get_typed_func::<(), ()>(&mut *store, step)?.call(&mut *store, ())?;
    }
    let memory = instance.get_memory(&mut *store, "memory").ok_or_else(|| wasmtime::Error::msg("it has no memory"))?;
    let length = i32::try_from(CODE.len())?;
    let code = instance.get_typed_func::<i32, i32>(&mut *store, "host_alloc")?.call(&mut *store, length)?;
    memory.write(&mut *store, code as u32 as usize, CODE)?;
    let turn = instance.get_typed_func::<(i32, i32), i32>(&mut *store, "turn")?;
    let status = turn.call(&mut *store, (code, length))?;
    if status != 0 {
        wasmtime::bail!("what prepares it ended with {status}");
    }
    for (step, _) in UNEXPORTED {
        instance.get_typed_func::<(), ()>(&mut *store, step)?.call(&mut *store, ())?;
    }
    Ok(memory)
}

/// Whatever else it calls is refused.
fn refuse_others(linker: &mut Linker<State>, store: &mut Store<State>, compiled: &Module) -> wasmtime::Result<()> {
    for import in compiled.imports() {
        if let (ExternType::Func(ty), Err(_)) = (import.ty(), linker.get(&mut *store, import.module(), import.name())) {
            linker.func_new(import.module(), import.name(), ty, |_, _, results| {
                results.fill(Val::I32(BADF));
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// The functions of WASI that it needs.
fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap("host", "call", |_: Caller<'_, State>, _: i32, _: i32, _: i32, _: i32| -1_i32)?;
    linker.func_wrap(PREVIEW1, "proc_exit", |_: Caller<'_, State>, code: i32| -> wasmtime::Result<()> {
        Err(wasmtime::Error::msg(format!("it has ended with exit code {code}")))
    })?;
    for name in ["args_get", "environ_get"] {
        linker.func_wrap(PREVIEW1, name, |_: Caller<'_, State>, _: i32, _: i32| 0_i32)?;
    }
    for name in ["args_sizes_get", "environ_sizes_get"] {
        linker.func_wrap(PREVIEW1, name, |caller: Caller<'_, State>, count: i32, length: i32| {
            guarded(caller, |memory, _| {
                let zeros = [0; 4];
                Some(Ok(super::files::put(memory, count, &zeros).and(super::files::put(memory, length, &zeros))?))
            })
        })?;
    }
    linker.func_wrap(PREVIEW1, "clock_time_get", |caller: Caller<'_, State>, _: i32, _: i64, to: i32| {
        guarded(caller, |memory, _| Some(Ok(super::files::put(memory, to, &NOW.to_le_bytes())?)))
    })?;
    linker.func_wrap(PREVIEW1, "random_get", |caller: Caller<'_, State>, at: i32, length: i32| {
        guarded(caller, |memory, _| {
            let zeros = vec![0; length as u32 as usize];
            Some(Ok(super::files::put(memory, at, &zeros)?))
        })
    })?;
    linker.func_wrap(PREVIEW1, "fd_write", |caller: Caller<'_, State>, fd: i32, at: i32, count: i32, to: i32| {
        guarded(caller, |memory, state| write(memory, state, fd, at, count, to))
    })?;
    linker.func_wrap(PREVIEW1, "fd_read", |caller: Caller<'_, State>, fd: i32, at: i32, count: i32, to: i32| {
        guarded(caller, |memory, state| state.files.read(memory, fd, at, count, None, to))
    })?;
    linker.func_wrap(
        PREVIEW1,
        "fd_pread",
        |caller: Caller<'_, State>, fd: i32, at: i32, count: i32, offset: i64, to: i32| {
            guarded(caller, |memory, state| state.files.read(memory, fd, at, count, Some(offset), to))
        },
    )?;
    linker.func_wrap(PREVIEW1, "fd_seek", |caller: Caller<'_, State>, fd: i32, by: i64, from: i32, to: i32| {
        guarded(caller, |memory, state| state.files.seek(memory, fd, by, from, to))
    })?;
    linker.func_wrap(PREVIEW1, "fd_tell", |caller: Caller<'_, State>, fd: i32, to: i32| {
        guarded(caller, |memory, state| state.files.seek(memory, fd, 0, 1, to))
    })?;
    linker.func_wrap(PREVIEW1, "fd_close", |caller: Caller<'_, State>, fd: i32| {
        guarded(caller, |_, state| state.files.close(fd))
    })?;
    linker.func_wrap(PREVIEW1, "fd_fdstat_get", |caller: Caller<'_, State>, fd: i32, to: i32| {
        guarded(caller, |memory, state| state.files.kind(memory, fd, to))
    })?;
    linker.func_wrap(PREVIEW1, "fd_filestat_get", |caller: Caller<'_, State>, fd: i32, to: i32| {
        guarded(caller, |memory, state| state.files.stat(memory, fd, to))
    })?;
    linker.func_wrap(PREVIEW1, "fd_prestat_get", |caller: Caller<'_, State>, fd: i32, to: i32| {
        guarded(caller, |memory, state| state.files.folder(memory, fd, to))
    })?;
    linker.func_wrap(PREVIEW1, "fd_prestat_dir_name", |caller: Caller<'_, State>, fd: i32, to: i32, length: i32| {
        guarded(caller, |memory, state| state.files.folder_name(memory, fd, to, length))
    })?;
    linker.func_wrap(
        PREVIEW1,
        "path_open",
        |caller: Caller<'_, State>, fd: i32, _: i32, at: i32, length: i32, _: i32, _: i64, _: i64, _: i32, to: i32| {
            guarded(caller, |memory, state| state.files.open(memory, fd, at, length, to))
        },
    )?;
    linker.func_wrap(
        PREVIEW1,
        "path_filestat_get",
        |caller: Caller<'_, State>, fd: i32, _: i32, at: i32, length: i32, to: i32| {
            guarded(caller, |memory, state| state.files.path_stat(memory, fd, at, length, to))
        },
    )?;
    Ok(())
}

/// Calls with the memory of the caller; where that has not what is pointed to, nothing is done.
fn guarded(mut caller: Caller<'_, State>, call: impl FnOnce(&mut [u8], &mut State) -> Option<Result<(), i32>>) -> i32 {
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else { return BADF };
    let (memory, state) = memory.data_and_store_mut(&mut caller);
    match call(memory, state) {
        Some(Ok(())) => 0,
        Some(Err(errno)) => errno,
        None => BADF,
    }
}

/// What it prints is told if it fails.
fn write(memory: &mut [u8], state: &mut State, fd: i32, at: i32, count: i32, to: i32) -> Option<Result<(), i32>> {
    if !matches!(fd, 1 | 2) {
        return Some(Err(BADF));
    }
    let mut written = 0_usize;
    for part in super::files::parts(memory, at, count)? {
        state.said.extend_from_slice(memory.get(part.clone())?);
        written += part.len();
    }
    super::files::put(memory, to, &u32::try_from(written).ok()?.to_le_bytes())?;
    Some(Ok(()))
}
