//! What each call does, and which steps it takes.

use super::*;

fn begin(disk: &mut Fake) -> (Vfs, Handle) {
    let mut files = Vfs::new(disk.roots());
    let (base, path) = files.preopens().remove(0);
    assert_eq!(path, "/data");
    (files, base)
}

#[test]
fn a_file_is_looked_up_and_read_once_however_small_the_reads() {
    run(async {
        let mut disk = Fake::new().with("/data/a", vec![7; 10_000]);
        let (mut files, base) = begin(&mut disk);
        let file = files.open(&mut disk, base, "a", OLD, READ).await.unwrap();
        for offset in (0..10_000).step_by(100) {
            assert_eq!(files.read(&mut disk, file, offset, 100).await.unwrap(), (vec![7; 100], offset == 9_900));
        }
        files.close(&mut disk, file).await.unwrap();
        assert_eq!(disk.made, ["look /data/a", "read 0 10000 /data/a"]);
        // It is remembered for as long as nobody writes to it.
        let again = files.open(&mut disk, base, "a", OLD, READ).await.unwrap();
        files.read(&mut disk, again, 0, 9).await.unwrap();
        assert_eq!(disk.made[2..], ["look /data/a"]);
    });
}

#[test]
fn a_large_file_is_read_by_the_page() {
    run(async {
        let mut disk = Fake::new().with("/data/a", vec![7; 3 * PAGE as usize + 5]);
        let (mut files, base) = begin(&mut disk);
        let file = files.open(&mut disk, base, "a", OLD, READ).await.unwrap();
        let (bytes, is_end) = files.read(&mut disk, file, 2 * PAGE - 3, 100).await.unwrap();
        assert_eq!((bytes.len(), is_end), (3, false), "to the end of a page");
        let (bytes, is_end) = files.read(&mut disk, file, 3 * PAGE, u64::MAX).await.unwrap();
        assert_eq!((bytes.len(), is_end), (5, true));
        let steps =
            ["look /data/a".to_owned(), format!("read {PAGE} {PAGE} /data/a"), format!("read {} 5 /data/a", 3 * PAGE)];
        assert_eq!(disk.made, steps);
    });
}

#[test]
fn handles_share_what_they_write_and_it_leaves_once() {
    run(async {
        let mut disk = Fake::new().with("/data/log", "0");
        let (mut files, base) = begin(&mut disk);
        let one = files.open(&mut disk, base, "log", OLD, BOTH).await.unwrap();
        let other = files.open(&mut disk, base, "log", NEW, BOTH).await.unwrap();
        let reader = files.open(&mut disk, base, "./log", OLD, READ).await.unwrap();
        for (handle, text) in [(one, "1"), (other, "2"), (one, "3")] {
            files.append(&mut disk, handle, text.as_bytes()).await.unwrap();
        }
        assert_eq!(files.read(&mut disk, reader, 0, 9).await.unwrap().0, b"0123");
        assert!(files.is_same(one, reader));
        for handle in [one, other, reader] {
            files.close(&mut disk, handle).await.unwrap();
        }
        assert_eq!(disk.files["/data/log"].as_deref(), Some(&b"0123"[..]));
        assert_eq!(disk.made.len(), 3, "{:?}", disk.made);
        assert!(disk.made[2].starts_with("append"));
    });
}

#[test]
fn what_is_appended_goes_after_what_others_have_appended() {
    run(async {
        let mut disk = Fake::new().with("/data/log", "0");
        let (mut files, base) = begin(&mut disk);
        let file = files.open(&mut disk, base, "log", OLD, BOTH).await.unwrap();
        files.append(&mut disk, file, b"mine").await.unwrap();
        disk.files.insert("/data/log".into(), Some(b"0theirs".to_vec()));
        files.sync(&mut disk, file).await.unwrap();
        assert_eq!(disk.files["/data/log"].as_deref(), Some(&b"0theirsmine"[..]));
        assert_eq!(files.read(&mut disk, file, 0, 99).await.unwrap().0, b"0theirsmine");
    });
}

