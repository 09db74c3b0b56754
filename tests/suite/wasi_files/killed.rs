//! Hosts that are killed by signal, at any moment, and resumed until the execution has ended.
//!
//! One place: a process is killed, whose store is a folder.

use super::*;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const KILLS: u64 = 20;

fn binary() -> std::path::PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("everstep")
}

const ROUNDS: u64 = 60;

/// Appends, renames and removes files, with many syncs on the way, and reads an image.
fn calls() -> Value {
    let mut calls = vec![open("log", "/out/log", "wc"), json!({ "mkdir": "/out/f" })];
    for round in 0..ROUNDS {
        let (file, moved) = (format!("/out/f/{round}.tmp"), format!("/out/f/{round}"));
        calls.extend([
            open("file", &file, "wc"),
            json!({ "append": { "name": "file", "len": 3_000, "seed": round } }),
            close("file"),
            json!({ "rename": { "from": file, "to": moved } }),
            say("log", &format!("{round}\n")),
            json!({ "sync": "log" }),
            open("image", &format!("/deps/{round}"), "r"),
            json!({ "text": "image" }),
        ]);
        if round % 3 == 0 {
            calls.push(json!({ "unlink": moved }));
        }
    }
    calls.extend([close("log"), json!({ "list": "/out/f" })]);
    json!(calls)
}

fn start(folder: &Path, args: &[&str]) -> Child {
    let mut command = Command::new(binary());
    command.args(args).args(["--store", "store", "--json"]).current_dir(folder).stdin(Stdio::null());
    command.args(["--cache", concat!(env!("CARGO_TARGET_TMPDIR"), "/components")]);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

fn run(folder: &Path, component: &str) -> Child {
    fs::create_dir(folder.join("out")).unwrap();
    fs::create_dir_all(folder.join("deps")).unwrap();
    (0..ROUNDS).for_each(|round| fs::write(folder.join(format!("deps/{round}")), format!("read {round}")).unwrap());
    fs::write(folder.join("calls.json"), calls().to_string()).unwrap();
    let files = "[[files]]\nid = \"out\"\nguest = \"/out\"\nhost = \"out\"\naccess = \"write\"\n\
                 [[files]]\nid = \"deps\"\nguest = \"/deps\"\nhost = \"deps\"\naccess = \"image\"\n";
    fs::write(folder.join("policy.toml"), format!("version = 1\n{BASICS}{files}")).unwrap();
    start(folder, &["run", component, "script", "--args", "@calls.json", "--policy", "policy.toml", "--id", "x"])
}

fn result_of(host: Child) -> Value {
    let output = host.wait_with_output().unwrap();
    let object: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(object["state"], "completed", "{object}");
    object["result"].clone()
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = vec![("log".to_owned(), fs::read(folder.join("out/log")).unwrap())];
    for entry in fs::read_dir(folder.join("out/f")).unwrap() {
        let path = entry.unwrap().path();
        found.push((path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()));
    }
    found.sort();
    found
}

#[test]
fn kills_at_any_moment_leave_the_files_as_if_there_had_been_none() {
    let component = guests::path(&guests::project().join("tests/guests/files")).unwrap();
    let component = component.canonicalize().unwrap();
    let (undisturbed, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = result_of(run(undisturbed.path(), component.to_str().unwrap()));
    assert!(expected.to_string().contains(&format!("read {}", ROUNDS - 1)));
    let mut host = run(killed.path(), component.to_str().unwrap());
    let mut running = 0;
    for kill in 0..KILLS {
        // Later each time, so that some of them come upon every part of the run.
        std::thread::sleep(Duration::from_millis(10 + kill * 7));
        let is_running = host.try_wait().unwrap().is_none();
        running += u64::from(is_running);
        host.kill().unwrap();
        host.wait().unwrap();
        let known = Command::new(binary())
            .args(["show", "x", "--store", "store", "--json"])
            .current_dir(killed.path())
            .output();
        host = match known.unwrap().status.success() {
            true => start(killed.path(), &["resume", "x"]),
            false => {
                fs::remove_dir_all(killed.path().join("out")).unwrap();
                run(killed.path(), component.to_str().unwrap())
            }
        };
    }
    assert_eq!(result_of(host), expected);
    println!("{running} of {KILLS} kills came upon a running host");
    assert!(running > 0);
    assert_eq!(files(killed.path()), files(undisturbed.path()));
}
