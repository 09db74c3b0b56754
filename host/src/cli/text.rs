//! Text for people: makes guest text harmless; formats times, sizes and aligned tables.

pub(crate) use everstep::visible::json;
use everstep::visible::{Sight, is_seen, sights};
use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Resets what a guest has set with [`printed`], such as colours or concealment. Written before every line of the host on a terminal.
pub(crate) const RESET: &str = "\x1b[0m";

/// Puts a JSON text on one line: between tokens a line end equals a space, and strings contain none.
pub(crate) fn one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}

/// Guest text for a terminal. What acts on the terminal or is invisible appears as escapes; line ends, tabs, blanks of every width and
/// colours (`ESC [ numbers m`) stay.
pub(crate) fn printed(text: &str) -> Cow<'_, str> {
    kept(text, colour)
}

/// A line of the host for a terminal: text of others in it cannot colour, conceal or move anything.
pub(crate) fn said(text: &str) -> Cow<'_, str> {
    kept(text, |_| None)
}

/// Escapes hidden characters, except for line ends, tabs, and sequences that `length` recognises.
fn kept(text: &str, length: impl Fn(&str) -> Option<usize>) -> Cow<'_, str> {
    let stays = |(one, sight)| sight != Sight::Hidden || one == '\n' || one == '\t';
    if sights(text).all(stays) {
        return Cow::Borrowed(text);
    }
    let (mut safe, mut at, mut sequence) = (String::with_capacity(text.len() + 16), 0, 0);
    for (one, sight) in sights(text) {
        if at >= sequence {
            sequence = at + length(&text[at..]).unwrap_or_default();
        }
        if at < sequence || stays((one, sight)) {
            safe.push(one)
        } else {
            safe.extend(one.escape_default())
        }
        at += one.len_utf8();
    }
    Cow::Owned(safe)
}

/// The length of the colour sequence at the start of the text.
fn colour(text: &str) -> Option<usize> {
    let numbers = text.strip_prefix("\x1b[")?;
    let end = numbers.find(|one: char| !(one.is_ascii_digit() || one == ';'))?;
    numbers[end..].starts_with('m').then_some("\x1b[".len() + end + 1)
}

/// Untrusted text in one line of at most `longest` characters, with the number of bytes that were cut.
pub(crate) fn line(text: &str, longest: usize) -> String {
    let (line, missing) = cut(text, longest);
    if missing == 0 { line } else { format!("{line}... ({missing} bytes more)") }
}

/// The same, returning that number separately.
pub(crate) fn cut(text: &str, longest: usize) -> (String, usize) {
    let (mut line, mut length, mut at) = (String::new(), 0, 0);
    for (one, sight) in sights(text) {
        let start = line.len();
        if sight == Sight::Seen {
            line.push(one)
        } else {
            line.extend(one.escape_default())
        }
        length += line[start..].chars().count();
        if length > longest {
            line.truncate(start);
            // A joining character needs one to join.
            while let Some(last) = line.chars().next_back().filter(|_| !is_seen(&line)) {
                line.truncate(line.len() - last.len_utf8());
                at -= last.len_utf8();
            }
            return (line, text.len() - at);
        }
        at += one.len_utf8();
    }
    (line, 0)
}

/// A time as `2026-01-31 12:00:00.123Z`.
pub(crate) fn time(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| format!("{ms} ms"), |time| format!("{time:.3}").replace('T', " "))
}

/// A length of time, such as `1.5 s`.
pub(crate) fn span(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
        3_600_000..86_400_000 => format!("{} h {} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
        _ => format!("{} d {} h", ms / 86_400_000, ms % 86_400_000 / 3_600_000),
    }
}

/// A word quoted for a shell if necessary.
pub(crate) fn shell(word: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
}

