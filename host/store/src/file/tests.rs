//! What only a store in a folder has: a lock, readers beside the host, a format, settings, and damage.

use super::*;
use crate::operation::{NewPromise, NewSchedule, Operation, Settlement};
use crate::record::{NEVER, PromiseState, Value};
use crate::{Asked, Blob, Invocation, NewExecution, Place, Progress, Query};
use rustix::fs::{FlockOperation, flock};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::sync::Barrier;
use tempfile::TempDir;

mod log;

fn scratch() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn create(key: ExecutionKey, id: &str) -> Change {
    let (component, policy) = (Digest::of(b"component"), Digest::of(b"policy"));
    let invocation = Invocation { function: "count".to_owned(), args: "[]".to_owned(), component, policy, trace: None };
    let (param, tags) = (invocation.param(), invocation.tags("poll://any@workers"));
    let promise = NewPromise { id: id.to_owned(), timeout_at: NEVER, param, tags: tags.into() };
    let id = ExecutionId::new(id).unwrap();
    let beside = Change::Create(Box::new(NewExecution { key, id, component, policy, seed: [1; 32] }));
    let operation = Box::new(Operation::TaskCreate { pid: "host".to_owned(), ttl: 1_000, promise });
    Change::Operation { now_ms: 1, operation, then: vec![beside] }
}

fn append(segment: u32) -> Change {
    Change::Append { key: ExecutionKey(1), segment, bytes: vec![segment as u8; 10], seal: None }
}

fn sealed(segment: u32, seal: u8) -> Change {
    Change::Append { key: ExecutionKey(1), segment, bytes: vec![segment as u8; 10], seal: Some([seal; 32]) }
}

/// A store with one execution of three segments that waits for a promise, a schedule and a blob, closed.
fn closed_store() -> TempDir {
    let dir = scratch();
    let asked = Asked { kind: crate::PromiseKind::Input, subject: String::new(), data: None, schema: None };
    let (id, param, tags) = ("a.1".to_owned(), asked.param(), asked.tags());
    let promise = NewPromise { id, timeout_at: 60_000, param, tags: tags.into() };
    let schedule = NewSchedule {
        id: "s".to_owned(),
        cron: "* * * * *".to_owned(),
        promise_id: "{{.id}}/{{.timestamp}}".to_owned(),
        promise_timeout: 1,
        promise_param: Value::default(),
        promise_tags: BTreeMap::new(),
    };
    let changes = [
        create(ExecutionKey(1), "a"),
        append(0),
        append(1),
        append(2),
        Change::operation(1, Operation::PromiseCreate(promise)),
        Change::operation(1, Operation::ScheduleCreate(schedule)),
        Change::Blob(Digest::of(b"bytes"), b"bytes".to_vec().into()),
    ];
    FileStore::open(dir.path()).unwrap().commit(&changes).unwrap();
    dir
}

/// Changes the database behind the store's back.
fn tamper(dir: &TempDir, sql: &str) {
    rusqlite::Connection::open(dir.path().join("store.db")).unwrap().execute_batch(sql).unwrap();
}

