//! The log ahead of its end: what is there, and what a crash leaves of it.

use super::*;
use crate::file::log::FEW;
use crate::file::schema::{FULL_LOG, LOG};
use std::collections::BTreeSet;
use std::fs::{OpenOptions, copy, create_dir, read_dir};
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// Of a frame of the log.
const FRAME: u64 = 24 + 4096;

/// A new store whose log has grown by commits so often, beyond what its tables took, that the next one extends it.
fn grown() -> (TempDir, FileStore) {
    let dir = scratch();
    let store = FileStore::open(dir.path()).unwrap();
    store.commit(&[create(ExecutionKey(1), "a")]).unwrap();
    let mut number = 10_000;
    for _ in 0..=FEW {
        let before = length(dir.path());
        while length(dir.path()) == before {
            store.commit(&[create(ExecutionKey(number), &format!("grown{number}"))]).unwrap();
            number += 1;
        }
        assert_eq!(length(dir.path()), end(dir.path()));
    }
    (dir, store)
}

/// The same, after commits that have made room and used some of it; returns how many segments there are, too.
fn with_room() -> (TempDir, FileStore, u32) {
    let (dir, store) = grown();
    (0..4).for_each(|segment| _ = store.commit(&[append(segment)]).unwrap());
    assert!(length(dir.path()) > end(dir.path()) + FRAME);
    (dir, store, 4)
}

fn log(dir: &Path) -> PathBuf {
    dir.join(LOG)
}

/// The length of the log.
fn length(dir: &Path) -> u64 {
    log(dir).metadata().unwrap().len()
}

/// Where the last commit in it ends.
pub(super) fn end(dir: &Path) -> u64 {
    let connection = rusqlite::Connection::open(dir.join("store.db")).unwrap();
    let frames = connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get::<_, u32>(1)).unwrap();
    32 + u64::from(frames) * FRAME
}

/// A copy of a store, as a crash would leave it now.
fn copied(dir: &Path, to: &Path) {
    create_dir(to).unwrap();
    for file in read_dir(dir).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file()) {
        // The index is made anew, as after a loss of power.
        if !file.ends_with("store.db-shm") {
            copy(&file, to.join(file.file_name().unwrap())).unwrap();
        }
    }
}

/// Opens a store with so many segments, and goes on in it.
#[track_caller]
fn goes_on(dir: &Path, segments: u32) {
    let store = FileStore::open(dir).unwrap();
    let journal: Vec<u8> = (0..segments).flat_map(|segment| [segment as u8; 10]).collect();
    assert_eq!(store.journal(ExecutionKey(1)).unwrap(), (journal, segments));
    (segments..segments + 4).for_each(|segment| _ = store.commit(&[append(segment)]).unwrap());
    drop(store);
    assert_eq!(FileStore::open(dir).unwrap().journal(ExecutionKey(1)).unwrap().1, segments + 4);
}

#[test]
fn commits_overwrite_what_is_there_until_the_log_is_full() {
    let (dir, store) = grown();
    let mut lengths = BTreeSet::new();
    for number in 2..500 {
        store.commit(&[create(ExecutionKey(number), &format!("x{number:04}"))]).unwrap();
        lengths.insert(length(dir.path()));
    }
    // A commit that is longer than what is left, and an extension, about a dozen times.
    assert!(lengths.len() < 30, "{lengths:?}");
    let longest = lengths.last().copied().unwrap();
    assert!((FULL_LOG..FULL_LOG + 50 * FRAME).contains(&longest), "{longest}");
}

#[test]
fn a_log_that_cannot_be_extended_grows_with_its_commits() {
    let (dir, store) = grown();
    let connection = schema::open_for_writing(dir.path(), false).unwrap();
    let mut writer = Writer::new(connection, Log::over(File::open(log(dir.path()))), Dialect::default());
    for segment in 0..10 {
        writer.commit(&[append(segment)], &mut |_| ()).unwrap();
        assert_eq!(length(dir.path()), end(dir.path()));
    }
    drop((writer, store));
    goes_on(dir.path(), 10);
}

#[test]
fn a_kill_between_extension_and_commit_leaves_room_and_no_commit() {
    let (dir, store) = grown();
    let before = length(dir.path());
    let killed = scratch();
    let (from, to) = (dir.path().to_owned(), killed.path().join("whole"));
    let whole = to.clone();
    let copies = Blob::elsewhere(4, move || {
        copied(&from, &to);
        Ok("blob".into())
    });
    store.commit(&[append(0), Change::Blob(Digest::of(b"blob"), copies)]).unwrap();
    let extended = length(&whole);
    assert!(extended > before + FRAME, "{before}, {extended}");
    // Of an extension that was not synced, any part may be there.
    for (number, lost) in [1, 7, FRAME, extended - before].into_iter().enumerate() {
        let part = killed.path().join(number.to_string());
        copied(&whole, &part);
        OpenOptions::new().write(true).open(log(&part)).unwrap().set_len(extended - lost).unwrap();
        goes_on(&part, 0);
    }
    goes_on(&whole, 0);
}

#[test]
fn a_commit_that_is_torn_where_zeros_were_is_none() {
    let (dir, store, segments) = with_room();
    let start = end(dir.path());
    store.commit(&[append(segments)]).unwrap();
    let end = end(dir.path());
    let torn = scratch();
    let cuts = (start..end).step_by(512).chain([start + 8, start + 16, start + 24]);
    for (number, cut) in cuts.enumerate() {
        let part = torn.path().join(number.to_string());
        copied(dir.path(), &part);
        let file = OpenOptions::new().write(true).open(log(&part)).unwrap();
        file.write_all_at(&vec![0; (end - cut) as usize], cut).unwrap();
        goes_on(&part, segments);
    }
    goes_on(dir.path(), segments + 1);
}

#[test]
fn a_log_is_extended_only_where_no_other_host_writes_it() {
    let (dir, _store) = grown();
    let connection = schema::open_for_writing(dir.path(), false).unwrap();
    connection.busy_timeout(Duration::ZERO).unwrap();
    let mut writer = Writer::new(connection, Log::of(dir.path()), Dialect::default());
    (0..=FEW).for_each(|segment| _ = writer.commit(&[append(segment)], &mut |_| ()).unwrap());
    let before = length(dir.path());
    assert_eq!(before, end(dir.path()));
    let other = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    writer.commit(&[append(FEW + 1)], &mut |_| ()).unwrap_err();
    assert_eq!(length(dir.path()), before);
}

#[test]
fn hosts_that_share_a_store_extend_its_log_for_each_other() {
    let (dir, store) = grown();
    let before = store.executions().unwrap().len();
    drop(store);
    std::thread::scope(|scope| {
        for host in 0..3_u32 {
            let dir = dir.path();
            scope.spawn(move || {
                let store = FileStore::open(dir).unwrap();
                for number in 0..300 {
                    let key = ExecutionKey(2 + host * 300 + number);
                    store.commit(&[create(key, &format!("x{host}-{number}"))]).unwrap();
                }
            });
        }
    });
    let crashed = scratch();
    copied(dir.path(), &crashed.path().join("copy"));
    let store = FileStore::open(crashed.path().join("copy")).unwrap();
    assert_eq!(store.executions().unwrap().len(), before + 900);
}
