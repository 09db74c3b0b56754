//! Calls that are well formed and make no sense.

use super::{ended_by_limit, limits, lives, peak_memory, trapped};
use everstep::store::State;
use everstep_tests::handmade::{Module, PENDING};
use everstep_tests::sandbox::{FILES, Sandbox, attack, calls, hostile};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_nothing_is_a_mistake_of_the_guest() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, ""));
        let says = "the guest waits although it has no pending promise";
        trapped(&attack(&host, &policy, "waits_for_nothing", "null").await.unwrap(), says);
        // Also after it was resumed.
        let imports = r#"(import "everstep:host/timers@0.1.0" "sleep" (func $sleep (param i64 i32)))"#;
        let start = format!("(call $sleep (i64.const 1) (i32.const 1024)) {PENDING}");
        let module = Module { imports, start: &start, resume: PENDING, ..Module::default() };
        trapped(&super::run(&host, &policy, &module.component().unwrap()).await, says);
        lives(&host, &policy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_not_json_is_a_mistake_of_the_guest() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, ""));
        trapped(
            &attack(&host, &policy, "returns", "null").await.unwrap(),
            "the function returned something that is not JSON",
        );
        lives(&host, &policy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn promises_of_others_are_out_of_reach() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, ""));
        let attempts = json!([
            "now",
            { "create": "null" },
            { "input_bytes": 1 },
            { "sleep": 1 },
            { "request": ["sink", null] },
            // From here on, everything is refused.
            { "wait": [] },
            { "wait": [0] },
            { "wait": [1, 99] },
            { "wait": [u64::MAX] },
            { "resolve": [0, "1"] },
            { "resolve": [99, "1"] },
            { "resolve": [u64::MAX, "1"] },
            { "resolve": [1, "no json"] },
            { "resolve": [2, "1"] },
            { "resolve": [3, "1"] },
            { "resolve": [4, "1"] },
            { "reject": 2 },
            { "reject": 99 },
            { "cancel": 0 },
            { "cancel": 99 },
        ]);
        let outcomes = calls(&host, &policy, attempts).await.unwrap();
        assert!(outcomes[..5].iter().all(|outcome| outcome["error"].is_null()), "{outcomes:?}");
        for outcome in &outcomes[5..] {
            assert_eq!(outcome["error"], "invalid", "{outcome}");
        }
        assert!(host.reader().promises().await.unwrap().is_empty(), "nobody waits for an execution that has ended");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_is_settled_once() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, ""));
        let attempts = json!([
            { "create": "null" },
            { "resolve": [0, "1"] },
            { "outcome": 0 },
            { "resolve": [0, "1"] },
            { "resolve": [0, "2"] },
            { "reject": 0 },
            { "cancel": 0 },
            { "wait": [0, 0, 0] },
            { "outcome": 0 },
        ]);
        let outcomes = calls(&host, &policy, attempts).await.unwrap();
        let refused = outcomes.iter().map(|outcome| outcome["error"] == "invalid").collect::<Vec<_>>();
        assert_eq!(refused, [false, false, false, false, true, true, false, false, false], "{outcomes:?}");
        assert_eq!((&outcomes[2]["ok"], &outcomes[8]["ok"]), (&json!(null), &json!("1")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_computation_is_remembered_once() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, ""));
        let attempts = json!([
            { "recall": "a" },
            { "remember": [0, "1"] },
            // From here on, everything is refused.
            { "remember": [0, "2"] },
            { "remember": [7, "1"] },
            { "remember": [u64::MAX, "1"] },
            { "recall_bytes": 513 },
            { "recall_bytes": 1 << 20 },
        ]);
        let outcomes = calls(&host, &policy, attempts).await.unwrap();
        assert_eq!(outcomes[0]["ok"], json!({ "compute": 0 }));
        assert!(outcomes[2..].iter().all(|outcome| outcome["error"] == "invalid"), "{outcomes:?}");
        let outcomes = calls(&host, &policy, json!([{ "recall": "a" }, { "remember": [0, "{"] }])).await.unwrap();
        assert_eq!(outcomes[1]["error"], "invalid");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_computation_is_remembered_after_those_inside_of_it() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, ""));
        let nested =
            json!([{ "recall": "a" }, { "recall": "b" }, { "remember": [0, "1"] }, "now", { "create": "null" }]);
        let outcomes = calls(&host, &policy, nested).await.unwrap();
        assert_eq!(outcomes[2]["error"], "invalid", "{outcomes:?}");
        assert_eq!(outcomes[4]["ok"], json!(3), "{outcomes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn computations_that_a_replay_begins_end_at_the_limit() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, "steps = 1_000_000\njournal = '1MiB'"));
        let flood = json!({ "repeat": [400_000, { "recall_bytes": 512 }] });
        let calls = json!([{ "replayed": flood }, { "create": "null" }, { "wait": [1] }]);
        let run = hostile(&policy, "calls", &calls.to_string()).unwrap().without_waiting();
        assert_eq!(host.run(run.clone()).await.unwrap().state, State::Suspended);
        ended_by_limit(&host.run(run).await.unwrap(), "bytes of journal is reached (limits.journal)");
        assert!(peak_memory().is_none_or(|peak| peak < 128 << 20), "{:?}", peak_memory());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn naming_functions_is_no_way_to_the_world() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), sandbox.policy(FILES).unwrap());
        let imports = r#"(import "everstep:host/files@0.1.0" "write" (func $write (param i32 i32 i32 i32 i32)))"#;
        let write = "(call $write (i32.const 200) (i32.const 6) (i32.const 200) (i32.const 6) (i32.const 1024))";
        let more = r#"(data (i32.const 200) "/out/f")"#;
        let module = Module { imports, functions: write, more, ..Module::default() };
        let component = module.component().unwrap();
        assert_eq!(host.functions(&component.clone().into(), &policy).await.unwrap().len(), 1);
        super::run(&host, &policy, &component).await;
        assert!(!sandbox.path("out/f").exists());
        assert!(sandbox.audit().unwrap().is_empty());
        let start = format!("{write} (i32.const 64)");
        let module = Module { imports, start: &start, more, ..Module::default() };
        super::run(&host, &policy, &module.component().unwrap()).await;
        assert!(sandbox.path("out/f").exists());
    }
}
