//! The real binary, killed with SIGKILL at points spread over its whole run: the execution ends as an undisturbed one does, and
//! nothing that was recorded before a kill happens again.
//!
//! One place: it drives the program, whose store is a folder.

use everstep_tests::guests;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const FILES: usize = 60;
const ID: &str = "count";
const SIGKILL: i32 = 9;
/// Far more than anything here takes; a host that hangs fails the test.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn killed_at_any_file_an_execution_ends_as_if_undisturbed() {
    let sweep = Sweep::new();
    let kills: Vec<Kill> = (0..FILES).step_by(2).flat_map(|files| sweep.killed(&[Moment::Written(files)])).collect();
    assert!(kills.len() >= 30, "{} kills", kills.len());
    Spread::of(&kills).assert_at_least(kills.len() * 3 / 5, [4, 4, 4]);
}

#[test]
fn killed_at_any_time_an_execution_ends_as_if_undisturbed() {
    let mut sweep = Sweep::new();
    let mut kills = Vec::new();
    // How long a run takes varies with what else the machine does.
    while !Spread::of(&kills).has(6, [1, 0, 1]) && kills.len() < 60 {
        sweep.measure();
        let moments = (1..=12).map(|part| Moment::After(sweep.took * part / 12));
        kills.extend(moments.flat_map(|moment| sweep.killed(&[moment])));
    }
    Spread::of(&kills).assert_at_least(6, [1, 0, 1]);
}

#[test]
fn killed_again_and_again_an_execution_ends_as_if_undisturbed() {
    let sweep = Sweep::new();
    let mut kills = sweep.killed(&[10, 20, 30, 40, 50].map(Moment::Written));
    kills.extend(sweep.killed(&[3, 6, 50, 53].map(Moment::Written)));
    // A resume that is killed before it is where the last one was.
    kills.extend(sweep.killed(&[30, 30, 30, 31].map(Moment::Written)));
    kills.extend(sweep.killed(&[2, 3, 4].map(|part| Moment::After(sweep.took * part / 6))));
    assert_eq!(kills.len(), 16);
    Spread::of(&kills).assert_at_least(9, [1, 1, 1]);
}

#[test]
fn nothing_of_a_memory_store_can_be_resumed() {
    let sweep = Sweep::new();
    let case = sweep.case();
    let mut host = case.start(&case.run_args("memory"));
    case.until(&mut host, Moment::Written(FILES / 2));
    assert_eq!(kill(&mut host).signal(), Some(SIGKILL), "{}", case.told());
    let (status, said) = case.everstep(&["resume", ID, "--store", "memory", "--json"]);
    assert_eq!(status.code(), Some(2));
    assert_eq!(said["error"]["kind"], "nothing-survives");
    let message = said["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("the memory store ends with its process, so there is nothing to resume"), "{message}");
}

#[test]
fn killed_while_it_waits_an_execution_still_takes_the_answer() {
    let case = Case::approval();
    let mut host = case.start(&case.publish_args());
    let promise = case.asked(&mut host);
    kill(&mut host);
    assert_eq!(case.promises(), std::slice::from_ref(&promise), "the promise survives");
    assert_eq!(case.show()["state"], "running");

    let mut host = case.start(&["resume", ID, "--json", "--store", "store"]);
    assert_eq!(case.asked(&mut host), promise);
    case.resolve(&promise);
    case.assert_published(host);
}

#[test]
fn an_answer_survives_a_kill_before_it_is_used() {
    // The host takes the answer, and dies; or it is dead when the answer comes.
    for alive in [true, false] {
        let case = Case::approval();
        let mut host = case.start(&case.publish_args());
        let promise = case.asked(&mut host);
        if alive {
            case.resolve(&promise);
            kill(&mut host);
        } else {
            kill(&mut host);
            case.resolve(&promise);
        }
        assert_eq!(case.promises(), [""; 0], "an answered promise is offered to nobody");
        let mut killed = case.start(&["resume", ID, "--json", "--store", "store"]);
        std::thread::sleep(Duration::from_millis(5));
        kill(&mut killed);
        case.assert_published(case.start(&["resume", ID, "--json", "--store", "store"]));
    }
}

/// Executions of `word-count` over the same files.
struct Sweep {
    input: TempDir,
    component: PathBuf,
    /// What an undisturbed run comes to.
    undisturbed: End,
    /// How long it took, from the start of the process to its end.
    took: Duration,
}

/// When to kill.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// As soon as so many files are written.
    Written(usize),
    /// So long after the start of the process.
    After(Duration),
}

