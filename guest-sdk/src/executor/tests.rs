//! Deliveries by number stand in for promises: no host is needed.

use std::future::poll_fn;

use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};

use super::*;

pub(crate) async fn delivery(promise: u64) -> u64 {
    let delivery = Delivery::of(promise);
    poll_fn(|context| delivery.poll(context)).await;
    promise
}

pub(crate) fn start<T>(task: impl Future<Output = T> + 'static) -> Executor<T> {
    let mut executor = Executor::new(Box::pin(task));
    assert!(executor.turn().is_pending());
    executor
}

#[test]
fn join_waits_for_all() {
    let mut executor = start(async { futures::join!(delivery(0), delivery(1)) });
    assert!(executor.deliver(&[1]).is_pending());
    assert_eq!(executor.deliver(&[0]), Poll::Ready((0, 1)));
}

#[test]
fn what_is_delivered_before_it_is_polled_counts() {
    let mut executor = start(async {
        let (first, second) = (Delivery::of(0), Delivery::of(1));
        poll_fn(|context| first.poll(context)).await;
        poll_fn(|context| second.poll(context)).await;
    });
    assert!(executor.deliver(&[1]).is_pending());
    assert!(executor.deliver(&[0]).is_ready());
}

#[test]
fn futures_unordered_yields_in_the_order_of_delivery() {
    let mut executor = start(async {
        let all: FuturesUnordered<_> = (0..5).map(delivery).collect();
        all.collect::<Vec<_>>().await
    });
    assert!(executor.deliver(&[3, 0]).is_pending());
    assert_eq!(executor.deliver(&[4, 1, 2]), Poll::Ready(vec![3, 0, 4, 1, 2]));
}

#[test]
fn select_takes_what_was_delivered() {
    let mut executor = start(async {
        let (a, b) = (delivery(0), delivery(1));
        futures::pin_mut!(a, b);
        let (mut a, mut b) = (a.fuse(), b.fuse());
        futures::select! { n = a => n, n = b => n }
    });
    assert_eq!(executor.deliver(&[1]), Poll::Ready(1));
}

#[test]
fn the_loser_of_a_select_is_forgotten() {
    let mut executor = start(async {
        let (winner, loser) =
            futures::future::select(Box::pin(delivery(0)), Box::pin(delivery(1))).await.factor_first();
        drop(loser);
        (winner, delivery(2).await)
    });
    assert!(executor.deliver(&[1]).is_pending());
    assert!(executor.deliver(&[0]).is_pending());
    assert_eq!(executor.deliver(&[2]), Poll::Ready((1, 2)));
    WAITING.with_borrow(|all| assert!(all.is_empty()));
}

#[test]
fn a_future_that_wakes_itself_is_polled_again_in_the_same_turn() {
    let mut yields = 3;
    let task = poll_fn(move |context| {
        yields -= 1;
        context.waker().wake_by_ref();
        if yields == 0 { Poll::Ready(()) } else { Poll::Pending }
    });
    assert!(Executor::new(Box::pin(task)).turn().is_ready());
}
