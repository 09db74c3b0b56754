//! `wasi:http` 0.2 for guests that make requests: `types` and `outgoing-handler`.
//!
//! Fields, requests and bodies are in the memory of the host, are counted there ([`Kept`]), and follow from the guest's calls. The one durable
//! step is the request itself ([`Web::fetch`]); it starts when its body is complete. `fields.rs` are headers, `requests.rs` requests on their way,
//! `bodies.rs` what is written and read as streams, `responses.rs` what comes back, `serving.rs` what only a server would use.

#![allow(unreachable_pub, reason = "the generated module exports the types of resources")]

mod bodies;
mod fields;
mod requests;
mod responses;
mod serving;
#[cfg(test)]
mod tests;

pub(super) use bodies::Draft;
pub(crate) use generated::wasi::http::types::{DnsErrorPayload, ErrorCode};
pub(crate) use requests::{Outgoing, Timeouts};
pub(super) use responses::Awaited;
pub(crate) use responses::Incoming;

use super::{HasVirtual, Virtual, WasiHost};
use generated::wasi::http::{outgoing_handler, types};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wasmtime::component::Linker;

mod generated {
    #![allow(missing_docs, reason = "written by the macro")]

    wasmtime::component::bindgen!({
        path: "src/engine/wasi/http/http.wit",
        world: "wasi:http/imports",
        imports: {
            "wasi:http/types.[drop]future-incoming-response": async | trappable,
            default: trappable,
        },
        with: {
            "wasi:clocks/monotonic-clock": wasmtime_wasi::p2::bindings::clocks::monotonic_clock,
            "wasi:io/error": wasmtime_wasi_io::bindings::wasi::io::error,
            "wasi:io/poll": wasmtime_wasi_io::bindings::wasi::io::poll,
            "wasi:io/streams": wasmtime_wasi_io::bindings::wasi::io::streams,
            "wasi:http/types.fields": super::fields::Fields,
            "wasi:http/types.outgoing-request": super::requests::Request,
            "wasi:http/types.request-options": super::requests::Timeouts,
            "wasi:http/types.outgoing-body": super::bodies::OutgoingBody,
            "wasi:http/types.future-incoming-response": super::responses::FutureResponse,
            "wasi:http/types.incoming-response": super::responses::Response,
            "wasi:http/types.incoming-body": super::bodies::IncomingBody,
            "wasi:http/types.future-trailers": super::bodies::FutureTrailers,
            "wasi:http/types.outgoing-response": super::serving::OutgoingResponse,
            "wasi:http/types.incoming-request": super::serving::IncomingRequest,
            "wasi:http/types.response-outparam": super::serving::ResponseOutparam,
        },
    });
}

/// What requests need of the store's data.
///
/// An error of [`wasmtime`] ends the guest.
pub(crate) trait Web {
    /// Whether a guest may set a header of this name, which is a valid one.
    fn may_set(&self, name: &str) -> bool;
    /// The most bytes that the body of any request may have.
    fn most_request(&self) -> u64;
    /// Starts a request and returns its step number, or the reason that it may not be made.
    fn fetch(&mut self, request: Outgoing) -> wasmtime::Result<Result<u64, ErrorCode>>;
    /// The response to a request that has been delivered.
    fn response(&mut self, step: u64) -> Result<Incoming, ErrorCode>;
    /// Cancels a request that was not delivered.
    fn give_up(&mut self, step: u64) -> impl Future<Output = wasmtime::Result<()>> + Send;
}

/// What the guest's requests have in memory.
#[derive(Default)]
pub(super) struct Http {
    /// Bytes of fields and bodies.
    held: Arc<AtomicU64>,
    /// The future response behind each pollable of one.
    pub(super) pollables: HashMap<u32, u32>,
    /// The body that each output stream of one writes.
    pub(super) writers: HashMap<u32, Draft>,
}

/// Bytes that are counted while this exists.
#[derive(Debug)]
struct Kept {
    bytes: u64,
    all: Arc<AtomicU64>,
}

impl Http {
    /// The count of bytes in memory, which goes on.
    pub(crate) fn held(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.held)
    }
}

impl Kept {
    /// Counts those of `more` with these.
    fn add(&mut self, mut more: Self) {
        self.bytes += std::mem::take(&mut more.bytes);
    }

    /// Counts only so many from now on, if these are fewer.
    fn shrink_to(&mut self, bytes: u64) {
        let fewer = self.bytes.min(bytes);
        self.all.fetch_sub(self.bytes - fewer, Ordering::SeqCst);
        self.bytes = fewer;
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

impl<T: WasiHost> Virtual<'_, T> {
    /// Counts these bytes, if the memory of the execution has room for them beside the guest's own and its files.
    fn keep(&mut self, bytes: u64) -> wasmtime::Result<Option<Kept>> {
        let Some(left) = self.0.room().checked_sub(bytes) else { return Ok(None) };
        if !self.0.wasi().files().try_lock()?.shrink(left) {
            return Ok(None);
        }
        let all = self.0.wasi().http.held();
        all.fetch_add(bytes, Ordering::SeqCst);
        Ok(Some(Kept { bytes, all }))
    }
}

/// The error for what [`Virtual::keep`] has no room for.
fn no_room() -> ErrorCode {
    ErrorCode::InternalError(Some("the memory of the execution has no room for it (limits.memory)".to_owned()))
}

/// Links both interfaces.
pub(super) fn add_to_linker<T: WasiHost>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    types::add_to_linker::<T, HasVirtual<T>>(linker, super::recorded)?;
    outgoing_handler::add_to_linker::<T, HasVirtual<T>>(linker, super::recorded)
}

impl<T: WasiHost> types::Host for Virtual<'_, T> {
    fn http_error_code(
        &mut self,
        error: wasmtime::component::Resource<wasmtime_wasi_io::streams::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        Ok(self.0.wasi().table.get(&error)?.downcast_ref::<ErrorCode>().cloned())
    }
}