/// A path as a word for a shell that no command takes for an option; a name that a terminal cannot show is written byte by byte.
pub(crate) fn shell_path(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    let here = if bytes.starts_with(b"-") { "./" } else { "" };
    match path.to_str().filter(|text| is_seen(text)) {
        Some(text) => shell(&format!("{here}{text}")).into_owned(),
        None => {
            let escaped = bytes.iter().map(|byte| match byte {
                b'\'' | b'\\' => format!("\\{}", char::from(*byte)),
                b' '..=b'~' => char::from(*byte).to_string(),
                _ => format!("\\x{byte:02x}"),
            });
            format!("$'{here}{}'", escaped.collect::<String>())
        }
    }
}

/// Rows under a head, each column as wide as its longest cell so far.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    /// The column widths of the rows that were taken.
    widths: Vec<usize>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|&title| title.to_owned()).collect()], widths: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The number of rows that were not taken yet.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn render(mut self) -> String {
        self.take()
    }

    /// Takes the rows so far; later rows continue the table.
    pub(crate) fn take(&mut self) -> String {
        for row in &self.rows {
            self.widths.resize(self.widths.len().max(row.len()), 0);
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        let mut text = String::new();
        for row in std::mem::take(&mut self.rows) {
            let cells = row.iter().zip(&self.widths).map(|(cell, width)| format!("{cell:width$}"));
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_cannot_steer_the_terminal() {
        assert_eq!(printed("a\tb\n"), "a\tb\n");
        assert_eq!(printed("\x1b[1;31mred\x1b[0m"), "\x1b[1;31mred\x1b[0m");
        assert_eq!(printed("\x1b[2J\x1b]0;title\x07\u{9b}2J\r"), r"\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}2J\r");
        assert_eq!(printed("\x1b[31"), r"\u{1b}[31");
        assert_eq!(printed("a\u{a0}b\u{200b}\u{2028}\u{e0041}"), "a\u{a0}b\\u{200b}\\u{2028}\\u{e0041}");
        assert_eq!(said("a\n\tb\x1b[8mc"), "a\n\tb\\u{1b}[8mc");
        assert_eq!(line("a\nb\u{202e}c", 80), r"a\nb\u{202e}c");
        assert_eq!(line("abcdef", 3), "abc... (3 bytes more)");
        assert_eq!(line("a\u{202e}bü", 3), "a... (6 bytes more)");
        assert_eq!(line("über", 4), "über");
    }

    #[test]
    fn json_stays_what_it_means() {
        let text = "{\"a\":\n\"\u{9b}\u{7f}ü\"}";
        let safe = json(text);
        assert_eq!(safe, r#"{"a": "\u009b\u007fü"}"#);
        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(parse(&safe), parse(text));
        let reversed = "{\"a\u{202e}\":\"\u{2066}\u{61c}\u{200f}b\"}";
        assert_eq!(json(reversed), r#"{"a\u202e":"\u2066\u061c\u200fb"}"#);
        assert_eq!(parse(&json(reversed)), parse(reversed));
        let unseen = "[\"\u{e0041}\u{2800}\u{a0}\"]";
        assert_eq!(json(unseen), r#"["\udb40\udc41\u2800\u00a0"]"#);
        assert_eq!(parse(&json(unseen)), parse(unseen));
    }

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["ID", "STATE"]);
        table.row(["long-id".to_owned(), "ü".to_owned()]);
        table.row(["a".to_owned(), String::new()]);
        assert_eq!(table.take(), "ID       STATE\nlong-id  ü\na\n");
        table.row(["b".to_owned(), "c".to_owned()]);
        assert_eq!(table.render(), "b        c\n", "under the rows before");
    }

    #[test]
    fn times_and_words_read_well() {
        assert_eq!(time(1_700_000_000_123), "2023-11-14 22:13:20.123Z");
        assert_eq!((span(7), span(1_520), span(61_000)), ("7 ms".into(), "1.5 s".into(), "1 min 1 s".into()));
        assert_eq!((shell("a/b-c.1"), shell("it's a")), ("a/b-c.1".into(), r"'it'\''s a'".into()));
    }
}
