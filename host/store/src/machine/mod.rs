//! The state machine of promises, tasks and schedules: written once, over the tables of any store.
//!
//! [`Machine::apply`] does one operation at one moment and returns its answer and further effects. `promises`, `tasks` and
//! `schedules` hold the operations on each, `ids` the rules for ids and addresses, in which the dialects differ. A store only has
//! to provide [`Tables`]. The rules are those of the Resonate protocol, version `2026-04-01`, sections 4 to 7.

mod ids;
mod promises;
mod schedules;
mod tasks;

use super::Error;
use super::operation::{Answer, Dialect, Event, LIST_BYTES, Operation, Refusal, Reply, Status};
use super::record::{Entry, NEVER, Promise, PromiseState, Schedule, Task, TaskState, Value};
use std::ops::ControlFlow;

/// A promise and its task, which have one id and mostly change together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) promise: Promise,
    pub(super) task: Option<Task>,
}

/// The tables of a store. Lists of ids are in the order of the ids unless stated otherwise.
pub(super) trait Tables {
    /// The promise with that id, and its task.
    fn row(&mut self, id: &str) -> Result<Option<Row>, Error>;
    /// Adds a row whose id is free.
    fn insert(&mut self, row: &Row) -> Result<(), Error>;
    /// Replaces the parts of a row that can change: state, value and settlement time, and the task.
    fn update(&mut self, row: &Row) -> Result<(), Error>;
    /// Visits the rows after an id, until told to stop.
    fn scan(&mut self, after: Option<&str>, each: &mut dyn FnMut(Row) -> ControlFlow<()>) -> Result<(), Error>;
    /// The pending promises with that id, or an id that starts with it and a dot.
    fn pending_tree(&mut self, id: &str) -> Result<Vec<String>, Error>;
    /// Visits the promises whose branch tag has that value, until told to stop.
    fn branch(&mut self, branch: &str, each: &mut dyn FnMut(Promise) -> ControlFlow<()>) -> Result<(), Error>;
    /// The pending promises whose deadline is at `now` or before it, by deadline and id; those without a task only if `all`.
    fn due_promises(&mut self, now: u64, all: bool) -> Result<Vec<String>, Error>;
    /// The acquired tasks whose lease ends at `now` or before it, by that time and id.
    fn due_leases(&mut self, now: u64) -> Result<Vec<String>, Error>;

    /// Notes that a task waits for a promise, if that is not noted yet.
    fn add_callback(&mut self, awaited: &str, awaiter: &str) -> Result<(), Error>;
    /// Notes that a task waited for a promise that is settled; returns false if that was noted.
    fn add_ready_callback(&mut self, awaited: &str, awaiter: &str) -> Result<bool, Error>;
    /// Marks the callbacks on a promise as ready, and returns the tasks of those that were not.
    fn make_callbacks_ready(&mut self, awaited: &str) -> Result<Vec<String>, Error>;
    /// Forgets the ready callbacks of a task.
    fn drop_ready_callbacks(&mut self, awaiter: &str) -> Result<(), Error>;
    /// Forgets all callbacks of a task.
    fn drop_callbacks(&mut self, awaiter: &str) -> Result<(), Error>;
    /// Notes that an address listens to a promise, if that is not noted yet.
    fn add_listener(&mut self, awaited: &str, address: &str) -> Result<(), Error>;
    /// Forgets the listeners of a promise, and returns their addresses in order.
    fn take_listeners(&mut self, awaited: &str) -> Result<Vec<String>, Error>;

    /// The schedule with that id.
    fn schedule(&mut self, id: &str) -> Result<Option<Schedule>, Error>;
    /// Adds or replaces a schedule.
    fn put_schedule(&mut self, schedule: &Schedule) -> Result<(), Error>;
    /// Removes a schedule.
    fn remove_schedule(&mut self, id: &str) -> Result<(), Error>;
    /// Visits the schedules after an id, until told to stop.
    fn scan_schedules(
        &mut self,
        after: Option<&str>,
        each: &mut dyn FnMut(Schedule) -> ControlFlow<()>,
    ) -> Result<(), Error>;
    /// The schedules that fire at `now` or before it, by that time and id.
    fn due_schedules(&mut self, now: u64) -> Result<Vec<String>, Error>;
}

