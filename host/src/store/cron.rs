//! When a schedule fires: a cron expression in UTC.

use croner::parser::CronParser;
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

/// A parsed cron expression; to the second, and up to the year 5000.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cron(croner::Cron);

/// The longest expression, in bytes.
const MAX_LENGTH: usize = 256;

/// The fields of a full expression. Seconds and year may be left out.
const FIELDS: [&str; 7] = ["second", "minute", "hour", "day of the month", "month", "day of the week", "year"];

const MONTH: usize = 4;
const WEEKDAY: usize = 5;
const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl Cron {
    /// Reads `minute hour day month weekday`, or 6 fields with seconds before them, or 7 with a year after them.
    ///
    /// A list, a range, a step and a name (`MON`, `JAN`) are as in Vixie cron, and so is that a day fires when either the day of
    /// the month or the weekday matches, if both are given. `L`, `W` and `#` are as in Quartz. `@daily` and its like are known.
    ///
    /// # Errors
    /// Says which field is wrong and why, or that the expression is.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("a cron expression has at most {MAX_LENGTH} bytes"));
        }
        let wrong = |reason: String| format!("the cron expression {text:?} cannot be used: {reason}");
        let text = text.trim();
        if text.starts_with('@') {
            return parse(text).map(Self).map_err(wrong);
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let first = match fields.len() {
            5 => 1,
            6 | 7 => 0,
            other => {
                return Err(wrong(format!(
                    "it has {other} fields, not 5 (minute hour day month weekday), 6 (seconds first) or 7 (a year last)"
                )));
            }
        };
        for (index, field) in fields.iter().enumerate() {
            let index = first + index;
            check(index, field).map_err(|reason| wrong(format!("{field:?} as the {}: {reason}", FIELDS[index])))?;
        }
        parse(text).map(Self).map_err(wrong)
    }

    /// The first firing strictly after a time, both in milliseconds since the Unix epoch; `None` if there is none.
    pub(crate) fn next_after(&self, ms: u64) -> Option<u64> {
        let after = Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()?;
        let next = self.0.find_next_occurrence(&Offset::UTC.to_datetime(after), false).ok()?;
        let next = next.to_zoned(TimeZone::UTC).ok()?;
        u64::try_from(next.timestamp().as_millisecond()).ok()
    }
}

/// Refuses what the parser would take for something else, or could never match; then parses the field alone.
fn check(index: usize, field: &str) -> Result<(), String> {
    if field.split(',').any(str::is_empty) {
        return Err("an entry of the list is empty".to_owned());
    }
    let field = field.to_ascii_uppercase();
    let names: &[&str] = match index {
        MONTH => &MONTHS,
        WEEKDAY => &WEEKDAYS,
        _ => &[],
    };
    for word in field.split(|c: char| !c.is_ascii_alphanumeric()) {
        let is_name = names.contains(&word) || word.strip_suffix('L').is_some_and(|word| names.contains(&word));
        if !is_name && word.chars().filter(char::is_ascii_alphabetic).count() > 2 {
            return Err(format!("{word} is not a name"));
        }
    }
    if index == WEEKDAY && field.split(',').any(|entry| entry == "L") {
        return Err("L needs a weekday before it, such as FRIL for the last Friday".to_owned());
    }
    let mut fields = ["*"; 7];
    fields[index] = &field;
    parse(&fields.join(" ")).map(drop)
}

