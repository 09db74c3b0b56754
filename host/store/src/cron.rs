//! Determines when a schedule fires: a cron expression in UTC.

#[cfg(test)]
mod tests;

use croner::parser::CronParser;
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

/// A parsed cron expression; to the second, and up to the year 5000.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cron(croner::Cron);

/// The longest expression, in bytes.
const MAX_LENGTH: usize = 256;

/// The fields of a full expression, and their ranges. Seconds and year may be omitted.
const FIELDS: [(&str, &str); 7] = [
    ("second", "0-59"),
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of the month", "1-31"),
    ("month", "1-12"),
    ("day of the week", "0-7"),
    ("year", "1-5000"),
];

const DAY: usize = 3;
const MONTH: usize = 4;
const WEEKDAY: usize = 5;
const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// The names of whole expressions.
const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// The supported syntax, for error messages.
const SUPPORTED: &str = "supported are, in UTC, five fields (minute hour day month weekday), six (seconds first) or seven (a year \
    last), each of *, numbers, lists, ranges a-b, steps */n and a-b/n, names such as JAN and MON; for days also L and W, for weekdays \
    FRIL and MON#2; or one of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly";

impl Cron {
    /// Reads `minute hour day month weekday`, or 6 fields with seconds before them, or 7 with a year after them.
    ///
    /// A list, a range, a step and a name (`MON`, `JAN`) are as in Vixie cron. So are the two day fields: if either begins with `*`, a
    /// day fires when both match, else when one of them does. `L`, `W` and `#` are as in Quartz. `@daily` and its like are known.
    ///
    /// # Errors
    /// Names the field that is wrong and why, or says that the whole expression is; lists what is supported.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("a cron expression has at most {MAX_LENGTH} bytes"));
        }
        check(text).and_then(|()| Self::stored(text)).map_err(|reason| {
            let text: String = text.trim().escape_debug().collect();
            format!("the cron expression \"{text}\" cannot be used: {reason}; {SUPPORTED}")
        })
    }

    /// Reads an expression that was parsed before, perhaps by an earlier build that refused less.
    ///
    /// # Errors
    /// It was never a valid expression.
    pub(crate) fn stored(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let known = NICKNAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        let text = known.map_or(text, |(_, expression)| expression);
        let fields: Vec<&str> = text.split_whitespace().collect();
        let first = first_field(&fields);
        let begins_with_star = |field: usize| {
            let text = field.checked_sub(first).and_then(|index| fields.get(index));
            text.is_some_and(|text| text.starts_with('*'))
        };
        let whole = fields.iter().zip(FIELDS.iter().skip(first)).map(|(field, (_, all))| without_star(field, all));
        let text = whole.collect::<Vec<_>>().join(" ");
        read(&text, begins_with_star(DAY) || begins_with_star(WEEKDAY)).map(Self)
    }

    /// The first firing strictly after a time, both in milliseconds since the Unix epoch; `None` if there is none.
    pub(crate) fn next_after(&self, ms: u64) -> Option<u64> {
        let after = Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()?;
        let next = self.0.find_next_occurrence(&Offset::UTC.to_datetime(after), false).ok()?;
        let next = next.to_zoned(TimeZone::UTC).ok()?;
        u64::try_from(next.timestamp().as_millisecond()).ok()
    }
}

/// Refuses what the parser would misread, and what could never match.
fn check(text: &str) -> Result<(), String> {
    let text = text.trim();
    if text.starts_with('@') {
        let known = NICKNAMES.iter().any(|(name, _)| name.eq_ignore_ascii_case(text));
        return if known { Ok(()) } else { Err("there is no such name".to_owned()) };
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    if let Some(zone) = fields.iter().find(|field| names_a_zone(field)) {
        return Err(format!("{zone:?} asks for a time zone, and schedules fire in UTC"));
    }
    if !(5..=7).contains(&fields.len()) {
        let count = fields.len();
        return Err(format!(
            "it has {count} fields, not 5 (minute hour day month weekday), 6 (seconds first) or 7 (a year last)"
        ));
    }
    for (index, field) in (first_field(&fields)..).zip(&fields) {
        check_field(index, field).map_err(|reason| format!("{field:?} as the {}: {reason}", FIELDS[index].0))?;
    }
    Ok(())
}

/// `CRON_TZ=Europe/Berlin`, `TZ=UTC`, or the bare name of a zone.
fn names_a_zone(field: &str) -> bool {
    let area = field.split_once('/').map_or("", |(area, _)| area);
    let is_area = area.len() > 3 && area.bytes().all(|byte| byte.is_ascii_alphabetic());
    field.contains('=') || is_area || ["UTC", "GMT", "Z", "LOCAL"].iter().any(|zone| zone.eq_ignore_ascii_case(field))
}

/// The position, among all fields, of the first one that is present.
fn first_field(fields: &[&str]) -> usize {
    usize::from(fields.len() == 5)
}

/// Parses one field alone.
fn check_field(index: usize, field: &str) -> Result<(), String> {
    if field.split(',').any(str::is_empty) {
        return Err("an entry of the list is empty".to_owned());
    }
    if field.contains('?') {
        return Err("? is not known; write * for any".to_owned());
    }
    if let Some(illegal) = field.chars().find(|one| !one.is_ascii_alphanumeric() && !"*,-/#".contains(*one)) {
        return Err(format!("illegal character {illegal:?}"));
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
    let field = without_star(&field, FIELDS[index].1);
    fields[index] = &field;
    read(&fields.join(" "), false).map(drop)
}

/// Replaces `*` in a list of the field: the parser only knows it as the whole field, and before a step.
fn without_star(field: &str, all: &str) -> String {
    if !field.contains(',') {
        return field.to_owned();
    }
    field.split(',').map(|entry| if entry == "*" { all } else { entry }).collect::<Vec<_>>().join(",")
}

/// Parses an expression. `both`: a day fires when it matches both day fields.
fn read(text: &str, both: bool) -> Result<croner::Cron, String> {
    CronParser::builder().dom_and_dow(both).build().parse(text).map_err(|error| error.to_string())
}
