//! Against the server of this crate, in each of its manners.

use super::{PATIENCE, PID, Served, TARGET, TOKEN, TTL, connect, next, options, promise, reply, settlement, value};
use crate::Manner;
use crate::client::{Client, Error, Message};
use everstep_store::MemoryStore;
use everstep_store::operation::{Dialect, FenceAction, NewSchedule, Operation, Page, Refusal, Reply, Status};
use everstep_store::record::{Lease, NEVER, Promise, PromiseState, TaskState, Value, tag};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::time::timeout;

const MANNERS: [Manner; 4] = [Manner::Permissive, Manner::A, Manner::B, Manner::C];

fn id(text: &str) -> String {
    text.to_owned()
}

async fn started(manner: Manner) -> (Served, Client) {
    let served = Served::start(manner).await;
    let client = connect(&served.url, options()).await.unwrap();
    assert_eq!(client.dialect(), manner.dialect());
    (served, client)
}

async fn created(client: &Client, new: &str, has_task: bool) -> Promise {
    match reply(client, &Operation::PromiseCreate(promise(new, has_task))).await {
        Reply::Promise(promise) => promise,
        other => panic!("{other:?}"),
    }
}

async fn acquired(client: &Client, task: &str, version: u64) -> (u64, Promise, Vec<Promise>) {
    let acquire = Operation::TaskAcquire { id: id(task), version, pid: id(PID), ttl: TTL };
    match reply(client, &acquire).await {
        Reply::Claimed { task: claimed, promise, preload } => {
            assert_eq!((&*claimed.id, claimed.state), (task, TaskState::Acquired));
            assert_eq!(claimed.lease, Some(Lease { pid: id(PID), ttl: TTL, expires_at: NEVER }));
            (claimed.version, promise, preload)
        }
        other => panic!("{other:?}"),
    }
}

async fn refused(client: &Client, operation: Operation) -> Status {
    client.operate(&operation).await.unwrap().answer.unwrap_err().status
}

#[tokio::test]
async fn promises_are_created_settled_and_found() {
    for manner in MANNERS {
        let (_served, client) = started(manner).await;
        let first = created(&client, "a.0", false).await;
        let new = promise("a.0", false);
        assert_eq!((&first.id, &first.param, &first.tags), (&new.id, &new.param, &new.tags));
        assert_eq!((first.state, first.timeout_at, first.settled_at), (PromiseState::Pending, NEVER, None));
        assert_eq!(created(&client, "a.0", false).await, first);
        created(&client, "a.1", false).await;
        let settle = |name: &str| Operation::PromiseSettle(settlement(name, "7"));
        let Reply::Promise(settled) = reply(&client, &settle("a.0")).await else { panic!() };
        assert_eq!((settled.state, &settled.value), (PromiseState::Resolved, &value("7")));
        assert_eq!(reply(&client, &Operation::PromiseGet { id: id("a.0") }).await, Reply::Promise(settled.clone()));
        assert_eq!(refused(&client, settle("a.7")).await, Status::NotFound);
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let page = Page { limit: Some(1), cursor };
            let tags = BTreeMap::from([(id(tag::PARENT), id("a"))]);
            let search = Operation::PromiseSearch { state: None, tags, page };
            let Reply::Promises(promises, more) = reply(&client, &search).await else { panic!() };
            found.extend(promises.into_iter().map(|promise| promise.id));
            cursor = more;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, ["a.0", "a.1"]);
    }
}

