//! The same steps as requests to `everstep serve`, a process of its own for each seed: every answer is what the model answers, as the
//! protocol writes it, and each worker is told what the model says, in that order.
//!
//! The server runs with `--debug`, on the clock of the steps. The model may send messages to URLs, which this server refuses; then the
//! refusal is looked at, and the operation asks for a worker instead.

use super::State;
use super::coverage::Coverage;
use super::model::{ADDRESSES, Model};
use super::steps::{self, Step};
use crate::serve::{Client, Server, Worker};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use everstep::store::Change;
use everstep::store::operation::{Answer, Dialect, Event, FenceAction, NewPromise, Operation, Page, Reply, Settlement};
use everstep::store::record::{Promise, Schedule, Task, Value, tag};
use proptest::test_runner::TestCaseError;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

/// Who listens: a worker of each group that an address names.
const WORKERS: [(&str, &str); 3] = [("workers", "w"), ("others", "w1"), ("clients", "c1")];
/// What takes the place of a reason in words.
const WORDS: &str = "a sentence";

#[test]
fn serve_answers_and_tells_what_the_model_does() {
    let coverage = super::each_seed(|seed| {
        super::compare(seed, |steps| {
            let mut bench = Bench::new(super::dialect(seed));
            for (number, step) in steps.iter().enumerate() {
                bench.take(step).map_err(|reason| TestCaseError::fail(format!("step {number}: {reason}")))?;
            }
            bench.end().map_err(TestCaseError::fail)?;
            Ok(bench.coverage)
        })
    });
    if let Some(coverage) = coverage {
        // No request asks for it.
        coverage.assert_complete(&["CancelTree"]);
    }
}

/// A model and the server that ought to be like it.
struct Bench {
    model: Model,
    now: u64,
    server: Server,
    client: Client,
    workers: Vec<(&'static str, Worker, Vec<Json>)>,
    coverage: Coverage,
    _dir: TempDir,
}

impl Bench {
    fn new(dialect: Dialect) -> Self {
        let dir = super::scratch();
        let name = format!("{dialect:?}").to_lowercase();
        let server = Server::start(dir.path(), &["--store", "memory", "--dialect", &name, "--debug"]);
        let workers = WORKERS.map(|(group, id)| (group, server.worker(group, id), Vec::new()));
        let (model, coverage) = (Model::new(dialect), Coverage::new(dialect));
        let client = server.client();
        Self { model, now: steps::START, server, client, workers: workers.into(), coverage, _dir: dir }
    }

    fn take(&mut self, step: &Step) -> Result<(), String> {
        self.now += step.advance;
        let commit = step.commit(&self.model, self.now);
        for change in &commit.changes {
            if let Change::Operation { operation, .. } = change {
                self.ask(operation)?;
            }
        }
        self.coverage.see_state(&State::of_model(&self.model, &commit));
        Ok(())
    }

    fn ask(&mut self, operation: &Operation) -> Result<(), String> {
        let mut operation = operation.clone();
        if let Some(address) = address(&mut operation).filter(|address| address.starts_with("https://")) {
            let url = std::mem::replace(address, ADDRESSES[0].to_owned());
            let mut refused = operation.clone();
            address_of(&mut refused, url);
            self.compare(&refused, &(400, json!(WORDS)))?;
        }
        if request(&operation, self.now).is_none() {
            return Ok(());
        }
        let (answer, events) = self.model.apply(self.now, &operation);
        self.coverage.see(&operation, &answer, &events);
        self.compare(&operation, &written_answer(&operation, &answer))?;
        events.iter().try_for_each(|event| self.hear(&operation, event))
    }

