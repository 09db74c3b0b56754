//! Output of any length, written as it is made.

use super::text::{self, Table};
use super::{Failure, json_line};
use serde::Serialize;
use std::io::{ErrorKind, IsTerminal, StdoutLock, Write};
use std::ops::ControlFlow;

/// Standard output, until its reader is gone, which is not an error, or until it cannot be written. A command that fails early has
/// written nothing but its error.
pub(crate) struct Stream {
    stdout: StdoutLock<'static>,
    /// Text that is not written yet.
    text: String,
    /// The result, once nothing more is written.
    end: Option<Result<(), Failure>>,
}

/// A table whose rows are written a thousand at a time; its columns become wider as needed, never narrower.
pub(crate) struct Rows {
    stream: Stream,
    table: Table,
}

/// One JSON object in one line, whose last member is a list.
pub(crate) struct JsonList {
    stream: Stream,
    empty: bool,
}

/// The number of rows that are aligned with each other.
const ROWS: usize = 1_000;

/// Bytes that are written at once.
const CHUNK: usize = 1 << 16;

impl Stream {
    pub(crate) fn start() -> Self {
        let stdout = std::io::stdout().lock();
        let text = if stdout.is_terminal() { text::RESET } else { "" };
        Self { stdout, text: text.to_owned(), end: None }
    }

    /// Writes a text. Breaks once nothing more is written.
    pub(crate) fn write(&mut self, text: &str) -> ControlFlow<()> {
        self.text.push_str(text);
        if self.text.len() >= CHUNK && self.end.is_none() {
            self.flush();
        }
        if self.end.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn flush(&mut self) {
        let done = self.stdout.write_all(self.text.as_bytes()).and_then(|()| self.stdout.flush());
        self.end = done.err().map(written);
        self.text.clear();
    }

    /// Writes the rest.
    ///
    /// # Errors
    /// Standard output could not be written.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        if self.end.is_none() {
            self.flush();
        }
        self.end.take().unwrap_or(Ok(()))
    }
}

fn written(error: std::io::Error) -> Result<(), Failure> {
    match error.kind() {
        ErrorKind::BrokenPipe => Ok(()),
        _ => Err(Failure::io("cannot write to standard output")(error)),
    }
}

impl Rows {
    pub(crate) fn start(stream: Stream, head: &[&str]) -> Self {
        Self { stream, table: Table::new(head) }
    }

    /// Adds a row. Breaks once nothing more is written.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) -> ControlFlow<()> {
        self.table.row(cells);
        if self.table.len() < ROWS {
            return ControlFlow::Continue(());
        }
        self.stream.write(&self.table.take())
    }

    /// Writes the remaining rows.
    pub(crate) fn end(mut self) -> Stream {
        // An error is reported when the stream is finished.
        let _ = self.stream.write(&self.table.take());
        self.stream
    }
}

impl JsonList {
    /// Writes the members of an object, and opens the list.
    ///
    /// # Errors
    /// The object cannot be written as JSON.
    pub(crate) fn start(object: &impl Serialize, list: &str) -> Result<Self, Failure> {
        let (object, mut stream) = (json_line(object)?, Stream::start());
        let members = object.strip_suffix('}').unwrap_or(&object);
        let comma = if members.ends_with('{') { "" } else { "," };
        // An error is reported when the stream is finished.
        let _ = stream.write(&format!("{members}{comma}\"{list}\":["));
        Ok(Self { stream, empty: true })
    }

    /// Adds an element. Breaks once nothing more is written.
    pub(crate) fn element(&mut self, element: &impl Serialize) -> ControlFlow<()> {
        let comma = if std::mem::replace(&mut self.empty, false) { "" } else { "," };
        match json_line(element) {
            Ok(element) => self.stream.write(&format!("{comma}{element}")),
            Err(failure) => {
                self.stream.end = Some(Err(failure));
                ControlFlow::Break(())
            }
        }
    }

    /// Closes the list and the object.
    ///
    /// # Errors
    /// Standard output could not be written.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        let _ = self.stream.write("]}\n");
        self.stream.finish()
    }
}
