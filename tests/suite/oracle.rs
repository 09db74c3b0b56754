//! Random operations on the memory store, the file store and a small model of the protocol: every answer, every event and the whole
//! state after each commit are the same, in every dialect, with the file store closed, or killed, in between.
//!
//! `model` is what ought to happen, `steps` what is done, `coverage` what must have come up in a run, `serve` the same over HTTP. A failure names its seed and the
//! shortest steps that fail; `EVERSTEP_SEEDS=7..8` repeats one, and `EVERSTEP_SEEDS=0..100000` looks further than usual.
//!
//! One place: it compares the stores themselves.

mod coverage;
mod model;
mod serve;
mod steps;

use coverage::Coverage;
use everstep::store::operation::{Answer, Dialect, Reply};
use everstep::store::record::{Promise, Schedule, Task, TaskState};
use everstep::store::{
    Applied, Backend, Change, Error, Execution, FailureKind, FileStore, MemoryStore, PendingPromise, Progress,
};
use everstep_tests::faults;
use model::Model;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use steps::{Commit, Step};
use tempfile::TempDir;

const DIALECTS: [Dialect; 3] = [Dialect::A, Dialect::B, Dialect::C];
/// How many steps a seed has at most.
const STEPS: usize = 160;
/// How many steps a process that is killed would have.
const WALK: usize = 500;
/// The variable that makes a test process the one that is killed: the folder of the store, the seed, the first step.
const VICTIM: &str = "EVERSTEP_ORACLE_VICTIM";

#[test]
fn every_store_does_what_the_model_does() {
    let _turn = faults::exclusive();
    let coverage = each_seed(|seed| {
        compare(seed, |steps| {
            let mut bench = Bench::new(dialect(seed));
            steps.iter().enumerate().try_for_each(|(number, step)| bench.take(number, step))?;
            Ok(bench.coverage)
        })
    });
    if let Some(coverage) = coverage {
        coverage.assert_complete(&[]);
    }
}

/// Runs the seeds on two threads, and returns what came up in all of them if they are as many as usual.
fn each_seed(run: impl Fn(u64) -> Coverage + Sync) -> Option<Coverage> {
    let seeds = seeds();
    let whole = seeds.end - seeds.start >= 1_000;
    let (next, coverage) = (AtomicU64::new(seeds.start), Mutex::new(Coverage::default()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < seeds.end) {
                    // A failure ends the other thread as well.
                    let seen = std::panic::catch_unwind(AssertUnwindSafe(|| run(seed)));
                    match seen {
                        Ok(seen) => coverage.lock().unwrap().merge(&seen),
                        Err(failure) => {
                            next.store(seeds.end, Ordering::Relaxed);
                            std::panic::resume_unwind(failure);
                        }
                    }
                }
            });
        }
    });
    whole.then(|| coverage.into_inner().unwrap())
}

fn seeds() -> Range<u64> {
    let Ok(seeds) = std::env::var("EVERSTEP_SEEDS") else { return 0..1_000 };
    let (from, to) = seeds.split_once("..").expect("EVERSTEP_SEEDS reads FROM..TO");
    from.parse().unwrap()..to.parse().unwrap()
}

fn dialect(seed: u64) -> Dialect {
    DIALECTS[(seed % 3) as usize]
}

/// Runs the steps of a seed, and the shortest that fail if they do.
fn compare(seed: u64, run: impl Fn(&[Step]) -> Result<Coverage, TestCaseError>) -> Coverage {
    let shrink = Config { max_shrink_iters: 1_000_000, max_shrink_time: 20_000, ..Config::default() };
    let config = Config { cases: 1, failure_persistence: None, ..shrink };
    let coverage = Mutex::new(Coverage::default());
    let outcome = TestRunner::new_with_rng(config, rng(seed)).run(&steps::steps(1..=STEPS), |steps| {
        *coverage.lock().unwrap() = run(&steps)?;
        Ok(())
    });
    match outcome {
        Ok(()) => coverage.into_inner().unwrap(),
        Err(TestError::Fail(reason, steps)) => {
            panic!("seed {seed}, dialect {:?}: {reason}\nafter {} steps: {steps:#?}", dialect(seed), steps.len())
        }
        Err(TestError::Abort(reason)) => panic!("seed {seed}: {reason}"),
    }
}

