//! Questions where standard input is no terminal: its lines answer them, and nobody waits for an answer that cannot come.
//!
//! One place: it drives the program, whose store is a folder.

use crate::python::beside;
use everstep_tests::guests;
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

fn everstep(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(beside("everstep"));
    command.args(args).current_dir(folder).env_remove("EVERSTEP_LOG");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The exit code, standard output and standard error of a command that is given some input, which ends.
pub(crate) fn said(folder: &Path, args: &[&str], input: &[u8]) -> (i32, String, String) {
    let mut child = everstep(folder, args).spawn().unwrap();
    // Whoever asks nothing reads nothing.
    drop(child.stdin.take().unwrap().write_all(input));
    told(&child.wait_with_output().unwrap())
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn exec(code: &str, store: &str, input: &[u8]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    said(folder.path(), &["exec", "-c", code, "--store", store, "--id", "x"], input)
}

#[test]
fn lines_of_standard_input_answer_one_question_each() {
    for store in ["memory", "store"] {
        let one = exec("print('hello', input('Name? '))", store, b"Bob\n");
        assert_eq!((one.0, &*one.1), (0, "hello Bob\n"), "{one:?}");
        assert!(one.2.contains("Name? "), "{one:?}");
        // As Python reads them: no line is JSON, or loses what is in it.
        let code = "while True:\n    try: print(ascii(input()))\n    except EOFError as end: print(repr(end)); break";
        let all = exec(code, store, "\"Bob\"\n 1.0 \n1e5\n\n[1,2]\r\nü\nlast".as_bytes());
        let expected = "'\"Bob\"'\n' 1.0 '\n'1e5'\n''\n'[1,2]'\n'\\xfc'\n'last'\nEOFError('EOF when reading a line')\n";
        assert_eq!((all.0, &*all.1), (0, expected), "{all:?}");
    }
}

#[test]
fn a_hundred_lines_are_answered_without_a_pause_between_them() {
    let lines: String = (0..100).map(|n| format!("{n}\n")).collect();
    let done = exec("print(sum(int(input()) for _ in range(100)))", "memory", lines.as_bytes());
    assert_eq!((done.0, &*done.1), (0, "4950\n"), "{done:?}");
}

#[test]
fn the_end_of_standard_input_is_an_error_at_once() {
    for store in ["memory", "store"] {
        let (code, _, stderr) = exec("input('Name? ')", store, b"");
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.ends_with("EOFError: EOF when reading a line\n"), "{stderr}");
        let code = "import asyncio, everstep\nprint(await asyncio.gather(everstep.ask('a'), everstep.ask('b'), return_exceptions=True))";
        let (code, stdout, stderr) = exec(code, store, b"one");
        assert_eq!((code, &*stdout), (0, "['one', EOFError('EOF when reading a line')]\n"), "{stderr}");
    }
    let folder = tempfile::tempdir().unwrap();
    let program = "print('hello', input('Name? '))";
    for input in [Stdio::null(), Stdio::from(std::fs::File::open("/dev/null").unwrap())] {
        let done =
            everstep(folder.path(), &["exec", "-c", program, "--store", "memory"]).stdin(input).output().unwrap();
        let (code, _, stderr) = told(&done);
        assert!(code == 1 && stderr.contains("EOFError"), "{stderr}");
    }
    // The program itself came from there.
    let (code, _, stderr) = said(folder.path(), &["exec", "-", "--store", "memory"], program.as_bytes());
    assert!(code == 1 && stderr.contains("EOFError"), "{stderr}");
}

#[test]
fn a_program_that_asks_nothing_leaves_standard_input_alone() {
    let folder = tempfile::tempdir().unwrap();
    let shell = "\"$0\" exec -c 'print(1)' --store memory; read line; echo \"$line\"";
    let mut command = Command::new("sh");
    command.args(["-c", shell]).arg(beside("everstep")).current_dir(folder.path());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"mine\n").unwrap();
    assert_eq!(told(&child.wait_with_output().unwrap()).1, "1\nmine\n");
}

#[test]
fn without_waiting_a_question_stays_open_whatever_comes_in() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["exec", "-c", "print('hello', input('Name? '))", "--id", "x", "--store", "store"];
    let suspended = said(folder.path(), &[&args[..], &["--no-wait"]].concat(), b"Bob\n");
    assert_eq!((suspended.0, &*suspended.1), (125, ""), "{suspended:?}");
    let ended = said(folder.path(), &["resume", "x", "--store", "store", "--json"], b"Ada\n");
    assert_eq!(ended.0, 0, "{ended:?}");
    assert!(ended.2.contains("hello Ada\n"), "{ended:?}");
    assert_eq!(serde_json::from_str::<Value>(&ended.1).unwrap()["state"], "completed", "{ended:?}");
}

#[test]
fn an_answer_from_elsewhere_counts_while_standard_input_is_silent() {
    let folder = tempfile::tempdir().unwrap();
    let program = "print(input('a? '))\nprint(input('b? '))";
    let args = ["exec", "-c", program, "--id", "x", "--store", "store"];
    let mut host = Killed(everstep(folder.path(), &args).spawn().unwrap());
    let answered = || {
        let open = everstep(folder.path(), &["promise", "list", "--json", "--store", "store"]).output().unwrap();
        let open: Value = serde_json::from_slice(&open.stdout).unwrap_or_default();
        let Some(id) = open["promises"][0]["id"].as_str() else { return false };
        let mut command = everstep(folder.path(), &["promise", "resolve", id, "\"Eve\"", "--store", "store"]);
        command.output().unwrap().status.success()
    };
    while !answered() {
        assert_eq!(host.0.try_wait().unwrap(), None, "it ended");
    }
    host.0.stdin.take().unwrap().write_all(b"Bob\n").unwrap();
    let mut stdout = String::new();
    std::io::Read::read_to_string(&mut host.0.stdout.take().unwrap(), &mut stdout).unwrap();
    assert_eq!(stdout, "Eve\nBob\n");
}

/// A process that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A folder with a policy for the functions of the suite, and the command that runs one.
fn guest() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let policy = "version = 1\n[clock]\nmode = \"recorded\"\n[[capability]]\nname = \"print\"\n[[capability]]\nname = \"input\"\n";
    std::fs::write(folder.path().join("policy.toml"), policy).unwrap();
    let component = guests::path(&guests::project().join("tests/guests/behaviour")).unwrap();
    (folder, component.to_str().unwrap().to_owned())
}

#[test]
fn a_rust_function_is_answered_by_the_first_line_that_fits_its_type() {
    for store in ["memory", "store"] {
        let (folder, component) = guest();
        let run = ["run", &component, "asks_bool", "--policy", "policy.toml", "--store", store];
        let (code, stdout, stderr) = said(folder.path(), &run, b"maybe\n7\n true\n");
        assert_eq!((code, &*stdout), (0, "true\n"), "{stderr}");
        assert!(stderr.contains("the next line is tried"), "{stderr}");
        let (code, stdout, stderr) = said(folder.path(), &[&run[..], &["--json"]].concat(), b"maybe\n");
        let error = serde_json::from_str::<Value>(&stdout).unwrap()["error"].take();
        assert_eq!((code, error["code"].as_str()), (1, Some("not-found")), "{stderr}");
        assert!(error["message"].as_str().unwrap().contains("standard input has ended"), "{error}");
    }
}
