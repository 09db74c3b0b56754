//! Standard input: questions to whoever watches the execution, one for each line that the guest reads, and their answers as bytes.
//!
//! A question is asked when the guest wants to read and has nothing left of the last answer. It is not withdrawn when the guest stops
//! waiting, so no line is lost.

use super::{Virtual, WasiHost};
use std::collections::HashSet;
use wasmtime::component::Resource;
use wasmtime_wasi_io::streams::{DynInputStream, StreamError, StreamResult};

/// What there is to read, shared by all handles.
#[derive(Default)]
pub(super) struct Stdin {
    /// The streams that read it.
    pub(super) streams: HashSet<u32>,
    /// The pollables that are ready once it can be read.
    pub(super) pollables: HashSet<u32>,
    state: State,
}

#[derive(Default)]
enum State {
    /// The next line has not been asked for.
    #[default]
    Idle,
    /// The step of the question for it.
    Asked(u64),
    /// The rest of a line: these bytes from that position on.
    Line(Vec<u8>, usize),
    /// The reason that it cannot be read, which the next read returns.
    Failed(String),
    Ended,
}

/// The answer to a question for a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// The line, without its end.
    Text(String),
    /// There are no more lines.
    End,
    /// The reason that there is no line.
    Failed(String),
}

impl<T: WasiHost> Virtual<'_, T> {
    pub(super) fn is_stdin(&mut self, stream: &Resource<DynInputStream>) -> bool {
        self.0.wasi().stdin.streams.contains(&stream.rep())
    }

    /// The next bytes, at most `len`; empty if they are still to come.
    pub(super) fn read_stdin(&mut self, len: u64) -> StreamResult<Vec<u8>> {
        match len {
            0 => Ok(Vec::new()),
            len => {
                self.stdin_question().map_err(StreamError::Trap)?;
                self.take_from_stdin(len)
            }
        }
    }

    /// The same, after a wait for them.
    pub(super) async fn wait_and_read_stdin(&mut self, len: u64) -> StreamResult<Vec<u8>> {
        while len > 0
            && let Some(question) = self.stdin_question().map_err(StreamError::Trap)?
        {
            self.0.wait_any(&[question]).await.map_err(StreamError::Trap)?;
        }
        self.read_stdin(len)
    }

    /// The question that a read has to wait for; asks it if there is nothing to read.
    pub(super) fn stdin_question(&mut self) -> wasmtime::Result<Option<u64>> {
        if let State::Idle = self.0.wasi().stdin.state {
            let asked = self.0.ask_line()?;
            self.0.wasi().stdin.state = asked.map_or_else(State::Failed, State::Asked);
        }
        let State::Asked(question) = self.0.wasi().stdin.state else { return Ok(None) };
        if !self.0.is_settled(question) {
            return Ok(Some(question));
        }
        self.0.wasi().stdin.state = match self.0.line(question) {
            Line::Text(text) => State::Line((text + "\n").into_bytes(), 0),
            Line::Failed(why) => State::Failed(why),
            Line::End => State::Ended,
        };
        Ok(None)
    }

    fn take_from_stdin(&mut self, len: u64) -> StreamResult<Vec<u8>> {
        let state = &mut self.0.wasi().stdin.state;
        match state {
            State::Idle | State::Asked(_) => Ok(Vec::new()),
            State::Ended => Err(StreamError::Closed),
            State::Failed(why) => {
                let why = std::mem::take(why);
                *state = State::Idle;
                Err(StreamError::LastOperationFailed(wasmtime::format_err!("{why}")))
            }
            State::Line(bytes, read) => {
                let rest = bytes.get(*read..).unwrap_or_default();
                let len = usize::try_from(len).unwrap_or(usize::MAX).min(rest.len());
                let taken = rest[..len].to_vec();
                *read += len;
                if *read == bytes.len() {
                    *state = State::Idle;
                }
                Ok(taken)
            }
        }
    }
}