#[tokio::test]
async fn a_task_goes_through_all_its_states() {
    for manner in MANNERS {
        let (_served, client) = started(manner).await;
        let mut messages = client.messages(id("workers"), id("w.1/ü"));
        assert_eq!(next(&mut messages).await, Message::Connected);
        created(&client, "a", true).await;
        let execute = |task: &str, version| Message::Execute { id: id(task), version };
        assert_eq!(next(&mut messages).await, execute("a", 0));
        let (version, _, preload) = acquired(&client, "a", 0).await;
        assert_eq!((version, preload), (1, Vec::new()));

        // Steps.
        let fence = |action| Operation::TaskFence { id: id("a"), version: 1, action };
        let fenced = |reply: Reply| match reply {
            Reply::Fenced { answer, .. } => *answer,
            other => panic!("{other:?}"),
        };
        let create = |name: &str| fence(FenceAction::Create(promise(name, false)));
        for name in ["a.0", "a.1"] {
            let answer = fenced(reply(&client, &create(name)).await);
            assert!(matches!(answer, Ok(Reply::Promise(found)) if found.id == name));
        }
        let settle = |name: &str| fence(FenceAction::Settle(settlement(name, "1")));
        assert!(fenced(reply(&client, &settle("a.0")).await).is_ok());
        let missing = fenced(reply(&client, &settle("a.7")).await);
        assert!(matches!(missing, Err(Refusal { status: Status::NotFound, .. })));

        // Waiting.
        let suspend = |awaited: &[&str]| Operation::TaskSuspend {
            id: id("a"),
            version: 1,
            awaited: awaited.iter().map(|name| id(name)).collect(),
        };
        let Reply::GoOn(preload) = reply(&client, &suspend(&["a.0", "a.1"])).await else { panic!() };
        assert_eq!(preload.iter().map(|promise| &*promise.id).collect::<Vec<_>>(), ["a.0", "a.1"]);
        assert_eq!(reply(&client, &suspend(&["a.1", "a.1"])).await, Reply::Done);
        assert_eq!(refused(&client, suspend(&["a.1"])).await, Status::Conflict);
        reply(&client, &Operation::PromiseSettle(settlement("a.1", "2"))).await;
        assert_eq!(next(&mut messages).await, execute("a", 1));

        // Releasing, parking, and the end.
        let (version, _, preload) = acquired(&client, "a", 1).await;
        assert_eq!((version, preload.len()), (2, 2));
        reply(&client, &Operation::TaskRelease { id: id("a"), version }).await;
        assert_eq!(next(&mut messages).await, execute("a", 2));
        reply(&client, &Operation::TaskHalt { id: id("a") }).await;
        let Reply::Task(task) = reply(&client, &Operation::TaskGet { id: id("a") }).await else { panic!() };
        assert_eq!((task.state, task.version, task.lease), (TaskState::Halted, 2, None));
        reply(&client, &Operation::TaskContinue { id: id("a") }).await;
        assert_eq!(next(&mut messages).await, execute("a", 2));
        let (version, ..) = acquired(&client, "a", 2).await;
        let fulfill = Operation::TaskFulfill { version, settlement: settlement("a", "3") };
        assert!(matches!(reply(&client, &fulfill).await, Reply::Promise(ended) if ended.value == value("3")));
        assert_eq!(refused(&client, fulfill).await, Status::Conflict);
        let search = Operation::TaskSearch { state: Some(TaskState::Fulfilled), page: Page::default() };
        let Reply::Tasks(tasks, None) = reply(&client, &search).await else { panic!() };
        assert_eq!(tasks.iter().map(|task| &*task.id).collect::<Vec<_>>(), ["a"]);
    }
}

#[tokio::test]
async fn detached_executions_keep_their_ids() {
    let task = "a:d0123456789abcdef";
    let step = "a:d0123456789abcdef.3";
    for manner in MANNERS {
        let (_served, client) = started(manner).await;
        let mut new = promise(task, true);
        let origin = if manner == Manner::C { "a" } else { task };
        new.tags.extend([tag::ORIGIN, tag::PARENT].map(|name| (id(name), id(origin))));
        let create = Operation::TaskCreate { pid: id(PID), ttl: TTL, promise: new.clone() };
        let Reply::Claimed { task: claimed, promise: of, .. } = reply(&client, &create).await else { panic!() };
        assert_eq!((&*claimed.id, claimed.version, &*of.id, &of.tags), (task, 1, task, &new.tags));
        let mut below = promise(step, false);
        below.tags.extend(
            [(tag::ORIGIN, origin), (tag::PARENT, task), (tag::BRANCH, task)].map(|(name, of)| (id(name), id(of))),
        );
        let fence = Operation::TaskFence { id: id(task), version: 1, action: FenceAction::Create(below) };
        let Reply::Fenced { answer, .. } = reply(&client, &fence).await else { panic!() };
        assert!(matches!(&*answer, Ok(Reply::Promise(found)) if found.id == step), "{answer:?}");
    }
}

#[tokio::test]
async fn a_heartbeat_has_one_request_for_each_origin() {
    for manner in MANNERS {
        let (_served, client) = started(manner).await;
        for task in ["a", "a.1", "b"] {
            created(&client, task, true).await;
            acquired(&client, task, 0).await;
        }
        let tasks = ["a", "a.1", "b", "c"].map(|task| (id(task), 1)).to_vec();
        for tasks in [tasks, Vec::new()] {
            let heartbeat = Operation::TaskHeartbeat { pid: id(PID), tasks };
            assert_eq!(reply(&client, &heartbeat).await, Reply::Done);
        }
    }
}

