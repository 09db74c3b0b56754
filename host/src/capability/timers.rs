//! `everstep:host/timers`: recorded time and durable timers.

use crate::bindings::everstep::host::timers;
use crate::bridge::{About, Arg, Fault, NewPromise, Step};
use crate::policy::{Call, ClockCall, ClockGrant};
use crate::turns::Ctx;

/// The call of a step that reads the time, or waits for one.
const TIME: Call<'_> = Call::Clock(ClockCall);

impl timers::Host for Ctx {
    fn now(&mut self) -> Result<u64, Fault> {
        let step = Step::new("timers.now", "", &[], TIME);
        let bridge = &self.bridge;
        bridge.internal(&step, |at| match bridge.facts.grants.policy.clock {
            ClockGrant::Frozen { at_ms } => Ok(at_ms),
            ClockGrant::Recorded | ClockGrant::Deny => Ok(at.now_ms),
        })
    }

    fn sleep(&mut self, ms: u64) -> Result<u64, Fault> {
        let subject = format!("{ms} ms");
        let time = ms.to_le_bytes();
        let args = [Arg::of("ms", &time)];
        let step = Step::new("timers.sleep", &subject, &args, TIME);
        self.bridge.promise(&step, NewPromise { timeout_ms: Some(ms), about: About::Time })
    }

    fn sleep_about(&mut self, ms: u64, spread_ms: u64) -> Result<u64, Fault> {
        let subject = format!("{ms} ms and up to {spread_ms} ms more");
        let (time, spread) = (ms.to_le_bytes(), spread_ms.to_le_bytes());
        let args = [Arg::of("ms", &time), Arg::of("spread-ms", &spread)];
        let step = Step::new("timers.sleep-about", &subject, &args, TIME);
        let drawn = super::random::share(&self.bridge.facts.seed, self.bridge.next_step(), spread_ms);
        let timeout_ms = Some(ms.saturating_add(drawn));
        self.bridge.promise(&step, NewPromise { timeout_ms, about: About::Time })
    }
}
