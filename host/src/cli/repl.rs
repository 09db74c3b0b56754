//! `everstep repl`: a person in a Python session.

use super::approval::Call;
use super::ask::{SHOW, YES_OR_NO, asked, decision, may_it};
use super::console::displayed;
use super::failure::Exit;
use super::place::{Place, user_folder};
use super::session::{Placed, Ready, complain_of_disregarded};
use super::signals::Signals;
use super::terminal::forget_typed;
use super::watch::block_on;
use super::{Failure, Outcome, complain, text};
use everstep::output::MimePart;
use everstep::session::{
    Body, Execute, Json, Kind, Look, Message, Plain, Refused, Request, Response, Resume, Session, Shutdown, Stream,
};
use everstep::{ExecutionId, json};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use rustyline::completion::Completer;
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Run a Python prompt in a durable session
///
/// Names are kept between cells and after a crash: the same --id resumes the session and shows its earlier output. An empty line ends a block,
/// Tab completes a name, Ctrl-C interrupts the running cell, and Ctrl-D leaves the session, which can be resumed later. The third Ctrl-C leaves it even
/// if the running cell catches every exception.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    place: Placed,
}

const EXAMPLES: &str = "\
Examples:
  everstep repl
  everstep repl --id notes --policy policy.toml";

pub(crate) fn run(args: Args) -> Outcome {
    block_on(Box::pin(async move {
        let ready = args.place.prepare()?;
        let leaving = ready.leaving();
        let served = Box::pin(prompt(ready)).await;
        let left = leaving.leave().await;
        served.and_then(|exit| left.map(|()| exit))
    }))
}

async fn prompt(ready: Ready) -> Outcome {
    let Ready { host, feed, run, place, .. } = ready;
    let (id, option, modes) = (run.id.clone(), place.option(), tcgetattr(std::io::stdin()).ok());
    let (say, messages) = unbounded_channel();
    let (ask, mut requests) = unbounded_channel();
    let (mut signals, insistence) = (Signals::start(false)?, Insistence::default());
    // The messages are dropped if the prompt is gone.
    let opening = Session::open(host, feed, run, move |message| drop(say.send(message)));
    let mut session = tokio::select! {
        opened = Box::pin(opening) => opened?,
        exit = signals.end() => return Ok(left(exit, &id, &place)),
    };
    complain_of_disregarded(&session, &id, &place);
    let prompt = Prompting { ask: ask.clone(), insistence: insistence.clone(), place: place.clone() };
    let typing = tokio::task::spawn_blocking(move || Prompt::new(prompt, messages)?.run());
    let stopped = tokio::select! {
        served = session.serve(&mut requests) => served.map(|()| None)?,
        exit = stopped(&mut signals, &ask, &insistence) => Some(exit),
    };
    drop(session);
    if let Some(exit) = stopped {
        // The editor is not waited for, so it does not restore the terminal.
        if let Some(modes) = modes {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &modes);
        }
        return Ok(left(exit, &id, &place));
    }
    let exit = typing.await.map_err(|lost| Failure::io("the prompt is gone")(lost.into()))??;
    match exit {
        Exit::Interrupted => Ok(left(exit, &id, &place)),
        Exit::Done | Exit::Program(_) if place.check_survives().is_ok() => {
            complain(&format!("the session is kept; go on with: everstep repl --id {id}{option}"));
            Ok(exit)
        }
        exit => Ok(exit),
    }
}

/// The end by a signal, or by a person who insists: everything stays as the store has it, including a running cell.
fn left(exit: Exit, id: &ExecutionId, place: &Place) -> Exit {
    let word = exit.signal();
    complain(&match place.check_survives() {
        Ok(_) => format!(
            "{word}: what was recorded is kept, and a cell that ran goes on with: everstep repl --id {id}{}",
            place.option()
        ),
        Err(_) => format!("{word}: the memory store ends here"),
    });
    exit
}

/// Completes when the session is to be left. Ctrl-C interrupts the running cell; at the prompt the editor handles it.
async fn stopped(signals: &mut Signals, ask: &Asking, insistence: &Insistence) -> Exit {
    loop {
        let exit = signals.end().await;
        if exit != Exit::Interrupted || insistence.interrupt(ask) {
            return exit;
        }
    }
}

