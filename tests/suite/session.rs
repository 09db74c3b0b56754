//! Python sessions, driven over standard input and output by the real binary: cells, questions, capabilities, interruptions, and hosts
//! that are killed.
//!
//! One place: it drives the program, whose store is a folder.

pub(crate) mod failing;
mod killed;
mod looking;
mod values;

use crate::python::beside;
use everstep::session;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a store, a policy and what cells may read and write.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display().to_string();
        for name in ["data", "out"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("data/lines.txt"), "one\ntwo\nthree\n").unwrap();
        let names = ["print", "display", "input", "session", "weather", "promise"];
        let names = names.map(|name| format!("[[capability]]\nname = \"{name}\"\n")).concat();
        let policy = format!(
            "version = 1\nname = \"session\"\n[limits]\ncpu = \"60s\"\nsteps = 1_000_000\nwasm_stack = \"8MiB\"\n[clock]\nmode = \"recorded\"\n\
             [random]\nmode = \"seeded\"\n{names}[[files]]\nid = \"data\"\nguest = \"/data\"\nhost = \"{root}/data\"\naccess = \"read\"\n\
             [[files]]\nid = \"out\"\nguest = \"/out\"\nhost = \"{root}/out\"\naccess = \"write\"\n"
        );
        fs::write(folder.path().join("policy.toml"), policy).unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn everstep(&self, args: &[&str]) -> Command {
        let mut command = Command::new(beside("everstep"));
        command.args(args).current_dir(self.path()).env_remove("EVERSTEP_LOG");
        command
    }

    fn client(&self) -> Client {
        self.client_in(".everstep")
    }

    fn client_in(&self, store: &str) -> Client {
        let command = self.everstep(&["session", "--id", "s", "--policy", "policy.toml", "--store", store]);
        Client::start(command)
    }
}

/// Whoever drives a session. Its host dies with it.
pub(crate) struct Client {
    host: Child,
    stdin: Option<ChildStdin>,
    messages: Receiver<Value>,
    /// All that was told.
    seen: Vec<Value>,
    /// What of it was not looked for yet.
    passed: Vec<Value>,
    asked: u32,
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.host.kill();
        let _ = self.host.wait();
    }
}

impl Client {
    /// Starts a host of a session.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut host = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, messages) = mpsc::channel();
        let stdout = BufReader::new(host.stdout.take().unwrap());
        std::thread::spawn(move || {
            let lines = stdout.lines().map_while(Result::ok);
            let messages = lines.map(|line| serde_json::from_str::<Value>(&line).unwrap_or_else(|_| panic!("{line}")));
            messages.take_while(|message| sender.send(message.clone()).is_ok()).for_each(drop);
        });
        let stdin = host.stdin.take();
        Self { host, stdin, messages, seen: Vec::new(), passed: Vec::new(), asked: 0 }
    }

    fn send(&mut self, request: &Value) {
        let stdin = self.stdin.as_mut().unwrap();
        // A host that was killed reads nothing.
        let _ = writeln!(stdin, "{request}").and_then(|()| stdin.flush());
    }

    /// Sends a request and returns its id.
    pub(crate) fn ask(&mut self, kind: &str, fields: &Value) -> String {
        self.asked += 1;
        let id = format!("{}-{}", self.host.id(), self.asked);
        let mut request = json!({ "type": kind, "id": id });
        request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.send(&request);
        id
    }

    /// The first message that is looked for and was not found before: they may come in another order than they are asked for.
    pub(crate) fn until(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.passed.iter().position(&is) {
            return self.passed.remove(at);
        }
        loop {
            let message = self.messages.recv_timeout(PATIENCE);
            let message = message.unwrap_or_else(|error| panic!("{what}: {error}, after {:?}", self.seen));
            self.seen.push(message.clone());
            if is(&message) {
                return message;
            }
            self.passed.push(message);
        }
    }

    pub(crate) fn answer(&mut self, id: &str) -> Value {
        self.until(id, |message| {
            message["reply_to"] == id && matches!(message["type"].as_str(), Some("result" | "error"))
        })
    }

    /// The answer to a cell that is interrupted until it has one: what comes before the last interruption was noticed is the same one.
    #[allow(clippy::disallowed_methods, reason = "people interrupt when it takes too long")]
    pub(crate) fn interrupted(&mut self, id: &str) -> Value {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            self.ask("interrupt", &json!({}));
            let next = Instant::now() + Duration::from_secs(2);
            while let Ok(message) = self.messages.recv_timeout(next.saturating_duration_since(Instant::now())) {
                self.seen.push(message.clone());
                if message["reply_to"] == id && matches!(message["type"].as_str(), Some("result" | "error")) {
                    return message;
                }
                self.passed.push(message);
            }
        }
        panic!("no interruption ends {id}, after {:?}", self.seen)
    }

    fn begin(&mut self, id: &str, code: &str) {
        self.send(&json!({ "type": "execute", "id": id, "code": code }));
    }

    fn cell(&mut self, id: &str, code: &str) -> Value {
        self.begin(id, code);
        self.answer(id)
    }

    fn call(&mut self, kind: &str, fields: &Value) -> Value {
        let id = self.ask(kind, fields);
        self.answer(&id)
    }

    fn of_type(&mut self, kind: &str) -> Value {
        self.until(kind, |message| message["type"] == kind)
    }

    /// Standard output so far.
    fn printed(&self) -> String {
        let output = self.seen.iter().filter(|message| message["type"] == "output");
        output.map(|message| message["text"].as_str().unwrap()).collect()
    }
}

