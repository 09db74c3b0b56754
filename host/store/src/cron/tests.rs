//! What fires when, by example and against a model of crontab(5).

use super::*;
use jiff::ToSpan;
use jiff::civil::{Date, date};
use proptest::prelude::*;
use proptest::sample::select;

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
    assert_eq!(first("@Midnight", "2026-01-01T00:00:00Z"), "2026-01-02T00:00:00Z");
}

#[test]
fn cron_fires_when_both_days_match_if_one_of_the_fields_begins_with_a_star() {
    let odd_mondays = ["2026-01-05T00:00:00Z", "2026-01-19T00:00:00Z", "2026-02-09T00:00:00Z"];
    for both in ["0 0 */2 * MON", "0 0 */2 * 1", "0 0 0 */2 * mon", "0 0 0 */2 * MON 2026", "0 0 *,5 1 1"] {
        let expected = if both == "0 0 *,5 1 1" { "2026-01-05T00:00:00Z" } else { odd_mondays[0] };
        assert_eq!(first(both, "2026-01-01T00:00:00Z"), expected, "{both}");
    }
    assert_eq!(firings("0 0 */2 * MON", "2026-01-01T00:00:00Z", 3), odd_mondays);
    // Sunday, Tuesday, Thursday and Saturday.
    assert_eq!(first("0 0 13 * */2", "2026-01-01T00:00:00Z"), "2026-01-13T00:00:00Z");
    assert_eq!(first("0 0 14 * */2", "2026-01-01T00:00:00Z"), "2026-02-14T00:00:00Z");
    // These begin otherwise, whatever else they say.
    for either in ["0 0 1-31/2 * MON", "0 0 5,* * MON", "0 0 13 * 1,*/2"] {
        assert_ne!(first(either, "2026-01-01T00:00:00Z"), odd_mondays[0], "{either}");
    }
    assert!(Cron::stored("@daily").is_ok() && Cron::stored("0 0 ? * MON").is_ok() && Cron::stored("never").is_err());
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
    for never in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31W 2 *", "0 0 0 1 1 * 2020", "* * * 30 2 * 4999"] {
        assert_eq!(Cron::parse(never).unwrap().next_after(ms("2026-01-01T00:00:00Z")), None, "{never}");
    }
    let cron = Cron::parse("* * * * *").unwrap();
    let end_of_time = u64::try_from(Timestamp::MAX.as_millisecond()).unwrap();
    for far in [end_of_time - 60_000, end_of_time, end_of_time + 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX] {
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
        ("H * * * *", "illegal character"),
        ("* * * * +MON", "illegal character"),
        ("0 12 ? * MON", "write * for any"),
        ("0 12 1,? * MON", "write * for any"),
        ("0 0 15W * * *", "as the hour"),
        ("0 0 * * MON#6", "out of bounds"),
        ("0 0 * L *", r#""L" as the month"#),
        ("5/15 * * * *", "are not allowed"),
        ("@fortnightly", "there is no such name"),
        ("@reboot", "there is no such name"),
        ("@every 5m", "there is no such name"),
        ("CRON_TZ=Europe/Berlin 0 3 * * *", "fire in UTC"),
        ("TZ=UTC 0 3 * * *", "fire in UTC"),
        ("tz=UTC @daily", "fire in UTC"),
        ("0 3 * * * America/New_York", "fire in UTC"),
        ("0 3 * * * UTC", "fire in UTC"),
    ] {
        let error = Cron::parse(text).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
        assert!(error.contains("supported are, in UTC, five fields"), "{text}: {error}");
    }
    assert!(Cron::parse(&"1,".repeat(200)).unwrap_err().contains("at most 256 bytes"));
}

/// The day, minute and hour fields of `crontab(5)`, read with no help of the parser under test: the numbers that a field allows.
fn allowed(field: &str, low: u32, high: u32, names: &[&str]) -> Vec<u32> {
    let number = |text: &str| {
        let name = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        name.map_or_else(|| text.parse().unwrap(), |position| low.min(1) + u32::try_from(position).unwrap())
    };
    let entry = |entry: &str| {
        let (range, step) = entry.split_once('/').unwrap_or((entry, "1"));
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (low, high),
            Some((first, last)) => (number(first), number(last)),
            None => (number(range), number(range)),
        };
        (first..=last).step_by(step.parse().unwrap()).collect::<Vec<_>>()
    };
    field.split(',').flat_map(entry).collect()
}

