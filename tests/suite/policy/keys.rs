//! Every key of a policy, and the test that fails when nothing enforces it.

use super::{audit, files, grants, quotas};
use crate::hostile::{floods, memory, time};
use everstep_tests::sandbox::{FILES, Sandbox};
use serde_json::Value;
use std::collections::BTreeSet;

const KEYS: [(&str, fn()); 29] = [
    ("limits.wall", time::the_wall_limit_ends_what_runs_and_not_what_waits),
    ("limits.cpu", time::a_loop_ends_at_the_cpu_limit),
    ("limits.memory", memory::memory_grows_up_to_the_limit),
    ("limits.table_elements", memory::tables_grow_up_to_the_limit),
    ("limits.wasm_stack", memory::the_stack_is_as_deep_as_the_policy_says),
    ("limits.steps", floods::steps_end_at_the_limit),
    ("limits.in_flight", floods::promises_end_at_the_limit),
    ("limits.bytes_per_call", floods::a_call_carries_what_the_policy_allows),
    ("limits.output", floods::output_ends_with_one_marker),
    ("limits.result", floods::a_result_is_no_larger_than_the_policy_allows),
    ("limits.journal", floods::the_journal_ends_at_the_limit),
    ("limits.pending_promises", floods::promises_for_people_end_at_the_limit),
    ("env.LANG", grants::the_environment_is_that_of_the_policy_and_nothing_else),
    ("clock.mode", grants::the_clock_is_absent_frozen_or_recorded),
    ("clock.at_ms", grants::the_clock_is_absent_frozen_or_recorded),
    ("random", grants::randomness_is_absent_or_the_executions_own),
    ("capabilities.rule", grants::a_capability_is_reached_under_its_name_only),
    ("capabilities.max_calls", quotas::a_quota_is_not_refilled_by_a_crash),
    ("capabilities.timeout", grants::a_request_waits_no_longer_than_the_policy_allows),
    ("files.id", audit::a_step_shows_the_decision_that_was_made),
    ("files.guest", files::nothing_outside_the_grants_can_be_named),
    ("files.host", files::a_link_leads_nowhere_as_the_last_component_or_on_the_way),
    ("files.access", files::a_read_grant_is_not_written_to),
    ("files.max_file", files::a_file_that_is_too_large_is_not_read_and_not_written),
    ("files.max_written", quotas::a_quota_is_not_refilled_by_a_crash),
    ("files.max_files", quotas::a_quota_is_not_refilled_by_a_crash),
    ("audit.file", audit::a_decision_that_cannot_be_written_down_is_a_denial),
    // Nothing to enforce: it is what people call the policy.
    ("name", every_key_has_a_test),
    // The first line of every file; `host/src/policy/tests/load.rs` holds it.
    ("version", every_key_has_a_test),
];

#[test]
fn every_key_has_a_test() {
    let sandbox = Sandbox::new().unwrap();
    let full = format!(
        "[clock]\nmode = 'frozen'\nat = 2026-01-31T12:00:00Z\n[random]\nmode = 'seeded'\n[env]\nLANG = 'C'\n\
         [[capability]]\nname = 'mail'\nmax_calls = 1\ntimeout = '1s'\n{FILES}"
    );
    let canonical = sandbox.policy(&full).unwrap().canonical();
    let mut keys = BTreeSet::from(["version".to_owned()]);
    collect("", &serde_json::from_str(&canonical).unwrap(), &mut keys);
    assert_eq!(keys, KEYS.iter().map(|(key, _)| (*key).to_owned()).collect());
}

fn collect(prefix: &str, value: &Value, keys: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                collect(&key, value, keys);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(prefix, item, keys)),
        _ => drop(keys.insert(prefix.to_owned())),
    }
}
