//! Streams and polling. Nothing here waits for the machine: every pollable is ready except those of timers, of standard input and of
//! responses, which wait for durable timers, questions and requests.

use super::http::Awaited;
use super::{Virtual, WasiHost};
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi_io::bindings::wasi::io::{poll, streams};
use wasmtime_wasi_io::poll::{DynPollable, subscribe};
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream, StreamError, StreamResult};

/// The two streams of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Console {
    Stdout,
    Stderr,
}

/// The bytes of incomplete characters, per stream.
#[derive(Default)]
pub(super) struct Partial {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// The most bytes of one write.
pub(super) const PERMIT: u64 = 64 << 10;
/// How many polls return what is ready, while the guest does nothing else.
pub(super) const FRUITLESS: u32 = 100;
/// The most bytes of one blocking write, as the interface defines it.
const BLOCKING_PERMIT: u64 = 4096;

impl Partial {
    fn of(&mut self, console: Console) -> &mut Vec<u8> {
        match console {
            Console::Stdout => &mut self.stdout,
            Console::Stderr => &mut self.stderr,
        }
    }
}

/// Prints incomplete characters, lossily: no more bytes will come.
pub(super) fn finish<T: WasiHost>(host: &mut T) -> wasmtime::Result<()> {
    for console in [Console::Stdout, Console::Stderr] {
        let rest = std::mem::take(host.wasi().partial.of(console));
        if !rest.is_empty() {
            host.print(console == Console::Stderr, String::from_utf8_lossy(&rest).as_bytes())?;
        }
    }
    Ok(())
}

/// The text of `held` and `bytes` together: invalid UTF-8 is replaced, an incomplete character at the end stays in
/// `held`.
fn take_text(held: &mut Vec<u8>, bytes: &[u8]) -> String {
    held.extend_from_slice(bytes);
    let mut text = String::with_capacity(held.len());
    let mut rest = held.as_slice();
    let incomplete = loop {
        match str::from_utf8(rest) {
            Ok(valid) => {
                text.push_str(valid);
                break 0;
            }
            Err(error) => {
                let (valid, after) = rest.split_at(error.valid_up_to());
                text.push_str(&String::from_utf8_lossy(valid));
                let Some(invalid) = error.error_len() else { break after.len() };
                text.push(char::REPLACEMENT_CHARACTER);
                rest = &after[invalid..];
            }
        }
    };
    held.drain(..held.len() - incomplete);
    text
}

impl<T: WasiHost> Virtual<'_, T> {
    fn table(&mut self) -> &mut ResourceTable {
        &mut self.0.wasi().table
    }

    pub(super) fn write_at_most(
        &mut self,
        stream: &Resource<DynOutputStream>,
        bytes: &[u8],
        permit: u64,
    ) -> StreamResult<()> {
        if bytes.len() as u64 > permit {
            return Err(StreamError::trap("more was written to a stream than it had permitted"));
        }
        let wasi = self.0.wasi();
        wasi.table.get(stream)?;
        if let Some(draft) = wasi.http.writers.get(&stream.rep()).cloned() {
            return self.write_body(&draft, bytes);
        }
        let Some(&console) = wasi.outputs.get(&stream.rep()) else { return Err(StreamError::Closed) };
        let text = take_text(wasi.partial.of(console), bytes);
        if text.is_empty() {
            return Ok(());
        }
        self.0.print(console == Console::Stderr, text.as_bytes()).map_err(StreamError::Trap)
    }

