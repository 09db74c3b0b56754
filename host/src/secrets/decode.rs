//! Decodes a text once: resolves escapes of URLs, JSON, HTML and mail, and leaves out white space.
//!
//! A program that writes a text into another one escapes it as a whole, so decoding step by step meets each embedded text.

use std::ops::Range;

/// The kinds of escapes that are resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Escapes(u8);

impl Escapes {
    pub(super) const NONE: Self = Self(0);
    /// `%41`, `%u0041`.
    pub(super) const PERCENT: Self = Self(1);
    /// `\u0041`, `\x41`, `\101`, `\"`.
    pub(super) const BACKSLASH: Self = Self(2);
    /// `&#65;`, `&#x41;`, `&amp;`.
    pub(super) const ENTITY: Self = Self(4);
    /// `=41`, and `=` at the end of a line: often found where they are not escapes, as in `?a=41b`.
    pub(super) const MAIL: Self = Self(8);
    /// All except those of mail.
    pub(super) const USUAL: Self = Self(7);
    /// All.
    pub(super) const ALL: Self = Self(15);

    fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// One decoding of a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Decoded {
    pub(super) bytes: Vec<u8>,
    /// Whether it differs from the original.
    pub(super) changed: bool,
}

/// Names of characters in HTML, except those that no header may contain.
const NAMES: [(&[u8], u8); 32] = [
    (b"amp", b'&'),
    (b"lt", b'<'),
    (b"gt", b'>'),
    (b"quot", b'"'),
    (b"apos", b'\''),
    (b"sol", b'/'),
    (b"bsol", b'\\'),
    (b"plus", b'+'),
    (b"equals", b'='),
    (b"lowbar", b'_'),
    (b"UnderBar", b'_'),
    (b"period", b'.'),
    (b"colon", b':'),
    (b"semi", b';'),
    (b"comma", b','),
    (b"num", b'#'),
    (b"percnt", b'%'),
    (b"dollar", b'$'),
    (b"commat", b'@'),
    (b"excl", b'!'),
    (b"quest", b'?'),
    (b"lpar", b'('),
    (b"rpar", b')'),
    (b"lsqb", b'['),
    (b"rsqb", b']'),
    (b"lcub", b'{'),
    (b"rcub", b'}'),
    (b"verbar", b'|'),
    (b"ast", b'*'),
    (b"Hat", b'^'),
    (b"grave", b'`'),
    (b"nbsp", b' '),
];

/// Decodes a text once.
pub(super) fn decode(text: &[u8], escapes: Escapes) -> Decoded {
    let mut bytes = Vec::with_capacity(text.len());
    units(text, escapes, |byte, _| bytes.push(byte));
    let changed = bytes != text;
    Decoded { bytes, changed }
}

/// Replaces `parts` of the decoded form by the parts of `text` that they come from; none of them is empty.
pub(super) fn trace(text: &[u8], escapes: Escapes, parts: &mut [Range<usize>]) {
    // Only the first and the last byte of each part are looked up, in order.
    let ends =
        |(part, range): (usize, &Range<usize>)| [(range.start, part, false), (range.end.saturating_sub(1), part, true)];
    let mut asked: Vec<_> = parts.iter().enumerate().flat_map(ends).collect();
    asked.sort_unstable();
    parts.fill(text.len()..text.len());
    let (mut asked, mut at) = (asked.into_iter().peekable(), 0);
    units(text, escapes, |_, place| {
        while let Some((_, part, is_last)) = asked.next_if(|(byte, ..)| *byte == at) {
            let Some(part) = parts.get_mut(part) else { continue };
            if is_last { part.end = place.end } else { part.start = place.start }
        }
        at += 1;
    });
}

/// Calls `put` for each byte of the decoded form, with the range that it comes from.
fn units(text: &[u8], escapes: Escapes, mut put: impl FnMut(u8, Range<usize>)) {
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let (byte, length) = unit(rest, escapes);
        // White space is inserted where lines are broken, and a zero beside each byte is UTF-16 or UTF-32.
        if let Some(byte) = byte.filter(|byte| !byte.is_ascii_whitespace() && *byte != 0) {
            put(byte, at..at + length);
        }
        at += length;
    }
}

/// The first character of a text and its length in bytes. Only ASCII is decoded, as secrets are ASCII.
fn unit(text: &[u8], escapes: Escapes) -> (Option<u8>, usize) {
    let literal = (text.first().copied(), 1);
    let escaped = match text {
        [b'%', rest @ ..] if escapes.has(Escapes::PERCENT) => percent(rest),
        [b'\\', rest @ ..] if escapes.has(Escapes::BACKSLASH) => backslash(rest),
        [b'&', rest @ ..] if escapes.has(Escapes::ENTITY) => entity(rest),
        [b'=', rest @ ..] if escapes.has(Escapes::MAIL) => mail(rest),
        _ => None,
    };
    match escaped {
        Some((code, length)) => match u8::try_from(code) {
            Ok(byte) if byte.is_ascii() => (Some(byte), length + 1),
            _ => literal,
        },
        None => literal,
    }
}

