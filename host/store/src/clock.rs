//! Time, as a trait: the only place of the host that reads a clock.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{oneshot, watch};

/// A source of wall-clock time and the way to wait for it.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;

    /// Completes once `now_ms` has reached `deadline_ms`.
    fn sleep_until(&self, deadline_ms: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// The same for waits that are not a guest's, such as for a schedule. A clock that advances because of a waiter does not advance for
    /// this.
    fn sleep_aside(&self, deadline_ms: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.sleep_until(deadline_ms)
    }
}

/// A point in monotonic time, for measuring how long the host itself took.
#[allow(clippy::disallowed_methods, reason = "this is the clock")]
pub fn instant() -> Instant {
    Instant::now()
}

/// The time until a point of the machine's clock, to the nanosecond: whole milliseconds would be up to one too many.
pub fn until(deadline_ms: u64) -> Duration {
    Duration::from_millis(deadline_ms).saturating_sub(since_epoch())
}

/// The time of the machine's clock since the Unix epoch.
#[allow(clippy::disallowed_methods, reason = "this is the clock")]
pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// CPU time of this thread, in microseconds. Asked of the C library: `rustix` asks the kernel's page of functions, which a process under
/// valgrind does not have.
pub fn thread_cpu_us() -> u64 {
    // Linux has this clock for every thread that runs.
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from);
    time.map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

/// The clock of the machine.
#[derive(Debug, Default)]
pub struct SystemClock;

/// The longest single sleep: a wall clock that is set forward is noticed within it.
const NAP: Duration = Duration::from_secs(60);

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX)
    }

    fn sleep_until(&self, deadline_ms: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            while self.now_ms() < deadline_ms {
                tokio::time::sleep(until(deadline_ms).min(NAP)).await;
            }
        })
    }
}

/// A clock for tests: time stands still until a task waits for it, and then jumps to the nearest deadline.
///
/// With several waiters the nearest deadline wins; the jump happens when the waiter is polled, so a test that drives one
/// execution sees the same times in every run.
#[derive(Debug, Default)]
pub struct TestClock {
    now_ms: AtomicU64,
    waiting: Mutex<BTreeMap<u64, Vec<oneshot::Sender<()>>>>,
    /// The time, for tasks that wait without advancing it.
    moved: watch::Sender<u64>,
}

impl TestClock {
    /// A clock that stands at `now_ms` milliseconds since the Unix epoch.
    pub fn at(now_ms: u64) -> Self {
        Self { now_ms: AtomicU64::new(now_ms), waiting: Mutex::default(), moved: watch::Sender::new(now_ms) }
    }

    /// Advances the clock to `now_ms` and wakes the tasks that wait for a time up to it.
    pub fn advance_to(&self, now_ms: u64) {
        self.now_ms.fetch_max(now_ms, Ordering::SeqCst);
        self.moved.send_modify(|moved| *moved = now_ms.max(*moved));
        let mut waiting = self.waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let later = waiting.split_off(&now_ms.saturating_add(1));
        for waiter in std::mem::replace(&mut *waiting, later).into_values().flatten() {
            // A waiter that is gone needs no waking.
            let _ = waiter.send(());
        }
    }

    fn register(&self, deadline_ms: u64) -> (oneshot::Receiver<()>, u64) {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        waiting.retain(|_, waiters| {
            waiters.retain(|waiter| !waiter.is_closed());
            !waiters.is_empty()
        });
        waiting.entry(deadline_ms).or_default().push(sender);
        let nearest = waiting.keys().next().copied().unwrap_or(deadline_ms);
        (receiver, nearest)
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    fn sleep_until(&self, deadline_ms: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            if self.now_ms() >= deadline_ms {
                return;
            }
            let (woken, nearest) = self.register(deadline_ms);
            self.advance_to(nearest);
            // The sender lives in the clock until it fires.
            let _ = woken.await;
        })
    }

    fn sleep_aside(&self, deadline_ms: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let mut moved = self.moved.subscribe();
            // The sender lives as long as the clock.
            let _ = moved.wait_for(|now_ms| *now_ms >= deadline_ms).await;
        })
    }
}