#[test]
fn a_removed_file_lives_for_as_long_as_it_is_open() {
    run(async {
        let mut disk = Fake::new().with("/data/a", "old");
        let (mut files, base) = begin(&mut disk);
        let file = files.open(&mut disk, base, "a", OLD, BOTH).await.unwrap();
        files.remove(&mut disk, base, "a", Kind::File).await.unwrap();
        assert_eq!(errno(files.stat_at(&mut disk, base, "a").await), Errno::NoEntry);
        files.write(&mut disk, file, 3, b"er").await.unwrap();
        assert_eq!(files.read(&mut disk, file, 0, 9).await.unwrap().0, b"older");
        let new = files.open(&mut disk, base, "a", NEW, BOTH).await.unwrap();
        assert!(!files.is_same(new, file));
        files.write(&mut disk, new, 0, b"new").await.unwrap();
        files.close(&mut disk, file).await.unwrap();
        files.close(&mut disk, new).await.unwrap();
        assert_eq!(disk.files["/data/a"].as_deref(), Some(&b"new"[..]));
    });
}

#[test]
fn a_file_that_was_created_and_not_saved_is_there_for_the_guest() {
    run(async {
        let mut disk = Fake::new();
        let (mut files, base) = begin(&mut disk);
        files.make_folder(&mut disk, base, "f").await.unwrap();
        let new = files.open(&mut disk, base, "f/new", NEW, BOTH).await.unwrap();
        assert!(!disk.files.contains_key("/data/f/new"));
        assert_eq!(files.stat_at(&mut disk, base, "f/new").await.unwrap().size, 0);
        let exclusive = files.open(&mut disk, base, "f/new", Open { exclusive: true, ..NEW }, BOTH).await;
        assert_eq!(errno(exclusive), Errno::Exist);
        assert_eq!(errno(files.open(&mut disk, base, "f/new/x", NEW, BOTH).await), Errno::NotDirectory);
        assert_eq!(errno(files.remove(&mut disk, base, "f", Kind::Folder).await), Errno::NotEmpty);
        let folder = files.open(&mut disk, base, "f", Open { directory: true, ..OLD }, READ).await.unwrap();
        let list = files.list(&mut disk, folder).await.unwrap();
        assert_eq!(files.next_entry(list).unwrap(), Some(("new".to_owned(), Kind::File)));
        assert_eq!(files.next_entry(list).unwrap(), None);
        files.close_list(list);
        files.rename(&mut disk, (base, "f"), (base, "g")).await.unwrap();
        files.write(&mut disk, new, 0, b"x").await.unwrap();
        files.finish(&mut disk).await.unwrap();
        assert_eq!(disk.files["/data/g/new"].as_deref(), Some(&b"x"[..]));
        assert_eq!(files.stat(&mut disk, folder).await.unwrap().kind, Kind::Folder);
    });
}

#[test]
fn a_file_that_must_be_new_is_there_for_everybody_at_once() {
    run(async {
        let mut disk = Fake::new();
        let (mut files, base) = begin(&mut disk);
        let new = Open { exclusive: true, ..NEW };
        let file = files.open(&mut disk, base, "new", new, BOTH).await.unwrap();
        assert_eq!(disk.files["/data/new"].as_deref(), Some(&b""[..]));
        assert_eq!(errno(files.open(&mut disk, base, "new", new, BOTH).await), Errno::Exist);
        files.write(&mut disk, file, 0, b"x").await.unwrap();
        files.close(&mut disk, file).await.unwrap();
        assert_eq!(disk.files["/data/new"].as_deref(), Some(&b"x"[..]));
        // Somebody else is faster than the look of the guest.
        let mut other = disk.clone();
        other.record.push((
            "look /data/late".to_owned(),
            Outcome::Look(Look { at: None, status: Err(Errno::NoEntry), has_folder: true }),
        ));
        other.files.insert("/data/late".to_owned(), Some(b"theirs".to_vec()));
        assert_eq!(errno(files.open(&mut other, base, "late", new, BOTH).await), Errno::Exist);
        assert_eq!(other.files["/data/late"].as_deref(), Some(&b"theirs"[..]));
        assert_eq!(
            disk.made.iter().filter(|made| made.starts_with("create")).collect::<Vec<_>>(),
            ["create 1 /data/new"]
        );
    });
}

