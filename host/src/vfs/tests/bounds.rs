//! What bounds the files: memory, sizes, quotas.

use super::*;

#[test]
fn a_file_larger_than_the_memory_is_read_and_written_in_parts() {
    run(async {
        let size = 12 * PAGE;
        let content: Vec<u8> = (0..size).map(|at| (at / 4096) as u8).collect();
        let mut disk = Fake::new().with("/data/a", content.clone());
        disk.room = 4 * PAGE;
        let mut files = Vfs::new(disk.roots());
        let (base, _) = files.preopens().remove(0);
        let source = files.open(&mut disk, base, "a", OLD, READ).await.unwrap();
        let target = files.open(&mut disk, base, "b", NEW, BOTH).await.unwrap();
        let mut at = 0;
        while at < size {
            let (bytes, _) = files.read(&mut disk, source, at, 300_000).await.unwrap();
            files.append(&mut disk, target, &bytes).await.unwrap();
            at += bytes.len() as u64;
            assert!(files.held() <= disk.room);
        }
        files.close(&mut disk, target).await.unwrap();
        assert_eq!(disk.files["/data/b"].as_ref(), Some(&content));
        let reads = disk.made.iter().filter(|made| made.starts_with("read")).count();
        assert_eq!(reads, 12, "each page of the source once, and nothing of the target");
    });
}

#[test]
fn an_impossible_size_is_an_error_and_takes_no_memory() {
    run(async {
        let mut disk = Fake::new();
        disk.roots[0].max_file = 1 << 30;
        let mut files = Vfs::new(disk.roots());
        let (base, _) = files.preopens().remove(0);
        let file = files.open(&mut disk, base, "a", NEW, BOTH).await.unwrap();
        for size in [1 << 62, u64::MAX, (1 << 30) + 1] {
            assert_eq!(errno(files.set_size(&mut disk, file, size).await), Errno::FileTooLarge);
            assert_eq!(errno(files.write(&mut disk, file, size, b"x").await), Errno::FileTooLarge);
        }
        files.set_size(&mut disk, file, 1 << 30).await.unwrap();
        assert_eq!(files.read(&mut disk, file, 1 << 29, 3).await.unwrap(), (vec![0; 3], false));
        assert_eq!(files.read(&mut disk, file, u64::MAX, u64::MAX).await.unwrap(), (vec![], true));
        assert!(files.held() < 10_000);
        // In memory, it would have to be there as a whole.
        disk.roots[0].in_memory = true;
        let mut files = Vfs::new(disk.roots());
        let (base, _) = files.preopens().remove(0);
        let file = files.open(&mut disk, base, "b", NEW, BOTH).await.unwrap();
        assert_eq!(errno(files.set_size(&mut disk, file, 1 << 30).await), Errno::InsufficientSpace);
    });
}

#[test]
fn nothing_is_taken_beyond_the_memory_and_what_fails_can_be_tried_again() {
    run(async {
        let mut disk = Fake::new();
        disk.roots[0].in_memory = true;
        disk.room = 3 * PAGE;
        let mut files = Vfs::new(disk.roots());
        let (base, _) = files.preopens().remove(0);
        let file = files.open(&mut disk, base, "a", NEW, BOTH).await.unwrap();
        let page = vec![1; PAGE as usize];
        files.append(&mut disk, file, &page).await.unwrap();
        files.append(&mut disk, file, &page).await.unwrap();
        assert_eq!(errno(files.append(&mut disk, file, &page).await), Errno::InsufficientSpace);
        assert_eq!(files.stat(&mut disk, file).await.unwrap().size, 2 * PAGE);
        disk.room = 4 * PAGE;
        files.append(&mut disk, file, &page).await.unwrap();
        files.close(&mut disk, file).await.unwrap();
        assert_eq!(disk.files["/data/a"].as_ref().unwrap().len(), 3 * PAGE as usize);
        assert!(files.shrink(1 << 10), "what is saved can be read again");
        disk.room = 0;
        assert_eq!(errno(files.open(&mut disk, base, "b", NEW, BOTH).await), Errno::InsufficientMemory);
    });
}

#[test]
fn a_quota_is_an_error_before_anything_is_written() {
    run(async {
        let mut disk = Fake::new();
        disk.quota = Some(100);
        let mut files = Vfs::new(disk.roots());
        let (base, _) = files.preopens().remove(0);
        let one = files.open(&mut disk, base, "one", NEW, BOTH).await.unwrap();
        let two = files.open(&mut disk, base, "two", NEW, BOTH).await.unwrap();
        files.write(&mut disk, one, 0, &[1; 60]).await.unwrap();
        assert_eq!(errno(files.write(&mut disk, two, 0, &[1; 60]).await), Errno::Quota);
        files.write(&mut disk, two, 0, &[1; 40]).await.unwrap();
        assert_eq!(disk.made.last().unwrap(), "refuse 120 /data/two");
        files.finish(&mut disk).await.unwrap();
        assert_eq!(disk.files["/data/two"].as_ref().unwrap().len(), 40);
    });
}

#[test]
fn lists_and_handles_that_are_dropped_take_nothing() {
    run(async {
        let mut disk = Fake::new().with("/data/a", "x");
        let mut files = Vfs::new(disk.roots());
        let (base, _) = files.preopens().remove(0);
        let before = files.held();
        for _ in 0..3 {
            let list = files.list(&mut disk, base).await.unwrap();
            assert!(files.held() > before);
            files.close_list(list);
            let file = files.open(&mut disk, base, "a", OLD, READ).await.unwrap();
            files.close(&mut disk, file).await.unwrap();
        }
        assert_eq!(files.held(), before);
        files.close(&mut disk, base).await.unwrap();
        assert_eq!((files.held(), files.nodes.len()), (0, 0));
    });
}

#[test]
fn a_change_that_makes_a_file_leave_as_a_whole_is_refused_by_a_quota_before_it_is_made() {
    run(async {
        let mut disk = Fake::new().with("/data/a", [7; 40]).with("/data/b", [7; 40]);
        disk.quota = Some(50);
        let mut files = Vfs::new(disk.roots());
        let (base, _) = files.preopens().remove(0);
        let mut open = Vec::new();
        for name in ["a", "b"] {
            let file = files.open(&mut disk, base, name, OLD, BOTH).await.unwrap();
            files.read(&mut disk, file, 0, 40).await.unwrap();
            open.push(file);
        }
        files.write(&mut disk, open[0], 0, b"x").await.unwrap();
        assert_eq!(errno(files.write(&mut disk, open[1], 0, b"x").await), Errno::Quota);
        // What is added leaves alone.
        files.append(&mut disk, open[1], b"x").await.unwrap();
        for file in open {
            files.close(&mut disk, file).await.unwrap();
        }
        assert!(disk.made.last().unwrap().starts_with("append"), "{:?}", disk.made);
    });
}
