//! Python scripts from the command line, as CPython runs them: arguments, modules, where a script lies, how it is encoded, and exit codes.
//!
//! One place: it drives the program, whose store is a folder or in memory.

use crate::piped::said;
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

/// A folder with these files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }
    folder
}

/// Runs a script in a store that ends with it.
fn exec(folder: &Path, args: &[&str], input: &str) -> (i32, String, String) {
    said(folder, &[&["exec", "--store", "memory"], args].concat(), input.as_bytes())
}

#[test]
fn a_script_has_its_arguments_and_its_input() {
    let script = b"import sys\nprint(sys.argv, __name__, __file__)\nfor line in sys.stdin: print(repr(line))\n";
    let folder = folder(&[("count.py", script)]);
    for (args, input, expected) in [
        (&["count.py"][..], "", "['count.py'] __main__ count.py\n"),
        (
            &["count.py", "a b", "-", "--", "--from", "-c"],
            "one\n\ntwo",
            "['count.py', 'a b', '-', '--from', '-c'] __main__ count.py\n'one\\n'\n'\\n'\n'two\\n'\n",
        ),
        (&["-c", "import sys; print(sys.argv, '__file__' in globals())", "x", "y"], "", "['-c', 'x', 'y'] False\n"),
        (&["-", "x"], "import sys; print(sys.argv, '__file__' in globals())", "['-', 'x'] False\n"),
        (&["-c", "\n    if True:\n        print(1)\n    print(2)"], "", "1\n2\n"),
        (
            &["-c", "import sys, io\nsys.stdin = io.StringIO('a\\nb')\nprint([input('? '), input()])"],
            "",
            "? ['a', 'b']\n",
        ),
        (&["-c", "import getpass; print(getpass.getpass('key? '))"], "s3cret\n", "s3cret\n"),
    ] {
        let done = exec(folder.path(), args, input);
        assert_eq!((done.0, &*done.1), (0, expected), "{args:?}: {done:?}");
    }
    let nothing = exec(folder.path(), &[], "");
    assert!(nothing.0 == 2 && nothing.2.contains("FILE"), "{nothing:?}");
}

#[test]
fn a_script_ends_with_its_own_exit_code() {
    let folder = folder(&[]);
    let hook = "import sys\ndef hook(kind, value, traceback): print(kind.__name__, traceback.tb_lineno)\nsys.excepthook = hook\n";
    for (code, exits, out, err) in [
        ("", 0, "", ""),
        ("raise SystemExit", 0, "", ""),
        ("import sys; sys.exit(7)", 7, "", ""),
        ("import sys; sys.exit(True)", 1, "", ""),
        ("import sys; sys.exit(125)", 125, "", ""),
        // What a process cannot have, or a shell means something else by.
        ("import sys; sys.exit(256 + 5)", 5, "", ""),
        ("import sys; sys.exit(-1)", 1, "", ""),
        ("import sys; sys.exit('no more')", 1, "", "no more\n"),
        ("import sys; sys.exit(('a', 1))", 1, "", "('a', 1)\n"),
        ("exit(3)", 3, "", ""),
        ("import atexit; atexit.register(print, 'last'); exit(3)", 3, "last\n", ""),
        ("import os\ntry:\n    os._exit(4)\nfinally:\n    print('never')", 4, "", ""),
        ("import os; os._exit(0)", 0, "", ""),
        (
            "import asyncio, sys\nasync def f(): sys.exit(9)\nt = asyncio.create_task(f())\nawait asyncio.sleep(1)",
            9,
            "",
            "",
        ),
        (
            "import asyncio, sys\nasync def f(): sys.exit()\nt = asyncio.create_task(f())\nawait asyncio.sleep(1)",
            0,
            "",
            "",
        ),
        (&format!("{hook}\n1 / 0"), 1, "ZeroDivisionError 5\n", ""),
    ] {
        let done = exec(folder.path(), &["-c", code], "");
        assert_eq!((done.0, &*done.1, &*done.2), (exits, out, err), "{code}");
    }
    let broken = exec(folder.path(), &["-c", "import sys\nsys.excepthook = lambda *of: 1 / 0\nint('x')"], "");
    let (first, second) = broken.2.split_once("\nOriginal exception was:\n").unwrap();
    assert!(broken.0 == 1 && first.starts_with("Error in sys.excepthook:\nTraceback"), "{broken:?}");
    assert!(first.contains("ZeroDivisionError") && !first.contains("ValueError"), "{first}");
    assert!(second.contains("ValueError: invalid literal"), "{second}");
}

