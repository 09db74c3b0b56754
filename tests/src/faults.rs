//! A disk that fails on demand: a SQLite VFS between a file store and the "unix" VFS.
//!
//! [`install`] makes it the default of this process, [`arm`] chooses which write, sync or truncation fails and how,
//! [`disarm`] heals the disk and says how many there were. One disk per process: tests that use it run in processes of
//! their own (`cargo nextest` does that) or one after the other under [`exclusive`].
//!
//! Locks, shared memory and reads go straight through; files are created and deleted as usual, so a lost directory
//! entry is not simulated.
#![allow(unsafe_code, reason = "a SQLite VFS is a table of C functions")]

use rusqlite::ffi::{self, sqlite3_file, sqlite3_io_methods, sqlite3_vfs};
use std::collections::BTreeMap;
use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::{Mutex, MutexGuard, Once};

/// Which operation fails, and how.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The number of the operation, counted from 1.
    pub at: u32,
    /// How it fails.
    pub kind: Kind,
}

/// The ways in which a disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The operation fails and does nothing.
    Error,
    /// Half of the bytes land, then the write fails.
    ShortWrite,
    /// Half of the bytes land, and from then on every operation fails, as if the process had died.
    TornTail,
    /// Everything that was not synced is gone, and every operation fails, as if the machine had lost power.
    PowerLoss,
    /// From then on every write fails for lack of space.
    Full,
}

/// What a disk did while it was armed.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// How many writes, syncs and truncations there were. The fault struck if there were as many as its number.
    pub operations: u32,
    /// Which of them were syncs.
    pub syncs: Vec<u32>,
}

#[derive(Default)]
struct Disk {
    fault: Option<Fault>,
    seen: Seen,
    /// What unsynced operations overwrote, oldest first.
    unsynced: Vec<Overwritten>,
    /// The sizes of open files when they were last synced: a store extends its log beside SQLite, too. Readers sync nothing.
    synced: BTreeMap<usize, i64>,
}

struct Overwritten {
    file: usize,
    offset: i64,
    bytes: Vec<u8>,
    size: i64,
}

static DISK: Mutex<Disk> = Mutex::new(Disk {
    fault: None,
    seen: Seen { operations: 0, syncs: Vec::new() },
    unsynced: Vec::new(),
    synced: BTreeMap::new(),
});

/// Puts the VFS under every connection that this process opens from now on; a second call changes nothing.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: SQLite's own "unix" VFS is always there on Unix and lives as long as the process, and so do the copy
        // and its name. The copy differs in the name, the file size and the two functions that are replaced here; the
        // others of "unix" do not look at the VFS that is passed to them.
        let code = unsafe {
            let unix = ffi::sqlite3_vfs_find(c"unix".as_ptr());
            assert!(!unix.is_null(), "SQLite has no unix VFS");
            let mut vfs = Box::new(*unix);
            vfs.zName = c"everstep-faults".as_ptr();
            vfs.pAppData = unix.cast();
            vfs.pNext = ptr::null_mut();
            vfs.szOsFile += size_of::<File>() as c_int;
            vfs.xOpen = Some(open);
            vfs.xDelete = Some(delete);
            ffi::sqlite3_vfs_register(Box::into_raw(vfs), 1)
        };
        assert_eq!(code, ffi::SQLITE_OK, "cannot register the VFS");
    });
}

/// Starts counting operations, and fails the chosen one.
pub fn arm(fault: Fault) {
    *disk() = Disk { fault: Some(fault), ..Disk::default() };
}

/// Heals the disk; returns what it did since `arm`.
pub fn disarm() -> Seen {
    std::mem::take(&mut *disk()).seen
}

/// The disk for one test at a time, when a runner keeps several in one process.
pub fn exclusive() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn disk() -> MutexGuard<'static, Disk> {
    DISK.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// What is left of an operation.
enum Verdict {
    /// It happens.
    Goes,
    /// The first half of it happens, then it fails.
    Half,
    /// It fails.
    Fails,
    /// It fails because there is no space.
    NoSpace,
}

