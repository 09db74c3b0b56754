//! Which grants of a base cover the grants of a policy, quotas included.
//!
//! A call counts against the first rule that matches it. So a grant is covered when one rule of the base matches all that it matches,
//! and neither that rule nor an earlier one that may match some of it is narrower. The quotas of all grants that may count
//! against one rule of the base are added up.

use crate::units::{count_text, size_text, span_text};
use crate::{Access, FilesGrant, OnCrash, Rate, WebSocketGrant, check, path};
use crate::{FetchGrant, SecretGrant};
use std::collections::BTreeMap;
use std::time::Duration;

/// What came of comparing grants with those of a base.
pub(crate) struct Cover<T> {
    /// The grants that are covered.
    pub(super) kept: Vec<T>,
    /// The id of each of them, and that of the rule which covers it.
    pub(super) ids: BTreeMap<String, String>,
    /// The first grant that is not covered.
    pub(crate) wider: Option<Wider>,
}

/// A grant that allows more than the base.
pub(crate) struct Wider {
    pub(super) id: String,
    /// The rule of the base that is narrower; none when no rule covers the grant.
    pub(super) base: Option<String>,
    /// What is wider, each in words; at least one.
    pub(crate) what: Vec<String>,
}

/// A number that must not grow.
pub(crate) struct Bound {
    key: &'static str,
    ours: u64,
    theirs: u64,
    /// Whether all grants that count against the rule must stay within its number together.
    shared: bool,
    text: fn(u64) -> String,
}

pub(crate) trait Grant: Clone {
    fn id(&self) -> &str;
    /// Whether the rule matches all calls that `other` matches.
    fn covers(&self, other: &Self) -> bool;
    /// Whether it may match some of them.
    fn overlaps(&self, other: &Self) -> bool;
    /// What `other` may not exceed, or what it does that this rule does not.
    fn bounds(&self, other: &Self) -> Result<Vec<Bound>, String>;
    /// What it grants, in words.
    fn granted(&self) -> String;
}

/// Compares grants, in their order, with those of a base.
pub(crate) fn cover<T: Grant>(ours: &[T], theirs: &[T]) -> Cover<T> {
    let mut spent: Vec<BTreeMap<&'static str, u64>> = vec![BTreeMap::new(); theirs.len()];
    let mut cover = Cover { kept: Vec::new(), ids: BTreeMap::new(), wider: None };
    for grant in ours {
        match covering(grant, theirs, &mut spent) {
            Ok(base) => {
                cover.kept.push(grant.clone());
                cover.ids.insert(grant.id().to_owned(), base.to_owned());
            }
            Err(wider) => cover.wider = cover.wider.or(Some(wider)),
        }
    }
    cover
}

/// The rule that covers the grant; counts the quotas of the grant as spent.
fn covering<'b, T: Grant>(
    grant: &T,
    theirs: &'b [T],
    spent: &mut [BTreeMap<&'static str, u64>],
) -> Result<&'b str, Wider> {
    let wider = |base: Option<&T>, what| Wider {
        id: grant.id().to_owned(),
        base: base.map(|base| base.id().to_owned()),
        what: vec![what],
    };
    let Some(last) = theirs.iter().position(|base| base.covers(grant)) else {
        return Err(wider(None, format!("rule {:?} grants {}", grant.id(), grant.granted())));
    };
    let (mut totals, mut found) = (Vec::new(), None::<Wider>);
    for (index, base) in theirs.iter().enumerate().take(last + 1).filter(|(_, base)| base.overlaps(grant)) {
        let bounds =
            base.bounds(grant).map_err(|what| wider(Some(base), format!("rule {:?} has {what}", grant.id())))?;
        for Bound { key, ours, theirs, shared, text } in bounds {
            let before = spent.get(index).and_then(|spent| spent.get(key)).copied().unwrap_or(0);
            let total = if shared { before.saturating_add(ours) } else { ours };
            if total > theirs {
                let together = if shared && before > 0 { ", with those before it," } else { "" };
                let what =
                    format!("rule {:?} has{together} {key} = {} instead of {}", grant.id(), text(total), text(theirs));
                match &mut found {
                    Some(found) => found.what.push(what),
                    None => found = Some(wider(Some(base), what)),
                }
            }
            totals.push((index, key, total));
        }
    }
    if let Some(found) = found {
        return Err(found);
    }
    for (index, key, total) in totals {
        spent.get_mut(index).and_then(|spent| spent.insert(key, total));
    }
    Ok(theirs.get(last).map_or("", Grant::id))
}

impl Bound {
    fn each(key: &'static str, ours: u64, theirs: u64, text: fn(u64) -> String) -> Self {
        Self { key, ours, theirs, shared: false, text }
    }

