//! Bodies: what a guest writes is in memory until it is complete, and what it reads is there when it has the response.

use super::fields::Fields;
use super::generated::wasi::http::types;
use super::requests::Head;
use super::responses::State;
use super::{ErrorCode, Kept, Virtual, WasiHost, no_room};
use bytes::Bytes;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wasmtime::component::Resource;
use wasmtime_wasi::p2::pipe::SinkOutputStream;
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream, InputStream, StreamError, StreamResult};

/// The body of a request, shared by the request, the handle that writes it, and its stream.
#[derive(Clone, Debug)]
pub(crate) struct Draft(Arc<Mutex<Written>>);

#[derive(Debug)]
struct Written {
    bytes: Vec<u8>,
    kept: Option<Kept>,
    /// The length that a header announces.
    announced: Option<u64>,
    progress: Progress,
    /// The future response of its request, once that waits for it.
    future: Option<u32>,
}

#[derive(Debug)]
enum Progress {
    Open,
    Finished,
    Failed(ErrorCode),
}

/// What a request gets of its body.
pub(super) enum Body {
    Complete(Bytes),
    Failed(ErrorCode),
    /// It is still being written, and starts the request when it is finished.
    Open,
}

/// The handle that writes a body.
#[derive(Debug)]
pub struct OutgoingBody {
    draft: Draft,
    is_taken: bool,
}

/// A body that has arrived.
#[derive(Debug)]
pub struct IncomingBody(pub(super) Option<Content>);

/// The bytes of one, which are counted as long as any of them are left.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) bytes: Bytes,
    pub(super) _kept: Kept,
}

/// The trailers of a body, of which there are none.
#[derive(Debug)]
pub struct FutureTrailers {
    is_taken: bool,
}

impl Draft {
    pub(super) fn new(announced: Option<u64>) -> Self {
        let (bytes, kept, progress, future) = (Vec::new(), None, Progress::Open, None);
        Self(Arc::new(Mutex::new(Written { bytes, kept, announced, progress, future })))
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is for the request; `future` hears of an open one.
    pub(super) fn hand_over(&self, future: u32) -> Body {
        let mut written = self.lock();
        match &written.progress {
            Progress::Finished => Body::Complete(written.take()),
            Progress::Failed(code) => Body::Failed(code.clone()),
            Progress::Open => {
                written.future = Some(future);
                Body::Open
            }
        }
    }

    /// Nobody waits for the response any more.
    pub(super) fn forget(&self) {
        self.lock().future = None;
    }
}

impl Written {
    fn take(&mut self) -> Bytes {
        self.kept = None;
        std::mem::take(&mut self.bytes).into()
    }
}

impl OutgoingBody {
    pub(super) fn new(draft: Draft) -> Self {
        Self { draft, is_taken: false }
    }
}

impl<T: WasiHost> Virtual<'_, T> {
    /// Writes to a body, as far as a request may be.
    pub(in super::super) fn write_body(&mut self, draft: &Draft, bytes: &[u8]) -> StreamResult<()> {
        let (length, announced) = {
            let written = draft.lock();
            if !matches!(written.progress, Progress::Open) {
                return Err(StreamError::Closed);
            }
            (written.bytes.len() as u64 + bytes.len() as u64, written.announced)
        };
        let most = self.0.most_request();
        let kept = match length {
            length if announced.is_some_and(|announced| length > announced) => {
                Err(ErrorCode::HttpRequestBodySize(Some(length)))
            }
            length if length > most => Err(ErrorCode::HttpRequestBodySize(Some(most))),
            _ => self.keep(bytes.len() as u64).map_err(StreamError::Trap)?.ok_or_else(no_room),
        };
        let kept = match kept {
            Ok(kept) => kept,
            Err(code) => {
                self.fail(draft, code.clone()).map_err(StreamError::Trap)?;
                return Err(StreamError::LastOperationFailed(code.into()));
            }
        };
        let mut written = draft.lock();
        written.bytes.extend_from_slice(bytes);
        match &mut written.kept {
            Some(all) => all.add(kept),
            none => *none = Some(kept),
        }
        Ok(())
    }

    /// Ends a body, and with it its request.
    fn fail(&mut self, draft: &Draft, code: ErrorCode) -> wasmtime::Result<()> {
        let future = {
            let mut written = draft.lock();
            written.take();
            written.progress = Progress::Failed(code.clone());
            written.future.take()
        };
        if let Some(future) = future {
            self.future(future)?.state = State::Failed(code);
        }
        Ok(())
    }

    /// Sends the request that has waited for this body, if there is one.
    fn complete(&mut self, draft: &Draft) -> wasmtime::Result<()> {
        let (future, bytes) = {
            let mut written = draft.lock();
            written.progress = Progress::Finished;
            let Some(future) = written.future.take() else { return Ok(()) };
            (future, written.take())
        };
        let head: Option<Head> = self.future(future)?.take_head();
        if let Some(head) = head {
            let sent = self.send(head, bytes)?;
            self.future(future)?.state = sent.map_or_else(State::Failed, State::Sent);
        }
        Ok(())
    }
}