/// What `crontab(5)` says of days: "If both fields are restricted (i.e., do not contain the * character), the command will be run when
/// either field matches", where Vixie's program looks at the first character alone.
fn fires_on(fields: &[String], day: Date) -> bool {
    let [.., day_of_month, month, weekday] = fields else { unreachable!() };
    let in_month = allowed(day_of_month, 1, 31, &[]).contains(&(day.day() as u32));
    let sunday_based = day.weekday().to_sunday_zero_offset() as u32;
    let in_week = allowed(weekday, 0, 7, &WEEKDAYS).iter().any(|number| number % 7 == sunday_based);
    let days = match day_of_month.starts_with('*') || weekday.starts_with('*') {
        true => in_month && in_week,
        false => in_month || in_week,
    };
    days && allowed(month, 1, 12, &MONTHS).contains(&(day.month() as u32))
}

/// Every firing of the days from `first` on, for as many days.
fn modelled(fields: &[String], first: Date, days: i64) -> Vec<String> {
    let mut hours = allowed(&fields[1], 0, 23, &[]);
    let mut minutes = allowed(&fields[0], 0, 59, &[]);
    for values in [&mut hours, &mut minutes] {
        values.sort_unstable();
        values.dedup();
    }
    let days = (0..days).map(|day| first + day.days()).filter(|day| fires_on(fields, *day));
    let times = |day: Date| {
        let times = hours.iter().flat_map(|hour| minutes.iter().map(move |minute| (*hour, *minute)));
        times.map(move |(hour, minute)| format!("{day}T{hour:02}:{minute:02}:00Z")).collect::<Vec<_>>()
    };
    days.flat_map(times).collect()
}

/// A field: up to three entries, each a star, a number or name, or a range, the last two with or without a step.
fn field(low: u32, high: u32, names: &'static [&'static str]) -> impl Strategy<Value = String> {
    let number = move || prop_oneof![4 => (low..=high).prop_map(|number| number.to_string()), 1 => name(low, names)];
    let range = (low..=high, low..=high).prop_map(|(one, other)| format!("{}-{}", one.min(other), one.max(other)));
    let range = prop_oneof![Just("*".to_owned()), range];
    let stepped = (range.clone(), 1..=high + 9).prop_map(|(range, step)| format!("{range}/{step}"));
    let entry = prop_oneof![2 => Just("*".to_owned()), 3 => number(), 2 => range, 2 => stepped];
    proptest::collection::vec(entry, 1..=3).prop_map(|entries| entries.join(","))
}

fn name(low: u32, names: &'static [&'static str]) -> BoxedStrategy<String> {
    match names {
        [] => Just(low.to_string()).boxed(),
        names => select(names).prop_map(str::to_owned).boxed(),
    }
}

proptest! {
    #[test]
    fn cron_fires_as_crontab_says(
        minute in field(0, 59, &[]),
        hour in field(0, 23, &[]),
        day in field(1, 31, &[]),
        month in field(1, 12, &MONTHS),
        weekday in field(0, 7, &WEEKDAYS),
        after in 0..1500i64,
    ) {
        let fields = [minute, hour, day, month, weekday];
        let expression = fields.join(" ");
        let start = date(2024, 1, 1) + after.days();
        let expected = modelled(&fields, start, 800);
        let cron = Cron::parse(&expression).unwrap();
        let mut at = ms(&format!("{start}T00:00:00Z")) - 1;
        for expected in expected.iter().take(40) {
            let next = cron.next_after(at);
            prop_assert_eq!(next, Some(ms(expected)), "{} after {}", expression, at);
            at = ms(expected);
        }
        if expected.is_empty() {
            let end = ms(&format!("{}T00:00:00Z", start + 800.days()));
            prop_assert!(cron.next_after(at).is_none_or(|next| next >= end), "{}", expression);
        }
    }
}