/// What a kill came upon.
#[derive(Debug)]
enum Kill {
    /// The execution had not been started.
    Early,
    /// It ran, and so many of all of its steps were recorded.
    Running { steps: usize, of: usize },
    /// It had ended.
    Late,
}

/// All that is to be the same after any number of kills.
#[derive(Debug, PartialEq)]
struct End {
    result: Value,
    /// The steps, without their times.
    steps: Vec<Value>,
    output: Value,
    files: BTreeMap<String, Vec<u8>>,
}

/// Number, kind and subject.
type Step = (u64, String, String);

/// What must not happen again.
struct Recorded {
    /// The steps whose outcome is recorded, and how often each was made before that.
    steps: BTreeMap<Step, usize>,
    /// Inode and time of the files whose write is one of them.
    files: BTreeMap<String, (u64, i64, i64)>,
}

impl Sweep {
    fn new() -> Self {
        let input = TempDir::new().unwrap();
        let files = generate(input.path());
        let component = guests::path(&guests::project().join("examples/word-count/guest")).unwrap();
        let undisturbed = End { result: Value::Null, steps: Vec::new(), output: Value::Null, files: BTreeMap::new() };
        let mut sweep = Self { input, component, undisturbed, took: Duration::ZERO };
        // The first run compiles the component.
        sweep.measure();
        sweep.measure();
        assert_eq!(sweep.undisturbed.result, totals(&files));
        assert_eq!(sweep.undisturbed.files.len(), FILES);
        assert_eq!(sweep.undisturbed.steps.len(), 1 + 3 * FILES, "a list; a read, a write and a line for each file");
        sweep
    }

    fn measure(&mut self) {
        let case = self.case();
        let started = now();
        let host = case.start(&case.run_args("store"));
        self.undisturbed = case.end(host);
        self.took = started.elapsed();
    }

    fn case(&self) -> Case {
        let grants = [("/in", self.input.path().to_str().unwrap(), "read"), ("/out", "./out", "write")];
        Case::new(self.component.clone(), &grants)
    }

    /// Starts an execution, kills and resumes it at each of the moments, and compares its end with that of the undisturbed one.
    fn killed(&self, moments: &[Moment]) -> Vec<Kill> {
        let case = self.case();
        let (mut kills, mut before) = (Vec::new(), Vec::new());
        let mut host = case.start(&case.run_args("store"));
        for moment in moments {
            case.until(&mut host, *moment);
            let status = kill(&mut host);
            let (kill, next) = match case.survived() {
                None => (Kill::Early, case.run_args("store")),
                Some(execution) => {
                    let recorded = case.recorded(&execution);
                    let running = status.signal() == Some(SIGKILL) && execution["state"] == "running";
                    let counts = (recorded.steps.len(), self.undisturbed.steps.len());
                    assert!(!before.is_empty() || recorded.steps.values().all(|times| *times == 1));
                    before.push(recorded);
                    let kill = if running { Kill::Running { steps: counts.0, of: counts.1 } } else { Kill::Late };
                    (kill, ["resume", ID, "--json", "--store", "store"].map(str::to_owned).to_vec())
                }
            };
            println!("{moment:?}: {kill:?}");
            kills.push(kill);
            host = case.start(&next);
        }
        assert_eq!(case.end(host), self.undisturbed, "killed at {moments:?}");
        before.iter().for_each(|recorded| case.assert_not_repeated(recorded));
        kills
    }
}

/// How many kills came upon a running execution, and in which third of its steps.
struct Spread<'a> {
    kills: &'a [Kill],
    thirds: [usize; 3],
}

