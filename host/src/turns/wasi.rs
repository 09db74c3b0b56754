//! The virtual WASI over the bridge: calls of a WASI guest are the same steps as those of our own interfaces.

use super::Ctx;
use crate::bindings::everstep::host::{console, random, timers};
use crate::bridge::{Fault, Stop};
use crate::engine::wasi::{Line, VirtualWasi, WasiHost};
use crate::guest_error::{ErrorCode, GuestError};
use crate::vfs::{Disk, Vfs};
use std::sync::Arc;
use tokio::sync::Mutex;

const NS_PER_MS: u64 = 1_000_000;

impl WasiHost for Ctx {
    fn wasi(&mut self) -> &mut VirtualWasi {
        if self.wasi.is_none() {
            self.files = Arc::new(Mutex::new(Vfs::new(Disk::roots(self))));
            let wasi = VirtualWasi::new(Arc::clone(&self.files));
            self.limiter.share_with(Arc::clone(&self.files), wasi.held_by_requests());
            self.wasi = Some(wasi);
        }
        self.wasi.get_or_insert_with(|| VirtualWasi::new(Arc::clone(&self.files)))
    }

    fn now_ns(&mut self) -> wasmtime::Result<u64> {
        let now = timers::Host::now(self);
        without_error(now).map(|ms| ms.saturating_mul(NS_PER_MS))
    }

    fn random(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        let bytes = random::Host::bytes(self, u32::try_from(len).unwrap_or(u32::MAX));
        without_error(bytes)
    }

    fn print(&mut self, stderr: bool, bytes: &[u8]) -> wasmtime::Result<()> {
        let to = if stderr { console::OutputStream::Stderr } else { console::OutputStream::Stdout };
        let printed = console::Host::print(self, to, String::from_utf8_lossy(bytes).into_owned());
        without_error(printed)
    }

    fn sleep_ns(&mut self, ns: u64) -> wasmtime::Result<u64> {
        let promise = timers::Host::sleep(self, ns.div_ceil(NS_PER_MS));
        without_error(promise)
    }

    async fn wait_any(&mut self, timers: &[u64]) -> wasmtime::Result<Vec<u64>> {
        without_error(self.wait_for_timers(timers).await)
    }

    fn cancel(&mut self, timer: u64) -> wasmtime::Result<()> {
        without_error(self.cancel_timer(timer))
    }

    fn ask_line(&mut self) -> wasmtime::Result<Result<u64, String>> {
        let options = console::InputOptions { timeout_ms: None, schema: None };
        match console::Host::input(self, String::new(), options) {
            Ok(question) => Ok(Ok(question)),
            Err(Fault::Guest(error)) => Ok(Err(error.message)),
            Err(Fault::Stop(stop)) => Err(wasmtime::Error::new(stop)),
        }
    }

    fn line(&mut self, question: u64) -> Line {
        match self.bridge.promise_of_guest(question).outcome() {
            // An answer that is no text counts as it is written.
            Some(Ok(json)) => Line::Text(serde_json::from_str(&json).unwrap_or(json)),
            Some(Err(GuestError { code: ErrorCode::NotFound, .. })) => Line::End,
            Some(Err(error)) => Line::Failed(error.message),
            None => Line::Failed("the line has not been delivered".to_owned()),
        }
    }

    fn is_settled(&mut self, timer: u64) -> bool {
        self.bridge.promise_of_guest(timer).is_delivered()
    }

    fn environment(&mut self) -> Vec<(String, String)> {
        self.bridge.facts.grants.policy.env.clone().into_iter().collect()
    }

    fn arguments(&mut self) -> Vec<String> {
        self.argv.clone()
    }

    fn unhandled(error: GuestError) -> wasmtime::Error {
        wasmtime::Error::new(Stop::Unhandled(error))
    }
}

/// WASI has no error for a denial here, so the guest ends with it; the message says what to grant.
fn without_error<T>(outcome: Result<T, Fault>) -> wasmtime::Result<T> {
    outcome.map_err(|fault| match fault {
        Fault::Stop(stop) => wasmtime::Error::new(stop),
        Fault::Guest(error) => wasmtime::Error::new(Stop::Unhandled(error)),
    })
}
