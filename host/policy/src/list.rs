//! Rules about URLs in the order of the file, with an index that finds the few that may match.

use super::url::{Nearness, Pattern, Place, Target};
use serde::de::Deserializer;
use serde::{Deserialize, Serialize, Serializer};
use std::cmp::Reverse;
use std::ops::Deref;

/// Rules in the order of the file. To change one, make a new list: the index is not updated.
///
/// The index holds each rule under its host and the path up to the first wildcard. A URL is looked up under each prefix of its
/// path that is as long as some rule's, so that the cost of a decision does not grow with the number of rules.
#[derive(Clone, Debug)]
pub struct RuleList<T> {
    rules: Vec<T>,
    /// Hashes of places and numbers of rules, sorted. Equal hashes of different places are resolved by matching.
    index: Vec<(u64, u32)>,
    /// The number of segments in the longest place.
    depth: usize,
    /// The number of suffixes in the longest one before a wildcard: from two labels on.
    suffixes: usize,
    /// Texts of places and numbers of rules, sorted, so that similar rules are neighbours.
    neighbours: Vec<(String, u32)>,
}

/// A rule that may be limited to some URLs.
pub trait Addressed {
    /// The URLs; `None`: every URL.
    fn url(&self) -> Option<&Pattern>;
}

impl<T: Addressed> RuleList<T> {
    /// The first rule whose pattern matches and for which `also` returns true.
    pub fn first(&self, url: &Target, also: impl Fn(&T) -> bool) -> Option<&T> {
        let mut best = u32::MAX;
        for key in keys(url, self.depth, self.suffixes) {
            let from = self.index.partition_point(|(known, _)| *known < key);
            let here = self.index.iter().skip(from).take_while(|(known, rule)| *known == key && *rule < best);
            let matching = here.map(|(_, rule)| *rule).find(|rule| {
                self.rules
                    .get(*rule as usize)
                    .is_some_and(|rule| rule.url().is_none_or(|pattern| pattern.matches(url)) && also(rule))
            });
            best = matching.unwrap_or(best);
        }
        self.rules.get(best as usize)
    }

    /// The nearest rule to a URL that no rule allows, the first if there are several: exact for a short list. In a long one only those
    /// rules are compared that match except for their methods, and those with similar hosts and paths.
    pub(super) fn nearest(&self, url: &Target) -> Option<(&T, Nearness)> {
        let mut candidates = Vec::new();
        if self.rules.len() <= SHORT {
            candidates.extend(0..self.rules.len());
        } else {
            let here = place_text(url.host(), url.segments());
            let at = self.neighbours.partition_point(|(text, _)| *text < here);
            let beside = self.neighbours.iter().take(at + BESIDE).skip(at.saturating_sub(BESIDE));
            candidates.extend(beside.map(|(_, rule)| *rule as usize));
            for key in keys(url, self.depth, self.suffixes) {
                let from = self.index.partition_point(|(known, _)| *known < key);
                let here = self.index.iter().skip(from).take_while(|(known, _)| *known == key).take(BESIDE);
                candidates.extend(here.map(|(_, rule)| *rule as usize));
            }
        }
        let rules = candidates.into_iter().filter_map(|index| Some((index, self.rules.get(index)?)));
        let near = rules.filter_map(|(index, rule)| Some((index, rule, rule.url()?.nearness(url))));
        let nearest = near.min_by_key(|(index, _, nearness)| (Reverse(*nearness), *index));
        nearest.map(|(_, rule, nearness)| (rule, nearness))
    }
}

/// The longest list in which all rules are compared to find the nearest one.
const SHORT: usize = 16;
/// In a longer list, how many are compared on each side of the place of the URL, and of each place above it.
const BESIDE: usize = 3;

/// The place of rules for every URL.
const ANYWHERE: u64 = 0;
/// FNV-1a over 64 bits: fast for short texts, and collisions only cost time.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

fn hashed(hash: u64, text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(PRIME);
    // A separator, so that "a", "b" is not "ab".
    text.bytes().chain([0xff]).fold(hash, step)
}

/// A host with its labels from last to first, then the segments of a path.
fn place_text<'a>(host: &str, segments: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::with_capacity(64);
    for label in host.rsplit('.') {
        text.push_str(label);
        text.push('.');
    }
    for segment in segments {
        text.push('/');
        text.push_str(segment);
    }
    text
}

/// Every place at which a rule about this URL may be indexed.
fn keys(url: &Target, depth: usize, suffixes: usize) -> impl Iterator<Item = u64> {
    let whole = hashed(OFFSET ^ 1, url.host());
    let ends = url.suffixes().take(suffixes).map(|suffix| hashed(OFFSET, suffix));
    let below = move |start: u64| {
        let segments = url.segments().take(depth);
        std::iter::once(start).chain(segments.scan(start, |hash, segment| {
            *hash = hashed(*hash, segment);
            Some(*hash)
        }))
    };
    std::iter::once(ANYWHERE).chain(std::iter::once(whole).chain(ends).flat_map(below))
}

impl<T: Addressed> From<Vec<T>> for RuleList<T> {
    fn from(rules: Vec<T>) -> Self {
        let (mut depth, mut suffixes) = (0, 0);
        let key = |rule: &T| {
            let Some(pattern) = rule.url() else { return ANYWHERE };
            let Place { whole_host, host, segments } = pattern.place();
            depth = depth.max(segments.len());
            suffixes = suffixes.max(if whole_host { 0 } else { host.split('.').count().saturating_sub(1) });
            segments.iter().fold(hashed(OFFSET ^ u64::from(whole_host), host), |hash, segment| hashed(hash, segment))
        };
        let mut index: Vec<_> = rules.iter().map(key).zip(0..).collect();
        index.sort_unstable();
        let text = |rule: &T| {
            rule.url().map_or_else(String::new, |pattern| {
                let Place { host, segments, .. } = pattern.place();
                place_text(host, segments)
            })
        };
        let mut neighbours: Vec<_> = rules.iter().map(text).zip(0..).collect();
        neighbours.sort_unstable();
        Self { rules, index, depth, suffixes, neighbours }
    }
}

impl<T: Addressed> FromIterator<T> for RuleList<T> {
    fn from_iter<I: IntoIterator<Item = T>>(rules: I) -> Self {
        rules.into_iter().collect::<Vec<_>>().into()
    }
}

impl<T> Default for RuleList<T> {
    fn default() -> Self {
        Self { rules: Vec::new(), index: Vec::new(), depth: 0, suffixes: 0, neighbours: Vec::new() }
    }
}

impl<T> Deref for RuleList<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.rules
    }
}

impl<'a, T> IntoIterator for &'a RuleList<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.rules.iter()
    }
}

impl<T: PartialEq> PartialEq for RuleList<T> {
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules
    }
}

impl<T: Serialize> Serialize for RuleList<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.rules.serialize(serializer)
    }
}

impl<'de, T: Addressed + Deserialize<'de>> Deserialize<'de> for RuleList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}