    /// The positions in `pollables` of those that are ready; waits for a step if none is.
    ///
    /// Only a wait delivers a step, so a guest that polls for something ready again and again, and does nothing about it until another one is
    /// ready, would never see that: it waits for the others after as many polls as this.
    async fn ready(&mut self, pollables: &[Resource<DynPollable>]) -> wasmtime::Result<Vec<u32>> {
        let awaited = self.awaited_by(pollables)?;
        let ready = positions(&awaited, |one| self.is_ready(one));
        let mut steps: Vec<u64> = awaited.iter().filter_map(Awaited::step).collect();
        steps.retain(|step| !self.0.is_settled(*step));
        if !ready.is_empty() {
            let polls = &mut self.0.wasi().fruitless_polls;
            *polls += 1;
            if *polls < FRUITLESS || steps.is_empty() {
                return Ok(ready);
            }
        }
        self.0.wasi().fruitless_polls = 0;
        steps.sort_unstable();
        steps.dedup();
        if steps.is_empty() {
            return Err(wasmtime::format_err!(
                "the guest waits for the response to a request whose body it has not finished"
            ));
        }
        let settled = self.0.wait_any(&steps).await?;
        if !settled.iter().any(|step| steps.contains(step)) {
            return Err(wasmtime::format_err!("a wait for steps {steps:?} delivered none of them"));
        }
        Ok(positions(&awaited, |one| self.is_ready(one)))
    }

    fn is_ready(&mut self, awaited: &Awaited) -> bool {
        match awaited {
            Awaited::Nothing => true,
            Awaited::Step(step) => self.0.is_settled(*step),
            Awaited::Body => false,
        }
    }

    /// What each of the pollables waits for: a timer, a question for standard input, a response, or nothing.
    fn awaited_by(&mut self, pollables: &[Resource<DynPollable>]) -> wasmtime::Result<Vec<Awaited>> {
        let step = |step: Option<u64>| step.map_or(Awaited::Nothing, Awaited::Step);
        let awaited = |pollable: &Resource<DynPollable>| {
            let wasi = self.0.wasi();
            wasi.table.get(pollable)?;
            let rep = pollable.rep();
            match wasi.http.pollables.get(&rep) {
                Some(&response) => self.awaited(response),
                None if wasi.stdin.pollables.contains(&rep) => Ok(step(self.stdin_question()?)),
                None => Ok(step(wasi.timers.get(&rep).copied())),
            }
        };
        pollables.iter().map(awaited).collect()
    }
}

fn positions(awaited: &[Awaited], mut is_ready: impl FnMut(&Awaited) -> bool) -> Vec<u32> {
    (0..).zip(awaited).filter(|(_, one)| is_ready(one)).map(|(position, _)| position).collect()
}

impl<T: WasiHost> poll::Host for Virtual<'_, T> {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        if pollables.is_empty() {
            return Err(wasmtime::format_err!("the guest polls an empty list"));
        }
        self.ready(&pollables).await
    }
}

impl<T: WasiHost> poll::HostPollable for Virtual<'_, T> {
    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        let awaited = self.awaited_by(&[pollable])?;
        Ok(awaited.iter().all(|one| self.is_ready(one)))
    }

    async fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        Virtual::ready(self, &[pollable]).await.map(drop)
    }

    /// Cancels a timer that is no longer waited for, so that it does not count as pending.
    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        if let Some(timer) = self.0.wasi().timers.remove(&pollable.rep())
            && !self.0.is_settled(timer)
        {
            self.0.cancel(timer)?;
        }
        self.0.wasi().stdin.pollables.remove(&pollable.rep());
        self.0.wasi().http.pollables.remove(&pollable.rep());
        poll::HostPollable::drop(self.table(), pollable)
    }
}

impl<T: WasiHost> streams::Host for Virtual<'_, T> {
    fn convert_stream_error(&mut self, error: StreamError) -> wasmtime::Result<streams::StreamError> {
        streams::Host::convert_stream_error(self.table(), error)
    }
}

