//! Programs and typed functions from the command line: arguments, input, exit codes, kills, and what is told of a component.
//!
//! One place: it drives the program, whose store is a folder.

use crate::programs::ending;
use crate::python::beside;
use everstep::PROGRAM;
use everstep_tests::guests;
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::Instant;

static FILE: LazyLock<PathBuf> =
    LazyLock::new(|| guests::path(&guests::project().join("tests/guests/program")).unwrap());

/// What the program shows of three lines, without the order of a map.
const REPORT: &str = "[\"a b\", \"-c\"] in no language\n1: one two\n2: \n3: two \"three\"\n(true, true) grün";

fn everstep(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(beside("everstep"));
    command.args(args).current_dir(folder).env_remove("EVERSTEP_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command to its end with this input.
fn said(mut command: Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn file() -> &'static str {
    FILE.to_str().unwrap()
}

#[test]
fn the_command_runs_a_program_with_its_arguments_input_and_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    for store in ["store", "memory"] {
        let run = everstep(folder.path(), &["run", file(), "--store", store, "--", "report", "1", "1", "a b", "-c"]);
        let done = said(run, "one two\n\ntwo \"three\"\n");
        assert_eq!(done.status.code(), Some(1), "{done:?}");
        assert_eq!(text(&done.stdout).trim_end(), REPORT);
        assert!(!text(&done.stderr).contains("execution"), "{done:?}");
    }
    let copied = said(everstep(folder.path(), &["run", file(), "--store", "memory", "--", "copy"]), "ä\nb");
    assert_eq!((copied.status.code(), &*text(&copied.stdout)), (Some(0), "ä\nb\n"), "{copied:?}");
}

#[test]
fn a_file_that_is_no_component_is_named_with_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, found) in [
        ("empty", &b""[..], "an empty file"),
        ("core", b"\0asm\x01\0\0\0", "a core module"),
        ("text", b"  (component)", "WebAssembly text"),
        ("other", b"hello", "something else"),
    ] {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        for args in [
            &["run", name][..],
            &["exec", "--python", name, "-c", "1"],
            &["functions", name],
            &["policy", "suggest", name],
        ] {
            let done = said(everstep(folder.path(), args), "");
            let wanted = format!("the component {name}: this is not a WebAssembly component but {found}");
            assert!(text(&done.stderr).contains(&wanted), "{args:?}: {done:?}");
            assert_eq!(done.status.code(), Some(2), "{args:?}: {done:?}");
        }
    }
}

#[test]
fn a_program_that_fails_tells_the_last_denial() {
    let clients = guests::path(&guests::project().join("tests/guests/clients")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (args, told) in [(&["wstd", "get", "http://example.org/secret"][..], true), (&["wstd", "nothing"], false)] {
        let args = [&["run", clients.to_str().unwrap(), "--store", "memory", "--"], args].concat();
        let done = everstep(folder.path(), &args).output().unwrap();
        let (code, stderr) = (done.status.code(), text(&done.stderr));
        assert_eq!(code, Some(1), "{stderr}");
        let denial = "its policy denied a call: fetch GET example.org:80 (the policy has no [[fetch]] rule)";
        assert_eq!(stderr.contains(denial), told, "{stderr}");
    }
}

#[test]
fn the_exit_code_of_a_program_is_that_of_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let run = |file: &str, args: &[&str]| {
        let args = [&["run", file, "--store", "memory"], args].concat();
        everstep(folder.path(), &args).output().unwrap()
    };
    for (exits, is) in [(0, 0), (1, 1), (2, 2), (125, 125), (126, 1), (255, 1)] {
        std::fs::write(folder.path().join("ending.wasm"), ending(exits)).unwrap();
        assert_eq!(run("ending.wasm", &[]).status.code(), Some(is), "{exits}");
    }
    std::fs::write(folder.path().join("ending.wasm"), ending(9)).unwrap();
    let json = run("ending.wasm", &["--json"]);
    let object: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json.status.code(), Some(9));
    let error = json!({"kind": "returned", "code": "failed", "message": "the program ended with exit code 9"});
    assert_eq!(object["error"], error);

    // The standard library says only whether the code is 0.
    for (args, code) in [(["--", "exit", "0"], 0), (["--", "exit", "7"], 1), (["--", "fail", ""], 1)] {
        assert_eq!(run(file(), &args).status.code(), Some(code), "{args:?}");
    }
    let usage = run(file(), &[]);
    assert_eq!(usage.status.code(), Some(1));
    assert_eq!(text(&usage.stderr), "usage: program.wasm report|exit|fail|panic|copy|read|look\n");
    let panicked = run(file(), &["--", "panic"]);
    assert_eq!(panicked.status.code(), Some(121));
    assert!(text(&panicked.stderr).contains("it was asked to"), "{panicked:?}");
    let both = run(file(), &["wasi:cli/run", "--", "exit"]);
    assert_eq!(both.status.code(), Some(2), "arguments after -- belong to a program: {both:?}");
}

