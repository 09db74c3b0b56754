//! What a store's promises, tasks and schedules do, in the order in which the protocol tells it: lists that are looked through from
//! the front, and nothing of the store's own machine.
//!
//! Its promises are small: no list of an answer reaches the size at which a store ends it (`answers.rs` among the tests of the stores is about
//! that).
//!
//! An operation is refused as malformed (`check`), or it first applies the deadlines of the promises that it names (`named`), and
//! then does what it says (`act`).

mod tasks;
mod words;

use everstep::store::operation::{
    Answer, Dialect, Event, FenceAction, NewPromise, NewSchedule, Operation, Page, Reply, Settlement, Status,
};
use everstep::store::record::{Lease, NEVER, Promise, PromiseState as State, Schedule, Task, TaskState, Value, tag};
use everstep::store::{
    Execution, Failure, FailureKind, Invocation, NewExecution, PendingPromise, Progress, State as ExecutionState,
};
use std::collections::BTreeMap;
use words::*;

/// The addresses that are none are all others.
pub(super) const ADDRESSES: [&str; 4] =
    ["poll://any@workers", "poll://any@others/w1", "poll://uni@clients/c1", "https://example.com/hook"];
/// Cron expressions and how many milliseconds lie between two firings; all others are none, or never fire.
pub(super) const CRONS: [(&str, u64); 3] =
    [("*/2 * * * * *", 2_000), ("* * * * *", 60_000), ("0 0 * * * *", 3_600_000)];

#[derive(Clone, Debug)]
pub(super) struct Model {
    dialect: Dialect,
    now: u64,
    pub(super) promises: Vec<Promise>,
    /// `resumes` is counted when somebody asks.
    tasks: Vec<Task>,
    callbacks: Vec<Callback>,
    /// Promises and addresses.
    listeners: Vec<(String, String)>,
    pub(super) schedules: Vec<Schedule>,
    pub(super) executions: Vec<(NewExecution, Progress)>,
    events: Vec<Event>,
}

#[derive(Clone, Debug)]
struct Callback {
    awaited: String,
    awaiter: String,
    ready: bool,
}

type Outcome<T> = Result<T, Status>;

