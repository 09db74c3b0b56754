//! The contract, over every store: in memory, in a folder, and in a folder that is reopened before every operation.

use super::*;
use std::path::Path;
use std::sync::Arc;

/// How a test gets at its store; called before every operation.
type Stores = Box<dyn FnMut() -> Arc<dyn Store>>;

fn each_store(test: impl Fn(&mut Stores)) {
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new());
    test(&mut (Box::new(move || memory.clone()) as Stores));

    let dir = tempfile::tempdir().unwrap();
    let file: Arc<dyn Store> = Arc::new(FileStore::open(dir.path()).unwrap());
    test(&mut (Box::new(move || file.clone()) as Stores));

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    test(&mut (Box::new(move || Arc::new(FileStore::open(&path).unwrap()) as Arc<dyn Store>) as Stores));
}

fn progress(state: State) -> Progress {
    Progress { state, result: None, error: None, attempts: 1, steps: 0, cpu_us: 0, updated_ms: 5 }
}

fn execution(key: ExecutionKey, id: &str) -> Execution {
    Execution {
        key,
        id: ExecutionId::new(id).unwrap(),
        component: Digest::of(b"component"),
        policy: Digest::of(b"policy"),
        function: "count".to_owned(),
        args: r#"{"input":"/in"}"#.to_owned(),
        seed: [7; 32],
        created_ms: u64::MAX,
        progress: progress(State::Running),
    }
}

fn create(stores: &mut Stores, id: &str) -> Execution {
    let store = stores();
    let execution = execution(store.fresh_key(), id);
    store.commit(&[Change::Create(Box::new(execution.clone()))]).unwrap();
    execution
}

fn append(key: ExecutionKey, segment: u32, bytes: impl Into<Vec<u8>>) -> Change {
    Change::Append { key, segment, bytes: bytes.into() }
}

fn pending(execution: &Execution, number: u64, created_ms: u64) -> PendingPromise {
    PendingPromise {
        id: execution.id.promise(number),
        kind: "input".to_owned(),
        subject: "go on?".to_owned(),
        data: (number == 0).then(|| "null".to_owned()),
        created_ms,
        deadline_ms: (number == 1).then_some(u64::MAX),
    }
}

