//! Precompiled components on disk, authenticated: a folder that only its owner can write, and a MAC on every file.
//!
//! A precompiled component is machine code, and the engine trusts it. So a file is used only if its MAC, made with a key that never
//! leaves this folder, is valid for exactly the requested name; otherwise the component is compiled anew. The MAC is in a file beside
//! it, so that the code can be mapped without copying. A file never changes once it has its name.
//!
//! Facts that take long to find out are noted there, too, for files that have not changed since, each with a MAC of its own: the digest
//! of a component file, that code is authentic, the functions of a component, the digests of the files of an image, and what a component
//! has made of a file.

use super::Error;
use super::known::Kind;
use crate::id::Digest;
use std::fs::{self, File, Metadata, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tracing::warn;
use wasmtime::Engine;
use wasmtime::component::Component;

/// A cache folder that was found to be safe.
pub(crate) struct Cache {
    dir: PathBuf,
    key: [u8; KEY],
    /// How many notes of what was made of files were written.
    prepared: AtomicU64,
}

/// To be raised when the requirements on a component before compilation change: cached code is not checked again.
const MAGIC: &[u8; 8] = b"EVSTPC03";
const KEY: usize = 32;
const MAC: usize = blake3::OUT_LEN;
const KEY_FILE: &str = "key";
/// The extension of the file that holds code.
pub(super) const CODE_FILE: &str = "cwasm";
/// The extension of the file that holds the MAC.
const MAC_FILE: &str = "mac";
/// What goes with the code of a component.
pub(super) const BESIDE_CODE: &[&str] = &[MAC_FILE, AUTHENTIC_NOTE, FUNCTIONS_NOTE];
/// The extension of a note with the digest of a file.
const DIGEST_NOTE: &str = "digest";
/// The extension of a note that code is authentic.
const AUTHENTIC_NOTE: &str = "authentic";
/// The extension of a note of the functions of a component.
const FUNCTIONS_NOTE: &str = "functions";
/// The extension of a note that a component is the known runtime.
const KNOWN_NOTE: &str = "known";
/// The extension of a note of the files of an image.
const IMAGE_NOTE: &str = "image";
/// The extension of a note of what a component has made of a file.
pub(super) const PREPARED_NOTE: &str = "prepared";
/// The longest note, in bytes, the longest of an image, and the longest of what was made of a file.
const MAX_NOTE: usize = 64 << 10;
const MAX_IMAGE: usize = 64 << 20;
const MAX_PREPARED: usize = 16 << 20;
/// A file that was changed less than this before it was read may change again without a new time: file systems have coarse clocks.
pub(crate) const SETTLED: Duration = Duration::from_secs(2);
/// The most bytes of all code in the folder, and of all that was made of files.
const MAX_FOLDER: u64 = 2 << 30;
const MAX_ALL_PREPARED: u64 = 256 << 20;
/// Each so many notes of what was made of files, room is made for them.
const ROOM_EACH: u64 = 256;
/// What a small file takes on a disk, in bytes.
const BLOCK: u64 = 4 << 10;
/// Larger than any code of a component that may be compiled, in bytes.
const MAX_FILE: u64 = 1 << 30;

impl Cache {
    /// Opens the folder, creating it and its key if needed. A folder that cannot be trusted is reported and left
    /// alone.
    pub(crate) fn open(dir: &Path) -> Option<Self> {
        match secure_folder(dir).and_then(|()| secure_key(dir)) {
            Ok(key) => Some(Self { dir: dir.to_owned(), key, prepared: AtomicU64::new(0) }),
            Err(error) => {
                warn!(dir = %dir.display(), %error, "components are compiled anew each time: the cache folder is not usable");
                None
            }
        }
    }

    /// The code of a component, if it is there.
    pub(super) fn find(&self, engine: &Engine, digest: Digest, now: SystemTime) -> Option<Component> {
        let name = cache_key(engine, digest);
        self.read(engine, &self.code_file(&name), &name, now)
    }

    /// Keeps the code of a component.
    pub(super) fn keep(&self, engine: &Engine, digest: Digest, artefact: &[u8]) {
        let name = cache_key(engine, digest);
        if let Err(error) = self.write(&self.code_file(&name), &name, artefact) {
            warn!(%digest, %error, "the compiled component could not be cached");
        }
    }

    fn code_file(&self, name: &blake3::Hash) -> PathBuf {
        self.dir.join(format!("{}.{CODE_FILE}", name.to_hex()))
    }

    fn read(&self, engine: &Engine, path: &Path, name: &blake3::Hash, now: SystemTime) -> Option<Component> {
        let file = match open_regular(path, MAX_FILE) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                warn!(file = %path.display(), %error, "a cached component cannot be read; compiling anew");
                return None;
            }
        };
        if !self.is_authentic(&file, path, name, now) {
            warn!(file = %path.display(), "a cached component is not what was written; compiling anew");
            return None;
        }
        let loaded = map(engine, &file);
        loaded
            .inspect_err(
                |error| warn!(file = %path.display(), %error, "a cached component does not load; compiling anew"),
            )
            .ok()
    }

    /// Whether the code matches its MAC. This is determined once for a file that does not change: reading all of it takes longer than
    /// anything else at startup.
    fn is_authentic(&self, file: &File, path: &Path, name: &blake3::Hash, now: SystemTime) -> bool {
        let Ok(before) = file.metadata() else { return false };
        let noted = self.noted(AUTHENTIC_NOTE, name);
        if noted.is_some_and(|noted| noted == file_key(&before).as_bytes()) {
            return true;
        }
        let recorded = read_regular(&path.with_extension(MAC_FILE), MAC as u64);
        let mac = recorded.ok().and_then(|bytes| <[u8; MAC]>::try_from(bytes).ok());
        let found = self.keyed(name).update_mmap_rayon(same_file(file)).map(|hasher| hasher.finalize());
        // `blake3::Hash` compares in constant time.
        let authentic = matches!((mac, found), (Some(mac), Ok(found)) if found == mac);
        if authentic {
            self.note_authentic(file, &before, name, now);
        }
        authentic
    }

    fn note_authentic(&self, file: &File, before: &Metadata, name: &blake3::Hash, now: SystemTime) {
        // After a power failure, a file that was not synced may look like the complete one.
        let Ok(behind) = file.sync_all().and_then(|()| file.metadata()) else { return };
        if let Some(key) = unchanged([before, &behind], now) {
            self.write_note(AUTHENTIC_NOTE, name, key.as_bytes());
        }
    }

    /// The digest that is noted for a file, if the file has not changed since.
    ///
    /// A wrong one would do no harm: code is stored under the digest of the bytes it was compiled from, and bytes are checked when
    /// they are read.
    pub(crate) fn digest(&self, file: &Metadata) -> Option<Digest> {
        self.noted(DIGEST_NOTE, &file_key(file))?.try_into().ok().map(Digest)
    }

    /// Notes the digest of a file that was read in full, given its metadata before and after, unless it has just been
    /// changed.
    pub(crate) fn note(&self, found: [&Metadata; 2], digest: Digest, now: SystemTime) {
        if let Some(name) = unchanged(found, now) {
            self.write_note(DIGEST_NOTE, &name, &digest.0);
        }
    }

    /// The functions that are noted for a component.
    pub(super) fn functions(&self, engine: &Engine, digest: Digest) -> Option<Vec<u8>> {
        self.noted(FUNCTIONS_NOTE, &cache_key(engine, digest))
    }

    /// Notes the functions of a component, for hosts with the same engine.
    pub(super) fn note_functions(&self, engine: &Engine, digest: Digest, functions: &[u8]) {
        if functions.len() <= MAX_NOTE {
            self.write_note(FUNCTIONS_NOTE, &cache_key(engine, digest), functions);
        }
    }

    /// What a component may use, as far as that is noted.
    pub(super) fn kind(&self, digest: Digest) -> Kind {
        match self.noted(KNOWN_NOTE, &blake3::hash(&digest.0)) {
            Some(_) => Kind::Known,
            None => Kind::Any,
        }
    }

    /// Notes that a component is the known runtime.
    pub(super) fn note_known(&self, digest: Digest) {
        self.write_note(KNOWN_NOTE, &blake3::hash(&digest.0), &[]);
    }

    /// What is noted of the files below a folder, which is named by its device and inode.
    pub(crate) fn image(&self, folder: (u64, u64)) -> Option<Vec<u8>> {
        self.noted(IMAGE_NOTE, &folder_key(folder))
    }

    /// Notes something about them.
    pub(crate) fn note_image(&self, folder: (u64, u64), files: &[u8]) {
        if files.len() <= MAX_IMAGE {
            self.write_note(IMAGE_NOTE, &folder_key(folder), files);
        }
    }

    /// What a component has made of a file.
    pub(super) fn prepared(&self, name: &blake3::Hash) -> Option<Vec<u8>> {
        self.noted(PREPARED_NOTE, name)
    }

    /// Keeps it, in the place of what was used least recently.
    pub(super) fn keep_prepared(&self, name: &blake3::Hash, made: &[u8]) {
        if made.len() > MAX_PREPARED {
            return;
        }
        self.write_note(PREPARED_NOTE, name, made);
        if self.prepared.fetch_add(1, Ordering::Relaxed).is_multiple_of(ROOM_EACH)
            && let Err(error) = self.make_room(PREPARED_NOTE, &[], MAX_ALL_PREPARED)
        {
            warn!(%error, "the cache folder could not be cleared of what was made of files");
        }
    }

    fn noted(&self, kind: &str, name: &blake3::Hash) -> Option<Vec<u8>> {
        let most = match kind {
            IMAGE_NOTE => MAX_IMAGE,
            PREPARED_NOTE => MAX_PREPARED,
            _ => MAX_NOTE,
        };
        let mut noted = read_regular(&self.note_file(kind, name), (most + MAC) as u64).ok()?;
        let (text, mac) = noted.split_last_chunk::<MAC>()?;
        // `blake3::Hash` compares in constant time.
        let authentic = self.keyed_note(kind, name, text) == *mac;
        noted.truncate(noted.len() - MAC);
        authentic.then_some(noted)
    }

    fn write_note(&self, kind: &str, name: &blake3::Hash, text: &[u8]) {
        let mac = self.keyed_note(kind, name, text);
        if let Err(error) = self.put(&[text, mac.as_bytes()].concat(), &self.note_file(kind, name)) {
            warn!(kind, %error, "a note in the cache folder could not be written");
        }
    }

    /// The MAC of a note, different from that of any other kind of note and of code.
    fn keyed_note(&self, kind: &str, name: &blake3::Hash, text: &[u8]) -> blake3::Hash {
        let name = blake3::keyed_hash(name.as_bytes(), kind.as_bytes());
        self.keyed(&name).update(text).finalize()
    }

    fn note_file(&self, kind: &str, name: &blake3::Hash) -> PathBuf {
        self.dir.join(format!("{}.{kind}", name.to_hex()))
    }

    fn keyed(&self, name: &blake3::Hash) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(MAGIC).update(name.as_bytes());
        hasher
    }

    fn write(&self, path: &Path, name: &blake3::Hash, artefact: &[u8]) -> io::Result<()> {
        let mac = self.keyed(name).update_rayon(artefact).finalize();
        // If two processes write the same component, the code of one may be beside the MAC of the other: then it is compiled
        // anew.
        self.put(artefact, path)?;
        self.put(mac.as_bytes(), &path.with_extension(MAC_FILE))?;
        self.make_room(CODE_FILE, BESIDE_CODE, MAX_FOLDER)
    }

    /// Removes the least recently used files of a kind, each with those beside it, until the rest has at most so many bytes. Processes that
    /// have one mapped keep it. Other processes may do the same at the same time.
    pub(super) fn make_room(&self, kind: &str, beside: &[&str], most: u64) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|extension| extension == kind)
                && let Ok(found) = entry.metadata()
            {
                files.push((found.accessed()?.max(found.modified()?), found.len().max(BLOCK), entry.path()));
            }
        }
        files.sort_unstable_by(|a, b| b.cmp(a));
        let mut room = most;
        for (_, length, path) in files {
            match room.checked_sub(length) {
                Some(rest) => room = rest,
                None => {
                    let all = beside.iter().copied().chain([kind]);
                    all.for_each(|extension| drop(fs::remove_file(path.with_extension(extension))));
                }
            }
        }
        Ok(())
    }

    /// Writes a whole file under a temporary name and renames it.
    fn put(&self, bytes: &[u8], path: &Path) -> io::Result<()> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let temporary = format!(".{}.{}.tmp", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let temporary = self.dir.join(temporary);
        let written = create(&temporary).and_then(|mut file| {
            file.write_all(bytes)?;
            fs::rename(&temporary, path)
        });
        written.inspect_err(|_| drop(fs::remove_file(&temporary)))
    }
}

