//! A store in a folder: one SQLite database, and a lock that its hosts share.
//!
//! Reading order: `mod.rs` (opening, and which connection serves what), `lock.rs`, `keys.rs` and `peers.rs` (several hosts), `schema.rs` (the
//! tables, the format version and the settings that durability rests on), `log.rs` (its file), `write.rs` (one commit), `tables.rs` (the machine of
//! promises on SQLite), `executions.rs` (what is kept beside promises), `read.rs` (what is read beside the commits), `rows.rs` (from rows to
//! records), `secret.rs` (the key of its journals).
//!
//! Several hosts share a folder: SQLite lets one of them commit at a time, every change is fenced, and they tell each other what they
//! did. A host has two connections: one for commits, one for reads; the write-ahead log keeps either from waiting for the other. A
//! process that only reads has the second one alone and no lock.

mod executions;
mod keys;
mod lock;
mod log;
mod peers;
mod read;
mod rows;
mod schema;
mod secret;
mod tables;
#[cfg(test)]
mod tests;
mod write;

use super::operation::Dialect;
use super::peers::Peers;
use super::record::{Promise, Schedule, Task};
use super::{
    Applied, Backend, Change, Error, Execution, ExecutionKey, JournalPlace, Lineage, Part, PendingPromise, Query,
    SealedJournal, State,
};
use bytes::Bytes;
use everstep_words::id::{Digest, ExecutionId};
use keys::Keys;
use lock::Lock;
use log::Log;
use peers::FilePeers;
use read::Reader;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use write::Writer;

/// A store in a folder; what was committed survives a crash of the process or the machine.
#[derive(Debug)]
pub struct FileStore {
    dir: PathBuf,
    dialect: Dialect,
    /// `None` in a store that is open for reading only.
    keys: Option<Mutex<Keys>>,
    /// The secret that binds journals to this store.
    secret: Option<[u8; 32]>,
    reader: Mutex<Reader>,
    /// `None` in a store that is open for reading only.
    writer: Option<Mutex<Writer>>,
    /// `None` in a store that is open for reading only.
    peers: Option<FilePeers>,
    /// Released last, when no connection is open any more.
    _lock: Option<Lock>,
}

impl FileStore {
    /// The format of the stores that this build reads and writes.
    pub const FORMAT: u32 = schema::FORMAT;

