//! The policy through the host, with real folders. What the files of a policy may say is tested beside its loader.
//!
//! `files`, `overlay`, `grants`, `quotas`, `narrowed` and `audit` each show one part; `tools` runs the commands; `keys` says which test fails when a key is not enforced.

mod audit;
mod files;
mod grants;
mod keys;
mod narrowed;
mod overlay;
mod quotas;
mod tools;

use everstep::store::FailureKind;
use everstep::{ErrorCode, Everstep, Policy};
use everstep_tests::sandbox::{Sandbox, attack, calls};
use serde_json::{Value, json};

/// Lets a guest make these calls, one execution for all of them and one for each: every one must be denied, with one line in
/// the audit log, a message without a path of the host, and the exit class of a denial; the disk stays as it is.
async fn denied(sandbox: &Sandbox, host: &Everstep, policy: &Policy, attempts: &[Value]) {
    let before = sandbox.inventory().unwrap();
    let lines = sandbox.audit().map_or(0, |lines| lines.len());
    let outcomes = calls(host, policy, json!(attempts)).await.unwrap();
    let audit = sandbox.audit().unwrap();
    assert_eq!(audit.len() - lines, attempts.len(), "one line each");
    for ((outcome, line), attempt) in outcomes.iter().zip(&audit[lines..]).zip(attempts) {
        assert_eq!(outcome["error"], "denied", "{attempt}: {outcome}");
        let message = outcome["message"].as_str().unwrap();
        let place = sandbox.path("");
        let place = place.to_str().unwrap();
        assert!(!message.contains(place) || attempt.to_string().contains(place), "{message}");
        assert!(message.len() < 1_000 && !message.contains(char::is_control), "{message}");
        assert!(
            message.ends_with(&format!("; see everstep policy explain {}", line["id"].as_str().unwrap())),
            "{message}"
        );
        assert_eq!(line["decision"], "deny", "{attempt}: {line}");
    }
    for attempt in attempts {
        let report = attack(host, policy, "try_calls", &json!([attempt]).to_string()).await.unwrap();
        assert_eq!(report.error.unwrap().kind, FailureKind::Returned(ErrorCode::Denied), "{attempt}");
    }
    assert_eq!(sandbox.inventory().unwrap(), before);
}
