//! Hosts of a client that are killed, by signal at moments that are drawn, and between the commits of their store: what is recorded is not sent
//! again, and the end is that of an undisturbed run.
//!
//! One place: a process is killed, whose store is a folder.

use super::clients::client;
use super::*;
use crate::dice::Dice;
use crate::faulty::{CrashStore, Fate};
use crate::python::beside;
use crate::support::{Shown, quick};
use everstep::Everstep;
use everstep::store::Backend;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a host is killed while it runs.
const KILLS: u32 = 20;

/// How often a client reads and posts.
const ROUNDS: u32 = 40;

fn everstep(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(beside("everstep"));
    command.args(args).args(["--store", "store"]).current_dir(folder).env_remove("EVERSTEP_LOG").stdin(Stdio::null());
    command
}

/// Starts the client, or goes on with it.
fn start(folder: &Path, site: &Site) -> Child {
    let component = guests::path(&guests::project().join("tests/guests/clients")).unwrap().canonicalize().unwrap();
    let mut run = everstep(folder, &["run", component.to_str().unwrap(), "--policy", "policy.toml", "--id", "x"]);
    run.args(["--cache", concat!(env!("CARGO_TARGET_TMPDIR"), "/components"), "--"]);
    run.args(["wstd", "rounds", &site.url(""), &ROUNDS.to_string()]);
    run.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn folder(site: &Site) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("policy.toml"), format!("version = 1\n{}", on(site, ""))).unwrap();
    folder
}

/// Answers with what it was asked.
fn site() -> Site {
    Site::start(|received| ok(&format!("{} {}", received.line(), String::from_utf8_lossy(&received.body))))
}

/// What a client of `rounds` prints.
fn expected(rounds: u32) -> String {
    let round = |number| format!("{number}: GET /{number} , POST /{number} about GET /{number} \n");
    (0..rounds).map(round).collect()
}

/// The requests whose answers are on record.
async fn recorded(host: &Everstep) -> Vec<String> {
    let steps = host.reader().steps(&id("x")).await.unwrap_or_default();
    let answered = steps.into_iter().filter(|step| step.kind == "http.fetch" && step.settled_ms.is_some());
    let line = |subject: String| {
        let (method, url) = subject.split_once(" http://").unwrap();
        format!("{method} {}", &url[url.find('/').unwrap()..])
    };
    answered.map(|step| line(step.subject)).collect()
}

/// Which requests are on record, and how many had arrived by then.
type Mark = (usize, Vec<String>);

/// Nothing that was on record was sent after that, every request arrived, and those that are not idempotent under one key.
fn check(site: &Site, marks: &[Mark], rounds: u32, context: &str) {
    let requests = site.requests();
    for (before, recorded) in marks {
        let again: Vec<_> = requests[*before..]
            .iter()
            .map(Received::line)
            .filter(|line| recorded.iter().any(|one| one == line))
            .collect();
        assert!(again.is_empty(), "{context}: {again:?} are on record");
    }
    let mut keys: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for request in &requests {
        keys.entry(request.line()).or_default().extend(request.header("idempotency-key"));
    }
    for number in 0..rounds {
        assert!(keys.contains_key(&*format!("GET /{number}")), "{context}: {number}");
        let posts = &keys[&*format!("POST /{number}")];
        assert!(posts.iter().all(|key| *key == posts[0] && key.starts_with("x.")), "{context}: {posts:?}");
    }
}

#[allow(clippy::disallowed_methods, reason = "kills come at points of real time")]
fn now() -> Instant {
    Instant::now()
}

/// How long a run takes that nothing disturbs.
fn measure() -> Duration {
    let site = site();
    let (folder, began) = (folder(&site), now());
    assert!(start(folder.path(), &site).wait().unwrap().success());
    began.elapsed()
}

#[test]
fn what_is_recorded_is_not_sent_again_after_a_kill() {
    let (mut dice, mut kills, mut took) = (Dice(11), 0, measure());
    for execution in 0..100 {
        let (site, before) = (site(), kills);
        let folder = folder(&site);
        let (mut host, mut marks) = (start(folder.path(), &site), Vec::new());
        for _ in 0..4 {
            std::thread::sleep(took * u32::try_from(dice.below(1_000)).unwrap() / 1_000);
            if host.try_wait().unwrap().is_some() {
                break;
            }
            host.kill().unwrap();
            // It may have ended in between.
            kills += u32::from(!host.wait().unwrap().success());
            let known =
                life(async { recorded(&quick(Everstep::open(folder.path().join("store"))).build().unwrap()).await });
            marks.push((site.requests().len(), known));
            host = start(folder.path(), &site);
        }
        let ended = host.wait_with_output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
        let output = everstep(folder.path(), &["logs", "x"]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected(ROUNDS), "{execution}");
        check(&site, &marks, ROUNDS, &format!("execution {execution}, {kills} kills"));
        if kills >= KILLS {
            return;
        }
        if kills == before {
            // What else the machine does has changed.
            took = measure();
        }
    }
    panic!("{kills} kills came upon a running host");
}

/// A store that fails at one of its commits, at each in another execution.
#[test]
fn what_is_recorded_is_not_sent_again_after_a_commit_that_fails() {
    for place in Place::local() {
        for fate in [Fate::Lost, Fate::Kept] {
            let commits = (1..).take_while(|commit| survives(&place.another(), *commit, fate)).count();
            assert!(commits > 5, "only {commits} commits");
        }
    }
}

/// Whether the store failed.
fn survives(place: &Place, commit: u32, fate: Fate) -> bool {
    const SHORT: u32 = 3;
    let site = site();
    let run = || client(&parse(&on(&site, "")), &["wstd", "rounds", &site.url(""), &SHORT.to_string()]);
    let store = place.store();
    let failing = CrashStore::at(Arc::clone(&store), commit, fate) as Arc<dyn Backend>;
    let first = life(async { quick(Everstep::over(failing)).build().unwrap().run(run()).await });
    let known = life(async { recorded(&quick(Everstep::over(Arc::clone(&store))).build().unwrap()).await });
    let marks = [(site.requests().len(), known)];
    let shown = Shown::default();
    let report = outcome(quick(Everstep::over(Arc::clone(&store))).on_output(shown.sink()), run());
    let context = format!("{place}, commit {commit}, {fate:?}");
    assert_eq!(result(&report), "null", "{context}");
    let output = life(async { quick(Everstep::over(store)).build().unwrap().reader().output(&id("x")).await.unwrap() });
    let output: String = output.iter().map(crate::support::text).collect();
    assert_eq!(output, expected(SHORT), "{context}");
    check(&site, &marks, SHORT, &context);
    first.is_err()
}
