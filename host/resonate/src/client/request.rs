//! Operations as requests.

use super::error::Error;
use super::ids::Ids;
use crate::wire::{CALLBACK, CREATE, SETTLE, UNENDING, WireValue};
use everstep_store::operation::{FenceAction, NewPromise, NewSchedule, Operation, Page, Settlement};
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// A request without its envelope.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) kind: &'static str,
    pub(super) data: Json,
}

impl Request {
    /// The requests of an operation: one, or for heartbeats one for each origin.
    ///
    /// # Errors
    /// The protocol has no such operation.
    pub(super) fn of(operation: &Operation, ids: Ids) -> Result<Vec<Self>, Error> {
        Ok(match operation {
            Operation::TaskHeartbeat { pid, tasks } => heartbeats(pid, tasks, ids),
            other => vec![one(other, ids)?],
        })
    }
}

fn one(operation: &Operation, ids: Ids) -> Result<Request, Error> {
    let with_id = |id: &str| json!({ "id": ids.sent(id) });
    let (kind, data) = match operation {
        Operation::PromiseCreate(new) => (CREATE, create(new, ids)),
        Operation::PromiseGet { id } => ("promise.get", with_id(id)),
        Operation::PromiseSettle(settlement) => (SETTLE, settle(settlement, ids)),
        Operation::PromiseSearch { state, tags, page } => {
            let state = state.map(|state| state.name());
            ("promise.search", search(state, &ids.tags_sent(tags), &ours(page, ids)))
        }
        Operation::RegisterCallback { awaited, awaiter } => (CALLBACK, callback(awaited, awaiter, ids)),
        Operation::RegisterListener { awaited, address } => {
            ("promise.register_listener", json!({ "awaited": ids.sent(awaited), "address": address }))
        }
        Operation::TaskCreate { pid, ttl, promise } => {
            ("task.create", json!({ "pid": pid, "ttl": ttl, "action": action(CREATE, &create(promise, ids)) }))
        }
        Operation::TaskAcquire { id, version, pid, ttl } => {
            ("task.acquire", json!({ "id": ids.sent(id), "version": version, "pid": pid, "ttl": ttl }))
        }
        Operation::TaskFence { id, version, action: fenced } => {
            let action = match fenced {
                FenceAction::Create(new) => action(CREATE, &create(new, ids)),
                FenceAction::Settle(settlement) => action(SETTLE, &settle(settlement, ids)),
            };
            ("task.fence", json!({ "id": ids.sent(id), "version": version, "action": action }))
        }
        Operation::TaskSuspend { id, version, awaited } => {
            ("task.suspend", json!({ "id": ids.sent(id), "version": version, "actions": callbacks(id, awaited, ids) }))
        }
        Operation::TaskFulfill { version, settlement } => {
            let action = action(SETTLE, &settle(settlement, ids));
            ("task.fulfill", json!({ "id": ids.sent(&settlement.id), "version": version, "action": action }))
        }
        Operation::TaskRelease { id, version } => ("task.release", held(id, *version, ids)),
        Operation::TaskHalt { id } => ("task.halt", with_id(id)),
        Operation::TaskContinue { id } => ("task.continue", with_id(id)),
        Operation::TaskGet { id } => ("task.get", with_id(id)),
        Operation::TaskSearch { state, page } => {
            ("task.search", search(state.map(|state| state.name()), &BTreeMap::new(), &ours(page, ids)))
        }
        Operation::ScheduleCreate(new) => ("schedule.create", schedule(new, ids)),
        Operation::ScheduleGet { id } => ("schedule.get", json!({ "id": id })),
        Operation::ScheduleDelete { id } => ("schedule.delete", json!({ "id": id })),
        Operation::ScheduleSearch { tags, page } => ("schedule.search", search(None, &ids.tags_sent(tags), page)),
        Operation::CancelTree { .. } => return Err(Error::NoRequest { operation: "CancelTree" }),
        Operation::Sweep => return Err(Error::NoRequest { operation: "Sweep" }),
        // It has several requests.
        Operation::TaskHeartbeat { .. } => return Err(Error::NoRequest { operation: "TaskHeartbeat" }),
    };
    Ok(Request { kind, data })
}

