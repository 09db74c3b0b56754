//! A commit happens whole, or not at all.

use super::*;

/// All that can be read of promises, tasks and schedules.
#[derive(Debug, PartialEq)]
pub(super) struct Contents {
    promises: Vec<(Promise, Option<Task>)>,
    schedules: Vec<Schedule>,
    executions: Vec<Execution>,
    asked: Vec<PendingPromise>,
    offers: Vec<String>,
    next_due: Option<u64>,
}

pub(super) fn contents(store: &dyn Backend) -> Contents {
    let all = Operation::PromiseSearch { state: None, tags: BTreeMap::new(), page: Page::default() };
    let Ok(Reply::Promises(promises, None)) = store.operate(9, all).unwrap().answer else { panic!("no search") };
    Contents {
        promises: promises.iter().map(|promise| store.promise(&promise.id).unwrap().unwrap()).collect(),
        schedules: store.schedules().unwrap(),
        executions: store.executions().unwrap(),
        asked: store.promises().unwrap(),
        offers: store.offers().unwrap(),
        next_due: store.next_due().unwrap(),
    }
}

fn schedule(id: &str) -> Operation {
    Operation::ScheduleCreate(NewSchedule {
        id: id.to_owned(),
        cron: "* * * * *".to_owned(),
        promise_id: "{{.id}}/{{.timestamp}}".to_owned(),
        promise_timeout: 1,
        promise_param: Value::default(),
        promise_tags: BTreeMap::new(),
    })
}

/// A task that waits, an address that listens, a question, a schedule.
fn populate(stores: &mut Stores) -> Execution {
    let before = create(stores, "a");
    let (held, address) = ("a.1".to_owned(), "poll://uni@clients/c".to_owned());
    let suspend = Operation::TaskSuspend { id: "a".to_owned(), version: 1, awaited: vec![held.clone()] };
    stores().commit(&[append(before.key.unwrap(), 0, "one"), ask(&pending("a", 1, 1))]).unwrap();
    for operation in [suspend, Operation::RegisterListener { awaited: held, address }, schedule("s")] {
        operate(stores, operation).answer.unwrap();
    }
    before
}

/// Every kind of change, and most kinds of operations.
fn all_changes(key: ExecutionKey) -> Vec<Change> {
    let (other, operation) = (ExecutionKey(50), |operation| Change::operation(9, operation));
    let ids = || ("b".to_owned(), "a.1".to_owned());
    let (awaiter, awaited) = ids();
    vec![
        take_up(other, "b"),
        append(other, 0, "lost"),
        append(key, 1, "lost"),
        Change::Progress(key, Box::new(Progress { steps: 9, ..Progress::default() })),
        Change::Component(key, Digest::of(b"lost")),
        ask(&pending("b", 2, 1)),
        operation(Operation::RegisterCallback { awaited, awaiter }),
        operation(settle("a.1", PromiseState::Resolved)),
        operation(Operation::TaskAcquire { id: "a".to_owned(), version: 1, pid: "host".to_owned(), ttl: 7 }),
        operation(schedule("t")),
        operation(Operation::ScheduleDelete { id: "s".to_owned() }),
        operation(Operation::CancelTree { id: "b".to_owned() }),
        Change::operation(60_000, Operation::Sweep),
        Change::Blob(Digest::of(b"lost"), b"lost".to_vec().into()),
    ]
}

#[test]
fn a_list_with_one_bad_change_leaves_nothing() {
    each_store(|stores| {
        let before = populate(stores);
        let key = before.key.unwrap();
        let found = contents(&*stores());
        let mut changes = all_changes(key);
        changes.push(append(key, 7, "bad"));
        refused(&*stores(), &changes);
        assert_eq!(contents(&*stores()), found);
        let store = stores();
        assert_eq!(store.journal(key).unwrap(), (b"one".to_vec(), 1));
        assert_eq!(store.journal(ExecutionKey(50)).unwrap(), (Vec::new(), 0));
        assert_eq!(store.blob(&Digest::of(b"lost")).unwrap(), None);
    });
}

/// What was taken back leaves no callback, no listener and no id behind: the same changes have the same outcome afterwards.
#[test]
fn a_list_that_was_taken_back_can_be_applied() {
    let mut outcomes = Vec::new();
    each_store(|stores| {
        let key = populate(stores).key.unwrap();
        let changes = all_changes(key);
        refused(&*stores(), &[&changes[..], &[append(key, 7, "bad")]].concat());
        let applied = stores().commit(&changes).unwrap();
        outcomes.push((applied, contents(&*stores())));
    });
    each_store(|stores| {
        let key = populate(stores).key.unwrap();
        let applied = stores().commit(&all_changes(key)).unwrap();
        outcomes.push((applied, contents(&*stores())));
    });
    assert!(outcomes.iter().all(|outcome| outcome == &outcomes[0]), "{outcomes:#?}");
    let events: Vec<_> = outcomes[0].0.iter().flat_map(|applied| &applied.events).collect();
    assert!(events.iter().any(|event| matches!(event, Event::Unblock { .. })), "{events:#?}");
    assert!(events.iter().any(|event| matches!(event, Event::Execute { id, .. } if id == "a")), "{events:#?}");
}

#[test]
fn a_refused_operation_is_an_answer_and_others_go_on() {
    each_store(|stores| {
        let get = |id: &str| Operation::PromiseGet { id: id.to_owned() };
        let changes = [get("missing"), task_create("a"), task_create("a"), get("a")];
        let applied = stores().commit(&changes.map(|operation| Change::operation(5, operation))).unwrap();
        let statuses = applied.iter().map(|applied| applied.answer.as_ref().err().map(|refusal| refusal.status));
        assert_eq!(statuses.collect::<Vec<_>>(), [Some(Status::NotFound), None, Some(Status::Conflict), None]);
    });
}
