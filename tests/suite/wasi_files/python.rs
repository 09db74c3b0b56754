//! Python over the same files: which steps its own modules take, and what a program learns of a refusal.

use super::*;
use crate::python::PYTHON;
use crate::support::{eventually, soon};

/// What Python needs besides the rest.
const STACK: &str = "[limits]\nwasm_stack = \"8MiB\"\n";

fn program(sandbox: &Sandbox, more: &str, code: &str) -> Run {
    let policy = granted(sandbox, &format!("{FILES}{STACK}{more}"));
    Run::new(PYTHON.clone(), "execute", json!({ "code": code }).to_string(), policy).with_id(id("x"))
}

fn executed(sandbox: &Sandbox, more: &str, code: &str) -> Report {
    life(async { sandbox.host().unwrap().run(program(sandbox, more, code)).await.unwrap() })
}

#[track_caller]
fn value(report: &Report) -> Value {
    serde_json::from_str::<Value>(result(report)).unwrap()["value"].clone()
}

#[test]
fn what_python_does_with_a_file_is_a_step_for_what_leaves_and_what_comes() {
    for (code, value_of_it, expected) in [
        ("open('/in/a.txt').read()", json!("inside"), vec!["files.stat /in/a.txt", "files.read /in/a.txt"]),
        (
            // However often it is asked for, and whatever it asks of each.
            "import os\n[[entry.name, entry.stat().st_size, entry.is_file()] for entry in os.scandir('/in')]",
            json!([["a.txt", 6, true]]),
            vec!["files.list /in"],
        ),
        (
            "with open('/out/a', 'w') as file:\n    for n in range(1000): print(n, file=file)\n    file.flush()\nfile.tell",
            Value::Null,
            vec!["files.stat /out/a", "files.write /out/a"],
        ),
        (
            "import os\nfile = open('/out/a', 'a')\nfile.write('one')\nfile.flush()\nos.fsync(file.fileno())\nfile.write('two')\nfile.close()",
            Value::Null,
            vec!["files.stat /out/a", "files.append /out/a", "files.append /out/a"],
        ),
        // Left open: it leaves at the end, with what was in its buffer.
        ("file = open('/out/a', 'w')\nfile.write('kept')", json!(4), vec!["files.stat /out/a", "files.write /out/a"]),
        // What is built in is looked for nowhere, and a folder of `sys.path` where it is.
        (
            "import sys, json, xml.dom\nsys.path.insert(0, '/in')\ntry: import not_there\nexcept ImportError as error: told = str(error)\ntold",
            json!("No module named 'not_there'"),
            vec!["files.stat /in", "files.list /in"],
        ),
        // An error in the syntax is of no file.
        ("try: eval('1 +')\nexcept SyntaxError as error: told = error.msg\ntold", json!("invalid syntax"), vec![]),
        (
            "import os\n[os.listdir('/'), os.path.exists('/in/no'), os.getcwd()]",
            json!([["in", "out"], false, "/"]),
            vec!["files.stat /in/no"],
        ),
    ] {
        for sandbox in Sandbox::each() {
            let report = executed(&sandbox, "", code);
            assert_eq!(value(&report), value_of_it, "{code}");
            let mut taken = steps(&sandbox);
            // How often a folder is looked at is the business of its modules.
            taken.dedup_by(|a, b| a == b && a.starts_with("files.stat"));
            assert_eq!(taken, expected, "{code}");
        }
    }
}

#[test]
fn a_program_starts_in_the_folder_that_its_policy_names() {
    for sandbox in Sandbox::each() {
        let code = "import os\nopen('here', 'w').write('x')\n[os.getcwd(), os.listdir()]";
        let report = executed(&sandbox, "[env]\nPWD = \"/out\"\n", code);
        assert_eq!(value(&report), json!(["/out", ["here"]]));
        assert_eq!(fs::read_to_string(sandbox.path("out/here")).unwrap(), "x");
        let nowhere = program(&sandbox, "[env]\nPWD = \"/out/none\"\n", code).with_id(id("nowhere"));
        let report = life(async { sandbox.host().unwrap().run(nowhere).await.unwrap() });
        let (kind, message) = failure(&report);
        assert_eq!(kind, FailureKind::Returned(ErrorCode::Invalid));
        assert!(message.contains("PWD") && message.contains("/out/none"), "{message}");
    }
}