#[test]
fn an_exit_code_is_recorded() {
    let folder = folder(&[]);
    let run = |args: &[&str]| said(folder.path(), args, b"");
    let first = run(&["exec", "-c", "import sys; print('once'); sys.exit(7)", "--id", "x"]);
    assert_eq!((first.0, &*first.1), (7, "once\n"));
    for again in [&["exec", "-c", "import sys; print('once'); sys.exit(7)", "--id", "x"][..], &["resume", "x"]] {
        let again = run(again);
        assert_eq!((again.0, &*again.1, &*again.2), (7, "", ""));
    }
    let told = run(&["resume", "x", "--json"]);
    let told: Value = serde_json::from_str(&told.1).unwrap();
    let error = json!({"kind": "returned", "code": "failed", "message": "the program ended with exit code 7"});
    assert_eq!((&told["state"], &told["error"]), (&json!("failed"), &error));
}

#[test]
fn what_the_host_ends_has_an_exit_code_of_its_own() {
    let policy =
        b"version = 1\nclock = { mode = \"recorded\" }\nrandom = { mode = \"seeded\" }\n[limits]\ncpu = \"500ms\"\n";
    let folder = folder(&[("limits.toml", policy)]);
    let run = |args: &[&str]| said(folder.path(), &[&["exec"], args].concat(), b"").0;
    assert_eq!(run(&["-c", "while True: pass", "--timeout", "1s"]), 121);
    assert_eq!(run(&["-c", "while True: pass", "--policy", "limits.toml"]), 124);
    assert_eq!(run(&["-c", "input()", "--no-wait", "--id", "asks"]), 125);
    assert_eq!(said(folder.path(), &["resume", "asks", "--no-wait"], b"").0, 125);
    // A denial is an exception; it is told from the program's own.
    assert_eq!(run(&["-c", "await fetch('http://example.com/')"]), 3);
    assert_eq!(run(&["-c", "raise PermissionError(13, 'mine')"]), 1);
}

#[test]
fn a_script_in_a_folder_that_it_may_read_finds_its_neighbours() {
    let folder = folder(&[
        (
            "tool/main.py",
            b"import helper, sys\nprint(helper.x, __file__, sys.path[0], open(__file__).readline().split())",
        ),
        ("tool/helper.py", b"x = 5\nif __name__ == '__main__': print('run', x, __file__)"),
        ("tool/deep/inner.py", b"print(__file__)\nimport helper"),
        ("other/pack/__init__.py", b"y = 6"),
        ("other/pack/__main__.py", b"import sys\nfrom . import y\nprint(y, __package__, sys.argv)"),
    ]);
    let run = |args: &[&str]| exec(folder.path(), args, "");
    let near = run(&["tool/main.py", "--with-folder", "tool"]);
    assert_eq!(near.1, "5 /tool/main.py /tool ['import', 'helper,', 'sys']\n", "{near:?}");
    let deep = run(&["tool/deep/inner.py", "--with-folder", "tool"]);
    assert_eq!((deep.0, &*deep.1), (0, "/tool/deep/inner.py\n"), "{deep:?}");
    let module = run(&["--with-folder", "tool", "-m", "helper"]);
    assert_eq!(module.1, "run 5 /tool/helper.py\n", "{module:?}");
    let package = run(&["--with-folder", "tool", "--with-folder", "other", "-m", "pack", "a", "b"]);
    assert_eq!(package.1, "6 pack ['/other/pack/__main__.py', 'a', 'b']\n", "{package:?}");
    let far = run(&["tool/main.py"]);
    assert!(far.0 == 1 && far.2.contains("No module named 'helper'"), "{far:?}");
    let missing = run(&["-c", "1", "--with-folder", "nowhere"]);
    assert!(missing.0 == 2 && missing.2.contains("--with-folder nowhere: No such file"), "{missing:?}");
    std::fs::create_dir_all(folder.path().join("deeper/tool")).unwrap();
    std::fs::create_dir(folder.path().join("tmp")).unwrap();
    for (folders, why) in [
        (&["tool/main.py"][..], "--with-folder tool/main.py: it is no folder"),
        (&["/"], "--with-folder /: all of this machine has no name"),
        (&["tool", "deeper/tool"], "--with-folder deeper/tool: /tool is taken already"),
        (&["tmp"], "--with-folder tmp: /tmp is taken already"),
    ] {
        let args: Vec<_> = folders.iter().flat_map(|folder| ["--with-folder", folder]).chain(["-c", "1"]).collect();
        let refused = run(&args);
        assert!(refused.0 == 2 && refused.2.contains(why), "{refused:?}");
    }
    let written = run(&["-c", "open('/tool/new', 'w')", "--with-folder", "tool"]);
    assert!(written.0 == 3 && written.2.contains("PermissionError"), "{written:?}");
}

