//! Lines that are written together.

use super::*;
use std::fs;
use std::ops::Range;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

impl Fixture {
    fn batch(&self, steps: Range<u64>) -> Batch {
        let mut batch = Batch::default();
        steps.for_each(|step| batch.decision(&self.entry(step, "/a")));
        batch
    }
}

#[test]
fn a_batch_is_written_as_its_lines_one_by_one_would_be() {
    let (together, alone) = (Fixture::new(), Fixture::new());
    let (log, mut batch) = (alone.write(1), Batch::default());
    together.write(1);
    let entries = [
        alone.entry(1, "/plain"),
        Entry { time_ms: 7, decision: Decision::Ask, ..alone.entry(u64::MAX, "/\"\n") },
        Entry { time_ms: u64::MAX, approver: Some("ann"), ..alone.entry(10, "") },
    ];
    for entry in entries {
        batch.decision(&entry);
        batch.outcome(&alone.outcome(3));
        log.record(entry).unwrap();
        log.outcome(alone.outcome(3)).unwrap();
    }
    Log::open(&together.path()).unwrap().write(&batch).unwrap();
    assert_eq!(together.bytes(), alone.bytes());
    let times = together.lines().into_iter().map(|line| line["time"].clone()).collect::<Vec<_>>();
    assert_eq!((&times[3], &times[4]), (&"1970-01-01T00:00:00.007Z".into(), &times[2]));
    batch.clear();
    assert!(batch.is_empty() && batch.length() == 0);
    Log::open(&together.path()).unwrap().write(&batch).unwrap();
    assert_eq!(together.bytes(), alone.bytes());
}

#[test]
fn a_batch_torn_at_any_byte_keeps_its_whole_lines() {
    let fixture = Fixture::new();
    let log = fixture.write(2);
    let before = fixture.bytes().len();
    log.write(&fixture.batch(2..5)).unwrap();
    let whole = fixture.bytes();
    for length in before..=whole.len() {
        fs::write(fixture.path(), &whole[..before]).unwrap();
        let log = Log::open(&fixture.path()).unwrap();
        // Another host begins to write the batch, and is killed.
        let mut file = fs::OpenOptions::new().append(true).open(fixture.path()).unwrap();
        io::Write::write_all(&mut file, &whole[before..length]).unwrap();
        log.write(&fixture.batch(7..9)).unwrap();
        Log::open(&fixture.path()).unwrap().write(&fixture.batch(10..12)).unwrap();
        let steps: Vec<_> = fixture.lines().iter().map(|line| line["step"].as_u64().unwrap()).collect();
        // A line that lacks its newline only is whole.
        let kept = (0..5).filter(|n| length + 1 >= (*n as usize + 1) * whole.len() / 5);
        assert_eq!(steps, kept.chain([7, 8, 10, 11]).collect::<Vec<_>>(), "cut at {length}");
        let is_torn = ![0, whole.len() / 5 - 1].contains(&(length % (whole.len() / 5)));
        assert_eq!(fixture.verified().unwrap().torn, u64::from(is_torn), "cut at {length}");
    }
}

#[test]
fn a_batch_that_a_full_disk_tears_is_an_error_and_the_chain_goes_on_later() {
    let fixture = Fixture::new();
    let log = fixture.write(2);
    let room = fixture.bytes().len() as u64;
    // A limit of this process: no other test of it may run meanwhile, hence a process of its own.
    let child = Command::new("/bin/sh")
        .args(["-c", &format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", room / 512 + 5)])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture"])
        .arg(format!("{}::beyond_the_limit", module_path!().split_once("::").unwrap().1))
        .env("EVERSTEP_TEST_LOG", fixture.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{child:?}");
    assert!(!fixture.bytes().ends_with(b"\n"), "a part of a line was written");
    log.write(&fixture.batch(90..92)).unwrap();
    let steps: Vec<_> = fixture.lines().iter().map(|line| line["step"].as_u64().unwrap()).collect();
    let torn = steps.len() - 4;
    assert!((3..8).contains(&torn), "{steps:?}");
    assert_eq!(steps, (0..2).chain(20..20 + torn as u64).chain(90..92).collect::<Vec<_>>());
    assert_eq!(fixture.verified().unwrap().torn, 1);
}

#[test]
#[ignore = "run by a_batch_that_a_full_disk_tears_is_an_error_and_the_chain_goes_on_later"]
fn beyond_the_limit() {
    let fixture = Fixture::new();
    let log = Log::open(Path::new(&std::env::var_os("EVERSTEP_TEST_LOG").unwrap())).unwrap();
    assert_eq!(log.write(&fixture.batch(20..40)).unwrap_err().kind(), io::ErrorKind::WriteZero);
    assert_eq!(log.write(&fixture.batch(40..60)).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    assert!(!log.is_sound());
}

#[test]
fn a_log_is_taken_to_be_writable_once_it_has_shown_that() {
    let fixture = Fixture::new();
    let log = Log::open(&fixture.path()).unwrap();
    assert!(!log.is_sound());
    log.record(fixture.entry(0, "/a")).unwrap();
    assert!(log.is_sound());
    // A folder in its place: it is not the log any more, and cannot be opened.
    fs::rename(fixture.path(), fixture.folder.path().join("audit.jsonl.0")).unwrap();
    fs::create_dir(fixture.path()).unwrap();
    log.write(&fixture.batch(1..3)).unwrap_err();
    assert!(!log.is_sound());
    fs::remove_dir(fixture.path()).unwrap();
    for step in 1..=u64::from(DOUBTS) {
        assert!(!log.is_sound(), "{step}");
        log.record(fixture.entry(step, "/a")).unwrap();
    }
    assert!(log.is_sound());
    assert_eq!(fixture.lines().len(), DOUBTS as usize + 1, "with a link");
}

#[test]
fn batches_of_several_hosts_stay_whole_while_the_log_is_rotated() {
    const LINES: u64 = 7;
    let fixture = Fixture::new();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let fixture = &fixture;
                scope.spawn(move || {
                    let log = Log::open(&fixture.path()).unwrap();
                    for batch in 0..200 {
                        let first = (writer * 1_000 + batch) * LINES;
                        log.write(&fixture.batch(first..first + LINES)).unwrap();
                    }
                })
            })
            .collect();
        let rotator = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // There may be no line yet.
                let _ = rotate(&fixture.path(), 7);
            }
        });
        let ended: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        over.store(true, Ordering::Relaxed);
        rotator.join().unwrap();
        ended.into_iter().for_each(|ended| ended.unwrap());
    });
    let proof = fixture.verified().unwrap();
    assert!(proof.files.len() > 1 && proof.torn == 0, "{proof:?}");
    let mut batches = Vec::new();
    for file in &proof.files {
        let lines: Vec<_> = Lines::open(file).unwrap().map(|line| line.unwrap().1).collect();
        let steps: Vec<_> = lines.iter().filter(|line| line.decision != "link").map(|line| line.step).collect();
        for batch in steps.chunks(LINES as usize) {
            assert_eq!(batch, (batch[0]..batch[0] + LINES).collect::<Vec<_>>());
            batches.push(batch[0] / LINES);
        }
    }
    batches.sort_unstable();
    assert_eq!(
        batches,
        (0..4).flat_map(|writer| (0..200).map(move |batch| writer * 1_000 + batch)).collect::<Vec<_>>()
    );
}
