//! Promises, tasks and schedules, as a store keeps them.
//!
//! The records of the Resonate protocol (version `2026-04-01`), section 3, with text where the wire has base64. All times are
//! milliseconds since the Unix epoch, all durations milliseconds.

use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::str::FromStr;
use std::sync::Arc;

/// The deadline of a promise without one: the latest that every store can keep.
pub const NEVER: u64 = i64::MAX as u64;

/// Names of tags that mean something to a store.
pub mod tag {
    /// The address of the worker group that may run the promise; gives it a task.
    pub const TARGET: &str = "resonate:target";
    /// `global`: the promise may be awaited by others than the task that made it.
    pub const SCOPE: &str = "resonate:scope";
    /// `true`: the deadline resolves the promise instead of rejecting it.
    pub const TIMER: &str = "resonate:timer";
    /// The root of the call tree.
    pub const ORIGIN: &str = "resonate:origin";
    /// Groups the promises that a task gets to see with its own.
    pub const BRANCH: &str = "resonate:branch";
    /// The execution that made the promise.
    pub const PARENT: &str = "resonate:parent";
    /// The prefix of detached promises.
    pub const PREFIX: &str = "resonate:prefix";
    /// `true`: the promise is settled from outside.
    pub const EXTERNAL: &str = "resonate:external";
    /// The time before which the task should not be offered; checked in dialects B and C, but not acted upon.
    pub const DELAY: &str = "resonate:delay";
    /// The schedule that made the promise.
    pub const SCHEDULE: &str = "resonate:schedule";
}

/// An entry of a list that an answer has.
pub(super) trait Entry {
    /// Its id, in whose order the list is.
    fn id(&self) -> &str;
    /// About how much memory it takes, in bytes.
    fn bytes(&self) -> usize;
}

/// The parameter or the value of a promise. A store never looks inside `data`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Value {
    /// Anything beside the data, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The data, usually a JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

/// The tags of a promise: names and texts. All copies of a promise share them, since they do not change with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Tags(Arc<BTreeMap<String, String>>);

impl Deref for Tags {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Tags {
    fn deref_mut(&mut self) -> &mut Self::Target {
        Arc::make_mut(&mut self.0)
    }
}

impl From<BTreeMap<String, String>> for Tags {
    fn from(tags: BTreeMap<String, String>) -> Self {
        Self(Arc::new(tags))
    }
}

impl<const N: usize> From<[(String, String); N]> for Tags {
    fn from(tags: [(String, String); N]) -> Self {
        BTreeMap::from(tags).into()
    }
}

impl From<Tags> for BTreeMap<String, String> {
    fn from(tags: Tags) -> Self {
        Arc::unwrap_or_clone(tags.0)
    }
}

/// A durable promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    /// Its id, chosen by its creator.
    pub id: String,
    /// Whether and how it is settled.
    pub state: PromiseState,
    /// Its parameter.
    pub param: Value,
    /// Its outcome.
    pub value: Value,
    /// Names and texts; a store knows those of [`tag`].
    pub tags: Tags,
    /// Its deadline.
    pub timeout_at: u64,
    /// When it was created.
    pub created_at: u64,
    /// When it was settled; `None` while it is pending.
    pub settled_at: Option<u64>,
}

/// The states of a promise; all but the first are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromiseState {
    /// It is not settled.
    Pending,
    /// It has a value.
    Resolved,
    /// It has an error.
    Rejected,
    /// It was canceled.
    RejectedCanceled,
    /// Its deadline passed first.
    RejectedTimedout,
}

/// A claim on the work for a promise with a target; it has the promise's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The id of its promise.
    pub id: String,
    /// Its state.
    pub state: TaskState,
    /// How often it was acquired; a holder of an older version is refused.
    pub version: u64,
    /// Awaited promises that settled since it was last acquired.
    pub resumes: u64,
    /// The lease, while it is acquired.
    pub lease: Option<Lease>,
}

/// The process that works on a task, and until when unless it renews the lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The process.
    pub pid: String,
    /// How long it lasts from the last heartbeat, in milliseconds.
    pub ttl: u64,
    /// When it ends.
    pub expires_at: u64,
}

