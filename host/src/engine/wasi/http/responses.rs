//! What comes back: a response that is still to come is the promise of a step, and one that has come is in memory.

use super::bodies::{Content, Draft, IncomingBody};
use super::fields::{Entries, Entry, Fields};
use super::generated::wasi::http::types;
use super::requests::Head;
use super::{ErrorCode, Virtual, WasiHost, no_room};
use bytes::Bytes;
use std::sync::Arc;
use wasmtime::component::Resource;
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};

/// The response to a request, which may be still to come.
#[derive(Debug)]
pub struct FutureResponse {
    pub(super) state: State,
}

#[derive(Debug)]
pub(super) enum State {
    /// The request waits for its body.
    Waits(Head, Option<Draft>),
    /// The step of the request.
    Sent(u64),
    Failed(ErrorCode),
    /// The guest has it.
    Taken,
}

/// What a pollable of a response waits for.
pub(in super::super) enum Awaited {
    /// A step.
    Step(u64),
    /// The guest itself: it has not finished the body of the request.
    Body,
    /// Nothing: it is ready.
    Nothing,
}

/// A response, complete.
#[derive(Debug)]
pub struct Response {
    status: u16,
    headers: Arc<Entries>,
    body: Option<Content>,
}

/// The parts of one.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) status: u16,
    pub(crate) headers: Vec<Entry>,
    pub(crate) body: Bytes,
}

impl Awaited {
    pub(in super::super) fn step(&self) -> Option<u64> {
        match self {
            Self::Step(step) => Some(*step),
            Self::Body | Self::Nothing => None,
        }
    }
}

impl FutureResponse {
    pub(super) fn new() -> Self {
        Self { state: State::Taken }
    }

    /// The request that waits for its body.
    pub(super) fn take_head(&mut self) -> Option<Head> {
        match std::mem::replace(&mut self.state, State::Taken) {
            State::Waits(head, _) => Some(head),
            state => {
                self.state = state;
                None
            }
        }
    }
}

impl<T: WasiHost> Virtual<'_, T> {
    pub(super) fn future(&mut self, rep: u32) -> wasmtime::Result<&mut FutureResponse> {
        Ok(self.0.wasi().table.get_mut(&Resource::new_borrow(rep))?)
    }

    /// What the pollables of that response wait for.
    pub(in super::super) fn awaited(&mut self, future: u32) -> wasmtime::Result<Awaited> {
        Ok(match self.future(future)?.state {
            State::Waits(..) => Awaited::Body,
            State::Sent(step) => Awaited::Step(step),
            State::Failed(_) | State::Taken => Awaited::Nothing,
        })
    }

    /// The response to a request that has been delivered.
    fn arrived(&mut self, step: u64) -> wasmtime::Result<Result<Resource<Response>, ErrorCode>> {
        let Incoming { status, headers, body } = match self.0.response(step) {
            Ok(response) => response,
            Err(code) => return Ok(Err(code)),
        };
        let (Some(headers), Some(kept)) = (self.entries(headers)?, self.keep(body.len() as u64)?) else {
            return Ok(Err(no_room()));
        };
        let body = Some(Content { bytes: body, _kept: kept });
        Ok(Ok(self.0.wasi().table.push(Response { status, headers, body })?))
    }
}

impl<T: WasiHost> types::HostFutureIncomingResponse for Virtual<'_, T> {
    fn subscribe(&mut self, future: Resource<FutureResponse>) -> wasmtime::Result<Resource<DynPollable>> {
        let (rep, wasi) = (future.rep(), self.0.wasi());
        let pollable = subscribe(&mut wasi.table, future)?;
        wasi.http.pollables.insert(pollable.rep(), rep);
        Ok(pollable)
    }

    fn get(
        &mut self,
        future: Resource<FutureResponse>,
    ) -> wasmtime::Result<Option<Result<Result<Resource<Response>, ErrorCode>, ()>>> {
        let state = &mut self.0.wasi().table.get_mut(&future)?.state;
        let got = match state {
            State::Waits(..) => return Ok(None),
            State::Taken => return Ok(Some(Err(()))),
            State::Failed(code) => Err(code.clone()),
            State::Sent(step) => {
                let step = *step;
                if !self.0.is_settled(step) {
                    return Ok(None);
                }
                self.arrived(step)?
            }
        };
        self.0.wasi().table.get_mut(&future)?.state = State::Taken;
        Ok(Some(Ok(got)))
    }

    /// Cancels a request that is still under way, or that has not started.
    async fn drop(&mut self, future: Resource<FutureResponse>) -> wasmtime::Result<()> {
        match self.0.wasi().table.delete(future)?.state {
            State::Waits(_, draft) => draft.iter().for_each(Draft::forget),
            State::Sent(step) if !self.0.is_settled(step) => self.0.give_up(step).await?,
            State::Sent(_) | State::Failed(_) | State::Taken => {}
        }
        Ok(())
    }
}

impl<T: WasiHost> types::HostIncomingResponse for Virtual<'_, T> {
    fn status(&mut self, response: Resource<Response>) -> wasmtime::Result<u16> {
        Ok(self.0.wasi().table.get(&response)?.status)
    }

    fn headers(&mut self, response: Resource<Response>) -> wasmtime::Result<Resource<Fields>> {
        let table = &mut self.0.wasi().table;
        let headers = Fields::shared(&table.get(&response)?.headers);
        Ok(table.push_child(headers, &response)?)
    }

    fn consume(&mut self, response: Resource<Response>) -> wasmtime::Result<Result<Resource<IncomingBody>, ()>> {
        let table = &mut self.0.wasi().table;
        match table.get_mut(&response)?.body.take() {
            Some(content) => Ok(Ok(table.push(IncomingBody(Some(content)))?)),
            None => Ok(Err(())),
        }
    }

    fn drop(&mut self, response: Resource<Response>) -> wasmtime::Result<()> {
        self.0.wasi().table.delete(response)?;
        Ok(())
    }
}

#[async_trait]
impl Pollable for FutureResponse {
    /// Never called: what it waits for is looked up by its pollable.
    async fn ready(&mut self) {
        std::future::pending().await
    }
}
