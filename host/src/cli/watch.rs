//! Follows executions to their end: reports what they wait for and their progress, and stops at a signal.

use super::approval::Call;
use super::ask::{Asker, put};
use super::console::{Console, Style};
use super::elsewhere::{Elsewhere, Shown};
use super::piped::{Line, Piped};
use super::place::{NetworkArg, Place, Settings};
use super::signals::{Came, Signals};
use super::{Exit, Failure, complain, report, text, unwritten};
use everstep::store::{Execution, PendingPromise, PromiseKind, State};
use everstep::{Answer, ErrorCode, Everstep, ExecutionId, GuestError, Handle, Patience, PromiseId, Report};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::collections::HashSet;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::MissedTickBehavior;

/// How often the store is queried for new promises, and the progress line is drawn.
const TICK: Duration = Duration::from_millis(200);
/// How long an execution may run without a progress line.
const QUIET: Duration = Duration::from_secs(1);
/// How long the end by a signal waits for a stuck reader.
const GRACE: Duration = Duration::from_secs(1);

/// A host for the duration of a command.
pub(crate) struct Session {
    pub(crate) host: Everstep,
    pub(crate) console: Console,
    pub(crate) place: Place,
    /// Asks questions, if there is a terminal.
    asker: Option<Asker>,
    /// Answers questions from standard input, if that is not a terminal.
    piped: Option<Piped>,
    /// Whether its executions wait for answers.
    waits: bool,
    /// New questions.
    asked: UnboundedReceiver<PendingPromise>,
    /// Whether watching continues when everything has ended.
    pub(crate) stays: bool,
    json: bool,
    started: Instant,
    /// The promises that were announced, so that none is announced twice.
    announced: HashSet<PromiseId>,
    /// The promises of the store at the last look: output before them may come a moment later.
    seen: HashSet<PromiseId>,
    /// The halted executions that were announced.
    halted: HashSet<ExecutionId>,
    signals: Signals,
    /// The location of the ceiling.
    network: NetworkArg,
    /// Output of executions in other hosts.
    elsewhere: Elsewhere,
}

/// The end of watching.
pub(crate) enum Watched {
    /// Everything ended.
    Ended,
    /// A signal came first.
    Stopped(Exit),
}

impl Session {
    /// Starts a host whose output goes to a console of this style.
    pub(crate) fn start(place: Place, settings: Settings, style: Style) -> Result<Self, Failure> {
        let console = Console::start(style).map_err(Failure::io("cannot start a thread"))?;
        let shown = match place {
            Place::Server(_) => Shown::nothing_else(),
            Place::Memory | Place::Folder(_) => Shown::default(),
        };
        let sink = console.clone();
        let elsewhere = Elsewhere::new(shown.clone());
        let (ask, asked) = unbounded_channel();
        let builder = settings.host(&place)?.on_output(move |output| {
            if shown.is_new(&output) {
                sink.output(output);
            }
        });
        // Questions after the end of the session are dropped.
        let host = builder.on_question(move |promise| drop(ask.send(promise))).build()?;
        let signals = Signals::start(settings.network.ceiling.is_some())?;
        let network = settings.network;
        let (json, started) = (style.json, now());
        let (announced, halted) = (HashSet::new(), HashSet::new());
        let asker = if json { None } else { Asker::start(&console, &place) };
        let (stays, piped) = (false, None);
        Ok(Self {
            host,
            console,
            place,
            asker,
            piped,
            waits: true,
            asked,
            stays,
            json,
            started,
            announced,
            seen: HashSet::new(),
            halted,
            signals,
            network,
            elsewhere,
        })
    }

    /// Shows the output of an execution of a server from its first step on.
    pub(crate) fn expect(&self, id: &ExecutionId) {
        self.elsewhere.expect(id);
    }

    /// Answers questions from standard input, if that is not a terminal.
    pub(crate) fn answering(self, patience: Patience) -> Self {
        let waits = patience != Patience::None;
        let piped = if waits { Piped::start() } else { None };
        Self { piped, waits, ..self }
    }

