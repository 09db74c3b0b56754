//! The database file: its tables, its format version, and the settings that durability rests on.

use super::lock::{PAUSE, cannot_open};
use crate::Error;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row};
use rustix::fs::Access;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// The format of this build, in `PRAGMA user_version`. Any change of a table or of a column's meaning increments it.
pub(super) const FORMAT: u32 = 4;
/// Stores of this format and the next ones are converted when a host opens them.
const EARLIEST: u32 = 2;
/// "EVST" in `PRAGMA application_id` marks an Everstep store.
const APPLICATION: u32 = 0x4556_5354;
const FILE: &str = "store.db";
/// The log with the last commits, until it is copied into the database.
pub(super) const LOG: &str = "store.db-wal";

/// The log is copied into the tables after this many pages, and then overwritten from its start.
const CHECKPOINT_PAGES: u32 = 1000;
/// The length of a log with that many pages: its header, and a frame for each page with a header of its own.
pub(super) const FULL_LOG: u64 = 32 + CHECKPOINT_PAGES as u64 * (24 + PAGE_BYTES as u64);
const PAGE_BYTES: u32 = 4096;
/// How often copying the whole log is tried.
const TRIES: u32 = 10;
/// How often, in about a minute, a commit checks whether that of another host is over.
const WAITS: i32 = 60_000;
/// A log that has grown beyond this, for example by a large component, is cut back to it.
const LOG_LIMIT_BYTES: u64 = 16 << 20;