/// Makes a component from code that this process has compiled.
pub(super) fn deserialize(engine: &Engine, artefact: &[u8]) -> Result<Component, Error> {
    #[allow(unsafe_code, reason = "see the comment inside")]
    // SAFETY: `artefact` is what `precompile_component` returned in this process.
    let component = unsafe { Component::deserialize(engine, artefact) };
    component.map_err(|source| Error::DoesNotFit(source.into_boxed_dyn_error()))
}

/// Makes a component from a file whose MAC is valid. Its pages are those of the file, shared by all processes that map it.
fn map(engine: &Engine, file: &File) -> Result<Component, Error> {
    #[allow(unsafe_code, reason = "see the comment inside")]
    // SAFETY: the file holds what `precompile_component` returned to a host of the same user that knew the key, as `is_authentic` has
    // found, just now or since the file was last changed. It belongs to this user, in a folder that no other user can write; every file
    // there is renamed to its name when it is complete, and never written again, so that it does not change while it is mapped.
    let component = unsafe { Component::deserialize_file(engine, same_file(file)) };
    component.map_err(|source| Error::DoesNotFit(source.into_boxed_dyn_error()))
}

/// A path to an open file, independent of its name.
fn same_file(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// The identity and state of a file. The time of the last change is set by the system alone, so it shows every
/// change.
fn file_key(file: &Metadata) -> blake3::Hash {
    let mut hasher = Blake3(blake3::Hasher::new());
    hasher.write(MAGIC);
    (file.dev(), file.ino(), file.size()).hash(&mut hasher);
    (file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()).hash(&mut hasher);
    hasher.0.finalize()
}

fn folder_key(folder: (u64, u64)) -> blake3::Hash {
    let mut hasher = Blake3(blake3::Hasher::new());
    hasher.write(MAGIC);
    folder.hash(&mut hasher);
    hasher.0.finalize()
}

/// The key of a file that was the same before and after an operation, unless it has just been changed.
fn unchanged([before, behind]: [&Metadata; 2], now: SystemTime) -> Option<blake3::Hash> {
    let key = file_key(before);
    (key == file_key(behind) && has_settled(before, now)).then_some(key)
}

fn has_settled(file: &Metadata, now: SystemTime) -> bool {
    let changed = u64::try_from(file.ctime()).map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    changed.is_ok_and(|changed| now.duration_since(changed).is_ok_and(|age| age > SETTLED))
}

/// What the code depends on: the cache format, the component, and the engine's version and flags.
pub(super) fn cache_key(engine: &Engine, digest: Digest) -> blake3::Hash {
    let mut hasher = Blake3(blake3::Hasher::new());
    hasher.write(MAGIC);
    hasher.write(&digest.0);
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize()
}

struct Blake3(blake3::Hasher);

impl Hasher for Blake3 {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Not used: the whole hash is read from the inner hasher.
    fn finish(&self) -> u64 {
        0
    }
}

fn secure_folder(dir: &Path) -> io::Result<()> {
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(dir)?;
    if !found.is_dir() {
        return Err(io::Error::other("it is not a folder"));
    }
    owned(&found)
}

/// Checks that only this user (and root) can have written it.
fn owned(found: &fs::Metadata) -> io::Result<()> {
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("it belongs to another user"));
    }
    if found.mode() & 0o022 != 0 {
        return Err(io::Error::other("others may write to it; use mode 0700"));
    }
    Ok(())
}

