//! Polls the one top-level future of an execution, turn by turn.
//!
//! A turn polls until nothing is ready. Only the deliveries, in their order, decide what is ready, so that the same
//! deliveries always give the same run: no threads, no clock, no randomness. All state is in the guest's memory.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// The future of an execution and whether it wants to be polled.
pub(crate) struct Executor<T> {
    task: Pin<Box<dyn Future<Output = T>>>,
    signal: Arc<Signal>,
}

impl<T> Executor<T> {
    pub(crate) fn new(task: Pin<Box<dyn Future<Output = T>>>) -> Self {
        Self { task, signal: Arc::new(Signal(AtomicBool::new(true))) }
    }

    /// Marks `settled` as delivered, wakes the futures that wait for them in that order, and runs a turn.
    pub(crate) fn deliver(&mut self, settled: &[u64]) -> Poll<T> {
        for promise in settled {
            mark_delivered(*promise);
        }
        self.turn()
    }

    /// Polls until the future is done or nothing is ready.
    pub(crate) fn turn(&mut self) -> Poll<T> {
        let waker = Waker::from(Arc::clone(&self.signal));
        let mut context = Context::from_waker(&waker);
        while self.signal.0.swap(false, Ordering::Relaxed) {
            if let Poll::Ready(output) = self.task.as_mut().poll(&mut context) {
                return Poll::Ready(output);
            }
        }
        Poll::Pending
    }
}

struct Signal(AtomicBool);

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A promise that a future of this guest may wait for. Dropping it only cancels the wakeup: the promise itself stays as it
/// is, and its delivery will be ignored.
#[derive(Debug)]
pub(crate) struct Delivery(u64);

enum Waiting {
    Unpolled,
    Polled(Waker),
    Delivered,
}

thread_local! {
    static WAITING: RefCell<BTreeMap<u64, Waiting>> = const { RefCell::new(BTreeMap::new()) };
}

impl Delivery {
    /// Must be made in the turn that created the promise, before its delivery can arrive.
    pub(crate) fn of(promise: u64) -> Self {
        replace(promise, Waiting::Unpolled);
        Self(promise)
    }

    pub(crate) fn promise(&self) -> u64 {
        self.0
    }

    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let delivered = WAITING.with_borrow(|all| matches!(all.get(&self.0), Some(Waiting::Delivered)));
        if delivered {
            return Poll::Ready(());
        }
        replace(self.0, Waiting::Polled(context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let forgotten = WAITING.with_borrow_mut(|all| all.remove(&self.0));
        drop(forgotten);
    }
}

fn mark_delivered(promise: u64) {
    let known = WAITING.with_borrow(|all| all.contains_key(&promise));
    if known && let Some(Waiting::Polled(waker)) = replace(promise, Waiting::Delivered) {
        waker.wake();
    }
}

/// Returns the old entry, so that it is woken or dropped after the borrow has ended: either may drop another `Delivery`.
fn replace(promise: u64, waiting: Waiting) -> Option<Waiting> {
    WAITING.with_borrow_mut(|all| all.insert(promise, waiting))
}

#[cfg(test)]
pub(crate) mod tests;
