//! Promises, tasks and schedules on the wire.

use super::Object;
use super::value::WireValue;
use everstep_store::record::{Lease, NEVER, Promise, PromiseState, Schedule, Task, TaskState};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// The longest time that a promise of a schedule is sent to have: servers add it to the time of the firing, and wrap around behind the largest
/// number. Whatever is not shorter has no end.
pub(crate) const UNENDING: u64 = NEVER / 2;

/// A promise as a server sends it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WirePromise {
    id: String,
    state: PromiseState,
    #[serde(default)]
    param: Option<Object<WireValue>>,
    #[serde(default)]
    value: Option<Object<WireValue>>,
    #[serde(default)]
    tags: Option<BTreeMap<String, String>>,
    timeout_at: u64,
    created_at: u64,
    settled_at: Option<u64>,
}

/// A task as a server sends it: its lease has a length, but no end.
#[derive(Deserialize)]
pub(crate) struct WireTask {
    id: String,
    state: TaskState,
    version: u64,
    #[serde(default)]
    resumes: u64,
    ttl: Option<u64>,
    pid: Option<String>,
}

/// A schedule as a server sends it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireSchedule {
    id: String,
    cron: String,
    promise_id: String,
    promise_timeout: u64,
    #[serde(default)]
    promise_param: Option<Object<WireValue>>,
    #[serde(default)]
    promise_tags: Option<BTreeMap<String, String>>,
    created_at: u64,
    next_run_at: u64,
    last_run_at: Option<u64>,
}

impl From<WirePromise> for Promise {
    fn from(sent: WirePromise) -> Self {
        let WirePromise { id, state, param, value, tags, timeout_at, created_at, settled_at } = sent;
        let (param, value) = (WireValue::optional(param).received(), WireValue::optional(value).received());
        let timeout_at = unending(timeout_at);
        Self { id, state, param, value, tags: tags.unwrap_or_default().into(), timeout_at, created_at, settled_at }
    }
}

impl From<WireTask> for Task {
    fn from(WireTask { id, state, version, resumes, ttl, pid }: WireTask) -> Self {
        let lease = pid.zip(ttl).map(|(pid, ttl)| Lease { pid, ttl, expires_at: NEVER });
        Self { id, state, version, resumes, lease }
    }
}

impl From<WireSchedule> for Schedule {
    fn from(sent: WireSchedule) -> Self {
        Self {
            id: sent.id,
            cron: sent.cron,
            promise_id: sent.promise_id,
            promise_timeout: unending(sent.promise_timeout),
            promise_param: WireValue::optional(sent.promise_param).received(),
            promise_tags: sent.promise_tags.unwrap_or_default(),
            created_at: sent.created_at,
            next_run_at: sent.next_run_at,
            last_run_at: sent.last_run_at,
        }
    }
}

/// A time, or a span, that has come.
fn unending(time: u64) -> u64 {
    if time >= UNENDING { NEVER } else { time }
}

pub(super) fn all(promises: &[Promise]) -> Vec<Json> {
    promises.iter().map(written).collect()
}

pub(super) fn written(promise: &Promise) -> Json {
    let Promise { id, state, param, value, tags, timeout_at, created_at, settled_at } = promise;
    let mut json = json!({
        "id": id, "state": state.name(), "param": WireValue::of(param), "value": WireValue::of(value), "tags": tags,
        "timeoutAt": timeout_at, "createdAt": created_at
    });
    if let Some(settled_at) = settled_at {
        json["settledAt"] = (*settled_at).into();
    }
    json
}

pub(super) fn written_task(task: &Task) -> Json {
    let Task { id, state, version, resumes, lease } = task;
    let mut json = json!({ "id": id, "state": state.name(), "version": version, "resumes": resumes });
    if let Some(lease) = lease {
        json["pid"] = lease.pid.clone().into();
        json["ttl"] = lease.ttl.into();
    }
    json
}

pub(super) fn written_schedule(schedule: &Schedule) -> Json {
    let Schedule { id, cron, promise_id, promise_timeout, promise_param, promise_tags, .. } = schedule;
    let mut json = json!({
        "id": id, "cron": cron, "promiseId": promise_id, "promiseTimeout": promise_timeout,
        "promiseParam": WireValue::of(promise_param), "promiseTags": promise_tags,
        "createdAt": schedule.created_at, "nextRunAt": schedule.next_run_at
    });
    if let Some(last) = schedule.last_run_at {
        json["lastRunAt"] = last.into();
    }
    json
}
