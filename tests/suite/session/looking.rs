//! What a client asks about code, where a session is forked, and which cell its output belongs to.

use super::*;

const PROGRAM: &str = "import os\nclass C:\n    '''Doc of C.'''\n    def __init__(self, first, second: int = 2): self.own = 1\n    @property\n    def danger(self): open('/out/ran', 'w')\n    \
     def method(self, x='ü') -> str:\n        'Doc of method.'\n    def __getattr__(self, name): open('/out/ran', 'w')\n    def __dir__(self): open('/out/ran', 'w')\n    \
     def __repr__(self): open('/out/ran', 'w')\nc, ünder = C(1), 1\ndef f(a, b=c): 'Doc of f.'";

#[test]
fn names_are_completed_and_described_and_nothing_of_the_program_runs() {
    let desk = Desk::new();
    let mut client = desk.client();
    client.cell("a", PROGRAM);
    for (code, cursor, matches, start) in [
        ("c.", 2, json!(["danger", "method", "own"]), 2),
        ("x = c.me + 1", 8, json!(["method"]), 6),
        ("if c:\n    os.path.joi", 21, json!(["join"]), 18),
        ("ün", 2, json!(["ünder"]), 0),
        ("ünder + pri", 11, json!(["print"]), 8),
        ("import js", 9, json!(["json"]), 7),
        ("c.danger.", 9, Value::Null, 9),
        ("c.own.bit_l", 11, json!(["bit_length"]), 6),
        ("nothing.", 8, json!([]), 8),
        ("'text'.", 7, json!([]), 7),
        ("wh", 99, json!(["while"]), 0),
        ("", 0, Value::Null, 0),
    ] {
        let found = client.call("complete", &json!({ "code": code, "cursor": cursor }));
        assert_eq!(found["type"], "result", "{code}: {found}");
        let value = &found["value"];
        assert!(matches.is_null() || value["matches"] == matches, "{code}: {found}");
        assert_eq!(value["start"], start, "{code}: {found}");
    }
    for (code, cursor, parts) in [
        ("C(", 2, vec!["Signature: C(first, second: int = 2)", "Doc of C."]),
        ("c.method", 4, vec!["-> str", "Doc of method."]),
        ("f(c, (1, ", 9, vec!["Signature: f(a, b=<C>)", "Doc of f."]),
        ("c", 1, vec!["Type: C", "Doc of C."]),
        ("ünder", 0, vec!["Value: 1", "Type: int"]),
        ("os.path.join", 12, vec!["Signature: os.path.join(a, *p)"]),
        ("len", 3, vec!["Signature: len(obj, /)"]),
        ("c.danger", 8, vec!["Type: property"]),
    ] {
        let found = client.call("inspect", &json!({ "code": code, "cursor": cursor }))["value"].clone();
        let text = found["text"].as_str().unwrap();
        assert!(found["found"] == true && parts.iter().all(|part| text.contains(part)), "{code}: {found}");
    }
    let source = client.call("inspect", &json!({ "code": "f", "cursor": 1, "detail": 1 }));
    assert!(source["value"]["text"].as_str().unwrap().contains("def f(a, b=c): 'Doc of f.'"), "{source}");
    assert_eq!(client.call("inspect", &json!({ "code": "nothing", "cursor": 3 }))["value"]["found"], false);
    assert_eq!(client.call("complete", &json!({ "code": "x", "cursor": -1 }))["name"], "invalid-request");
    // What a look asks comes after the cells before it, and is no cell.
    client.begin("b", "later = 1");
    assert_eq!(client.call("complete", &json!({ "code": "late", "cursor": 4 }))["value"]["matches"], json!(["later"]));
    assert_eq!(client.cell("c", "later")["cell"], 3);
    assert!(!desk.path().join("out/ran").exists());
    // Whatever a cell has broken.
    client.cell("d", "import keyword\nkeyword.kwlist = None");
    assert_eq!(client.call("complete", &json!({ "code": "late", "cursor": 4 }))["name"], "TypeError");
    assert_eq!(client.cell("e", "later")["value"], 1);
    assert_eq!(client.call("shutdown", &json!({}))["type"], "result");
    assert_eq!(client.host.wait().unwrap().code(), Some(0));
    let replayed = desk.everstep(&["replay", "s", "--json"]).output().unwrap();
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
    drop(client);
    assert_eq!(desk.client().cell("f", "later")["value"], 1);
}

#[test]
fn a_session_is_forked_from_a_cell() {
    let desk = Desk::new();
    let mut client = desk.client();
    for n in 1..4 {
        client.cell(&n.to_string(), &format!("last = {n}\nopen('/out/ran', 'a').write('{n}')"));
        // Neither a look nor an empty cell is counted.
        client.call("complete", &json!({ "code": "las", "cursor": 3 }));
        client.cell(&format!("empty-{n}"), " ");
    }
    client.call("shutdown", &json!({}));
    client.host.wait().unwrap();
    let fork = |cell: &str, id: &str| desk.everstep(&["fork", "s", "--cell", cell, "--id", id]).output().unwrap();
    let forked = fork("2", "t");
    let told = String::from_utf8_lossy(&forked.stderr).into_owned();
    assert!(forked.status.success() && told.contains("everstep repl --id t"), "{told}");
    let resumed = |id: &str| Client::start(desk.everstep(&["session", "--id", id, "--policy", "policy.toml"]));
    let mut forked = resumed("t");
    assert_eq!(forked.of_type("ready")["resumed"], true);
    let next = forked.cell("4", "last");
    assert_eq!((&next["value"], &next["cell"]), (&json!(2), &json!(3)));
    // Its cells are those of the old one, by their ids; none of them has run again, and the old one has its third.
    assert_eq!(forked.cell("1", "other")["name"], "InvalidCell");
    assert_eq!(fs::read_to_string(desk.path().join("out/ran")).unwrap(), "123");
    assert_eq!(resumed("s").cell("5", "last")["value"], 3);
    drop(forked);
    assert!(fork("0", "u").status.success());
    assert_eq!(resumed("u").cell("1", "'last' in globals()")["value"], false);
    let refused = fork("9", "v");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("no session that has run 9 cells"), "{told}");
}