impl Model {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            now: 0,
            promises: Vec::new(),
            tasks: Vec::new(),
            callbacks: Vec::new(),
            listeners: Vec::new(),
            schedules: Vec::new(),
            executions: Vec::new(),
            events: Vec::new(),
        }
    }

    pub(super) fn apply(&mut self, now: u64, operation: &Operation) -> (Answer, Vec<Event>) {
        self.now = now;
        let outcome = self.check(operation).and_then(|()| {
            named(operation).iter().for_each(|id| self.expire(id));
            self.act(operation)
        });
        (outcome.map_err(refusal), std::mem::take(&mut self.events))
    }

    pub(super) fn task(&self, id: &str) -> Option<Task> {
        let mut task = self.tasks.iter().find(|task| task.id == id)?.clone();
        let ready = self.callbacks.iter().filter(|callback| callback.awaiter == id && callback.ready);
        task.resumes = ready.count() as u64;
        Some(task)
    }

    pub(super) fn offers(&self) -> Vec<String> {
        let pending = self.tasks.iter().filter(|task| task.state == TaskState::Pending);
        sorted(pending.map(|task| task.id.clone()))
    }

    pub(super) fn next_due(&self) -> Option<u64> {
        let deadlines = self.promises.iter().filter(|promise| self.fires(promise)).map(|promise| promise.timeout_at);
        let leases = self.tasks.iter().filter_map(|task| Some(task.lease.as_ref()?.expires_at));
        let firings = self.schedules.iter().map(|schedule| schedule.next_run_at);
        deadlines.chain(leases).chain(firings).filter(|at| *at < NEVER).min()
    }

    /// The promises that somebody outside may settle.
    pub(super) fn asked(&self) -> Vec<PendingPromise> {
        let pending = self.promises.iter().filter(|promise| promise.state == State::Pending);
        let asked = pending.filter_map(|promise| {
            Some(PendingPromise {
                id: promise.id.parse().ok()?,
                kind: promise.tags.get("everstep:kind")?.parse().ok()?,
                subject: promise.param.headers.get("everstep:subject").cloned().unwrap_or_default(),
                data: promise.param.data.clone(),
                schema: promise.param.headers.get("everstep:schema").cloned(),
                created_ms: promise.created_at,
                deadline_ms: Some(promise.timeout_at).filter(|at| *at < NEVER),
            })
        });
        let mut asked: Vec<_> = asked.collect();
        asked.sort_by_key(|promise| (promise.created_ms, promise.id.clone()));
        asked
    }

    /// The executions, oldest first.
    pub(super) fn list(&self) -> Vec<Execution> {
        let mut all: Vec<_> = self.promises.iter().filter_map(|promise| self.execution(promise)).collect();
        all.sort_by_key(|execution| (execution.created_ms, execution.id.clone()));
        all
    }

    fn execution(&self, promise: &Promise) -> Option<Execution> {
        let (task, invocation) = (self.task(&promise.id)?, Invocation::of(promise)?);
        let id = promise.id.parse().ok()?;
        let state = match (promise.state, task.state) {
            (State::Resolved, _) => ExecutionState::Completed,
            (State::Rejected | State::RejectedTimedout, _) => ExecutionState::Failed,
            (State::RejectedCanceled, _) => ExecutionState::Canceled,
            (State::Pending, TaskState::Acquired) => ExecutionState::Running,
            (State::Pending, TaskState::Suspended) => ExecutionState::Suspended,
            (State::Pending, TaskState::Halted) => ExecutionState::Halted,
            (State::Pending, TaskState::Pending | TaskState::Fulfilled) => ExecutionState::Pending,
        };
        let known = self.executions.iter().find(|(execution, _)| execution.id == id);
        let (key, seed) = known.map_or((None, [0; 32]), |(execution, _)| (Some(execution.key), execution.seed));
        let mut progress = known.map_or_else(Progress::default, |(_, progress)| progress.clone());
        progress.updated_ms = progress.updated_ms.max(promise.settled_at.unwrap_or(promise.created_at));
        progress.error = match promise.state {
            State::Pending if state == ExecutionState::Halted => progress.error,
            State::RejectedCanceled => progress.error,
            State::Rejected => progress.error.or_else(|| Some(returned(&promise.value))),
            State::RejectedTimedout => Some(Failure { kind: FailureKind::TimedOut, message: String::new() }),
            _ => None,
        };
        Some(Execution {
            key,
            id,
            component: invocation.component,
            policy: invocation.policy,
            function: invocation.function,
            args: invocation.args,
            trace: invocation.trace,
            seed,
            created_ms: promise.created_at,
            deadline_ms: Some(promise.timeout_at).filter(|at| *at < NEVER),
            state,
            attempts: task.version,
            result: Some(text(&promise.value)).filter(|_| state == ExecutionState::Completed),
            progress,
        })
    }

    // What is malformed.

    fn check(&self, operation: &Operation) -> Outcome<()> {
        let valid = match operation {
            Operation::PromiseCreate(new) => self.is_promise(new),
            Operation::PromiseSettle(settlement) | Operation::TaskFulfill { settlement, .. } => may_settle(settlement),
            Operation::PromiseSearch { page, .. }
            | Operation::TaskSearch { page, .. }
            | Operation::ScheduleSearch { page, .. } => page.limit.is_none_or(|limit| (1..=1_000).contains(&limit)),
            Operation::RegisterCallback { awaited, awaiter } => {
                self.dialect == Dialect::A || awaiter != awaited && self.is_kin(awaiter, awaited)
            }
            Operation::RegisterListener { address, .. } => ADDRESSES.contains(&&**address),
            Operation::TaskCreate { pid, ttl, promise } => {
                let tags = promise.tags.contains_key(tag::TARGET) && !promise.tags.contains_key(tag::DELAY);
                !pid.is_empty() && *ttl > 0 && tags && self.is_promise(promise)
            }
            Operation::TaskAcquire { pid, ttl, .. } => !pid.is_empty() && *ttl > 0,
            Operation::TaskFence { id, action: FenceAction::Create(new), .. } => new.id != *id && self.is_promise(new),
            Operation::TaskFence { id, action: FenceAction::Settle(settlement), .. } => {
                settlement.id != *id && may_settle(settlement)
            }
            Operation::TaskSuspend { id, awaited, .. } => self.may_await(id, awaited),
            Operation::TaskHeartbeat { pid, tasks } => !pid.is_empty() && self.have_one_origin(tasks),
            Operation::ScheduleCreate(new) => self.is_schedule(new),
            _ => true,
        };
        if valid { Ok(()) } else { Err(Status::Invalid) }
    }

    fn is_promise(&self, new: &NewPromise) -> bool {
        let target = new.tags.get(tag::TARGET);
        let addressed = target.is_none_or(|target| ADDRESSES.contains(&&**target));
        let dialect = match self.dialect {
            Dialect::A => true,
            Dialect::B | Dialect::C => self.has_lineage(new) && has_delay(new),
        };
        is_id(&new.id) && addressed && dialect
    }

    fn has_lineage(&self, new: &NewPromise) -> bool {
        let separator = self.separator();
        let is_below = |ancestor: &str, separator: &str| {
            new.id == *ancestor || new.id.starts_with(&format!("{ancestor}{separator}"))
        };
        new.tags.iter().all(|(name, value)| match &**name {
            tag::ORIGIN => !value.contains(separator) && is_below(value, separator),
            tag::PREFIX => !value.contains(separator),
            tag::BRANCH | tag::PARENT if separator == ":" && value.contains(':') => is_below(value, "."),
            tag::BRANCH | tag::PARENT => is_below(value, separator),
            _ => true,
        })
    }

    fn is_schedule(&self, new: &NewSchedule) -> bool {
        let target = new.promise_tags.get(tag::TARGET);
        let addressed = match (self.dialect, target) {
            (_, Some(target)) => ADDRESSES.contains(&&**target),
            (dialect, None) => dialect == Dialect::A,
        };
        let dotted = self.dialect == Dialect::B && new.id.contains('.');
        is_id(&new.id) && is_id(&new.promise_id) && addressed && !dotted && interval(&new.cron).is_some()
    }

    fn may_await(&self, id: &str, awaited: &[String]) -> bool {
        let related = awaited.iter().all(|awaited| self.is_kin(id, awaited));
        let twice = awaited.iter().enumerate().any(|(n, awaited_id)| awaited[..n].contains(awaited_id));
        let merged = self.dialect != Dialect::C || !twice;
        !awaited.is_empty() && !awaited.iter().any(|awaited| awaited == id) && related && merged
    }

    /// Whether two ids are of one origin, for all that the dialect knows.
    pub(super) fn is_kin(&self, one: &str, other: &str) -> bool {
        self.dialect == Dialect::A || self.origin(one) == self.origin(other)
    }

    fn have_one_origin(&self, tasks: &[(String, u64)]) -> bool {
        let Some((first, _)) = tasks.first() else { return self.dialect == Dialect::A };
        tasks.iter().all(|(id, _)| self.is_kin(id, first))
    }

    fn origin<'i>(&self, id: &'i str) -> &'i str {
        id.split_once(self.separator()).map_or(id, |(origin, _)| origin)
    }

    /// What parts the ids of a tree.
    pub(super) fn separator(&self) -> &'static str {
        if self.dialect == Dialect::C { ":" } else { "." }
    }

    // What the operations do.

    fn act(&mut self, operation: &Operation) -> Outcome<Reply> {
        match operation {
            Operation::PromiseCreate(new) => Ok(Reply::Promise(self.create(new, None))),
            Operation::PromiseGet { id } => Ok(Reply::Promise(self.known(id)?)),
            Operation::PromiseSettle(settlement) => Ok(Reply::Promise(self.settle(settlement)?)),
            Operation::PromiseSearch { state, tags, page } => Ok(self.search_promises(*state, tags, page)),
            Operation::RegisterCallback { awaited, awaiter } => self.register_callback(awaited, awaiter),
            Operation::RegisterListener { awaited, address } => self.register_listener(awaited, address),
            Operation::TaskCreate { pid, ttl, promise } => self.create_task(pid, *ttl, promise),
            Operation::TaskAcquire { id, version, pid, ttl } => self.acquire(id, *version, pid, *ttl),
            Operation::TaskFence { id, version, action } => self.fence(id, *version, action),
            Operation::TaskSuspend { id, version, awaited } => self.suspend(id, *version, awaited),
            Operation::TaskFulfill { version, settlement } => self.fulfill(*version, settlement),
            Operation::TaskRelease { id, version } => {
                self.held(id, *version)?;
                Ok(self.give_back(id))
            }
            Operation::TaskHeartbeat { pid, tasks } => Ok(self.heartbeat(pid, tasks)),
            Operation::TaskHalt { id } => self.halt(id),
            Operation::TaskContinue { id } => {
                let halted = self.task(id).ok_or(Status::NotFound)?.state == TaskState::Halted;
                if halted { Ok(self.give_back(id)) } else { Err(Status::Conflict) }
            }
            Operation::TaskGet { id } => self.task(id).map(Reply::Task).ok_or(Status::NotFound),
            Operation::TaskSearch { state, page } => Ok(self.search_tasks(*state, page)),
            Operation::ScheduleCreate(new) => Ok(Reply::Schedule(self.create_schedule(new))),
            Operation::ScheduleGet { id } => self.schedule(id).map(Reply::Schedule).ok_or(Status::NotFound),
            Operation::ScheduleDelete { id } => {
                self.schedule(id).ok_or(Status::NotFound)?;
                self.schedules.retain(|schedule| schedule.id != *id);
                Ok(Reply::Done)
            }
            Operation::ScheduleSearch { tags, page } => Ok(self.search_schedules(tags, page)),
            Operation::CancelTree { id } => self.cancel_tree(id),
            Operation::Sweep => Ok(self.sweep()),
        }
    }

    pub(super) fn promise(&self, id: &str) -> Option<Promise> {
        self.promises.iter().find(|promise| promise.id == id).cloned()
    }

    fn known(&self, id: &str) -> Outcome<Promise> {
        self.promise(id).ok_or(Status::NotFound)
    }

    fn create(&mut self, new: &NewPromise, holder: Option<(&str, u64)>) -> Promise {
        if let Some(promise) = self.promise(&new.id) {
            return promise;
        }
        let timeout_at = new.timeout_at.min(NEVER);
        let late = self.now >= timeout_at;
        let mut promise = Promise {
            id: new.id.clone(),
            state: State::Pending,
            param: new.param.clone(),
            value: Value::default(),
            tags: new.tags.clone(),
            timeout_at,
            created_at: if late { timeout_at } else { self.now },
            settled_at: late.then_some(timeout_at),
        };
        if late {
            promise.state = timed_out(&promise);
        }
        self.promises.push(promise.clone());
        if new.tags.contains_key(tag::TARGET) {
            self.create_task_of(new, late, holder);
        }
        promise
    }

    fn create_task_of(&mut self, new: &NewPromise, late: bool, holder: Option<(&str, u64)>) {
        let state = if late { TaskState::Fulfilled } else { TaskState::Pending };
        self.tasks.push(Task { id: new.id.clone(), state, version: 0, resumes: 0, lease: None });
        match holder {
            _ if late => {}
            Some((pid, ttl)) => self.take(&new.id, pid, ttl),
            None => self.announce(&new.id),
        }
    }

    fn settle(&mut self, settlement: &Settlement) -> Outcome<Promise> {
        if self.known(&settlement.id)?.state == State::Pending {
            self.end(&settlement.id, settlement.state, settlement.value.clone(), self.now);
        }
        self.known(&settlement.id)
    }

    /// Settles a pending promise.
    fn end(&mut self, id: &str, state: State, value: Value, at: u64) {
        for promise in self.promises.iter_mut().filter(|promise| promise.id == id) {
            promise.state = state;
            promise.value = value.clone();
            promise.settled_at = Some(at);
            self.events.push(Event::Settled(promise.clone()));
        }
        self.change_task(id, |task| {
            task.state = TaskState::Fulfilled;
            task.lease = None;
        });
        self.callbacks.retain(|callback| callback.awaiter != id);
        let waiting = self.callbacks.iter_mut().filter(|callback| callback.awaited == id && !callback.ready);
        let awaiters = sorted(waiting.map(|callback| {
            callback.ready = true;
            callback.awaiter.clone()
        }));
        awaiters.iter().for_each(|awaiter| self.wake(awaiter));
        let listening = self.listeners.iter().filter(|(awaited, _)| awaited == id);
        for address in sorted(listening.map(|(_, address)| address.clone())) {
            self.events.extend(self.promise(id).map(|promise| Event::Unblock { address, promise }));
        }
        self.listeners.retain(|(awaited, _)| awaited != id);
    }

    /// A suspended task becomes pending.
    fn wake(&mut self, id: &str) {
        if self.task(id).is_some_and(|task| task.state == TaskState::Suspended) {
            self.give_back(id);
        }
    }

    /// Settles a promise whose time is over.
    fn expire(&mut self, id: &str) {
        let Some(promise) = self.promise(id) else { return };
        if promise.state == State::Pending && self.now >= promise.timeout_at {
            self.end(id, timed_out(&promise), Value::default(), promise.timeout_at);
        }
    }

    fn announce(&mut self, id: &str) {
        let (Some(task), Some(promise)) = (self.task(id), self.promise(id)) else { return };
        let target = promise.tags[tag::TARGET].clone();
        self.events.push(Event::Execute { id: task.id, version: task.version, target });
    }

    fn register_callback(&mut self, awaited: &str, awaiter: &str) -> Outcome<Reply> {
        let promise = self.known(awaited)?;
        let task = self.task(awaiter).ok_or(Status::Unprocessable)?;
        self.check_awaitable(&promise)?;
        if task.state != TaskState::Fulfilled {
            let settled = promise.state != State::Pending;
            self.note_callback(awaited, awaiter, settled);
            if settled {
                self.wake(awaiter);
            }
        }
        Ok(Reply::Promise(promise))
    }

    fn note_callback(&mut self, awaited: &str, awaiter: &str, ready: bool) {
        let noted = |callback: &&mut Callback| callback.awaited == awaited && callback.awaiter == awaiter;
        if self.callbacks.iter_mut().find(noted).is_none() {
            self.callbacks.push(Callback { awaited: awaited.to_owned(), awaiter: awaiter.to_owned(), ready });
        }
    }

    fn check_awaitable(&self, promise: &Promise) -> Outcome<()> {
        let is = |name: &str, value: &str| promise.tags.get(name).is_some_and(|found| found == value);
        let awaitable = promise.tags.contains_key(tag::TARGET)
            || is(tag::SCOPE, "global")
            || is(tag::TIMER, "true")
            || is(tag::EXTERNAL, "true");
        if self.dialect != Dialect::C || awaitable { Ok(()) } else { Err(Status::Unprocessable) }
    }

    fn register_listener(&mut self, awaited: &str, address: &str) -> Outcome<Reply> {
        let promise = self.known(awaited)?;
        let listener = (awaited.to_owned(), address.to_owned());
        if promise.state == State::Pending && !self.listeners.contains(&listener) {
            self.listeners.push(listener);
        }
        Ok(Reply::Promise(promise))
    }

    fn change_task(&mut self, id: &str, change: impl FnOnce(&mut Task)) {
        if let Some(task) = self.tasks.iter_mut().find(|task| task.id == id) {
            change(task);
        }
    }

    fn create_schedule(&mut self, new: &NewSchedule) -> Schedule {
        if let Some(schedule) = self.schedule(&new.id) {
            return schedule;
        }
        let schedule = Schedule {
            id: new.id.clone(),
            cron: new.cron.clone(),
            promise_id: new.promise_id.clone(),
            promise_timeout: new.promise_timeout.min(NEVER),
            promise_param: new.promise_param.clone(),
            promise_tags: new.promise_tags.clone(),
            created_at: self.now,
            next_run_at: next_run(&new.cron, self.now),
            last_run_at: None,
        };
        self.schedules.push(schedule.clone());
        schedule
    }

    fn schedule(&self, id: &str) -> Option<Schedule> {
        self.schedules.iter().find(|schedule| schedule.id == id).cloned()
    }

    fn cancel_tree(&mut self, id: &str) -> Outcome<Reply> {
        self.known(id)?;
        let below = format!("{id}.");
        let tree = self.promises.iter().filter(|promise| promise.id == id || promise.id.starts_with(&below));
        for id in sorted(tree.map(|promise| promise.id.clone())) {
            self.expire(&id);
            self.settle(&Settlement { id, state: State::RejectedCanceled, value: Value::default() })?;
        }
        Ok(Reply::Promise(self.known(id)?))
    }

    /// Deadlines first, then leases, then schedules; each in the order of the times, and of the ids.
    fn sweep(&mut self) -> Reply {
        let now = self.now;
        let due = self.promises.iter().filter(|promise| self.fires(promise));
        for (_, id) in until(now, due.map(|promise| (promise.timeout_at, promise.id.clone()))) {
            self.expire(&id);
        }
        let leases = self.tasks.iter().filter_map(|task| Some((task.lease.as_ref()?.expires_at, task.id.clone())));
        for (_, id) in until(now, leases) {
            self.give_back(&id);
        }
        let firings = self.schedules.iter().map(|schedule| (schedule.next_run_at, schedule.id.clone()));
        for (at, id) in until(now, firings) {
            self.fire(at, &id);
        }
        Reply::Done
    }

    /// Whether the deadline of a promise fires by itself.
    fn fires(&self, promise: &Promise) -> bool {
        let swept = self.dialect == Dialect::A || promise.tags.contains_key(tag::TARGET);
        promise.state == State::Pending && swept
    }

    fn fire(&mut self, at: u64, id: &str) {
        let Some(mut schedule) = self.schedule(id) else { return };
        let skips = schedule.promise_tags.get("everstep:missed").is_some_and(|missed| missed == "skip");
        schedule.next_run_at = next_run(&schedule.cron, at);
        if skips && self.now > at + 60_000 {
            // The first time that is no more than a minute ago.
            while schedule.next_run_at + 60_000 < self.now {
                schedule.next_run_at = next_run(&schedule.cron, schedule.next_run_at);
            }
        } else {
            schedule.last_run_at = Some(at);
            self.create(&firing(&schedule, at), None);
        }
        self.schedules.retain(|other| other.id != id);
        self.schedules.push(schedule);
    }

    // What a search finds.

    fn search_promises(&self, state: Option<State>, tags: &BTreeMap<String, String>, page: &Page) -> Reply {
        let found = self.promises.iter().filter(|promise| state.is_none_or(|state| promise.state == state));
        let found = found.filter(|promise| has_all(&promise.tags, tags)).cloned();
        let (promises, cursor) = part(by_id(found, |promise| &promise.id), page, 100, |promise| &promise.id);
        Reply::Promises(promises, cursor)
    }

    fn search_tasks(&self, state: Option<TaskState>, page: &Page) -> Reply {
        let found = self.tasks.iter().filter(|task| state.is_none_or(|state| task.state == state));
        let found = by_id(found.filter_map(|task| self.task(&task.id)), |task| &task.id);
        let (tasks, cursor) = part(found, page, 100, |task| &task.id);
        Reply::Tasks(tasks, cursor)
    }

    fn search_schedules(&self, tags: &BTreeMap<String, String>, page: &Page) -> Reply {
        let found = self.schedules.iter().filter(|schedule| has_all(&schedule.promise_tags, tags)).cloned();
        let (schedules, cursor) = part(by_id(found, |schedule| &schedule.id), page, 10, |schedule| &schedule.id);
        Reply::Schedules(schedules, cursor)
    }
}
