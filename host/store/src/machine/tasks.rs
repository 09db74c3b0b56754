//! Operations on tasks.

use super::ids;
use super::promises::check_settlement;
use super::{List, Machine, Row, Step, Tables, limit, missing, not_found, refuse};
use crate::operation::{Dialect, FenceAction, NewPromise, Page, Reply, Settlement, Status};
use crate::record::{Lease, NEVER, Promise, PromiseState, Task, TaskState, tag};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

impl<T: Tables> Machine<'_, T> {
    pub(super) fn create_task(&mut self, pid: &str, ttl: u64, new: &NewPromise) -> Step<Reply> {
        check_lease(pid, ttl)?;
        ids::check_promise(self.dialect, new)?;
        if !new.tags.contains_key(tag::TARGET) || new.tags.contains_key(tag::DELAY) {
            let reason = format!("the tags have {} and no {}", tag::TARGET, tag::DELAY);
            return refuse(Status::Invalid, reason);
        }
        let Some(mut row) = self.row(&new.id)? else {
            let row = self.insert(new, Some(self.lease(pid, ttl)))?;
            return self.claimed(row);
        };
        let Some(task) = &row.task else {
            return refuse(Status::Unprocessable, format!("the promise {:?} has no target", new.id));
        };
        match task.state {
            TaskState::Pending => self.claim(&mut row, pid, ttl)?,
            TaskState::Fulfilled => {}
            other => return refuse(Status::Conflict, format!("the task {:?} is {}", new.id, other.name())),
        }
        self.claimed(row)
    }

    pub(super) fn acquire_task(&mut self, id: &str, version: u64, pid: &str, ttl: u64) -> Step<Reply> {
        check_lease(pid, ttl)?;
        let (promise, task) = self.task(id)?;
        if task.state != TaskState::Pending || task.version != version {
            return conflict(&task, version, "pending");
        }
        let mut row = Row { promise, task: Some(task) };
        self.claim(&mut row, pid, ttl)?;
        self.claimed(row)
    }

    fn claim(&mut self, row: &mut Row, pid: &str, ttl: u64) -> Step<()> {
        if let Some(task) = &mut row.task {
            // The ready callbacks are those that were counted.
            if task.resumes > 0 {
                self.tables.drop_ready_callbacks(&task.id)?;
            }
            (task.state, task.version, task.resumes) = (TaskState::Acquired, task.version + 1, 0);
            task.lease = Some(self.lease(pid, ttl));
        }
        Ok(self.tables.update(row)?)
    }

    fn lease(&self, pid: &str, ttl: u64) -> Lease {
        let ttl = ttl.min(NEVER);
        Lease { pid: pid.to_owned(), ttl, expires_at: self.lease_end(ttl) }
    }

    fn lease_end(&self, ttl: u64) -> u64 {
        self.now.saturating_add(ttl).min(NEVER)
    }

    fn claimed(&mut self, row: Row) -> Step<Reply> {
        let Row { promise, task } = row;
        match task {
            // Nothing is left to be done, so no other promises are needed.
            Some(task) if task.state == TaskState::Fulfilled => {
                Ok(Reply::Claimed { task, promise, preload: Vec::new() })
            }
            Some(task) => Ok(Reply::Claimed { task, preload: self.preload(&promise)?, promise }),
            None => Err(not_found("task", &promise.id)),
        }
    }

    /// The task, if the caller holds it.
    fn held(&mut self, id: &str, version: u64) -> Step<(Promise, Task)> {
        let (promise, task) = self.task(id)?;
        if task.state == TaskState::Acquired && task.version == version {
            return Ok((promise, task));
        }
        conflict(&task, version, "acquired")
    }

    pub(super) fn fence(&mut self, id: &str, version: u64, action: &FenceAction) -> Step<Reply> {
        let inner = match action {
            FenceAction::Create(new) => {
                ids::check_promise(self.dialect, new)?;
                &new.id
            }
            FenceAction::Settle(settlement) => {
                check_settlement(settlement)?;
                &settlement.id
            }
        };
        if inner == id {
            return refuse(Status::Invalid, "a fence does not protect the promise of its own task");
        }
        let found = self.row(inner)?;
        let (promise, _) = self.held(id, version)?;
        let answer = match (action, found) {
            (FenceAction::Create(new), found) => Ok(self.found_or_inserted(found, new)?),
            (FenceAction::Settle(Settlement { state, value, .. }), Some(row)) => {
                Ok(self.settle_pending(row, *state, value.clone())?)
            }
            (FenceAction::Settle(_), None) => Err(missing("promise", inner)),
        };
        let answer = Box::new(answer.map(Reply::Promise));
        Ok(Reply::Fenced { answer, preload: self.preload(&promise)? })
    }

    pub(super) fn suspend_task(&mut self, id: &str, version: u64, awaited: &[String]) -> Step<Reply> {
        self.check_awaited(id, awaited)?;
        let found = awaited.iter().map(|awaited| self.row(awaited)).collect::<Step<Vec<_>>>()?;
        let (promise, mut task) = self.held(id, version)?;
        let mut settled = false;
        for (awaited, found) in awaited.iter().zip(found) {
            let Some(row) = found else {
                return refuse(Status::Unprocessable, format!("there is no promise {awaited:?} to wait for"));
            };
            self.check_awaitable(&row.promise)?;
            settled |= row.promise.state != PromiseState::Pending;
        }
        if settled {
            return Ok(Reply::GoOn(self.preload(&promise)?));
        }
        for awaited in awaited {
            self.tables.add_callback(awaited, id)?;
        }
        (task.state, task.lease) = (TaskState::Suspended, None);
        self.tables.update(&Row { promise, task: Some(task) })?;
        Ok(Reply::Done)
    }

    fn check_awaited(&self, id: &str, awaited: &[String]) -> Step<()> {
        if awaited.is_empty() || awaited.iter().any(|awaited| awaited == id) {
            return refuse(Status::Invalid, "a task waits for at least one promise, and not for its own");
        }
        awaited.iter().try_for_each(|awaited| ids::check_same_tree(self.dialect, id, awaited))?;
        if self.dialect == Dialect::C && awaited.iter().collect::<BTreeSet<_>>().len() < awaited.len() {
            return refuse(Status::Invalid, "a promise is named twice");
        }
        Ok(())
    }

    pub(super) fn fulfill_task(&mut self, version: u64, settlement: &Settlement) -> Step<Reply> {
        check_settlement(settlement)?;
        let (promise, task) = self.held(&settlement.id, version)?;
        let mut row = Row { promise, task: Some(task) };
        self.settle(&mut row, settlement.state, settlement.value.clone(), self.now)?;
        Ok(Reply::Promise(row.promise))
    }

    pub(super) fn release_task(&mut self, id: &str, version: u64) -> Step<Reply> {
        let (promise, task) = self.held(id, version)?;
        self.give_back(Row { promise, task: Some(task) })
    }

    /// Makes a task pending, and reports it.
    fn give_back(&mut self, mut row: Row) -> Step<Reply> {
        if let Some(task) = &mut row.task {
            (task.state, task.lease) = (TaskState::Pending, None);
        }
        self.tables.update(&row)?;
        self.offer(&row);
        Ok(Reply::Done)
    }

    /// Renews leases. Tasks that the process does not hold are skipped: a heartbeat never reports that a lease was
    /// lost.
    pub(super) fn heartbeat(&mut self, pid: &str, tasks: &[(String, u64)]) -> Step<Reply> {
        if pid.is_empty() {
            return refuse(Status::Invalid, "a process has a name");
        }
        let origins: BTreeSet<&str> = tasks.iter().map(|(id, _)| ids::origin(self.dialect, id)).collect();
        if self.dialect != Dialect::A && origins.len() != 1 {
            return refuse(Status::Invalid, "a heartbeat is for one or more tasks of one origin");
        }
        for (id, version) in tasks {
            let Some(Row { promise, task: Some(mut task) }) = self.row(id)? else { continue };
            let holds = task.state == TaskState::Acquired && task.version == *version;
            let Some(lease) = task.lease.as_mut().filter(|lease| holds && lease.pid == pid) else { continue };
            lease.expires_at = self.lease_end(lease.ttl);
            self.tables.update(&Row { promise, task: Some(task) })?;
        }
        Ok(Reply::Done)
    }

    /// Releases a task whose lease has run out.
    pub(super) fn lapse(&mut self, id: &str) -> Step<()> {
        let Some(row) = self.tables.row(id)? else { return Ok(()) };
        let lease = row.task.as_ref().and_then(|task| task.lease.as_ref());
        if lease.is_some_and(|lease| lease.expires_at <= self.now) {
            self.give_back(row)?;
        }
        Ok(())
    }

    pub(super) fn halt_task(&mut self, id: &str) -> Step<Reply> {
        let (promise, mut task) = self.task(id)?;
        if task.state == TaskState::Fulfilled {
            return refuse(Status::Conflict, format!("the task {id:?} is fulfilled"));
        }
        (task.state, task.lease) = (TaskState::Halted, None);
        self.tables.update(&Row { promise, task: Some(task) })?;
        Ok(Reply::Done)
    }

    pub(super) fn continue_task(&mut self, id: &str) -> Step<Reply> {
        let (promise, task) = self.task(id)?;
        if task.state != TaskState::Halted {
            return refuse(Status::Conflict, format!("the task {id:?} is not halted"));
        }
        self.give_back(Row { promise, task: Some(task) })
    }

    pub(super) fn search_tasks(&mut self, state: Option<TaskState>, page: &Page) -> Step<Reply> {
        let mut found = List::new(limit(page.limit, 100)?);
        self.tables.scan(page.cursor.as_deref(), &mut |row| {
            let task = row.task.filter(|task| state.is_none_or(|state| task.state == state));
            task.map_or(ControlFlow::Continue(()), |task| found.add(task))
        })?;
        let (tasks, cursor) = found.page();
        Ok(Reply::Tasks(tasks, cursor))
    }
}

fn check_lease(pid: &str, ttl: u64) -> Step<()> {
    if pid.is_empty() || ttl == 0 {
        return refuse(Status::Invalid, "a lease has a process, and lasts for a millisecond or longer");
    }
    Ok(())
}

fn conflict<T>(task: &Task, version: u64, wanted: &str) -> Step<T> {
    let Task { id, state, version: held, .. } = task;
    let state = state.name();
    refuse(Status::Conflict, format!("the task {id:?} is {state} in version {held}, not {wanted} in version {version}"))
}
