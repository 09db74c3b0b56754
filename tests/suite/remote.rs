//! Executions on a server, in each of its manners: what one host starts, others go on with, and people see from anywhere.
//! `remote_commands` does the same with real processes.
//!
//! One place: it is about workers on a server.

use crate::promises::open;
use crate::remote_commands::post;
use crate::support::{BEHAVIOUR, Calls, Place, Shown, error, eventually, failure, id, life, parse, result, run, soon};
use everstep::store::{Execution, FailureKind, State};
use everstep::{Builder, Cancellation, ErrorCode, Everstep, Fork, Patience, ReplayEnd, Report, Run, Scope};
use everstep_resonate::Manner;
use serde_json::{Value, json};
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(2);

/// Does something on a fresh server of each manner.
pub(crate) fn each(body: impl AsyncFn(&Place)) {
    for place in Place::servers(&[Manner::A, Manner::B, Manner::C, Manner::Permissive]) {
        life(body(&place));
    }
}

/// A worker; what only waits gives up its instance at once, so that every wait is a suspension.
pub(crate) fn worker(place: &Place) -> Builder {
    place.host().scope(Scope::Everything).lease(LEASE).keep_warm(Duration::ZERO)
}

/// A host that runs nothing by itself: it submits, settles, cancels and looks.
pub(crate) fn desk(place: &Place) -> Everstep {
    place.host().build().unwrap()
}

async fn ended(host: &Everstep, run: Run) -> Report {
    soon("the end", host.submit(run).await.unwrap().wait()).await.unwrap()
}

pub(crate) async fn stored(host: &Everstep, of: &str) -> Execution {
    host.reader().execution(&id(of)).await.unwrap()
}

pub(crate) async fn until(host: &Everstep, of: &str, state: State) -> Execution {
    eventually(&format!("{of} {state:?}"), async || {
        host.reader().execution(&id(of)).await.ok().filter(|found| found.state == state)
    })
    .await
}

fn call(function: &str, args: Value) -> Run {
    run("calls", &json!({ "function": function, "args": args }).to_string())
}

