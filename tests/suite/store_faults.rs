//! The file store on a disk that fails at its write 1..N: nothing that was acknowledged is lost, nothing is half there.
//!
//! One place: the disk under a store in a folder fails.

use everstep::id::{Digest, ExecutionId};
use everstep::store::operation::{FenceAction, NewPromise, NewSchedule, Operation, Settlement};
use everstep::store::record::{NEVER, Promise, PromiseState, Schedule, Task, Value};
use everstep::store::{Asked, Change, Error, Execution, ExecutionKey, FileStore, Invocation, MemoryStore};
use everstep::store::{Backend, NewExecution, PendingPromise, Progress};
use everstep_tests::faults::{self, Fault, Kind, Seen};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;
use tempfile::TempDir;

const A: ExecutionKey = ExecutionKey(1);
const B: ExecutionKey = ExecutionKey(2);

type Commits = Vec<Vec<Change>>;

/// Every kind of change, small and large, alone and together: a waits for a question and a child, and is resumed by an answer; b ends.
fn script() -> Commits {
    let large = vec![0x5a; 50_000];
    // Longer than the log of the tables: from the next commits on, the log is extended.
    let longest = vec![0xa5; 80_000];
    let suspend =
        Operation::TaskSuspend { id: "a".to_owned(), version: 1, awaited: ["a.0", "b"].map(str::to_owned).into() };
    let listen = Operation::RegisterListener { awaited: "a.0".to_owned(), address: "poll://uni@clients/c".to_owned() };
    let action = FenceAction::Settle(settlement("a.1", PromiseState::Rejected, 9_000));
    let fence = Operation::TaskFence { id: "a".to_owned(), version: 2, action };
    let acquire = Operation::TaskAcquire { id: "a".to_owned(), version: 1, pid: "host".to_owned(), ttl: 60_000 };
    let fulfill = Operation::TaskFulfill { version: 1, settlement: settlement("b", PromiseState::Resolved, 10) };
    vec![
        vec![Change::Blob(Digest::of(&longest), longest.into())],
        vec![create(A, "a"), Change::Blob(Digest::of(b"component"), b"component".to_vec().into())],
        vec![append(A, 0, 100)],
        vec![create(B, "b"), append(B, 0, 5_000), append(A, 1, 10), ask("a.0"), ask("a.1")],
        vec![Change::Blob(Digest::of(&large), large.into())],
        vec![at(2, suspend), at(2, listen), append(A, 2, 300), progress(A)],
        vec![at(3, schedule("s")), at(3, schedule("t"))],
        vec![at(4, Operation::PromiseSettle(settlement("a.0", PromiseState::Resolved, 20_000)))],
        vec![at(5, acquire), progress(B), Change::Component(A, Digest::of(b"another"))],
        vec![at(6, fence), at(7, fulfill)],
        vec![at(60_000, Operation::Sweep)],
        vec![append(A, 3, 9_000), at(60_001, Operation::ScheduleDelete { id: "t".to_owned() })],
        vec![at(70_000, Operation::Sweep)],
        vec![at(70_001, Operation::CancelTree { id: "a".to_owned() })],
    ]
}

/// Commits that fill the log until SQLite copies it into the tables, and go on behind that.
fn script_with_a_checkpoint() -> Commits {
    let blob = |fill: u8| Change::Blob(Digest::of(&vec![fill; 1_960_000]), vec![fill; 1_960_000].into());
    let mut commits = vec![vec![create(A, "a")], vec![blob(1)], vec![append(A, 0, 10)], vec![blob(2)]];
    commits.extend((1..24).map(|segment| vec![append(A, segment, 6_000)]));
    commits
}

#[test]
fn a_failed_write_or_sync_loses_nothing_acknowledged() {
    sweep(Kind::Error, &script(), 1..);
}

#[test]
fn a_short_write_loses_nothing_acknowledged() {
    sweep(Kind::ShortWrite, &script(), 1..);
}

#[test]
fn a_torn_tail_loses_nothing_acknowledged() {
    sweep(Kind::TornTail, &script(), 1..);
}

#[test]
fn a_power_loss_loses_nothing_acknowledged() {
    sweep(Kind::PowerLoss, &script(), 1..);
}

#[test]
fn a_full_disk_loses_nothing_acknowledged() {
    sweep(Kind::Full, &script(), 1..);
}