#[test]
fn cells_share_their_names_and_each_request_is_answered() {
    let desk = Desk::new();
    let mut client = desk.client();
    let ready = client.of_type("ready");
    assert_eq!(
        (&ready["execution_id"], &ready["protocol"], &ready["resumed"]),
        (&json!("s"), &json!(1), &json!(false))
    );
    let first = client.cell("a", "import asyncio\nx = [1, 2.5, 'ü']\nx");
    assert_eq!((&first["value"], &first["repr"]), (&json!([1, 2.5, "ü"]), &json!("[1, 2.5, 'ü']")));
    let second = client.cell("b", "await asyncio.sleep(0.01)\nx.append({1})\nprint('printed')\nx");
    assert_eq!((&second["value"], &second["cell"]), (&Value::Null, &json!(2)));
    assert_eq!(second["data"]["text/plain"], "[1, 2.5, 'ü', {1}]");
    assert_eq!(client.printed(), "printed\n");
    let rich = "class Rich:\n    def _repr_html_(self): return '<b>x</b>'\ndisplay(Rich())\nRich()";
    assert_eq!(client.cell("c", rich)["data"]["text/html"], "<b>x</b>");
    assert_eq!(
        client.seen.iter().find(|message| message["type"] == "display").unwrap()["data"]["text/html"],
        "<b>x</b>"
    );
    let error = client.cell("d", "def f():\n    return 1 / 0\nf()");
    assert_eq!((&error["type"], &error["name"]), (&json!("error"), &json!("ZeroDivisionError")));
    assert!(error["traceback"].as_str().unwrap().contains("File \"<cell 4>\", line 2, in f"), "{error}");
    let denied = client.cell("e", "open('/etc/passwd')");
    assert_eq!(denied["name"], "PermissionError");
    let denials: Vec<&Value> = client.seen.iter().filter(|message| message["type"] == "denied").collect();
    assert_eq!(denials.len(), 1, "{denials:?}");
    assert_eq!((&denials[0]["call"], &denials[0]["subject"]), (&json!("files.stat"), &json!("/etc/passwd")));
    assert_eq!(client.cell("stuck", "await asyncio.Event().wait()")["name"], "RuntimeError");
    // Sent again, it is not run again; another cell of that id is refused.
    let again = client.cell("b", "await asyncio.sleep(0.01)\nx.append({1})\nprint('printed')\nx");
    assert_eq!(again["repr"], second["repr"]);
    assert_eq!(client.cell("f", "len(x)")["value"], 4);
    assert_eq!(client.cell("b", "other")["name"], "InvalidCell");
    let half = client.call("execute", &json!({ "code": "if x:", "interactive": true }));
    assert_eq!(half["incomplete"], true);
    let whole = client.call("execute", &json!({ "code": "if x:\n    y = 7\n", "interactive": true }));
    assert_eq!((&whole["type"], &whole["incomplete"]), (&json!("result"), &json!(false)));
    for (line, part) in [("nonsense", "not a JSON object"), (r#"{"type": "run", "id": "g"}"#, "there is no request")] {
        writeln!(client.stdin.as_mut().unwrap(), "{line}").unwrap();
        assert!(client.of_type("error")["message"].as_str().unwrap().contains(part));
    }
    // Two at once come back in order.
    client.begin("h", "y += 1\ny");
    client.begin("i", "y += 1\ny");
    let status = client.call("status", &json!({}))["value"].clone();
    assert_eq!((client.answer("h")["value"].clone(), client.answer("i")["value"].clone()), (json!(8), json!(9)));
    assert_eq!(
        (&status["busy"], &status["state"], &status["queued"]),
        (&json!(true), &json!("running"), &json!(["i"]))
    );
    assert_eq!(client.call("interrupt", &json!({}))["name"], "idle");
    assert_eq!(client.call("shutdown", &json!({ "end": true }))["type"], "result");
    assert_eq!(client.host.wait().unwrap().code(), Some(0));
    let show = desk.everstep(&["show", "s", "--json"]).output().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&show.stdout).unwrap()["state"], "completed");
    let schema = jsonschema::validator_for(&session::schema()["message"]).unwrap();
    for message in &client.seen {
        assert!(schema.is_valid(message), "{message}");
    }
}

