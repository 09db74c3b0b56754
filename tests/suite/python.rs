//! Python programs: what they print, what becomes of their errors, and that a crash changes neither.

use crate::determinism::time;
use crate::network::servers::response;
use crate::site::Site;
use crate::support::{Calls, Place, Shown, boundaries, failure, id, life, outcome, parse, result, soon, stored};
use crate::websocket::{self, Heard};
use everstep::clock::TestClock;
use everstep::output::Content;
use everstep::store::{Change, Execution, FailureKind, State};
use everstep::{Component, ErrorCode, Patience, Policy, Run, Scope};
use everstep_tests::guests;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock};
use tempfile::TempDir;

pub(crate) static PYTHON: LazyLock<Component> =
    LazyLock::new(|| std::fs::read(beside("everstep-python.wasm")).unwrap().into());

/// A file beside the program that these tests run, `target/release`.
pub(crate) fn beside(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let file = tests.parent().unwrap().parent().unwrap().join(name);
    assert!(file.is_file(), "{} is missing; `make build` makes it", file.display());
    file
}

/// A folder to read, one to write, and a policy for both.
struct Desk {
    folder: TempDir,
    policy: Policy,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["data", "out"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("data/lines.txt"), "one\ntwo\nthree\n").unwrap();
        let policy = parse(&policy(folder.path()));
        Self { folder, policy }
    }

    fn run(&self, code: &str) -> Run {
        self.anew(code).with_id(id("x"))
    }

    /// A run under an id of its own, for a place that has Python already: it is large.
    fn anew(&self, code: &str) -> Run {
        let args = json!({ "code": code }).to_string();
        Run::new(PYTHON.clone(), "execute", args, self.policy.clone())
    }

    fn out(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join("out").join(name)).unwrap()
    }
}

fn policy(folder: &Path) -> String {
    let folder = folder.display();
    let names = ["print", "display", "input"].map(|name| format!("[[capability]]\nname = \"{name}\"\n")).concat();
    format!(
        "[limits]\nwasm_stack = \"8MiB\"\n[clock]\nmode = \"recorded\"\n[random]\nmode = \"seeded\"\n{names}\
         [[files]]\nid = \"data\"\nguest = \"/data\"\nhost = \"{folder}/data\"\naccess = \"read\"\n\
         [[files]]\nid = \"out\"\nguest = \"/out\"\nhost = \"{folder}/out\"\naccess = \"write\"\n"
    )
}

pub(crate) fn printed(shown: &Shown) -> String {
    let stdout = |content: Content| if let Content::Stdout(text) = content { text } else { String::new() };
    shown.all().into_iter().map(|output| stdout(output.content)).collect()
}

/// The lines of a script that begin with `#> `: what it prints.
fn expected(script: &str) -> String {
    let lines = script.lines().filter_map(|line| line.strip_prefix("#>"));
    lines.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect()
}

#[test]
fn a_program_learns_that_its_call_has_halted_if_it_wants_that() {
    for place in Place::each() {
        let mut desk = Desk::new();
        let call = "[[capability]]\nname = \"call\"\n";
        desk.policy = parse(&format!("{}{call}", policy(desk.folder.path())));
        desk.policy.limits.steps = 60;
        let run = desk.run(
            "from everstep import call\n\
         try: await call('execute', {'code': 'import time\\nwhile True: time.time()'}, fail_on_halt=True)\n\
         except Exception as error: told = str(error)\n\
         told",
        );
        life(async {
            let host = place.host().scope(Scope::Started).build().unwrap();
            let report = soon("the end", host.run(run)).await.unwrap();
            let told = "it halted: the limit of 60 steps is reached (limits.steps)";
            assert!(result(&report).contains(told), "{report:?}");
        });
    }
}

#[test]
fn every_script_prints_what_it_says() {
    for place in Place::each() {
        let folder = guests::project().join("tests/python");
        let mut scripts: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        scripts.sort();
        let mut wrong = Vec::new();
        for path in &scripts {
            let script = std::fs::read_to_string(path).unwrap();
            let shown = Shown::default();
            let report = outcome(place.host().on_output(shown.sink()), Desk::new().anew(&script));
            if report.state != State::Completed || printed(&shown) != expected(&script) {
                wrong.push(format!("{}: {report:?}\n{}", path.display(), printed(&shown)));
            }
        }
        assert!(scripts.len() >= 30 && wrong.is_empty(), "{}", wrong.join("\n\n"));
    }
}

