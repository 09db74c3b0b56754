//! What only a store in a folder has: a lock, readers beside the host, a format, settings, and damage.

use super::*;
use crate::store::{Progress, State};
use std::os::unix::fs::PermissionsExt;
use std::sync::Barrier;
use tempfile::TempDir;

fn scratch() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn create(key: ExecutionKey, id: &str) -> Change {
    let progress =
        Progress { state: State::Running, result: None, error: None, attempts: 1, steps: 0, cpu_us: 0, updated_ms: 1 };
    Change::Create(Box::new(Execution {
        key,
        id: ExecutionId::new(id).unwrap(),
        component: Digest::of(b"component"),
        policy: Digest::of(b"policy"),
        function: "count".to_owned(),
        args: "[]".to_owned(),
        seed: [1; 32],
        created_ms: 1,
        progress,
    }))
}

fn append(segment: u32) -> Change {
    Change::Append { key: ExecutionKey(1), segment, bytes: vec![segment as u8; 10] }
}

/// A store with one execution of three segments, a promise and a blob, closed.
fn closed_store() -> TempDir {
    let dir = scratch();
    let promise = PendingPromise {
        id: ExecutionId::new("a").unwrap().promise(1),
        kind: "input".to_owned(),
        subject: String::new(),
        data: None,
        created_ms: 1,
        deadline_ms: None,
    };
    let changes = [
        create(ExecutionKey(1), "a"),
        append(0),
        append(1),
        append(2),
        Change::Promise(ExecutionKey(1), Box::new(promise)),
        Change::Blob(Digest::of(b"bytes"), b"bytes".to_vec()),
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
fn a_second_host_is_told_who_has_the_store() {
    let dir = scratch();
    let first = FileStore::open(dir.path()).unwrap();
    let second = FileStore::open(dir.path());
    assert!(matches!(&second, Err(Error::InUse { pid, .. }) if *pid == Some(std::process::id())), "{second:?}");
    drop(first);
    FileStore::open(dir.path()).unwrap();
}

#[test]
fn commits_are_synced_through_a_log() {
    let dir = scratch();
    FileStore::open(dir.path()).unwrap();
    let writer = schema::open_for_writing(dir.path()).unwrap();
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
    tamper(&dir, "PRAGMA user_version = 9");
    for outcome in [FileStore::open(dir.path()), FileStore::read(dir.path())] {
        assert!(matches!(outcome, Err(Error::Version { expected: 1, found: 9, .. })), "{outcome:?}");
    }
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
    for column in ["id = 'a b'", "state = 'asleep'", "error = '{'", "seed = x'00'", "attempts = -1", "key = -5"] {
        let dir = closed_store();
        tamper(&dir, &format!("UPDATE executions SET {column}"));
        is_corrupted(FileStore::open(dir.path()).and_then(|store| store.executions()));
    }
}

#[test]
fn a_promise_without_its_execution_is_damage() {
    let dir = closed_store();
    tamper(&dir, "DELETE FROM executions");
    is_corrupted(FileStore::open(dir.path()).unwrap().promises());
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
                    store.commit(&[create(store.fresh_key(), &id)]).unwrap();
                    assert!(store.execution(&ExecutionId::new(id).unwrap()).unwrap().is_some());
                }
            });
        }
    });
    assert_eq!(store.executions().unwrap().len(), 200);
}

#[test]
fn a_journal_and_a_blob_of_64_mib_fit() {
    let dir = scratch();
    let store = FileStore::open(dir.path()).unwrap();
    let bytes = vec![3; 64 << 20];
    let key = ExecutionKey(1);
    let append = Change::Append { key, segment: 0, bytes: bytes.clone() };
    store.commit(&[create(key, "a"), append, Change::Blob(Digest::of(&bytes), bytes.clone())]).unwrap();
    assert!(store.journal(key).unwrap().0 == bytes);
    assert!(store.blob(&Digest::of(&bytes)).unwrap() == Some(bytes));
    store.commit(&[create(ExecutionKey(2), "b")]).unwrap();
    let log = dir.path().join("store.db-wal").metadata().unwrap().len();
    assert!(log <= 16 << 20, "the log was not cut back: {log} bytes");
}