#[test]
fn what_is_open_is_delivered_again_and_an_answer_to_nothing_changes_nothing() {
    let desk = Desk::new();
    let mut client = desk.client();
    let code = "import everstep\nprint('before')\nw = await everstep.request('weather', {'city': 'Ulm'})\n\
                name = input('name? ')\nprint(name, w)\n[name, w]";
    client.begin("a", code);
    let asked = client.of_type("capability_request");
    assert_eq!((&asked["capability"], &asked["message"]), (&json!("weather"), &json!({ "city": "Ulm" })));
    let early = json!({ "request_id": "s.0", "value": 1 });
    assert_eq!(client.call("capability_response", &early)["name"], "not-pending");
    let request_id = asked["id"].clone();
    // Of another kind, or of another cell.
    let wrong = json!({ "request_id": request_id, "value": 1 });
    assert_eq!(client.call("input_response", &wrong)["name"], "not-pending");
    client.host.kill().unwrap();
    assert_eq!(client.printed(), "before\n");
    drop(client);

    let mut client = desk.client();
    assert_eq!(client.of_type("ready")["resumed"], true);
    let again = client.of_type("capability_request");
    assert_eq!((&again["id"], &again["message"]), (&request_id, &asked["message"]));
    client.begin("a", code);
    let response = json!({ "request_id": request_id, "value": { "sky": 12345678901234567890123_u128 as f64 } });
    assert_eq!(client.call("capability_response", &response)["type"], "result");
    assert_eq!(client.call("capability_response", &response)["name"], "not-pending");
    let question = client.of_type("input_request");
    assert_eq!((&question["kind"], &question["prompt"]), (&json!("input"), &json!("name? ")));
    // The client goes away this time; the host follows it.
    client.stdin = None;
    assert_eq!(client.host.wait().unwrap().code(), Some(0));
    drop(client);

    let mut client = desk.client();
    let again = client.of_type("input_request");
    assert_eq!(again["id"], question["id"]);
    assert_eq!(client.call("input_response", &json!({ "request_id": again["id"], "value": "Ada" }))["type"], "result");
    client.begin("a", code);
    let done = client.answer("a");
    assert_eq!((&done["value"][0], &done["cell"]), (&json!("Ada"), &json!(1)));
    assert!(client.printed().starts_with("Ada {"), "{}", client.printed());
    let failing = "import everstep\ntry: await everstep.request('weather')\nexcept everstep.EverstepError as error: result = [error.code, str(error)]\nresult";
    client.begin("b", failing);
    let asked = client.of_type("capability_request");
    let error = json!({ "code": "invalid", "message": "no such city" });
    client.call("capability_response", &json!({ "request_id": asked["id"], "error": error }));
    assert_eq!(client.answer("b")["value"], json!(["invalid", "no such city"]));
    // All that was printed, once more for whoever asks.
    let before = client.seen.len();
    client.call("resume", &json!({ "history": true }));
    let told = client.seen[before..].iter().filter(|message| message["type"] == "output");
    let told: String = told.map(|message| message["text"].as_str().unwrap()).collect();
    assert!(told.starts_with("before\nAda {"), "{told}");
}

