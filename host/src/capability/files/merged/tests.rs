//! An overlay over a folder against a copy of the folder that is changed itself: a guest cannot tell them apart.

use super::*;
use crate::dice::Dice;
use crate::guest_error::ErrorCode;
use crate::policy::{Access, FilesGrant};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

const MAX: u64 = 1 << 20;

/// A folder on the disk, granted.
struct Disk {
    folder: tempfile::TempDir,
    folders: Folders,
}

impl Disk {
    fn new(access: Access, fill: impl Fn(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir(&root).unwrap();
        fill(&root);
        let (id, guest) = ("data".to_owned(), "/data".to_owned());
        let (host, keep) = (root, false);
        let grant = FilesGrant { id, guest, host, access, max_file: MAX, max_written: MAX, max_files: 100, keep };
        Self { folders: Folders::open(&[grant]).unwrap(), folder }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// All there is, with contents and times.
    fn inventory(&self) -> Vec<String> {
        let mut found = Vec::new();
        inventory(&self.root(), &mut found);
        found.sort();
        found
    }
}

fn inventory(path: &Path, found: &mut Vec<String>) {
    let stat = fs::symlink_metadata(path).unwrap();
    let content = if stat.is_file() { fs::read(path).unwrap() } else { Vec::new() };
    let times = [stat.mtime(), stat.mtime_nsec(), stat.ctime(), stat.ctime_nsec()];
    found.push(format!("{} {:o} {times:?} {} {content:?}", path.display(), stat.mode(), stat.ino()));
    if stat.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| inventory(&entry.unwrap().path(), found));
    }
}

fn over<'a>(disk: &'a Disk, overlay: &'a mut Overlay) -> Merged<'a> {
    Merged { folders: &disk.folders, grant: 0, overlay }
}

fn bytes(text: &str) -> Arc<Vec<u8>> {
    Arc::new(text.as_bytes().to_vec())
}

/// Everything a guest can see below a folder.
fn seen(merged: &Merged<'_>, path: &str, found: &mut Vec<String>) {
    for entry in merged.list(path, MAX).unwrap() {
        let below = if path.is_empty() { entry.name.clone() } else { format!("{path}/{}", entry.name) };
        let stat = merged.stat(&below);
        let content = merged.read(&below, MAX);
        found.push(format!("{below} {entry:?} {stat:?} {content:?}"));
        if entry.kind == FileKind::Directory {
            seen(merged, &below, found);
        }
    }
}

fn everything(disk: &Disk, overlay: &mut Overlay) -> Vec<String> {
    let mut found = Vec::new();
    seen(&over(disk, overlay), "", &mut found);
    found
}

/// A path of up to four names.
fn any_path(dice: &mut Dice) -> String {
    const NAMES: [&str; 5] = ["a", "b", "a-", "ü", "dir"];
    let names = (0..=dice.below(3)).map(|_| dice.one(&NAMES)).collect::<Vec<_>>();
    names.join("/")
}

fn fill(seed: u64) -> impl Fn(&Path) {
    move |root| {
        let mut dice = Dice(seed);
        for n in 0..dice.below(12) {
            let path = root.join(any_path(&mut dice));
            // What is no folder stays what it is.
            let _ = fs::create_dir_all(path.parent().unwrap());
            let _ = fs::write(path, format!("host {n}"));
        }
        let _ = fs::create_dir_all(root.join(any_path(&mut dice)));
    }
}