    /// Opens the store in `dir` for a host; creates the folder and the store if they are missing. Other hosts, of this process or
    /// another one, may have it open, too.
    ///
    /// Fails with `Error::InUse` while a host of a build that cannot share a store has it open.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with_dialect(dir, Dialect::default())
    }

    /// Opens the store in `dir` for a host, as [`open`](Self::open) does; its operations follow a dialect of the protocol.
    pub fn open_with_dialect(dir: impl AsRef<Path>, dialect: Dialect) -> Result<Self, Error> {
        let dir = dir.as_ref();
        lock::create_dir(dir)?;
        let lock = Lock::take(dir)?;
        let writer = Writer::new(schema::open_for_writing(dir, lock.is_alone)?, Log::of(dir), dialect);
        let reader = Reader::new(schema::open_for_reading(dir)?)?;
        let secret = Some(secret::of(dir)?);
        if lock.is_alone {
            lock.share(dir)?;
        }
        let (peers, dir) = (Some(FilePeers::new(dir)), dir.to_owned());
        let keys = Some(Mutex::new(Keys::of(&dir)?));
        let (reader, writer) = (Mutex::new(reader), Some(Mutex::new(writer)));
        Ok(Self { dir, dialect, keys, secret, reader, writer, peers, _lock: Some(lock) })
    }

    /// Opens the store in `dir` for reading, also while a host has it; creates nothing, and every commit fails.
    pub fn read(dir: impl AsRef<Path>) -> Result<Self, Error> {
        let dir = dir.as_ref();
        let reader = Reader::new(schema::open_for_reading(dir)?)?;
        let (dir, dialect, reader) = (dir.to_owned(), Dialect::default(), Mutex::new(reader));
        let secret = secret::found(&dir);
        Ok(Self { dir, dialect, keys: None, secret, reader, writer: None, peers: None, _lock: None })
    }

    /// Locks the reader. A panic cannot leave it half changed.
    fn reader(&self) -> MutexGuard<'_, Reader> {
        self.reader.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Backend for FileStore {
    fn commit(&self, changes: &[Change]) -> Result<Vec<Applied>, Error> {
        self.commit_foretold(changes, &mut |_| {})
    }

    fn commit_foretold(&self, changes: &[Change], foretell: &mut dyn FnMut(&[Applied])) -> Result<Vec<Applied>, Error> {
        let Some(writer) = &self.writer else {
            return Err(Error::ReadOnly { dir: self.dir.clone() });
        };
        let mut writer = writer.lock().map_err(|_| Error::Poisoned("a panic in the middle of a commit".to_owned()))?;
        writer.commit(changes, foretell)
    }

    fn fresh_key(&self) -> Result<ExecutionKey, Error> {
        let keys = self.keys.as_ref().ok_or_else(|| Error::ReadOnly { dir: self.dir.clone() })?;
        keys.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next(|| self.reader().last_key())
    }

    fn peers(&self) -> Option<&dyn Peers> {
        self.peers.as_ref().map(|peers| peers as &dyn Peers)
    }

    fn execution(&self, id: &ExecutionId) -> Result<Option<Execution>, Error> {
        self.reader().execution(id)
    }

    fn executions(&self) -> Result<Vec<Execution>, Error> {
        self.reader().executions()
    }

    /// On a connection of its own, since it reads one entry for each task: nobody waits for it.
    fn census(&self) -> Result<Vec<(State, u64)>, Error> {
        Reader::new(schema::open_for_reading(&self.dir)?)?.census()
    }

    fn size(&self) -> Option<u64> {
        let files = std::fs::read_dir(&self.dir).ok()?.filter_map(|entry| entry.ok()?.metadata().ok());
        Some(files.filter(std::fs::Metadata::is_file).map(|file| file.len()).sum())
    }

    fn list(&self, query: &Query, limit: usize) -> Result<Part, Error> {
        self.reader().list(query, limit)
    }

    fn halted_below(&self, id: &ExecutionId) -> Result<Vec<Execution>, Error> {
        self.reader().halted_below(id)
    }

    fn journal(&self, key: ExecutionKey) -> Result<(Vec<u8>, u32), Error> {
        self.reader().journal(key)
    }

    fn sealed_journal(&self, key: ExecutionKey) -> Result<SealedJournal, Error> {
        self.reader().sealed_journal(key)
    }

    fn secret(&self) -> Option<[u8; 32]> {
        self.secret
    }

    fn journal_part(&self, key: ExecutionKey, at: JournalPlace) -> Result<(Vec<u8>, JournalPlace), Error> {
        self.reader().journal_part(key, at)
    }

    fn promise(&self, id: &str) -> Result<Option<(Promise, Option<Task>)>, Error> {
        Ok(self.reader().promise(id)?.map(|row| (row.promise, row.task)))
    }

    fn holds(&self, id: &str, version: u64) -> Result<bool, Error> {
        self.reader().holds(id, version)
    }

    fn promises(&self) -> Result<Vec<PendingPromise>, Error> {
        self.reader().promises()
    }

    fn lineage(&self, root: &ExecutionId) -> Result<Lineage, Error> {
        self.reader().lineage(root)
    }

    fn held(&self) -> Result<Vec<(String, u64)>, Error> {
        self.reader().held()
    }

    fn offers(&self) -> Result<Vec<String>, Error> {
        self.reader().offers()
    }

    fn offers_within(&self, id: &ExecutionId) -> Result<Vec<String>, Error> {
        self.reader().offers_within(id)
    }

    fn schedules(&self) -> Result<Vec<Schedule>, Error> {
        self.reader().schedules()
    }

    fn next_due(&self) -> Result<Option<u64>, Error> {
        self.reader().next_due(self.dialect.fires_all())
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Bytes>, Error> {
        self.reader().blob(digest)
    }

    fn has_blob(&self, digest: &Digest) -> Result<bool, Error> {
        self.reader().has_blob(digest)
    }

    fn survives_the_process(&self) -> bool {
        true
    }
}
