//! Every key of a policy, and the test that fails when nothing enforces it.
//!
//! One place: nothing runs.

use super::{audit, files, grants, narrowed, quotas};
use crate::hostile::{floods, memory, time};
use crate::{approvals, children, http, images, lineage, python_packages, session, websocket};
use everstep::policy::tools;
use serde_json::Value;
use std::collections::BTreeSet;

const KEYS: [(&str, fn()); 72] = [
    ("limits.wall", time::the_wall_limit_ends_what_runs_and_not_what_waits),
    ("limits.cpu", time::a_loop_ends_at_the_cpu_limit),
    ("limits.session_cpu", session::failing::a_cell_at_a_limit_is_ended_and_the_session_has_limits_of_its_own),
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
    ("limits.lineage.executions", lineage::what_detaches_itself_without_end_ends_at_the_budget_of_its_lineage),
    ("limits.lineage.cpu", lineage::children_do_not_multiply_the_computing_time_of_their_root),
    ("limits.lineage.promises", lineage::neither_a_crash_nor_a_resume_refills_the_budget_of_a_lineage),
    ("limits.lineage.depth", lineage::calls_and_detached_executions_count_by_their_distance_from_the_root),
    ("env", grants::the_environment_is_that_of_the_policy_and_nothing_else),
    ("clock.mode", grants::the_clock_is_absent_frozen_or_recorded),
    ("clock.at", grants::the_clock_is_absent_frozen_or_recorded),
    ("python.component", python_packages::the_component_is_that_of_the_command_or_of_the_policy),
    ("random.mode", grants::randomness_is_absent_or_the_executions_own),
    ("capability.name", grants::a_capability_is_reached_under_its_name_only),
    ("capability.max_calls", quotas::a_quota_is_not_refilled_by_a_crash),
    ("capability.timeout", grants::a_request_waits_no_longer_than_the_policy_allows),
    ("capability.groups", children::a_function_of_another_group_is_called_only_if_the_policy_names_the_group),
    ("files.id", audit::a_step_shows_the_decision_that_was_made),
    ("files.guest", files::nothing_outside_the_grants_can_be_named),
    ("files.host", files::a_link_leads_nowhere_as_the_last_component_or_on_the_way),
    ("files.access", files::a_read_grant_is_not_written_to),
    ("files.max_file", files::a_file_that_is_too_large_is_not_read_and_not_written),
    ("files.max_written", quotas::a_quota_is_not_refilled_by_a_crash),
    ("files.max_files", quotas::a_quota_is_not_refilled_by_a_crash),
    ("files.keep", images::changed::an_image_that_is_kept_is_read_from_the_store_once_its_folder_is_another),
    ("fetch.id", http::the_audit_holds_the_decision_before_and_the_outcome_after),
    ("fetch.url", http::what_no_rule_grants_is_denied_and_reaches_nobody),
    ("fetch.methods", http::what_no_rule_grants_is_denied_and_reaches_nobody),
    ("fetch.max_calls", http::calls_rates_and_concurrency_are_counted),
    ("fetch.rate", http::calls_rates_and_concurrency_are_counted),
    ("fetch.concurrent", http::calls_rates_and_concurrency_are_counted),
    ("fetch.max_request", http::the_bounds_of_a_rule_hold),
    ("fetch.max_response", http::the_bounds_of_a_rule_hold),
    ("fetch.timeout", http::the_bounds_of_a_rule_hold),
    ("fetch.redirects", http::the_bounds_of_a_rule_hold),
    ("fetch.secret.header", http::a_secret_reaches_the_server_of_its_rule_and_nobody_else),
    ("fetch.secret.from", http::a_secret_that_is_not_there_is_named_before_anything_runs),
    ("fetch.on_crash", http::a_request_whose_outcome_a_crash_has_lost_is_sent_again_or_in_doubt),
    ("websocket.id", narrowed::a_function_section_takes_grants_of_the_network_away),
    ("websocket.url", websocket::what_no_rule_grants_is_not_connected_to),
    ("websocket.max_open", websocket::the_bounds_of_a_rule_hold),
    ("websocket.max_message", websocket::the_bounds_of_a_rule_hold),
    ("websocket.max_messages", websocket::the_bounds_of_a_rule_hold),
    ("websocket.idle", websocket::the_bounds_of_a_rule_hold),
    ("network.block", http::what_no_rule_grants_is_denied_and_reaches_nobody),
    ("network.allow", http::what_no_rule_grants_is_denied_and_reaches_nobody),
    ("ask.id", approvals::a_denied_call_is_an_error_that_says_why_and_reaches_nobody),
    ("ask.when", approvals::a_step_that_the_guest_blocks_on_is_asked_about_too),
    ("ask.methods", approvals::a_call_that_is_asked_about_waits_for_a_person_who_sees_it_exactly),
    ("ask.url", approvals::a_call_that_is_asked_about_waits_for_a_person_who_sees_it_exactly),
    ("ask.ttl", approvals::an_approval_that_nobody_gives_in_time_is_a_denial),
    ("ask.on_timeout", approvals::an_approval_that_nobody_gives_in_time_is_a_denial),
    ("ask.remember", approvals::an_approval_is_good_for_one_use_or_for_the_execution),
    ("functions.*.fetch", narrowed::a_function_section_takes_grants_of_the_network_away),
    ("functions.*.websocket", narrowed::a_function_section_takes_grants_of_the_network_away),
    ("functions.*.files", narrowed::a_function_section_takes_folders_and_capabilities_away),
    ("functions.*.capability", narrowed::a_function_section_takes_folders_and_capabilities_away),
    ("functions.*.limits", narrowed::a_function_section_bounds_every_limit),
    ("extends", narrowed::a_file_that_extends_another_grants_no_more),
    ("audit.file", audit::a_decision_that_cannot_be_written_down_is_a_denial),
    ("audit.on_failure", audit::a_decision_that_cannot_be_written_down_is_a_denial),
    // Nothing to enforce: it is what people call the policy.
    ("name", every_key_has_a_test),
    // The first line of every file; `host/policy/src/tests/load.rs` holds it.
    ("version", every_key_has_a_test),
];

#[test]
fn every_key_has_a_test() {
    let schema = tools::schema();
    let mut keys = BTreeSet::new();
    collect(&schema, &schema, "", &mut keys);
    assert_eq!(keys, KEYS.iter().map(|(key, _)| (*key).to_owned()).collect());
}

/// The keys of a schema that hold values; the limits of a function are those of the policy.
fn collect(schema: &Value, part: &Value, prefix: &str, keys: &mut BTreeSet<String>) {
    let named = part["$ref"].as_str().and_then(|name| schema.pointer(name.trim_start_matches('#')));
    let part = named.unwrap_or(part);
    let parts = ["anyOf", "oneOf"].iter().filter_map(|key| part[*key].as_array()).flatten();
    let inner: Vec<&Value> = parts.chain(part.get("items")).collect();
    let before = keys.len();
    inner.iter().for_each(|part| collect(schema, part, prefix, keys));
    if let Some(more) = part["additionalProperties"].as_object().filter(|_| prefix == "functions") {
        collect(schema, &Value::Object(more.clone()), "functions.*", keys);
    }
    if let Some(fields) = part["properties"].as_object().filter(|_| prefix != "functions.*.limits") {
        for (name, part) in fields {
            let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            collect(schema, part, &key, keys);
        }
    }
    let is_section = keys.len() > before || keys.iter().any(|key| key.starts_with(&format!("{prefix}.")));
    if !is_section && !prefix.is_empty() {
        keys.insert(prefix.to_owned());
    }
}
