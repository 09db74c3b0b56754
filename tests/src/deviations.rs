//! What the suite cannot show on a server of the Resonate project, and why: the tests that leave it out.

use crate::resonate::Given;

/// Tests that leave out each such server, with the reason.
pub const THEIRS: [(&str, &str); 2] = [
    ("suspension::missed_firings_are_skipped_as_told", "it makes up for every firing that it has missed"),
    (
        "observe::metrics::a_worker_and_a_server_count_what_was_done",
        "it is about what `everstep serve` counts of itself",
    ),
];

/// Tests that leave out one that runs already.
pub const RUNNING: [(&str, &str); 7] = [
    ("remote_commands::an_execution_without_one_of_its_segments_halts", CHANGES),
    ("remote_commands::an_execution_without_its_last_segment_halts", CHANGES),
    ("remote_commands::an_execution_without_any_segment_halts", CHANGES),
    ("remote_commands::an_execution_that_has_ended_is_not_repeated_without_its_last_segment", CHANGES),
    ("remote_commands::an_execution_with_the_segment_of_another_one_halts", CHANGES),
    ("remote_commands::an_execution_with_the_first_segment_of_another_one_halts", CHANGES),
    ("remote_storms::a_server_that_is_killed_and_comes_back_holds_executions_up_and_no_more", "it kills its server"),
];

const CHANGES: &str = "it changes the database of its server";

/// Tests that set the clock of their server, which one that runs already does not let them do.
pub const CLOCKED: [&str; 37] = [
    "approvals::an_approval_that_nobody_gives_in_time_is_a_denial",
    "children::a_bounded_map_and_the_first_of_many_give_what_they_should",
    "children::the_deadline_of_a_parent_bounds_those_of_its_children",
    "children::a_child_that_takes_too_long_is_rejected_as_timed_out",
    "children::a_retry_waits_longer_each_time_and_gives_up_as_told",
    "children::why_a_child_halted_is_known_whatever_ends_it",
    "determinism::a_journal_and_its_seed_repeat_the_randomness_and_another_seed_does_not",
    "http::calls_rates_and_concurrency_are_counted",
    "memos::the_calls_of_a_remembered_computation_are_not_made_again",
    "policy::grants::the_clock_is_absent_frozen_or_recorded",
    "policy::grants::a_request_waits_no_longer_than_the_policy_allows",
    "promises::a_timer_takes_its_time_by_the_clock",
    "promises::a_timer_ends_while_no_host_runs",
    "promises::of_two_timers_that_ended_while_no_host_ran_the_earlier_wins",
    "promises::an_answer_before_the_deadline_is_delivered_although_the_deadline_has_passed_since",
    "promises::a_timer_that_ended_before_an_answer_came_wins_although_no_host_ran",
    "promises::an_answer_after_the_deadline_is_refused_and_changes_nothing",
    "promises::a_promise_with_a_deadline_is_rejected_as_timed_out",
    "promises::a_policy_bounds_how_long_a_promise_may_wait",
    "promises::a_timer_is_settled_by_the_clock_alone",
    "promises::a_guest_gives_up_on_promises_of_every_kind",
    "promises::a_blocking_wait_returns_promises_in_the_order_in_which_they_settled",
    "promises::a_wait_for_nothing_or_for_the_unknown_is_an_error",
    "requests::a_request_is_rejected_when_its_time_is_over",
    "requests::a_response_that_comes_too_late_is_reported_and_changes_nothing",
    "requests::a_request_whose_time_is_over_is_not_sent_again",
    "suspension::a_timer_fires_for_a_suspended_execution_also_after_a_restart",
    "suspension::a_timer_that_ended_while_no_host_ran_is_fired_by_the_next_one",
    "suspension::a_clock_that_jumps_fires_what_is_due_by_it_and_nothing_twice",
    "suspension::a_suspended_execution_waits_with_patience_none_too",
    "suspension::missed_firings_are_caught_up_as_told",
    "travel::a_replay_repeats_every_step_and_does_nothing",
    "travel::a_fork_at_each_step_keeps_what_was_drawn_and_ends_as_the_original_but_for_what_it_draws",
    "travel::a_fork_has_the_time_of_its_source_anew_unless_it_is_given_another",
    "wasi::both_clocks_read_the_recorded_time_and_a_nap_is_a_durable_timer",
    "wasi::a_nap_goes_on_while_no_host_runs",
    "wasi::randomness_and_time_are_replayed_and_output_is_shown_once",
];

const SETS_THE_CLOCK: &str = "it sets the clock of its server";

/// Whether the test of this thread leaves out the server that the environment gives, if it gives one. It says why.
pub fn leaves_out() -> bool {
    let why = Given::from_environment().as_ref().and_then(of_this_test);
    if let Some(why) = why {
        eprintln!("--- not on a server of the Resonate project: {why}");
    }
    why.is_some()
}

/// The reason that the test of this thread leaves out the given server.
fn of_this_test(given: &Given) -> Option<&'static str> {
    let thread = std::thread::current();
    let test = thread.name()?;
    let listed = |list: &[(&str, &'static str)]| list.iter().find(|(name, _)| *name == test).map(|(_, why)| *why);
    let theirs = listed(&THEIRS);
    match given {
        Given::Program(_) => theirs,
        Given::At(_) => {
            theirs.or_else(|| listed(&RUNNING)).or_else(|| CLOCKED.contains(&test).then_some(SETS_THE_CLOCK))
        }
    }
}
