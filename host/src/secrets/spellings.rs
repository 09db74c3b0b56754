//! The ways in which a server may write a secret back, besides the escapes that `decode` resolves and the case of
//! letters.

use super::decode::{Escapes, decode};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use std::collections::BTreeSet;

/// Minimum length of a secret: shorter values would match unrelated text.
pub(super) const SHORTEST: usize = 8;

/// All texts to look for in a server's output and in each decoding of it.
pub(super) fn spellings(value: &str) -> BTreeSet<Vec<u8>> {
    let mut all = BTreeSet::new();
    for text in texts(value) {
        all.insert(without_space(text.as_bytes()));
        all.insert(text.replace(' ', "+").into_bytes());
        // As in places where only letters of names are allowed.
        let plain = |other: char| text.replace(|letter: char| !letter.is_ascii_alphanumeric(), &other.to_string());
        all.extend([plain('-').into_bytes(), plain('_').into_bytes()]);
        for bytes in nested(&text) {
            in_base64(&bytes, &mut all);
        }
        in_numbers(text.as_bytes(), &mut all);
        all.insert(text.into_bytes());
    }
    all.retain(|spelling| spelling.len() >= SHORTEST);
    all
}

/// The value, and those of its parts that are secret as well: it without its scheme, and the name and password of
/// `Basic`.
fn texts(value: &str) -> Vec<String> {
    let mut all = vec![value.to_owned()];
    let bare = value.split_once(' ').map_or(value, |(_, bare)| bare.trim());
    all.push(bare.to_owned());
    for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
        let pair = engine.decode(bare).ok().and_then(|pair| String::from_utf8(pair).ok());
        let pair = pair.filter(|pair| pair.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        if let Some((name, password)) = pair.as_deref().and_then(|pair| pair.split_once(':')) {
            all.extend([format!("{name}:{password}"), password.to_owned()]);
        }
    }
    // The decodings of a text that contains escapes already.
    for text in all.clone() {
        let once = decode(text.as_bytes(), Escapes::USUAL).bytes;
        let twice = decode(&once, Escapes::USUAL).bytes;
        all.extend([once, twice].into_iter().filter_map(|bytes| String::from_utf8(bytes).ok()));
    }
    all.sort_unstable();
    all.dedup();
    all.retain(|text| text.len() >= SHORTEST);
    all
}

/// The text as it may be written inside another one that is encoded in base64 as a whole.
fn nested(text: &str) -> BTreeSet<Vec<u8>> {
    let json = serde_json::to_string(text).unwrap_or_default();
    let json = json.get(1..json.len().saturating_sub(1)).unwrap_or_default().to_owned();
    let percent = |upper: bool| -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        let escape = |byte: u8| if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") };
        text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { escape(byte) }).collect()
    };
    let html = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let ascii = [text.to_owned(), json.replace('/', "\\/"), json, percent(true), percent(false), html];
    let wide = |text: &[u8], little: bool| -> Vec<u8> {
        text.iter().flat_map(|byte| if little { [*byte, 0] } else { [0, *byte] }).collect()
    };
    let ascii = ascii.into_iter().map(String::into_bytes);
    ascii.flat_map(|text| [wide(&text, true), wide(&text, false), text]).collect()
}

/// The base64 of the bytes at any position in a text, and the base64 of that.
fn in_base64(bytes: &[u8], all: &mut BTreeSet<Vec<u8>>) {
    for once in base64_of(bytes) {
        all.extend(base64_of(&once));
        all.insert(once);
    }
}

/// The base64 of some bytes at the end of a text and, for each position modulo three inside a text, the part of the base64 that
/// depends on these bytes alone.
fn base64_of(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![STANDARD_NO_PAD.encode(bytes).into_bytes()];
    for before in 0..3 {
        let encoded = STANDARD_NO_PAD.encode([&[0; 3][..before], bytes].concat());
        let (first, end) = ((8 * before).div_ceil(6), 8 * (before + bytes.len()) / 6);
        all.extend(encoded.get(first..end).map(|core| core.as_bytes().to_vec()));
    }
    let url_safe = |text: &Vec<u8>| {
        let swap = |byte: &u8| match byte {
            b'+' => b'-',
            b'/' => b'_',
            byte => *byte,
        };
        text.iter().map(swap).collect::<Vec<u8>>()
    };
    let others: Vec<_> = all.iter().map(url_safe).collect();
    all.extend(others);
    all
}

/// The bytes as numbers: hex without and with separators, and lists.
fn in_numbers(bytes: &[u8], all: &mut BTreeSet<Vec<u8>>) {
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let decimal: Vec<String> = bytes.iter().map(u8::to_string).collect();
    for separator in ["", ":", "-", ",", "_", ".", ",0x", "0x"] {
        all.insert(hex.join(separator).into_bytes());
    }
    for separator in [",", ";", ":", "-", "."] {
        all.insert(decimal.join(separator).into_bytes());
    }
}

fn without_space(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
}
