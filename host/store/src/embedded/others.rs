//! Other hosts of the same tables: what they commit is reported like this host's own commits, and what they leave behind is offered
//! again.

use super::commit::{Committer, Submission};
use super::time::Alarm;
use crate::clock::Clock;
use crate::operation::{Event, Operation, Reply};
use crate::peers::{Ear, Heard, offered};
use crate::seam::Listener;
use crate::{Applied, Backend, Change, Error};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

pub(super) struct Others {
    backend: Weak<dyn Backend>,
    committer: Weak<Committer>,
    listener: Arc<dyn Listener>,
    alarm: Arc<Alarm>,
    clock: Arc<dyn Clock>,
    /// Whether this host runs executions.
    takes_over: AtomicBool,
}

impl Others {
    pub(super) fn new(
        backend: &Arc<dyn Backend>,
        committer: &Arc<Committer>,
        listener: Arc<dyn Listener>,
        alarm: Arc<Alarm>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let (backend, committer) = (Arc::downgrade(backend), Arc::downgrade(committer));
        Arc::new(Self { backend, committer, listener, alarm, clock, takes_over: AtomicBool::new(false) })
    }

    /// From now on, offers again what a host leaves behind.
    pub(super) fn take_over(&self) {
        self.takes_over.store(true, Ordering::Release);
    }

    fn pass_on(&self, events: Vec<Event>) {
        if !events.is_empty() {
            self.listener.applied(&[Applied { answer: Ok(Reply::Done), events }]);
        }
    }

    /// Releases the tasks of a host that is gone.
    fn release(&self, backend: &dyn Backend, name: &str) -> Result<(), Error> {
        let (now_ms, mut changes) = (self.clock.now_ms(), Vec::new());
        for (id, version) in backend.held()? {
            let lease = backend.promise(&id)?.and_then(|(_, task)| task?.lease);
            if lease.is_some_and(|lease| lease.pid == name) {
                changes.push(Change::operation(now_ms, Operation::TaskRelease { id, version }));
            }
        }
        if let Some(committer) = self.committer.upgrade().filter(|_| !changes.is_empty()) {
            committer.submit(Submission { changes, ..Submission::default() });
            committer.request();
        }
        Ok(())
    }
}

impl Ear for Others {
    fn heard(&self, heard: Heard) {
        let Some(backend) = self.backend.upgrade() else { return };
        match heard.event(&*backend) {
            Ok(event) => self.pass_on(event.into_iter().collect()),
            Err(error) => tracing::error!(%error, "what another host did cannot be read"),
        }
    }

    fn gone(&self, name: &str) {
        let Some(backend) = self.backend.upgrade() else { return };
        // Without this look, what that host would have done next may go unnoticed.
        self.alarm.look();
        if !self.takes_over.load(Ordering::Acquire) {
            return;
        }
        // What it tended without holding it is offered already.
        match self.release(&*backend, name).and_then(|()| offered(&*backend)) {
            Ok(events) => self.pass_on(events),
            Err(error) => tracing::error!(%error, "what another host has left behind cannot be read"),
        }
    }
}