#[test]
fn a_refusal_is_an_error_of_python_and_tells_its_reason_where_it_ends_the_program() {
    for sandbox in Sandbox::each() {
        let caught = "import os\ntold = []\n\
                      for call in (lambda: open('/in/a.txt', 'w'), lambda: open('/etc/passwd'), lambda: os.remove('/in/a.txt'),\n\
                      \x20            lambda: os.rename('/in/a.txt', '/in/b'), lambda: os.mkdir('/new'), lambda: open('/new', 'w')):\n\
                      \x20   try: call()\n    except PermissionError as error: told.append(str(error))\ntold";
        let report = executed(&sandbox, "", caught);
        let told = value(&report);
        assert_eq!(told.as_array().unwrap().len(), 6, "{told}");
        assert!(told.as_array().unwrap().iter().all(|one| one.as_str().unwrap().starts_with("[Errno ")), "{told}");
        for (code, last) in [
            ("open('/etc/passwd')", "files stat \"/etc/passwd\" (no [[files]] grant covers it"),
            ("import os\nos.chdir('/in')\nopen('a.txt', 'w')", "files write \"/in/a.txt\" (rule \"in\" "),
            ("import os\nos.rename('/in/a.txt', '/in/b')", "files write \"/in/a.txt\" (rule \"in\" "),
            (
                "import asyncio\nasync def f(): open('/etc/passwd')\nasync with asyncio.TaskGroup() as g: g.create_task(f())",
                "files stat \"/etc/passwd\"",
            ),
        ] {
            let run = program(&sandbox, "", code).with_id(id(&format!("x-{}", code.len())));
            let report = life(async { sandbox.host().unwrap().run(run).await.unwrap() });
            let (kind, message) = failure(&report);
            assert_eq!(kind, FailureKind::Returned(ErrorCode::Denied), "{message}");
            let reason = message.lines().rev().find(|line| line.contains("files ")).unwrap_or_default();
            assert!(reason.contains(last), "{message}");
        }
    }
}

/// The end of a program whose only question about a file is answered by "no", and how often it has printed.
fn denied(sandbox: &Sandbox, name: &str, code: &str) -> (Report, usize) {
    let asks = "[[ask]]\nid = \"two\"\nwhen = \"files.write\"\n";
    let run = program(sandbox, asks, code).with_id(id(name));
    let no = serde_json::to_string(&Answer { approved: false, by: Some("ada".to_owned()), reason: None }).unwrap();
    life(async {
        let host = sandbox.host().unwrap();
        let handle = host.start(run).await.unwrap();
        let asked = eventually("a question", async || host.reader().promises().await.unwrap().pop()).await;
        let data: Value = serde_json::from_str(asked.data.as_deref().unwrap()).unwrap();
        assert_eq!(data["arguments"], json!({ "content": "text", "path": "/out/a" }), "an approver sees the file");
        host.settle(&asked.id, Ok(no)).await.unwrap();
        let report = soon("the end", handle.wait()).await.unwrap();
        let steps = host.reader().steps(&id(name)).await.unwrap();
        (report, steps.iter().filter(|step| step.kind == "console.print").count())
    })
}

#[test]
fn what_an_approver_denies_is_an_error_of_the_sync_or_the_end_of_the_program() {
    for sandbox in Sandbox::each() {
        let synced = "import os\nfile = open('/out/a', 'w')\nfile.write('text')\nfile.flush()\n\
                      try: os.fsync(file.fileno())\nexcept PermissionError as error: print('caught', error)\n\
                      file.close()\nos.path.exists('/out/a')";
        let (report, printed) = denied(&sandbox, "synced", synced);
        assert_eq!((value(&report), printed), (json!(false), 1));
        let (report, printed) =
            denied(&sandbox, "closed", "with open('/out/a', 'w') as file: file.write('text')\nprint('not reached')");
        let (kind, message) = failure(&report);
        assert_eq!((kind, printed), (FailureKind::Returned(ErrorCode::Denied), 0), "{message}");
        assert!(message.contains("/out/a") && message.contains("two") && message.contains("ada"), "{message}");
        // `close` returns what could not be saved, whoever closes: a program goes on, and its other files with it.
        let caught = "import os\nfile = open('/out/a', 'w')\nfile.write('text')\n\
                      try: file.close()\nexcept PermissionError as error: print('caught', error)\n\
                      [file.closed, os.path.exists('/out/a')]";
        let (report, printed) = denied(&sandbox, "caught", caught);
        assert_eq!((value(&report), printed), (json!([true, false]), 1));
        fs::write(sandbox.path("out/from"), "text").unwrap();
        let moved = "import os, shutil\n\
                     try:\n    shutil.copyfile('/out/from', '/out/a')\n    os.remove('/out/from')\n\
                     except PermissionError as error: print('caught', error)\n\
                     [os.path.exists('/out/a'), open('/out/from').read()]";
        let (report, printed) = denied(&sandbox, "moved", moved);
        assert_eq!((value(&report), printed), (json!([false, "text"]), 1), "what was not saved elsewhere is kept");
        assert!(!sandbox.path("out/a").exists());
    }
}