/// How many lines an execution has taken: the questions that it has asked, without the one that nobody has answered.
fn taken(folder: &Path) -> Option<usize> {
    let told = |args: &[&str]| {
        let told = everstep(folder, &[args, &["--json", "--store", "store"]].concat()).output().unwrap();
        serde_json::from_slice::<Value>(&told.stdout).ok().filter(|_| told.status.success())
    };
    let (execution, open) = (told(&["show", "x"])?, told(&["promise", "list"])?);
    let asked = execution["steps"].as_array().unwrap().iter().filter(|step| step["kind"] == "console.input").count();
    Some(asked - open["promises"].as_array().unwrap().len())
}

#[test]
fn killed_at_any_moment_a_program_ends_as_if_undisturbed() {
    const INPUT: [&str; 8] = ["a", "b c", "", "d", "e e", "f", "g", "h"];
    let run = |folder: &Path, lines: &[&str]| {
        let args = ["run", file(), "--store", "store", "--id", "x", "--", "report", "1", "8", "--flag"];
        let mut child = everstep(folder, &args).stdin(Stdio::piped()).spawn().unwrap();
        // Its input ends when it is waited for: one that is killed waits for more, however fast it is.
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        child.stdin.as_mut().unwrap().write_all(lines.as_bytes()).unwrap();
        child
    };
    let logged = |folder: &Path| {
        let logs = everstep(folder, &["logs", "x", "--store", "store"]).output().unwrap();
        text(&logs.stdout)
    };
    let undisturbed = tempfile::tempdir().unwrap();
    // The first one compiles it.
    assert_eq!(run(undisturbed.path(), &INPUT).wait_with_output().unwrap().status.code(), Some(1));
    let expected = logged(undisturbed.path());
    assert!(expected.contains("8: h\n"), "{expected}");
    let again = tempfile::tempdir().unwrap();
    let started = now();
    run(again.path(), &INPUT).wait_with_output().unwrap();
    let took = started.elapsed();
    for kill in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        for part in [kill, 20 - kill] {
            let lines = &INPUT[taken(folder.path()).unwrap_or_default().min(INPUT.len())..];
            let mut child = run(folder.path(), lines);
            std::thread::sleep(took * part / 20);
            child.kill().unwrap();
            assert!(child.wait().unwrap().signal().is_some(), "{kill}");
        }
        let lines = &INPUT[taken(folder.path()).unwrap_or_default().min(INPUT.len())..];
        let done = run(folder.path(), lines).wait_with_output().unwrap();
        assert_eq!(done.status.code(), Some(1), "{kill}: {done:?}");
        assert_eq!(logged(folder.path()), expected, "{kill}");
    }
}

#[allow(clippy::disallowed_methods, reason = "how long a process takes is the subject")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn a_crate_with_main_is_built_and_run() {
    let folder = tempfile::tempdir().unwrap();
    let krate = guests::project().join("tests/guests/program");
    let built = folder.path().join("tool.wasm");
    let done =
        everstep(folder.path(), &["build", krate.to_str().unwrap(), "-o", built.to_str().unwrap()]).output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let ran = everstep(folder.path(), &["run", krate.to_str().unwrap(), "--", "look"]).output().unwrap();
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
}

