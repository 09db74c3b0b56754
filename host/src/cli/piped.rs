//! Questions when standard input is not a terminal: its lines answer them, one by one, and its end is an error at once.

use super::ask::answers;
use everstep::store::{PendingPromise, PromiseKind};
use everstep::{Error, ErrorCode, Everstep, GuestError};
use std::collections::VecDeque;
use std::io::{BufRead, IsTerminal};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// The questions of an execution, and the lines that answer them.
#[derive(Default)]
pub(crate) struct Piped {
    questions: VecDeque<PendingPromise>,
    /// Reads nothing before a question is asked, and at most one line more than there were questions.
    lines: Option<Receiver<Line>>,
    /// A line whose question was answered elsewhere.
    left: Option<Line>,
}

/// A line, or the error for an answer; if there is no line, input has ended.
pub(crate) type Line = Result<String, GuestError>;

/// The longest line that is read, in bytes.
const LONGEST: usize = 8 << 20;

impl Piped {
    /// Answers from standard input, unless that is a terminal.
    pub(crate) fn start() -> Option<Self> {
        (!std::io::stdin().is_terminal()).then(Self::default)
    }

    /// Whether a promise is answered here: a decision on a call must be typed after the call was seen, never in advance.
    pub(crate) fn answers(promise: &PendingPromise) -> bool {
        promise.kind == PromiseKind::Input
    }

    pub(crate) fn add(&mut self, question: &PendingPromise) {
        self.questions.push_back(question.clone());
    }

    /// Forgets questions that were answered elsewhere.
    pub(crate) fn keep(&mut self, pending: &[PendingPromise]) {
        self.questions.retain(|question| pending.iter().any(|open| open.id == question.id));
    }

    /// The next line, while there is a question; `None` after the end of input.
    pub(crate) async fn line(piped: &mut Option<Self>) -> Option<Line> {
        match piped.as_mut().filter(|piped| !piped.questions.is_empty()) {
            Some(Self { left: Some(line), .. }) => Some(line.clone()),
            Some(piped) => piped.lines.get_or_insert_with(read).recv().await,
            None => std::future::pending().await,
        }
    }

    /// Answers the first question; returns a message to print, if any.
    pub(crate) async fn answer(&mut self, host: &Everstep, line: Option<Line>) -> Option<String> {
        self.left = None;
        let question = self.questions.front()?;
        let ended = || Err(GuestError::new(ErrorCode::NotFound, "standard input has ended"));
        let outcomes = match line.clone().unwrap_or_else(ended) {
            Ok(text) => answers(&text, question.schema.is_some()).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        let mut refused = None;
        for outcome in outcomes {
            match host.settle(&question.id, outcome).await {
                Ok(()) => {
                    self.questions.pop_front();
                    return None;
                }
                Err(Error::InvalidOutcome { reason, .. }) => refused = refused.or(Some(reason)),
                Err(Error::AlreadySettled(_) | Error::DeadlinePassed(_) | Error::Ended { .. }) => {
                    self.questions.pop_front();
                    self.left = line;
                    return None;
                }
                Err(error) => {
                    self.questions.pop_front();
                    return Some(error.to_string());
                }
            }
        }
        refused.map(|reason| format!("{}; the next line is tried", super::text::line(&reason, 400)))
    }
}

fn read() -> Receiver<Line> {
    let (sender, lines) = channel(1);
    // The thread ends with the process, or with standard input.
    std::thread::spawn(move || pass_on(std::io::stdin().lock(), &sender));
    lines
}

fn pass_on(mut input: impl BufRead, lines: &Sender<Line>) {
    while let Ok(Some(line)) = next(&mut input)
        && lines.blocking_send(line).is_ok()
    {}
}

/// The next line, without its end; of a line that is too long, only as much is kept as an answer may have.
fn next(input: &mut impl BufRead) -> std::io::Result<Option<Line>> {
    let (mut line, mut length) = (Vec::new(), 0);
    loop {
        let piece = match input.fill_buf() {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            piece => piece?,
        };
        if piece.is_empty() && length == 0 {
            return Ok(None);
        }
        let end = piece.iter().position(|byte| *byte == b'\n');
        let taken = end.unwrap_or(piece.len());
        if length + taken <= LONGEST {
            line.extend_from_slice(&piece[..taken]);
        }
        length += taken;
        let (ends, consumed) = (end.is_some() || piece.is_empty(), taken + usize::from(end.is_some()));
        input.consume(consumed);
        if ends {
            return Ok(Some(told(line, length)));
        }
    }
}

fn told(mut line: Vec<u8>, length: usize) -> Line {
    if length > LONGEST {
        let message = format!("a line of standard input has {length} bytes; at most {LONGEST} are read");
        return Err(GuestError::new(ErrorCode::LimitExceeded, message));
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(|_| GuestError::new(ErrorCode::Invalid, "a line of standard input is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8]) -> Vec<Line> {
        let mut input = std::io::BufReader::with_capacity(3, input);
        std::iter::from_fn(|| next(&mut input).unwrap()).collect()
    }

    #[test]
    fn lines_are_read_as_python_reads_them() {
        let texts = |input: &str| lines(input.as_bytes()).into_iter().map(Result::unwrap).collect::<Vec<_>>();
        assert_eq!(texts("Bob\n"), ["Bob"]);
        assert_eq!(texts(" a b \r\n\nlast"), [" a b ", "", "last"]);
        assert!(texts("").is_empty());
        assert_eq!(lines(b"\xff\nnext\n").into_iter().map(|line| line.is_ok()).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn a_line_without_an_end_takes_no_memory() {
        let long = [vec![b'x'; LONGEST + 1], b"\nnext".to_vec()].concat();
        let read = lines(&long);
        let refused = read[0].as_ref().unwrap_err();
        assert!(refused.code == ErrorCode::LimitExceeded && refused.message.contains("8388609"), "{refused:?}");
        assert_eq!(read[1..], [Ok("next".to_owned())]);
    }

    #[test]
    fn a_line_is_json_only_where_a_schema_asks_for_it() {
        assert_eq!(answers("\"Bob\"", false), [r#""\"Bob\"""#]);
        assert_eq!(answers(" 1.0", true), ["1.0", "\" 1.0\""]);
        assert_eq!(answers("Bob", true), ["\"Bob\""]);
    }
}
