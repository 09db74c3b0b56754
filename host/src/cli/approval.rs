//! A call that waits for approval, as a person reads it: first the deciding arguments, in full; then the rest, with the number of bytes
//! that were cut.

use super::text;
use everstep::store::PendingPromise;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The most characters of each of the other arguments, unless all of the call is shown.
const LONGEST: usize = 1_000;

/// The call to be approved.
pub(super) struct Call {
    /// The deciding arguments: capability, method, URL, path or function.
    decides: String,
    /// The other arguments, each with its name.
    rest: Vec<(String, String)>,
}

/// The call as the host stores it.
#[derive(Deserialize)]
struct Data {
    capability: String,
    /// The names of the deciding arguments, in this order; these are bounded and never cut. If an older host has not named them,
    /// all arguments decide.
    decides: Option<Vec<String>>,
    arguments: BTreeMap<String, Value>,
    #[serde(default)]
    digest: String,
}

impl Call {
    pub(super) fn of(promise: &PendingPromise) -> Self {
        Self::read(&promise.subject, promise.data.as_deref().unwrap_or_default())
    }

    /// Reads a stored call. One that another host has stored in a different form is shown as it is.
    pub(super) fn read(subject: &str, data: &str) -> Self {
        let Ok(Data { capability, decides, mut arguments, digest }) = serde_json::from_str::<Data>(data) else {
            return Self { decides: whole(subject), rest: vec![("data".to_owned(), data.to_owned())] };
        };
        let decides = decides.unwrap_or_else(|| arguments.keys().cloned().collect());
        let decides: Vec<_> = decides.iter().filter_map(|name| arguments.remove(name)).collect();
        let decide = decides.iter().filter(|value| !value.is_null()).map(word);
        let decides: Vec<String> = std::iter::once(capability).chain(decide).filter(|part| !part.is_empty()).collect();
        let rest = arguments.into_iter().map(|(name, value)| (name, plain(&value)));
        let rest = rest.chain([("digest".to_owned(), digest)]).filter(|(_, value)| !value.is_empty());
        Self { decides: whole(&decides.join(" ")), rest: rest.collect() }
    }

    /// The deciding arguments, in one line.
    pub(super) fn decides(&self) -> &str {
        &self.decides
    }

    /// The other arguments in one line of at most `longest` characters, and how many bytes were cut.
    pub(super) fn rest(&self, longest: usize) -> (String, usize) {
        let rest: Vec<_> = self.rest.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        text::cut(&rest.join("; "), longest)
    }

    /// A line for the deciding arguments and one for each other argument. `all` says where to read what was cut.
    pub(super) fn shown(&self, all: &str) -> String {
        let mut shown = format!("  {}", self.decides);
        let mut missing = 0;
        for (name, value) in &self.rest {
            let (line, cut) = text::cut(value, LONGEST);
            let cut_off = if cut == 0 { String::new() } else { format!("... ({cut} of {} bytes more)", value.len()) };
            shown.push_str(&format!("\n  {}: {line}{cut_off}", whole(name)));
            missing += cut;
        }
        if missing > 0 {
            shown.push_str(&format!("\n  {missing} bytes are left out here; all of it: {all}"));
        }
        shown
    }

    /// The whole call.
    pub(super) fn all(&self) -> String {
        let rest = self.rest.iter().map(|(name, value)| format!("\n  {}: {}", whole(name), whole(value)));
        std::iter::once(format!("  {}", self.decides)).chain(rest).collect()
    }
}

/// A deciding value; in quotes if it could be taken for two.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"') => text.clone(),
        other => other.to_string(),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn whole(text: &str) -> String {
    text::line(text, usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(body: &str) -> Call {
        let url = format!("https://bank.example.com:443/{}", "p/".repeat(3_000));
        let arguments =
            serde_json::json!({ "body": body, "headers": "a: b\n", "method": "POST", "url": url, "timeout": "" });
        let data = serde_json::json!({ "capability": "http.fetch", "decides": ["method", "url"], "arguments": arguments, "digest": "blake3:00" });
        Call::read("fetch POST bank.example.com:443", &data.to_string())
    }

    #[test]
    fn what_decides_comes_first_and_whole_whatever_else_there_is() {
        let shown = call(&"x".repeat(4_800)).shown("HERE");
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], format!("  http.fetch POST https://bank.example.com:443/{}", "p/".repeat(3_000)));
        assert_eq!(lines[1], format!("  body: {}... (3800 of 4800 bytes more)", "x".repeat(1_000)));
        assert_eq!(
            lines[2..],
            ["  headers: a: b\\n", "  digest: blake3:00", "  3800 bytes are left out here; all of it: HERE"]
        );
        let all = call(&"x".repeat(4_800)).all();
        assert!(all.contains(&"x".repeat(4_800)) && !all.contains("bytes"), "{all}");
    }

    #[test]
    fn a_name_cannot_pass_for_two() {
        let data = r#"{"capability":"functions.call","decides":["function","target"],"arguments":{"args":"[1]","target":null,"function":"pay\" \"a\u200b"}}"#;
        assert_eq!(Call::read("", data).shown("HERE"), "  functions.call \"pay\\\" \\\"a\\u{200b}\"\n  args: [1]");
    }

    #[test]
    fn where_it_is_not_said_what_decides_all_of_it_is_whole() {
        let body = "x".repeat(4_800);
        let data =
            serde_json::json!({ "capability": "files.write", "arguments": { "content": body, "path": "/out/a" } });
        assert_eq!(Call::read("", &data.to_string()).shown("HERE"), format!("  files.write {body} /out/a"));
    }

    #[test]
    fn no_argument_can_make_a_line_of_its_own() {
        let shown = call("a\n  http.fetch GET https://other\u{2028}b\u{200b}").shown("HERE");
        assert!(shown.contains("  body: a\\n  http.fetch GET https://other\\u{2028}b\\u{200b}\n"), "{shown}");
    }

    #[test]
    fn what_is_of_another_form_is_shown_as_it_is() {
        let shown = Call::read("send it", "[1]").shown("HERE");
        assert_eq!(shown, "  send it\n  data: [1]");
    }
}
