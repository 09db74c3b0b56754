//! Requests, as a server reads them.

use super::answer::{Echo, Rejection, bad};
use super::value::WireValue;
use super::{CALLBACK, CREATE, Object, SETTLE, VERSION};
use everstep_store::operation::{FenceAction, NewPromise, NewSchedule, Operation, Page, Settlement};
use everstep_store::record::{NEVER, PromiseState, TaskState};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Lets time pass, on a server whose requests set the time.
const TICK: &str = "debug.tick";

/// A request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) envelope: Echo,
    /// A bearer token in the envelope.
    pub(crate) auth: Option<String>,
    /// The time, for a server whose requests set it.
    pub(crate) named_ms: Option<u64>,
    /// The operation, or the reason that there is none.
    pub(crate) operation: Result<Operation, Rejection>,
}

#[derive(Deserialize)]
struct Envelope {
    kind: String,
    head: Object<Head>,
    #[serde(default)]
    data: Json,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    corr_id: String,
    version: String,
    auth: Option<String>,
    #[serde(rename = "resonate:debug_time")]
    debug_time: Option<Json>,
}

impl Request {
    /// Reads a request; with `debug`, including operations for tests.
    pub(crate) fn read(body: &[u8], debug: bool) -> Self {
        match serde_json::from_slice::<Object<Envelope>>(body) {
            Ok(Object(Envelope { kind, head: Object(Head { corr_id, version, auth, debug_time }), data })) => {
                let asked = if version != VERSION {
                    Err(bad(format!("the protocol version is {VERSION}, not {version:?}")))
                } else if debug {
                    timed(&kind, debug_time, data)
                } else {
                    operation(&kind, data).map(|operation| (operation, None))
                };
                let (operation, named_ms) = match asked {
                    Ok((operation, named_ms)) => (Ok(operation), named_ms),
                    Err(rejection) => (Err(rejection), None),
                };
                let action = match &operation {
                    Ok(Operation::TaskFence { action: FenceAction::Settle(_), .. }) => SETTLE,
                    _ => CREATE,
                };
                Self { envelope: Echo { kind, corr_id, action }, auth, named_ms, operation }
            }
            Err(error) => {
                // As far as the parts to be repeated can be read.
                let raw: Json = serde_json::from_slice(body).unwrap_or_default();
                let text =
                    |at: &str, default: &str| raw.pointer(at).and_then(Json::as_str).unwrap_or(default).to_owned();
                let envelope =
                    Echo { kind: text("/kind", "unknown"), corr_id: text("/head/corrId", "0"), action: CREATE };
                let auth = raw.pointer("/head/auth").and_then(Json::as_str).map(str::to_owned);
                let operation = Err(bad(format!("the request has no envelope: {error}")));
                Self { envelope, auth, named_ms: None, operation }
            }
        }
    }
}

/// The parts of a request that a record of the traffic has.
pub(crate) struct NotedRequest {
    pub(crate) kind: String,
    /// The data, without tokens.
    pub(crate) data: Json,
}

impl NotedRequest {
    /// `None` if a record has no place for the kind: searches, and operations for tests.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let Object(Envelope { kind, mut data, .. }) = serde_json::from_slice(body).ok()?;
        let actions = data.get("actions").and_then(Json::as_array).map_or(0, Vec::len);
        let heads = (0..actions).map(|at| format!("/actions/{at}/head")).chain(["/action/head".to_owned()]);
        for head in heads {
            if let Some(head) = data.pointer_mut(&head).and_then(Json::as_object_mut) {
                head.remove("auth");
            }
        }
        (!kind.ends_with(".search") && !kind.starts_with("debug.")).then_some(Self { kind, data })
    }
}

#[derive(Deserialize)]
struct Tick {
    time: u64,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Deserialize)]
struct Held {
    id: String,
    version: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    id: String,
    timeout_at: u64,
    #[serde(default)]
    param: Option<Object<WireValue>>,
    #[serde(default)]
    tags: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Settle {
    id: String,
    state: Chosen,
    #[serde(default)]
    value: Option<Object<WireValue>>,
}

/// The states that a client may choose for a settlement.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Chosen {
    Resolved,
    Rejected,
    RejectedCanceled,
}

