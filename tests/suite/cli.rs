//! The binary, as a person or a script uses it.
//!
//! One place: it drives the program, whose store is a folder.

use crate::serve::Server;
use base64::Engine;
use everstep_tests::guests;
use serde_json::{Value, json};
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// A folder to run the binary in, with a cache of its own nowhere else.
struct Desk {
    dir: TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(args).current_dir(self.path()).env_remove("EVERSTEP_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str]) -> Done {
        Done::from(self.command(args).output().unwrap())
    }

    /// Starts the binary and returns once it says on standard error that it waits.
    fn waiting(&self, args: &[&str]) -> (Child, BufReader<std::process::ChildStderr>) {
        let mut child = self.command(args).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("answer with: everstep promise resolve") {
            assert!(stderr.read_line(&mut said).unwrap() > 0, "it ended: {said}");
        }
        (child, stderr)
    }

    /// The example `approval` with folders here; returns what `run` needs to know of it.
    fn approval(&self) -> [String; 2] {
        for folder in ["drafts", "published"] {
            std::fs::create_dir(self.path().join(folder)).unwrap();
        }
        std::fs::write(self.path().join("drafts/announcement.md"), "news").unwrap();
        let example = guests::project().join("examples/approval");
        std::fs::copy(example.join("policy.toml"), self.path().join("policy.toml")).unwrap();
        [component("approval"), "policy.toml".to_owned()]
    }
}

