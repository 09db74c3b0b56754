//! The folder of precompiled components and what may happen to it.

use super::super::cache::{BESIDE_CODE, CODE_FILE, Cache};
use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

struct Folder {
    dir: tempfile::TempDir,
    engine: wasmtime::Engine,
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, engine: config::engine(STACK, 1, Kind::Any).unwrap() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("cache")
    }

    fn open(&self) -> Cache {
        Cache::open(&self.path()).unwrap()
    }

    /// Loads through the cache and says whether it had to compile. Every file there has just been changed.
    fn compiles(&self, cache: &Cache, bytes: &[u8]) -> bool {
        self.compiles_at(SystemTime::UNIX_EPOCH, cache, bytes)
    }

    /// The same at another time.
    fn compiles_at(&self, now: SystemTime, cache: &Cache, bytes: &[u8]) -> bool {
        if cache.find(&self.engine, Digest::of(bytes), now).is_some() {
            return false;
        }
        cache.keep(&self.engine, Digest::of(bytes), &compile(&self.engine, Kind::Any, bytes, |_| {}).unwrap());
        true
    }

    /// The only precompiled file.
    fn file(&self) -> std::path::PathBuf {
        let files = fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().path());
        files.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "cwasm")).unwrap()
    }
}

impl Folder {
    /// Its MAC.
    fn mac(&self) -> std::path::PathBuf {
        self.file().with_extension("mac")
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn code_is_found_again_by_another_host_and_nothing_is_left_lying_about() {
    let folder = Folder::new();
    let bytes = returns(1);
    assert!(folder.compiles(&folder.open(), &bytes));
    assert!(!folder.compiles(&folder.open(), &bytes));
    assert!(folder.compiles(&folder.open(), &returns(2)));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5);
    assert_eq!((mode(&folder.path()), mode(&folder.path().join("key")), mode(&folder.file())), (0o700, 0o600, 0o600));
}

#[test]
fn a_file_with_any_bit_flipped_is_compiled_anew_and_replaced() {
    let folder = Folder::new();
    let cache = folder.open();
    let bytes = returns(1);
    folder.compiles(&cache, &bytes);
    let good = fs::read(folder.file()).unwrap();
    let places = (0..48).chain((48..good.len()).step_by(good.len() / 60)).chain([good.len() - 1]);
    let mac = fs::read(folder.mac()).unwrap();
    assert_eq!(mac.len(), 32);
    for place in 0..mac.len() {
        let mut bad = mac.clone();
        bad[place] ^= 1 << (place % 8);
        fs::write(folder.mac(), bad).unwrap();
        assert!(folder.compiles(&cache, &bytes), "byte {place} of the MAC");
    }
    for (turn, place) in places.enumerate() {
        let mut bad = good.clone();
        bad[place] ^= 1 << (turn % 8);
        fs::write(folder.file(), bad).unwrap();
        assert!(folder.compiles(&cache, &bytes), "byte {place}");
        assert!(!folder.compiles(&cache, &bytes), "byte {place}");
    }
}

#[test]
fn a_truncated_extended_or_planted_file_is_compiled_anew() {
    let folder = Folder::new();
    let cache = folder.open();
    let bytes = returns(1);
    folder.compiles(&cache, &bytes);
    let good = fs::read(folder.file()).unwrap();
    let extended = [&good[..], b"\0"].concat();
    for bad in [&good[..0], &good[..7], &good[..39], &good[..40], &good[..good.len() - 1], &extended, &good[40..]] {
        fs::write(folder.file(), bad).unwrap();
        assert!(folder.compiles(&cache, &bytes), "{} bytes", bad.len());
    }
    for bad in [&b""[..], &[0; 31], &[0; 33]] {
        fs::write(folder.mac(), bad).unwrap();
        assert!(folder.compiles(&cache, &bytes), "a MAC of {} bytes", bad.len());
    }
    fs::remove_file(folder.mac()).unwrap();
    assert!(folder.compiles(&cache, &bytes), "no MAC");
    let other = Folder::new();
    other.compiles(&other.open(), &bytes);
    fs::copy(other.file(), folder.file()).unwrap();
    fs::copy(other.mac(), folder.mac()).unwrap();
    assert!(folder.compiles(&cache, &bytes), "the same component under another key");
}

#[test]
fn the_code_of_another_component_or_engine_is_not_taken() {
    let folder = Folder::new();
    let cache = folder.open();
    folder.compiles(&cache, &returns(1));
    let first = folder.file();
    let (code, mac) = (fs::read(&first).unwrap(), fs::read(folder.mac()).unwrap());
    fs::remove_file(folder.mac()).unwrap();
    fs::remove_file(&first).unwrap();
    folder.compiles(&cache, &returns(2));
    fs::write(folder.file(), code).unwrap();
    fs::write(folder.mac(), mac).unwrap();
    assert!(folder.compiles(&cache, &returns(2)));
    fs::remove_file(folder.file()).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &first).unwrap();
    assert!(folder.compiles(&cache, &returns(1)), "a link is not followed");
    assert!(fs::symlink_metadata(&first).unwrap().is_file(), "and is replaced");
}

