//! Pointers, lengths and callbacks that no compiler would produce.

use super::{ended_by_limit, limits, lives, run, trapped};
use everstep::Run;
use everstep_tests::handmade::{Module, PENDING};
use everstep_tests::sandbox::Sandbox;

const IMPORTS: &str = r#"
    (import "everstep:host/console@0.1.0" "print" (func $print (param i32 i32 i32 i32)))
    (import "everstep:host/console@0.1.0" "display" (func $display (param i32 i32 i32)))
    (import "everstep:host/promises@0.1.0" "wait-any" (func $wait (param i32 i32 i32)))
    (import "everstep:host/timers@0.1.0" "sleep" (func $sleep (param i64 i32)))
    (import "everstep:host/context@0.1.0" "execution-id" (func $id (param i32)))"#;

#[tokio::test(flavor = "multi_thread")]
async fn bad_pointers_lengths_and_values_are_traps() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, ""));
        let attacks = [
            (
                "a string of 2 GiB",
                "(call $print (i32.const 0) (i32.const 0) (i32.const 0x80000000) (i32.const 1024))",
                "out of bounds",
            ),
            (
                "a string beyond the end",
                "(call $print (i32.const 0) (i32.const 131071) (i32.const 2) (i32.const 1024))",
                "out of bounds",
            ),
            (
                "a string that wraps around",
                "(call $print (i32.const 0) (i32.const -1) (i32.const 16) (i32.const 1024))",
                "out of bounds",
            ),
            (
                "a string that is no text",
                "(i32.store (i32.const 2048) (i32.const -1)) (call $print (i32.const 0) (i32.const 2048) (i32.const 4) (i32.const 1024))",
                "utf-8",
            ),
            (
                "half of a character",
                "(i32.store (i32.const 2048) (i32.const 0x9f98)) (call $print (i32.const 0) (i32.const 2048) (i32.const 2) (i32.const 1024))",
                "utf-8",
            ),
            (
                "an enum out of range",
                "(call $print (i32.const 7) (i32.const 16) (i32.const 1) (i32.const 1024))",
                "unexpected discriminant",
            ),
            (
                "a result nowhere",
                "(call $print (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 131070))",
                "pointer",
            ),
            (
                "a misaligned result",
                "(call $print (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 1023))",
                "aligned",
            ),
            ("a list of 2^32 - 1", "(call $wait (i32.const 2048) (i32.const -1) (i32.const 1024))", "out of bounds"),
            ("a list of 2^29", "(call $wait (i32.const 0) (i32.const 0x20000000) (i32.const 1024))", "out of bounds"),
            ("a misaligned list", "(call $wait (i32.const 2049) (i32.const 1) (i32.const 1024))", "aligned"),
            ("a progress that is misaligned", "(return (i32.const 65))", "aligned"),
            ("a progress out of bounds", "(return (i32.const -16))", "pointer"),
            ("a progress of no known kind", "(i32.store8 (i32.const 64) (i32.const 9))", "unexpected discriminant"),
            (
                "an error of no known kind",
                "(i32.store8 (i32.const 68) (i32.const 1)) (i32.store8 (i32.const 72) (i32.const 99))",
                "unexpected discriminant",
            ),
            ("a result beyond the end", "(i32.store (i32.const 72) (i32.const 131072))", "out of bounds"),
        ];
        for (attack, code, says) in attacks {
            let start = format!("{code} (i32.const 64)");
            let component = Module { imports: IMPORTS, start: &start, ..Module::default() }.component().unwrap();
            println!("{attack}");
            trapped(&run(&host, &policy, &component).await, says);
        }
        lives(&host, &policy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_misbehaves_is_a_trap() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, ""));
        let beyond = "realloc return: beyond end of memory";
        let deeper = "(call $deeper (i32.const 8) (i32.const 8) (i32.const 8) (i32.const 8))";
        let attacks = [
            ("memory nowhere", "(i32.const -8)", beyond),
            ("memory at the very end", "(i32.const 131072)", beyond),
            ("misaligned memory", "(i32.const 65537)", "aligned"),
            ("a trap", "unreachable", "unreachable"),
            ("a call of the host", "(call $id (i32.const 1024)) (i32.const 65536)", "cannot leave component instance"),
            ("recursion", deeper, "call stack exhausted"),
        ];
        let more = format!("(func $deeper (param i32 i32 i32 i32) (result i32) {deeper} (i32.add (i32.const 1)))");
        // It is called for the arguments, which are text, and for the list of promises, which is aligned.
        let start = format!("(call $sleep (i64.const 1) (i32.const 1024)) {PENDING}");
        for (attack, realloc, says) in attacks {
            println!("{attack}");
            let module =
                Module { imports: IMPORTS, start: &start, realloc: Some(realloc), more: &more, ..Module::default() };
            trapped(&run(&host, &policy, &module.component().unwrap()).await, says);
        }
        lives(&host, &policy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_over_and_over_ends_at_the_limit() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, "memory = '16MiB'"));
        // A list of 4,096 pairs of strings, each of them the same megabyte: 8 GiB in 17 pages.
        let start = r"(local $at i32)
        (memory.fill (i32.const 0x10000) (i32.const 0x61) (i32.const 0x100000))
        (loop $next
            (i64.store offset=2048 (local.get $at) (i64.const 0x0010000000010000))
            (local.set $at (i32.add (local.get $at) (i32.const 8)))
            (br_if $next (i32.lt_u (local.get $at) (i32.const 0xf000))))
        (call $display (i32.const 2048) (i32.const 3840) (i32.const 1024))
        (i32.const 64)";
        let module = Module { imports: IMPORTS, start, pages: 40, ..Module::default() };
        let before = super::baseline();
        let report = run(&host, &policy, &module.component().unwrap()).await;
        let says = "one call, or its result, names the same bytes so often that it carries more than 16777216 bytes (limits.memory)";
        ended_by_limit(&report, says);
        if let (Some(before), Some(after)) = (before, super::peak_memory()) {
            assert!(after - before < 100 << 20, "{} MiB more", (after - before) >> 20);
        }
        lives(&host, &policy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_description_that_cannot_be_read_is_a_load_error() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, ""));
        for functions in ["unreachable", "(return (i32.const -4))", "(i32.store (i32.const 36) (i32.const -1))"] {
            let component = Module { functions, ..Module::default() }.component().unwrap();
            let error = host.run(Run::new(component, "f", "null", policy.clone())).await.unwrap_err().to_string();
            assert!(error.starts_with("the component does not describe its functions: "), "{error}");
        }
        lives(&host, &policy).await;
    }
}