/// Decodes the text after a percent sign in a URL.
fn percent(text: &[u8]) -> Option<(u32, usize)> {
    match text {
        [b'u' | b'U', rest @ ..] => number(rest, 4..=4, 16).map(|(code, length)| (code, length + 1)),
        _ => number(text, 2..=2, 16),
    }
}

/// Decodes the text after an equals sign in a mail.
fn mail(text: &[u8]) -> Option<(u32, usize)> {
    match text {
        [b'\r', b'\n', ..] => Some((u32::from(b' '), 2)),
        [b'\n', ..] => Some((u32::from(b' '), 1)),
        _ => number(text, 2..=2, 16),
    }
}

/// Decodes the text after a backslash in JSON, JavaScript, Python, C or a shell.
fn backslash(text: &[u8]) -> Option<(u32, usize)> {
    match text {
        [b'u' | b'U', b'{', rest @ ..] => {
            let (code, length) = number(rest, 1..=8, 16)?;
            (rest.get(length) == Some(&b'}')).then_some((code, length + 3))
        }
        [b'U', rest @ ..] if number(rest, 8..=8, 16).is_some() => {
            number(rest, 8..=8, 16).map(|(code, length)| (code, length + 1))
        }
        [b'u', rest @ ..] => number(rest, 4..=4, 16).map(|(code, length)| (code, length + 1)),
        [b'x', b'{', rest @ ..] => {
            let (code, length) = number(rest, 1..=8, 16)?;
            (rest.get(length) == Some(&b'}')).then_some((code, length + 3))
        }
        [b'x' | b'X', rest @ ..] => number(rest, 2..=2, 16).map(|(code, length)| (code, length + 1)),
        [b'0'..=b'7', ..] => number(text, 1..=3, 8),
        [b'n' | b'r' | b't' | b'v' | b'f' | b'\n', ..] => Some((u32::from(b' '), 1)),
        [b'\r', b'\n', ..] => Some((u32::from(b' '), 2)),
        [other, ..] => Some((u32::from(*other), 1)),
        [] => None,
    }
}

/// Decodes the text after an ampersand in HTML.
fn entity(text: &[u8]) -> Option<(u32, usize)> {
    let (code, length) = match text {
        [b'#', b'x' | b'X', rest @ ..] => number(rest, 1..=8, 16).map(|(code, length)| (code, length + 2)),
        [b'#', rest @ ..] => number(rest, 1..=8, 10).map(|(code, length)| (code, length + 1)),
        _ => NAMES
            .iter()
            .find(|(name, _)| text.starts_with(name) && text.get(name.len()) == Some(&b';'))
            .map(|(name, byte)| (u32::from(*byte), name.len())),
    }?;
    Some((code, length + usize::from(text.get(length) == Some(&b';'))))
}

/// A number of as many digits as there are, within the bounds.
fn number(text: &[u8], digits: std::ops::RangeInclusive<usize>, radix: u32) -> Option<(u32, usize)> {
    let is_digit = |byte: &&u8| char::from(**byte).is_digit(radix);
    let length = text.iter().take(*digits.end()).take_while(is_digit).count();
    let number = text.get(..length).filter(|_| digits.contains(&length))?;
    let number = std::str::from_utf8(number).ok()?;
    u32::from_str_radix(number, radix).ok().map(|number| (number, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual(text: &str) -> String {
        String::from_utf8(decode(text.as_bytes(), Escapes::USUAL).bytes).unwrap()
    }

    #[test]
    fn each_escape_becomes_what_it_means() {
        for escaped in [
            "A",
            "%41",
            "%u0041",
            r"\u0041",
            r"\u{41}",
            r"\U00000041",
            r"\x41",
            r"\x{0041}",
            r"\101",
            r"\A",
            "&#65;",
            "&#65",
            "&#x41;",
            "&#0065;",
        ] {
            assert_eq!(usual(&format!("-{escaped}-")), "-A-", "{escaped}");
        }
        assert_eq!(usual("a&amp;b&lt;&sol;c"), "a&b</c");
        assert_eq!(usual(r#"\"\/\\"#), r#""/\"#);
        assert_eq!(usual("a b\r\n\tc\0d\\ne%20f"), "abcdef");
        for literal in ["%", "%4", "%zz", "&", "&#;", "&amp", "&unknown;", "é%e9", "=41"] {
            assert_eq!(usual(literal), literal, "{literal}");
        }
        assert_eq!(decode(b"a=41=\r\nb=\nc", Escapes::ALL).bytes, b"aAbc");
        assert!(!decode(b"plain", Escapes::ALL).changed);
    }

    #[test]
    fn parts_are_traced_back_to_what_they_were_written_as() {
        let text = br"..%41 \u0042&#67;..";
        let mut parts = [2..5, 2..3, 0..2, 5..7];
        trace(text, Escapes::USUAL, &mut parts);
        assert_eq!(parts, [2..17, 2..5, 0..2, 17..19]);
    }
}
