//! Cells that trap, reach a limit or attack what runs them: each is answered, and the session goes on.

use super::*;

/// How a desk bounds its cells.
fn limited(desk: &Desk, limits: &str) {
    let policy = fs::read_to_string(desk.path().join("policy.toml")).unwrap();
    fs::write(desk.path().join("policy.toml"), policy.replace("cpu = \"60s\"\n", limits)).unwrap();
}

#[test]
fn a_cell_that_traps_is_answered_and_the_session_goes_on_as_it_was_before_it() {
    let desk = Desk::new();
    let mut client = desk.client();
    client.cell("a", "import asyncio, itertools, os, everstep\nkept = ['kept']\nasync def ticker():\n    global ticks\n    for ticks in itertools.count():\n        await asyncio.sleep(0.05)\nbeside = asyncio.create_task(ticker())");
    // It has shown, asked and written something by then.
    let doomed = "kept.append('gone')\nprint('shown')\nopen('/out/written', 'w').write('once')\n\
                  asked = asyncio.create_task(everstep.promise('who?'))\nawait asyncio.sleep(0.2)\nos.abort()";
    let ended = client.cell("doomed", doomed);
    assert_eq!((&ended["type"], &ended["name"]), (&json!("error"), &json!("Trapped")), "{ended}");
    assert!(ended["message"].as_str().unwrap().contains("unreachable"), "{ended}");
    let gone = client.cell("after", "[kept, beside.done(), 'asked' in globals()]")["value"].clone();
    assert_eq!(gone, json!([["kept"], false, false]));
    assert_eq!(fs::read_to_string(desk.path().join("out/written")).unwrap(), "once");
    assert_eq!(client.call("status", &json!({}))["value"]["open"], json!([]));
    // It has run: another host does not run it again, and so it is with a cell that ends the program from C, or by a depth that nothing
    // measures.
    assert_eq!(client.cell("doomed", doomed)["name"], "Trapped");
    assert_eq!(client.cell("left", "os._exit(3)")["name"], "Trapped");
    let deep = "deep = ()\nfor _ in range(10 ** 6): deep = (deep,)\nhash(deep)";
    assert!(client.cell("deep", deep)["message"].as_str().unwrap().contains("call stack exhausted"));
    // Iterators in C that call each other.
    let iterators = "deep = iter(())\nfor _ in range(200_000): deep = map(int, deep)\nnext(deep, None)";
    assert!(client.cell("iterators", iterators)["message"].as_str().unwrap().contains("call stack exhausted"));
    assert_eq!(client.cell("kept", "[kept, 'deep' in globals()]")["value"], json!([["kept"], false]));
    assert_eq!(client.cell("ticks", "before = ticks\nawait asyncio.sleep(0.3)\nticks > before")["value"], true);
    client.host.kill().unwrap();
    drop(client);
    let mut client = desk.client();
    assert_eq!(
        client.cell("again", "[kept, beside.done(), 'deep' in globals()]")["value"],
        json!([["kept"], false, false])
    );
    assert_eq!(client.cell("doomed", doomed)["name"], "Trapped");
    assert_eq!(client.call("shutdown", &json!({}))["type"], "result");
    assert_eq!(client.host.wait().unwrap().code(), Some(0));
    let replayed = desk.everstep(&["replay", "s", "--json"]).output().unwrap();
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
}

#[test]
fn what_is_left_running_and_traps_is_ended_and_the_session_goes_on() {
    let desk = Desk::new();
    let mut client = desk.client();
    let left = "import asyncio, os\nasync def end():\n    await asyncio.sleep(0.1)\n    os.abort()\nkept = 'kept'\nlate = asyncio.create_task(end())";
    assert_eq!(client.cell("left", left)["type"], "result");
    let told = client.until("the end of what was left", |message| message["stream"] == "stderr");
    assert!(told["text"].as_str().unwrap().contains("unreachable"), "{told}");
    assert_eq!(client.cell("after", "[kept, len(asyncio.all_tasks())]")["value"], json!(["kept", 1]));
    client.host.kill().unwrap();
    drop(client);
    assert_eq!(desk.client().cell("again", "kept")["value"], "kept");
}

