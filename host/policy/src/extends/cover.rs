//! Determines which grants of a base cover the grants of a policy, including quotas.
//!
//! A call counts against the first rule that matches it. So a grant is covered if one rule of the base matches everything that it
//! matches, and neither that rule nor an earlier one that may match some of it is narrower. The quotas of all grants that may count
//! against one rule of the base are added up.

use crate::units::span_text;
use std::collections::BTreeMap;
use std::time::Duration;

/// The result of comparing grants with those of a base.
pub(crate) struct Cover<T> {
    /// The grants that are covered.
    pub(crate) kept: Vec<T>,
    /// The id of each of them, with that of the rule that covers it.
    pub(super) ids: BTreeMap<String, String>,
    /// The first grant that is not covered.
    pub(super) wider: Option<Wider>,
}

/// A grant that allows more than the base.
pub(super) struct Wider {
    pub(super) id: String,
    /// The rule of the base that is narrower; `None` if no rule covers the grant.
    pub(super) base: Option<String>,
    /// Descriptions of what is wider; at least one.
    pub(super) what: Vec<String>,
}

/// A number that must not be exceeded.
pub(crate) struct Bound {
    key: &'static str,
    ours: u64,
    theirs: u64,
    /// Whether all grants that count against the rule must stay within its number in total.
    shared: bool,
    text: fn(u64) -> String,
}

/// A rule that can be compared with others of its section.
pub(crate) trait Grant: Clone {
    fn id(&self) -> &str;
    /// Whether the rule matches all calls that `other` matches.
    fn covers(&self, other: &Self) -> bool;
    /// Whether the rule may match some of them.
    fn overlaps(&self, other: &Self) -> bool;
    /// The numbers that `other` must not exceed, or a description of what it does that this rule does not.
    fn bounds(&self, other: &Self) -> Result<Vec<Bound>, String>;
    /// A description of what it grants.
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

/// Descriptions of what each grant by itself allows beyond a base.
pub(crate) fn beyond<T: Grant>(ours: &[T], base: &[T]) -> Vec<String> {
    let wider = |grant: &T| cover(std::slice::from_ref(grant), base).wider;
    ours.iter().filter_map(wider).flat_map(|wider| wider.what).collect()
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
    /// A number that each grant must stay within.
    pub(crate) fn each(key: &'static str, ours: u64, theirs: u64, text: fn(u64) -> String) -> Self {
        Self { key, ours, theirs, shared: false, text }
    }

    /// A number that all grants must stay within in total.
    pub(crate) fn shared(key: &'static str, ours: u64, theirs: u64, text: fn(u64) -> String) -> Self {
        Self { key, ours, theirs, shared: true, text }
    }
}

/// A time in milliseconds; the maximum if it is unlimited.
pub(crate) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds in the notation of a policy file.
pub(crate) fn ms_text(ms: u64) -> String {
    if ms == u64::MAX { span_text(Duration::MAX) } else { span_text(Duration::from_millis(ms)) }
}
