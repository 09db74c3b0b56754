//! The host's side of a session: requests in, messages out.

use super::cells::{CAPABILITY, Cell, Looked, Prompt, last_cell};
use super::elsewhere::Elsewhere;
use super::message::{
    Body, Execute, Json, Kind, Look, Message, PROTOCOL, Reason, Refused, Request, Response, Resume, Shutdown, Standing,
    Stream,
};
use crate::bridge::Patience;
use crate::guest_error::GuestError;
use crate::host::{Builder, Disregarded, Error, Everstep, Handle, Report, Run};
use crate::id::{ExecutionId, PromiseId};
use crate::output::{Content, Output};
use everstep_store::{PendingPromise, PromiseKind};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Events of the host for a session.
pub struct Feed {
    events: UnboundedReceiver<Event>,
    sender: UnboundedSender<Event>,
}

pub(super) enum Event {
    Output(Output),
    Question(PendingPromise),
}

/// Makes the host that a builder builds report its events to a session.
pub fn listen(builder: Builder) -> (Builder, Feed) {
    let (sender, events) = unbounded_channel();
    let (outputs, questions) = (sender.clone(), sender.clone());
    // Events after the end of the session are dropped.
    let builder = builder.on_output(move |output| drop(outputs.send(Event::Output(output))));
    let builder = builder.on_question(move |promise| drop(questions.send(Event::Question(promise))));
    (builder, Feed { events, sender })
}

/// An execution that a client drives.
pub struct Session {
    host: Everstep,
    id: ExecutionId,
    feed: UnboundedReceiver<Event>,
    /// Looks for events, if workers of a server run it.
    elsewhere: Option<Elsewhere>,
    say: Box<dyn FnMut(Message) + Send>,
    /// The parts of the run that were ignored, because the session existed before.
    disregarded: Vec<Disregarded>,
    /// Resolves at the end of the execution; `None` once that is known.
    end: Option<BoxFuture<'static, Result<Report, Arc<Error>>>>,
    /// The requests for the next cell, while the session is idle: one, unless a cell has made others, which get the same
    /// answer.
    prompts: Vec<PromiseId>,
    /// The number of the last such request.
    prompted: Option<u64>,
    /// The cell that was handed to the guest and has no result yet.
    running: Option<Cell>,
    queue: VecDeque<Cell>,
    cells: u64,
    /// The messages that wait for a client's answer, as far as they were sent.
    open: HashMap<PromiseId, Asked>,
    /// The last step of each execution whose output was sent.
    told: HashMap<ExecutionId, u64>,
    /// The request of the cell that the last output belongs to, and the id of that cell.
    shown_for: Option<(u64, Option<String>)>,
    /// The number of messages sent that belong to no step.
    said: u64,
}

/// The kind of a message that waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Input,
    Capability,
}

impl Session {
    /// Starts a session, or resumes the one with that id. `say` is called with each message, in order, `ready` first.
    ///
    /// # Errors
    /// As [`Everstep::start`]; [`Error::Runs`] while another host of a folder drives it.
    pub async fn open(
        host: Everstep,
        feed: Feed,
        run: Run,
        say: impl FnMut(Message) + Send + 'static,
    ) -> Result<Self, Error> {
        let id = run.id.clone();
        let resumed = host.reader().execution(&id).await.is_ok();
        let is_shared = host.is_shared();
        if resumed && !is_shared {
            host.wait_until_free(&id).await?;
        }
        let running = if resumed { last_cell(&host, &id).await? } else { None };
        let handle = if is_shared { host.submit(run).await? } else { host.start(run).await? };
        let elsewhere = match is_shared {
            true => Some(Elsewhere::start(host.reader(), id.clone(), feed.sender).await?),
            false => None,
        };
        let mut session = Self {
            host,
            id,
            feed: feed.events,
            elsewhere,
            say: Box::new(say),
            disregarded: handle.disregarded().to_vec(),
            end: Some(end(handle)),
            prompts: Vec::new(),
            prompted: None,
            running,
            queue: VecDeque::new(),
            cells: 0,
            open: HashMap::new(),
            told: HashMap::new(),
            shown_for: None,
            said: 0,
        };
        let version = env!("CARGO_PKG_VERSION").to_owned();
        session.tell(None, Body::Ready { protocol: PROTOCOL, version, resumed });
        Ok(session)
    }