impl Disk {
    /// Counts one operation and decides on it.
    fn judge(&mut self) -> Verdict {
        let Some(Fault { at, kind }) = self.fault else {
            return Verdict::Goes;
        };
        self.seen.operations += 1;
        if self.seen.operations < at {
            return Verdict::Goes;
        }
        let strikes = self.seen.operations == at;
        match kind {
            Kind::Error if strikes => Verdict::Fails,
            Kind::ShortWrite | Kind::TornTail if strikes => Verdict::Half,
            Kind::PowerLoss if strikes => {
                self.lose_power();
                Verdict::Fails
            }
            Kind::Error | Kind::ShortWrite => Verdict::Goes,
            Kind::TornTail | Kind::PowerLoss => Verdict::Fails,
            Kind::Full => Verdict::NoSpace,
        }
    }

    fn remembers(&self) -> bool {
        self.fault.is_some_and(|fault| fault.kind == Kind::PowerLoss)
    }

    fn lose_power(&mut self) {
        for lost in self.unsynced.drain(..).rev() {
            let file = lost.file as *mut sqlite3_file;
            let amount = lost.bytes.len() as c_int;
            // SAFETY: entries are forgotten when their file is closed, so the file is open.
            unsafe {
                through_write(file, lost.bytes.as_ptr().cast(), amount, lost.offset);
                through_truncate(file, lost.size);
            }
        }
        for (file, synced) in &self.synced {
            let file = *file as *mut sqlite3_file;
            // SAFETY: entries are forgotten when their file is closed, so the file is open.
            unsafe {
                if size(file) > *synced {
                    through_truncate(file, *synced);
                }
            }
        }
    }

    /// Forgets what `file` overwrote: it is synced, or closed.
    fn forget(&mut self, file: *mut sqlite3_file) {
        self.unsynced.retain(|entry| entry.file != file as usize);
        self.synced.remove(&(file as usize));
    }

    /// Notes that all of `file` is durable.
    ///
    /// # Safety
    /// `file` was opened by `open`.
    unsafe fn settle(&mut self, file: *mut sqlite3_file) {
        self.forget(file);
        if self.remembers() {
            // SAFETY: as the caller promises.
            self.synced.insert(file as usize, unsafe { size(file) });
        }
    }

    /// Remembers `amount` bytes at `offset` before an operation replaces them.
    ///
    /// # Safety
    /// `file` was opened by `open`.
    unsafe fn remember(&mut self, file: *mut sqlite3_file, offset: i64, amount: usize) {
        if !self.remembers() {
            return;
        }
        // SAFETY: as the caller promises.
        let size = unsafe { size(file) };
        let held = usize::try_from(size - offset).unwrap_or(0).min(amount);
        let mut bytes = vec![0; held];
        if held > 0 {
            // SAFETY: as the caller promises, and `bytes` has room for what is read.
            unsafe { through_read(file, bytes.as_mut_ptr().cast(), held as c_int, offset) };
        }
        self.unsynced.push(Overwritten { file: file as usize, offset, bytes, size });
    }
}