fn refused(store: &dyn Store, changes: &[Change]) {
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
fn an_id_or_a_key_is_taken_once() {
    each_store(|stores| {
        let first = create(stores, "a");
        let (same_id, same_key) = (execution(ExecutionKey(900), "a"), execution(first.key, "b"));
        refused(&*stores(), &[Change::Create(Box::new(same_id))]);
        refused(&*stores(), &[Change::Create(Box::new(same_key))]);
        let second = create(stores, "b");
        assert_eq!(stores().executions().unwrap(), [first, second]);
    });
}

#[test]
fn fresh_keys_are_not_in_use() {
    each_store(|stores| {
        let taken: Vec<_> = ["a", "b", "c"].map(|id| create(stores, id).key).into();
        assert!(!taken.contains(&stores().fresh_key()));
    });
}

#[test]
fn a_journal_is_its_segments_in_order() {
    each_store(|stores| {
        let (a, b) = (create(stores, "a").key, create(stores, "b").key);
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
        let key = create(stores, "a").key;
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
        let error =
            Failure { kind: FailureKind::Returned(crate::guest_error::ErrorCode::NotFound), message: "ü".into() };
        expected.component = Digest::of(b"another");
        expected.progress = Progress {
            error: Some(error),
            result: Some("[1]".to_owned()),
            attempts: u32::MAX,
            steps: u64::MAX,
            cpu_us: 1 << 40,
            ..progress(State::Failed)
        };
        let changes = [
            Change::Progress(expected.key, Box::new(expected.progress.clone())),
            Change::Component(expected.key, expected.component),
        ];
        stores().commit(&changes).unwrap();
        assert_eq!(stores().executions().unwrap(), [expected]);
        refused(&*stores(), &[Change::Progress(ExecutionKey(77), Box::new(progress(State::Running)))]);
        refused(&*stores(), &[Change::Component(ExecutionKey(77), Digest::of(b""))]);
    });
}

#[test]
fn every_state_reads_back() {
    use State::*;
    each_store(|stores| {
        let execution = create(stores, "a");
        for state in [Running, Suspended, Completed, Failed, Canceled, Halted] {
            stores().commit(&[Change::Progress(execution.key, Box::new(progress(state)))]).unwrap();
            assert_eq!(stores().execution(&execution.id).unwrap().unwrap().progress.state, state);
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
    });
}

#[test]
fn promises_appear_oldest_first_and_disappear_when_settled() {
    each_store(|stores| {
        let (a, b) = (create(stores, "a"), create(stores, "b"));
        let promises = [pending(&b, 5, 1), pending(&a, 0, 2), pending(&a, 1, 2)];
        let promise = |of: &Execution, index: usize| Change::Promise(of.key, Box::new(promises[index].clone()));
        stores().commit(&[promise(&a, 1), promise(&a, 2), promise(&b, 0)]).unwrap();
        assert_eq!(stores().promises().unwrap(), promises);
        refused(&*stores(), &[promise(&a, 1)]);
        refused(&*stores(), &[promise(&b, 1)]);
        stores().commit(&[Change::Settled(a.key, 0), Change::Settled(a.key, 9)]).unwrap();
        assert_eq!(stores().promises().unwrap(), [promises[0].clone(), promises[2].clone()]);
    });
}

#[test]
fn a_blob_is_found_by_its_digest() {
    each_store(|stores| {
        let large = vec![0xa5; 20 << 20];
        for bytes in [&b""[..], b"policy", &large] {
            for _ in 0..2 {
                stores().commit(&[Change::Blob(Digest::of(bytes), bytes.to_vec())]).unwrap();
            }
            assert!(stores().blob(&Digest::of(bytes)).unwrap().as_deref() == Some(bytes));
        }
        assert_eq!(stores().blob(&Digest::of(b"unknown")).unwrap(), None);
    });
}

#[test]
fn a_list_with_one_bad_change_leaves_nothing() {
    each_store(|stores| {
        let before = create(stores, "a");
        let held = pending(&before, 1, 1);
        let promise = |number| Change::Promise(before.key, Box::new(pending(&before, number, 1)));
        stores().commit(&[append(before.key, 0, "one"), promise(1)]).unwrap();
        let other = execution(ExecutionKey(50), "b");
        let changes = [
            Change::Create(Box::new(other.clone())),
            append(other.key, 0, "lost"),
            append(before.key, 1, "lost"),
            Change::Progress(before.key, Box::new(progress(State::Completed))),
            Change::Component(before.key, Digest::of(b"lost")),
            promise(2),
            Change::Settled(before.key, 1),
            Change::Blob(Digest::of(b"lost"), b"lost".to_vec()),
            append(before.key, 7, "bad"),
        ];
        refused(&*stores(), &changes);
        let store = stores();
        assert_eq!(store.executions().unwrap(), std::slice::from_ref(&before));
        assert_eq!(store.journal(before.key).unwrap(), (b"one".to_vec(), 1));
        assert_eq!(store.journal(other.key).unwrap(), (Vec::new(), 0));
        assert_eq!(store.promises().unwrap(), std::slice::from_ref(&held));
        assert_eq!(store.blob(&Digest::of(b"lost")).unwrap(), None);
        drop(store);
        stores().commit(&changes[..8]).unwrap();
        assert_eq!(stores().executions().unwrap().len(), 2);
    });
}

#[test]
fn many_executions_fit_into_one_commit() {
    each_store(|stores| {
        let store = stores();
        let changes: Vec<_> = (0..200)
            .flat_map(|n| {
                let key = store.fresh_key();
                let create = Change::Create(Box::new(execution(key, &format!("e{n}"))));
                [
                    create,
                    append(key, 0, vec![n as u8; 300]),
                    Change::Progress(key, Box::new(progress(State::Completed))),
                ]
            })
            .collect();
        store.commit(&changes).unwrap();
        drop(store);
        let executions = stores().executions().unwrap();
        assert_eq!(executions.len(), 200);
        assert_eq!(stores().journal(executions[199].key).unwrap(), (vec![199; 300], 1));
    });
}

#[test]
fn only_the_file_store_survives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    assert!(FileStore::open(Path::new(dir.path())).unwrap().survives_the_process());
    assert!(!MemoryStore::new().survives_the_process());
}
