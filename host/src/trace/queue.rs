//! The spans that wait to be sent.

use super::otlp::{Batch, Finished};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The most spans of one request, and how many wait before one is sent early.
pub(crate) const BATCH: usize = 512;

/// Spans that wait to be sent.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    most: usize,
    /// Tells the sender that there is a batch, or that the end has come.
    pub(crate) ready: Notify,
    /// Tells it that the end has come, while it waits for the collector.
    pub(crate) ended: Notify,
}

#[derive(Default)]
struct Waiting {
    /// The oldest first; each but the last is full.
    batches: VecDeque<Batch>,
    /// The spans of all of them.
    spans: usize,
    /// Whether it was told that spans are lost because the collector is slow.
    overran: bool,
    is_ending: bool,
}

impl Queue {
    /// A queue for so many spans at most.
    pub(crate) fn new(most: usize) -> Self {
        Self { waiting: Mutex::default(), most, ready: Notify::new(), ended: Notify::new() }
    }

    /// Adds a span. If too many wait, it is lost.
    pub(super) fn push(&self, span: &Finished) {
        let mut waiting = self.lock();
        if waiting.spans >= self.most {
            let first = !std::mem::replace(&mut waiting.overran, true);
            drop(waiting);
            if first {
                tracing::warn!("spans come faster than the collector takes them; some are lost");
            }
            return;
        }
        match waiting.batches.back_mut().filter(|batch| batch.spans < BATCH) {
            Some(batch) => batch.add(span),
            None => {
                let mut batch = Batch::default();
                batch.add(span);
                waiting.batches.push_back(batch);
            }
        }
        waiting.spans += 1;
        let is_batch = waiting.spans == BATCH.min(self.most);
        drop(waiting);
        if is_batch {
            self.ready.notify_one();
        }
    }

    /// The next batch, and whether the end has come.
    pub(crate) fn take(&self) -> (Batch, bool) {
        let mut waiting = self.lock();
        let batch = waiting.batches.pop_front().unwrap_or_default();
        waiting.spans -= batch.spans;
        (batch, waiting.is_ending)
    }

    /// Says that the end has come.
    pub(crate) fn end(&self) {
        self.lock().is_ending = true;
        self.ready.notify_one();
        self.ended.notify_one();
    }

    /// Whether the end has come.
    pub(crate) fn is_ending(&self) -> bool {
        self.lock().is_ending
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::otlp::Ids;
    use super::*;
    use everstep_words::trace::{SpanId, TraceId};
    use std::time::Duration;

    #[test]
    fn spans_are_sent_in_full_batches_and_those_that_are_too_many_are_lost() {
        let queue = Queue::new(1_100);
        let ids = Ids { trace: TraceId(1), span: SpanId(2), parent: None, link: None };
        let span = Finished::begun("step", ids, Duration::ZERO);
        (0..2_000).for_each(|_| queue.push(&span));
        let sent: Vec<usize> = std::iter::repeat_with(|| queue.take().0.spans).take(4).collect();
        assert_eq!(sent, [512, 512, 76, 0]);
    }
}