/// The machine at one moment.
pub(super) struct Machine<'t, T> {
    tables: &'t mut T,
    dialect: Dialect,
    now: u64,
    events: Vec<Event>,
}

/// The reason that an operation ends early.
enum Stop {
    Refused(Refusal),
    Failed(Error),
}

type Step<T> = Result<T, Stop>;

impl<'t, T: Tables> Machine<'t, T> {
    /// Does one operation; `now` is in milliseconds since the Unix epoch. First applies the deadlines of the promises that the
    /// operation names.
    ///
    /// # Errors
    /// The tables failed. A refusal is an answer.
    pub(super) fn apply(
        tables: &'t mut T,
        dialect: Dialect,
        now: u64,
        operation: &Operation,
    ) -> Result<(Answer, Vec<Event>), Error> {
        // A promise that is never due is not due at the end of time, either.
        let mut machine = Self { tables, dialect, now: now.min(NEVER - 1), events: Vec::new() };
        let answer = match machine.dispatch(operation) {
            Ok(reply) => Ok(reply),
            Err(Stop::Refused(refusal)) => Err(refusal),
            Err(Stop::Failed(error)) => return Err(error),
        };
        Ok((answer, machine.events))
    }

    fn dispatch(&mut self, operation: &Operation) -> Step<Reply> {
        match operation {
            Operation::PromiseCreate(new) => self.create_promise(new),
            Operation::PromiseGet { id } => Ok(Reply::Promise(self.promise(id)?.promise)),
            Operation::PromiseSettle(settlement) => self.settle_promise(settlement),
            Operation::PromiseSearch { state, tags, page } => self.search_promises(*state, tags, page),
            Operation::RegisterCallback { awaited, awaiter } => self.register_callback(awaited, awaiter),
            Operation::RegisterListener { awaited, address } => self.register_listener(awaited, address),
            Operation::TaskCreate { pid, ttl, promise } => self.create_task(pid, *ttl, promise),
            Operation::TaskAcquire { id, version, pid, ttl } => self.acquire_task(id, *version, pid, *ttl),
            Operation::TaskFence { id, version, action } => self.fence(id, *version, action),
            Operation::TaskSuspend { id, version, awaited } => self.suspend_task(id, *version, awaited),
            Operation::TaskFulfill { version, settlement } => self.fulfill_task(*version, settlement),
            Operation::TaskRelease { id, version } => self.release_task(id, *version),
            Operation::TaskHeartbeat { pid, tasks } => self.heartbeat(pid, tasks),
            Operation::TaskHalt { id } => self.halt_task(id),
            Operation::TaskContinue { id } => self.continue_task(id),
            Operation::TaskGet { id } => Ok(Reply::Task(self.task(id)?.1)),
            Operation::TaskSearch { state, page } => self.search_tasks(*state, page),
            Operation::ScheduleCreate(new) => self.create_schedule(new),
            Operation::ScheduleGet { id } => Ok(Reply::Schedule(self.schedule(id)?)),
            Operation::ScheduleDelete { id } => self.delete_schedule(id),
            Operation::ScheduleSearch { tags, page } => self.search_schedules(tags, page),
            Operation::CancelTree { id } => self.cancel_tree(id),
            Operation::Sweep => self.sweep(),
        }
    }

    /// The row with that id, with its deadline applied: no operation sees a pending promise whose deadline has
    /// passed.
    fn row(&mut self, id: &str) -> Step<Option<Row>> {
        let Some(mut row) = self.tables.row(id)? else { return Ok(None) };
        if row.promise.is_due(self.now) {
            self.expire(&mut row)?;
        }
        Ok(Some(row))
    }

    fn promise(&mut self, id: &str) -> Step<Row> {
        self.row(id)?.ok_or_else(|| not_found("promise", id))
    }

    fn task(&mut self, id: &str) -> Step<(Promise, Task)> {
        match self.row(id)? {
            Some(Row { promise, task: Some(task) }) => Ok((promise, task)),
            _ => Err(not_found("task", id)),
        }
    }

    /// Settles a promise whose deadline has passed, as of that deadline.
    fn expire(&mut self, row: &mut Row) -> Step<()> {
        let (state, at) = (row.promise.expired(), row.promise.timeout_at);
        self.settle(row, state, Value::default(), at)
    }

