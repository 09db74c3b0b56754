//! All output of `run` and `resume`, written by one thread, so that callers never wait for the reader.
//!
//! The thread knows what is on the terminal: a line of the host never follows half a line of a guest, and the progress line is erased
//! before anything else is shown. What a guest has set, such as colours or concealment, ends before every line of the host. While a person
//! decides on a call, no output of a guest is shown below the question.

use super::text;
use everstep::ExecutionId;
use everstep::output::{Content, MimePart, Output};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;

/// How the output of guests is shown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Style {
    /// All output goes to standard error; standard output is for one JSON object.
    pub(crate) json: bool,
    /// Several executions at once: whole lines, each prefixed with the id.
    pub(crate) several: bool,
}

/// The most unfinished lines that are kept for executions that may print more.
const MAX_HALVES: usize = 256;
/// Bytes of output that are held back while a person decides; the journal has all of it.
const HELD: usize = 1 << 20;

/// A handle to the writing thread.
#[derive(Clone)]
pub(crate) struct Console {
    sender: Sender<Message>,
}

enum Message {
    Output(Output),
    /// A line of the command itself.
    Line(Stream, String),
    /// A call that a person decides on: output of guests is held back.
    Call(String),
    /// The call has been decided.
    NoCall,
    /// The text of the progress line.
    Progress(Option<String>),
    /// Sent once everything before it is shown.
    Shown(oneshot::Sender<()>),
    Flush(Sender<Option<std::io::Error>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stream {
    Stdout,
    Stderr,
}

impl Console {
    /// Starts the thread, which ends with its last handle.
    pub(crate) fn start(style: Style) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let [stdout, stderr] = [
            Sheet::new(std::io::stdout(), std::io::stdout().is_terminal()),
            Sheet::new(std::io::stderr(), std::io::stderr().is_terminal()),
        ];
        let writer = Writer::new(style, stdout, stderr);
        thread::Builder::new().name("everstep-console".into()).spawn(move || writer.work(&receiver))?;
        Ok(Self { sender })
    }

    /// Shows output of a guest.
    pub(crate) fn output(&self, output: Output) {
        self.send(Message::Output(output));
    }

    /// Writes a line to standard output.
    pub(crate) fn say(&self, line: impl Into<String>) {
        self.send(Message::Line(Stream::Stdout, line.into()));
    }

    /// Writes a line to standard error.
    pub(crate) fn note(&self, line: impl Into<String>) {
        self.send(Message::Line(Stream::Stderr, line.into()));
    }

    /// Shows a call that a person decides on, on standard error. No output of a guest comes below it until [`no_call`](Self::no_call).
    pub(crate) fn call(&self, line: String) {
        self.send(Message::Call(line));
    }

    /// Ends the decision on a call.
    pub(crate) fn no_call(&self) {
        self.send(Message::NoCall);
    }

    /// Waits until everything before is shown.
    pub(crate) async fn shown(&self) {
        let (sender, shown) = oneshot::channel();
        self.send(Message::Shown(sender));
        // The thread outlives every handle.
        let _ = shown.await;
    }

    /// Sets the progress line; `None` removes it. Shown on a terminal only.
    pub(crate) fn progress(&self, line: Option<String>) {
        self.send(Message::Progress(line));
    }

    /// Returns once everything is written.
    ///
    /// # Errors
    /// Standard output could not be written, except because its reader is gone.
    pub(crate) fn flush(&self) -> std::io::Result<()> {
        match self.ask_to_flush().recv() {
            Ok(Some(error)) => Err(error),
            // The thread outlives every handle.
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Returns once everything is written, or after `patience` if the reader is stuck; returns the error if standard output could not
    /// be written.
    pub(crate) fn flush_within(&self, patience: Duration) -> Option<std::io::Error> {
        self.ask_to_flush().recv_timeout(patience).ok().flatten()
    }

    fn ask_to_flush(&self) -> Receiver<Option<std::io::Error>> {
        let (sender, written) = mpsc::channel();
        self.send(Message::Flush(sender));
        written
    }

    fn send(&self, message: Message) {
        // The thread outlives every handle.
        let _ = self.sender.send(message);
    }
}

/// One of the two streams.
struct Sheet {
    to: Box<dyn Write + Send>,
    terminal: bool,
    /// The last line is not empty.
    in_line: bool,
    /// A guest may have set colours.
    dressed: bool,
    /// The error that ended writing.
    broken: Option<std::io::Error>,
}

impl Sheet {
    fn new(to: impl Write + Send + 'static, terminal: bool) -> Self {
        Self { to: Box::new(std::io::BufWriter::new(to)), terminal, in_line: false, dressed: false, broken: None }
    }

    fn write(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.in_line = !text.ends_with('\n');
        // A missing reader is no reason to stop the execution.
        if self.broken.is_none() {
            self.broken = self.to.write_all(text.as_bytes()).err();
        }
    }

    /// Resets what a guest has set.
    fn undress(&mut self) {
        if std::mem::take(&mut self.dressed) {
            let in_line = self.in_line;
            self.write(text::RESET);
            self.in_line = in_line;
        }
    }

    fn flush(&mut self) {
        if self.broken.is_none() {
            self.broken = self.to.flush().err();
        }
    }

    /// The error of the stream, returned once; a reader that is gone is not an error.
    fn error(&mut self) -> Option<std::io::Error> {
        let kind = self.broken.as_ref()?.kind();
        let told = self.broken.replace(kind.into());
        told.filter(|error| error.kind() != std::io::ErrorKind::BrokenPipe)
    }
}

struct Writer {
    style: Style,
    stdout: Sheet,
    stderr: Sheet,
    /// Lines that have not ended yet, of several executions.
    halves: BTreeMap<(ExecutionId, Stream), String>,
    /// The progress line is on the terminal.
    progress: bool,
    /// The stream that was written last.
    last: Stream,
    /// Output of guests that is held back while a person decides on a call.
    held: Option<Held>,
}

/// Output in its order, up to [`HELD`] bytes.
#[derive(Default)]
struct Held {
    pieces: Vec<(ExecutionId, Stream, String)>,
    bytes: usize,
    /// Bytes dropped because there were too many.
    dropped: usize,
}

impl Held {
    fn keep(&mut self, id: ExecutionId, stream: Stream, text: String) {
        if self.bytes + text.len() > HELD {
            self.dropped += text.len();
            return;
        }
        self.bytes += text.len();
        self.pieces.push((id, stream, text));
    }
}

impl Writer {
    fn new(style: Style, stdout: Sheet, stderr: Sheet) -> Self {
        let (halves, last) = (BTreeMap::new(), Stream::Stdout);
        Self { style, stdout, stderr, halves, progress: false, last, held: None }
    }

    fn work(mut self, messages: &Receiver<Message>) {
        while let Ok(message) = messages.recv() {
            self.take(message);
            while let Ok(message) = messages.try_recv() {
                self.take(message);
            }
            self.stdout.flush();
            self.stderr.flush();
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Output(Output { execution, content, .. }) => {
                let Some((stream, text)) = render(content) else { return };
                match &mut self.held {
                    Some(held) => held.keep(execution, stream, text),
                    None => self.output(execution, stream, &text),
                }
            }
            Message::Line(stream, line) => {
                self.erase_progress();
                self.line(stream, &line);
            }
            Message::Call(line) => {
                self.erase_progress();
                self.line(Stream::Stderr, &line);
                self.held.get_or_insert_default();
            }
            Message::NoCall => self.release(),
            Message::Progress(line) => self.show_progress(line),
            Message::Shown(done) => {
                self.stdout.flush();
                self.stderr.flush();
                // The receiver may be gone.
                let _ = done.send(());
            }
            Message::Flush(done) => {
                self.release();
                for ((id, stream), half) in std::mem::take(&mut self.halves) {
                    self.several(stream, &id, &half);
                }
                self.stdout.undress();
                self.stderr.undress();
                self.stdout.flush();
                self.stderr.flush();
                // The receiver may be gone.
                let _ = done.send(self.stdout.error());
            }
        }
    }

    fn output(&mut self, id: ExecutionId, stream: Stream, text: &str) {
        self.erase_progress();
        if self.style.several { self.lines(id, stream, text) } else { self.text(stream, text) }
    }

    /// Shows what was held back.
    fn release(&mut self) {
        let Some(Held { pieces, dropped, .. }) = self.held.take() else { return };
        for (id, stream, text) in pieces {
            self.output(id, stream, &text);
        }
        if dropped > 0 {
            self.line(
                Stream::Stderr,
                &format!("{dropped} bytes of output came while you decided and are left out; everstep logs has them"),
            );
        }
    }

    /// Writes text of a guest.
    fn text(&mut self, stream: Stream, text: &str) {
        let sheet = self.sheet(if self.style.json { Stream::Stderr } else { stream });
        let text = if sheet.terminal { text::printed(text) } else { text.into() };
        sheet.dressed |= sheet.terminal && text.contains('\x1b');
        sheet.write(&text);
    }

    /// Writes a line of one of several guests, prefixed with its id.
    fn several(&mut self, stream: Stream, id: &ExecutionId, line: &str) {
        let sheet = self.sheet(if self.style.json { Stream::Stderr } else { stream });
        sheet.undress();
        sheet.write(&format!("{id} | "));
        self.text(stream, &format!("{line}\n"));
    }

    /// Writes text of one of several guests, line by line.
    fn lines(&mut self, id: ExecutionId, stream: Stream, text: &str) {
        let key = (id, stream);
        let all = self.halves.remove(&key).unwrap_or_default() + text;
        let whole = all.rfind('\n').map_or(0, |end| end + 1);
        all[..whole].lines().for_each(|line| self.several(stream, &key.0, line));
        if whole < all.len() {
            self.halves.insert(key, all[whole..].to_owned());
        }
        // Most of those that are unfinished for so long will never end, since the end of a guest is not reported
        // here.
        while self.halves.len() > MAX_HALVES
            && let Some(((id, stream), half)) = self.halves.pop_first()
        {
            self.several(stream, &id, &half);
        }
    }

    /// Writes a line of the command itself, never after half a line.
    fn line(&mut self, stream: Stream, line: &str) {
        let one_terminal = self.stdout.terminal && self.stderr.terminal;
        let other_in_line = one_terminal && (self.stdout.in_line || self.stderr.in_line);
        let sheet = self.sheet(stream);
        let end = if sheet.in_line || other_in_line { "\n" } else { "" };
        // Resets what others have set on the terminal, in this process or another one.
        let reset = if sheet.terminal { text::RESET } else { "" };
        sheet.write(&format!("{reset}{end}{}\n", text::said(line)));
        sheet.dressed = false;
        if one_terminal {
            (self.stdout.in_line, self.stderr.in_line) = (false, false);
            (self.stdout.dressed, self.stderr.dressed) = (false, false);
        }
        self.sheet(stream).flush();
    }

    fn show_progress(&mut self, line: Option<String>) {
        let in_line = self.stderr.in_line || (self.stdout.terminal && self.stdout.in_line);
        if !self.stderr.terminal || self.style.json || in_line {
            return;
        }
        self.erase_progress();
        if let Some(line) = line {
            let stderr = self.sheet(Stream::Stderr);
            stderr.write(text::RESET);
            stderr.write(&line);
            stderr.in_line = false;
            self.progress = true;
        }
    }

    fn erase_progress(&mut self) {
        if std::mem::take(&mut self.progress) {
            self.stderr.write("\r\x1b[2K");
            self.stderr.in_line = false;
            self.stderr.flush();
        }
    }

    /// The stream to write to. If both are one terminal or one file, the other one is flushed first.
    fn sheet(&mut self, stream: Stream) -> &mut Sheet {
        let (sheet, other) = match stream {
            Stream::Stdout => (&mut self.stdout, &mut self.stderr),
            Stream::Stderr => (&mut self.stderr, &mut self.stdout),
        };
        if std::mem::replace(&mut self.last, stream) != stream {
            other.flush();
        }
        sheet
    }
}

/// The text of a piece of output; `None` for a denial, which the guest reports.
fn render(content: Content) -> Option<(Stream, String)> {
    match content {
        Content::Stdout(text) => Some((Stream::Stdout, text)),
        Content::Stderr(text) => Some((Stream::Stderr, text)),
        Content::Display(parts) => Some((Stream::Stdout, displayed(&parts))),
        Content::Denied { .. } => None,
    }
}

/// A displayed value as text: its plain representation, or a list of those it has.
pub(crate) fn displayed(parts: &[MimePart]) -> String {
    match parts.iter().find(|part| part.mime == "text/plain") {
        Some(part) if part.data.ends_with('\n') => part.data.clone(),
        Some(part) => format!("{}\n", part.data),
        None => {
            let kinds: Vec<_> = parts.iter().map(|part| format!("{}, {} bytes", part.mime, part.data.len())).collect();
            format!("[display: {}]\n", text::line(&kinds.join("; "), 200))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What stands on standard output and standard error after the messages; both are one paper on a terminal.
    fn written(style: Style, terminal: bool, messages: Vec<Message>) -> [String; 2] {
        let one = Paper::default();
        let papers = if terminal { [one.clone(), one] } else { [one, Paper::default()] };
        let [stdout, stderr] = [0, 1].map(|at| Sheet::new(papers[at].clone(), terminal));
        let mut writer = Writer::new(style, stdout, stderr);
        for message in messages {
            writer.take(message);
        }
        writer.take(Message::Flush(mpsc::channel().0));
        [0, 1].map(|at: usize| String::from_utf8(papers[at].0.lock().unwrap().clone()).unwrap())
    }

    fn print(id: &str, text: &str) -> Message {
        let content = Content::Stdout(text.into());
        Message::Output(Output { execution: ExecutionId::new(id).unwrap(), step: 0, content, during: None })
    }

    fn result() -> Message {
        Message::Line(Stream::Stdout, "42".into())
    }

    #[test]
    fn the_result_has_a_line_of_its_own() {
        let [stdout, _] = written(Style::default(), false, vec![print("a", "half"), result()]);
        assert_eq!(stdout, "half\n42\n");
        let [stdout, _] = written(Style::default(), false, vec![print("a", "whole\n"), result()]);
        assert_eq!(stdout, "whole\n42\n");
    }

    #[test]
    fn with_json_standard_output_holds_the_object_only() {
        let style = Style { json: true, several: false };
        assert_eq!(written(style, false, vec![print("a", "text\n"), result()]), ["42\n", "text\n"]);
    }

    #[test]
    fn lines_of_several_executions_do_not_mix() {
        let style = Style { json: false, several: true };
        let messages = vec![print("a", "on"), print("b", "two\n"), print("a", "e\nthree")];
        assert_eq!(written(style, false, messages)[0], "b | two\na | one\na | three\n");
    }

    #[test]
    fn the_progress_line_is_erased_before_output() {
        let progress = Message::Progress(Some("3 steps".into()));
        let [terminal, _] = written(Style::default(), true, vec![progress, print("a", "x\x1b[2J\n")]);
        assert_eq!(terminal, "\x1b[0m3 steps\r\x1b[2Kx\\u{1b}[2J\n");
        let progress = Message::Progress(Some("3 steps".into()));
        assert_eq!(
            written(Style::default(), true, vec![print("a", "half"), progress, result()])[0],
            "half\x1b[0m\n42\n"
        );
    }

    fn call(line: &str) -> Message {
        Message::Call(line.into())
    }

    #[test]
    fn a_guest_cannot_dress_what_the_host_says() {
        let messages =
            vec![print("a", "yes or no\x1b[8m"), call("may it?\x1b[8m"), Message::NoCall, print("a", "\x1b[1mx")];
        let terminal = &written(Style::default(), true, messages)[0];
        assert_eq!(terminal, "yes or no\x1b[8m\x1b[0m\nmay it?\\u{1b}[8m\n\x1b[1mx\x1b[0m");
        let several = Style { json: false, several: true };
        let terminal = &written(several, true, vec![print("a", "\x1b[8mone\ntwo\n"), print("b", "three\n")])[0];
        assert_eq!(terminal, "a | \x1b[8mone\n\x1b[0ma | two\nb | three\n");
    }

    #[test]
    fn nothing_of_a_guest_comes_below_a_call_that_a_person_decides_on() {
        let asked = || vec![call("may it?"), print("a", "yes or no\n"), call("and it?"), print("a", "more\n")];
        let messages = asked().into_iter().chain([Message::NoCall, print("a", "last\n")]).collect();
        let terminal = written(Style::default(), true, messages)[0].replace(text::RESET, "");
        assert_eq!(terminal, "may it?\nand it?\nyes or no\nmore\nlast\n");
        let flood = print("a", &"x".repeat(HELD + 1));
        let messages = asked().into_iter().chain([flood, Message::NoCall]).collect();
        let terminal = written(Style::default(), true, messages)[0].replace(text::RESET, "");
        let left_out = format!("{} bytes of output came while you decided", HELD + 1);
        assert!(
            terminal.starts_with("may it?\nand it?\nyes or no\nmore\n") && terminal.contains(&left_out),
            "{terminal}"
        );
    }

    #[test]
    fn a_value_without_plain_text_is_described() {
        let html = MimePart { mime: "text/html".into(), data: "<b>".into() };
        assert_eq!(displayed(std::slice::from_ref(&html)), "[display: text/html, 3 bytes]\n");
        let plain = MimePart { mime: "text/plain".into(), data: "b".into() };
        assert_eq!(displayed(&[html, plain]), "b\n");
    }
}