#[test]
fn a_failed_save_is_told_once() {
    run(async {
        let mut disk = Fake::new();
        let (mut files, base) = begin(&mut disk);
        let file = files.open(&mut disk, base, "a", NEW, BOTH).await.unwrap();
        files.write(&mut disk, file, 0, b"x").await.unwrap();
        disk.is_full = true;
        assert_eq!(errno(files.sync_data(&mut disk, file).await), Errno::InsufficientSpace);
        files.sync_data(&mut disk, file).await.unwrap();
        // Who asks for it has it tried again, and a change makes it another file.
        assert_eq!(errno(files.sync(&mut disk, file).await), Errno::InsufficientSpace);
        files.write(&mut disk, file, 0, b"y").await.unwrap();
        assert_eq!(errno(files.sync_data(&mut disk, file).await), Errno::InsufficientSpace);
        files.close(&mut disk, file).await.unwrap();
        assert!(files.unsaved.is_empty());
        // Without anybody to tell, it ends the guest.
        let file = files.open(&mut disk, base, "b", NEW, BOTH).await.unwrap();
        files.write(&mut disk, file, 0, b"x").await.unwrap();
        let Fail::Refused(error) = files.close(&mut disk, file).await.unwrap_err() else { panic!("another error") };
        assert_eq!(error.message, "files write \"/data/b\" (there is no space for it)");
    });
}

#[test]
fn a_root_that_is_read_only_denies_every_change_on_record() {
    run(async {
        let mut disk = Fake::new().with("/data/a", "x");
        disk.roots[0].is_writable = false;
        let (mut files, base) = begin(&mut disk);
        assert!(!base.flags.mutate);
        assert_eq!(errno(files.open(&mut disk, base, "a", OLD, BOTH).await), Errno::Denied);
        assert_eq!(errno(files.open(&mut disk, base, "b", NEW, READ).await), Errno::Denied);
        assert_eq!(errno(files.remove(&mut disk, base, "a", Kind::File).await), Errno::Denied);
        assert_eq!(errno(files.rename(&mut disk, (base, "a"), (base, "b")).await), Errno::Denied);
        assert_eq!(errno(files.make_folder(&mut disk, base, "f").await), Errno::Denied);
        assert_eq!(disk.made.iter().filter(|made| made.starts_with("refuse")).count(), 5);
        assert_eq!(disk.files.len(), 2);
    });
}

#[test]
fn an_entry_that_was_just_listed_is_known_once_and_until_anything_changes() {
    run(async {
        let mut disk = Fake::new().with("/data/a", "xy").with("/data/b", "z").with("/data/c", "");
        let (mut files, base) = begin(&mut disk);
        let list = files.list(&mut disk, base).await.unwrap();
        for name in ["a", "b"] {
            assert_eq!(files.next_entry(list).unwrap(), Some((name.to_owned(), Kind::File)));
            assert_eq!(files.identity_at(&mut disk, base, name).await.unwrap(), format!("/data/{name}"));
            assert_eq!(files.stat_at(&mut disk, base, name).await.unwrap().size, if name == "a" { 2 } else { 1 });
            files.identity_at(&mut disk, base, name).await.unwrap();
        }
        assert_eq!(disk.made, ["list /data"]);
        // Who asks again wants to know what has become of it.
        disk.files.insert("/data/b".to_owned(), Some(b"longer".to_vec()));
        assert_eq!(files.stat_at(&mut disk, base, "b").await.unwrap().size, 6);
        // What was read before the last one is not remembered, nor is what the guest has changed since.
        files.stat_at(&mut disk, base, "a").await.unwrap();
        files.next_entry(list).unwrap();
        files.remove(&mut disk, base, "c", Kind::File).await.unwrap();
        assert_eq!(errno(files.stat_at(&mut disk, base, "c").await), Errno::NoEntry);
        assert_eq!(errno(files.identity_at(&mut disk, base, "c").await), Errno::NoEntry);
        assert_eq!(disk.made[1..], ["look /data/b", "look /data/a", "remove /data/c", "look /data/c", "look /data/c"]);
    });
}