    /// The parts of the run that were ignored, because the session existed before.
    pub fn disregarded(&self) -> &[Disregarded] {
        &self.disregarded
    }

    /// Serves requests until the client shuts the session down, or until `requests` has ended and what was sent is done, as far as that
    /// needs no answer. What is recorded stays.
    ///
    /// # Errors
    /// The store failed.
    pub async fn serve(&mut self, requests: &mut UnboundedReceiver<Result<Request, Refused>>) -> Result<(), Error> {
        let mut ends = false;
        while !(ends && self.has_nothing_to_do()) {
            // Fair, so that a flood of output does not delay an interruption.
            tokio::select! {
                // The host lives as long as the session.
                Some(event) = self.feed.recv() => self.take(event).await,
                ended = async { match &mut self.end { Some(end) => end.await, None => std::future::pending().await } } => {
                    self.end = None;
                    self.ended(ended).await?;
                }
                request = requests.recv(), if !ends => match request {
                    None => ends = true,
                    Some(Ok(Request::Shutdown(Shutdown { id, end: false }))) => {
                        self.done(id);
                        return Ok(());
                    }
                    Some(Ok(Request::Shutdown(shutdown))) => {
                        if self.finish(shutdown).await? {
                            return Ok(());
                        }
                    }
                    Some(Ok(request)) => self.carry_out(request).await,
                    Some(Err(Refused { id, message })) => self.tell(id, refusal("invalid-request", message)),
                }
            }
        }
        Ok(())
    }

    /// Whether nothing will happen before the client sends a request.
    fn has_nothing_to_do(&self) -> bool {
        let idle = !self.prompts.is_empty() && self.queue.is_empty();
        idle || self.end.is_none() || !self.open.is_empty()
    }

    async fn carry_out(&mut self, request: Request) {
        match request {
            Request::Execute(Execute { id, code, interactive }) => {
                self.enqueue(Cell { id, code, interactive, look: None }).await;
            }
            Request::Complete(Look { id, code, cursor, .. }) => {
                self.enqueue(Cell::looking(id, Looked::Complete { code, cursor })).await;
            }
            Request::Inspect(Look { id, code, cursor, detail }) => {
                self.enqueue(Cell::looking(id, Looked::Inspect { code, cursor, detail })).await;
            }
            Request::InputResponse(response) => self.respond(response, Asked::Input).await,
            Request::CapabilityResponse(response) => self.respond(response, Asked::Capability).await,
            Request::Interrupt(request) => {
                if !self.prompts.is_empty() || self.end.is_none() {
                    return self.refuse(Some(request.id), "idle", "no cell runs");
                }
                match self.host.interrupt(&self.id).await {
                    Ok(()) => self.done(request.id),
                    Err(error) => self.refuse(Some(request.id), "failed", error.to_string()),
                }
            }
            Request::Resume(resume) => {
                let id = resume.id.clone();
                match self.resume(resume).await {
                    Ok(()) => self.done(id),
                    Err(error) => self.refuse(Some(id), "failed", error.to_string()),
                }
            }
            Request::Status(request) => match self.standing().await {
                Ok(standing) => self.result(request.id, Json::from(&standing)),
                Err(error) => self.refuse(Some(request.id), "failed", error.to_string()),
            },
            Request::Shutdown(_) => {}
        }
    }

    async fn enqueue(&mut self, cell: Cell) {
        if self.end.is_none() {
            let message = "the session runs no more; resume takes up one that has halted";
            return self.refuse(Some(cell.id), "ended", message);
        }
        self.queue.push_back(cell);
        self.next_cell().await;
    }

    /// Hands the next cell to a guest that has asked for one.
    async fn next_cell(&mut self) {
        while !self.prompts.is_empty()
            && let Some(cell) = self.queue.pop_front()
        {
            let mut refused = None;
            for prompt in self.prompts.clone() {
                match self.hand_over(&prompt, &cell).await {
                    Ok(()) => self.prompts.clear(),
                    Err(error) => refused = Some(error),
                }
            }
            match refused {
                Some(error) if !self.prompts.is_empty() => {
                    if matches!(error, Error::InvalidOutcome { .. } | Error::Store(_)) {
                        self.refuse(Some(cell.id), name(&error), error.to_string());
                    } else {
                        // The request was ended by a trap; the guest asks again.
                        self.prompts.clear();
                        self.queue.push_front(cell);
                    }
                }
                _ => self.running = Some(cell),
            }
        }
        self.look().await;
    }