    /// Waits for executions; `each` is called as they end.
    pub(crate) async fn watch(
        &mut self,
        handles: Vec<Handle>,
        mut each: impl AsyncFnMut(&Self, ExecutionId, Result<Report, Failure>),
    ) -> Watched {
        let mut running: HashSet<ExecutionId> = handles.iter().map(|handle| handle.id().clone()).collect();
        for id in &running {
            match self.place {
                Place::Server(_) => self.elsewhere.follow_all(&self.host, id).await,
                Place::Memory | Place::Folder(_) => self.elsewhere.follow(&self.host, id).await,
            }
        }
        let mut ending: FuturesUnordered<_> = handles.into_iter().map(wait).collect();
        let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + TICK, TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ended = ending.next(), if !(self.stays && ending.is_empty()) => {
                    let Some((id, outcome)) = ended else { return Watched::Ended };
                    running.remove(&id);
                    self.elsewhere.look(&self.console).await;
                    self.console.progress(None);
                    each(self, id, outcome).await;
                }
                line = Asker::line(&mut self.asker) => self.take_answer(&line).await,
                line = Piped::line(&mut self.piped) => self.take_line(line).await,
                Some(promise) = self.asked.recv() => {
                    // Of one that does not wait, the questions come after what it prints.
                    if self.waits && concerns(&running, &promise) {
                        self.announce(&promise);
                        self.give_up(&promise).await;
                    }
                }
                _ = tick.tick() => self.look(&running).await,
                came = self.signals.next() => match came {
                    Came::Reload => self.read_ceiling(),
                    Came::End(exit) => return Watched::Stopped(exit),
                },
            }
        }
    }

    /// Announces the promises that an execution waits for, each with the command that settles it, except those announced
    /// before.
    pub(crate) async fn announce_promises(&mut self, of: &ExecutionId) {
        let promises = self.host.reader().promises_within(of).await.unwrap_or_default();
        promises.iter().for_each(|promise| self.announce(promise));
    }

    /// Announces the halted executions that an execution in this state has called.
    pub(crate) async fn announce_halted(&mut self, of: &ExecutionId, state: State) {
        let halted = report::halted_below(&self.host.reader(), of, state).await;
        halted.iter().for_each(|halted| self.tell_halted(of, halted));
    }

    /// Announces, once, that an execution has halted that another one waits for, or has waited for.
    fn tell_halted(&mut self, of: &ExecutionId, halted: &Execution) {
        if !self.halted.insert(halted.id.clone()) {
            return;
        }
        let option = self.place.option();
        self.console.note(match halted.state {
            State::Halted => report::waits_in_vain(halted, &option),
            _ => format!("{of} has waited for {}", report::halted_text(halted)),
        });
    }

    fn announce(&mut self, promise: &PendingPromise) {
        if !self.announced.insert(promise.id.clone()) {
            return;
        }
        if let Some(piped) = self.piped.as_mut().filter(|_| Piped::answers(promise)) {
            piped.add(promise);
            // A program that reads its input has no prompt.
            if !promise.subject.is_empty() {
                self.console.note(put(promise));
            }
            return;
        }
        match self.asker.as_mut().filter(|_| matches!(promise.kind, PromiseKind::Input | PromiseKind::Approval)) {
            Some(asker) => asker.add(promise),
            None => self.console.note(waiting(promise, &self.place)),
        }
    }

    /// Whether nobody can answer a question before the command ends: there is no terminal, and the store is in the memory of this process. A
    /// promise may still be settled by the program itself.
    fn is_hopeless(&self, promise: &PendingPromise) -> bool {
        let has_hope = match promise.kind {
            PromiseKind::Input => self.asker.is_some() || self.piped.is_some() || promise.deadline_ms.is_some(),
            // The time of one is the longest that the policy lets a person think.
            PromiseKind::Approval => self.asker.is_some(),
            PromiseKind::Request => promise.deadline_ms.is_some(),
            PromiseKind::Promise => true,
        };
        self.place == Place::Memory && !has_hope
    }

    /// Answers a question that nobody can answer, so that the program does not wait for it without an end.
    async fn give_up(&self, promise: &PendingPromise) {
        if !self.is_hopeless(promise) {
            return;
        }
        let reason = "nobody can answer it here: there is no terminal, and the store ends with this command".to_owned();
        let outcome = match promise.kind {
            // Answers always serialise.
            PromiseKind::Approval => {
                let answer = Answer { approved: false, by: Some("everstep".to_owned()), reason: Some(reason) };
                Ok(serde_json::to_string(&answer).unwrap_or_default())
            }
            _ => Err(GuestError::new(ErrorCode::NotFound, reason)),
        };
        // One that was settled meanwhile needs no answer.
        let _ = self.host.settle(&promise.id, outcome).await;
    }

    /// Reloads the ceiling; if it cannot be read, the old one stays.
    fn read_ceiling(&self) {
        match self.network.ceiling() {
            Ok(policy) => {
                self.host.set_ceiling(policy);
                self.console.note("the ceiling was read again");
            }
            Err(failure) => self.console.note(format!("the ceiling stays as it was: {}", failure.message)),
        }
    }

    /// Answers the question that is being asked.
    async fn take_answer(&mut self, line: &str) {
        if let Some(asker) = &mut self.asker {
            asker.answer(&self.host, line).await;
        }
    }

    /// Answers the first question with a line of standard input, or with its end.
    async fn take_line(&mut self, line: Option<Line>) {
        let Some(piped) = &mut self.piped else { return };
        let said = piped.answer(&self.host, line).await;
        said.into_iter().for_each(|why| self.console.note(why));
    }

    /// Waits for some work, unless a signal comes first; then returns the command's exit code.
    pub(crate) async fn unless_stopped<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Exit> {
        tokio::select! {
            done = work => Ok(done),
            exit = self.signals.end() => Err(exit),
        }
    }

    /// Writes everything that is to be shown. Returns the exit code of a signal if one came first, because the reader
    /// is stuck.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub(crate) async fn close(mut self) -> Result<Option<Exit>, Failure> {
        let console = self.console.clone();
        let flush = tokio::task::spawn_blocking(move || console.flush());
        match self.unless_stopped(flush).await {
            Ok(Ok(flushed)) => flushed.map(|()| None).map_err(unwritten),
            Ok(Err(lost)) => Err(unwritten(lost.into())),
            Err(exit) => Ok(Some(exit)),
        }
    }

    /// Reports the end by a signal: everything stays as the store has it.
    pub(crate) fn stopped(self, exit: Exit, resume: &str) -> Exit {
        let kind = exit.signal();
        let message = match self.place {
            Place::Memory => "the memory store ends here, and nothing of it can be resumed".to_owned(),
            Place::Folder(_) | Place::Server(_) => format!("what was recorded is kept; go on with: {resume}"),
        };
        self.console.progress(None);
        self.console.note(format!("{kind}: {message}"));
        if self.json {
            self.console.say(Failure { kind: kind.into(), message, exit }.json().to_string());
        }
        if let Some(error) = self.console.flush_within(GRACE) {
            complain(&format!("error: {}", unwritten(error).message));
        }
        exit
    }

    async fn look(&mut self, running: &HashSet<ExecutionId>) {
        self.elsewhere.look(&self.console).await;
        let promises = self.open(running).await;
        if self.announced.len() > promises.len() {
            let open: HashSet<&PromiseId> = promises.iter().map(|promise| &promise.id).collect();
            self.announced.retain(|id| open.contains(id));
        }
        let pending: Vec<_> = promises.iter().filter(|promise| concerns(running, promise)).collect();
        let seen = pending.iter().map(|promise| promise.id.clone()).collect();
        let seen = std::mem::replace(&mut self.seen, seen);
        pending.iter().filter(|promise| seen.contains(&promise.id)).for_each(|promise| self.announce(promise));
        self.piped.iter_mut().for_each(|piped| piped.keep(&promises));
        if let Some(asker) = &mut self.asker {
            asker.keep(&promises);
        }
        for id in running {
            self.look_for_halted(id).await;
        }
        let elapsed = self.started.elapsed();
        if elapsed >= QUIET {
            self.console.progress(Some(self.progress(running, pending.len(), elapsed)));
        }
    }

    /// The open promises of the store; of a server, which others use too, those of these executions.
    async fn open(&self, running: &HashSet<ExecutionId>) -> Vec<PendingPromise> {
        let reader = self.host.reader();
        // A store that fails is reported by the execution.
        let Place::Server(_) = self.place else { return reader.promises().await.unwrap_or_default() };
        let mut open = Vec::new();
        for id in running {
            open.extend(reader.promises_within(id).await.unwrap_or_default());
        }
        open
    }

    async fn look_for_halted(&mut self, of: &ExecutionId) {
        for id in self.host.halted_so_far(of) {
            if !self.halted.contains(&id)
                && let Ok(halted) = self.host.reader().execution(&id).await
                && halted.state == State::Halted
            {
                self.tell_halted(of, &halted);
            }
        }
    }

    fn progress(&self, running: &HashSet<ExecutionId>, pending: usize, elapsed: Duration) -> String {
        let steps: u64 = running.iter().filter_map(|id| self.host.steps_so_far(id)).sum();
        let state = match (running.len(), pending) {
            (1, 0) => "running".to_owned(),
            (1, 1) => "waiting for a promise".to_owned(),
            (1, pending) => format!("waiting for {pending} promises"),
            (executions, 0) => format!("{executions} running"),
            (executions, pending) => format!("{executions} running, {pending} promises pending"),
        };
        let elapsed = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        format!("{state}, {steps} steps, {}", text::span(elapsed))
    }
}

