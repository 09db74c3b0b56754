//! Retries, with pauses that survive a crash.

use std::iter;
use std::rc::Rc;
use std::time::Duration;

use crate::timers::millis;
use crate::{Context, Error, ErrorCode};

/// How often, for how long and after which errors [`Context::retry`] tries again.
///
/// The pauses grow by a factor up to the longest one: by default 1, 2, 4, 8 ... 60 seconds, each up to half as long again.
///
/// ```
/// use everstep_sdk::{ErrorCode, Retry};
/// use std::time::Duration;
/// let retry = Retry::new().attempts(5).first_delay(Duration::from_millis(200)).within(Duration::from_secs(30));
/// let patient = Retry::new().attempts(u32::MAX).retry_if(|error| error.code == ErrorCode::TimedOut);
/// ```
#[derive(Clone)]
pub struct Retry {
    attempts: u32,
    within: Option<Duration>,
    first_ms: u64,
    factor: f64,
    longest_ms: u64,
    jitter: f64,
    retryable: Rc<dyn Fn(&Error) -> bool>,
}

/// The wait before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pause {
    ms: u64,
    spread_ms: u64,
}

impl Retry {
    /// Up to ten attempts: a first delay of 1 s, factor 2, longest delay 60 s, jitter 0.5; `failed` and `timed-out` are retryable.
    pub fn new() -> Self {
        Self {
            attempts: 10,
            within: None,
            first_ms: 1_000,
            factor: 2.0,
            longest_ms: 60_000,
            jitter: 0.5,
            retryable: Rc::new(is_retryable),
        }
    }

    /// The largest number of attempts, including the first; 0 counts as 1. `u32::MAX` is practically no limit, but every attempt
    /// counts against the policy's `max_calls`.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Starts no attempt later than this after the start of the first one, and does not pause for an attempt that would be too late;
    /// a running attempt is not interrupted. With this limit [`Context::now`] is called before the first attempt and after each
    /// failure.
    pub fn within(mut self, total: Duration) -> Self {
        self.within = Some(total);
        self
    }

    /// The delay before the second attempt; never more than the longest one. With zero, attempts follow each other without a timer.
    pub fn first_delay(mut self, delay: Duration) -> Self {
        self.first_ms = millis(delay);
        self
    }

    /// The factor from each delay to the next; less than 1 counts as 1.
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor.clamp(1.0, f64::MAX).max(1.0); // `max` for a NaN
        self
    }

    /// The longest delay, not counting the jitter.
    pub fn longest_delay(mut self, delay: Duration) -> Self {
        self.longest_ms = millis(delay);
        self
    }

    /// The largest random extension of a delay, as a fraction of it: with 0.5, a delay of 10 s takes 10 to 15 s. The host draws it
    /// from the recorded seed. With 0, or less, the delays are exact.
    pub fn jitter(mut self, fraction: f64) -> Self {
        self.jitter = fraction.max(0.0);
        self
    }

    /// Tries again after the errors for which `retryable` returns true, instead of `failed` and `timed-out`. It is
    /// not called for errors that [`Error::terminal`] marked: they always end the retries.
    pub fn retry_if(mut self, retryable: impl Fn(&Error) -> bool + 'static) -> Self {
        self.retryable = Rc::new(retryable);
        self
    }

    fn allows_another(&self, attempt: u32, error: &Error) -> bool {
        attempt < self.attempts && !error.is_terminal() && (self.retryable)(error)
    }

    /// The pauses after the first attempt, the second and so on, without end. Fractions of a millisecond are kept until a pause is
    /// taken, so that a small delay grows; values too large for a `u64` become `u64::MAX`.
    fn pauses(&self) -> impl Iterator<Item = Pause> + use<> {
        let longest = self.longest_ms as f64;
        let first = (self.first_ms as f64).min(longest);
        let (factor, jitter) = (self.factor, self.jitter);
        let delays = iter::successors(Some(first), move |delay| Some((delay * factor).min(longest)));
        delays.map(move |delay| Pause { ms: delay as u64, spread_ms: (delay * jitter) as u64 })
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::new()
    }
}

/// `denied`, `invalid`, `not-found`, `canceled` and `limit-exceeded` would occur again; after `in-doubt` the effect might
/// happen twice.
fn is_retryable(error: &Error) -> bool {
    match error.code {
        ErrorCode::Failed | ErrorCode::TimedOut => true,
        ErrorCode::Denied
        | ErrorCode::Invalid
        | ErrorCode::NotFound
        | ErrorCode::Canceled
        | ErrorCode::LimitExceeded
        | ErrorCode::InDoubt => false,
    }
}

impl Context {
    /// Calls `attempt`, with its number from 1, until it succeeds; between two attempts it sleeps durably, so that a crash loses
    /// neither the number nor the delay.
    ///
    /// By default it tries again after `failed` and `timed-out` errors; see [`Retry::retry_if`] to choose others, and
    /// [`Error::terminal`] to stop from inside. Returns the last error with its code and a message that begins with `after 3 attempts:
    /// `. Errors of the timer and the clock (`denied`, `canceled`, `limit-exceeded`) are returned as they are.
    ///
    /// ```no_run
    /// # use everstep_sdk::{Context, Error, Retry};
    /// # async fn order(ctx: Context) -> Result<(), Error> {
    /// let price = ctx
    ///     .retry(Retry::new().attempts(5), async |attempt| {
    ///         ctx.print(format!("attempt {attempt}"))?;
    ///         match ctx.request::<u64>("price", "tea").await? {
    ///             0 => Err(Error::terminal("sold out")),
    ///             price => Ok(price),
    ///         }
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn retry<T>(
        &self,
        retry: Retry,
        mut attempt: impl AsyncFnMut(u32) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let end = retry.within.map(|total| Ok::<_, Error>(self.now()? + total)).transpose()?;
        let mut number = 1;
        let mut pauses = retry.pauses();
        loop {
            let error = match attempt(number).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let Some(pause) = pauses.next().filter(|_| retry.allows_another(number, &error)) else {
                return Err(last(error, number));
            };
            if let Some(end) = end
                && self.now()? + pause.longest() > end
            {
                return Err(last(error, number));
            }
            self.pause(pause).await?;
            number += 1;
        }
    }

    async fn pause(&self, pause: Pause) -> Result<(), Error> {
        let (delay, spread) = (Duration::from_millis(pause.ms), Duration::from_millis(pause.spread_ms));
        match (pause.ms, pause.spread_ms) {
            (0, 0) => Ok(()),
            (_, 0) => self.sleep(delay).await,
            _ => self.sleep_about(delay, spread).await,
        }
    }
}

impl Pause {
    fn longest(self) -> Duration {
        Duration::from_millis(self.ms.saturating_add(self.spread_ms))
    }
}

/// The error of the last attempt, with the number of attempts.
fn last(mut error: Error, attempts: u32) -> Error {
    let plural = if attempts == 1 { "" } else { "s" };
    error.message = format!("after {attempts} attempt{plural}: {}", error.message);
    error
}

#[cfg(test)]
mod tests;
