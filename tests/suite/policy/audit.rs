//! The audit log: no decision without a line, no line twice.

use everstep::Patience;
use everstep_tests::sandbox::{FILES, Sandbox, calls, hostile, id};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_decision_that_cannot_be_written_down_is_a_denial() {
    let sandbox = Sandbox::new().unwrap();
    let granted = format!("[clock]\nmode = 'recorded'\n[random]\nmode = 'seeded'\n{FILES}");
    let policy = sandbox.policy(&granted.replace("audit.jsonl", "/dev/full")).unwrap();
    let before = sandbox.inventory().unwrap();
    let attempts = json!(["now", "uuid", { "read": "/in/a.txt" }, { "write": ["/out/x", "x"] }, { "read": "/secret" }]);
    let outcomes = calls(&sandbox.host().unwrap(), &policy, attempts).await.unwrap();
    for outcome in outcomes {
        assert_eq!(outcome["error"], "denied");
        assert!(outcome["message"].as_str().unwrap().ends_with("(the audit log cannot be written)"), "{outcome}");
    }
    assert_eq!(sandbox.inventory().unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_replay_decides_nothing_and_writes_nothing() {
    let sandbox = Sandbox::new().unwrap();
    let policy = sandbox.policy(&format!("[[capability]]\nname = 'promise'\n{FILES}")).unwrap();
    let calls = json!([{ "read": "/secret" }, { "read": "/in/a.txt" }, { "create": "null" }, { "wait": [2] }]);
    let job = id("job").unwrap();
    let run = hostile(&policy, "calls", &calls.to_string()).unwrap().with_id(job.clone()).without_waiting();
    let before = sandbox.open().unwrap().run(run).await.unwrap();
    let audit = sandbox.audit().unwrap();
    assert_eq!((before.steps, audit.len()), (3, 3));
    // What was denied stays denied, what was read stays read, and a link in its place is not looked at.
    std::fs::remove_file(sandbox.path("in/a.txt")).unwrap();
    std::os::unix::fs::symlink("../secret", sandbox.path("in/a.txt")).unwrap();
    for attempt in 2..4 {
        let host = sandbox.open().unwrap();
        let report = host.resume(&job, Patience::None).await.unwrap().wait().await.unwrap();
        assert_eq!((report.replayed, host.reader().execution(&job).unwrap().attempts), (3, attempt));
        assert_eq!(sandbox.audit().unwrap(), audit);
    }
    let host = sandbox.open().unwrap();
    host.settle(&job.promise(2), Ok("null".into())).await.unwrap();
    let report = host.resume(&job, Patience::Forever).await.unwrap().wait().await.unwrap();
    let outcomes = everstep_tests::sandbox::outcomes(&report).unwrap();
    assert_eq!((&outcomes[0]["error"], &outcomes[1]["ok"]), (&json!("denied"), &json!("inside")));
    let next = hostile(&policy, "calls", &json!([{ "read": "/in/a.txt" }]).to_string()).unwrap();
    host.run(next).await.unwrap();
    assert_eq!(sandbox.audit().unwrap().len(), audit.len() + 1);
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_step_shows_the_decision_that_was_made() {
    let sandbox = Sandbox::new().unwrap();
    let (host, policy) = (sandbox.host().unwrap(), sandbox.policy(FILES).unwrap());
    std::os::unix::fs::symlink("../secret", sandbox.path("in/link")).unwrap();
    let calls = json!([{ "read": "/in/link" }, { "read": "/in/a.txt" }, { "write": ["/in/x", ""] }]);
    let run = hostile(&policy, "calls", &calls.to_string()).unwrap().with_id(id("job").unwrap());
    host.run(run).await.unwrap();
    let steps = host.reader().steps(&id("job").unwrap()).unwrap();
    let shown = steps.iter().map(|step| (step.decision, step.rule.as_str())).collect::<Vec<_>>();
    assert_eq!(shown, [("deny", "in"), ("allow", "in"), ("deny", "in")]);
    let written = sandbox.audit().unwrap();
    for (line, step) in written.iter().zip(&steps) {
        assert_eq!((line["decision"].as_str(), line["rule"].as_str()), (Some(step.decision), Some(step.rule.as_str())));
        assert_eq!((line["step"].as_u64(), line["subject"].as_str()), (Some(step.n), Some(step.subject.as_str())));
    }
}
