//! What an instance may use: memory, tables, stack, time.

use super::*;
use std::sync::Arc;
use wasmtime::component::Linker;
use wasmtime::{Store, Trap};

const LIMITS: Limits =
    Limits { memory: 1 << 20, is_of_host: false, table_elements: 100, instances: 8, memories: 2, tables: 2 };

/// Calls `f`, which may run for `ticks`.
async fn call(module: &str, ticks: u64) -> (wasmtime::Result<u32>, Limiter) {
    let engines = engines();
    let loaded = load(&engines, &guest(module)).unwrap();
    let mut store = Store::new(&loaded.engine, Limiter::new(LIMITS, Arc::default()));
    store.limiter(|limiter| limiter);
    store.set_epoch_deadline(ticks);
    let called = async {
        let instance = Linker::new(&loaded.engine).instantiate_async(&mut store, &loaded.component).await?;
        let guest = instance.get_export_index(&mut store, None, "everstep:host/guest@0.1.0");
        let f = instance.get_export_index(&mut store, guest.as_ref(), "f").unwrap();
        let f = instance.get_typed_func::<(), (u32,)>(&mut store, f)?;
        f.call_async(&mut store, ()).await
    };
    let called = called.await.map(|(number,)| number);
    (called, store.into_data())
}

#[tokio::test]
async fn memory_beyond_the_limit_is_denied_and_remembered() {
    let module = r#"(memory 1) (memory 1) (func (export "f") (result i32)
        (drop (memory.grow 0 (i32.const 10)))
        (drop (memory.grow 0 (i32.const 65536)))
        (memory.grow 1 (i32.const 5)))"#;
    let (called, limiter) = call(module, 1_000).await;
    assert_eq!(called.unwrap(), u32::MAX);
    assert_eq!(limiter.memory(), 12 << 16);
    assert_eq!(limiter.hit().unwrap().to_string(), "the limit of 1MiB of memory is reached (limits.memory)");
    let (called, limiter) = call(r#"(memory 17) (func (export "f") (result i32) i32.const 0)"#, 1_000).await;
    assert!(called.is_err());
    assert_eq!(limiter.hit(), Some(limits::Hit::Memory(1 << 20)));
}

#[tokio::test]
async fn growing_up_to_the_limit_is_no_hit() {
    let module = r#"(memory 1 2) (func (export "f") (result i32)
        (drop (memory.grow (i32.const 15))) (memory.grow (i32.const 1)))"#;
    let (called, limiter) = call(module, 1_000).await;
    assert_eq!((called.unwrap(), limiter.hit()), (1, None));
}

#[tokio::test]
async fn table_elements_and_the_number_of_things_are_bounded() {
    let module = r#"(table 10 funcref) (func (export "f") (result i32)
        (table.grow (ref.null func) (i32.const 91)))"#;
    let (called, limiter) = call(module, 1_000).await;
    assert_eq!(called.unwrap(), u32::MAX);
    assert_eq!(
        limiter.hit().unwrap().to_string(),
        "the limit of 100 table elements is reached (limits.table_elements)"
    );
    let three = r#"(table 1 funcref) (table 1 funcref) (table 1 funcref) (func (export "f") (result i32) i32.const 0)"#;
    assert!(call(three, 1_000).await.0.is_err());
}

#[tokio::test]
async fn an_endless_loop_is_interrupted() {
    let (called, _) = call(r#"(func (export "f") (result i32) (loop br 0) unreachable)"#, 3).await;
    assert_eq!(called.unwrap_err().downcast_ref(), Some(&Trap::Interrupt));
}

#[tokio::test]
async fn endless_recursion_is_a_trap_with_a_short_backtrace() {
    let (called, _) = call(r#"(func $f (export "f") (result i32) (i32.add (call $f) (i32.const 1)))"#, 1_000).await;
    let error = called.unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Trap::StackOverflow));
    assert!(format!("{error:?}").lines().count() < 100);
}