type Asking = UnboundedSender<Result<Request, Refused>>;

/// How often a person has interrupted a cell that keeps running.
#[derive(Clone, Default)]
struct Insistence(Arc<AtomicU32>);

impl Insistence {
    /// Interrupts the cell; returns true if the person wants to leave, because a cell may catch every exception.
    fn interrupt(&self, ask: &Asking) -> bool {
        let before = self.0.fetch_add(1, Ordering::SeqCst);
        if before >= 2 {
            return true;
        }
        if before == 1 {
            complain("the cell goes on; interrupt it once more to leave the session as it is");
        }
        // A session that has ended has nothing to interrupt.
        let _ = ask.send(Ok(Request::Interrupt(Plain { id: fresh() })));
        false
    }

    /// Resets the count for a new cell.
    fn forget(&self) {
        self.0.store(0, Ordering::SeqCst);
    }
}

fn fresh() -> String {
    ExecutionId::random().to_string()
}

/// The prompt, on a thread of its own because it blocks.
struct Prompt {
    editor: Editor<Names, FileHistory>,
    history: Option<PathBuf>,
    with: Prompting,
    messages: Messages,
    /// Standard output is a terminal.
    terminal: bool,
    /// A person at a terminal sees a question before it is answered.
    attended: bool,
    /// There is half a line on the terminal.
    in_line: bool,
    /// The messages repeat earlier cells, of which only the output is shown.
    looks_back: bool,
    /// The last question that was answered; it is asked again if the answer does not fit.
    question: Option<Question>,
}

/// The resources of a prompt.
struct Prompting {
    ask: Asking,
    insistence: Insistence,
    place: Place,
}

/// The messages of the session. The editor looks for one among them, while a person types, and leaves the others.
#[derive(Clone)]
struct Messages(Rc<RefCell<Waiting>>);

struct Waiting {
    passed: VecDeque<Message>,
    coming: UnboundedReceiver<Message>,
}

impl Messages {
    fn next(&self) -> Option<Message> {
        let mut waiting = self.0.borrow_mut();
        waiting.passed.pop_front().or_else(|| waiting.coming.blocking_recv())
    }

    /// The answer to a request.
    fn answer(&self, id: &str) -> Option<Body> {
        let mut waiting = self.0.borrow_mut();
        while let Some(message) = waiting.coming.blocking_recv() {
            match message {
                Message {
                    reply_to: Some(reply_to), body: body @ (Body::Result { .. } | Body::Error { .. }), ..
                } if reply_to.is(id) => {
                    return Some(body);
                }
                message => waiting.passed.push_back(message),
            }
        }
        None
    }
}

/// Completes the names of the session.
struct Names {
    ask: Asking,
    messages: Messages,
    /// What is typed is an answer, and no code.
    is_answer: bool,
}

/// The answer to `complete`, with places in characters.
#[derive(Deserialize)]
struct Completions {
    matches: Vec<String>,
    start: usize,
}

impl Helper for Names {}
impl Hinter for Names {
    type Hint = String;
}
impl Highlighter for Names {}
impl Validator for Names {}

impl Completer for Names {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let before = line.get(..at).unwrap_or_default();
        if self.is_answer || before.trim().is_empty() {
            return Ok((at, if self.is_answer { Vec::new() } else { vec!["    ".to_owned()] }));
        }
        let (id, cursor) = (fresh(), before.chars().count() as u64);
        let look = Look { id: id.clone(), code: before.to_owned(), cursor, detail: 0 };
        // A session that has ended reports that itself.
        let _ = self.ask.send(Ok(Request::Complete(look)));
        let found = match self.messages.answer(&id) {
            Some(Body::Result { value, .. }) => serde_json::from_str::<Completions>(value.text()).ok(),
            _ => None,
        };
        let Some(Completions { matches, start }) = found else { return Ok((at, Vec::new())) };
        let start = before.char_indices().nth(start).map_or(before.len(), |(start, _)| start);
        Ok((start, matches))
    }
}