    /// Hears of what has happened elsewhere.
    async fn look(&self) {
        if let Some(elsewhere) = &self.elsewhere {
            elsewhere.look().await;
        }
    }

    async fn hand_over(&self, prompt: &PromiseId, cell: &Cell) -> Result<(), Error> {
        self.host.settle(prompt, Ok(Json::from(cell).text().to_owned())).await
    }

    /// Takes a client's answer to a message.
    async fn respond(&mut self, response: Response, asked: Asked) {
        let Response { id, request_id, value, error } = response;
        let promise = request_id.parse::<PromiseId>().ok().filter(|promise| self.open.get(promise) == Some(&asked));
        let Some(promise) = promise else {
            return self.refuse(Some(id), "not-pending", format!("nothing waits for an answer to {request_id}"));
        };
        let outcome = match (value, error) {
            (Some(value), _) => Ok(value.text().to_owned()),
            (None, Some(Reason { code, message })) => Err(GuestError::new(code, message)),
            (None, None) => return self.refuse(Some(id), "invalid-request", "either value or error is due"),
        };
        match self.host.settle(&promise, outcome).await {
            Ok(()) => {
                self.open.remove(&promise);
                self.done(id);
                self.look().await;
            }
            Err(error) => {
                // An answer that does not fit leaves the message open.
                if !matches!(error, Error::InvalidOutcome { .. }) {
                    self.open.remove(&promise);
                }
                self.refuse(Some(id), name(&error), error.to_string());
            }
        }
    }

    async fn resume(&mut self, resume: Resume) -> Result<(), Error> {
        let reader = self.host.reader();
        if resume.history {
            for output in reader.output(&self.id).await? {
                self.told.insert(self.id.clone(), output.step);
                let cell = self.cell_of(&output).await;
                self.show(output, cell);
            }
        }
        if self.end.is_none() && !reader.execution(&self.id).await?.state.is_final() {
            let handle = match self.elsewhere {
                Some(_) => self.host.hand_over(&self.id).await?,
                None => self.host.resume(&self.id, Patience::Forever).await?,
            };
            self.end = Some(end(handle));
        }
        self.open.clear();
        self.prompted = None;
        for promise in reader.promises_within(&self.id).await? {
            self.ask(promise).await;
        }
        Ok(())
    }

    async fn standing(&self) -> Result<Standing, Error> {
        let reader = self.host.reader();
        // The store knows what was settled or canceled elsewhere.
        let open = reader
            .promises_within(&self.id)
            .await?
            .into_iter()
            .map(|promise| promise.id)
            .filter(|id| self.open.contains_key(id));
        let open = open.map(|id| id.to_string()).collect();
        Ok(Standing {
            state: reader.execution(&self.id).await?.state.name().to_owned(),
            busy: self.prompts.is_empty() && self.end.is_some(),
            running: self.running.as_ref().map(|cell| cell.id.clone()),
            queued: self.queue.iter().map(|cell| cell.id.clone()).collect(),
            cells: self.cells,
            open,
        })
    }

    /// Ends the session for good; returns whether it has ended.
    async fn finish(&mut self, shutdown: Shutdown) -> Result<bool, Error> {
        if self.prompts.is_empty() {
            self.refuse(Some(shutdown.id), "busy", "a cell runs; interrupt it first, or leave the session as it is");
            return Ok(false);
        }
        // On a server another client may have handed it a cell.
        self.catch_up().await;
        let mut accepted = false;
        for prompt in std::mem::take(&mut self.prompts) {
            match self.host.settle(&prompt, Ok("null".to_owned())).await {
                Ok(()) => accepted = true,
                Err(error @ Error::Store(_)) => return Err(error),
                Err(_) => {}
            }
        }
        if !accepted {
            self.refuse(Some(shutdown.id), "busy", "a cell of another client runs");
            return Ok(false);
        }
        if let Some(end) = self.end.take() {
            end.await.map_err(|error| Error::Store(everstep_store::Error::Poisoned(error.to_string())))?;
        }
        self.done(shutdown.id);
        Ok(true)
    }

