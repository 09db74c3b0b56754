//! Operations on promises.

use super::ids;
use super::{List, Machine, Row, Step, Tables, limit, not_found, refuse};
use crate::operation::{Dialect, NewPromise, Page, Reply, Settlement, Status};
use crate::record::{Lease, NEVER, Promise, PromiseState, Task, TaskState, Value, tag};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

impl<T: Tables> Machine<'_, T> {
    pub(super) fn create_promise(&mut self, new: &NewPromise) -> Step<Reply> {
        ids::check_promise(self.dialect, new)?;
        let found = self.row(&new.id)?;
        Ok(Reply::Promise(self.found_or_inserted(found, new)?))
    }

    pub(super) fn found_or_inserted(&mut self, found: Option<Row>, new: &NewPromise) -> Step<Promise> {
        let row = found.map_or_else(|| self.insert(new, None), Ok)?;
        Ok(row.promise)
    }

    /// Adds a promise. If it has a target it gets a task, which is pending, or acquired with the given lease. A promise created
    /// after its deadline is settled from the start.
    pub(super) fn insert(&mut self, new: &NewPromise, lease: Option<Lease>) -> Step<Row> {
        let promise = self.new_promise(new);
        let (state, version) = match (promise.state, &lease) {
            (PromiseState::Pending, None) => (TaskState::Pending, 0),
            (PromiseState::Pending, Some(_)) => (TaskState::Acquired, 1),
            _ => (TaskState::Fulfilled, 0),
        };
        let lease = lease.filter(|_| state == TaskState::Acquired);
        let task = promise.target().map(|_| Task { id: new.id.clone(), state, version, resumes: 0, lease });
        let row = Row { promise, task };
        self.tables.insert(&row)?;
        if state == TaskState::Pending {
            self.offer(&row);
        }
        Ok(row)
    }

    fn new_promise(&self, new: &NewPromise) -> Promise {
        let NewPromise { id, timeout_at, param, tags } = new.clone();
        let timeout_at = timeout_at.min(NEVER);
        let created_at = self.now.min(timeout_at);
        let (state, value) = (PromiseState::Pending, Value::default());
        let mut promise = Promise { id, state, param, value, tags, timeout_at, created_at, settled_at: None };
        if promise.is_due(self.now) {
            (promise.state, promise.settled_at) = (promise.expired(), Some(timeout_at));
        }
        promise
    }

    pub(super) fn settle_promise(&mut self, settlement: &Settlement) -> Step<Reply> {
        check_settlement(settlement)?;
        let row = self.promise(&settlement.id)?;
        Ok(Reply::Promise(self.settle_pending(row, settlement.state, settlement.value.clone())?))
    }

    /// Settles a promise if it is pending.
    pub(super) fn settle_pending(&mut self, mut row: Row, state: PromiseState, value: Value) -> Step<Promise> {
        if row.promise.state == PromiseState::Pending {
            self.settle(&mut row, state, value, self.now)?;
        }
        Ok(row.promise)
    }

    /// Finds promises as they are stored: a search applies no deadlines.
    pub(super) fn search_promises(
        &mut self,
        state: Option<PromiseState>,
        tags: &BTreeMap<String, String>,
        page: &Page,
    ) -> Step<Reply> {
        let mut found = List::new(limit(page.limit, 100)?);
        let fits = |promise: &Promise| {
            let tagged = tags.iter().all(|(name, value)| promise.tags.get(name) == Some(value));
            tagged && state.is_none_or(|state| promise.state == state)
        };
        self.tables.scan(page.cursor.as_deref(), &mut |Row { promise, .. }| {
            if fits(&promise) { found.add(promise) } else { ControlFlow::Continue(()) }
        })?;
        let (promises, cursor) = found.page();
        Ok(Reply::Promises(promises, cursor))
    }

    pub(super) fn register_callback(&mut self, awaited: &str, awaiter: &str) -> Step<Reply> {
        ids::check_same_tree(self.dialect, awaiter, awaited)?;
        let (found, awaiting) = (self.row(awaited)?, self.row(awaiter)?);
        let promise = found.ok_or_else(|| not_found("promise", awaited))?.promise;
        let Some((task, row)) = awaiting.as_ref().and_then(|row| Some((row.task.as_ref()?, row))) else {
            return refuse(
                Status::Unprocessable,
                format!("{awaiter:?} is no promise with a target, so it cannot wait"),
            );
        };
        self.check_awaitable(&promise)?;
        if task.state == TaskState::Fulfilled {
            return Ok(Reply::Promise(promise));
        }
        if promise.state == PromiseState::Pending {
            self.tables.add_callback(awaited, awaiter)?;
        } else {
            let fresh = self.tables.add_ready_callback(awaited, awaiter)?;
            self.resume(row.clone(), u64::from(fresh))?;
        }
        Ok(Reply::Promise(promise))
    }

    /// Refuses, in dialect C, to wait for a promise that nothing can settle.
    pub(super) fn check_awaitable(&self, promise: &Promise) -> Step<()> {
        let marks = [(tag::SCOPE, "global"), (tag::TIMER, "true"), (tag::EXTERNAL, "true")];
        let is_marked = marks.iter().any(|(name, value)| promise.tags.get(*name).is_some_and(|found| found == value));
        if self.dialect != Dialect::C || promise.target().is_some() || is_marked {
            return Ok(());
        }
        let marks = marks.map(|(name, value)| format!("{name}={value}")).join(", ");
        let refusal = format!("{:?} cannot be awaited: it has none of {}, {marks}", promise.id, tag::TARGET);
        refuse(Status::Unprocessable, refusal)
    }

    pub(super) fn register_listener(&mut self, awaited: &str, address: &str) -> Step<Reply> {
        ids::check_address(address)?;
        let promise = self.promise(awaited)?.promise;
        if promise.state == PromiseState::Pending {
            self.tables.add_listener(awaited, address)?;
        }
        Ok(Reply::Promise(promise))
    }

    /// The promises that the holder of a task gets with it, to spare it questions: it asks for those that are left out.
    pub(super) fn preload(&mut self, promise: &Promise) -> Step<Vec<Promise>> {
        let Some(branch) = promise.tags.get(tag::BRANCH) else { return Ok(Vec::new()) };
        let mut found = List::new(usize::MAX);
        self.tables.branch(branch, &mut |other| {
            if other.id == promise.id { ControlFlow::Continue(()) } else { found.add(other) }
        })?;
        Ok(found.entries)
    }
}

pub(super) fn check_settlement(settlement: &Settlement) -> Step<()> {
    match settlement.state {
        PromiseState::Resolved | PromiseState::Rejected | PromiseState::RejectedCanceled => Ok(()),
        PromiseState::Pending | PromiseState::RejectedTimedout => {
            let state = settlement.state.name();
            refuse(Status::Invalid, format!("nobody settles a promise as {state}"))
        }
    }
}
