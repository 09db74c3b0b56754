//! Commands on one store at the same time, as processes that are killed and stopped.
//!
//! One place: it drives the program, whose store is a folder.

use crate::cli_travel::Desk;
use crate::support::{eventually, life};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn start(mut command: Command) -> Self {
        // Nobody answers there, which is not the end of what could be answered.
        Self(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// One whose output is read.
    fn heard(mut command: Command) -> Self {
        Self(command.stdin(Stdio::piped()).spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// The JSON object that it ends with.
    fn ended(&mut self) -> Value {
        let mut said = String::new();
        for line in BufReader::new(self.0.stdout.take().unwrap()).lines() {
            said = line.unwrap();
        }
        self.0.wait().unwrap();
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    }
}

fn state(desk: &Desk, id: &str) -> Value {
    let (_, shown) = desk.json(&["show", id]);
    shown["state"].clone()
}

fn until(desk: &Desk, id: &str, wanted: &str) {
    life(eventually(&format!("{id} {wanted}"), async || (state(desk, id) == wanted).then_some(())));
}

/// Waits until so many questions are open.
fn until_asked(desk: &Desk, questions: usize) {
    let asked = || desk.json(&["promise", "list"]).1["promises"].as_array().map_or(0, Vec::len);
    life(eventually("the questions", async || (asked() == questions).then_some(())));
}

/// Answers what an execution asks, once it does.
fn answer(desk: &Desk, promise: &str) {
    let answered = || desk.command(&["promise", "resolve", promise, "5", "--json"]).output().unwrap().status.success();
    life(eventually(&format!("the question {promise}"), async || answered().then_some(())));
}

/// What `mixed` has in a folder of its own, of which it was given the name.
fn folder(desk: &Desk, id: &str) -> String {
    std::fs::create_dir_all(desk.dir.path().join("out").join(id)).unwrap();
    json!(format!("/out/{id}")).to_string()
}

fn check(desk: &Desk, id: &str) {
    let files = ["before", "child", "after"].map(|file| desk.read(&format!("out/{id}/{file}")));
    assert_eq!(files, ["5", "child", "6"], "{id}");
    let (_, shown) = desk.json(&["show", id]);
    assert_eq!(shown["result"], json!({ "sum": 6, "child": 7 }), "{shown}");
    // One step for each thing that was done, whoever did it.
    let steps = shown["steps"].as_array().unwrap();
    for (kind, times) in [("console.input", 1), ("timers.sleep", 1), ("files.write", 2), ("functions.call", 2)] {
        assert_eq!(steps.iter().filter(|step| step["kind"] == kind).count(), times, "{id}: {kind}: {steps:?}");
    }
}

#[test]
fn two_commands_and_a_host_that_stays_work_on_one_store() {
    let desk = Desk::new();
    // There is a store.
    assert_eq!(desk.json(&desk.run("same", "1", "first")).0, 0);
    let stay = Process::start(desk.command(&["resume", "--stay"]));
    let mut runs = ["x", "y"].map(|id| {
        let args = folder(&desk, id);
        Process::heard(desk.command(&[&desk.run("mixed", &args, id)[..], &["--json", "--keep-warm", "0ms"]].concat()))
    });
    for id in ["x", "y"] {
        answer(&desk, &format!("{id}.1"));
    }
    for (run, id) in runs.iter_mut().zip(["x", "y"]) {
        assert_eq!(run.ended()["state"], "completed");
        check(&desk, id);
    }
    // What a command leaves when it is interrupted goes on in the host that stays.
    let args = folder(&desk, "z");
    let mut third = Process::start(desk.command(&desk.run("mixed", &args, "z")));
    until_asked(&desk, 1);
    // Whoever waits for it would close that.
    let _open = third.0.stdin.take();
    third.signal(Signal::INT);
    assert_eq!(third.0.wait().unwrap().code(), Some(130));
    answer(&desk, "z.1");
    until(&desk, "z", "completed");
    check(&desk, "z");
    drop(stay);
}

#[test]
fn a_command_that_finds_its_execution_in_another_host_shows_what_it_does_there() {
    let desk = Desk::new();
    let args = folder(&desk, "x");
    let run = desk.run("mixed", &args, "x");
    let _first = Process::start(desk.command(&run));
    until_asked(&desk, 1);
    let mut second = desk.command(&run).stdin(Stdio::piped()).spawn().unwrap();
    // It says what is waited for once it watches.
    let mut told = BufReader::new(second.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("x.1") {
        assert_ne!(told.read_line(&mut said).unwrap(), 0, "{said}");
    }
    answer(&desk, "x.1");
    let output = second.wait_with_output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.starts_with("end") && shown.contains("\"sum\":6"), "{shown}");
    check(&desk, "x");
}

/// Three hosts that stay and one of them killed all the time: everything ends as if nothing had happened.
#[test]
fn hosts_that_are_killed_at_random_moments_leave_nothing_undone() {
    let desk = Desk::new();
    let names: Vec<String> = (0..20).map(|number| format!("x{number}")).collect();
    for id in &names {
        let args = folder(&desk, id);
        let (code, _) = desk.json(&[&desk.run("mixed", &args, id)[..], &["--no-wait"]].concat());
        assert_eq!(code, 5);
    }
    let start = || Process::start(desk.command(&["resume", "--stay", "--keep-warm", "0ms"]));
    let mut hosts: Vec<Process> = (0..3).map(|_| start()).collect();
    let (mut moments, mut kills) = (0x9e37_79b9_7f4a_7c15_u64, 0);
    let mut open = names.iter();
    loop {
        // Xorshift (Marsaglia, 2003).
        moments ^= moments << 13;
        moments ^= moments >> 7;
        moments ^= moments << 17;
        let left = open.next().inspect(|id| answer(&desk, &format!("{id}.1"))).is_some();
        std::thread::sleep(std::time::Duration::from_millis(moments % 60));
        hosts[usize::try_from(moments >> 32).unwrap() % 3] = start();
        kills += 1;
        if !left {
            break;
        }
    }
    for id in &names {
        until(&desk, id, "completed");
        check(&desk, id);
    }
    assert_eq!(kills, 21);
    drop(hosts);
    // What a kill leaves is found and removed by whoever comes next.
    let (code, _) = desk.json(&["resume"]);
    assert_eq!((code, std::fs::read_dir(desk.dir.path().join(".everstep/hosts")).unwrap().count()), (0, 0));
}

#[test]
fn a_host_that_is_stopped_keeps_what_it_holds_and_others_go_on() {
    let desk = Desk::new();
    let args = folder(&desk, "x");
    let stopped = Process::start(desk.command(&desk.run("mixed", &args, "x")));
    until_asked(&desk, 1);
    stopped.signal(Signal::STOP);
    let args = folder(&desk, "y");
    let mut goes_on = Process::heard(desk.command(&[&desk.run("mixed", &args, "y")[..], &["--json"]].concat()));
    until_asked(&desk, 2);
    assert_eq!(state(&desk, "x"), "running");
    stopped.signal(Signal::CONT);
    for id in ["x", "y"] {
        answer(&desk, &format!("{id}.1"));
    }
    assert_eq!(goes_on.ended()["state"], "completed");
    until(&desk, "x", "completed");
    check(&desk, "x");
    check(&desk, "y");
}