#[track_caller]
fn open_error(dir: &Path) -> String {
    match FileStore::open(dir) {
        Err(error @ Error::Open { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn is_corrupted<T: std::fmt::Debug>(outcome: Result<T, Error>) {
    assert!(matches!(outcome, Err(Error::Corrupted { .. })), "{outcome:?}");
}

#[test]
fn a_second_host_is_told_who_has_a_store_that_is_not_shared() {
    let dir = scratch();
    drop(FileStore::open(dir.path()).unwrap());
    let lock = File::open(dir.path().join("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let second = FileStore::open(dir.path());
    assert!(matches!(&second, Err(Error::InUse { pid, .. }) if *pid == Some(std::process::id())), "{second:?}");
    drop(lock);
    FileStore::open(dir.path()).unwrap();
}

#[test]
fn hosts_that_share_a_store_give_out_no_key_twice() {
    let dir = scratch();
    let mut keys = Vec::new();
    for _ in 0..3 {
        let stores: Vec<FileStore> = (0..3).map(|_| FileStore::open(dir.path()).unwrap()).collect();
        for _ in 0..100 {
            keys.extend(stores.iter().map(|store| store.fresh_key().unwrap().0));
        }
        let last = keys.last().copied().unwrap();
        stores[0].commit(&[create(ExecutionKey(last), &format!("x{last}"))]).unwrap();
    }
    let given = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), given);
}

#[test]
fn commits_are_synced_through_a_log() {
    let dir = scratch();
    FileStore::open(dir.path()).unwrap();
    let writer = schema::open_for_writing(dir.path(), true).unwrap();
    assert_eq!(schema::durability(&writer).unwrap(), ("wal".to_owned(), 2));
}

#[test]
fn other_users_are_kept_out() {
    let dir = scratch();
    let path = dir.path().join("deep/store");
    let store = FileStore::open(&path).unwrap();
    store.commit(&[create(ExecutionKey(1), "a")]).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for file in std::fs::read_dir(&path).unwrap() {
        let file = file.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{file:?}");
    }
}

#[test]
fn a_reader_sees_what_the_host_commits_and_writes_nothing() {
    let dir = closed_store();
    let host = FileStore::open(dir.path()).unwrap();
    let reader = FileStore::read(dir.path()).unwrap();
    host.commit(&[append(3)]).unwrap();
    assert_eq!(reader.journal(ExecutionKey(1)).unwrap(), host.journal(ExecutionKey(1)).unwrap());
    assert!(matches!(reader.commit(&[append(4)]), Err(Error::ReadOnly { .. })));
    drop(host);
    assert_eq!(reader.journal(ExecutionKey(1)).unwrap().1, 4);
}

#[test]
fn a_reader_needs_no_host() {
    let dir = closed_store();
    assert_eq!(FileStore::read(dir.path()).unwrap().executions().unwrap().len(), 1);
}

#[test]
fn a_missing_store_is_named_and_not_created() {
    let dir = scratch();
    let missing = dir.path().join("missing");
    let error = FileStore::read(&missing).unwrap_err().to_string();
    assert!(error.contains("missing: there is no store in it"), "{error}");
    assert!(!missing.exists());
    assert!(matches!(FileStore::read(dir.path()), Err(Error::Open { .. })));
}

#[test]
fn a_file_in_place_of_the_folder_is_an_open_error() {
    let dir = scratch();
    let path = dir.path().join("file");
    std::fs::write(&path, "").unwrap();
    assert!(open_error(&path).contains("cannot open the store"));
}

#[test]
fn a_file_that_is_no_store_is_left_alone() {
    let dir = scratch();
    let database = dir.path().join("store.db");
    let text = "no database at all, but longer than the header that SQLite looks at; ".repeat(20);
    std::fs::write(&database, &text).unwrap();
    assert!(open_error(dir.path()).contains("was not written by everstep"));
    assert_eq!(std::fs::read_to_string(&database).unwrap(), text);

    std::fs::remove_file(&database).unwrap();
    tamper(&dir, "CREATE TABLE somebody_elses (x)");
    assert!(open_error(dir.path()).contains("was not written by everstep"));
}

#[test]
fn another_format_is_refused() {
    let dir = closed_store();
    for version in [1, 5, 9] {
        tamper(&dir, &format!("PRAGMA user_version = {version}"));
        for outcome in [FileStore::open(dir.path()), FileStore::read(dir.path())] {
            let refused = matches!(outcome, Err(Error::Version { expected: 4, found, .. }) if found == version);
            assert!(refused, "{outcome:?}");
        }
    }
}

#[test]
fn a_store_from_before_seals_is_read_and_becomes_one_with_them() {
    let dir = closed_store();
    std::fs::remove_file(dir.path().join("journal.key")).unwrap();
    tamper(&dir, FORMAT_2);
    let reader = FileStore::read(dir.path()).unwrap();
    let before = reader.journal(ExecutionKey(1)).unwrap();
    let unsealed = SealedJournal { bytes: before.0, segments: 3, seal: None };
    assert_eq!(reader.sealed_journal(ExecutionKey(1)).unwrap(), unsealed);
    assert_eq!(reader.secret(), None);

    let host = FileStore::open(dir.path()).unwrap();
    assert_eq!(host.sealed_journal(ExecutionKey(1)).unwrap(), unsealed);
    host.commit(&[sealed(3, 7)]).unwrap();
    let secret = host.secret();
    drop(host);
    let host = FileStore::open(dir.path()).unwrap();
    let grown = host.sealed_journal(ExecutionKey(1)).unwrap();
    assert_eq!((grown.segments, grown.seal), (4, Some(vec![7; 32])));
    assert!(secret.is_some() && host.secret() == secret && FileStore::read(dir.path()).unwrap().secret() == secret);
    // A reader of before has found all of it.
    assert_eq!(reader.journal(ExecutionKey(1)).unwrap().1, 4);
}

#[test]
fn a_store_whose_seals_are_apart_is_read_and_converted_once_its_hosts_are_gone() {
    let dir = closed_store();
    let (sealed_one, unsealed, short) = (ExecutionKey(1), ExecutionKey(2), ExecutionKey(3));
    let host = FileStore::open(dir.path()).unwrap();
    host.commit(&[sealed(3, 7), create(unsealed, "b"), create(short, "c")]).unwrap();
    let of = |key, segment| Change::Append { key, segment, bytes: vec![segment as u8], seal: None };
    host.commit(&[of(unsealed, 0), of(unsealed, 1), of(unsealed, 2), of(short, 0)]).unwrap();
    let all = [sealed_one, unsealed, short].map(|key| host.sealed_journal(key).unwrap());
    assert_eq!(all.each_ref().map(|one| (one.segments, one.seal.is_some())), [(4, true), (3, false), (1, false)]);
    drop(host);
    tamper(&dir, FORMAT_3);
    let reader = FileStore::read(dir.path()).unwrap();
    let journals = |store: &FileStore| [sealed_one, unsealed, short].map(|key| store.sealed_journal(key).unwrap());
    assert_eq!(journals(&reader), all);
    assert_eq!(reader.journal(sealed_one).unwrap().1, 4);

    // As long as a host of the earlier build is there.
    let lock = lock::Lock::take(dir.path()).unwrap();
    lock.share(dir.path()).unwrap();
    let refused = FileStore::open(dir.path()).unwrap_err().to_string();
    assert!(refused.contains("a host of an earlier build has it open"), "{refused}");
    assert_eq!(journals(&reader), all);
    drop(lock);
    let host = FileStore::open(dir.path()).unwrap();
    assert_eq!(journals(&host), all);
    assert_eq!(journals(&reader), all);
    host.commit(&[sealed(4, 8), of(unsealed, 3), of(short, 1)]).unwrap();
    let grown = journals(&host);
    assert_eq!(
        grown.each_ref().map(|one| (one.segments, one.seal.clone())),
        [(5, Some(vec![8; 32])), (4, None), (2, None)]
    );
}

/// What a store of this format is in format 3, and in format 2, if none of its journals has a seal.
const FORMAT_3: &str = "PRAGMA user_version = 3;
    DELETE FROM segments WHERE bytes = x'' AND id & 4294967295 > 0;
    UPDATE segments SET id = id | 4294967295 WHERE length(bytes) = 32;";
const FORMAT_2: &str = "PRAGMA user_version = 2; DELETE FROM segments WHERE bytes = x'';";

/// What stores of this format had before tasks were found by how they stand.
const EARLIER: &str = "DROP INDEX tasks;
    CREATE INDEX offers ON promises (id) WHERE task = 'pending';
    CREATE INDEX held ON promises (id) WHERE task = 'acquired';";

#[test]
fn a_store_from_before_an_index_is_read_without_it_and_gets_it_from_the_next_host() {
    let dir = closed_store();
    let more: Vec<_> = (2..9).map(|key| create(ExecutionKey(key), &format!("b{key}"))).collect();
    FileStore::open(dir.path()).unwrap().commit(&more).unwrap();
    tamper(&dir, EARLIER);
    let query = Query::unfinished();
    let (reader, all) =
        (FileStore::read(dir.path()).unwrap(), FileStore::read(dir.path()).unwrap().executions().unwrap());
    let page = reader.list(&query, 2).unwrap();
    assert_eq!((&page.executions, page.next), (&all, None), "one look at everything");
    assert_eq!(reader.held().unwrap().len(), 8);

    let host = FileStore::open(dir.path()).unwrap();
    let page = host.list(&query, 2).unwrap();
    assert_eq!((&page.executions[..], page.next), (&all[..2], Some(Place::of(&all[1]))));
    assert_eq!(reader.list(&query, 2).unwrap().executions, all);
    let connection = schema::open_for_reading(dir.path()).unwrap();
    let has = |name| schema::has_index(&connection, name).unwrap();
    assert_eq!([has("tasks"), has("offers"), has("held")], [true, false, false]);
    drop(host);
    FileStore::open(dir.path()).unwrap();
}

#[test]
fn a_missing_segment_is_damage() {
    for segment in 0..2 {
        let dir = closed_store();
        tamper(&dir, &format!("DELETE FROM segments WHERE id = (1 << 32) + {segment}"));
        is_corrupted(FileStore::open(dir.path()).unwrap().journal(ExecutionKey(1)));
    }
}

#[test]
fn a_value_that_nobody_wrote_is_damage() {
    for column in ["error = '{'", "seed = x'00'", "component = x''", "key = -5", "key = 1 << 40", "key = 2"] {
        let dir = closed_store();
        tamper(&dir, &format!("UPDATE executions SET {column}"));
        is_corrupted(FileStore::open(dir.path()).and_then(|store| store.executions()));
    }
}

#[test]
fn a_promise_that_nobody_wrote_is_damage() {
    let promises =
        ["state = 'asleep'", "state = 'resolved'", "settled_at = 1", "timeout_at = -1", "tags = '[]'", "tags = '{}'"];
    let tasks = ["task = 'asleep'", "task = 'pending'", "task = NULL", "version = NULL", "resumes = -1", "ttl = NULL"];
    for column in promises.into_iter().chain(tasks) {
        let dir = closed_store();
        tamper(&dir, &format!("UPDATE promises SET {column} WHERE id = 'a'"));
        let store = FileStore::open(dir.path()).unwrap();
        is_corrupted(store.promise("a"));
        is_corrupted(store.execution(&ExecutionId::new("a").unwrap()));
        is_corrupted(store.executions());
        is_corrupted(store.operate(2, Operation::PromiseGet { id: "a".to_owned() }));
    }
}

#[test]
fn a_schedule_that_nobody_wrote_is_damage() {
    for column in ["next_run_at = -1", "tags = ''", "param_headers = '1'"] {
        let dir = closed_store();
        tamper(&dir, &format!("UPDATE schedules SET {column}"));
        is_corrupted(FileStore::open(dir.path()).unwrap().schedules());
    }
    let dir = closed_store();
    tamper(&dir, "UPDATE schedules SET cron = 'never'");
    is_corrupted(FileStore::open(dir.path()).unwrap().operate(60_000, Operation::Sweep));
}

#[test]
fn an_execution_without_its_promise_is_damage() {
    let dir = closed_store();
    tamper(&dir, "DELETE FROM promises WHERE id = 'a'");
    is_corrupted(FileStore::open(dir.path()).unwrap().executions());

    let dir = closed_store();
    tamper(&dir, "UPDATE promises SET key = 2 WHERE id = 'a'");
    is_corrupted(FileStore::open(dir.path()).unwrap().execution(&ExecutionId::new("a").unwrap()));
}

/// Whoever waits or listens is forgotten once there is nothing to wait for, and with the task that waits.
#[test]
fn nothing_is_kept_of_what_nobody_waits_for() {
    let dir = closed_store();
    let store = FileStore::open(dir.path()).unwrap();
    let (awaited, address) = ("a.1".to_owned(), "poll://uni@clients/c".to_owned());
    let settle = |id: &str| {
        let (state, value) = (PromiseState::Resolved, Value::default());
        Operation::PromiseSettle(Settlement { id: id.to_owned(), state, value })
    };
    let listen = Operation::RegisterListener { awaited: awaited.clone(), address };
    let callback =
        |awaiter: &str| Operation::RegisterCallback { awaited: awaited.clone(), awaiter: awaiter.to_owned() };
    store.commit(&[create(ExecutionKey(2), "b")]).unwrap();
    let rows = || {
        let connection = schema::open_for_reading(dir.path()).unwrap();
        let count = |table| {
            connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, u32>(0)).unwrap()
        };
        ["callbacks", "listeners"].map(count)
    };
    let steps: [(Operation, [u32; 2]); 7] = [
        (listen.clone(), [0, 1]),
        (callback("a"), [1, 1]),
        (callback("b"), [2, 1]),
        (settle("b"), [1, 1]),
        (settle("a.1"), [1, 0]),
        (listen, [1, 0]),
        (settle("a"), [0, 0]),
    ];
    for (operation, expected) in steps {
        store.operate(2, operation.clone()).unwrap().answer.unwrap();
        assert_eq!(rows(), expected, "{operation:?}");
    }
}

/// What is done often looks at the rows it needs, however many there are.
#[test]
fn no_statement_looks_at_every_row() {
    let dir = closed_store();
    let connection = schema::open_for_reading(dir.path()).unwrap();
    let statements = [
        (read::PROMISES, "asked"),
        (read::OFFERS, "tasks"),
        (read::HELD, "tasks"),
        (read::OFFERS_WITHIN, "sqlite_autoindex_promises_1 (id>? AND id<?)"),
        (read::OLDEST_PLACES, "tasks (state=? AND task=? AND (created_at,id)>(?,?) AND (created_at,id)<(?,?))"),
        (read::NEWEST_PLACES, "tasks (state=? AND task=? AND (created_at,id)>(?,?) AND (created_at,id)<(?,?))"),
        (read::NEXT_DUE, "leases"),
        (read::NEXT_DUE, "other_deadlines"),
        (read::NEXT_DUE, "firings"),
        (read::LINEAGE, "sqlite_autoindex_promises_1"),
        (tables::PENDING_TREE, "sqlite_autoindex_promises_1"),
        (tables::BRANCH, "branches"),
        (tables::DUE_TASKS, "task_deadlines"),
        (tables::DUE_PROMISES, "task_deadlines"),
        (tables::DUE_PROMISES, "other_deadlines"),
        (tables::DUE_LEASES, "leases"),
        (tables::DUE_SCHEDULES, "firings"),
        (tables::DROP_READY_CALLBACKS, "awaiters"),
    ];
    for (sql, index) in statements {
        let plan = plan(&connection, sql);
        assert!(plan.contains(index), "{sql}\n{plan}");
        let all =
            plan.lines().find(|line| line.contains("SCAN") && !line.contains("USING") && !line.contains("subquery"));
        assert_eq!(all, None, "{sql}\n{plan}");
    }
}

fn plan(connection: &rusqlite::Connection, sql: &str) -> String {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let parameters = vec![rusqlite::types::Value::Integer(1); statement.parameter_count()];
    let lines = statement.query_map(rusqlite::params_from_iter(parameters), |row| row.get::<_, String>(3)).unwrap();
    lines.collect::<rusqlite::Result<Vec<_>>>().unwrap().join("\n")
}

#[test]
fn changed_bytes_of_a_blob_are_damage() {
    let dir = closed_store();
    tamper(&dir, "UPDATE blobs SET bytes = x'00'");
    is_corrupted(FileStore::open(dir.path()).unwrap().blob(&Digest::of(b"bytes")));
}

#[test]
fn a_refused_list_does_not_end_a_store_and_a_failed_one_does() {
    let dir = closed_store();
    let store = FileStore::open(dir.path()).unwrap();
    assert!(matches!(store.commit(&[append(9)]), Err(Error::Refused { .. })));
    store.commit(&[append(3)]).unwrap();
    tamper(&dir, "DROP TABLE segments");
    assert!(matches!(store.commit(&[append(4)]), Err(Error::Sqlite(_))));
    assert!(matches!(store.commit(&[]), Err(Error::Poisoned(_))));
}

/// An execution that starts and ends, as a host hands it over.
fn life(key: ExecutionKey, id: &str) -> [Change; 2] {
    let Change::Operation { now_ms, operation, mut then } = create(key, id) else { unreachable!() };
    then.push(Change::Append { key, segment: 0, bytes: vec![0; 90], seal: None });
    let settlement = Settlement { id: id.to_owned(), state: PromiseState::Resolved, value: Value::default() };
    let changes = vec![
        Change::Append { key, segment: 1, bytes: vec![1; 90], seal: Some([7; 32]) },
        Change::Progress(key, Box::new(Progress { steps: 1, ..Progress::default() })),
        Change::operation(2, Operation::TaskFulfill { version: 1, settlement }),
    ];
    [Change::Operation { now_ms, operation, then }, Change::Fenced { id: id.to_owned(), version: 1, changes }]
}

#[test]
fn an_execution_that_ends_in_the_commit_in_which_it_starts_is_written_once() {
    let dir = scratch();
    let store = FileStore::open(dir.path()).unwrap();
    let changed = || store.writer.as_ref().unwrap().lock().unwrap().rows_changed();
    let log = || log::end(dir.path());
    let life = |number: u32| life(ExecutionKey(number), &format!("x{number:04}"));
    store.commit(&life(1)).unwrap();
    let (rows, length) = (changed(), log());
    for number in 2..=101 {
        store.commit(&life(number)).unwrap();
    }
    // Its promise, what is kept beside it, two segments and the seal.
    assert_eq!(changed() - rows, 5 * 100);
    // The table and the index of promises by id, that by state, the table of executions, that of segments; now and then a new page.
    let pages = (log() - length) / (4096 + 24);
    assert!(pages < 100 * 11 / 2, "{pages} pages");
    let ended = store.executions().unwrap();
    assert!(ended.len() == 101 && ended.iter().all(|one| one.state == State::Completed && one.progress.steps == 1));
    assert_eq!(store.sealed_journal(ExecutionKey(7)).unwrap().seal, Some(vec![7; 32]));
}

#[test]
fn threads_commit_and_read_at_the_same_time() {
    let dir = scratch();
    let store = FileStore::open(dir.path()).unwrap();
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (store, start) = (&store, &start);
            scope.spawn(move || {
                start.wait();
                for n in 0..50 {
                    let id = format!("t{thread}-{n}");
                    store.commit(&[create(store.fresh_key().unwrap(), &id)]).unwrap();
                    assert!(store.execution(&ExecutionId::new(id).unwrap()).unwrap().is_some());
                }
            });
        }
    });
    assert_eq!(store.executions().unwrap().len(), 200);
}

