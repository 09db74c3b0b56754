//! A program with `main` that uses the standard library of its language and nothing else: it sees what it would see on the system.

use super::*;
use crate::support::Shown;
use everstep::PROGRAM;
use everstep::output::Content;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// What the program does, done on the system.
#[path = "../../guests/std_files/src/work.rs"]
mod work;

static PROGRAM_OF_FILES: LazyLock<Component> = LazyLock::new(|| guests::fixture("std_files").unwrap().into());

fn tree(root: &Path, at: &Path, found: &mut BTreeMap<PathBuf, Option<Vec<u8>>>) {
    for entry in fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        found.insert(path.strip_prefix(root).unwrap().to_owned(), path.is_file().then(|| fs::read(&path).unwrap()));
        if path.is_dir() {
            tree(root, &path, found);
        }
    }
}

fn expected() -> (Vec<String>, BTreeMap<PathBuf, Option<Vec<u8>>>) {
    let native = tempfile::tempdir().unwrap();
    let (told, mut files) = (work::work(native.path()), BTreeMap::new());
    tree(native.path(), native.path(), &mut files);
    (told, files)
}

#[test]
fn a_program_sees_what_it_would_see_on_the_system() {
    let (told, files) = expected();
    for sandbox in Sandbox::each() {
        sandbox.place().equip(&PROGRAM_OF_FILES);
        let policy = granted(&sandbox, FILES);
        let args = json!(["std_files", "/out"]).to_string();
        let run = Run::new(PROGRAM_OF_FILES.clone(), PROGRAM, args, policy).with_id(id("x"));
        let shown = std::sync::Arc::new(Mutex::new(String::new()));
        let sink = std::sync::Arc::clone(&shown);
        let report = life(async {
            let builder = sandbox.builder().on_output(move |output| {
                if let Content::Stdout(text) = output.content {
                    sink.lock().unwrap().push_str(&text);
                }
            });
            builder.build().unwrap().run(run).await.unwrap()
        });
        assert_eq!(result(&report), "null");
        assert_eq!(shown.lock().unwrap().lines().collect::<Vec<_>>(), told);
        let mut found = BTreeMap::new();
        tree(&sandbox.path("out"), &sandbox.path("out"), &mut found);
        assert!(found == files, "{:?}", found.keys());
    }
}

#[test]
fn without_a_policy_a_program_has_a_scratch_as_its_working_folder_and_as_tmp() {
    let (told, _) = expected();
    let test = std::env::current_exe().unwrap();
    let binary = test.parent().and_then(Path::parent).unwrap().join("everstep");
    let component = guests::path(&guests::project().join("tests/guests/std_files")).unwrap().canonicalize().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for root in [".", "/tmp"] {
        // One place: the policy that the command has by itself.
        let mut command = Command::new(&binary);
        command.arg("run").arg(&component).args(["--store", "memory", "--", root]);
        let output = command.current_dir(folder.path()).stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        // Beside what it has made, the working folder holds /tmp.
        let (last, expected) = (lines.pop().unwrap(), told.split_last().unwrap());
        assert_eq!(lines, expected.1, "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(last.replace(", (\"tmp\", true, 0)", ""), *expected.0);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// The same program for this machine.
fn native(folder: &Path) -> PathBuf {
    let (source, program) = (guests::project().join("tests/guests/std_files/src/main.rs"), folder.join("std_files"));
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(compiler);
    command.args(["--edition", "2024", "-o"]).args([&program, &source]);
    let built = command.output().expect("this test needs rustc; install it with rustup");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    program
}

#[test]
fn a_program_may_close_its_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let done = Command::new(native(folder.path())).arg(folder.path()).arg("shut").output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let expected = (text(&done.stdout), text(&done.stderr), fs::read_to_string(folder.path().join("told")).unwrap());
    assert_eq!(expected.0, "before\n");
    for sandbox in Sandbox::each() {
        sandbox.place().equip(&PROGRAM_OF_FILES);
        let args = json!(["std_files", "/out", "shut"]).to_string();
        let run = Run::new(PROGRAM_OF_FILES.clone(), PROGRAM, args, granted(&sandbox, FILES)).with_id(id("x"));
        let shown = Shown::default();
        let report = life(async { sandbox.builder().on_output(shown.sink()).build().unwrap().run(run).await.unwrap() });
        assert_eq!(result(&report), "null");
        let (mut stdout, mut stderr) = (String::new(), String::new());
        for output in shown.all() {
            match output.content {
                Content::Stdout(text) => stdout.push_str(&text),
                Content::Stderr(text) => stderr.push_str(&text),
                _ => {}
            }
        }
        assert_eq!((stdout, stderr, fs::read_to_string(sandbox.path("out/told")).unwrap()), expected);
    }
}
