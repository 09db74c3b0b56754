//! Random steps: few ids, few groups, deadlines and leases that end as the clock goes on. Numbers that only mean something beside the
//! state of the moment (a deadline, a version, an id that was made up by a schedule) are drawn as places in it.

use super::model::{ADDRESSES, CRONS, Model};
use everstep::id::{Digest, ExecutionId};
use everstep::store::operation::{FenceAction, NewPromise, NewSchedule, Operation, Page, Settlement};
use everstep::store::record::{PromiseState, TaskState, Value, tag};
use everstep::store::{Change, ExecutionKey, Failure, FailureKind, Invocation, NewExecution, Progress};
use proptest::collection::{btree_map, vec};
use proptest::option::weighted;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// When the first step happens.
pub(super) const START: u64 = 1_000_000_000;
/// The ids that are drawn; a schedule makes more.
pub(super) const IDS: [&str; 9] = ["a", "b", "a.0", "a.1", "a:0", "a:1", "b.1", "s", "a-"];

/// One commit, after a pause.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// How long after the step before it happens.
    pub(super) advance: u64,
    /// Whether the file store is closed and opened first.
    pub(super) reopens: bool,
    /// Whether the commit ends with a change that is refused.
    spoilt: bool,
    /// How far which execution is.
    progress: Option<(usize, u64)>,
    operations: Vec<Operation>,
}

/// What a step comes to, beside the state that it is taken in.
#[derive(Clone, Debug, Default)]
pub(super) struct Commit {
    pub(super) changes: Vec<Change>,
    /// The ids that the commit may have given to promises.
    pub(super) ids: Vec<String>,
}

pub(super) fn steps(count: RangeInclusive<usize>) -> impl Strategy<Value = Vec<Step>> {
    vec(step(), count)
}

fn step() -> impl Strategy<Value = Step> {
    let advance = prop_oneof![60 => Just(0), 60 => span(1_500), 1 => span(130_000)];
    let progress = weighted(0.1, (0..4_usize, 1..100_u64));
    let operations = prop_oneof![9 => vec(operation(), 1), 1 => vec(operation(), 2..4)];
    let rare = |probability| prop::bool::weighted(probability);
    (advance, rare(0.03), rare(0.03), progress, operations).prop_map(
        |(advance, reopens, spoilt, progress, operations)| Step { advance, reopens, spoilt, progress, operations },
    )
}

/// Mostly whole quarters of a second, so that the end of one span is often that of another.
fn span(most: u64) -> impl Strategy<Value = u64> {
    prop_oneof![6 => (1..=most / 250).prop_map(|quarters| quarters * 250), 1 => 1..most]
}

/// Boxed, as its parts are: unboxed they need more stack than a test has.
fn operation() -> BoxedStrategy<Operation> {
    prop_oneof![
        6 => promise_operation(),
        8 => task_operation(),
        5 => task_end(),
        3 => schedule_operation(),
        2 => time_or_tree(),
    ]
    .boxed()
}

fn promise_operation() -> BoxedStrategy<Operation> {
    let state = proptest::option::of(prop::sample::select(PROMISE_STATES.to_vec()));
    let create = new_promise().prop_map(Operation::PromiseCreate);
    let search =
        (state, wanted_tags(), page()).prop_map(|(state, tags, page)| Operation::PromiseSearch { state, tags, page });
    prop_oneof![
        6 => create,
        1 => id().prop_map(|id| Operation::PromiseGet { id }),
        3 => settlement().prop_map(Operation::PromiseSettle),
        1 => search,
        3 => (mostly("kin"), mostly("suspended")).prop_map(callback),
        1 => (mostly("kin"), mostly("acquired")).prop_map(callback),
        2 => (mostly("ended"), mostly("suspended")).prop_map(callback),
        2 => (mostly("ended"), mostly("acquired")).prop_map(callback),
        3 => (id(), address()).prop_map(|(awaited, address)| Operation::RegisterListener { awaited, address }),
    ]
    .boxed()
}

fn callback((awaited, awaiter): (String, String)) -> Operation {
    Operation::RegisterCallback { awaited, awaiter }
}