#[test]
fn output_is_that_of_the_cell_that_runs_and_between_two_of_none() {
    let desk = Desk::new();
    let mut client = desk.client();
    let begin = "import asyncio\ngo, gone = asyncio.Event(), asyncio.Event()\nasync def beside():\n    print('at once')\n    await go.wait()\n    print('during')\n    gone.set()\n    \
                 await asyncio.sleep(0.05)\n    print('between')\n    await asyncio.sleep(0.2)\n    print('later')\ntask = asyncio.create_task(beside())\nprint('first')";
    client.cell("a", begin);
    client.cell("b", "go.set()\nawait gone.wait()\nprint('second')");
    client.until("between", |message| message["text"] == "between\n");
    client.cell("c", "await task\nprint('third')");
    let expected = [
        ("first\n", json!("a")),
        // It begins when the cell has ended.
        ("at once\n", Value::Null),
        ("during\n", json!("b")),
        ("second\n", json!("b")),
        ("between\n", Value::Null),
        ("later\n", json!("c")),
        ("third\n", json!("c")),
    ];
    let filed = |client: &Client, from: usize| {
        let output = client.seen[from..].iter().filter(|message| message["type"] == "output");
        output.map(|message| (message["text"].as_str().unwrap().to_owned(), message["reply_to"].clone())).collect()
    };
    let expected: Vec<_> = expected.into_iter().map(|(text, cell)| (text.to_owned(), cell)).collect();
    let live: Vec<(String, Value)> = filed(&client, 0);
    assert_eq!(live, expected);
    // And so it is told again.
    let before = client.seen.len();
    client.call("resume", &json!({ "history": true }));
    let again: Vec<(String, Value)> = filed(&client, before);
    assert_eq!(again, expected);
}

#[test]
fn a_cell_that_waits_for_input_is_interrupted_and_run_again() {
    let desk = Desk::new();
    let mut client = desk.client();
    let code = "name = input('name? ')\nname";
    client.begin("a", code);
    let first = client.of_type("input_request");
    assert_eq!(client.call("interrupt", &json!({}))["type"], "result");
    assert_eq!(client.answer("a")["name"], "KeyboardInterrupt");
    let late = json!({ "request_id": first["id"], "value": "late" });
    assert_eq!(client.call("input_response", &late)["name"], "not-pending");
    client.begin("b", code);
    let second = client.of_type("input_request");
    assert_ne!(first["id"], second["id"]);
    client.call("input_response", &json!({ "request_id": second["id"], "value": "Ada" }));
    assert_eq!(client.answer("b")["value"], "Ada");
}

#[test]
fn what_raises_while_a_value_is_shown_leaves_its_other_representations() {
    let desk = Desk::new();
    let mut client = desk.client();
    let code = "class R:\n    def __repr__(self): raise ValueError\n    def _repr_html_(self): return '<b>\\ud83d'\n    def _repr_markdown_(self): raise SystemExit\n    \
                def _repr_png_(self): return 1j\n    def _repr_mimebundle_(self, include, exclude): return {'text/latex': 'x', 'text/one': object()}\ndisplay(R())\nR()";
    let data =
        json!({ "text/html": "<b>\\ud83d", "text/latex": "x", "text/plain": "<R: repr() failed with ValueError>" });
    let ended = client.cell("a", code);
    assert_eq!((&ended["type"], &ended["data"]), (&json!("result"), &data), "{ended}");
    assert_eq!(client.of_type("display")["data"], data);
    let told = client.until("the reason", |message| message["stream"] == "stderr");
    assert!(told["text"].as_str().unwrap().contains("_repr_mimebundle_ of R has failed: TypeError"), "{told}");
}

#[test]
fn a_traceback_shows_the_line_whatever_ends_lines() {
    let desk = Desk::new();
    let mut client = desk.client();
    for (code, shown) in [
        ("a = 1\rdef f():\r    return 1 / 0\rf()", "line 3, in f\n    return 1 / 0\n"),
        ("a = 1\r\n\r\n1 / 0", "line 3, in <module>\n    1 / 0\n"),
        ("\u{c}1 / 0", "line 1, in <module>\n    1 / 0\n"),
        ("def f():\n\u{c}    return 1 / 0\nf()", "line 2, in f\n    return 1 / 0\n"),
        ("x = 'a\u{2028}b\u{b}c\u{85}d'; 1 / 0", "line 1, in <module>\n    x = 'a\u{2003}b c\u{a0}d'; 1 / 0\n"),
        ("class E(Exception): pass\nE.__qualname__ = '\\ud83d'\nraise E", "line 3, in <module>\n    raise E\n"),
    ] {
        let ended = client.cell(code, code);
        let traceback = ended["traceback"].as_str().unwrap_or_else(|| panic!("{code:?}: {ended}"));
        assert!(traceback.contains(shown) && !traceback.contains("/everstep/"), "{code:?}: {traceback}");
    }
}
