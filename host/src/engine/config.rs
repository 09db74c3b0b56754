//! The engine's flags: deterministic, interruptible, bounded; and its pool.

use super::Error;
use super::known::Kind;
use std::num::NonZeroUsize;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, RegallocAlgorithm, Strategy,
    WasmBacktraceDetails, WasmFeatures,
};

/// Instances at once, unless configured. Creating a pool costs about 4 us for each.
pub(super) const DEFAULT_POOL: u32 = 128;
/// Instances of the pool in addition to the configured number: so many that list functions or repeat what is recorded, and so many that
/// make something of a file of an image, for which an execution waits that has one of the others.
pub(crate) fn spare(pool: u32) -> u32 {
    pool.min(2)
}

/// With [`MAX_MEMORIES`] memories each, this many instances reserve 16 TiB of the 128 TiB of a process.
const MAX_POOL: u32 = 1024;

const WASM_STACK: std::ops::RangeInclusive<usize> = (64 << 10)..=(64 << 20);
/// Fibre stack for host code below a guest that has used up its own part.
const HOST_STACK: usize = 2 << 20;

/// The proposals a guest may use: WebAssembly 2.0 and those deterministic ones that compilers emit by default. What is not
/// listed is off: threads, shared memory, 64-bit memories, exceptions, garbage collection, stack switching, component-model
/// async and whatever is added later.
pub(super) const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::RELAXED_SIMD)
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::MULTI_MEMORY)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::COMPONENT_MODEL);

/// What the known runtime may use besides: exceptions, which are objects that the engine collects.
const EXCEPTIONS: WasmFeatures = WasmFeatures::EXCEPTIONS.union(WasmFeatures::GC_TYPES);

/// The limits of one component. CPython has 1 memory, 2 tables of up to 5,700 elements and 14 core instances.
const MAX_MEMORIES: u32 = 4;
const MAX_TABLES: u32 = 16;
const MAX_CORE_INSTANCES: u32 = 64;
const MAX_TABLE_ELEMENTS: usize = 100_000;
const MAX_CORE_INSTANCE_SIZE: usize = 4 << 20;
const MAX_COMPONENT_INSTANCE_SIZE: usize = 8 << 20;
const MAX_MEMORY: usize = 4 << 30;
/// The most frames of a trap's backtrace.
const MAX_FRAMES: usize = 64;

/// Refuses a pool that does not fit into the address space.
pub(super) fn check_pool(pool: u32) -> Result<(), Error> {
    if (1..=MAX_POOL).contains(&pool) { Ok(()) } else { Err(Error::Pool { pool, max: MAX_POOL }) }
}

fn features(kind: Kind) -> WasmFeatures {
    match kind {
        Kind::Any => FEATURES,
        Kind::Known => FEATURES.union(EXCEPTIONS),
    }
}

/// An engine whose guests have `wasm_stack` bytes of stack.
pub(super) fn engine(wasm_stack: usize, pool: u32, kind: Kind) -> Result<Engine, Error> {
    if !WASM_STACK.contains(&wasm_stack) {
        return Err(Error::WasmStack { wasm_stack, min: *WASM_STACK.start(), max: *WASM_STACK.end() });
    }
    let engine =
        Engine::new(&config(wasm_stack, pool, kind)).map_err(|error| Error::Engine(error.into_boxed_dyn_error()))?;
    confirm(&engine, kind)?;
    Ok(engine)
}

fn config(wasm_stack: usize, pool: u32, kind: Kind) -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_regalloc_algorithm(RegallocAlgorithm::Backtracking)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_features(features(kind), true)
        .wasm_features(features(kind).complement(), false)
        .shared_memory(false)
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(wasm_stack)
        .async_stack_size(wasm_stack + HOST_STACK)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_backtrace_max_frames(NonZeroUsize::new(MAX_FRAMES))
        .memory_init_cow(true)
        .memory_reservation(MAX_MEMORY as u64)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pooling(pool, kind)));
    config
}

/// Bytes of linear memory that an idle slot keeps.
const MEMORY_KEPT: usize = 256 << 10;
/// Bytes of tables that an idle slot keeps.
const TABLE_KEPT: usize = 64 << 10;

/// An idle slot keeps the few pages that nearly every guest touches, reset to their initial content, and releases the rest.
/// Unmapping them costs more than the whole run of a small function, because it interrupts every other core (one-step
/// executions 16 wide: 2.1 times as many per second without it).
fn pooling(pool: u32, kind: Kind) -> PoolingAllocationConfig {
    let mut pooling = PoolingAllocationConfig::new();
    let pool = pool + 2 * spare(pool);
    pooling
        .total_component_instances(pool)
        .total_core_instances(pool * MAX_CORE_INSTANCES)
        .total_memories(pool * MAX_MEMORIES)
        .total_tables(pool * MAX_TABLES)
        .total_stacks(pool)
        .total_gc_heaps(if kind == Kind::Known { pool } else { 0 })
        .max_core_instances_per_component(MAX_CORE_INSTANCES)
        .max_memories_per_component(MAX_MEMORIES)
        .max_memories_per_module(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        .max_tables_per_module(MAX_TABLES)
        .max_core_instance_size(MAX_CORE_INSTANCE_SIZE)
        .max_component_instance_size(MAX_COMPONENT_INSTANCE_SIZE)
        .max_memory_size(MAX_MEMORY)
        .table_elements(MAX_TABLE_ELEMENTS)
        .max_unused_warm_slots(16)
        .linear_memory_keep_resident(MEMORY_KEPT)
        .table_keep_resident(TABLE_KEPT)
        .async_stack_keep_resident(0)
        .pagemap_scan(Enabled::Auto);
    pooling
}

/// Reads back the flags that replay and safety rely on, so that one which a later version renames or ignores does not
/// go unnoticed.
fn confirm(engine: &Engine, kind: Kind) -> Result<(), Error> {
    let facts = [
        ("NaN canonicalisation", engine.get_cranelift_nan_canonicalization() == Some(true)),
        ("deterministic relaxed SIMD", engine.get_relaxed_simd_deterministic()),
        ("epoch interruption", engine.get_epoch_interruption()),
        ("no shared memory", !engine.get_shared_memory()),
        ("no component-model concurrency", !engine.get_concurrency_support()),
        ("the Cranelift compiler", matches!(engine.get_strategy(), Some(Strategy::Cranelift))),
        ("native code", !engine.is_pulley()),
        ("no proposal beyond the list", features(kind).contains(engine.get_wasm_features())),
        ("host stack below the guest's", engine.get_async_stack_size() >= engine.get_max_wasm_stack() + HOST_STACK),
    ];
    match facts.iter().find(|(_, holds)| !holds) {
        Some((fact, _)) => Err(Error::Engine(format!("it does not confirm: {fact}").into())),
        None => Ok(()),
    }
}