    /// Asks the server.
    fn compare(&mut self, operation: &Operation, expected: &(u16, Json)) -> Result<(), String> {
        let Some((kind, data)) = request(operation, self.now) else { return Ok(()) };
        let head = json!({ "corrId": "c", "version": "2026-04-01", "resonate:debug_time": self.now });
        let request = json!({ "kind": kind, "head": head, "data": data });
        let (status, mut found) = self.client.post(&request);
        for place in ["/data", "/data/action/data"] {
            if let Some(text) = found.pointer_mut(place).filter(|text| text.is_string()) {
                *text = json!(WORDS);
            }
        }
        let head = json!({ "corrId": "c", "status": expected.0, "version": "2026-04-01" });
        let whole = json!({ "kind": kind, "head": head, "data": expected.1 });
        if (status, &found) == (expected.0, &whole) {
            return Ok(());
        }
        Err(format!("{request} at {}: {status} {found:#}\nexpected: {whole:#}", self.now))
    }

    /// Hears a message from the server, if the event makes one.
    fn hear(&mut self, operation: &Operation, event: &Event) -> Result<(), String> {
        match event {
            Event::Settled(_) => Ok(()),
            Event::Execute { id, .. } if is_put_off(operation, id) => Ok(()),
            Event::Execute { id, version, target } => {
                let head = json!({ "serverUrl": format!("http://{}", self.server.address) });
                let data = json!({ "task": { "id": id, "version": version } });
                self.is_told(target, json!({ "kind": "execute", "head": head, "data": data }))
            }
            Event::Unblock { address, promise } => {
                let data = json!({ "promise": written(promise) });
                self.is_told(address, json!({ "kind": "unblock", "head": {}, "data": data }))
            }
        }
    }

    fn is_told(&mut self, address: &str, message: Json) -> Result<(), String> {
        let group = address.split(['@', '/']).nth(3).unwrap_or_default();
        let worker = self.workers.iter_mut().find(|(name, ..)| *name == group);
        let (_, worker, told) = worker.ok_or_else(|| format!("nobody is {address}"))?;
        loop {
            let found = worker.message();
            // After half a minute it is told again.
            if found != message && !told.contains(&found) {
                return Err(format!("{address} is told {found:#}\nexpected: {message:#}"));
            }
            if found == message {
                told.push(message);
                return Ok(());
            }
        }
    }