fn task_operation() -> BoxedStrategy<Operation> {
    let action = prop_oneof![new_promise().prop_map(FenceAction::Create), settlement().prop_map(FenceAction::Settle)];
    prop_oneof![
        4 => (pid(), ttl(), targeted()).prop_map(|(pid, ttl, promise)| Operation::TaskCreate { pid, ttl, promise }),
        4 => (mostly("pending"), version(), pid(), ttl())
            .prop_map(|(id, version, pid, ttl)| Operation::TaskAcquire { id, version, pid, ttl }),
        3 => (mostly("acquired"), version(), action).prop_map(|(id, version, action)| Operation::TaskFence { id, version, action }),
        6 => (mostly("acquired"), version(), awaited())
            .prop_map(|(id, version, awaited)| Operation::TaskSuspend { id, version, awaited }),
    ]
    .boxed()
}

fn task_end() -> BoxedStrategy<Operation> {
    let state = proptest::option::of(prop::sample::select(TASK_STATES.to_vec()));
    let beats = vec((mostly("acquired"), version()), 0..3);
    prop_oneof![
        2 => (version(), mostly("acquired"), settlement()).prop_map(|(version, id, settlement)| {
            Operation::TaskFulfill { version, settlement: Settlement { id, ..settlement } }
        }),
        2 => (mostly("acquired"), version()).prop_map(|(id, version)| Operation::TaskRelease { id, version }),
        2 => (pid(), beats).prop_map(|(pid, tasks)| Operation::TaskHeartbeat { pid, tasks }),
        2 => mostly("open").prop_map(|id| Operation::TaskHalt { id }),
        2 => mostly("halted").prop_map(|id| Operation::TaskContinue { id }),
        1 => id().prop_map(|id| Operation::TaskGet { id }),
        1 => (state, page()).prop_map(|(state, page)| Operation::TaskSearch { state, page }),
    ]
    .boxed()
}

fn schedule_operation() -> BoxedStrategy<Operation> {
    let search = (wanted_tags(), page()).prop_map(|(tags, page)| Operation::ScheduleSearch { tags, page });
    prop_oneof![
        4 => new_schedule().prop_map(Operation::ScheduleCreate),
        1 => schedule_id().prop_map(|id| Operation::ScheduleGet { id }),
        1 => schedule_id().prop_map(|id| Operation::ScheduleDelete { id }),
        2 => search,
    ]
    .boxed()
}

fn time_or_tree() -> BoxedStrategy<Operation> {
    prop_oneof![
        3 => Just(Operation::Sweep),
        1 => mostly("root").prop_map(|id| Operation::CancelTree { id }),
    ]
    .boxed()
}

const PROMISE_STATES: [PromiseState; 5] = [
    PromiseState::Pending,
    PromiseState::Resolved,
    PromiseState::Rejected,
    PromiseState::RejectedCanceled,
    PromiseState::RejectedTimedout,
];

const TASK_STATES: [TaskState; 5] =
    [TaskState::Pending, TaskState::Acquired, TaskState::Suspended, TaskState::Halted, TaskState::Fulfilled];

/// One of the ids, or the place of one: `?any3` is the fourth promise that there is, from the start again if there are fewer.
fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(IDS.to_vec()).prop_map(str::to_owned),
        2 => place("any"),
        3 => place("open"),
    ]
}

/// Mostly the place of an id: `any` promise, an `open` one, a `root`, a task of a state; `kin` is an open promise, and `ended` a settled one,
/// that may be of the tree of the task.
fn mostly(what: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![5 => place(what), 1 => id()]
}

fn place(what: &'static str) -> impl Strategy<Value = String> {
    (0..8_usize).prop_map(move |number| format!("?{what}{number}"))
}

/// `~` is what parts the ids of a tree in the dialect.
fn new_id() -> impl Strategy<Value = String> {
    let tree = prop_oneof![Just("a"), Just("a~0"), Just("a~1"), Just("b~1")];
    prop_oneof![16 => prop::sample::select(IDS.to_vec()), 16 => tree, 1 => Just(""), 1 => Just("a\0")]
        .prop_map(str::to_owned)
}

fn new_promise() -> impl Strategy<Value = NewPromise> {
    let new = (new_id(), deadline(), value(), tags());
    new.prop_map(|(id, timeout_at, param, tags)| NewPromise { id, timeout_at, param, tags: tags.into() })
}