/// One row is a promise and, if it is `targeted`, its task; `key` refers to what is kept of an execution beside it. `targeted`, `asked` and
/// `branch` repeat those facts of its tags that the indexes need. 9223372036854775807 is `record::NEVER`: a row that is never due is in no
/// index. `segments.id` is `key << 32 | segment`, so that the segments of a journal are adjacent, in order, and an append touches one page.
/// A journal of more than one row ends with its seal, which the next segment overwrites; it is empty if the journal has none.
const TABLES: &str = "
    CREATE TABLE promises (
        id TEXT PRIMARY KEY NOT NULL, state TEXT NOT NULL, task TEXT, version INTEGER, resumes INTEGER,
        pid TEXT, ttl INTEGER, expires_at INTEGER, key INTEGER,
        timeout_at INTEGER NOT NULL, created_at INTEGER NOT NULL, settled_at INTEGER,
        targeted INTEGER NOT NULL, asked INTEGER NOT NULL, branch TEXT,
        tags TEXT NOT NULL, param_headers TEXT, param TEXT, value_headers TEXT, value TEXT
    ) STRICT;
    CREATE INDEX task_deadlines ON promises (timeout_at)
        WHERE state = 'pending' AND timeout_at < 9223372036854775807 AND targeted = 1;
    CREATE INDEX other_deadlines ON promises (timeout_at)
        WHERE state = 'pending' AND timeout_at < 9223372036854775807 AND targeted = 0;
    CREATE INDEX leases ON promises (expires_at) WHERE expires_at < 9223372036854775807;
    CREATE INDEX asked ON promises (created_at) WHERE state = 'pending' AND asked = 1;
    CREATE INDEX branches ON promises (branch, id) WHERE branch IS NOT NULL;
    CREATE TABLE callbacks (
        awaited TEXT NOT NULL, awaiter TEXT NOT NULL, ready INTEGER NOT NULL, PRIMARY KEY (awaited, awaiter)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX awaiters ON callbacks (awaiter);
    CREATE TABLE listeners (
        awaited TEXT NOT NULL, address TEXT NOT NULL, PRIMARY KEY (awaited, address)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE schedules (
        id TEXT PRIMARY KEY NOT NULL, next_run_at INTEGER NOT NULL, last_run_at INTEGER, created_at INTEGER NOT NULL,
        promise_timeout INTEGER NOT NULL, cron TEXT NOT NULL, promise_id TEXT NOT NULL, tags TEXT NOT NULL,
        param_headers TEXT, param TEXT
    ) STRICT;
    CREATE INDEX firings ON schedules (next_run_at) WHERE next_run_at < 9223372036854775807;
    CREATE TABLE executions (
        key INTEGER PRIMARY KEY, component BLOB NOT NULL, policy BLOB NOT NULL, seed BLOB NOT NULL,
        steps INTEGER NOT NULL, cpu_us INTEGER NOT NULL, updated_ms INTEGER NOT NULL, error TEXT
    ) STRICT;
    CREATE TABLE segments (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
    CREATE TABLE blobs (digest BLOB PRIMARY KEY NOT NULL, bytes BLOB NOT NULL) STRICT;
";

/// Tasks by state and age: used to find what is unfinished, offered or held, and every list of executions.
pub(super) const TASKS: &str = "tasks";
/// Indexes that were added to this format later; without them a store gives the same answers, but slower. `offers` and `held` were
/// parts of `tasks`.
const LATER_INDEXES: &str = "
    CREATE INDEX tasks ON promises (state, task, created_at, id) WHERE task IS NOT NULL;
    DROP INDEX IF EXISTS offers;
    DROP INDEX IF EXISTS held;
";

/// In format 2 journals have no seal; in format 3 it has the number 4294967295.
const SEALS_BEHIND_SEGMENTS: &str = "
    INSERT INTO segments (id, bytes) SELECT max(id) + 1, x'' FROM segments
        GROUP BY id >> 32 HAVING count(*) > 1 AND max(id & 4294967295) < 4294967295;
    UPDATE segments SET id = (SELECT max(s.id) + 1 FROM segments s WHERE s.id < segments.id)
        WHERE id & 4294967295 = 4294967295;
";

/// Opens the connection that commits; the caller holds the lock, perhaps alone.
///
/// A host that has it alone first copies the log of an earlier host into the tables and syncs them: after a failed sync the kernel may show
/// bytes that never reached the disk, and nothing new may be written after those.
pub(super) fn open_for_writing(dir: &Path, is_alone: bool) -> Result<Connection, Error> {
    create_file(&dir.join(FILE)).map_err(|error| cannot_open(dir, "", &error))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = connect(dir, &database(dir)?, flags)?;
    connection.busy_handler(Some(wait_for_others))?;
    if is_blank(&connection).map_err(|error| not_ours(dir, error))? {
        create_tables(&connection)?;
    }
    check_format(&connection, dir)?;
    if format(&connection)? != FORMAT {
        convert(&connection, dir, is_alone)?;
    }
    if !has_index(&connection, TASKS)? {
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {LATER_INDEXES} COMMIT;"))?;
    }
    configure_writer(&connection)?;
    check_durability(&connection, dir)?;
    if is_alone {
        take_over_log(&connection, dir)?;
    }
    Ok(connection)
}

/// Brings a store of an earlier format to this one.
fn convert(connection: &Connection, dir: &Path, is_alone: bool) -> Result<(), Error> {
    if !is_alone {
        let reason = "a host of an earlier build has it open, and its format has to be converted; stop that host first";
        return Err(refuse(dir, reason.to_owned()));
    }
    let converting = connection.unchecked_transaction()?;
    converting.execute_batch(&format!("{SEALS_BEHIND_SEGMENTS} PRAGMA user_version = {FORMAT};"))?;
    Ok(converting.commit()?)
}

/// Waits while another host commits: that takes a moment, unless the host was stopped in the middle. `tries` counts the
/// earlier calls.
fn wait_for_others(tries: i32) -> bool {
    sleep(Duration::from_micros(if tries < 20 { 50 } else { 1_000 }));
    tries < WAITS
}

/// Copies the whole log into the tables. A reader in the middle of a query keeps some of it back for a moment.
fn take_over_log(connection: &Connection, dir: &Path) -> Result<(), Error> {
    for _ in 0..TRIES {
        let counts = |row: &Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        let (frames, copied) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], counts)?;
        if frames == copied {
            return Ok(());
        }
        sleep(PAUSE);
    }
    Err(refuse(dir, "a program that reads it holds on to its log; try again once that has ended".to_owned()))
}

/// Opens a connection that only reads, and needs no lock.
pub(super) fn open_for_reading(dir: &Path) -> Result<Connection, Error> {
    check_readable(dir)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // A host never removes it, and SQLite may create an empty one.
    let has_log = has_content(dir, LOG);
    let mut connection = connect(dir, &database(dir)?, flags)?;
    let mut blank = is_blank(&connection);
    if blank
        .as_ref()
        .is_err_and(|error| matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)))
    {
        connection = connect(dir, &without_log(dir)?, flags)?;
        blank = is_blank(&connection);
    }
    if blank.map_err(|error| not_ours(dir, error))? {
        return Err(refuse(dir, nothing_in(dir)));
    }
    if !has_log {
        let dir = dir.display();
        tracing::warn!(%dir, "the store has no log, {LOG}: if it was not copied along, what was written last is missing");
    }
    check_format(&connection, dir)?;
    Ok(connection)
}

