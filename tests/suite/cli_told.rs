//! What the commands tell: nothing that was asked for is dropped in silence, and nothing that is lost passes for done.
//!
//! One place: it drives the program, whose store is a folder.

use crate::cli_travel::{Desk, binary};
use serde_json::{Value, json};
use std::fs::{File, Permissions, copy, create_dir, metadata, read_dir, remove_dir, set_permissions, write};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const FULL: &str = "cannot write to standard output: No space left on device";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Desk {
    /// The exit code, and what stands on standard output and standard error.
    fn told(&self, args: &[&str]) -> (i32, String, String) {
        told(self.command(args).output().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The component with another digest that does the same.
    fn rebuilt(&self) -> String {
        let mut component = std::fs::read(&self.component).unwrap();
        component.extend([0, 5, 4, b'n', b'e', b'x', b't']);
        write(self.path("rebuilt.wasm"), component).unwrap();
        "rebuilt.wasm".to_owned()
    }

    fn mode(&self, name: &str, mode: u32) {
        set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    /// A command of a user to whom permissions apply: of another one if these tests are run by the superuser.
    fn by_a_user(&self, args: &[&str]) -> (i32, String, String) {
        let mut command = self.command(args);
        if metadata("/proc/self").unwrap().uid() == 0 {
            let own = self.path("everstep");
            if !own.exists() {
                copy(binary(), &own).unwrap();
                self.mode(".", 0o755);
            }
            command = Command::new(own);
            command.args(args).current_dir(self.dir.path()).env_remove("EVERSTEP_LOG").env_remove("HOME");
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).gid(65534).uid(65534);
        }
        told(command.output().unwrap())
    }
}

fn told(output: Output) -> (i32, String, String) {
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Everything that a command says on standard output goes to a device that is full.
#[test]
fn a_command_whose_output_cannot_be_written_fails() {
    let desk = Desk::new();
    let rebuilt = desk.rebuilt();
    for id in ["done", "x", "y", "z", "w"] {
        let function = if id == "done" { "prints" } else { "asks" };
        let args = if id == "done" { "\"told\"" } else { "null" };
        desk.told(&[&desk.run(function, args, id)[..], &["--no-wait"]].concat());
    }
    let component = desk.component.as_str();
    let audit = ["audit", "rotate", "audit.jsonl"];
    let schedule = ["schedule", "create", "beat", "--cron", "0 3 * * *", component, "prints"];
    let commands: &[&[&str]] = &[
        &["--help"],
        &["--version"],
        &["version"],
        &["list"],
        &["show", "done"],
        &["logs", "done"],
        &["replay", "done"],
        &["run", component, "prints", "--args", "\"told\"", "--id", "done", "--policy", "policy.toml"],
        &["resume", "x", "--no-wait", "--json"],
        &["resume", "--no-wait"],
        &["fork", "x", "--at", "1", "--id", "f", "--no-wait", "--json"],
        &["upgrade", "y", "--component", &rebuilt],
        &["promise", "list"],
        &["promise", "resolve", "z.1", "1"],
        &["promise", "reject", "w.1", "no"],
        &["cancel", "y"],
        &schedule,
        &["schedule", "list"],
        &["schedule", "delete", "beat"],
        &["policy", "check", "policy.toml"],
        &["policy", "show", "--effective", "policy.toml"],
        &["policy", "schema"],
        &["audit", "verify", "audit.jsonl"],
        &audit,
        &["session", "--schema"],
    ];
    for args in commands {
        let failed = |args: &[&str]| {
            let mut command = desk.command(args);
            told(command.stdout(File::create("/dev/full").unwrap()).output().unwrap())
        };
        let (code, _, said) = failed(args);
        assert!(code == 2 && said.contains(FULL), "{args:?}: {code} {said}");
        if !["--help", "--version", "session"].contains(&args[0]) && args[args.len() - 1] != "schema" {
            // Done already, or not: what it would say is lost in both cases.
            let (code, _, said) = failed(&[*args, &["--json"]].concat());
            assert!(code == 2 && (said.contains(FULL) || said.contains("error: ")), "{args:?} --json: {code} {said}");
        }
    }
}

#[test]
fn a_standard_output_that_is_open_for_reading_only_is_none() {
    let desk = Desk::new();
    desk.told(&desk.run("prints", "\"told\"", "x"));
    let mut list = desk.command(&["list"]);
    let (code, _, said) = told(list.stdout(File::open("/dev/null").unwrap()).output().unwrap());
    assert!(code == 2 && said.contains("cannot write to standard output"), "{code} {said}");
}

#[test]
fn a_reader_that_has_gone_away_needs_no_error() {
    let desk = Desk::new();
    desk.told(&desk.run("prints", "\"told\"", "x"));
    for args in [&["list"][..], &["--help"], &["show", "x", "--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (code, _, said) = told(desk.command(args).stdout(writer).output().unwrap());
        assert_eq!((code, &*said), (0, ""), "{args:?}");
    }
}

/// It has nobody else to tell that it goes on in vain.
#[test]
fn a_session_whose_messages_cannot_be_written_ends() {
    let desk = Desk::new();
    let mut session = desk.command(&["session", "--store", "memory"]);
    let mut session = session.stdin(Stdio::piped()).stdout(File::create("/dev/full").unwrap()).spawn().unwrap();
    // Its standard input stays open: it is not the end of the requests that ends it.
    let stdin = session.stdin.take().unwrap();
    let (code, _, said) = told(session.wait_with_output().unwrap());
    drop(stdin);
    assert!(code == 2 && said.contains(FULL), "{code} {said}");
}

#[test]
fn what_the_host_logs_has_no_colours_in_a_pipe() {
    let desk = Desk::new();
    create_dir(desk.path("cache")).unwrap();
    // Others may write to it, which is warned of.
    desk.mode("cache", 0o777);
    let (code, stdout, stderr) = desk.told(&[&desk.run("prints", "\"told\"", "x")[..], &["--cache", "cache"]].concat());
    assert!(code == 0 && stderr.contains(" WARN everstep::engine::cache: components are compiled anew"), "{stderr}");
    assert!(!stdout.contains('\x1b') && !stderr.contains('\x1b'), "{stdout} {stderr}");
}

#[test]
fn a_folder_that_may_not_be_read_is_not_an_empty_one() {
    let desk = Desk::new();
    desk.told(&desk.run("prints", "\"told\"", "x"));
    desk.mode(".everstep", 0o000);
    for args in [&["list"][..], &["show", "x"], &["resume", "x"], &["cancel", "x"]] {
        let (code, _, said) = desk.by_a_user(args);
        assert!(code == 2 && said.contains("Permission denied") && !said.contains("no store in it"), "{said}");
        assert!(said.contains("the user whose store it is"), "{said}");
    }
    desk.mode(".everstep", 0o755);
    desk.mode(".everstep/store.db", 0o000);
    let (code, _, said) = desk.by_a_user(&["list"]);
    assert!(code == 2 && said.contains("its store.db: Permission denied"), "{said}");
    let (code, _, said) = desk.by_a_user(&["list", "--store", "nowhere"]);
    assert!(code == 2 && said.contains("there is no store in it"), "{said}");
    desk.mode(".everstep/store.db", 0o600);
}

/// A folder of whoever reads it, of somebody else, and a copy of the tables alone.
#[test]
fn a_store_that_can_only_be_read_is_listed_or_says_what_it_needs() {
    let desk = Desk::new();
    desk.told(&desk.run("prints", "\"told\"", "x"));
    for (name, files) in [
        ("whole", &["store.db", "store.db-wal", "store.db-shm"][..]),
        ("index lost", &["store.db", "store.db-wal"]),
        ("log lost", &["store.db"]),
    ] {
        create_dir(desk.path(name)).unwrap();
        for file in files {
            copy(desk.path(".everstep").join(file), desk.path(name).join(file)).unwrap();
        }
    }
    // All that is in the log, in the tables: nothing else is needed then.
    let complete = "tables ä%?";
    create_dir(desk.path(complete)).unwrap();
    for file in ["store.db", "store.db-wal"] {
        copy(desk.path(".everstep").join(file), desk.path(complete).join(file)).unwrap();
    }
    let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA wal_checkpoint(TRUNCATE)'); c.close()";
    let checkpoint = Command::new("python3").args(["-c", script]).arg(desk.path(complete).join("store.db")).status();
    assert!(checkpoint.unwrap().success());
    let files: Vec<_> = read_dir(desk.path(complete)).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["store.db"]);

    for name in ["whole", "index lost", "log lost", complete] {
        for file in read_dir(desk.path(name)).unwrap() {
            set_permissions(file.unwrap().path(), Permissions::from_mode(0o444)).unwrap();
        }
        desk.mode(name, 0o555);
    }
    for name in ["whole", complete] {
        let (code, listed, said) = desk.by_a_user(&["list", "--store", name, "--json"]);
        assert_eq!((code, said.contains("has no log")), (0, name == complete), "{name}: {said}");
        let listed: Value = serde_json::from_str(&listed).unwrap();
        assert_eq!(listed["executions"][0]["id"], "x", "{name}");
        let (code, shown, said) = desk.by_a_user(&["show", "x", "--store", name]);
        assert!(code == 0 && shown.contains("completed"), "{name}: {said}");
    }
    let (code, _, said) = desk.by_a_user(&["list", "--store", "index lost"]);
    assert!(code == 2 && said.contains("copy the whole folder"), "{said}");
    // What a host has copied into the tables is listed; that the rest is not there is told.
    let (code, _, said) = desk.by_a_user(&["list", "--store", "log lost"]);
    assert!(code == 0 && said.contains("has no log, store.db-wal"), "{said}");
    for name in ["whole", "index lost", "log lost", complete] {
        desk.mode(name, 0o755);
    }
}

#[test]
fn an_id_in_use_is_refused_with_the_first_difference_and_the_ways_on() {
    let desk = Desk::new();
    let body = "x = 1  # a line of a long program\n".repeat(6_000);
    let program = |end: &str| {
        write(desk.path("program.py"), format!("{body}print({end:?})\n{body}")).unwrap();
        desk.told(&["exec", "program.py", "--id", "p"])
    };
    let (code, printed, said) = program("one");
    assert_eq!((code, &*printed), (0, "one\n"), "{said}");
    let (code, _, said) = program("two");
    assert!(code == 2 && said.len() < 600, "{} bytes: {}", said.len(), &said[..said.len().min(2_000)]);
    for part in ["line 6001", r#"print(\"one\")"#, r#"print(\"two\")"#, "everstep fork p --at N --id NEW", "another id"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn what_does_not_hold_for_an_execution_that_was_there_is_told() {
    let desk = Desk::new();
    let rebuilt = desk.rebuilt();
    let asks = desk.run("asks", "null", "x");
    let wanted = [&asks[..], &["--no-wait", "--timeout", "1h"]].concat();
    let (code, _, said) = desk.told(&wanted);
    assert!(code == 5 && !said.contains("--timeout"), "{said}");
    let deadline = desk.json(&["show", "x"]).1["deadline_ms"].clone();
    let (code, _, said) = desk.told(&[&asks[..], &["--no-wait", "--timeout", "2h"]].concat());
    assert!(code == 5 && said.contains("--timeout does not apply") && said.contains("keeps its deadline"), "{said}");
    assert_eq!(desk.json(&["show", "x"]).1["deadline_ms"], deadline);

    let began = desk.json(&["show", "x"]).1["component"].as_str().unwrap().to_owned();
    let other = ["run", &rebuilt, "asks", "--policy", "policy.toml", "--id", "x", "--no-wait"];
    let (code, _, said) = desk.told(&other);
    assert!(code == 5 && said.contains("began with another component") && said.contains(&began), "{began}: {said}");

    assert_eq!(desk.json(&["promise", "resolve", "x.1", "1"]).0, 0);
    assert_eq!(desk.told(&["resume", "x"]).0, 0);
    // It has ended with the component that took it over.
    let (code, result, said) = desk.told(&[&asks[..], &["--timeout", "1h"]].concat());
    assert_eq!((code, &*result), (0, "1\n"), "{said}");
    for part in ["has ended, with another component", "--timeout does not apply"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_program_goes_on_with_the_python_that_it_began_with_and_says_so() {
    let desk = Desk::new();
    let ask = ["exec", "-c", "print(input('?'))", "--id", "p", "--no-wait"];
    let (code, _, said) = desk.told(&ask);
    assert_eq!(code, 125, "{said}");
    let mut python = std::fs::read(binary().with_file_name("everstep-python.wasm")).unwrap();
    python.extend([0, 5, 4, b'n', b'e', b'x', b't']);
    write(desk.path("python.wasm"), python).unwrap();
    let (code, _, said) = told(desk.command(&ask).env("EVERSTEP_PYTHON", desk.path("python.wasm")).output().unwrap());
    assert!(code == 125 && said.contains("goes on with the component that it began with"), "{said}");
}

#[test]
fn a_schedule_whose_id_could_be_that_of_a_firing_is_refused() {
    let desk = Desk::new();
    for id in ["a:b", "a/b", "a b", "", "a.1"] {
        let (code, told) = desk.json(&["schedule", "create", id, "--cron", "0 3 * * *", &desk.component, "prints"]);
        assert_eq!((code, &told["error"]["kind"]), (2, &json!("schedule")), "{id}");
        assert!(told["error"]["message"].as_str().unwrap().contains("1 to 108 of the characters"), "{told}");
    }
    assert_eq!(desk.json(&["schedule", "list"]).1, json!({"schedules": []}));
}

#[test]
fn a_firing_whose_id_is_in_use_is_told() {
    let desk = Desk::new();
    let create = ["schedule", "create", "beat", "--cron", "0 0 1 1 *", &desk.component, "prints", "--args", "\"tick\""];
    assert_eq!(desk.json(&create).0, 0);
    let next = desk.json(&["schedule", "list"]).1["schedules"][0]["next_ms"].as_u64().unwrap();
    let id = format!("beat:{next}");
    assert_eq!(desk.told(&desk.run("prints", "\"mine\"", &id)).0, 0);
    // The first of January has come, as far as the store knows.
    let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('UPDATE schedules SET next_run_at = 1000'); \
                  c.execute('UPDATE promises SET id = ? WHERE id = ?', ('beat:1000', sys.argv[2])); c.commit(); c.close()";
    let store = desk.path(".everstep/store.db");
    let moved = Command::new("python3").args(["-c", script]).arg(store).arg(&id).status();
    assert!(moved.unwrap().success());
    let mut host = desk.command(&["resume", "--stay"]).spawn().unwrap();
    let mut said = String::new();
    let mut stderr = BufReader::new(host.stderr.take().unwrap());
    while !said.contains("beat:1000") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "it ended: {said}");
    }
    host.kill().unwrap();
    host.wait().unwrap();
    assert!(said.contains("starts nothing: there is an execution of that id already"), "{said}");
}

#[test]
fn a_canceled_guest_that_cannot_clean_up_is_canceled() {
    for json in [false, true] {
        let desk = Desk::new();
        let (code, _, said) = desk.told(&[&desk.run("cleans_up", "\"/out/tidy\"", "x")[..], &["--no-wait"]].concat());
        assert_eq!(code, 5, "{said}");
        remove_dir(desk.path("out")).unwrap();
        let (code, done, said) = desk.told(&[&["cancel", "x"][..], if json { &["--json"] } else { &[] }].concat());
        assert_eq!(code, 0, "{said}");
        for part in ["warning: x ended without the clean-up", "\"out\"", "No such file"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains("create it") && !said.contains("error: "), "nothing is to be done: {said}");
        if json {
            let done: Value = serde_json::from_str(&done).unwrap();
            assert_eq!((&done["canceled"], done["warnings"].as_array().unwrap().len()), (&json!("x"), 1), "{done}");
        } else {
            assert_eq!(done, "canceled x\n");
        }
        assert_eq!(desk.json(&["show", "x"]).1["state"], "canceled");
    }
}

fn compiled(cache: &Path) -> usize {
    let files = read_dir(cache).map(|files| files.map(|file| file.unwrap().path()).collect::<Vec<_>>());
    files.unwrap_or_default().iter().filter(|file| file.extension().is_some_and(|kind| kind == "cwasm")).count()
}

#[test]
fn a_schedule_and_a_cancellation_take_components_from_the_cache() {
    let desk = Desk::new();
    let cache = desk.path("cache");
    let create = ["schedule", "create", "beat", "--cron", "0 3 * * *", &desk.component, "prints", "--cache", "cache"];
    assert_eq!(desk.json(&create).0, 0);
    assert_eq!(compiled(&cache), 1, "it keeps what it compiles");
    // What is kept under the same name but is not what was written is reported, so it was asked for.
    let spoil = || {
        for file in read_dir(&cache).unwrap().map(|file| file.unwrap().path()) {
            if file.extension().is_some_and(|kind| kind == "mac") {
                write(file, [0; 32]).unwrap();
            }
        }
    };
    spoil();
    assert_eq!(desk.json(&["schedule", "delete", "beat"]).0, 0);
    let (code, _, said) = desk.told(&create);
    assert!(code == 0 && said.contains("a cached component is not what was written"), "{said}");

    let (code, _, said) = desk.told(&[&desk.run("cleans_up", "\"/out/tidy\"", "x")[..], &["--no-wait"]].concat());
    assert_eq!(code, 5, "{said}");
    spoil();
    let (code, _, said) = desk.told(&["cancel", "x", "--cache", "cache"]);
    assert!(code == 0 && said.contains("a cached component is not what was written"), "{said}");
    assert_eq!(desk.read("out/tidy"), "cleaned");
}

#[test]
fn a_python_program_ends_under_resume_as_under_exec() {
    let desk = Desk::new();
    for (id, answer, code) in [("a", "1", 0), ("b", "0", 1)] {
        let program = "n = int(input('?'))\nprint(1 / n)\nn + 1";
        let (suspended, _, said) = desk.told(&["exec", "-c", program, "--id", id, "--no-wait"]);
        assert_eq!(suspended, 125, "{said}");
        let question = desk.json(&["promise", "list"]).1["promises"][0]["id"].as_str().unwrap().to_owned();
        let answered = desk.json(&["promise", "resolve", &question, &format!("\"{answer}\"")]);
        assert_eq!(answered.0, 0, "{}", answered.1);
        let (ended, printed, said) = desk.told(&["resume", id]);
        assert_eq!((ended, &*printed), (code, if code == 0 { "1.0\n" } else { "" }), "{said}");
        if code == 1 {
            assert!(said.starts_with("Traceback (most recent call last):\n"), "{said}");
            assert!(said.trim_end().ends_with("ZeroDivisionError: division by zero"), "{said}");
        }
        let again = desk.told(&["exec", "-c", program, "--id", id]);
        assert_eq!((again.0, &*again.1, again.2), (code, "", said), "exec says the same");
    }
    // A function of that name, called alike, has a result.
    let (code, result, said) = desk.told(&desk.run("same", r#"{"code": "1", "filename": "f"}"#, "same"));
    assert_eq!((code, result.lines().count()), (0, 1), "{said}");
}

#[test]
fn without_waiting_everything_goes_as_far_as_it_can_at_once() {
    let desk = Desk::new();
    let (code, result, said) = desk.told(&[&desk.run("nests", "4", "deep")[..], &["--no-wait"]].concat());
    assert_eq!((code, &*result), (0, "4\n"), "{said}");
    let (code, result, said) = desk.told(&[&desk.run("sums_children", "3", "many")[..], &["--no-wait"]].concat());
    assert_eq!((code, result.lines().count()), (0, 1), "{said}");

    let (code, _, said) = desk.told(&[&desk.run("asks_child", "null", "x")[..], &["--no-wait"]].concat());
    assert!(code == 5 && said.contains("waiting for x.0.1"), "the question of the child is told: {said}");
    let promises = desk.json(&["promise", "list"]).1;
    assert_eq!(promises["promises"][0]["id"], "x.0.1", "{promises}");
    let states = |id: &str| desk.json(&["show", id]).1["state"].clone();
    assert_eq!([states("x"), states("x.0")], [json!("suspended"), json!("suspended")]);

    // Answered: the child ends, and then its caller, in one go.
    assert_eq!(desk.json(&["promise", "resolve", "x.0.1", "7"]).0, 0);
    let (code, result, said) = desk.told(&["resume", "x", "--no-wait"]);
    assert_eq!((code, &*result), (0, "answered\n7\n"), "{said}");
}

#[test]
fn without_waiting_a_child_that_cannot_go_on_holds_nobody_up() {
    let desk = Desk::new();
    let call = r#"{"function": "traps", "args": null}"#;
    let (code, _, said) = desk.told(&[&desk.run("calls", call, "x")[..], &["--no-wait"]].concat());
    assert!(code == 5 || code == 1, "{code} {said}");
    assert_eq!(desk.json(&["show", "x.0"]).1["state"], "halted");
}

/// A host that dies writes down nothing of how far it was; what ended its executions later did not run them.
#[test]
fn list_and_show_agree_on_the_steps() {
    let desk = Desk::new();
    for id in ["killed", "canceled"] {
        // Who might answer there says nothing.
        let mut host = desk.command(&desk.run("asks", "null", id)).stdin(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        let mut stderr = BufReader::new(host.stderr.take().unwrap());
        while !said.contains(&format!("[{id}.")) {
            assert!(stderr.read_line(&mut said).unwrap() > 0, "it ended: {said}");
        }
        host.kill().unwrap();
        host.wait().unwrap();
    }
    assert_eq!(desk.told(&["cancel", "canceled"]).0, 0);
    write(desk.path("few.toml"), format!("{}[limits]\nsteps = 1\n", desk.read("policy.toml"))).unwrap();
    let halted = ["run", &desk.component, "asks", "--policy", "few.toml", "--id", "halted"];
    assert_eq!(desk.told(&halted).0, 4);
    desk.told(&desk.run("prints", "\"told\"", "completed"));
    desk.told(&desk.run("fails_plainly", "null", "failed"));
    desk.told(&[&desk.run("asks_child", "null", "suspended")[..], &["--no-wait"]].concat());
    let listed = desk.json(&["list"]).1["executions"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 7);
    for execution in listed {
        let id = execution["id"].as_str().unwrap();
        let shown = desk.json(&["show", id]).1["steps"].as_array().unwrap().len();
        assert_eq!((execution["steps"].as_u64(), shown > 0), (Some(shown as u64), id != "failed"), "{id}: {execution}");
    }
}

#[test]
fn what_is_wrong_with_a_command_line_has_no_colours_in_a_pipe() {
    let (code, stdout, stderr) = Desk::new().told(&["run", "--nothing"]);
    assert!(code == 2 && !stdout.contains('\x1b') && !stderr.contains('\x1b'), "{stderr}");
}