#[test]
fn the_functions_of_a_component_are_listed_with_what_it_imports_and_needs() {
    let folder = tempfile::tempdir().unwrap();
    let listed = |target: &str| {
        let done = everstep(folder.path(), &["functions", target]).output().unwrap();
        assert_eq!(done.status.code(), Some(0), "{done:?}");
        text(&done.stdout)
    };
    let program = listed(file());
    for line in [
        "wasi:cli/run  a program: run it with -- ARG...",
        "[[capability]] name = \"input\"",
        "[clock] mode = \"recorded\"",
        "[[files]]",
    ] {
        assert!(program.contains(line), "{line}: {program}");
    }
    let typed = guests::path(&guests::project().join("tests/guests/typed")).unwrap();
    let typed = listed(typed.to_str().unwrap());
    for line in
        ["test:typed/shapes@1.2.0#add  ", "  func(a: s64, b: s64) -> s64\n", "greet", "everstep:host/console@0.1.0"]
    {
        assert!(typed.contains(line), "{line}: {typed}");
    }
    let json = everstep(folder.path(), &["functions", file(), "--json"]).output().unwrap();
    let object: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(object["functions"][0]["name"], PROGRAM);
    assert!(
        object["imports"]
            .as_array()
            .unwrap()
            .iter()
            .any(|import| import["needs"] == json!(["[random] mode = \"seeded\""]))
    );
}

#[test]
fn a_suggested_policy_is_enough_for_a_program_without_files() {
    let folder = tempfile::tempdir().unwrap();
    let suggested = everstep(folder.path(), &["policy", "suggest", file()]).output().unwrap();
    assert_eq!(suggested.status.code(), Some(0), "{suggested:?}");
    std::fs::write(folder.path().join("policy.toml"), &suggested.stdout).unwrap();
    let run = everstep(folder.path(), &["run", file(), "--policy", "policy.toml", "--", "report", "0", "1"]);
    let done = said(run, "one\n");
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert!(text(&done.stdout).contains("1: one\n"), "{done:?}");
}

#[test]
fn a_typed_function_takes_and_returns_wave() {
    let folder = tempfile::tempdir().unwrap();
    let typed = guests::path(&guests::project().join("tests/guests/typed")).unwrap();
    let run = |args: &[&str]| {
        let args = [&["run", typed.to_str().unwrap()], args].concat();
        everstep(folder.path(), &args).output().unwrap()
    };
    let triangle = "(polygon([{x: 0, y: 0}, {x: 4, y: 0}, {x: 0, y: 3}]))";
    let area = run(&["area", "--wave", "--args", triangle, "--id", "area"]);
    assert_eq!((area.status.code(), &*text(&area.stdout)), (Some(0), "ok(6)\n"), "{area:?}");
    let json = run(&[
        "area",
        "--args",
        r#"[{"polygon": [{"x": 0.0, "y": 0.0}, {"x": 4.0, "y": 0.0}, {"x": 0.0, "y": 3.0}]}]"#,
    ]);
    assert_eq!(text(&json.stdout), "6.0\n", "{json:?}");
    let wrong = run(&["area", "--wave", "--args", "(square(2))"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("the arguments do not fit: args: "), "{wrong:?}");
    let misfit = run(&["test:typed/shapes#add", "--args", r#"{"a": "1", "b": 2}"#, "--json"]);
    let object: Value = serde_json::from_slice(&misfit.stdout).unwrap();
    assert_eq!(object["error"]["kind"], "arguments");
    assert_eq!(object["error"]["message"], "the arguments do not fit: args.a: expected s64, found string");
}

#[test]
fn an_import_that_is_not_offered_is_named_with_what_would_serve_it() {
    let folder = tempfile::tempdir().unwrap();
    let component = wat(r#"(component
        (import "wasi:keyvalue/store@0.2.0" (instance)) (import "acme:db/query@1.0.0" (instance))
        (core module $m (func (export "f"))) (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "f"))) (export "f" (func $f)))"#);
    let path = folder.path().join("needy.wasm");
    std::fs::write(&path, component).unwrap();
    let done = everstep(folder.path(), &["functions", "needy.wasm"]).output().unwrap();
    assert_eq!(done.status.code(), Some(2));
    let stderr = text(&done.stderr);
    assert!(
        stderr.contains("wasi:keyvalue/store@0.2.0 (compose the component with one that exports it, or reach"),
        "{stderr}"
    );
    assert!(stderr.contains("acme:db/query@1.0.0 (compose the component with one that exports it)"), "{stderr}");
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}
