//! The contract, over every store: in memory, in a folder, and in a folder that is reopened before every operation.

mod all_or_nothing;
mod answers;
mod lists;
mod together;

use super::operation::{Event, Operation};
use super::operation::{NewPromise, NewSchedule, Page, Reply, Settlement, Status};
use super::record::{NEVER, Promise, PromiseState, Schedule, Tags, Task, TaskState, Value};
use super::*;
use everstep_words::id::{Digest, ExecutionId};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How a test gets at its store; called before every operation.
type Stores = Box<dyn FnMut() -> Arc<dyn Backend>>;

fn each_store(mut test: impl FnMut(&mut Stores)) {
    let memory: Arc<dyn Backend> = Arc::new(MemoryStore::new());
    test(&mut (Box::new(move || memory.clone()) as Stores));

    let dir = tempfile::tempdir().unwrap();
    let file: Arc<dyn Backend> = Arc::new(FileStore::open(dir.path()).unwrap());
    test(&mut (Box::new(move || file.clone()) as Stores));

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    test(&mut (Box::new(move || Arc::new(FileStore::open(&path).unwrap()) as Arc<dyn Backend>) as Stores));
}

fn invocation() -> Invocation {
    Invocation {
        function: "count".to_owned(),
        args: r#"{"input":"/in"}"#.to_owned(),
        component: Digest::of(b"component"),
        policy: Digest::of(b"policy"),
        trace: None,
    }
}

/// An execution as it is once a host has taken it up.
fn execution(key: ExecutionKey, id: &str) -> Execution {
    let Invocation { function, args, component, policy, trace } = invocation();
    Execution {
        key: Some(key),
        id: ExecutionId::new(id).unwrap(),
        component,
        policy,
        function,
        args,
        trace,
        seed: [7; 32],
        created_ms: 5,
        deadline_ms: None,
        state: State::Running,
        attempts: 1,
        result: None,
        progress: Progress { updated_ms: 5, ..Progress::default() },
    }
}

fn new_promise(id: &str, tags: BTreeMap<String, String>) -> NewPromise {
    NewPromise { id: id.to_owned(), timeout_at: u64::MAX, param: invocation().param(), tags: tags.into() }
}

fn task_create(id: &str) -> Operation {
    let promise = new_promise(id, invocation().tags("poll://any@workers"));
    Operation::TaskCreate { pid: "host".to_owned(), ttl: u64::MAX, promise }
}

fn beside(key: ExecutionKey, id: &str) -> Change {
    let Execution { id, component, policy, seed, .. } = execution(key, id);
    Change::Create(Box::new(NewExecution { key, id, component, policy, seed }))
}

/// A promise with a task that this host holds, and what is kept of its execution.
fn take_up(key: ExecutionKey, id: &str) -> Change {
    Change::Operation { now_ms: 5, operation: Box::new(task_create(id)), then: vec![beside(key, id)] }
}

fn create(stores: &mut Stores, id: &str) -> Execution {
    let store = stores();
    let key = store.fresh_key().unwrap();
    store.commit(&[take_up(key, id)]).unwrap();
    execution(key, id)
}

fn settlement(id: &str, state: PromiseState, data: Option<&str>) -> Settlement {
    let value = Value { headers: BTreeMap::new(), data: data.map(str::to_owned) };
    Settlement { id: id.to_owned(), state, value }
}

fn settle(id: &str, state: PromiseState) -> Operation {
    Operation::PromiseSettle(settlement(id, state, Some("[1]")))
}

/// What an operation at the time 9 comes to.
fn operate(stores: &mut Stores, operation: Operation) -> Applied {
    stores().operate(9, operation).unwrap()
}

fn append(key: ExecutionKey, segment: u32, bytes: impl Into<Vec<u8>>) -> Change {
    Change::Append { key, segment, bytes: bytes.into(), seal: None }
}

fn asked(number: u64) -> Asked {
    Asked {
        kind: PromiseKind::Input,
        subject: "go on?".to_owned(),
        data: (number == 0).then(|| "null".to_owned()),
        schema: (number == 1).then(|| "{}".to_owned()),
    }
}