/// For standard input, for files and for the bodies of responses.
impl<T: WasiHost> streams::HostInputStream for Virtual<'_, T> {
    /// Never called: see [`may_wait`](super::file_streams::may_wait).
    fn read(&mut self, _stream: Resource<DynInputStream>, _len: u64) -> StreamResult<Vec<u8>> {
        Err(waits())
    }

    async fn blocking_read(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>> {
        self.read_any(&stream, len, true).await
    }

    /// Never called: see [`may_wait`](super::file_streams::may_wait).
    fn skip(&mut self, _stream: Resource<DynInputStream>, _len: u64) -> StreamResult<u64> {
        Err(waits())
    }

    async fn blocking_skip(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        self.skip_any(&stream, len, true).await
    }

    fn subscribe(&mut self, stream: Resource<DynInputStream>) -> wasmtime::Result<Resource<DynPollable>> {
        let is_stdin = self.is_stdin(&stream);
        let wasi = self.0.wasi();
        let pollable = subscribe(&mut wasi.table, stream)?;
        if is_stdin {
            wasi.stdin.pollables.insert(pollable.rep());
        }
        Ok(pollable)
    }

    async fn drop(&mut self, stream: Resource<DynInputStream>) -> wasmtime::Result<()> {
        let rep = stream.rep();
        self.0.wasi().stdin.streams.remove(&rep);
        self.table().delete(stream)?;
        self.close_stream(rep).await
    }
}

/// For standard output, standard error, files and the bodies of requests. Flushing has no effect: text is passed on when it is written, and the first
/// bytes of a character must not be printed because a guest flushes before the rest; what is written to a file leaves with the file.
impl<T: WasiHost> streams::HostOutputStream for Virtual<'_, T> {
    fn check_write(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<u64> {
        self.table().get(&stream)?;
        Ok(PERMIT)
    }

    /// Never called: see [`may_wait`](super::file_streams::may_wait).
    fn write(&mut self, _stream: Resource<DynOutputStream>, _bytes: Vec<u8>) -> StreamResult<()> {
        Err(waits())
    }

    async fn blocking_write_and_flush(
        &mut self,
        stream: Resource<DynOutputStream>,
        bytes: Vec<u8>,
    ) -> StreamResult<()> {
        self.write_any(&stream, &bytes, BLOCKING_PERMIT).await
    }

    fn flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        self.table().get(&stream)?;
        Ok(())
    }

    async fn blocking_flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        self.table().get(&stream)?;
        Ok(())
    }

    /// Never called: see [`may_wait`](super::file_streams::may_wait).
    fn write_zeroes(&mut self, _stream: Resource<DynOutputStream>, _len: u64) -> StreamResult<()> {
        Err(waits())
    }

    async fn blocking_write_zeroes_and_flush(
        &mut self,
        stream: Resource<DynOutputStream>,
        len: u64,
    ) -> StreamResult<()> {
        self.write_zeroes_any(&stream, len, BLOCKING_PERMIT).await
    }

    /// Never called: see [`may_wait`](super::file_streams::may_wait).
    fn splice(
        &mut self,
        _stream: Resource<DynOutputStream>,
        _source: Resource<DynInputStream>,
        _len: u64,
    ) -> StreamResult<u64> {
        Err(waits())
    }

    async fn blocking_splice(
        &mut self,
        stream: Resource<DynOutputStream>,
        source: Resource<DynInputStream>,
        len: u64,
    ) -> StreamResult<u64> {
        self.splice_any(&stream, &source, len, true).await
    }

    fn subscribe(&mut self, stream: Resource<DynOutputStream>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table(), stream)
    }

    async fn drop(&mut self, stream: Resource<DynOutputStream>) -> wasmtime::Result<()> {
        let rep = stream.rep();
        self.0.wasi().outputs.remove(&rep);
        self.0.wasi().http.writers.remove(&rep);
        self.table().delete(stream)?;
        self.close_stream(rep).await
    }
}

fn waits() -> StreamError {
    StreamError::trap("a call that may take time was linked as one that does not")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_any_split_and_what_is_no_text_is_replaced() {
        let bytes = "aü€😀z".as_bytes();
        for cut in 0..=bytes.len() {
            let mut held = Vec::new();
            let text = take_text(&mut held, &bytes[..cut]) + &take_text(&mut held, &bytes[cut..]);
            assert_eq!(text.as_bytes(), bytes);
            assert!(held.is_empty());
        }
        let mut held = Vec::new();
        assert_eq!(take_text(&mut held, b"a\xff\xc3("), "a\u{fffd}\u{fffd}(");
        assert_eq!(take_text(&mut held, b"\xf0\x9f"), "");
        assert_eq!(held, b"\xf0\x9f");
    }
}
