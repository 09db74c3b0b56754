//! Requests and answers on the wire: a JSON envelope around an operation (sections 2, 3, 5, 6 and 7 of the protocol).
//!
//! Values are base64 of a JSON text on the wire and the text itself in the store. Data that is not base64 of UTF-8 is kept as received,
//! under a header that marks it and that clients never see.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use everstep_store::operation::{
    Answer, FenceAction, NewPromise, NewSchedule, Operation, Page, Refusal, Reply, Settlement,
};
use everstep_store::record::{NEVER, Promise, PromiseState, Schedule, Task, TaskState, Value};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// The version of the protocol.
const VERSION: &str = "2026-04-01";
const CREATE: &str = "promise.create";
const SETTLE: &str = "promise.settle";
const CALLBACK: &str = "promise.register_callback";
/// Lets time pass, on a server whose requests set the time.
const TICK: &str = "debug.tick";
/// The header of a value whose data is kept as received.
const AS_IS: &str = "everstep:as-is";

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) envelope: Echo,
    /// A bearer token in the envelope.
    pub(super) auth: Option<String>,
    /// The time, for a server whose requests set it.
    pub(super) named_ms: Option<u64>,
    /// The operation, or the reason that there is none.
    pub(super) operation: Result<Operation, Rejection>,
}

/// The parts of a request that its answer repeats.
#[derive(Debug)]
pub(super) struct Echo {
    kind: String,
    corr_id: String,
    /// The kind of the action that a fence protects.
    action: &'static str,
}

/// An answer that nothing was done: an HTTP status and a sentence.
#[derive(Debug)]
pub(super) struct Rejection {
    pub(super) status: u16,
    pub(super) reason: String,
}

