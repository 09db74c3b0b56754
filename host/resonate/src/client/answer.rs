//! Answers as replies and refusals.

use super::error::Quote;
use super::ids::Ids;
use crate::wire::{CREATE, Object, SETTLE, WirePromise, WireSchedule, WireTask};
use everstep_store::operation::{Answer, FenceAction, Operation, Refusal, Reply, Status};
use everstep_store::record::{Promise, Schedule, Task};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

/// The status of a task that is not suspended, because an awaited promise has settled.
const GO_ON: u16 = 300;

/// Reads the answers of one server.
pub(super) struct Reader<'a> {
    pub(super) ids: Ids,
    pub(super) quote: &'a Quote,
}

impl Reader<'_> {
    /// Reads the answer to an operation.
    ///
    /// # Errors
    /// The reason that it cannot be read.
    pub(super) fn answer(&self, operation: &Operation, status: u16, mut data: Json) -> Result<Answer, String> {
        if let Some(refusal) = self.refusal(status, &data) {
            return Ok(Err(refusal));
        }
        match (operation, status) {
            (Operation::TaskSuspend { .. }, GO_ON) => Ok(Ok(Reply::GoOn(self.preload(&mut data)?))),
            (operation, 200) => Ok(Ok(self.reply(operation, &mut data)?)),
            (_, status) => Err(format!("it has the status {status}")),
        }
    }

    /// The answer that nothing was done.
    fn refusal(&self, status: u16, data: &Json) -> Option<Refusal> {
        let statuses = [Status::Invalid, Status::NotFound, Status::Conflict, Status::Unprocessable];
        let status = statuses.into_iter().find(|known| known.number() == status)?;
        Some(Refusal { status, reason: self.quote.reason(data) })
    }

    fn reply(&self, operation: &Operation, data: &mut Json) -> Result<Reply, String> {
        Ok(match operation {
            Operation::PromiseCreate(_)
            | Operation::PromiseGet { .. }
            | Operation::PromiseSettle(_)
            | Operation::RegisterCallback { .. }
            | Operation::RegisterListener { .. }
            | Operation::TaskFulfill { .. } => Reply::Promise(self.promise(data)?),
            Operation::PromiseSearch { .. } => {
                let found = self.field::<Vec<_>>(data, "promises")?;
                Reply::Promises(self.promises(found), self.cursor(data)?)
            }
            Operation::TaskCreate { .. } | Operation::TaskAcquire { .. } => {
                let (task, promise) = (self.task(self.field(data, "task")?), self.promise(data)?);
                Reply::Claimed { task, promise, preload: self.preload(data)? }
            }
            Operation::TaskFence { action, .. } => {
                let answer = Box::new(self.fenced(action, self.field(data, "action")?)?);
                Reply::Fenced { answer, preload: self.preload(data)? }
            }
            Operation::TaskGet { .. } => Reply::Task(self.task(self.field(data, "task")?)),
            Operation::TaskSearch { .. } => {
                let found = self.field::<Vec<_>>(data, "tasks")?;
                Reply::Tasks(found.into_iter().map(|task| self.task(task)).collect(), self.cursor(data)?)
            }
            Operation::ScheduleCreate(_) | Operation::ScheduleGet { .. } => {
                Reply::Schedule(self.schedule(self.field(data, "schedule")?))
            }
            Operation::ScheduleSearch { .. } => {
                let found = self.field::<Vec<_>>(data, "schedules")?;
                let found = found.into_iter().map(|schedule| self.schedule(schedule)).collect();
                Reply::Schedules(found, self.field(data, "cursor")?)
            }
            Operation::TaskSuspend { .. }
            | Operation::TaskRelease { .. }
            | Operation::TaskHeartbeat { .. }
            | Operation::TaskHalt { .. }
            | Operation::TaskContinue { .. }
            | Operation::ScheduleDelete { .. }
            | Operation::CancelTree { .. }
            | Operation::Sweep => Reply::Done,
        })
    }

    /// The answer to the action that a fence protected.
    fn fenced(&self, action: &FenceAction, mut answer: Json) -> Result<Answer, String> {
        let kind: String = self.field(&mut answer, "kind")?;
        let status: u16 = self.field(&mut self.field(&mut answer, "head")?, "status")?;
        let mut data = self.field(&mut answer, "data")?;
        let expected = match action {
            FenceAction::Create(_) => CREATE,
            FenceAction::Settle(_) => SETTLE,
        };
        match self.refusal(status, &data) {
            _ if kind != expected => Err(self.quote.quote(&format!("the action is {kind:?}, not {expected:?}"))),
            Some(refusal) => Ok(Err(refusal)),
            None if status == 200 => Ok(Ok(Reply::Promise(self.promise(&mut data)?))),
            None => Err(format!("the action has the status {status}")),
        }
    }

    /// The field `promise`.
    ///
    /// # Errors
    /// The reason that it cannot be read.
    pub(super) fn promise(&self, data: &mut Json) -> Result<Promise, String> {
        let Object(promise) = self.field::<Object<WirePromise>>(data, "promise")?;
        Ok(self.ids.promise_received(promise.into()))
    }

    fn preload(&self, data: &mut Json) -> Result<Vec<Promise>, String> {
        Ok(self.promises(self.field::<Option<Vec<_>>>(data, "preload")?.unwrap_or_default()))
    }

    fn promises(&self, found: Vec<Object<WirePromise>>) -> Vec<Promise> {
        found.into_iter().map(|Object(promise)| self.ids.promise_received(promise.into())).collect()
    }

    fn task(&self, Object(task): Object<WireTask>) -> Task {
        let task = Task::from(task);
        Task { id: self.ids.received(task.id), ..task }
    }

    fn schedule(&self, Object(schedule): Object<WireSchedule>) -> Schedule {
        let schedule = Schedule::from(schedule);
        Schedule { promise_tags: self.ids.tags_received(schedule.promise_tags), ..schedule }
    }

    fn cursor(&self, data: &mut Json) -> Result<Option<String>, String> {
        Ok(self.field::<Option<_>>(data, "cursor")?.map(|cursor| self.ids.cursor_received(cursor)))
    }

    /// Takes a field out of an object; a missing one is null.
    ///
    /// # Errors
    /// The reason that it cannot be read.
    pub(super) fn field<T: DeserializeOwned>(&self, data: &mut Json, name: &str) -> Result<T, String> {
        let value = data.get_mut(name).map(Json::take).unwrap_or_default();
        serde_json::from_value(value).map_err(|error| self.quote.quote(&format!("{name}: {error}")))
    }
}
