//! Too many calls, and calls that carry too much.

use super::{baseline, ended_by_limit, limits, lives, peak_memory};
use everstep::output::{Content, Output};
use everstep::store::{FailureKind, State};
use everstep::{ErrorCode, GuestError, capability::Request};
use everstep_tests::sandbox::{FILES, Sandbox, attack, calls, hostile, id, outcomes};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn steps_end_at_the_limit() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, "steps = 100_000\ncpu = 'unlimited'"));
        let report = attack(&host, &policy, "spin_in_steps", "null").await.unwrap();
        ended_by_limit(&report, "the limit of 100000 steps is reached (limits.steps)");
        assert_eq!(host.reader().steps(&report.id).await.unwrap().len(), 100_000);
        lives(&host, &policy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn promises_end_at_the_limit() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, "in_flight = 100\nsteps = 200_000"));
        let report = attack(&host, &policy, "flood_of_timers", "null").await.unwrap();
        let result: Value = serde_json::from_str(report.result.as_deref().unwrap()).unwrap();
        assert_eq!(result["made"], 100);
        assert_eq!(result["last"], "100 promises are pending already (limits.in_flight); await one first");
        lives(&host, &policy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn promises_for_people_end_at_the_limit() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, "pending_promises = 5"));
        let flood =
            json!([{ "repeat": [9, { "create": "null" }] }, { "repeat": [9, { "input_bytes": 1 }] }, { "sleep": 1 }]);
        let outcomes = calls(&host, &policy, flood).await.unwrap();
        assert_eq!((&outcomes[0]["ok"]["made"], &outcomes[1]["ok"]["made"]), (&json!(5), &json!(0)));
        let refused = &outcomes[0]["ok"]["refused"];
        assert_eq!(refused["error"], "limit-exceeded");
        assert!(refused["message"].as_str().unwrap().contains("limits.pending_promises"), "{refused}");
        assert!(outcomes[2]["error"].is_null());
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn a_call_carries_what_the_policy_allows() {
    for sandbox in Sandbox::each() {
        let granted =
            "[[capability]]\nname = 'promise'\n[[capability]]\nname = 'input'\n[[capability]]\nname = 'sink'\n";
        let granted = format!("[limits]\nbytes_per_call = '100KiB'\n[random]\nmode = 'seeded'\n{granted}{FILES}");
        let (host, policy) = (sandbox.host().unwrap(), sandbox.policy(&granted).unwrap());
        std::fs::write(sandbox.path("in/exact"), vec![0; 100 << 10]).unwrap();
        std::fs::write(sandbox.path("in/large"), vec![0; (100 << 10) + 1]).unwrap();
        let with = |bytes: usize, file: &str| {
            json!([
                { "write_bytes": ["/out/x", bytes] },
                { "input_bytes": bytes },
                // Two quotes make it a JSON text.
                { "create_bytes": bytes - 2 },
                { "request_bytes": ["sink", bytes - 2] },
                { "random": bytes },
                { "read": file },
            ])
        };
        let fits = calls(&host, &policy, with(100 << 10, "/in/exact")).await.unwrap();
        assert!(fits.iter().all(|outcome| outcome["error"].is_null()), "{fits:?}");
        let exceeds = calls(&host, &policy, with((100 << 10) + 1, "/in/large")).await.unwrap();
        assert!(exceeds.iter().all(|outcome| outcome["error"] == "limit-exceeded"), "{exceeds:?}");
        let outcomes = calls(&host, &policy, json!([{ "random": u32::MAX }])).await.unwrap();
        assert_eq!(outcomes[0]["error"], "limit-exceeded");
        for bytes in [200 << 10, MIB, 10 * MIB] {
            let far = calls(&host, &policy, with(bytes, "/in/large")).await.unwrap();
            assert!(far.iter().all(|outcome| outcome["error"] == "limit-exceeded"), "{bytes}: {far:?}");
        }
        assert!(!sandbox.path("out/x").exists() || sandbox.path("out/x").metadata().unwrap().len() == 100 << 10);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_as_large_as_its_rule_allows() {
    for sandbox in Sandbox::each() {
        let host = sandbox.host().unwrap();
        std::fs::write(sandbox.path("in/nine"), vec![b'9'; 9 * MIB]).unwrap();
        std::fs::write(sandbox.path("in/large"), vec![b'9'; 50 * MIB + 1]).unwrap();
        let script = json!([
            { "write_bytes": ["/out/nine", 9 * MIB] },
            { "write_bytes": ["/out/large", 50 * MIB + 1] },
            { "read": "/in/nine" },
            { "read": "/in/large" },
        ]);
        let errors = |outcomes: &[Value]| outcomes.iter().map(|one| one["error"].clone()).collect::<Vec<_>>();
        let spelled = FILES.replace("access", "max_file = \"50MiB\"\n    access");
        let policy = sandbox.policy(&format!("[limits]\nmemory = '512MiB'\n{spelled}")).unwrap();
        let outcomes = calls(&host, &policy, script.clone()).await.unwrap();
        assert_eq!(errors(&outcomes), [json!(null), json!("limit-exceeded"), json!(null), json!("limit-exceeded")]);
        assert_eq!(sandbox.path("out/nine").metadata().unwrap().len(), 9 << 20);
        let fixed = format!("[limits]\nmemory = '512MiB'\nbytes_per_call = '8MiB'\n{spelled}");
        let outcomes = calls(&host, &sandbox.policy(&fixed).unwrap(), script).await.unwrap();
        assert!(errors(&outcomes).iter().all(|error| error == "limit-exceeded"), "{outcomes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn output_ends_with_one_marker() {
    for sandbox in Sandbox::each() {
        let policy = limits(&sandbox, "output = '1MiB'");
        let shown = Arc::new(Mutex::new(String::new()));
        let reader = Arc::clone(&shown);
        let read = move |output: Output| match output.content {
            Content::Stdout(text) | Content::Stderr(text) => reader.lock().unwrap().push_str(&text),
            Content::Denied { .. } => {}
            Content::Display(parts) => parts.iter().for_each(|part| reader.lock().unwrap().push_str(&part.data)),
        };
        let host = sandbox.builder().on_output(read).build().unwrap();
        lives(&host, &policy).await;
        let before = baseline();
        let job = id("flood").unwrap();
        let flood = json!([{ "repeat": [300, { "print_bytes": 1_000_000 }] }, { "display_bytes": 1_000_000 }, { "print": "end" }]);
        let report =
            host.run(hostile(&policy, "calls", &flood.to_string()).unwrap().with_id(job.clone())).await.unwrap();
        let outcomes = outcomes(&report).unwrap();
        assert!(outcomes.iter().all(|outcome| outcome["error"].is_null()), "{outcomes:?}");
        assert!(host.reader().journal(&job).await.unwrap().len() < MIB + 40_000);
        let shown = shown.lock().unwrap();
        let (text, after) = shown.split_once("\n[everstep: limits.output is reached").unwrap();
        assert_eq!((text.len(), after.contains("limits.output")), (MIB, false));
        if let (Some(before), Some(after)) = (before, peak_memory()) {
            assert!(after - before < 60 << 20, "{} MiB more", (after - before) >> 20);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn a_result_is_no_larger_than_the_policy_allows() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, "result = '1KiB'"));
        let returned = async |what: &str| attack(&host, &policy, "returns", &format!("\"{what}\"")).await;
        assert_eq!(returned("result 1022").await.unwrap().result.unwrap().len(), 1024);
        assert_eq!(returned("error 1024").await.unwrap().error.unwrap().message.len(), 1024);
        // It has done what it does, so it has ended: nothing would come of it if it went on.
        for (length, bytes) in [("1023", "1025"), ("20000000", "20000002")] {
            let report = returned(&format!("result {length}")).await.unwrap();
            let failure = report.error.as_ref().unwrap();
            let kind = FailureKind::Returned(ErrorCode::LimitExceeded);
            assert_eq!((report.state, failure.kind), (State::Failed, kind), "{report:?}");
            let says = format!("the result of returns has {bytes}");
            assert!(
                failure.message.starts_with(&says) && failure.message.contains("limits.result is 1024"),
                "{report:?}"
            );
        }
        let failure = returned("error 1025").await.unwrap().error.unwrap();
        assert_eq!((failure.kind, failure.message.len() <= 1024), (FailureKind::Returned(ErrorCode::Failed), true));
        assert!(failure.message.starts_with("xxx") && failure.message.ends_with("bytes more, limits.result is 1024)"));
        let panic = returned("panic 3000000").await.unwrap();
        super::trapped(&panic, "xxx");
        assert_eq!(panic.error.unwrap().message.len(), 2_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn the_journal_ends_at_the_limit() {
    for sandbox in Sandbox::each() {
        let granted = "[limits]\njournal = '1MiB'\n[random]\nmode = 'seeded'\n[[capability]]\nname = 'promise'\n";
        let (host, policy) = (sandbox.host().unwrap(), sandbox.policy(&format!("{granted}{FILES}")).unwrap());
        std::fs::write(sandbox.path("in/large"), vec![0; 5 * MIB]).unwrap();
        let attacks = [
            json!([{ "random": 900_000 }, { "random": 900_000 }]),
            json!([{ "recall": "a" }, { "remember_bytes": [0, 900_000] }, { "random": 900_000 }]),
            json!([{ "repeat": [100, { "random": 100_000 }] }]),
        ];
        for calls in attacks {
            let report = attack(&host, &policy, "calls", &calls.to_string()).await.unwrap();
            ended_by_limit(&report, "the limit of 1048576 bytes of journal is reached (limits.journal)");
            assert!(host.reader().journal(&report.id).await.unwrap().len() <= MIB);
        }
        let outcomes =
            calls(&host, &policy, json!([{ "create": "null" }, { "resolve_bytes": [0, 2_000_000] }])).await.unwrap();
        assert_eq!(outcomes[1]["error"], "limit-exceeded", "{outcomes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_no_journal_could_hold_is_an_error_of_that_call_and_repeats_as_one() {
    for sandbox in Sandbox::each() {
        let granted = "[limits]\njournal = '1MiB'\n[random]\nmode = 'seeded'\n[[capability]]\nname = 'promise'\n\
                   [[capability]]\nname = 'input'\n[[capability]]\nname = 'sink'\n";
        let policy = sandbox.policy(&format!("{granted}{FILES}")).unwrap();
        std::fs::write(sandbox.path("in/large"), vec![0; 5 * MIB]).unwrap();
        let script = json!([
            { "read": "/in/large" },
            { "random": 2_000_000 },
            { "recall": "a" },
            { "remember_bytes": [2, 2_000_000] },
            { "create_bytes": 2_000_000 },
            { "input_bytes": 2_000_000 },
            { "request_bytes": ["sink", 2_000_000] },
            { "read": "/in/a.txt" },
            { "random": 1_000 },
        ]);
        let host = sandbox.host().unwrap();
        let job = id("large").unwrap();
        let report =
            host.run(hostile(&policy, "calls", &script.to_string()).unwrap().with_id(job.clone())).await.unwrap();
        let outcomes = outcomes(&report).unwrap();
        let errors: Vec<_> = outcomes.iter().map(|one| one["error"].clone()).collect();
        let (fine, large) = (json!(null), json!("limit-exceeded"));
        let expected = [&large, &large, &fine, &large, &large, &large, &large, &fine, &fine].map(Value::clone);
        assert_eq!(errors, expected, "{outcomes:?}");
        let replayed = host.replay(&job, None, None).await.unwrap();
        assert_eq!(replayed.end, everstep::ReplayEnd::Repeated);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_promises_carry_counts_as_journal() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, "journal = '16MiB'\nmemory = '16MiB'"));
        let before = baseline();
        let floods = [
            json!([{ "repeat": [500, { "request_bytes": ["sink", MIB] }] }]),
            json!([{ "repeat": [500, { "create_bytes": MIB }] }]),
            json!([{ "repeat": [500, { "input_bytes": MIB }] }]),
        ];
        for flood in floods {
            let report = attack(&host, &policy, "calls", &flood.to_string()).await.unwrap();
            ended_by_limit(&report, "limits.journal");
            let kept =
                host.reader().promises().await.unwrap().into_iter().filter(|promise| promise.id.execution == report.id);
            let kept =
                kept.map(|promise| promise.subject.len() + promise.data.unwrap_or_default().len()).sum::<usize>();
            assert!(kept <= 16 * MIB, "{kept}");
        }
        if let (Some(before), Some(after)) = (before, peak_memory()) {
            assert!(after - before < 400 << 20, "{} MiB more", (after - before) >> 20);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_do_not_outgrow_the_journal() {
    for sandbox in Sandbox::each() {
        let policy = limits(&sandbox, "journal = '8MiB'");
        let response = |_: Request| async { Ok::<_, GuestError>(format!("\"{}\"", "x".repeat(MIB))) };
        let host = sandbox.builder().capability("sink", response).build().unwrap();
        let asked = (0..32).map(|_| json!({ "request": ["sink", null] }));
        let awaited = (0..32).flat_map(|number| [json!({ "wait": [number] }), json!({ "outcome": number })]);
        let script = Value::from_iter(asked.chain(awaited));
        let report = attack(&host, &policy, "calls", &script.to_string()).await.unwrap();
        assert!(host.reader().journal(&report.id).await.unwrap().len() <= 8 * MIB + 64_000);
        lives(&host, &policy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_names_are_shown_in_part() {
    for sandbox in Sandbox::each() {
        let granted = "[[capability]]\nname = 'input'\n[[capability]]\nname = 'promise'\n";
        let (host, policy) = (sandbox.host().unwrap(), sandbox.policy(&format!("{granted}{FILES}")).unwrap());
        let job = id("long").unwrap();
        let path = format!("/in/{}", "\u{1b}".repeat(100_000));
        let script =
            json!([{ "request_of_length": MIB }, { "input_bytes": MIB }, { "create_bytes": MIB }, { "read": path }]);
        let report =
            host.run(hostile(&policy, "calls", &script.to_string()).unwrap().with_id(job.clone())).await.unwrap();
        let outcomes = outcomes(&report).unwrap();
        assert_eq!((&outcomes[0]["error"], &outcomes[3]["error"]), (&json!("denied"), &json!("denied")));
        assert!(outcomes.iter().all(|outcome| outcome.to_string().len() < 1_000), "{outcomes:?}");
        assert!(sandbox.audit().unwrap().iter().all(|line| line.to_string().len() < 1_000));
        assert!(host.reader().journal(&job).await.unwrap().len() < 10_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn computations_that_never_end_are_counted() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, "journal = '100KiB'"));
        let report =
            attack(&host, &policy, "calls", &json!([{ "repeat": [5_000, { "recall": "x" }] }]).to_string()).await;
        ended_by_limit(&report.unwrap(), "limits.journal");
        let long = attack(&host, &policy, "flood_of_memos", "null").await.unwrap();
        ended_by_limit(&long, "limits.journal");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_settled_promises_are_delivered_in_no_time() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, "steps = 200_000\ncpu = '5s'"));
        let report = attack(&host, &policy, "flood_of_canceled_timers", "50000").await.unwrap();
        assert_eq!(report.result.as_deref(), Some("50000"), "{report:?}");
    }
}