#[test]
fn what_is_submitted_runs_in_a_worker_and_ends_with_its_result_or_its_error() {
    each(async |place| {
        let (desk, _worker) = (desk(place), worker(place).build().unwrap());
        assert_eq!(result(&ended(&desk, run("same", r#"{"a":[1,"ä"]}"#)).await), r#"{"a":[1,"ä"]}"#);
        // The same again finds what has ended.
        assert_eq!(result(&ended(&desk, run("same", r#"{"a":[1,"ä"]}"#)).await), r#"{"a":[1,"ä"]}"#);
        let report = ended(&desk, run("fails", r#""no seat left""#).with_id(id("y"))).await;
        assert_eq!(
            (report.state, failure(&report)),
            (State::Failed, (FailureKind::Returned(ErrorCode::Failed), "no seat left"))
        );
        let report = ended(&desk, run("nobody", "null").with_id(id("z"))).await;
        assert_eq!(failure(&report).0, FailureKind::Returned(ErrorCode::NotFound), "{report:?}");
        // One that this host starts runs here.
        let report = soon("the end", desk.run(run("adds", "[1,2]").with_id(id("w")))).await.unwrap();
        assert_eq!((result(&report), report.replayed), ("3", 0));
        assert_eq!(stored(&desk, "x").await.state, State::Completed);
    });
}

#[test]
fn a_question_suspends_and_is_answered_from_another_host() {
    each(async |place| {
        let shown = Shown::default();
        let (desk, worker) = (desk(place), worker(place).on_output(shown.sink()).build().unwrap());
        let handle = desk.submit(run("asks", "null")).await.unwrap();
        until(&worker, "x", State::Suspended).await;
        assert_eq!(open(&desk).await, [id("x").promise(1)]);
        let of_it = desk.reader().promises_within(&id("x")).await.unwrap();
        assert_eq!(of_it.iter().map(|asked| &asked.id).collect::<Vec<_>>(), [&id("x").promise(1)]);
        assert_eq!(desk.reader().promises_within(&id("y")).await.unwrap(), []);
        desk.settle(&id("x").promise(1), Ok("5".into())).await.unwrap();
        assert_eq!(result(&soon("the end", handle.wait()).await.unwrap()), "5");
        assert_eq!(shown.lines(), ["asking\n", "answered\n"], "the replay shows nothing again");
        // A refusal, from the worker itself.
        let handle = desk.submit(run("asks", "null").with_id(id("y"))).await.unwrap();
        until(&worker, "y", State::Suspended).await;
        worker.settle(&id("y").promise(1), Err(error(ErrorCode::Failed, "not today"))).await.unwrap();
        let report = soon("the end", handle.wait()).await.unwrap();
        assert_eq!(failure(&report), (FailureKind::Returned(ErrorCode::Failed), "not today"));
        assert_eq!(open(&desk).await, []);
    });
}

#[test]
fn an_answer_that_comes_while_no_worker_is_there_is_found_by_the_next() {
    each(async |place| {
        let desk = desk(place);
        let first = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let handle = desk.submit(run("asks_twice", "null")).await.unwrap();
        first.spawn({
            let worker = worker(place);
            async move {
                let _worker = worker.build().unwrap();
                std::future::pending::<()>().await;
            }
        });
        until(&desk, "x", State::Suspended).await;
        first.shutdown_background();
        for (number, answer) in [(0, "1"), (1, "2")] {
            desk.settle(&id("x").promise(number), Ok(answer.into())).await.unwrap();
        }
        let _second = worker(place).build().unwrap();
        assert_eq!(result(&soon("the end", handle.wait()).await.unwrap()), "[1,2]");
    });
}

#[test]
fn timers_fire_while_an_execution_runs_and_while_it_is_suspended() {
    each(async |place| {
        let (desk, _worker) = (desk(place), worker(place).build().unwrap());
        let long = desk.submit(run("sleeps", "2500").with_id(id("long"))).await.unwrap();
        let short = ended(&desk, run("only_sleeps", "[0,1,20,5]")).await;
        assert_eq!(result(&short), "[0,1,20,5]");
        until(&desk, "long", State::Suspended).await;
        let report = soon("the end", long.wait()).await.unwrap();
        assert!(result(&report).parse::<u64>().unwrap() >= 2500, "{report:?}");
        let raced = ended(&desk, run("races_timers", "null").with_id(id("race"))).await;
        assert_eq!(result(&raced), r#""sooner""#);
        let late = ended(&desk, run("awaits_within", "50").with_id(id("late"))).await;
        assert_eq!(failure(&late).0, FailureKind::Returned(ErrorCode::TimedOut), "{late:?}");
    });
}

#[test]
fn children_run_wherever_there_is_a_worker_of_their_group() {
    each(async |place| {
        let other = place.host().scope(Scope::Everything).lease(LEASE).group("other").build().unwrap();
        let workers = [worker(place).build().unwrap(), worker(place).build().unwrap()];
        let desk = desk(place);
        assert_eq!(result(&ended(&desk, run("sums_children", "20")).await), "210");
        assert_eq!(result(&ended(&desk, run("nests", "5").with_id(id("n"))).await), "5");
        let report = ended(&desk, call("fails", json!("no seat left")).with_id(id("f"))).await;
        assert_eq!(failure(&report), (FailureKind::Returned(ErrorCode::Failed), "f.0: no seat left"));
        let args = json!({ "function": "adds", "args": [3, 4], "target": "other" }).to_string();
        assert_eq!(result(&ended(&desk, run("calls", &args).with_id(id("o"))).await), "7");
        assert_eq!(stored(&desk, "o.0").await.state, State::Completed);
        // What a child asks, it asks in its own name.
        let handle = desk.submit(run("waits_for_two", "null").with_id(id("w"))).await.unwrap();
        let asked =
            eventually("two questions", async || Some(open(&desk).await).filter(|asked| asked.len() == 2)).await;
        for (promise, value) in asked.iter().zip(["1", "2"]) {
            desk.settle(promise, Ok(value.into())).await.unwrap();
        }
        let report = soon("the end", handle.wait()).await.unwrap();
        let mut pair: Vec<u64> = serde_json::from_str(result(&report)).unwrap();
        pair.sort_unstable();
        assert_eq!(pair, [1, 2]);
        drop((other, workers));
    });
}

#[test]
fn what_is_detached_outlives_its_caller() {
    each(async |place| {
        let (desk, _worker) = (desk(place), worker(place).build().unwrap());
        let report = ended(&desk, run("detaches", r#""here""#)).await;
        let detached: String = serde_json::from_str(result(&report)).unwrap();
        let done = until(&desk, &detached, State::Completed).await;
        assert_eq!((done.function.as_str(), done.result.as_deref()), ("prints", Some(r#""here""#)));
    });
}

#[test]
fn promises_of_the_guest_are_settled_by_it_and_from_outside() {
    each(async |place| {
        let calls = Calls::default();
        let (desk, _worker) = (desk(place), worker(place).capability("never", calls.never()).build().unwrap());
        let own: Value = serde_json::from_str(result(&ended(&desk, run("settles_its_own", "null")).await)).unwrap();
        assert_eq!((&own[0], &own[2]["Err"]["code"]), (&json!({ "Ok": 1 }), &json!("failed")), "{own}");
        assert_eq!((&own[1]["Err"]["code"], &own[3]["Err"]["code"]), (&json!("invalid"), &json!("invalid")), "{own}");
        let given_up: Value =
            serde_json::from_str(result(&ended(&desk, run("cancels", "null").with_id(id("c"))).await)).unwrap();
        let codes: Vec<&Value> = (0..3).map(|number| &given_up[number]["Err"]["code"]).collect();
        assert_eq!(codes, ["canceled"; 3], "{given_up}");
        let handle = desk.submit(run("awaits", "null").with_id(id("y"))).await.unwrap();
        until(&desk, "y", State::Suspended).await;
        desk.settle(&id("y").promise(0), Ok(r#""from outside""#.into())).await.unwrap();
        assert_eq!(result(&soon("the end", handle.wait()).await.unwrap()), r#""from outside""#);
        let many = desk.submit(run("many_promises", "40").with_id(id("m"))).await.unwrap();
        let asked = eventually("forty", async || Some(open(&desk).await).filter(|asked| asked.len() == 40)).await;
        for promise in asked.iter().rev() {
            desk.settle(promise, Ok("1".into())).await.unwrap();
        }
        assert_eq!(result(&soon("the end", many.wait()).await.unwrap()), "40");
    });
}

#[test]
fn files_are_written_once_whoever_goes_on() {
    each(async |place| {
        let folder = tempfile::tempdir().unwrap();
        let host_folder = folder.path().to_str().unwrap();
        let grants = ["print", "input", "call"].map(|name| format!("[[capability]]\nname = \"{name}\"\n")).concat();
        let granted = parse(&format!(
            "[clock]\nmode = \"recorded\"\n{grants}[[files]]\nid = \"out\"\nguest = \"/out\"\nhost = \"{host_folder}\"\naccess = \"write\"\n"
        ));
        let workers = [worker(place).build().unwrap(), worker(place).build().unwrap()];
        let desk = desk(place);
        let handle = desk.submit(Run { policy: granted, ..run("mixed", r#""/out""#) }).await.unwrap();
        until(&desk, "x", State::Suspended).await;
        desk.settle(&id("x").promise(1), Ok("5".into())).await.unwrap();
        let done: Value = serde_json::from_str(result(&soon("the end", handle.wait()).await.unwrap())).unwrap();
        assert_eq!(done, json!({ "sum": 6, "child": 7 }));
        let files = ["before", "child", "after"].map(|file| std::fs::read_to_string(folder.path().join(file)).unwrap());
        assert_eq!(files, ["5", "child", "6"]);
        let steps = desk.reader().steps(&id("x")).await.unwrap();
        for (kind, times) in [("console.input", 1), ("timers.sleep", 1), ("files.write", 2), ("functions.call", 2)] {
            assert_eq!(steps.iter().filter(|step| step.kind == kind).count(), times, "{kind}: {steps:?}");
        }
        drop(workers);
    });
}

#[test]
fn a_cancellation_from_another_host_ends_what_runs_and_what_waits_with_its_children() {
    each(async |place| {
        let (desk, _worker) = (desk(place), worker(place).build().unwrap());
        let suspended = desk.submit(run("waits_for_two", "null")).await.unwrap();
        eventually("two questions", async || (open(&desk).await.len() == 2).then_some(())).await;
        until(&desk, "x", State::Suspended).await;
        assert_eq!(desk.cancel(&id("x")).await.unwrap(), Cancellation::Canceled);
        assert_eq!(soon("the end", suspended.wait()).await.unwrap().state, State::Canceled);
        for child in ["x.0", "x.1"] {
            assert_eq!(stored(&desk, child).await.state, State::Canceled);
        }
        assert_eq!(open(&desk).await, [], "nobody should be asked any more");
        let running = desk.submit(run("asks_and_spins", "1000000000000").with_id(id("y"))).await.unwrap();
        eventually("the question", async || open(&desk).await.pop()).await;
        soon("the cancellation", desk.cancel(&id("y"))).await.unwrap();
        assert_eq!(soon("the end", running.wait()).await.unwrap().state, State::Canceled);
        let burning = desk.submit(run("burns_in_children", "2").with_id(id("z"))).await.unwrap();
        for child in ["z.0", "z.1"] {
            until(&desk, child, State::Running).await;
        }
        soon("the cancellation", desk.cancel(&id("z"))).await.unwrap();
        assert_eq!(soon("the end", burning.wait()).await.unwrap().state, State::Canceled);
        for child in ["z.0", "z.1"] {
            assert_eq!(stored(&desk, child).await.state, State::Canceled);
        }
        assert_eq!(desk.cancel(&id("z")).await.unwrap(), Cancellation::HadEnded(State::Canceled));
        // The instances of those are free again.
        assert_eq!(result(&ended(&desk, run("sums_children", "20").with_id(id("s"))).await), "210");
    });
}

#[test]
fn a_guest_cleans_up_in_the_worker_that_has_it_and_without_one_where_it_is_canceled() {
    each(async |place| {
        for (name, keep_warm) in [("x", 3_600), ("y", 0)] {
            let [there, here] = [(); 2].map(|()| Shown::default());
            let worker = worker(place).keep_warm(Duration::from_secs(keep_warm)).on_output(there.sink());
            let (_worker, desk) = (worker.build().unwrap(), place.host().on_output(here.sink()).build().unwrap());
            let handle = desk.submit(run("cleans_up", "null").with_id(id(name))).await.unwrap();
            eventually("the promise", async || open(&desk).await.pop()).await;
            if keep_warm == 0 {
                until(&desk, name, State::Suspended).await;
            }
            assert_eq!(soon("the cancellation", desk.cancel(&id(name))).await.unwrap(), Cancellation::Canceled);
            assert_eq!(soon("the end", handle.wait()).await.unwrap().state, State::Canceled);
            let [cleaned, other] = if keep_warm == 0 { [&here, &there] } else { [&there, &here] };
            eventually("the clean-up", async || (cleaned.lines().len() == 2).then_some(())).await;
            // Its promise has ended before it is known here that the execution has.
            let ends = ["cleaning up\ncanceled\n", "cleaning up\nslept\n"];
            assert!(ends.contains(&&*cleaned.lines().concat()) && other.lines().is_empty(), "{:?}", cleaned.lines());
            // It is recorded, by one of them.
            assert_eq!(desk.reader().output(&id(name)).await.unwrap().len(), 2);
        }
    });
}

#[test]
fn a_halt_and_its_cause_are_seen_from_another_host_and_can_be_tried_again() {
    each(async |place| {
        let (desk, worker) = (desk(place), worker(place).build().unwrap());
        let report = soon("the halt", desk.submit(run("panics", "null")).await.unwrap().wait()).await.unwrap();
        assert_eq!((report.state, failure(&report).0), (State::Halted, FailureKind::Trap), "{report:?}");
        let halted = until(&desk, "x", State::Halted).await.progress.error.unwrap();
        assert_eq!((halted.kind, halted.message.contains("row 7")), (FailureKind::Trap, true), "{halted:?}");
        let again = worker.resume(&id("x"), Patience::Forever).await.unwrap();
        assert_eq!(soon("the halt", again.wait()).await.unwrap().state, State::Halted);
        let parent = desk.submit(call("traps", json!(null)).with_id(id("y"))).await.unwrap();
        until(&desk, "y.0", State::Halted).await;
        let below = eventually("the child", async || desk.reader().halted_below(&id("y")).await.unwrap().pop()).await;
        assert_eq!(below.id, id("y.0"));
        assert_eq!(desk.cancel(&id("y")).await.unwrap(), Cancellation::Canceled);
        assert_eq!(soon("the end", parent.wait()).await.unwrap().state, State::Canceled);
        assert_eq!(stored(&desk, "y.0").await.state, State::Canceled);
    });
}

/// The promises on a server that are pending, by their ids there.
fn pending(place: &Place) -> Vec<String> {
    let found = post(&place.url(), "promise.search", &json!({ "state": "pending", "limit": 1000 }));
    let promises = found["data"]["promises"].as_array().unwrap();
    promises.iter().map(|promise| promise["id"].as_str().unwrap().to_owned()).collect()
}

/// The id of `execution.part` on a server: the first dot is a colon in dialect C.
fn below(place: &Place, execution: &str, part: &str) -> String {
    let colon = matches!(place.manner(), Manner::C);
    format!("{execution}{}{part}", if colon { ':' } else { '.' })
}

#[test]
fn whoever_waits_hears_of_a_halt_and_once_it_was_tried_again_of_the_next() {
    each(async |place| {
        let desk = desk(place);
        let mut waiting = desk.submit(run("panics", "null")).await.unwrap();
        for round in ["w0", "w1"] {
            let signal = below(place, "x", round);
            eventually("somebody who listens", async || pending(place).contains(&signal).then_some(())).await;
            let worker = worker(place).build().unwrap();
            assert_eq!(soon("the halt", waiting.wait()).await.unwrap().state, State::Halted);
            assert!(!pending(place).contains(&signal));
            soon("the leave", worker.leave(LEASE)).await.unwrap();
            waiting = desk.hand_over(&id("x")).await.unwrap();
        }
        // What ends takes with it what was made to hear of its halt.
        let signal = below(place, "x", "w2");
        eventually("somebody who listens", async || pending(place).contains(&signal).then_some(())).await;
        assert_eq!(desk.cancel(&id("x")).await.unwrap(), Cancellation::Canceled);
        assert_eq!(soon("the end", waiting.wait()).await.unwrap().state, State::Canceled);
        eventually("nothing that is pending", async || pending(place).is_empty().then_some(())).await;
    });
}

#[test]
fn nothing_of_what_is_canceled_stays_pending() {
    each(async |place| {
        let (desk, _worker) = (desk(place), worker(place).build().unwrap());
        let runs = [
            run("waits_for_two", "null").with_id(id("a")),
            run("only_sleeps", "[1000000000,2000000000]").with_id(id("b")),
            run("awaits", "null").with_id(id("c")),
            run("awaits_within", "1000000000").with_id(id("d")),
            call("calls", json!({ "function": "waits_for_two", "args": null })).with_id(id("e")),
            call("only_sleeps", json!([1_000_000_000])).with_id(id("f")),
        ];
        let names = runs.each_ref().map(|run| run.id.clone());
        for run in runs {
            desk.submit(run).await.unwrap();
        }
        for of in ["a", "a.0", "a.1", "b", "c", "d", "e", "e.0", "e.0.0", "e.0.0.0", "e.0.0.1", "f", "f.0"] {
            until(&desk, of, State::Suspended).await;
        }
        assert!(pending(place).len() > 12, "{:?}", pending(place));
        for name in &names {
            assert_eq!(desk.cancel(name).await.unwrap(), Cancellation::Canceled);
        }
        assert_eq!(pending(place), [""; 0]);
        for state in ["pending", "acquired", "suspended", "halted"] {
            let found = post(&place.url(), "task.search", &json!({ "state": state, "limit": 1000 }));
            assert_eq!(found["data"]["tasks"], json!([]), "{state}");
        }
    });
}

#[test]
fn a_replay_repeats_the_segments_and_a_fork_goes_on_from_them() {
    each(async |place| {
        let (shown, replayed) = (Shown::default(), Shown::default());
        let (desk, worker) = (desk(place), worker(place).on_output(shown.sink()).build().unwrap());
        let original = ended(&desk, run("twenty", "null")).await;
        let before = desk.reader().journal(&id("x")).await.unwrap();
        let outside = place.host().on_output(replayed.sink()).build().unwrap();
        let replay = outside.replay(&id("x"), None, None).await.unwrap();
        assert_eq!((replay.end, replay.steps.len()), (ReplayEnd::Repeated, 20));
        assert_eq!((replayed.lines().len(), shown.lines().len()), (0, 3));
        assert!(desk.reader().journal(&id("x")).await.unwrap() == before, "a replay was written down");
        for at in [0, 8, 20] {
            let name = format!("f{at}");
            outside.fork(Fork::new(&id("x"), at, &id(&name))).await.unwrap();
            let done = until(&worker, &name, State::Completed).await;
            let (new, old): (Vec<Value>, Vec<Value>) = (
                serde_json::from_str(done.result.as_deref().unwrap()).unwrap(),
                serde_json::from_str(result(&original)).unwrap(),
            );
            assert_eq!((new.len(), new.last()), (old.len(), old.last()));
            // The first draw is step 2, the one of the second round step 10.
            assert_eq!((new[0] == old[0], new[4] == old[4]), (at > 2, at > 10), "forked at {at}");
            assert_eq!(desk.reader().steps(&id(&name)).await.unwrap().len(), 20);
            // With all its steps there is nothing to wait for: whoever claims it first finds its journal, and ends it.
            assert!(at < 20 || done.attempts == 1, "{} attempts", done.attempts);
        }
    });
}

#[test]
fn the_list_the_steps_and_the_output_are_the_same_from_every_host() {
    each(async |place| {
        let (desk, worker) = (desk(place), worker(place).build().unwrap());
        for number in 0..5 {
            let run = run("calls", r#"{"function":"adds","args":[1,2]}"#).with_id(id(&format!("x{number}")));
            assert_eq!(result(&ended(&desk, run).await), "3");
        }
        let waiting = desk.submit(run("asks", "null").with_id(id("a"))).await.unwrap();
        until(&desk, "a", State::Suspended).await;
        let outside = place.host().build().unwrap();
        for reader in [desk.reader(), worker.reader(), outside.reader()] {
            let all = reader.executions().await.unwrap();
            let mut names: Vec<String> = all.iter().map(|execution| execution.id.to_string()).collect();
            names.sort();
            assert_eq!(names, ["a", "x0", "x0.0", "x1", "x1.0", "x2", "x2.0", "x3", "x3.0", "x4", "x4.0"]);
            let ended = all.iter().filter(|execution| execution.state == State::Completed).count();
            assert_eq!((all.len(), ended), (11, 10));
            let steps = reader.steps(&id("a")).await.unwrap();
            let kinds: Vec<&str> = steps.iter().map(|step| step.kind.as_str()).collect();
            assert_eq!(kinds, ["console.print", "console.input"]);
            assert_eq!(reader.output(&id("a")).await.unwrap().len(), 1);
            let execution = reader.execution(&id("a")).await.unwrap();
            assert_eq!((execution.component, execution.function.as_str()), (BEHAVIOUR.digest(), "asks"));
            assert_eq!(execution.progress.steps, 2);
        }
        assert_eq!(outside.cancel(&id("a")).await.unwrap(), Cancellation::Canceled);
        assert_eq!(soon("the end", waiting.wait()).await.unwrap().state, State::Canceled);
    });
}
