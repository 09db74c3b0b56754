//! The record of the traffic of a server: a line of JSON for each exchange, in the order in which the store applied the requests.
//!
//! The form is that of the recorded runs of Resonate's specification (`spec/valid/README.md` of resonatehq/resonate): `kind`, the time of the
//! server in milliseconds as `now`, the `data` of the request as `req`, and the whole envelope of the answer as `res`. As there, the file has
//! the operations on promises, tasks and schedules, but no searches, no operations for tests, no messages, and nothing that the passage of
//! time has done. A request that is refused before it reaches the store, for example without a token, is not in it.
//!
//! A line is written in one piece before its answer is sent: a client that has an answer finds it in the file, and whoever writes next waits
//! for a slow disk.

use super::wire::{Echo, NotedRequest};
use everstep_store::operation::Answer;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// How many bytes are read at once in search of the last line.
const PART: u64 = 64 << 10;

/// A file that the traffic of a server is written to.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    file: File,
    /// The length of the whole lines, in bytes.
    length: u64,
    /// The time of the last line.
    latest_ms: u64,
    failed: bool,
}

/// An exchange whose answer is not known yet.
pub(super) struct Exchange {
    recorder: Recorder,
    request: NotedRequest,
}

impl Recorder {
    /// Appends to a file, which is created for its owner alone if it does not exist. A last line that a killed server has left unfinished is
    /// removed.
    ///
    /// # Errors
    /// It is no regular file, cannot be read and written, is the record of another server that runs, or has no room for another byte.
    pub fn append(path: &Path) -> io::Result<Self> {
        // Opening a pipe that nobody reads would block.
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        file.try_lock().map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => io::Error::other("another server records to it; name another file"),
            std::fs::TryLockError::Error(error) => error,
        })?;
        let length = whole_lines(&mut file)?;
        file.set_len(length)?;
        // A disk that is full says so now.
        file.write_all(b"\n")?;
        file.set_len(length)?;
        Ok(Self::over(file, length))
    }

    /// Whether the file had no line yet.
    pub fn is_new(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).length == 0
    }

    fn over(file: File, length: u64) -> Self {
        Self(Arc::new(Mutex::new(State { file, length, latest_ms: 0, failed: false })))
    }

    /// The exchange that a request begins; `None` if its kind is not recorded.
    pub(super) fn exchange(&self, body: &[u8]) -> Option<Exchange> {
        Some(Exchange { recorder: self.clone(), request: NotedRequest::read(body)? })
    }
}

impl Exchange {
    /// Writes the line. `hides_preload` as for the answer itself.
    pub(super) fn write(self, now_ms: u64, echo: &Echo, answer: &Answer, hides_preload: bool) {
        let Self { recorder, request: NotedRequest { kind, data } } = self;
        let answer = echo.answer(answer.clone(), hides_preload).body;
        let mut state = recorder.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.latest_ms = state.latest_ms.max(now_ms);
        // An operation has a name that needs no escapes.
        let line = format!("{{\"kind\":\"{kind}\",\"now\":{},\"req\":{data},\"res\":{answer}}}\n", state.latest_ms);
        state.write(&line);
    }
}

impl State {
    /// Writes a line. After a failure nothing is written any more, so that no line is missing between two others.
    fn write(&mut self, line: &str) {
        if self.failed {
            return;
        }
        match self.file.write_all(line.as_bytes()) {
            Ok(()) => self.length += line.len() as u64,
            Err(error) => {
                self.failed = true;
                // What it has of the line is no line. A file that cannot be cut either ends with it.
                let _ = self.file.set_len(self.length);
                tracing::warn!(%error, "the record of the traffic cannot be written; it ends with the line before");
            }
        }
    }
}

/// The length of a file without what follows the end of its last line.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    while end > 0 {
        let start = end.saturating_sub(PART);
        let mut part = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        Read::by_ref(file).take(end - start).read_to_end(&mut part)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(recorder: &Recorder, line: &str) {
        recorder.0.lock().unwrap().write(line);
    }

    #[test]
    fn a_line_that_was_not_finished_is_removed_and_the_others_are_kept() {
        let dir = std::env::temp_dir().join(format!("everstep-record-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("record");
        let long = "x".repeat(PART as usize + 10);
        for (before, kept) in [
            (String::new(), String::new()),
            ("{\"kind\":".into(), String::new()),
            (long.clone(), String::new()),
            ("{}\n{}\n".into(), "{}\n{}\n".into()),
            ("{}\n{}\n{\"ki".into(), "{}\n{}\n".into()),
            (format!("{{}}\n{long}"), "{}\n".into()),
        ] {
            std::fs::write(&path, &before).unwrap();
            let recorder = Recorder::append(&path).unwrap();
            assert!(Recorder::append(&path).is_err_and(|error| error.to_string().contains("another server")));
            written(&recorder, "{\"kind\":\"x\"}\n");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{kept}{{\"kind\":\"x\"}}\n"));
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn after_a_failure_nothing_is_written() {
        let full = OpenOptions::new().read(true).write(true).open("/dev/full").unwrap();
        let recorder = Recorder::over(full, 0);
        written(&recorder, "{}\n");
        assert!(recorder.0.lock().unwrap().failed);
        written(&recorder, "{}\n");
        assert_eq!(recorder.0.lock().unwrap().length, 0);
    }

    #[test]
    fn a_file_that_cannot_be_a_record_is_refused() {
        for path in ["/dev/full", "/dev/null", "/", "/nowhere/record"] {
            assert!(Recorder::append(Path::new(path)).is_err(), "{path}");
        }
    }
}