/// A checkpoint is a thousand writes of the same sort, so every 101st will do, and all syncs.
#[test]
fn a_fault_in_a_checkpoint_loses_nothing_acknowledged() {
    let script = script_with_a_checkpoint();
    let seen = undisturbed(&script);
    assert!(seen.operations > 3_000, "two operations per page of the log and one per page of the tables: {seen:?}");
    for kind in [Kind::Error, Kind::TornTail, Kind::PowerLoss] {
        sweep(kind, &script, (50..).step_by(101));
    }
    for kind in [Kind::Error, Kind::PowerLoss] {
        sweep(kind, &script, seen.syncs.iter().copied());
    }
}

#[test]
fn without_a_fault_the_disk_is_a_disk() {
    let seen = undisturbed(&script());
    assert!(seen.operations > 50, "{seen:?}");
    assert!(seen.syncs.len() > script().len(), "{seen:?}");
}

/// So the faults strike commits in a log that was extended ahead of its end.
#[test]
fn the_script_extends_the_log() {
    let dir = scratch();
    assert!(run(dir.path(), &script()).error.is_none());
    let database = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    let frames: u32 = database.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1)).unwrap();
    let length = dir.path().join("store.db-wal").metadata().unwrap().len();
    assert!(length > 32 + u64::from(frames) * (24 + 4096) + 10_000, "{frames} frames, {length} bytes");
}

fn undisturbed(script: &[Vec<Change>]) -> Seen {
    let _turn = faults::exclusive();
    faults::install();
    let dir = scratch();
    faults::arm(Fault { at: u32::MAX, kind: Kind::Error });
    let outcome = run(dir.path(), script);
    assert!(outcome.error.is_none(), "{outcome:?}");
    faults::disarm()
}

/// Runs the script once for each number, up to the first that is beyond its last operation.
fn sweep(kind: Kind, script: &[Vec<Change>], numbers: impl Iterator<Item = u32>) {
    let _turn = faults::exclusive();
    faults::install();
    let models: Vec<_> = (0..=script.len()).map(|count| contents(&model(&script[..count]))).collect();
    for at in numbers {
        let dir = scratch();
        let fault = Fault { at, kind };
        faults::arm(fault);
        let outcome = run(dir.path(), script);
        let struck = faults::disarm().operations >= at;
        check(fault, &outcome, struck, script.len());
        recover(dir.path(), fault, &outcome, script, &models);
        if !struck {
            return;
        }
    }
}

/// A folder in memory where there is one: the faults are simulated, so the sweep need not wait for a real disk.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// How far a run came.
#[derive(Debug)]
struct Outcome {
    acknowledged: usize,
    error: Option<Error>,
    /// What the failed commit left to read.
    seen: Option<Contents>,
    /// The outcome of one commit more.
    again: Option<Error>,
}

fn run(dir: &Path, script: &[Vec<Change>]) -> Outcome {
    let mut outcome = Outcome { acknowledged: 0, error: None, seen: None, again: None };
    let store = match FileStore::open(dir) {
        Ok(store) => store,
        Err(error) => return Outcome { error: Some(error), ..outcome },
    };
    for changes in script {
        if let Err(error) = store.commit(changes) {
            outcome.error = Some(error);
            outcome.seen = Some(contents(&store));
            outcome.again = store.commit(&[]).err();
            return outcome;
        }
        outcome.acknowledged += 1;
    }
    outcome
}

/// A fault is reported as a failure of the disk, and ends the commits of that store.
fn check(fault: Fault, outcome: &Outcome, struck: bool, commits: usize) {
    match &outcome.error {
        None => assert_eq!(outcome.acknowledged, commits, "{fault:?}"),
        Some(error) => {
            assert!(struck, "{fault:?}: {error}");
            assert!(matches!(error, Error::Sqlite(_) | Error::Open { .. }), "{fault:?}: {error:?}");
            let again = &outcome.again;
            assert!(outcome.seen.is_none() || matches!(again, Some(Error::Poisoned(_))), "{fault:?}: {again:?}");
        }
    }
}

/// The next host finds every acknowledged commit, the failed one wholly or not at all, and goes on.
fn recover(dir: &Path, fault: Fault, outcome: &Outcome, script: &[Vec<Change>], models: &[Contents]) {
    let acknowledged = outcome.acknowledged;
    if let Some(seen) = &outcome.seen {
        assert!(*seen == models[acknowledged], "{fault:?}: an unacknowledged commit was visible");
    }
    let store = FileStore::open(dir).unwrap_or_else(|error| panic!("{fault:?}: {error}"));
    let found = contents(&store);
    let next = acknowledged + 1;
    let done = if found == models[acknowledged] {
        acknowledged
    } else {
        assert!(next < models.len() && found == models[next], "{fault:?}: not what commit {next} found or left");
        next
    };
    for changes in &script[done..] {
        store.commit(changes).unwrap_or_else(|error| panic!("{fault:?}: {error}"));
    }
    drop(store);
    let reopened = FileStore::open(dir).unwrap_or_else(|error| panic!("{fault:?}: {error}"));
    assert!(contents(&reopened) == models[script.len()], "{fault:?}: the end differs");
}