#[test]
fn code_that_was_used_last_is_kept_when_there_is_no_room() {
    let folder = Folder::new();
    let cache = folder.open();
    folder.compiles(&cache, &returns(1));
    let old = folder.file();
    let length = fs::metadata(&old).unwrap().len();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
    let times = fs::FileTimes::new().set_accessed(long_ago).set_modified(long_ago);
    fs::File::options().write(true).open(&old).unwrap().set_times(times).unwrap();
    folder.compiles(&cache, &returns(2));
    cache.make_room(CODE_FILE, BESIDE_CODE, 2 * length + length / 2).unwrap();
    assert!(old.exists());
    cache.make_room(CODE_FILE, BESIDE_CODE, length + length / 2).unwrap();
    assert!(!old.exists() && !old.with_extension("mac").exists());
    assert!(!folder.compiles(&cache, &returns(2)));
    assert!(folder.compiles(&cache, &returns(1)));
}

/// Without the MAC of its code, a file is authentic only if it was found so before.
#[test]
fn code_is_authenticated_once_as_long_as_its_file_does_not_change() {
    let folder = Folder::new();
    let cache = folder.open();
    let bytes = returns(1);
    let later = || fs::metadata(folder.file()).unwrap().modified().unwrap() + Duration::from_secs(10);
    let note = || folder.file().with_extension("authentic");
    folder.compiles(&cache, &bytes);
    let mac = folder.mac();
    let authenticate = || {
        assert!(!folder.compiles_at(later(), &cache, &bytes) && note().exists());
        fs::remove_file(&mac).unwrap();
    };
    assert!(!folder.compiles(&cache, &bytes) && !note().exists(), "it may change within the same tick of the clock");
    authenticate();
    assert!(!folder.compiles_at(later(), &folder.open(), &bytes), "another host knows it, too");

    let good = fs::read(note()).unwrap();
    for place in 0..good.len() {
        let mut bad = good.clone();
        bad[place] ^= 1;
        fs::write(note(), bad).unwrap();
        assert!(folder.compiles(&cache, &bytes), "byte {place} of the note");
        fs::remove_file(&mac).unwrap();
    }
    fs::write(note(), &good).unwrap();
    assert!(folder.compiles(&cache, &bytes), "the note is of another file by now");
    authenticate();

    let code = fs::read(folder.file()).unwrap();
    let times = fs::metadata(folder.file()).unwrap();
    let mut bad = code.clone();
    bad[code.len() / 2] ^= 1;
    fs::write(folder.file(), bad).unwrap();
    let back = fs::FileTimes::new().set_accessed(times.accessed().unwrap()).set_modified(times.modified().unwrap());
    fs::File::options().write(true).open(folder.file()).unwrap().set_times(back).unwrap();
    assert!(folder.compiles_at(later(), &cache, &bytes), "changed, with its old time of modification");
    authenticate();

    let other = Folder::new();
    let other_cache = other.open();
    other.compiles(&other_cache, &bytes);
    fs::remove_file(other.mac()).unwrap();
    fs::copy(note(), other.file().with_extension("authentic")).unwrap();
    assert!(other.compiles(&other_cache, &bytes), "a note of another folder");
}

