//! Time, recorded.

use std::ops::{Add, Sub};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bindings::everstep::host::timers;
use crate::{Context, Error, Promise};

/// A point in time: milliseconds since the Unix epoch, which is also its JSON.
///
/// Not a `SystemTime`, because a guest has no system clock: `SystemTime::now` and `elapsed` would trap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Context {
    /// The recorded clock; never goes back within an execution. A plain call: nothing is allocated.
    #[inline]
    pub fn now(&self) -> Result<Timestamp, Error> {
        match timers::now() {
            Ok(millis) => Ok(Timestamp(millis)),
            Err(error) => Err(error.into()),
        }
    }

    /// Resolves when `duration` has passed, rounded up to milliseconds. The deadline is set by this call and is durable: time
    /// spent while no host runs counts.
    pub fn sleep(&self, duration: Duration) -> Promise<()> {
        Promise::created(timers::sleep(millis(duration)))
    }

    /// As [`sleep`](Self::sleep), but up to `spread` longer, by an amount that the host draws from the recorded seed: for executions
    /// that would otherwise all resume at once. [`retry`](Self::retry) does this by itself.
    pub fn sleep_about(&self, duration: Duration, spread: Duration) -> Promise<()> {
        Promise::created(timers::sleep_about(millis(duration), millis(spread)))
    }
}

impl Timestamp {
    /// The time this many milliseconds after the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time since `earlier`; zero if that is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }
}

impl Sub for Timestamp {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        UNIX_EPOCH + Duration::from_millis(time.0)
    }
}

/// Rounded up, so that nothing ends early.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_round_up_to_milliseconds() {
        assert_eq!(millis(Duration::ZERO), 0);
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::from_millis(5)), 5);
        assert_eq!(millis(Duration::MAX), u64::MAX);
    }

    #[test]
    fn timestamps_subtract_to_durations() {
        let start = Timestamp::from_millis(1_000);
        assert_eq!(start + Duration::from_secs(2) - start, Duration::from_secs(2));
        assert_eq!(start.since(start + Duration::from_secs(1)), Duration::ZERO);
    }
}
