//! The encoding of this host's promises: calls of functions, and questions that are answered from outside.

#[cfg(test)]
mod tests;

use super::record::{NEVER, Promise, PromiseState, Task, TaskState, Value, tag};
use super::{Error, Execution, ExecutionKey, Failure, FailureKind, Progress, State};
use everstep_words::guest_error::{ErrorCode, GuestError};
use everstep_words::id::{Digest, ExecutionId, PromiseId};
use everstep_words::trace::TraceContext;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The component that a function is called in.
const COMPONENT: &str = "everstep:component";
/// `true`: workers of a server run the execution, and no host of the tables that hold its promise.
const BY_WORKERS: &str = "everstep:by-workers";
/// The policy that a function is called under.
const POLICY: &str = "everstep:policy";
/// The kind of question that a promise is.
const KIND: &str = "everstep:kind";
/// The subject of the question.
const SUBJECT: &str = "everstep:subject";
/// The JSON Schema of the answer.
const SCHEMA: &str = "everstep:schema";
/// The root of the lineage of a detached execution, of what it calls, and of their questions.
const LINEAGE: &str = "everstep:lineage";
/// How many calls such an execution is away from the root.
const DEPTH: &str = "everstep:depth";
/// The code of an error, in addition to the shape that workers in other languages know.
const CODE: &str = "everstep:code";
/// `one`: the list of arguments, which workers in other languages need, holds the only argument, or none for null.
const ARGS: &str = "everstep:args";

/// A call of a durable function, as the promise of an execution carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The durable function.
    pub function: String,
    /// Its arguments, a JSON text.
    pub args: String,
    /// The component that exports the function.
    pub component: Digest,
    /// The policy that it runs under.
    pub policy: Digest,
    /// The place in a trace that it was called from.
    pub trace: Option<TraceContext>,
}

/// The place of an execution in its lineage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kinship {
    /// The execution that the lineage starts from.
    pub root: ExecutionId,
    /// The number of calls between the root and this execution.
    pub depth: u64,
    /// Whether it was detached, or descends from one that was, so that its id does not name the root.
    pub is_detached: bool,
}

/// The shape of a parameter that workers in every language write and read. Most of them write and need a list of arguments; that of the SDK
/// for Rust writes the only argument as it is.
#[derive(Serialize, Deserialize)]
struct Parameter<'a> {
    func: String,
    #[serde(borrow)]
    args: &'a RawValue,
    /// Arguments by name, of calls from Python.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    kwargs: Option<BTreeMap<String, &'a RawValue>>,
    #[serde(default)]
    version: u32,
}

impl<'a> Parameter<'a> {
    fn of(value: &'a Value) -> Option<Self> {
        serde_json::from_str(value.data.as_deref()?).ok()
    }

    /// The arguments as one JSON text: a list of one argument is that argument, an empty one is null. Arguments by name are an object
    /// behind the others.
    fn unlisted(&self) -> Cow<'a, str> {
        let Some(named) = self.kwargs.as_ref().filter(|named| !named.is_empty()) else {
            return Cow::Borrowed(self.unlisted_by_place());
        };
        let mut args = serde_json::from_str(self.args.get()).unwrap_or_else(|_| match self.args.get() {
            "null" => Vec::new(),
            _ => vec![self.args],
        });
        // Texts that were JSON before serialise, here and below.
        let named = serde_json::value::to_raw_value(named).unwrap_or_default();
        args.push(&*named);
        Cow::Owned(match args.as_slice() {
            [only] => only.get().to_owned(),
            all => serde_json::to_string(all).unwrap_or_default(),
        })
    }

    fn unlisted_by_place(&self) -> &'a str {
        match serde_json::from_str::<Vec<&RawValue>>(self.args.get()).as_deref() {
            Ok([]) => "null",
            Ok([argument]) => argument.get(),
            Ok(_) | Err(_) => self.args.get(),
        }
    }
}

/// The shape of an error that workers in every language write and read.
#[derive(Serialize, Deserialize)]
struct ErrorValue {
    __type: String,
    message: String,
}

/// The kinds of promises that are settled from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PromiseKind {
    /// A prompt, for a person.
    Input,
    /// A promise that the guest made and handed out.
    Promise,
    /// A request to a capability that a client serves.
    Request,
    /// A call that a person has to approve.
    Approval,
}

/// A question that is answered from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Who may answer it, and how it is shown.
    pub kind: PromiseKind,
    /// The prompt, or the capability.
    pub subject: String,
    /// The JSON text that is shown with it.
    pub data: Option<String>,
    /// The JSON Schema that the answer must fit.
    pub schema: Option<String>,
}

