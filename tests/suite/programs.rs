//! Programs with `main`, as they are built for any runtime of WASI 0.2: all that they see of the machine is recorded, and a kill is
//! nothing to them.

use crate::support::{Place, Shown, eventually, failure, id, life, outcome, parse, result, soon};
use everstep::output::Content;
use everstep::store::{FailureKind, State};
use everstep::{Component, ErrorCode, Everstep, GuestError, Handle, PROGRAM, Policy, Report, Run};
use everstep_tests::guests;
use serde_json::json;
use std::sync::LazyLock;

static CODE: LazyLock<Component> = LazyLock::new(|| guests::fixture("program").unwrap().into());

/// What a program needs that reads, sleeps and prints.
const GRANTS: &str = "\
[clock]
mode = \"recorded\"
[random]
mode = \"seeded\"
[env]
LANG = \"de\"
[[capability]]
name = \"print\"
[[capability]]
name = \"input\"
";

fn program(args: &[&str], policy: Policy) -> Run {
    let argv = [&["program"], args].concat();
    Run::new(CODE.clone(), PROGRAM, json!(argv).to_string(), policy).with_id(id("x"))
}

/// Answers the questions of `x` with lines, and then with the end of input, until it ends.
async fn fed(host: &Everstep, handle: Handle, lines: &[&str]) -> Report {
    let feeding = async {
        for line in lines.iter().map(Some).chain([None]) {
            let asked = eventually("a question", async || host.reader().promises().await.unwrap().pop()).await;
            let end = || GuestError::new(ErrorCode::NotFound, "standard input has ended");
            host.settle(&asked.id, line.map(|line| json!(line).to_string()).ok_or_else(end)).await.unwrap();
        }
    };
    let (report, ()) = tokio::join!(soon("the end", handle.wait()), feeding);
    report.unwrap()
}

const LINES: [&str; 3] = ["one two", "", "two \"three\""];

/// What the program shows of them, without the order of a map.
const REPORT: &str = "[\"a b\", \"-c\"] in de\n1: one two\n2: \n3: two \"three\"\n(true, true) grün";

fn stdout(shown: &Shown) -> String {
    let texts = shown.all().into_iter().filter_map(|output| match output.content {
        Content::Stdout(text) => Some(text),
        _ => None,
    });
    texts.collect()
}

#[test]
fn a_program_sees_what_it_is_given_and_its_exit_code_is_the_outcome() {
    for place in Place::each() {
        place.equip(&CODE);
        let shown = Shown::default();
        let report = life(async {
            let host = place.host().on_output(shown.sink()).build().unwrap();
            let handle = host.start(program(&["report", "1", "2", "a b", "-c"], parse(GRANTS))).await.unwrap();
            fed(&host, handle, &LINES).await
        });
        assert_eq!((report.state, failure(&report).0), (State::Failed, FailureKind::Returned(ErrorCode::Failed)));
        assert_eq!(report.exit_code, Some(1));
        assert_eq!(stdout(&shown), REPORT);
    }
}

#[test]
fn a_program_that_is_resumed_for_every_line_does_what_an_undisturbed_one_does() {
    for place in Place::each() {
        place.equip(&CODE);
        let start = || program(&["report", "0", "2", "a b", "-c"], parse(GRANTS));
        let host = || place.host().build().unwrap();
        for line in LINES.iter().map(Some).chain([None]) {
            let suspended = life(async { host().run(start().without_waiting()).await.unwrap() });
            assert_eq!(suspended.state, State::Suspended);
            life(async {
                let host = host();
                // A nap may be what it waits for.
                let handle = host.start(start()).await.unwrap();
                let asked = eventually("a question", async || host.reader().promises().await.unwrap().pop()).await;
                let end = || GuestError::new(ErrorCode::NotFound, "standard input has ended");
                host.settle(&asked.id, line.map(|line| json!(line).to_string()).ok_or_else(end)).await.unwrap();
                drop(handle);
            });
            place.after_a_crash();
        }
        assert_eq!(result(&outcome(place.host(), start())), "null");
        // What a host had not shown when it died is in the journal.
        let mut printed = String::new();
        life(async {
            let mut output = place.host().build().unwrap().reader().follow(&id("x")).await.unwrap();
            let read = output.each(|piece| {
                if let Content::Stdout(text) = piece.content {
                    printed.push_str(&text);
                }
            });
            read.await.unwrap();
        });
        assert_eq!(printed, REPORT);
    }
}

#[test]
fn what_a_program_is_not_granted_it_does_not_see() {
    for place in Place::each() {
        place.equip(&CODE);
        let shown = Shown::default();
        let without_input = GRANTS.replace("input", "display");
        let host = || place.host().on_output(shown.sink());
        assert_eq!(result(&outcome(host(), program(&["read"], parse(&without_input)))), "null");
        assert_eq!(shown.lines().last().unwrap(), "not read: Uncategorized\n");
        let looks = program(&["look"], parse(GRANTS)).with_id(id("look"));
        assert_eq!(result(&outcome(host(), looks)), "null");
        let seen = shown.lines().concat();
        for expected in ["[(\"LANG\", \"de\")]\n", "Err(\"no file\")\n"] {
            assert!(seen.contains(expected), "{seen}");
        }
        let no_clock = program(&["report", "0", "1"], Policy::none()).with_id(id("no-clock"));
        let report = outcome(host(), no_clock);
        let (kind, message) = failure(&report);
        assert_eq!(kind, FailureKind::Returned(ErrorCode::Denied), "{message}");
        assert!(message.contains("[random]") || message.contains("[clock]"), "{message}");
    }
}

#[test]
fn arguments_of_a_program_are_a_list_of_strings() {
    for place in Place::each() {
        place.equip(&CODE);
        life(async {
            let host = place.host().build().unwrap();
            for args in ["{}", "\"a\"", "[1]", "[null]"] {
                let error = host.run(Run::new(CODE.clone(), PROGRAM, args, parse(GRANTS))).await.unwrap_err();
                assert!(error.to_string().contains("a list of strings, its name first, or null"), "{error}");
            }
        });
        let unnamed = outcome(place.host(), Run::new(CODE.clone(), PROGRAM, "null", parse(GRANTS)));
        assert_eq!(unnamed.exit_code, Some(1), "{unnamed:?}");
    }
}

/// A program that does nothing but end with this exit code.
pub(crate) fn ending(code: u8) -> Vec<u8> {
    let text = format!(
        r#"(component
            (import "wasi:cli/exit@0.2.6" (instance $wasi (export "exit-with-code" (func (param "status-code" u8)))))
            (alias export $wasi "exit-with-code" (func $exit))
            (core func $exit (canon lower (func $exit)))
            (core module $m
                (import "" "exit" (func $exit (param i32)))
                (func (export "run") (result i32) (call $exit (i32.const {code})) unreachable))
            (core instance $i (instantiate $m (with "" (instance (export "exit" (func $exit))))))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $r (export "run" (func $run)))
            (export "wasi:cli/run@0.2.6" (instance $r)))"#
    );
    wat::parse_str(text).unwrap()
}

#[test]
fn the_exit_code_that_a_program_names_is_its_own() {
    for place in Place::each() {
        for code in [0, 3, 255] {
            let component = Component::from(ending(code));
            place.equip(&component);
            let run = Run::new(component, PROGRAM, "null", Policy::none()).with_id(id(&format!("exits-{code}")));
            let report = outcome(place.host(), run);
            assert_eq!(report.exit_code, Some(code));
            assert_eq!(report.state, if code == 0 { State::Completed } else { State::Failed });
        }
    }
}
