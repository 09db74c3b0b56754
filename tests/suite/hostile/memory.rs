//! Memory, tables and stack.

use super::{baseline, ended_by_limit, limits, lives, peak_memory, run, trapped};
use everstep_tests::handmade::Module;
use everstep_tests::sandbox::{Sandbox, attack};

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn memory_grows_up_to_the_limit() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, "memory = '64MiB'"));
        lives(&host, &policy).await;
        let before = baseline();
        let report = attack(&host, &policy, "leak", "null").await.unwrap();
        ended_by_limit(&report, "the limit of 64MiB of memory is reached (limits.memory): ");
        if let (Some(before), Some(after)) = (before, peak_memory()) {
            assert!(after - before < 80 << 20, "{} MiB more", (after - before) >> 20);
        }
        // A guest that minds the limit goes on.
        let report = attack(&host, &policy, "grow", "null").await.unwrap();
        let pages: u64 = report.result.as_deref().unwrap().parse().unwrap();
        assert!((512..=1024).contains(&pages), "{pages}");
        let module = Module { pages: 1025, ..Module::default() };
        let error = host.run(everstep::Run::new(module.component().unwrap(), "f", "null", policy.clone())).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("the limit of 64MiB of memory is reached (limits.memory)"), "{error}");
        lives(&host, &policy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn tables_grow_up_to_the_limit() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, "table_elements = 1_000"));
        let grow = |by: u32| {
            format!("(table.grow $t (ref.null func) (i32.const {by})) (i32.const -1) i32.eq (if (then unreachable))")
        };
        let more = "(table $t 10 funcref)";
        for (by, fits) in [(900, true), (991, false), (50_000, false)] {
            let start = grow(by) + "(i32.const 64)";
            let report =
                run(&host, &policy, &Module { start: &start, more, ..Module::default() }.component().unwrap()).await;
            match fits {
                true => assert_eq!(report.result.as_deref(), Some("1"), "{report:?}"),
                false => {
                    ended_by_limit(&report, "the limit of 1000 table elements is reached (limits.table_elements): ")
                }
            }
        }
        lives(&host, &policy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recursion_without_end_is_a_trap() {
    for sandbox in Sandbox::each() {
        // Less than the stack that the guest has in its memory.
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, "wasm_stack = '512KiB'"));
        let exhausted = "wasm trap: call stack exhausted";
        trapped(&attack(&host, &policy, "recurse", "null").await.unwrap(), exhausted);
        trapped(&attack(&host, &policy, "recurse_in_calls", "null").await.unwrap(), exhausted);
        // The compiler keeps large frames in memory, below its constants.
        let report = attack(&host, &policy, "recurse_with_large_frames", "null").await.unwrap();
        trapped(&report, "wasm trap: out of bounds memory access");
        let locals = "i64 ".repeat(4_000);
        let kept = (0..4_000).map(|local| format!("(local.set {local} (i64.load (i32.const {})))", local * 8));
        let used = (0..4_000).map(|local| format!("(i64.store (i32.const {}) (local.get {local}))", local * 8));
        let (kept, used) = (kept.collect::<String>(), used.collect::<String>());
        let frames = format!("(func $deeper (local {locals}) {kept} (call $deeper) {used})");
        let module = Module { start: "(call $deeper) unreachable", more: &frames, ..Module::default() };
        trapped(&run(&host, &policy, &module.component().unwrap()).await, exhausted);
        // Down to the last frame, and from there into the host.
        let down = "(func $down (call $sleep (i64.const 1) (i32.const 1024)) (call $down) (call $sleep (i64.const 1) (i32.const 1024)))";
        let imports = r#"(import "everstep:host/timers@0.1.0" "sleep" (func $sleep (param i64 i32)))"#;
        let module = Module { imports, start: "(call $down) unreachable", more: down, pages: 100, ..Module::default() };
        trapped(&run(&host, &policy, &module.component().unwrap()).await, exhausted);
        lives(&host, &policy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn the_stack_is_as_deep_as_the_policy_says() {
    for sandbox in Sandbox::each() {
        let host = sandbox.host().unwrap();
        let deep = r"(func $deep (param i32) (result i32)
        (if (result i32) (local.get 0)
            (then (i32.add (call $deep (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))
            (else (i32.const 0))))";
        let start = "(drop (call $deep (i32.const 10_000))) (i32.const 64)";
        let component = Module { start, more: deep, ..Module::default() }.component().unwrap();
        let report = run(&host, &limits(&sandbox, "wasm_stack = '4MiB'"), &component).await;
        assert_eq!(report.result.as_deref(), Some("1"), "{report:?}");
        trapped(&run(&host, &limits(&sandbox, "wasm_stack = '64KiB'"), &component).await, "call stack exhausted");
    }
}