    fn shared(key: &'static str, ours: u64, theirs: u64, text: fn(u64) -> String) -> Self {
        Self { key, ours, theirs, shared: true, text }
    }
}

impl Grant for FetchGrant {
    fn id(&self) -> &str {
        &self.id
    }

    fn covers(&self, other: &Self) -> bool {
        other.methods.iter().all(|method| self.methods.contains(method)) && self.url.covers(&other.url)
    }

    fn overlaps(&self, other: &Self) -> bool {
        other.methods.iter().any(|method| self.methods.contains(method)) && self.url.overlaps(&other.url)
    }

    fn bounds(&self, other: &Self) -> Result<Vec<Bound>, String> {
        let (theirs, ours) = (&self.terms, &other.terms);
        if ours.secret.is_some() && ours.secret != theirs.secret {
            return Err(other_secret(theirs.secret.as_ref()).to_owned());
        }
        if (ours.on_crash, theirs.on_crash) == (OnCrash::Retry, OnCrash::Fail) {
            return Err("on_crash = \"retry\" instead of \"fail\"".to_owned());
        }
        let calls = |calls: Option<u64>| calls.unwrap_or(u64::MAX);
        let mut bounds = vec![
            Bound::shared("max_calls", calls(ours.max_calls), calls(theirs.max_calls), count_text),
            Bound::shared("concurrent", ours.concurrent, theirs.concurrent, count_text),
            Bound::each("max_request", ours.max_request, theirs.max_request, size_text),
            Bound::each("max_response", ours.max_response, theirs.max_response, size_text),
            Bound::each("timeout", ms(ours.timeout), ms(theirs.timeout), ms_text),
            Bound::each("redirects", ours.redirects.into(), theirs.redirects.into(), count_text),
        ];
        bounds.extend(
            theirs
                .rate
                .map(|rate| Bound::shared("rate", calls_within(ours.rate, rate.window), rate.calls.into(), count_text)),
        );
        Ok(bounds)
    }

    fn granted(&self) -> String {
        format!("{} {}", self.methods.join(", "), self.url)
    }
}

fn other_secret(base: Option<&SecretGrant>) -> &'static str {
    if base.is_some() { "another secret" } else { "a secret" }
}

/// The most calls that a rate allows in a window of another length.
fn calls_within(rate: Option<Rate>, window: Duration) -> u64 {
    let Some(rate) = rate else { return u64::MAX };
    let windows = ms(window).div_ceil(ms(rate.window).max(1));
    u64::from(rate.calls).saturating_mul(windows)
}

impl Grant for WebSocketGrant {
    fn id(&self) -> &str {
        &self.id
    }

    fn covers(&self, other: &Self) -> bool {
        self.url.covers(&other.url)
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.url.overlaps(&other.url)
    }

    fn bounds(&self, other: &Self) -> Result<Vec<Bound>, String> {
        let (theirs, ours) = (&self.terms, &other.terms);
        Ok(vec![
            Bound::shared("max_open", ours.max_open, theirs.max_open, count_text),
            Bound::each("max_message", ours.max_message, theirs.max_message, size_text),
            Bound::shared("max_messages", ours.max_messages, theirs.max_messages, count_text),
            Bound::each("idle", ms(ours.idle), ms(theirs.idle), ms_text),
        ])
    }

    fn granted(&self) -> String {
        self.url.to_string()
    }
}

impl Grant for FilesGrant {
    fn id(&self) -> &str {
        &self.id
    }

    fn covers(&self, other: &Self) -> bool {
        let rest = path::below(&self.guest, &other.guest);
        rest.is_some_and(|rest| check::real_path(&other.host) == check::real_path(&self.host.join(rest)))
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.covers(other)
    }

    fn bounds(&self, other: &Self) -> Result<Vec<Bound>, String> {
        if other.access > self.access {
            return Err(format!("access = \"{}\" instead of \"{}\"", other.access.name(), self.access.name()));
        }
        // The base counts the folders between its root and that of the grant as well.
        let between = path::below(&self.guest, &other.guest)
            .map_or(0, |rest| rest.split('/').filter(|name| !name.is_empty()).count());
        let between = if other.access == Access::Read { 0 } else { between as u64 };
        Ok(vec![
            Bound::each("max_file", other.max_file, self.max_file, size_text),
            Bound::shared("max_written", other.max_written, self.max_written, size_text),
            Bound::shared("max_files", other.max_files.saturating_add(between), self.max_files, count_text),
        ])
    }

    fn granted(&self) -> String {
        format!("{} at {}", everstep_words::visible::path(&self.host), self.guest)
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn ms_text(ms: u64) -> String {
    if ms == u64::MAX { span_text(Duration::MAX) } else { span_text(Duration::from_millis(ms)) }
}