#[test]
fn bytes_that_cannot_be_read_are_refused_and_those_that_are_there_are_not_read() {
    let dir = scratch();
    let store = FileStore::open(dir.path()).unwrap();
    let gone = || Change::Blob(Digest::of(b"gone"), Blob::elsewhere(4, || Err(std::io::Error::other("it is gone"))));
    let error = store.commit(&[gone()]).unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    assert!(error.to_string().contains("it is gone"), "{error}");
    store.commit(&[Change::Blob(Digest::of(b"gone"), b"gone".to_vec().into())]).unwrap();
    store.commit(&[gone()]).unwrap();
    assert_eq!(store.blob(&Digest::of(b"gone")).unwrap().as_deref(), Some(&b"gone"[..]));
}

#[test]
fn a_journal_and_a_blob_of_64_mib_fit() {
    let dir = scratch();
    let store = FileStore::open(dir.path()).unwrap();
    let bytes = vec![3; 64 << 20];
    let key = ExecutionKey(1);
    let append = Change::Append { key, segment: 0, bytes: bytes.clone(), seal: None };
    store.commit(&[create(key, "a"), append, Change::Blob(Digest::of(&bytes), bytes.clone().into())]).unwrap();
    assert!(store.journal(key).unwrap().0 == bytes);
    assert!(store.blob(&Digest::of(&bytes)).unwrap() == Some(bytes.into()));
    store.commit(&[create(ExecutionKey(2), "b")]).unwrap();
    let log = dir.path().join("store.db-wal").metadata().unwrap().len();
    assert!(log <= 16 << 20, "the log was not cut back: {log} bytes");
}