#[test]
fn an_overlay_looks_like_a_copy_that_is_changed() {
    let seeds: usize = std::env::var("EVERSTEP_OVERLAY_SEEDS").map_or(40, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds as u64 {
        let (copy, base) = (Disk::new(Access::Write, fill(seed)), Disk::new(Access::Overlay, fill(seed)));
        let before = base.inventory();
        let (mut overlay, mut again) = (Overlay::default(), Overlay::default());
        let mut dice = Dice(seed ^ 0x5eed);
        for n in 0..40 {
            let path = any_path(&mut dice);
            let mut merged = over(&base, &mut overlay);
            let (on_copy, on_overlay) = if dice.below(3) > 0 {
                let content = bytes(&format!("guest {n}"));
                let on_overlay = merged.write(&path, Arc::clone(&content));
                if on_overlay.is_ok() {
                    again.write(&path, Arc::clone(&content));
                }
                (copy.folders.write(0, &path, &content), on_overlay)
            } else {
                let on_overlay = merged.remove(&path, u64::MAX);
                if on_overlay.is_ok() {
                    again.remove(&path);
                }
                (copy.folders.remove(0, &path, false), on_overlay)
            };
            assert_eq!(on_copy, on_overlay, "seed {seed}, call {n} on {path}");
            assert_eq!(
                everything(&copy, &mut Overlay::default()),
                everything(&base, &mut overlay),
                "seed {seed}, call {n} on {path}"
            );
            for path in [any_path(&mut dice), any_path(&mut dice), String::new()] {
                let merged = over(&base, &mut overlay);
                assert_eq!(copy.folders.read(0, &path, MAX), merged.read(&path, MAX), "seed {seed}, read {path}");
                assert_eq!(copy.folders.stat(0, &path), merged.stat(&path), "seed {seed}, stat {path}");
                assert_eq!(copy.folders.list(0, &path, MAX), merged.list(&path, MAX), "seed {seed}, list {path}");
            }
        }
        assert_eq!(overlay, again, "what is repeated in memory is the same");
        assert_eq!(base.inventory(), before, "the folder is as it was");
    }
}

#[test]
fn a_folder_that_nobody_may_write_is_overlaid() {
    let disk = Disk::new(Access::Overlay, |root| {
        fs::create_dir(root.join("folder")).unwrap();
        fs::write(root.join("folder/file"), "host").unwrap();
        for path in ["folder/file", "folder", ""] {
            let mode = if path == "folder/file" { 0o444 } else { 0o555 };
            fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
        }
    });
    let (before, mut overlay) = (disk.inventory(), Overlay::default());
    let mut merged = over(&disk, &mut overlay);
    merged.write("folder/file", bytes("guest")).unwrap();
    merged.write("new/file", bytes("guest")).unwrap();
    assert_eq!(merged.read("folder/file", MAX).unwrap(), b"guest");
    merged.remove("folder/file", 1).unwrap();
    merged.remove("folder", 1).unwrap();
    let names: Vec<_> = merged.list("", MAX).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["new"]);
    assert_eq!(disk.inventory(), before);
}

#[test]
fn links_and_special_files_of_the_host_are_no_way_through() {
    let disk = Disk::new(Access::Overlay, |root| {
        fs::create_dir(root.join("real")).unwrap();
        fs::write(root.join("real/file"), "host").unwrap();
        symlink("real", root.join("link")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        symlink("/etc/passwd", root.join("real/out")).unwrap();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, root.join("fifo"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    });
    let (before, mut overlay) = (disk.inventory(), Overlay::default());
    let mut merged = over(&disk, &mut overlay);
    for path in ["link", "link/file", "link/new", "dangling", "dangling/x", "real/out", "fifo"] {
        let is_below_fifo = path.starts_with("fifo/");
        for error in [
            merged.floor(Operation::Write, path).unwrap_err(),
            merged.write(path, bytes("x")).unwrap_err(),
            merged.read(path, MAX).unwrap_err(),
            merged.stat(path).unwrap_err(),
            merged.remove(path, 9).unwrap_err(),
        ] {
            assert!(error.code == ErrorCode::Denied || is_below_fifo, "{path}: {error}");
        }
    }
    // What the guest has made in place of something hides whatever is put there later.
    merged.write("real/file", bytes("guest")).unwrap();
    merged.remove("real/file", 9).unwrap();
    merged.write("made/file", bytes("guest")).unwrap();
    assert_eq!(disk.inventory(), before);
    fs::remove_file(disk.root().join("real/file")).unwrap();
    symlink("/etc/passwd", disk.root().join("real/file")).unwrap();
    symlink("/etc", disk.root().join("made")).unwrap();
    let mut merged = over(&disk, &mut overlay);
    merged.floor(Operation::Read, "real/file").unwrap();
    assert_eq!(merged.read("real/file", MAX).unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(merged.read("made/file", MAX).unwrap(), b"guest");
    assert_eq!(merged.read("made/passwd", MAX).unwrap_err().code, ErrorCode::Denied);
    assert_eq!(merged.write("made/passwd", bytes("x")).unwrap_err().code, ErrorCode::Denied);
}

#[test]
fn bounds_hold_for_both_layers_together() {
    let disk = Disk::new(Access::Overlay, |root| {
        (0..4).for_each(|n| fs::write(root.join(format!("host{n}")), "x").unwrap());
    });
    let mut overlay = Overlay::default();
    let mut merged = over(&disk, &mut overlay);
    merged.write("made", bytes("0123456789")).unwrap();
    assert_eq!(merged.read("made", 9).unwrap_err().code, ErrorCode::LimitExceeded);
    // Four names of the host, one of the guest, and 32 bytes for each.
    let all = 4 * (5 + 32) + 4 + 32;
    assert_eq!(merged.list("", all).unwrap().len(), 5);
    assert_eq!(merged.list("", all - 1).unwrap_err().code, ErrorCode::LimitExceeded);
    merged.remove("host0", 2).unwrap();
    assert_eq!(merged.list("", all - 37).unwrap().len(), 4);
    merged.remove("host1", 2).unwrap();
    let error = merged.remove("host2", 2).unwrap_err();
    assert_eq!(error.code, ErrorCode::LimitExceeded);
    assert_eq!(error.message, "files remove \"/data/host2\" (the rule allows max_files = 2)");
    merged.remove("made", 2).unwrap();
    assert_eq!(merged.list("", MAX).unwrap().len(), 2);
}
