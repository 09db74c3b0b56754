//! JSON that is nested too deeply for those who have to read it.

use super::{limits, lives};
use everstep::store::{FailureKind, State};
use everstep::{Error, ErrorCode, Run};
use everstep_tests::sandbox::{Sandbox, attack, calls, hostile, id};
use serde_json::{Value, json};

const REFUSED: &str = "nested more than 128 deep";

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_json_of_a_guest_is_refused_at_every_door() {
    for sandbox in Sandbox::each() {
        let host = sandbox.host().unwrap();
        let mut policy = limits(&sandbox, "");
        policy.capabilities.extend(sandbox.policy("[[capability]]\nname = 'call'").unwrap().capabilities);
        for depth in [129, 1_000, 20_000] {
            let attempts = json!([
                { "create": "null" },
                { "create_nested": depth },
                { "schema_nested": depth },
                { "input_schema_nested": depth },
                { "request_nested": ["sink", depth] },
                { "resolve_nested": [0, depth] },
                { "call_nested": depth },
                { "spawn_nested": depth },
            ]);
            let outcomes = calls(&host, &policy, attempts).await.unwrap();
            for outcome in &outcomes[1..] {
                assert_eq!(outcome["error"], "invalid", "{depth}: {outcomes:?}");
                assert!(outcome["message"].as_str().unwrap().contains(REFUSED), "{depth}: {outcomes:?}");
            }
        }
        let attempts = json!([
            { "create_nested": 128 },
            { "request_nested": ["sink", 128] },
            { "resolve_nested": [0, 128] },
            { "call_nested": 128 },
            { "spawn_nested": 128 },
            { "schema_nested": 120 },
        ]);
        let outcomes = calls(&host, &policy, attempts).await.unwrap();
        assert!(outcomes.iter().all(|outcome| outcome["error"].is_null()), "{outcomes:?}");
        lives(&host, &policy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_too_deep_is_an_error_of_the_function() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, ""));
        for depth in [129, 20_000] {
            let report = attack(&host, &policy, "returns", &format!("\"nested {depth}\"")).await.unwrap();
            let failure = report.error.as_ref().unwrap();
            assert_eq!((report.state, failure.kind), (State::Failed, FailureKind::Returned(ErrorCode::Invalid)));
            assert_eq!(failure.message, format!("the result is {REFUSED}; flatten it"));
        }
        let report = attack(&host, &policy, "returns", "\"nested 128\"").await.unwrap();
        assert_eq!(report.result, Some(nested(128)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_json_from_outside_is_refused_at_every_door() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, ""));
        let attempts = json!([{ "create": "null" }, { "wait": [0] }]).to_string();
        let run = hostile(&policy, "calls", &attempts).unwrap().with_id(id("x").unwrap());
        host.run(run.clone().without_waiting()).await.unwrap();
        for depth in [129, 20_000] {
            let deep = Run { args: nested(depth), ..run.clone() }.with_id(id("y").unwrap());
            let started = host.run(deep.clone()).await.unwrap_err();
            assert_eq!(started.to_string(), format!("the arguments are {REFUSED}; flatten it"));
            let scheduled = host.schedule("s", "* * * * *", deep, true).await.unwrap_err();
            assert!(matches!(scheduled, Error::Arguments { .. }), "{scheduled}");
            let settled = host.settle(&id("x").unwrap().promise(0), Ok(nested(depth))).await.unwrap_err();
            assert!(settled.to_string().contains(REFUSED), "{settled}");
        }
        host.settle(&id("x").unwrap().promise(0), Ok(nested(128))).await.unwrap();
        let done = host.run(run).await.unwrap();
        let outcomes: Value = serde_json::from_str(done.result.as_deref().unwrap()).unwrap();
        assert_eq!(outcomes[1], json!({ "ok": [0] }));
    }
}
