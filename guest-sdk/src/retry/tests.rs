//! No host is needed where the delays are zero: there are no timers then.

use futures::FutureExt;

use super::*;

fn exact(first_ms: u64, factor: f64, longest_ms: u64) -> Retry {
    let (first, longest) = (Duration::from_millis(first_ms), Duration::from_millis(longest_ms));
    Retry::new().first_delay(first).factor(factor).longest_delay(longest).jitter(0.0)
}

fn delays(retry: &Retry, count: usize) -> Vec<u64> {
    retry.pauses().map(|pause| pause.ms).take(count).collect()
}

fn at_once() -> Retry {
    Retry::new().first_delay(Duration::ZERO)
}

/// What `retry` makes of attempts that all fail with `code`.
fn fails(retry: Retry, code: ErrorCode) -> Error {
    let work = async |_| Err::<(), _>(Error::new(code, "no"));
    Context::new().retry(retry, work).now_or_never().unwrap().unwrap_err()
}

#[test]
fn delays_grow_up_to_the_longest() {
    assert_eq!(delays(&exact(100, 2.0, 1_000), 6), [100, 200, 400, 800, 1_000, 1_000]);
    assert_eq!(delays(&exact(1, 1.5, 100), 5), [1, 1, 2, 3, 5]);
    assert_eq!(delays(&exact(5_000, 2.0, 1_000), 2), [1_000, 1_000]);
    assert_eq!(delays(&Retry::new(), 8), [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
}

#[test]
fn odd_factors_never_shrink_a_delay() {
    for factor in [0.5, 0.0, -3.0, f64::NAN, f64::NEG_INFINITY] {
        assert_eq!(delays(&exact(10, factor, 1_000), 3), [10, 10, 10], "{factor}");
    }
}

#[test]
fn delays_saturate() {
    let huge = exact(1, f64::MAX, u64::MAX);
    assert_eq!(delays(&huge, 4), [1, u64::MAX, u64::MAX, u64::MAX]);
    assert_eq!(delays(&exact(0, f64::INFINITY, u64::MAX), 3)[0], 0);
    assert_eq!(Retry::new().factor(f64::INFINITY).pauses().nth(5_000).unwrap().ms, 60_000);
    let forever = Retry::new().first_delay(Duration::MAX).longest_delay(Duration::MAX).jitter(f64::INFINITY);
    let pause = forever.pauses().nth(100_000).unwrap();
    assert_eq!(pause, Pause { ms: u64::MAX, spread_ms: u64::MAX });
    assert_eq!(pause.longest(), Duration::from_millis(u64::MAX));
}

#[test]
fn jitter_is_a_fraction_of_the_delay() {
    let spreads = |fraction| exact(100, 2.0, 400).jitter(fraction).pauses().map(|pause| pause.spread_ms).take(4);
    assert!(spreads(0.25).eq([25, 50, 100, 100]));
    assert!(spreads(-1.0).eq([0; 4]));
    assert!(spreads(f64::NAN).eq([0; 4]));
}

#[test]
fn a_delay_of_zero_has_no_spread() {
    let none = Pause { ms: 0, spread_ms: 0 };
    assert!(at_once().jitter(f64::INFINITY).pauses().take(3).all(|pause| pause == none));
    assert!(at_once().factor(f64::INFINITY).pauses().take(3).all(|pause| pause == none));
}

#[test]
fn attempts_are_counted_from_one() {
    let mut seen = Vec::new();
    let work = async |attempt| {
        seen.push(attempt);
        if attempt < 3 {
            Err("not yet")?
        }
        Ok(attempt)
    };
    assert_eq!(Context::new().retry(at_once(), work).now_or_never(), Some(Ok(3)));
    assert_eq!(seen, [1, 2, 3]);
}

#[test]
fn an_attempt_may_be_a_closure_that_returns_a_future() {
    let ctx = Context::new();
    let done = ctx.retry(at_once(), |attempt| async move { Ok(attempt) });
    assert_eq!(done.now_or_never(), Some(Ok(1)));
}

#[test]
fn the_last_error_says_after_how_many_attempts() {
    assert_eq!(
        fails(at_once().attempts(3), ErrorCode::TimedOut),
        Error::new(ErrorCode::TimedOut, "after 3 attempts: no")
    );
    assert_eq!(fails(at_once().attempts(0), ErrorCode::Failed).message, "after 1 attempt: no");
    assert_eq!(fails(at_once(), ErrorCode::Failed).message, "after 10 attempts: no");
}

#[test]
fn terminal_codes_end_it_at_once() {
    use ErrorCode::{Canceled, Denied, InDoubt, Invalid, LimitExceeded, NotFound};
    for code in [Denied, Invalid, NotFound, Canceled, LimitExceeded, InDoubt] {
        assert_eq!(fails(at_once(), code), Error::new(code, "after 1 attempt: no"));
    }
}

#[test]
fn a_predicate_replaces_the_default() {
    let doubtful = at_once().attempts(2).retry_if(|error| error.code == ErrorCode::InDoubt);
    assert_eq!(fails(doubtful.clone(), ErrorCode::InDoubt).message, "after 2 attempts: no");
    assert_eq!(fails(doubtful, ErrorCode::Failed).message, "after 1 attempt: no");
}

#[test]
fn a_marked_error_ends_it_and_every_retry_around_it() {
    let ctx = Context::new();
    let always = || at_once().retry_if(|_| true);
    let inner = async |attempt| match attempt {
        2 => Err::<(), _>(Error::terminal(Error::new(ErrorCode::TimedOut, "too late"))),
        _ => Err(Error::failed("not yet")),
    };
    let outer = ctx.retry(always(), async |_| ctx.retry(always(), inner).await);
    let error = outer.now_or_never().unwrap().unwrap_err();
    assert_eq!(error.code, ErrorCode::TimedOut);
    assert_eq!(error.message, "after 1 attempt: after 2 attempts: too late");
}