/// Reports why there is nothing to read, in the system's words.
fn check_readable(dir: &Path) -> Result<(), Error> {
    let path = dir.join(FILE);
    match std::fs::metadata(&path) {
        Ok(found) if found.is_file() => check_access(dir, FILE),
        Ok(_) => Err(refuse(dir, format!("its {FILE} was not written by everstep"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(refuse(dir, "there is no store in it".to_owned())),
        Err(error) => Err(cannot_open(dir, "", &error)),
    }
}

/// Checks access without opening the file: closing a database file releases all of this process's SQLite locks on it.
fn check_access(dir: &Path, file: &str) -> Result<(), Error> {
    let access = rustix::fs::access(dir.join(file), Access::READ_OK);
    access.map_err(|error| cannot_open(dir, &format!("its {file}: "), &error.into()))
}

/// The error text for a folder whose database is blank.
fn nothing_in(dir: &Path) -> String {
    if !has_content(dir, FILE) {
        return "there is no store in it".to_owned();
    }
    format!("nothing is in it: it is new, or its log, {LOG}, was not copied along; a store is copied as a whole folder")
}

fn has_content(dir: &Path, file: &str) -> bool {
    std::fs::metadata(dir.join(file)).is_ok_and(|found| found.len() > 0)
}

/// The name by which SQLite reads the tables alone: the log needs an index beside it, which cannot be created in this
/// folder.
///
/// # Errors
/// There is a log.
fn without_log(dir: &Path) -> Result<PathBuf, Error> {
    if has_content(dir, LOG) {
        check_access(dir, LOG)?;
        return Err(refuse(
            dir,
            format!(
                "to read its log, {LOG}, SQLite writes an index beside it, and the folder cannot be written; \
                 copy the whole folder to where you may write, and read it there"
            ),
        ));
    }
    let mut uri = b"file:".to_vec();
    for byte in database(dir)?.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(*byte),
            byte if byte.is_ascii_alphanumeric() => uri.push(*byte),
            byte => uri.extend(format!("%{byte:02X}").bytes()),
        }
    }
    // It cannot change meanwhile: a running host has a log.
    uri.extend(b"?immutable=1");
    Ok(OsString::from_vec(uri).into())
}

/// SQLite is built to read a name that begins with `file:` as a URI, whatever the flags are; an absolute path never does.
fn database(dir: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(dir.join(FILE)).map_err(|error| cannot_open(dir, "", &error))
}

fn connect(dir: &Path, database: &Path, flags: OpenFlags) -> Result<Connection, Error> {
    let connection = Connection::open_with_flags(database, flags).map_err(|error| refuse(dir, error.to_string()))?;
    connection.set_prepared_statement_cache_capacity(64);
    // Closing leaves the log in place: the next host overwrites it, and a sync is cheaper when the file does not grow.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Otherwise some statements are compiled again for every new parameter, in case a partial index fits it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// Whether nothing has been created in the database yet, or a crash came before that was durable.
fn is_blank(connection: &Connection) -> rusqlite::Result<bool> {
    let objects: u32 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(objects == 0 && pragma(connection, "application_id")? == 0)
}

/// Whether there is an index of that name.
pub(super) fn has_index(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = ?1)";
    connection.query_row(sql, [name], |row| row.get(0))
}

fn create_tables(connection: &Connection) -> Result<(), Error> {
    let marks = format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT};");
    connection.execute_batch(&format!(
        "PRAGMA page_size = {PAGE_BYTES}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
    ))?;
    connection.execute_batch(&format!("BEGIN IMMEDIATE; {marks} {TABLES} {LATER_INDEXES} COMMIT;"))?;
    Ok(())
}

fn check_format(connection: &Connection, dir: &Path) -> Result<(), Error> {
    if pragma(connection, "application_id")? != APPLICATION {
        return Err(refuse(dir, format!("its {FILE} was not written by everstep")));
    }
    let found = format(connection)?;
    if !(EARLIEST..=FORMAT).contains(&found) {
        return Err(Error::Version { dir: dir.to_owned(), expected: FORMAT, found });
    }
    Ok(())
}

fn configure_writer(connection: &Connection) -> Result<(), Error> {
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
         PRAGMA journal_size_limit = {LOG_LIMIT_BYTES}; PRAGMA cache_size = -8000; PRAGMA temp_store = MEMORY;"
    ))?;
    Ok(())
}

/// Checks both settings by reading them back: SQLite ignores a setting that it cannot apply, such as a log on some
/// network file systems.
fn check_durability(connection: &Connection, dir: &Path) -> Result<(), Error> {
    let (journal_mode, synchronous) = durability(connection)?;
    if journal_mode != "wal" || synchronous != 2 {
        let found = format!("journal_mode = {journal_mode} and synchronous = {synchronous}");
        return Err(refuse(dir, format!("SQLite cannot make commits durable there: it runs with {found}")));
    }
    Ok(())
}

/// The journal mode (`wal`) and the sync level (2 is FULL) that are in force.
pub(super) fn durability(connection: &Connection) -> rusqlite::Result<(String, u32)> {
    let journal_mode = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    Ok((journal_mode, pragma(connection, "synchronous")?))
}

/// The format of a store.
pub(super) fn format(connection: &Connection) -> rusqlite::Result<u32> {
    pragma(connection, "user_version")
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

/// Creates the empty database, inaccessible to other users; SQLite gives its other files the same mode.
fn create_file(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn refuse(dir: &Path, reason: String) -> Error {
    Error::Open { dir: dir.to_owned(), reason }
}

fn not_ours(dir: &Path, error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => refuse(dir, format!("its {FILE} was not written by everstep")),
        _ => error.into(),
    }
}