impl<'a> Spread<'a> {
    fn of(kills: &'a [Kill]) -> Self {
        let mut thirds = [0; 3];
        for kill in kills {
            if let Kill::Running { steps, of } = kill {
                thirds[(steps * 3 / of).min(2)] += 1;
            }
        }
        let spread = Self { kills, thirds };
        println!("{} kills, {} of a running execution: {thirds:?} in the thirds", kills.len(), spread.running());
        spread
    }

    fn running(&self) -> usize {
        self.thirds.iter().sum()
    }

    fn has(&self, running: usize, thirds: [usize; 3]) -> bool {
        self.running() >= running && self.thirds.iter().zip(thirds).all(|(found, wanted)| *found >= wanted)
    }

    /// Fails when the kills came too early or too late to show anything.
    fn assert_at_least(&self, running: usize, thirds: [usize; 3]) {
        assert!(self.has(running, thirds), "{:?}: {:?}", self.thirds, self.kills);
    }
}

/// One execution in a folder of its own.
struct Case {
    dir: TempDir,
    component: PathBuf,
}

impl Case {
    /// Each grant is a guest folder, a host folder and an access.
    fn new(component: PathBuf, grants: &[(&str, &str, &str)]) -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("out")).unwrap();
        let mut policy = String::from("version = 1\nname = \"kill\"\n[audit]\nfile = \"audit.jsonl\"\n");
        for capability in ["print", "promise"] {
            policy += &format!("[[capability]]\nname = \"{capability}\"\n");
        }
        for (guest, host, access) in grants {
            let id = &guest[1..];
            policy +=
                &format!("[[files]]\nid = \"{id}\"\nguest = \"{guest}\"\nhost = \"{host}\"\naccess = \"{access}\"\n");
        }
        fs::write(dir.path().join("policy.toml"), policy).unwrap();
        Self { dir, component }
    }

    fn approval() -> Self {
        let example = guests::project().join("examples/approval").canonicalize().unwrap();
        let drafts = example.join("drafts");
        let grants = [("/drafts", drafts.to_str().unwrap(), "read"), ("/published", "./out", "write")];
        Self::new(guests::path(&example.join("guest")).unwrap(), &grants)
    }

    fn run_args(&self, store: &str) -> Vec<String> {
        self.args("count", store)
    }

    fn publish_args(&self) -> Vec<String> {
        self.args("publish", "store")
    }

    fn args(&self, function: &str, store: &str) -> Vec<String> {
        let component = self.component.to_str().unwrap();
        let args = ["run", component, function, "--id", ID, "--policy", "policy.toml", "--store", store, "--json"];
        args.map(str::to_owned).to_vec()
    }

    fn command(&self, args: &[impl AsRef<str>]) -> Command {
        let mut command = Command::new(binary());
        command.args(args.iter().map(AsRef::as_ref)).current_dir(self.dir.path()).stdin(Stdio::null());
        if ["run", "resume"].contains(&args[0].as_ref()) {
            command.args(["--cache", concat!(env!("CARGO_TARGET_TMPDIR"), "/components")]);
        }
        command
    }

    fn start(&self, args: &[impl AsRef<str>]) -> Child {
        let log = File::create(self.dir.path().join("stderr")).unwrap();
        self.command(args).stdout(Stdio::piped()).stderr(log).spawn().unwrap()
    }

    /// A command that ends at once, and the JSON object it prints.
    fn everstep(&self, args: &[impl AsRef<str>]) -> (ExitStatus, Value) {
        let output = self.command(args).output().unwrap();
        let object = serde_json::from_slice(&output.stdout);
        (output.status, object.unwrap_or_else(|error| panic!("{error}: {output:?}; {}", self.told())))
    }

    /// All that the last host has said on standard error.
    fn told(&self) -> String {
        fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default()
    }

    /// Waits for a moment, or for the end of the process if that comes first.
    fn until(&self, host: &mut Child, moment: Moment) {
        let started = now();
        let waits = || match moment {
            Moment::Written(files) => self.written().len() < files,
            Moment::After(time) => started.elapsed() < time,
        };
        while waits() && host.try_wait().unwrap().is_none() {
            assert!(started.elapsed() < PATIENCE, "{moment:?} does not come: {}", self.told());
            if let Moment::After(_) = moment {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    }

    /// The files in the output folder that are whole.
    fn written(&self) -> BTreeMap<String, fs::Metadata> {
        let entries = fs::read_dir(self.dir.path().join("out")).unwrap().map(Result::unwrap);
        let files = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry));
        let whole = files.filter(|(name, _)| name.ends_with(".json"));
        whole.filter_map(|(name, entry)| Some((name, entry.metadata().ok()?))).collect()
    }

    /// The execution with its steps.
    fn show(&self) -> Value {
        self.survived().expect("the execution is in the store")
    }

    /// The execution, unless the kill came before it was started.
    fn survived(&self) -> Option<Value> {
        let (status, shown) = self.everstep(&["show", ID, "--json", "--store", "store"]);
        if status.success() {
            return Some(shown);
        }
        let kind = &shown["error"]["kind"];
        assert!(kind == "unknown-execution" || kind == "store", "{shown}");
        None
    }

    fn recorded(&self, execution: &Value) -> Recorded {
        let all = execution["steps"].as_array().unwrap();
        let done = all.iter().filter(|step| step["outcome"]["state"] != "pending");
        let audited = self.audited();
        let steps: BTreeMap<Step, usize> = done
            .map(|done| step(done, "n", "kind"))
            .map(|step| (step.clone(), *audited.get(&step).unwrap_or_else(|| panic!("{step:?} is not in the audit"))))
            .collect();
        let is_done = |file: &str| {
            let path = format!("/out/{file}");
            steps.keys().any(|(_, kind, subject)| kind == "files.write" && *subject == path)
        };
        let files = self.written().into_iter().filter(|(name, _)| is_done(name));
        let files = files.map(|(name, status)| (name, identity(&status))).collect();
        Recorded { steps, files }
    }

    /// Waits for the result of an execution and gathers all that is left of it.
    fn end(&self, host: Child) -> End {
        let result = self.result(host);
        let execution = self.show();
        assert_eq!(execution["result"], result);
        let mut steps = execution["steps"].as_array().unwrap().clone();
        for step in &mut steps {
            let step = step.as_object_mut().unwrap();
            assert!(step.remove("at_ms").is_some() && step.remove("settled_ms").is_some());
        }
        let (_, output) = self.everstep(&["logs", ID, "--json", "--store", "store"]);
        let read = |name: String| (name.clone(), fs::read(self.dir.path().join("out").join(&name)).unwrap());
        let folder = fs::read_dir(self.dir.path().join("out")).unwrap();
        let files = folder.map(|entry| read(entry.unwrap().file_name().into_string().unwrap())).collect();
        End { result, steps, output, files }
    }

    fn result(&self, mut host: Child) -> Value {
        let started = now();
        while host.try_wait().unwrap().is_none() {
            assert!(started.elapsed() < PATIENCE, "no end comes: {}", self.told());
            std::thread::sleep(Duration::from_millis(1));
        }
        let output = host.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}; {}", self.told());
        let mut object: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(object["state"], "completed", "{object}");
        object["result"].take()
    }

    /// Neither a recorded step nor a recorded file has been touched since.
    fn assert_not_repeated(&self, recorded: &Recorded) {
        let audited = self.audited();
        for (step, before) in &recorded.steps {
            assert_eq!(audited.get(step), Some(before), "{step:?} was recorded, and made again");
        }
        let after = self.written();
        for (name, before) in &recorded.files {
            assert_eq!(identity(&after[name]), *before, "{name} was written again");
        }
    }

    /// How often each step was made: every decision is a line in the audit log, written before the effect.
    fn audited(&self) -> BTreeMap<Step, usize> {
        let audit = fs::read_to_string(self.dir.path().join("audit.jsonl")).unwrap_or_default();
        let mut times = BTreeMap::new();
        // A line that a kill has cut off belongs to a call that was not made.
        for line in audit.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            *times.entry(step(&line, "step", "capability")).or_default() += 1;
        }
        times
    }

    /// The promise that the execution waits for, once the host has said so.
    fn asked(&self, host: &mut Child) -> String {
        let started = now();
        while !self.told().contains("answer with: everstep promise resolve") {
            assert_eq!(host.try_wait().unwrap(), None, "{}", self.told());
            assert!(started.elapsed() < PATIENCE, "nobody is asked: {}", self.told());
            std::thread::sleep(Duration::from_millis(1));
        }
        let promises = self.promises();
        assert_eq!(promises.len(), 1, "{promises:?}");
        promises[0].clone()
    }

    fn promises(&self) -> Vec<String> {
        let (_, listed) = self.everstep(&["promise", "list", "--json", "--store", "store"]);
        let promises = listed["promises"].as_array().unwrap_or_else(|| panic!("{listed}"));
        promises.iter().map(|promise| promise["id"].as_str().unwrap().to_owned()).collect()
    }

    fn resolve(&self, promise: &str) {
        let answer = r#"{"publish": true, "by": "Ada"}"#;
        let (status, said) = self.everstep(&["promise", "resolve", promise, answer, "--store", "store", "--json"]);
        assert!(status.success(), "{said}: {}", self.told());
    }

    fn assert_published(&self, host: Child) {
        let End { result, steps, files, .. } = self.end(host);
        assert_eq!(result, json!({"draft": "announcement.md", "published": true, "reason": "Ada said yes"}));
        let draft = fs::read(guests::project().join("examples/approval/drafts/announcement.md")).unwrap();
        assert_eq!(files, BTreeMap::from([("announcement.md".to_owned(), draft)]));
        let asked = steps.iter().filter(|step| step["kind"] == "promises.create").count();
        assert_eq!(asked, 1, "{steps:#?}");
    }
}

