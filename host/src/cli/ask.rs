//! Questions on a terminal: asked one by one, and answered through the same promises as from anywhere else.
//!
//! An answer counts only if it was typed after its question was shown: earlier input, typed for output of the guest or for another
//! question, is thrown away after the question is shown and before its last line, the prompt.

use super::approval::Call;
use super::console::Console;
use super::terminal::Terminal;
use super::{place::Place, text};
use everstep::store::{PendingPromise, PromiseKind};
use everstep::{Answer, Error, Everstep};
use serde_json::value::RawValue;
use std::collections::VecDeque;

/// Asks the person at the terminal.
pub(crate) struct Asker {
    /// The open questions; the first one is being asked.
    questions: VecDeque<PendingPromise>,
    terminal: Terminal,
    console: Console,
    /// The store option for the commands that are shown.
    option: String,
    /// Whether earlier input was thrown away, and the prompt of the first question is on the terminal.
    is_prompted: bool,
}

impl Asker {
    /// Starts reading the terminal; `None` if there is none.
    pub(crate) fn start(console: &Console, place: &Place) -> Option<Self> {
        let terminal = Terminal::open()?;
        let (console, option) = (console.clone(), place.option());
        Some(Self { questions: VecDeque::new(), terminal, console, option, is_prompted: false })
    }

    /// Adds a question, and asks it if it is the only one.
    pub(crate) fn add(&mut self, question: &PendingPromise) {
        self.questions.push_back(question.clone());
        if self.questions.len() == 1 {
            self.put();
        }
    }

    /// Forgets questions that were answered elsewhere; asks the next one if the current one is among them.
    pub(crate) fn keep(&mut self, pending: &[PendingPromise]) {
        let Some(first) = self.questions.front().map(|question| question.id.clone()) else { return };
        self.questions.retain(|question| pending.iter().any(|open| open.id == question.id));
        if self.questions.front().map(|question| &question.id) != Some(&first) {
            self.put();
        }
    }

    /// The next line that is typed, while there is a question.
    pub(crate) async fn line(asker: &mut Option<Self>) -> String {
        match asker.as_mut().filter(|asker| !asker.questions.is_empty()) {
            Some(asker) => asker.typed().await,
            None => std::future::pending().await,
        }
    }

    async fn typed(&mut self) -> String {
        if !self.is_prompted
            && let Some(question) = self.questions.front()
        {
            self.console.shown().await;
            self.terminal.forget();
            self.console.note(prompt(question));
            self.is_prompted = true;
        }
        self.terminal.line().await
    }

    /// Takes a line as the answer.
    pub(crate) async fn answer(&mut self, host: &Everstep, line: &str) {
        let Some(question) = self.questions.front() else { return };
        if question.kind == PromiseKind::Approval {
            return self.decide(host, line.trim()).await;
        }
        let mut refused = String::new();
        for answer in answers(line, question.schema.is_some()) {
            match host.settle(&question.id, Ok(answer)).await {
                Ok(()) => return self.next(),
                Err(Error::InvalidOutcome { reason, .. }) => {
                    refused = if refused.is_empty() { reason } else { refused };
                }
                Err(error) => return self.console.note(error.to_string()),
            }
        }
        self.console.note(format!("{}; try again", text::line(&refused, 400)));
    }

    /// Takes a line as the decision on a call: `yes` or `no`, and a reason.
    async fn decide(&mut self, host: &Everstep, line: &str) {
        let Some(question) = self.questions.front() else { return };
        if line == SHOW {
            return self.console.note(format!("{}\n{}", Call::of(question).all(), may_it(&question.id.to_string())));
        }
        let Some(answer) = decision(line) else { return self.console.note(YES_OR_NO) };
        // Texts always serialise.
        let answer = serde_json::to_string(&answer).unwrap_or_default();
        match host.settle(&question.id, Ok(answer)).await {
            Ok(()) => self.next(),
            Err(error) => self.console.note(error.to_string()),
        }
    }

    fn next(&mut self) {
        self.questions.pop_front();
        self.put();
    }

    /// Asks the first question, if there is one.
    fn put(&mut self) {
        self.is_prompted = false;
        match self.questions.front() {
            Some(question) if question.kind == PromiseKind::Approval => {
                self.console.call(asked(&question.id.to_string(), &Call::of(question), &self.option));
            }
            _ => self.console.no_call(),
        }
    }
}

/// The possible meanings of a line: JSON if the question has a schema, and the text itself.
pub(super) fn answers(line: &str, has_schema: bool) -> Vec<String> {
    let json = serde_json::from_str::<&RawValue>(line).ok().filter(|_| has_schema);
    let text = serde_json::Value::String(line.to_owned()).to_string();
    json.map(|json| json.get().to_owned()).into_iter().chain([text]).collect()
}

/// The prompt below which the answer is typed.
fn prompt(question: &PendingPromise) -> String {
    if question.kind == PromiseKind::Approval { may_it(&question.id.to_string()) } else { put(question) }
}

/// The input that shows the whole call.
pub(super) const SHOW: &str = "show";
/// The reply to a line that is not a decision.
pub(super) const YES_OR_NO: &str = "type yes or no, and why if you like; show prints all of the call";

/// Reads a line as a decision on a call: `yes` or `no`, and a reason.
pub(super) fn decision(line: &str) -> Option<Answer> {
    let line = line.trim();
    let (word, reason) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let approved = match word {
        "yes" => true,
        "no" => false,
        _ => return None,
    };
    let reason = Some(reason.trim().to_owned()).filter(|reason| !reason.is_empty());
    Some(Answer { approved, by: std::env::var("USER").ok(), reason })
}

/// The call that a question is about.
pub(super) fn asked(id: &str, call: &Call, option: &str) -> String {
    let all = format!("type {SHOW}, or: everstep promise show {id}{option}");
    format!("a call waits for approval:\n{}", call.shown(&all))
}

/// A question of a guest in one line.
pub(super) fn put(question: &PendingPromise) -> String {
    format!("{} [{}]", text::line(&question.subject, 400), question.id)
}

pub(super) fn may_it(id: &str) -> String {
    format!("may it happen? yes or no [{id}]")
}
