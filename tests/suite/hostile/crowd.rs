//! Many hostile guests at once, and what their neighbours notice.

use super::{limits, lives};
use everstep::{Everstep, Policy};
use everstep_tests::guests;
use everstep_tests::handmade::Module;
use everstep_tests::sandbox::{Sandbox, attack, calls, hostile};
use serde_json::json;
use tokio::task::JoinSet;

const ATTACKS: [&str; 6] = ["spin", "leak", "recurse", "recurse_in_calls", "waits_for_nothing", "spin_in_steps"];

/// Starts that many attacks.
fn crowd(host: &Everstep, policy: &Policy, size: usize) -> JoinSet<()> {
    let mut crowd = JoinSet::new();
    for number in 0..size {
        let (host, run) = (host.clone(), hostile(policy, ATTACKS[number % ATTACKS.len()], "null").unwrap());
        crowd.spawn(async move {
            let report = host.run(run).await.unwrap();
            assert!(report.error.is_some(), "{report:?}");
        });
    }
    crowd
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_gives_its_instance_back() {
    for sandbox in Sandbox::each() {
        let policy = limits(&sandbox, "cpu = '50ms'\nmemory = '16MiB'\nsteps = 1_000");
        let host = sandbox.builder().instances(6).build().unwrap();
        lives(&host, &policy).await;
        let before = super::baseline();
        crowd(&host, &policy, 3 * 6 * ATTACKS.len()).join_all().await;
        if let (Some(before), Some(after)) = (before, super::peak_memory()) {
            assert!(after - before < 200 << 20, "{} MiB more", (after - before) >> 20);
        }
        // All of them at once: none has been lost.
        let script = json!([{ "sleep": 50 }, { "wait": [0] }]).to_string();
        let mut all = JoinSet::new();
        for _ in 0..6 {
            let (host, run) = (host.clone(), hostile(&policy, "calls", &script).unwrap());
            all.spawn(async move { host.run(run).await.unwrap().error });
        }
        assert!(all.join_all().await.iter().all(Option::is_none));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_neighbour_is_served_while_others_use_up_what_they_have() {
    for sandbox in Sandbox::each() {
        let host = sandbox.host().unwrap();
        let policy = limits(&sandbox, "cpu = '600ms'\nmemory = '16MiB'\nsteps = 'unlimited'");
        lives(&host, &policy).await;
        let mut crowd = crowd(&host, &policy, 12);
        let report = attack(&host, &policy, "well_behaved", "null").await.unwrap();
        assert_eq!(report.result.as_deref(), Some("1"));
        while crowd.try_join_next().is_some() {}
        assert!(!crowd.is_empty(), "it was served after all the others");
        crowd.join_all().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_host_still_loads_components() {
    for sandbox in Sandbox::each() {
        let policy = limits(&sandbox, "");
        let host = sandbox.builder().instances(1).build().unwrap();
        // It waits forever, and keeps its instance.
        let waits = json!([{ "create": "null" }, { "wait": [0] }]).to_string();
        let waiting = host.start(hostile(&policy, "calls", &waits).unwrap()).await.unwrap();
        while host.reader().promises().await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        for number in 0..5 {
            let more = format!("(func (result i32) (i32.const {number}))");
            let component = Module { more: &more, ..Module::default() }.component().unwrap();
            assert_eq!(host.functions(&component.into(), &policy).await.unwrap()[0].name, "f");
        }
        host.functions(&guests::example("hello").unwrap().into(), &policy).await.unwrap();
        host.cancel(waiting.id()).await.unwrap();
        calls(&host, &policy, json!(["now"])).await.unwrap();
    }
}