/// A pending promise that may be settled from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingPromise {
    /// Its durable id.
    pub id: PromiseId,
    /// Who may answer it, and how it is shown.
    pub kind: PromiseKind,
    /// The prompt, the data, or the capability.
    pub subject: String,
    /// The JSON text that is shown with it.
    pub data: Option<String>,
    /// The JSON Schema that a value must fit.
    pub schema: Option<String>,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When it is rejected as timed out, in milliseconds since the Unix epoch.
    pub deadline_ms: Option<u64>,
}

impl PromiseKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Input, Self::Promise, Self::Request, Self::Approval];

    /// Its name, as tags, scripts and people have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Promise => "promise",
            Self::Request => "request",
            Self::Approval => "approval",
        }
    }
}

impl fmt::Display for PromiseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for PromiseKind {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(())
    }
}

impl Invocation {
    /// The parameter of a promise that calls the function. Its arguments are a list: a text that is another value is the only argument, and
    /// null is none.
    pub fn param(&self) -> Value {
        let args = self.args.trim_ascii();
        let (listed, is_one) = match args {
            "null" => ("[]".to_owned(), true),
            list if list.starts_with('[') => (list.to_owned(), false),
            one => (format!("[{one}]"), true),
        };
        let data = match serde_json::from_str::<&RawValue>(&listed) {
            Ok(args) => {
                serde_json::to_string(&Parameter { func: self.function.clone(), args, kwargs: None, version: 1 }).ok()
            }
            Err(_) => None,
        };
        let is_one = is_one.then(|| (ARGS.to_owned(), "one".to_owned()));
        let headers = self.trace.iter().flat_map(TraceContext::headers).chain(is_one).collect();
        Value { headers, data }
    }

    /// The tags of such a promise, for the workers of the group at `target`.
    pub fn tags(&self, target: &str) -> BTreeMap<String, String> {
        let tags = [
            (tag::TARGET, target.to_owned()),
            (tag::SCOPE, "global".to_owned()),
            (COMPONENT, self.component.to_string()),
            (POLICY, self.policy.to_string()),
        ];
        tags.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The tag of executions that the workers of a server run.
    pub fn by_workers() -> (String, String) {
        (BY_WORKERS.to_owned(), "true".to_owned())
    }

    /// Whether a promise is an execution that a host of its tables runs itself.
    pub fn is_for_hosts(promise: &Promise) -> bool {
        !promise.tags.contains_key(BY_WORKERS) && Self::of(promise).is_some()
    }

    /// The call that a promise carries; `None` if it is not a call that this host understands.
    pub fn of(promise: &Promise) -> Option<Self> {
        Self::of_parts(&promise.param, &promise.tags)
    }

    /// The function and the arguments of a call that a client in any language has made: an array of one argument is that argument, an empty
    /// one is null, and arguments by name are an object behind the others.
    pub fn called_by_others(promise: &Promise) -> Option<(String, String)> {
        let parameter = Parameter::of(&promise.param)?;
        let args = parameter.unlisted().into_owned();
        Some((parameter.func, args))
    }

    /// The same, from the parts of a promise.
    pub fn of_parts(param: &Value, tags: &BTreeMap<String, String>) -> Option<Self> {
        let digest = |name: &str| tags.get(name)?.parse().ok();
        let parameter = Parameter::of(param)?;
        let (component, policy, trace) =
            (digest(COMPONENT)?, digest(POLICY)?, TraceContext::of_headers(&param.headers));
        let has_names = parameter.kwargs.as_ref().is_some_and(|named| !named.is_empty());
        let args = match param.headers.contains_key(ARGS) || has_names {
            true => parameter.unlisted().into_owned(),
            false => parameter.args.get().to_owned(),
        };
        Some(Self { function: parameter.func, args, component, policy, trace })
    }
}

impl Kinship {
    /// The place of the execution with that id, whose promise has these tags.
    pub fn of(id: &ExecutionId, tags: &BTreeMap<String, String>) -> Self {
        let depth = tags.get(DEPTH).and_then(|depth| depth.parse().ok());
        match (tags.get(LINEAGE).and_then(|root| root.parse().ok()), depth) {
            (Some(root), Some(depth)) => Self { root, depth, is_detached: true },
            _ => {
                let mut root = id.clone();
                let mut depth = 0;
                while let Some(parent) = root.parent() {
                    (root, depth) = (parent.execution, depth + 1);
                }
                Self { root, depth, is_detached: false }
            }
        }
    }

    /// The place of an execution that this one calls or detaches.
    #[must_use]
    pub fn below(&self) -> Self {
        Self { depth: self.depth.saturating_add(1), ..self.clone() }
    }