#[test]
fn a_program_has_the_value_of_its_last_expression_and_the_names_that_are_json() {
    for place in Place::each() {
        let code = "import math\ncount, items, nested = 3, [1, 'two', None], {'k': {'deep': True}}\n\
                _private, a_set, a_tuple, not_a_number = 1, {1}, (1, 2), float('nan')\ncount + 1";
        let report = outcome(place.host(), Desk::new().anew(code));
        let got: Value = serde_json::from_str(result(&report)).unwrap();
        let namespace = json!({ "count": 3, "items": [1, "two", null], "nested": { "k": { "deep": true } } });
        assert_eq!(got, json!({ "value": 4, "repr": "4", "namespace": namespace }));
        for (code, value, repr) in [
            ("{1}", Value::Null, "{1}"),
            ("1;", Value::Null, "None"),
            ("1  # no;", json!(1), "1"),
            ("x = 1", Value::Null, "None"),
        ] {
            let report = outcome(place.host(), Desk::new().anew(code));
            let got: Value = serde_json::from_str(result(&report)).unwrap();
            assert_eq!((&got["value"], &got["repr"]), (&value, &json!(repr)), "{code}");
        }
    }
}

#[test]
fn a_program_that_traps_has_failed_and_is_not_run_again() {
    for place in Place::each() {
        let desk = Desk::new();
        // Iterators in C that call each other, which no limit of Python's own counts.
        let iterators = "print('begun')\nimport itertools\ndeep = iter(())\n\
                         for _ in range(200_000): deep = itertools.chain(deep)\nnext(deep, None)";
        for (code, cause) in [
            (iterators, "call stack exhausted"),
            ("print('begun')\nopen('/out/a', 'a').write('once ')\nimport os\nos.abort()", "unreachable"),
            ("print('begun')\nopen('/out/a', 'a').write('twice ')\nimport os\nos._exit(3)", "exit code 3"),
            ("print('begun')\ndeep = ()\nfor _ in range(10 ** 6): deep = (deep,)\nhash(deep)", "call stack exhausted"),
        ] {
            let shown = Shown::default();
            let report = outcome(place.host().on_output(shown.sink()), desk.anew(code));
            assert_eq!(report.state, State::Failed, "{report:?}");
            let (kind, message) = failure(&report);
            assert!(kind == FailureKind::Returned(ErrorCode::Failed) && message.contains(cause), "{kind:?} {message}");
            assert_eq!(printed(&shown), "begun\n");
        }
        assert_eq!(desk.out("a"), "once twice ");
    }
}

#[test]
fn half_of_a_surrogate_pair_is_an_answer_like_any_other() {
    for place in Place::each() {
        for (code, told) in [
            ("raise ValueError('\\ud83d')", "ValueError: \\ud83d"),
            ("import sys\nsys.exit('\\ud83d')", "the program ended with exit code 1"),
            ("print('\\ud83d')", "UnicodeEncodeError"),
            ("input('\\ud83d')", "UnicodeEncodeError"),
        ] {
            let report = outcome(place.host(), Desk::new().anew(code));
            let (_, message) = failure(&report);
            assert!(report.state == State::Failed && message.contains(told), "{code}: {report:?}");
        }
        let code = "half = '\\ud83d'\nkeyed = {half: 1}\nwhole = '\u{1f600}'\n[half]";
        let report = outcome(place.host(), Desk::new().anew(code));
        let got: Value = serde_json::from_str(result(&report)).unwrap();
        assert_eq!(got, json!({ "value": null, "repr": "['\\ud83d']", "namespace": { "whole": "\u{1f600}" } }));
    }
}

