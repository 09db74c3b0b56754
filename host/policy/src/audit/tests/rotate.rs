//! The chain across files: rotated by this program, by another one, while hosts write, and cut by those that get it wrong.

use super::*;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

impl Fixture {
    fn part(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As logrotate does it.
    fn move_away(&self, name: &str) {
        fs::rename(self.path(), self.part(name)).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The steps of all lines in the order of the chain.
    fn steps(&self, files: &[&str]) -> Vec<u64> {
        let lines = files.iter().flat_map(|file| Lines::open(&self.part(file)).unwrap()).map(|line| line.unwrap().1);
        lines.filter(|line| line.decision != "link").map(|line| line.step).collect()
    }
}

#[test]
fn a_host_goes_on_in_a_new_file_when_the_log_is_moved_away() {
    let fixture = Fixture::new();
    let log = fixture.write(3);
    let last = fixture.verified().unwrap().last.unwrap();
    fixture.move_away("audit.jsonl.1");
    log.record(fixture.entry(3, "/a")).unwrap();
    log.record(fixture.entry(4, "/a")).unwrap();
    let first = fs::read_to_string(fixture.path()).unwrap().lines().next().unwrap().to_owned();
    let body = format!(
        r#"{{"time":"2026-01-31T12:00:00.007Z","sequence":3,"previous":"{}","decision":"link","after":2"#,
        hex::encode(last.hash)
    );
    assert_eq!(first, format!("{body},\"check\":\"{:08x}\"}}", crc32fast::hash(body.as_bytes())));
    let summary = fixture.verified().unwrap();
    assert_eq!(summary.files, [fixture.part("audit.jsonl.1"), fixture.path()]);
    assert_eq!((summary.lines, summary.after, summary.last.unwrap().sequence), (6, None, 5));
    assert_eq!(fixture.steps(&["audit.jsonl.1", "audit.jsonl"]), [0, 1, 2, 3, 4]);
    // The later file alone says what it continues; in the wrong order they are no chain.
    fs::rename(fixture.part("audit.jsonl.1"), fixture.part("elsewhere")).unwrap();
    assert_eq!(fixture.verified().unwrap().after, Some(last));
    assert_eq!(fixture.broken(&["audit.jsonl", "elsewhere"]).1, What::Anew { due: 6 });
    assert!(super::super::verify(&[fixture.part("elsewhere"), fixture.path()], None).is_ok());
}

#[test]
fn a_host_links_to_what_it_wrote_wherever_that_was_moved() {
    let fixture = Fixture::new();
    let log = fixture.write(2);
    fs::create_dir(fixture.part("old")).unwrap();
    fixture.move_away("old/log");
    log.record(fixture.entry(2, "/a")).unwrap();
    fs::remove_file(fixture.path()).unwrap();
    // An empty file is put in its place, as logrotate's `create` does.
    fs::write(fixture.path(), "").unwrap();
    log.record(fixture.entry(3, "/a")).unwrap();
    let after = fixture.verified().unwrap().after.unwrap();
    assert_eq!(after.sequence, 3);
}

#[test]
fn a_host_that_starts_later_finds_the_part_beside_it() {
    let fixture = Fixture::new();
    for (round, part) in ["audit.jsonl.2", "audit.jsonl.1"].into_iter().enumerate() {
        let log = Log::open(&fixture.path()).unwrap();
        log.record(fixture.entry(round as u64, "/a")).unwrap();
        drop(log);
        fixture.move_away(part);
    }
    // None of these is a part of the log.
    fs::write(fixture.part("audit.jsonl.gz"), [7; 100]).unwrap();
    fs::create_dir(fixture.part("audit.jsonl.d")).unwrap();
    fs::write(fixture.part("audit.jsonl-9"), "").unwrap();
    fs::write(fixture.part("audit.jsonl.9"), "").unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, fixture.part("audit.jsonl.fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    for created in [false, true] {
        if created {
            fs::write(fixture.path(), "").unwrap();
        }
        Log::open(&fixture.path()).unwrap().record(fixture.entry(2, "/a")).unwrap();
        let summary = fixture.verified().unwrap();
        assert_eq!(summary.files, ["audit.jsonl.2", "audit.jsonl.1", "audit.jsonl"].map(|name| fixture.part(name)));
        assert_eq!(summary.lines, 5);
        fs::remove_file(fixture.path()).unwrap();
    }
}

#[test]
fn a_chain_whose_past_is_gone_begins_anew_and_that_shows() {
    let fixture = Fixture::new();
    drop(fixture.write(2));
    fs::create_dir(fixture.part("old")).unwrap();
    fixture.move_away("old/log");
    Log::open(&fixture.path()).unwrap().record(fixture.entry(2, "/a")).unwrap();
    let summary = fixture.verified().unwrap();
    assert_eq!((summary.after, summary.lines), (None, 1));
    let found = fixture.broken(&["old/log", "audit.jsonl"]);
    assert_eq!(found, ("audit.jsonl:1".to_owned(), What::Anew { due: 2 }));
}

#[test]
fn truncation_in_place_breaks_the_chain() {
    let fixture = Fixture::new();
    let log = fixture.write(3);
    let whole = fixture.bytes();
    // As logrotate's `copytruncate` does it.
    fs::copy(fixture.path(), fixture.part("copy")).unwrap();
    fs::OpenOptions::new().write(true).truncate(true).open(fixture.path()).unwrap();
    log.record(fixture.entry(3, "/a")).unwrap();
    assert_eq!(fixture.broken(&["audit.jsonl"]), ("audit.jsonl:1".to_owned(), What::Beginning));
    assert_eq!(fixture.broken(&["copy", "audit.jsonl"]), ("audit.jsonl:1".to_owned(), What::Beginning));
    // Whole lines and pieces of lines that are cut off under a host that knows them; more than the last line break, which it
    // would put back.
    for length in 1..whole.len() - 1 {
        let _ = fs::remove_file(fixture.path());
        let log = fixture.write(3);
        assert_eq!(fixture.bytes(), whole);
        fs::OpenOptions::new().write(true).open(fixture.path()).unwrap().set_len(length as u64).unwrap();
        log.record(fixture.entry(3, "/a")).unwrap();
        fixture.broken(&["audit.jsonl"]);
    }
}

#[test]
fn rotating_names_the_part_after_its_first_line() {
    let fixture = Fixture::new();
    let log = fixture.write(3);
    fs::set_permissions(fixture.path(), std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    let last = fixture.verified().unwrap().last.unwrap();
    let rotated = super::super::rotate(&fixture.path(), 1_769_860_800_000).unwrap();
    assert_eq!(rotated, Rotated { part: fixture.part("audit.jsonl.0"), last });
    assert_eq!(fixture.names(), ["audit.jsonl", "audit.jsonl.0"]);
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&fs::metadata(fixture.path()).unwrap()) & 0o777, 0o640);
    assert_eq!(fixture.verified().unwrap().lines, 4);
    (3..5).for_each(|step| log.record(fixture.entry(step, "/a")).unwrap());
    let rotated = super::super::rotate(&fixture.path(), 1_769_860_800_000).unwrap();
    assert_eq!(rotated.part, fixture.part("audit.jsonl.3"));
    Log::open(&fixture.path()).unwrap().record(fixture.entry(5, "/a")).unwrap();
    log.record(fixture.entry(6, "/a")).unwrap();
    assert_eq!(fixture.steps(&["audit.jsonl.0", "audit.jsonl.3", "audit.jsonl"]), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(fixture.verified().unwrap().lines, 9);
}

#[test]
fn rotation_loses_nothing_when_it_is_refused_or_interrupted() {
    let fixture = Fixture::new();
    let rotate = || super::super::rotate(&fixture.path(), 0);
    assert!(matches!(rotate(), Err(NotRotated::Io { .. })));
    let log = fixture.write(0);
    assert!(matches!(rotate(), Err(NotRotated::Empty { .. })));
    log.record(fixture.entry(0, "/a")).unwrap();
    fs::write(fixture.part("audit.jsonl.0"), "mine").unwrap();
    let error = rotate().unwrap_err();
    assert!(error.to_string().ends_with("audit.jsonl.0 exists; move it away and rotate again"), "{error}");
    assert_eq!(fixture.names(), ["audit.jsonl", "audit.jsonl.0"]);
    fs::remove_file(fixture.part("audit.jsonl.0")).unwrap();
    // Interrupted between its two steps: the new file was never put in place.
    fs::write(fixture.part(".audit.jsonl.next"), "left").unwrap();
    fixture.move_away("audit.jsonl.0");
    log.record(fixture.entry(1, "/a")).unwrap();
    assert_eq!(fixture.verified().unwrap().lines, 3);
    rotate().unwrap();
    assert_eq!(fixture.names(), ["audit.jsonl", "audit.jsonl.0", "audit.jsonl.1"]);
    assert_eq!(fixture.verified().unwrap().lines, 4);
    assert!(super::super::rotate(Path::new("/dev/null"), 0).is_err());
}

#[test]
fn a_torn_line_is_vouched_for_across_a_rotation() {
    let fixture = Fixture::new();
    let tear = |bytes: &[u8]| {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(fixture.path()).unwrap();
        std::io::Write::write_all(&mut file, bytes).unwrap();
    };
    drop(fixture.write(2));
    tear(b"{\"time");
    fixture.move_away("audit.jsonl.old");
    // The link itself was torn as well.
    tear(b"{\"ti");
    Log::open(&fixture.path()).unwrap().record(fixture.entry(2, "/a")).unwrap();
    let summary = fixture.verified().unwrap();
    assert_eq!((summary.lines, summary.torn), (4, 2));
    assert_eq!(summary.torn_at, [Place { file: fixture.part("audit.jsonl.old"), line: 3 }]);
    tear(b"xy");
    super::super::rotate(&fixture.path(), 0).unwrap();
    assert_eq!(fixture.verified().unwrap().torn, 3);
}

#[test]
fn hosts_and_threads_lose_no_line_while_the_log_is_rotated() {
    const ROTATIONS: u64 = 20;
    let fixture = Fixture::new();
    let logs = [Log::open(&fixture.path()).unwrap(), Log::open(&fixture.path()).unwrap()];
    let step = AtomicU64::new(0);
    let write = |log: &Log| log.record(fixture.entry(step.fetch_add(1, Ordering::Relaxed), "/a")).unwrap();
    let done = AtomicBool::new(false);
    write(&logs[0]);
    // As we do it and as logrotate does it; either may find that the other was faster.
    let by_us = || super::super::rotate(&fixture.path(), 0).is_ok();
    let by_another = |round| fs::rename(fixture.path(), fixture.part(&format!("audit.jsonl.x{round}"))).is_ok();
    let rotate = |rotate: &dyn Fn(u64) -> bool| {
        let mut rotations = 0;
        while rotations < ROTATIONS {
            rotations += u64::from(rotate(rotations));
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    std::thread::scope(|scope| {
        for log in logs.iter().cycle().take(4) {
            let (write, done) = (&write, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    write(log);
                }
            });
        }
        let reader = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                fixture.verified().unwrap();
            }
        });
        let rotations = [scope.spawn(|| rotate(&|_| by_us())), scope.spawn(|| rotate(&by_another))];
        let ends = rotations.map(ScopedJoinHandle::join);
        done.store(true, Ordering::Relaxed);
        ends.into_iter().for_each(Result::unwrap);
        reader.join().unwrap();
    });
    logs.iter().for_each(write);
    let files = fixture.verified().unwrap().files;
    assert!(files.len() as u64 > ROTATIONS, "{}", files.len());
    let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    let mut steps = fixture.steps(&names);
    steps.sort_unstable();
    assert_eq!(steps, (0..step.into_inner()).collect::<Vec<_>>());
}