impl<T: WasiHost> types::HostOutgoingBody for Virtual<'_, T> {
    fn write(&mut self, body: Resource<OutgoingBody>) -> wasmtime::Result<Result<Resource<DynOutputStream>, ()>> {
        let wasi = self.0.wasi();
        let OutgoingBody { draft, is_taken } = wasi.table.get_mut(&body)?;
        if std::mem::replace(is_taken, true) {
            return Ok(Err(()));
        }
        let draft = draft.clone();
        let stream: DynOutputStream = Box::new(SinkOutputStream);
        let stream = wasi.table.push_child(stream, &body)?;
        wasi.http.writers.insert(stream.rep(), draft);
        Ok(Ok(stream))
    }

    fn finish(
        &mut self,
        body: Resource<OutgoingBody>,
        trailers: Option<Resource<Fields>>,
    ) -> wasmtime::Result<Result<(), ErrorCode>> {
        let table = &mut self.0.wasi().table;
        let OutgoingBody { draft, .. } = table.delete(body)?;
        let trailers = trailers.map(|trailers| table.delete(trailers)).transpose()?;
        let failed = {
            let written = draft.lock();
            let length = written.bytes.len() as u64;
            match &written.progress {
                Progress::Failed(code) => Some(code.clone()),
                _ if trailers.is_some_and(|trailers| !trailers.entries.list.is_empty()) => {
                    Some(ErrorCode::InternalError(Some("this host sends no trailers".to_owned())))
                }
                _ if written.announced.is_some_and(|announced| announced != length) => {
                    Some(ErrorCode::HttpRequestBodySize(Some(length)))
                }
                _ => None,
            }
        };
        match failed {
            Some(code) => self.fail(&draft, code.clone()).map(|()| Err(code)),
            None => self.complete(&draft).map(Ok),
        }
    }

    /// Without `finish` the body is not whole, and its request is not sent.
    fn drop(&mut self, body: Resource<OutgoingBody>) -> wasmtime::Result<()> {
        let OutgoingBody { draft, .. } = self.0.wasi().table.delete(body)?;
        let is_open = matches!(draft.lock().progress, Progress::Open);
        match is_open {
            true => self
                .fail(&draft, ErrorCode::InternalError(Some("the body was dropped before it was finished".to_owned()))),
            false => Ok(()),
        }
    }
}

impl<T: WasiHost> types::HostIncomingBody for Virtual<'_, T> {
    fn stream(&mut self, body: Resource<IncomingBody>) -> wasmtime::Result<Result<Resource<DynInputStream>, ()>> {
        let table = &mut self.0.wasi().table;
        let Some(content) = table.get_mut(&body)?.0.take() else { return Ok(Err(())) };
        let stream: DynInputStream = Box::new(content);
        Ok(Ok(table.push_child(stream, &body)?))
    }

    fn finish(&mut self, body: Resource<IncomingBody>) -> wasmtime::Result<Resource<FutureTrailers>> {
        let table = &mut self.0.wasi().table;
        table.delete(body)?;
        Ok(table.push(FutureTrailers { is_taken: false })?)
    }

    fn drop(&mut self, body: Resource<IncomingBody>) -> wasmtime::Result<()> {
        self.0.wasi().table.delete(body)?;
        Ok(())
    }
}

impl<T: WasiHost> types::HostFutureTrailers for Virtual<'_, T> {
    fn subscribe(&mut self, trailers: Resource<FutureTrailers>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(&mut self.0.wasi().table, trailers)
    }

    fn get(
        &mut self,
        trailers: Resource<FutureTrailers>,
    ) -> wasmtime::Result<Option<Result<Result<Option<Resource<Fields>>, ErrorCode>, ()>>> {
        let FutureTrailers { is_taken } = self.0.wasi().table.get_mut(&trailers)?;
        Ok(Some(if std::mem::replace(is_taken, true) { Err(()) } else { Ok(Ok(None)) }))
    }

    fn drop(&mut self, trailers: Resource<FutureTrailers>) -> wasmtime::Result<()> {
        self.0.wasi().table.delete(trailers)?;
        Ok(())
    }
}

#[async_trait]
impl Pollable for FutureTrailers {
    /// Never called: its pollable is always ready.
    async fn ready(&mut self) {}
}

#[async_trait]
impl Pollable for Content {
    /// Never called: its pollable is always ready.
    async fn ready(&mut self) {}
}

impl InputStream for Content {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if self.bytes.is_empty() {
            return Err(StreamError::Closed);
        }
        Ok(self.bytes.split_to(size.min(self.bytes.len())))
    }
}
