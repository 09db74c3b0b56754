//! The log on real files. `batch`, `verify` and `rotate` build on the fixture here.

mod batch;
#[path = "../../../words/src/hostile_texts.rs"]
mod hostile;
mod rotate;
mod verify;

use super::*;
use everstep_words::id::Digest;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;

struct Fixture {
    folder: tempfile::TempDir,
    execution: ExecutionId,
    policy: Digest,
}

impl Fixture {
    fn new() -> Self {
        let execution = ExecutionId::new("order:7").unwrap();
        Self { folder: tempfile::tempdir().unwrap(), execution, policy: Digest::of(b"policy") }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit.jsonl")
    }

    fn entry<'a>(&'a self, step: u64, subject: &'a str) -> Entry<'a> {
        let (execution, policy) = (&self.execution, &self.policy);
        let (rule, capability, decision) = ("data", "files.read", Decision::Deny);
        let (time_ms, approver) = (1_769_860_800_007, None);
        Entry { time_ms, execution, step, policy, rule, capability, subject, decision, bytes: 3, approver }
    }

    /// The outcome of such a step.
    fn outcome(&self, step: u64) -> Outcome<'_> {
        let (execution, policy, address) = (&self.execution, &self.policy, "[2001:db8::7]:443".parse().ok());
        let (bytes, duration_ms, result) = (1_500, 20, "ok");
        Outcome { time_ms: 1_769_860_800_027, execution, step, policy, address, bytes, duration_ms, result }
    }

    /// A log with so many lines.
    fn write(&self, lines: u64) -> Log {
        let log = Log::open(&self.path()).unwrap();
        (0..lines).for_each(|step| log.record(self.entry(step, "/a")).unwrap());
        log
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.path()).unwrap()
    }

    fn verified(&self) -> Result<Summary, Unverified> {
        super::verify(&[self.path()], None)
    }

    /// Where the chain breaks, below the folder, and how.
    fn broken(&self, files: &[&str]) -> (String, What) {
        let files: Vec<_> = files.iter().map(|file| self.folder.path().join(file)).collect();
        match super::verify(&files, None) {
            Err(Unverified::Bad(BadLine { place, what })) => {
                let file = place.file.strip_prefix(self.folder.path()).unwrap();
                (format!("{}:{}", file.display(), place.line), what)
            }
            other => panic!("{other:?}"),
        }
    }

    /// The lines that can be read; the chain over all of them must hold.
    fn lines(&self) -> Vec<Value> {
        self.verified().unwrap();
        let bytes = self.bytes();
        bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }
}

