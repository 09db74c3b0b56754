//! Lists in answers: they end at a size, and nothing is lost by that.

use super::*;
use crate::operation::{FenceAction, LIST_BYTES};
use crate::record::{Entry, tag};

const LARGE: usize = 1 << 20;
const COUNT: usize = 20;

fn large() -> Value {
    Value { data: Some("x".repeat(LARGE)), ..Value::default() }
}

fn tags(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn large_promise(id: &str, of: &[(&str, &str)]) -> NewPromise {
    NewPromise { param: large(), ..new_promise(id, tags(of)) }
}

fn page(cursor: Option<String>) -> Page {
    Page { limit: Some(1_000), cursor }
}

fn bytes<T: Entry>(list: &[T]) -> usize {
    list.iter().map(Entry::bytes).sum()
}

/// Follows the cursors of a search; returns the ids of all pages, and how many pages there were.
fn found<T: Entry>(mut next: impl FnMut(Page) -> (Vec<T>, Option<String>)) -> (Vec<String>, usize) {
    let (mut ids, mut cursor, mut pages) = (Vec::new(), None, 0);
    loop {
        let (list, more) = next(page(cursor));
        let last = list.last().unwrap();
        assert!(bytes(&list) - last.bytes() < LIST_BYTES, "a page of {} bytes", bytes(&list));
        assert!(more.as_deref().is_none_or(|cursor| cursor == last.id() && bytes(&list) >= LIST_BYTES));
        ids.extend(list.iter().map(|entry| entry.id().to_owned()));
        pages += 1;
        if more.is_none() {
            return (ids, pages);
        }
        cursor = more;
    }
}

fn promises(stores: &mut Stores, tags: BTreeMap<String, String>, page: Page) -> (Vec<Promise>, Option<String>) {
    match operate(stores, Operation::PromiseSearch { state: None, tags, page }).answer {
        Ok(Reply::Promises(promises, cursor)) => (promises, cursor),
        other => panic!("{other:?}"),
    }
}

fn ids() -> Vec<String> {
    (0..COUNT).map(|number| format!("p{number:02}")).collect()
}

#[test]
fn a_search_for_large_promises_finds_each_of_them_once_in_pages_of_a_bounded_size() {
    each_store(|stores| {
        for id in ids() {
            operate(stores, Operation::PromiseCreate(large_promise(&id, &[("team", "red")])));
        }
        operate(stores, Operation::PromiseCreate(large_promise("q", &[])));
        let red = tags(&[("team", "red")]);
        assert_eq!(found(|page| promises(stores, red.clone(), page)), (ids(), 3));
        let limited = promises(stores, BTreeMap::new(), Page { limit: Some(3), cursor: None });
        assert_eq!((limited.0.len(), limited.1.as_deref()), (3, Some("p02")), "the limit is there as well");
        let (rest, cursor) = promises(stores, red, page(Some("p11".to_owned())));
        assert_eq!((rest.len(), cursor), (8, None), "a full page after which nothing is found has no cursor");
    });
}

#[test]
fn a_promise_that_is_larger_than_a_page_is_a_page_of_its_own() {
    each_store(|stores| {
        for id in ["a", "b"] {
            let param = Value { data: Some("x".repeat(LIST_BYTES + 1)), ..Value::default() };
            operate(stores, Operation::PromiseCreate(NewPromise { param, ..new_promise(id, BTreeMap::new()) }));
        }
        let all = found(|page| promises(stores, BTreeMap::new(), page));
        assert_eq!(all, (vec!["a".to_owned(), "b".to_owned()], 2));
    });
}

#[test]
fn many_small_tags_count_for_the_memory_that_they_take() {
    each_store(|stores| {
        let tags: BTreeMap<_, _> = (0..50_000).map(|number| (number.to_string(), String::new())).collect();
        for id in &ids()[..6] {
            operate(stores, Operation::PromiseCreate(new_promise(id, tags.clone())));
        }
        let all = found(|page| promises(stores, BTreeMap::new(), page));
        assert_eq!(all, (ids()[..6].to_vec(), 2));
    });
}

#[test]
fn a_search_for_tasks_of_processes_with_long_names_has_a_bound() {
    each_store(|stores| {
        for id in ids() {
            let promise = new_promise(&id, invocation().tags("poll://any@workers"));
            operate(stores, Operation::TaskCreate { pid: "p".repeat(LARGE), ttl: u64::MAX, promise });
        }
        let search = |page| match operate(stores, Operation::TaskSearch { state: None, page }).answer {
            Ok(Reply::Tasks(tasks, cursor)) => (tasks, cursor),
            other => panic!("{other:?}"),
        };
        assert_eq!(found(search), (ids(), 3));
    });
}

#[test]
fn a_search_for_schedules_of_large_promises_has_a_bound() {
    each_store(|stores| {
        for id in ids() {
            let (cron, promise_id) = ("0 0 * * *".to_owned(), "{{.id}}.{{.timestamp}}".to_owned());
            let (promise_timeout, promise_param, promise_tags) = (1, large(), BTreeMap::new());
            let new = NewSchedule { id, cron, promise_id, promise_timeout, promise_param, promise_tags };
            operate(stores, Operation::ScheduleCreate(new));
        }
        let search = |page| match operate(stores, Operation::ScheduleSearch { tags: BTreeMap::new(), page }).answer {
            Ok(Reply::Schedules(schedules, cursor)) => (schedules, cursor),
            other => panic!("{other:?}"),
        };
        assert_eq!(found(search), (ids(), 3));
    });
}

/// Its holder reads the others by their ids, as it does those of other branches.
#[test]
fn a_task_comes_with_the_first_promises_of_its_branch_up_to_a_size() {
    each_store(|stores| {
        for id in ids() {
            operate(stores, Operation::PromiseCreate(large_promise(&id, &[(tag::BRANCH, "a")])));
        }
        let target = &[(tag::BRANCH, "a"), (tag::TARGET, "poll://any@workers")];
        operate(stores, Operation::PromiseCreate(large_promise("a", target)));
        operate(stores, settle("p19", PromiseState::Resolved));
        let check = |what: &str, preload: Vec<Promise>| {
            let had: Vec<_> = preload.iter().map(|promise| promise.id.clone()).collect();
            assert_eq!(had, ids()[..8], "{what}");
            assert!(bytes(&preload) < LIST_BYTES + 2 * LARGE, "{what}");
        };
        let acquire = Operation::TaskAcquire { id: "a".to_owned(), version: 0, pid: "p".to_owned(), ttl: u64::MAX };
        match operate(stores, acquire).answer {
            Ok(Reply::Claimed { preload, .. }) => check("acquire", preload),
            other => panic!("{other:?}"),
        }
        let action = FenceAction::Settle(settlement("p18", PromiseState::Resolved, None));
        match operate(stores, Operation::TaskFence { id: "a".to_owned(), version: 1, action }).answer {
            Ok(Reply::Fenced { preload, .. }) => check("fence", preload),
            other => panic!("{other:?}"),
        }
        let awaited = vec!["p19".to_owned()];
        match operate(stores, Operation::TaskSuspend { id: "a".to_owned(), version: 1, awaited }).answer {
            Ok(Reply::GoOn(preload)) => check("suspend", preload),
            other => panic!("{other:?}"),
        }
    });
}
