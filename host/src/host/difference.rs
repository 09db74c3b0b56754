//! Describes where the arguments of two calls under one id differ: a program may have thousands of lines.

use serde_json::Value;

/// How many characters of each side are shown, and how many of them before the difference.
const SHOWN: usize = 60;
const BEFORE: usize = 20;

/// The first place where two JSON texts differ, and what each has there.
pub(super) fn first(recorded: &str, given: &str) -> String {
    let parse = |text| serde_json::from_str::<Value>(text);
    let found = match (parse(recorded), parse(given)) {
        (Ok(recorded), Ok(given)) => of_values(String::new(), &recorded, &given),
        _ => None,
    };
    // A difference that parsed values do not show: how a number is written, a name that occurs twice.
    let Difference { at, recorded, given } = found.unwrap_or_else(|| of_texts(String::new(), recorded, given));
    let at = if at.is_empty() { String::new() } else { format!("at {at}: ") };
    format!("{at}recorded {recorded}, given {given}")
}

struct Difference {
    at: String,
    recorded: String,
    given: String,
}

fn of_values(at: String, recorded: &Value, given: &Value) -> Option<Difference> {
    match (recorded, given) {
        (Value::Object(a), Value::Object(b)) => {
            let mut names: Vec<_> = a.keys().chain(b.keys()).collect();
            names.sort_unstable();
            names.dedup();
            names.into_iter().find_map(|name| of_members(format!("{at}.{}", shown(name)), a.get(name), b.get(name)))
        }
        (Value::Array(a), Value::Array(b)) => {
            (0..a.len().max(b.len())).find_map(|index| of_members(format!("{at}[{index}]"), a.get(index), b.get(index)))
        }
        (Value::String(a), Value::String(b)) => (a != b).then(|| of_texts(at, a, b)),
        (a, b) if a == b => None,
        (a, b) => Some(Difference { at, recorded: shown(&a.to_string()), given: shown(&b.to_string()) }),
    }
}

fn of_members(at: String, recorded: Option<&Value>, given: Option<&Value>) -> Option<Difference> {
    if let (Some(recorded), Some(given)) = (recorded, given) {
        return of_values(at, recorded, given);
    }
    let there = |side: Option<&Value>| side.map_or_else(|| "nothing".to_owned(), |value| shown(&value.to_string()));
    Some(Difference { at, recorded: there(recorded), given: there(given) })
}

/// The difference of two texts; if they have several lines, the line is named.
fn of_texts(at: String, recorded: &str, given: &str) -> Difference {
    let same: usize =
        recorded.chars().zip(given.chars()).take_while(|(a, b)| a == b).map(|(one, _)| one.len_utf8()).sum();
    let line = recorded[..same].matches('\n').count() + 1;
    let several = [recorded, given].iter().any(|text| text.contains('\n'));
    let at = match (several, at.is_empty()) {
        (false, _) => at,
        (true, true) => format!("line {line}"),
        (true, false) => format!("{at}, line {line}"),
    };
    Difference { at, recorded: around(recorded, same), given: around(given, same) }
}

/// The line of a text that contains `place`, quoted; of a long line, the part around that place.
fn around(text: &str, place: usize) -> String {
    let start = text[..place].rfind('\n').map_or(0, |end| end + 1);
    let Some(line) = text[start..].split_inclusive('\n').next() else { return "the end".to_owned() };
    // The line's end is shown if it is the difference.
    let line = if place - start < line.trim_end_matches('\n').len() { line.trim_end_matches('\n') } else { line };
    let length = line.chars().count();
    let before = line[..place - start].chars().count();
    let skipped = if length > SHOWN { before.saturating_sub(BEFORE) } else { 0 };
    let part: String = line.chars().skip(skipped).take(SHOWN).collect();
    let front = if skipped > 0 { "..." } else { "" };
    let back = if skipped + SHOWN < length { "..." } else { "" };
    format!("{front}{part:?}{back}")
}

/// A JSON text, or its beginning, with all special characters escaped.
fn shown(json: &str) -> String {
    let mut text = String::new();
    for one in json.chars().take(SHOWN) {
        match one {
            '"' | '\'' | '\\' => text.push(one),
            one => text.extend(one.escape_debug()),
        }
    }
    if json.chars().nth(SHOWN).is_some() {
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::first;

    #[test]
    fn the_first_difference_is_named_by_its_place() {
        for (recorded, given, told) in [
            (r#""Ada""#, r#""Bob""#, r#"recorded "Ada", given "Bob""#),
            ("1", "1.0", "recorded 1, given 1.0"),
            ("0.1", "0.10000000000000000001", r#"recorded "0.1", given "0.10000000000000000001""#),
            (r#"{"a":1,"b":[1,2]}"#, r#"{"b":[1,3],"a":1}"#, "at .b[1]: recorded 2, given 3"),
            ("[1]", "[1,{}]", "at [1]: recorded nothing, given {}"),
            (r#"{"n":null}"#, "{}", "at .n: recorded null, given nothing"),
            (
                r#"{"code":"a\nb = 1\nc"}"#,
                r#"{"code":"a\nb = 2\nc"}"#,
                r#"at .code, line 2: recorded "b = 1", given "b = 2""#,
            ),
            (r#"{"code":"a"}"#, r#"{"code":"a\n"}"#, r#"at .code, line 1: recorded "a", given "a\n""#),
            (r#"{"code":"a\n"}"#, r#"{"code":"a\nb"}"#, r#"at .code, line 2: recorded the end, given "b""#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#, r#"recorded "{\"a\":1,\"a\":2}", given "{\"a\":2}""#),
            (r#""\u202e\u001b[2J""#, r#""""#, r#"recorded "\u{202e}\u{1b}[2J", given the end"#),
        ] {
            assert_eq!(first(recorded, given), told, "{recorded} {given}");
        }
    }

    #[test]
    fn two_large_programs_are_not_shown_whole() {
        let program = |end: &str| {
            let lines: String = (0..20_000).map(|n| format!("x{n} = {n}  # ü\n")).collect();
            serde_json::json!({ "code": format!("{lines}{}{end}{}", "y".repeat(5_000), "z".repeat(5_000)) }).to_string()
        };
        let told = first(&program("1"), &program("2"));
        assert!(told.len() < 300 && told.starts_with("at .code, line 20001: recorded ...\"yyyy"), "{told}");
        assert!(told.contains("y1z") && told.contains("y2z"), "{told}");
    }
}
