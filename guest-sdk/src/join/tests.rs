//! Deliveries by number stand in for promises, as in the executor's tests.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use super::*;
use crate::executor::Executor;
use crate::executor::tests::{delivery, start};

#[test]
fn the_first_come_in_the_order_of_completion() {
    let mut executor = start(first_of(3, (0..5).map(delivery)));
    assert!(executor.deliver(&[4, 0]).is_pending());
    assert_eq!(executor.deliver(&[2, 1]), Poll::Ready(vec![(4, 4), (0, 0), (2, 2)]));
}

#[test]
fn fewer_than_asked_for_are_all_of_them() {
    let mut executor = start(first_of(9, (0..2).map(delivery)));
    assert_eq!(executor.deliver(&[1, 0]), Poll::Ready(vec![(1, 1), (0, 0)]));
    assert_eq!(first_of(0, [delivery(0)]).now_or_never(), Some(vec![]));
    assert_eq!(first_of(3, Vec::<std::future::Ready<u8>>::new()).now_or_never(), Some(vec![]));
}

#[test]
fn refused_promises_complete_at_once_and_need_no_cancelling() {
    let refused = (0..3).map(|place| Promise::<u64>::refused(Error::failed(place))).collect();
    let first = first_of_cancel_rest(2, refused).now_or_never().unwrap().unwrap();
    assert_eq!(first, [(0, Err(Error::failed(0))), (1, Err(Error::failed(1)))]);
}

/// A map under way, and how many of its items were started.
type Map = (Executor<Result<Vec<u64>, u64>>, Rc<Cell<u64>>);

/// Starts a map over `items` deliveries, of which `broken` fails.
fn map(limit: usize, items: u64, broken: Option<u64>) -> Map {
    let started = Rc::new(Cell::new(0));
    let counter = Rc::clone(&started);
    let map = async move {
        parallel_map(limit, 0..items, |item| {
            counter.set(counter.get() + 1);
            delivery(item).map(move |item| if Some(item) == broken { Err(item) } else { Ok(item * 10) })
        })
        .await
    };
    (start(map), started)
}

#[test]
fn a_map_keeps_the_order_of_its_items() {
    let (mut executor, started) = map(2, 4, None);
    assert_eq!(started.get(), 2);
    assert!(executor.deliver(&[1]).is_pending());
    assert_eq!(started.get(), 3, "a slow first item holds nobody up");
    assert!(executor.deliver(&[2]).is_pending());
    assert!(executor.deliver(&[3]).is_pending());
    assert_eq!(executor.deliver(&[0]), Poll::Ready(Ok(vec![0, 10, 20, 30])));
}

#[test]
fn a_map_stops_at_the_first_error() {
    let (mut executor, started) = map(2, 9, Some(1));
    assert_eq!(executor.deliver(&[1, 0]), Poll::Ready(Err(1)));
    assert_eq!(started.get(), 2);
}

#[test]
fn a_limit_of_zero_is_one_and_of_more_than_there_is_is_all() {
    assert_eq!(map(0, 3, None).1.get(), 1);
    assert_eq!(map(usize::MAX, 3, None).1.get(), 3);
}

type Child = Pin<Box<dyn Future<Output = u64>>>;

/// How often a thousand children are polled in all, when they complete one delivery after the other, the last one first.
fn polls<F: Future + 'static>(wait: impl FnOnce(Vec<Child>) -> F) -> u64 {
    let polls = Rc::new(Cell::new(0));
    let counted = |promise| -> Child {
        let (polls, mut child) = (Rc::clone(&polls), Box::pin(delivery(promise)));
        Box::pin(poll_fn(move |context| {
            polls.set(polls.get() + 1);
            child.as_mut().poll(context)
        }))
    };
    let mut executor = start(wait((0..1_000).map(counted).collect()));
    for promise in (1..1_000).rev() {
        assert!(executor.deliver(&[promise]).is_pending());
    }
    assert!(executor.deliver(&[0]).is_ready());
    polls.get()
}

#[test]
fn a_delivery_polls_only_the_child_that_waited_for_it() {
    assert_eq!(polls(|children| first_of(1_000, children)), 2_000);
    assert_eq!(polls(|children| parallel_map(1_000, children, |child| child.map(Ok::<_, ()>))), 2_000);
    assert_eq!(polls(futures::future::join_all), 2_000);
}
