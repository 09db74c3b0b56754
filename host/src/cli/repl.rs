//! `everstep repl`: a person in a Python session.

use super::ask::{YES_OR_NO, decision, may_it};
use super::console::displayed;
use super::failure::Exit;
use super::place::user_folder;
use super::session::{Placed, Ready, complain_of_disregarded};
use super::watch::block_on;
use super::{Failure, Outcome, complain, text};
use everstep::output::MimePart;
use everstep::session::{
    Body, Execute, Json, Kind, Message, Plain, Refused, Request, Response, Resume, Session, Shutdown, Stream,
};
use everstep::{ExecutionId, json};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor};
use serde_json::value::{RawValue, to_raw_value};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Type Python into a durable session
///
/// Names live from cell to cell, and after a crash: the same --id takes the session up, and shows what it has printed. A block ends with an
/// empty line, Ctrl-C interrupts the cell that runs, Ctrl-D leaves the session as it is.
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
        let Ready { host, feed, run, place, server } = args.place.prepare()?;
        let id = run.id.clone();
        let (say, messages) = unbounded_channel();
        let (ask, mut requests) = unbounded_channel();
        let interrupt = signal(SignalKind::interrupt()).map_err(Failure::io("cannot handle signals"))?;
        // A prompt that has gone away needs no messages.
        let mut session = Session::open(host, feed, run, move |message| drop(say.send(message))).await?;
        complain_of_disregarded(&session, &id, &place);
        tokio::spawn(pass_on(interrupt, ask.clone()));
        let typing = tokio::task::spawn_blocking(move || Prompt::new(ask, messages)?.run());
        session.serve(&mut requests).await?;
        drop((session, server));
        let exit = typing.await.map_err(|lost| Failure::io("the prompt is gone")(lost.into()))??;
        if exit == Exit::Done && place.folder().is_ok() {
            complain(&format!("the session is kept; go on with: everstep repl --id {id}{}", place.option()));
        }
        Ok(exit)
    }))
}

/// Ctrl-C while a cell runs; at the prompt the editor has it.
async fn pass_on(mut interrupt: Signal, ask: UnboundedSender<Result<Request, Refused>>) {
    while interrupt.recv().await.is_some() {
        // A session that has ended has nothing to interrupt.
        let _ = ask.send(Ok(Request::Interrupt(Plain { id: fresh() })));
    }
}

fn fresh() -> String {
    ExecutionId::random().to_string()
}

/// The prompt, on a thread of its own: it blocks.
struct Prompt {
    editor: Editor<(), FileHistory>,
    history: Option<PathBuf>,
    ask: UnboundedSender<Result<Request, Refused>>,
    messages: UnboundedReceiver<Message>,
    terminal: bool,
    /// What is told is what was before: of a cell that has ended, its output is enough.
    looks_back: bool,
    /// The last one that was answered, which is put again if the answer does not fit.
    question: Option<Question>,
}

/// What the person is asked.
struct Question {
    /// What answers it.
    id: String,
    kind: Kind,
    text: String,
    has_schema: bool,
}

/// What became of a cell.
enum Ran {
    Done,
    Incomplete,
    /// The program asked to leave.
    Exit,
    /// The session runs no more.
    Over,
}

impl Prompt {
    fn new(
        ask: UnboundedSender<Result<Request, Refused>>,
        messages: UnboundedReceiver<Message>,
    ) -> Result<Self, Failure> {
        let config = Config::builder().auto_add_history(true).build();
        let editor = Editor::with_config(config);
        let mut editor = editor.map_err(|error| Failure::usage(format!("the terminal cannot be used: {error}")))?;
        let history = history_file();
        if let Some(file) = &history {
            // There is none the first time.
            let _ = editor.load_history(file);
        }
        Ok(Self {
            editor,
            history,
            ask,
            messages,
            terminal: std::io::stdout().is_terminal(),
            looks_back: false,
            question: None,
        })
    }

    fn run(mut self) -> Outcome {
        let exit = self.cells();
        if let Some(file) = &self.history {
            // Without a history the next session is as good.
            let _ = file.parent().map(std::fs::create_dir_all);
            let _ = self.editor.save_history(file);
        }
        self.send(Request::Shutdown(Shutdown { id: fresh(), end: false }));
        exit
    }

