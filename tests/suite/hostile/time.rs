//! Endless loops, wherever they are.

use super::{ended_by_limit, limits, lives};
use everstep::{Everstep, ExecutionId, Patience, Run};
use everstep_tests::handmade::Module;
use everstep_tests::sandbox::{Sandbox, attack, calls, hostile, id};
use serde_json::json;

const LOOP: &str = "(loop $again (br $again))";

async fn cpu_ms(host: &Everstep, id: &ExecutionId) -> u64 {
    host.reader().execution(id).await.unwrap().progress.cpu_us / 1_000
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn a_loop_ends_at_the_cpu_limit() {
    for sandbox in Sandbox::each() {
        let (host, policy) =
            (sandbox.host().unwrap(), limits(&sandbox, "cpu = '400ms'\nsteps = 'unlimited'\njournal = 'unlimited'"));
        for function in ["spin", "spin_in_calls", "spin_in_steps", "spin_after_a_step"] {
            let report = attack(&host, &policy, function, "null").await.unwrap();
            ended_by_limit(&report, "the limit of 400ms of CPU time is reached (limits.cpu)");
            let used = cpu_ms(&host, &report.id).await;
            assert!((400..=440).contains(&used), "{function} used {used} ms");
        }
        lives(&host, &policy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_gets_no_more_time_by_being_resumed() {
    for sandbox in Sandbox::each() {
        let policy = limits(&sandbox, "cpu = '400ms'");
        for (function, job) in [("spin", id("no-step").unwrap()), ("spin_after_a_step", id("a-step").unwrap())] {
            let host = sandbox.host().unwrap();
            host.run(hostile(&policy, function, "null").unwrap().with_id(job.clone())).await.unwrap();
            drop(host);
            let host = sandbox.host().unwrap();
            for _ in 0..3 {
                let report = host.resume(&job, Patience::Forever).await.unwrap().wait().await.unwrap();
                ended_by_limit(&report, "limits.cpu");
            }
            let used = cpu_ms(&host, &job).await;
            assert!(used <= 440 + 40, "{function} used {used} ms");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_before_the_first_turn_ends_as_well() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, "cpu = '200ms'"));
        let start = format!("(func $s {LOOP}) (start $s)");
        for module in [Module { more: &start, ..Module::default() }, Module { functions: LOOP, ..Module::default() }] {
            let error = host.run(Run::new(module.component().unwrap(), "f", "null", policy.clone())).await.unwrap_err();
            let says =
                "the component does not describe its functions: the limit of 200ms of CPU time is reached (limits.cpu)";
            assert_eq!(error.to_string(), says);
        }
        lives(&host, &policy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_in_a_callback_of_the_host_ends_as_well() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, "cpu = '200ms'"));
        let realloc = format!("{LOOP} unreachable");
        let module = Module { realloc: Some(&realloc), ..Module::default() };
        ended_by_limit(&super::run(&host, &policy, &module.component().unwrap()).await, "limits.cpu");
        let resume = format!("{LOOP} unreachable");
        let sleeps = "(call $sleep (i64.const 1) (i32.const 1024)) (i32.const 96)";
        let import = r#"(import "everstep:host/timers@0.1.0" "sleep" (func $sleep (param i64 i32)))"#;
        let module = Module { imports: import, start: sleeps, resume: &resume, ..Module::default() };
        ended_by_limit(&super::run(&host, &policy, &module.component().unwrap()).await, "limits.cpu");
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn the_wall_limit_ends_what_runs_and_not_what_waits() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, "cpu = '5s'\nwall = '400ms'"));
        let report = attack(&host, &policy, "spin", "null").await.unwrap();
        ended_by_limit(&report, "the limit of 400ms of running time is reached (limits.wall)");
        let outcomes =
            calls(&host, &policy, json!([{ "sleep": 800 }, { "wait": [0] }, { "outcome": 0 }])).await.unwrap();
        assert_eq!(outcomes[2]["ok"], "null");
    }
}
