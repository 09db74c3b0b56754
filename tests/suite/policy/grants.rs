//! Clock, randomness, environment and capabilities: not granted, not there.

use super::denied;
use everstep::clock::TestClock;
use everstep::{Everstep, GuestError, capability::Request};
use everstep_tests::sandbox::{Sandbox, calls};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const AUDIT: &str = "\n[audit]\nfile = 'audit.jsonl'\n";

fn test_host(sandbox: &Sandbox, now_ms: u64) -> Everstep {
    sandbox.place().by(Arc::new(TestClock::at(now_ms)), sandbox.builder()).build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_policy_that_grants_nothing_denies_everything() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), sandbox.policy(AUDIT).unwrap());
        let attempts = [
            json!("now"),
            json!({ "sleep": 1 }),
            json!({ "random": 1 }),
            json!("uuid"),
            json!({ "print": "x" }),
            json!({ "display_bytes": 1 }),
            json!({ "input_bytes": 1 }),
            json!({ "create": "null" }),
            json!({ "request": ["mail", null] }),
            json!({ "read": "/in/a.txt" }),
        ];
        denied(&sandbox, &host, &policy, &attempts).await;
        let outcomes = calls(&host, &policy, json!(["env", "dependencies", "attempt"])).await.unwrap();
        assert_eq!(outcomes, [json!({ "ok": {} }), json!({ "ok": [] }), json!({ "ok": 1 })]);
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn the_clock_is_absent_frozen_or_recorded() {
    for sandbox in Sandbox::each() {
        let host = test_host(&sandbox, 5_000);
        let deny = sandbox.policy(&format!("[clock]\nmode = 'deny'{AUDIT}")).unwrap();
        denied(&sandbox, &host, &deny, &[json!("now"), json!({ "sleep": 1 })]).await;
        let frozen = sandbox.policy("[clock]\nmode = 'frozen'\nat = 1970-01-01T00:00:07Z").unwrap();
        let script = json!(["now", { "sleep": 100 }, { "wait": [1] }, "now"]);
        let outcomes = calls(&host, &frozen, script.clone()).await.unwrap();
        assert_eq!((&outcomes[0]["ok"], &outcomes[3]["ok"]), (&json!(7_000), &json!(7_000)));
        let recorded = sandbox.policy("[clock]\nmode = 'recorded'").unwrap();
        let outcomes = calls(&test_host(&sandbox, 5_000), &recorded, script).await.unwrap();
        assert_eq!((&outcomes[0]["ok"], &outcomes[3]["ok"]), (&json!(5_000), &json!(5_100)));
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn randomness_is_absent_or_the_executions_own() {
    for sandbox in Sandbox::each() {
        let host = sandbox.host().unwrap();
        let deny = sandbox.policy(&format!("[random]\nmode = 'deny'{AUDIT}")).unwrap();
        denied(&sandbox, &host, &deny, &[json!({ "random": 8 }), json!("uuid")]).await;
        let seeded = sandbox.policy("[random]\nmode = 'seeded'").unwrap();
        let script = json!([{ "random": 8 }, { "random": 8 }]);
        let (first, second) =
            (calls(&host, &seeded, script.clone()).await.unwrap(), calls(&host, &seeded, script).await.unwrap());
        let mut drawn = first.iter().chain(&second).map(|outcome| outcome["ok"].as_str().unwrap()).collect::<Vec<_>>();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn the_environment_is_that_of_the_policy_and_nothing_else() {
    for sandbox in Sandbox::each() {
        let policy = sandbox.policy("[env]\nLANG = 'C.UTF-8'\nKEY = ''").unwrap();
        let outcomes = calls(&sandbox.host().unwrap(), &policy, json!(["env"])).await.unwrap();
        assert_eq!(outcomes[0]["ok"], json!({ "LANG": "C.UTF-8", "KEY": "" }));
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_capability_is_reached_under_its_name_only() {
    for sandbox in Sandbox::each() {
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        let mail = move |_: Request| {
            count.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, GuestError>("true".to_owned()) }
        };
        let host = sandbox.builder().capability("mail", mail).build().unwrap();
        let policy = sandbox.policy(&format!("[[capability]]\nname = 'mail.draft'{AUDIT}")).unwrap();
        let attempts = ["mail", "MAIL", "mail.draft ", "", "print", "mail\0.draft"];
        denied(&sandbox, &host, &policy, &attempts.map(|name| json!({ "request": [name, null] }))).await;
        assert_eq!(asked.load(Ordering::SeqCst), 0);
        let policy = sandbox.policy(&format!("[[capability]]\nname = 'mail'{AUDIT}")).unwrap();
        let script = json!([{ "request": ["mail", null] }, { "wait": [0] }, { "outcome": 0 }]);
        assert_eq!(calls(&host, &policy, script).await.unwrap()[2]["ok"], "true");
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_request_waits_no_longer_than_the_policy_allows() {
    for sandbox in Sandbox::each() {
        let policy = "[clock]\nmode = 'recorded'\n[[capability]]\nname = 'mail'\ntimeout = '60s'";
        let policy = sandbox.policy(policy).unwrap();
        for (asked, waited) in [(Value::Null, 60_000), (json!(3_600_000), 60_000), (json!(1_000), 1_000)] {
            let late = json!({ "sleep": 7_200_000 });
            let script =
                json!(["now", { "request": ["mail", asked] }, late, { "wait": [1, 2] }, { "outcome": 1 }, "now"]);
            let outcomes = calls(&test_host(&sandbox, 0), &policy, script).await.unwrap();
            assert_eq!(outcomes[4]["error"], "timed-out");
            assert_eq!(outcomes[5]["ok"], waited);
        }
    }
}
