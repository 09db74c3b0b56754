//! What can be asked of the promises, tasks and schedules of a store, and what it answers.
//!
//! The operations of the Resonate protocol (version `2026-04-01`), sections 4 to 7, typed; [`Operation::CancelTree`] and
//! [`Operation::Sweep`] are ours: a call tree that ends as a whole, and what the passage of time does.

use super::record::{NEVER, Promise, PromiseState, Schedule, Task, TaskState, Value};
use std::collections::BTreeMap;
use std::fmt;

/// One operation on promises, tasks or schedules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Creates a promise, or finds the one with that id.
    PromiseCreate(NewPromise),
    /// One promise.
    PromiseGet {
        /// Which.
        id: String,
    },
    /// Settles a promise unless it is settled; answers with what is stored then.
    PromiseSettle(Settlement),
    /// Promises in the order of their ids.
    PromiseSearch {
        /// Only those in this state.
        state: Option<PromiseState>,
        /// Only those with all these tags.
        tags: BTreeMap<String, String>,
        /// Which part of the result.
        page: Page,
    },
    /// Has the task of `awaiter` resumed once `awaited` settles.
    RegisterCallback {
        /// The promise that is waited for.
        awaited: String,
        /// The promise whose task waits.
        awaiter: String,
    },
    /// Has a message sent to an address once a promise settles.
    RegisterListener {
        /// The promise that is waited for.
        awaited: String,
        /// Where the message goes.
        address: String,
    },
    /// Creates a promise with a task and acquires it, or acquires the pending task of the one with that id.
    TaskCreate {
        /// Who works on it.
        pid: String,
        /// The lease, in milliseconds.
        ttl: u64,
        /// The promise.
        promise: NewPromise,
    },
    /// Claims a pending task.
    TaskAcquire {
        /// Which.
        id: String,
        /// The version that the caller knows.
        version: u64,
        /// Who works on it.
        pid: String,
        /// The lease, in milliseconds.
        ttl: u64,
    },
    /// Creates or settles a promise if the caller holds the task.
    TaskFence {
        /// Which task.
        id: String,
        /// The version that the caller holds.
        version: u64,
        /// What to do.
        action: FenceAction,
    },
    /// Gives a task up until one of some promises settles.
    TaskSuspend {
        /// Which.
        id: String,
        /// The version that the caller holds.
        version: u64,
        /// The promises.
        awaited: Vec<String>,
    },
    /// Ends a task by settling its promise.
    TaskFulfill {
        /// The version that the caller holds.
        version: u64,
        /// The promise and its outcome.
        settlement: Settlement,
    },
    /// Gives a task back, for somebody else to acquire.
    TaskRelease {
        /// Which.
        id: String,
        /// The version that the caller holds.
        version: u64,
    },
    /// Extends the leases of a process.
    TaskHeartbeat {
        /// The process.
        pid: String,
        /// Ids and versions.
        tasks: Vec<(String, u64)>,
    },
    /// Parks a task that is not fulfilled.
    TaskHalt {
        /// Which.
        id: String,
    },
    /// Makes a halted task pending.
    TaskContinue {
        /// Which.
        id: String,
    },
    /// One task.
    TaskGet {
        /// Which.
        id: String,
    },
    /// Tasks in the order of their ids.
    TaskSearch {
        /// Only those in this state.
        state: Option<TaskState>,
        /// Which part of the result.
        page: Page,
    },
    /// Creates a schedule, or finds the one with that id.
    ScheduleCreate(NewSchedule),
    /// One schedule.
    ScheduleGet {
        /// Which.
        id: String,
    },
    /// Removes a schedule; what it has created stays.
    ScheduleDelete {
        /// Which.
        id: String,
    },
    /// Schedules in the order of their ids.
    ScheduleSearch {
        /// Only those with all these tags.
        tags: BTreeMap<String, String>,
        /// Which part of the result.
        page: Page,
    },
    /// Cancels a pending promise and every pending one whose id begins with its id and a dot.
    CancelTree {
        /// The root.
        id: String,
    },
    /// Lets pass what is due: deadlines, leases and schedules. One firing per schedule, so that those that were missed are caught up
    /// one by one.
    Sweep,
}

/// A promise to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPromise {
    /// Its id: not empty, no NUL.
    pub id: String,
    /// Its deadline.
    pub timeout_at: u64,
    /// What it carries.
    pub param: Value,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A promise and how it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The promise.
    pub id: String,
    /// `Resolved`, `Rejected` or `RejectedCanceled`.
    pub state: PromiseState,
    /// The value or the error.
    pub value: Value,
}