#[test]
fn an_error_has_a_traceback_into_the_program_and_nothing_of_ours() {
    for place in Place::each() {
        let cases = [
            (
                "def f(n):\n    return 1 / n\n\nf(0)",
                ErrorCode::Failed,
                "line 4, in <module>",
                "ZeroDivisionError: division by zero",
            ),
            (
                "await __import__('asyncio').sleep(0)\nf(",
                ErrorCode::Failed,
                "line 2",
                "SyntaxError: '(' was never closed",
            ),
            ("open('/etc/passwd')", ErrorCode::Denied, "line 1, in <module>", "PermissionError"),
            (
                "import asyncio\nawait asyncio.Event().wait()",
                ErrorCode::Failed,
                "",
                "RuntimeError: the program waits for something that nothing can make happen",
            ),
            ("class Odd(BaseException): pass\nraise Odd('x')", ErrorCode::Failed, "line 2", "Odd: x"),
            ("raise KeyboardInterrupt", ErrorCode::Failed, "line 1", "KeyboardInterrupt"),
        ];
        for (code, kind, at, end) in cases {
            let report = outcome(place.host(), Desk::new().anew(code));
            let (found, message) = failure(&report);
            assert_eq!(found, FailureKind::Returned(kind), "{message}");
            assert!(message.contains(at) && (at.is_empty() || message.contains("File \"<program>\"")), "{message}");
            // Below a denial is its reason.
            let last = message.lines().rfind(|line| !line.starts_with("files ")).unwrap();
            assert!(last.starts_with(end), "{message}");
            assert!(!message.contains("/everstep/") && !message.contains("app.py"), "{message}");
        }
    }
}

#[test]
fn what_a_program_leaves_open_is_written_when_it_ends() {
    for place in Place::each() {
        let program = "import atexit\natexit.register(print, 'bye')\ntext = open('/out/text', 'w')\ntext.write('all of it')\n\
                   raw = open('/out/bytes', 'wb')\nraw.write(b'and this')\n";
        for end in ["", "raise SystemExit(1)", "1 / 0", "del text, raw"] {
            let (desk, shown) = (Desk::new(), Shown::default());
            outcome(place.host().on_output(shown.sink()), desk.anew(&format!("{program}{end}")));
            assert_eq!((desk.out("text"), desk.out("bytes")), ("all of it".to_owned(), "and this".to_owned()), "{end}");
            assert_eq!(printed(&shown), "bye\n", "{end}");
        }
    }
}

