//! How far the clock of a server is ahead of this machine's.
//!
//! Each answer says in its field `Date` (RFC 9110, section 6.6.1) in which second it was written, which was between the request and the
//! answer. The ranges that several answers allow are intersected, as in Marzullo's algorithm (1984) for one source; an answer that does not
//! fit means that a clock was set.

use std::sync::{Mutex, PoisonError};

/// What is known so far: the least and the most that the server is ahead, in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Ahead(Mutex<Option<(i64, i64)>>);

/// The length of the second that a date names, and how late a server may be to notice that one has begun, in milliseconds.
const SECOND: i64 = 1_000;
const LATE: i64 = 200;

impl Ahead {
    /// Takes in an answer that was written at `date_ms`, a whole second, between two moments of this machine's clock.
    pub(super) fn note(&self, asked_ms: u64, answered_ms: u64, date_ms: u64) {
        let [asked, answered, date] = [asked_ms, answered_ms, date_ms].map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
        let (least, most) = (date.saturating_sub(answered), date.saturating_sub(asked).saturating_add(SECOND + LATE));
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let both = known.map(|(low, high)| (low.max(least), high.min(most)));
        *known =
            both.filter(|(low, high)| low <= high).or(Some((least, most)).filter(|(low, high)| low <= high)).or(*known);
    }

    /// How far the server is ahead, in milliseconds, with an error of at most 0.6 seconds, and less after some answers; 0 if both clocks may
    /// agree.
    pub(super) fn ms(&self) -> i64 {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((low, high)) if low > 0 || high < 0 => low + (high - low) / 2,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that is so far ahead answers at these times of this machine, each a while after it was asked.
    fn after(ahead_ms: i64, times: impl IntoIterator<Item = (u64, u64)>) -> i64 {
        let ahead = Ahead::default();
        for (asked, took) in times {
            let written = i64::try_from(asked + took / 2).unwrap() + ahead_ms;
            ahead.note(asked, asked + took, u64::try_from(written / 1_000 * 1_000).unwrap());
        }
        ahead.ms()
    }

    #[test]
    fn clocks_that_agree_are_taken_as_they_are() {
        for start in (1_000_000..1_002_000).step_by(37) {
            assert_eq!(after(0, (0..20).map(|at| (start + at * 331, 3 + at % 5))), 0, "{start}");
        }
    }

    #[test]
    fn minutes_are_noticed_with_the_first_answer_and_found_closely_with_more() {
        for minutes in [-7, -1, 1, 7] {
            let ms = minutes * 60_000 + 123;
            let first = after(ms, [(1_000_000, 4)]);
            assert!((first - ms).abs() <= 610, "{ms}: {first}");
            let later = after(ms, (0..50).map(|at| (1_000_000 + at * 331, 4)));
            assert!((later - ms).abs() <= 260, "{ms}: {later}");
        }
    }

    #[test]
    fn a_clock_that_is_set_is_noticed() {
        let ahead = Ahead::default();
        ahead.note(1_000_000, 1_000_004, 1_000_000);
        assert_eq!(ahead.ms(), 0);
        ahead.note(1_010_000, 1_010_004, 1_610_000);
        assert!((ahead.ms() - 600_000).abs() <= 610, "{}", ahead.ms());
        // What cannot be is ignored.
        ahead.note(1_020_000, 1_000_000, 1_020_000);
        assert!((ahead.ms() - 600_000).abs() <= 610, "{}", ahead.ms());
    }
}