/// A question to the person.
struct Question {
    /// The id of the message that asks it.
    id: String,
    kind: Kind,
    /// The call, if it waits for approval.
    call: Option<Call>,
    /// The prompt of the answer.
    prompt: String,
    has_schema: bool,
}

/// The outcome of a cell.
enum Ran {
    Done,
    Incomplete,
    /// The program asked to leave, with this exit code.
    Exit(u8),
    /// The person leaves the session as it is.
    Left,
    /// The session has ended or halted.
    Over,
}

impl Prompt {
    fn new(with: Prompting, coming: UnboundedReceiver<Message>) -> Result<Self, Failure> {
        let messages = Messages(Rc::new(RefCell::new(Waiting { passed: VecDeque::new(), coming })));
        let config = Config::builder().auto_add_history(true).completion_type(CompletionType::List).build();
        let editor = Editor::with_config(config);
        let mut editor = editor.map_err(|error| Failure::usage(format!("the terminal cannot be used: {error}")))?;
        editor.set_helper(Some(Names { ask: with.ask.clone(), messages: messages.clone(), is_answer: false }));
        let history = history_file();
        if let Some(file) = &history {
            // There is no history the first time.
            let _ = editor.load_history(file);
        }
        let (terminal, attended) = (std::io::stdout().is_terminal(), std::io::stdin().is_terminal());
        let attended = attended && terminal && std::io::stderr().is_terminal();
        let (in_line, looks_back, question) = (false, false, None);
        Ok(Self { editor, history, with, messages, terminal, attended, in_line, looks_back, question })
    }

    fn run(mut self) -> Outcome {
        let exit = self.cells();
        if let Some(file) = &self.history {
            // The history is not essential.
            let _ = file.parent().map(std::fs::create_dir_all);
            let _ = self.editor.save_history(file);
        }
        self.send(Request::Shutdown(Shutdown { id: fresh(), end: false }));
        exit
    }

    fn cells(&mut self) -> Outcome {
        if let Some(Message { body: Body::Ready { resumed: true, .. }, .. }) = self.messages.next() {
            let id = fresh();
            self.send(Request::Resume(Resume { id: id.clone(), history: true }));
            self.looks_back = true;
            if let Some(exit) = self.until_answered(&id)?.exit() {
                return Ok(exit);
            }
            self.looks_back = false;
            // The cell that ran before has to end first.
            if let Some(exit) = self.cell("")?.exit() {
                return Ok(exit);
            }
        }
        let mut code = String::new();
        loop {
            self.begin_line();
            let line = match self.editor.readline(if code.is_empty() { ">>> " } else { "... " }) {
                Ok(line) => line,
                Err(ReadlineError::Interrupted) => {
                    code.clear();
                    complain("KeyboardInterrupt");
                    continue;
                }
                Err(ReadlineError::Eof) => {
                    // A block is run even without its final empty line.
                    let ran = if code.is_empty() { Ran::Done } else { self.cell(&format!("{code}\n"))? };
                    return Ok(ran.exit().unwrap_or(Exit::Done));
                }
                Err(error) => return Err(Failure::usage(format!("cannot read from the terminal: {error}"))),
            };
            if code.is_empty() && line.trim().is_empty() {
                continue;
            }
            code.push_str(&line);
            code.push('\n');
            match self.cell(&code)? {
                Ran::Incomplete => continue,
                Ran::Done => code.clear(),
                ran => return Ok(ran.exit().unwrap_or(Exit::Done)),
            }
        }
    }

    fn cell(&mut self, code: &str) -> Result<Ran, Failure> {
        let id = fresh();
        // Without its last line end: an empty line completes a block.
        let code = code.strip_suffix('\n').unwrap_or(code).to_owned();
        self.with.insistence.forget();
        self.send(Request::Execute(Execute { id: id.clone(), code, interactive: true }));
        self.until_answered(&id)
    }

