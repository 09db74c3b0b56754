//! Python on a server: programs and sessions that workers run, or the command itself as one of them.
//!
//! One place: it is about workers on a server.

use crate::remote_commands::{Ground, Process, post, until};
use crate::session::Client;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use everstep::store::State;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::io::Write;
use std::process::Stdio;

const LEASE: &str = "2s";

fn python(ground: &Ground, more: &[&str]) -> Process {
    let args = ["worker", "--python", "--remote", &ground.url, "--lease", LEASE];
    let worker = Process::start(ground.desk.command(&[&args[..], more].concat()));
    worker.until_said("worker of group default");
    worker
}

/// The exit code of a program, and its output; `input` is its standard input.
fn exec(ground: &Ground, code: &str, input: &str, more: &[&str]) -> (i32, String, String) {
    let mut command = ground.desk.command(&[&["exec", "-c", code, "--remote", &ground.url], more].concat());
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn session(ground: &Ground, id: &str, more: &[&str]) -> Client {
    let mut client =
        Client::start(ground.desk.command(&[&["session", "--id", id, "--remote", &ground.url], more].concat()));
    client.until("ready", |message| message["type"] == "ready");
    client
}

fn value(client: &mut Client, code: &str) -> Value {
    let cell = client.ask("execute", &json!({ "code": code }));
    client.answer(&cell)["value"].clone()
}

#[test]
fn a_program_runs_in_a_worker_with_its_output_its_input_and_its_errors() {
    let ground = Ground::new();
    let _worker = python(&ground, &[]);
    let (code, out, err) = exec(&ground, "print('hello', input('who? '))", "Ada\n", &["--id", "x"]);
    assert_eq!((code, out.as_str()), (0, "hello Ada\n"), "{err}");
    let (code, out, err) = exec(&ground, "import asyncio\nawait asyncio.sleep(0.05)\n1 / 0", "", &["--id", "y"]);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("ZeroDivisionError"), "{err}");
    // The same program again is the same execution.
    let (code, out, err) = exec(&ground, "print('hello', input('who? '))", "", &["--id", "x"]);
    assert_eq!((code, out.as_str()), (0, "hello Ada\n"), "{err}");
}

#[test]
fn a_program_runs_in_the_command_itself_where_that_is_a_worker() {
    let ground = Ground::new();
    let (code, out, err) = exec(&ground, "print(input('n? ') * 2)", "ab\n", &["--worker"]);
    assert_eq!((code, out.as_str()), (0, "abab\n"), "{err}");
    // A store of this machine has no workers.
    let command = ["exec", "-c", "1", "--store", "memory", "--worker"];
    let output = ground.desk.command(&command).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("--worker needs a server"), "{said}");
}

/// The worker is killed while the session rests, while a cell asks, and the client is another one each time.
#[test]
fn a_session_outlives_its_workers_and_its_clients() {
    let ground = Ground::new();
    let first = python(&ground, &[]);
    let mut client = session(&ground, "s", &[]);
    let cell = client.ask("execute", &json!({ "code": "x = 20\nprint('begun')\nx + 1" }));
    let printed = client.until("output", |message| message["type"] == "output");
    assert_eq!((&printed["text"], &printed["reply_to"]), (&json!("begun\n"), &json!(cell)));
    assert_eq!(client.answer(&cell)["value"], 21);
    first.signal(Signal::KILL);
    let second = python(&ground, &[]);
    let cell = client.ask("execute", &json!({ "code": "x += int(input('more? '))\nx" }));
    let asked = client.until("question", |message| message["type"] == "input_request");
    drop(client);
    second.signal(Signal::KILL);
    let _third = python(&ground, &[]);
    let mut client = session(&ground, "s", &[]);
    let again = client.until("the question again", |message| message["type"] == "input_request");
    assert_eq!(again["id"], asked["id"]);
    let answer = client.ask("input_response", &json!({ "request_id": again["id"], "value": "3" }));
    assert_eq!(client.answer(&answer)["type"], "result");
    assert_eq!(client.answer(&cell)["value"], 23);
    assert_eq!(value(&mut client, "x * 2"), 46);
    // Two clients see one namespace.
    let mut another = session(&ground, "s", &[]);
    assert_eq!(value(&mut another, "x"), 23);
    let ended = client.ask("shutdown", &json!({ "end": true }));
    assert_eq!(client.answer(&ended)["type"], "result");
    assert_eq!(ground.execution("s").state, State::Completed);
}

#[test]
fn a_cell_is_interrupted_where_it_runs() {
    let ground = Ground::new();
    let mut client = session(&ground, "s", &["--worker"]);
    assert_eq!(value(&mut client, "x = 1\nx"), 1);
    let cell = client.ask("execute", &json!({ "code": "x = 2\nprint('begun')\nwhile True: pass" }));
    client.until("output", |message| message["type"] == "output");
    let interrupted = client.interrupted(&cell);
    assert_eq!(interrupted["name"], "KeyboardInterrupt", "{interrupted}");
    drop(client);
    // From a client that runs nothing it is refused, and the cell goes on.
    let _worker = python(&ground, &[]);
    let mut client = session(&ground, "s", &[]);
    let cell = client.ask("execute", &json!({ "code": "y = input('wait? ')\ny" }));
    let asked = client.until("question", |message| message["type"] == "input_request");
    let interruption = client.ask("interrupt", &json!({}));
    let refused = client.answer(&interruption);
    assert!(refused["message"].as_str().unwrap().contains("does not run in this process"), "{refused}");
    client.ask("input_response", &json!({ "request_id": asked["id"], "value": "on" }));
    assert_eq!(client.answer(&cell)["value"], "on");
}

#[test]
fn functions_of_python_are_called_by_name() {
    let ground = Ground::new();
    let _worker = python(&ground, &["--group", "default"]);
    let code = json!({ "func": "execute", "args": [{ "code": "6 * 7", "filename": "cell.py" }] }).to_string();
    let data = BASE64_STANDARD.encode(code);
    let create = json!({
        "id": "called", "timeoutAt": 4_102_444_800_000_u64, "param": { "headers": {}, "data": data },
        "tags": { "resonate:target": "poll://any@default", "resonate:scope": "global" }
    });
    let created = post(&ground.url, "promise.create", &create);
    assert_eq!(created["head"]["status"], 200, "{created}");
    let ended = until("the result", || {
        let found = post(&ground.url, "promise.get", &json!({ "id": "called" }));
        (found["data"]["promise"]["state"] == "resolved").then_some(found)
    });
    let result = ended["data"]["promise"]["value"]["data"].as_str().unwrap();
    let result: Value = serde_json::from_slice(&BASE64_STANDARD.decode(result).unwrap()).unwrap();
    assert_eq!(result["value"], 42, "{result}");
}
