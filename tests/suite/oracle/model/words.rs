//! Small words of the model: what an operation names, what is well formed, what is due, and pages.

use super::{CRONS, State};
use everstep::guest_error::{ErrorCode, GuestError};
use everstep::store::Failure;
use everstep::store::operation::{FenceAction, NewPromise, Operation, Page, Refusal, Settlement, Status};
use everstep::store::record::{NEVER, Promise, Schedule, Value, tag};
use std::collections::BTreeMap;

/// The promises that an operation names: what is waited for or protected before the task.
pub(super) fn named(operation: &Operation) -> Vec<String> {
    let ids = match operation {
        Operation::PromiseCreate(new) | Operation::TaskCreate { promise: new, .. } => vec![&new.id],
        Operation::PromiseSettle(settlement) | Operation::TaskFulfill { settlement, .. } => vec![&settlement.id],
        Operation::RegisterCallback { awaited, awaiter } => vec![awaited, awaiter],
        Operation::RegisterListener { awaited, .. } => vec![awaited],
        Operation::TaskFence { id, action: FenceAction::Create(new), .. } => vec![&new.id, id],
        Operation::TaskFence { id, action: FenceAction::Settle(settlement), .. } => vec![&settlement.id, id],
        Operation::TaskSuspend { id, awaited, .. } => awaited.iter().chain([id]).collect(),
        Operation::TaskHeartbeat { tasks, .. } => tasks.iter().map(|(id, _)| id).collect(),
        Operation::PromiseGet { id }
        | Operation::TaskAcquire { id, .. }
        | Operation::TaskRelease { id, .. }
        | Operation::TaskHalt { id }
        | Operation::TaskContinue { id }
        | Operation::TaskGet { id }
        | Operation::CancelTree { id } => vec![id],
        Operation::PromiseSearch { .. }
        | Operation::TaskSearch { .. }
        | Operation::ScheduleCreate(_)
        | Operation::ScheduleGet { .. }
        | Operation::ScheduleDelete { .. }
        | Operation::ScheduleSearch { .. }
        | Operation::Sweep => Vec::new(),
    };
    ids.into_iter().cloned().collect()
}

pub(super) fn refusal(status: Status) -> Refusal {
    Refusal { status, reason: String::new() }
}

pub(super) fn is_id(id: &str) -> bool {
    !id.is_empty() && !id.contains('\0')
}

pub(super) fn may_settle(settlement: &Settlement) -> bool {
    [State::Resolved, State::Rejected, State::RejectedCanceled].contains(&settlement.state)
}

pub(super) fn has_delay(new: &NewPromise) -> bool {
    let Some(delay) = new.tags.get(tag::DELAY) else { return true };
    let before = delay.parse::<u64>().is_ok_and(|delay| delay < new.timeout_at);
    before && new.tags.contains_key(tag::TARGET)
}

pub(super) fn timed_out(promise: &Promise) -> State {
    if promise.tags.get(tag::TIMER).is_some_and(|timer| timer == "true") {
        State::Resolved
    } else {
        State::RejectedTimedout
    }
}

pub(super) fn interval(cron: &str) -> Option<u64> {
    CRONS.iter().find(|(expression, _)| *expression == cron).map(|(_, interval)| *interval)
}

pub(super) fn next_run(cron: &str, after: u64) -> u64 {
    interval(cron).map_or(NEVER, |interval| (after / interval + 1) * interval)
}

pub(super) fn firing(schedule: &Schedule, at: u64) -> NewPromise {
    let id = schedule.promise_id.replace("{{.id}}", &schedule.id).replace("{{.timestamp}}", &at.to_string());
    let lineage = [tag::ORIGIN, tag::BRANCH, tag::PARENT, tag::PREFIX].map(|name| (name.to_owned(), id.clone()));
    let mut tags = schedule.promise_tags.clone();
    tags.extend(lineage);
    tags.insert(tag::SCHEDULE.to_owned(), schedule.id.clone());
    NewPromise {
        id,
        timeout_at: at + schedule.promise_timeout,
        param: schedule.promise_param.clone(),
        tags: tags.into(),
    }
}

/// Why a function failed, by the value of its promise.
pub(super) fn returned(value: &Value) -> Failure {
    let code = value.headers.get("everstep:code").and_then(|code| code.parse().ok()).unwrap_or(ErrorCode::Failed);
    let data = text(value);
    let error: Option<serde_json::Value> = serde_json::from_str(&data).ok();
    let message = error.and_then(|error| match error {
        serde_json::Value::Null => Some("the promise was rejected without a reason".to_owned()),
        serde_json::Value::String(text) => Some(text),
        error => error.get("__type").and(error.get("message")?.as_str()).map(str::to_owned),
    });
    GuestError::new(code, message.unwrap_or(data)).into()
}

/// What a value is to a guest: nothing, in either spelling, is null.
pub(super) fn text(value: &Value) -> String {
    match value.data.as_deref() {
        None | Some("") => "null".to_owned(),
        Some(data) => data.to_owned(),
    }
}

pub(super) fn has_all(tags: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|wanted| tags.iter().any(|tag| tag == wanted))
}

pub(super) fn sorted(ids: impl Iterator<Item = String>) -> Vec<String> {
    let mut ids: Vec<_> = ids.collect();
    ids.sort();
    ids
}

pub(super) fn by_id<T>(all: impl Iterator<Item = T>, id: impl Fn(&T) -> &String) -> Vec<T> {
    let mut all: Vec<_> = all.collect();
    all.sort_by(|a, b| id(a).cmp(id(b)));
    all
}

/// What is due at `now`, by its time and id.
pub(super) fn until(now: u64, all: impl Iterator<Item = (u64, String)>) -> Vec<(u64, String)> {
    let mut due: Vec<_> = all.filter(|(at, _)| *at <= now).collect();
    due.sort();
    due
}

pub(super) fn part<T>(all: Vec<T>, page: &Page, default: u64, id: impl Fn(&T) -> &String) -> (Vec<T>, Option<String>) {
    let behind = |entry: &T| page.cursor.as_ref().is_none_or(|cursor| id(entry) > cursor);
    let rest: Vec<T> = all.into_iter().filter(behind).collect();
    let limit = page.limit.unwrap_or(default) as usize;
    let cursor = (rest.len() > limit).then(|| id(&rest[limit - 1]).clone());
    (rest.into_iter().take(limit).collect(), cursor)
}