/// Mostly what a task can be created with.
fn targeted() -> impl Strategy<Value = NewPromise> {
    (new_promise(), prop::bool::weighted(0.9), prop::bool::weighted(0.5)).prop_map(|(mut new, mends, calls)| {
        if mends {
            new.tags.remove(tag::DELAY);
            new.tags.entry(tag::TARGET.to_owned()).or_insert_with(|| ADDRESSES[0].to_owned());
        }
        if calls {
            new.param = invocation().param();
            new.tags.extend(invocation().tags(ADDRESSES[0]));
        }
        new
    })
}

fn invocation() -> Invocation {
    let (component, policy) = (Digest::of(b"component"), Digest::of(b"policy"));
    Invocation { function: "count".to_owned(), args: "[1]".to_owned(), component, policy, trace: None }
}

/// Up to a million: so many milliseconds after half a second ago.
fn deadline() -> impl Strategy<Value = u64> {
    prop_oneof![8 => span(8_000), 6 => span(500_000), 4 => Just(u64::MAX)]
}

fn value() -> impl Strategy<Value = Value> {
    let data = prop_oneof![Just("1"), Just("no JSON"), Just(r#"{"__type":"error","message":"no"}"#)];
    let names = prop_oneof![Just("everstep:code"), Just("everstep:subject"), Just("everstep:schema"), Just("other")];
    let headers = btree_map(names.prop_map(str::to_owned), "denied|what\\?", 0..3);
    (headers, weighted(0.7, data.prop_map(str::to_owned))).prop_map(|(headers, data)| Value { headers, data })
}

fn tags() -> impl Strategy<Value = BTreeMap<String, String>> {
    let maybe = |probability, name: &'static str, values: Vec<&'static str>| {
        let value = prop::sample::select(values).prop_map(str::to_owned);
        weighted(probability, value).prop_map(move |value| value.map(|value| (name.to_owned(), value)))
    };
    let calls = prop::bool::weighted(0.2)
        .prop_map(|calls| if calls { invocation().tags(ADDRESSES[0]) } else { BTreeMap::new() });
    let ours = (
        maybe(0.6, tag::TARGET, targets()),
        maybe(0.2, tag::TIMER, vec!["true", "true", "false"]),
        maybe(0.3, tag::EXTERNAL, vec!["true", "true", "no"]),
        maybe(0.3, "everstep:kind", vec!["input", "request"]),
        maybe(0.3, "team", vec!["red", "blue"]),
        maybe(0.03, tag::DELAY, vec!["0", "99999999999999", "soon"]),
    );
    let lineage = (
        maybe(0.1, tag::ORIGIN, IDS.to_vec()),
        maybe(0.3, tag::BRANCH, vec!["a", "a", "b", "a:0", "a.0"]),
        maybe(0.1, tag::PARENT, IDS.to_vec()),
        maybe(0.05, tag::PREFIX, vec!["a", "a.0", "a:0"]),
    );
    (calls, ours, lineage).prop_map(|(mut tags, ours, lineage)| {
        tags.extend([ours.0, ours.1, ours.2, ours.3, ours.4, ours.5].into_iter().flatten());
        tags.extend([lineage.0, lineage.1, lineage.2, lineage.3].into_iter().flatten());
        tags
    })
}

fn awaited() -> impl Strategy<Value = Vec<String>> {
    let one = || prop_oneof![12 => place("kin"), 1 => place("any"), 1 => id()];
    prop_oneof![8 => vec(one(), 1), 4 => vec(one(), 2..4), 1 => Just(Vec::new())]
}

/// Mostly addresses.
fn targets() -> Vec<&'static str> {
    [&ADDRESSES[..], &ADDRESSES[..], &ADDRESSES[..], &["nowhere"]].concat()
}

fn address() -> impl Strategy<Value = String> {
    let wrong = ["poll://any@", "poll://uni@clients", "poll://uni@clients/", "https:///hook", "ftp://example.com", ""];
    prop_oneof![
        8 => prop::sample::select(ADDRESSES.to_vec()),
        1 => prop::sample::select(wrong.to_vec()),
    ]
    .prop_map(str::to_owned)
}

fn settlement() -> impl Strategy<Value = Settlement> {
    let ends = PROMISE_STATES[1..4].to_vec();
    let state = prop_oneof![12 => prop::sample::select(ends), 1 => prop::sample::select(PROMISE_STATES.to_vec())];
    (id(), state, value()).prop_map(|(id, state, value)| Settlement { id, state, value })
}

fn wanted_tags() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map("team", "red|blue", 0..2)
}