/// The states of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    /// It may be acquired.
    Pending,
    /// A process works on it.
    Acquired,
    /// It waits for promises.
    Suspended,
    /// An operator parked it.
    Halted,
    /// Its promise is settled. Final.
    Fulfilled,
}

/// Creates promises at the times of a cron expression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its id.
    pub id: String,
    /// When: five fields, or six or seven with leading seconds, in UTC.
    pub cron: String,
    /// The id of a created promise: `{{.id}}` is the schedule's id, `{{.timestamp}}` the time of the firing.
    pub promise_id: String,
    /// How long a created promise may stay pending.
    pub promise_timeout: u64,
    /// The parameter of a created promise.
    pub promise_param: Value,
    /// The tags of a created promise.
    pub promise_tags: BTreeMap<String, String>,
    /// When the schedule was created.
    pub created_at: u64,
    /// When it fires next.
    pub next_run_at: u64,
    /// When it fired last.
    pub last_run_at: Option<u64>,
}

impl Promise {
    /// Whether its deadline has settled it at `now`.
    pub fn is_due(&self, now: u64) -> bool {
        self.state == PromiseState::Pending && now >= self.timeout_at
    }

    /// Whether its deadline resolves it.
    pub fn is_timer(&self) -> bool {
        self.tags.get(tag::TIMER).is_some_and(|timer| timer == "true")
    }

    /// Whether it stands for an execution: on some servers, timers and questions have a target, too.
    pub fn is_call(&self) -> bool {
        self.target().is_some() && !self.is_timer() && !self.tags.contains_key(tag::EXTERNAL)
    }

    /// The state that its deadline puts it into.
    pub fn expired(&self) -> PromiseState {
        if self.is_timer() { PromiseState::Resolved } else { PromiseState::RejectedTimedout }
    }

    /// The address of the group that may run it.
    pub fn target(&self) -> Option<&str> {
        self.tags.get(tag::TARGET).map(String::as_str)
    }
}

impl Schedule {
    /// The tag of a schedule that skips firings which come more than a minute late.
    pub fn skipping() -> (String, String) {
        ("everstep:missed".to_owned(), "skip".to_owned())
    }

    /// Whether firings that come more than a minute late are skipped; otherwise they are made up for.
    pub fn skips_missed(&self) -> bool {
        let (name, value) = Self::skipping();
        self.promise_tags.get(&name) == Some(&value)
    }
}

impl Entry for Promise {
    fn id(&self) -> &str {
        &self.id
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.id.len() + self.param.bytes() + self.value.bytes() + texts(&self.tags)
    }
}

impl Entry for Task {
    fn id(&self) -> &str {
        &self.id
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.id.len() + self.lease.as_ref().map_or(0, |lease| lease.pid.len())
    }
}

impl Entry for Schedule {
    fn id(&self) -> &str {
        &self.id
    }

    fn bytes(&self) -> usize {
        let names = self.id.len() + self.cron.len() + self.promise_id.len();
        size_of::<Self>() + names + self.promise_param.bytes() + texts(&self.promise_tags)
    }
}

impl Value {
    fn bytes(&self) -> usize {
        texts(&self.headers) + self.data.as_ref().map_or(0, String::len)
    }
}

/// Many short texts take more memory than their bytes.
fn texts(texts: &BTreeMap<String, String>) -> usize {
    texts.iter().map(|(name, text)| size_of::<(String, String)>() + name.len() + text.len()).sum()
}

impl PromiseState {
    /// The name that is stored and sent.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Resolved => "resolved",
            Self::Rejected => "rejected",
            Self::RejectedCanceled => "rejected_canceled",
            Self::RejectedTimedout => "rejected_timedout",
        }
    }
}

impl TaskState {
    /// The name that is stored and sent.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Acquired => "acquired",
            Self::Suspended => "suspended",
            Self::Halted => "halted",
            Self::Fulfilled => "fulfilled",
        }
    }
}

macro_rules! read_by_name {
    ($($state:ty),*) => {$(
        impl FromStr for $state {
            type Err = serde::de::value::Error;
            fn from_str(name: &str) -> Result<Self, Self::Err> {
                Self::deserialize(name.into_deserializer())
            }
        }
    )*};
}
read_by_name!(PromiseState, TaskState);
