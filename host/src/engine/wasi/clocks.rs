//! Time: both clocks read the recorded time, and waiting for either is a durable timer. The monotonic one starts at 0, so that a
//! guest that keeps seconds in a float can distinguish nanoseconds.

use super::{Virtual, WasiHost};
use std::pin::Pin;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};

/// The recorded clock counts milliseconds.
const RESOLUTION_NS: u32 = 1_000_000;
const SECOND_NS: u64 = 1_000_000_000;

impl<T: WasiHost> Virtual<'_, T> {
    /// The recorded time, which never goes back within an execution.
    fn now_ns(&mut self) -> wasmtime::Result<u64> {
        let recorded = self.0.now_ns()?;
        let latest = &mut self.0.wasi().now_ns;
        *latest = recorded.max(*latest);
        Ok(*latest)
    }

    /// The time since the first call.
    fn elapsed_ns(&mut self) -> wasmtime::Result<u64> {
        let now = self.now_ns()?;
        Ok(now - *self.0.wasi().origin_ns.get_or_insert(now))
    }

    fn timer(&mut self, ns: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.0.wasi().fruitless_polls = 0;
        let table = &mut self.0.wasi().table;
        // Both handles first: a timer that was started must not be lost because a handle is not available.
        let timer = table.push(Timer)?;
        let pollable = subscribe(table, timer)?;
        let step = self.0.sleep_ns(ns)?;
        self.0.wasi().timers.insert(pollable.rep(), step);
        Ok(pollable)
    }
}

impl<T: WasiHost> wall_clock::Host for Virtual<'_, T> {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        let now = self.now_ns()?;
        let nanoseconds = u32::try_from(now % SECOND_NS)?;
        Ok(wall_clock::Datetime { seconds: now / SECOND_NS, nanoseconds })
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime { seconds: 0, nanoseconds: RESOLUTION_NS })
    }
}

impl<T: WasiHost> monotonic_clock::Host for Virtual<'_, T> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.elapsed_ns()
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(u64::from(RESOLUTION_NS))
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let now = self.elapsed_ns()?;
        self.timer(when.saturating_sub(now))
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.timer(duration)
    }
}

/// The target of a timer's pollable; the timer itself is in the journal.
struct Timer;

impl Pollable for Timer {
    /// Never polled: timers are looked up by their pollable.
    fn ready<'a, 'b>(&'a mut self) -> Pin<Box<dyn Future<Output = ()> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(std::future::pending())
    }
}