fn page() -> impl Strategy<Value = Page> {
    let limit = prop_oneof![4 => 1..3_u64, 1 => Just(1_000), 1 => Just(0), 1 => Just(1_001)];
    (weighted(0.6, limit), weighted(0.3, id())).prop_map(|(limit, cursor)| Page { limit, cursor })
}

fn pid() -> impl Strategy<Value = String> {
    prop_oneof![8 => Just("p"), 8 => Just("q"), 1 => Just("")].prop_map(str::to_owned)
}

fn ttl() -> impl Strategy<Value = u64> {
    prop_oneof![12 => span(6_000), 1 => Just(0), 2 => Just(u64::MAX)]
}

/// 0 to 17: the version of the task, 18: the next one, 19: the one before.
fn version() -> impl Strategy<Value = u64> {
    0..20_u64
}

fn schedule_id() -> impl Strategy<Value = String> {
    prop_oneof![8 => Just("s"), 8 => Just("t"), 1 => Just("s.0"), 1 => Just("")].prop_map(str::to_owned)
}

fn new_schedule() -> impl Strategy<Value = NewSchedule> {
    let crons = CRONS.iter().map(|(cron, _)| *cron).chain(["bad", "0 0 30 2 *"]).collect::<Vec<_>>();
    let cron = prop_oneof![1 => prop::sample::select(crons), 2 => Just(CRONS[0].0)].prop_map(str::to_owned);
    let names = ["{{.id}}.{{.timestamp}}", "{{.id}}:{{.timestamp}}", "a.0", "b.1", ""];
    let promise_id = prop::sample::select(names.to_vec()).prop_map(str::to_owned);
    let timeout = prop_oneof![4 => 0..5_000_u64, 1 => Just(u64::MAX)];
    let missed = weighted(0.4, prop::sample::select(vec!["skip", "catch-up"]));
    (schedule_id(), cron, promise_id, timeout, value(), tags(), missed).prop_map(
        |(id, cron, promise_id, promise_timeout, promise_param, mut promise_tags, missed)| {
            promise_tags.extend(missed.map(|missed| ("everstep:missed".to_owned(), missed.to_owned())));
            NewSchedule { id, cron, promise_id, promise_timeout, promise_param, promise_tags }
        },
    )
}

impl Step {
    /// The changes of the step in the state of the model.
    pub(super) fn commit(&self, model: &Model, now: u64) -> Commit {
        let mut commit = Commit::default();
        let mut created = Vec::new();
        for operation in &self.operations {
            let operation = Box::new(Place { model, now }.operation(operation.clone()));
            let then = beside(model, &operation, &mut created);
            commit.ids.extend(new_ids(&operation));
            commit.changes.push(Change::Operation { now_ms: now, operation, then });
        }
        if let Some((execution, steps)) = self.progress
            && let Some((known, _)) = model.executions.get(execution)
        {
            let error = (steps % 2 == 0).then(|| Failure { kind: FailureKind::Limit, message: "no fuel".to_owned() });
            let progress = Progress { error, steps, cpu_us: steps, updated_ms: now };
            commit.changes.push(Change::Progress(known.key, Box::new(progress)));
        }
        if self.spoilt {
            let nobody = Change::Append { key: ExecutionKey(u32::MAX), segment: 0, bytes: Vec::new(), seal: None };
            commit.changes.push(nobody);
        }
        commit
    }
}

/// What is kept of an execution that a claim may create.
fn beside(model: &Model, operation: &Operation, created: &mut Vec<ExecutionId>) -> Vec<Change> {
    let id = match operation {
        Operation::TaskCreate { promise, .. } => &promise.id,
        Operation::TaskAcquire { id, .. } => id,
        _ => return Vec::new(),
    };
    let Ok(id) = id.parse::<ExecutionId>() else { return Vec::new() };
    let known = model.executions.iter().any(|(execution, _)| execution.id == id);
    if known || created.contains(&id) {
        return Vec::new();
    }
    created.push(id.clone());
    let last = model.executions.iter().map(|(execution, _)| execution.key.0).max().unwrap_or_default();
    let key = ExecutionKey(last + created.len() as u32);
    let Invocation { component, policy, .. } = invocation();
    vec![Change::Create(Box::new(NewExecution { key, id, component, policy, seed: [7; 32] }))]
}