    async fn take(&mut self, event: Event) {
        match event {
            Event::Question(promise) => self.ask(promise).await,
            Event::Output(output) if output.execution.is_within(&self.id) => {
                let last = self.told.insert(output.execution.clone(), output.step);
                if last.is_none_or(|last| last < output.step) {
                    let cell = self.cell_of(&output).await;
                    self.show(output, cell);
                }
            }
            Event::Output(_) => {}
        }
    }

    /// The id of the cell that ran when something was shown; none between two cells. What a called execution shows belongs to the one that
    /// runs when it is told.
    async fn cell_of(&mut self, output: &Output) -> Option<String> {
        if output.execution != self.id {
            return self.running.as_ref().map(|cell| cell.id.clone());
        }
        let request = output.during?;
        if self.shown_for.as_ref().is_none_or(|(number, _)| *number != request) {
            let cell = match self.host.reader().outcome(&self.id.promise(request)).await {
                Ok(Some(Ok(cell))) => serde_json::from_str::<Cell>(&cell).ok(),
                _ => None,
            };
            let id = cell.filter(|cell| cell.look.is_none()).map(|cell| cell.id);
            self.shown_for = Some((request, id));
        }
        self.shown_for.as_ref().and_then(|(_, id)| id.clone())
    }

    fn show(&mut self, output: Output, reply_to: Option<String>) {
        let Output { execution, step, content, .. } = output;
        let id = execution.promise(step).to_string();
        let body = match content {
            Content::Stdout(text) => Body::Output { stream: Stream::Stdout, text },
            Content::Stderr(text) => Body::Output { stream: Stream::Stderr, text },
            Content::Display(parts) => {
                Body::Display { data: parts.into_iter().map(|part| (part.mime, part.data)).collect() }
            }
            Content::Denied { call, subject, message } => Body::Denied { call, subject, message },
        };
        let reply_to = reply_to.as_ref().map(Json::from);
        (self.say)(Message { id, execution_id: execution.to_string(), reply_to, body });
    }

    /// Sends a message for a pending promise, once.
    async fn ask(&mut self, promise: PendingPromise) {
        let id = promise.id.clone();
        if !id.execution.is_within(&self.id) || self.open.contains_key(&id) {
            return;
        }
        if promise.kind == PromiseKind::Request && promise.subject == CAPABILITY && id.execution == self.id {
            if self.prompted.is_none_or(|last| last < id.number) {
                let began = self.prompted.replace(id.number);
                self.tell_what_was_taken_back(began);
                self.prompt_for(id, promise.data.as_deref().unwrap_or_default()).await;
            }
            return;
        }
        let deadline_ms = promise.deadline_ms;
        let json = |text: Option<String>| text.as_deref().map(Json::of);
        let kind = match promise.kind {
            PromiseKind::Request => None,
            PromiseKind::Input => Some(Kind::Input),
            PromiseKind::Approval => Some(Kind::Approval),
            PromiseKind::Promise => Some(Kind::Promise),
        };
        let (asked, body) = if let Some(kind) = kind {
            let (prompt, schema) = (promise.subject, json(promise.schema));
            let data = promise.data.map(|data| match kind {
                Kind::Promise => Json::of(&data),
                Kind::Input | Kind::Approval => Json::from(&data),
            });
            (Asked::Input, Body::InputRequest { kind, prompt, data, schema, deadline_ms })
        } else {
            let message = json(promise.data).unwrap_or(Json::of("null"));
            (Asked::Capability, Body::CapabilityRequest { capability: promise.subject, message, deadline_ms })
        };
        self.open.insert(id.clone(), asked);
        let reply_to = self.running.as_ref().map(|cell| Json::from(&cell.id));
        (self.say)(Message { id: id.to_string(), execution_id: id.execution.to_string(), reply_to, body });
    }

    /// Reports what an interruption has undone of a cell that computed without calls; the cell began with step
    /// `began`.
    fn tell_what_was_taken_back(&mut self, began: Option<u64>) {
        let Some(step) = self.host.taken_back_to(&self.id) else { return };
        let to = if began.is_some_and(|began| step <= began) {
            "its beginning: nothing that it did remains".to_owned()
        } else {
            format!("its last call, step {}: what it did after that is undone", self.id.promise(step))
        };
        let message = format!("the interruption has taken the cell back to {to}");
        let cell = self.running.as_ref().map(|cell| Json::from(&cell.id));
        self.tell(cell, Body::Notice { message });
    }

