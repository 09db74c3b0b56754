//! Trees on the disk, and what is found in them.

use super::scan::{Scanned, scan, scan_up_to};
use super::*;
use known::Known;
use rustix::fs::{Mode, OFlags, open as open_fd};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

const GUEST: &str = "/deps";

fn folder(path: &Path) -> OwnedFd {
    open_fd(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap()
}

/// Long after everything was written.
fn later() -> SystemTime {
    crate::engine::wall_clock() + Duration::from_secs(60)
}

fn walk(path: &Path, known: &Known, now: SystemTime) -> Scanned {
    scan(folder(path).as_fd(), GUEST, known, now).unwrap()
}

fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("lib/deep")).unwrap();
    fs::create_dir(dir.path().join("empty")).unwrap();
    for (path, content) in [("a", "one"), ("lib/b", "two"), ("lib/deep/c", ""), ("lib-x", "three"), ("lib0", "four")] {
        fs::write(dir.path().join(path), content).unwrap();
    }
    fs::write(dir.path().join("large"), vec![7; CHUNK as usize + 1]).unwrap();
    dir
}

#[test]
fn a_file_that_has_not_changed_is_not_read_again() {
    let dir = tree();
    let first = walk(dir.path(), &Known::default(), later());
    assert_eq!(first.read, 15 + CHUNK + 1);
    let second = walk(dir.path(), &first.known, later());
    assert_eq!((second.read, &second.manifest), (0, &first.manifest));
    fs::write(dir.path().join("a"), "ONE").unwrap();
    let third = walk(dir.path(), &second.known, later());
    assert_eq!(third.read, 3);
    assert_eq!(first.manifest.difference(&third.manifest), Some(("a", "has changed")));
}

#[test]
fn a_file_that_was_written_a_moment_ago_is_read_again() {
    let dir = tree();
    let first = walk(dir.path(), &Known::default(), SystemTime::UNIX_EPOCH);
    let second = walk(dir.path(), &first.known, SystemTime::UNIX_EPOCH);
    assert_eq!(first.read, second.read);
}

#[test]
fn what_is_known_survives_in_the_cache_of_the_host() {
    let (dir, cache) = (tree(), tempfile::tempdir().unwrap());
    let stat = rustix::fs::stat(dir.path()).unwrap();
    let first = walk(dir.path(), &Known::default(), later());
    let place = Some(cache.path().join("cache"));
    Digests::new(place.clone()).remember(&stat, &Known::default(), first.known);
    let found = Digests::new(place).below(&stat);
    assert_eq!(walk(dir.path(), &found, later()).read, 0);
    assert_eq!(*Digests::new(None).below(&stat), Known::default());
}

