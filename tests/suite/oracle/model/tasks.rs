//! What the model does with tasks: who holds one, and what it waits for.

use super::*;

impl Model {
    pub(super) fn create_task(&mut self, pid: &str, ttl: u64, new: &NewPromise) -> Outcome<Reply> {
        if self.promise(&new.id).is_none() {
            self.create(new, Some((pid, ttl)));
            return self.claimed(&new.id);
        }
        match self.task(&new.id).ok_or(Status::Unprocessable)?.state {
            TaskState::Pending => self.take(&new.id, pid, ttl),
            TaskState::Fulfilled => {}
            TaskState::Acquired | TaskState::Suspended | TaskState::Halted => return Err(Status::Conflict),
        }
        self.claimed(&new.id)
    }

    pub(super) fn acquire(&mut self, id: &str, version: u64, pid: &str, ttl: u64) -> Outcome<Reply> {
        let task = self.task(id).ok_or(Status::NotFound)?;
        if task.state != TaskState::Pending || task.version != version {
            return Err(Status::Conflict);
        }
        self.take(id, pid, ttl);
        self.claimed(id)
    }

    pub(super) fn take(&mut self, id: &str, pid: &str, ttl: u64) {
        let ttl = ttl.min(NEVER);
        let lease = Lease { pid: pid.to_owned(), ttl, expires_at: (self.now + ttl).min(NEVER) };
        self.callbacks.retain(|callback| callback.awaiter != id || !callback.ready);
        self.change_task(id, |task| {
            task.state = TaskState::Acquired;
            task.version += 1;
            task.lease = Some(lease);
        });
    }

    pub(super) fn claimed(&self, id: &str) -> Outcome<Reply> {
        let (task, promise) = (self.task(id).ok_or(Status::NotFound)?, self.known(id)?);
        let preload = if task.state == TaskState::Fulfilled { Vec::new() } else { self.preload(&promise) };
        Ok(Reply::Claimed { task, preload, promise })
    }

    pub(super) fn preload(&self, promise: &Promise) -> Vec<Promise> {
        let Some(branch) = promise.tags.get(tag::BRANCH) else { return Vec::new() };
        let others = self.promises.iter().filter(|other| other.id != promise.id);
        by_id(others.filter(|other| other.tags.get(tag::BRANCH) == Some(branch)).cloned(), |promise| &promise.id)
    }

    pub(super) fn held(&self, id: &str, version: u64) -> Outcome<()> {
        let task = self.task(id).ok_or(Status::NotFound)?;
        let held = task.state == TaskState::Acquired && task.version == version;
        if held { Ok(()) } else { Err(Status::Conflict) }
    }

    pub(super) fn fence(&mut self, id: &str, version: u64, action: &FenceAction) -> Outcome<Reply> {
        self.held(id, version)?;
        let inner = match action {
            FenceAction::Create(new) => Ok(self.create(new, None)),
            FenceAction::Settle(settlement) => self.settle(settlement),
        };
        let answer = Box::new(inner.map(Reply::Promise).map_err(refusal));
        Ok(Reply::Fenced { answer, preload: self.preload(&self.known(id)?) })
    }

    pub(super) fn suspend(&mut self, id: &str, version: u64, awaited: &[String]) -> Outcome<Reply> {
        self.held(id, version)?;
        let promises: Option<Vec<_>> = awaited.iter().map(|awaited| self.promise(awaited)).collect();
        let promises = promises.ok_or(Status::Unprocessable)?;
        promises.iter().try_for_each(|promise| self.check_awaitable(promise))?;
        if promises.iter().any(|promise| promise.state != State::Pending) {
            return Ok(Reply::GoOn(self.preload(&self.known(id)?)));
        }
        awaited.iter().for_each(|awaited| self.note_callback(awaited, id, false));
        self.change_task(id, |task| {
            task.state = TaskState::Suspended;
            task.lease = None;
        });
        Ok(Reply::Done)
    }

    pub(super) fn fulfill(&mut self, version: u64, settlement: &Settlement) -> Outcome<Reply> {
        self.held(&settlement.id, version)?;
        Ok(Reply::Promise(self.settle(settlement)?))
    }

    /// Makes a task pending and says so.
    pub(super) fn give_back(&mut self, id: &str) -> Reply {
        self.change_task(id, |task| {
            task.state = TaskState::Pending;
            task.lease = None;
        });
        self.announce(id);
        Reply::Done
    }

    pub(super) fn heartbeat(&mut self, pid: &str, tasks: &[(String, u64)]) -> Reply {
        let now = self.now;
        for (id, version) in tasks {
            if self.held(id, *version).is_ok() {
                self.change_task(id, |task| {
                    for lease in task.lease.iter_mut().filter(|lease| lease.pid == pid) {
                        lease.expires_at = (now + lease.ttl).min(NEVER);
                    }
                });
            }
        }
        Reply::Done
    }

    pub(super) fn halt(&mut self, id: &str) -> Outcome<Reply> {
        if self.task(id).ok_or(Status::NotFound)?.state == TaskState::Fulfilled {
            return Err(Status::Conflict);
        }
        self.change_task(id, |task| {
            task.state = TaskState::Halted;
            task.lease = None;
        });
        Ok(Reply::Done)
    }
}