    /// Shows messages until a request is answered.
    fn until_answered(&mut self, id: &str) -> Result<Ran, Failure> {
        while let Some(Message { id: asked, reply_to, body, .. }) = self.messages.next() {
            let ours = reply_to.as_ref().is_some_and(|request| request.is(id));
            match body {
                Body::Result { incomplete: true, .. } if ours => return Ok(Ran::Incomplete),
                Body::Result { .. } if ours => return Ok(Ran::Done),
                Body::Error { name, message, cell: Some(_), .. } if ours && name == "SystemExit" => {
                    return Ok(Ran::Exit(exit_code(&message)));
                }
                Body::Error { cell: Some(_), .. } if self.looks_back => {}
                Body::Error { name, message, .. } if name == "invalid-answer" => {
                    self.say(&message);
                    if let Some(question) = self.question.take()
                        && let Some(ran) = self.answer(question)
                    {
                        return Ok(ran);
                    }
                }
                Body::Error { message, traceback, cell, .. } => {
                    self.say(traceback.as_deref().unwrap_or(&message).trim_end());
                    match cell {
                        Some(_) if ours => return Ok(Ran::Done),
                        None if ours || reply_to.is_none() => return Ok(Ran::Over),
                        _ => {}
                    }
                }
                Body::Output { stream, text } => self.show(stream, &text)?,
                Body::Display { data } => {
                    let parts: Vec<_> = data.into_iter().map(|(mime, data)| MimePart { mime, data }).collect();
                    self.show(Stream::Stdout, &displayed(&parts))?;
                }
                Body::InputRequest { kind, prompt, data, schema, .. } => {
                    let (call, prompt) = match kind {
                        Kind::Input => (None, text::line(&prompt, 400)),
                        Kind::Approval => {
                            let data = data.as_ref().and_then(|data| serde_json::from_str::<String>(data.text()).ok());
                            (Some(Call::read(&prompt, &data.unwrap_or_default())), format!("{}: ", may_it(&asked)))
                        }
                        Kind::Promise => {
                            let data = data.as_ref().map_or("", Json::text);
                            (None, format!("{} JSON: ", text::line(data, 400)))
                        }
                    };
                    let question = Question { id: asked, kind, call, prompt, has_schema: schema.is_some() };
                    if let Some(ran) = self.answer(question) {
                        return Ok(ran);
                    }
                }
                Body::CapabilityRequest { capability, message, .. } => self.say(&format!(
                    "{} is asked {}; answer with: everstep promise resolve {asked} JSON{}",
                    text::line(&capability, 200),
                    text::line(message.text(), 200),
                    self.with.place.option()
                )),
                Body::Notice { message } => self.say(&message),
                Body::Ready { .. } | Body::Result { .. } | Body::Denied { .. } => {}
            }
        }
        Ok(Ran::Over)
    }

    fn show(&mut self, stream: Stream, shown: &str) -> Result<(), Failure> {
        self.in_line = if shown.is_empty() { self.in_line } else { !shown.ends_with('\n') };
        let shown = if self.terminal { text::printed(shown) } else { shown.into() };
        let written = match stream {
            Stream::Stdout => {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(shown.as_bytes()).and_then(|()| stdout.flush())
            }
            Stream::Stderr => std::io::stderr().lock().write_all(shown.as_bytes()),
        };
        written.map_err(Failure::io("cannot write what the session shows"))
    }

    /// Ends half a line, and resets what a guest has set on the terminal.
    fn begin_line(&mut self) {
        let end = if std::mem::take(&mut self.in_line) && self.terminal { "\n" } else { "" };
        let reset = if self.terminal { text::RESET } else { "" };
        let mut stdout = std::io::stdout().lock();
        // An error in writing is reported when something is shown.
        let _ = write!(stdout, "{reset}{end}").and_then(|()| stdout.flush());
    }

    /// Writes a line of the host.
    fn say(&mut self, line: &str) {
        self.begin_line();
        complain(line);
    }