#[test]
fn the_first_difference_is_named() {
    let dir = tree();
    let was = walk(dir.path(), &Known::default(), later()).manifest;
    let differs = |change: &dyn Fn(&Path), back: &dyn Fn(&Path)| {
        change(dir.path());
        let now = walk(dir.path(), &Known::default(), later()).manifest;
        let found = was.difference(&now).map(|(path, how)| format!("{path} {how}"));
        assert_eq!(found.is_none(), now.tree == was.tree);
        back(dir.path());
        assert_eq!(walk(dir.path(), &Known::default(), later()).manifest.tree, was.tree);
        found.unwrap_or_default()
    };
    let write = |path: &'static str, text: &'static str| move |at: &Path| fs::write(at.join(path), text).unwrap();
    let remove = |path: &'static str| move |at: &Path| fs::remove_file(at.join(path)).unwrap();
    assert_eq!(differs(&write("lib/b", "TWO"), &write("lib/b", "two")), "lib/b has changed");
    assert_eq!(differs(&write("lib/new", ""), &remove("lib/new")), "lib/new was added");
    assert_eq!(differs(&remove("lib/deep/c"), &write("lib/deep/c", "")), "lib/deep/c is missing");
    let rename =
        |from: &'static str, to: &'static str| move |at: &Path| fs::rename(at.join(from), at.join(to)).unwrap();
    assert_eq!(differs(&rename("lib", "moved"), &rename("moved", "lib")), "lib is missing");
    assert_eq!(differs(&|at: &Path| symlink("a", at.join("link")).unwrap(), &remove("link")), "link was added");
    // The time of a file is no part of what it is, and neither is a name that no guest can say.
    let touch = |at: &Path| {
        fs::File::options().write(true).open(at.join("a")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        fs::write(at.join("dot."), "").unwrap();
    };
    assert_eq!(differs(&touch, &|at: &Path| fs::remove_file(at.join("dot.")).unwrap()), "");
}

#[test]
fn a_manifest_comes_back_from_its_parts_and_lists_its_folders() {
    let dir = tree();
    symlink("/etc/passwd", dir.path().join("link")).unwrap();
    let fifo = (rustix::fs::FileType::Fifo, Mode::RWXU);
    rustix::fs::mknodat(folder(dir.path()), "queue", fifo.0, fifo.1, 0).unwrap();
    let manifest = walk(dir.path(), &Known::default(), later()).manifest;
    assert_eq!(Manifest::of_parts(&manifest.parts()).unwrap(), manifest);
    let names = |path: &str| manifest.list(path).unwrap().iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" ");
    assert_eq!(names(""), "a empty large lib lib-x lib0 link queue");
    assert_eq!((names("lib").as_str(), names("lib/deep").as_str(), names("empty").as_str()), ("b deep", "c", ""));
    for (path, refusal) in [
        ("b", Refusal::Missing),
        ("a/x", Refusal::NoFolder),
        ("link", Refusal::Link),
        ("link/x", Refusal::Link),
        ("queue", Refusal::Special),
        ("lib/none/x", Refusal::Missing),
    ] {
        assert_eq!(manifest.find(path).unwrap_err(), refusal, "{path}");
    }
    let (large, small) = (manifest.find("large").unwrap(), manifest.find("lib/deep/c").unwrap());
    assert_eq!((large.chunks.len(), small.chunks.len()), (2, 0));
    assert_ne!(large.chunks[0], large.chunks[1]);
    let many = (0..6_000).map(|at| (format!("a-file-with-a-name-{at:08}"), large.clone())).collect();
    let many = Manifest::new(many);
    let parts = many.parts();
    assert!(parts.len() > 1 && parts.iter().all(|part| part.len() <= 1 << 20));
    assert_eq!(Manifest::of_parts(&parts).unwrap(), many);
}

#[test]
fn executions_of_one_image_share_what_it_holds() {
    let (dir, digests) = (tree(), Digests::new(None));
    let walk = || walk(dir.path(), &Known::default(), later()).manifest;
    let parts = walk().pin(GUEST, &walk().parts()).manifest;
    assert_eq!(digests.manifest(&parts), None);
    let (one, other) = (digests.share(&parts, walk()), digests.share(&parts, walk()));
    assert!(Arc::ptr_eq(&one, &other));
    assert_eq!(digests.manifest(&parts).as_ref(), Some(&one));
    drop((one, other));
    assert_eq!(digests.manifest(&parts), None);
}

#[test]
fn what_is_too_large_for_an_image_is_refused_before_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let walk = || scan_up_to(5, folder(dir.path()).as_fd(), GUEST, &Known::default(), later());
    let refused = || walk().map(drop).unwrap_err();
    fs::File::create(dir.path().join("sparse")).unwrap().set_len((8 << 30) + 1).unwrap();
    assert_eq!(refused(), "its files have more than 8589934592 bytes; grant a smaller folder");
    fs::remove_file(dir.path().join("sparse")).unwrap();
    (0..5).for_each(|at| drop(fs::File::create(dir.path().join(at.to_string())).unwrap()));
    assert!(walk().is_ok());
    fs::create_dir(dir.path().join("one more")).unwrap();
    assert_eq!(refused(), "it has more than 5 files and folders; grant a smaller folder");
}

#[test]
fn a_chunk_that_is_not_what_is_pinned_is_not_read() {
    let dir = tree();
    let manifest = walk(dir.path(), &Known::default(), later()).manifest;
    let expected = manifest.find("large").unwrap().chunks[1];
    let read = |number| chunk_at(folder(dir.path()).as_fd(), "large", number, Some(expected));
    assert_eq!(read(1).unwrap(), [LEAD, &[7]].concat());
    assert_eq!(read(0), None);
    fs::write(dir.path().join("large"), vec![8; CHUNK as usize + 1]).unwrap();
    assert_eq!(read(1), None);
    fs::remove_file(dir.path().join("large")).unwrap();
    symlink("a", dir.path().join("large")).unwrap();
    assert_eq!(read(1), None);
}
