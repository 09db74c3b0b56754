use super::*;
use serde_json::Value;
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
        Entry { time_ms: 1_769_860_800_007, execution, step, policy, rule, capability, subject, decision, bytes: 3 }
    }

    /// The lines that can be read; checks the chain over all of them.
    fn lines(&self) -> Vec<Value> {
        let bytes = std::fs::read(self.path()).unwrap();
        let bytes = bytes.strip_suffix(b"\n").unwrap();
        let mut previous = "0".repeat(64);
        let mut values = Vec::new();
        for line in bytes.split(|byte| *byte == b'\n') {
            if let Ok(value) = serde_json::from_slice::<Value>(line) {
                assert_eq!(value["previous"], previous);
                assert_eq!(value["sequence"], values.len());
                values.push(value);
            }
            previous = hex::encode(Sha256::digest(line));
        }
        values
    }
}

#[test]
fn a_line_holds_the_decision() {
    let fixture = Fixture::new();
    let log = Log::open(&fixture.path()).unwrap();
    log.record(fixture.entry(3, "/etc/\"pass\\wd\"\n\u{202e}")).unwrap();
    let line = std::fs::read_to_string(fixture.path()).unwrap();
    let expected = format!(
        r#"{{"time":"2026-01-31T12:00:00.007Z","sequence":0,"previous":"{}","id":"{}","execution":"order:7","step":3,"policy":"{}","rule":"data","capability":"files.read","subject":"/etc/\\\"pass\\\\wd\\\"\\n\\u{{202e}}","decision":"deny","bytes":3}}"#,
        "0".repeat(64),
        id(&fixture.execution, 3),
        fixture.policy,
    );
    assert_eq!(line, expected + "\n");
    fixture.lines();
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(fixture.path()).unwrap());
    assert_eq!(mode & 0o777, 0o600);
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
}