/// An answer: the HTTP status, and the body.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: String,
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
    pub(super) fn read(body: &[u8], debug: bool) -> Self {
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

impl Echo {
    /// The kind of the request.
    pub(super) fn kind(&self) -> &str {
        &self.kind
    }

    /// The answer to the request. With `hides_preload`, a fenced write omits the other promises of its branch.
    pub(super) fn answer(&self, answer: Answer, hides_preload: bool) -> Response {
        match answer {
            Ok(reply) => {
                let (status, data) = self.reply(reply, hides_preload);
                self.response(status, &data)
            }
            Err(refusal) => self.reject(&refusal.into()),
        }
    }

    pub(super) fn reject(&self, rejection: &Rejection) -> Response {
        self.response(rejection.status, &Json::from(&*rejection.reason))
    }

    fn response(&self, status: u16, data: &Json) -> Response {
        // Written as it is: `json!` would copy the data.
        let (head, kind) = (self.head(status), Json::from(&*self.kind));
        Response { status, body: format!(r#"{{"data":{data},"head":{head},"kind":{kind}}}"#) }
    }

    fn head(&self, status: u16) -> Json {
        json!({ "corrId": self.corr_id, "status": status, "version": VERSION })
    }

    fn reply(&self, reply: Reply, hides_preload: bool) -> (u16, Json) {
        let paged = |name: &str, found: Vec<Json>, cursor: Option<String>| {
            let cursor = cursor.map(|cursor| ("cursor".to_owned(), Json::from(cursor)));
            Json::Object([(name.to_owned(), Json::Array(found))].into_iter().chain(cursor).collect())
        };
        let data = match reply {
            Reply::Done => json!({}),
            Reply::Promise(promise) => json!({ "promise": written(&promise) }),
            Reply::Promises(found, cursor) => paged("promises", found.iter().map(written).collect(), cursor),
            Reply::Task(task) => json!({ "task": written_task(&task) }),
            Reply::Tasks(found, cursor) => paged("tasks", found.iter().map(written_task).collect(), cursor),
            Reply::Schedule(schedule) => json!({ "schedule": written_schedule(&schedule) }),
            Reply::Schedules(found, cursor) => paged("schedules", found.iter().map(written_schedule).collect(), cursor),
            Reply::Claimed { task, promise, preload } => json!({
                "task": written_task(&task), "promise": written(&promise), "preload": all(&preload)
            }),
            Reply::GoOn(preload) => return (300, json!({ "preload": all(&preload) })),
            Reply::Fenced { answer, preload } => {
                let (status, data) = match *answer {
                    Ok(reply) => self.reply(reply, hides_preload),
                    Err(Refusal { status, reason }) => (status.number(), reason.into()),
                };
                let action = json!({ "kind": self.action, "head": self.head(status), "data": data });
                let preload = if hides_preload { Vec::new() } else { all(&preload) };
                json!({ "action": action, "preload": preload })
            }
        };
        (200, data)
    }
}

impl From<Refusal> for Rejection {
    fn from(Refusal { status, reason }: Refusal) -> Self {
        Self { status: status.number(), reason }
    }
}

fn bad(reason: impl Into<String>) -> Rejection {
    Rejection { status: 400, reason: reason.into() }
}

/// The message that a task may be acquired.
pub(super) fn execute(server: &str, task: &str, version: u64) -> String {
    let data = json!({ "task": { "id": task, "version": version } });
    json!({ "kind": "execute", "head": { "serverUrl": server }, "data": data }).to_string()
}

/// The message that a promise was settled.
pub(super) fn unblock(promise: &Promise) -> String {
    json!({ "kind": "unblock", "head": {}, "data": { "promise": written(promise) } }).to_string()
}

/// A value that must be a JSON object: a derived reader alone would accept a list of its fields as well.
struct Object<T>(T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let fields = serde_json::Map::deserialize(reader)?;
        T::deserialize(Json::Object(fields)).map(Self).map_err(D::Error::custom)
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

#[derive(Default, Serialize, Deserialize)]
struct WireValue {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<String>,
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
            let (promise_param, promise_tags) = (stored(promise_param)?, promise_tags.unwrap_or_default());
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
    Ok(NewPromise { id, timeout_at: timeout_at.min(NEVER), param: stored(param)?, tags: tags.unwrap_or_default() })
}

fn settle(data: Json) -> Result<Settlement, Rejection> {
    let Settle { id, state, value } = read(data)?;
    let state = match state {
        Chosen::Resolved => PromiseState::Resolved,
        Chosen::Rejected => PromiseState::Rejected,
        Chosen::RejectedCanceled => PromiseState::RejectedCanceled,
    };
    Ok(Settlement { id, state, value: stored(value)? })
}

/// A value as the store keeps it.
fn stored(value: Option<Object<WireValue>>) -> Result<Value, Rejection> {
    let WireValue { headers, data } = value.map(|Object(value)| value).unwrap_or_default();
    let mut headers = headers.unwrap_or_default();
    if headers.contains_key(AS_IS) {
        return Err(bad(format!("the header {AS_IS:?} belongs to this server")));
    }
    let data = data.map(|data| match text(&data) {
        Some(text) => text,
        None => {
            headers.insert(AS_IS.to_owned(), "true".to_owned());
            data
        }
    });
    Ok(Value { headers, data })
}

/// The text that some base64 encodes, if encoding it again gives the same.
fn text(data: &str) -> Option<String> {
    let text = String::from_utf8(BASE64_STANDARD.decode(data).ok()?).ok()?;
    (BASE64_STANDARD.encode(&text) == data).then_some(text)
}

/// A value as it is sent.
fn sent(value: &Value) -> WireValue {
    let mut headers = value.headers.clone();
    let as_is = headers.remove(AS_IS).is_some();
    let data = value.data.as_ref().map(|data| if as_is { data.clone() } else { BASE64_STANDARD.encode(data) });
    WireValue { headers: Some(headers).filter(|headers| !headers.is_empty()), data }
}

fn all(promises: &[Promise]) -> Vec<Json> {
    promises.iter().map(written).collect()
}

fn written(promise: &Promise) -> Json {
    let Promise { id, state, param, value, tags, timeout_at, created_at, settled_at } = promise;
    let mut json = json!({
        "id": id, "state": state.name(), "param": sent(param), "value": sent(value), "tags": tags,
        "timeoutAt": timeout_at, "createdAt": created_at
    });
    if let Some(settled_at) = settled_at {
        json["settledAt"] = (*settled_at).into();
    }
    json
}

fn written_task(task: &Task) -> Json {
    let Task { id, state, version, resumes, lease } = task;
    let mut json = json!({ "id": id, "state": state.name(), "version": version, "resumes": resumes });
    if let Some(lease) = lease {
        json["pid"] = lease.pid.clone().into();
        json["ttl"] = lease.ttl.into();
    }
    json
}

fn written_schedule(schedule: &Schedule) -> Json {
    let Schedule { id, cron, promise_id, promise_timeout, promise_param, promise_tags, .. } = schedule;
    let mut json = json!({
        "id": id, "cron": cron, "promiseId": promise_id, "promiseTimeout": promise_timeout,
        "promiseParam": sent(promise_param), "promiseTags": promise_tags,
        "createdAt": schedule.created_at, "nextRunAt": schedule.next_run_at
    });
    if let Some(last) = schedule.last_run_at {
        json["lastRunAt"] = last.into();
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_value_comes_back_as_it_was_sent(data in proptest::option::of("[A-Za-z0-9+/=]{0,12}|\\PC{0,8}"), name in "[a-z]{1,3}") {
            let headers = BTreeMap::from([(name, "x".to_owned())]);
            let value = WireValue { headers: Some(headers.clone()), data: data.clone() };
            let back = sent(&stored(Some(Object(value))).unwrap());
            prop_assert_eq!((back.headers, back.data), (Some(headers), data));
        }

        #[test]
        fn no_request_is_more_than_refused(body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let request = Request::read(&body, false);
            prop_assert!(request.operation.is_err_and(|rejection| rejection.status == 400));
        }
    }

    #[test]
    fn base64_is_a_text_in_the_store() {
        let value =
            |data: &str| stored(Some(Object(WireValue { headers: None, data: Some(data.to_owned()) }))).unwrap();
        assert_eq!(value("eyJhIjoxfQ=="), Value { data: Some("{\"a\":1}".to_owned()), ..Value::default() });
        for kept in ["eyJhIjoxfQ", "/w==", "{\"a\":1}"] {
            assert_eq!(value(kept).data.as_deref(), Some(kept));
        }
        let headers = Some(BTreeMap::from([(AS_IS.to_owned(), String::new())]));
        assert_eq!(stored(Some(Object(WireValue { headers, data: None }))).unwrap_err().status, 400);
    }
}