#[test]
fn a_cell_is_interrupted_wherever_it_is_and_the_session_goes_on() {
    let desk = Desk::new();
    let mut client = desk.client();
    client.cell("0", "import asyncio, time, itertools\nkept = 'kept'\nasync def ticker():\n    global ticks\n    for ticks in itertools.count():\n        await asyncio.sleep(0.05)\nbeside = asyncio.create_task(ticker())");
    let cells = [
        "print('begun')\nwhile True: pass",
        "print('begun')\n10 ** 10 ** 8",
        "print('begun')\nimport re\nre.match(r'(a+)+$', 'a' * 40 + 'b')",
        "print('begun')\ntime.sleep(1000)",
        "print('begun')\nawait asyncio.sleep(1000)",
        "print('begun')\nawait asyncio.gather(asyncio.sleep(1000), asyncio.sleep(2000))",
        "print('begun')\nasyncio.run(asyncio.sleep(1000))",
        "print('begun')\ninput('? ')",
        "print('begun')\nimport everstep\nawait everstep.promise('who?')",
        "print('begun')\nwhile True:\n    print('.', end='', flush=True)\n    time.sleep(0.001)",
        "print('begun')\nwhile True: time.time()",
    ];
    for (n, code) in cells.iter().enumerate() {
        let id = format!("cell-{n}");
        client.begin(&id, code);
        client.until("begun", |message| message["text"] == "begun\n");
        std::thread::sleep(Duration::from_millis(50));
        client.ask("interrupt", &json!({}));
        let ended = client.answer(&id);
        assert_eq!((&ended["type"], &ended["name"]), (&json!("error"), &json!("KeyboardInterrupt")), "{code}: {ended}");
        assert_eq!(client.cell(&format!("after-{n}"), "kept")["value"], "kept", "{code}");
    }
    // What was asked for is not asked for any more.
    assert_eq!(client.call("status", &json!({}))["value"]["open"], json!([]));
    // At whatever moment it comes.
    for n in 0..8 {
        let id = format!("early-{n}");
        client.begin(&id, "await asyncio.sleep(1000)");
        std::thread::sleep(Duration::from_micros(n * 700));
        let ended = loop {
            let asked = client.ask("interrupt", &json!({}));
            match client.answer(&asked)["type"].as_str() {
                Some("result") => break client.answer(&id),
                // It had not begun.
                _ => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        assert_eq!(ended["name"], "KeyboardInterrupt");
        assert_eq!(client.cell(&format!("after-early-{n}"), "kept")["value"], "kept");
    }
    // A task that computes beside the cell takes a second one.
    let spin = "async def spin():\n    while True: pass\nprint('begun')\nbad = asyncio.create_task(spin())\nawait asyncio.sleep(1000)";
    client.begin("spin", spin);
    client.until("begun", |message| message["text"] == "begun\n");
    assert_eq!(client.interrupted("spin")["name"], "KeyboardInterrupt");
    assert_eq!(client.cell("spun", "bad.cancelled()")["value"], true);
    let caught =
        "try:\n    print('begun')\n    time.sleep(1000)\nexcept KeyboardInterrupt:\n    caught = 'caught'\ncaught";
    client.begin("caught", caught);
    client.until("begun", |message| message["text"] == "begun\n");
    client.ask("interrupt", &json!({}));
    assert_eq!(client.answer("caught")["value"], "caught");
    // The task beside them has lived through all of it, and so does everything else when it is repeated.
    let ticks = client.cell("ticks", "[kept, caught, beside.done(), ticks > 2]")["value"].clone();
    assert_eq!(ticks, json!(["kept", "caught", false, true]));
    client.host.kill().unwrap();
    drop(client);
    let mut client = desk.client();
    assert_eq!(client.cell("again", "[kept, caught, beside.done(), ticks > 2]")["value"], ticks);
}

/// Python's `pty` gives the prompt a terminal. Each step is what is waited for, and what is typed then.
#[test]
fn at_a_prompt_a_cell_is_typed_interrupted_and_found_again() {
    let desk = Desk::new();
    let script = "import json, os, pty, select, sys, time\n\
        pid, fd = pty.fork()\n\
        if pid == 0:\n    os.execv(sys.argv[2], sys.argv[2:])\n\
        seen, end, at = b'', time.time() + 400, 0\n\
        for awaited, typed in json.loads(sys.argv[1]):\n\
        \x20   while awaited.encode() not in seen[at:]:\n\
        \x20       if time.time() > end:\n            sys.exit(f'no {awaited!r} in {seen!r}')\n\
        \x20       if select.select([fd], [], [], 0.1)[0]:\n            seen += os.read(fd, 4096)\n\
        \x20   at = seen.index(awaited.encode(), at) + len(awaited)\n\
        \x20   if typed.startswith('\\x03'):\n        time.sleep(0.3)\n\
        \x20   os.write(fd, typed.encode())\n\
        while True:\n\
        \x20   try:\n        data = os.read(fd, 4096)\n\
        \x20   except OSError:\n        break\n\
        \x20   if not data:\n        break\n\
        \x20   seen += data\n\
        sys.stdout.buffer.write(seen)\n\
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n";
    let at_prompt = |steps: Value| {
        let mut python = Command::new("python3");
        python.args(["-c", script, &steps.to_string()]).arg(beside("everstep"));
        python.args(["repl", "--id", "p", "--cache", "cache"]).current_dir(desk.path()).env("TERM", "xterm");
        python.env("XDG_STATE_HOME", desk.path().join("state")).env_remove("EVERSTEP_LOG");
        let output = python.output().unwrap();
        let seen = String::from_utf8_lossy(&output.stdout).replace('\r', "");
        assert_eq!(output.status.code(), Some(0), "{seen}{}", String::from_utf8_lossy(&output.stderr));
        seen
    };
    let seen = at_prompt(json!([
        ["MB of WebAssembly, once: 0 s", ""],
        ["MB of WebAssembly, once: 1 s", ""],
        [" s, done\r\n", ""],
        [">>> ", "x = 20 + 1\r"],
        [">>> ", "x * 2\r"],
        ["42\r\n", ""],
        [">>> ", "def twice(n):\r"],
        ["... ", "    return n * 2\r"],
        ["... ", "\r"],
        // Tab completes a name, and an attribute.
        [">>> ", "twi\t(50)\r"],
        ["100\r\n", ""],
        [">>> ", "import os\r"],
        [">>> ", "os.path.joi\t('a', 'b')\r"],
        ["'a/b'\r\n", ""],
        [">>> ", "while True: pass\r"],
        ["... ", "\r"],
        ["\r\n", "\u{3}"],
        ["KeyboardInterrupt", ""],
        [">>> ", "name = input('wh' + 'o? ')\r"],
        ["who? ", "Ada\r"],
        [">>> ", "from everstep import ask\r"],
        [">>> ", "await ask('how ' + 'many? ', schema={'type': 'integer'})\r"],
        ["how many? ", "many\r"],
        ["how many? ", "3\r"],
        ["3\r\n", ""],
        [">>> ", "print(name, twice(x))\r"],
        ["Ada 42\r\n", ""],
        [">>> ", "1 / 0\r"],
        ["ZeroDivisionError: division by zero", ""],
        [">>> ", "\u{4}"],
    ]));
    assert!(seen.contains("go on with: everstep repl --id p"), "{seen}");
    let seen = at_prompt(json!([["Ada 42\r\n", ""], [">>> ", "twice(x) + 1\r"], ["43\r\n", ""], [">>> ", "exit()\r"]]));
    assert!(seen.starts_with("42\n100\n'a/b'\n3\nAda 42\n"), "{seen}");
    assert!(fs::read_to_string(desk.path().join("state/everstep/python_history")).unwrap().contains("x = 20 + 1"));
}

/// The attacks of a Python program, with packages built in: the host lives, the session goes on or has ended with a reason, nothing is had beyond
/// the limits.
#[test]
fn attacks_from_python_leave_the_session_usable_or_cleanly_ended() {
    // Each with what a cell after it has to say; none where the session may have ended, by a limit that it names.
    let attacks: [(&str, &str, Option<&str>); 31] = [
        ("while True: pass", "limits.cpu", None),
        ("10 ** 10 ** 8", "limits.cpu", None),
        ("import re\nre.match(r'(a+)+$', 'a' * 64 + 'b')", "limits.cpu", None),
        ("bytearray(10 ** 9)", "MemoryError", Some("alive")),
        ("leak = []\nwhile True: leak.append(bytearray(1 << 20))", "MemoryError", Some("alive")),
        ("def f(): f()\nf()", "RecursionError", Some("alive")),
        ("import sys\nsys.setrecursionlimit(10 ** 7)\ndef f(): f()\nf()", "", None),
        ("import json\njson.loads('[' * 100000)", "RecursionError", Some("alive")),
        ("eval('(' * 5000 + ')' * 5000)", "MemoryError", Some("alive")),
        ("x = []\nfor _ in range(200000): x = [x]\nrepr(x)", "RecursionError", Some("alive")),
        ("for n in range(10 ** 6): display(n)", "limits.", None),
        (
            "import asyncio, everstep\nawait asyncio.gather(*(everstep.promise(n) for n in range(10 ** 5)))",
            "limits.",
            None,
        ),
        ("import os\nos.urandom(1 << 31)", "", None),
        ("print('x' * 300_000_000)", "", None),
        ("import time\ntime.sleep(-1)", "ValueError", Some("alive")),
        ("open('/data/../../etc/passwd')", "PermissionError", Some("alive")),
        (
            "[open(path) for path in ('/etc/passwd', '/proc/self/environ', '/dev/sda', '//etc/passwd')]",
            "PermissionError",
            Some("alive"),
        ),
        ("open('/data/a\\0b')", "", Some("alive")),
        ("open('/data/' + 'n' * 5000)", "", Some("alive")),
        ("import os\nos.symlink('/etc/passwd', '/out/link')", "", Some("alive")),
        ("open('/out/big', 'wb').write(bytes(1 << 28))", "", None),
        ("import socket\nsocket.create_connection(('127.0.0.1', 22))", "PermissionError", Some("alive")),
        ("await fetch('http://169.254.169.254/latest/meta-data/')", "Denied", Some("alive")),
        ("import ctypes\nctypes.string_at(0)", "Unavailable", Some("alive")),
        (
            "from compression import zstd\nzstd.decompress(zstd.compress(bytes(1 << 24)) * 200)",
            "MemoryError",
            Some("alive"),
        ),
        ("import lzma\nlzma.decompress(b'\\xfd7zXZ\\0' + b'\\xff' * 999)", "LZMAError", Some("alive")),
        ("import requests\nrequests.get('http://169.254.169.254/latest/meta-data/')", "ConnectionError", Some("alive")),
        (
            "import urllib3\nurllib3.PoolManager().request('GET', 'http://0x7f000001:22/')",
            "MaxRetryError",
            Some("alive"),
        ),
        ("import yaml\nyaml.unsafe_load('!!python/object/apply:subprocess.run [[id]]')", "Error", Some("alive")),
        (
            "import yaml\nlines = ['a0: &a0 [1]'] + [f'a{n}: &a{n} [{\", \".join([f\"*a{n - 1}\"] * 9)}]' for n in range(1, 12)]\n\
             len(repr(yaml.safe_load('\\n'.join(lines))))",
            "",
            None,
        ),
        ("open('/python/site-packages/requests/__init__.py', 'w')", "PermissionError", Some("alive")),
    ];
    let desk = Desk::new();
    let (packages, _) = crate::python_packages::Desk::with_real_packages();
    let real = packages.path("real.wasm");
    // Compiled before the first of them is measured.
    assert!(packages.run(&["exec", "--python", "real.wasm", "-c", "1"]).status.success());
    let policy = fs::read_to_string(desk.path().join("policy.toml")).unwrap();
    let policy = policy.replace("cpu = \"60s\"\n", "");
    let limits = "cpu = \"3s\"\noutput = \"1MiB\"\nmemory = \"128MiB\"\nsteps = 1_000_000\n";
    fs::write(desk.path().join("policy.toml"), policy.replace("steps = 1_000_000\n", limits)).unwrap();
    for (attack, says, alive) in attacks {
        let store = tempfile::tempdir_in(desk.path()).unwrap();
        let mut command = desk.everstep(&["session", "--id", "s", "--policy", "policy.toml"]);
        command.arg("--store").arg(store.path()).arg("--python").arg(&real);
        let mut client = Client::start(command);
        client.cell("before", "alive = 'alive'");
        let ended = client.cell("attack", attack);
        let told =
            format!("{} {}", ended["name"].as_str().unwrap_or_default(), ended["message"].as_str().unwrap_or_default());
        assert!(told.contains(says), "{attack}: {ended}");
        let after = client.cell("after", "alive");
        match alive {
            Some(alive) => assert_eq!(after["value"], alive, "{attack}: {ended}, {after}"),
            None => assert!(after["value"] == "alive" || after["name"] == "ended", "{attack}: {ended}, {after}"),
        }
        assert_eq!(client.host.try_wait().unwrap(), None, "{attack}: the host has ended");
        let peak = fs::read_to_string(format!("/proc/{}/status", client.host.id())).unwrap();
        let peak = peak.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB");
        assert!(peak.parse::<u64>().unwrap() < 1_200_000, "{attack}: {peak} kB");
    }
}

#[test]
fn a_program_prints_the_same_when_it_is_repeated_and_another_one_draws_something_else() {
    let code = "import asyncio, datetime, os, random, time, uuid\nprint(time.time(), time.monotonic(), datetime.datetime.now())\n\
                print(random.random(), random.sample(range(100), 5), uuid.uuid4(), os.urandom(8).hex())\n\
                print({'b', 'a', 'c', 'd'}, {1.5, 'x', (1, 2)}, dict(zip('xyz', range(3))), hash('text'))\n\
                order = []\nasync def nap(n):\n    for _ in range(3):\n        await asyncio.sleep(random.random() / 100)\n        order.append(n)\n\
                async def all(): await asyncio.gather(*(nap(n) for n in range(10)))\nawait all()\nprint(order)";
    let desk = Desk::new();
    fs::write(desk.path().join("p.py"), code).unwrap();
    let run = |id: &str| {
        let output = desk.everstep(&["exec", "p.py", "--id", id]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // Each print, compared with the one that is recorded.
        let replayed = desk.everstep(&["replay", id, "--json"]).output().unwrap();
        assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (first, second) = (run("a"), run("b"));
    assert_eq!((first.len(), &first[2]), (4, &second[2]));
    for line in [0, 1, 3] {
        assert_ne!(first[line], second[line]);
    }
}