#[test]
fn the_functions_of_a_component_are_known_to_the_same_engine_only() {
    let folder = Folder::new();
    let (cache, digest, functions) = (folder.open(), Digest([7; 32]), br#"[{"name":"f","description":""}]"#);
    assert_eq!(cache.functions(&folder.engine, digest), None);
    cache.note_functions(&folder.engine, digest, functions);
    assert_eq!(folder.open().functions(&folder.engine, digest).unwrap(), functions);
    assert_eq!(cache.functions(&folder.engine, Digest([8; 32])), None);
    cache.note_functions(&folder.engine, Digest([9; 32]), &[b' '; 1 << 20]);
    assert_eq!(cache.functions(&folder.engine, Digest([9; 32])), None, "nobody has so many functions");
    let files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let note = files.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "functions")).unwrap();
    let good = fs::read(&note).unwrap();
    for place in 0..good.len() {
        let mut bad = good.clone();
        bad[place] ^= 1;
        fs::write(&note, bad).unwrap();
        assert_eq!(cache.functions(&folder.engine, digest), None, "byte {place}");
    }
    fs::write(&note, &good).unwrap();
    let other = note.with_extension("authentic");
    fs::rename(&note, &other).unwrap();
    assert!(cache.functions(&folder.engine, digest).is_none());
}

#[test]
fn the_digest_of_an_unchanged_file_is_known() {
    let folder = Folder::new();
    let cache = folder.open();
    let (path, digest) = (folder.dir.path().join("guest.wasm"), Digest([7; 32]));
    let found = || fs::metadata(&path).unwrap();
    let written = || found().modified().unwrap();
    let note = || {
        let files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        files.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "digest"))
    };
    fs::write(&path, "one").unwrap();
    cache.note([&found(); 2], digest, written());
    assert_eq!((cache.digest(&found()), note()), (None, None), "it may change within the same tick of the clock");
    cache.note([&found(); 2], digest, written() + Duration::from_secs(10));
    assert_eq!(cache.digest(&found()), Some(digest));
    let note = note().unwrap();
    let good = fs::read(&note).unwrap();
    for place in 0..good.len() {
        let mut bad = good.clone();
        bad[place] ^= 1;
        fs::write(&note, bad).unwrap();
        assert_eq!(cache.digest(&found()), None, "byte {place}");
    }
    fs::write(&note, &good[..good.len() - 1]).unwrap();
    assert_eq!(cache.digest(&found()), None);
    fs::write(&note, &good).unwrap();
    assert_eq!(cache.digest(&found()), Some(digest));
    let other = Folder::new();
    let other_cache = other.open();
    fs::copy(&note, other.path().join(note.file_name().unwrap())).unwrap();
    assert_eq!(other_cache.digest(&found()), None, "under another key");
    let times = found();
    fs::write(&path, "more").unwrap();
    cache.note([&times, &found()], digest, written() + Duration::from_secs(10));
    assert_eq!(cache.digest(&found()), None, "changed while it was read");
    fs::write(&path, "two").unwrap();
    let back = fs::FileTimes::new().set_accessed(times.accessed().unwrap()).set_modified(times.modified().unwrap());
    fs::File::options().write(true).open(&path).unwrap().set_times(back).unwrap();
    assert_eq!(cache.digest(&found()), None, "changed, with its old time of modification");
}

#[test]
fn a_folder_that_others_may_write_to_is_not_used() {
    let folder = Folder::new();
    folder.open();
    let loose = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for bits in [0o770, 0o702] {
        loose(&folder.path(), bits);
        assert!(Cache::open(&folder.path()).is_none(), "{bits:o}");
    }
    loose(&folder.path(), 0o700);
    loose(&folder.path().join("key"), 0o640);
    assert!(Cache::open(&folder.path()).is_none());
    let link = folder.dir.path().join("link");
    std::os::unix::fs::symlink(folder.path(), &link).unwrap();
    assert!(Cache::open(&link).is_none());
    fs::write(folder.dir.path().join("file"), "").unwrap();
    let engines =
        Engines::new(Options { cache: Some(folder.dir.path().join("file")), pool: 1, ..Options::default() }).unwrap();
    load(&engines, &returns(1)).unwrap();
}

#[test]
fn hosts_that_start_at_once_agree_on_the_key() {
    let folder = Folder::new();
    let path = folder.path();
    let keys: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let key = || folder_key(&path);
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(key)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(keys[0].len(), 32);
    assert!(keys.iter().all(|key| *key == keys[0]));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

fn folder_key(path: &Path) -> Vec<u8> {
    Cache::open(path).unwrap();
    fs::read(path.join("key")).unwrap()
}