/// What a fence protects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FenceAction {
    /// Creates a promise.
    Create(NewPromise),
    /// Settles a promise.
    Settle(Settlement),
}

/// A schedule to be created; see [`Schedule`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSchedule {
    /// Its id.
    pub id: String,
    /// When.
    pub cron: String,
    /// The id of a created promise.
    pub promise_id: String,
    /// How long a created promise may stay pending, in milliseconds.
    pub promise_timeout: u64,
    /// What it is created with.
    pub promise_param: Value,
    /// Its tags.
    pub promise_tags: BTreeMap<String, String>,
}

/// A part of what a search finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// At most so many, from 1 to 1,000; none: 100, for schedules 10.
    pub limit: Option<u64>,
    /// The last id of the part before.
    pub cursor: Option<String>,
}

/// What a store answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done, and nothing to tell.
    Done,
    /// A promise.
    Promise(Promise),
    /// Promises, and the cursor if there are more.
    Promises(Vec<Promise>, Option<String>),
    /// A task.
    Task(Task),
    /// Tasks, and the cursor if there are more.
    Tasks(Vec<Task>, Option<String>),
    /// A task that the caller may work on, or that is fulfilled; its promise, and the promises of its branch.
    Claimed {
        /// The task.
        task: Task,
        /// Its promise.
        promise: Promise,
        /// The promises of its branch, but for its own.
        preload: Vec<Promise>,
    },
    /// The answer of what a fence protected, and the promises of the task's branch.
    Fenced {
        /// The answer.
        answer: Box<Answer>,
        /// The promises of the task's branch, but for its own.
        preload: Vec<Promise>,
    },
    /// The caller holds the task still: one of the promises is settled. With the promises of its branch.
    GoOn(Vec<Promise>),
    /// A schedule.
    Schedule(Schedule),
    /// Schedules, and the cursor if there are more.
    Schedules(Vec<Schedule>, Option<String>),
}

/// Why a store did not do it; nothing was changed but by deadlines that had passed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// The class.
    pub status: Status,
    /// What is wrong.
    pub reason: String,
}

/// The classes of refusal, by their number in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// 400: the request is malformed.
    Invalid,
    /// 404: there is no such promise, task or schedule.
    NotFound,
    /// 409: somebody else was first.
    Conflict,
    /// 422: these two do not go together.
    Unprocessable,
}

/// What comes of an operation.
pub type Answer = Result<Reply, Refusal>;

/// What happened beside the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A pending promise was settled, by whomever or by its deadline.
    Settled(Promise),
    /// A task may be acquired.
    Execute {
        /// The task.
        id: String,
        /// Its version.
        version: u64,
        /// The address of the group that may.
        target: String,
    },
    /// A promise that an address listens to was settled.
    Unblock {
        /// The address.
        address: String,
        /// The promise.
        promise: Promise,
    },
}

/// The rules in which servers of the same protocol version differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Of server 0.9.8: ids are free, every deadline fires by itself.
    #[default]
    A,
    /// Of its development in June 2026: `.` ends the origin of an id, only deadlines of promises with a target fire by themselves.
    B,
    /// Of the server from August 2026 on: `:` ends the origin, and what nobody can settle cannot be awaited.
    C,
}

impl Dialect {
    /// Whether deadlines of promises without a target fire by themselves.
    pub(super) fn fires_all(self) -> bool {
        self == Self::A
    }
}

impl Operation {
    /// The earliest moment at which the operation, done at `now`, may give the store something to do, in milliseconds since the
    /// Unix epoch.
    pub fn due(&self, now: u64) -> Option<u64> {
        let at = match self {
            Self::PromiseCreate(new) | Self::TaskFence { action: FenceAction::Create(new), .. } => new.timeout_at,
            Self::TaskCreate { ttl, promise, .. } => promise.timeout_at.min(now.saturating_add(*ttl)),
            Self::TaskAcquire { ttl, .. } => now.saturating_add(*ttl),
            Self::ScheduleCreate(_) => now,
            _ => NEVER,
        };
        (at < NEVER).then_some(at)
    }
}

impl Refusal {
    pub(super) fn new(status: Status, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }
}

impl Status {
    /// The number in the protocol.
    pub fn number(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::Unprocessable => 422,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}
