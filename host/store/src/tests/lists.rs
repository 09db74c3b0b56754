//! Lists of executions: what a query asks for, in order, whatever its pages.

use super::*;

/// Executions of two functions in every state, several of one moment, and a task that calls nothing.
fn populate_list(stores: &mut Stores) {
    let awaited = new_promise("awaited", BTreeMap::new());
    operate(stores, Operation::PromiseCreate(awaited));
    let target = BTreeMap::from([(record::tag::TARGET.to_owned(), "poll://any@workers".to_owned())]);
    let param = Value { data: Some("no JSON".to_owned()), ..Value::default() };
    for number in 0..40 {
        let id = format!("e{}", number * 7 % 40);
        let new = match number {
            // A stranger's.
            9 | 30 => NewPromise { param: param.clone(), ..new_promise(&id, target.clone()) },
            _ => {
                let function = if number % 3 == 0 { "rare \"ü\"" } else { "count" }.to_owned();
                let param = Invocation { function, ..invocation() }.param();
                NewPromise { param, timeout_at: 50, ..new_promise(&id, invocation().tags("poll://any@workers")) }
            }
        };
        let create = Operation::TaskCreate { pid: "host".to_owned(), ttl: u64::MAX, promise: new };
        let awaited = vec!["awaited".to_owned()];
        let then = match number % 8 {
            0 => Some(Operation::TaskRelease { id, version: 1 }),
            1 => Some(Operation::TaskSuspend { id, version: 1, awaited }),
            2 => Some(Operation::TaskHalt { id }),
            3 => Some(settle(&id, PromiseState::Resolved)),
            4 => Some(settle(&id, PromiseState::Rejected)),
            5 => Some(settle(&id, PromiseState::RejectedCanceled)),
            6 => Some(Operation::PromiseGet { id }),
            _ => None,
        };
        let created_ms = 10 + number / 4;
        stores().operate(created_ms, create).unwrap().answer.unwrap();
        // The sixth learns that its deadline has passed.
        let now_ms = if number % 8 == 6 { 50 } else { created_ms };
        then.into_iter().for_each(|then| drop(stores().operate(now_ms, then).unwrap().answer.unwrap()));
    }
}

/// All pages of a list.
fn pages(mut query: Query, mut part: impl FnMut(&Query) -> Part) -> Vec<Execution> {
    let mut all = Vec::new();
    for _ in 0..100 {
        let Part { executions, next } = part(&query);
        all.extend(executions);
        let Some(next) = next else { return all };
        query.after = Some(next);
    }
    panic!("the list has no end: {query:?}");
}

#[test]
fn a_list_holds_what_its_query_asks_for_in_order_whatever_its_pages() {
    each_store(|stores| {
        populate_list(stores);
        let all = stores().executions().unwrap();
        assert_eq!(all.len(), 38);
        assert!(State::ALL.iter().all(|state| all.iter().any(|execution| execution.state == *state)));
        let states =
            [vec![], vec![State::Failed], vec![State::Halted, State::Running, State::Pending], vec![State::Suspended]];
        let functions = [None, Some("count"), Some("rare \"ü\""), Some("unknown")];
        let after = [None, Some(Place::of(&all[5])), Some(Place::at(13, &ExecutionId::new("zz").unwrap()))];
        for (states, function, since_ms, after, order, limit) in wishes(&states, &functions, &after) {
            let mut expected: Vec<_> =
                all.iter().filter(|one| states.is_empty() || states.contains(&one.state)).collect();
            expected.retain(|one| function.is_none_or(|function| one.function == function));
            expected.retain(|one| since_ms.is_none_or(|since_ms| one.created_ms >= since_ms));
            let key = |one: &Execution| (one.created_ms, one.id.to_string());
            let after_key = after.as_ref().map(|after| (after.created_ms, after.id.clone()));
            if order == Order::NewestFirst {
                expected.reverse();
                expected.retain(|one| after_key.as_ref().is_none_or(|after| key(one) < *after));
            } else {
                expected.retain(|one| after_key.as_ref().is_none_or(|after| key(one) > *after));
            }
            let query = Query { states, function: function.map(str::to_owned), since_ms, order, after };
            let listed = pages(query.clone(), |query| stores().list(query, limit).unwrap());
            assert_eq!(listed.iter().collect::<Vec<_>>(), expected, "{query:?}, {limit} at once");
            let among = pages(query.clone(), |query| Part::among(all.clone(), query, limit));
            assert_eq!(among.iter().collect::<Vec<_>>(), expected, "{query:?}, {limit} at once, by default");
        }
    });
}

type Wish = (Vec<State>, Option<&'static str>, Option<u64>, Option<Place>, Order, usize);

/// Each with each.
fn wishes(states: &[Vec<State>], functions: &[Option<&'static str>], after: &[Option<Place>]) -> Vec<Wish> {
    let mut all = Vec::new();
    for states in states {
        for function in functions {
            for since_ms in [None, Some(13), Some(u64::MAX)] {
                for after in after {
                    for (order, limit) in
                        [(Order::OldestFirst, 3), (Order::NewestFirst, 5), (Order::NewestFirst, 1_000)]
                    {
                        all.push((states.clone(), *function, since_ms, after.clone(), order, limit));
                    }
                }
            }
        }
    }
    all
}