fn rng(seed: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

/// A model and the stores that ought to be like it.
struct Bench {
    model: Model,
    now: u64,
    memory: MemoryStore,
    file: Option<FileStore>,
    dir: TempDir,
    coverage: Coverage,
}

impl Bench {
    fn new(dialect: Dialect) -> Self {
        let dir = scratch();
        let (memory, file) = (MemoryStore::with_dialect(dialect), open(dir.path(), dialect));
        let (model, now) = (Model::new(dialect), steps::START);
        Self { model, now, memory, file: Some(file), dir, coverage: Coverage::new(dialect) }
    }

    fn take(&mut self, number: usize, step: &Step) -> Result<(), TestCaseError> {
        self.now += step.advance;
        if step.reopens {
            self.file = None;
            self.file = Some(open(self.dir.path(), self.coverage.dialect));
        }
        let commit = step.commit(&self.model, self.now);
        let before = self.model.clone();
        let expected = commit.expect(&mut self.model, &mut self.coverage);
        if expected.is_none() {
            self.model = before;
        }
        let file = self.file.as_ref().ok_or_else(|| TestCaseError::fail("the file store is closed"))?;
        let state = State::of_model(&self.model, &commit);
        self.coverage.see_state(&state);
        for store in [&self.memory as &dyn Backend, file] {
            let name = if store.survives_the_process() { "file" } else { "memory" };
            let fail = |what: &str, left: &dyn std::fmt::Debug, right: &dyn std::fmt::Debug| {
                let done = &commit.changes;
                let told = format!(
                    "step {number}: {what} of the {name} store: {left:#?}\nexpected: {right:#?}\nafter {done:#?}"
                );
                Err(TestCaseError::fail(told))
            };
            let found = outcome(store.commit(&commit.changes));
            if found != expected {
                return fail("the outcome", &found, &expected);
            }
            let found = State::of_store(store, &self.model, &commit);
            if found != state {
                return fail("the state", &found, &state);
            }
        }
        Ok(())
    }
}

/// What a commit came to, but for the words of a refusal; none if it was refused as a whole.
fn outcome(done: Result<Vec<Applied>, Error>) -> Option<Vec<Applied>> {
    match done {
        Ok(applied) => Some(applied.into_iter().map(wordless).collect()),
        Err(Error::Refused { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

fn wordless(mut applied: Applied) -> Applied {
    applied.answer = match applied.answer {
        Ok(Reply::Fenced { answer, preload }) => {
            Ok(Reply::Fenced { answer: Box::new(wordless_answer(*answer)), preload })
        }
        answer => wordless_answer(answer),
    };
    applied
}

fn wordless_answer(answer: Answer) -> Answer {
    answer.map_err(|mut refusal| {
        refusal.reason.clear();
        refusal
    })
}

/// All that a store shows beside its answers.
#[derive(Debug, PartialEq)]
struct State {
    promises: Vec<(Promise, Option<Task>)>,
    schedules: Vec<Schedule>,
    executions: Vec<Execution>,
    asked: Vec<PendingPromise>,
    offers: Vec<String>,
    next_due: Option<u64>,
}

impl State {
    fn of_model(model: &Model, commit: &Commit) -> Self {
        let ids = ids(model, commit);
        let promises = ids.iter().filter_map(|id| Some((model.promise(id)?, model.task(id))));
        let mut schedules = model.schedules.clone();
        schedules.sort_by(|a, b| a.id.cmp(&b.id));
        Self {
            promises: promises.collect(),
            schedules,
            executions: model.list(),
            asked: model.asked(),
            offers: model.offers(),
            next_due: model.next_due(),
        }
    }

    fn of_store(store: &dyn Backend, model: &Model, commit: &Commit) -> Self {
        let ids = ids(model, commit);
        let mut executions = store.executions().unwrap();
        for execution in &executions {
            assert_eq!(store.execution(&execution.id).unwrap().as_ref(), Some(execution));
        }
        // How a deadline is put into words is the store's own business.
        let failures = executions.iter_mut().filter_map(|execution| execution.progress.error.as_mut());
        failures.filter(|error| error.kind == FailureKind::TimedOut).for_each(|error| error.message.clear());
        Self {
            promises: ids.iter().filter_map(|id| store.promise(id).unwrap()).collect(),
            schedules: store.schedules().unwrap(),
            executions,
            asked: store.promises().unwrap(),
            offers: store.offers().unwrap(),
            next_due: store.next_due().unwrap(),
        }
    }
}

/// Every id that may have a promise.
fn ids(model: &Model, commit: &Commit) -> BTreeSet<String> {
    let known = model.promises.iter().map(|promise| promise.id.clone());
    known.chain(steps::IDS.map(str::to_owned)).chain(commit.ids.iter().cloned()).collect()
}

impl Commit {
    /// Does to the model what the commit does to a store; none if the commit is refused as a whole.
    fn expect(&self, model: &mut Model, coverage: &mut Coverage) -> Option<Vec<Applied>> {
        let mut applied = Vec::new();
        for change in &self.changes {
            match change {
                Change::Operation { now_ms, operation, then } => {
                    let (answer, events) = model.apply(*now_ms, operation);
                    coverage.see(operation, &answer, &events);
                    let claimed = match &answer {
                        Ok(Reply::Claimed { task, .. }) => task.state == TaskState::Acquired,
                        answer => answer.is_ok(),
                    };
                    applied.push(Applied { answer, events });
                    then.iter().filter(|_| claimed).for_each(|change| beside(model, change));
                }
                Change::Append { .. } => return None,
                change => beside(model, change),
            }
        }
        Some(applied)
    }
}

fn beside(model: &mut Model, change: &Change) {
    match change {
        Change::Create(execution) => model.executions.push(((**execution).clone(), Progress::default())),
        Change::Progress(key, progress) => {
            let known = model.executions.iter_mut().filter(|(execution, _)| execution.key == *key);
            known.for_each(|(_, held)| *held = (**progress).clone());
        }
        other => panic!("no step has {other:?}"),
    }
}

fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn open(dir: &Path, dialect: Dialect) -> FileStore {
    FileStore::open_with_dialect(dir, dialect).unwrap()
}

/// A process that takes one step after the other and tells each is killed with SIGKILL, again and again: the next one finds what the
/// told steps left, or one more, and goes on from there.
#[test]
fn a_killed_store_is_where_the_model_was() {
    let _turn = faults::exclusive();
    let kills: usize = (0..12).map(|seed| kill_until_done(1_000_000 + seed)).sum();
    assert!(kills >= 24, "only {kills} kills came in time");
}

fn kill_until_done(seed: u64) -> usize {
    let steps = long_walk(seed);
    let states = walk(seed, &steps);
    let dir = scratch();
    let (mut done, mut kills) = (0, 0);
    while done < steps.len() {
        let told = kill_after(steps.len().div_ceil(7), dir.path(), seed, done);
        kills += usize::from(told < steps.len());
        done = recovered(dir.path(), seed, &states, told);
    }
    kills
}

/// The states before each step of a seed, and after the last one, as the model has them.
fn walk(seed: u64, steps: &[Step]) -> Vec<(Model, Commit)> {
    let (mut model, mut now, mut states) = (Model::new(dialect(seed)), steps::START, Vec::new());
    for step in steps {
        now += step.advance;
        let commit = step.commit(&model, now);
        states.push((model.clone(), commit.clone()));
        if commit.expect(&mut model, &mut Coverage::default()).is_none() {
            model.clone_from(&states[states.len() - 1].0);
        }
    }
    states.push((model, Commit::default()));
    states
}

/// Which step comes next, by what is found in the store.
fn recovered(dir: &Path, seed: u64, states: &[(Model, Commit)], told: usize) -> usize {
    let store = open(dir, dialect(seed));
    let is_found = |next: usize| {
        states
            .get(next)
            .is_some_and(|(model, commit)| State::of_store(&store, model, commit) == State::of_model(model, commit))
    };
    let next = [told, told + 1].into_iter().find(|next| is_found(*next));
    next.unwrap_or_else(|| panic!("seed {seed}: after step {told} the store is in another state"))
}

/// Starts a process that takes the steps from `first` on, kills it once it has told `count` of them, and returns how far it said to be.
fn kill_after(count: usize, dir: &Path, seed: u64, first: usize) -> usize {
    let mut victim = start_victim(dir, seed, first);
    let output = BufReader::new(victim.stdout.take().unwrap());
    let mut told = first;
    for line in output.lines() {
        let Some(number) = line.unwrap().strip_prefix("done ").and_then(|number| number.parse().ok()) else { continue };
        told = number;
        // The process goes on while it is killed, and what it still told counts.
        if told == first + count {
            victim.kill().unwrap();
        }
    }
    victim.wait().unwrap();
    told
}

fn start_victim(dir: &Path, seed: u64, first: usize) -> Child {
    let this = std::env::current_exe().unwrap();
    let name = format!("{}::victim", module_path!().split_once("::").unwrap().1);
    let mut command = Command::new(this);
    command.args([&name, "--exact", "--nocapture"]).env(VICTIM, format!("{} {seed} {first}", dir.display()));
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// The process that is killed; as an ordinary test it has nothing to do.
#[test]
fn victim() {
    let Ok(task) = std::env::var(VICTIM) else { return };
    let [dir, seed, first] = task.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let (dir, seed, first) = (PathBuf::from(dir), seed.parse().unwrap(), first.parse().unwrap());
    let states = walk(seed, &long_walk(seed));
    let store = open(&dir, dialect(seed));
    println!();
    for (number, (_, commit)) in states.iter().enumerate().take(states.len() - 1).skip(first) {
        outcome(store.commit(&commit.changes));
        println!("done {}", number + 1);
        std::io::stdout().flush().unwrap();
    }
}

fn long_walk(seed: u64) -> Vec<Step> {
    use proptest::strategy::{Strategy, ValueTree};
    let mut runner = TestRunner::new_with_rng(Config::default(), rng(seed));
    steps::steps(WALK..=WALK).new_tree(&mut runner).unwrap().current()
}