/// What a command came to.
#[derive(Debug)]
struct Done {
    code: i32,
    stdout: String,
    stderr: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Done {
    /// The one JSON object on standard output.
    fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// The binary beside this test: `target/release/everstep`.
fn binary() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let binary = tests.parent().unwrap().parent().unwrap().join("everstep");
    assert!(binary.is_file(), "{} is missing; `cargo build --release` makes it", binary.display());
    binary
}

fn component(example: &str) -> String {
    let path = guests::path(&guests::project().join("examples").join(example).join("guest")).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_result_comes_last_and_the_same_id_again_runs_nothing() {
    let (desk, hello) = (Desk::new(), component("hello"));
    let first = desk.run(&["run", &hello, "hello", "--args", r#""Ada""#, "--id", "a"]);
    assert_eq!((first.code, &*first.stdout), (0, "hello Ada\n\"hello Ada\"\n"), "{first:?}");
    assert!(first.stderr.contains("no policy file: nothing is granted but print"), "{first:?}");

    let again = desk.run(&["run", &hello, "hello", "--args", r#""Ada""#, "--id", "a"]);
    assert_eq!((again.code, &*again.stdout), (0, "\"hello Ada\"\n"), "{again:?}");
    let other = desk.run(&["run", &hello, "hello", "--args", r#""Bob""#, "--id", "a", "--json"]);
    assert_eq!((other.code, &other.json()["error"]["kind"]), (2, &json!("id-in-use")), "{other:?}");
    for text in [r#"recorded "Ada""#, r#"given "Bob""#] {
        assert!(other.stderr.contains(text), "{other:?}");
    }
}

#[test]
fn a_script_gets_one_object_and_the_output_on_standard_error() {
    let (desk, hello) = (Desk::new(), component("hello"));
    std::fs::write(desk.path().join("args.json"), "\"Eve\"\n").unwrap();
    let run = desk.run(&["run", &hello, "hello", "--args", "@args.json", "--json", "--store", "memory"]);
    let mut object = run.json();
    for key in ["id", "wall_ms"] {
        assert!(object.as_object_mut().unwrap().remove(key).is_some(), "{run:?}");
    }
    assert_eq!(object, json!({"state": "completed", "result": "hello Eve", "steps": 1, "replayed": 0}));
    assert!(run.stderr.contains("hello Eve\n"), "{run:?}");
    assert!(!desk.path().join(".everstep").exists());
}

#[test]
fn arguments_may_come_from_standard_input() {
    let (desk, hello) = (Desk::new(), component("hello"));
    let mut run = desk.command(&["run", &hello, "hello", "--args", "-"]);
    let mut run = run.stdin(Stdio::piped()).spawn().unwrap();
    run.stdin.take().unwrap().write_all(b" \"Eve\" ").unwrap();
    let done = Done::from(run.wait_with_output().unwrap());
    assert_eq!((done.code, &*done.stdout), (0, "hello Eve\n\"hello Eve\"\n"), "{done:?}");
}

#[test]
fn exit_codes_tell_errors_apart() {
    let (desk, count, hello) = (Desk::new(), component("word-count"), component("hello"));
    let denied = desk.run(&["run", &count, "count", "--id", "denied", "--json"]);
    assert_eq!((denied.code, &denied.json()["error"]["code"]), (3, &json!("denied")), "{denied:?}");
    let invalid = desk.run(&["run", &hello, "hello", "--args", "{}", "--json"]);
    assert_eq!((invalid.code, &invalid.json()["error"]["code"]), (1, &json!("invalid")), "{invalid:?}");

    let kinds: [(&[&str], &str); 7] = [
        (&["run", &hello, "nobody"], "unknown-function"),
        (&["run", &hello, "hello", "--args", "{"], "arguments"),
        (&["run", "none.wasm", "hello"], "io"),
        (&["run", &hello], "unknown-function"),
        (&["show", "nobody"], "unknown-execution"),
        (&["resume", "--store", "memory"], "nothing-survives"),
        (&["resume", "--store", "nowhere"], "store"),
    ];
    for (command, kind) in kinds {
        let done = desk.run(&[command, &["--json"]].concat());
        assert_eq!((done.code, &done.json()["error"]["kind"]), (2, &json!(kind)), "{done:?}");
        assert!(done.stderr.contains("error: "), "{done:?}");
    }
    let unnamed = desk.run(&["run", &hello]);
    assert_eq!(unnamed.stderr, "error: the component is no program: name one of its functions; it has hello\n");
    assert!(!desk.path().join("nowhere").exists());
}

#[test]
fn a_policy_file_is_explained_or_refused() {
    let desk = Desk::new();
    let example = guests::project().join("examples/word-count/policy.toml");
    let good = desk.run(&["policy", "check", example.to_str().unwrap()]);
    assert_eq!(good.code, 0, "{good:?}");
    assert!(good.stdout.contains("files        input: /in is "), "{good:?}");
    std::fs::create_dir_all(desk.path().join("deps/lib")).unwrap();
    std::fs::write(desk.path().join("deps/a"), "four").unwrap();
    std::fs::write(desk.path().join("deps/lib/b"), "seven b").unwrap();
    let image = "version = 1\nfiles = [{ id = 'deps', guest = '/deps', host = 'deps', access = 'image' }]\n";
    std::fs::write(desk.path().join("image.toml"), image).unwrap();
    let of_image = || {
        let checked = desk.run(&["policy", "check", "image.toml", "--json"]);
        let images = serde_json::from_str::<serde_json::Value>(&checked.stdout).unwrap()["images"].clone();
        assert_eq!((&images[0]["rule"], &images[0]["files"]), (&"deps".into(), &2.into()), "{checked:?}");
        images[0].clone()
    };
    let first = of_image();
    assert_eq!(first["bytes"], 11);
    let told = desk.run(&["policy", "check", "image.toml"]);
    let line = format!("image        deps: files 2, bytes 11, digest {}\n", first["digest"].as_str().unwrap());
    assert!(told.stdout.contains(&line), "{told:?}");
    assert_eq!(of_image(), first);
    std::fs::write(desk.path().join("deps/a"), "fore").unwrap();
    assert!(of_image()["digest"] != first["digest"] && of_image()["bytes"] == 11);
    std::fs::remove_dir_all(desk.path().join("deps")).unwrap();
    let gone = desk.run(&["policy", "check", "image.toml"]);
    assert!(gone.code == 0 && gone.stdout.contains("image        deps: cannot be pinned: "), "{gone:?}");
    std::fs::write(desk.path().join("bad.toml"), "version = 1\nnam = 'x'\n").unwrap();
    let bad = desk.run(&["policy", "check", "bad.toml"]);
    assert_eq!((bad.code, &*bad.stdout), (2, ""), "{bad:?}");
    assert!(bad.stderr.contains("bad.toml:2: unknown key `nam`"), "{bad:?}");
}

#[test]
fn a_store_that_the_guest_could_write_is_refused() {
    let desk = Desk::new();
    let [guest, policy] = desk.approval();
    let done = desk.run(&["run", &guest, "publish", "--policy", &policy, "--store", "published/store"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.stderr.contains("lets the guest write"), "{done:?}");
}

#[test]
fn a_guest_that_could_rewrite_its_crate_or_component_is_refused() {
    let desk = Desk::new();
    for folder in ["guest/src", "guest/out", "out"] {
        std::fs::create_dir_all(desk.path().join(folder)).unwrap();
    }
    let manifest = "[package]\nname = 'g'\n[lib]\ncrate-type = ['cdylib']\n";
    std::fs::write(desk.path().join("guest/Cargo.toml"), manifest).unwrap();
    std::fs::write(desk.path().join("out/guest.wasm"), "").unwrap();
    std::fs::create_dir(desk.path().join("policies")).unwrap();
    let run = |target: &str, host: &str| {
        let rule = "version = 1\n[[files]]\nid = 'rule'\nguest = '/w'\naccess = 'write'\n";
        std::fs::write(desk.path().join("policies/p.toml"), format!("{rule}host = '../{host}'\n")).unwrap();
        desk.run(&["run", target, "f", "--policy", "policies/p.toml", "--store", "memory"])
    };
    for host in ["guest", "guest/src", "guest/out", ".cargo"] {
        let done = run("guest", host);
        assert_eq!(done.code, 2, "{host}: {done:?}");
        let says = "the rule \"rule\" lets the guest write what guest is built from: ";
        assert!(done.stderr.contains(says) && !done.stderr.contains("building"), "{host}: {done:?}");
        assert!(done.stderr.contains("; grant a folder apart from it"), "{host}: {done:?}");
    }
    let done = run("out/guest.wasm", "out");
    assert_eq!(done.code, 2, "{done:?}");
    let says = "the rule \"rule\" lets the guest replace the component out/guest.wasm; grant a folder apart from it";
    assert!(done.stderr.contains(says), "{done:?}");
    // What is beside the crate is no matter; there is just nothing to build.
    let done = run("guest", "out");
    assert!(done.stderr.contains("building guest ..."), "{done:?}");
}

#[test]
fn a_waiting_run_is_answered_by_another_process() {
    let desk = Desk::new();
    let [guest, policy] = desk.approval();
    let (run, _stderr) = desk.waiting(&["run", &guest, "publish", "--policy", &policy, "--id", "a", "--json"]);
    let listed = desk.run(&["promise", "list", "--json"]).json();
    assert_eq!(listed["promises"][0]["id"], "a.1");
    assert_eq!(listed["promises"][0]["data"]["draft"], "news");
    let beside = desk.run(&["run", &guest, "publish", "--policy", &policy, "--id", "b", "--no-wait", "--json"]);
    assert_eq!((beside.code, &beside.json()["state"]), (5, &json!("suspended")), "{beside:?}");

    let unknown = desk.run(&["promise", "resolve", "a.7", "1", "--json"]);
    assert_eq!((unknown.code, &unknown.json()["error"]["kind"]), (2, &json!("unknown-promise")), "{unknown:?}");
    let resolved = desk.run(&["promise", "resolve", "a.1", "{\"publish\":\n true}", "--json"]);
    assert_eq!((resolved.code, resolved.json()), (0, json!({"settled": "a.1"})), "{resolved:?}");
    let done = Done::from(run.wait_with_output().unwrap());
    assert_eq!((done.code, &done.json()["result"]["published"]), (0, &json!(true)), "{done:?}");
}

#[test]
fn an_answer_is_kept_until_the_execution_is_resumed() {
    let desk = Desk::new();
    let [guest, policy] = desk.approval();
    let run = desk.run(&["run", &guest, "publish", "--policy", &policy, "--id", "a", "--no-wait", "--json"]);
    assert_eq!((run.code, &run.json()["state"]), (5, &json!("suspended")), "{run:?}");
    assert!(run.stderr.contains("everstep resume a\n"), "{run:?}");
    let resolved = desk.run(&["promise", "resolve", "a.1", r#"{"publish": true}"#]);
    assert_eq!((resolved.code, &*resolved.stdout), (0, "resolved a.1\n"), "{resolved:?}");
    assert!(resolved.stderr.contains("goes on with: everstep resume a\n"), "{resolved:?}");
    let all = desk.run(&["resume"]);
    assert_eq!(all.code, 0, "{all:?}");
    let last = all.stdout.lines().last().unwrap();
    assert!(last.starts_with("a  completed  {"), "{all:?}");
    let logs = desk.run(&["logs", "a"]);
    assert_eq!(logs.stdout, "publish announcement.md? answer promise a.1\npublished: somebody said yes\n");
}

#[test]
fn a_rejection_reaches_the_guest() {
    let desk = Desk::new();
    let [guest, policy] = desk.approval();
    desk.run(&["run", &guest, "publish", "--policy", &policy, "--id", "a", "--no-wait"]);
    assert_eq!(desk.run(&["promise", "reject", "a.1", "not today"]).code, 0);
    let resumed = desk.run(&["resume", "a", "--json"]);
    let error = json!({"kind": "returned", "code": "failed", "message": "not today"});
    assert_eq!((resumed.code, &resumed.json()["error"]), (1, &error), "{resumed:?}");
}

#[test]
fn canceling_ends_an_execution_that_runs_or_rests() {
    let desk = Desk::new();
    let [guest, policy] = desk.approval();
    let (run, _stderr) = desk.waiting(&["run", &guest, "publish", "--policy", &policy, "--id", "a", "--json"]);
    assert_eq!(desk.run(&["cancel", "a"]).stdout, "canceled a\n");
    let done = Done::from(run.wait_with_output().unwrap());
    assert_eq!((done.code, &done.json()["state"]), (1, &json!("canceled")), "{done:?}");

    desk.run(&["run", &guest, "publish", "--policy", &policy, "--id", "b", "--no-wait"]);
    assert_eq!(desk.run(&["cancel", "b"]).code, 0);
    let again = desk.run(&["cancel", "b", "--json"]);
    assert_eq!((again.code, again.json()), (0, json!({"ended": "b", "state": "canceled"})));
    assert_eq!(desk.run(&["cancel", "b"]).stdout, "b had ended (canceled); nothing was changed\n");
    assert_eq!(desk.run(&["promise", "list", "--json"]).json(), json!({"promises": []}));
}

#[test]
fn a_signal_leaves_an_execution_that_can_be_resumed() {
    let desk = Desk::new();
    let [guest, policy] = desk.approval();
    for (signal, code, command) in [("-INT", 130, "run"), ("-TERM", 143, "resume")] {
        let args = match command {
            "run" => vec!["run", &guest, "publish", "--policy", &policy, "--id", "a"],
            _ => vec!["resume", "a"],
        };
        let (mut run, mut stderr) = desk.waiting(&args);
        let killed = Command::new("kill").args([signal, &run.id().to_string()]).status().unwrap();
        assert!(killed.success());
        assert_eq!(run.wait().unwrap().code(), Some(code));
        let mut said = String::new();
        stderr.read_to_string(&mut said).unwrap();
        assert!(said.contains("go on with: everstep resume a\n"), "{said}");
    }
    let suspended = desk.run(&["resume", "--no-wait", "--json"]);
    assert_eq!((suspended.code, &suspended.json()["executions"][0]["replayed"]), (5, &json!(3)), "{suspended:?}");
}

#[test]
fn steps_are_shown_with_their_decisions() {
    let (desk, count) = (Desk::new(), component("word-count"));
    desk.run(&["run", &count, "count", "--id", "a"]);
    let shown = desk.run(&["show", "a", "--json"]).json();
    let step = &shown["steps"][0];
    assert_eq!((&step["n"], &step["kind"], &step["decision"]), (&json!(0), &json!("files.list"), &json!("deny")));
    assert_eq!((&shown["state"], &shown["error"]["code"]), (&json!("failed"), &json!("denied")));
    let table = desk.run(&["show", "a"]).stdout;
    assert!(table.contains("\nN  KIND        SUBJECT  DECISION"), "{table}");
    let listed = desk.run(&["list", "--json"]).json();
    assert_eq!((&listed["executions"][0]["id"], &listed["executions"][0]["steps"]), (&json!("a"), &json!(1)));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let (desk, hello) = (Desk::new(), component("hello"));
    let commands: [&[&str]; 3] = [&["run", &hello, "hello", "--id", "a"], &["list"], &["show", "a"]];
    for args in commands {
        let mut child = desk.command(args).spawn().unwrap();
        drop(child.stdout.take());
        let done = Done::from(child.wait_with_output().unwrap());
        assert_eq!(done.code, 0, "{done:?}");
        assert!(!done.stderr.contains("panic"), "{done:?}");
    }
}

#[test]
fn a_reader_that_is_stuck_holds_neither_the_execution_nor_a_signal() {
    let (desk, count) = (Desk::new(), component("word-count"));
    for folder in ["in", "out"] {
        std::fs::create_dir(desk.path().join(folder)).unwrap();
    }
    // A pipe holds 64 KiB; a line per file makes more.
    for file in 0..600 {
        std::fs::write(desk.path().join(format!("in/{file:0>120}")), "one").unwrap();
    }
    std::fs::copy(guests::project().join("examples/word-count/policy.toml"), desk.path().join("policy.toml")).unwrap();
    let mut run = desk.command(&["run", &count, "count", "--policy", "policy.toml", "--id", "a"]).spawn().unwrap();
    let state = || desk.run(&["list", "--json"]).json()["executions"][0]["state"].clone();
    let deadline = std::time::Duration::from_secs(60);
    wait_until(deadline, || desk.path().join(".everstep/store.db").exists() && state() == "completed");
    assert!(run.try_wait().unwrap().is_none(), "its output is not read, so it cannot have ended");
    let killed = Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap();
    assert!(killed.success());
    wait_until(deadline, || run.try_wait().unwrap().is_some());
    assert_eq!(run.wait().unwrap().code(), Some(130));
}

fn wait_until(deadline: std::time::Duration, mut holds: impl FnMut() -> bool) {
    let step = std::time::Duration::from_millis(20);
    for _ in 0..deadline.as_millis() / step.as_millis() {
        if holds() {
            return;
        }
        std::thread::sleep(step);
    }
    panic!("it did not happen within {deadline:?}");
}

/// What `list --json` says of one execution.
fn listed_as<'a>(list: &'a Value, id: &str) -> &'a Value {
    list["executions"].as_array().unwrap().iter().find(|one| one["id"] == id).unwrap()
}

/// Names of folders that mean something to SQLite, a shell, a URL, or an option parser.
const ODD_NAMES: [&[u8]; 9] = [
    b"file:abc?mode=memory",
    b"file:abc",
    b"file:a/b?mode=ro&cache=shared",
    b":memory:",
    b"a?b#c%41 d&e",
    b"-x",
    b"it's \\ \"quoted\"",
    b"two\nlines",
    b"\xff\xfe not UTF-8",
];

#[test]
fn a_store_is_a_folder_whatever_its_name_is() {
    for name in ODD_NAMES.map(OsStr::from_bytes) {
        let desk = Desk::new();
        let [approval, policy] = desk.approval();
        let before = std::fs::read_dir(desk.path()).unwrap().count();
        let store = OsString::from_iter([OsStr::new("--store="), name]);
        let run = |args: &[&str]| Done::from(desk.command(args).arg(&store).output().unwrap());
        let ran = run(&["run", &approval, "publish", "--policy", &policy, "--id", "a", "--no-wait"]);
        let hinted = ran.stderr.rsplit(" --store ").next().unwrap().trim_end();
        let listed = run(&["list", "--json"]);
        assert_eq!(listed.json()["executions"][0]["id"], "a", "{name:?}: {listed:?}");
        assert!(desk.path().join(name).join("store.db").is_file(), "{name:?}");
        let made = std::fs::read_dir(desk.path()).unwrap().count() - before;
        assert_eq!(made, 1, "{name:?}: more than the folder was made");

        // What the hint names is the same folder for a shell.
        let script = format!("exec \"$0\" show a --json --store {hinted}");
        let shell = Command::new("bash").arg("-c").arg(script).arg(binary()).current_dir(desk.path()).output().unwrap();
        assert_eq!(Done::from(shell).json()["id"], "a", "{name:?}: {hinted}");
    }
    let empty = Desk::new().run(&["list", "--store", ""]);
    assert!(empty.code == 2 && empty.stderr.contains("the name of the store is empty"), "{empty:?}");
}

#[test]
fn a_policy_an_audit_log_and_a_cache_are_files_whatever_their_names_are() {
    let hello = component("hello");
    let allow = "version = 1\n[audit]\nfile = \"file:log?mode=memory\"\n[[capability]]\nname = \"print\"\n";
    for name in ODD_NAMES.into_iter().filter(|name| std::str::from_utf8(name).is_ok()).map(OsStr::from_bytes) {
        let (desk, here) = (Desk::new(), Path::new("."));
        let folder = desk.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("policy.toml"), allow).unwrap();
        let mut run = desk.command(&["run", &hello, "hello", "--args", "\"Ada\"", "--store", "memory", "--policy"]);
        let run = run.arg(here.join(name).join("policy.toml")).arg("--cache").arg(here.join(name));
        let done = Done::from(run.output().unwrap());
        assert_eq!(done.code, 0, "{name:?}: {done:?}");
        assert!(folder.join("file:log?mode=memory").is_file(), "{name:?}");
        assert!(std::fs::read_dir(&folder).unwrap().count() > 2, "{name:?}: nothing is in the cache");
    }
}

#[test]
fn a_value_that_no_program_could_read_is_named_and_the_others_are_listed() {
    let desk = Desk::new();
    let [approval, policy] = desk.approval();
    for id in ["a", "b"] {
        desk.run(&["run", &approval, "publish", "--policy", &policy, "--id", id, "--no-wait"]);
    }
    // An earlier build took this in.
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let store = rusqlite::Connection::open(desk.path().join(".everstep/store.db")).unwrap();
    assert_eq!(store.execute("UPDATE promises SET param = ?1 WHERE id = 'a.1'", [&deep]).unwrap(), 1);
    let call = format!(r#"{{"func":"publish","args":{deep},"version":1}}"#);
    assert_eq!(store.execute("UPDATE promises SET param = ?1 WHERE id = 'a'", [&call]).unwrap(), 1);
    drop(store);

    let listed = desk.run(&["promise", "list", "--json"]).json();
    let promise = |id: &str| listed["promises"].as_array().unwrap().iter().find(|one| one["id"] == id).unwrap();
    assert_eq!(promise("b.1")["data"]["draft"], "news");
    assert_eq!((&promise("a.1")["data"], promise("b.1").get("unreadable")), (&Value::Null, None));
    assert_eq!(promise("a.1")["unreadable"]["data"], "nested more than 128 deep; flatten it");
    let executions = desk.run(&["list", "--json"]).json();
    let unreadable = |id: &str| &listed_as(&executions, id)["unreadable"];
    assert_eq!(unreadable("a"), &json!({ "args": "nested more than 128 deep; flatten it" }));
    assert_eq!(unreadable("b"), &Value::Null);
    assert_eq!(desk.run(&["show", "a", "--json"]).json()["args"], Value::Null);
    for args in [&["promise", "list"][..], &["list"], &["show", "a"]] {
        let done = desk.run(args);
        assert!(done.code == 0 && done.stdout.contains('a'), "{done:?}");
    }
}

#[test]
fn a_caller_that_waits_in_vain_says_so_at_once() {
    let desk = Desk::new();
    let guest = guests::path(&guests::project().join("tests/guests/behaviour")).unwrap();
    std::fs::write(desk.path().join("policy.toml"), "version = 1\n[[capability]]\nname = \"call\"\n").unwrap();
    let call = r#"{"function": "traps", "args": null}"#;
    let args = ["run", guest.to_str().unwrap(), "calls", "--args", call, "--policy", "policy.toml", "--id", "x"];
    let mut run = desk.command(&args).spawn().unwrap();
    let mut stderr = BufReader::new(run.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("everstep cancel x.0") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "it ended: {said}");
    }
    assert!(said.contains("x waits for x.0, which halted: trap: as told, at src/children.rs:"), "{said}");
    assert!(said.contains("once the cause is gone it goes on with: everstep resume x.0\n"), "{said}");

    assert!(desk.run(&["show", "x"]).stdout.contains("waits for  x.0, which halted: trap: as told, at "));
    let shown = desk.run(&["show", "x", "--json"]).json();
    assert_eq!((&shown["waits_for"][0]["id"], &shown["waits_for"][0]["state"]), (&json!("x.0"), &json!("halted")));
    assert_eq!(shown["waits_for"][0]["error"]["kind"], "trap");
    let listed = desk.run(&["list", "--json"]).json();
    assert_eq!(listed_as(&listed, "x")["waits_for"][0]["id"], "x.0");
    assert!(desk.run(&["list"]).stdout.contains("waits for x.0, which halted"));

    assert_eq!(desk.run(&["cancel", "x.0"]).stdout, "canceled x.0\n");
    let done = Done::from(run.wait_with_output().unwrap());
    assert_eq!(done.code, 1, "{done:?}");
    let shown = desk.run(&["show", "x"]).stdout;
    assert!(shown.contains("waited for x.0, which halted and is canceled by now: trap: as told"), "{shown}");
}

/// A host that stays, its store served over HTTP: one process, one store, and the promises of its executions are anybody's.
#[test]
fn a_host_that_stays_serves_its_store() {
    let desk = Desk::new();
    let [guest, policy] = desk.approval();
    let run = ["run", &guest, "publish", "--policy", &policy, "--id", "a", "--no-wait", "--json"];
    assert_eq!(desk.run(&run).code, 5);
    let mut stay = desk.command(&["resume", "--stay", "--listen", "127.0.0.1:0"]).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(stay.stderr.take().unwrap()).read_line(&mut said).unwrap();
    let address = said.trim().split_once("http://").unwrap_or_else(|| panic!("{said}")).1.to_owned();
    let server = Server { child: stay, address };
    // Nobody who connects is offered what this host runs.
    let mut worker = server.worker("default", "w");
    let waits = server.done("promise.get", &json!({ "id": "a.1" }));
    assert_eq!(waits["promise"]["state"], "pending");
    let value = json!({ "data": base64::prelude::BASE64_STANDARD.encode(r#"{"publish": true}"#) });
    server.done("promise.settle", &json!({ "id": "a.1", "state": "resolved", "value": value }));
    let ended = desk.run(&["resume", "a", "--json"]);
    assert_eq!((ended.code, &ended.json()["result"]["published"]), (0, &json!(true)), "{ended:?}");
    server.create("theirs", &json!({ "resonate:target": "poll://any@default" }));
    assert_eq!(worker.task().0, "theirs");
}
