//! Text as a person has to see it: characters that show nothing, or show text in a different order, appear as escapes.
//!
//! One function decides for all text that is shown to people, based on the tables of Unicode.

use icu_properties::props::{
    BinaryProperty as _, CanonicalCombiningClass as Combining, DefaultIgnorableCodePoint, Emoji, EmojiModifier,
    EnumeratedProperty as _, ExtendedPictographic, GeneralCategory as Category, JoiningType,
};
use std::borrow::Cow;
use std::path::Path;

/// How a person sees a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// As a mark of its own, or by its effect on the one before it. A space is included.
    Seen,
    /// As a gap that is not a space, or as whatever a font has for a private-use character.
    Blank,
    /// Not at all, or by its effect on a terminal, on lines or on the order of the text around it.
    Hidden,
}

/// Characters that are drawn as nothing by their meaning, which no property says: blank letters, notes and patterns.
const EMPTY: [char; 5] = ['\u{2800}', '\u{16fe4}', '\u{1d159}', '\u{13441}', '\u{13442}'];

/// The characters of a text, each with how a person sees it. Characters that join letters or pictures, or choose between their forms, are
/// seen where they do so.
pub fn sights(text: &str) -> impl Iterator<Item = (char, Sight)> {
    let (mut before, mut rest) = (None, text.chars());
    std::iter::from_fn(move || {
        let one = rest.next()?;
        let sight = sight(before, one, rest.clone().next());
        // Nothing can join an escape, or be drawn over it.
        before = Some(if sight == Sight::Seen { one } else { '\0' });
        Some((one, sight))
    })
}

/// Whether a text is seen as it is.
pub fn is_seen(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) || sights(text).all(|(_, sight)| sight == Sight::Seen)
}

/// Writes a text with an escape, such as `\n` or `\u{200b}`, for everything that is not seen.
pub fn push_escaped(line: &mut String, text: &str) {
    for (one, sight) in sights(text) {
        if sight == Sight::Seen { line.push(one) } else { line.extend(one.escape_default()) }
    }
}

/// A JSON text in one line with the same meaning, in which everything that is not seen is a JSON escape.
pub fn json(text: &str) -> Cow<'_, str> {
    let bare = |(one, sight): (char, Sight)| sight != Sight::Seen && one != '\t';
    if !sights(text).any(bare) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for (one, sight) in sights(text) {
        match one {
            '\n' | '\r' => safe.push(' '),
            _ if bare((one, sight)) => {
                safe.extend(one.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
            }
            _ => safe.push(one),
        }
    }
    Cow::Owned(safe)
}

/// A path for a message: its names may be chosen by others.
pub fn path(path: impl AsRef<Path>) -> String {
    let mut line = String::new();
    push_escaped(&mut line, &path.as_ref().to_string_lossy());
    line
}

fn sight(before: Option<char>, one: char, after: Option<char>) -> Sight {
    if (' '..='~').contains(&one) {
        return Sight::Seen;
    }
    match Category::for_char(one) {
        Category::Control | Category::LineSeparator | Category::ParagraphSeparator | Category::Surrogate => {
            Sight::Hidden
        }
        category => {
            let shows_nothing = category == Category::Format
                || DefaultIgnorableCodePoint::for_char(one)
                || EMPTY.contains(&one)
                || is_mark(category) && has_no_base(before);
            match category {
                _ if shows_nothing && !acts(before, one, after) => Sight::Hidden,
                Category::SpaceSeparator | Category::PrivateUse | Category::Unassigned => Sight::Blank,
                _ => Sight::Seen,
            }
        }
    }
}

fn is_mark(category: Category) -> bool {
    matches!(category, Category::NonspacingMark | Category::EnclosingMark | Category::SpacingMark)
}

/// Whether a mark here would be drawn over text of the host.
fn has_no_base(before: Option<char>) -> bool {
    before.is_none_or(|before| before == '"' || before.is_control())
}