fn pending(execution: &str, number: u64, created_ms: u64) -> PendingPromise {
    let Asked { kind, subject, data, schema } = asked(number);
    PendingPromise {
        id: ExecutionId::new(execution).unwrap().promise(number),
        kind,
        subject,
        data,
        schema,
        created_ms,
        deadline_ms: (number == 1).then_some(1_000),
    }
}

fn ask(promise: &PendingPromise) -> Change {
    let (id, asked) = (promise.id.to_string(), asked(promise.id.number));
    let (param, tags) = (asked.param(), asked.tags());
    let new = NewPromise { id, timeout_at: promise.deadline_ms.unwrap_or(NEVER), param, tags: tags.into() };
    Change::operation(promise.created_ms, Operation::PromiseCreate(new))
}

fn refused(store: &dyn Backend, changes: &[Change]) {
    let outcome = store.commit(changes);
    assert!(matches!(outcome, Err(Error::Refused { .. })), "{outcome:?}");
}

#[test]
fn an_execution_reads_back_as_it_was_created() {
    each_store(|stores| {
        let created = [create(stores, "a"), create(stores, "order:7/b")];
        assert_eq!(stores().execution(&created[1].id).unwrap().as_ref(), Some(&created[1]));
        assert_eq!(stores().execution(&ExecutionId::new("c").unwrap()).unwrap(), None);
        assert_eq!(stores().executions().unwrap(), created);
    });
}

#[test]
fn an_execution_that_no_host_has_taken_up_has_no_key() {
    each_store(|stores| {
        let promise = new_promise("a", invocation().tags("poll://any@workers"));
        operate(stores, Operation::PromiseCreate(promise));
        let waiting = Execution {
            key: None,
            seed: [0; 32],
            created_ms: 9,
            state: State::Pending,
            attempts: 0,
            progress: Progress { updated_ms: 9, ..Progress::default() },
            ..execution(ExecutionKey(0), "a")
        };
        assert_eq!(stores().executions().unwrap(), std::slice::from_ref(&waiting));
        assert_eq!(stores().execution(&waiting.id).unwrap().unwrap(), waiting);
        assert_eq!(stores().offers().unwrap(), ["a"]);
    });
}

#[test]
fn other_promises_are_no_executions() {
    each_store(|stores| {
        let target = BTreeMap::from([("resonate:target".to_owned(), "poll://any@workers".to_owned())]);
        for (id, tags) in [("a", BTreeMap::new()), ("b", target), ("c.x", invocation().tags("poll://any@workers"))] {
            operate(stores, Operation::PromiseCreate(new_promise(id, tags)));
        }
        assert_eq!(stores().executions().unwrap(), []);
        assert_eq!(stores().execution(&ExecutionId::new("b").unwrap()).unwrap(), None);
    });
}

#[test]
fn an_id_or_a_key_is_taken_once() {
    each_store(|stores| {
        let first = create(stores, "a");
        operate(stores, task_create("b"));
        refused(&*stores(), &[beside(ExecutionKey(900), "a")]);
        refused(&*stores(), &[beside(first.key.unwrap(), "b")]);
        refused(&*stores(), &[beside(ExecutionKey(900), "c")]);
        stores().commit(&[beside(ExecutionKey(900), "b")]).unwrap();
        let keys = stores().executions().unwrap().into_iter().map(|execution| execution.key);
        assert_eq!(keys.collect::<Vec<_>>(), [first.key, Some(ExecutionKey(900))]);
    });
}

#[test]
fn what_depends_on_a_claim_happens_for_the_holder_only() {
    each_store(|stores| {
        let first = create(stores, "a");
        let again = stores().commit(&[take_up(ExecutionKey(900), "a")]).unwrap();
        assert_eq!(again[0].answer.as_ref().unwrap_err().status, Status::Conflict);
        operate(stores, settle("a", PromiseState::Resolved));
        let late = stores().commit(&[take_up(ExecutionKey(900), "a")]).unwrap();
        assert!(matches!(&late[0].answer, Ok(Reply::Claimed { task, .. }) if task.state == TaskState::Fulfilled));
        assert_eq!(stores().execution(&first.id).unwrap().unwrap().key, first.key);
    });
}

#[test]
fn fresh_keys_are_not_in_use() {
    each_store(|stores| {
        let taken: Vec<_> = ["a", "b", "c"].map(|id| create(stores, id).key).into();
        assert!(!taken.contains(&Some(stores().fresh_key().unwrap())));
    });
}

