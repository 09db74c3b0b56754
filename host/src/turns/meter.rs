//! Measures the CPU time of an execution: that of the thread while its guest is polled.

use crate::bridge::{Bridge, Stop};
use crate::clock;
use everstep_store::embedded::take_writing_us;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// Runs guest code and charges its CPU time to the execution. The engine yields at every tick of its epoch, so a guest that never
/// calls the host is charged just as often.
pub(super) async fn metered<T>(bridge: &Bridge, guest: impl Future<Output = T>) -> Result<T, Stop> {
    let mut guest = pin!(guest);
    poll_fn(move |context| {
        take_writing_us();
        let before = clock::thread_cpu_us();
        let polled = guest.as_mut().poll(context);
        let used = clock::thread_cpu_us().saturating_sub(before).saturating_sub(take_writing_us());
        if polled.is_pending() {
            bridge.begin_effects();
        }
        match (bridge.charge(used), polled) {
            (_, Poll::Ready(done)) => Poll::Ready(Ok(done)),
            (Err(stop), Poll::Pending) => Poll::Ready(Err(stop)),
            (Ok(()), Poll::Pending) => Poll::Pending,
        }
    })
    .await
}