fn new_ids(operation: &Operation) -> Vec<String> {
    match operation {
        Operation::PromiseCreate(new)
        | Operation::TaskCreate { promise: new, .. }
        | Operation::TaskFence { action: FenceAction::Create(new), .. } => vec![new.id.clone()],
        _ => Vec::new(),
    }
}

/// Where numbers and ids get their meaning.
struct Place<'m> {
    model: &'m Model,
    now: u64,
}

impl Place<'_> {
    fn operation(&self, mut operation: Operation) -> Operation {
        match &mut operation {
            Operation::PromiseCreate(new) | Operation::TaskCreate { promise: new, .. } => self.promise(new),
            Operation::PromiseSettle(settlement) => self.id(&mut settlement.id),
            Operation::TaskFulfill { version, settlement } => self.task(&mut settlement.id, version),
            Operation::RegisterCallback { awaited, awaiter } => {
                self.id(awaiter);
                self.id_beside(awaiter, awaited);
            }
            Operation::TaskFence { id, version, action } => {
                self.task(id, version);
                match action {
                    FenceAction::Create(new) => self.promise(new),
                    FenceAction::Settle(settlement) => self.id(&mut settlement.id),
                }
            }
            Operation::TaskSuspend { id, version, awaited } => {
                self.task(id, version);
                awaited.iter_mut().for_each(|awaited| self.id_beside(id, awaited));
            }
            Operation::TaskAcquire { id, version, .. } | Operation::TaskRelease { id, version } => {
                self.task(id, version)
            }
            Operation::TaskHeartbeat { tasks, .. } => {
                tasks.iter_mut().for_each(|(id, version)| self.task(id, version));
            }
            Operation::RegisterListener { awaited: id, .. }
            | Operation::PromiseGet { id }
            | Operation::TaskHalt { id }
            | Operation::TaskContinue { id }
            | Operation::TaskGet { id }
            | Operation::CancelTree { id } => self.id(id),
            Operation::PromiseSearch { page, .. } | Operation::TaskSearch { page, .. } => {
                page.cursor.iter_mut().for_each(|cursor| self.id(cursor));
            }
            Operation::ScheduleCreate(_)
            | Operation::ScheduleGet { .. }
            | Operation::ScheduleDelete { .. }
            | Operation::ScheduleSearch { .. }
            | Operation::Sweep => {}
        }
        operation
    }

    fn promise(&self, new: &mut NewPromise) {
        new.id = new.id.replace('~', self.model.separator());
        if new.timeout_at < 1_000_000 {
            new.timeout_at += self.now - 500;
        }
    }

    fn task(&self, id: &mut String, version: &mut u64) {
        self.id(id);
        let held = self.model.task(id).map_or(0, |task| task.version);
        *version = match *version {
            18 => held + 1,
            19 => held.saturating_sub(1),
            _ => held,
        };
    }

    fn id(&self, id: &mut String) {
        self.id_beside("", id);
    }

    /// Whether an open promise lies below.
    fn is_root(&self, id: &str) -> bool {
        let open = self.model.promises.iter().filter(|promise| promise.state == PromiseState::Pending);
        open.filter_map(|promise| promise.id.strip_prefix(id)).any(|rest| rest.starts_with('.'))
    }

    fn id_beside(&self, other: &str, id: &mut String) {
        let Some(place) = id.strip_prefix('?') else { return };
        let (what, number) = place.split_at(place.len() - 1);
        let is_kin = |id: &str| id != other && self.model.is_kin(other, id);
        let promises = self.model.promises.iter().filter(|promise| match what {
            "any" => true,
            "open" => promise.state == PromiseState::Pending,
            "kin" => promise.state == PromiseState::Pending && is_kin(&promise.id),
            "root" => self.is_root(&promise.id),
            "ended" => promise.state != PromiseState::Pending && is_kin(&promise.id),
            state => self.model.task(&promise.id).is_some_and(|task| task.state.name() == state),
        });
        let mut ids: Vec<_> = promises.map(|promise| &*promise.id).collect();
        if ids.is_empty() {
            ids.extend(IDS.into_iter().filter(|id| other.is_empty() || is_kin(id)));
        }
        let number: usize = number.parse().unwrap_or(0);
        *id = ids.get(number % ids.len().max(1)).map_or("b", |id| id).to_owned();
    }
}
