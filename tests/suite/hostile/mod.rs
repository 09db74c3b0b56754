//! Guests that mean no good. The rule for each: the host lives, its other executions do not notice, the error says which limit
//! or mistake it was, and no budget is exceeded by more than a tenth.
//!
//! `time` and `memory` use up what they have; `abi` and `contract` break the rules; `floods` ask for too much; `components` are not
//! what they should be; `crowd` is many of them at once; `depth` nests.

mod abi;
mod components;
mod contract;
mod crowd;
mod depth;
pub(crate) mod floods;
pub(crate) mod memory;
pub(crate) mod time;

use everstep::store::{FailureKind, State};
use everstep::{Everstep, Policy, Report, Run};
use everstep_tests::sandbox::{Sandbox, attack};
use std::sync::OnceLock;

/// Grants everything but files, within these limits.
fn limits(sandbox: &Sandbox, limits: &str) -> Policy {
    let capabilities = ["print", "display", "input", "promise", "sink"];
    let capabilities = capabilities.map(|name| format!("[[capability]]\nname = '{name}'\n")).concat();
    let grants = "[clock]\nmode = 'recorded'\n[random]\nmode = 'seeded'\n";
    sandbox.policy(&format!("[limits]\n{limits}\n{grants}{capabilities}")).unwrap()
}

/// The execution was ended by the limit that `names` it.
fn ended_by_limit(report: &Report, names: &str) {
    let failure = report.error.as_ref().unwrap_or_else(|| panic!("{names} did not end {report:?}"));
    assert_eq!(failure.kind, FailureKind::Limit, "{report:?}");
    assert!(failure.message.contains(names), "{report:?}");
}

/// The guest trapped, and the message says why.
fn trapped(report: &Report, says: &str) {
    let failure = report.error.as_ref().unwrap_or_else(|| panic!("expected {says:?} of {report:?}"));
    assert_eq!((report.state, failure.kind), (State::Halted, FailureKind::Trap), "{report:?}");
    assert!(failure.message.contains(says), "expected {says:?} of {report:?}");
}

/// The host still does its work.
async fn lives(host: &Everstep, policy: &Policy) {
    let report = attack(host, policy, "well_behaved", "null").await.unwrap();
    assert_eq!(report.result.as_deref(), Some("1"), "{report:?}");
}

/// Runs the function of a hand-made component.
async fn run(host: &Everstep, policy: &Policy, component: &[u8]) -> Report {
    host.run(Run::new(component.to_vec(), "f", "null", policy.clone())).await.unwrap()
}

/// The most memory that this process had had when it was asked first, which is before anything was done over any place.
fn baseline() -> Option<u64> {
    static FIRST: OnceLock<Option<u64>> = OnceLock::new();
    *FIRST.get_or_init(peak_memory)
}

/// The most memory that this process has had, in bytes. None where tests share a process.
fn peak_memory() -> Option<u64> {
    std::env::var_os("NEXTEST")?;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}