/// Whether a promise belongs to one of these executions, or to one that they have called.
fn concerns(running: &HashSet<ExecutionId>, promise: &PendingPromise) -> bool {
    running.iter().any(|id| promise.id.execution.is_within(id))
}

async fn wait(handle: Handle) -> (ExecutionId, Result<Report, Failure>) {
    (handle.id().clone(), handle.wait().await.map_err(Failure::from))
}

/// Describes a pending promise, and how to answer it.
pub(super) fn waiting(promise: &PendingPromise, place: &Place) -> String {
    let PendingPromise { id, kind, subject, data, .. } = promise;
    let option = place.option();
    let is_call = *kind == PromiseKind::Approval;
    let asked = if is_call {
        format!("\n{}", Call::of(promise).shown(&format!("everstep promise show {id}{option}")))
    } else {
        let asked = if subject.is_empty() { data.as_deref().unwrap_or_default() } else { subject };
        if asked.is_empty() { String::new() } else { format!(" {}", text::line(asked, 120)) }
    };
    let how = match place {
        Place::Memory => {
            "nobody can answer it here: another process reaches a store in a folder only (--store DIR)".into()
        }
        Place::Folder(_) | Place::Server(_) if is_call => {
            format!("decide with: everstep promise approve {id}{option} (or deny)")
        }
        Place::Folder(_) | Place::Server(_) => format!("answer with: everstep promise resolve {id} JSON{option}"),
    };
    format!("waiting for {id} ({kind}){asked}\n  {how}")
}

#[allow(clippy::disallowed_methods, reason = "how long the command took is shown to its user only")]
fn now() -> Instant {
    Instant::now()
}

/// Runs a command on a new runtime; what still runs at its end is dropped.
pub(crate) fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::io("cannot start the runtime"))?;
    let outcome = runtime.block_on(command);
    runtime.shutdown_background();
    outcome
}
