//! What is not loaded, and what the error says.

use super::*;

fn refused(bytes: &[u8]) -> Error {
    load(&engines(), bytes).unwrap_err()
}

#[test]
fn what_is_no_component_is_named() {
    let module = wat::parse_str("(module)").unwrap();
    for (bytes, says) in [
        (&b""[..], "an empty file"),
        (b"\x00asm", "a binary of another version"),
        (&module, "a core module; `everstep build` makes a component of it, or of a crate"),
        (b"\n (component)", "WebAssembly text"),
        (b"\x7fELF\x02\x01\x01\0", "a native or precompiled binary"),
        (b"\x93\x01random bytes", "something else"),
    ] {
        let message = refused(bytes).to_string();
        assert!(message.starts_with(&format!("this is not a WebAssembly component but {says}")), "{message}");
    }
}

#[test]
fn a_truncated_or_damaged_component_is_malformed_and_never_a_panic() {
    let engines = engines();
    let bytes = returns(1);
    for length in 8..bytes.len() {
        // Without the section of names, which is the last, it is whole.
        if let Err(error) = load(&engines, &bytes[..length]) {
            assert!(matches!(error, Error::Malformed { .. } | Error::NoExport), "{length}: {error:?}");
        }
    }
    for position in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 0x15;
        drop(load(&engines, &damaged));
    }
}

#[test]
fn imports_that_the_host_does_not_offer_are_listed() {
    let text = r#"(component
        (import "everstep:host/files@0.1.0" (instance))
        (import "everstep:host/files@0.2.0" (instance))
        (import "everstep:host/sockets@0.1.0" (instance))
        (import "wasi:io/poll@0.2.9" (instance))
        (import "wasi:http/incoming-handler@0.2.9" (instance))
        (import "wasi:keyvalue/store@0.2.0" (instance))
        (import "wasi:io/poll@0.3.0-rc-1" (instance))
        (import "init" (func)))"#;
    let error = refused(&wat::parse_str(text).unwrap());
    assert_eq!(
        error.to_string(),
        "the component imports what this host does not offer: everstep:host/files@0.2.0 (this host has version 0.1 of it), \
         everstep:host/sockets@0.1.0 (version 0.1 has no such interface), \
         wasi:http/incoming-handler@0.2.9 (this host answers no requests; it makes them, with wasi:http/outgoing-handler), \
         wasi:keyvalue/store@0.2.0 (compose the component with one that exports it, or reach the service through everstep:host/bridge), \
         wasi:io/poll@0.3.0-rc-1 (build for WASI 0.2, as the target wasm32-wasip2 does), \
         init (compose the component with one that exports it)"
    );
}

#[test]
fn a_component_that_exports_nothing_is_told_what_could_be_run() {
    let message = refused(&wat::parse_str("(component)").unwrap()).to_string();
    assert!(
        message.starts_with("the component exports nothing; one that can be run exports wasi:cli/run@0.2"),
        "{message}"
    );
}

