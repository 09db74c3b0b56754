//! Finds secrets in bytes, in any common spelling.

use super::decode::{Escapes, decode, trace};
use super::spellings::spellings;
use aho_corasick::{AhoCorasick, BuildError, MatchKind};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

/// See the module.
pub(super) struct Finder {
    /// The complete spellings to look for.
    spellings: Vec<Vec<u8>>,
    /// Finds the beginnings of the spellings.
    beginnings: AhoCorasick,
    /// The ways to decode a text: once with the first escapes, then with the second for as long as the text changes.
    ways: Vec<(Escapes, Escapes)>,
}

/// How much of a spelling is searched for, in bytes; the rest is compared. A token has thousands of bytes, and many tokens
/// begin alike.
const BEGINNING: usize = 64;

/// The most steps of decoding.
const DEEPEST: usize = 5;

/// Texts are nested in any order, with mail outermost.
const USUAL: [(Escapes, Escapes); 2] = [(Escapes::USUAL, Escapes::USUAL), (Escapes::ALL, Escapes::USUAL)];

/// A secret that contains something like an escape keeps it when only other kinds are resolved.
const ONE_KIND: [(Escapes, Escapes); 5] = [
    (Escapes::NONE, Escapes::NONE),
    (Escapes::PERCENT, Escapes::PERCENT),
    (Escapes::BACKSLASH, Escapes::BACKSLASH),
    (Escapes::ENTITY, Escapes::ENTITY),
    (Escapes::MAIL, Escapes::MAIL),
];

impl Finder {
    /// A finder of these values.
    pub(super) fn new(values: &[&str]) -> Result<Self, BuildError> {
        let mut ways = USUAL.to_vec();
        if values.iter().any(|value| value.contains(['%', '\\', '&', '='])) {
            ways.extend(ONE_KIND);
        }
        let spellings: BTreeSet<Vec<u8>> = values.iter().flat_map(|value| spellings(value)).collect();
        let spellings: Vec<Vec<u8>> = spellings.into_iter().collect();
        let beginnings = spellings.iter().map(|spelling| &spelling[..spelling.len().min(BEGINNING)]);
        let mut searcher = AhoCorasick::builder();
        let searcher = searcher.match_kind(MatchKind::Standard).ascii_case_insensitive(true);
        Ok(Self { beginnings: searcher.build(beginnings)?, spellings, ways })
    }

    /// The positions of secrets, in order and without overlaps.
    pub(super) fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found: Vec<_> = self.here(text).collect();
        for way in &self.ways {
            self.find_within(text, *way, &mut found);
        }
        joined(found)
    }

    /// Decodes a text step by step, and finds secrets in each step.
    fn find_within(&self, text: &[u8], (first, then): (Escapes, Escapes), found: &mut Vec<Range<usize>>) {
        let escapes = |depth: usize| if depth == 0 { first } else { then };
        // Each text is the decoding of the one before it.
        let mut texts: Vec<Cow<'_, [u8]>> = vec![Cow::Borrowed(text)];
        while let (depth, Some(innermost)) = (texts.len() - 1, texts.last().filter(|_| texts.len() <= DEEPEST)) {
            let decoded = decode(innermost, escapes(depth));
            if !decoded.changed {
                return;
            }
            let mut parts: Vec<_> = self.here(&decoded.bytes).collect();
            if !parts.is_empty() {
                for (depth, text) in texts.iter().enumerate().rev() {
                    trace(text, escapes(depth), &mut parts);
                }
                found.append(&mut parts);
            }
            texts.push(Cow::Owned(decoded.bytes));
        }
    }

    /// The positions of secrets that are written without escapes.
    fn here<'s>(&'s self, text: &'s [u8]) -> impl Iterator<Item = Range<usize>> + 's {
        self.beginnings.find_overlapping_iter(text).filter_map(move |found| {
            let spelling = self.spellings.get(found.pattern().as_usize())?;
            let end = found.start() + spelling.len();
            let whole = text.get(found.start()..end)?;
            whole.eq_ignore_ascii_case(spelling).then_some(found.start()..end)
        })
    }
}

/// Parts of a text in order; overlapping ones are joined.
fn joined(mut parts: Vec<Range<usize>>) -> Vec<Range<usize>> {
    parts.sort_unstable_by_key(|part| (part.start, part.end));
    let mut joined: Vec<Range<usize>> = Vec::new();
    for part in parts {
        match joined.last_mut() {
            Some(last) if part.start < last.end => last.end = last.end.max(part.end),
            _ => joined.push(part),
        }
    }
    joined
}
