//! Texts that try to deceive their reader, for tests of everything that shows untrusted text, in the library and in the program.

use proptest::prelude::*;
use proptest::sample::select;

const PIECES: [&str; 24] = [
    "\u{200b}",
    "\u{200d}",
    "\u{ad}",
    "\u{2028}",
    "\u{2029}",
    "\u{202e}",
    "\u{2066}",
    "\u{2800}",
    "\u{3164}",
    "\u{e0041}",
    "\u{fe0f}",
    "\u{feff}",
    "\u{336}",
    "\x1b[8m",
    "\x1b[2J",
    "\x1b]0;x\x07",
    "\r",
    "\n",
    "\t",
    "\0",
    "\u{9b}31m",
    "\"",
    "\\ud83d",
    "yes or no [x.0]",
];

/// Includes long and deeply nested texts.
pub(crate) fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => select(&PIECES[..]).prop_map(str::to_owned),
        2 => any::<char>().prop_map(String::from),
        2 => "[a-z]{0,12}",
        1 => (select(&["[", "{\"a\":", "x", "\u{200b}"][..]), 1..3_000_usize).prop_map(|(part, times)| part.repeat(times)),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}
