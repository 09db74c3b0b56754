//! URLs: the targets of guests, and the patterns of rules. All decisions are made on parsed parts.
//!
//! - `target` parses the URL of a guest, or of a redirect, into the one canonical form that is used for decisions, audit lines
//!   and requests.
//! - `pattern` is the `url` of a rule: which targets it matches, and which other patterns it covers.
//! - `parts` matches labels of a host and segments of a path.

mod parts;
mod pattern;
mod target;

pub use pattern::Pattern;
pub(super) use pattern::{Nearness, Place};
pub use target::{Fault, Target};

/// Bytes that must not be percent-encoded in a path: they would separate segments, or end a text.
fn is_unsafe(byte: u8) -> bool {
    byte.is_ascii_control() || b"/\\".contains(&byte)
}

/// Decodes a path, or returns the reason that one of its percent encodings is refused.
fn decoded(path: &str) -> Result<String, Fault> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let (byte, after) = if *first == b'%' { encoded(tail)? } else { (*first, tail) };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| Fault::Encoding("an encoded part of its path is not UTF-8"))
}

/// The byte of the two hex digits at the start of `tail`, and the rest.
fn encoded(tail: &[u8]) -> Result<(u8, &[u8]), Fault> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let [high, low, after @ ..] = tail else { return Err(Fault::Encoding("a \"%\" in its path encodes nothing")) };
    let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
        return Err(Fault::Encoding("a \"%\" in its path encodes nothing"));
    };
    match high * 16 + low {
        byte if is_unsafe(byte) => {
            Err(Fault::Encoding("its path has an encoded slash, backslash or control character"))
        }
        byte => Ok((byte, after)),
    }
}

/// Whether a decoded segment leads upwards on some servers: `..`, and `..;x` where parameters are removed.
fn is_dots(segment: &str) -> bool {
    matches!(segment.split(';').next(), Some("." | ".."))
}

#[cfg(test)]
mod tests;