    /// The next that a worker is told is what happens next.
    fn end(&mut self) -> Result<(), String> {
        for address in [ADDRESSES[0], ADDRESSES[1], ADDRESSES[2]] {
            let tags = [(tag::TARGET.to_owned(), address.to_owned())].into();
            let new = NewPromise { id: format!("end-{address}"), timeout_at: u64::MAX, param: Value::default(), tags };
            self.ask(&Operation::PromiseCreate(new))?;
        }
        Ok(())
    }
}

/// The address that an operation names.
fn address(operation: &mut Operation) -> Option<&mut String> {
    match operation {
        Operation::PromiseCreate(new)
        | Operation::TaskCreate { promise: new, .. }
        | Operation::TaskFence { action: FenceAction::Create(new), .. } => new.tags.get_mut(tag::TARGET),
        Operation::ScheduleCreate(new) => new.promise_tags.get_mut(tag::TARGET),
        Operation::RegisterListener { address, .. } => Some(address),
        _ => None,
    }
}

fn address_of(operation: &mut Operation, url: String) {
    if let Some(address) = address(operation) {
        *address = url;
    }
}

/// Whether the operation creates a task of which nobody is told before a time that is far away.
fn is_put_off(operation: &Operation, id: &str) -> bool {
    let (Operation::PromiseCreate(new) | Operation::TaskFence { action: FenceAction::Create(new), .. }) = operation
    else {
        return false;
    };
    let delay = new.tags.get(tag::DELAY).and_then(|delay| delay.parse::<u64>().ok());
    new.id == id && delay.is_some_and(|delay| delay > 10_000_000_000_000)
}

/// The kind and the data of a request; none if the protocol has none.
fn request(operation: &Operation, now: u64) -> Option<(&'static str, Json)> {
    let held = |id: &str, version: u64| json!({ "id": id, "version": version });
    Some(match operation {
        Operation::PromiseCreate(new) => ("promise.create", new_promise(new)),
        Operation::PromiseGet { id } => ("promise.get", json!({ "id": id })),
        Operation::PromiseSettle(settlement) => ("promise.settle", settled(settlement)),
        Operation::PromiseSearch { state, tags, page } => {
            let mut data = paged(page);
            data["tags"] = json!(tags);
            data["state"] = json!(state.map(|state| state.name()));
            ("promise.search", data)
        }
        Operation::RegisterCallback { awaited, awaiter } => {
            ("promise.register_callback", json!({ "awaited": awaited, "awaiter": awaiter }))
        }
        Operation::RegisterListener { awaited, address } => {
            ("promise.register_listener", json!({ "awaited": awaited, "address": address }))
        }
        Operation::TaskCreate { pid, ttl, promise } => {
            ("task.create", json!({ "pid": pid, "ttl": ttl, "action": action("promise.create", new_promise(promise)) }))
        }
        Operation::TaskAcquire { id, version, pid, ttl } => {
            ("task.acquire", json!({ "id": id, "version": version, "pid": pid, "ttl": ttl }))
        }
        Operation::TaskFence { id, version, action: protected } => {
            let action = action(
                fenced(protected),
                match protected {
                    FenceAction::Create(new) => new_promise(new),
                    FenceAction::Settle(settlement) => settled(settlement),
                },
            );
            ("task.fence", json!({ "id": id, "version": version, "action": action }))
        }
        Operation::TaskSuspend { id, version, awaited } => {
            let wait =
                |awaited: &String| action("promise.register_callback", json!({ "awaiter": id, "awaited": awaited }));
            let actions: Vec<_> = awaited.iter().map(wait).collect();
            ("task.suspend", json!({ "id": id, "version": version, "actions": actions }))
        }
        Operation::TaskFulfill { version, settlement } => {
            let action = action("promise.settle", settled(settlement));
            ("task.fulfill", json!({ "id": settlement.id, "version": version, "action": action }))
        }
        Operation::TaskRelease { id, version } => ("task.release", held(id, *version)),
        Operation::TaskHeartbeat { pid, tasks } => {
            let tasks: Vec<_> = tasks.iter().map(|(id, version)| held(id, *version)).collect();
            ("task.heartbeat", json!({ "pid": pid, "tasks": tasks }))
        }
        Operation::TaskHalt { id } => ("task.halt", json!({ "id": id })),
        Operation::TaskContinue { id } => ("task.continue", json!({ "id": id })),
        Operation::TaskGet { id } => ("task.get", json!({ "id": id })),
        Operation::TaskSearch { state, page } => {
            let mut data = paged(page);
            data["state"] = json!(state.map(|state| state.name()));
            ("task.search", data)
        }
        Operation::ScheduleCreate(new) => {
            let data = json!({
                "id": new.id, "cron": new.cron, "promiseId": new.promise_id, "promiseTimeout": new.promise_timeout,
                "promiseParam": value(&new.promise_param), "promiseTags": new.promise_tags
            });
            ("schedule.create", data)
        }
        Operation::ScheduleGet { id } => ("schedule.get", json!({ "id": id })),
        Operation::ScheduleDelete { id } => ("schedule.delete", json!({ "id": id })),
        Operation::ScheduleSearch { tags, page } => {
            let mut data = paged(page);
            data["tags"] = json!(tags);
            ("schedule.search", data)
        }
        Operation::Sweep => ("debug.tick", json!({ "time": now })),
        Operation::CancelTree { .. } => return None,
    })
}

fn action(kind: &str, data: Json) -> Json {
    json!({ "kind": kind, "head": {}, "data": data })
}

fn fenced(action: &FenceAction) -> &'static str {
    match action {
        FenceAction::Create(_) => "promise.create",
        FenceAction::Settle(_) => "promise.settle",
    }
}

