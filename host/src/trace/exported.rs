//! A span that the collector of this process is to have.

use super::otlp::{Finished, Value};
use super::queue::Queue;
use crate::clock;

/// A span that has begun. It ends when it is dropped, and waits to be sent then.
///
/// It passes through no subscriber: there are spans for each step that leaves the process, and one that a subscriber keeps costs several times as much.
pub(super) struct Exported {
    span: Finished,
    queue: &'static Queue,
}

impl Exported {
    /// A span that begins now.
    pub(super) fn begin(queue: &'static Queue, span: Finished) -> Self {
        Self { span, queue }
    }

    /// The same, with an attribute.
    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    /// Sets an attribute; the last value counts.
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.span.set(name, value.into());
    }
}

impl Drop for Exported {
    fn drop(&mut self) {
        // A clock that was set back meanwhile makes no span that ends before it begins.
        self.span.end = clock::since_epoch().max(self.span.start);
        self.queue.push(&self.span);
    }
}
