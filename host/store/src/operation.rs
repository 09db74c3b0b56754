//! The operations on the promises, tasks and schedules of a store, and their answers.
//!
//! The operations of the Resonate protocol (version `2026-04-01`), sections 4 to 7, typed; [`Operation::CancelTree`] and
//! [`Operation::Sweep`] are ours: they cancel a call tree as a whole, and apply the passage of time.

use super::record::{NEVER, Promise, PromiseState, Schedule, Tags, Task, TaskState, Value};
use std::collections::BTreeMap;
use std::fmt;

/// One operation on promises, tasks or schedules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Creates a promise, or finds the one with that id.
    PromiseCreate(NewPromise),
    /// Returns a promise.
    PromiseGet {
        /// Its id.
        id: String,
    },
    /// Settles a promise if it is pending; returns the stored promise.
    PromiseSettle(Settlement),
    /// Returns promises in the order of their ids.
    PromiseSearch {
        /// Only those in this state.
        state: Option<PromiseState>,
        /// Only those with all these tags.
        tags: BTreeMap<String, String>,
        /// The requested part of the result.
        page: Page,
    },
    /// Resumes the task of `awaiter` once `awaited` settles.
    RegisterCallback {
        /// The awaited promise.
        awaited: String,
        /// The promise whose task waits.
        awaiter: String,
    },
    /// Sends a message to an address once a promise settles.
    RegisterListener {
        /// The awaited promise.
        awaited: String,
        /// The address.
        address: String,
    },
    /// Creates a promise with a task and acquires it, or acquires the pending task of the one with that id.
    TaskCreate {
        /// The process that works on it.
        pid: String,
        /// The lease, in milliseconds.
        ttl: u64,
        /// The promise.
        promise: NewPromise,
    },
    /// Claims a pending task.
    TaskAcquire {
        /// The task.
        id: String,
        /// The version that the caller knows.
        version: u64,
        /// The process that works on it.
        pid: String,
        /// The lease, in milliseconds.
        ttl: u64,
    },
    /// Creates or settles a promise if the caller holds the task.
    TaskFence {
        /// The task.
        id: String,
        /// The version that the caller holds.
        version: u64,
        /// The action.
        action: FenceAction,
    },
    /// Suspends a task until one of some promises settles.
    TaskSuspend {
        /// The task.
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
    /// Releases a task, for another process to acquire.
    TaskRelease {
        /// The task.
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
        /// The task.
        id: String,
    },
    /// Makes a halted task pending.
    TaskContinue {
        /// The task.
        id: String,
    },
    /// Returns a task.
    TaskGet {
        /// Its id.
        id: String,
    },
    /// Returns tasks in the order of their ids.
    TaskSearch {
        /// Only those in this state.
        state: Option<TaskState>,
        /// The requested part of the result.
        page: Page,
    },
    /// Creates a schedule, or finds the one with that id.
    ScheduleCreate(NewSchedule),
    /// Returns a schedule.
    ScheduleGet {
        /// Its id.
        id: String,
    },
    /// Removes a schedule; the promises that it has created stay.
    ScheduleDelete {
        /// Its id.
        id: String,
    },
    /// Returns schedules in the order of their ids.
    ScheduleSearch {
        /// Only those with all these tags.
        tags: BTreeMap<String, String>,
        /// The requested part of the result.
        page: Page,
    },
    /// Cancels a pending promise and every pending one whose id begins with its id and a dot.
    CancelTree {
        /// The root.
        id: String,
    },
    /// Applies what is due: deadlines, leases and schedules. Each schedule fires once, so that missed firings are caught up one by
    /// one.
    Sweep,
}

/// A promise to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPromise {
    /// Its id: not empty, no NUL.
    pub id: String,
    /// Its deadline.
    pub timeout_at: u64,
    /// Its parameter.
    pub param: Value,
    /// Its tags.
    pub tags: Tags,
}

/// A promise and its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The promise.
    pub id: String,
    /// `Resolved`, `Rejected` or `RejectedCanceled`.
    pub state: PromiseState,
    /// The value or the error.
    pub value: Value,
}

/// The action that a fence protects.
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
    /// The cron expression.
    pub cron: String,
    /// The id of a created promise.
    pub promise_id: String,
    /// How long a created promise may stay pending, in milliseconds.
    pub promise_timeout: u64,
    /// The parameter of a created promise.
    pub promise_param: Value,
    /// The tags of a created promise.
    pub promise_tags: BTreeMap<String, String>,
}

/// A list of an answer ends with the entry that makes it this large, in bytes of memory.
///
/// A search continues after its cursor. The promises that the holder of a task gets with it are a cache: it reads by id those that were left
/// out.
pub const LIST_BYTES: usize = 8 << 20;

/// A part of the result of a search; it has fewer entries than its limit if they reach [`LIST_BYTES`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The largest number of entries, from 1 to 1,000; `None`: 100, for schedules 10.
    pub limit: Option<u64>,
    /// The last id of the previous part.
    pub cursor: Option<String>,
}

/// The answer of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done, with nothing to return.
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
        /// The promises of its branch, without its own; only the first of them if they reach [`LIST_BYTES`].
        preload: Vec<Promise>,
    },
    /// The answer of the action that a fence protected, and the promises of the task's branch.
    Fenced {
        /// The answer.
        answer: Box<Answer>,
        /// The promises of the task's branch, as in `Claimed`.
        preload: Vec<Promise>,
    },
    /// The caller still holds the task, because one of the promises has settled. With the promises of its branch, as in `Claimed`.
    GoOn(Vec<Promise>),
    /// A schedule.
    Schedule(Schedule),
    /// Schedules, and the cursor if there are more.
    Schedules(Vec<Schedule>, Option<String>),
}

/// The reason that a store refused an operation; nothing has changed except deadlines that had passed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// The class.
    pub status: Status,
    /// The reason.
    pub reason: String,
}

/// The classes of refusal, by their number in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// 400: the request is malformed.
    Invalid,
    /// 404: there is no such promise, task or schedule.
    NotFound,
    /// 409: another caller was first.
    Conflict,
    /// 422: the two promises do not go together.
    Unprocessable,
}

/// The result of an operation.
pub type Answer = Result<Reply, Refusal>;

/// An effect of an operation beside its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A pending promise was settled, by a caller or by its deadline.
    Settled(Promise),
    /// A task may be acquired.
    Execute {
        /// The task.
        id: String,
        /// Its version.
        version: u64,
        /// The address of the group that may acquire it.
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
    /// Server 0.9.8: ids are free, and every deadline fires by itself.
    #[default]
    A,
    /// Its development version of June 2026: `.` ends the origin of an id, and only deadlines of promises with a target fire by
    /// themselves.
    B,
    /// The server from August 2026 on: `:` ends the origin, and a promise that nothing can settle cannot be awaited.
    C,
}

impl Dialect {
    /// Whether deadlines of promises without a target fire by themselves.
    pub(super) fn fires_all(self) -> bool {
        self == Self::A
    }
}

impl Operation {
    /// The earliest time at which the operation, done at `now`, may make something due in the store, in milliseconds since the
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
