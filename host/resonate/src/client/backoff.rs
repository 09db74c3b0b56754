//! How long to wait before trying again.

use ring::rand::{SecureRandom, SystemRandom};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// Pauses that double from 50 ms to 2 s. Each is shortened by up to a half, at random, so that clients do not come back at once.
pub(super) struct Backoff {
    /// The longest that the next pause may be.
    most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { most: FIRST }
    }
}

impl Backoff {
    /// The next pause.
    pub(super) fn pause(&mut self) -> Duration {
        let half = self.most / 2;
        self.most = (self.most * 2).min(LONGEST);
        let mut random = [0];
        // Without randomness the pause is the shortest.
        let _ = SystemRandom::new().fill(&mut random);
        half + half * u32::from(random[0]) / u32::from(u8::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_within_their_bounds() {
        let mut backoff = Backoff::default();
        for most in [100, 200, 400, 800, 1600, 2000, 2000] {
            let pause = backoff.pause().as_millis();
            assert!((most / 2..=most).contains(&pause), "{pause} of {most}");
        }
    }
}