#[test]
fn a_journal_is_its_segments_in_order() {
    each_store(|stores| {
        let (a, b) = (create(stores, "a").key.unwrap(), create(stores, "b").key.unwrap());
        stores().commit(&[append(a, 0, "one "), append(b, 0, "other"), append(a, 1, "two ")]).unwrap();
        stores().commit(&[append(a, 2, ""), append(a, 3, "three")]).unwrap();
        assert_eq!(stores().journal(a).unwrap(), (b"one two three".to_vec(), 4));
        assert_eq!(stores().journal(b).unwrap(), (b"other".to_vec(), 1));
        assert_eq!(stores().journal(ExecutionKey(77)).unwrap(), (Vec::new(), 0));
    });
}

#[test]
fn a_segment_out_of_order_is_refused() {
    each_store(|stores| {
        let key = create(stores, "a").key.unwrap();
        refused(&*stores(), &[append(key, 1, "gap")]);
        stores().commit(&[append(key, 0, "one")]).unwrap();
        refused(&*stores(), &[append(key, 0, "again")]);
        refused(&*stores(), &[append(key, 2, "gap")]);
        refused(&*stores(), &[append(ExecutionKey(77), 0, "no such execution")]);
        assert_eq!(stores().journal(key).unwrap(), (b"one".to_vec(), 1));
    });
}

#[test]
fn progress_and_component_are_replaced() {
    each_store(|stores| {
        let mut expected = create(stores, "a");
        let key = expected.key.unwrap();
        let code = everstep_words::guest_error::ErrorCode::NotFound;
        let error = Failure { kind: FailureKind::Returned(code), message: "ü".into() };
        expected.component = Digest::of(b"another");
        expected.progress = Progress { error: Some(error), steps: u64::MAX, cpu_us: 1 << 40, updated_ms: 9 };
        expected.state = State::Halted;
        let progress = Change::Progress(key, Box::new(expected.progress.clone()));
        stores().commit(&[progress, Change::Component(key, expected.component)]).unwrap();
        operate(stores, Operation::TaskHalt { id: "a".to_owned() });
        assert_eq!(stores().executions().unwrap(), [expected]);
        refused(&*stores(), &[Change::Progress(ExecutionKey(77), Box::default())]);
        refused(&*stores(), &[Change::Component(ExecutionKey(77), Digest::of(b""))]);
    });
}