#[test]
fn proposals_that_are_off_do_not_compile() {
    for (proposal, module) in [
        ("threads", "(memory 1 1 shared)"),
        ("atomics", "(memory 1) (func (drop (i32.atomic.load (i32.const 0))))"),
        ("memory64", "(memory i64 1)"),
        ("exceptions", "(tag)"),
        ("garbage collection", "(type (struct))"),
        ("external references", "(table 1 externref)"),
        ("typed references", "(type $f (func)) (func (param (ref $f)))"),
        ("custom page sizes", "(memory 1 (pagesize 1))"),
        ("stack switching", "(type $f (func)) (type $c (cont $f))"),
        (
            "wide arithmetic",
            "(func (param i64 i64 i64 i64) (result i64 i64) local.get 0 local.get 1 local.get 2 local.get 3 i64.add128)",
        ),
    ] {
        let bytes = guest(&format!(r#"{module} (func (export "f") (result i32) i32.const 0)"#));
        let error = refused(&bytes);
        assert!(matches!(error, Error::Compile(_)), "{proposal}: {error:?}");
    }
    let concurrent = r#"(component
        (core module $m (func (export "f")))
        (core instance $c (instantiate $m))
        (func $f async (canon lift (core func $c "f") async))
        (instance $i (export "f" (func $f)))
        (export "everstep:host/guest@0.1.0" (instance $i)))"#;
    assert!(matches!(refused(&wat::parse_str(concurrent).unwrap()), Error::Compile(_)));
}

#[test]
fn a_component_larger_than_an_instance_may_be_does_not_fit() {
    for module in ["(memory 1) (memory 1) (memory 1) (memory 1) (memory 1)", "(table 200000 funcref)"] {
        let bytes = guest(&format!(r#"{module} (func (export "f") (result i32) i32.const 0)"#));
        assert!(matches!(refused(&bytes), Error::DoesNotFit(_)));
    }
}

#[test]
fn what_would_take_too_long_to_compile_is_refused_first() {
    let loops = |depth: usize| format!("{}{}", "loop ".repeat(depth), "local.get 0 br_if 0 end ".repeat(depth));
    let ifs = |count: usize| "local.get 0 if nop end ".repeat(count);
    for (body, locals, what) in [
        (loops(33), 1, "33 loops inside one another, more than the 32"),
        (String::new(), 5_001, "5001 local variables in one function, more than the 5000"),
        (ifs(32_000), 1, "1029152048 units of compiling cost"),
        ("nop ".repeat(1 << 20), 1, "1048580 bytes of code in one function"),
    ] {
        let locals = "i32 ".repeat(locals);
        let bytes = guest(&format!(r#"(func (local {locals}) {body}) (func (export "f") (result i32) i32.const 0)"#));
        let message = refused(&bytes).to_string();
        assert!(message.contains(what), "{message}");
    }
    let many = guest(&format!(r#"{} (func (export "f") (result i32) i32.const 0)"#, "(func)".repeat(100_000)));
    assert_eq!(refused(&many).to_string(), "the component has 100001 functions, more than the 60000 that are compiled");
}

/// A guest with a function of this body, next to one that returns a thousand values.
fn with_many_results(body: &str) -> Vec<u8> {
    let results = "i32 ".repeat(1_000);
    guest(&format!(
        r#"(type $many (func (result {results}))) (table 1 funcref) (func $many (type $many) unreachable)
           (func {body}) (func (export "f") (result i32) i32.const 0)"#
    ))
}

#[test]
fn a_function_that_moves_too_many_values_is_refused_before_it_is_compiled() {
    let blocks = |count: usize| "block (type $many) unreachable end ".repeat(count);
    for (body, what) in [
        ("call $many ".repeat(400), "400401 values in one function, more than the 400000"),
        ("i32.const 0 call_indirect (type $many) ".repeat(400), "410401 values in one function"),
        (
            format!("block (type $many) {} unreachable end", "i32.const 0 br_if 0 ".repeat(400)),
            "values in one function",
        ),
        (blocks(200), "40000000 values times blocks that they cross in one function, more than the 30000000"),
        ("i32.const 0 i32.const 0 i32.const 0 table.copy ".repeat(4_000), "412001 values in one function"),
    ] {
        let message = refused(&with_many_results(&body)).to_string();
        assert!(message.contains(what), "{message}");
    }
    load(&engines(), &with_many_results(&format!("{} unreachable", "call $many ".repeat(10)))).unwrap();
}

#[test]
fn what_the_code_refers_to_need_not_be_there() {
    for body in [
        "call 99",
        "return_call 99",
        "br 99",
        "i32.const 0 br_table 99 4294967295",
        "i32.const 0 call_indirect (type 99)",
        "block (type 99) end",
        "return",
    ] {
        let error = load(&engines(), &with_many_results(body)).err();
        assert!(error.is_none_or(|error| matches!(error, Error::Compile(_))), "{body}");
    }
}

#[test]
fn a_component_that_multiplies_itself_is_refused() {
    let deep = "(component (component (component (component))))";
    assert!(matches!(refused(&wat::parse_str(deep).unwrap()), Error::TooLarge { what: "levels of components", .. }));
    let wide = format!("(component (core module $m) {})", "(core instance (instantiate $m))".repeat(257));
    assert!(matches!(refused(&wat::parse_str(wide).unwrap()), Error::TooLarge { what: "instantiations", .. }));
}