    /// Settles a pending promise with all consequences: its task is fulfilled, tasks that wait for it are resumed, listeners are
    /// notified.
    fn settle(&mut self, row: &mut Row, state: PromiseState, value: Value, at: u64) -> Step<()> {
        let Row { promise, task } = row;
        (promise.state, promise.value, promise.settled_at) = (state, value, Some(at));
        if let Some(task) = task {
            (task.state, task.lease, task.resumes) = (TaskState::Fulfilled, None, 0);
            self.tables.drop_callbacks(&task.id)?;
        }
        self.tables.update(row)?;
        let id = row.promise.id.clone();
        self.events.push(Event::Settled(row.promise.clone()));
        for awaiter in self.tables.make_callbacks_ready(&id)? {
            if let Some(awaiter) = self.tables.row(&awaiter)? {
                self.resume(awaiter, 1)?;
            }
        }
        for address in self.tables.take_listeners(&id)? {
            self.events.push(Event::Unblock { address, promise: row.promise.clone() });
        }
        Ok(())
    }

    /// Counts `more` settled promises that a task waits for; a suspended task may be acquired then.
    fn resume(&mut self, mut row: Row, more: u64) -> Step<()> {
        let Some(task) = &mut row.task else { return Ok(()) };
        let suspended = task.state == TaskState::Suspended;
        if task.state == TaskState::Fulfilled || more == 0 && !suspended {
            return Ok(());
        }
        task.resumes += more;
        if suspended {
            task.state = TaskState::Pending;
            self.offer(&row);
        }
        Ok(self.tables.update(&row)?)
    }

    /// Reports that a task may be acquired.
    fn offer(&mut self, row: &Row) {
        if let (Some(task), Some(target)) = (&row.task, row.promise.target()) {
            let (id, version, target) = (task.id.clone(), task.version, target.to_owned());
            self.events.push(Event::Execute { id, version, target });
        }
    }

    /// Applies the passage of time.
    fn sweep(&mut self) -> Step<Reply> {
        for id in self.tables.due_promises(self.now, self.dialect.fires_all())? {
            self.row(&id)?;
        }
        for id in self.tables.due_leases(self.now)? {
            self.lapse(&id)?;
        }
        for id in self.tables.due_schedules(self.now)? {
            self.fire(&id)?;
        }
        Ok(Reply::Done)
    }

    fn cancel_tree(&mut self, id: &str) -> Step<Reply> {
        self.promise(id)?;
        for id in self.tables.pending_tree(id)? {
            if let Some(row) = self.row(&id)? {
                self.settle_pending(row, PromiseState::RejectedCanceled, Value::default())?;
            }
        }
        Ok(Reply::Promise(self.promise(id)?.promise))
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

fn refuse<T>(status: Status, reason: impl Into<String>) -> Step<T> {
    Err(Stop::Refused(Refusal::new(status, reason)))
}

fn not_found(what: &str, id: &str) -> Stop {
    Stop::Refused(missing(what, id))
}

fn missing(what: &str, id: &str) -> Refusal {
    Refusal::new(Status::NotFound, format!("there is no {what} {id:?}"))
}

/// The size of a page.
fn limit(asked: Option<u64>, default: usize) -> Step<usize> {
    match asked {
        None => Ok(default),
        Some(limit @ 1..=1000) => Ok(limit as usize),
        Some(limit) => refuse(Status::Invalid, format!("a limit is from 1 to 1000, not {limit}")),
    }
}

/// The list of an answer, up to a number of entries and up to [`LIST_BYTES`].
struct List<T> {
    limit: usize,
    entries: Vec<T>,
    bytes: usize,
    /// Whether an entry was left out.
    has_more: bool,
}

impl<T: Entry> List<T> {
    fn new(limit: usize) -> Self {
        Self { limit, entries: Vec::new(), bytes: 0, has_more: false }
    }

    /// Adds an entry. A full list takes none and says to stop.
    fn add(&mut self, entry: T) -> ControlFlow<()> {
        if self.entries.len() >= self.limit || self.bytes >= LIST_BYTES {
            self.has_more = true;
            return ControlFlow::Break(());
        }
        self.bytes += entry.bytes();
        self.entries.push(entry);
        ControlFlow::Continue(())
    }

    /// The entries, and the cursor if there are more.
    fn page(self) -> (Vec<T>, Option<String>) {
        let cursor = self.entries.last().filter(|_| self.has_more).map(|last| last.id().to_owned());
        (self.entries, cursor)
    }
}
