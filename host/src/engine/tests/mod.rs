//! Tests of loading, with hand-written components.

mod caching;
mod limiting;
mod preparing;
mod refusing;

use super::*;

const STACK: usize = 1 << 20;

fn engines() -> Engines {
    Engines::new(Options { pool: 4, ..Options::default() }).unwrap()
}

/// A guest around a core module whose function `f` takes and returns nothing but an integer.
fn guest(module: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
             (core module $m {module})
             (core instance $c (instantiate $m))
             (func $f (result u32) (canon lift (core func $c "f")))
             (instance $i (export "f" (func $f)))
             (export "everstep:host/guest@0.1.0" (instance $i)))"#
    );
    wat::parse_str(text).unwrap()
}

fn returns(number: u32) -> Vec<u8> {
    guest(&format!(r#"(func (export "f") (result i32) i32.const {number})"#))
}

fn load_with(engines: &Engines, bytes: &[u8], stack: usize) -> Result<Component, Error> {
    engines.load(&bytes.to_vec().into(), Digest::of(bytes), stack)
}

fn load(engines: &Engines, bytes: &[u8]) -> Result<Component, Error> {
    load_with(engines, bytes, STACK)
}

#[test]
fn a_component_is_loaded_once() {
    let engines = engines();
    let bytes = returns(1);
    assert!(engines.loaded(Digest::of(&bytes), STACK).is_none());
    let first = load(&engines, &bytes).unwrap();
    let again = engines.loaded(Digest::of(&bytes), STACK).unwrap();
    assert!(wasmtime::Engine::same(&first.engine, &again.engine));
    assert!(!first.imports_wasi);
    assert!(engines.loaded(Digest::of(&bytes), STACK * 2).is_none());
}

#[test]
fn stack_sizes_and_pools_out_of_range_are_refused() {
    assert!(matches!(Engines::new(Options { pool: 0, ..Options::default() }), Err(Error::Pool { .. })));
    let engines = engines();
    let bytes = returns(1);
    for stack in [0, 1 << 10, 1 << 30] {
        assert!(matches!(load_with(&engines, &bytes, stack), Err(Error::WasmStack { .. })));
    }
    for size in 1..=MAX_ENGINES {
        load_with(&engines, &bytes, size << 20).unwrap();
    }
    let one_more = load_with(&engines, &bytes, (MAX_ENGINES + 1) << 20);
    assert_eq!(
        one_more.unwrap_err().to_string(),
        "a wasm stack of 7340032 bytes would be the 7th size in this process; let policies agree on 6 sizes"
    );
}