#[test]
fn modules_of_the_standard_library_run_by_name() {
    let folder = folder(&[]);
    let run = |args: &[&str], input: &str| exec(folder.path(), args, input);
    assert_eq!(run(&["-m", "json.tool", "--", "--compact"], "{\"a\": [1, 2]}").1, "{\"a\":[1,2]}\n");
    assert_eq!(run(&["-m", "base64", "--", "-e", "-"], "hello").0, 0);
    assert!(run(&["-m", "calendar", "2026", "2"], "").1.starts_with("   February 2026\nMo Tu"));
    assert!(run(&["-m", "this"], "").1.starts_with("The Zen of Python"));
    assert!(run(&["-m", "unittest", "--", "-h"], "").1.contains("usage"));
    let wrong = run(&["-m", "json.tool"], "{");
    assert!(wrong.0 == 1 && wrong.2.contains("Expecting"), "{wrong:?}");
    let missing = run(&["-m", "nowhere"], "");
    assert_eq!((missing.0, &*missing.2), (1, "python: No module named nowhere\n"));
    let package = run(&["-m", "email"], "");
    assert!(
        package.0 == 1 && package.2.contains("'email' is a package and cannot be directly executed"),
        "{package:?}"
    );
}

#[test]
fn a_file_is_decoded_as_it_says() {
    let cases: [(&[u8], i32, &str); 7] = [
        (b"\xef\xbb\xbfprint('\xc3\xa9')", 0, "é\n"),
        (b"# -*- coding: latin-1 -*-\nprint('\xe9')", 0, "é\n"),
        (b"#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\nprint('\x80')", 0, "€\n"),
        // It says so, whatever it looks like.
        (b"# coding: latin-1\nprint('\xc3\xa9')", 0, "Ã©\n"),
        (b"# coding: utf-8\nprint('\xc3\xa9')", 0, "é\n"),
        (b"print('\xe9')", 1, ""),
        (b"# coding: nonsense\nprint(1)", 1, ""),
    ];
    for (source, exits, out) in cases {
        let folder = folder(&[("script.py", source)]);
        let done = exec(folder.path(), &["script.py"], "");
        assert_eq!((done.0, &*done.1), (exits, out), "{done:?}");
        assert_eq!(exits == 1, done.2.contains("SyntaxError"), "{done:?}");
    }
    // The line that failed, whatever ends the lines.
    let folder = folder(&[("lines.py", b"a = 1\r\nb = 2\x0c\n\x0cc = 3\rraise ValueError(a)\r")]);
    let done = exec(folder.path(), &["lines.py"], "");
    assert!(done.2.contains("line 4, in <module>\n    raise ValueError(a)\n"), "{done:?}");
}

#[test]
fn nobody_waits_for_what_nobody_can_answer() {
    let policy = b"version = 1\nclock = { mode = \"recorded\" }\nrandom = { mode = \"seeded\" }\n\
        [limits]\nwasm_stack = \"8MiB\"\n[[capability]]\nname = \"weather\"\n\
        [[fetch]]\nid = \"f\"\nmethods = [\"GET\"]\nurl = \"http://example.com/**\"\n\
        [[ask]]\nid = \"a\"\nwhen = \"fetch\"\nmethods = [\"GET\"]\nurl = \"http://example.com/**\"\n";
    let folder = folder(&[("asks.toml", policy)]);
    let run = |code: &str| exec(folder.path(), &["-c", code, "--policy", "asks.toml"], "");
    let call = run("await fetch('http://example.com/')");
    assert!(call.0 == 3 && call.2.contains("nobody can answer it here"), "{call:?}");
    let request = run("import everstep\nawait everstep.request('weather', 1)");
    assert!(request.0 == 1 && request.2.contains("nobody can answer it here"), "{request:?}");
    // With a deadline it is waited for.
    let timed = run("import everstep\nawait everstep.request('weather', 1, timeout=0.2)");
    assert!(timed.0 == 1 && timed.2.contains("TimedOut"), "{timed:?}");
}
