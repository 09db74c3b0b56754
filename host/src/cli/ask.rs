//! Questions on a terminal: asked one after the other, and answered through the same promises as from anywhere else.

use super::text;
use everstep::store::PendingPromise;
use everstep::{Answer, Error, Everstep};
use serde_json::value::RawValue;
use std::collections::VecDeque;
use std::io::{BufRead, IsTerminal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Asks whoever sits at the terminal.
pub(crate) struct Asker {
    /// The open questions; the first one was put.
    questions: VecDeque<PendingPromise>,
    lines: UnboundedReceiver<String>,
}

/// What became of a line.
pub(crate) enum Answered {
    /// It was an answer, or one that came too late; the next question, if any, is to be put.
    Yes(Option<String>),
    /// It was none: why.
    No(String),
}

impl Asker {
    /// Reads what is typed; none when nobody sits there.
    pub(crate) fn start() -> Option<Self> {
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return None;
        }
        let (sender, lines) = unbounded_channel();
        // It ends with the process, or with the terminal.
        std::thread::spawn(move || {
            let typed = std::io::stdin().lock().lines().map_while(Result::ok);
            typed.take_while(|line| sender.send(line.clone()).is_ok()).for_each(drop);
        });
        Some(Self { questions: VecDeque::new(), lines })
    }

    /// Adds a question; returns what to show if it is the only one.
    pub(crate) fn add(&mut self, question: &PendingPromise) -> Option<String> {
        self.questions.push_back(question.clone());
        (self.questions.len() == 1).then(|| put(question))
    }

    /// Forgets questions that were answered elsewhere; returns the next one if the one that was put is among them.
    pub(crate) fn keep(&mut self, pending: &[PendingPromise]) -> Option<String> {
        let put_before = self.questions.front().map(|question| question.id.clone());
        self.questions.retain(|question| pending.iter().any(|open| open.id == question.id));
        let first = self.questions.front()?;
        (Some(&first.id) != put_before.as_ref()).then(|| put(first))
    }

    /// What was typed next, while there is a question.
    pub(crate) async fn line(asker: &mut Option<Self>) -> String {
        if let Some(asker) = asker.as_mut().filter(|asker| !asker.questions.is_empty())
            && let Some(line) = asker.lines.recv().await
        {
            return line;
        }
        std::future::pending().await
    }

    /// Takes a line as the answer: as JSON if it is JSON that fits, else as a text.
    pub(crate) async fn answer(&mut self, host: &Everstep, line: &str) -> Answered {
        let Some(question) = self.questions.front() else { return Answered::Yes(None) };
        let line = line.trim();
        if question.kind == "approval" {
            return self.decide(host, line).await;
        }
        let json = serde_json::from_str::<&RawValue>(line).ok().map(|json| json.get().to_owned());
        let text = serde_json::Value::String(line.to_owned()).to_string();
        let mut refused = String::new();
        for answer in json.into_iter().chain([text]) {
            match host.settle(&question.id, Ok(answer)).await {
                Ok(()) => return Answered::Yes(self.next()),
                Err(Error::InvalidOutcome { reason, .. }) => {
                    refused = if refused.is_empty() { reason } else { refused };
                }
                Err(error) => return Answered::No(error.to_string()),
            }
        }
        Answered::No(format!("{}; try again", text::line(&refused, 400)))
    }

    /// Takes a line as the decision on a call: `yes`, or `no`, and why.
    async fn decide(&mut self, host: &Everstep, line: &str) -> Answered {
        let Some(question) = self.questions.front() else { return Answered::Yes(None) };
        let Some(answer) = decision(line) else { return Answered::No(YES_OR_NO.to_owned()) };
        // Texts always serialise.
        let answer = serde_json::to_string(&answer).unwrap_or_default();
        match host.settle(&question.id, Ok(answer)).await {
            Ok(()) => Answered::Yes(self.next()),
            Err(error) => Answered::No(error.to_string()),
        }
    }

    fn next(&mut self) -> Option<String> {
        self.questions.pop_front();
        self.questions.front().map(put)
    }
}

/// What to say to a line that is no decision.
pub(super) const YES_OR_NO: &str = "type yes or no, and why if you like";

/// The decision on a call that a line is: `yes`, or `no`, and why.
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

/// The question whether a call may happen.
pub(super) fn may_it(call: &str, data: &str) -> String {
    format!("{}\nmay it {}? yes or no", text::line(data, 4000), text::line(call, 400))
}

pub(super) fn put(question: &PendingPromise) -> String {
    if question.kind == "approval" {
        let asked = may_it(&question.subject, question.data.as_deref().unwrap_or_default());
        return format!("{asked} [{}]", question.id);
    }
    format!("{} [{}]", text::line(&question.subject, 400), question.id)
}