#[test]
fn a_program_reaches_what_its_policy_grants_and_is_told_of_the_rest() {
    for place in Place::each() {
        let site = Site::start(|received| match received.line() {
            "GET /data" => response("200 OK", &[("content-type", "application/json")], br#"{"a": 1}"#),
            "POST /data" => response("201 Created", &[], received.header("content-type")[0].as_bytes()),
            _ => response("404 Not Found", &[], b""),
        });
        let policy = format!(
            "[network]\nblock = [\"non-global\"]\nallow = [\"127.0.0.1/32\"]\n\
         [[fetch]]\nid = \"s\"\nurl = \"{}\"\nmethods = [\"GET\", \"POST\"]\n{}",
            site.url("/**"),
            ["print", "display", "call", "echo"].map(|name| format!("[[capability]]\nname = \"{name}\"\n")).concat()
        );
        let policy = parse(&format!("[clock]\nmode = \"recorded\"\n[random]\nmode = \"seeded\"\n{policy}"));
        let code = r#"
import asyncio, everstep
class Rich:
    def _repr_html_(self): return "<b>rich</b>"
    def __repr__(self): return "plain"
async def tried(what):
    try: return await what
    except everstep.EverstepError as error: return [error.code, isinstance(error, PermissionError)]
display(Rich())
got = await fetch(SITE + "/data")
sent = await fetch(SITE + "/data", json=[1])
both = await asyncio.gather(*(fetch(f"{SITE}/{n}") for n in "ab"))
answers = [
    [got.status, got.json(), sent.status, sent.text, [one.status for one in both]],
    [await tried(fetch("http://example.org/")), await tried(fetch("no url")), await tried(websocket("ws://example.org/"))],
    [await tried(everstep.request("missing")), await tried(everstep.ask("?")), await tried(everstep.promise())],
    [await everstep.request("echo", {"k": 1}), (await call("execute", {"code": "20 + 1"}))["value"], everstep.execution_id()],
]
answers"#;
        let args = json!({ "code": code, "namespace": { "SITE": site.url("") } }).to_string();
        let shown = Shown::default();
        let host = place.host().scope(Scope::Started).on_output(shown.sink());
        let host = host.capability("echo", Calls::default().echo());
        let report = outcome(host, Run::new(PYTHON.clone(), "execute", args, policy).with_id(id("x")));
        let got: Value = serde_json::from_str(result(&report)).unwrap();
        let denied = json!(["denied", true]);
        let expected = json!([
            [200, { "a": 1 }, 201, "application/json", [404, 404]],
            [denied, ["invalid", false], denied],
            [denied, denied, denied],
            [{ "k": 1 }, 21, "x"],
        ]);
        assert_eq!(got["value"], expected);
        let lines = shown.lines();
        assert_eq!(lines[0], "text/html=<b>rich</b>;text/plain=plain;");
        let denied: Vec<&str> = lines[1..].iter().map(|line| line.split(':').next().unwrap()).collect();
        let calls = ["http.fetch", "websocket.connect", "bridge.send-request", "console.input", "promises.create"];
        assert_eq!(denied, calls);
        assert_eq!(site.requests().len(), 4);
    }
}

#[test]
fn a_program_talks_over_a_websocket_and_is_told_when_it_ends() {
    let heard = Heard::default();
    let site = websocket::echo(&heard);
    let policy = websocket::on(
        &site,
        "[clock]\nmode = \"recorded\"\n[random]\nmode = \"seeded\"\n[limits]\nwasm_stack = \"8MiB\"",
    );
    let code = r#"
import asyncio, everstep
async def talk(*messages):
    async with await websocket(URL) as chat:
        for one in messages:
            await chat.send(one)
        heard = [repr(one) async for one in chat]
        try:
            await chat.receive()
        except everstep.WebSocketClosed as closed:
            return [*heard, closed.cause]
async def hangs_up():
    chat = await websocket(URL)
    chat.close(3001, "enough")
    try:
        return [repr(await chat.receive())]
    except everstep.WebSocketClosed as closed:
        return [closed.cause, closed.status, closed.reason]
await asyncio.gather(talk("grüße", b"\x00\xff", "bye"), talk("bye"), hangs_up())"#;
    let args = json!({ "code": code, "namespace": { "URL": websocket::url(&site) } }).to_string();
    let mut runs = 0;
    for place in Place::each() {
        runs += 1;
        let run = Run::new(PYTHON.clone(), "execute", args.clone(), policy.clone()).with_id(id("x"));
        let report = outcome(place.host(), run);
        let got: Value = serde_json::from_str(result(&report)).unwrap();
        let talked = json!(["'grüße'", "b'\\x00\\xff'", "peer"]);
        assert_eq!(got["value"], json!([talked, ["peer"], ["guest", 3001, "enough"]]));
    }
    assert_eq!(heard.all().iter().filter(|said| said.last().is_some_and(|last| last == "bye")).count(), 2 * runs);
}

#[test]
fn a_question_waits_while_no_host_runs_and_what_was_before_it_is_the_same_after() {
    let code = "import random, uuid, time\nbefore = [random.random(), str(uuid.uuid4()), time.time()]\nprint('asked')\n\
                answer = input('well? ')\nprint(answer.upper())\n[before, answer]";
    for place in Place::each() {
        place.equip(&PYTHON);
        let (desk, shown) = (Desk::new(), Shown::default());
        let host = || place.host().on_output(shown.sink());
        let suspended = outcome(host(), desk.run(code).without_waiting());
        assert_eq!(suspended.state, State::Suspended, "{suspended:?}");
        let drawn = life(async {
            let host = host().build().unwrap();
            let asked = host.reader().promises().await.unwrap().remove(0);
            host.settle(&asked.id, Ok(json!("fine").to_string())).await.unwrap();
            host.reader().steps(&id("x")).await.unwrap().len()
        });
        let done = outcome(host(), desk.run(code));
        assert!(done.replayed >= drawn as u64 - 1, "{done:?}");
        let got: Value = serde_json::from_str(result(&done)).unwrap();
        assert_eq!(got["value"][1], "fine");
        assert_eq!(printed(&shown), "asked\nFINE\n");
        let other = outcome(place.host(), desk.run("import random; [random.random()]").with_id(id("y")));
        let other: Value = serde_json::from_str(result(&other)).unwrap();
        assert_ne!(other["value"][0], got["value"][0][0], "two executions drew the same");
    }
}

#[test]
fn a_program_cut_off_after_any_record_comes_to_the_same_end() {
    let code = "import asyncio, random\nlines = open('/data/lines.txt').read().split()\norder = []\n\
                async def nap(n):\n    await asyncio.sleep(0.01 * (n % 3))\n    order.append(n)\n    return n * n\n\
                squares = await asyncio.gather(*(nap(n) for n in range(10)))\nprint(squares)\n\
                with open('/out/sum.txt', 'w') as file:\n    print(sum(squares), random.random(), file=file)\n\
                [lines, order, squares, open('/out/sum.txt').read()]";
    let desk = Desk::new();
    // No server: it writes the tables.
    for place in Place::local() {
        let (execution, journal) = life(async {
            let host = place.by(Arc::new(TestClock::at(1_700_000_000_000)), place.host()).build().unwrap();
            assert_eq!(host.run(desk.run(code)).await.unwrap().state, State::Completed);
            (host.reader().execution(&id("x")).await.unwrap(), host.reader().journal(&id("x")).await.unwrap())
        });
        let written = desk.out("sum.txt");
        let component = std::fs::read(beside("everstep-python.wasm")).unwrap();
        let ends = boundaries(&journal);
        assert!(ends.len() > 10, "it records too little: {}", ends.len());
        // One for all of them, since Python is large.
        let cuts = place.another();
        let store = cuts.store();
        let blobs = [
            Change::Blob(execution.component, component.into()),
            Change::Blob(execution.policy, desk.policy.canonical().into_bytes().into()),
        ];
        store.commit(&blobs).unwrap();
        for (start, end) in [0].into_iter().chain(ends.iter().copied()).zip(ends.iter().copied()) {
            // A crash takes no time here: with it, what sleeps after it would wake up in another order.
            let clock = Arc::new(TestClock::at(time(&journal[start + 8..end])));
            let (name, key) = (id(&format!("x-{end}")), Some(store.fresh_key().unwrap()));
            let cut = Execution { id: name.clone(), key, ..execution.clone() };
            stored(&*store, &cut, journal[..end].to_vec());
            life(async {
                let host = cuts.by(clock, cuts.host()).build().unwrap();
                let handle = host.resume(&name, Patience::Forever).await.unwrap();
                let report = soon(&format!("the end from byte {end}"), handle.wait()).await.unwrap();
                assert_eq!(report.result, execution.result, "from byte {end}: {report:?}");
            });
            assert_eq!(desk.out("sum.txt"), written);
        }
    }
}

#[test]
fn a_program_goes_on_with_the_python_that_it_began_with() {
    // One place: it drives the program, whose store is its own.
    let folder = tempfile::tempdir().unwrap();
    let everstep = |args: &[&str], python: Option<&Path>| {
        let mut command = Command::new(beside("everstep"));
        command.args(args).args(["--store", "store"]).current_dir(folder.path()).stdin(Stdio::null());
        command.envs(python.map(|file| ("EVERSTEP_PYTHON", file))).output().unwrap()
    };
    let another = folder.path().join("another.wasm");
    // A component, with nothing in it.
    std::fs::write(&another, b"\0asm\x0d\0\x01\0").unwrap();
    let program = "print('asks')\nprint('got', input('? '))";
    let begun = everstep(&["exec", "-c", program, "--id", "x", "--no-wait"], None);
    assert_eq!(begun.status.code(), Some(125), "{begun:?}");
    let refused = everstep(&["exec", "-c", program, "--id", "y"], Some(&another));
    assert_eq!(refused.status.code(), Some(2), "a new one needs what is in Python: {refused:?}");
    let open = String::from_utf8(everstep(&["promise", "list"], None).stdout).unwrap();
    let promise = open.split_whitespace().find(|word| word.starts_with("x.")).unwrap();
    assert!(everstep(&["promise", "resolve", promise, "\"it\""], None).status.success());
    let ended = everstep(&["exec", "-c", program, "--id", "x"], Some(&another));
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert_eq!(String::from_utf8(ended.stdout).unwrap(), "got it\n");
}

#[test]
fn exec_runs_a_file_a_text_and_standard_input() {
    // One place: it drives the program, whose store is its own.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("p.py"), "import sys\nprint('from a file', file=sys.stdout)\n1 + 1\n").unwrap();
    let exec = |args: &[&str], input: &str| {
        let mut command = Command::new(beside("everstep"));
        command.arg("exec").args(args).current_dir(folder.path()).env_remove("EVERSTEP_LOG");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        let done = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (done.status.code().unwrap(), text(done.stdout), text(done.stderr))
    };
    let quiet = |stdout: &str| (0, stdout.to_owned(), String::new());
    assert_eq!(exec(&["-c", "print(1+1)"], ""), quiet("2\n"));
    assert_eq!(exec(&["p.py"], ""), quiet("from a file\n"));
    assert_eq!(exec(&["-", "--store", "memory"], "import asyncio\nawait asyncio.sleep(0)\nprint('in')"), quiet("in\n"));
    let (code, stdout, _) = exec(&["-c", "print('shown'); 6 * 7", "--id", "a", "--json"], "");
    assert_eq!(
        (code, &serde_json::from_str::<Value>(&stdout).unwrap()["result"]["value"]),
        (0, &json!(42)),
        "{stdout}"
    );
    assert_eq!(exec(&["-c", "print('shown'); 6 * 7", "--id", "a"], ""), quiet(""));
    let (code, stdout, stderr) = exec(&["-c", "print('before')\n1/0"], "");
    assert_eq!((code, &*stdout), (1, "before\n"));
    assert!(stderr.starts_with("Traceback") && stderr.ends_with("ZeroDivisionError: division by zero\n"), "{stderr}");
    let (code, _, stderr) = exec(&["-c", "open('/etc/passwd')"], "");
    assert_eq!(code, 3, "{stderr}");
    std::fs::write(folder.path().join("app.py"), "def f():\n    1/0\nf()\n").unwrap();
    let (_, _, stderr) = exec(&["app.py"], "");
    assert!(stderr.contains("File \"app.py\", line 2, in f"), "{stderr}");
    std::fs::write(folder.path().join("bare.toml"), "version = 1\nname = \"bare\"\n").unwrap();
    let (code, _, stderr) = exec(&["app.py", "--policy", "bare.toml"], "");
    assert!(code == 2 && stderr.contains("[clock]") && stderr.contains("[random]"), "{stderr}");
    assert_eq!(exec(&["missing.py"], "").0, 2);
    assert_eq!(exec(&[], "").0, 2);
    assert_eq!(exec(&["p.py", "-c", "1"], "").0, 2);
}

#[test]
fn two_programs_that_add_to_one_file_lose_no_line() {
    for place in Place::each() {
        const LINES: usize = 30;
        let desk = Desk::new();
        let program = |name: &str| {
            let code = format!(
                "log = open('/out/log', 'a')\nfor line in range({LINES}):\n    log.write(f'{name} {{line}}\\n')\n    log.flush()\n    await __import__('asyncio').sleep(0)\n"
            );
            desk.run(&code).with_id(id(name))
        };
        let (a, b) = life(async {
            let host = place.host().build().unwrap();
            let (a, b) = tokio::join!(host.run(program("a")), host.run(program("b")));
            (a.unwrap(), b.unwrap())
        });
        assert_eq!((a.state, b.state), (State::Completed, State::Completed), "{a:?} {b:?}");
        let log = desk.out("log");
        for name in ["a", "b"] {
            let own: Vec<_> = log.lines().filter(|line| line.starts_with(name)).collect();
            assert_eq!(own, (0..LINES).map(|line| format!("{name} {line}")).collect::<Vec<_>>(), "{log}");
        }
        assert_eq!(log.lines().count(), 2 * LINES);
    }
}