fn new_promise(new: &NewPromise) -> Json {
    json!({ "id": new.id, "timeoutAt": new.timeout_at, "param": value(&new.param), "tags": new.tags })
}

fn settled(settlement: &Settlement) -> Json {
    let Settlement { id, state, value: with } = settlement;
    json!({ "id": id, "state": state.name(), "value": value(with) })
}

/// What is absent may be null.
fn paged(page: &Page) -> Json {
    json!({ "limit": page.limit, "cursor": page.cursor })
}

/// What is empty is absent.
fn value(value: &Value) -> Json {
    let mut written = json!({});
    if !value.headers.is_empty() {
        written["headers"] = json!(value.headers);
    }
    if let Some(data) = &value.data {
        written["data"] = json!(BASE64_STANDARD.encode(data));
    }
    written
}

/// The status and the data of an answer, but for the words of a refusal.
fn written_answer(operation: &Operation, answer: &Answer) -> (u16, Json) {
    let all = |preload: &[Promise]| preload.iter().map(written).collect::<Vec<_>>();
    let page = |name: &str, found: Vec<Json>, cursor: &Option<String>| {
        let mut data = json!({ name: found });
        if let Some(cursor) = cursor {
            data["cursor"] = json!(cursor);
        }
        data
    };
    let data = match answer {
        Err(refusal) => return (refusal.status.number(), json!(WORDS)),
        Ok(Reply::GoOn(preload)) => return (300, json!({ "preload": all(preload) })),
        Ok(Reply::Done) => json!({}),
        Ok(Reply::Promise(promise)) => json!({ "promise": written(promise) }),
        Ok(Reply::Promises(found, cursor)) => page("promises", all(found), cursor),
        Ok(Reply::Task(task)) => json!({ "task": written_task(task) }),
        Ok(Reply::Tasks(found, cursor)) => page("tasks", found.iter().map(written_task).collect(), cursor),
        Ok(Reply::Schedule(schedule)) => json!({ "schedule": written_schedule(schedule) }),
        Ok(Reply::Schedules(found, cursor)) => page("schedules", found.iter().map(written_schedule).collect(), cursor),
        Ok(Reply::Claimed { task, promise, preload }) => {
            json!({ "task": written_task(task), "promise": written(promise), "preload": all(preload) })
        }
        Ok(Reply::Fenced { answer, preload }) => {
            let kind = match operation {
                Operation::TaskFence { action, .. } => fenced(action),
                _ => "no fence",
            };
            let (status, data) = written_answer(operation, answer);
            let head = json!({ "corrId": "c", "status": status, "version": "2026-04-01" });
            json!({ "action": { "kind": kind, "head": head, "data": data }, "preload": all(preload) })
        }
    };
    (200, data)
}

fn written(promise: &Promise) -> Json {
    let mut written = json!({
        "id": promise.id, "state": promise.state.name(), "param": value(&promise.param),
        "value": value(&promise.value), "tags": promise.tags,
        "timeoutAt": promise.timeout_at, "createdAt": promise.created_at
    });
    if let Some(at) = promise.settled_at {
        written["settledAt"] = json!(at);
    }
    written
}

fn written_task(task: &Task) -> Json {
    let mut written =
        json!({ "id": task.id, "state": task.state.name(), "version": task.version, "resumes": task.resumes });
    if let Some(lease) = &task.lease {
        written["pid"] = json!(lease.pid);
        written["ttl"] = json!(lease.ttl);
    }
    written
}

fn written_schedule(schedule: &Schedule) -> Json {
    let mut written = json!({
        "id": schedule.id, "cron": schedule.cron, "promiseId": schedule.promise_id,
        "promiseTimeout": schedule.promise_timeout, "promiseParam": value(&schedule.promise_param),
        "promiseTags": schedule.promise_tags, "createdAt": schedule.created_at, "nextRunAt": schedule.next_run_at
    });
    if let Some(at) = schedule.last_run_at {
        written["lastRunAt"] = json!(at);
    }
    written
}