/// How an execution in the state reads, created at 5 and due at 20.
fn state_after(stores: &mut Stores, operations: &[(u64, Operation)]) -> Execution {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let id = format!("e{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let mut new = task_create(&id);
    if let Operation::TaskCreate { promise, .. } = &mut new {
        promise.timeout_at = 20;
    }
    stores().operate(5, new).unwrap();
    let named = |operation: &Operation| {
        let mut operation = operation.clone();
        match &mut operation {
            Operation::PromiseSettle(Settlement { id: named, .. })
            | Operation::TaskSuspend { id: named, .. }
            | Operation::TaskRelease { id: named, .. }
            | Operation::TaskHalt { id: named } => named.clone_from(&id),
            _ => {}
        }
        operation
    };
    for (now, operation) in operations {
        stores().operate(*now, named(operation)).unwrap().answer.unwrap();
    }
    stores().execution(&ExecutionId::new(id).unwrap()).unwrap().unwrap()
}

#[test]
fn every_state_reads_back() {
    each_store(|stores| {
        let awaited = new_promise("awaited", BTreeMap::new());
        operate(stores, Operation::PromiseCreate(awaited));
        let id = String::new;
        let suspend = Operation::TaskSuspend { id: id(), version: 1, awaited: vec!["awaited".to_owned()] };
        let cases = [
            (vec![(6, Operation::TaskRelease { id: id(), version: 1 })], State::Pending),
            (vec![], State::Running),
            (vec![(6, suspend)], State::Suspended),
            (vec![(6, Operation::TaskHalt { id: id() })], State::Halted),
            (vec![(6, settle("", PromiseState::Resolved))], State::Completed),
            (vec![(6, settle("", PromiseState::Rejected))], State::Failed),
            (vec![(6, settle("", PromiseState::RejectedCanceled))], State::Canceled),
            (vec![(20, Operation::Sweep)], State::Failed),
        ];
        for (operations, state) in cases {
            let execution = state_after(stores, &operations);
            assert_eq!(execution.state, state);
            assert_eq!(execution.deadline_ms, Some(20));
            assert_eq!(execution.result.as_deref(), (state == State::Completed).then_some("[1]"));
            let timed_out = matches!(&execution.progress.error, Some(error) if error.kind == FailureKind::TimedOut);
            assert_eq!(timed_out, operations.iter().any(|(now, _)| *now == 20));
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
    });
}

#[test]
fn what_is_offered_of_a_tree_is_found() {
    each_store(|stores| {
        for id in ["a", "a.1", "a.2", "a.2.0", "a.20", "a:b", "ab", "b.1"] {
            let new = new_promise(id, invocation().tags("poll://any@workers"));
            operate(stores, Operation::PromiseCreate(new));
        }
        create(stores, "a.3");
        operate(stores, settle("a.20", PromiseState::Resolved));
        let within = |stores: &mut Stores, id: &str| stores().offers_within(&ExecutionId::new(id).unwrap()).unwrap();
        assert_eq!(within(stores, "a"), ["a", "a.1", "a.2", "a.2.0"]);
        assert_eq!(within(stores, "a.2"), ["a.2", "a.2.0"]);
        assert_eq!(within(stores, "c"), [""; 0]);
    });
}

#[test]
fn a_journal_is_read_part_by_part() {
    each_store(|stores| {
        let key = create(stores, "a").key.unwrap();
        let mut at = JournalPlace::default();
        let mut read = |stores: &mut Stores| {
            let mut all = Vec::new();
            loop {
                let (part, next) = stores().journal_part(key, at).unwrap();
                if part.is_empty() {
                    assert_eq!(next, at);
                    return all;
                }
                all.extend(part);
                at = next;
            }
        };
        assert_eq!(read(stores), b"");
        let changes: Vec<_> = (0..5).map(|segment| append(key, segment, vec![segment as u8; 700 << 10])).collect();
        stores().commit(&changes).unwrap();
        assert!(read(stores) == stores().journal(key).unwrap().0);
        stores().commit(&[append(key, 5, "new")]).unwrap();
        assert_eq!(read(stores), b"new");
        assert_eq!(at, JournalPlace { segment: 6, offset: 5 * (700 << 10) + 3 });
        assert_eq!(stores().journal_part(ExecutionKey(99), JournalPlace::default()).unwrap().0, b"");
    });
}

#[test]
fn promises_appear_oldest_first_and_disappear_when_settled() {
    each_store(|stores| {
        let promises = [pending("b", 5, 1), pending("a", 0, 2), pending("a", 1, 2), pending("a", 10, 2)];
        stores().commit(&[3, 2, 1, 0].map(|index| ask(&promises[index]))).unwrap();
        assert_eq!(stores().promises().unwrap(), promises);
        operate(stores, settle("a.0", PromiseState::Resolved));
        assert_eq!(stores().promises().unwrap(), [&promises[0..1], &promises[2..]].concat());
        stores().operate(1_000, Operation::Sweep).unwrap();
        assert_eq!(stores().promises().unwrap(), [promises[0].clone(), promises[3].clone()]);
        let (settled, task) = stores().promise("a.0").unwrap().unwrap();
        assert_eq!((settled.state, settled.settled_at, task), (PromiseState::Resolved, Some(9), None));
    });
}

#[test]
fn the_next_time_that_something_is_due_is_known() {
    each_store(|stores| {
        assert_eq!(stores().next_due().unwrap(), None);
        create(stores, "a");
        assert_eq!(stores().next_due().unwrap(), None, "neither its deadline nor its lease ends");
        let new = NewSchedule {
            id: "s".to_owned(),
            cron: "* * * * *".to_owned(),
            promise_id: "{{.id}}/{{.timestamp}}".to_owned(),
            promise_timeout: u64::MAX,
            promise_param: Value::default(),
            promise_tags: BTreeMap::new(),
        };
        operate(stores, Operation::ScheduleCreate(new));
        assert_eq!(stores().next_due().unwrap(), Some(60_000));
        stores().commit(&[ask(&pending("b", 1, 9))]).unwrap();
        assert_eq!(stores().next_due().unwrap(), Some(1_000));
        let (pid, ttl, promise) = ("host".to_owned(), 100, new_promise("c", invocation().tags("poll://any@workers")));
        operate(stores, Operation::TaskCreate { pid, ttl, promise });
        assert_eq!(stores().next_due().unwrap(), Some(109));
        stores().operate(60_000, Operation::Sweep).unwrap();
        assert_eq!(stores().next_due().unwrap(), Some(120_000));
        assert_eq!(stores().schedules().unwrap()[0].last_run_at, Some(60_000));
        assert!(stores().promise("s/60000").unwrap().is_some());
    });
}

#[test]
fn a_blob_is_found_by_its_digest() {
    each_store(|stores| {
        let large = vec![0xa5; 20 << 20];
        for bytes in [&b""[..], b"policy", &large] {
            for _ in 0..2 {
                stores().commit(&[Change::Blob(Digest::of(bytes), bytes.to_vec().into())]).unwrap();
            }
            assert!(stores().blob(&Digest::of(bytes)).unwrap().as_deref() == Some(bytes));
        }
        assert_eq!(stores().blob(&Digest::of(b"unknown")).unwrap(), None);
        assert!(
            stores().has_blob(&Digest::of(b"policy")).unwrap() && !stores().has_blob(&Digest::of(b"unknown")).unwrap()
        );
    });
}

#[test]
fn many_executions_fit_into_one_commit() {
    each_store(|stores| {
        let store = stores();
        let ids: Vec<_> = (0..200).map(|n| format!("e{n:03}")).collect();
        let changes = ids.iter().enumerate().flat_map(|(n, id)| {
            let key = store.fresh_key().unwrap();
            let settlement = settlement(id, PromiseState::Resolved, Some("[]"));
            let fulfill = Change::operation(5, Operation::TaskFulfill { version: 1, settlement });
            [take_up(key, id), append(key, 0, vec![n as u8; 300]), fulfill]
        });
        store.commit(&changes.collect::<Vec<_>>()).unwrap();
        drop(store);
        let executions = stores().executions().unwrap();
        assert_eq!(executions.len(), 200);
        assert!(executions.iter().all(|execution| execution.state == State::Completed));
        assert_eq!(stores().journal(executions[199].key.unwrap()).unwrap(), (vec![199; 300], 1));
    });
}

#[test]
fn only_the_file_store_survives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    assert!(FileStore::open(Path::new(dir.path())).unwrap().survives_the_process());
    assert!(!MemoryStore::new().survives_the_process());
}

#[test]
fn what_is_fenced_happens_only_while_the_task_is_held_in_that_version() {
    each_store(|stores| {
        let key = ExecutionKey(1);
        stores().commit(&[take_up(key, "a")]).unwrap();
        let append = |segment| Change::Append { key, segment, bytes: vec![7], seal: None };
        let fenced = |version, segment| {
            let id = format!("a.{segment}");
            let promise = NewPromise { id, timeout_at: NEVER, param: Value::default(), tags: Tags::default() };
            let changes = vec![append(segment), Change::operation(2, Operation::PromiseCreate(promise))];
            Change::Fenced { id: "a".to_owned(), version, changes }
        };
        let settled = |answers: &[Applied]| answers.iter().map(|one| one.answer.is_ok()).collect::<Vec<_>>();
        // Each counts as two operations, and a refused one stands in nobody's way.
        let applied = stores().commit(&[fenced(1, 0), fenced(2, 1), fenced(1, 1)]).unwrap();
        assert_eq!(settled(&applied), [true, true, false, false, true, true]);
        let refused = applied[3].answer.as_ref().unwrap_err();
        assert_eq!((refused.status, applied[3].events.len()), (Status::Conflict, 0));
        assert_eq!(stores().journal(key).unwrap(), (vec![7, 7], 2));
        assert!(
            stores().holds("a", 1).unwrap() && !stores().holds("a", 2).unwrap() && !stores().holds("b", 1).unwrap()
        );

        // Given back, taken again, and taken by another: each time the version of before is over.
        let release = |version| Operation::TaskRelease { id: "a".to_owned(), version };
        let acquire = |version| Operation::TaskAcquire { id: "a".to_owned(), version, pid: "b".to_owned(), ttl: 9 };
        for (operation, version, holds) in [
            (release(1), 1, false),
            (acquire(1), 1, false),
            (Operation::TaskHalt { id: "a".to_owned() }, 2, false),
            (Operation::TaskContinue { id: "a".to_owned() }, 2, false),
            (acquire(2), 3, true),
        ] {
            stores().operate(3, operation.clone()).unwrap().answer.unwrap();
            assert_eq!(stores().holds("a", version).unwrap(), holds, "{operation:?}");
            let applied = stores().commit(&[fenced(version, 2)]).unwrap();
            assert_eq!(settled(&applied), [holds, holds], "{operation:?}");
        }
        // What has ended while it was held cannot be taken by anybody.
        stores().operate(4, settle("a", PromiseState::Resolved)).unwrap().answer.unwrap();
        assert!(stores().holds("a", 3).unwrap());
        assert_eq!(settled(&stores().commit(&[fenced(3, 3)]).unwrap()), [true, true]);
    });
}

#[test]
fn a_seal_is_read_with_the_journal_that_it_is_of() {
    each_store(|stores| {
        let key = ExecutionKey(1);
        assert_eq!(stores().sealed_journal(key).unwrap(), SealedJournal::default());
        let append = |segment, byte, seal| Change::Append { key, segment, bytes: vec![byte], seal };
        stores().commit(&[take_up(key, "a"), append(0, 1, None)]).unwrap();
        let unsealed = SealedJournal { bytes: vec![1], segments: 1, seal: None };
        assert_eq!(stores().sealed_journal(key).unwrap(), unsealed);
        stores().commit(&[append(1, 2, Some([9; 32]))]).unwrap();
        let sealed = SealedJournal { bytes: vec![1, 2], segments: 2, seal: Some(vec![9; 32]) };
        assert_eq!(stores().sealed_journal(key).unwrap(), sealed);
        assert_eq!(stores().journal(key).unwrap(), (vec![1, 2], 2));
        // One that is refused leaves it as it was.
        for misfit in [append(7, 3, Some([8; 32])), append(2, 3, None), append(1, 3, None), append(0, 3, None)] {
            let fits = append(2, 3, Some([8; 32]));
            assert!(matches!(stores().commit(&[fits, misfit]), Err(Error::Refused { .. })));
            assert_eq!(stores().sealed_journal(key).unwrap(), sealed);
        }
        // Several segments in one commit, of which the last has the seal; one that has none; one that has one again.
        stores().commit(&[append(2, 3, None), append(3, 4, Some([7; 32]))]).unwrap();
        let longer = SealedJournal { bytes: vec![1, 2, 3, 4], segments: 4, seal: Some(vec![7; 32]) };
        assert_eq!(stores().sealed_journal(key).unwrap(), longer);
        stores().commit(&[append(4, 5, None)]).unwrap();
        assert_eq!(stores().sealed_journal(key).unwrap().seal, None);
        stores().commit(&[append(5, 6, Some([6; 32]))]).unwrap();
        let all = SealedJournal { bytes: vec![1, 2, 3, 4, 5, 6], segments: 6, seal: Some(vec![6; 32]) };
        assert_eq!(stores().sealed_journal(key).unwrap(), all);
        // From each place on, what has not been read yet.
        for segment in 0..=6 {
            let at = JournalPlace { segment, offset: segment as usize };
            let (part, end) = stores().journal_part(key, at).unwrap();
            assert_eq!((&part[..], end), (&all.bytes[at.offset..], JournalPlace { segment: 6, offset: 6 }));
        }
        // One that is sealed from its first segment on.
        let b = ExecutionKey(2);
        let first = Change::Append { key: b, segment: 0, bytes: vec![1], seal: Some([5; 32]) };
        stores().commit(&[take_up(b, "b"), first]).unwrap();
        let short = SealedJournal { bytes: vec![1], segments: 1, seal: Some(vec![5; 32]) };
        assert_eq!(stores().sealed_journal(b).unwrap(), short);
        let secret = stores().secret();
        assert_eq!(secret.is_some(), stores().survives_the_process());
        assert_eq!(stores().secret(), secret);
    });
}
