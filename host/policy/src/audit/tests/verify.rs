//! What is proven, and what is noticed.

use super::*;

fn sample(fixture: &Fixture) -> Vec<u8> {
    let log = fixture.write(2);
    log.record(Entry { approver: Some("ann"), decision: Decision::Ask, ..fixture.entry(2, "/\"ü\"") }).unwrap();
    log.outcome(fixture.outcome(2)).unwrap();
    fixture.bytes()
}

fn line_starts(bytes: &[u8]) -> Vec<usize> {
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(place, _)| place + 1);
    [0].into_iter().chain(ends).collect()
}

#[test]
fn a_whole_log_is_proven() {
    let fixture = Fixture::new();
    let bytes = sample(&fixture);
    let summary = fixture.verified().unwrap();
    let starts = line_starts(&bytes);
    let hash = Sha256::digest(&bytes[starts[3]..bytes.len() - 1]).into();
    let head = Head { sequence: 3, hash };
    let files = vec![fixture.path()];
    assert_eq!(summary, Summary { files, lines: 4, after: None, last: Some(head), torn: 0, torn_at: vec![] });
    assert_eq!(head.to_string().parse(), Ok(head));
    for text in ["", "3", ":", "3:", "x:00", "3:00", &format!("-3:{}", "0".repeat(64))] {
        assert_eq!(text.parse::<Head>(), Err(NoHead), "{text}");
    }
}

#[test]
fn a_flipped_bit_shows_wherever_it_is() {
    let fixture = Fixture::new();
    let whole = sample(&fixture);
    let starts = line_starts(&whole);
    for place in 0..whole.len() {
        let line = starts.iter().filter(|start| **start <= place).count();
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << bit;
            std::fs::write(fixture.path(), bytes).unwrap();
            let (found, what) = fixture.broken(&["audit.jsonl"]);
            assert_eq!(found, format!("audit.jsonl:{line}"), "byte {place}, bit {bit}: {what:?}");
        }
    }
}

#[test]
fn a_cut_shows_wherever_it_is_but_between_lines() {
    let fixture = Fixture::new();
    let whole = sample(&fixture);
    let starts = line_starts(&whole);
    for length in 0..whole.len() {
        std::fs::write(fixture.path(), &whole[..length]).unwrap();
        match starts.iter().position(|start| *start == length) {
            // Only who knows how long it was can tell.
            Some(lines) => assert_eq!(fixture.verified().unwrap().lines, lines as u64),
            None => assert_eq!(fixture.broken(&["audit.jsonl"]).1, What::Torn, "cut at {length}"),
        }
    }
    for start in 1..whole.len() {
        std::fs::write(fixture.path(), &whole[start..]).unwrap();
        let expected = if starts.contains(&start) { What::Beginning } else { What::NoLine };
        assert_eq!(fixture.broken(&["audit.jsonl"]), ("audit.jsonl:1".to_owned(), expected), "cut up to {start}");
    }
}

#[test]
fn lines_that_are_taken_out_put_in_or_moved_show() {
    let fixture = Fixture::new();
    let whole = String::from_utf8(sample(&fixture)).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let check = |lines: &[&str], line: usize, what: What| {
        std::fs::write(fixture.path(), lines.join("\n") + "\n").unwrap();
        assert_eq!(fixture.broken(&["audit.jsonl"]), (format!("audit.jsonl:{line}"), what));
    };
    check(&[lines[0], lines[2], lines[3]], 2, What::Sequence { due: 1, found: 2 });
    check(&[lines[0], lines[0], lines[1]], 2, What::Sequence { due: 1, found: 0 });
    check(&[lines[1], lines[0]], 1, What::Beginning);
    check(&[lines[0], "", lines[1]], 2, What::NoLine);
    check(&[lines[0], "{}", lines[1]], 2, What::NoLine);
    check(&[lines[0], lines[1], "x"], 3, What::NoLine);
    // With the right checksum, so that only the chain can tell.
    let body = lines[1].replace("files.read", "files.list");
    let body = body.split(",\"check\"").next().unwrap();
    let forged = format!("{body},\"check\":\"{:08x}\"}}", crc32fast::hash(body.as_bytes()));
    check(&[lines[0], &forged, lines[2]], 3, What::Previous);
    check(&[lines[0], &lines[1].replace("files.read", "files.list"), lines[2]], 2, What::Changed);
}