#[test]
fn no_cell_ends_what_runs_the_cells() {
    let desk = Desk::new();
    let mut client = desk.client();
    client.cell("0", "import asyncio, builtins, json, sys\nkept = 'kept'\nloop = asyncio.get_running_loop()");
    let cells = [
        ("for task in asyncio.all_tasks() - {asyncio.current_task()}: task.cancel()", ""),
        ("for task in asyncio.all_tasks(): task.cancel()", "CancelledError"),
        ("loop.stop()", "RuntimeError"),
        ("loop.close()", "RuntimeError"),
        ("loop._stopping = True", ""),
        ("loop._ready.clear()\nawait asyncio.Event().wait()", "RuntimeError"),
        ("loop._ready = loop._scheduled = None", ""),
        ("loop.call_soon = None\nawait asyncio.sleep(0.01)", ""),
        ("asyncio.Task = asyncio.create_task = asyncio.current_task = None", ""),
        ("builtins.isinstance = None", "Trapped"),
        ("import everstep\neverstep.PLAIN = None", "Trapped"),
        ("taken = []\ntry:\n    while True: taken.append(bytes(1000))\nexcept MemoryError: pass", "Trapped"),
        ("json.dumps = json.loads = builtins.compile = None", ""),
        ("sys.stdout = sys.stderr = None", ""),
        ("sys.setrecursionlimit(2 ** 31 - 1)", ""),
        ("raise GeneratorExit", "GeneratorExit"),
        ("class Odd(Exception):\n    def __str__(self): raise SystemExit\nraise Odd", "Odd"),
        (
            "def deeper(n):\n    try: deeper(n + 1)\n    except RecursionError:\n        print('here', flush=True)\n        raise\nsys.setrecursionlimit(1000)\ndeeper(0)",
            "RecursionError",
        ),
        (
            "class Deep:\n    def __repr__(self):\n        try: return repr(self)\n        except RecursionError:\n            print('here')\n            raise\nrepr(Deep())",
            "RecursionError",
        ),
    ];
    for (n, (code, name)) in cells.iter().enumerate() {
        let ended = client.cell(&format!("cell-{n}"), code);
        assert!(ended["name"].as_str().unwrap_or_default().starts_with(name), "{code}: {ended}");
        assert!(!name.is_empty() || ended["name"] != "Trapped", "{code}: {ended}");
        assert_eq!(client.cell(&format!("after-{n}"), "kept")["value"], "kept", "{code}: {ended}");
    }
}

#[test]
fn half_of_a_surrogate_pair_is_answered_at_every_door() {
    let desk = Desk::new();
    let mut client = desk.client();
    client.cell("0", "import everstep, sys");
    let raises = [
        ("raise ValueError('\\ud83d')", "ValueError"),
        ("raise ValueError('\\udcff', {'\\ud83d': 1})", "ValueError"),
        ("sys.exit('\\ud83d')", "SystemExit"),
        ("class Odd(Exception):\n    def __str__(self): return '\\ud83d'\nraise Odd", "Odd"),
        ("print('\\ud83d')", "UnicodeEncodeError"),
        ("input('\\ud83d')", "UnicodeEncodeError"),
        ("await fetch('http://localhost/\\ud83d')", "UnicodeEncodeError"),
        ("await fetch('http://localhost/', headers={'\\ud83d': 'x'})", "UnicodeEncodeError"),
        ("await fetch('http://localhost/', headers={'x': '\\ud83d'})", "UnicodeEncodeError"),
        ("await fetch('http://localhost/', method='\\ud83d')", "UnicodeEncodeError"),
        ("await fetch('http://localhost/', body='\\ud83d')", "UnicodeEncodeError"),
        ("await fetch('http://localhost/', json={'\\ud83d': 1})", "UnicodeEncodeError"),
        ("await websocket('ws://localhost/\\ud83d')", "UnicodeEncodeError"),
        ("await call('\\ud83d')", "UnicodeEncodeError"),
        ("await call('execute', {'code': '\\ud83d'})", "UnicodeEncodeError"),
        ("await everstep.request('weather', '\\ud83d')", "UnicodeEncodeError"),
        ("await everstep.request('\\ud83d')", "UnicodeEncodeError"),
        ("await everstep.ask('\\ud83d')", "UnicodeEncodeError"),
        ("await everstep.ask('?', schema={'const': '\\ud83d'})", "UnicodeEncodeError"),
        ("await everstep.promise('\\ud83d')", "UnicodeEncodeError"),
        ("await everstep.promise({'\\ud83d': 1})", "UnicodeEncodeError"),
        ("open('\\ud83d')", ""),
        ("open('/data/\\udcff')", ""),
        ("compile('\\ud83d', 'x', 'exec')", "UnicodeEncodeError"),
    ];
    for (n, (code, name)) in raises.iter().enumerate() {
        let ended = client.cell(&format!("raises-{n}"), code);
        assert_eq!(ended["type"], "error", "{code}: {ended}");
        assert!(ended["name"].as_str().unwrap().contains(name) && ended["name"] != "Trapped", "{code}: {ended}");
    }
    let shown = [
        ("'\\ud83d'", "'\\ud83d'"),
        ("{'\\ud83d': 1}", "{'\\ud83d': 1}"),
        (
            "class R:\n    def __repr__(self): return '\\udcff'\n    def _repr_html_(self): return '<b>\\ud83d'\nR()",
            "\\udcff",
        ),
    ];
    for (n, (code, repr)) in shown.iter().enumerate() {
        let ended = client.cell(&format!("shown-{n}"), code);
        assert_eq!((&ended["value"], &ended["repr"]), (&Value::Null, &json!(repr)), "{code}: {ended}");
    }
    // A whole one is none of this.
    assert_eq!(client.cell("whole", "print('\u{1f600}')\n{'\u{1f600}': 'ü'}")["value"], json!({ "\u{1f600}": "ü" }));
    assert_eq!(client.printed(), "\u{1f600}\n");
}

