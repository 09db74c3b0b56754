//! What only a server would use: `types` has it for components that answer requests, which this host does not run. A guest may make up a response, and
//! nobody takes it; it never holds a request or the place for an answer.

use super::bodies::{Draft, IncomingBody, OutgoingBody};
use super::fields::{Entries, Fields};
use super::generated::wasi::http::types::{self, Method, Scheme};
use super::requests::announced;
use super::{ErrorCode, Virtual, WasiHost};
use std::sync::Arc;
use wasmtime::component::Resource;

/// A response that nobody takes.
#[derive(Debug)]
pub struct OutgoingResponse {
    status: u16,
    headers: Arc<Entries>,
    is_body_taken: bool,
}

/// There is none.
#[derive(Debug)]
pub enum IncomingRequest {}

/// There is none.
#[derive(Debug)]
pub enum ResponseOutparam {}

impl<T: WasiHost> types::HostOutgoingResponse for Virtual<'_, T> {
    fn new(&mut self, headers: Resource<Fields>) -> wasmtime::Result<Resource<OutgoingResponse>> {
        let table = &mut self.0.wasi().table;
        let headers = table.delete(headers)?.entries;
        Ok(table.push(OutgoingResponse { status: 200, headers, is_body_taken: false })?)
    }

    fn status_code(&mut self, response: Resource<OutgoingResponse>) -> wasmtime::Result<u16> {
        Ok(self.0.wasi().table.get(&response)?.status)
    }

    fn set_status_code(
        &mut self,
        response: Resource<OutgoingResponse>,
        status: u16,
    ) -> wasmtime::Result<Result<(), ()>> {
        if hyper::StatusCode::from_u16(status).is_err() {
            return Ok(Err(()));
        }
        self.0.wasi().table.get_mut(&response)?.status = status;
        Ok(Ok(()))
    }

    fn headers(&mut self, response: Resource<OutgoingResponse>) -> wasmtime::Result<Resource<Fields>> {
        let table = &mut self.0.wasi().table;
        let headers = Fields::shared(&table.get(&response)?.headers);
        Ok(table.push_child(headers, &response)?)
    }

    fn body(&mut self, response: Resource<OutgoingResponse>) -> wasmtime::Result<Result<Resource<OutgoingBody>, ()>> {
        let table = &mut self.0.wasi().table;
        let OutgoingResponse { headers, is_body_taken, .. } = table.get_mut(&response)?;
        if std::mem::replace(is_body_taken, true) {
            return Ok(Err(()));
        }
        let draft = Draft::new(announced(headers));
        Ok(Ok(table.push(OutgoingBody::new(draft))?))
    }

    fn drop(&mut self, response: Resource<OutgoingResponse>) -> wasmtime::Result<()> {
        self.0.wasi().table.delete(response)?;
        Ok(())
    }
}

impl<T: WasiHost> types::HostIncomingRequest for Virtual<'_, T> {
    fn method(&mut self, request: Resource<IncomingRequest>) -> wasmtime::Result<Method> {
        match *self.0.wasi().table.get(&request)? {}
    }

    fn path_with_query(&mut self, request: Resource<IncomingRequest>) -> wasmtime::Result<Option<String>> {
        match *self.0.wasi().table.get(&request)? {}
    }

    fn scheme(&mut self, request: Resource<IncomingRequest>) -> wasmtime::Result<Option<Scheme>> {
        match *self.0.wasi().table.get(&request)? {}
    }

    fn authority(&mut self, request: Resource<IncomingRequest>) -> wasmtime::Result<Option<String>> {
        match *self.0.wasi().table.get(&request)? {}
    }

    fn headers(&mut self, request: Resource<IncomingRequest>) -> wasmtime::Result<Resource<Fields>> {
        match *self.0.wasi().table.get(&request)? {}
    }

    fn consume(&mut self, request: Resource<IncomingRequest>) -> wasmtime::Result<Result<Resource<IncomingBody>, ()>> {
        match *self.0.wasi().table.get(&request)? {}
    }

    fn drop(&mut self, request: Resource<IncomingRequest>) -> wasmtime::Result<()> {
        match self.0.wasi().table.delete(request)? {}
    }
}

impl<T: WasiHost> types::HostResponseOutparam for Virtual<'_, T> {
    fn set(
        &mut self,
        param: Resource<ResponseOutparam>,
        _response: Result<Resource<OutgoingResponse>, ErrorCode>,
    ) -> wasmtime::Result<()> {
        match self.0.wasi().table.delete(param)? {}
    }

    fn drop(&mut self, param: Resource<ResponseOutparam>) -> wasmtime::Result<()> {
        match self.0.wasi().table.delete(param)? {}
    }
}