/// Whether a character without a mark of its own changes how its neighbours look, as intended.
fn acts(before: Option<char>, one: char, after: Option<char>) -> bool {
    let Some(before) = before else { return false };
    match one {
        // It selects the form of a picture, with or without colour, or of a key.
        '\u{fe0e}' | '\u{fe0f}' => {
            ExtendedPictographic::for_char(before) || Emoji::for_char(before) && after == Some('\u{20e3}')
        }
        '\u{200c}' | '\u{200d}' => joins(before, one, after),
        _ => false,
    }
}

/// Whether letters may be joined or kept apart here (RFC 5892, appendix A), or this is within a picture made of several (UAX 29,
/// GB11).
fn joins(before: char, one: char, after: Option<char>) -> bool {
    let Some(after) = after.filter(|&after| Category::for_char(after) != Category::Unassigned) else { return false };
    let pictures = ExtendedPictographic::for_char(before) || EmojiModifier::for_char(before) || before == '\u{fe0f}';
    let (left, right) = (JoiningType::for_char(before), JoiningType::for_char(after));
    let dual = JoiningType::DualJoining;
    let letters =
        (left == dual || left == JoiningType::LeftJoining) && (right == dual || right == JoiningType::RightJoining);
    one == '\u{200d}' && pictures && ExtendedPictographic::for_char(after)
        || Combining::for_char(before) == Combining::Virama
        || one == '\u{200c}' && letters
}

#[cfg(test)]
#[path = "hostile_texts.rs"]
mod hostile;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_escaped_is_seen_and_in_one_line(text in hostile::texts()) {
            prop_assert!(is_seen(&escaped(&text)) && !escaped(&text).contains('\n'));
        }
    }

    fn escaped(text: &str) -> String {
        let mut line = String::new();
        push_escaped(&mut line, text);
        line
    }

    #[test]
    fn what_nobody_sees_is_an_escape() {
        let hidden = "\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{17b4}\u{180b}\u{180e}\u{200b}\u{200c}\u{200d}\u{200e}\u{2028}\u{2029}\u{202e}\
                      \u{2060}\u{2066}\u{206f}\u{2800}\u{3164}\u{fe00}\u{fe0f}\u{feff}\u{ffa0}\u{fff9}\u{1d159}\u{1d173}\u{e0001}\u{e0041}\u{e0100}\
                      \u{85}\u{9b}\u{7f}\0";
        for one in hidden.chars() {
            let text = format!("a{one}b");
            let all: Vec<Sight> = sights(&text).map(|(_, sight)| sight).collect();
            assert_eq!(all, [Sight::Seen, Sight::Hidden, Sight::Seen], "{one:?}");
            assert_eq!(escaped(&text), format!("a{}b", one.escape_default()));
            assert!(!is_seen(&text));
        }
        for one in ['\u{a0}', '\u{3000}', '\u{200a}', '\u{e000}', '\u{fdd0}', '\u{378}'] {
            assert_eq!(sights(&format!("a{one}")).last(), Some((one, Sight::Blank)), "{one:?}");
        }
    }

    #[test]
    fn what_people_write_stays_as_it_is() {
        let written = [
            "plain ASCII ~!",
            "Grüße, señor",
            "e\u{301}te\u{301}",
            "日本語",
            "שלום",
            "\u{2764}\u{fe0f}",
            "1\u{fe0f}\u{20e3}",
            "\u{1f469}\u{1f3fd}\u{200d}\u{1f680}",
            "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}",
            "\u{915}\u{94d}\u{200d}\u{937}",
        ];
        for text in written {
            assert!(is_seen(text), "{}", escaped(text));
        }
    }

    #[test]
    fn a_mark_is_not_drawn_over_what_stands_before_the_text() {
        assert_eq!(escaped("\u{336}a\u{336}"), "\\u{336}a\u{336}");
        assert_eq!(escaped("\"\u{336}"), "\"\\u{336}");
    }
}