/// The key of the folder: created once, by the process that first links its candidate to the name.
fn secure_key(dir: &Path) -> io::Result<[u8; KEY]> {
    let path = dir.join(KEY_FILE);
    if let Some(key) = read_key(&path)? {
        return Ok(key);
    }
    let candidate = dir.join(format!(".{}.key", uuid_name()));
    let made = make_key(&candidate, &path);
    drop(fs::remove_file(&candidate));
    made?;
    read_key(&path)?.ok_or_else(|| io::Error::other("its key has disappeared"))
}

/// Writes a whole key under a temporary name and links it, unless another process was faster: a reader never sees a
/// part of it.
fn make_key(candidate: &Path, path: &Path) -> io::Result<()> {
    let mut key = [0; KEY];
    random(&mut key)?;
    let mut file = create(candidate)?;
    file.write_all(&key)?;
    file.sync_all()?;
    match fs::hard_link(candidate, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn read_key(path: &Path) -> io::Result<Option<[u8; KEY]>> {
    let bytes = match read_regular(path, KEY as u64) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let found = fs::symlink_metadata(path)?;
    if found.mode() & 0o077 != 0 {
        return Err(io::Error::other("others may read its key; remove the folder"));
    }
    bytes.try_into().map(Some).map_err(|_| io::Error::other("its key is damaged; remove the folder"))
}

#[allow(clippy::disallowed_methods, reason = "names a temporary file, outside any execution")]
fn uuid_name() -> uuid::Uuid {
    uuid::Uuid::new_v4()
}

fn random(buffer: &mut [u8]) -> io::Result<()> {
    File::open("/dev/urandom")?.read_exact(buffer)
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// The content of a regular file of this user, without following a link or blocking on a pipe.
fn read_regular(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path, max)?.take(max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn open_regular(path: &Path, max: u64) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() || found.len() > max {
        return Err(io::Error::other("it is not a regular file of a reasonable size"));
    }
    owned(&found)?;
    Ok(file)
}