#[test]
fn a_torn_line_is_vouched_for_and_reported() {
    let fixture = Fixture::new();
    for torn in ["{\"time\":\"20", "x", "\0\0\0"] {
        let _ = std::fs::remove_file(fixture.path());
        drop(fixture.write(2));
        let mut bytes = fixture.bytes();
        let line_three = bytes.len();
        bytes.extend(torn.bytes());
        std::fs::write(fixture.path(), &bytes).unwrap();
        assert_eq!(fixture.broken(&["audit.jsonl"]), ("audit.jsonl:3".to_owned(), What::Torn));
        let log = Log::open(&fixture.path()).unwrap();
        log.record(fixture.entry(2, "/a")).unwrap();
        let summary = fixture.verified().unwrap();
        assert_eq!((summary.lines, summary.torn), (3, 1));
        assert_eq!(summary.torn_at, [Place { file: fixture.path(), line: 3 }]);
        // The torn line and the one before it are held as well as any.
        let whole = fixture.bytes();
        for place in 0..line_three + torn.len() + 1 {
            let mut bytes = whole.clone();
            bytes[place] ^= 0x10;
            std::fs::write(fixture.path(), bytes).unwrap();
            fixture.broken(&["audit.jsonl"]);
        }
    }
}

#[test]
fn several_torn_lines_in_a_row_are_vouched_for() {
    let fixture = Fixture::new();
    for lines in [0, 2] {
        let _ = std::fs::remove_file(fixture.path());
        drop(fixture.write(lines));
        let mut bytes = fixture.bytes();
        let start = bytes.len();
        bytes.extend(b"\nab\n\n");
        bytes.extend([b'x'; 200_000]);
        bytes.extend(b"\ncd");
        let end = bytes.len();
        std::fs::write(fixture.path(), &bytes).unwrap();
        Log::open(&fixture.path()).unwrap().record(fixture.entry(9, "/a")).unwrap();
        let summary = fixture.verified().unwrap();
        assert_eq!((summary.lines, summary.torn), (lines + 1, 5));
        assert_eq!(summary.torn_at.len(), 1);
        let whole = fixture.bytes();
        for place in (start..start + 10).chain(end - 10..end + 1).chain([start + 70_000]) {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            std::fs::write(fixture.path(), &bytes).unwrap();
            assert_eq!(fixture.broken(&["audit.jsonl"]).1, What::NoLine, "{place}");
            bytes.remove(place);
            std::fs::write(fixture.path(), &bytes).unwrap();
            assert_eq!(fixture.broken(&["audit.jsonl"]).1, What::NoLine, "{place}");
        }
    }
}

#[test]
fn a_known_line_must_be_there_as_it_was() {
    let fixture = Fixture::new();
    let log = fixture.write(3);
    let known = fixture.verified().unwrap().last.unwrap();
    let verify = || super::super::verify(&[fixture.path()], Some(&known));
    verify().unwrap();
    log.record(fixture.entry(3, "/b")).unwrap();
    verify().unwrap();
    let whole = fixture.bytes();
    let starts = line_starts(&whole);
    std::fs::write(fixture.path(), &whole[..starts[2]]).unwrap();
    let error = verify().unwrap_err().to_string();
    assert_eq!(error, "line 2 of the log, which is to be there, is missing: the log ends with line 1");
    std::fs::write(fixture.path(), "").unwrap();
    assert!(verify().unwrap_err().to_string().ends_with("the log ends before its first line"));
    // Written anew, as somebody would who can write the file.
    std::fs::remove_file(fixture.path()).unwrap();
    let log = Log::open(&fixture.path()).unwrap();
    (0..4).for_each(|step| log.record(fixture.entry(step, "/forged")).unwrap());
    assert!(fixture.verified().is_ok());
    assert!(matches!(verify(), Err(Unverified::Bad(BadLine { what: What::Unexpected, .. }))));
}

#[test]
fn what_cannot_be_read_is_no_proof() {
    let fixture = Fixture::new();
    let error = fixture.verified().unwrap_err().to_string();
    assert_eq!(error, format!("cannot read the audit log {}; check the path", fixture.path().display()));
    assert!(super::super::verify(&[fixture.folder.path().to_owned()], None).is_err());
}