/// The program that users run, beside the test.
fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test.parent().and_then(Path::parent).unwrap().join("everstep");
    assert!(binary.is_file(), "{} is missing: cargo build --release", binary.display());
    binary
}

/// SIGKILL, and how the process ended: it may have been faster.
fn kill(host: &mut Child) -> ExitStatus {
    host.kill().unwrap();
    host.wait().unwrap()
}

fn step(line: &Value, number: &str, kind: &str) -> Step {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (line[number].as_u64().unwrap(), text(&line[kind]), text(&line["subject"]))
}

fn identity(status: &fs::Metadata) -> (u64, i64, i64) {
    (status.ino(), status.mtime(), status.mtime_nsec())
}

#[allow(clippy::disallowed_methods, reason = "kills come at points of real time")]
fn now() -> Instant {
    Instant::now()
}

/// Texts of many sizes and names; one is empty, some are no UTF-8.
fn generate(folder: &Path) -> Vec<Vec<u8>> {
    let sizes = [3, 40, 700, 9_000, 60_000];
    let names = ["plain", "with some spaces", "Größe und Übermaß", "dots.and-dashes"];
    let mut files = Vec::new();
    for file in 0..FILES {
        let words = (0..).map(|at| ["durable", "läuft", "x", "\n", "42"][(at * 7 + file + at / 11) % 5]);
        let mut text = String::new();
        for word in words.take_while(|_| file != 7) {
            text += word;
            text.push(' ');
            if text.len() >= sizes[file % sizes.len()] {
                break;
            }
        }
        let mut bytes = text.into_bytes();
        if file % 20 == 13 {
            bytes.extend(b"caf\xe9 \xff\xfe end");
        }
        fs::write(folder.join(format!("{} {file:02}.txt", names[file % names.len()])), &bytes).unwrap();
        files.push(bytes);
    }
    files
}

fn totals(files: &[Vec<u8>]) -> Value {
    let words = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).split_whitespace().count();
    let bytes = files.iter().map(Vec::len).sum::<usize>();
    json!({ "files": files.len(), "words": files.iter().map(words).sum::<usize>(), "bytes": bytes })
}