    /// Asks the person for an answer.
    fn answer(&mut self, question: Question) -> Option<Ran> {
        if let Some(call) = &question.call {
            self.say(&asked(&question.id, call, &self.with.place.option()));
            if !self.attended {
                return self.leave_undecided(&question.id);
            }
        }
        let value = loop {
            let Ok(line) = self.typed(&question.prompt) else {
                // The question is abandoned, and so is the cell.
                return self.with.insistence.interrupt(&self.with.ask).then_some(Ran::Left);
            };
            match &question.call {
                Some(call) if line.trim() == SHOW => self.say(&call.all()),
                _ => match answer_to(&question, &line) {
                    Ok(value) => break Some(value),
                    Err(why) => self.say(&why),
                },
            }
        };
        self.with.insistence.forget();
        let request_id = question.id.clone();
        self.question = Some(question);
        self.send(Request::InputResponse(Response { id: fresh(), request_id, value, error: None }));
        None
    }

    /// Leaves a call undecided: what is in a file or comes through a pipe was written before the question was seen.
    fn leave_undecided(&mut self, id: &str) -> Option<Ran> {
        let option = self.with.place.option();
        if self.with.place.check_survives().is_ok() {
            self.say(&format!(
                "standard input is no terminal, so it does not decide; decide with: everstep promise approve {id}{option} (or deny)"
            ));
            return None;
        }
        self.say("standard input is no terminal, so it does not decide, and nobody else reaches a store in memory (--store DIR)");
        self.with.insistence.interrupt(&self.with.ask).then_some(Ran::Left)
    }

    /// Reads a line at the prompt; what was typed before the prompt was shown is thrown away.
    fn typed(&mut self, prompt: &str) -> rustyline::Result<String> {
        self.begin_line();
        if !self.attended {
            return self.editor.readline(prompt);
        }
        forget_typed();
        // An answer is not a line of Python, for the history or to be completed.
        self.types_an_answer(true);
        let line = self.editor.readline(prompt);
        self.types_an_answer(false);
        line
    }

    fn types_an_answer(&mut self, is_answer: bool) {
        self.editor.set_auto_add_history(!is_answer);
        if let Some(names) = self.editor.helper_mut() {
            names.is_answer = is_answer;
        }
    }

    fn send(&self, request: Request) {
        // A session that has ended reports that itself.
        let _ = self.with.ask.send(Ok(request));
    }
}

impl Ran {
    /// The exit code, if the prompt ends here.
    fn exit(self) -> Option<Exit> {
        match self {
            Self::Done | Self::Incomplete => None,
            Self::Exit(code) => Some(if code == 0 { Exit::Done } else { Exit::Program(code) }),
            Self::Left => Some(Exit::Interrupted),
            Self::Over => Some(Exit::Halted),
        }
    }
}

/// The exit code of `SystemExit`, as in Python: a number is the code, nothing means success, and anything else is printed.
fn exit_code(message: &str) -> u8 {
    match message {
        "" | "None" | "False" => 0,
        "True" => 1,
        // A process's exit code has eight bits.
        _ => message.parse::<i128>().map_or_else(
            |_| {
                complain(message);
                1
            },
            |number| u8::try_from(number & 0xff).unwrap_or(1),
        ),
    }
}

/// The answer in a line, or the reason that it is not one.
fn answer_to(question: &Question, line: &str) -> Result<Json, String> {
    let written = |value: serde_json::Result<Box<RawValue>>| value.map(Json).map_err(|error| error.to_string());
    let json = |value: &str| {
        json::check(value).map_err(|error| error.to_string()).and_then(|()| written(serde_json::from_str(value)))
    };
    match question.kind {
        Kind::Approval => written(to_raw_value(&decision(line).ok_or(YES_OR_NO)?)),
        Kind::Promise => json(line),
        // JSON if there is a schema and the line is JSON; otherwise text.
        Kind::Input if question.has_schema => json(line).or_else(|_| written(to_raw_value(line))),
        Kind::Input => written(to_raw_value(line)),
    }
}

/// The file with the lines that were typed.
fn history_file() -> Option<PathBuf> {
    user_folder("XDG_STATE_HOME", ".local/state").map(|state| state.join("everstep/python_history"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_ends_with_the_exit_code_that_python_would_have() {
        let codes = ["", "None", "0", "3", "256", "-1", "True", "not today"].map(exit_code);
        assert_eq!(codes, [0, 0, 0, 3, 0, 255, 1, 1]);
    }
}