fn parse(text: &str) -> Result<croner::Cron, String> {
    CronParser::new().parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(time: &str) -> u64 {
        u64::try_from(time.parse::<Timestamp>().unwrap().as_millisecond()).unwrap()
    }

    /// The firings after a time.
    fn firings(expression: &str, after: &str, count: usize) -> Vec<String> {
        let cron = Cron::parse(expression).unwrap();
        let next = |&after: &u64| cron.next_after(after);
        std::iter::successors(next(&ms(after)), next)
            .take(count)
            .map(|ms| Timestamp::from_millisecond(i64::try_from(ms).unwrap()).unwrap().to_string())
            .collect()
    }

    fn first(expression: &str, after: &str) -> String {
        firings(expression, after, 1).remove(0)
    }

    #[test]
    fn cron_fires_strictly_after_the_time() {
        let every_five_minutes = ["2026-01-01T00:05:00Z", "2026-01-01T00:10:00Z"];
        assert_eq!(firings("*/5 * * * *", "2026-01-01T00:00:00Z", 2), every_five_minutes);
        assert_eq!(first("*/5 * * * *", "2025-12-31T23:59:59.999Z"), "2026-01-01T00:00:00Z");
        assert_eq!(first("*/5 * * * *", "2026-01-01T00:00:00.001Z"), "2026-01-01T00:05:00Z");
    }

    #[test]
    fn cron_knows_the_ends_of_months() {
        let ends = ["2026-02-28T12:00:00Z", "2026-03-31T12:00:00Z", "2026-04-30T12:00:00Z"];
        assert_eq!(firings("0 12 L * *", "2026-02-01T00:00:00Z", 3), ends);
        let long = ["2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z"];
        assert_eq!(firings("0 0 31 * *", "2026-01-01T00:00:00Z", 3), long);
        assert_eq!(firings("0 0 29 2 *", "2026-01-01T00:00:00Z", 2), ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]);
        assert_eq!(first("0 0 29 2 *", "2096-03-01T00:00:00Z"), "2104-02-29T00:00:00Z");
    }

    #[test]
    fn cron_knows_names_ranges_lists_and_steps() {
        // The first of January 2026 is a Thursday.
        let days = ["2026-01-01T09:00:00Z", "2026-01-02T09:00:00Z", "2026-01-05T09:00:00Z"];
        assert_eq!(firings("0 9 * * mon-fri", "2026-01-01T00:00:00Z", 3), days);
        assert_eq!(first("0 0 * * SUN", "2026-01-01T00:00:00Z"), "2026-01-04T00:00:00Z");
        assert_eq!(first("0 0 * * 7", "2026-01-01T00:00:00Z"), "2026-01-04T00:00:00Z");
        assert_eq!(first("0 0 * * FRIL", "2026-01-01T00:00:00Z"), "2026-01-30T00:00:00Z");
        assert_eq!(first("0 0 * * MON#2", "2026-01-01T00:00:00Z"), "2026-01-12T00:00:00Z");
        assert_eq!(first("0 0 1 APR,OCT *", "2026-01-01T00:00:00Z"), "2026-04-01T00:00:00Z");
        let steps = ["2026-01-01T08:15:00Z", "2026-01-01T08:35:00Z", "2026-01-01T10:15:00Z"];
        assert_eq!(firings("15-40/20 8-17/2 * * *", "2026-01-01T00:00:00Z", 3), steps);
        assert_eq!(first("0 0 13 * FRI", "2026-01-01T00:00:00Z"), "2026-01-02T00:00:00Z", "either of the two days");
        assert_eq!(first("@daily", "2026-01-01T00:00:00Z"), "2026-01-02T00:00:00Z");
    }

    #[test]
    fn cron_takes_seconds_and_a_year() {
        assert_eq!(first("*/10 * * * * *", "2026-01-01T00:00:00Z"), "2026-01-01T00:00:10Z");
        assert_eq!(
            firings("30 0 12 1 1 * 2038,2040", "2026-01-01T00:00:00Z", 3),
            ["2038-01-01T12:00:30Z", "2040-01-01T12:00:30Z"]
        );
        assert_eq!(first("7 14 3 19 1 *", "2038-01-19T03:14:07Z"), "2039-01-19T03:14:07Z");
        assert_eq!(first("0 0 1 1 *", "4998-06-01T00:00:00Z"), "4999-01-01T00:00:00Z");
    }

    #[test]
    fn cron_ends_where_nothing_fires() {
        for never in [
            "0 0 30 2 *",
            "0 0 31 * +MON#1",
            "0 0 31 4,6,9,11 *",
            "0 0 31W 2 *",
            "0 0 0 1 1 * 2020",
            "* * * 30 2 * 4999",
        ] {
            assert_eq!(Cron::parse(never).unwrap().next_after(ms("2026-01-01T00:00:00Z")), None, "{never}");
        }
        let cron = Cron::parse("* * * * *").unwrap();
        let end_of_time = u64::try_from(Timestamp::MAX.as_millisecond()).unwrap();
        for far in [end_of_time - 60_000, end_of_time, end_of_time + 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX]
        {
            assert_eq!(cron.next_after(far), None);
        }
        assert_eq!(cron.next_after(0), Some(60_000));
    }

    #[test]
    fn cron_says_what_is_wrong() {
        for (text, reason) in [
            ("", "it has 0 fields, not 5"),
            ("* * * *", "it has 4 fields, not 5"),
            ("* * * * * * * *", "it has 8 fields"),
            ("60 * * * *", r#""60" as the minute: "#),
            ("* 24 * * *", r#""24" as the hour: "#),
            ("* * 0 * *", r#""0" as the day of the month: "#),
            ("* * * 13 *", r#""13" as the month: "#),
            ("* * * * 8", r#""8" as the day of the week: "#),
            ("*/0 * * * *", "cannot be zero"),
            ("5-1 * * * *", r#""5-1" as the minute: "#),
            (", * * * *", "an entry of the list is empty"),
            ("* * * MON *", "MON is not a name"),
            ("* * * JANUARY *", "JANUARY is not a name"),
            ("* * * * SUNMON", "SUNMON is not a name"),
            ("* * * * L", "L needs a weekday"),
            ("x * * * *", "illegal character"),
            ("é * * * *", "illegal character"),
            ("@fortnightly", "cannot be used"),
        ] {
            let error = Cron::parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
        assert!(Cron::parse(&"1,".repeat(200)).unwrap_err().contains("at most 256 bytes"));
    }
}
