//! A program that has ended has ended: a value that is too large, or cannot be shown, takes nothing back. What is cut is named, with its size.

use crate::python::{PYTHON, beside};
use crate::support::{Place, failure, outcome, parse, result};
use everstep::store::{FailureKind, State};
use everstep::{ErrorCode, Report, Run};
use serde_json::{Value, json};
use std::process::{Command, Stdio};

/// How a program ends; the place keeps Python, which is large, for the next one.
fn ended(place: &Place, limits: &str, code: &str) -> Report {
    let policy = format!(
        "[limits]\nwasm_stack = \"8MiB\"\ncpu = \"unlimited\"\nwall = \"unlimited\"\n{limits}\n[clock]\nmode = \"recorded\"\n[random]\nmode = \"seeded\"\n\
         [[capability]]\nname = \"print\"\n[[capability]]\nname = \"display\"\n"
    );
    let args = json!({ "code": code }).to_string();
    outcome(place.host(), Run::new(PYTHON.clone(), "execute", args, parse(&policy)))
}

/// What a completed program returned, which is no larger than its policy allows.
fn value(place: &Place, limits: &str, most: usize, code: &str) -> Value {
    let report = ended(place, limits, code);
    assert_eq!(report.state, State::Completed, "{code}: {:?}", report.error);
    let text = result(&report);
    assert!(text.len() <= most, "{code}: {} bytes", text.len());
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_value_that_is_too_large_is_cut_and_the_program_is_completed() {
    for place in Place::each() {
        let cases = [
            ("[None for i in range(300000)]", json!({ "value": 1_800_000, "repr": 1_800_000 })),
            ("'x' * 3_000_000", json!({ "value": 3_000_002, "repr": 3_000_002 })),
            ("{str(n): 'ü' for n in range(100_000)}", json!({ "value": 1_888_890, "repr": 1_888_890 })),
            ("'\\U0001f600' * 100_000", json!({ "value": 1_200_002, "repr": 1_200_002 })),
            ("{1: b'x' * 2_000_000}", json!({ "repr": 2_000_008 })),
        ];
        for (code, cut) in cases {
            let got = value(&place, "", 1 << 20, code);
            assert_eq!(got["cut"], cut, "{code}");
            assert!(got["value"].is_null(), "{code}");
            let shown = got["repr"].as_str().unwrap();
            assert!(
                shown.contains(" characters left out) …") && shown.len() > 250_000,
                "{code}: {} bytes",
                shown.len()
            );
        }
        let got =
            value(&place, "", 1 << 20, "a = b = [0] * 60_000\nc = [[n] for n in range(50_000)]\nd = 'd'\n'short'");
        let names: Vec<_> = got["namespace"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!((names, &got["value"]), (vec!["a", "d"], &json!("short")));
        let cut = &got["cut"]["namespace"];
        assert_eq!((&cut["names"], &cut["count"]), (&json!(["b", "c"]), &json!(2)));
        assert!(cut["bytes"].as_u64().unwrap() > 200_000, "{cut}");
    }
}

#[test]
fn a_value_that_fits_is_returned_whole_beside_what_is_cut_of_its_text() {
    for place in Place::each() {
        let got = value(&place, "", 1 << 20, "'v' * 700_000");
        assert_eq!((got["value"].as_str().unwrap().len(), &got["cut"]), (700_000, &json!({ "repr": 700_002 })));
        let got = value(&place, "", 1 << 20, "'v' * 400_000");
        assert_eq!((got["repr"].as_str().unwrap().len(), &got["cut"]), (400_002, &Value::Null));
    }
}

#[test]
fn whatever_the_limit_and_the_value_a_program_that_has_ended_is_completed() {
    // What a limit leaves of a value does not depend on the store: one of them sees all limits.
    // No server: a result has at most 1.4 MB there.
    for (place, tried) in Place::local().zip([1, 3]) {
        let values = [
            "[None] * 300_000",
            "x = [1]\nfor _ in range(20): x = [x, x]\nx",
            "x = []\nx.append(x)\nx",
            "[[0] * 1000] * 50_000",
            "list(range(2_000_000))",
            "class Odd:\n    def __repr__(self): raise SystemExit(3)\nOdd()",
            "class Odd(BaseException): pass\nclass Value:\n    def __repr__(self): raise Odd\nValue()",
            "class Odd:\n    def __repr__(self): return 'o' * 5_000_000\nOdd()",
            "for n in range(50_000): globals()[f'name{n}'] = n\n'many'",
            "globals()['n' * 2_000_000] = 1\nglobals()[7] = 1\n1",
            "x = []\n__import__('atexit').register(lambda: x.extend([{1}] * 2_000_000))\nx",
        ];
        let limits = [("", 1 << 20), ("result = \"64MiB\"", 64 << 20), ("result = \"4KiB\"", 4 << 10)];
        for (limits, most) in limits.into_iter().take(tried) {
            for code in values {
                value(&place, limits, most, code);
            }
        }
    }
}

#[test]
fn what_an_error_says_is_cut_before_it_is_too_large() {
    for place in Place::each() {
        for (limits, most) in [("", 1 << 20), ("result = \"1KiB\"", 1 << 10)] {
            let report = ended(&place, limits, "raise ValueError('x' * 3_000_000 + 'the end')");
            let (kind, message) = failure(&report);
            assert_eq!((report.state, kind), (State::Failed, FailureKind::Returned(ErrorCode::Failed)));
            assert!(
                message.starts_with("Traceback") && message.ends_with("the end") && message.len() <= most,
                "{}",
                message.len()
            );
            assert!(message.contains(" characters left out) …"));
        }
    }
}

#[test]
fn a_displayed_value_that_no_call_may_carry_is_cut() {
    for place in Place::each() {
        let code = "class Picture:\n    def _repr_png_(self): return b'p' * 3_000_000\n    def __repr__(self): return 'r' * 5_000_000\n\
                display(Picture(), 'd' * 5_000_000)\n'shown'";
        assert_eq!(value(&place, "bytes_per_call = \"1MiB\"", 1 << 20, code)["value"], "shown");
    }
}

/// Nothing but a denial of the policy is one, however it comes to the end of the program.
#[test]
fn the_exit_code_of_a_denial_is_that_of_no_other_error() {
    // One place: it drives the program, whose store is its own.
    let denied = "open('/etc/passwd')";
    let cases = [
        (1, "raise PermissionError('mine')".to_owned()),
        (1, "import os\nraise PermissionError(13, 'mine', '/etc/passwd')".to_owned()),
        (1, "import everstep\nraise everstep.Denied('denied', 'mine')".to_owned()),
        (1, "import asyncio\nasync def f(): raise PermissionError('mine')\nasync with asyncio.TaskGroup() as g: g.create_task(f())".to_owned()),
        (1, format!("try:\n    {denied}\nexcept PermissionError:\n    raise ValueError('other') from None")),
        (1, format!("try:\n    {denied}\nexcept PermissionError:\n    1 / 0")),
        (1, format!("try:\n    {denied}\nexcept PermissionError:\n    raise SystemExit(1)")),
        (3, denied.to_owned()),
        (3, "await fetch('http://example.org')".to_owned()),
        (3, format!("import asyncio\nasync def f(): {denied}\nasync with asyncio.TaskGroup() as g: g.create_task(f())")),
        (3, format!("import asyncio\nasync def f(): {denied}\nasync def g():\n    async with asyncio.TaskGroup() as t: t.create_task(f())\nasync with asyncio.TaskGroup() as t: t.create_task(g())")),
        (3, format!("import asyncio\nasync def f(): {denied}\nawait asyncio.gather(f(), asyncio.sleep(0))")),
        (3, format!("try:\n    {denied}\nexcept PermissionError as error:\n    raise RuntimeError('no report') from error")),
        (3, format!("try:\n    {denied}\nexcept* OSError:\n    raise")),
        (3, format!("try:\n    {denied}\nexcept OSError as error:\n    raise ExceptionGroup('all', [ValueError(1), error])")),
        (0, format!("try:\n    {denied}\nexcept PermissionError:\n    pass")),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (expected, code) in cases {
        let mut command = Command::new(beside("everstep"));
        command.args(["exec", "-c", &code, "--store", "memory"]).current_dir(folder.path()).stdin(Stdio::null());
        let done = command.output().unwrap();
        assert_eq!(done.status.code(), Some(expected), "{code}\n{}", String::from_utf8_lossy(&done.stderr));
    }
}

#[test]
fn a_program_learns_nothing_of_the_folders_of_its_host() {
    // One place: it drives the program, whose store is its own.
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("customer-7");
    std::fs::create_dir(&secret).unwrap();
    let code = "import sys, traceback, linecache, json, everstep\n\
                try:\n    1 / 0\nexcept ZeroDivisionError:\n    traceback.print_exc()\n\
                print(sys._getframe().f_code.co_filename, sys.argv, sys.path, list(linecache.cache))\n\
                print([getattr(one, '__file__', '') for one in list(sys.modules.values())], globals())\n\
                try:\n    from json import nothing\nexcept ImportError as error:\n    print(error)\n\
                async def f(): json.loads('{')\nawait f()\n";
    std::fs::write(secret.join("report.py"), code).unwrap();
    for file in [secret.join("report.py"), "customer-7/report.py".into(), "./customer-7/../customer-7/report.py".into()]
    {
        let mut command = Command::new(beside("everstep"));
        command.arg("exec").arg(file).args(["--store", "memory"]).current_dir(folder.path()).stdin(Stdio::null());
        let done = command.output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(said.matches("File \"report.py\", line ").count() >= 3, "{said}");
        assert!(!said.contains("customer-7") && !said.contains(folder.path().to_str().unwrap()), "{said}");
        let project = everstep_tests::guests::project();
        assert!(!said.contains(project.to_str().unwrap()), "{said}");
    }
}