/// All that can be read from a store.
#[derive(Debug, PartialEq)]
struct Contents {
    executions: Vec<Execution>,
    journals: Vec<(Vec<u8>, u32)>,
    promises: Vec<Option<(Promise, Option<Task>)>>,
    asked: Vec<PendingPromise>,
    offers: Vec<String>,
    schedules: Vec<Schedule>,
    next_due: Option<u64>,
    blobs: Vec<Option<Vec<u8>>>,
}

/// The digests of every blob that a script puts.
static BLOBS: LazyLock<Vec<Digest>> = LazyLock::new(|| {
    let changes = script().into_iter().chain(script_with_a_checkpoint()).flatten();
    let digests = changes.filter_map(|change| if let Change::Blob(digest, _) = change { Some(digest) } else { None });
    digests.collect()
});

fn contents(store: &dyn Backend) -> Contents {
    let ids = ["a", "b", "a.0", "a.1", "s/60000", "t/60000"];
    Contents {
        executions: store.executions().unwrap(),
        journals: [A, B].map(|key| store.journal(key).unwrap()).into(),
        promises: ids.map(|id| store.promise(id).unwrap()).into(),
        asked: store.promises().unwrap(),
        offers: store.offers().unwrap(),
        schedules: store.schedules().unwrap(),
        next_due: store.next_due().unwrap(),
        blobs: BLOBS.iter().map(|digest| store.blob(digest).unwrap().map(Vec::from)).collect(),
    }
}

fn model(commits: &[Vec<Change>]) -> MemoryStore {
    let store = MemoryStore::new();
    for changes in commits {
        let applied = store.commit(changes).unwrap();
        assert!(applied.iter().all(|applied| applied.answer.is_ok()), "{applied:?}");
    }
    store
}

fn at(now_ms: u64, operation: Operation) -> Change {
    Change::operation(now_ms, operation)
}

fn create(key: ExecutionKey, id: &str) -> Change {
    let (component, policy) = (Digest::of(b"component"), Digest::of(b"policy"));
    let invocation = Invocation { function: "count".to_owned(), args: "[]".to_owned(), component, policy, trace: None };
    let (param, tags) = (invocation.param(), invocation.tags("poll://any@workers"));
    let promise = NewPromise { id: id.to_owned(), timeout_at: NEVER, param, tags: tags.into() };
    let operation = Box::new(Operation::TaskCreate { pid: "host".to_owned(), ttl: 60_000, promise });
    let id = ExecutionId::new(id).unwrap();
    let beside = NewExecution { key, id, component, policy, seed: [1; 32] };
    Change::Operation { now_ms: 1, operation, then: vec![Change::Create(Box::new(beside))] }
}

fn progress(key: ExecutionKey) -> Change {
    Change::Progress(key, Box::new(Progress { error: None, steps: 3, cpu_us: 7, updated_ms: 5 }))
}

fn append(key: ExecutionKey, segment: u32, size: usize) -> Change {
    Change::Append { key, segment, bytes: vec![segment as u8; size], seal: None }
}

fn ask(id: &str) -> Change {
    let asked =
        Asked { kind: everstep::store::PromiseKind::Input, subject: "go on?".to_owned(), data: None, schema: None };
    let new = NewPromise { id: id.to_owned(), timeout_at: 65_000, param: asked.param(), tags: asked.tags().into() };
    at(1, Operation::PromiseCreate(new))
}

fn settlement(id: &str, state: PromiseState, size: usize) -> Settlement {
    let value = Value { headers: BTreeMap::new(), data: Some("9".repeat(size)) };
    Settlement { id: id.to_owned(), state, value }
}

fn schedule(id: &str) -> Operation {
    let target = ("resonate:target".to_owned(), "poll://any@workers".to_owned());
    Operation::ScheduleCreate(NewSchedule {
        id: id.to_owned(),
        cron: "* * * * *".to_owned(),
        promise_id: "{{.id}}/{{.timestamp}}".to_owned(),
        promise_timeout: 5_000,
        promise_param: Value::default(),
        promise_tags: [target].into(),
    })
}
