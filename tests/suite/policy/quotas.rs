//! Quotas: used up once, whatever happens meanwhile.

use everstep::{Everstep, Patience, Policy, Run};
use everstep_tests::sandbox::{FILES, Sandbox, calls, hostile, id, outcomes};
use serde_json::{Value, json};

const QUOTAS: [(&str, &str); 2] = [
    ("name = 'print'", "name = 'print'\nmax_calls = 1"),
    ("id = \"out\"", "id = \"out\"\nmax_written = '100B'\nmax_files = 2"),
];

fn policy(sandbox: &Sandbox) -> Policy {
    let granted = format!("[[capability]]\nname = 'promise'\n[[capability]]\nname = 'print'\n{FILES}");
    let quotas = QUOTAS.iter().fold(granted, |text, (from, to)| text.replace(from, to));
    sandbox.policy(&quotas).unwrap()
}

/// Uses some of each quota, waits for somebody, and asks for more than is left.
fn script() -> Value {
    json!([
        { "print": "x" },
        { "write_bytes": ["/out/a", 60] },
        { "read": "/secret" },
        { "create": "null" },
        { "wait": [3] },
        { "print": "y" },
        { "write_bytes": ["/out/a", 41] },
        { "write_bytes": ["/out/folder/b", 1] },
        { "write_bytes": ["/out/b", 40] },
        { "write_bytes": ["/out/c", 0] },
    ])
}

fn check(sandbox: &Sandbox, made: &[Value]) {
    for (call, exceeded) in [(5, "max_calls = 1"), (6, "max_written = 100"), (7, "max_files = 2"), (9, "max_files = 2")]
    {
        assert_eq!(made[call]["error"], "limit-exceeded", "{made:?}");
        assert!(made[call]["message"].as_str().unwrap().contains(exceeded), "{made:?}");
    }
    for call in [0, 1, 3, 4, 8] {
        assert!(made[call]["error"].is_null(), "{made:?}");
    }
    assert_eq!(std::fs::read(sandbox.path("out/a")).unwrap().len(), 60);
    assert_eq!(std::fs::read_dir(sandbox.path("out")).unwrap().count(), 2);
    // One line for each step that a rule decides on, in their order, whoever ran it.
    let audit = sandbox.audit().unwrap();
    assert_eq!(
        audit.iter().map(|line| line["step"].as_u64().unwrap()).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5, 6, 7, 8]
    );
    let denied = audit.iter().filter(|line| line["decision"] == "deny").map(|line| line["step"].as_u64().unwrap());
    assert_eq!(denied.collect::<Vec<_>>(), [2, 4, 5, 6, 8]);
}

fn run(sandbox: &Sandbox) -> Run {
    hostile(&policy(sandbox), "calls", &script().to_string()).unwrap().with_id(id("job").unwrap())
}

/// Answers the promise and lets the guest go on to its end.
async fn finish(sandbox: &Sandbox, host: &Everstep) {
    let job = id("job").unwrap();
    host.settle(&job.promise(3), Ok("null".into())).await.unwrap();
    let report = host.resume(&job, Patience::Forever).await.unwrap().wait().await.unwrap();
    assert_eq!(report.replayed, 4);
    check(sandbox, &outcomes(&report).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_quota_is_not_refilled_by_suspending() {
    for sandbox in Sandbox::each() {
        let host = sandbox.host().unwrap();
        let suspended = host.run(run(&sandbox).without_waiting()).await.unwrap();
        assert_eq!(suspended.state, everstep::store::State::Suspended);
        drop(host);
        finish(&sandbox, &sandbox.host().unwrap()).await;
    }
}

#[test]
pub(super) fn a_quota_is_not_refilled_by_a_crash() {
    for sandbox in Sandbox::each() {
        let crashed = tokio::runtime::Runtime::new().unwrap();
        crashed.block_on(async {
            let host = sandbox.host().unwrap();
            host.start(run(&sandbox)).await.unwrap();
            while host.reader().promises().await.unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        });
        // Everything that ran is gone, at whatever it was.
        drop(crashed);
        sandbox.place().after_a_crash();
        tokio::runtime::Runtime::new().unwrap().block_on(async { finish(&sandbox, &sandbox.host().unwrap()).await });
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn deep_folders_use_up_the_number_of_files() {
    for sandbox in Sandbox::each() {
        let policy = sandbox.policy(&FILES.replace("id = \"out\"", "id = \"out\"\nmax_files = 100")).unwrap();
        let path = |first: &str| format!("/out/{first}{}", "/x".repeat(98));
        let attempts = json!([{ "write": [path("a"), ""] }, { "write": [path("b"), ""] }, { "write": ["/out/c", ""] }]);
        let outcomes = calls(&sandbox.host().unwrap(), &policy, attempts).await.unwrap();
        assert!(outcomes[0]["error"].is_null(), "{outcomes:?}");
        assert_eq!(outcomes[1]["error"], "limit-exceeded", "{outcomes:?}");
        assert!(outcomes[2]["error"].is_null(), "{outcomes:?}");
    }
}