/// One request for each origin, as servers of dialects B and C want it.
fn heartbeats(pid: &str, tasks: &[(String, u64)], ids: Ids) -> Vec<Request> {
    let mut origins: BTreeMap<String, Vec<Json>> = BTreeMap::new();
    for (id, version) in tasks {
        origins.entry(ids.origin(id)).or_default().push(held(id, *version, ids));
    }
    let request = |tasks| Request { kind: "task.heartbeat", data: json!({ "pid": pid, "tasks": tasks }) };
    origins.into_values().map(request).collect()
}

fn held(id: &str, version: u64, ids: Ids) -> Json {
    json!({ "id": ids.sent(id), "version": version })
}

fn create(new: &NewPromise, ids: Ids) -> Json {
    let NewPromise { id, timeout_at, param, tags } = new;
    json!({
        "id": ids.sent(id), "timeoutAt": timeout_at, "param": WireValue::of(param), "tags": ids.tags_sent(tags)
    })
}

fn settle(Settlement { id, state, value }: &Settlement, ids: Ids) -> Json {
    json!({ "id": ids.sent(id), "state": state.name(), "value": WireValue::of(value) })
}

fn schedule(new: &NewSchedule, ids: Ids) -> Json {
    let NewSchedule { id, cron, promise_id, promise_timeout, promise_param, promise_tags } = new;
    json!({
        "id": id, "cron": cron, "promiseId": promise_id, "promiseTimeout": promise_timeout.min(&UNENDING),
        "promiseParam": WireValue::of(promise_param), "promiseTags": ids.tags_sent(promise_tags)
    })
}

fn callback(awaited: &str, awaiter: &str, ids: Ids) -> Json {
    json!({ "awaited": ids.sent(awaited), "awaiter": ids.sent(awaiter) })
}

/// Names each promise once, as servers of dialect C want it.
fn callbacks(id: &str, awaited: &[String], ids: Ids) -> Vec<Json> {
    let mut seen = BTreeSet::new();
    let once = awaited.iter().filter(|awaited| seen.insert(*awaited));
    once.map(|awaited| action(CALLBACK, &callback(awaited, id, ids))).collect()
}

fn action(kind: &str, data: &Json) -> Json {
    json!({ "kind": kind, "head": {}, "data": data })
}

/// The page of a search for promises or tasks, whose cursor is one of ours.
fn ours(page: &Page, ids: Ids) -> Page {
    Page { limit: page.limit, cursor: page.cursor.as_ref().map(|cursor| ids.cursor_sent(cursor)) }
}

fn search(state: Option<&str>, tags: &BTreeMap<String, String>, page: &Page) -> Json {
    let mut data = Map::new();
    let mut put = |name: &str, value: Json| data.insert(name.to_owned(), value);
    state.map(|state| put("state", state.into()));
    (!tags.is_empty()).then(|| put("tags", json!(tags)));
    page.limit.map(|limit| put("limit", limit.into()));
    page.cursor.as_ref().map(|cursor| put("cursor", cursor.as_str().into()));
    Json::Object(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::WireSchedule;
    use everstep_store::operation::Dialect;
    use everstep_store::record::{NEVER, Schedule};

    #[test]
    fn a_schedule_without_a_deadline_has_none_and_no_server_counts_too_far() {
        let new = NewSchedule {
            id: "nightly".to_owned(),
            cron: "* * * * *".to_owned(),
            promise_id: "{{.id}}-{{.timestamp}}".to_owned(),
            promise_timeout: NEVER,
            promise_param: everstep_store::record::Value::default(),
            promise_tags: BTreeMap::new(),
        };
        let mut data = schedule(&new, Ids { dialect: Dialect::A });
        let (fired, timeout) = (1_800_000_000_000_i64, data["promiseTimeout"].as_i64().unwrap());
        assert!(fired.checked_add(timeout).is_some());
        data["createdAt"] = fired.into();
        data["nextRunAt"] = fired.into();
        let kept: Schedule = serde_json::from_value::<WireSchedule>(data).unwrap().into();
        assert_eq!(kept.promise_timeout, NEVER);
    }
}