    /// The tags of a promise in this place, for one whose id does not name it.
    pub fn tags(&self) -> [(String, String); 2] {
        [(LINEAGE, self.root.to_string()), (DEPTH, self.depth.to_string())]
            .map(|(name, value)| (name.to_owned(), value))
    }

    /// The ranges of ids that contain a lineage: the children of the root, and detached executions, whose tags distinguish them from
    /// others in the range.
    pub(super) fn ranges(root: &ExecutionId) -> [(String, String); 2] {
        let root = root.as_str();
        let cut = &root[..root.len().min(ExecutionId::LONGEST - DETACHED)];
        [(format!("{root}."), format!("{root}/")), (format!("{cut}:"), format!("{cut};"))]
    }
}

/// The bytes that the id of a detached execution adds to the root's id, which may be cut.
pub const DETACHED: usize = 18;

impl Asked {
    /// The parameter of a promise that asks the question.
    pub fn param(&self) -> Value {
        let headers = [(SUBJECT, Some(&self.subject)), (SCHEMA, self.schema.as_ref())];
        let headers = headers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.clone())));
        Value { headers: headers.collect(), data: self.data.clone() }
    }

    /// The tags of such a promise.
    pub fn tags(&self) -> BTreeMap<String, String> {
        [(KIND, self.kind.name()), (tag::EXTERNAL, "true")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }
}

impl PendingPromise {
    /// Whether a promise is a question that is answered from outside.
    pub(super) fn is_asked(promise: &Promise) -> bool {
        promise.tags.contains_key(KIND)
    }

    /// The question of a promise; `None` if it is not one that is answered from outside.
    pub fn of(promise: &Promise) -> Option<Self> {
        let Promise { id, param, tags, timeout_at, created_at, .. } = promise;
        let header = |name: &str| param.headers.get(name).cloned();
        Some(Self {
            id: id.parse().ok()?,
            kind: tags.get(KIND)?.parse().ok()?,
            subject: header(SUBJECT).unwrap_or_default(),
            data: param.data.clone(),
            schema: header(SCHEMA),
            created_ms: *created_at,
            deadline_ms: finite(*timeout_at),
        })
    }
}

/// The state and value of a promise with this outcome.
pub fn value_of(outcome: &Result<String, GuestError>) -> (PromiseState, Value) {
    match outcome {
        Ok(json) => (PromiseState::Resolved, Value { headers: BTreeMap::new(), data: Some(json.clone()) }),
        Err(error) => {
            let value = ErrorValue { __type: "error".to_owned(), message: error.message.clone() };
            let headers = BTreeMap::from([(CODE.to_owned(), error.code.name().to_owned())]);
            (PromiseState::Rejected, Value { headers, data: serde_json::to_string(&value).ok() })
        }
    }
}

/// The outcome of a promise, as a guest sees it; `None` while it is pending.
pub fn outcome_of(promise: &Promise) -> Option<Result<String, GuestError>> {
    Some(match promise.state {
        PromiseState::Pending => return None,
        PromiseState::Resolved => Ok(json_of(&promise.value).to_owned()),
        PromiseState::Rejected => Err(error_of(&promise.value)),
        PromiseState::RejectedCanceled => Err(GuestError::new(ErrorCode::Canceled, "the promise was canceled")),
        PromiseState::RejectedTimedout => {
            Err(GuestError::new(ErrorCode::TimedOut, "the deadline passed before anybody settled the promise"))
        }
    })
}

/// The JSON text of a value; workers in other languages leave null away, or empty.
fn json_of(value: &Value) -> &str {
    value.data.as_deref().filter(|data| !data.is_empty()).unwrap_or("null")
}

/// The error of a promise that was rejected: in the shape that workers in every language write, or any other value.
fn error_of(value: &Value) -> GuestError {
    let message = match json_of(value) {
        "null" => "the promise was rejected without a reason".to_owned(),
        data => serde_json::from_str(data)
            .map(|ErrorValue { message, .. }| message)
            .or_else(|_| serde_json::from_str(data))
            .unwrap_or_else(|_| data.to_owned()),
    };
    let code = value.headers.get(CODE).and_then(|code| code.parse().ok());
    GuestError::new(code.unwrap_or(ErrorCode::Failed), message)
}

/// What is kept of an execution beside its promise.
pub struct Beside {
    /// The store's name for it.
    pub key: ExecutionKey,
    /// The component that continues it.
    pub component: Digest,
    /// The policy that it is bound to.
    pub policy: Digest,
    /// The seed of its random numbers.
    pub seed: [u8; 32],
    /// Its progress.
    pub progress: Progress,
}