#[tokio::test]
async fn a_listener_hears_of_a_settled_promise() {
    for manner in MANNERS {
        let (_served, client) = started(manner).await;
        let mut messages = client.messages(id("clients"), id("c1"));
        assert_eq!(next(&mut messages).await, Message::Connected);
        created(&client, "a.1", false).await;
        let listen = Operation::RegisterListener { awaited: id("a.1"), address: id("poll://uni@clients/c1") };
        assert!(matches!(reply(&client, &listen).await, Reply::Promise(_)));
        let Reply::Promise(settled) = reply(&client, &Operation::PromiseSettle(settlement("a.1", "2"))).await else {
            panic!()
        };
        assert_eq!(next(&mut messages).await, Message::Unblock(settled));
    }
}

#[tokio::test]
async fn schedules_keep_their_ids() {
    for manner in MANNERS {
        let (_served, client) = started(manner).await;
        let name = if manner == Manner::B { "nightly" } else { "nightly.backup" };
        let new = NewSchedule {
            id: id(name),
            cron: id("0 0 1 1 *"),
            promise_id: id("{{.id}}-{{.timestamp}}"),
            promise_timeout: 60_000,
            promise_param: value("[1]"),
            promise_tags: BTreeMap::from([(id(tag::TARGET), id(TARGET))]),
        };
        let Reply::Schedule(schedule) = reply(&client, &Operation::ScheduleCreate(new.clone())).await else { panic!() };
        assert_eq!((&schedule.id, &schedule.promise_id, &schedule.cron), (&new.id, &new.promise_id, &new.cron));
        assert_eq!((&schedule.promise_param, &schedule.promise_tags), (&new.promise_param, &new.promise_tags));
        let get = Operation::ScheduleGet { id: id(name) };
        assert_eq!(reply(&client, &get).await, Reply::Schedule(schedule.clone()));
        let search = Operation::ScheduleSearch { tags: BTreeMap::new(), page: Page::default() };
        assert_eq!(reply(&client, &search).await, Reply::Schedules(vec![schedule], None));
        assert_eq!(reply(&client, &Operation::ScheduleDelete { id: id(name) }).await, Reply::Done);
        assert_eq!(refused(&client, get).await, Status::NotFound);
    }
}

#[tokio::test]
async fn messages_come_again_after_the_server_was_restarted() {
    let store = Arc::new(MemoryStore::with_dialect(Dialect::C));
    let served = Served::over(store.clone(), Manner::C, None, "127.0.0.1:0".parse().unwrap()).await;
    let client = connect(&served.url, options()).await.unwrap();
    let mut messages = client.messages(id("workers"), id("w"));
    assert_eq!(next(&mut messages).await, Message::Connected);
    let address = served.address;
    served.stop().await;
    assert!(matches!(next(&mut messages).await, Message::Disconnected(_)));
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.operate(&Operation::PromiseCreate(promise("a.1", true))).await }
    });
    let served = Served::over(store, Manner::C, None, address).await;
    loop {
        match next(&mut messages).await {
            Message::Connected => break,
            Message::Disconnected(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(waiting.await.unwrap().unwrap().answer.is_ok());
    assert_eq!(next(&mut messages).await, Message::Execute { id: id("a.1"), version: 0 });
    drop(messages);
    // The server would wait for the stream otherwise.
    timeout(PATIENCE, served.stop()).await.unwrap();
}

#[tokio::test]
async fn a_token_is_shown_and_never_repeated() {
    let store = Arc::new(MemoryStore::with_dialect(Dialect::B));
    let served = Served::over(store, Manner::B, Some(TOKEN), "127.0.0.1:0".parse().unwrap()).await;
    let with = |token: Option<&str>| crate::client::Options { token: token.map(str::to_owned), ..options() };
    let client = connect(&served.url, with(Some(TOKEN))).await.unwrap();
    let mut messages = client.messages(id("workers"), id("w"));
    assert_eq!(next(&mut messages).await, Message::Connected);
    assert!(!format!("{client:?} {:?}", with(Some(TOKEN))).contains(TOKEN));
    for wrong in [None, Some("wrong-token")] {
        let error = connect(&served.url, with(wrong)).await.unwrap_err();
        assert!(matches!(error, Error::Unauthorized { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("wrong-token"));
    }
    assert!(matches!(connect(&served.url, with(Some("a\nb"))).await.unwrap_err(), Error::Token));
}

#[tokio::test]
async fn a_request_that_no_server_takes_is_not_sent() {
    let (_served, client) = started(Manner::Permissive).await;
    let mut new = promise("a", false);
    new.param = Value { data: Some("x".repeat(2 << 20)), ..Value::default() };
    let error = client.operate(&Operation::PromiseCreate(new)).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { size, limit: 2_097_152, .. } if size > 2 << 20), "{error}");
    assert!(error.to_string().contains("2097152"));
    for operation in [Operation::Sweep, Operation::CancelTree { id: id("a") }] {
        assert!(matches!(client.operate(&operation).await.unwrap_err(), Error::NoRequest { .. }));
    }
}