    fn cells(&mut self) -> Outcome {
        if let Some(Message { body: Body::Ready { resumed: true, .. }, .. }) = self.messages.blocking_recv() {
            let id = fresh();
            self.send(Request::Resume(Resume { id: id.clone(), history: true }));
            self.looks_back = true;
            if let Ran::Over = self.until_answered(&id)? {
                return Ok(Exit::Halted);
            }
            self.looks_back = false;
            if !self.until_idle()? {
                return Ok(Exit::Halted);
            }
        }
        let mut code = String::new();
        loop {
            let line = match self.editor.readline(if code.is_empty() { ">>> " } else { "... " }) {
                Ok(line) => line,
                Err(ReadlineError::Interrupted) => {
                    code.clear();
                    complain("KeyboardInterrupt");
                    continue;
                }
                Err(ReadlineError::Eof) => {
                    // What stands there without its empty line is meant to run.
                    if !code.is_empty() {
                        self.cell(&format!("{code}\n"))?;
                    }
                    return Ok(Exit::Done);
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
                Ran::Exit => return Ok(Exit::Done),
                Ran::Over => return Ok(Exit::Halted),
            }
        }
    }

    fn cell(&mut self, code: &str) -> Result<Ran, Failure> {
        let id = fresh();
        // Without its last line end: an empty line is what completes a block.
        let code = code.strip_suffix('\n').unwrap_or(code).to_owned();
        self.send(Request::Execute(Execute { id: id.clone(), code, interactive: true }));
        self.until_answered(&id)
    }

    /// Waits until the cell that ran before is over.
    fn until_idle(&mut self) -> Result<bool, Failure> {
        Ok(!matches!(self.cell("")?, Ran::Over))
    }

    /// Shows what is told until a request is answered.
    fn until_answered(&mut self, id: &str) -> Result<Ran, Failure> {
        while let Some(Message { id: asked, reply_to, body, .. }) = self.messages.blocking_recv() {
            let ours = reply_to.as_deref() == Some(id);
            match body {
                Body::Result { incomplete: true, .. } if ours => return Ok(Ran::Incomplete),
                Body::Result { .. } if ours => return Ok(Ran::Done),
                Body::Error { name, cell: Some(_), .. } if ours && name == "SystemExit" => return Ok(Ran::Exit),
                Body::Error { cell: Some(_), .. } if self.looks_back => {}
                Body::Error { name, message, .. } if name == "invalid-answer" => {
                    complain(&message);
                    self.question.take().into_iter().for_each(|question| self.answer(question));
                }
                Body::Error { message, traceback, cell, .. } => {
                    complain(traceback.as_deref().unwrap_or(&message).trim_end());
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
                    let text = match (kind, &data) {
                        (Kind::Input, _) => text::line(&prompt, 400),
                        (Kind::Approval, data) => {
                            let data = data.as_ref().and_then(|data| serde_json::from_str::<String>(data.text()).ok());
                            may_it(&prompt, &data.unwrap_or_default()) + " "
                        }
                        (Kind::Promise, data) => data.as_ref().map_or("", Json::text).to_owned() + " JSON: ",
                    };
                    self.answer(Question { id: asked, kind, text, has_schema: schema.is_some() });
                }
                Body::CapabilityRequest { capability, message, .. } => complain(&format!(
                    "{capability} is asked {}; answer with: everstep promise resolve {asked} JSON",
                    text::line(message.text(), 200)
                )),
                Body::Ready { .. } | Body::Result { .. } | Body::Denied { .. } => {}
            }
        }
        Ok(Ran::Over)
    }

    fn show(&self, stream: Stream, shown: &str) -> Result<(), Failure> {
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

    /// Has the person answer.
    fn answer(&mut self, question: Question) {
        let value = loop {
            let Ok(line) = self.editor.readline(&question.text) else {
                // The question is given up, and the cell with it.
                return self.send(Request::Interrupt(Plain { id: fresh() }));
            };
            match answer_to(&question, &line) {
                Ok(value) => break Some(value),
                Err(why) => complain(&why),
            }
        };
        let request_id = question.id.clone();
        self.question = Some(question);
        self.send(Request::InputResponse(Response { id: fresh(), request_id, value, error: None }));
    }

    fn send(&self, request: Request) {
        // A session that has ended says so by itself.
        let _ = self.ask.send(Ok(request));
    }
}

/// What a line answers, or why it does not.
fn answer_to(question: &Question, line: &str) -> Result<Json, String> {
    let written = |value: serde_json::Result<Box<RawValue>>| value.map(Json).map_err(|error| error.to_string());
    let json = |value: &str| {
        json::check(value).map_err(|error| error.to_string()).and_then(|()| written(serde_json::from_str(value)))
    };
    match question.kind {
        Kind::Approval => written(to_raw_value(&decision(line).ok_or(YES_OR_NO)?)),
        Kind::Promise => json(line),
        // As JSON if it has to fit a schema, and is some.
        Kind::Input if question.has_schema => json(line).or_else(|_| written(to_raw_value(line))),
        Kind::Input => written(to_raw_value(line)),
    }
}

/// Where lines are kept that were typed.
fn history_file() -> Option<PathBuf> {
    user_folder("XDG_STATE_HOME", ".local/state").map(|state| state.join("everstep/python_history"))
}