#[derive(Deserialize)]
struct Callback {
    awaited: String,
    awaiter: String,
}

#[derive(Deserialize)]
struct Listener {
    awaited: String,
    address: String,
}

/// An operation within another one.
#[derive(Deserialize)]
struct Action {
    kind: String,
    data: Json,
}

#[derive(Deserialize)]
struct TaskCreate {
    pid: String,
    ttl: u64,
    action: Object<Action>,
}

#[derive(Deserialize)]
struct Acquire {
    id: String,
    version: u64,
    pid: String,
    ttl: u64,
}

#[derive(Deserialize)]
struct WithAction {
    id: String,
    version: u64,
    action: Object<Action>,
}

#[derive(Deserialize)]
struct Suspend {
    id: String,
    version: u64,
    actions: Vec<Object<Action>>,
}

#[derive(Deserialize)]
struct Heartbeat {
    pid: String,
    tasks: Vec<Object<Held>>,
}

#[derive(Deserialize)]
struct Search<S> {
    state: Option<S>,
    tags: Option<BTreeMap<String, String>>,
    limit: Option<u64>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScheduleCreate {
    id: String,
    cron: String,
    promise_id: String,
    promise_timeout: u64,
    #[serde(default)]
    promise_param: Option<Object<WireValue>>,
    #[serde(default)]
    promise_tags: Option<BTreeMap<String, String>>,
}

/// Reads an operation and the time that its request names.
fn timed(kind: &str, named: Option<Json>, data: Json) -> Result<(Operation, Option<u64>), Rejection> {
    if kind == TICK {
        let Tick { time } = read(data)?;
        return Ok((Operation::Sweep, Some(time)));
    }
    let named_ms = named.map(|time| time.as_u64().ok_or_else(|| bad("a time is a number of milliseconds")));
    Ok((operation(kind, data)?, named_ms.transpose()?))
}

fn operation(kind: &str, data: Json) -> Result<Operation, Rejection> {
    if !data.is_object() {
        return Err(bad("data is an object"));
    }
    Ok(match kind {
        CREATE => Operation::PromiseCreate(create(data)?),
        "promise.get" => Operation::PromiseGet { id: read::<Id>(data)?.id },
        SETTLE => Operation::PromiseSettle(settle(data)?),
        "promise.search" => {
            let Search { state, tags, limit, cursor } = read::<Search<PromiseState>>(data)?;
            Operation::PromiseSearch { state, tags: tags.unwrap_or_default(), page: Page { limit, cursor } }
        }
        CALLBACK => {
            let Callback { awaited, awaiter } = read(data)?;
            Operation::RegisterCallback { awaited, awaiter }
        }
        "promise.register_listener" => {
            let Listener { awaited, address } = read(data)?;
            Operation::RegisterListener { awaited, address }
        }
        "task.create" => {
            let TaskCreate { pid, ttl, action: Object(action) } = read(data)?;
            Operation::TaskCreate { pid, ttl, promise: create(action.of(CREATE)?)? }
        }
        "task.acquire" => {
            let Acquire { id, version, pid, ttl } = read(data)?;
            Operation::TaskAcquire { id, version, pid, ttl }
        }
        "task.fence" => {
            let WithAction { id, version, action: Object(action) } = read(data)?;
            let action = match &*action.kind {
                CREATE => FenceAction::Create(create(action.data)?),
                SETTLE => FenceAction::Settle(settle(action.data)?),
                other => return Err(bad(format!("a fence protects {CREATE} or {SETTLE}, not {other:?}"))),
            };
            Operation::TaskFence { id, version, action }
        }
        "task.suspend" => {
            let Suspend { id, version, actions } = read(data)?;
            let awaited = actions.into_iter().map(|Object(action)| {
                let Callback { awaited, awaiter } = read(action.of(CALLBACK)?)?;
                if awaiter == id {
                    Ok(awaited)
                } else {
                    Err(bad(format!("the awaiter is the task {id:?}, not {awaiter:?}")))
                }
            });
            Operation::TaskSuspend { awaited: awaited.collect::<Result<_, _>>()?, id, version }
        }
        "task.fulfill" => {
            let WithAction { id, version, action: Object(action) } = read(data)?;
            let settlement = settle(action.of(SETTLE)?)?;
            if settlement.id != id {
                return Err(bad(format!("a task is fulfilled by its own promise, {id:?}, not by {:?}", settlement.id)));
            }
            Operation::TaskFulfill { version, settlement }
        }
        "task.release" => {
            let Held { id, version } = read(data)?;
            Operation::TaskRelease { id, version }
        }
        "task.heartbeat" => {
            let Heartbeat { pid, tasks } = read(data)?;
            Operation::TaskHeartbeat {
                pid,
                tasks: tasks.into_iter().map(|Object(held)| (held.id, held.version)).collect(),
            }
        }
        "task.halt" => Operation::TaskHalt { id: read::<Id>(data)?.id },
        "task.continue" => Operation::TaskContinue { id: read::<Id>(data)?.id },
        "task.get" => Operation::TaskGet { id: read::<Id>(data)?.id },
        "task.search" => {
            let Search { state, limit, cursor, .. } = read::<Search<TaskState>>(data)?;
            Operation::TaskSearch { state, page: Page { limit, cursor } }
        }
        "schedule.create" => {
            let ScheduleCreate { id, cron, promise_id, promise_timeout, promise_param, promise_tags } = read(data)?;
            let (promise_param, promise_tags) =
                (WireValue::optional(promise_param).stored()?, promise_tags.unwrap_or_default());
            Operation::ScheduleCreate(NewSchedule {
                id,
                cron,
                promise_id,
                promise_timeout,
                promise_param,
                promise_tags,
            })
        }
        "schedule.get" => Operation::ScheduleGet { id: read::<Id>(data)?.id },
        "schedule.delete" => Operation::ScheduleDelete { id: read::<Id>(data)?.id },
        "schedule.search" => {
            let Search { tags, limit, cursor, .. } = read::<Search<Json>>(data)?;
            Operation::ScheduleSearch { tags: tags.unwrap_or_default(), page: Page { limit, cursor } }
        }
        _ if kind.starts_with("debug.") => {
            return Err(Rejection { status: 403, reason: "there are no debug operations".to_owned() });
        }
        _ => return Err(bad(format!("there is no operation {kind:?}"))),
    })
}

impl Action {
    fn of(self, kind: &str) -> Result<Json, Rejection> {
        if self.kind == kind { Ok(self.data) } else { Err(bad(format!("the action is {kind}, not {:?}", self.kind))) }
    }
}

fn read<T: DeserializeOwned>(data: Json) -> Result<T, Rejection> {
    let Object(data) =
        serde_json::from_value(data).map_err(|error| bad(format!("the data is not as it should be: {error}")))?;
    Ok(data)
}

fn create(data: Json) -> Result<NewPromise, Rejection> {
    let Create { id, timeout_at, param, tags } = read(data)?;
    Ok(NewPromise {
        id,
        timeout_at: timeout_at.min(NEVER),
        param: WireValue::optional(param).stored()?,
        tags: tags.unwrap_or_default().into(),
    })
}

fn settle(data: Json) -> Result<Settlement, Rejection> {
    let Settle { id, state, value } = read(data)?;
    let state = match state {
        Chosen::Resolved => PromiseState::Resolved,
        Chosen::Rejected => PromiseState::Rejected,
        Chosen::RejectedCanceled => PromiseState::RejectedCanceled,
    };
    Ok(Settlement { id, state, value: WireValue::optional(value).stored()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_request_is_more_than_refused(body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let request = Request::read(&body, false);
            prop_assert!(request.operation.is_err_and(|rejection| rejection.status == 400));
        }
    }
}
