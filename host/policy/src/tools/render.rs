//! Writes a policy as a file; has the helpers of the sections for that.

use crate::Policy;
use crate::section::SECTIONS;
use crate::units::{count_text, size_text, span_text};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// The policy as one file, with everything that it inherits: every key is present, and paths are absolute.
///
/// Loading it gives the same policy, except for `[[ask]]` rules whose approval is not enough, which a comment notes.
pub fn to_toml(policy: &Policy) -> String {
    let mut text = format!("version = 1\nname = {}\n", quote(&policy.name));
    SECTIONS.iter().for_each(|section| section.render(policy, &mut text));
    text
}

/// One rule as in a file, by the name that decisions give it. `None` if it is not a rule of a file.
pub fn rule_toml(policy: &Policy, rule: &str) -> Option<String> {
    SECTIONS.iter().find_map(|section| section.rule_toml(policy, rule))
}

/// A description of what a policy grants: a heading and a line for each rule and each key, not escaped.
pub fn told(policy: &Policy) -> Vec<(&'static str, String)> {
    SECTIONS.iter().flat_map(|section| section.told(policy)).collect()
}

/// A text as a TOML string; also a key.
pub(crate) fn quote(text: &str) -> String {
    // TOML reads all escapes of JSON; it requires one for DEL, too.
    serde_json::to_string(text).unwrap_or_default().replace('\x7f', "\\u007F")
}

/// A list of texts.
pub(crate) fn quote_list(items: &[&str]) -> String {
    list(items.iter().map(|item| (*item).to_owned()))
}

/// The same for owned texts.
pub(crate) fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().map(|item| quote(&item)).collect::<Vec<_>>().join(", "))
}

/// A path of the host.
pub(crate) fn host_path(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

/// A table with these keys, if there are any.
pub(crate) fn table(text: &mut String, name: &str, keys: impl Iterator<Item = (String, String)>) {
    let mut keys = keys.peekable();
    if keys.peek().is_some() {
        let _ = writeln!(text, "\n[{name}]");
    }
    for (key, value) in keys {
        let _ = writeln!(text, "{key} = {value}");
    }
}

/// A rule with its keys; those without a value are omitted.
pub(crate) fn rule(section: &str, keys: &[(&str, Option<String>)]) -> String {
    let mut text = format!("[[{section}]]\n");
    for (key, value) in keys {
        if let Some(value) = value {
            let _ = writeln!(text, "{key} = {value}");
        }
    }
    text
}

/// A number of bytes.
pub(crate) fn size(bytes: u64) -> Option<String> {
    Some(quote(&size_text(bytes)))
}

/// A length of time.
pub(crate) fn span(time: Duration) -> Option<String> {
    Some(quote(&if time == Duration::MAX { "unlimited".to_owned() } else { span_text(time) }))
}

/// A number of things.
pub(crate) fn count(number: u64) -> Option<String> {
    let text = count_text(number);
    Some(if number == u64::MAX { quote(&text) } else { text })
}