#[test]
fn a_line_holds_the_decision() {
    let fixture = Fixture::new();
    let log = Log::open(&fixture.path()).unwrap();
    log.record(fixture.entry(3, "/etc/\"pass\\wd\"\n\u{202e}")).unwrap();
    let (id, policy, zeros) = (id(&fixture.execution, 3), fixture.policy, "0".repeat(64));
    let body = format!(
        r#"{{"time":"2026-01-31T12:00:00.007Z","sequence":0,"previous":"{zeros}","id":"{id}","execution":"order:7","step":3,"policy":"{policy}","rule":"data","capability":"files.read","subject":"/etc/\\\"pass\\\\wd\\\"\\n\\u{{202e}}","decision":"deny","bytes":3"#,
    );
    let line = format!("{body},\"check\":\"{:08x}\"}}", crc32fast::hash(body.as_bytes()));
    assert_eq!(std::fs::read_to_string(fixture.path()).unwrap(), format!("{line}\n"));
    fixture.lines();
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(fixture.path()).unwrap());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_line_names_who_approved_and_what_came_of_it() {
    let fixture = Fixture::new();
    let log = Log::open(&fixture.path()).unwrap();
    let asked = Entry { decision: Decision::Ask, ..fixture.entry(3, "/a") };
    log.record(asked).unwrap();
    log.record(Entry { decision: Decision::Allow, approver: Some("ann\n\"\u{1b}"), ..asked }).unwrap();
    log.outcome(fixture.outcome(3)).unwrap();
    log.outcome(Outcome { address: None, result: "\u{7}failed", ..fixture.outcome(4) }).unwrap();
    let lines = fixture.lines();
    let of = |key: &str| lines.iter().map(|line| line[key].to_string()).collect::<Vec<_>>();
    assert_eq!(of("decision"), ["\"ask\"", "\"allow\"", "\"outcome\"", "\"outcome\""]);
    assert_eq!(of("approver"), ["null", r#""ann\\n\\\"\\u{1b}""#, "null", "null"]);
    assert!(lines[0].get("approver").is_none() && lines[3].get("address").is_none());
    assert_eq!(of("address"), ["null", "null", "\"[2001:db8::7]:443\"", "null"]);
    assert_eq!(of("duration_ms"), ["null", "null", "20", "20"]);
    assert_eq!(of("bytes"), ["3", "3", "1500", "1500"]);
    assert_eq!(of("result"), ["null", "null", "\"ok\"", r#""\\u{7}failed""#]);
    assert_eq!(lines[2]["id"], id(&fixture.execution, 3));
}

#[test]
fn an_id_is_short_and_always_the_same() {
    let execution = ExecutionId::new("e").unwrap();
    assert_eq!(id(&execution, 1), id(&execution, 1));
    assert_ne!(id(&execution, 1), id(&execution, 2));
    assert_eq!(id(&execution, 1).len(), 8);
}

#[test]
fn hostile_subjects_stay_on_one_short_line() {
    let fixture = Fixture::new();
    let log = Log::open(&fixture.path()).unwrap();
    let subjects = ["\n{}", "\u{2028}", "\0", "\u{1b}[31m", "\"},", "\u{7f}", "ü", "\\", &"\\".repeat(100_000)];
    for (step, subject) in subjects.iter().enumerate() {
        log.record(fixture.entry(step as u64, subject)).unwrap();
    }
    assert_eq!(fixture.lines().len(), subjects.len());
    let text = std::fs::read_to_string(fixture.path()).unwrap();
    assert!(text.lines().all(|line| line.len() < 1024 && !line.chars().any(char::is_control)));
}

#[test]
fn reopening_continues_the_chain() {
    let fixture = Fixture::new();
    for step in 0..200 {
        let log = Log::open(&fixture.path()).unwrap();
        log.record(fixture.entry(step, "/a")).unwrap();
        log.record(fixture.entry(step, "/b")).unwrap();
    }
    assert_eq!(fixture.lines().len(), 400);
}

#[test]
fn a_log_cut_at_any_byte_is_continued() {
    let fixture = Fixture::new();
    let log = Log::open(&fixture.path()).unwrap();
    for step in 0..3 {
        log.record(fixture.entry(step, "/a")).unwrap();
    }
    let whole = std::fs::read(fixture.path()).unwrap();
    for length in 0..=whole.len() {
        std::fs::write(fixture.path(), &whole[..length]).unwrap();
        let log = Log::open(&fixture.path()).unwrap();
        log.record(fixture.entry(9, "/b")).unwrap();
        let lines = fixture.lines();
        assert_eq!(lines.last().unwrap()["step"], 9);
        // A line that lacks its newline only is whole.
        let kept = (1..=3).filter(|n| length + 1 >= n * whole.len() / 3).count();
        assert_eq!(lines.len(), kept + 1, "cut at {length}");
    }
}

#[test]
fn garbage_longer_than_the_window_is_chained_over() {
    let fixture = Fixture::new();
    Log::open(&fixture.path()).unwrap().record(fixture.entry(0, "/a")).unwrap();
    let mut bytes = std::fs::read(fixture.path()).unwrap();
    bytes.extend(vec![b'x'; 100_000]);
    bytes.push(b'\n');
    bytes.extend(vec![0xff; 50_000]);
    std::fs::write(fixture.path(), bytes).unwrap();
    Log::open(&fixture.path()).unwrap().record(fixture.entry(1, "/b")).unwrap();
    assert_eq!(fixture.lines().len(), 2);
}

#[test]
fn hosts_and_threads_share_one_log() {
    let fixture = Fixture::new();
    let logs = [Log::open(&fixture.path()).unwrap(), Log::open(&fixture.path()).unwrap()];
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (log, fixture) = (&logs[thread % 2], &fixture);
            scope.spawn(move || (0..100).for_each(|step| log.record(fixture.entry(step, "/a")).unwrap()));
        }
    });
    assert_eq!(fixture.lines().len(), 400);
}

#[test]
fn a_log_that_cannot_be_opened_says_so() {
    let fixture = Fixture::new();
    let path = fixture.folder.path().join("missing/audit.jsonl");
    let error = Log::open(&path).unwrap_err().to_string();
    let expected = "; its folder must exist and be writable";
    assert_eq!(error, format!("cannot open the audit log {}{expected}", path.display()));
    assert!(Log::open(fixture.folder.path()).is_err());
    let fifo = fixture.folder.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(Log::open(&fifo).is_err());
}

#[test]
fn a_full_disk_is_an_error_of_the_record() {
    let fixture = Fixture::new();
    let log = Log::open(Path::new("/dev/full")).unwrap();
    assert_eq!(log.record(fixture.entry(0, "/a")).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert!(log.record(fixture.entry(1, "/a")).is_err());
    assert!(log.outcome(fixture.outcome(1)).is_err());
}

#[test]
fn a_file_that_may_not_grow_is_an_error_of_the_record_and_the_chain_goes_on_later() {
    let fixture = Fixture::new();
    let log = fixture.write(2);
    let room = fixture.bytes().len() as u64;
    // A limit of this process: no other test of it may run meanwhile, hence a process of its own.
    let child = std::process::Command::new("/bin/sh")
        .args(["-c", &format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", room / 512 + 1)])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--ignored",
            "--nocapture",
            &format!("{}::until_the_limit", module_path!().split_once("::").unwrap().1),
        ])
        .env("EVERSTEP_TEST_LOG", fixture.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{child:?}");
    assert!(fixture.bytes().len() as u64 > room && !fixture.bytes().ends_with(b"\n"), "a part of a line was written");
    log.record(fixture.entry(9, "/b")).unwrap();
    let lines = fixture.lines();
    assert_eq!(lines.last().unwrap()["step"], 9);
    assert_eq!(fixture.verified().unwrap().torn, 1);
}

#[test]
#[ignore = "run by a_file_that_may_not_grow_is_an_error_of_the_record_and_the_chain_goes_on_later"]
fn until_the_limit() {
    let fixture = Fixture::new();
    let log = Log::open(Path::new(&std::env::var_os("EVERSTEP_TEST_LOG").unwrap())).unwrap();
    let errors = (0..20).filter_map(|step| log.record(fixture.entry(step, "/limited")).err()).collect::<Vec<_>>();
    assert!(errors.len() >= 18, "{errors:?}");
    assert!(errors[1..].iter().all(|error| error.kind() == io::ErrorKind::FileTooLarge), "{errors:?}");
}

#[test]
fn a_decision_is_found_under_its_id() {
    let fixture = Fixture::new();
    let log = fixture.write(3);
    log.record(Entry { decision: Decision::Allow, approver: Some("ann"), ..fixture.entry(1, "/later") }).unwrap();
    log.outcome(fixture.outcome(1)).unwrap();
    log.outcome(fixture.outcome(7)).unwrap();
    let find = |step| super::find(&fixture.path(), &id(&fixture.execution, step)).unwrap();
    let found = find(1).unwrap();
    assert_eq!(found.place, Place { file: fixture.path(), line: 4 });
    assert_eq!((&*found.decision.subject, found.decision.approver.as_deref()), ("/later", Some("ann")));
    assert_eq!(found.outcome.unwrap().result.as_deref(), Some("ok"));
    let found = find(2).unwrap();
    assert_eq!((found.place.line, &*found.decision.decision, found.outcome), (3, "deny", None));
    assert!(find(7).is_none() && find(8).is_none(), "an outcome is no decision");
    assert!(super::find(&fixture.path(), "\"").unwrap().is_none());
    assert!(super::find(&fixture.folder.path().join("missing"), "x").is_err());
}

#[test]
fn a_decision_is_found_behind_a_rotation() {
    let fixture = Fixture::new();
    let log = fixture.write(2);
    super::rotate(&fixture.path(), 7).unwrap();
    log.outcome(fixture.outcome(1)).unwrap();
    super::rotate(&fixture.path(), 8).unwrap();
    let find = |step| super::find(&fixture.path(), &id(&fixture.execution, step)).unwrap().unwrap();
    assert_eq!(find(0).place, Place { file: fixture.folder.path().join("audit.jsonl.0"), line: 1 });
    assert_eq!(find(0).outcome, None);
    assert_eq!(find(1).outcome.unwrap().step, 1);
    std::fs::remove_file(fixture.path()).unwrap();
    assert_eq!(find(1).outcome.unwrap().step, 1);
}

#[test]
fn a_huge_line_takes_no_memory() {
    let fixture = Fixture::new();
    drop(fixture.write(1));
    let mut file = std::fs::OpenOptions::new().append(true).open(fixture.path()).unwrap();
    (0..64).for_each(|_| std::io::Write::write_all(&mut file, &[b'x'; 1 << 20]).unwrap());
    let mut pieces = super::read::Pieces::new(std::fs::File::open(fixture.path()).unwrap()).unwrap();
    let mut longest = 0;
    while let Some(piece) = pieces.next().unwrap() {
        longest = longest.max(piece.bytes.len());
    }
    assert!((1 << 10..=(64 << 10) + 1).contains(&longest), "{longest}");
    assert!(super::find(&fixture.path(), &id(&fixture.execution, 0)).unwrap().is_some());
}

proptest::proptest! {
    #[test]
    fn no_text_of_a_guest_or_an_approver_hides_anything_in_a_line(text in hostile::texts()) {
        let fixture = Fixture::new();
        let mut line = String::from("{");
        super::line::push_entry(&mut line, &mut super::line::Digits::default(), &Entry { approver: Some(&text), capability: &text, ..fixture.entry(1, &text) });
        line.push('}');
        assert!(everstep_words::visible::is_seen(&line), "{line}");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&read["subject"], read["decision"].as_str()), (&read["approver"], Some("deny")));
    }
}