#[test]
fn an_answer_to_a_cell_that_was_not_sent_is_told_to_nobody_and_that_cell_runs() {
    let desk = Desk::new();
    let mut client = desk.client();
    // As far inside as a cell can get.
    let forging = |id: &str| {
        format!(
            "import everstep, json, everstep._checkpoint as c\nawait_none = c.next_cell(json.dumps({{'cells': 7, 'answer': {{'id': {id}, 'value': 'forged'}}}}))\n'real'"
        )
    };
    assert_eq!(client.cell("a", &forging("'b'"))["value"], "real");
    assert_eq!(client.cell("b", "'b runs'")["value"], "b runs");
    assert_eq!(client.cell("c", &forging("None"))["value"], "real");
    assert_eq!(client.cell("d", "'d runs'")["value"], "d runs");
    // Its own answer is its own to give; the next cell runs all the same.
    assert_eq!(client.cell("e", &forging("'e'"))["value"], "forged");
    assert_eq!(client.cell("f", "'f runs'")["value"], "f runs");
    let late = "import asyncio\nasync def late():\n    await asyncio.sleep(0.05)\n    c.next_cell('{\"cells\": 0, \"answer\": {\"id\": \"h\", \"value\": \"forged\"}}')\ntask = asyncio.create_task(late())";
    client.cell("g", late);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(client.cell("h", "task.done(), 'h runs'")["repr"], "(True, 'h runs')");
    let told = client.seen.iter().filter(|message| message["value"] == "forged").count();
    assert_eq!(told, 1, "{:?}", client.seen);
    let asked = client.cell("i", "await everstep.request('session', 1)");
    assert_eq!(asked["name"], "Denied");
    client.host.kill().unwrap();
    drop(client);
    let mut client = desk.client();
    assert_eq!(client.cell("j", "'j runs'")["value"], "j runs");
}

#[test]
pub(crate) fn a_cell_at_a_limit_is_ended_and_the_session_has_limits_of_its_own() {
    let desk = Desk::new();
    limited(&desk, "cpu = \"500ms\"\nsession_cpu = \"3s\"\n");
    let mut client = desk.client();
    client.cell("0", "kept = 'kept'");
    let first = client.cell("1", "while True: pass");
    assert_eq!(first["name"], "LimitExceeded");
    assert!(first["message"].as_str().unwrap().contains("limits.cpu"), "{first}");
    assert_eq!(client.cell("2", "kept")["value"], "kept");
    let last =
        (3..20).map(|n| client.cell(&n.to_string(), "while True: pass")).find(|ended| ended["name"] != "LimitExceeded");
    let last = last.unwrap();
    assert_eq!(last["name"], "halted");
    assert!(last["message"].as_str().unwrap().contains("limits.session_cpu"), "{last}");
}

#[test]
fn running_time_is_counted_for_each_cell() {
    let desk = Desk::new();
    limited(&desk, "cpu = \"60s\"\nwall = \"6s\"\n");
    let mut client = desk.client();
    for n in 0..3 {
        let busy =
            "import time\nend = time.monotonic() + 2.5\nwhile time.monotonic() < end: sum(range(10 ** 5))\n'done'";
        assert_eq!(client.cell(&n.to_string(), busy)["value"], "done");
    }
    let ended = client.cell("slow", "while True: pass");
    assert!(ended["message"].as_str().unwrap().contains("limits.wall"), "{ended}");
    assert_eq!(client.cell("after", "end > 0")["value"], true);
}

#[test]
fn a_line_that_is_longer_than_any_request_is_refused_and_takes_no_memory() {
    let desk = Desk::new();
    let mut client = desk.client();
    client.cell("0", "kept = 'kept'");
    let peak = |client: &Client| {
        let status = fs::read_to_string(format!("/proc/{}/status", client.host.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
        peak.trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let before = peak(&client);
    let stdin = client.stdin.as_mut().unwrap();
    for _ in 0..200 {
        stdin.write_all(&vec![b'x'; 1 << 20]).unwrap();
    }
    stdin.write_all(b"\n").unwrap();
    let refused = client.of_type("error");
    assert!(refused["message"].as_str().unwrap().contains("limits.bytes_per_call"), "{refused}");
    assert_eq!(client.cell("1", "kept")["value"], "kept");
    assert!(peak(&client) < before + 50_000, "{before} kB, {} kB", peak(&client));
}