    /// Takes the guest's request for a cell, with the outcome of the last one. The guest cannot report on a cell that it was not handed. A
    /// request while a cell runs comes from other code of the guest, or from a guest that has not received that cell: it gets the same
    /// cell, which is run once.
    async fn prompt_for(&mut self, prompt: PromiseId, data: &str) {
        let asked = serde_json::from_str::<Prompt>(data);
        let told = asked.as_ref().ok().and_then(|prompt| prompt.answer.as_ref()?.id.clone());
        if let Some(cell) = self.running.take_if(|cell| asked.is_ok() && told.as_ref() != Some(&cell.id)) {
            if let Err(error) = self.hand_over(&prompt, &cell).await {
                tracing::warn!(%error, "a cell cannot be handed over again");
            }
            self.running = Some(cell);
            return;
        }
        match (asked, self.running.take()) {
            (Ok(Prompt { cells, answer: Some(answer) }), Some(_)) => {
                self.cells = cells;
                let (id, execution_id) = (prompt.to_string(), self.id.to_string());
                let (reply_to, body) = answer.told();
                let reply_to = reply_to.as_ref().map(Json::from);
                (self.say)(Message { id, execution_id, reply_to, body });
            }
            (Ok(Prompt { cells, .. }), _) => self.cells = cells,
            (Err(error), cell) => {
                let message = format!("the guest asks for a cell in its own way: {error}");
                self.refuse(cell.map(|cell| cell.id), "invalid-prompt", message);
            }
        }
        if self.elsewhere.is_some() {
            // Another client has handed the last one a cell.
            self.prompts.clear();
        }
        self.prompts.push(prompt);
        self.next_cell().await;
    }

    /// Handles the end or the halt of the execution.
    async fn ended(&mut self, ended: Result<Report, Arc<Error>>) -> Result<(), Error> {
        // Events before the end are handled first.
        self.catch_up().await;
        let report = ended.map_err(|error| Error::Store(everstep_store::Error::Poisoned(error.to_string())))?;
        let message = match &report.error {
            Some(failure) => failure.message.clone(),
            None => "the session has ended".to_owned(),
        };
        self.prompts.clear();
        let waiting = self.running.take().into_iter().chain(std::mem::take(&mut self.queue));
        let mut waiting: Vec<Option<String>> = waiting.map(|cell| Some(cell.id)).collect();
        if waiting.is_empty() {
            waiting.push(None);
        }
        for id in waiting {
            self.refuse(id, report.state.name(), message.clone());
        }
        Ok(())
    }

    /// Takes in all that has happened so far.
    async fn catch_up(&mut self) {
        self.look().await;
        while let Ok(event) = self.feed.try_recv() {
            self.take(event).await;
        }
    }

    fn done(&mut self, reply_to: String) {
        self.result(reply_to, Json::of("null"));
    }

    fn result(&mut self, reply_to: String, value: Json) {
        let body = Body::Result { value, repr: None, data: BTreeMap::new(), cell: None, incomplete: false };
        self.tell(Some(Json::from(&reply_to)), body);
    }

    fn refuse(&mut self, reply_to: Option<String>, name: &str, message: impl Into<String>) {
        self.tell(reply_to.as_ref().map(Json::from), refusal(name, message));
    }

    /// Sends a message that belongs to no step.
    fn tell(&mut self, reply_to: Option<Json>, body: Body) {
        self.said += 1;
        let (id, execution_id) = (format!("{}:{}", self.id, self.said), self.id.to_string());
        (self.say)(Message { id, execution_id, reply_to, body });
    }
}

fn refusal(name: &str, message: impl Into<String>) -> Body {
    Body::Error { name: name.to_owned(), message: message.into(), traceback: None, cell: None }
}

fn end(handle: Handle) -> BoxFuture<'static, Result<Report, Arc<Error>>> {
    handle.wait().boxed()
}

/// The error name for programs.
fn name(error: &Error) -> &'static str {
    match error {
        Error::InvalidOutcome { .. } => "invalid-answer",
        Error::Store(_) => "failed",
        _ => "not-pending",
    }
}