/// An open file: SQLite sees `base`; the file of the "unix" VFS lies right behind this struct.
#[repr(C)]
struct File {
    base: sqlite3_file,
    _align: u64,
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 3,
    xClose: Some(close),
    xRead: Some(through_read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(through_size),
    xLock: Some(through_lock),
    xUnlock: Some(through_unlock),
    xCheckReservedLock: Some(through_reserved),
    xFileControl: Some(through_control),
    xSectorSize: Some(through_sector),
    xDeviceCharacteristics: Some(through_device),
    xShmMap: Some(through_shm_map),
    xShmLock: Some(through_shm_lock),
    xShmBarrier: Some(through_shm_barrier),
    xShmUnmap: Some(through_shm_unmap),
    xFetch: Some(through_fetch),
    xUnfetch: Some(through_unfetch),
};

/// Functions that hand the call to the file of the "unix" VFS.
macro_rules! through {
    ($($name:ident = $method:ident($($arg:ident: $type:ty),*) $(-> $ret:ty)?;)*) => {$(
        unsafe extern "C" fn $name(file: *mut sqlite3_file, $($arg: $type),*) $(-> $ret)? {
            // SAFETY: SQLite calls methods only of files that `open` opened, so the inner file is open as well, and all
            // methods of the unix VFS's files are there.
            unsafe {
                let inner = inner(file);
                match (*(*inner).pMethods).$method {
                    Some(method) => method(inner, $($arg),*),
                    None => std::process::abort(),
                }
            }
        }
    )*};
}

through! {
    through_close = xClose() -> c_int;
    through_read = xRead(buffer: *mut c_void, amount: c_int, offset: i64) -> c_int;
    through_write = xWrite(buffer: *const c_void, amount: c_int, offset: i64) -> c_int;
    through_truncate = xTruncate(size: i64) -> c_int;
    through_sync = xSync(flags: c_int) -> c_int;
    through_size = xFileSize(size: *mut i64) -> c_int;
    through_lock = xLock(level: c_int) -> c_int;
    through_unlock = xUnlock(level: c_int) -> c_int;
    through_reserved = xCheckReservedLock(held: *mut c_int) -> c_int;
    through_control = xFileControl(operation: c_int, argument: *mut c_void) -> c_int;
    through_sector = xSectorSize() -> c_int;
    through_device = xDeviceCharacteristics() -> c_int;
    through_shm_map = xShmMap(page: c_int, size: c_int, extend: c_int, at: *mut *mut c_void) -> c_int;
    through_shm_lock = xShmLock(offset: c_int, count: c_int, flags: c_int) -> c_int;
    through_shm_barrier = xShmBarrier();
    through_shm_unmap = xShmUnmap(delete: c_int) -> c_int;
    through_fetch = xFetch(offset: i64, amount: c_int, at: *mut *mut c_void) -> c_int;
    through_unfetch = xUnfetch(offset: i64, at: *mut c_void) -> c_int;
}

unsafe fn size(file: *mut sqlite3_file) -> i64 {
    let mut size = 0;
    // SAFETY: the caller passes an open file.
    unsafe { through_size(file, &raw mut size) };
    size
}

unsafe fn inner(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: `szOsFile` makes SQLite allocate both, one behind the other.
    unsafe { file.cast::<File>().add(1).cast() }
}

unsafe fn unix(vfs: *mut sqlite3_vfs) -> *mut sqlite3_vfs {
    // SAFETY: `install` put it there.
    unsafe { (*vfs).pAppData.cast() }
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: the arguments are SQLite's, passed on; the file gets methods only when the inner one is open.
    unsafe {
        let unix = unix(vfs);
        let code = match (*unix).xOpen {
            Some(open) => open(unix, name, inner(file), flags, out_flags),
            None => ffi::SQLITE_CANTOPEN,
        };
        (*file).pMethods = if code == ffi::SQLITE_OK { &raw const METHODS } else { ptr::null() };
        code
    }
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync_dir: c_int) -> c_int {
    let gone = {
        let disk = disk();
        disk.fault.is_some_and(|fault| {
            disk.seen.operations >= fault.at && matches!(fault.kind, Kind::TornTail | Kind::PowerLoss)
        })
    };
    // SAFETY: the arguments are SQLite's, passed on.
    unsafe {
        match (*unix(vfs)).xDelete {
            Some(delete) if !gone => delete(unix(vfs), name, sync_dir),
            _ => ffi::SQLITE_IOERR_DELETE,
        }
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    disk().forget(file);
    // SAFETY: the argument is SQLite's, passed on.
    unsafe { through_close(file) }
}

unsafe extern "C" fn write(file: *mut sqlite3_file, buffer: *const c_void, amount: c_int, offset: i64) -> c_int {
    let mut disk = disk();
    // SAFETY: the arguments are SQLite's, passed on whole or with a smaller amount.
    unsafe {
        match disk.judge() {
            Verdict::Goes => {
                disk.remember(file, offset, amount as usize);
                through_write(file, buffer, amount, offset)
            }
            Verdict::Half => {
                through_write(file, buffer, amount / 2, offset);
                ffi::SQLITE_IOERR_WRITE
            }
            Verdict::Fails => ffi::SQLITE_IOERR_WRITE,
            Verdict::NoSpace => ffi::SQLITE_FULL,
        }
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: i64) -> c_int {
    let mut disk = disk();
    // SAFETY: the arguments are SQLite's, passed on.
    unsafe {
        match disk.judge() {
            Verdict::Goes | Verdict::NoSpace => {
                disk.remember(file, size, usize::MAX);
                through_truncate(file, size)
            }
            Verdict::Half | Verdict::Fails => ffi::SQLITE_IOERR_TRUNCATE,
        }
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    let mut disk = disk();
    let verdict = disk.judge();
    let number = disk.seen.operations;
    disk.seen.syncs.push(number);
    match verdict {
        Verdict::Goes | Verdict::NoSpace => {
            // SAFETY: the arguments are SQLite's, passed on.
            unsafe {
                disk.settle(file);
                through_sync(file, flags)
            }
        }
        Verdict::Half | Verdict::Fails => ffi::SQLITE_IOERR_FSYNC,
    }
}