/// The execution of a promise with a task; `None` if it is not one of this host.
///
/// # Errors
/// What is kept does not fit together.
pub fn execution(promise: &Promise, task: &Task, beside: Option<Beside>) -> Result<Option<Execution>, Error> {
    Invocation::of(promise).map_or(Ok(None), |invocation| execution_of(invocation, promise, task, beside))
}

/// The same of a call that is known.
///
/// # Errors
/// What is kept does not fit together.
pub fn execution_of(
    invocation: Invocation,
    promise: &Promise,
    task: &Task,
    beside: Option<Beside>,
) -> Result<Option<Execution>, Error> {
    let Ok(id) = promise.id.parse::<ExecutionId>() else { return Ok(None) };
    let updated_ms = promise.settled_at.unwrap_or(promise.created_at);
    let beside = beside.map(|beside| (Some(beside.key), beside));
    let (key, component, policy, seed, mut progress) = match beside {
        Some((key, beside)) => (key, beside.component, beside.policy, beside.seed, beside.progress),
        None => {
            (None, invocation.component, invocation.policy, [0; 32], Progress { updated_ms, ..Progress::default() })
        }
    };
    progress.updated_ms = progress.updated_ms.max(updated_ms);
    let state = State::of(promise.state, task.state);
    // The error that is kept is the cause of its halt, and stays known however it ends later.
    progress.error = match (state, progress.error) {
        (State::Halted | State::Canceled, halted) => halted,
        (State::Failed, Some(halted)) if promise.state == PromiseState::RejectedTimedout => {
            let message = format!("its deadline passed after it had halted: {}", halted.message);
            Some(Failure { kind: FailureKind::TimedOut, message })
        }
        (State::Failed, Some(halted)) => Some(halted),
        (State::Failed | State::Completed | State::Pending | State::Running | State::Suspended, _) => failure(promise),
    };
    Ok(Some(Execution {
        key,
        id,
        component,
        policy,
        function: invocation.function,
        args: invocation.args,
        trace: invocation.trace,
        seed,
        created_ms: promise.created_at,
        deadline_ms: finite(promise.timeout_at),
        state,
        attempts: task.version,
        result: (state == State::Completed).then(|| json_of(&promise.value).to_owned()),
        progress,
    }))
}

impl State {
    /// The state of an execution, given those of its promise and its task.
    pub(super) fn of(promise: PromiseState, task: TaskState) -> Self {
        match (promise, task) {
            (PromiseState::Pending, TaskState::Pending | TaskState::Fulfilled) => Self::Pending,
            (PromiseState::Pending, TaskState::Acquired) => Self::Running,
            (PromiseState::Pending, TaskState::Suspended) => Self::Suspended,
            (PromiseState::Pending, TaskState::Halted) => Self::Halted,
            (PromiseState::Resolved, _) => Self::Completed,
            (PromiseState::Rejected | PromiseState::RejectedTimedout, _) => Self::Failed,
            (PromiseState::RejectedCanceled, _) => Self::Canceled,
        }
    }

    /// The states that promise and task of an execution in this state may have; a task is fulfilled as soon as its promise
    /// is settled.
    pub(super) fn standings(self) -> &'static [(PromiseState, TaskState)] {
        match self {
            Self::Pending => &[(PromiseState::Pending, TaskState::Pending)],
            Self::Running => &[(PromiseState::Pending, TaskState::Acquired)],
            Self::Suspended => &[(PromiseState::Pending, TaskState::Suspended)],
            Self::Halted => &[(PromiseState::Pending, TaskState::Halted)],
            Self::Completed => &[(PromiseState::Resolved, TaskState::Fulfilled)],
            Self::Failed => &[
                (PromiseState::Rejected, TaskState::Fulfilled),
                (PromiseState::RejectedTimedout, TaskState::Fulfilled),
            ],
            Self::Canceled => &[(PromiseState::RejectedCanceled, TaskState::Fulfilled)],
        }
    }
}

/// The failure of an execution for which no host recorded a cause.
fn failure(promise: &Promise) -> Option<Failure> {
    match promise.state {
        PromiseState::Rejected => Some(error_of(&promise.value).into()),
        PromiseState::RejectedTimedout => {
            let message = "its deadline passed before it ended".to_owned();
            Some(Failure { kind: FailureKind::TimedOut, message })
        }
        PromiseState::Pending | PromiseState::Resolved | PromiseState::RejectedCanceled => None,
    }
}

fn finite(deadline: u64) -> Option<u64> {
    (deadline < NEVER).then_some(deadline)
}
